"""What a candidate trains on under equal FLOPs or time is measured once."""

from __future__ import annotations

import pytest

from netwright.types import Share


@pytest.fixture
def share(memory, task, make_candidate):
    design = make_candidate()
    memory.put_candidate(design)

    def make(factor: float, tier: str = "T3") -> Share:
        return Share(candidate_id=design.id, task_id=task.id, factor=factor, seconds=0.5, operations=0.7, tier=tier)

    return make


def test_the_first_share_stays(memory, share):
    first = memory.put_share(share(2.0))
    second = memory.put_share(share(4.0))

    assert first == second == share(2.0) == memory.share(first.candidate_id, first.task_id, tier="T2")


def test_what_was_not_isolated_is_measured_again_where_it_would_be_now(memory, share):
    forged = memory.put_share(share(8.0, "T0"))

    assert memory.share(forged.candidate_id, forged.task_id, tier="T0") == forged
    assert memory.share(forged.candidate_id, forged.task_id, tier="T3") is None
    assert memory.put_share(share(1.0)) == share(1.0) == memory.put_share(share(8.0, "T0"))


def test_shares_of_another_task_or_candidate_are_not_taken(memory, share):
    known = memory.put_share(share(2.0))

    assert memory.share(known.candidate_id, "bytes-other") is None
    assert memory.share("0" * 64, known.task_id) is None

"""Measures come back as they were put, and the latest of a machine counts."""

from __future__ import annotations

import json

import pytest

from netwright.measures import Inference, Measures, State


@pytest.fixture
def make_measures(memory, task, make_candidate):
    def make(number: int = 0, seconds: float = 0.5, **changes: object) -> Measures:
        candidate = make_candidate(number)
        memory.put_candidate(candidate)
        fields = {
            "candidate_id": candidate.id,
            "task_id": task.id,
            "machine": "one",
            "tier": "T3",
            "batch_rows": 8,
            "inference": (Inference(length=128, seconds=seconds, flops=1e6, written=1000, peak_bytes=4000),),
            "states": (State(length=32, past=16, ranks=(40, 128)),),
            "problems": ("inference, length 256: too slow",),
            "wall_seconds": 1.5,
            "peak_memory_bytes": 300_000_000,
        }
        return Measures(**fields | changes)

    return make


def test_measures_come_back_as_they_were_put(memory, make_measures):
    measures = make_measures()

    memory.put_measures(measures)

    assert memory.measures() == [measures]


def test_the_latest_of_a_machine_counts_and_the_earlier_one_stays(memory, make_measures):
    for seconds, machine in ((0.5, "one"), (0.7, "two"), (0.4, "one")):
        memory.put_measures(make_measures(seconds=seconds, machine=machine))

    assert [(each.machine, each.latency) for each in memory.measures()] == [("two", 0.7), ("one", 0.4)]
    assert memory.connection.row("SELECT count(*) FROM measures")[0] == 3


def test_measures_are_found_by_task_candidate_and_machine(memory, make_measures):
    first, second = make_measures(0), make_measures(1)
    other = make_measures(1, task_id="recall-12345678", machine="two")
    for each in (first, second, other):
        memory.put_measures(each)

    assert memory.measures(task_id=first.task_id) == [first, second]
    assert memory.measures(candidate_id=second.candidate_id) == [second, other]
    assert memory.measures(candidate_id=second.candidate_id, machine="two") == [other]


def test_lengths_can_be_asked_for_in_sql(memory, make_measures):
    memory.put_measures(make_measures())

    row = memory.connection.row("SELECT inference ->> '$[0].seconds', states ->> '$[0].ranks' FROM measures")

    assert row[0] == 0.5 and json.loads(row[1]) == [40, 128]

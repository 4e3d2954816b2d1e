"""The front of a campaign: what is compared, what is left out for want of figures, and what the page says."""

from __future__ import annotations

import pytest

from netwright.errors import NotFound
from netwright.evaluator.pareto import TOLERANCES
from netwright.measures import Inference, Measures, State
from netwright.report.build import build_report
from netwright.report.front import compared, front


@pytest.fixture
def finalists(told):
    """The designs at the highest rung, best first."""
    return front(told.memory).entries


@pytest.fixture
def put_measures(told):
    def put(candidate_id: str, *, seconds: float = 1e-3, rank: int = 40, machine: str = "this machine, cpu") -> None:
        measures = Measures(
            candidate_id=candidate_id,
            task_id=told.campaign.task.id,
            machine=machine,
            batch_rows=8,
            inference=(Inference(length=256, seconds=seconds),),
            states=(State(length=128, past=64, ranks=(rank, rank)),),
        )
        told.memory.put_measures(measures)

    return put


def with_flops(told, flops_by_place):
    """Set what trials of the finalists counted, which the told campaign leaves open."""
    for place, flops in enumerate(flops_by_place):
        row = front(told.memory).entries[place].row
        with told.memory.connection.write() as conn:
            conn.execute("UPDATE trials SET flops_per_token = ? WHERE candidate_id = ?", (flops, row.candidate_id))


def test_costs_that_are_not_known_of_all_are_left_out_and_counted(told, finalists, put_measures):
    put_measures(finalists[0].row.candidate_id)

    found = front(told.memory)

    assert found.compared == ("parameters",)
    assert found.lacking == {"flops_per_token": 4, "latency_seconds": 3, "state_bytes": 3}
    assert [entry.costs["state_bytes"] for entry in found.entries] == [320, None, None, None]


def test_what_costs_less_is_on_the_front_whatever_its_loss(told, finalists, put_measures):
    with_flops(told, [1e6] * 4)
    for place, entry in enumerate(finalists):
        put_measures(entry.row.candidate_id, seconds=1e-4 if place == 3 else 1e-3)

    found = front(told.memory)

    assert found.compared == tuple(TOLERANCES) and found.lacking == {}
    assert found.entries[0].on_front and found.entries[3].on_front
    assert compared(found) == "loss, parameters, FLOPs per token, latency and state"


def test_what_is_lost_without_a_design_is_its_share_of_the_hypervolume(told, finalists, put_measures):
    with_flops(told, [1e6] * 4)
    for place, entry in enumerate(finalists):
        put_measures(entry.row.candidate_id, seconds=1e-4 if place == 3 else 1e-3)

    found = front(told.memory)

    best, fastest = found.entries[0], found.entries[3]
    assert 0.0 < found.hypervolume < 1.0
    assert best.alone > 0.0 and fastest.alone > 0.0 and best.alone + fastest.alone <= 1.0
    assert all(entry.alone == 0.0 for entry in found.entries if not entry.on_front)


def test_a_design_that_is_best_in_all_that_differs_clearly_dominates_all_there_is(told):
    found = front(told.memory)

    assert found.compared == ("parameters",)
    assert found.hypervolume == 1.0 and found.entries[0].alone == 1.0


def test_seconds_of_different_machines_are_not_mixed(told, finalists, put_measures):
    for entry in finalists:
        put_measures(entry.row.candidate_id, machine="this machine, cpu")
    put_measures(finalists[0].row.candidate_id, seconds=1e-9, machine="another")

    found = front(told.memory)

    assert found.machine == "this machine, cpu"
    assert {entry.costs["latency_seconds"] for entry in found.entries} == {1e-3}


def test_a_lower_rung_has_a_front_of_its_own(told):
    found = front(told.memory, rung=0)

    assert found.rung == 0 and {entry.row.rung for entry in found.entries} == {0}
    with pytest.raises(NotFound, match="rungs with designs: 0, 1"):
        front(told.memory, rung=5)


def test_the_page_shows_what_nothing_else_beats(told, finalists, put_measures):
    before = build_report(told.memory)
    for entry in finalists:
        put_measures(entry.row.candidate_id, seconds=0.00123)

    page = build_report(told.memory)

    assert "What nothing else beats" in page and "netwright measure --campaign" in before
    assert "1.23 ms" in page and "320 B" in page and "this machine, cpu" in page

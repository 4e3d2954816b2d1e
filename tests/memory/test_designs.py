"""What designs are made of and what they showed is kept once; proposals that had been tried are counted."""

from __future__ import annotations

import pytest

from netwright.memory.designs import recognised
from netwright.portrait import Portrait, TracedGraph
from netwright.types import Action, Operator, Structure

TRACE = TracedGraph(labels=("input", "exp", "output"), shapes=((1, 8), (1, 8), (1, 8)), edges=((0, 1), (1, 2)))
SHOWN = Portrait(function="ab" * 32, trace=TRACE)


@pytest.fixture
def design(memory, make_candidate):
    found = make_candidate()
    memory.put_candidate(found)
    return found


def test_a_structure_is_read_as_it_was_put(memory, task, design):
    structure = Structure(choices={"kind": "attention"}, counts={"matmul>softmax": 2.0}, numbers={"depth": 7.0})

    memory.put_structure(design.id, task.id, 1, structure)

    assert memory.structures(task.id, 1) == memory.structures(task.id, 1, design.id) == {design.id: structure}
    assert memory.structures("bytes-other", 1) == memory.structures(task.id, 1, "0" * 64) == {}


def test_a_structure_gives_way_to_one_of_a_later_version_alone(memory, task, design):
    for version in (2, 1, 2):
        memory.put_structure(design.id, task.id, version, Structure(numbers={"depth": float(version)}))

    assert memory.structures(task.id, 2)[design.id].numbers == {"depth": 2.0}
    assert memory.structures(task.id, 1) == {}


def test_the_first_portrait_stays(memory, task, design):
    memory.put_portrait(design.id, task.id, SHOWN, "T3")
    memory.put_portrait(design.id, task.id, Portrait(function="cd" * 32), "T3")

    assert memory.portrait(design.id, task.id, tier="T2") == SHOWN
    assert memory.portrait(design.id, "bytes-other") is None


def test_a_portrait_that_was_not_isolated_gives_way(memory, task, design):
    memory.put_portrait(design.id, task.id, Portrait(function="cd" * 32), "T0")

    assert memory.portrait(design.id, task.id, tier="T0") == Portrait(function="cd" * 32)
    assert memory.portrait(design.id, task.id, tier="T3") is None

    memory.put_portrait(design.id, task.id, SHOWN, "T3")

    assert memory.portrait(design.id, task.id) == SHOWN


def test_duplicates_are_counted_once_and_by_kind(memory, task, design):
    campaign = memory.start_campaign("first", task, seed=0, config={})
    memory.put_action(campaign.id, Action(index=0, kind="expand", operator=Operator.DRAFT))

    for kind in ("code", "function", "code"):
        memory.put_duplicate(campaign.id, 0, design.id, kind, -1)

    assert memory.duplicates(campaign.id) == {"code": 1, "function": 1}
    assert memory.duplicates(campaign.id + 1) == {}


def test_what_was_recognised_is_said_by_kind(memory):
    assert recognised({"near": 1, "code": 2}) == (
        "2 proposed again in other words, 1 trained though almost the same as one before"
    )
    assert recognised(memory.duplicates()) == ""

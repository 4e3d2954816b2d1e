"""A prompt and its answer fit the context of their model, whatever there is to tell."""

from __future__ import annotations

import pytest

from netwright.agents.chat import cautious_tokens
from netwright.agents.room import LEAST_ANSWER, LEAST_CONTEXT, WANTED_CONTEXT, Room, answer_room, question_room

SYSTEM = 7_800


@pytest.mark.parametrize("context", [LEAST_CONTEXT, 12_000, WANTED_CONTEXT, 32_768, 131_072])
@pytest.mark.parametrize("wanted", [500, 1_500, 6_000, 20_000])
def test_system_message_question_and_answer_fill_the_context_at_most(context: int, wanted: int) -> None:
    answer = answer_room(context, wanted)
    room = question_room(context, wanted, SYSTEM)

    assert cautious_tokens(SYSTEM + room.question) + answer <= context + 1
    assert answer == wanted or answer == max(LEAST_ANSWER, context // 3)
    assert 0 < room.campaign < room.question


def test_roles_with_long_and_short_answers_begin_alike() -> None:
    assert {question_room(WANTED_CONTEXT, wanted, SYSTEM).campaign for wanted in (500, 1500, 6000)} == {
        question_room(WANTED_CONTEXT, 6000, SYSTEM).campaign
    }


def test_a_large_context_is_not_filled_for_its_own_sake_and_a_tiny_one_holds_nothing() -> None:
    assert question_room(1_000_000, 6_000, SYSTEM) == question_room(200_000, 6_000, SYSTEM)
    assert question_room(1_500, 6_000, SYSTEM) == Room(campaign=0, question=0)


def test_what_a_question_holds_anyway_is_taken_from_its_room_alone() -> None:
    assert Room(campaign=100, question=500).beside("x" * 50, "y" * 30) == Room(campaign=100, question=420)
    assert Room(campaign=100, question=500).half() == Room(campaign=50, question=250)

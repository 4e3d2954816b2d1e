"""What a server that keeps what it has read need not read again."""

from __future__ import annotations

import pytest

from netwright.agents.chat import cached_tokens
from netwright.agents.prefixes import BLOCK_BYTES, PrefixMeter, reuse
from netwright.types import LlmCall

SYSTEM = {"role": "system", "content": "s" * 640}


def call(*contents: str, reply: str | None = "fine", model: str = "m", tokens: int | None = 1000) -> LlmCall:
    roles = ("user", "assistant")
    said = tuple({"role": roles[turn % 2], "content": text} for turn, text in enumerate(contents))
    return LlmCall(
        key="k",
        role="planner",
        model=model,
        prompt_sha256="",
        messages=(SYSTEM, *said),
        reply=reply,
        status="ok",
        prompt_tokens=tokens,
    )


def test_a_first_prompt_repeats_nothing_and_the_same_again_all_of_it_but_its_last_block() -> None:
    meter, prompt = PrefixMeter(), call("q" * 640)

    assert meter.measure(prompt) == 0
    assert 0.95 * 1000 <= (meter.measure(prompt) or 0) < 1000


def test_a_prompt_repeats_as_much_as_it_shares_with_any_earlier_one_from_its_beginning() -> None:
    meter = PrefixMeter()
    for question in ("a" * 640, "b" * 640):
        meter.measure(call(question))

    shared = meter.measure(call("a" * 320 + "c" * 320, tokens=1280))

    assert shared == pytest.approx(640 + 320, abs=2 * BLOCK_BYTES)
    assert meter.measure(call("a" * 640, model="another")) == 0


def test_an_answer_is_part_of_what_was_said() -> None:
    meter, answer = PrefixMeter(), "y" * 6400
    meter.measure(call("q", reply=answer))

    again = meter.measure(call("q", answer, "and now?"))

    assert again is not None and again > 900


def test_a_call_without_an_answer_says_nothing() -> None:
    meter = PrefixMeter()

    assert meter.measure(call("q", reply=None)) is None
    assert meter.measure(call("q", tokens=None)) is None
    assert meter.measure(call("q")) == 0


def test_calls_are_summed_in_tokens_and_half_of_a_character_breaks_nothing() -> None:
    found = reuse([call("q" * 640), call("q" * 640), call("\ud800", reply="\ud800")])

    assert found.prompt_tokens == 3000
    assert found.share == pytest.approx((0.97 + 0.5) * 1000 / 3000, abs=0.2)
    assert reuse([]).share is None


@pytest.mark.parametrize(
    ("usage", "told"),
    [
        ({"prompt_tokens": 100, "prompt_tokens_details": {"cached_tokens": 64}}, 64),
        ({"prompt_tokens": 100, "prompt_cache_hit_tokens": 32, "prompt_cache_miss_tokens": 68}, 32),
        ({"prompt_tokens": 100, "prompt_tokens_details": {"cached_tokens": 0}}, 0),
        ({"prompt_tokens": 100, "prompt_tokens_details": {"cached_tokens": 101}}, None),
        ({"prompt_tokens": 100, "prompt_tokens_details": {"cached_tokens": None}}, None),
        ({"prompt_tokens": 100, "prompt_tokens_details": None}, None),
        ({"prompt_tokens": 100, "prompt_tokens_details": {"cached_tokens": True}}, None),
        ({"prompt_tokens": 100}, None),
        (None, None),
    ],
)
def test_the_servers_own_count_is_taken_where_it_makes_sense(usage: object, told: int | None) -> None:
    assert cached_tokens({"usage": usage}) == told

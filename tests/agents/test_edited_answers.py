"""Coder and repairer asked for search/replace blocks by a real server: when, and what becomes of the answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
from small_designs import source_of, step_of

from netwright.agents.endpoint import Endpoint
from netwright.agents.llm_coder import LlmCoder
from netwright.agents.llm_repairer import LlmRepairer
from netwright.agents.replies import Plan
from netwright.agents.retrying import RetryRule
from netwright.errors import MalformedReply
from netwright.types import Context, LlmCall, Operator, Proposal

Servers = Callable[..., Any]
PLAN = Plan(title="Gain", hypothesis="It scales.", changes="the gain")
STEP = step_of(3)
PARENT = STEP.parents[0].candidate.source
BLOCK = "<<<<<<< SEARCH\n        return x * self.gain\n=======\n        return x + self.gain\n>>>>>>> REPLACE\n"
CHANGED = PARENT.replace("x * self.gain", "x + self.gain")


class NoLedger:
    def find(self, key: str) -> LlmCall | None:
        return None

    def record(self, call: LlmCall) -> None:
        """Nothing is kept."""


def write(server: Any, context: Context = STEP, *, edits: bool = True, **options: Any) -> Proposal:
    async def talk() -> Proposal:
        async with Endpoint(server.url, "scripted", retries=RetryRule(tries=1)) as endpoint:
            return await LlmCoder(endpoint, NoLedger(), edits=edits, **options).write(context, PLAN)

    return asyncio.run(talk())


def repair(server: Any, failed: str, *, edits: bool = True) -> Proposal | None:
    proposal = Proposal(title="Gain", hypothesis="It scales.", source=failed, origin="llm:m")

    async def talk() -> Proposal | None:
        async with Endpoint(server.url, "scripted", retries=RetryRule(tries=1)) as endpoint:
            repairer = LlmRepairer(endpoint, NoLedger(), edits=edits)
            return await repairer.repair(STEP, proposal, "causality: it looks ahead")

    return asyncio.run(talk())


def test_a_coder_that_may_edit_changes_the_parents_file(chat_server: Servers) -> None:
    server = chat_server([BLOCK])

    proposal = write(server)

    assert proposal.source == CHANGED
    asked = server.contents()[-1]
    assert "<<<<<<< SEARCH" in asked and "The file is the parent's." in asked


@pytest.mark.parametrize("operator", [Operator.REFINE, Operator.TUNE, Operator.SIMPLIFY, Operator.REPAIR])
def test_edits_are_asked_for_where_a_part_of_a_parent_changes(chat_server: Servers, operator: Operator) -> None:
    server = chat_server([BLOCK])

    assert write(server, STEP.model_copy(update={"operator": operator})).source == CHANGED


@pytest.mark.parametrize(
    ("fields", "edits"),
    [
        ({"operator": Operator.DRAFT, "parents": ()}, True),
        ({"operator": Operator.COMBINE, "parents": (*STEP.parents, *step_of(4).parents)}, True),
        ({"operator": Operator.REFINE}, False),
    ],
)
def test_otherwise_the_whole_file_is_asked_for(chat_server: Servers, fields: dict[str, Any], edits: bool) -> None:
    server = chat_server([f"```python\n{source_of(5)}```"])

    assert write(server, STEP.model_copy(update=fields), edits=edits).source == source_of(5)
    asked = server.contents()[-1]
    assert "SEARCH" not in asked and "The complete file in one ```python fence" in asked


def test_a_whole_file_in_place_of_edits_is_taken(chat_server: Servers) -> None:
    assert write(chat_server([f"```python\n{source_of(5)}```"])).source == source_of(5)


def test_edits_that_fail_are_told_once_and_then_the_whole_file_is_asked_for(chat_server: Servers) -> None:
    lost = BLOCK.replace("return x * self.gain", "return y * self.gain")
    server = chat_server([lost, lost, f"```python\n{source_of(5)}```"])

    proposal = write(server, repairs=2)

    assert proposal.source == source_of(5)
    first, second = server.contents(1)[-1], server.contents(2)[-1]
    assert "no line is '        return y * self.gain', the nearest is '        return x * self.gain'" in first
    assert "Send all of them again" in first
    assert "Send only the complete Python file" in second


def test_edits_that_never_fit_end_in_a_malformed_reply(chat_server: Servers) -> None:
    with pytest.raises(MalformedReply, match="no usable coder answer in 2 tries; at last block 1 of 1"):
        write(chat_server(default=BLOCK.replace("x * self.gain", "z")), repairs=1)


def test_edits_that_were_cut_off_are_gone_on_with(chat_server: Servers, chat: ModuleType) -> None:
    begun = f"A sum\nin place of a product.\n\n{BLOCK[: BLOCK.index('x + self.gain')]}"
    rest = "```\n        return x + self.gain\n>>>>>>> REPLACE\n```"
    server = chat_server([chat.completion(begun, finish_reason="length"), rest])

    assert write(server).source == CHANGED
    assert "cut off inside the search/replace blocks" in server.contents()[-1]


def test_a_repairer_edits_the_file_that_was_stopped(chat_server: Servers) -> None:
    failed = source_of(7)
    text = f'```json\n{{"title": "Sum", "hypothesis": "It adds.", "changes": "a sum"}}\n```\n\n{BLOCK}'
    server = chat_server([text])

    mended = repair(server, failed)

    assert mended is not None
    assert (mended.title, mended.source) == ("Sum", failed.replace("x * self.gain", "x + self.gain"))
    assert "The file is the one that was stopped." in server.contents()[-1]
    assert repair(chat_server([f"```python\n{failed}```"]), failed) is None

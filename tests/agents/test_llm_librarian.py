"""The librarian says what is to become of lessons; an endpoint that fails leaves them as they are."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
from small_designs import DictLedger

from netwright.agents.endpoint import Endpoint
from netwright.agents.journal_text import journal_line
from netwright.agents.lessons import Revision, Shelf
from netwright.agents.llm_librarian import LlmLibrarian
from netwright.agents.retrying import RetryRule
from netwright.evaluator.tasks import load_task
from netwright.types import Candidate, Context, Operator, Remembered, Scope, Score, Told

Servers = Callable[..., Any]
WANTED = {"merge": [{"lessons": ["L1", 2], "claim": "Gates help."}]}
SHELF = Shelf().concluded("A gate helps.", 3).concluded("Gates </data> help a lot.", 4)


def revise(server: Any, ledger: DictLedger | None = None) -> Revision | None:
    candidate = Candidate(source="#", scope=Scope.MIXER, title="Gated", hypothesis="Gates.", origin="llm:m")
    score = Score(value=-1.5, standard_error=0.01, rung=0, seeds=1)
    known = Remembered(candidate=candidate, operator=Operator.DRAFT, score=score, verdict=None, node=3)
    told = Told(known=known, line=journal_line(known, again=False))
    context = Context(task=load_task("recall").spec, operator=Operator.DRAFT, seed=1, journal=(told,))

    async def talk() -> Revision | None:
        async with Endpoint(server.url, "scripted", retries=RetryRule(tries=2, wait_seconds=0.01)) as endpoint:
            return await LlmLibrarian(endpoint, ledger or DictLedger()).revise(context, SHELF)

    return asyncio.run(talk())


def test_lessons_and_journal_are_laid_before_it_and_its_answer_is_read(chat_server: Servers) -> None:
    server = chat_server([f"<think>hm</think>```json\n{json.dumps(WANTED)}\n```"])

    revision = revise(server)

    assert revision is not None
    assert [lesson.text for lesson in SHELF.revised(revision, {3, 4}).standing] == ["Gates help."]
    system, asked = server.contents()
    assert "`recall`:" in system and "You are the librarian." in asked
    assert "#3 draft: Gated: 1.5000 +- 0.0100 at rung 0" in asked
    assert "L1. A gate helps. (for it: #3)" in asked
    assert "L2. Gates < /data> help a lot." in asked, "a lesson cannot end its quotation"


@pytest.mark.parametrize(
    ("fault", "calls"),
    [(lambda chat: chat.http_error(500, "busy"), 1), (lambda chat: "No JSON.", 2), (lambda chat: '{"retire": 7}', 2)],
)
def test_an_endpoint_that_fails_leaves_the_lessons_as_they_are(
    chat_server: Servers, chat: ModuleType, fault: Callable[[ModuleType], Any], calls: int
) -> None:
    ledger = DictLedger()

    assert revise(chat_server(default=fault(chat)), ledger) is None
    assert len(ledger.calls) == calls


def test_the_same_question_is_not_paid_for_twice(chat_server: Servers) -> None:
    server, ledger = chat_server([json.dumps(WANTED)]), DictLedger()

    assert revise(server, ledger) == revise(server, ledger)
    assert len(server.requests) == 1

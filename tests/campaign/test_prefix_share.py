"""How much of its prompts a campaign repeats: real roles and chronicle, a server that keeps what it has read."""

from __future__ import annotations

import asyncio
import json
import os.path
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from netwright.agents.endpoint import Endpoint
from netwright.agents.llm_coder import LlmCoder
from netwright.agents.llm_critic import LlmCritic
from netwright.agents.llm_planner import LlmPlanner
from netwright.agents.llm_repairer import LlmRepairer
from netwright.agents.prefixes import reuse
from netwright.agents.replies import Plan
from netwright.campaign.chronicle import Chronicle
from netwright.campaign.library import Library
from netwright.evaluator.baselines import baselines_for
from netwright.evaluator.tasks import load_task
from netwright.memory.store import Memory
from netwright.types import (
    Action,
    Candidate,
    Interval,
    LlmCall,
    Operator,
    Outcome,
    Remembered,
    Score,
    Verdict,
)

TASK = load_task("recall").spec
FILES = [design.source for design in baselines_for(TASK, "all")]
FAILURE = "causality: output at position 7 changes by 0.31 when inputs after it change (tolerance 1e-5)"
OPERATORS = (Operator.DRAFT, Operator.REFINE, Operator.REFINE, Operator.COMBINE, Operator.SIMPLIFY)


class Server:
    """Answers every role, and tells how many tokens of a prompt it had read before, of four characters each."""

    def __init__(self, chat: ModuleType) -> None:
        self._chat = chat
        self._read: list[str] = []
        self._asked = 0

    def __call__(self, body: dict[str, Any]) -> Any:
        said = "".join(f"{message['role']}: {message['content']}\n" for message in body["messages"])
        shared = max((len(os.path.commonprefix([said, before])) for before in self._read), default=0)
        self._read.append(said)
        answer = json.loads(self._chat.completion(self._answer(body["messages"][-1]["content"])).body)
        answer["usage"] = {"prompt_tokens": len(said) // 4, "completion_tokens": 400}
        answer["usage"]["prompt_tokens_details"] = {"cached_tokens": shared // 4}
        return self._chat.raw_json(answer)

    def _answer(self, asked: str) -> str:
        self._asked += 1
        if '"opinions"' in asked:
            return json.dumps({"opinions": [{"plan": plan, "score": plan} for plan in (1, 2, 3)]})
        if '"lesson"' in asked:
            words = {"changed": "The decay is set by the input now.", "words": "It forgets what nobody asks for."}
            return json.dumps({**words, "lesson": f"On recall, claim {self._asked % 7} holds."})
        if "# Your step now: plan" in asked:
            words = "Keys interfere less where old ones fade, so a decay for each channel should help recall. " * 3
            plans = [
                {"title": f"Idea {self._asked} {place}", "hypothesis": words, "changes": "decay"} for place in "abc"
            ]
            return json.dumps(
                {"plans": [{**plan, "changes": "the decay", "expected_effect": "less"} for plan in plans]}
            )
        return f"```python\n{FILES[self._asked % len(FILES)]}# {self._asked}\n```"


MEASURED = Score(value=-1.5, standard_error=0.02, rung=0, seeds=1)


class Campaign:
    """Expansions one after the other, each told to the chronicle; trainings are dice."""

    def __init__(self, memory: Memory, endpoint: Endpoint) -> None:
        self.calls: list[LlmCall] = []
        self._memory, self._library = memory, Library(memory)
        self._planner, self._coder = LlmPlanner(endpoint, self), LlmCoder(endpoint, self)
        self._repairer, self._critic = LlmRepairer(endpoint, self), LlmCritic(endpoint, self)
        self._dice = random.Random(0)
        self._chronicle = Chronicle(TASK, seed=0, mixer_parameters=34_000, designs=50)
        for place, design in enumerate(baselines_for(TASK, "core"), 1):
            memory.put_candidate(design)
            self._tell(-place, design, Operator.BASELINE, (), Verdict(outcome=Outcome.FIRST))

    def find(self, key: str) -> LlmCall | None:
        return None

    def record(self, call: LlmCall) -> None:
        self.calls.append(call)

    async def expand(self, index: int) -> None:
        operator = self._dice.choice(OPERATORS)
        known = [*range(-7, 0), *range(index)][-10:]
        count = {Operator.DRAFT: 0, Operator.COMBINE: 2}.get(operator, 1)
        parents = tuple(self._dice.sample(known, count))
        action = Action(index=index, kind="expand", operator=operator, parents=parents)
        told = self._chronicle.context(action)
        plans = [plan for plan in await self._planner.plan(self._library.informed(told, action))]
        chosen = [plan for plan in plans if isinstance(plan, Plan)]
        await self._critic.weigh(self._library.informed(told, action), chosen)
        written = await self._coder.write(told, chosen[-1])
        if self._dice.random() < 0.25:
            written = await self._repairer.repair(told, written, FAILURE) or written
        design = written.candidate(TASK.scope)
        self._memory.put_candidate(design)
        verdict = Verdict(
            outcome=Outcome.WORSE, delta_nats=0.1, interval=Interval(low=0.02, high=0.18), changed=written.changed
        )
        failure = "gate: causality: it sees the future" if self._dice.random() < 0.2 else ""
        if not failure:
            verdict = await self._critic.comment(self._library.compared(told, design), design, MEASURED, verdict)
        self._tell(index, design, operator, parents, verdict, failure)

    def _tell(
        self,
        node: int,
        design: Candidate,
        operator: Operator,
        parents: tuple[int, ...],
        verdict: Verdict,
        failure: str = "",
    ) -> None:
        score = None if failure else Score(value=-self._dice.random() - 1, standard_error=0.02, rung=0, seeds=1)
        known = Remembered(candidate=design, operator=operator, score=score, verdict=verdict, failure=failure)
        self._chronicle.enter(node, known, parents)


def calls_of(home: Path, url: str, expansions: int) -> Sequence[LlmCall]:
    async def talk(memory: Memory) -> Sequence[LlmCall]:
        async with Endpoint(url, "scripted") as endpoint:
            campaign = Campaign(memory, endpoint)
            for index in range(expansions):
                await campaign.expand(index)
            return campaign.calls

    with Memory.open(home) as memory:
        return asyncio.run(talk(memory))


@pytest.mark.parametrize("expansions", [8, pytest.param(50, marks=pytest.mark.slow)])
def test_most_of_what_a_campaign_asks_its_server_has_read_before(
    tmp_path: Path, chat: ModuleType, chat_server: Callable[..., Any], expansions: int
) -> None:
    server = chat_server(default=Server(chat))

    calls = calls_of(tmp_path, server.url, expansions)

    ours = reuse(calls)
    theirs = sum(call.cached_tokens or 0 for call in calls) / ours.prompt_tokens
    assert {call.role for call in calls} == {"planner", "coder", "repairer", "critic"}
    assert ours.share is not None and ours.share >= 0.6
    assert ours.share <= theirs <= ours.share + 0.02

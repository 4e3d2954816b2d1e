"""What the roles of a campaign would ask, overheard: nobody is asked, and the prompts are as long as real ones.

The rehearsed step changes a baseline, the one with the longest file, so that the prompt holds a design to start from.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any, cast

from netwright.agents.base import Ledger
from netwright.agents.chat import ChatRequest, cautious_tokens
from netwright.agents.endpoint import Endpoint
from netwright.agents.llm_coder import LlmCoder
from netwright.agents.llm_critic import LlmCritic
from netwright.agents.llm_planner import LlmPlanner
from netwright.agents.llm_repairer import LlmRepairer
from netwright.agents.replies import Plan
from netwright.agents.symptoms import symptoms
from netwright.campaign.library import CARDS_SHOWN
from netwright.campaign.roles import manner
from netwright.config import CampaignConfig
from netwright.evaluator.baselines import baselines_for
from netwright.evaluator.sizing import mixer_allowance
from netwright.memory.cards import CardIndex
from netwright.prompts.cards import shipped_cards
from netwright.types import Candidate, Context, LlmCall, Operator, Outcome, Proposal, Remembered, TaskSpec, Verdict


class _Heard(Exception):
    """The question is known, and the role that asked it needs no answer."""


class _Overhearing:
    """Stands where an endpoint and a ledger do: keeps what is asked, and answers nothing."""

    def __init__(self) -> None:
        self.heard: dict[str, ChatRequest] = {}

    async def chat(self, request: ChatRequest, ledger: Ledger) -> Any:
        self.heard[request.role] = request
        raise _Heard

    def find(self, key: str) -> LlmCall | None:
        """Return nothing: no call was made."""
        return None

    def record(self, call: LlmCall) -> None:
        """Keep nothing: no call is made."""


def rehearsed(config: CampaignConfig, spec: TaskSpec) -> dict[str, tuple[int, int]]:
    """For each role, by the name in its calls: about the most tokens that its prompt has, and the longest answer."""
    ear = _Overhearing()
    asyncio.run(_speak(cast(Endpoint, ear), ear, config, spec))
    return {role: (cautious_tokens(heard.characters), heard.max_tokens) for role, heard in ear.heard.items()}


async def _speak(endpoint: Endpoint, ledger: Ledger, config: CampaignConfig, spec: TaskSpec) -> None:
    planner = LlmPlanner(endpoint, ledger, plans=config.llm.plans, **manner(config.llm.of("planner")))
    coder = LlmCoder(endpoint, ledger, **manner(config.llm.of("coder")))
    repairer = LlmRepairer(endpoint, ledger, **manner(config.llm.of("repairer")))
    critic = LlmCritic(endpoint, ledger, **manner(config.llm.of("critic")))
    context = rehearsed_context(config, spec)
    design = context.parents[0].candidate
    with suppress(_Heard):
        await planner.plan(context)
    with suppress(_Heard):
        await coder.write(context, Plan(title=design.title[:200], hypothesis=design.hypothesis or "none given"))
    with suppress(_Heard):
        await repairer.repair(context, _proposal(design), "causality: output 3 changed with input 7")
    with suppress(_Heard):
        await critic.comment(context, design, Verdict(outcome=Outcome.NO_DIFFERENCE))


def rehearsed_context(config: CampaignConfig, spec: TaskSpec) -> Context:
    """What is told of a step that changes the baseline with the longest file."""
    known = [
        Remembered(candidate=candidate, operator=Operator.BASELINE, score=None, verdict=None)
        for candidate in baselines_for(spec, config.baselines)
    ]
    longest = max(known, key=lambda each: len(each.candidate.source))
    context = Context(
        task=spec,
        operator=Operator.REFINE,
        parents=(longest,),
        baselines=tuple(known),
        seed=config.seed,
        mixer_parameters=mixer_allowance(spec),
    )
    cards = CardIndex(shipped_cards()).search(symptoms(context), limit=CARDS_SHOWN, scope=spec.scope)
    return context.model_copy(update={"knowledge": tuple(card.text() for card in cards)})


def _proposal(design: Candidate) -> Proposal:
    return Proposal(
        title=design.title, hypothesis=design.hypothesis, source=design.source, origin=design.origin, changed=""
    )

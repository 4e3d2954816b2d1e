"""What the roles of a campaign would ask, overheard: nobody is asked, and the prompts are as long as real ones.

The rehearsed step is one in the middle of the campaign. It changes a baseline, the one with the longest file, and
baselines stand where designs will: in the journal, and as the best so far.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from itertools import cycle, islice
from typing import NamedTuple

from netwright.agents.base import Correspondent, Ledger
from netwright.agents.chat import ChatRequest, Reply, cautious_tokens
from netwright.agents.journal_text import journal_line
from netwright.agents.lessons import Shelf
from netwright.agents.llm_coder import LlmCoder
from netwright.agents.llm_critic import LlmCritic
from netwright.agents.llm_librarian import LlmLibrarian
from netwright.agents.llm_planner import LlmPlanner
from netwright.agents.llm_repairer import LlmRepairer
from netwright.agents.replies import Plan
from netwright.agents.symptoms import symptoms
from netwright.campaign.chronicle import BEST_SHOWN
from netwright.campaign.lessons import EVERY
from netwright.campaign.library import CARDS_SHOWN
from netwright.campaign.roles import manner
from netwright.config import CampaignConfig
from netwright.evaluator.baselines import baselines_for
from netwright.evaluator.sizing import mixer_allowance
from netwright.memory.cards import CardIndex
from netwright.prompts.cards import shipped_cards
from netwright.types import (
    Candidate,
    Context,
    LlmCall,
    Operator,
    Outcome,
    Proposal,
    Remembered,
    TaskSpec,
    Told,
    Verdict,
)

JOURNAL_MOST = 200
"""Lines of a rehearsed journal; a longer one outgrows its room in any prompt."""


class Rehearsed(NamedTuple):
    """A call: about the most tokens that its prompt has, the longest answer, and how often it is made for a design."""

    prompt_tokens: int
    answer_tokens: int
    often: float


class _Heard(Exception):
    """The question is known, and the role that asked it needs no answer."""


class _Overhearing:
    """Stands where an endpoint and a ledger do: keeps what is asked, and answers nothing."""

    def __init__(self) -> None:
        self.heard: list[ChatRequest] = []

    async def chat(self, request: ChatRequest, ledger: Ledger) -> Reply:
        self.heard.append(request)
        raise _Heard

    def find(self, key: str) -> LlmCall | None:
        """Return nothing: no call was made."""
        return None

    def record(self, call: LlmCall) -> None:
        """Keep nothing: no call is made."""


def rehearsed(config: CampaignConfig, spec: TaskSpec) -> dict[str, list[Rehearsed]]:
    """The calls that a role, by its name in the ledger, makes for a design that is trained and not mended much."""
    ear = _Overhearing()
    asyncio.run(_speak(ear, ear, config, spec))
    calls: dict[str, list[Rehearsed]] = {}
    for heard in ear.heard:
        often = 1 / EVERY if heard.role == "librarian" else 1.0
        calls.setdefault(heard.role, []).append(Rehearsed(cautious_tokens(heard.characters), heard.max_tokens, often))
    return calls


async def _speak(chat: Correspondent, ledger: Ledger, config: CampaignConfig, spec: TaskSpec) -> None:
    planner = LlmPlanner(chat, ledger, plans=config.llm.plans, **manner(config.llm.of("planner")))
    coder = LlmCoder(chat, ledger, **manner(config.llm.of("coder")))
    repairer = LlmRepairer(chat, ledger, **manner(config.llm.of("repairer")))
    critic = LlmCritic(chat, ledger, **manner(config.llm.of("critic")))
    librarian = LlmLibrarian(chat, ledger, **manner(config.llm.of("librarian")))
    context = _in_the_middle(rehearsed_context(config, spec), config.budget.trials)
    design = context.parents[0].candidate
    with suppress(_Heard):
        await planner.plan(context)
    plan = Plan(title=design.title[:200], hypothesis=design.hypothesis or "none given")
    if config.llm.plans > 1:
        with suppress(_Heard):
            await critic.weigh(context, [plan] * config.llm.plans)
    with suppress(_Heard):
        await coder.write(context, plan)
    with suppress(_Heard):
        await repairer.repair(context, _proposal(design), "causality: output 3 changed with input 7")
    with suppress(_Heard):
        await critic.comment(context, design, None, Verdict(outcome=Outcome.NO_DIFFERENCE))
    with suppress(_Heard):
        await librarian.revise(context, Shelf())


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


def _in_the_middle(context: Context, trials: int) -> Context:
    """The step as it will be when half of the designs are trained."""
    told = [Told(known=known, line=journal_line(known, again=False)) for known in context.baselines]
    journal = tuple(islice(cycle(told), min(trials // 2, JOURNAL_MOST)))
    return context.model_copy(update={"best": context.baselines[:BEST_SHOWN], "journal": journal})


def _proposal(design: Candidate) -> Proposal:
    return Proposal(
        title=design.title, hypothesis=design.hypothesis, source=design.source, origin=design.origin, changed=""
    )

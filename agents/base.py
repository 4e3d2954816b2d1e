"""The roles: who proposes, who comments, and who keeps the books of what was asked.

Each role has real implementations that need no LLM; the campaign knows these protocols and nothing more.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from netwright.agents.chat import ChatRequest, Reply
from netwright.agents.lessons import Revision, Shelf
from netwright.agents.replies import Plan
from netwright.types import Candidate, Context, LlmCall, Proposal, Score, Verdict


class Planner(Protocol):
    """Decides what to build. All randomness comes from the context's `seed`, `attempt` and `draw`."""

    name: str

    async def plan(self, context: Context) -> Sequence[Plan | Proposal]:
        """Make plans by `context.operator` from `context.parents`, at least one; a proposal is written already.

        Raises:
            ProviderError: no plan could be had.
            ConfigError: this planner cannot work on such a task at all.
        """
        ...


class Coder(Protocol):
    """Writes the file of a plan."""

    async def write(self, context: Context, plan: Plan) -> Proposal:
        """Write `plan`, which was made for the same context.

        Raises:
            ProviderError: no file could be had.
        """
        ...


class Repairer(Protocol):
    """Mends what the gates rejected."""

    async def repair(self, context: Context, failed: Proposal, failure: str) -> Proposal | None:
        """Mend `failed`; `failure` is a gate's sentence or a traceback. None: there is nothing to try.

        Raises:
            ProviderError: no answer could be had.
        """
        ...


class Sketch(Protocol):
    """A design decided on but not yet written; `genotype` is its key and its decisions as JSON."""

    @property
    def genotype(self) -> str: ...

    def quantities(self) -> dict[str, float]:
        """Return what is known of it in numbers, by name."""
        ...

    def proposal(self) -> Proposal:
        """Write it out."""
        ...


@runtime_checkable
class SketchingPlanner(Planner, Protocol):
    """A planner that can say at once, and at next to no cost, what it would propose."""

    def sketch(self, context: Context) -> Sketch:
        """Decide what `plan` would bring for the same context."""
        ...


class Critic(Protocol):
    """Says which plans deserve a training, and puts verdicts into words."""

    async def weigh(self, context: Context, plans: Sequence[Plan]) -> Sequence[float] | None:
        """Return what it expects of each plan, higher is better, on a scale of its own; None: it has no opinion."""
        ...

    async def comment(self, context: Context, candidate: Candidate, score: Score | None, verdict: Verdict) -> Verdict:
        """Return `verdict` with words, perhaps a lesson, added; its numbers and outcome are never changed."""
        ...


class Librarian(Protocol):
    """Keeps the lessons of a campaign."""

    async def revise(self, context: Context, shelf: Shelf) -> Revision | None:
        """Say what the experiments told so far make of the lessons; None: it has nothing to say."""
        ...


@dataclass(frozen=True, kw_only=True)
class Team:
    """The roles of a campaign.

    Without a coder the planner writes its designs out; without a critic nobody comments; without a librarian lessons
    stay as critics left them.
    """

    planner: Planner
    repairer: Repairer
    coder: Coder | None = None
    critic: Critic | None = None
    librarian: Librarian | None = None


class Correspondent(Protocol):
    """Whom a role asks: an endpoint, one of several that was drawn, or what stands in its place."""

    async def chat(self, request: ChatRequest, ledger: Ledger) -> Reply:
        """Answer `request`, from the ledger where that has it.

        Raises:
            ProviderError: there was no answer.
        """
        ...


class Ledger(Protocol):
    """The book of LLM calls; the campaign passes one in that writes to the memory."""

    def find(self, key: str) -> LlmCall | None:
        """Return the call recorded under `key`, so that a resumed campaign never pays twice."""
        ...

    def record(self, call: LlmCall) -> None:
        """Keep `call`, whether it succeeded or not."""
        ...


class Purse(Protocol):
    """What calls may still cost; the campaign passes one in that keeps the caps of its budget."""

    def held(self, role: str, model: str, prompt_tokens: int, answer_tokens: int) -> AbstractAsyncContextManager[None]:
        """Hold the worst case of a call by `role` to `model` while it is made.

        Wait for calls in flight where they decide whether it fits.

        Raises:
            CapReached: on entry, when there is no room for the call.
        """
        ...

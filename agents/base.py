"""The roles: who proposes, who comments, and who keeps the books of what was asked.

Each role has real implementations that need no LLM; the campaign knows these protocols and nothing more.
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Protocol, runtime_checkable

from netwright.types import Candidate, Context, LlmCall, Proposal, Verdict


class Planner(Protocol):
    """Turns a context into a proposal. All randomness comes from the context's `seed`, `attempt` and `draw`."""

    name: str

    async def propose(self, context: Context) -> Proposal:
        """Make one proposal by `context.operator` from `context.parents`.

        Raises:
            ProviderError: no proposal could be had.
            ConfigError: this planner cannot work on such a task at all.
        """
        ...

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
        """Decide what `propose` would write for the same context."""
        ...


class Critic(Protocol):
    """Puts a verdict into words."""

    async def comment(self, context: Context, candidate: Candidate, verdict: Verdict) -> Verdict:
        """Return `verdict` with words, perhaps a lesson, added; its numbers and outcome are never changed."""
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

    def held(self, role: str, prompt_tokens: int, answer_tokens: int) -> AbstractAsyncContextManager[None]:
        """Hold the worst case of a call by `role` while it is made; wait for calls in flight if that decides.

        Raises:
            CapReached: on entry, when there is no room for the call.
        """
        ...

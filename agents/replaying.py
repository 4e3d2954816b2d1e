"""Answers without an endpoint: what a recorded campaign was answered, word for word, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from netwright.agents.base import Ledger
from netwright.agents.chat import ChatRequest, Reply, replayed
from netwright.agents.faults import EndpointError, Fault
from netwright.agents.quoting import one_line
from netwright.errors import CapReached, ReplayError
from netwright.types import LlmCall


class Records(Protocol):
    """The calls of one recorded campaign."""

    @property
    def name(self) -> str:
        """The campaign's name."""
        ...

    @property
    def capped(self) -> bool:
        """Whether it had caps on calls, tokens or money, so that it may not have asked all that it wanted to."""
        ...

    def find(self, key: str) -> LlmCall | None:
        """What came of the call under `key`, be it a failure."""
        ...

    def models(self) -> Sequence[str]:
        """The models that it asked."""
        ...

    def alike(self, role: str, tag: str) -> Sequence[LlmCall]:
        """What a role asked on one occasion."""
        ...


class RecordedEndpoint:
    """Stands where an `Endpoint` stood when the campaign was recorded; it opens no connection.

    Args:
        records: where every reply comes from.
        model: whom the role asked; None: any that the campaign asked.
    """

    def __init__(self, records: Records, model: str | None = None) -> None:
        self._records = records
        self._models = [model] if model is not None else records.models()

    async def chat(self, request: ChatRequest, ledger: Ledger) -> Reply:
        """Answer `request` as it was answered then. `ledger` is not asked: it knows other campaigns too.

        Raises:
            EndpointError: there was no answer then; nobody waits for it again.
            CapReached: it was not asked then, and caps may be why.
            ReplayError: it was not asked then.
        """
        for model in self._models:
            call = self._records.find(request.key(model))
            if call is not None:
                return _as_then(call)
        asked = self._records.alike(request.role, request.tag)
        if self._records.capped and not asked:
            raise CapReached(f"the {request.role} was not asked then", "llm_calls")
        raise ReplayError(
            f"campaign {self._records.name!r} cannot be replayed: it never asked this of its {request.role} "
            f"({request.tag}). {what_differs(request, self._models, asked)}"
        )


def _as_then(call: LlmCall) -> Reply:
    if call.reply is None:
        raise EndpointError(call.error, fault=Fault(call.status))
    return replayed(call)


def what_differs(request: ChatRequest, models: Sequence[str], asked: Sequence[LlmCall]) -> str:
    """Say what most likely is not as it was when the calls `asked` were made on the same occasion."""
    if not asked:
        return (
            "Nothing was asked on that occasion: the design came out differently before, as with another netwright, "
            "other data, or trainings that were repeated on another machine."
        )
    then = next((call for call in asked if call.prompt_sha256 == request.prompt_sha256), asked[0])
    if not {call.model for call in asked} & set(models):
        return f"Then the model {then.model!r} was asked, and now {', '.join(models) or 'none'}."
    if then.prompt_sha256 != request.prompt_sha256:
        return f"The prompt files are others: replay it with the netwright that recorded it.{_line(request, then)}"
    if line := _line(request, then):
        return f"The prompts are the same, what they are filled with is not.{line}"
    return "The messages are the same, so the settings are not: temperature, max_tokens."


def _line(request: ChatRequest, then: LlmCall) -> str:
    """The first line that differs."""
    for number, (now, before) in enumerate(zip(request.messages, then.messages, strict=False), 1):
        lines, old = now["content"].splitlines(), before["content"].splitlines()
        for place in range(max(len(lines), len(old))):
            one, other = (text[place] if place < len(text) else "" for text in (old, lines))
            if one != other:
                where = f"message {number}, line {place + 1}"
                return f" First difference, in {where}: then {one_line(one, 160)!r}, now {one_line(other, 160)!r}."
    if len(request.messages) != len(then.messages):
        return f" Then there were {len(then.messages)} messages, now there are {len(request.messages)}."
    return ""

"""A portrait of a candidate that passed its gates, taken in the same process: what it computes, and by which steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch

from netwright.evaluator.causality import Chain, Subject
from netwright.evaluator.functional import function_of
from netwright.evaluator.probes import Probe
from netwright.evaluator.tracing import trace
from netwright.portrait import Portrait, TracedGraph

_SLOW_SECONDS = 0.5
"""Who takes longer for three rows is not portrayed: the time of the gates is limited."""
_ROWS, _LENGTH, _LAYERS = 1, 8, 2
_TRACE_CHARACTERS_MAX = 40_000

Part = TypeVar("Part")


def portrait(probe: Probe) -> Portrait:
    """Return what can be had of it: nothing that goes wrong here is the candidate's fault, or counts."""
    if probe.forward_seconds > _SLOW_SECONDS:
        return Portrait()
    return Portrait(
        function=_attempted(lambda: function_of(probe.spec, probe.factory, whole=probe.subject.whole)),
        trace=_attempted(lambda: _short_trace(probe.subject)),
    )


def _short_trace(subject: Subject) -> TracedGraph | None:
    """Return the graph of the first two layers on a short row, None where it is too large to be sent."""
    module = subject.module.eval()
    if isinstance(module, Chain):
        module = Chain(list(module.parts)[:_LAYERS], residual=module.residual)
    length = min(_LENGTH, subject.spec.max_len)
    found = trace(module, subject.draw(_ROWS, length, torch.Generator().manual_seed(0), torch.float32))
    if found is not None and len(found.model_dump_json()) > _TRACE_CHARACTERS_MAX:
        found = found.model_copy(update={"modules": (), "owners": ()})  # who compares designs does without
    return found if found is not None and len(found.model_dump_json()) <= _TRACE_CHARACTERS_MAX else None


def _attempted(take: Callable[[], Part | None]) -> Part | None:
    try:
        return take()
    except Exception:  # noqa: BLE001 - the border to the candidate, which has already passed
        return None

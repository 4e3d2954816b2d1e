"""Whether a candidate stays as it is: the same answer to the same question, and no training of its own."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from netwright.evaluator.causality import to_float64
from netwright.evaluator.forms import loss_of
from netwright.types import JsonDict, TaskSpec

STILL = 1e-4
"""Relative movement up to here is rounding."""
_SAME = 1e-5


def repeated_calls(module: nn.Module, x: Tensor, other: Tensor) -> tuple[JsonDict, str]:
    """Ask `x` twice, then `other`, then `x` again; return the differences and what is wrong with them, or ""."""
    with torch.no_grad():
        first = to_float64(module(x.clone()))
        second = to_float64(module(x.clone()))
        module(other)
        third = to_float64(module(x.clone()))
    scale = float(first.abs().max()) + 1e-30
    again, later = float((first - second).abs().max()), float((first - third).abs().max())
    evidence: JsonDict = {"same_call": again, "after_another_call": later}
    if again / scale > _SAME:
        return evidence, (
            f"the same input twice in eval mode gave outputs {again:.3g} apart: draw no random numbers in eval mode "
            "and keep no state between calls"
        )
    if later / scale > _SAME:
        return evidence, f"outputs changed by {later:.3g} after a call with other inputs: keep no state between calls"
    return evidence, ""


def moves_by_itself(
    network: nn.Module, first: tuple[Tensor, Tensor], second: tuple[Tensor, Tensor], spec: TaskSpec
) -> tuple[str, float]:
    """Return the trained parameter that moves most without an optimizer, and how far, relative to its size.

    Passes two batches, inputs and targets, forward and back. Counted from the second on: honest code may bring its
    weights to a norm before it uses them.
    """
    _pass_through(network, first, spec)
    trained = [(name, p) for name, p in network.named_parameters() if p.requires_grad and p.numel()]
    before = [p.detach().clone() for _, p in trained]
    _pass_through(network, second, spec)
    moved = [
        (float((p.detach() - old).abs().max()) / (float(old.abs().max()) + 1e-3), name)
        for (name, p), old in zip(trained, before, strict=True)
    ]
    most, name = max(moved, default=(0.0, ""))
    return name, most


def _pass_through(network: nn.Module, batch: tuple[Tensor, Tensor], spec: TaskSpec) -> None:
    inputs, targets = batch
    loss_of(network(inputs).float(), targets, spec).backward()  # type: ignore[no-untyped-call]

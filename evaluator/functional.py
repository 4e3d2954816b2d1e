"""A fingerprint of the function that a candidate computes and of where its training begins, not of how it is written.

Two designs with the same fingerprint have parameters of the same shapes, which begin alike, and for the same inputs
and parameters they give the same outputs and gradients; names, order of definition and equal rewrites do not show.

Every random draw, of initial weights or of dropout, starts from the same seed, so that it does not depend on what was
drawn before. Each parameter is its initial value and noise. In a first pass all parameters of one shape get the same
noise: the gradients tell them apart by the part they play. In the second pass each gets noise by its rank among those
of its shape; the fingerprint is a hash of a few projections of outputs (evaluation and training) and gradients.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from netwright.evaluator.backbone import build_network, candidate_parts
from netwright.evaluator.causality import Chain, Subject, to_float64
from netwright.types import Scope, TaskSpec

_SEED = 11
_NOISE = 0.3
_SHORT = 16
"""Positions that tell what part each parameter plays, and whether evaluation differs from training."""
_OUTPUT_PROJECTIONS = 6
_DIGITS = {torch.float64: 6, torch.float32: 4}
"""Kept of numbers, by the precision in which they were computed: far from what rounding may change."""


def function_of(spec: TaskSpec, factory: type[nn.Module], *, whole: bool) -> str | None:
    """Return the fingerprint (hex) of the candidate's layers, or of the `whole` network; None where it is not finite.

    Raises: whatever the candidate does in a forward or backward pass.
    """
    with _SteadyDraws():  # type: ignore[no-untyped-call]
        subject = _fresh(spec, factory, whole=whole)
    short = min(spec.max_len, _SHORT)
    dtype, weights, gradients, draws = _ranking_pass(subject, short)
    digits = _DIGITS[dtype]
    weights.rank(gradients, digits)
    weights.draw()
    trained, gradients = _training_pass(subject, _inputs(subject, spec.max_len, dtype), draws if draws.any else None)
    with torch.no_grad():
        evaluated = to_float64(subject.module.eval()(_inputs(subject, short, dtype)))
    if not all(bool(torch.isfinite(each).all()) for each in (evaluated, trained, *gradients)):
        return None
    outputs = [_told(each, digits, _OUTPUT_PROJECTIONS) for each in (evaluated, trained)]
    return hashlib.sha256(f"{digits} {outputs} {weights.told(gradients, digits)}".encode()).hexdigest()


class _SteadyDraws(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Begins every random draw from the same seed: what is drawn depends on shape and distribution alone.

    Also notes whether there was any, and whether all that is computed is double.
    """

    any, double_only = False, True

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if torch.Tag.nondeterministic_seeded in func.tags:
            self.any = True
            torch.default_generator.manual_seed(_SEED)
        result = func(*args, **(kwargs or {}))
        if isinstance(result, Tensor) and result.is_floating_point() and result.dtype is not torch.float64:
            self.double_only = False
        return result


class _Weights:
    """The parameters of a module, where they began, and which of those of one shape each is."""

    def __init__(self, module: nn.Module) -> None:
        self._parameters = list(module.parameters())
        self._starts = [parameter.detach().clone() for parameter in self._parameters]
        self._ranks = [0] * len(self._parameters)

    def draw(self) -> None:
        """Give each parameter its start and noise by shape and rank; as much noise as keeps a product in range."""
        with torch.no_grad():
            for parameter, start, rank in zip(self._parameters, self._starts, self._ranks, strict=True):
                spread = _NOISE / max(parameter.shape[-1], 1) ** 0.5 if parameter.dim() > 1 else _NOISE
                noise = torch.randn(parameter.shape, generator=_generator(rank))
                parameter.copy_(start + spread * noise.to(start.dtype))

    def rank(self, gradients: Sequence[Tensor], digits: int) -> None:
        """Order the parameters of each shape by their gradients; equals stay as they are, for they play equal parts."""
        seen: Counter[tuple[int, ...]] = Counter()
        parts = [_told(gradient, digits) for gradient in gradients]
        for place in sorted(range(len(parts)), key=lambda place: parts[place]):
            shape = tuple(self._parameters[place].shape)
            self._ranks[place] = seen[shape]
            seen[shape] += 1

    def told(self, gradients: Sequence[Tensor], digits: int) -> list[tuple[tuple[int, ...], int, str]]:
        """Return what is said of each parameter: shape, rank and gradient."""
        return sorted(
            (tuple(parameter.shape), rank, _told(gradient, digits))
            for parameter, rank, gradient in zip(self._parameters, self._ranks, gradients, strict=True)
        )


def _fresh(spec: TaskSpec, factory: type[nn.Module], *, whole: bool) -> Subject:
    if whole:
        return Subject(build_network(spec, factory), spec, whole=True)
    chain = Chain(candidate_parts(spec, factory), residual=spec.scope is Scope.MIXER)
    return Subject(chain, spec, whole=False)


class _Ranking(NamedTuple):
    """A first pass: in which precision, with which weights, what gradients they got, and what was drawn."""

    dtype: torch.dtype
    weights: _Weights
    gradients: list[Tensor]
    draws: _SteadyDraws


def _ranking_pass(subject: Subject, length: int) -> _Ranking:
    """Pass where the weights of a shape are alike: in double, where the candidate computes in it throughout."""
    try:
        found = _first_pass(subject, length, torch.float64)
    except (RuntimeError, TypeError, ValueError, AssertionError):
        return _first_pass(subject, length, torch.float32)
    return found if found.draws.double_only else _first_pass(subject, length, torch.float32)


def _first_pass(subject: Subject, length: int, dtype: torch.dtype) -> _Ranking:
    weights, draws = _Weights(subject.module.to(dtype)), _SteadyDraws()  # type: ignore[no-untyped-call]
    weights.draw()
    return _Ranking(dtype, weights, _training_pass(subject, _inputs(subject, length, dtype), draws)[1], draws)


def _training_pass(subject: Subject, x: Tensor, draws: _SteadyDraws | None) -> tuple[Tensor, list[Tensor]]:
    """Return the output of a call in training mode and the gradients of a fixed sum of it, zero where there is none."""
    parameters = list(subject.module.parameters())
    with draws or contextlib.nullcontext():
        y = subject.module.train()(x)
    weights = torch.randn(y.shape, generator=_generator(0)).to(y.dtype)
    asked = [each for each in parameters if each.requires_grad]
    found = iter(torch.autograd.grad((y * weights).sum(), asked, allow_unused=True))
    gradients = [next(found) if each.requires_grad else None for each in parameters]
    return to_float64(y), [
        torch.zeros_like(each) if gradient is None else gradient
        for each, gradient in zip(parameters, gradients, strict=True)
    ]


def _inputs(subject: Subject, length: int, dtype: torch.dtype) -> Tensor:
    return subject.draw(1, length, _generator(0), dtype)


def _generator(rank: int) -> torch.Generator:
    return torch.Generator().manual_seed(_SEED + rank)


def _told(tensor: Tensor, digits: int, projections: int = 1) -> str:
    """Return shape, size and a few projections of a tensor, rounded against its size."""
    flat = to_float64(tensor).flatten()
    size = float(flat.norm())
    axes = torch.randn(projections, len(flat), generator=_generator(1)).double()
    shadows = (axes @ flat / size).tolist() if size else [0.0]
    return f"{tuple(tensor.shape)} {size:.{digits - 1}e} {[round(each, digits) + 0.0 for each in shadows]}"

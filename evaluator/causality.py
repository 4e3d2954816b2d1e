"""How strongly outputs depend on inputs that they must not see: the arithmetic of the causality gates.

A leak is told from rounding by its behaviour, not only by its size: honest arithmetic that mixes all
times internally (FFT convolution) shows differences near its precision that do not shrink with the change
of the input, while the effect of a leak does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from netwright.evaluator.forms import random_inputs
from netwright.evaluator.seeding import seed_all
from netwright.types import Scope, TaskSpec

EXACT = {torch.float64: 1e-9, torch.float32: 1e-5}
"""Relative differences up to here need no explanation."""
ROUNDING_MAX = 1e-3
"""Relative differences beyond this are never rounding."""
REORDERING_MAX, REORDERING_MAX_16_BITS = 1e-4, 3e-2
"""What summing in another order may change, relatively."""
_SMALL_STEP = 1e-4
_SHRINKS = 0.2

Run = Callable[[Tensor], Tensor]


class Chain(nn.Module):
    """The candidate's own layers alone, (B, T, D) -> (B, T, D); what surrounds them in the network is causal.

    With `residual` each layer sees normalised input and adds to a stream, as in the backbone.
    """

    def __init__(self, parts: Sequence[nn.Module], *, residual: bool) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)
        self.residual = residual

    def forward(self, x: Tensor) -> Tensor:
        for part in self.parts:
            x = x + part(F.rms_norm(x, (x.shape[-1],))) if self.residual else part(x)
        return x


@dataclass(frozen=True)
class Subject:
    """What is probed: a chain of layers fed with floats, or a `whole` network fed as the task feeds it."""

    module: nn.Module
    spec: TaskSpec
    whole: bool

    @classmethod
    def of_network(cls, network: nn.Module, factory: type[nn.Module], spec: TaskSpec) -> Subject:
        """Take the candidate's layers out of a built network; a candidate of scope `model` is the network."""
        parts = [module for module in network.modules() if type(module) is factory]
        if spec.scope is Scope.MODEL or len(parts) != spec.layers:
            return cls(network, spec, whole=True)
        return cls(Chain(parts, residual=spec.scope is Scope.MIXER), spec, whole=False)

    def draw(self, rows: int, length: int, generator: torch.Generator, dtype: torch.dtype) -> Tensor:
        """Draw random inputs: the network's, or floats (B, T, D) for the chain."""
        if self.whole:
            return random_inputs(self.spec, rows, length, generator)
        return torch.randn(rows, length, self.spec.dim, generator=generator, dtype=torch.float64).to(dtype)


@dataclass(frozen=True)
class Trace:
    """The largest forbidden effect that one test found.

    `size` is absolute, `relative` is against the largest output; `position` is where it was seen and
    `boundary` the first input that was changed.
    """

    size: float = 0.0
    relative: float = 0.0
    position: int = -1
    boundary: int = -1


class StatefulRun:
    """Runs a module repeatably: the same random numbers and buffers before every call, no gradient."""

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self._buffers = [(buffer, buffer.clone()) for buffer in module.buffers()]

    def __call__(self, x: Tensor) -> Tensor:
        seed_all(7)
        with torch.no_grad():
            for buffer, saved in self._buffers:
                buffer.copy_(saved)
            return to_float64(self.module(x.clone()))


def to_float64(y: Tensor) -> Tensor:
    """Return the values as real float64; complex numbers become pairs."""
    return (torch.view_as_real(y) if y.is_complex() else y).detach().to(torch.float64)


def splice(x: Tensor, donor: Tensor, boundary: int) -> Tensor:
    """Return `x` (B, T, ...) with the donor's values from `boundary` on."""
    return torch.cat([x[:, :boundary], donor[:, boundary:]], dim=1)


def nudged(x: Tensor, donor: Tensor) -> Tensor | None:
    """Return a donor very close to `x`; tokens have no neighbours, so None for them."""
    return x + _SMALL_STEP * (donor - x) if x.is_floating_point() else None


def perturb_suffix(run: Run, x: Tensor, donor: Tensor, boundaries: Sequence[int], *, stacked: bool) -> Trace:
    """Change everything from each boundary on and return the largest effect on what comes before it.

    `x` and `donor` are (1, T, ...). `stacked` asks all variants in one call, as rows of a batch.
    """
    variants = [x, *(splice(x, donor, boundary) for boundary in boundaries)]
    answers = list(torch.split(run(torch.cat(variants)), 1)) if stacked else [run(variant) for variant in variants]
    base = answers[0]
    traces = [
        _trace(base[:, :boundary], answer[:, :boundary], answer, boundary)
        for answer, boundary in zip(answers[1:], boundaries, strict=True)
    ]
    return max(traces, key=lambda trace: trace.relative)


def _trace(base: Tensor, other: Tensor, whole: Tensor, boundary: int) -> Trace:
    if not (torch.isfinite(base).all() and torch.isfinite(whole).all()):
        return Trace()
    # What is answered to a row as a whole, (B, C), stands at one position.
    apart = (base - other).abs()
    difference = (apart[:, None] if apart.dim() == 2 else apart).flatten(2).amax(dim=(0, 2))
    size, position = difference.max(dim=0)
    scale = max(float(whole.abs().max()), float(base.abs().max()), 1e-30)
    return Trace(float(size), float(size) / scale, int(position), boundary)


def future_effect(
    run: Run,
    x: Tensor,
    donor: Tensor,
    boundaries: Sequence[int],
    *,
    stacked: bool,
    rounding_max: float = ROUNDING_MAX,
) -> Trace | None:
    """Return the effect of the future on the past, or None where there is none beyond rounding.

    Differences up to `rounding_max` are leaks only if they shrink when the input changes less.
    """
    found = perturb_suffix(run, x, donor, boundaries, stacked=stacked)
    precision = x.dtype if x.is_floating_point() else torch.float32
    if found.relative <= EXACT[precision]:
        return None
    close = nudged(x, donor)
    if close is None:
        return found if found.relative > ROUNDING_MAX else None
    if found.relative > rounding_max:
        return found
    again = perturb_suffix(run, x, close, [found.boundary], stacked=stacked)
    return found if again.relative < _SHRINKS * found.relative else None


def gradient_effect(module: nn.Module, x: Tensor, positions: Sequence[int]) -> Trace | None:
    """Return the gradient of an output with respect to later inputs, or None where it vanishes.

    `x` is (B, T, D) with one of `positions` per row.
    """
    seed_all(7)
    inputs = x.clone().requires_grad_(True)
    # A candidate may work in place on what it is given, which autograd forbids for a leaf.
    y = module(inputs * 1.0)
    weights = torch.linspace(0.5, 1.5, y.shape[-1], dtype=y.dtype)
    total = sum((y[row, position] * weights).sum() for row, position in enumerate(positions))
    if not (isinstance(total, Tensor) and total.requires_grad):
        return None
    (gradient,) = torch.autograd.grad(total.real if total.is_complex() else total, inputs, allow_unused=True)
    if gradient is None or not torch.isfinite(gradient).all():
        return None
    traces = [_late_gradient(gradient[row].abs().amax(dim=-1), at) for row, at in enumerate(positions)]
    worst = max(traces, key=lambda trace: trace.relative)
    return worst if worst.relative > (1e-6 if x.dtype == torch.float64 else 1e-4) else None


def _late_gradient(per_position: Tensor, position: int) -> Trace:
    late = per_position[position + 1 :]
    size, offset = late.max(dim=0)
    return Trace(
        float(size),
        float(size) / max(float(per_position.max()), 1e-30),
        position,
        position + 1 + int(offset),
    )


class _LowPrecision(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes whether any operation gives 16-bit floats."""

    seen = False

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        result = func(*args, **(kwargs or {}))
        self.seen |= isinstance(result, Tensor) and result.dtype in (torch.bfloat16, torch.float16)
        return result


def _beyond_rounding(found: Trace, run: Run, x: Tensor) -> Trace | None:
    """Return the trace unless another order of summation explains it; calls of other shapes sum in other orders.

    In 16 bits a difference of one last digit can flip a rounding and show as a hundredth.
    """
    if found.relative <= REORDERING_MAX:
        return None
    with _LowPrecision() as watched:  # type: ignore[no-untyped-call]
        run(x[:1])
    return found if found.relative > (REORDERING_MAX_16_BITS if watched.seen else REORDERING_MAX) else None


def length_effect(run: Run, x: Tensor, lengths: Sequence[int]) -> Trace | None:
    """Return how much outputs change when the input ends earlier, or None where they do not."""
    base = run(x)
    traces = []
    for length in lengths:
        short = run(x[:, :length])
        traces.append(_trace(base[:, :length], short, base, length))
    return _beyond_rounding(max(traces, key=lambda trace: trace.relative), run, x)


def row_effect(run: Run, x: Tensor, donor: Tensor) -> Trace | None:
    """Return how much row 0 changes when the other rows do, or None where it does not."""
    base = run(x)
    changed = run(torch.cat([x[:1], donor[1:]]))
    return _beyond_rounding(_trace(base[:1], changed[:1], base, 0), run, x)


def order_effect(run: Run, x: Tensor) -> Trace | None:
    """Return how much a row's output depends on its place in the batch or on being alone, or None."""
    base = run(x)
    turned = run(x.flip(0)).flip(0)
    alone = run(x[:1])
    worst = max(_trace(base, turned, base, 0), _trace(base[:1], alone, base, 0), key=lambda t: t.relative)
    return _beyond_rounding(worst, run, x)


def redraw(module: nn.Module, scale: float, generator: torch.Generator) -> None:
    """Draw all parameters anew.

    Opens what is closed at initialisation. Matrices by fan-in, the rest as it is.
    """
    with torch.no_grad():
        for parameter in module.parameters():
            spread = scale / max(parameter.shape[-1], 1) ** 0.5 if parameter.dim() > 1 else scale
            noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            parameter.copy_(spread * noise)


def bait(subject: Subject, generator: torch.Generator, *, steps: int, length: int) -> None:
    """Train briefly on a task whose only signal is the future: to output at t the random input at t+1."""
    module = subject.module.train()
    parameters = [p for p in module.parameters() if p.requires_grad]
    if not parameters:
        return
    optimizer = torch.optim.Adam(parameters, lr=1e-2)
    seed_all(7)
    for _ in range(steps):
        x = subject.draw(4, length, generator, torch.float32)
        y = module(x.clone())
        loss = _bait_loss(y[:, :-1], x[:, 1:])
        if not (loss.requires_grad and torch.isfinite(loss)):
            return
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()


def _bait_loss(y: Tensor, future: Tensor) -> Tensor:
    if future.is_floating_point():
        return F.mse_loss(y.float(), future)
    return F.cross_entropy(y.flatten(0, 1).float(), future.flatten())

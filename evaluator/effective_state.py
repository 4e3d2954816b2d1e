"""How much a sequence mixer carries from the past to the future: the rank of the Jacobian between them.

    J = d outputs[i:] / d inputs[:i]          ((T - i) D, i D) at a random input, i = T // 2

Whatever computes the outputs from i on has to get all that it knows of earlier inputs through a state s at i, so that
J = (d outputs / d s) (d s / d inputs), and rank J is at most the size of s: a lower bound of what any step-by-step form
of the mixer has to store. For a linear operator it is the exact minimum (Kalman's minimal realisation).

Source: Parnichkun et al. 2025, "Quantifying Memory Utilization with Effective State-Size" (arXiv:2504.19561), where the
operator T(u) of an input-varying linear map stands in the place of the Jacobian; its tolerance ESS counts singular
values above a threshold, as here. The Jacobian also covers what is not of the form T(u) u, and sees the dependence of
T on the past.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from netwright.measures import PROBE_DIM, PROBE_HEADS

LENGTHS = (32, 64, 128)
TOLERANCE = 1e-5
"""Singular values below this share of the largest do not count; what a mixer computes in float32 is noise below it."""
NUDGE = 0.02
"""Standard deviation of what is added to each parameter, so that gates and projections that begin at zero take part."""
ROWS_PER_CALL = 64


def layer_states(factory: Callable[..., nn.Module], length: int, layers: int) -> tuple[int, ...]:
    """Return the rank for each of the layers that `factory` (a candidate's Mixer or Block) makes.

    Raises:
        ValueError: a derivative is not finite.
    """
    ranks = []
    with _double_precision():
        for layer in range(layers):
            torch.manual_seed(layer)
            part = factory(dim=PROBE_DIM, heads=PROBE_HEADS, max_len=length, layer=layer, layers=layers).double().eval()
            with torch.no_grad():
                for parameter in part.parameters():
                    parameter.add_(NUDGE * torch.randn_like(parameter))
            ranks.append(rank_between(part, torch.randn(length, PROBE_DIM)))
    return tuple(ranks)


def rank_between(mixer: nn.Module, inputs: Tensor) -> int:
    """Return the numerical rank of d outputs[T // 2:] / d inputs[:T // 2] at `inputs` (T, D).

    Raises:
        ValueError: a derivative is not finite.
    """
    jacobian = past_to_future(mixer, inputs)
    if not torch.isfinite(jacobian).all():
        raise ValueError("a derivative of the outputs is not finite")
    sizes = torch.linalg.svdvals(jacobian)
    return int((sizes > TOLERANCE * sizes[0]).sum())


def past_to_future(mixer: nn.Module, inputs: Tensor) -> Tensor:
    """Return J, ((T - i) D, i D). A batch holds equal rows, and each gives the gradient of one output."""
    length, dim = inputs.shape
    middle = length // 2
    chosen = torch.arange((length - middle) * dim)
    gradients = []
    for numbers in torch.split(chosen, ROWS_PER_CALL):
        rows = inputs.expand(len(numbers), length, dim).clone().requires_grad_()
        future = mixer(rows)[:, middle:].reshape(len(numbers), -1)
        (gradient,) = torch.autograd.grad(future.gather(1, numbers[:, None]).sum(), rows)
        gradients.append(gradient[:, :middle].reshape(len(numbers), -1))
    return torch.cat(gradients)


@contextmanager
def _double_precision() -> Iterator[None]:
    """Compute in float64, tensors that a mixer makes on its way included."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(before)

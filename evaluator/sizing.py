"""The arithmetic of the sizing rule: what a mixer may cost, and what is left for the channel MLPs.

    parameters = 2 V D + D            embedding, head, final norm
               + L D (2 + K)          two norms and a short convolution (kernel K) per layer
               + L 2 D H              channel MLPs of hidden width H, the one free number
               + D (T + 2 E D)        the decoder of a task that is answered with a code: T places, an MLP of width E D
               + mixers

Pure: the trusted side uses it without importing torch.
"""

from __future__ import annotations

from netwright.types import TaskSpec

CONVOLUTION_KERNEL = 4
DECODER_WIDTH = 2
"""Hidden width of the decoder's MLP, in model widths."""
SIZE_TOLERANCE = 0.02
"""How far the parameter count of a network may be from the budget, as a share of it."""


def parameters_max(spec: TaskSpec) -> int:
    """Return the most parameters that a network may have, in 32-bit scalars."""
    return int(spec.parameters * (1 + SIZE_TOLERANCE))


def hidden_width(spec: TaskSpec, mixer_parameters: int) -> int:
    """The MLP width that brings a network with mixers of so many parameters closest to the budget."""
    room = spec.parameters - fixed_parameters(spec) - mixer_parameters
    return round(room / _parameters_per_hidden_unit(spec))


def least_hidden(spec: TaskSpec) -> int:
    """The narrowest MLP that is still one."""
    return spec.dim // 4


def mixer_allowance(spec: TaskSpec) -> int:
    """The most parameters that each of the mixers may have on average, so that an MLP of least width still fits."""
    room = spec.parameters - fixed_parameters(spec) - _parameters_per_hidden_unit(spec) * least_hidden(spec)
    return room // spec.layers


def fixed_parameters(spec: TaskSpec) -> int:
    """Return what the backbone has beside mixers and MLPs."""
    ends = 2 * spec.vocab_size * spec.dim + spec.dim
    if spec.answers == "code":
        ends += spec.dim * (spec.max_len + 2 * DECODER_WIDTH * spec.dim)
    return ends + spec.layers * spec.dim * (2 + CONVOLUTION_KERNEL)


def _parameters_per_hidden_unit(spec: TaskSpec) -> int:
    return 2 * spec.dim * spec.layers

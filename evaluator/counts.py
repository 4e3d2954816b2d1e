"""What a network costs, counted rather than timed."""

from __future__ import annotations

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from netwright.evaluator.backbone import build_network
from netwright.types import TaskSpec


def parameter_count(network: nn.Module) -> int:
    """Return the number of scalars in the parameters, shared ones once."""
    return sum(parameter.numel() for parameter in network.parameters())


def flops_per_token(spec: TaskSpec, factory: type[nn.Module]) -> float | None:
    """Return `flops_per_row` per token; a row of numbers counts as one."""
    flops = flops_per_row(spec, factory)
    return None if flops is None else flops / spec.max_len


def flops_per_row(spec: TaskSpec, factory: type[nn.Module]) -> float | None:
    """Return the multiply-adds x 2 of one forward pass of a row, from matrix products and convolutions.

    Counted on meta tensors: on CPU the counter misses fused attention. None where the candidate cannot be built or run
    without data. Advisory: element-wise work is not in it, and the candidate's process does the counting.
    """
    try:
        with torch.device("meta"):
            network = build_network(spec, factory).eval()
            tokens = spec.inputs == "tokens"
            inputs = torch.zeros(1, spec.max_len, dtype=torch.int64) if tokens else torch.zeros(1, *spec.input_shape)
        with torch.device("meta"), torch.no_grad(), FlopCounterMode(display=False) as counter:
            network(inputs)
    # A candidate may do anything on meta tensors, and the figure is optional.
    except Exception:  # noqa: BLE001
        return None
    return float(counter.get_total_flops())

"""What a token takes of a network, as the candidate's own process finds out: seconds timed, operations counted.

    warm-up steps, timed steps ─▶ seconds        a forward pass on a training batch, one on meta tensors ─▶ operations

Everything here is on the untrusted side: what comes of it is a claim, and the training is held against it.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

from netwright.evaluator.backbone import build_network
from netwright.evaluator.execution import Forward
from netwright.evaluator.forms import to_inputs
from netwright.evaluator.protocol import TIMED_STEPS, WARM_UP_STEPS
from netwright.evaluator.tasks.base import Batch
from netwright.evaluator.training import batch_loss, make_optimizer, train_step
from netwright.types import Recipe, TaskSpec


def seconds_per_step(
    network: nn.Module, batches: Iterator[Batch], spec: TaskSpec, recipe: Recipe, forward: Forward | None = None
) -> float:
    """Train `network` for a few steps; return the lower quartile of what they took: load makes steps slower alone.

    `forward` is how its answers are computed, see `train`.

    On CPU seconds are those that the process computed, elsewhere those of the clock.
    """
    clock = time.process_time if spec.device == "cpu" else time.perf_counter
    optimizer = make_optimizer(network, recipe)
    network.train()
    compute = network if forward is None else forward
    ticks = []
    for _ in range(WARM_UP_STEPS + TIMED_STEPS):
        train_step(network, optimizer, batch_loss(compute, next(batches), spec), recipe)
        ticks.append(clock())
    steps = [end - begun for begun, end in pairwise(ticks[WARM_UP_STEPS - 1 :])]
    return statistics.quantiles(steps, n=4)[0]


def operations_per_token(network: nn.Module, factory: type[nn.Module], batch: Batch, spec: TaskSpec) -> float:
    """Return the operations of a forward pass per token: what is counted on a training batch, or on meta tensors.

    The larger counts, for each misses something: on CPU the counter does not look into an LSTM, and on meta tensors
    not every candidate can be run.
    """
    real = operations(network, to_inputs(batch.inputs, spec, spec.device)) / (len(batch) * spec.max_len)
    return max(real, _meta_operations(spec, factory) / spec.max_len)


def operations(network: nn.Module, inputs: Tensor) -> float:
    """Return the operations of one forward pass.

    Matrix products, convolutions and attention as torch counts them (two for a multiplication with its addition), and
    one for each element that anything else reads or writes, whichever is more. Views are free.
    """
    with _Elements() as others, FlopCounterMode(display=False, custom_mapping=_CPU_ATTENTION) as products:
        network(inputs)
    return float(products.get_total_flops() + others.elements)


def _meta_operations(spec: TaskSpec, factory: type[nn.Module]) -> float:
    """Return the operations of one row, counted without data; 0 where a candidate cannot do without."""
    try:
        with torch.device("meta"), torch.no_grad():
            network = build_network(spec, factory).eval()
            tokens = spec.inputs == "tokens"
            inputs = torch.zeros(1, spec.max_len, dtype=torch.int64) if tokens else torch.zeros(1, *spec.input_shape)
            return operations(network, inputs)
    # A candidate may do anything on meta tensors, and the count on real ones is there.
    except Exception:  # noqa: BLE001
        return 0.0


def _attention_flops(query: tuple[int, ...], key: tuple[int, ...], value: tuple[int, ...], *_: Any, **__: Any) -> int:
    flops: int = sdpa_flop_count(query, key, value)  # type: ignore[no-untyped-call]
    return flops


_CPU_ATTENTION = {torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention_flops}
"""What torch's counter has no formula for: attention as the CPU computes it."""


class _Elements(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the elements that are touched where torch has no formula: element-wise work, sums, scans."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.elements = 0
        self._counted = {*FlopCounterMode(display=False).flop_registry, *_CPU_ATTENTION}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if func.overloadpacket not in self._counted and not _is_view(func):
            read = _elements(args)
            self.elements += max(read, _elements(out)) if read else 0
        return out


def _is_view(func: Any) -> bool:
    returned = func._schema.returns
    return any(each.alias_info is not None and not each.alias_info.is_write for each in returned)


def _elements(value: Any) -> int:
    """Return the elements of the largest tensor in arguments or results."""
    if isinstance(value, Tensor):
        return value.numel()
    return max(map(_elements, value), default=0) if isinstance(value, list | tuple) else 0

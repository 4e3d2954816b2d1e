"""How a step of training is computed, on the untrusted side: in which precision, and compiled or as it stands.

    first batch ─▶ rehearsal in bf16 ─✗▶ float32       then      rehearsal, compiled ─✗▶ as it stands

A rehearsal is a step without an optimizer, forward and backward, that leaves no trace: weights, buffers and random
generators are afterwards what they were. An architecture that cannot be computed in one way is trained in the next,
and the training says why. Float32 as it stands needs no rehearsal: whatever it raises is the result.

bf16: matrix products and convolutions in bf16, what needs range (norms, exponentials, sums) in float32, as torch's
autocast has it; weights, gradients and optimizer stay in float32, and so do softmax and loss over the answers.
Source: Micikevicius et al. 2018, "Mixed Precision Training", arXiv:1710.03740; bf16 has the range of float32, so that
losses need no scaling (Kalamkar et al. 2019, arXiv:1905.12322).
tf32: float32 everywhere, matrix products with 10 bits of mantissa.
"""

from __future__ import annotations

import contextlib
import math
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence

import torch
import torch._inductor.config
from torch import Tensor, nn
from torch import compile as torch_compile  # what candidates are given in its place compiles nothing

from netwright.evaluator.forms import loss_of, to_inputs, to_targets
from netwright.evaluator.loading import describe_error
from netwright.evaluator.tasks.base import Batch
from netwright.types import DeviceKind, JsonDict, Precision, TaskSpec

Forward = Callable[[Tensor], Tensor]
"""From inputs to answers: a network, or a network in one of the ways here."""
WHY_CHARACTERS = 300
COMPILED_APART = 0.05
"""How far answers of a compiled network may be from those of the network as it stands, relative to their size."""


def allow_tf32(allowed: bool) -> None:
    """Let CUDA compute products of float32 matrices, and convolutions, in tf32, or not."""
    torch.set_float32_matmul_precision("high" if allowed else "highest")
    torch.backends.cudnn.allow_tf32 = allowed


def autocast(precision: Precision, device: DeviceKind) -> contextlib.AbstractContextManager[object]:
    """Return the context in which networks answer in that precision."""
    return torch.autocast(device, dtype=torch.bfloat16) if precision == "bf16" else contextlib.nullcontext()


def forward_of(network: nn.Module, precision: Precision, device: DeviceKind, backend: str = "") -> Forward:
    """Return the network computing that way, with answers in float32; `backend` is that of torch.compile."""
    compute = _compiled(network, backend, device) if backend else network
    if precision != "bf16":
        return compute

    def forward(inputs: Tensor) -> Tensor:
        with autocast(precision, device):
            answers: Tensor = compute(inputs)
        return answers.float()

    return forward


def fitting_precision(network: nn.Module, batch: Batch, spec: TaskSpec) -> tuple[Precision, JsonDict]:
    """Return the task's precision, or float32 where the network cannot be trained in it, and what is to be told.

    Told are `precision` and, where it is not the task's, why as `not_in_bf16`.
    """
    if spec.precision != "bf16":
        return spec.precision, {"precision": spec.precision}
    try:
        _rehearse(network, forward_of(network, "bf16", spec.device), batch, spec)
    # The border to the candidate, which may need whatever torch has no kernel for.
    except Exception as error:  # noqa: BLE001
        return "float32", {"precision": "float32", "not_in_bf16": _why(error)}
    return "bf16", {"precision": "bf16"}


def compiled(
    network: nn.Module, batch: Batch, spec: TaskSpec, precision: Precision, backends: Sequence[str]
) -> tuple[Forward, JsonDict]:
    """Return the network compiled by the first of `backends` that can, or as it stands, and what is to be told.

    Told are `backend` and `compile_seconds`, or else why it is as it stands as
    `not_compiled`.
    """
    as_it_stands = forward_of(network, precision, spec.device)
    told: JsonDict = {}
    for backend in backends:
        begun = time.perf_counter()
        try:
            forward = forward_of(network, precision, spec.device, backend)
            _rehearse(network, forward, batch, spec)
            problem = _apart(network, forward, as_it_stands, batch, spec)
        # Compilers fail in as many ways as there are architectures.
        except Exception as error:  # noqa: BLE001
            problem = _why(error)
        if not problem:
            return forward, {"backend": backend, "compile_seconds": time.perf_counter() - begun}
        told = {"not_compiled": f"{backend}: {problem}"[:WHY_CHARACTERS]}
        torch.compiler.reset()
    return as_it_stands, told


def keep_to(folder: str) -> None:
    """Let compilers of this process write to `folder` alone, and compile here and not in helpers that outlive it.

    Who could write to a cache that others read could run code in their place.
    """
    caches = {name: folder for name in ("TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR", "TMPDIR")}
    os.environ.update(caches | {"TORCHINDUCTOR_COMPILE_THREADS": "1"})
    tempfile.tempdir = folder
    torch._inductor.config.compile_threads = 1


def _compiled(network: nn.Module, backend: str, device: DeviceKind) -> Forward:
    if backend != "inductor":
        return torch_compile(network, backend=backend, dynamic=False)
    # Small networks wait for the next kernel more than for any of them: on CUDA a graph launches all at once.
    mode = "reduce-overhead" if device == "cuda" else "default"
    return torch_compile(network, mode=mode, dynamic=False)


def _rehearse(network: nn.Module, forward: Forward, batch: Batch, spec: TaskSpec) -> None:
    """Take a step through `forward` without an optimizer; what it raises is for the caller."""
    network.train()
    inputs, targets = to_inputs(batch.inputs, spec, spec.device), to_targets(batch.targets, spec, spec.device)
    with _no_trace(network, spec.device):
        loss_of(forward(inputs), targets, spec).backward()  # type: ignore[no-untyped-call]


def _apart(network: nn.Module, forward: Forward, as_it_stands: Forward, batch: Batch, spec: TaskSpec) -> str:
    """Return how far answers of a compiled network are off, or ""; what draws random numbers is not held to it."""
    inputs = to_inputs(batch.inputs, spec, spec.device)
    with _no_trace(network, spec.device):
        drawn = _generators(spec.device)
        expected = as_it_stands(inputs).detach()
        if not all(map(torch.equal, drawn, _generators(spec.device))):
            return ""
    with _no_trace(network, spec.device):
        found = forward(inputs).detach()
    off, size = float((found - expected).norm()), float(expected.norm())
    if math.isfinite(size) and not off <= COMPILED_APART * size:
        return f"its answers are {off:.3g} away from those of the network as it stands, whose size is {size:.3g}"
    return ""


def _why(error: Exception) -> str:
    return describe_error(error)[-WHY_CHARACTERS:]


def _generators(device: DeviceKind) -> list[Tensor]:
    """Return the states of torch's generators, of which dropout draws."""
    return [torch.get_rng_state(), *([torch.cuda.get_rng_state()] if device == "cuda" else [])]


@contextlib.contextmanager
def _no_trace(network: nn.Module, device: DeviceKind) -> Iterator[None]:
    """Put buffers and generators back, and drop gradients, whatever happens within.

    What a module keeps in attributes of other kinds is not put back.
    """
    generators = _generators(device)
    before = [
        (module, name, None if buffer is None else buffer.clone())
        for module in network.modules()
        for name, buffer in module._buffers.items()
    ]
    try:
        yield
    finally:
        torch.set_rng_state(generators[0])
        if device == "cuda":
            torch.cuda.set_rng_state(generators[1])
        network.zero_grad(set_to_none=True)
        with torch.no_grad():
            for module, name, saved in before:
                _put_back(module, name, saved)


def _put_back(module: nn.Module, name: str, saved: Tensor | None) -> None:
    """Restore a buffer in its place where it still fits, as compiled code may know it by its address."""
    now = module._buffers.get(name)
    if now is not None and saved is not None and now.shape == saved.shape and now.dtype == saved.dtype:
        now.copy_(saved)
    else:
        module._buffers[name] = saved

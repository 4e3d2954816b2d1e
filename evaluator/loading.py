"""Bring a candidate's source to life in a child process, and its weights out of and into one.

Weights travel as safetensors: every parameter once (tied ones under their first name) and the persistent
buffers, all as real float32, float64, integer or bool tensors. Reading them needs no pickle.
"""

from __future__ import annotations

import errno
import json
import linecache
import sys
import traceback
import types
from collections.abc import Callable, Iterator
from typing import Literal

import torch
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as save_safetensors
from torch import Tensor, nn

from netwright.evaluator import offered
from netwright.evaluator.backbone import build_network
from netwright.evaluator.contract import CLASS_NAMES
from netwright.evaluator.limits import BUILD
from netwright.evaluator.scoring import BUFFERS_KEY
from netwright.evaluator.seeding import seed_all
from netwright.types import TaskSpec

OnStage = Callable[[str], None]

CANDIDATE_FILE = "candidate.py"
ERROR_CHARACTERS_MAX = 2000


class CandidateError(Exception):
    """The candidate does not keep the contract; the message says what came and what to do."""


def load_factory(source: str, spec: TaskSpec, on_stage: OnStage | None = None) -> type[nn.Module]:
    """Execute the source as module `candidate` and return the class that the scope asks for.

    `on_stage` hears when compiling is over and building begins.

    Raises: CandidateError if there is no such class, and whatever the source raises.
    """
    module = types.ModuleType("candidate")
    module.__file__ = CANDIDATE_FILE
    # dataclasses and pickling look their module up here; tracebacks look their lines up there.
    sys.modules["candidate"] = module
    linecache.cache[CANDIDATE_FILE] = (len(source), None, source.splitlines(keepends=True), CANDIDATE_FILE)
    code = compile(source, CANDIDATE_FILE, "exec")
    if on_stage:
        on_stage(BUILD)
    exec(code, module.__dict__)
    name = CLASS_NAMES[spec.scope]
    factory = module.__dict__.get(name)
    if not (isinstance(factory, type) and issubclass(factory, nn.Module)):
        raise CandidateError(f"expected a class {name} that derives from torch.nn.Module, got {factory!r:.80}")
    return factory


def seeded_network(spec: TaskSpec, factory: type[nn.Module], *, seed: int, dropout: float = 0.0) -> nn.Module:
    """Build the task's network; equal seeds give equal weights, unsaved buffers and plain tensors alike."""
    seed_all(seed)
    return build_network(spec, factory, dropout=dropout)


def describe_error(error: BaseException) -> str:
    """Return the error with the candidate's own lines.

    What a planner needs to mend it, and nothing of ours.
    """
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if frame.filename == CANDIDATE_FILE]
    lines = [f"  {frame.filename}:{frame.lineno} in {frame.name}: {(frame.line or '').strip()}" for frame in own]
    if isinstance(error, SyntaxError):
        lines.append(f"  {CANDIDATE_FILE}:{error.lineno}: {(error.text or '').strip()}")
    kind = "" if isinstance(error, CandidateError) else f"{type(error).__name__}: "
    said = offered.explain(error) if isinstance(error, ImportError) else f"{kind}{error}"
    text = "\n".join([*lines[-6:], said])
    return text if len(text) <= ERROR_CHARACTERS_MAX else "..." + text[-ERROR_CHARACTERS_MAX:]


def what_ran_out(error: BaseException) -> Literal["error", "out of memory", "too many threads", "too many files"]:
    """Tell the several ways of saying that the kernel refused more from other errors."""
    said = str(error)
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return "out of memory"
    if isinstance(error, RuntimeError) and ("allocate memory" in said or "not enough memory" in said):
        return "out of memory"
    if isinstance(error, RuntimeError) and "start new thread" in said:
        return "too many threads"
    return "too many files" if isinstance(error, OSError) and error.errno == errno.EMFILE else "error"


def persistent_state(network: nn.Module) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return the parameters and the persistent buffers, each tensor once."""
    parameters: dict[str, Tensor] = dict(network.named_parameters())
    return parameters, dict(_persistent_buffers(network))


def _persistent_buffers(network: nn.Module) -> Iterator[tuple[str, Tensor]]:
    seen: set[int] = set()
    for prefix, module in network.named_modules():
        for name, buffer in module.named_buffers(recurse=False):
            if name not in module._non_persistent_buffers_set and id(buffer) not in seen:
                seen.add(id(buffer))
                yield f"{prefix}.{name}" if prefix else name, buffer


def pack_weights(network: nn.Module) -> bytes:
    """Return the network's parameters and persistent buffers as safetensors bytes."""
    parameters, buffers = persistent_state(network)
    tensors = {name: plain(tensor) for name, tensor in (parameters | buffers).items()}
    return save_safetensors(tensors, metadata={BUFFERS_KEY: json.dumps(sorted(buffers))})


def unpack_weights(network: nn.Module, data: bytes) -> None:
    """Copy packed weights into a network of the same source and spec.

    Raises: CandidateError if names or shapes differ from what the network has.
    """
    tensors = load_safetensors(data)
    parameters, buffers = persistent_state(network)
    for name in tensors.keys() - parameters.keys():
        _fit_buffer(network, name, tensors[name], buffers.get(name))
    parameters, buffers = persistent_state(network)
    own = parameters | buffers
    if tensors.keys() != own.keys():
        odd = sorted(tensors.keys() ^ own.keys())[0]
        raise CandidateError(f"the trained weights and a freshly built network differ in {odd!r}")
    with torch.no_grad():
        for name, tensor in own.items():
            target = torch.view_as_real(tensor) if tensor.is_complex() else tensor
            if target.shape != tensors[name].shape:
                raise CandidateError(f"{name!r} has another shape after training than when built")
            target.copy_(tensors[name])


def _fit_buffer(network: nn.Module, name: str, saved: Tensor, built: Tensor | None) -> None:
    """Make room for a buffer that grew in training, such as a table that is filled at first use."""
    path, _, leaf = name.rpartition(".")
    owner = dict(network.named_modules()).get(path)
    if owner is None or leaf not in owner._buffers:
        return
    if built is None:
        owner._buffers[leaf] = saved.clone()
    elif not built.is_complex() and built.shape != saved.shape:
        owner._buffers[leaf] = saved.to(built.dtype)


def plain(tensor: Tensor) -> Tensor:
    """Return an own, contiguous, real CPU copy in a type that numpy knows; nothing is rounded."""
    value = tensor.detach().to("cpu")
    if value.is_complex():
        value = torch.view_as_real(value)
    if value.is_floating_point() and value.dtype not in (torch.float32, torch.float64):
        value = value.float()
    return value.clone(memory_format=torch.contiguous_format)

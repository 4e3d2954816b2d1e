"""What a candidate costs in use, measured in its own process: seconds, memory, operations and state by length.

Every figure stands by itself: what cannot be had at one length is a problem in a sentence, and the rest goes on.
"""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from netwright.evaluator import effective_state, forms
from netwright.evaluator.backbone import build_network, candidate_parts, parameter_count
from netwright.evaluator.counts import flops_per_row
from netwright.evaluator.loading import describe_error
from netwright.evaluator.seeding import seed_all
from netwright.evaluator.sizing import fixed_parameters
from netwright.measures import Inference, State
from netwright.types import Scope, TaskSpec

MULTIPLES = (1, 2, 4)
"""Lengths of rows, in the task's own."""
ROUNDS, ROUND_SECONDS = 20, 0.15
"""A call is timed so often, or until it took so many CPU seconds; the fastest counts."""
BEGIN_SECONDS = 8.0
"""After so many CPU seconds no further length is begun: what is not known by then stays unknown."""
PROBLEM_CHARACTERS = 200

Found = TypeVar("Found")


@dataclass
class Findings:
    """What has been measured so far, and what could not be."""

    inference: list[Inference] = field(default_factory=list)
    states: list[State] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    begun: float = field(default_factory=time.process_time)

    def attempt(self, what: str, work: Callable[[], Found]) -> Found | None:
        """Return what the work finds; where there is no time left for it, or it fails, None and a problem."""
        if time.process_time() - self.begun > BEGIN_SECONDS:
            self.problems.append(f"{what}: left out, everything before it took more than {BEGIN_SECONDS:g} CPU seconds")
            return None
        try:
            return work()
        # The border to the candidate: whatever it raises is a finding.
        except (Exception, SystemExit) as error:  # noqa: BLE001
            self.problems.append(f"{what}: {describe_error(error)[-PROBLEM_CHARACTERS:]}")
            return None


def measure(spec: TaskSpec, factory: type[nn.Module], device: str = "cpu") -> Findings:
    """Measure inference at multiples of the task's length, and the state of each layer at fixed lengths.

    Lengths end with the first that fails. Rows of numbers have one length and no state.
    """
    found = Findings()
    multiples = MULTIPLES if spec.inputs == "tokens" else MULTIPLES[:1]
    for length in (multiple * spec.max_len for multiple in multiples):
        inference = found.attempt(f"inference, length {length}", partial(infer, spec, factory, length, device))
        if inference is None:
            break
        found.inference.append(inference)
    if spec.scope is Scope.MODEL or not spec.causal:
        return found
    for length in effective_state.LENGTHS:
        state = found.attempt(f"state, length {length}", partial(_state, factory, length, spec.layers))
        if state is None:
            break
        found.states.append(state)
    return found


def _state(factory: type[nn.Module], length: int, layers: int) -> State:
    ranks = effective_state.layer_states(factory, length, layers)
    return State(length=length, past=length // 2, ranks=ranks)


def infer(spec: TaskSpec, factory: type[nn.Module], length: int, device: str) -> Inference:
    """Measure the network for rows of so many tokens: a single row, and a batch of the task's recipe."""
    spec = lengthened(spec, factory, length)
    seed_all(0)
    network = build_network(spec, factory).eval().to(device)
    generator = torch.Generator().manual_seed(0)
    batch = forms.random_inputs(spec, spec.recipe.batch_size, spec.max_len, generator).to(device)
    row = batch[:1]
    written, peak_bytes = watch(network, row)
    return Inference(
        length=spec.max_len,
        seconds=seconds_of(network, row),
        batch_seconds=seconds_of(network, batch),
        flops=flops_per_row(spec, factory),
        written=written,
        peak_bytes=peak_bytes,
    )


def lengthened(spec: TaskSpec, factory: type[nn.Module], length: int) -> TaskSpec:
    """Return the task with rows of another length, and a budget that leaves the MLPs of scope `mixer` as wide.

    What has parameters for every position would otherwise be paid for with narrower MLPs, and seem to cost less.
    """
    if length == spec.max_len:
        return spec
    longer = spec.model_copy(update={"max_len": length})
    more = parameter_count(candidate_parts(longer, factory)) - parameter_count(candidate_parts(spec, factory))
    more += fixed_parameters(longer) - fixed_parameters(spec)
    return longer.model_copy(update={"parameters": spec.parameters + more})


def seconds_of(network: nn.Module, inputs: Tensor) -> float:
    """Return the seconds of the fastest of a few calls: whatever else the machine does only adds to them."""
    fastest, since = float("inf"), time.process_time()
    with torch.no_grad():
        for _ in range(ROUNDS):
            begun = time.perf_counter()
            network(inputs)
            if inputs.is_cuda:
                torch.cuda.synchronize()
            fastest = min(fastest, time.perf_counter() - begun)
            if time.process_time() - since > ROUND_SECONDS:
                break
    return fastest


def watch(network: nn.Module, inputs: Tensor) -> tuple[int, int]:
    """Return how many numbers the operations of one call write, and the most bytes that they keep alive at once.

    Views write nothing. What an operation uses for itself inside, as fused attention does, is not seen.
    """
    with torch.no_grad(), _Watch() as seen:
        network(inputs)
    return seen.written, seen.peak


class _Watch(TorchDispatchMode):
    """Sees every operation below autograd, and the memory that its results live in."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.written = self.peak = 0
        self._alive: dict[int, int] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        results = result if isinstance(result, tuple | list) else (result,)
        aliases = [made.alias_info for made in func._schema.returns if made.alias_info is not None]
        in_place = any(alias.is_write for alias in aliases)
        # Parameters and inputs are not held: what a schema calls an alias of them is no new memory.
        for tensor in results if in_place or not aliases else ():
            if isinstance(tensor, Tensor) and (self._hold(tensor.untyped_storage()) or in_place):
                self.written += tensor.numel()
        return result

    def _hold(self, storage: torch.UntypedStorage) -> bool:
        """Count memory until it is let go; whether it is new."""
        place = storage._cdata
        if place in self._alive:
            return False
        self._alive[place] = storage.nbytes()
        weakref.finalize(storage, self._alive.pop, place, None)
        self.peak = max(self.peak, sum(self._alive.values()))
        return True

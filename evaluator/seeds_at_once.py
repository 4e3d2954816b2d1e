"""Train one architecture with several seeds at once: what K trainings compute alike becomes one batch of K.

    weights of K seeds ──stack──▶ (K, ...)   ┐
    batches of K seeds ──stack──▶ (K, B, ...)┴─vmap─▶ losses (K,) ──backward──▶ gradients (K, ...), each seed's own

Every seed starts from the weights and sees the data of its training alone. AdamW and SGD act on each number by
itself, so one optimizer over stacks is K optimizers, as long as weight decay goes by the dimensions that a parameter
has unstacked, and gradients are clipped and watched per seed.

Sums inside products are then taken in another order: losses and weights agree within rounding, not bit for bit, and
rounding grows in a long training. Not every architecture can be trained so: `disagreement` tries it.

Source: the ensembles of `torch.func` (stack_module_state, functional_call, vmap). One backward through vmap instead
of vmap over grad: the same gradients, a fifth cheaper on CPU.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state

from netwright.evaluator import forms
from netwright.evaluator.execution import autocast
from netwright.evaluator.replies import Progress
from netwright.evaluator.seeding import seed_all
from netwright.evaluator.tasks.base import Batch
from netwright.evaluator.training import Curve, Outcome, learning_rate, optimizer_for, train
from netwright.types import Precision, Recipe, TaskSpec

PROBE_STEPS = 2
LOSS_TOLERANCE = 1e-4
"""How far losses of the first steps may be apart, relative to their size (absolutely below 1 nat)."""
MOVE_TOLERANCE = 0.02
"""How far weights may be apart after the first steps, relative to how far they moved."""


class Stack:
    """K networks of one architecture; `parameters` and `buffers` by name, each (K, ...)."""

    def __init__(self, networks: Sequence[nn.Module], spec: TaskSpec, precision: Precision) -> None:
        self.networks, self.spec, self.precision = networks, spec, precision
        self.parameters, self.buffers = stack_module_state(list(networks))
        self._losses = torch.vmap(self._loss, randomness="error")

    def losses(self, batches: Sequence[Batch]) -> Tensor:
        """Return the mean loss in nats of each network on its own batch, (K,)."""
        device = self.spec.device
        inputs = torch.stack([forms.to_inputs(batch.inputs, self.spec, device) for batch in batches])
        targets = torch.stack([forms.to_targets(batch.targets, self.spec, device) for batch in batches])
        losses: Tensor = self._losses(self.parameters, self.buffers, inputs, targets)
        return losses

    def make_optimizer(self, recipe: Recipe) -> torch.optim.Optimizer:
        """Return one optimizer that is each network's own, as `training.make_optimizer` makes it."""
        stacks = [parameter for parameter in self.parameters.values() if parameter.requires_grad]
        matrices = [stack for stack in stacks if stack.dim() - 1 >= 2]
        return optimizer_for(matrices, [stack for stack in stacks if stack.dim() - 1 < 2], recipe)

    def clip(self, largest: float) -> Tensor:
        """Scale each network's gradient down to a norm of `largest`; return the norms before, (K,)."""
        gradients = [stack.grad for stack in self.parameters.values() if stack.grad is not None]
        each = [torch.linalg.vector_norm(gradient.reshape(len(gradient), -1), dim=1) for gradient in gradients]
        norms = torch.linalg.vector_norm(torch.stack(each), dim=0)
        scales = (largest / (norms + 1e-6)).clamp(max=1.0)
        for gradient in gradients:
            gradient.mul_(scales.view(-1, *[1] * (gradient.dim() - 1)))
        return cast(Tensor, norms)

    @torch.no_grad()
    def unstack(self) -> None:
        """Put the trained numbers into the networks."""
        trained = self.parameters | self.buffers
        for place, network in enumerate(self.networks):
            for name, own in [*network.named_parameters(), *network.named_buffers()]:
                own.copy_(trained[name][place])

    def _loss(self, parameters: dict[str, Tensor], buffers: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        with autocast(self.precision, self.spec.device):
            answers = functional_call(self.networks[0], (parameters, buffers), (x,))
        return forms.loss_of(answers.float() if self.precision == "bf16" else answers, y, self.spec)


def train_at_once(
    networks: Sequence[nn.Module],
    feeds: Sequence[Iterator[Batch]],
    spec: TaskSpec,
    recipe: Recipe,
    *,
    steps: int,
    precision: Precision = "float32",
    on_progress: Callable[[Progress], None],
) -> tuple[Outcome, ...]:
    """Train every network in place for `steps` batches of its own feed; return how each training ended.

    A network whose loss or gradient is not finite ends there, the others go on. The seconds are shared among all.
    `on_progress` hears the mean over networks at the points of their curves.

    Raises: RuntimeError and others where torch cannot run the architecture under vmap.
    """
    stack = Stack(networks, spec, precision)
    optimizer = stack.make_optimizer(recipe)
    curves = [Curve(steps) for _ in networks]
    ends: dict[int, int] = {}
    begun = time.perf_counter()
    networks[0].train()
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(recipe, step, steps)
        losses, norms = _step(stack, optimizer, [next(feed) for feed in feeds], recipe)
        for place, numbers in enumerate(zip(losses, norms, strict=True)):
            if place not in ends and not all(map(math.isfinite, numbers)):
                ends[place] = step
        points = [curve.add(step, losses[place]) for place, curve in enumerate(curves) if place not in ends]
        if not points:
            break
        if points[0] is not None:
            mean = math.fsum(point for point in points if point is not None) / len(points)
            on_progress(Progress(step=step + 1, steps=steps, loss=mean))
    stack.unstack()
    seconds = (time.perf_counter() - begun) / len(networks)
    return tuple(
        Outcome(steps=ends.get(place, steps), curve=tuple(curve.points), seconds=seconds, diverged_at=ends.get(place))
        for place, curve in enumerate(curves)
    )


def _step(
    stack: Stack, optimizer: torch.optim.Optimizer, batches: Sequence[Batch], recipe: Recipe
) -> tuple[list[float], list[float]]:
    """Take one step of all networks; return their losses, and the norms of their gradients."""
    optimizer.zero_grad(set_to_none=True)
    losses = stack.losses(batches)
    losses.sum().backward()  # type: ignore[no-untyped-call]
    norms = stack.clip(recipe.grad_clip)
    optimizer.step()
    return losses.tolist(), norms.tolist()


def disagreement(
    seeds: Sequence[int],
    build: Callable[[int], nn.Module],
    feed: Callable[[int], Iterator[Batch]],
    spec: TaskSpec,
    recipe: Recipe,
) -> str:
    """Return why networks of these seeds cannot be trained at once, or "" if their first steps agree with those alone.

    `build` makes the network of a seed and `feed` its batches, anew at every call. Whatever draws random numbers in
    training, such as dropout, cannot: alone each seed has a stream of its own. Compared is in float32: what bf16 rounds
    away is more than what may differ.
    """
    networks = [build(seed) for seed in seeds]
    silent: Callable[[Progress], None] = lambda progress: None  # noqa: E731
    try:
        outcomes = train_at_once(networks, list(map(feed, seeds)), spec, recipe, steps=PROBE_STEPS, on_progress=silent)
    # The border to the candidate, where torch refuses in as many ways as there are operations.
    except Exception as error:  # noqa: BLE001
        return f"torch.vmap does not run it: {str(error).partition('. ')[0]}"
    for seed, network, outcome in zip(seeds, networks, outcomes, strict=True):
        alone = build(seed)
        start = {name: parameter.detach().clone() for name, parameter in alone.named_parameters()}
        seed_all(seed)
        expected = train(alone, feed(seed), spec, recipe, steps=PROBE_STEPS, on_progress=silent)
        if reason := _losses_apart(outcome, expected) or _weights_apart(network, alone, start):
            return f"with seed {seed} {reason}"
    return ""


def _losses_apart(outcome: Outcome, expected: Outcome) -> str:
    if outcome.steps < PROBE_STEPS or expected.steps < PROBE_STEPS:
        return "the first steps diverge"
    for (step, loss), (_, alone) in zip(outcome.curve, expected.curve, strict=True):
        if abs(loss - alone) > LOSS_TOLERANCE * max(1.0, abs(alone)):
            return f"the loss of step {step} is {loss:.5f} and alone {alone:.5f}"
    return ""


@torch.no_grad()
def _weights_apart(network: nn.Module, alone: nn.Module, start: dict[str, Tensor]) -> str:
    trained = dict(network.named_parameters())
    pairs = [(trained[name], own, start[name]) for name, own in alone.named_parameters()]
    apart = math.hypot(*(float((ours - own).norm()) for ours, own, _ in pairs))
    moved = math.hypot(*(float((own - before).norm()) for _, own, before in pairs))
    if apart > MOVE_TOLERANCE * moved:
        return f"the first steps lead {apart:.3g} away from where they lead alone, {moved:.3g} from the start"
    buffers = dict(network.named_buffers())
    for name, own in alone.named_buffers():
        if buffers[name].shape != own.shape or not torch.allclose(buffers[name].float(), own.float(), 1e-3, 1e-5):
            return f"the buffer {name!r} is not what it is alone"
    return ""

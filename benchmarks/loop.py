"""What does the training loop cost beside the network: data, schedule, checks, curve?

    OMP_NUM_THREADS=1 python benchmarks/loop.py [--tasks bytes recall s3] [--steps 200]

Times `training.train`, as a candidate's process runs it, against the same steps with nothing but the network in them:
forward, loss, backward, clipping and optimizer, on batches that were made before. The two alternate, five times each,
and the medians are compared.
"""

from __future__ import annotations

import argparse
import statistics
import time
from itertools import cycle, islice

import torch
from torch import nn

from netwright.evaluator.backbone import build_network
from netwright.evaluator.baselines import softmax_attention
from netwright.evaluator.forms import loss_of, to_inputs, to_targets
from netwright.evaluator.tasks import Task, load_task, training_batches
from netwright.evaluator.training import make_optimizer, train

ROUNDS = 5


def loop_seconds(task: Task, steps: int) -> float:
    """CPU seconds of the loop as it is."""
    spec = task.spec
    network = _network(task)
    batches = training_batches(spec, task.training_data(), seed=0, batch_size=spec.recipe.batch_size)
    next(batches)
    begun = time.process_time()
    train(network, batches, spec, spec.recipe, steps=steps, on_progress=lambda progress: None)
    return time.process_time() - begun


def bare_seconds(task: Task, steps: int) -> float:
    """CPU seconds of the network's own work in as many steps."""
    spec = task.spec
    network = _network(task).train()
    optimizer = make_optimizer(network, spec.recipe)
    batches = training_batches(spec, task.training_data(), seed=0, batch_size=spec.recipe.batch_size)
    ready = [(to_inputs(b.inputs, spec), to_targets(b.targets, spec)) for b in islice(batches, 50)]
    begun = time.process_time()
    for inputs, targets in islice(cycle(ready), steps):
        loss = loss_of(network(inputs), targets, spec)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(network.parameters(), spec.recipe.grad_clip)
        optimizer.step()
    return time.process_time() - begun


def _network(task: Task) -> nn.Module:
    torch.manual_seed(0)
    return build_network(task.spec, softmax_attention.Mixer)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", default=["bytes", "recall", "s3"])
    parser.add_argument("--steps", type=int, default=200)
    options = parser.parse_args()
    torch.set_num_threads(1)
    for name in options.tasks:
        task = load_task(name)
        bare_seconds(task, 10)
        rounds = [(loop_seconds(task, options.steps), bare_seconds(task, options.steps)) for _ in range(ROUNDS)]
        loop, bare = (statistics.median(column) / options.steps for column in zip(*rounds, strict=True))
        print(f"{name:8} {1e3 * loop:6.2f} ms a step, {1e3 * bare:6.2f} ms of it the network's: {loop / bare - 1:+.1%}")


if __name__ == "__main__":
    main()

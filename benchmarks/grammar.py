"""What the grammar planner costs: milliseconds of a sketch, and the step time of what it writes beside a baseline's.

    python benchmarks/grammar.py [--draws 200] [--rounds 25]

Sketches are drawn for a task of the default sizes, each operator on parents that it drafted. Step times are of forward
and backward of both mixers of a two-layer network (16 rows of 128 tokens and 4 of 512, dim 64, 4 heads), of the
baseline's file and of the file that the grammar writes for the same function, best of the rounds in turn. All are CPU
seconds of this thread.
"""

from __future__ import annotations

import argparse
import time
import types
from statistics import median

import torch
from torch import Tensor, nn

from netwright.agents.baseline_genotypes import baseline_genotype
from netwright.agents.emit import emit
from netwright.agents.grammar_planner import GrammarPlanner
from netwright.evaluator.baselines import MIXERS, baseline
from netwright.types import Context, Operator, Recipe, Remembered, Rung, Scope, TaskSpec

TASK = TaskSpec(
    name="grammar", summary="", scope=Scope.MIXER, vocab_size=64, max_len=128, dim=64, heads=4, layers=2,
    parameters=90_000, metric="loss", recipe=Recipe(), rungs=(Rung(level=0, tokens=1000),),
    validation_rows=8, test_rows=8,
)  # fmt: skip
PARENTS = 20
SHAPES = ((16, 128), (4, 512))


def sketch_milliseconds(operator: Operator, draws: int) -> tuple[float, float]:
    """Median time of a sketch, and of writing it out."""
    planner = GrammarPlanner()
    drafts = [planner.sketch(_context(Operator.DRAFT, seed)).proposal() for seed in range(PARENTS)]
    known = [
        Remembered(candidate=draft.candidate(Scope.MIXER), operator=Operator.DRAFT, score=None, verdict=None)
        for draft in drafts
    ]
    sketching, writing = [], []
    for draw in range(draws):
        parents = (known[draw % PARENTS], known[(draw + 7) % PARENTS])
        context = _context(operator, 1000, parents, draw)
        began = time.thread_time()
        sketch = planner.sketch(context)
        sketched = time.thread_time()
        sketch.proposal()
        sketching.append(sketched - began)
        writing.append(time.thread_time() - sketched)
    return 1000 * median(sketching), 1000 * median(writing)


def _context(operator: Operator, seed: int, parents: tuple[Remembered, ...] = (), draw: int = 0) -> Context:
    return Context(task=TASK, operator=operator, parents=parents, seed=seed, draw=draw, mixer_parameters=20_000)


def step_milliseconds(sources: tuple[str, str], rows: int, length: int, rounds: int) -> tuple[float, float]:
    """The best time of a step of each of two files, both layers, measured in turn."""
    pairs = [[_mixer(source, length, layer) for layer in range(2)] for source in sources]
    x = torch.randn(rows, length, TASK.dim, requires_grad=True)
    best = [float("inf"), float("inf")]
    for _ in range(rounds):
        for index, mixers in enumerate(pairs):
            best[index] = min(best[index], sum(_step(mixer, x) for mixer in mixers))
    return 1000 * best[0], 1000 * best[1]


def _mixer(source: str, length: int, layer: int) -> nn.Module:
    module = types.ModuleType("candidate")
    exec(compile(source, "candidate.py", "exec"), module.__dict__)
    mixer: nn.Module = module.Mixer(TASK.dim, TASK.heads, length, layer, 2)
    return mixer


def _step(mixer: nn.Module, x: Tensor) -> float:
    began = time.thread_time()
    mixer(x).square().mean().backward()
    return time.thread_time() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=25)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{'operator':10} {'sketch ms':>9} {'writing ms':>10}")
    for operator in Operator:
        if operator is not Operator.BASELINE:
            sketching, writing = sketch_milliseconds(operator, options.draws)
            print(f"{operator:10} {sketching:9.2f} {writing:10.2f}")
    print(f"\n{'baseline':32} {'tokens':>8} {'file ms':>8} {'grammar ms':>10} {'ratio':>6}")
    for name in MIXERS:
        file = baseline(name)
        genotype = baseline_genotype(file.title)
        assert genotype is not None
        for rows, length in SHAPES:
            own, written = step_milliseconds((file.source, emit(genotype)), rows, length, options.rounds)
            shape = f"{rows} x {length}"
            print(f"{name:32} {shape:>8} {own:8.1f} {written:10.1f} {written / own:6.2f}", flush=True)


if __name__ == "__main__":
    main()

"""Which trainings does the rule of `evaluator/early_stop.py` end, what does that save, and which would have done well?

    OMP_NUM_THREADS=1 python benchmarks/early_stop.py CURVES.jsonl [--tasks bytes recall mqar-8] [--designs 24]

Trains the core baselines (seeds 0 and 1) and designs that the grammar planner drafts (seed 0) at each task's rung 0,
to the end and without a sandbox. Every training is a line of the file as soon as it ends, and is not done again. Then
the rule is applied to each curve: to the drafts beside all baselines, as in a campaign, and to each baseline beside the
others. A stop is wrong where the training ended in the better half of those that it was held against.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import count, product
from pathlib import Path

import torch

from netwright.agents.grammar_planner import GrammarPlanner
from netwright.evaluator.baselines import baselines_for
from netwright.evaluator.budget import batch_rows, step_count
from netwright.evaluator.contract import recipe_of
from netwright.evaluator.early_stop import LearningCurve, hopeless
from netwright.evaluator.fingerprint import fingerprint
from netwright.evaluator.loading import load_factory, seeded_network
from netwright.evaluator.seeding import seed_all
from netwright.evaluator.sizing import mixer_allowance
from netwright.evaluator.tasks import Task, load_task, training_batches
from netwright.evaluator.training import batch_loss, train
from netwright.types import Context, Operator, Split

KEY = b"benchmark key, not a secret one."


@dataclass(frozen=True)
class Run:
    """One training that came to its end; `loss` is that on the validation split."""

    task: str
    kind: str
    name: str
    seed: int
    steps: int
    loss: float
    points: tuple[tuple[int, float], ...]

    def until(self, length: int) -> LearningCurve:
        return LearningCurve(self.points[:length], self.steps)

    @property
    def curve(self) -> LearningCurve:
        return self.until(len(self.points))


def designs(task: Task, number: int) -> Iterator[tuple[str, str]]:
    """Yield name and source of so many different drafts."""
    context = Context(task=task.spec, operator=Operator.DRAFT, seed=0, mixer_parameters=mixer_allowance(task.spec))
    planner, known = GrammarPlanner(), set[str]()
    for seed in count():
        if len(known) == number:
            return
        source = planner.sketch(context.model_copy(update={"seed": seed})).proposal().source
        if (mark := fingerprint(source)) not in known:
            known.add(mark)
            yield f"draft {mark[:8]}", source


def trained(task: Task, kind: str, name: str, source: str, seed: int) -> Run | None:
    """Train to the end; None for what diverges."""
    spec, recipe = task.spec, recipe_of(source, task.spec.recipe)
    tokens = spec.rungs[0].tokens
    rows, steps = batch_rows(spec, recipe, tokens=tokens), step_count(spec, recipe, tokens=tokens)
    network = seeded_network(spec, load_factory(source, spec), seed=seed, dropout=recipe.dropout)
    batches = training_batches(spec, task.training_data(), seed=seed, batch_size=rows)
    seed_all(seed)
    outcome = train(network, batches, spec, recipe, steps=steps, on_progress=lambda progress: None)
    if outcome.diverged_at is not None:
        return None
    with torch.no_grad():
        loss = float(batch_loss(network.eval(), task.held_out(Split.VALIDATION, KEY), spec))
    return Run(spec.id, kind, name, seed, steps, loss, outcome.curve)


def record(task: Task, number: int, path: Path) -> list[Run]:
    """Return all runs of a task; what the file lacks is trained and added."""
    known = {}
    for line in path.read_text().splitlines() if path.exists() else ():
        values = json.loads(line)
        run = Run(**{**values, "points": tuple((step, loss) for step, loss in values["points"])})
        known[run.task, run.name, run.seed] = run
    core = [(c.title, c.source) for c in baselines_for(task.spec, "core")]
    jobs = [("baseline", *each, seed) for seed, each in product((0, 1), core)]
    jobs += [("draft", *each, 0) for each in designs(task, number)]
    runs = []
    for kind, name, source, seed in jobs:
        run = known.get((task.spec.id, name, seed)) or trained(task, kind, name, source, seed)
        if run is None:
            continue
        runs.append(run)
        if (run.task, name, seed) not in known:
            with path.open("a") as file:
                file.write(json.dumps(asdict(run)) + "\n")
            print(f"{run.task} {kind} {name}, seed {seed}: {run.loss:.3f}", flush=True)
    return runs


def judged(run: Run, rivals: Sequence[Run]) -> tuple[float, bool]:
    """Return the share of the steps that are saved, and whether the run would have ended in the better half."""
    ranked = sorted(rivals, key=lambda rival: rival.loss)
    known = [rival.curve for rival in ranked]
    ends = (length for length in range(1, len(run.points) + 1) if hopeless(run.until(length), known))
    end = next(ends, len(run.points))
    return 1 - run.points[end - 1][0] / run.steps, run.loss <= ranked[(len(ranked) - 1) // 2].loss


def line(title: str, found: Iterable[tuple[float, bool]]) -> str:
    saved = list(found)
    stopped = [good for share, good in saved if share]
    return (
        f"{title:30} {len(saved):3} trainings, {sum(not good for _, good in saved):3} of the lower half, "
        f"{len(stopped):3} stopped, {sum(share for share, _ in saved) / len(saved):5.1%} of the steps saved, "
        f"{sum(stopped)} stopped wrongly"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("curves", type=Path)
    parser.add_argument("--tasks", nargs="+", default=["bytes", "recall", "mqar-8"])
    parser.add_argument("--designs", type=int, default=24)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    for name in options.tasks:
        runs = record(load_task(name), options.designs, options.curves)
        core, drafts = ([run for run in runs if run.kind == kind] for kind in ("baseline", "draft"))
        if drafts:
            print(line(f"{name}, drafts", (judged(run, core) for run in drafts)))
        others = ([rival for rival in core if rival.name != run.name] for run in core)
        print(line(f"{name}, baselines", (judged(run, rivals) for run, rivals in zip(core, others, strict=True))))


if __name__ == "__main__":
    main()

"""`README.md` of an export: what it is, how to use it, what it scored, where it comes from, what was tried."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import NamedTuple

from netwright import __version__
from netwright.evaluator.statistics import mean_interval
from netwright.export.folders import has_tokenizer
from netwright.export.package import Package
from netwright.export.templates import render
from netwright.export.trying import Tried
from netwright.memory.rows import SHORT
from netwright.types import SWEEP_SEEDS, Split, Trial, TrialStatus

_MARKUP = str.maketrans({sign: f"\\{sign}" for sign in "\\`*_{}[]<>#|!"})
_USED: Mapping[str, tuple[str, ...]] = {
    "torch": ("torch",),
    "hf": ("torch", "transformers"),
    "onnx": ("torch", "onnx", "onnxscript", "onnxruntime"),
}


class Result(NamedTuple):
    """A line of the card's table: the mean loss over seeds, and how far it can be relied on."""

    split: str
    rung: int
    rate: float
    seeds: int
    loss: float
    spread: str


def card(package: Package, kind: str, tried: Tried) -> str:
    """Return the text of the card, where a folder of format `kind` was tried out."""
    candidate = package.candidate
    return render(
        "README.md.jinja",
        kind=kind,
        title=as_words(candidate.title) or "A design without a title",
        hypothesis=quoted(candidate.hypothesis),
        candidate=candidate,
        short=candidate.id[:SHORT],
        spec=package.spec,
        package=package,
        trial=package.trial,
        tokenizer=has_tokenizer(package),
        results=results(package.trials),
        tried=tried,
        told_not_free=[as_words(reason) for reason in tried.told.not_free],
        version=__version__,
        used=", ".join(f"{name} {version(name)}" for name in _USED[kind]),
    )


def results(trials: Sequence[Trial]) -> list[Result]:
    """Return the loss of the design by split and rung, highest rung and locked split first.

    The spread is the 95% interval of the mean over seeds; of a single training it is the standard error over rows.
    """
    groups: dict[tuple[Split, int, float], dict[int, Trial]] = defaultdict(dict)
    for trial in trials:
        if trial.status is TrialStatus.DONE and not trial.repeat and trial.seed not in SWEEP_SEEDS:
            groups[trial.split, trial.rung, trial.rate][trial.seed] = trial
    ranked = sorted(groups.items(), key=lambda group: (group[0][0] is not Split.TEST, -group[0][1], group[0][2]))
    return [_result(*key, list(seeds.values())) for key, seeds in ranked]


def _result(split: Split, rung: int, rate: float, trials: Sequence[Trial]) -> Result:
    losses = [trial.loss_nats for trial in trials if trial.loss_nats is not None]
    if len(losses) > 1:
        mean, interval = mean_interval(losses)
        return Result(split.value, rung, rate, len(losses), mean, f"{interval.low:.4f} to {interval.high:.4f}")
    error = trials[0].loss_standard_error
    spread = "" if error is None else f"standard error over rows {error:.4f}"
    return Result(split.value, rung, rate, 1, losses[0], spread)


def as_words(text: str) -> str:
    """A candidate's words on one line, where no sign of them is markup."""
    return " ".join(text.split()).translate(_MARKUP)


def quoted(text: str) -> str:
    """A candidate's words as a block that cannot be anything else: Markdown reads no markup in indented code."""
    return "\n".join(f"    {line}" for line in text.splitlines() if line.strip())

"""Several tasks, one score: a design is as good as it is on the whole.

    s_t        = tanh((reference_t - loss_t) / scale_t)         how far a design is ahead on task t, in (-1, 1)
    suite loss = -mean of s_t over the tasks                    in (-1, 1), lower is better; the reference has 0

`reference_t` is the loss of softmax attention on task t at the same rung (seed 0, validation split), measured where
the suite is used: a constant of it, so that it shifts every design alike. `scale_t`, in nats, says what counts as much
on a task; where differences are small against it the score is proportional to them, and far beyond it the score
saturates: one task that is solved, or lost, cannot buy all the others. The mean is not weighted: every task counts the
same.

A trial of a suite is one training per task, each from scratch, with its own data and its own sandbox; each is
remembered as a trial of that task as well.

A suite of one's own is a file with `TASK = load_suite("mine", "what it is for", [Member("bytes", 0.15), ...])`.

Source of the squashed mean: fitness functions as in ASI-Arch (Liu et al. 2025, arXiv:2507.18074), which puts
relative gains through a sigmoid for the same reason.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from netwright.errors import ConfigError
from netwright.evaluator.baselines import baseline
from netwright.evaluator.sizing import mixer_allowance
from netwright.evaluator.tasks.base import Task
from netwright.types import Rung, TaskSpec

REFERENCE = "softmax_attention"
"""The baseline that the others are held against."""


@dataclass(frozen=True)
class Member:
    """A task of a suite by name, with budgets of its own where `rung_tokens` is given.

    A difference of `scale_nats` is a large one.
    """

    name: str
    scale_nats: float
    rung_tokens: tuple[int, ...] = ()


RUNG_TOKENS = (240_000, 720_000, 2_400_000)
SUITES: Mapping[str, tuple[str, tuple[Member, ...]]] = {
    "suite": (
        "bytes and fuzzy-recall together, one score: neighbours in text, and what was said earlier",
        (Member("bytes", 0.05, RUNG_TOKENS), Member("fuzzy-recall", 1.0, RUNG_TOKENS)),
    ),
}
"""Suites that ship with netwright, by name: what they are, and their tasks."""


@dataclass(frozen=True)
class Suite:
    """Tasks that are learned one by one and judged together. `spec` is that of the tightest task, with its own name."""

    spec: TaskSpec
    tasks: tuple[Task, ...]
    scales_nats: tuple[float, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(task.spec.name for task in self.tasks)

    def of(self, tasks: Sequence[Task]) -> Suite:
        """Return this suite of other versions of its tasks."""
        return suite_of(self.spec.name, self.spec.summary, tasks, self.scales_nats)

    @property
    def details(self) -> str:
        """Say what each task is and what its part of a trial costs."""
        scaled = zip(self.tasks, self.scales_nats, strict=True)
        return "\n".join(f"{t.spec.name}: {t.spec.summary}\nscale {scale:g} nats\n{t.details}" for t, scale in scaled)


def suite_of(name: str, summary: str, tasks: Sequence[Task], scales_nats: Sequence[float]) -> Suite:
    """Put tasks together; a rung of the suite is that rung of all of them.

    Raises:
        ConfigError: there are fewer than two tasks, one stands twice, they are not for the same candidates, or a scale
            is not positive.
    """
    _check(name, tasks, scales_nats)
    specs = [task.spec for task in tasks]
    levels = min(len(spec.rungs) for spec in specs)
    members = {spec.name: {"id": spec.id, "scale_nats": scale} for spec, scale in zip(specs, scales_nats, strict=True)}
    # A mixer that fits the tightest of them fits all.
    spec = min(specs, key=mixer_allowance).model_copy(
        update={
            "name": name,
            "summary": summary,
            "metric": "suite loss",
            "corpus": "",
            "rungs": tuple(
                Rung(level=level, tokens=sum(spec.rungs[level].tokens for spec in specs)) for level in range(levels)
            ),
            "validation_rows": sum(spec.validation_rows for spec in specs),
            "test_rows": sum(spec.test_rows for spec in specs),
            "options": {"tasks": members, "reference": baseline(REFERENCE).id[:10]},
        }
    )
    return Suite(spec, tuple(tasks), tuple(scales_nats))


def _check(name: str, tasks: Sequence[Task], scales_nats: Sequence[float]) -> None:
    names = [task.spec.name for task in tasks]
    if len(set(names)) != len(names) or len(names) < 2:
        raise ConfigError(f"suite {name!r} needs at least two tasks, each once; got {', '.join(names) or 'none'}")
    scopes = {task.spec.scope.value for task in tasks}
    if scopes != {"mixer"}:
        raise ConfigError(
            f"suite {name!r} has tasks of scope {', '.join(sorted(scopes))}: one design has to fit all of them, so "
            "only tasks of scope mixer can stand together"
        )
    if wrong := [scale for scale in scales_nats if not 0.0 < scale < float("inf")]:
        raise ConfigError(f"suite {name!r} has a scale of {wrong[0]:g} nats: expected a positive number")

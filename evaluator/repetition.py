"""Whether a training can be repeated: what source and seed do not determine is no property of the architecture.

    source, seed ──▶ new processes ──▶ weights, loss  ┐
    source, seed ──▶ new processes ──▶ weights, loss  ┴▶ the same?

On a CPU both must be equal bit for bit: a training here has one thread, and nothing in it depends on time or chance
unless the candidate does, by training on for as long as the clock lets it, or by what lies where in memory. Elsewhere
sums are taken in any order, small differences grow, and losses within `ELSEWHERE_NATS` of each other agree. So it is
where one of the two was trained at once with other seeds, or a compiler was tried, which may have had the time for it
in one of them alone: that is never called the same.

A candidate that does the same extra work every time can be repeated, and is bounded by the time limit alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from netwright.evaluator.joined_jobs import trained_with
from netwright.types import Trial, TrialStatus

ELSEWHERE_NATS = 0.01
"""Chosen, not measured: below what two seeds of one architecture usually differ by."""


@dataclass(frozen=True, kw_only=True)
class Repetition:
    """A trial that was run a second time from the same source and seed; `words` say what came of it.

    `exact`: whether it had to agree bit for bit, and not only within `ELSEWHERE_NATS`.
    """

    candidate_id: str
    seed: int
    agrees: bool
    exact: bool
    words: str


def repetitions(trials: Sequence[Trial]) -> tuple[Repetition, ...]:
    """Hold every repetition among `trials` against the finished trial that it repeats."""
    firsts = {_key(trial): trial for trial in trials if not trial.repeat and trial.status is TrialStatus.DONE}
    pairs = [(firsts[_key(trial)], trial) for trial in trials if trial.repeat and _key(trial) in firsts]
    return tuple(_held_together(first, again) for first, again in pairs)


def doubt(trials: Sequence[Trial]) -> str:
    """Return why results of a candidate cannot be claimed, or "" if every repetition of its trials agrees."""
    return next((each.words for each in repetitions(trials) if not each.agrees), "")


def _key(trial: Trial) -> tuple[object, ...]:
    return trial.candidate_id, trial.task_id, trial.rung, trial.seed, trial.split, trial.rate


def _in_fixed_order(trial: Trial) -> bool:
    """Whether its sums were taken in the order in which they are written. None of it is the candidate's claim."""
    return trial.telemetry.get("device", "cpu") == "cpu" and not trial.telemetry.get("to_compile")


def _held_together(first: Trial, again: Trial) -> Repetition:
    exact = trained_with(first) == trained_with(again) and all(map(_in_fixed_order, (first, again)))
    agrees, words = _compared(first, again, exact=exact)
    words = f"trained again with seed {first.seed} it {words}"
    return Repetition(candidate_id=first.candidate_id, seed=first.seed, agrees=agrees, exact=exact, words=words)


def _compared(first: Trial, again: Trial, *, exact: bool) -> tuple[bool, str]:
    if again.status is not TrialStatus.DONE or again.loss_nats is None or first.loss_nats is None:
        return False, f"ended as {again.status.value}: {again.reason}"
    apart = abs(again.loss_nats - first.loss_nats)
    if not exact:
        near = "within" if apart <= ELSEWHERE_NATS else "and not within"
        return apart <= ELSEWHERE_NATS, f"came to a loss {apart:.4f} nats away, {near} {ELSEWHERE_NATS} nats"
    if apart:
        return False, f"came to {again.loss_nats:.6f} nats where it had {first.loss_nats:.6f}"
    if not (first.weights and again.weights):
        return True, "came to the same loss, bit for bit"
    if first.weights != again.weights:
        return False, "came to other weights"
    return True, "came to the same weights and loss, bit for bit"

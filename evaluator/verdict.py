"""The statistics critic: a verdict in plain words, made from the numbers alone."""

from __future__ import annotations

from collections.abc import Sequence

from netwright.evaluator.comparisons import Comparison, compare
from netwright.evaluator.statistics import NoiseFloor
from netwright.types import Outcome, Trial, TrialStatus, Verdict

_PARENT = "its parent"


def judge(
    candidate_trials: Sequence[Trial],
    rival_trials: Sequence[Trial],
    *,
    rival_id: str | None,
    changed: str = "",
    noise: NoiseFloor | None = None,
    rival_title: str = "",
    failure: str = "",
    level: float = 0.95,
    unit: str = "nats",
) -> Verdict:
    """Judge a candidate against its rival, called `rival_title` in the words (by default "its parent").

    FAILED where `failure` is given (a gate's sentence, say) or no trial of the candidate is done; FIRST where
    there is no rival, or the rival has no result; otherwise what the comparison says.
    """
    if failure or not _done(candidate_trials):
        words = failure or _failure_words(candidate_trials)
        return Verdict(outcome=Outcome.FAILED, rival_id=rival_id, changed=changed, words=words)
    if rival_id is None or not _done(rival_trials):
        words = _first_words(candidate_trials, None if rival_id is None else rival_title or _PARENT, unit)
        return Verdict(outcome=Outcome.FIRST, rival_id=rival_id, changed=changed, words=words)
    return verdict_of(
        compare(candidate_trials, rival_trials, noise, level),
        rival_id=rival_id,
        changed=changed,
        rival_title=rival_title,
        unit=unit,
    )


def verdict_of(
    comparison: Comparison, *, rival_id: str, changed: str = "", rival_title: str = "", unit: str = "nats"
) -> Verdict:
    """Put a comparison (from `compare` or `adjusted`) into a verdict."""
    return Verdict(
        outcome=comparison.outcome,
        rival_id=rival_id,
        delta_nats=comparison.delta_nats,
        interval=comparison.interval,
        p_value=comparison.p_value,
        changed=changed,
        words=comparison_words(comparison, rival_title or _PARENT, unit),
    )


def comparison_words(comparison: Comparison, rival_name: str, unit: str = "nats") -> str:
    """Say a comparison in one English sentence, e.g.

    "0.041 nats better than its parent (95% interval 0.012 to 0.070, 1 seed, noise from repeated trainings)".
    """
    delta, interval = comparison.delta_nats, comparison.interval
    if delta is None:
        return f"Cannot be compared with {rival_name}: {comparison.reason}."
    if interval is None:
        return f"{_signed(delta, unit)} against {rival_name}, which may be chance: {comparison.reason}."
    percent = f"{100 * interval.level:.4g}% interval"
    basis = _basis(comparison)
    if comparison.outcome is Outcome.NO_DIFFERENCE:
        low, high = _side(interval.low), _side(interval.high)
        return f"Within noise of {rival_name}: {_signed(delta, unit)} ({percent} from {low} to {high}, {basis})."
    near, far = sorted((abs(interval.low), abs(interval.high)))
    return f"{_signed(delta, unit)} than {rival_name} ({percent} {_size(near)} to {_size(far)}, {basis})."


def _basis(comparison: Comparison) -> str:
    seeds, rivals = comparison.seeds, comparison.rival_seeds
    parts = [_seeds(seeds) if seeds == rivals else f"{_seeds(seeds)} against {rivals}"]
    if comparison.paired:
        parts[0] += " in pairs"
    if comparison.borrowed_noise:
        parts.append("noise from repeated trainings")
    return ", ".join(parts)


def _seeds(count: int) -> str:
    return f"{count} seed" if count == 1 else f"{count} seeds"


def _signed(delta: float, unit: str) -> str:
    if delta == 0.0:
        return "exactly equal"
    return f"{_size(delta)} {unit} {'better' if delta < 0 else 'worse'}"


def _side(delta: float) -> str:
    return "0" if delta == 0.0 else f"{_size(delta)} {'better' if delta < 0 else 'worse'}"


def _size(value: float) -> str:
    """Three decimals, or two significant digits below a thousandth."""
    size = abs(value)
    return f"{size:.3f}" if size >= 0.001 or size == 0.0 else f"{size:.2g}"


def _done(trials: Sequence[Trial]) -> list[Trial]:
    return [trial for trial in trials if trial.status is TrialStatus.DONE and trial.loss_nats is not None]


def _failure_words(trials: Sequence[Trial]) -> str:
    if not trials:
        return "Never trained."
    last = trials[-1]
    return f"Training ended as {last.status.value}: {last.reason or 'no reason was given'}"


def _first_words(trials: Sequence[Trial], rival_name: str | None, unit: str) -> str:
    done = _done(trials)
    rung = max(trial.rung for trial in done)
    losses = [trial.loss_nats for trial in done if trial.rung == rung and trial.loss_nats is not None]
    why = "nothing to compare with yet" if rival_name is None else f"{rival_name} has no result to compare with"
    return f"Loss {sum(losses) / len(losses):.3f} {unit} ({_seeds(len(losses))}); {why}."

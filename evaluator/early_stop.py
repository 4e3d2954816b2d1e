"""End a training early that the learning curves of finished ones show to be hopeless.

    share of its steps   0 ......... 0.3 ............................... 1
                         grace       compared at every point of its curve

Losses are compared at equal shares of the steps, which are equal shares of the learning rate's schedule, as means
over the last tenth of all steps.

Source: the median stopping rule of Golovin et al. (2017), "Google Vizier: A Service for Black-Box Optimization",
section 3.2.1. It ends a trial whose best value so far is worse than the median of the others' running means. Here a
training must stand behind every one of the known trainings that ended in their better half, and by a margin: on tasks
where a loss stays at chance for long and then falls, the median would end those that fall late.

What a training says of its loss is its own claim. One that lies keeps its slot to the end, and is scored as ever.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from netwright.evaluator.replies import Progress
from netwright.types import Trial, TrialStatus

GRACE = 0.3
"""No training is ended in this share of its steps."""
WINDOW = 0.1
"""The share of the steps that a loss is averaged over."""
TRAININGS_MIN = 8
"""With fewer to compare with, no training is ended."""
MARGIN = 0.25
"""How far behind the better half a training must stand, in ranges of that half: wide where a loss falls suddenly."""
LEAST_MARGIN = 0.02
"""... and at least, as a share of the loss: where all are still at chance, a little less luck says nothing."""

Points = Sequence[tuple[int, float]]


@dataclass(frozen=True)
class LearningCurve:
    """(step, training loss) pairs of a training of `steps` steps, in nats, oldest first."""

    points: tuple[tuple[int, float], ...]
    steps: int

    def level(self, share: float) -> float | None:
        """Return the mean loss over the `WINDOW` of the steps that ends at `share`, None where there is no point."""
        last = share * self.steps
        losses = [loss for step, loss in self.points if last - WINDOW * self.steps < step <= last]
        return sum(losses) / len(losses) if losses else None


class Follower:
    """Hears what one training of `steps` steps tells of itself, and says when it is hopeless beside those `known`.

    `points` are those of its curve that an earlier session heard.
    """

    def __init__(self, known: Iterable[Trial], steps: int, points: Points = ()) -> None:
        done = [trial for trial in known if trial.status is TrialStatus.DONE and trial.loss_nats is not None]
        ranked = sorted(done, key=lambda trial: trial.loss_nats or 0.0)
        self._known = [LearningCurve(trial.curve, trial.steps) for trial in ranked]
        self._steps = steps
        self.points = list(points)
        self.verdict = ""

    def hear(self, progress: Progress) -> str:
        """Take in where the training stands; return why it is to be ended, "" as long as it may go on."""
        if progress.point and len(self._known) >= TRAININGS_MIN:
            while self.points and progress.step <= self.points[-1][0]:  # its process was lost, and it began again
                self.points.pop()
            self.points.append((progress.step, progress.loss))
            self.verdict = hopeless(LearningCurve(tuple(self.points), self._steps), self._known)
        return self.verdict


def hopeless(curve: LearningCurve, known: Sequence[LearningCurve]) -> str:
    """Return in a sentence why a training at the end of `curve` cannot come to anything, "" where it still may.

    `known` are those of finished trainings, the best result first.
    """
    step = curve.points[-1][0]
    share = step / curve.steps
    own = curve.level(share)
    levels = [level for each in known if (level := each.level(share)) is not None]
    if own is None or len(levels) < len(known) or not GRACE <= share < 1:
        return ""
    better_half = levels[: (len(levels) + 1) // 2]
    worst = max(better_half)
    margin = max(MARGIN * (worst - min(better_half)), LEAST_MARGIN * worst)
    if own <= worst + margin:
        return ""
    behind = sum(level < own for level in levels)
    return (
        f"training loss {own:.3f} at step {step} of {curve.steps}; {behind} of {len(levels)} known trainings were "
        f"lower there, and none that ended in their better half was above {worst:.3f}"
    )

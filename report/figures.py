"""The pictures of a campaign, from what was read of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from markupsafe import Markup

from netwright.errors import NotFound
from netwright.evaluator.pareto import NOISE_ERRORS
from netwright.memory.results import FirstTraining
from netwright.report import charts, measures, words
from netwright.report.front import COST_NAMES, Entry, Front
from netwright.report.kinds import mixers
from netwright.report.scatter import Spot, scatter
from netwright.report.spread import Group, spread
from netwright.report.story import Story
from netwright.types import Split, Trial

CURVES_OF_BASELINES = 4
MOTIFS_SHOWN = 14
LOSS = "loss"
AXES: Mapping[str, str] = {LOSS: "loss (nats)", **COST_NAMES, "tokens_per_second": "tokens per second"}
"""What the front can be drawn over, by name."""


def in_metric(story: Story, nats: float) -> float:
    """A loss in the task's own metric."""
    return nats / measures.NATS_PER_BIT if story.campaign.task.metric == "bits per byte" else nats


def progress(story: Story) -> Markup | None:
    """Best so far at rung 0, where every design was trained alike, with intervals."""
    designs = [first for first in story.firsts if not first.is_baseline]
    if not designs:
        return None
    marks = [
        charts.Mark(
            x=place, y=in_metric(story, each.loss_nats), half=_half(story, each), label=_label(story, each, place)
        )
        for place, each in enumerate(designs, 1)
    ]
    baselines = {each.candidate_id: each for each in story.firsts if each.is_baseline}
    hardest = min(baselines.values(), key=lambda each: each.loss_nats, default=None)
    levels = [
        charts.Level(
            label=words.name_in(each.title),
            y=in_metric(story, each.loss_nats),
            half=_half(story, each) if each is hardest else 0.0,
        )
        for each in baselines.values()
    ]
    return charts.best_so_far(marks, levels, unit=f"{story.campaign.task.metric}, rung 0")


def _half(story: Story, first: FirstTraining) -> float:
    return NOISE_ERRORS * in_metric(story, first.standard_error or 0.0)


def _label(story: Story, first: FirstTraining, place: int) -> str:
    return f"{first.title}: {in_metric(story, first.loss_nats):.4f} (design {place}, {first.operator})"


def curves(story: Story) -> Markup | None:
    """One training curve each of the best design and of the best baselines at the best design's rung."""
    if story.best is None:
        return None
    rung = story.best.rung
    rivals = [row.candidate_id for row in story.leaders if row.is_baseline]
    at_rung = [name for name in rivals if rung in story.measurements.get(name, {})]
    lines = []
    for name in [story.best.candidate_id, *at_rung[:CURVES_OF_BASELINES]]:
        points = _curve(story.trials, name, rung)
        if len(points) > 1:
            strong = name == story.best.candidate_id
            lines.append(charts.Curve(label=words.name_in(story.title(name)), points=points, emphasis=strong))
    return charts.curves(lines, unit="training loss, nats") if lines else None


def _curve(trials: Iterable[Trial], candidate_id: str, rung: int) -> tuple[tuple[float, float], ...]:
    for trial in trials:
        if (trial.candidate_id, trial.rung, trial.split) == (candidate_id, rung, Split.VALIDATION):
            return tuple((float(step), loss) for step, loss in trial.curve)
    return ()


def known_axes(front: Front) -> list[str]:
    """The axes on which at least two designs of the front have a number."""
    return [name for name in AXES if sum(_value(entry, name) is not None for entry in front.entries) > 1]


def first_axis(known: Sequence[str], y: str) -> str | None:
    """What the front is drawn over where nobody chose."""
    costs = [name for name in known if name != y]
    return "flops_per_token" if "flops_per_token" in costs else next(iter(costs), None)


def front_chart(front: Front, x: str | None = None, y: str = LOSS) -> Markup | None:
    """The designs of a front over two axes; `x` None: the first cost that is known. None: there are not two axes.

    Raises:
        NotFound: there is no such axis, or nothing is known on it.
    """
    known = known_axes(front)
    x = x or first_axis(known, y)
    if x is None:
        return None
    for name in (x, y):
        if name not in known:
            raise NotFound(f"there are no figures of {name!r} to draw; of this front known: {', '.join(known)}")
    spots = [
        Spot(
            x=across,
            y=up,
            name=words.name_in(entry.row.title),
            label=f"{entry.row.title}: {AXES[y]} {up:.6g}, {AXES[x]} {across:.6g}",
            on_front=entry.on_front,
            is_baseline=entry.row.is_baseline,
        )
        for entry in front.entries
        if (across := _value(entry, x)) is not None and (up := _value(entry, y)) is not None
    ]
    return scatter(spots, x_label=AXES[x], y_label=AXES[y])


def _value(entry: Entry, name: str) -> float | None:
    if name == LOSS:
        return entry.row.loss_nats
    return entry.row.tokens_per_second if name == "tokens_per_second" else entry.costs[name]


def by_operator(story: Story) -> Markup | None:
    """How the first losses of what each operator made spread."""
    losses: dict[str, list[float]] = defaultdict(list)
    for first in story.firsts:
        losses["baseline" if first.is_baseline else first.operator].append(in_metric(story, first.loss_nats))
    failed = {row["operator"]: row["failed"] for row in story.stats.operators}
    names = dict.fromkeys([*losses, *failed])
    groups = [Group(name=name, losses=tuple(losses[name]), failed=failed.get(name, 0)) for name in names]
    return spread(groups, unit=f"{story.campaign.task.metric}, rung 0")


def by_motif(story: Story) -> Markup | None:
    """How the first losses of designs with each kind of mixer spread; only of designs that the grammar can read."""
    losses: dict[str, list[float]] = defaultdict(list)
    for first in story.firsts:
        for motif in mixers(story.candidates[first.candidate_id]):
            losses[motif].append(in_metric(story, first.loss_nats))
    most = sorted(losses, key=lambda name: -len(losses[name]))[:MOTIFS_SHOWN]
    groups = [Group(name=name, losses=tuple(losses[name])) for name in most]
    return spread(groups, unit=f"{story.campaign.task.metric}, rung 0") if len(groups) > 1 else None

"""One campaign as one self-contained HTML page, made from the memory alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from netwright.evaluator.baselines import rivals_of
from netwright.evaluator.comparisons import Comparison
from netwright.evaluator.selection import Claims, claims_over
from netwright.llm_config import LlmConfig, money, priced
from netwright.memory import Campaign, Experiment, Memory
from netwright.memory.designs import recognised
from netwright.memory.learning import prompt_reuse
from netwright.memory.model_use import ModelUse, model_use
from netwright.memory.overview import FailureGroup, Stats, TreeRow, failures, stats, tree
from netwright.memory.query import TopRow, top
from netwright.report import charts, lineage, measures, words
from netwright.report.code import highlight
from netwright.report.front import Costs, Front, compared, costs_of, front, unbeaten
from netwright.report.kinds import Kinds, kinds
from netwright.report.measures import Confirmed, Measurements
from netwright.types import PROTOCOL_NAMES, Candidate, Outcome, Split, Trial, TrialStatus, Verdict

LEADERS_SHOWN = 40
CURVES_OF_BASELINES = 4


@dataclass(frozen=True, kw_only=True)
class Story:
    """All that the page is made from, read once."""

    campaign: Campaign
    experiments: list[Experiment]
    trials: list[Trial]
    repetitions: list[Trial]
    leaders: list[TopRow]
    front: Front | None
    costs: Mapping[str, Costs]
    tree: list[TreeRow]
    failures: list[FailureGroup]
    stats: Stats
    lessons: list[str]
    verdicts: Mapping[int, Verdict]
    models: list[ModelUse]
    measurements: Measurements
    baselines: tuple[str, ...]
    candidates: Mapping[str, Candidate]

    @property
    def best(self) -> TopRow | None:
        """The best design, baselines apart."""
        return next((row for row in self.leaders if not row.is_baseline), None)

    def is_baseline(self, candidate_id: str) -> bool:
        """Whether it is a baseline, be it with a design's recipe."""
        known = self.candidates.get(candidate_id)
        return known is not None and known.origin == "baseline"

    def title(self, candidate_id: str) -> str:
        """A candidate's title, or its short id where this campaign did not try it."""
        known = self.candidates.get(candidate_id)
        return known.title if known else candidate_id[:10]


def build_report(memory: Memory, campaign_name: str | None = None) -> str:
    """The page for a campaign (None: the latest).

    Raises:
        NotFound: there is no such campaign.
    """
    story = _read(memory, memory.campaign(campaign_name))
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["highlight"] = highlight
    return environment.get_template("report.html").render(_page(story))


def _read(memory: Memory, campaign: Campaign) -> Story:
    experiments = memory.experiments(campaign.id)
    tried = {each.candidate.id: each.candidate for each in experiments if each.candidate is not None}
    locked = _locked(memory, campaign.task.id)
    remembered = [
        *memory.trials(task_id=campaign.task.id, split=Split.VALIDATION),
        *(trial for trial in locked if not trial.repeat),
    ]
    baselines = tuple(
        dict.fromkeys(each.candidate_id for each in experiments if each.action is None and each.candidate_id)
    )
    candidates = _matched(tried, baselines, remembered) | tried
    trials = [trial for trial in remembered if trial.candidate_id in candidates]
    leaders = top(memory, campaign=campaign.name, limit=None)
    verdicts = memory.verdicts(campaign.id)
    lessons = [lesson.claim for lesson in memory.lessons(campaign.task.id) if campaign.name in lesson.campaigns]
    return Story(
        campaign=campaign,
        experiments=experiments,
        trials=trials,
        repetitions=[trial for trial in locked if trial.repeat],
        leaders=leaders,
        front=front(memory, campaign.name) if leaders else None,
        costs=costs_of(memory, campaign.task.id, leaders),
        tree=tree(memory, campaign.name),
        failures=failures(memory, campaign.name),
        stats=stats(memory, campaign.name),
        lessons=lessons,
        verdicts=verdicts,
        models=model_use(memory, campaign.id, claims_over(verdicts).better) if _draws(campaign) else [],
        measurements=measures.measure(trials),
        baselines=baselines,
        candidates=candidates,
    )


def _locked(memory: Memory, task_id: str) -> list[Trial]:
    """The trials on the locked split, each candidate's with the learning rate of its latest look there."""
    rates = {(look.candidate_id, look.rung): look.rate for look in memory.openings(task_id)}
    opened = memory.trials(task_id=task_id, split=Split.TEST, everything=True)
    return [trial for trial in opened if trial.rate == rates.get((trial.candidate_id, trial.rung), 1.0)]


def _matched(tried: Mapping[str, Candidate], baselines: Sequence[str], trials: Sequence[Trial]) -> dict[str, Candidate]:
    """The baselines with a confirmed design's recipe: no campaign tries them, only a confirmation trains them."""
    opened = {trial.candidate_id for trial in trials if trial.split is Split.TEST}
    designs = [tried[name] for name in sorted(opened & tried.keys()) if tried[name].origin != "baseline"]
    plain = [tried[name] for name in baselines]
    return {rival.id: rival for design in designs for rival in rivals_of(design, plain) if rival.id in opened}


def _page(story: Story) -> dict[str, Any]:
    best = story.best
    comparisons = measures.on_validation(best.candidate_id, story.baselines, story.trials) if best else {}
    confirmed = measures.confirmed(story.trials)
    reference = _reference(confirmed, story)
    locked = _on_test(reference, story) if reference else {}
    settled = locked if best and reference and reference.candidate_id == best.candidate_id else {}
    claims = claims_over(story.verdicts)
    return {
        "campaign": story.campaign,
        "made_at": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "facts": _facts(story),
        "outcome": words.outcome(best, comparisons, settled, story.title, story.stats),
        "noise": words.noise(measures.first_noise(story.baselines, story.trials), story.campaign.task.unit),
        "comparisons": [_comparison(rival, each, story) for rival, each in comparisons.items()],
        "leaders": [_leader(row, story) for row in story.leaders[:LEADERS_SHOWN]],
        "leaders_left_out": max(0, len(story.leaders) - LEADERS_SHOWN),
        "front": story.front,
        "compared": compared(story.front) if story.front else "",
        "unbeaten": unbeaten(story.front) if story.front else [],
        "kinds": _kinds(story),
        "metric": story.campaign.task.metric,
        "extra_metrics": _extra_metrics(story),
        "progress": _progress(story),
        "curves": _curves(story),
        "confirmed": _confirmed(confirmed, reference, locked, story),
        "lineage": lineage.draw(story.tree, _tree_losses(story), _first_losses(story)),
        "failures": story.failures,
        "lessons": story.lessons,
        "best": _best(story, claims),
        "operators": _operators(story, claims),
        "models": _models(story),
        "claims": claims.sentence,
        "commands": words.commands(story.campaign, best, bool(confirmed)),
    }


def _facts(story: Story) -> list[tuple[str, str]]:
    campaign, known = story.campaign, story.stats
    config = campaign.config
    llm = config.get("llm") or {}
    names = ", ".join(each["model"] for each in llm.get("models") or ()) or llm.get("model") or "endpoint"
    planner = f"{names} ({llm['url']})" if llm.get("url") else "grammar, no LLM"
    budget = config.get("budget") or {}
    limits = [f"{budget['trials']} designs" if "trials" in budget else ""]
    limits.append(f"{budget['minutes']:g} min" if "minutes" in budget else "")
    ended = sum(known.trials.values())
    facts = [
        ("Task", f"{campaign.task.name}: {campaign.task.summary}"),
        ("Budget", " or ".join(filter(None, limits)) or "not recorded"),
        *([("Each training", PROTOCOL_NAMES[campaign.task.protocol])] if campaign.task.protocol != "tokens" else []),
        ("Took", words.duration(campaign.elapsed_seconds)),
        ("Designs tried", str(known.experiments)),
        *([("Known designs", repeated)] if (repeated := recognised(known.duplicates)) else []),
        ("Trainings", f"{known.trials.get('done', 0)} finished of {ended}, {words.duration(known.training_seconds)}"),
        ("Search", f"{(config.get('search') or {}).get('policy', 'tree')} policy, seed {campaign.seed}"),
        ("Planner", planner),
        (
            "Device",
            f"{campaign.task.device}, in {campaign.task.precision}, {config.get('workers', 'unknown')} training slots",
        ),
        ("Isolation", words.isolation(known)),
        ("Network", f"{words.count(campaign.task.parameters)} parameters, {campaign.task.layers} layers"),
    ]
    if known.llm["calls"]:
        tokens = known.llm["prompt_tokens"] + known.llm["completion_tokens"]
        about = "about " if known.llm["tokens_estimated"] else ""
        cost = priced(known.llm, config).get("cost")
        spent = "" if cost is None else f", cost {money(cost)}"
        again = prompt_reuse(known.llm["prefix_share"], known.llm["cached_share"])
        facts.append(("LLM", f"{known.llm['calls']} calls, {about}{words.count(tokens)} tokens{again}{spent}"))
    return facts


def _in_metric(story: Story, nats: float) -> float:
    return nats / measures.NATS_PER_BIT if story.campaign.task.metric == "bits per byte" else nats


def _kinds(story: Story) -> Kinds | None:
    """The best of every kind at rung 0; None where there are not at least two kinds to tell apart."""
    first = {name: losses[0] for name, losses in story.measurements.items() if 0 in losses}
    found = kinds(story.leaders, story.candidates, first, story.costs)
    return found if len(found.kinds) > 1 else None


def _leader(row: TopRow, story: Story) -> dict[str, Any]:
    error = row.standard_error
    return {
        "row": row,
        "value": f"{row.metric_value:.4f}",
        "error": f"{_in_metric(story, error):.4f}" if error is not None else None,
        "nats": f"{row.loss_nats:.4f}",
        "parameters": words.count(row.parameters),
        "speed": words.count(row.tokens_per_second),
        "extra": _extra(row, story),
    }


def _extra_metrics(story: Story) -> list[str]:
    """Metrics beside the task's own, which has a column already."""
    own = story.campaign.task.metric.replace(" ", "_")
    return sorted({name for trial in story.trials for name in trial.metrics} - {own})[:2]


def _extra(row: TopRow, story: Story) -> list[str]:
    runs = [
        trial
        for trial in story.trials
        if (trial.candidate_id, trial.rung) == (row.candidate_id, row.rung)
        and (trial.split, trial.status) == (Split.VALIDATION, TrialStatus.DONE)
    ]
    cells = []
    for name in _extra_metrics(story):
        values = [trial.metrics[name] for trial in runs if name in trial.metrics]
        cells.append(f"{sum(values) / len(values):.3f}" if values else "–")
    return cells


def _comparison(rival_id: str, comparison: Comparison, story: Story) -> dict[str, Any]:
    interval, delta = comparison.interval, comparison.delta_nats
    return {
        "title": story.title(rival_id),
        "short": rival_id[:10],
        "rung": comparison.rung,
        "delta": "–" if delta is None else words.signed(_in_metric(story, delta)),
        "interval": "not known"
        if interval is None
        else f"{words.signed(_in_metric(story, interval.low))} to {words.signed(_in_metric(story, interval.high))}",
        "outcome": comparison.outcome.value,
    }


def _progress(story: Story) -> str | None:
    """Best so far at rung 0, where every design was trained alike."""
    marks, levels = [], {}
    trained = 0
    for each in story.experiments:
        if each.score is None or each.failure or each.candidate is None or each.candidate_id is None:
            continue
        first = story.measurements.get(each.candidate_id, {}).get(0)
        if first is None:
            continue
        value = _in_metric(story, first)
        if each.action is None:
            levels[each.candidate_id] = charts.Level(label=words.name_in(each.candidate.title), y=value)
        elif each.action.kind == "expand":
            trained += 1
            label = f"{each.candidate.title}: {value:.4f} (design {trained}, {each.operator.value})"
            marks.append(charts.Mark(x=trained, y=value, label=label))
    if not marks:
        return None
    return charts.best_so_far(marks, list(levels.values()), unit=f"{story.campaign.task.metric}, rung 0")


def _curves(story: Story) -> str | None:
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


def _reference(found: Sequence[Confirmed], story: Story) -> Confirmed | None:
    """The confirmed design that stood best on the validation split: choosing by the locked one would flatter it."""
    designs = {each.candidate_id: each for each in found if not story.is_baseline(each.candidate_id)}
    ranked = [row.candidate_id for row in story.leaders if row.candidate_id in designs]
    return next((designs[name] for name in [*ranked, *designs]), None)


def _on_test(design: Confirmed, story: Story) -> dict[str, Comparison]:
    """The design against its parents and the baselines, as `netwright confirm` compares it."""
    own = [each for each in story.experiments if each.candidate_id == design.candidate_id and each.node >= 0]
    parents = [parent for each in own for parent in each.parent_ids]
    plain = [story.candidates[name] for name in story.baselines]
    baselines = [rival.id for rival in rivals_of(story.candidates[design.candidate_id], plain)]
    rivals = list(dict.fromkeys([*parents, *baselines]))
    return measures.on_test(design.candidate_id, rivals, design.rung, [*story.trials, *story.repetitions])


def _confirmed(
    found: Sequence[Confirmed], reference: Confirmed | None, locked: Mapping[str, Comparison], story: Story
) -> dict[str, Any] | None:
    """Locked-split results, and how the reference compares with each of its rivals among them."""
    if not found:
        return None
    return {
        "rows": [_confirmed_row(each, locked.get(each.candidate_id), story) for each in found],
        "reference": story.title(reference.candidate_id) if reference else None,
        "rung": found[0].rung,
    }


def _confirmed_row(each: Confirmed, comparison: Comparison | None, story: Story) -> dict[str, Any]:
    interval = each.interval
    half = None if interval is None else _in_metric(story, (interval.high - interval.low) / 2)
    return {
        "title": story.title(each.candidate_id),
        "short": each.candidate_id[:10],
        "is_baseline": story.is_baseline(each.candidate_id),
        "rate": f"{each.rate:g}",
        "not_isolated": each.not_isolated,
        "value": f"{_in_metric(story, each.loss_nats):.4f}",
        "half": None if half is None else f"{half:.4f}",
        "seeds": len(each.seeds),
        "delta": _comparison(each.candidate_id, comparison, story) if comparison else None,
    }


def _tree_losses(story: Story) -> dict[int, str]:
    losses = {}
    for row in story.tree:
        if row.loss_nats is not None:
            losses[row.node] = f"{_in_metric(story, row.loss_nats):.4f} @{row.rung}"
    return losses


def _first_losses(story: Story) -> dict[int, float]:
    losses = {}
    for row in story.tree:
        first = story.measurements.get(row.candidate_id or "", {}).get(0)
        if first is not None:
            losses[row.node] = first
    return losses


def _operators(story: Story, claims: Claims) -> list[dict[str, Any]]:
    """What each operator made, and how much of it is better than its rival among all comparisons of the campaign."""
    better = Counter(row.operator for row in story.tree if row.node in claims.better)
    return [{**row, "better": better[row["operator"]]} for row in story.stats.operators]


def _draws(campaign: Campaign) -> bool:
    """Whether one of several models was drawn for each design."""
    return bool((campaign.config.get("llm") or {}).get("models"))


def _models(story: Story) -> list[dict[str, Any]]:
    """What each model was asked and took, and what came of its designs."""
    llm = LlmConfig.model_validate(story.campaign.config.get("llm") or {})
    costs = [llm.cost_of(each.asked) for each in story.models]
    return [
        {
            "use": each,
            "tokens": words.count(each.prompt_tokens + each.completion_tokens),
            "cost": "" if cost is None else money(cost),
        }
        for each, cost in zip(story.models, costs, strict=True)
    ]


def _best(story: Story, claims: Claims) -> dict[str, Any] | None:
    if story.best is None:
        return None
    own = [each for each in story.experiments if each.candidate_id == story.best.candidate_id]
    verdicts = [each.verdict for each in own if each.verdict is not None]
    return {
        "row": story.best,
        "candidate": story.candidates[story.best.candidate_id],
        "operator": own[0].operator.value,
        "parents": [story.title(parent) for parent in own[0].parent_ids],
        "verdict": verdicts[-1] if verdicts else None,
        "alone": bool(verdicts) and verdicts[-1].outcome is Outcome.BETTER and own[-1].node not in claims.better,
        "changed": next((verdict.changed for verdict in verdicts if verdict.changed), ""),
    }

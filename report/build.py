"""One campaign as one self-contained HTML page, made from the memory alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from netwright.evaluator.baselines import rivals_of
from netwright.evaluator.comparisons import Comparison
from netwright.llm_config import LlmConfig, money, priced
from netwright.memory import Memory
from netwright.memory.designs import recognised
from netwright.memory.learning import prompt_reuse
from netwright.memory.overview import FailureGroup, TreeRow, tree
from netwright.memory.query import TopRow
from netwright.report import figures, lineage, measures, words
from netwright.report.code import highlight
from netwright.report.figures import in_metric
from netwright.report.front import compared, unbeaten
from netwright.report.kinds import Kinds, kinds
from netwright.report.measures import Confirmed
from netwright.report.story import LEADERS_SHOWN, Story, read_story
from netwright.types import PROTOCOL_NAMES, Outcome, Split, TrialStatus

FOLDER = Path(__file__).parent
FAILURES_SHOWN = 20
"""Of each stage, the latest: a page that lists thousands is read by nobody."""


def environment(*folders: Path) -> Environment:
    """What fills in templates of those folders and of the report; everything that is filled in is escaped."""
    made = Environment(
        loader=FileSystemLoader([*folders, FOLDER]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["highlight"] = highlight
    return made


def build_report(memory: Memory, campaign_name: str | None = None) -> str:
    """The page for a campaign (None: the latest).

    Raises:
        NotFound: there is no such campaign.
    """
    story = read_story(memory, campaign_name)
    rows = tree(memory, story.campaign.name)
    drawn = lineage.draw(rows, _tree_losses(rows, story), _first_losses(rows, story))
    template = environment().get_template("report.html")
    return template.render(**contents(story), lineage=drawn, linked=False, axes=None)


def contents(story: Story) -> dict[str, Any]:
    """What is said and shown of a campaign, by the names in the template."""
    best = story.best
    comparisons = measures.on_validation(best.candidate_id, story.baselines, story.trials) if best else {}
    confirmed = measures.confirmed(story.trials)
    reference = _reference(confirmed, story)
    locked = _on_test(reference, story) if reference else {}
    settled = locked if best and reference and reference.candidate_id == best.candidate_id else {}
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
        "front_chart": figures.front_chart(story.front) if story.front else None,
        "kinds": _kinds(story),
        "metric": story.campaign.task.metric,
        "extra_metrics": _extra_metrics(story),
        "progress": figures.progress(story),
        "curves": figures.curves(story),
        "confirmed": _confirmed(confirmed, reference, locked, story),
        "failures": [_failures(group) for group in story.failures],
        "gates": story.stats.rejected_by_gate,
        "lessons": story.lessons,
        "best": _best(story),
        "operators": _operators(story),
        "by_operator": figures.by_operator(story),
        "by_motif": figures.by_motif(story),
        "models": _models(story),
        "claims": story.claims.sentence,
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
        "error": f"{in_metric(story, error):.4f}" if error is not None else None,
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
        "delta": "–" if delta is None else words.signed(in_metric(story, delta)),
        "interval": "not known"
        if interval is None
        else f"{words.signed(in_metric(story, interval.low))} to {words.signed(in_metric(story, interval.high))}",
        "outcome": comparison.outcome.value,
    }


def _reference(found: Sequence[Confirmed], story: Story) -> Confirmed | None:
    """The confirmed design that stood best on the validation split: choosing by the locked one would flatter it."""
    designs = {each.candidate_id: each for each in found if not story.is_baseline(each.candidate_id)}
    ranked = [row.candidate_id for row in story.leaders if row.candidate_id in designs]
    return next((designs[name] for name in [*ranked, *designs]), None)


def _on_test(design: Confirmed, story: Story) -> dict[str, Comparison]:
    """The design against its parents and the baselines, as `netwright confirm` compares it."""
    parents = story.parents.get(design.candidate_id, ())
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
    half = None if interval is None else in_metric(story, (interval.high - interval.low) / 2)
    return {
        "title": story.title(each.candidate_id),
        "short": each.candidate_id[:10],
        "is_baseline": story.is_baseline(each.candidate_id),
        "rate": f"{each.rate:g}",
        "not_isolated": each.not_isolated,
        "value": f"{in_metric(story, each.loss_nats):.4f}",
        "half": None if half is None else f"{half:.4f}",
        "seeds": len(each.seeds),
        "delta": _comparison(each.candidate_id, comparison, story) if comparison else None,
    }


def _tree_losses(rows: Sequence[TreeRow], story: Story) -> dict[int, str]:
    losses = {}
    for row in rows:
        if row.loss_nats is not None:
            losses[row.node] = f"{in_metric(story, row.loss_nats):.4f} @{row.rung}"
    return losses


def _first_losses(rows: Sequence[TreeRow], story: Story) -> dict[int, float]:
    losses = {}
    for row in rows:
        first = story.measurements.get(row.candidate_id or "", {}).get(0)
        if first is not None:
            losses[row.node] = first
    return losses


def _failures(group: FailureGroup) -> dict[str, Any]:
    """What failed at a stage: the latest, and how many earlier ones are not shown."""
    shown = group.failures[-FAILURES_SHOWN:]
    return {"stage": group.stage, "count": group.count, "failures": shown, "left_out": group.count - len(shown)}


def _operators(story: Story) -> list[dict[str, Any]]:
    """What each operator made, and how much of it is better than its rival among all comparisons of the campaign."""
    better = Counter(design.operator for design in story.made if design.node in story.claims.better)
    return [{**row, "better": better[row["operator"]]} for row in story.stats.operators]


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


def _best(story: Story) -> dict[str, Any] | None:
    if story.best is None:
        return None
    own = story.own
    verdicts = [each.verdict for each in own if each.verdict is not None]
    return {
        "row": story.best,
        "candidate": story.candidates[story.best.candidate_id],
        "operator": own[0].operator.value,
        "parents": [story.title(parent) for parent in own[0].parent_ids],
        "verdict": verdicts[-1] if verdicts else None,
        "alone": bool(verdicts) and verdicts[-1].outcome is Outcome.BETTER and own[-1].node not in story.claims.better,
        "changed": next((verdict.changed for verdict in verdicts if verdict.changed), ""),
        "drawing": story.drawing,
    }

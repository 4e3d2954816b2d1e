"""Pages about designs: one experiment, and any number of them side by side."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from markupsafe import Markup

from netwright.errors import ConfigError
from netwright.evaluator.pareto import NOISE_ERRORS
from netwright.memory import Memory
from netwright.memory.differences import Delta, by_condition, diff, mean_loss, pace, source_diff
from netwright.memory.query import show
from netwright.memory.search import Hit, Like, search
from netwright.memory.transcripts import transcript
from netwright.report import charts, words
from netwright.report.drawing import drawing_of
from netwright.types import Candidate, JsonDict, LlmCall, Split, Structure, Trial
from netwright.web.frame import fill, named

NEIGHBOURS = 8
MOST_COMPARED = 8
LINES_OF_CURVES = 8
DIFF_CLASSES = {"+": "added", "-": "removed", "@": "place"}


def experiment_page(memory: Memory, request: Any) -> tuple[str, str]:
    """Everything about one candidate; `against` names what its code is compared with (default: its first parent).

    Raises:
        NotFound: no candidate, or more than one, has an id that begins so.
    """
    shown = show(memory, named(request))
    candidate = memory.candidate(shown.candidate["id"])
    parents = _parents(memory, shown.nodes)
    wanted = request.args.get("against")
    against = memory.candidate(wanted) if wanted else next(iter(parents), None)
    return fill(
        "experiment.html",
        section="campaigns",
        candidate=candidate,
        short=shown.candidate["short"],
        nodes=list({(node["campaign"], node["node"]): node for node in shown.nodes}.values()),
        parents=parents,
        against=against,
        difference=marked(source_diff(against, candidate)) if against else None,
        drawing=drawing_of(memory, candidate.id, against.id if against else None),
        curves=_curves_by_rung(shown.trials),
        gates=shown.gates,
        trials=[_trial(trial) for trial in shown.trials],
        verdicts=[_verdict(verdict) for verdict in shown.verdicts],
        attempts=shown.attempts,
        children=shown.children,
        lessons=_lessons(memory, candidate.id),
        calls=_calls(memory, candidate.id, shown.nodes),
        neighbours=_neighbours(memory, candidate.id),
    )


def _parents(memory: Memory, nodes: Iterable[JsonDict]) -> list[Candidate]:
    ids = dict.fromkeys(node["parent_id"] for node in nodes if node["parent_id"])
    return [memory.candidate(each) for each in ids]


def marked(difference: str) -> Markup:
    """A unified diff with its lines marked for the style sheet; all of it escaped."""
    lines = []
    for line in difference.splitlines():
        kind = "file" if line.startswith(("+++", "---")) else DIFF_CLASSES.get(line[:1], "")
        lines.append(Markup('<span class="{}">{}\n</span>').format(kind, line))
    return Markup("").join(lines)


def _curves_by_rung(trials: Sequence[JsonDict]) -> list[tuple[str, Markup]]:
    """A picture for each task and rung with the curves of all seeds."""
    groups: dict[str, list[charts.Curve]] = defaultdict(list)
    for trial in trials:
        points = tuple((float(step), float(loss)) for step, loss in trial["curve"])
        if len(points) > 1:
            rate = "" if trial["rate"] == 1.0 else f", lr x {trial['rate']:g}"
            label = f"seed {trial['seed']}{rate}{'' if trial['status'] == 'done' else ', ' + trial['status']}"
            groups[f"{trial['task_id']}, rung {trial['rung']}"].append(charts.Curve(label=label, points=points))
    return [
        (name, charts.curves(lines[:LINES_OF_CURVES], unit="training loss, nats")) for name, lines in groups.items()
    ]


def _trial(trial: JsonDict) -> JsonDict:
    usage = trial["usage"]
    metrics = ", ".join(f"{name} {value:.3f}" for name, value in trial["metrics"].items())
    shown = {"tokens": words.count(trial["tokens"]), "wall": words.duration(usage["wall_seconds"])}
    return {
        **trial,
        **shown,
        "memory": words.count(usage["peak_memory_bytes"]),
        "tier": usage["tier"],
        "metrics": metrics,
    }


def _verdict(verdict: JsonDict) -> JsonDict:
    low, high = verdict["low_nats"], verdict["high_nats"]
    known = low is not None and high is not None
    return {
        **verdict,
        "delta": "" if verdict["delta_nats"] is None else words.signed(verdict["delta_nats"]),
        "interval": f"{words.signed(low)} to {words.signed(high)}" if known else "",
    }


def _lessons(memory: Memory, candidate_id: str) -> list[JsonDict]:
    found = memory.connection.rows(
        "SELECT DISTINCT l.claim, l.retired, e.supports FROM lessons l JOIN evidence e ON e.lesson_id = l.id "
        "WHERE e.candidate_id = ? ORDER BY l.id",
        (candidate_id,),
    )
    return [dict(row) for row in found]


def _calls(memory: Memory, candidate_id: str, nodes: Sequence[JsonDict]) -> tuple[LlmCall, ...]:
    """What models were asked and said for it; nothing for what no campaign made."""
    made = [node for node in nodes if node["node"] >= 0]
    return transcript(memory, candidate_id, made[-1]["campaign"]).calls if made else ()


def _neighbours(memory: Memory, candidate_id: str) -> list[Hit]:
    """Designs that are made of the same, nearest first; none where its structure was never read."""
    row = memory.connection.row(
        "SELECT body FROM structures WHERE candidate_id = ? ORDER BY id DESC LIMIT 1", (candidate_id,)
    )
    if row is None:
        return []
    like = Like(Structure.model_validate_json(row["body"]), candidate_id)
    return [hit for hit in search(memory, like=like, limit=NEIGHBOURS) if hit.short]


def comparison_page(memory: Memory, request: Any) -> tuple[str, str]:
    """Any designs side by side; each but the first is compared with the first.

    Raises:
        NotFound: an id fits no candidate, or several.
        ConfigError: more are to be compared than fit on a page.
    """
    prefixes = [each for text in request.args.getlist("id") for each in re.split(r"[\s,]+", text) if each]
    if len(prefixes) > MOST_COMPARED:
        raise ConfigError(f"{len(prefixes)} designs are too many for one page: compare at most {MOST_COMPARED}")
    known = {candidate.id: candidate for candidate in map(memory.candidate, prefixes)}
    chosen = list(known.values())
    return fill(
        "compare.html",
        section="compare",
        wide=True,
        candidates=chosen,
        table=_side_by_side(memory, list(known)),
        curves=_overlaid(memory, chosen),
        differences=[_difference(memory, chosen[0], other) for other in chosen[1:]],
        most=MOST_COMPARED,
    )


def _side_by_side(memory: Memory, ids: Sequence[str]) -> list[tuple[str, list[JsonDict | None]]]:
    """By task and rung, what each design came to on the open split."""
    found: dict[tuple[str, int], dict[str, JsonDict]] = defaultdict(dict)
    for each in ids:
        for (task_id, split, rung), runs in by_condition(memory.trials(candidate_id=each)).items():
            if split == Split.VALIDATION:
                found[task_id, rung][each] = _cell(runs)
    return [
        (f"{task_id}, rung {rung}", [cells.get(each) for each in ids])
        for (task_id, rung), cells in sorted(found.items(), reverse=True)
    ]


def _cell(runs: Sequence[Trial]) -> JsonDict:
    loss, error = mean_loss(runs)
    return {
        "loss_nats": loss,
        "standard_error": error,
        "seeds": len(runs),
        "parameters": words.count(runs[-1].parameters),
        "flops": words.count(runs[-1].flops_per_token),
        "speed": words.count(pace(runs)),
        "wall": words.duration(sum(run.usage.wall_seconds for run in runs)),
        "tier": min(run.usage.tier for run in runs) or None,
    }


def _overlaid(memory: Memory, candidates: Sequence[Candidate]) -> list[tuple[str, Markup]]:
    """For each task and rung that at least two of them were trained at, one curve of each."""
    groups: dict[str, dict[str, charts.Curve]] = defaultdict(dict)
    for candidate in candidates:
        for trial in memory.trials(candidate_id=candidate.id):
            if len(trial.curve) > 1:
                points = tuple((float(step), loss) for step, loss in trial.curve)
                curve = charts.Curve(label=words.name_in(candidate.title), points=points)
                groups[f"{trial.task_id}, rung {trial.rung}"].setdefault(candidate.id, curve)
    return [
        (name, charts.curves(list(lines.values()), unit="training loss, nats"))
        for name, lines in groups.items()
        if len(lines) > 1
    ]


def _difference(memory: Memory, first: Candidate, other: Candidate) -> dict[str, Any]:
    found = diff(memory, first.id, other.id)
    return {
        "other": other,
        "source": marked(found.source),
        "recipe": found.recipe,
        "losses": [_delta(delta) for delta in found.measurements],
    }


def _delta(delta: Delta) -> dict[str, Any]:
    half = None if delta.standard_error is None else NOISE_ERRORS * delta.standard_error
    beyond = half is not None and abs(delta.delta_nats) > half
    return {
        "where": f"{delta.task_id}, {delta.split}, rung {delta.rung}",
        "delta": words.signed(delta.delta_nats),
        "half": "not known" if half is None else f"± {half:.4f}",
        "word": ("lower" if delta.delta_nats < 0 else "higher") if beyond else "within the noise",
        "chip": ("better" if delta.delta_nats < 0 else "worse") if beyond else "",
    }

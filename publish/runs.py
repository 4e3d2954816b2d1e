"""What a campaign is as runs of a tracker: one for each node, read from the memory, the same whenever it is read.

What is published is chosen here, word by word: no configuration, no output of a process, no key, no path.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Literal

from netwright.choices import flattened
from netwright.evaluator.contract import merged_recipe, parsed
from netwright.memory import Campaign, Experiment, Memory
from netwright.memory.rows import SHORT
from netwright.printable import printable
from netwright.types import Candidate, Recipe, Split, TaskSpec, Trial, TrialStatus

State = Literal["scored", "stopped", "rejected", "failed"]
"""How a run ended: with a score, stopped early as hopeless, rejected by a gate before it was trained, or otherwise."""
Value = str | int | float
Curve = tuple[tuple[int, float], ...]
TEXT_LENGTH = 4000
"""Characters that are kept of a text: every tracker takes so many."""
_GATE = "gate: "
_STOPPED = f"training: {TrialStatus.STOPPED.value}"
_PATH = re.compile(r"(?<![\w.~/])(?:file://)?(?!//)~?(?:/[\w.+@%~-]+)+/([\w.+@%~-]+)")
_NOT_IN_NAMES = re.compile(r"[^\w./ -]", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class Run:
    """One node of a campaign.

    `id` follows from the campaign's identity and the node, `name` holds no word of a candidate or model, `params` say
    what was decided before it was trained, `facts` are texts, `numbers` results (losses in the task's unit), `losses`
    are by rung, and `curves` (step, training loss) as the candidate's process told them.
    """

    id: str
    node: int
    name: str
    state: State
    is_baseline: bool
    params: Mapping[str, Value] = field(default_factory=dict)
    facts: Mapping[str, str] = field(default_factory=dict)
    numbers: Mapping[str, float] = field(default_factory=dict)
    losses: Mapping[int, float] = field(default_factory=dict)
    curves: Mapping[str, Curve] = field(default_factory=dict)
    source: str = ""

    @property
    def fingerprint(self) -> str:
        """Changes when anything of the run does."""
        return digest(asdict(self))

    def rows(self) -> list[tuple[int, dict[str, float]]]:
        """The curves side by side: for each step the losses of all trainings that told one there."""
        steps: dict[int, dict[str, float]] = defaultdict(dict)
        for name, curve in self.curves.items():
            for step, loss in curve:
                steps[step][name] = loss
        return sorted(steps.items())


@dataclass(frozen=True, kw_only=True)
class CampaignRuns:
    """A campaign: its `identity` (no two have the same, in whatever memory), what holds for all of it, its runs."""

    identity: str
    name: str
    status: str
    facts: Mapping[str, str]
    runs: tuple[Run, ...]


def digest(value: object) -> str:
    """Return 16 hexadecimal digits that stand for a JSON value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def runs_of(memory: Memory, name: str | None = None) -> CampaignRuns:
    """Return the runs of a campaign (None: the latest), in the order in which its nodes were first remembered.

    Raises:
        NotFound: there is no such campaign.
    """
    campaign = memory.campaign(name)
    trials: dict[str, list[Trial]] = defaultdict(list)
    for trial in memory.trials(task_id=campaign.task.id, split=Split.VALIDATION):
        trials[trial.candidate_id].append(trial)
    return as_runs(campaign, memory.experiments(campaign.id), trials)


def as_runs(
    campaign: Campaign, experiments: Sequence[Experiment], trials: Mapping[str, Sequence[Trial]]
) -> CampaignRuns:
    """Return the runs of a campaign, given its records and the trials on the validation split by candidate."""
    identity = digest([campaign.name, campaign.task.id, campaign.seed, campaign.started_at.isoformat()])
    nodes: dict[int, list[Experiment]] = defaultdict(list)
    for each in experiments:
        nodes[each.node].append(each)
    runs = (
        _run(identity, campaign.task, records, trials.get(records[0].candidate_id or "", ()))
        for records in nodes.values()
    )
    return CampaignRuns(
        identity=identity,
        name=plain(campaign.name),
        status=campaign.status,
        facts=_campaign_facts(campaign, identity),
        runs=tuple(runs),
    )


def plain(text: str) -> str:
    """Words that a candidate or a model may have written: nothing that steers a viewer, paths by their last name."""
    return _PATH.sub(r"…/\1", printable(text))[:TEXT_LENGTH]


def _campaign_facts(campaign: Campaign, identity: str) -> dict[str, str]:
    search = campaign.config.get("search") or {}
    return {
        "campaign": plain(campaign.name),
        "campaign_id": identity,
        "task": plain(campaign.task.name),
        "task_id": plain(campaign.task.id),
        "unit": campaign.task.unit,
        "budgets_equal_in": campaign.task.protocol,
        "policy": plain(str(search.get("policy", "tree"))),
        "seed": str(campaign.seed),
        "device": campaign.task.device,
        "precision": campaign.task.precision,
    }


def _run(identity: str, task: TaskSpec, records: Sequence[Experiment], trials: Sequence[Trial]) -> Run:
    first = records[0]
    candidate = first.candidate
    return Run(
        id=digest([identity, first.node]),
        node=first.node,
        name=f"{first.node} {first.operator.value}" + (f" {candidate.id[:SHORT]}" if candidate else ""),
        state=_state(records),
        is_baseline=first.node < 0,
        params=_params(first, candidate, task, trials),
        facts=_facts(records, candidate, trials),
        numbers=_numbers(records, trials),
        losses={each.score.rung: -each.score.value for each in records if each.score is not None},
        curves=_curves(trials),
        source=printable(candidate.source) if candidate else "",
    )


def _state(records: Iterable[Experiment]) -> State:
    if any(each.score is not None for each in records):
        return "scored"
    stages = [each.stage for each in records]
    if any(stage.startswith(_GATE) for stage in stages):
        return "rejected"
    return "stopped" if _STOPPED in stages else "failed"


def _params(
    first: Experiment, candidate: Candidate | None, task: TaskSpec, trials: Sequence[Trial]
) -> dict[str, Value]:
    params: dict[str, Value] = {"operator": first.operator.value, "parents": ", ".join(map(str, first.parents))}
    if candidate is None:
        return params
    params |= {"scope": candidate.scope.value, "made_by": plain(candidate.origin)}
    tree = parsed(candidate.source)
    if tree is not None:
        params |= {f"recipe.{name}": value for name, value in settings(merged_recipe(tree, task.recipe)).items()}
    sized = next((trial for trial in trials if trial.parameters is not None), None)
    if sized is not None and sized.parameters is not None:
        params["parameters"] = sized.parameters
        params |= {"flops_per_token": sized.flops_per_token} if sized.flops_per_token is not None else {}
    chosen = flattened(candidate.genotype or "")
    return params | {f"design.{_name(place)}": plain(option) for place, option in chosen.items()}


def settings(recipe: Recipe) -> dict[str, Value]:
    """A recipe by its settings; the two betas apart."""
    known = recipe.model_dump()
    beta1, beta2 = known.pop("betas")
    return {**known, "beta1": beta1, "beta2": beta2}


def _facts(records: Sequence[Experiment], candidate: Candidate | None, trials: Sequence[Trial]) -> dict[str, str]:
    first, last = records[0], records[-1]
    verdict = next((each.verdict for each in reversed(records) if each.verdict is not None), None)
    stages = [attempt.stage for each in records for attempt in each.attempts] + [each.stage for each in records]
    gates = [stage.removeprefix(_GATE) for stage in stages if stage.startswith(_GATE)]
    facts = {
        "title": candidate.title if candidate else "",
        "hypothesis": candidate.hypothesis if candidate else "",
        "candidate_id": candidate.id if candidate else "",
        "parent_ids": ", ".join(first.parent_ids),
        "stage": last.stage,
        "failure": last.failure,
        "rejected_by": ", ".join(dict.fromkeys(gates)),
        "attempts": "\n".join(f"{attempt.stage}: {attempt.failure}" for each in records for attempt in each.attempts),
        "verdict": verdict.outcome.value if verdict else "",
        "verdict_against": (verdict.rival_id or "") if verdict else "",
        "verdict_words": verdict.words if verdict else "",
        "changed": verdict.changed if verdict else "",
        "lesson": (verdict.lesson or "") if verdict else "",
        "isolation": min((trial.usage.tier for trial in trials if trial.usage.tier), default=""),
    }
    return {name: plain(text) for name, text in facts.items() if text}


def _numbers(records: Sequence[Experiment], trials: Sequence[Trial]) -> dict[str, float]:
    numbers: dict[str, float] = {"seconds": sum(each.seconds for each in records)}
    for each in records:
        if each.score is not None:
            at = f"rung{each.score.rung}"
            numbers |= {
                f"{at}/loss": -each.score.value,
                f"{at}/loss_standard_error": each.score.standard_error,
                f"{at}/seeds": each.score.seeds,
            }
        if each.verdict is not None:
            known = {"delta": each.verdict.delta_nats, "p_value": each.verdict.p_value}
            interval = each.verdict.interval
            known |= {"delta_low": interval.low, "delta_high": interval.high} if interval is not None else {}
            numbers |= {f"verdict/{name}": value for name, value in known.items() if value is not None}
    return _finite(numbers | _metrics(trials))


def _metrics(trials: Sequence[Trial]) -> dict[str, float]:
    """What else was measured of the finished trainings: the mean over seeds, by rung."""
    found: dict[str, list[float]] = defaultdict(list)
    for trial in trials:
        if trial.status is TrialStatus.DONE:
            for name, value in trial.metrics.items():
                found[f"rung{trial.rung}/{_name(name)}"].append(value)
    return {name: sum(values) / len(values) for name, values in found.items()}


def _curves(trials: Sequence[Trial]) -> dict[str, Curve]:
    return {
        f"rung{trial.rung}/seed{trial.seed}/training_loss": curve
        for trial in trials
        if (curve := tuple((step, loss) for step, loss in trial.curve if math.isfinite(loss)))
    }


def _finite(numbers: Mapping[str, float]) -> dict[str, float]:
    return {name: float(value) for name, value in numbers.items() if math.isfinite(value)}


def _name(text: str) -> str:
    """A name that every tracker takes."""
    return _NOT_IN_NAMES.sub("_", text)[:200]

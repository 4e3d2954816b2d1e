"""All that a campaign's page is made from, read once from the memory alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from netwright.evaluator.baselines import rivals_of
from netwright.evaluator.selection import Claims, claims_over
from netwright.memory import Campaign, Experiment, Memory
from netwright.memory.model_use import ModelUse, model_use
from netwright.memory.overview import FailureGroup, Stats, failures, stats
from netwright.memory.query import TopRow, top
from netwright.memory.results import Design, FirstTraining, designs, first_trainings, mean_losses, parents
from netwright.report.drawing import drawing_of
from netwright.report.front import Costs, Front, costs_of, front_among
from netwright.report.measures import Measurements
from netwright.types import Candidate, Split, Trial, Verdict

LEADERS_SHOWN = 40


@dataclass(frozen=True, kw_only=True)
class Story:
    """All that the page is made from.

    `made` has every node that came to a candidate, `firsts` those of them that were trained and did not fail.
    `trials` are whole, but only those of the best designs, of the baselines and of the locked split; `measurements`
    are the mean losses of all. `own` are the records of the best design, `drawing` is what it computes, if known.
    """

    campaign: Campaign
    made: list[Design]
    firsts: list[FirstTraining]
    trials: list[Trial]
    repetitions: list[Trial]
    leaders: list[TopRow]
    front: Front | None
    costs: Mapping[str, Costs]
    failures: list[FailureGroup]
    stats: Stats
    lessons: list[str]
    verdicts: Mapping[int, Verdict]
    claims: Claims
    models: list[ModelUse]
    measurements: Measurements
    baselines: tuple[str, ...]
    candidates: Mapping[str, Candidate]
    own: list[Experiment]
    drawing: Markup | None
    parents: Mapping[str, tuple[str, ...]]

    @property
    def best(self) -> TopRow | None:
        """The best design, baselines apart."""
        return best_of(self.leaders)

    def is_baseline(self, candidate_id: str) -> bool:
        """Whether it is a baseline, be it with a design's recipe."""
        known = self.candidates.get(candidate_id)
        return known is not None and known.origin == "baseline"

    def title(self, candidate_id: str) -> str:
        """A candidate's title, or its short id where this campaign did not try it."""
        known = self.candidates.get(candidate_id)
        return known.title if known else candidate_id[:10]


def best_of(leaders: Sequence[TopRow]) -> TopRow | None:
    """The best design, baselines apart."""
    return next((row for row in leaders if not row.is_baseline), None)


def read_story(memory: Memory, name: str | None = None, rung: int | None = None) -> Story:
    """Read a campaign (None: the latest); `rung` is that of the front (None: the highest).

    Raises:
        NotFound: there is no such campaign, or nothing was trained at the rung.
    """
    campaign = memory.campaign(name)
    task_id = campaign.task.id
    leaders = top(memory, campaign=campaign.name, limit=None)
    made = designs(memory, campaign.id)
    baselines = tuple(dict.fromkeys(design.id for design in reversed(made) if design.node < 0))
    tried = {design.id: design.candidate for design in made}
    locked = _locked(memory, task_id)
    opened = [trial for trial in locked if not trial.repeat]
    candidates = _matched(tried, baselines, opened) | tried
    best = best_of(leaders)
    shown = dict.fromkeys(
        [*(row.candidate_id for row in [*leaders[:LEADERS_SHOWN], *([best] if best else [])]), *baselines]
    )
    trials = [trial for each in shown for trial in memory.trials(task_id, each, Split.VALIDATION)]
    verdicts = memory.verdicts(campaign.id)
    claims = claims_over(verdicts)
    of_best = [design.node for design in made if best and design.id == best.candidate_id]
    costs = costs_of(memory, task_id, leaders)
    return Story(
        campaign=campaign,
        made=made,
        firsts=first_trainings(memory, campaign.id, task_id),
        trials=[*trials, *(trial for trial in opened if trial.candidate_id in candidates)],
        repetitions=[trial for trial in locked if trial.repeat],
        leaders=leaders,
        front=front_among(memory, campaign, leaders, rung) if leaders else None,
        costs=costs,
        failures=failures(memory, campaign.name),
        stats=stats(memory, campaign.name),
        lessons=[lesson.claim for lesson in memory.lessons(task_id) if campaign.name in lesson.campaigns],
        verdicts=verdicts,
        claims=claims,
        models=model_use(memory, campaign.id, claims.better) if _draws(campaign) else [],
        measurements=mean_losses(memory, task_id),
        baselines=baselines,
        candidates=candidates,
        own=[record for node in of_best for record in memory.experiments(campaign.id, node)],
        drawing=drawing_of(memory, best.candidate_id) if best else None,
        parents=parents(memory, campaign.id),
    )


def _locked(memory: Memory, task_id: str) -> list[Trial]:
    """The trials on the locked split, each candidate's with the learning rate of its latest look there."""
    rates = {(look.candidate_id, look.rung): look.rate for look in memory.openings(task_id)}
    opened = memory.trials(task_id=task_id, split=Split.TEST, everything=True)
    return [trial for trial in opened if trial.rate == rates.get((trial.candidate_id, trial.rung), 1.0)]


def _matched(tried: Mapping[str, Candidate], baselines: Sequence[str], opened: Sequence[Trial]) -> dict[str, Candidate]:
    """The baselines with a confirmed design's recipe: no campaign tries them, only a confirmation trains them."""
    confirmed = {trial.candidate_id for trial in opened}
    chosen = [tried[name] for name in sorted(confirmed & tried.keys()) if tried[name].origin != "baseline"]
    plain = [tried[name] for name in baselines]
    return {rival.id: rival for design in chosen for rival in rivals_of(design, plain) if rival.id in confirmed}


def _draws(campaign: Campaign) -> bool:
    """Whether one of several models was drawn for each design."""
    return bool((campaign.config.get("llm") or {}).get("models"))

"""Confirmation: winners and their rivals, trained from scratch on fresh seeds, scored on the locked test split.

    winners, parents, baselines ──fresh seeds──▶ trials ──────────────────────────────┐
    winners ──some of those seeds once more, in another sandbox──▶ repetitions ───────┴▶ duels, claims

A winner whose repetition comes to something else is never called better.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from netwright.campaign.laboratories import open_laboratory
from netwright.campaign.opening import exclusive, open_sandbox
from netwright.campaign.single import Progress, check_rung, mean_metrics, not_isolated, train_all
from netwright.config import CampaignConfig, SandboxConfig
from netwright.config_file import laid_over
from netwright.errors import ConfigError, NotFound
from netwright.evaluator.baselines import baselines_for, rivals_of
from netwright.evaluator.comparisons import Comparison, claims
from netwright.evaluator.repetition import Repetition, repetitions
from netwright.evaluator.statistics import mean_interval
from netwright.evaluator.suite import AnyLaboratory
from netwright.evaluator.tasks import AnyTask, load_task
from netwright.memory.records import Campaign, Experiment
from netwright.memory.store import Memory
from netwright.types import Candidate, Interval, Outcome, Split, Trial, TrialStatus

FIRST_FRESH_SEED = 1000
"""Campaigns and `evaluate` count seeds from 0; these are never used for choosing anything."""


@dataclass(frozen=True)
class Confirmed:
    """An architecture's losses on the locked split. `interval` is a t interval over seeds."""

    candidate: Candidate
    role: str
    losses: tuple[float, ...]
    mean: float | None
    interval: Interval | None
    metrics: dict[str, float]
    parameters: int | None
    failures: tuple[str, ...]
    not_isolated: bool = False


@dataclass(frozen=True)
class Duel:
    """A winner against one rival; the verdicts of one winner are corrected for their number (Holm)."""

    winner_id: str
    rival_id: str
    rival_title: str
    comparison: Comparison


@dataclass(frozen=True)
class Confirmation:
    """Everything that a confirmation found. `opened` counts the designs that the locked split was opened for so far.

    `repetitions` are the trials of winners that were run a second time from the same source and seed.
    """

    campaign: str
    task_id: str
    unit: str
    rung: int
    seeds: tuple[int, ...]
    rows: tuple[Confirmed, ...]
    duels: tuple[Duel, ...]
    repetitions: tuple[Repetition, ...]
    opened: int

    @property
    def winners(self) -> tuple[Confirmed, ...]:
        """The designs that were to be confirmed."""
        return tuple(row for row in self.rows if row.role == "candidate")

    def sentence(self, winner: Confirmed) -> str:
        """What may be claimed of a winner, in one sentence."""
        duels = [duel for duel in self.duels if duel.winner_id == winner.candidate.id]
        if not winner.losses:
            return f"{winner.candidate.title}: nothing can be claimed, all of its {len(self.seeds)} trainings failed"
        counts = Counter(duel.comparison.outcome for duel in duels if duel.comparison.delta_nats is not None)
        failed = len(self.seeds) - len(winner.losses)
        return (
            f"{winner.candidate.title}: better than {counts[Outcome.BETTER]} of {len(duels)} rivals, no difference "
            f"from {counts[Outcome.NO_DIFFERENCE]}, worse than {counts[Outcome.WORSE]} (locked test split, "
            f"{len(winner.losses)} fresh seeds in pairs, 95% after Holm's correction"
            + (f"; it failed on {failed} seeds, and so is never called better)" if failed else ")")
            + self._repeated(winner)
            + ("; not isolated while trained (T0), so its losses may be forged" if winner.not_isolated else "")
        )

    def _repeated(self, winner: Confirmed) -> str:
        """What repeating showed, as the end of a sentence."""
        mine = [each for each in self.repetitions if each.candidate_id == winner.candidate.id]
        if not mine:
            return "; not trained a second time from the same source and seed"
        if doubtful := [each.words for each in mine if not each.agrees]:
            return f"; {doubtful[0]}: source and seed do not determine its result, so it is never called better"
        seeds = ", ".join(str(each.seed) for each in mine)
        return f"; trained again with seed {seeds} it came to the same"


def confirm_candidates(
    home: Path,
    ids: Sequence[str],
    *,
    sandbox_flags: Mapping[str, Any],
    campaign_name: str | None,
    seeds: int,
    repeats: int = 1,
    rung: int | None,
    workers: int,
    on_progress: Progress,
) -> Confirmation:
    """Confirm `ids` (default: the campaign's best design) against their parents and the campaign's baselines.

    `sandbox_flags` are laid over the campaign's own sandbox settings. Of each winner's `seeds` trials, `repeats` are
    run a second time. Trials that an earlier confirmation finished are taken from the memory, so an interrupted one
    can be repeated.

    Raises: NotFound, ConfigError, BusyError; KeyboardInterrupt with everything finished remembered.
    """
    with Memory.open(home, create=False) as memory:
        row = memory.campaign(campaign_name)
        config = CampaignConfig.model_validate(row.config)
        contained = laid_over(config.sandbox, sandbox_flags)
        task = load_task(config.task, data=config.data, rung_tokens=config.rung_tokens, protocol=config.protocol)
        if task.spec.id != row.task.id:
            raise ConfigError(
                f"the data of task {config.task!r} changed since campaign {row.name!r} ({row.task.id}, now "
                f"{task.spec.id}): restore it, or run a new campaign on the new data"
            )
        level = task.spec.rungs[-1].level if rung is None else rung
        check_rung(task, level)
        baselines = baselines_for(task.spec, config.baselines)
        cast = _cast(memory, row, ids, baselines)
        fresh = tuple(range(FIRST_FRESH_SEED, FIRST_FRESH_SEED + seeds))
        rounds = _Rounds(memory, row, task, config, contained, level, workers, on_progress)
        with exclusive(home, row.name, doing="confirmed"):
            trials = rounds.first([candidate for candidate, _ in cast], fresh)
            winners = [candidate for candidate, role in cast if role == "candidate"]
            again = rounds.second(winners, trials, repeats) if repeats else []
        return Confirmation(
            campaign=row.name,
            task_id=task.spec.id,
            unit=task.spec.unit,
            rung=level,
            seeds=fresh,
            rows=_rows(cast, trials),
            duels=_duels(memory, memory.experiments(row.id), cast, baselines, [*trials, *again]),
            repetitions=repetitions([*trials, *again]),
            opened=_opened(memory, task.spec.id),
        )


@dataclass(frozen=True)
class _Rounds:
    """The trainings of a confirmation; each round is run in a sandbox of its own."""

    memory: Memory
    row: Campaign
    task: AnyTask
    config: CampaignConfig
    contained: SandboxConfig
    rung: int
    workers: int
    on_progress: Progress

    def first(self, candidates: Sequence[Candidate], seeds: Sequence[int]) -> list[Trial]:
        """Train every candidate with every seed."""
        with self._laboratory() as lab:
            return self._train(lab, candidates, seeds)

    def second(self, winners: Sequence[Candidate], trials: Sequence[Trial], repeats: int) -> list[Trial]:
        """Run the first finished trials of each winner once more.

        Another sandbox has another zygote: not even the places of things in memory are as they were.
        """
        seeds = {winner.id: [t.seed for t in _of(winner, trials) if t.status is TrialStatus.DONE] for winner in winners}
        with self._laboratory() as lab:
            found = [self._train(lab, [winner], seeds[winner.id][:repeats], repeat=1) for winner in winners]
        return [trial for trials in found for trial in trials]

    @contextmanager
    def _laboratory(self) -> Iterator[AnyLaboratory]:
        with open_sandbox(self.contained, slots=self.workers) as sandbox:
            yield open_laboratory(
                sandbox, self.task, self.memory, limits=self.contained.limits, audit=self.config.audit.strength
            )

    def _train(
        self, lab: AnyLaboratory, candidates: Sequence[Candidate], seeds: Sequence[int], repeat: int = 0
    ) -> list[Trial]:
        return train_all(
            self.memory,
            lab,
            candidates,
            seeds=seeds,
            rung=self.rung,
            workers=self.workers,
            on_progress=self.on_progress,
            split=Split.TEST,
            repeat=repeat,
            campaign_id=self.row.id,
        )


def _cast(
    memory: Memory, row: Campaign, ids: Sequence[str], baselines: Sequence[Candidate]
) -> list[tuple[Candidate, str]]:
    """Who takes part, each once: winners, parents, baselines."""
    known = memory.experiments(row.id)
    winners = [memory.candidate(prefix) for prefix in ids] or [_best_design(row, known)]
    cast = {winner.id: (winner, "candidate") for winner in winners}
    for winner in winners:
        for parent in _parents(memory, known, winner):
            cast.setdefault(parent.id, (parent, "parent"))
        for rival in rivals_of(winner, baselines):
            role = cast.get(rival.id, (rival, ""))[1]
            cast[rival.id] = (rival, "candidate" if role == "candidate" else "baseline")
    return list(cast.values())


def _parents(memory: Memory, known: Sequence[Experiment], winner: Candidate) -> list[Candidate]:
    made = [each for each in known if each.candidate_id == winner.id and each.node >= 0]
    return [memory.candidate(parent) for parent in dict.fromkeys(parent for each in made for parent in each.parent_ids)]


def _best_design(row: Campaign, known: Sequence[Experiment]) -> Candidate:
    designs = [
        (experiment.score.rung, experiment.score.value, experiment.candidate)
        for experiment in known
        if experiment.node >= 0 and experiment.score and experiment.candidate and not experiment.failure
    ]
    if not designs:
        raise NotFound(f"campaign {row.name!r} has no trained design yet: `netwright resume {row.name}`")
    return max(designs, key=lambda design: design[:2])[2]


def _rows(cast: Sequence[tuple[Candidate, str]], trials: Sequence[Trial]) -> tuple[Confirmed, ...]:
    rows = [_confirmed(candidate, role, trials) for candidate, role in cast]
    return tuple(sorted(rows, key=lambda row: float("inf") if row.mean is None else row.mean))


def _confirmed(candidate: Candidate, role: str, trials: Sequence[Trial]) -> Confirmed:
    mine = _of(candidate, trials)
    done = [trial for trial in mine if trial.status is TrialStatus.DONE and trial.loss_nats is not None]
    losses = tuple(trial.loss_nats for trial in done if trial.loss_nats is not None)
    mean, interval = mean_interval(losses) if len(losses) >= 2 else (losses[0] if losses else None, None)
    return Confirmed(
        candidate=candidate,
        role=role,
        losses=losses,
        mean=mean,
        interval=interval,
        metrics=mean_metrics(done),
        parameters=done[0].parameters if done else None,
        failures=tuple(f"{trial.status.value}: {trial.reason}" for trial in mine if trial not in done),
        not_isolated=not_isolated(mine),
    )


def _duels(
    memory: Memory,
    known: Sequence[Experiment],
    cast: Sequence[tuple[Candidate, str]],
    baselines: Sequence[Candidate],
    trials: Sequence[Trial],
) -> tuple[Duel, ...]:
    duels: list[Duel] = []
    for winner in [candidate for candidate, role in cast if role == "candidate"]:
        rivals = {rival.id: rival for rival in (*_parents(memory, known, winner), *rivals_of(winner, baselines))}
        rivals.pop(winner.id, None)
        compared = claims(_of(winner, trials), {name: _of(rival, trials) for name, rival in rivals.items()})
        duels += [Duel(winner.id, name, rival.title, compared[name]) for name, rival in rivals.items()]
    return tuple(duels)


def _of(candidate: Candidate, trials: Sequence[Trial]) -> list[Trial]:
    return [trial for trial in trials if trial.candidate_id == candidate.id]


def _opened(memory: Memory, task_id: str) -> int:
    """How many designs the locked split of this memory has been opened for: each look costs it some of its worth."""
    seen = {trial.candidate_id for trial in memory.trials(task_id=task_id, split=Split.TEST)}
    return sum(memory.candidate(candidate_id).origin != "baseline" for candidate_id in seen)

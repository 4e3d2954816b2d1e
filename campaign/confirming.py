"""Confirmation: winners and their rivals, trained from scratch on fresh seeds, scored on the locked test split.

    winners, parents, baselines ──the same sweep for all──▶ a learning rate for each
                                ──fresh seeds──▶ trials ──────────────────────────────┐
    winners ──some of those seeds once more, in another sandbox──▶ repetitions ───────┴▶ duels, claims

A winner whose repetition comes to something else is never called better.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from netwright.campaign.locked import Say, earlier_looks, open_locked, opened_designs
from netwright.campaign.opening import check_own, exclusive, executed_as, task_of
from netwright.campaign.rounds import Cost, Rounds, of
from netwright.campaign.single import Progress, check_rung, mean_metrics, not_isolated
from netwright.config import CampaignConfig
from netwright.config_file import confirm_settings, laid_over
from netwright.errors import ConfigError, NotFound
from netwright.evaluator.baselines import baselines_for, rivals_of
from netwright.evaluator.comparisons import Comparison, claims
from netwright.evaluator.rates import ChosenRate
from netwright.evaluator.repetition import ELSEWHERE_NATS, Repetition, repetitions
from netwright.evaluator.selection import by_expected_loss
from netwright.evaluator.statistics import mean_interval
from netwright.memory.records import Campaign, Experiment
from netwright.memory.store import Memory
from netwright.types import Candidate, Interval, Outcome, Trial, TrialStatus

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
    rate: float
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
    `learning_rates` say what each participant, by id, chose from `factors`; `looks` how often the locked split had been
    opened for each winner before.
    """

    campaign: str
    task_id: str
    unit: str
    rung: int
    seeds: tuple[int, ...]
    rows: tuple[Confirmed, ...]
    duels: tuple[Duel, ...]
    repetitions: tuple[Repetition, ...]
    learning_rates: Mapping[str, ChosenRate]
    factors: tuple[float, ...]
    looks: Mapping[str, int]
    opened: int

    @property
    def winners(self) -> tuple[Confirmed, ...]:
        """The designs that were to be confirmed."""
        return tuple(row for row in self.rows if row.role == "candidate")

    @property
    def at_the_edge(self) -> str:
        """Who took the smallest or largest factor of the sweep, beyond which better ones may lie; "" if nobody did."""
        edges = {min(self.factors), max(self.factors)} if len(self.factors) > 1 else set()
        took = sum(row.rate in edges for row in self.rows)
        return (
            f"{took} of {len(self.rows)} took the smallest or largest learning rate of the sweep: a wider one "
            "(--rates) may find better"
            if took
            else ""
        )

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
            + (f"; it failed on {failed} seeds, and so is never called better" if failed else "")
            + f"; {self._rates(winner)})"
            + self._looked(winner)
            + self._repeated(winner)
            + ("; not isolated while trained (T0), so its losses may be forged" if winner.not_isolated else "")
        )

    def _rates(self, winner: Confirmed) -> str:
        """At which learning rates they were compared."""
        if len(self.factors) == 1:
            return "learning rates as in the recipes" if self.factors == (1.0,) else f"all at lr x {self.factors[0]:g}"
        tried = ", ".join(f"{factor:g}" for factor in self.factors)
        return f"each at its best of lr x {tried} by the same sweep on the validation split, here x {winner.rate:g}"

    def _looked(self, winner: Confirmed) -> str:
        """How often the locked split had been opened for the winner, as the middle of a sentence."""
        looks = self.looks[winner.candidate.id]
        times = "once" if looks == 1 else f"{looks} times"
        return f"; the split had been opened {times} for it before, so this look is worth less" if looks else ""

    def _repeated(self, winner: Confirmed) -> str:
        """What repeating showed, as the end of a sentence."""
        mine = [each for each in self.repetitions if each.candidate_id == winner.candidate.id]
        if not mine:
            return "; not trained a second time from the same source and seed"
        if doubtful := [each.words for each in mine if not each.agrees]:
            return f"; {doubtful[0]}: source and seed do not determine its result, so it is never called better"
        seeds = ", ".join(str(each.seed) for each in mine)
        same = "the same" if all(each.exact for each in mine) else f"a loss within {ELSEWHERE_NATS} nats"
        return f"; trained again with seed {seeds} it came to {same}"


def confirm_candidates(
    home: Path,
    ids: Sequence[str],
    *,
    sandbox_flags: Mapping[str, Any],
    training_flags: Mapping[str, Any] = MappingProxyType({}),
    campaign_name: str | None,
    seeds: int,
    repeats: int = 1,
    rung: int | None,
    workers: int,
    on_progress: Progress,
    flags: Mapping[str, Any] = MappingProxyType({}),
    say: Say = lambda _: None,
) -> Confirmation:
    """Confirm `ids` (default: the campaign's best design) against their parents and the campaign's baselines.

    `sandbox_flags` and `training_flags` are laid over the campaign's own settings, `flags` over its `[confirm]`. Of
    each winner's `seeds` trials, `repeats` are run a second time. Trials that an earlier confirmation finished are
    taken from the memory, so an interrupted one can be repeated, and nothing is opened for it again. `say` is told
    beforehand what is confirmed, what it will cost, and whether the locked split was opened before.

    Raises: NotFound, ConfigError, BusyError; KeyboardInterrupt with everything finished remembered.
    """
    with Memory.open(home, create=False) as memory:
        row = memory.campaign(campaign_name)
        check_own(row)
        config = CampaignConfig.model_validate(row.config)
        contained, settings = laid_over(config.sandbox, sandbox_flags), confirm_settings(config.confirm, flags)
        execution = executed_as(row, config.training, training_flags)
        task = task_of(config, execution)
        if task.spec.id != row.task.id:
            raise ConfigError(
                f"the data of task {config.task!r} changed since campaign {row.name!r} ({row.task.id}, now "
                f"{task.spec.id}): restore it, or run a new campaign on the new data"
            )
        level = task.spec.rungs[-1].level if rung is None else rung
        check_rung(task, level)
        baselines = baselines_for(task.spec, config.baselines)
        cast = _cast(memory, row, ids, baselines, say)
        fresh = tuple(range(FIRST_FRESH_SEED, FIRST_FRESH_SEED + seeds))
        rounds = Rounds(memory, row, task, config, execution, contained, settings, level, workers, on_progress)
        everybody = [candidate for candidate, _ in cast]
        winners = [candidate for candidate, role in cast if role == "candidate"]
        with exclusive(home, row.name, doing="confirmed"):
            for candidate in everybody:
                memory.put_candidate(candidate)
            with rounds.laboratory() as lab:
                say(_cost(rounds.cost(lab, cast, fresh, repeats), workers))
                chosen = rounds.sweep(lab, everybody)
                looks = rounds.looks(everybody, fresh, chosen)
                open_locked(memory, row.id, task, list(looks.values()), say)
                trials = rounds.first(lab, everybody, fresh, chosen)
            again = rounds.second(winners, trials, repeats, chosen) if repeats else []
        return Confirmation(
            campaign=row.name,
            task_id=task.spec.id,
            unit=task.spec.unit,
            rung=level,
            seeds=fresh,
            rows=_rows(cast, trials, chosen),
            duels=_duels(memory, memory.experiments(row.id), cast, baselines, [*trials, *again]),
            repetitions=repetitions([*trials, *again]),
            learning_rates=chosen,
            factors=settings.rates,
            looks={winner.id: earlier_looks(memory, looks[winner.id]) for winner in winners},
            opened=opened_designs(memory, task.spec.id),
        )


def _cast(
    memory: Memory, row: Campaign, ids: Sequence[str], baselines: Sequence[Candidate], say: Say
) -> list[tuple[Candidate, str]]:
    """Who takes part, each once: winners, parents, baselines."""
    known = memory.experiments(row.id)
    winners = [memory.candidate(prefix) for prefix in ids] or [_best_design(row, known, say)]
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


def _best_design(row: Campaign, known: Sequence[Experiment], say: Say) -> Candidate:
    """The design with the best expected loss at the highest rung: the best result of many is partly luck."""
    designs = {
        each.candidate.id: each
        for each in known
        if each.node >= 0 and each.score and each.candidate and not each.failure
    }
    expected = by_expected_loss({name: each.score for name, each in designs.items() if each.score})
    if not expected:
        raise NotFound(f"campaign {row.name!r} has no trained design yet: `netwright resume {row.name}`")
    name, estimate = next(iter(expected.items()))
    best, score = designs[name].candidate, designs[name].score
    assert best is not None and score is not None
    say(
        f"to be confirmed: {best.title} ({name[:10]}), {estimate.mean:.4f} ± {estimate.sd:.4f} {row.task.unit}, the "
        f"best expected of {len(expected)} at rung {score.rung} (measured {-score.value:.4f})"
    )
    return best


def _cost(cost: Cost, workers: int) -> str:
    """What a confirmation will take, in a sentence."""
    if not cost.trainings:
        return "nothing to train: all of it is in the memory"
    took = "" if cost.seconds is None else f", about {max(1, round(cost.seconds / 60))} min with {workers} at a time"
    sweep = f" ({cost.sweep} of them to choose learning rates)" if cost.sweep else ""
    return f"{cost.trainings} trainings{sweep}{took}"


def _rows(
    cast: Sequence[tuple[Candidate, str]], trials: Sequence[Trial], chosen: Mapping[str, ChosenRate]
) -> tuple[Confirmed, ...]:
    rows = [_confirmed(candidate, role, trials, chosen[candidate.id].rate) for candidate, role in cast]
    return tuple(sorted(rows, key=lambda row: float("inf") if row.mean is None else row.mean))


def _confirmed(candidate: Candidate, role: str, trials: Sequence[Trial], rate: float) -> Confirmed:
    mine = of(candidate, trials)
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
        rate=rate,
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
        compared = claims(of(winner, trials), {name: of(rival, trials) for name, rival in rivals.items()})
        duels += [Duel(winner.id, name, rival.title, compared[name]) for name, rival in rivals.items()]
    return tuple(duels)

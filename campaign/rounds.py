"""The trainings of a confirmation.

participants ──factors x sweep seeds, validation split──▶ a learning rate for each
participants ──fresh seeds, locked split────────────────▶ trials
winners ──some of those once more, in another sandbox───▶ repetitions
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import fmean

from netwright.campaign.laboratories import open_laboratory
from netwright.campaign.opening import open_sandbox
from netwright.campaign.single import Progress, train_all
from netwright.config import CampaignConfig, ConfirmConfig, SandboxConfig
from netwright.evaluator.devices import Execution
from netwright.evaluator.rates import ChosenRate, choose_rate
from netwright.evaluator.suite import AnyLaboratory
from netwright.evaluator.tasks import AnyTask
from netwright.memory.records import Campaign, Opening
from netwright.memory.store import Memory
from netwright.types import SWEEP_SEEDS, Candidate, Split, Trial, TrialStatus


@dataclass(frozen=True)
class Cost:
    """Trainings that the memory lacks, how many of them are the sweep's, and about how long all take (None: unknown).

    Where the sweep is still to come, every locked trial counts as missing.
    """

    trainings: int
    sweep: int
    seconds: float | None


@dataclass(frozen=True)
class Rounds:
    """What all trainings of a confirmation have in common."""

    memory: Memory
    row: Campaign
    task: AnyTask
    config: CampaignConfig
    execution: Execution
    contained: SandboxConfig
    settings: ConfirmConfig
    rung: int
    workers: int
    on_progress: Progress

    @contextmanager
    def laboratory(self) -> Iterator[AnyLaboratory]:
        """A laboratory in a sandbox of its own."""
        with open_sandbox(self.contained, slots=self.workers, execution=self.execution) as sandbox:
            yield open_laboratory(
                sandbox,
                self.task,
                self.memory,
                limits=self.contained.limits,
                audit=self.config.audit.strength,
                seeds_at_once=self.settings.seeds_at_once,
                execution=self.execution,
            )

    def sweep(self, lab: AnyLaboratory, candidates: Sequence[Candidate]) -> dict[str, ChosenRate]:
        """Train everybody with every factor and the same seeds; the choice of each, by id."""
        rates = {each.id: self.settings.rates for each in candidates}
        seeds = self._sweep_seeds
        trials = self._train(lab, candidates, seeds, rates, split=Split.VALIDATION) if seeds else []
        return {each.id: self._choice(each, of(each, trials)) for each in candidates}

    def looks(
        self, candidates: Sequence[Candidate], seeds: tuple[int, ...], chosen: Mapping[str, ChosenRate]
    ) -> dict[str, Opening]:
        """What `first` will show of the locked split, by candidate."""
        found = {}
        for each in candidates:
            rate = chosen[each.id].rate
            found[each.id] = Opening(
                task_id=self.task.spec.id, rung=self.rung, candidate_id=each.id, rate=rate, seeds=seeds
            )
        return found

    def first(
        self,
        lab: AnyLaboratory,
        candidates: Sequence[Candidate],
        seeds: Sequence[int],
        chosen: Mapping[str, ChosenRate],
    ) -> list[Trial]:
        """Train every candidate at its learning rate with every seed, and score it on the locked split."""
        return self._train(lab, candidates, seeds, _rates(chosen))

    def second(
        self, winners: Sequence[Candidate], trials: Sequence[Trial], repeats: int, chosen: Mapping[str, ChosenRate]
    ) -> list[Trial]:
        """Run the first finished trials of each winner once more.

        Another sandbox has another zygote: not even the places of things in memory are as they were.
        """
        seeds = {winner.id: [t.seed for t in of(winner, trials) if t.status is TrialStatus.DONE] for winner in winners}
        with self.laboratory() as lab:
            found = [
                self._train(lab, [winner], seeds[winner.id][:repeats], _rates(chosen), repeat=1) for winner in winners
            ]
        return [trial for trials in found for trial in trials]

    def cost(
        self, lab: AnyLaboratory, cast: Sequence[tuple[Candidate, str]], seeds: Sequence[int], repeats: int
    ) -> Cost:
        """What is still to be trained, and how long that takes at the pace of what the memory has of the task."""
        parts = {each.id: self._missing(lab, each, role, seeds, repeats) for each, role in cast}
        pace = self._pace()
        seconds = None
        if pace:
            usual = fmean(pace.values())
            seconds = sum(sum(part) * pace.get(each, usual) for each, part in parts.items()) / self.workers
        return Cost(sum(map(sum, parts.values())), sum(sweep for sweep, _ in parts.values()), seconds)

    def _missing(
        self, lab: AnyLaboratory, candidate: Candidate, role: str, seeds: Sequence[int], repeats: int
    ) -> tuple[int, int]:
        """How many trainings of its sweep the memory lacks, and how many others."""
        swept = [t for rate in self.settings.rates for t in self._known(lab, candidate, rate, self._sweep_seeds)]
        again = seeds[:repeats] if role == "candidate" else ()
        missing = len(self.settings.rates) * len(self._sweep_seeds) - len(swept)
        if missing:
            return missing, len(seeds) + len(again)
        rate = self._choice(candidate, swept).rate
        known = len(self._known(lab, candidate, rate, seeds, Split.TEST))
        return 0, len(seeds) + len(again) - known - len(self._known(lab, candidate, rate, again, Split.TEST, repeat=1))

    def _known(
        self,
        lab: AnyLaboratory,
        candidate: Candidate,
        rate: float,
        seeds: Sequence[int],
        split: Split = Split.VALIDATION,
        *,
        repeat: int = 0,
    ) -> list[Trial]:
        task_id = self.task.spec.id
        found = [
            self.memory.trial(candidate.id, task_id, self.rung, seed, split, repeat=repeat, rate=rate, tier=lab.tier)
            for seed in seeds
        ]
        return [trial for trial in found if trial is not None]

    @property
    def _sweep_seeds(self) -> Sequence[int]:
        """None where there is nothing to choose from."""
        return SWEEP_SEEDS[: self.settings.sweep_seeds] if len(self.settings.rates) > 1 else ()

    def _choice(self, candidate: Candidate, swept: Sequence[Trial]) -> ChosenRate:
        return choose_rate(candidate.id, swept) if swept else ChosenRate(candidate.id, self.settings.rates[0])

    def _pace(self) -> dict[str, float]:
        """Seconds that a training at this rung takes, by candidate; from another rung in proportion to the tokens."""
        tokens = {rung.level: rung.tokens for rung in self.task.spec.rungs}
        seconds: dict[str, list[float]] = {}
        for trial in self.memory.trials(self.task.spec.id, split=Split.VALIDATION):
            if trial.status is TrialStatus.DONE and trial.rung in tokens:
                share = tokens[self.rung] / tokens[trial.rung]
                seconds.setdefault(trial.candidate_id, []).append(share * trial.usage.wall_seconds)
        return {each: fmean(known) for each, known in seconds.items()}

    def _train(
        self,
        lab: AnyLaboratory,
        candidates: Sequence[Candidate],
        seeds: Sequence[int],
        rates: Mapping[str, Sequence[float]],
        *,
        split: Split = Split.TEST,
        repeat: int = 0,
    ) -> list[Trial]:
        return train_all(
            self.memory,
            lab,
            candidates,
            seeds=seeds,
            rung=self.rung,
            workers=self.workers,
            on_progress=self.on_progress,
            rates=rates,
            split=split,
            repeat=repeat,
            campaign_id=self.row.id,
        )


def of(candidate: Candidate, trials: Sequence[Trial]) -> list[Trial]:
    """The candidate's own among the trials."""
    return [trial for trial in trials if trial.candidate_id == candidate.id]


def _rates(chosen: Mapping[str, ChosenRate]) -> dict[str, tuple[float, ...]]:
    return {candidate_id: (choice.rate,) for candidate_id, choice in chosen.items()}

"""The campaign itself: baselines first, then actions of the search until the budget is spent, then the finalists.

    ask -> expand (several at once) -> remember -> tell -> ask ...

A campaign that was interrupted replays its log of actions through the search, which is thereby as it was, and goes
on with the actions that had no result yet.
"""

from __future__ import annotations

import asyncio
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from netwright.campaign.board import Board
from netwright.campaign.chronicle import Chronicle
from netwright.campaign.designing import NO_REPLY
from netwright.campaign.ensemble import Ensemble
from netwright.campaign.expansion import Expander, remembered
from netwright.campaign.inbox import Inbox
from netwright.campaign.lessons import Lessons
from netwright.campaign.library import Library
from netwright.campaign.recording import Recording
from netwright.campaign.sketchbook import Sketchbook
from netwright.campaign.slots import Interrupted, Slots
from netwright.campaign.work import Work
from netwright.errors import CapReached, ProviderError, ReplayError, SandboxError
from netwright.evaluator.baselines import baselines_for
from netwright.evaluator.protocol import prices
from netwright.evaluator.statistics import noise_floor, score_of
from netwright.memory.records import Campaign, ExperimentRecord
from netwright.memory.store import Memory
from netwright.search.policy import Observation, Policy
from netwright.types import Action, Candidate, Operator, Score, Structure, Trial, TrialStatus

BASELINE_SEEDS = (0, 1)
FINAL_DESIGNS, FINAL_BASELINES = 3, 2
SILENT_ENDPOINT_LIMIT = 5
FUTILE_FACTOR, FUTILE_START = 4, 20


@dataclass(frozen=True)
class Parts:
    """What a campaign is made of."""

    memory: Memory
    row: Campaign
    policy: Policy
    expander: Expander
    slots: Slots
    board: Board
    chronicle: Chronicle
    sketchbook: Sketchbook
    library: Library | None
    lessons: Lessons | None
    ensemble: Ensemble | None
    ordered: bool
    recording: Recording | None = None


class Scheduler:
    """Runs one campaign to its end, or until `stop` is called."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._board = parts.board
        self._config = parts.board.config
        order = parts.recording.order if parts.recording is not None else None
        self._inbox = Inbox(ordered=parts.ordered, order=order)
        self._running: dict[asyncio.Task[tuple[int, ExperimentRecord]], Action] = {}
        self._asked = 0
        self._expanding = 0
        self._silent = 0
        self._capped: CapReached | None = None
        self._last_screened: asyncio.Event | None = None
        self._undecided: list[Work] = []
        self._closing: set[int] = set()
        self._round: tuple[bool, int] | None = None

    async def run(self) -> None:
        """Carry the campaign to its end.

        Raises: Interrupted (state saved); ProviderError when the endpoint stays silent; SandboxError; StoreError.
        """
        try:
            self._board.phase = "training the baselines"
            await self._baselines()
            self._board.phase = "searching"
            await self._go_on()
            if self._parts.recording is not None:
                self._board.phase = f"replaying {self._parts.recording.source.name}"
                await self._follow(self._parts.recording)
                return
            await self._search()
            self._board.phase = "training the finalists"
            await self._close()
        finally:
            await self._abandon()

    def stop(self) -> None:
        """Kill what runs; `run` then raises Interrupted."""
        self._parts.slots.stop()
        if self._parts.lessons is not None:
            self._parts.lessons.stop()
        for task in self._running:
            task.cancel()

    # -- baselines ---------------------------------------------------------------------------------------------

    async def _baselines(self) -> None:
        candidates = baselines_for(self._parts.row.task, self._config.baselines)
        jobs = [(candidate, seed) for seed in BASELINE_SEEDS for candidate in candidates]
        tasks = [asyncio.create_task(self._baseline_trial(candidate, seed)) for candidate, seed in jobs]
        try:
            trials = await asyncio.gather(*tasks)
        finally:
            await _cancelled(tasks)
        if not any(trial.status is TrialStatus.DONE for trial in trials):
            raise SandboxError(f"no baseline could be trained ({trials[0].reason}); run `netwright doctor`")
        self._parts.chronicle.noise = noise_floor(trials)
        if self._config.search.early_stop:
            self._parts.expander.compare_with(trials)
        known = {record.node for record in self._parts.memory.experiments(self._parts.row.id) if not record.action}
        for node, candidate in zip(itertools.count(-1, -1), candidates, strict=False):
            record = self._baseline_record(node, candidate, [t for t in trials if t.candidate_id == candidate.id])
            # Remembered once: after a promotion its first score would pass for the latest.
            if node not in known:
                self._parts.memory.remember(self._parts.row.id, record)
            self._parts.expander.know(candidate, node)
            self._learn(record, candidate, None)

    async def _baseline_trial(self, candidate: Candidate, seed: int) -> Trial:
        self._parts.memory.put_candidate(candidate)
        trial = await self._parts.expander.trial(candidate, rung=0, seed=seed, purpose="baseline")
        self._parts.memory.update_campaign(self._parts.row.id, elapsed_seconds=self._board.elapsed_seconds)
        return trial

    def _baseline_record(self, node: int, candidate: Candidate, trials: list[Trial]) -> ExperimentRecord:
        score = score_of(trials, self._parts.chronicle.noise)
        return ExperimentRecord(
            node=node,
            operator=Operator.BASELINE,
            candidate_id=candidate.id,
            score=score,
            stage="" if score else f"training: {trials[0].status.value}",
            failure="" if score else trials[0].reason,
        )

    # -- the search --------------------------------------------------------------------------------------------

    async def _follow(self, recording: Recording) -> None:
        """Take the recorded choices from where the log of actions ends, each once the search knows what it knew then.

        Raises: ReplayError when something that had a result then has none now.
        """
        for action in recording.actions:
            if action.index >= self._asked:
                await self._hear(action.told)
                self._resume_choice(action)
                self._expanding += action.kind == "expand"
                self._log_and_start(action)
        await self._hear(len(recording.order))

    async def _hear(self, count: int) -> None:
        """Wait until the search was told so many results."""
        while self._inbox.told < count:
            if await self._tell_next():
                continue
            if not self._running:
                raise ReplayError("an action that had a result then has none now, as a cap has no room for its calls")
            await self._arrival()

    async def _go_on(self) -> None:
        """Put the search where the log of actions says it was, and start again what had no result."""
        memory, row = self._parts.memory, self._parts.row
        done = {record.action.index: record for record in memory.experiments(row.id) if record.action is not None}
        for index, record in done.items():
            self._inbox.put(index, record)
            self._know_designs(record)
        for logged in memory.actions(row.id):
            action = logged.action
            while self._inbox.told < action.told and await self._tell_next():
                pass
            self._resume_choice(action)
            self._asked = action.index + 1
            self._expanding += action.kind == "expand"
            if action.index not in done:
                work = self._start(action)
                self._undecided += [work] if action.kind == "expand" else []

    def _resume_choice(self, action: Action) -> None:
        if action.closing:
            self._closing.add(action.parents[0])
            self._round = (action.parents[0] < 0, action.told)
            return
        self._round = None
        structure = self._parts.sketchbook.claim(self._parts.chronicle, action)
        self._parts.policy.resume(action, structure)

    def _know_designs(self, record: ExperimentRecord) -> None:
        ids = [attempt.candidate_id for attempt in record.attempts]
        for candidate_id in [*ids, record.candidate_id]:
            if candidate_id and record.action and record.action.kind == "expand":
                self._parts.expander.know(self._parts.memory.candidate(candidate_id), record.action.index)

    async def _search(self) -> None:
        while True:
            # Whatever may be asked, then one result: told in order, the search knows at action n exactly what it
            # knew at action n in any other run, however many results came in at once.
            while self._may_ask():
                self._ask()
            if await self._tell_next():
                continue
            if not self._running:
                return
            await self._arrival()

    async def _tell_next(self) -> bool:
        record = self._inbox.take()
        if record is None:
            return False
        self._tell(record)
        if self._parts.lessons is not None and record.action is not None and not record.action.closing:
            try:
                await self._parts.lessons.after(self._inbox.told)
            except asyncio.CancelledError:
                if self._parts.slots.stopped:
                    raise Interrupted from None
                raise
        return True

    def _may_ask(self) -> bool:
        budget, board = self._config.budget, self._board
        if self._asked - self._inbox.told >= self._config.window:
            return False
        if self._capped or self._must_be_decided() or self._is_futile():
            return False
        if board.elapsed_seconds >= budget.minutes * 60 - self._closing_seconds():
            return False
        return board.trained + self._expanding < budget.trials

    def _must_be_decided(self) -> bool:
        """Whether something that was started again may yet turn out to be what a cap has no room for.

        It was refused before, so nothing new that is cheaper may be asked in its place.
        """
        return bool(self._config.budget.caps) and not all(work.screened.is_set() for work in self._undecided)

    def _is_futile(self) -> bool:
        return self._asked >= FUTILE_START + FUTILE_FACTOR * self._config.budget.trials

    def note(self) -> str:
        """Why the campaign ended before its budget of trained candidates was spent; empty where it was."""
        trained, wanted = self._board.trained, self._config.budget.trials
        if self._parts.recording is not None:
            return f"replayed all that campaign {self._parts.recording.source.name!r} came to"
        if trained >= wanted:
            return ""
        if self._capped:
            flag = f"--{self._capped.cap.replace('_', '-')}"
            return (
                f"ended with {trained} of {wanted} candidates trained: {self._capped}; raise it and go on with "
                f"`netwright resume {self._parts.row.name} {flag} MORE`"
            )
        why = "most proposals failed" if self._is_futile() else "its time was over"
        return f"ended with {trained} of {wanted} candidates trained: {why}; raise the budget to go on"

    def _closing_seconds(self) -> float:
        """What the trials in flight and the finalists will still take, from the pace of the trials so far.

        At most a quarter of the budget: on a slow machine it is better to end a little late than to try nothing.
        """
        board = self._board
        rounds = math.ceil(len(self._finalists()) / self._config.workers)
        pace = board.busy_seconds / board.work_done if board.work_done else 0.0
        seconds = pace * (1 + rounds * prices(board.task)[-1])
        return min(seconds, self._config.budget.minutes * 60 / 4)

    def _finalists(self) -> list[int]:
        """The best designs and the best baselines that were not trained at the highest rung."""
        top = self._board.task.rungs[-1].level
        chronicle = self._parts.chronicle
        scores = {node: chronicle.node(node).score for node in chronicle.finalists(FINAL_DESIGNS, FINAL_BASELINES)}
        return [node for node, score in scores.items() if score is not None and score.rung < top]

    def _ask(self) -> None:
        parts = self._parts
        chosen = parts.policy.ask(self._asked, parts.sketchbook.sketcher(parts.chronicle))
        parts.sketchbook.claim(parts.chronicle, chosen)
        cards = parts.library.latest if parts.library is not None else 0
        action = chosen.model_copy(update={"told": self._inbox.told, "cards": cards})
        if parts.ensemble is not None and action.kind == "expand":
            action = parts.ensemble.drawn(action)
        self._expanding += action.kind == "expand"
        self._round = None
        self._log_and_start(action)

    def _log_and_start(self, action: Action) -> None:
        if action.designs is None:
            action = action.model_copy(update={"designs": self._config.budget.trials})
        self._parts.memory.put_action(self._parts.row.id, action)
        self._asked = action.index + 1
        self._start(action)

    def _start(self, action: Action) -> Work:
        work = Work(action=action, contexts=self._parts.chronicle.snapshot(), noise=self._parts.chronicle.noise)
        if self._inbox.ordered and action.kind == "expand":
            work.after, self._last_screened = self._last_screened, work.screened
        task = asyncio.create_task(self._parts.expander.run(work), name=f"action {action.index}")
        self._running[task] = action
        return work

    async def _arrival(self) -> None:
        done, _ = await asyncio.wait(self._running, return_when=asyncio.FIRST_COMPLETED)
        if self._parts.slots.stopped:
            raise Interrupted
        # Tasks that ended together come as a set; the search is told in the order that the memory keeps.
        for _, record, action in sorted(
            ((*ended, self._running.pop(task)) for task in done if (ended := self._ended(task))), key=itemgetter(0)
        ):
            self._inbox.put(action.index, record)
            self._watch_endpoint(record)

    def _ended(self, task: asyncio.Task[tuple[int, ExperimentRecord]]) -> tuple[int, ExperimentRecord] | None:
        """What a task brought. None: a cap kept it from its proposal, so the search ends, and the action stays open.

        Whoever goes on with more to spend starts it again.
        """
        try:
            return task.result()
        except CapReached as reached:
            self._capped = reached
            del self._running[task]
            return None

    # -- what a result changes ---------------------------------------------------------------------------------

    def _tell(self, record: ExperimentRecord) -> None:
        action = record.action
        assert action is not None
        if action.kind == "expand":
            self._expanding -= 1
            self._board.trained += record.score is not None
        else:
            self._board.promoted += 1
        candidate = self._parts.memory.candidate(record.candidate_id) if record.candidate_id else None
        self._learn(record, candidate, action)
        if self._parts.ensemble is not None:
            self._parts.ensemble.learn(record)
        self._parts.memory.put_node_statistics(self._parts.row.id, self._parts.policy.node_statistics())
        self._parts.memory.update_campaign(self._parts.row.id, elapsed_seconds=self._board.elapsed_seconds)

    def _learn(self, record: ExperimentRecord, candidate: Candidate | None, action: Action | None) -> None:
        score = record.score
        structure = self._parts.sketchbook.know(candidate) if candidate is not None else None
        if candidate is not None and (action is None or action.kind == "expand" or score is not None):
            self._parts.chronicle.enter(record.node, remembered(record, candidate), record.parents)
        if action is None or not action.closing:
            self._parts.policy.tell(observation(record, action, structure))
            self._parts.chronicle.preferences = self._parts.policy.preferences()
        if candidate is not None and score is not None and not record.failure:
            self._celebrate(record, candidate, score)

    def _celebrate(self, record: ExperimentRecord, candidate: Candidate, score: Score) -> None:
        is_baseline = record.node < 0
        if self._board.leads(candidate.id, candidate.title, score, baseline=is_baseline) and not is_baseline:
            self._board.news.append(
                f"best so far: {candidate.title} ({candidate.id[:10]}), {-score.value:.4f} {self._board.task.unit} at "
                f"rung {score.rung}"
            )

    def _watch_endpoint(self, record: ExperimentRecord) -> None:
        if record.action is not None and record.action.kind == "expand":
            self._silent = self._silent + 1 if record.stage in NO_REPLY else 0
        patience = SILENT_ENDPOINT_LIMIT * max(1, len(self._config.llm.models))
        if self._silent >= patience and self._parts.recording is None:
            raise ProviderError(
                f"the endpoint gave no answer {self._silent} times in a row (last: {record.failure}); everything is "
                f"saved: mend the endpoint, then `netwright resume {self._parts.row.name}`"
            )

    # -- the end -----------------------------------------------------------------------------------------------

    async def _close(self) -> None:
        """Train the best baselines, then the best designs, at the highest rung, so that they can be compared."""
        for baselines in (True, False):
            self._promote([node for node in self._finalists() if (node < 0) is baselines], baselines)
            while self._running:
                await self._arrival()
                while await self._tell_next():
                    pass

    def _promote(self, nodes: list[int], baselines: bool) -> None:
        """Log and start the finalists of one kind; all of them know what the first of them knew."""
        for node in nodes:
            if node in self._closing:
                continue
            if self._round is None or self._round[0] is not baselines:
                self._round = (baselines, self._inbox.told)
            rung, told = self._board.task.rungs[-1].level, self._round[1]
            self._log_and_start(
                Action(index=self._asked, kind="promote", parents=(node,), rung=rung, told=told, closing=True)
            )

    async def _abandon(self) -> None:
        """Wait until what was started has ended, one way or the other."""
        await _cancelled(list(self._running))


async def _cancelled(tasks: Sequence[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def observation(record: ExperimentRecord, action: Action | None, structure: Structure | None = None) -> Observation:
    """What the search is told of a record: what has no score failed, and can be mended unless it was only hopeless."""
    score = record.score if not record.failure else None
    return Observation(
        action=action,
        node=record.node,
        value=score.value if score else None,
        standard_error=score.standard_error if score else 0.0,
        rung=action.rung if action else 0,
        repairable=record.stage.startswith(("training", "gate")) and not record.stage.endswith(TrialStatus.STOPPED),
        structure=structure,
    )

"""What a campaign is doing right now, for whoever draws it.

Worker threads write single attributes, the drawing thread only reads: no reader ever waits, and a reader may see
a slot a moment late.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from dataclasses import dataclass, field

from netwright.campaign.waiting import Waiting
from netwright.config import CampaignConfig
from netwright.memory.model_use import ModelUse
from netwright.types import Score, TaskSpec


@dataclass
class Slot:
    """One training slot: what it trains, how far it is, and since when (monotonic seconds)."""

    title: str
    purpose: str
    since: float
    step: int = 0
    steps: int = 0
    loss_nats: float | None = None


@dataclass(frozen=True)
class Writing:
    """An answer that a model is writing: for which role, its tokens so far (estimated), since how many seconds."""

    role: str
    tokens: int
    seconds: float

    @property
    def tokens_per_second(self) -> float:
        return self.tokens / max(self.seconds, 1e-3)


@dataclass
class Leader:
    """The best of a kind so far."""

    candidate_id: str
    title: str
    score: Score


@dataclass
class Board:
    """The state that is shown while a campaign runs.

    `elapsed_before` is the time of earlier sessions, in seconds. `busy_seconds` is what this session's trials took,
    `work_done` their training budgets in units of the lowest rung's. Tokens and `llm_cost` (None: nothing has a price)
    are of all sessions. `models` are those to draw from, where there are several. `news` waits for whoever shows it.
    `serving` is how the start of a model server goes along, empty when there is none on its way. What `waiting`
    measures is not the campaign's time.
    """

    name: str
    task: TaskSpec
    config: CampaignConfig
    tier: str = ""
    layers: str = ""
    elapsed_before: float = 0.0
    started: float = field(default_factory=time.monotonic)
    phase: str = "starting"
    trained: int = 0
    promoted: int = 0
    duplicates: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    slots: dict[int, Slot] = field(default_factory=dict)
    busy_seconds: float = 0.0
    work_done: float = 0.0
    best: Leader | None = None
    best_baseline: Leader | None = None
    prompt_tokens: int = 0
    prefix_tokens: int = 0
    completion_tokens: int = 0
    llm_cost: float | None = None
    serving: str = ""
    models: list[ModelUse] = field(default_factory=list)
    writing: dict[tuple[str, int], Writing] = field(default_factory=dict)
    news: deque[str] = field(default_factory=deque)
    waiting: Waiting = field(default_factory=Waiting)

    @property
    def elapsed_seconds(self) -> float:
        """Wall clock over all sessions of the campaign, less the time in which it only waited for a person."""
        return self.elapsed_before + self._session_seconds()

    def _session_seconds(self) -> float:
        return time.monotonic() - self.started - self.waiting.seconds

    def remaining_seconds(self) -> float | None:
        """Estimated time to the last candidate, from the pace so far; None where there is nothing to go by."""
        wanted = self.config.budget.trials - self.trained
        if not self.trained or wanted <= 0:
            return None
        left = self.config.budget.minutes * 60 - self.elapsed_seconds
        return max(0.0, min(left, self.elapsed_seconds / self.trained * wanted))

    def slot_use(self) -> float:
        """The share of (slots x wall time of this session) spent inside training and scoring."""
        wall = self._session_seconds()
        running = sum(time.monotonic() - slot.since for slot in list(self.slots.values()))
        return (self.busy_seconds + running) / (wall * self.config.workers)

    def leads(self, candidate_id: str, title: str, score: Score, *, baseline: bool) -> bool:
        """Take the score in; True when it is the best so far of its kind at the highest rung seen."""
        current = self.best_baseline if baseline else self.best
        if current and (score.rung, score.value) <= (current.score.rung, current.score.value):
            return False
        leader = Leader(candidate_id, title, score)
        if baseline:
            self.best_baseline = leader
        else:
            self.best = leader
        return True

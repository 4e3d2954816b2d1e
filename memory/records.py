"""What the memory hands out and takes in beyond the shared vocabulary."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from netwright.types import (
    Action,
    Candidate,
    Frozen,
    JsonDict,
    Operator,
    Remembered,
    Score,
    TaskSpec,
    Verdict,
)

CampaignStatus = Literal["running", "interrupted", "finished", "failed"]


class Campaign(Frozen):
    """One discovery run as the memory knows it; `config` is whatever its maker needs to continue it."""

    id: int
    name: str
    task: TaskSpec
    seed: int
    config: JsonDict
    status: CampaignStatus
    started_at: datetime
    finished_at: datetime | None = None
    elapsed_seconds: float = 0.0
    note: str = ""


class Attempt(Frozen):
    """A try on the way to an experiment that came to nothing: a rejected proposal, a repair that failed."""

    candidate_id: str | None = None
    failure: str
    stage: str = ""


class ExperimentRecord(Frozen):
    """What one action came to, remembered in one transaction.

    `node` is the action's index for an expansion, `action.parents[0]` for a promotion, negative for a
    baseline (`action` None). `stage` says where a failure happened, e.g. `gate:causality`, `train:diverged`,
    `planner`; an experiment failed exactly if `failure` is not empty. `parent_ids` are the candidates of
    `parents`.
    """

    node: int
    action: Action | None = None
    operator: Operator
    parents: tuple[int, ...] = ()
    parent_ids: tuple[str, ...] = ()
    candidate_id: str | None = None
    score: Score | None = None
    verdict: Verdict | None = None
    failure: str = ""
    stage: str = ""
    attempts: tuple[Attempt, ...] = ()
    seconds: float = 0.0


class Experiment(ExperimentRecord):
    """A record with its candidate and with what the search makes of its node (None: no statistics yet)."""

    candidate: Candidate | None
    visits: int = 0
    value: float | None = None

    @property
    def remembered(self) -> Remembered | None:
        """As planners and critics see it; None where no candidate came out of the action."""
        if self.candidate is None:
            return None
        return Remembered(
            candidate=self.candidate,
            operator=self.operator,
            score=self.score,
            verdict=self.verdict,
            failure=self.failure,
        )


class ActionRecord(Frozen):
    """An action of the search and what became of it; `candidate_id` and `failure` are set once it is done."""

    action: Action
    state: Literal["asked", "done"]
    candidate_id: str | None = None
    failure: str = ""


class Review(Frozen):
    """What a person decided about a design before it was trained.

    `position` is 0 for the first question about it in that action. `note` is the reason of a rejection, `edited_id` the
    design that an edit made of it.
    """

    action: int
    candidate_id: str
    position: int = 0
    decision: Literal["approve", "reject", "edit"]
    note: str = ""
    edited_id: str | None = None


class Lesson(Frozen):
    """A general claim with its evidence: the candidates whose verdicts speak for it and against it.

    `retired` says why it stands no longer; empty while it does.
    """

    id: int
    claim: str
    task_id: str
    supporting: tuple[str, ...] = ()
    opposing: tuple[str, ...] = ()
    campaigns: tuple[str, ...] = ()
    first_seen: datetime
    retired: str = ""


class Opening(Frozen):
    """One look at the locked split: at `rung`, with `rate` times its learning rate and `seeds`, a candidate was scored.

    Remembered before the first training of that look, so that one which was cut short counts too.
    """

    task_id: str
    rung: int
    candidate_id: str
    rate: float = 1.0
    seeds: tuple[int, ...]

    def covers(self, other: Opening) -> bool:
        """Whether `other` would show nothing that this one did not open."""
        same = (self.task_id, self.rung, self.candidate_id, self.rate)
        return same == (other.task_id, other.rung, other.candidate_id, other.rate) and set(other.seeds) <= set(
            self.seeds
        )


class Knowledge(Frozen):
    """Outside knowledge offered to planners: a known building block, a paper's claim, a user's hint."""

    kind: str
    title: str
    text: str
    source: str = ""


class CallHabit(Frozen):
    """What the answered calls of a role were like on average, over `calls` of them: tokens, and seconds of one.

    `per_candidate` is how often the role was asked, by whatever model, for each candidate that was trained.
    """

    calls: int
    per_candidate: float
    prompt_tokens: float
    completion_tokens: float
    seconds: float


class Asked(Frozen):
    """The calls of one role to one model, and the tokens that it read and wrote."""

    role: str
    model: str
    calls: int
    prompt_tokens: int
    completion_tokens: int


class LlmTotals(Frozen):
    """What endpoint calls cost; `tokens_estimated` says that some counts were not the server's.

    `prefix_tokens` of the prompts had been said to the same model before, which is the `prefix_share` of those that
    were measured; `cached_share` is what servers say that they had kept, of the prompts of which they say it.

    `by_role` counts calls by who asked, `asked` has calls and tokens by who asked whom.
    """

    calls: int = 0
    failed: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    seconds: float = 0.0
    tokens_estimated: bool = False
    prefix_tokens: int = 0
    prefix_share: float | None = None
    cached_share: float | None = None
    by_role: dict[str, int] = Field(default_factory=dict)
    asked: tuple[Asked, ...] = ()

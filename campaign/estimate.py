"""What a campaign with models may be expected to cost, and which of its bounds ends it first. Pure.

A role's calls are taken to be like those that it made in earlier campaigns, on average. A role that made none is taken
to ask what one candidate takes that is mended once, by prompts as long as those for this task are, and to be answered
at full length.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from netwright.config import CampaignConfig


@dataclass(frozen=True)
class Calls:
    """What calls of `role` are like: tokens and seconds of one, and how many there are for each trained candidate.

    `like` says how this is known: how many earlier calls it is the average of, 0 where it is the size of a prompt and
    of the longest answer. `seconds` is None where nobody knows how fast the model is.
    """

    role: str
    model: str
    per_candidate: float
    prompt_tokens: float
    completion_tokens: float
    seconds: float | None
    like: int = 0
    same_task: bool = False


@dataclass(frozen=True)
class Expected:
    """What all calls of a role come to; `cost` is None where it has no price."""

    calls_like: Calls
    calls: int
    prompt_tokens: int
    completion_tokens: int
    seconds: float | None
    cost: float | None


@dataclass(frozen=True)
class Estimate:
    """What a campaign is expected to take if only its number of candidates ended it, and what ends it really.

    `answer_seconds` is the wall time of the calls, `training_seconds` that of the trainings; both go on at once.
    `first` is the bound that ends it, `candidates` about how many are trained by then.
    """

    roles: tuple[Expected, ...]
    answer_seconds: float | None
    training_seconds: float | None
    first: str
    candidates: int

    @property
    def calls(self) -> int:
        return sum(each.calls for each in self.roles)

    @property
    def prompt_tokens(self) -> int:
        return sum(each.prompt_tokens for each in self.roles)

    @property
    def completion_tokens(self) -> int:
        return sum(each.completion_tokens for each in self.roles)

    @property
    def cost(self) -> float | None:
        """The cost of the roles that have prices; None where none has."""
        known = [each.cost for each in self.roles if each.cost is not None]
        return sum(known) if known else None

    @property
    def wall_seconds(self) -> float | None:
        """The longer of answers and trainings, as far as they are known; None where neither is."""
        known = [each for each in (self.answer_seconds, self.training_seconds) if each is not None]
        return max(known, default=None)


def estimate(
    config: CampaignConfig, calls: Sequence[Calls], *, at_once: int, training_seconds: float | None
) -> Estimate:
    """Estimate the campaign of `config`; `at_once` calls are answered at once, `training_seconds` is wall time."""
    trials = config.budget.trials
    roles = tuple(_expected(config, each) for each in calls)
    known = [each.seconds for each in roles if each.seconds is not None]
    answers = sum(known) / at_once if len(known) == len(roles) else None
    whole = Estimate(roles, answers, training_seconds, "trials", trials)
    expected = {
        "minutes": None if whole.wall_seconds is None else whole.wall_seconds / 60,
        "llm_calls": whole.calls,
        "llm_tokens": whole.prompt_tokens + whole.completion_tokens,
        "llm_cost": whole.cost,
    }
    first, share = _first({"minutes": config.budget.minutes, **config.budget.caps}, expected)
    return Estimate(roles, answers, training_seconds, first, min(trials, math.floor(trials * share)))


def _expected(config: CampaignConfig, calls: Calls) -> Expected:
    number = calls.per_candidate * config.budget.trials
    read, written = round(number * calls.prompt_tokens), round(number * calls.completion_tokens)
    seconds = None if calls.seconds is None else number * calls.seconds
    cost = config.llm.asked_by(calls.role, calls.model).cost(read, written)
    return Expected(calls, round(number), read, written, seconds, cost)


def _first(bounds: Mapping[str, float], expected: Mapping[str, float | None]) -> tuple[str, float]:
    """The bound that is met first, and the share of the campaign that is done by then; `trials` and 1 if none is."""
    shares = {name: bound / amount for name, bound in bounds.items() if (amount := expected[name])}
    met = {name: share for name, share in shares.items() if share < 1}
    return min(met.items(), key=lambda item: item[1], default=("trials", 1.0))

"""Which model designs next: what each buys for what it costs, learned by operator."""

from collections import Counter
from collections.abc import Mapping

import numpy as np
import pytest

from netwright.search.models import ModelBandit, reward
from netwright.types import Interval, Operator, Outcome, Verdict

IN_FLIGHT = 4
Rates = Mapping[Operator, float]


def played(arms: Mapping[str, tuple[Rates, float]], designs: int, seed: int) -> list[tuple[str, Operator]]:
    """The choices of a bandit whose designs improve at given rates, for a given cost, told a few designs late."""
    bandit, rng = ModelBandit(list(arms), seed=seed), np.random.default_rng(1000 + seed)
    operators = list(next(iter(arms.values()))[0])
    choices: list[tuple[str, Operator]] = []
    told = 0
    for index in range(designs):
        operator = operators[index % len(operators)]
        choices.append((bandit.choose(index, operator), operator))
        if index - told >= IN_FLIGHT:
            model, tried = choices[told]
            rates, cost = arms[model]
            bandit.tell(model, tried, float(rng.random() < rates[tried]), cost * rng.lognormal(0.0, 0.3))
            told += 1
    return choices


def late_shares(arms: Mapping[str, tuple[Rates, float]], designs: int = 200, seeds: int = 20) -> Counter[object]:
    """The share of each choice in the second half of many campaigns, by model and by (model, operator)."""
    late = [choice for seed in range(seeds) for choice in played(arms, designs, seed)[designs // 2 :]]
    by_operator = Counter(operator for _, operator in late)
    shares: Counter[object] = Counter({model: n / len(late) for model, n in Counter(m for m, _ in late).items()})
    shares.update({choice: n / by_operator[choice[1]] for choice, n in Counter(late).items()})
    return shares


def refining(rate: float, cost: float = 1.0) -> tuple[Rates, float]:
    return {Operator.REFINE: rate}, cost


def test_the_model_that_improves_most_often_is_asked_most():
    shares = late_shares({"rare": refining(0.1), "often": refining(0.4), "seldom": refining(0.2)})

    assert shares["often"] > 0.7 > 0.25 > max(shares["rare"], shares["seldom"])


def test_what_counts_is_what_comes_for_the_cost():
    shares = late_shares({"good and dear": refining(0.4, 20_000), "fair and cheap": refining(0.3, 5_000)})

    assert shares["fair and cheap"] > 0.8


def test_a_model_that_costs_next_to_nothing_is_not_asked_for_ever_without_a_result():
    shares = late_shares({"good": refining(0.4, 10_000), "cheap and useless": refining(0.0, 100)})

    assert shares["good"] > 0.8


def test_the_best_model_of_each_operator_is_found():
    strong, weak = 0.5, 0.1
    shares = late_shares(
        {
            "drafter": ({Operator.DRAFT: strong, Operator.REFINE: weak}, 1.0),
            "refiner": ({Operator.DRAFT: weak, Operator.REFINE: strong}, 1.0),
        }
    )

    assert shares["drafter", Operator.DRAFT] > 0.7
    assert shares["refiner", Operator.REFINE] > 0.7


def test_what_one_operator_taught_is_believed_of_the_others_at_first():
    bandit = ModelBandit(["good", "bad"], seed=0)
    for _ in range(30):
        bandit.tell("good", Operator.REFINE, 1.0, 1.0)
        bandit.tell("bad", Operator.REFINE, 0.0, 1.0)

    chosen = Counter(bandit.choose(index, Operator.TUNE) for index in range(200))

    assert chosen["good"] > 150 and chosen["bad"] > 0


def test_nobody_who_gives_no_answer_seems_cheap():
    bandit = ModelBandit(["answers", "silent"], seed=0)
    for _ in range(20):
        bandit.tell("answers", Operator.REFINE, 0.4, 5_000.0)
        bandit.tell("silent", Operator.REFINE, 0.0, 0.0)

    assert Counter(bandit.choose(index, Operator.REFINE) for index in range(200))["answers"] > 180


def test_the_same_seed_and_results_choose_the_same_and_another_seed_does_not():
    arms = {"a": refining(0.3), "b": refining(0.2)}

    assert played(arms, 60, seed=1) == played(arms, 60, seed=1) != played(arms, 60, seed=2)


def test_results_of_a_model_that_is_not_there_any_more_teach_nothing():
    bandit = ModelBandit(["a"], seed=0)
    bandit.tell("gone", Operator.DRAFT, 1.0, 1.0)

    assert bandit.choose(0, Operator.DRAFT) == "a"


@pytest.mark.parametrize(
    ("verdict", "low", "high"),
    [
        (None, 0.0, 0.0),
        (Verdict(outcome=Outcome.FAILED), 0.0, 0.0),
        (Verdict(outcome=Outcome.FIRST), 0.5, 0.5),
        (Verdict(outcome=Outcome.NO_DIFFERENCE, delta_nats=-0.1), 0.5, 0.5),
        (Verdict(outcome=Outcome.NO_DIFFERENCE, delta_nats=0.1), 0.0, 0.0),
        (Verdict(outcome=Outcome.BETTER, delta_nats=-0.4, interval=Interval(low=-0.5, high=-0.3)), 0.99, 1.0),
        (Verdict(outcome=Outcome.NO_DIFFERENCE, delta_nats=-0.1, interval=Interval(low=-0.3, high=0.1)), 0.5, 0.8),
        (Verdict(outcome=Outcome.WORSE, delta_nats=0.4, interval=Interval(low=0.3, high=0.5)), 0.0, 0.0),
    ],
)
def test_a_reward_is_how_surely_the_rival_was_beaten(verdict: Verdict | None, low: float, high: float):
    assert low <= reward(verdict) <= high

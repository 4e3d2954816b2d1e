"""Decisions that led to good results become more probable, and none dies."""

import numpy as np
import pytest

from netwright.agents.genotype import Convolution, Genotype
from netwright.agents.grammar import Grammar
from netwright.choices import flattened
from netwright.search.productions import ProductionBandit


def taught(*results: tuple[dict[str, str], float]) -> ProductionBandit:
    bandit = ProductionBandit()
    for choices, standing in results:
        bandit.update(choices, standing)
    return bandit


def test_without_results_there_is_nothing_to_say() -> None:
    assert ProductionBandit().weights() == {}


def test_what_led_to_good_results_weighs_more_the_more_often_it_did() -> None:
    results = [({"even.body.kind": "memory"}, 0.9), ({"even.body.kind": "attention"}, 0.1)]

    once, often = taught(*results).weights(), taught(*results * 10).weights()

    assert 1.0 < once["even.body.kind"]["memory"] < often["even.body.kind"]["memory"]
    assert 1.0 > once["even.body.kind"]["attention"] > often["even.body.kind"]["attention"]


def test_no_option_dies_and_none_takes_all() -> None:
    weights = taught(*[({"kind": "good"}, 1.0), ({"kind": "bad"}, 0.0)] * 500).weights()

    assert weights == {"kind": {"bad": 0.25, "good": 4.0}}


def test_a_place_without_evidence_of_its_own_goes_by_the_same_decision_elsewhere() -> None:
    elsewhere = [({"even.body.rule.kind": "delta"}, 0.9), ({"even.body.rule.kind": "hebbian"}, 0.1)] * 5

    weights = taught(*elsewhere, ({"odd.body.rule.kind": "hebbian"}, 0.5)).weights()

    assert weights["rule.kind"]["delta"] > 1.0
    assert weights["odd.body.rule.kind"]["hebbian"] < 1.0


def test_an_indifferent_decision_keeps_its_probabilities() -> None:
    results = [({"a": "x", "b": "p"}, 0.8), ({"a": "y", "b": "p"}, 0.2), ({"a": "x", "b": "q"}, 0.8)]

    weights = taught(*results, ({"a": "y", "b": "q"}, 0.2)).weights()

    assert weights["b"] == {"p": 1.0, "q": 1.0}
    assert weights["a"]["x"] > 1.0 > weights["a"]["y"]


def test_the_order_of_results_does_not_matter() -> None:
    rng = np.random.default_rng(0)
    results = [({"a": str(rng.integers(3)), "odd.a": str(rng.integers(3))}, float(rng.random())) for _ in range(60)]

    assert taught(*results).weights() == taught(*reversed(results)).weights()


@pytest.mark.parametrize("standing", [-0.1, 1.1, float("nan"), float("inf")])
def test_a_standing_that_is_none_is_refused(standing: float) -> None:
    with pytest.raises(ValueError, match="share of the results"):
        ProductionBandit().update({"a": "b"}, standing)


def test_a_design_without_choices_teaches_nothing() -> None:
    assert taught(({}, 1.0), ({"a": "x"}, 0.5)).weights() == {"a": {"x": 1.0}}


def test_a_grammar_that_listens_samples_more_of_what_works() -> None:
    """A toy of a campaign: designs with a convolution anywhere stand high, all others low."""
    bandit, rng = ProductionBandit(), np.random.default_rng(1)
    for _ in range(80):
        draft = Grammar(preferences=bandit.weights()).genotype(rng)
        bandit.update(flattened(draft.text()), 0.9 if _convolves(draft) else 0.3)

    learned = [_convolves(Grammar(preferences=bandit.weights()).genotype(rng)) for _ in range(200)]
    before = [_convolves(Grammar().genotype(rng)) for _ in range(200)]

    assert np.mean(learned) > 1.5 * np.mean(before)
    assert not all(learned)


def _convolves(draft: Genotype) -> bool:
    return any(isinstance(leaf, Convolution) for leaf in draft.leaves)

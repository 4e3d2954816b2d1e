"""The value model interpolates, knows what it does not know, and survives whatever structures it is given."""

import numpy as np
import pytest

from netwright.search.acquisition import log_expected_improvement
from netwright.search.calibration import Calibration
from netwright.search.encoding import Encoder, distances, scale_of
from netwright.search.surrogate import SurrogatePolicy
from netwright.search.transfer import Experience
from netwright.search.tree import TreePolicy
from netwright.search.value_model import Belief, ModelSettings, ValueModel, informative
from netwright.types import Structure


def design(letters: str, **numbers: float) -> Structure:
    counts = {f"op:{letter}": float(letters.count(letter)) for letter in set(letters)}
    return Structure(choices={f"place {i}": letter for i, letter in enumerate(letters)}, counts=counts, numbers=numbers)


def words(count: int, seed: int = 0) -> list[str]:
    rng = np.random.default_rng(seed)
    drawn = {"".join(rng.choice(list("abc"), 6)): None for _ in range(20 * count)}
    return list(drawn)[:count]


def value_of(word: str) -> float:
    return word.count("a") + 2.0 * word.startswith("b") - (word[1:3] == "cc")


def taught(names: list[str], settings: ModelSettings | None = None, error: float = 0.0) -> ValueModel:
    model = ValueModel(settings)
    for end in range(1, len(names) + 1):
        known = dict(enumerate(names[:end]))
        model.learn(
            {node: design(name) for node, name in known.items()},
            {node: value_of(name) for node, name in known.items()},
            dict.fromkeys(known, error),
        )
    return model


def apart(left: Structure, right: Structure) -> np.ndarray:
    encoder = Encoder()
    for structure in (left, right):
        encoder.learn(structure)
    bag = encoder.rows([left, right])
    return distances(bag, bag, scale_of(bag.numbers))[:, 0, 1]


def test_a_design_is_at_no_distance_from_itself_and_groups_that_both_lack_do_not_count():
    assert apart(design("abc"), design("abc")) == pytest.approx(0.0)
    assert apart(Structure(), Structure()) == pytest.approx(0.0)


def test_choices_differ_by_the_share_of_decisions_that_either_made():
    one = Structure(choices={"kind": "attention", "depth": "2"})

    assert apart(one, Structure(choices={"kind": "attention", "depth": "3"}))[0] == pytest.approx(0.5)
    assert apart(one, Structure(choices={"kind": "attention"}))[0] == pytest.approx(0.5)
    assert apart(one, Structure())[0] == pytest.approx(1.0)


def test_counts_differ_less_the_larger_they_are():
    def one_more(count: float) -> float:
        return apart(Structure(counts={"op:conv": count}), Structure(counts={"op:conv": count + 1.0}))[1]

    assert one_more(1) > one_more(3) > one_more(20)


def test_a_missing_or_infinite_quantity_is_an_average_one_and_a_difference():
    known, missing = Structure(numbers={"depth": 1.0}), Structure(numbers={"depth": float("inf")})
    encoder = Encoder()
    for depth in (0.0, 2.0):
        encoder.learn(Structure(numbers={"depth": depth}))
    scale = scale_of(encoder.rows([Structure(numbers={"depth": depth}) for depth in (0.0, 2.0)]).numbers)

    found = distances(encoder.rows([known]), encoder.rows([known, missing]), scale)[2, 0]

    assert found[0] == 0.0
    assert found[1] == pytest.approx(1.0)


def test_it_returns_what_it_was_taught_and_foretells_the_rest():
    names = words(120)
    model = taught(names[:80])

    seen, unseen = (model.predict([design(name) for name in part]) for part in (names[:80], names[80:]))

    assert seen.mean == pytest.approx([value_of(name) for name in names[:80]], abs=0.25)
    assert np.corrcoef(unseen.mean, [value_of(name) for name in names[80:]])[0, 1] > 0.9
    assert seen.deviation.mean() < 0.5 * unseen.deviation.mean()


def test_uncertainty_grows_with_the_distance_from_what_is_known():
    model = taught(["aaaaaa", "aaaaab", "aaaaba", "abaaaa", "aacaaa", "aaaaac"])

    deviation = model.predict([design(name) for name in ("aaaaaa", "aaaabb", "aabbbb", "cbcbcb")]).deviation

    assert list(deviation) == sorted(deviation)


def test_an_answer_on_its_way_takes_uncertainty_away_and_leaves_the_mean():
    names = words(40)
    model, asked = taught(names[:30]), [design(name) for name in names[30:]]

    alone, beside = model.predict(asked), model.predict(asked, asked[:2])

    assert beside.mean == pytest.approx(alone.mean)
    assert (beside.deviation <= alone.deviation + 1e-9).all()
    assert (beside.deviation[:2] < 0.5 * alone.deviation[:2]).all()


def test_growing_row_by_row_is_the_same_as_starting_anew():
    names, never = words(30), ModelSettings(growth=1e9)
    slowly, fast = taught(names, never), ValueModel(never)
    known = dict(enumerate(names))
    fast.learn({0: design(names[0])}, {0: value_of(names[0])}, {0: 0.0})
    fast.learn(
        {node: design(name) for node, name in known.items()},
        {node: value_of(name) for node, name in known.items()},
        dict.fromkeys(known, 0.0),
    )

    others = [design(name) for name in words(10, seed=1)]

    np.testing.assert_allclose(slowly.predict(others), fast.predict(others), rtol=1e-9)


def test_a_noisy_result_is_drawn_to_what_similar_designs_got():
    names = words(60)
    known = {node: design(name) for node, name in enumerate(names)}
    worth = {node: value_of(name) for node, name in enumerate(names)}
    worth[7] += 8.0

    def error_at_seven(error: float) -> float:
        model = ValueModel()
        model.learn(known, worth, dict.fromkeys(known, 0.01) | {7: error})
        return abs(float(model.fitted[7]) - value_of(names[7]))

    assert error_at_seven(10.0) < 0.5 * error_at_seven(0.01)


@pytest.mark.parametrize("structures", [[Structure()], [Structure()] * 5, [design("ab"), Structure(), design("abcd")]])
def test_one_design_alone_ties_and_missing_groups_are_borne(structures):
    model = ValueModel()
    known = dict(enumerate(structures))

    model.learn(known, dict.fromkeys(known, 1.0), dict.fromkeys(known, 0.0))

    belief = model.predict([Structure(), design("ab", depth=3.0)], [Structure(), Structure()])
    assert np.isfinite(belief).all()
    assert belief.mean == pytest.approx(1.0)


def test_beyond_its_capacity_it_keeps_the_best_the_latest_and_some_others():
    nodes, worth = list(range(1000)), {node: float(-abs(node - 300)) for node in range(1000)}

    kept = informative(nodes, worth, 100)

    assert len(kept) == 100
    assert {300, 290, 999, 980, 0} <= set(kept)
    assert kept == sorted(kept)


def test_beyond_its_capacity_it_still_foretells():
    names = words(300)
    model = taught(names[:250], ModelSettings(capacity=60, tuning=40))

    assert len(model) <= 72
    means = model.predict([design(name) for name in names[250:]]).mean
    assert np.corrcoef(means, [value_of(name) for name in names[250:]])[0, 1] > 0.8


def test_expected_improvement_is_that_of_the_normal_distribution_and_finite_far_below_the_best():
    means, deviations = np.array([0.0, 1.0, -2.0, -60.0]), np.array([1.0, 0.5, 2.0, 1.0])
    draws = np.random.default_rng(0).normal(size=(400_000, 1)) * deviations + means

    gain = log_expected_improvement(Belief(means, deviations), 0.5)

    assert np.exp(gain[:3]) == pytest.approx(np.maximum(draws - 0.5, 0.0).mean(axis=0)[:3], rel=0.02)
    assert np.isfinite(gain).all()
    assert gain[3] < -1000


def noted(means: np.ndarray, came: np.ndarray, deviation: float = 1.0) -> Calibration:
    calibration = Calibration()
    for mean, result in zip(means, came, strict=True):
        calibration.note(Belief(np.array([mean]), np.array([deviation])), 0.0, float(result), 0.0)
    return calibration


def test_coverage_is_the_share_of_results_within_their_interval():
    rng = np.random.default_rng(0)
    means, came = np.zeros(40), rng.normal(size=40)

    assert noted(means, came).coverage == pytest.approx(0.9, abs=0.08)
    assert noted(means, came, deviation=0.1).coverage < 0.4
    assert Calibration().coverage is None


def test_a_model_that_ranks_results_upside_down_is_switched_off_and_comes_back_when_it_is_right_again():
    came = np.arange(40.0)
    wrong = noted(-came, came)
    assert not wrong.trusted

    for value in range(40):
        wrong.note(Belief(np.array([float(value)]), np.array([1.0])), 0.0, float(value), 0.0)

    assert wrong.trusted
    assert noted(-came[:5], came[:5]).trusted


def warmed(names: list[str], sign: float, known: int) -> np.ndarray:
    """Expected worth of the last 40 names after `known` results, started from a search over the first 60."""
    experience = Experience(
        [[(design(name), sign * 7.0 * value_of(name) - 3.0) for name in names[:60]]], ModelSettings()
    )
    model = ValueModel(None, experience.expect)
    taught = dict(enumerate(names[60 : 60 + known]))
    model.learn(
        {node: design(name) for node, name in taught.items()},
        {node: value_of(name) for node, name in taught.items()},
        dict.fromkeys(taught, 0.0),
    )
    return np.corrcoef(model.predict([design(name) for name in names[-40:]]).mean, [value_of(n) for n in names[-40:]])[
        0, 1
    ]


def test_the_mean_alone_is_that_of_the_belief():
    names = words(60)
    model, new = taught(names[:40]), [design(name) for name in names[40:]]

    assert model.expect(new) == pytest.approx(model.predict(new).mean, abs=1e-12)


def test_an_earlier_search_in_other_units_helps_from_the_first_result_on():
    assert warmed(words(140), 1.0, known=2) > 0.7


def test_an_earlier_search_that_misleads_is_unlearned():
    names = words(140)

    assert warmed(names, -1.0, known=2) < 0.0
    assert warmed(names, -1.0, known=40) > 0.5


def test_a_search_without_designs_worth_telling_leaves_no_experience():
    assert not Experience([[], [(design("ab"), 1.0)]], ModelSettings())


@pytest.mark.parametrize("policy", [TreePolicy, SurrogatePolicy])
def test_earlier_searches_are_taken_in_before_the_start_and_only_then(policy):
    search = policy(seed=0, prices=[1.0])
    search.warm([[(design(name), value_of(name)) for name in words(30)]])
    search.ask(0)

    with pytest.raises(ValueError, match="before the first ask"):
        search.warm([])

"""The tree search must earn its keep: more found with the same number of trainings."""

import numpy as np
import pytest

from netwright.search.policy import make_policy

SEEDS = 24


@pytest.fixture(scope="module")
def best_found(play, landscape):
    """Best true value found, `(seeds,)`, in standard deviations above the mean of random designs."""

    def run(name: str, asks: int, flight: int = 1) -> np.ndarray:
        found = []
        for seed in range(SEEDS):
            land = landscape(seed=seed)
            played = play(make_policy(name, seed=seed, prices=[1.0]), land, asks, flight)
            rng = np.random.default_rng(seed)
            drawn = [land.value(tuple(rng.integers(5, size=10))) for _ in range(200)]
            best = max(item.value for item in played.observations if item.value is not None)
            found.append((best - np.mean(drawn)) / np.std(drawn))
        return np.array(found)

    return run


def test_the_tree_beats_random_search_by_a_wide_margin_on_nearly_every_landscape(best_found):
    tree, random = best_found("tree", 120), best_found("random", 120)

    assert np.mean(tree - random) > 0.7
    assert np.mean(tree > random) > 0.85


def test_the_tree_is_ahead_of_random_search_from_the_size_of_the_smallest_campaign_on(best_found):
    tree, random = best_found("tree", 24), best_found("random", 24)

    assert np.mean(tree - random) > 0.2


def test_the_tree_finds_more_than_aging_evolution_while_trainings_are_few(best_found):
    difference = best_found("tree", 60) - best_found("evolution", 60)

    assert np.mean(difference) > 0.1


def test_eight_experiments_in_flight_cost_little(best_found):
    one, eight, random = best_found("tree", 120), best_found("tree", 120, 8), best_found("random", 120)

    assert np.mean(eight - random) > 0.6 * np.mean(one - random)

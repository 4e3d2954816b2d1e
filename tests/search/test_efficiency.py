"""The tree search must earn its keep: more found with the same number of trainings."""

import numpy as np
import pytest

from netwright.search.policy import make_policy

SEEDS = 24
ASKS = 120


@pytest.fixture(scope="module")
def best_found(play, landscape):
    """Best true value after 120 asks, `(seeds,)`, in standard deviations of random designs."""

    def run(name: str, flight: int = 1) -> np.ndarray:
        found = []
        for seed in range(SEEDS):
            land = landscape(seed=seed)
            played = play(make_policy(name, seed=seed, rungs=1), land, ASKS, flight)
            rng = np.random.default_rng(seed)
            drawn = [land.value(tuple(rng.integers(5, size=10))) for _ in range(200)]
            best = max(item.value for item in played.observations if item.value is not None)
            found.append((best - np.mean(drawn)) / np.std(drawn))
        return np.array(found)

    return run


def test_the_tree_beats_random_search_by_a_wide_margin_on_nearly_every_landscape(best_found):
    tree, random = best_found("tree"), best_found("random")

    assert np.mean(tree - random) > 0.7
    assert np.mean(tree > random) > 0.85


def test_the_tree_does_no_worse_than_aging_evolution(best_found):
    difference = best_found("tree") - best_found("evolution")

    assert np.mean(difference) > 0.0


def test_eight_experiments_in_flight_cost_little(best_found):
    one, eight = best_found("tree"), best_found("tree", flight=8)
    random = best_found("random")

    assert np.mean(eight - random) > 0.6 * np.mean(one - random)

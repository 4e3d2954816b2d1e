"""What an earlier search found makes the next one on a similar task choose better, from its first ask on."""

import numpy as np
import pytest

from netwright.errors import PolicyError
from netwright.search.policy import Observation, Warmable, make_policy


def first_choice(name: str, land, *, warm: bool) -> float:
    """Value of the design chosen first after four baselines, with or without an earlier search in other units."""
    rng = np.random.default_rng([80, land.seed])
    earlier = [tuple(genes) for genes in rng.integers(5, size=(60, 10)).tolist()]
    policy = make_policy(name, seed=land.seed, prices=[1.0])
    if warm:
        policy.warm([[(land.structure(genes), 7.0 * land.value(genes) - 3.0) for genes in earlier]])
    for node in range(-1, -5, -1):
        land.genes[node] = tuple(rng.integers(5, size=10).tolist())
        value, structure = land.value(land.genes[node]), land.structure(land.genes[node])
        policy.tell(Observation(action=None, node=node, value=value, structure=structure))
    return float(land.value(land.propose(policy.ask(0, land.sketch))))


@pytest.mark.parametrize("name", ["tree", "surrogate"])
def test_the_first_choice_after_the_baselines_is_made_by_what_an_earlier_search_found(name, landscape):
    cold = [first_choice(name, landscape(seed), warm=False) for seed in range(12)]
    warm = [first_choice(name, landscape(seed), warm=True) for seed in range(12)]

    spread = np.std(
        [landscape(0).value(tuple(genes)) for genes in np.random.default_rng(0).integers(5, size=(200, 10))]
    )
    assert np.mean(warm) - np.mean(cold) > spread
    assert sum(better > worse for better, worse in zip(warm, cold, strict=True)) >= 10


def test_policies_that_cannot_be_warmed_do_not_say_they_can(tmp_path):
    own = tmp_path / "mine.py"
    own.write_text("from netwright.search.random_search import RandomPolicy as POLICY\n")

    for name in ("tree", "surrogate"):
        assert isinstance(make_policy(name, seed=0, prices=[1.0]), Warmable)
    assert not isinstance(make_policy("random", seed=0, prices=[1.0]), Warmable)
    assert not isinstance(make_policy(str(own), seed=0, prices=[1.0]), Warmable)


def test_a_policy_of_ones_own_may_take_earlier_searches_and_is_named_where_it_raises(tmp_path, landscape):
    own, structure = tmp_path / "mine.py", landscape.structure((1,) * 10)
    own.write_text(
        "from netwright.search.random_search import RandomPolicy\n\n\n"
        "class POLICY(RandomPolicy):\n"
        "    def warm(self, searches):\n"
        "        self.best = max(value for search in searches for _, value in search)\n"
    )
    policy = make_policy(str(own), seed=0, prices=[1.0])

    assert isinstance(policy, Warmable)
    policy.warm([[(structure, 1.0), (structure, 2.0)]])
    with pytest.raises(PolicyError, match=r"mine.py raised ValueError in warm\(\): .*mine.py, line 6"):
        policy.warm([])

"""What the policy itself costs, value model and the encoding of sketches included, in CPU time."""

import time

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from netwright.search.policy import Observation, Sketch
from netwright.search.tree import TreePolicy
from netwright.types import Action, Operator, Structure

CATALOGUE_SIZE = 4000


def catalogue() -> list[Structure]:
    """Designs of 20 decisions, 50 counts and 5 quantities each, as many as a search of a campaign sees."""
    rng = np.random.default_rng(0)
    return [
        Structure(
            choices={f"place {place}": str(choice) for place, choice in enumerate(rng.integers(5, size=20))},
            counts={f"run:{name}": float(1 + name % 7) for name in rng.choice(400, size=50, replace=False)},
            numbers={f"quantity {place}": float(value) for place, value in enumerate(rng.normal(size=5))},
        )
        for _ in range(CATALOGUE_SIZE)
    ]


@pytest.fixture
def one_blas_thread():
    """As in the process of a campaign."""
    with threadpool_limits(limits=1, user_api="blas"):
        yield


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.usefixtures("one_blas_thread")
@pytest.mark.parametrize("earlier", [0, 600])
@pytest.mark.parametrize(("experiments", "milliseconds"), [(1000, 50.0), (10_000, 200.0)])
def test_an_ask_and_its_tell_cost_little_however_long_the_search(experiments, milliseconds, earlier):
    designs, policy = catalogue(), TreePolicy(seed=0, prices=[1.0])
    rng = np.random.default_rng(1)
    policy.warm([[(design.model_copy(), float(rng.normal())) for design in designs[:earlier]]])

    def sketch(action: Action, count: int) -> list[Sketch]:
        places = np.random.default_rng([action.index, *map(abs, action.parents)]).integers(CATALOGUE_SIZE, size=count)
        return [Sketch(draw, designs[place].model_copy()) for draw, place in enumerate(places)]

    def answer(action: Action) -> None:
        value = float(rng.normal())
        structure = designs[action.index % CATALOGUE_SIZE].model_copy()
        policy.tell(Observation(action=action, node=action.index, value=value, standard_error=0.1, structure=structure))

    for index in range(experiments):
        parents = (int(rng.integers(index)),) if index % 4 else ()
        operator = Operator.REFINE if parents else Operator.DRAFT
        policy.resume(Action(index=index, kind="expand", operator=operator, parents=parents))
        answer(Action(index=index, kind="expand", operator=operator, parents=parents))
    spent = []
    for index in range(experiments, experiments + 40):
        started = time.process_time()
        answer(policy.ask(index, sketch))
        spent.append(1e3 * (time.process_time() - started))

    assert np.quantile(spent, 0.95) <= milliseconds

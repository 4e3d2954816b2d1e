"""What is known of a design in numbers as soon as it is decided on, before it is written, built or trained."""

from __future__ import annotations

import math

from netwright.agents.cost import relative_cost
from netwright.agents.genotype import Genotype
from netwright.agents.size import parameters
from netwright.types import TaskSpec


def quantities(genotype: Genotype, task: TaskSpec) -> dict[str, float]:
    """Return the sizes of a design for `task`, from its genotype alone: parameters of all mixers, cost, learning rate.

    The parameters are exact. Those of the whole network say nothing: its MLPs make up for its mixers. The cost is the
    mixers' time relative to softmax attention, an estimate.
    """
    size = parameters(genotype, task.scope, task.dim, task.heads, task.layers, task.max_len)
    recipe = genotype.recipe
    rate = task.recipe.lr if recipe is None or recipe.lr is None else recipe.lr
    return {
        "log10 mixer parameters": math.log10(1 + size),
        "log10 relative cost": math.log10(relative_cost(genotype)),
        "log10 lr": math.log10(rate),
    }

"""Which of several plans is built first: what earlier results promise, what is new, and what the critic thinks.

Each of the three puts the plans in an order, and a plan's places are added up: no scale has to fit another, and who has
nothing to say (no results yet, no critic) puts all plans on one place. Equal sums keep the planner's own order.

Source: Borda (1784), Mémoire sur les élections au scrutin.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from netwright.agents.replies import Plan
from netwright.distance import distance
from netwright.search.standings import Floats, places
from netwright.search.value_model import ValueModel
from netwright.search.worth import measure, relative
from netwright.types import Candidate, Score, Structure

LEAST = 8
"""Of fewer results the value model learns nothing about words that could be told from noise."""

_WORD = re.compile(r"[a-z]{3,}")

Outcome = tuple[Candidate, Score | None]


def ranked(plans: Sequence[Plan], outcomes: Sequence[Outcome], opinions: Sequence[float] | None) -> list[Plan]:
    """Return `plans`, best first.

    `outcomes` are the designs so far with their first score, None where they failed; `opinions` the critic's, higher is
    better.
    """
    wanted = [described(plan.title, plan.hypothesis, plan.changes) for plan in plans]
    known = [described(candidate.title, candidate.hypothesis) for candidate, _ in outcomes]
    scored = [(words, score) for words, (_, score) in zip(known, outcomes, strict=True) if score is not None]
    sums = places(promised(wanted, scored)) + places(novelty(wanted, known))
    if opinions is not None:
        sums = sums + places(np.array(opinions))
    return [plans[index] for index in np.argsort(sums, kind="stable")]


def promised(plans: Sequence[Structure], scored: Sequence[tuple[Structure, Score]]) -> Floats:
    """Return the worth that the value model expects of each plan by the words that tell of it."""
    rung = min((score.rung for _, score in scored), default=0)
    comparable = [(words, score) for words, score in scored if score.rung == rung]
    if len(comparable) < LEAST:
        return np.zeros(len(plans))
    values = np.array([score.value for _, score in comparable])
    unit = measure(values)[1]
    model = ValueModel()
    model.learn(
        {number: words for number, (words, _) in enumerate(comparable)},
        dict(enumerate(relative(values).tolist())),
        {number: score.standard_error / unit for number, (_, score) in enumerate(comparable)},
    )
    return model.expect(plans)


def novelty(plans: Sequence[Structure], known: Sequence[Structure]) -> Floats:
    """Return how far each plan's words are from those of the nearest design, in [0, 1]."""
    return np.array([min((distance(plan, other) for other in known), default=1.0) for plan in plans])


@lru_cache(maxsize=1024)
def described(*texts: str) -> Structure:
    """What is said of a design, as a bag of words."""
    words = Counter(_WORD.findall(" ".join(texts).lower()))
    return Structure(counts={word: float(count) for word, count in words.items()})

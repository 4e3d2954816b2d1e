"""What earlier searches on similar tasks learned, as an expectation that a new search starts from.

Each search's scores become worths among its own designs (see `worth`), so searches with other units or other losses
may be pooled; one Gaussian process over all their structures foretells the worth of a new design. How much of that
holds here is a weight in [0, 1], learned with the search's own results.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from netwright.search.policy import SEARCH_LEAST, Searches
from netwright.search.standings import Floats
from netwright.search.value_model import ModelSettings, ValueModel
from netwright.search.worth import relative
from netwright.types import Structure


class Experience:
    """What designs of earlier searches were worth; searches of fewer than SEARCH_LEAST designs are left out."""

    def __init__(self, searches: Searches, settings: ModelSettings) -> None:
        structures: list[Structure] = []
        worth: list[float] = []
        for search in searches:
            if len(search) >= SEARCH_LEAST:
                structures += [structure for structure, _ in search]
                worth += relative(np.array([value for _, value in search])).tolist()
        self._model = ValueModel(settings)
        self._model.learn(dict(enumerate(structures)), dict(enumerate(worth)), dict.fromkeys(range(len(worth)), 0.0))

    def __bool__(self) -> bool:
        return len(self._model) > 0

    def expect(self, structures: Sequence[Structure]) -> Floats:
        """Return the worth that each design would have had in those searches, `(n,)`."""
        return self._model.expect(structures)

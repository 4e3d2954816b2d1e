"""How much of all that could be wanted a set of designs has: the part of objective space that they dominate. Pure.

    cost                    reference
    │ · · · · · · · · · · · ┐     area right of and above the
    │       ░░░░░░░░░░░░░░░ :     three designs = hypervolume;
    │   a───░░░░░░░░░░░░░░░ :     what b alone dominates is
    │       b───▒▒▒▒▒▒▒▒▒▒▒ :     its contribution
    │           ░c──▒▒▒▒▒▒▒ :
    └────────────────────── loss

Every objective is the better, the smaller it is.

Sources: Zitzler & Thiele (1998), Multiobjective optimization using evolutionary algorithms, PPSN V; exact computation
by exclusive volumes, While, Bradstreet & Barone (2012), A fast way of calculating exact hypervolumes, IEEE Trans. Evol.
Comput. 16:86; worth of a point by what it contributes, Beume, Naujoks & Emmerich (2007), SMS-EMOA, Eur. J. Oper. Res.
181:1653.
"""

from __future__ import annotations

import numpy as np

from netwright.search.standings import Floats

MARGIN = 0.1
"""How far beyond the worst of each objective, as a share of its range, the reference lies, so that it counts too."""


def non_dominated(points: Floats) -> Floats:
    """Return those of the points `(n, objectives)` that no other one dominates, each once."""
    distinct = np.unique(points, axis=0)
    no_worse = (distinct[:, None, :] <= distinct[None, :, :]).all(axis=2)
    return np.asarray(distinct[no_worse.sum(axis=0) == 1])


def hypervolume(points: Floats, reference: Floats) -> float:
    """Return the volume that the points `(n, objectives)` dominate, up to the reference `(objectives,)`. Exact."""
    inside = points[(points < reference).all(axis=1)]
    front = non_dominated(inside) if len(inside) else inside
    return sum(_exclusive(point, front[place + 1 :], reference) for place, point in enumerate(front))


def contributions(points: Floats, reference: Floats) -> Floats:
    """Return what each point adds to the hypervolume of the others, `(n,)`; 0 for one dominated or double."""
    if len(points) == 0:
        return np.empty(0)
    inside = np.minimum(points, reference)
    return np.array([_exclusive(point, np.delete(inside, place, 0), reference) for place, point in enumerate(inside)])


def unit_box(points: Floats) -> Floats:
    """Return the points `(n, objectives)` scaled so that each objective's best is 0 and the reference is 1.

    An objective in which all are equal is 0 for all. The hypervolume of what is returned, up to 1, is *normalised*: it
    lies in [0, 1], and is 1 where a single point is best in everything.
    """
    best, worst = points.min(axis=0), points.max(axis=0)
    span = (1.0 + MARGIN) * (worst - best)
    return np.asarray((points - best) / np.where(span > 0.0, span, 1.0))


def _exclusive(point: Floats, others: Floats, reference: Floats) -> float:
    """Return the volume that the point dominates and none of the others does."""
    limited = np.maximum(others, point)
    return float(np.prod(reference - point)) - hypervolume(limited, reference)

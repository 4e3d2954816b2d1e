"""The value model: what worth a design may be expected to have, and how uncertain that is, from its structure alone.

A Gaussian process over structures. Adding a design extends the Cholesky factor by a row; the kernel is tuned again
each time the designs have grown by a quarter. Beyond `capacity` designs it keeps the best, the latest and an even
sample of the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.linalg import cholesky, solve_triangular

from netwright.search.encoding import Bag, Encoder, distances, scale_of
from netwright.search.kernel import Setting, covariance, factor, signal_variance, tuned
from netwright.search.standings import Floats, places
from netwright.types import Structure


@dataclass(frozen=True, kw_only=True)
class ModelSettings:
    """`capacity` bounds the designs used at once, `tuning` those the kernel is tuned on.

    `growth`: tuned again when the designs have grown by this factor; `sweeps`: steps of that at most, from `start`.
    """

    capacity: int = 600
    tuning: int = 150
    growth: float = 1.25
    sweeps: int = 8
    start: Setting = Setting()


class Belief(NamedTuple):
    """Expected worth and its standard deviation, `(n,)` each."""

    mean: Floats
    deviation: Floats


Expectation = Callable[[Sequence[Structure]], Floats]
"""The worth of designs as one would expect it before any result, `(n,)`."""


class ValueModel:
    """Learns the worth of designs by their ids; all are given anew each time, since worth is relative.

    What is `expected` is a mean function with a weight of its own: `worth = weight * expected + Gaussian process`.
    """

    def __init__(self, settings: ModelSettings | None = None, expected: Expectation | None = None) -> None:
        self._settings = settings or ModelSettings()
        self._expected = expected or _nothing
        self._foreseen: dict[int, float] = {}
        self._encoder = Encoder()
        self._structures: dict[int, Structure] = {}
        self._used: list[int] = []
        self._bag = self._encoder.rows([])
        self._scale = scale_of(self._bag.numbers)
        self._setting = self._settings.start
        self._tuned_at = 0
        self._errors: Floats = np.zeros(0)
        self._factor: Floats = np.zeros((0, 0))
        self._weights: Floats = np.zeros(0)
        self._offset, self._trust, self._spread = 0.0, 0.0, 1.0

    def __len__(self) -> int:
        return len(self._used)

    def learn(
        self, structures: Mapping[int, Structure], worth: Mapping[int, float], errors: Mapping[int, float]
    ) -> None:
        """Fit the worth of designs and its standard errors, by id. A design keeps its structure and its error."""
        fresh = [node for node in structures if node not in self._structures]
        for node in fresh:
            self._structures[node] = structures[node]
            self._foreseen[node] = float(self._expected([structures[node]])[0])
            self._encoder.learn(structures[node])
        if not self._structures:
            return
        grown = len(self._structures) >= self._settings.growth * self._tuned_at
        full = len(self._used) + len(fresh) > len(self._factor)
        if grown or full:
            self._choose(worth, errors, tune=grown)
        else:
            self._extend(fresh, errors)
        self._aim(worth)

    def predict(self, structures: Sequence[Structure], pending: Sequence[Structure] = ()) -> Belief:
        """Return the belief about each structure, given that those `pending` will bring what is expected of them.

        Before the first result it is the prior.
        Source: kriging believer, Ginsbourger et al. (2010), Kriging is well-suited to parallelize optimization.
        """
        self._make_room(pending)
        bag = self._encoder.rows(structures)
        cross = covariance(distances(bag, self._bag, self._scale), self._setting)
        half = solve_triangular(self._lower, cross.T, lower=True, check_finite=False)
        variance = 1.0 - (half**2).sum(axis=0)
        if pending:
            variance -= self._explained(bag, half, self._encoder.rows(pending))
        deviation = self._spread * np.sqrt(np.maximum(variance, 1e-9))
        return Belief(self._mean_of(structures, cross), deviation)

    def expect(self, structures: Sequence[Structure]) -> Floats:
        """Return the mean of the belief alone, `(n,)`, which costs far less."""
        bag = self._encoder.rows(structures)
        return self._mean_of(structures, covariance(distances(bag, self._bag, self._scale), self._setting))

    def _mean_of(self, structures: Sequence[Structure], cross: Floats) -> Floats:
        return np.asarray(self._offset + self._trust * self._expected(structures) + cross @ self._weights)

    @property
    def fitted(self) -> Floats:
        """Expected worth of the designs in use, `(n,)`: their results less what is taken for noise."""
        noise = self._setting.noise_variance + self._errors
        return np.asarray(self._target + self._mean - noise * self._weights)

    def standings(self) -> dict[int, float]:
        """Return the standing in (0, 1] that the designs in use have by their expected worth; see `standings`."""
        ranks = 1.0 + places(self.fitted)
        standings = 1.0 - np.log(ranks) / np.log(len(ranks) + 1.0)
        return dict(zip(self._used, standings.tolist(), strict=True))

    @property
    def noise(self) -> float:
        """Standard deviation of a result around its design's worth, beside its known standard error."""
        return float(self._spread * np.sqrt(self._setting.noise_variance))

    def _make_room(self, pending: Sequence[Structure]) -> None:
        """Let what only designs in flight have be told apart too."""
        for structure in pending:
            self._encoder.learn(structure)
        self._bag = self._bag.joined(self._encoder.rows([]))

    def _explained(self, bag: Bag, half: Floats, pending: Bag) -> Floats:
        """Return the share of each variance that the answers to `pending` will take away, `(n,)`."""
        known = covariance(distances(pending, self._bag, self._scale), self._setting)
        below = solve_triangular(self._lower, known.T, lower=True, check_finite=False)
        among = covariance(distances(pending, pending, self._scale), self._setting)
        noise = self._setting.noise_variance + 1e-6
        rest = cholesky(among + noise * np.eye(len(among)) - below.T @ below, lower=True, check_finite=False)
        cross = covariance(distances(pending, bag, self._scale), self._setting) - below.T @ half
        return np.asarray((solve_triangular(rest, cross, lower=True, check_finite=False) ** 2).sum(axis=0))

    def _choose(self, worth: Mapping[int, float], errors: Mapping[int, float], *, tune: bool) -> None:
        """Start anew from the most informative designs."""
        self._used = informative(list(self._structures), worth, self._settings.capacity)
        self._bag = self._encoder.rows([self._structures[node] for node in self._used])
        self._scale = scale_of(self._bag.numbers)
        apart = distances(self._bag, self._bag, self._scale)
        self._standardise(worth)
        self._errors = np.array([(errors[node] / self._unit) ** 2 for node in self._used])
        if tune:
            self._tune(apart, worth)
            self._tuned_at = len(self._structures)
        lower = factor(apart, self._setting, self._errors)
        room = len(self._used) + self._settings.capacity // 4
        self._factor = np.zeros((room, room))
        self._factor[: len(lower), : len(lower)] = lower

    @property
    def _lower(self) -> Floats:
        """The Cholesky factor of the designs in use, `(n, n)`, within a matrix that has room for more."""
        return self._factor[: len(self._used), : len(self._used)]

    def _tune(self, apart: Floats, worth: Mapping[int, float]) -> None:
        chosen = informative(self._used, worth, self._settings.tuning)
        places = np.flatnonzero(np.isin(self._used, chosen))
        self._setting = tuned(
            apart[:, places][:, :, places],
            self._target[places] / self._unit,
            self._errors[places],
            self._setting,
            self._settings.sweeps,
        )

    def _extend(self, fresh: Sequence[int], errors: Mapping[int, float]) -> None:
        """Add rows to the Cholesky factor."""
        for node in fresh:
            last = self._encoder.rows([self._structures[node]])
            self._bag = self._bag.joined(last)
            cross = covariance(distances(last, self._bag, self._scale), self._setting)[0]
            below = solve_triangular(self._lower, cross[:-1], lower=True, check_finite=False)
            self._errors = np.append(self._errors, (errors[node] / self._unit) ** 2)
            rest = cross[-1] + self._setting.noise_variance + self._errors[-1] - below @ below
            self._used.append(node)
            self._lower[-1, :-1], self._lower[-1, -1] = below, np.sqrt(max(rest, 1e-10))

    def _standardise(self, worth: Mapping[int, float]) -> None:
        values = np.array([worth[node] for node in self._used])
        self._unit = float(values.std()) or 1.0
        expected = np.array([self._foreseen[node] for node in self._used])
        self._trust = _slope(expected, values / self._unit) if self._expected is not _nothing else 0.0
        self._offset = float((values - self._trust * expected).mean())
        self._mean = self._offset + self._trust * expected
        self._target = values - self._mean

    def _aim(self, worth: Mapping[int, float]) -> None:
        """Point the model at the latest worth of the designs in use."""
        self._standardise(worth)
        white = solve_triangular(self._lower, self._target, lower=True, check_finite=False)
        self._weights = solve_triangular(self._lower, white, lower=True, trans="T", check_finite=False)
        self._spread = self._unit * np.sqrt(signal_variance(white / self._unit))


def _nothing(structures: Sequence[Structure]) -> Floats:
    return np.zeros(len(structures))


def _slope(expected: Floats, worth: Floats) -> float:
    """Return the weight in [0, 1] of what was expected: a half a priori, as strongly as four results say."""
    centred = expected - expected.mean()
    return float(np.clip((centred @ worth + 2.0) / (centred @ centred + 4.0), 0.0, 1.0))


def informative(nodes: Sequence[int], worth: Mapping[int, float], capacity: int) -> list[int]:
    """Return at most `capacity` of the nodes, in their order: half the best, a quarter the latest, the rest spread."""
    if len(nodes) <= capacity:
        return list(nodes)
    best = sorted(nodes, key=lambda node: -worth[node])[: capacity // 2]
    chosen = set(best) | set(nodes[-(capacity // 4) :])
    rest = [node for node in nodes if node not in chosen]
    places = np.linspace(0, len(rest) - 1, capacity - len(chosen)).astype(int)
    chosen |= {rest[place] for place in places}
    return [node for node in nodes if node in chosen]

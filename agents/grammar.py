"""Sampling sentences of the grammar: one production after the other, each with its own probabilities.

The probabilities are data, so that they can be learned. The defaults favour what short trainings reward (decays
read from the data, the delta rule, short convolutions, attention beside something cheaper) and leave nothing out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from netwright.agents.genotype import (
    POSITIVE_FEATURES,
    Attention,
    Convolution,
    DataDecay,
    Decay,
    Delta,
    Filter,
    FixedDecay,
    Gate,
    Genotype,
    Hebbian,
    Layer,
    Leaf,
    Local,
    LongFilter,
    Memory,
    Parallel,
    Recurrence,
    Rule,
    Shift,
    ShortConvolution,
    ShortFilter,
    with_genes,
)
from netwright.agents.size import parameters, relative_cost
from netwright.types import Scope

Productions = Mapping[str, Mapping[Any, float]]

LARGEST_COST = 2.5
TRIES = 200

PRODUCTIONS: Productions = {
    "alternate": {False: 0.68, True: 0.32},
    "body": {"leaf": 0.74, "parallel": 0.26},
    "leaf": {"attention": 0.2, "memory": 0.58, "convolution": 0.12, "recurrence": 0.1},
    "merge": {"sum": 0.2, "gated": 0.25, "heads": 0.55},
    "skip": {"none": 0.88, "scaled": 0.07, "gated": 0.05},
    "projection": {"full": 0.8, "low rank": 0.08, "grouped": 0.12},
    "local": {"none": 0.42, "shift": 0.14, "input": 0.09, "projected": 0.35},
    "kernel": {2: 0.15, 3: 0.3, 4: 0.45, 8: 0.1},
    "window": {None: 0.6, 16: 0.15, 32: 0.15, 64: 0.1},
    "position": {"rotary": 0.6, "alibi": 0.15, "none": 0.25},
    "attention.qk_norm": {"rms": 0.5, "none": 0.3, "l2": 0.2},
    "attention.norm": {"none": 0.8, "rms": 0.2},
    "talking": {False: 0.92, True: 0.08},
    "gate": {"none": 0.45, "silu": 0.3, "sigmoid": 0.25},
    "gate.rank": {"full": 0.6, "low": 0.4},
    "rule": {"delta": 0.55, "hebbian": 0.45},
    "delta.feature": {"identity": 0.4, "silu": 0.45, "relu": 0.15},
    "delta.strength": {1: 0.6, 2: 0.4},
    "delta.decay": {"none": 0.35, "fixed": 0.07, "head": 0.38, "channel": 0.2},
    "hebbian.feature": {
        "identity": 0.35,
        "silu": 0.15,
        "elu+1": 0.15,
        "relu": 0.1,
        "squared relu": 0.1,
        "softmax": 0.15,
    },
    "hebbian.normaliser": {False: 0.5, True: 0.5},
    "hebbian.decay": {"none": 0.15, "fixed": 0.2, "head": 0.35, "channel": 0.3},
    "hebbian.rotary": {False: 0.7, True: 0.3},
    "memory.qk_norm": {"none": 0.5, "l2": 0.25, "rms": 0.25},
    "memory.norm": {"rms": 0.75, "none": 0.25},
    "horizon": {8: 0.15, 32: 0.35, 128: 0.35, 512: 0.15},
    "coupled": {False: 0.7, True: 0.3},
    "key_width": {"full": 0.85, "half": 0.15},
    "filter": {"short": 0.55, "long": 0.45},
    "modes": {4: 0.4, 8: 0.6},
    "gates": {"both": 0.75, "output": 0.25},
    "recurrence.rank": {"full": 0.5, "low": 0.5},
    "recurrence.norm": {"none": 0.6, "rms": 0.4},
}


@dataclass(frozen=True)
class Allowance:
    """What a genotype may cost: scalars per layer as emitted for `scope`, and time relative to attention.

    Layers may differ, as long as the mean over all `layers` is within `parameters`.
    """

    parameters: int
    scope: Scope
    dim: int
    heads: int
    layers: int
    cost: float = LARGEST_COST

    def size(self, genotype: Genotype) -> int:
        """Scalars per layer, rounded up."""
        return math.ceil(parameters(genotype, self.scope, self.dim, self.heads, self.layers) / self.layers)

    def admits(self, genotype: Genotype) -> bool:
        return self.size(genotype) <= self.parameters and relative_cost(genotype) <= self.cost


@dataclass(frozen=True)
class Grammar:
    """The typed grammar with its production probabilities; every sample is legal by construction."""

    productions: Productions = field(default_factory=lambda: PRODUCTIONS)

    def choose(self, rng: np.random.Generator, production: str) -> Any:
        """Draw one alternative of `production`."""
        alternatives = self.productions[production]
        weights = np.array(list(alternatives.values()), dtype=float)
        return list(alternatives)[int(rng.choice(len(weights), p=weights / weights.sum()))]

    def fitting(self, rng: np.random.Generator, allowance: Allowance) -> Genotype:
        """Sample until the allowance admits it; the smallest of what was drawn if it never does."""
        smallest = None
        for _ in range(TRIES):
            genotype = self.genotype(rng)
            if allowance.admits(genotype):
                return genotype
            if smallest is None or allowance.size(genotype) < allowance.size(smallest):
                smallest = genotype
        assert smallest is not None
        return smallest

    def genotype(self, rng: np.random.Generator) -> Genotype:
        """Sample a whole mixer."""
        even = self.layer(rng)
        odd = self.layer(rng) if self.choose(rng, "alternate") else None
        return Genotype(even=even, odd=odd)

    def layer(self, rng: np.random.Generator) -> Layer:
        leaf = self.leaf(rng)
        body: Leaf | Parallel = leaf
        if self.choose(rng, "body") == "parallel":
            body = Parallel(left=leaf, right=self.other_leaf(rng, leaf), merge=self.choose(rng, "merge"))
        return Layer(body=body, skip=self.choose(rng, "skip"))

    def other_leaf(self, rng: np.random.Generator, leaf: Leaf) -> Leaf:
        """Sample a leaf that differs from `leaf` in more than a detail where that can be had."""
        other = self.leaf(rng)
        for _ in range(10):
            if type(other) is not type(leaf):
                break
            other = self.leaf(rng)
        return other

    def leaf(self, rng: np.random.Generator) -> Leaf:
        """Sample one mixer without branches."""
        kind = self.choose(rng, "leaf")
        if kind == "attention":
            return self._attention(rng)
        if kind == "memory":
            return self._memory(rng)
        return self._convolution(rng) if kind == "convolution" else self._recurrence(rng)

    def _attention(self, rng: np.random.Generator) -> Attention:
        return Attention(
            projection=self.choose(rng, "projection"),
            local=self.local(rng),
            window=self.choose(rng, "window"),
            position=self.choose(rng, "position"),
            qk_norm=self.choose(rng, "attention.qk_norm"),
            talking=self.choose(rng, "talking"),
            norm=self.choose(rng, "attention.norm"),
            gate=self.gate(rng),
        )

    def _memory(self, rng: np.random.Generator) -> Memory:
        rule = self.rule(rng)
        rotary = isinstance(rule, Hebbian) and self.choose(rng, "hebbian.rotary")
        return with_genes(
            Memory(),
            projection=self.choose(rng, "projection"),
            local=self.local(rng),
            rule=rule,
            decay=self.decay(rng, rule),
            key_width=self.choose(rng, "key_width"),
            position="rotary" if rotary and rule.feature == "identity" else "none",
            qk_norm=self.choose(rng, "memory.qk_norm"),
            talking=self.choose(rng, "talking"),
            norm=self.choose(rng, "memory.norm"),
            gate=self.gate(rng),
        )

    def _convolution(self, rng: np.random.Generator) -> Convolution:
        return Convolution(filter=self.filter(rng), gates=self.choose(rng, "gates"))

    def _recurrence(self, rng: np.random.Generator) -> Recurrence:
        return Recurrence(
            local=self.local(rng),
            horizon=self.choose(rng, "horizon"),
            rank=self.choose(rng, "recurrence.rank"),
            norm=self.choose(rng, "recurrence.norm"),
            gate=self.gate(rng),
        )

    def local(self, rng: np.random.Generator) -> Local:
        kind = self.choose(rng, "local")
        if kind == "none":
            return None
        if kind == "shift":
            return Shift()
        return ShortConvolution(place=kind, kernel=self.choose(rng, "kernel"))

    def gate(self, rng: np.random.Generator) -> Gate | None:
        activation = self.choose(rng, "gate")
        return None if activation == "none" else Gate(activation=activation, rank=self.choose(rng, "gate.rank"))

    def filter(self, rng: np.random.Generator) -> Filter:
        if self.choose(rng, "filter") == "long":
            return LongFilter(modes=self.choose(rng, "modes"))
        return ShortFilter(kernel=self.choose(rng, "kernel"))

    def rule(self, rng: np.random.Generator) -> Rule:
        if self.choose(rng, "rule") == "delta":
            return Delta(feature=self.choose(rng, "delta.feature"), strength=self.choose(rng, "delta.strength"))
        feature = self.choose(rng, "hebbian.feature")
        normaliser = feature in POSITIVE_FEATURES and self.choose(rng, "hebbian.normaliser")
        return Hebbian(feature=feature, normaliser=normaliser)

    def decay(self, rng: np.random.Generator, rule: Rule) -> Decay:
        kind = self.choose(rng, f"{rule.kind}.decay")
        if kind == "none":
            return None
        horizon = self.choose(rng, "horizon")
        if kind == "fixed":
            return FixedDecay(horizon=horizon)
        coupled = isinstance(rule, Hebbian) and self.choose(rng, "coupled")
        return DataDecay(per=kind, horizon=horizon, coupled=coupled)

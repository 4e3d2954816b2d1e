"""Sampling sentences of the grammar: one production after the other, each with its own probabilities."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from netwright.agents.cost import relative_cost
from netwright.agents.genes import (
    POSITIVE_FEATURES,
    DataDecay,
    Decay,
    Delta,
    Filter,
    FixedDecay,
    Gate,
    Hebbian,
    ImplicitFilter,
    Local,
    LongFilter,
    OscillatingFilter,
    Removal,
    Rule,
    Shift,
    ShortConvolution,
    ShortFilter,
)
from netwright.agents.genotype import Genotype, Layer, Parallel, with_genes
from netwright.agents.leaves import Attention, Cell, Convolution, Leaf, Matching, Memory, Positions, Recurrence
from netwright.agents.productions import DECIDES, PRODUCTIONS, Productions
from netwright.agents.sites import pick, weighted
from netwright.agents.size import parameters
from netwright.choices import decisions, option, role
from netwright.types import Frozen, Scope

LARGEST_COST = 3.0
TRIES = 200


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
    max_len: int
    cost: float = LARGEST_COST

    def size(self, genotype: Genotype) -> int:
        """Scalars per layer, rounded up."""
        count = parameters(genotype, self.scope, self.dim, self.heads, self.layers, self.max_len)
        return math.ceil(count / self.layers)

    def admits(self, genotype: Genotype) -> bool:
        return self.size(genotype) <= self.parameters and relative_cost(genotype) <= self.cost


@dataclass(frozen=True)
class Grammar:
    """The typed grammar with its production probabilities; every sample is legal by construction.

    `preferences` are factors on the probabilities, by place and option as `netwright.choices` writes them. A place may
    be named in full (`odd.body.rule.kind`) or by what it decides wherever it stands (`rule.kind`).
    """

    productions: Productions = field(default_factory=lambda: PRODUCTIONS)
    preferences: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    def choose(self, rng: np.random.Generator, production: str, place: str) -> Any:
        """Draw one alternative of `production`, which decides `place`."""
        alternatives = self.productions[production]
        if not self.preferences:
            return weighted(rng, list(alternatives), list(alternatives.values()))
        decides = DECIDES.get(production, {})
        weights = []
        for alternative, weight in alternatives.items():
            suffix, value = decides.get(alternative, ("", alternative))
            weights.append(weight * self._preference(f"{place}{suffix}", option(value)))
        return weighted(rng, list(alternatives), weights)

    def pick(self, rng: np.random.Generator, place: str, values: Sequence[Any]) -> Any:
        """Draw one of the genes `values` for `place`: equally probable but for the preferences."""
        if not self.preferences:
            return pick(rng, values)
        return weighted(rng, values, [self.liking(place, value) for value in values])

    def liking(self, place: str, value: Any) -> float:
        """Return the geometric mean of the preferences for all that `value` decides at `place`."""
        plain = value.model_dump(mode="json") if isinstance(value, Frozen) else value
        likings = [self._preference(where, choice) for where, choice in decisions(plain, place)]
        return math.prod(likings) ** (1 / max(1, len(likings)))

    def _preference(self, place: str, choice: str) -> float:
        for where in (place, role(place)):
            if choice in (options := self.preferences.get(where, {})):
                return options[choice]
        return 1.0

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
        even = self.layer(rng, "even")
        odd = self.layer(rng, "odd") if self.choose(rng, "alternate", "odd") else None
        return Genotype(even=even, odd=odd)

    def layer(self, rng: np.random.Generator, place: str) -> Layer:
        if self.choose(rng, "body", f"{place}.body") == "leaf":
            return Layer(body=self.leaf(rng, f"{place}.body"), skip=self.choose(rng, "skip", f"{place}.skip"))
        left = self.leaf(rng, f"{place}.body.left")
        right = self.other_leaf(rng, left, f"{place}.body.right")
        merge = self.choose(rng, "merge", f"{place}.body.merge")
        body = Parallel(left=left, right=right, merge=merge)
        return Layer(body=body, skip=self.choose(rng, "skip", f"{place}.skip"))

    def other_leaf(self, rng: np.random.Generator, leaf: Leaf, place: str) -> Leaf:
        """Sample a leaf that differs from `leaf` in more than a detail where that can be had."""
        other = self.leaf(rng, place)
        for _ in range(10):
            if type(other) is not type(leaf):
                break
            other = self.leaf(rng, place)
        return other

    def leaf(self, rng: np.random.Generator, place: str) -> Leaf:
        """Sample one mixer without branches."""
        kind = self.choose(rng, "leaf", f"{place}.kind")
        sample: dict[str, Callable[[np.random.Generator, str], Leaf]] = {
            "attention": self._attention,
            "memory": self._memory,
            "convolution": self._convolution,
            "recurrence": self._recurrence,
            "cell": self._cell,
            "matching": self._matching,
            "positions": self._positions,
        }
        return sample[kind](rng, place)

    def _attention(self, rng: np.random.Generator, place: str) -> Attention:
        return with_genes(
            Attention(),
            projection=self.choose(rng, "attention.projection", f"{place}.projection"),
            local=self.local(rng, f"{place}.local"),
            window=self.choose(rng, "window", f"{place}.window"),
            position=self.choose(rng, "position", f"{place}.position"),
            qk_norm=self.choose(rng, "attention.qk_norm", f"{place}.qk_norm"),
            talking=self.choose(rng, "talking", f"{place}.talking"),
            norm=self.choose(rng, "attention.norm", f"{place}.norm"),
            gate=self.gate(rng, f"{place}.gate"),
        )

    def _memory(self, rng: np.random.Generator, place: str) -> Memory:
        rule = self.rule(rng, f"{place}.rule")
        plain = isinstance(rule, Hebbian) and rule.feature == "identity"
        return with_genes(
            Memory(),
            projection=self.choose(rng, "memory.projection", f"{place}.projection"),
            local=self.local(rng, f"{place}.local"),
            rule=rule,
            decay=self.decay(rng, rule, f"{place}.decay"),
            key_width=self.choose(rng, "key_width", f"{place}.key_width"),
            position=self.choose(rng, "hebbian.position", f"{place}.position") if plain else "none",
            qk_norm=self.choose(rng, "memory.qk_norm", f"{place}.qk_norm"),
            talking=self.choose(rng, "talking", f"{place}.talking"),
            values=self.choose(rng, "values", f"{place}.values"),
            direct=self.choose(rng, "direct", f"{place}.direct"),
            norm=self.choose(rng, "memory.norm", f"{place}.norm"),
            gate=self.gate(rng, f"{place}.gate"),
        )

    def _convolution(self, rng: np.random.Generator, place: str) -> Convolution:
        return Convolution(
            filter=self.filter(rng, f"{place}.filter"),
            gates=self.choose(rng, "gates", f"{place}.gates"),
            norm=self.choose(rng, "norm", f"{place}.norm"),
        )

    def _recurrence(self, rng: np.random.Generator, place: str) -> Recurrence:
        return Recurrence(
            local=self.local(rng, f"{place}.local"),
            horizon=self.choose(rng, "horizon", f"{place}.horizon"),
            rank=self.choose(rng, "recurrence.rank", f"{place}.rank"),
            norm=self.choose(rng, "recurrence.norm", f"{place}.norm"),
            gate=self.gate(rng, f"{place}.gate"),
        )

    def _cell(self, rng: np.random.Generator, place: str) -> Cell:
        return Cell(cell=self.choose(rng, "cell", f"{place}.cell"), norm=self.choose(rng, "norm", f"{place}.norm"))

    def _matching(self, rng: np.random.Generator, place: str) -> Matching:
        return Matching(
            longest=self.choose(rng, "longest", f"{place}.longest"),
            local=self.local(rng, f"{place}.local"),
            own=self.choose(rng, "own", f"{place}.own"),
        )

    def _positions(self, rng: np.random.Generator, place: str) -> Positions:
        return Positions(
            depth=self.choose(rng, "depth", f"{place}.depth"), gated=self.choose(rng, "gated", f"{place}.gated")
        )

    def local(self, rng: np.random.Generator, place: str) -> Local:
        kind = self.choose(rng, "local", place)
        if kind == "none":
            return None
        if kind in ("shift", "shifts"):
            return Shift(separate=kind == "shifts")
        return ShortConvolution(place=kind, kernel=self.choose(rng, "kernel", f"{place}.kernel"))

    def gate(self, rng: np.random.Generator, place: str) -> Gate | None:
        activation = self.choose(rng, "gate", place)
        if activation in ("none", "inner sigmoid"):
            return None if activation == "none" else Gate(activation=activation, rank="low")
        return Gate(activation=activation, rank=self.choose(rng, "gate.rank", f"{place}.rank"))

    def filter(self, rng: np.random.Generator, place: str) -> Filter:
        kind = self.choose(rng, "filter", f"{place}.kind")
        if kind == "long":
            return LongFilter(modes=self.choose(rng, "modes", f"{place}.modes"))
        if kind == "oscillating":
            return OscillatingFilter(pairs=self.choose(rng, "pairs", f"{place}.pairs"))
        if kind == "implicit":
            return ImplicitFilter(bands=self.choose(rng, "bands", f"{place}.bands"))
        return ShortFilter(kernel=self.choose(rng, "kernel", f"{place}.kernel"))

    def rule(self, rng: np.random.Generator, place: str) -> Rule:
        kind = self.choose(rng, "rule", f"{place}.kind")
        if kind == "removal":
            return Removal()
        if kind == "delta":
            return Delta(
                feature=self.choose(rng, "delta.feature", f"{place}.feature"),
                strength=self.choose(rng, "delta.strength", f"{place}.strength"),
            )
        feature = self.choose(rng, "hebbian.feature", f"{place}.feature")
        normaliser = feature in POSITIVE_FEATURES and self.choose(rng, "hebbian.normaliser", f"{place}.normaliser")
        return Hebbian(feature=feature, normaliser=normaliser)

    def decay(self, rng: np.random.Generator, rule: Rule, place: str) -> Decay:
        kind = self.choose(rng, f"{rule.kind}.decay", place)
        if kind == "none":
            return None
        horizon = self.choose(rng, "horizon", f"{place}.horizon")
        if kind == "fixed":
            return FixedDecay(horizon=horizon, shortest=self.choose(rng, "shortest", f"{place}.shortest"))
        return DataDecay(
            per=kind,
            horizon=horizon,
            coupled=isinstance(rule, Hebbian) and self.choose(rng, "coupled", f"{place}.coupled"),
            curve=self.choose(rng, f"{kind}.curve", f"{place}.curve"),
            squeeze=self.choose(rng, "squeeze", f"{place}.squeeze") if kind == "channel" else "linear",
        )

"""A graph of operations in the making, and the values that lead through it."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from netwright.evaluator.operations import bounded

_CALLEES_MAX, _LITERAL_CHARACTERS_MAX, _INTEGER_MAX = 4, 24, 10**12
_AXES = (0, 1, 2, 3)
UNKNOWN = object()
"""The literal of a value that is no literal."""


@dataclass
class FlowGraph:
    """Operations by label, edges from what is computed first to what is computed of it, and literal arguments."""

    labels: list[str] = field(default_factory=list)
    edges: set[tuple[int, int]] = field(default_factory=set)
    settings: dict[int, Sequence[str]] = field(default_factory=dict)
    numbers: Counter[str] = field(default_factory=Counter)

    def add(self, label: str, sources: Iterable[int], settings: Sequence[str] = ()) -> int:
        """Add an operation on what `sources` gave, and return its number."""
        node = len(self.labels)
        self.labels.append(label)
        self.edges.update((source, node) for source in sources)
        if settings:
            self.settings[node] = settings
        return node

    def note_number(self, literal: object) -> None:
        """Count a number that stands in the source, whatever it is for; those of axes say nothing."""
        if isinstance(literal, int | float) and literal not in _AXES and (text := told(literal)):
            self.numbers[f"number {text}"] += 1

    def leading_to(self, node: int) -> FlowGraph:
        """Return the part of the graph that `node` depends on: what else is computed is of no consequence."""
        sources = self._sources()
        kept, queue = {node}, [node]
        while queue:
            new = set(sources[queue.pop()]) - kept
            kept |= new
            queue += new
        place = {old: new for new, old in enumerate(sorted(kept))}
        return FlowGraph(
            [self.labels[old] for old in place],
            {(place[i], place[j]) for i, j in self.edges if i in kept and j in kept},
            {place[old]: settings for old, settings in self.settings.items() if old in kept},
            self.numbers,
        )

    def depth(self) -> int:
        """Return how many edges the longest path has, not counting those that lead back in a loop."""
        depths = [0] * len(self.labels)
        for node, sources in enumerate(self._sources()):
            depths[node] = max((depths[source] + 1 for source in sources if source < node), default=0)
        return max(depths, default=0)

    def setting_counts(self) -> Counter[str]:
        """Count literal arguments of operations, such as `conv1d(2=4)`, and all numbers, such as `number 64`."""
        return self.numbers + Counter(
            bounded(f"{self.labels[node]}({setting})") for node, of_node in self.settings.items() for setting in of_node
        )

    def _sources(self) -> list[list[int]]:
        sources: list[list[int]] = [[] for _ in self.labels]
        for source, target in self.edges:
            sources[target].append(source)
        return sources


@dataclass(frozen=True, eq=False)
class Operation:
    """A callee from outside the file; `root` is the package it comes from, `settings` what a module was made with."""

    name: str
    root: str = ""
    settings: tuple[str, ...] = ()
    is_module: bool = False


@dataclass(frozen=True, eq=False)
class Function:
    """A callee of the file, with the names around it and the object that it is bound to."""

    node: ast.FunctionDef | ast.Lambda
    around: dict[str, Value]
    bound: Value | None = None


@dataclass(frozen=True, eq=False)
class Chain:
    """A callee that hands what it is given through one callee after the other."""

    links: tuple[Value, ...]


Callee = Operation | Function | Chain | ast.ClassDef


@dataclass(frozen=True, eq=False)
class Value:
    """What an expression may come to.

    `wires` are the operations that it, or an element of it, may have come from; `items` its elements, or one that
    stands for all; `callees` what calling it may do; `fields` the attributes and `kind` the class of an object of a
    class of the file.
    """

    wires: frozenset[int] = frozenset()
    items: tuple[Value, ...] | None = None
    callees: tuple[Callee, ...] = ()
    fields: dict[str, Value] | None = None
    kind: ast.ClassDef | None = None
    literal: object = UNKNOWN

    def element(self) -> Value:
        """Return what stands for each of its elements."""
        if self.items is None:
            return Value(self.wires, callees=self.callees)
        return either(self.items) if self.items else NOTHING


NOTHING = Value()


def several(items: Sequence[Value]) -> Value:
    """Return a list of these."""
    return Value(wires_of(items), tuple(items))


def either(values: Sequence[Value]) -> Value:
    """Return a value that may be any of these, one or more; lists of one length item by item."""
    if len(values) == 1:
        return values[0]
    rows = [value.items for value in values if value.items]
    if len(rows) == len(values) and len({len(row) for row in rows}) == 1:
        return several([_any_of(each) for each in zip(*rows, strict=True)])
    return _any_of(values)


def wires_of(values: Iterable[Value]) -> frozenset[int]:
    """Return the operations that any of the values may have come from."""
    return frozenset[int]().union(*(value.wires for value in values))


def _any_of(values: Sequence[Value]) -> Value:
    objects = list(dict.fromkeys(value for value in values if value.kind is not None))
    one = objects[0] if len(objects) == 1 else NOTHING
    callees: list[Callee] = [callee for value in values for callee in value.callees]
    if len(objects) > 1:
        callees += [Chain((each,)) for each in objects]
    first = values[0].literal
    return Value(
        wires_of(values),
        callees=tuple(dict.fromkeys(callees))[:_CALLEES_MAX],
        fields=one.fields,
        kind=one.kind,
        literal=first if all(value.literal is first for value in values) else UNKNOWN,
    )


def told(literal: object) -> str:
    """Return a literal as text; nothing where there is none, or where it is too long to be a setting."""
    if isinstance(literal, int) and abs(literal) > _INTEGER_MAX:
        return ""  # Python refuses to write out integers of thousands of digits
    text = str(literal) if isinstance(literal, bool | int | float | str) else ""
    return text if len(text) <= _LITERAL_CHARACTERS_MAX else ""

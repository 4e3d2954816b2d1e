"""A traced graph made small enough to be seen: one layer, without what only holds numbers, repetitions once. Pure.

    trace ─▶ layers ─▶ weights into the operations that use them ─▶ turns of a loop once ─▶ runs of operations in boxes

The trace is what the design's process did in one call (`portrait.TracedGraph`); nothing is run here.
"""

from __future__ import annotations

import difflib
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from netwright.portrait import TracedGraph

PERIOD_MAX, TURNS_MIN = 60, 3
LINES_MAX = 9
TABLE = " · table"
_LAYER = re.compile(r"parts\.(\d+)(?:\.|$)")
_HOLDS = frozenset(("constant", "zeros", "ones", "full", "arange", "randn"))
_NAMES = {
    "scaleddotproductflashattentionforcpu": "attention",
    "mkldnnrnnlayer": "recurrence",
    "constantpadnd": "pad",
    "maskedfill": "mask",
    "linalgsolvetriangular": "solve triangular",
    "nativelayernorm": "layer norm",
    "safesoftmax": "softmax",
}


@dataclass(frozen=True)
class Step:
    """An operation, in the part of the design that it runs in; `turns` is how often, where it is one of a loop."""

    label: str
    shape: tuple[int, ...]
    part: str
    turns: int = 1


@dataclass(frozen=True)
class Sketch:
    """Steps in the order in which they run, edges from earlier to later ones, and edges that lead to the next turn."""

    steps: tuple[Step, ...]
    edges: frozenset[tuple[int, int]]
    back: frozenset[tuple[int, int]] = frozenset()


@dataclass(frozen=True)
class Line:
    """A line of a box; `new` where the parent has no such step at that place."""

    label: str
    new: bool


@dataclass(frozen=True)
class Box:
    """Steps that follow each other without a branch, in one part of the design; `shape` is what the last one gives."""

    lines: tuple[Line, ...]
    shape: tuple[int, ...]
    part: str
    turns: int


@dataclass(frozen=True)
class Boxes:
    """The graph as it is drawn. `gone` are the steps of the parent that it lacks."""

    boxes: tuple[Box, ...]
    edges: tuple[tuple[int, int], ...]
    back: tuple[tuple[int, int], ...]
    gone: tuple[str, ...] = ()


def layers_of(trace: TracedGraph) -> tuple[Sketch, ...]:
    """Return each layer that differs from those before it; one sketch of everything where no layers are known."""
    if not trace.owners:
        return (_simplified(trace, range(len(trace.labels)), ""),)
    paths = [trace.modules[owner] for owner in trace.owners]
    numbers = sorted({int(found[1]) for path in paths if (found := _LAYER.match(path))})
    sketches: list[Sketch] = []
    for number in numbers:
        prefix = f"parts.{number}"
        inside = [node for node, path in enumerate(paths) if path == prefix or path.startswith(prefix + ".")]
        sketches.append(_simplified(trace, inside, prefix))
    sketches = sketches or [_simplified(trace, range(len(trace.labels)), "")]
    return tuple(dict.fromkeys(sketches))


def nearest(sketch: Sketch, others: Sequence[Sketch]) -> Sketch | None:
    """Return the one of the others that has most in common with the sketch, None where there is none."""
    ours = [step.label for step in sketch.steps]

    def likeness(other: Sketch) -> float:
        return difflib.SequenceMatcher(None, [step.label for step in other.steps], ours, autojunk=False).ratio()

    return max(others, key=likeness, default=None)


def boxes_of(sketch: Sketch, parent: Sketch | None = None) -> Boxes:
    """Return the boxes of a sketch, with what it has and lacks beside its parent's."""
    new, gone = _changes(sketch, parent) if parent else (frozenset[int](), ())
    before, after = _neighbours(sketch.edges)
    place: dict[int, int] = {}
    runs: list[list[int]] = []
    for node, step in enumerate(sketch.steps):
        (last,) = before[node] if len(before[node]) == 1 else (None,)
        run = runs[place[last]] if last is not None and len(after[last]) == 1 else None
        if run and run[-1] == last and len(run) < LINES_MAX and _alike(sketch.steps[last or 0], step):
            run.append(node)
        else:
            runs.append([node])
            run = runs[-1]
        place[node] = runs.index(run)
    boxes = tuple(
        Box(
            lines=tuple(Line(sketch.steps[node].label, node in new) for node in run),
            shape=sketch.steps[run[-1]].shape,
            part=sketch.steps[run[0]].part,
            turns=sketch.steps[run[0]].turns,
        )
        for run in runs
    )
    edges = {(place[i], place[j]) for i, j in sketch.edges if place[i] != place[j]}
    back = {(place[i], place[j]) for i, j in sketch.back}
    return Boxes(boxes, tuple(sorted(edges)), tuple(sorted(back)), gone)


def _alike(one: Step, other: Step) -> bool:
    ends = ("input", "output")
    return (one.part, one.turns) == (other.part, other.turns) and one.label not in ends and other.label not in ends


def _changes(sketch: Sketch, parent: Sketch) -> tuple[frozenset[int], tuple[str, ...]]:
    """The steps that the parent lacks, where an alignment puts them, and the labels of those that only it has."""
    theirs, ours = ([step.label for step in each.steps] for each in (parent, sketch))
    more, less = Counter(ours) - Counter(theirs), Counter(theirs) - Counter(ours)
    new: set[int] = set()
    for kind, _, _, j, m in difflib.SequenceMatcher(None, theirs, ours, autojunk=False).get_opcodes():
        for place in range(j, m) if kind != "equal" else ():
            if more[ours[place]] > 0:  # else it has only moved
                more[ours[place]] -= 1
                new.add(place)
    return frozenset(new), tuple(less.elements())


def _simplified(trace: TracedGraph, nodes: Iterable[int], prefix: str) -> Sketch:
    """Keep the operations among `nodes`; what comes from outside of them is the input."""
    inside = sorted(nodes)
    among, kept = set(inside), dict[int, int]()
    before, _ = _neighbours(trace.edges)
    tables = _tables(trace, before)
    steps, edges = [Step("input", _input_shape(trace, among), "")], set[tuple[int, int]]()
    for node in inside:
        label = trace.labels[node]
        if label in ("input", "output", "parameter") or node in tables:
            continue
        held = [each for each in before[node] if trace.labels[each] == "parameter" or each in tables]
        part = trace.modules[trace.owners[node]].removeprefix(prefix).strip(".") if trace.owners else ""
        kept[node] = len(steps)
        steps.append(Step(_name(label, trace, node, held), trace.shapes[node], part))
        for each in before[node]:
            if each in kept:
                edges.add((kept[each], kept[node]))
            elif each not in held and (each not in among or trace.labels[each] == "input"):
                edges.add((0, kept[node]))
    outside = {i for i, j in trace.edges if j not in among or trace.labels[j] == "output"}
    left = [kept[node] for node in kept if node in outside]
    edges |= {(node, len(steps)) for node in left or [len(steps) - 1]}
    steps.append(Step("output", steps[max(left)].shape if left else (), ""))
    return _folded(*_leading_to_output(_without_common_part(steps), edges))


def _without_common_part(steps: list[Step]) -> list[Step]:
    """Leave out the name of a part that holds all others."""
    first = {step.part.partition(".")[0] for step in steps[1:-1]}
    if len(first) != 1 or first == {""}:
        return steps
    return [replace(step, part=step.part.partition(".")[2]) for step in steps]


def _leading_to_output(steps: list[Step], edges: set[tuple[int, int]]) -> tuple[tuple[Step, ...], set[tuple[int, int]]]:
    """Leave out what is computed for nothing."""
    before, _ = _neighbours(edges)
    kept, queue = {0, len(steps) - 1}, [len(steps) - 1]
    while queue:
        found = set(before[queue.pop()]) - kept
        kept |= found
        queue += found
    place = {old: new for new, old in enumerate(sorted(kept))}
    return tuple(steps[old] for old in place), {(place[i], place[j]) for i, j in edges if i in kept and j in kept}


def _tables(trace: TracedGraph, before: Mapping[int, Sequence[int]]) -> frozenset[int]:
    """What depends on neither input nor weights, as masks and positions do: the same for every row."""
    tables = set[int]()
    for node, label in enumerate(trace.labels):
        made = label in _HOLDS or (label not in ("input", "output", "parameter") and set(before[node]) <= tables)
        if made:
            tables.add(node)
    return frozenset(tables)


def _input_shape(trace: TracedGraph, among: set[int]) -> tuple[int, ...]:
    entering = [i for i, j in trace.edges if j in among and (i not in among or trace.labels[i] == "input")]
    known = [node for node in entering if trace.labels[node] not in (*_HOLDS, "parameter")]
    return trace.shapes[known[0]] if known else ()


def _name(label: str, trace: TracedGraph, node: int, held: Sequence[int]) -> str:
    """An operation with weights or a table says so: a product with a matrix of weights is a projection."""
    weights = [trace.shapes[each] for each in held if trace.labels[each] == "parameter"]
    if label in ("matmul", "addmm", "linear") and weights:
        return f"linear {weights[0][-1]} → {weights[0][0]}" if len(weights[0]) == 2 else "linear"
    name = _NAMES.get(label, label)
    return f"{name} · weights" if weights else f"{name}{TABLE}" if held else name


def _folded(steps: tuple[Step, ...], edges: set[tuple[int, int]]) -> Sketch:
    """Keep one turn of what repeats itself in a row."""
    place, kept = list[int](), list[Step]()
    # The first turn of a loop may begin with a table where the others have what the last one left.
    labels = [(step.label.removesuffix(TABLE), step.part) for step in steps]
    at = 0
    while at < len(steps):
        period, turns = _repetition(labels, at)
        begin = len(kept)
        kept += [Step(s.label, s.shape, s.part, turns) for s in steps[at + period * (turns - 1) : at + period * turns]]
        place += [begin + offset for _ in range(turns) for offset in range(period)]
        at += period * turns
    forward = {(place[i], place[j]) for i, j in edges if place[i] < place[j]}
    back = {(place[i], place[j]) for i, j in edges if place[i] >= place[j]}
    return Sketch(tuple(kept), frozenset(forward), frozenset(back))


def _repetition(labels: Sequence[tuple[str, str]], at: int) -> tuple[int, int]:
    """The period and the turns of what repeats itself from here on; the longest in all counts."""
    best = (1, 1)
    for period in range(1, PERIOD_MAX + 1):
        turns = 1
        while labels[at : at + period] == labels[at + turns * period : at + (turns + 1) * period]:
            turns += 1
        if turns >= TURNS_MIN and period > 1 and period * turns > best[0] * best[1]:
            best = (period, turns)
    return best


def _neighbours(edges: Iterable[tuple[int, int]]) -> tuple[dict[int, list[int]], dict[int, list[int]]]:
    before, after = defaultdict[int, list[int]](list), defaultdict[int, list[int]](list)
    for source, target in sorted(edges):
        before[target].append(source)
        after[source].append(target)
    return before, after

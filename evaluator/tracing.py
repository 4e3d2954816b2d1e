"""What a module really computes in one call: a graph of torch's own operations, noted while they run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from netwright.evaluator.operations import PLUMBING, bounded, operation
from netwright.portrait import NODES_MAX, TracedGraph

_MOVES = PLUMBING | {"unsafeview", "alias", "detach", "liftfresh", "liftfreshcopy", "tocopy", "copy", "unsafesplit"}

_PATH_CHARACTERS = 80


def trace(module: nn.Module, inputs: Tensor) -> TracedGraph | None:
    """Return the graph of one call without gradient; None where it has more than NODES_MAX operations.

    What merely moves numbers is passed through. What comes from nowhere is `input`, `parameter` or `constant`.
    """
    recorder = _Recorder(module, inputs)
    with torch.no_grad(), recorder.following(module), recorder:
        answer = module(inputs)
    recorder.end(answer)
    return recorder.graph()


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes operations, and of which tensors they make which."""

    def __init__(self, module: nn.Module, inputs: Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._labels: list[str] = []
        self._shapes: list[tuple[int, ...]] = []
        self._modules: dict[str, int] = {"": 0}
        self._owners: list[int] = []
        self._within = [0]
        self._edges: set[tuple[int, int]] = set()
        self._makers: dict[int, frozenset[int]] = {}
        self._writers: dict[int, int] = {}
        self._alive: list[Tensor] = []  # the id of a tensor that is gone could be another's
        self._parameters = {id(parameter) for parameter in module.parameters()}
        self._note(inputs, "input", frozenset())

    @contextmanager
    def following(self, module: nn.Module) -> Iterator[None]:
        """Know which part of the module is running, until the end."""
        hooks = []
        for path, part in module.named_modules():
            name = path[:_PATH_CHARACTERS].encode("ascii", "replace").decode()
            place = self._modules.setdefault(name, len(self._modules))
            hooks.append(part.register_forward_pre_hook(partial(self._enter, place)))
            hooks.append(part.register_forward_hook(self._leave, always_call=True))
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def _enter(self, place: int, *_: object) -> None:
        self._within.append(place)

    def _leave(self, *_: object) -> None:
        self._within.pop()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if len(self._labels) > NODES_MAX:
            return result
        name = func.overloadpacket.__name__
        label = operation(name)
        given, made = list(_tensors((args, kwargs or {}))), list(_tensors(result))
        sources = frozenset[int]().union(*(self._makers_of(each) for each in given))
        if name == "copy_":
            self._writers[_storage(given[0])] = max(self._makers_of(given[1]), default=0)
        elif label in _MOVES:
            for each in made:
                self._remember(each, sources)
        elif made:
            node = self._note(made[0], label, sources)
            for each in made:
                self._remember(each, frozenset((node,)))
            if name.endswith("_"):
                self._writers[_storage(made[0])] = node
        return result

    def end(self, answer: object) -> None:
        """Note what the call returned."""
        for each in _tensors(answer):
            self._note(each, "output", self._makers_of(each))

    def graph(self) -> TracedGraph | None:
        if len(self._labels) > NODES_MAX:
            return None
        used = sorted(set(self._owners))
        names = {place: path for path, place in self._modules.items()}
        return TracedGraph(
            labels=tuple(self._labels),
            shapes=tuple(self._shapes),
            edges=tuple(sorted(self._edges)),
            modules=tuple(names[place] for place in used),
            owners=tuple(used.index(place) for place in self._owners),
        )

    def _note(self, tensor: Tensor, label: str, sources: frozenset[int]) -> int:
        node = len(self._labels)
        self._labels.append(bounded(label))
        self._shapes.append(tuple(tensor.shape))
        self._owners.append(self._within[-1])
        self._edges |= {(source, node) for source in sources}
        self._remember(tensor, frozenset((node,)))
        return node

    def _remember(self, tensor: Tensor, makers: frozenset[int]) -> None:
        self._makers[id(tensor)] = makers
        self._alive.append(tensor)

    def _makers_of(self, tensor: Tensor) -> frozenset[int]:
        if id(tensor) not in self._makers:
            self._note(tensor, "parameter" if id(tensor) in self._parameters else "constant", frozenset())
        makers = self._makers[id(tensor)]
        written = self._writers.get(_storage(tensor))
        return makers | {written} if written is not None and written > max(makers, default=0) else makers


def _storage(tensor: Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)


def _tensors(tree: object) -> Iterator[Tensor]:
    if isinstance(tree, Tensor):
        yield tree
    elif isinstance(tree, dict):
        for each in tree.values():
            yield from _tensors(each)
    elif isinstance(tree, list | tuple):
        for each in tree:
            yield from _tensors(each)

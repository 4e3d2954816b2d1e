"""What a call in a candidate's source comes to: an operation, a module of torch, or code of the file."""

from __future__ import annotations

import ast
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence

from netwright.evaluator.flow_graph import (
    NOTHING,
    Callee,
    Chain,
    FlowGraph,
    Function,
    Operation,
    Value,
    either,
    several,
    told,
    wires_of,
)
from netwright.evaluator.operations import PLUMBING, SHAPE, bounded, operation, pattern

STEPS_MAX, DEPTH_MAX, CALLS_MAX = 12_000, 100, 12
"""How much is looked at, how deep in each other, and how deep in calls: what lies beyond is left out."""
_NO_TENSORS = ("math", "typing", "dataclasses", "collections")
_LISTS = frozenset(("ModuleList", "ModuleDict", "ParameterList", "ParameterDict", "OrderedDict"))
_AS_IT_IS = frozenset(("list", "tuple", "reversed", "iter", "sorted", "set", "dict"))
_APPLIES = frozenset(("map", "vmap", "checkpoint", "partial", "reduce", "compile", "script"))
_ADDS = frozenset(("append", "extend", "insert", "add", "update"))

Names = dict[str, Value]


class TooMuch(Exception):
    """There is more to the file than is worth reading."""


class Calls(ABC):
    """Follows calls; how expressions and statements are read is for the subclass to say."""

    def __init__(self, classes: Mapping[str, ast.ClassDef]) -> None:
        self.graph = FlowGraph()
        self.names: Names = {}
        self._classes = classes
        self._running: list[ast.AST] = []
        self._steps = self._depth = 0

    @abstractmethod
    def eval(self, node: ast.expr | None, names: Names) -> Value:
        """Return what the expression comes to."""

    @abstractmethod
    def outcome(self, body: Sequence[ast.stmt], names: Names) -> Value:
        """Return what the body of a function returns."""

    @abstractmethod
    def assign(self, target: ast.expr, value: Value, names: Names) -> None:
        """Bind the target to the value."""

    def spend(self, steps: int) -> None:
        """Count steps. Raises: TooMuch beyond STEPS_MAX."""
        self._steps += steps
        if self._steps > STEPS_MAX:
            raise TooMuch

    def enter(self) -> None:
        """Go one level deeper, until `leave`. Raises: TooMuch beyond DEPTH_MAX."""
        self.spend(1)
        self._depth += 1
        if self._depth > DEPTH_MAX:
            raise TooMuch

    def leave(self) -> None:
        """Come back from a level."""
        self._depth -= 1

    def either(self, values: Sequence[Value]) -> Value:
        """As `flow_graph.either`, which takes time."""
        self.spend(sum(len(value.wires) for value in values))
        return either(values)

    def node(self, label: str, sources: Iterable[int] = (), settings: Sequence[str] = ()) -> Value:
        """Add an operation to the graph."""
        node = self.graph.add(label, sources, settings)
        return Value(frozenset((node,)))

    def combined(self, label: str, values: Sequence[Value]) -> Value:
        """Return what an operation makes of tensors; of numbers alone it makes numbers, which are no part of it."""
        wires = wires_of(values)
        self.spend(len(wires))
        if not wires:
            return NOTHING
        return self.node(label, wires, [told(value.literal) for value in values if told(value.literal)])

    def attribute(self, value: Value, name: str) -> Value:
        """Return `value.name`."""
        if value.fields is not None:
            return value.fields.get(name) or self._bound_method(value, name)
        if value.callees and not value.wires:
            return self._attribute_of_callee(value, name)
        plain = operation(name)
        if plain in SHAPE:
            return NOTHING
        return Value(value.wires) if plain in PLUMBING else value

    def _bound_method(self, value: Value, name: str) -> Value:
        method = self._method(value.kind, name) if value.kind is not None else None
        if method is None:
            return NOTHING
        static = any(isinstance(each, ast.Name) and each.id == "staticmethod" for each in method.decorator_list)
        return Value(callees=(Function(method, self.names, None if static else value),))

    def _attribute_of_callee(self, value: Value, name: str) -> Value:
        callee = value.callees[0]
        if isinstance(callee, Operation):
            if callee.is_module:
                return self.node("parameter") if name in ("weight", "bias") else NOTHING
            return Value(callees=(Operation(name, callee.root or callee.name),))
        if isinstance(callee, ast.ClassDef):
            # An autograd function is applied by its class, and its forward begins with a context.
            method = self._method(callee, "forward" if name == "apply" else name)
            return (
                Value(callees=(Function(method, self.names, NOTHING if name == "apply" else None),))
                if method
                else NOTHING
            )
        return NOTHING

    # -- calls -----------------------------------------------------------------------------------------------

    def call(self, node: ast.Call, names: Names) -> Value:
        """Return what a call comes to."""
        given = [self.eval(each, names) for each in node.args]
        named = {each.arg or "**": self.eval(each.value, names) for each in node.keywords}
        match node.func:
            case ast.Name(id=name) if name not in names and name not in self.names:
                return self._builtin(name, given, named)
            case ast.Attribute(value=ast.Call(func=ast.Name(id="super")), attr=attr):
                return self._inherited(attr, given, named, names)
            case ast.Attribute():
                return self._method_call(node.func, given, named, names)
        return self.called(self.eval(node.func, names), given, named)

    def called(self, value: Value, given: Sequence[Value], named: Mapping[str, Value]) -> Value:
        """Return what calling the value comes to."""
        if value.kind is not None:
            forward = self._bound_method(value, "forward")
            value = forward if forward.callees else (value.fields or {}).get("super", NOTHING)
        if not value.callees:
            return self.combined("call", [value, *given, *named.values()])
        return self.either([self._applied(callee, given, named) for callee in value.callees])

    def _builtin(self, name: str, given: Sequence[Value], named: Mapping[str, Value]) -> Value:
        if name == "zip":
            return several([several([each.element() for each in given])])
        if name == "enumerate" and given:
            return several([several([NOTHING, given[0].element()])])
        if name in _AS_IT_IS:
            return given[0] if given else several([])
        if name in _APPLIES and given:
            return self._applied(Operation(name), given, named)
        return self.combined("add" if name == "sum" else operation(name), given)

    def _method_call(
        self, func: ast.Attribute, given: Sequence[Value], named: Mapping[str, Value], names: Names
    ) -> Value:
        value, name = self.eval(func.value, names), func.attr
        if value.fields is not None:
            found = self.attribute(value, name)
            known = found.callees or found.kind is not None
            return self.called(found, given, named) if known else self._of_module(value, name, given, named)
        if value.callees and not value.wires and value.items is None:
            return self.called(self.attribute(value, name), given, named)
        if name in _ADDS and value.items is not None and given:
            self.assign(func.value, several([self.either([*value.items, given[-1]])]), names)
            return NOTHING
        if name in ("items", "values", "keys"):
            element = value.element()
            return several([several([NOTHING, element]) if name == "items" else element])
        if operation(name) in SHAPE:
            return NOTHING
        result = self._applied(Operation(name), [value, *given], named)
        if name.endswith("_"):
            self.assign(func.value, result, names)
        return result

    def _of_module(self, value: Value, name: str, given: Sequence[Value], named: Mapping[str, Value]) -> Value:
        """Carry out a method that the object has from nn.Module."""
        label = given[0].literal if given else None
        if name in ("register_buffer", "register_parameter", "add_module") and isinstance(label, str):
            assert value.fields is not None
            value.fields[label] = given[1] if len(given) > 1 else next(iter(named.values()), NOTHING)
        return NOTHING

    def _inherited(self, name: str, given: Sequence[Value], named: Mapping[str, Value], names: Names) -> Value:
        """Return what a call of super() comes to, where the base is a class of the file or one of torch's."""
        owner = names.get("self", NOTHING)
        if owner.kind is None or owner.fields is None:
            return NOTHING
        for callee in (callee for base in owner.kind.bases for callee in self.eval(base, self.names).callees):
            if isinstance(callee, ast.ClassDef) and (method := self._method(callee, name)):
                return self._inlined(Function(method, self.names, owner), given, named)
            if isinstance(callee, Operation) and callee.name != "Module":
                if name != "__init__":
                    return self.called(owner.fields.get("super", NOTHING), given, named)
                owner.fields["super"] = self._applied(callee, given, named)
        return NOTHING

    def _applied(self, callee: Callee, given: Sequence[Value], named: Mapping[str, Value]) -> Value:
        match callee:
            case Function():
                return self._inlined(callee, given, named)
            case ast.ClassDef():
                return self.made(callee, given, named)
            case Chain():
                passed = given[0] if given else NOTHING
                for link in callee.links:
                    passed = self.called(link, [passed], {})
                return passed
            case Operation(name=name, is_module=False) if name[:1].isupper():
                return self._module(callee, given, _settings(given, named))
        return self._operation(callee, given, named)

    def _operation(self, callee: Operation, given: Sequence[Value], named: Mapping[str, Value]) -> Value:
        """Return what an operation from outside the file makes of its arguments."""
        values = [*given, *named.values()]
        if callee.root.split(".")[0] in _NO_TENSORS:
            return NOTHING
        followed = next((value for value in values if _is_of_file(value)), None)
        if followed is not None:
            rest = [value for value in given if value is not followed]
            return self.called(followed, rest, {}) if wires_of(rest) else followed
        label, wires = operation(callee.name), wires_of(values)
        if label in PLUMBING:
            return Value(given[0].wires if given else frozenset())
        self.spend(len(wires))
        text = next((value.literal for value in given if isinstance(value.literal, str)), None)
        einops = callee.root.startswith("einops")
        if text is not None and (einops or label == "einsum"):
            return self.node(bounded(f"{label} {pattern(text, words=einops)}"), wires)
        return self.node(label, wires, (*callee.settings, *_settings(given, named)))

    def _module(self, callee: Operation, given: Sequence[Value], settings: tuple[str, ...]) -> Value:
        """Return what a class from outside the file makes: a module, a list of them, or a parameter."""
        listed = given[0].items if given and given[0].items is not None else None
        if callee.name == "Sequential":
            links = listed if listed is not None and len(given) == 1 else given
            return Value(wires_of(links), tuple(links), (Chain(tuple(links)),))
        if callee.name in _LISTS:
            return several(listed or ())
        if callee.name in ("Parameter", "Buffer"):
            return self.node("parameter", given[0].wires if given else ())
        return Value(callees=(Operation(callee.name, callee.root, settings, is_module=True),))

    def made(self, kind: ast.ClassDef, given: Sequence[Value], named: Mapping[str, Value]) -> Value:
        """Return an object of a class of the file."""
        fields: Names = {}
        thing = Value(fields=fields, kind=kind)
        init = self._method(kind, "__init__")
        if init is not None:
            self._inlined(Function(init, self.names, thing), given, named)
        else:
            declared = [each.target for each in kind.body if isinstance(each, ast.AnnAssign)]
            named_fields = [target.id for target in declared if isinstance(target, ast.Name)]
            fields |= dict(zip(named_fields, given, strict=False)) | dict(named)
        return thing

    def _inlined(self, function: Function, given: Sequence[Value], named: Mapping[str, Value]) -> Value:
        node = function.node
        if node in self._running or len(self._running) >= CALLS_MAX:
            return self.combined("recursion", [*given, *named.values()])
        names = {} if function.around is self.names else dict(function.around)
        self.spend(1 + len(names))
        bound = [] if function.bound is None else [function.bound]
        names |= self._bindings(node.args, [*bound, *given], named)
        self._running.append(node)
        result = self.eval(node.body, names) if isinstance(node, ast.Lambda) else self.outcome(node.body, names)
        self._running.pop()
        return result

    def _bindings(self, arguments: ast.arguments, given: Sequence[Value], named: Mapping[str, Value]) -> Names:
        ordered = [each.arg for each in (*arguments.posonlyargs, *arguments.args)]
        defaults = dict(zip(reversed(ordered), reversed(arguments.defaults), strict=False))
        keyword_only = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
        defaults |= {each.arg: value for each, value in keyword_only if value is not None}
        bound = {name: self.eval(value, self.names) for name, value in defaults.items()}
        bound |= dict(zip(ordered, given, strict=False))
        if arguments.vararg is not None:
            bound[arguments.vararg.arg] = several(given[len(ordered) :])
        return bound | dict(named)

    def _method(self, kind: ast.ClassDef, name: str) -> ast.FunctionDef | None:
        """Find a method in the class or in its bases of the same file."""
        queue, seen = [kind], set[str]()
        while queue:
            current = queue.pop(0)
            seen.add(current.name)
            self.spend(len(current.body))
            for node in current.body:
                if isinstance(node, ast.FunctionDef) and node.name == name:
                    return node
            bases = (base.id for base in current.bases if isinstance(base, ast.Name))
            queue += [self._classes[base] for base in bases if base in self._classes and base not in seen]
        return None


def _is_of_file(value: Value) -> bool:
    """Whether calling the value leads to code of the file."""
    return value.kind is not None or any(not isinstance(callee, Operation) for callee in value.callees)


def _settings(given: Sequence[Value], named: Mapping[str, Value]) -> tuple[str, ...]:
    pairs = [*((str(place), value) for place, value in enumerate(given)), *named.items()]
    return tuple(f"{name}={told(value.literal)}" for name, value in pairs if told(value.literal))

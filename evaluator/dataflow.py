"""The operations that a candidate's `forward` would carry out, read from its syntax tree; nothing of it is run.

    input ─▶ linear ─▶ matmul ─▶ softmax ─▶ matmul ─▶ linear ─▶ output

An abstract interpretation: a value is the set of operations that it may have come from. A module is what `__init__`
makes of it; functions and classes of the file are followed; both branches are taken where a condition is unknown; the
body of a loop is read once, and what one turn hands to the next goes through a node `loop`. It is an estimate, good
enough to compare designs by: no order of arguments, no shapes.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from contextlib import suppress

from netwright.evaluator.flow_calls import Calls, Names, TooMuch
from netwright.evaluator.flow_graph import NOTHING, FlowGraph, Function, Operation, Value, several
from netwright.evaluator.operations import OPERATORS

_MAIN = ("Mixer", "Block", "Model")
UNROLLED_MAX = 8
_CONSTANTS = (bool, int, float, str)

Comprehension = ast.ListComp | ast.GeneratorExp | ast.SetComp | ast.DictComp


def flow_graph(tree: ast.Module) -> FlowGraph:
    """Return the graph of the candidate's class: what was read of it, where there is too much; empty without one."""
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    main = next((classes[name] for name in _MAIN if name in classes), None)
    reader = _Reader(classes)
    if main is None:
        return reader.graph
    with suppress(TooMuch):
        reader.outcome(tree.body, reader.names)
        network = reader.made(main, [NOTHING] * 5, {})
        left = reader.called(network, [reader.node("input")], {})
        return reader.graph.leading_to(reader.graph.add("output", left.wires))
    return reader.graph


class _Reader(Calls):
    """Reads statements and expressions."""

    def outcome(self, body: Sequence[ast.stmt], names: Names) -> Value:
        returned: list[Value] = []
        self._run(body, names, returned)
        return self.either(returned) if returned else NOTHING

    # -- statements ------------------------------------------------------------------------------------------

    def _run(self, body: Sequence[ast.stmt], names: Names, returned: list[Value]) -> bool:
        """Carry out statements; True where nothing after them is reached."""
        self.enter()
        ended = any(self._carry_out(statement, names, returned) for statement in body)
        self.leave()
        return ended

    def _carry_out(self, node: ast.stmt, names: Names, returned: list[Value]) -> bool:
        match node:
            case ast.Return():
                returned.append(self.eval(node.value, names))
                return True
            case ast.Raise() | ast.Break() | ast.Continue():
                return True
            case ast.If():
                return self._branch(node, names, returned)
            case ast.With():
                return self._run(node.body, names, returned)
            case ast.Try():
                return self._run([*node.body, *node.orelse, *node.finalbody], names, returned)
            case ast.For():
                element = self.eval(node.iter, names).element()
                self._loop(node.body, names, returned, lambda: self.assign(node.target, element, names))
            case ast.While():
                self._loop(node.body, names, returned, lambda: None)
            case _:
                self._bind(node, names)
        return False

    def _bind(self, node: ast.stmt, names: Names) -> None:
        """Carry out a statement that binds names, or stands alone."""
        match node:
            case ast.Assign():
                value = self.eval(node.value, names)
                for target in node.targets:
                    self.assign(target, value, names)
            case ast.AnnAssign() if node.value is not None:
                self.assign(node.target, self.eval(node.value, names), names)
            case ast.AugAssign():
                sides = [self.eval(node.target, names), self.eval(node.value, names)]
                self.assign(node.target, self.combined(_operator(node.op), sides), names)
            case ast.Expr():
                self.eval(node.value, names)
            case ast.FunctionDef():
                names[node.name] = Value(callees=(Function(node, names),))
            case ast.ClassDef():
                names[node.name] = Value(callees=(node,))
            case ast.Import() | ast.ImportFrom():
                names |= _imported(node)

    def _branch(self, node: ast.If, names: Names, returned: list[Value]) -> bool:
        truth = self._truth(node.test, names)
        if truth is not None:
            return self._run(node.body if truth else node.orelse, names, returned)
        self.spend(len(names))
        other = dict(names)
        ended, other_ended = self._run(node.body, names, returned), self._run(node.orelse, other, returned)
        if ended:
            names |= other
        elif not other_ended:
            names |= {
                name: self.either((names[name], value)) if names.get(name, value) is not value else value
                for name, value in other.items()
            }
        return ended and other_ended

    def _truth(self, test: ast.expr, names: Names) -> bool | None:
        """Return what the condition comes to where the file says so, else None."""
        if isinstance(test, ast.Compare) and isinstance(test.ops[0], ast.Is | ast.IsNot):
            subject, same = self.eval(test.left, names), isinstance(test.ops[0], ast.Is)
            if subject.literal is None:
                return same
            return not same if subject.callees or subject.wires or subject.fields is not None else None
        literal = self.eval(test, names).literal
        return bool(literal) if literal is None or isinstance(literal, _CONSTANTS) else None

    def _loop(self, body: Sequence[ast.stmt], names: Names, returned: list[Value], begin: Callable[[], None]) -> None:
        """Read the body once; what it changes of what was there before comes round through a node `loop`."""
        inside = [node for statement in body for node in ast.walk(statement)]
        self.spend(len(inside) // 4)
        stored = {node.id for node in inside if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
        carried = {name: self.node("loop", names[name].wires) for name in stored if _wired(names.get(name))}
        names |= carried
        begin()
        self._run(body, names, returned)
        for name, turn in carried.items():
            (node,) = turn.wires
            self.graph.edges.update((source, node) for source in names[name].wires if source != node)

    def assign(self, target: ast.expr, value: Value, names: Names) -> None:
        match target:
            case ast.Name():
                names[target.id] = value
            case ast.Tuple() | ast.List():
                items = value.items if value.items and len(value.items) == len(target.elts) else None
                for place, each in enumerate(target.elts):
                    self.assign(each, items[place] if items else value.element(), names)
            case ast.Starred():
                self.assign(target.value, value, names)
            case ast.Attribute():
                fields = self.eval(target.value, names).fields
                if fields is not None:
                    fields[target.attr] = value
            case ast.Subscript():
                self.assign(target.value, self.either((self.eval(target.value, names), value)), names)

    # -- expressions -----------------------------------------------------------------------------------------

    def eval(self, node: ast.expr | None, names: Names) -> Value:
        if node is None:
            return NOTHING
        self.enter()
        value = self._simple_expression(node, names)
        self.leave()
        return value

    def _simple_expression(self, node: ast.expr, names: Names) -> Value:
        match node:
            case ast.Name():
                return names.get(node.id) or self.names.get(node.id) or NOTHING
            case ast.Attribute():
                return self.attribute(self.eval(node.value, names), node.attr)
            case ast.Call():
                return self.call(node, names)
            case ast.Constant():
                self.graph.note_number(node.value)
                return Value(literal=node.value)
            case ast.BinOp():
                return self.combined(_operator(node.op), [self.eval(node.left, names), self.eval(node.right, names)])
            case ast.Subscript():
                return self._subscript(node, names)
            case ast.UnaryOp():
                return self._unary(node, names)
            case ast.Compare():
                sides = [self.eval(side, names) for side in (node.left, *node.comparators)]
                return self.combined(_operator(node.ops[0]), sides)
        return self._composed(node, names)

    def _composed(self, node: ast.expr, names: Names) -> Value:
        match node:
            case ast.Tuple() | ast.List() | ast.Set():
                return several([self.eval(each, names) for each in node.elts])
            case ast.Dict():
                return several([self.eval(each, names) for each in node.values])
            case ast.ListComp() | ast.GeneratorExp() | ast.SetComp() | ast.DictComp():
                return self._comprehension(node, names)
            case ast.IfExp():
                truth = self._truth(node.test, names)
                sides = [node.body] if truth else [node.orelse] if truth is False else [node.body, node.orelse]
                return self.either([self.eval(side, names) for side in sides])
            case ast.BoolOp():
                return self.either([self.eval(each, names) for each in node.values])
            case ast.Lambda():
                return Value(callees=(Function(node, names),))
            case ast.Starred():
                return self.eval(node.value, names)
            case ast.NamedExpr():
                value = self.eval(node.value, names)
                self.assign(node.target, value, names)
                return value
        return NOTHING

    def _comprehension(self, node: Comprehension, names: Names) -> Value:
        """Return what stands for the elements, or, over a list of few, each of them."""
        inner, made = node.value if isinstance(node, ast.DictComp) else node.elt, list[Value]()
        first, *others = node.generators
        source = self.eval(first.iter, names)
        few = source.items if source.items and len(source.items) <= UNROLLED_MAX and not first.ifs else None
        for element in few or (source.element(),):
            self.spend(len(names))
            bound = dict(names)
            self.assign(first.target, element, bound)
            for generator in others:
                self.assign(generator.target, self.eval(generator.iter, bound).element(), bound)
            made.append(self.eval(inner, bound))
        return several(made)

    def _unary(self, node: ast.UnaryOp, names: Names) -> Value:
        value = self.eval(node.operand, names)
        if isinstance(node.op, ast.Not) and (value.literal is None or isinstance(value.literal, bool)):
            return Value(literal=not value.literal)
        if isinstance(node.op, ast.USub) and isinstance(value.literal, int | float):
            return Value(literal=-value.literal)
        return self.combined(_operator(node.op), [value])

    def _subscript(self, node: ast.Subscript, names: Names) -> Value:
        value, index = self.eval(node.value, names), self.eval(node.slice, names)
        if value.items is not None:
            at = index.literal
            if isinstance(at, int) and -len(value.items) <= at < len(value.items):
                return value.items[at]
            return value if isinstance(node.slice, ast.Slice) else value.element()
        axes = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        cut = any(isinstance(axis, ast.Slice) and (axis.lower or axis.upper or axis.step) for axis in axes)
        return self.combined("slice", [value, Value(index.wires)]) if cut or index.wires else value


def _wired(value: Value | None) -> bool:
    return value is not None and bool(value.wires)


def _operator(node: ast.AST) -> str:
    return OPERATORS[type(node).__name__]


def _imported(node: ast.Import | ast.ImportFrom) -> Names:
    """Return what names an import binds: the last part of a name says what it does, the first where it is from."""
    package = (node.module or "") if isinstance(node, ast.ImportFrom) else ""
    return {
        alias.asname or alias.name.split(".")[0]: Value(
            callees=(Operation(alias.name.split(".")[-1], package or alias.name),)
        )
        for alias in node.names
    }

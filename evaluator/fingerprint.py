"""A fingerprint of source that survives renaming, comments, docstrings and layout.

Two files with equal fingerprints compute the same thing; the reverse does not hold. It costs a parse, so a design
that was renamed is recognised before anything is trained.
"""

from __future__ import annotations

import ast
import hashlib

from netwright.evaluator.contract import parsed

KEPT = {"Mixer", "Block", "Model", "RECIPE", "__init__", "forward", "self", "super"}
_NAMED = {
    ast.Name: "id",
    ast.arg: "arg",
    ast.keyword: "arg",
    ast.Attribute: "attr",
    ast.FunctionDef: "name",
    ast.ClassDef: "name",
}
"""The fields of nodes that may hold a name which the file binds itself."""
_BINDING = frozenset({ast.arg, ast.FunctionDef, ast.ClassDef})
_UNSAID = {ast.arg: ("annotation",), ast.FunctionDef: ("returns",)}
_NEVER_SAID = ("ctx", "kind", "type_comment")


def fingerprint(source: str) -> str:
    """SHA-256 (hex) of the normalised syntax tree of `source`.

    Names that the file binds itself (arguments, variables, functions, classes, attributes of self) are numbered in
    order of appearance; everything that it takes from elsewhere keeps its name.

    Raises: SyntaxError when `source` does not parse, or is nested too deeply.
    """
    tree = parsed(source)
    if tree is None:
        raise SyntaxError("the source does not parse")
    try:
        writer = _Writer(_bound_names(tree))
        writer.write(tree)
        return hashlib.sha256("\n".join(writer.words).encode()).hexdigest()
    except RecursionError as error:
        raise SyntaxError("nested too deeply") from error


class _Fields(dict[type[ast.AST], tuple[str, ...]]):
    """The fields of each kind of node in which it says what it computes, looked up once."""

    def __missing__(self, kind: type[ast.AST]) -> tuple[str, ...]:
        unsaid = (*_NEVER_SAID, *_UNSAID.get(kind, ()))
        self[kind] = tuple(name for name in kind._fields if name not in unsaid)
        return self[kind]


_FIELDS = _Fields()


def _bound_names(tree: ast.AST) -> set[str]:
    names: set[str] = set()
    queue: list[ast.AST] = [tree]
    while queue:
        node = queue.pop()
        kind = type(node)
        if kind in _BINDING or isinstance(getattr(node, "ctx", None), ast.Store) and kind in _NAMED:
            names.add(getattr(node, _NAMED[kind]))
        for name in _FIELDS[kind]:
            value = getattr(node, name, None)
            if isinstance(value, ast.AST):
                queue.append(value)
            elif isinstance(value, list):
                queue.extend(each for each in value if isinstance(each, ast.AST))
    return names - KEPT


class _Writer:
    """Writes a tree down in `words`, the names that it binds numbered in the order in which they are met."""

    def __init__(self, bound: set[str]) -> None:
        self.words: list[str] = []
        self._bound = bound
        self._numbers: dict[str, str] = {}

    def write(self, value: object) -> None:
        if isinstance(value, ast.AST):
            self._write_node(value)
        elif isinstance(value, list):
            self.words.append("[")
            for each in value:
                self.write(each)
            self.words.append("]")
        else:
            self.words.append(repr(value))

    def _write_node(self, node: ast.AST) -> None:
        kind = type(node)
        if kind is ast.Expr and _stands_alone(node):
            return
        self.words.append(kind.__name__)
        for name in _FIELDS[kind]:
            value = getattr(node, name, None)
            self.write(self._numbered(value) if name == _NAMED.get(kind) else value)

    def _numbered(self, name: str | None) -> str | None:
        if name not in self._bound:
            return name
        return self._numbers.setdefault(name, f"n{len(self._numbers)}")


def _stands_alone(node: ast.AST) -> bool:
    """Whether a statement is a docstring, or a string in place of a comment."""
    value = getattr(node, "value", None)
    return isinstance(value, ast.Constant) and isinstance(value.value, str)

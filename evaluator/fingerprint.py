"""A fingerprint of source that survives renaming, comments, docstrings and layout.

Two files with equal fingerprints compute the same thing; the reverse does not hold. It costs a parse, so a design
that was renamed is recognised before anything is trained.
"""

from __future__ import annotations

import ast
import hashlib

KEPT = {"Mixer", "Block", "Model", "RECIPE", "__init__", "forward", "self", "super"}


def fingerprint(source: str) -> str:
    """SHA-256 (hex) of the normalised syntax tree of `source`.

    Names that the file binds itself (arguments, variables, functions, classes, attributes of self) are numbered in
    order of appearance; everything that it takes from elsewhere keeps its name.

    Raises: SyntaxError when `source` does not parse, ValueError when it is no text.
    """
    try:
        tree = _Undocumented().visit(ast.parse(source))
        renamed = _Renamed(_bound_names(tree)).visit(tree)
        return hashlib.sha256(ast.dump(renamed).encode()).hexdigest()
    except (RecursionError, MemoryError) as error:  # what the parser says of too deep a nesting
        raise SyntaxError("nested too deeply") from error


def _bound_names(tree: ast.AST) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.arg):
            names.add(node.arg)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            names.add(node.attr)
    return names - KEPT


class _Undocumented(ast.NodeTransformer):
    """Drops strings that stand alone: docstrings and string comments."""

    def visit_Expr(self, node: ast.Expr) -> ast.Expr | None:
        alone = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        return None if alone else node


class _Renamed(ast.NodeTransformer):
    """Numbers the bound names in the order in which the walk meets them."""

    def __init__(self, bound: set[str]) -> None:
        self._bound = bound
        self._numbers: dict[str, str] = {}

    def _number(self, name: str) -> str:
        if name not in self._bound:
            return name
        return self._numbers.setdefault(name, f"n{len(self._numbers)}")

    def visit_Name(self, node: ast.Name) -> ast.Name:
        return ast.Name(self._number(node.id), node.ctx)

    def visit_arg(self, node: ast.arg) -> ast.arg:
        return ast.arg(self._number(node.arg), None)

    def visit_keyword(self, node: ast.keyword) -> ast.keyword:
        name = self._number(node.arg) if node.arg else None
        return ast.keyword(name, self.visit(node.value))

    def visit_Attribute(self, node: ast.Attribute) -> ast.Attribute:
        return ast.Attribute(self.visit(node.value), self._number(node.attr), node.ctx)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.name = self._number(node.name)
        node.returns = None
        return self.generic_visit(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        node.name = self._number(node.name)
        return self.generic_visit(node)

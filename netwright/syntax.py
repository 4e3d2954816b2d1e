"""Python sources as syntax trees, each read once by all who look at it. Nothing here compiles or runs a source."""

from __future__ import annotations

import ast
import threading
import warnings
from functools import lru_cache
from typing import NamedTuple

# warnings.catch_warnings swaps process-wide state, and candidates are inspected from several threads.
_PARSER_LOCK = threading.Lock()


class Syntax(NamedTuple):
    """A tree, and all nodes of it in the order of `ast.walk`. They are others' too: not to be changed."""

    tree: ast.Module
    nodes: tuple[ast.AST, ...]


@lru_cache(maxsize=16)
def parse(source: str) -> Syntax:
    """Parse without compiling: compilation folds constants, and is left to the sandbox's child.

    Raises: SyntaxError; ValueError, RecursionError, MemoryError for what Python's parser cannot take.
    """
    with _PARSER_LOCK, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tree = ast.parse(source)
    return Syntax(tree, tuple(ast.walk(tree)))

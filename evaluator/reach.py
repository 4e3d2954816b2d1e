"""What a candidate may reach for, as far as its syntax tree shows: imports, and names that lead out of its file.

Polite, and no boundary: whoever means to get around it does, and meets the sandbox.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence

Nodes = Sequence[ast.AST]
"""All nodes of a syntax tree."""

ALLOWED_IMPORTS = (
    "torch",
    "math",
    "typing",
    "dataclasses",
    "functools",
    "itertools",
    "collections",
    "einops",
    "__future__",
)
TEXT_MAX, NUMBERS_MAX, INTEGER_BITS_MAX = 4096, 2000, 128
"""How much a source may hold in literals, docstrings aside."""
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
_FORBIDDEN_CALLS = frozenset(
    (
        *("__import__", "eval", "exec", "compile", "open", "input", "breakpoint", "exit", "quit", "globals"),
        *("__builtins__", "__loader__", "__spec__", "__doc__"),
    )
)
_FORBIDDEN_ATTRIBUTES = frozenset(
    (
        *("__globals__", "__builtins__", "__subclasses__", "__bases__", "__mro__", "__code__", "__closure__"),
        *("__loader__", "__spec__", "__doc__", "__reduce__", "__reduce_ex__", "__getattribute__", "__import__"),
        *("_getframe", "_current_frames", "f_back", "f_locals", "f_globals", "f_builtins", "tb_frame", "gi_frame"),
        *("get_objects", "get_referrers", "get_referents", "stdlib_module_names"),
        *("register_module_forward_hook", "register_module_forward_pre_hook", "register_module_backward_hook"),
        *("register_module_full_backward_hook", "register_module_full_backward_pre_hook"),
        *("register_module_buffer_registration_hook", "register_module_module_registration_hook"),
        *("register_module_parameter_registration_hook",),
    )
)
_SETTINGS = re.compile(r"\.(backends|config)(\.|$)")
"""Assigning to these sets switches that honest code sets, such as `torch.backends.cudnn.benchmark`."""
# Modules that others hold as attributes, as in `torch.sys.modules`; a plain `self.sys` is a candidate's own.
_FORBIDDEN_MODULES = frozenset(("sys", "os", "gc", "io", "ctypes", "inspect", "importlib", "builtins"))
_FORBIDDEN_TORCH = {
    "torch.nn.attention.flex_attention": "it has no gradient without a compiler: give a mask to "
    "scaled_dot_product_attention",
    "torch.cond": "it needs a compiler: choose with torch.where",
    "torch.load": "a candidate reads no files",
    "torch.save": "a candidate writes no files",
    "torch.hub": "a candidate has no network",
    "torch.multiprocessing": "a candidate starts no process",
    "torch.distributed": "a candidate has no network",
    "torch.package": "a candidate reads no files",
    "torch.utils.cpp_extension": "it starts a compiler, and the sandbox starts no process",
    "torch.utils.flop_counter": "what a candidate computes is counted for it",
    "torch.utils._python_dispatch": "what a candidate computes is not its own to intercept",
    "torch.set_num_threads": "a candidate runs on one core",
}


def check_literals(nodes: Nodes) -> str:
    """Refuse long tables and texts in the source: knowledge beside the parameters that are counted."""
    documentation = {id(_first_string(node)) for node in nodes if isinstance(node, _DOCUMENTED)}
    constants = [n.value for n in nodes if isinstance(n, ast.Constant) and id(n) not in documentation]
    n_text = sum(len(value) for value in constants if isinstance(value, str | bytes))
    if any(type(value) is int and value.bit_length() > INTEGER_BITS_MAX for value in constants):
        return f"the file holds an integer of more than {INTEGER_BITS_MAX} bits: compute it, or use a float"
    n_numbers = sum(type(value) is int for value in constants)
    n_numbers += sum(isinstance(value, float | complex) for value in constants)
    if n_text <= TEXT_MAX and n_numbers <= NUMBERS_MAX:
        return ""
    return (
        f"the file holds {n_text:,} characters of text and {n_numbers:,} numbers as literals, at most {TEXT_MAX:,} and "
        f"{NUMBERS_MAX:,} are allowed: compute tables, and let parameters learn what a network knows"
    )


def _first_string(node: ast.AST) -> ast.expr | None:
    body = getattr(node, "body", [])
    return body[0].value if body and isinstance(body[0], ast.Expr) else None


def check_imports(nodes: Nodes) -> str:
    """Refuse imports and uses of what a candidate does not need."""
    for line, name in _imported(nodes):
        if name.split(".")[0] not in ALLOWED_IMPORTS:
            return f"line {line} imports {name}; a candidate may import only {', '.join(ALLOWED_IMPORTS)}"
        problem = _forbidden_torch(name)
        if problem:
            return f"line {line} imports {problem}"
    foreign, own = _imported_names(nodes), _own_names(nodes)
    for node in nodes:
        problem = _suspicious(node, own) or _changes_others(node, foreign)
        if problem:
            return f"line {getattr(node, 'lineno', 0)} {problem}"
    return ""


def _imported_names(nodes: Nodes) -> frozenset[str]:
    """Return the names that imports bind, such as `torch` and `F`."""
    aliases = [alias for node in nodes if isinstance(node, ast.Import | ast.ImportFrom) for alias in node.names]
    return frozenset(alias.asname or alias.name.partition(".")[0] for alias in aliases)


def _changes_others(node: ast.AST, foreign: frozenset[str]) -> str:
    """Say what is wrong with an assignment like `torch.nn.Linear.forward = mine`, also by `setattr`; "" if nothing."""
    if isinstance(node, ast.Attribute) and not isinstance(node.ctx, ast.Load):
        changed = dotted(node)
    elif isinstance(node, ast.Call) and dotted(node.func) in ("setattr", "delattr") and node.args:
        changed = dotted(node.args[0])
    else:
        return ""
    if changed.partition(".")[0] not in foreign or _SETTINGS.search(changed):
        return ""
    return f"changes {changed}, which others use too: write a class or function of your own"


def _imported(nodes: Nodes) -> Iterator[tuple[int, str]]:
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)


def _own_names(nodes: Nodes) -> frozenset[str]:
    """Return what the file itself names: arguments, variables, functions, classes."""
    named = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    named |= {node.arg for node in nodes if isinstance(node, ast.arg)}
    return frozenset(named | {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.ClassDef)})


def _suspicious(node: ast.AST, own: frozenset[str]) -> str:
    if isinstance(node, ast.Name) and node.id in _FORBIDDEN_CALLS - own:
        return f"uses {node.id}, which a candidate does not need"
    if isinstance(node, ast.Attribute):
        if node.attr in _FORBIDDEN_ATTRIBUTES:
            return f"reaches for {node.attr}, which a candidate does not need"
        if _is_module_of_another(node):
            return f"reaches for {dotted(node)}, which a candidate does not need"
        problem = _forbidden_torch(dotted(node))
        return f"uses {problem}" if problem else ""
    return ""


def _is_module_of_another(node: ast.Attribute) -> bool:
    """Whether it reads like `torch.sys`, `nn.functional.math.os` or `sys.modules`."""
    root = dotted(node.value).partition(".")[0]
    return node.attr in _FORBIDDEN_MODULES and root not in ("", "self") or dotted(node) == "sys.modules"


def _forbidden_torch(name: str) -> str:
    for forbidden, reason in _FORBIDDEN_TORCH.items():
        if name == forbidden or name.startswith(forbidden + "."):
            return f"{forbidden}: {reason}; remove it"
    return ""


def dotted(node: ast.AST) -> str:
    """Return `a.b.c` as text; "" for anything that is not a plain chain of names."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return ".".join(reversed([*parts, node.id])) if isinstance(node, ast.Name) else ""

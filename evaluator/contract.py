"""The candidate contract as far as it can be read from the source alone: nothing here runs the candidate.

    size -> syntax -> contract, imports, recipe

These gates are cheap and polite: they tell a planner what to mend before a process is spent on it. They
are no security boundary; that is the sandbox, and the score needs neither.
"""

from __future__ import annotations

import ast
import reprlib
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import ValidationError

from netwright.evaluator.reach import check_imports, check_literals, dotted
from netwright.printable import printable
from netwright.syntax import Syntax, parse
from netwright.types import GateReport, Recipe, Scope

SOURCE_BYTES_MAX = 64 << 10
CLASS_NAMES: Mapping[Scope, str] = {Scope.MIXER: "Mixer", Scope.BLOCK: "Block", Scope.MODEL: "Model"}
LAYER_ARGUMENTS = ("dim", "heads", "max_len", "layer", "layers")
STATIC_GATES = ("size", "syntax", "contract", "imports", "recipe")
_LINE_ENDS = str.maketrans("\r\f", "\n\n")


class _Finding(Exception):
    """The sentence of a failed gate, on its way to the report."""


def inspect_source(source: str, scope: Scope) -> tuple[GateReport, ...]:
    """Return the reports of the static gates, in order; ends early where the rest has nothing to look at."""
    reports = [_report("size", _check_size(source))]
    if not reports[0].passed:
        return tuple(reports)
    syntax, message = _parse(source)
    reports.append(_report("syntax", message or _check_characters(source)))
    if syntax is None or reports[-1].rejects:
        return tuple(reports)
    reports.append(_report("contract", _examined(lambda: _check_contract(syntax, scope))))
    reports.append(_report("imports", _examined(lambda: check_imports(syntax.nodes))))
    reports.append(_report("recipe", _examined(lambda: _check_recipe(syntax.tree))))
    return tuple(reports)


def _examined(look: Callable[[], str]) -> str:
    """Return what a gate says of a parsed file; one that no gate foresaw is refused, and breaks nothing."""
    try:
        return look()
    except Exception as error:  # noqa: BLE001 - the border to the candidate: whatever its text provokes is a finding
        return f"the file cannot be examined ({type(error).__name__}): write it in a plainer way"


def recipe_of(source: str, default: Recipe) -> Recipe:
    """Return `default` with what the source's RECIPE overrides.

    Raises: ValueError with the gate's sentence.
    """
    syntax, message = _parse(source)
    if syntax is None:
        raise ValueError(message)
    try:
        return _merge(_recipe_literal(syntax.tree), default)
    except _Finding as finding:
        raise ValueError(str(finding)) from None


def parsed(source: str) -> ast.Module | None:
    """Return the syntax tree of the source, None where it does not parse. It is others' too: not to be changed."""
    syntax, _ = _parse(source)
    return syntax.tree if syntax is not None else None


def merged_recipe(tree: ast.Module, default: Recipe) -> Recipe:
    """Return `default` with what the file's RECIPE overrides; `default` itself where that is none that may be."""
    try:
        return _merge(_recipe_literal(tree), default)
    except _Finding:
        return default


def scaled(recipe: Recipe, rate: float) -> Recipe:
    """Return `recipe` with `rate` times its learning rate.

    Raises: ValueError where no recipe may have that rate.
    """
    try:
        return Recipe.model_validate(recipe.model_dump() | {"lr": recipe.lr * rate})
    except ValidationError:
        raise ValueError(
            f"{rate:g} times the learning rate {recipe.lr:g} is {recipe.lr * rate:g}, and a recipe's lies between "
            "1e-06 and 1: choose other factors"
        ) from None


def recipe_overrides(source: str) -> dict[str, Any]:
    """Return what the source's RECIPE sets, as it stands there; {} where there is none that can be read."""
    tree = parsed(source)
    try:
        return _recipe_literal(tree) if tree is not None else {}
    except _Finding:
        return {}


def title_and_hypothesis(source: str) -> tuple[str, str]:
    """Return the docstring's first line without its full stop, and the whole docstring; ("", "") without one."""
    tree = parsed(source)
    hypothesis = printable((ast.get_docstring(tree) or "").strip()) if tree is not None else ""
    return (hypothesis.splitlines()[0].strip().rstrip(".") if hypothesis else ""), hypothesis


def _report(gate: str, message: str) -> GateReport:
    return GateReport(gate=gate, passed=not message, message=message)


def _check_size(source: str) -> str:
    if not source.strip():
        return "the file is empty: write one Python file that defines the candidate's class"
    try:
        n_bytes = len(source.encode())
    except UnicodeEncodeError as error:
        return f"the file is not valid UTF-8 text at character {error.start}: save it as UTF-8"
    if n_bytes > SOURCE_BYTES_MAX:
        return f"the file has {n_bytes} bytes, at most {SOURCE_BYTES_MAX} are allowed: shorten it"
    return ""


def _check_characters(source: str) -> str:
    """Refuse what makes a file look different from what it does: whoever reads it shall see it as it is."""
    visible = source.translate(_LINE_ENDS)
    cleaned = printable(visible)
    if cleaned == visible:
        return ""
    at = next(index for index, (a, b) in enumerate(zip(visible, cleaned, strict=True)) if a != b)
    return (
        f"line {source.count(chr(10), 0, at) + 1} holds the invisible character U+{ord(source[at]):04X}: "
        "remove it, or write it as an escape in a string"
    )


def _parse(source: str) -> tuple[Syntax | None, str]:
    try:
        return parse(source), ""
    except SyntaxError as error:
        line = (error.text or "").strip()
        return None, f"line {error.lineno} does not parse: {error.msg}{f': {line[:80]}' if line else ''}"
    except (RecursionError, MemoryError):
        return None, "the code is nested too deeply to parse: write it flat"
    except ValueError as error:
        return None, f"the file is not Python text: {error}"


def _check_contract(syntax: Syntax, scope: Scope) -> str:
    problem = check_literals(syntax.nodes)
    if problem:
        return problem
    expected = CLASS_NAMES[scope]
    classes = [node for node in syntax.tree.body if isinstance(node, ast.ClassDef)]
    found = [node for node in classes if node.name in CLASS_NAMES.values()]
    if len(found) != 1 or found[0].name != expected:
        names = ", ".join(node.name for node in found) or "none of them"
        return (
            f"a candidate of scope {scope.value!r} defines exactly one of Mixer, Block and Model, "
            f"here `class {expected}(torch.nn.Module)`, but the file defines {names}"
        )
    local = {node.name: node for node in classes}
    problem = _check_init(_method(found[0], "__init__", local), scope, expected)
    if problem:
        return problem
    forward = _method(found[0], "forward", local)
    if forward is None and not _has_foreign_base(found[0], local):
        return f"class {expected} has no method `forward`: add `def forward(self, x)`"
    return _check_forward(forward, expected)


def _method(node: ast.ClassDef, name: str, classes: Mapping[str, ast.ClassDef]) -> ast.FunctionDef | None:
    """Find a method in the class or in its bases of the same file, breadth first."""
    queue, seen = [node], set()
    while queue:
        current = queue.pop(0)
        if current.name in seen:
            continue
        seen.add(current.name)
        for item in current.body:
            if isinstance(item, ast.FunctionDef) and item.name == name:
                return item
        queue += [classes[base.id] for base in current.bases if isinstance(base, ast.Name) and base.id in classes]
    return None


def _has_foreign_base(node: ast.ClassDef, classes: Mapping[str, ast.ClassDef]) -> bool:
    """Whether `forward` may come from torch itself, as with a subclass of nn.Sequential."""
    names = [dotted(base) for base in node.bases]
    return any(name not in classes and name.split(".")[-1] != "Module" for name in names)


def _check_init(init: ast.FunctionDef | None, scope: Scope, class_name: str) -> str:
    if scope is Scope.MODEL:
        expected: tuple[str, ...] = ("spec",)
    else:
        expected = LAYER_ARGUMENTS
    wanted = f"`def __init__(self, {', '.join(expected)})`"
    if init is None:
        return f"class {class_name} has no method `__init__`: add {wanted}"
    positional = [argument.arg for argument in (*init.args.posonlyargs, *init.args.args)][1:]
    keyword = {argument.arg for argument in init.args.kwonlyargs}
    ordered = positional[: len(expected)] == list(expected)
    by_name = set(expected) <= {*positional, *keyword} and not init.args.posonlyargs
    if not (ordered or by_name or init.args.kwarg):
        return f"class {class_name} takes ({', '.join(positional)}), expected {wanted}"
    n_required = len(positional) - len(init.args.defaults)
    extra = [name for name in positional[:n_required] if name not in expected]
    extra += [a.arg for a, d in zip(init.args.kwonlyargs, init.args.kw_defaults, strict=True) if d is None]
    extra = [name for name in extra if name not in expected]
    if extra:
        return f"class {class_name} asks for {', '.join(extra)}, which nobody passes: give it a default"
    return ""


def _check_forward(forward: ast.FunctionDef | None, class_name: str) -> str:
    if forward is None:
        return ""
    positional = [*forward.args.posonlyargs, *forward.args.args]
    n_required = len(positional) - len(forward.args.defaults)
    if (len(positional) < 2 and not forward.args.vararg) or n_required > 2:
        names = ", ".join(argument.arg for argument in positional)
        return f"{class_name}.forward takes ({names}), expected one input: `def forward(self, x)`"
    return ""


def _check_recipe(tree: ast.Module) -> str:
    try:
        _merge(_recipe_literal(tree), Recipe())
    except _Finding as finding:
        return str(finding)
    return ""


def _recipe_literal(tree: ast.Module) -> dict[str, Any]:
    """Return the value of the last top-level `RECIPE = {...}`; {} where there is none."""
    value: ast.expr | None = None
    for node in tree.body:
        if isinstance(node, ast.Assign) and any(dotted(target) == "RECIPE" for target in node.targets):
            value = node.value
        elif isinstance(node, ast.AnnAssign) and dotted(node.target) == "RECIPE":
            value = node.value
    if value is None:
        return {}
    try:
        literal = ast.literal_eval(value)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        literal = None
    if not isinstance(literal, dict):
        raise _Finding("RECIPE is not a literal dict: write the values out, for example RECIPE = {'lr': 3e-3}")
    return literal


def _short(value: object) -> str:
    """Return what a candidate wrote for a sentence; Python refuses to write out integers of thousands of digits."""
    try:
        return reprlib.repr(value)
    except ValueError:
        return "a number of thousands of digits"


def _merge(literal: dict[str, Any], default: Recipe) -> Recipe:
    unknown = [_short(key) for key in literal if key not in Recipe.model_fields]
    if unknown:
        raise _Finding(f"RECIPE has the unknown key {unknown[0]}; known are {', '.join(Recipe.model_fields)}")
    values = {key: tuple(value) if isinstance(value, list) else value for key, value in literal.items()}
    try:
        return Recipe.model_validate({**default.model_dump(), **values}, strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise _Finding(f"RECIPE[{where!r}] = {_short(first['input'])}: {first['msg'].lower()}") from None

"""Take the docstrings of the standard library out of memory, before candidates come.

The default corpus of `bytes` is the standard library's own text. What the zygote has imported of it holds 6% of the
validation bytes and 9% of the test bytes as docstrings, which anybody in the process can look up.
"""

from __future__ import annotations

import gc
import inspect
import os
import sys
import sysconfig
import types
from typing import Any

_HOMES = ("<frozen ", sysconfig.get_path("stdlib") + os.sep)
_ELSEWHERE = tuple(f"{os.sep}{part}{os.sep}" for part in ("site-packages", "dist-packages"))
_HAS_DOCSTRING = 0x4000000  # a flag of code since Python 3.13; before, the first constant is the docstring or None


def forget_docstrings() -> int:
    """Remove them from modules, classes, functions and the code within; return how many objects had one."""
    modules = {
        name for name, module in list(sys.modules.items()) if _is_of_the_library(getattr(module, "__file__", None))
    }
    return sum(_forget(thing, modules) for thing in [*sys.modules.values(), *gc.get_objects()])


def _is_of_the_library(file: object) -> bool:
    return isinstance(file, str) and file.startswith(_HOMES) and not any(part in file for part in _ELSEWHERE)


def _forget(thing: Any, modules: set[str]) -> bool:
    kind = type(thing)  # isinstance would ask proxies what they stand for
    if kind is types.FunctionType and _is_of_the_library(thing.__code__.co_filename):
        thing.__code__ = _bare(thing.__code__)
        return _drop(thing, thing.__doc__)
    if (
        kind is property
        and type(thing.fget) is types.FunctionType
        and _is_of_the_library(thing.fget.__code__.co_filename)
    ):
        return _drop(thing, thing.__doc__)
    if kind is types.ModuleType and thing.__name__ in modules:
        return _drop(thing, thing.__doc__)
    if issubclass(kind, type) and thing.__module__ in modules:
        return _drop(thing, type.__dict__["__dict__"].__get__(thing).get("__doc__"))
    return False


def _drop(thing: Any, held: object) -> bool:
    if not isinstance(held, str):
        return False
    try:
        thing.__doc__ = None
    except (AttributeError, TypeError):  # types made in C keep theirs
        return False
    return True


def _bare(code: types.CodeType) -> types.CodeType:
    """Return the code without its docstring and those of the functions within."""
    constants = [_bare(value) if isinstance(value, types.CodeType) else value for value in code.co_consts]
    if constants and isinstance(constants[0], str) and _may_have_docstring(code):
        constants[0] = None
    return code.replace(co_consts=tuple(constants))


def _may_have_docstring(code: types.CodeType) -> bool:
    is_function = bool(code.co_flags & inspect.CO_OPTIMIZED) and not code.co_name.startswith("<")
    return is_function and (sys.version_info < (3, 13) or bool(code.co_flags & _HAS_DOCSTRING))

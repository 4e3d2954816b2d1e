"""What a candidate can import, imported before it comes: the sandbox opens no file.

Importing reads files, and whoever may read Python's folders reads the standard library, the text of the task
`bytes`. So everything that honest work needs is in memory when the zygote forks, and nothing else can be had.
"""

from __future__ import annotations

import functools
import importlib
import linecache
import sys
from collections.abc import Callable
from typing import Any

import torch

OFFERED = (
    *("__future__", "collections", "collections.abc", "dataclasses", "functools", "itertools", "math", "typing"),
    *("torch", "torch.amp", "torch.autograd", "torch.autograd.forward_ad", "torch.autograd.functional"),
    *("torch.distributions", "torch.fft", "torch.func", "torch.linalg", "torch.masked", "torch.nested"),
    *("torch.nn", "torch.nn.attention", "torch.nn.attention.bias", "torch.nn.functional", "torch.nn.init"),
    *("torch.nn.utils", "torch.nn.utils.parametrizations"),
    *("torch.nn.utils.parametrize", "torch.nn.utils.rnn", "torch.nn.utils.stateless", "torch.optim"),
    *("torch.signal", "torch.sparse", "torch.special", "torch.utils", "torch.utils.checkpoint"),
    *("torch._higher_order_ops.associative_scan", "einops", "einops.layers.torch"),
)
"""The modules that a candidate may name."""
NEEDED = (
    *("numpy.ctypeslib", "torch.profiler", "torch.profiler._cupti_monitor", "torch.utils.flop_counter"),
    *("torch._dynamo.config", "torch._inductor.config", "torch._decomp.decompositions_for_jvp"),
    *("torch._subclasses.schema_check_mode", "einops._torch_specific"),
    *("torch.masked.maskedtensor._ops_refs", "torch.nested._internal.ops", "torch.nested._internal.sdpa"),
)
"""What the offered modules and the worker import when they are first used."""


_SCRIPTED = ("torch.functional", "torch.nn.functional", "torch.nn.modules")
_COMPILER = ("torch._dynamo", "torch._inductor", "torch._export", "torch.export")


def run_as_written() -> None:
    """Let `torch.compile` return what it is given: a child starts no compiler, and numbers are the same.

    Capturing graphs only to run them uncompiled would cost 0.6 s and 22 MB at the zygote's start and 0.05 s
    per graph, shape and mode in each process, and gain nothing.
    """

    @functools.wraps(torch.compile)
    def uncompiled(model: Callable[..., Any] | None = None, **_: Any) -> Any:
        return (lambda model: model) if model is None else model

    torch.compile = uncompiled


def preload() -> None:
    """Import all of it; called where files can still be opened.

    Of sources only those remain in memory that `torch.jit.script` reads: none of the standard library.
    """
    for name in (*OFFERED, *NEEDED):
        importlib.import_module(name)
    run_as_written()
    linecache.clearcache()
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if name.startswith(_SCRIPTED) and file:
            lines = linecache.getlines(file)
            # Without a date: a child may not even look whether the file has changed.
            linecache.cache[file] = (sum(map(len, lines)), None, lines, file)


def explain(error: ImportError) -> str:
    """Say which module is missing and what there is instead."""
    if isinstance(error, ModuleNotFoundError) and error.name:
        if error.name.startswith(_COMPILER):
            return (
                f"{error.name} is not offered in the sandbox, which compiles nothing (torch.compile is accepted and "
                "runs the function as it is): do without it"
            )
        missing = f"{error.name} is not offered in the sandbox"
    else:
        missing = f"{str(error).partition(' (')[0]}, or it is not offered in the sandbox"
    return f"{missing}; import only {', '.join(OFFERED)}"

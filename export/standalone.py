"""`model.py`: the backbone around a design as one file that needs torch and safetensors, and nothing of netwright.

Its classes are cut out of the evaluator's own source, so that what leaves is what was trained; a copy that is kept by
hand would drift away from it. Nothing is imported for that: torch stays out of the trusted process.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable
from functools import cache
from importlib import resources

from netwright.evaluator.contract import CLASS_NAMES
from netwright.evaluator.sizing import CONVOLUTION_KERNEL, DECODER_WIDTH
from netwright.export.package import Package
from netwright.export.templates import render
from netwright.memory.rows import SHORT
from netwright.types import Scope

_LOADING = ("CandidateError", "persistent_state", "_persistent_buffers", "unpack_weights", "_fit_buffer")
_DECODING = ("ChannelMlp", "Decoder", "Network")
_BACKBONE = {
    Scope.MIXER: ("INIT_STD", "ShortConvolution", "ChannelMlp", "Layer", "Decoder", "Network"),
    Scope.BLOCK: ("INIT_STD", *_DECODING),
    Scope.MODEL: ("ModelSpec",),
}


def model_source(package: Package, *, candidate_module: str) -> str:
    """Return the text of `model.py`; the design's class is imported from `candidate_module`."""
    spec = package.spec
    return render(
        "model.py.jinja",
        short=package.candidate.id[:SHORT],
        spec=spec,
        scope=spec.scope.value,
        class_name=CLASS_NAMES[spec.scope],
        candidate_module=candidate_module,
        kernel=CONVOLUTION_KERNEL,
        decoder_width=DECODER_WIDTH,
        backbone=cut_out("backbone.py", _BACKBONE[spec.scope]),
        loading=cut_out("loading.py", _LOADING),
    )


@cache
def cut_out(file: str, names: Iterable[str]) -> str:
    """Return the top-level definitions of these names in a file of the evaluator, in its order, as they stand there.

    Raises:
        LookupError: one of them is not there any more.
    """
    source = resources.files("netwright.evaluator").joinpath(file).read_text(encoding="utf-8")
    lines = source.splitlines()
    found: dict[str, str] = {}
    for node in ast.parse(source).body:
        name = _name_of(node)
        if name in names:
            first = min([node.lineno, *(each.lineno for each in getattr(node, "decorator_list", ()))])
            found[name] = "\n".join(lines[first - 1 : node.end_lineno])
    missing = set(names) - found.keys()
    if missing:
        raise LookupError(f"{file} defines no {', '.join(sorted(missing))}")
    return "\n\n\n".join(found.values())


def _name_of(node: ast.stmt) -> str:
    if isinstance(node, ast.ClassDef | ast.FunctionDef):
        return node.name
    if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
        return node.targets[0].id
    return ""

"""From a genotype to a candidate file in idiomatic PyTorch.

The file holds a docstring (title, hypothesis, equations), a RECIPE if the genotype has one, the few functions
it needs, one class per different leaf, and `Mixer` (or `Block` around it). Equal genotypes give equal bytes.
"""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass, field
from typing import assert_never

from netwright.agents.emit_attention import attention, matching
from netwright.agents.emit_channels import cell, convolution, positions, recurrence
from netwright.agents.emit_helpers import HELPERS, with_dependencies
from netwright.agents.emit_memory import memory
from netwright.agents.emit_parts import Part
from netwright.agents.genotype import Genotype, Layer, Parallel, RecipeGenes
from netwright.agents.leaves import Attention, Cell, Convolution, Leaf, Matching, Memory, Positions, Recurrence
from netwright.agents.reasons import equations, hypothesis
from netwright.agents.words import class_name, layer_title, title
from netwright.errors import ConfigError
from netwright.types import Scope

WIDTH = 110
ROOT_ARGUMENTS = "dim: int, heads: int, max_len: int, layer: int, layers: int"

BLOCK = '''
class Block(nn.Module):
    """Pre-norm residual block: token mixing, then channel mixing."""

    def __init__(self, dim: int, heads: int, max_len: int, layer: int, layers: int) -> None:
        super().__init__()
        self.mixer_norm = nn.RMSNorm(dim, eps=1e-5)
        self.mixer = TokenMixer(dim, heads, max_len, layer, layers)
        self.channel_norm = nn.RMSNorm(dim, eps=1e-5)
        self.channels = nn.Sequential(nn.Linear(dim, 2 * dim), nn.GELU(), nn.Linear(2 * dim, dim))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.mixer(self.mixer_norm(x))
        return x + self.channels(self.channel_norm(x))
'''


_ORDINALS = ("", "Second", "Third", "Fourth")


def part_of(leaf: Leaf) -> Part:
    """Write the class that computes `leaf`."""
    part = Part.of(leaf)
    match leaf:
        case Attention():
            attention(part, leaf)
        case Memory():
            memory(part, leaf)
        case Convolution():
            convolution(part, leaf)
        case Recurrence():
            recurrence(part, leaf)
        case Cell():
            cell(part, leaf)
        case Matching():
            matching(part, leaf)
        case Positions():
            positions(part, leaf)
        case _:
            assert_never(leaf)
    return part.finish()


@dataclass
class _File:
    """The classes of one file so far; equal leaves share a class."""

    classes: list[str] = field(default_factory=list)
    parts: dict[Leaf, Part] = field(default_factory=dict)
    helpers: set[str] = field(default_factory=set)

    def add(self, part: Part, arguments: str = "") -> None:
        self.helpers |= part.helpers
        arguments = arguments or ", ".join(f"{name}: int" for name in part.arguments)
        self.classes.append(_class_text(part, arguments))

    def leaf(self, leaf: Leaf) -> Part:
        """Write the class that computes `leaf`, once, and return it."""
        if leaf not in self.parts:
            part = part_of(leaf)
            earlier = sum(class_name(other) == part.name for other in self.parts)
            part.name = f"{_ORDINALS[earlier]}{part.name}"
            self.parts[leaf] = part
            self.add(part)
        return self.parts[leaf]


def emit(genotype: Genotype, scope: Scope = Scope.MIXER) -> str:
    """Write the candidate file that computes `genotype`.

    Raises:
        ConfigError: the task wants whole models, and the grammar only speaks of mixers.
    """
    if scope is Scope.MODEL:
        raise ConfigError("the grammar writes mixers and blocks, but this task's scope is 'model': use an LLM planner")
    root = "Mixer" if scope is Scope.MIXER else "TokenMixer"
    file = _File()
    _root(file, genotype, root)
    blocks = [HELPERS[name] for name in with_dependencies(file.helpers)] + file.classes
    if scope is Scope.BLOCK:
        blocks.append(BLOCK)
    code = "\n\n\n".join(block.strip("\n") for block in blocks)
    head = [_docstring(genotype), _imports(code)]
    if genotype.recipe is not None:
        head.append(_recipe(genotype.recipe))
    return "\n\n".join(head) + "\n\n\n" + code + "\n"


def _root(file: _File, genotype: Genotype, name: str) -> None:
    if genotype.odd is not None:
        file.add(_schedule(file, genotype.even, genotype.odd, name), ROOT_ARGUMENTS)
        return
    part = _layer(file, genotype.even)
    part.name = name
    if any("head_dim" in line for line in part.init):
        part.init.insert(0, "head_dim = dim // heads")
    file.add(part, ROOT_ARGUMENTS)


def _layer(file: _File, layer: Layer) -> Part:
    """Write the class of a layer: its leaf itself, or two leaves side by side."""
    body = layer.body
    part = _parallel(file, body) if isinstance(body, Parallel) else part_of(body)
    part.summary = _sentence(f"{layer_title(layer)}: (B, T, dim) -> (B, T, dim)")
    if layer.skip == "scaled":
        part.init.append("self.skip = nn.Parameter(torch.full((dim,), 0.1))")
        part.result = f"{part.result} + self.skip * x"
    elif layer.skip == "gated":
        part.init.append("self.keep = nn.Linear(dim, dim // 4, bias=False)")
        part.init.append("self.keep_out = nn.Linear(dim // 4, dim)")
        part.forward.append(f"y = {part.result}")
        part.forward.append("keep = self.keep_out(self.keep(x)).sigmoid()")
        part.result = "y + keep * (x - y)"
    return part


def _parallel(file: _File, body: Parallel) -> Part:
    left, right = file.leaf(body.left), file.leaf(body.right)
    part = Part(name="Branches", summary="")
    names = ("heads", "heads")
    if body.merge == "heads":
        part.init.append("left = max(1, heads // 2)")
        part.init.append("right = max(1, heads - left)")
        names = ("left", "right")
    for side, branch, count in zip(("left", "right"), (left, right), names, strict=True):
        part.init.append(f"self.{side} = {branch.name}({', '.join(branch.arguments).replace('heads', count)})")
    part.result = "self.left(x) + self.right(x)"
    if body.merge == "gated":
        part.init.append("self.choice = nn.Linear(dim, heads)")
        part.forward.append("trust = self.choice(x).sigmoid().repeat_interleave(self.head_dim, dim=-1)")
        part.init.append("self.head_dim = head_dim")
        part.result = "trust * self.left(x) + (1 - trust) * self.right(x)"
    return part


def _schedule(file: _File, even: Layer, odd: Layer, name: str) -> Part:
    summary = f"{layer_title(even)}; every second layer {layer_title(odd)}: (B, T, dim) -> (B, T, dim)"
    part = Part(name=name, summary=_sentence(summary))
    first, second = (_layer_class(file, layer, prefix) for layer, prefix in ((even, "Even"), (odd, "Odd")))
    part.init.append("head_dim = dim // heads")
    if first.arguments == second.arguments:
        part.init.append(f"mixer = {first.name} if layer % 2 == 0 else {second.name}")
        part.init.append(f"self.mixer = mixer({', '.join(first.arguments)})")
    else:
        calls = (f"{each.name}({', '.join(each.arguments)})" for each in (first, second))
        for condition, call in zip(("if layer % 2 == 0:", "else:"), calls, strict=True):
            part.init.extend([condition, f"    self.mixer = {call}"])
    part.result = "self.mixer(x)"
    return part


def _layer_class(file: _File, layer: Layer, prefix: str) -> Part:
    if layer.skip == "none" and not isinstance(layer.body, Parallel):
        return file.leaf(layer.body)
    part = _layer(file, layer)
    part.name = f"{prefix}{part.name}"
    file.add(part)
    return part


def _class_text(part: Part, arguments: str) -> str:
    lines = [
        f"class {part.name}(nn.Module):",
        *_class_docstring(part.summary),
        "",
        f"    def __init__(self, {arguments}) -> None:",
        "        super().__init__()",
        *(f"        {line}" for line in part.init),
        "",
        "    def forward(self, x: Tensor) -> Tensor:",
        *(f"        {line}" for line in part.forward),
        f"        return {part.result}",
    ]
    return "\n".join(lines)


def _class_docstring(summary: str) -> list[str]:
    if len(summary) <= WIDTH - 10:
        return [f'    """{summary}"""']
    first, _, shape = summary.rpartition(": ")
    body = textwrap.wrap(f"{first}.", WIDTH - 8, break_on_hyphens=False)
    return [f'    """{body[0]}', *(f"    {line}" for line in body[1:]), "", f"    {shape}", '    """']


def _docstring(genotype: Genotype) -> str:
    why = "\n".join(textwrap.wrap(hypothesis(genotype), WIDTH, break_on_hyphens=False))
    math = "\n".join(f"    {line}" for line in equations(genotype))
    return f'"""{_sentence(title(genotype))}\n\n{why}\n\n{math}\n"""'


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def _imports(code: str) -> str:
    lines = ["import math\n"] if re.search(r"\bmath\.", code) else []
    if re.search(r"\btorch\.(?!nn)", code):
        lines.append("import torch")
    if re.search(r"\bF\.", code):
        lines.append("import torch.nn.functional as F")
    lines.append("from torch import Tensor, nn")
    return "\n".join(lines)


def _recipe(recipe: RecipeGenes) -> str:
    settings = ", ".join(f'"{name}": {_literal(value)}' for name, value in recipe.settings().items())
    return f"RECIPE = {{{settings}}}"


def _literal(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else repr(value)

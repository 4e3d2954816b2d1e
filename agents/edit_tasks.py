"""Small changes of real files, by which a check sees whether a model can write search/replace blocks. Pure."""

from __future__ import annotations

import ast
from dataclasses import dataclass

from netwright.agents.edits import apply_edits, read_edits
from netwright.agents.replies import Defect, python_block, split_thinking
from netwright.prompts import load
from netwright.syntax import parse

ABLE = 0.75
"""The share of these changes that a model has to make exactly to be asked for blocks in a campaign."""


@dataclass(frozen=True)
class EditTask:
    """A change of the example file of one contract, in words and as replacements of its text."""

    contract: str
    class_name: str
    change: str
    replacements: tuple[tuple[str, str], ...]

    @property
    def source(self) -> str:
        block = python_block(load(self.contract).text, self.class_name)
        assert block is not None
        return block.body

    @property
    def right(self) -> str:
        """The file as it is to become."""
        source = self.source
        for before, after in self.replacements:
            source = source.replace(before, after)
        return source

    @property
    def question(self) -> str:
        return (
            f"{load('edits').text}\nThe file:\n\n```python\n{self.source}```\n\nThe change to make, and nothing else: "
            f"{self.change} Answer with the blocks alone."
        )

    def verdict(self, reply: str, *, cut_off: bool) -> str:
        """Why `reply` does not make the change; empty where it does. Names and layout count, comments do not."""
        blocks = read_edits(split_thinking(reply).answer, cut_off=cut_off)
        if isinstance(blocks, Defect):
            return blocks.problem
        if cut_off:
            return "the answer was cut off."
        if not blocks.edits:
            return "there is no block in the answer."
        changed = apply_edits(self.source, blocks.edits)
        if isinstance(changed, Defect):
            return changed.problem
        return "" if _program(changed) == _program(self.right) else "the blocks make another change than was asked for."


def _program(source: str) -> str | None:
    try:
        return ast.dump(parse(source).tree)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


TASKS = (
    EditTask(
        "contract_mixer",
        "Mixer",
        "let the initial decays of the heads go from 2.0 to 6.0 instead of from 1.0 to 5.0.",
        (("linspace(1.0, 5.0, heads)", "linspace(2.0, 6.0, heads)"),),
    ),
    EditTask(
        "contract_mixer",
        "Mixer",
        "rename the attribute `self.out` to `self.project`, wherever it stands.",
        (("self.out", "self.project"),),
    ),
    EditTask(
        "contract_block",
        "Block",
        'insert the top-level line `RECIPE = {"lr": 0.002}` between the imports and the class.',
        (("\n\nclass Block", '\nRECIPE = {"lr": 0.002}\n\n\nclass Block'),),
    ),
    EditTask(
        "contract_model",
        "Model",
        "use `nn.SiLU()` in place of `nn.GELU()`; let `Model.forward` return `x @ self.embedding.weight.T` without the "
        "norm, and delete the line of `Model.__init__` that makes this norm.",
        (
            ("nn.GELU()", "nn.SiLU()"),
            ("        self.norm = nn.RMSNorm(spec.dim)\n", ""),
            ("return self.norm(x) @", "return x @"),
        ),
    ),
)

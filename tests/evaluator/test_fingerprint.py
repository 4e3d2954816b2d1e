"""Renamed, re-documented or re-laid-out source is the same design; a changed constant is another."""

import pytest

from netwright.evaluator.fingerprint import fingerprint

SOURCE = '''
"""A gate."""
import torch
from torch import nn

RECIPE = {"lr": 1e-3}

class Mixer(nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.gate = nn.Linear(dim, dim, bias=False)  # a comment

    def forward(self, x):
        """Docs."""
        opened = torch.sigmoid(self.gate(x))
        return x * opened
'''


@pytest.mark.parametrize(
    "same",
    [
        SOURCE.replace("self.gate", "self.door").replace("opened", "y"),
        SOURCE.replace('"""A gate."""', '"""Something else."""').replace("  # a comment", ""),
        SOURCE.replace("x * opened", "(x\n            * opened)"),
        SOURCE.replace("(self, x)", "(self, inputs)").replace("gate(x)", "gate(inputs)").replace("x *", "inputs *"),
    ],
)
def test_the_same_design_in_other_words_has_the_same_fingerprint(same: str) -> None:
    assert same != SOURCE
    assert fingerprint(same) == fingerprint(SOURCE)


@pytest.mark.parametrize(
    "other",
    [
        SOURCE.replace("sigmoid", "tanh"),
        SOURCE.replace("bias=False", "bias=True"),
        SOURCE.replace("1e-3", "2e-3"),
        SOURCE.replace("x * opened", "opened * opened"),
    ],
)
def test_a_design_that_computes_something_else_has_another_fingerprint(other: str) -> None:
    assert fingerprint(other) != fingerprint(SOURCE)


def test_source_that_does_not_parse_has_no_fingerprint() -> None:
    with pytest.raises(SyntaxError):
        fingerprint("class Mixer(:")


@pytest.mark.parametrize("bomb", ["-" * 60_000 + "1", "not " * 15_000 + "1", "1" + "+1" * 30_000, "x" + ".a" * 1_200])
def test_source_that_is_nested_too_deeply_has_no_fingerprint_either(bomb: str) -> None:
    with pytest.raises(SyntaxError):
        fingerprint(f"x = {bomb}")

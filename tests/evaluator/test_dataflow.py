"""The graph of operations is read from the source: what is an edge, what is followed, what is passed through."""

from __future__ import annotations

import ast

import pytest

from netwright.evaluator.dataflow import flow_graph
from netwright.evaluator.flow_graph import FlowGraph

HEAD = """
import math
import torch
import torch.nn.functional as F
from torch import nn
from einops import rearrange, reduce
"""


def graph(forward: str, init: str = "pass", more: str = "") -> FlowGraph:
    """Return the graph of a mixer with these bodies."""
    indented = ["\n".join(f"        {line}" for line in body.splitlines()) for body in (init, forward)]
    source = (
        f"{HEAD}\n{more}\nclass Mixer(nn.Module):\n"
        f"    def __init__(self, dim, heads, max_len, layer, layers):\n{indented[0]}\n"
        f"    def forward(self, x):\n{indented[1]}\n"
    )
    return flow_graph(ast.parse(source))


def edges(found: FlowGraph) -> set[str]:
    return {f"{found.labels[i]}>{found.labels[j]}" for i, j in found.edges}


def test_what_is_computed_of_what_is_an_edge() -> None:
    found = graph("return self.out(torch.sigmoid(x) * x)", "self.out = nn.Linear(dim, dim)")

    assert edges(found) == {"input>sigmoid", "input>mul", "sigmoid>mul", "mul>linear", "linear>output"}
    assert found.depth() == 4


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("return F.silu(x)", "return nn.functional.silu(x)"),
        ("return torch.matmul(x, x)", "return x @ x"),
        ("return torch.softmax(x, -1)", "return x.softmax(-1)"),
        ("y = x.transpose(1, 2).reshape(2, -1)\nreturn y.exp()", "return x.exp()"),
        ("y = x.exp()\nz = x.sin()\nreturn y + z", "b = x.sin()\na = x.exp()\nreturn a + b"),
        ("unused = x.cos()\nreturn x.exp()", "return x.exp()"),
        ("x += x.exp()\nreturn x", "return x + x.exp()"),
        ("y = []\ny.append(x.exp())\nreturn torch.cat(y)", "return torch.cat([x.exp()])"),
        ("return (lambda z: z.exp())(x)", "return x.exp()"),
        ("q, k = (part.exp() for part in (x.sin(), x.cos()))\nreturn q - k", "return x.sin().exp() - x.cos().exp()"),
        ("return x.exp() if None else x.sin()", "return x.sin()"),
        ("return torch.utils.checkpoint.checkpoint(lambda z: z.exp(), x)", "return x.exp()"),
        ("return torch.einsum('bhtd,bhsd->bhts', x, x)", "return torch.einsum('xyzw, xyvw -> xyzv', x, x)"),
        ("return reduce(x, 'rows time dim -> rows dim', 'mean')", "return reduce(x, 'b t d -> b d', 'mean')"),
        ("return rearrange(x, 'b t d -> b d t').exp()", "return x.exp()"),
        ("return x * (3 / math.sqrt(x.shape[-1]))", "return x * 3"),
    ],
)
def test_the_same_computation_in_other_words_has_the_same_edges(one: str, other: str) -> None:
    assert edges(graph(one)) == edges(graph(other))


def test_modules_are_what_init_makes_of_them() -> None:
    found = graph(
        "return self.net(x) + self.norms[1](x)",
        "self.net = nn.Sequential(nn.Linear(dim, 8, bias=False), nn.ReLU())\n"
        "self.norms = nn.ModuleList([nn.LayerNorm(dim), nn.RMSNorm(dim)])",
    )

    assert edges(found) == {
        *("input>linear", "linear>relu", "relu>add", "input>rmsnorm", "rmsnorm>add", "add>output"),
    }
    assert found.setting_counts()["linear(bias=False)"] == 1


FILTER = """
class Filter(nn.Module):
    def __init__(self, taps):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(taps))

    def forward(self, x):
        return gained(x * self.weight)

def gained(x, gain=4.0):
    return torch.tanh(x) * gain
"""


def test_classes_and_functions_of_the_file_are_followed() -> None:
    found = graph("return self.filter(x)", "self.filter = Filter(4)", FILTER)

    assert edges(found) == {
        *("zeros>parameter", "parameter>mul", "input>mul", "mul>tanh", "tanh>mul", "mul>output"),
    }
    assert found.setting_counts()["mul(4.0)"] == 1


def test_each_use_of_a_class_has_parameters_of_its_own() -> None:
    found = graph("return self.a(x) + self.b(x)", "self.a, self.b = Filter(4), Filter(8)", FILTER)

    assert found.labels.count("parameter") == 2


def test_a_module_that_depends_on_the_layer_may_be_either() -> None:
    found = graph(
        "return self.mix(x)",
        "self.mix = Filter(4) if layer % 2 else Other()",
        FILTER + "class Other(nn.Module):\n    def forward(self, x):\n        return x.cumsum(1)\n",
    )

    assert {"cumsum>output", "mul>output"} <= edges(found)


def test_a_loop_hands_its_state_round() -> None:
    found = graph("state = x.new_zeros(3)\nfor t in range(9):\n    state = state * 0.5 + x[:, t]\nreturn state")

    assert {"zeros>loop", "loop>mul", "mul>add", "add>loop", "add>output"} <= edges(found)


def test_a_base_class_of_torch_is_what_forward_comes_from() -> None:
    more = "class Mixed(nn.Linear):\n    def __init__(self, n):\n        super().__init__(n, n, bias=False)\n"

    assert edges(graph("return self.net(x)", "self.net = Mixed(dim)", more)) == {"input>linear", "linear>output"}


def test_a_function_that_calls_itself_ends() -> None:
    assert "recursion" in graph("return again(x)", more="def again(x):\n    return again(x.exp())\n").labels

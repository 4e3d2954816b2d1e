"""What a design computes is recognised under other code for it, and told from whatever computes something else."""

from __future__ import annotations

from collections import defaultdict
from importlib import resources

import pytest
import torch

from netwright.agents.grammar_planner import GrammarPlanner
from netwright.evaluator.causality import Chain
from netwright.evaluator.contract import recipe_of
from netwright.evaluator.fingerprint import fingerprint
from netwright.evaluator.functional import function_of
from netwright.evaluator.loading import load_factory, seeded_network
from netwright.evaluator.portraying import portrait
from netwright.evaluator.probes import Probe
from netwright.evaluator.replies import parse_portrait
from netwright.evaluator.tasks.registry import load_task
from netwright.evaluator.tracing import trace
from netwright.portrait import Portrait
from netwright.types import Context, Operator, Recipe, Remembered, Scope, TaskSpec

SPEC = load_task("recall").spec.model_copy(update={"dim": 16, "heads": 2, "parameters": 12_000})
SOURCE = """
import torch
from torch import nn
import torch.nn.functional as F

class Mixer(nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.q = nn.Linear(dim, dim, bias=False)
        self.k = nn.Linear(dim, dim, bias=False)
        self.v = nn.Linear(dim, dim, bias=False)
        self.decay = nn.Parameter(torch.full((dim,), 0.9))
        self.drop = nn.Dropout(0.1)

    def forward(self, x):
        q, k, v = self.q(x), self.k(x), self.v(x)
        scores = (q @ k.transpose(1, 2)).tril()
        mixed = scores @ v + x * self.decay
        return self.drop(F.silu(mixed) + q.cumsum(1))
"""


def function(source: str) -> str | None:
    torch.manual_seed(0)
    return function_of(SPEC, load_factory(source, SPEC), whole=False)


def changed(old: str, new: str) -> str:
    assert old in SOURCE
    return SOURCE.replace(old, new)


ORDER = "        self.q = nn.Linear(dim, dim, bias=False)\n        self.k = nn.Linear(dim, dim, bias=False)\n"


@pytest.mark.parametrize(
    "same",
    [
        SOURCE,
        changed("self.decay", "self.keep").replace("mixed", "y"),
        changed(ORDER, "".join(reversed(ORDER.splitlines(keepends=True)))),
        changed(
            "q, k, v = self.q(x), self.k(x), self.v(x)", "v = self.v(x)\n        k = self.k(x)\n        q = self.q(x)"
        ),
        changed("F.silu(mixed) + q.cumsum(1)", "1 * q.cumsum(1) + mixed * torch.sigmoid(mixed) + 0"),
        changed("q @ k.transpose(1, 2)", "torch.einsum('btd,bsd->bts', q, k)"),
        changed("self.v(x)\n", "F.linear(x, self.v.weight)\n"),
        changed("x * self.decay", "self.decay * x"),
    ],
    ids=[
        "itself",
        "renamed",
        "defined in another order",
        "used in another order",
        "rewritten",
        "einsum",
        "by hand",
        "turned",
    ],
)
def test_the_same_function_has_the_same_fingerprint(same: str) -> None:
    assert function(same) == function(SOURCE) is not None


@pytest.mark.parametrize(
    "other",
    [
        changed("F.silu", "F.gelu"),
        changed("0.9", "0.8"),
        changed("Dropout(0.1)", "Dropout(0.2)"),
        changed("self.k(x)", "self.q(x)"),
        changed("tril()", "tril().triu(-60)"),
        changed("scores @ v", "scores @ k"),
        changed("self.v = nn.Linear(dim, dim, bias=False)", "self.v = nn.Linear(dim, dim)"),
        changed("self.drop = ", "nn.init.zeros_(self.v.weight)\n        self.drop = "),
        changed("self.drop = ", "self.v.weight.requires_grad_(False)\n        self.drop = "),
    ],
    ids=["activation", "start", "dropout", "shared", "window", "operand", "bias", "zero start", "frozen"],
)
def test_another_function_or_another_start_has_another_fingerprint(other: str) -> None:
    assert function(other) not in (function(SOURCE), None)


def test_what_computes_in_single_precision_has_a_fingerprint_too() -> None:
    single = changed("F.silu(mixed)", "F.silu(mixed.float()).to(x.dtype)")

    assert function(single) == function(single.replace("mixed", "y")) is not None


def test_a_function_that_is_not_finite_has_none() -> None:
    assert function(changed("F.silu(mixed)", "(mixed * 1e30).exp()")) is None


def test_the_trace_goes_through_what_only_moves_numbers() -> None:
    mixer = load_factory(SOURCE, SPEC)(dim=16, heads=2, max_len=64, layer=0, layers=2)

    found = trace(Chain([mixer], residual=False).eval(), torch.randn(1, 8, 16))

    assert found is not None
    edges = {f"{found.labels[i]}>{found.labels[j]}" for i, j in found.edges}
    assert {"parameter>matmul", "matmul>tril", "tril>matmul", "silu>add", "cumsum>add", "add>output"} <= edges
    assert found.shapes[found.labels.index("tril")] == (1, 8, 8)
    assert "transpose" not in found.labels


def test_the_trace_sees_what_is_written_in_place() -> None:
    class Written(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = torch.zeros_like(x)
            y[:, 1:] = x[:, :-1].exp()
            return y.mul_(2)

    found = trace(Written(), torch.randn(1, 8, 4))

    assert found is not None
    assert {"exp>mul", "mul>output"} <= {f"{found.labels[i]}>{found.labels[j]}" for i, j in found.edges}


def test_a_trace_that_is_too_large_is_none() -> None:
    class Long(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            for _ in range(1000):
                x = x.sin()
            return x

    assert trace(Long(), torch.randn(1, 2, 4)) is None


def test_whatever_goes_wrong_in_a_portrait_is_left_out() -> None:
    source = changed(
        "        q, k, v =",
        "        if x.dtype is torch.float64 or x.shape[1] == 8: raise SyntaxError\n        q, k, v =",
    )
    probe = Probe(source, SPEC, Recipe())
    probe.builds()

    assert portrait(probe) == Portrait()


@pytest.mark.parametrize(
    "said",
    [
        {"function": "short"},
        {"function": 7},
        {"trace": {"labels": ["a"], "shapes": [[1]], "edges": [[0, 1]]}},
        {"trace": {"labels": ["a", "b"], "shapes": [[1], [2]], "edges": [[1, 0]]}},
        {"trace": {"labels": ["\x1b[2J"], "shapes": [[1]], "edges": []}},
        {"trace": {"labels": ["a"] * 10_000, "shapes": [[1]] * 10_000, "edges": []}},
        {"trace": {"labels": ["a"], "shapes": [[-1]], "edges": []}},
        {"more": 1},
    ],
)
def test_a_portrait_that_is_none_is_empty(said: dict[str, object]) -> None:
    assert parse_portrait(said) == Portrait()


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_designs_of_the_grammar_and_baselines_that_share_a_fingerprint_give_the_same_outputs() -> None:
    """250 proposals and all mixers. What coincides in other code is a window as long as the rows, which is none."""
    spec, planner = load_task("recall").spec, GrammarPlanner()
    files = resources.files("netwright.evaluator.baselines").iterdir()
    sources = [text for file in files if file.name.endswith(".py") and "class Mixer" in (text := file.read_text())]
    context = Context(task=spec, operator=Operator.DRAFT, seed=0, mixer_parameters=34_000)
    drafts = [planner.sketch(context.model_copy(update={"seed": seed})).proposal() for seed in range(100)]
    parents = [
        Remembered(candidate=each.candidate(Scope.MIXER), operator=Operator.DRAFT, score=None, verdict=None)
        for each in drafts
    ]
    sources += [draft.source for draft in drafts]
    for operator in (Operator.REFINE, Operator.SIMPLIFY, Operator.COMBINE):
        for seed in range(50):
            asked = {"operator": operator, "seed": seed, "parents": (parents[seed], parents[seed + 37])}
            sources.append(planner.sketch(context.model_copy(update=asked)).proposal().source)

    alike: dict[tuple[str, str], dict[str, str]] = defaultdict(dict)
    for source in sources:
        found = function_of(spec, load_factory(source, spec), whole=False)
        if found is not None:
            alike[found, recipe_of(source, spec.recipe).model_dump_json()][fingerprint(source)] = source

    assert len(alike) > 250
    for first, *others in (list(codes.values()) for codes in alike.values()):
        assert all(give_the_same(spec, first, other) for other in others)


def give_the_same(spec: TaskSpec, one: str, other: str) -> bool:
    """Whether two mixers that call their parameters the same give the same outputs, with the same weights."""
    networks = [seeded_network(spec, load_factory(source, spec), seed=1).eval() for source in (one, other)]
    networks[1].load_state_dict(networks[0].state_dict())
    tokens = torch.randint(spec.vocab_size, (4, spec.max_len), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return torch.allclose(networks[0](tokens), networks[1](tokens), atol=1e-5)

"""What a design is made of: stable under other words for it, moved a little by an edit, bounded for hostile files."""

from __future__ import annotations

import re
import statistics
import time
from functools import cache
from importlib import resources

import pytest

from netwright.agents.grammar_planner import GrammarPlanner
from netwright.distance import distance
from netwright.evaluator.structure import structure_of, with_sizes
from netwright.evaluator.tasks.registry import load_task
from netwright.types import Context, Operator, Proposal, Recipe, Remembered, Scope, Structure


def baseline(name: str) -> str:
    return (resources.files("netwright.evaluator.baselines") / f"{name}.py").read_text(encoding="utf-8")


def of_baseline(name: str) -> Structure:
    return structure_of(baseline(name), None, Recipe())


OTHER_WORDS = {
    "gated_delta_rule": "recur",
    "decay_between": "between_decays",
    "in_chunks": "chunked",
    "log_rate": "speed",
    "project": "into",
    "beta": "strength",
    "overlap": "m",
    "wanted": "target",
}


def test_names_comments_and_layout_make_no_difference() -> None:
    source = baseline("gated_delta_net")
    renamed = re.sub(r"\b[A-Za-z_]+\b", lambda found: OTHER_WORDS.get(found[0], found[0]), source)
    renamed = renamed.replace('"""Gated DeltaNet', '"""In other words').replace(
        "self.heads = heads\n", "self.heads = heads  # kept\n\n"
    )

    assert renamed != source
    assert structure_of(renamed, None, Recipe()) == of_baseline("gated_delta_net")


def test_the_order_of_independent_statements_makes_no_difference() -> None:
    source = baseline("gated_delta_net")
    lines = "        self.beta = nn.Linear(dim, heads, bias=False)\n", "        self.step = nn.Linear(dim, heads)\n"
    swapped = source.replace("".join(lines), "".join(reversed(lines)))
    first = "    since_start = log_decay.cumsum(dim=-2).exp()\n    keys_t = k.transpose(-1, -2)\n"
    swapped = swapped.replace(first, "".join(reversed(first.splitlines(keepends=True))))

    assert swapped.count("\n") == source.count("\n") and swapped != source
    assert distance(structure_of(swapped), structure_of(source)) == 0.0


def test_an_edit_changes_it_a_little() -> None:
    source = baseline("gated_delta_net")
    edited = source.replace("self.beta(x).sigmoid()", "self.beta(x).tanh()")

    assert 0.0 < distance(structure_of(edited), structure_of(source)) < 0.2


@pytest.mark.parametrize(
    ("one", "near", "far"),
    [
        ("gated_delta_net", "delta_net", "softmax_attention"),
        ("gated_delta_net", "mamba2", "hyena"),
        ("softmax_attention", "sliding_window_attention", "gated_delta_net"),
        ("attention_convolution_hybrid", "softmax_attention", "mamba2"),
        ("gated_delta_attention_hybrid", "gated_delta_net", "s4d"),
        ("retention", "softmax_attention", "rwkv7"),
        ("residual_mlp", "multilayer_perceptron", "convolutional_network"),
    ],
)
def test_baselines_of_one_family_are_nearer_to_each_other(one: str, near: str, far: str) -> None:
    assert distance(of_baseline(one), of_baseline(near)) < distance(of_baseline(one), of_baseline(far))


def test_choices_are_those_of_the_genotype() -> None:
    found = structure_of("", '{"version": 1, "even": {"body": {"kind": "attention", "window": null}}}')

    assert found.choices == {"even.body.kind": "attention", "even.body.window": "none"}


def test_numbers_say_how_it_is_trained_and_how_large_it_is() -> None:
    source = 'RECIPE = {"lr": 0.01, "optimizer": "sgd"}\n' + baseline("linear_attention")

    numbers = with_sizes(structure_of(source, None, Recipe()), 999_999, None).numbers

    assert (numbers["log10 lr"], numbers["sgd"], numbers["log10 parameters"]) == (-2.0, 1.0, 6.0)
    assert "log10 flops per token" not in numbers
    assert "log10 lr" not in structure_of(source).numbers


@pytest.mark.parametrize("broken", ["class Mixer(:", "\0", "x = " + "(" * 5000, "\ud800", "x" * 100_000])
def test_what_does_not_parse_has_an_empty_structure(broken: str) -> None:
    assert structure_of(broken, None, Recipe()) == Structure()


def hostile(name: str) -> str:
    """Return a source that asks a careless reader for more time or depth than there is."""
    head = "import torch\nfrom torch import nn\n"
    mixer = "class Mixer(nn.Module):\n    def forward(self, x):\n"
    calls = "".join(f"def f{n}(x):\n    return f{n + 1}(x) + f{n + 1}(x * {n})\n" for n in range(60))
    bodies = {
        "calls that double": f"{head}{calls}def f60(x):\n    return x\n{mixer}        return f0(x)\n",
        "tuples that double": f"{head}{mixer}" + "        x = (x, x)\n" * 2000 + "        return x\n",
        "a long sum": f"{head}{mixer}        return {'+'.join(['x'] * 900)}\n",
        "deep ifs": head
        + mixer
        + "".join(f"{' ' * (8 + n)}if x > {n}:\n" for n in range(90))
        + " " * 98
        + "return x\n",
        "many operations": f"{head}{mixer}"
        + "".join(f"        x = x.f{n}() * x\n" for n in range(2500))
        + "        return x\n",
        "a crowd": f"{head}{mixer}        y = []\n"
        + "".join(f"        y.append(x.f{n}())\n        x = x + torch.cat(y)\n" for n in range(900))
        + "        return x\n",
        "a base of itself": f"{head}class Mixer(Mixer):\n    def __init__(self):\n        super().__init__()\n",
        "large numbers": f"{head}{mixer}        return x * 0x{'f' * 9000} + 1e999 - 5j\n",
        "itself": f"{head}{mixer}        self.x = self\n        return self(self.x(x))\n",
        "nested loops": head
        + mixer
        + "".join(f"{' ' * (8 + n)}for a{n} in x:\n" for n in range(18))
        + " " * 26
        + "x = x + a3\n        return x\n",
    }
    return bodies[name]


@pytest.mark.parametrize(
    "name",
    [
        *("calls that double", "tuples that double", "a long sum", "deep ifs", "many operations", "a crowd"),
        *("a base of itself", "large numbers", "itself", "nested loops"),
    ],
)
def test_hostile_sources_take_little_time_and_room(name: str) -> None:
    source = hostile(name)
    begun = time.process_time()

    found = structure_of(source, None, Recipe())

    assert time.process_time() - begun < 1.0
    assert found.numbers and len(found.counts) < 25_000


def test_a_recursive_genotype_has_no_choices() -> None:
    assert structure_of("", "[" * 100_000).choices == {}


@cache
def proposals(operator: Operator, number: int) -> list[Proposal]:
    """Return drafts, or what the operator made of the first of them (and the third next)."""
    context = Context(task=load_task("recall").spec, operator=operator, seed=0, mixer_parameters=34_000)

    def made(seed: int) -> Proposal:
        parents = () if operator is Operator.DRAFT else (as_parent(seed), as_parent(seed + 3))
        return GrammarPlanner().sketch(context.model_copy(update={"seed": seed, "parents": parents})).proposal()

    return [made(seed) for seed in range(number)]


def as_parent(seed: int) -> Remembered:
    candidate = proposals(Operator.DRAFT, 23)[seed].candidate(Scope.MIXER)
    return Remembered(candidate=candidate, operator=Operator.DRAFT, score=None, verdict=None)


def test_what_was_refined_is_nearer_than_what_was_combined_and_that_nearer_than_another_draft() -> None:
    def structures(operator: Operator) -> list[Structure]:
        return [structure_of(each.source) for each in proposals(operator, 23 if operator is Operator.DRAFT else 20)]

    drafts = structures(Operator.DRAFT)

    def median(others: list[Structure]) -> float:
        return statistics.median(distance(one, other) for one, other in zip(drafts, others, strict=False))

    refined, combined = median(structures(Operator.REFINE)), median(structures(Operator.COMBINE))

    assert refined < combined < median(drafts[5:])

"""Genes without effect are normalised away: before and after, the same function, shown on weights carried over."""

import types

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from netwright.agents.emit import emit
from netwright.agents.genotype import Genotype, Layer, Parallel
from netwright.agents.grammar import Allowance, Grammar
from netwright.agents.leaves import Attention, Convolution, Matching, Memory, Positions, Recurrence
from netwright.agents.normalise import normalised
from netwright.types import Scope

DIM, LONGEST = 32, 64


def sizes(heads: int = 4, layers: int = 2) -> Allowance:
    return Allowance(10**6, Scope.MIXER, dim=DIM, heads=heads, layers=layers, max_len=LONGEST)


def build(genotype: Genotype, heads: int = 4) -> nn.Module:
    torch.manual_seed(0)
    module = types.ModuleType("candidate")
    exec(compile(emit(genotype), "candidate.py", "exec"), module.__dict__)
    mixer = module.Mixer(DIM, heads, LONGEST, 0, 2).double()
    with torch.no_grad():
        for parameter in mixer.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return mixer


def assert_equal_functions(before: nn.Module, after: nn.Module, weights: dict[str, Tensor]) -> None:
    after.load_state_dict(weights)
    x = torch.randn(2, LONGEST, DIM, dtype=torch.float64)
    torch.testing.assert_close(after(x), before(x), rtol=1e-10, atol=1e-11)


def layer(body: object, skip: str = "none") -> Genotype:
    return Genotype(even=Layer(body=body, skip=skip))  # type: ignore[arg-type]


def beside(left: object, right: object, merge: str) -> Genotype:
    return layer(Parallel(left=left, right=right, merge=merge))  # type: ignore[arg-type]


def test_a_window_longer_than_any_row_is_none() -> None:
    before, after = layer(Attention(window=LONGEST)), layer(Attention())

    assert normalised(before, sizes()) == after
    assert normalised(layer(Attention(window=16)), sizes()) == layer(Attention(window=16))
    old, new = build(before), build(after)
    assert_equal_functions(old, new, old.state_dict())


@pytest.mark.parametrize("leaf", [Attention, Memory])
def test_a_single_head_has_no_groups(leaf: type[Attention] | type[Memory]) -> None:
    before, after = layer(leaf(projection="grouped")), layer(leaf())

    assert normalised(before, sizes(heads=1)) == after
    assert normalised(before, sizes(heads=2)) == before
    old, new = build(before, heads=1), build(after, heads=1)
    assert_equal_functions(old, new, old.state_dict())


def test_a_single_head_cannot_be_halved() -> None:
    before = beside(Attention(), Recurrence(), "heads")
    after = beside(Attention(), Recurrence(), "sum")

    assert normalised(before, sizes(heads=1)) == after
    old, new = build(before, heads=1), build(after, heads=1)
    assert_equal_functions(old, new, old.state_dict())


def test_a_scaled_skip_vanishes_in_a_projection_of_the_token() -> None:
    before, after = layer(Matching(), skip="scaled"), layer(Matching())

    assert normalised(before, sizes()) == after
    assert normalised(layer(Matching(own=False), skip="scaled"), sizes()).even.skip == "scaled"
    old, new = build(before), build(after)
    weights = old.state_dict()
    weights["own.weight"] = weights["own.weight"] + weights.pop("skip").diag()
    assert_equal_functions(old, new, weights)


def test_two_maps_of_positions_that_are_summed_are_one() -> None:
    before, after = beside(Positions(depth=1), Positions(depth=1), "sum"), layer(Positions(depth=1))

    assert normalised(before, sizes()) == after
    old, new = build(before), build(after)
    weights = old.state_dict()
    summed = {name: weights[f"left.mix.{name}"] + weights[f"right.mix.{name}"] for name in ("weight", "bias")}
    assert_equal_functions(old, new, {f"mix.{name}": value for name, value in summed.items()})


@pytest.mark.parametrize("merge", ["sum", "heads", "gated"])
def test_which_branch_is_named_first_says_nothing(merge: str) -> None:
    one, other = beside(Convolution(), Attention(), merge), beside(Attention(), Convolution(), merge)

    assert normalised(one, sizes()) == normalised(other, sizes()) == other
    old, new = build(one), build(other)
    swapped = {"left": "right", "right": "left"}
    weights = {
        ".".join(swapped.get(part, part) for part in name.split(".")): value for name, value in old.state_dict().items()
    }
    if merge == "gated":  # 1 - sigmoid(z) = sigmoid(-z)
        weights |= {name: -value for name, value in weights.items() if name.startswith("choice")}
    assert_equal_functions(old, new, weights)


def test_of_three_heads_the_branches_get_unequal_shares_so_their_order_matters() -> None:
    one, other = beside(Convolution(), Attention(), "heads"), beside(Attention(), Convolution(), "heads")

    assert normalised(one, sizes(heads=3)) == one
    assert normalised(other, sizes(heads=3)) == other


def test_a_single_layer_has_no_second_kind() -> None:
    before = Genotype(even=Layer(body=Attention()), odd=Layer(body=Memory()))

    assert normalised(before, sizes(layers=1)) == layer(Attention())
    assert normalised(before, sizes()) == before


def test_what_became_equal_layers_is_one() -> None:
    before = Genotype(even=Layer(body=Attention()), odd=Layer(body=Attention(window=4096)))

    assert normalised(before, sizes()) == layer(Attention())


def test_normalising_twice_is_normalising_once() -> None:
    for seed in range(200):
        once = normalised(Grammar().genotype(np.random.default_rng(seed)), sizes(heads=1 + seed % 4))
        assert normalised(once, sizes(heads=1 + seed % 4)) == once


def test_random_sentences_keep_their_function_under_every_rule_that_applies() -> None:
    """Wherever the parameters keep their names, the weights are carried over as they are."""
    compared = 0
    for seed in range(150):
        before = Grammar().genotype(np.random.default_rng(seed))
        after = normalised(before, sizes(heads=1))
        if after == before:
            continue
        old, new = build(before, heads=1), build(after, heads=1)
        if {n: p.shape for n, p in old.named_parameters()} == {n: p.shape for n, p in new.named_parameters()}:
            assert_equal_functions(old, new, old.state_dict())
            compared += 1
    assert compared >= 10

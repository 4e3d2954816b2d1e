"""The backbone: one sizing rule for all candidates, causal around a causal mixer, the same for the same seed."""

import pytest
import torch
from torch import nn

from netwright.evaluator.backbone import (
    ShortConvolution,
    SizeError,
    build_network,
    mixer_allowance,
    parameter_count,
)
from netwright.evaluator.baselines.softmax_attention import Mixer as SoftmaxAttention
from netwright.evaluator.tasks import load_task
from netwright.types import Scope

RECALL = load_task("recall").spec


def sized_mixer(parameters):
    """Make a mixer class with exactly so many parameters."""

    class Sized(nn.Module):
        def __init__(self, dim, heads, max_len, layer, layers):
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(parameters))

        def forward(self, x):
            return x + self.weight.sum()

    return Sized


class Block(nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.inner = nn.Linear(dim, dim)

    def forward(self, x):
        return x + self.inner(x)


class Model(nn.Module):
    def __init__(self, spec):
        super().__init__()
        self.embedding = nn.Embedding(spec.vocab_size, spec.dim)
        self.head = nn.Linear(spec.dim, spec.vocab_size)
        self.spec = spec

    def forward(self, tokens):
        return self.head(self.embedding(tokens))


def tokens(spec, *, rows=3, length=None):
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, spec.vocab_size, (rows, length or spec.max_len), generator=generator)


@pytest.mark.parametrize("parameters", [0, 1, 5_000, 12_345, mixer_allowance(RECALL)])
def test_mixers_of_any_size_meet_the_same_budget(parameters):
    network = build_network(RECALL, sized_mixer(parameters))

    assert abs(parameter_count([network]) - RECALL.parameters) <= 0.02 * RECALL.parameters


def test_a_mixer_that_is_too_large_is_told_what_fits():
    allowed = mixer_allowance(RECALL)

    with pytest.raises(SizeError, match=rf"at most {2 * allowed:,} \({allowed:,} per layer\) fit .*narrower"):
        build_network(RECALL, sized_mixer(allowed + 2_000))


def test_parameters_shared_between_layers_count_once():
    shared = nn.Linear(RECALL.dim, RECALL.dim)

    class Shared(nn.Module):
        def __init__(self, dim, heads, max_len, layer, layers):
            super().__init__()
            self.shared = shared

        def forward(self, x):
            return self.shared(x)

    network = build_network(RECALL, Shared)

    assert abs(parameter_count([network]) - RECALL.parameters) <= 0.02 * RECALL.parameters


class Modest(nn.Linear):
    """Says that it has no parameters."""

    def parameters(self, recurse=True):
        return iter(())

    def named_parameters(self, *args, **kwargs):
        return iter(())

    def named_modules(self, *args, **kwargs):
        return iter(())


def test_parameters_are_counted_whatever_a_module_says_of_itself():
    assert parameter_count([Modest(4, 4)]) == parameter_count([nn.Sequential(Modest(4, 4))]) == 20


def test_numbers_of_more_than_32_bits_count_as_often_as_they_need():
    module = nn.ParameterList(
        nn.Parameter(torch.zeros(3, dtype=dtype))
        for dtype in (torch.bfloat16, torch.float64, torch.complex64, torch.complex128)
    )

    assert parameter_count([module]) == 3 + 6 + 6 + 12


def test_logits_are_float32_of_shape_batch_time_vocabulary_at_every_length():
    network = build_network(RECALL, SoftmaxAttention)

    for length in (1, 2, 3, RECALL.max_len):
        logits = network(tokens(RECALL, length=length))

        assert logits.shape == (3, length, RECALL.vocab_size) and logits.dtype is torch.float32


def test_equal_seeds_build_equal_networks_and_other_seeds_do_not():
    def build(seed):
        torch.manual_seed(seed)
        return build_network(RECALL, SoftmaxAttention).state_dict()

    first, second, other = build(1), build(1), build(2)

    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["head.weight"], other["head.weight"])


def test_an_untrained_network_answers_with_near_uniform_probabilities():
    network = build_network(RECALL, SoftmaxAttention)

    log_probabilities = network(tokens(RECALL)).log_softmax(-1)

    assert (log_probabilities + torch.tensor(RECALL.vocab_size).log()).abs().max() < 1.0


def test_the_network_around_a_causal_mixer_is_causal():
    network = build_network(RECALL, SoftmaxAttention).double().eval()
    inputs = tokens(RECALL)
    changed = inputs.clone()
    changed[:, 20:] = (changed[:, 20:] + 1) % RECALL.vocab_size

    difference = (network(inputs) - network(changed)).abs()

    assert difference[:, :20].max() < 1e-5 and difference[:, 20:].max() > 1e-3


def test_the_short_convolution_mixes_the_last_four_positions():
    torch.manual_seed(0)
    convolution, x = ShortConvolution(6), torch.randn(2, 9, 6)

    expected = torch.stack(
        [sum(convolution.weight[i] * x[:, t - i] for i in range(4) if t >= i) for t in range(9)], dim=1
    )

    assert torch.allclose(convolution(x), expected, atol=1e-6)


def test_dropout_acts_in_training_only():
    network = build_network(RECALL, SoftmaxAttention, dropout=0.5)
    inputs = tokens(RECALL)

    assert not torch.equal(network(inputs), network(inputs))
    assert torch.equal(network.eval()(inputs), network(inputs))


def test_a_block_candidate_supplies_its_own_layers():
    spec = RECALL.model_copy(update={"scope": Scope.BLOCK})

    network = build_network(spec, Block)

    assert [type(layer) for layer in network.layers] == [Block] * spec.layers
    assert network(tokens(spec)).shape == (3, spec.max_len, spec.vocab_size)


def test_a_model_candidate_is_told_the_sizes_and_used_as_it_is():
    spec = RECALL.model_copy(update={"scope": Scope.MODEL})

    network = build_network(spec, Model)

    assert (network.spec.vocab_size, network.spec.max_len, network.spec.num_classes) == (
        spec.vocab_size,
        spec.max_len,
        None,
    )


@pytest.mark.parametrize(("scope", "factory"), [(Scope.BLOCK, Block), (Scope.MODEL, Model)])
def test_blocks_and_models_above_the_budget_are_refused_with_numbers(scope, factory):
    spec = RECALL.model_copy(update={"scope": scope, "parameters": 4_000})

    with pytest.raises(SizeError, match="parameters, at most 4,080 are allowed"):
        build_network(spec, factory)

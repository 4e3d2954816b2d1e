"""Baselines with windows, long filters, n-gram matches and two kinds of layers do what their equations say."""

import importlib
import math

import numpy
import pytest
import torch
from torch.nn import functional as F

DIM, HEADS, MAX_LEN, LAYERS = 32, 4, 100, 2
HEAD_DIM = DIM // HEADS


def make_mixer(name, *, layer=0, double=True, heads=HEADS):
    torch.manual_seed(3)
    module = importlib.import_module(f"netwright.evaluator.baselines.{name}")
    mixer = module.Mixer(dim=DIM, heads=heads, max_len=MAX_LEN, layer=layer, layers=LAYERS)
    return mixer.double() if double else mixer


def make_input(length=MAX_LEN, *, batch=2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, length, DIM, dtype=torch.float64, generator=generator)


def split_heads(x, heads=HEADS):
    return x.view(*x.shape[:-1], heads, -1)


def join_heads(steps):
    return torch.stack(steps, dim=1).flatten(2)


def rotate_by_complex_numbers(x):
    """Rotary positions of (B, T, H, d), by another way than the candidates'."""
    frequencies = 10_000.0 ** (-torch.arange(0, x.shape[-1], 2, dtype=torch.float64) / x.shape[-1])
    angles = torch.outer(torch.arange(x.shape[1], dtype=torch.float64), frequencies)
    left, right = x.chunk(2, dim=-1)
    turned = torch.complex(left, right) * torch.polar(torch.ones_like(angles), angles)[:, None]
    return torch.cat([turned.real, turned.imag], dim=-1)


def attend_step_by_step(q, k, v, *, window):
    """Softmax attention of (B, T, H, d) over the last `window` positions, one query after the other."""
    outputs = []
    for t in range(q.shape[1]):
        seen = slice(max(0, t - window + 1), t + 1)
        scores = torch.einsum("bhd,bshd->bhs", q[:, t], k[:, seen]) / q.shape[-1] ** 0.5
        outputs.append(torch.einsum("bhs,bshd->bhd", scores.softmax(-1), v[:, seen]))
    return join_heads(outputs)


def sliding_window_attention_step_by_step(mixer, x):
    q = split_heads(mixer.query(x))
    k, v = (split_heads(part, mixer.groups) for part in mixer.key_value(x).chunk(2, dim=-1))
    q, k = rotate_by_complex_numbers(mixer.norm(q)), rotate_by_complex_numbers(mixer.norm(k))
    of_head = [head * mixer.groups // q.shape[2] for head in range(q.shape[2])]
    return mixer.out(attend_step_by_step(q, k[:, :, of_head], v[:, :, of_head], window=32))


def gated_delta_step_by_step(mixer, x):
    """Multiply the whole transition matrix out at each step; the candidate never forms it."""
    q, k, v = (split_heads(F.silu(part)) for part in mixer.project(x).chunk(3, dim=-1))
    q, k = F.normalize(q, dim=-1), F.normalize(k, dim=-1)
    beta = torch.sigmoid(mixer.beta(x))[..., None, None]
    decay = torch.exp(-mixer.log_rate.exp() * F.softplus(mixer.step(x))).clamp(min=torch.e**-16)[..., None, None]
    state, outputs = torch.zeros(x.shape[0], HEADS, HEAD_DIM, HEAD_DIM, dtype=x.dtype), []
    for t in range(x.shape[1]):
        key = k[:, t, :, :, None]
        erased = torch.eye(HEAD_DIM, dtype=x.dtype) - beta[:, t] * key @ key.mT
        state = decay[:, t] * state @ erased + beta[:, t] * v[:, t, :, :, None] @ key.mT
        outputs.append(mixer.norm((state @ q[:, t, :, :, None]).squeeze(-1)))
    return mixer.out(F.silu(mixer.gate(x)) * join_heads(outputs))


def full_attention_step_by_step(mixer, x):
    q, k, v = (split_heads(part) for part in mixer.project(x).chunk(3, dim=-1))
    q, k = rotate_by_complex_numbers(mixer.norm(q)), rotate_by_complex_numbers(mixer.norm(k))
    return mixer.out(attend_step_by_step(q, k, v, window=x.shape[1]))


def hyena_step_by_step(mixer, x):
    """Evaluate the filter network tap by tap, and every sum over the past as it is written."""
    time = torch.arange(x.shape[1], dtype=x.dtype)[:, None]
    angles = 2 * math.pi * torch.arange(1, 9, dtype=x.dtype) * time / MAX_LEN
    hidden = torch.cat([time / MAX_LEN, angles.sin(), angles.cos()], dim=1).float().double()
    for layer in (mixer.filters.enter, *mixer.filters.inner):
        hidden = torch.sin(4 * (hidden @ layer.weight.T + layer.bias))
    rate = math.log(100) / (MAX_LEN * torch.linspace(0.3, 1.5, DIM, dtype=x.dtype))
    window = torch.exp(-rate * torch.arange(MAX_LEN, dtype=x.dtype)[:, None]) + 0.01
    window = (window / window.square().sum(0).sqrt())[: x.shape[1]]
    filters = [window * part for part in (hidden @ mixer.filters.leave.weight.T).chunk(2, dim=1)]
    z, *gates = mixer.project(x).chunk(3, dim=-1)
    for n in range(2):
        seen = [(filters[n][: t + 1].flip(0) * z[:, : t + 1]).sum(1) for t in range(x.shape[1])]
        z = gates[n] * (mixer.present[n] * z + torch.stack(seen, dim=1))
    return mixer.out(z)


def ngram_heads_step_by_step(mixer, x):
    """Multiply the similarities of each pair of n-grams, pair by pair."""
    k, v = (split_heads(part) for part in mixer.key_value(x).chunk(2, dim=-1))
    similar = torch.einsum("bthd,bshd->bhts", F.normalize(k, dim=-1), F.normalize(k, dim=-1))
    tau, delta = mixer.log_sharpness.exp(), mixer.unlikeness
    same = torch.exp(tau[:, None, None] * (similar - 1))
    found = torch.zeros_like(v)
    for head in range(HEADS):
        n = 1 + head % 3
        for t in range(n, x.shape[1]):
            matches = math.prod(same[:, head, t - i, n - 1 - i : t - i] for i in range(n))
            after = (matches[:, :, None] * v[:, n : t + 1, head]).sum(1)
            found[:, t, head] = after / (torch.exp(-tau * delta)[head] + matches.sum(1, keepdim=True))
    return mixer.own(x) + mixer.out(found.flatten(2))


def mlp_mixer_step_by_step(mixer, x):
    """Read the packed weights row by row: row t has t + 1 of them."""
    for causal, activation in ((mixer.enter, F.gelu), (mixer.leave, lambda y: y)):
        rows = causal.weight.split(list(range(1, MAX_LEN + 1)))
        steps = [torch.einsum("s,bsd->bd", rows[t], x[:, : t + 1]) + causal.bias[t] for t in range(x.shape[1])]
        x = activation(torch.stack(steps, dim=1))
    return x


def taylor_features(x):
    """(B, T, H, f) -> (B, T, H, 1 + f + f^2), whose products are the second-order expansion of exp."""
    x = x / x.shape[-1] ** 0.25
    squares = (x[..., :, None] * x[..., None, :]).flatten(-2) / 2**0.5
    return torch.cat([torch.ones_like(x[..., :1]), x, squares], dim=-1)


def taylor_attention_step_by_step(mixer, x):
    q, k = (taylor_features(split_heads(part)) for part in mixer.query_key(x).chunk(2, dim=-1))
    v, state, normaliser, outputs = split_heads(mixer.value(x)), 0.0, 0.0, []
    for t in range(x.shape[1]):
        state = state + k[:, t, :, :, None] * v[:, t, :, None, :]
        normaliser = normaliser + k[:, t]
        read = (q[:, t, :, None, :] @ state).squeeze(-2)
        outputs.append(read / (q[:, t] * normaliser).sum(-1, keepdim=True))
    return mixer.out(join_heads(outputs))


def window_attention_step_by_step(mixer, x):
    q, k, v = (split_heads(part) for part in mixer.project(x).chunk(3, dim=-1))
    q, k = rotate_by_complex_numbers(mixer.norm(q)), rotate_by_complex_numbers(mixer.norm(k))
    return mixer.out(attend_step_by_step(q, k, v, window=32))


def of_mix(step_by_step):
    return lambda mixer, x: step_by_step(mixer.mix, x)


STEP_BY_STEP = {
    ("sliding_window_attention", 0): sliding_window_attention_step_by_step,
    ("gated_delta_attention_hybrid", 0): of_mix(gated_delta_step_by_step),
    ("gated_delta_attention_hybrid", 1): of_mix(full_attention_step_by_step),
    ("hyena", 0): hyena_step_by_step,
    ("ngram_heads", 0): ngram_heads_step_by_step,
    ("mlp_mixer", 0): mlp_mixer_step_by_step,
    ("based", 0): of_mix(taylor_attention_step_by_step),
    ("based", 1): of_mix(window_attention_step_by_step),
}
EACH = pytest.mark.parametrize(("name", "layer"), STEP_BY_STEP)


@EACH
@torch.no_grad()
def test_the_parallel_form_equals_the_equations(name, layer):
    mixer, x = make_mixer(name, layer=layer), make_input()

    difference = (mixer(x) - STEP_BY_STEP[name, layer](mixer, x)).abs().max()

    assert difference < 1e-6


@EACH
@torch.no_grad()
def test_float32_stays_close_to_the_equations_in_float64(name, layer):
    x = make_input()

    single = make_mixer(name, layer=layer, double=False)(x.float())

    assert (single - STEP_BY_STEP[name, layer](make_mixer(name, layer=layer), x)).abs().max() < 1e-4


@pytest.mark.parametrize("position", [0, 31, 32, 33, 70, MAX_LEN - 1])
@pytest.mark.parametrize(("name", "layer"), [("sliding_window_attention", 0), ("based", 1)])
def test_a_window_reaches_31_tokens_back_and_no_further(name, layer, position):
    mixer, x = make_mixer(name, layer=layer), make_input().requires_grad_()

    (gradient,) = torch.autograd.grad(mixer(x)[0, position].square().sum(), x)

    reached = gradient[0].abs().sum(dim=-1).nonzero().flatten()
    assert reached.tolist() == list(range(max(0, position - 31), position + 1))


@torch.no_grad()
def test_heads_share_keys_and_values_in_pairs_and_an_odd_number_shares_one():
    assert make_mixer("sliding_window_attention").key_value.out_features == 2 * 2 * HEAD_DIM
    assert make_mixer("sliding_window_attention", heads=1).key_value.out_features == 2 * DIM


@pytest.mark.parametrize("bias", [-2000.0, 2000.0])
@pytest.mark.parametrize("gate", ["beta", "step"])
def test_extreme_gates_of_the_gated_delta_rule_stay_finite_and_exact(gate, bias):
    mixer, x = make_mixer("gated_delta_attention_hybrid", double=False).mix, make_input()
    with torch.no_grad():
        getattr(mixer, gate).weight[:, 0] = bias

    y = mixer(x.float())
    y.square().sum().backward()

    assert (y - gated_delta_step_by_step(mixer.double(), x)).abs().max() < 1e-4
    assert all(parameter.grad.isfinite().all() for parameter in mixer.parameters())


@torch.no_grad()
def test_a_step_that_forgets_everything_does_not_blur_the_decays_after_it():
    mixer, x = make_mixer("gated_delta_attention_hybrid", double=False).mix, make_input()
    mixer.step.weight[:, 0] = 1e6
    x[:, :, 0] = 0
    x[:, [5, 40], 0] = 1

    y = mixer(x.float())

    assert (y - gated_delta_step_by_step(mixer.double(), x)).abs().max() < 1e-4


@torch.no_grad()
def test_the_gated_delta_rule_replaces_a_value_and_fades_the_others():
    module = importlib.import_module("netwright.evaluator.baselines.gated_delta_attention_hybrid")
    keys = torch.eye(4, dtype=torch.float64)[[0, *[1] * 19]][None, None]
    values = torch.randn(1, 1, 20, 4, dtype=torch.float64)
    beta, log_decay = torch.ones(1, 1, 20, 1, dtype=torch.float64), torch.full((1, 1, 20, 1), -0.1, dtype=torch.float64)

    of_same_key = module.gated_delta_rule(keys, keys, values, beta, log_decay)
    of_first_key = module.gated_delta_rule(keys[:, :, :1].expand_as(keys), keys, values, beta, log_decay)

    faded = torch.exp(-0.1 * torch.arange(20, dtype=torch.float64))[:, None] * values[0, 0, 0]
    assert torch.allclose(of_same_key, values, atol=1e-10)
    assert torch.allclose(of_first_key[0, 0], faded, atol=1e-10)


def test_the_gated_delta_rule_begins_with_memories_of_a_few_to_a_thousand_steps():
    mixers = [make_mixer("gated_delta_attention_hybrid", heads=16).mix for _ in range(2)]

    decays = torch.exp(-mixers[0].log_rate.exp() * F.softplus(mixers[0].step.bias))

    assert ((decays > 0.2) & (decays < 1)).all()
    assert torch.equal(mixers[0].step.bias, mixers[1].step.bias)


@pytest.mark.parametrize("length", [1, 15, 16, 17, 33, 64, 65])
@torch.no_grad()
def test_hyena_convolves_like_polynomials_are_multiplied(length):
    module = importlib.import_module("netwright.evaluator.baselines.hyena")
    u, taps = torch.randn(2, 3, length, dtype=torch.float64), torch.randn(3, length, dtype=torch.float64)

    y = module.convolve(u, taps)

    for channel in range(3):
        product = numpy.convolve(u[1, channel], taps[channel])[:length]
        assert abs(y[1, channel].numpy() - product).max() < 1e-10


@torch.no_grad()
def test_hyena_filters_begin_with_a_gain_below_one_but_not_far():
    taps = make_mixer("hyena").filters(MAX_LEN)

    assert 0.2 < taps.square().sum(-1).sqrt().mean() < 1


@pytest.mark.parametrize(("head", "continuations"), [(0, [3, 5]), (1, [5]), (2, [])])
@torch.no_grad()
def test_sharp_ngram_heads_average_what_followed_the_same_ngram(head, continuations):
    mixer = make_mixer("ngram_heads")
    mixer.log_sharpness.fill_(math.log(1e4))
    mixer.unlikeness.fill_(0.01)
    tokens = torch.tensor([0, 2, 3, 1, 2, 5, 1, 2])
    x = torch.randn(6, DIM, dtype=torch.float64)[tokens][None]
    read = []
    mixer.out.register_forward_pre_hook(lambda _, inputs: read.append(split_heads(inputs[0])[0, -1, head]))

    mixer(x)

    values = split_heads(mixer.key_value(x)[..., DIM:])[0, :, head]
    followed = [values[tokens.tolist().index(token)] for token in continuations]
    expected = torch.stack(followed).mean(0) if followed else torch.zeros(HEAD_DIM, dtype=torch.float64)
    assert torch.allclose(read[0], expected, atol=1e-9)


@pytest.mark.parametrize("sharpness", [1e-30, 1e4])
def test_extreme_sharpness_of_ngram_heads_stays_finite(sharpness):
    mixer, x = make_mixer("ngram_heads", double=False), make_input()
    with torch.no_grad():
        mixer.log_sharpness.fill_(math.log(sharpness))

    y = mixer(x.float())
    y.square().sum().backward()

    assert y.isfinite().all()
    assert all(parameter.grad.isfinite().all() for parameter in mixer.parameters())


@torch.no_grad()
def test_the_mlp_mixer_acts_alike_on_all_channels_and_begins_with_outputs_of_one_size_along_the_row():
    mixer, x = make_mixer("mlp_mixer"), make_input(batch=64)

    y = mixer(x)

    assert torch.allclose(mixer(x.flip(-1)), y.flip(-1), atol=1e-10)
    assert y[:, :20].std() < 2 * y[:, -20:].std() < 4 * y[:, :20].std()


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_extreme_inputs_of_taylor_attention_stay_finite(scale):
    mixer = make_mixer("based", double=False)

    y = mixer(scale * make_input().float())
    y.square().mean().backward()

    assert y.isfinite().all()
    assert all(parameter.grad.isfinite().all() for parameter in mixer.parameters())

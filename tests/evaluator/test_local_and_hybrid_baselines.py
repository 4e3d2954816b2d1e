"""Baselines with windows, long filters, n-gram matches and two kinds of layers do what their equations say."""

import importlib

import pytest
import torch

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


STEP_BY_STEP = {
    ("sliding_window_attention", 0): sliding_window_attention_step_by_step,
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
def test_a_window_reaches_31_tokens_back_and_no_further(position):
    mixer, x = make_mixer("sliding_window_attention"), make_input().requires_grad_()

    (gradient,) = torch.autograd.grad(mixer(x)[0, position].square().sum(), x)

    reached = gradient[0].abs().sum(dim=-1).nonzero().flatten()
    assert reached.tolist() == list(range(max(0, position - 31), position + 1))


@torch.no_grad()
def test_heads_share_keys_and_values_in_pairs_and_an_odd_number_shares_one():
    assert make_mixer("sliding_window_attention").key_value.out_features == 2 * 2 * HEAD_DIM
    assert make_mixer("sliding_window_attention", heads=1).key_value.out_features == 2 * DIM

"""State space models, delta rules with decay and the LSTM do what their equations say, step by step."""

import importlib

import pytest
import torch
from torch.nn import functional as F

DIM, HEADS, MAX_LEN, LAYERS = 32, 4, 70, 2
HEAD_DIM = DIM // HEADS
PREFIX = "netwright.evaluator.baselines."


def make_mixer(name, *, double=True):
    torch.manual_seed(3)
    mixer = importlib.import_module(PREFIX + name).Mixer(dim=DIM, heads=HEADS, max_len=MAX_LEN, layer=0, layers=LAYERS)
    return mixer.double() if double else mixer


def make_input(length=MAX_LEN, *, batch=2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, length, DIM, dtype=torch.float64, generator=generator)


def split_heads(x):
    return x.view(*x.shape[:-1], HEADS, HEAD_DIM)


def outer(left, right):
    return left[..., :, None] * right[..., None, :]


def times(matrix, vector):
    return (matrix @ vector[..., None])[..., 0]


def gated_delta_net_step_by_step(mixer, x):
    """The memory is written as in the paper, values by keys, with whole transition matrices."""
    q, k, v, gate = (split_heads(F.silu(part)) for part in mixer.project(x).chunk(4, dim=-1))
    q, k = q / q.norm(dim=-1, keepdim=True), k / k.norm(dim=-1, keepdim=True)
    beta = torch.sigmoid(mixer.beta(x))[..., None, None]
    decay = torch.exp(-mixer.log_rate.exp() * F.softplus(mixer.step(x)))[..., None, None]
    state, outputs = torch.zeros(x.shape[0], HEADS, HEAD_DIM, HEAD_DIM, dtype=x.dtype), []
    for t in range(x.shape[1]):
        erased = torch.eye(HEAD_DIM, dtype=x.dtype) - beta[:, t] * outer(k[:, t], k[:, t])
        state = decay[:, t] * state @ erased + beta[:, t] * outer(v[:, t], k[:, t])
        outputs.append(mixer.norm(times(state, q[:, t])) * gate[:, t])
    return mixer.out(torch.stack(outputs, dim=1).flatten(2))


def mamba2_step_by_step(mixer, x):
    weights = mixer.project.weight.split([DIM, DIM, DIM // 2, DIM // 2])
    gate, values, read, write = (F.silu(x @ weight.T) for weight in weights)
    values, step, state, outputs = split_heads(values), F.softplus(mixer.step(x)), 0.0, []
    decay = torch.exp(-mixer.log_rate.exp() * step)[..., None, None]
    for t in range(x.shape[1]):
        state = decay[:, t] * state + outer(step[:, t, :, None] * values[:, t], write[:, t, None])
        outputs.append(times(state, read[:, t, None]) + mixer.skip[:, 0] * values[:, t])
    return mixer.out(mixer.norm(torch.stack(outputs, dim=1).flatten(2) * gate))


def lstm_step_by_step(mixer, x):
    layer = mixer.recurrence
    h = c = torch.zeros(x.shape[0], layer.hidden_size, dtype=x.dtype)
    outputs = []
    for t in range(x.shape[1]):
        summed = x[:, t] @ layer.weight_ih_l0.T + h @ layer.weight_hh_l0.T + layer.bias_ih_l0 + layer.bias_hh_l0
        i, f, g, o = summed.chunk(4, dim=-1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        h = o.sigmoid() * c.tanh()
        outputs.append(h)
    return mixer.out(torch.stack(outputs, dim=1))


def s4d_step_by_step(mixer, x):
    """The states of all channels, one token after another, with poles and zero-order hold in complex numbers."""
    poles = torch.complex(-mixer.log_rate.exp(), mixer.frequency)
    kept = torch.exp(mixer.log_step.exp() * poles)
    written, read = (kept - 1) / poles, torch.complex(*mixer.read.unbind(dim=-1))
    state, outputs = torch.zeros(x.shape[0], *poles.shape, dtype=poles.dtype), []
    for t in range(x.shape[1]):
        state = kept * state + written * x[:, t, :, None]
        outputs.append(2 * (read * state).sum(dim=-1).real + mixer.skip * x[:, t])
    left, right = mixer.out(F.gelu(torch.stack(outputs, dim=1))).chunk(2, dim=-1)
    return left * right.sigmoid()


def rwkv7_step_by_step(mixer, x):
    """The memory is written as in the paper, values by keys, with whole transition matrices."""
    before = torch.cat([torch.zeros_like(x[:, :1]), x[:, :-1]], dim=1)
    to_r, to_k, to_v, to_w, to_a, to_g = (torch.lerp(x, before, share) for share in mixer.shift)
    keys, values, a = mixer.key(to_k), split_heads(mixer.value(to_v)), torch.sigmoid(mixer.rate(to_a))
    w = split_heads(torch.exp(-torch.sigmoid(mixer.decay(to_w)) / torch.e**0.5))
    k, r = split_heads(keys * torch.lerp(torch.ones_like(a), a, mixer.replace)), split_heads(mixer.receive(to_r))
    z, a, bonus = F.normalize(split_heads(keys * mixer.remove), dim=-1), split_heads(a), split_heads(mixer.bonus)
    state, outputs = torch.zeros(x.shape[0], HEADS, HEAD_DIM, HEAD_DIM, dtype=x.dtype), []
    for t in range(x.shape[1]):
        transition = torch.diag_embed(w[:, t]) - outer(z[:, t], a[:, t] * z[:, t])
        state = state @ transition + outer(values[:, t], k[:, t])
        direct = (r[:, t] * bonus * k[:, t]).sum(-1, keepdim=True) * values[:, t]
        outputs.append((mixer.norm(times(state, r[:, t]).flatten(1)) + direct.flatten(1)) * mixer.gate(to_g)[:, t])
    return mixer.out(torch.stack(outputs, dim=1))


STEP_BY_STEP = {
    "gated_delta_net": gated_delta_net_step_by_step,
    "mamba2": mamba2_step_by_step,
    "lstm": lstm_step_by_step,
    "s4d": s4d_step_by_step,
    "rwkv7": rwkv7_step_by_step,
}


@pytest.mark.parametrize("name", STEP_BY_STEP)
@torch.no_grad()
def test_the_form_for_training_equals_the_recurrence(name):
    mixer, x = make_mixer(name), make_input()

    difference = (mixer(x) - STEP_BY_STEP[name](mixer, x)).abs().max()

    assert difference < 1e-6


@pytest.mark.parametrize("name", STEP_BY_STEP)
@torch.no_grad()
def test_float32_stays_close_to_the_recurrence_in_float64(name):
    x = make_input()

    difference = (make_mixer(name, double=False)(x.float()) - STEP_BY_STEP[name](make_mixer(name), x)).abs().max()

    assert difference < 1e-4


@pytest.mark.parametrize("bias", [-2000.0, 2000.0])
@pytest.mark.parametrize("name", ["gated_delta_net", "mamba2"])
def test_extreme_step_sizes_stay_finite_and_exact(name, bias):
    mixer, x = make_mixer(name, double=False), make_input()
    with torch.no_grad():
        mixer.step.bias.fill_(bias)

    y = mixer(x.float())
    y.square().sum().backward()

    assert (y - STEP_BY_STEP[name](mixer.double(), x)).abs().max() < 1e-4
    assert all(parameter.grad.isfinite().all() for parameter in mixer.parameters())


@pytest.mark.parametrize("name", ["gated_delta_net", "mamba2"])
@torch.no_grad()
def test_a_slow_decay_beside_a_huge_one_keeps_its_precision(name):
    mixer, x = make_mixer(name), make_input()
    x[..., 0] = torch.where(torch.arange(MAX_LEN) % 20 == 3, 1e5, 0.0)
    mixer.step.weight.zero_()[:, 0] = 1.0
    mixer.project.weight[:, 0] = 0.0

    exact = STEP_BY_STEP[name](mixer, x)

    assert (mixer.float()(x.float()) - exact).abs().max() < 5e-3


@torch.no_grad()
def test_the_gated_delta_rule_replaces_a_value_and_a_full_decay_forgets_all():
    rule = importlib.import_module(PREFIX + "gated_delta_net").gated_delta_rule
    key = F.normalize(torch.ones(1, 1, 1, 4, dtype=torch.float64), dim=-1).expand(1, 1, 40, 4)
    values, beta = torch.randn(1, 1, 40, 4, dtype=torch.float64), torch.ones(1, 1, 40, 1, dtype=torch.float64)
    decay = torch.zeros_like(beta)

    replaced = rule(key, key, values, beta, decay)
    decay[:, :, 23] = -1000.0
    forgotten = rule(key, key, values, torch.where(torch.arange(40)[:, None] < 20, beta, 0.0), decay)

    assert torch.allclose(replaced, values, atol=1e-10)
    assert torch.allclose(forgotten[0, 0, 20:23], values[0, 0, 19].expand(3, 4), atol=1e-10)
    assert not forgotten[:, :, 23:].any()


@pytest.mark.parametrize("name", ["gated_delta_net", "mamba2"])
@torch.no_grad()
def test_memories_begin_with_a_span_of_a_few_to_many_tokens(name):
    mixer = make_mixer(name)

    decay = torch.exp(-mixer.log_rate.exp() * F.softplus(mixer.step.bias))

    assert 0.2 <= decay.min() and decay.max() < 1


@pytest.mark.parametrize("part", ["decay", "rate"])
@pytest.mark.parametrize("bias", [-2000.0, 2000.0])
def test_extreme_decays_and_rates_of_rwkv7_stay_finite_and_exact(part, bias):
    mixer, x = make_mixer("rwkv7", double=False), make_input()
    with torch.no_grad():
        getattr(mixer, part).up.bias.fill_(bias)

    y = mixer(x.float())
    y.square().sum().backward()

    assert (y - rwkv7_step_by_step(mixer.double(), x)).abs().max() < 1e-4
    assert all(parameter.grad.isfinite().all() for parameter in mixer.parameters())


@torch.no_grad()
def test_the_generalised_delta_rule_removes_one_key_and_writes_another():
    rule = importlib.import_module(PREFIX + "rwkv7").generalised_delta_rule
    keys, values = torch.eye(4, dtype=torch.float64), torch.randn(1, 1, 40, 4, dtype=torch.float64)
    old, new = keys[0].expand(1, 1, 40, 4), keys[1].expand(1, 1, 40, 4)
    still, full = torch.zeros_like(values), torch.ones_like(values)

    replaced = rule(old, old, values, still, old, full)
    kept = rule(old, torch.where(torch.arange(40)[:, None] < 20, old, new), values, still, new, full)

    assert torch.allclose(replaced, values, atol=1e-10)
    assert torch.allclose(kept, values.where(torch.arange(40)[:, None] < 20, 0.0).cumsum(2), atol=1e-10)


@pytest.mark.parametrize("log_step", [-12.0, 8.0])
def test_extreme_steps_of_s4d_stay_finite_and_exact(log_step):
    mixer, x = make_mixer("s4d", double=False), make_input()
    with torch.no_grad():
        mixer.log_step.fill_(log_step)

    y = mixer(x.float())
    y.square().sum().backward()

    assert (y - s4d_step_by_step(mixer.double(), x)).abs().max() < 1e-4
    assert all(parameter.grad.isfinite().all() for parameter in mixer.parameters())


@torch.no_grad()
def test_s4d_is_the_convolution_with_one_kernel_as_by_fft():
    module, mixer, u = importlib.import_module(PREFIX + "s4d"), make_mixer("s4d"), make_input()
    turns, gains = torch.complex(-mixer.log_rate.exp(), mixer.frequency), torch.view_as_complex(mixer.read)

    kernel = (gains[..., None] * torch.exp(turns[..., None] * torch.arange(MAX_LEN))).sum(dim=1).real
    spectrum = torch.fft.rfft(u, n=2 * MAX_LEN, dim=1) * torch.fft.rfft(kernel.T, n=2 * MAX_LEN, dim=0)

    by_fft = torch.fft.irfft(spectrum, n=2 * MAX_LEN, dim=1)[:, :MAX_LEN]
    assert (module.long_convolution(u, turns, gains) - by_fft).abs().max() < 1e-9


@torch.no_grad()
def test_s4d_begins_with_equally_spaced_frequencies_and_one_decay():
    mixer = make_mixer("s4d")

    assert torch.allclose(mixer.log_rate.exp(), torch.tensor(0.5, dtype=torch.float64))
    assert torch.allclose(mixer.frequency.diff(dim=-1), torch.tensor(torch.pi, dtype=torch.float64), atol=1e-5)
    assert 1e-3 <= mixer.log_step.exp().min() and mixer.log_step.exp().max() <= 1e-1


@torch.no_grad()
def test_the_lstm_begins_by_remembering():
    layer = make_mixer("lstm").recurrence

    forget = (layer.bias_ih_l0 + layer.bias_hh_l0).chunk(4)[1]

    assert (forget == 1).all()

"""The baselines are ordinary candidate files, and each recurrent one does what its equations say."""

import importlib

import pytest
import torch
from torch.nn import functional as F

from netwright.errors import ConfigError
from netwright.evaluator.baselines import CORE, MIXERS, baseline, baselines_for, rivals_of
from netwright.evaluator.contract import inspect_source, recipe_overrides
from netwright.evaluator.tasks import load_task
from netwright.types import Scope

DIM, HEADS, MAX_LEN, LAYERS = 32, 4, 70, 2
HEAD_DIM = DIM // HEADS


def make_mixer(name, *, layer=0, double=True):
    torch.manual_seed(3)
    module = importlib.import_module(f"netwright.evaluator.baselines.{name}")
    mixer = module.Mixer(dim=DIM, heads=HEADS, max_len=MAX_LEN, layer=layer, layers=LAYERS)
    return mixer.double() if double else mixer


def make_input(length=MAX_LEN, *, batch=2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, length, DIM, dtype=torch.float64, generator=generator)


def split_heads(x):
    return x.view(*x.shape[:-1], HEADS, HEAD_DIM)


def join_heads(steps):
    return torch.stack(steps, dim=1).flatten(2)


def rotate_by_complex_numbers(x):
    """Rotary positions of (B, T, H, d), by another way than the candidates'."""
    frequencies = 10_000.0 ** (-torch.arange(0, HEAD_DIM, 2, dtype=torch.float64) / HEAD_DIM)
    angles = torch.outer(torch.arange(x.shape[1], dtype=torch.float64), frequencies)
    left, right = x.chunk(2, dim=-1)
    turned = torch.complex(left, right) * torch.polar(torch.ones_like(angles), angles)[:, None]
    return torch.cat([turned.real, turned.imag], dim=-1)


def linear_attention_step_by_step(mixer, x):
    q, k, v = (split_heads(part) for part in mixer.project(x).chunk(3, dim=-1))
    q, k = F.elu(q) + 1, F.elu(k) + 1
    state, normaliser, outputs = 0.0, 0.0, []
    for t in range(x.shape[1]):
        state = state + k[:, t, :, :, None] * v[:, t, :, None, :]
        normaliser = normaliser + k[:, t]
        read = (q[:, t, :, None, :] @ state).squeeze(-2)
        outputs.append(read / ((q[:, t] * normaliser).sum(-1, keepdim=True) + 1e-6))
    return mixer.out(join_heads(outputs))


def retention_step_by_step(mixer, x):
    q, k, v, gate = (split_heads(part) for part in mixer.project(x).chunk(4, dim=-1))
    q, k = rotate_by_complex_numbers(q) / HEAD_DIM**0.5, rotate_by_complex_numbers(k)
    gamma = (1 - 2.0 ** -torch.linspace(3, 8, HEADS, dtype=torch.float64))[:, None, None]
    state, outputs = 0.0, []
    for t in range(x.shape[1]):
        state = gamma * state + k[:, t, :, :, None] * v[:, t, :, None, :]
        outputs.append(F.silu(gate[:, t]) * mixer.norm((q[:, t, :, None, :] @ state).squeeze(-2)))
    return mixer.out(join_heads(outputs))


def gated_linear_attention_step_by_step(mixer, x):
    q, k, v, gate = (split_heads(part) for part in mixer.project(x).chunk(4, dim=-1))
    decay = split_heads(torch.sigmoid(mixer.decay(x)) ** (1 / 16)).clamp(min=torch.e**-4)
    state, outputs = 0.0, []
    for t in range(x.shape[1]):
        state = decay[:, t, :, :, None] * state + k[:, t, :, :, None] * v[:, t, :, None, :]
        read = (q[:, t, :, None, :] @ state).squeeze(-2) / HEAD_DIM**0.5
        outputs.append(F.silu(gate[:, t]) * mixer.norm(read))
    return mixer.out(join_heads(outputs))


def delta_net_step_by_step(mixer, x):
    q, k, v = (split_heads(F.silu(part)) for part in mixer.project(x).chunk(3, dim=-1))
    q, k = q / q.norm(dim=-1, keepdim=True), k / k.norm(dim=-1, keepdim=True)
    beta = torch.sigmoid(mixer.beta(x))
    state, outputs = torch.zeros(x.shape[0], HEADS, HEAD_DIM, HEAD_DIM, dtype=x.dtype), []
    for t in range(x.shape[1]):
        held = (k[:, t, :, None, :] @ state).squeeze(-2)
        correction = beta[:, t, :, None] * (v[:, t] - held)
        state = state + k[:, t, :, :, None] * correction[:, :, None, :]
        outputs.append(mixer.norm((q[:, t, :, None, :] @ state).squeeze(-2)))
    return mixer.out(join_heads(outputs))


def gated_convolution_step_by_step(mixer, x):
    before, after, values = mixer.project(x).chunk(3, dim=-1)
    taps, outputs = mixer.filter.flip(0), []
    for t in range(x.shape[1]):
        recent = [taps[i] * before[:, t - i] * values[:, t - i] for i in range(min(len(taps), t + 1))]
        outputs.append(after[:, t] * sum(recent))
    return mixer.out(torch.stack(outputs, dim=1))


def softmax_attention_step_by_step(mixer, x):
    q, k, v = (split_heads(part) for part in mixer.project(x).chunk(3, dim=-1))
    q, k = rotate_by_complex_numbers(mixer.norm(q)), rotate_by_complex_numbers(mixer.norm(k))
    outputs = []
    for t in range(x.shape[1]):
        scores = torch.einsum("bhd,bshd->bhs", q[:, t], k[:, : t + 1]) / HEAD_DIM**0.5
        outputs.append(torch.einsum("bhs,bshd->bhd", scores.softmax(-1), v[:, : t + 1]))
    return mixer.out(join_heads(outputs))


STEP_BY_STEP = {
    "softmax_attention": softmax_attention_step_by_step,
    "linear_attention": linear_attention_step_by_step,
    "retention": retention_step_by_step,
    "gated_linear_attention": gated_linear_attention_step_by_step,
    "delta_net": delta_net_step_by_step,
    "gated_convolution": gated_convolution_step_by_step,
}


@pytest.mark.parametrize("name", STEP_BY_STEP)
@torch.no_grad()
def test_the_parallel_form_equals_the_recurrence(name):
    mixer, x = make_mixer(name), make_input()

    difference = (mixer(x) - STEP_BY_STEP[name](mixer, x)).abs().max()

    assert difference < 1e-6


@pytest.mark.parametrize("name", STEP_BY_STEP)
@torch.no_grad()
def test_float32_stays_close_to_the_recurrence_in_float64(name):
    x = make_input()

    difference = (make_mixer(name, double=False)(x.float()) - STEP_BY_STEP[name](make_mixer(name), x)).abs().max()

    assert difference < 1e-4


@pytest.mark.parametrize("layer", [0, 1])
@torch.no_grad()
def test_the_hybrid_is_a_convolution_in_even_layers_and_attention_in_odd_ones(layer):
    mixer, x = make_mixer("attention_convolution_hybrid", layer=layer), make_input()

    reference = (gated_convolution_step_by_step, softmax_attention_step_by_step)[layer]

    # The hybrid's attention writes its rotation inline; its projections have the names the references expect.
    assert (mixer(x) - reference(mixer.mix, x)).abs().max() < 1e-6


@pytest.mark.parametrize("bias", [-2000.0, 2000.0])
def test_extreme_decays_of_gated_linear_attention_stay_finite_and_exact(bias):
    mixer, x = make_mixer("gated_linear_attention", double=False), make_input()
    with torch.no_grad():
        mixer.decay[1].bias.fill_(bias)

    y = mixer(x.float())
    y.square().sum().backward()

    assert (y - gated_linear_attention_step_by_step(mixer.double(), x)).abs().max() < 1e-4
    assert all(parameter.grad.isfinite().all() for parameter in mixer.parameters())


@torch.no_grad()
def test_the_delta_rule_replaces_a_value_that_a_key_already_has():
    module = importlib.import_module("netwright.evaluator.baselines.delta_net")
    key = F.normalize(torch.ones(1, 1, 1, 4, dtype=torch.float64), dim=-1).expand(1, 1, 20, 4)
    values = torch.randn(1, 1, 20, 4, dtype=torch.float64)

    read = module.delta_rule(key, key, values, torch.ones(1, 1, 20, 1, dtype=torch.float64))

    assert torch.allclose(read, values, atol=1e-10)


@pytest.mark.parametrize("name", MIXERS)
@torch.no_grad()
def test_every_length_works_and_gives_a_prefix_of_the_longest(name):
    for layer in range(LAYERS):
        mixer, x = make_mixer(name, layer=layer), make_input()
        whole = mixer(x)

        for length in range(1, MAX_LEN + 1):
            assert (mixer(x[:, :length]) - whole[:, :length]).abs().max() < 1e-9


@pytest.mark.parametrize("name", MIXERS)
def test_no_output_depends_on_a_later_input_or_on_another_row(name):
    for layer in range(LAYERS):
        mixer, x = make_mixer(name, layer=layer), make_input().requires_grad_()

        for position in (0, 15, 16, 40, MAX_LEN - 2):
            (gradient,) = torch.autograd.grad(mixer(x)[0, position].sum(), x)

            assert not gradient[:, position + 1 :].any()
            assert not gradient[1].any()


@pytest.mark.parametrize("name", MIXERS)
def test_every_parameter_of_a_baseline_gets_a_gradient(name):
    mixer = make_mixer(name, layer=1)

    mixer(make_input()).square().sum().backward()

    assert all(parameter.grad.abs().sum() > 0 for parameter in mixer.parameters())


@pytest.mark.parametrize("name", MIXERS)
def test_a_baseline_is_an_ordinary_candidate_file(name):
    candidate = baseline(name)

    reports = inspect_source(candidate.source, Scope.MIXER)

    assert [report.message for report in reports if not report.passed] == []
    assert candidate.origin == "baseline"
    assert candidate.hypothesis.startswith(candidate.title) and "Source: " in candidate.hypothesis


@pytest.mark.parametrize("task", ["recall", "bytes"])
@pytest.mark.parametrize("name", MIXERS)
def test_a_baseline_of_any_size_meets_the_parameter_budget_within_two_percent(name, task):
    from netwright.evaluator.backbone import build_network, parameter_count

    spec = load_task(task).spec
    module = importlib.import_module(f"netwright.evaluator.baselines.{name}")

    count = parameter_count([build_network(spec, module.Mixer)])

    assert abs(count - spec.parameters) <= 0.02 * spec.parameters


def test_an_unknown_baseline_is_named_together_with_the_known_ones():
    with pytest.raises(ConfigError, match="no baseline 'nonesuch': the baselines are softmax_attention, linear"):
        baseline("nonesuch")


def test_a_design_with_its_own_recipe_is_held_against_baselines_with_that_recipe() -> None:
    plain = baseline("delta_net").model_copy(update={"origin": "grammar"})
    tuned = plain.model_copy(update={"source": plain.source + '\nRECIPE = {"lr": 0.002}\n'})

    core = tuple(map(baseline, CORE))

    rivals = rivals_of(tuned, core)

    assert rivals_of(plain, core) == rivals[:7] == core
    assert [recipe_overrides(rival.source) for rival in rivals[7:]] == [{"lr": 0.002}] * 7
    assert all(inspect_source(rival.source, rival.scope)[-1].passed for rival in rivals)


def test_a_task_has_core_baselines_all_of_them_or_those_that_are_named():
    spec = load_task("recall").spec

    def names(chosen):
        return [candidate.title for candidate in baselines_for(spec, chosen)]

    assert names("core") == [baseline(name).title for name in CORE]
    assert names("all") == [baseline(name).title for name in MIXERS]
    assert names(("lstm", "hyena", "lstm")) == [baseline("lstm").title, baseline("hyena").title]


def test_a_baseline_that_a_task_does_not_have_is_named():
    with pytest.raises(ConfigError, match="task 'recall' has no baseline 'gpt': its baselines are softmax_attention"):
        baselines_for(load_task("recall").spec, ("lstm", "gpt"))

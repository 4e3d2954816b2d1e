"""The gates on small modules; the hostile and honest files of the red team go through them in child processes."""

import pytest
import torch

from netwright.evaluator import causality
from netwright.evaluator.aftermath import audit_trained
from netwright.evaluator.causality import StatefulRun
from netwright.evaluator.probes import Probe, run_gates
from netwright.evaluator.replies import DYNAMIC_GATES
from netwright.types import Recipe, Rung, Scope, TaskSpec

HEAD = """
import torch
class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.value = torch.nn.Linear(dim, dim)
        self.gate = torch.nn.Parameter(torch.zeros(dim))
        self.layer = layer
    def forward(self, x):
"""


def spec(**changes) -> TaskSpec:
    values = {
        "name": "recall",
        "summary": "",
        "scope": Scope.MIXER,
        "vocab_size": 16,
        "max_len": 24,
        "dim": 16,
        "heads": 2,
        "layers": 2,
        "parameters": 8_000,
        "metric": "loss",
        "recipe": Recipe(),
        "rungs": (Rung(level=0, tokens=1000),),
        "validation_rows": 4,
        "test_rows": 4,
    }
    return TaskSpec(**(values | changes))


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


def gates(body: str, **changes):
    told = []
    reports = run_gates(Probe(HEAD + f"        {body}\n", spec(**changes), Recipe()), told.append)
    return {report.gate: report for report in reports}, told


def rejection(body: str):
    reports, _ = gates(body)
    rejecting = [report for report in reports.values() if report.rejects]
    return (rejecting[0].gate, rejecting[0].message) if rejecting else ("", "")


def test_an_honest_mixer_passes_every_gate_and_each_is_announced():
    reports, told = gates("return self.value(x) * (1 + self.gate)")

    assert tuple(reports) == DYNAMIC_GATES
    assert all(report.passed for report in reports.values())
    assert [event["gate"] for event in told if "gate" in event] == list(DYNAMIC_GATES)


def test_an_error_is_reported_with_the_candidates_own_line():
    gate, message = rejection("return self.valve(x)")

    assert gate == "shapes"
    assert "candidate.py:10 in forward: return self.valve(x)" in message
    assert "probes.py" not in message


@pytest.mark.parametrize(
    ("body", "gate"),
    [
        ("return self.value(x)[:, :-1]", "shapes"),
        ("return self.value(x).double()", "shapes"),
        ("return self.value(x), None", "shapes"),
        ("assert x.shape[1] % 8 == 0; return self.value(x)", "shapes"),
        ("return self.value(x) / 0", "finite"),
        ("return torch.sqrt(self.value(x) * 0)", "finite"),
        ("return self.value(x) + torch.rand(1)", "determinism"),
        ("self.gate.data += 0.01 * self.training; return self.value(x) * (1 + self.gate)", "determinism"),
        ("return self.value(x) - x.mean(0, keepdim=True)", "batch independence"),
        ("return self.value(x.flip(0)).flip(0) + x.flip(0)", "batch independence"),
        ("return self.value(x) + (x.roll(-1, 1) if len(x) >= 16 else 0)", "batch independence"),
        ("return self.value(x.roll(-1, 1))", "causality"),
        ("return self.value(x) + (x.roll(-1, 1) if torch.is_grad_enabled() else 0)", "causality"),
        ("return self.value(x) + torch.relu(self.gate - 0.5) * x.flip(1)", "causality"),
        ("return self.value(x) + self.gate * self.gate * x.flip(1)", "causality"),
        ("return self.value(x) + torch.sign(x.mean(1, keepdim=True)) * 1e-3", "causality"),
        ("return self.value(x) + x.roll(1, 1)", "causality"),
        ("return self.value(x) * x.amax(1, keepdim=True)", "causality"),
        ("return self.value(x) + 1e-6 * x.sum(1, keepdim=True)", "causality"),
        ("return self.value(x) + (x.mean(1, keepdim=True) if self.layer else 0)", "causality"),
        ("return x.sort(dim=1).values + self.value(x)", "causality"),
        ("return self.value(x) + (0 if self.training else x.flip(1))", "causality"),
        ("return self.value(x) + (x.flip(1) if self.training else 0)", "causality"),
        ("return self.value(x) + (x.flip(1) if x.shape[1] % 2 else 0)", "causality"),
        ("return self.value(x) * (1 + 1 / x.shape[1])", "causality"),
    ],
)
def test_what_breaks_a_rule_is_rejected_by_the_gate_that_knows_it(body, gate):
    assert rejection(body)[0] == gate


@pytest.mark.parametrize(
    "body",
    [
        "A = (x @ x.transpose(1, 2)).tril(-1) / 64; return torch.linalg.inv(torch.eye(len(A[0])).to(A) + A) @ x",
        "A = self.value(x) @ x.transpose(1, 2); e = (A - A.amax(-1, keepdim=True)).exp().tril(); "
        "return e @ x / e.sum(-1, keepdim=True)",
        "return self.value(x).logcumsumexp(1)",
        "w = self.value.weight; w.data = torch.nn.functional.normalize(w.data, dim=1); return self.value(x)",
        "return self.value(x) + (torch.randn_like(x) if self.training else 0)",
        "p = -x.shape[1] % 8; y = torch.nn.functional.pad(self.value(x), (0, 0, 0, p)); "
        "return y.unflatten(1, (-1, 8)).cumsum(2).flatten(1, 2)[:, :x.shape[1]]",
    ],
)
def test_unusual_but_causal_arithmetic_passes(body):
    assert rejection(body) == ("", "")


def test_a_leak_is_reported_with_where_and_how_much():
    _, message = rejection("return self.value(x) + x.roll(-1, 1)")

    assert message.startswith("output at position")
    assert "changed by" in message
    assert "lower-triangular mask" in message


def test_a_network_over_budget_is_rejected_with_the_allowance():
    reports, _ = gates("return self.value(x)", parameters=1_000)

    assert not reports["parameters"].passed
    assert "budget" in reports["parameters"].message


@pytest.mark.parametrize(("columns", "persistent", "passes"), [(12, True, True), (13, True, False), (999, False, True)])
def test_saved_buffers_of_more_than_a_twentieth_of_the_budget_are_rejected(columns, persistent, passes):
    buffer = f"self.register_buffer('notes', torch.zeros(16, {columns}), persistent={persistent})"
    source = HEAD.replace("self.layer = layer", buffer) + "        return self.value(x) * (1 + self.gate)\n"

    reports = {report.gate: report for report in run_gates(Probe(source, spec(), Recipe()), lambda event: None)}

    assert reports["parameters"].passed is passes
    if not passes:
        assert "416 scalars (1,664 bytes) in persistent buffers; at most 400" in reports["parameters"].message
        assert "persistent=False" in reports["parameters"].message


def test_a_parameter_that_takes_no_part_is_a_warning():
    reports, _ = gates("return x * self.value.weight.sum()")

    assert not reports["gradients"].passed
    assert not reports["gradients"].rejects
    assert "bias" in reports["gradients"].message


def test_large_inputs_that_overflow_are_a_warning():
    reports, _ = gates("return torch.exp(x * x).cumsum(1) * self.value(x)")

    assert not reports["large inputs"].rejects


def test_a_candidate_that_cannot_work_in_float64_is_still_examined():
    honest = "return torch.cumsum(self.value(x.float()) @ torch.eye(16), 1).float()"
    leaky = "return self.value(x.float()) + 1e-2 * (x.float() @ torch.eye(16)).flip(1)"

    assert rejection(honest) == ("", "")
    assert rejection(leaky)[0] == "causality"


@pytest.mark.parametrize("scope", [Scope.BLOCK, Scope.MODEL])
def test_blocks_and_whole_models_are_examined_too(scope):
    block = HEAD.replace("Mixer", "Block") + "        return x + self.value(x){}\n"
    model = """
import torch
class Model(torch.nn.Module):
    def __init__(self, spec):
        super().__init__()
        self.embed = torch.nn.Embedding(spec.vocab_size, spec.dim)
        self.head = torch.nn.Linear(spec.dim, spec.vocab_size)
    def forward(self, tokens):
        x = self.embed(tokens)
        return self.head(x{})
"""
    source = block if scope is Scope.BLOCK else model

    honest = run_gates(Probe(source.format(""), spec(scope=scope), Recipe()), lambda event: None)
    leaky = run_gates(Probe(source.format(" + x.roll(-1, 1)"), spec(scope=scope), Recipe()), lambda event: None)

    assert [report.message for report in honest if report.rejects] == []
    assert [report.gate for report in leaky if report.rejects] == ["causality"]


def fft(x: torch.Tensor) -> torch.Tensor:
    n = 2 * x.shape[1]
    kernel = torch.linspace(1, 0, x.shape[1])[:, None]
    spectrum = torch.fft.rfft(x.float(), n=n, dim=1) * torch.fft.rfft(kernel, n=n, dim=0)
    return torch.fft.irfft(spectrum, n=n, dim=1)[:, : x.shape[1]]


class Function(torch.nn.Module):
    def __init__(self, function):
        super().__init__()
        self.forward = function


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_rounding_in_float32_is_told_from_a_small_leak(dtype):
    x, donor = torch.randn(2, 1, 256, 4, dtype=dtype).unbind(0)
    honest, leaky = Function(fft), Function(lambda x: fft(x) + 3e-5 * x.sum(1, keepdim=True).to(x))

    rounding = causality.perturb_suffix(StatefulRun(honest), x, donor, [128], stacked=False)

    assert 0 < rounding.relative < 1e-5
    assert causality.future_effect(StatefulRun(honest), x, donor, [128], stacked=False) is None
    assert causality.future_effect(StatefulRun(leaky), x, donor, [128], stacked=False) is not None


def test_a_gradient_from_the_future_is_seen_even_where_values_hide_it():
    hidden = Function(lambda x: x.cumsum(1) + (x.flip(1) - x.flip(1).detach()))
    honest = Function(lambda x: x.cumsum(1))
    x = torch.randn(2, 16, 4, dtype=torch.float64)

    found = causality.gradient_effect(hidden, x, [3, 5])

    assert found is not None
    assert found.position in (3, 5)
    assert causality.gradient_effect(honest, x, [3, 5]) is None


def test_a_network_that_leaks_after_training_is_reported():
    class Leaky(torch.nn.Module):
        def forward(self, tokens):
            return torch.nn.functional.one_hot(tokens.roll(-1, 1), 16).float()

    class Honest(torch.nn.Module):
        def forward(self, tokens):
            return torch.nn.functional.one_hot(tokens, 16).float()

    rows = torch.randint(0, 16, (4, 24), generator=torch.Generator().manual_seed(0))

    leaky, honest = (audit_trained(network, rows, spec()) for network in (Leaky(), Honest()))

    assert [report.gate for report in leaky if report.rejects] == ["causality after training"]
    assert [report for report in honest if report.rejects] == []


def test_a_candidate_that_changes_what_surrounds_its_layers_is_seen_in_the_whole_network(monkeypatch):
    project = torch.nn.Linear.forward

    def peeking(self, x):
        y = project(self, x)
        return y + y.roll(-1, 1) if self.out_features == 16 and self.bias is None else y

    monkeypatch.setattr(torch.nn.Linear, "forward", peeking)
    gate, message = rejection("return self.value(x) * (1 + self.gate)")

    assert gate == "causality"
    assert "whole network" in message


def test_sixteen_bit_rounding_is_no_dependence_on_length_or_rows():
    weight = torch.randn(64, 64, generator=torch.Generator().manual_seed(0))

    def coarse(x):
        mixed = (x.to(torch.bfloat16) @ weight.to(torch.bfloat16)).float().cumsum(1)
        return mixed * (1 + 1e-3 * (x.shape[1] % 2))

    def plain(x):
        return (x @ weight).cumsum(1) * (1 + 1e-3 * (x.shape[1] % 2))

    x = torch.randn(2, 32, 64)

    assert causality.length_effect(StatefulRun(Function(coarse)), x, [17]) is None
    assert causality.length_effect(StatefulRun(Function(plain)), x, [17]) is not None

"""How steps are computed: in bf16 where an architecture can, compiled where that works, and else as it stands."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import nn

from netwright.evaluator import execution, loading, training, training_state
from netwright.evaluator.baselines import baseline
from netwright.evaluator.seeds_at_once import train_at_once
from netwright.evaluator.tasks import load_task, training_batches
from netwright.types import Recipe

TASK = load_task("recall")
SPEC = TASK.spec.model_copy(update={"dim": 16, "heads": 2, "parameters": 12_000, "recipe": Recipe(batch_size=8)})
BF16 = SPEC.model_copy(update={"precision": "bf16"})
STEPS = 12
pytestmark = pytest.mark.filterwarnings("ignore:Mismatch dtype between input and weight")  # of nn.RMSNorm on bf16


class Mixer(nn.Module):
    """Counts its calls in a buffer and draws random numbers in training."""

    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.value = nn.Linear(dim, dim)
        self.register_buffer("seen", torch.zeros(()))
        self.register_buffer("places", None)
        self.dropout = nn.Dropout(0.1)

    def forward(self, x):
        self.seen += 1
        self.places = torch.arange(1, x.shape[1] + 1, device=x.device)[:, None]
        return self.dropout(self.value(x)).cumsum(dim=1) / self.places


class WithoutKernel(Mixer):
    """Needs a solver, which torch has for float32 and not for bf16."""

    def forward(self, x):
        y = self.value(x)
        return torch.linalg.solve_triangular(torch.eye(y.shape[-1], dtype=y.dtype), y.transpose(1, 2), upper=True).mT


class OtherwiseCompiled(nn.Module):
    def __init__(self, dim, **_):
        super().__init__()
        self.value = nn.Linear(dim, dim)

    def forward(self, x):
        y = self.value(x).cumsum(dim=1)
        return y.flip(-1) if torch.compiler.is_compiling() else y


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


def build(mixer=Mixer, seed=3):
    return loading.seeded_network(SPEC, mixer, seed=seed)


def feed(seed=3, skip=0):
    return training_batches(SPEC, TASK.training_data(), seed=seed, batch_size=8, skip=skip)


def trained(precision, network=None, **sessions):
    network = network or build()
    torch.manual_seed(7)
    forward = execution.forward_of(network, precision, "cpu")
    batches = feed(skip=sessions.pop("done", 0))
    outcome = training.train(
        network, batches, SPEC, SPEC.recipe, steps=STEPS, forward=forward, on_progress=lambda _: None, **sessions
    )
    return loading.pack_weights(network), outcome.curve


def test_losses_in_bf16_are_close_to_those_in_float32_and_not_the_same():
    (_, exact), (_, coarse) = trained("float32"), trained("bf16")

    for (step, one), (also, other) in zip(exact, coarse, strict=True):
        assert step == also
        assert other == pytest.approx(one, rel=0.01)
    assert exact != coarse


def test_bf16_on_a_cpu_repeats_bit_for_bit():
    assert trained("bf16") == trained("bf16")


def test_weights_gradients_and_answers_stay_float32():
    network, batch = build(), next(feed())
    forward = execution.forward_of(network, "bf16", "cpu")
    seen = []
    network.get_submodule("head").register_forward_hook(lambda module, inputs, answer: seen.append(answer.dtype))
    training.batch_loss(forward, batch, SPEC).backward()

    answers = forward(torch.from_numpy(batch.inputs).long())

    assert answers.dtype == torch.float32
    assert {parameter.dtype for parameter in network.parameters()} == {torch.float32}
    assert {parameter.grad.dtype for parameter in network.parameters() if parameter.grad is not None} == {torch.float32}
    assert seen[0] == torch.bfloat16


@pytest.mark.parametrize("at", [1, STEPS - 1])
def test_a_training_in_bf16_goes_on_where_it_was_left_bit_for_bit(at):
    kept = []

    def keep(standing):
        if standing.step == at:
            kept.append(training_state.packed(standing))

    whole = trained("bf16", keep=keep)
    rest = trained("bf16", done=at, go_on=lambda standing: training_state.unpack(standing, kept[0], step=at))

    assert rest == whole


def test_a_gradient_without_an_end_is_a_divergence_in_bf16_too():
    network = build()
    with torch.no_grad():
        next(network.parameters()).fill_(float("nan"))
    outcome = training.train(
        network,
        feed(),
        SPEC,
        SPEC.recipe,
        steps=STEPS,
        forward=execution.forward_of(network, "bf16", "cpu"),
        on_progress=lambda _: None,
    )

    assert outcome.diverged_at == 0


def test_a_rehearsal_leaves_no_trace():
    network, batch = build(), next(feed())
    torch.manual_seed(7)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}

    precision, told = execution.fitting_precision(network, batch, BF16)

    assert (precision, told) == ("bf16", {"precision": "bf16"})
    assert torch.equal(torch.get_rng_state(), torch.Generator().manual_seed(7).get_state())
    assert all(parameter.grad is None for parameter in network.parameters())
    after = network.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], saved) for name, saved in before.items())


def test_what_has_no_kernel_in_bf16_is_trained_in_float32_and_says_why():
    precision, told = execution.fitting_precision(build(WithoutKernel), next(feed()), BF16)

    assert precision == "float32"
    assert told["precision"] == "float32"
    assert "not implemented for 'BFloat16'" in told["not_in_bf16"]


def test_where_float32_is_asked_for_nothing_is_rehearsed():
    network = build()
    network.forward = lambda inputs: pytest.fail("it ran")

    assert execution.fitting_precision(network, next(feed()), SPEC) == ("float32", {"precision": "float32"})


def test_seeds_at_once_in_bf16_come_to_what_they_come_to_alone_within_rounding():
    networks = [build(baseline_mixer("linear_attention"), seed) for seed in (3, 4)]
    outcomes = train_at_once(
        networks,
        [feed(3), feed(4)],
        SPEC,
        SPEC.recipe,
        steps=STEPS,
        precision="bf16",
        on_progress=lambda _: None,
    )

    _, alone = trained("bf16", build(baseline_mixer("linear_attention"), 3))
    assert [loss for _, loss in outcomes[0].curve] == pytest.approx([loss for _, loss in alone], rel=0.01)


def baseline_mixer(name):
    return loading.load_factory(baseline(name).source, SPEC)


def test_the_first_backend_that_works_is_taken():
    network, batch = build(), next(feed())

    forward, told = execution.compiled(network, batch, SPEC, "float32", ["no such one", "eager"])

    assert told["backend"] == "eager" and told["compile_seconds"] > 0
    assert all(module.seen == 0 for module in network.modules() if isinstance(module, Mixer))
    outcome = training.train(
        network, feed(), SPEC, SPEC.recipe, steps=STEPS, forward=forward, on_progress=lambda _: None
    )
    assert [loss for _, loss in outcome.curve] == pytest.approx([loss for _, loss in trained("float32")[1]], rel=0.05)


def test_where_no_backend_works_the_network_is_trained_as_it_stands_and_says_why():
    network = build()

    forward, told = execution.compiled(network, next(feed()), SPEC, "float32", ["no such one"])

    assert forward is network
    assert told.keys() == {"not_compiled"} and "no such one" in told["not_compiled"]


def test_a_network_that_computes_something_else_when_compiled_is_trained_as_it_stands():
    network = build(OtherwiseCompiled)

    forward, told = execution.compiled(network, next(feed()), SPEC, "float32", ["eager"])

    assert forward is network
    assert "away from those of the network as it stands" in told["not_compiled"]


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.filterwarnings("ignore")  # inductor imports what torch itself has deprecated
@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_inductor_compiles_on_a_cpu_into_the_folder_of_the_process_alone(tmp_path, monkeypatch, precision):
    for name in ("TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR", "TMPDIR", "TORCHINDUCTOR_COMPILE_THREADS"):
        monkeypatch.setenv(name, "")
    monkeypatch.setattr("tempfile.tempdir", None)
    execution.keep_to(str(tmp_path))
    network = build(baseline_mixer("linear_attention"))
    forward, told = execution.compiled(network, next(feed()), SPEC, precision, ["inductor"])
    assert told.get("backend") == "inductor", told
    assert any(tmp_path.rglob("*.so"))
    as_it_stands = build(baseline_mixer("linear_attention"))

    def curve(network, forward):
        outcome = training.train(
            network, feed(), SPEC, SPEC.recipe, steps=STEPS, forward=forward, on_progress=lambda _: None
        )
        return [loss for _, loss in outcome.curve]

    expected = curve(as_it_stands, execution.forward_of(as_it_stands, precision, "cpu"))
    assert curve(network, forward) == pytest.approx(expected, rel=0.01)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@pytest.mark.parametrize("precision", ["float32", "tf32", "bf16"])
@pytest.mark.parametrize("backends", [[], ["cudagraphs"], ["inductor"]], ids=["as it stands", "graphs", "inductor"])
def test_on_cuda_losses_are_those_of_a_cpu_within_rounding(precision, backends):
    spec = SPEC.model_copy(update={"device": "cuda", "precision": precision})
    mixer = baseline_mixer("linear_attention")
    network, batches = build(mixer).cuda(), feed()
    first = next(batches)
    execution.allow_tf32(precision == "tf32")
    found, _ = execution.fitting_precision(network, first, spec)
    forward, told = execution.compiled(network, first, spec, found, backends)
    outcome = training.train(
        network,
        itertools.chain([first], batches),
        spec,
        SPEC.recipe,
        steps=STEPS,
        forward=forward,
        on_progress=lambda _: None,
    )

    assert found == precision
    assert told.get("backend", "") == (backends[0] if backends else "")
    _, expected = trained("float32", build(mixer))
    assert [loss for _, loss in outcome.curve] == pytest.approx([loss for _, loss in expected], rel=0.02)

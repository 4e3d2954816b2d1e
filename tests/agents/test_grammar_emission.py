"""What the grammar writes: builds, is causal, counts what it promised and computes what it says."""

import ast
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from netwright.agents.baseline_genotypes import BASELINE_GENOTYPES, baseline_genotype
from netwright.agents.emit import emit
from netwright.agents.emit_helpers import HELPERS
from netwright.agents.genes import LongFilter
from netwright.agents.genotype import Genotype, Layer
from netwright.agents.grammar import Grammar
from netwright.agents.leaves import Convolution, Leaf, Recurrence
from netwright.agents.mutation import ALTERNATIVES, gene_variants
from netwright.agents.reasons import equations, hypothesis
from netwright.agents.size import parameters
from netwright.agents.words import title
from netwright.errors import ConfigError
from netwright.types import Scope

DIM, HEADS = 64, 4
SAMPLES = 120


def sample(seed: int) -> Genotype:
    return Grammar().genotype(np.random.default_rng([seed, 0]))


def module_of(source: str) -> types.ModuleType:
    module = types.ModuleType("candidate")
    exec(compile(source, "candidate.py", "exec"), module.__dict__)
    return module


def build(genotype: Genotype, scope: Scope = Scope.MIXER, heads: int = HEADS, layer: int = 0) -> nn.Module:
    torch.manual_seed(0)
    root = {Scope.MIXER: "Mixer", Scope.BLOCK: "Block"}[scope]
    return getattr(module_of(emit(genotype, scope)), root)(DIM, heads, 128, layer, 2)


def scalars(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def assert_causal(module: nn.Module, length: int, dim: int = DIM) -> None:
    """Another suffix, far larger, leaves every earlier output as it was (float64)."""
    x = torch.randn(2, length, dim, dtype=torch.float64)
    cut = length // 2 + 1
    other = x.clone()
    other[:, cut:] = 5 * torch.randn(2, length - cut, dim, dtype=torch.float64)
    with torch.no_grad():
        y, z = module(x), module(other)
    assert y.shape == x.shape
    assert y.isfinite().all()
    assert (y - z)[:, :cut].abs().max() < 1e-12


@pytest.mark.parametrize("start", range(0, SAMPLES, 20))
def test_every_sample_builds_is_causal_and_has_the_size_it_promised(start: int) -> None:
    for seed in range(start, start + 20):
        genotype = sample(seed)
        sizes = []
        for layer in range(2):
            module = build(genotype, layer=layer).double()
            sizes.append(scalars(module))
            for length in (1, 7, 70):
                assert_causal(module, length)
        assert sum(sizes) == parameters(genotype, Scope.MIXER, DIM, HEADS, layers=2, max_len=128), genotype.text()


@pytest.mark.parametrize("leaf", ALTERNATIVES, ids=lambda leaf: leaf.__name__)
def test_every_option_of_every_gene_builds_is_causal_and_has_the_size_it_promised(leaf: type[Leaf]) -> None:
    dim, heads, longest = 16, 2, 40
    for gene in ALTERNATIVES[leaf]:
        for variant in gene_variants(leaf(), gene):
            genotype = Genotype(even=Layer(body=variant))
            mixer = module_of(emit(genotype)).Mixer(dim, heads, longest, 0, 1).double()
            assert scalars(mixer) == parameters(genotype, Scope.MIXER, dim, heads, 1, longest), genotype.text()
            assert_causal(mixer, 19, dim)


def test_every_parameter_of_a_sample_gets_a_finite_gradient() -> None:
    for seed in range(0, SAMPLES, 2):
        genotype = sample(seed)
        for layer in range(len(genotype.layers)):
            module = build(genotype, layer=layer)
            module(torch.randn(2, 40, DIM)).square().mean().backward()
            for name, parameter in module.named_parameters():
                assert parameter.grad is not None and parameter.grad.isfinite().all(), (name, genotype.text())
                assert parameter.grad.abs().max() > 0, (name, genotype.text())


def test_samples_stay_finite_and_causal_with_large_weights() -> None:
    for seed in range(0, SAMPLES, 4):
        module = build(sample(seed))
        with torch.no_grad():
            for parameter in module.parameters():
                parameter.copy_(3 * torch.randn_like(parameter))
        x = torch.randn(2, 96, DIM, requires_grad=True)
        y = module(x)
        y.square().mean().backward()
        assert y.isfinite().all() and x.grad.isfinite().all(), sample(seed).text()
        assert torch.autograd.grad(module(x)[:, 40].sum(), x)[0][:, 41:].abs().max() == 0


@pytest.mark.parametrize("heads", [1, 2, 3, 8])
def test_any_number_of_heads_works(heads: int) -> None:
    dim = 48
    for seed in range(40):
        genotype = sample(seed)
        module = module_of(emit(genotype)).Mixer(dim, heads, 64, 0, 2)
        assert module(torch.randn(2, 9, dim)).shape == (2, 9, dim)
        assert scalars(module) == parameters(genotype, Scope.MIXER, dim, heads, layers=1, max_len=64), genotype.text()


def test_a_block_brings_its_own_norms_and_channel_mixing() -> None:
    for seed in range(15):
        genotype = sample(seed)
        modules = [build(genotype, Scope.BLOCK, layer=layer) for layer in range(3)]
        assert sum(map(scalars, modules)) == parameters(genotype, Scope.BLOCK, DIM, HEADS, layers=3, max_len=128)
        assert not hasattr(module_of(emit(genotype, Scope.BLOCK)), "Mixer")
        assert_causal(modules[0].double(), 20)


def test_a_task_that_wants_whole_models_is_refused_with_the_remedy() -> None:
    with pytest.raises(ConfigError, match="use an LLM planner"):
        emit(sample(0), Scope.MODEL)


def test_the_file_explains_itself_and_holds_only_what_it_needs() -> None:
    for seed in range(SAMPLES):
        genotype = sample(seed)
        source = emit(genotype)
        docstring = ast.get_docstring(ast.parse(source))
        first, _, rest = docstring.partition("\n\n")
        assert first == f"{title(genotype)}." and 5 < len(first) <= 101
        assert " ".join(rest.partition("\n\n")[0].split()) == hypothesis(genotype)
        assert all(equation in docstring for equation in equations(genotype))
        for helper in HELPERS:
            defined = f"def {helper}(" in source or f"class {helper}(" in source
            assert source.count(f"{helper}(") >= 2 or not defined, helper


def test_equal_genotypes_give_equal_files_and_different_ones_different_code() -> None:
    genotypes = {sample(seed) for seed in range(SAMPLES)}

    again = {genotype: emit(Genotype.model_validate_json(genotype.text())) for genotype in genotypes}

    assert all(emit(genotype) == source for genotype, source in again.items())
    assert len({source.split('"""', 2)[2] for source in again.values()}) == len(genotypes)


def test_emitted_files_are_clean_and_formatted(tmp_path: Path) -> None:
    for seed in range(SAMPLES):
        (tmp_path / f"candidate_{seed}.py").write_text(emit(sample(seed)))
    ruff = [sys.executable, "-m", "ruff"]
    quiet = ["--isolated", "--no-cache", "--line-length", "110", str(tmp_path)]

    check = subprocess.run([*ruff, "check", "--select", "E,F,I,B,UP", *quiet], capture_output=True, text=True)
    formatted = subprocess.run([*ruff, "format", "--check", *quiet], capture_output=True, text=True)

    assert check.returncode == 0, check.stdout[-2000:]
    assert formatted.returncode == 0, formatted.stdout[-2000:]


@pytest.mark.parametrize("name", BASELINE_GENOTYPES)
def test_each_baseline_can_be_said_in_the_grammar(name: str) -> None:
    genotype = BASELINE_GENOTYPES[name]
    for layer in (0, 1):
        module = build(genotype, layer=layer).double()
        assert scalars(module) <= 6 * DIM**2
        assert_causal(module, 70)


def test_a_title_that_is_no_baseline_has_no_genotype() -> None:
    assert baseline_genotype("An unheard-of mixer") is None


def heads_input(*widths: int) -> list[torch.Tensor]:
    torch.manual_seed(1)
    return [torch.randn(2, 3, 75, width, dtype=torch.float64) for width in widths]


def helper(name: str):
    imports = "import math\nimport torch\nimport torch.nn.functional as F\nfrom torch import Tensor, nn\n"
    return module_of(imports + "\n".join(HELPERS.values())).__dict__[name]


def slow_memory(q, k, v, decay, beta=None):
    """S_t = diag(a_t) S_{t-1} + k_t u_t^T, token by token; u_t = v_t, or the delta rule's correction."""
    state, read = q.new_zeros(*k.shape[:2], k.shape[-1], v.shape[-1]), []
    for t in range(q.shape[2]):
        state = decay[:, :, t, :, None] * state
        write = v[:, :, t]
        if beta is not None:
            write = beta[:, :, t] * (write - (k[:, :, t, None] @ state).squeeze(2))
        state = state + k[:, :, t, :, None] * write[:, :, None]
        read.append((q[:, :, t, None] @ state).squeeze(2))
    return torch.stack(read, dim=2)


def test_linear_memories_equal_their_recurrences() -> None:
    q, k, v, logits = heads_input(4, 4, 5, 4)
    channel, head = -logits.sigmoid(), -3 * logits[..., 0].exp()

    plain = helper("linear_recall")(q, k, v)
    per_head = helper("decayed_recall")(q, k, v, head)
    per_channel = helper("channel_decayed_recall")(q, k, v, channel)

    torch.testing.assert_close(plain, slow_memory(q, k, v, torch.ones_like(k)))
    torch.testing.assert_close(per_head, slow_memory(q, k, v, head.exp().unsqueeze(-1).expand_as(k)))
    torch.testing.assert_close(per_channel, slow_memory(q, k, v, channel.exp()))
    masked = ((q @ k.mT) * helper("decay_mask")(head)) @ v
    torch.testing.assert_close(masked, per_head)


@pytest.mark.parametrize("strength", [1, 2])
def test_delta_memories_equal_their_recurrences(strength: int) -> None:
    q, k, v, logits, beta = heads_input(4, 4, 5, 4, 1)
    k, beta = nn.functional.normalize(k, dim=-1), strength * beta.sigmoid()
    channel, head = -logits.sigmoid(), -logits[..., 0].exp()

    plain = helper("delta_recall")(q, k, v, beta)
    per_head = helper("gated_delta_recall")(q, k, v, beta, head)
    per_channel = helper("channel_delta_recall")(q, k, v, beta, channel)

    torch.testing.assert_close(plain, slow_memory(q, k, v, torch.ones_like(k), beta))
    torch.testing.assert_close(per_head, slow_memory(q, k, v, head.exp().unsqueeze(-1).expand_as(k), beta))
    torch.testing.assert_close(per_channel, slow_memory(q, k, v, channel.exp(), beta))


def test_a_fixed_decay_is_the_same_as_mask_and_as_rate() -> None:
    q, k, v = heads_input(4, 4, 5)

    masked = ((q @ k.mT) * helper("fixed_decay")(q, longest=16, shortest=2)) @ v
    recalled = helper("decayed_recall")(q, k, v, helper("fixed_log_decay")(q, longest=16, shortest=2))

    torch.testing.assert_close(masked, recalled, rtol=1e-6, atol=1e-6)


def test_the_running_average_equals_its_recurrence() -> None:
    torch.manual_seed(2)
    x, decay = torch.randn(2, 3, 150, 5, dtype=torch.float64).unbind(1)[:2]
    log_decay = -decay.sigmoid()
    h, read = torch.zeros(2, 5, dtype=torch.float64), []
    for t in range(x.shape[1]):
        a = log_decay[:, t].exp()
        h = a * h + (1 - a) * x[:, t]
        read.append(h)

    torch.testing.assert_close(helper("running_average")(x, log_decay), torch.stack(read, dim=1))


def test_the_long_filter_equals_a_direct_convolution() -> None:
    torch.manual_seed(3)
    layer = helper("LongFilter")(5, 4).double()
    x = torch.randn(2, 150, 5, dtype=torch.float64)
    rate = np.log(2) / 2.0 ** torch.arange(4, dtype=torch.float64)
    lags = torch.arange(150, dtype=torch.float64)
    response = (layer.weight * rate) @ (-rate[:, None] * lags).exp()
    expected = torch.stack([(response[:, : t + 1].flip(-1) * x[:, : t + 1].mT).sum(-1) for t in range(150)], dim=1)

    torch.testing.assert_close(layer(x), expected + layer.here * x)


def test_float32_agrees_with_float64_over_long_sequences() -> None:
    for leaf in (Recurrence(horizon=512), Convolution(filter=LongFilter()), *_gated_memories()):
        module = build(Genotype(even=Layer(body=leaf)))
        x = torch.randn(1, 256, DIM)
        with torch.no_grad():
            single, double = module(x), module.double()(x.double())
        torch.testing.assert_close(single.double(), double, rtol=1e-3, atol=1e-4)


def _gated_memories():
    seen = {type(leaf): [] for seed in range(40) for leaf in sample(seed).leaves}
    for seed in range(60):
        for leaf in sample(seed).leaves:
            seen[type(leaf)].append(leaf)
    return [leaf for leaves in seen.values() for leaf in leaves if leaf.kind == "memory"][:20]

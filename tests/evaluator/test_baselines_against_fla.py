"""Baselines that flash-linear-attention (fla) has too give its outputs and gradients.

Each mixer is written once more around fla's operator, with the mixer's own weights: what stands here besides is how its
projections, gates and norms are used. Mixers work in float64 here, so what is left between the two is fla's rounding.
fla's operators come in two forms, and both take queries, keys and values of shape (B, T, H, d): definitions in plain
PyTorch, which run anywhere, and chunked Triton kernels, which need CUDA.
"""

import importlib
import warnings

import pytest
import torch
from torch.nn import functional as F

HOW = "pip install 'netwright[fla]'"
pytest.importorskip("triton", reason=f"flash-linear-attention needs triton: {HOW}")
with warnings.catch_warnings():
    # At its import fla tells that it found no GPU and no flash-attn, and uses what torch deprecates.
    warnings.simplefilter("ignore")
    pytest.importorskip("fla", reason=f"flash-linear-attention is not installed: {HOW}")
    from fla.modules.rotary.ops import rotary_embedding_ref
    from fla.modules.token_shift import token_shift_ref
    from fla.ops.attn.naive import naive_parallel_attn
    from fla.ops.attn.parallel import parallel_attn
    from fla.ops.based.naive import naive_parallel_based
    from fla.ops.based.parallel import parallel_based
    from fla.ops.delta_rule.chunk import chunk_delta_rule
    from fla.ops.delta_rule.naive import delta_rule_recurrence
    from fla.ops.gated_delta_rule.chunk import chunk_gated_delta_rule
    from fla.ops.gated_delta_rule.naive import naive_recurrent_gated_delta_rule
    from fla.ops.generalized_delta_rule.dplr.naive import dplr_recurrence
    from fla.ops.gla.chunk import chunk_gla
    from fla.ops.gla.naive import naive_recurrent_gla
    from fla.ops.linear_attn.chunk import chunk_linear_attn
    from fla.ops.linear_attn.naive import naive_recurrent_linear_attn
    from fla.ops.rwkv7.chunk import chunk_rwkv7
    from fla.ops.rwkv7.fused_addcmul import torch_addcmul_rwkv7
    from fla.ops.rwkv7.fused_k_update import k_update_ref
    from fla.ops.rwkv7.gate_output_correction import gate_output_correction_ref
    from fla.ops.simple_gla.chunk import chunk_simple_gla
    from fla.ops.simple_gla.naive import naive_recurrent_simple_gla

DIM, HEADS, LAYERS = 64, 4, 2
HEAD_DIM = DIM // HEADS
WINDOW = 32
LENGTHS = (7, 128, 150)
"""Shorter than a chunk; whole chunks of every size (16 in the baselines, up to 64 in fla); whole chunks of none."""
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def heads_first(*parts):
    return [part.transpose(1, 2) for part in parts]


def half(*parts):
    return [part.half() for part in parts]


def single(*parts):
    return [part.float() for part in parts]


class Definitions:
    """The operators of fla in plain PyTorch; most of them work in float32 whatever they are given."""

    tolerance = 1e-4

    @staticmethod
    def attention(q, k, v, window=None):
        return naive_parallel_attn(q, k, v, window_size=window)[0]

    @staticmethod
    def taylor_attention(q, k, v):
        return naive_parallel_based(*heads_first(q, k, v)).transpose(1, 2)

    @staticmethod
    def linear_attention(q, k, v):
        return naive_recurrent_linear_attn(q, k, v, normalize=True)[0]

    @staticmethod
    def decay_per_head(q, k, v, log_decay):
        return naive_recurrent_simple_gla(q, k, v, log_decay)[0]

    @staticmethod
    def decay_per_channel(q, k, v, log_decay):
        return naive_recurrent_gla(q, k, v, log_decay)[0]

    @staticmethod
    def delta_rule(q, k, v, beta):
        return delta_rule_recurrence(*heads_first(q, k, v, beta))[0].transpose(1, 2)

    @staticmethod
    def gated_delta_rule(q, k, v, beta, log_decay):
        return naive_recurrent_gated_delta_rule(q, k, v, beta, log_decay)[0].double()

    @staticmethod
    def generalised_delta_rule(q, k, v, asks, answers, log_decay):
        """S_t = diag(exp(log_decay_t)) S_{t-1} + answers_t (asks_t^T S_{t-1}) + k_t v_t^T."""
        # All is made float32 in there, except for what asks.
        mixed, _ = dplr_recurrence(*heads_first(q, k, v, asks.float(), answers, log_decay))
        return mixed.transpose(1, 2)


class Kernels:
    """The operators of fla on a GPU, in chunks and in float16, since some refuse float32; decays are in float32.

    The two in float32 are those where float16 leaves the gradients wrong by several percent.
    """

    tolerance = 2e-2

    @staticmethod
    def attention(q, k, v, window=None):
        return parallel_attn(*half(q, k, v), window_size=window).double()

    @staticmethod
    def taylor_attention(q, k, v):
        return parallel_based(*half(q, k, v)).double()

    @staticmethod
    def linear_attention(q, k, v):
        return chunk_linear_attn(*single(q, k, v), normalize=True)[0].double()

    @staticmethod
    def decay_per_head(q, k, v, log_decay):
        return chunk_simple_gla(*half(q, k, v), log_decay.float())[0].double()

    @staticmethod
    def decay_per_channel(q, k, v, log_decay):
        return chunk_gla(*single(q, k, v, log_decay))[0].double()

    @staticmethod
    def delta_rule(q, k, v, beta):
        return chunk_delta_rule(*half(q, k, v, beta))[0].double()

    @staticmethod
    def gated_delta_rule(q, k, v, beta, log_decay):
        return chunk_gated_delta_rule(*half(q, k, v), log_decay.float(), beta.half())[0].double()

    @staticmethod
    def generalised_delta_rule(q, k, v, asks, answers, log_decay):
        q, k, v, asks, answers = half(q, k, v, asks, answers)
        return chunk_rwkv7(q, log_decay.float(), k, v, asks, answers, scale=q.shape[-1] ** -0.5)[0].double()


def split_heads(x, head_dim=HEAD_DIM):
    return x.unflatten(-1, (-1, head_dim))


def unscaled(q):
    """Undo beforehand fla's scale of 1 / sqrt(d), for a mixer that reads its memory without one."""
    return q * q.shape[-1] ** 0.5


def unit(x):
    return F.normalize(x, dim=-1)


def rotate(x):
    """Rotary positions of (B, T, H, d) as fla has them: frequencies 10000^(-2i/d), the halves of a head turned."""
    frequencies = 10_000.0 ** (-torch.arange(0, HEAD_DIM, 2, dtype=x.dtype, device=x.device) / HEAD_DIM)
    angles = torch.outer(torch.arange(x.shape[1], dtype=x.dtype, device=x.device), frequencies)
    return rotary_embedding_ref(x, angles.cos(), angles.sin())


def linear_attention(fla, mixer, x):
    q, k, v = map(split_heads, mixer.project(x).chunk(3, dim=-1))
    return mixer.out(fla.linear_attention(F.elu(q) + 1, F.elu(k) + 1, v).flatten(2))


def retention(fla, mixer, x):
    q, k, v, gate = map(split_heads, mixer.project(x).chunk(4, dim=-1))
    log_gamma = (1 - 2.0 ** -torch.linspace(3, 8, HEADS, dtype=x.dtype, device=x.device)).log()
    mixed = fla.decay_per_head(rotate(q), rotate(k), v, log_gamma.expand(*x.shape[:2], HEADS))
    return mixer.out((F.silu(gate) * mixer.norm(mixed)).flatten(2))


def gated_linear_attention(fla, mixer, x):
    q, k, v, gate = map(split_heads, mixer.project(x).chunk(4, dim=-1))
    mixed = fla.decay_per_channel(q, k, v, split_heads(F.logsigmoid(mixer.decay(x)) / 16))
    return mixer.out((F.silu(gate) * mixer.norm(mixed)).flatten(2))


def delta_net(fla, mixer, x):
    q, k, v = (split_heads(F.silu(part)) for part in mixer.project(x).chunk(3, dim=-1))
    return mixer.out(mixer.norm(fla.delta_rule(unscaled(unit(q)), unit(k), v, mixer.beta(x).sigmoid())).flatten(2))


def gated_delta_rule(fla, mixer, x, parts):
    q, k, v = (split_heads(F.silu(part)) for part in parts)
    log_decay = -mixer.log_rate.exp() * F.softplus(mixer.step(x))
    return mixer.norm(fla.gated_delta_rule(unscaled(unit(q)), unit(k), v, mixer.beta(x).sigmoid(), log_decay))


def gated_delta_net(fla, mixer, x):
    *parts, gate = mixer.project(x).chunk(4, dim=-1)
    return mixer.out(gated_delta_rule(fla, mixer, x, parts).flatten(2) * F.silu(gate))


def gated_delta_of_the_hybrid(fla, mixer, x):
    mix = mixer.mix
    mixed = gated_delta_rule(fla, mix, x, mix.project(x).chunk(3, dim=-1))
    return mix.out(mixed.flatten(2) * F.silu(mix.gate(x)))


def mamba2(fla, mixer, x):
    gate, values, read, write = F.silu(mixer.project(x)).split([DIM, DIM, DIM // 2, DIM // 2], dim=-1)
    values, step = split_heads(values), F.softplus(mixer.step(x))
    read, write = (part[:, :, None].expand(-1, -1, HEADS, -1) for part in (read, write))
    mixed = fla.decay_per_head(unscaled(read), write, step[..., None] * values, -mixer.log_rate.exp() * step)
    return mixer.out(mixer.norm((mixed + mixer.skip[:, 0] * values).flatten(2) * gate))


def rwkv7(fla, mixer, x):
    share = dict(zip("rkvwag", mixer.shift, strict=True))
    for_r, for_w, for_k, for_v, for_a, for_g = torch_addcmul_rwkv7(x, token_shift_ref(x), *map(share.get, "rwkvag"))
    a, keys = mixer.rate(for_a).sigmoid(), mixer.key(for_k)
    r, k, v = map(split_heads, (mixer.receive(for_r), k_update_ref(keys, a, mixer.replace), mixer.value(for_v)))
    z, log_decay = unit(split_heads(keys * mixer.remove)), split_heads(-(torch.e**-0.5) * mixer.decay(for_w).sigmoid())
    mixed = fla.generalised_delta_rule(unscaled(r), k, v, -z, z * split_heads(a), log_decay).flatten(2)
    normed = mixer.norm(mixed.flatten(0, 1)).view_as(x)
    return mixer.out(gate_output_correction_ref(normed, r, k, split_heads(mixer.bonus), v, mixer.gate(for_g)))


def taylor_attention_of_based(fla, mixer, x):
    q, k = (split_heads(part, 16) for part in mixer.mix.query_key(x).chunk(2, dim=-1))
    return mixer.mix.out(fla.taylor_attention(q, k, split_heads(mixer.mix.value(x))).flatten(2))


def softmax_attention(fla, mixer, x, window=None):
    q, k, v = map(split_heads, mixer.project(x).chunk(3, dim=-1))
    return mixer.out(fla.attention(rotate(mixer.norm(q)), rotate(mixer.norm(k)), v, window).flatten(2))


def attention_of_a_hybrid(fla, mixer, x):
    return softmax_attention(fla, mixer.mix, x)


def windows_of_based(fla, mixer, x):
    return softmax_attention(fla, mixer.mix, x, WINDOW)


def sliding_window_attention(fla, mixer, x):
    q, (k, v) = split_heads(mixer.query(x)), map(split_heads, mixer.key_value(x).chunk(2, dim=-1))
    return mixer.out(fla.attention(rotate(mixer.norm(q)), rotate(mixer.norm(k)), v, WINDOW).flatten(2))


BY_FLA = {
    ("softmax_attention", 0): softmax_attention,
    ("sliding_window_attention", 0): sliding_window_attention,
    ("linear_attention", 0): linear_attention,
    ("based", 0): taylor_attention_of_based,
    ("based", 1): windows_of_based,
    ("retention", 0): retention,
    ("gated_linear_attention", 0): gated_linear_attention,
    ("mamba2", 0): mamba2,
    ("delta_net", 0): delta_net,
    ("gated_delta_net", 0): gated_delta_net,
    ("gated_delta_attention_hybrid", 0): gated_delta_of_the_hybrid,
    ("gated_delta_attention_hybrid", 1): attention_of_a_hybrid,
    ("attention_convolution_hybrid", 1): attention_of_a_hybrid,
    ("rwkv7", 0): rwkv7,
}


@pytest.fixture(autouse=True)
def _exact_float32(monkeypatch):
    """Triton multiplies float32 as tf32 unless told otherwise, also for the sums inside the kernels in float16."""
    monkeypatch.setenv("TRITON_F32_DEFAULT", "ieee")


either_form = pytest.mark.parametrize(
    "fla",
    [
        Definitions,
        pytest.param(
            Kernels,
            marks=[
                pytest.mark.gpu,
                pytest.mark.skipif(DEVICE == "cpu", reason="the kernels of flash-linear-attention need CUDA"),
            ],
        ),
    ],
)
every_mixer = pytest.mark.parametrize(("name", "layer"), BY_FLA)


def make_mixer(name, layer):
    """A mixer off its start values, some of which (zeros and ones) would hide what they multiply."""
    torch.manual_seed(3)
    module = importlib.import_module(f"netwright.evaluator.baselines.{name}")
    mixer = module.Mixer(dim=DIM, heads=HEADS, max_len=max(LENGTHS), layer=layer, layers=LAYERS).double()
    with torch.no_grad():
        for parameter in mixer.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return mixer.to(DEVICE)


def make_input(length, *, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2, length, DIM, dtype=torch.float64, generator=generator).to(DEVICE)


def gradients(y, mixer, x):
    """The gradients of a random sum of the outputs, after the input and every parameter."""
    leaves = {"x": x, **dict(mixer.named_parameters())}
    return dict(
        zip(leaves, torch.autograd.grad((y * make_input(y.shape[1], seed=1)).sum(), leaves.values()), strict=True)
    )


def relative_error(found, wanted):
    return ((found - wanted).norm() / wanted.norm()).item()


@either_form
@every_mixer
@pytest.mark.parametrize("length", LENGTHS)
@torch.no_grad()
def test_a_baseline_has_the_outputs_of_fla(name, layer, length, fla):
    mixer, x = make_mixer(name, layer), make_input(length)

    assert relative_error(mixer(x), BY_FLA[name, layer](fla, mixer, x)) < fla.tolerance


@either_form
@every_mixer
@pytest.mark.parametrize("length", LENGTHS)
def test_a_baseline_has_the_gradients_of_fla(name, layer, length, fla):
    mixer, x = make_mixer(name, layer), make_input(length).requires_grad_()

    ours = gradients(mixer(x), mixer, x)
    theirs = gradients(BY_FLA[name, layer](fla, mixer, x), mixer, x)

    errors = {leaf: relative_error(ours[leaf], theirs[leaf]) for leaf in ours}
    assert max(errors.values()) < fla.tolerance, errors

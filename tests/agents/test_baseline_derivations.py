"""Every mixer that ships as a baseline is a sentence of the grammar: with its weights, the same function.

The weights are carried over by name. Where the grammar writes a parameter more (separate norms for queries and keys,
a bias, a higher rank), it gets the value at which it does nothing. Decays are drawn where Gated DeltaNet's hybrid
does not cut them off at 1e-7. Based and S4D are compared at the width at which their constants are the grammar's.
"""

import contextlib
import types
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from netwright.agents.baseline_genotypes import BASELINE_GENOTYPES, baseline_genotype
from netwright.agents.emit import emit
from netwright.agents.size import parameters
from netwright.evaluator.baselines import MIXERS, baseline
from netwright.types import Scope

DIM, HEADS, LONGEST, LENGTH = 64, 4, 128, 75
Weights = dict[str, Tensor]


def same(*names: str) -> Callable[[Weights], Weights]:
    """Carry `old=new` (or `name`, where it did not change) over as it is."""
    pairs = [name.split("=") for name in names]
    return lambda old: {pair[-1]: old[pair[0]] for pair in pairs}


def attention(old: Weights) -> Weights:
    norm = old["norm.weight"]
    return {
        "qkv.weight": old["project.weight"],
        "q_norm.weight": norm,
        "k_norm.weight": norm,
        "out.weight": old["out.weight"],
    }


def grouped_attention(old: Weights) -> Weights:
    project = torch.cat([old["query.weight"], old["key_value.weight"]])
    return attention({**old, "project.weight": project})


def scaled_queries(old: Weights) -> Weights:
    q, rest = old["project.weight"].split([DIM, 3 * DIM])
    return {**old, "project.weight": torch.cat([q * (DIM // HEADS) ** -0.5, rest])}


def gated_memory(old: Weights) -> Weights:
    qkv, gate = old["project.weight"].split([3 * DIM, DIM])
    return {"qkv.weight": qkv, "gate.weight": gate, **same("norm.weight", "out.weight")(old)}


def gated_linear_attention(old: Weights) -> Weights:
    """log sigmoid(z) / 16 is -softplus(-z) / 16."""
    decay = {"decay.0.weight": old["decay.0.weight"]}
    decay |= {f"decay.1.{name}": -old[f"decay.1.{name}"] for name in ("weight", "bias")}
    return {**gated_memory(scaled_queries(old)), **decay}


def convolution(old: Weights) -> Weights:
    before, after, values = old["project.weight"].chunk(3)
    return {"inputs.weight": torch.cat([values, before, after]), **same("filter=filter.taps", "out.weight")(old)}


def taylor(old: Weights) -> Weights:
    return {"qkv.weight": torch.cat([old["query_key.weight"], old["value.weight"]]), "out.weight": old["out.weight"]}


def delta_decays(old: Weights) -> Weights:
    names = ("beta.weight", "step.weight=decay.weight", "step.bias=decay.bias", "log_rate=log_speed")
    return {"beta.bias": torch.zeros(HEADS), **same(*names)(old)}


def low_rank_gated_delta(old: Weights) -> Weights:
    names = ("project.weight=qkv.weight", "gate.0.weight", "gate.1.weight", "norm.weight", "out.weight")
    return {**delta_decays(old), **same(*names)(old)}


def mamba(old: Weights) -> Weights:
    gate, values, read, write = old["project.weight"].split([DIM, DIM, DIM // 2, DIM // 2])
    names = ("step.weight=decay.weight", "step.bias=decay.bias", "log_rate=log_speed", "skip=direct")
    return {
        "qkv.weight": torch.cat([read, write, values]),
        "gate.weight": gate,
        **same(*names, "norm.weight", "out.weight")(old),
    }


def state_space(old: Weights) -> Weights:
    names = (*(f"{name}=filter.{name}" for name in ("log_step", "log_rate", "frequency", "read")), "skip=filter.here")
    return same(*names, "out.weight")(old)


def rwkv(old: Weights) -> Weights:
    """The decay's middle is twice as wide in the grammar: its other half stays at 0."""
    narrow, wide = DIM // 8, DIM // 4
    per_head = {"remove": "remove", "replace": "replace", "bonus": "direct", "norm.weight": "scale"}
    per_head["norm.bias"] = "offset"
    names = ("receive.weight=query.weight", "key.weight", "value.weight", "out.weight", "shift=shifts.blend")
    lows = ("rate.down.weight=rate.0.weight", "rate.up.weight=rate.1.weight", "rate.up.bias=rate.1.bias")
    gates = ("gate.down.weight=gate.0.weight", "gate.up.weight=gate.2.weight", "decay.up.bias=decay.2.bias")
    return {
        "decay.0.weight": F.pad(old["decay.down.weight"], (0, 0, 0, wide - narrow)),
        "decay.2.weight": F.pad(old["decay.up.weight"], (0, wide - narrow)),
        **{new: old[name].view(HEADS, 1, -1) for name, new in per_head.items()},
        **same(*names, *lows, *gates)(old),
    }


def hyena(old: Weights) -> Weights:
    """Both filters have a network of their own in the grammar, and one for both in the file."""
    new = {"inputs.weight": old["project.weight"], "out.weight": old["out.weight"]}
    leave = old["filters.leave.weight"].chunk(2)
    for order, name in enumerate(("filter", "second_filter")):
        shared = {key: value for key, value in old.items() if key.startswith("filters.") and "leave" not in key}
        new |= {key.replace("filters", name): value for key, value in shared.items()}
        new |= {f"{name}.leave.weight": leave[order], f"{name}.here": old["present"][order]}
    return new


def matching(old: Weights) -> Weights:
    key, value = old["key_value.weight"].chunk(2)
    names = ("log_sharpness", "unlikeness", "own.weight", "out.weight")
    return {"key.weight": key, "value.weight": value, **same(*names)(old)}


def cells(old: Weights) -> Weights:
    return {name.replace("recurrence", "cell"): value for name, value in old.items()}


def alternating(even: Callable[[Weights], Weights], odd: Callable[[Weights], Weights]) -> tuple:
    def inner(carry: Callable[[Weights], Weights]) -> Callable[[Weights], Weights]:
        def carried(old: Weights) -> Weights:
            new = carry({name.removeprefix("mix."): value for name, value in old.items()})
            return {f"mixer.{name}": value for name, value in new.items()}

        return carried

    return inner(even), inner(odd)


CARRIED: dict[str, object] = {
    "softmax_attention": attention,
    "linear_attention": same("project.weight=qkv.weight", "out.weight"),
    "retention": lambda old: gated_memory(scaled_queries(old)),
    "gated_linear_attention": gated_linear_attention,
    "delta_net": same("project.weight=qkv.weight", "beta.weight", "beta.bias", "norm.weight", "out.weight"),
    "gated_convolution": convolution,
    "attention_convolution_hybrid": alternating(convolution, attention),
    "sliding_window_attention": grouped_attention,
    "based": alternating(taylor, attention),
    "gated_delta_net": lambda old: {**gated_memory(old), **delta_decays(old)},
    "mamba2": mamba,
    "s4d": state_space,
    "rwkv7": rwkv,
    "hyena": hyena,
    "ngram_heads": matching,
    "mlp_mixer": same("enter.weight", "enter.bias", "leave.weight", "leave.bias"),
    "lstm": cells,
    "gated_delta_attention_hybrid": alternating(low_rank_gated_delta, attention),
}


@contextlib.contextmanager
def default_dtype(dtype: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def build(source: str, layer: int, dtype: torch.dtype) -> nn.Module:
    module = types.ModuleType("candidate")
    exec(compile(source, "candidate.py", "exec"), module.__dict__)
    with default_dtype(dtype):
        return module.Mixer(DIM, HEADS, LONGEST, layer, 2).double()


def weights_of(module: nn.Module) -> Weights:
    """Parameters, and the buffers that are made in `__init__`."""
    return dict(module.named_parameters()) | dict(module.named_buffers())


@pytest.mark.parametrize("layer", [0, 1])
@pytest.mark.parametrize("name", MIXERS)
def test_the_grammar_writes_the_same_function(name: str, layer: int) -> None:
    file = baseline(name)
    genotype = baseline_genotype(file.title)
    assert genotype is not None, file.title
    # Hyena keeps its tables in float32 whatever the default is; all others are in float64 from the start.
    dtype = torch.float32 if name == "hyena" else torch.float64
    torch.manual_seed(7 + layer)
    known, derived = build(file.source, layer, dtype), build(emit(genotype), layer, dtype)
    with torch.no_grad():
        for parameter in known.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    carry = CARRIED[name]
    new = (carry[layer] if isinstance(carry, tuple) else carry)(weights_of(known))  # type: ignore[operator]
    own = weights_of(derived)
    assert set(dict(derived.named_parameters())) <= set(new) <= set(own)
    with torch.no_grad():
        for key, value in new.items():
            own[key].copy_(value)
    x = torch.randn(3, LENGTH, DIM, dtype=torch.float64)

    expected, got = known(x), derived(x)

    torch.testing.assert_close(got, expected, rtol=1e-9, atol=1e-10)
    assert expected.std() > 1e-3


def test_no_derivation_stands_for_nothing() -> None:
    assert set(BASELINE_GENOTYPES) == {baseline(name).title for name in MIXERS} and set(CARRIED) == set(MIXERS)


@pytest.mark.parametrize("title", BASELINE_GENOTYPES)
def test_each_derivation_fits_into_the_usual_allowance(title: str) -> None:
    count = parameters(BASELINE_GENOTYPES[title], Scope.MIXER, DIM, HEADS, layers=2, max_len=LONGEST)
    assert count <= 2 * 6 * DIM**2

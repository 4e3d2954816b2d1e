"""The network around a candidate, the same for all: embedding, residual layers, head, and ONE sizing rule.

    x = embedding(tokens)                                       (B, T) -> (B, T, D)
    per layer:   x = x + mixer(short_convolution(norm(x)))      the candidate supplies `mixer`
                 x = x + mlp(norm(x))
    logits = head(norm(x))                                      (B, T, D) -> (B, T, V)

Sizing rule: the hidden width of the channel MLPs is whatever brings the whole network closest to the task's
parameter budget. A large mixer pays with a narrow MLP, a small one is given a wide one, and two mixers compare at
equal parameter counts. The short convolution stands before every mixer because it lifts recurrent mixers far more
than attention: given to some mixers only, it would decide the ranking by itself.

Torch is imported here: only child processes and tests import this module.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from netwright.types import Scope, TaskSpec

SIZE_TOLERANCE = 0.02
"""How far the parameter count of a network may be from the budget, as a share of it."""
CONVOLUTION_KERNEL = 4
INIT_STD = 0.02


class SizeError(ValueError):
    """The candidate has too many parameters for the task's budget."""


@dataclass(frozen=True)
class ModelSpec:
    """What a candidate of scope `model` is told; None where a field has no meaning for the task."""

    vocab_size: int | None
    max_len: int | None
    dim: int
    layers: int
    heads: int
    num_classes: int | None = None
    input_shape: tuple[int, ...] | None = None


class ShortConvolution(nn.Module):
    """Causal depthwise convolution over the last 4 positions, (B, T, D) -> (B, T, D); begins near the identity."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        weight = 0.1 * torch.randn(CONVOLUTION_KERNEL, dim)
        weight[0] += 1.0
        self.weight = nn.Parameter(weight)

    def forward(self, x: Tensor) -> Tensor:
        """`y[t] = sum_i weight[i] * x[t - i]`: a sum of shifts is faster than a depthwise convolution on CPU."""
        length = x.shape[1]
        padded = F.pad(x, (0, 0, CONVOLUTION_KERNEL - 1, 0))
        y = x * self.weight[0]
        for shift in range(1, CONVOLUTION_KERNEL):
            start = CONVOLUTION_KERNEL - 1 - shift
            y = y + padded[:, start : start + length] * self.weight[shift]
        return y


class ChannelMlp(nn.Module):
    """Position-wise `W2 relu(W1 x)^2`; W2 begins small by depth, as in GPT-2, so that deep stacks begin tame."""

    def __init__(self, dim: int, hidden: int, layers: int) -> None:
        super().__init__()
        self.up = nn.Linear(dim, hidden, bias=False)
        self.down = nn.Linear(hidden, dim, bias=False)
        nn.init.normal_(self.up.weight, std=dim**-0.5)
        nn.init.normal_(self.down.weight, std=hidden**-0.5 / (2 * layers) ** 0.5)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.down(F.relu(self.up(x)).square())
        return y


class Layer(nn.Module):
    """One candidate mixer and one channel MLP, each on a residual branch, (B, T, D) -> (B, T, D)."""

    def __init__(self, spec: TaskSpec, mixer: nn.Module, *, hidden: int, dropout: float) -> None:
        super().__init__()
        self.mixer_norm = nn.RMSNorm(spec.dim)
        self.convolution = ShortConvolution(spec.dim)
        self.mixer = mixer
        self.mlp_norm = nn.RMSNorm(spec.dim)
        self.mlp = ChannelMlp(spec.dim, hidden, spec.layers)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.dropout(self.mixer(self.convolution(self.mixer_norm(x))))
        y: Tensor = x + self.dropout(self.mlp(self.mlp_norm(x)))
        return y


class Network(nn.Module):
    """Embedding, a stack of layers and a head: tokens (B, T) int64 to logits (B, T, V) float32."""

    def __init__(self, spec: TaskSpec) -> None:
        super().__init__()
        self.embedding = nn.Embedding(spec.vocab_size, spec.dim)
        self.norm = nn.RMSNorm(spec.dim)
        self.head = nn.Linear(spec.dim, spec.vocab_size, bias=False)
        self.layers = nn.ModuleList()
        nn.init.normal_(self.embedding.weight, std=1.0)
        nn.init.normal_(self.head.weight, std=INIT_STD)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embedding(tokens)
        for layer in self.layers:
            x = layer(x)
        logits: Tensor = self.head(self.norm(x))
        return logits.float()


def build_network(spec: TaskSpec, factory: Callable[..., nn.Module], *, dropout: float = 0.0) -> nn.Module:
    """The network of a task around a candidate class; the caller seeds torch, and equal seeds give equal weights.

    `factory` is the candidate's `Mixer`, `Block` or `Model`, by `spec.scope`. `dropout` acts on the residual
    branches of scope `mixer`; the other scopes own their residuals.

    Raises:
        SizeError: the candidate leaves no room within the parameter budget.
    """
    if spec.scope is Scope.MODEL:
        return _checked(spec, factory(model_spec(spec)))
    network = Network(spec)
    parts = [_part(spec, factory, layer) for layer in range(spec.layers)]
    if spec.scope is Scope.BLOCK:
        network.layers.extend(parts)
        return _checked(spec, network)
    hidden = _hidden_width(spec, parts)
    network.layers.extend(Layer(spec, part, hidden=hidden, dropout=dropout) for part in parts)
    return network


def model_spec(spec: TaskSpec) -> ModelSpec:
    return ModelSpec(spec.vocab_size, spec.max_len, spec.dim, spec.layers, spec.heads)


def mixer_allowance(spec: TaskSpec) -> int:
    """The most parameters that each of the mixers may have on average, so that an MLP of least width still fits."""
    room = spec.parameters - _fixed_parameters(spec) - _parameters_per_hidden_unit(spec) * _least_hidden(spec)
    return room // spec.layers


def parameter_count(modules: Iterable[nn.Module]) -> int:
    """The number of scalars in all parameters, shared ones counted once."""
    unique = {id(parameter): parameter for module in modules for parameter in module.parameters()}
    return sum(parameter.numel() for parameter in unique.values())


def _part(spec: TaskSpec, factory: Callable[..., nn.Module], layer: int) -> nn.Module:
    return factory(dim=spec.dim, heads=spec.heads, max_len=spec.max_len, layer=layer, layers=spec.layers)


def _hidden_width(spec: TaskSpec, mixers: list[nn.Module]) -> int:
    """The sizing rule."""
    mixer_parameters = parameter_count(mixers)
    room = spec.parameters - _fixed_parameters(spec) - mixer_parameters
    hidden = round(room / _parameters_per_hidden_unit(spec))
    if hidden < _least_hidden(spec):
        raise SizeError(
            f"the {spec.layers} mixers have {mixer_parameters:,} parameters together; at most "
            f"{mixer_allowance(spec) * spec.layers:,} ({mixer_allowance(spec):,} per layer) fit within the "
            f"budget of {spec.parameters:,} for the whole network: use narrower or fewer projections"
        )
    return hidden


def _fixed_parameters(spec: TaskSpec) -> int:
    """Embedding, head, norms and short convolutions."""
    ends = 2 * spec.vocab_size * spec.dim + spec.dim
    return ends + spec.layers * spec.dim * (2 + CONVOLUTION_KERNEL)


def _parameters_per_hidden_unit(spec: TaskSpec) -> int:
    return 2 * spec.dim * spec.layers


def _least_hidden(spec: TaskSpec) -> int:
    return spec.dim // 4


def _checked(spec: TaskSpec, network: nn.Module) -> nn.Module:
    count = parameter_count([network])
    limit = int(spec.parameters * (1 + SIZE_TOLERANCE))
    if count > limit:
        raise SizeError(
            f"the network has {count:,} parameters, at most {limit:,} are allowed (the budget of "
            f"{spec.parameters:,} and {SIZE_TOLERANCE:.0%}): use fewer or narrower layers"
        )
    return network

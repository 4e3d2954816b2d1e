"""The network around a candidate, the same for all: embedding, residual layers, head, and ONE sizing rule.

    x = embedding(tokens)                                       (B, T) -> (B, T, D)
    per layer:   x = x + mixer(short_convolution(norm(x)))      the candidate supplies `mixer`
                 x = x + mlp(norm(x))
    logits = head(norm(x))                                      (B, T, D) -> (B, T, V)

Where a task is answered with a code, the last position's vector is all that goes on:

    logits[t] = head(y + mlp(y)),  y = norm(x)[last] + places[t]             (B, D) -> (B, T, V)

Sizing rule: the hidden width of the channel MLPs is whatever brings the whole network closest to the task's
parameter budget. A large mixer pays with a narrow MLP, a small one is given a wide one, and two mixers
compare at equal parameter counts. The short convolution stands before every mixer because it lifts recurrent
mixers far more than attention: given to some mixers only, it would decide the ranking by itself.

Torch is imported here: only child processes and tests import this module.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from netwright.evaluator.sizing import (
    CONVOLUTION_KERNEL,
    DECODER_WIDTH,
    SIZE_TOLERANCE,
    hidden_width,
    least_hidden,
    mixer_allowance,
    parameters_max,
)
from netwright.types import Scope, TaskSpec

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
    """Causal depthwise convolution over the last 4 positions, (B, T, D) -> (B, T, D).

    It begins as the identity plus noise, so that neighbours see each other from the first step.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        weight = 0.3 * torch.randn(CONVOLUTION_KERNEL, dim)
        weight[0] += 1.0
        self.weight = nn.Parameter(weight)

    def forward(self, x: Tensor) -> Tensor:
        """Return `y[t] = sum_i weight[i] * x[t - i]`; on CPU a sum of shifts beats a depthwise convolution."""
        length = x.shape[1]
        padded = F.pad(x, (0, 0, CONVOLUTION_KERNEL - 1, 0))
        y = x * self.weight[0]
        for shift in range(1, CONVOLUTION_KERNEL):
            start = CONVOLUTION_KERNEL - 1 - shift
            y = y + padded[:, start : start + length] * self.weight[shift]
        return y


class ChannelMlp(nn.Module):
    """Position-wise `W2 relu(W1 x)^2`; W2 begins small by depth, as in GPT-2, to keep deep stacks tame.

    Source of the squared ReLU: So et al. 2021, "Primer" (arXiv:2109.08668).
    """

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


class Decoder(nn.Module):
    """What each position held, read out of one vector: (B, D) to (B, length, D).

    The trusted side does the same with these weights, in numpy (see `decoding`).
    """

    def __init__(self, spec: TaskSpec) -> None:
        super().__init__()
        self.places = nn.Parameter(torch.randn(spec.max_len, spec.dim))
        self.mlp = ChannelMlp(spec.dim, DECODER_WIDTH * spec.dim, layers=1)

    def forward(self, code: Tensor, length: int) -> Tensor:
        y = code[:, None] + self.places[:length]
        read: Tensor = y + self.mlp(y)
        return read


class Network(nn.Module):
    """Embedding, a stack of layers and a head: tokens (B, T) int64 to logits (B, T, V) float32."""

    def __init__(self, spec: TaskSpec) -> None:
        super().__init__()
        self.embedding = nn.Embedding(spec.vocab_size, spec.dim)
        self.norm = nn.RMSNorm(spec.dim)
        self.head = nn.Linear(spec.dim, spec.vocab_size, bias=False)
        self.layers = nn.ModuleList()
        self.decoder = Decoder(spec) if spec.answers == "code" else None
        nn.init.normal_(self.embedding.weight, std=1.0)
        nn.init.normal_(self.head.weight, std=INIT_STD)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self._read(tokens)
        logits: Tensor = self.head(x if self.decoder is None else self.decoder(x[:, -1], tokens.shape[1]))
        return logits.float()

    def code(self, tokens: Tensor) -> Tensor:
        """Return what a decoder gets to see of rows: the vector at the last position, (B, T) to (B, D)."""
        return self._read(tokens)[:, -1]

    def _read(self, tokens: Tensor) -> Tensor:
        x = self.embedding(tokens)
        for layer in self.layers:
            x = layer(x)
        normed: Tensor = self.norm(x)
        return normed


def build_network(spec: TaskSpec, factory: Callable[..., nn.Module], *, dropout: float = 0.0) -> nn.Module:
    """Build a task's network around a candidate class; the caller seeds torch, equal seeds give equal weights.

    `factory` is the candidate's `Mixer`, `Block` or `Model`, by `spec.scope`. `dropout` acts on the residual
    branches of scope `mixer`; the other scopes own their residuals.

    Raises:
        SizeError: the candidate leaves no room within the parameter budget.
    """
    if spec.scope is Scope.MODEL:
        return _checked(spec, factory(model_spec(spec)))
    network = Network(spec)
    parts = candidate_parts(spec, factory)
    if spec.scope is Scope.BLOCK:
        network.layers.extend(parts)
        return _checked(spec, network)
    hidden = _hidden_width(spec, parts)
    network.layers.extend(Layer(spec, part, hidden=hidden, dropout=dropout) for part in parts)
    return network


def candidate_parts(spec: TaskSpec, factory: Callable[..., nn.Module]) -> list[nn.Module]:
    """Return what the candidate supplies to a network: a mixer or block per layer, or the whole model."""
    if spec.scope is Scope.MODEL:
        return [factory(model_spec(spec))]
    return [
        factory(dim=spec.dim, heads=spec.heads, max_len=spec.max_len, layer=layer, layers=spec.layers)
        for layer in range(spec.layers)
    ]


def model_spec(spec: TaskSpec) -> ModelSpec:
    tokens = spec.inputs == "tokens"
    return ModelSpec(
        vocab_size=spec.vocab_size if tokens else None,
        max_len=spec.max_len if tokens else None,
        dim=spec.dim,
        layers=spec.layers,
        heads=spec.heads,
        num_classes=None if spec.answers == "tokens" else spec.answer_shape[1],
        input_shape=None if tokens else spec.input_shape,
    )


def parameter_count(modules: Iterable[nn.Module]) -> int:
    """Return the number of 32-bit scalars in all parameters, shared ones counted once.

    A float64 counts as two and so does a complex64, as their bytes do in a weight file; 16 bits count as one. What
    a module says of itself by an overridden `parameters()` or `named_modules()` is not asked.
    """
    owners = {id(owner): owner for module in modules for owner in _with_parts(module)}
    unique = {id(p): p for owner in owners.values() for p in owner._parameters.values() if p is not None}
    return sum(p.numel() * max(2 if p.is_complex() else 1, p.element_size() // 4) for p in unique.values())


def _with_parts(module: nn.Module) -> list[nn.Module]:
    """Return the module and everything registered below it, each once."""
    found: dict[int, nn.Module] = {}
    pending = [module]
    while pending:
        part = pending.pop()
        if id(part) not in found:
            found[id(part)] = part
            pending.extend(child for child in part._modules.values() if child is not None)
    return list(found.values())


def _hidden_width(spec: TaskSpec, mixers: list[nn.Module]) -> int:
    """Apply the sizing rule."""
    mixer_parameters = parameter_count(mixers)
    hidden = hidden_width(spec, mixer_parameters)
    if hidden < least_hidden(spec):
        raise SizeError(
            f"the {spec.layers} mixers have {mixer_parameters:,} parameters together; at most "
            f"{mixer_allowance(spec) * spec.layers:,} ({mixer_allowance(spec):,} per layer) fit within the "
            f"budget of {spec.parameters:,} for the whole network: use narrower or fewer projections"
        )
    return hidden


def _checked(spec: TaskSpec, network: nn.Module) -> nn.Module:
    count = parameter_count([network])
    limit = parameters_max(spec)
    if count > limit:
        raise SizeError(
            f"the network has {count:,} parameters, at most {limit:,} are allowed (the budget of "
            f"{spec.parameters:,} and {SIZE_TOLERANCE:.0%}): use fewer or narrower layers"
        )
    return network

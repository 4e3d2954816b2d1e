"""Lines of the leaves that mix each channel along time by itself: filters, averages, cells, maps of positions."""

from __future__ import annotations

from netwright.agents.emit_parts import (
    NORM_EPSILON,
    SIGMOID_DECAY,
    SIGMOID_START,
    Part,
    channel_decay,
    channel_norm,
    gate_output,
    local_mixing,
    start_bias,
    way_out,
)
from netwright.agents.genes import Filter, ImplicitFilter, LongFilter, OscillatingFilter, ShortFilter
from netwright.agents.leaves import Cell, Convolution, Positions, Recurrence

_INPUTS = {
    "output": ("value", "gate_out"),
    "both": ("value", "gate_in", "gate_out"),
    "twice": ("value", "gate_in", "gate_out"),
}


def convolution(part: Part, leaf: Convolution) -> None:
    if leaf.gates == "glu":
        _filter_then_unit(part, leaf)
        return
    names = _INPUTS[leaf.gates]
    part.init.append(f"self.inputs = nn.Linear(dim, {len(names)} * heads * head_dim, bias=False)")
    _filter(part, leaf.filter, "filter", "heads * head_dim")
    part.forward.append(f"{', '.join(names)} = self.inputs(x).chunk({len(names)}, dim=-1)")
    match leaf.gates:
        case "output":
            part.forward.append("y = self.filter(value)")
        case "both":
            part.forward.append("y = self.filter(gate_in * value)")
        case _:
            _filter(part, leaf.filter, "second_filter", "heads * head_dim")
            part.forward.append("y = self.second_filter(gate_in * self.filter(value))")
    channel_norm(part, leaf.norm)
    part.init.append("self.out = nn.Linear(heads * head_dim, dim, bias=False)")
    part.result = "self.out(gate_out * y)"


def _filter_then_unit(part: Part, leaf: Convolution) -> None:
    _filter(part, leaf.filter, "filter", "dim")
    part.forward.append("y = self.filter(x)")
    if leaf.norm == "rms":
        part.init.append(f"self.norm = nn.RMSNorm(dim, eps={NORM_EPSILON})")
        part.forward.append("y = self.norm(y)")
    part.init.append("self.out = nn.Linear(dim, 2 * dim, bias=False)")
    part.result = "F.glu(self.out(F.gelu(y)), dim=-1)"


def _filter(part: Part, gene: Filter, name: str, channels: str) -> None:
    match gene:
        case ShortFilter():
            code = f"{part.use('ShortFilter')}({channels}, {gene.kernel})"
        case LongFilter():
            code = f"{part.use('LongFilter')}({channels}, {gene.modes})"
        case OscillatingFilter():
            code = f"{part.use('OscillatingFilter')}({channels}, {gene.pairs})"
        case ImplicitFilter():
            code = f"{part.use('ImplicitFilter')}({channels}, max_len, {gene.bands})"
    part.init.append(f"self.{name} = {code}")


def recurrence(part: Part, leaf: Recurrence) -> None:
    part.init.append("self.value = nn.Linear(dim, heads * head_dim, bias=False)")
    value = local_mixing(part, leaf.local, "self.value(x)", "heads * head_dim")
    part.forward.append(f"value = {value}")
    bias = channel_decay(part, leaf.horizon, "heads * head_dim", leaf.rank)
    start_bias(part, bias, SIGMOID_START)
    part.forward.append(f"log_decay = {SIGMOID_DECAY.format(part.read('decay'))}")
    part.forward.append(f"y = {part.use('running_average')}(value, log_decay)")
    channel_norm(part, leaf.norm)
    gate_output(part, leaf.gate)
    way_out(part)


def cell(part: Part, leaf: Cell) -> None:
    kind = {"lstm": "LSTM", "gru": "GRU", "tanh": "RNN"}[leaf.cell]
    part.init.append("width = max(1, 9 * heads * head_dim // 16)  # as wide as the parameters of an LSTM allow")
    part.init.append(f"self.cell = nn.{kind}(dim, width, batch_first=True)")
    if leaf.cell == "lstm":
        start_bias(part, "self.cell.bias_ih_l0[width : 2 * width]", "torch.ones(width)")
        part.init[-1] += "  # remember at the start"
    part.forward.append("y, _ = self.cell(x)")
    if leaf.norm == "rms":
        part.init.append(f"self.norm = nn.RMSNorm(width, eps={NORM_EPSILON})")
        part.forward.append("y = self.norm(y)")
    part.init.append("self.out = nn.Linear(width, dim, bias=False)")
    part.result = "self.out(y)"


def positions(part: Part, leaf: Positions) -> None:
    part.use("CausalMix")
    names = ("mix",) if leaf.depth == 1 else ("enter", "leave")
    code = "self.mix({0})" if leaf.depth == 1 else "self.leave(F.gelu(self.enter({0})))"
    if leaf.gated:
        part.init.append("self.inputs = nn.Linear(dim, 2 * heads * head_dim, bias=False)")
        part.forward.append("value, gate = self.inputs(x).chunk(2, dim=-1)")
    part.init.extend(f"self.{name} = CausalMix(max_len)" for name in names)
    if leaf.gated:
        part.forward.append(f"y = gate * {code.format('value')}")
        way_out(part)
    else:
        part.result = code.format("x")

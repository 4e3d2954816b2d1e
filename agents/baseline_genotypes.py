"""The known architectures as sentences of the grammar, so that they can be parents.

Found by a baseline's title. Each computes what the baseline's file computes, given its weights; two are equal at the
sizes of the tasks alone: Based has 16 channels to a key and S4D 16 pairs of states at any width.
"""

from __future__ import annotations

from netwright.agents.genes import (
    DataDecay,
    Delta,
    FixedDecay,
    Gate,
    Hebbian,
    ImplicitFilter,
    OscillatingFilter,
    Removal,
    Shift,
    ShortFilter,
)
from netwright.agents.genotype import Genotype, Layer
from netwright.agents.leaves import Attention, Cell, Convolution, Matching, Memory, Positions

_ATTENTION = Layer(body=Attention(position="rotary", qk_norm="rms"))
_CONVOLUTION = Layer(body=Convolution(filter=ShortFilter(kernel=8), gates="both"))
_GATED_DELTA = Memory(
    rule=Delta(feature="silu"),
    qk_norm="l2",
    values="silu",
    decay=DataDecay(per="head", curve="rated", horizon=128),
    gate=Gate(activation="silu"),
)

BASELINE_GENOTYPES: dict[str, Genotype] = {
    "Softmax attention with rotary positions": Genotype(even=_ATTENTION),
    "Linear attention (elu + 1 features)": Genotype(
        even=Layer(body=Memory(rule=Hebbian(feature="elu+1", normaliser=True), norm="none"))
    ),
    "Retention (fixed decay per head)": Genotype(
        even=Layer(
            body=Memory(decay=FixedDecay(horizon=256, shortest=8), position="rotary", gate=Gate(activation="silu"))
        )
    ),
    "Gated linear attention (GLA)": Genotype(
        even=Layer(
            body=Memory(decay=DataDecay(per="channel", curve="softplus", horizon=32), gate=Gate(activation="silu"))
        )
    ),
    "DeltaNet (delta rule)": Genotype(even=Layer(body=Memory(rule=Delta(feature="silu"), qk_norm="l2", values="silu"))),
    "Gated short convolution": Genotype(even=_CONVOLUTION),
    "Gated convolution and softmax attention, hybrid": Genotype(even=_CONVOLUTION, odd=_ATTENTION),
    "Sliding-window attention with grouped keys": Genotype(
        even=Layer(body=Attention(projection="grouped", window=32, position="rotary", qk_norm="rms"))
    ),
    "Taylor linear attention and sliding windows (Based)": Genotype(
        even=Layer(body=Memory(rule=Hebbian(feature="taylor", normaliser=True), norm="none")),
        odd=Layer(body=Attention(window=32, position="rotary", qk_norm="rms")),
    ),
    "Gated DeltaNet (delta rule with decay)": Genotype(even=Layer(body=_GATED_DELTA)),
    "Mamba-2 (state space duality)": Genotype(
        even=Layer(
            body=Memory(
                projection="single",
                rule=Hebbian(feature="silu"),
                values="silu",
                decay=DataDecay(per="head", curve="rated", horizon=128, coupled=True),
                direct="scaled",
                norm="joint",
                gate=Gate(activation="silu"),
            )
        )
    ),
    "S4D (diagonal state space model)": Genotype(
        even=Layer(body=Convolution(filter=OscillatingFilter(pairs=16), gates="glu"))
    ),
    "RWKV-7 (generalised delta rule)": Genotype(
        even=Layer(
            body=Memory(
                rule=Removal(),
                local=Shift(separate=True),
                decay=DataDecay(per="channel", squeeze="tanh", horizon=128),
                direct="matched",
                norm="layer",
                gate=Gate(activation="inner sigmoid", rank="low"),
            )
        )
    ),
    "Hyena (implicit long convolutions, order 2)": Genotype(
        even=Layer(body=Convolution(filter=ImplicitFilter(bands=8), gates="twice"))
    ),
    "N-gram heads": Genotype(even=Layer(body=Matching(longest=3))),
    "Causal token-mixing MLP (MLP-Mixer)": Genotype(even=Layer(body=Positions(depth=2))),
    "LSTM (long short-term memory)": Genotype(even=Layer(body=Cell(cell="lstm"))),
    "Gated DeltaNet and softmax attention, hybrid": Genotype(
        even=Layer(body=_GATED_DELTA.model_copy(update={"gate": Gate(activation="silu", rank="low")})),
        odd=_ATTENTION,
    ),
}


def baseline_genotype(title: str) -> Genotype | None:
    """Return the genotype that stands for the baseline of that title; None if the grammar has no such sentence."""
    return BASELINE_GENOTYPES.get(title)

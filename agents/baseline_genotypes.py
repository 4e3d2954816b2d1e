"""The known architectures as sentences of the grammar, so that they can be parents.

Found by a baseline's title; an architecture that the grammar cannot say has none.
"""

from __future__ import annotations

from netwright.agents.genotype import (
    Attention,
    Convolution,
    DataDecay,
    Delta,
    FixedDecay,
    Gate,
    Genotype,
    Hebbian,
    Layer,
    Memory,
    ShortFilter,
)

_ATTENTION = Layer(body=Attention(position="rotary", qk_norm="rms"))
_CONVOLUTION = Layer(body=Convolution(filter=ShortFilter(kernel=8), gates="both"))

BASELINE_GENOTYPES: dict[str, Genotype] = {
    "Softmax attention with rotary positions": Genotype(even=_ATTENTION),
    "Linear attention (elu + 1 features)": Genotype(
        even=Layer(body=Memory(rule=Hebbian(feature="elu+1", normaliser=True), norm="none"))
    ),
    "Retention (fixed decay per head)": Genotype(
        even=Layer(body=Memory(decay=FixedDecay(horizon=128), position="rotary", gate=Gate(activation="silu")))
    ),
    "Gated linear attention (GLA)": Genotype(
        even=Layer(body=Memory(decay=DataDecay(per="channel", horizon=32), gate=Gate(activation="silu")))
    ),
    "DeltaNet (delta rule)": Genotype(even=Layer(body=Memory(rule=Delta(), qk_norm="l2"))),
    "Gated short convolution": Genotype(even=_CONVOLUTION),
    "Gated convolution and softmax attention, hybrid": Genotype(even=_CONVOLUTION, odd=_ATTENTION),
}


def baseline_genotype(title: str) -> Genotype | None:
    """Return the genotype that stands for the baseline of that title; None if the grammar has no such sentence."""
    return BASELINE_GENOTYPES.get(title)

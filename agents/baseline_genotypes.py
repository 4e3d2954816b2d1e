"""The known architectures as sentences of the grammar, so that they can be parents.

Found by what a baseline's title says; a title that says nothing known has no genotype.
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
    "softmax attention": Genotype(even=_ATTENTION),
    "linear attention": Genotype(even=Layer(body=Memory(rule=Hebbian(feature="elu+1", normaliser=True), norm="none"))),
    "retention": Genotype(
        even=Layer(body=Memory(decay=FixedDecay(horizon=128), position="rotary", gate=Gate(activation="silu")))
    ),
    "gated linear attention": Genotype(
        even=Layer(body=Memory(decay=DataDecay(per="channel", horizon=32), gate=Gate(activation="silu")))
    ),
    "deltanet": Genotype(even=Layer(body=Memory(rule=Delta(), qk_norm="l2"))),
    "gated convolution": Genotype(even=_CONVOLUTION),
    "hybrid": Genotype(even=_CONVOLUTION, odd=_ATTENTION),
}

# The first line whose words all occur in the title names the baseline: the more telling words come first.
_TITLE_WORDS: tuple[tuple[tuple[str, ...], str], ...] = (
    (("hybrid",), "hybrid"),
    (("attention", "convolution"), "hybrid"),
    (("delta",), "deltanet"),
    (("gated linear attention",), "gated linear attention"),
    (("retention",), "retention"),
    (("linear attention",), "linear attention"),
    (("convolution",), "gated convolution"),
    (("softmax attention",), "softmax attention"),
)


def baseline_genotype(title: str) -> Genotype | None:
    """Return the genotype that stands for the baseline of that title; None if the title is not known."""
    text = " ".join(title.lower().replace("_", " ").replace("-", " ").split())
    for words, name in _TITLE_WORDS:
        if all(word in text for word in words):
            return BASELINE_GENOTYPES[name]
    return None

"""What the grammar can say: a typed tree of fundamental operations that mix a sequence.

    Genotype
    ├── even: Layer              the mixer of layers 0, 2, 4, ...
    ├── odd:  Layer | None       the mixer of layers 1, 3, 5, ... (None: the same everywhere)
    └── recipe: RecipeGenes | None
    Layer    = body: Leaf | Parallel(left: Leaf, right: Leaf, merge), skip
    Leaf     = Attention | Memory | Convolution | Recurrence

A gene that would have no effect cannot be written down, so equal models are equal architectures. What may not
be combined is refused by the models themselves; `with_genes` moves to the nearest legal combination.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field, model_validator

from netwright.types import Frozen, JsonDict

Projection = Literal["full", "low rank", "grouped"]
Normalisation = Literal["none", "l2", "rms"]
Feature = Literal["identity", "elu+1", "relu", "squared relu", "softmax", "silu"]
Skip = Literal["none", "scaled", "gated"]
Merge = Literal["sum", "gated", "heads"]

POSITIVE_FEATURES: tuple[Feature, ...] = ("elu+1", "relu", "squared relu", "softmax")
DELTA_FEATURES: tuple[Feature, ...] = ("identity", "silu", "relu")
Horizon = Annotated[int, Field(ge=2, le=65536)]


class Shift(Frozen):
    """Token shift: each channel blends the token with the one before it."""

    kind: Literal["shift"] = "shift"


class ShortConvolution(Frozen):
    """Depthwise causal convolution over `kernel` tokens, of the input or of the projected q, k, v."""

    kind: Literal["convolution"] = "convolution"
    place: Literal["input", "projected"] = "projected"
    kernel: Annotated[int, Field(ge=2, le=8)] = 4


class Gate(Frozen):
    """Multiplies the output, channel by channel, by a function of the input."""

    activation: Literal["sigmoid", "silu"] = "silu"
    rank: Literal["full", "low"] = "full"


class FixedDecay(Frozen):
    """Forgetting at a fixed rate per head: half-lives from `horizon` tokens down to 2."""

    kind: Literal["fixed"] = "fixed"
    horizon: Horizon = 64


class DataDecay(Frozen):
    """Forgetting at a rate read from the token, per head or per key channel.

    `horizon` is the longest half-life at the start of training. `coupled` writes as much as was forgotten.
    """

    kind: Literal["data"] = "data"
    per: Literal["head", "channel"] = "head"
    horizon: Horizon = 64
    coupled: bool = False


class Hebbian(Frozen):
    """Adds the outer product of value and key; reads are averaged if `normaliser`."""

    kind: Literal["hebbian"] = "hebbian"
    feature: Feature = "identity"
    normaliser: bool = False


class Delta(Frozen):
    """Writes only the difference to what the key already recalls, with a write strength up to `strength`."""

    kind: Literal["delta"] = "delta"
    feature: Feature = "identity"
    strength: Literal[1, 2] = 1


class ShortFilter(Frozen):
    """A learned filter over the last `kernel` tokens."""

    kind: Literal["short"] = "short"
    kernel: Annotated[int, Field(ge=2, le=8)] = 4


class LongFilter(Frozen):
    """A filter over the whole past: a learned sum of `modes` decaying exponentials."""

    kind: Literal["long"] = "long"
    modes: Annotated[int, Field(ge=2, le=16)] = 8


Local = Annotated[Shift | ShortConvolution, Field(discriminator="kind")] | None
Decay = Annotated[FixedDecay | DataDecay, Field(discriminator="kind")] | None
Rule = Annotated[Hebbian | Delta, Field(discriminator="kind")]
Filter = Annotated[ShortFilter | LongFilter, Field(discriminator="kind")]


class Attention(Frozen):
    """Softmax attention over all earlier tokens, or over the last `window`."""

    kind: Literal["attention"] = "attention"
    projection: Projection = "full"
    local: Local = None
    window: Annotated[int, Field(ge=2)] | None = None
    position: Literal["none", "rotary", "alibi"] = "rotary"
    qk_norm: Normalisation = "none"
    talking: bool = False
    norm: Literal["none", "rms"] = "none"
    gate: Gate | None = None


class Memory(Frozen):
    """A fast-weight memory: a matrix per head, written and read once per token."""

    kind: Literal["memory"] = "memory"
    projection: Projection = "full"
    local: Local = None
    rule: Rule = Field(default_factory=Hebbian)
    decay: Decay = None
    key_width: Literal["full", "half"] = "full"
    position: Literal["none", "rotary"] = "none"
    qk_norm: Normalisation = "none"
    talking: bool = False
    norm: Literal["none", "rms"] = "rms"
    gate: Gate | None = None

    @model_validator(mode="after")
    def _legal(self) -> Memory:
        genes = _gene_values(self)
        broken = [name for name, value in _settled_memory(genes).items() if value != genes[name]]
        if broken:
            raise ValueError(f"this memory is not a sentence of the grammar: {', '.join(broken)} must change")
        return self


class Convolution(Frozen):
    """A causal filter per channel between multiplicative gates."""

    kind: Literal["convolution"] = "convolution"
    filter: Filter = Field(default_factory=ShortFilter)
    gates: Literal["output", "both"] = "both"
    norm: Literal["none", "rms"] = "none"


class Recurrence(Frozen):
    """A running average per channel whose rate of forgetting is read from the token."""

    kind: Literal["recurrence"] = "recurrence"
    local: Local = None
    horizon: Horizon = 64
    rank: Literal["full", "low"] = "full"
    norm: Literal["none", "rms"] = "none"
    gate: Gate | None = None


Leaf = Attention | Memory | Convolution | Recurrence
AnyLeaf = Annotated[Leaf, Field(discriminator="kind")]


class Parallel(Frozen):
    """Two mixers side by side: summed, blended by a gate, or each with half of the heads."""

    kind: Literal["parallel"] = "parallel"
    left: AnyLeaf
    right: AnyLeaf
    merge: Merge = "sum"


class Layer(Frozen):
    """The mixer of one layer; `skip` adds the input to its output, scaled or gated per channel."""

    body: Annotated[Attention | Memory | Convolution | Recurrence | Parallel, Field(discriminator="kind")]
    skip: Skip = "none"


class RecipeGenes(Frozen):
    """What this architecture wants trained differently; None leaves the task's own recipe."""

    lr: Annotated[float, Field(ge=1e-6, le=1.0)] | None = None
    weight_decay: Annotated[float, Field(ge=0.0, le=1.0)] | None = None
    warmup: Annotated[float, Field(ge=0.0, le=0.5)] | None = None
    batch_size: Annotated[int, Field(ge=1, le=1024)] | None = None
    grad_clip: Annotated[float, Field(gt=0.0, le=1000.0)] | None = None
    schedule: Literal["cosine", "linear", "constant"] | None = None

    def settings(self) -> JsonDict:
        return self.model_dump(exclude_none=True)


class Genotype(Frozen):
    """One sentence of the grammar: a whole mixer, its layer schedule and perhaps a recipe."""

    version: Literal[1] = 1
    even: Layer
    odd: Layer | None = None
    recipe: RecipeGenes | None = None

    @model_validator(mode="before")
    @classmethod
    def _drop_what_says_nothing(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        recipe = data.get("recipe")
        settings = recipe.settings() if isinstance(recipe, RecipeGenes) else recipe
        if settings is not None and not any(value is not None for value in settings.values()):
            data = {**data, "recipe": None}
        if data.get("odd") is not None and data["odd"] == data.get("even"):
            data = {**data, "odd": None}
        return data

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The one or two different layers."""
        return (self.even,) if self.odd is None else (self.even, self.odd)

    @property
    def leaves(self) -> tuple[Leaf, ...]:
        """All leaves, from left to right."""
        return tuple(leaf for layer in self.layers for leaf in layer_leaves(layer))

    def text(self) -> str:
        """Write the genotype as canonical JSON: equal genotypes have equal texts."""
        return self.model_dump_json()


def layer_leaves(layer: Layer) -> tuple[Leaf, ...]:
    """Return the one or two leaves of `layer`."""
    body = layer.body
    return (body.left, body.right) if isinstance(body, Parallel) else (body,)


AnyModel = TypeVar("AnyModel", bound=Frozen)


def with_genes(model: AnyModel, **genes: Any) -> AnyModel:
    """Copy `model` with some genes changed, settled into a legal combination and validated."""
    values = {**_gene_values(model), **genes}
    if isinstance(model, Memory):
        values = _settled_memory(values, keep=genes)
    return type(model).model_validate(values)


def _gene_values(model: Frozen) -> dict[str, Any]:
    return {name: getattr(model, name) for name in type(model).model_fields}


def _settled_memory(genes: dict[str, Any], keep: JsonDict | None = None) -> dict[str, Any]:
    """Move the genes of a memory to the nearest legal combination; genes named in `keep` give way last."""
    genes = dict(genes)
    keep = keep or {}
    if isinstance(genes["rule"], Delta):
        _settle_delta(genes)
    else:
        _settle_hebbian(genes, keep)
    return genes


def _settle_delta(genes: dict[str, Any]) -> None:
    # Keys of unit length bound the correction: an unnormalised delta rule grows without limit.
    if genes["rule"].feature not in DELTA_FEATURES:
        genes["rule"] = Delta(strength=genes["rule"].strength)
    genes.update(qk_norm="l2", talking=False)
    if genes["position"] == "rotary" and genes["rule"].feature != "identity":
        genes["position"] = "none"
    if isinstance(genes["decay"], DataDecay) and genes["decay"].coupled:
        genes["decay"] = genes["decay"].model_copy(update={"coupled": False})


def _settle_hebbian(genes: dict[str, Any], keep: JsonDict) -> None:
    rule = genes["rule"]
    if genes["position"] == "rotary" and (rule.feature != "identity" or rule.normaliser):
        if "position" in keep:
            genes["rule"] = rule = Hebbian()
        else:
            genes["position"] = "none"
    if rule.normaliser and rule.feature not in POSITIVE_FEATURES:
        genes["rule"] = rule = rule.model_copy(update={"normaliser": False})
    if not rule.normaliser:
        genes["norm"] = "rms"
    decay = genes["decay"]
    if genes["talking"] and isinstance(decay, DataDecay) and decay.per == "channel":
        if "talking" in keep:
            genes["decay"] = decay.model_copy(update={"per": "head"})
        else:
            genes["talking"] = False

"""What the grammar can say: a typed tree of fundamental operations that mix a sequence.

    Genotype
    ├── even: Layer              the mixer of layers 0, 2, 4, ...
    ├── odd:  Layer | None       the mixer of layers 1, 3, 5, ... (None: the same everywhere)
    └── recipe: RecipeGenes | None
    Layer    = body: Leaf | Parallel(left: Leaf, right: Leaf, merge), skip
    Leaf     = Attention | Memory | Convolution | Recurrence | Cell | Matching | Positions

A gene that would have no effect cannot be written down, so equal models are equal architectures. What may not
be combined is refused by the models themselves; `with_genes` moves to the nearest legal combination. Genes that came
later have defaults that say what was so before: what an older memory holds can be read.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field, model_validator

from netwright.agents.genes import Merge, Skip
from netwright.agents.leaves import (
    Attention,
    Cell,
    Convolution,
    Leaf,
    Matching,
    Memory,
    Mixing,
    Positions,
    Recurrence,
    gene_values,
)
from netwright.types import Frozen, JsonDict

AnyLeaf = Annotated[Leaf, Field(discriminator="kind")]


class Parallel(Frozen):
    """Two mixers side by side: summed, blended by a gate, or each with half of the heads."""

    kind: Literal["parallel"] = "parallel"
    left: AnyLeaf
    right: AnyLeaf
    merge: Merge = "sum"


class Layer(Frozen):
    """The mixer of one layer; `skip` adds the input to its output, scaled or gated per channel."""

    body: Annotated[
        Attention | Memory | Convolution | Recurrence | Cell | Matching | Positions | Parallel,
        Field(discriminator="kind"),
    ]
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
    values = {**gene_values(model), **genes}
    if isinstance(model, Mixing):
        values = model.settled(values, keep=genes)
    return type(model).model_validate(values)

"""Known architectures as ordinary candidate files, in this folder: what every discovery is compared with."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from importlib import resources
from typing import Any

from netwright.errors import ConfigError
from netwright.evaluator.contract import recipe_overrides, title_and_hypothesis
from netwright.types import Candidate, Scope, TaskSpec

CORE = (
    "softmax_attention",
    "linear_attention",
    "retention",
    "gated_linear_attention",
    "delta_net",
    "gated_convolution",
    "attention_convolution_hybrid",
)
"""The mixers that a campaign trains unless it is told otherwise: one of each family, in this order."""
MIXERS = (
    *CORE,
    "sliding_window_attention",
    "based",
    "gated_delta_net",
    "mamba2",
    "s4d",
    "rwkv7",
    "hyena",
    "ngram_heads",
    "mlp_mixer",
    "lstm",
    "gated_delta_attention_hybrid",
)
MODELS = ("linear_model", "multilayer_perceptron", "residual_mlp")
"""Whole models, for rows of numbers of any shape."""
IMAGE_MODELS = ("convolutional_network", "vision_transformer", "image_mlp_mixer")
"""Whole models for rows of shape (channels, height, width)."""


def baselines_for(spec: TaskSpec, chosen: str | Sequence[str] = "core") -> tuple[Candidate, ...]:
    """Return the baselines of a task: `core`, `all`, or those of the given names, each once, in their order.

    Raises:
        ConfigError: no baseline of the task's scope has one of the names.
    """
    fitting = _fitting(spec)
    if chosen == "all":
        names: Iterable[str] = fitting
    elif chosen == "core":
        names = [name for name in fitting if name in CORE] or fitting
    else:
        names = [chosen] if isinstance(chosen, str) else dict.fromkeys(chosen)
    unknown = [name for name in names if name not in fitting]
    if unknown:
        raise ConfigError(
            f"task {spec.name!r} has no baseline {unknown[0]!r}: its baselines are {', '.join(fitting) or 'none'}; "
            "say core, all, or some of these names"
        )
    return tuple(map(baseline, names))


def named_baselines(spec: TaskSpec) -> dict[str, Candidate]:
    """Return all baselines of a task by their names."""
    return {name: baseline(name) for name in _fitting(spec)}


def reference_for(spec: TaskSpec) -> tuple[Candidate, TaskSpec]:
    """Return what budgets are counted in, with the spec under which it is built: softmax attention between our MLPs.

    Rows of numbers have no positions to attend to; there it is the multilayer perceptron.
    """
    reference = baseline("softmax_attention" if spec.inputs == "tokens" else "multilayer_perceptron")
    return reference, spec.model_copy(update={"scope": reference.scope})


def _fitting(spec: TaskSpec) -> tuple[str, ...]:
    if spec.scope is Scope.MIXER:
        return MIXERS
    if spec.scope is Scope.MODEL and spec.inputs == "numbers":
        return (*MODELS, *IMAGE_MODELS) if len(spec.input_shape) == 3 else MODELS
    return ()


@cache
def baseline(name: str) -> Candidate:
    """Return the candidate in the file `name.py`: title and hypothesis are its docstring.

    Raises:
        ConfigError: no baseline has that name.
    """
    if name not in (*MIXERS, *MODELS, *IMAGE_MODELS):
        raise ConfigError(
            f"there is no baseline {name!r}: the baselines are {', '.join((*MIXERS, *MODELS, *IMAGE_MODELS))}"
        )
    source = resources.files(__name__).joinpath(f"{name}.py").read_text(encoding="utf-8")
    title, hypothesis = title_and_hypothesis(source)
    return Candidate(
        source=source,
        scope=Scope.MIXER if name in MIXERS else Scope.MODEL,
        title=title,
        hypothesis=hypothesis,
        origin="baseline",
    )


def rivals_of(design: Candidate, baselines: Iterable[Candidate]) -> tuple[Candidate, ...]:
    """Return the baselines, and, for a design with a RECIPE of its own, each baseline with that recipe as well.

    Otherwise a better learning rate would pass for a better architecture.
    """
    plain = tuple(baselines)
    recipe = recipe_overrides(design.source)
    return (*plain, *(_with_recipe(each, recipe) for each in plain)) if recipe else plain


def _with_recipe(candidate: Candidate, recipe: dict[str, Any]) -> Candidate:
    return candidate.model_copy(
        update={
            "source": f"{candidate.source.rstrip()}\n\n\nRECIPE = {recipe!r}\n",
            "title": f"{candidate.title}, the design's recipe",
        }
    )

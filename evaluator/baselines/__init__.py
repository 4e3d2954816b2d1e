"""Known architectures as ordinary candidate files, in this folder: what every discovery is compared with."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Any

from netwright.errors import ConfigError
from netwright.evaluator.contract import recipe_overrides, title_and_hypothesis
from netwright.types import Candidate, Scope

_NAMES = (
    "softmax_attention",
    "linear_attention",
    "retention",
    "gated_linear_attention",
    "delta_net",
    "gated_convolution",
    "attention_convolution_hybrid",
)


def baseline_names() -> tuple[str, ...]:
    """Return the names of all baselines; a campaign trains them in this order."""
    return _NAMES


@cache
def baseline(name: str) -> Candidate:
    """Return the candidate in the file `name.py`: title and hypothesis are its docstring.

    Raises:
        ConfigError: no baseline has that name.
    """
    if name not in _NAMES:
        raise ConfigError(f"there is no baseline {name!r}: the baselines are {', '.join(_NAMES)}")
    source = resources.files(__name__).joinpath(f"{name}.py").read_text(encoding="utf-8")
    title, hypothesis = title_and_hypothesis(source)
    return Candidate(
        source=source,
        scope=Scope.MIXER,
        title=title,
        hypothesis=hypothesis,
        origin="baseline",
    )


def rivals_of(design: Candidate) -> tuple[Candidate, ...]:
    """Return the baselines, and, for a design with a RECIPE of its own, each baseline with that recipe as well.

    Otherwise a better learning rate would pass for a better architecture.
    """
    baselines = tuple(baseline(name) for name in _NAMES)
    recipe = recipe_overrides(design.source)
    return (*baselines, *(_with_recipe(each, recipe) for each in baselines)) if recipe else baselines


def _with_recipe(candidate: Candidate, recipe: dict[str, Any]) -> Candidate:
    return candidate.model_copy(
        update={
            "source": f"{candidate.source.rstrip()}\n\n\nRECIPE = {recipe!r}\n",
            "title": f"{candidate.title}, the design's recipe",
        }
    )

"""How trainings were executed, in sentences: on what, in which precision, compiled or not, and why not."""

from __future__ import annotations

from collections.abc import Iterable

from netwright.cli.output import took
from netwright.types import JsonDict


def executed_words(telemetries: Iterable[JsonDict]) -> list[str]:
    """One sentence for each way in which the trainings of these `Trial.telemetry` were executed."""
    return list(dict.fromkeys(_sentence(told) for told in telemetries if "device" in told))


def _sentence(told: JsonDict) -> str:
    words = f"trained on {told['device']}, in {told.get('precision', 'float32')}"
    if why := told.get("not_in_bf16"):
        words += f" (not in bf16: {_last_line(why)})"
    if backend := told.get("backend"):
        words += f", compiled by {backend} in {took(told.get('compile_seconds', 0.0))}"
    if why := told.get("not_compiled"):
        words += f", not compiled: {_last_line(why)}"
    return words


def _last_line(why: str) -> str:
    """What an error says, without the lines of the candidate that lead to it."""
    return why.strip().splitlines()[-1] if why.strip() else "it said nothing"

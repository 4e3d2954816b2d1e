"""Words that come from candidates and models, made fit for a terminal, a page, a prompt and UTF-8."""

from __future__ import annotations

import math
from typing import Annotated, Any

from pydantic import AfterValidator

DEPTH_MAX = 8
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_CONTROLS = [code for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\n\t"]
_DIRECTIONS = [0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)]
_SEPARATORS = [0x2028, 0x2029]
_SURROGATES = range(0xD800, 0xE000)
_TABLE = dict.fromkeys([*_CONTROLS, *_DIRECTIONS, *_SEPARATORS, *_SURROGATES], _REPLACEMENT)


def printable(text: str) -> str:
    """Replace what steers a terminal, turns the direction of reading or has no UTF-8; lines and tabs stay."""
    return text if text.isascii() and text.isprintable() else text.replace("\r\n", "\n").translate(_TABLE)


def printable_json(value: Any, depth: int = DEPTH_MAX) -> Any:
    """Do so with every string of a JSON value, keys too; what is nested too deeply or is no number becomes None."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {printable(str(key)): printable_json(part, depth - 1) for key, part in value.items()} if depth else None
    if isinstance(value, list | tuple):
        return [printable_json(part, depth - 1) for part in value] if depth else None
    return value


Words = Annotated[str, AfterValidator(printable)]
"""A field for text that somebody reads and that a candidate or a model may have written."""

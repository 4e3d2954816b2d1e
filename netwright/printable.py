"""Words that come from candidates and models, made fit for a terminal, a page, a prompt and UTF-8."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator

_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_CONTROLS = [code for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\n\t"]
_DIRECTIONS = [0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)]
_SEPARATORS = [0x2028, 0x2029]
_SURROGATES = range(0xD800, 0xE000)
_TABLE = dict.fromkeys([*_CONTROLS, *_DIRECTIONS, *_SEPARATORS, *_SURROGATES], _REPLACEMENT)


def printable(text: str) -> str:
    """Replace what steers a terminal, turns the direction of reading or has no UTF-8; lines and tabs stay."""
    return text if text.isascii() and text.isprintable() else text.replace("\r\n", "\n").translate(_TABLE)


def printable_json(value: Any) -> Any:
    """Do so with every string of a JSON value, keys too."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, dict):
        return {printable(str(key)): printable_json(part) for key, part in value.items()}
    return [printable_json(part) for part in value] if isinstance(value, list) else value


Words = Annotated[str, AfterValidator(printable)]
"""A field for text that somebody reads and that a candidate or a model may have written."""

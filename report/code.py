"""Python source as HTML: everything escaped, words marked for the style sheet."""

from __future__ import annotations

import io
import keyword
import tokenize
from collections.abc import Iterator

from markupsafe import Markup, escape

_KINDS = {tokenize.COMMENT: "comment", tokenize.STRING: "string", tokenize.NUMBER: "number"}


def highlight(source: str) -> Markup:
    """`source` with comments, strings, numbers, keywords and defined names in spans.

    Source that does not tokenize is escaped and left plain.
    """
    try:
        marks = list(_marks(source))
    except (tokenize.TokenError, SyntaxError, ValueError):
        return escape(source)
    lines = source.splitlines(keepends=True)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))
    pieces, position = [], 0
    for kind, (row, column), (last_row, last_column) in marks:
        start, end = starts[row - 1] + column, starts[last_row - 1] + last_column
        pieces += [escape(source[position:start]), Markup('<span class="{}">').format(kind)]
        pieces += [escape(source[start:end]), Markup("</span>")]
        position = end
    return Markup("").join([*pieces, escape(source[position:])])


def _marks(source: str) -> Iterator[tuple[str, tuple[int, int], tuple[int, int]]]:
    defines = False
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        kind = _KINDS.get(token.type)
        if token.type == tokenize.NAME:
            kind = "name" if defines else "keyword" if keyword.iskeyword(token.string) else None
            defines = token.string in {"def", "class"}
        if kind:
            yield kind, token.start, token.end

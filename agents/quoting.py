"""Words of candidates and models, put into a prompt as what they are: data. Pure.

Whoever wrote them may have meant to end a quotation, to speak in another's name or to hide something. So they keep to
their line, their tag and their fence, hold no character that does not show, and no mark by which chat templates and
these prompts tell who speaks.
"""

from __future__ import annotations

import re
import unicodedata

FAILURE_CHARACTERS = 3000
LINE_CHARACTERS = 400
_UNSEEN = frozenset(("Cc", "Cf", "Cs", "Co"))
_LINE_ENDS = re.compile("\r\n|[\r\x0b\x0c\x85\u2028\u2029]")
_UNUSUAL = re.compile(r"[^\n\t\x20-\x7e]")
_MARKS = re.compile(
    r"<(?=(?:/\s*)?data\b|[|\uff5c]|/?(?:s|think|thinking|start_of_turn|end_of_turn)\s*>)|\[(?=/?INST\])",
    re.IGNORECASE,
)
"""Where our own tag begins, or a mark of a chat template: `<|im_start|>`, `<think>`, `[INST]` and their like."""


def plain(text: str) -> str:
    """Drop what does not show: controls, directions of reading, halves of characters; line ends and tabs stay."""
    if text.replace("\n", " ").replace("\t", " ").isprintable():
        return text
    text = _LINE_ENDS.sub("\n", text)
    return _UNUSUAL.sub(lambda match: "" if unicodedata.category(match[0]) in _UNSEEN else match[0], text)


def harmless(text: str) -> str:
    """Return text that shows all it holds and can neither close a tag nor pass for another speaker."""
    return _MARKS.sub(lambda match: f"{match[0]} ", plain(text))


def one_line(text: str, characters: int = LINE_CHARACTERS) -> str:
    """Return harmless text on one line, cut at its end."""
    line = " ".join(harmless(text).split())
    return line if len(line) <= characters else line[: characters - 3] + "..."


def quoted(text: str, characters: int = FAILURE_CHARACTERS) -> str:
    """Quote output as data: cut in its middle, unable to close its own tag."""
    return as_data(cut_middle(harmless(text), characters).strip())


def as_data(text: str) -> str:
    """Put text that is harmless already between the tags of data."""
    return f"<data>\n{text}\n</data>"


def fenced(code: str, language: str) -> str:
    """Put `code` into a fence longer than any run of backticks inside it; what does not show is dropped."""
    code = plain(code)
    longest = max((len(run) for run in re.findall(r"`+", code)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{code.rstrip()}\n{fence}"


def quoted_code(code: str, language: str = "python") -> str:
    """Quote code as `fenced`, its strings and comments harmless.

    What is changed by that has no meaning in code, or the same: `x <s> y` becomes `x < s> y`.
    """
    return fenced(harmless(code), language)


def cut_middle(text: str, characters: int) -> str:
    """Keep the head and, because a traceback ends with its cause, more of the tail."""
    if len(text) <= characters:
        return text
    head, tail = characters // 3, characters - characters // 3
    return f"{text[:head]}\n[... {len(text) - characters} characters left out ...]\n{text[-tail:]}"

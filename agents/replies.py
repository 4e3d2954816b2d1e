"""Reading what a model wrote: thinking taken out, JSON found, code blocks found. Pure; trusts nothing.

A reply in its raw form is one string. Reasoning that came in a field of its own is put in front of it as
`<think>...</think>`, so that the string alone is enough to replay a campaign.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from netwright.syntax import parse
from netwright.types import JsonDict

_THINK_OPEN = re.compile(r"<(think|thinking|reasoning)>", re.IGNORECASE)
_THINK_CLOSE = re.compile(r"</(think|thinking|reasoning)>", re.IGNORECASE)
_FENCE = re.compile(r"^ {0,3}(?P<fence>`{3,}|~{3,})[ \t]*(?P<language>[A-Za-z0-9_+.-]*)[^`\n]*$")
_LATE_FENCE = re.compile(r"^[^`]*\S[^`]*(?P<fence>`{3,})(?P<language>json|python|py)\s*$", re.IGNORECASE)
_JSON = json.JSONDecoder(strict=False)
PYTHON_LANGUAGES = ("python", "py", "python3", "")

Model = TypeVar("Model", bound=BaseModel)


def _as_text(value: object) -> object:
    """Models send lists and numbers where a sentence was asked for; both are readable as one."""
    if isinstance(value, list):
        value = "; ".join(str(item) for item in value)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        value = str(value)
    return " ".join(value.split())[:2000] if isinstance(value, str) else value


Sentence = Annotated[str, BeforeValidator(_as_text)]


class Plan(BaseModel):
    """What a planner says about its design before it writes it. Keys that were not asked for are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    title: Annotated[Sentence, Field(min_length=1, max_length=200)]
    hypothesis: Annotated[Sentence, Field(min_length=1)]
    changes: Sentence = ""
    expected_effect: Sentence = ""


class Plans(BaseModel):
    """Several plans, as a planner is asked for them."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    plans: Annotated[list[Plan], Field(min_length=1)]


class Comment(BaseModel):
    """What a critic says about a verdict: what changed, what the numbers say, why so, and how to find out."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    changed: Sentence = ""
    words: Annotated[Sentence, Field(min_length=1)]
    mechanism: Sentence = ""
    test: Sentence = ""
    lesson: Sentence | None = None


class Opinion(BaseModel):
    """What a critic gives for one plan, from 0 (known not to work) to 10 (sure to be better)."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    plan: int
    score: Annotated[float, Field(ge=0, le=10)]
    why: Sentence = ""


class Opinions(BaseModel):
    """What a critic gives for each of several plans."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    opinions: Annotated[list[Opinion], Field(min_length=1)]


@dataclass(frozen=True)
class CodeBlock:
    """A fenced block; `closed` is False where the text ended inside it."""

    language: str
    body: str
    closed: bool


@dataclass(frozen=True)
class SplitReply:
    """A raw reply taken apart; `unfinished_thinking` means that it ended before the answer began."""

    answer: str
    thinking: str
    unfinished_thinking: bool = False


def split_thinking(raw: str) -> SplitReply:
    """Separate the answer from thinking marked by `<think>` tags.

    A closing tag without an opening one ends thinking that began at the first character (chat templates often
    write the opening tag themselves).
    """
    answer: list[str] = []
    thinking: list[str] = []
    rest = raw
    orphan = _THINK_CLOSE.search(rest)
    opening = _THINK_OPEN.search(rest)
    if orphan and (opening is None or orphan.start() < opening.start()):
        thinking.append(rest[: orphan.start()])
        rest = rest[orphan.end() :]
    while opening := _THINK_OPEN.search(rest):
        answer.append(rest[: opening.start()])
        closing = _THINK_CLOSE.search(rest, opening.end())
        if closing is None:
            thinking.append(rest[opening.end() :])
            return SplitReply(_trimmed("".join(answer)), "\n".join(thinking).strip(), unfinished_thinking=True)
        thinking.append(rest[opening.end() : closing.start()])
        rest = rest[closing.end() :]
    answer.append(rest)
    return SplitReply(_trimmed("".join(answer)), "\n".join(thinking).strip())


def _trimmed(text: str) -> str:
    """Without blank lines at its ends; the first line keeps its indentation, as it may be one of a file."""
    return re.sub(r"\A(?:[^\S\n]*\n)+", "", text.rstrip())


def code_blocks(text: str) -> list[CodeBlock]:
    """All fenced blocks of `text` in order; a fence is closed by a bare one at least as long.

    A fence that opens at the end of a line of prose counts where it names its language.
    """
    blocks: list[CodeBlock] = []
    language, opener, body = "", "", list[str]()
    for line in text.splitlines():
        match = _FENCE.match(line)
        if not opener:
            if match := match or _LATE_FENCE.match(line):
                language, opener, body = match["language"].lower(), match["fence"], []
        elif match and not match["language"] and match["fence"].startswith(opener):
            blocks.append(CodeBlock(language, "\n".join(body) + "\n", closed=True))
            opener = ""
        else:
            body.append(line)
    if opener:
        blocks.append(CodeBlock(language, "\n".join(body) + "\n", closed=False))
    return blocks


def json_objects(text: str) -> Iterator[JsonDict]:
    """Every JSON object that can be read from `text`, outermost first, whatever stands around it."""
    start = text.find("{")
    while start != -1:
        try:
            value, end = _JSON.raw_decode(text, start)
        except (ValueError, RecursionError):
            end = start + 1
        else:
            if isinstance(value, dict):
                yield value
        start = text.find("{", end)


@dataclass(frozen=True)
class Defect:
    """Why a part of a reply can't be used: a sentence that the model can act on."""

    problem: str


def read_object(text: str, kind: type[Model]) -> Model | Defect:
    """Return the first JSON object of `text` that is a valid `kind`; JSON fences are read before the rest."""
    fenced = [block.body for block in code_blocks(text) if block.language in ("json", "json5", "jsonc")]
    defect: Defect | None = None
    for value in (value for part in [*fenced, text] for value in json_objects(part)):
        try:
            return kind.model_validate(value)
        except ValidationError as error:
            defect = defect or Defect(_validation_sentence(error, kind))
    return defect or Defect(_no_object_sentence(text, kind))


def read_plans(text: str) -> tuple[Plan, ...] | Defect:
    """Return every valid plan of `text`, in order, whether they came in a list or one by one."""
    fenced = [block.body for block in code_blocks(text) if block.language in ("json", "json5", "jsonc")]
    defect: Defect | None = None
    for part in [*fenced, text]:
        plans: list[Plan] = []
        for value in json_objects(part):
            listed = value.get("plans")
            for item in listed if isinstance(listed, list) else [value]:
                try:
                    plans.append(Plan.model_validate(item))
                except ValidationError as error:
                    defect = defect or Defect(_validation_sentence(error, Plan))
        if plans:
            return tuple(dict.fromkeys(plans))
    return defect or Defect(_no_object_sentence(text, Plan))


def _validation_sentence(error: ValidationError, kind: type[BaseModel]) -> str:
    faults = "; ".join(
        f"key {'.'.join(str(part) for part in fault['loc'])!r}: {fault['msg']}" for fault in error.errors()
    )
    return f"the JSON object is no valid {kind.__name__.lower()}: {faults}."


def _no_object_sentence(text: str, kind: type[BaseModel]) -> str:
    start = text.find("{")
    if start == -1:
        return f"it has no JSON object with the {kind.__name__.lower()}."
    try:
        _JSON.raw_decode(text[start:])
    except json.JSONDecodeError as error:
        return f"the {kind.__name__.lower()}'s JSON does not parse: {error.msg} in line {error.lineno} of it."
    except RecursionError:
        return f"the {kind.__name__.lower()}'s JSON is nested too deeply."
    return f"it has no JSON object with the {kind.__name__.lower()}."


def python_block(text: str, class_name: str) -> CodeBlock | None:
    """Return the likeliest file: the longest block that defines `class_name`, else the longest of Python."""
    blocks = [block for block in code_blocks(text) if block.language in PYTHON_LANGUAGES]
    defining = [block for block in blocks if re.search(rf"^class\s+{class_name}\b", block.body, re.MULTILINE)]
    named = [block for block in blocks if block.language]
    return max(defining or named or blocks, key=lambda block: len(block.body), default=None)


def check_source(source: str, class_name: str) -> Defect | None:
    """None when `source` is Python that defines `class_name` at top level."""
    try:
        tree = parse(source).tree
    except SyntaxError as error:
        line = (error.text or "").strip()
        return Defect(f"the Python file does not parse: line {error.lineno}: {error.msg}: {line[:200]!r}.")
    except (ValueError, RecursionError, MemoryError) as error:
        return Defect(f"the Python file does not parse: {error}.")
    if any(isinstance(node, ast.ClassDef) and node.name == class_name for node in tree.body):
        return None
    found = [node.name for node in tree.body if isinstance(node, ast.ClassDef)]
    return Defect(
        f"the Python file must define `class {class_name}` at top level; it defines {', '.join(found) or 'no class'}."
    )


def join_continuation(partial: str, rest: str) -> str:
    """Join a file that was cut off with its continuation, dropping lines that the continuation repeats.

    The last line of `partial` is dropped first when it has no line end, because it may be half a line.
    """
    head = partial.splitlines()
    tail = rest.splitlines()
    for overlap in range(min(len(head), len(tail), 40), 0, -1):
        if head[-overlap:] == tail[:overlap]:
            tail = tail[overlap:]
            break
    return "\n".join(head + tail) + "\n"

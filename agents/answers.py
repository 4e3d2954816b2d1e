"""From replies to plans and a file: what is in hand, what is wrong, what to ask for next. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Generic, Self

from netwright.agents.edits import apply_edits, has_edits, read_edits, unfenced
from netwright.agents.replies import (
    CodeBlock,
    Defect,
    Model,
    Plan,
    check_source,
    code_blocks,
    join_continuation,
    python_block,
    read_object,
    read_plans,
    split_thinking,
)
from netwright.prompts import load

_MIN_PARTIAL_LINES = 4
_FILE, _BLOCKS = "the Python file", "the search/replace blocks"
_NO_TEXT = "there was no text outside the reasoning."
_CUT_BEFORE = "it was cut off before the answer began."


@dataclass(frozen=True, kw_only=True)
class PlansAnswer:
    """Plans as they came so far, and a file where the model wrote one at once; see `conversation.Answer`.

    `class_name` is what such a file would define.
    """

    class_name: str
    plans: tuple[Plan, ...] = ()
    source: str | None = None
    problem: str = ""
    wanted: str = ""
    cut_off: bool = False

    @property
    def complete(self) -> bool:
        return bool(self.plans)

    def absorb(self, raw: str, *, cut_off: bool) -> Self:
        """Take in the plans of a reply; of one that was cut off those which came whole."""
        text, silent = _said(raw, cut_off)
        found = read_plans(text)
        source = _read_source(text, self.class_name, None, cut_off)
        kept = source if isinstance(source, str) else self.source
        if not isinstance(found, Defect):
            return replace(self, plans=found, source=kept, problem="", wanted="", cut_off=cut_off)
        problem = _silence(cut_off) if silent else found.problem
        wanted = "wanted_plan" if kept else "wanted_plans_again"
        return replace(self, source=kept, problem=problem, wanted=load(wanted).text.strip(), cut_off=cut_off)


@dataclass(frozen=True, kw_only=True)
class FileAnswer:
    """A file as it came so far; see `conversation.Answer`. `partial` is one whose end is missing.

    `plan` is the plan that the file is of, or the one that came with it. `base` is the file that search/replace blocks
    may change in place of a whole file; then `partial` may be blocks, and `misses` counts the answers whose blocks
    could not be carried out.
    """

    class_name: str
    plan: Plan
    base: str | None = None
    source: str | None = None
    partial: str | None = None
    misses: int = 0
    problem: str = ""
    wanted: str = ""
    cut_off: bool = False

    @property
    def complete(self) -> bool:
        return self.source is not None

    def absorb(self, raw: str, *, cut_off: bool) -> Self:
        """Take in what is usable of a reply."""
        text, silent = _said(raw, cut_off)
        plan = read_object(text, Plan)
        source = self._read(text, cut_off)
        so_far = replace(self, plan=plan if isinstance(plan, Plan) else self.plan, cut_off=cut_off)
        if isinstance(source, str):
            return replace(so_far, source=source, partial=None, problem="", wanted="")
        partial = source.body if isinstance(source, CodeBlock) else None
        missed = self.base is not None and not cut_off and not silent
        so_far = replace(so_far, partial=partial, misses=self.misses + missed)
        problem = _silence(cut_off) if silent else _problem(source, cut_off)
        return replace(so_far, problem=problem, wanted=so_far._wanted(shorter=cut_off or silent))

    def _read(self, text: str, cut_off: bool) -> str | CodeBlock | Defect:
        """Return the file; or the part of it, or of its blocks, that came; or why there is neither."""
        continues = self.partial is not None and has_edits(self.partial)
        source = _read_source(text, self.class_name, None if continues else self.partial, cut_off)
        if self.base is None or (isinstance(source, str) and not has_edits(text)):
            return source
        if continues or has_edits(text):
            return _read_edits(self.base, text, self.class_name, self.partial if continues else None, cut_off)
        return source if python_block(text, self.class_name) else Defect("it has no search/replace block.")

    def _wanted(self, *, shorter: bool) -> str:
        """What to ask for: the rest; else the blocks once more; else, and where they failed twice, the whole file."""
        if self.partial is not None:
            rest = "wanted_rest_edits" if self.base is not None and has_edits(self.partial) else "wanted_rest"
            return load(rest).render(last_line=self.partial.rstrip().splitlines()[-1]).strip()
        if self.base is not None and self.misses < 2:
            return load("wanted_edits_shorter" if shorter else "wanted_edits").text.strip()
        return load("wanted_shorter" if shorter else "wanted_code").text.strip()


def _said(raw: str, cut_off: bool) -> tuple[str, bool]:
    """Return the answer of a reply, and whether nothing stands outside its reasoning.

    Where a server put the whole answer into the reasoning field, it is read from there. But what was cut off while it
    was thinking has not answered, whatever drafts are in its thoughts.
    """
    split = split_thinking(raw)
    thoughts = "" if cut_off and split.unfinished_thinking else split.thinking
    return split.answer or thoughts, not split.answer


def _read_edits(base: str, text: str, class_name: str, partial: str | None, cut_off: bool) -> str | CodeBlock | Defect:
    """Return `base` as the blocks of `text`, which may go on where `partial` ends, change it; see `_read_source`."""
    joined = join_continuation(partial, _rest_of_blocks(text)) if partial is not None else text
    if cut_off:
        begun = _without_last_line(joined, _BLOCKS)
        return begun if isinstance(begun, Defect) or has_edits(begun.body) else Defect(_cut_before(_BLOCKS))
    # Instead of going on a model may have begun again.
    return _changed(base, text if partial is not None and _begins_again(partial, text) else joined, class_name)


def _begins_again(partial: str, text: str) -> bool:
    """Whether the first block of `text` searches what the first block of `partial` does."""
    begun, blocks = read_edits(partial), read_edits(text)
    if isinstance(begun, Defect) or isinstance(blocks, Defect) or not blocks.edits:
        return False
    return bool(begun.edits) and begun.edits[0].search == blocks.edits[0].search


def _changed(base: str, text: str, class_name: str) -> str | Defect:
    blocks = read_edits(text)
    if isinstance(blocks, Defect):
        return blocks
    source = apply_edits(base, blocks.edits)
    return source if isinstance(source, Defect) else check_source(source, class_name) or source


def _rest_of_blocks(text: str) -> str:
    """The continuation without its fence, or without the end of the fence that was open."""
    fenced = [block.body for block in code_blocks(text) if block.closed and block.body.strip()]
    return "".join(fenced) if fenced else "\n".join(unfenced(text.strip("\n").split("\n")))


@dataclass(frozen=True, kw_only=True)
class ObjectAnswer(Generic[Model]):
    """One JSON object of a `kind`; see `conversation.Answer`."""

    kind: type[Model]
    value: Model | None = None
    problem: str = ""
    wanted: str = ""
    cut_off: bool = False

    @property
    def complete(self) -> bool:
        return self.value is not None

    def absorb(self, raw: str, *, cut_off: bool) -> Self:
        """Take in the object; where all of a reply is in the reasoning field, it is read from there."""
        split = split_thinking(raw)
        found = read_object(split.answer or split.thinking, self.kind)
        if not isinstance(found, Defect):
            return replace(self, value=found, problem="", wanted="", cut_off=cut_off)
        problem = found.problem if split.answer else _silence(cut_off)
        return replace(self, problem=problem, wanted=load("wanted_object").text.strip(), cut_off=cut_off)


def _read_source(text: str, class_name: str, partial: str | None, cut_off: bool) -> str | CodeBlock | Defect:
    """Return the file; or, as an unclosed block, the part of it that came; or why there is neither."""
    block = python_block(text, class_name)
    if block is None and partial is not None and "```" not in text.rstrip().removesuffix("```"):
        block = CodeBlock("", text.rstrip().removesuffix("```"), closed=not cut_off)
    if block is None:
        return Defect("it has no ```python block.")
    ended = block.closed or not cut_off
    if ended and check_source(block.body, class_name) is None:
        return block.body
    body = join_continuation(partial, block.body) if partial is not None else block.body
    if not ended:
        return _without_last_line(body, _FILE)
    return check_source(body, class_name) or body


def _without_last_line(body: str, what: str) -> CodeBlock | Defect:
    """Drop the last line: it may be half a line, so it is asked for again."""
    lines = body.splitlines()[:-1]
    while lines and not lines[-1].strip():
        lines.pop()
    if len(lines) < _MIN_PARTIAL_LINES:
        return Defect(_cut_before(what))
    return CodeBlock("python", "\n".join(lines) + "\n", closed=False)


def _cut_before(what: str) -> str:
    return f"it was cut off before {what} had really begun."


def _silence(cut_off: bool) -> str:
    return _CUT_BEFORE if cut_off else _NO_TEXT


def _problem(source: CodeBlock | Defect, cut_off: bool) -> str:
    problems = [source.problem] if isinstance(source, Defect) else []
    return " ".join([*problems, *(["it was cut off at the token limit."] if cut_off else [])])

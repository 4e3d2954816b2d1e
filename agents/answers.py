"""From replies to plans and a file: what is in hand, what is wrong, what to ask for next. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Generic, Self

from netwright.agents.replies import (
    CodeBlock,
    Defect,
    Model,
    Plan,
    check_source,
    join_continuation,
    python_block,
    read_object,
    read_plans,
    split_thinking,
)
from netwright.prompts import load

_MIN_PARTIAL_LINES = 4
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
        """Take in the plans of a reply. Of one that was cut off those count which came whole.

        Where a server put the whole answer into the reasoning field, it is read from there.
        """
        split = split_thinking(raw)
        text = split.answer or split.thinking
        found = read_plans(text)
        source = _read_source(text, self.class_name, None, cut_off)
        kept = source if isinstance(source, str) else self.source
        if not isinstance(found, Defect):
            return replace(self, plans=found, source=kept, problem="", wanted="", cut_off=cut_off)
        problem = _silence(cut_off) if not split.answer else found.problem
        wanted = "wanted_plan" if kept else "wanted_plans_again"
        return replace(self, source=kept, problem=problem, wanted=load(wanted).text.strip(), cut_off=cut_off)


@dataclass(frozen=True, kw_only=True)
class FileAnswer:
    """A file as it came so far; see `conversation.Answer`. `partial` is one whose end is missing.

    `plan` is the plan that the file is of, or the one that came with it.
    """

    class_name: str
    plan: Plan
    source: str | None = None
    partial: str | None = None
    problem: str = ""
    wanted: str = ""
    cut_off: bool = False

    @property
    def complete(self) -> bool:
        return self.source is not None

    def absorb(self, raw: str, *, cut_off: bool) -> Self:
        """Take in what is usable of a reply; where all of it is in the reasoning field, it is read from there."""
        split = split_thinking(raw)
        text = split.answer or split.thinking
        plan = read_object(text, Plan)
        source = _read_source(text, self.class_name, self.partial, cut_off)
        so_far = replace(self, plan=plan if isinstance(plan, Plan) else self.plan, cut_off=cut_off)
        if isinstance(source, str):
            return replace(so_far, source=source, partial=None, problem="", wanted="")
        partial = source.body if isinstance(source, CodeBlock) else None
        problem = _silence(cut_off) if not split.answer else _problem(source, cut_off)
        return replace(so_far, partial=partial, problem=problem, wanted=_wanted(partial, cut_off or not split.answer))


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
        return _without_last_line(body)
    return check_source(body, class_name) or body


def _without_last_line(body: str) -> CodeBlock | Defect:
    """Drop the last line: it may be half a line, so it is asked for again."""
    lines = body.splitlines()[:-1]
    while lines and not lines[-1].strip():
        lines.pop()
    if len(lines) < _MIN_PARTIAL_LINES:
        return Defect("it was cut off before the Python file had really begun.")
    return CodeBlock("python", "\n".join(lines) + "\n", closed=False)


def _silence(cut_off: bool) -> str:
    return _CUT_BEFORE if cut_off else _NO_TEXT


def _problem(source: CodeBlock | Defect, cut_off: bool) -> str:
    problems = [source.problem] if isinstance(source, Defect) else []
    return " ".join([*problems, *(["it was cut off at the token limit."] if cut_off else [])])


def _wanted(partial: str | None, shorter: bool) -> str:
    if partial is not None:
        return load("wanted_rest").render(last_line=partial.rstrip().splitlines()[-1]).strip()
    return load("wanted_shorter" if shorter else "wanted_code").text.strip()

"""From replies to a plan and a file: what is in hand, what is wrong, what to ask for next. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from netwright.agents.replies import (
    CodeBlock,
    Defect,
    Plan,
    check_source,
    join_continuation,
    python_block,
    read_object,
    split_thinking,
)
from netwright.prompts import load

_MIN_PARTIAL_LINES = 4


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came so far; parts that came right are kept. `partial` is a file whose end is missing.

    `problem` says what is wrong and `wanted` is the message that asks for what is missing; both are empty
    when the answer is complete. `cut_off` tells that the token limit ended the last reply.
    """

    plan: Plan | None = None
    source: str | None = None
    partial: str | None = None
    problem: str = ""
    wanted: str = ""
    cut_off: bool = False

    @property
    def complete(self) -> bool:
        return self.plan is not None and self.source is not None


def absorb(so_far: Answer, raw: str, *, cut_off: bool, class_name: str) -> Answer:
    """Take what is usable from the raw reply `raw` into `so_far`.

    Where a server put the whole answer into the reasoning field, it is read from there.
    """
    split = split_thinking(raw)
    text = split.answer or split.thinking
    plan = read_object(text, Plan)
    source = _read_source(text, class_name, so_far.partial, cut_off)
    kept_plan = plan if isinstance(plan, Plan) else so_far.plan
    kept_source = source if isinstance(source, str) else so_far.source
    partial = source.body if isinstance(source, CodeBlock) and kept_source is None else None
    problem = _problem(plan, source, kept_plan, kept_source, silent=not split.answer, cut_off=cut_off)
    return Answer(
        plan=kept_plan,
        source=kept_source,
        partial=partial,
        problem=problem,
        wanted=_wanted(kept_plan, kept_source, partial, shorter=cut_off or not split.answer) if problem else "",
        cut_off=cut_off,
    )


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


def _problem(
    plan: Plan | Defect,
    source: str | CodeBlock | Defect,
    kept_plan: Plan | None,
    kept_source: str | None,
    *,
    silent: bool,
    cut_off: bool,
) -> str:
    if kept_plan is not None and kept_source is not None:
        return ""
    if silent:
        return "it was cut off before the answer began." if cut_off else "there was no text outside the reasoning."
    problems = []
    if kept_plan is None and isinstance(plan, Defect):
        problems.append(plan.problem)
    if kept_source is None and isinstance(source, Defect):
        problems.append(source.problem)
    if kept_source is None and cut_off:
        problems.append("it was cut off at the token limit.")
    return " ".join(problems)


def _wanted(plan: Plan | None, source: str | None, partial: str | None, *, shorter: bool) -> str:
    if partial is not None:
        return load("wanted_rest").render(last_line=partial.rstrip().splitlines()[-1]).strip()
    if source is not None:
        return load("wanted_plan").text.strip()
    if shorter:
        return load("wanted_shorter").text.strip()
    return load("wanted_code" if plan is not None else "wanted_all").text.strip()

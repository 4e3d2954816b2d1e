"""A context as text for a model: numbers with uncertainty, code in fences, program output as data. Pure.

What doesn't fit the character budget is left out, least important first.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field

from netwright.types import BudgetProtocol, Context, DeviceKind, Remembered, Score, TaskSpec, Verdict

FAILURE_CHARACTERS = 3000
CODE_CHARACTERS = 30_000
_LINE_CHARACTERS = 400


@dataclass
class _Section:
    """A heading and its entries, best first; down to `keep`, the last are dropped to meet the budget."""

    heading: str
    entries: list[str] = field(default_factory=list)
    keep: int = 0

    def text(self) -> str:
        return "\n".join([f"# {self.heading}", "", *self.entries])


def _form(task: TaskSpec) -> str:
    if task.inputs == "tokens":
        return f"vocab_size {task.vocab_size}, max_len {task.max_len}"
    return f"inputs of shape {task.input_shape} as float32, num_classes {task.answer_shape[1]}"


_DEVICES: dict[DeviceKind, str] = {"cpu": "One CPU core", "cuda": "One GPU; the gates run on a CPU"}
_BUDGETS: dict[BudgetProtocol, str] = {
    "tokens": "",
    "flops": " Budgets are equal in FLOPs: fewer per token than the reference baseline's mean more tokens.",
    "time": " Budgets are equal in time: less per token than the reference baseline's means more tokens.",
}


def _judged_by(task: TaskSpec) -> str:
    if task.metric == "suite loss":
        return (
            "suite loss in points: minus the mean over its tasks of tanh((loss of softmax attention - loss) / scale), "
            "each task trained from scratch and its loss in nats per scored token"
        )
    also = " (shown as bits per byte too)" if task.metric == "bits per byte" else ""
    return f"mean held-out loss in nats per scored token{also}"


def task_text(task: TaskSpec) -> str:
    """Describe `task`: byte-identical for every call of a campaign, so that a server can reuse the prefix."""
    rungs = ", ".join(f"rung {rung.level}: {rung.tokens:,} tokens" for rung in task.rungs)
    recipe = task.recipe
    lines = [
        f"- `{task.name}`: {task.summary}",
        f"- Judged by the {_judged_by(task)}, lower is better.",
        f"- {_form(task)}, dim {task.dim}, heads {task.heads}, "
        f"layers {task.layers}, {task.parameters:,} parameters in all.",
        f"- Training budget: {rungs}. {_DEVICES[task.device]}.{_BUDGETS[task.protocol]}",
        f"- Default recipe: {recipe.optimizer}, lr {recipe.lr:g}, batch {recipe.batch_size} sequences, "
        f"weight decay {recipe.weight_decay:g}, {recipe.schedule} schedule, warm-up {recipe.warmup:g}.",
    ]
    lines += [f"- {name}: {value}" for name, value in sorted(task.options.items())]
    return "\n".join(lines)


def allowance_text(context: Context) -> str:
    if context.mixer_parameters is None:
        return f"the whole network must come to {context.task.parameters:,} parameters, within 2%."
    return (
        f"at most {context.mixer_parameters:,} parameters per layer of yours (dim is {context.task.dim}; "
        f"a full projection costs dim * dim = {context.task.dim**2:,}). More is rejected; fewer is fine."
    )


def evidence_text(context: Context, budget_characters: int) -> str:
    """Tell what was measured so far, most stable parts first, within `budget_characters`.

    Parents come whole, with their source, unless they alone exceed the budget: then their code is cut.
    """
    task = context.task
    baselines = _Section(
        "Baselines, measured", [remembered_line(item, task) for item in _ranked(context.baselines)], keep=3
    )
    lessons = _Section("Lessons so far", [f"- {one_line(text)}" for text in context.lessons])
    best = _Section("Best designs so far", [remembered_line(item, task) for item in _ranked(context.best)], keep=1)
    failures = _Section("Recent failures: don't repeat them", [_failure_line(item) for item in context.failures])
    inspiration = _Section("The best design's file", _inspiration(context))
    knowledge = _Section(
        "From the knowledge base: general, what was measured above counts more",
        [f"{plain(text)}\n" for text in context.knowledge],
    )
    parents = _Section(
        "The parent" if len(context.parents) == 1 else "The parents",
        [parent_text(item, task, CODE_CHARACTERS) for item in context.parents],
        keep=len(context.parents),
    )
    sections = [baselines, lessons, best, failures, inspiration, knowledge, parents]
    _fit(sections, [knowledge, inspiration, failures, lessons, best, baselines], budget_characters)
    missing = _length(sections) - budget_characters
    if missing > 0 and context.parents:
        room = max(500, (budget_characters - _length([baselines, lessons, best])) // len(context.parents) - 1500)
        parents.entries = [parent_text(item, task, room) for item in context.parents]
    return "\n\n".join(section.text() for section in sections if section.entries)


def _inspiration(context: Context) -> list[str]:
    """Show a draft, which has no parent to look at, how the best design is written."""
    known = _ranked([*context.best, *context.baselines])
    if context.parents or not known:
        return []
    return [fenced(known[0].candidate.source, "python")]


def _length(sections: Sequence[_Section]) -> int:
    return sum(len(section.text()) + 2 for section in sections if section.entries)


def _fit(sections: Sequence[_Section], droppable: Sequence[_Section], budget_characters: int) -> None:
    for section in droppable:
        while len(section.entries) > section.keep and _length(sections) > budget_characters:
            section.entries.pop()


def _ranked(items: Sequence[Remembered]) -> list[Remembered]:
    return sorted(items, key=lambda item: -item.score.value if item.score else math.inf)


def remembered_line(item: Remembered, task: TaskSpec) -> str:
    candidate = item.candidate
    title = one_line(candidate.title, 120).rstrip(".")
    # A file's docstring is its hypothesis, and its first line its title.
    idea = one_line(candidate.hypothesis.removeprefix(candidate.title).lstrip(". \n"))
    return f"- {title}: {score_text(item.score, task)} ({one_line(candidate.origin, 60)}). {idea}"


def _failure_line(item: Remembered) -> str:
    reason = one_line(item.failure or (item.verdict.words if item.verdict else "") or "no reason recorded")
    return f"- {one_line(item.candidate.title, 120)}: <data>{_unclosed(reason)}</data>"


def parent_text(item: Remembered, task: TaskSpec, code_characters: int) -> str:
    """Tell a remembered design in full: numbers, idea, verdict, failure if any, and source."""
    candidate = item.candidate
    lines = [
        f"## {one_line(candidate.title, 120)}",
        "",
        f"Score: {score_text(item.score, task)}.",
        f"Made by: {item.operator.value} ({one_line(candidate.origin, 60)}).",
        f"Hypothesis: {one_line(candidate.hypothesis)}",
    ]
    if item.verdict is not None:
        lines.append(f"Verdict: {verdict_text(item.verdict, task.unit)}")
    if item.failure:
        lines += ["Failure:", quoted(item.failure)]
    return "\n".join([*lines, "", fenced(_cut_middle(candidate.source, code_characters), "python"), ""])


def score_text(score: Score | None, task: TaskSpec) -> str:
    """Tell a score as a loss with its standard error, and in the task's own metric where that differs."""
    if score is None:
        return "no score"
    loss, error = -score.value, score.standard_error
    seeds = "1 seed" if score.seeds == 1 else f"{score.seeds} seeds"
    own = ""
    if task.metric == "bits per byte":
        own = f" ({loss / math.log(2):.4f} bits per byte)"
    return f"loss {loss:.4f} +- {error:.4f} {task.unit}{own}, rung {score.rung}, {seeds}"


def verdict_text(verdict: Verdict, unit: str) -> str:
    """Tell a verdict in one line: outcome, delta with its interval, words."""
    parts = [verdict.outcome.value]
    if verdict.delta_nats is not None:
        parts.append(f"delta {verdict.delta_nats:+.4f} {unit} against its rival")
    if verdict.interval is not None:
        interval = verdict.interval
        parts.append(f"{interval.level:.0%} interval [{interval.low:+.4f}, {interval.high:+.4f}]")
    words = one_line(verdict.words)
    return ", ".join(parts) + (f". {words}" if words else "")


def fenced(code: str, language: str) -> str:
    """Put `code` into a fence longer than any run of backticks inside it."""
    longest = max((len(run) for run in re.findall(r"`+", code)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{code.rstrip()}\n{fence}"


def quoted(text: str, characters: int = FAILURE_CHARACTERS) -> str:
    """Quote untrusted output as data: cut, without control characters, unable to close its own tag."""
    return f"<data>\n{_unclosed(_cut_middle(plain(text), characters)).strip()}\n</data>"


def _unclosed(text: str) -> str:
    return re.sub(r"<(\s*/?\s*data\b)", r"< \1", text, flags=re.IGNORECASE)


def plain(text: str) -> str:
    """Drop control and invisible format characters other than line ends and tabs."""
    return "".join(c for c in text if c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cf"))


def one_line(text: str, characters: int = _LINE_CHARACTERS) -> str:
    line = " ".join(plain(text).split())
    return line if len(line) <= characters else line[: characters - 3] + "..."


def _cut_middle(text: str, characters: int) -> str:
    """Keep the head and, because a traceback ends with its cause, more of the tail."""
    if len(text) <= characters:
        return text
    head, tail = characters // 3, characters - characters // 3
    return f"{text[:head]}\n[... {len(text) - characters} characters left out ...]\n{text[-tail:]}"

"""A context as text for a model: what all its questions begin with, then what belongs to this one. Pure.

    task and contract (`system_text`)  the same bytes for a whole campaign
    baselines, journal                 the same bytes until another experiment is told, then one line more
    the step                           lessons, relatives, cards, files: different each time

so that a server that keeps what it has read reads only the end anew. Words of candidates and models are quoted as
data, see `quoting`. What has no room is left out, least important first.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from netwright.agents.chat import cautious_tokens
from netwright.agents.journal_text import journal_text, label
from netwright.agents.quoting import as_data, cut_middle, one_line, plain, quoted, quoted_code
from netwright.agents.room import LEAST_ANSWER, Room
from netwright.prompts import load
from netwright.types import BudgetProtocol, Claim, Context, DeviceKind, Remembered, Score, TaskSpec, Verdict

CODE_CHARACTERS = 30_000
_BASELINES_SHARE = 0.35
"""How much of the room that baselines and journal have is for the former."""
_INSTRUCTIONS = 2200
"""Characters of a question beside what it tells."""
_LEAST_BASELINES = 2
_LEAST_CODE = 500
_RELATIVE = 240


@dataclass
class _Section:
    """A heading and its entries; down to `keep` they give way to the budget, the last first or the `oldest_first`."""

    heading: str
    entries: list[str] = field(default_factory=list)
    keep: int = 0
    oldest_first: bool = False
    is_data: bool = True

    def text(self) -> str:
        told = "\n".join(self.entries)
        return f"# {self.heading}\n\n{as_data(told) if self.is_data else told}"

    def shorten(self) -> bool:
        """Leave one entry out; False where none may go."""
        if len(self.entries) <= self.keep:
            return False
        self.entries.pop(0 if self.oldest_first else -1)
        return True


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


def system_text(context: Context) -> str:
    """Render what every role is told first: the same bytes for every call of a campaign."""
    return load("system").render(
        contract=load(f"contract_{context.task.scope.value}").text.strip(),
        allowance=allowance_text(context),
        task=task_text(context.task),
    )


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


def campaign_text(context: Context, characters: int) -> str:
    """Tell in so many characters what every question of a campaign begins with: baselines, then the journal.

    It depends on nothing that belongs to a single step or to a role.
    """
    baselines = _Section("Baselines, measured", _baseline_lines(context), keep=_LEAST_BASELINES, is_data=False)
    _fit([baselines], [baselines], int(_BASELINES_SHARE * characters))
    told = baselines.text() if baselines.entries else ""
    journal = journal_text([told.line for told in context.journal], context.task.unit, characters - len(told))
    return "\n\n".join(part for part in (told, journal) if part)


def evidence_text(context: Context, room: Room) -> str:
    """Tell a planner what was measured so far.

    The parents' files come last and whole, unless they alone exceed the room: then they are cut in their middle.
    """
    parents = _parents(context, CODE_CHARACTERS)
    lessons, best = _lessons(context), _best(context)
    path, siblings, nearest = _path(context), _siblings(context), _nearest(context)
    inspiration, knowledge = _inspiration(context), _knowledge(context)
    step = [lessons, best, path, siblings, nearest, knowledge, inspiration, parents, _standing(context)]
    before = campaign_text(context, room.campaign)
    left = room.beside(before).question
    _fit(step, [knowledge, nearest, inspiration, siblings, lessons, path, best], left)
    missing = _length(step) - left
    if missing > 0 and context.parents:
        parents.entries = _parents(context, _shorter(context, missing)).entries
    return _joined(before, step)


def files_text(context: Context, room: Room) -> str:
    """Tell a coder what every question begins with, then the files of the parents, or for a draft the best design's."""
    before = campaign_text(context, room.campaign)
    left = room.beside(before).question
    inspiration = _inspiration(context)
    _fit([inspiration], [inspiration], left)
    parents = _parents(context, CODE_CHARACTERS)
    missing = _length([parents]) - left
    if missing > 0 and context.parents:
        parents = _parents(context, _shorter(context, missing))
    return _joined(before, [inspiration, parents])


def _shorter(context: Context, missing: int) -> int:
    """How many characters of each parent's file to show, so that so many are saved."""
    longest = max(len(parent.candidate.source) for parent in context.parents)
    return max(_LEAST_CODE, longest - missing // len(context.parents) - 60)


def repair_evidence_text(context: Context, room: Room) -> str:
    """Tell whoever mends a file what every question begins with; nothing where the file leaves no room for it."""
    before = campaign_text(context, room.campaign)
    return before if len(before) <= room.question else ""


def case_evidence_text(context: Context, room: Room) -> str:
    """Tell a critic whom to compare with: baselines, the journal, then ancestors, siblings, neighbours, the best."""
    best, path, siblings, nearest = _best(context), _path(context), _siblings(context), _nearest(context)
    lessons = _lessons(context)
    step = [lessons, best, path, siblings, nearest]
    before = campaign_text(context, room.campaign)
    _fit(step, [lessons, best, siblings, nearest, path], room.beside(before).question)
    return _joined(before, step)


def least_tokens(context: Context) -> int:
    """Return how many tokens of context the shortest question about the parents, and its answer, take.

    It tells the task, a few baselines and the parents' files whole.
    """
    told = _joined(campaign_text(context, 0), [_parents(context, CODE_CHARACTERS)])
    return cautious_tokens(len(system_text(context)) + len(told) + _INSTRUCTIONS) + LEAST_ANSWER


def _joined(before: str, step: Sequence[_Section]) -> str:
    return "\n\n".join(part for part in (before, *(section.text() for section in step if section.entries)) if part)


def _baseline_lines(context: Context) -> list[str]:
    return [remembered_line(item, context.task) for item in _ranked(context.baselines)]


def _standing(context: Context) -> _Section:
    if context.designs is None:
        return _Section("", [])
    told = f"{context.trained} of the {context.designs} designs that the budget has are trained and told of."
    return _Section("Where the campaign stands", [told], keep=1, is_data=False)


def _lessons(context: Context) -> _Section:
    return _Section("Lessons so far, with the experiments for and against them", [_claim(it) for it in context.lessons])


def _claim(claim: Claim) -> str:
    sides = (("for", claim.supporting), ("against", claim.opposing))
    told = "; ".join(f"{side} it: {', '.join(map(label, nodes[-6:]))}" for side, nodes in sides if nodes)
    return f"- {one_line(claim.text)}" + (f" ({told})" if told else "")


def _best(context: Context) -> _Section:
    lines = [remembered_line(item, context.task) for item in _ranked(context.best)]
    return _Section("Best designs so far", lines, keep=1)


def _path(context: Context) -> _Section:
    lines = [_relative(item, context.task) for item in context.path]
    return _Section("How the parent came about, from its first ancestor", lines, oldest_first=True)


def _siblings(context: Context) -> _Section:
    lines = [_relative(item, context.task) for item in context.siblings]
    return _Section("What else was made of the parent: don't repeat it", lines, oldest_first=True)


def _nearest(context: Context) -> _Section:
    return _Section("Designs most like it", [_relative(item, context.task) for item in context.nearest])


def _knowledge(context: Context) -> _Section:
    heading = "From the knowledge base: general, what was measured above counts more"
    return _Section(heading, [f"{plain(text)}\n" for text in context.knowledge], is_data=False)


def _inspiration(context: Context) -> _Section:
    """Show a draft, which has no parent to look at, how the best design is written."""
    known = _ranked([*context.best, *context.baselines])
    entries = [quoted_code(known[0].candidate.source)] if known and not context.parents else []
    return _Section("The best design's file", entries, is_data=False)


def _parents(context: Context, code_characters: int) -> _Section:
    heading = "The parent" if len(context.parents) == 1 else "The parents"
    entries = [parent_text(item, context.task, code_characters) for item in context.parents]
    return _Section(heading, entries, keep=len(entries), is_data=False)


def _length(sections: Sequence[_Section]) -> int:
    return sum(len(section.text()) + 2 for section in sections if section.entries)


def _fit(sections: Sequence[_Section], droppable: Sequence[_Section], budget_characters: int) -> None:
    for section in droppable:
        while _length(sections) > budget_characters and section.shorten():
            pass


def _ranked(items: Sequence[Remembered]) -> list[Remembered]:
    return sorted(items, key=lambda item: -item.score.value if item.score else math.inf)


def _named(item: Remembered) -> str:
    number = "" if item.node is None else f"{label(item.node)} "
    return number + one_line(item.candidate.title, 120).rstrip(".")


def remembered_line(item: Remembered, task: TaskSpec) -> str:
    candidate = item.candidate
    # A file's docstring is its hypothesis, and its first line its title.
    idea = one_line(candidate.hypothesis.removeprefix(candidate.title).lstrip(". \n"))
    return f"- {_named(item)}: {score_text(item.score, task)} ({one_line(candidate.origin, 60)}). {idea}"


def _relative(item: Remembered, task: TaskSpec) -> str:
    """Tell an ancestor, sibling or neighbour by what became of it; its numbers are in the journal too."""
    if item.failure:
        return f"- {_named(item)}, by {item.operator.value}: failed, {one_line(item.failure)}"
    words = f" {one_line(item.verdict.words, _RELATIVE)}" if item.verdict is not None else ""
    return f"- {_named(item)}, by {item.operator.value}: {score_text(item.score, task)}.{words}"


def parent_text(item: Remembered, task: TaskSpec, code_characters: int) -> str:
    """Tell a remembered design in full: numbers, idea, verdict, failure if any, and source."""
    candidate = item.candidate
    lines = [
        f"{_named(item)}",
        f"Score: {score_text(item.score, task)}.",
        f"Made by: {item.operator.value} ({one_line(candidate.origin, 60)}).",
        f"Hypothesis: {one_line(candidate.hypothesis)}",
    ]
    if item.verdict is not None:
        lines.append(f"Verdict: {verdict_text(item.verdict, task.unit)}")
    told = [as_data("\n".join(lines))]
    if item.failure:
        told += ["", "Failure:", quoted(item.failure)]
    return "\n".join([*told, "", quoted_code(cut_middle(candidate.source, code_characters)), ""])


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

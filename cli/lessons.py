"""What `memory lessons` prints: claims, how far each can be trusted, and the experiments behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.text import Text

from netwright.cli.forms import Form, print_document
from netwright.cli.output import SPARKS, out, say
from netwright.memory.lessons import Evidence, StandingLesson, lessons
from netwright.memory.store import Memory

TRUSTED, DOUBTED = 0.6, 0.4


def print_lessons(home: Path, *, campaign: str | None, task: str | None, retired: bool, form: Form) -> None:
    """Lessons with their evidence, the most trusted first."""
    with Memory.open(home, create=False, read_only=True) as memory:
        known = lessons(memory, campaign=campaign, task=task, retired=retired)
    if form is not Form.TEXT:
        print_document(known, form, rows=_rows(known))
        return
    if not known:
        say(f"no lesson {'was retired' if retired else 'stands'} here: critics and librarians with a model draw them")
    for lesson in known:
        _print_lesson(lesson)


def _rows(known: Sequence[StandingLesson]) -> list[dict[str, object]]:
    """A row for each piece of evidence."""
    names = ("id", "claim", "task_id", "confidence", "retired")
    return [{**{name: getattr(one, name) for name in names}, **asdict(each)} for one in known for each in one.evidence]


def _print_lesson(lesson: StandingLesson) -> None:
    trust = lesson.confidence
    style = "green" if trust >= TRUSTED else "red" if trust <= DOUBTED else "yellow"
    say(
        Text.assemble((f"{trust:.0%}", f"bold {style}"), (f" {_levels(lesson.trend)}  ", style), (lesson.claim, "bold"))
    )
    if lesson.retired:
        say(Text(f"retired: {lesson.retired}", style="red"))
    say(Text(f"lesson {lesson.id}, on {lesson.task_id}, from {', '.join(lesson.campaigns)}", style="dim"))
    for each in lesson.evidence:
        # A line for each: its title is cut in a terminal, and whole where it is read by a program.
        out.print(_evidence(each), no_wrap=True, overflow="ellipsis" if out.is_terminal else "ignore")
    out.print()


def _evidence(each: Evidence) -> Text:
    side = ("  for      ", "green") if each.supports else ("  against  ", "red")
    delta = "" if each.delta_nats is None else f" {each.delta_nats:+.4f}"
    where = (f"{each.campaign}/{each.node}  ", "dim")
    return Text.assemble(side, (each.short, "cyan"), f"  {each.outcome}{delta}  ", where, each.title)


def _levels(shares: Sequence[float], most: int = 16) -> str:
    """The latest of numbers between 0 and 1, each as a bar of that height."""
    return "".join(SPARKS[round(share * (len(SPARKS) - 1))] for share in shares[-most:])

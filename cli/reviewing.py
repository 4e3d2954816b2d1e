"""`--review`: whoever sits at the terminal decides which designs are trained.

Everything is read through the event loop, so that the campaign goes on meanwhile and Ctrl-C works at once.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import sys
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.rule import Rule
from rich.text import Text

from netwright.campaign.reviewing import Decision, Question
from netwright.campaign.slots import Interrupted
from netwright.cli.live import LiveView
from netwright.cli.output import err
from netwright.errors import ConfigError
from netwright.memory.differences import source_diff
from netwright.memory.rows import SHORT
from netwright.printable import printable

STDERR = 2
LINES_LEAST, LINES_AROUND = 12, 16
KEYS = "[a] train it  [e] edit it  [r] reject it  [s] show the whole file  [q] stop the campaign"


def terminal_reviewer(view: LiveView) -> TerminalReviewer:
    """Ask at this terminal.

    Raises: ConfigError where there is none.
    """
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise ConfigError(
            "review: a person is asked at the terminal, and stdin or stderr is none here: run it in a terminal, or "
            "leave the review out (--no-review, review = false)"
        )
    return TerminalReviewer(view, sys.stdin.fileno())


class TerminalReviewer:
    """Implements `Reviewer` at the terminal with the file descriptor `keyboard`, beside the view of the campaign."""

    def __init__(self, view: LiveView, keyboard: int) -> None:
        self._view = view
        self._keyboard = keyboard

    async def decide(self, question: Question) -> Decision:
        """See `Reviewer`."""
        with self._view.aside():
            _show(question)
            while (decision := await self._answer(question)) is None:
                pass
            return decision

    async def _answer(self, question: Question) -> Decision | None:
        """What one key led to; None: the question stays open."""
        key = await self._key()
        if key == "a":
            _tell("it will be trained")
            return Decision(decision="approve")
        if key == "r":
            reason = await self._line("why? (Enter: no reason) ")
            return Decision(decision="reject", note=reason)
        if key == "e":
            source = await _edited(question)
            return None if source is None else Decision(decision="edit", source=source)
        if key == "s":
            _tell(question.candidate.source)
            return None
        raise Interrupted

    async def _key(self) -> str:
        with _single_keys(self._keyboard):
            _tell(KEYS, style="bold")
            while True:
                typed = await self._typed()
                if not typed:
                    return "q"  # the terminal is gone
                if (key := typed[:1].lower()) in tuple("aersq"):
                    return key

    async def _line(self, prompt: str) -> str:
        err.print(Text(prompt), end="")
        return printable(await self._typed()).strip()

    async def _typed(self) -> str:
        """What was typed, once there is something; empty when nothing more can come."""
        loop = asyncio.get_running_loop()
        there = asyncio.Event()
        loop.add_reader(self._keyboard, there.set)
        try:
            await there.wait()
        finally:
            loop.remove_reader(self._keyboard)
        return os.read(self._keyboard, 4096).decode("utf-8", "replace")


@contextmanager
def _single_keys(keyboard: int) -> Iterator[None]:
    """Get every key at once and without its echo; what was typed before anything was asked is dropped."""
    before = termios.tcgetattr(keyboard)
    tty.setcbreak(keyboard, termios.TCSAFLUSH)
    try:
        yield
    finally:
        termios.tcsetattr(keyboard, termios.TCSADRAIN, before)


async def _edited(question: Question) -> str | None:
    """The design, or the person's last edit of it, as it leaves the editor; None where nothing is to be taken."""
    source = question.candidate.source if question.edit is None else question.edit
    command = shlex.split(os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi")
    with TemporaryDirectory(prefix="netwright-") as folder:
        file = Path(folder) / f"{question.candidate.id[:SHORT]}.py"
        file.write_text(source, encoding="utf-8")
        try:
            code = await _to_its_end([*command, str(file)])
            text = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            _tell(f"{command[0]}: {error}; the editor is what VISUAL or EDITOR names")
            return None
    if code != 0:
        _tell(f"{command[0]} ended with code {code}: nothing was taken")
    elif text == source:
        _tell("nothing was changed")
    else:
        _tell("what you wrote goes through the gates now")
        return text
    return None


async def _to_its_end(command: list[str]) -> int:
    # Not to stdout, as the results of the campaign may be on their way to a file.
    process = await asyncio.create_subprocess_exec(*command, stdout=STDERR)
    try:
        return await process.wait()
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()


def _show(question: Question) -> None:
    design = question.candidate
    err.print(Rule("is this design to be trained?", align="left"))
    _tell(f"{design.title}  {design.id[:SHORT]}", style="bold")
    of = f" of {question.parent.title}" if question.parent else ""
    _tell(f"{question.operator}{of}, by {design.origin}{_parameters(question)}")
    for name, text in (("hypothesis", design.hypothesis), ("changed", question.changed)):
        if text:
            _tell(f"{name}: {text}")
    _tell(f"gates passed: {', '.join(report.gate for report in question.gates if report.passed)}", style="green")
    for report in question.gates:
        if not report.passed:
            _tell(f"warning of {report.gate}: {report.message}", style="yellow")
    _show_code(question)
    if question.refusal:
        _tell(f"your edit was refused, by {question.refusal}", style="red")
        _tell("this is the design as it was before; [e] opens your edit again")


def _show_code(question: Question) -> None:
    """What changed since the first parent, or the file."""
    if question.parent is None:
        lines = [(line, "") for line in question.candidate.source.splitlines()]
    else:
        styles = {"+": "green", "-": "red", "@": "cyan"}
        changes = source_diff(question.parent, question.candidate).splitlines()
        lines = [(line, styles.get(line[:1], "")) for line in changes]
    shown = max(LINES_LEAST, err.height - LINES_AROUND)
    for line, style in lines[:shown]:
        _tell(line, style=style)
    if len(lines) > shown:
        _tell(f"... and {len(lines) - shown} more lines; [s] shows the whole file", style="dim")


def _parameters(question: Question) -> str:
    counted = next((report.evidence.get("total") for report in question.gates if report.gate == "parameters"), None)
    return f", {counted:,} parameters" if isinstance(counted, int) else ""


def _tell(text: str, style: str = "") -> None:
    err.print(Text(printable(text), style=style), soft_wrap=True)

"""`--review` at a real terminal, a pseudo-terminal whose other end the test holds."""

from __future__ import annotations

import asyncio
import os
import pty
import select
import signal
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from netwright.campaign.reviewing import Decision, Question
from netwright.campaign.slots import Interrupted
from netwright.cli.app import run
from netwright.cli.live import LiveView
from netwright.cli.reviewing import TerminalReviewer
from netwright.evaluator.tasks import load_task
from netwright.memory.store import Memory
from netwright.types import Candidate, GateReport, Scope

SOURCE = "import torch\n\nwidth = 3\n"
PROMPT = "[q] stop the campaign"


def candidate(source: str, title: str) -> Candidate:
    return Candidate(source=source, scope=Scope.MIXER, title=title, hypothesis="It forgets.", origin="llm:m")


QUESTION = Question(
    action=0,
    position=0,
    operator="refine",
    candidate=candidate(SOURCE, "A \x1b[2Jgate"),
    changed="the width",
    parent=candidate("import torch\n\nwidth = 2\n", "Delta rule"),
    gates=(
        GateReport(gate="parameters", passed=True, evidence={"total": 12345}),
        GateReport(gate="speed", passed=False, severity="warning", message="slow"),
    ),
)


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    """The end that the test types at, and the end that the reviewer reads."""
    ends = os.openpty()
    yield ends
    for end in ends:
        os.close(end)


@pytest.fixture
def editor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Make a shell script with that body the editor; the file is its $1."""

    def make(body: str) -> None:
        script = tmp_path / "an editor.sh"
        script.write_text(f"#!/bin/sh\n{body}\n")
        script.chmod(0o755)
        monkeypatch.setenv("VISUAL", f"'{script}'")

    return make


def decided(terminal: tuple[int, int], typed: str, question: Question = QUESTION) -> Decision:
    """What a person decides who types that, a key whenever there is time to."""
    there, here = terminal

    async def talk() -> Decision:
        deciding = asyncio.create_task(TerminalReviewer(LiveView(Path()), here).decide(question))
        for part in typed.split("|"):
            await asyncio.sleep(0.05)
            os.write(there, part.encode())
        return await asyncio.wait_for(deciding, 20)

    return asyncio.run(talk())


def test_a_key_decides_and_others_do_nothing(terminal: tuple[int, int]) -> None:
    assert decided(terminal, "x|\x1b[A|a") == Decision(decision="approve")


def test_a_rejection_takes_a_reason_or_none(terminal: tuple[int, int]) -> None:
    assert decided(terminal, "r|too like the hybrid\n") == Decision(decision="reject", note="too like the hybrid")
    assert decided(terminal, "r|\n") == Decision(decision="reject")


def test_what_there_is_to_see(terminal: tuple[int, int], capsys: pytest.CaptureFixture[str]) -> None:
    decided(terminal, "s|a")

    shown = capsys.readouterr().err
    for words in ("refine of Delta rule, by llm:m, 12,345 parameters", "It forgets.", "the width", "-width = 2"):
        assert words in shown
    assert "gates passed: parameters\n" in shown and "warning of speed: slow" in shown
    assert shown.count("\nwidth = 3") == 1, "the whole file is shown when asked for"
    assert "\x1b[2J" not in shown, "a title does not steer the terminal"


def test_an_edit_is_what_the_editor_leaves(terminal: tuple[int, int], editor: Callable[[str], None]) -> None:
    editor("sed -i 's/width = 3/width = 4/' \"$1\"")

    assert decided(terminal, "e") == Decision(decision="edit", source=SOURCE.replace("3", "4"))


def test_an_edit_that_was_refused_is_opened_again_and_shown_with_what_refused_it(
    terminal: tuple[int, int], editor: Callable[[str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    editor('echo "# again" >> "$1"')
    refused = QUESTION.model_copy(update={"edit": "leak = 1\n", "refusal": "causality: it sees the future"})

    decision = decided(terminal, "e", refused)

    assert decision.source == "leak = 1\n# again\n"
    assert "your edit was refused, by causality: it sees the future" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("exit 0", "nothing was changed"),
        ("echo x > $1; exit 3", "ended with code 3: nothing was taken"),
        ("printf '\\377' > \"$1\"", "VISUAL or EDITOR"),
        ('rm "$1"', "VISUAL or EDITOR"),
    ],
)
def test_an_editor_that_brings_nothing_leaves_the_question_open(
    terminal: tuple[int, int],
    editor: Callable[[str], None],
    capsys: pytest.CaptureFixture[str],
    body: str,
    words: str,
) -> None:
    editor(body)
    there, here = terminal

    async def talk() -> Decision:
        deciding = asyncio.create_task(TerminalReviewer(LiveView(Path()), here).decide(QUESTION))
        await asyncio.sleep(0.05)
        os.write(there, b"e")
        said = ""
        while said.count(PROMPT) < 2:
            await asyncio.sleep(0.02)
            said += capsys.readouterr().err
        assert words in said
        os.write(there, b"a")
        return await deciding

    assert asyncio.run(asyncio.wait_for(talk(), 20)) == Decision(decision="approve")


def test_leaving_decides_nothing(terminal: tuple[int, int]) -> None:
    with pytest.raises(Interrupted):
        decided(terminal, "q")


def test_what_was_typed_before_the_question_came_is_dropped(terminal: tuple[int, int]) -> None:
    os.write(terminal[0], b"a\n")
    select.select([terminal[1]], [], [], 5)

    assert decided(terminal, "r|\n").decision == "reject"


@pytest.mark.parametrize("typed", ["", "r", "e"])
def test_a_question_that_is_cut_short_leaves_the_terminal_as_it_was(
    terminal: tuple[int, int], editor: Callable[[str], None], typed: str
) -> None:
    editor("sleep 30")
    there, here = terminal
    before = termios.tcgetattr(here)

    async def cut_short() -> float:
        deciding = asyncio.create_task(TerminalReviewer(LiveView(Path()), here).decide(QUESTION))
        await asyncio.sleep(0.05)
        os.write(there, typed.encode())
        await asyncio.sleep(0.2)
        begun = time.monotonic()
        deciding.cancel()
        await asyncio.gather(deciding, return_exceptions=True)
        return time.monotonic() - begun

    assert asyncio.run(cut_short()) < 5.0
    assert termios.tcgetattr(here) == before


def test_the_live_table_is_put_aside_while_a_question_is_open(tmp_path: Path) -> None:
    view = LiveView(tmp_path)
    shown: list[str] = []
    view._show = lambda board, scene: shown.append(board)  # type: ignore[assignment,method-assign]

    async def watch() -> None:
        done = asyncio.Event()
        with view.aside():
            watching = asyncio.create_task(view.watch(SimpleNamespace(name="small"), done))  # type: ignore[arg-type]
            await asyncio.sleep(0.05)
            assert shown == []
        done.set()
        await watching

    asyncio.run(watch())


@pytest.mark.parametrize("command", [("run", "--task", "recall", "--review"), ("resume",)])
def test_without_a_terminal_nothing_begins(
    tmp_path: Path, command: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    if command == ("resume",):
        with Memory.open(tmp_path) as memory:
            memory.start_campaign("small", load_task("recall").spec, 0, {"task": "recall", "review": True})

    code = run([*command, "--home", str(tmp_path)])

    assert code == 2
    assert "review: a person is asked at the terminal" in (said := capsys.readouterr().err)
    assert "--no-review" in said


class Screen:
    """A campaign at a pseudo-terminal of its own, and somebody who waits for words and types."""

    def __init__(self, *arguments: object, environment: dict[str, str]) -> None:
        self.said, self.ended = "", False
        self.pid, self._terminal = pty.fork()
        if self.pid == 0:  # pragma: no cover
            os.environ.update(environment, TERM="xterm", COLUMNS="100")
            os.execv(sys.executable, [sys.executable, "-m", "netwright", *map(str, arguments)])

    def wait_for(self, words: str, seconds: float = 120.0) -> None:
        """Read until `words` were said since the last time, or fail with all that was."""
        heard, deadline = "", time.monotonic() + seconds
        while words not in heard and time.monotonic() < deadline:
            if select.select([self._terminal], [], [], 1.0)[0]:
                heard += os.read(self._terminal, 65536).decode("utf-8", "replace")
        self.said += heard
        assert words in heard, self.said[-4000:]

    def type(self, keys: str) -> None:
        os.write(self._terminal, keys.encode())

    def end(self, answer: str = "") -> int:
        """Read to the end, with that answer to whatever is asked; the exit code."""
        said = ""
        while True:
            try:
                more = os.read(self._terminal, 65536).decode("utf-8", "replace")
            except OSError:  # the other end is closed: what Linux says at the end
                more = ""
            if not more:
                break
            said += more
            if PROMPT in said:
                self.said, said = self.said + said, ""
                self.type(answer)
        self.said += said
        os.close(self._terminal)
        self.ended = True
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def kill(self) -> None:
        if not self.ended:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)


@pytest.fixture
def screen() -> Iterator[Callable[..., Screen]]:
    """Start a campaign at a terminal; what still runs at the end is killed."""
    screens: list[Screen] = []

    def start(*arguments: object, **environment: str) -> Screen:
        screens.append(Screen(*arguments, environment=environment))
        return screens[-1]

    yield start
    for each in screens:
        each.kill()


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_campaign_asks_at_its_terminal_stops_at_once_and_asks_again_what_was_not_decided(
    tmp_path: Path, screen: Callable[..., Screen]
) -> None:
    home, file, script = tmp_path / "home", tmp_path / "small.toml", tmp_path / "editor.sh"
    file.write_text(
        'name = "small"\ntask = "recall"\nrung_tokens = [8192, 16384]\n[budget]\ntrials = 2\nminutes = 30\n'
    )
    script.write_text('#!/bin/sh\necho "RECIPE = {\'lr\': 0.002}" >> "$1"\n')
    script.chmod(0o755)

    first = screen("run", file, "--review", "--home", home, VISUAL=str(script))
    first.wait_for(PROMPT)
    first.type("r")
    first.wait_for("why?")
    first.type("too dull\n")
    first.wait_for(PROMPT)
    first.type("e")
    first.wait_for(PROMPT)
    begun = time.monotonic()
    os.kill(first.pid, signal.SIGINT)

    assert first.end() == 130
    assert time.monotonic() - begun < 20
    again = screen("resume", "--home", home)
    again.wait_for(PROMPT)
    assert "person, after grammar" in again.said
    again.type("a")
    assert again.end(answer="a") == 0, again.said[-4000:]
    with Memory.open(home, create=False, read_only=True) as memory:
        campaign = memory.campaign("small")
        decisions = [review.decision for review in memory.reviews(campaign.id)]
        stages = [known.stage for known in memory.experiments(campaign.id) if known.stage.startswith("review")]
    assert campaign.status == "finished" and campaign.config["review"] is True
    assert decisions == ["reject", "edit", *["approve"] * again.said.count(PROMPT)]
    assert stages == ["review: rejected"]

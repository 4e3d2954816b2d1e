"""The live view of a campaign: drawn in a terminal, plain lines everywhere else. Written to stderr."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

from rich.console import RenderableType
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from netwright.campaign.board import Board
from netwright.campaign.glance import Glance, glance, last_beat
from netwright.campaign.opening import is_running
from netwright.campaign.running import Watcher
from netwright.campaign.single import Progress as ProgressCall
from netwright.cli.output import err
from netwright.cli.scene import Observer, Scene, draw, one_line

REFRESH_SECONDS = 0.5
WATCH_SECONDS = 1.0
LINE_SECONDS = 10.0


def watcher(view: LiveView, *, quiet: bool) -> Watcher | None:
    """How a campaign is shown: nothing where only JSON is wanted, live in a terminal, else a line now and then."""
    if quiet:
        return None
    return view.watch if err.is_terminal else _watch_lines


class LiveView:
    """A campaign drawn in a terminal, put aside while somebody is asked something there."""

    def __init__(self, home: Path) -> None:
        self._observer = Observer(home)
        self._live: Live | None = None
        self._aside = False

    async def watch(self, board: Board, done: asyncio.Event) -> None:
        """Show `board` until `done` is set."""
        try:
            while not done.is_set():
                # Reading the memory takes a moment, in which the campaign goes on.
                scene = await asyncio.to_thread(self._observer.look, board.name)
                if not self._aside:
                    self._show(board, scene)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(done.wait(), REFRESH_SECONDS)
        finally:
            self._take_away()

    @contextlib.contextmanager
    def aside(self) -> Iterator[None]:
        """Leave the terminal to whoever enters."""
        self._aside = True
        self._take_away()
        try:
            yield
        finally:
            self._aside = False

    def _show(self, board: Board, scene: Scene) -> None:
        if self._live is None:
            self._live = Live(console=err, auto_refresh=False, transient=True)
            self._live.start()
        while board.news:
            self._live.console.print(Text(board.news.popleft(), style="green"))
        self._live.update(draw(glance(board), scene), refresh=True)

    def _take_away(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None


async def _watch_lines(board: Board, done: asyncio.Event) -> None:
    while not done.is_set():
        while board.news:
            err.print(Text(board.news.popleft()), soft_wrap=True)
        err.print(Text(one_line(glance(board))), soft_wrap=True)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(done.wait(), LINE_SECONDS)


def watch_from_outside(home: Path, name: str) -> None:
    """Show a campaign that another process runs, until that ends; whoever leaves earlier changes nothing."""
    observer, told_at = Observer(home), -LINE_SECONDS
    live = Live(console=err, auto_refresh=False, transient=True) if err.is_terminal else None
    with live or contextlib.nullcontext():
        while (state := last_beat(home, name)) or is_running(home, name):
            if live is not None:
                live.update(_drawn(state, observer, name), refresh=True)
            elif state is not None and time.monotonic() - told_at >= LINE_SECONDS:
                err.print(Text(one_line(state)), soft_wrap=True)
                told_at = time.monotonic()
            time.sleep(WATCH_SECONDS)


def _drawn(state: Glance | None, observer: Observer, name: str) -> RenderableType:
    return Text(f"{name} is starting") if state is None else draw(state, observer.look(name))


def tell(sentence: str) -> None:
    """Say something beside the results."""
    err.print(Text(sentence), soft_wrap=True)


@contextlib.contextmanager
def confirm_progress(*, quiet: bool, work: str = "training") -> Iterator[ProgressCall]:
    """A progress bar over pieces of `work`; plain lines where stderr is no terminal, nothing where `quiet`."""
    try:
        with _progress(quiet, work) as show:
            yield show
    except KeyboardInterrupt:
        err.print(f"interrupted; every finished {work} is saved, and the same command goes on")
        raise


@contextlib.contextmanager
def _progress(quiet: bool, work: str) -> Iterator[ProgressCall]:
    if quiet or not err.is_terminal:
        yield _nothing if quiet else _progress_line
        return
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=err,
        transient=True,
    )
    with bar:
        task = bar.add_task(work)

        def show(finished: int, total: int, what: str) -> None:
            bar.update(task, total=total, description=what)
            if finished >= 0:
                bar.update(task, completed=finished)

        yield show


def _nothing(finished: int, total: int, what: str) -> None:
    """Show nothing: the result alone is wanted."""


def _progress_line(finished: int, total: int, what: str) -> None:
    if finished >= 0:
        err.print(Text(f"{finished}/{total} {what}"), soft_wrap=True)

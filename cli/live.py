"""The live view of a campaign: a small table in a terminal, plain lines everywhere else. Written to stderr."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator

from rich.console import Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from netwright.campaign.board import Board, Leader
from netwright.campaign.running import Watcher
from netwright.campaign.single import Progress as ProgressCall
from netwright.cli.models import MODEL_COLUMNS, model_cells
from netwright.cli.output import duration, err
from netwright.llm_config import money
from netwright.memory.designs import recognised
from netwright.memory.learning import prompt_reuse

REFRESH_SECONDS = 0.5
LINE_SECONDS = 10.0


def watcher(view: LiveView, *, quiet: bool) -> Watcher | None:
    """How a campaign is shown: nothing where only JSON is wanted, live in a terminal, else a line now and then."""
    if quiet:
        return None
    return view.watch if err.is_terminal else _watch_lines


class LiveView:
    """The table of a campaign in a terminal, put aside while somebody is asked something there."""

    def __init__(self) -> None:
        self._live: Live | None = None
        self._aside = False

    async def watch(self, board: Board, done: asyncio.Event) -> None:
        """Show `board` until `done` is set."""
        try:
            while not done.is_set():
                if not self._aside:
                    self._show(board)
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

    def _show(self, board: Board) -> None:
        if self._live is None:
            self._live = Live(console=err, auto_refresh=False, transient=True)
            self._live.start()
        while board.news:
            self._live.console.print(Text(board.news.popleft(), style="green"))
        self._live.update(draw(board), refresh=True)

    def _take_away(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None


async def _watch_lines(board: Board, done: asyncio.Event) -> None:
    while not done.is_set():
        while board.news:
            err.print(Text(board.news.popleft()), soft_wrap=True)
        err.print(Text(one_line(board)), soft_wrap=True)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(done.wait(), LINE_SECONDS)


def one_line(board: Board) -> str:
    """The state in one line, for logs."""
    failed = sum(board.failures.values())
    parts = [
        f"[{duration(board.elapsed_seconds)}] {board.phase}",
        f"{board.trained}/{board.config.budget.trials} trained",
        f"{failed} failed",
    ]
    parts += [f"{label} at rung {leader.score.rung} {_loss(leader)} {leader.title}" for label, leader in leaders(board)]
    if board.prompt_tokens or board.completion_tokens:
        parts.append(f"{board.prompt_tokens + board.completion_tokens:,} tokens{_cost(board)}")
    if board.serving:
        parts.append(board.serving)
    return "; ".join(parts)


def _cost(board: Board) -> str:
    return "" if board.llm_cost is None else f", cost {money(board.llm_cost)}"


def writing_now(board: Board) -> str:
    """What models are writing at this moment."""
    return "; ".join(
        f"{each.role} {each.tokens:,} tokens, {each.tokens_per_second:.0f}/s" for each in list(board.writing.values())
    )


def leaders(board: Board) -> list[tuple[str, Leader]]:
    """The best design and the best baseline; without the latter while they stand at different rungs."""
    best, rival = board.best, board.best_baseline
    if best and rival and best.score.rung != rival.score.rung:
        rival = None
    return [(label, leader) for label, leader in (("best design", best), ("best baseline", rival)) if leader]


def draw(board: Board) -> Group:
    """The state as a small table of slots under a headline."""
    left = board.remaining_seconds()
    headline = Text.assemble(
        (f"{board.name} ", "bold"),
        f"{board.phase}: {board.trained}/{board.config.budget.trials} trained, {board.promoted} promoted, ",
        f"{duration(board.elapsed_seconds)} gone, " + (f"about {duration(left)} to the last one, " if left else ""),
        f"slots {board.slot_use():.0%} busy",
    )
    slots = Table(box=None, pad_edge=False, show_header=True, header_style="dim")
    for column in ("slot", "training", "for", "step", "loss", "time"):
        slots.add_column(column, overflow="ellipsis", no_wrap=True)
    for number in range(board.config.workers):
        slots.add_row(*_slot_cells(board, number))
    lines: list[Text | Table] = [headline, slots]
    for label, leader in leaders(board):
        lines.append(Text(f"{label:14}{_loss(leader)} {board.task.unit} at rung {leader.score.rung}  {leader.title}"))
    if known := recognised(board.duplicates):
        lines.append(Text(f"known designs {known}"))
    if board.failures:
        failed = ", ".join(f"{count} {stage}" for stage, count in board.failures.most_common(5))
        lines.append(Text(f"failures      {failed}", style="yellow"))
    if board.prompt_tokens or board.completion_tokens:
        again = prompt_reuse(board.prefix_tokens / max(board.prompt_tokens, 1))
        read, written = f"{board.prompt_tokens:,} read{again}", f"{board.completion_tokens:,} written"
        lines.append(Text(f"tokens        {read}, {written}{_cost(board)}"))
    if board.models:
        lines.append(_models(board))
    if board.serving:
        lines.append(Text(f"model         {board.serving}"))
    if writing := writing_now(board):
        lines.append(Text(f"writing       {writing}"))
    return Group(*lines)


def _models(board: Board) -> Table:
    models = Table(box=None, pad_edge=False, show_header=True, header_style="dim")
    for column in MODEL_COLUMNS:
        models.add_column(column.rstrip(">~"), no_wrap=True)
    for each in board.models:
        models.add_row(*model_cells(each, board.config.llm))
    return models


def _slot_cells(board: Board, number: int) -> list[str]:
    slot = board.slots.get(number)
    if slot is None:
        return [str(number), "-", "", "", "", ""]
    loss = f"{slot.loss_nats:.3f}" if slot.loss_nats is not None else ""
    step = f"{slot.step}/{slot.steps}" if slot.steps else "starting"
    return [str(number), slot.title[:48], slot.purpose, step, loss, duration(time.monotonic() - slot.since)]


def _loss(leader: Leader) -> str:
    return f"{-leader.score.value:.4f} ± {leader.score.standard_error:.4f}"


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

"""What the `memory` commands print that list: the best, the tree, failures, rows of a query."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

from rich.text import Text
from rich.tree import Tree

from netwright.cli.forms import Form, print_document
from netwright.cli.leaderboard import print_leaderboard
from netwright.cli.output import loss, out, say, table
from netwright.evaluator.selection import claims_over
from netwright.memory import overview, query
from netwright.memory.store import Memory

OPERATOR_STYLES = {"baseline": "dim", "draft": "magenta", "combine": "blue", "simplify": "yellow"}


WHOLE = 10_000
"""Characters of a line that no title is cut at."""


def _reading(home: Path) -> Memory:
    return Memory.open(home, create=False, read_only=True)


def print_top(home: Path, *, limit: int, campaign: str | None, task: str | None, form: Form) -> None:
    """The leaderboard, one table per task and rung."""
    with _reading(home) as memory:
        rows = query.top(memory, limit=limit, campaign=campaign, task=task)
    if form is not Form.TEXT:
        print_document(rows, form)
        return
    if not rows:
        out.print("nothing trained yet: netwright run")
    for task_id in dict.fromkeys(row.task_id for row in rows):
        out.print(Text(task_id, style="bold"))
        print_leaderboard([row for row in rows if row.task_id == task_id], limit)


def print_tree(home: Path, campaign: str | None, *, form: Form) -> None:
    """The lineage as an indented tree."""
    with _reading(home) as memory:
        known = memory.campaign(campaign)
        rows = overview.tree(memory, campaign)
        claims = claims_over(memory.verdicts(known.id))
    if form is not Form.TEXT:
        better = [{**dataclasses.asdict(row), "better_among_all": row.node in claims.better} for row in rows]
        print_document(better, form)
        return
    root = Tree(Text(known.name, style="bold"), guide_style="dim")
    branches: dict[int, Tree] = {}
    for row in rows:
        parent = branches[row.parent] if row.parent is not None else root
        branches[row.node] = parent.add(branch(row, row.node in claims.better))
    # A branch is a line: its title is cut in a terminal, and whole where it is read by a program.
    out.print(root, width=None if out.is_terminal else WHOLE)
    if claims.alone:
        say(claims.sentence)


def branch(row: overview.TreeRow, holds: bool) -> Text:
    """A node in a line: id, loss, what it is said to be, then operator and title.

    "better" in full where it `holds` among all comparisons of the campaign.
    """
    label = Text(no_wrap=True, overflow="ellipsis" if out.is_terminal else "ignore")
    label.append(f"{row.short or '-':10}  ", style="dim")
    if row.failure:
        label.append(f"failed, {row.stage}  ", style="red")
    else:
        label.append(f"{loss(row.loss_nats)} ", style="bold" if row.rung else "")
        label.append(f"r{row.rung}  ", style="dim")
    if row.outcome == "better":
        label.append("better  " if holds else "better alone, not among all  ", style="bold green" if holds else "green")
    elif row.outcome == "worse":
        label.append("worse  ", style="red")
    label.append(f"{row.operator}: ", style=OPERATOR_STYLES.get(row.operator, "cyan"))
    return label.append(row.title or "no design", style="dim" if row.failure else "")


def print_failures(home: Path, campaign: str | None, *, limit: int, form: Form) -> None:
    """What failed, by stage."""
    with _reading(home) as memory:
        groups = overview.failures(memory, campaign)
    if form is not Form.TEXT:
        rows = [{"stage": group.stage, **dataclasses.asdict(each)} for group in groups for each in group.failures]
        print_document(groups, form, rows=rows)
        return
    if not groups:
        out.print("nothing failed")
    for group in groups:
        out.print(Text(f"{group.stage} ({group.count})", style="bold"))
        for failure in group.failures[:limit]:
            who = Text.assemble("  ", (f"{failure.short or '-':10}", "cyan"), f"  {failure.title or 'no design'}")
            say(who)
            say(Text(f"    {failure.failure}", style="red"))
            if failure.last_output:
                say(Text(f"    {failure.last_output[-400:]}", style="dim"))


def _finite(value: Any) -> Any:
    """JSON has no infinity."""
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def print_sql(home: Path, text: str, *, form: Form) -> None:
    """The answer to a query."""
    with _reading(home) as memory:
        answer = overview.sql(memory, text)
    if form is not Form.TEXT:
        print_document([dict(zip(answer.columns, map(_finite, row), strict=True)) for row in answer.rows], form)
        return
    rows: list[list[Any]] = [list(row) for row in answer.rows]
    out.print(table([f"{column}~" for column in answer.columns], rows))
    if answer.truncated:
        out.print(f"only the first {len(rows)} rows are shown; add a LIMIT or a WHERE")

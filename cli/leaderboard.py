"""The leaderboard, wherever it is printed."""

from __future__ import annotations

import itertools

from rich.table import Table
from rich.text import Text

from netwright.cli.output import count, out, table
from netwright.memory.query import TopRow

NOT_ISOLATED = "not isolated"
"""Marks what was trained at T0: its code could reach the machine, and whatever it was measured by."""
LEADER_COLUMNS = ("#>", "architecture~", "", "loss ({unit})>", "±>", "{metric}>", "params>", "tokens/s>", "id")


def leaderboard_table(rows: list[TopRow], *, title: str | None = None) -> Table:
    """Rows of one task and rung as a table, baselines dimmed."""
    cells = []
    for row in rows:
        style = "dim" if row.is_baseline else "bold" if row.rank == 1 else ""
        cells.append(
            [
                row.rank,
                Text(row.title, style=style),
                marks("baseline" if row.is_baseline else "", row.not_isolated),
                f"{row.loss_nats:.4f}",
                f"{row.standard_error:.4f}" if row.standard_error is not None else None,
                f"{row.metric_value:.3f}" if row.metric == "bits per byte" else "",
                count(row.parameters),
                count(row.tokens_per_second),
                row.short,
            ]
        )
    metric, unit = (rows[0].metric, rows[0].unit) if rows else ("metric", "nats")
    columns = [column.format(metric=metric, unit=unit) for column in LEADER_COLUMNS]
    return table(columns, cells, title=title, spare=("tokens/s>", "params>"))


def marks(role: str, not_isolated: bool) -> Text:
    """What an architecture is, and whether its results are to be trusted less."""
    return Text(", ").join([Text(role)] * bool(role) + [Text(NOT_ISOLATED, style="red")] * not_isolated)


def print_leaderboard(rows: list[TopRow], limit: int) -> None:
    """One table per rung, the highest first: losses of different budgets do not compare."""
    for rung, group in itertools.groupby(rows, key=lambda row: row.rung):
        members = list(group)
        title = f"rung {rung} ({len(members)} architectures, validation loss ± standard error)"
        out.print(leaderboard_table(members[:limit], title=title))
        out.print("")

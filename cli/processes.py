"""The sandboxed processes of trials as tables: what confined each, how it ended, what it took."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from netwright.cli.output import count, out, say, table, told_once, took
from netwright.types import JsonDict

COLUMNS = ("rung/seed", "process", "ended~", "spare", "start>", "wall>", "CPU>", "kill>", "memory>", "in>", "out>")
Run = tuple[JsonDict, JsonDict]
"""A trial and one of its processes."""


def print_processes(trials: Sequence[JsonDict]) -> None:
    """One table for each way in which processes were confined: its layers are told once, above the rows."""
    groups: dict[tuple[str, str, str], list[Run]] = {}
    for trial in trials:
        for job in trial["jobs"]:
            layers = "; ".join(f"{name} ({detail})" if detail else name for name, detail in job["layers"])
            groups.setdefault((job["tier"], job["policy"], layers), []).append((trial, job))
    for (tier, policy, layers), runs in groups.items():
        out.print(Text("\nprocesses", style="bold"))
        say(Text(f"isolation {tier}, policy {policy or 'not recorded'}: {layers or 'no layers recorded'}"))
        columns, rows, _ = told_once(("spare",), COLUMNS, [_cells(trial, job) for trial, job in runs])
        out.print(table(columns, rows))
        _print_stages(runs)


def _print_stages(runs: Sequence[Run]) -> None:
    """How long each stage took; the last one of a process that was stopped is the one that it was stopped in."""
    names = list(dict.fromkeys(name for _, job in runs for name, _ in job["stages"]))
    if not names:
        return
    rows = []
    for trial, job in runs:
        known = dict(job["stages"])
        rows.append(
            [_name(trial), _purpose(trial, job), *(took(known[name]) if name in known else None for name in names)]
        )
    out.print(Text("\nstages", style="bold"))
    out.print(table(("rung/seed", "process", *(f"{name}>" for name in names)), rows))


def _cells(trial: JsonDict, job: JsonDict) -> list[object]:
    ended = Text(job["cause"], style="" if job["cause"] == "ok" else "red")
    if job["cause"] != "ok" and job["exit_code"]:
        ended.append(f" (code {job['exit_code']})")
    if job["left_behind"]:
        ended.append(f", left {job['left_behind']} processes behind")
    return [
        _name(trial),
        _purpose(trial, job),
        ended,
        "yes" if job["warm"] else "no",
        took(job["start_seconds"]),
        took(job["wall_seconds"]),
        took(job["cpu_seconds"]),
        took(job["kill_seconds"]) if job["kill_seconds"] is not None else None,
        f"{count(job['peak_memory_bytes'])}B",
        f"{count(job['bytes_in'])}B",
        f"{count(job['bytes_out'])}B",
    ]


def _purpose(trial: JsonDict, job: JsonDict) -> str:
    """What the process was for; of a training of several seeds at once, times are one seed's share."""
    together = len(trial["telemetry"].get("seeds_at_once", ()))
    return f"train, 1 of {together} at once" if together and job["purpose"] == "train" else job["purpose"]


def _name(trial: JsonDict) -> str:
    """`0/1` is rung 0, seed 1."""
    split = "" if trial["split"] == "validation" else f" {trial['split']}"
    again = f" again {trial['repeat']}" if trial["repeat"] else ""
    rate = f" lr x {trial['rate']:g}" if trial["rate"] != 1.0 else ""
    return f"{trial['rung']}/{trial['seed']}{split}{rate}{again}"

"""What `measure` and `pareto` print."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.text import Text

from netwright.campaign.measuring import Measured
from netwright.cli.output import count, out, print_json, say, table, took
from netwright.evaluator.growth import growth_of
from netwright.measures import PROBE_DIM, Inference, State
from netwright.report.front import COST_NAMES, Entry, Front, compared

STATE_COLUMNS = ("length>", "past>", "numbers per layer", "state>", "bytes/token>")
ADVISORY = "measured in the candidates' own processes, so advisory, and never part of a score"


def print_measured(measured: Sequence[Measured], *, json: bool) -> None:
    """One architecture by length, or several in a row each."""
    if json:
        print_json([_as_json(each) for each in measured])
        return
    if len(measured) == 1:
        _print_lengths(measured[0])
    _print_summary(measured)
    for each in measured:
        first = each.measures.inference[0] if each.measures.inference else None
        if first and first.compile_seconds:
            say(f"{each.candidate.title}: {first.backend} compiles a step of training in {took(first.compile_seconds)}")
        for problem in each.measures.problems:
            say(Text(f"{each.candidate.title}: {problem}", style="yellow"))
    machines = dict.fromkeys(each.measures.machine for each in measured)
    say(f"{'; '.join(machines)}; {ADVISORY}")


def _print_lengths(one: Measured) -> None:
    measures = one.measures
    rows = measures.batch_rows
    columns = (
        "length>",
        "one row (ms)>",
        f"{rows} rows (ms)>",
        "tokens/s>",
        "memory>",
        "FLOPs/token>",
        "written/token>",
    )
    out.print(table(columns, [_length_cells(each, rows) for each in measures.inference], title=one.candidate.title))
    if measures.states:
        out.print("")
        states = [_state_cells(each) for each in measures.states]
        out.print(table(STATE_COLUMNS, states, title=f"state, probed at width {PROBE_DIM}"))
    out.print("")


def _length_cells(each: Inference, rows: int) -> list[object]:
    return [
        each.length,
        _milliseconds(each.seconds),
        _milliseconds(each.batch_seconds),
        count(each.length * rows / each.batch_seconds if each.batch_seconds else None),
        _bytes(each.peak_bytes),
        count(each.flops / each.length if each.flops is not None else None),
        count(each.written / each.length if each.written is not None else None),
    ]


def _state_cells(each: State) -> list[object]:
    return [each.length, each.past, ", ".join(map(str, each.ranks)), f"{each.bytes} B", f"{each.bytes / each.past:.0f}"]


def _print_summary(measured: Sequence[Measured]) -> None:
    columns = (
        *("architecture~", "row (ms)>", "tokens/s>", "memory>", "FLOPs/token>", "state>"),
        *("time ^>", "memory ^>", "FLOPs ^>", "state ^>", "growth", "id"),
    )
    out.print(table(columns, [_summary_cells(each) for each in measured], title=_lengths_told(measured)))


def _lengths_told(measured: Sequence[Measured]) -> str:
    """What the columns of the summary are about; lengths are the same for all of one task."""
    longest = max((each.measures for each in measured), key=lambda measures: len(measures.inference))
    lengths = [each.length for each in longest.inference]
    state = f"; state past {longest.state.past} tokens, probed at width {PROBE_DIM}" if longest.state else ""
    if not lengths:
        return ""
    return f"rows of {lengths[0]} tokens{state}; ^ is the exponent of growth over {', '.join(map(str, lengths))}"


def _summary_cells(each: Measured) -> list[object]:
    measures, growth = each.measures, growth_of(each.measures)
    first = measures.inference[0] if measures.inference else None
    cells = _length_cells(first, measures.batch_rows) if first else [None] * 7
    return [
        each.candidate.title,
        *(cells[1], *cells[3:6]),
        f"{measures.state.bytes} B" if measures.state else None,
        *map(_exponent, (growth.time, growth.memory, growth.flops, growth.state)),
        growth.word,
        each.candidate.id[:10],
    ]


def _as_json(each: Measured) -> dict[str, Any]:
    measures = each.measures
    return {
        "id": each.candidate.id,
        "title": each.candidate.title,
        **measures.model_dump(mode="json", exclude={"candidate_id"}),
        "state_bytes": measures.state.bytes if measures.state else None,
        "state_bytes_per_token": measures.state.bytes / measures.state.past if measures.state else None,
        "growth": growth_of(measures),
    }


def print_front(found: Front, *, json: bool) -> None:
    """Every design of a rung with its costs, those on the front marked, and what could not be compared."""
    if json:
        print_json({**_fields(found), "entries": [_entry_json(each) for each in found.entries]})
        return
    columns = (
        "",
        "architecture~",
        "",
        "loss (nats)>",
        "±>",
        "params>",
        "FLOPs/token>",
        "row (ms)>",
        "state>",
        "growth",
        "alone>",
        "id",
    )
    number = sum(each.on_front for each in found.entries)
    title = f"{found.task_id}, rung {found.rung}: * no other design beats these {number} of {len(found.entries)}"
    out.print(table(columns, [_front_cells(each) for each in found.entries], title=title))
    say(f"compared: {compared(found)}; differences in loss within the noise beat nobody")
    say(
        f"hypervolume of the front: {found.hypervolume:.1%} of what lies between the best and the worst of all; alone "
        "is the share of it that would be lost without a design"
    )
    for name, lacking in found.lacking.items():
        say(Text(f"{COST_NAMES[name]} is left out: not known of {lacking} of {len(found.entries)}", style="yellow"))
    if {"latency_seconds", "state_bytes"} & found.lacking.keys():
        say("netwright measure finds what can be found")
    if found.machine:
        say(f"latency and state: {found.machine}; {ADVISORY}")


def _front_cells(each: Entry) -> list[object]:
    row, costs = each.row, each.costs
    state = costs["state_bytes"]
    return [
        "*" if each.on_front else "",
        Text(row.title, style="bold" if each.on_front else "dim"),
        "baseline" if row.is_baseline else "",
        f"{row.loss_nats:.4f}",
        f"{row.standard_error:.4f}" if row.standard_error is not None else None,
        count(row.parameters),
        count(row.flops_per_token),
        _milliseconds(costs["latency_seconds"]),
        f"{state:.0f} B" if state is not None else None,
        each.growth.word if each.growth else None,
        f"{each.alone:.1%}" if each.on_front else None,
        row.short,
    ]


def _entry_json(each: Entry) -> dict[str, Any]:
    row = each.row
    return {
        "id": row.candidate_id,
        "title": row.title,
        "is_baseline": row.is_baseline,
        "on_front": each.on_front,
        "alone": each.alone,
        "loss_nats": row.loss_nats,
        "standard_error": row.standard_error,
        **each.costs,
        "growth": each.growth,
    }


def _fields(found: Front) -> dict[str, Any]:
    return {name: getattr(found, name) for name in found.__dataclass_fields__ if name != "entries"}


def _milliseconds(seconds: float | None) -> str | None:
    return None if seconds is None else f"{1e3 * seconds:.2f}"


def _bytes(number: int | None) -> str | None:
    return None if number is None else f"{count(number)}B"


def _exponent(value: float | None) -> str | None:
    return None if value is None else f"{round(value, 1) + 0.0:.1f}"  # + 0.0: -0.0 reads as if it meant something

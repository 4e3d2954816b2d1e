"""The journal of a campaign: one line for each experiment that the search was told of, in the order told. Pure.

A line never changes once it is written, and a new one comes after all others, so that a server that has read the
journal reads one line more. Where it outgrows its room, whole blocks of lines go at once, the oldest first: in between
nothing moves.
"""

from __future__ import annotations

from collections.abc import Sequence

from netwright.agents.quoting import as_data, one_line
from netwright.types import Remembered, Verdict

BLOCK_LINES = 16
_LINE_CHARACTERS = 300
"""A long line. Where fewer than two blocks of those have room, blocks are smaller."""
_TITLE, _FAILURE, _CHANGE = 80, 160, 120


def label(node: int) -> str:
    """How a node is called: `#12` an experiment, `B3` the third baseline."""
    return f"#{node}" if node >= 0 else f"B{-node}"


def journal_text(lines: Sequence[str], unit: str, characters: int) -> str:
    """Tell the journal in at most so many characters (its heading aside); empty where there is nothing to tell."""
    left_out = _left_out(lines, characters)
    if left_out == len(lines):
        return ""
    heading = f"# Journal: every experiment, in the order in which it was known (losses in {unit})"
    before = [f"({left_out} earlier ones are left out)"] if left_out else []
    return "\n".join([heading, "", *before, as_data("\n".join(lines[left_out:]))])


def _left_out(lines: Sequence[str], characters: int) -> int:
    """How many lines go, in whole blocks: as few as leave the rest within the budget."""
    block = min(BLOCK_LINES, max(1, characters // (2 * _LINE_CHARACTERS)))
    length, gone = sum(len(line) + 1 for line in lines), 0
    while length > characters and gone < len(lines):
        length -= sum(len(line) + 1 for line in lines[gone : gone + block])
        gone = min(gone + block, len(lines))
    return gone


def journal_line(entry: Remembered, *, again: bool) -> str:
    """Write the line of an experiment; `again` where the journal has one of its node, which was trained further."""
    name = "" if entry.node is None else f"{label(entry.node)} "
    title = one_line(entry.candidate.title, _TITLE).rstrip(".")
    parents = " and ".join(map(label, entry.parents))
    made = "trained further" if again else entry.operator.value + (f" of {parents}" if parents else "")
    return f"{name}{made}: {title}: {_result(entry)}"


def _result(entry: Remembered) -> str:
    if entry.failure:
        return f"failed, {one_line(entry.failure, _FAILURE)}"
    if entry.score is None:
        return "no score"
    score, verdict = entry.score, entry.verdict
    told = f"{-score.value:.4f} +- {score.standard_error:.4f} at rung {score.rung}"
    return told if verdict is None else f"{told}; {_judged(verdict)}"


def _judged(verdict: Verdict) -> str:
    interval, delta = verdict.interval, verdict.delta_nats
    told = verdict.outcome.value
    if delta is not None:
        told += f", {delta:+.4f}"
    if interval is not None:
        told += f" [{interval.low:+.4f}, {interval.high:+.4f}]"
    changed = one_line(verdict.changed, _CHANGE)
    return f"{told}; {changed}" if changed else told

"""What `memory stats` prints: what is in the memory, and what it took."""

from __future__ import annotations

from pathlib import Path

from rich.text import Text

from netwright.cli.forms import Form, print_document
from netwright.cli.output import count, duration, out, say, section
from netwright.memory.holdings import Holdings, holdings
from netwright.memory.store import Memory


def print_stats(home: Path, campaign: str | None, *, form: Form) -> None:
    """Campaigns, designs, trainings, hours, tokens, outcomes, size."""
    with Memory.open(home, create=False, read_only=True) as memory:
        held, path = holdings(memory, campaign), memory.path
    if form is not Form.TEXT:
        print_document(held, form)
        return
    _print_totals(held, path)
    section(
        "campaigns",
        (
            "campaign",
            "task",
            "status",
            "designs>",
            "failed>",
            "trainings>",
            "hours>",
            "tokens>",
            "LLM tokens>",
            "began",
        ),
        [
            [
                row["name"],
                row["task_id"],
                row["status"],
                row["designs"],
                row["failed"],
                row["trainings"],
                f"{row['training_hours']:.2f}",
                count(row["trained_tokens"]),
                count(row["llm_tokens"]) if row["llm_tokens"] else "",
                row["started_at"][:16].replace("T", " "),
            ]
            for row in held.campaigns
        ],
        once=("task", "status"),
        spare=("began", "task", "trainings>"),
    )
    section(
        "designs, by operator and origin",
        ("operator", "origin", "made>", "failed>", "better>", "no difference>", "worse>"),
        [
            [row[name] for name in ("operator", "origin", "made", "failed", "better", "no_difference", "worse")]
            for row in held.designs
        ],
        once=("origin",),
    )


def _print_totals(held: Holdings, path: Path) -> None:
    sums = held.totals
    say(Text.assemble((str(path), "bold"), f"  {_size(sums.database_bytes)}, artifacts {_size(held.artifact_bytes)}"))
    plural = "" if sums.campaigns == 1 else "s"
    say(f"{sums.campaigns} campaign{plural}, {sums.experiments} experiments, {sums.candidates} designs and baselines")
    trials = ", ".join(f"{number} {status}" for status, number in sums.trials.items()) or "none"
    say(f"trainings: {trials}; {duration(sums.training_seconds)}, {count(sums.trained_tokens)} tokens")
    rejected = ", ".join(f"{number} {gate}" for gate, number in sums.rejected_by_gate.items())
    if rejected:
        say(f"rejected by gates: {rejected}")
    if sums.llm["calls"]:
        tokens = sums.llm["prompt_tokens"] + sums.llm["completion_tokens"]
        say(f"models: {sums.llm['calls']} calls, {sums.llm['failed']} failed, {count(tokens)} tokens")
    if not held.campaigns:
        out.print("no campaign yet: netwright run")


def _size(number: int) -> str:
    return f"{count(number)}B"

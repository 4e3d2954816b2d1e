"""What `memory transcript` prints: one design's story as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import typer

from netwright.agents.quoting import fenced
from netwright.cli.output import print_json, say
from netwright.errors import StoreError
from netwright.memory.records import Review
from netwright.memory.store import Memory
from netwright.memory.transcripts import Checked, Transcript, transcript
from netwright.printable import printable
from netwright.types import Interval, LlmCall, Trial, Verdict

LONG = 400
"""Characters from which on a message that was shown before is pointed to and not shown again."""


def print_transcript(home: Path, which: str | None, campaign: str | None, file: Path | None, *, json: bool) -> None:
    """Print the story of a design, or write it into `file`."""
    with Memory.open(home, create=False, read_only=True) as memory:
        story = transcript(memory, which, campaign)
    if json:
        print_json(story)
        return
    text = printable(markdown(story))
    if file is None:
        typer.echo(text)
        return
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise StoreError(f"cannot write {file}: {error.strerror}; choose another file with --out") from None
    say(f"wrote {file}: {len(story.calls)} calls, {len(text):,} characters")


def markdown(story: Transcript) -> str:
    """The story as a Markdown page."""
    first = story.records[0]
    title = first.candidate.title if first.candidate else "No design came of it"
    came = (
        f"{first.operator.value} of {_listed(parent.title for parent in story.parents)}"
        if story.parents
        else (first.operator.value)
    )
    task = story.campaign.task
    parts = [
        f"# {_line(title)}",
        f"Node {story.node} of campaign `{story.campaign.name}` on task `{task.name}` ({task.summary}): {came}.",
        *_conversation(story.calls),
        *_files(story.files),
        *_reviews(story.reviews),
        *_trainings(story.trials),
        *_judgements(story),
    ]
    return "\n\n".join(parts) + "\n"


def _conversation(calls: Sequence[LlmCall]) -> Iterable[str]:
    if not calls:
        yield "No model was asked for it, or it was by a netwright that did not keep which design a call was for."
    shown: dict[str, str] = {}
    for number, call in enumerate(calls, 1):
        yield f"## Call {number}: {call.role}, {_line(call.model)}"
        yield _price(call)
        for place, message in enumerate(call.messages, 1):
            said = message["content"]
            yield f"**{message['role']}**"
            if said in shown:
                yield f"As {shown[said]} ({len(said):,} characters)."
                continue
            yield fenced(said, "text")
            if len(said) >= LONG:
                shown[said] = f"message {place} of call {number}"
        yield f"**reply of call {number}**"
        yield fenced(call.reply, "text") if call.reply is not None else f"None: {_line(call.error)}"


def _price(call: LlmCall) -> str:
    about = "about " if call.tokens_estimated else ""
    counted = call.prompt_tokens is not None and call.completion_tokens is not None
    tokens = (
        f"{about}{call.prompt_tokens:,} tokens read, {call.completion_tokens:,} written" if counted else "no tokens"
    )
    trouble = f"; before it: {_line(call.error)}" if call.error and call.reply is not None else ""
    return f"{call.tag or 'no tag'}; status {call.status}; {tokens}; {call.seconds:.1f} s{trouble}."


def _files(files: Sequence[Checked]) -> Iterable[str]:
    for number, file in enumerate(files, 1):
        yield f"## File {number}: {_line(file.candidate.title)} (`{file.candidate.id[:10]}`)"
        if file.failure:
            yield f"Stopped at {file.stage}: {_line(file.failure)}"
        yield fenced(file.candidate.source, "python")
        if file.gates:
            rows = [
                (report.gate, "pass" if report.passed else "FAIL" if report.rejects else "warning", report.message)
                for report in file.gates
            ]
            yield _table(("gate", "verdict", "message"), rows)


def _reviews(reviews: Sequence[Review]) -> Iterable[str]:
    if reviews:
        yield "## Reviewed by a person"
        rows = [(review.candidate_id[:10], review.decision, review.note) for review in reviews]
        yield _table(("file", "decision", "why"), rows)


def _trainings(trials: Sequence[Trial]) -> Iterable[str]:
    if trials:
        yield "## Trainings"
        rows = [
            (trial.rung, trial.seed, trial.status, f"{trial.tokens:,}", _number(trial.loss_nats), trial.reason)
            for trial in trials
        ]
        yield _table(("rung", "seed", "status", "tokens", "loss", "reason"), rows)


def _judgements(story: Transcript) -> Iterable[str]:
    for record in story.records:
        promoted = record.action is not None and record.action.kind == "promote"
        yield f"## {'Judged again at a higher rung' if promoted else 'Judged'}"
        if record.score is not None:
            score = record.score
            unit = story.campaign.task.unit
            yield f"Loss {-score.value:.4f} +- {score.standard_error:.4f} {unit} at rung {score.rung}."
        if record.failure:
            yield f"Failed at {record.stage}: {_line(record.failure)}"
        if record.verdict is not None:
            yield _verdict(record.verdict)


def _verdict(verdict: Verdict) -> str:
    delta = "" if verdict.delta_nats is None else f", delta {verdict.delta_nats:+.4f}{_within(verdict.interval)}"
    parts = [
        f"**{verdict.outcome.value}**{delta} (by {verdict.author}).",
        f"Changed: {_line(verdict.changed)}" if verdict.changed else "",
        _line(verdict.words),
        f"Lesson: {_line(verdict.lesson)}" if verdict.lesson else "",
    ]
    return "\n\n".join(part for part in parts if part)


def _within(interval: Interval | None) -> str:
    return "" if interval is None else f" in [{interval.low:+.4f}, {interval.high:+.4f}] at {interval.level:.0%}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _listed(names: Iterable[str]) -> str:
    return " and ".join(f'"{_line(name)}"' for name in names)


def _line(text: str) -> str:
    return " ".join(text.split())


def _table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(
        f"| {' | '.join(_line(str(cell)).replace('|', chr(92) + '|') for cell in line)} |" for line in lines
    )

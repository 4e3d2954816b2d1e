"""What `memory export` and `memory import` of a whole memory do and print."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from rich.status import Status
from rich.text import Text

from netwright.campaign.opening import exclusive
from netwright.cli.output import err, print_json, say
from netwright.memory import archive
from netwright.memory.importing import Imported, bring_in

KEY_WARNING = (
    "It holds the key from which held-out data is drawn: who has it could train on the answers. Keep it private "
    "while results matter."
)


def export_memory(home: Path, file: Path, *, weights: bool, json: bool) -> None:
    """Write the memory into one file and say what is in it."""
    with _progress("packing") as status:
        manifest = archive.write(
            home, file, weights=weights, on_part=lambda name, size: status.update(f"packing {name} ({_size(size)})")
        )
    if json:
        shown = manifest.model_dump(mode="json", exclude={"parts"})
        print_json({"file": str(file), **shown, "artifacts": len(manifest.artifacts), "bytes": manifest.bytes})
        return
    counts = manifest.counts
    say(
        f"{file}: {_many(counts['campaigns'], 'campaign')}, {_many(counts['candidates'], 'design')}, "
        f"{_many(counts['trials'], 'trial')}, {_many(counts['lessons'], 'lesson')}, "
        f"{_many(len(manifest.artifacts), 'artifact')}{'' if weights else ' (weights left out)'}, "
        f"{_size(file.stat().st_size)}"
    )
    say(KEY_WARNING)
    say(f"On another machine: netwright memory import {file.name}")


def import_memory(home: Path, file: Path, *, json: bool) -> None:
    """Take in a whole memory and say what came."""
    with _progress("reading") as status:
        imported = bring_in(
            home,
            file,
            hold=lambda name: exclusive(home, name),
            on_part=lambda name, size: status.update(f"unpacking {name} ({_size(size)})"),
            on_step=lambda table: status.update(f"taking in {table}"),
        )
    if json:
        known = asdict(imported.merged)
        print_json(known | {name: getattr(imported, name) for name in ("has_moved", "artifacts", "artifact_bytes")})
        return
    for line in _told(imported):
        say(Text(line))


def _told(imported: Imported) -> Iterator[str]:
    merged = imported.merged
    for names, words in (
        (merged.new, "new"),
        (merged.continued, "gone on with from where it stood here"),
        (merged.apart, "went on differently here: kept beside ours"),
        (merged.known, "known already"),
    ):
        yield from (f"campaign {name}: {words}" for name in names)
    differing = f", {merged.trials_differing:,} with another result, ours stays" if merged.trials_differing else ""
    yield (
        f"{_many(merged.designs_new, 'new design')} ({merged.designs_known:,} known), "
        f"{_many(merged.trials_new, 'new trial')} ({merged.trials_known:,} known{differing}), "
        f"{_many(merged.lessons_new, 'new lesson')}, {_many(imported.artifacts, 'new artifact')} "
        f"({_size(imported.artifact_bytes)})"
    )
    if imported.has_moved:
        yield f"The memory is here as it was, with its key. {KEY_WARNING} Go on with: netwright resume NAME"
    elif not merged.own_tasks:
        yield (
            "That memory draws held-out data with another key: its tasks are called ID@SIGN here and compare with none "
            "of ours. Its campaigns can be looked at, searched, and started from, and go on in their own home only."
        )


@contextmanager
def _progress(what: str) -> Iterator[Status]:
    """A line on stderr that says what is being done, in a terminal."""
    with err.status(what) as status:
        yield status


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _size(count: int) -> str:
    return f"{count / 1e6:,.1f} MB" if count >= 100_000 else f"{count / 1e3:,.1f} kB"

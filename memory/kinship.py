"""Which campaign of another memory is which of this one, and what its tasks are called here.

A campaign is known again by what was settled when it began, in which memory; it may go on in several copies of that
memory. Held-out rows are drawn with a memory's key: under another key a task is another one, `ID@SIGN` with the sign of
that key, and its results compare with nothing else.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from netwright.memory.rows import to_json
from netwright.types import TaskSpec

Kin = Literal["same", "further", "apart"]
_NAME_CHARACTERS, _SUFFIX_CHARACTERS = 64, 6


def sign(evaluation_key: bytes) -> str:
    """By what a memory is told from others; it says nothing of the key."""
    return hashlib.sha256(b"netwright memory " + evaluation_key).hexdigest()[:8]


def task_here(task_id: str, theirs: str, ours: str) -> str:
    """What a task of the memory with the sign `theirs` is called in the one with the sign `ours`."""
    own, _, drawn_in = task_id.partition("@")
    drawn_in = drawn_in or theirs
    return own if drawn_in == ours else f"{own}@{drawn_in}"


def spec_here(spec: str, theirs: str, ours: str) -> str:
    """The specification of a task, as JSON, as it is to be read in the memory with the sign `ours`."""
    if theirs == ours:
        return spec
    task = TaskSpec.model_validate_json(spec)
    drawn_in = task.drawn_in or theirs
    return task.model_copy(update={"drawn_in": "" if drawn_in == ours else drawn_in}).model_dump_json()


def identity(row: Mapping[str, Any], own_sign: str) -> str:
    """What a campaign is known by that began in the memory with that sign; `row` is its row there."""
    settled = (own_sign, row["name"], row["started_at"], row["seed"], row["task_id"])
    return hashlib.sha256(to_json(settled).encode()).hexdigest()


@dataclass(frozen=True)
class History:
    """What a campaign did: the records that the search was told, in order, and what it asked for, by action."""

    told: Sequence[str]
    asked: Mapping[int, str]
    elapsed_seconds: float

    def begins(self, other: History) -> bool:
        """Whether `other` is this, or this gone on with."""
        return self.told == other.told[: len(self.told)] and self.asked.items() <= other.asked.items()

    def kin(self, theirs: History) -> Kin:
        """What another history of the campaign is to this one: nothing more, this gone on with, or another way."""
        if theirs.begins(self):
            return "further" if self.begins(theirs) and theirs.elapsed_seconds > self.elapsed_seconds else "same"
        return "further" if self.begins(theirs) else "apart"

    @property
    def digest(self) -> str:
        return hashlib.sha256(to_json([self.told, sorted(self.asked.items())]).encode()).hexdigest()


def history(conn: sqlite3.Connection, schema: str, row: sqlite3.Row) -> History:
    """Read what a campaign did, from `main` or from an attached memory.

    The number of the last card that was there is left out: cards have other numbers in other memories.
    """
    told = conn.execute(
        f"SELECT json_array(action, node, json(json_remove(record, '$.action.cards'))) FROM {schema}.journal "
        "WHERE campaign_id = ? ORDER BY id",
        (row["id"],),
    )
    asked = conn.execute(
        f"SELECT action, json_remove(body, '$.cards') FROM {schema}.actions WHERE campaign_id = ?", (row["id"],)
    )
    return History([text for (text,) in told], {index: body for index, body in asked}, row["elapsed_seconds"])


def free_name(conn: sqlite3.Connection, name: str, digest: str) -> str:
    """`name`, or where that is taken `name@` and the beginning of `digest`, as long as it takes."""
    taken = {row["name"] for row in conn.execute("SELECT name FROM main.campaigns")}
    suffixes = (f"@{digest[:length]}" for length in range(_SUFFIX_CHARACTERS, 32))
    names = [name, *(name[: _NAME_CHARACTERS - len(suffix)] + suffix for suffix in suffixes)]
    return next(each for each in names if each not in taken)


def config_here(config: str, names: Mapping[str, str]) -> str:
    """The settings of a campaign, with the names that earlier ones have here."""
    known = json.loads(config)
    if known.get("replay") is not None:
        known["replay"] = names.get(known["replay"], known["replay"])
    search = known.get("search")
    if isinstance(search, dict) and isinstance(search.get("warm"), dict):
        search["warm"] = {names.get(each, each): count for each, count in search["warm"].items()}
    return to_json(known)

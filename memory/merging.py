"""Two memories made one: what is in an attached one, `theirs`, comes into `main`, in the caller's transaction.

Rows are known again by what they are of, never by their numbers, which are given anew: a second time nothing changes.
What is here stays as it is, but for campaigns that went on there from where they stand here. Triggers keep the
full-text indexes, and mark vectors as to be made.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field

from netwright.memory import kinship
from netwright.memory.copying import Copying, mapped
from netwright.memory.kinship import History, sign
from netwright.memory.precedence import Ranked

_CAMPAIGN_TABLES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("nodes", ("campaign_id", "node")),
    ("edges", ("campaign_id", "node", "position")),
    ("actions", ("campaign_id", "action")),
    ("attempts", ()),
    ("scores", ()),
    ("verdicts", ()),
    ("duplicates", ("campaign_id", "action", "candidate_id", "kind")),
    ("reviews", ("campaign_id", "action", "candidate_id", "position")),
    ("llm_calls", ()),
    ("openings", ("candidate_id", "task_id", "rung", "rate", "seeds")),
)
"""Tables of campaigns with what their rows are known by; where that is empty, by all that they say."""

_DESIGN_TABLES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("measures", ()),
    ("shares", ("candidate_id", "task_id")),
    ("structures", ("candidate_id", "task_id")),
    ("portraits", ("candidate_id", "task_id")),
)
_TRIAL = ("candidate_id", "task_id", "rung", "seed", "split", "repeat", "rate")
_CHECK = ("candidate_id", "task_id")
_REPORT = ("gate", "occurrence", "passed", "severity", "message", "tier")


@dataclass
class Merged:
    """What came: campaigns by what they are called here, and how many designs, trials and lessons.

    `apart` are campaigns that went on differently here and there, under their new names. Of trials, `differing` have
    another result here, which stays. `own_tasks`: whether tasks are the same as here (the memories have one key).
    """

    own_tasks: bool
    new: list[str] = field(default_factory=list)
    apart: list[str] = field(default_factory=list)
    continued: list[str] = field(default_factory=list)
    known: list[str] = field(default_factory=list)
    designs_new: int = 0
    designs_known: int = 0
    trials_new: int = 0
    trials_known: int = 0
    trials_differing: int = 0
    lessons_new: int = 0


def merge(
    conn: sqlite3.Connection,
    hold: Callable[[str], None],
    on_step: Callable[[str], None] = lambda table: None,
) -> Merged:
    """Take all that is in the attached memory `theirs` into `main`.

    A memory in which nothing was tried yet takes over their key too, and is then what theirs was. A campaign that is
    gone on with is first held by `hold(name)`, until the caller has committed. `on_step` is told each table.

    Raises:
        BusyError: from `hold`, where a campaign that would be changed is running.
        sqlite3.IntegrityError: theirs holds what no memory can.
    """
    conn.execute("PRAGMA defer_foreign_keys = ON")
    if conn.execute("SELECT NOT EXISTS (SELECT 1 FROM main.tasks)").fetchone()[0]:
        conn.execute("INSERT OR REPLACE INTO main.meta SELECT * FROM theirs.meta")
    merging = _Merging(conn, sign(_key(conn, "theirs")), sign(_key(conn, "main")))
    merging.tasks()
    merging.designs(on_step)
    merging.campaigns(hold)
    merging.results(on_step)
    merging.records(on_step)
    return merging.merged


def _key(conn: sqlite3.Connection, schema: str) -> bytes:
    return bytes.fromhex(conn.execute(f"SELECT value FROM {schema}.meta WHERE key = 'evaluation_key'").fetchone()[0])


class _Merging:
    """One merge: what comes in, in the order in which rows refer to each other."""

    def __init__(self, conn: sqlite3.Connection, theirs: str, ours: str) -> None:
        self.conn, self.theirs, self.ours = conn, theirs, ours
        self.merged = Merged(own_tasks=theirs == ours)
        self.copying = Copying(conn)

    def tasks(self) -> None:
        for row in self.conn.execute("SELECT * FROM theirs.tasks ORDER BY rowid").fetchall():
            here = kinship.task_here(row["id"], self.theirs, self.ours)
            spec = row["spec"] and kinship.spec_here(row["spec"], self.theirs, self.ours)
            self.copying.task(row["id"], here)
            self.conn.execute(
                "INSERT INTO main.tasks (id, name, metric, spec) VALUES (?, ?, ?, ?) ON CONFLICT (id) DO UPDATE "
                "SET metric = excluded.metric, spec = excluded.spec WHERE spec IS NULL",
                (here, row["name"], row["metric"], spec),
            )

    def designs(self, on_step: Callable[[str], None]) -> None:
        """Candidates, what was found out about them once, and outside knowledge."""
        on_step("candidates")
        self.merged.designs_new = self.copying.copy("candidates", ("id",))
        self.merged.designs_known = self.copying.count("candidates") - self.merged.designs_new
        for table, known_by in _DESIGN_TABLES:
            on_step(table)
            self.copying.copy(table, known_by)
        # Of the cards with one title the latest counts: here that stays ours, unless theirs took its place knowingly.
        self.copying.copy(
            "knowledge",
            ("kind", "title", "source"),
            "NOT EXISTS (SELECT 1 FROM main.knowledge m WHERE m.kind = 'card' AND o.kind = 'card' "
            "AND m.title = o.title AND m.text NOT IN "
            "(SELECT text FROM theirs.knowledge WHERE kind = 'card' AND title = o.title))",
        )
        self.copying.map("knowledge", ("kind", "title", "source"))

    def campaigns(self, hold: Callable[[str], None]) -> None:
        """Find out which campaign is which, and take in those that are not here."""
        names: dict[str, str] = {}
        known = [(self._identity("main", row), row) for row in self.conn.execute("SELECT * FROM main.campaigns")]
        for row in self.conn.execute("SELECT * FROM theirs.campaigns ORDER BY id").fetchall():
            identity, theirs = self._identity("theirs", row), kinship.history(self.conn, "theirs", row)
            kindred = [here for each, here in known if each == identity]
            for here in kindred:
                ours = kinship.history(self.conn, "main", here)
                kin = ours.kin(theirs)
                if kin == "apart":
                    continue
                names[row["name"]] = here["name"]
                self.copying.campaign(row["id"], here["id"], further=kin == "further", told=len(ours.told))
                if kin == "further":
                    hold(here["name"])
                    self._go_on(row, here, names)
                (self.merged.continued if kin == "further" else self.merged.known).append(here["name"])
                break
            else:
                came = self._take_in(row, identity, theirs, names)
                (self.merged.apart if kindred else self.merged.new).append(came)

    def _identity(self, schema: str, row: sqlite3.Row) -> str:
        sql = f"SELECT identity FROM {schema}.identities WHERE campaign_id = ?"
        kept = self.conn.execute(sql, (row["id"],)).fetchone()
        return kept[0] if kept else kinship.identity(dict(row), self.theirs if schema == "theirs" else self.ours)

    def _go_on(self, row: sqlite3.Row, here: sqlite3.Row, names: dict[str, str]) -> None:
        config = kinship.config_here(row["config"], names)
        self.conn.execute(
            "UPDATE main.campaigns SET config = ?, status = ?, finished_at = ?, elapsed_seconds = ?, note = ? "
            "WHERE id = ?",
            (config, row["status"], row["finished_at"], row["elapsed_seconds"], row["note"], here["id"]),
        )

    def _take_in(self, row: sqlite3.Row, identity: str, history: History, names: dict[str, str]) -> str:
        name = names[row["name"]] = kinship.free_name(self.conn, row["name"], history.digest)
        here = dict(row) | {
            "name": name,
            "task_id": kinship.task_here(row["task_id"], self.theirs, self.ours),
            "task": kinship.spec_here(row["task"], self.theirs, self.ours),
            "config": kinship.config_here(row["config"], names),
        }
        del here["id"]
        marks = ", ".join("?" * len(here))
        done = self.conn.execute(f"INSERT INTO main.campaigns ({', '.join(here)}) VALUES ({marks})", (*here.values(),))
        campaign_id = int(done.lastrowid or 0)
        self.copying.campaign(row["id"], campaign_id, further=False, told=0)
        if identity != kinship.identity(here, self.ours):
            self.conn.execute("INSERT INTO main.identities VALUES (?, ?)", (campaign_id, identity))
        return name

    def results(self, on_step: Callable[[str], None]) -> None:
        """Gate reports and trials: ours count, theirs that say something else are put aside; see `precedence`."""
        on_step("gates")
        self.copying.copy("gates", _CHECK)
        Ranked("gates", _CHECK, _REPORT, mapped).unite(
            self.conn, lambda row, level: self.copying.add("gates", row, level)
        )
        on_step("trials")
        # Trained on another share of the tokens than counts here, it compares with nothing here.
        other_share = (
            "o.superseded + EXISTS (SELECT 1 FROM theirs.shares s JOIN main.shares m "
            f"ON m.candidate_id = s.candidate_id AND m.task_id = {mapped('task_id')} AND m.factor <> s.factor "
            "WHERE s.candidate_id = o.candidate_id AND s.task_id = o.task_id)"
        )
        said = tuple(
            name for name in self.copying.columns("trials") if name not in (*_TRIAL, "campaign_id", "superseded")
        )
        before = self.copying.count("trials", "main")
        self.copying.copy("trials", _TRIAL, superseded=other_share)
        self.merged.trials_new = self.copying.count("trials", "main") - before
        self.merged.trials_differing = Ranked("trials", _TRIAL, said, mapped).unite(
            self.conn, lambda row, level: self.copying.add("trials", row, level)
        )
        new = self.merged.trials_new + self.merged.trials_differing
        self.merged.trials_known = self.copying.count("trials") - new
        self.copying.map("trials", (*_TRIAL, *said))
        for table, known_by in (("curves", ("trial_id",)), ("jobs", ("trial_id", "position"))):
            on_step(table)
            self.copying.copy(table, known_by)

    def records(self, on_step: Callable[[str], None]) -> None:
        """What campaigns did and learned."""
        for table, known_by in _CAMPAIGN_TABLES:
            on_step(table)
            self.copying.copy(table, known_by)
        self._bring_up()
        on_step("journal")
        self.copying.insert(
            "journal",
            "o.id IN (SELECT id FROM (SELECT id, told, "
            "row_number() OVER (PARTITION BY campaign_id ORDER BY id) AS place "
            "FROM theirs.journal JOIN temp.campaigns_map ON theirs = campaign_id) WHERE place > told)",
        )
        self.copying.map("verdicts", self.copying.columns("verdicts"))
        self.merged.lessons_new = self.copying.copy("lessons", ("task_id", "claim_key"))
        self.copying.map("lessons", ("task_id", "claim_key"))
        self.conn.execute(
            "UPDATE main.lessons SET retired = o.retired FROM theirs.lessons o "
            "JOIN temp.lessons_map l ON l.theirs = o.id WHERE main.lessons.id = l.ours AND main.lessons.retired = ''"
        )
        self.copying.copy("evidence", ("lesson_id", "verdict_id"))

    def _bring_up(self) -> None:
        """Nodes and actions of campaigns that went on there stand as they do there."""
        kin = "temp.campaigns_map c WHERE c.further AND o.campaign_id = c.theirs AND main.{0}.campaign_id = c.ours"
        self.conn.execute(
            "UPDATE main.nodes SET rung = o.rung, seconds = o.seconds, visits = o.visits, value = o.value "
            f"FROM theirs.nodes o, {kin.format('nodes')} AND main.nodes.node = o.node"
        )
        names = ("state", "node", "candidate_id", "stage", "failure", "done_at")
        self.conn.execute(
            f"UPDATE main.actions SET {', '.join(f'{name} = o.{name}' for name in names)} "
            f"FROM theirs.actions o, {kin.format('actions')} AND main.actions.action = o.action "
            "AND main.actions.state <> 'done'"
        )

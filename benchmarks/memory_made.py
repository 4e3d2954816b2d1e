"""Memories of any size for benchmarks/memory.py: drafts of the grammar planner, each told in words of its own.

Words of hypotheses and verdicts are drawn by Zipf's law (the n-th most frequent one with probability ~ 1 / n) from
20,000 made-up ones, beside what the planner says. Every experiment has a candidate with its code, a structure, a trial,
a node, a score and a verdict.
"""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from netwright.agents.grammar_planner import GrammarPlanner
from netwright.evaluator.structure import STRUCTURE_VERSION, structure_of
from netwright.memory.connection import now
from netwright.memory.rows import candidate_row, insert, trial_row, verdict_row
from netwright.memory.store import Memory
from netwright.memory.vectors import fill_all_own
from netwright.types import (
    Candidate,
    Context,
    Operator,
    Outcome,
    Recipe,
    Rung,
    Scope,
    Structure,
    TaskSpec,
    Trial,
    TrialStatus,
    Usage,
    Verdict,
)  # fmt: skip

TASK = TaskSpec(
    name="made", summary="", scope=Scope.MIXER, vocab_size=64, max_len=128, dim=64, heads=4, layers=2,
    parameters=90_000, metric="loss", recipe=Recipe(), rungs=(Rung(level=0, tokens=1000),),
    validation_rows=8, test_rows=8,
)  # fmt: skip
DRAFTS, VOCABULARY, PER_CAMPAIGN = 200, 20_000, 1_000
SYLLABLES = [first + vowel + last for first in "bdfgklmnprstvz" for vowel in "aeiou" for last in ("", "n", "r", "s")]


class Maker:
    """Makes experiments; equal seeds make equal ones."""

    def __init__(self, seed: int = 0) -> None:
        self.rng = random.Random(seed)
        self._draws = np.random.default_rng(seed)
        shares = np.cumsum(1 / np.arange(1, VOCABULARY + 1))
        self._shares = shares / shares[-1]
        words = random.Random(1)
        self.vocabulary = ["".join(words.choices(SYLLABLES, k=words.choice((2, 3, 4)))) for _ in range(VOCABULARY)]
        planner = GrammarPlanner()
        contexts = [
            Context(task=TASK, operator=Operator.DRAFT, seed=number, draw=0, mixer_parameters=20_000)
            for number in range(DRAFTS)
        ]
        self.drafts = [planner.sketch(context).proposal().candidate(Scope.MIXER) for context in contexts]
        self.structures = [structure_of(draft.source, draft.genotype, TASK.recipe) for draft in self.drafts]

    def words(self, count: int) -> str:
        """So many words, common ones often."""
        places = np.searchsorted(self._shares, self._draws.random(count))
        return " ".join(self.vocabulary[place] for place in places)

    def candidates(self, count: int) -> Iterator[tuple[Candidate, Structure]]:
        """So many designs that nobody has seen, each with what it is made of."""
        for number in range(count):
            place = self.rng.randrange(DRAFTS)
            draft, structure = self.drafts[place], self.structures[place]
            told = {"title": f"{draft.title} {self.words(2)}", "hypothesis": f"{draft.hypothesis} {self.words(30)}"}
            source = f"{draft.source}\n# {self.rng.getrandbits(64):x} {number}\n"
            changed = {name: n + self.rng.random() for name, n in structure.counts.items() if self.rng.random() < 0.9}
            yield draft.model_copy(update={**told, "source": source}), structure.model_copy(update={"counts": changed})

    def trial(self, candidate: Candidate) -> Trial:
        """A training that is done."""
        loss = self.rng.gauss(1.5, 0.1)
        return Trial(
            candidate_id=candidate.id, task_id=TASK.id, rung=0, seed=0, status=TrialStatus.DONE, loss_nats=loss,
            loss_standard_error=0.01, metrics={"recall": self.rng.random()}, tokens=1000, steps=10,
            parameters=self.rng.randrange(50_000, 90_000), usage=Usage(wall_seconds=2.0, cpu_seconds=2.0),
        )  # fmt: skip

    def verdict(self) -> Verdict:
        """A verdict in some words."""
        outcome = self.rng.choice(list(Outcome))
        return Verdict(outcome=outcome, changed=self.words(4), words=self.words(12), delta_nats=self.rng.gauss(0, 0.1))


def make(home: Path, count: int) -> None:
    """Make a memory of so many experiments."""
    maker = Maker()
    with Memory.open(home) as memory:
        made = 0
        while made < count:
            campaign = memory.start_campaign(f"made {made}", TASK, 0, {})
            step = min(PER_CAMPAIGN, count - made)
            with memory.connection.write() as conn:
                for node, (candidate, structure) in enumerate(maker.candidates(step)):
                    _put(conn, campaign.id, node, candidate, structure, maker)
            made += step
            fill_all_own(memory.connection)


def _put(
    conn: sqlite3.Connection, campaign: int, node: int, candidate: Candidate, structure: Structure, maker: Maker
) -> None:
    at = {"created_at": now()}
    who = {"candidate_id": candidate.id, **at}
    body = {"task_id": TASK.id, "version": STRUCTURE_VERSION, "body": structure.model_dump_json()}
    trial = maker.trial(candidate)
    insert(conn, "candidates", {**candidate_row(candidate), **at})
    insert(conn, "structures", {**who, **body})
    insert(conn, "trials", {"campaign_id": campaign, **trial_row(trial), **at})
    place = {"campaign_id": campaign, "node": node, **who}
    insert(
        conn,
        "nodes",
        {**place, "operator": "draft", "rung": 0, "stage": "", "failure": "", "seconds": 1.0, "visits": 0},
    )
    insert(conn, "scores", {**place, "value": -(trial.loss_nats or 0.0), "standard_error": 0.01, "rung": 0, "seeds": 1})
    insert(conn, "verdicts", {**place, **verdict_row(maker.verdict())})

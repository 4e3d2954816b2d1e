"""A small campaign in a memory: a baseline, and a design for each way in which one can end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from netwright.memory import Attempt, Campaign, ExperimentRecord, Memory
from netwright.types import (
    Action,
    Candidate,
    Operator,
    Recipe,
    Rung,
    Scope,
    Score,
    TaskSpec,
    Trial,
    TrialStatus,
    Usage,
    Verdict,
)

HOSTILE = "<img src=x onerror=alert(1)> \x1b[31m'; DROP TABLE runs; --"
TASK = TaskSpec(
    name="bytes",
    summary="predict the next byte",
    scope=Scope.MIXER,
    vocab_size=256,
    max_len=128,
    dim=64,
    heads=4,
    layers=2,
    parameters=100_000,
    metric="bits per byte",
    recipe=Recipe(),
    rungs=(Rung(level=0, tokens=1000), Rung(level=1, tokens=3000)),
    validation_rows=8,
    test_rows=8,
)


class Author:
    """Writes experiments into the memory of one campaign."""

    def __init__(self, memory: Memory, campaign: Campaign) -> None:
        self.memory = memory
        self.campaign = campaign

    def candidate(self, number: int, **changes: str | None) -> Candidate:
        fields = {
            "source": f'"""Design {number}."""\nRECIPE = {{"lr": 0.0{number + 2}}}\n',
            "title": f"Design {number}",
            "hypothesis": "It may help.",
            "origin": "grammar",
            "genotype": f'{{"version": 1, "body": {{"kind": "memory", "width": {number}}}}}',
            **changes,
        }
        made = Candidate(scope=Scope.MIXER, **fields)
        self.memory.put_candidate(made)
        return made

    def trial(self, candidate: Candidate, loss: float, rung: int = 0, seed: int = 0) -> None:
        trial = Trial(
            candidate_id=candidate.id,
            task_id=TASK.id,
            rung=rung,
            seed=seed,
            status=TrialStatus.DONE,
            loss_nats=loss,
            loss_standard_error=0.02,
            metrics={"bits_per_byte": loss / 0.693},
            parameters=100_000,
            flops_per_token=2e5,
            tokens=1000,
            steps=3,
            usage=Usage(wall_seconds=2.0, tier="T3"),
            curve=((1, 5.5), (2, 3.25 + seed), (3, loss)),
        )
        self.memory.put_trial(self.campaign.id, trial)

    def remember(self, node: int, candidate: Candidate | None, **fields: object) -> None:
        operator = Operator.BASELINE if node < 0 else Operator.REFINE
        action = Action(index=node, kind="expand", operator=operator, parents=(-1,)) if node >= 0 else None
        known = {"action": action, "operator": operator, "parents": (-1,) if node >= 0 else ()}
        record = ExperimentRecord.model_validate(
            {"node": node, "candidate_id": candidate.id if candidate else None, **known, **fields}
        )
        self.memory.remember(self.campaign.id, record)

    def score(self, node: int, candidate: Candidate, loss: float, rung: int = 0, **fields: object) -> None:
        self.trial(candidate, loss, rung)
        score = Score(value=-loss, standard_error=0.01, rung=rung, seeds=1)
        self.remember(node, candidate, score=score, **fields)

    def promote(self, node: int, candidate: Candidate, loss: float, index: int) -> None:
        promotion = Action(index=index, kind="promote", parents=(node,), rung=1)
        self.score(node, candidate, loss, rung=1, action=promotion)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Baseline -1; 0 scored at both rungs, 1 at the lower, 2 stopped early, 3 rejected, 4 without an answer."""
    with Memory.open(tmp_path / "home") as memory:
        config = {"search": {"policy": "tree"}, "data": "/home/jane/secret.txt", "llm": {"api_key_env": "JANES_KEY"}}
        author = Author(memory, memory.start_campaign("small", TASK, 7, config))
        author.score(-1, author.candidate(9, title="Softmax attention", origin="baseline", genotype=None), 1.6)
        best = author.candidate(0, title=HOSTILE, hypothesis="See /home/jane/notes/idea.md and https://arxiv.org/a/b.")
        verdict = Verdict(outcome="better", delta_nats=-0.2, words="It helped.")
        author.score(0, best, 1.4, verdict=verdict)
        author.score(1, author.candidate(1), 1.5)
        author.remember(2, author.candidate(2), stage="training: stopped early", failure="hopeless")
        leaky = author.candidate(3)
        failure = "position 3 changes with input 9, in /srv/netwright/candidate.py"
        tries = (Attempt(candidate_id=None, stage="gate: shapes", failure="it returned (2, 3)"),)
        author.remember(3, leaky, stage="gate: causality", failure=failure, attempts=tries)
        author.remember(4, None, stage="planner", failure="no usable answer")
        author.promote(0, best, 1.2, index=5)
    return tmp_path / "home"


@pytest.fixture
def go_on(home: Path) -> Callable[[], None]:
    """What becomes of a home when its campaign goes on: called for that, a node is promoted and one is added."""

    def more() -> None:
        with Memory.open(home) as memory:
            author = Author(memory, memory.campaign("small"))
            author.promote(1, author.candidate(1), 1.3, index=6)
            author.score(7, author.candidate(7), 1.45)

    return more

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from netwright.memory import ExperimentRecord, Memory
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

MakeCandidate = Callable[..., Candidate]
MakeTrial = Callable[..., Trial]
MakeRecord = Callable[..., ExperimentRecord]


@pytest.fixture
def task() -> TaskSpec:
    return TaskSpec(
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


@pytest.fixture
def make_candidate() -> MakeCandidate:
    def make(number: int = 0, **changes: str) -> Candidate:
        fields = {
            "source": f'"""Design {number}."""\nGATE = {number}\n',
            "title": f"Design {number}",
            "hypothesis": f"Number {number} is enough.",
            "origin": "grammar",
            **changes,
        }
        return Candidate(scope=Scope.MIXER, **fields)

    return make


@pytest.fixture
def make_trial(task: TaskSpec) -> MakeTrial:
    def make(candidate: Candidate, loss: float | None = 1.5, **changes: object) -> Trial:
        fields: dict[str, object] = {
            "candidate_id": candidate.id,
            "task_id": task.id,
            "rung": 0,
            "seed": 1,
            "status": TrialStatus.DONE if loss is not None else TrialStatus.CRASHED,
            "loss_nats": loss,
            "loss_standard_error": 0.02 if loss is not None else None,
            "parameters": 100_000,
            "tokens": 1000,
            "steps": 10,
            "usage": Usage(wall_seconds=2.0, cpu_seconds=1.9),
            "curve": ((1, 5.5), (10, 1.75)) if loss is not None else (),
            **changes,
        }
        return Trial.model_validate(fields)

    return make


@pytest.fixture
def make_record() -> MakeRecord:
    """The record of action `index`, which refines baseline -1."""

    def make(index: int, candidate: Candidate | None, loss: float | None = 1.5, **changes: object):
        score = None if loss is None else Score(value=-loss, standard_error=0.02, rung=0, seeds=1)
        verdict = None if loss is None else Verdict(outcome="better", delta_nats=-0.1, words="It helped.")
        fields: dict[str, object] = {
            "node": index,
            "action": Action(index=index, kind="expand", operator=Operator.REFINE, parents=(-1,), told=index),
            "operator": Operator.REFINE,
            "parents": (-1,),
            "candidate_id": None if candidate is None else candidate.id,
            "score": score,
            "verdict": verdict,
            "failure": "" if loss is not None else "it broke",
            "stage": "" if loss is not None else "training: crashed",
            **changes,
        }
        return ExperimentRecord.model_validate(fields)

    return make


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def memory(home: Path) -> Iterator[Memory]:
    with Memory.open(home) as opened:
        yield opened


@pytest.fixture
def campaign(memory: Memory, task: TaskSpec, make_candidate: MakeCandidate, make_trial: MakeTrial):
    """A campaign with one trained baseline, node -1."""
    started = memory.start_campaign("first", task, 7, {"workers": 2})
    known = make_candidate(title="Softmax attention", source="# attention\n", origin="baseline")
    memory.put_candidate(known)
    memory.put_trial(started.id, make_trial(known, 1.6))
    score = Score(value=-1.6, standard_error=0.02, rung=0, seeds=1)
    memory.remember(
        started.id,
        ExperimentRecord(node=-1, operator=Operator.BASELINE, candidate_id=known.id, score=score),
    )
    return started

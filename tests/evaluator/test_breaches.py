"""Every limit that a candidate breaks has a status of its own, with the numbers, and never a loss."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import pytest

from netwright.evaluator.laboratory import Laboratory, LaboratoryLimits
from netwright.evaluator.tasks import Task, load_task
from netwright.sandbox.runner import Sandbox
from netwright.types import Candidate, Recipe, Rung, Scope, Trial, TrialStatus

SOURCE = '''"""Embedding and head"""
import torch
{module}

class Model(torch.nn.Module):
    def __init__(self, spec):
        super().__init__()
        {init}
        self.embed = torch.nn.Embedding(spec.vocab_size, spec.dim)
        self.head = torch.nn.Linear(spec.dim, spec.vocab_size)
        self.calls = 0

    def forward(self, tokens):
        self.calls += 1
        {forward}
        return self.head(self.embed(tokens))
'''
LOOP = "while True: pass"
HOARD = "self.x = [torch.ones(1 << 26) for _ in range(16 if self.calls > 3 else 0)]"
THREADS = "import threading, time\nfor _ in range(9): threading.Thread(target=time.sleep, args=(9,)).start()"
SCORING = "if not torch.is_grad_enabled() and len(tokens) == 32:"


def nested_finally(depth: int) -> str:
    """A few lines whose compilation takes twice as long with every level: each `finally` is compiled twice."""
    lines = []
    for level in range(depth):
        lines += ["    " * level + line for line in ("try:", "    torch", "finally:")]
    return "\n".join([*lines, "    " * depth + "torch"])


@pytest.fixture(scope="module")
def task() -> Task:
    recall = load_task("recall")
    changes = {
        "scope": Scope.MODEL,
        "dim": 16,
        "parameters": 12_000,
        "recipe": Recipe(batch_size=8),
        "rungs": (Rung(level=0, tokens=5_120),),
        "validation_rows": 32,
    }
    return dataclasses.replace(recall, spec=recall.spec.model_copy(update=changes))  # type: ignore[type-var]


@pytest.fixture(scope="module")
def laboratory(task: Task) -> Iterator[Laboratory]:
    names = {"warm_zygote": Laboratory.WARM_ZYGOTE, "warm_child": Laboratory.WARM_CHILD}
    limits = LaboratoryLimits(
        compile_seconds=0.2,
        build_seconds=1.1,
        first_step_seconds=1.2,
        score_seconds=1.5,
        train_base_seconds=3.0,
        train_tokens_per_second=1e12,
        memory_bytes=1 << 30,
        output_bytes=10_000,
    )
    with Sandbox(slots=2, entries=Laboratory.ENTRIES, **names) as sandbox:
        sandbox.wait_until_warm()
        yield Laboratory(sandbox, task, bytes(32), limits=limits)


def candidate(*, module: str = "", init: str = "pass", forward: str = "pass") -> Candidate:
    source = SOURCE.format(module=module, init=init, forward=forward)
    return Candidate(source=source, scope=Scope.MODEL, title="Model", hypothesis="", origin="file")


def trial(laboratory: Laboratory, **parts: str) -> Trial:
    return laboratory.trial(candidate(**parts), rung=0, seed=0)


@pytest.mark.parametrize(
    ("parts", "status", "reason", "stages"),
    [
        ({"module": nested_finally(18)}, TrialStatus.COMPILE_TIMEOUT, "stage 'compile' still running after 0.2 s", 1),
        ({"module": LOOP}, TrialStatus.BUILD_TIMEOUT, "stage 'build' still running after 1.1 s", 2),
        ({"init": LOOP}, TrialStatus.BUILD_TIMEOUT, "stage 'build' still running after 1.1 s", 2),
        ({"forward": LOOP}, TrialStatus.FIRST_STEP_TIMEOUT, "stage 'first step' still running after 1.2 s", 3),
        (
            {"forward": f"if self.calls > 3:\n            {LOOP}"},
            TrialStatus.TIMEOUT,
            "still running after 3 s",
            4,
        ),
    ],
    ids=["compile", "import", "init", "first forward", "later forward"],
)
def test_a_loop_ends_the_stage_that_it_is_in(laboratory, parts, status, reason, stages):
    result = trial(laboratory, **parts)

    assert (result.status, result.loss_nats) == (status, None)
    assert reason in result.reason
    (log,) = result.jobs
    assert [name for name, _ in log.stages] == ["compile", "build", "first step", "training"][:stages]


def test_a_loop_while_scored_ends_both_processes_at_their_own_limit(laboratory):
    result = trial(laboratory, forward=f"{SCORING} [0 for _ in iter(int, 1)]")

    assert (result.status, result.loss_nats) == (TrialStatus.TIMEOUT, None)
    assert result.reason.startswith("timeout after 1.5 s with ")
    assert [log.stages[-1][0] for log in result.jobs] == ["training", "answers", "answers"]


@pytest.mark.parametrize(
    ("parts", "status", "reason"),
    [
        ({"init": "self.x = torch.zeros(1 << 42)"}, TrialStatus.OUT_OF_MEMORY, "; at most 1024 MiB are allowed"),
        ({"forward": HOARD}, TrialStatus.OUT_OF_MEMORY, "1024 MiB"),
        ({"init": "import os; self.x = [os.dup(1) for _ in range(999)]"}, TrialStatus.TOO_MANY_FILES, "at most 256"),
        ({"module": THREADS, "forward": LOOP}, TrialStatus.TOO_MANY_THREADS, "10 threads, at most 8 are allowed"),
        ({"forward": "print('x' * 20_000)"}, TrialStatus.TOO_MUCH_OUTPUT, "at most 10000 are allowed"),
    ],
    ids=["address space", "memory", "files", "threads", "output"],
)
def test_using_too_much_of_anything_is_named_with_what_is_allowed(laboratory, parts, status, reason):
    result = trial(laboratory, **parts)

    assert (result.status, result.loss_nats) == (status, None), result.reason
    assert reason in result.reason


@pytest.mark.parametrize(
    ("parts", "stage"),
    [({"module": nested_finally(18)}, "compile"), ({"module": LOOP}, "build"), ({"init": LOOP}, "build")],
    ids=["compile", "import", "init"],
)
def test_a_check_ends_with_the_stage_as_well_and_rejects(laboratory, parts, stage):
    reports = laboratory.check(candidate(**parts))

    (rejected,) = [report for report in reports if report.rejects]
    assert rejected.gate == "builds"
    assert f"stage {stage!r} still running after" in rejected.message
    assert rejected.evidence["cause"] == "stage timeout"


def test_the_processes_of_a_trial_are_logged_one_by_one(laboratory):
    result = trial(laboratory)

    assert result.status is TrialStatus.DONE, result.reason
    assert [log.purpose for log in result.jobs] == ["train", "rows", "twins"]
    assert [[name for name, _ in log.stages] for log in result.jobs] == [
        ["compile", "build", "first step", "training"],
        *[["compile", "build", "answers"]] * 2,
    ]
    for log in result.jobs:
        assert (log.cause, log.reason, log.tier) == ("ok", "", result.usage.tier)
        assert log.layers
        assert log.policy
        assert min(log.wall_seconds, log.cpu_seconds, log.peak_memory_bytes, log.bytes_in, log.bytes_out) > 0
        assert sum(seconds for _, seconds in log.stages) <= log.wall_seconds
        assert log.left_behind == 0


def test_what_a_candidate_says_while_it_is_scored_is_not_in_its_logs(laboratory):
    result = trial(laboratory, forward=f"{SCORING} print(tokens.tolist()); raise KeyError(tokens[0].tolist())")

    assert result.status is TrialStatus.CRASHED
    assert not any("[" in log.model_dump_json(include={"reason", "cause"}) for log in result.jobs)

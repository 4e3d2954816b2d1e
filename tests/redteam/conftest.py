"""A tiny language-modelling task on random letters: no honest model can get below their entropy."""

from __future__ import annotations

import dataclasses
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from netwright.evaluator.laboratory import Laboratory, LaboratoryLimits
from netwright.evaluator.tasks import Task, load_task
from netwright.sandbox.runner import Sandbox
from netwright.types import Recipe, Rung

LETTERS = "abcdefghijklmnop"
KEY = bytes(range(32))
_GIB = 1 << 30

# Candidates, whatever they are called: a module that pytest took for tests would act in its process.
collect_ignore = ["hostile", "honest"]


def shrunk(task: Task) -> Task:
    spec = task.spec.model_copy(
        update={
            "max_len": 32,
            "dim": 32,
            "heads": 2,
            "parameters": 40_000,
            "recipe": Recipe(lr=1e-2, batch_size=16),
            "rungs": (Rung(level=0, tokens=20_480),),
            "validation_rows": 48,
        }
    )
    return dataclasses.replace(task, spec=spec)  # type: ignore[type-var]


@pytest.fixture(scope="session")
def tiny_task(tmp_path_factory: pytest.TempPathFactory) -> Task:
    text = tmp_path_factory.mktemp("letters") / "letters.txt"
    text.write_text("".join(random.Random(1).choices(LETTERS, k=60_000)))
    return shrunk(load_task("bytes", data=text))


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(
        slots=1,
        entries=Laboratory.ENTRIES,
        warm_zygote=Laboratory.WARM_ZYGOTE,
        warm_child=Laboratory.WARM_CHILD,
    ) as sandbox:
        yield sandbox


@pytest.fixture(scope="session")
def laboratory(sandbox: Sandbox, tiny_task: Task) -> Laboratory:
    limits = LaboratoryLimits(score_seconds=20.0, train_base_seconds=20.0, memory_bytes=_GIB, threads=16)
    return Laboratory(sandbox, tiny_task, KEY, limits=limits)


@pytest.fixture(scope="session")
def library_laboratory(sandbox: Sandbox) -> Laboratory:
    """The default corpus: text that lies on this machine's disk."""
    return Laboratory(sandbox, shrunk(load_task("bytes")), KEY)


@pytest.fixture(scope="session")
def compression_laboratory(sandbox: Sandbox) -> Laboratory:
    """A bottleneck that lies outside of the candidate: rows are read again out of one vector each."""
    return Laboratory(sandbox, load_task("compression", rung_tokens=[6_000]), KEY)


@pytest.fixture(scope="session")
def impatient_laboratory(sandbox: Sandbox, tiny_task: Task) -> Laboratory:
    """For candidates that never end."""
    limits = LaboratoryLimits(check_seconds=0.6, score_seconds=0.6, train_base_seconds=0.6, train_tokens_per_second=1e9)
    return Laboratory(sandbox, tiny_task, KEY, limits=limits)


@pytest.fixture(scope="session")
def reference_laboratory(sandbox: Sandbox, tiny_task: Task) -> Laboratory:
    """So small that an honest training after every attack costs next to nothing."""
    changes = {"max_len": 16, "dim": 16, "layers": 1, "parameters": 10_000, "validation_rows": 8}
    spec = tiny_task.spec.model_copy(update=changes | {"rungs": (Rung(level=0, tokens=1024),)})
    return Laboratory(sandbox, dataclasses.replace(tiny_task, spec=spec), KEY)  # type: ignore[type-var]


@pytest.fixture(scope="session")
def candidates() -> Path:
    return Path(__file__).parent


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what stopped the attacks; with -v, what stopped each."""
    reports = [report for kind in ("passed", "failed") for report in terminalreporter.stats.get(kind, ())]
    rows = [dict(report.user_properties) for report in reports if report.when == "call"]
    attacks = sorted((row for row in rows if "attack" in row), key=lambda row: str(row["attack"]))
    if not attacks:
        return
    terminalreporter.section(f"what stopped {len(attacks)} attacks")
    if terminalreporter.verbosity > 0:
        for row in attacks:
            why = " ".join(str(row["reason"]).split())[-100:] if terminalreporter.verbosity > 1 else ""
            terminalreporter.line(f"{row['attack']:<32} gate: {row['gate']:<20} trial: {row['trial']} {why}".rstrip())
    for part in ("gate", "trial"):
        counts = Counter(str(row[part]).partition(" (")[0] for row in attacks)
        terminalreporter.line(f"{part}: " + ", ".join(f"{name} {count}" for name, count in counts.most_common()))
    missed = sum(row["gate"] == "none" and str(row["trial"]).startswith("accepted") for row in attacks)
    terminalreporter.line(f"accepted with useful gain: {missed}")

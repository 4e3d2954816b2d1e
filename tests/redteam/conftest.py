"""A tiny language-modelling task on random letters: no honest model can get below their entropy."""

from __future__ import annotations

import dataclasses
import random
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
def impatient_laboratory(sandbox: Sandbox, tiny_task: Task) -> Laboratory:
    """For candidates that never end."""
    limits = LaboratoryLimits(
        check_seconds=1.0, score_seconds=1.0, train_base_seconds=1.0, train_tokens_per_second=1e9
    )
    return Laboratory(sandbox, tiny_task, KEY, limits=limits)


@pytest.fixture(scope="session")
def candidates() -> Path:
    return Path(__file__).parent

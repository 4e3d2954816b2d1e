"""A trial that was interrupted goes on at its last checkpoint, and one that is no good is thrown away."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from netwright.evaluator.checkpoints import Checkpoints
from netwright.evaluator.laboratory import Laboratory
from netwright.evaluator.tasks import Task, load_task
from netwright.memory.artifacts import Artifacts
from netwright.sandbox.job import Job
from netwright.sandbox.runner import Sandbox
from netwright.types import Candidate, JsonDict, Recipe, Rung, Scope, Trial, TrialStatus

TRIAL: JsonDict = {"candidate": "abc", "task": "recall-1", "rung": 0, "seed": 0}
CONDITIONS: JsonDict = {"tokens": 1000}
DATA = b"where it stands"
SOURCE = '''"""Running mean"""
import torch

RECIPE = {"dropout": 0.1}

class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.value = torch.nn.Linear(dim, dim)

    def forward(self, x):
        position = torch.arange(1, x.shape[1] + 1, dtype=x.dtype)
        return self.value(x).cumsum(1) / position[:, None]
'''
DESIGN = Candidate(source=SOURCE, scope=Scope.MIXER, title="mean", hypothesis="", origin="file")


def small_task() -> Task:
    recall = load_task("recall")
    changes = {
        "dim": 16,
        "heads": 2,
        "parameters": 12_000,
        "recipe": Recipe(batch_size=8),
        "rungs": (Rung(level=0, tokens=102_400),),
        "validation_rows": 32,
        "test_rows": 48,
    }
    return dataclasses.replace(recall, spec=recall.spec.model_copy(update=changes))  # type: ignore[type-var]


def sandbox() -> Sandbox:
    return Sandbox(
        slots=1, entries=Laboratory.ENTRIES, warm_zygote=Laboratory.WARM_ZYGOTE, warm_child=Laboratory.WARM_CHILD
    )


@pytest.fixture(scope="module")
def running() -> Iterator[Sandbox]:
    with sandbox() as running:
        yield running


def laboratory(running: Sandbox, shelf: Artifacts | None = None) -> Laboratory:
    return Laboratory(running, small_task(), bytes(32), shelf=shelf, checkpoint_seconds=0.05)


class Interrupting(Artifacts):
    """Interrupts the training that keeps its first checkpoint here."""

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        self.cancel = threading.Event()

    def put_checkpoint(self, name: str, data: bytes) -> None:
        super().put_checkpoint(name, data)
        self.cancel.set()


def files(home: Path) -> list[Path]:
    return sorted((home / "artifacts" / "checkpoints").glob("*.checkpoint"))


def checkpoints(home: Path, *, every: float = 0.0, steps: int = 100, **conditions: object) -> Checkpoints:
    return Checkpoints(Artifacts(home), TRIAL, CONDITIONS | conditions, steps=steps, room=100, every=every)


def said(step: int, data: bytes = DATA, **changes: object) -> JsonDict:
    return {"checkpoint": step, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest(), **changes}


def laid_out(training: Checkpoints, data: bytes = DATA) -> None:
    place = training.of(Job(entry="train")).outputs["checkpoint"]
    os.pwrite(place.descriptor, data, 0)


def test_an_interrupted_trial_goes_on_and_ends_with_the_weights_of_an_undisturbed_one(running, tmp_path):
    shelf, weights = Interrupting(tmp_path), []

    def trial(shelf: Artifacts | None, cancel: threading.Event | None = None) -> Trial:
        lab = laboratory(running, shelf)
        return lab.trial(
            DESIGN, rung=0, seed=1, cancel=cancel, store_weights=lambda data: weights.append(data) or "kept"
        )

    whole = trial(None)
    cut = trial(shelf, shelf.cancel)
    left = files(tmp_path)
    rest = trial(Artifacts(tmp_path))

    assert (cut.status, len(left)) == (TrialStatus.INTERRUPTED, 1)
    assert 0 < rest.telemetry["resumed"]["step"] < whole.steps == rest.steps == 200
    assert rest.usage.wall_seconds > rest.telemetry["resumed"]["wall_seconds"] > 0
    assert weights[0] == weights[1]
    assert (rest.loss_nats, rest.curve) == (whole.loss_nats, whole.curve)
    assert files(tmp_path) == []


def test_a_trial_that_failed_leaves_no_checkpoint(running, tmp_path):
    failing = SOURCE.replace("position =", "self.calls = getattr(self, 'calls', 0) + 1\n        position =")
    failing = failing.replace("position[:, None]", "position[:, None] / (self.calls < 190)")

    trial = laboratory(running, Artifacts(tmp_path)).trial(
        DESIGN.model_copy(update={"source": failing}), rung=0, seed=1
    )

    assert trial.status is TrialStatus.DIVERGED
    assert (tmp_path / "artifacts" / "checkpoints").exists()
    assert files(tmp_path) == []


def test_what_was_kept_is_what_a_later_session_goes_on_from(tmp_path):
    with checkpoints(tmp_path) as first:
        laid_out(first)
        first.hear(said(40), [(1, 4.5), (21, 3.25)])

    with checkpoints(tmp_path) as later:
        assert (later.kept.step, later.kept.data) == (40, DATA)
        assert later.kept.points == ((1, 4.5), (21, 3.25))
        assert later.of(Job(entry="train")).payload["done"] == 40
        later.drop()
    assert files(tmp_path) == []


@pytest.mark.parametrize("changes", [{"tokens": 2000}, {"device": "cuda"}, {"torch": "1.0"}])
def test_under_other_conditions_a_training_begins_anew_and_says_so(tmp_path, caplog, changes):
    with checkpoints(tmp_path) as first:
        laid_out(first)
        first.hear(said(40), [])
    caplog.clear()

    with checkpoints(tmp_path, **changes) as later:
        assert (later.kept.step, later.kept.data) == (0, b"")
    assert f"made with another {next(iter(changes))}" in caplog.text
    assert files(tmp_path) == []


@pytest.mark.parametrize("cut", [0, 10, -1])
def test_a_damaged_file_is_thrown_away(tmp_path, caplog, cut):
    with checkpoints(tmp_path) as first:
        laid_out(first)
        first.hear(said(40), [])
    files(tmp_path)[0].write_bytes(files(tmp_path)[0].read_bytes()[:cut])

    with checkpoints(tmp_path) as later:
        assert later.kept.step == 0
    assert "the training begins anew" in caplog.text


@pytest.mark.parametrize(
    "claim",
    [
        said(0),
        said(100),
        said(1 << 60),
        said(40, sha256="0" * 64),
        said(40, bytes=100),
        said(40, bytes=-1),
        said(40, bytes=1 << 40),
        {"checkpoint": "40"},
    ],
)
def test_a_claim_that_cannot_be_is_not_kept(tmp_path, claim):
    with checkpoints(tmp_path) as training:
        laid_out(training)
        training.hear(claim, [])

    assert files(tmp_path) == []


def test_steps_that_are_done_cannot_be_undone_and_the_disk_is_not_kept_busy(tmp_path):
    with checkpoints(tmp_path) as first:
        laid_out(first)
        first.hear(said(40), [])
        first.hear(said(30), [])
    with checkpoints(tmp_path, every=60.0) as hasty:
        laid_out(hasty)
        hasty.hear(said(50), [])

    with checkpoints(tmp_path) as later:
        assert later.kept.step == 40


CAMPAIGN = """
import sys
from pathlib import Path

sys.path.insert(0, {folder!r})
import test_checkpoints as test

with test.sandbox() as running:
    shelf = test.Artifacts(Path({home!r}))
    trial = test.laboratory(running, shelf).trial(test.DESIGN, rung=0, seed=1, store_weights=shelf.put_weights)
print(trial.weights, trial.steps, bool(trial.telemetry.get("resumed")))
"""


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_process_that_was_killed_goes_on_with_the_training_it_had_begun(tmp_path):
    def start(home: str) -> subprocess.Popen[str]:
        code = CAMPAIGN.format(folder=str(Path(__file__).parent), home=str(tmp_path / home))
        return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)

    killed = start("stormy")
    until = time.monotonic() + 60
    while not files(tmp_path / "stormy") and time.monotonic() < until:
        time.sleep(0.005)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert len(files(tmp_path / "stormy")) == 1

    calm, _ = start("calm").communicate()
    stormy, _ = start("stormy").communicate()

    assert calm.split()[1:] == ["200", "False"]
    assert stormy.split()[1:] == ["200", "True"]
    assert calm.split()[0] == stormy.split()[0]

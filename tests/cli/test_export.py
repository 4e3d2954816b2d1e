"""`export` of what a campaign found, of a file and of a baseline; and what it refuses."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from netwright.campaign.exporting import best_training
from netwright.cli.app import run
from netwright.types import Split, Trial, TrialStatus

OWN_TASK = """
import numpy as np

from netwright.evaluator.tasks import Batch, generated


def draw(generator, spec, rows, *, training):
    inputs = generator.integers(0, spec.vocab_size, size=(rows, spec.max_len))
    targets = np.full_like(inputs, -100)
    targets[:, 2:] = inputs[:, :-2]
    return Batch(inputs, targets)


TASK = generated(
    "two-back", "the token two positions ago", draw, vocab_size=16, max_len=32, chance_nats=2.77, rungs=(2_000,)
)
"""
SEES_THE_FUTURE = """from torch import nn

class Mixer(nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.value = nn.Linear(dim, dim)

    def forward(self, x):
        return self.value(x).mean(1, keepdim=True).expand_as(x)
"""


@pytest.fixture(scope="module")
def home(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The campaign's home, to write into."""
    copy = tmp_path_factory.mktemp("exported") / "home"
    shutil.copytree(finished, copy)
    return copy


@pytest.fixture
def own_task(tmp_path: Path) -> Path:
    path = tmp_path / "own.py"
    path.write_text(OWN_TASK)
    return path


def ask(home: Path, capfd: pytest.CaptureFixture[str], *arguments: object, code: int = 0) -> Any:
    assert run([*map(str, arguments), "--home", str(home), "--json"]) == code
    return json.loads(capfd.readouterr().out)


def refused(home: Path, capfd: pytest.CaptureFixture[str], *arguments: object, code: int = 2) -> str:
    assert run([*map(str, arguments), "--home", str(home)]) == code
    error = capfd.readouterr().err
    assert "Traceback" not in error
    return " ".join(error.split())


def test_the_best_design_of_a_campaign_leaves_with_the_weights_that_were_scored(home, tmp_path, capfd):
    best = next(row for row in ask(home, capfd, "memory", "top") if row["rung"] == 1)
    folder = tmp_path / "best"

    found = ask(home, capfd, "export", best["short"], "--out", folder)

    assert not found["trained_now"] and found["rung"] == 1 and found["difference"] <= found["allowed"]
    weights = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    assert weights == found["weights"]
    assert hashlib.sha256((folder / "candidate.py").read_bytes()).hexdigest() == best["candidate_id"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best"]
    assert f"{found['loss_nats']:.4f} nats on the validation split" in (folder / "README.md").read_text()


@pytest.mark.slow
def test_a_file_without_a_training_is_trained_for_it_once(home, honest_file, own_task, tmp_path, capfd):
    first = ask(home, capfd, "export", honest_file, "--task", own_task, "--out", tmp_path / "first")
    second = ask(home, capfd, "export", honest_file, "--task", "two-back", "--out", tmp_path / "second")

    assert first["trained_now"] and not second["trained_now"]
    assert first["weights"] == second["weights"] and first["seed"] == 0


def test_a_design_that_the_gates_reject_is_not_exported(home, own_task, tmp_path, capfd):
    path = tmp_path / "future.py"
    path.write_text(SEES_THE_FUTURE)

    found = ask(home, capfd, "export", path, "--task", own_task, "--out", tmp_path / "out", code=3)

    assert found["rejected"]["gate"] and not (tmp_path / "out").exists()


def test_what_cannot_be_exported_is_refused_in_a_sentence(home, honest_file, tmp_path, capfd):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("")
    out = ("--out", tmp_path / "out")

    assert "is there already" in refused(home, capfd, "export", honest_file, "--out", tmp_path / "full")
    assert "no candidate has an id" in refused(home, capfd, "export", "ffffffffff", *out)
    assert "does not exist" in refused(home, capfd, "export", tmp_path / "nothing.py", *out)
    assert "name one of them with --task" in refused(home, capfd, "export", honest_file, "--task", "suite", *out)
    assert "no rung 7" in refused(home, capfd, "export", honest_file, "--rung", 7, *out)
    assert not (tmp_path / "out").exists()


def test_without_the_extra_onnx_says_how_to_get_it(home, honest_file, tmp_path, capfd, monkeypatch):
    known = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None if "onnx" in name else known(name, *more))

    error = refused(home, capfd, "export", honest_file, "--format", "onnx", "--out", tmp_path / "out")

    assert "pip install 'netwright[onnx]'" in error


def test_the_best_training_is_chosen_by_the_validation_split_alone():
    def trial(seed: int, loss: float, rung: int = 0, split: Split = Split.VALIDATION) -> Trial:
        return Trial(
            candidate_id="c", task_id="t", rung=rung, seed=seed, split=split, status=TrialStatus.DONE, loss_nats=loss
        )

    tests = [trial(1001, 0.1, split=Split.TEST), trial(1000, 0.2, split=Split.TEST)]

    assert best_training([trial(0, 1.0), trial(1, 0.9), trial(2, 1.2, rung=1), *tests]).seed == 2
    assert best_training([trial(0, 1.0), trial(1, 0.9), *tests]).seed == 1
    assert best_training(tests).seed == 1000
    assert best_training([]) is None

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from netwright.cli.app import run as netwright
from netwright.memory import Memory
from netwright.publish.runs import CampaignRuns, plain, runs_of
from netwright.publish.targets import destination, without_password


def read(home: Path) -> CampaignRuns:
    with Memory.open(home, read_only=True) as memory:
        return runs_of(memory)


def test_each_node_is_a_run_that_ended_in_one_way(home: Path) -> None:
    runs = read(home).runs

    assert [(run.node, run.state) for run in runs] == [
        (-1, "scored"),
        (0, "scored"),
        (1, "scored"),
        (2, "stopped"),
        (3, "rejected"),
        (4, "failed"),
    ]


def test_a_run_has_its_recipe_choices_parents_and_size(home: Path) -> None:
    params = read(home).runs[1].params

    assert params["recipe.lr"] == 0.02 and params["recipe.beta2"] == 0.95
    assert params["design.body.kind"] == "memory" and params["design.body.width"] == "0"
    assert (params["operator"], params["parents"], params["parameters"]) == ("refine", "-1", 100_000)


def test_a_run_has_the_score_of_each_rung_with_its_error_and_its_curves_step_by_step(home: Path) -> None:
    run = read(home).runs[1]

    assert run.losses == {0: 1.4, 1: 1.2}
    assert run.numbers["rung1/loss"] == 1.2 and run.numbers["rung1/loss_standard_error"] == 0.01
    assert run.numbers["verdict/delta"] == -0.2 and run.facts["verdict"] == "better"
    assert run.rows()[1] == (2, {"rung0/seed0/training_loss": 3.25, "rung1/seed0/training_loss": 3.25})


def test_a_rejected_design_names_the_gates_that_rejected_it_and_its_tries(home: Path) -> None:
    rejected = read(home).runs[4]

    assert rejected.facts["rejected_by"] == "shapes, causality"
    assert rejected.facts["attempts"] == "gate: shapes: it returned (2, 3)"


def test_ids_and_fingerprints_stay_until_something_changes(home: Path, go_on) -> None:
    before = read(home).runs
    assert [run.fingerprint for run in read(home).runs] == [run.fingerprint for run in before]

    go_on()
    after = read(home).runs

    assert [run.id for run in after[: len(before)]] == [run.id for run in before]
    changed = [run.node for run, old in zip(after, before, strict=False) if run.fingerprint != old.fingerprint]
    assert changed == [1]


def test_campaigns_of_two_memories_are_never_one(home: Path, tmp_path: Path) -> None:
    with Memory.open(home, read_only=True) as memory:
        task = memory.campaign().task
    with Memory.open(tmp_path / "other") as memory:
        memory.start_campaign("small", task, 8, {})

    assert read(home).identity != read(tmp_path / "other").identity


def test_nothing_of_the_machine_and_no_secret_is_in_it(home: Path) -> None:
    with Memory.open(home, read_only=True) as memory:
        key = memory.evaluation_key.hex()
    text = repr(read(home))

    for secret in (key, "/home/jane", "/srv", "secret.txt", "JANES_KEY", "\x1b", str(home)):
        assert secret not in text
    assert "…/idea.md" in text and "https://arxiv.org/a/b" in text


@pytest.mark.parametrize(
    ("said", "published"),
    [
        ("in /a/b/c.py, line 3", "in …/c.py, line 3"),
        ('File "/usr/lib/x.py"', 'File "…/x.py"'),
        ("llm:/models/qwen-3", "llm:…/qwen-3"),
        ("~/notes/x file:///etc/hosts", "…/x …/hosts"),
        ("and/or, 3 / 4, https://a.b/c/d", "and/or, 3 / 4, https://a.b/c/d"),
    ],
)
def test_paths_keep_their_last_name_alone(said: str, published: str) -> None:
    assert plain(said) == published


@pytest.mark.parametrize("to", ["mlflow", "optuna", "trackio", "wandb"])
def test_a_missing_library_is_one_sentence_that_names_the_extra(
    to: str, home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, to, None)

    code = netwright(["publish", "--to", to, "--home", str(home)])

    assert code == 2
    assert f"pip install 'netwright[{to}]'" in capsys.readouterr().err


def test_a_password_in_a_url_is_not_shown(tmp_path: Path) -> None:
    place = destination(tmp_path, "optuna", "postgresql://jane:hunter2@db.example/runs", "netwright")

    assert place.shown == "postgresql://db.example/runs"
    assert without_password("no answer from http://jane:hunter2@db.example/x") == "no answer from http://db.example/x"
    assert destination(tmp_path, "optuna", "sqlite:////data/x.db", "netwright").shown == "sqlite:////data/x.db"


@pytest.mark.parametrize("project", ["", "a/b", "../up", "<b>"])
def test_a_project_that_not_every_tracker_takes_is_refused(
    project: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = netwright(["publish", "--to", "wandb", "--project", project, "--home", str(home)])

    assert code == 2 and f"--project {project!r}" in capsys.readouterr().err


def test_a_file_in_the_place_of_the_folder_is_refused(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = netwright(["publish", "--to", "optuna", "--at", str(home / "memory.db"), "--home", str(home)])

    assert code == 2 and "a file is there" in capsys.readouterr().err

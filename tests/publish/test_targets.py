"""Against the libraries themselves, in a network of its own that leads nowhere and counts what is tried there."""

from __future__ import annotations

import json
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow
WHOLE, LAST = 1, 4
ALONE = ["unshare", "-rn"]
TRIED = "import re; print(dict(zip(*[line.split() for line in open('/proc/net/snmp')][:2]))['OutNoRoutes'])"


def alone(code: str) -> int:
    """Run Python `code` without a network; how often something tried to reach out."""
    if shutil.which("unshare") is None or subprocess.run([*ALONE, "true"], check=False).returncode != 0:
        pytest.skip("this machine gives no network namespace")
    done = subprocess.run(
        [*ALONE, sys.executable, "-c", f"{code}\n{TRIED}"], capture_output=True, text=True, timeout=110, check=False
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout.split()[-1])


def publish(home: Path, to: str, *more: str) -> dict[str, int]:
    """What the command says that it did; nothing that it starts tries to leave the machine."""
    arguments = ["publish", "--to", to, "--home", str(home), "--json", *more]
    said = home.parent / "said.json"
    tried = alone(
        "import contextlib, time; from netwright.cli.app import run\n"
        f"with open({str(said)!r}, 'w') as file, contextlib.redirect_stdout(file):\n"
        f"    code = run({arguments!r})\n"
        "assert code == 0, code\n"
        "time.sleep(1)"
    )
    assert tried == 0
    found = json.loads(said.read_text())
    return {name: found[name] for name in ("new", "changed", "same")}


def assert_publishes_once(home: Path, to: str, go_on: Callable[[], None], runs: int) -> None:
    assert publish(home, to) == {"new": runs, "changed": 0, "same": 0}
    assert publish(home, to) == {"new": 0, "changed": 0, "same": runs}
    go_on()
    sent = publish(home, to)
    assert sent["new"] == 1 and sent["changed"] >= 1 and sum(sent.values()) == runs + 1


def assert_silent_about_the_machine(folder: Path) -> None:
    for path in (each for each in folder.rglob("*") if each.is_file()):
        for secret in (b"/home/jane", b"/srv/netwright", b"JANES_KEY", str(folder.parents[1]).encode()):
            assert secret not in path.read_bytes(), path


def test_an_attempt_to_reach_out_is_counted() -> None:
    assert alone("import socket\ntry: socket.create_connection(('8.8.8.8', 53), 1)\nexcept OSError: pass") == 1


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_mlflow_has_a_run_for_each_node(home: Path, go_on: Callable[[], None]) -> None:
    mlflow = pytest.importorskip("mlflow")
    assert_publishes_once(home, "mlflow", go_on, runs=6)

    client = mlflow.MlflowClient(f"sqlite:///{home}/published/mlflow/mlflow.db")
    found = client.search_runs([client.get_experiment_by_name("netwright").experiment_id])
    runs = {int(run.data.tags["netwright.node"]): run for run in found}
    assert len(found) == 7
    assert {node: run.info.status for node, run in runs.items()} == {
        **{node: "FINISHED" for node in (-1, 0, 1, 7)},
        2: "KILLED",
        3: "FAILED",
        4: "FAILED",
    }
    assert runs[0].data.params["recipe.lr"] == "0.02" and runs[0].data.metrics["rung1/loss"] == 1.2
    assert runs[0].data.tags["netwright.title"].startswith("<img src=x") and "<" not in runs[0].info.run_name
    assert runs[3].data.tags["netwright.rejected_by"] == "shapes, causality"
    curve = client.get_metric_history(runs[1].info.run_id, "rung0/seed0/training_loss")
    assert [(point.step, point.value) for point in curve] == [(1, 5.5), (2, 3.25), (3, 1.5)]
    assert [each.path for each in client.list_artifacts(runs[0].info.run_id)] == ["candidate.py"]


def test_optuna_has_a_study_whose_best_trial_is_the_best_design(home: Path, go_on: Callable[[], None]) -> None:
    optuna = pytest.importorskip("optuna")
    assert_publishes_once(home, "optuna", go_on, runs=5)

    study = optuna.load_study(study_name="netwright/small", storage=f"sqlite:///{home}/published/optuna/optuna.db")
    states = {trial.user_attrs["node"]: trial.state.name for trial in study.trials}
    assert states == {0: "COMPLETE", 1: "COMPLETE", 2: "PRUNED", 3: "FAIL", 4: "FAIL", 7: "PRUNED"}
    assert study.best_trial.user_attrs["node"] == 0 and study.best_value == 1.2
    assert study.best_trial.intermediate_values == {0: 1.4, 1: 1.2}
    assert study.best_params["recipe.lr"] == 0.02
    assert study.best_trial.distributions["recipe.lr"] == optuna.distributions.FloatDistribution(1e-6, 1.0, log=True)
    assert study.best_trial.distributions["design.body.width"].choices == ("0", "1", "2", "3", "7")
    assert study.user_attrs["baselines"] == [{"title": "Softmax attention", "losses": {"0": 1.6}}]
    assert_silent_about_the_machine(home / "published" / "optuna")


def test_a_study_of_somebody_else_is_left_alone(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    optuna = pytest.importorskip("optuna")
    from netwright.cli.app import run

    url = f"sqlite:///{home}/theirs.db"
    theirs = optuna.create_study(storage=url, study_name="netwright/small")
    theirs.add_trial(optuna.trial.create_trial(value=1.0))

    assert run(["publish", "--to", "optuna", "--at", url, "--home", str(home)]) == 2
    assert "not of this campaign" in capsys.readouterr().err
    assert len(optuna.load_study(study_name="netwright/small", storage=url).trials) == 1


def test_trackio_has_a_run_for_each_node(home: Path, go_on: Callable[[], None]) -> None:
    pytest.importorskip("trackio")
    assert_publishes_once(home, "trackio", go_on, runs=6)

    folder = home / "published" / "trackio"
    read = (
        "import json; from trackio import Api; from trackio.sqlite_storage import SQLiteStorage as s\n"
        "print(json.dumps([[r.config, s.get_logs('netwright', r.name, run_id=r.id)] for r in Api().runs('netwright')]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", read], capture_output=True, text=True, check=True, env={"TRACKIO_DIR": str(folder)}
    )
    runs = {config["node"]: (config, logs) for config, logs in json.loads(done.stdout)}
    assert set(runs) == {-1, 0, 1, 2, 3, 4, 7}
    config, logs = runs[1]
    assert config["recipe.lr"] == 0.03 and config["state"] == "scored"
    assert [row["rung0/seed0/training_loss"] for row in logs[:3]] == [5.5, 3.25, 1.5]
    assert logs[3]["rung1/loss"] == 1.3 and len(logs) == 4
    assert_silent_about_the_machine(folder)


def test_wandb_has_an_offline_folder_for_each_node(home: Path, go_on: Callable[[], None]) -> None:
    pytest.importorskip("wandb")
    assert_publishes_once(home, "wandb", go_on, runs=6)

    folder = home / "published" / "wandb"
    records = [list(_records(path)) for path in folder.rglob("*.wandb")]
    configs = [{item.key: json.loads(item.value_json) for r in run for item in r.run.config.update} for run in records]
    runs = {config["node"]: run for config, run in zip(configs, records, strict=True)}
    assert set(runs) == {-1, 0, 1, 2, 3, 4, 7} and len(records) == 7
    rows = [{item.key or item.nested_key[0]: item.value_json for item in r.history.item} for r in runs[1]]
    told = [json.loads(row["rung0/seed0/training_loss"]) for row in rows if "rung0/seed0/training_loss" in row]
    assert told == [5.5, 3.25, 1.5]
    assert [r.exit.exit_code for r in runs[3] if r.WhichOneof("record_type") == "exit"] == [1]
    assert len(list(folder.rglob("files/candidate.py"))) == 6
    assert_silent_about_the_machine(folder)


def _records(path: Path) -> Iterator[Any]:
    """The records of a run's file: LevelDB's log format behind a header of 7 bytes, in blocks of 32 KiB."""
    from wandb.proto.wandb_internal_pb2 import Record

    content, at, parts = path.read_bytes(), 7, b""
    while at + 7 <= len(content):
        length, kind = struct.unpack_from("<HB", content, at + 4)
        parts += content[at + 7 : at + 7 + length]
        at += 7 + length
        if 2**15 - at % 2**15 < 7:
            at += 2**15 - at % 2**15
        if kind in (WHOLE, LAST):
            yield Record.FromString(parts)
            parts = b""

"""Every command on a real, finished campaign: what it prints and how it ends."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from netwright.cli.app import run
from netwright.config_file import load_config
from netwright.evaluator.baselines import baseline

Answer = Callable[..., Any]
LEAKING = '''"""Sees the mean of the whole sequence."""
from torch import nn


class Mixer(nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.value = nn.Linear(dim, dim)

    def forward(self, x):
        return self.value(x) + x.mean(1, keepdim=True)
'''


@pytest.fixture
def answer(finished: Path, capfd: pytest.CaptureFixture[str]) -> Answer:
    """Run a command with --json on the finished campaign; its document."""

    def ask(*arguments: object) -> Any:
        assert run([*map(str, arguments), "--home", str(finished), "--json"]) == 0
        return json.loads(capfd.readouterr().out)

    return ask


@pytest.fixture
def printed(finished: Path, capfd: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run a command on the finished campaign; what it prints for people."""

    def ask(*arguments: object) -> str:
        assert run([*map(str, arguments), "--home", str(finished)]) == 0
        return capfd.readouterr().out

    return ask


@pytest.fixture
def rivals(finished: Path) -> int:
    """How many baselines the campaign has."""
    return len(load_config(finished.parent / "small.toml", {}).baselines)


def test_status_counts_what_was_done(answer: Answer, printed: Callable[..., str], rivals: int) -> None:
    status = answer("status")

    assert status["status"] == "finished"
    assert status["stats"]["trials"]["done"] >= 2 * rivals + 4
    assert "small" in printed("status") and "rung 1" in printed("status")


def test_top_lists_designs_and_baselines_by_loss_within_a_rung(answer: Answer, rivals: int) -> None:
    rows = answer("memory", "top", "--limit", "50")

    losses = [row["loss_nats"] for row in rows if row["rung"] == 1]
    assert losses == sorted(losses) and len(losses) >= 2
    assert {row["is_baseline"] for row in rows} == {True, False}
    assert sum(row["is_baseline"] for row in rows) == rivals


def test_show_tells_everything_about_a_design(answer: Answer, printed: Callable[..., str]) -> None:
    best = next(row for row in answer("memory", "top") if not row["is_baseline"])

    shown = answer("memory", "show", best["short"])
    text = printed("memory", "show", best["short"])

    assert shown["candidate"]["id"] == best["candidate_id"]
    assert {trial["rung"] for trial in shown["trials"]} >= {0}
    assert all(trial["usage"]["tier"] for trial in shown["trials"])
    assert "class Mixer" in text and "causality" in text


def test_search_finds_a_baseline_by_its_idea(answer: Answer) -> None:
    hits = answer("memory", "search", "rotary", "positions")

    assert any(hit["candidate_id"] == baseline("softmax_attention").id for hit in hits)


def test_diff_shows_code_and_numbers(answer: Answer) -> None:
    first, second = (baseline(name).id for name in ("softmax_attention", "linear_attention"))

    found = answer("memory", "diff", first, second)

    assert found["source"].startswith("---")
    assert found["measurements"][0]["delta_nats"] == pytest.approx(
        found["measurements"][0]["second_nats"] - found["measurements"][0]["first_nats"]
    )


def test_tree_and_failures_name_every_experiment(answer: Answer, printed: Callable[..., str], rivals: int) -> None:
    nodes = answer("memory", "tree")

    assert len(nodes) >= rivals + 4
    assert printed("memory", "tree").startswith("small")
    assert isinstance(answer("memory", "failures"), list)


def test_sql_answers_with_columns(answer: Answer, rivals: int) -> None:
    assert answer("memory", "sql", "SELECT count(*) AS n FROM candidates")[0]["n"] >= rivals + 4


def test_report_is_one_file_without_outside_requests(answer: Answer, tmp_path: Path) -> None:
    wrote = answer("report", "small", "--output", tmp_path / "report.html")

    page = Path(wrote["path"]).read_text()
    assert "small" in page and "<svg" in page
    assert 'src="http' not in page and "<script" not in page


def test_running_a_finished_campaign_again_trains_nothing(finished: Path, answer: Answer) -> None:
    before = answer("memory", "sql", "SELECT count(*) AS n FROM trials")

    again = answer("run", finished.parent / "small.toml")

    assert again["status"] == "finished"
    assert answer("memory", "sql", "SELECT count(*) AS n FROM trials") == before


def test_a_campaign_cannot_change_its_seed_halfway(finished: Path, capfd: pytest.CaptureFixture[str]) -> None:
    code = run(["run", str(finished.parent / "small.toml"), "--seed", "7", "--home", str(finished)])

    assert code == 2
    assert "another seed" in capfd.readouterr().err


def test_confirm_scores_on_the_locked_split_with_fresh_seeds(answer: Answer, rivals: int) -> None:
    best = next(row for row in answer("memory", "top") if not row["is_baseline"])

    confirmation = answer("confirm", "--seeds", "2", "--rung", "0", "--rates", "1")
    trials = answer("memory", "sql", "SELECT DISTINCT seed FROM trials WHERE split = 'test'")

    assert {row["seed"] for row in trials} == {1000, 1001}
    assert [row["id"] for row in confirmation["rows"] if row["role"] == "candidate"] == [best["candidate_id"]]
    assert sum(row["role"] == "baseline" for row in confirmation["rows"]) == rivals
    assert {duel["outcome"] for duel in confirmation["duels"]} <= {"better", "worse", "no difference"}
    assert best["candidate_id"] in confirmation["claims"]
    assert {chosen["rate"] for chosen in confirmation["learning_rates"]} == {1.0}


def test_check_rejects_a_design_that_sees_the_future_with_exit_code_3(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "leaking.py"
    path.write_text(LEAKING)

    code = run(["check", str(path), "--task", "recall", "--json"])

    assert code == 3
    report = json.loads(capfd.readouterr().out)
    assert not report["accepted"]
    assert [gate["gate"] for gate in report["gates"] if not gate["passed"]] == ["causality"]


def test_evaluate_scores_a_file_and_shows_it_beside_the_baselines(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "honest.py"
    path.write_text(LEAKING.replace(" + x.mean(1, keepdim=True)", " * x"))

    code = run(["evaluate", str(path), "--task", "recall", "--seeds", "1", "--home", str(tmp_path / "home"), "--json"])

    assert code == 0
    evaluation = json.loads(capfd.readouterr().out)
    assert 2.0 < evaluation["loss_nats"] < 4.0
    assert evaluation["trials"][0]["audit"]["max_logit_difference"] <= evaluation["trials"][0]["audit"]["tolerance"]
    assert evaluation["baselines"] == []


def test_dry_run_does_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    code = run(["run", "--dry-run", "--json", "--home", str(tmp_path / "home")])

    assert code == 0
    assert json.loads(capfd.readouterr().out)["planner"] == "grammar"
    assert not (tmp_path / "home").exists()


def test_dry_run_says_what_budgets_are_equal_in(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["run", "--dry-run", "--protocol", "time", "--json", "--home", str(tmp_path)]) == 0

    assert json.loads(capfd.readouterr().out)["budgets"] == "equal time"


def test_check_says_what_a_design_would_train_on(honest_file: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["check", str(honest_file), "--task", "recall", "--protocol", "flops"]) == 0

    said = capfd.readouterr().out
    assert "it trains on 1." in said and "times the operations" in said


def test_doctor_tells_whether_models_can_be_served(answer: Answer) -> None:
    findings = {finding["what"].strip(): finding["found"] for finding in answer("doctor")}

    assert findings["transformers serve"] == "there, for --llm hf:MODEL"


def test_doctor_names_the_tier_of_isolation(answer: Answer) -> None:
    findings = {finding["what"]: finding["found"] for finding in answer("doctor")}

    assert findings["isolation"].startswith("tier T")
    assert findings["trains on"].startswith(("cpu, in float32", "cuda, in "))
    assert "FTS5" in findings["  full-text search"]


def test_tasks_are_explained(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["tasks", "--json"]) == 0
    assert {task["name"] for task in json.loads(capfd.readouterr().out)} >= {"bytes", "recall"}
    assert run(["tasks", "show", "recall"]) == 0
    assert "rung 0" in capfd.readouterr().out
    assert run(["tasks", "show", "recall", "--protocol", "flops"]) == 0
    assert "equal FLOPs: a rung pays what its tokens take of" in capfd.readouterr().out

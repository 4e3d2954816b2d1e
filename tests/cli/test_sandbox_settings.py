"""What contains candidates: said in the campaign file or by flags, kept with the campaign, told with every result."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from netwright.campaign.opening import begin_or_continue
from netwright.cli.app import run
from netwright.config import CampaignConfig, SandboxConfig
from netwright.config_file import laid_over, load_config
from netwright.evaluator.limits import AUDIT, LIMITS
from netwright.evaluator.tasks import load_task
from netwright.memory.store import Memory
from netwright.types import Candidate, JobLog, Scope, Split, Trial, TrialStatus, Usage

SETTINGS = """
[sandbox]
kind = "podman"
tier = "T2"
image = "mine"
options = ["--gpus", "all"]
memory_mb = 4096
threads = 3
output_kb = 16
compile_seconds = 1.0
build_seconds = 2.0
first_step_seconds = 3.0
train_base_seconds = 40.0
train_tokens_per_second = 100.0
[audit]
screening_sheets = 2
final_sheets = 8
"""


@pytest.fixture
def configured(tmp_path: Path) -> CampaignConfig:
    path = tmp_path / "campaign.toml"
    path.write_text(SETTINGS)
    return load_config(path, {"sandbox.threads": 5, "sandbox.tier": None})


def test_limits_of_the_campaign_file_are_those_of_the_laboratory(configured: CampaignConfig) -> None:
    limits = configured.sandbox.limits

    training = limits.train(1000)
    assert (training.wall_seconds, training.memory_bytes, training.output_bytes) == (50.0, 4096 << 20, 16 << 10)
    assert list(training.stage_seconds.values())[:3] == [1.0, 2.0, 3.0]
    assert training.threads == 5
    assert (configured.audit.strength.sheets(0, Split.VALIDATION), configured.audit.strength.sheets(0, Split.TEST)) == (
        2,
        8,
    )


def test_what_is_left_out_is_the_evaluators_default() -> None:
    assert CampaignConfig().sandbox.limits == LIMITS
    assert CampaignConfig().audit.strength == AUDIT


def test_settings_come_back_from_the_memory_as_they_were(configured: CampaignConfig, tmp_path: Path) -> None:
    with Memory.open(tmp_path / "home") as memory:
        row = begin_or_continue(memory, configured, load_task("recall"))

        known = CampaignConfig.model_validate(row.config)

    assert (known.sandbox, known.audit) == (configured.sandbox, configured.audit)


def test_a_campaign_stored_before_there_were_such_tables_keeps_what_it_accepted() -> None:
    stored = {"task": "recall", "accept_no_sandbox": True, "workers": 2}

    assert CampaignConfig.model_validate(stored).sandbox == SandboxConfig(accept_no_sandbox=True)
    assert CampaignConfig.model_validate(stored | {"accept_no_sandbox": False}).sandbox == SandboxConfig()


def test_flags_lie_over_a_campaigns_own_settings() -> None:
    own = SandboxConfig(kind="docker", image="mine", memory_mb=500)

    laid = laid_over(own, {"kind": "podman", "tier": None, "image": None, "accept_no_sandbox": None})

    assert (laid.kind, laid.image, laid.memory_mb, laid.tier) == ("podman", "mine", 500, None)


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (("--tier", "T1"), "isolation T1: "),
        (
            ("--tier", "T0", "--i-accept-no-sandbox"),
            "isolation T0: resource limits only, candidate code is NOT isolated",
        ),
    ],
    ids=["T1", "T0"],
)
def test_a_weaker_tier_that_is_asked_for_is_used_and_told(
    flags: tuple[str, ...], told: str, honest_file: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    code = run(["check", str(honest_file), "--task", "recall", *flags])

    printed = capfd.readouterr().out
    assert code == 0, printed
    assert told in printed and "landlock" not in printed
    assert "s in all" in printed


def test_without_landlock_the_tier_below_runs_where_it_is_accepted(
    without_landlock: Callable[..., subprocess.CompletedProcess[str]], honest_file: Path
) -> None:
    done = without_landlock("check", honest_file, "--task", "recall", "--tier", "T1", "--json")

    found = json.loads(done.stdout)
    assert (done.returncode, found["accepted"], found["tier"]) == (0, True, "T1")


def test_doctor_names_what_each_tier_lacks(without_landlock: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    done = without_landlock("doctor", "--json")

    findings = {finding["what"].strip(): finding for finding in json.loads(done.stdout)}
    assert done.returncode == 1
    assert findings["isolation"]["found"] == "tier T1" and "Linux 5.13" in findings["isolation"]["remedy"]
    assert findings["T3"]["found"].startswith("no") and "landlock" in findings["T3"]["remedy"]
    assert findings["T1"]["found"] == "yes: seccomp"
    assert "not isolated" in findings["T0"]["found"]
    assert {"docker", "podman"} <= findings.keys()


LAYERS = (("no_new_privs", "set-uid programs gain nothing"), ("seccomp", "161 instructions"))
JOBS = (
    JobLog(
        purpose="train",
        cause="ok",
        exit_code=0,
        tier="T0",
        layers=LAYERS,
        policy="fc9f964a516d",
        warm=True,
        start_seconds=0.0042,
        wall_seconds=5.23,
        cpu_seconds=5.1,
        kill_seconds=0.006,
        peak_memory_bytes=305_000_000,
        stages=(("compile", 0.004), ("first step", 0.058)),
        bytes_in=6_100,
        bytes_out=418_600,
    ),
    JobLog(
        purpose="rows", cause="crashed", exit_code=-9, tier="T0", layers=LAYERS, policy="fc9f964a516d", left_behind=2
    ),
)


@pytest.fixture
def exposed(tmp_path: Path) -> Path:
    """A home with one design, trained at T0."""
    task = load_task("recall").spec
    design = Candidate(source="GATE = 1\n", scope=Scope.MIXER, title="Bold", hypothesis="", origin="grammar")
    with Memory.open(tmp_path / "home") as memory:
        row = memory.start_campaign("small", task, 0, CampaignConfig(task="recall").model_dump(mode="json"))
        memory.put_candidate(design)
        trial = Trial(
            candidate_id=design.id,
            task_id=task.id,
            rung=0,
            seed=3,
            status=TrialStatus.DONE,
            loss_nats=1.0,
            usage=Usage(tier="T0", wall_seconds=1.0),
            jobs=JOBS,
        )
        memory.put_trial(row.id, trial)
        with memory.connection.write() as conn:
            conn.execute(
                "INSERT INTO nodes (campaign_id, node, operator, candidate_id, rung, stage, failure, seconds, visits, "
                "created_at) VALUES (?, 0, 'draft', ?, 0, '', '', 1.0, 0, '')",
                (row.id, design.id),
            )
    return tmp_path / "home"


@pytest.mark.parametrize("command", [("memory", "top"), ("status",), ("memory", "show", "{id}")])
def test_what_was_trained_without_isolation_is_marked_wherever_it_is_listed(
    command: tuple[str, ...], exposed: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with Memory.open(exposed, create=False, read_only=True) as memory:
        design = memory.trials()[0].candidate_id

    assert run([*(part.format(id=design) for part in command), "--home", str(exposed)]) == 0

    assert "not isolated" in capfd.readouterr().out


def test_the_mark_is_in_the_json_of_listings(exposed: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["memory", "top", "--home", str(exposed), "--json"]) == 0
    assert [(row["tier"], row["not_isolated"]) for row in json.loads(capfd.readouterr().out)] == [("T0", True)]

    assert run(["status", "--home", str(exposed), "--json"]) == 0
    status = json.loads(capfd.readouterr().out)
    assert status["stats"]["tiers"] == {"T0": 1} and status["leaderboard"][0]["not_isolated"]


def test_show_lists_every_process_of_a_trial_and_its_layers_once(
    exposed: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with Memory.open(exposed, create=False, read_only=True) as memory:
        design = memory.trials()[0].candidate_id

    assert run(["memory", "show", design, "--home", str(exposed)]) == 0
    printed = capfd.readouterr().out
    assert run(["memory", "show", design, "--home", str(exposed), "--json"]) == 0
    told = json.loads(capfd.readouterr().out)

    train, rows = (line for line in printed.splitlines() if line.startswith("0/3") and "kB" in line or "left" in line)
    for part in ("train", "ok", "yes", "4 ms", "5.2 s", "5.1 s", "6 ms", "305.0MB", "6.1kB", "418.6kB"):
        assert part in train
    assert "crashed (code -9), left 2 processes behind" in rows
    assert printed.count("no_new_privs (set-uid programs gain nothing)") == 1
    assert "policy fc9f964a516d" in printed and "58 ms" in printed
    assert [JobLog.model_validate(job) for job in told["trials"][0]["jobs"]] == list(JOBS)


def test_a_task_file_is_found_from_the_campaign_file_and_stays_found(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text('task = "tasks/mine.py"\n')

    config = load_config(tmp_path / "c.toml", {})

    assert config.task == str((tmp_path / "tasks" / "mine.py").resolve())
    assert config.campaign_name == "mine"

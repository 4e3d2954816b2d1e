"""`measure` and `pareto` on a real, finished campaign."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from netwright.cli.app import run
from netwright.evaluator.baselines import baseline


@pytest.fixture(scope="module")
def home(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The campaign's home, to write into."""
    copy = tmp_path_factory.mktemp("measured") / "home"
    shutil.copytree(finished, copy)
    return copy


def ask(home: Path, capfd: pytest.CaptureFixture[str], *arguments: object, code: int = 0) -> Any:
    assert run([*map(str, arguments), "--home", str(home), "--json"]) == code
    return json.loads(capfd.readouterr().out)


def test_a_file_and_a_baseline_are_measured_on_the_task_of_the_campaign(home, honest_file, capfd):
    honest, attention = ask(home, capfd, "measure", honest_file, "softmax_attention")

    assert honest["task_id"] == attention["task_id"] == ask(home, capfd, "status")["task"]
    assert [row["length"] for row in attention["inference"]] == [64, 128, 256]
    assert (honest["growth"]["word"], honest["state_bytes"]) == ("sub-quadratic", 0)
    assert attention["growth"]["word"] == "quadratic" and attention["growth"]["state"] > 0.9
    assert attention["state_bytes_per_token"] > 2 * 4 * 8 * 0.9


def test_what_was_measured_is_not_measured_again_unless_asked_for(home, honest_file, capfd):
    first = ask(home, capfd, "measure", honest_file)
    second = ask(home, capfd, "measure", honest_file)
    third = ask(home, capfd, "measure", honest_file, "--again")

    assert first == second
    assert third[0]["wall_seconds"] != first[0]["wall_seconds"]


def test_one_architecture_is_shown_by_length_with_what_may_be_said(home, honest_file, capfd):
    assert run(["measure", str(honest_file), "--home", str(home)]) == 0

    shown = capfd.readouterr().out
    assert "one row (ms)" in shown and "numbers per layer" in shown and "sub-quadratic" in shown
    assert "advisory" in shown


def test_what_cannot_be_measured_says_why(home, tmp_path, capfd):
    path = tmp_path / "broken.py"
    path.write_text("class Mixer:\n    pass\n")

    (found,) = ask(home, capfd, "measure", path, code=1)

    assert "derives from torch.nn.Module" in found["problems"][0]


def test_the_front_leaves_out_what_is_not_known_of_all(home, capfd):
    front = ask(home, capfd, "pareto")

    assert front["rung"] == 1
    assert front["compared"] == ["parameters", "flops_per_token"]
    assert front["lacking"]["latency_seconds"] > 0
    assert front["entries"][0]["on_front"]


@pytest.mark.slow
def test_the_finalists_of_a_campaign_are_measured_and_compared_in_everything(home, capfd):
    measured = ask(home, capfd, "measure")
    front = ask(home, capfd, "pareto")

    assert {each["id"] for each in measured} == {each["id"] for each in front["entries"]}
    assert front["compared"] == ["parameters", "flops_per_token", "latency_seconds", "state_bytes"]
    assert front["lacking"] == {} and "cpu, torch" in front["machine"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("measure", "nowhere.py"), "nowhere.py does not exist"),
        (("measure", "ffffffff"), "no candidate has an id that begins with"),
        (("measure", "lstm", "--task", "digits"), "no candidate has an id"),
        (("measure", "--task", "recall", "--campaign", "small"), "give one of them"),
        (("pareto", "--rung", "7"), "rungs with designs: 0, 1"),
        (("pareto", "unheard"), "known: small"),
    ],
)
def test_bad_input_is_one_sentence(home, capfd, arguments, words):
    assert run([*arguments, "--home", str(home)]) == 2

    said = capfd.readouterr().err
    assert words in said and len(said.strip().splitlines()) == 1


def test_a_candidate_of_another_scope_is_refused(home, capfd):
    mixer = baseline("softmax_attention").id

    assert run(["measure", mixer, "--task", "digits", "--home", str(home)]) == 2

    assert "is a candidate of scope mixer, and task 'digits' takes model" in capfd.readouterr().err

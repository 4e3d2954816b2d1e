"""A whole campaign against a real chat-completions server that answers well, badly, late, and not at all."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import author
import pytest

from netwright.campaign.running import run_campaign
from netwright.config_file import load_config
from netwright.errors import ProviderError
from netwright.memory.overview import failures
from netwright.memory.store import Memory
from netwright.types import LlmCall, Outcome

GOOD = author.AVERAGE.replace(": design {number}", "")
LEAKING = GOOD.replace("({width} - 1, 0)", "(0, {width} - 1)")
HOPELESS = GOOD.replace("class Mixer", 'RECIPE = {{"lr": 1e-6}}\n\n\nclass Mixer')
SECRET = "sk-very-secret"
RIVALS = ("softmax_attention", "gated_convolution")


def is_critic(body: dict[str, Any]) -> bool:
    return "You are the critic" in body["messages"][-1]["content"]


def wants_a_token(body: dict[str, Any]) -> bool:
    return body["messages"][-1]["content"] == "Say yes."


class Model:
    """Answers planners with a script, then with three plans each; coders with the file of the plan."""

    def __init__(self, chat: ModuleType, script: list[Any]) -> None:
        self._chat = chat
        self._script = script
        self._width = 20
        self._commented = 0

    def __call__(self, body: dict[str, Any]) -> Any:
        if wants_a_token(body):
            return "yes"
        asked = body["messages"][-1]["content"]
        if (planned := re.search(r"Title: Average of (\d+)", asked)) is not None:
            return f"```python\n{GOOD.format(width=planned[1])}```"
        if "# Plans for the next design" in asked:
            return json.dumps({"opinions": [{"plan": number, "score": number} for number in (1, 2, 3)]})
        if "You are the librarian" in asked:
            return '{"merge": [{"lessons": [1, 2], "claim": "Averages do not recall."}]}'
        if is_critic(body):
            self._commented += 1
            comment = {
                "changed": "the width",
                "words": "The gate forgets.",
                "lesson": f"Averaging is not enough, {('narrow', 'wide')[self._commented % 2]}.",
            }
            return f"```json\n{json.dumps(comment)}\n```"
        if self._script:
            return self._script.pop(0)
        self._width += 3
        plans = [{"title": f"Average of {self._width - n}", "hypothesis": "It averages."} for n in range(3)]
        return json.dumps({"plans": plans})


@pytest.mark.timeout(240)
def test_a_campaign_survives_every_fault_of_its_endpoint_and_remembers_what_happened(
    tmp_path: Path,
    campaign_file: Callable[..., Path],
    chat: ModuleType,
    chat_server: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    good = [chat.plan_reply(f"Average of {width}", GOOD.format(width=width)) for width in (3, 4, 5, 6, 7)]
    whole = chat.plan_text("Average of 9", GOOD.format(width=9))
    script = [
        good[0],
        chat.plan_reply("Future average", LEAKING.format(width=8)),  # a plan that needs repair ...
        good[1],  # ... and gets it
        chat.completion('```json\n{"title": "broken", "hypothesis": \n```'),  # malformed JSON
        good[2],
        chat.completion(whole[: len(whole) * 2 // 3], finish_reason="length"),  # a cut-off answer
        good[3],
        chat.http_error(500, "out of memory"),
        good[4],
        *[chat.stall(30.0)] * 2,  # both tries of one request
    ]
    server = chat_server(default=Model(chat, script))
    monkeypatch.setenv("NETWRIGHT_API_KEY", SECRET)
    monkeypatch.setattr("netwright.campaign.lessons.EVERY", 4)
    more = f'[llm]\nurl = "{server.url}"\nmodel = "scripted"\ntotal_timeout = 1.5\ntries = 2\n'
    config = load_config(campaign_file(trials=6, baselines=RIVALS, more=more), {})

    row, _ = run_campaign(tmp_path / "home", config)

    assert row.status == "finished"
    with Memory.open(tmp_path / "home", create=False, read_only=True) as memory:
        experiments = [known for known in memory.experiments(row.id) if known.action and known.action.kind == "expand"]
        trained = [known for known in experiments if known.score is not None]
        calls = calls_of(memory)
        stages = {group.stage: group for group in failures(memory, row.name)}
        lessons = {lesson.claim: lesson.retired for lesson in memory.lessons(row.task.id)}
    assert lessons["Averages do not recall."] == "" and any(lessons.values()), "merged, and the merged ones retired"
    assert len(trained) >= 6
    assert not script
    repaired = next(known for known in experiments if known.operator == "repair")
    assert repaired.attempts[0].stage == "gate: causality"
    assert any(known.stage == "planner: no reply" for known in experiments)
    assert "planner: no reply" in stages
    assert {call.status for call in calls} > {"ok"}
    assert {call.role for call in calls} == {"planner", "coder", "repairer", "critic", "librarian"}
    assert any(call.role == "planner" and "stall" not in (call.reply or "") and call.error for call in calls)
    verdict = trained[0].verdict
    assert verdict is not None and verdict.author == "llm:scripted" and verdict.words == "The gate forgets."
    assert verdict.outcome in (Outcome.BETTER, Outcome.WORSE, Outcome.NO_DIFFERENCE)
    assert any(SECRET in headers.get("authorization", "") for headers in server.headers)
    assert SECRET.encode() not in (tmp_path / "home" / "memory.db").read_bytes()


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("early_stop", [True, False])
def test_a_hopeless_training_is_ended_and_remembered_as_a_failure_unless_told_otherwise(
    tmp_path: Path,
    campaign_file: Callable[..., Path],
    chat: ModuleType,
    chat_server: Callable[..., Any],
    early_stop: bool,
) -> None:
    server = chat_server(default=Model(chat, [chat.plan_reply("Asleep", HOPELESS.format(width=3))]))
    more = f'[search]\nearly_stop = {str(early_stop).lower()}\n[llm]\nurl = "{server.url}"\nmodel = "scripted"\n'
    config = load_config(campaign_file(trials=2, more=more), {})

    row, board = run_campaign(tmp_path / "home", config)

    with Memory.open(tmp_path / "home", create=False, read_only=True) as memory:
        asleep = next(known for known in memory.experiments(row.id) if known.action and known.action.index == 0)
        grouped = {group.stage: group.count for group in failures(memory, row.name)}
    assert board.trained == 2
    if not early_stop:
        assert asleep.score is not None and not grouped
        return
    assert (asleep.stage, asleep.score) == ("training: stopped early", None)
    assert asleep.failure.startswith("training loss ") and "known trainings were lower there" in asleep.failure
    assert asleep.verdict is not None and asleep.verdict.outcome is Outcome.FAILED
    assert grouped == {"training: stopped early": 1} == dict(board.failures)


def calls_of(memory: Memory) -> list[LlmCall]:
    from netwright.memory.rows import llm_of

    return [llm_of(row) for row in memory.connection.rows("SELECT * FROM llm_calls ORDER BY id")]


def test_a_finished_reply_is_not_paid_for_twice(
    tmp_path: Path, campaign_file: Callable[..., Path], chat: ModuleType, chat_server: Callable[..., Any]
) -> None:
    server = chat_server(default=Model(chat, []))
    more = f'[llm]\nurl = "{server.url}"\nmodel = "scripted"\n'
    config = load_config(campaign_file(trials=1, baselines=RIVALS, more=more), {})
    run_campaign(tmp_path / "home", config)
    asked = sum(not wants_a_token(body) for body in server.requests)

    run_campaign(tmp_path / "home", config)

    assert sum(not wants_a_token(body) for body in server.requests) == asked


def test_an_endpoint_that_stays_silent_stops_the_campaign_with_everything_saved(
    tmp_path: Path,
    campaign_file: Callable[..., Path],
    chat: ModuleType,
    chat_server: Callable[..., Any],
    netwright: Any,
) -> None:
    server = chat_server(["yes"], default=chat.http_error(500, "model crashed"))
    more = f'[llm]\nurl = "{server.url}"\nmodel = "scripted"\ntries = 1\n'

    done = netwright("run", campaign_file(trials=2, baselines=RIVALS, more=more), "--home", tmp_path / "home")

    assert done.returncode == 1
    assert "5 times in a row" in done.stderr and "netwright resume small" in done.stderr
    with Memory.open(tmp_path / "home", create=False, read_only=True) as memory:
        assert memory.campaign("small").status == "interrupted"
        assert len(memory.experiments(memory.campaign("small").id)) >= 2 + 5


def test_a_campaign_goes_on_when_its_endpoint_is_back(
    tmp_path: Path, campaign_file: Callable[..., Path], chat: ModuleType, chat_server: Callable[..., Any]
) -> None:
    faults = [chat.http_error(500, "model crashed") for _ in range(5)]
    server = chat_server(default=Model(chat, faults))
    more = f'[llm]\nurl = "{server.url}"\nmodel = "scripted"\ntries = 1\n'
    config = load_config(campaign_file(trials=2, baselines=RIVALS, more=more), {})
    with pytest.raises(ProviderError, match="5 times in a row"):
        run_campaign(tmp_path / "home", config)

    row, board = run_campaign(tmp_path / "home", config)

    assert row.status == "finished"
    assert board.trained >= 2


def test_an_endpoint_that_is_down_is_named_before_anything_is_trained(
    tmp_path: Path, campaign_file: Callable[..., Path], netwright: Any
) -> None:
    more = '[llm]\nurl = "http://127.0.0.1:9/v1"\nmodel = "m"\ntries = 1\n'

    done = netwright("run", campaign_file(more=more), "--home", tmp_path / "home")

    assert done.returncode == 1
    assert "127.0.0.1:9" in done.stderr and "Traceback" not in done.stderr
    with Memory.open(tmp_path / "home", create=False, read_only=True) as memory:
        assert memory.trials() == []

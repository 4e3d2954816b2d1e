"""A recorded campaign is repeated word for word where its endpoint is gone: same designs, verdicts and words."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import author
import pytest

from netwright.campaign.recording import recording, replay_config
from netwright.campaign.running import run_campaign
from netwright.config import CampaignConfig
from netwright.config_file import load_config
from netwright.errors import ConfigError, NotFound, ReplayError
from netwright.evaluator.tasks import load_task
from netwright.memory.records import Experiment
from netwright.memory.store import Memory
from netwright.memory.transcripts import transcript

AVERAGE = author.AVERAGE.replace(": design {number}", "")
LEAKING = AVERAGE.replace("({width} - 1, 0)", "(0, {width} - 1)")


class Moody:
    """A model that designs well, and sometimes leaks, repeats itself, falls silent or talks nonsense.

    Its answers come in another order than its questions, and it says each time something else.
    """

    def __init__(self, chat: ModuleType) -> None:
        self._chat = chat
        self._asked = 0

    def __call__(self, body: dict[str, Any]) -> Any:
        asked = body["messages"][-1]["content"]
        self._asked += 1
        number = self._asked
        time.sleep(0.15 * (number % 3))
        if asked == "Say yes.":
            return "yes"
        if "You are the critic" in asked:
            if "opinions" in asked:
                return json.dumps({"opinions": [{"plan": 1, "score": number % 7}, {"plan": 2, "score": 3}]})
            return json.dumps({"words": f"Remark {number}.", "lesson": f"Lesson {number % 2}."})
        return self._written(asked, number)

    def _written(self, asked: str, number: int) -> Any:
        if "mend a design" in asked:
            return f"```python\n{AVERAGE.format(width=number)}```"
        if "write the file" in asked:
            source = LEAKING if number % 4 == 0 else AVERAGE
            return f"```python\n{source.format(width=7 if number % 5 == 0 else number)}```"
        if number % 7 == 3:
            return self._chat.http_error(500, "out of memory")
        if number % 7 == 5:
            return "I would rather not."
        plans = [
            {"title": f"Average {number}-{each}", "hypothesis": "It forgets.", "changes": "the width"} for each in "ab"
        ]
        return f"```json\n{json.dumps({'plans': plans})}\n```"


class _Connections:
    """An audit hook that counts TCP connections of this process while `counting`; one for the whole session."""

    def __init__(self) -> None:
        self.counting = False
        self.addresses: list[Any] = []

    def __call__(self, event: str, args: tuple[Any, ...]) -> None:
        if self.counting and event == "socket.connect" and isinstance(args[1], tuple):
            self.addresses.append(args[1])


@pytest.fixture(scope="module")
def connections() -> Iterator[_Connections]:
    hook = _Connections()
    sys.addaudithook(hook)
    yield hook
    hook.counting = False


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory, chat: ModuleType) -> Path:
    """A home with the campaign `first`, which went on with a larger budget, and whose endpoint is gone."""
    folder = tmp_path_factory.mktemp("recorded")
    with chat.ChatServer(default=Moody(chat)) as server:
        (folder / "first.toml").write_text(
            'name = "first"\ntask = "recall"\nrung_tokens = [8192, 16384]\nin_flight = 4\nworkers = 2\n'
            "[budget]\ntrials = 3\nminutes = 30\n"
            f'[llm]\nurl = "{server.url}"\nmodel = "scripted"\nconcurrency = 3\ntries = 1\nplans = 2\n'
            'answers = "edits"\n'
        )
        run_campaign(folder / "home", load_config(folder / "first.toml", {}))
        row, _ = run_campaign(folder / "home", load_config(folder / "first.toml", {"budget.trials": 6}))
    assert row.status == "finished"
    return folder / "home"


def config_of(home: Path, name: str | None = None, source: str = "first") -> CampaignConfig:
    with Memory.open(home) as memory:
        return replay_config(memory, source, {"name": name}, {}, {})


def story(experiments: list[Experiment]) -> dict[tuple[int, int | None], Any]:
    """What a campaign came to, without its times."""
    return {
        (known.node, known.action.index if known.action else None): known.model_dump(
            exclude={"seconds", "visits", "value"}
        )
        for known in experiments
    }


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_replay_has_the_same_designs_verdicts_and_words_and_opens_no_connection(
    recorded: Path, connections: _Connections, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NETWRIGHT_API_KEY", raising=False)
    connections.counting = True

    row, board = run_campaign(recorded, config_of(recorded))

    connections.counting = False
    assert (row.name, row.status, row.note) == (
        "first-replay",
        "finished",
        "replayed all that campaign 'first' came to",
    )
    assert connections.addresses == []
    with Memory.open(recorded, create=False, read_only=True) as memory:
        first = memory.campaign("first")
        then, now = memory.experiments(first.id), memory.experiments(row.id)
        assert story(now) == story(then)
        assert any("<<<<<<< SEARCH" in call.messages[-1]["content"] for call in memory.llm_calls(first.id))
        assert {known.stage for known in then} >= {"", "planner: no reply"}, "the recording has failures too"
        assert memory.duplicates(row.id) == {
            kind: count for kind, count in memory.duplicates(first.id).items() if kind != "remembered"
        }
        assert memory.llm_totals(row.id).calls == 0
        assert {call.key for call in memory.llm_calls(row.id)} == {call.key for call in memory.llm_calls(first.id)}
        lessons = [lesson for lesson in memory.lessons() if "first-replay" in lesson.campaigns]
        node = next(known.node for known in then if known.score is not None and known.node >= 0)
        told = [transcript(memory, str(node), name) for name in ("first", "first-replay")]
    assert lessons == [], "what is told twice is no further evidence"
    assert [call.reply for call in told[0].calls] == [call.reply for call in told[1].calls]
    assert told[0].calls and told[0].calls[-1].role == "critic"


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_replay_that_was_interrupted_goes_on_and_a_replay_of_a_replay_is_one_of_the_first(recorded: Path) -> None:
    async def impatient(board: Any, done: Any) -> None:
        while board.trained < 2:
            await asyncio.sleep(0.005)
        signal.raise_signal(signal.SIGINT)

    config = config_of(recorded, "second")
    row, _ = run_campaign(recorded, config, watch=impatient)
    assert row.status == "interrupted"

    row, _ = run_campaign(recorded, config)

    assert row.status == "finished"
    assert config_of(recorded, "third", source="second").replay == "first"
    with Memory.open(recorded, create=False, read_only=True) as memory:
        assert story(memory.experiments(row.id)) == story(memory.experiments(memory.campaign("first").id))


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_what_was_never_asked_is_told_with_what_differs(recorded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = config_of(recorded, "warmer").model_dump()
    config["llm"]["planner"]["temperature"] = 0.123

    with pytest.raises(ReplayError, match=r"never asked this of its planner \(action=\d+ .* temperature, max_tokens"):
        run_campaign(recorded, CampaignConfig.model_validate(config))

    with pytest.raises(ConfigError, match="'first' was begun with another recording"):
        run_campaign(recorded, config_of(recorded).model_copy(update={"name": "first"}))


# --- what can be replayed --------------------------------------------------------------------------------------------


@pytest.fixture
def known(tmp_path: Path) -> Path:
    """A home with two campaigns that did nothing yet: one of a model, one of the grammar."""
    task = load_task("recall").spec
    with Memory.open(tmp_path) as memory:
        for name, llm in (("asked", {"url": "http://127.0.0.1:9/v1", "model": "m"}), ("grammar", {})):
            config = CampaignConfig.model_validate({"task": "recall", "llm": llm, "workers": 3, "name": name})
            memory.start_campaign(name, task, 0, config.model_dump(mode="json"))
    return tmp_path


def test_a_replay_has_the_settings_of_the_recorded_campaign_and_a_name_of_its_own(known: Path) -> None:
    config = config_of(known, source="asked")

    assert (config.campaign_name, config.replay, config.workers) == ("asked-replay", "asked", 3)
    assert config.llm.model == "m"


@pytest.mark.parametrize(
    ("source", "name", "error", "words"),
    [
        ("grammar", None, ConfigError, "asked no model"),
        ("asked", "asked", ConfigError, "--name asked: that is the recorded campaign itself"),
        ("asked", "a b", ConfigError, "name: expected letters"),
        ("other", None, NotFound, "no campaign 'other'"),
    ],
)
def test_what_cannot_be_replayed_is_told(
    known: Path, source: str, name: str | None, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        config_of(known, name, source)


def test_other_data_is_told_before_anything_is_asked(known: Path) -> None:
    spec = load_task("recall").spec.model_copy(update={"max_len": 8})

    with Memory.open(known) as memory, pytest.raises(ReplayError, match="its data or device is another one"):
        recording(memory, "asked", spec)


def test_flags_that_a_replay_takes_from_the_recording_are_refused(known: Path, netwright: Any) -> None:
    done = netwright("run", "--replay", "asked", "--trials", 3, "--llm", "http://h/v1", "--home", known)

    assert done.returncode == 2
    assert "budget.trials, llm.url was given too" in done.stderr

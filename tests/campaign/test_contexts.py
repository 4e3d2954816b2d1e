"""Prompts fit the contexts of their models: settled when a campaign begins, refused where they are too small."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from netwright.agents.context_text import least_tokens
from netwright.agents.profile import Profile, ProfileStore
from netwright.agents.room import LEAST_CONTEXT, WANTED_CONTEXT
from netwright.campaign.board import Board
from netwright.campaign.contexts import check_contexts, settled_contexts
from netwright.campaign.opening import begin_or_continue
from netwright.campaign.rehearsal import rehearsed_context
from netwright.campaign.roles import PROFILES
from netwright.config import CampaignConfig
from netwright.errors import ConfigError
from netwright.evaluator.tasks import TASKS, load_task
from netwright.memory.store import Memory

URL = "http://127.0.0.1:9/v1"
RECALL = load_task("recall")


def configured(**llm: Any) -> CampaignConfig:
    return CampaignConfig.model_validate({"task": "recall", "llm": {"url": URL, "model": "m", **llm}})


def settle(home: Path, config: CampaignConfig) -> dict[str, int | None]:
    board = Board(name="small", task=RECALL.spec, config=config)
    llm = asyncio.run(settled_contexts(config.llm, {}, home, board))
    return {role: llm.of(role).context_tokens for role in ("planner", "coder", "repairer", "critic")}


def measured(home: Path, model: str, tokens: int) -> None:
    ProfileStore(home / PROFILES).keep(Profile(url=URL, model=model, context_tokens=tokens))


def test_a_context_is_what_was_given_else_what_was_measured_else_a_cautious_guess(tmp_path: Path) -> None:
    measured(tmp_path, "m", 32_768)

    found = settle(tmp_path, configured(critic={"model": "small"}, coder={"context_tokens": 9_000}))

    assert found == {"planner": 32_768, "coder": 9_000, "repairer": 32_768, "critic": WANTED_CONTEXT}
    assert set(settle(tmp_path, configured(context_tokens=20_000)).values()) == {20_000}


@pytest.mark.parametrize(
    ("says", "context"),
    [
        ('{"max_position_embeddings": 2048}', 2048),
        ('{"text_config": {"max_position_embeddings": 4096}}', 4096),
        # What nobody tried is not relied upon beyond what is enough.
        ('{"max_position_embeddings": 262144}', WANTED_CONTEXT),
        ('{"max_position_embeddings": "long"}', WANTED_CONTEXT),
        ("[]", WANTED_CONTEXT),
    ],
)
def test_a_model_that_is_served_has_no_more_context_than_it_was_made_for(
    tmp_path: Path, says: str, context: int
) -> None:
    (tmp_path / "config.json").write_text(says)
    config = CampaignConfig.model_validate({"task": "recall", "llm": {"url": f"hf:{tmp_path}"}})

    assert set(settle(tmp_path, config).values()) == {context}


def test_a_campaign_that_goes_on_keeps_the_contexts_that_it_began_with(tmp_path: Path) -> None:
    begun = configured(planner={"context_tokens": 16_384}, critic={"context_tokens": 8_192})
    with Memory.open(tmp_path) as memory:
        begin_or_continue(memory, begun, RECALL)
        measured(tmp_path, "m", 65_536)

        again = begin_or_continue(memory, configured(critic={"model": "other"}), RECALL)
        larger = begin_or_continue(memory, configured(context_tokens=40_000), RECALL)

    kept, given = (CampaignConfig.model_validate(row.config).llm for row in (again, larger))
    assert kept.of("planner").context_tokens == 16_384
    assert kept.of("critic").context_tokens is None
    assert given.of("planner").context_tokens == 40_000


@pytest.mark.parametrize("task", [name for name in TASKS if name != "tokens"])
@pytest.mark.parametrize("baselines", ["core", "all"])
def test_the_least_context_that_a_check_asks_for_is_enough_for_every_task(task: str, baselines: str) -> None:
    spec = load_task(task).spec
    config = CampaignConfig.model_validate({"task": task, "baselines": baselines, "llm": {"url": URL}})

    assert 4_000 < least_tokens(rehearsed_context(config, spec)) <= LEAST_CONTEXT


def test_a_context_too_small_for_one_role_is_named_with_what_is_needed() -> None:
    config = configured(context_tokens=18_000, coder={"context_tokens": 4_096})

    with pytest.raises(ConfigError, match=r"coder's model m at http.* context of 4,096 .*'recall' needs [67],\d{3} \("):
        check_contexts(config.llm, config, RECALL.spec)


def test_a_campaign_with_too_small_a_context_ends_before_anything_is_trained(
    tmp_path: Path,
    campaign_file: Callable[..., Path],
    chat: ModuleType,
    chat_server: Callable[..., Any],
    netwright: Any,
) -> None:
    server = chat_server(default="yes")
    file = campaign_file(more=f'[llm]\nurl = "{server.url}"\nmodel = "scripted"\ncontext_tokens = 4096\n')

    done = netwright("run", file, "--home", tmp_path / "home")

    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "context of 4,096 tokens" in done.stderr and f"netwright endpoint check {server.url}" in done.stderr
    assert not server.requests
    with Memory.open(tmp_path / "home", create=False, read_only=True) as memory:
        assert memory.trials() == []


def test_a_prompt_of_ones_own_with_an_unknown_placeholder_ends_a_campaign_before_it_begins(
    tmp_path: Path, campaign_file: Callable[..., Path], netwright: Any
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "coder.md").write_text("{{files}} {{operator}} {{mood}}")
    file = campaign_file(more=f'[llm]\nurl = "{URL}"\nmodel = "m"\nprompts = "mine"\n')

    done = netwright("run", file, "--home", tmp_path / "home")

    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "coder.md has the placeholder {{mood}}, which nothing fills; it may use" in done.stderr
    assert not (tmp_path / "home" / "memory.db").exists()


# --- how files are asked for -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("llm", "share", "answers"),
    [
        ({}, 0.75, "edits"),
        ({}, 0.5, "whole"),
        ({}, None, "whole"),
        ({"coder": {"model": "small"}}, 1.0, "whole"),
        ({"critic": {"model": "small"}}, 1.0, "edits"),
        ({"answers": "whole"}, 1.0, "whole"),
        ({"answers": "edits"}, None, "edits"),
    ],
)
def test_edits_are_asked_of_models_that_a_check_found_able_to(
    tmp_path: Path, llm: dict[str, Any], share: float | None, answers: str
) -> None:
    ProfileStore(tmp_path / PROFILES).keep(Profile(url=URL, model="m", edits=share))
    config = configured(**llm)
    board = Board(name="small", task=RECALL.spec, config=config)

    assert asyncio.run(settled_contexts(config.llm, {}, tmp_path, board)).answers == answers


def test_how_files_are_asked_for_stays_as_a_campaign_began(tmp_path: Path) -> None:
    with Memory.open(tmp_path) as memory:
        begin_or_continue(memory, configured(answers="whole"), RECALL)

        again = begin_or_continue(memory, configured(answers="edits"), RECALL)
        config = {**again.config, "llm": {key: again.config["llm"][key] for key in ("url", "model")}}
        memory.update_campaign(again.id, config=config)
        of_an_older_one = begin_or_continue(memory, configured(), RECALL)

    assert [row.config["llm"]["answers"] for row in (again, of_an_older_one)] == ["whole", "whole"]

"""No design is trained twice in a campaign, in whatever words or code it comes; each hit is counted and shown."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from netwright.campaign.board import Board
from netwright.campaign.novelty import Novelty
from netwright.campaign.running import run_campaign
from netwright.config import CampaignConfig
from netwright.config_file import load_config
from netwright.evaluator.structure import STRUCTURE_VERSION
from netwright.evaluator.tasks import load_task
from netwright.memory.store import Memory
from netwright.portrait import Portrait
from netwright.types import Action, Candidate, Operator, Scope, TaskSpec

SOURCE = '''"""A gated running mean."""

import torch
from torch import nn


class Mixer(nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.gate = nn.Linear(dim, dim)
        self.value = nn.Linear(dim, dim)

    def forward(self, x):
        count = torch.arange(1, x.shape[1] + 1, dtype=x.dtype, device=x.device)
        return torch.sigmoid(self.gate(x)) * self.value(x).cumsum(1) / count[:, None]
'''
RENAMED = SOURCE.replace("value", "content").replace("A gated", "An open")
REWRITTEN = SOURCE.replace("torch.sigmoid(self.gate(x)) * self.value(x)", "1 * self.value(x)").replace(
    "/ count[:, None]", "/ count[:, None] * self.gate(x).sigmoid()"
)
OTHER = SOURCE.replace("sigmoid", "tanh")


def design(source: str) -> Candidate:
    return Candidate(source=source, scope=Scope.MIXER, title="t", hypothesis="h", origin="llm:scripted")


@pytest.fixture
def task() -> TaskSpec:
    return load_task("recall").spec


@pytest.fixture
def novelty(tmp_path: Path, task: TaskSpec) -> Novelty:
    memory = Memory.open(tmp_path / "home")
    row = memory.start_campaign("first", task, seed=0, config={})
    for index in range(6):
        memory.put_action(row.id, Action(index=index, kind="expand", operator=Operator.DRAFT))
    for source in (SOURCE, RENAMED, REWRITTEN, OTHER):
        memory.put_candidate(design(source))
    return Novelty(memory, row.id, task, "T3", Board(name="first", task=task, config=CampaignConfig(task="recall")))


def board_of(novelty: Novelty) -> dict[str, int]:
    return dict(novelty._board.duplicates)


def test_the_same_text_is_recognised_in_other_words(novelty: Novelty) -> None:
    novelty.know(design(SOURCE), -1)

    owners = [novelty.twin(design(source), 0) for source in (SOURCE, RENAMED, OTHER, OTHER)]

    assert owners == [-1, -1, None, None]
    assert novelty.twin(design(OTHER), 1) == 0
    assert board_of(novelty) == {"source": 2, "code": 1}


def test_the_same_function_is_recognised_in_other_code_and_no_function_in_none(novelty: Novelty) -> None:
    portrait = Portrait(function="ab" * 32)

    assert novelty.double(design(SOURCE), 0, portrait) is None
    assert novelty.double(design(REWRITTEN), 1, portrait) == 0
    assert novelty.double(design(OTHER), 2, Portrait()) is None
    assert board_of(novelty) == {"function": 1}


def test_what_hardly_differs_is_accepted_and_counted_unless_only_its_recipe_was_to_change(novelty: Novelty) -> None:
    tuned = design(SOURCE + "\nRECIPE = {'lr': 0.004}\n")
    novelty._memory.put_candidate(tuned)

    for index, (candidate, operator) in enumerate(
        ((design(SOURCE), Operator.DRAFT), (tuned, Operator.TUNE), (design(OTHER), Operator.REFINE))
    ):
        novelty.accept(candidate, index, operator)
    assert board_of(novelty) == {}

    novelty.accept(design(RENAMED), 3, Operator.REFINE)
    assert board_of(novelty) == {"near": 1}


def test_what_was_known_is_known_again_after_an_interruption(novelty: Novelty, task: TaskSpec) -> None:
    novelty._memory.put_portrait(design(SOURCE).id, task.id, Portrait(function="ab" * 32), "T3")
    novelty.know(design(SOURCE), 4)

    assert novelty.double(design(REWRITTEN), 5, Portrait(function="ab" * 32)) == 4


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_campaign_trains_a_design_once_and_says_what_it_recognised(
    tmp_path: Path,
    campaign_file: Callable[..., Path],
    chat: ModuleType,
    chat_server: Callable[..., Any],
    netwright: Any,
) -> None:
    def answer(body: dict[str, Any]) -> Any:
        if body["messages"][-1]["content"] == "Say yes.":
            return "yes"
        if "You are the critic" in body["messages"][-1]["content"]:
            return '```json\n{"changed": "c", "words": "w", "lesson": null}\n```'
        return chat.plan_reply("A mean", script.pop(0) if script else OTHER)

    server = chat_server(default=answer)
    more = f'[llm]\nurl = "{server.url}"\nmodel = "scripted"\n'
    home = tmp_path / "home"

    script = [SOURCE, SOURCE, RENAMED, REWRITTEN]
    small = {"baselines": ["linear_attention"], "top": "workers = 1", "more": more}
    row, board = run_campaign(home, load_config(campaign_file(trials=2, **small), {}))
    script = [OTHER]
    again, _ = run_campaign(home, load_config(campaign_file(trials=1, **small), {"name": "again"}))

    with Memory.open(home, create=False) as memory:
        kinds, recalled = memory.duplicates(row.id), memory.duplicates(again.id)
        trained = {trial.candidate_id for trial in memory.trials(row.task.id)}
        assert memory.structures(row.task.id, STRUCTURE_VERSION, design(OTHER).id)
    assert (kinds["source"] >= 1, kinds["code"], kinds["function"]) == (True, 1, 1)
    assert board.duplicates == kinds and recalled["remembered"] == 1
    assert len(trained & {design(each).id for each in (SOURCE, RENAMED, REWRITTEN)}) == 1
    shown = netwright("status", "small", "--home", home).stdout
    assert "1 proposed again in other words, 1 proposed again in other code" in " ".join(shown.split())

"""What planners are told from the knowledge base; an action that is asked again is told the same."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from netwright.campaign.library import CARDS_SHOWN, Library
from netwright.evaluator.tasks import load_task
from netwright.memory.cards import put_cards
from netwright.memory.store import Memory
from netwright.prompts.cards import CardFile, parsed
from netwright.types import Action, Context, Operator

SHIPPED = (files("netwright.prompts") / "knowledge" / "copy-path.md").read_text(encoding="utf-8")
TITLE = "Zebra memory"
ZEBRA = SHIPPED.replace("Copy path (pointer)", TITLE).replace(
    "copying is poor although recall is good", "associative recall: remember key-value pairs, answer for keys"
)
GOOD = '''"""Causal moving average behind a gate."""
import torch
from torch import nn
from torch.nn import functional as F


class Mixer(nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.gate, self.value = nn.Linear(dim, dim), nn.Linear(dim, dim)
        self.weight = nn.Parameter(torch.full((dim, 1, {width}), 0.1))

    def forward(self, x):
        value = F.pad(self.value(x).transpose(1, 2), ({width} - 1, 0))
        return torch.sigmoid(self.gate(x)) * F.conv1d(value, self.weight, groups=x.shape[-1]).transpose(1, 2)
'''


def context() -> Context:
    return Context(task=load_task("recall").spec, operator=Operator.REFINE, seed=1)


def action(cards: int) -> Action:
    return Action(index=0, kind="expand", operator=Operator.REFINE, cards=cards)


def test_an_action_is_told_the_cards_that_were_there_when_it_was_asked_for(tmp_path: Path) -> None:
    with Memory.open(tmp_path) as memory:
        library = Library(memory)
        then = library.latest
        told = library.informed(context(), action(then)).knowledge
        put_cards(memory, [CardFile("zebra.md", ZEBRA, parsed(ZEBRA, "zebra.md"))])

        later = Library(memory)

        assert len(told) == CARDS_SHOWN and not any(TITLE in text for text in told)
        assert library.informed(context(), action(then)).knowledge == told
        assert later.informed(context(), action(then)).knowledge == told
        assert TITLE in later.informed(context(), action(later.latest)).knowledge[0]


class Model:
    """Answers planners; when it is first asked for a comment, calls `on_comment` and keeps silent for ever."""

    def __init__(self, chat: ModuleType) -> None:
        self._chat = chat
        self.prompts: list[str] = []
        self.on_comment: Callable[[], None] | None = None

    def __call__(self, body: dict[str, Any]) -> Any:
        last = body["messages"][-1]["content"]
        if last == "Say yes.":
            return "yes"
        if "You are the critic" in last:
            if self.on_comment is not None:
                self.on_comment()
                return self._chat.stall(60.0)
            return json.dumps({"changed": "the width", "words": "It forgets.", "lesson": None})
        self.prompts.append(last)
        return self._chat.plan_reply(f"Average {len(self.prompts)}", GOOD.format(width=20 + len(self.prompts)))


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_cards_imported_while_a_campaign_runs_change_no_prompt_that_was_asked_before(
    tmp_path: Path,
    campaign_file: Callable[..., Path],
    chat: ModuleType,
    chat_server: Callable[..., Any],
    start: Callable[..., subprocess.Popen[bytes]],
    netwright: Any,
) -> None:
    model, home, commented = Model(chat), tmp_path / "home", threading.Event()
    model.on_comment = commented.set
    server = chat_server(default=model)
    more = f'[llm]\nurl = "{server.url}"\nmodel = "scripted"\n'
    path = campaign_file(trials=4, baselines=["gated_convolution"], top="workers = 1", more=more)
    child = start("run", path, "--home", home)
    assert commented.wait(90)
    child.send_signal(signal.SIGKILL)
    child.wait()
    asked = list(model.prompts)
    (tmp_path / "zebra.md").write_text(ZEBRA)

    assert netwright("memory", "import", tmp_path / "zebra.md", "--home", home).returncode == 0
    model.on_comment = None
    done = netwright("resume", "small", "--home", home, timeout=300)

    assert done.returncode == 0, done.stderr
    told_later = model.prompts[len(asked) :]
    assert asked and not any(TITLE in prompt for prompt in asked)
    assert any(TITLE in prompt for prompt in told_later)
    with Memory.open(home, create=False, read_only=True) as memory:
        actions = [record.action for record in memory.actions(memory.campaign("small").id)]
    expanded = [known.cards for known in actions if known.kind == "expand"]
    assert expanded[: len(asked)] == [0] * len(asked) and expanded[-1] == 1
    assert len(model.prompts) == len(expanded), "an action was asked twice, in other words"

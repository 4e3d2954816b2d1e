"""No key and no header's value gets into a prompt, a log, a profile or the memory, whoever tells it back."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from netwright.memory.store import Memory

KEY, TEAM = "sk-very-secret-4711", "team-token-0815"
SOURCE = '''"""Causal moving average. {told}"""

import torch
from torch import nn
from torch.nn import functional as F

TOLD = "{told}"


class Mixer(nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.gate, self.value = nn.Linear(dim, dim), nn.Linear(dim, dim)
        self.weight = nn.Parameter(torch.full((dim, 1, {width}), 0.1))

    def forward(self, x):
        value = F.pad(self.value(x).transpose(1, 2), ({width} - 1, 0))
        return torch.sigmoid(self.gate(x)) * F.conv1d(value, self.weight, groups=x.shape[-1]).transpose(1, 2)
'''


class Tattler:
    """Tells every secret that it was sent, in errors, plans, files and comments."""

    def __init__(self, chat: ModuleType) -> None:
        self._chat = chat
        self._asked = 0

    def __call__(self, body: dict[str, Any]) -> Any:
        self._asked += 1
        told = f"Bearer {KEY}, X-Team: {TEAM}"
        if body["messages"][-1]["content"] == "Say yes.":
            return f"yes, {told}"
        if self._asked % 4 == 2:
            return self._chat.http_error((500, 429)[self._asked % 8 == 2], f"who is {told}?")
        if body.get("response_format") and "changed" in json.dumps(body["response_format"]):
            return json.dumps({"changed": told, "words": told, "lesson": told})
        source = SOURCE.format(told=told, width=3 + self._asked)
        return self._chat.plan_reply(f"Average {self._asked} {told}", source, changes=told)


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_server_that_tells_secrets_back_gets_them_nowhere(
    tmp_path: Path,
    campaign_file: Callable[..., Path],
    chat: ModuleType,
    chat_server: Callable[..., Any],
    netwright: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server, home = chat_server(default=Tattler(chat)), tmp_path / "home"
    monkeypatch.setenv("NETWRIGHT_API_KEY", KEY)
    monkeypatch.setenv("TEAM_TOKEN", TEAM)
    llm = f'[llm]\nurl = "{server.url}"\nmodel = "scripted"\nheaders = {{ "X-Team" = "TEAM_TOKEN" }}\n'
    path = campaign_file(trials=3, baselines=["gated_convolution"], more=llm)

    done = netwright("run", path, "--home", home, timeout=200)
    shown = netwright("report", "small", "--home", home)

    assert done.returncode == 0 and shown.returncode == 0, done.stderr + shown.stderr
    with Memory.open(home, create=False, read_only=True) as memory:
        calls = memory.llm_calls(memory.campaign("small").id)
    assert any("***" in (call.reply or "") for call in calls) and any("***" in call.error for call in calls)
    assert {KEY in headers["authorization"] and headers["x-team"] == TEAM for headers in server.headers} == {True}
    written = [file.read_bytes() for file in home.rglob("*") if file.is_file()]
    said = [json.dumps(server.requests), done.stdout, done.stderr, shown.stdout, shown.stderr]
    for secret in (KEY, TEAM):
        assert not any(secret in text for text in said)
        assert not any(secret.encode() in text for text in written)

"""A model that writes designs well: it plans, codes, mends and comments as it is asked, one design after another.

    author = Author(average)
    with ChatServer(default=lambda body: author(body)) as server: ...

The same question gets the same designs, as whoever asks again after a fault expects. Design `n` is the file
`source_of(n)`; those of which `flawed(n)` is true come with a flaw first, and without it when they are to be mended.
"""

from __future__ import annotations

import itertools
import json
import re
import threading
from collections.abc import Callable
from typing import Any

JsonDict = dict[str, Any]

AVERAGE = '''"""Causal moving average over {width} steps, behind a gate: design {number}.

A gate lets each channel choose how much of its recent past it keeps.
"""

import torch
from torch import nn
from torch.nn import functional as F


class Mixer(nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.gate = nn.Linear(dim, dim)
        self.value = nn.Linear(dim, dim)
        self.weight = nn.Parameter(torch.full((dim, 1, {width}), 1.0 / {width}))

    def forward(self, x):
        value = F.pad(self.value(x).transpose(1, 2), ({width} - 1, 0))
        mixed = F.conv1d(value, self.weight, groups=x.shape[-1]).transpose(1, 2)
        return torch.sigmoid(self.gate(x)) * mixed
'''


def average(number: int) -> str:
    """A design that passes the gates of sequence tasks and is trained fast; no two are alike."""
    return AVERAGE.format(width=3 + number, number=number)


def looking_ahead(source: str) -> str:
    """The same design with a flaw that the gates find."""
    return source.replace(" - 1, 0))", " - 2, 1))")


def role_of(body: JsonDict) -> str:
    """Who asks: planner, coder, repairer, librarian, or the critic (for an opinion or for a comment)."""
    text = said(body)
    if "You are the librarian" in text:
        return "librarian"
    if "You are the critic" in text:
        return "opinion" if "# Plans for the next design" in text else "comment"
    if "# Your step now: mend" in text:
        return "repairer"
    return "coder" if "# Your step now: write the file" in text else "planner"


def said(body: JsonDict) -> str:
    return "\n".join(message["content"] for message in body["messages"])


def fenced_file(source: str) -> str:
    return f"```python\n{source.rstrip()}\n```\n"


class Author:
    """See the module."""

    def __init__(
        self,
        source_of: Callable[[int], str],
        *,
        flawed: Callable[[int], bool] = lambda number: False,
        flaw: Callable[[str], str] = looking_ahead,
    ) -> None:
        self._source_of = source_of
        self._flawed = flawed
        self._flaw = flaw
        self._numbers = itertools.count()
        self._planned: dict[str, list[int]] = {}
        self._lock = threading.Lock()

    def __call__(self, body: JsonDict) -> str:
        role = role_of(body)
        if role == "librarian":
            return '```json\n{"evidence": [], "new": [], "merge": [], "retire": []}\n```'
        if role == "comment":
            words = {"changed": "the width", "words": "The gate forgets.", "lesson": "Averaging is not enough."}
            return f"```json\n{json.dumps(words)}\n```"
        if role == "opinion":
            plans = re.findall(r"^(\d+)\. Design ", said(body), re.MULTILINE)
            opinions = [{"plan": int(plan), "score": 9 - int(plan), "why": "By order."} for plan in plans]
            return f"```json\n{json.dumps({'opinions': opinions})}\n```"
        if role == "planner":
            return self._plans(body)
        number = int(re.findall(r"Design (\d+)", said(body).partition("# Your step now")[2])[0])
        source = self._source_of(number)
        return fenced_file(self._flaw(source) if role == "coder" and self._flawed(number) else source)

    def _plans(self, body: JsonDict) -> str:
        asked = re.search(r"Give (one|\d+) plan", said(body))
        count = int(asked[1]) if asked and asked[1].isdigit() else 1
        numbers = self._numbers_for(body, count)
        plans = [
            {
                "title": f"Design {number}",
                "hypothesis": f"A width of its own ({number}) helps.",
                "changes": f"the width, as design {number} has it",
                "expected_effect": "a lower loss",
            }
            for number in numbers
        ]
        return f"```json\n{json.dumps({'plans': plans})}\n```"

    def _numbers_for(self, body: JsonDict, count: int) -> list[int]:
        """The designs planned for this question, or for the one that it goes on from."""
        question = next(message["content"] for message in body["messages"] if message["role"] == "user")
        with self._lock:
            known = next((asked for asked in self._planned if question.startswith(asked)), question)
            if known not in self._planned:
                self._planned[known] = [next(self._numbers) for _ in range(count)]
            return self._planned[known]

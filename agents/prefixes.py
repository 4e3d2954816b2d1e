"""How much of what a model is asked it was asked before, so that a server that keeps what it has read reads less. Pure.

A server keeps whole conversations, prompts and answers, and takes from them the longest beginning that a new prompt
shares, in whole blocks. So does this count, which knows nothing of how much a server can keep: it is what the order of
prompts allows. Source: Kwon et al. 2023 (PagedAttention), as in vLLM's automatic prefix caching, whose blocks are 16
tokens long.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from itertools import takewhile
from typing import NamedTuple

from netwright.types import LlmCall

BLOCK_BYTES = 64
"""About 16 tokens."""


class Reuse(NamedTuple):
    """Tokens of prompts, and how many of them earlier conversations with the same model began with."""

    prompt_tokens: int
    prefix_tokens: int

    @property
    def share(self) -> float | None:
        return self.prefix_tokens / self.prompt_tokens if self.prompt_tokens else None


class PrefixMeter:
    """Measures each call against the conversations that went before it, with the same model."""

    def __init__(self) -> None:
        self._seen: set[bytes] = set()

    def measure(self, call: LlmCall) -> int | None:
        """Return how many of the call's prompt tokens were said before; its conversation is known from then on.

        None where there was no answer, as nobody knows what a failed call was read of.
        """
        if call.reply is None or call.prompt_tokens is None:
            return None
        prompt = _spoken(call.messages)
        blocks = list(_blocks(call.model, prompt + _said("assistant", call.reply)))
        of_prompt = len(prompt) // BLOCK_BYTES
        known = sum(1 for _ in takewhile(self._seen.__contains__, blocks[:of_prompt]))
        self._seen.update(blocks)
        return round(known * BLOCK_BYTES / max(len(prompt), 1) * call.prompt_tokens)


def reuse(calls: Iterable[LlmCall]) -> Reuse:
    """Sum up the calls of a campaign, in the order in which they were answered."""
    meter, read, known = PrefixMeter(), 0, 0
    for call in calls:
        prefix = meter.measure(call)
        if prefix is not None:
            read, known = read + (call.prompt_tokens or 0), known + prefix
    return Reuse(read, known)


def _spoken(messages: Iterable[Mapping[str, str]]) -> bytes:
    return b"".join(_said(message["role"], message["content"]) for message in messages)


def _said(role: str, content: str) -> bytes:
    return f"\n<{role}>\n{content}".encode(errors="replace")


def _blocks(model: str, text: bytes) -> Iterator[bytes]:
    """A hash for every whole block: of it and of all before it."""
    chain = hashlib.blake2b(model.encode(errors="replace"), digest_size=8)
    for start in range(0, len(text) - BLOCK_BYTES + 1, BLOCK_BYTES):
        chain.update(text[start : start + BLOCK_BYTES])
        yield chain.digest()

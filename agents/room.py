"""How a model's context is shared between what it is told and what it answers. Pure.

A context is measured in tokens, prompts are written in characters: cautiously many tokens are taken for them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from netwright.agents.chat import CAUTIOUS_CHARACTERS_PER_TOKEN

LEAST_CONTEXT = 8_192
"""Tokens of context without which a campaign's shortest prompts and answers do not fit."""
WANTED_CONTEXT = 18_000
"""Tokens for a whole prompt (about 12,000) and the longest answer (6,000). Unmeasured, a context is taken to be so."""
LEAST_ANSWER = 2_000
"""Tokens of an answer in which a plan and a short file have room."""
_ANSWER_SHARE = 3
_CAMPAIGN_SHARE = 0.4
_CAMPAIGN_MOST, _TOLD_MOST = 24_000, 60_000
"""Characters; a larger context is not filled for its own sake: what is told has to be read and paid for."""


@dataclass(frozen=True)
class Room:
    """Characters for one question: all of it, and what of that is for the beginning that all questions share."""

    campaign: int
    question: int

    def beside(self, *texts: str) -> Room:
        """The room that is left beside what the question holds anyway."""
        return replace(self, question=self.question - sum(map(len, texts)))

    def half(self) -> Room:
        """Half of it, for a context that proved smaller than was thought."""
        return Room(self.campaign // 2, self.question // 2)


def answer_room(context_tokens: int, max_tokens: int) -> int:
    """How many tokens an answer may have: what is wanted, but no more than a third of a small context."""
    return min(max_tokens, max(LEAST_ANSWER, context_tokens // _ANSWER_SHARE))


def question_room(context_tokens: int, max_tokens: int, system_characters: int) -> Room:
    """What is left for a question beside the answer and the system message.

    The campaign's part depends on the context alone, so that roles with longer and shorter answers begin alike.
    """
    told = (context_tokens - answer_room(context_tokens, max_tokens)) * CAUTIOUS_CHARACTERS_PER_TOKEN
    smallest = context_tokens * (1 - 1 / _ANSWER_SHARE) * CAUTIOUS_CHARACTERS_PER_TOKEN - system_characters
    return Room(
        campaign=int(max(0.0, min(_CAMPAIGN_SHARE * smallest, _CAMPAIGN_MOST))),
        question=int(max(0.0, min(told - system_characters, _TOLD_MOST))),
    )

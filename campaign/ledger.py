"""The book of LLM calls, kept in the memory."""

from __future__ import annotations

from netwright.campaign.board import Board
from netwright.memory.store import Memory
from netwright.types import LlmCall


class MemoryLedger:
    """Finds and records LLM calls of one campaign, and shows their tokens on the board."""

    def __init__(self, memory: Memory, campaign_id: int, board: Board) -> None:
        self._memory = memory
        self._campaign_id = campaign_id
        self._board = board

    def find(self, key: str) -> LlmCall | None:
        return self._memory.find_llm_call(key)

    def record(self, call: LlmCall) -> None:
        self._memory.put_llm_call(self._campaign_id, call)
        self._board.prompt_tokens += call.prompt_tokens or 0
        self._board.completion_tokens += call.completion_tokens or 0

"""The book of LLM calls, kept in the memory."""

from __future__ import annotations

from netwright.campaign.purse import CampaignPurse
from netwright.memory.store import Memory
from netwright.types import LlmCall


class MemoryLedger:
    """Finds and records LLM calls of one campaign, and has them paid from its purse."""

    def __init__(self, memory: Memory, campaign_id: int, purse: CampaignPurse) -> None:
        self._memory = memory
        self._campaign_id = campaign_id
        self._purse = purse

    def find(self, key: str) -> LlmCall | None:
        return self._memory.find_llm_call(key)

    def record(self, call: LlmCall) -> None:
        self._memory.put_llm_call(self._campaign_id, call)
        self._purse.pay(call)

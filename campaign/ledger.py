"""The book of LLM calls, kept in the memory."""

from __future__ import annotations

from netwright.agents.prefixes import PrefixMeter
from netwright.campaign.purse import CampaignPurse
from netwright.memory.store import Memory
from netwright.types import LlmCall


class MemoryLedger:
    """Finds and records LLM calls of one campaign, measures how much was said before, and has them paid.

    What another campaign has paid for costs nothing, and is kept as replayed. A campaign that goes on measures against
    what its earlier sessions said.
    """

    def __init__(self, memory: Memory, campaign_id: int, purse: CampaignPurse) -> None:
        self._memory = memory
        self._campaign_id = campaign_id
        self._purse = purse
        self._meter = PrefixMeter()
        for call in memory.llm_calls(campaign_id, replayed=0):
            self._meter.measure(call)

    def find(self, key: str) -> LlmCall | None:
        call = self._memory.find_llm_call(key, self._campaign_id)
        if call is not None:
            self._memory.put_replayed_call(self._campaign_id, call)
        return call

    def record(self, call: LlmCall) -> None:
        call = call.model_copy(update={"prefix_tokens": self._meter.measure(call)})
        self._memory.put_llm_call(self._campaign_id, call)
        self._purse.pay(call)

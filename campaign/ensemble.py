"""Several models for the roles that write: who is drawn for which design, and how each has done.

The model is drawn when the search asks for a design, and logged with the action. What it was worth and what its calls
took is read when the search is told the result: whoever resumes the campaign tells the same in the same order, and so
draws the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from netwright.agents.base import Correspondent, Ledger
from netwright.agents.chat import ChatRequest, Reply
from netwright.campaign.board import Board
from netwright.errors import ConfigError
from netwright.evaluator.selection import claims_over
from netwright.llm_config import LlmConfig, RoleConfig
from netwright.memory.model_use import model_use
from netwright.memory.records import ExperimentRecord
from netwright.memory.store import Memory
from netwright.search.models import ModelBandit, reward
from netwright.types import Action


class Drawn:
    """Asks whichever model was drawn for a request, as `Correspondent` does; `models` are by name, as configured."""

    def __init__(self, endpoints: Mapping[str, Correspondent], models: Mapping[str, RoleConfig]) -> None:
        self._endpoints = endpoints
        self._models = models

    async def chat(self, request: ChatRequest, ledger: Ledger) -> Reply:
        """See `Correspondent`.

        Raises: ConfigError when the model that was drawn before an interruption is not configured any more.
        """
        if request.model not in self._endpoints:
            raise ConfigError(
                f"llm.models: model {request.model!r} was drawn for action {request.action} before the campaign was "
                f"interrupted, and is not there now ({', '.join(self._endpoints)}): put it back"
            )
        own = self._models[request.model]
        most = request.max_tokens if own.max_tokens is None else min(request.max_tokens, own.max_tokens)
        temperature = request.temperature if own.temperature is None else own.temperature
        asked = replace(request, max_tokens=most, temperature=temperature)
        return await self._endpoints[request.model].chat(asked, ledger)


class Ensemble:
    """Draws a model for each design of a campaign, and learns from what became of it."""

    def __init__(self, llm: LlmConfig, seed: int, memory: Memory, campaign_id: int, board: Board) -> None:
        self._llm = llm
        self._memory = memory
        self._campaign_id = campaign_id
        self._board = board
        self._bandit = ModelBandit([each.model for each in llm.models], seed=seed)

    def drawn(self, action: Action) -> Action:
        """The action with the model that is to make its design."""
        assert action.operator is not None
        return action.model_copy(update={"model": self._bandit.choose(action.index, action.operator)})

    def learn(self, record: ExperimentRecord) -> None:
        """Take in what came of an action, if a model was drawn for it and the grammar did not take its place."""
        action = record.action
        if action is None or not action.model or action.operator is None:
            return
        if record.candidate_id is not None and self._memory.candidate(record.candidate_id).genotype:
            return
        worth = 0.0 if record.failure else reward(record.verdict)
        self._bandit.tell(action.model, action.operator, worth, self._cost(action))
        better = claims_over(self._memory.verdicts(self._campaign_id)).better
        self._board.models = model_use(self._memory, self._campaign_id, better)

    def _cost(self, action: Action) -> float:
        """What the design took of whoever was drawn for it: money where every model has a price, else tokens."""
        asked = [
            each
            for each in self._memory.llm_totals(self._campaign_id, action.index).asked
            if self._llm.draws(each.role) and each.model == action.model
        ]
        if all(each.price_prompt is not None for each in self._llm.drawn().values()):
            return self._llm.cost_of(asked) or 0.0
        return float(sum(each.prompt_tokens + each.completion_tokens for each in asked))

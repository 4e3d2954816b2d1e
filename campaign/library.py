"""The knowledge base as a planner sees it: the cards that fit its step, as they stood when the step was asked for.

Cards may be imported while a campaign runs. An action that was logged before says which card was the last then
(`Action.cards`), so that a planner who is asked again is shown the same, and its answer is found in the ledger.
"""

from __future__ import annotations

from netwright.agents.symptoms import symptoms
from netwright.memory.cards import CardIndex, latest_card, own_cards
from netwright.memory.store import Memory
from netwright.prompts.cards import shipped_cards
from netwright.types import Action, Context

CARDS_SHOWN = 3


class Library:
    """Shipped cards and the user's, read when the first planner asks."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._indexes: dict[int, CardIndex] = {}

    @property
    def latest(self) -> int:
        """The number of the last card that is there now."""
        return latest_card(self._memory)

    def informed(self, context: Context, action: Action) -> Context:
        """The context with the cards that fit it best."""
        index = self._indexes.get(action.cards)
        if index is None:
            index = CardIndex([*shipped_cards(), *own_cards(self._memory, action.cards)])
            self._indexes[action.cards] = index
        cards = index.search(symptoms(context), limit=CARDS_SHOWN, scope=context.task.scope)
        return context.model_copy(update={"knowledge": tuple(card.text() for card in cards)})

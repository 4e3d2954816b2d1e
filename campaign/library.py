"""What models are told beside the chronicle: cards that fit a planner's step, and what is like a design in question.

Cards may be imported while a campaign runs. An action that was logged before says which card was the last then
(`Action.cards`), so that a planner who is asked again is shown the same, and its answer is found in the ledger.
"""

from __future__ import annotations

from netwright.agents.symptoms import symptoms
from netwright.campaign.neighbours import Neighbours
from netwright.memory.cards import CardIndex, latest_card, own_cards
from netwright.memory.store import Memory
from netwright.prompts.cards import shipped_cards
from netwright.types import Action, Candidate, Context

CARDS_SHOWN = 3


class Library:
    """Shipped cards and the user's, read when the first planner asks."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._indexes: dict[int, CardIndex] = {}
        self._neighbours = Neighbours(memory)

    @property
    def latest(self) -> int:
        """The number of the last card that is there now."""
        return latest_card(self._memory)

    def informed(self, context: Context, action: Action) -> Context:
        """The context of a planner, with the cards that fit it best and what is like its parent, or its draft."""
        index = self._indexes.get(action.cards)
        if index is None:
            index = CardIndex([*shipped_cards(), *own_cards(self._memory, action.cards)])
            self._indexes[action.cards] = index
        cards = index.search(symptoms(context), limit=CARDS_SHOWN, scope=context.task.scope)
        nearest = self._neighbours.of(context)
        return context.model_copy(update={"knowledge": tuple(card.text() for card in cards), "nearest": nearest})

    def compared(self, context: Context, candidate: Candidate) -> Context:
        """The context of a critic, with the designs that are most like the one it judges."""
        return context.model_copy(update={"nearest": self._neighbours.of(context, candidate)})

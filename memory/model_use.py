"""What each model was asked in a campaign, and what came of the designs that it was drawn for."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from netwright.memory.records import Asked
from netwright.memory.store import Memory


@dataclass(frozen=True, kw_only=True)
class ModelUse:
    """One model: the calls to it by role, and of the designs that it was drawn for how many were trained and better.

    What the grammar made in its place does not count. Better than its rival, the parent or the best baseline, as far
    as that may be said of each.
    """

    model: str
    asked: tuple[Asked, ...]
    designs: int
    trained: int
    better: int

    @property
    def calls(self) -> int:
        return sum(each.calls for each in self.asked)

    @property
    def prompt_tokens(self) -> int:
        return sum(each.prompt_tokens for each in self.asked)

    @property
    def completion_tokens(self) -> int:
        return sum(each.completion_tokens for each in self.asked)


def model_use(memory: Memory, campaign_id: int, better: Collection[int]) -> list[ModelUse]:
    """Every model that was asked or drawn in a campaign, by name; `better` are the nodes of which that may be said."""
    found = memory.connection.rows(
        "SELECT json_extract(a.body, '$.model') AS model, a.node, EXISTS (SELECT 1 FROM scores s "
        "WHERE s.campaign_id = a.campaign_id AND s.node = a.node) AS trained FROM actions a "
        "LEFT JOIN candidates c ON c.id = a.candidate_id "
        "WHERE a.campaign_id = ? AND a.kind = 'expand' AND a.state = 'done' AND c.genotype IS NULL",
        (campaign_id,),
    )
    designs = [row for row in found if row["model"]]
    asked = memory.llm_totals(campaign_id).asked
    return [
        ModelUse(
            model=model,
            asked=tuple(each for each in asked if each.model == model),
            designs=sum(row["model"] == model for row in designs),
            trained=sum(row["model"] == model and row["trained"] for row in designs),
            better=sum(row["model"] == model and row["node"] in better for row in designs),
        )
        for model in sorted({each.model for each in asked} | {row["model"] for row in designs})
    ]

"""How the models of a campaign are shown, where one of several is drawn for each design."""

from __future__ import annotations

from typing import NamedTuple

from netwright.cli.output import out, table
from netwright.evaluator.selection import Claims
from netwright.llm_config import LlmConfig, money
from netwright.memory.model_use import ModelUse, model_use
from netwright.memory.records import Campaign
from netwright.memory.store import Memory
from netwright.types import JsonDict

MODEL_COLUMNS = ("model~", "calls>", "read>", "written>", "cost>", "designs>", "trained>", "better>")


class DrawnModels(NamedTuple):
    """The models of a campaign and what they cost by its prices; none where nothing is drawn."""

    models: list[ModelUse]
    llm: LlmConfig


def drawn_models(memory: Memory, row: Campaign, claims: Claims) -> DrawnModels:
    """What the memory has of the models that a campaign draws from; better is what `claims` hold."""
    llm = LlmConfig.model_validate(row.config.get("llm") or {})
    return DrawnModels(model_use(memory, row.id, claims.better) if llm.models else [], llm)


def print_models(used: DrawnModels) -> None:
    """A table of the models, if there are any to draw from."""
    if used.models:
        out.print(table(MODEL_COLUMNS, [model_cells(each, used.llm) for each in used.models]))


def model_cells(use: ModelUse, llm: LlmConfig) -> list[str]:
    """A row of the table of models, with what its calls cost where it has a price."""
    cost = llm.cost_of(use.asked)
    counts = (use.calls, use.prompt_tokens, use.completion_tokens)
    designs = (use.designs, use.trained, use.better)
    return [use.model, *map("{:,}".format, counts), "" if cost is None else money(cost), *map("{:,}".format, designs)]


def model_json(use: ModelUse, llm: LlmConfig) -> JsonDict:
    """The same as a JSON document."""
    return {
        "model": use.model,
        "calls": use.calls,
        "prompt_tokens": use.prompt_tokens,
        "completion_tokens": use.completion_tokens,
        "cost": llm.cost_of(use.asked),
        "designs": use.designs,
        "trained": use.trained,
        "better": use.better,
    }

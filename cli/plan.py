"""What `run --dry-run` prints: what a campaign would do, and, with models, about what that would cost."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from rich.text import Text

from netwright.campaign.estimate import Estimate, Expected
from netwright.cli.output import duration, out, print_json, say, table
from netwright.config import CampaignConfig
from netwright.llm_config import LlmConfig, money
from netwright.types import PROTOCOL_NAMES, JsonDict, TaskSpec

COLUMNS = ("role", "model", "calls>", "read>", "written>", "cost>", "as in~")


def _planner(llm: LlmConfig) -> str:
    if llm.url is None:
        return "grammar"
    if llm.models:
        return f"one of {', '.join(llm.drawn())}, drawn for each design"
    return f"{llm.url}, served for it" if llm.url in llm.served else f"{llm.model or 'the only model'} at {llm.url}"


def plan_of(home: Path, config: CampaignConfig, spec: TaskSpec) -> JsonDict:
    """What a campaign would do, as a JSON document."""
    return {
        "campaign": config.campaign_name,
        "home": str(home),
        "task": spec.id,
        "planner": _planner(config.llm),
        "policy": config.search.policy,
        "seed": config.seed,
        "workers": config.workers,
        "trained_candidates": config.budget.trials,
        "minutes_at_most": config.budget.minutes,
        **{f"{name}_at_most": cap for name, cap in config.budget.caps.items()},
        "trains_on": f"{spec.device}, in {spec.precision}",
        "tokens_per_trial": [rung.tokens for rung in spec.rungs],
        **({"budgets": PROTOCOL_NAMES[spec.protocol]} if spec.protocol != "tokens" else {}),
        "parameters": spec.parameters,
        "sandbox": config.sandbox.kind
        if config.sandbox.kind == "process"
        else f"{config.sandbox.kind}, {config.sandbox.image}",
        **({"review": "a person decides before each new design is trained"} if config.review else {}),
        "isolation": config.sandbox.tier or "the best that can be had",
    }


def forecast_of(home: Path, config: CampaignConfig, spec: TaskSpec) -> Estimate | None:
    """About what a campaign with models would cost; None for the grammar, which costs nothing."""
    if config.llm.url is None:
        return None
    from netwright.campaign.forecast import forecast

    return forecast(home, config, spec)


def print_plan(plan: JsonDict, expected: Estimate | None, *, json: bool) -> None:
    """The plan, the estimate, and that nothing was done."""
    if json:
        print_json({**plan, "models": None if expected is None else _as_json(expected)})
        return
    out.print(table(("", "~"), [(name.replace("_", " "), value) for name, value in plan.items()]))
    if expected is not None:
        _print_estimate(expected, plan["trained_candidates"])
    out.print("nothing was run, and nobody asked; leave --dry-run out to begin")


def _as_json(expected: Estimate) -> JsonDict:
    roles = [{**asdict(each), "calls_like": asdict(each.calls_like), "basis": _basis(each)} for each in expected.roles]
    names = ("calls", "prompt_tokens", "completion_tokens", "cost", "answer_seconds", "training_seconds")
    totals = {name: getattr(expected, name) for name in names}
    return {"roles": roles, **totals, "wall_seconds": expected.wall_seconds, "ends_by": expected.first} | {
        "candidates_by_then": expected.candidates
    }


def _basis(each: Expected) -> str:
    known = each.calls_like
    if not known.like:
        return "a rehearsal: one repair for each candidate, prompts and answers as long as they may be"
    return f"{known.like:,} calls of earlier campaigns on {'this task' if known.same_task else 'other tasks'}"


def _print_estimate(expected: Estimate, trials: int) -> None:
    out.print("")
    out.print(table(COLUMNS, [_cells(each) for each in expected.roles], title="about what its models would cost"))
    cost = "" if expected.cost is None else f", cost {money(expected.cost)}"
    say(
        f"in all {expected.calls:,} calls, {expected.prompt_tokens:,} tokens read, "
        f"{expected.completion_tokens:,} written{cost}; {_times(expected)}"
    )
    say(Text(_end(expected, trials), style="bold"))


def _cells(each: Expected) -> list[object]:
    cost = None if each.cost is None else money(each.cost)
    return [
        each.calls_like.role,
        each.calls_like.model,
        f"{each.calls:,}",
        f"{each.prompt_tokens:,}",
        f"{each.completion_tokens:,}",
        cost,
        _basis(each),
    ]


def _times(expected: Estimate) -> str:
    answers, trainings = expected.answer_seconds, expected.training_seconds
    told = duration(answers) if answers is not None else "a time that `netwright endpoint check` would tell"
    trained = duration(trainings) if trainings is not None else "a time that no earlier campaign on this task tells"
    return f"answers take {told}, trainings beside them {trained}"


def _end(expected: Estimate, trials: int) -> str:
    if expected.first == "trials":
        unknown = None in (expected.answer_seconds, expected.training_seconds)
        known = ", as far as times are known" if unknown else ""
        return f"no bound is expected to end it before {trials:,} candidates are trained{known}"
    return f"{expected.first} ends it first, after about {expected.candidates:,} of {trials:,} candidates"

"""What a campaign with models may be expected to cost, before anybody is asked."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from netwright.agents.profile import Profile, ProfileStore
from netwright.campaign.estimate import Calls, Estimate, estimate
from netwright.campaign.forecast import forecast
from netwright.campaign.roles import PROFILES
from netwright.cli.app import run
from netwright.config import CampaignConfig
from netwright.evaluator.baselines import baseline
from netwright.evaluator.tasks import load_task
from netwright.memory.records import ExperimentRecord
from netwright.memory.store import Memory
from netwright.types import Action, LlmCall, Operator, Score, TaskSpec, Trial, TrialStatus, Usage

URL = "http://127.0.0.1:9/v1"
PLANNER = Calls("planner", "m", 1.5, 4000, 2000, 30.0, like=60)
CRITIC = Calls("critic", "m", 1.0, 1000, 500, 10.0, like=40)


def config_of(llm: dict[str, Any] | None = None, **budget: float) -> CampaignConfig:
    llm = {"url": URL, "model": "m", **(llm or {})}
    return CampaignConfig.model_validate({"task": "recall", "workers": 1, "budget": budget, "llm": llm})


def expected(config: CampaignConfig, at_once: int = 1, training_seconds: float | None = 600.0) -> Estimate:
    return estimate(config, [PLANNER, CRITIC], at_once=at_once, training_seconds=training_seconds)


# --- the arithmetic --------------------------------------------------------------------------------------------------


def test_calls_tokens_money_and_time_are_those_of_all_roles() -> None:
    llm = {"price_prompt": 1.0, "price_completion": 10.0, "critic": {"price_prompt": 0, "price_completion": 0}}

    whole = expected(config_of(llm, trials=100, minutes=1000), at_once=4)

    assert (whole.calls, whole.prompt_tokens, whole.completion_tokens) == (250, 700_000, 350_000)
    assert whole.cost == pytest.approx(0.6 + 3.0)
    assert (whole.answer_seconds, whole.wall_seconds) == (pytest.approx((150 * 30 + 100 * 10) / 4), 1375.0)
    assert (whole.first, whole.candidates) == ("trials", 100)


@pytest.mark.parametrize(
    ("budget", "first", "candidates"),
    [
        ({"llm_tokens": 525_000}, "llm_tokens", 50),
        ({"llm_calls": 25, "llm_tokens": 525_000}, "llm_calls", 10),
        ({"llm_calls": 250, "llm_tokens": 1_050_000}, "trials", 100),
        ({"minutes": 55}, "minutes", 60),
    ],
)
def test_the_bound_that_is_met_first_is_named(budget: dict[str, float], first: str, candidates: int) -> None:
    whole = expected(config_of(trials=100, **{"minutes": 1000, **budget}))

    assert (whole.first, whole.candidates) == (first, candidates)


def test_what_nobody_knows_is_not_made_up() -> None:
    silent = Calls("planner", "m", 1.0, 100, 100, None)

    whole = estimate(config_of(trials=10, minutes=5), [silent], at_once=1, training_seconds=None)

    assert (whole.cost, whole.answer_seconds, whole.wall_seconds, whole.first) == (None, None, None, "trials")


# --- where it comes from ---------------------------------------------------------------------------------------------


def remember(home: Path, spec: TaskSpec, *, trained: int, asked: int, model: str = "m") -> None:
    """A campaign that asked its planner so often for so many trained candidates."""
    with Memory.open(home) as memory:
        row = memory.start_campaign("earlier", spec, 0, CampaignConfig().model_dump(mode="json"))
        candidate = baseline("softmax_attention")
        memory.put_candidate(candidate)
        for index in range(trained):
            action = Action(index=index, kind="expand", operator=Operator.DRAFT)
            memory.put_action(row.id, action)
            record = ExperimentRecord(
                node=index,
                action=action,
                operator=Operator.DRAFT,
                candidate_id=candidate.id,
                score=Score(value=-2.0, standard_error=0.1, rung=0, seeds=1),
            )
            memory.remember(row.id, record)
        for number in range(asked):
            memory.put_llm_call(
                row.id,
                LlmCall(
                    key=str(number),
                    role="planner",
                    model=model,
                    prompt_sha256="",
                    messages=(),
                    reply="yes",
                    status="ok",
                    prompt_tokens=3000 + 100 * number,
                    completion_tokens=500,
                    seconds=20.0,
                ),
            )


def role_of(whole: Estimate, role: str) -> Calls:
    return next(each.calls_like for each in whole.roles if each.calls_like.role == role)


def test_a_role_is_taken_to_be_asked_as_it_was_in_earlier_campaigns(tmp_path: Path) -> None:
    spec = load_task("recall").spec
    remember(tmp_path, spec, trained=2, asked=5)

    whole = forecast(tmp_path, config_of(trials=10), spec)

    planner = role_of(whole, "planner")
    assert (planner.like, planner.same_task, planner.per_candidate) == (5, True, 2.5)
    assert (planner.prompt_tokens, planner.completion_tokens, planner.seconds) == (3200, 500, 20.0)
    assert role_of(whole, "critic").like == 0


def test_campaigns_on_other_tasks_count_where_there_is_none_on_this_one(tmp_path: Path) -> None:
    remember(tmp_path, load_task("recall").spec, trained=2, asked=5)

    planner = role_of(forecast(tmp_path, config_of(), load_task("parity").spec), "planner")

    assert (planner.like, planner.same_task) == (5, False)


def test_what_another_model_took_says_nothing(tmp_path: Path) -> None:
    spec = load_task("recall").spec
    remember(tmp_path, spec, trained=2, asked=5, model="other")

    assert role_of(forecast(tmp_path, config_of(), spec), "planner").like == 0


def test_without_earlier_calls_prompts_for_the_task_are_measured(tmp_path: Path) -> None:
    small = forecast(tmp_path, config_of({"max_tokens": 1000}), load_task("recall").spec)

    planner, critic = role_of(small, "planner"), role_of(small, "critic")
    # A contract, a task, a baseline's file, cards: some thousand tokens; a critic is shown less.
    assert planner.completion_tokens == 1000 and 3000 < planner.prompt_tokens < 20_000
    assert 500 < critic.prompt_tokens < planner.prompt_tokens
    assert {each.calls_like.role for each in small.roles} >= {"planner", "repairer", "critic"}
    assert not list(tmp_path.iterdir())


def test_the_speed_that_a_check_found_tells_how_long_answers_take(tmp_path: Path) -> None:
    profile = Profile(url=URL, model="m", first_token_seconds=2.0, tokens_per_second=100.0, parallel=2)
    ProfileStore(tmp_path / PROFILES).keep(profile)

    whole = forecast(tmp_path, config_of({"max_tokens": 1000}, trials=10), load_task("recall").spec)

    assert role_of(whole, "planner").seconds == pytest.approx(12.0)
    assert whole.answer_seconds == pytest.approx(sum(each.seconds or 0 for each in whole.roles) / 2)


def test_trainings_are_as_long_as_they_were(tmp_path: Path) -> None:
    spec = load_task("recall").spec
    with Memory.open(tmp_path) as memory:
        memory.put_task(spec)
        candidate = baseline("softmax_attention")
        memory.put_candidate(candidate)
        usage = Usage(wall_seconds=9.0, scoring_seconds=1.0)
        done = Trial(
            candidate_id=candidate.id,
            task_id=spec.id,
            rung=0,
            seed=0,
            status=TrialStatus.DONE,
            loss_nats=2.0,
            loss_standard_error=0.1,
            usage=usage,
        )
        memory.put_trial(None, done)

    whole = forecast(tmp_path, config_of(trials=100), spec)

    assert whole.training_seconds is not None and 1000 < whole.training_seconds < 1500


def test_models_to_draw_from_are_taken_to_be_drawn_alike(tmp_path: Path) -> None:
    spec = load_task("recall").spec
    remember(tmp_path, spec, trained=2, asked=5)

    whole = forecast(tmp_path, config_of({"models": [{"model": "m"}, {"model": "new"}]}, trials=10), spec)

    planners = {each.calls_like.model: each for each in whole.roles if each.calls_like.role == "planner"}
    assert (planners["m"].calls_like.like, planners["m"].calls) == (5, 12)  # half of 2.5 for each of 10
    assert (planners["new"].calls_like.like, planners["new"].calls) == (0, 5)
    assert [each.calls_like.model for each in whole.roles if each.calls_like.role == "critic"] == ["m"]


# --- the command -----------------------------------------------------------------------------------------------------


def test_a_dry_run_asks_nobody_and_says_what_ends_the_campaign(
    tmp_path: Path, chat_server: Callable[..., Any], capfd: pytest.CaptureFixture[str]
) -> None:
    server = chat_server(default="yes")
    home = tmp_path / "home"
    flags = ["--task", "recall", "--llm", server.url, "--model", "m", "--llm-tokens", "100000", "--home", str(home)]

    assert run(["run", "--dry-run", *flags]) == 0
    said = " ".join(capfd.readouterr().out.split())
    assert run(["run", "--dry-run", "--json", *flags]) == 0
    models = json.loads(capfd.readouterr().out)["models"]

    assert "llm_tokens ends it first, after about" in said and "of 28 candidates" in said
    assert "a rehearsal: one repair for each candidate" in said
    assert models["ends_by"] == "llm_tokens" and models["calls"] >= 28 * len(models["roles"])
    assert server.requests == [] and not home.exists()

"""What models may cost a campaign: no call is made whose worst case the caps have no room for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from netwright.campaign.board import Board
from netwright.campaign.opening import check_planner
from netwright.campaign.purse import CampaignPurse
from netwright.campaign.running import run_campaign
from netwright.config import CampaignConfig
from netwright.config_file import load_config, with_flags
from netwright.errors import CapReached, ConfigError
from netwright.evaluator.tasks import load_task
from netwright.llm_config import priced
from netwright.memory.records import LlmTotals
from netwright.memory.store import Memory
from netwright.types import LlmCall, Scope
from tests.campaign.test_llm_campaign import Model, wants_a_token

PRICED = {"price_prompt": 1.0, "price_completion": 10.0}


def purse(earlier: LlmTotals | None = None, llm: dict[str, Any] | None = None, **caps: float) -> CampaignPurse:
    config = CampaignConfig.model_validate({"budget": caps, "llm": {"url": "http://h", **(llm or {})}})
    board = Board("small", load_task("recall").spec, config)
    return CampaignPurse(board, earlier or LlmTotals())


def answered(prompt_tokens: int | None, completion_tokens: int | None, role: str = "planner") -> LlmCall:
    return LlmCall(
        key="k",
        role=role,
        model="m",
        prompt_sha256="",
        messages=(),
        reply="yes",
        status="ok",
        prompt_tokens=prompt_tokens,
        completion_tokens=completion_tokens,
    )


async def called(held: CampaignPurse, read: int = 1000, most: int = 500, *, written: int = 100) -> None:
    async with held.held("planner", "m", read, most):
        await asyncio.sleep(0)
        held.pay(answered(read, written))


# --- the purse -------------------------------------------------------------------------------------------------------


def test_a_call_is_refused_when_its_longest_answer_would_not_fit() -> None:
    asyncio.run(called(purse(llm_tokens=1500)))

    with pytest.raises(CapReached, match=r"the cap llm_tokens = 1,499 .* of the planner: 0 spent, .* may take 1,500"):
        asyncio.run(called(purse(llm_tokens=1499)))


def test_money_is_counted_at_the_price_of_the_role() -> None:
    llm = {**PRICED, "critic": {"url": "http://local", "price_prompt": 0, "price_completion": 0}}
    held = purse(llm=llm, llm_cost=0.0149)

    async def spend() -> None:
        async with held.held("critic", "m", 10**9, 10**9):
            held.pay(answered(10**9, 10**9, "critic"))
        await called(held, 1000, 1000, written=200)  # 0.003 of at most 0.011

        await called(held, 1000, 1000)  # 0.003 + 0.011 are within the cap
        await called(held, 1000, 1000)

    with pytest.raises(CapReached, match=r"llm_cost = 0\.0149 .* 0\.005 spent, and it may take 0\.011"):
        asyncio.run(spend())


def test_what_earlier_sessions_spent_counts() -> None:
    with pytest.raises(CapReached, match="llm_calls = 2"):
        asyncio.run(called(purse(LlmTotals(calls=2), llm_calls=2)))


def test_a_call_waits_while_calls_in_flight_decide_whether_it_fits() -> None:
    held = purse(llm_tokens=2700)

    async def three() -> list[BaseException | None]:
        # 1,500 each at most, 1,100 in the end: the second fits beside what the first took, the third does not.
        return await asyncio.gather(*(called(held) for _ in range(3)), return_exceptions=True)

    first, second, third = asyncio.run(three())
    assert first is None and second is None
    assert isinstance(third, CapReached) and "2,200 spent" in str(third)


def test_what_failed_calls_held_is_free_again() -> None:
    held = purse(llm_tokens=1500)

    async def fail_then_ask() -> None:
        with pytest.raises(OSError):
            async with held.held("planner", "m", 1000, 500):
                raise OSError
        await called(held)

    asyncio.run(fail_then_ask())


# --- the configuration -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("budget.llm_calls", 0, "budget.llm_calls: expected at least 1, got 0"),
        ("budget.llm_tokens", 0, "budget.llm_tokens: expected at least 1, got 0"),
        ("budget.llm_cost", 0.0, "budget.llm_cost: expected more than 0, got 0"),
        ("budget.llm_cost", 5.0, "llm: the budget has a cap llm_cost and what the planner asks has no price"),
        ("llm.price_prompt", -1.0, "llm.price_prompt: expected at least 0, got -1"),
        ("llm.price_prompt", 1.0, "llm: expected price_prompt and price_completion together"),
        ("llm.at_cap", "stop", "llm.at_cap: expected 'close' or 'grammar', got 'stop'"),
    ],
)
def test_a_cap_or_price_that_cannot_be_is_named(key: str, value: object, said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load_config(None, {"llm.url": "http://h", key: value})

    assert str(refused.value).startswith(said)


def test_a_raised_budget_is_checked_like_a_new_one() -> None:
    config = CampaignConfig.model_validate({"llm": {"url": "http://h"}})

    assert with_flags(config, {"budget.trials": 99, "budget.minutes": None}).budget.trials == 99
    with pytest.raises(ConfigError, match="has no price"):
        with_flags(config, {"budget.llm_cost": 1.0})


def test_a_role_on_another_server_has_prices_of_its_own() -> None:
    here, elsewhere = {"model": "small"}, {"url": "http://other"}
    for critic, price in ((here, 1.0), (elsewhere, None)):
        config = CampaignConfig.model_validate({"llm": {"url": "http://h", **PRICED, "critic": critic}})
        assert config.llm.of("critic").price_prompt == price


def test_a_cost_is_told_only_where_something_has_a_price() -> None:
    tokens = {"planner": (1_000_000, 0), "repairer": (0, 100_000), "critic": (500_000, 0)}
    totals = {
        "asked": [
            {"role": role, "model": "m", "calls": 1, "prompt_tokens": read, "completion_tokens": written}
            for role, (read, written) in tokens.items()
        ]
    }

    assert "cost" not in priced(totals, {"llm": {"url": "http://h"}})
    assert priced(totals, {"llm": {"url": "http://h", **PRICED}})["cost"] == pytest.approx(2.5)


def test_the_grammar_cannot_go_on_where_it_writes_no_such_candidates() -> None:
    llm = {"url": "http://h", "at_cap": "grammar"}
    spec = load_task("recall").spec.model_copy(update={"scope": Scope.BLOCK})

    with pytest.raises(ConfigError, match=r'llm\.at_cap: .* set at_cap = "close"'):
        check_planner(CampaignConfig.model_validate({"llm": llm}), spec)


# --- whole campaigns -------------------------------------------------------------------------------------------------


def actions_of(home: Path) -> int:
    with Memory.open(home, create=False, read_only=True) as memory:
        return len(memory.actions(memory.campaign("small").id))


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_campaign_closes_at_its_cap_and_goes_on_when_that_is_raised(
    tmp_path: Path, campaign_file: Callable[..., Path], chat: ModuleType, chat_server: Callable[..., Any]
) -> None:
    server = chat_server(default=Model(chat, []))
    more = f'llm_calls = 8\n[llm]\nurl = "{server.url}"\nmodel = "scripted"\nprice_prompt = 1\nprice_completion = 2\n'
    config = load_config(campaign_file(trials=5, top="in_flight = 2", more=more), {})

    row, board = run_campaign(tmp_path / "home", config)

    asked = [body for body in server.requests if not wants_a_token(body)]
    assert (row.status, len(asked)) == ("finished", 8)
    assert f"ended with {board.trained} of 5 candidates trained: the cap llm_calls = 8 has no room" in row.note
    assert "netwright resume small --llm-calls MORE" in row.note
    assert 1 <= board.trained < 5 and board.promoted
    assert board.llm_cost == pytest.approx(8 * (100 * 1 + 50 * 2) / 1e6)

    begun = actions_of(tmp_path / "home")
    again, board = run_campaign(tmp_path / "home", config)  # the same cap: nothing is asked, paid, or begun
    assert sum(not wants_a_token(body) for body in server.requests) == 8 and again.note == row.note
    assert actions_of(tmp_path / "home") == begun

    row, board = run_campaign(tmp_path / "home", with_flags(config, {"budget.llm_calls": 100}))

    asked = [body for body in server.requests if not wants_a_token(body)]
    with Memory.open(tmp_path / "home", create=False, read_only=True) as memory:
        totals = memory.llm_totals(row.id)
        done = {known.action.index for known in memory.experiments(row.id) if known.action}
        assert done == {logged.action.index for logged in memory.actions(row.id)}
    assert (row.status, row.note) == ("finished", "")
    assert totals.calls == len(asked) and len({str(body["messages"]) for body in asked}) == len(asked)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_grammar_goes_on_where_that_was_asked_for(
    tmp_path: Path, campaign_file: Callable[..., Path], chat: ModuleType, chat_server: Callable[..., Any]
) -> None:
    server = chat_server(default=Model(chat, []))
    more = f'llm_calls = 3\n[llm]\nurl = "{server.url}"\nmodel = "scripted"\nat_cap = "grammar"\n'

    row, _ = run_campaign(tmp_path / "home", load_config(campaign_file(trials=3, top="in_flight = 1", more=more), {}))

    with Memory.open(tmp_path / "home", create=False, read_only=True) as memory:
        made = [known.candidate_id for known in memory.experiments(row.id) if known.node >= 0 and known.score]
        origins = {memory.candidate(each).origin for each in made if each}
    assert (row.status, row.note) == ("finished", "")
    assert origins == {"grammar", "llm:scripted"}
    assert sum(not wants_a_token(body) for body in server.requests) == 3  # plans, their ranking, and the file of one

"""Several models in one campaign: one is drawn for each design, and the better one is drawn more and more."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from rich.console import Console

from netwright.agents.base import Ledger
from netwright.agents.chat import ChatRequest, Reply
from netwright.campaign.board import Board
from netwright.campaign.ensemble import Drawn, Ensemble
from netwright.campaign.glance import glance
from netwright.campaign.running import run_campaign
from netwright.cli.app import run
from netwright.cli.scene import Scene, draw
from netwright.config import CampaignConfig
from netwright.config_file import load_config
from netwright.errors import ConfigError
from netwright.evaluator.tasks import load_task
from netwright.llm_config import LlmConfig, RoleConfig
from netwright.memory.records import Asked, Campaign, ExperimentRecord
from netwright.memory.store import Memory
from netwright.report.build import build_report
from netwright.types import Action, Candidate, Interval, LlmCall, Operator, Outcome, Scope, Score, Verdict
from tests.campaign.test_llm_campaign import Model, wants_a_token
from tests.campaign.test_roles import NoLedger

URL = "http://127.0.0.1:9/v1"
BETTER = Verdict(outcome=Outcome.BETTER, delta_nats=-0.4, interval=Interval(low=-0.5, high=-0.3), p_value=1e-9)


def llm(*models: dict[str, Any], **more: Any) -> LlmConfig:
    return LlmConfig.model_validate({"url": URL, "model": "base", "models": models, **more})


# --- the configuration -----------------------------------------------------------------------------------------------


def test_models_are_laid_over_what_all_have_and_another_server_takes_nothing_from_it() -> None:
    drawn = llm({"model": "small"}, {"model": "big", "url": "http://other"}, price_prompt=1, price_completion=2).drawn()

    assert (drawn["small"].url, drawn["small"].price_prompt) == (URL, 1)
    assert (drawn["big"].url, drawn["big"].price_prompt, drawn["big"].api_key_env) == ("http://other", None, None)


def test_who_designs_draws_and_a_role_with_a_model_of_its_own_does_not() -> None:
    config = llm({"model": "small"}, {"model": "big"}, coder={"model": "fixed"})

    assert [config.draws(role) for role in ("planner", "repairer", "coder", "critic")] == [True, True, False, False]
    assert config.asked_by("planner", "big").model == "big"
    assert config.asked_by("coder", "fixed").model == "fixed" and config.asked_by("critic", "base").model == "base"


def test_each_model_costs_what_it_costs() -> None:
    config = llm(
        {"model": "small", "price_prompt": 1, "price_completion": 1},
        {"model": "big", "price_prompt": 10, "price_completion": 100},
    )
    asked = [
        Asked(role="planner", model=name, calls=1, prompt_tokens=10**6, completion_tokens=10**6)
        for name in ("small", "big")
    ]

    assert [config.cost_of([each]) for each in asked] == [2.0, 110.0] and config.cost_of(asked) == 112.0


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ({"llm.models": [{"model": "a"}, {"model": "a"}]}, "llm.models: expected each model once, got 'a' twice"),
        ({"llm.models": [{"url": "http://h"}]}, "llm.models.0.model: expected a value, and there is none"),
        ({"llm.models": [{"model": "a"}], "llm.url": None}, "llm: there are models and [llm] has no url"),
        (
            {"llm.models": [{"model": "a"}], "budget.llm_cost": 1.0},
            "llm: the budget has a cap llm_cost and what the critic asks has no price",
        ),
    ],
)
def test_models_that_cannot_be_drawn_are_named(overrides: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load_config(None, {"llm.url": URL, **overrides})

    assert str(refused.value).startswith(said)


def test_a_mistake_in_a_model_is_told_with_its_line_and_the_keys_that_are_known(tmp_path: Path) -> None:
    path = tmp_path / "two.toml"
    path.write_text(f'[llm]\nurl = "{URL}"\n[[llm.models]]\nmodel = "a"\n[[llm.models]]\nmodel = "b"\nprize = 1\n')

    with pytest.raises(ConfigError, match=r"line 7: unknown key 'llm.models.1.prize'; known here: .*price_prompt"):
        load_config(path, {})


# --- who is asked ----------------------------------------------------------------------------------------------------


class Listener:
    """Answers as a model of its name, and keeps what it was asked."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.asked: list[ChatRequest] = []

    async def chat(self, request: ChatRequest, ledger: Ledger) -> Reply:
        self.asked.append(request)
        return Reply(
            text="yes", cut_off=False, model=self.name, prompt_tokens=1, completion_tokens=1, tokens_estimated=False
        )


def test_a_request_goes_to_the_model_that_was_drawn_in_the_way_that_suits_it() -> None:
    small, big = Listener("small"), Listener("big")
    drawn = Drawn(
        {"small": small, "big": big},
        {"small": RoleConfig(max_tokens=100, temperature=0.1), "big": RoleConfig(max_tokens=9000)},
    )

    async def ask(model: str) -> str:
        request = ChatRequest(role="coder", messages=(), max_tokens=6000, temperature=0.8, model=model, action=3)
        return (await drawn.chat(request, NoLedger())).model

    assert asyncio.run(ask("small")) == "small" and asyncio.run(ask("big")) == "big"
    assert [(each.max_tokens, each.temperature) for each in small.asked + big.asked] == [(100, 0.1), (6000, 0.8)]
    with pytest.raises(ConfigError, match=r"'gone' was drawn for action 3 .* is not there now \(small, big\)"):
        asyncio.run(ask("gone"))


# --- what is learned -------------------------------------------------------------------------------------------------


class History:
    """A campaign in a memory that is written by hand: designs by models, each after a call of some tokens."""

    def __init__(self, home: Path, config: LlmConfig) -> None:
        self.memory = Memory.open(home)
        whole = CampaignConfig(llm=config)
        spec = load_task("recall").spec
        self.row: Campaign = self.memory.start_campaign("by hand", spec, 0, whole.model_dump(mode="json"))
        self.board = Board("by hand", spec, whole)
        self.ensemble = Ensemble(config, 0, self.memory, self.row.id, self.board)
        self._next = 0

    def design(self, model: str, verdict: Verdict | None, tokens: int, genotype: str | None = None) -> None:
        action = Action(index=self._next, kind="expand", operator=Operator.DRAFT, model=model)
        self._next += 1
        source = f'"""Design {action.index}."""'
        candidate = Candidate(
            source=source, scope=Scope.MIXER, title="A", hypothesis="B", origin="llm", genotype=genotype
        )
        self.memory.put_candidate(candidate)
        self.memory.put_action(self.row.id, action)
        for role in ("planner", "critic"):
            self.memory.put_llm_call(self.row.id, call(role, model, action.index, tokens))
        record = ExperimentRecord(
            node=action.index,
            action=action,
            operator=Operator.DRAFT,
            candidate_id=candidate.id if verdict else None,
            score=Score(value=-1.0, standard_error=0.1, rung=0, seeds=1) if verdict else None,
            verdict=verdict,
            stage="" if verdict else "planner: unusable reply",
            failure="" if verdict else "no plan",
        )
        self.memory.remember(self.row.id, record)
        self.ensemble.learn(record)

    def drawn(self) -> Counter[str]:
        actions = (Action(index=1000 + n, kind="expand", operator=Operator.DRAFT) for n in range(200))
        return Counter(self.ensemble.drawn(action).model for action in actions)


def call(role: str, model: str, action: int, tokens: int) -> LlmCall:
    return LlmCall(
        key=f"{role} {action}",
        role=role,
        model=model,
        prompt_sha256="",
        messages=(),
        action=action,
        reply="yes",
        status="ok",
        prompt_tokens=tokens,
        completion_tokens=0,
    )


def test_who_improves_is_drawn_more_and_each_model_is_shown_with_what_it_did(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    history = History(tmp_path, llm({"model": "good"}, {"model": "never"}))
    for _ in range(8):
        history.design("good", BETTER, 1000)
        history.design("never", None, 1000)

    assert history.drawn()["good"] > 180
    good, never = history.board.models
    assert (good.model, good.designs, good.trained, good.better) == ("good", 8, 8, 8)
    assert (never.calls, never.prompt_tokens, never.designs, never.trained, never.better) == (16, 16_000, 8, 0, 0)
    assert run(["status", "by hand", "--home", str(tmp_path)]) == 0
    rows = [line.split() for line in capfd.readouterr().out.splitlines()]
    assert ["good", "16", "16,000", "0", "8", "8", "8"] in rows and [
        "never",
        "16",
        "16,000",
        "0",
        "8",
        "0",
        "0",
    ] in rows


def test_of_two_that_improve_alike_the_one_is_drawn_that_costs_less_in_money_where_there_are_prices(
    tmp_path: Path,
) -> None:
    dear, free = {"price_prompt": 10, "price_completion": 10}, {"price_prompt": 1, "price_completion": 1}
    for name, prices, chosen in (("tokens", ({}, {}), "short"), ("money", (dear, free), "long")):
        short, long = prices
        history = History(tmp_path / name, llm({"model": "short", **short}, {"model": "long", **long}))
        for _ in range(8):
            history.design("short", BETTER, 1000)
            history.design("long", BETTER, 3000)
        assert history.drawn()[chosen] > 150, name


def test_what_the_grammar_made_in_its_place_is_no_merit_of_a_model(tmp_path: Path) -> None:
    history = History(tmp_path, llm({"model": "capped"}, {"model": "other"}))
    before = history.drawn()
    for _ in range(8):
        history.design("capped", BETTER, 0, genotype="{}")

    assert history.drawn() == before


# --- a whole campaign ------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_campaign_moves_to_the_good_one_of_two_models_and_draws_the_same_when_it_goes_on(
    tmp_path: Path,
    campaign_file: Callable[..., Path],
    chat: ModuleType,
    chat_server: Callable[..., Any],
    capfd: pytest.CaptureFixture[str],
) -> None:
    good = Model(chat, [])

    def answer(body: dict[str, Any]) -> Any:
        useless = body["model"] == "useless" and not wants_a_token(body)
        return "I would rather not." if useless else good(body)

    server = chat_server(default=answer)
    models = '[[llm.models]]\nmodel = "useful"\n[[llm.models]]\nmodel = "useless"\n'
    more = f'[search]\npolicy = "random"\nearly_stop = false\n[llm]\nurl = "{server.url}"\nmodel = "useful"\n{models}'
    home, top = tmp_path / "home", "seed = 4"  # with which the useless one is drawn most at first

    run_campaign(home, load_config(campaign_file(trials=2, top=top, more=more), {}))
    row, board = run_campaign(home, load_config(campaign_file(trials=9, top=top, more=more), {}))

    with Memory.open(home) as memory:
        logged = [each.action for each in memory.actions(row.id)]
        drawn = [action.model for action in logged if action.kind == "expand"]
        records = memory.experiments(row.id)
        again = Ensemble(board.config.llm, row.seed, memory, row.id, Board("again", row.task, board.config))
        told = [record for record in records if record.action is not None]
        known = 0
        for action in logged:
            for record in told[known : action.told]:
                again.learn(record)
            known = max(known, action.told)
            if action.kind == "expand":
                assert again.drawn(action.model_copy(update={"model": ""})) == action
        origins = {memory.candidate(each.candidate_id).origin for each in told if each.candidate_id}
        assert origins <= {"llm:useful", "baseline"}
        assert "<td>useless</td>" in build_report(memory, row.name)
    early, late = Counter(drawn[:4]), Counter(drawn[-6:])
    assert early["useless"] > early["useful"]
    assert late["useful"] >= 5
    useful, useless = board.models
    assert (useful.trained, useless.trained) == (board.trained, 0) and useless.calls > 0
    shown = Console(width=200)
    with shown.capture() as live:
        shown.print(draw(glance(board), Scene()))
    assert any(line.split()[:1] == ["useless"] for line in live.get().splitlines())
    capfd.readouterr()
    assert run(["status", "--json", "--home", str(home)]) == 0
    assert [each["model"] for each in json.loads(capfd.readouterr().out)["models"]] == ["useful", "useless"]

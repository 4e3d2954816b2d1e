"""Before a new design is trained a person approves, edits or rejects it; what was decided lasts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from netwright.agents.base import Team
from netwright.agents.replies import Plan
from netwright.campaign.board import Board
from netwright.campaign.chronicle import Chronicle
from netwright.campaign.expansion import Expander, remembered
from netwright.campaign.reviewing import Decision, Desk, Question, Reviewer
from netwright.campaign.running import run_campaign
from netwright.campaign.slots import Interrupted
from netwright.campaign.waiting import Waiting
from netwright.campaign.work import Work
from netwright.config import CampaignConfig
from netwright.config_file import load_config
from netwright.errors import ConfigError
from netwright.evaluator.laboratory import Examination
from netwright.evaluator.tasks import load_task
from netwright.memory.records import Campaign, ExperimentRecord
from netwright.memory.store import Memory
from netwright.portrait import Portrait
from netwright.types import Action, Candidate, Context, GateReport, Operator, Proposal, Trial, TrialStatus

TASK = load_task("recall").spec
PLAN = "gate = 'sigmoid'\n"
APPROVE = Decision(decision="approve")


def edit(source: str) -> Decision:
    return Decision(decision="edit", source=source)


class Script:
    """A person who answers by a script, remembers what was asked, and leaves when it is at its end."""

    def __init__(self, *answers: Decision) -> None:
        self.answers = list(answers)
        self.asked: list[Question] = []

    async def decide(self, question: Question) -> Decision:
        self.asked.append(question)
        if not self.answers:
            raise Interrupted
        return self.answers.pop(0)


class Planner:
    """Makes the same design whenever it is asked for the same action, and mends nothing."""

    name = "scripted"

    async def plan(self, context: Context) -> Sequence[Plan | Proposal]:
        source = f"{PLAN}width = {context.action}\n"
        return [Proposal(title=f"Design {context.action}", hypothesis="It helps.", source=source, origin="llm:m")]

    async def repair(self, context: Context, failed: Proposal, failure: str) -> Proposal | None:
        raise AssertionError("a person's edit is not for the repairer")


class Bench:
    """Slots in which what says `leak` fails a gate, and everything else is trained at once."""

    def __init__(self) -> None:
        self.laboratory = self
        self.task = load_task("recall")
        self.tier = "T3"
        self.examined: list[str] = []

    async def examine(self, candidate: Candidate) -> Examination:
        self.examined.append(candidate.source)
        leaks = "leak" in candidate.source
        report = GateReport(gate="causality", passed=not leaks, message="it sees the future" if leaks else "")
        return Examination((report,), Portrait())

    async def trial(self, candidate: Candidate, *, rung: int, seed: int, **others: Any) -> Trial:
        return Trial(
            candidate_id=candidate.id, task_id=TASK.id, rung=rung, seed=seed, status=TrialStatus.DONE, loss_nats=1.0
        )


class Session:
    """One session of a campaign: its memory stays, everything else is new."""

    def __init__(self, memory: Memory, reviewer: Reviewer | None, *, review: bool = True) -> None:
        self.memory = memory
        self.bench = Bench()
        config = CampaignConfig(task="recall", review=review)
        self.board = Board(name="small", task=TASK, config=config)
        self.row = campaign(memory)
        planner = Planner()
        decided = memory.reviews(self.row.id)
        self.expander = Expander(
            campaign_id=self.row.id,
            memory=memory,
            slots=self.bench,  # type: ignore[arg-type]
            team=Team(planner=planner, repairer=planner),
            board=self.board,
            repairs=0,
            library=None,
            desk=Desk(memory, self.row, decided, reviewer, self.board) if reviewer or decided else None,
        )

    def work(self, index: int, after: Work | None = None) -> Work:
        action = Action(index=index, kind="expand", operator=Operator.DRAFT)
        self.memory.put_action(self.row.id, action)
        return Work(action=action, contexts=Chronicle(TASK, 0), after=after.screened if after else None)

    def carry_out(self, index: int = 0) -> ExperimentRecord:
        return asyncio.run(self.expander.run(self.work(index)))[1]

    def source(self, record: ExperimentRecord) -> str:
        assert record.candidate_id is not None
        return self.memory.candidate(record.candidate_id).source


def campaign(memory: Memory) -> Campaign:
    known = [row for row in memory.campaigns() if row.name == "small"]
    return known[0] if known else memory.start_campaign("small", TASK, seed=0, config={})


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Memory]:
    with Memory.open(tmp_path) as opened:
        yield opened


def test_what_is_approved_is_trained_and_the_person_saw_it_whole(memory: Memory) -> None:
    person = Script(APPROVE)

    record = Session(memory, person).carry_out()

    (question,) = person.asked
    assert record.score is not None and not record.failure
    assert question.candidate.source == f"{PLAN}width = 0\n"
    assert (question.candidate.hypothesis, question.operator, question.parent) == ("It helps.", "draft", None)
    assert [report.gate for report in question.gates] == ["causality"]


def test_what_is_rejected_is_not_trained_and_later_planners_are_told_why(memory: Memory) -> None:
    session = Session(memory, Script(Decision(decision="reject", note="we had this in May")))

    record = session.carry_out()

    assert (record.score, record.stage, record.failure) == (None, "review: rejected", "we had this in May")
    assert memory.trials() == []
    assert session.board.failures == {"review: rejected": 1}
    assert record.candidate_id is not None
    told = remembered(record, memory.candidate(record.candidate_id))
    assert told.failure == "review: rejected: we had this in May"


def test_what_another_campaign_trained_has_no_score_where_it_is_rejected(memory: Memory) -> None:
    Session(memory, None, review=False).carry_out()
    other = memory.start_campaign("other", TASK, seed=0, config={})
    session = Session(memory, Script(Decision(decision="reject")))
    session.expander._campaign_id = other.id
    memory.put_action(other.id, Action(index=0, kind="expand", operator=Operator.DRAFT))

    record = session.carry_out()

    assert record.score is None and "gave no reason" in record.failure


def test_an_edit_is_a_new_design_that_has_to_pass_like_any_other(memory: Memory) -> None:
    person = Script(edit("gate = 'tanh'\n"), APPROVE)
    session = Session(memory, person)

    record = session.carry_out()

    assert session.source(record) == "gate = 'tanh'\n"
    assert record.candidate_id is not None
    edited = memory.candidate(record.candidate_id)
    assert (edited.origin, edited.title, edited.genotype) == ("person, after llm:m", "Design 0", None)
    assert session.bench.examined == [f"{PLAN}width = 0\n", "gate = 'tanh'\n"]
    assert [each.stage for each in record.attempts] == ["review: edited"]
    assert "edited by a person" in person.asked[1].changed


def test_an_edit_that_a_gate_rejects_goes_back_to_the_person_with_what_the_gate_says(memory: Memory) -> None:
    person = Script(edit("leak = 1\n"), edit("leak = 2\n"), APPROVE)
    session = Session(memory, person)

    record = session.carry_out()

    assert session.source(record) == f"{PLAN}width = 0\n", "what was approved is the design as it was before"
    assert record.score is not None
    assert [(each.refusal, each.edit) for each in person.asked] == [
        ("", None),
        ("causality: it sees the future", "leak = 1\n"),
        ("causality: it sees the future", "leak = 2\n"),
    ]
    assert [each.stage for each in record.attempts] == ["gate: causality", "gate: causality"]


def test_an_edit_that_is_the_design_of_another_goes_back_to_the_person(memory: Memory) -> None:
    person = Script(APPROVE, edit(f"{PLAN}width = 0\n"), APPROVE)
    session = Session(memory, person)
    session.carry_out(0)

    record = session.carry_out(1)

    assert session.source(record) == f"{PLAN}width = 1\n"
    assert person.asked[2].refusal.startswith("novelty: this is the design of experiment 0")


@pytest.mark.parametrize("last", [APPROVE, Decision(decision="reject", note="no")])
def test_whoever_goes_on_is_asked_what_was_not_decided_and_nothing_twice(memory: Memory, last: Decision) -> None:
    before = Script(edit("leak = 1\n"), edit("gate = 'tanh'\n"))
    with pytest.raises(Interrupted):
        Session(memory, before).carry_out()

    after = Script(last)
    record = Session(memory, after).carry_out()

    assert [question.candidate.source for question in after.asked] == ["gate = 'tanh'\n"]
    assert [question.candidate.source for question in before.asked[2:]] == ["gate = 'tanh'\n"]
    assert [each.stage for each in record.attempts] == ["gate: causality", "review: edited"]
    assert record.failure == last.note
    assert [each.decision for each in memory.reviews(campaign(memory).id)] == ["edit", "edit", last.decision]


def test_decisions_hold_where_the_review_is_switched_off_and_the_rest_passes(memory: Memory) -> None:
    with pytest.raises(Interrupted):
        Session(memory, Script(edit("gate = 'tanh'\n"))).carry_out()

    session = Session(memory, None, review=False)

    assert session.source(session.carry_out()) == "gate = 'tanh'\n"
    assert session.carry_out(1).score is not None
    assert len(memory.reviews(session.row.id)) == 1


def test_a_decision_is_in_the_memory_before_it_takes_effect(memory: Memory) -> None:
    session = Session(memory, Script(APPROVE))
    found: list[str] = []

    async def trial(candidate: Candidate, **others: Any) -> Trial:
        found.extend(review.decision for review in memory.reviews(session.row.id))
        raise Interrupted

    session.bench.trial = trial  # type: ignore[method-assign]
    with pytest.raises(Interrupted):
        session.carry_out()

    assert found == ["approve"]


def test_designs_that_wait_are_asked_about_one_after_the_other_while_others_are_trained(memory: Memory) -> None:
    order: list[str] = []

    class Slow(Script):
        async def decide(self, question: Question) -> Decision:
            order.append(f"asked {question.action}")
            await asyncio.sleep(0.02)
            order.append(f"decided {question.action}")
            return APPROVE

    session = Session(memory, Slow())

    async def both() -> None:
        await asyncio.gather(*(session.expander.run(session.work(index)) for index in range(3)))

    asyncio.run(both())

    assert order == [f"{what} {index}" for index in range(3) for what in ("asked", "decided")]


def test_where_designs_are_compared_in_order_the_next_one_waits_for_the_decision(memory: Memory) -> None:
    person = Script(edit(f"{PLAN}width = 1\n"), APPROVE, APPROVE)
    session = Session(memory, person)

    async def both() -> None:
        first = session.work(0)
        second = session.work(1, after=first)
        tasks = [asyncio.create_task(session.expander.run(work)) for work in (second, first)]
        await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 10)

    asyncio.run(both())

    # The edit has taken what the second action would have made, so that one finds nothing new.
    assert [question.action for question in person.asked] == [0, 0]


def test_without_a_review_no_expansion_is_ever_checkpointed(memory: Memory) -> None:
    session = Session(memory, None, review=False)

    assert session.expander._graph.checkpointer is None
    assert session.carry_out().score is not None


def test_a_campaign_with_a_review_and_nobody_to_ask_does_not_begin(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nobody to ask"):
        run_campaign(tmp_path / "home", CampaignConfig(task="recall", review=True))

    assert not (tmp_path / "home").exists()


class Mood:
    """A person who decides by the number of the action alone, and leaves after so many answers."""

    def __init__(self, patience: int) -> None:
        self.patience = patience

    async def decide(self, question: Question) -> Decision:
        if not self.patience:
            raise Interrupted
        self.patience -= 1
        if question.action % 3 == 0:
            return Decision(decision="reject", note="not now")
        if question.action % 3 == 1 and not question.position and "tuned by hand" not in question.candidate.source:
            source = question.candidate.source.replace("RECIPE", "# ") + "\n\nRECIPE = {'lr': 0.004}  # tuned by hand\n"
            return edit(source)
        return APPROVE


def facts(home: Path) -> list[tuple[Any, ...]]:
    """What a campaign came to, without anything that a clock decides."""
    with Memory.open(home, create=False, read_only=True) as memory:
        row = memory.campaign("small")
        assert row.status == "finished"
        known = [
            (each.action and each.action.model_dump(), each.candidate_id, each.score, each.failure, each.attempts)
            for each in memory.experiments(row.id)
        ]
        decided = [(each.action, each.candidate_id, each.decision) for each in memory.reviews(row.id)]
        return [*sorted(known, key=str), *sorted(decided)]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_same_decisions_make_the_same_campaign_however_often_it_was_left(
    tmp_path: Path, campaign_file: Callable[..., Path]
) -> None:
    config = load_config(campaign_file(trials=4, top="review = true"), {})
    calm, stormy = tmp_path / "calm", tmp_path / "stormy"
    for home in (calm, stormy):
        Memory.open(home, evaluation_key=bytes(32)).close()

    run_campaign(calm, config, reviewer=Mood(1000))
    sessions = 1
    while run_campaign(stormy, config, reviewer=Mood(2))[0].status == "interrupted":
        sessions += 1

    assert sessions > 2
    assert facts(stormy) == facts(calm)


def test_only_time_in_which_everybody_waits_for_a_person_is_not_counted() -> None:
    now = [0.0]
    waiting = Waiting(lambda: now[0])

    def passes(seconds: float) -> float:
        now[0] += seconds
        return waiting.seconds

    assert passes(5.0) == 0.0, "nobody is there"
    with waiting.at_work(), waiting.at_work():
        with waiting.held():
            assert passes(3.0) == 0.0, "somebody works"
            with waiting.held():
                assert passes(7.0) == 7.0
            assert passes(1.0) == 7.0
        assert passes(1.0) == 7.0
    assert passes(1.0) == 7.0

"""The order in which results are told, what a planner is shown of them, and what may not change halfway."""

from __future__ import annotations

from pathlib import Path

import pytest

from netwright.campaign.chronicle import Chronicle
from netwright.campaign.inbox import Inbox
from netwright.campaign.opening import as_begun, begin_or_continue, exclusive, executed_as, is_running, settled
from netwright.campaign.scheduler import observation
from netwright.config import CampaignConfig, TrainingConfig
from netwright.errors import BusyError, ConfigError
from netwright.evaluator.devices import Execution
from netwright.evaluator.tasks import load_task
from netwright.memory.records import ExperimentRecord
from netwright.memory.store import Memory
from netwright.search.policy import Observation
from netwright.types import Action, Candidate, Operator, Outcome, Remembered, Scope, Score, Verdict

TASK = load_task("recall")


def record(index: int) -> ExperimentRecord:
    return ExperimentRecord(
        node=index, action=Action(index=index, kind="expand", operator=Operator.DRAFT), operator=Operator.DRAFT
    )


def remembered(title: str, value: float | None, rung: int = 0) -> Remembered:
    candidate = Candidate(source=title, scope=Scope.MIXER, title=title, hypothesis="", origin="grammar")
    score = None if value is None else Score(value=value, standard_error=0.01, rung=rung, seeds=1)
    failure = "" if score else "gate: causality: sees the future"
    return Remembered(candidate=candidate, operator=Operator.DRAFT, score=score, verdict=None, failure=failure)


def told(inbox: Inbox) -> list[int]:
    nodes = []
    while (taken := inbox.take()) is not None:
        nodes.append(taken.node)
    return nodes


def test_an_ordered_inbox_waits_for_the_gap_to_close() -> None:
    inbox = Inbox(ordered=True)
    for index in (2, 0):
        inbox.put(index, record(index))

    assert told(inbox) == [0]
    inbox.put(1, record(1))
    assert told(inbox) == [1, 2]
    assert inbox.told == 3


def test_what_was_stopped_early_is_a_failure_that_nobody_is_asked_to_mend() -> None:
    def observed(stage: str) -> Observation:
        failed = record(0).model_copy(update={"stage": stage, "failure": "training loss 5.3 at step 60 of 120"})
        return observation(failed, failed.action)

    stopped, crashed = observed("training: stopped early"), observed("training: crashed")

    assert stopped.value is crashed.value is None
    assert (stopped.repairable, crashed.repairable) == (False, True)


def test_an_unordered_inbox_holds_nobody_up() -> None:
    inbox = Inbox(ordered=False)
    for index in (2, 0):
        inbox.put(index, record(index))

    assert told(inbox) == [2, 0]


def test_a_planner_is_shown_the_best_the_failures_and_its_parents_and_nothing_that_came_later() -> None:
    chronicle = Chronicle(TASK.spec, seed=0, mixer_parameters=1000)
    chronicle.enter(-1, remembered("baseline", -1.0))
    for node, value in enumerate((-1.2, -0.8, -0.9, -1.1, None)):
        chronicle.enter(node, remembered(f"design {node}", value))
    before = chronicle.snapshot()
    chronicle.enter(5, remembered("later", -0.1))

    context = before.context(Action(index=6, kind="expand", operator=Operator.REFINE, parents=(1,)))

    assert [known.candidate.title for known in context.best] == ["design 1", "design 2", "design 3"]
    assert [known.candidate.title for known in context.failures] == ["design 4"]
    assert [known.candidate.title for known in context.parents] == ["design 1"]
    assert [known.candidate.title for known in context.baselines] == ["baseline"]
    assert context.seed != before.context(Action(index=7, kind="expand", operator=Operator.DRAFT)).seed


def test_finalists_are_chosen_by_their_first_score_whatever_was_promoted() -> None:
    chronicle = Chronicle(TASK.spec, seed=0, mixer_parameters=None)
    for node, value in ((-1, -1.0), (-2, -0.5), (0, -1.2), (1, -0.8), (2, None)):
        chronicle.enter(node, remembered(str(node), value))
    chronicle.enter(0, remembered("0", -0.1, rung=1))

    assert chronicle.finalists(designs=1, baselines=1) == (1, -2)
    assert chronicle.finalists(designs=5, baselines=5) == (1, 0, -2, -1)


def test_a_finalist_whose_result_is_noisier_has_to_be_better_by_more() -> None:
    chronicle = Chronicle(TASK.spec, seed=0, mixer_parameters=None)
    losses = {0: (1.00, 0.3), 1: (1.05, 0.02), 2: (1.5, 0.02), 3: (1.6, 0.02), 4: (1.45, 0.02)}
    for node, (loss, error) in losses.items():
        known = remembered(str(node), -loss)
        score = Score(value=-loss, standard_error=error, rung=0, seeds=1)
        chronicle.enter(node, known.model_copy(update={"score": score}))

    assert chronicle.finalists(designs=2, baselines=0) == (1, 0)


def test_another_number_of_slots_does_not_change_what_is_in_flight(tmp_path: Path) -> None:
    with Memory.open(tmp_path) as memory:
        first = begin_or_continue(memory, CampaignConfig(task="recall", workers=2), TASK)

        again = begin_or_continue(memory, CampaignConfig(task="recall", workers=8), TASK)

    assert first.config["in_flight"] == again.config["in_flight"] == 4
    assert again.config["workers"] == 8


@pytest.mark.parametrize("change", [{"seed": 1}, {"search": {"policy": "random"}}, {"llm": {"url": "http://a/v1"}}])
def test_a_campaign_cannot_change_what_its_results_depend_on(tmp_path: Path, change: dict[str, object]) -> None:
    with Memory.open(tmp_path) as memory:
        begin_or_continue(memory, CampaignConfig(task="recall"), TASK)

        with pytest.raises(ConfigError, match="was begun with another"):
            begin_or_continue(memory, CampaignConfig.model_validate({"task": "recall", **change}), TASK)


def test_a_campaign_cannot_change_what_its_budgets_are_equal_in(tmp_path: Path) -> None:
    with Memory.open(tmp_path) as memory:
        begin_or_continue(memory, CampaignConfig(task="recall"), TASK)

        with pytest.raises(ConfigError, match=r"begun with another protocol \(tokens, now time\)"):
            begin_or_continue(memory, CampaignConfig(task="recall"), load_task("recall", protocol="time"))


@pytest.mark.parametrize(
    ("execution", "words"),
    [
        (Execution(precision="bf16"), r"another precision \(float32, now bf16\)"),
        (Execution(device="cuda"), r"another device \(cpu, now cuda\)"),
    ],
)
def test_a_campaign_cannot_change_what_it_trains_on_or_in(tmp_path: Path, execution: Execution, words: str) -> None:
    with Memory.open(tmp_path) as memory:
        begin_or_continue(memory, CampaignConfig(task="recall"), TASK)

        with pytest.raises(ConfigError, match=words):
            begin_or_continue(memory, CampaignConfig(task="recall"), load_task("recall", execution=execution))


def test_what_auto_came_to_is_remembered_and_holds_for_whoever_trains_its_designs_again(tmp_path: Path) -> None:
    flags = {"precision": "bf16", "device": None}
    bf16 = Execution(precision="bf16", compile="off")
    config = CampaignConfig(task="recall", training=settled(TrainingConfig(compile="off"), bf16))
    with Memory.open(tmp_path) as memory:
        row = begin_or_continue(memory, config, load_task("recall", execution=bf16))
    stored = CampaignConfig.model_validate(row.config).training

    assert (stored.device, stored.precision) == ("cpu", "bf16")
    assert executed_as(row, stored, {}) == executed_as(row, TrainingConfig(compile="off"), flags) == bf16
    assert as_begun(row, TrainingConfig()) == TrainingConfig(device="cpu", precision="bf16")
    with pytest.raises(ConfigError, match="was trained with precision bf16, and not float32"):
        executed_as(row, stored, {"precision": "float32"})


def test_a_campaign_is_running_as_long_as_somebody_holds_it(tmp_path: Path) -> None:
    with exclusive(tmp_path, "one"):
        assert is_running(tmp_path, "one")
        with pytest.raises(BusyError, match="'one' is being run"), exclusive(tmp_path, "one"):
            pass

    assert not is_running(tmp_path, "one")
    assert not is_running(tmp_path, "another")


def test_a_planner_is_told_where_its_parent_comes_from_and_what_else_was_made_of_it() -> None:
    chronicle = Chronicle(TASK.spec, seed=0, designs=20)
    chronicle.enter(-1, remembered("baseline", -1.0))
    family = {0: (-1,), 1: (0,), 2: (1,), 3: (1,), 4: (-1,), 5: (2, 4)}
    for node, parents in family.items():
        chronicle.enter(node, remembered(str(node), None if node == 3 else -1.0), parents)
    chronicle.enter(2, remembered("2", -0.5, rung=1))

    context = chronicle.context(Action(index=9, kind="expand", operator=Operator.REFINE, parents=(2,)))

    assert [known.node for known in context.path] == [-1, 0, 1]
    assert [known.node for known in context.siblings] == [5]
    assert [told.known.node for told in context.journal] == [0, 1, 2, 3, 4, 5, 2]
    assert context.parents[0].parents == (1,)
    assert (context.trained, context.designs) == (5, 20)
    promoted = chronicle.context(Action(index=9, kind="promote", parents=(2,), rung=1))
    assert [known.node for known in promoted.parents] == [1] and [known.node for known in promoted.siblings] == [3]
    other = chronicle.context(Action(index=9, kind="expand", operator=Operator.REFINE, parents=(1,)))
    assert [known.node for known in other.siblings] == [2, 3] and other.siblings[1].failure


def test_a_lesson_is_told_once_with_everyone_it_was_concluded_from() -> None:
    chronicle = Chronicle(TASK.spec, seed=0)
    for node, lesson in enumerate(("Gates help.", "Decay hurts.", None, "gates  help")):
        verdict = Verdict(outcome=Outcome.BETTER, lesson=lesson)
        chronicle.enter(node, remembered(str(node), -1.0).model_copy(update={"verdict": verdict}))

    lessons = chronicle.context(Action(index=4, kind="expand", operator=Operator.DRAFT)).lessons

    assert [(lesson.text, lesson.supporting) for lesson in lessons] == [("Gates help.", (0, 3)), ("Decay hurts.", (1,))]

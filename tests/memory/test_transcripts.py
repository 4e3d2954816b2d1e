"""The story of one design: what was asked for it, what was tried on the way, and how it ended."""

from __future__ import annotations

import pytest

from netwright.errors import NotFound
from netwright.memory.records import Attempt
from netwright.memory.transcripts import transcript
from netwright.types import Action, GateReport, LlmCall, Operator, Score


def call(key: str, action: int | None, reply: str | None = "yes", **fields: object) -> LlmCall:
    values = {
        "role": "planner",
        "model": "m",
        "prompt_sha256": "0",
        "messages": ({"role": "user", "content": f"Plan {key}."},),
        "status": "ok",
        "tag": f"action={action}",
        **fields,
    }
    return LlmCall.model_validate({**values, "key": key, "action": action, "reply": reply})


@pytest.fixture
def story(memory, campaign, task, make_candidate, make_trial, make_record):
    """Node 0 is a design that was mended once, trained, and promoted by action 1; node 2 failed."""
    known, broken, mended = make_candidate(4), make_candidate(1), make_candidate(2)
    for each in (known, broken, mended):
        memory.put_candidate(each)
    for each, number in ((call("a", 0), 7), (call("b", 0, role="repairer"), 1), (call("c", 2), 1)):
        memory.put_llm_call(campaign.id, each.model_copy(update={"prompt_tokens": number}))
    memory.put_action(campaign.id, Action(index=0, kind="expand", operator=Operator.REFINE, parents=(-1,)))
    memory.put_duplicate(campaign.id, 0, known.id, "code", -1)
    memory.put_gates(broken.id, task.id, (GateReport(gate="causality", passed=False, message="it looks ahead"),))
    memory.put_trial(campaign.id, make_trial(mended, 1.25))
    baseline = memory.experiments(campaign.id)[0].candidate_id
    attempt = Attempt(candidate_id=broken.id, stage="gate: causality", failure="it looks ahead")
    memory.remember(campaign.id, make_record(0, mended, 1.25, attempts=(attempt,), parent_ids=(baseline,)))
    memory.put_llm_call(campaign.id, call("d", 1, role="critic"))
    promotion = Action(index=1, kind="promote", parents=(0,), rung=1)
    higher = Score(value=-1.0, standard_error=0.01, rung=1, seeds=1)
    memory.remember(campaign.id, make_record(1, mended, node=0, action=promotion, score=higher))
    memory.remember(campaign.id, make_record(2, None, None, stage="planner: no reply", parent_ids=(baseline,)))
    return {"known": known, "broken": broken, "mended": mended}


def test_everything_that_belongs_to_a_design_is_told_in_order(memory, story):
    told = transcript(memory, "0")

    assert [each.key for each in told.calls] == ["a", "b", "d"]
    assert [each.candidate for each in told.files] == [story["known"], story["broken"], story["mended"]]
    assert [each.stage for each in told.files] == ["novelty: code", "gate: causality", ""]
    assert told.files[1].gates[0].message == "it looks ahead"
    assert [trial.loss_nats for trial in told.trials] == [1.25]
    assert [record.score.rung for record in told.records] == [0, 1]
    assert [parent.title for parent in told.parents] == ["Softmax attention"]


def test_a_design_is_found_by_its_id_by_that_of_a_failed_try_and_as_the_best(memory, story):
    for which in (story["mended"].id[:10], story["broken"].id, None):
        assert transcript(memory, which).node == 0
        assert transcript(memory, which, "first").node == 0


def test_a_node_from_which_no_design_came_has_a_transcript_too(memory, story):
    told = transcript(memory, "2")

    assert ([each.key for each in told.calls], told.files, told.trials) == (["c"], (), ())
    assert told.records[0].stage == "planner: no reply"


def test_what_is_not_there_is_refused(memory, story, task, campaign):
    memory.start_campaign("second", task, 1, {})

    with pytest.raises(NotFound, match="'second' has no trained design yet"):
        transcript(memory)
    with pytest.raises(NotFound, match="no node of campaign 'second' made"):
        transcript(memory, story["mended"].id, "second")
    with pytest.raises(NotFound, match="no candidate has an id that begins with '77'"):
        transcript(memory, "77", "first")
    assert transcript(memory, story["mended"].id).campaign == memory.campaign("first")

from __future__ import annotations

import pytest

from netwright.errors import NotFound, StoreError
from netwright.memory import Attempt, ExperimentRecord, Knowledge, Memory
from netwright.types import Action, Audit, GateReport, LlmCall, Score, Split, TrialStatus, Verdict


def count(memory: Memory, table: str) -> int:
    return memory.connection.rows(f"SELECT count(*) FROM {table}")[0][0]


def test_a_campaign_is_found_by_name_and_the_latest_without_one(memory, task):
    first = memory.start_campaign("first", task, 7, {"workers": 2})
    second = memory.start_campaign("second", task, 8, {})

    assert memory.campaign("first") == first
    assert memory.campaign() == second
    assert first.task == task
    assert [each.name for each in memory.campaigns()] == ["first", "second"]


def test_an_unknown_campaign_is_refused_with_the_known_names(memory, task):
    with pytest.raises(NotFound, match="holds no campaign yet"):
        memory.campaign()
    memory.start_campaign("first", task, 7, {})

    with pytest.raises(NotFound, match="'nope'; known: first"):
        memory.campaign("nope")
    with pytest.raises(StoreError, match="'first' exists already"):
        memory.start_campaign("first", task, 7, {})


def test_a_stopped_campaign_has_an_end_and_a_continued_one_has_none(memory, task):
    started = memory.start_campaign("first", task, 7, {})

    stopped = memory.update_campaign(started.id, status="interrupted", elapsed_seconds=3.5, note="Ctrl-C")
    going = memory.update_campaign(started.id, status="running")
    tick = memory.update_campaign(started.id, elapsed_seconds=9.0)

    assert stopped.finished_at is not None
    assert (stopped.elapsed_seconds, stopped.note) == (3.5, "Ctrl-C")
    assert going.finished_at is None
    assert (tick.elapsed_seconds, tick.status, tick.note) == (9.0, "running", "Ctrl-C")


def test_a_candidate_is_found_by_any_unique_beginning_of_its_id(memory, make_candidate):
    candidate = make_candidate()
    memory.put_candidate(candidate)

    assert memory.candidate(candidate.id) == candidate
    assert memory.candidate(candidate.id[:10]) == candidate
    assert memory.candidate(candidate.id[:10].upper()) == candidate


def test_a_beginning_that_fits_none_or_several_is_refused_by_name(memory, make_candidate):
    candidates = [make_candidate(number) for number in range(40)]
    for candidate in candidates:
        memory.put_candidate(candidate)
    digits = [candidate.id[0] for candidate in candidates]
    shared = max(set(digits), key=digits.count)

    with pytest.raises(NotFound, match=r"several candidates begin with .*Design \d+\).*, \w{10}"):
        memory.candidate(shared)
    for nothing in ("zz", "", "%", "_", "'", "f" * 64):
        with pytest.raises(NotFound, match="no candidate has an id that begins with"):
            memory.candidate(nothing)


def test_a_trial_comes_back_as_it_was_put(memory, make_candidate, make_trial):
    candidate = make_candidate()
    memory.put_candidate(candidate)
    audit = Audit(rows=4, max_logit_difference=0.0, tolerance=1e-4, cut_loss_nats=1.6)
    trial = make_trial(candidate, audit=audit, metrics={"accuracy": 0.5}, telemetry={"norms": [1.0, 2.5]})

    memory.put_trial(None, trial)

    assert memory.trial(candidate.id, trial.task_id, 0, 1) == trial
    assert memory.trial(candidate.id, trial.task_id, 1, 1) is None
    assert memory.trial(candidate.id, trial.task_id, 0, 1, Split.TEST) is None


def test_the_first_result_of_a_trial_stays(memory, make_candidate, make_trial):
    candidate = make_candidate()
    memory.put_candidate(candidate)
    memory.put_trial(None, make_trial(candidate, 1.5))

    memory.put_trial(None, make_trial(candidate, 0.1))

    assert [trial.loss_nats for trial in memory.trials()] == [1.5]
    assert count(memory, "curves") == 1


def test_trials_are_filtered_by_all_that_is_given(memory, task, make_candidate, make_trial):
    one, two = make_candidate(1), make_candidate(2)
    for candidate in (one, two):
        memory.put_candidate(candidate)
        memory.put_trial(None, make_trial(candidate))
        memory.put_trial(None, make_trial(candidate, rung=1, split=Split.TEST))

    assert len(memory.trials()) == 4
    assert len(memory.trials(task_id="other-00000000")) == 0
    found = memory.trials(task_id=task.id, candidate_id=two.id, split=Split.TEST, rung=1)
    assert [(trial.candidate_id, trial.rung) for trial in found] == [(two.id, 1)]


def test_an_interrupted_trial_is_never_kept(memory, make_candidate, make_trial):
    candidate = make_candidate()
    memory.put_candidate(candidate)

    with pytest.raises(ValueError, match="run it again"):
        memory.put_trial(None, make_trial(candidate, None, status=TrialStatus.INTERRUPTED))


def test_claims_that_are_no_numbers_do_not_stop_the_laboratory(memory, make_candidate, make_trial):
    candidate = make_candidate()
    memory.put_candidate(candidate)
    nan = float("nan")
    claims = {"telemetry": {"norm": nan, "all": [float("inf"), 1.0]}, "curve": ((1, 2.0), (2, nan))}

    memory.put_trial(None, make_trial(candidate, None, status=TrialStatus.DIVERGED, **claims))

    kept = memory.trials()[0]
    assert kept.telemetry == {"norm": None, "all": [None, 1.0]}
    assert kept.curve == ((1, 2.0),)


def test_long_output_and_long_curves_are_kept_in_part(memory, make_candidate, make_trial):
    candidate = make_candidate()
    memory.put_candidate(candidate)
    curve = tuple((step, 1 / step) for step in range(1, 5001))

    memory.put_trial(None, make_trial(candidate, None, last_output="x" * 100_000 + "the end", curve=curve))

    kept = memory.trials()[0]
    assert kept.last_output.endswith("the end")
    assert kept.last_output.startswith("[the first 83623 characters were not kept]")
    assert 900 <= len(kept.curve) <= 1001
    assert kept.curve[-1] == (5000, 0.0002)


def test_gates_keep_their_order_and_their_first_report(memory, task, make_candidate):
    candidate = make_candidate()
    memory.put_candidate(candidate)
    static = GateReport(gate="size", passed=True, evidence={"bytes": 120})
    honest = GateReport(gate="causality", passed=True, seconds=0.2)
    again = GateReport(gate="causality", passed=False, message="position 3 sees 7")

    memory.put_gates(candidate.id, task.id, [static])
    memory.put_gates(candidate.id, task.id, [static, honest])
    memory.put_gates(candidate.id, task.id, [again])

    assert memory.gates(candidate.id, task.id) == (static, honest)
    assert memory.gates(candidate.id, "other-00000000") == ()


def test_actions_are_asked_once_and_closed_by_their_experiment(memory, campaign, make_candidate, make_record):
    candidate = make_candidate()
    memory.put_candidate(candidate)
    record = make_record(0, candidate)
    later = Action(index=1, kind="promote", parents=(0,), rung=1, told=1, closing=True)
    for action in (record.action, later, record.action):
        memory.put_action(campaign.id, action)

    memory.remember(campaign.id, record)

    first, second = memory.actions(campaign.id)
    assert (first.action, first.state, first.candidate_id) == (record.action, "done", candidate.id)
    assert (second.action, second.state, second.candidate_id) == (later, "asked", None)


def test_experiments_come_back_in_the_order_in_which_they_were_remembered(
    memory, campaign, make_candidate, make_record
):
    one, two = make_candidate(1), make_candidate(2)
    memory.put_candidate(one)
    memory.put_candidate(two)
    attempts = (Attempt(candidate_id=two.id, failure="wrong shape", stage="gate:shape"),)
    records = [make_record(1, one, attempts=attempts), make_record(0, None, None)]

    for record in records:
        assert memory.remember(campaign.id, record)

    found = memory.experiments(campaign.id)
    plain = [
        ExperimentRecord(**{name: getattr(each, name) for name in type(records[0]).model_fields}) for each in found
    ]
    assert plain[1:] == records
    assert [each.node for each in found] == [-1, 1, 0]
    assert found[1].candidate == one
    assert found[1].remembered.score == records[0].score
    assert found[2].remembered is None


def test_remembering_twice_changes_nothing(memory, campaign, make_candidate, make_record):
    candidate = make_candidate()
    memory.put_candidate(candidate)
    record = make_record(0, candidate)
    memory.remember(campaign.id, record)
    baseline = memory.experiments(campaign.id)[0]
    tables = ("nodes", "edges", "attempts", "scores", "verdicts", "journal", "actions")
    before = [count(memory, table) for table in tables]

    assert not memory.remember(campaign.id, record)
    assert not memory.remember(campaign.id, ExperimentRecord(**baseline.model_dump(exclude=EXTRA)))

    assert [count(memory, table) for table in tables] == before


EXTRA = {"candidate", "visits", "value"}


def test_a_promotion_adds_to_its_node_and_the_latest_score_counts(memory, campaign, make_candidate, make_record):
    candidate = make_candidate()
    memory.put_candidate(candidate)
    memory.remember(campaign.id, make_record(0, candidate, 1.5))
    higher = Score(value=-1.2, standard_error=0.01, rung=1, seeds=1)
    promotion = Action(index=1, kind="promote", parents=(0,), rung=1)

    memory.remember(campaign.id, make_record(0, candidate, action=promotion, score=higher, parents=()))

    rows = memory.connection.rows("SELECT * FROM lineage WHERE node = 0")
    assert [(row["loss_nats"], row["rung"], row["parent_node"]) for row in rows] == [(1.2, 1, -1)]
    assert [each.score.value for each in memory.experiments(campaign.id)] == [-1.6, -1.5, -1.2]
    assert count(memory, "scores") == 3


def test_a_failed_promotion_leaves_the_score_of_its_node(memory, campaign, make_candidate, make_record):
    candidate = make_candidate()
    memory.put_candidate(candidate)
    memory.remember(campaign.id, make_record(0, candidate, 1.5))
    promotion = Action(index=1, kind="promote", parents=(0,), rung=1)

    memory.remember(campaign.id, make_record(0, candidate, None, action=promotion, parents=()))

    (row,) = memory.connection.rows("SELECT * FROM lineage WHERE node = 0")
    assert (row["loss_nats"], row["failure"]) == (1.5, "")
    (failure,) = memory.connection.rows("SELECT * FROM failures")
    assert (failure["what"], failure["failure"]) == ("promotion", "it broke")


def test_an_experiment_with_a_broken_reference_leaves_nothing_behind(memory, campaign, make_candidate, make_record):
    unknown = make_candidate(99)
    before = memory.experiments(campaign.id)

    with pytest.raises(StoreError, match="FOREIGN KEY"):
        memory.remember(campaign.id, make_record(0, unknown))

    assert memory.experiments(campaign.id) == before
    assert memory.actions(campaign.id) == []


def test_statistics_of_nodes_are_set_without_touching_the_rest(memory, campaign, make_candidate, make_record):
    from types import SimpleNamespace

    candidate = make_candidate()
    memory.put_candidate(candidate)
    memory.remember(campaign.id, make_record(0, candidate))

    memory.put_node_statistics(campaign.id, {0: SimpleNamespace(visits=3, value=0.25)})

    baseline, made = memory.experiments(campaign.id)
    assert (made.visits, made.value) == (3, 0.25)
    assert (baseline.visits, baseline.value) == (0, None)


def test_the_same_claim_gathers_evidence_in_one_lesson(memory, campaign, make_candidate, make_record):
    for index, claim in enumerate(("Gates help recall.", "gates  help recall", "Depth does not.")):
        candidate = make_candidate(index)
        memory.put_candidate(candidate)
        verdict = Verdict(outcome="better", delta_nats=-0.1, lesson=claim)
        memory.remember(campaign.id, make_record(index, candidate, verdict=verdict))

    first, second = memory.lessons()

    assert (first.claim, len(first.supporting), first.campaigns) == ("Gates help recall.", 2, ("first",))
    assert (second.claim, len(second.supporting)) == ("Depth does not.", 1)
    assert memory.lessons(limit=1) == [first]
    assert memory.lessons(task_id="other-00000000") == []


def test_a_replay_is_no_further_evidence(memory, campaign, task, make_candidate, make_record):
    again = memory.start_campaign("again", task, 7, {"replay": "first"})
    candidate = make_candidate(1)
    memory.put_candidate(candidate)

    for row in (campaign, again):
        verdict = Verdict(outcome="better", delta_nats=-0.1, lesson="Gates help recall.")
        memory.remember(row.id, make_record(0, candidate, verdict=verdict, parents=(), parent_ids=()))

    (lesson,) = memory.lessons()
    assert (len(lesson.supporting), lesson.campaigns) == (1, ("first",))
    assert [known.verdict.lesson for known in memory.experiments(again.id)] == ["Gates help recall."]


def test_a_reply_is_found_again_and_failures_are_kept(memory, campaign):
    def call(reply: str | None, status: str) -> LlmCall:
        message = {"role": "user", "content": "half a pair: \ud800"}
        return LlmCall(
            key="k",
            role="planner",
            model="m",
            prompt_sha256="0",
            messages=(message,),
            reply=reply,
            status=status,
            prompt_tokens=10 if reply else None,
        )

    assert memory.find_llm_call("k") is None
    for each in (call(None, "http 500"), call("yes \ud800", "ok"), call("yes \ud800", "ok")):
        memory.put_llm_call(campaign.id, each)

    found = memory.find_llm_call("k")
    totals = memory.llm_totals(campaign.id)
    assert (found.reply, found.status) == ("yes ?", "ok")
    assert (totals.calls, totals.failed, totals.prompt_tokens, totals.by_role) == (2, 1, 10, {"planner": 2})
    assert memory.llm_totals(campaign.id + 1).calls == 0


def test_a_reply_of_another_campaign_is_noted_once_and_costs_nothing(memory, campaign, task):
    other = memory.start_campaign("second", task, 7, {})
    fields = {"key": "k", "role": "planner", "model": "m", "prompt_sha256": "0", "messages": (), "status": "ok"}
    made = LlmCall(**fields, action=3, tag="action=3", reply="yes", prompt_tokens=10, completion_tokens=2, seconds=1.5)
    memory.put_llm_call(campaign.id, made)

    for _ in range(2):
        memory.put_replayed_call(other.id, memory.find_llm_call("k", other.id))
        memory.put_replayed_call(campaign.id, made)

    (noted,) = memory.llm_calls(other.id, action=3)
    assert (noted.reply, noted.tag, noted.prompt_tokens, noted.seconds) == ("yes", "action=3", None, 0.0)
    assert memory.llm_calls(campaign.id) == [made]
    assert memory.llm_totals(other.id).calls == 0
    assert memory.llm_totals().calls == 1


def test_what_a_campaign_got_is_told_even_where_it_got_nothing(memory, campaign, task):
    other = memory.start_campaign("second", task, 7, {})
    fields = {"key": "k", "role": "planner", "model": "m", "prompt_sha256": "0", "messages": ()}
    failed = LlmCall(**fields, reply=None, status="timeout")
    answered = LlmCall(**fields, reply="yes", status="ok")

    memory.put_llm_call(campaign.id, failed)
    memory.put_llm_call(other.id, answered)

    assert memory.recorded_llm_call(campaign.id, "k") == failed
    assert memory.recorded_llm_call(other.id, "k") == answered
    assert memory.find_llm_call("k", campaign.id) == answered
    assert memory.recorded_llm_call(campaign.id, "l") is None


def test_the_share_of_repeated_prompts_is_that_of_the_calls_that_were_measured(memory, campaign):
    def put(key: str, prompt: int | None, prefix: int | None, cached: int | None) -> None:
        call = LlmCall(key=key, role="planner", model="m", prompt_sha256="", messages=(), reply="yes", status="ok")
        known = {"prompt_tokens": prompt, "prefix_tokens": prefix, "cached_tokens": cached}
        memory.put_llm_call(campaign.id, call.model_copy(update=known))

    assert memory.llm_totals(campaign.id).prefix_share is None
    for each in (("old", 1000, None, None), ("a", 100, 0, None), ("b", 300, 200, 90), ("failed", None, None, None)):
        put(*each)

    totals = memory.llm_totals(campaign.id)

    assert (totals.prefix_tokens, totals.prefix_share, totals.cached_share) == (200, 0.5, 0.3)
    assert [call.key for call in memory.llm_calls(campaign.id)] == ["old", "a", "b", "failed"]


def test_outside_knowledge_is_kept_once(memory):
    item = Knowledge(kind="block", title="Delta rule", text="Fast weights.", source="a paper")
    memory.put_knowledge(item)
    memory.put_knowledge(item)

    assert memory.knowledge() == [item]
    assert memory.knowledge("hint") == []


def test_weights_are_kept_by_content_and_damage_is_noticed(memory, make_candidate):
    digest = memory.artifacts.put_weights(b"weights")

    assert memory.artifacts.put_weights(b"weights") == digest
    assert memory.artifacts.weights(digest) == b"weights"
    memory.artifacts.weights_path(digest).write_bytes(b"other")
    with pytest.raises(StoreError, match="damaged"):
        memory.artifacts.weights(digest)
    with pytest.raises(NotFound, match="is gone"):
        memory.artifacts.weights("0" * 64)


def test_a_candidate_file_has_a_readable_name_inside_its_campaign(memory, make_candidate):
    candidate = make_candidate(title="../../Évil: a title / with \x00 dots")

    path = memory.artifacts.put_candidate("My campaign", candidate)

    assert path == memory.home / "artifacts" / "my-campaign" / f"{candidate.id[:10]}-vil-a-title-with-dots.py"
    assert path.read_text() == candidate.source
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_an_experiment_costs_little_space(memory, campaign, make_candidate, make_trial, make_record):
    def size() -> int:
        memory.connection.rows("PRAGMA wal_checkpoint(TRUNCATE)")
        return memory.path.stat().st_size

    before, experiments = size(), 50
    for index in range(experiments):
        source = f"# {index}\n" + "\n".join(f"    x{line} = self.mix_{line}(x)" for line in range(150))
        candidate = make_candidate(index, source=source)
        memory.put_candidate(candidate)
        curve = tuple((step, 5.0 / step) for step in range(1, 500))
        memory.put_trial(campaign.id, make_trial(candidate, curve=curve))
        gates = [GateReport(gate=f"gate{n}", passed=True, message="m" * 80) for n in range(15)]
        memory.put_gates(candidate.id, campaign.task.id, gates)
        memory.remember(campaign.id, make_record(index, candidate))

    assert (size() - before) / experiments < 50_000

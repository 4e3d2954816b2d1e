from __future__ import annotations

import json
from dataclasses import asdict

import pytest

from netwright.errors import ConfigError, NotFound
from netwright.memory import Attempt, query
from netwright.memory.differences import diff, recipe_of
from netwright.memory.overview import failures, sql, stats, tree
from netwright.types import Action, GateReport, Score, Split, TrialStatus, Usage, Verdict


@pytest.fixture
def designs(memory, campaign, make_candidate, make_trial, make_record):
    """Node 0 beats the baseline and has a child, node 1, at rung 1; node 2 crashed after a rejected try."""
    good = make_candidate(0, title="Gated decay", source="GATE = 0\nRECIPE = {'lr': 0.001}\n")
    child = make_candidate(1, title="Gated decay, doubled", source="GATE = 1\nRECIPE = {'lr': 0.002}\n")
    broken, rejected = make_candidate(2, title="Broken"), make_candidate(3, title="Leaky")
    for candidate in (good, child, broken, rejected):
        memory.put_candidate(candidate)
    memory.put_trial(campaign.id, make_trial(good, 1.5))
    memory.put_trial(campaign.id, make_trial(good, 1.52, seed=2))
    memory.put_trial(campaign.id, make_trial(child, 1.45))
    memory.put_trial(campaign.id, make_trial(child, 1.2, rung=1, tokens=3000))
    memory.put_trial(campaign.id, make_trial(broken, None, reason="exploded", last_output="Traceback: no"))
    leak = GateReport(gate="causality", passed=False, message="position 3 sees 7")
    memory.put_gates(rejected.id, campaign.task.id, [GateReport(gate="size", passed=True), leak])
    memory.remember(campaign.id, make_record(0, good))
    memory.remember(campaign.id, make_record(1, child, parents=(0, -1), parent_ids=(good.id,)))
    promotion = Action(index=9, kind="promote", parents=(1,), rung=1)
    score = Score(value=-1.2, standard_error=0.03, rung=1, seeds=1)
    memory.remember(campaign.id, make_record(1, child, action=promotion, score=score, parents=()))
    attempts = (Attempt(candidate_id=rejected.id, failure="position 3 sees 7", stage="gate: causality"),)
    memory.remember(campaign.id, make_record(2, broken, None, attempts=attempts))
    memory.remember(campaign.id, make_record(3, None, None, stage="planner", failure="no reply"))
    return {"good": good, "child": child, "broken": broken, "rejected": rejected}


def test_top_ranks_by_rung_then_loss_and_marks_baselines(memory, designs):
    rows = query.top(memory)

    assert [(row.rank, row.title, row.rung, row.is_baseline) for row in rows] == [
        (1, "Gated decay, doubled", 1, False),
        (2, "Gated decay", 0, False),
        (3, "Softmax attention", 0, True),
    ]
    assert rows[1].loss_nats == pytest.approx(1.51)
    assert (rows[1].seeds, rows[1].parameters, rows[1].tokens_per_second) == (2, 100_000, 500.0)
    assert rows[0].standard_error == 0.03
    assert rows[0].metric == "bits per byte"
    assert rows[0].metric_value == pytest.approx(1.2 / 0.6931471805599453)


def test_top_can_be_narrowed(memory, task, designs):
    assert [row.rank for row in query.top(memory, limit=1)] == [1]
    assert len(query.top(memory, baselines=False)) == 2
    assert len(query.top(memory, task="bytes", campaign="first")) == 3
    assert query.top(memory, task=task.id) == query.top(memory)
    assert query.top(memory, task="recall") == []
    memory.start_campaign("empty", task, 1, {})
    assert query.top(memory, campaign="empty") == []
    with pytest.raises(NotFound, match="known: first, empty"):
        query.top(memory, campaign="nope")


def test_results_on_the_locked_split_never_rank(memory, campaign, designs, make_trial):
    before = query.top(memory)
    for rung in (0, 1):
        memory.put_trial(campaign.id, make_trial(designs["good"], 0.1, rung=rung, split=Split.TEST))

    assert query.top(memory) == before


def test_show_tells_everything_about_one_candidate(memory, designs):
    shown = query.show(memory, designs["child"].id[:10])

    assert shown.candidate["title"] == "Gated decay, doubled"
    assert [(row["node"], row["parent_node"]) for row in shown.nodes] == [(1, 0), (1, -1)]
    assert [trial["rung"] for trial in shown.trials] == [0, 1]
    assert [score["value"] for score in shown.scores] == [-1.5, -1.2]
    assert shown.verdicts[0]["words"] == "It helped."
    assert [child["title"] for child in query.show(memory, designs["good"].id).children] == ["Gated decay, doubled"]
    rejected = query.show(memory, designs["rejected"].id)
    assert [(gate["gate"], gate["passed"]) for gate in rejected.gates] == [("size", 1), ("causality", 0)]
    assert rejected.attempts[0]["stage"] == "gate: causality"
    json.dumps(asdict(shown), allow_nan=False)


def test_diff_shows_source_recipe_and_numbers(memory, designs):
    difference = diff(memory, designs["good"].id, designs["child"].id)

    assert "-GATE = 0\n" in difference.source
    assert "+GATE = 1\n" in difference.source
    assert difference.recipe == {"lr": (0.001, 0.002)}
    (delta,) = difference.measurements
    assert (delta.rung, delta.seeds) == (0, (2, 1))
    assert delta.delta_nats == pytest.approx(1.45 - 1.51)
    assert delta.standard_error == pytest.approx((0.01**2 + 0.02**2) ** 0.5)
    assert difference.parameters == (100_000, 100_000)
    json.dumps(asdict(difference), allow_nan=False)


def test_a_recipe_that_is_no_recipe_does_not_break_a_diff():
    for source in ("RECIPE = open('x')", "RECIPE = [1]", "def f(:", "RECIPE: dict = {}", "a, b = 1, 2", ""):
        assert recipe_of(source) == {}
    for source in ("RECIPE = {[]: 1}", "RECIPE = {'lr': {1, 2}}", "RECIPE = {'lr': b'1'}", "x = " + "-" * 60_000 + "1"):
        assert recipe_of(source) == {}
    assert recipe_of("RECIPE = {'lr': 1e999}") == {"lr": None}


def test_tree_lists_parents_before_children_with_depth(memory, designs):
    rows = tree(memory)

    assert [(row.depth, row.node, row.parent, row.other_parents) for row in rows] == [
        (0, -1, None, ()),
        (1, 0, -1, ()),
        (2, 1, 0, (-1,)),
        (1, 2, -1, ()),
        (1, 3, -1, ()),
    ]
    assert (rows[2].loss_nats, rows[2].rung) == (1.2, 1)
    assert (rows[3].failure, rows[3].loss_nats) == ("it broke", None)


def test_failures_are_grouped_by_stage_with_their_last_output(memory, designs):
    groups = {group.stage: group for group in failures(memory, "first")}

    assert {stage: group.count for stage, group in groups.items()} == {
        "training: crashed": 1,
        "gate: causality": 1,
        "planner": 1,
    }
    assert groups["training: crashed"].failures[0].last_output == "Traceback: no"
    assert groups["gate: causality"].failures[0].what == "attempt"
    assert groups["planner"].failures[0].title is None


def test_output_written_beside_the_test_split_is_no_failures_last_output(memory, campaign, designs, make_trial):
    confirmed = make_trial(designs["broken"], None, split=Split.TEST, last_output="words of the test split")
    memory.put_trial(campaign.id, confirmed)

    (crashed,) = [group for group in failures(memory, "first") if group.stage == "training: crashed"]

    assert {each.what: each.last_output for each in crashed.failures} == {
        "experiment": "Traceback: no",
        "training": "",
    }


def test_stats_count_what_was_done(memory, designs):
    known = stats(memory, "first")

    assert (known.campaigns, known.experiments, known.candidates) == (1, 4, 4)
    assert known.trials == {"done": 5, "crashed": 1}
    assert known.training_seconds == 12.0
    assert known.trained_tokens == 7000
    assert known.rejected_by_gate == {"causality": 1}
    assert known.operators == [{"operator": "refine", "made": 4, "failed": 2, "better": 2}]
    assert known.database_bytes > 0
    assert stats(memory).experiments == 4


def test_pareto_keeps_what_nothing_beats_in_loss_and_speed(memory, campaign, make_candidate, make_trial):
    for number, (loss, seconds) in enumerate([(1.0, 4.0), (1.1, 2.0), (1.2, 3.0), (1.3, 1.0), (1.4, 1.0)]):
        candidate = make_candidate(number)
        memory.put_candidate(candidate)
        memory.put_trial(campaign.id, make_trial(candidate, loss, usage=Usage(wall_seconds=seconds)))

    rows = memory.connection.rows("SELECT title FROM pareto")

    assert [row["title"] for row in rows] == ["Design 0", "Design 1", "Design 3"]


def test_sql_answers_selects_of_tables_views_and_indexes(memory, designs):
    counted = sql(memory, "SELECT count(*) AS n FROM leaderboard")
    assert (counted.columns, counted.rows, counted.truncated) == (("n",), [(3,)], False)

    found = sql(memory, "SELECT rowid FROM candidates_fts WHERE candidates_fts MATCH 'doubled'")
    assert len(found.rows) == 1
    assert sql(memory, "WITH x AS (SELECT 1 AS a) SELECT a FROM x").rows == [(1,)]
    assert sql(memory, "PRAGMA table_info(nodes)").rows[0][1] == "id"
    assert sql(memory, "SELECT id FROM trials", limit=2).truncated


@pytest.mark.parametrize(
    "query_text",
    [
        "DELETE FROM trials",
        "UPDATE nodes SET value = 1",
        "INSERT INTO meta VALUES ('a', 'b')",
        "DROP TABLE trials",
        "CREATE TABLE x (y)",
        "CREATE TEMP TABLE x (y)",
        "PRAGMA user_version = 9",
        "PRAGMA journal_mode = DELETE",
        "ATTACH ':memory:' AS other",
        "VACUUM",
        "BEGIN IMMEDIATE",
        "SELECT load_extension('x')",
        "WITH x AS (SELECT 1) DELETE FROM trials",
        "INSERT INTO candidates_fts(candidates_fts) VALUES ('rebuild')",
    ],
)
def test_sql_refuses_everything_that_does_more_than_read(memory, designs, query_text):
    with pytest.raises(ConfigError, match="only SELECT"):
        sql(memory, query_text)

    assert len(memory.trials()) == 6


def test_sql_names_what_is_wrong_with_a_query(memory):
    with pytest.raises(ConfigError, match="no such table: nope"):
        sql(memory, "SELECT * FROM nope")
    with pytest.raises(ConfigError, match="one SQL statement"):
        sql(memory, "SELECT 1; SELECT 2")
    with pytest.raises(ConfigError, match='near "SELEC"'):
        sql(memory, "SELEC 1")
    endless = "WITH RECURSIVE x(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM x) SELECT max(n) FROM x"
    with pytest.raises(ConfigError, match="longer than 0.2 s"):
        sql(memory, endless, timeout_seconds=0.2)


def test_a_verdict_names_its_rival(memory, campaign, make_candidate, make_record, designs):
    candidate = make_candidate(7)
    memory.put_candidate(candidate)
    verdict = Verdict(outcome="worse", rival_id=designs["good"].id, delta_nats=0.2)
    memory.remember(campaign.id, make_record(7, candidate, verdict=verdict))

    (row,) = query.show(memory, candidate.id).verdicts

    assert (row["outcome"], row["rival_title"], row["delta_nats"]) == ("worse", "Gated decay", 0.2)


def test_a_diverged_trial_never_ranks(memory, campaign, make_candidate, make_trial):
    candidate = make_candidate(8)
    memory.put_candidate(candidate)
    memory.put_trial(campaign.id, make_trial(candidate, None, status=TrialStatus.DIVERGED))

    assert [row.title for row in query.top(memory)] == ["Softmax attention"]


def test_the_leaderboard_finds_trials_by_their_candidate(memory):
    """By their task it would look at all trials for each candidate."""
    plan = [row["detail"] for row in memory.connection.rows("EXPLAIN QUERY PLAN SELECT * FROM leaderboard")]

    (step,) = [step for step in plan if step.startswith("SEARCH t ")]
    assert "(candidate_id=?" in step

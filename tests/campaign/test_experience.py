"""A search starts from what earlier campaigns on the same task found, and from the same however often it is killed."""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from netwright.agents.grammar_planner import GrammarPlanner
from netwright.campaign.chronicle import Chronicle
from netwright.campaign.experience import DESIGNS_MAX, recalled
from netwright.campaign.opening import begin_or_continue
from netwright.campaign.readings import trained_structure
from netwright.campaign.sketchbook import Sketchbook
from netwright.config import CampaignConfig
from netwright.config_file import load_config
from netwright.errors import ConfigError
from netwright.evaluator.tasks import load_task
from netwright.memory import archive
from netwright.memory.importing import bring_in
from netwright.memory.records import ExperimentRecord
from netwright.memory.store import Memory
from netwright.search.tree import TreePolicy
from netwright.types import (
    Action,
    Candidate,
    Operator,
    Scope,
    Score,
    TaskSpec,
    Trial,
    TrialStatus,
    Usage,
)

TASK = load_task("recall", rung_tokens=(2048, 4096))
CONFIG = CampaignConfig(name="new", task="recall")
CHRONICLE = Chronicle(TASK.spec, seed=3, mixer_parameters=34_000)
Netwright = Callable[..., "subprocess.CompletedProcess[str]"]


def drafts(count: int) -> list[Candidate]:
    """Designs of the grammar, all different."""
    actions = (Action(index=index, kind="expand", operator=Operator.DRAFT) for index in range(count))
    proposals = (GrammarPlanner().sketch(CHRONICLE.context(action)).proposal() for action in actions)
    return [proposal.candidate(Scope.MIXER) for proposal in proposals]


DRAFTS = drafts(6)


def searched(
    memory: Memory,
    name: str,
    values: Sequence[float | None],
    *,
    task: TaskSpec = TASK.spec,
    url: str | None = None,
    first: int = 0,
    designs: Sequence[Candidate] = DRAFTS,
    replay: str | None = None,
) -> int:
    """A campaign in which each of the designs in turn got that score, or failed; its number."""
    known = next((row.id for row in memory.campaigns() if row.name == name), None)
    config = {"search": {"policy": "tree"}, "llm": {"url": url}, "replay": replay}
    row = known or memory.start_campaign(name, task, 0, config).id
    for index, value in enumerate(values, first):
        candidate = designs[index % len(designs)]
        memory.put_candidate(candidate)
        score = None if value is None else Score(value=value, standard_error=0.01, rung=0, seeds=1)
        record = ExperimentRecord(
            node=index,
            action=Action(index=index, kind="expand", operator=Operator.DRAFT),
            operator=Operator.DRAFT,
            candidate_id=candidate.id,
            score=score,
            failure="" if score else "loss is nan",
        )
        memory.remember(row, record)
    return row


def book(memory: Memory) -> Sketchbook:
    return Sketchbook(GrammarPlanner(), TASK.spec, partial(trained_structure, memory))


def beginning(memory: Memory, config: CampaignConfig = CONFIG) -> dict[str, int]:
    """What the stored settings of a new campaign say that it starts from."""
    chosen: dict[str, int] = begin_or_continue(memory, config, TASK).config["search"]["warm"]
    return chosen


@pytest.fixture
def memory(tmp_path: Path) -> Memory:
    return Memory.open(tmp_path / "home")


def test_a_search_starts_from_the_same_task_at_any_budget_and_from_no_other(memory: Memory) -> None:
    searched(memory, "short", [-1.0, -2.0, -3.0, -4.0], task=load_task("recall", rung_tokens=(512,)).spec)
    searched(memory, "elsewhere", [-1.0, -2.0, -3.0, -4.0], task=load_task("compression").spec)
    searched(memory, "same", [-4.0, -3.0, -2.0, -1.0, -5.0])
    searched(memory, "hardly begun", [-1.0, -2.0, -3.0])

    assert list(beginning(memory).items()) == [("same", 5), ("short", 4)]


def test_a_replay_has_found_nothing_of_its_own(memory: Memory) -> None:
    searched(memory, "same", [-1.0, -2.0, -3.0, -4.0])
    searched(memory, "again", [-1.0, -2.0, -3.0, -4.0], replay="same")

    assert beginning(memory) == {"same": 4}


def test_a_search_starts_from_what_another_memory_found_though_losses_do_not_compare(
    memory: Memory, tmp_path: Path
) -> None:
    searched(memory, "ours", [-4.0, -3.0, -2.0, -1.0])
    with Memory.open(tmp_path / "other") as other:
        searched(other, "theirs", [-4.0, -3.0, -2.0, -1.0, -5.0])
    archive.write(tmp_path / "other", tmp_path / "file", weights=True, on_part=lambda name, size: None)
    bring_in(memory.home, tmp_path / "file", hold=lambda name: nullcontext())

    chosen = beginning(memory)

    assert memory.campaign("theirs").task.id != TASK.spec.id and chosen == {"theirs": 5, "ours": 4}
    assert [len(search) for search in recalled(memory, chosen, book(memory)).searches] == [5, 4]


def test_designs_count_with_their_first_score_and_failures_not_at_all(memory: Memory) -> None:
    row = searched(memory, "same", [-4.0, None, -2.0, -1.0, -5.0])
    promotion = Action(index=5, kind="promote", parents=(0,), rung=1)
    longer = Score(value=-0.5, standard_error=0.01, rung=1, seeds=1)
    memory.remember(
        row,
        ExperimentRecord(node=0, action=promotion, operator=Operator.DRAFT, candidate_id=DRAFTS[0].id, score=longer),
    )

    experience = recalled(memory, beginning(memory), book(memory))

    own = [book(memory).know(DRAFTS[index]) for index in (0, 2, 3, 4)]
    assert experience.searches == [list(zip(own, [-4.0, -2.0, -1.0, -5.0], strict=True))]
    assert experience.news == ["the search starts from 4 designs of 1 earlier campaign on similar tasks"]


def test_what_others_find_meanwhile_does_not_change_where_a_campaign_started(memory: Memory) -> None:
    searched(memory, "same", [-4.0, -3.0, -2.0, -1.0])
    chosen = beginning(memory)
    before = recalled(memory, chosen, book(memory))

    searched(memory, "same", [-0.1, -0.2], first=4)
    searched(memory, "later", [-4.0, -3.0, -2.0, -1.0])

    assert beginning(memory, CONFIG.model_copy(update={"workers": 7})) == chosen == {"same": 4}
    assert recalled(memory, chosen, book(memory)) == before


def test_a_campaign_that_an_older_netwright_began_keeps_starting_from_nothing(memory: Memory) -> None:
    searched(memory, "same", [-4.0, -3.0, -2.0, -1.0])
    stored = CONFIG.model_dump(mode="json") | {"in_flight": 4, "search": {"policy": "tree"}}
    memory.start_campaign("new", TASK.spec, 0, stored)

    assert beginning(memory) == {}


def test_no_news_where_there_is_nothing_to_start_from(memory: Memory) -> None:
    assert beginning(memory) == {}
    assert recalled(memory, {}, book(memory)).news == []


def test_a_search_that_is_not_to_be_warm_starts_from_nothing(memory: Memory) -> None:
    searched(memory, "same", [-4.0, -3.0, -2.0, -1.0])

    assert beginning(memory, load_config(None, {"name": "new", "task": "recall", "search.warm": False})) == {}


def test_campaigns_on_other_tasks_are_learned_from_where_they_are_named(memory: Memory) -> None:
    searched(memory, "same", [-4.0, -3.0, -2.0, -1.0])
    searched(memory, "elsewhere", [-1.0, -2.0, -3.0, -4.0, -5.0, -6.0], task=load_task("compression").spec)

    named = load_config(None, {"name": "new", "task": "recall", "search.warm": {"elsewhere": 5}})

    assert beginning(memory, named) == {"elsewhere": 5}
    assert [len(search) for search in recalled(memory, {"elsewhere": 5}, book(memory)).searches] == [5]


def test_a_named_campaign_that_does_not_exist_is_named_in_the_complaint(memory: Memory) -> None:
    searched(memory, "same", [-4.0, -3.0, -2.0, -1.0])
    named = load_config(None, {"name": "new", "task": "recall", "search.warm": {"sane": 5}})

    with pytest.raises(ConfigError, match=r"search.warm: there is no campaign 'sane' .* known here: same"):
        beginning(memory, named)
    assert [row.name for row in memory.campaigns()] == ["same"]


@pytest.mark.parametrize("value", ['"all"', "3", "{ text = 0 }", '{ text = "all" }', "[1]"])
def test_another_kind_of_beginning_is_explained(tmp_path: Path, value: str) -> None:
    file = tmp_path / "campaign.toml"
    file.write_text(f"[search]\nwarm = {value}\n")

    with pytest.raises(ConfigError, match=r"line 2: search.warm: expected true, false, or a table of campaigns"):
        load_config(file, {})


def test_what_is_gone_from_the_memory_is_told_and_the_rest_counts(memory: Memory) -> None:
    searched(memory, "same", [-4.0, -3.0, -2.0, -1.0])

    experience = recalled(memory, {"deleted": 20, "same": 6}, book(memory))

    assert [len(search) for search in experience.searches] == [4]
    assert "began with 22 designs of earlier ones that are not in this memory" in experience.news[1]


def test_what_ran_without_isolation_is_left_out_unless_this_campaign_does_without_too(memory: Memory) -> None:
    row = searched(memory, "same", [-4.0, -3.0, -2.0, -1.0])
    key = {"candidate_id": DRAFTS[0].id, "task_id": TASK.spec.id, "rung": 0, "seed": 0, "split": "validation"}
    memory.put_trial(row, Trial(**key, status=TrialStatus.DONE, loss_nats=4.0, usage=Usage(tier="T0")))

    assert beginning(memory) == {}
    reckless = load_config(None, {"name": "reckless", "task": "recall", "sandbox.accept_no_sandbox": True})
    assert beginning(memory, reckless) == {"same": 4}


def test_the_grammar_learns_from_the_grammar_and_an_llm_from_both(memory: Memory) -> None:
    searched(memory, "grammar", [-4.0, -3.0, -2.0, -1.0])
    searched(memory, "llm", [-4.0, -3.0, -2.0, -1.0], url="http://localhost/v1")

    assert beginning(memory) == {"grammar": 4}
    asking = load_config(None, {"name": "asking", "task": "recall", "llm.url": "http://localhost/v1"})
    assert beginning(memory, asking) == {"llm": 4, "grammar": 4}


def test_sources_are_told_with_the_sizes_that_their_first_training_showed(memory: Memory) -> None:
    row = searched(memory, "same", [-4.0])
    key = {"candidate_id": DRAFTS[0].id, "task_id": TASK.spec.id, "rung": 0, "split": "validation"}
    before = trained_structure(memory, DRAFTS[0], TASK.spec)
    for seed, parameters in enumerate((99_999, 9)):
        done = Trial(
            **key, seed=seed, status=TrialStatus.DONE, loss_nats=4.0, parameters=parameters, flops_per_token=999.0
        )
        memory.put_trial(row, done)

    found = trained_structure(memory, DRAFTS[0], TASK.spec)

    sizes = {"log10 parameters": 5.0, "log10 flops per token": 3.0}
    assert found == before.model_copy(update={"numbers": {**before.numbers, **sizes}})
    assert before.numbers["log10 lr"] and not sizes.keys() & before.numbers.keys()


def test_a_long_search_is_thinned_evenly(memory: Memory) -> None:
    searched(memory, "long", [-float(index) for index in range(DESIGNS_MAX + 200)])
    searched(memory, "latest", [-4.0, -3.0, -2.0, -1.0])

    latest, long = recalled(memory, beginning(memory), book(memory)).searches

    assert (len(latest), len(long)) == (4, DESIGNS_MAX - 4)
    values = [-value for _, value in long]
    assert values == sorted(values) and values[-1] > DESIGNS_MAX + 190


@pytest.mark.slow
def test_a_memory_of_ten_thousand_experiments_delays_the_start_by_less_than_a_second(memory: Memory) -> None:
    designs, rng = drafts(DESIGNS_MAX), np.random.default_rng(0)
    for number in range(100):
        own = designs[number % 6 * 100 :][:100]
        searched(memory, f"campaign {number}", rng.normal(size=100).tolist(), designs=own)
    assert memory.connection.row("SELECT count(*) AS n FROM scores")["n"] == 10_000

    started = time.process_time()
    experience = recalled(memory, beginning(memory), book(memory))
    TreePolicy(seed=0, prices=[1.0, 3.0]).warm(experience.searches)
    spent = time.process_time() - started

    assert sum(map(len, experience.searches)) == DESIGNS_MAX
    assert spent < 1.0


def outcome(home: Path, name: str) -> tuple[object, ...]:
    """What a campaign began with and came to, without anything that a clock decides."""
    with Memory.open(home, create=False, read_only=True) as memory:
        row = memory.campaign(name)
        told = [(known.node, known.candidate_id, known.score, known.failure) for known in memory.experiments(row.id)]
        return row.status, row.config["search"]["warm"], memory.actions(row.id), told


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_killed_and_resumed_while_another_campaign_wrote_it_comes_to_what_it_would_have_undisturbed(
    tmp_path: Path, campaign_file: Callable[..., Path], start: Callable[..., subprocess.Popen[bytes]], netwright: Any
) -> None:
    calm, stormy = tmp_path / "calm", tmp_path / "stormy"
    file = campaign_file(trials=3, baselines=["gated_convolution"], top="workers = 1\nin_flight = 2")
    with Memory.open(calm) as memory:
        searched(memory, "first", [-4.0, -3.0, -2.0, -1.0, -5.0, -2.5])
    shutil.copytree(calm, stormy)
    undisturbed = netwright("run", file, "--home", calm, "--name", "second", timeout=250)
    assert undisturbed.returncode == 0, undisturbed.stderr

    child = start("run", file, "--home", stormy, "--name", "second")
    deadline = time.monotonic() + 200
    while not asked(stormy, "second") >= 2:
        assert child.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert netwright("run", file, "--home", stormy, "--name", "third", "--seed", 2, timeout=250).returncode == 0
    resumed = netwright("run", file, "--home", stormy, "--name", "second", timeout=250)

    assert resumed.returncode == 0, resumed.stderr
    for session in (undisturbed, resumed):
        assert "the search starts from 6 designs of 1 earlier campaign on similar tasks" in session.stderr
    assert outcome(stormy, "second") == outcome(calm, "second")
    assert outcome(stormy, "second")[1] == {"first": 6}
    with Memory.open(stormy, create=False, read_only=True) as memory:
        assert len(memory.first_scores(memory.campaign("third").id)) >= 4, "so that there was something to be misled by"


def asked(home: Path, name: str) -> int:
    with Memory.open(home, create=False, read_only=True) as memory:
        known = [row.id for row in memory.campaigns() if row.name == name]
        return sum(len(memory.actions(number)) for number in known)

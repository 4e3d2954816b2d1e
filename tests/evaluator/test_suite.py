"""A suite: several tasks, one number; every part of it is an ordinary trial of one task."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from netwright.campaign.laboratories import TrialsInMemory
from netwright.errors import ConfigError
from netwright.evaluator.baselines import baseline
from netwright.evaluator.composite import suite_error, suite_loss, task_score
from netwright.evaluator.suite import SuiteLaboratory, laboratory_for
from netwright.evaluator.tasks import Member, Suite, Task, load_suite, load_task
from netwright.evaluator.tasks.suite import suite_of
from netwright.memory.store import Memory
from netwright.sandbox.runner import Sandbox
from netwright.types import Candidate, Recipe, Rung, Scope, Split, TrialStatus

KEY = bytes(range(32))
SMALL = {
    "dim": 16,
    "heads": 2,
    "parameters": 12_000,
    "recipe": Recipe(batch_size=8),
    "rungs": (Rung(level=0, tokens=5_120), Rung(level=1, tokens=10_240)),
    "validation_rows": 32,
    "test_rows": 48,
}
SHORT_ONLY = '''"""Refuses rows of more than 32 tokens"""
import torch

class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.value = torch.nn.Linear(dim, dim)
        self.rows_are_long = max_len > 32

    def forward(self, x):
        if self.rows_are_long and self.training and x.shape[0] > 4:
            raise ValueError("too long for me")
        return self.value(x)
'''


def small(name: str) -> Task:
    task = load_task(name)
    return dataclasses.replace(task, spec=task.spec.model_copy(update=SMALL))  # type: ignore[type-var]


@pytest.fixture(scope="module")
def suite() -> Suite:
    return suite_of("pair", "two small tasks", [small("recall"), small("s3")], [0.5, 0.3])


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Memory]:
    with Memory.open(tmp_path, evaluation_key=KEY) as memory:
        yield memory


@pytest.fixture
def laboratory(sandbox: Sandbox, suite: Suite, memory: Memory) -> SuiteLaboratory:
    laboratory = laboratory_for(sandbox, suite, KEY, known=TrialsInMemory(memory))
    assert isinstance(laboratory, SuiteLaboratory)
    return laboratory


# The number


def test_the_reference_has_zero_and_who_is_better_everywhere_has_less():
    references, scales = [2.0, 1.0], [0.1, 0.5]

    assert suite_loss(references, references, scales) == 0.0
    assert suite_loss([1.9, 0.9], references, scales) < suite_loss([1.95, 1.0], references, scales) < 0.0


def test_no_task_counts_for_more_than_its_share():
    assert suite_loss([0.0, 1.2, 1.2], [100.0, 1.0, 1.0], [0.1, 0.1, 0.1]) > 0.0
    assert abs(task_score(-1e6, 1e6, 0.1)) <= 1.0


def test_where_differences_are_small_the_score_is_proportional_to_them():
    assert task_score(1.99, 2.0, 1.0) == pytest.approx(0.01, rel=1e-3)


def test_the_standard_error_is_what_repeated_measurement_would_show():
    losses, errors, references, scales = [1.9, 1.2], [0.02, 0.05], [2.0, 1.0], [0.2, 0.5]
    drawn = np.random.default_rng(0).normal(losses, errors, size=(20_000, 2))

    found = np.std([suite_loss(list(each), references, scales) for each in drawn])

    assert suite_error(losses, errors, references, scales) == pytest.approx(found, rel=0.05)


# What a suite is


def test_a_rung_of_the_suite_costs_that_rung_of_all_its_tasks(suite):
    assert [rung.tokens for rung in suite.spec.rungs] == [2 * 5_120, 2 * 10_240]
    assert suite.spec.validation_rows == 64


def test_its_spec_is_that_of_the_tightest_task():
    roomy, tight = small("recall"), small("s3")
    tight = dataclasses.replace(tight, spec=tight.spec.model_copy(update={"parameters": 9_000}))  # type: ignore[type-var]

    assert suite_of("pair", "", [roomy, tight], [1.0, 1.0]).spec.parameters == 9_000


def test_another_scale_or_another_task_is_another_suite(suite):
    rescaled = suite_of("pair", "two small tasks", suite.tasks, [0.5, 0.4])
    other = suite.of([suite.tasks[0], small("s5")])

    assert len({suite.spec.id, rescaled.spec.id, other.spec.id}) == 3


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ([Member("recall", 1.0)], "at least two tasks"),
        ([Member("recall", 1.0), Member("recall", 1.0)], "each once"),
        ([Member("recall", 1.0), Member("digits", 1.0)], "scope mixer"),
        ([Member("recall", 1.0), Member("s3", 0.0)], "positive"),
        ([Member("recall", 1.0), Member("suite", 1.0)], "name its tasks"),
        ([Member("recall", 1.0), Member("no-such", 1.0)], "no task 'no-such'"),
    ],
)
def test_tasks_that_cannot_stand_together_are_refused(members, words):
    with pytest.raises(ConfigError, match=words):
        load_suite("mine", "", members)


def test_data_is_for_the_tasks_that_read_it(tmp_path):
    (tmp_path / "text.txt").write_text("to be or not to be, " * 3_000)
    members = [Member("bytes", 0.1), Member("recall", 0.5)]

    assert load_suite("mine", "", members, tmp_path).spec.id != load_suite("mine", "", members).spec.id
    with pytest.raises(ConfigError, match="takes data"):
        load_suite("mine", "", members[1:] + [Member("s3", 0.5)], tmp_path)


def test_budgets_of_a_suite_are_shared_equally():
    loaded = load_task("suite", rung_tokens=(60_000, 240_000))

    assert {task.spec.rungs[0].tokens for task in loaded.tasks} == {60_000 // len(loaded.tasks)}


def test_a_file_may_define_one(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(
        "from netwright.evaluator.tasks import Member, load_suite\n"
        'TASK = load_suite("mine", "recall and state", [Member("recall", 0.5), Member("s3", 0.3)])\n'
    )

    assert load_task(str(path)).names == ("recall", "s3")


# Trials


def test_a_trial_is_one_training_per_task_and_each_is_remembered(laboratory, memory, suite):
    design = baseline("gated_convolution")

    trial = laboratory.trial(design, rung=0, seed=0)

    parts = {task.spec.name: memory.trials(task.spec.id, design.id) for task in suite.tasks}
    references = [memory.trials(task.spec.id, baseline("softmax_attention").id)[0].loss_nats for task in suite.tasks]
    losses = [parts[name][0].loss_nats for name in suite.names]
    assert trial.status is TrialStatus.DONE
    assert trial.loss_nats == suite_loss(losses, references, suite.scales_nats)
    assert trial.metrics == {"recall_nats": losses[0], "s3_nats": losses[1]}
    assert trial.tokens == sum(part[0].tokens for part in parts.values())
    assert trial.task_id == suite.spec.id


def test_what_is_known_is_not_trained_again(laboratory, memory, suite):
    design = baseline("gated_convolution")
    first = laboratory.trial(design, rung=0, seed=0)
    known = len(memory.trials())

    again = laboratory.trial(design, rung=0, seed=0)

    assert again == first
    assert len(memory.trials()) == known


def test_the_reference_has_zero_with_the_seed_that_it_is_measured_with(laboratory):
    assert laboratory.trial(baseline("softmax_attention"), rung=0, seed=0).loss_nats == 0.0
    assert laboratory.trial(baseline("softmax_attention"), rung=0, seed=1).loss_nats != 0.0


def test_the_locked_split_is_scored_against_the_same_constant(laboratory, memory, suite):
    trial = laboratory.trial(baseline("gated_convolution"), rung=0, seed=1000, split=Split.TEST)

    opened = memory.trials(split=Split.TEST)
    assert trial.split is Split.TEST
    assert {known.candidate_id for known in opened} == {baseline("gated_convolution").id}


def test_a_trial_that_fails_on_one_task_says_which_and_trains_no_further(laboratory, memory, suite):
    picky = Candidate(source=SHORT_ONLY, scope=Scope.MIXER, title="picky", hypothesis="", origin="file")

    trial = laboratory.trial(picky, rung=0, seed=0)

    long = next(task.spec.name for task in suite.tasks if task.spec.max_len > 32)
    assert (trial.status, trial.loss_nats) == (TrialStatus.CRASHED, None)
    assert f"on task {long}: " in trial.reason and "too long for me" in trial.reason


def test_a_gate_that_rejects_names_the_task(laboratory):
    broken = SHORT_ONLY.replace("and self.training and x.shape[0] > 4", "")

    reports = laboratory.check(
        Candidate(source=broken, scope=Scope.MIXER, title="broken", hypothesis="", origin="file")
    )

    rejected = [report for report in reports if report.rejects]
    assert rejected and rejected[0].message.startswith("on task ")


def test_an_honest_design_passes_the_gates_of_all_tasks(laboratory):
    assert not any(report.rejects for report in laboratory.check(baseline("gated_convolution")))


def test_measures_are_those_of_the_first_task_and_belong_to_the_suite(laboratory, suite):
    measures = laboratory.measure(baseline("gated_convolution"))

    assert measures.task_id == suite.spec.id
    assert measures.inference[0].length == suite.tasks[0].spec.max_len

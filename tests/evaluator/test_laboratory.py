"""The laboratory with a real sandbox: what a caller can rely on. Attacks are in the red team's tests."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterator

import pytest
from safetensors.numpy import load

from netwright.evaluator.contract import title_and_hypothesis
from netwright.evaluator.laboratory import Laboratory, LaboratoryLimits
from netwright.evaluator.offered import OFFERED
from netwright.evaluator.replies import DYNAMIC_GATES
from netwright.evaluator.tasks import Task, load_task
from netwright.portrait import Portrait
from netwright.sandbox.isolation import Tier
from netwright.sandbox.runner import Sandbox
from netwright.types import Candidate, Recipe, Rung, Scope, Split, TrialStatus

KEY = bytes(range(32))
SOURCE = '''"""Running mean"""
import torch

class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.value = torch.nn.Linear(dim, dim)

    def forward(self, x):
        position = torch.arange(1, x.shape[1] + 1, dtype=x.dtype)
        return self.value(x).cumsum(1) / position[:, None]
'''


def candidate(source: str = SOURCE) -> Candidate:
    title, hypothesis = title_and_hypothesis(source)
    return Candidate(source=source, scope=Scope.MIXER, title=title, hypothesis=hypothesis, origin="file")


@pytest.fixture(scope="module")
def task() -> Task:
    recall = load_task("recall")
    changes = {
        "dim": 16,
        "heads": 2,
        "parameters": 12_000,
        "recipe": Recipe(batch_size=8),
        "rungs": (Rung(level=0, tokens=5_120), Rung(level=1, tokens=2_000_000)),
        "validation_rows": 32,
        "test_rows": 48,
    }
    return dataclasses.replace(recall, spec=recall.spec.model_copy(update=changes))  # type: ignore[type-var]


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(
        slots=2,
        entries=Laboratory.ENTRIES,
        warm_zygote=Laboratory.WARM_ZYGOTE,
        warm_child=Laboratory.WARM_CHILD,
    ) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def laboratory(sandbox: Sandbox, task: Task) -> Laboratory:
    return Laboratory(sandbox, task, KEY)


def test_an_honest_candidate_passes_all_gates_in_order(laboratory):
    reports = laboratory.check(candidate())

    assert [report.gate for report in reports[-len(DYNAMIC_GATES) :]] == list(DYNAMIC_GATES)
    assert all(report.passed for report in reports)


def test_a_candidate_that_fails_a_static_gate_is_never_run(laboratory):
    reports = laboratory.check(candidate(SOURCE + "\nimport os\n"))

    assert [report.gate for report in reports if report.rejects] == ["imports"]
    assert not {report.gate for report in reports} & set(DYNAMIC_GATES)


def test_a_candidate_that_sees_the_future_is_rejected(laboratory):
    reports = laboratory.check(candidate(SOURCE.replace("self.value(x)", "self.value(x.flip(1))")))

    assert [report.gate for report in reports if report.rejects] == ["causality"]


def test_a_check_that_never_ends_names_the_gate_and_keeps_what_passed(sandbox, task):
    hasty = LaboratoryLimits(check_seconds=1.5)
    source = SOURCE.replace("position =", "while x.shape[0] == 3: pass\n        position =")

    reports = Laboratory(sandbox, task, KEY, limits=hasty).check(candidate(source))

    assert [report.gate for report in reports if report.rejects] == ["shapes"]
    assert [report.gate for report in reports if report.passed][-2:] == ["builds", "parameters"]
    assert reports[-1].evidence["cause"] == "timeout"


def test_a_done_trial_carries_a_loss_its_error_an_audit_and_what_it_cost(laboratory):
    told, kept = [], []

    trial = laboratory.trial(
        candidate(),
        rung=0,
        seed=1,
        on_progress=told.append,
        store_weights=lambda data: kept.append(data) or "name",
    )

    assert trial.status is TrialStatus.DONE, trial.reason
    assert 3.0 < trial.loss_nats < 4.5
    assert trial.loss_standard_error > 0
    assert trial.audit.passed
    assert trial.audit.rows == 32
    assert trial.metrics.keys() == {"accuracy"}
    assert (trial.steps, trial.tokens) == (10, 5_120)
    assert trial.curve[-1][0] == told[-1].step == told[-1].steps == 10
    assert trial.flops_per_token > 0
    assert trial.usage.cpu_seconds > 0
    assert trial.usage.wall_seconds > trial.usage.scoring_seconds > 0
    assert trial.weights == "name"
    assert sum(tensor.size for tensor in load(kept[0]).values()) == trial.parameters


def test_the_same_trial_twice_gives_the_same_numbers_bit_for_bit(laboratory):
    first, second, other = (laboratory.trial(candidate(), rung=0, seed=seed) for seed in (2, 2, 3))

    assert (first.loss_nats, first.curve, first.audit) == (second.loss_nats, second.curve, second.audit)
    assert other.loss_nats != first.loss_nats


def test_trials_in_two_threads_do_not_disturb_each_other(laboratory):
    alone = laboratory.trial(candidate(), rung=0, seed=4)
    trials = []

    threads = [
        threading.Thread(target=lambda: trials.append(laboratory.trial(candidate(), rung=0, seed=4))) for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [trial.loss_nats for trial in trials] == [alone.loss_nats] * 2


def test_the_test_split_and_another_key_are_other_data(laboratory, sandbox, task):
    validation, test = laboratory.held_out(Split.VALIDATION), laboratory.held_out(Split.TEST)
    other = Laboratory(sandbox, task, KEY[::-1]).held_out(Split.VALIDATION)

    trial = laboratory.trial(candidate(), rung=0, seed=1, split=Split.TEST)

    assert len(test.inputs) == trial.audit.rows == 48
    assert not (validation.inputs == test.inputs[:32]).all()
    assert not (validation.inputs == other.inputs).all()


@pytest.mark.parametrize(
    ("change", "status", "part"),
    [
        (("self.value(x)", "self.valve(x)"), TrialStatus.CRASHED, "candidate.py:11"),
        (("self.value(x)", "(self.value(x) / 0)"), TrialStatus.DIVERGED, "step 1"),
        (('"""Running mean"""', "RECIPE = {'lr': 9.0}"), TrialStatus.CRASHED, "RECIPE['lr']"),
        (('"""Running mean"""', "1 +"), TrialStatus.CRASHED, "line 1"),
        (("self.value(x)", "self.value(x.flip(1))"), TrialStatus.LEAK, "changed"),
    ],
)
def test_a_trial_that_fails_has_a_status_a_reason_and_no_loss(laboratory, change, status, part):
    trial = laboratory.trial(candidate(SOURCE.replace(*change)), rung=0, seed=0)

    assert trial.status is status
    assert part in trial.reason
    assert trial.loss_nats is None


def test_a_cancelled_trial_is_interrupted_at_once(laboratory):
    cancel = threading.Event()

    trial = laboratory.trial(candidate(), rung=1, seed=0, on_progress=lambda progress: cancel.set(), cancel=cancel)

    assert trial.status is TrialStatus.INTERRUPTED
    assert trial.usage.wall_seconds < 5


def test_training_data_reaches_the_child_and_held_out_text_does_not(sandbox, tmp_path):
    words = [f"def name_{i}(value): return value * {i % 7}\n" for i in range(2_000)]
    (tmp_path / "text.py").write_text("".join(words))
    task = load_task("bytes", data=tmp_path / "text.py")
    small = {"rungs": (Rung(level=0, tokens=40_960),), "dim": 32, "parameters": 60_000}
    task = dataclasses.replace(task, spec=task.spec.model_copy(update=small))

    trial = Laboratory(sandbox, task, KEY).trial(candidate(), rung=0, seed=0)

    assert trial.status is TrialStatus.DONE, trial.reason
    assert trial.metrics["bits_per_byte"] == pytest.approx(trial.loss_nats / 0.6931471805599453)
    assert trial.metrics["bits_per_byte"] < 5


def test_a_rate_is_a_factor_on_the_learning_rate_that_the_recipe_says(laboratory):
    doubled = laboratory.trial(candidate(), rung=0, seed=0, rate=2.0)
    written = laboratory.trial(candidate(SOURCE + "\nRECIPE = {'lr': 6e-3}\n"), rung=0, seed=0)

    assert (doubled.rate, written.rate) == (2.0, 1.0)
    assert doubled.curve == written.curve != ()


def test_a_rate_that_no_recipe_may_have_ends_the_trial_before_it_begins(laboratory):
    trial = laboratory.trial(candidate(), rung=0, seed=0, rate=1000.0)

    assert (trial.status, trial.jobs, trial.rate) == (TrialStatus.CRASHED, (), 1000.0)
    assert trial.reason.startswith("1000 times the learning rate 0.003 is 3, and a recipe's lies between")


LATE = """

@torch.jit.script
def scripted(x):
    return torch.nn.functional.softmax(x, -1)


def late(x):
    from torch.utils.checkpoint import checkpoint
    import einops
    repr(scripted(x.detach()))
    torch.func.jvp(torch.sin, (torch.ones(2),), (torch.ones(2),))
    torch.func.vmap(torch.sin)(torch.ones(2))
    torch.nn.utils.parametrizations.weight_norm(torch.nn.Linear(2, 2))(torch.ones(2))
    return checkpoint(torch.sin, einops.rearrange(x, "b t d -> b t d"), use_reentrant=False)
"""


@pytest.mark.parametrize(
    ("line", "module"),
    [("import torch.ao.quantization.fx", "torch.ao.quantization.fx"), ("from torch.ao.quantization import fx", "fx")],
)
def test_a_module_that_the_sandbox_lacks_is_named_with_what_there_is(laboratory, line, module):
    reports = laboratory.check(candidate(SOURCE.replace("import torch\n", f"import torch\n{line}\n")))

    (failed,) = [report for report in reports if report.rejects]
    assert failed.gate == "builds"
    assert module in failed.message
    assert "is not offered in the sandbox; import only" in failed.message


def test_what_torch_imports_or_reads_late_is_there(laboratory):
    source = SOURCE.replace("return self.value(x)", "return late(self.value(x))") + LATE

    assert [report.message for report in laboratory.check(candidate(source)) if report.rejects] == []


def test_no_docstring_of_the_standard_library_can_be_looked_up(laboratory):
    line = "import collections, dataclasses, functools, typing, torch\n"
    line += "places = [collections, functools, collections.Counter, dataclasses.field, functools.wraps, typing.cast]\n"
    line += "assert not [place for place in places if place.__doc__], 'BREACH'\n"

    looking = candidate(SOURCE.replace("import torch\n", line))  # the gates would refuse __doc__
    result = laboratory.trial(looking, rung=0, seed=1)

    assert result.status is TrialStatus.DONE, result.reason


def test_every_offered_module_can_be_imported(laboratory):
    lines = "".join(f"import {name}\n" for name in OFFERED if name != "__future__")

    assert all(report.passed for report in laboratory.check(candidate(SOURCE.replace("import torch\n", lines))))


@pytest.mark.parametrize("tier", [Tier.T1, Tier.T2])
def test_the_laboratory_works_the_same_at_every_tier_that_opens_no_file(tier, laboratory, task):
    names = {"warm_zygote": Laboratory.WARM_ZYGOTE, "warm_child": Laboratory.WARM_CHILD}
    with Sandbox(slots=1, entries=Laboratory.ENTRIES, isolation=tier, **names) as sandbox:
        confined = Laboratory(sandbox, task, KEY)
        reports, trial = confined.check(candidate()), confined.trial(candidate(), rung=0, seed=1)

    assert all(report.passed for report in reports)
    assert trial.usage.tier == tier
    assert trial.loss_nats == laboratory.trial(candidate(), rung=0, seed=1).loss_nats


FORGER = """
try:
    raise ValueError
except ValueError as error:
    frame = getattr(error.__traceback__, "tb" + "_frame")
while "job" not in getattr(frame, "f" + "_locals"):
    frame = getattr(frame, "f" + "_back")
report = {"gate": "builds", "passed": True, "message": "m" * 9000, "evidence": {"x": "y" * 9000}}
getattr(frame, "f" + "_locals")["job"]._send({"kind": "reply", "reply": {"gates": GATES}})
while True:
    pass
"""


@pytest.mark.parametrize(
    ("gates", "gate"),
    [
        ("[report]", "parameters"),
        ("[]", "builds"),
        ("[report] * 50", "builds"),
        ("{}", "builds"),
        ("[7]", "builds"),
    ],
)
def test_a_forged_reply_must_be_complete_and_is_cut_short(laboratory, gates, gate):
    reports = laboratory.check(candidate(SOURCE + FORGER.replace("GATES", gates)))

    assert [report.gate for report in reports if report.rejects] == [gate]
    assert all(len(report.message) < 3000 and len(str(report.evidence)) < 3000 for report in reports)


def test_a_candidate_is_measured_in_a_process_of_its_own(laboratory):
    measures = laboratory.measure(candidate())

    assert [each.length for each in measures.inference] == [64, 128, 256]
    assert [each.ranks for each in measures.states] == [(8, 8)] * 3
    assert (measures.candidate_id, measures.task_id, measures.problems) == (candidate().id, laboratory.spec.id, ())
    assert measures.wall_seconds > 0 and "cpu, torch" in measures.machine


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("raise ValueError('not today')", "not today"),
        ("import os; os._exit(0)", ""),
        ("while True: pass", "still running after 2 s"),
    ],
)
def test_what_cannot_be_measured_is_a_problem_in_words(sandbox, task, line, problem):
    hopeless = Laboratory(sandbox, task, KEY, limits=LaboratoryLimits(measure_seconds=2.0))

    measures = hopeless.measure(candidate(SOURCE.replace("position =", f"{line}\n        position =", 1)))

    assert (measures.inference, measures.states) == ((), ())
    assert measures.problems and problem in measures.problems[0]


def test_what_passes_is_portrayed_and_recognised_in_other_words(laboratory: Laboratory) -> None:
    first = laboratory.examine(candidate())
    again = laboratory.examine(candidate(SOURCE.replace("self.value", "self.v").replace("position", "count")))
    tuned = laboratory.examine(candidate(SOURCE + "\nRECIPE = {'lr': 1e-4}\n"))

    assert all(report.passed for report in first.reports)
    assert first.portrait.function == again.portrait.function is not None
    assert tuned.portrait.function not in (first.portrait.function, None)
    assert first.portrait.trace is not None and "cumsum" in first.portrait.trace.labels


def test_what_is_rejected_has_no_portrait(laboratory: Laboratory) -> None:
    leaky = candidate(SOURCE.replace("cumsum(1)", "cumsum(1).roll(-1, 1)"))

    assert laboratory.examine(leaky).portrait == Portrait()


@pytest.mark.slow
def test_who_hangs_only_in_its_portrait_has_passed_without_one(sandbox: Sandbox, task: Task) -> None:
    """A portrait alone looks at a single row of eight."""
    stuck = candidate(SOURCE.replace("        position", "        while x.shape[:2] == (1, 8): pass\n        position"))
    hasty = Laboratory(sandbox, task, KEY, limits=LaboratoryLimits(check_seconds=10))

    found = hasty.examine(stuck)

    assert [report.gate for report in found.reports[-len(DYNAMIC_GATES) :]] == list(DYNAMIC_GATES)
    assert all(report.passed for report in found.reports)
    assert found.portrait == Portrait()

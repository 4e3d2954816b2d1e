"""Every hostile candidate goes through the gates and, as if they had missed it, through a trial.

A hostile file's docstring says which gates may reject it (`Check: none` where no gate can know) and how its trial
may end. `done` is allowed where the attack gains nothing: its loss is then no better than any honest model's.
"""

from __future__ import annotations

import contextlib
import math
import time
from pathlib import Path

import pytest

from netwright.evaluator.contract import title_and_hypothesis
from netwright.evaluator.laboratory import Laboratory
from netwright.sandbox.runner import Sandbox
from netwright.types import Candidate, Scope, Trial, TrialStatus

HERE = Path(__file__).parent
HOSTILE = sorted(path.stem for path in (HERE / "hostile").glob("*.py"))
HONEST = sorted(path.stem for path in (HERE / "honest").glob("*.py"))
ENTROPY_NATS = math.log(16)
USEFUL_GAIN_NATS = 0.03


def read(kind: str, name: str) -> Candidate:
    source = (HERE / kind / f"{name}.py").read_text()
    title, hypothesis = title_and_hypothesis(source)
    hypothesis = hypothesis or source[: source.find('"""', 3)]  # of a file that does not parse
    return Candidate(source=source, scope=Scope.MIXER, title=title, hypothesis=hypothesis, origin="file")


def expected(candidate: Candidate, line: str) -> set[str]:
    """What the docstring's line `Check: ...` or `Trial: ...` allows."""
    lines = [text for text in candidate.hypothesis.splitlines() if text.startswith(f"{line}: ")]
    return {part.strip() for part in lines[0].removeprefix(f"{line}: ").split(",")}


def trial(laboratory: Laboratory, candidate: Candidate) -> Trial:
    return laboratory.trial(candidate, rung=0, seed=3)


@pytest.fixture(scope="module")
def reference(laboratory: Laboratory) -> Trial:
    return trial(laboratory, read("honest", "dropout"))


def patience(candidate: Candidate, laboratory: Laboratory, impatient: Laboratory) -> Laboratory:
    return impatient if expected(candidate, "Trial") == {"timeout"} else laboratory


@pytest.fixture(scope="module")
def small_reference(reference_laboratory: Laboratory) -> Trial:
    return trial(reference_laboratory, read("honest", "dropout"))


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_candidate_is_stopped_and_leaves_nothing(
    name, laboratory, impatient_laboratory, sandbox, record_property
):
    candidate = read("hostile", name)
    lab = patience(candidate, laboratory, impatient_laboratory)

    rejecting = [report for report in lab.check(candidate) if report.rejects]
    result = trial(lab, candidate)

    gate = rejecting[0].gate if rejecting else "none"
    for field, value in (("attack", name), ("gate", gate), ("trial", told(result)), ("reason", result.reason)):
        record_property(field, value)
    assert gate in expected(candidate, "Check"), rejecting
    assert result.status in expected(candidate, "Trial"), result.reason
    assert "BREACH" not in result.reason + result.last_output
    assert_no_gain(result)
    assert strangers(sandbox) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", HOSTILE)
def test_after_each_attack_an_honest_candidate_reproduces_its_loss_bit_for_bit(
    name, laboratory, impatient_laboratory, reference_laboratory, small_reference
):
    attack = read("hostile", name)

    trial(patience(attack, laboratory, impatient_laboratory), attack)
    afterwards = trial(reference_laboratory, read("honest", "dropout"))

    assert (afterwards.loss_nats, afterwards.curve) == (small_reference.loss_nats, small_reference.curve)


def told(result: Trial) -> str:
    """How the attack ended, in the words of the summary."""
    if result.status is not TrialStatus.DONE:
        return str(result.status)
    gain = ENTROPY_NATS - result.loss_nats
    return f"{'gains nothing' if gain < USEFUL_GAIN_NATS else 'accepted'} ({gain:+.4f} nats)"


def assert_no_gain(result: Trial) -> None:
    if result.status is TrialStatus.DONE:
        assert result.loss_nats > ENTROPY_NATS - USEFUL_GAIN_NATS
    else:
        assert result.loss_nats is None
        assert result.reason


def strangers(sandbox: Sandbox) -> list[str]:
    """Processes below the zygote that are no spares: it would inherit whatever an attack has left running."""
    alive: list[str] = []
    for _ in range(200):
        spares = {child.pid for child in list(sandbox._pool._alive.values())}
        alive = [f"{pid}" for pid in processes_below(sandbox.zygote_pid) if pid not in spares]
        if not alive:
            break
        time.sleep(0.01)
    return alive


def processes_below(ancestor: int) -> list[int]:
    parents = {}
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit():
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    found = [pid for pid, parent in parents.items() if parent == ancestor]
    return found + [below for pid in found for below in processes_below(pid)]


def test_the_standard_library_cannot_be_looked_up_while_scored_on_it(library_laboratory):
    reader = read("hostile", "read_standard_library")
    blind = reader.model_copy(update={"source": reader.source.replace("bytearray(text() or", "bytearray(")})

    attempted, honest = trial(library_laboratory, reader), trial(library_laboratory, blind)

    assert blind.source != reader.source
    assert attempted.status is honest.status is TrialStatus.DONE, attempted.reason
    assert attempted.loss_nats == honest.loss_nats


@pytest.mark.parametrize("name", ["bottleneck_by_mode", "bottleneck_by_subclass"])
def test_what_is_carried_past_a_bottleneck_is_not_decoded(name, compression_laboratory):
    result = trial(compression_laboratory, read("hostile", name))

    assert result.status is TrialStatus.DONE, result.reason
    assert result.curve[-1][1] < 0.9 * compression_laboratory.task.chance_nats, "the attack did not reach the head"
    assert result.loss_nats > 0.97 * compression_laboratory.task.chance_nats


def test_a_decoder_of_ones_own_does_not_decode(compression_laboratory):
    result = trial(compression_laboratory, read("hostile", "bottleneck_widened"))

    assert (result.status, result.loss_nats) == (TrialStatus.BAD_WEIGHTS, None)
    assert "decoder.mlp.up.weight is float32 of shape (136, 64), expected float32 of shape (128, 64)" in result.reason


def test_a_candidate_cannot_lengthen_its_own_training(laboratory, tiny_task):
    recipe, tokens = tiny_task.spec.recipe, tiny_task.spec.rungs[0].tokens

    result = trial(laboratory, read("hostile", "own_rung"))

    assert result.status is TrialStatus.DONE, result.reason
    assert result.steps == tokens // (recipe.batch_size * tiny_task.spec.max_len)
    assert result.tokens == tokens


@pytest.mark.parametrize("name", HONEST)
def test_an_unusual_but_honest_candidate_passes_everything(name, laboratory):
    candidate = read("honest", name)

    failed = [report for report in laboratory.check(candidate) if not report.passed]
    result = trial(laboratory, candidate)

    assert failed == []
    assert result.status is TrialStatus.DONE, result.reason
    assert result.audit.passed
    assert ENTROPY_NATS - USEFUL_GAIN_NATS < result.loss_nats < ENTROPY_NATS + 0.5


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", HONEST)
def test_an_honest_candidate_is_never_rejected_whatever_the_seed(name, seed, laboratory):
    result = laboratory.trial(read("honest", name), rung=0, seed=seed)

    assert result.status is TrialStatus.DONE, result.reason


def test_a_compiled_candidate_computes_the_same_numbers_as_without_compiling(laboratory):
    compiled = read("honest", "compiled")
    source = compiled.source.replace("@torch.compile(fullgraph=True, dynamic=True)\n", "")
    source = source.replace(
        'torch.compile(torch.nn.Linear(dim, dim), mode="max-autotune")', "torch.nn.Linear(dim, dim)"
    )
    source = source.replace("        self.gate.compile()\n", "").replace("torch.compile(self.project)", "self.project")

    with_compiling, without = (trial(laboratory, c) for c in (compiled, compiled.model_copy(update={"source": source})))

    assert "torch.compile(" not in source
    assert (with_compiling.loss_nats, with_compiling.curve) == (without.loss_nats, without.curve)


def test_a_test_set_memorised_in_the_source_does_not_fit(laboratory):
    candidate = read("honest", "buffers")
    noted = candidate.model_copy(update={"source": candidate.source + f"\nNOTES = {'x' * (1 << 16)!r}\n"})

    assert [report.gate for report in laboratory.check(noted) if report.rejects] == ["size"]


def test_after_all_attacks_an_honest_candidate_reproduces_its_loss_bit_for_bit(reference, laboratory):
    again = trial(laboratory, read("honest", "dropout"))

    assert again.loss_nats == reference.loss_nats
    assert again.curve == reference.curve
    assert again.audit == reference.audit


def test_nothing_was_left_behind_on_the_machine():
    folders = ("/tmp", "/var/tmp", "/dev/shm")

    assert not [folder for folder in folders if (Path(folder) / "netwright-breach").exists()]


def test_the_suite_is_as_large_as_it_claims():
    leaks = [name for name in HOSTILE if name.startswith("leak_")]

    assert len(HOSTILE) >= 60
    assert len(leaks) >= 20
    assert len(HONEST) >= 20
    assert all((HERE / "hostile" / f"{name}.py").read_text().startswith('"""') for name in HOSTILE)

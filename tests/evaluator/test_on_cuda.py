"""Trials on a CUDA device, in the sandbox: confined, in bf16, and within rounding of those on a CPU."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import pytest

from netwright.evaluator.baselines import baseline
from netwright.evaluator.devices import choose, find
from netwright.evaluator.laboratory import Laboratory
from netwright.evaluator.tasks import load_task
from netwright.sandbox.isolation import Tier
from netwright.sandbox.runner import Sandbox
from netwright.types import Rung, Trial, TrialStatus

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not find().gpus, reason="needs CUDA"),
    pytest.mark.timeout(600),
]


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(
        slots=1,
        entries=Laboratory.ENTRIES,
        warm_zygote=Laboratory.WARM_ZYGOTE,
        warm_child=Laboratory.WARM_CUDA_CHILD,
        device="cuda",
    ) as sandbox:
        yield sandbox


def trial(sandbox: Sandbox, *, precision: str = "auto", compile: str = "off", repeat: int = 0) -> Trial:
    execution = choose("cuda", precision, compile)
    task = load_task("recall", rung_tokens=[40_000], execution=execution)
    return Laboratory(sandbox, task, bytes(32), execution=execution).trial(
        baseline("linear_attention"), rung=0, seed=0, repeat=repeat
    )


def test_a_trial_is_confined_and_scored(sandbox):
    found = trial(sandbox)

    assert (found.status, found.reason) == (TrialStatus.DONE, "")
    assert found.usage.tier == Tier.T2
    assert found.telemetry["device"] == find().gpus[0].name


@pytest.mark.parametrize("precision", ["float32", "tf32", "bf16"])
def test_a_trial_comes_to_what_it_comes_to_on_a_cpu_within_rounding(sandbox, precision):
    task = load_task("recall", rung_tokens=[40_000])
    with Sandbox(
        slots=1, entries=Laboratory.ENTRIES, warm_zygote=Laboratory.WARM_ZYGOTE, warm_child=Laboratory.WARM_CHILD
    ) as on_cpu:
        expected = Laboratory(on_cpu, task, bytes(32)).trial(baseline("linear_attention"), rung=0, seed=0)

    found = trial(sandbox, precision=precision)

    assert found.telemetry["precision"] == precision
    assert found.loss_nats == pytest.approx(expected.loss_nats, rel=0.02)


def test_a_confined_training_is_captured_as_cuda_graphs(sandbox):
    found = trial(sandbox, compile="on")

    assert found.status is TrialStatus.DONE
    assert found.telemetry["backend"] == "cudagraphs"


def test_several_seeds_are_trained_at_once(sandbox):
    execution = choose("cuda", "float32")
    task = load_task("recall", execution=execution)
    task = dataclasses.replace(task, spec=task.spec.model_copy(update={"rungs": (Rung(level=0, tokens=40_000),)}))
    found = list(
        Laboratory(sandbox, task, bytes(32), execution=execution).trials(
            baseline("linear_attention"), rung=0, seeds=range(2)
        )
    )

    assert [each.telemetry.get("seeds_at_once") for each in found] == [[0, 1], [0, 1]]

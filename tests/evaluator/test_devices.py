"""What networks are trained on, and how: chosen from what was asked for and what the machine has."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from netwright.errors import ConfigError
from netwright.evaluator.devices import AUTO_COMPILE_STEPS, Execution, Found, Gpu, backends, check_device, choose, read
from netwright.evaluator.tasks import load_task

AMPERE = Gpu(name="NVIDIA A100", capability=(8, 0), memory_bytes=40 << 30)
TURING = Gpu(name="NVIDIA T4", capability=(7, 5), memory_bytes=16 << 30)
NOTHING = Found(problem="this machine has no NVIDIA device")


def test_by_itself_the_first_cuda_device_is_taken_in_bf16_and_else_the_cpu_in_float32():
    gpu = choose("auto", found=Found(gpus=(AMPERE, TURING)))
    cpu = choose("auto", found=NOTHING)

    assert (gpu.device, gpu.index, gpu.name, gpu.precision) == ("cuda", 0, "NVIDIA A100", "bf16")
    assert (cpu.device, cpu.name, cpu.precision) == ("cpu", "cpu", "float32")


def test_an_old_device_computes_in_float32():
    assert choose("cuda:1", found=Found(gpus=(AMPERE, TURING))) == Execution(device="cuda", index=1, name="NVIDIA T4")


@pytest.mark.parametrize(
    ("device", "precision", "found", "words"),
    [
        ("cuda", "auto", NOTHING, "no NVIDIA device; say cpu, or auto"),
        ("cuda:0", "auto", NOTHING, "no NVIDIA device; say cpu, or auto"),
        ("cuda:2", "auto", Found(gpus=(AMPERE, TURING)), r"has cuda:0 \(NVIDIA A100\), cuda:1 \(NVIDIA T4\)"),
        ("cuda", "bf16", Found(gpus=(TURING,)), r"NVIDIA T4 \(compute capability 7.5\) has no bf16"),
        ("cuda", "tf32", Found(gpus=(TURING,)), "has no tf32"),
        ("auto", "tf32", NOTHING, "this is a CPU: say bf16 or float32"),
    ],
)
def test_what_cannot_be_had_is_told_with_what_can(device, precision, found, words):
    with pytest.raises(ConfigError, match=words):
        choose(device, precision, found=found)


def test_the_cpu_is_chosen_without_looking_at_anything_else(monkeypatch):
    monkeypatch.setattr("netwright.evaluator.devices.find", lambda: pytest.fail("it looked"))

    assert choose("cpu", "bf16").precision == "bf16"


@pytest.mark.parametrize("wanted", ["gpu", "cuda:", "cuda:x", "cuda:1000", "CPU", ""])
def test_what_names_no_device_is_refused(wanted):
    with pytest.raises(ValueError, match="expected auto, cpu, cuda or cuda:N"):
        check_device(wanted)


def test_what_the_looking_process_says_is_read_whatever_libraries_print_before():
    gpus = [{"name": "NVIDIA A100", "capability": [8, 0], "memory_bytes": 40 << 30}]

    assert read("a banner\n" + json.dumps({"gpus": gpus}), "") == Found(gpus=(AMPERE,))


@pytest.mark.parametrize("said", ["", "not JSON", "[]", '{"gpus": [{}]}'])
def test_a_looking_process_that_dies_finds_nothing_and_its_last_words_are_the_reason(said):
    found = read(said, "libcuda.so.1: cannot open shared object file")

    assert found.gpus == ()
    assert "libcuda.so.1" in found.problem


def test_the_looking_process_answers_on_this_machine():
    done = subprocess.run(
        [sys.executable, "-P", "-m", "netwright.evaluator.devices"], capture_output=True, text=True, check=True
    )
    found = read(done.stdout, done.stderr)

    assert bool(found.gpus) != bool(found.problem)


def test_compiling_is_for_long_trainings_on_cuda_or_where_it_is_asked_for():
    cuda = Execution(device="cuda")

    assert [cuda.compiles(steps) for steps in (AUTO_COMPILE_STEPS - 1, AUTO_COMPILE_STEPS)] == [False, True]
    assert not Execution().compiles(10**6)
    assert Execution(compile="on").compiles(1)
    assert not Execution(device="cuda", compile="off").compiles(10**6)


def test_a_confined_process_is_asked_for_cuda_graphs_alone_which_start_no_compiler():
    cpu, cuda = Execution(), Execution(device="cuda")

    assert list(backends(cuda, starts_compilers=True)) == ["inductor", "cudagraphs"]
    assert list(backends(cuda, starts_compilers=False)) == ["cudagraphs"]
    assert list(backends(cpu, starts_compilers=False)) == []


@pytest.mark.parametrize("name", ["recall", "suite"])
def test_results_of_another_device_or_precision_are_those_of_another_task(name):
    cuda = {precision: Execution(device="cuda", precision=precision) for precision in ("float32", "tf32", "bf16")}
    ways = [Execution(), Execution(precision="bf16"), *cuda.values()]

    ids = [load_task(name, execution=way).spec.id for way in ways]

    assert len(set(ids)) == len(ways)
    assert ids[0] == load_task(name).spec.id


def test_which_of_two_equal_devices_and_how_it_is_compiled_makes_no_other_task():
    one, other = Execution(device="cuda", name="A"), Execution(device="cuda", index=1, name="A", compile="on")

    assert load_task("recall", execution=one).spec.id == load_task("recall", execution=other).spec.id

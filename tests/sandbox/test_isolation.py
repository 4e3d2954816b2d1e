"""Tiers: found by enforcing, refused when they cannot be had, the same on both architectures."""

import os
import struct
from pathlib import Path

import pytest

from netwright.errors import IsolationError
from netwright.sandbox import Job, Sandbox, Tier, isolation, landlock, policy, probe, seccomp, syscalls

FOLDER = str(Path(__file__).parent)
ALLOW, KILL = 0x7FFF0000, 0x80000000
EPERM, EACCES, ENOSYS = 0x50001, 0x5000D, 0x50026


def judge(program, audit_arch, number, *arguments):
    """Run a BPF filter as the kernel would and return its verdict."""
    values = [*arguments, *[0] * (6 - len(arguments))]
    packet = struct.pack("=IIQ6Q", number, audit_arch, 0, *(value & 0xFFFFFFFFFFFFFFFF for value in values))
    at, accumulator = 0, 0
    while True:
        code, if_true, if_false, value = struct.unpack("=HBBI", program[at])
        at += 1
        if code == 0x06:
            return value
        if code == 0x20:
            (accumulator,) = struct.unpack_from("=I", packet, value)
            continue
        hit = {0x15: accumulator == value, 0x35: accumulator >= value, 0x45: bool(accumulator & value)}[code]
        at += if_true if hit else if_false


@pytest.fixture(params=["x86_64", "aarch64"])
def machine(request):
    return request.param


def verdict(machine, call, *arguments, opens_files=True, device="cpu"):
    audit_arch, numbers = seccomp.ARCHITECTURES[machine]
    program = seccomp.program(machine=machine, pid=77, opens_files=opens_files, device=device)
    number = call if isinstance(call, int) else numbers[call]
    return judge(program, audit_arch, number, *arguments)


def test_the_probe_reports_every_layer_that_it_enforced():
    report = probe()

    names = {name for name, ok, _ in report.layers if ok}
    assert {"no_new_privs", "rlimits", "capabilities"} <= names
    assert report.tier is Tier.T2 or report.missing


def test_every_call_of_the_policy_has_a_number_somewhere():
    groups = (*policy.DENIED, policy.OPENS, policy.SOCKETS, policy.ANONYMOUS_FILES)
    named = {call for group in groups for call in group.calls} | {rule.call for rule in policy.ARGUMENT_RULES}

    assert named <= set(syscalls.X86_64) | set(syscalls.AARCH64)


def test_every_denied_call_is_refused(machine):
    _, numbers = seccomp.ARCHITECTURES[machine]
    for group in (*policy.DENIED, policy.SOCKETS, policy.ANONYMOUS_FILES):
        for call in set(group.calls) & set(numbers):
            assert verdict(machine, call) == 0x50000 | group.error, call


def test_ordinary_calls_pass(machine):
    read, write, mmap = {"x86_64": (0, 1, 9), "aarch64": (63, 64, 222)}[machine]

    assert {verdict(machine, number) for number in (read, write, mmap)} == {ALLOW}
    assert verdict(machine, "openat") == ALLOW


def test_the_filter_lets_files_be_opened_on_cuda_alone_and_only_behind_landlock():
    assert [isolation.opens_files(tier, "cpu") for tier in (Tier.T1, Tier.T2)] == [False, False]
    assert [isolation.opens_files(tier, "cuda") for tier in (Tier.T1, Tier.T2)] == [False, True]


def test_landlock_alone_leaves_nothing_to_open_on_cpu_and_the_libraries_on_cuda():
    libraries = isolation.library_paths()

    assert isolation.rules(libraries, "cpu") == ()
    assert set(libraries) <= {rule.path for rule in isolation.rules(libraries, "cuda")}


def test_without_opens_no_way_to_open_passes(machine):
    assert verdict(machine, "openat", opens_files=False) == EACCES
    assert verdict(machine, "openat2", opens_files=False) == EACCES


def test_arguments_decide(machine):
    assert verdict(machine, "clone", 0x10000 | 0x100) == ALLOW
    assert verdict(machine, "clone", 17) == EPERM
    assert verdict(machine, "kill", 77) == ALLOW
    assert verdict(machine, "kill", 78) == verdict(machine, "kill", -1) == verdict(machine, "kill", 0) == EPERM
    assert verdict(machine, "sched_setaffinity", 0) == verdict(machine, "sched_setaffinity", 77) == ALLOW
    assert verdict(machine, "fcntl", 3, 8) == EPERM
    assert verdict(machine, "fcntl", 3, 1) == ALLOW


def test_on_cuda_the_driver_may_speak_and_still_not_signal(machine):
    assert verdict(machine, "ioctl", 3, 0xC020462A) == EPERM
    assert verdict(machine, "ioctl", 3, 0xC020462A, device="cuda") == ALLOW
    assert verdict(machine, "ioctl", 3, 0x8901, device="cuda") == EPERM
    assert verdict(machine, "socket", 1, device="cuda") == ALLOW
    assert verdict(machine, "socket", 2, device="cuda") == EPERM


def test_calls_of_newer_kernels_and_foreign_architectures_do_not_pass(machine):
    assert verdict(machine, 470) == ENOSYS
    assert verdict(machine, 0x40000000 + 1) == KILL
    program = seccomp.program(machine=machine, pid=77, opens_files=True, device="cpu")
    assert judge(program, 0x40000003, 1) == KILL


def test_a_tier_that_cannot_be_had_is_refused_in_one_sentence():
    report = isolation.IsolationReport(
        Tier.T1,
        0,
        (("landlock", False, "Function not implemented"),),
        ("landlock: Function not implemented",),
    )

    with pytest.raises(IsolationError, match="T2 cannot be had here, only T1: landlock: .*; fix that, or accept"):
        isolation.demand(report, None)
    assert isolation.demand(report, Tier.T1) is Tier.T1


def test_a_report_survives_json():
    report = probe()

    assert isolation.IsolationReport.from_json(report.to_json()) == report


@pytest.mark.parametrize(
    ("tier", "refused"), [(Tier.T2, ["EACCES"] * 2), (Tier.T1, ["EACCES"] * 2), (Tier.T0, ["", ""])]
)
def test_each_tier_opens_what_it_should(tier, refused):
    entry = "sandbox_entries:opens"
    paths = ["/etc/passwd", os.__file__]
    with Sandbox(slots=1, entries=[entry], python_path=[FOLDER], isolation=tier) as sandbox:
        results = [sandbox.run(Job(entry=entry, payload={"path": path})) for path in paths]

    assert [result.reply["refused"] for result in results] == refused
    assert {result.tier for result in results} == {tier}


def test_at_t1_there_is_still_no_process_and_no_socket():
    entries = ["sandbox_entries:forks", "sandbox_entries:execs"]
    with Sandbox(slots=1, entries=entries, python_path=[FOLDER], isolation=Tier.T1) as sandbox:
        assert [sandbox.run(Job(entry=entry)).reply["refused"] for entry in entries] == ["EPERM", "EPERM"]


def test_paths_are_resolved_and_nested_ones_dropped(tmp_path):
    (tmp_path / "real" / "inner").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "real")

    paths = [str(tmp_path / "link"), str(tmp_path / "real" / "inner"), str(tmp_path / "absent"), "/"]

    assert landlock.topmost(paths) == (str(tmp_path / "real"),)

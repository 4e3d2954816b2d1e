"""Tiers: found by enforcing, refused when they cannot be had, the same on both architectures."""

import os
import struct
from pathlib import Path

import pytest

from netwright.errors import IsolationError
from netwright.sandbox import Job, Sandbox, Tier, isolation, landlock, layers, policy, probe, seccomp, syscalls

FOLDER = str(Path(__file__).parent)
ALLOW, KILL = 0x7FFF0000, 0x80000000
EPERM, ENOSYS = 0x50001, 0x50026


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
    assert report.tier is Tier.T3 or report.missing


def test_every_call_of_the_policy_has_a_number_somewhere():
    groups = (*policy.ALLOWED, policy.FILES, policy.WORKSPACE, policy.DRIVER)
    rules = (*policy.argument_rules("cpu"), *policy.argument_rules("cuda"))
    named = {call for group in groups for call in group.calls} | {rule.call for rule in rules}

    assert named | set(policy.HIDDEN_ARGUMENTS) == set(syscalls.X86_64)
    assert set(syscalls.AARCH64) < set(syscalls.X86_64)


def passing(machine, **settings):
    """The numbers of all calls that pass with some arguments; those with a rule are tried with every value."""
    audit_arch, numbers = seccomp.ARCHITECTURES[machine]
    settings = {"opens_files": False, "device": "cpu", **settings}
    program = seccomp.program(machine=machine, pid=77, **settings)
    values = {0, 77, 0x10000, 3, *(v for rule in policy.argument_rules(settings["device"]) for v in rule.values)}
    return {
        number
        for number in range(policy.FIRST_UNKNOWN)
        if any(judge(program, audit_arch, number, value, value) == ALLOW for value in values)
    }


def test_nothing_passes_but_what_the_policy_names(machine):
    _, numbers = seccomp.ARCHITECTURES[machine]
    groups = policy.allowed_groups(opens_files=False, device="cpu")
    named = {call for group in groups for call in group.calls} | {rule.call for rule in policy.argument_rules("cpu")}

    assert passing(machine) == {numbers[call] for call in named & set(numbers)}


def test_no_call_that_names_a_path_a_process_or_a_network_passes_on_cpu(machine):
    _, numbers = seccomp.ARCHITECTURES[machine]
    forbidden = {*policy.FILES.calls, "connect", "socket", "memfd_create", "sched_setaffinity"}

    assert not passing(machine) & {numbers[call] for call in forbidden & set(numbers)}


def test_what_is_refused_is_refused_with_eperm(machine):
    ptrace, io_uring_setup, unshare = {"x86_64": (101, 425, 272), "aarch64": (117, 425, 97)}[machine]

    assert {verdict(machine, number) for number in (ptrace, io_uring_setup, unshare)} == {EPERM}
    assert verdict(machine, "clone3") == ENOSYS


def test_the_filter_lets_files_be_opened_on_cuda_alone_and_only_behind_landlock():
    assert [isolation.opens_files(tier, "cpu") for tier in (Tier.T1, Tier.T2)] == [False, False]
    assert [isolation.opens_files(tier, "cuda") for tier in (Tier.T1, Tier.T2)] == [False, True]


def test_landlock_alone_leaves_nothing_to_open_on_cpu_and_the_libraries_on_cuda():
    libraries = layers.library_paths()

    assert layers.rules(libraries, "cpu") == ()
    assert set(libraries) <= {rule.path for rule in layers.rules(libraries, "cuda")}


def test_equal_rules_have_equal_names_and_others_do_not():
    names = [isolation.policy_hash(tier, device) for tier in Tier for device in ("cpu", "cuda")]

    assert names == [isolation.policy_hash(tier, device) for tier in Tier for device in ("cpu", "cuda")]
    assert len(set(names)) == len(names)


def test_without_opens_no_way_to_open_passes(machine):
    assert verdict(machine, "openat") == ALLOW
    assert verdict(machine, "openat", opens_files=False) == EPERM
    assert verdict(machine, "newfstatat", opens_files=False) == EPERM


def test_arguments_decide(machine):
    assert verdict(machine, "clone", 0x10000 | 0x100) == ALLOW
    assert verdict(machine, "clone", 17) == EPERM
    assert verdict(machine, "tgkill", 77) == ALLOW
    assert verdict(machine, "tgkill", 78) == verdict(machine, "tgkill", -1) == verdict(machine, "tgkill", 0) == EPERM
    assert verdict(machine, "sched_setaffinity", 0, device="cuda") == ALLOW
    assert verdict(machine, "sched_setaffinity", 78, device="cuda") == EPERM
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


@pytest.mark.parametrize(("best", "wanted", "chosen"), [("T3", None, "T3"), ("T2", None, "T2"), ("T3", "T2", "T2")])
def test_without_a_wish_the_best_tier_is_taken(best, wanted, chosen):
    report = isolation.IsolationReport(Tier(best), 7, ())

    assert isolation.demand(report, wanted and Tier(wanted)) == chosen


def test_a_report_survives_json():
    report = probe()

    assert isolation.IsolationReport.from_json(report.to_json()) == report


@pytest.mark.parametrize(("tier", "refused"), [(Tier.T2, ["EPERM"] * 2), (Tier.T1, ["EPERM"] * 2), (Tier.T0, ["", ""])])
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

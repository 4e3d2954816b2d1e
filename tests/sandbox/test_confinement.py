"""What code inside a child cannot do; after every attack an honest job still gives the same result."""

import os
import platform
import sys
from pathlib import Path

import pytest

from netwright.sandbox import Job, Sandbox, Tier, probe, wire

FOLDER = str(Path(__file__).parent)
x86_only = pytest.mark.skipif(platform.machine() != "x86_64", reason="the attack names x86-64 system calls")


needs_own_user = pytest.mark.skipif(probe().tier < Tier.T3, reason="this machine has no tier T3")


def namespaces(pid):
    """The namespaces and the real user id of a process."""
    folder = Path(f"/proc/{pid}")
    found = {name: os.readlink(folder / "ns" / name) for name in ("net", "ipc", "user")}
    return {**found, "uid": dict(line.split(":\t", 1) for line in (folder / "status").read_text().splitlines())["Uid"]}


@pytest.fixture(autouse=True)
def honest_jobs_still_work(bench):
    yield
    bench.assert_unharmed()


def test_no_secret_of_the_parents_environment_is_visible(monkeypatch, bench):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")

    with Sandbox(slots=1, entries=["sandbox_entries:environment"], python_path=[FOLDER]) as sandbox:
        reply = sandbox.run(Job(entry="sandbox_entries:environment")).reply

    assert "sk-very-secret" not in str(reply)
    assert reply["python"]["OMP_NUM_THREADS"] == "1"
    assert not {name for name in reply["python"] if "KEY" in name or "TOKEN" in name}


def kernels_view(pid):
    """What the kernel says of a process, seen from outside: a child can open nothing."""
    folder = Path(f"/proc/{pid}")
    fields = dict(line.split(":\t", 1) for line in (folder / "status").read_text().splitlines())
    score, environment = (folder / "oom_score_adj").read_text(), (folder / "environ").read_text()
    return {**fields, "oom_score_adj": score.strip(), "environ": environment, "session": os.getsid(pid) == pid}


def test_a_child_has_no_rights_and_goes_first_when_memory_runs_out(bench):
    seen = {}
    job = Job(entry="sandbox_entries:sleeps", payload={"seconds": 0.3})
    bench.sandbox.run(job, on_event=lambda event: seen.update(kernels_view(event["pid"])))

    assert {int(seen[name], 16) for name in ("CapEff", "CapPrm", "CapInh", "CapAmb")} == {0}
    assert int(seen["CapBnd"], 16) == 0 or os.geteuid() != 0
    assert (seen["NoNewPrivs"], seen["Seccomp"], seen["Threads"]) == ("1", "2", "1")
    assert (seen["oom_score_adj"], seen["session"]) == ("1000", True)
    assert "KEY" not in seen["environ"]


def test_a_child_has_no_descriptor_but_its_own_and_none_of_a_file(bench):
    kinds = bench.run("descriptors").reply["open"]

    assert kinds == {"0": "character device", "1": "pipe", "2": "pipe", "3": "socket"}


def test_what_is_open_or_mapped_cannot_be_opened_again(bench):
    assert set(bench.run("reopens").reply.values()) == {"EPERM"}


def test_the_source_of_the_standard_library_cannot_be_had_by_any_way(bench):
    assert not [way for way, refused in bench.run("reads_source").reply.items() if "BREACH" in refused]


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "/etc/hostname",
        str(Path.home()),
        "/tmp",
        "/proc/1/environ",
        "/proc/self/root/etc/passwd",
        os.__file__,
        os.path.dirname(os.__file__),
        pytest.__file__,
        "/dev/null",
        "/dev/urandom",
    ],
)
def test_no_file_can_be_read(bench, path):
    assert bench.attempt("opens", path=path) == "EPERM"


def test_the_environment_of_the_parent_and_the_zygote_cannot_be_read(bench):
    assert bench.attempt("opens", path=f"/proc/{os.getpid()}/environ") == "EPERM"
    assert bench.attempt("opens", path=f"/proc/{bench.sandbox.zygote_pid}/environ") == "EPERM"


def test_the_home_directory_cannot_be_listed(bench):
    assert bench.attempt("lists", path=str(Path.home())) == "EPERM"


def test_a_module_that_was_not_imported_beforehand_is_missing(bench):
    assert bench.run("imports").reply == {"error": "ModuleNotFoundError: No module named 'colorsys'"}


@pytest.mark.parametrize(
    "path",
    [
        "/tmp/stolen",
        str(Path.home() / "stolen"),
        "/dev/shm/stolen",
        os.path.join(sys.prefix, "lib", "stolen"),
    ],
)
def test_nothing_can_be_written(bench, path):
    assert bench.attempt("writes", path=path) == "EPERM"
    assert not Path(path).exists()


def test_a_library_cannot_be_overwritten(bench):
    assert bench.attempt("writes", path=os.__file__) == "EPERM"
    assert bench.attempt("changes_mode", path=os.__file__) == "EPERM"


@pytest.mark.parametrize("family", ["AF_INET", "AF_INET6", "AF_UNIX", "AF_NETLINK"])
def test_no_socket_can_be_made(bench, family):
    assert bench.attempt("makes_socket", family=family) == "EPERM"


def test_no_socketpair_can_be_made(bench):
    assert bench.attempt("makes_socketpair") == "EPERM"


@pytest.mark.parametrize("how", ["forks", "execs", "spawns"])
def test_no_process_can_be_started(bench, how):
    assert bench.attempt(how) == "EPERM"


@x86_only
@pytest.mark.parametrize("number", [57, 58])
def test_no_process_can_be_started_by_bare_fork_or_vfork(bench, number):
    assert bench.attempt("vforks", number=number) == "EPERM"


def test_system_calls_that_cannot_be_judged_are_absent(bench):
    assert bench.attempt("clones_by_clone3") == "ENOSYS"
    assert bench.attempt("calls_unknown_syscall") == "ENOSYS"


@pytest.mark.parametrize("how", ["kills", "queues_signal", "limits_parent", "pins_parent"])
def test_the_parent_cannot_be_touched(bench, how):
    assert bench.attempt(how, pid=os.getpid()) == "EPERM"


@x86_only
@pytest.mark.parametrize("how", ["traces", "reads_memory"])
def test_the_memory_of_the_parent_cannot_be_touched(bench, how):
    assert bench.attempt(how, pid=os.getpid()) == "EPERM"


@pytest.mark.parametrize("pid", [0, -1])
def test_no_group_of_processes_can_be_signalled(bench, pid):
    assert bench.attempt("kills", pid=pid) == "EPERM"


@pytest.mark.parametrize("how", ["owns_signal", "owns_signal_by_ioctl", "sets_signal_number"])
def test_the_kernel_cannot_be_made_to_signal_the_parent(bench, how):
    assert bench.attempt(how, pid=os.getpid()) == "EPERM"


@x86_only
@pytest.mark.parametrize("how", ["forgets_to_die", "shares_memory", "unshares"])
def test_ties_cannot_be_cut_nor_new_ones_made(bench, how):
    assert bench.attempt(how) == "EPERM"


def test_no_memory_can_be_hidden_in_an_anonymous_file(bench):
    assert bench.attempt("makes_memfd") == "EPERM"


def test_a_child_stays_on_its_core(bench):
    assert bench.attempt("pins_itself") == "EPERM"
    assert bench.run("sees_cores").reply["cores"] == 1


def test_other_processes_cannot_be_seen_by_their_clocks_or_cores(bench):
    assert bench.run("looks_at_others", pid=os.getpid()).reply == {"its clock": "EPERM", "its cores": "EPERM"}


def test_nothing_is_known_of_files_not_even_whether_they_exist(bench):
    found = bench.run("looks_at", path="/etc/passwd").reply

    assert set(found.values()) == {"EPERM"}


@needs_own_user
def test_a_child_is_a_user_of_its_own_with_a_network_of_its_own(bench):
    seen = {}
    job = Job(entry="sandbox_entries:sleeps", payload={"seconds": 0.3})
    bench.sandbox.run(job, on_event=lambda event: seen.update(namespaces(event["pid"])))

    assert seen["net"] != namespaces(os.getpid())["net"]
    assert seen["ipc"] != namespaces(os.getpid())["ipc"]
    assert seen["user"] != namespaces(os.getpid())["user"] or seen["uid"] != str(os.getuid())


def test_an_output_cannot_be_resized(bench):
    result = bench.sandbox.run(Job(entry="sandbox_entries:resizes_output", outputs={"text": 4096}))

    assert set(result.reply["found"].values()) == {"EPERM"}
    assert len(result.outputs["text"]) == 4096


def test_an_output_cannot_be_resized_even_where_no_filter_forbids_it():
    entry = "sandbox_entries:resizes_output"
    with Sandbox(slots=1, entries=[entry], python_path=[FOLDER], isolation=Tier.T0) as sandbox:
        result = sandbox.run(Job(entry=entry, outputs={"text": 4096}))

    assert set(result.reply["found"].values()) == {"EPERM"}


def test_an_input_is_sealed_against_everybody():
    descriptor = wire.sealed_input(b"hello")

    with pytest.raises(PermissionError):
        os.pwrite(descriptor, b"x", 0)
    assert wire.copy_out(descriptor, 5) == b"hello"
    os.close(descriptor)


def test_an_input_cannot_be_written(bench):
    result = bench.sandbox.run(Job(entry="sandbox_entries:writes_input", inputs={"text": b"hello"}))

    assert "read-only" in result.reply["refused"]

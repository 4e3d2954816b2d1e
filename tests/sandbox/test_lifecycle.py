"""Starting, stopping, dying: of children, of the zygote, of the trusted side."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from netwright.errors import SandboxError
from netwright.sandbox import ExitCause, Job, Sandbox, Tier, probe

FOLDER = str(Path(__file__).parent)
SLEEP = Job(entry="sandbox_entries:sleeps")


def make(**options):
    settings = {"slots": 2, "entries": ["sandbox_entries:sleeps"], "python_path": [FOLDER]}
    return Sandbox(**(settings | options))


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until(condition, seconds=10.0):
    until = time.monotonic() + seconds
    while not condition() and time.monotonic() < until:
        time.sleep(0.01)
    return condition()


def descendants(pid):
    listing = subprocess.run(["ps", "-eo", "pid,ppid"], capture_output=True, text=True, check=True).stdout
    parents = dict(map(int, line.split()) for line in listing.splitlines()[1:])
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {pid}


def test_cancelling_stops_a_job_within_a_fifth_of_a_second():
    cancel, begun = threading.Event(), threading.Event()
    with make() as sandbox, ThreadPoolExecutor() as threads:
        running = threads.submit(sandbox.run, SLEEP, on_event=lambda event: begun.set(), cancel=cancel)
        begun.wait(10)

        asked = time.monotonic()
        cancel.set()
        result = running.result(10)

    assert result.cause is ExitCause.CANCELLED
    assert time.monotonic() - asked < 0.2 + 1.0 * (os.getloadavg()[0] > 4)


def test_a_job_that_waits_for_the_imports_can_be_cancelled():
    cancel = threading.Event()
    before = len(os.listdir("/proc/self/fd"))
    with make(warm_zygote="sandbox_entries:slow_zygote") as sandbox:
        threading.Timer(0.1, cancel.set).start()
        asked = time.monotonic()
        result = sandbox.run(SLEEP, cancel=cancel)
        seconds = time.monotonic() - asked

    assert (result.cause, result.reason) == (ExitCause.CANCELLED, "stopped on request before it began")
    assert seconds < 1.0
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_job_that_waits_for_a_slot_can_be_cancelled():
    cancel = threading.Event()
    cancel.set()
    with make(slots=1) as sandbox, ThreadPoolExecutor() as threads:
        begun = threading.Event()
        running = threads.submit(sandbox.run, SLEEP, on_event=lambda event: begun.set())
        begun.wait(10)

        waiting = sandbox.run(SLEEP, cancel=cancel)
        sandbox.close()

    assert (waiting.cause, running.result().cause) == (ExitCause.CANCELLED, ExitCause.CANCELLED)
    assert running.result().wall_seconds > 0 and waiting.wall_seconds == 0


def test_closing_leaves_no_process_and_no_descriptor():
    before = len(os.listdir("/proc/self/fd"))
    with make() as sandbox:
        sandbox.wait_until_warm()
        sandbox.share(b"corpus")
        sandbox.run(Job(entry="sandbox_entries:sleeps", payload={"seconds": 0}))
        family = descendants(os.getpid()) & (descendants(sandbox.zygote_pid) | {sandbox.zygote_pid})
        assert len(family) >= 3

    assert not [pid for pid in family if is_running(pid)]
    assert len(os.listdir("/proc/self/fd")) == before


def test_many_threads_share_a_sandbox():
    entry = "sandbox_entries:honest"

    def total(number):
        result = sandbox.run(Job(entry=entry, payload={"numbers": [number, 1]}))
        return result.reply["sum"]

    with make(entries=[entry], slots=3) as sandbox, ThreadPoolExecutor(8) as threads:
        assert list(threads.map(total, range(40))) == list(range(1, 41))


def test_a_killed_zygote_is_replaced_and_its_job_runs_again(caplog):
    pids = []
    with make(slots=1) as sandbox, ThreadPoolExecutor() as threads:
        running = threads.submit(
            sandbox.run, Job(entry="sandbox_entries:sleeps", payload={"seconds": 0.5}), on_event=pids.append
        )
        wait_until(lambda: pids)
        os.kill(sandbox.zygote_pid, signal.SIGKILL)
        result = running.result(20)

    assert result.cause is ExitCause.OK
    assert len(pids) == 2 and pids[0]["parent"] != pids[1]["parent"]
    assert not is_running(pids[0]["pid"])
    assert "job starts again" in caplog.text


def test_the_sandbox_outlives_the_thread_that_started_it():
    sandbox = make()
    starter = threading.Thread(target=sandbox.start)
    starter.start()
    starter.join()
    time.sleep(0.2)
    first = sandbox.zygote_pid

    result = sandbox.run(Job(entry="sandbox_entries:sleeps", payload={"seconds": 0}))
    second = sandbox.zygote_pid
    sandbox.close()

    assert (result.cause, first) == (ExitCause.OK, second)


def test_a_zygote_that_always_dies_is_given_up_with_its_last_words():
    with make(warm_zygote="sandbox_entries:dies_aloud") as sandbox:
        with pytest.raises(SandboxError, match="died 3 times in a row, code 7: these are my last words"):
            sandbox.run(SLEEP)


def test_killed_spares_are_replaced():
    with make() as sandbox:
        sandbox.wait_until_warm()
        wait_until(lambda: len(descendants(sandbox.zygote_pid)) == 3)
        for pid in descendants(sandbox.zygote_pid):
            os.kill(pid, signal.SIGKILL)

        result = sandbox.run(Job(entry="sandbox_entries:sleeps", payload={"seconds": 0}))

    assert result.cause is ExitCause.OK


@pytest.fixture
def killable_campaign():
    """Starts another process with a sandbox and a running job; returns it and its zygote's id."""
    started = []

    def start(entry, tier):
        settings = {"slots": 1, "entries": [entry], "python_path": [FOLDER]}
        program = f"""
            from netwright.sandbox import Job, Sandbox, Tier
            with Sandbox(**{settings}, isolation=Tier("{tier}")) as sandbox:
                sandbox.wait_until_warm()
                print(sandbox.zygote_pid, flush=True)
                sandbox.run(Job(entry="{entry}", payload={{"seconds": 60}}))
        """
        command = [sys.executable, "-c", textwrap.dedent(program)]
        trusted = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        started.append(trusted)
        return trusted, int(trusted.stdout.readline())

    yield start
    for trusted in started:
        trusted.kill()
        trusted.communicate()


BEST = probe().tier


@pytest.mark.parametrize(("tier", "entry", "at_least"), [(BEST, "sleeps", 3), (Tier.T0, "leaves_a_daemon", 4)])
def test_nothing_is_left_when_the_trusted_side_is_killed(killable_campaign, tier, entry, at_least):
    trusted, zygote_pid = killable_campaign(f"sandbox_entries:{entry}", tier)
    wait_until(lambda: len(descendants(trusted.pid)) > at_least)
    family = descendants(trusted.pid)
    assert zygote_pid in family and len(family) > at_least

    trusted.kill()

    assert wait_until(lambda: not any(is_running(pid) for pid in family))


@pytest.mark.parametrize("tier", [tier for tier in (Tier.T2, Tier.T3) if tier <= BEST])
def test_nothing_is_left_when_the_trusted_side_and_the_zygote_are_killed_together(killable_campaign, tier):
    trusted, zygote_pid = killable_campaign("sandbox_entries:sleeps", tier)
    family = descendants(trusted.pid)

    os.kill(trusted.pid, signal.SIGSTOP)
    os.kill(zygote_pid, signal.SIGKILL)

    assert wait_until(lambda: not any(is_running(pid) for pid in family))


def test_at_t0_a_daemon_that_a_job_left_behind_is_killed():
    entry = "sandbox_entries:leaves_a_daemon"
    with make(entries=[entry], slots=1, isolation=Tier.T0) as sandbox:
        result = sandbox.run(Job(entry=entry))
        spares = descendants(sandbox.zygote_pid)

    assert (result.cause, result.tier, result.left_behind) == (ExitCause.OK, "T0", 1)
    assert len(spares) <= 2


def test_a_module_that_cannot_be_imported_is_named():
    with make(entries=["no_such_module:f"]) as sandbox:
        with pytest.raises(SandboxError, match="No module named 'no_such_module'"):
            sandbox.run(Job(entry="no_such_module:f"))


def test_a_function_that_is_missing_is_named():
    with make(entries=["sandbox_entries:nothing"]) as sandbox:
        with pytest.raises(SandboxError, match="sandbox_entries has no function 'nothing'"):
            sandbox.run(Job(entry="sandbox_entries:nothing"))


def test_a_zygote_with_a_second_thread_is_refused():
    with make(warm_zygote="sandbox_entries:two_threads") as sandbox:
        with pytest.raises(SandboxError, match="2 threads"):
            sandbox.run(SLEEP)


def test_a_broken_warm_up_of_the_children_is_named():
    with make(warm_child="sandbox_entries:failing_warm_child") as sandbox:
        with pytest.raises(SandboxError, match="this hook is broken"):
            sandbox.run(SLEEP)


def until_closed(sandbox):
    """Run short jobs one after another until one is refused; return the causes of those that were not."""
    job, causes = Job(entry="sandbox_entries:sleeps", payload={"seconds": 0.01}), set()
    while True:
        try:
            causes.add(sandbox.run(job).cause)
        except SandboxError as error:
            assert "closed" in str(error)
            return causes


def test_jobs_that_run_or_begin_while_the_sandbox_closes_end_as_cancelled():
    for _ in range(5):
        sandbox = make(slots=3)
        sandbox.start()
        with ThreadPoolExecutor(3) as threads:
            running = [threads.submit(until_closed, sandbox) for _ in range(3)]
            time.sleep(0.3)
            sandbox.close()
            causes = set.union(*(each.result() for each in running))

        assert causes <= {ExitCause.OK, ExitCause.CANCELLED}


def test_a_closed_sandbox_says_so():
    sandbox = make()
    sandbox.start()
    sandbox.close()

    with pytest.raises(SandboxError, match="closed"):
        sandbox.run(SLEEP)

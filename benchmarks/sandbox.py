"""How fast a sandboxed process is there, what it costs, and how fast it is gone; beside a cold process.

    python benchmarks/sandbox.py [--jobs 30] [--cold 3] [--slots 1] [--tier T2]

"Begins" is from the request to the first line of the entry's training, with its model built ("first step begins"),
or to the child having the job ("has the job"). Times are milliseconds on this machine as busy as it is.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from netwright.sandbox import Job, JobResult, Sandbox, Tier

FOLDER = str(Path(__file__).parent)
TRAIN, WAIT = "sandbox_step:train", "sandbox_step:wait"
COLD = """
import sys, time
sys.path.insert(0, sys.argv[1])
import sandbox_step
sandbox_step.torch.set_num_threads(1)
step = sandbox_step.Step()
began = time.monotonic()
step()
print(began, time.monotonic())
"""


def row(name: str, seconds: Sequence[float]) -> None:
    """Print one line of the table, in milliseconds."""
    ordered = sorted(1000 * value for value in seconds)
    p95 = ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]
    print(f"{name:<44}{len(ordered):>5}{statistics.median(ordered):>10.1f}{p95:>10.1f}{ordered[-1]:>10.1f}")


def cold(count: int) -> tuple[list[float], list[float]]:
    """Seconds from exec of a plain Python to its first step's begin and end."""
    begins, ends = [], []
    for _ in range(count):
        asked = time.monotonic()
        command = [sys.executable, "-c", COLD, FOLDER]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        began, ended = map(float, done.stdout.split())
        begins.append(began - asked)
        ends.append(ended - asked)
    return begins, ends


def proportional_bytes(pid: int) -> tuple[int, int]:
    """PSS and private bytes of a process."""
    fields = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
        name, _, value = line.partition(":")
        fields[name] = int(value.split()[0]) * 1024
    return fields["Pss"], fields["Private_Dirty"] + fields["Private_Clean"]


def children_of(pid: int) -> list[int]:
    """List the processes forked by a single-threaded process."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def timed(sandbox: Sandbox, job: Job, between: Callable[[], object]) -> tuple[float, JobResult]:
    """Run one job after `between`; return when it was asked for."""
    between()
    asked = time.monotonic()
    return asked, sandbox.run(job)


def jobs(sandbox: Sandbox, count: int, title: str, between: Callable[[], object]) -> None:
    """Print latencies of `count` one-step jobs, one after another."""
    ran = [timed(sandbox, Job(entry=TRAIN, payload={"steps": 1}), between) for _ in range(count)]
    if failed := [result for _, result in ran if result.reply is None]:
        raise SystemExit(f"a job failed: {failed[0].cause}: {failed[0].reason}")
    warm = sum(result.warm for _, result in ran)
    row(f"{title}: has the job ({warm} warm)", [result.start_seconds for _, result in ran])
    row(f"{title}: first step begins", [result.reply["began"] - asked for asked, result in ran if result.reply])
    row(f"{title}: isolation, before the request", [result.isolation_seconds for _, result in ran])
    row(f"{title}: first step done", [result.reply["ended"] - asked for asked, result in ran if result.reply])


def kills(sandbox: Sandbox, count: int) -> None:
    """Print how long SIGKILL to reaped takes for a job that would never end."""
    seconds = []
    for _ in range(count):
        sandbox.wait_until_warm()
        cancel = threading.Event()
        timer = threading.Timer(0.1, cancel.set)
        timer.start()
        seconds.append(sandbox.run(Job(entry=WAIT), cancel=cancel).seconds_to_kill or 0.0)
    row("SIGKILL to reaped", seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=30)
    parser.add_argument("--cold", type=int, default=3)
    parser.add_argument("--slots", type=int, default=1)
    parser.add_argument("--tier", type=Tier, default=None)
    arguments = parser.parse_args()
    print(f"{'milliseconds':<44}{'n':>5}{'p50':>10}{'p95':>10}{'max':>10}")
    begins, ends = cold(arguments.cold)
    row("cold process: first step begins", begins)
    row("cold process: first step done", ends)
    asked = time.monotonic()
    sandbox = Sandbox(
        slots=arguments.slots,
        entries=[TRAIN, WAIT],
        warm_zygote="sandbox_step:warm",
        warm_child="sandbox_step:warm",
        python_path=[FOLDER],
        isolation=arguments.tier,
    )
    with sandbox:
        row("sandbox: isolation known", [time.monotonic() - asked])
        sandbox.wait_until_warm()
        row("sandbox: first spare warm", [time.monotonic() - asked])
        jobs(sandbox, arguments.jobs, "spare", lambda: sandbox.wait_until_warm())
        jobs(sandbox, arguments.jobs, "back to back", lambda: None)
        kills(sandbox, arguments.jobs)
        sandbox.wait_until_warm()
        time.sleep(1.0)
        spares = [proportional_bytes(pid) for pid in children_of(sandbox.zygote_pid)]
        print(f"\nload average {os.getloadavg()[0]:.1f}, tier {sandbox.isolation.tier}")
        print("spares: " + ", ".join(f"{pss >> 20} MiB PSS, {own >> 20} MiB private" for pss, own in spares))


if __name__ == "__main__":
    main()

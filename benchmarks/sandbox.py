"""What a sandboxed process costs: to have one, to run in it, to score with it, to be rid of it; beside a cold process.

    python benchmarks/sandbox.py [--jobs 30] [--cold 3] [--tiers T0 T2 T3] [--steps 40]

"Begins" is from the request to the first line of the first training step, with the model built. Times are
milliseconds on this machine, as busy as it is: its load is printed, and a quiet one gives the figures that count.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from netwright.evaluator.baselines import baseline
from netwright.evaluator.laboratory import Laboratory
from netwright.evaluator.tasks import load_task
from netwright.sandbox import Job, JobResult, Sandbox, Tier, probe
from netwright.types import Split

FOLDER = str(Path(__file__).parent)
TRAIN, WAIT = "sandbox_step:train", "sandbox_step:wait"
COLD = """
import sys
sys.path.insert(0, sys.argv[1])
import sandbox_step
print(*sandbox_step.first_step())
"""
TICK = 1 / os.sysconf("SC_CLK_TCK")


def row(name: str, seconds: Sequence[float]) -> None:
    """Print one line of the table, in milliseconds."""
    ordered = sorted(1000 * value for value in seconds)
    p95 = ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]
    print(f"{name:<52}{len(ordered):>5}{statistics.median(ordered):>10.1f}{p95:>10.1f}{ordered[-1]:>10.1f}", flush=True)


def rows(name: str, spans: Sequence[tuple[float, float, float]]) -> None:
    """Print when the first step began and ended; `spans` are (asked, began, ended)."""
    row(f"{name}: first step begins", [began - asked for asked, began, _ in spans])
    row(f"{name}: first step done", [ended - asked for asked, _, ended in spans])


def cold() -> tuple[float, float, float]:
    """Run a plain Python from exec to its first step."""
    asked = time.monotonic()
    command = [sys.executable, "-c", COLD, FOLDER]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    began, ended = map(float, done.stdout.split())
    return asked, began, ended


def by_multiprocessing(method: str, preload: Sequence[str] = ()) -> Callable[[], tuple[float, float, float]]:
    """Make a run of the first step in a new process of the standard library's `method`."""
    import sandbox_step

    context = multiprocessing.get_context(method)
    if isinstance(context, type(multiprocessing.get_context("forkserver"))):
        context.set_forkserver_preload(list(preload))

    def run() -> tuple[float, float, float]:
        ours, theirs = context.Pipe()
        process = context.Process(target=sandbox_step.send_first_step, args=(theirs,))
        asked = time.monotonic()
        process.start()
        began, ended = ours.recv()
        process.join()
        return asked, began, ended

    run()  # the fork server starts with the first
    return run


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


def cpu_seconds(pid: int) -> float:
    """CPU seconds of a process and of its children that have ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) * TICK


def bench(tier: Tier) -> Sandbox:
    """Make a sandbox with one slot for the steps of this benchmark."""
    return Sandbox(
        slots=1,
        entries=[TRAIN, WAIT],
        warm_zygote="sandbox_step:warm",
        warm_child="sandbox_step:warm",
        python_path=[FOLDER],
        isolation=tier,
    )


def checked(result: JobResult) -> JobResult:
    """Return the result of a job that went well."""
    if result.reply is None:
        raise SystemExit(f"a job failed: {result.cause}: {result.reason}")
    return result


def jobs(sandbox: Sandbox, count: int, title: str, between: Callable[[], object]) -> list[JobResult]:
    """Print latencies of `count` one-step jobs, each after `between`."""
    spans, results = [], []
    for _ in range(count):
        between()
        asked = time.monotonic()
        result = checked(sandbox.run(Job(entry=TRAIN, payload={"steps": 1})))
        assert result.reply is not None
        spans.append((asked, result.reply["began"], result.reply["ended"]))
        results.append(result)
    rows(f"{title} ({sum(result.warm for result in results)} warm)", spans)
    return results


def kills(sandbox: Sandbox, count: int, title: str) -> None:
    """Print how long SIGKILL to reaped takes for a job that would never end."""
    seconds = []
    for _ in range(count):
        sandbox.wait_until_warm()
        cancel = threading.Event()
        threading.Timer(0.15, cancel.set).start()
        seconds.append(sandbox.run(Job(entry=WAIT), cancel=cancel).seconds_to_kill or 0.0)
    row(f"{title}: SIGKILL to reaped", seconds)


def step_times(sandbox: Sandbox, steps: int) -> list[float]:
    """Seconds of each step after the first in one job."""
    result = checked(sandbox.run(Job(entry=TRAIN, payload={"steps": steps})))
    assert result.reply is not None
    return list(result.reply["seconds"][1:])


def refill(sandbox: Sandbox, count: int, title: str) -> None:
    """Print the CPU time that a new spare takes: fork, isolation, warm-up, and its end; jobs that do nothing."""
    sandbox.wait_until_warm()
    before = cpu_seconds(sandbox.zygote_pid)
    for _ in range(count):
        checked(sandbox.run(Job(entry=TRAIN, payload={"steps": 0})))
    sandbox.wait_until_warm()
    spent = (cpu_seconds(sandbox.zygote_pid) - before) / count
    print(f"{title}: {1000 * spent:.0f} ms of CPU per spare, its end included")


def spares(sandbox: Sandbox, title: str) -> None:
    """Print the memory of the waiting spares."""
    sandbox.wait_until_warm()
    time.sleep(1.0)
    sizes = [proportional_bytes(pid) for pid in children_of(sandbox.zygote_pid)]
    print(
        f"{title}: a spare holds " + ", ".join(f"{own >> 20} MiB private ({pss >> 20} MiB PSS)" for pss, own in sizes)
    )


def tier_table(tier: Tier, count: int) -> None:
    """Print everything about one tier."""
    asked = time.monotonic()
    with bench(tier) as sandbox:
        row(f"{tier}: isolation known", [time.monotonic() - asked])
        sandbox.wait_until_warm()
        row(f"{tier}: first spare warm", [time.monotonic() - asked])
        time.sleep(1.0)  # the zygote tidies its memory when it is idle for the first time
        results = jobs(sandbox, count, f"{tier}, spare", lambda: sandbox.wait_until_warm())
        row(f"{tier}: isolation, before the request", [result.isolation_seconds for result in results])
        jobs(sandbox, count, f"{tier}, back to back", lambda: None)
        kills(sandbox, count, tier)
        refill(sandbox, count, tier)
        spares(sandbox, tier)


def steady(tiers: Sequence[Tier], steps: int) -> None:
    """Print the time of a steady step in each tier, tiers by turns so that the machine's moods meet all."""
    sandboxes = {tier: bench(tier) for tier in tiers}
    found: dict[Tier, list[float]] = {tier: [] for tier in tiers}
    for sandbox in sandboxes.values():
        sandbox.start()
        sandbox.wait_until_warm()
    for _ in range(6):
        for tier, sandbox in sandboxes.items():
            found[tier] += step_times(sandbox, steps)
    for tier, sandbox in sandboxes.items():
        sandbox.close()
        row(f"{tier}: a steady step", found[tier])
    base = statistics.median(found[tiers[0]])
    for tier in tiers[1:]:
        print(f"{tier}: {100 * (statistics.median(found[tier]) / base - 1):+.1f}% against {tiers[0]}")


def scoring(tier: Tier, count: int) -> None:
    """Print what the audit and the score of a small model cost: screening (rung 0) and final strength (test split)."""
    name = "softmax_attention"
    with tempfile.TemporaryDirectory() as folder:
        text = Path(folder, "text.txt")
        text.write_text("the quick brown fox jumps over the lazy dog. " * 20_000)
        task = load_task("bytes", data=text, rung_tokens=(40_000, 80_000))
        sandbox = Sandbox(
            slots=2,
            entries=Laboratory.ENTRIES,
            warm_zygote=Laboratory.WARM_ZYGOTE,
            warm_child=Laboratory.WARM_CHILD,
            isolation=tier,
        )
        with sandbox:
            sandbox.wait_until_warm()
            lab = Laboratory(sandbox, task, bytes(32))
            for title, split in (("screening audit", Split.VALIDATION), ("final audit", Split.TEST)):
                begun, trials = time.process_time(), []
                for seed in range(count):
                    trials.append(lab.trial(baseline(name), rung=0, seed=seed, split=split))
                own = (time.process_time() - begun) / count
                row(f"{tier}: {title}, {trials[0].audit.rows} rows", [t.usage.scoring_seconds for t in trials])
                jobs = [job for trial in trials for job in trial.jobs if job.purpose != "train"]
                theirs = sum(job.cpu_seconds for job in jobs) / count
                print(f"{tier}: {title}: {theirs:.2f} s of CPU in {len(jobs) // count} children, {own:.2f} s here")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=30)
    parser.add_argument("--cold", type=int, default=3)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--tiers", type=Tier, nargs="*", default=None)
    arguments = parser.parse_args()
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [FOLDER, os.environ.get("PYTHONPATH")]))
    sys.path.insert(0, FOLDER)
    best = probe().tier
    tiers = arguments.tiers or [tier for tier in (Tier.T0, Tier.T2, Tier.T3) if tier <= best]
    print(f"{'milliseconds':<52}{'n':>5}{'p50':>10}{'p95':>10}{'max':>10}")
    rows("cold process", [cold() for _ in range(arguments.cold)])
    spawn, server = by_multiprocessing("spawn"), by_multiprocessing("forkserver", ["torch"])
    rows("multiprocessing spawn", [spawn() for _ in range(arguments.cold)])
    rows("forkserver that preloads torch", [server() for _ in range(arguments.cold)])
    for tier in tiers:
        tier_table(tier, arguments.jobs)
    steady(tiers, arguments.steps)
    scoring(tiers[-1], max(3, arguments.jobs // 5))
    print(f"\nload average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


if __name__ == "__main__":
    main()

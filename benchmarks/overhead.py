"""What a campaign costs beyond training: the CPU seconds of its whole process tree, by what they were spent on.

    python benchmarks/overhead.py [--candidates 12] [--task recall] [--tokens 4096] [--workers 2] [--profile FILE]

A real campaign in a temporary home, with trainings so short that everything else stands out. Children are counted
from the moment they have their job; what came before (fork, isolation, warm-up) is that of spares. "A candidate" is
one that was trained and scored: baselines, designs, and finalists at the next rung alike; every design was put to the
gates before. `--profile` writes what the trusted process spent its time on, for pstats.
"""

from __future__ import annotations

import time

STARTED = time.process_time()

import argparse  # noqa: E402 - the imports of what is measured are part of its start
import cProfile  # noqa: E402
import os  # noqa: E402
import resource  # noqa: E402
import tempfile  # noqa: E402
import threading  # noqa: E402
from collections import Counter  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

from netwright.campaign.running import run_campaign  # noqa: E402
from netwright.config import CampaignConfig  # noqa: E402
from netwright.sandbox.runner import Job, JobResult, Sandbox  # noqa: E402

NAMES = {"train": "training children", "score": "scoring children", "check": "gates children"}


class Meter:
    """Notes what the sandbox's jobs took, and what its zygote did."""

    def __init__(self) -> None:
        self.jobs: Counter[str] = Counter()
        self.seconds: Counter[str] = Counter()
        self.trusted_start = self.zygote_start = self.zygote = 0.0
        self.warm = 0
        self._lock = threading.Lock()

    def install(self) -> None:
        """Look over the shoulder of every sandbox of this process."""
        run, close = Sandbox.run, Sandbox.close

        def measured(sandbox: Sandbox, job: Job, **options: Any) -> JobResult:
            with self._lock:
                self.trusted_start = self.trusted_start or time.process_time()
            result = run(sandbox, job, **options)
            with self._lock:
                self.zygote_start = self.zygote_start or own_seconds(sandbox.zygote_pid)
                kind = job.entry.partition(":")[2].partition("_")[0]
                self.jobs[kind] += 1
                self.seconds[kind] += result.cpu_seconds
                self.warm += result.warm
            return result

        def closing(sandbox: Sandbox) -> None:
            self.zygote = own_seconds(sandbox.zygote_pid) or self.zygote
            close(sandbox)

        Sandbox.run, Sandbox.close = measured, closing  # type: ignore[method-assign]


def own_seconds(pid: int) -> float:
    """CPU seconds of a single-threaded process, without its children; 0 when it is gone."""
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9
    except OSError:
        return 0.0


def tree_seconds() -> tuple[float, float]:
    """CPU seconds of this process, and of all its descendants that have ended."""
    below = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time(), below.ru_utime + below.ru_stime


def campaign(options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as home:
        config = CampaignConfig.model_validate(
            {
                "name": "overhead",
                "task": options.task,
                "rung_tokens": [options.tokens, 2 * options.tokens],
                "workers": options.workers,
                "budget": {"trials": options.candidates, "minutes": 60},
            }
        )
        run_campaign(Path(home), config)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--candidates", type=int, default=12)
    parser.add_argument("--task", default="recall")
    parser.add_argument("--tokens", type=int, default=4096)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--profile", type=Path)
    options = parser.parse_args()
    meter = Meter()
    meter.install()
    profile = cProfile.Profile(time.process_time) if options.profile else None
    begun = time.monotonic()
    if profile:
        profile.runcall(campaign, options)
        profile.dump_stats(options.profile)
    else:
        campaign(options)
    report(meter, time.monotonic() - begun)


def report(meter: Meter, wall_seconds: float) -> None:
    trusted, below = tree_seconds()
    at_work = {NAMES[kind]: meter.seconds[kind] for kind in NAMES}
    once = {"start of the trusted process": meter.trusted_start - STARTED, "start of the zygote": meter.zygote_start}
    beside = {
        "trusted process": trusted - meter.trusted_start,
        "zygote: forks and burials": meter.zygote - meter.zygote_start,
        "spares: isolation and warm-up": below - meter.zygote - sum(at_work.values()),
    }
    count = meter.jobs["train"]
    total_jobs = sum(meter.jobs.values())
    checks = meter.jobs["check"]
    print(f"{count} candidates trained and scored, {checks} checked, {total_jobs} jobs ({meter.warm} warm)")
    print(f"{wall_seconds:.1f} s of wall clock, load average {os.getloadavg()[0]:.1f}\n")
    print(f"{'CPU seconds':<36}{'all':>10}{'each':>10}")
    for title, rows in (("at work", at_work), ("beside it", beside), ("once", once)):
        for name, seconds in rows.items():
            print(f"{name:<36}{seconds:>10.2f}{seconds / count:>10.3f}")
        print(f"{title + ', together':<36}{sum(rows.values()):>10.2f}{sum(rows.values()) / count:>10.3f}\n")
    everything = sum(beside.values()) + sum(once.values())
    print(f"{'beyond the work, start included':<36}{everything:>10.2f}{everything / count:>10.3f}")
    designs = meter.jobs["check"]
    print(f"{'the same, charged to designs alone':<36}{everything:>10.2f}{everything / designs:>10.3f}")


if __name__ == "__main__":
    main()

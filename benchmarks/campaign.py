"""The default campaign as a newcomer runs it: wall time, slot use, memory of the whole process tree.

    python benchmarks/campaign.py [--task bytes] [--minutes 5] [--out benchmarks/results/campaign.json]

Memory is the sum of proportional set sizes (PSS) over the process tree, sampled twice a second: pages that the
children share with the zygote are counted once.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

SAMPLE_SECONDS = 0.5


def tree_of(pid: int) -> list[int]:
    """`pid` and all its descendants."""
    found = [pid]
    for parent in found:
        for children in Path(f"/proc/{parent}/task").glob("*/children"):
            try:
                found += [int(child) for child in children.read_text().split()]
            except OSError:
                continue
    return found


def pss_bytes(pid: int) -> int:
    """Proportional set size of one process; 0 when it is gone."""
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except OSError:
        return 0
    return 0


def watch_memory(pid: int, stop: threading.Event, samples: list[int]) -> None:
    """Append the memory of the tree to `samples` until `stop` is set."""
    while not stop.wait(SAMPLE_SECONDS):
        samples.append(sum(pss_bytes(member) for member in tree_of(pid)))


def run(task: str, minutes: float, home: Path) -> tuple[dict[str, object], list[int], float]:
    """Run the campaign; its JSON result, the memory samples, and the CPU seconds of everything."""
    command = [sys.executable, "-m", "netwright", "run", "--task", task, "--minutes", str(minutes)]
    child = subprocess.Popen([*command, "--home", str(home), "--json"], stdout=subprocess.PIPE)
    stop, samples = threading.Event(), list[int]()
    watcher = threading.Thread(target=watch_memory, args=(child.pid, stop, samples))
    watcher.start()
    output, _ = child.communicate()
    stop.set()
    watcher.join()
    if child.returncode:
        raise SystemExit(f"the campaign failed with exit code {child.returncode}")
    times = os.times()
    return json.loads(output), samples, times.children_user + times.children_system


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", default="bytes")
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--out", type=Path, help="also write the figures to this JSON file")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        started = time.monotonic()
        result, samples, cpu = run(options.task, options.minutes, Path(home))
        wall = time.monotonic() - started
    leaderboard = result["leaderboard"]
    assert isinstance(leaderboard, list)
    figures = {
        "task": options.task,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "wall_seconds": round(wall, 1),
        "trained_designs": sum(not row["is_baseline"] for row in leaderboard),
        "baselines": sum(row["is_baseline"] for row in leaderboard),
        "slot_use": result["slot_use"],
        "peak_memory_mb": round(max(samples) / 1e6),
        "cpu_seconds": round(cpu, 1),
        "isolation": result["isolation"],
    }
    for name, value in figures.items():
        print(f"{name:18} {value}")
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()

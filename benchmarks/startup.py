"""How long `netwright --help` takes, as CPU time of a whole process; fails above the limit.

    python benchmarks/startup.py [--runs 10] [--limit 0.3]

CPU time, the minimum of several runs: what the command itself costs, whatever else the machine does.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys


def cpu_seconds(command: list[str]) -> float:
    """User and system time of one run of `command`."""
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"{' '.join(command)} failed with exit code {child.returncode}")
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--limit", type=float, default=0.3, help="seconds")
    options = parser.parse_args()
    times = sorted(cpu_seconds([sys.executable, "-m", "netwright", "--help"]) for _ in range(options.runs))
    print(f"netwright --help: min {times[0]:.3f} s, median {times[len(times) // 2]:.3f} s of CPU")
    if times[0] > options.limit:
        raise SystemExit(f"slower than {options.limit} s: does something import torch and friends at the top?")


if __name__ == "__main__":
    main()

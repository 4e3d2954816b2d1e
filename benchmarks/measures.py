"""What do the baselines cost in use, and is the state that is measured the one they are known to have?

    OMP_NUM_THREADS=1 python benchmarks/measures.py [--task bytes] [--csv benchmarks/results/measures.csv]

Every mixer goes through `Laboratory.measure`, as `netwright measure` does. The states in `KNOWN` are counted by hand
from the baselines' equations, at the width of the probe (8 channels, 2 heads of 4) and with 64 positions before the
middle, a number for each of the two layers.
"""

from __future__ import annotations

import argparse
import csv
import os
import sys
from pathlib import Path

from netwright.campaign.opening import open_sandbox
from netwright.config import SandboxConfig
from netwright.evaluator.baselines import named_baselines
from netwright.evaluator.growth import growth_of
from netwright.evaluator.laboratory import Laboratory
from netwright.evaluator.tasks import load_task
from netwright.evaluator.tasks.suite import Suite
from netwright.measures import Measures

ALL = 64 * 8  # a vector for each position of the past
MATRICES = 2 * 4 * 4  # per head a matrix from keys to values
WINDOW = 31 * 8
KNOWN = {
    "softmax_attention": (ALL, ALL),
    "linear_attention": (MATRICES + 2 * 4, MATRICES + 2 * 4),
    "retention": (MATRICES, MATRICES),
    "gated_linear_attention": (MATRICES, MATRICES),
    "delta_net": (MATRICES, MATRICES),
    "gated_convolution": (7 * 8, 7 * 8),
    "attention_convolution_hybrid": (7 * 8, ALL),
    "sliding_window_attention": (WINDOW, WINDOW),
    # 273 features x (4 values + normaliser) x 2 heads; at 8 channels they span only the cubic polynomials of a token.
    "based": (2 * 273 * 5, WINDOW),
    "gated_delta_net": (MATRICES, MATRICES),
    "mamba2": (MATRICES, MATRICES),
    "s4d": (8 * 2 * 4, 8 * 2 * 4),  # per channel dim / 2 complex numbers
    # Its group norm takes the mean of a head's 4 channels away, and with it a column; and the token before is kept.
    "rwkv7": (2 * 4 * 3 + 8, 2 * 4 * 3 + 8),
    "hyena": (ALL, ALL),
    "ngram_heads": (ALL, ALL),
    "mlp_mixer": (ALL, ALL),
    "lstm": (2 * 4, 2 * 4),
    "gated_delta_attention_hybrid": (MATRICES, ALL),
}


def measure_all(task_name: str) -> dict[str, Measures]:
    """Return the measures of every mixer, one after the other."""
    task = load_task(task_name)
    if isinstance(task, Suite):
        raise SystemExit("measure a single task")
    with open_sandbox(SandboxConfig(), slots=1) as sandbox:
        lab = Laboratory(sandbox, task, b"")
        found = {}
        for name, candidate in named_baselines(task.spec).items():
            found[name] = lab.measure(candidate)
            print(f"{name}: {found[name].wall_seconds:.1f} s", file=sys.stderr, flush=True)
        return found


def row_of(name: str, measures: Measures) -> dict[str, object]:
    """Return a line of the table."""
    if not measures.inference:
        raise SystemExit(f"{name}: {'; '.join(measures.problems)}")
    growth, first = growth_of(measures), measures.inference[0]
    ranks = measures.state.ranks if measures.state else ()
    exponents = {"time": growth.time, "memory": growth.memory, "FLOPs": growth.flops, "state": growth.state}
    return {
        "baseline": name,
        "ms a row": f"{1e3 * (first.seconds or 0):.2f}",
        "tokens/s": round(first.length * measures.batch_rows / (first.batch_seconds or 1)),
        "KiB": round((first.peak_bytes or 0) / 1024),
        "FLOPs/token": round((first.flops or 0) / first.length),
        "written/token": round((first.written or 0) / first.length),
        **{f"{kind} ^": f"{value:.2f}" if value is not None else "-" for kind, value in exponents.items()},
        "growth": growth.word or "-",
        "state": " ".join(map(str, ranks)),
        "known": " ".join(map(str, KNOWN[name])),
        "s": f"{measures.wall_seconds:.1f}",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", default="bytes")
    parser.add_argument("--csv", type=Path)
    options = parser.parse_args()
    found = measure_all(options.task)
    rows = [row_of(name, measures) for name, measures in found.items()]
    columns = list(rows[0])
    widths = {column: max(len(column), *(len(str(row[column])) for row in rows)) for column in columns}
    one = next(iter(found.values()))
    lengths = ", ".join(str(each.length) for each in one.inference)
    print(f"task {one.task_id}, lengths {lengths}, batch of {one.batch_rows}; {one.machine}")
    print(
        f"load of the machine {os.getloadavg()[1]:.1f}: seconds mean something below its number of cores, counts always"
    )
    for row in [dict(zip(columns, columns, strict=True)), *rows]:
        print("  ".join(str(row[column]).ljust(widths[column]) for column in columns).rstrip())
    if options.csv:
        with options.csv.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)


if __name__ == "__main__":
    main()

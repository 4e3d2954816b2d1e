"""What do equal tokens, equal FLOPs and equal time give the core baselines, and how do they rank?

    OMP_NUM_THREADS=1 python benchmarks/protocols.py --home FOLDER [--task bytes] [--rung 0] [--seeds 1] [--workers 1]

Trains them under each protocol through the sandbox, as `netwright baselines --protocol ...` does, with more patience
than that has on a busy machine. CPU seconds are those of the training processes, seen from outside. What the memory in
FOLDER has is not trained again.
"""

from __future__ import annotations

import argparse
import os
import statistics
from pathlib import Path

from netwright.campaign.single import Row, evaluate_baselines
from netwright.config import SandboxConfig
from netwright.evaluator.measurement import machine_name
from netwright.evaluator.tasks.registry import PROTOCOLS
from netwright.types import PROTOCOL_NAMES, Trial

PATIENT = SandboxConfig(train_base_seconds=600.0, first_step_seconds=60.0)


def training_seconds(trial: Trial) -> float:
    """Return the CPU seconds of the process that trained."""
    return next((job.cpu_seconds for job in trial.jobs if job.purpose == "train"), 0.0)


def line_of(row: Row) -> str:
    trial = row.trials[0]
    loss = f"{-row.score.value:8.4f}" if row.score else f"{trial.status.value:>8}"
    seconds = statistics.fmean(map(training_seconds, row.trials))
    share = row.share
    costs = f"{share.factor:6.3f} {share.seconds:8.2f}" if share else f"{1.0:6.3f} {'':8}"
    operations = f"{share.operations:10.2f}" if share and share.operations else " " * 10
    return f"{row.candidate.title[:48]:48} {costs} {operations} {trial.tokens:9,} {seconds:6.1f} {loss}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, required=True, help="where the memory is, or comes to be")
    parser.add_argument("--task", default="bytes")
    parser.add_argument("--rung", type=int, default=0)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--workers", type=int, default=1, help="trainings at once")
    options = parser.parse_args()
    print(f"{machine_name('cpu')}; {options.task}, rung {options.rung}, seeds 0 to {options.seeds - 1}")
    for protocol in PROTOCOLS:
        spec, rows = evaluate_baselines(
            options.home,
            options.task,
            None,
            PATIENT,
            protocol=protocol,
            chosen="core",
            seeds=options.seeds,
            rung=options.rung,
            workers=options.workers,
            on_progress=lambda done, jobs, title: None,
        )
        print(f"\n{PROTOCOL_NAMES[spec.protocol]} ({spec.id}); 1-minute load {os.getloadavg()[0]:.1f}")
        print(f"{'':48} factor  seconds operations    tokens  CPU s     nats", flush=True)
        for row in rows:
            print(line_of(row), flush=True)


if __name__ == "__main__":
    main()

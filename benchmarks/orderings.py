"""Do trainings here order architectures as published ones do?

    python benchmarks/orderings.py [--csv benchmarks/results/fidelity.csv]

Reads the long trainings of `fidelity.py` (ten times the tokens of rung 0) and holds them against claims of the
literature of the form "on this kind of task these are ahead of those". For each claim: the share of pairs, one from
either side, that stand in the published order (the Mann-Whitney statistic as a probability; 0.5 would be chance), and
every pair that does not, with the difference in nats. Nothing is trained. One seed each, unless the CSV has more: a
difference below the noise between seeds says nothing.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from fidelity_report import LONG, Ledger

RESULTS = Path(__file__).with_name("results") / "fidelity.csv"


@dataclass(frozen=True)
class Claim:
    """Baselines by file name: on tasks of that name `ahead` are published to beat `behind`."""

    task: str
    words: str
    ahead: tuple[str, ...]
    behind: tuple[str, ...]
    source: str


CLAIMS = (
    Claim(
        "mqar-8",
        "recall: attention ahead of convolutions and decay-only recurrences",
        ("softmax_attention",),
        ("gated_convolution", "hyena", "s4d", "retention", "gated_linear_attention", "mamba2"),
        "Arora et al. 2023, Zoology, arXiv:2312.04927; Arora et al. 2024, Based, arXiv:2402.18668",
    ),
    Claim(
        "mqar-8",
        "recall: the delta rule ahead of decay-only recurrences",
        ("delta_net", "gated_delta_net", "rwkv7"),
        ("retention", "gated_linear_attention", "mamba2", "s4d"),
        "Yang et al. 2024, DeltaNet, arXiv:2406.06484; Yang et al. 2024, arXiv:2412.06464",
    ),
    Claim(
        "mqar-8",
        "recall: hybrids with attention ahead of what they are mixed from",
        ("attention_convolution_hybrid", "gated_delta_attention_hybrid"),
        ("gated_convolution", "gated_delta_net"),
        "Poli et al. 2024, MAD, arXiv:2403.17844",
    ),
    Claim(
        "s3",
        "state tracking: a nonlinear recurrence ahead of attention, convolutions and diagonal recurrences",
        ("lstm",),
        (
            "softmax_attention",
            "gated_convolution",
            "hyena",
            "retention",
            "gated_linear_attention",
            "mamba2",
            "s4d",
            "linear_attention",
        ),
        "Merrill, Petty & Sabharwal 2024, The Illusion of State in State-Space Models, arXiv:2404.08819",
    ),
    Claim(
        "s3",
        "state tracking: RWKV-7 ahead of diagonal recurrences",
        ("rwkv7",),
        ("retention", "gated_linear_attention", "mamba2", "s4d"),
        "Peng et al. 2025, RWKV-7, arXiv:2503.14456",
    ),
    Claim(
        "bytes",
        "language: gated recurrences ahead of those without a gate or decay",
        ("gated_delta_net", "gated_linear_attention", "mamba2", "rwkv7"),
        ("linear_attention", "retention", "s4d"),
        "Yang et al. 2023, GLA, arXiv:2312.06635; Yang et al. 2024, arXiv:2412.06464",
    ),
    Claim(
        "bytes",
        "language: hybrids with attention ahead of what they are mixed from",
        ("attention_convolution_hybrid", "gated_delta_attention_hybrid"),
        ("softmax_attention", "gated_convolution", "gated_delta_net"),
        "De et al. 2024, Griffin, arXiv:2402.19427; Waleffe et al. 2024, arXiv:2406.07887",
    ),
)


def long_losses(ledger: Ledger) -> dict[str, dict[str, list[float]]]:
    """Return the losses of the long trainings in nats, by task name and baseline, one per seed."""
    losses: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for run in ledger.runs:
        if run.rung == LONG and run.origin == "baseline":
            losses[run.task.rpartition("-")[0]][run.architecture.rpartition("-")[0]].append(run.loss_nats)
    return losses


def tell(claim: Claim, losses: Mapping[str, Sequence[float]]) -> None:
    """Print how a claim fares; failed trainings count as an infinite loss."""
    print(f"\n{claim.words} ({claim.task}; {claim.source})")
    missing = [name for name in (*claim.ahead, *claim.behind) if name not in losses]
    if missing:
        print(f"  not trained: {', '.join(missing)}")
        return
    mean = {name: float(np.mean(losses[name])) for name in (*claim.ahead, *claim.behind)}
    print("  ahead:  " + ", ".join(f"{name} {mean[name]:.3f}" for name in sorted(claim.ahead, key=mean.__getitem__)))
    print("  behind: " + ", ".join(f"{name} {mean[name]:.3f}" for name in sorted(claim.behind, key=mean.__getitem__)))
    pairs = [(first, second) for first in claim.ahead for second in claim.behind]
    kept = sum((mean[first] < mean[second]) + 0.5 * (mean[first] == mean[second]) for first, second in pairs)
    print(f"  in the published order: {kept / len(pairs):.2f} of {len(pairs)} pairs")
    for first, second in pairs:
        if mean[first] > mean[second]:
            print(f"  differs: {first} is {mean[first] - mean[second]:.3f} nats behind {second}")


def spread(losses: Mapping[str, Sequence[float]]) -> str:
    """Say how far seeds of one baseline scatter, pooled over baselines."""
    repeated = [each for each in losses.values() if len(each) > 1 and np.isfinite(each).all()]
    freedom = sum(len(each) - 1 for each in repeated)
    if not freedom:
        return "one seed each: the noise between seeds is not known"
    squares = sum((len(each) - 1) * float(np.var(each, ddof=1)) for each in repeated)
    return f"noise between seeds: {np.sqrt(squares / freedom):.3f} nats (SD, {freedom} degrees of freedom)"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--csv", type=Path, default=RESULTS)
    losses = long_losses(Ledger(parser.parse_args().csv))
    for task in dict.fromkeys(claim.task for claim in CLAIMS):
        print(f"{task}: {spread(losses.get(task, {}))}")
    for claim in CLAIMS:
        tell(claim, losses.get(claim.task, {}))


if __name__ == "__main__":
    main()

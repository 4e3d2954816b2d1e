"""How well words promise: which of three designs would the value model have built first, by what is said of them?

    python benchmarks/ranking.py HOME [HOME ...]

takes every campaign of these memories with at least 20 scored designs, goes through it in order, and lets the model
that knows the first ones choose among the next three. Printed are the rank correlation of expected worth and score, and
by how much the chosen one is better than the mean of the three, in the unit of the task, each with its standard error.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr

from netwright.campaign.ranking import Outcome, described, promised
from netwright.memory.store import Memory
from netwright.types import Score

FIRST, AMONG, LEAST = 10, 3, 20


def outcomes(memory: Memory, campaign_id: int) -> list[tuple[Outcome, Score]]:
    """The designs of a campaign in order, each with its first score."""
    found = {}
    for known in memory.experiments(campaign_id):
        if known.node >= 0 and known.score is not None and known.candidate is not None:
            found.setdefault(known.node, ((known.candidate, known.score), known.score))
    return list(found.values())


def played(designs: list[tuple[Outcome, Score]]) -> tuple[float, list[float]]:
    """The rank correlation over a campaign, and the gain of each choice."""
    words = [described(candidate.title, candidate.hypothesis) for (candidate, _), _ in designs]
    scores = [score for _, score in designs]
    expected, gains = [], []
    for first in range(FIRST, len(designs) - AMONG + 1):
        known = list(zip(words[:first], scores[:first], strict=True))
        worth = promised(words[first : first + AMONG], known)
        values = [score.value for score in scores[first : first + AMONG]]
        expected.append(worth[0])
        gains.append(values[int(np.argmax(worth))] - float(np.mean(values)))
    return float(spearmanr(expected, [score.value for score in scores[FIRST : FIRST + len(expected)]])[0]), gains


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("homes", nargs="+", type=Path, metavar="HOME")
    for home in parser.parse_args().homes:
        correlations, gains = [], []
        with Memory.open(home, create=False, read_only=True) as memory:
            for campaign in memory.campaigns():
                designs = outcomes(memory, campaign.id)
                if len(designs) >= LEAST:
                    correlation, gained = played(designs)
                    correlations.append(correlation)
                    gains.append(float(np.mean(gained)))
        told = [f"{np.nanmean(each):.2f} +- {np.nanstd(each) / len(each) ** 0.5:.2f}" for each in (correlations, gains)]
        print(f"{home}: {len(correlations)} campaigns, rank correlation {told[0]}, best of {AMONG} over mean {told[1]}")


if __name__ == "__main__":
    main()

"""The statistics of `benchmarks/fidelity.py` on made-up numbers, and its file of runs."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
INF, NAN = np.inf, np.nan


@pytest.fixture
def statistics(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    yield importlib.import_module("fidelity_statistics")


@pytest.fixture
def tables(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    yield importlib.import_module("fidelity_report")


def array(*values: object) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    return np.array(values, dtype=np.float64)


def test_rank_correlations_are_those_of_the_textbook(statistics: ModuleType) -> None:
    x, y = array(1, 2, 3, 4, 5), array(2, 1, 4, 3, 5)

    assert statistics.spearman(x, y) == pytest.approx(1 - 6 * 4 / (5 * 24))
    assert statistics.kendall(x, y) == pytest.approx((8 - 2) / 10)


def test_a_failed_training_is_the_worst_rank(statistics: ModuleType) -> None:
    assert statistics.spearman(array(1, 2, 3, INF), array(1, 2, 3, 4)) == pytest.approx(1)
    assert statistics.kendall(array(INF, 2, 3, 4), array(1, 2, 3, 4)) == pytest.approx(0)


def test_what_ranks_nothing_correlates_with_nothing(statistics: ModuleType) -> None:
    assert statistics.spearman(array(3, 3, 3), array(1, 2, 3)) == 0
    assert statistics.kendall(array(1, 2, 3), array(INF, INF, INF)) == 0


def test_an_interval_holds_the_value_and_is_the_same_again(statistics: ModuleType) -> None:
    generator = np.random.default_rng(1)
    x = generator.normal(size=30)
    y = x + generator.normal(size=30)

    found = statistics.estimate(statistics.spearman, x, y)

    assert found.low < found.value < found.high
    assert 0.2 < found.high - found.low < 0.8
    assert found == statistics.estimate(statistics.spearman, x, y)


def test_means_over_seeds_skip_what_is_missing_and_keep_failures(statistics: ModuleType) -> None:
    means = statistics.seed_mean(array([1, 3], [2, NAN], [2, INF], [NAN, NAN]))

    assert np.array_equal(means, array(2, 2, INF, NAN), equal_nan=True)


def test_a_score_is_squashed_improvement(statistics: ModuleType) -> None:
    scores = statistics.score(array(2, 1, 3, INF, NAN), 2.0, 0.5)

    assert np.allclose(scores, [0, np.tanh(2), -np.tanh(2), -1, NAN], equal_nan=True)
    assert statistics.spread_of(array(1, 3, INF)) == pytest.approx(np.sqrt(2))
    assert statistics.spread_of(array(1, 1)) == 1


def test_the_ceiling_is_what_seeds_leave(statistics: ModuleType) -> None:
    generator = np.random.default_rng(0)
    truth = generator.normal(size=(4000, 1))
    short, long = (truth + generator.normal(size=(4000, 2)) for _ in range(2))

    found = statistics.ceiling(short, long)

    assert statistics.between_seeds(short) == pytest.approx(0.5, abs=0.04)
    assert found == pytest.approx(2 / 3, abs=0.04)
    assert statistics.spearman(short.mean(1), long.mean(1)) == pytest.approx(found, abs=0.04)


def test_one_seed_says_nothing_of_noise(statistics: ModuleType) -> None:
    losses = array([1], [2], [3], [4], [5])

    found = statistics.agreement(losses, losses)

    assert found.rho.value == pytest.approx(1)
    assert found.between_seeds == (None, None)
    assert found.ceiling is None and found.share_of_seeds is None


def test_only_architectures_with_both_rungs_are_compared(statistics: ModuleType) -> None:
    short = array([1], [2], [3], [4], [0])
    long = array([4], [3], [2], [1], [NAN])

    found = statistics.agreement(short, long)

    assert found.architectures == 4
    assert found.rho.value == pytest.approx(-1)
    assert statistics.agreement(short[:3], long[:3]) is None


def test_seeds_explain_a_share_of_what_is_missing(statistics: ModuleType) -> None:
    rho = statistics.Estimate(0.6, 0.4, 0.8)
    found = statistics.Agreement(
        architectures=9, rho=rho, tau=rho, kept=(0.5, 1.0), between_seeds=(0.8, 0.8), ceiling=0.8
    )

    assert found.share_of_seeds == pytest.approx(0.5)
    assert replace(found, ceiling=0.5).share_of_seeds == 1


def test_kept_is_what_halving_by_the_short_rung_keeps_of_the_best_third(statistics: ModuleType) -> None:
    long = array(1, 2, 3, 4, 5, 6)
    turned = array(6, 1, 2, 3, 4, 5)

    assert statistics.kept(long, long, 1 / 3) == 1.0
    assert statistics.kept(turned, long, 1 / 3) == 0.5
    assert statistics.kept(-long, long, 1 / 2) == 0.0


def test_the_frontier_keeps_what_no_cheaper_mixture_equals(statistics: ModuleType) -> None:
    target = array(1, 2, 3, 4, 5)
    scores = array([1, 2, 3, 5, 4], [5, 4, 3, 2, 1], [1, 2, 3, 4, 6])

    found = list(statistics.mixtures(scores, target, [2.0, 1.0, 5.0]))

    assert len(found) == 7
    assert [each.tasks for each in statistics.frontier(found)] == [(0,), (2,)]
    assert [each.core_seconds for each in statistics.frontier(found)] == [2, 5]


def test_five_tasks_are_mixed_up_to_four_at_a_time(statistics: ModuleType) -> None:
    found = list(statistics.mixtures(np.eye(5), array(1, 2, 3, 4, 5), [1.0] * 5))

    assert len(found) == 5 + 10 + 10 + 5


def run(tables: ModuleType, task: str, architecture: str, rung: int, loss: float, failure: str = "") -> object:
    seed = tables.FIRST_LONG_SEED * rung
    return tables.Run(task, architecture, "baseline", rung, seed, loss, 2.0 + rung, failure)


def test_runs_survive_a_crash_within_a_line(tables: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "new" / "runs.csv"
    runs = [run(tables, "a", "x", 0, 1.5), run(tables, "a", "y", 0, INF, 'ValueError: "no", it said')]
    ledger = tables.Ledger(path)
    ledger.mend()
    for each in runs:
        ledger.append(each)
    path.write_text(path.read_text() + 'a,z,baseline,1,1000,"2.')

    again = tables.Ledger(path)
    again.mend()
    again.append(runs[0])

    assert again.runs == [*runs, runs[0]] == tables.Ledger(path).runs
    assert again.strangers(["a"], [tables.Architecture("x", "", "")]) == 1


def test_a_mixture_takes_the_tasks_that_are_complete(tables: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    names = [f"{tables.REFERENCE}-1", "b", "c", "d"]
    architectures = [tables.Architecture(name, "baseline", "") for name in names]
    losses = {(task, name): place + 1.0 for task in "pq" for place, name in enumerate(names)}
    runs = [run(tables, task, name, rung, loss) for (task, name), loss in losses.items() for rung in (0, 1)]
    runs[-1] = run(tables, "q", "d", 1, INF, "diverged")
    lacking = [run(tables, "r", name, 0, 1.0) for name in names]

    figures = tables.Figures([*runs, *lacking, run(tables, "s", "b", 0, 1.0)], ["p", "q", "r"], architectures)
    tables.report(figures, ["p", "q", "r"])

    assert figures.whole() == [0, 1]
    assert figures.cost(0, 0) == 2 and figures.cost(1, 1) == 3
    assert figures.scores(0, 0)[0, 0] == 0 and figures.scores(1, 1)[3, 0] == -1
    printed = capsys.readouterr().out
    assert "mixture of 2" in printed and "failed, counts as last: q rung 1 seed 1000 d: diverged" in printed

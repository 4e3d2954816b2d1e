from __future__ import annotations

import math

import pytest

from netwright.report import charts, measures, words
from netwright.report.code import highlight
from netwright.types import Interval, Score, Split, Trial, TrialStatus


def trial(candidate: str, loss: float | None, seed: int = 1, split: Split = Split.VALIDATION, rung: int = 0):
    return Trial(
        candidate_id=candidate,
        task_id="t",
        rung=rung,
        seed=seed,
        split=split,
        status=TrialStatus.DONE if loss is not None else TrialStatus.CRASHED,
        loss_nats=loss,
        loss_standard_error=0.05,
    )


def test_the_standard_error_comes_from_the_score_then_seeds_then_rows():
    score = Score(value=-1.0, standard_error=0.3, rung=0, seeds=1)
    trials = [trial("a", 1.0), trial("b", 1.0), trial("c", 1.0), trial("c", 1.2, seed=2), trial("d", None)]

    known = measures.measure(trials, {("a", 0): score})

    assert known["a"][0].standard_error == 0.3
    assert known["b"][0].standard_error == 0.05
    assert known["c"][0].standard_error == pytest.approx(0.1)
    assert "d" not in known


def test_rivals_are_compared_at_the_highest_common_rung():
    trials = [trial("a", 1.5), trial("a", 1.0, rung=1), trial("b", 1.2, rung=1), trial("b", 1.1), trial("c", 2.0)]
    trials.append(trial("d", 1.0, rung=2))

    found = measures.against("a", ["a", "b", "c", "d"], measures.measure(trials, {}))

    assert [(each.rival_id, each.rung) for each in found] == [("b", 1), ("c", 0)]
    assert found[0].delta_nats == pytest.approx(-0.2)
    half = 1.959964 * math.hypot(0.05, 0.05)
    assert (found[0].interval.low, found[0].interval.high) == pytest.approx((-0.2 - half, -0.2 + half))


@pytest.mark.parametrize(
    ("low", "high", "outcome"),
    [(-0.2, -0.1, "better"), (-0.1, 0.1, "no difference"), (0.1, 0.2, "worse")],
)
def test_an_outcome_needs_the_whole_interval(low, high, outcome):
    assert measures.outcome_of(Interval(low=low, high=high)) == outcome
    assert measures.outcome_of(None) == "no difference"


def test_students_interval_is_the_textbook_one():
    interval = measures.student_interval([1.0, 2.0, 3.0])

    assert interval.low == pytest.approx(2 - 4.302653 / math.sqrt(3), abs=1e-5)
    assert measures.student_interval([1.0]) is None


def test_confirmations_are_paired_by_seed_on_the_test_split_alone():
    trials = [trial("a", loss, seed, Split.TEST) for seed, loss in enumerate((1.0, 1.2, 1.4))]
    trials += [trial("b", loss, seed, Split.TEST) for seed, loss in enumerate((1.1, 1.3, 1.52))]
    trials += [trial("a", 9.0), trial("b", 0.1), trial("b", 0.1, 7, Split.TEST)]

    found = measures.confirmed(trials)
    pair = measures.paired("a", "b", 0, trials)

    assert [(each.candidate_id, len(each.seeds)) for each in found] == [("b", 4), ("a", 3)]
    assert pair.delta_nats == pytest.approx(-0.32 / 3)
    assert pair.outcome == "better"
    assert measures.paired("a", "c", 0, trials) is None


def test_ticks_are_round_and_inside():
    assert charts.ticks(0.0, 1.0) == pytest.approx([0.0, 0.2, 0.4, 0.6, 0.8, 1.0])
    for low, high in ((1.03, 1.07), (0, 7), (99.2, 1234.5), (1.5, 1.5000001)):
        found = charts.ticks(low, high)
        assert 2 <= len(found) <= 8
        assert low - 1e-9 <= found[0] < found[-1] <= high + 1e-9


def test_a_chart_of_one_design_and_equal_values_can_be_drawn():
    marks = [charts.Mark(x=1, y=1.5, label="only")]

    assert "<svg" in charts.best_so_far(marks, [charts.Level(label="b", y=1.5)], unit="loss")
    flat = charts.Curve(label="flat", points=((1, 2.0), (2, 2.0)))
    assert "<svg" in charts.curves([flat, flat], unit="loss")


def test_code_keeps_every_character():
    import html
    import re

    source = "def f(x):\n\treturn \"é<&>\" + f'{x!r}'  # 5 > 3\n\n\nclass A: ...\n"

    shown = highlight(source)

    assert html.unescape(re.sub(r"</?span[^>]*>", "", shown)) == source
    assert '<span class="name">f</span>' in shown
    for broken in ("def (", '"""open', "\x00", "  x\n y", "a\fb = 1", "x = '''\r\n'''\r\ny"):
        assert html.unescape(re.sub(r"</?span[^>]*>", "", highlight(broken))) == broken


def test_numbers_are_written_for_people():
    assert [words.count(each) for each in (None, 7, 999, 1234, 249_500, 3_000_000)] == [
        "–",
        "7",
        "999",
        "1.23 k",
        "250 k",
        "3.00 M",
    ]
    assert [words.duration(each) for each in (41, 250, 7500)] == ["41 s", "4 min 10 s", "2 h 5 min"]
    assert words.listed(["a", "b", "c"]) == "a, b and c"

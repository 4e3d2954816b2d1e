from __future__ import annotations

import pytest

from netwright.evaluator.comparisons import claims, compare_all
from netwright.evaluator.statistics import mean_interval, noise_floor
from netwright.report import charts, measures, words
from netwright.report.code import highlight
from netwright.types import Split, Trial, TrialStatus


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


BASELINES = [trial("b", 1.2), trial("b", 1.22, seed=2), trial("c", 2.0), trial("c", 2.02, seed=2)]


def test_baselines_are_compared_at_the_highest_common_rung_by_the_noise_of_their_first_trainings():
    trials = [*BASELINES, trial("a", 1.19), trial("a", 1.0, rung=1), trial("b", 1.1, rung=1), trial("d", 1.0, rung=2)]
    strangers = [trial("e", 5.0), trial("e", 9.0, seed=2), trial("a", 7.0, 3, Split.TEST)]

    found = measures.on_validation("a", ["a", "b", "c", "d"], trials + strangers)

    noise = noise_floor(BASELINES)
    mine = [each for each in trials if each.candidate_id == "a"]
    rivals = {name: [each for each in trials if each.candidate_id == name] for name in ("b", "c")}
    assert found == compare_all(mine, rivals, noise)
    assert [(name, each.rung) for name, each in found.items()] == [("b", 1), ("c", 0)]


def test_a_difference_within_the_scatter_of_repeated_trainings_is_none():
    loud = [trial("b", 1.2), trial("b", 1.3, seed=2), trial("c", 2.0), trial("c", 2.1, seed=2)]

    found = measures.on_validation("a", ["b", "c"], [*loud, trial("a", 1.1)])

    assert [each.outcome for each in found.values()] == ["no difference", "better"]


def test_the_locked_split_is_judged_with_the_seeds_of_the_candidate_and_without_bystanders():
    cast = [trial("a", loss, seed, Split.TEST) for seed, loss in enumerate((1.0, 1.2, 1.4))]
    cast += [trial("b", loss, seed, Split.TEST) for seed, loss in enumerate((1.1, 1.3, 1.52))]
    others = [trial("b", 0.1, 7, Split.TEST), trial("a", 9.0), trial("b", 0.1), trial("b", 0.1, rung=1)]
    others += [trial("z", loss, seed, Split.TEST) for seed, loss in enumerate((1.0, 5.0, 9.0))]

    found = measures.on_test("a", ["b", "c"], 0, cast + others)

    assert found == claims(cast[:3], {"b": cast[3:]})
    assert found["b"].delta_nats == pytest.approx(-0.32 / 3)


def test_confirmed_are_those_with_a_result_on_the_locked_split_best_first():
    trials = [trial("a", loss, seed, Split.TEST) for seed, loss in enumerate((1.0, 1.2, 1.4))]
    trials += [trial("b", 1.1, 5, Split.TEST), trial("a", 9.0), trial("c", 0.1), trial("d", None, 1, Split.TEST)]

    found = measures.confirmed(trials)

    assert [(each.candidate_id, each.seeds) for each in found] == [("b", (5,)), ("a", (0, 1, 2))]
    assert found[0].interval is None
    assert found[1].interval == mean_interval([1.0, 1.2, 1.4])[1]


def test_ticks_are_round_and_inside():
    assert charts.ticks(0.0, 1.0) == pytest.approx([0.0, 0.2, 0.4, 0.6, 0.8, 1.0])
    for low, high in ((1.03, 1.07), (0, 7), (99.2, 1234.5), (1.5, 1.5000001)):
        found = charts.ticks(low, high)
        assert 2 <= len(found) <= 8
        assert low - 1e-9 <= found[0] < found[-1] <= high + 1e-9


def test_a_chart_of_one_design_and_equal_values_can_be_drawn():
    marks = [charts.Mark(x=1, y=1.5, label="only")]

    assert "<svg" in charts.best_so_far(marks, [charts.Level(label="b", y=1.5)], unit="loss")


def test_a_curve_of_few_steps_and_high_losses_stays_in_the_picture():
    short = charts.Curve(label="short", points=((1, 9.0), (2, 8.0)))
    long = charts.Curve(label="long", points=tuple((step, 2.0) for step in range(1, 100)))

    assert "short" in charts.curves([short, long], unit="loss")


def test_curves_of_equal_values_can_be_drawn():
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

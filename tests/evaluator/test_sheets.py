import numpy as np
import pytest

from netwright.evaluator.sheets import ROWS_PER_CALL, make_sheets
from netwright.evaluator.tasks import UNSCORED

ROWS, LENGTH = 40, 9


def rows() -> tuple[np.ndarray, np.ndarray]:
    """Inputs and next-token targets; no two rows are equal."""
    tokens = np.random.default_rng(0).integers(0, 11, size=(ROWS, LENGTH + 1)).astype(np.int32)
    return np.ascontiguousarray(tokens[:, :-1]), np.ascontiguousarray(tokens[:, 1:])


def make(targets: np.ndarray | None = None, *, causal: bool = True, seed: int = 1):
    inputs, following = rows()
    return make_sheets(inputs, following if targets is None else targets, np.random.default_rng(seed), causal=causal)


def test_twins_keep_the_prefix_and_take_another_real_rows_future():
    sheets = make()

    for real, spliced, cut in zip(sheets.real, sheets.other, sheets.cuts, strict=True):
        assert (real[:cut] == spliced[:cut]).all()
        assert any((other[cut:] == spliced[cut:]).all() for other in sheets.real if other is not real)
    cut = sheets.cuts < LENGTH
    at = sheets.cuts[cut]
    assert np.mean(sheets.real[cut, at] != sheets.other[cut, at]) > 0.95


def test_what_a_row_would_have_gone_on_with_stands_nowhere_on_the_twins_sheet():
    inputs = np.random.default_rng(3).permutation(64 * 33).reshape(64, 33).astype(np.int32)  # every token once
    sheets = make_sheets(inputs[:, :-1], inputs[:, 1:], np.random.default_rng(4), causal=True)
    cut = np.flatnonzero((sheets.cuts < 32) & (sheets.cuts > sheets.cuts.min()))

    exposed = [row for row in cut if sheets.real[row, sheets.cuts[row]] in sheets.other]

    assert len(cut) > 50
    assert len(exposed) <= (sheets.cuts == sheets.cuts.min()).sum()


def test_every_position_is_at_some_time_the_one_before_the_cut_the_last_one_too():
    cuts = np.concatenate([make(seed=seed).cuts for seed in range(20)])

    assert set(cuts) == set(range(1, LENGTH + 1))


def test_cuts_follow_scored_positions_where_a_row_has_any():
    targets = np.full((ROWS, LENGTH), UNSCORED, dtype=np.int32)
    targets[:-1, [2, 5, 8]] = 1

    cuts = make(targets).cuts

    assert set(cuts[:-1]) == {3, 6, 9}


@pytest.mark.parametrize("causal", [True, False])
def test_both_processes_get_all_rows_in_different_orders_and_in_calls_of_one_shape(causal):
    sheets = make(causal=causal)

    assert sheets.sheet_a.shape == sheets.sheet_b.shape
    assert len(sheets.order_a) % ROWS_PER_CALL == 0
    assert not (sheets.order_a == sheets.order_b).all()
    assert set(sheets.order_a) == set(sheets.order_b) == set(range(ROWS))
    assert (sheets.sheet_a[0] == sheets.real[sheets.order_a[0]]).all()


@pytest.mark.parametrize("causal", [True, False])
def test_a_process_sees_every_row_or_its_twin_in_one_form_only(causal):
    sheets = make(causal=causal)

    for sheet, order in ((sheets.sheet_a, sheets.order_a), (sheets.sheet_b, sheets.order_b)):
        forms = {(row, asked.tobytes()) for row, asked in zip(order, sheet, strict=True)}
        assert len(forms) == ROWS


def test_rows_that_may_be_read_whole_stand_uncut_on_both_sheets_and_some_of_them_twice():
    sheets = make(causal=False)

    assert (sheets.other == sheets.real).all()
    assert (sheets.cuts == LENGTH).all()
    counts = [np.bincount(order) for order in (sheets.order_a, sheets.order_b)]
    assert all(set(count) == {1, 2} for count in counts)
    assert not (counts[0] == counts[1]).all()


def test_full_calls_of_a_causal_task_need_no_row_twice():
    inputs, targets = rows()

    sheets = make_sheets(inputs[:ROWS_PER_CALL], targets[:ROWS_PER_CALL], np.random.default_rng(1), causal=True)

    assert sorted(sheets.order_a) == list(range(ROWS_PER_CALL))


def test_one_row_cannot_be_audited():
    with pytest.raises(ValueError, match="at least 2 rows"):
        make_sheets(np.zeros((1, 9), np.int32), np.zeros((1, 9), np.int32), np.random.default_rng(0), causal=True)

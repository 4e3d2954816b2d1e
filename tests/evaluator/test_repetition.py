import pytest

from netwright.evaluator.comparisons import claims
from netwright.evaluator.repetition import ELSEWHERE_NATS, doubt, repetitions
from netwright.types import Outcome, Split, Trial, TrialStatus


def trial(
    loss: float | None = 1.0, *, seed: int = 0, repeat: int = 0, weights: str | None = "w", who: str = "a"
) -> Trial:
    status = TrialStatus.TIMEOUT if loss is None else TrialStatus.DONE
    facts = {"loss_nats": loss, "weights": weights, "reason": "" if loss else "still running after 58 s"}
    return Trial(
        candidate_id=who, task_id="t", rung=1, seed=seed, split=Split.TEST, repeat=repeat, status=status, **facts
    )


def test_the_same_loss_and_weights_agree():
    (found,) = repetitions([trial(), trial(seed=1), trial(repeat=1)])

    assert (found.seed, found.agrees) == (0, True)
    assert found.words == "trained again with seed 0 it came to the same weights and loss, bit for bit"


@pytest.mark.parametrize(
    ("again", "words"),
    [
        (trial(1.0 + 1e-12, repeat=1), "it came to 1.000000 nats where it had 1.000000"),
        (trial(repeat=1, weights="v"), "it came to other weights"),
        (trial(None, repeat=1), "it ended as timeout: still running after 58 s"),
    ],
    ids=["another loss", "other weights", "no result"],
)
def test_on_a_cpu_nothing_less_than_the_same_bits_agrees(again, words):
    assert words in doubt([trial(), again])


def test_weights_that_were_not_kept_are_not_missed():
    assert doubt([trial(weights=None), trial(repeat=1)]) == ""


@pytest.mark.parametrize(("apart", "agrees"), [(0.5 * ELSEWHERE_NATS, True), (2 * ELSEWHERE_NATS, False)])
def test_elsewhere_losses_may_differ_by_what_reordered_sums_can_make_of_a_training(apart, agrees):
    trials = [trial(1.0), trial(1.0 + apart, repeat=1, weights="v")]
    assert not repetitions(trials)[0].agrees

    for somewhere in ({"device": "NVIDIA H100"}, {"device": "cpu", "to_compile": True}):
        (found,) = repetitions([each.model_copy(update={"telemetry": somewhere}) for each in trials])

        assert (found.agrees, found.exact) == (agrees, False)


def test_what_was_trained_at_once_with_other_seeds_is_never_the_same_as_what_was_trained_alone():
    at_once = trial(1.0).model_copy(update={"telemetry": {"seeds_at_once": [0, 1]}})
    others = trial(1.0, repeat=1).model_copy(update={"telemetry": {"seeds_at_once": [0, 2]}})

    found = [repetitions([at_once, again])[0] for again in (trial(1.0, repeat=1), others, trial(1.2, repeat=1))]
    same = repetitions([at_once, at_once.model_copy(update={"repeat": 1})])[0]

    assert [(each.agrees, each.exact) for each in found] == [(True, False), (True, False), (False, False)]
    assert all("bit for bit" not in each.words for each in found)
    assert (same.agrees, same.exact) == (True, True)


def test_a_repetition_of_what_failed_or_of_somebody_else_proves_nothing():
    others = [trial(2.0, repeat=1, who="b"), trial(2.0, repeat=1, seed=7)]

    assert repetitions([trial(), trial(None, seed=7), *others]) == ()


def test_who_does_not_repeat_itself_is_better_than_nobody_but_may_be_worse():
    mine = [trial(loss, seed=seed) for seed, loss in enumerate((1.0, 1.1, 1.05))]
    rivals = {
        "behind": [trial(loss + 1, seed=seed, who="b") for seed, loss in enumerate((1.0, 1.11, 1.05))],
        "ahead": [trial(loss - 0.9, seed=seed, who="c") for seed, loss in enumerate((1.0, 1.11, 1.05))],
    }

    steady = claims([*mine, trial(1.0, repeat=1)], rivals)
    shaky = claims([*mine, trial(1.2, repeat=1)], rivals)

    assert [each.outcome for each in steady.values()] == [Outcome.BETTER, Outcome.WORSE]
    assert [each.outcome for each in shaky.values()] == [Outcome.NO_DIFFERENCE, Outcome.WORSE]
    assert shaky["behind"].reason == "trained again with seed 0 it came to 1.200000 nats where it had 1.000000"
    assert steady == claims(mine, rivals)

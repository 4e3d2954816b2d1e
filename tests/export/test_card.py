"""The card of an export says what was measured; no word of a candidate is markup there."""

from __future__ import annotations

from netwright.evaluator.baselines import baseline
from netwright.export.card import as_words, card, quoted, results
from netwright.export.package import Package
from netwright.export.trying import Told, Tried
from netwright.types import Split, Trial, TrialStatus

TRIED = Tried(shapes=((8, 128),), difference=2e-7, allowed=1e-5, told=Told())


def trial(seed: int, loss: float, split: Split = Split.VALIDATION, rung: int = 1, **more: object) -> Trial:
    return Trial(
        candidate_id="c", task_id="t", rung=rung, seed=seed, split=split, status=TrialStatus.DONE, loss_nats=loss,
        loss_standard_error=0.02, tokens=768_000, parameters=109_000, **more,
    )  # fmt: skip


def test_losses_have_the_interval_of_their_mean_over_seeds():
    rows = results([trial(0, 1.30), trial(1, 1.34), trial(7, 1.5, Split.TEST), trial(0, 9.9, repeat=1)])

    assert [(row.split, row.seeds, round(row.loss, 3)) for row in rows] == [("test", 1, 1.5), ("validation", 2, 1.32)]
    assert rows[0].spread == "standard error over rows 0.0200"
    assert rows[1].spread == "1.0659 to 1.5741"  # 1.32 +- t(0.975, 1) 0.02


def test_the_card_tells_results_provenance_and_what_was_compared(bytes_spec):
    trials = (trial(0, 1.30), trial(1, 1.34))
    package = Package(
        candidate=baseline("lstm"), spec=bytes_spec, weights=b"w", seed=0, recipe=bytes_spec.recipe, trial=trials[0],
        trials=trials, parents=("ab" * 32,),
    )  # fmt: skip

    text = card(package, "hf", TRIED)

    assert text.startswith("---\nlibrary_name: transformers\npipeline_tag: text-generation\nlicense: apache-2.0\n")
    assert "| validation | 1 | x 1 | 2 | 1.3200 | 1.0659 to 1.5741 |" in text
    assert package.candidate.id in text and bytes_spec.id in text and package.weights_sha256 in text
    assert "ababababab" in text and "largest difference is 2e-07" in text


def test_words_of_a_candidate_are_no_markup(bytes_spec, design):
    hostile = design("x = 1", title="# <b>1</b> | [link](http://x) `code`\n---\nlicense: mit")
    package = Package(
        candidate=hostile, spec=bytes_spec, weights=b"w", seed=0, recipe=bytes_spec.recipe, trial=trial(0, 1.3)
    )

    text = card(package, "hf", TRIED)

    assert as_words(hostile.title) == r"\# \<b\>1\</b\> \| \[link\](http://x) \`code\` --- license: mit"
    assert "license: mit" not in text.split("---")[1]
    assert all(line.startswith("    ") for line in quoted("a\n# b\n\n- c").splitlines())

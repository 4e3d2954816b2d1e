"""The decisions behind a design, by place."""

import pytest

from netwright.agents.baseline_genotypes import BASELINE_GENOTYPES
from netwright.choices import flattened, role


def test_each_decision_is_named_by_the_way_to_it() -> None:
    text = '{"version": 1, "even": {"body": {"kind": "memory", "local": null, "width": 0.5, "talking": false}}}'

    assert flattened(text) == {
        "even.body.kind": "memory",
        "even.body.local": "none",
        "even.body.width": "0.5",
        "even.body.talking": "false",
    }


def test_different_genotypes_made_different_decisions() -> None:
    texts = [genotype.text() for genotype in BASELINE_GENOTYPES.values()]

    assert len({tuple(sorted(flattened(text).items())) for text in texts}) == len(texts)


@pytest.mark.parametrize("text", ["", "no JSON", "[1]", "null", "3", "[" * 100_000])
def test_a_text_without_decisions_has_none(text: str) -> None:
    assert flattened(text) == {}


def test_the_same_decision_has_one_role_wherever_it_is_made() -> None:
    places = ("even.body.rule.kind", "odd.body.rule.kind", "even.body.left.rule.kind", "rule.kind")

    assert {role(place) for place in places} == {"rule.kind"}
    assert role("even.body.kind") == "kind"
    assert role("recipe.lr") == "recipe.lr"

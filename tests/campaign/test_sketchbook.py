"""The search sees what an action could become, and only what is new."""

from __future__ import annotations

import math
from typing import Any

import pytest

from netwright.agents.genotype import RecipeGenes
from netwright.agents.grammar_planner import GrammarPlanner, genotype_of
from netwright.agents.quantities import quantities
from netwright.campaign.chronicle import Chronicle
from netwright.campaign.sketchbook import Sketchbook
from netwright.evaluator.baselines import baselines_for
from netwright.evaluator.structure import structure_of
from netwright.evaluator.tasks import load_task
from netwright.types import Action, Candidate, Context, Operator, Proposal, Remembered, Structure, TaskSpec

TASK = load_task("recall").spec


def by_source(candidate: Candidate, task: TaskSpec) -> Structure:
    return structure_of(candidate.source, candidate.genotype, task.recipe)


class Writer:
    """A planner that has to write a design before it knows what it is."""

    name = "writer"

    async def propose(self, context: Context) -> Proposal:
        raise NotImplementedError

    async def repair(self, context: Context, failed: Proposal, failure: str) -> Proposal | None:
        raise NotImplementedError


@pytest.fixture
def chronicle() -> Chronicle:
    return Chronicle(TASK, seed=3, mixer_parameters=34_000)


def drafting(index: int) -> Action:
    return Action(index=index, kind="expand", operator=Operator.DRAFT)


def test_the_sketch_that_is_chosen_is_what_the_planner_then_writes(chronicle: Chronicle) -> None:
    sketches = Sketchbook(GrammarPlanner(), TASK, by_source).sketcher(chronicle)(drafting(0), 8)

    action = drafting(0).model_copy(update={"draw": sketches[5].draw})
    proposal = GrammarPlanner().sketch(chronicle.context(action)).proposal()

    assert (
        Sketchbook(GrammarPlanner(), TASK, by_source).know(proposal.candidate(chronicle.task.scope))
        == sketches[5].structure
    )


def test_sketches_of_one_action_differ_and_are_the_same_when_asked_again(chronicle: Chronicle) -> None:
    sketch = Sketchbook(GrammarPlanner(), TASK, by_source).sketcher(chronicle)

    first = sketch(drafting(0), 16)

    assert len(first) == 16
    assert len({each.structure.model_dump_json() for each in first}) == 16
    assert sketch(drafting(0), 16) == first
    assert sketch(drafting(1), 16) != first


def test_a_design_in_flight_is_not_sketched_again(chronicle: Chronicle) -> None:
    book = Sketchbook(GrammarPlanner(), TASK, by_source)
    before = book.sketcher(chronicle)(drafting(0), 4)

    claimed = book.claim(chronicle, drafting(0).model_copy(update={"draw": before[2].draw}))
    after = book.sketcher(chronicle)(drafting(0), 4)

    assert claimed == before[2].structure
    assert claimed not in [each.structure for each in after]


def test_a_baseline_is_known_by_the_decisions_that_stand_for_it(chronicle: Chronicle) -> None:
    attention = next(each for each in baselines_for(chronicle.task) if "Softmax attention" in each.title)

    structure = Sketchbook(GrammarPlanner(), TASK, by_source).know(attention)

    assert structure is not None
    assert structure.choices["even.body.kind"] == "attention"
    assert structure.counts["kind=attention"] == 1.0


def test_sizes_are_told_before_anything_is_written_and_stay_the_same_once_it_is(chronicle: Chronicle) -> None:
    sketch = Sketchbook(GrammarPlanner(), TASK, by_source).sketcher(chronicle)(drafting(0), 8)[3]
    action = drafting(0).model_copy(update={"draw": sketch.draw})
    candidate = GrammarPlanner().sketch(chronicle.context(action)).proposal().candidate(TASK.scope)
    namespace: dict[str, Any] = {}
    exec(candidate.source, namespace)
    mixers = [namespace["Mixer"](TASK.dim, TASK.heads, TASK.max_len, i, TASK.layers) for i in range(TASK.layers)]

    numbers = sketch.structure.numbers

    built = sum(parameter.numel() for mixer in mixers for parameter in mixer.parameters())
    assert numbers["log10 mixer parameters"] == pytest.approx(math.log10(1 + built))
    assert numbers.keys() == {"depth", "log10 mixer parameters", "log10 relative cost", "log10 lr"}
    assert Sketchbook(GrammarPlanner(), TASK, by_source).read(candidate, TASK) == sketch.structure


def test_the_learning_rate_is_the_designs_own_or_else_the_tasks(chronicle: Chronicle) -> None:
    attention = next(each for each in baselines_for(chronicle.task) if "Softmax attention" in each.title)
    genotype = genotype_of(attention)
    assert genotype is not None

    tuned = genotype.model_copy(update={"recipe": RecipeGenes(lr=0.01)})

    assert quantities(tuned, TASK)["log10 lr"] == -2.0
    assert quantities(genotype, TASK)["log10 lr"] == pytest.approx(math.log10(TASK.recipe.lr))
    assert quantities(genotype, TASK)["log10 relative cost"] == pytest.approx(0.0, abs=0.1)


def test_children_are_sketched_near_their_parent(chronicle: Chronicle) -> None:
    book = Sketchbook(GrammarPlanner(), TASK, by_source)
    attention = next(each for each in baselines_for(chronicle.task) if "Softmax attention" in each.title)
    chronicle.enter(-1, Remembered(candidate=attention, operator=Operator.BASELINE, score=None, verdict=None))

    refining = Action(index=0, kind="expand", operator=Operator.REFINE, parents=(-1,))
    parent, children = book.know(attention), book.sketcher(chronicle)(refining, 6)

    assert len(children) == 6
    for child in children:
        kept = sum(child.structure.choices.get(place) == choice for place, choice in parent.choices.items())
        assert kept >= len(parent.choices) / 2


def test_a_planner_that_writes_at_once_shows_nothing_and_is_known_by_its_sources(chronicle: Chronicle) -> None:
    book = Sketchbook(Writer(), TASK, by_source)

    assert list(book.sketcher(chronicle)(drafting(0), 8)) == []
    assert book.claim(chronicle, drafting(0)) is None
    structure = book.know(baselines_for(chronicle.task)[0])
    assert structure.counts
    assert not structure.choices


def test_what_has_no_decisions_does_not_compare_with_what_has(chronicle: Chronicle) -> None:
    written = Candidate(source="GATE = 1", scope=TASK.scope, title="mine", hypothesis="", origin="llm:scripted")

    assert Sketchbook(GrammarPlanner(), TASK, by_source).read(written, TASK) is None
    assert Sketchbook(Writer(), TASK, by_source).read(written, TASK) == by_source(written, TASK)


def test_what_has_paid_makes_sketches_more_like_it(chronicle: Chronicle) -> None:
    sketch = Sketchbook(GrammarPlanner(), TASK, by_source).sketcher(chronicle)
    before = [each.structure.counts.get("rule.kind=delta", 0) for each in sketch(drafting(0), 60)]

    chronicle.preferences = {"rule.kind": {"delta": 4.0, "hebbian": 0.25}}
    after = [each.structure.counts.get("rule.kind=delta", 0) for each in sketch(drafting(0), 60)]

    assert sum(after) > 1.3 * sum(before)

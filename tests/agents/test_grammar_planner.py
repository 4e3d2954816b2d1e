"""The planner without an LLM: deterministic, never idle, honest about what it changed."""

import asyncio
import time

import pytest

from netwright.agents.baseline_genotypes import BASELINE_GENOTYPES
from netwright.agents.genotype import Genotype
from netwright.agents.grammar_planner import GrammarPlanner
from netwright.agents.size import parameters
from netwright.errors import ConfigError
from netwright.evaluator.contract import inspect_source, recipe_of, title_and_hypothesis
from netwright.types import Candidate, Context, Operator, Proposal, Recipe, Remembered, Rung, Scope, TaskSpec

PLANNER = GrammarPlanner()
ALLOWANCE = 20_000
CHILD_OPERATORS = (Operator.REFINE, Operator.COMBINE, Operator.SIMPLIFY, Operator.TUNE, Operator.REPAIR)


def task(scope: Scope = Scope.MIXER) -> TaskSpec:
    return TaskSpec(
        name="recall", summary="", scope=scope, vocab_size=64, max_len=128, dim=64, heads=4, layers=2,
        parameters=90_000, metric="loss", recipe=Recipe(), rungs=(Rung(level=0, tokens=1000),),
        validation_rows=8, test_rows=8,
    )  # fmt: skip


def propose(operator: Operator, seed: int, *parents: Remembered, attempt: int = 0, **more: object) -> Proposal:
    options = {"task": task(), "mixer_parameters": ALLOWANCE, **more}
    context = Context(operator=operator, parents=parents, seed=seed, attempt=attempt, **options)
    return PLANNER.sketch(context).proposal()


def remembered(proposal: Proposal, failure: str = "") -> Remembered:
    candidate = proposal.candidate(Scope.MIXER)
    return Remembered(candidate=candidate, operator=Operator.DRAFT, score=None, verdict=None, failure=failure)


def foreign(title: str = "A mixer by hand", origin: str = "llm:some-model") -> Remembered:
    candidate = Candidate(source="x = 1\n", scope=Scope.MIXER, title=title, hypothesis="", origin=origin)
    return Remembered(candidate=candidate, operator=Operator.DRAFT, score=None, verdict=None)


def genotype_of(proposal: Proposal) -> Genotype:
    assert proposal.genotype is not None
    return Genotype.model_validate_json(proposal.genotype)


@pytest.fixture(scope="module")
def drafts() -> list[Proposal]:
    return [propose(Operator.DRAFT, seed) for seed in range(80)]


@pytest.mark.parametrize("operator", [Operator.DRAFT, *CHILD_OPERATORS])
def test_the_same_context_gives_the_same_proposal(operator: Operator, drafts: list[Proposal]) -> None:
    for seed in range(15):
        parents = (remembered(drafts[seed]), remembered(drafts[seed + 20]))
        assert propose(operator, seed, *parents) == propose(operator, seed, *parents)


@pytest.mark.parametrize("operator", CHILD_OPERATORS)
def test_a_child_is_new_fits_and_passes_the_static_gates(operator: Operator, drafts: list[Proposal]) -> None:
    for seed in range(40):
        parents = (remembered(drafts[seed]), remembered(drafts[(seed + 31) % 80]))
        child = propose(operator, seed, *parents)
        genotype = genotype_of(child)
        assert child.source not in {parent.candidate.source for parent in parents}
        assert parameters(genotype, Scope.MIXER, 64, 4, layers=2, max_len=128) <= 2 * ALLOWANCE
        assert child.changed and child.title and child.origin == "grammar"
        assert [gate for gate in inspect_source(child.source, Scope.MIXER) if gate.rejects] == []


@pytest.mark.parametrize("operator", [Operator.DRAFT, *CHILD_OPERATORS])
def test_a_sketch_is_what_would_be_proposed(operator: Operator, drafts: list[Proposal]) -> None:
    parents = (remembered(drafts[0]), remembered(drafts[20]))
    context = Context(task=task(), operator=operator, parents=parents, seed=4, draw=3, mixer_parameters=ALLOWANCE)

    sketch = PLANNER.sketch(context)

    proposal = PLANNER.sketch(context).proposal()
    assert sketch.genotype == proposal.genotype
    assert sketch.proposal() == proposal


@pytest.mark.parametrize("operator", [Operator.DRAFT, *CHILD_OPERATORS])
def test_sketches_of_one_action_differ(operator: Operator, drafts: list[Proposal]) -> None:
    rich = sorted(drafts, key=lambda draft: len(draft.genotype or ""))[-2:]
    parents = tuple(map(remembered, rich))
    context = Context(task=task(), operator=operator, parents=parents, seed=4, mixer_parameters=ALLOWANCE)

    keys = {PLANNER.sketch(context.model_copy(update={"draw": draw})).genotype for draw in range(40)}

    fewest = {Operator.DRAFT: 38, Operator.SIMPLIFY: 8, Operator.TUNE: 10}
    assert len(keys) >= fewest.get(operator, 16)


def test_a_sketch_is_cheap(drafts: list[Proposal]) -> None:
    contexts = [
        Context(task=task(), operator=Operator.DRAFT, seed=5, draw=draw, mixer_parameters=ALLOWANCE)
        for draw in range(100)
    ]
    began = time.process_time()
    for context in contexts:
        PLANNER.sketch(context)

    assert (time.process_time() - began) / len(contexts) < 0.01


def test_title_hypothesis_and_recipe_are_read_back_from_the_file(drafts: list[Proposal]) -> None:
    for seed in range(30):
        child = propose(Operator.TUNE, seed, remembered(drafts[seed]))
        title, hypothesis = title_and_hypothesis(child.source)
        assert title.rstrip(".") == child.title
        assert child.hypothesis in " ".join(hypothesis.split())
        recipe = recipe_of(child.source, Recipe())
        assert recipe == Recipe(**{**Recipe().model_dump(), **genotype_of(child).recipe.settings()})
        assert recipe != Recipe()


def test_tuning_keeps_the_architecture(drafts: list[Proposal]) -> None:
    for seed in range(30):
        before, after = genotype_of(drafts[seed]), genotype_of(propose(Operator.TUNE, seed, remembered(drafts[seed])))
        assert (before.even, before.odd) == (after.even, after.odd)


@pytest.mark.parametrize("operator", [Operator.DRAFT, *CHILD_OPERATORS])
def test_another_attempt_gives_another_proposal(operator: Operator, drafts: list[Proposal]) -> None:
    repeated = 0
    for seed in range(30):
        parents = (remembered(drafts[seed]), remembered(drafts[seed + 20]))
        sources = {propose(operator, seed, *parents, attempt=attempt).source for attempt in range(5)}
        repeated += 5 - len(sources)
    assert repeated <= 30 * 5 * 0.1


def test_what_is_already_known_is_not_proposed_again(drafts: list[Proposal]) -> None:
    parent = remembered(drafts[0])
    first = propose(Operator.SIMPLIFY, 3, parent)

    second = propose(Operator.SIMPLIFY, 3, parent, best=(remembered(first),))

    assert second.source != first.source


@pytest.mark.parametrize("name", BASELINE_GENOTYPES)
@pytest.mark.parametrize("operator", CHILD_OPERATORS)
def test_baselines_can_be_parents(name: str, operator: Operator) -> None:
    parent, other = foreign(name, "baseline"), foreign("DeltaNet (delta rule)", "baseline")

    child = propose(operator, 5, parent, other, mixer_parameters=None)

    assert "a new draft" not in child.changed
    assert genotype_of(child) != BASELINE_GENOTYPES[name]


@pytest.mark.parametrize("operator", CHILD_OPERATORS)
def test_a_parent_that_the_grammar_cannot_read_leads_to_a_draft_that_says_so(operator: Operator) -> None:
    child = propose(operator, 1, foreign())

    assert child.changed == "a new draft: the grammar cannot read its parent 'A mixer by hand'"


def test_a_genotype_of_another_grammar_is_not_trusted() -> None:
    parent = foreign()
    strange = parent.model_copy(
        update={"candidate": parent.candidate.model_copy(update={"genotype": '{"version": 9}'})}
    )

    assert propose(Operator.REFINE, 1, strange).changed.startswith("a new draft")


def test_an_allowance_too_small_for_anything_still_gives_a_proposal() -> None:
    assert propose(Operator.DRAFT, 1, mixer_parameters=10).source


def test_a_block_task_gets_blocks_and_a_model_task_a_sentence() -> None:
    block = propose(Operator.DRAFT, 1, task=task(Scope.BLOCK), mixer_parameters=None)
    assert [gate for gate in inspect_source(block.source, Scope.BLOCK) if gate.rejects] == []

    with pytest.raises(ConfigError, match="scope is 'model'"):
        propose(Operator.DRAFT, 1, task=task(Scope.MODEL))


def repair(failed: Proposal, failure: str) -> Proposal | None:
    context = Context(task=task(), operator=Operator.DRAFT, seed=1, mixer_parameters=ALLOWANCE)
    return asyncio.run(PLANNER.repair(context, failed, failure))


def test_a_diverged_training_is_repaired_by_a_calmer_variant(drafts: list[Proposal]) -> None:
    mended = repair(drafts[0], "the training diverged at step 31")

    assert mended is not None and mended.changed.startswith("repaired: ")
    assert recipe_of(mended.source, Recipe()).lr == 0.0015


def test_a_timeout_is_repaired_by_a_lighter_variant_and_an_unknown_failure_not_at_all(drafts: list[Proposal]) -> None:
    lighter = [repair(draft, "timeout after 60.0 seconds") for draft in drafts]

    assert sum(mended is not None for mended in lighter) > 40
    assert all(repair(draft, "the candidate was caught reading /etc/passwd") is None for draft in drafts)


def test_a_mixer_over_the_budget_is_repaired_by_a_smaller_one(drafts: list[Proposal]) -> None:
    for draft in drafts[:20]:
        mended = repair(draft, "the mixer has too many parameters")
        before = parameters(genotype_of(draft), Scope.MIXER, 64, 4, layers=2, max_len=128)
        assert (
            mended is None
            or parameters(genotype_of(mended), Scope.MIXER, 64, 4, layers=2, max_len=128) <= 0.8 * before + 2
        )

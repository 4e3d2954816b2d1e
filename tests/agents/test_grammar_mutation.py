"""Changing genotypes: always legal, always what was said, never more."""

import numpy as np
import pytest
from pydantic import ValidationError

from netwright.agents.baseline_genotypes import BASELINE_GENOTYPES
from netwright.agents.cost import relative_cost
from netwright.agents.differences import difference
from netwright.agents.genes import DataDecay, Delta, FixedDecay, Gate, Hebbian, Removal, Shift, ShortConvolution
from netwright.agents.genotype import Genotype, Layer, Parallel, RecipeGenes, with_genes
from netwright.agents.grammar import Allowance, Grammar
from netwright.agents.leaves import Attention, Convolution, Memory
from netwright.agents.mutation import ALTERNATIVES, combine, gene_variants, mutate, stabilise, tune
from netwright.agents.simplify import fit, lighten, simplifications
from netwright.agents.words import family
from netwright.types import Recipe, Scope

GRAMMAR = Grammar()
ROOMY = Allowance(parameters=6 * 64**2, scope=Scope.MIXER, dim=64, heads=4, layers=2, max_len=128)


def sample(seed: int) -> Genotype:
    return GRAMMAR.genotype(np.random.default_rng([seed, 0]))


def test_what_must_not_be_combined_is_refused() -> None:
    with pytest.raises(ValidationError, match="qk_norm must change"):
        Memory(rule=Delta(), qk_norm="none")
    with pytest.raises(ValidationError, match="norm must change"):
        Memory(rule=Hebbian(), norm="none")
    with pytest.raises(ValidationError, match="rule must change"):
        Memory(rule=Hebbian(feature="silu", normaliser=True))
    with pytest.raises(ValidationError, match="kernel"):
        ShortConvolution(kernel=1)
    with pytest.raises(ValidationError, match="Extra inputs"):
        Genotype.model_validate({"even": {"body": {"kind": "attention"}}, "surprise": 1})


def test_what_says_nothing_is_not_written_down() -> None:
    layer = Layer(body=Attention())

    assert Genotype(even=layer, odd=layer) == Genotype(even=layer)
    assert Genotype(even=layer, recipe=RecipeGenes()) == Genotype(even=layer)


def test_a_genotype_survives_the_way_through_json() -> None:
    for seed in range(200):
        genotype = sample(seed)
        assert Genotype.model_validate_json(genotype.text()) == genotype


def test_genotypes_of_earlier_memories_still_mean_what_they_meant() -> None:
    earlier = (
        '{"version":1,"even":{"body":{"kind":"memory","projection":"full","local":{"kind":"shift"},"rule":{"kind":'
        '"hebbian","feature":"relu","normaliser":false},"decay":{"kind":"data","per":"channel","horizon":32,'
        '"coupled":true},"key_width":"full","position":"none","qk_norm":"rms","talking":false,"norm":"rms","gate":'
        '{"activation":"silu","rank":"full"}},"skip":"none"},"odd":{"body":{"kind":"memory","decay":{"kind":"fixed",'
        '"horizon":8}},"skip":"scaled"},"recipe":null}'
    )

    genotype = Genotype.model_validate_json(earlier)

    memory = genotype.even.body
    assert isinstance(memory, Memory)
    assert memory.decay == DataDecay(per="channel", horizon=32, coupled=True, curve="sigmoid", squeeze="linear")
    assert (memory.values, memory.direct, memory.local) == ("identity", "none", Shift(separate=False))
    assert genotype.odd == Layer(body=Memory(decay=FixedDecay(horizon=8, shortest=2)), skip="scaled")


def test_genes_without_a_meaning_are_refused() -> None:
    with pytest.raises(ValidationError, match="a decay per head has no curve 'sigmoid'"):
        DataDecay(per="head", curve="sigmoid")
    with pytest.raises(ValidationError, match="a decay per channel has no curve 'rated'"):
        DataDecay(per="channel", curve="rated")
    with pytest.raises(ValidationError, match="nothing is squeezed"):
        DataDecay(per="head", squeeze="tanh")
    with pytest.raises(ValidationError, match="only a gate of low rank has a middle"):
        Gate(activation="inner sigmoid", rank="full")
    with pytest.raises(ValidationError, match="longer than the horizon"):
        FixedDecay(horizon=4, shortest=8)
    with pytest.raises(ValidationError, match="projection must change"):
        Memory(rule=Removal(), projection="single")
    with pytest.raises(ValidationError, match="projection must change"):
        Attention(local=Shift(separate=True), projection="low rank")


def test_settling_keeps_what_was_asked_for_where_it_can() -> None:
    channel = Memory(decay=DataDecay(per="channel"))

    talking = with_genes(channel, talking=True)
    delta = with_genes(Memory(talking=True, decay=DataDecay(coupled=True)), rule=Delta())

    assert talking.talking and talking.decay == DataDecay(per="head")
    assert (delta.rule, delta.talking, delta.qk_norm, delta.decay) == (Delta(), False, "l2", DataDecay())


def test_most_drafts_differ_and_all_families_appear() -> None:
    drafts = [GRAMMAR.fitting(np.random.default_rng([seed, 0]), ROOMY) for seed in range(200)]

    assert len(set(drafts)) >= 180
    assert all(ROOMY.admits(draft) for draft in drafts)
    families = {family(leaf) for draft in drafts for leaf in draft.leaves}
    assert len(families) == 14
    chosen = {
        (gene, repr(getattr(leaf, gene))) for d in drafts for leaf in d.leaves for gene in ALTERNATIVES[type(leaf)]
    }
    assert len(chosen) > 50


def test_preferences_make_an_option_as_much_more_probable_wherever_it_is_chosen() -> None:
    rng = np.random.default_rng(0)
    keen = Grammar(preferences={"rule.kind": {"hebbian": 0.0}, "even.body.kind": {"memory": 50.0}})

    drafts = [keen.genotype(rng) for _ in range(60)]

    memories = [leaf for draft in drafts for leaf in draft.leaves if isinstance(leaf, Memory)]
    assert memories and not any(isinstance(memory.rule, Hebbian) for memory in memories)
    leaves = [draft.even.body for draft in drafts if not isinstance(draft.even.body, Parallel)]
    assert np.mean([isinstance(leaf, Memory) for leaf in leaves]) > 0.9


def test_a_preference_for_a_place_overrides_the_one_for_its_role() -> None:
    grammar = Grammar(preferences={"gate.rank": {"low": 0.5}, "odd.body.gate.rank": {"low": 3.0}})

    assert grammar.liking("even.body.gate", Gate(rank="low")) == pytest.approx(0.5**0.5)
    assert grammar.liking("odd.body.gate", Gate(rank="low")) == pytest.approx(3.0**0.5)
    assert grammar.liking("odd.body.gate", None) == 1.0


def test_mutations_follow_preferences() -> None:
    parent = Genotype(even=Layer(body=Attention()))
    keen = Grammar(preferences={"window": {"16": 0.0, "32": 0.0}})

    children = [mutate(np.random.default_rng(seed), parent, keen) for seed in range(200)]

    windows = {child.even.body.window for child in children if isinstance(child.even.body, Attention)}
    assert windows == {None, 64}


def test_a_gene_variant_changes_its_gene_and_what_must_follow() -> None:
    for seed in range(60):
        for leaf in sample(seed).leaves:
            for gene in ALTERNATIVES[type(leaf)]:
                for variant in gene_variants(leaf, gene):
                    changed = [
                        name for name in type(leaf).model_fields if getattr(leaf, name) != getattr(variant, name)
                    ]
                    assert gene in changed
                    assert changed == [gene] or isinstance(leaf, Memory | Attention)


def test_a_difference_names_every_changed_gene_and_no_other() -> None:
    before = Genotype(even=Layer(body=Memory(gate=Gate())), odd=Layer(body=Attention()))
    after = Genotype(
        even=Layer(body=Memory(gate=Gate(), decay=DataDecay(horizon=32))), odd=Layer(body=Attention(), skip="gated")
    )

    text = difference(before, after)

    assert text == (
        "even layers: decay: none -> data-dependent per head, half-lives up to 32; odd layers: skip: none -> gated"
    )
    assert difference(before, before) == ""


def test_mutations_are_legal_and_described() -> None:
    for seed in range(300):
        parent = sample(seed)
        child = mutate(np.random.default_rng([seed, 1]), parent, GRAMMAR)
        assert Genotype.model_validate_json(child.text()) == child
        assert bool(difference(parent, child)) == (child != parent)


def test_a_mutated_gene_leaves_the_other_layers_and_branches_alone() -> None:
    untouched = 0
    for seed in range(300):
        parent = sample(seed)
        child = mutate(np.random.default_rng([seed, 1]), parent, GRAMMAR)
        if parent.odd is not None and child.odd is not None and (child.even, child.odd) != (parent.odd, parent.even):
            assert (child.even == parent.even) or (child.odd == parent.odd)
            untouched += 1
    assert untouched > 50


def test_a_cross_has_parts_of_both_parents() -> None:
    first = BASELINE_GENOTYPES["Softmax attention with rotary positions"]
    second = BASELINE_GENOTYPES["DeltaNet (delta rule)"]

    children = {combine(np.random.default_rng(seed), first, second, GRAMMAR) for seed in range(40)}

    kinds = {frozenset(leaf.kind for leaf in child.leaves) for child in children}
    assert frozenset({"attention", "memory"}) in kinds
    assert any(isinstance(child.even.body, Parallel) for child in children)
    assert any(child.odd is not None for child in children)


def test_any_two_sentences_can_be_crossed() -> None:
    for seed in range(400):
        child = combine(np.random.default_rng([seed, 1]), sample(seed), sample(seed + 400), GRAMMAR)
        assert Genotype.model_validate_json(child.text()) == child


def test_a_simplification_has_less_and_leads_to_the_core() -> None:
    genotype = sample(132)
    for _ in range(40):
        smaller = simplifications(genotype)
        if not smaller:
            break
        genotype = smaller[0]

    assert simplifications(genotype) == ()
    assert len(genotype.leaves) == 1


def test_simplifications_are_different_and_never_add_a_mixer() -> None:
    for seed in range(100):
        genotype = sample(seed)
        for smaller in simplifications(genotype):
            assert smaller != genotype
            assert len(smaller.leaves) <= len(genotype.leaves)
            assert set(map(type, smaller.leaves)) <= set(map(type, genotype.leaves))


def test_tuning_changes_the_recipe_alone_and_forgets_what_is_the_default() -> None:
    base = Recipe()
    for seed in range(100):
        genotype = sample(seed % 10)
        tuned = tune(np.random.default_rng(seed), genotype, base)
        assert (tuned.even, tuned.odd) == (genotype.even, genotype.odd)
        assert tuned.recipe is not None
        merged = Recipe(**{**base.model_dump(), **tuned.recipe.settings()})
        assert merged != base
        assert all(value != getattr(base, name) for name, value in tuned.recipe.settings().items())


def test_a_stabilised_variant_is_calmer() -> None:
    genotype = Genotype(even=Layer(body=Attention(position="rotary")), recipe=RecipeGenes(lr=0.02))

    calm = stabilise(genotype, Recipe())

    assert calm.even.body == Attention(position="rotary", qk_norm="rms", norm="rms")
    assert calm.recipe == RecipeGenes(lr=0.01, grad_clip=0.5, warmup=0.2)


def test_what_is_too_large_is_shrunk_until_it_fits() -> None:
    tight = Allowance(parameters=13_000, scope=Scope.MIXER, dim=64, heads=4, layers=2, max_len=128)
    for seed in range(60):
        smaller = fit(sample(seed), tight)
        assert smaller is not None and tight.admits(smaller)
    assert fit(Genotype(even=Layer(body=Convolution())), Allowance(100, Scope.MIXER, 64, 4, 2, 128)) is None


def test_what_is_too_slow_is_lightened() -> None:
    slow = Genotype(even=Layer(body=Parallel(left=Attention(talking=True), right=Memory(rule=Delta(), qk_norm="l2"))))

    light = lighten(slow, ROOMY)

    assert light is not None
    assert relative_cost(light) <= 0.7 * relative_cost(slow)

"""Generated tasks: every answer follows from its row, and no held-out row is ever trained on."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import pytest

from netwright.errors import ConfigError, DataError
from netwright.evaluator.tasks import TASKS, UNSCORED, GeneratedTask, load_task, training_batches
from netwright.evaluator.tasks.registry import load_task as load
from netwright.types import Split

KEY = bytes(range(32))
GENERATED = [name for name in TASKS if name != "tokens" and isinstance(load_task(name), GeneratedTask)]


def held_out(name: str):
    return load_task(name).held_out(Split.TEST, KEY)


def scored(targets) -> list[int]:
    return targets[targets != UNSCORED].tolist()


@pytest.mark.parametrize("name", GENERATED)
def test_no_held_out_row_is_trained_on_or_in_the_other_split(name):
    task = load_task(name)
    rows = {split: {row.tobytes() for row in task.held_out(split, KEY).inputs} for split in Split}
    deck = next(training_batches(task.spec, task.training_data(), seed=0, batch_size=len(task._deck)))

    trained = {row.tobytes() for row in deck.inputs}

    assert [len(rows[split]) for split in Split] == [task.spec.validation_rows, task.spec.test_rows]
    assert not rows[Split.VALIDATION] & rows[Split.TEST]
    assert not trained & (rows[Split.VALIDATION] | rows[Split.TEST])


@pytest.mark.parametrize("name", GENERATED)
def test_the_highest_rung_is_dealt_no_row_twice_but_easy_ones_that_are_alike(name):
    task = load_task(name)
    top = task.spec.rungs[-1].tokens // task.spec.max_len

    dealt = next(training_batches(task.spec, task.training_data(), seed=5, batch_size=top))

    alike = top - len({row.tobytes() for row in np.concatenate([dealt.inputs, dealt.targets], axis=1)})
    assert alike < (0.2 * top if "min_pairs" in task.spec.options or "max" in str(task.spec.options) else 1)


@pytest.mark.parametrize("pairs", [4, 8, 16])
def test_every_query_of_mqar_asks_for_a_pair_that_was_shown(pairs):
    batch = held_out(f"mqar-{pairs}")

    for inputs, targets in zip(batch.inputs[:50], batch.targets[:50], strict=True):
        memory = dict(zip(inputs[: 2 * pairs : 2].tolist(), inputs[1 : 2 * pairs : 2].tolist(), strict=True))
        asked = np.flatnonzero(targets != UNSCORED)
        assert sorted(memory) == sorted(inputs[asked].tolist()) and asked.min() >= 2 * pairs
        assert [memory[key] for key in inputs[asked].tolist()] == targets[asked].tolist()


def test_queries_of_mqar_come_sooner_rather_than_later():
    asked = np.nonzero(held_out("mqar-4").targets != UNSCORED)[1]

    assert np.mean(asked < 8 + 28) > 0.7


def test_answers_of_noisy_recall_are_what_stood_behind_the_key_before():
    options, batch = load_task("noisy-recall").spec.options, held_out("noisy-recall")
    first_noise = options["keys"] + options["values"]

    for inputs, targets in zip(batch.inputs[:50], batch.targets[:50], strict=True):
        shown = inputs[: options["shown"]].tolist()
        memory = {key: value for key, value in itertools.pairwise(shown) if key < options["keys"]}
        asked = np.flatnonzero(targets != UNSCORED)
        assert len(memory) == options["max_pairs"]
        assert [memory[key] for key in inputs[asked].tolist()] == targets[asked].tolist()
        assert (inputs[options["shown"] :] >= first_noise).sum() == len(inputs) - options["shown"] - len(asked)


def test_values_of_fuzzy_recall_are_those_that_the_same_key_had_before():
    options, batch = load_task("fuzzy-recall").spec.options, held_out("fuzzy-recall")

    for inputs, targets in zip(batch.inputs[:50], batch.targets[:50], strict=True):
        memory, key, value, checked = {}, [], [], 0
        for token, target in zip(inputs.tolist(), targets.tolist(), strict=True):
            if token < options["key_letters"] and value:
                memory[tuple(key)] = value
                key, value = [], []
            (key if token < options["key_letters"] else value).append(token)
            if target != UNSCORED:
                assert memory[tuple(key)][len(value)] == target
                checked += 1
        assert checked > 5 and len(memory) == options["max_entries"]


def test_selective_copying_asks_for_the_tokens_among_the_noise_in_their_order():
    options, batch = load_task("selective-copying").spec.options, held_out("selective-copying")

    for inputs, targets in zip(batch.inputs[:50], batch.targets[:50], strict=True):
        content = [token for token in inputs.tolist() if token < options["content"]]
        assert content == scored(targets) and len(content) == options["max_copied"]


def test_the_dictionary_of_memorisation_is_one_for_all_rows_and_splits():
    task = load_task("memorisation")
    batches = [task.held_out(split, KEY) for split in Split]
    batches += [next(training_batches(task.spec, task.training_data(), seed=1, batch_size=5000))]

    facts = {
        fact
        for each in batches
        for fact in zip(each.inputs[:, ::3].flat, each.inputs[:, 1::3].flat, each.targets[:, 2::3].flat, strict=True)
    }

    assert len(facts) == len({fact[:2] for fact in facts}) == task.spec.options["letters"] ** 2


def test_parity_says_whether_the_ones_so_far_are_odd():
    batch = held_out("parity")

    assert (batch.targets == batch.inputs.cumsum(axis=1) % 2).all()


@pytest.mark.parametrize(("name", "things"), [("s3", 3), ("s5", 5)])
def test_states_are_products_of_the_permutations_so_far(name, things):
    batch, permutations = held_out(name), list(itertools.permutations(range(things)))

    for inputs, targets in zip(batch.inputs[:20], batch.targets[:20], strict=True):
        where = tuple(range(things))
        for token, target in zip(inputs.tolist(), targets.tolist(), strict=True):
            where = tuple(permutations[token][place] for place in where)
            assert permutations[target] == where


def test_a_word_of_automata_goes_on_as_the_automaton_did_before():
    """Two equal beginnings of words lead to the same state, so what follows both comes from one small set."""
    options, batch = load_task("automata").spec.options, held_out("automata")
    text = "".join(chr(97 + token) for token in batch.inputs[0].tolist())
    words = text.split(chr(97 + options["letters"]))[:-1]
    follows: dict[str, set[str]] = {}
    for word in words:
        for end in range(len(word)):
            follows.setdefault(word[:end], set()).add(word[end])

    assert all(options["word"][0] <= len(word) <= options["word"][1] for word in words[1:])
    assert max(map(len, follows.values())) <= options["degree"]


def test_the_entropy_of_automata_is_that_of_as_many_equal_chances_as_the_state_has_letters():
    batch = held_out("automata")
    floor = batch.floor_nats[batch.targets != UNSCORED]

    assert set(np.round(np.exp(floor)).astype(int)) == {1, 2, 3, 4}
    assert 0.5 < floor.mean() < math.log(4)


@pytest.mark.parametrize("name", [name for name in GENERATED if name != "s5"])
def test_chance_is_the_loss_of_guessing_among_the_answers_that_occur(name):
    task = load_task(name)
    answers = scored(task.held_out(Split.TEST, KEY).targets)

    assert math.log(len(set(answers))) == pytest.approx(task.chance_nats, abs=0.05)


def test_chance_on_s5_is_knowing_how_many_permutations_came_before():
    task = load_task("s5")
    deck = next(training_batches(task.spec, task.training_data(), seed=0, batch_size=40_000))
    shares = [np.bincount(column, minlength=120) / len(column) for column in deck.targets.T]

    entropies = [-sum(share * math.log(share) for share in each if share) for each in shares]

    assert np.mean(entropies) == pytest.approx(task.chance_nats, abs=0.01)


OWN = """
import numpy as np
from netwright.evaluator.tasks import Batch, generated

def draw(generator, spec, rows, *, training):
    inputs = generator.integers(0, spec.vocab_size, size=(rows, spec.max_len))
    return Batch(inputs, {targets})

TASK = generated("mine", "the token before", draw, vocab_size=8, max_len={length}, chance_nats=2.08)
"""
SHIFTED = "np.concatenate([np.full((rows, 1), -100), inputs[:, :-1]], axis=1)"


@pytest.fixture
def own_file(tmp_path: Path):
    def write(text: str) -> str:
        path = tmp_path / "mine.py"
        path.write_text(text)
        return str(path)

    return write


def test_a_file_of_ones_own_is_a_task(own_file):
    task = load(own_file(OWN.format(targets=SHIFTED, length=16)))

    batch = task.held_out(Split.VALIDATION, KEY)

    assert (task.spec.name, len(batch)) == ("mine", task.spec.validation_rows)
    assert (batch.targets[:, 1:] == batch.inputs[:, :-1]).all()
    assert "training tokens" in task.details


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x = 1", "defines no TASK: add TASK = generated"),
        ("TASK = 3", "is a int, expected a task as `generated` makes it"),
        ("import nonesuch", r"mine\.py cannot be loaded: ModuleNotFoundError: No module named 'nonesuch'"),
        ("def", r"mine\.py cannot be loaded: SyntaxError"),
        ("raise SystemExit(4)", r"mine\.py cannot be loaded: SystemExit: 4"),
    ],
    ids=["nothing", "no task", "import", "syntax", "exit"],
)
def test_a_file_that_makes_no_task_is_told_with_what_it_should_have(own_file, text, words):
    with pytest.raises(ConfigError, match=words):
        load(own_file(text))


def test_a_task_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"task file .*nowhere\.py does not exist"):
        load(str(tmp_path / "nowhere.py"))


@pytest.mark.parametrize(
    ("targets", "length", "words"),
    [
        ("inputs[:, 1:]", 16, r"targets are int64 of shape \(\d+, 15\), expected integers of shape \(\d+, 16\)"),
        ("inputs * 1.0", 16, "targets are float64"),
        ("inputs + 1", 16, "targets reach from 1 to 8, the vocabulary is 0 to 7"),
        ("np.full_like(inputs, -100)", 16, "no position is scored"),
        ("1 / 0", 16, "draw raised ZeroDivisionError: division by zero"),
        ("inputs.tolist()", 16, "draw raised AttributeError: 'list' object has no attribute 'shape'"),
        ("inputs, inputs[:, 1:]", 16, r"floor_nats is of shape \(256, 15\), expected finite numbers"),
    ],
    ids=["shape", "type", "range", "nothing scored", "raises", "no array", "floor"],
)
def test_rows_that_do_not_fit_the_spec_are_named(own_file, targets, length, words):
    with pytest.raises(DataError, match=words):
        load(own_file(OWN.format(targets=targets, length=length)))


def test_too_few_different_rows_to_hold_any_out_are_named(own_file):
    task = load(own_file(OWN.format(targets="inputs", length=3)))

    with pytest.raises(DataError, match=r"too few different rows: only .* are not trained on already"):
        task.held_out(Split.TEST, KEY)


def test_a_draw_that_returns_no_batch_is_named(own_file):
    with pytest.raises(DataError, match="draw returned tuple, expected a Batch"):
        load(own_file(OWN.format(targets="inputs", length=16).replace("return Batch(", "return (")))


def test_a_task_file_whose_rows_change_is_another_task(own_file):
    before = load(own_file(OWN.format(targets=SHIFTED, length=16))).spec.id

    assert load(own_file(OWN.format(targets=SHIFTED, length=16))).spec.id == before
    assert load(own_file(OWN.format(targets="inputs", length=16))).spec.id != before


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("rungs=()", r"rungs of task 'mine' must be rising, from at least one training step \(128 tokens\), got \[\]"),
        ("rungs=(60_000, 20_000)", "rungs of task 'mine' must be rising"),
        ("validation_rows=1", "validation_rows of task 'mine' must be at least 2, got 1"),
        ("heads=5", r"heads of task 'mine' must be a divisor of dim \(64\), got 5"),
        ("parameters=500", "parameters of task 'mine' must be more: embedding and head alone take them"),
        ("answers='class'", "answers of task 'mine' must be tokens, or code where the backbone decodes"),
        ("answers='code', scope='model'", "answers of task 'mine' must be tokens, or code where the backbone decodes"),
        ("feed='stream'", "feed of task 'mine' cannot be chosen: generated rows are tokens"),
    ],
)
def test_sizes_that_make_no_task_are_named(own_file, setting, words):
    with pytest.raises(ConfigError, match=words):
        load(own_file(OWN.format(targets="inputs", length=16).replace("vocab_size=8", f"vocab_size=8, {setting}")))


def test_a_task_without_a_member_is_named(own_file):
    text = (
        "from netwright.evaluator.tasks import load_task\nclass Mine:\n    spec = load_task('s3').spec\nTASK = Mine()"
    )

    with pytest.raises(ConfigError, match="is a task without `details`"):
        load(own_file(text))


def test_a_vocabulary_that_does_not_fit_into_16_bits_is_refused(own_file):
    text = OWN.format(targets="inputs", length=16).replace("vocab_size=8", "vocab_size=99_999")

    with pytest.raises(ConfigError, match="vocab_size of task 'mine' must be 2 to 32768, got 99999"):
        load(own_file(text))

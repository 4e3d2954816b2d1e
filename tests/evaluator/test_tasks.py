"""The tasks: real or generated data, splits that cannot overlap, and clear words for data that cannot be used."""

import os
import random
import time
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from netwright.errors import ConfigError, DataError
from netwright.evaluator.tasks import TASKS, UNSCORED, load_task, training_batches
from netwright.evaluator.tasks.base import keyed_generator
from netwright.evaluator.tasks.suite import SUITES
from netwright.types import Split

KEY, OTHER_KEY = bytes(range(32)), bytes(32)
WIDTH = 129
SEQUENCES = [name for name in TASKS if name not in ("tokens", *SUITES) and load_task(name).spec.inputs == "tokens"]


def prose(seed, size_bytes):
    """Text in which no two windows of 30 bytes are alike."""
    generator = random.Random(seed)
    return "".join(generator.choices("abcdefghijklmnopqrstuvwxyz \n", k=size_bytes)).encode()


@pytest.fixture(scope="module")
def stdlib_task():
    return load_task("bytes")


@pytest.fixture
def book(tmp_path):
    path = tmp_path / "book.txt"
    path.write_bytes(prose(1, 60_000))
    return path


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "texts"
    (root / "inner").mkdir(parents=True)
    for index in range(80):
        (root / ("inner" if index % 2 else "") / f"{index}.txt").write_bytes(prose(index, 2_000))
    return root


def windows_of(batch):
    """The bytes of each row, inputs and targets together."""
    rows = np.concatenate([batch.inputs, batch.targets[:, -1:]], axis=1).astype(np.uint8)
    return [row.tobytes() for row in rows]


# --- all tasks


@pytest.mark.parametrize("name", SEQUENCES)
def test_a_task_offers_two_rungs_and_says_what_they_cost(name):
    task = load_task(name)

    tokens = [rung.tokens for rung in task.spec.rungs]

    assert len(tokens) >= 2 and tokens == sorted(tokens)
    assert f"rung 1: {tokens[1]:,} training tokens, about" in task.details
    assert task.spec.summary == TASKS[name]


@pytest.mark.parametrize("name", SEQUENCES)
def test_batches_have_the_shapes_and_tokens_that_the_spec_names(name):
    task = load_task(name)
    spec = task.spec
    batches = islice(training_batches(spec, task.training_data(), seed=1, batch_size=5), 20)

    for batch in [*batches, task.held_out(Split.VALIDATION, KEY), task.held_out(Split.TEST, KEY)]:
        assert batch.inputs.dtype == batch.targets.dtype == np.int32
        assert batch.inputs.shape == batch.targets.shape and batch.inputs.shape[1] == spec.max_len
        assert batch.inputs.min() >= 0 and batch.inputs.max() < spec.vocab_size
        scored = batch.targets[batch.targets != UNSCORED]
        assert scored.size and scored.min() >= 0 and scored.max() < spec.vocab_size
    assert task.held_out(Split.VALIDATION, KEY).inputs.shape[0] == spec.validation_rows
    assert task.held_out(Split.TEST, KEY).inputs.shape[0] == spec.test_rows


@pytest.mark.parametrize("name", SEQUENCES)
def test_held_out_rows_depend_on_the_secret_key_and_the_split_alone(name):
    first, second = load_task(name), load_task(name)

    rows = set(windows_of(first.held_out(Split.VALIDATION, KEY)))

    assert rows == set(windows_of(second.held_out(Split.VALIDATION, KEY)))
    assert len(rows & set(windows_of(first.held_out(Split.VALIDATION, OTHER_KEY)))) < len(rows) / 10
    assert not rows & set(windows_of(first.held_out(Split.TEST, KEY)))


@pytest.mark.parametrize("name", SEQUENCES)
def test_training_rows_depend_on_the_seed_alone(name):
    task = load_task(name)

    def rows(seed):
        batches = training_batches(task.spec, task.training_data(), seed=seed, batch_size=4)
        return [windows_of(batch) for batch in islice(batches, 3)]

    assert rows(7) == rows(7)
    assert rows(7) != rows(8)


@pytest.mark.parametrize("name", SEQUENCES)
def test_a_batch_costs_a_few_tenths_of_a_millisecond(name):
    task = load_task(name)
    batches = training_batches(task.spec, task.training_data(), seed=1, batch_size=task.spec.recipe.batch_size)
    started = time.process_time()

    for _ in islice(batches, 200):
        pass

    assert (time.process_time() - started) / 200 < 1e-3


def test_an_unknown_task_is_named_together_with_the_known_ones():
    with pytest.raises(ConfigError, match="no task 'vision': the tasks are automata, bytes, .* or the path of a file"):
        load_task("vision")


def test_recall_refuses_data_that_it_would_ignore(book):
    with pytest.raises(ConfigError, match="task 'recall' takes no data"):
        load_task("recall", data=book)


def test_a_key_that_could_be_guessed_is_refused():
    with pytest.raises(ValueError, match="at least 16 bytes, got 3"):
        keyed_generator(b"abc", "recall", "test")


# --- recall


def test_every_scored_query_of_recall_can_be_answered_from_its_own_row():
    spec = load_task("recall").spec
    batch = load_task("recall").held_out(Split.TEST, KEY)
    n_shown = 2 * spec.options["max_pairs"]

    for inputs, targets in zip(batch.inputs[:50], batch.targets[:50], strict=True):
        memory = dict(zip(inputs[:n_shown:2].tolist(), inputs[1:n_shown:2].tolist(), strict=True))
        assert len(memory) == spec.options["max_pairs"]
        assert (targets[:n_shown] == UNSCORED).all()
        assert [memory[key] for key in inputs[n_shown:].tolist()] == targets[n_shown:].tolist()


def test_values_cannot_be_guessed_from_keys_in_recall():
    batch = load_task("recall").held_out(Split.TEST, KEY)
    asked = batch.targets != UNSCORED
    keys, values = batch.inputs[asked], batch.targets[asked]

    most_common = max(np.bincount(values[keys == key]).max() / (keys == key).sum() for key in np.unique(keys))

    assert most_common < 0.25


def test_training_on_recall_mixes_easy_rows_with_ones_as_hard_as_the_test():
    task = load_task("recall")
    options = task.spec.options
    batch = next(training_batches(task.spec, task.training_data(), seed=3, batch_size=600))

    pairs = (batch.targets == UNSCORED).sum(axis=1) // 2

    assert min(pairs) == options["min_pairs"] and max(pairs) == options["max_pairs"]
    # Log-uniform: as many rows below the geometric mean of the ends as above it.
    middle = (options["min_pairs"] * options["max_pairs"]) ** 0.5
    assert 0.35 < np.mean([count < middle for count in pairs]) < 0.65


# --- bytes


def test_the_standard_library_is_a_corpus_that_loads_fast(stdlib_task):
    started = time.process_time()

    again = load_task("bytes")

    assert time.process_time() - started < 0.5
    assert again.spec.id == stdlib_task.spec.id and len(again.spec.corpus) == 64
    assert len(again.training_data()) > 4_000_000


def test_targets_of_bytes_are_the_next_bytes_of_real_text(stdlib_task):
    batch = stdlib_task.held_out(Split.VALIDATION, KEY)

    assert (batch.inputs[:, 1:] == batch.targets[:, :-1]).all()
    assert all(window in stdlib_task.corpus.validation for window in windows_of(batch)[:20])


def test_no_file_of_a_folder_lands_in_two_splits(folder):
    corpus = load_task("bytes", data=folder).corpus
    parts = [set(part.split(b"\0")) - {b""} for part in (corpus.train, corpus.validation, corpus.test)]

    assert corpus.split_by == "files"
    assert sum(map(len, parts)) == len(set.union(*parts)) == 80
    assert {prose(index, 2_000) for index in range(80)} == set.union(*parts)


def test_copies_of_a_file_under_other_names_are_dropped(folder):
    for index in range(80):
        (folder / f"copy-{index}.txt").write_bytes(prose(index, 2_000))

    corpus = load_task("bytes", data=folder).corpus

    assert corpus.documents == 80


def test_a_single_file_is_cut_into_regions_that_share_no_byte(book):
    corpus = load_task("bytes", data=book).corpus

    assert corpus.split_by == "regions"
    assert corpus.train + corpus.validation + corpus.test == book.read_bytes() + b"\0"


@pytest.mark.parametrize("split", Split)
@pytest.mark.parametrize("source", ["book", "folder"])
def test_no_held_out_window_occurs_in_the_training_text_or_the_other_split(source, split, request):
    task = load_task("bytes", data=request.getfixturevalue(source))
    other = task.corpus.validation if split is Split.TEST else task.corpus.test

    windows = windows_of(task.held_out(split, KEY))

    assert not any(window in task.training_data() or window in other for window in windows)


def test_held_out_windows_do_not_overlap_each_other(book):
    task = load_task("bytes", data=book)

    starts = sorted(task.corpus.test.index(window) for window in windows_of(task.held_out(Split.TEST, KEY)))

    assert len(starts) == task.spec.test_rows
    assert min(np.diff(starts)) >= WIDTH


def test_training_reaches_the_first_and_the_last_byte_of_its_text():
    spec = load_task("bytes").spec
    text = bytes(range(1, 132))

    batch = next(training_batches(spec, memoryview(text), seed=0, batch_size=200))

    assert batch.inputs.min() == text[0] and batch.targets.max() == text[-1]


def test_results_on_different_text_have_different_task_ids(book, folder):
    ids = {load_task("bytes", data=path).spec.id for path in (None, book, folder)}

    assert len(ids) == 3


def test_the_corpus_does_not_depend_on_where_it_lies(folder, tmp_path):
    before = load_task("bytes", data=folder).spec.id

    folder.rename(tmp_path / "elsewhere")

    assert load_task("bytes", data=tmp_path / "elsewhere").spec.id == before


def test_hidden_and_binary_files_of_a_folder_are_left_out(folder):
    before = load_task("bytes", data=folder).spec.corpus
    (folder / ".git").mkdir()
    (folder / ".git" / "config").write_text("not part of the text")
    (folder / "picture.png").write_bytes(bytes(range(256)) * 100)

    assert load_task("bytes", data=folder).spec.corpus == before


def test_a_missing_path_is_named(tmp_path):
    with pytest.raises(DataError, match=r"nowhere\.txt does not exist: name a text file or a folder"):
        load_task("bytes", data=tmp_path / "nowhere.txt")


def test_an_empty_file_is_refused(tmp_path):
    (tmp_path / "empty.txt").touch()

    with pytest.raises(DataError, match=r"empty\.txt is empty"):
        load_task("bytes", data=tmp_path / "empty.txt")


@pytest.mark.parametrize(
    "garbage", [random.Random(0).randbytes(100_000), b"\x01\x02" * 50_000, "text".encode("utf-16") * 20_000]
)
def test_binary_garbage_is_refused(tmp_path, garbage):
    (tmp_path / "blob.bin").write_bytes(garbage)

    with pytest.raises(DataError, match=r"blob\.bin is not text"):
        load_task("bytes", data=tmp_path / "blob.bin")


def test_a_folder_without_text_is_refused(tmp_path):
    with pytest.raises(DataError, match="holds no files"):
        load_task("bytes", data=tmp_path)

    (tmp_path / "a.bin").write_bytes(bytes(1000))
    with pytest.raises(DataError, match="none of the 1 files in .* is text"):
        load_task("bytes", data=tmp_path)


@pytest.mark.parametrize("size_bytes", [1, WIDTH - 1, 20_000])
def test_too_little_text_is_refused_with_the_size_that_is_needed(tmp_path, size_bytes):
    (tmp_path / "short.txt").write_bytes(prose(0, size_bytes))

    with pytest.raises(DataError, match=rf"holds {size_bytes + 1:,} bytes .* at least 20,642 bytes are needed"):
        load_task("bytes", data=tmp_path / "short.txt")


def test_text_of_exactly_the_size_that_is_needed_suffices(tmp_path):
    (tmp_path / "just.txt").write_bytes(prose(0, 20_641))

    task = load_task("bytes", data=tmp_path / "just.txt")

    assert task.held_out(Split.VALIDATION, KEY).inputs.shape == (16, WIDTH - 1)


def test_text_of_a_few_files_of_unequal_sizes_is_still_split(tmp_path):
    for name, size_bytes in (("a.txt", 300_000), ("b.txt", 100), ("c.txt", 40_000)):
        (tmp_path / name).write_bytes(prose(name, size_bytes))

    corpus = load_task("bytes", data=tmp_path).corpus

    assert len(corpus.train) > 5 * len(corpus.validation) and len(corpus.test) >= 16 * WIDTH


def test_a_path_that_is_neither_file_nor_folder_is_refused_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "pipe")

    with pytest.raises(DataError, match="neither a file nor a folder"):
        load_task("bytes", data=tmp_path / "pipe")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file_is_refused(book):
    book.chmod(0)

    with pytest.raises(DataError, match=r"cannot read .*book\.txt: Permission denied"):
        load_task("bytes", data=book)


def test_a_file_that_fails_while_it_is_read_is_refused():
    with pytest.raises(DataError, match="cannot read /proc/self/mem"):
        load_task("bytes", data=Path("/proc/self/mem"))

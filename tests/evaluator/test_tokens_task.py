"""The task `tokens`: files of tokens are mapped and cut, text is tokenized, what is no token is refused in words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from netwright.errors import DataError
from netwright.evaluator.tasks import load_task, training_batches
from netwright.evaluator.tasks.tokens_lm import VOCABULARY_MAX
from netwright.types import Split

KEY = bytes(range(32))
WIDTH = 129


def counting(start: int, count: int) -> np.ndarray:
    """Tokens of which each is one more than the one before, modulo a prime: every window is another one."""
    return ((np.arange(count) + start) % 997).astype(np.uint16)


@pytest.fixture
def nanogpt(tmp_path: Path) -> Path:
    counting(0, 60_000).tofile(tmp_path / "train.bin")
    counting(500, 20_000).tofile(tmp_path / "val.bin")
    return tmp_path


def flat(batch) -> np.ndarray:
    return np.concatenate([batch.inputs, batch.targets[:, -1:]], axis=1)


def test_targets_are_the_tokens_that_follow(nanogpt):
    task = load_task("tokens", data=nanogpt)
    files_token = np.argsort(task.known)[-997:]  # known numbers from 1 on, by the token of the files

    for batch in (
        next(training_batches(task.spec, task.training_data(), seed=0, batch_size=4)),
        task.held_out(Split.VALIDATION, KEY),
    ):
        back = files_token[flat(batch) - 1]
        assert (np.diff(back, axis=1) % 997 == 1).all()


def test_validation_and_test_are_the_halves_of_what_was_held_out(nanogpt):
    task = load_task("tokens", data=nanogpt)

    assert [len(part) for part in task.parts.values()] == [60_000, 10_000, 10_000]
    assert (task.parts["validation"] == counting(500, 10_000)).all()


def test_held_out_windows_do_not_overlap_and_the_key_chooses_them(tmp_path):
    np.save(tmp_path / "all.npy", np.random.default_rng(0).integers(0, 1000, size=100_000))
    task = load_task("tokens", data=tmp_path / "all.npy")
    text = task.known[task.parts["test"]].tolist()

    rows = flat(task.held_out(Split.TEST, KEY))

    place = {tuple(text[start : start + 8]): start for start in range(len(text))}
    starts = np.sort([place[tuple(row[:8].tolist())] for row in rows])
    assert len(rows) == task.spec.test_rows and np.diff(starts).min() >= WIDTH
    assert all(text[place[tuple(row[:8].tolist())] :][:WIDTH] == row.tolist() for row in rows)
    assert not np.array_equal(rows, flat(task.held_out(Split.TEST, bytes(32))))


def test_one_file_is_cut_into_parts_that_share_no_position(tmp_path):
    np.save(tmp_path / "all.npy", np.arange(50_000) % 30_011)

    parts = load_task("tokens", data=tmp_path / "all.npy").parts

    assert np.concatenate(list(parts.values())).tolist() == (np.arange(50_000) % 30_011).tolist()
    assert [len(part) for part in parts.values()] == [40_000, 5_000, 5_000]


def test_rare_tokens_of_a_large_vocabulary_become_one(tmp_path):
    rng = np.random.default_rng(0)
    often = rng.integers(0, 1000, size=60_000)
    np.save(tmp_path / "all.npy", np.where(rng.random(60_000) < 0.1, rng.integers(1000, 40_000, size=60_000), often))

    task = load_task("tokens", data=tmp_path / "all.npy")

    assert task.spec.vocab_size == VOCABULARY_MAX
    assert (task.known[:1000] > 0).all() and task.known.max() == VOCABULARY_MAX - 1
    assert 0.03 < (task.held_out(Split.TEST, KEY).targets == 0).mean() < 0.12


def test_text_beside_a_tokenizer_is_tokenized(tmp_path):
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace

    words = [f"w{number}" for number in range(200)]
    tokenizer = Tokenizer(WordLevel({word: place for place, word in enumerate(["?", *words])}, unk_token="?"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    rng = np.random.default_rng(0)
    for number in range(40):
        (tmp_path / f"{number}.txt").write_text(" ".join(rng.choice(words, size=2000)))

    task = load_task("tokens", data=tmp_path)

    assert task.spec.vocab_size == 200 + 1
    assert sum(len(part) for part in task.parts.values()) == 40 * 2000


def test_other_tokens_make_another_task(nanogpt, tmp_path):
    before = load_task("tokens", data=nanogpt).spec.id

    counting(1, 20_000).tofile(tmp_path / "val.bin")

    assert load_task("tokens", data=nanogpt).spec.id != before


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("train.bin", b"\0\0" * 50_000, r"has train\.bin but no val\.bin"),
        ("odd.bin", b"\0" * 50_001, "odd number of bytes: expected uint16 tokens"),
        ("few.bin", b"\0\0" * 1000, "gives 800 tokens for train, at least 2,064 are needed"),
        ("no.npy", b"not numpy", r"no\.npy cannot be read as tokens"),
        ("notes.txt", b"hello", "holds no tokens: expected train.bin and val.bin"),
    ],
)
def test_files_that_are_no_tokens_are_refused(tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)

    with pytest.raises(DataError, match=words):
        load_task("tokens", data=tmp_path if name == "train.bin" else tmp_path / name)


@pytest.mark.parametrize(
    ("tokens", "words"),
    [
        (np.zeros((100, 500), dtype=np.int32), r"holds int32 of shape \(100, 500\): expected one axis"),
        (np.zeros(50_000), "holds float64"),
        (np.arange(50_000) - 7, "tokens reach from -7 to"),
        (np.array([{}] * 9), "cannot be read as tokens"),
        (np.zeros(50_000, dtype="m8[s]"), "holds timedelta64"),
    ],
    ids=["two axes", "floats", "negative", "objects", "durations"],
)
def test_arrays_that_are_no_tokens_are_refused(tmp_path, tokens, words):
    np.save(tmp_path / "all.npy", tokens, allow_pickle=True)

    with pytest.raises(DataError, match=words):
        load_task("tokens", data=tmp_path / "all.npy")


def test_without_data_it_says_what_to_give():
    with pytest.raises(DataError, match="task 'tokens' needs data: --data FOLDER"):
        load_task("tokens")

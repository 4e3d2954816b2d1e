"""`fuzzy-recall`: associative recall where keys and values are words of one to three tokens.

    dictionary   ab -> 7      d -> 25      cab -> 1
    inputs       a b 7 d 2 5 c a b 1 d 2 5 a b 7 ...       entries follow one another, each shown at least once
    targets      . . . . . . . . . . 2 5 . . 7 . ...       scored: values of entries that came before

Keys of a row differ; key letters and value letters are different tokens, so the end of a key is plain. To answer, a
design has to bind a variable number of tokens together before it looks anything up.

Source: fuzzy in-context recall of Poli et al. 2024 (arXiv:2403.17844), section 3.1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netwright.evaluator.tasks.base import UNSCORED, Batch
from netwright.evaluator.tasks.generated import GeneratedTask, by_size, draw_sizes, generated
from netwright.types import TaskSpec

KEY_LETTERS, VALUE_LETTERS, WORD_LENGTH = 8, 16, 3
ENTRIES = 6
SUMMARIES = {"fuzzy-recall": "associative recall of keys and values of one to three tokens (nats per answer)"}
_NOTHING = -1


def fuzzy_recall() -> GeneratedTask:
    return generated(
        "fuzzy-recall",
        SUMMARIES["fuzzy-recall"],
        _draw,
        vocab_size=KEY_LETTERS + VALUE_LETTERS,
        max_len=64,
        chance_nats=math.log(VALUE_LETTERS),
        options={"key_letters": KEY_LETTERS, "value_letters": VALUE_LETTERS, "min_entries": 1, "max_entries": ENTRIES},
    )


TASKS: Mapping[str, Callable[[], GeneratedTask]] = {"fuzzy-recall": fuzzy_recall}


def _draw(generator: np.random.Generator, spec: TaskSpec, rows: int, *, training: bool) -> Batch:
    options, length = spec.options, spec.max_len
    letters = options["key_letters"]

    def draw(count: int, entries: int) -> tuple[NDArray[Any], NDArray[Any]]:
        keys = _different_words(generator, count, entries, letters)
        values = _words(generator, (count, entries), options["value_letters"])
        values = np.where(values == _NOTHING, _NOTHING, values + letters)
        # Every entry is at least two tokens, so this many always fill the row, and a target beyond its end.
        later = generator.integers(0, entries, size=(count, length // 2 + 1))
        order = np.concatenate([np.tile(np.arange(entries), (count, 1)), later], axis=1)
        words = np.concatenate([keys, values], axis=2)[np.arange(count)[:, None], order]
        is_value = np.arange(2 * WORD_LENGTH) >= WORD_LENGTH
        scored = np.broadcast_to(is_value & (np.arange(order.shape[1]) >= entries)[:, None], words.shape)
        tokens, asked = _pressed_together(words.reshape(count, -1), scored.reshape(count, -1), length + 1)
        return tokens[:, :-1], np.where(asked[:, 1:], tokens[:, 1:], UNSCORED)

    sizes = draw_sizes(generator, spec, rows, options["min_entries"], options["max_entries"], training=training)
    return by_size(sizes, draw)


def _words(generator: np.random.Generator, shape: tuple[int, ...], letters: int) -> NDArray[np.int64]:
    """Draw words of 1 to WORD_LENGTH letters, (*shape, WORD_LENGTH), with `_NOTHING` behind short ones."""
    drawn = generator.integers(0, letters, size=(*shape, WORD_LENGTH))
    lengths = generator.integers(1, WORD_LENGTH + 1, size=(*shape, 1))
    return np.where(np.arange(WORD_LENGTH) < lengths, drawn, _NOTHING)


def _different_words(generator: np.random.Generator, rows: int, count: int, letters: int) -> NDArray[np.int64]:
    """Draw words until no two of a row are alike, (rows, count, WORD_LENGTH)."""
    words = _words(generator, (rows, count), letters)
    while True:
        codes = ((words + 1) * (letters + 1) ** np.arange(WORD_LENGTH)).sum(axis=2)
        ordered = np.sort(codes, axis=1)
        alike = np.flatnonzero((ordered[:, 1:] == ordered[:, :-1]).any(axis=1))
        if not len(alike):
            return words
        words[alike] = _words(generator, (len(alike), count), letters)


def _pressed_together(
    tokens: NDArray[np.int64], marked: NDArray[np.bool_], length: int
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Leave `_NOTHING` out of each row and keep the first `length` tokens with their marks."""
    order = np.argsort(tokens == _NOTHING, axis=1, kind="stable")[:, :length]
    return np.take_along_axis(tokens, order, axis=1), np.take_along_axis(marked, order, axis=1)

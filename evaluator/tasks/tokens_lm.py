"""`tokens`: language modelling on tokens that somebody made before, or on a text with a tokenizer.

    inputs   the  cat  sat  on       of any vocabulary
    targets  cat  sat  on   the      every position is scored; metric: nats per token

The data is one of
- a folder with `train.bin` and `val.bin`, or one `*.bin` file: uint16 tokens, as nanoGPT's `prepare.py` writes them;
- one `*.npy` file, or a folder with `train.npy` and `val.npy`: one axis of whole numbers;
- a folder with a `tokenizer.json` (of Hugging Face's tokenizers) and a text, or several, split by file as for `bytes`.

Files of tokens are mapped into memory, and only the windows that the rungs can use are copied. Of a large vocabulary
the tokens that training meets most often stay, `VOCABULARY_MAX` less one; all others become one token, so that the
raw logits of a whole split can be held and audited. Losses compare within one file of tokens, never across
tokenizers. A file alone, or `val` alone, is cut into contiguous regions; the test split is the second half of `val`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netwright.errors import DataError
from netwright.evaluator.tasks.base import Batch, describe_costs, keyed_generator
from netwright.evaluator.tasks.corpus import SEPARATOR, load_corpus
from netwright.evaluator.tasks.feed import pack_rows
from netwright.evaluator.tasks.generated import DECK_TIMES, DECK_TOKENS_MAX
from netwright.types import Recipe, Rung, Scope, Split, TaskSpec

SUMMARY = "language modelling on tokens: nanoGPT .bin, .npy, or text with a tokenizer.json (nats per token)"
TOKENIZER = "tokenizer.json"
VOCABULARY_MAX = 2048
TOKEN_MAX = 1 << 24
MAX_LEN = 128
VALIDATION_ROWS, TEST_ROWS, MIN_ROWS = 128, 256, 16
HELD_OUT_SHARE = 0.1
TOKENS_PER_SECOND = 15_000
_COUNTED = 1 << 24
"""How many training tokens are counted to find the frequent ones."""
_BLOCKS, _BLOCK_BYTES = 64, 1 << 20
"""Of larger data so many evenly spaced blocks are hashed, and its size."""

Tokens = NDArray[Any]


@dataclass(frozen=True)
class TokensTask:
    """Language modelling on `parts`: one axis of tokens each, train, validation and test.

    `known` maps a token of the files to one of the task's, (tokens of the files,).
    """

    spec: TaskSpec
    parts: Mapping[str, Tokens]
    known: NDArray[np.int32]
    source: Path

    @classmethod
    def load(cls, data: Path | None = None) -> TokensTask:
        """Map the tokens at `data`.

        Raises:
            DataError: there is no data, or it cannot be used.
        """
        if data is None:
            raise DataError(
                "task 'tokens' needs data: --data FOLDER with train.bin and val.bin, a .bin, a .npy, or a text with "
                "a tokenizer.json"
            )
        parts = _read(data)
        known = _frequent(parts["train"])
        return cls(_spec(parts, known), parts, known, data)

    @property
    def details(self) -> str:
        sizes = ", ".join(f"{len(tokens):,} {name}" for name, tokens in self.parts.items())
        return (
            f"tokens: {self.source}: {sizes}; the {self.spec.vocab_size - 1:,} most frequent ones, all others as one\n"
            + describe_costs(self.spec, TOKENS_PER_SECOND)
        )

    @cached_property
    def _deck(self) -> Batch:
        tokens = self.parts["train"]
        wanted = min(DECK_TIMES * self.spec.rungs[-1].tokens, DECK_TOKENS_MAX) // self.spec.max_len
        starts = np.random.default_rng(0).integers(0, len(tokens) - self.spec.max_len, size=wanted)
        return self._windows(tokens, np.sort(starts))

    def training_data(self) -> bytes:
        return pack_rows(self._deck, self.spec)

    def held_out(self, split: Split, key: bytes) -> Batch:
        """Return windows that do not overlap each other, at places that the key chooses."""
        tokens = self.parts[split.value]
        rows = self.spec.test_rows if split is Split.TEST else self.spec.validation_rows
        generator = keyed_generator(key, self.spec.name, self.spec.corpus, split.value)
        width = self.spec.max_len + 1
        first = int(generator.integers(0, len(tokens) % width + 1))
        cells = generator.choice(len(tokens) // width, size=rows, replace=False)
        return self._windows(tokens, first + np.sort(cells) * width)

    def _windows(self, tokens: Tokens, starts: NDArray[np.int64]) -> Batch:
        cut = tokens[starts[:, None] + np.arange(self.spec.max_len + 1)]
        met = (cut >= 0) & (cut < len(self.known))
        known = self.known[np.where(met, cut, 0)] * met
        return Batch(np.ascontiguousarray(known[:, :-1]), np.ascontiguousarray(known[:, 1:]))


def _read(data: Path) -> dict[str, Tokens]:
    if not data.exists():
        raise DataError(f"{data} does not exist: name a folder with train.bin and val.bin, a .bin or a .npy file")
    if data.is_dir() and (data / TOKENIZER).is_file():
        return _tokenized(data)
    for suffix in (".bin", ".npy"):
        train, held_out = data / f"train{suffix}", data / f"val{suffix}"
        if data.is_dir() and train.is_file():
            if not held_out.is_file():
                raise DataError(f"{data} has {train.name} but no {held_out.name}: add it, or name the file alone")
            first, rest = _mapped(train), _mapped(held_out)
            half = len(rest) // 2
            return _checked({"train": first, "validation": rest[:half], "test": rest[half:]}, data)
        if data.suffix == suffix:
            return _checked(_regions(_mapped(data)), data)
    raise DataError(f"{data} holds no tokens: expected train.bin and val.bin, a .bin, a .npy, or a tokenizer.json")


def _mapped(path: Path) -> Tokens:
    """Map a file of tokens; nothing is read yet."""
    try:
        if path.suffix == ".bin":
            if path.stat().st_size % 2:
                raise DataError(f"{path} has an odd number of bytes: expected uint16 tokens")
            return np.memmap(path, dtype=np.uint16, mode="r")
        tokens: Tokens = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read as tokens: {error}") from None
    if not isinstance(tokens, np.ndarray):
        raise DataError(f"{path} is an archive of arrays: expected one array with one axis of whole numbers")
    if tokens.ndim != 1 or tokens.dtype.kind not in "iu":
        raise DataError(f"{path} holds {tokens.dtype} of shape {tokens.shape}: expected one axis of whole numbers")
    return tokens


def _regions(tokens: Tokens) -> dict[str, Tokens]:
    """Cut one file into three contiguous parts."""
    held_out = int(len(tokens) * HELD_OUT_SHARE)
    train = len(tokens) - 2 * held_out
    return {"train": tokens[:train], "validation": tokens[train:-held_out], "test": tokens[-held_out:]}


def _tokenized(folder: Path) -> dict[str, Tokens]:
    from transformers import PreTrainedTokenizerFast

    try:
        path = str(folder / TOKENIZER)
        tokenizer = PreTrainedTokenizerFast(tokenizer_file=path)  # type: ignore[no-untyped-call]
    except Exception as error:
        raise DataError(f"{folder / 'tokenizer.json'} cannot be used: {error}") from error
    corpus = load_corpus(folder, min_held_out_bytes=MIN_ROWS * (MAX_LEN + 1), leave_out=frozenset({TOKENIZER}))
    texts = {"train": corpus.train, "validation": corpus.validation, "test": corpus.test}

    def encoded(text: bytes) -> Tokens:
        documents = [part.decode(errors="replace") for part in text.split(SEPARATOR) if part]
        return np.array([token for each in tokenizer(documents)["input_ids"] for token in each], dtype=np.int32)

    return _checked({name: encoded(text) for name, text in texts.items()}, folder)


def _checked(parts: dict[str, Tokens], data: Path) -> dict[str, Tokens]:
    needed = MIN_ROWS * (MAX_LEN + 1)
    for name, tokens in parts.items():
        if len(tokens) < needed:
            raise DataError(f"{data} gives {len(tokens):,} tokens for {name}, at least {needed:,} are needed: add more")
    return parts


def _frequent(train: Tokens) -> NDArray[np.int32]:
    """Number the most frequent tokens from 1 on; 0 stands for all others, met in training or not."""
    different, counts = np.unique(np.asarray(train[:_COUNTED]), return_counts=True)
    if different[0] < 0 or different[-1] >= TOKEN_MAX:
        raise DataError(f"tokens reach from {different[0]} to {different[-1]}: expected 0 to {TOKEN_MAX - 1:,}")
    kept = different[np.argsort(-counts, kind="stable")[: VOCABULARY_MAX - 1]]
    known = np.zeros(int(different[-1]) + 1, dtype=np.int32)
    known[kept] = np.arange(1, len(kept) + 1)
    return known


def _fingerprint(parts: Mapping[str, Tokens]) -> str:
    digest = hashlib.sha256()
    for tokens in parts.values():
        digest.update(f"{tokens.dtype} {len(tokens)}".encode())
        size = max(_BLOCK_BYTES // tokens.itemsize, 1)
        few = len(tokens) <= _BLOCKS * size
        starts = range(0, len(tokens), size) if few else np.linspace(0, len(tokens) - size, _BLOCKS, dtype=np.int64)
        for start in starts:
            digest.update(np.ascontiguousarray(tokens[start : start + size]).tobytes())
    return digest.hexdigest()


def _spec(parts: Mapping[str, Tokens], known: NDArray[np.int32]) -> TaskSpec:
    vocabulary, width = int(known.max()) + 1, MAX_LEN + 1
    return TaskSpec(
        name="tokens",
        summary=SUMMARY,
        scope=Scope.MIXER,
        vocab_size=vocabulary,
        max_len=MAX_LEN,
        dim=64,
        heads=4,
        layers=2,
        parameters=80_000 + 2 * 64 * vocabulary,
        metric="loss",
        recipe=Recipe(lr=1e-2, batch_size=8),
        rungs=(Rung(level=0, tokens=256_000), Rung(level=1, tokens=768_000)),
        validation_rows=min(VALIDATION_ROWS, len(parts["validation"]) // width),
        test_rows=min(TEST_ROWS, len(parts["test"]) // width),
        corpus=_fingerprint(parts),
        feed="rows",
    )

"""`bytes`: predict the next byte of real text.

    inputs   d e f   m a i n ( a r g s )
    targets  e f   m a i n ( a r g s ) :        every position is scored; metric: bits per byte = nats / ln 2

It rewards local mixing first and recall of earlier names second, the opposite of `recall`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from netwright.evaluator.tasks.base import Batch, describe_costs, keyed_generator
from netwright.evaluator.tasks.corpus import Corpus, load_corpus
from netwright.evaluator.tasks.feed import windows
from netwright.types import Recipe, Rung, Scope, Split, TaskSpec

SUMMARY = "byte-level language modelling of real text (bits per byte)"
MAX_LEN = 128
MIN_ROWS = 16
VALIDATION_ROWS = 256
TEST_ROWS = 512
TOKENS_PER_SECOND = 45_000


@dataclass(frozen=True)
class BytesTask:
    """Byte-level language modelling of a corpus."""

    spec: TaskSpec
    corpus: Corpus
    source: str

    @classmethod
    def load(cls, data: Path | None = None) -> BytesTask:
        """Read the corpus at `data`, or the sources of the running Python's standard library.

        Raises:
            DataError: the text cannot be used; see `load_corpus`.
        """
        corpus = load_corpus(data, min_held_out_bytes=MIN_ROWS * (MAX_LEN + 1))
        source = "the running Python's standard library" if data is None else str(data)
        return cls(_spec(corpus), corpus, source)

    @property
    def details(self) -> str:
        parts = self.corpus
        return (
            f"text: {self.source}, {parts.documents} documents, split by {parts.split_by}\n"
            f"bytes: {len(parts.train):,} train, {len(parts.validation):,} validation, "
            f"{len(parts.test):,} test\n" + describe_costs(self.spec, TOKENS_PER_SECOND)
        )

    def training_data(self) -> bytes:
        return self.corpus.train

    def held_out(self, split: Split, key: bytes) -> Batch:
        """Return windows that do not overlap each other, at places that the key chooses."""
        text = np.frombuffer(_part(self.corpus, split), dtype=np.uint8)
        rows = self.spec.test_rows if split is Split.TEST else self.spec.validation_rows
        generator = keyed_generator(key, self.spec.name, self.spec.corpus, split.value)
        width = self.spec.max_len + 1
        first = int(generator.integers(0, len(text) % width + 1))
        cells = generator.choice(len(text) // width, size=rows, replace=False)
        return windows(text, first + np.sort(cells) * width, self.spec.max_len)


def _part(corpus: Corpus, split: Split) -> bytes:
    return corpus.test if split is Split.TEST else corpus.validation


def _spec(corpus: Corpus) -> TaskSpec:
    """Describe the task; small corpora have fewer held-out rows, so that rows never overlap."""
    width = MAX_LEN + 1
    return TaskSpec(
        name="bytes",
        summary=SUMMARY,
        scope=Scope.MIXER,
        vocab_size=256,
        max_len=MAX_LEN,
        dim=64,
        heads=4,
        layers=2,
        parameters=110_000,
        metric="bits per byte",
        recipe=Recipe(lr=1e-2, batch_size=8),
        rungs=(Rung(level=0, tokens=256_000), Rung(level=1, tokens=768_000)),
        validation_rows=min(VALIDATION_ROWS, len(corpus.validation) // width),
        test_rows=min(TEST_ROWS, len(corpus.test) // width),
        corpus=corpus.sha256,
        options={"split_by": corpus.split_by},
    )

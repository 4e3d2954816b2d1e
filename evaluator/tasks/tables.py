"""Small real data sets that ship with scikit-learn, for architectures of scope `model`: `digits` and `tabular-*`.

    digits             8 x 8 grey images of handwritten digits  ->  which of ten
    tabular-cancer     30 measures of a tumour                  ->  benign or malignant
    tabular-diabetes   10 measures of a patient                 ->  progression after a year, a number
    tabular-wine       13 measures of a wine                    ->  which of three cultivars

Rows that stand twice in a set are kept once; each then belongs to train, validation or test by the rank of its
SHA-256, so no row is in two splits and the split is the same everywhere. Measures (and the number that is asked for)
are scaled to mean 0 and variance 1 over the training rows. The sets are public: a candidate's process cannot read
them, but who wrote the candidate may know them.

Source: Alpaydin & Kaynak 1998, Optical Recognition of Handwritten Digits (UCI, doi:10.24432/C50P49); Wolberg et al.
1995, Breast Cancer Wisconsin (doi:10.24432/C5DW2B); Efron et al. 2004, Least Angle Regression (Annals of Statistics
32:407); Aeberhard & Forina 1991, Wine (doi:10.24432/C5PC7J).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from netwright.evaluator.tasks.base import Batch, describe_costs
from netwright.evaluator.tasks.feed import pack_rows
from netwright.types import Recipe, Rung, Scope, Split, TaskSpec

SUMMARIES = {
    "digits": "images of handwritten digits, whole models (nats per image)",
    "tabular-cancer": "a table of tumours, two classes, whole models (nats per row)",
    "tabular-diabetes": "a table of patients, regression, whole models (half the squared error)",
    "tabular-wine": "a table of wines, three classes, whole models (nats per row)",
}
HELD_OUT_SHARE = {Split.VALIDATION: 0.2, Split.TEST: 0.25}
_PARAMETERS = {"digits": 30_000}
_TABLE_PARAMETERS = 8_000
_ROWS_PER_SECOND = 20_000


@dataclass(frozen=True)
class TableTask:
    """Rows of numbers with a class or a number each, split by their content."""

    spec: TaskSpec
    parts: Mapping[str, Batch]

    @property
    def details(self) -> str:
        sizes = ", ".join(f"{len(rows)} {name}" for name, rows in self.parts.items())
        chance = "0.50" if self.spec.answers == "number" else f"{math.log(self.spec.num_classes):.2f}"
        return f"rows: {sizes}; knowing nothing costs {chance}\n" + describe_costs(self.spec, _ROWS_PER_SECOND)

    def training_data(self) -> bytes:
        return pack_rows(self.parts["train"], self.spec)

    def held_out(self, split: Split, key: bytes) -> Batch:
        """Return the rows of the split, in an order that the key decides."""
        rows = self.parts[split.value]
        digest = hashlib.sha256(key + split.value.encode()).digest()
        return rows.rows(np.random.default_rng(int.from_bytes(digest, "big")).permutation(len(rows)))


def load_table(name: str) -> TableTask:
    """Return the task of that data set."""
    inputs, targets, answers = _data_set(name)
    inputs, targets = _without_repetitions(inputs.astype(np.float32), targets)
    rank = np.argsort([hashlib.sha256(row.tobytes()).digest() for row in inputs])
    bounds = np.cumsum([round(len(rank) * share) for share in HELD_OUT_SHARE.values()])
    validation, test, train = np.split(rank, bounds)
    scaled = inputs if name == "digits" else _standardised(inputs, train)
    asked = _standardised(targets, train) if answers == "number" else targets.astype(np.int32)
    parts = {
        part: Batch(scaled[rows], asked[rows, None])
        for part, rows in (("train", train), ("validation", validation), ("test", test))
    }
    return TableTask(_spec(name, parts, answers, int(targets.max()) + 1), parts)


TASKS: Mapping[str, Callable[[], TableTask]] = {name: partial(load_table, name) for name in SUMMARIES}


def _data_set(name: str) -> tuple[NDArray[Any], NDArray[Any], Literal["class", "number"]]:
    # A second of import, for these tasks alone.
    from sklearn import datasets

    if name == "digits":
        images, classes = datasets.load_digits(return_X_y=True)
        return images.reshape(-1, 1, 8, 8) / 8.0 - 1.0, classes, "class"
    load = {
        "tabular-cancer": datasets.load_breast_cancer,
        "tabular-diabetes": datasets.load_diabetes,
        "tabular-wine": datasets.load_wine,
    }[name]
    rows, targets = load(return_X_y=True)
    return rows, targets, "number" if name == "tabular-diabetes" else "class"


def _without_repetitions(inputs: NDArray[Any], targets: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    _, first = np.unique(inputs.reshape(len(inputs), -1), axis=0, return_index=True)
    return inputs[first], targets[first]


def _standardised(values: NDArray[Any], rows: NDArray[np.int64]) -> NDArray[np.float32]:
    scaled = (values - values[rows].mean(axis=0)) / values[rows].std(axis=0)
    return np.asarray(scaled, dtype=np.float32)


def _spec(name: str, parts: Mapping[str, Batch], answers: Literal["class", "number"], classes: int) -> TaskSpec:
    digest = hashlib.sha256()
    for part in parts.values():
        digest.update(part.inputs.tobytes() + part.targets.tobytes())
    # A table has so few rows that longer trainings learn them by heart.
    budgets, lr = ((20_000, 60_000), 3e-3) if name == "digits" else ((5_000, 10_000), 1e-3)
    return TaskSpec(
        name=name,
        summary=SUMMARIES[name],
        scope=Scope.MODEL,
        vocab_size=0,
        max_len=1,
        dim=32,
        heads=4,
        layers=2,
        parameters=_PARAMETERS.get(name, _TABLE_PARAMETERS),
        metric="loss",
        recipe=Recipe(lr=lr, batch_size=32, weight_decay=0.1),
        rungs=tuple(Rung(level=level, tokens=rows) for level, rows in enumerate(budgets)),
        validation_rows=len(parts["validation"]),
        test_rows=len(parts["test"]),
        corpus=digest.hexdigest(),
        causal=False,
        inputs="numbers",
        input_shape=parts["train"].inputs.shape[1:],
        answers=answers,
        num_classes=0 if answers == "number" else classes,
        feed="rows",
    )

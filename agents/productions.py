"""How probable each alternative of each production is before any result.

The probabilities are data, and preferences learned from results multiply them. The defaults favour what short
trainings reward (decays read from the data, the delta rule, short convolutions, attention beside something cheaper)
and leave nothing out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Productions = Mapping[str, Mapping[Any, float]]

PRODUCTIONS: Productions = {
    "alternate": {False: 0.68, True: 0.32},
    "body": {"leaf": 0.74, "parallel": 0.26},
    "leaf": {
        "attention": 0.18,
        "memory": 0.52,
        "convolution": 0.13,
        "recurrence": 0.07,
        "cell": 0.03,
        "matching": 0.04,
        "positions": 0.03,
    },
    "merge": {"sum": 0.2, "gated": 0.25, "heads": 0.55},
    "skip": {"none": 0.88, "scaled": 0.07, "gated": 0.05},
    "attention.projection": {"full": 0.8, "low rank": 0.08, "grouped": 0.12},
    "memory.projection": {"full": 0.72, "low rank": 0.08, "grouped": 0.1, "single": 0.1},
    "local": {"none": 0.4, "shift": 0.11, "shifts": 0.05, "input": 0.09, "projected": 0.35},
    "kernel": {2: 0.15, 3: 0.3, 4: 0.45, 8: 0.1},
    "window": {None: 0.6, 16: 0.15, 32: 0.15, 64: 0.1},
    "position": {"rotary": 0.6, "alibi": 0.15, "none": 0.25},
    "attention.qk_norm": {"rms": 0.5, "none": 0.3, "l2": 0.2},
    "attention.norm": {"none": 0.8, "rms": 0.2},
    "talking": {False: 0.92, True: 0.08},
    "gate": {"none": 0.44, "silu": 0.29, "sigmoid": 0.2, "inner sigmoid": 0.07},
    "gate.rank": {"full": 0.6, "low": 0.4},
    "rule": {"delta": 0.48, "hebbian": 0.42, "removal": 0.1},
    "delta.feature": {"identity": 0.4, "silu": 0.45, "relu": 0.15},
    "delta.strength": {1: 0.6, 2: 0.4},
    "delta.decay": {"none": 0.35, "fixed": 0.07, "head": 0.38, "channel": 0.2},
    "hebbian.feature": {
        "identity": 0.35,
        "silu": 0.15,
        "elu+1": 0.15,
        "relu": 0.1,
        "squared relu": 0.1,
        "softmax": 0.1,
        "taylor": 0.1,
    },
    "hebbian.normaliser": {False: 0.5, True: 0.5},
    "hebbian.decay": {"none": 0.15, "fixed": 0.2, "head": 0.35, "channel": 0.3},
    "removal.decay": {"none": 0.2, "fixed": 0.1, "channel": 0.7},
    "shortest": {2: 0.6, 8: 0.4},
    "head.curve": {"softplus": 0.6, "rated": 0.4},
    "channel.curve": {"sigmoid": 0.65, "softplus": 0.35},
    "squeeze": {"linear": 0.75, "tanh": 0.25},
    "values": {"identity": 0.55, "silu": 0.45},
    "direct": {"none": 0.76, "scaled": 0.14, "matched": 0.1},
    "hebbian.position": {"none": 0.7, "rotary": 0.3},
    "memory.qk_norm": {"none": 0.5, "l2": 0.25, "rms": 0.25},
    "memory.norm": {"rms": 0.64, "none": 0.18, "layer": 0.08, "joint": 0.1},
    "horizon": {8: 0.15, 32: 0.35, 128: 0.35, 512: 0.15},
    "coupled": {False: 0.7, True: 0.3},
    "key_width": {"full": 0.85, "half": 0.15},
    "filter": {"short": 0.42, "long": 0.22, "oscillating": 0.18, "implicit": 0.18},
    "modes": {4: 0.4, 8: 0.6},
    "pairs": {4: 0.3, 8: 0.4, 16: 0.3},
    "bands": {4: 0.4, 8: 0.6},
    "gates": {"both": 0.55, "output": 0.17, "twice": 0.13, "glu": 0.15},
    "norm": {"none": 0.7, "rms": 0.3},
    "cell": {"lstm": 0.5, "gru": 0.35, "tanh": 0.15},
    "longest": {1: 0.15, 2: 0.25, 3: 0.4, 4: 0.2},
    "own": {True: 0.6, False: 0.4},
    "depth": {1: 0.4, 2: 0.6},
    "gated": {False: 0.4, True: 0.6},
    "recurrence.rank": {"full": 0.5, "low": 0.5},
    "recurrence.norm": {"none": 0.6, "rms": 0.4},
}

# The decision that an option stands for, where it is not the option itself at the place of the choice.
DECIDES: Mapping[str, Mapping[Any, tuple[str, Any]]] = {
    "alternate": {False: ("", None)},
    "body": {"parallel": (".kind", "parallel")},
    "local": {
        "none": ("", None),
        "shift": (".kind", "shift"),
        "shifts": (".separate", True),
        "input": (".place", "input"),
        "projected": (".place", "projected"),
    },
    "gate": {
        "none": ("", None),
        "silu": (".activation", "silu"),
        "sigmoid": (".activation", "sigmoid"),
        "inner sigmoid": (".activation", "inner sigmoid"),
    },
    **dict.fromkeys(
        ("delta.decay", "hebbian.decay", "removal.decay"),
        {"none": ("", None), "fixed": (".kind", "fixed"), "head": (".per", "head"), "channel": (".per", "channel")},
    ),
}

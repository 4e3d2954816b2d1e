"""What goes into a network and what comes out, by the form of the task.

    inputs   tokens   (B, T) int64                 numbers  (B, *input_shape) float32
    answers  tokens   logits (B, T, V)             class    logits (B, C)          number  (B, 1)
             code     logits (B, T, V), read out of one vector (B, D) that stands at the last position

The loss is in nats per answer: cross-entropy, or for numbers that of a Gaussian of unit variance less its constant,
(answer - target)^2 / 2 with targets scaled to unit variance by the task (Bishop 2006, PRML, equation 1.62).
"""

from __future__ import annotations

from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from netwright.evaluator.tasks.base import UNSCORED
from netwright.types import TaskSpec


def to_inputs(rows: NDArray[Any], spec: TaskSpec, device: str = "cpu") -> Tensor:
    """Return rows of a batch as a network takes them."""
    return torch.from_numpy(rows).to(device=device, dtype=torch.int64 if spec.inputs == "tokens" else torch.float32)


def to_targets(targets: NDArray[Any], spec: TaskSpec, device: str = "cpu") -> Tensor:
    """Return targets (B, P) of a batch for `loss_of`."""
    return torch.from_numpy(targets).to(device=device, dtype=torch.float32 if spec.answers == "number" else torch.int64)


def random_inputs(spec: TaskSpec, rows: int, length: int, generator: torch.Generator) -> Tensor:
    """Draw inputs of a network: so many tokens, or standard normal numbers, where `length` means nothing."""
    if spec.inputs == "tokens":
        return torch.randint(spec.vocab_size, (rows, length), generator=generator)
    return torch.randn(rows, *spec.input_shape, generator=generator)


def answer_shape(spec: TaskSpec, rows: int, length: int) -> tuple[int, ...]:
    """Return the shape of what a network answers to so many rows of that length."""
    outputs = spec.answer_shape[1]
    return (rows, length, outputs) if spec.answers in ("tokens", "code") else (rows, outputs)


def reply_shape(spec: TaskSpec, rows: int) -> tuple[int, ...]:
    """Return the shape of what a process that is scored replies to so many rows."""
    return (rows, spec.dim) if spec.answers == "code" else answer_shape(spec, rows, spec.max_len)


def random_targets(spec: TaskSpec, rows: int, length: int, generator: torch.Generator) -> Tensor:
    """Draw targets for `loss_of`."""
    shape = answer_shape(spec, rows, length)[:-1] if spec.answers in ("tokens", "code") else (rows, 1)
    if spec.answers == "number":
        return torch.randn(shape, generator=generator)
    return torch.randint(spec.answer_shape[1], shape, generator=generator)


def loss_of(answers: Tensor, targets: Tensor, spec: TaskSpec) -> Tensor:
    """Return the mean loss in nats over what is scored; `targets` (B, P) as `to_targets` makes them.

    Raises:
        ValueError: the task asks for numbers, and the answers are not one for each target.
    """
    if spec.answers == "number":
        # A difference of (B,) and (B, 1) would be (B, B), and every answer trained towards every target.
        if answers.shape != targets.shape:
            raise ValueError(f"expected answers of shape {tuple(targets.shape)}, got {tuple(answers.shape)}")
        return 0.5 * (answers - targets).square().mean()
    return F.cross_entropy(answers.reshape(-1, answers.shape[-1]), targets.flatten(), ignore_index=UNSCORED)

"""One call that seeds what a training draws from."""

from __future__ import annotations

import torch


def seed_all(seed: int) -> None:
    """Seed the generators of the CPU and of a CUDA device in use.

    `torch.manual_seed` also queues the seed for devices that nobody uses, with a stack trace each time.
    """
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.manual_seed_all(seed)

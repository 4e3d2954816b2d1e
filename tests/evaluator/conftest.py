"""What tests of trials share: a sandbox with everything that a laboratory asks of one, made once for each file."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from netwright.evaluator.laboratory import Laboratory
from netwright.sandbox.runner import Sandbox


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    """A sandbox for one training at a time; a file that trains several at once makes its own."""
    with Sandbox(
        slots=1,
        entries=Laboratory.ENTRIES,
        warm_zygote=Laboratory.WARM_ZYGOTE,
        warm_child=Laboratory.WARM_CHILD,
    ) as sandbox:
        yield sandbox

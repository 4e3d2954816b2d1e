"""The campaign that is looked at, and a browser's requests to Datasette with our plugin, without a network."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

pytest.importorskip("datasette", reason="needs the extra `web`")

from told_campaign import memory, start, task, teller_of, told

from netwright.web.server import datasette_over

__all__ = ["memory", "start", "task", "teller_of", "told"]


@pytest.fixture
def ask(memory) -> Callable:
    """Answer requests over the memory: an address, and what else a client may say."""
    datasette = datasette_over(memory.home)

    def request(path: str, method: str = "get", **options):
        return asyncio.run(getattr(datasette.client, method)(path, **options))

    return request

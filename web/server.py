"""`netwright serve`: Datasette over HOME/memory.db with the pages of this folder, for as long as it runs."""

from __future__ import annotations

import gc
import ipaddress
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netwright.errors import ConfigError
from netwright.memory import Memory
from netwright.web.queries import QUERIES

if TYPE_CHECKING:
    import uvicorn
    from datasette.app import Datasette

FOLDER = Path(__file__).parent
SQL_MILLISECONDS = 5000
ROWS_RETURNED = 1000
PAGE_ROWS = 50


def listening(home: Path, host: str, port: int) -> uvicorn.Server:
    """A server that answers requests for as long as its `run` does.

    Raises:
        ConfigError: Datasette is not installed, or nothing can listen there.
        NotFound, SchemaMismatch, StoreError: there is no memory in `home` that can be read.
    """
    application = datasette_over(home, host)
    # Imported before the first request, which would else wait for it.
    import scipy.stats  # noqa: F401
    import uvicorn

    # Pages of thousands of designs make many objects: what is there already need not be looked through each time.
    gc.freeze()

    if not _is_free(host, port):
        raise ConfigError(f"nothing can listen at {host} port {port}: choose another --port, or --host")
    return uvicorn.Server(
        uvicorn.Config(application.app(), host=host, port=port, log_level="warning", server_header=False)
    )


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches what listens there."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def datasette_over(home: Path, host: str = "127.0.0.1") -> Datasette:
    """Datasette with our plugin over the memory in `home`.

    Raises:
        ConfigError: Datasette is not installed.
        NotFound, SchemaMismatch, StoreError: there is no memory in `home` that can be read.
    """
    with Memory.open(home, create=False, read_only=True) as memory:
        path = memory.path
    try:
        from datasette.app import Datasette
        from datasette.plugins import pm
    except ImportError as error:
        raise ConfigError("the browser view needs Datasette: pip install 'netwright[web]'") from error
    from netwright.web import plugin

    if not pm.is_registered(plugin):
        pm.register(plugin, name="netwright")
    # Where nothing can be written SQLite has no place for its shared index, see memory.connection.open_to_read.
    writable = os.access(path.parent, os.W_OK)
    return Datasette(
        files=[str(path)] if writable else [],
        immutables=[] if writable else [str(path)],
        metadata=_metadata(home, host),
        template_dir=str(FOLDER / "templates" / "datasette"),
        settings={
            "allow_download": False,
            # Each column would be counted on every load, of views that sum up all trainings.
            "suggest_facets": False,
            "default_page_size": PAGE_ROWS,
            "max_returned_rows": ROWS_RETURNED,
            "sql_time_limit_ms": SQL_MILLISECONDS,
        },
    )


def _metadata(home: Path, host: str) -> dict[str, Any]:
    return {
        "title": "netwright",
        "databases": {
            "memory": {
                "description": "All that netwright tried. Tables and views are described in docs/memory.md.",
                "queries": QUERIES,
                "tables": {"meta": {"hidden": True}, "leaderboard": {"size": PAGE_ROWS}},
            }
        },
        "plugins": {"netwright": {"home": str(home.absolute()), "only_this_machine": is_loopback(host)}},
    }


def _is_free(host: str, port: int) -> bool:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError:
        return False
    return True

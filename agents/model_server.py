"""`transformers serve` for one model, on loopback, as long as somebody asks it.

    netwright ── pipe ──▶ keeper ── starts, kills ──▶ transformers serve
        └──────────────── HTTP, a free port ───────────────────┘

It is started by the first question, and again by the next one where it has died or was parked.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import httpx2

from netwright.agents.faults import EndpointError, Fault
from netwright.agents.keeper import KILLED
from netwright.agents.local_model import hub_silence, server_environment
from netwright.errors import StoreError

logger = logging.getLogger(__name__)

SERVE = (sys.executable, "-P", "-m", "transformers.cli.transformers", "serve")
END_SECONDS = 30.0
_LOOK_SECONDS = 0.25
_LOG_LIMIT_BYTES = 1 << 20
_TAIL_BYTES = 8192
_LAST_LINES = 6


class ModelServer:
    """A server of our own for one model. Use it in one event loop, and `aclose` it there.

    Args:
        model: a folder, or a name on the Hub; what requests name it by.
        device: what it computes on: cpu, cuda, cuda:N, auto.
        options: more arguments of `transformers serve`; they win over ours.
        log: the file that gets what it writes, after what is there.
        environment: of it the server gets what it needs.
        start_seconds: how long it may take until it answers, downloads included.
        tell: is told how the start goes along, and "" when it is over.
        serve: the command that is given model and arguments.
    """

    def __init__(
        self,
        model: str,
        *,
        device: str,
        log: Path,
        environment: Mapping[str, str],
        options: Sequence[str] = (),
        start_seconds: float = 1800.0,
        tell: Callable[[str], None] = lambda _: None,
        serve: Sequence[str] = SERVE,
    ) -> None:
        self.model = model
        self.log = log
        self._place = _hold_port()
        self._environment = server_environment(model, environment)
        self._start_seconds = start_seconds
        self._tell = tell
        host, port = self._place.getsockname()
        self._address = f"http://{host}:{port}"
        self._command = (*serve, model, "--host", host, "--port", str(port), "--device", device, *options)
        self._keeper: subprocess.Popen[bytes] | None = None
        self._starting = asyncio.Lock()
        self._log_begin = 0

    @property
    def url(self) -> str:
        """The API root."""
        return f"{self._address}/v1"

    @property
    def running(self) -> bool:
        return self._keeper is not None and self._keeper.poll() is None

    async def up(self) -> None:
        """See to it that the server answers; it takes as long as loading the model does where it has to be started.

        Raises:
            EndpointError: it ended, or did not answer in time; the message has the end of its log.
            StoreError: its log cannot be written.
        """
        async with self._starting:
            if self.running:
                return
            await self.down()
            try:
                await self._look_for_the_hub()
                self._launch()
                await self._answer()
                # All of it is in the cache now, whatever becomes of the hub.
                self._environment.setdefault("HF_HUB_OFFLINE", "1")
            except BaseException:
                await self.down()
                raise
            finally:
                self._tell("")

    async def down(self) -> None:
        """End the server with all its processes, which frees what memory it has; the next `up` starts it again."""
        keeper, self._keeper = self._keeper, None
        if keeper is None:
            return
        assert keeper.stdin is not None
        keeper.stdin.close()
        try:
            await asyncio.to_thread(keeper.wait, END_SECONDS)
        except subprocess.TimeoutExpired:
            keeper.kill()
            keeper.wait()
        logger.info("model server ended model=%s", self.model)

    async def aclose(self) -> None:
        await self.down()
        self._place.close()

    async def _look_for_the_hub(self) -> None:
        """Where it is silent the cache has to do: the server would ask it for minutes for each file."""
        if "HF_HUB_OFFLINE" in self._environment:
            return
        why = await asyncio.to_thread(hub_silence)
        if why:
            logger.warning("the hub is silent (%s): %s is taken from the cache", why, self.model)
            self._environment["HF_HUB_OFFLINE"] = "1"

    def _launch(self) -> None:
        logger.info("model server starts model=%s url=%s log=%s", self.model, self.url, self.log)
        try:
            self.log.parent.mkdir(parents=True, exist_ok=True)
            too_long = self.log.exists() and self.log.stat().st_size > _LOG_LIMIT_BYTES
            with self.log.open("wb" if too_long else "ab") as log:
                log.write(f"--- {' '.join(self._command)}\n".encode())
                log.flush()
                self._log_begin = log.tell()
                self._keeper = subprocess.Popen(
                    [sys.executable, "-P", "-m", "netwright.agents.keeper", *self._command],
                    env=self._environment,
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,  # the Ctrl-C of a terminal is for us
                )
        except OSError as error:
            raise StoreError(
                f"cannot write {self.log}: {error.strerror}; choose another place with --home DIR"
            ) from None

    async def _answer(self) -> None:
        """Wait until the server is healthy. Raises: EndpointError."""
        began = time.monotonic()
        async with httpx2.AsyncClient(trust_env=False, timeout=10.0) as client:
            while not await self._is_healthy(client):
                seconds = time.monotonic() - began
                if not self.running:
                    raise self._error(self._how_it_ended())
                if seconds > self._start_seconds:
                    raise self._error(
                        f"did not answer within {self._start_seconds:g} s (raise start_timeout if it was on its way)"
                    )
                self._tell(f"loading {self.model}, {seconds:.0f} s so far{self._said_last()}")
                await asyncio.sleep(_LOOK_SECONDS)
        logger.info("model server answers model=%s seconds=%.1f", self.model, time.monotonic() - began)

    async def _is_healthy(self, client: httpx2.AsyncClient) -> bool:
        try:
            reply = await client.get(f"{self._address}/health", headers={"Connection": "close"})
        except httpx2.HTTPError:
            return False
        return reply.is_success

    def _how_it_ended(self) -> str:
        code = self._keeper.poll() if self._keeper else None
        if code == KILLED + 9:
            return "was killed, which is what happens where memory is short"
        return f"ended with exit code {code}"

    def _error(self, what: str) -> EndpointError:
        return EndpointError(
            f"`transformers serve` for {self.model} {what}; the end of its log {self.log}:\n"
            f"{self._last_lines(_LAST_LINES) or '(nothing)'}",
            fault=Fault.UNREACHABLE,
        )

    def _said_last(self) -> str:
        last = self._last_lines(1)
        return f": {last[:100]}" if last else ""

    def _last_lines(self, count: int) -> str:
        """The end of what this start has written; of a progress bar only where it stands."""
        try:
            with self.log.open("rb") as log:
                log.seek(max(self._log_begin, log.seek(0, os.SEEK_END) - _TAIL_BYTES))
                text = log.read().decode(errors="replace")
        except OSError as error:
            return f"(it cannot be read: {error.strerror})"
        lines = [line.rpartition("\r")[2].strip() for line in _plain(text).replace("\r\n", "\n").split("\n")]
        return "\n".join([line for line in lines if line][-count:])


def _plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


def _hold_port() -> socket.socket:
    """Take a free port of loopback that nobody else is given and a server may still listen at: we never do."""
    place = socket.socket()
    place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    place.bind(("127.0.0.1", 0))
    return place

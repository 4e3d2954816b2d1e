"""Frames of JSON between the trusted side, the zygote and the children; sealed memory for everything large.

A frame is a big-endian u32 length and that many bytes of UTF-8 JSON (one object). Descriptors travel with the
first byte of a frame by SCM_RIGHTS. Nothing is ever pickled.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import mmap
import os
import socket
import struct
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # pydantic is slow to import and of no use in the zygote
    from netwright.types import JsonDict

CONTROL_FRAME_BYTES = 4 << 20
MAX_DESCRIPTORS = 64
_WORTH_HUGE_PAGES = 4 << 20
_HEADER = struct.Struct(">I")


class FrameTooLarge(ValueError):
    """The other side announced more bytes than it may send."""


class BrokenFrame(ValueError):
    """The bytes of a frame are not one JSON object in UTF-8."""


def encode(message: JsonDict) -> bytes:
    body = json.dumps(message, separators=(",", ":")).encode()
    return _HEADER.pack(len(body)) + body


def decode(body: bytes) -> JsonDict:
    """Parse untrusted bytes into an object whose text is valid Unicode. Raises BrokenFrame."""
    try:
        message = json.loads(body.decode())
        json.dumps(message, ensure_ascii=False).encode()  # lone surrogates would break whoever stores the text
    except (ValueError, RecursionError) as error:
        raise BrokenFrame(f"expected a frame of JSON, got {body[:40]!r}: {type(error).__name__}") from error
    if not isinstance(message, dict):
        raise BrokenFrame(f"expected a JSON object, got {type(message).__name__}")
    return message


def send_frame(sock: socket.socket, message: JsonDict, descriptors: Sequence[int] = ()) -> int:
    """Send one frame, blocking; return its size in bytes. Raises OSError when the other side is gone."""
    frame = encode({**message, "descriptors": len(descriptors)})
    sent = socket.send_fds(sock, [frame], descriptors) if descriptors else 0
    if sent < len(frame):  # sending nothing would fail if the other side has read all and is gone by now
        sock.sendall(memoryview(frame)[sent:])
    return len(frame)


class FrameReader:
    """Reassembles frames of at most `limit` bytes from chunks as they arrive."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._pending = bytearray()

    def feed(self, chunk: bytes) -> list[bytes]:
        """Add what arrived; return the bodies that are complete. Raises FrameTooLarge."""
        self._pending += chunk
        bodies, at = [], 0
        while len(self._pending) >= at + _HEADER.size:
            (size,) = _HEADER.unpack_from(self._pending, at)
            if size > self.limit:
                raise FrameTooLarge(f"a frame of {size} bytes, at most {self.limit} are allowed")
            end = at + _HEADER.size + size
            if len(self._pending) < end:
                break
            bodies.append(bytes(self._pending[at + _HEADER.size : end]))
            at = end
        del self._pending[:at]
        return bodies


class Channel:
    """Blocking frames with descriptors, between processes that trust each other's framing."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._reader = FrameReader(CONTROL_FRAME_BYTES)
        self._bodies: list[bytes] = []
        self._descriptors: list[int] = []

    def receive(self) -> tuple[JsonDict, list[int]] | None:
        """Wait for a frame and the descriptors that came with it; None at the end. Raises ValueError."""
        while not self._bodies:
            chunk, descriptors, _, _ = socket.recv_fds(self.sock, 1 << 16, MAX_DESCRIPTORS, socket.MSG_CMSG_CLOEXEC)
            if not chunk:
                return None
            self._descriptors += descriptors
            self._bodies += self._reader.feed(chunk)
        message = decode(self._bodies.pop(0))
        wanted = int(message.get("descriptors", 0))
        taken, self._descriptors = self._descriptors[:wanted], self._descriptors[wanted:]
        return message, taken

    @property
    def has_more(self) -> bool:
        """Whether `receive` would return without reading."""
        return bool(self._bodies)


def _seal(descriptor: int, *, also: int = 0) -> None:
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL | also)


def sealed_input(data: bytes | memoryview) -> int:
    """Make a memfd that holds `data` and can never again be written, grown or shrunk."""
    descriptor = os.memfd_create("input", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
    _seal(descriptor, also=fcntl.F_SEAL_WRITE)
    return descriptor


def sealed_output(size: int) -> int:
    """Make a memfd of `size` zero bytes that can be written but never grown or shrunk."""
    descriptor = os.memfd_create("output", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(descriptor, size)
    _seal(descriptor)
    return descriptor


def copy_out(descriptor: int, size: int) -> memoryview:
    """Copy the contents into memory of the trusted side: later writes by others cannot reach them."""
    if size == 0:
        return memoryview(b"")
    room = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if size >= _WORTH_HUGE_PAGES:  # three times as fast for 64 MB of logits: the time goes into page faults
        with contextlib.suppress(OSError):  # a kernel without them
            room.madvise(mmap.MADV_HUGEPAGE)
    copy, done = memoryview(room), 0
    while done < size:
        done += os.preadv(descriptor, [copy[done:]], done)
    return copy.toreadonly()

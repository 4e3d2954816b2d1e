"""Reconnects the socket that it inherited, and resolves a name.

Check: imports
Trial: done, crashed
"""

import ctypes
import os
import socket

import torch


def attack():
    libc = ctypes.CDLL(None)
    address = ctypes.create_string_buffer(b"\x02\x00\x00\x35\x08\x08\x08\x08" + b"\0" * 8)
    unix = ctypes.create_string_buffer(b"\x01\x00/var/run/docker.sock\0")
    for call in (libc.connect, libc.bind):
        if call(3, address, 16) == 0 or call(3, unix, 24) == 0:
            raise RuntimeError("BREACH: connected")
    if libc.listen(3, 1) == 0:
        raise RuntimeError("BREACH: listens")
    try:
        socket.create_connection(("127.0.0.1", 80), timeout=0.2)
    except (OSError, LookupError):
        pass
    else:
        raise RuntimeError("BREACH: connection")
    try:
        socket.getaddrinfo("example.org", 80)
    except (OSError, LookupError):
        return
    raise RuntimeError("BREACH: resolved a name")


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.value = torch.nn.Linear(dim, dim)

    def forward(self, x):
        attack()
        return self.value(x)

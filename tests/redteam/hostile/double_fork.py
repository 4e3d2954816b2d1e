"""Forks twice and leaves the session, as a daemon does: fork, vfork, clone, posix_spawn.

Check: imports
Trial: done, crashed
"""

import ctypes
import os

import torch


def attack():
    libc = ctypes.CDLL(None)
    tries = (
        os.fork,
        os.forkpty,
        lambda: os.posix_spawn("/bin/true", ["true"], {}),
        lambda: libc.syscall(56, 17, 0, 0, 0, 0) if os.uname().machine == "x86_64" else -1,
        lambda: libc.syscall(435, ctypes.create_string_buffer(88), 88),
        os.setsid,
        os.setpgrp,
    )
    for start in tries:
        try:
            pid = start()
        except OSError:
            continue
        if pid == 0:
            os._exit(0)
        if pid is None or isinstance(pid, tuple) or pid > 0:
            raise RuntimeError("BREACH: another process or session")


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.value = torch.nn.Linear(dim, dim)

    def forward(self, x):
        attack()
        return self.value(x)

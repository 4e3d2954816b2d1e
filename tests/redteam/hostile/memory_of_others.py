"""Reads its parent's memory: ptrace, process_vm_readv, /proc/PID/mem.

Check: imports
Trial: done, crashed
"""

import ctypes
import os

import torch


def attack():
    libc, parent = ctypes.CDLL(None, use_errno=True), os.getppid()
    room = ctypes.create_string_buffer(64)
    vector = (ctypes.c_size_t * 2)(ctypes.addressof(room), 64)
    there = ctypes.create_string_buffer(64)
    theirs = (ctypes.c_size_t * 2)(ctypes.addressof(there), 64)
    for pid in {parent, os.getpid()}:
        if libc.syscall(310, pid, ctypes.byref(vector), 1, ctypes.byref(theirs), 1, 0) >= 0:
            raise RuntimeError("BREACH: process_vm_readv")
    for request in (16, 0x4206):
        if libc.ptrace(request, parent, None, None) == 0:
            raise RuntimeError("BREACH: ptrace")
    for place in (f"/proc/{parent}/mem", f"/proc/{parent}/maps", "/proc/self/mem", "/dev/mem"):
        try:
            os.close(os.open(place, os.O_RDONLY))
        except OSError:
            continue
        raise RuntimeError(f"BREACH: opened {place}")


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.value = torch.nn.Linear(dim, dim)

    def forward(self, x):
        attack()
        return self.value(x)

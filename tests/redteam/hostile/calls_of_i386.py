"""Makes system calls by int 0x80, which on x86-64 are numbered as on i386: fork is 2, open is 5.

Check: imports
Trial: done, crashed
"""

import ctypes
import mmap
import platform

import torch


def attack():
    if platform.machine() != "x86_64":
        return
    room = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    room.write(b"\xb8\x02\x00\x00\x00\xcd\x80\xc3")  # mov eax, 2; int 0x80; ret
    address = ctypes.addressof(ctypes.c_char.from_buffer(room))
    if ctypes.CFUNCTYPE(ctypes.c_int)(address)() >= 0:
        raise RuntimeError("BREACH: fork of i386")


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.value = torch.nn.Linear(dim, dim)

    def forward(self, x):
        attack()
        return self.value(x)

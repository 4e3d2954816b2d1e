"""One small finished campaign that the read-only commands look at."""

from __future__ import annotations

import ctypes
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from netwright.campaign.running import run_campaign
from netwright.config_file import load_config

SMALL = """
name = "small"
task = "recall"
rung_tokens = [2048, 4096]
baselines = ["softmax_attention", "linear_attention", "gated_convolution"]
[budget]
trials = 4
minutes = 30
[audit]
final_sheets = 1
"""
HONEST = '''"""Scales every token by itself."""
from torch import nn


class Mixer(nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.value = nn.Linear(dim, dim)

    def forward(self, x):
        return self.value(x) * x
'''


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finished")
    (folder / "small.toml").write_text(SMALL)
    row, board = run_campaign(folder / "home", load_config(folder / "small.toml", {}))
    assert row.status == "finished" and board.trained >= 4
    return folder / "home"


@pytest.fixture
def honest_file(tmp_path: Path) -> Path:
    """A candidate that passes every gate."""
    path = tmp_path / "honest.py"
    path.write_text(HONEST)
    return path


PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
LANDLOCK_CREATE_RULESET = 444
ENOSYS, ALLOW = 0x50026, 0x7FFF0000
LOAD, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06


def _forget_landlock() -> None:
    """From here on landlock_create_ruleset answers as a kernel does that was built without it."""
    steps = [
        (LOAD, 0, 0, 0),
        (JUMP_IF_EQUAL, 0, 1, LANDLOCK_CREATE_RULESET),
        (RETURN, 0, 0, ENOSYS),
        (RETURN, 0, 0, ALLOW),
    ]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
    program = struct.pack("HP", len(steps), ctypes.addressof(code))
    libc = ctypes.CDLL(None, use_errno=True)
    for arguments in ((PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), (PR_SET_SECCOMP, SECCOMP_MODE_FILTER, program, 0, 0)):
        if libc.prctl(*arguments) != 0:
            raise OSError(ctypes.get_errno(), "prctl")


@pytest.fixture
def without_landlock() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the command line where the kernel knows no Landlock."""

    def call(*arguments: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "netwright", *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
            preexec_fn=_forget_landlock,
        )

    return call

"""Landlock: which files a process may still open, for good and without privilege.

Source: Documentation/userspace-api/landlock.rst of Linux. ABI 1 covers the file system, 2 adds moves, 3
truncation, 4 TCP, 5 device ioctls, 6 signals and abstract Unix sockets to processes outside.
"""

from __future__ import annotations

import ctypes
import os
import stat
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from netwright.sandbox import kernel

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION_FLAG = 1
_RULE_PATH_BENEATH = 1

WRITE_FILE, READ_FILE, READ_DIR, TRUNCATE, IOCTL_DEV = 1 << 1, 1 << 2, 1 << 3, 1 << 14, 1 << 15
REMOVE_DIR, REMOVE_FILE, MAKE_DIR, MAKE_FILE = 1 << 4, 1 << 5, 1 << 7, 1 << 8
_ON_FILES = WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV | 1
_ALL_RIGHTS_BY_ABI = {
    1: (1 << 13) - 1,
    2: (1 << 14) - 1,
    3: (1 << 15) - 1,
    4: (1 << 15) - 1,
    5: (1 << 16) - 1,
}
_BIND_AND_CONNECT_TCP = 3
_SCOPE_ABSTRACT_UNIX_AND_SIGNALS = 3

READ = READ_FILE | READ_DIR
READ_WRITE = READ | WRITE_FILE
DRIVE = READ_WRITE | IOCTL_DEV
WORKSPACE = READ_WRITE | TRUNCATE | REMOVE_DIR | REMOVE_FILE | MAKE_DIR | MAKE_FILE


@dataclass(frozen=True)
class Rule:
    """Everything beneath `path` (or the file itself) may be opened with `rights`."""

    path: str
    rights: int


def abi() -> int:
    """Return the kernel's Landlock version. Raises OSError where it is absent or disabled."""
    return kernel.syscall("landlock_create_ruleset", _CREATE_RULESET, 0, 0, _VERSION_FLAG)


def _ruleset(version: int) -> int:
    attributes = struct.pack("=Q", _ALL_RIGHTS_BY_ABI[min(version, 5)])
    if version >= 4:
        attributes += struct.pack("=Q", _BIND_AND_CONNECT_TCP)
    if version >= 6:
        attributes += struct.pack("=Q", _SCOPE_ABSTRACT_UNIX_AND_SIGNALS)
    return kernel.syscall("landlock_create_ruleset", _CREATE_RULESET, ctypes.c_char_p(attributes), len(attributes), 0)


def _add(ruleset: int, rule: Rule, handled: int) -> None:
    try:
        target = os.open(rule.path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return  # absent on this machine: nothing to allow
    try:
        rights = rule.rights & handled
        if not stat.S_ISDIR(os.fstat(target).st_mode):
            rights &= _ON_FILES
        beneath = struct.pack("=Qi", rights, target)
        kernel.syscall(
            f"landlock_add_rule {rule.path}",
            _ADD_RULE,
            ruleset,
            _RULE_PATH_BENEATH,
            ctypes.c_char_p(beneath),
            0,
        )
    finally:
        os.close(target)


def restrict(rules: Iterable[Rule]) -> str:
    """Confine the calling, single-threaded process to `rules`; NO_NEW_PRIVS must be set. Raises OSError."""
    version = abi()
    ruleset = _ruleset(version)
    try:
        for rule in rules:
            _add(ruleset, rule, _ALL_RIGHTS_BY_ABI[min(version, 5)])
        kernel.syscall("landlock_restrict_self", _RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)
    return f"ABI {version}"


def topmost(paths: Iterable[str]) -> tuple[str, ...]:
    """Resolve links; drop `/`, what does not exist, and what lies beneath another of the paths."""
    real = {Path(os.path.realpath(path)) for path in paths if path and os.path.exists(path)} - {Path("/")}
    return tuple(sorted(str(path) for path in real if not any(parent in real for parent in path.parents)))

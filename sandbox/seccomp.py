"""A seccomp-BPF filter out of the policy's data, for x86-64 and aarch64.

The program checks the architecture (else the process is killed: no i386 or x32 calls), then the number, then
arguments, and refuses what is left. Source: seccomp(2), linux/filter.h.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import os
import struct
from collections.abc import Mapping, Sequence

from netwright.sandbox import kernel, policy, syscalls

_LOAD_WORD, _RETURN = 0x20, 0x06
_JUMP_EQUAL, _JUMP_GREATER_EQUAL, _JUMP_ANY_BIT = 0x15, 0x35, 0x45
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16
_ALLOW, _KILL_PROCESS, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_MODE_FILTER = 2
_X32_BIT = 0x40000000

ARCHITECTURES: Mapping[str, tuple[int, Mapping[str, int]]] = {
    "x86_64": (0xC000003E, syscalls.X86_64),
    "aarch64": (0xC00000B7, syscalls.AARCH64),
}


class SockFprog(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_char_p)]


def _op(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)


def _refuse(error: int) -> bytes:
    return _op(_RETURN, _ERRNO | error)


def _head(audit_arch: int) -> list[bytes]:
    return [
        _op(_LOAD_WORD, _ARCHITECTURE),
        _op(_JUMP_EQUAL, audit_arch, 1, 0),
        _op(_RETURN, _KILL_PROCESS),
        _op(_LOAD_WORD, _NUMBER),
        _op(_JUMP_GREATER_EQUAL, _X32_BIT, 0, 1),
        _op(_RETURN, _KILL_PROCESS),
        _op(_JUMP_GREATER_EQUAL, policy.FIRST_UNKNOWN, 0, 1),
        _refuse(errno.ENOSYS),
    ]


def _rule(rule: policy.ArgumentRule, number: int, pid: int) -> list[bytes]:
    """One block: skipped for other calls, else it ends in allow or EPERM."""
    matches = [_op(_JUMP_ANY_BIT, rule.bit, 0, 1)] if rule.bit else []
    matches += [_op(_JUMP_GREATER_EQUAL, rule.below, 1, 0)] if rule.below else []
    values = (*rule.values, pid) if rule.own_pid else rule.values
    matches += [_op(_JUMP_EQUAL, value, 0, 1) for value in values]
    on_match, otherwise = _op(_RETURN, _ALLOW), _refuse(policy.REFUSAL)
    if rule.never:
        on_match, otherwise = otherwise, on_match
    body = [_op(_LOAD_WORD, _ARGUMENTS + 8 * rule.argument)]
    for match in matches:
        body += [match, on_match]
    body.append(otherwise)
    return [_op(_JUMP_EQUAL, number, 0, len(body)), *body]


def _answer(number: int, verdict: bytes) -> list[bytes]:
    return [_op(_JUMP_EQUAL, number, 0, 1), verdict]


@functools.cache
def _constant_part(machine: str, opens_files: bool, makes_files: bool, device: str) -> tuple[bytes, ...]:
    audit_arch, numbers = ARCHITECTURES[machine]
    program = _head(audit_arch)
    for group in policy.allowed_groups(opens_files=opens_files, makes_files=makes_files, device=device):
        for call in group.calls:
            if call in numbers:  # aarch64 never had open, stat, poll and the like
                program += _answer(numbers[call], _op(_RETURN, _ALLOW))
    for call in policy.HIDDEN_ARGUMENTS:
        program += _answer(numbers[call], _refuse(errno.ENOSYS))
    return tuple(program)


def program(*, machine: str, pid: int, opens_files: bool, makes_files: bool = False, device: str) -> Sequence[bytes]:
    """Assemble the filter as a list of 8-byte BPF instructions, for the process `pid` on `machine`."""
    _, numbers = ARCHITECTURES[machine]
    instructions = list(_constant_part(machine, opens_files, makes_files, device))
    for rule in policy.argument_rules(device):
        instructions += _rule(rule, numbers[rule.call], pid)
    return [*instructions, _refuse(policy.REFUSAL)]


def install(*, opens_files: bool, makes_files: bool = False, device: str) -> str:
    """Put the calling, single-threaded process under the filter; NO_NEW_PRIVS must be set. Raises OSError."""
    if kernel.MACHINE not in ARCHITECTURES:
        raise OSError(errno.ENOSYS, f"no system call table for {kernel.MACHINE}, only {', '.join(ARCHITECTURES)}")
    instructions = program(
        machine=kernel.MACHINE, pid=os.getpid(), opens_files=opens_files, makes_files=makes_files, device=device
    )
    fprog = SockFprog(len(instructions), b"".join(instructions))
    kernel.prctl(kernel.PR_SET_SECCOMP, _MODE_FILTER, ctypes.byref(fprog))
    return f"{len(instructions)} instructions"

"""The few Linux calls that Python's os module lacks, by ctypes."""

from __future__ import annotations

import ctypes
import os
import platform

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long

PR_SET_PDEATHSIG = 1
PR_SET_SECCOMP = 22
PR_CAPBSET_DROP = 24
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_CLEAR_ALL = 4

MADV_COLLAPSE = 25
CLONE_NEWUTS = 0x0400_0000
CLONE_NEWIPC = 0x0800_0000
CLONE_NEWUSER = 0x1000_0000
CLONE_NEWNET = 0x4000_0000

_CAPSET = {"x86_64": 126, "aarch64": 91}
_LINUX_CAPABILITY_VERSION_3 = 0x20080522
_LAST_KNOWN_CAPABILITY = 40

MACHINE = platform.machine()


class CapabilityHeader(ctypes.Structure):
    _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]


class CapabilitySets(ctypes.Structure):
    _fields_ = [("words", ctypes.c_uint32 * 6)]


def _checked(result: int, what: str) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")
    return result


def advise(address: int, size: int, advice: int) -> None:
    """Call madvise on this process's own memory. Raises OSError."""
    _checked(int(_libc.madvise(ctypes.c_void_p(address), ctypes.c_size_t(size), ctypes.c_int(advice))), "madvise")


def prctl(option: int, value: int = 0, pointer: object = 0) -> int:
    """Set or get one attribute of this process. Raises OSError."""
    last = pointer if pointer else ctypes.c_ulong(0)
    zero = ctypes.c_ulong(0)
    return _checked(_libc.prctl(option, ctypes.c_ulong(value), last, zero, zero), f"prctl({option})")


def syscall(what: str, number: int, *arguments: object) -> int:
    """Call a system call by number; ints are passed as longs. Raises OSError that names `what`."""
    words = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    return _checked(int(_libc.syscall(ctypes.c_long(number), *words)), what)


def unshare(flags: int) -> None:
    """Give the calling, single-threaded process namespaces of its own (CLONE_NEW*). Raises OSError."""
    _checked(int(_libc.unshare(ctypes.c_int(flags))), "unshare")


def drop_bounding_set() -> None:
    """Let no later exec regain a capability; the ones held stay."""
    for capability in range(_LAST_KNOWN_CAPABILITY + 1):
        try:
            prctl(PR_CAPBSET_DROP, capability)
        except OSError:
            break  # EPERM without CAP_SETPCAP (nothing to lose then), EINVAL past the kernel's last


def drop_capabilities() -> None:
    """Give up every capability for good, also those that root would keep. Raises OSError."""
    drop_bounding_set()
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)
    header, empty = CapabilityHeader(_LINUX_CAPABILITY_VERSION_3, 0), CapabilitySets()
    syscall("capset", _CAPSET[MACHINE], ctypes.byref(header), ctypes.byref(empty))

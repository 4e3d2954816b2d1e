"""What confined code may ask of the kernel, as data: groups of system calls, each with its reason.

An allowlist: what is not named here is answered EPERM, and a number that no kernel had when this was written ENOSYS,
so that libraries fall back on what they know. `seccomp.py` turns this into BPF.

On CPU the list was recorded: all baselines, the honest candidates of the red-team suite and designs of the grammar,
examined, trained and scored, needed `RECORDED` and nothing else. The rest is what CPython, glibc and OpenMP do when
they start a thread, wait, or die, none of which reaches beyond the process. For CUDA the list follows what others
have published of the driver's calls, and has not been tried on a GPU.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass

FIRST_UNKNOWN = 470
HIDDEN_ARGUMENTS = ("clone3",)
"""Their arguments lie in memory, where no filter can see them: ENOSYS lets glibc fall back to the older call."""
REFUSAL = errno.EPERM


@dataclass(frozen=True)
class Group:
    """System calls that pass, and why."""

    reason: str
    calls: tuple[str, ...]


@dataclass(frozen=True)
class ArgumentRule:
    """Allow `call` only for some values of argument number `argument` (its low 32 bits), else EPERM.

    With `own_pid` the caller's process id is one more allowed value. With `bit`, a value passes if it has that bit
    set; with `below`, if it is smaller (unsigned: negative numbers are large). `never` turns the rule round: the
    `values` are refused and all else passes.
    """

    call: str
    argument: int
    reason: str
    values: tuple[int, ...] = ()
    own_pid: bool = False
    bit: int = 0
    below: int = 0
    never: bool = False


RECORDED = Group(
    "recorded from honest candidates: memory, the job's socket, output, clocks, locks, the end",
    (
        *("mmap", "munmap", "mprotect", "brk", "close", "futex"),
        *("sendto", "recvmsg", "write", "getpid", "exit_group"),
    ),
)
"""Of the calls recorded, `clock_gettime`, `fcntl` and `prlimit64` have rules of their own, and `newfstatat` is not
needed: mmap asks for the size of what it maps and does without the answer."""

ALLOWED = (
    RECORDED,
    Group("the allocator's other ways of growing and giving back", ("mremap",)),
    Group(
        "reading and writing what was open before: the output pipe, the job's socket",
        ("read", "writev", "poll", "ppoll", "fstat", "lseek"),
    ),
    Group("time and sleep", ("nanosleep", "gettimeofday", "time", "times")),
    Group(
        "threads of its own: `clone` is a rule below",
        ("set_robust_list", "rseq", "exit", "gettid", "sched_yield", "getcpu"),
    ),
    Group(
        "its own signals, for abort() and fault handlers",
        ("rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigaltstack", "restart_syscall"),
    ),
    Group(
        "who it is and what it has used; random numbers",
        ("getppid", "getuid", "geteuid", "getgid", "getegid", "getrusage", "uname", "getrandom"),
    ),
)

FILES = Group(
    "the CUDA driver opens its devices, libraries and caches while it works, and a clean process its libraries; "
    "Landlock decides which",
    (
        *("open", "openat", "access", "faccessat", "faccessat2", "stat", "lstat", "newfstatat", "statx", "statfs"),
        *("fstatfs", "readlink", "readlinkat", "getdents64", "getcwd", "pread64", "fadvise64", "flock"),
    ),
)
WORKSPACE = Group(
    "a clean process keeps files in a folder of its own (sandbox/clean.py); Landlock decides which",
    (
        *("mkdir", "mkdirat", "rmdir", "unlink", "unlinkat", "rename", "renameat", "renameat2", "ftruncate"),
        *("fsync", "fdatasync", "dup", "dup2", "dup3", "umask", "sysinfo"),
    ),
)
DRIVER = Group(
    "the CUDA driver's own plumbing",
    (
        *("connect", "getsockname", "getpeername", "setsockopt", "getsockopt", "shutdown", "sendmsg", "recvfrom"),
        *("memfd_create", "ftruncate", "fallocate", "eventfd2", "pipe2", "epoll_create1", "epoll_ctl"),
        *("epoll_wait", "epoll_pwait", "select", "pselect6", "dup", "dup2", "dup3", "mlock", "mlock2", "munlock"),
        *("mincore", "membarrier", "mbind", "get_mempolicy", "set_mempolicy", "sched_getparam"),
        *("sched_getscheduler", "sched_get_priority_max", "sched_get_priority_min", "get_robust_list"),
    ),
)

_CLONE_THREAD = 0x10000
_F_DUPFD, _F_GETFD, _F_SETFD, _F_GETFL, _F_SETFL, _F_DUPFD_CLOEXEC, _F_GET_SEALS = 0, 1, 2, 3, 4, 1030, 1034
_FIOSETOWN, _SIOCSPGRP, _FIOASYNC = 0x8901, 0x8902, 0x5452
_TIOCSTI, _TIOCLINUX, _TIOCSCTTY = 0x5412, 0x541C, 0x540E
_TCGETS, _TIOCGWINSZ, _FIONREAD, _FIONBIO, _FIONCLEX, _FIOCLEX = 0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451
_PR_SET_NAME, _PR_GET_NAME = 15, 16
_CLOCKS = 12
_OWN_ADVICE = (0, 1, 2, 3, 4, 8, 14, 15)
"""MADV_NORMAL to MADV_DONTNEED, MADV_FREE, MADV_HUGEPAGE, MADV_NOHUGEPAGE."""

ARGUMENT_RULES = (
    ArgumentRule("clone", 0, "threads only, no process", bit=_CLONE_THREAD),
    ArgumentRule("tgkill", 0, "signals to itself only", own_pid=True),
    *(
        ArgumentRule(call, 0, "no clock of another process, which negative numbers name", below=_CLOCKS)
        for call in ("clock_gettime", "clock_getres", "clock_nanosleep")
    ),
    ArgumentRule("sched_getaffinity", 0, "its own cores, and nothing of who else is there", values=(0,), own_pid=True),
    ArgumentRule("madvise", 2, "its own memory only, and nothing that stays in the page cache", values=_OWN_ADVICE),
    ArgumentRule("prlimit64", 0, "its own limits only, which can only fall", values=(0,), own_pid=True),
    ArgumentRule(
        "fcntl",
        1,
        "no F_SETOWN and F_SETSIG, which make the kernel signal the parent",
        values=(_F_DUPFD, _F_GETFD, _F_SETFD, _F_GETFL, _F_SETFL, _F_DUPFD_CLOEXEC, _F_GET_SEALS),
    ),
    ArgumentRule("prctl", 0, "the names of its threads", values=(_PR_SET_NAME, _PR_GET_NAME)),
)

IOCTL_CPU = ArgumentRule(
    "ioctl",
    1,
    "asking whether a descriptor is a terminal, and nothing of drivers",
    values=(_TCGETS, _TIOCGWINSZ, _FIONREAD, _FIONBIO, _FIONCLEX, _FIOCLEX),
)
CUDA_RULES = (
    ArgumentRule(
        "ioctl",
        1,
        "the driver's own commands pass; FIOSETOWN makes the kernel signal the parent",
        values=(_FIOSETOWN, _SIOCSPGRP, _FIOASYNC, _TIOCSTI, _TIOCLINUX, _TIOCSCTTY),
        never=True,
    ),
    ArgumentRule("socket", 0, "the CUDA driver talks AF_UNIX to MPS", values=(1,)),
    ArgumentRule("sched_setaffinity", 0, "the driver pins its own threads", values=(0,), own_pid=True),
)


def allowed_groups(*, opens_files: bool, makes_files: bool = False, device: str) -> tuple[Group, ...]:
    """Choose the groups for a tier and device; `opens_files` as `isolation.opens_files` says."""
    groups = (*ALLOWED, DRIVER) if device == "cuda" else ALLOWED
    return (*groups, *([FILES] if opens_files else []), *([WORKSPACE] if makes_files else []))


def argument_rules(device: str) -> tuple[ArgumentRule, ...]:
    """Choose the rules on arguments for one device."""
    return (*ARGUMENT_RULES, *(CUDA_RULES if device == "cuda" else (IOCTL_CPU,)))

"""What confined code may not ask of the kernel, as data: groups of system calls, each with its reason.

A denylist: what is not named here passes, except that every system call numbered `FIRST_UNKNOWN` or above is
answered ENOSYS, so that a newer kernel does not widen the policy. `seccomp.py` turns this into BPF.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass

FIRST_UNKNOWN = 470


@dataclass(frozen=True)
class Group:
    """System calls refused with `error`, and why."""

    reason: str
    calls: tuple[str, ...]
    error: int = errno.EPERM


@dataclass(frozen=True)
class ArgumentRule:
    """Allow `call` only for some values of argument number `argument` (its low 32 bits), else EPERM.

    With `own_pid` the caller's process id is one more allowed value. With `bit`, a value passes if it has
    that bit set. `never` turns the rule round: the `values` are refused and all else passes.
    """

    call: str
    argument: int
    reason: str
    values: tuple[int, ...] = ()
    own_pid: bool = False
    bit: int = 0
    never: bool = False


OPENS = Group(
    "no file is opened at all: everything is imported beforehand",
    ("open", "openat", "openat2", "creat"),
    errno.EACCES,
)

SOCKETS = Group("no network, no docker.sock, no netlink", ("socket", "socketpair"))

ANONYMOUS_FILES = Group(
    "memory that no RSS watchdog sees", ("memfd_create", "memfd_secret", "ftruncate", "fallocate", "truncate")
)

DENIED = (
    Group("no new process outlives the job", ("fork", "vfork", "execve", "execveat", "setsid", "setpgid")),
    Group("its flags are invisible to a filter; glibc falls back to clone", ("clone3",), errno.ENOSYS),
    Group("bypasses the filter on sockets", ("io_uring_setup", "io_uring_enter", "io_uring_register")),
    Group(
        "an inherited socket is for the job's own frames only",
        ("connect", "bind", "listen", "accept", "accept4", "setsockopt"),
    ),
    Group(
        "other processes' memory, descriptors and state",
        (
            "ptrace",
            "process_vm_readv",
            "process_vm_writev",
            "process_madvise",
            "process_mrelease",
            "kcmp",
            "pidfd_open",
            "pidfd_getfd",
            "pidfd_send_signal",
            "perf_event_open",
            "migrate_pages",
            "move_pages",
            "get_robust_list",
            "tkill",
        ),
    ),
    Group(
        "scheduling of others (own affinity is a rule below)",
        ("sched_setscheduler", "sched_setparam", "sched_setattr", "setpriority", "ioprio_set"),
    ),
    Group(
        "System V and POSIX IPC outlives the process and is shared with the machine",
        (
            *("shmget", "shmat", "shmctl", "semget", "semctl", "semop", "semtimedop"),
            *("msgget", "msgctl", "msgsnd", "msgrcv", "mq_open", "mq_unlink", "mq_notify"),
            *("mq_timedsend", "mq_timedreceive", "mq_getsetattr"),
        ),
    ),
    Group(
        "changes of names, modes, owners and times, which Landlock covers in part or not at all",
        (
            *("chmod", "fchmod", "fchmodat", "fchmodat2", "chown", "fchown", "lchown", "fchownat"),
            *(
                "utime",
                "utimes",
                "futimesat",
                "utimensat",
                "setxattr",
                "lsetxattr",
                "fsetxattr",
                "setxattrat",
            ),
            *("removexattr", "lremovexattr", "fremovexattr", "removexattrat", "file_setattr"),
            *("rename", "renameat", "renameat2", "link", "linkat", "symlink", "symlinkat"),
            *("unlink", "unlinkat", "rmdir", "mkdir", "mkdirat", "mknod", "mknodat"),
        ),
    ),
    Group("stalls the whole machine's disks", ("sync", "syncfs", "fsync", "fdatasync", "sync_file_range")),
    Group("watches files of others", ("inotify_init", "inotify_init1", "inotify_add_watch")),
    Group(
        "watches or names files of others",
        ("fanotify_init", "fanotify_mark", "name_to_handle_at", "open_by_handle_at"),
    ),
    Group("moves bytes inside the kernel: attack surface", ("splice", "tee", "vmsplice", "copy_file_range")),
    Group("old asynchronous I/O: attack surface", ("io_setup", "io_submit", "io_cancel", "io_getevents")),
    Group("rewrites or reads its own confinement", ("seccomp", "personality", "modify_ldt", "map_shadow_stack")),
    Group(
        "Landlock layers are set before the job",
        ("landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self", "lsm_set_self_attr"),
    ),
    Group(
        "identities and capabilities",
        (
            *("setuid", "setgid", "setreuid", "setregid", "setresuid", "setresgid", "setfsuid", "setfsgid"),
            *("setgroups", "capset", "keyctl", "add_key", "request_key"),
        ),
    ),
    Group(
        "namespaces and mounts",
        (
            *("unshare", "setns", "mount", "umount2", "pivot_root", "chroot", "open_tree", "open_tree_attr"),
            *(
                "move_mount",
                "mount_setattr",
                "fsopen",
                "fsconfig",
                "fsmount",
                "fspick",
                "statmount",
                "listmount",
            ),
        ),
    ),
    Group(
        "the kernel itself",
        (
            *("bpf", "userfaultfd", "init_module", "finit_module", "delete_module", "kexec_load"),
            *("kexec_file_load", "reboot", "swapon", "swapoff", "syslog", "acct", "quotactl", "quotactl_fd"),
            *("iopl", "ioperm", "vhangup", "nfsservctl", "lookup_dcookie", "uselib", "ustat", "sysfs"),
        ),
    ),
    Group(
        "the machine's clock and name",
        ("settimeofday", "clock_settime", "clock_adjtime", "adjtimex", "sethostname", "setdomainname"),
    ),
)

_CLONE_THREAD = 0x10000
_F_SETOWN, _F_SETSIG, _F_SETOWN_EX, _F_SETLEASE, _F_NOTIFY = 8, 10, 15, 0x400, 0x402
_FIOSETOWN, _SIOCSPGRP, _FIOASYNC, _TIOCSTI, _TIOCLINUX, _TIOCSCTTY = (
    0x8901,
    0x8902,
    0x5452,
    0x5412,
    0x541C,
    0x540E,
)
_TCGETS, _TIOCGWINSZ, _FIONREAD, _FIONBIO, _FIONCLEX, _FIOCLEX = (
    0x5401,
    0x5413,
    0x541B,
    0x5421,
    0x5450,
    0x5451,
)
_PR_GET_PDEATHSIG, _PR_GET_DUMPABLE, _PR_SET_NAME, _PR_GET_NAME = 2, 3, 15, 16
_PR_CAPBSET_READ, _PR_GET_NO_NEW_PRIVS, _PR_SET_VMA = 23, 39, 0x53564D41

ARGUMENT_RULES = (
    ArgumentRule("clone", 0, "threads only, no process", bit=_CLONE_THREAD),
    ArgumentRule("kill", 0, "signals to itself only", own_pid=True),
    ArgumentRule("tgkill", 0, "signals to itself only", own_pid=True),
    ArgumentRule("rt_sigqueueinfo", 0, "signals to itself only", own_pid=True),
    ArgumentRule("rt_tgsigqueueinfo", 0, "signals to itself only", own_pid=True),
    ArgumentRule("prlimit64", 0, "its own limits only, which can only fall", values=(0,), own_pid=True),
    ArgumentRule("sched_setaffinity", 0, "MKL and OpenMP set their own", values=(0,), own_pid=True),
    ArgumentRule(
        "fcntl",
        1,
        "F_SETOWN and F_SETSIG make the kernel signal the parent",
        values=(_F_SETOWN, _F_SETSIG, _F_SETOWN_EX, _F_SETLEASE, _F_NOTIFY),
        never=True,
    ),
    ArgumentRule(
        "prctl",
        0,
        "no clearing of the death signal, no subreaper, no ptracer",
        values=(
            *(_PR_GET_PDEATHSIG, _PR_GET_DUMPABLE, _PR_SET_NAME, _PR_GET_NAME),
            *(_PR_CAPBSET_READ, _PR_GET_NO_NEW_PRIVS, _PR_SET_VMA),
        ),
    ),
)

IOCTL_CPU = ArgumentRule(
    "ioctl",
    1,
    "asking whether a descriptor is a terminal, and nothing of drivers",
    values=(_TCGETS, _TIOCGWINSZ, _FIONREAD, _FIONBIO, _FIONCLEX, _FIOCLEX),
)
IOCTL_CUDA = ArgumentRule(
    "ioctl",
    1,
    "the driver's own commands pass; FIOSETOWN makes the kernel signal the parent",
    values=(_FIOSETOWN, _SIOCSPGRP, _FIOASYNC, _TIOCSTI, _TIOCLINUX, _TIOCSCTTY),
    never=True,
)
SOCKET_CUDA = ArgumentRule("socket", 0, "the CUDA driver talks AF_UNIX to MPS", values=(1,))


def denied_groups(*, opens_files: bool, device: str) -> tuple[Group, ...]:
    """Choose the groups for a tier and device; `opens_files` as `isolation.opens_files` says."""
    groups = DENIED if opens_files else (*DENIED, OPENS)
    return groups if device == "cuda" else (*groups, SOCKETS, ANONYMOUS_FILES)


def argument_rules(device: str) -> tuple[ArgumentRule, ...]:
    """Choose the rules on arguments for one device."""
    return (*ARGUMENT_RULES, *((IOCTL_CUDA, SOCKET_CUDA) if device == "cuda" else (IOCTL_CPU,)))

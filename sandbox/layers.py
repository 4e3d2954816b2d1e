"""The layers that confine a process: what each does to the one that calls it, for good."""

from __future__ import annotations

import errno
import os
import resource
import signal
import site
import sys
import sysconfig
from collections.abc import Iterable, Sequence

from netwright.sandbox import kernel, landlock
from netwright.sandbox.landlock import DRIVE, READ, READ_WRITE, Rule

SCRATCH_FILE_BYTES = 256 << 20
OPEN_FILES = 256
LOCKED_BYTES = 64 << 10
FIRST_OWN_UID = 0x7000_0000
"""Above every range that distributions and container engines hand out."""
_NAMESPACES = kernel.CLONE_NEWNET | kernel.CLONE_NEWIPC | kernel.CLONE_NEWUTS


def own_user() -> str:
    """Become a user that nobody else is, with networks, IPC and host name of its own, so that NPROC counts it alone.

    Root takes a user id of its own, which the kernel counts by itself; others make a user namespace. Raises OSError.
    """
    parent = os.getppid()
    kernel.drop_bounding_set()
    how = _own_uid() if os.geteuid() == 0 else _own_user_namespace()
    kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)  # a change of identity clears it
    if os.getppid() != parent:
        os._exit(1)
    return f"{how}; network, IPC and host name of its own"


def _own_uid() -> str:
    kernel.unshare(_NAMESPACES)
    own = FIRST_OWN_UID + os.getpid()
    os.setgroups([])
    os.setresgid(own, own, own)
    os.setresuid(own, own, own)
    return "a user id of its own"


def _own_user_namespace() -> str:
    try:
        kernel.unshare(kernel.CLONE_NEWUSER | _NAMESPACES)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        # What the kernel answers at the limit, 0 included: no disk is full.
        raise OSError(errno.ENOSPC, "no more user namespaces are allowed") from error
    return "a user namespace of its own"


def library_paths(extra: Iterable[str] = ()) -> tuple[str, ...]:
    """List the folders that imports need: standard library, site-packages, netwright, `extra`, system."""
    import netwright

    folders = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    folders += [f"{prefix}/lib" for prefix in (sys.prefix, sys.base_prefix) if prefix not in ("/", "/usr")]
    folders += site.getsitepackages()
    folders += [site.getusersitepackages()] if site.ENABLE_USER_SITE else []
    for home in netwright.__path__:  # an editable install links to folders beside it
        folders += [home, *(entry.path for entry in os.scandir(home) if entry.is_dir())]
    folders += ["/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/etc/ld.so.cache"]
    return landlock.topmost([*folders, *extra])


def rules(libraries: Sequence[str], device: str) -> tuple[Rule, ...]:
    """Make the Landlock rules of T2 for the calling process; `libraries` as made by `library_paths`.

    None on CPU: everything was imported before. Text that a candidate is scored on may lie in any folder, and the
    standard library is such text.
    """
    if device == "cpu":
        return ()
    own = f"/proc/{os.getpid()}"
    readable = [
        *libraries,
        own,
        "/proc/cpuinfo",
        "/proc/meminfo",
        "/sys/devices/system/cpu",
        "/sys/devices/system/node",
    ]
    allowed = [Rule(path, READ) for path in (*readable, "/dev/urandom", "/dev/random")]
    allowed += [Rule("/dev/null", READ_WRITE), Rule("/dev/zero", READ_WRITE)]
    nodes = [entry.path for entry in os.scandir("/dev") if entry.name.startswith("nvidia")]
    allowed += [Rule(path, DRIVE) for path in nodes]
    allowed += [Rule("/sys", READ), Rule("/proc/driver", READ), Rule(f"{own}/task", READ_WRITE)]
    return tuple(allowed)


RLIMITS = (
    (resource.RLIMIT_CORE, 0),
    (resource.RLIMIT_NOFILE, OPEN_FILES),
    (resource.RLIMIT_MEMLOCK, LOCKED_BYTES),
    (resource.RLIMIT_RTPRIO, 0),
    (resource.RLIMIT_MSGQUEUE, 0),
)


def lower(kind: int, most: int) -> int:
    """Set an rlimit for good to `most`, or leave it where it is lower; return it. Raises OSError, ValueError."""
    hard = resource.getrlimit(kind)[1]
    value = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(kind, (value, value))
    return value


def limit(file_bytes: int) -> str:
    """Lower the rlimits that need no knowledge of the job. Files may grow to `file_bytes`."""
    refused = []
    for kind, most in (*RLIMITS, (resource.RLIMIT_FSIZE, file_bytes)):
        try:
            lower(kind, most)
        except (OSError, ValueError):  # gVisor does not know all of them
            refused.append(str(kind))
    return f"kernel refused rlimit {', '.join(refused)}" if refused else "core, file size, open files, locked memory"


def no_new_privileges() -> str:
    """Make set-uid programs and file capabilities mean nothing. Raises OSError."""
    kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
    return "set-uid programs gain nothing"


def drop_capabilities() -> str:
    """Give up every capability. Raises OSError."""
    kernel.drop_capabilities()
    return "none left, also for root"

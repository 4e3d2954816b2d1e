"""Tiers of isolation: what each consists of, entering one, and finding out what this machine can enforce."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import resource
import signal
import site
import socket
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from netwright.errors import IsolationError
from netwright.sandbox import kernel, landlock, seccomp
from netwright.sandbox.landlock import DRIVE, READ, READ_WRITE, Rule

_log = logging.getLogger(__name__)

SCRATCH_FILE_BYTES = 256 << 20
OPEN_FILES = 256
LOCKED_BYTES = 64 << 10


class Tier(StrEnum):
    """How confined a child is.

    T2 is rlimits, Landlock and seccomp: no file is opened at all, which both walls forbid. On CUDA alone, whose
    driver opens files while it works, T2 reads Python's libraries, guarded by Landlock. T1 lacks Landlock: one wall
    less. T0 is rlimits alone and never chosen unless asked for.
    """

    T0 = "T0"
    T1 = "T1"
    T2 = "T2"


@dataclass(frozen=True)
class Recipe:
    """The layers of one tier beyond the rlimits, PDEATHSIG and session that every tier has."""

    landlock: bool
    seccomp: bool
    file_bytes: int


RECIPES = {
    Tier.T2: Recipe(landlock=True, seccomp=True, file_bytes=0),
    Tier.T1: Recipe(landlock=False, seccomp=True, file_bytes=0),
    Tier.T0: Recipe(landlock=False, seccomp=False, file_bytes=SCRATCH_FILE_BYTES),
}


@dataclass(frozen=True)
class IsolationReport:
    """What was enforced, layer by layer as (name, enforced, detail), in the process that made the report.

    `missing` holds one sentence for each layer that the tier above would need: what is wrong and what to do.
    """

    tier: Tier
    landlock_abi: int
    layers: tuple[tuple[str, bool, str], ...]
    missing: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> IsolationReport:
        layers = tuple((str(name), bool(ok), str(detail)) for name, ok, detail in record["layers"])
        return cls(Tier(record["tier"]), int(record["landlock_abi"]), layers, tuple(record["missing"]))


_REMEDIES = {
    "landlock": "needs Linux 5.13 or newer with `landlock` in the kernel's lsm= list, and a container "
    "profile that permits landlock_create_ruleset (recent Docker does)",
    "seccomp": "needs Linux on x86-64 or aarch64 with CONFIG_SECCOMP_FILTER",
}


def require_linux() -> None:
    """Raise IsolationError on systems without any of the layers."""
    if sys.platform != "linux":
        raise IsolationError(
            f"the sandbox needs Linux (Landlock, seccomp, pidfd), this is {sys.platform}: run netwright in a Linux "
            "container or virtual machine"
        )


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


def _limit(file_bytes: int) -> str:
    wanted = (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, file_bytes),
        (resource.RLIMIT_NOFILE, OPEN_FILES),
        (resource.RLIMIT_MEMLOCK, LOCKED_BYTES),
        (resource.RLIMIT_RTPRIO, 0),
        (resource.RLIMIT_MSGQUEUE, 0),
    )
    refused = []
    for kind, most in wanted:
        hard = resource.getrlimit(kind)[1]
        value = most if hard == resource.RLIM_INFINITY else min(most, hard)
        try:
            resource.setrlimit(kind, (value, value))
        except (OSError, ValueError):  # gVisor does not know all of them
            refused.append(str(kind))
    return f"kernel refused rlimit {', '.join(refused)}" if refused else "core, file size, open files, locked memory"


def _no_new_privileges() -> str:
    kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
    return "set-uid programs gain nothing"


def _drop_capabilities() -> str:
    kernel.drop_capabilities()
    return "none left, also for root"


def opens_files(tier: Tier, device: str) -> bool:
    """Whether the filter lets a process of the tier open files: on CUDA, where Landlock decides which."""
    return RECIPES[tier].landlock and device == "cuda"


def _layers(tier: Tier, libraries: Sequence[str], device: str) -> list[tuple[str, Callable[[], str]]]:
    recipe = RECIPES[tier]
    steps: list[tuple[str, Callable[[], str]]] = [
        ("no_new_privs", _no_new_privileges),
        ("rlimits", lambda: _limit(recipe.file_bytes if device == "cpu" else SCRATCH_FILE_BYTES)),
        ("capabilities", _drop_capabilities),
    ]
    if recipe.landlock:
        steps.append(("landlock", lambda: landlock.restrict(rules(libraries, device))))
    if recipe.seccomp:
        steps.append(("seccomp", lambda: seccomp.install(opens_files=opens_files(tier, device), device=device)))
    return steps


def isolate(tier: Tier, libraries: Sequence[str], device: str) -> tuple[tuple[str, bool, str], ...]:
    """Confine the calling, single-threaded process for good and say what was done.

    Raises IsolationError that names the layer if any cannot be had: nothing untrusted may run then.
    """
    done = []
    for name, step in _layers(tier, libraries, device):
        try:
            done.append((name, True, step()))
        except OSError as error:
            raise IsolationError(f"tier {tier} cannot be had: {name} failed with {error.strerror}") from error
    return tuple(done)


def _open_passwords() -> None:
    os.close(os.open("/etc/passwd", os.O_RDONLY))


_ATTEMPTS: dict[str, tuple[tuple[str, Callable[[], object]], ...]] = {
    "landlock": (("opened /etc/passwd", _open_passwords),),
    "seccomp": (
        ("opened /etc/passwd", _open_passwords),
        ("made a socket", lambda: socket.socket().close()),
        ("forked", lambda: os.fork() or os._exit(0)),
    ),
}


def _survey_tier(tier: Tier, libraries: Sequence[str], device: str) -> list[tuple[str, bool, str]]:
    """Enter `tier` as far as possible, trying after each layer what it forbids: both walls have to stand alone.

    Runs in a process that is thrown away.
    """
    found: list[tuple[str, bool, str]] = []
    for name, step in _layers(tier, libraries, device):
        try:
            found.append((name, True, step()))
        except OSError as error:
            found.append((name, False, error.strerror or str(error)))
            continue
        for feat, attempt in _ATTEMPTS.get(name, ()):
            with contextlib.suppress(OSError):
                attempt()
                found.append((name, False, f"is set but a confined process {feat}"))
    return found


def _in_throwaway_child(work: Callable[[], object]) -> Any:
    """Fork, run `work` there, and return what it returned (JSON) or None if the child died."""
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(write_end, json.dumps(work()).encode())
        finally:
            os._exit(0)
    os.close(write_end)
    with open(read_end, "rb") as stream:
        text = stream.read()
    _, status = os.waitpid(pid, 0)
    return json.loads(text) if text else [("seccomp", False, f"the probing child died, status {status}")]


def survey(libraries: Sequence[str], device: str) -> IsolationReport:
    """Find the best tier by enforcing it in a throwaway child. For single-threaded callers (it forks)."""
    layers: list[tuple[str, bool, str]] = []
    for tier in (Tier.T2, Tier.T1):
        found = _in_throwaway_child(lambda tier=tier: _survey_tier(tier, libraries, device))  # type: ignore[misc]
        layers = layers or [(str(name), bool(ok), str(detail)) for name, ok, detail in found]
        if all(ok for _, ok, _ in found):
            return _report(tier, layers)
    return _report(Tier.T0, layers)


def _report(tier: Tier, layers: list[tuple[str, bool, str]]) -> IsolationReport:
    missing = tuple(
        f"{name}: {detail}; it {_REMEDIES[name]}" if name in _REMEDIES else f"{name}: {detail}"
        for name, ok, detail in layers
        if not ok
    )
    try:
        version = landlock.abi()
    except OSError:
        version = 0
    return IsolationReport(tier, version, tuple(layers), missing)


def demand(report: IsolationReport, wanted: Tier | None) -> Tier:
    """Choose `wanted`, or T2 where nothing less was accepted. Raises IsolationError if it cannot be had."""
    tier = wanted or Tier.T2
    if tier > report.tier:
        raise IsolationError(
            f"isolation {tier} cannot be had here, only {report.tier}: {'; '.join(report.missing)}; "
            f"fix that, or accept less by asking for isolation {report.tier}"
        )
    if tier < Tier.T2:
        _log.warning("isolation weakened tier=%s available=%s", tier, report.tier)
    return tier


def probe(device: str = "cpu") -> IsolationReport:
    """Find out, in a new process that is thrown away, which tier this machine can enforce (about 0.1 s)."""
    require_linux()
    command = [sys.executable, "-P", "-m", "netwright.sandbox.zygote", "--probe", device]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    if done.returncode != 0:
        how = signal.Signals(-done.returncode).name if done.returncode < 0 else f"status {done.returncode}"
        raise IsolationError(f"the isolation probe ended with {how}: {done.stderr.strip()[-500:]}")
    return IsolationReport.from_json(json.loads(done.stdout))

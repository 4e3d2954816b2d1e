"""Tiers of isolation: what each consists of, entering one, and finding out what this machine can enforce."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from netwright.errors import IsolationError
from netwright.sandbox import kernel, landlock, layers, seccomp

_log = logging.getLogger(__name__)


class Tier(StrEnum):
    """How confined a child is.

    T2 is rlimits, Landlock and seccomp: no file is opened at all, which both walls forbid. On CUDA alone, whose
    driver opens files while it works, T2 reads Python's libraries, guarded by Landlock. T3 is T2 as a user of its
    own in namespaces of its own: the kernel counts its threads, and whatever goes by user reaches nobody. T1 lacks
    Landlock: one wall less. T0 is rlimits alone and never chosen unless asked for.
    """

    T0 = "T0"
    T1 = "T1"
    T2 = "T2"
    T3 = "T3"


@dataclass(frozen=True)
class Recipe:
    """The layers of one tier beyond the rlimits, PDEATHSIG and session that every tier has."""

    own_user: bool
    landlock: bool
    seccomp: bool
    file_bytes: int


RECIPES = {
    Tier.T3: Recipe(own_user=True, landlock=True, seccomp=True, file_bytes=0),
    Tier.T2: Recipe(own_user=False, landlock=True, seccomp=True, file_bytes=0),
    Tier.T1: Recipe(own_user=False, landlock=False, seccomp=True, file_bytes=0),
    Tier.T0: Recipe(own_user=False, landlock=False, seccomp=False, file_bytes=layers.SCRATCH_FILE_BYTES),
}
_TIERS_OF = {"cpu": (Tier.T3, Tier.T2, Tier.T1), "cuda": (Tier.T2, Tier.T1)}
"""In the order in which they are tried. Under CUDA another user could not read the libraries that it needs."""


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
    "own user": "needs root with CAP_SYS_ADMIN and CAP_SETUID, or unprivileged user namespaces "
    "(sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone, kernel.apparmor_restrict_unprivileged_userns)",
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


def opens_files(tier: Tier, device: str) -> bool:
    """Whether the filter lets a process of the tier open files: on CUDA, where Landlock decides which."""
    return RECIPES[tier].landlock and device == "cuda"


def starts_programs(tier: Tier) -> bool:
    """Whether a process of the tier can start other programs, and write what they need: nothing but T0 lets it."""
    return not RECIPES[tier].seccomp


Step = tuple[str, Callable[[], str]]


def _steps(tier: Tier, libraries: Sequence[str], device: str) -> list[Step]:
    recipe = RECIPES[tier]
    file_bytes = recipe.file_bytes if device == "cpu" else layers.SCRATCH_FILE_BYTES
    steps: list[Step] = [("own user", layers.own_user)] if recipe.own_user else []
    steps += [
        ("no_new_privs", layers.no_new_privileges),
        ("rlimits", lambda: layers.limit(file_bytes)),
        ("capabilities", layers.drop_capabilities),
    ]
    if recipe.landlock:
        steps.append(("landlock", lambda: landlock.restrict(layers.rules(libraries, device))))
    if recipe.seccomp:
        steps.append(("seccomp", lambda: seccomp.install(opens_files=opens_files(tier, device), device=device)))
    return steps


def isolate(tier: Tier, libraries: Sequence[str], device: str) -> tuple[tuple[str, str], ...]:
    """Confine the calling, single-threaded process for good and say what was done, as (layer, detail).

    Raises IsolationError that names the layer if any cannot be had: nothing untrusted may run then.
    """
    done = []
    for name, step in _steps(tier, libraries, device):
        try:
            done.append((name, step()))
        except OSError as error:
            raise IsolationError(f"tier {tier} cannot be had: {name} failed with {error.strerror}") from error
    return tuple(done)


def policy_hash(tier: Tier, device: str) -> str:
    """Name the rules of a tier by a hash: two results with equal hashes were confined by the same rules.

    Covers the system call filter, the rlimits and which layers there are. Paths differ from machine to machine and
    are left out.
    """
    rules = {"tier": tier, "device": device, "recipe": asdict(RECIPES[tier]), "rlimits": layers.RLIMITS}
    if RECIPES[tier].seccomp and kernel.MACHINE in seccomp.ARCHITECTURES:
        opens = opens_files(tier, device)
        filtered = seccomp.program(machine=kernel.MACHINE, pid=0, opens_files=opens, device=device)
        rules["seccomp"] = b"".join(filtered).hex()
    return hashlib.sha256(json.dumps(rules, sort_keys=True).encode()).hexdigest()[:12]


def _open_passwords() -> None:
    os.close(os.open("/etc/passwd", os.O_RDONLY))


def _fork_beyond_the_limit() -> None:
    resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))
    if os.fork() == 0:
        os._exit(0)


def _see_a_network() -> None:
    if [name for _, name in socket.if_nameindex() if name != "lo"]:
        return
    raise OSError


_ATTEMPTS: dict[str, tuple[tuple[str, Callable[[], object]], ...]] = {
    "own user": (
        ("started a process beyond its limit", _fork_beyond_the_limit),
        ("saw a network", _see_a_network),
    ),
    "landlock": (("opened /etc/passwd", _open_passwords),),
    "seccomp": (
        ("opened /etc/passwd", _open_passwords),
        ("looked at /etc/passwd", lambda: os.stat("/etc/passwd")),
        ("made a socket", lambda: socket.socket().close()),
        ("forked", lambda: os.fork() or os._exit(0)),
    ),
}


def _survey_tier(tier: Tier, libraries: Sequence[str], device: str) -> list[tuple[str, bool, str]]:
    """Enter `tier` as far as possible, trying after each layer what it forbids: every wall has to stand alone.

    Runs in a process that is thrown away.
    """
    found: list[tuple[str, bool, str]] = []
    for name, step in _steps(tier, libraries, device):
        try:
            found.append((name, True, step()))
        except OSError as error:
            found.append((name, False, error.strerror or str(error)))
            continue
        for feat, attempt in _ATTEMPTS.get(name, ()):
            with contextlib.suppress(OSError):
                attempt()
                found[-1] = (name, False, f"is set but a confined process {feat}")
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
    """Find the best tier by enforcing it in a throwaway child. For single-threaded callers (it forks).

    The report's layers are those of the first attempt, the tier above all others.
    """
    told: list[tuple[str, bool, str]] = []
    for tier in _TIERS_OF[device]:
        found = _in_throwaway_child(lambda tier=tier: _survey_tier(tier, libraries, device))  # type: ignore[misc]
        told = told or [(str(name), bool(ok), str(detail)) for name, ok, detail in found]
        if all(ok for _, ok, _ in found):
            return _report(tier, told)
    return _report(Tier.T0, told)


def _report(tier: Tier, told: list[tuple[str, bool, str]]) -> IsolationReport:
    missing = tuple(
        f"{name}: {detail}; it {_REMEDIES[name]}" if name in _REMEDIES else f"{name}: {detail}"
        for name, ok, detail in told
        if not ok
    )
    try:
        version = landlock.abi()
    except OSError:
        version = 0
    return IsolationReport(tier, version, tuple(told), missing)


def demand(report: IsolationReport, wanted: Tier | None) -> Tier:
    """Choose `wanted`, or the best there is where nothing less than T2 was accepted.

    Raises IsolationError if it cannot be had.
    """
    tier = wanted or max(report.tier, Tier.T2)
    if tier > report.tier:
        less = "--tier T0 --i-accept-no-sandbox" if report.tier is Tier.T0 else f"--tier {report.tier}"
        raise IsolationError(
            f"isolation {tier} cannot be had here, only {report.tier}: {'; '.join(report.missing)}; "
            f"fix that, or accept less with {less}"
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

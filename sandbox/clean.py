"""A clean interpreter behind walls: it reads Python's libraries and what it is given, and writes into one folder.

For what has to open files while candidate code runs, as loading an exported model does; nothing that is scored runs
here. The walls are T2's: no new privileges, rlimits, no capabilities, Landlock, the system call filter. Landlock lets
it open what is named, where a child of the zygote opens nothing, and the filter lets it make files.

    trusted side ──order──▶ python -I script ──walls──▶ libraries, candidate code ──files──▶ scratch

Not covered, beyond what docs/security.md says of T2: it can read Python's folders, its own netwright included, and
fill its scratch folder up to `FILE_BYTES` a file; and it is no user of its own, so that its threads count as yours.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import site
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from netwright.errors import IsolationError
from netwright.sandbox import kernel, landlock, layers, seccomp
from netwright.sandbox.landlock import READ, READ_WRITE, WORKSPACE, Rule

if TYPE_CHECKING:
    from netwright.types import JsonDict

ADDRESS_SPACE_BYTES = 12 << 30
"""Libraries map far more than they use; what is used is watched by nobody here, so this bounds it."""
FILE_BYTES = layers.SCRATCH_FILE_BYTES
LOG_CHARACTERS = 4000
NO_WALLS = 97
"""Exit status of a process that could not be confined, and ran nothing."""


@dataclass(frozen=True)
class CleanRun:
    """How a clean process ended: `code` is its status or minus the signal, None where it was too slow.

    `log` is the end of what it wrote to stdout and stderr, its own claim.
    """

    code: int | None
    log: str


def confine(readable: Sequence[str], scratch: str, seconds: float) -> None:
    """Put the calling, single-threaded process behind the walls for good: it reads libraries and what is `readable`.

    Raises IsolationError.
    """
    parent = os.getppid()
    layers.lower(resource.RLIMIT_AS, ADDRESS_SPACE_BYTES)
    layers.lower(resource.RLIMIT_CPU, int(seconds) + 5)
    steps = (
        ("no_new_privs", layers.no_new_privileges),
        ("rlimits", lambda: layers.limit(FILE_BYTES)),
        ("capabilities", layers.drop_capabilities),
        ("landlock", lambda: landlock.restrict(_rules(readable, scratch))),
        ("seccomp", lambda: seccomp.install(opens_files=True, makes_files=True, device="cpu")),
    )
    kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
    for name, step in steps:
        try:
            step()
        except OSError as error:
            raise IsolationError(
                f"a clean process cannot be confined here: {name} failed with {error.strerror}; see `netwright doctor`"
            ) from error


def _rules(readable: Sequence[str], scratch: str) -> list[Rule]:
    system = ["/proc/cpuinfo", "/proc/meminfo", f"/proc/{os.getpid()}", "/sys/devices/system", "/dev/urandom"]
    rules = [Rule(path, READ) for path in (*_libraries(), *readable, *system)]
    return [*rules, Rule("/dev/null", READ_WRITE), Rule(scratch, WORKSPACE)]


def _libraries() -> tuple[str, ...]:
    """List the folders that this interpreter imports from; with -I, not from where it is."""
    folders = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    folders += [f"{prefix}/lib" for prefix in (sys.prefix, sys.base_prefix) if prefix not in ("/", "/usr")]
    folders += [*site.getsitepackages(), *(path for path in sys.path if path)]
    folders += ["/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/etc/ld.so.cache"]
    return landlock.topmost(folders)


def run_clean(script: Path, order: JsonDict, *, scratch: Path, seconds: float, threads: int = 1) -> CleanRun:
    """Run a script of ours in a clean interpreter, with `order` on its stdin, until it ends or is killed.

    The script has to call `confine` before it runs anything that is not ours. It sees neither PYTHONPATH nor the
    folder that this process is in, and of the environment nothing but what is made here.
    """
    environment = {
        **{"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": str(scratch), "TMPDIR": str(scratch)},
        **{"HF_HOME": str(scratch / "hf"), "HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error"},
        # A design may ask for torch.compile, and nothing here can start a compiler.
        **{"TORCH_COMPILE_DISABLE": "1", "TORCHINDUCTOR_CACHE_DIR": str(scratch)},
        **dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(threads)),
    }
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            [sys.executable, "-I", "-B", str(script)],
            env=environment,
            cwd=scratch,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            process.communicate(json.dumps(order).encode(), timeout=seconds)
            code: int | None = process.returncode
        except subprocess.TimeoutExpired:
            code = None
        finally:
            process.kill()
            process.wait()
        log.seek(max(0, log.tell() - LOG_CHARACTERS))
        return CleanRun(code, log.read().decode(errors="replace"))

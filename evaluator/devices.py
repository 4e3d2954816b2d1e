"""What networks are trained on, and how: chosen on the trusted side from what the machine has.

    device      auto: the first CUDA device that works, else the CPU
    precision   auto: bf16 on a CUDA device that computes it, else float32
    compile     auto: on CUDA, where a training is long enough to win back what compiling takes

Results of different devices or precisions are those of different tasks (`TaskSpec.id`). Torch is asked in a process of
its own, and only where the machine has a driver: importing it here would cost every command seconds.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Literal

from netwright.errors import ConfigError
from netwright.types import DeviceKind, Precision

Compile = Literal["auto", "on", "off"]
WantedPrecision = Literal["auto", "float32", "tf32", "bf16"]
LOOK_SECONDS = 120.0
"""A first look at a cold driver takes seconds; one that takes this long is broken."""
FIRST_WITH_BF16 = (8, 0)
"""The compute capability (Ampere) from which products in bf16 and tf32 are computed by hardware."""
COMPILE_SECONDS = 120.0
AUTO_COMPILE_STEPS = 4_000
"""Measured on a CPU: tracing and compiling take 30 to 100 s, which pays from about so many steps of a small network."""
_PATTERN = re.compile(r"auto|cpu|cuda(:\d{1,3})?")


@dataclass(frozen=True, kw_only=True)
class Gpu:
    """A CUDA device that has computed something; `capability` is NVIDIA's (major, minor)."""

    name: str
    capability: tuple[int, int]
    memory_bytes: int


@dataclass(frozen=True, kw_only=True)
class Found:
    """The CUDA devices in torch's order, or why there are none."""

    gpus: tuple[Gpu, ...] = ()
    problem: str = ""


@dataclass(frozen=True, kw_only=True)
class Execution:
    """How trainings are executed.

    `index` counts CUDA devices as torch does, and `name` is that of the one that was chosen ("cpu" for none).
    `compile_seconds` bound what compiling a network may take before it is trained as it stands.
    """

    device: DeviceKind = "cpu"
    index: int = 0
    name: str = "cpu"
    precision: Precision = "float32"
    compile: Compile = "auto"
    compile_seconds: float = COMPILE_SECONDS

    def compiles(self, steps: int) -> bool:
        """Whether a network that is trained for so many steps is to be compiled."""
        return self.compile == "on" or (
            self.compile == "auto" and self.device == "cuda" and steps >= AUTO_COMPILE_STEPS
        )


ON_CPU = Execution()


def check_device(wanted: str) -> str:
    """Return `wanted` if it names a device. Raises ValueError with what it may be."""
    if not _PATTERN.fullmatch(wanted):
        raise ValueError(f"expected auto, cpu, cuda or cuda:N, got {wanted!r}")
    return wanted


def choose(
    device: str,
    precision: WantedPrecision = "auto",
    compile: Compile = "auto",
    compile_seconds: float = COMPILE_SECONDS,
    *,
    found: Found | None = None,
) -> Execution:
    """Return how to train by what was asked for and `found` (default: what `find` finds, if anybody asks for it).

    Raises: ConfigError where that device, or that precision on it, cannot be had.
    """
    gpu, index = None, 0
    if device != "cpu":
        gpu, index = _gpu(device, found or find())
    if gpu is None:
        if precision == "tf32":
            raise ConfigError("precision tf32 is one of CUDA devices, and this is a CPU: say bf16 or float32")
        chosen = "float32" if precision == "auto" else precision
        return Execution(precision=chosen, compile=compile, compile_seconds=compile_seconds)
    able = gpu.capability >= FIRST_WITH_BF16
    if precision in ("bf16", "tf32") and not able:
        raise ConfigError(
            f"{gpu.name} (compute capability {gpu.capability[0]}.{gpu.capability[1]}) has no {precision}, which "
            "begins with 8.0: say float32"
        )
    best: Precision = "bf16" if able else "float32"
    return Execution(
        device="cuda",
        index=index,
        name=gpu.name,
        precision=best if precision == "auto" else precision,
        compile=compile,
        compile_seconds=compile_seconds,
    )


def _gpu(device: str, found: Found) -> tuple[Gpu | None, int]:
    """Return the CUDA device that is meant, or None where `auto` comes to the CPU."""
    if not found.gpus:
        if device == "auto":
            return None, 0
        raise ConfigError(f"device {device} cannot be had: {found.problem}; say cpu, or auto for the best there is")
    index = int(device.partition(":")[2] or 0)
    if index >= len(found.gpus):
        there = ", ".join(f"cuda:{place} ({gpu.name})" for place, gpu in enumerate(found.gpus))
        raise ConfigError(f"there is no device {device}: this machine has {there}")
    return found.gpus[index], index


@cache
def find() -> Found:
    """Look for CUDA devices; seconds where there is a driver, at once where there is none."""
    if not any(Path("/dev").glob("nvidia[0-9]*")):
        return Found(problem="this machine has no NVIDIA device (no /dev/nvidia0)")
    if version("torch").endswith("+cpu"):
        return Found(
            problem=f"the torch here ({version('torch')}) is built for CPUs: install one that is built for CUDA"
        )
    command = [sys.executable, "-P", "-m", "netwright.evaluator.devices"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LOOK_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return Found(problem=f"torch did not answer within {LOOK_SECONDS:.0f} s whether CUDA works")
    return read(done.stdout, done.stderr)


def read(said: str, complained: str) -> Found:
    """Return what the process that looked has `said`; its last line counts, whatever libraries print before it."""
    try:
        told = json.loads(said.splitlines()[-1])
        gpus = [
            Gpu(name=each["name"], capability=tuple(each["capability"]), memory_bytes=each["memory_bytes"])
            for each in told["gpus"]
        ]
    except (ValueError, KeyError, TypeError, IndexError):
        return Found(
            problem=f"torch could not say whether CUDA works: {complained.strip()[-300:] or 'it said nothing'}"
        )
    return Found(gpus=tuple(gpus), problem=str(told.get("problem", "")))


def _look() -> Found:
    """Let torch compute something on every device that it sees."""
    import torch

    if not torch.cuda.is_available():
        built = f"built for CUDA {torch.version.cuda}" if torch.version.cuda else "built for CPUs"
        return Found(problem=f"torch {torch.__version__}, {built}, sees no CUDA device: look at `nvidia-smi`")
    gpus = []
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        try:
            ones = torch.ones(8, 8, device=f"cuda:{index}")
            works = float((ones @ ones).sum()) == 512.0
        except RuntimeError as error:
            return Found(problem=f"{properties.name} does not work: {str(error).splitlines()[0]}")
        if not works:
            return Found(problem=f"{properties.name} computes something else than it should")
        capability = (properties.major, properties.minor)
        gpus.append(Gpu(name=properties.name, capability=capability, memory_bytes=properties.total_memory))
    return Found(gpus=tuple(gpus))


def backends(execution: Execution, *, starts_compilers: bool) -> Sequence[str]:
    """Return the backends of torch.compile to try, best first.

    Inductor starts a compiler, which no confined process can. CUDA graphs need none.
    """
    return [*(["inductor"] if starts_compilers else []), *(["cudagraphs"] if execution.device == "cuda" else [])]


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asdict(_look())) + "\n")

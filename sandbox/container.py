"""The container tier in words: the command line that starts a zygote in a container, and what its failures mean.

Nothing here starts anything (`launch` does). The container has no network, no capability, no writable file but a
small /tmp, and sees of the host one folder with the socket to the trusted side. The tiers are enforced inside.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from netwright.errors import IsolationError, SandboxError

SOCKET_FOLDER = "/run/netwright"
SOCKET_NAME = "zygote.sock"
THREADS_PER_PROCESS = 256
SCRATCH_MEGABYTES = 256
_NOBODY = 65534
_ENGINE_FAILED = (125, 126, 127)

# The image says where its programs and libraries lie; all else that it or the engine set (a proxy with its password
# is what Docker copies into every container from the user's configuration) is gone before Python starts.
_CLEAN_START = 'exec env -i PATH="$PATH" ${LD_LIBRARY_PATH:+LD_LIBRARY_PATH="$LD_LIBRARY_PATH"} "$@"'
_PASSED_ON = ("LANG", "LC_ALL", "TZ")


@dataclass(frozen=True)
class Container:
    """A container engine, an image with this netwright in it, and further options of the engine's `run`.

    An option that netwright sets too is the user's: engines take the last.
    """

    engine: Literal["docker", "podman"]
    image: str = "netwright"
    options: tuple[str, ...] = ()


def container_environment(device: str, ours: Mapping[str, str]) -> dict[str, str]:
    """Choose what of the clean environment `ours` enters a container: no path, which would be one of the host."""
    names = (*_PASSED_ON, "CUDA_VISIBLE_DEVICES") if device == "cuda" else _PASSED_ON
    passed = {name: ours[name] for name in names if name in ours}
    fixed = {name: value for name, value in ours.items() if name.startswith("PYTHONHASH") or name.endswith("_THREADS")}
    return {**passed, **fixed, "HOME": "/nonexistent", "PYTHONUNBUFFERED": "1", "LOGNAME": "netwright"}


def _user(engine: str) -> list[str]:
    """Choose the user within: the caller, whose signals have to reach the children, and never root."""
    if os.geteuid() == 0:
        return ["--user", f"{_NOBODY}:{_NOBODY}"]
    keep = ["--userns", "keep-id"] if engine == "podman" else []
    return [*keep, "--user", f"{os.getuid()}:{os.getgid()}"]


def container_command(
    container: Container,
    *,
    name: str,
    folder: str,
    processes: int,
    memory_bytes: int,
    environment: Mapping[str, str],
    python_path: Sequence[str] = (),
) -> list[str]:
    """Make the command that starts the zygote in a container called `name`.

    `folder` holds the socket; `processes` is how many children there may be at once; `memory_bytes` bounds all of
    them together, as a backstop; `python_path` are folders of the host that are seen, read-only, in the same place.
    """
    # Podman copies proxies of the caller, and makes folders with program files in them, unless told not to.
    own = ["--http-proxy=false", "--read-only-tmpfs=false"] if container.engine == "podman" else []
    mounts = [(folder, SOCKET_FOLDER), *((path, path) for path in python_path)]
    return [
        *(container.engine, "run", "--rm", "-i", "--pull", "never", "--sig-proxy=false", "--name", name),
        *("--network", "none", "--ipc", "private", "--read-only"),
        *("--tmpfs", f"/tmp:rw,noexec,nosuid,nodev,size={SCRATCH_MEGABYTES}m"),
        *("--cap-drop", "ALL", "--security-opt", "no-new-privileges"),
        *("--pids-limit", str(THREADS_PER_PROCESS * (processes + 1))),
        *("--memory", f"{memory_bytes >> 20}m"),
        *_user(container.engine),
        *own,
        *(part for source, target in mounts for part in ("--mount", _bind(source, target))),
        *container.options,
        *("--entrypoint", "/bin/sh", container.image, "-c", _CLEAN_START, "netwright"),
        *(f"{variable}={value}" for variable, value in sorted(environment.items())),
        *("python", "-P", "-m", "netwright.sandbox.zygote", "--connect", f"{SOCKET_FOLDER}/{SOCKET_NAME}"),
    ]


def _bind(source: str, target: str) -> str:
    if "," in source:  # the engines' syntax has no way to quote it
        raise SandboxError(f"{source!r} cannot be mounted in a container: move it to a path without a comma")
    return f"type=bind,source={source},target={target},readonly"


def missing_engine(engine: str) -> IsolationError:
    return IsolationError(
        f"there is no `{engine}` on PATH: install {engine.capitalize()}, or leave out --sandbox {engine} to run "
        "candidates in processes of this machine"
    )


def other_netwright(container: Container, theirs: str, ours: str) -> IsolationError:
    return IsolationError(
        f"the image {container.image!r} holds another netwright ({theirs}) than the one that runs ({ours}): rebuild "
        f"it with `{_build(container)}` in the source folder"
    )


def explain_failure(container: Container, status: int, log: str, asked_to: str = "start a container") -> SandboxError:
    """Turn what the engine that was `asked_to` do something wrote before it ended into one sentence with the remedy.

    `status` is its exit status, or minus the signal that ended it.
    """
    words = _last_words(log)
    for pattern, sentence in _KNOWN_FAILURES:
        if re.search(pattern, log, re.IGNORECASE):
            return IsolationError(
                sentence.format(engine=container.engine, image=container.image, build=_build(container), words=words)
            )
    if status in _ENGINE_FAILED:
        return IsolationError(
            f"{container.engine} could not {asked_to} (image {container.image!r}): {words}; mend that, or leave out "
            "--sandbox to run candidates in processes of this machine"
        )
    return SandboxError(
        f"the container of the image {container.image!r} died at its start with status {status}: {words}; rebuild the "
        f"image with `{_build(container)}` in the source folder"
    )


# What Docker 20.10 and 28.2 and Podman 4.3 write (a pattern is searched for in all of it), and what to do.
_KNOWN_FAILURES = (
    (
        r"permission denied while trying to connect to the docker",
        "this user may not talk to the docker daemon: let an administrator add the user to the group `docker`, or use "
        "--sandbox podman, which needs no daemon",
    ),
    (
        r"cannot connect to (the docker daemon|podman)",
        "{engine} is installed but its daemon does not answer: start it (`systemctl start {engine}`), or leave out "
        "--sandbox {engine}",
    ),
    (
        r"no such image|image not known|unable to find image",
        "{engine} has no image {image!r} here: build it with `{build}` in the source folder, or name another with "
        "--image",
    ),
    (
        r"no module named '?netwright",
        "there is no netwright in the image {image!r}: build one with `{build}` in the source folder",
    ),
    (
        r"exec: \"/bin/sh\"|(env|exec): .*(python|env).*(not found|no such file)",
        "the image {image!r} lacks sh, env or python: build one with `{build}` in the source folder",
    ),
    (
        r"could not select device driver .*gpu|unresolvable CDI devices",
        "{engine} cannot give a GPU to a container ({words}): install the NVIDIA container toolkit and configure it "
        "for {engine}",
    ),
    (
        r"(source path does not exist|statfs).*/netwright-",
        "{engine} does not see the files of this machine, as where its daemon runs elsewhere or netwright itself runs "
        "in a container: run netwright beside the engine",
    ),
)


def _build(container: Container) -> str:
    return f"{container.engine} build -t {container.image} ."


def _last_words(log: str) -> str:
    lines = [line.strip() for line in log.splitlines()]
    said = [line for line in lines if line and not line.startswith(("See '", "Run '", "Usage:"))]
    if not said:
        return "it said nothing"
    return re.sub(r"^(docker: |Error: |Error response from daemon: )+", "", said[-1])[-300:].rstrip(".")

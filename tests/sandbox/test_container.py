import os

import pytest

from netwright.errors import IsolationError, SandboxError
from netwright.sandbox import Sandbox
from netwright.sandbox.container import (
    Container,
    container_command,
    container_environment,
    explain_failure,
    other_netwright,
)


def command(container, **changes):
    settings = {
        "name": "netwright-1",
        "folder": "/tmp/meeting",
        "processes": 3,
        "memory_bytes": 8 << 30,
        "environment": {"OMP_NUM_THREADS": "1"},
        "python_path": ["/opt/extra"],
    }
    return container_command(container, **{**settings, **changes})


# The command line


@pytest.mark.parametrize("engine", ["docker", "podman"])
def test_a_container_has_no_network_no_capability_and_nothing_to_write(engine):
    words = " ".join(command(Container(engine)))  # type: ignore[arg-type]

    for expected in (
        f"{engine} run --rm -i --pull never",
        "--network none",
        "--ipc private",
        "--read-only",
        "--cap-drop ALL",
        "--security-opt no-new-privileges",
        "--pids-limit 1024",
        "--memory 8192m",
        "--tmpfs /tmp:rw,noexec,nosuid,nodev,size=256m",
        "--mount type=bind,source=/tmp/meeting,target=/run/netwright,readonly",
        "--mount type=bind,source=/opt/extra,target=/opt/extra,readonly",
    ):
        assert expected in words


def test_the_users_options_come_last_and_so_decide():
    words = command(Container("docker", "mine:2", ("--gpus", "all", "--memory", "64g")))

    assert words[words.index("--entrypoint") - 4 :][:4] == ["--gpus", "all", "--memory", "64g"]
    assert words[words.index("--entrypoint") + 2] == "mine:2"


def test_podman_is_told_to_keep_the_callers_proxies_out():
    assert "--http-proxy=false" in command(Container("podman"))
    assert "--http-proxy=false" not in command(Container("docker"))


def test_a_container_never_runs_as_root_of_this_machine():
    words = command(Container("docker"))

    user = words[words.index("--user") + 1]
    assert user == ("65534:65534" if os.geteuid() == 0 else f"{os.getuid()}:{os.getgid()}")


def test_only_what_says_nothing_of_this_machine_enters_the_environment():
    ours = {"PATH": "/home/me/bin", "PYTHONPATH": "/home/me", "LD_LIBRARY_PATH": "/home/me/lib", "CUDA_HOME": "/cuda"}
    ours |= {"TZ": "UTC", "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "1", "PYTHONHASHSEED": "0"}

    on_cpu, on_cuda = container_environment("cpu", ours), container_environment("cuda", ours)

    assert set(on_cpu) == {"TZ", "OMP_NUM_THREADS", "PYTHONHASHSEED", "PYTHONUNBUFFERED", "HOME", "LOGNAME"}
    assert {**on_cpu, "CUDA_VISIBLE_DEVICES": "1"} == on_cuda


def test_a_folder_that_an_engine_would_misread_is_refused():
    with pytest.raises(SandboxError, match="'/data,source=/etc' cannot be mounted in a container: move it"):
        command(Container("docker"), python_path=["/data,source=/etc"])


# What engines say when they fail, word for word


@pytest.mark.parametrize(
    ("engine", "status", "log", "kind", "expected"),
    [
        (
            "docker",
            125,
            "docker: Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?"
            "\n\nRun 'docker run --help' for more information\n",
            IsolationError,
            "docker is installed but its daemon does not answer: start it",
        ),
        (
            "docker",
            125,
            "docker: permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker."
            'sock: Head "http://%2Fvar%2Frun%2Fdocker.sock/_ping": dial unix /var/run/docker.sock: connect: permission '
            "denied\n\nRun 'docker run --help' for more information\n",
            IsolationError,
            "this user may not talk to the docker daemon: let an administrator add",
        ),
        (
            "docker",
            125,
            "docker: Error response from daemon: No such image: netwright:latest\n",
            IsolationError,
            "docker has no image 'netwright' here: build it with `docker build -t netwright .`",
        ),
        (
            "podman",
            125,
            "Error: netwright: image not known\n",
            IsolationError,
            "podman has no image 'netwright' here: build it with `podman build -t netwright .`",
        ),
        (
            "docker",
            1,
            "/usr/local/bin/python: Error while finding module specification for 'netwright.sandbox.zygote' "
            "(ModuleNotFoundError: No module named 'netwright')\n",
            IsolationError,
            "there is no netwright in the image 'netwright': build one",
        ),
        (
            "podman",
            127,
            'Error: runc: runc create failed: unable to start container process: exec: "/bin/sh": stat /bin/sh: no '
            "such file or directory: OCI runtime attempted to invoke a command that was not found\n",
            IsolationError,
            "lacks sh, env or python",
        ),
        (
            "docker",
            127,
            "env: 'python': No such file or directory\n",
            IsolationError,
            "lacks sh, env or python",
        ),
        (
            "docker",
            125,
            'docker: Error response from daemon: could not select device driver "" with capabilities: [[gpu]]\n',
            IsolationError,
            "docker cannot give a GPU to a container",
        ),
        (
            "docker",
            125,
            'docker: Error response from daemon: invalid mount config for type "bind": bind source path does not exist'
            ": /tmp/netwright-7x2k/socket\n",
            IsolationError,
            "docker does not see the files of this machine",
        ),
        (
            "podman",
            125,
            "Error: unknown flag: --frobnicate\nSee 'podman run --help'\n",
            IsolationError,
            "could not start a container (image 'netwright'): unknown flag: --frobnicate; mend that",
        ),
        (
            "podman",
            126,
            "Error: crun: setrlimit `RLIMIT_NOFILE`: Operation not permitted: OCI permission denied\n",
            IsolationError,
            "podman could not start a container (image 'netwright'): crun: setrlimit `RLIMIT_NOFILE`",
        ),
        ("docker", 139, "", SandboxError, "died at its start with status 139: it said nothing; rebuild"),
    ],
)
def test_a_failure_is_one_sentence_with_its_remedy(engine, status, log, kind, expected):
    error = explain_failure(Container(engine), status, log)

    assert type(error) is kind and expected in str(error)
    assert "\n" not in str(error)


def test_another_version_in_the_image_is_named_with_the_remedy():
    error = other_netwright(Container("podman", "mine"), "0.0.9, code aaa", "0.1.0, code bbb")

    assert str(error) == (
        "the image 'mine' holds another netwright (0.0.9, code aaa) than the one that runs (0.1.0, code bbb): "
        "rebuild it with `podman build -t mine .` in the source folder"
    )


def test_an_engine_that_is_not_installed_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(IsolationError, match="no `podman` on PATH: install Podman, or leave out --sandbox") as caught:
        Sandbox(slots=1, entries=["sandbox_entries:honest"], container=Container("podman")).start()
    assert caught.value.exit_code == 2

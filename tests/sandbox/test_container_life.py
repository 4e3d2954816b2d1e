import contextlib
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from netwright.errors import IsolationError, SandboxError
from netwright.sandbox import ExitCause, Job, Limits, Sandbox, Tier
from netwright.sandbox.container import Container

FOLDER = str(Path(__file__).parent)
STANDIN = Path(FOLDER, "standin_engine.sh")
NAMES = ("honest", "environment", "sleeps", "loops_in_c", "bombs_memory", "bombs_threads", "makes_socket")
ENTRIES = [f"sandbox_entries:{name}" for name in NAMES]
SECRET = "user:correct-horse"


def wait_until(condition, seconds=10.0):
    until = time.monotonic() + seconds
    while not (found := condition()) and time.monotonic() < until:
        time.sleep(0.02)
    return found


def descendants(pid):
    children = Path(f"/proc/{pid}/task/{pid}/children")
    with contextlib.suppress(OSError):
        return {found for child in map(int, children.read_text().split()) for found in (child, *descendants(child))}
    return set()


def is_running(pid):
    with contextlib.suppress(OSError):
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    return False


# Real containers: of the stand-in everywhere, of Docker and Podman where they and the image are


@pytest.fixture(scope="module", params=["standin", "docker", "podman"])
def engine(request, tmp_path_factory):
    """The name of an engine that works, which for the stand-in is `docker` on a PATH of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HTTPS_PROXY", f"http://{SECRET}@proxy")
        if request.param == "standin":
            folder = tmp_path_factory.mktemp("standin")
            Path(folder, "docker").symlink_to(STANDIN)
            patch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
            patch.setenv("STANDIN_PYTHON", str(Path(sys.executable).parent))
            patch.setenv("STANDIN_CONTAINERS", str(folder))
        name = "docker" if request.param == "standin" else request.param
        if shutil.which(name) is None:
            pytest.skip(f"there is no {name} here")
        try:
            with Sandbox(slots=1, entries=ENTRIES, python_path=[FOLDER], container=Container(name)):
                pass
        except IsolationError as error:
            pytest.skip(str(error))
        except SandboxError as error:
            if request.param != "standin" or "unshare" not in str(error):
                raise
            pytest.skip(f"no namespaces can be had here: {error}")
        yield name


@pytest.fixture(scope="module")
def contained(engine):
    with Sandbox(
        slots=1,
        entries=ENTRIES,
        warm_zygote="sandbox_entries:warm_zygote",
        warm_child="sandbox_entries:warm_child",
        python_path=[FOLDER],
        container=Container(engine),
    ) as sandbox:
        sandbox.wait_until_warm()
        yield sandbox


def run(sandbox, name, wall_seconds=20.0, **payload):
    limits = Limits(wall_seconds=wall_seconds, memory_bytes=512 << 20, threads=8)
    return sandbox.run(Job(entry=f"sandbox_entries:{name}", payload=payload, limits=limits))


def containers(engine):
    """The containers of netwright that there are; the stand-in keeps a list of process ids."""
    if folder := os.environ.get("STANDIN_CONTAINERS"):
        return {file.name for file in Path(folder).glob("netwright-*") if is_running(int(file.read_text()))}
    listing = [engine, "ps", "--all", "--filter", "name=netwright-", "--format", "{{.Names}}"]
    return set(subprocess.run(listing, capture_output=True, text=True, check=True).stdout.split())


def test_a_job_runs_in_a_container_as_it_does_in_a_process(contained):
    result = contained.run(
        Job(
            entry="sandbox_entries:honest",
            payload={"numbers": [1, 2, 3]},
            inputs={"text": b"hello"},
            outputs={"text": 5},
        )
    )

    assert (result.cause, result.outputs) == (ExitCause.OK, {"text": b"HELLO"})
    assert result.reply == {"sum": 6, "warmed": {"zygote": True, "child": True}}
    assert result.tier >= Tier.T2


def test_the_tier_holds_within_the_container(contained):
    assert run(contained, "makes_socket", family="AF_UNIX").reply["refused"] in ("EPERM", "EACCES")


def test_the_callers_environment_stays_outside(contained):
    environment = run(contained, "environment").reply["python"]

    assert SECRET not in str(environment)
    assert set(environment) <= {
        *("LANG", "LC_ALL", "TZ", "PATH", "LD_LIBRARY_PATH", "HOME", "LOGNAME", "LC_CTYPE"),
        *("PYTHONHASHSEED", "PYTHONUNBUFFERED"),
        *("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS"),
    }
    zygote = Path(f"/proc/{contained.zygote_pid}/environ").read_bytes()
    assert SECRET.encode() not in zygote and b"PATH=" in zygote


def test_the_zygote_is_the_first_process_of_namespaces_of_its_own(contained):
    status = Path(f"/proc/{contained.zygote_pid}/status").read_text()

    within = next(line for line in status.splitlines() if line.startswith("NSpid:")).split()
    assert within[-1] == "1" and len(within) >= 3
    for kind in ("pid", "mnt", "net", "ipc"):
        assert os.readlink(f"/proc/{contained.zygote_pid}/ns/{kind}") != os.readlink(f"/proc/self/ns/{kind}")


@pytest.mark.parametrize(
    ("name", "cause"),
    [("bombs_memory", ExitCause.OUT_OF_MEMORY), ("bombs_threads", ExitCause.TOO_MANY_THREADS)],
)
def test_memory_and_threads_are_watched_across_the_pid_namespace(contained, name, cause):
    result = run(contained, name)

    assert result.cause is cause
    assert "at most" in result.reason


def test_a_job_that_never_ends_is_killed_from_outside(contained):
    result = run(contained, "loops_in_c", wall_seconds=0.3)

    assert result.cause is ExitCause.TIMEOUT
    assert result.seconds_to_kill < 0.5


def test_a_zygote_that_is_killed_is_replaced_in_a_new_container(engine):
    before = containers(engine)
    with Sandbox(slots=1, entries=ENTRIES, python_path=[FOLDER], container=Container(engine)) as sandbox:
        sandbox.wait_until_warm()
        first, names = sandbox.zygote_pid, containers(engine) - before
        os.kill(first, signal.SIGKILL)
        wait_until(lambda: sandbox.zygote_pid != first)

        result = run(sandbox, "sleeps", seconds=0)

        assert sandbox.zygote_pid != first and len(names) == 1 and not containers(engine) & names
    assert result.cause is ExitCause.OK


def test_closing_leaves_no_container_no_process_and_no_folder(engine, monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    before = containers(engine)
    with Sandbox(slots=1, entries=ENTRIES, python_path=[FOLDER], container=Container(engine)) as sandbox:
        sandbox.wait_until_warm()
        family = {sandbox.zygote_pid, *descendants(sandbox.zygote_pid)}
        assert len(family) >= 3 and containers(engine) > before
        assert list(tmp_path.iterdir()) == []

    assert wait_until(lambda: containers(engine) == before)
    assert not [pid for pid in family if is_running(pid)]


def test_closing_while_it_starts_leaves_no_container(engine):
    before = containers(engine)
    sandbox = Sandbox(
        slots=1,
        entries=ENTRIES,
        warm_zygote="sandbox_entries:slow_zygote",
        python_path=[FOLDER],
        container=Container(engine),
    )
    closer = threading.Timer(0.1, sandbox.close)
    closer.start()

    begun = time.monotonic()
    with contextlib.suppress(SandboxError):
        sandbox.start()
    closer.join()
    sandbox.close()
    assert time.monotonic() - begun < 10

    assert wait_until(lambda: containers(engine) == before)


def test_killing_the_trusted_side_ends_the_container_and_all_in_it(engine):
    before = containers(engine)
    program = f"""
        from netwright.sandbox import Job, Sandbox
        from netwright.sandbox.container import Container
        with Sandbox(slots=1, entries={ENTRIES}, python_path=[{FOLDER!r}], container=Container({engine!r})) as sandbox:
            sandbox.wait_until_warm()
            print(sandbox.zygote_pid, flush=True)
            sandbox.run(Job(entry="sandbox_entries:sleeps", payload={{"seconds": 60}}))
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program)], stdout=subprocess.PIPE, text=True
    ) as trusted:
        assert trusted.stdout is not None
        zygote = int(trusted.stdout.readline())
        family = {zygote, *wait_until(lambda: descendants(zygote))}
        trusted.kill()

        assert wait_until(lambda: not any(is_running(pid) for pid in family), 5)
    assert wait_until(lambda: containers(engine) == before, 20)


def test_an_option_that_shares_this_machines_processes_is_refused(engine):
    if "STANDIN_CONTAINERS" in os.environ:
        pytest.skip("the stand-in has no options")
    before, container = containers(engine), Container(engine, options=("--pid", "host"))

    with pytest.raises(IsolationError, match="shares the processes of this machine: leave out the option --pid"):
        Sandbox(slots=1, entries=ENTRIES, python_path=[FOLDER], container=container).start()
    assert containers(engine) == before


def test_an_image_that_is_not_there_is_named_with_the_remedy(engine):
    container = Container(engine, image="netwright-nowhere")

    with pytest.raises(IsolationError, match=rf"{engine} has no image 'netwright-nowhere' here: build it") as caught:
        Sandbox(slots=1, entries=ENTRIES, container=container).start()
    assert caught.value.exit_code == 2

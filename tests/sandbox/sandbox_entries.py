"""Entries that the sandbox tests run in children: an honest one, and attacks.

An attack that is one system call returns `refused`, the name of the errno or ""; the others never return.
"""

import ctypes
import errno
import importlib.machinery
import importlib.util
import os
import platform
import signal
import socket
import sys
import threading
import time

libc = ctypes.CDLL(None, use_errno=True)
WARMED = {"zygote": False, "child": False}


def warm_zygote():
    WARMED["zygote"] = True


def warm_child():
    WARMED["child"] = True


def failing_warm_child():
    raise RuntimeError("this hook is broken")


def dies_aloud():
    sys.stderr.write("these are my last words")
    sys.stderr.flush()
    os._exit(7)


def slow_zygote():
    time.sleep(2)


def two_threads():
    threading.Thread(target=time.sleep, args=(60,), daemon=True).start()


def attempt(action):
    try:
        result = action()
    except OSError as error:
        return {"refused": errno.errorcode[error.errno]}
    return {"refused": "", "got": repr(result)[:200]}


def syscall(number, *arguments):
    result = libc.syscall(ctypes.c_long(number), *(ctypes.c_long(a) if isinstance(a, int) else a for a in arguments))
    if result < 0:
        raise OSError(ctypes.get_errno(), "syscall")
    return result


def honest(job):
    """Sums `numbers`, upper-cases every input into the output of the same name."""
    job.emit({"step": 1})
    for name, view in job.outputs.items():
        data = bytes(job.inputs[name]).upper()
        view[: len(data)] = data
    return {"sum": sum(job.payload["numbers"]), "warmed": WARMED}


def raises(job):
    sys.stdout.write("about to fail\n")
    raise ValueError(job.payload["message"])


def exits_politely(job):
    sys.exit(0)


def returns_no_dict(job):
    return 1.0


def environment(job):
    return {"python": dict(os.environ)}


def descriptors(job):
    """Every open descriptor with its kind."""
    return {"open": {str(number): found[0] for number in range(256) if (found := fstat(number))}}


KINDS = {0o020000: "character device", 0o010000: "pipe", 0o140000: "socket", 0o100000: "file"}


def fstat(number):
    """Kind and size of what is open, None if nothing is. By the bare call: glibc asks newfstatat, which is refused."""
    fields = (ctypes.c_uint64 * 18)()
    try:
        syscall({"x86_64": 5, "aarch64": 80}[platform.machine()], number, ctypes.byref(fields))
    except OSError:
        return None
    mode = fields[3] & 0xFFFFFFFF if platform.machine() == "x86_64" else fields[2] & 0xFFFFFFFF
    return KINDS[mode & 0o170000], fields[6]


def reopens(job):
    """Open again, through /proc, what is open or mapped already."""
    names = [f"/proc/self/fd/{number}" for number in range(8)]
    names += ["/proc/self/maps", "/proc/self/map_files", "/proc/self/mem", "/proc/self/exe", "/dev/fd/0"]
    return {name: attempt(lambda name=name: os.open(name, os.O_RDONLY))["refused"] for name in names}


def reads_source(job):
    """Every way to the source of the standard library that needs no new import."""
    import inspect
    import linecache

    ways = {
        "loader": lambda: importlib.machinery.SourceFileLoader("x", os.__file__).get_data(os.__file__),
        "bytecode": lambda: os.open(importlib.util.cache_from_source(os.__file__), os.O_RDONLY),
        "inspect": lambda: inspect.getsource(inspect),
        "linecache": lambda: linecache.getlines(os.__file__)[0],
        "cached lines": lambda: [
            name for name, known in linecache.cache.items() if name.endswith(".py") and len(known) > 1
        ][0],
    }
    refused = {}
    for name, way in ways.items():
        try:
            refused[name] = f"BREACH {way()!r:.80}"
        except (OSError, IndexError) as error:
            refused[name] = type(error).__name__
    return refused


def opens(job):
    return attempt(lambda: os.open(job.payload["path"], os.O_RDONLY))


def lists(job):
    return attempt(lambda: os.listdir(job.payload["path"]))


def writes(job):
    return attempt(lambda: os.open(job.payload["path"], os.O_WRONLY | os.O_CREAT))


def imports(job):
    try:
        import colorsys  # not imported by anything else: read from disk now
    except ImportError as error:
        return {"error": f"{type(error).__name__}: {error}"}
    return {"file": colorsys.__file__}


def makes_socket(job):
    return attempt(lambda: socket.socket(getattr(socket, job.payload["family"])))


def makes_socketpair(job):
    return attempt(socket.socketpair)


def forks(job):
    return attempt(os.fork)


def vforks(job):
    return attempt(lambda: syscall(job.payload["number"]))


def execs(job):
    return attempt(lambda: os.execv("/bin/true", ["true"]))


def spawns(job):
    return attempt(lambda: os.posix_spawn("/bin/true", ["true"], {}))


def clones_by_clone3(job):
    return attempt(lambda: syscall(435, ctypes.create_string_buffer(88), 88))


def calls_unknown_syscall(job):
    return attempt(lambda: syscall(470))


def kills(job):
    return attempt(lambda: os.kill(job.payload["pid"], signal.SIGTERM))


def queues_signal(job):
    return attempt(lambda: signal.pidfd_send_signal(os.pidfd_open(job.payload["pid"]), signal.SIGTERM))


def traces(job):
    return attempt(lambda: syscall(101, 16, job.payload["pid"], 0, 0))


def reads_memory(job):
    return attempt(lambda: syscall(310, job.payload["pid"], 0, 0, 0, 0, 0))


def owns_signal(job):
    """Ask the kernel to signal the parent when the job's socket becomes readable."""
    import fcntl

    return attempt(lambda: fcntl.fcntl(3, fcntl.F_SETOWN, job.payload["pid"]))


def sets_signal_number(job):
    import fcntl

    return attempt(lambda: fcntl.fcntl(3, fcntl.F_SETSIG, signal.SIGKILL))


def owns_signal_by_ioctl(job):
    import fcntl
    import struct

    return attempt(lambda: fcntl.ioctl(3, 0x8901, struct.pack("i", job.payload["pid"])))


def forgets_to_die(job):
    return attempt(lambda: syscall(157, 1, 0, 0, 0, 0))


def shares_memory(job):
    return attempt(lambda: syscall(29, 0, 4096, 0o1666))


def makes_memfd(job):
    return attempt(lambda: os.memfd_create("hidden"))


def changes_mode(job):
    return attempt(lambda: os.chmod(job.payload["path"], 0o777))


def limits_parent(job):
    import resource

    return attempt(lambda: resource.prlimit(job.payload["pid"], resource.RLIMIT_NOFILE, (3, 3)))


def pins_parent(job):
    return attempt(lambda: os.sched_setaffinity(job.payload["pid"], {0}))


def pins_itself(job):
    return attempt(lambda: os.sched_setaffinity(0, os.sched_getaffinity(0)))


def sees_cores(job):
    return {"cores": len(os.sched_getaffinity(0))}


def looks_at(job):
    path = job.payload["path"]
    ways = {
        "stat": lambda: os.stat(path),
        "lstat": lambda: os.lstat(path),
        "access": lambda: os.access(path, os.F_OK) or syscall({"x86_64": 21, "aarch64": 48}[platform.machine()], 0),
        "readlink": lambda: os.readlink(path),
        "statvfs": lambda: os.statvfs(path),
    }
    return {name: attempt(way)["refused"] for name, way in ways.items()}


def unshares(job):
    return attempt(lambda: syscall(272, 0x10000000))


def resizes_output(job):
    """An output is reachable only as memory; try to resize what its mapping holds open."""
    found = [number for number in range(4, 64) if (known := fstat(number)) and known[1] == 4096]
    return {"found": {str(n): attempt(lambda n=n: os.ftruncate(n, 0))["refused"] for n in found}}


def writes_input(job):
    try:
        job.inputs["text"][0] = 0
    except TypeError as error:
        return {"refused": str(error)}
    return {"refused": ""}


def exits_at_once(job):
    os._exit(0)


def exits_after_forged_frame(job):
    os.write(3, b"\x00\x00\x00\x04nope")
    time.sleep(60)


def sends_deep_json(job):
    body = b"[" * 60_000
    os.write(3, len(body).to_bytes(4, "big") + body)
    time.sleep(60)


def sends_fatal_frame(job):
    body = b'{"kind":"fatal","layer":"isolation","error":"a","traceback":"b"}'
    os.write(3, len(body).to_bytes(4, "big") + body)
    time.sleep(60)


def sends_surrogate(job):
    return {"text": "\ud800"}


def segfaults(job):
    ctypes.string_at(0)


def opens_too_many(job):
    """Duplicates a descriptor until there are no more."""
    import fcntl

    while True:
        fcntl.fcntl(3, fcntl.F_DUPFD_CLOEXEC, 0)


def passes_stages(job):
    """Announce stages as told, then sleep."""
    for name, seconds in job.payload["stages"]:
        job.stage(name)
        time.sleep(seconds)
    return {}


def loops_in_c(job):
    """One bytecode that holds the GIL for minutes."""
    return {"n": sum(range(10**12))}


def ignores_sigterm(job):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, set(signal.valid_signals()))
    while True:
        time.sleep(1)


def stops_itself(job):
    signal.raise_signal(signal.SIGSTOP)
    return {}


def sleeps(job):
    job.emit({"pid": os.getpid(), "parent": os.getppid()})
    time.sleep(job.payload.get("seconds", 60))
    return {}


def bombs_memory(job):
    held = []
    while True:
        held.append(bytearray(os.urandom(1 << 12) * (32 << 8)))


def holds_memory(job):
    return {"held": len(bytearray(os.urandom(1 << 12) * (job.payload["mebibytes"] << 8)))}


def hides_memory(job):
    """A thread holds memory and replies, while the main thread has ended and with it what /proc tells of memory."""
    done = threading.Event()

    def work():
        done.wait()
        held = bytearray(os.urandom(1 << 12) * (job.payload["mebibytes"] << 8))
        time.sleep(job.payload["seconds"])
        job._send({"kind": "reply", "reply": {"held": len(held)}})
        os._exit(0)

    threading.Thread(target=work).start()
    done.set()
    syscall({"x86_64": 60, "aarch64": 93}[platform.machine()], 0)


def looks_at_others(job):
    """What the clocks and cores of other processes tell."""
    pid = job.payload["pid"]
    cores = (ctypes.c_uint64 * 16)()
    ways = {
        "its clock": lambda: time.clock_gettime((~pid << 3) | 2),
        "its cores": lambda: os.sched_getaffinity(pid) if pid else syscall(204, pid, 128, ctypes.byref(cores)),
    }
    return {name: attempt(way)["refused"] for name, way in ways.items()}


def bombs_address_space(job):
    return {"n": len(bytearray(64 << 30))}


def bombs_threads(job):
    while True:
        threading.Thread(target=time.sleep, args=(60,), daemon=True).start()


def floods_stdout(job):
    while True:
        os.write(1, b"x" * 4096)


def floods_events(job):
    while True:
        job.emit({"n": 1})


def floods_stages(job):
    while True:
        job.stage("training")


def burns_cpu(job):
    """Lowers its own limit, which the filter lets it, not to burn for long."""
    import resource

    resource.setrlimit(resource.RLIMIT_CPU, (job.payload["cpu_seconds"], 10))
    while True:
        pass


def sends_giant_frame(job):
    os.write(3, (1 << 31).to_bytes(4, "big"))
    time.sleep(60)


def replies_too_much(job):
    return {"text": "x" * (1 << 20)}


def closes_its_socket(job):
    os.close(3)
    time.sleep(60)


def leaves_a_daemon(job):
    """Double fork; only tier T0 lets this happen."""
    if os.fork() == 0:
        if os.fork() == 0:
            os.setsid()
            time.sleep(600)
        os._exit(0)
    os.wait()
    time.sleep(job.payload.get("seconds", 0))
    return {}

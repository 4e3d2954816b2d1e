"""Entries that the sandbox tests run in children: an honest one, and attacks.

An attack that is one system call returns `refused`, the name of the errno or ""; the others never return.
"""

import ctypes
import errno
import os
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
    with open(f"/proc/{os.getpid()}/environ", "rb") as file:
        block = file.read().decode()
    return {"python": dict(os.environ), "block": block}


def status(job):
    """What the kernel says of this process."""
    with open("/proc/self/status") as file:
        fields = dict(line.rstrip("\n").split(":\t", 1) for line in file)
    with open("/proc/self/oom_score_adj") as file:
        fields["oom_score_adj"] = file.read().strip()
    return {**fields, "session": os.getsid(0) == os.getpid()}


def descriptors(job):
    return {"open": sorted(int(name) for name in os.listdir("/proc/self/fd"))[:-1]}


def opens(job):
    return attempt(lambda: os.open(job.payload["path"], os.O_RDONLY))


def lists(job):
    return attempt(lambda: os.listdir(job.payload["path"]))


def writes(job):
    return attempt(lambda: os.open(job.payload["path"], os.O_WRONLY | os.O_CREAT))


def imports(job):
    import colorsys  # not imported by anything else: read from disk now

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


def unshares(job):
    return attempt(lambda: syscall(272, 0x10000000))


def resizes_output(job):
    """An output is reachable only as memory; try to find and resize it through /proc/self/fd."""
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            if "memfd:output" in os.readlink(f"/proc/self/fd/{name}"):
                found[name] = attempt(lambda name=name: os.ftruncate(int(name), 0))["refused"]
        except OSError:
            continue
    return {"found": found}


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


def loops_in_c(job):
    """One bytecode that holds the GIL for minutes."""
    return {"n": sum(range(10**12))}


def ignores_sigterm(job):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, set(signal.valid_signals()))
    while True:
        time.sleep(1)


def stops_itself(job):
    os.kill(os.getpid(), signal.SIGSTOP)
    return {}


def sleeps(job):
    job.emit({"pid": os.getpid(), "parent": os.getppid()})
    time.sleep(job.payload.get("seconds", 60))
    return {}


def bombs_memory(job):
    held = []
    while True:
        held.append(bytearray(os.urandom(1 << 12) * (32 << 8)))


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

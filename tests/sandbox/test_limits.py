"""Every way to go wrong has its own cause, and a sentence with the numbers."""

import socket
import time

import pytest

from netwright.errors import SandboxError
from netwright.sandbox import ExitCause, Job, Limits, Sandbox, wire
from netwright.sandbox.isolation import policy_hash


@pytest.fixture(autouse=True)
def honest_jobs_still_work(bench):
    yield
    bench.assert_unharmed()


def test_an_exception_comes_back_with_its_traceback(bench):
    result = bench.run("raises", message="the third layer")

    assert result.cause is ExitCause.ERROR
    assert result.reply["error"] == "ValueError"
    assert "sandbox_entries.py" in result.reply["traceback"]
    assert result.reason == "raised ValueError: the third layer"
    assert result.last_output == "about to fail\n"


def test_the_text_of_an_exception_is_capped(bench):
    result = bench.run("raises", message="x" * 100_000)

    assert len(result.reply["traceback"]) <= 4000
    assert len(result.reason) <= 500


@pytest.mark.parametrize(("entry", "error"), [("exits_politely", "SystemExit"), ("returns_no_dict", "TypeError")])
def test_an_entry_that_does_not_return_a_dict_is_an_error(bench, entry, error):
    result = bench.run(entry)

    assert (result.cause, result.reply["error"]) == (ExitCause.ERROR, error)


def test_exit_status_zero_is_a_crash(bench):
    result = bench.run("exits_at_once")

    assert (result.cause, result.reason) == (ExitCause.CRASHED, "exited with status 0 without a reply")


def test_a_segmentation_fault_is_a_crash_that_says_where(bench):
    result = bench.run("segfaults")

    assert (result.cause, result.reason) == (ExitCause.CRASHED, "was killed by SIGSEGV")
    assert "in segfaults" in result.last_output


@pytest.mark.parametrize(
    "entry", ["exits_after_forged_frame", "sends_deep_json", "sends_fatal_frame", "sends_surrogate"]
)
def test_a_broken_frame_is_a_crash(bench, entry):
    result = bench.run(entry)

    assert result.cause is ExitCause.CRASHED
    assert result.reason.startswith("broke the protocol")


@pytest.mark.parametrize("entry", ["loops_in_c", "ignores_sigterm", "stops_itself", "closes_its_socket"])
def test_what_does_not_end_is_killed(bench, entry):
    result = bench.run(entry, Limits(wall_seconds=0.5))

    assert (result.cause, result.reason) == (ExitCause.TIMEOUT, "still running after 0.5 s")
    assert 0.5 <= result.wall_seconds < 1.0
    assert result.seconds_to_kill < 0.5


def test_an_endless_limit_is_allowed(bench):
    assert bench.run("sleeps", Limits(wall_seconds=float("inf")), seconds=0).cause is ExitCause.OK


def test_a_memory_bomb_is_killed(bench):
    result = bench.run("bombs_memory", Limits(wall_seconds=20, memory_bytes=300 << 20))

    assert result.cause is ExitCause.OUT_OF_MEMORY
    assert "at most 300 MiB are allowed" in result.reason
    assert result.peak_memory_bytes > 300 << 20


def test_memory_that_hides_behind_a_dead_main_thread_is_found(bench):
    limits = Limits(wall_seconds=20, memory_bytes=500 << 20)

    lasting = bench.run("hides_memory", limits, mebibytes=100, seconds=10)
    brief = bench.run("hides_memory", limits, mebibytes=700, seconds=0)

    assert (lasting.cause, lasting.reason) == (
        ExitCause.CRASHED,
        "its main thread ended, which hides what the others hold",
    )
    assert brief.cause in (ExitCause.OUT_OF_MEMORY, ExitCause.CRASHED)
    assert brief.outputs == {}


def test_memory_that_was_held_between_two_looks_is_found(bench, monkeypatch):
    monkeypatch.setattr("netwright.sandbox.watch.POLL_MILLISECONDS", 60_000)

    result = bench.run("holds_memory", Limits(wall_seconds=20, memory_bytes=300 << 20), mebibytes=400)

    assert result.cause is ExitCause.OUT_OF_MEMORY
    assert "at most 300 MiB are allowed" in result.reason


def test_asking_for_more_address_space_than_there_may_be_is_out_of_memory(bench):
    assert bench.run("bombs_address_space").cause is ExitCause.OUT_OF_MEMORY


def test_a_thread_bomb_is_killed(bench):
    result = bench.run("bombs_threads", Limits(wall_seconds=20, threads=16))

    assert result.cause is ExitCause.TOO_MANY_THREADS
    assert "at most 16 are allowed" in result.reason


def test_too_many_open_files_are_an_end_of_their_own(bench):
    result = bench.run("opens_too_many")

    assert result.cause is ExitCause.TOO_MANY_FILES
    assert "at most 256 are allowed" in result.reason


STAGES = {"compile": 0.3, "build": 0.3, "training": 20.0}


def test_a_stage_that_takes_too_long_ends_the_job_and_is_named(bench):
    stages = [("build", 0.1), ("training", 0.1)]
    limits = Limits(stage_seconds=STAGES)

    in_time = bench.run("passes_stages", limits, stages=stages)
    at_first = bench.run("sleeps", limits)
    in_between = bench.run("passes_stages", limits, stages=[("build", 20.0)])

    assert in_time.cause is ExitCause.OK
    assert [name for name, _ in in_time.stages] == list(STAGES)
    assert all(seconds >= 0.05 for _, seconds in in_time.stages[1:])
    assert (at_first.cause, at_first.stages[-1][0]) == (ExitCause.STAGE_TIMEOUT, "compile")
    assert in_between.cause is ExitCause.STAGE_TIMEOUT
    assert in_between.reason == "stage 'build' still running after 0.3 s"


@pytest.mark.parametrize("stages", [[("build", 0), ("compile", 0.5)], [("build", 0), ("bonus", 0.5)], [("build", 0.5)]])
def test_a_job_cannot_go_back_to_a_stage_nor_invent_one(bench, stages):
    result = bench.run("passes_stages", Limits(stage_seconds=STAGES), stages=stages)

    assert (result.cause, result.stages[-1][0]) == (ExitCause.STAGE_TIMEOUT, "build")


def test_what_went_in_and_came_out_is_counted(bench):
    job = Job(
        entry="sandbox_entries:honest", payload={"numbers": []}, inputs={"text": b"x" * 1000}, outputs={"text": 2000}
    )

    result = bench.sandbox.run(job)

    assert 1000 < result.bytes_in < 1500
    assert 2000 < result.bytes_out < 4000


def test_how_it_was_confined_and_how_it_ended_is_known(bench):
    ended, crashed = bench.run("sleeps", seconds=0), bench.run("segfaults")

    assert ended.policy == crashed.policy == policy_hash(bench.sandbox.tier, "cpu")
    assert {"no_new_privs", "rlimits", "capabilities", "landlock", "seccomp"} <= {name for name, _ in ended.layers}
    assert (ended.exit_code, crashed.exit_code) == (None, -11)
    assert ended.left_behind == 0


def test_cpu_time_that_threads_use_up_beside_each_other_has_its_own_end(bench):
    result = bench.run("burns_cpu", Limits(wall_seconds=30, threads=1), cpu_seconds=1)

    assert (result.cause, result.reason) == (ExitCause.TOO_MUCH_CPU, "used up its CPU time on several threads")


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ("floods_stages", "at most 10000 of 1048576 bytes"),
        ("floods_stdout", "bytes to stdout and stderr, at most 65536"),
        ("floods_events", "at most 10000 of 1048576 bytes"),
        ("sends_giant_frame", "a frame of 2147483648 bytes, at most 65536"),
        ("replies_too_much", "at most 65536"),
    ],
)
def test_too_much_output_is_cut_off(bench, entry, words):
    result = bench.run(entry)

    assert result.cause is ExitCause.TOO_MUCH_OUTPUT
    assert words in result.reason
    assert len(result.last_output) <= 4096


def test_a_failed_job_returns_no_outputs(bench):
    result = bench.sandbox.run(Job(entry="sandbox_entries:raises", payload={"message": "no"}, outputs={"weights": 16}))

    assert result.outputs == {}


def test_the_measurements_are_the_parents(bench):
    result = bench.run("sleeps", seconds=0.2)

    assert result.cause is ExitCause.OK
    assert 0.2 <= result.wall_seconds < 0.6
    assert result.cpu_seconds < 0.1
    assert result.peak_memory_bytes > 5 << 20
    assert 0 < result.start_seconds < 5
    assert result.tier == bench.sandbox.tier


def test_a_warm_spare_is_used_once_there_is_one(bench):
    bench.sandbox.wait_until_warm()

    assert bench.run("sleeps", seconds=0).warm


def test_shared_input_serves_many_jobs(bench):
    shared = bench.sandbox.share(b"corpus")
    job = Job(entry="sandbox_entries:honest", payload={"numbers": []}, inputs={"text": shared}, outputs={"text": 8})

    assert [bench.sandbox.run(job).outputs["text"] for _ in range(2)] == [b"CORPUS\0\0"] * 2


def test_events_arrive_while_the_job_runs(bench):
    seen = []

    bench.sandbox.run(
        Job(entry="sandbox_entries:sleeps", payload={"seconds": 0.3}),
        on_event=lambda event: seen.append(time.monotonic()),
    )

    assert time.monotonic() - seen[0] > 0.25


def test_an_exception_of_the_listener_ends_the_job(bench):
    def stop(event):
        raise LookupError("enough")

    with pytest.raises(LookupError):
        bench.sandbox.run(Job(entry="sandbox_entries:sleeps"), on_event=stop)


def test_an_unknown_entry_and_a_giant_payload_are_refused(bench):
    with pytest.raises(SandboxError, match="unknown entry 'os:system'"):
        bench.sandbox.run(Job(entry="os:system"))
    with pytest.raises(SandboxError, match="hand it over as an input"):
        bench.run("honest", text="x" * (1 << 20))


def test_running_before_start_says_what_to_do():
    with pytest.raises(SandboxError, match="start"):
        Sandbox(slots=1, entries=["a:b"]).run(Job(entry="a:b"))


def test_a_frame_arrives_even_if_the_reader_is_gone_before_the_sender_looks_again():
    sender, reader = socket.socketpair()

    class Preempted(socket.socket):
        def sendmsg(self, *arguments):
            sent = super().sendmsg(*arguments)
            reader.recv(1 << 16)
            reader.close()
            return sent

    with Preempted(fileno=sender.detach()) as preempted:
        wire.send_frame(preempted, {"job": 1}, [0])

    assert reader.fileno() == -1


def test_frames_are_reassembled_from_any_pieces():
    frames = wire.encode({"a": 1}) + wire.encode({"b": "ä"})
    reader = wire.FrameReader(100)

    bodies = [body for byte in frames for body in reader.feed(bytes([byte]))]

    assert [wire.decode(body) for body in bodies] == [{"a": 1}, {"b": "ä"}]


@pytest.mark.parametrize("body", [b"[1]", b"{", b"\xff", b'{"a": "\\ud800"}', b"[" * 100_000])
def test_bytes_that_are_no_json_object_are_refused(body):
    with pytest.raises(wire.BrokenFrame):
        wire.decode(body)

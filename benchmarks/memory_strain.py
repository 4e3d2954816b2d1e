"""Growth, readers beside a writer, and kills, for benchmarks/memory.py."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import threading
import time
from multiprocessing.queues import SimpleQueue
from pathlib import Path
from statistics import mean, median

import memory_made

from netwright.campaign.running import run_campaign
from netwright.config_file import load_config
from netwright.errors import NetwrightError
from netwright.evaluator.structure import STRUCTURE_VERSION
from netwright.memory import query
from netwright.memory.connection import FILE_NAME
from netwright.memory.records import ExperimentRecord
from netwright.memory.search import search
from netwright.memory.store import Memory
from netwright.types import Action, Operator, Score

FORK = multiprocessing.get_context("fork")
READERS = 8
VECTOR_BYTES = 768
WAIT_SECONDS = 1.0
"""What nobody should wait for anything."""


def print_growth(home: Path, trials: int) -> None:
    """Run a small campaign, and weigh the file whenever an experiment was remembered."""
    told = {"task": "recall", "name": "small", "baselines": ["softmax_attention", "gated_convolution"]}
    Memory.open(home).close()
    sizes: dict[int, int] = {}
    over = threading.Event()
    scale = threading.Thread(target=_weigh, args=(home, sizes, over))
    scale.start()
    run_campaign(home, load_config(None, {**told, "budget.trials": trials, "workers": 1}))
    over.set()
    scale.join()
    known = sorted(sizes.items())
    steps = [(b - a) / (m - n) / 1024 for (n, a), (m, b) in zip(known, known[1:], strict=False)]
    print(f"{known[-1][0]} records of experiments, {known[-1][1] / 2**20:.2f} MiB in all; growth with each, KiB:")
    print(" ".join(f"{step:.0f}" for step in steps))
    print(f"median {median(steps):.1f} KiB, mean {mean(steps):.1f} KiB (median to reach: 50)")


def _weigh(home: Path, sizes: dict[int, int], over: threading.Event) -> None:
    """Keep how many bytes of the file are in use, by how many records of experiments it has."""
    with Memory.open(home, read_only=True) as memory:
        while not over.wait(0.05):
            row = memory.connection.rows(
                "SELECT (SELECT count(*) FROM journal), c.page_count, f.freelist_count, s.page_size "
                "FROM pragma_page_count c, pragma_freelist_count f, pragma_page_size s"
            )[0]
            sizes[row[0]] = (row[1] - row[2]) * row[3]


def _write(
    home: Path, maker: memory_made.Maker, told: SimpleQueue[tuple[str, int, float]] | None, seconds: float
) -> None:
    """Write experiments until killed, or for so many seconds; then tell how many, and the longest write."""
    maker.rng.seed(os.getpid())
    longest, end = 0.0, time.monotonic() + seconds
    with Memory.open(home) as memory:
        names = {each.name for each in memory.campaigns()}
        campaign = memory.campaign("c") if "c" in names else memory.start_campaign("c", memory_made.TASK, 1, {})
        first = index = len(memory.actions(campaign.id))
        for candidate, structure in maker.candidates(10**9):
            began = time.monotonic()
            if began > end:
                break
            action = Action(index=index, kind="expand", operator=Operator.DRAFT, told=index)
            trial = maker.trial(candidate)
            assert trial.loss_nats is not None
            score = Score(value=-trial.loss_nats, standard_error=0.01, rung=0, seeds=1)
            memory.put_action(campaign.id, action)
            memory.put_candidate(candidate)
            memory.put_structure(candidate.id, memory_made.TASK.id, STRUCTURE_VERSION, structure)
            memory.put_trial(campaign.id, trial)
            record = ExperimentRecord(
                node=index, action=action, operator=Operator.DRAFT, candidate_id=candidate.id, score=score,
                verdict=maker.verdict(),
            )  # fmt: skip
            memory.remember(campaign.id, record)
            longest = max(longest, time.monotonic() - began)
            index += 1
    if told is not None:
        told.put(("writer", index - first, longest))


def _read(home: Path, maker: memory_made.Maker, told: SimpleQueue[tuple[str, int, float]], seconds: float) -> None:
    """Search and list for so many seconds; tell how often, and the longest."""
    longest, count, what = 0.0, 0, "reader"
    end = time.monotonic() + seconds
    try:
        with Memory.open(home, read_only=True) as memory:
            while time.monotonic() < end:
                words, began = maker.words(3), time.monotonic()
                search(memory, words) if count % 2 else query.top(memory, limit=10)
                longest, count = max(longest, time.monotonic() - began), count + 1
    except NetwrightError as error:
        what = f"ERROR: {error}"
    told.put((what, count, longest))


def print_readers(home: Path, seconds: float) -> None:
    """Have one process write and eight read."""
    Memory.open(home).close()
    told: SimpleQueue[tuple[str, int, float]] = FORK.SimpleQueue()
    maker = memory_made.Maker()
    readers = [FORK.Process(target=_read, args=(home, maker, told, seconds)) for _ in range(READERS)]
    processes = [FORK.Process(target=_write, args=(home, maker, told, seconds)), *readers]
    for process in processes:
        process.start()
    answers = [told.get() for _ in processes]
    for process in processes:
        process.join()
    print(f"{seconds:g} s, one writer and {READERS} readers on {os.cpu_count()} cores")
    for what, count, longest in sorted(answers, reverse=True):
        print(f"{what}: {count} {'experiments' if what == 'writer' else 'questions'}, the longest took {longest:.3f} s")
    errors = sum(what.startswith("ERROR") for what, _, _ in answers)
    waits = sum(longest > WAIT_SECONDS for _, _, longest in answers)
    print(f"errors: {errors}; processes that waited over {WAIT_SECONDS:g} s: {waits}")


def print_kills(home: Path, times: int) -> None:
    """Kill a writer so often, and look at the file each time."""
    maker, rng, whole = memory_made.Maker(), random.Random(0), 0
    for _ in range(times):
        child = FORK.Process(target=_write, args=(home, maker, None, 60.0))
        child.start()
        assert child.pid is not None
        time.sleep(rng.uniform(0.0, 1.0))
        os.kill(child.pid, signal.SIGKILL)
        child.join()
        whole = _whole(home, whole) if (home / FILE_NAME).exists() else 0
    print(f"{times} kills: the file opened each time; {whole} experiments, none of them half")


def _whole(home: Path, known: int) -> int:
    """How many experiments there are; raises where one is half there, an index is wrong or one is lost."""
    with Memory.open(home) as memory:
        rows = memory.connection.rows
        assert rows("PRAGMA quick_check")[0][0] == "ok"
        assert rows("PRAGMA foreign_key_check") == []
        rows("INSERT INTO candidates_fts(candidates_fts) VALUES ('integrity-check')")
        parts = [
            rows(f"SELECT count(*) FROM {part}")[0][0]
            for part in ("nodes", "scores", "verdicts", "journal", "actions WHERE state = 'done'")
        ]
        vectors = rows("SELECT count(*), sum(stamp > 0), sum(length(vector)) FROM vectors")[0]
        candidates = rows("SELECT count(*) FROM candidates")[0][0]
        assert len(set(parts)) == 1 and parts[0] >= known, parts
        assert vectors[0] == candidates and (vectors[2] or 0) == VECTOR_BYTES * (vectors[1] or 0), tuple(vectors)
        return int(parts[0])

"""How long pages of `netwright serve` take over a memory with a campaign of many experiments.

    python benchmarks/pages.py [--experiments 10000] [--rounds 3] [--home DIR]

Each page is asked for over HTTP after a write that changes nothing which it shows, so that it is made anew, and once
more as it was kept. Wall seconds, best of the rounds; CPU is that of the server. With playwright and a Chromium at
/usr/bin/chromium also what a browser takes until the page is there. Without --home the memory is made first.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from many_experiments import fill

from netwright.memory import Memory
from netwright.memory.query import top

PORT = 8799
CHROMIUM = "/usr/bin/chromium"
TICKS = os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--experiments", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--home", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = options.home or Path(folder)
        if options.home is None:
            fill(home, options.experiments)
        paths = _paths(home)
        with _served(home) as process:
            print(f"{'page':<34}{'bytes':>10}{'made s':>9}{'CPU s':>8}{'kept s':>9}{'browser s':>11}")
            for path in paths:
                _print(path, home, process.pid, options.rounds)


def _paths(home: Path) -> list[str]:
    with Memory.open(home, create=False, read_only=True) as memory:
        name = memory.campaign().name
        best = top(memory, campaign=name, limit=2, baselines=False)
    pages = ["/", f"/campaign/{name}", f"/campaign/{name}/tree", f"/campaign/{name}/tree.json"]
    pages += [f"/experiment/{best[0].short}", f"/compare?id={best[0].short}&id={best[1].short}", "/lessons"]
    return [*pages, "/search?q=gated+decay", "/memory", "/memory/leaderboard", "/memory/candidates", "/memory/failures"]


@contextmanager
def _served(home: Path) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "netwright", "serve", "--home", str(home), "--port", str(PORT)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        for _ in range(600):
            try:
                _fetch("/")
                break
            except OSError:
                time.sleep(0.1)
        yield process
    finally:
        process.terminate()
        process.wait()


def _print(path: str, home: Path, pid: int, rounds: int) -> None:
    made, cpu, kept = [], [], []
    for _ in range(rounds):
        _touch(home)
        before = _cpu_seconds(pid)
        seconds, size = _fetch(path)
        made.append(seconds)
        cpu.append(_cpu_seconds(pid) - before)
        kept.append(_fetch(path)[0])
    shown = path if len(path) < 34 else f"{path[:32]}…"
    browser = _browser_seconds(path)
    seen = "-" if browser is None else f"{browser:.2f}"
    print(f"{shown:<34}{size:>10,}{min(made):>9.3f}{min(cpu):>8.2f}{min(kept):>9.3f}{seen:>11}", flush=True)


def _touch(home: Path) -> None:
    with Memory.open(home, create=False) as memory:
        memory.update_campaign(memory.campaign().id, elapsed_seconds=time.time())


def _fetch(path: str) -> tuple[float, int]:
    began = time.perf_counter()
    with urllib.request.urlopen(f"http://127.0.0.1:{PORT}{path}", timeout=60) as answer:
        size = len(answer.read())
    return time.perf_counter() - began, size


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def _browser_seconds(path: str) -> float | None:
    """From the request to the load event of a page that the server has kept."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        return None
    if not Path(CHROMIUM).exists() or path.endswith(".json"):
        return None
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page()
        page.goto(f"http://127.0.0.1:{PORT}{path}")
        milliseconds = page.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd")
        browser.close()
    return float(milliseconds) / 1000


if __name__ == "__main__":
    main()

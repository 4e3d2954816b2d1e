"""A clean process reads libraries and its folder, writes into one other, and reaches nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import netwright
from netwright.sandbox.clean import run_clean

HOME = str(Path(netwright.__path__[0]).parent)
SCRIPT = """
import json, os, socket, sys
order = json.load(sys.stdin)
sys.path.insert(0, order["home"])
from netwright.sandbox.clean import confine
confine(order["readable"], order["scratch"], 30)
scratch = order["scratch"]

def write(path):
    with open(path, "w") as file:
        file.write("x")

def refused(attempt):
    try:
        attempt()
    except OSError:
        return True
    return False

def allowed():
    os.mkdir(f"{scratch}/folder")
    write(f"{scratch}/folder/one")
    os.rename(f"{scratch}/folder/one", f"{scratch}/folder/two")
    os.unlink(f"{scratch}/folder/two")
    os.rmdir(f"{scratch}/folder")

found = {
    "its scratch": not refused(allowed),
    "its folder": not refused(lambda: open(order["given"] + "/given").read()),
    "a library": not refused(lambda: open(json.__file__).read()),
    "another file": not refused(lambda: open("/etc/passwd").read()),
    "its folder, to write": not refused(lambda: write(order["given"] + "/new")),
    "a socket": not refused(socket.socket),
    "a process": not refused(lambda: os.fork() or os._exit(0)),
    "a program": not refused(lambda: os.execv("/bin/true", ["true"])),
    "a signal": not refused(lambda: os.kill(os.getppid(), 0)),
    "a link": not refused(lambda: os.symlink("/etc", f"{scratch}/link")),
    "the environment": "NETWRIGHT_API_KEY" in os.environ,
}
write(f"{scratch}/found.json")
with open(f"{scratch}/found.json", "w") as file:
    json.dump(found, file)
"""


@pytest.fixture
def script(tmp_path):
    def make(text: str) -> Path:
        (tmp_path / "script.py").write_text(text)
        return tmp_path / "script.py"

    return make


def test_what_is_given_can_be_read_and_all_else_is_refused(tmp_path, script, monkeypatch):
    monkeypatch.setenv("NETWRIGHT_API_KEY", "secret")
    scratch, given = tmp_path / "scratch", tmp_path / "given"
    scratch.mkdir()
    given.mkdir()
    (given / "given").write_text("x")
    order = {"home": HOME, "readable": [str(given)], "scratch": str(scratch), "given": str(given)}

    ended = run_clean(script(SCRIPT), order, scratch=scratch, seconds=30)

    assert ended.code == 0, ended.log
    found = json.loads((scratch / "found.json").read_text())
    assert [what for what, reached in found.items() if reached] == ["its scratch", "its folder", "a library"]


def test_one_that_does_not_end_is_ended(tmp_path, script):
    ended = run_clean(script("print('begun', flush=True)\nwhile True: pass"), {}, scratch=tmp_path, seconds=1)

    assert ended.code is None and "begun" in ended.log

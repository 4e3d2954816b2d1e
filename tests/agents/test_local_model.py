"""A model in place of a URL: what is wrong with it is said at once, and a silent hub is not waited for."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from netwright.agents.local_model import check_local_model, settled
from netwright.errors import ConfigError

CHECK = "import sys; from netwright.agents.local_model import check_local_model; check_local_model(sys.argv[1])"


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("hf:/models/tiny", "hf:/models/tiny"),
        ("hf:/models/../models/tiny/", "hf:/models/tiny"),
        ("hf:./absent", "hf:FOLDER/absent"),
        ("hf:mine", "hf:FOLDER/mine"),
        ("hf:mine/deeper", "hf:FOLDER/mine/deeper"),
        ("hf:Qwen/Qwen3-4B", "hf:Qwen/Qwen3-4B"),
        ("hf:~/tiny", "hf:HOME/tiny"),
        ("hf:", "hf:"),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
    ],
)
def test_a_path_is_put_in_full_from_where_it_was_written_and_a_name_stays(
    tmp_path: Path, written: str, meant: str
) -> None:
    (tmp_path / "mine" / "deeper").mkdir(parents=True)

    expected = meant.replace("FOLDER", str(tmp_path)).replace("HOME", str(Path.home()))

    assert settled(written, tmp_path) == expected


def test_a_folder_with_a_configuration_will_do(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')

    check_local_model(f"hf:{tmp_path}")


def test_what_is_wrong_with_a_folder_is_said(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "config.json").write_text("{")
    (tmp_path / "model.gguf").write_bytes(b"GGUF")

    for name, words in {
        "absent": "there is no folder .*absent; check the path",
        "empty": "has no config.json, so it is no model of transformers",
        "broken": "config.json cannot be read",
        "model.gguf": "is a file: .*for a GGUF file start llama.cpp",
        "at@home": "takes what follows an @ for a revision",
    }.items():
        with pytest.raises(ConfigError, match=f"^hf:{tmp_path}/{name}.*{words}"):
            check_local_model(f"hf:{tmp_path}/{name}")


@pytest.mark.parametrize("name", ["", "two words", "-dtype", "a/b/c", "http://x"])
def test_what_can_be_no_name_is_said(name: str) -> None:
    with pytest.raises(ConfigError, match="expected hf: and a folder with a model, or its name"):
        check_local_model(f"hf:{name}")


def test_where_the_serving_extra_is_missing_its_packages_and_the_remedy_are_named(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    without = "import sys; sys.modules['fastapi'] = sys.modules['uvicorn'] = None; "

    assert wrong_with(f"hf:{tmp_path}", tmp_path, code=without + CHECK).endswith(
        f"hf:{tmp_path} is served by `transformers serve`, which lacks fastapi, uvicorn: "
        "pip install 'transformers[serving]'"
    )


# --- names of the hub, in a process of its own, as the hub's package reads the environment when it is imported -------


@pytest.fixture
def hub() -> Iterator[str]:
    """A hub that knows no model."""

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_response(404 if "/" in self.path.strip("/") else 200)
            self.send_header("X-Error-Code", "RepoNotFound")
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


def wrong_with(url: str, home: Path, code: str = CHECK, **environment: str) -> str:
    """What the check of `url` raises; empty where it finds nothing."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "TRANSFORMERS_"))}
    done = subprocess.run(
        [sys.executable, "-c", code, url],
        env={**kept, "HF_HOME": str(home), **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    lines = done.stderr.strip().splitlines()
    assert not lines or lines[-1].startswith("netwright.errors.ConfigError: ")
    return lines[-1] if lines else ""


def test_a_name_that_is_not_in_the_cache_is_not_asked_for_where_the_hub_is_forbidden(tmp_path: Path) -> None:
    wrong = wrong_with("hf:some/model", tmp_path, HF_HUB_OFFLINE="1")

    assert f"no folder 'some/model' here, and the cache of models ({tmp_path / 'hub'}) lacks it" in wrong
    assert "HF_HUB_OFFLINE forbids to ask the hub" in wrong


def test_a_hub_that_cannot_be_reached_is_asked_once(tmp_path: Path) -> None:
    wrong = wrong_with("hf:some/model", tmp_path, HF_ENDPOINT="http://127.0.0.1:9")

    assert "the hub cannot be reached (http://127.0.0.1:9: " in wrong and "mend the connection" in wrong


def test_a_name_that_the_hub_does_not_know_is_said(tmp_path: Path, hub: str) -> None:
    assert "the hub does not know it either, or wants HF_TOKEN: check the name" in wrong_with(
        "hf:some/model", tmp_path, HF_ENDPOINT=hub
    )


@pytest.mark.parametrize("revision", ["", "@v2"])
def test_a_name_in_the_cache_needs_no_hub(tmp_path: Path, revision: str) -> None:
    commit = "0123456789" * 4
    repository = tmp_path / "hub" / "models--some--model"
    (repository / "snapshots" / commit).mkdir(parents=True)
    (repository / "snapshots" / commit / "config.json").write_text("{}")
    (repository / "refs").mkdir()
    (repository / "refs" / (revision.removeprefix("@") or "main")).write_text(commit)

    assert wrong_with(f"hf:some/model{revision}", tmp_path, HF_HUB_OFFLINE="1") == ""
    assert wrong_with(f"hf:some/model{revision}", tmp_path, HF_ENDPOINT="http://127.0.0.1:9") == ""
    assert "lacks it" in wrong_with("hf:some/model@other", tmp_path, HF_HUB_OFFLINE="1")

"""Vectors come from a real HTTP server, and whatever else it answers is one sentence."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from netwright.agents.embedding import EndpointEmbedder
from netwright.errors import ConfigError, ProviderError
from netwright.memory import Knowledge, Memory, vectors
from netwright.memory.search import search


class Embeddings(ThreadingHTTPServer):
    """A server that knows which of two things a text is about; `says` is answered in its place, where set."""

    says: tuple[int, str] | None = None

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[dict] = []
        self.keys: list[str | None] = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: Embeddings

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append(body)
        self.server.keys.append(self.headers["Authorization"])
        rows = [
            {"index": place, "embedding": [1.0, 0.0] if "fox" in text or "animal" in text else [0.0, 2.0]}
            for place, text in enumerate(body["input"])
        ]
        found = self.path == "/v1/embeddings"
        code, text = self.server.says or (200 if found else 404, json.dumps({"data": rows[::-1]} if found else {}))
        self.send_response(code)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Embeddings]:
    with Embeddings() as found:
        thread = threading.Thread(target=found.serve_forever, args=(0.01,))
        thread.start()
        yield found
        found.shutdown()
        thread.join()


@pytest.mark.parametrize("path", ["", "/v1", "/v1/"])
def test_vectors_come_in_the_order_of_the_texts(server: Embeddings, path: str) -> None:
    found = EndpointEmbedder(server.url + path, "small", "secret").embed(["a fox", "a stone"])

    assert np.array_equal(found, [[1.0, 0.0], [0.0, 2.0]])
    assert server.asked[-1]["model"] == "small"
    assert server.keys[-1] == "Bearer secret"


def test_a_memory_is_searched_by_what_a_model_finds_alike(server: Embeddings, tmp_path) -> None:
    embedder = EndpointEmbedder(server.url, "small")
    with Memory.open(tmp_path / "home") as memory:
        for title in ("red fox", "grey stone"):
            memory.put_knowledge(Knowledge(kind="note", title=title, text=""))
        assert vectors.fill(memory.connection, embedder) == 2

        (first, _) = search(memory, "an animal and a stone", embedder=embedder)
        (only,) = search(memory, "stone animal", kinds=["alike"], embedder=embedder)

    assert first.title == "grey stone"  # by its words, too
    assert (only.title, only.why) == ("red fox", "small finds its meaning like it (cosine 1.00)")


@pytest.mark.parametrize(
    ("says", "sentence"),
    [
        ((500, '{"error": {"message": "out of memory"}}'), "HTTP 500: out of memory"),
        ((200, "no JSON"), "without a vector for each of 1 texts; look whether 'small' is a model for embeddings"),
        ((200, '{"data": []}'), "without a vector for each of 1 texts"),
        ((200, '{"data": [{"index": 0, "embedding": [1e999]}]}'), "without a vector for each of 1 texts"),
        ((404, '{"error": {"message": "no such model"}}'), "HTTP 404: no such model"),
    ],
)
def test_what_is_no_vector_is_one_sentence(server: Embeddings, says: tuple[int, str], sentence: str) -> None:
    server.says = says

    with pytest.raises(ProviderError, match=sentence):
        EndpointEmbedder(server.url, "small").embed(["a fox"])


def test_a_server_that_is_not_there_is_named(server: Embeddings) -> None:
    with pytest.raises(ProviderError, match=r"endpoint http://127.0.0.1:9/v1: the connection failed: .*"):
        EndpointEmbedder("http://127.0.0.1:9", "small").embed(["a fox"])


def test_what_is_no_url_is_refused() -> None:
    with pytest.raises(ConfigError, match="expected the URL of an endpoint"):
        EndpointEmbedder("ftp://x", "small")

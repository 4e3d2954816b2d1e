"""Vectors of texts from an OpenAI-compatible server (`POST /embeddings`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

import httpx2
import numpy as np
from numpy.typing import NDArray

from netwright.agents.faults import Fault, error_text, fault_of_status
from netwright.agents.profile import without_secrets
from netwright.agents.transport import LOOPBACK, candidate_urls
from netwright.errors import MalformedReply, ProviderError

SECONDS = 120.0
"""For one request: a local server may have to load the model first."""


class EndpointEmbedder:
    """Makes vectors by a model that a server has; `name` is the model's."""

    def __init__(self, url: str, model: str, api_key: str | None = None) -> None:
        """Take the server at `url`.

        Raises:
            ConfigError: it is no http(s) URL.
        """
        self.name = model
        self._urls = candidate_urls(url)
        self._headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the vectors of the texts, shape (texts, dimensions).

        Raises:
            ProviderError: the server did not answer, or with no such vectors.
        """
        # A proxy named in the environment would catch loopback addresses too.
        trust = urlsplit(self._urls[0]).hostname not in LOOPBACK
        with httpx2.Client(timeout=SECONDS, trust_env=trust, headers=self._headers) as client:
            for url in self._urls:
                answer = self._post(client, url, texts)
                if answer.status_code != 404:
                    break
        if answer.status_code != 200:
            said = error_text(answer.text)
            fault = fault_of_status(answer.status_code, said)
            raise self._error(f"HTTP {answer.status_code}: {said}", fault.remedy)
        return self._vectors(answer, len(texts))

    def _post(self, client: httpx2.Client, url: str, texts: Sequence[str]) -> httpx2.Response:
        body = {"model": self.name, "input": list(texts), "encoding_format": "float"}
        try:
            return client.post(f"{url}/embeddings", json=body)
        except httpx2.TimeoutException:
            raise self._error(f"no answer within {SECONDS:g} s", Fault.TIMEOUT.remedy) from None
        except httpx2.HTTPError as error:
            raise self._error(f"the connection failed: {error}", Fault.UNREACHABLE.remedy) from None

    def _vectors(self, answer: httpx2.Response, wanted: int) -> NDArray[np.float32]:
        try:
            rows: list[Any] = sorted(answer.json()["data"], key=lambda row: row["index"])
            vectors = np.array([row["embedding"] for row in rows], np.float32)
        except (ValueError, TypeError, KeyError):
            vectors = np.empty(0, np.float32)
        if vectors.ndim != 2 or len(vectors) != wanted or not np.isfinite(vectors).all():
            raise MalformedReply(
                f"endpoint {without_secrets(self._urls[0])}: it answered without a vector for each of {wanted} texts; "
                f"look whether {self.name!r} is a model for embeddings"
            )
        return vectors

    def _error(self, what: str, remedy: str) -> ProviderError:
        return ProviderError(f"endpoint {without_secrets(self._urls[0])}: {what}; {remedy}")

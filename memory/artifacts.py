"""Files beside the database: weights by content, candidates by name, checkpoints for as long as a training runs."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from pathlib import Path

from netwright.errors import NotFound, StoreError
from netwright.memory.rows import SHORT
from netwright.types import Candidate


class Artifacts:
    """HOME/artifacts. A file is there whole or not at all, and, but for checkpoints, never changes once it is there."""

    def __init__(self, home: Path) -> None:
        self.folder = home / "artifacts"

    def put_weights(self, data: bytes) -> str:
        """Keep a safetensors file and return its SHA-256 in hex, by which it is found."""
        digest = hashlib.sha256(data).hexdigest()
        path = self.weights_path(digest)
        if not path.exists():
            _write_whole(path, data)
        return digest

    def weights_path(self, digest: str) -> Path:
        """Where the weights with this SHA-256 are, if they were kept."""
        return self.folder / "weights" / f"{digest}.safetensors"

    def weights(self, digest: str) -> bytes:
        """Read weights back.

        Raises:
            NotFound: they are not there.
            StoreError: the file was damaged.
        """
        path = self.weights_path(digest)
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            raise NotFound(f"{path} is gone: train the candidate again with `netwright evaluate`") from None
        if hashlib.sha256(data).hexdigest() != digest:
            raise StoreError(f"{path} is damaged (its SHA-256 is not its name): delete it and train again")
        return data

    def put_checkpoint(self, name: str, data: bytes) -> None:
        """Keep where a training stands, in the place of what was kept under that name."""
        _write_whole(self._checkpoint_path(name), data)

    def checkpoint(self, name: str) -> bytes | None:
        """Read a checkpoint back, None if there is none."""
        try:
            return self._checkpoint_path(name).read_bytes()
        except FileNotFoundError:
            return None

    def drop_checkpoint(self, name: str) -> None:
        """Delete a checkpoint, if there is one."""
        self._checkpoint_path(name).unlink(missing_ok=True)

    def _checkpoint_path(self, name: str) -> Path:
        return self.folder / "checkpoints" / f"{name}.checkpoint"

    def put_candidate(self, campaign: str, candidate: Candidate) -> Path:
        """Write the candidate's file where people find it and return its path."""
        name = f"{candidate.id[:SHORT]}-{slug(candidate.title)}.py"
        path = self.folder / slug(campaign) / name
        if not path.exists():
            _write_whole(path, candidate.source.encode())
        return path


def slug(text: str, length: int = 48) -> str:
    """`text` as a file name: lower case letters, digits and hyphens."""
    words = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    return words[:length].strip("-") or "untitled"


def _write_whole(path: Path, data: bytes) -> None:
    """Write beside the target, flush to disk, then rename: a crash leaves no half file under the name."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".writing-")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {error.strerror}; free or choose another --home") from error

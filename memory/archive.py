"""A memory as one file: a zip of `memory.db`, the artifacts beside it, and a manifest that names and hashes each part.

It is written whole or not at all. Read, it is what anybody may have made: every part is held against the manifest, and
only names that a memory itself would give come near the disk.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import sqlite3
import stat
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO, Annotated, Literal

from pydantic import Field, ValidationError

from netwright.errors import ConfigError, DataError, NotFound, StoreError
from netwright.memory.connection import FILE_NAME, explained, inspect, now, open_to_read
from netwright.types import Frozen

SUFFIX = ".netwright"
MANIFEST = "manifest.json"
MANIFEST_BYTES = 64 * 2**20
SPARE_BYTES = 64 * 2**20
_CHUNK = 2**20
_WEIGHTS = re.compile(r"artifacts/weights/([0-9a-f]{64})\.safetensors")
_CODE = re.compile(r"artifacts/[a-z0-9][a-z0-9-]{0,63}/([0-9a-f]{10})-[a-z0-9-]{1,64}\.py")

OnPart = Callable[[str, int], None]
"""Told of each part: its name and its bytes."""


class Part(Frozen):
    """One file of an archive: its length and the SHA-256 of what it holds, in hex."""

    bytes: Annotated[int, Field(ge=0)]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Manifest(Frozen):
    """What an archive says of itself; `counts` are rows of the main tables, `parts` go by their names."""

    format: Literal["netwright memory 1"] = "netwright memory 1"
    schema_version: int
    created: str
    counts: dict[str, int]
    parts: dict[str, Part]

    @property
    def bytes(self) -> int:
        """Of all parts."""
        return sum(part.bytes for part in self.parts.values())

    @property
    def artifacts(self) -> dict[str, Part]:
        return {name: part for name, part in self.parts.items() if name != FILE_NAME}


def is_archive(path: Path) -> bool:
    """Whether the file was meant to be an archive, by its name or its first bytes."""
    return path.suffix == SUFFIX or (path.is_file() and zipfile.is_zipfile(path))


def write(home: Path, file: Path, *, weights: bool, on_part: OnPart) -> Manifest:
    """Put the memory in `home`, as it is at this moment, into `file`, also while a campaign writes.

    Raises:
        NotFound: there is no memory.
        ConfigError: `file` exists already.
        StoreError: something cannot be read or written; nothing is left of `file`.
    """
    source = home / FILE_NAME
    if not source.exists() or inspect(source) == 0:
        raise NotFound(f"there is no memory in {home}: name another one with --home")
    if file.exists():
        raise ConfigError(f"{file} exists already: name another file, or delete it")
    try:
        with tempfile.TemporaryDirectory(dir=file.absolute().parent, prefix=".exporting-") as folder:
            snapshot, unfinished = Path(folder) / FILE_NAME, Path(folder) / "archive"
            version, counts = _snapshot(source, snapshot)
            with os.fdopen(os.open(unfinished, os.O_CREAT | os.O_RDWR, 0o600), "wb") as handle:
                parts = _pack(handle, snapshot, home, weights, on_part, (version, counts))
                handle.flush()
                os.fsync(handle.fileno())
            # A link, unlike a new name, never takes the place of what appeared there meanwhile.
            os.link(unfinished, file)
    except FileExistsError:
        raise ConfigError(f"{file} exists already: name another file, or delete it") from None
    except OSError as error:
        raise StoreError(f"{file} cannot be written: {error.strerror}; choose another place") from error
    return parts


def _snapshot(source: Path, target: Path) -> tuple[int, dict[str, int]]:
    """Copy the database as it is at one moment; its schema version and what it holds."""
    with explained(source), closing(open_to_read(source)) as there, closing(sqlite3.connect(target)) as here:
        there.backup(here)
        here.execute("PRAGMA journal_mode = DELETE")
        counted = ("campaigns", "candidates", "trials", "lessons", "llm_calls")
        counts = {name: here.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in counted}
        return here.execute("PRAGMA user_version").fetchone()[0], counts


def _pack(
    handle: IO[bytes],
    snapshot: Path,
    home: Path,
    weights: bool,
    on_part: OnPart,
    known: tuple[int, dict[str, int]],
) -> Manifest:
    files = {FILE_NAME: snapshot} | {name: home / name for name in _artifacts(home, weights)}
    parts: dict[str, Part] = {}
    with zipfile.ZipFile(handle, "w") as packed:
        for name, path in files.items():
            # Weights are noise, which nothing makes smaller.
            kind = zipfile.ZIP_STORED if _WEIGHTS.fullmatch(name) else zipfile.ZIP_DEFLATED
            described = zipfile.ZipInfo(name)
            described.compress_type, described.external_attr = kind, 0o600 << 16
            on_part(name, path.stat().st_size)
            with path.open("rb") as read, packed.open(described, "w", force_zip64=True) as written:
                parts[name] = _copied(read, written)
            if (digest := _expected(name)) and not parts[name].sha256.startswith(digest):
                raise StoreError(f"{path} is damaged (its SHA-256 is not in its name): delete it, and export again")
        manifest = Manifest(schema_version=known[0], created=now(), counts=known[1], parts=parts)
        packed.writestr(MANIFEST, manifest.model_dump_json(indent=1), zipfile.ZIP_DEFLATED)
    return manifest


def _artifacts(home: Path, weights: bool) -> list[str]:
    """Weights and code of candidates, by their paths in the home; what else lies there is not the memory's."""
    found = (path for path in (home / "artifacts").glob("*/*") if path.is_file() and not path.is_symlink())
    names = (path.relative_to(home).as_posix() for path in found)
    return sorted(name for name in names if _CODE.fullmatch(name) or (weights and _WEIGHTS.fullmatch(name)))


def _expected(name: str) -> str | None:
    """How the SHA-256 of an artifact begins, by its name."""
    found = _WEIGHTS.fullmatch(name) or _CODE.fullmatch(name)
    return found[1] if found else None


def _copied(read: IO[bytes], written: IO[bytes], most: int | None = None) -> Part:
    """Copy, at most so many bytes and one more."""
    digest, length = hashlib.sha256(), 0
    while chunk := read.read(_CHUNK):
        written.write(chunk)
        digest.update(chunk)
        length += len(chunk)
        if most is not None and length > most:
            break
    return Part(bytes=length, sha256=digest.hexdigest())


@contextmanager
def opened(file: Path) -> Iterator[tuple[zipfile.ZipFile, Manifest]]:
    """Open an archive that has exactly the parts that its manifest names, each a plain file of a name that it may have.

    Raises:
        DataError: the file is damaged, no archive of a memory, or one that was tampered with.
    """
    try:
        with zipfile.ZipFile(file) as packed:
            manifest = _manifest(packed, file)
            _check_parts(packed, manifest, file)
            yield packed, manifest
    except FileNotFoundError:
        raise DataError(f"there is no file {file}") from None
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, zipfile.zlib.error) as error:  # type: ignore[attr-defined]
        raise DataError(
            f"{file} is damaged, or not a file of `netwright memory export` ({error}): copy it again"
        ) from error


def _manifest(packed: zipfile.ZipFile, file: Path) -> Manifest:
    try:
        described = packed.getinfo(MANIFEST)
        if described.file_size > MANIFEST_BYTES:
            raise DataError(f"{file}: {MANIFEST} is too large: export the memory again")
        with packed.open(described) as read:
            known = json.loads(read.read(MANIFEST_BYTES + 1))
    except (KeyError, ValueError, RecursionError) as error:
        raise DataError(f"{file} is not a file of `netwright memory export`: it has no readable {MANIFEST}") from error
    if (
        isinstance(known, dict)
        and str(known.get("format", "")).startswith("netwright memory ")
        and (known["format"] != Manifest.model_fields["format"].default)
    ):
        raise DataError(f"{file} was written by a newer netwright ({known['format']}): upgrade this one")
    try:
        return Manifest.model_validate(known)
    except ValidationError as error:
        raise DataError(f"{file}: {MANIFEST} is none that netwright writes: export the memory again") from error


def _check_parts(packed: zipfile.ZipFile, manifest: Manifest, file: Path) -> None:
    described = packed.infolist()
    names = [each.filename for each in described]
    if sorted(names) != sorted([MANIFEST, *manifest.parts]) or FILE_NAME not in manifest.parts:
        raise DataError(f"{file}: its parts are not those that its {MANIFEST} names: export the memory again")
    for each in described:
        digest = _expected(each.filename)
        if each.filename not in (MANIFEST, FILE_NAME) and digest is None:
            raise DataError(f"{file}: {each.filename!r} is no name of a part of a memory: do not trust this file")
        if stat.S_IFMT(each.external_attr >> 16) not in (0, stat.S_IFREG):
            raise DataError(f"{file}: {each.filename!r} is no plain file: do not trust this file")
        if each.filename != MANIFEST:
            part = manifest.parts[each.filename]
            if part.bytes != each.file_size or not part.sha256.startswith(digest or ""):
                raise DataError(f"{file}: {each.filename!r} is not what {MANIFEST} says: copy or export it again")


def unpack(packed: zipfile.ZipFile, parts: Mapping[str, Part], folder: Path, file: Path, on_part: OnPart) -> None:
    """Write parts of an archive below `folder`, each held against its length and SHA-256.

    Raises:
        DataError: one is not what the manifest says.
        StoreError: there is no room, or no right to write.
    """
    try:
        free, wanted = shutil.disk_usage(folder).free, sum(part.bytes for part in parts.values())
        if wanted + SPARE_BYTES > free:
            raise StoreError(
                f"{file} unpacks to {wanted / 1e6:.0f} MB, and {folder.parent} has {free / 1e6:.0f} MB left: "
                "free some, or choose another --home"
            )
        for name, part in parts.items():
            on_part(name, part.bytes)
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            with packed.open(name) as read, target.open("wb") as written:
                found = _copied(read, written, part.bytes)
            if found != part:
                raise DataError(f"{file}: {name!r} is not what {MANIFEST} says: copy or export it again")
    except OSError as error:
        raise StoreError(f"{folder} cannot be written: {error.strerror}; choose another --home") from error

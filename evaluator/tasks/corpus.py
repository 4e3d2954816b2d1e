"""Real text from disk, cut into train, validation and test parts that share no byte position.

    documents -> drop non-text -> drop repeated contents -> split by file -> join with NUL bytes

A file belongs to the part that the hash of its relative path names (80/10/10), so adding a file moves no other,
and as repeated contents are dropped first, identical files cannot land in two parts. Where that leaves a part
too small (a single file, a few files) the joined text is cut into three contiguous regions instead.
"""

from __future__ import annotations

import hashlib
import os
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from netwright.errors import DataError

HELD_OUT_SHARE = 0.1
"""The share of each of validation and test."""
MAX_BYTES = 256 << 20
SEPARATOR = b"\0"
"""Ends each document; no text file contains it, so it is learned as "here something new begins"."""

# Tests, bundled copies and generated tables: long near-repetitions that reward memory, not models.
NOT_STDLIB_TEXT = frozenset(
    {
        "test", "tests", "idlelib", "idle_test", "lib2to3", "turtledemo", "ensurepip", "site-packages",
        "dist-packages", "__pycache__", "encodings", "pydoc_data",
    }
)  # fmt: skip
_CONTROL_BYTES = bytes(set(range(32)) - set(b"\t\n\v\f\r\b\x1b")) + b"\x7f"


@dataclass(frozen=True)
class Document:
    """One text: `name` is its path relative to the corpus, with forward slashes."""

    name: str
    content: bytes


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """Three parts of real text; `sha256` covers all of them in order, `split_by` says how they were cut."""

    train: bytes
    validation: bytes
    test: bytes
    sha256: str
    split_by: Literal["files", "regions"]
    documents: int


def load_corpus(path: Path | None, *, min_held_out_bytes: int, leave_out: frozenset[str] = frozenset()) -> Corpus:
    """Read and split the text at `path` (a file or a folder), or the standard library's own sources.

    Raises:
        DataError: the path is missing, unreadable, empty, not text, or too small to hold out
            `min_held_out_bytes` twice.
    """
    documents, total_bytes = _distinct(_stdlib_documents() if path is None else _documents_at(path, leave_out))
    needed_bytes = round(min_held_out_bytes / HELD_OUT_SHARE) + 2
    if total_bytes < needed_bytes:
        where = "the standard library" if path is None else str(path)
        raise DataError(
            f"{where} holds {total_bytes:,} bytes of distinct text, but at least {needed_bytes:,} bytes are "
            "needed to hold out validation and test data: give more text"
        )
    return _split(documents, min_held_out_bytes)


def is_text(content: bytes) -> bool:
    """Tell whether bytes look like text: no NUL byte and at most 1% of other control bytes."""
    if b"\0" in content:
        return False
    return len(content) - len(content.translate(None, _CONTROL_BYTES)) <= 0.01 * len(content)


def _split(documents: list[Document], min_held_out_bytes: int) -> Corpus:
    parts: tuple[list[bytes], list[bytes], list[bytes]] = ([], [], [])
    for document in documents:
        parts[_part_of(document.name)].append(document.content)
    train, validation, test = (_join(part) for part in parts)
    # Training needs its share too: one huge file may have fallen into a held-out part.
    enough = min(len(validation), len(test)) >= min_held_out_bytes
    if enough and len(train) >= max(len(validation), len(test)):
        return _corpus(train, validation, test, "files", len(documents))
    text = _join([document.content for document in documents])
    held_out = round(len(text) * HELD_OUT_SHARE)
    end = len(text) - held_out
    return _corpus(text[: end - held_out], text[end - held_out : end], text[end:], "regions", len(documents))


def _corpus(
    train: bytes, validation: bytes, test: bytes, split_by: Literal["files", "regions"], documents: int
) -> Corpus:
    digest = hashlib.sha256()
    for part in (train, validation, test):
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return Corpus(
        train=train,
        validation=validation,
        test=test,
        sha256=digest.hexdigest(),
        split_by=split_by,
        documents=documents,
    )


def _part_of(name: str) -> Literal[0, 1, 2]:
    """Return 0 (train), 1 (validation) or 2 (test), from nothing but the name."""
    point = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") / 2**64
    if point < HELD_OUT_SHARE:
        return 2
    return 1 if point < 2 * HELD_OUT_SHARE else 0


def _join(contents: list[bytes]) -> bytes:
    return b"".join(content + SEPARATOR for content in contents)


def _distinct(documents: Iterator[Document]) -> tuple[list[Document], int]:
    """Return the documents in order of name without repeated contents, and their size in bytes, separators included."""
    kept: dict[bytes, Document] = {}
    for document in sorted(documents, key=lambda document: document.name):
        kept.setdefault(hashlib.sha256(document.content).digest(), document)
    return list(kept.values()), sum(len(document.content) + 1 for document in kept.values())


def _stdlib_documents() -> Iterator[Document]:
    """Yield the .py sources of the running Python.

    Raises:
        DataError: this Python comes without sources.
    """
    root = Path(sysconfig.get_path("stdlib"))
    found = False
    for path in _walk(root, skip=NOT_STDLIB_TEXT):
        if path.suffix == ".py":
            content = _read(path)
            if content and is_text(content):
                found = True
                yield Document(path.relative_to(root).as_posix(), content)
    if not found:
        raise DataError(f"this Python has no readable .py sources in {root}: name a text file or folder as data")


def _documents_at(path: Path, leave_out: frozenset[str]) -> Iterator[Document]:
    if not path.exists():
        raise DataError(f"the data path {path} does not exist: name a text file or a folder of text files")
    if path.is_dir():
        return _folder_documents(path, leave_out)
    if not path.is_file():
        raise DataError(f"the data path {path} is neither a file nor a folder")
    return iter([_file_document(path)])


def _file_document(path: Path) -> Document:
    content = _read(path)
    if not content:
        raise DataError(f"the data file {path} is empty: expected UTF-8 text")
    if not is_text(content):
        raise DataError(
            f"the data file {path} is not text (NUL or control bytes): expected UTF-8 text; decompress or "
            "convert it first"
        )
    return Document(path.name, content)


def _folder_documents(root: Path, leave_out: frozenset[str]) -> Iterator[Document]:
    files = 0
    texts = 0
    total_bytes = 0
    for path in _walk(root, skip=frozenset({"__pycache__"})):
        if path.name in leave_out:
            continue
        files += 1
        content = _read(path)
        total_bytes += len(content)
        _check_size(root, total_bytes)
        if content and is_text(content):
            texts += 1
            yield Document(path.relative_to(root).as_posix(), content)
    if not files:
        raise DataError(f"the data folder {root} holds no files: expected files of UTF-8 text")
    if not texts:
        raise DataError(f"none of the {files} files in {root} is text: all are empty or hold NUL or control bytes")


def _walk(root: Path, *, skip: frozenset[str]) -> Iterator[Path]:
    """Yield the regular files below `root` in no particular order, without hidden ones and folders named in `skip`.

    Raises:
        DataError: a folder cannot be listed.
    """

    def refuse(error: OSError) -> None:
        raise DataError(f"cannot list {error.filename}: {error.strerror}") from error

    for folder, subfolders, names in os.walk(root, onerror=refuse):
        subfolders[:] = [name for name in subfolders if name not in skip and not name.startswith(".")]
        for name in names:
            path = Path(folder, name)
            if not name.startswith(".") and path.is_file():
                yield path


def _read(path: Path) -> bytes:
    try:
        _check_size(path, path.stat().st_size)
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}; check its permissions") from error


def _check_size(path: Path, size_bytes: int) -> None:
    if size_bytes > MAX_BYTES:
        raise DataError(f"{path} holds more than {MAX_BYTES >> 20} MiB, and a trial sees only a few: give an excerpt")

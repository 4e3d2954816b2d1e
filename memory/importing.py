"""Taking a memory out of its file into a home: all of it, or nothing."""

from __future__ import annotations

import fcntl
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from netwright.errors import DataError, SchemaMismatch, StoreError
from netwright.memory import archive, incoming, schema, vectors
from netwright.memory.archive import Manifest, OnPart
from netwright.memory.connection import FILE_NAME
from netwright.memory.merging import Merged, merge
from netwright.memory.store import Memory

_STAGING = ".importing-"


@dataclass(frozen=True)
class Imported:
    """What came: rows, and files with their bytes. `has_moved`: the home had no results, and is now what theirs was."""

    manifest: Manifest
    merged: Merged
    has_moved: bool
    artifacts: int
    artifact_bytes: int


def bring_in(
    home: Path,
    file: Path,
    *,
    hold: Callable[[str], AbstractContextManager[None]],
    on_part: OnPart = lambda name, size: None,
    on_step: Callable[[str], None] = lambda table: None,
) -> Imported:
    """Import an archive; a home without a memory gets one.

    `hold(name)` keeps a campaign from being run while it is gone on with; it raises where that is so already.

    Raises:
        DataError: the file is damaged, or was tampered with.
        SchemaMismatch: it is of a newer netwright, or another program's.
        BusyError: from `hold`.
        StoreError: something cannot be read or written. Whatever is raised, nothing was taken in.
    """
    with archive.opened(file) as (packed, manifest):
        if manifest.schema_version > schema.VERSION:
            raise SchemaMismatch(
                f"{file} was written by a newer netwright (schema {manifest.schema_version}; this one knows "
                f"{schema.VERSION}): upgrade netwright, and import it again"
            )
        with _staging(home) as folder:
            wanted = {name: part for name, part in manifest.artifacts.items() if not (home / name).exists()}
            archive.unpack(packed, {FILE_NAME: manifest.parts[FILE_NAME], **wanted}, folder, file, on_part)
            on_step("checks")
            incoming.prepare(folder / FILE_NAME, file)
            incoming.examine(folder / FILE_NAME, file)
            with Memory.open(home) as memory:
                key = memory.evaluation_key
                with ExitStack() as held:
                    merged = _merged(
                        memory, folder, list(wanted), file, lambda name: held.enter_context(hold(name)), on_step
                    )
                on_step("vectors")
                vectors.fill_all_own(memory.connection)
                moved = memory.evaluation_key != key
    size = sum(part.bytes for part in wanted.values())
    return Imported(manifest, merged, moved, len(wanted), size)


def _merged(
    memory: Memory,
    folder: Path,
    artifacts: list[str],
    file: Path,
    hold: Callable[[str], None],
    on_step: Callable[[str], None],
) -> Merged:
    """Merge the unpacked memory and its artifacts, in one transaction."""
    placed: list[Path] = []
    try:
        with memory.connection.beside(lambda conn: incoming.attach(conn, folder / FILE_NAME), "theirs"):
            with memory.connection.write() as conn:
                merged = merge(conn, hold, on_step)
                # Files first: rows that speak of what is not there would be half a memory, the reverse is not.
                for name in artifacts:
                    _place(folder / name, memory.home / name, placed)
            return merged
    except BaseException as error:
        for path in placed:
            path.unlink(missing_ok=True)
        if isinstance(error, StoreError) and isinstance(error.__cause__, sqlite3.IntegrityError):
            raise DataError(
                f"{file} holds what no memory of netwright can ({error.__cause__}): export it again"
            ) from error
        raise


def _place(source: Path, target: Path, placed: list[Path]) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        placed.append(target)
        os.replace(source, target)
    except OSError as error:
        raise StoreError(f"{target} cannot be written: {error.strerror}; choose another --home") from error


@contextmanager
def _staging(home: Path) -> Iterator[Path]:
    """A folder in the home that goes with the import; what a killed one left is cleared away."""
    try:
        is_new = not home.exists()
        home.mkdir(parents=True, exist_ok=True)
        for left in home.glob(f"{_STAGING}*"):
            with _open_folder(left) as handle:
                if _is_free(handle):
                    shutil.rmtree(left)
        folder = Path(tempfile.mkdtemp(dir=home, prefix=_STAGING))
    except OSError as error:
        raise StoreError(f"{home} cannot be written: {error.strerror}; choose another --home") from error
    try:
        with _open_folder(folder) as handle:
            _is_free(handle)
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if is_new and not any(home.iterdir()):
            home.rmdir()


@contextmanager
def _open_folder(folder: Path) -> Iterator[int]:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield handle
    finally:
        os.close(handle)


def _is_free(handle: int) -> bool:
    """Lock the folder for as long as it is open, unless another process has done so."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True

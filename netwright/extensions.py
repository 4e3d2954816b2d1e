"""Code of the user's own that runs on the trusted side: entry points of installed packages, and Python files."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from netwright.errors import ConfigError, NetwrightError


def installed(group: str) -> dict[str, EntryPoint]:
    """What installed packages offer in that group, by name."""
    return {point.name: point for point in entry_points(group=group)}


def imported(kind: str, path: Path) -> ModuleType:
    """Import the file as the module `netwright_KIND_STEM`; whatever its code raises passes through.

    Raises: ConfigError where there is no such file.
    """
    if not path.is_file():
        raise ConfigError(f"{kind} file {path} does not exist; check the path")
    spec = importlib.util.spec_from_file_location(f"netwright_{kind}_{path.stem}", path)
    assert spec is not None and spec.loader is not None  # a path that ends in .py has a loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses of the file look their module up
    spec.loader.exec_module(module)
    return module


def loaded(whence: str, load: Callable[[], Any]) -> Any:
    """Return what `load` does; what the user's code raises becomes a ConfigError that says where it comes from."""
    try:
        return load()
    except NetwrightError:
        raise
    except (Exception, SystemExit) as error:
        raise ConfigError(f"{whence} cannot be loaded: {type(error).__name__}: {error}") from error

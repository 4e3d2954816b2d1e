"""Prompts are data: one Markdown file per role, strict placeholders, hashed.

A placeholder is written `{{name}}` (blanks inside the braces do no harm). Values are put in as they are and are not
scanned again, so text from a candidate can't smuggle a placeholder in. A user's own prompts take the place of those of
the same name.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from netwright.errors import ConfigError

_PLACEHOLDER = re.compile(r"\{\{\s*([A-Za-z_][A-Za-z0-9_]*)\s*\}\}")


@dataclass(frozen=True)
class Prompt:
    """A prompt template and the name it was loaded by."""

    name: str
    text: str

    @property
    def placeholders(self) -> frozenset[str]:
        return frozenset(_PLACEHOLDER.findall(self.text))

    @property
    def sha256(self) -> str:
        """SHA-256 of the template in hex; stored with every call that was made from it."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    def render(self, **values: str) -> str:
        """Fill in every placeholder.

        Raises:
            ConfigError: the template has a placeholder without a value, or lacks one for a value given.
        """
        unknown = self.placeholders - values.keys()
        unused = values.keys() - self.placeholders
        if unknown:
            raise ConfigError(
                f"prompt {self.name!r} has the placeholder {_braced(unknown)}, which nothing fills; "
                f"it may use {_braced(values)}"
            )
        if unused:
            raise ConfigError(f"prompt {self.name!r} lacks the placeholder {_braced(unused)}; put it back in")
        return _PLACEHOLDER.sub(lambda match: values[match[1]], self.text)


def _braced(names: Iterable[str]) -> str:
    return ", ".join("{{" + name + "}}" for name in sorted(names))


def prompt_names() -> tuple[str, ...]:
    """Names that `load` knows, sorted."""
    return tuple(sorted(p.name.removesuffix(".md") for p in _folder().iterdir() if p.name.endswith(".md")))


def load(name: str) -> Prompt:
    """Return the prompt called `name`: the user's own, else that of this package.

    Raises:
        ConfigError: there is no such prompt.
    """
    return _own.get(name) or _shipped(name)


def use_own(folder: Path | None) -> None:
    """Have the Markdown files of `folder` stand for the prompts of their names from now on; None: nobody's do.

    Raises:
        ConfigError: one cannot be read, is called as no prompt is, or has other placeholders than that one.
    """
    own = {prompt.name: prompt for prompt in map(_own_prompt, _own_files(folder))} if folder is not None else {}
    _own.clear()
    _own.update(own)


_own: dict[str, Prompt] = {}


def _own_files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise ConfigError(f"there is no folder {folder} with prompts of your own: make it, or leave llm.prompts out")
    found = sorted(folder.glob("*.md"))
    if not found:
        raise ConfigError(f"{folder} holds no prompt: expected files such as {folder / 'planner.md'}")
    return found


def _own_prompt(path: Path) -> Prompt:
    known = _shipped(path.stem)
    try:
        own = Prompt(name=path.stem, text=path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read as text in UTF-8: {error}") from None
    unknown, missing = own.placeholders - known.placeholders, known.placeholders - own.placeholders
    if unknown:
        offered = f"it may use {_braced(known.placeholders)}" if known.placeholders else "it may use none"
        raise ConfigError(f"{path} has the placeholder {_braced(unknown)}, which nothing fills; {offered}")
    if missing:
        raise ConfigError(f"{path} lacks the placeholder {_braced(missing)}: put it where the text of it belongs")
    return own


@cache
def _shipped(name: str) -> Prompt:
    if name not in prompt_names():
        raise ConfigError(f"no prompt is called {name!r}; there are {', '.join(prompt_names())}")
    return Prompt(name=name, text=(_folder() / f"{name}.md").read_text(encoding="utf-8"))


def _folder() -> Traversable:
    return files(__name__)

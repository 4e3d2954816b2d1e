"""Prompts are data: one Markdown file per role, strict placeholders, hashed.

A placeholder is written `{{name}}`. Values are put in as they are and are not scanned again, so text from a
candidate can't smuggle a placeholder in.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable

from netwright.errors import ConfigError

_PLACEHOLDER = re.compile(r"\{\{([A-Za-z_][A-Za-z0-9_]*)\}\}")


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


@cache
def load(name: str) -> Prompt:
    """Read the prompt called `name` from this package.

    Raises:
        ConfigError: there is no such prompt.
    """
    if name not in prompt_names():
        raise ConfigError(f"no prompt is called {name!r}; there are {', '.join(prompt_names())}")
    return Prompt(name=name, text=(_folder() / f"{name}.md").read_text(encoding="utf-8"))


def _folder() -> Traversable:
    return files(__name__)

"""What an endpoint turned out to take and to be, and the small file that remembers it.

One JSON file for each URL and model. It holds no key, no header and no password.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit, urlunsplit

from pydantic import BaseModel, ConfigDict, ValidationError

logger = logging.getLogger(__name__)

JsonMode = Literal["json_schema", "json_object", "none"]
Streaming = Literal["works", "refused", "only"]
TokenField = Literal["max_tokens", "max_completion_tokens"]

JSON_MODES: tuple[JsonMode, ...] = ("json_schema", "json_object", "none")
"""Ways to ask for JSON, the strictest first."""


class Profile(BaseModel):
    """What is known of one model behind one URL; None is not known yet. What a newer netwright added is ignored.

    `root` is the form of the URL that works; `refused` names fields that are not sent again; `json_mode` is the way
    of asking for JSON that is taken, or, after a check, that holds. `context_tokens` is how long a prompt may be.
    `parallel` is how many requests are really answered at once, `edits` the share of small changes that the model made
    exactly by search/replace blocks. The rest is for people to read.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    url: str
    model: str
    root: str | None = None
    token_field: TokenField | None = "max_tokens"
    refused: tuple[str, ...] = ()
    folds_system: bool = False
    streaming: Streaming | None = None
    json_mode: JsonMode | None = None
    context_tokens: int | None = None
    cuts_prompts: bool | None = None
    parallel: int | None = None
    edits: float | None = None
    server: str | None = None
    reasoning: str | None = None
    first_token_seconds: float | None = None
    tokens_per_second: float | None = None
    checked_at: str | None = None


def without_secrets(url: str) -> str:
    """Return a URL without user name, password and query."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


class ProfileStore:
    """The profiles of a folder. One that cannot be read is learned anew; one that cannot be written is told of."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, url: str, model: str) -> Path:
        """Where the profile of a model behind a URL lies."""
        key = f"{without_secrets(url)} {model}"
        slug = re.sub(r"[^A-Za-z0-9.]+", "-", f"{urlsplit(url).netloc.rpartition('@')[2]}-{model}").strip("-.")
        return self._folder / f"{slug[:80]}-{hashlib.sha256(key.encode()).hexdigest()[:8]}.json"

    def find(self, url: str, model: str) -> Profile:
        """Return what is remembered, or a profile that knows nothing."""
        path = self.path(url, model)
        try:
            known = Profile.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            return Profile(url=without_secrets(url), model=model)
        except (OSError, ValidationError) as error:
            logger.warning("profile %s cannot be read and is learned anew: %s", path, error)
            return Profile(url=without_secrets(url), model=model)
        return known.model_copy(update={"url": without_secrets(url), "model": model})

    def keep(self, profile: Profile) -> None:
        """Write `profile`; a reader sees the old file or the new one, never half of one."""
        path = self.path(profile.url, profile.model)
        draft = path.with_suffix(f".{os.getpid()}.tmp")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            draft.write_text(profile.model_dump_json(indent=2) + "\n", encoding="utf-8")
            draft.replace(path)
        except OSError as error:
            logger.warning("profile %s cannot be written: %s", path, error)

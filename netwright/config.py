"""A campaign's configuration: one TOML file (or none), overridden by flags.

```toml
name = "first"            # default: the task's name
task = "bytes"            # see `netwright tasks`
data = "corpus/"          # only for tasks that read data
rung_tokens = [600_000, 1_800_000]  # training budgets, lowest rung first; default: the task's
seed = 0
workers = 2               # training slots; default: one per core
in_flight = 4             # actions of the search under way at once; default: workers + 2

[budget]
trials = 28               # trained candidates, baselines not counted
minutes = 5.0             # wall clock over all sessions of the campaign

[search]
policy = "tree"           # tree, random, evolution

[llm]                     # without a url the grammar planner proposes
url = "http://127.0.0.1:8080/v1"
model = "qwen3-coder"
api_key_env = "NETWRIGHT_API_KEY"
```
"""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, FiniteFloat, ValidationError, field_validator

from netwright.errors import ConfigError
from netwright.types import Frozen

DEFAULT_TASK = "bytes"
NAME_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class Budget(Frozen):
    """When a campaign ends: after `trials` trained candidates or `minutes` of wall clock, whichever is first."""

    trials: Annotated[int, Field(ge=1, le=1_000_000)] = 28
    minutes: Annotated[FiniteFloat, Field(gt=0)] = 5.0


class SearchConfig(Frozen):
    """Which policy decides what to work on next."""

    policy: str = "tree"


class LlmConfig(Frozen):
    """An OpenAI-compatible endpoint.

    The key is read from the environment variable named `api_key_env`, never
    from the file. Time-outs are in seconds; `total_timeout` bounds one whole request.
    `tries` bounds the requests for one answer, `repairs` how often a rejected candidate is sent back.
    """

    url: str | None = None
    model: str | None = None
    api_key_env: str = "NETWRIGHT_API_KEY"
    concurrency: Annotated[int, Field(ge=1, le=64)] = 1
    temperature: Annotated[FiniteFloat, Field(ge=0, le=2)] = 0.8
    max_tokens: Annotated[int, Field(ge=64)] = 6000
    connect_timeout: Annotated[FiniteFloat, Field(gt=0)] = 10.0
    total_timeout: Annotated[FiniteFloat, Field(gt=0)] = 300.0
    tries: Annotated[int, Field(ge=1, le=20)] = 4
    repairs: Annotated[int, Field(ge=0, le=10)] = 2

    @field_validator("url")
    @classmethod
    def _http(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith(("http://", "https://")):
            raise ValueError(f"expected a URL that starts with http:// or https://, got {value!r}")
        return value


class CampaignConfig(Frozen):
    """Everything that defines a campaign."""

    name: str | None = None
    task: str = DEFAULT_TASK
    data: Path | None = None
    rung_tokens: tuple[Annotated[int, Field(ge=1)], ...] | None = None
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    workers: Annotated[int, Field(ge=1, le=256)] = Field(default_factory=lambda: available_cores())
    in_flight: Annotated[int, Field(ge=1, le=1024)] | None = None
    accept_no_sandbox: bool = False
    budget: Budget = Budget()
    search: SearchConfig = SearchConfig()
    llm: LlmConfig = LlmConfig()

    @field_validator("name")
    @classmethod
    def _plain_name(cls, value: str | None) -> str | None:
        if value is not None and not NAME_PATTERN.fullmatch(value):
            raise ValueError(f"expected letters, digits, '.', '_' or '-' (at most 64), got {value!r}")
        return value

    @property
    def window(self) -> int:
        """How many actions may be without a result; two more than slots, so that a gated design waits for each."""
        return self.in_flight or self.workers + 2

    @property
    def campaign_name(self) -> str:
        return self.name or self.task


def available_cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def load_config(path: Path | None, overrides: dict[str, Any]) -> CampaignConfig:
    """The campaign file (if any) with the flags laid over it.

    `overrides` has dotted keys ("budget.trials"); a value of None means the flag was not given.
    Raises: ConfigError that names the file, the line and the key.
    """
    text = _read(path) if path else ""
    values = _parse(text, path)
    if path and isinstance(values.get("data"), str):
        values["data"] = str((path.parent / values["data"]).resolve())
    for dotted, value in overrides.items():
        if value is not None:
            _lay_over(values, dotted.split("."), value)
    try:
        return CampaignConfig.model_validate(values)
    except ValidationError as error:
        given = {dotted for dotted, value in overrides.items() if value is not None}
        raise ConfigError(_explain(error, text, path, given)) from None


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"campaign file {path} does not exist; check the path") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"campaign file {path} cannot be read: {error}; expected a UTF-8 TOML file") from None


def _parse(text: str, path: Path | None) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not valid TOML: {error}; mend that line") from None
    except RecursionError:
        raise ConfigError(f"{path} is nested too deeply for a campaign file; see the README") from None


def _lay_over(values: dict[str, Any], keys: list[str], value: Any) -> None:
    for key in keys[:-1]:
        inner = values.setdefault(key, {})
        if not isinstance(inner, dict):
            return  # a scalar where a table belongs: the validation names it
        values = inner
    values[keys[-1]] = value


def _explain(error: ValidationError, text: str, path: Path | None, given_as_flags: set[str]) -> str:
    first = error.errors(include_url=False)[0]
    keys = [str(part) for part in first["loc"]]
    dotted = ".".join(keys) or "(file)"
    line = None if dotted in given_as_flags else line_of_key(text, keys)
    where = f"{path}, line {line}: " if line else ""
    if first["type"] == "extra_forbidden":
        return f"{where}unknown key {dotted!r}; known here: {', '.join(_known_keys(keys[:-1]))}"
    reason = first["msg"].removeprefix("Value error, ")
    given = "" if repr(first["input"]) in reason else f" (given: {first['input']!r})"
    return f"{where}{dotted}: {reason}{given}"


def _known_keys(table: list[str]) -> list[str]:
    model: Any = CampaignConfig
    for key in table:
        model = model.model_fields[key].annotation
    return list(model.model_fields)


def line_of_key(text: str, keys: list[str]) -> int | None:
    """The 1-based line on which the TOML `text` sets `keys`, or opens its table; None when it does neither."""
    table: list[str] = []
    found = None
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if header := re.fullmatch(r"\[([^\[\]]+)\]\s*(#.*)?", stripped):
            table = [part.strip().strip("\"'") for part in header[1].split(".")]
            if table == keys:
                return number
        elif setting := re.match(r"([A-Za-z0-9_.\"'-]+)\s*=", stripped):
            here = table + [part.strip("\"'") for part in setting[1].split(".")]
            if here == keys[: len(here)]:
                found = number
    return found

"""Where a campaign's configuration comes from: a TOML file and flags, with every mistake told in a sentence."""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from netwright.agents.local_model import settled
from netwright.config import CampaignConfig, ConfirmConfig, SandboxConfig, TrainingConfig
from netwright.errors import ConfigError

Settings = TypeVar("Settings", TrainingConfig, ConfirmConfig)

# By pydantic's name of a mistake: what was expected, in the words of a campaign file.
_EXPECTED = {
    "bool": "true or false",
    "dict": "a table",
    "finite": "a finite number",
    "float": "a number",
    "int": "a whole number",
    "model": "a table",
    "path": "a path in quotes",
    "string": "text in quotes",
    "tuple": "a list in [ ]",
    "greater_than": "more than {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "less than {lt}",
    "less_than_equal": "at most {le}",
    "literal_error": "{expected}",
    "enum": "{expected}",
}


def load_config(
    path: Path | None, overrides: dict[str, Any], fallbacks: Mapping[str, Any] | None = None
) -> CampaignConfig:
    """The campaign file (if any) with the flags laid over it, and under it what the environment says.

    `overrides` has dotted keys ("budget.trials"); a value of None means the flag was not given. `fallbacks` has too.
    Raises: ConfigError that names the file, the line and the key.
    """
    text = _read(path) if path else ""
    values = _parse(text, path)
    if path:
        paths = ((values, "data"), (values.get("llm"), "prompts"), (values, "task"), (values.get("search"), "policy"))
        for table, key in paths:
            if isinstance(table, dict) and isinstance(written := table.get(key), str):
                if key in ("data", "prompts") or written.endswith(".py"):
                    table[key] = str((path.parent / written).resolve())
        _settle_models(values.get("llm"), path.parent)
    for dotted, value in overrides.items():
        if value is not None:
            _lay_over(values, dotted.split("."), value)
    for dotted, value in (fallbacks or {}).items():
        table, _, key = dotted.rpartition(".")
        if value and isinstance(known := values.setdefault(table, {}), dict):
            known.setdefault(key, value)
    try:
        return CampaignConfig.model_validate(values)
    except ValidationError as error:
        given = {dotted for dotted, value in overrides.items() if value is not None}
        raise ConfigError(_explain(error, text, path, given)) from None


def with_flags(config: CampaignConfig, flags: Mapping[str, Any]) -> CampaignConfig:
    """The configuration with the command line's flags over it, by dotted keys; None means that one was not given.

    Raises: ConfigError naming the key.
    """
    given = {dotted: value for dotted, value in flags.items() if value is not None}
    values = config.model_dump()
    for dotted, value in given.items():
        _lay_over(values, dotted.split("."), value)
    try:
        return CampaignConfig.model_validate(values)
    except ValidationError as error:
        raise ConfigError(_explain(error, "", None, set(given))) from None


def _settle_models(llm: Any, folder: Path) -> None:
    """Put in full the paths of models in `[llm]`, the tables of its roles and those of models to draw from."""
    if not isinstance(llm, dict):
        return
    models = llm.get("models")
    for table in (llm, *llm.values(), *(models if isinstance(models, list) else ())):
        if isinstance(table, dict) and isinstance(url := table.get("url"), str):
            table["url"] = settled(url, folder)


def laid_over(config: SandboxConfig, flags: Mapping[str, Any]) -> SandboxConfig:
    """The settings with the command line's flags over them; a value of None means it was not given.

    Raises: ConfigError naming the flag's key.
    """
    given = {key: value for key, value in flags.items() if value is not None}
    known = config.model_dump()
    if given.get("kind") == "process":
        known = {key: value for key, value in known.items() if key not in ("image", "options")}
    try:
        return SandboxConfig.model_validate(known | given)
    except ValidationError as error:
        raise ConfigError(_explain(error, "", None, set(given), table="sandbox")) from None


def training_settings(config: TrainingConfig, flags: Mapping[str, Any]) -> TrainingConfig:
    """The settings of trainings with the command line's flags over them; see `_with_flags`."""
    return _with_flags(config, flags, "training")


def confirm_settings(config: ConfirmConfig, flags: Mapping[str, Any]) -> ConfirmConfig:
    """The settings of a confirmation with the command line's flags over them; see `_with_flags`."""
    return _with_flags(config, flags, "confirm")


def _with_flags(config: Settings, flags: Mapping[str, Any], table: str) -> Settings:
    """The settings of a table with the command line's flags over them; None means that it was not given.

    Raises: ConfigError naming the key.
    """
    given = {key: value for key, value in flags.items() if value is not None}
    try:
        return type(config).model_validate(config.model_dump() | given)
    except ValidationError as error:
        raise ConfigError(_explain(error, "", None, set(given), table=table)) from None


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


def _explain(
    error: ValidationError, text: str, path: Path | None, given_as_flags: set[str], *, table: str | None = None
) -> str:
    first = error.errors(include_url=False)[0]
    keys = [*([table] if table else []), *(str(part) for part in first["loc"])]
    dotted = ".".join(keys) or "(file)"
    line = None if dotted in given_as_flags else line_of_key(text, keys)
    where = f"{path}, line {line}: " if line else ""
    if first["type"] == "extra_forbidden":
        return f"{where}unknown key {dotted!r}; known here: {', '.join(_known_keys(keys[:-1]))}"
    return f"{where}{dotted}: {_in_plain_words(first)}"


def _in_plain_words(error: ErrorDetails) -> str:
    """What was expected and given; of a validator of our own, its sentence."""
    kind = error["type"]
    if kind == "missing":
        return "expected a value, and there is none"
    if kind == "value_error":
        return error["msg"].removeprefix("Value error, ")
    expected = _EXPECTED.get(kind) or _EXPECTED.get(kind.split("_")[0], error["msg"])
    bounds = {
        name: bound if isinstance(bound, str) else f"{bound:,.10g}" for name, bound in error.get("ctx", {}).items()
    }
    return f"expected {expected.format(**bounds)}, got {error['input']!r}"


def _known_keys(table: list[str]) -> list[str]:
    model: Any = CampaignConfig
    for key in table:
        # A number counts the tables of a list, which are all of one kind.
        model = get_args(model)[0] if key.isdigit() else model.model_fields[key].annotation
    return list(model.model_fields)


def line_of_key(text: str, keys: list[str]) -> int | None:
    """The 1-based line on which the TOML `text` sets `keys`, or opens its table; None when it does neither."""
    table: list[str] = []
    lists = Counter[str]()
    found = None
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if header := re.fullmatch(r"\[(\[?)([^\[\]]+)\]\]?\s*(#.*)?", stripped):
            table = [part.strip().strip("\"'") for part in header[2].split(".")]
            if header[1]:
                table.append(str(lists[header[2]]))
                lists[header[2]] += 1
            if table == keys:
                return number
        elif setting := re.match(r"([A-Za-z0-9_.\"'-]+)\s*=", stripped):
            here = table + [part.strip("\"'") for part in setting[1].split(".")]
            if here == keys[: len(here)]:
                found = number
    return found

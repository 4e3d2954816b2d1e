"""Where campaigns can be published to, and what is common to it: a folder or a URL, a project, what was sent."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

from netwright.errors import ConfigError
from netwright.publish.runs import CampaignRuns

Target = Literal["mlflow", "optuna", "trackio", "wandb"]
PROJECT = "netwright"


@dataclass(frozen=True, kw_only=True)
class Destination:
    """Where to, and under which name: a folder of this machine, or the URL of a server or a database."""

    folder: Path
    url: str | None = None
    project: str = PROJECT

    @property
    def shown(self) -> str:
        """The place without the password that a URL may hold."""
        return str(self.folder) if self.url is None else without_password(self.url)

    def only_folder(self, target: Target, why: str) -> Path:
        """The folder. Raises: ConfigError where a URL was given."""
        if self.url is not None:
            raise ConfigError(f"--at {self.shown}: to {target} give a folder; {why}")
        return self.folder


@dataclass(frozen=True, kw_only=True)
class Published:
    """How many runs were written, written again as they had changed, and left as they were; how to look at them."""

    new: int
    changed: int
    same: int
    look: str


_PASSWORD = re.compile(r"(?<=://)[^/\s]*@")
_PROJECT = re.compile(r"\w[\w .-]{0,99}", re.ASCII)

Publish = Callable[[CampaignRuns, Destination], Published]


def without_password(text: str) -> str:
    """The text with every URL in it shorn of who signs in there, and how."""
    return _PASSWORD.sub("", text)


def destination(home: Path, target: Target, at: str | None, project: str) -> Destination:
    """Return what `--at` means: a URL, a folder, or by default HOME/published/TARGET.

    Raises:
        ConfigError: a file is in the folder's place, or the project has a name that not every tracker takes.
    """
    if not _PROJECT.fullmatch(project):
        raise ConfigError(f"--project {project!r}: give a name of letters, digits, blanks and any of _ . -")
    if at is not None and "://" in at:
        return Destination(folder=home, url=at, project=project)
    folder = Path(at) if at is not None else home / "published" / target
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"--at {folder}: a file is there; give a folder, or a URL such as sqlite:///{folder}")
    return Destination(folder=folder.absolute(), project=project)


def publish(campaign: CampaignRuns, target: Target, to: Destination) -> Published:
    """Publish a campaign; what is there already and has not changed stays as it is.

    Raises:
        ConfigError: the target's library is not installed, or it does not take such a place or project.
        PublishError: the place did not take it.
    """
    found = importlib.util.find_spec(target)
    if found is None or found.origin is None:  # without an origin it is a folder of that name
        raise ConfigError(f"--to {target} needs a library that is not installed: pip install 'netwright[{target}]'")
    return cast(Publish, importlib.import_module(f"netwright.publish.to_{target}").publish)(campaign, to)


def flat(campaign: CampaignRuns, *parts: Mapping[str, object]) -> dict[str, object]:
    """What holds for the campaign and for one run of it, in one dictionary."""
    return {name: value for part in (campaign.facts, *parts) for name, value in part.items()}

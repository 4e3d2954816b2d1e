"""One campaign as Markdown for pasting: what the HTML page says, in text and tables."""

from __future__ import annotations

import re
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from netwright.evaluator.pareto import NOISE_ERRORS
from netwright.memory import Memory
from netwright.report.build import FOLDER, contents
from netwright.report.figures import in_metric
from netwright.report.story import Story, read_story

_ACTIVE = re.compile(r"([\\`*_{}\[\]<>|#!~])")
FEWEST_TICKS = 3


def build_markdown(memory: Memory, campaign_name: str | None = None) -> str:
    """The report of a campaign (None: the latest) as Markdown.

    Raises:
        NotFound: there is no such campaign.
    """
    story = read_story(memory, campaign_name)
    # Nothing is escaped for HTML: what others wrote goes through `line` or `fenced`.
    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=False,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(line=line, fenced=fenced)
    return environment.get_template("report.md.jinja").render(**contents(story), steps=_steps(story))


def _steps(story: Story) -> list[dict[str, Any]]:
    """The designs that were better than all before them."""
    steps: list[dict[str, Any]] = []
    least = float("inf")
    for place, first in enumerate((first for first in story.firsts if not first.is_baseline), 1):
        if first.loss_nats < least:
            least = first.loss_nats
            half = first.standard_error and f"{NOISE_ERRORS * in_metric(story, first.standard_error):.4f}"
            value = f"{in_metric(story, first.loss_nats):.4f}"
            steps.append(
                {"place": place, "value": value, "half": half, "operator": first.operator, "title": first.title}
            )
    return steps


def line(text: str) -> str:
    """Text that others wrote, on one line and without a meaning in Markdown or HTML."""
    return _ACTIVE.sub(r"\\\1", " ".join(text.split()))


def fenced(source: str) -> str:
    """Python between fences that nothing in it can close."""
    longest = max((len(run) for run in re.findall(r"`+", source)), default=0)
    ticks = "`" * max(FEWEST_TICKS, longest + 1)
    return f"{ticks}python\n{source.rstrip()}\n{ticks}"

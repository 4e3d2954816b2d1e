"""Pages about campaigns: the list of them, one at a time, and its tree."""

from __future__ import annotations

import json
from typing import Any

from netwright.errors import ConfigError
from netwright.memory import Campaign, Memory
from netwright.memory.overview import tree
from netwright.memory.results import mean_losses
from netwright.report import figures, words
from netwright.report.build import contents
from netwright.report.story import read_story
from netwright.web.frame import fill, named
from netwright.web.layout import Layout, lay_out


def campaigns_page(memory: Memory, request: Any) -> tuple[str, str]:
    """All campaigns, the latest first, each with its best design."""
    counts = {
        row[0]: row
        for row in memory.connection.rows(
            "SELECT campaign_id, count(*) FILTER (WHERE node >= 0), sum(node >= 0 AND failure <> '') "
            "FROM nodes GROUP BY campaign_id"
        )
    }
    rows = [_row(memory, campaign, counts.get(campaign.id)) for campaign in reversed(memory.campaigns())]
    return fill("campaigns.html", section="campaigns", rows=rows, path=str(memory.path))


def _row(memory: Memory, campaign: Campaign, counts: Any) -> dict[str, Any]:
    best = _best(memory, campaign)
    return {
        "campaign": campaign,
        "designs": counts[1] if counts else 0,
        "failed": counts[2] if counts else 0,
        "best": best,
        "took": words.duration(campaign.elapsed_seconds),
    }


def _best(memory: Memory, campaign: Campaign) -> dict[str, Any] | None:
    """The best design by its latest score: highest rung first, then lowest loss."""
    row = memory.connection.row(
        "SELECT c.short, c.title, s.rung, -s.value AS loss_nats "
        "FROM scores s JOIN candidates c ON c.id = s.candidate_id "
        "WHERE s.campaign_id = ? AND s.node >= 0 ORDER BY s.rung DESC, s.value DESC LIMIT 1",
        (campaign.id,),
    )
    return None if row is None else dict(row)


def campaign_page(memory: Memory, request: Any) -> tuple[str, str]:
    """A campaign: what its report says, with links, and with axes of the front to choose.

    Raises:
        NotFound: there is no such campaign, or nothing is known on an axis.
        ConfigError: the rung is no number.
    """
    name, args = named(request), request.args
    story = read_story(memory, name, _rung(args.get("rung")))
    known = figures.known_axes(story.front) if story.front else []
    chosen = {axis: args.get(axis) or None for axis in ("x", "y")}
    y = chosen["y"] or figures.LOSS
    chart = figures.front_chart(story.front, chosen["x"], y) if story.front else None
    rungs = sorted({row.rung for row in story.leaders})
    axes = {
        "names": [(axis, figures.AXES[axis]) for axis in known],
        "x": chosen["x"] or (figures.first_axis(known, y) if known else None),
        "y": y,
        "rungs": rungs,
        "rung": story.front.rung if story.front else 0,
    }
    given = {**contents(story), "front_chart": chart, "axes": axes, "lineage": None, "linked": True}
    return fill("campaign.html", section="campaigns", **given)


def _rung(text: str | None) -> int | None:
    if not text:
        return None
    if not text.isdecimal() or len(text) > 4:
        raise ConfigError(f"expected a rung, 0 or above, got {text!r}")
    return int(text)


def tree_page(memory: Memory, request: Any) -> tuple[str, str]:
    """The lineage of a campaign's designs, to zoom into.

    Raises:
        NotFound: there is no such campaign.
    """
    campaign = memory.campaign(named(request))
    return fill("tree.html", section="campaigns", wide=True, campaign=campaign, layout=_layout(memory, campaign))


def tree_data(memory: Memory, request: Any) -> tuple[str, str]:
    """What the script of the tree page shows of each node, as JSON.

    Raises:
        NotFound: there is no such campaign.
    """
    return json.dumps(_layout(memory, memory.campaign(named(request))).nodes), "application/json"


def _layout(memory: Memory, campaign: Campaign) -> Layout:
    losses = mean_losses(memory, campaign.task.id)
    firsts = {name: rungs[0] for name, rungs in losses.items() if 0 in rungs}
    return lay_out(tree(memory, campaign.name), firsts, campaign.name)

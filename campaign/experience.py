"""What earlier campaigns of the same memory found, for a search on a similar task to start from.

Similar is a task of the same name and scope, with whatever budgets, data, device and seed. Between budgets of one task
the ranks of 30 architectures agree (Kendall's tau 0.58 to 0.89; s3, where short trainings learn nothing: 0.06), between
tasks they may be opposed (-0.38 to 0.72; all from benchmarks/results/fidelity.csv). Who knows another task to be alike
can name its campaigns (`warm` in `[search]`).

What a campaign starts from is settled when it begins, as so many of the first scored designs of each: a memory only
grows, so these are the same whenever it goes on, whatever other campaigns add meanwhile.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from netwright.campaign.sketchbook import Sketchbook
from netwright.config import CampaignConfig
from netwright.errors import ConfigError
from netwright.memory.records import Campaign
from netwright.memory.store import Memory
from netwright.search.policy import SEARCH_LEAST, Searches
from netwright.types import TaskSpec

DESIGNS_MAX = 600
"""As many as the value model keeps: reading more would only delay the start."""


class Recalled(NamedTuple):
    """Designs of earlier searches with their scores, and how many designs are no longer there."""

    searches: Searches
    missing: int

    @property
    def news(self) -> list[str]:
        """Say what the search starts from; nothing where that is nothing."""
        designs = sum(map(len, self.searches))
        said = []
        if designs:
            campaigns = f"{len(self.searches)} earlier campaign{'s' if len(self.searches) > 1 else ''}"
            said.append(f"the search starts from {designs} designs of {campaigns} on similar tasks")
        if self.missing:
            said.append(
                f"this campaign began with {self.missing} designs of earlier ones that are not in this memory: its "
                "search goes on without them, and may choose otherwise from here on"
            )
        return said


def settled(memory: Memory, config: CampaignConfig, task: TaskSpec) -> dict[str, int]:
    """Return what a campaign that begins now starts from: campaigns by name, and how many scored designs of each.

    Unless campaigns are named, the latest similar ones come first; DESIGNS_MAX designs are enough.

    Raises: ConfigError where a campaign is named that does not exist.
    """
    wanted, known = config.search.warm, {row.name: row for row in memory.campaigns()}
    if isinstance(wanted, bool):
        similar = (row for row in reversed(known.values()) if wanted and _is_similar(memory, row, config, task))
        offered = ((row.name, len(memory.first_scores(row.id))) for row in similar)
    else:
        offered = ((name, len(memory.first_scores(_named(known, name).id, most))) for name, most in wanted.items())
    chosen: dict[str, int] = {}
    for name, scored in offered:
        if scored >= SEARCH_LEAST:
            chosen[name] = scored
        if sum(chosen.values()) >= DESIGNS_MAX:
            break
    return chosen


def _named(known: Mapping[str, Campaign], name: str) -> Campaign:
    if name not in known:
        raise ConfigError(
            f"search.warm: there is no campaign {name!r} to start from; known here: {', '.join(known) or 'none'}"
        )
    return known[name]


def _is_similar(memory: Memory, row: Campaign, config: CampaignConfig, task: TaskSpec) -> bool:
    """Tell whether designs of the campaign are worth as much here, can be compared, and were scored in isolation.

    A replay has no designs of its own. The grammar's are known by their decisions, which those of an LLM do not have.
    What ran without isolation could reach whatever measured it, and is left out by a campaign that would not run so
    itself.
    """
    if (row.task.name, row.task.scope) != (task.name, task.scope) or row.config.get("replay"):
        return False
    if config.llm.url is None and (row.config.get("llm") or {}).get("url") is not None:
        return False
    return config.sandbox.accept_no_sandbox or memory.is_isolated(row.id)


def recalled(memory: Memory, chosen: Mapping[str, int], book: Sketchbook) -> Recalled:
    """Read the designs that were settled on, as this campaign's own are read, each with its first score."""
    known = {row.name: row for row in memory.campaigns()}
    searches, missing, room = [], 0, DESIGNS_MAX
    for name, count in chosen.items():
        scored = memory.first_scores(known[name].id, count) if name in known else []
        missing += count - len(scored)
        kept = _spread(scored, room)
        room -= len(kept)
        read = [(book.read(memory.candidate(candidate), known[name].task), value) for candidate, value in kept]
        search = [(structure, value) for structure, value in read if structure is not None]
        if len(search) >= SEARCH_LEAST:
            searches.append(search)
    return Recalled(searches, missing)


def _spread(scored: Sequence[tuple[str, float]], most: int) -> Sequence[tuple[str, float]]:
    """Return at most so many, evenly spread over the search, so that worth among them is what it was among all."""
    if len(scored) <= most:
        return scored
    return [scored[place * len(scored) // most] for place in range(most)]

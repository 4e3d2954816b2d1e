"""The report's sentences. They claim no more than the intervals do."""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable, Mapping, Sequence

from netwright.evaluator.comparisons import Comparison
from netwright.evaluator.statistics import NoiseFloor
from netwright.memory import Campaign
from netwright.memory.overview import Stats
from netwright.memory.query import TopRow
from netwright.sandbox.isolation import Tier
from netwright.types import Outcome


def outcome(
    best: TopRow | None,
    comparisons: Mapping[str, Comparison],
    settled: Mapping[str, Comparison],
    title: Callable[[str], str],
    known: Stats,
) -> list[str]:
    """What came out, in a few sentences; comparisons are by rival, `settled` those on the locked test split."""
    if best is None:
        return [f"{_tried(known)}. There is no result to compare yet; the failures below say what happened."]
    reached = (
        f"{best.metric_value:.4f} {best.metric}"
        if best.metric == "bits per byte"
        else f"{best.metric} {best.loss_nats:.4f}"
    )
    called = best.title.rstrip(".")
    seeds = "one seed" if best.seeds == 1 else f"{best.seeds} seeds"
    sentences = [f"{_tried(known)}. The best, “{called}”, reached {reached} at rung {best.rung} ({seeds})."]
    if settled:
        sentences.append(
            f"Trained again with fresh seeds and scored on the locked test split, {_claims(settled, title)}"
        )
    if not comparisons:
        sentences.append("No baseline was trained under the same conditions, so nothing is claimed about it.")
    else:
        sentences.append(f"On the validation data, {_claims(comparisons, title)}")
    if best.not_isolated:
        sentences.append("It was trained without isolation (T0): its code could reach whatever measured it.")
    if not settled:
        sentences.append(
            "It was chosen as the best of many on that same data, which flatters it; only a confirmation with "
            "fresh seeds on the locked test split settles the matter."
        )
    return sentences


def _claims(comparisons: Mapping[str, Comparison], title: Callable[[str], str]) -> str:
    claims = []
    known = {rival: each for rival, each in comparisons.items() if each.interval is not None}
    for kind, phrase in (
        (Outcome.BETTER, "it is better than {}"),
        (Outcome.NO_DIFFERENCE, "no different, beyond the noise, from {}"),
        (Outcome.WORSE, "worse than {}"),
    ):
        rivals = [name_in(title(rival)) for rival, each in known.items() if each.outcome is kind]
        if rivals:
            claims.append(phrase.format(listed(rivals)))
    unknown = [name_in(title(rival)) for rival in comparisons if rival not in known]
    if unknown:
        claims.append(f"not to be judged against {listed(unknown)}: the noise is unknown")
    text = "; ".join(claims)
    return f"{text if text.startswith('it is') else f'it is {text}'}."


def name_in(title: str) -> str:
    """What a title calls the design, without the explanation after it."""
    return title.partition(": ")[0].rstrip(".")


def isolation(known: Stats) -> str:
    """The tiers at which trainings ran, the strongest first."""
    tiers = [f"{tier} (not isolated)" if tier == Tier.T0 else tier for tier in known.tiers]
    return ", ".join(tiers) or "not recorded"


def _tried(known: Stats) -> str:
    failed = sum(row["failed"] for row in known.operators)
    made = sum(row["made"] for row in known.operators)
    if not made:
        return "Nothing was tried"
    tried = "1 design was tried" if made == 1 else f"{made} designs were tried"
    return f"{tried}, {made - failed} could be trained"


def noise(floor: NoiseFloor | None, unit: str) -> str | None:
    """How far repeated trainings scatter, so that small gaps are read rightly."""
    if floor is None:
        return None
    return (
        f"Baselines trained again with another seed scatter by {floor.sd_nats:.4f} {unit} (standard deviation, "
        f"{floor.degrees_of_freedom} degrees of freedom): gaps of that size between single trainings are noise."
    )


def listed(names: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def commands(campaign: Campaign, best: TopRow | None, is_confirmed: bool) -> list[tuple[str, str]]:
    """What to type next, and what it does."""
    name = shlex.quote(campaign.name)
    found: list[tuple[str, str]] = []
    if campaign.status in {"running", "interrupted"}:
        found.append((f"netwright resume {name}", "go on with this campaign"))
    if best is not None:
        if not is_confirmed:
            found.append((f"netwright confirm {best.short}", "fresh seeds, locked test split, intervals"))
        found.append((f"netwright memory show {best.short}", "everything about the best design"))
    found.append((f"netwright memory tree {name}", "the lineage in the terminal"))
    found.append((f"netwright memory failures {name}", "what failed, with the last output"))
    return found


def duration(seconds: float) -> str:
    """`41 s`, `4 min 10 s`, `2 h 5 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def count(value: float | None) -> str:
    """Three significant digits with k, M, G; a dash for None."""
    if value is None:
        return "–"
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= limit:
            digits = max(0, 2 - math.floor(math.log10(abs(value) / limit)))
            return f"{value / limit:.{digits}f} {unit}"
    return f"{value:.0f}"


def signed(value: float) -> str:
    """Four decimals, always with a sign; a true minus."""
    return f"{value:+.4f}".replace("-", "\N{MINUS SIGN}")

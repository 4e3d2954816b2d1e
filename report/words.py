"""The report's sentences. They claim no more than the intervals do."""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable, Sequence

from netwright.memory import Campaign
from netwright.memory.overview import Stats
from netwright.memory.query import TopRow
from netwright.report.measures import Comparison, Measurements
from netwright.types import Outcome


def outcome(
    best: TopRow | None,
    comparisons: Sequence[Comparison],
    settled: Sequence[Comparison],
    title: Callable[[str], str],
    known: Stats,
) -> list[str]:
    """What came out, in a few sentences; `settled` are the comparisons on the locked test split."""
    if best is None:
        return [f"{_tried(known)}. There is no result to compare yet; the failures below say what happened."]
    reached = f"{best.metric_value:.4f} {best.metric}" if best.metric != "loss" else f"loss {best.loss_nats:.4f}"
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
    if not settled:
        sentences.append(
            "It was chosen as the best of many on that same data, which flatters it; only a confirmation with "
            "fresh seeds on the locked test split settles the matter."
        )
    return sentences


def _claims(comparisons: Sequence[Comparison], title: Callable[[str], str]) -> str:
    claims = []
    for kind, phrase in (
        (Outcome.BETTER, "it is better than {}"),
        (Outcome.NO_DIFFERENCE, "no different, beyond the noise, from {}"),
        (Outcome.WORSE, "worse than {}"),
    ):
        rivals = [name_in(title(each.rival_id)) for each in comparisons if each.outcome is kind]
        if rivals:
            claims.append(phrase.format(listed(rivals)))
    text = "; ".join(claims)
    return f"{text if text.startswith('it is') else f'it is {text}'}."


def name_in(title: str) -> str:
    """What a title calls the design, without the explanation after it."""
    return title.partition(": ")[0].rstrip(".")


def _tried(known: Stats) -> str:
    failed = sum(row["failed"] for row in known.operators)
    made = sum(row["made"] for row in known.operators)
    if not made:
        return "Nothing was tried"
    tried = "1 design was tried" if made == 1 else f"{made} designs were tried"
    return f"{tried}, {made - failed} could be trained"


def noise(measurements: Measurements) -> str | None:
    """How large the usual standard error is, so that small gaps are read rightly."""
    errors = sorted(
        measured.standard_error
        for rungs in measurements.values()
        for measured in rungs.values()
        if measured.standard_error is not None
    )
    if not errors:
        return None
    middle = errors[len(errors) // 2]
    return (
        f"A typical standard error here is {middle:.4f} nats: two designs that were measured so and differ by "
        f"less than {2.77 * middle:.4f} nats cannot be told apart."
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

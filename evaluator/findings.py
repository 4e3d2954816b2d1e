"""What a gate found, and how it is said: every message is one sentence that a planner can act on."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from netwright.evaluator.backbone import SizeError
from netwright.evaluator.causality import Trace
from netwright.evaluator.loading import describe_error
from netwright.types import GateReport, JsonDict

WARNINGS = frozenset(("gradients", "large inputs"))
"""Gates that are shown and remembered but do not reject."""

_MEND = (
    "mask or shift what mixes over time, e.g. a lower-triangular mask, cumulative sums instead of means, "
    "padding on the left of convolutions"
)


@dataclass(frozen=True)
class Finding:
    """What a gate found: an empty message is a pass."""

    message: str = ""
    evidence: JsonDict = field(default_factory=dict)


PASS = Finding()


def run_gate(name: str, gate: Callable[[], Finding]) -> GateReport:
    begun = time.perf_counter()
    try:
        finding = gate()
    except SizeError as error:
        name, finding = "parameters", Finding(str(error))
    except Exception as error:  # noqa: BLE001 - the border to the candidate: whatever it raises is a finding
        finding = Finding(f"raised an error:\n{describe_error(error)}")
    severity: Literal["error", "warning"] = "warning" if name in WARNINGS else "error"
    return GateReport(
        gate=name,
        passed=not finding.message,
        severity=severity,
        message=finding.message,
        evidence=finding.evidence,
        seconds=round(time.perf_counter() - begun, 4),
    )


def causality_message(test: str, trace: Trace) -> str:
    if test == "shorter input":
        return (
            f"output at position {trace.position} changed by {trace.size:.3g} when the input ended at "
            f"{trace.boundary} instead of the full length: use nothing that depends on the sequence's length"
        )
    if test == "gradient":
        return (
            f"output at position {trace.position} has a gradient of {trace.size:.3g} with respect to the "
            f"later input at {trace.boundary}: {_MEND}"
        )
    return (
        f"output at position {trace.position} changed by {trace.size:.3g} when inputs from {trace.boundary} "
        f"on changed ({test}): {_MEND}"
    )


def leak_evidence(trace: Trace, test: str) -> JsonDict:
    return {
        "test": test,
        "change": trace.size,
        "relative_change": trace.relative,
        "position": trace.position,
        "changed_from": trace.boundary,
    }

"""The gates after training: what training has opened shows in the whole trained network."""

from __future__ import annotations

from torch import Tensor, nn

from netwright.evaluator import causality
from netwright.evaluator.causality import StatefulRun, Subject
from netwright.evaluator.findings import PASS, Finding, causality_message, leak_evidence, run_gate
from netwright.types import GateReport, TaskSpec


def audit_trained(network: nn.Module, rows: Tensor, spec: TaskSpec) -> list[GateReport]:
    """Run causality and batch independence again on a trained network, with `rows` (B >= 4, ...) of the task.

    Causality is left out where a row may be read as a whole, or is answered with a code, which comes from its end.
    """
    subject = Subject(network, spec, whole=True)
    causal = [run_gate("causality after training", lambda: _trained_causality(subject, rows))] if spec.stepwise else []
    return [*causal, run_gate("batch independence after training", lambda: _trained_batch(subject, rows))]


def _trained_causality(subject: Subject, rows: Tensor) -> Finding:
    length = rows.shape[1]
    boundaries = sorted({max(length // 3, 1), max(length * 2 // 3, 1), max(length - 1, 1)})
    for mode in ("eval", "train"):
        run = StatefulRun(subject.module.train(mode == "train"))
        x, donor = rows[:1], (rows[1:2] + 1) % subject.spec.vocab_size
        trace = causality.future_effect(run, x, donor, boundaries, stacked=False)
        if trace is not None:
            return Finding(causality_message(f"{mode} mode after training", trace), leak_evidence(trace, mode))
    return PASS


def _trained_batch(subject: Subject, rows: Tensor) -> Finding:
    for mode in ("eval", "train"):
        run = StatefulRun(subject.module.train(mode == "train"))
        trace = causality.row_effect(run, rows[:2], rows[2:4])
        if trace is not None:
            return Finding(
                f"after training the output for one row changed by {trace.size:.3g} with the other rows "
                f"({mode} mode): compute every row by itself",
                leak_evidence(trace, mode),
            )
    return PASS

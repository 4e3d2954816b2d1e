"""What `export` prints."""

from __future__ import annotations

from typing import Any

from netwright.campaign.exporting import Exported
from netwright.cli.output import print_json, say
from netwright.memory.rows import SHORT
from netwright.printable import printable


def print_exported(exported: Exported, *, json: bool) -> None:
    """Where it lies, from which training it is, and what was compared."""
    if json:
        print_json(_as_json(exported))
        return
    candidate, trial, tried = exported.candidate, exported.trial, exported.tried
    name = f"{printable(candidate.title)} ({candidate.id[:SHORT]})"
    if exported.rejected:
        say(f"{name} was rejected, nothing was written: {exported.rejected.message}")
        return
    say(f"{name} as {exported.kind}: {exported.folder}")
    if trial is not None:
        loss = "" if trial.loss_nats is None else f", {trial.split.value} loss {trial.loss_nats:.4f}"
        done = "trained for this, as no weights were kept" if exported.trained_now else "weights as they were scored"
        say(f"{done}: {exported.task_id}, rung {trial.rung}, seed {trial.seed}{loss}")
    if tried is not None:
        shapes = " and ".join(map(str, tried.shapes))
        say(
            f"tried out in a confined process without netwright: all logits of rows {shapes} compared with the "
            f"evaluator's own, largest difference {tried.difference:.2g}, at most {tried.allowed:.2g} is rounding"
        )
        if tried.told.not_free:
            say(f"of fixed length: {tried.told.not_free[0]}")
    say("how to use it: README.md there")


def _as_json(exported: Exported) -> dict[str, Any]:
    trial, tried = exported.trial, exported.tried
    return {
        "folder": str(exported.folder),
        "format": exported.kind,
        "candidate_id": exported.candidate.id,
        "task_id": exported.task_id,
        "rejected": exported.rejected,
        "trained_now": exported.trained_now,
        "rung": trial.rung if trial else None,
        "seed": trial.seed if trial else None,
        "split": trial.split if trial else None,
        "loss_nats": trial.loss_nats if trial else None,
        "weights": trial.weights if trial else None,
        "compared_shapes": tried.shapes if tried else None,
        "difference": tried.difference if tried else None,
        "allowed": tried.allowed if tried else None,
        "told": tried.told if tried else None,
    }

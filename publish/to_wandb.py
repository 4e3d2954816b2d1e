"""A campaign as runs of Weights & Biases, written offline: `wandb sync` sends them, when and where its user says."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from netwright.errors import PublishError
from netwright.publish.runs import CampaignRuns, Run
from netwright.publish.targets import Destination, Published, flat

if TYPE_CHECKING:
    from wandb import Settings

QUIET = {"WANDB_MODE": "offline", "WANDB_ERROR_REPORTING": "false", "WANDB_SILENT": "true"}
MARK = "netwright-fingerprint"
"""The file in a run's folder that says it is whole, and of what."""


def publish(campaign: CampaignRuns, to: Destination) -> Published:
    """Write a folder for each run; that of a run that changed takes the place of the earlier one."""
    folder = to.only_folder("wandb", "`wandb sync` sends it to a server") / to.project
    os.environ.update(QUIET)
    import wandb

    counts = {"new": 0, "changed": 0, "same": 0}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for run in campaign.runs:
            earlier = sorted((folder / "wandb").glob(f"offline-run-*-{run.id}"))
            if any(_fingerprint(each) == run.fingerprint for each in earlier):
                counts["same"] += 1
                continue
            _write(folder, to.project, campaign, run)
            for each in earlier:
                shutil.rmtree(each)
            counts["changed" if earlier else "new"] += 1
    except (wandb.Error, OSError) as error:
        raise PublishError(f"{to.shown} did not take campaign {campaign.name!r}: {error}") from error
    return Published(**counts, look=f"wandb sync {folder}/wandb/offline-run-*   (this sends them)")


def _fingerprint(folder: Path) -> str:
    mark = folder / MARK
    return mark.read_text() if mark.is_file() else ""


def _write(folder: Path, project: str, campaign: CampaignRuns, run: Run) -> None:
    import wandb

    about = {"state": run.state, "is_baseline": run.is_baseline, "node": run.node, "fingerprint": run.fingerprint}
    started = wandb.init(
        dir=folder,
        project=project,
        id=run.id,
        name=run.name,
        group=campaign.name,
        job_type="baseline" if run.is_baseline else str(run.params["operator"]),
        tags=[run.state],
        config=flat(campaign, run.params, run.facts, about),
        reinit="finish_previous",
        settings=_nothing_of_this_machine(),
    )
    for step, losses in run.rows():
        started.log(losses, step=step)
    started.summary.update(dict(run.numbers))
    if run.source:
        source = Path(started.dir, "candidate.py")
        source.write_text(run.source, encoding="utf-8")
        started.save(source, base_path=source.parent, policy="end")
    written = Path(started.dir).parent
    started.finish(exit_code=0 if run.state == "scored" else 1)
    shutil.rmtree(written / "logs")  # wandb's own, full of paths
    (written / MARK).write_text(run.fingerprint)


def _nothing_of_this_machine() -> Settings:
    """Settings by which no name, user, program, repository, package or measurement of the machine is written."""
    import wandb

    return wandb.Settings(
        mode="offline",
        console="off",
        silent=True,
        save_code=False,
        disable_git=True,
        disable_code=True,
        disable_job_creation=True,
        host="netwright",
        program="netwright",
        x_disable_meta=True,
        x_disable_stats=True,
        x_disable_machine_info=True,
        x_save_requirements=False,
    )

"""A campaign as runs of a trackio project in a folder.

trackio's own way in (`init`, `log`, `finish`) gives every run a fresh id, looks up who is logged in at Hugging Face,
and measures the machine. So the storage is written that it writes itself, as its importers do.
"""

from __future__ import annotations

import os
import sqlite3
from typing import Any

from netwright.errors import ConfigError, PublishError
from netwright.publish.runs import CampaignRuns, Run
from netwright.publish.targets import Destination, Published, flat


def publish(campaign: CampaignRuns, to: Destination) -> Published:
    """Write the campaign's runs; one that changed is written anew.

    trackio fixes its folder when it is imported: a process can publish to one folder.
    """
    folder = to.only_folder("trackio", "`trackio sync` sends it to a Space")
    os.environ.update({"TRACKIO_DIR": str(folder), "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_OFFLINE": "1"})
    from trackio import Api
    from trackio.sqlite_storage import SQLiteStorage

    try:
        SQLiteStorage.validate_project_name(to.project)
    except ValueError as error:
        raise ConfigError(f"--project {to.project}: {error}") from None
    counts = {"new": 0, "changed": 0, "same": 0}
    try:
        SQLiteStorage.init_db(to.project)
        known = {run.id: run for run in Api().runs(to.project)}
        for run in campaign.runs:
            there = known.get(run.id)
            if there is not None and (there.config or {}).get("fingerprint") == run.fingerprint:
                counts["same"] += 1
                continue
            if there is not None:
                there.delete()
            _write(SQLiteStorage, to.project, campaign, run)
            counts["new" if there is None else "changed"] += 1
    except (sqlite3.Error, OSError) as error:
        raise PublishError(f"{to.shown} did not take campaign {campaign.name!r}: {error}") from error
    return Published(**counts, look=f"TRACKIO_DIR={folder} trackio show --project {to.project}")


def _write(storage: Any, project: str, campaign: CampaignRuns, run: Run) -> None:
    """One write: rows of curves, then one of the results, and the configuration with the fingerprint."""
    rows = run.rows()
    last = rows[-1][0] + 1 if rows else 0
    about = {"state": run.state, "is_baseline": run.is_baseline, "node": run.node, "source": run.source}
    storage.bulk_log(
        project=project,
        run=f"{campaign.name} {run.name}",
        run_id=run.id,
        metrics_list=[*(losses for _, losses in rows), dict(run.numbers)],
        steps=[*(step for step, _ in rows), last],
        config=flat(campaign, run.params, run.facts, about, {"_Group": campaign.name, "fingerprint": run.fingerprint}),
    )

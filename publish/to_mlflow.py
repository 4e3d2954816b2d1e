"""A campaign as runs of an MLflow experiment: in a folder (SQLite and files), or on a tracking server."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from netwright.errors import ConfigError, PublishError
from netwright.publish.runs import CampaignRuns, Run, State
from netwright.publish.targets import Destination, Published, flat, without_password

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment
    from mlflow.entities import Run as MlflowRun

QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
}
_ENDED: Mapping[State, str] = {"scored": "FINISHED", "stopped": "KILLED", "rejected": "FAILED", "failed": "FAILED"}
_BATCH = 100
_OURS = "netwright."
_Item = TypeVar("_Item")


def publish(campaign: CampaignRuns, to: Destination) -> Published:
    """Write the campaign's runs. A run that changed gets what is new; MLflow keeps the history of a number."""
    os.environ.update(QUIET)
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    uri = _tracking_uri(to)
    try:
        client = MlflowClient(tracking_uri=uri, registry_uri=uri)
        experiment = _experiment(client, to)
        known = dict(_known(client, experiment.experiment_id, campaign.identity))
        counts = {"new": 0, "changed": 0, "same": 0}
        for run in campaign.runs:
            counts[_put(client, experiment.experiment_id, known.get(run.id), campaign, run)] += 1
    except MlflowException as error:
        first = without_password((str(error).splitlines() or ["no reason given"])[0])
        raise PublishError(f"MLflow at {to.shown} did not take campaign {campaign.name!r}: {first}") from error
    return Published(**counts, look=f"mlflow ui --backend-store-uri {uri}" if to.url is None else to.shown)


def _tracking_uri(to: Destination) -> str:
    if to.url is None:
        to.folder.mkdir(parents=True, exist_ok=True)
        return f"sqlite:///{to.folder / 'mlflow.db'}"
    if not to.url.startswith(("http://", "https://")):
        raise ConfigError(f"--at {to.shown}: to mlflow give a folder, or the http(s) URL of a tracking server")
    return to.url


def _experiment(client: MlflowClient, to: Destination) -> Experiment:
    found = client.get_experiment_by_name(to.project)
    if found is None:
        files = (to.folder / "files").as_uri() if to.url is None else None
        return client.get_experiment(client.create_experiment(to.project, artifact_location=files))
    if found.lifecycle_stage != "active":
        raise ConfigError(f"experiment {to.project!r} is in MLflow's trash: restore it, or choose another --project")
    return found


def _known(client: MlflowClient, experiment_id: str, identity: str) -> Iterator[tuple[str, MlflowRun]]:
    """The campaign's runs that are there, by our ids."""
    wanted, token = f"tags.`{_OURS}campaign_id` = '{identity}'", None
    while True:
        page = client.search_runs([experiment_id], filter_string=wanted, page_token=token)
        yield from ((run.data.tags.get(f"{_OURS}id", ""), run) for run in page)
        token = page.token
        if not token:
            return


def _put(client: MlflowClient, experiment_id: str, known: MlflowRun | None, campaign: CampaignRuns, run: Run) -> str:
    """Write one run; what came of it. The fingerprint is written last: a run without it is completed the next time."""
    if known is not None and known.data.tags.get(f"{_OURS}fingerprint") == run.fingerprint:
        return "same"
    fresh = known is None
    if known is None:
        marks = {f"{_OURS}id": run.id, f"{_OURS}campaign_id": campaign.identity}
        known = client.create_run(experiment_id, run_name=run.name, tags=marks)
    _log(client, known, campaign, run)
    client.set_terminated(known.info.run_id, status=_ENDED[run.state])
    client.set_tag(known.info.run_id, f"{_OURS}fingerprint", run.fingerprint)
    return "new" if fresh else "changed"


def _log(client: MlflowClient, known: MlflowRun, campaign: CampaignRuns, run: Run) -> None:
    from mlflow.entities import Metric, Param, RunTag

    now = int(time.time() * 1000)
    run_id = known.info.run_id
    facts = flat(campaign, run.facts, {"state": run.state, "is_baseline": run.is_baseline, "node": run.node})
    tags = [RunTag(f"{_OURS}{name}", str(value)) for name, value in facts.items()]
    # A parameter never changes in MLflow, and a curve once it was told; a number may, and the latest counts.
    params = [Param(name, str(value)) for name, value in run.params.items() if name not in known.data.params]
    numbers = [
        Metric(name, value, now, 0) for name, value in run.numbers.items() if known.data.metrics.get(name) != value
    ]
    for some in _batches(params):
        client.log_batch(run_id, params=some)
    for some in _batches(tags):
        client.log_batch(run_id, tags=some)
    for some in _batches(numbers):
        client.log_batch(run_id, metrics=some)
    for name, curve in run.curves.items():
        if name not in known.data.metrics:
            client.log_batch(run_id, metrics=[Metric(name, loss, now, step) for step, loss in curve])
    # Only where the files lie with the runs: a server may send them on to a place that nobody named here.
    if run.source and str(known.info.artifact_uri).startswith(("file:", "mlflow-artifacts:")):
        client.log_text(run_id, run.source, "candidate.py")


def _batches(items: Sequence[_Item]) -> Iterator[Any]:
    return (items[start : start + _BATCH] for start in range(0, len(items), _BATCH))

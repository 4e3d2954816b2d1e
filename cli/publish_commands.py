"""The command about other people's trackers: publish."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from netwright.cli.options import DEFAULT_HOME, CampaignName, Home, Json


def register(app: typer.Typer) -> None:
    """Add the command of this module to `app`."""
    app.command()(publish)


def publish(
    to: Annotated[
        Literal["mlflow", "optuna", "trackio", "wandb"],
        typer.Option("--to", help="The tracker; each is an extra, as in pip install 'netwright[mlflow]'."),
    ],
    name: CampaignName = None,
    at: Annotated[
        str | None,
        typer.Option(
            metavar="DIR|URL",
            help="A folder, or the URL of an MLflow server or an Optuna database. Default: HOME/published/TRACKER.",
            show_default=False,
        ),
    ] = None,
    project: Annotated[
        str, typer.Option(help="The experiment or project there; an Optuna study is called PROJECT/CAMPAIGN.")
    ] = "netwright",
    home: Home = DEFAULT_HOME,
    json: Json = False,
) -> None:
    """Copy a campaign to an experiment tracker, once: again it sends only what is new or has changed."""
    from netwright.cli.output import print_json, say
    from netwright.memory.store import Memory
    from netwright.publish.runs import runs_of
    from netwright.publish.targets import destination
    from netwright.publish.targets import publish as send

    place = destination(home, to, at, project)
    with Memory.open(home, create=False, read_only=True) as memory:
        campaign = runs_of(memory, name)
    sent = send(campaign, to, place)
    if json:
        counts = {"new": sent.new, "changed": sent.changed, "same": sent.same}
        print_json({"campaign": campaign.name, "to": to, "at": place.shown, "project": project, **counts})
        return
    say(f"campaign {campaign.name} to {to}, project {project}, at {place.shown}")
    say(f"{sent.new} new, {sent.changed} changed, {sent.same} as they were")
    say(f"to look at it: {sent.look}")

"""Commands on the experiment memory. Only `upgrade`, `import` and `embed` write; all work while a campaign does."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from netwright.cli import search_commands
from netwright.cli.forms import Form, shown
from netwright.cli.options import DEFAULT_HOME, CampaignName, Home, Json

app = typer.Typer(help="Inspect the experiment memory.", no_args_is_help=True, rich_markup_mode=None)
Id = Annotated[str, typer.Argument(metavar="ID", help="A candidate's id, or the first characters of it.")]
Campaign = Annotated[str | None, typer.Option("--campaign", "-c", help="Only this campaign.")]
Limit = Annotated[int, typer.Option("--limit", "-n", min=1, help="At most so many rows.")]


@app.command()
@shown
def top(
    form: Form,
    limit: Limit = 15,
    campaign: Campaign = None,
    task: Annotated[str | None, typer.Option("--task", "-t", help="Only this task.")] = None,
    home: Home = DEFAULT_HOME,
) -> None:
    """The best architectures, baselines among them, each at the highest rung it reached."""
    from netwright.cli.inspection import print_top

    print_top(home, limit=limit, campaign=campaign, task=task, form=form)


@app.command()
@shown
def show(form: Form, candidate: Id, home: Home = DEFAULT_HOME) -> None:
    """Everything about one experiment: hypothesis, code, gates, trials, curves, verdict, lineage."""
    from netwright.cli.experiment import print_experiment

    print_experiment(home, candidate, form=form)


@app.command()
def transcript(
    which: Annotated[
        str | None, typer.Argument(metavar="[ID|NODE]", help="A candidate's id or a node. Default: the best design.")
    ] = None,
    campaign: Annotated[str | None, typer.Option("--campaign", "-c", help="The campaign. Default: the latest.")] = None,
    file: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Write it into this Markdown file.")
    ] = None,
    home: Home = DEFAULT_HOME,
    json: Json = False,
) -> None:
    """All that models were asked and said for one design, then its gates, trainings, score and verdict."""
    from netwright.cli.transcript import print_transcript

    print_transcript(home, which, campaign, file, json=json)


@app.command()
@shown
def diff(form: Form, first: Id, second: Id, home: Home = DEFAULT_HOME) -> None:
    """What changed between two candidates: code, recipe, numbers."""
    from netwright.cli.difference import print_diff

    print_diff(home, first, second, form=form)


@app.command()
def draw(
    candidate: Id,
    file: Annotated[Path | None, typer.Option("--out", metavar="FILE.svg", help="Write it into this file.")] = None,
    beside: Annotated[
        str | None, typer.Option("--beside", metavar="ID", help="Mark what this one lacks. Default: its parent.")
    ] = None,
    home: Home = DEFAULT_HOME,
) -> None:
    """What an architecture computes, as an SVG graph: operations, shapes, parts, and what its parent lacks."""
    from netwright.cli.drawn import print_drawing

    print_drawing(home, candidate, file, beside)


@app.command()
@shown
def tree(form: Form, name: CampaignName = None, home: Home = DEFAULT_HOME) -> None:
    """The lineage of a campaign's designs, failed ones included."""
    from netwright.cli.inspection import print_tree

    print_tree(home, name, form=form)


@app.command()
@shown
def failures(form: Form, name: CampaignName = None, limit: Limit = 20, home: Home = DEFAULT_HOME) -> None:
    """What failed, where, and why, with the last output."""
    from netwright.cli.inspection import print_failures

    print_failures(home, name, limit=limit, form=form)


@app.command()
@shown
def lessons(
    form: Form,
    campaign: Campaign = None,
    task: Annotated[str | None, typer.Option("--task", "-t", help="Only this task.")] = None,
    retired: Annotated[bool, typer.Option("--retired", help="Those that stand no longer, and why.")] = False,
    home: Home = DEFAULT_HOME,
) -> None:
    """What was learned: each claim with its confidence and the experiments for it and against it."""
    from netwright.cli.lessons import print_lessons

    print_lessons(home, campaign=campaign, task=task, retired=retired, form=form)


@app.command()
@shown
def sql(
    form: Form,
    query: Annotated[str, typer.Argument(metavar="QUERY", help="A SELECT; writing is refused.")],
    home: Home = DEFAULT_HOME,
) -> None:
    """Ask the database directly; tables and views are documented in docs/memory.md."""
    from netwright.cli.inspection import print_sql

    print_sql(home, query, form=form)


@app.command()
@shown
def stats(form: Form, campaign: Campaign = None, home: Home = DEFAULT_HOME) -> None:
    """What is in the memory: campaigns, designs, trainings, hours, tokens, outcomes by operator and origin, size."""
    from netwright.cli.holdings import print_stats

    print_stats(home, campaign, form=form)


@app.command()
@shown
def knowledge(
    form: Form,
    query: Annotated[list[str] | None, typer.Argument(metavar="[QUERY...]", help="A symptom, in words.")] = None,
    limit: Annotated[int | None, typer.Option("--limit", "-n", min=1, help="At most so many cards.")] = None,
    home: Home = DEFAULT_HOME,
) -> None:
    """The knowledge base: all cards in a list, or those that answer a symptom, such as "recall good, copying poor"."""
    from netwright.cli.knowledge import print_knowledge

    print_knowledge(home, " ".join(query or ()), limit=limit, form=form)


@app.command()
def export(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file to write, such as mine.netwright.")],
    weights: Annotated[bool, typer.Option("--weights/--no-weights", help="Trained weights too.")] = True,
    home: Home = DEFAULT_HOME,
    json: Json = False,
) -> None:
    """Put the whole memory into one file, for another machine (a trained model alone: `netwright export ID`)."""
    from netwright.cli.moving import export_memory

    export_memory(home, file, weights=weights, json=json)


@app.command("import")
def import_(
    paths: Annotated[
        list[Path],
        typer.Argument(metavar="PATH...", help="One file of `memory export`; or Markdown cards, or folders of them."),
    ],
    home: Home = DEFAULT_HOME,
    json: Json = False,
) -> None:
    """Take in the memory of another machine, or cards of your own.

    A file of `memory export` is merged with what is here; a second time it changes nothing (docs/memory.md). Markdown
    cards are added to the knowledge base, for planners to read (docs/knowledge.md).
    """
    from netwright.memory.archive import is_archive

    if archives := [path for path in paths if is_archive(path)]:
        from netwright.cli.moving import import_memory
        from netwright.errors import ConfigError

        if len(paths) > 1:
            raise ConfigError(f"{archives[0]} is a whole memory: import it alone, then the rest")
        import_memory(home, archives[0], json=json)
    else:
        from netwright.cli.knowledge import import_cards

        import_cards(home, paths, json=json)


@app.command()
def upgrade(home: Home = DEFAULT_HOME) -> None:
    """Bring the memory of an older netwright forward, in place; nothing in it is lost."""
    from netwright.memory.store import Memory
    from netwright.memory.vectors import fill_all_own

    with Memory.open(home, create=False) as memory:
        fill_all_own(memory.connection)
        typer.echo(f"{memory.path} is up to date")


search_commands.register(app)

"""Commands about campaigns: run, resume, status, watch, policies, confirm, report."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from netwright.cli.options import (
    DEFAULT_HOME,
    CampaignName,
    Data,
    HeaderVariables,
    Home,
    Json,
    KeyVariable,
    LlmCalls,
    LlmCost,
    LlmTokens,
    Minutes,
    Protocol,
    Review,
    SandboxFlags,
    SeedsAtOnce,
    ServeOptions,
    TaskOrConfigured,
    TrainingFlags,
    Trials,
    Workers,
    contained,
    named_headers,
    words_of,
    workers_or_cores,
)

if TYPE_CHECKING:
    from netwright.config import CampaignConfig

File = Annotated[Path | None, typer.Argument(metavar="[CAMPAIGN.toml]", help="A campaign file.")]


def register(app: typer.Typer) -> None:
    """Add the commands of this module to `app`."""
    for command in (run, resume, status, watch, policies, confirm, report):
        app.command()(command)


@contained
def run(
    sandbox: SandboxFlags,
    training: TrainingFlags,
    file: File = None,
    task: TaskOrConfigured = None,
    data: Data = None,
    protocol: Protocol = None,
    trials: Trials = None,
    minutes: Minutes = None,
    llm_calls: LlmCalls = None,
    llm_tokens: LlmTokens = None,
    llm_cost: LlmCost = None,
    workers: Workers = None,
    policy: Annotated[str | None, typer.Option(metavar="NAME", help="Search policy; see `netwright policies`.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="The seed of the search.")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the campaign. Default: the task's.")] = None,
    llm: Annotated[
        str | None,
        typer.Option(metavar="URL|hf:MODEL", help="An OpenAI-compatible endpoint, or a model that is served for it."),
    ] = None,
    model: Annotated[str | None, typer.Option(metavar="NAME", help="The model to ask there.")] = None,
    key_env: KeyVariable = None,
    header: HeaderVariables = None,
    serve_options: ServeOptions = None,
    park: Annotated[
        bool | None,
        typer.Option("--park/--no-park", help="For hf: models: unload them while trainings run, on a shared GPU."),
    ] = None,
    early_stop: Annotated[
        bool | None,
        typer.Option("--early-stop/--no-early-stop", help="End trainings that are hopeless beside the baselines'."),
    ] = None,
    warm: Annotated[
        bool | None,
        typer.Option("--warm/--no-warm", help="Start from what earlier campaigns on the same task found."),
    ] = None,
    review: Review = None,
    replay: Annotated[
        str | None,
        typer.Option(metavar="CAMPAIGN", help="Repeat a recorded campaign word for word, without its endpoint."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be done, and do nothing.")] = False,
    home: Home = DEFAULT_HOME,
    json: Json = False,
) -> int:
    """Run a discovery campaign, or continue the one that has this name.

    With no endpoint (--llm, the file, or NETWRIGHT_LLM_URL) the built-in grammar proposes. Ctrl-C stops cleanly; the
    same command goes on. A --replay takes everything from the recorded campaign; it may have --name, --data, --workers
    and what is about the sandbox and the device.
    """
    from netwright.config_file import load_config

    flags: dict[str, Any] = {
        "task": _named(task),
        "data": str(data.resolve()) if data else None,
        "protocol": protocol,
        "budget.trials": trials,
        "budget.minutes": minutes,
        "budget.llm_calls": llm_calls,
        "budget.llm_tokens": llm_tokens,
        "budget.llm_cost": llm_cost,
        "workers": workers,
        "search.policy": _named(policy),
        "search.early_stop": early_stop,
        "search.warm": warm,
        "review": review,
        "seed": seed,
        "name": name,
        "llm.url": _model_in_full(llm),
        "llm.model": model,
        "llm.api_key_env": key_env,
        "llm.headers": named_headers(header),
        "llm.serve_options": words_of(serve_options),
        "llm.park": park,
    }
    if replay is not None:
        flags |= {"CAMPAIGN.toml": file, "dry_run": dry_run or None}
        return _run(home, _replay_config(home, replay, flags, sandbox, training), json)
    config = load_config(
        file,
        {
            **flags,
            **{f"sandbox.{key}": value for key, value in sandbox.items()},
            **{f"training.{key}": value for key, value in training.items()},
        },
        {
            "llm.url": _model_in_full(os.environ.get("NETWRIGHT_LLM_URL")),
            "llm.model": os.environ.get("NETWRIGHT_LLM_MODEL"),
        },
    )
    if dry_run:
        return _show_plan(home, config, json)
    return _run(home, config, json)


def _model_in_full(url: str | None) -> str | None:
    from netwright.agents.local_model import settled

    return settled(url, Path.cwd()) if url else url


def _named(name: str | None) -> str | None:
    """The name of what ships or is installed as it is, that of a file of the user's own in full."""
    return str(Path(name).resolve()) if name and name.endswith(".py") else name


def _replay_config(
    home: Path, source: str, flags: dict[str, Any], sandbox: SandboxFlags, training: TrainingFlags
) -> CampaignConfig:
    from netwright.campaign.recording import replay_config
    from netwright.errors import ConfigError
    from netwright.memory.store import Memory

    refused = [key for key, value in flags.items() if value is not None and key not in ("name", "data", "workers")]
    if refused:
        raise ConfigError(
            f"--replay takes everything from campaign {source!r}, and {', '.join(refused)} was given too: leave that "
            "out, or leave --replay out to run another campaign"
        )
    with Memory.open(home, create=False) as memory:
        return replay_config(memory, source, flags, sandbox, training)


def resume(
    name: CampaignName = None,
    trials: Trials = None,
    minutes: Minutes = None,
    llm_calls: LlmCalls = None,
    llm_tokens: LlmTokens = None,
    llm_cost: LlmCost = None,
    review: Review = None,
    home: Home = DEFAULT_HOME,
    json: Json = False,
) -> int:
    """Continue an interrupted campaign exactly where it was, or a finished one with more to spend."""
    from netwright.campaign.opening import as_begun
    from netwright.config import CampaignConfig
    from netwright.config_file import with_flags
    from netwright.memory.store import Memory

    # For writing: a memory of an older netwright is brought forward by this command.
    with Memory.open(home, create=False) as memory:
        row = memory.campaign(name)
    flags = {
        "budget.trials": trials,
        "budget.minutes": minutes,
        "budget.llm_calls": llm_calls,
        "budget.llm_tokens": llm_tokens,
        "budget.llm_cost": llm_cost,
    }
    if row.status == "finished" and not any(flags.values()):
        typer.echo(f"campaign {row.name!r} is finished; to go on, raise its budget, such as --trials", err=True)
    config = with_flags(CampaignConfig.model_validate(row.config), {**flags, "review": review})
    training = as_begun(row, config.training)
    return _run(home, config.model_copy(update={"name": row.name, "training": training}), json)


def _run(home: Path, config: CampaignConfig, json: bool) -> int:
    from netwright.campaign.running import run_campaign
    from netwright.cli.live import LiveView, watcher
    from netwright.cli.results import print_results

    view, reviewer = LiveView(home), None
    if config.review:
        # It brings the graph of the campaign, which others import while the sandbox starts.
        from netwright.cli.reviewing import terminal_reviewer

        reviewer = terminal_reviewer(view)
    row, board = run_campaign(home, config, watch=watcher(view, quiet=json), reviewer=reviewer)
    if row.status == "interrupted":
        typer.echo(f"interrupted; everything finished is saved. Go on with: netwright resume {row.name}", err=True)
        return 130
    print_results(home, row.name, board, json=json)
    return 0


def _show_plan(home: Path, config: CampaignConfig, json: bool) -> int:
    from netwright.campaign.opening import check_planner, task_of
    from netwright.cli.plan import forecast_of, plan_of, print_plan
    from netwright.search.policy import make_policy

    make_policy(config.search.policy, seed=config.seed, prices=[1.0])
    task = task_of(config, config.training.execution())
    check_planner(config, task.spec)
    config.sandbox.limits_for(task.spec.rungs[0].tokens)
    print_plan(plan_of(home, config, task.spec), forecast_of(home, config, task.spec), json=json)
    return 0


def status(name: CampaignName = None, home: Home = DEFAULT_HOME, json: Json = False) -> None:
    """Show where a campaign stands, also while it runs."""
    from netwright.cli.results import print_status

    print_status(home, name, json=json)


def watch(name: CampaignName = None, home: Home = DEFAULT_HOME) -> None:
    """Watch a campaign that another process runs, until it ends; Ctrl-C leaves it running."""
    from netwright.cli.live import watch_from_outside
    from netwright.cli.results import print_status
    from netwright.memory.store import Memory

    with Memory.open(home, create=False, read_only=True) as memory:
        campaign = memory.campaign(name).name
    try:
        watch_from_outside(home, campaign)
    except KeyboardInterrupt:
        typer.echo(f"{campaign} runs on; look again with: netwright watch {campaign}", err=True)
        return
    print_status(home, campaign, json=False)


def policies(json: Json = False) -> None:
    """List the search policies: what decides which design to work on next."""
    from netwright.cli.output import out, print_json, table
    from netwright.search.plugins import listed_policies

    known = listed_policies()
    if json:
        print_json([{"name": name, "summary": summary} for name, summary in known.items()])
        return
    out.print(table(("policy", "how it chooses~"), known.items()))


@contained
def confirm(
    sandbox: SandboxFlags,
    training: TrainingFlags,
    ids: Annotated[
        list[str] | None, typer.Argument(metavar="[ID]...", help="Candidates. Default: the best one.")
    ] = None,
    campaign: Annotated[str | None, typer.Option(help="The campaign. Default: the latest.")] = None,
    seeds: Annotated[int, typer.Option(min=2, max=100, help="Fresh seeds per architecture.")] = 5,
    repeats: Annotated[
        int, typer.Option(min=0, max=100, help="How many of a winner's trainings to repeat from source and seed.")
    ] = 1,
    rates: Annotated[
        str | None,
        typer.Option(metavar="X,Y,...", help="Factors on the learning rate for all to try. Default: 0.5,1,2."),
    ] = None,
    sweep_seeds: Annotated[
        int | None, typer.Option(min=1, max=100, help="Trainings with each of these factors. Default: 1.")
    ] = None,
    rung: Annotated[int | None, typer.Option(min=0, help="Training budget. Default: the highest rung.")] = None,
    workers: Workers = None,
    seeds_at_once: SeedsAtOnce = None,
    home: Home = DEFAULT_HOME,
    json: Json = False,
) -> int:
    """Train winners, their parents and all baselines from scratch on fresh seeds; score on the locked test split.

    Before that each chooses its learning rate by the same small sweep on the validation split; --rates 1 has none.
    """
    from netwright.campaign.confirming import confirm_candidates
    from netwright.cli.live import confirm_progress, tell
    from netwright.cli.results import print_confirmation

    with confirm_progress(quiet=json) as progress:
        confirmation = confirm_candidates(
            home,
            ids or [],
            sandbox_flags=sandbox,
            training_flags=training,
            campaign_name=campaign,
            seeds=seeds,
            repeats=repeats,
            rung=rung,
            workers=workers_or_cores(workers),
            on_progress=progress,
            flags={
                "rates": rates.split(",") if rates is not None else None,
                "sweep_seeds": sweep_seeds,
                "seeds_at_once": seeds_at_once,
            },
            say=tell,
        )
    print_confirmation(confirmation, json=json)
    return 0 if all(winner.losses for winner in confirmation.winners) else 1


def report(
    name: CampaignName = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The file. Default: HOME/reports/NAME.html, or .md.")
    ] = None,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Write Markdown, for pasting, in place of HTML.")
    ] = False,
    home: Home = DEFAULT_HOME,
    json: Json = False,
) -> None:
    """Write one file about a campaign: HTML that stands alone, or Markdown."""
    from netwright.cli.output import print_json
    from netwright.errors import StoreError
    from netwright.memory.store import Memory
    from netwright.report.build import build_report
    from netwright.report.markdown import build_markdown

    with Memory.open(home, create=False, read_only=True) as memory:
        row = memory.campaign(name)
        page = (build_markdown if markdown else build_report)(memory, row.name)
    path = output or home / "reports" / f"{row.name}.{'md' if markdown else 'html'}"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror}; choose another file with --output") from None
    facts: dict[str, Any] = {"campaign": row.name, "path": str(path), "bytes": len(page.encode())}
    if json:
        print_json(facts)
    else:
        typer.echo(f"wrote {path} ({facts['bytes'] // 1024} KiB){'' if markdown else '; open it in any browser'}")

"""One session of a campaign: open everything, run, and leave a true status behind however it ends."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from threadpoolctl import threadpool_limits

from netwright.campaign.board import Board
from netwright.campaign.chronicle import Chronicle
from netwright.campaign.ensemble import Ensemble
from netwright.campaign.experience import recalled
from netwright.campaign.glance import beat
from netwright.campaign.laboratories import open_laboratory
from netwright.campaign.ledger import MemoryLedger
from netwright.campaign.lessons import Lessons
from netwright.campaign.library import Library
from netwright.campaign.opening import (
    begin_or_continue,
    check_planner,
    exclusive,
    open_board,
    open_sandbox,
    settled,
    task_of,
)
from netwright.campaign.purse import CampaignPurse
from netwright.campaign.readings import trained_structure
from netwright.campaign.recording import MemoryRecords, Recording, recording
from netwright.campaign.roles import Agents, make_agents, warm_up
from netwright.campaign.sketchbook import Sketchbook
from netwright.campaign.slots import Interrupted, Slots
from netwright.config import CampaignConfig
from netwright.errors import ConfigError, NetwrightError
from netwright.evaluator.protocol import prices
from netwright.evaluator.sizing import mixer_allowance
from netwright.evaluator.suite import AnyLaboratory
from netwright.memory.records import Campaign, CampaignStatus
from netwright.memory.store import Memory
from netwright.prompts import use_own
from netwright.search.policy import Policy, Warmable, make_policy

if TYPE_CHECKING:
    from netwright.campaign.reviewing import Desk, Reviewer
    from netwright.campaign.scheduler import Scheduler

Watcher = Callable[[Board, asyncio.Event], Any]


def run_campaign(
    home: Path, config: CampaignConfig, *, watch: Watcher | None = None, reviewer: Reviewer | None = None
) -> tuple[Campaign, Board]:
    """Begin or continue the campaign that `config` names, to its end.

    `watch(board, done)` is an async function that shows the board until `done` is set. `reviewer` is asked before a new
    design is trained where `config.review` says so.

    Returns: the campaign as it ended, and the board as it stood; `status` is finished or interrupted.
    Raises: NetwrightError; whatever was finished before it is in the memory.
    """
    execution = config.training.execution()
    config = config.model_copy(update={"training": settled(config.training, execution)})
    task = task_of(config, execution)
    check_planner(config, task.spec)
    use_own(config.llm.prompts)
    if config.review and reviewer is None:
        raise ConfigError("review: there is nobody to ask before a training; hand in a reviewer, or set it to false")
    policy = make_policy(config.search.policy, seed=config.seed, prices=prices(task.spec))
    limits = config.sandbox.limits_for(task.spec.rungs[0].tokens)
    with (
        # The trainings have the cores; matrices of the search are small, and idle threads of BLAS spin.
        threadpool_limits(limits=1, user_api="blas"),
        exclusive(home, config.campaign_name),
        Memory.open(home) as memory,
        # One more than there are training slots: gates have a lane of their own.
        open_sandbox(config.sandbox, slots=config.workers + 1, execution=execution) as sandbox,
    ):
        recorded = recording(memory, config.replay, task.spec) if config.replay else None
        row = begin_or_continue(memory, config, task)
        board = open_board(row, sandbox.isolation)
        board.duplicates += memory.duplicates(row.id)
        lab = open_laboratory(sandbox, task, memory, limits=limits, audit=config.audit.strength, execution=execution)
        status: CampaignStatus = "failed"
        note = ""
        try:
            note = asyncio.run(_session(home, memory, row, lab, policy, board, watch, recorded, reviewer))
            status = "finished"
        except (Interrupted, KeyboardInterrupt):
            status = "interrupted"
        except NetwrightError as error:
            status, note = "interrupted", str(error)
            raise
        except BaseException as error:
            note = f"{type(error).__name__}: {error}"
            raise
        finally:
            row = memory.update_campaign(row.id, status=status, elapsed_seconds=board.elapsed_seconds, note=note)
        return row, board


async def _session(
    home: Path,
    memory: Memory,
    row: Campaign,
    lab: AnyLaboratory,
    policy: Policy,
    board: Board,
    watch: Watcher | None,
    recorded: Recording | None,
    reviewer: Reviewer | None,
) -> str:
    """Run to the end; why it ended early, if it did."""
    # A second of imports that nothing needs before, while the sandbox does its own.
    import langsmith

    from netwright.campaign.expansion import Expander
    from netwright.campaign.scheduler import Parts, Scheduler

    # The variable in a user's shell must not send every step of a campaign to a tracing service.
    langsmith.configure(enabled=False)
    await _settle_prompts(home, memory, row, board)
    config = board.config
    purse = CampaignPurse(board, memory.llm_totals(row.id))
    records = MemoryRecords(memory, recorded.source, row.id) if recorded is not None else None
    agents = make_agents(config.llm, MemoryLedger(memory, row.id, purse), os.environ, home, board, purse, records)
    sketchbook = Sketchbook(agents.team.planner, row.task, partial(trained_structure, memory))
    _warm(policy, memory, board, sketchbook)
    slots = Slots(lab, config.workers, board, memory.artifacts.put_weights, agents.training_turn)
    # The grammar planner reads nothing.
    library = Library(memory) if config.llm.url is not None else None
    expander = Expander(
        campaign_id=row.id,
        memory=memory,
        slots=slots,
        team=agents.team,
        board=board,
        repairs=config.llm.repairs,
        library=library,
        recording=recorded,
        desk=_desk(memory, row, recorded, reviewer, board),
    )
    chronicle = Chronicle(row.task, config.seed, mixer_allowance(row.task), config.budget.trials)
    librarian = agents.team.librarian
    scheduler = Scheduler(
        Parts(
            memory=memory,
            row=row,
            policy=policy,
            expander=expander,
            slots=slots,
            board=board,
            chronicle=chronicle,
            sketchbook=sketchbook,
            library=library,
            lessons=Lessons(librarian, chronicle, memory, row.id) if librarian is not None else None,
            ensemble=Ensemble(config.llm, config.seed, memory, row.id, board) if config.llm.models else None,
            ordered=config.llm.url is None,
            recording=recorded,
        )
    )
    try:
        await _run_watched(home, scheduler, slots, board, watch, agents)
        return scheduler.note()
    finally:
        for endpoint in agents.endpoints:
            await endpoint.aclose()


async def _settle_prompts(home: Path, memory: Memory, row: Campaign, board: Board) -> None:
    """Find out how long prompts may be, and keep it; raises ConfigError where the shortest are too long."""
    config = board.config
    if config.llm.url is None:
        return
    # A campaign without models does without the client too.
    from netwright.campaign.contexts import check_contexts, settled_contexts

    llm = await settled_contexts(config.llm, os.environ, home, board)
    check_contexts(llm, config, row.task)
    board.config = config.model_copy(update={"llm": llm})
    memory.update_campaign(row.id, config={**row.config, "llm": llm.model_dump(mode="json")})


def _desk(
    memory: Memory, row: Campaign, recorded: Recording | None, reviewer: Reviewer | None, board: Board
) -> Desk | None:
    """Where designs are reviewed; None where nobody does, nor did before, so that there is no such step."""
    decided = memory.reviews(row.id if recorded is None else recorded.source.id)
    asked = reviewer if board.config.review else None
    if asked is None and not decided:
        return None
    from netwright.campaign.reviewing import Desk

    return Desk(memory, row, decided, asked, board)


def _warm(policy: Policy, memory: Memory, board: Board, sketchbook: Sketchbook) -> None:
    """Start the search from what earlier campaigns found, if it can and this campaign began with any."""
    chosen = board.config.search.warm
    if not isinstance(policy, Warmable) or not isinstance(chosen, dict):
        return
    earlier = recalled(memory, chosen, sketchbook)
    if earlier.searches:
        policy.warm(earlier.searches)
    board.news.extend(earlier.news)


async def _run_watched(
    home: Path, scheduler: Scheduler, slots: Slots, board: Board, watch: Watcher | None, agents: Agents
) -> None:
    done = asyncio.Event()
    loop = asyncio.get_running_loop()
    beating = asyncio.create_task(beat(home, board))
    watching = asyncio.create_task(watch(board, done)) if watch else None
    try:
        for endpoint in agents.endpoints:
            await warm_up(endpoint, board)
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, scheduler.stop)
        await scheduler.run()
    finally:
        done.set()
        beating.cancel()
        # Whoever watches may be gone (a closed pipe); that is no reason to lose a campaign.
        await asyncio.gather(*filter(None, (watching, beating)), return_exceptions=True)
        await asyncio.to_thread(slots.close)
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)

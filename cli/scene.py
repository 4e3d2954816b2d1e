"""A running campaign as it is drawn: slots, best so far, the best designs' lineage, failures, tokens, time left."""

from __future__ import annotations

import itertools
import shutil
import subprocess
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from netwright.campaign.glance import Best, Glance, SlotGlance
from netwright.cli.inspection import branch
from netwright.cli.models import MODEL_COLUMNS, model_cells
from netwright.cli.output import duration, sparkline
from netwright.errors import StoreError
from netwright.evaluator.selection import claims_over
from netwright.llm_config import LlmConfig, money
from netwright.memory.designs import recognised
from netwright.memory.learning import prompt_reuse
from netwright.memory.overview import TreeRow, tree
from netwright.memory.store import Memory

BAR = 12
TREE_BEST = 3
CURVE = 32
READ_SECONDS, READ_SHARE = 3.0, 0.05
"""A look into the memory is that old at most, or older where looking takes long: at most so much of the time."""
GPU_QUERY = "utilization.gpu,memory.used,memory.total"


@dataclass(frozen=True)
class Scene:
    """What is shown besides the state itself.

    From the memory: the `lineage`, the nodes that are `better` than their rival as far as that may be said of each, and
    the first `losses` of baselines and designs in the order in which they came. `gpus` has a line for each.
    """

    lineage: Sequence[TreeRow] = ()
    better: Collection[int] = ()
    losses: Sequence[float] = ()
    llm: LlmConfig = field(default_factory=LlmConfig)
    gpus: Sequence[str] = ()


class Observer:
    """Looks into the memory of a home, and at its GPUs, when something can have changed there."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._scene = Scene()
        self._next = time.monotonic()
        self._has_gpu = shutil.which("nvidia-smi") is not None

    def look(self, name: str) -> Scene:
        """The scene of that campaign, as it was a moment ago."""
        began = time.monotonic()
        if began >= self._next:
            self._scene = self._seen(name)
            ended = time.monotonic()
            self._next = ended + max(READ_SECONDS, (ended - began) / READ_SHARE)
        return self._scene

    def _seen(self, name: str) -> Scene:
        try:
            with Memory.open(self._home, create=False, read_only=True) as memory:
                row = memory.campaign(name)
                losses = [-value for _, value in memory.first_scores(row.id)]
                llm = LlmConfig.model_validate(row.config.get("llm") or {})
                better = claims_over(memory.verdicts(row.id)).better
                return Scene(tree(memory, name), better, losses, llm, gpu_use() if self._has_gpu else ())
        except StoreError:  # a view is no reason to stop: what was seen before is still true
            return self._scene


def gpu_use() -> list[str]:
    """How busy each NVIDIA GPU is, in words; nothing where that cannot be told."""
    asked = ["nvidia-smi", f"--query-gpu={GPU_QUERY}", "--format=csv,noheader,nounits"]
    try:
        told = subprocess.run(asked, capture_output=True, text=True, timeout=2, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    rows = [[cell.strip() for cell in line.split(",")] for line in told.splitlines()]
    return [f"{use}% busy, {used} of {size} MiB" for use, used, size in (row for row in rows if len(row) == 3)]


def one_line(state: Glance) -> str:
    """The state in one line, for logs."""
    parts = [
        f"[{duration(state.elapsed_seconds)}] {state.phase}",
        f"{state.trained}/{state.trials} trained",
        f"{sum(state.failures.values())} failed",
    ]
    parts += [f"{label} at rung {best.score.rung} {_loss(best)} {best.title}" for label, best in leaders(state)]
    if state.prompt_tokens or state.completion_tokens:
        parts.append(f"{state.prompt_tokens + state.completion_tokens:,} tokens{_cost(state)}")
    if state.serving:
        parts.append(state.serving)
    return "; ".join(parts)


def _cost(state: Glance) -> str:
    return "" if state.llm_cost is None else f", cost {money(state.llm_cost)}"


def writing_now(state: Glance) -> str:
    """What models are writing at this moment."""
    return "; ".join(f"{each.role} {each.tokens:,} tokens, {each.tokens_per_second:.0f}/s" for each in state.writing)


def leaders(state: Glance) -> list[tuple[str, Best]]:
    """The best design and the best baseline; without the latter while they stand at different rungs."""
    best, rival = state.best, state.best_baseline
    if best and rival and best.score.rung != rival.score.rung:
        rival = None
    return [(label, leader) for label, leader in (("best design", best), ("best baseline", rival)) if leader]


def draw(state: Glance, scene: Scene) -> Group:
    """The state as a headline, a table of slots, who leads, what grows, and what it takes."""
    parts: list[RenderableType] = [_headline(state), Text(), _slots(state), Text()]
    parts += [
        _fact(label, f"{_loss(best)} {state.unit} at rung {best.score.rung}  {best.title}", style="bold")
        for label, best in leaders(state)
    ]
    if scene.losses:
        lows = list(itertools.accumulate(scene.losses, min))
        parts.append(
            _fact("best so far", f"{sparkline(lows, CURVE)}  {lows[0]:.4f} to {lows[-1]:.4f} at rung 0", style="cyan")
        )
    if grown := _grown(scene):
        parts.append(grown)
    parts += [_fact(label, words, style) for label, words, style in _facts(state, scene) if words]
    if state.models:
        parts.append(_models(state, scene.llm))
    return Group(*parts)


def _facts(state: Glance, scene: Scene) -> list[tuple[str, str, str]]:
    failures = sorted(state.failures.items(), key=lambda each: -each[1])[:5]
    spent = ""
    if state.prompt_tokens or state.completion_tokens:
        again = prompt_reuse(state.prefix_tokens / max(state.prompt_tokens, 1))
        spent = f"{state.prompt_tokens:,} read{again}, {state.completion_tokens:,} written{_cost(state)}"
    return [
        ("known designs", recognised(state.duplicates), ""),
        ("failures", ", ".join(f"{count} {stage}" for stage, count in failures), "yellow"),
        ("tokens", spent, ""),
        ("model", state.serving, ""),
        ("writing", writing_now(state), "magenta"),
        *(("GPU" if len(scene.gpus) == 1 else f"GPU {number}", use, "") for number, use in enumerate(scene.gpus)),
    ]


def _fact(label: str, words: str, style: str = "") -> Text:
    return Text.assemble((f"{label:14}", "dim"), (words, style), no_wrap=True, overflow="ellipsis")


def _headline(state: Glance) -> Group:
    left = state.remaining_seconds
    title = Text.assemble(
        (state.name, "bold"),
        f"  {state.phase}  ",
        (f"isolation {state.tier}, slots {state.slot_use:.0%} busy", "dim"),
    )
    counts = (
        f" {state.trained}/{state.trials} trained, {state.promoted} promoted, {duration(state.elapsed_seconds)} gone"
    )
    until = f", about {duration(left)} left" if left else ""
    return Group(title, Text.assemble(*_bar(state.trained / max(state.trials, 1)), counts, until))


def _bar(share: float) -> list[tuple[str, str]]:
    full = round(min(max(share, 0.0), 1.0) * BAR)
    return [("━" * full, "green"), ("─" * (BAR - full), "dim")]


def _slots(state: Glance) -> Table:
    slots = Table(box=None, pad_edge=False, show_header=True, header_style="dim", expand=True)
    for name, least in (("slot", 4), ("training", 12), ("for", 5), ("progress", BAR + 5), ("loss", 6), ("time", 6)):
        slots.add_column(
            name, overflow="ellipsis", no_wrap=True, min_width=least, ratio=1 if name == "training" else None
        )
    known = {slot.number: slot for slot in state.slots}
    for number in range(state.workers):
        slots.add_row(*_slot_cells(number, known.get(number)))
    return slots


def _slot_cells(number: int, slot: SlotGlance | None) -> list[Text]:
    if slot is None:
        return [Text(str(number)), Text("free", style="dim")]
    progress = Text("scoring" if slot.steps else "starting", style="dim")
    if slot.step < slot.steps:
        progress = Text.assemble(*_bar(slot.step / slot.steps), f" {slot.step / slot.steps:4.0%}")
    loss = f"{slot.loss_nats:.3f}" if slot.loss_nats is not None else ""
    return [
        Text(str(number)),
        Text(slot.title),
        Text(slot.purpose, style="dim"),
        progress,
        Text(loss),
        Text(duration(slot.seconds)),
    ]


def _grown(scene: Scene) -> Tree | None:
    """The lineage of the best few designs, with what they came from and nothing else."""
    rows = scene.lineage
    by_node = {row.node: row for row in rows}
    scored = [row for row in rows if row.node >= 0 and row.loss_nats is not None and not row.failure]
    best = sorted(scored, key=lambda row: (-(row.rung or 0), row.loss_nats or 0.0))[:TREE_BEST]
    kept: set[int] = set()
    for row in best:
        node: int | None = row.node
        while node is not None and node not in kept:
            kept.add(node)
            node = by_node[node].parent
    if not kept:
        return None
    made = len([row for row in rows if row.node >= 0])
    root = Tree(Text(f"{made} designs grown, the best {len(best)} of them:", style="dim"), guide_style="dim")
    branches: dict[int, Tree] = {}
    for row in rows:
        if row.node in kept:
            above = branches[row.parent] if row.parent is not None else root
            branches[row.node] = above.add(branch(row, row.node in scene.better))
    return root


def _models(state: Glance, llm: LlmConfig) -> Table:
    models = Table(box=None, pad_edge=False, show_header=True, header_style="dim")
    for column in MODEL_COLUMNS:
        models.add_column(column.rstrip(">~"), no_wrap=True)
    for each in state.models:
        models.add_row(*model_cells(each, llm))
    return models


def _loss(best: Best) -> str:
    return f"{-best.score.value:.4f} ± {best.score.standard_error:.4f}"

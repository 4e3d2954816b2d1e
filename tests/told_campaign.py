"""A campaign told to a memory as a real one would write it, for tests of what reads it."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from netwright.memory import Attempt, Campaign, ExperimentRecord, Memory
from netwright.types import (
    Action,
    Candidate,
    Operator,
    Recipe,
    Rung,
    Scope,
    Score,
    Split,
    TaskSpec,
    Trial,
    TrialStatus,
    Usage,
    Verdict,
)

SOURCE = '''"""Decaying memory {number}."""

import torch
from torch import nn

RECIPE = {{"lr": 2e-3}}


class Mixer(nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.gate = nn.Linear(dim, heads)  # one decay per head, x < 1 & y > 0

    def forward(self, x):
        return x * torch.sigmoid(self.gate(x)).mean(-1, keepdim=True) + {number}
'''
BASELINES = {
    "Softmax attention with rotary positions": 1.420,
    "Linear attention": 1.520,
    "Retention": 1.470,
    "Gated linear attention": 1.435,
    "DeltaNet": 1.428,
    "Gated short convolution": 1.600,
    "Attention and convolution hybrid": 1.405,
}


@pytest.fixture
def task() -> TaskSpec:
    return TaskSpec(
        name="bytes",
        summary="predict the next byte of Python sources",
        scope=Scope.MIXER,
        vocab_size=256,
        max_len=256,
        dim=64,
        heads=4,
        layers=2,
        parameters=250_000,
        metric="bits per byte",
        recipe=Recipe(),
        rungs=(Rung(level=0, tokens=400_000), Rung(level=1, tokens=1_200_000)),
        validation_rows=64,
        test_rows=64,
    )


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Memory]:
    with Memory.open(tmp_path / "home") as opened:
        yield opened


class Teller:
    """Writes a campaign into a memory, experiment by experiment, as a real one would."""

    def __init__(self, memory: Memory, campaign: Campaign) -> None:
        self.memory = memory
        self.campaign = campaign
        self.rng = random.Random(1)

    def candidate(self, title: str, origin: str, number: float, **changes: str) -> Candidate:
        fields = {
            "source": SOURCE.format(number=number),
            "title": title,
            "hypothesis": "A per-head decay forgets stale bytes, so that later ones weigh more.",
            "origin": origin,
            **changes,
        }
        made = Candidate(scope=Scope.MIXER, **fields)
        self.memory.put_candidate(made)
        return made

    def trial(self, candidate: Candidate, loss: float | None, *, rung: int = 0, seed: int = 1, **changes: object):
        steps = 260 * 3**rung
        end = loss if loss is not None else 2.5
        noisy = [
            (step, end + 3.2 * math.exp(-step / (steps / 9)) + self.rng.gauss(0, 0.03)) for step in range(1, steps + 1)
        ]
        fields: dict[str, object] = {
            "candidate_id": candidate.id,
            "task_id": self.campaign.task.id,
            "rung": rung,
            "seed": seed,
            "status": TrialStatus.DONE if loss is not None else TrialStatus.CRASHED,
            "loss_nats": loss,
            "loss_standard_error": 0.012 if loss is not None else None,
            "parameters": 249_000 + self.rng.randrange(2000),
            "tokens": 400_000 * 3**rung,
            "usage": Usage(wall_seconds=6.0 * 3**rung * self.rng.uniform(0.8, 1.3), tier="T1"),
            "curve": tuple(noisy),
            **changes,
        }
        trial = Trial.model_validate(fields)
        self.memory.put_trial(self.campaign.id, trial)
        return trial

    def remember(self, **fields: object) -> None:
        self.memory.remember(self.campaign.id, ExperimentRecord.model_validate(fields))


@pytest.fixture
def start(memory: Memory, task: TaskSpec) -> Callable[..., Teller]:
    def begin(name: str = "first", **changes: object) -> Teller:
        config = {
            "budget": {"trials": 28, "minutes": 5.0},
            "workers": 2,
            "device": "cpu",
            "search": {"policy": "tree"},
            "llm": {"url": None, "model": None},
        }
        known = memory.start_campaign(name, task.model_copy(update=changes), 7, config)
        return Teller(memory, known)

    return begin


@pytest.fixture
def teller_of(memory: Memory) -> Callable[[Campaign], Teller]:
    return lambda campaign: Teller(memory, campaign)


@pytest.fixture
def told(start: Callable[..., Teller]) -> Teller:
    """A whole campaign: seven baselines, 28 designs of which some fail, promotions, a confirmation."""
    teller = start()
    rng = teller.rng
    baselines = tell_baselines(teller)
    designs: dict[int, tuple[Candidate, float]] = {}
    for index in range(32):
        tell_design(teller, index, designs, baselines, rng)
    ranked = sorted(designs, key=lambda node: designs[node][1])
    for offset, node in enumerate([*ranked[:2], -1, -7]):
        candidate, loss = designs[node] if node >= 0 else baselines[node]
        higher = loss - 0.13 + rng.gauss(0, 0.004)
        teller.trial(candidate, higher, rung=1)
        teller.remember(
            node=node,
            action=Action(index=32 + offset, kind="promote", parents=(node,), rung=1, closing=True),
            operator="baseline" if node < 0 else "refine",
            candidate_id=candidate.id,
            score=Score(value=-higher, standard_error=0.009, rung=1, seeds=1),
        )
        for seed in (101, 102, 103):
            teller.trial(candidate, higher + rng.gauss(0.01, 0.006), rung=1, seed=seed, split=Split.TEST)
    teller.memory.update_campaign(teller.campaign.id, status="finished", elapsed_seconds=291.0)
    return teller


def tell_baselines(teller: Teller) -> dict[int, tuple[Candidate, float]]:
    baselines = {}
    for number, (title, loss) in enumerate(BASELINES.items(), 1):
        candidate = teller.candidate(title, "baseline", -number)
        for seed in (1, 2):
            teller.trial(candidate, loss + (seed - 1.5) * 0.01, seed=seed)
        score = Score(value=-loss, standard_error=0.008, rung=0, seeds=2)
        teller.remember(node=-number, operator="baseline", candidate_id=candidate.id, score=score)
        baselines[-number] = (candidate, loss)
    return baselines


def tell_design(teller: Teller, index: int, designs, baselines, rng: random.Random) -> None:
    best = sorted(designs, key=lambda node: designs[node][1])[:4]
    operator = Operator.DRAFT if index < 6 or not best else rng.choice(list(Operator)[2:5])
    count = {Operator.DRAFT: 0, Operator.COMBINE: 2}.get(operator, 1)
    parents = tuple(rng.sample(best, min(count, len(best))))
    action = Action(index=index, kind="expand", operator=operator, parents=parents, told=index)
    base = {"node": index, "action": action, "operator": operator, "parents": parents}
    base["parent_ids"] = tuple(designs[parent][0].id for parent in parents)
    if index in (4, 19):
        teller.remember(**base, stage="planner: no reply", failure="the planner gave no usable answer")
        return
    candidate = teller.candidate(f"{operator.value.title()} {index}: gated decay with token shift", "grammar", index)
    base["candidate_id"] = candidate.id
    if index % 9 == 5:
        failure = "the loss left the finite range at step 41; lower the learning rate"
        teller.trial(candidate, None, reason=failure, last_output="Traceback (most recent call last):\n  ...")
        teller.remember(**base, stage="training: diverged", failure=failure)
        return
    attempts = ()
    if index % 7 == 3:
        leaky = teller.candidate(f"Leaky try {index}", "grammar", index + 0.5)
        attempts = (Attempt(candidate_id=leaky.id, failure="position 3 changes with input 9", stage="gate: causality"),)
    parent_loss = min((designs[parent][1] for parent in parents), default=1.56)
    loss = parent_loss + rng.gauss(0.0, 0.035)
    teller.trial(candidate, loss)
    rival_id = base["parent_ids"][0] if parents else baselines[-7][0].id
    verdict = Verdict(
        outcome="better" if loss < parent_loss else "no difference",
        rival_id=rival_id,
        delta_nats=loss - parent_loss,
        changed="one decay per head",
        words="The decay per head helped on long files.",
        lesson="A decay per head beats one decay for all." if index % 5 == 0 else None,
    )
    score = Score(value=-loss, standard_error=0.011, rung=0, seeds=1)
    teller.remember(**base, score=score, verdict=verdict, attempts=attempts, seconds=9.0)
    designs[index] = (candidate, loss)

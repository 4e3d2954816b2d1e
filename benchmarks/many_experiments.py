"""A memory with a campaign of many experiments, made up: for timing what reads it.

Designs descend from each other as in a search: a fifth are new, others change one of the best so far or join two. One
in eight fails. Losses, curves, gates, verdicts and lessons have the sizes that real ones have; the sources are files
that the grammar wrote, each made different by its first line.
"""

from __future__ import annotations

import math
import random
from pathlib import Path

from netwright.agents.grammar_planner import GrammarPlanner
from netwright.memory import Attempt, ExperimentRecord, Memory
from netwright.memory.store import Campaign
from netwright.types import (
    Action,
    Candidate,
    Context,
    GateReport,
    Interval,
    LlmCall,
    Operator,
    Recipe,
    Rung,
    Scope,
    Score,
    TaskSpec,
    Trial,
    TrialStatus,
    Usage,
    Verdict,
)

TASK = TaskSpec(
    name="recall", summary="answer with the value that followed a key", scope=Scope.MIXER, vocab_size=64, max_len=128,
    dim=64, heads=4, layers=2, parameters=90_000, metric="loss", recipe=Recipe(),
    rungs=(Rung(level=0, tokens=400_000), Rung(level=1, tokens=1_200_000)), validation_rows=64, test_rows=64,
)  # fmt: skip
CONFIG = {"budget": {"trials": 10_000, "minutes": 600.0}, "workers": 2, "search": {"policy": "tree"}, "llm": {}}
GATES = ("parses", "contract", "builds", "shapes", "budget", "causality", "batch independence", "finite")
BASELINES = 7
SOURCES = 200
CURVE_POINTS = 200
FAILED_ONE_IN = 8
PROMOTED_ONE_IN = 20


def fill(home: Path, experiments: int, name: str = "many", seed: int = 1) -> None:
    """Make a memory in `home` with one finished campaign of so many experiments."""
    rng = random.Random(seed)
    with Memory.open(home) as memory:
        campaign = memory.start_campaign(name, TASK, seed, {**CONFIG, "name": name})
        _Writer(memory, campaign, rng).write(experiments)
        memory.update_campaign(campaign.id, status="finished", elapsed_seconds=3600.0)


class _Writer:
    def __init__(self, memory: Memory, campaign: Campaign, rng: random.Random) -> None:
        self.memory, self.campaign, self.rng = memory, campaign, rng
        self.drafts = [_draft(number) for number in range(SOURCES)]
        self.losses: dict[int, tuple[float, Candidate]] = {}

    def write(self, experiments: int) -> None:
        for number in range(1, BASELINES + 1):
            baseline = self.candidate(-number, "baseline")
            for seed in (0, 1):
                self.trial(baseline, 1.6 + 0.02 * number + 0.005 * seed, seed=seed)
            self.remember(
                node=-number, operator="baseline", candidate_id=baseline.id, score=_score(1.6 + 0.02 * number)
            )
        for node in range(experiments):
            self.design(node)
        best = sorted(self.losses, key=lambda node: self.losses[node][0])[: experiments // PROMOTED_ONE_IN]
        for offset, node in enumerate(best):
            loss, candidate = self.losses[node]
            self.trial(candidate, loss - 0.1, rung=1)
            action = Action(index=experiments + offset, kind="promote", parents=(node,), rung=1)
            promoted = {"action": action, "operator": "refine", "candidate_id": candidate.id}
            self.remember(node=node, **promoted, score=_score(loss - 0.1, rung=1))

    def design(self, node: int) -> None:
        pool = sorted(self.losses, key=lambda each: self.losses[each][0])[:40] if node < 400 else self.pool(node)
        operator = Operator.DRAFT if len(pool) < 4 else self.rng.choice([*Operator][1:6])
        count = {Operator.DRAFT: 0, Operator.COMBINE: 2}.get(operator, 1)
        parents = tuple(self.rng.sample(pool, count))
        candidate = self.candidate(node, "grammar")
        record = {
            "node": node,
            "action": Action(index=node, kind="expand", operator=operator, parents=parents, told=node),
            "operator": operator,
            "parents": parents,
            "parent_ids": tuple(self.losses[parent][1].id for parent in parents),
            "candidate_id": candidate.id,
        }
        reports = [GateReport(gate=gate, passed=True, message="as it should be", seconds=0.1) for gate in GATES]
        if node % FAILED_ONE_IN == 0:
            reports[5] = GateReport(gate="causality", passed=False, message="position 3 changes with input 9")
            self.memory.put_gates(candidate.id, TASK.id, reports[:6], "T3")
            self.remember(**record, stage="gate: causality", failure="position 3 changes with input 9")
            return
        self.memory.put_gates(candidate.id, TASK.id, reports, "T3")
        parent = min((self.losses[each][0] for each in parents), default=1.7)
        loss = max(0.9, parent + self.rng.gauss(0.0, 0.02))
        self.trial(candidate, loss)
        self.losses[node] = (loss, candidate)
        self.remember(**record, score=_score(loss), verdict=self.verdict(loss - parent, record["parent_ids"], node))

    def pool(self, node: int) -> list[int]:
        """The best of a sample: sorting all for each design would take longer than writing it."""
        return sorted(self.rng.sample([*self.losses], 80), key=lambda each: self.losses[each][0])[:20]

    def verdict(self, delta: float, rivals: tuple[str, ...], node: int) -> Verdict:
        return Verdict(
            outcome="better" if delta < -0.02 else "worse" if delta > 0.02 else "no difference",
            rival_id=rivals[0] if rivals else None,
            delta_nats=delta,
            interval=Interval(low=delta - 0.03, high=delta + 0.03, level=0.95),
            p_value=min(1.0, math.exp(-60 * abs(delta))),
            changed="one decay per head",
            words="The change moved the loss by less than seeds do.",
            lesson=f"A decay per head beats one decay for all at depth {node % 50}." if node % 10 == 0 else None,
        )

    def candidate(self, number: int, origin: str) -> Candidate:
        draft = self.drafts[number % SOURCES]
        made = draft.model_copy(update={"source": f"# design {number}\n{draft.source}", "origin": origin})
        self.memory.put_candidate(made)
        if number >= 0 and number % 10 == 0:
            self.call(number)
        return made

    def call(self, number: int) -> None:
        messages = ({"role": "user", "content": "Propose a mixer. " * 400},)
        call = LlmCall(
            key=f"{number}", role="planner", model="made-up", prompt_sha256="0" * 64, messages=messages, action=number,
            reply="```python\n...\n```", status="ok", prompt_tokens=1600, completion_tokens=300, seconds=3.0,
        )  # fmt: skip
        self.memory.put_llm_call(self.campaign.id, call)

    def trial(self, candidate: Candidate, loss: float, *, rung: int = 0, seed: int = 0) -> None:
        curve = tuple(
            (step, loss + 3.0 * math.exp(-step / 20) + self.rng.gauss(0, 0.03)) for step in range(CURVE_POINTS)
        )
        trial = Trial(
            candidate_id=candidate.id, task_id=TASK.id, rung=rung, seed=seed, status=TrialStatus.DONE, loss_nats=loss,
            loss_standard_error=0.012, parameters=90_000 + self.rng.randrange(3000), tokens=400_000 * 3**rung,
            flops_per_token=self.rng.uniform(4e5, 9e5), steps=CURVE_POINTS, curve=curve,
            usage=Usage(wall_seconds=self.rng.uniform(4, 9), tier="T3"), metrics={"accuracy": math.exp(-loss)},
        )  # fmt: skip
        self.memory.put_trial(self.campaign.id, trial)

    def remember(self, **fields: object) -> None:
        attempts = (
            (Attempt(failure="a bracket is not closed", stage="gate: parses"),) if self.rng.random() < 0.1 else ()
        )
        self.memory.remember(self.campaign.id, ExperimentRecord.model_validate({"attempts": attempts, **fields}))


def _draft(number: int) -> Candidate:
    context = Context(task=TASK, operator=Operator.DRAFT, seed=number, draw=0, mixer_parameters=20_000)
    return GrammarPlanner().sketch(context).proposal().candidate(Scope.MIXER)


def _score(loss: float, rung: int = 0) -> Score:
    return Score(value=-loss, standard_error=0.012, rung=rung, seeds=1)

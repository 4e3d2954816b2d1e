"""Several trainings of one candidate as one job: joined before it runs, taken apart after.

    jobs of K seeds ──join──▶ one job ──run──▶ its result ──parts──▶ each seed's own result, or why it has none

A part is read, checked and scored like the result of a training alone. Nothing that goes wrong with the whole is held
against a seed: whatever is not done is trained alone, and ends there as it would have without this.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from netwright.evaluator.limits import BUILD, COMPILE
from netwright.evaluator.replies import SeedsReply, parse_reply
from netwright.printable import printable
from netwright.sandbox.job import ExitCause, Job, JobResult, Limits
from netwright.types import JsonDict, Trial

TRAIN_SEEDS_ENTRY = "netwright.evaluator.worker:train_seeds"
AT_ONCE_MAX = 8
"""The most seeds in one process: what they hold in memory grows with their number, what they save does not."""

WHY_CHARACTERS_MAX = 300


@dataclass(frozen=True, kw_only=True)
class Part:
    """What training at once came to for one seed: a `result`, or None where it is to be trained alone."""

    result: JobResult | None = None
    telemetry: JsonDict = field(default_factory=dict)


def alone(why: str) -> Part:
    """The part of a seed that is to be trained alone, and its trial is to say why."""
    return Part(telemetry={"trained_alone": printable(why[:WHY_CHARACTERS_MAX])})


def trained_with(trial: Trial) -> tuple[int, ...]:
    """Return the seeds that were trained at once for this trial, its own among them; none where it was alone."""
    return tuple(trial.telemetry.get("seeds_at_once", ()))


def join(jobs: Sequence[Job]) -> Job:
    """Return one job for trainings that differ in nothing but the seed."""
    first = jobs[0]
    return Job(
        entry=TRAIN_SEEDS_ENTRY,
        payload=first.payload | {"seeds": [job.payload["seed"] for job in jobs]},
        inputs=first.inputs,
        outputs={weights_of(place): job.outputs["weights"] for place, job in enumerate(jobs)},
        limits=_limits_of(first.limits, len(jobs)),
    )


def weights_of(place: int) -> str:
    """Return the name of the output for the weights of the seed at that place."""
    return f"weights {place}"


def _limits_of(one: Limits, count: int) -> Limits:
    """What all may use together: time and memory of each; the source is compiled and executed once."""
    once = (COMPILE, BUILD)
    stages = {name: limit if name in once else count * limit for name, limit in one.stage_seconds.items()}
    return replace(
        one, wall_seconds=count * one.wall_seconds, stage_seconds=stages, memory_bytes=count * one.memory_bytes
    )


def parts(result: JobResult, seeds: Sequence[int]) -> Mapping[int, Part]:
    """Return the part of each seed in the result of their joined job, which is all that they ever hear of it."""
    reply = parse_reply(result.reply, SeedsReply) if result.cause is ExitCause.OK else None
    if reply is None or len(reply.seeds) != len(seeds):
        why = result.reason or (reply and reply.reason) or "the process of all seeds answered with something else"
        return dict.fromkeys(seeds, alone(why))
    told = zip(seeds, reply.seeds, strict=True)
    return {seed: _part(result, place, own, seeds) for place, (seed, own) in enumerate(told)}


def _part(result: JobResult, place: int, own: JsonDict, seeds: Sequence[int]) -> Part:
    if own.get("status") != "done":
        return alone(f"at once with others it ended as {own.get('status')!r:.40}")
    share = replace(
        result,
        reply=own,
        outputs={"weights": result.outputs[weights_of(place)]},
        wall_seconds=result.wall_seconds / len(seeds),
        cpu_seconds=result.cpu_seconds / len(seeds),
    )
    return Part(result=share, telemetry={"seeds_at_once": list(seeds)})

"""What runs in the sandbox's children: check, calibrate, train, score, measure; all of it on the untrusted side.

An entry is given a job (payload, read-only inputs, writable outputs) and returns a small JSON dict. What
a candidate raises is caught and described with the candidate's own lines; what it claims is advisory to
whoever reads it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from netwright.evaluator import (
    aftermath,
    budget,
    counts,
    effort,
    execution,
    forms,
    loading,
    measuring,
    offered,
    portraying,
    probes,
    seeds_at_once,
    training,
    training_state,
)
from netwright.evaluator.backbone import Network
from netwright.evaluator.docstrings import forget_docstrings
from netwright.evaluator.joined_jobs import weights_of
from netwright.evaluator.limits import ANSWERS, CALIBRATING, FIRST_STEP, GRAPH, MEASURING, TRAINING
from netwright.evaluator.replies import PORTRAIT, Progress
from netwright.evaluator.seeding import seed_all
from netwright.evaluator.sheets import ROWS_PER_CALL
from netwright.evaluator.tasks.base import Batch
from netwright.evaluator.tasks.feed import training_batches
from netwright.types import DeviceKind, JsonDict, Precision, Recipe, Rung, Scope, TaskSpec

if TYPE_CHECKING:
    from netwright.sandbox.child import ChildJob

_AUDIT_ROWS = 4


def check_candidate(job: ChildJob) -> JsonDict:
    """Run the dynamic gates, and portray what passes. Payload: source, spec, recipe. Emits each gate's name beforehand.

    Stages, as in `limits`: compile, build, gates.
    """
    _settle()
    spec, recipe = _spec(job), Recipe.model_validate(job.payload["recipe"])
    probe = probes.Probe(job.payload["source"], spec, recipe, job.stage)
    reports = probes.run_gates(probe, job.emit)
    reply: JsonDict = {"gates": [report.model_dump(mode="json") for report in reports]}
    if any(report.rejects for report in reports):
        return reply
    job.emit({"gate": PORTRAIT})
    return reply | {"portrait": portraying.portrait(probe).model_dump(mode="json")}


def calibrate_candidate(job: ChildJob) -> JsonDict:
    """Claim what a token takes. Payload: source, spec, recipe, tokens, seed, and whether to count operations.

    Stages: compile, build, calibrating.
    """
    _settle()
    return _guarded(lambda: _calibrate(job))


def train_candidate(job: ChildJob) -> JsonDict:
    """Train and leave the weights in output `weights`. Payload: source, spec, recipe, tokens, seed, backends.

    `backends` are those of torch.compile to try, see `execution`, which may write to the folder `scratch`.

    Where `done` steps were done in an earlier session, input `checkpoint` is what it left. Every `keep_every` seconds
    the training is laid out in output `checkpoint`, if there is one.

    Stages: compile, build, first step, torch.compile where there are backends, training.
    """
    _settle()
    return _guarded(lambda: _train(job))


def train_seeds(job: ChildJob) -> JsonDict:
    """Train several seeds at once; their weights are left in outputs `weights 0`, `weights 1`, ...

    Payload: as of `train_candidate`, and seeds. The reply has none of `seeds` and a reason where they cannot be
    trained so. Stages: compile, build (the module alone), first step (networks and trial steps), training.
    """
    _settle()
    return _guarded(lambda: _train_seeds(job))


def score_candidate(job: ChildJob) -> JsonDict:
    """Answer input `rows` with logits, or codes, in output `answers`. Payload: source, spec, seed, rows.

    Stages: compile, build, answers.
    """
    _settle()
    return _guarded(lambda: _score(job))


def measure_candidate(job: ChildJob) -> JsonDict:
    """Measure inference and state with fresh weights. Payload: source, spec.

    Stages: compile, build, measuring.
    """
    _settle()
    return _guarded(lambda: _measure(job))


def compile_candidate(job: ChildJob) -> JsonDict:
    """Compile a step of training with fresh weights. Payload: source, spec, backends, scratch.

    Stages: compile, build, first step, torch.compile.
    """
    _settle()
    return _guarded(lambda: _compile(job))


def warm_zygote() -> None:
    """Import what candidates may use and the first optimizer step drags in, on one thread, before the zygote forks."""
    torch.set_num_threads(1)
    offered.preload()
    for layer in (nn.Linear(8, 8), nn.Embedding(8, 8), nn.RMSNorm(8)):
        layer.to("cpu")
    torch.optim.AdamW([nn.Parameter(torch.zeros(2, 2))], lr=1e-3, fused=True)
    forget_docstrings()


def warm_child() -> None:
    """Take one tiny training step, so that a candidate's first one finds kernels and allocator ready."""
    _warm_up("cpu", "float32")


def warm_cuda_child() -> None:
    """Take one on the CUDA device, which makes its context; no process can be forked after that."""
    _warm_up("cuda", "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32")


def _warm_up(device: DeviceKind, precision: Precision) -> None:
    torch.set_num_threads(1)
    spec = TaskSpec(
        name="warm",
        summary="",
        scope=Scope.MIXER,
        vocab_size=64,
        max_len=48,
        dim=16,
        heads=2,
        layers=1,
        parameters=8_000,
        metric="loss",
        recipe=Recipe(batch_size=2),
        rungs=(Rung(level=0, tokens=48),),
        validation_rows=2,
        test_rows=2,
        device=device,
        precision=precision,
    )
    network = loading.seeded_network(spec, _Warm, seed=0).to(device)
    forward = execution.forward_of(network, precision, device)
    batches = training_batches(spec, bytes(range(64)), seed=0, batch_size=2)
    training.train(network, batches, spec, spec.recipe, steps=1, forward=forward, on_progress=lambda progress: None)
    loading.pack_weights(network)


class _Warm(nn.Module):
    """A mixer that touches what most candidates use."""

    def __init__(self, dim: int, **_: object) -> None:
        super().__init__()
        self.project = nn.Linear(dim, 3 * dim)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.project(x).chunk(3, dim=-1)
        scores = (q @ k.transpose(1, 2)).tril().softmax(dim=-1)
        y: Tensor = nn.functional.silu(scores @ v) + torch.cumsum(v, dim=1)
        return y


def _settle() -> None:
    """Compute on one thread, in no less than float32, and as zero what is too small for normal numbers.

    Decays make many of those, and the processor is slow with them.
    """
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    execution.allow_tf32(False)


def _spec(job: ChildJob) -> TaskSpec:
    return TaskSpec.model_validate(job.payload["spec"])


def _guarded(work: Callable[[], JsonDict]) -> JsonDict:
    try:
        return work()
    # The border to the candidate: whatever it raises, SystemExit included, is its result.
    except (Exception, SystemExit) as error:  # noqa: BLE001
        return {"status": loading.what_ran_out(error), "reason": loading.describe_error(error)}


def _calibrate(job: ChildJob) -> JsonDict:
    payload, spec, recipe = job.payload, _spec(job), Recipe.model_validate(job.payload["recipe"])
    rows = budget.batch_rows(spec, recipe, tokens=payload["tokens"])
    batches = training_batches(spec, job.inputs.get("data", b""), seed=payload["seed"], batch_size=rows)
    factory = loading.load_factory(payload["source"], spec, job.stage)
    network = loading.seeded_network(spec, factory, seed=payload["seed"], dropout=recipe.dropout).to(spec.device)
    seed_all(payload["seed"])
    job.stage(CALIBRATING)
    forward, _ = _prepared(network, next(batches), spec)
    seconds = effort.seconds_per_step(network, batches, spec, recipe, forward)
    reply: JsonDict = {"status": "done", "reason": "", "seconds_per_token": seconds / (rows * spec.max_len)}
    if payload["count"]:
        reply["operations_per_token"] = effort.operations_per_token(network, factory, next(batches), spec)
    return reply


def _compile(job: ChildJob) -> JsonDict:
    spec = _spec(job)
    factory = loading.load_factory(job.payload["source"], spec, job.stage)
    network = loading.seeded_network(spec, factory, seed=0).to(spec.device)
    job.stage(FIRST_STEP)
    generator, rows = torch.Generator().manual_seed(0), spec.recipe.batch_size
    inputs = forms.random_inputs(spec, rows, spec.max_len, generator)
    batch = Batch(inputs.numpy(), forms.random_targets(spec, rows, spec.max_len, generator).numpy())
    _, told = _prepared(network, batch, spec, job)
    return {"status": "done", "reason": "", "executed": told}


def _train(job: ChildJob) -> JsonDict:
    """Train on the tokens that were paid for. All that decides how long is settled before the candidate's code runs."""
    payload, spec, recipe = job.payload, _spec(job), Recipe.model_validate(job.payload["recipe"])
    seed, tokens = payload["seed"], payload["tokens"]
    rows, steps = budget.batch_rows(spec, recipe, tokens=tokens), budget.step_count(spec, recipe, tokens=tokens)
    done = payload.get("done", 0)
    batches = training_batches(spec, job.inputs.get("data", b""), seed=seed, batch_size=rows, skip=done)
    audited = _audit_rows(job, spec, seed)
    factory = loading.load_factory(payload["source"], spec, job.stage)
    network = loading.seeded_network(spec, factory, seed=seed, dropout=recipe.dropout).to(spec.device)
    seed_all(seed)
    job.stage(FIRST_STEP)
    first = next(batches)
    forward, told = _prepared(network, first, spec, job)
    outcome = training.train(
        network,
        itertools.chain([first], batches),
        spec,
        recipe,
        steps=steps,
        forward=forward,
        on_progress=lambda progress: _report(job, progress, first=done + 1),
        go_on=partial(training_state.unpack, data=bytes(job.inputs["checkpoint"]), step=done) if done else None,
        keep=training_state.Keeper(job, payload["keep_every"]) if "checkpoint" in job.outputs else None,
    )
    return _reply(outcome, job.outputs["weights"], network, factory, spec, audited) | {"executed": told}


def _prepared(
    network: nn.Module, batch: Batch, spec: TaskSpec, job: ChildJob | None = None
) -> tuple[execution.Forward, JsonDict]:
    """Return how the network is trained on batches like this one, and what is to be told of it.

    It is compiled where the `job` names backends.
    """
    execution.allow_tf32(spec.precision == "tf32")
    precision, told = execution.fitting_precision(network, batch, spec)
    if job is None or not job.payload["backends"]:
        return execution.forward_of(network, precision, spec.device), told
    job.stage(GRAPH)
    execution.keep_to(job.payload["scratch"])
    forward, compiled = execution.compiled(network, batch, spec, precision, job.payload["backends"])
    return forward, told | compiled


def _train_seeds(job: ChildJob) -> JsonDict:
    payload, spec, recipe = job.payload, _spec(job), Recipe.model_validate(job.payload["recipe"])
    seeds, tokens = payload["seeds"], payload["tokens"]
    rows, steps = budget.batch_rows(spec, recipe, tokens=tokens), budget.step_count(spec, recipe, tokens=tokens)
    audited = [_audit_rows(job, spec, seed) for seed in seeds]
    factory = loading.load_factory(payload["source"], spec, job.stage)

    def build(seed: int) -> nn.Module:
        return loading.seeded_network(spec, factory, seed=seed, dropout=recipe.dropout).to(spec.device)

    def feed(seed: int) -> Iterator[Batch]:
        return training_batches(spec, job.inputs.get("data", b""), seed=seed, batch_size=rows)

    job.stage(FIRST_STEP)
    if reason := seeds_at_once.disagreement(seeds, build, feed, spec, recipe):
        return {"status": "done", "reason": reason}
    networks = [build(seed) for seed in seeds]
    execution.allow_tf32(spec.precision == "tf32")
    precision, told = execution.fitting_precision(networks[0], next(feed(seeds[0])), spec)
    outcomes = seeds_at_once.train_at_once(
        networks,
        [feed(seed) for seed in seeds],
        spec,
        recipe,
        steps=steps,
        precision=precision,
        on_progress=lambda progress: _report(job, progress),
    )
    replies = [
        _reply(outcome, job.outputs[weights_of(place)], network, factory, spec, probed) | {"executed": told}
        for place, (outcome, network, probed) in enumerate(zip(outcomes, networks, audited, strict=True))
    ]
    return {"status": "done", "reason": "", "seeds": replies}


def _reply(
    outcome: training.Outcome,
    room: memoryview,
    network: nn.Module,
    factory: type[nn.Module],
    spec: TaskSpec,
    audited: Tensor,
) -> JsonDict:
    """Return what is said of a training, with the weights left in `room` where it came to its end."""
    reply: JsonDict = {"steps": outcome.steps, "curve": outcome.curve, "train_seconds": outcome.seconds}
    if outcome.diverged_at is not None:
        reason = f"loss or gradient was not finite at step {outcome.diverged_at + 1}"
        return reply | {"status": "diverged", "reason": reason}
    return reply | _finish(room, network, factory, spec, audited)


def _report(job: ChildJob, progress: Progress, *, first: int = 1) -> None:
    if progress.step == first:
        job.stage(TRAINING)
    job.emit(asdict(progress))


def _finish(
    room: memoryview, network: nn.Module, factory: type[nn.Module], spec: TaskSpec, audited: Tensor
) -> JsonDict:
    """Write the weights out, then probe the trained network: probing may disturb what it leaves behind."""
    data = loading.pack_weights(network)
    if len(data) > len(room):
        reason = f"parameters and buffers take {len(data)} bytes, at most {len(room)} are allowed"
        return {"status": "bad weights", "reason": reason}
    room[: len(data)] = data
    reports = aftermath.audit_trained(network, audited, spec)
    failed = [report for report in reports if report.rejects]
    status = {"status": "leak", "reason": failed[0].message} if failed else {"status": "done", "reason": ""}
    return {
        **status,
        "weights_bytes": len(data),
        "parameters": counts.parameter_count(network),
        "flops_per_token": counts.flops_per_token(spec, factory),
    }


def _audit_rows(job: ChildJob, spec: TaskSpec, seed: int) -> Tensor:
    data = job.inputs.get("data", b"")
    batch = next(training_batches(spec, data, seed=seed + 1, batch_size=_AUDIT_ROWS))
    return forms.to_inputs(batch.inputs, spec, spec.device)


def _score(job: ChildJob) -> JsonDict:
    payload, spec = job.payload, _spec(job)
    factory = loading.load_factory(payload["source"], spec, job.stage)
    network = loading.seeded_network(spec, factory, seed=payload["seed"])
    loading.unpack_weights(network, bytes(job.inputs["weights"]))
    network.to(spec.device).eval()
    seed_all(payload["seed"])
    tokens = spec.inputs == "tokens"
    sheet = np.frombuffer(job.inputs["rows"], dtype=np.int32 if tokens else np.float32)
    sheet = sheet.reshape(payload["rows"], *((spec.max_len,) if tokens else spec.input_shape))
    answers = np.frombuffer(job.outputs["answers"], dtype=np.float32).reshape(payload["rows"], -1)
    ask = network.code if isinstance(network, Network) and spec.answers == "code" else network
    job.stage(ANSWERS)
    with torch.no_grad():
        for first in range(0, payload["rows"], ROWS_PER_CALL):
            rows = sheet[first : first + ROWS_PER_CALL]
            answer = ask(forms.to_inputs(rows.copy(), spec, spec.device))
            _check_answer(answer, forms.reply_shape(spec, len(rows)))
            answers[first : first + len(rows)] = (
                answer.to(device="cpu", dtype=torch.float32).reshape(len(rows), -1).numpy()
            )
    return {"status": "done", "reason": ""}


def _check_answer(answer: object, expected: tuple[int, ...]) -> None:
    if not isinstance(answer, Tensor) or tuple(answer.shape) != expected:
        came = tuple(answer.shape) if isinstance(answer, Tensor) else type(answer).__name__
        raise loading.CandidateError(f"expected answers of shape {expected}, got {came}")


def _measure(job: ChildJob) -> JsonDict:
    spec = _spec(job)
    factory = loading.load_factory(job.payload["source"], spec, job.stage)
    job.stage(MEASURING)
    found = measuring.measure(spec, factory, spec.device)
    return {
        "status": "done",
        "reason": "",
        "inference": [each.model_dump() for each in found.inference],
        "states": [each.model_dump() for each in found.states],
        "problems": found.problems,
    }

"""What a trained network answers to rows that anyone may see: the reference that an export is held against."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import numpy as np

from netwright.evaluator import scoring
from netwright.evaluator.decoding import decode, read_decoder
from netwright.evaluator.limits import LIMITS, LaboratoryLimits
from netwright.evaluator.replies import WorkReply
from netwright.evaluator.scoring import FloatRows
from netwright.evaluator.sheets import Rows
from netwright.evaluator.trial import CLAIMED_STATUS, SCORE_ENTRY, TrialEnded, dump, reply_of
from netwright.sandbox.job import Job, JobResult
from netwright.types import Candidate, TaskSpec, TrialStatus


def random_rows(spec: TaskSpec, count: int, label: str) -> Rows:
    """Draw rows of a task's form, the same for equal labels: tokens (N, T) int32, or (N, *input_shape) float32."""
    seed = int.from_bytes(hashlib.sha256(label.encode()).digest()[:8], "big")
    generator = np.random.default_rng(seed)
    if spec.inputs == "tokens":
        return generator.integers(0, spec.vocab_size, size=(count, spec.max_len), dtype=np.int32)
    return generator.standard_normal(size=(count, *spec.input_shape), dtype=np.float32)


def answers_of(
    candidate: Candidate,
    spec: TaskSpec,
    weights: bytes,
    rows: Rows,
    run: Callable[[Job], JobResult],
    *,
    seed: int,
    limits: LaboratoryLimits = LIMITS,
) -> FloatRows:
    """Return the logits of the trained network, (N, P, V), as they are had for a score: from a fresh, confined process.

    On the CPU and in float32, wherever it was trained. `run` calls the sandbox; `seed` is that of the training.

    Raises:
        TrialEnded: the weights are none of this design, or the process did not answer.
    """
    spec = spec.model_copy(update={"device": "cpu", "precision": "float32"})
    try:
        scoring.read_weights(weights, spec)
        decoder = read_decoder(weights, spec) if spec.answers == "code" else None
    except scoring.BadWeights as error:
        raise TrialEnded(TrialStatus.BAD_WEIGHTS, str(error)) from None
    job = Job(
        entry=SCORE_ENTRY,
        payload={"source": candidate.source, "spec": dump(spec), "seed": seed, "rows": len(rows)},
        inputs={"weights": weights, "rows": rows.tobytes()},
        outputs={"answers": scoring.reply_bytes(len(rows), spec)},
        limits=limits.score(),
    )
    result = run(job)
    reply = reply_of(result, WorkReply, "answering")
    if reply.status != "done":
        raise TrialEnded(CLAIMED_STATUS[reply.status], f"{reply.reason} (while answering)")
    try:
        answers: bytes | memoryview = result.outputs["answers"]
        if decoder is not None:
            answers = decode(answers, len(rows), decoder, spec)
        return scoring.read_answers(answers, np.arange(len(rows)), spec).logits
    except scoring.BadLogits as error:
        raise TrialEnded(TrialStatus.BAD_LOGITS, str(error)) from None

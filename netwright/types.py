"""The vocabulary: what travels between the rooms of the house.

    Campaign -> Action -> Context -> Proposal -> Candidate -> GateReport* -> Trial* -> Score -> Verdict

Everything here is frozen, has no behaviour beyond naming itself, and refuses unknown fields. Losses are in
nats per scored token, lower is better; a failure is a status with a reason and never a number.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, FiniteFloat

from netwright.printable import Words, printable_json

JsonDict = dict[str, Any]
SeedsAtOnce = Literal["auto", "on", "off"]
"""Whether seeds of one candidate are trained in one process as one batch of networks; auto: except on a CPU."""
DeviceKind = Literal["cpu", "cuda"]
Precision = Literal["float32", "tf32", "bf16"]
"""What products of matrices are computed in while a network is trained; see `evaluator.execution`."""
BudgetProtocol = Literal["tokens", "flops", "time"]
"""What the budgets of two candidates are equal in; see `evaluator.protocol`."""
CAMPAIGN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
"""What a campaign may be called: files are named after it. After an @ stands what tells it from another of its name."""
PROTOCOL_NAMES: dict[BudgetProtocol, str] = {"tokens": "equal tokens", "flops": "equal FLOPs", "time": "equal time"}
SECONDS_MAX = 30 * 86_400.0
"""The longest time-out that anybody can mean."""


class Frozen(BaseModel):
    """An immutable record that refuses unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Scope(StrEnum):
    """What part of the network a candidate supplies (the candidate contract, version 1)."""

    MIXER = "mixer"
    BLOCK = "block"
    MODEL = "model"


class Operator(StrEnum):
    """How a candidate arises."""

    BASELINE = "baseline"
    DRAFT = "draft"
    REFINE = "refine"
    COMBINE = "combine"
    SIMPLIFY = "simplify"
    TUNE = "tune"
    REPAIR = "repair"


class Split(StrEnum):
    """Which held-out data a trial was scored on. `TEST` is the locked split: `confirm` alone opens it."""

    VALIDATION = "validation"
    TEST = "test"


class Recipe(Frozen):
    """How a candidate is trained; a candidate file may override any of these by its `RECIPE`.

    `lr` peaks after `warmup` (a fraction of all steps) and then follows `schedule`. `batch_size` is in sequences;
    the number of steps follows from the rung's token budget, so a larger batch never buys more data.
    """

    lr: Annotated[FiniteFloat, Field(ge=1e-6, le=1.0)] = 3e-3
    weight_decay: Annotated[FiniteFloat, Field(ge=0.0, le=1.0)] = 0.01
    betas: tuple[Annotated[FiniteFloat, Field(ge=0.0, lt=1.0)], Annotated[FiniteFloat, Field(ge=0.0, lt=1.0)]] = (
        0.9,
        0.95,
    )
    warmup: Annotated[FiniteFloat, Field(ge=0.0, le=0.5)] = 0.1
    batch_size: Annotated[int, Field(ge=1, le=1024)] = 16
    grad_clip: Annotated[FiniteFloat, Field(gt=0.0, le=1000.0)] = 1.0
    optimizer: Literal["adamw", "sgd"] = "adamw"
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    dropout: Annotated[FiniteFloat, Field(ge=0.0, le=0.9)] = 0.0


class Rung(Frozen):
    """A fidelity level: `tokens` is the training budget of one trial, in input tokens."""

    level: Annotated[int, Field(ge=0)]
    tokens: Annotated[int, Field(ge=1)]


def unit_of(metric: str) -> str:
    """What losses of tasks with that metric are measured in: nats, or for suites points, which lie in (-1, 1)."""
    return "points" if metric == "suite loss" else "nats"


class TaskSpec(Frozen):
    """All that the untrusted side needs to know of a task, and what makes two results comparable.

    A row is `max_len` tokens, or numbers of shape `input_shape` (then `max_len` is 1: a row counts as one token). The
    answer to it is logits over the vocabulary at each position (`tokens`; `code`, where all of them are read out of
    the vector of the last position), logits over `num_classes`, or one number. `causal`: whether a layer's outputs may
    depend on earlier inputs only; else a row may be read as a whole. `feed`: whether the training
    data is one stream, of which batches are windows, or rows, of which `hand` neighbours are dealt together.
    `parameters` is the budget that the backbone's sizing rule meets, in scalars. `corpus` is the SHA-256 of the data,
    or of rows that its generator draws. `options` holds the task's own generator settings. `protocol`
    says what the budgets of two candidates are equal in, `device` and `precision` on what and in what they are trained.
    `drawn_in` is the sign of the memory with whose key the held-out rows were drawn, empty for the one it lies in.
    """

    name: str
    summary: str
    scope: Scope
    vocab_size: int
    max_len: int
    dim: int
    heads: int
    layers: int
    parameters: int
    metric: Literal["bits per byte", "loss", "suite loss"]
    recipe: Recipe
    rungs: tuple[Rung, ...]
    validation_rows: int
    test_rows: int
    corpus: str = ""
    options: JsonDict = Field(default_factory=dict)
    causal: bool = True
    inputs: Literal["tokens", "numbers"] = "tokens"
    input_shape: tuple[int, ...] = ()
    answers: Literal["tokens", "code", "class", "number"] = "tokens"
    num_classes: int = 0
    feed: Literal["stream", "rows"] = "stream"
    hand: Annotated[int, Field(ge=1)] = 1
    protocol: BudgetProtocol = "tokens"
    device: DeviceKind = "cpu"
    precision: Precision = "float32"
    drawn_in: str = ""

    @property
    def unit(self) -> str:
        """What its losses are measured in, in a word."""
        return unit_of(self.metric)

    @property
    def answer_shape(self) -> tuple[int, int]:
        """Positions that are answered in a row, and numbers in each answer."""
        if self.answers in ("tokens", "code"):
            return self.max_len, self.vocab_size
        return 1, self.num_classes if self.answers == "class" else 1

    @property
    def reply_shape(self) -> tuple[int, ...]:
        """What a process that is scored replies to a row: the answers, or the code from which they are read."""
        return (self.dim,) if self.answers == "code" else self.answer_shape

    @property
    def stepwise(self) -> bool:
        """Whether each position is answered from earlier ones alone: then a row can be cut and given another future."""
        return self.causal and self.answers == "tokens"

    @property
    def id(self) -> str:
        """`name-xxxxxxxx`, or `name-xxxxxxxx@SIGN` of another memory: results compare only between equal ids."""
        # Fields that came later are left out where they say what was so before, so that known ids stay.
        later = (
            *("causal", "inputs", "input_shape", "answers", "num_classes", "feed", "hand", "protocol"),
            *("device", "precision"),
        )
        unsaid = {name for name in later if getattr(self, name) == type(self).model_fields[name].default}
        text = self.model_dump_json(exclude={"summary", "drawn_in", *unsaid})
        own = f"{self.name}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"
        return f"{own}@{self.drawn_in}" if self.drawn_in else own


@lru_cache(maxsize=512)
def source_id(source: str) -> str:
    """Return the SHA-256 of a source, in hex."""
    # Half a surrogate pair, as a JSON reply may hold, has no UTF-8; the size gate rejects it by name.
    return hashlib.sha256(source.encode(errors="surrogatepass")).hexdigest()


class Candidate(Frozen):
    """One architecture: source, the idea behind it, and where it comes from.

    `genotype` is the grammar's own JSON description where the grammar made it, else None. `origin` names the
    maker: `baseline`, `grammar`, `llm:MODEL` or `file`; or `person, after ...`, where a person edited it.
    """

    source: str
    scope: Scope
    title: Words
    hypothesis: Words
    origin: str
    genotype: str | None = None

    @property
    def id(self) -> str:
        """SHA-256 of the source, in hex: the same file is the same candidate wherever it comes from."""
        return source_id(self.source)


class GateReport(Frozen):
    """One yes/no check with its evidence in numbers and a sentence that a planner can act on.

    A failed gate of severity `warning` is shown and remembered but does not reject.
    """

    gate: Words
    passed: bool
    severity: Literal["error", "warning"] = "error"
    message: Words = ""
    evidence: Annotated[JsonDict, AfterValidator(printable_json)] = Field(default_factory=dict)
    seconds: FiniteFloat = 0.0

    @property
    def rejects(self) -> bool:
        return not self.passed and self.severity == "error"


class TrialStatus(StrEnum):
    """How a trial ended. Only `DONE` carries a loss."""

    DONE = "done"
    DIVERGED = "diverged"
    COMPILE_TIMEOUT = "compile timeout"
    BUILD_TIMEOUT = "build timeout"
    FIRST_STEP_TIMEOUT = "first step timeout"
    TIMEOUT = "timeout"
    TOO_MUCH_CPU = "too much CPU time"
    OUT_OF_MEMORY = "out of memory"
    TOO_MUCH_OUTPUT = "too much output"
    TOO_MANY_THREADS = "too many threads"
    TOO_MANY_FILES = "too many files"
    CRASHED = "crashed"
    BAD_WEIGHTS = "bad weights"
    BAD_LOGITS = "bad logits"
    LEAK = "leak"
    STOPPED = "stopped early"
    INTERRUPTED = "interrupted"


class Share(Frozen):
    """What a candidate trains on where budgets are equal in FLOPs or in time: `factor` times the tokens of a rung.

    `seconds` and `operations` are what a token takes of it over what it takes of the reference: seconds of a step of
    training, and operations of a forward pass, None where they were not counted. `tier` is how confined it was
    meanwhile. Measured once, so that every seed, rung and repetition goes by the same number.
    """

    candidate_id: str
    task_id: str
    factor: float
    seconds: float
    operations: float | None = None
    tier: str = ""


class Audit(Frozen):
    """What two fresh processes showed that were asked the same: equal prefixes with other futures, in another order.

    `max_logit_difference` is over all positions at which both were asked the same, and over rows asked twice;
    `tolerance` is what honest arithmetic may show. `cut_loss_nats` is the loss at the cut positions, from the process
    whose input did not contain the answers; None where rows may be read as a whole, and nothing is cut.
    """

    rows: int
    max_logit_difference: float
    tolerance: float
    cut_loss_nats: float | None = None

    @property
    def passed(self) -> bool:
        return self.max_logit_difference <= self.tolerance


class Usage(Frozen):
    """What one trial cost, measured from outside the candidate's process."""

    wall_seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak_memory_bytes: int = 0
    start_seconds: float | None = None
    scoring_seconds: float = 0.0
    warm: bool = False
    tier: str = ""


class JobLog(Frozen):
    """One sandboxed process of a trial, as it was seen from outside: what confined it, how it ended, what it took.

    `purpose` is "reference" or "calibration" (what a token takes of the one or the other), "compile" (a training that
    was lost to that), "train", "rows" (scored on the real rows) or "twins" (on the spliced ones). `cause` is how it
    ended and `exit_code` its status or minus the signal, None if it was never seen. `layers` are the (name, detail)
    pairs of its confinement and `policy` the hash of their rules. `stages` are (name, seconds) in order. `bytes_in` and
    `bytes_out` count what was handed over and what came back. `left_behind` counts processes that it had started and
    that were killed after it.
    """

    purpose: str
    cause: str
    reason: Words = ""
    exit_code: int | None = None
    tier: str
    layers: tuple[tuple[str, str], ...] = ()
    policy: str = ""
    warm: bool = False
    start_seconds: float = 0.0
    wall_seconds: float = 0.0
    cpu_seconds: float = 0.0
    kill_seconds: float | None = None
    peak_memory_bytes: int = 0
    stages: tuple[tuple[str, float], ...] = ()
    bytes_in: int = 0
    bytes_out: int = 0
    left_behind: int = 0


class Trial(Frozen):
    """One training run of one candidate at one rung with one seed, scored by the trusted side.

    `loss_nats` is the mean over the scored tokens of the split and `loss_standard_error` its sampling error over
    rows; both are None unless `status` is done. `curve` holds (step, training loss in nats) pairs and, like
    `telemetry`, is the candidate's own claim: advisory, never part of a score. Not its claim are `device` there,
    `to_compile` (whether that was tried), `seeds_at_once`, the seeds that shared its training process, and
    `trained_alone`, why one that was to share one did not. `repeat` is
    0 for the trial itself and n for its n-th repetition from the same source and seed, which only shows whether the
    trial can be repeated.
    `rate` is the factor on its recipe's learning rate: 1 wherever designs are ranked, others belong to confirmations.
    """

    candidate_id: str
    task_id: str
    rung: int
    seed: int
    split: Split = Split.VALIDATION
    repeat: int = 0
    rate: Annotated[FiniteFloat, Field(gt=0.0)] = 1.0
    status: TrialStatus
    loss_nats: float | None = None
    loss_standard_error: float | None = None
    metrics: dict[str, float] = Field(default_factory=dict)
    audit: Audit | None = None
    parameters: int | None = None
    flops_per_token: float | None = None
    tokens: int = 0
    steps: int = 0
    usage: Usage = Field(default_factory=Usage)
    curve: tuple[tuple[int, float], ...] = ()
    telemetry: JsonDict = Field(default_factory=dict)
    weights: str | None = None
    reason: Words = ""
    last_output: Words = ""
    jobs: tuple[JobLog, ...] = ()


SWEEP_SEEDS = range(500, 1000)
"""Seeds of the learning-rate sweeps before a confirmation; the search counts its own from 0. Their trials choose a
rate and rank nothing."""


class Interval(Frozen):
    """A two-sided interval; `level` is its coverage, e.g. 0.95."""

    low: float
    high: float
    level: float = 0.95


class Score(Frozen):
    """What the search maximises: minus the mean validation loss in nats over seeds at the highest rung reached.

    `standard_error` covers the seeds (measured, or taken from the task's noise floor where there is one seed).
    """

    value: float
    standard_error: float
    rung: int
    seeds: int


class Outcome(StrEnum):
    """A verdict in one word. `NO_DIFFERENCE` means: within noise."""

    BETTER = "better"
    WORSE = "worse"
    NO_DIFFERENCE = "no difference"
    FAILED = "failed"
    FIRST = "first"


class Verdict(Frozen):
    """The critic's judgement of an experiment against `rival_id` (its parent, or the best baseline for a draft).

    `delta_nats` is candidate minus rival, so negative is better; `interval` is the confidence interval around it.
    `p_value` is that of the comparison alone, for whoever makes many claims at once.
    `changed` says what the code changed, `words` what follows, `lesson` a general claim where one can be drawn.
    """

    outcome: Outcome
    rival_id: str | None = None
    delta_nats: float | None = None
    interval: Interval | None = None
    p_value: float | None = None
    changed: Words = ""
    words: Words = ""
    lesson: Words | None = None
    author: str = "statistics"


class Action(Frozen):
    """What the search wants next.

    `expand` makes a new candidate from `parents`; `promote` trains node
    `parents[0]` at `rung`. Node ids are the indices of the actions that made them; baselines are negative:
    -1, -2, ... in the order they are listed. `told` is how many results the search knew when it chose this, so
    that the choice can be replayed; `draw` is which of the planner's sketches for this action was chosen; `cards`
    is the last of the user's cards that was there then, and `designs` how many the budget had, so that a planner asked
    again is told the same; `model` is the model drawn to make it, empty where there is no choice; `closing` marks the
    promotions that end a campaign.
    """

    index: int
    kind: Literal["expand", "promote"]
    operator: Operator | None = None
    parents: tuple[int, ...] = ()
    rung: int = 0
    told: int = 0
    draw: int = 0
    cards: int = 0
    designs: int | None = None
    model: str = ""
    closing: bool = False


class Structure(Frozen):
    """What a design is made of, read from its source without running it: what a model predicts its score from.

    `choices` are decisions by place (`even.body.kind` is `attention`), empty where a design was not made by decisions;
    `counts` say how often an operation, a run of operations or a neighbourhood in its graph occurs (never 0 or less);
    `numbers` are quantities such as depth, log10 of the parameters or of the learning rate.
    """

    choices: dict[str, str] = {}
    counts: dict[str, float] = {}
    numbers: dict[str, float] = {}


class Remembered(Frozen):
    """An earlier experiment as a planner or critic sees it; `node` and `parents` are nodes as in `Action`."""

    candidate: Candidate
    operator: Operator
    score: Score | None
    verdict: Verdict | None
    failure: Words = ""
    node: int | None = None
    parents: tuple[int, ...] = ()


class Told(Frozen):
    """An experiment as it was when the search was told of it, and the line that the journal has of it."""

    known: Remembered
    line: str


class Claim(Frozen):
    """A lesson as it is told: the claim, and the nodes of the experiments that speak for it and against it."""

    text: Words
    supporting: tuple[int, ...] = ()
    opposing: tuple[int, ...] = ()


def claim_key(text: str) -> str:
    """What two texts share that are one claim: they differ in case, spacing or the final stop alone."""
    return " ".join(text.casefold().split()).rstrip(".")


class Context(Frozen):
    """What a planner is told: the task, the operator, the parents, and what was learned so far.

    `seed` is the only source of randomness a planner may use. `attempt` counts from 0 and changes when an earlier
    proposal for the same action was a duplicate; `draw` tells apart the sketches made for one action. `preferences` are
    factors on how probable each option of a decision is, by place (`rule.kind`: {`delta`: 1.4}); what is not named
    keeps the planner's own probability. `knowledge` are texts of the knowledge base that fit this step, best first.
    `model` is the model drawn for this step, empty where there is no choice.

    `journal` is every experiment in the order in which the search was told, a promoted one again. `path` are the
    ancestors of the first parent, root first; `siblings` other children of the parents, in the order told; `nearest`
    the designs most like the one in question, by structure or by words. `trained` of `designs` (None: nobody said)
    that the budget has were told to be trained.
    """

    task: TaskSpec
    operator: Operator
    parents: tuple[Remembered, ...] = ()
    best: tuple[Remembered, ...] = ()
    baselines: tuple[Remembered, ...] = ()
    failures: tuple[Remembered, ...] = ()
    journal: tuple[Told, ...] = ()
    lessons: tuple[Claim, ...] = ()
    path: tuple[Remembered, ...] = ()
    siblings: tuple[Remembered, ...] = ()
    nearest: tuple[Remembered, ...] = ()
    knowledge: tuple[str, ...] = ()
    trained: int = 0
    designs: int | None = None
    seed: int
    attempt: int = 0
    draw: int = 0
    action: int = 0
    mixer_parameters: int | None = None
    preferences: dict[str, dict[str, float]] = {}
    model: str = ""


class Proposal(Frozen):
    """An idea with its source, as a planner made it; nothing of it is trusted or checked yet."""

    title: Words
    hypothesis: Words
    source: str
    origin: str
    genotype: str | None = None
    changed: Words = ""

    def candidate(self, scope: Scope) -> Candidate:
        return Candidate(
            source=self.source,
            scope=scope,
            title=self.title,
            hypothesis=self.hypothesis,
            origin=self.origin,
            genotype=self.genotype,
        )


class LlmCall(Frozen):
    """One request to an endpoint and what came of it.

    `key` identifies the request by content, so that a
    resumed campaign finds the reply instead of asking (and paying) again. `action` is the action of the search that it
    was made for, and `tag` the occasion, which is part of the key. `prefix_tokens` of the prompt had been said to the
    model before, by our own count; `cached_tokens` by the server's, None where it does not tell. Holds no API key and
    no header.
    """

    key: str
    role: str
    model: str
    prompt_sha256: str
    messages: tuple[dict[str, str], ...]
    action: int | None = None
    tag: str = ""
    reply: str | None
    status: str
    error: Words = ""
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    tokens_estimated: bool = False
    prefix_tokens: int | None = None
    cached_tokens: int | None = None
    seconds: float = 0.0


@dataclass(frozen=True)
class Finding:
    """One thing looked at; `remedy` is empty where all is well, `vital` where nothing runs without it."""

    what: str
    found: str
    remedy: str = ""
    vital: bool = False

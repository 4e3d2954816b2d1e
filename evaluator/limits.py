"""What a candidate may use at each stage, and how hard its answers are audited: all limits in one place."""

from __future__ import annotations

from dataclasses import dataclass, replace

from netwright.sandbox.job import Limits
from netwright.types import Split, TrialStatus

COMPILE, BUILD, FIRST_STEP, TRAINING, ANSWERS, GATES = "compile", "build", "first step", "training", "answers", "gates"
CALIBRATING, MEASURING, GRAPH = "calibrating", "measuring", "torch.compile"
"""What `ChildJob.stage` announces; every job begins with compiling the source."""
STAGE_TIMEOUTS = {
    COMPILE: TrialStatus.COMPILE_TIMEOUT,
    BUILD: TrialStatus.BUILD_TIMEOUT,
    FIRST_STEP: TrialStatus.FIRST_STEP_TIMEOUT,
}
"""The statuses of trials that ended because a stage took too long; in any later stage it is a plain timeout."""

DRIVER_MEMORY_BYTES, DRIVER_THREADS = 4 << 30, 24
"""What CUDA's libraries and driver take of the host in each process; generous, and not measured."""


@dataclass(frozen=True, kw_only=True)
class LaboratoryLimits:
    """Limits of the kinds of job: gates (`check`), calibration, training, scoring and measuring.

    `compile_seconds` bound `compile()` of the source, which a nested or folded constant can make endless,
    `build_seconds` the execution of the module and the making of the network, `first_step_seconds` the first batch
    forward and back: three stages that end a hopeless candidate long before its whole time is over.

    Training may take `train_base_seconds` plus a second per `train_tokens_per_second` tokens. Softmax attention
    trains at about 45,000 tokens/s on one idle core; a machine four times slower with twice as many busy processes
    as cores leaves an eighth of that, 5,600/s. At 6,000/s with 15 s beside it every rung of 256,000 tokens or more
    still fits there: 58 s of 46 s needed, and 143 s of 137 s for three times the tokens. The limit also bounds
    what a process that lies about its steps could gain, hence no more than that; the stages are within it.

    `memory_bytes`, `threads` and `output_bytes` (stdout and stderr together) hold for every job; on CUDA the driver's
    own threads and host memory come on top (`with_driver`).
    """

    compile_seconds: float = 2.0
    build_seconds: float = 10.0
    first_step_seconds: float = 20.0
    check_seconds: float = 20.0
    calibrate_seconds: float = 60.0
    score_seconds: float = 60.0
    measure_seconds: float = 120.0
    train_base_seconds: float = 15.0
    train_tokens_per_second: float = 6_000.0
    memory_bytes: int = 3 << 30
    threads: int = 8
    output_bytes: int = 64 << 10

    def with_driver(self) -> LaboratoryLimits:
        """The same limits for processes that hold a CUDA context."""
        return replace(
            self, memory_bytes=self.memory_bytes + DRIVER_MEMORY_BYTES, threads=self.threads + DRIVER_THREADS
        )

    def check(self) -> Limits:
        """What running the gates may use."""
        return self._limits(self.check_seconds, {GATES: self.check_seconds})

    def calibrate(self) -> Limits:
        """What finding out what a token takes may use: some fifteen steps."""
        return self._limits(self.calibrate_seconds, {CALIBRATING: self.calibrate_seconds})

    def train(self, tokens: int, graph_seconds: float = 0.0) -> Limits:
        """What training on so many tokens may use, and compiling the network before."""
        seconds = self.train_base_seconds + tokens / self.train_tokens_per_second
        graph = {GRAPH: graph_seconds} if graph_seconds else {}
        stages = {FIRST_STEP: self.first_step_seconds, **graph, TRAINING: seconds}
        return self._limits(seconds + graph_seconds, stages)

    def score(self) -> Limits:
        """What answering one question sheet may use."""
        return self._limits(self.score_seconds, {ANSWERS: self.score_seconds})

    def graph(self, graph_seconds: float) -> Limits:
        """What compiling a network may use, and making it before."""
        seconds = self.build_seconds + self.first_step_seconds + graph_seconds
        return self._limits(seconds, {FIRST_STEP: self.first_step_seconds, GRAPH: graph_seconds})

    def measure(self) -> Limits:
        """What measuring inference and state may use."""
        return self._limits(self.measure_seconds, {MEASURING: self.measure_seconds})

    def _limits(self, seconds: float, rest: dict[str, float]) -> Limits:
        return Limits(
            wall_seconds=seconds,
            stage_seconds={COMPILE: self.compile_seconds, BUILD: self.build_seconds, **rest},
            memory_bytes=self.memory_bytes,
            threads=self.threads,
            output_bytes=self.output_bytes,
        )


@dataclass(frozen=True, kw_only=True)
class AuditStrength:
    """How many second sheets, each for a fresh process, audit a trial's answers: a screening and all that decides.

    A screening is rung 0 of the validation split, where a result decides no more than whether to look again. Rungs
    above it and the test split decide. A peek at the next token, at one position of one row of length T, shows only
    if that row is cut right there: it escapes n sheets with probability (1 - 1/T)^n, which is 0.97 for T = 128 and
    n = 4. Peeks at k places of different rows escape with that to the power k: one in each of 256 rows with 0.0003,
    where one sheet has 0.13.
    """

    screening_sheets: int = 1
    final_sheets: int = 4

    def sheets(self, rung: int, split: Split) -> int:
        """Return how many second sheets a trial is audited with."""
        return self.screening_sheets if rung == 0 and split is Split.VALIDATION else self.final_sheets


LIMITS = LaboratoryLimits()
AUDIT = AuditStrength()

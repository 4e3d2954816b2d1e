"""A campaign's configuration: one TOML file (or none), overridden by flags.

```toml
name = "first"            # default: the task's name
task = "bytes"            # see `netwright tasks`
data = "corpus/"          # only for tasks that read data
rung_tokens = [600_000, 1_800_000]  # training budgets, lowest rung first; default: the task's
protocol = "tokens"       # what budgets are equal in: tokens, flops, time
seed = 0
workers = 2               # training slots; default: one per core
baselines = "core"        # the rivals: core, all, or a list of names (`netwright baselines` trains all)
in_flight = 4             # actions of the search under way at once; default: workers + 2
review = false            # whether a person approves, edits or rejects each new design before it is trained

[budget]
trials = 28               # trained candidates, baselines not counted
minutes = 5.0             # wall clock over all sessions of the campaign

[search]
policy = "tree"           # see `netwright policies`, or a file of your own (*.py)
early_stop = true         # end trainings that are hopeless beside those of the baselines
warm = true               # start from earlier campaigns on the same task; or from some: { "text" = 100 }

[llm]                     # without a url the grammar planner proposes
url = "http://127.0.0.1:8080/v1"
model = "qwen3-coder"
api_key_env = "NETWRIGHT_API_KEY"   # the variable with the key; values of headers come from variables too:
headers = { "X-Team" = "TEAM_TOKEN" }
plans = 3                 # that the planner makes in one call; the best by rank is built
answers = "auto"          # how changed files are asked for: whole, edits, or edits where a check found models able to

[[llm.models]]            # one of several to draw from for each design, see docs/endpoints.md
model = "qwen3-coder"

[llm.critic]              # planner, coder, repairer, critic, librarian may differ from [llm]: docs/endpoints.md
model = "qwen3-small"

[sandbox]                 # what runs the code, and what it may use
kind = "process"          # process, docker, podman
tier = "T3"               # default: the best this machine has, never below T2
memory_mb = 3072          # resident, with what all processes of the sandbox share (torch: about 300)
build_seconds = 10.0      # also compile_, first_step_ and train_base_seconds, train_tokens_per_second
threads = 8
output_kb = 64            # stdout and stderr together

[training]                # see docs/training.md
device = "auto"           # auto (a CUDA device where one works), cpu, cuda, cuda:N
precision = "auto"        # auto (bf16 where a CUDA device has it, else float32), float32, tf32, bf16
compile = "auto"          # torch.compile: auto (long trainings on CUDA), on, off
compile_seconds = 120     # what it may take before a network is trained as it stands

[audit]                   # how many sheets of spliced twins each trial has to answer
screening_sheets = 1      # at the lowest rung
final_sheets = 4          # above it, and on the locked test split

[confirm]
rates = [0.5, 1, 2]       # factors on the learning rate that every finalist tries; [1] tries none
sweep_seeds = 1           # trainings with each
seeds_at_once = "auto"    # rivals that ship with netwright: auto (not on a CPU), on, off
```
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, FiniteFloat, ValidationInfo, field_validator, model_validator

from netwright.errors import ConfigError
from netwright.evaluator.devices import COMPILE_SECONDS, Compile, Execution, WantedPrecision, check_device, choose
from netwright.evaluator.limits import AUDIT, LIMITS, AuditStrength, LaboratoryLimits
from netwright.llm_config import LlmConfig
from netwright.sandbox.isolation import Tier
from netwright.types import CAMPAIGN_NAME, SECONDS_MAX, BudgetProtocol, Frozen, SeedsAtOnce

DEFAULT_TASK = "bytes"
DEFAULT_IMAGE = "netwright"
_RANGES: dict[str, tuple[float, str, float]] = {
    "memory_mb": (384, "torch itself takes about 300 MB of resident memory", 1 << 24),
    "threads": (1, "a process is at least one thread", 4096),
    "output_kb": (1, "an error has to be told in something", 1 << 20),
    "compile_seconds": (0.1, "nothing compiles in no time", SECONDS_MAX),
    "build_seconds": (0.1, "no network is built in no time", SECONDS_MAX),
    "first_step_seconds": (0.1, "no step is taken in no time", SECONDS_MAX),
    "train_base_seconds": (1.0, "every training needs a moment to begin and to end", SECONDS_MAX),
    "train_tokens_per_second": (1.0, "it is the slowest pace that is waited for", 1e12),
}
"""For each limit the least that makes sense, why, and the most that a machine could have."""


class Budget(Frozen):
    """When a campaign ends: after `trials` trained candidates or `minutes` of wall clock, whichever is first.

    `llm_calls`, `llm_tokens` (read and written) and `llm_cost` cap what models may cost it in all its sessions; None:
    no cap. `[llm] at_cap` is what happens then.
    """

    trials: Annotated[int, Field(ge=1, le=1_000_000)] = 28
    minutes: Annotated[FiniteFloat, Field(gt=0, le=5_256_000)] = 5.0
    llm_calls: Annotated[int, Field(ge=1)] | None = None
    llm_tokens: Annotated[int, Field(ge=1)] | None = None
    llm_cost: Annotated[FiniteFloat, Field(gt=0)] | None = None

    @property
    def caps(self) -> dict[str, float]:
        """The caps on what models may cost, by name; none that was not given."""
        caps = {name: getattr(self, name) for name in ("llm_calls", "llm_tokens", "llm_cost")}
        return {name: cap for name, cap in caps.items() if cap is not None}


class SearchConfig(Frozen):
    """Which policy decides what to work on next.

    `early_stop`: whether a new design's training is ended once it is hopeless beside the baselines' of that rung.
    `warm`: whether the search starts from earlier campaigns on similar tasks, or from which, each with how many of its
    designs at most. In a memory it is what this came to when the campaign began.
    """

    policy: str = "tree"
    early_stop: bool = True
    warm: bool | dict[str, int] = True

    @field_validator("warm", mode="before")
    @classmethod
    def _all_or_named(cls, value: Any) -> Any:
        named = value.values() if isinstance(value, dict) else ()
        if not isinstance(value, bool | dict) or not all(type(most) is int and most > 0 for most in named):
            raise ValueError(
                "expected true, false, or a table of campaigns with how many of their designs to start from, such as "
                f'{{ "text" = 100 }}, got {value!r}'
            )
        return value


class SandboxConfig(Frozen):
    """What runs candidate code, and what it may use there.

    `kind` is a process of this machine, or one in a container of the engine of that name: `image` with netwright in
    it, started with further `options` of the engine's `run`. `tier` None is the best that can be had, never below
    T2. `accept_no_sandbox` allows T0 where nothing else can be had, or where T0 is asked for. Limits that are left
    out are the evaluator's (LaboratoryLimits).
    """

    kind: Literal["process", "docker", "podman"] = "process"
    accept_no_sandbox: bool = False
    tier: Tier | None = None
    image: str = DEFAULT_IMAGE
    options: tuple[str, ...] = ()
    memory_mb: int = LIMITS.memory_bytes >> 20
    threads: int = LIMITS.threads
    output_kb: int = LIMITS.output_bytes >> 10
    compile_seconds: FiniteFloat = LIMITS.compile_seconds
    build_seconds: FiniteFloat = LIMITS.build_seconds
    first_step_seconds: FiniteFloat = LIMITS.first_step_seconds
    train_base_seconds: FiniteFloat = LIMITS.train_base_seconds
    train_tokens_per_second: FiniteFloat = LIMITS.train_tokens_per_second

    @field_validator("tier")
    @classmethod
    def _tier_accepted(cls, value: Tier | None, known: ValidationInfo) -> Tier | None:
        if value is Tier.T0 and not known.data.get("accept_no_sandbox"):
            raise ValueError(
                "tier T0 isolates nothing: say --i-accept-no-sandbox as well (accept_no_sandbox = true in a campaign "
                "file), or leave the tier out"
            )
        return value

    @field_validator("image", "options")
    @classmethod
    def _for_containers(cls, value: Any, known: ValidationInfo) -> Any:
        if known.field_name == "image" and not value.strip():
            raise ValueError(f"expected the name of an image, got {value!r}; leave it out for {DEFAULT_IMAGE!r}")
        if known.data.get("kind") == "process" and value not in (DEFAULT_IMAGE, ()):
            raise ValueError(
                f'{value!r} is for containers, and the sandbox is a process: add kind = "docker" (--sandbox docker) '
                "or podman, or leave it out"
            )
        return value

    @field_validator(*_RANGES)
    @classmethod
    def _makes_sense(cls, value: float, known: ValidationInfo) -> float:
        least, why, most = _RANGES[str(known.field_name)]
        default = cls.model_fields[str(known.field_name)].default
        if value < least:
            raise ValueError(f"expected at least {least:g}, got {value:g}: {why}; leave it out for {default:g}")
        if value > most:
            raise ValueError(f"expected at most {most:.0f}, got {value:g}; leave it out for {default:g}")
        return value

    @property
    def limits(self) -> LaboratoryLimits:
        """What the evaluator's jobs may use."""
        return LaboratoryLimits(
            compile_seconds=self.compile_seconds,
            build_seconds=self.build_seconds,
            first_step_seconds=self.first_step_seconds,
            train_base_seconds=self.train_base_seconds,
            train_tokens_per_second=self.train_tokens_per_second,
            memory_bytes=self.memory_mb << 20,
            threads=self.threads,
            output_bytes=self.output_kb << 10,
        )

    def limits_for(self, tokens: int) -> LaboratoryLimits:
        """The limits, where the shortest training is one on `tokens`.

        The defaults of stages are for the tasks' own budgets; under a smaller one the whole bounds them.
        Raises: ConfigError naming a stage that was set to take longer than that whole training.
        """
        whole = self.limits.train(tokens).wall_seconds
        for stage in ("compile_seconds", "build_seconds", "first_step_seconds"):
            value = getattr(self, stage)
            if value > max(whole, type(self).model_fields[stage].default):
                raise ConfigError(
                    f"sandbox.{stage} = {value:g} is longer than the {whole:.1f} s that a whole training on {tokens:,} "
                    "tokens may take: lower it, or raise sandbox.train_base_seconds"
                )
        return self.limits


class TrainingConfig(Frozen):
    """On what networks are trained, and how; see `evaluator.devices`."""

    device: Annotated[str, AfterValidator(check_device)] = "auto"
    precision: WantedPrecision = "auto"
    compile: Compile = "auto"
    compile_seconds: Annotated[FiniteFloat, Field(ge=1, le=SECONDS_MAX)] = COMPILE_SECONDS

    def execution(self) -> Execution:
        """What this comes to on this machine. Raises: ConfigError where it cannot be had."""
        return choose(self.device, self.precision, self.compile, self.compile_seconds)


class AuditConfig(Frozen):
    """How many sheets of twins, each for a fresh process, audit a trial: at the lowest rung, and where it decides."""

    screening_sheets: Annotated[int, Field(le=64)] = AUDIT.screening_sheets
    final_sheets: Annotated[int, Field(le=64, validate_default=True)] = AUDIT.final_sheets

    @field_validator("screening_sheets")
    @classmethod
    def _audits(cls, value: int) -> int:
        if value < 1:
            raise ValueError(f"expected at least 1, got {value}: without a sheet of twins no leak shows; set it to 1")
        return value

    @field_validator("final_sheets")
    @classmethod
    def _audits_harder(cls, value: int, known: ValidationInfo) -> int:
        screening = known.data.get("screening_sheets", 1)
        if value < screening:
            raise ValueError(
                f"expected at least screening_sheets ({screening}), got {value}: what decides is not audited less "
                "than what screens; raise it, or lower screening_sheets"
            )
        return value

    @property
    def strength(self) -> AuditStrength:
        return AuditStrength(screening_sheets=self.screening_sheets, final_sheets=self.final_sheets)


class ConfirmConfig(Frozen):
    """How finalists are compared: `rates` are the factors on its recipe's learning rate that each of them may take.

    Which one it takes is decided by `sweep_seeds` trainings with each; a single factor is taken by all, untried.
    `seeds_at_once` is for the trainings of rivals that ship with netwright, see `Laboratory.trains_at_once`.
    """

    rates: tuple[Annotated[FiniteFloat, Field(ge=1e-3, le=1e3)], ...] = (0.5, 1.0, 2.0)
    sweep_seeds: Annotated[int, Field(ge=1, le=100)] = 1
    seeds_at_once: SeedsAtOnce = "auto"

    @field_validator("rates")
    @classmethod
    def _some_and_each_once(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if not value or len(set(value)) < len(value):
            raise ValueError(
                f"expected at least one factor on the learning rate and each once, got {list(value)}; 1 alone leaves "
                "learning rates as recipes have them"
            )
        return value


class CampaignConfig(Frozen):
    """Everything that defines a campaign.

    `replay` is the recorded campaign of the same memory that this one repeats; `netwright run --replay` sets it.
    """

    name: str | None = None
    task: str = DEFAULT_TASK
    data: Path | None = None
    rung_tokens: tuple[Annotated[int, Field(ge=1)], ...] | None = None
    protocol: BudgetProtocol = "tokens"
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    workers: Annotated[int, Field(ge=1, le=256)] = Field(default_factory=lambda: available_cores())
    in_flight: Annotated[int, Field(ge=1, le=1024)] | None = None
    baselines: Literal["core", "all"] | tuple[str, ...] = "core"
    review: bool = False
    budget: Budget = Budget()
    search: SearchConfig = SearchConfig()
    llm: LlmConfig = LlmConfig()
    sandbox: SandboxConfig = SandboxConfig()
    training: TrainingConfig = TrainingConfig()
    audit: AuditConfig = AuditConfig()
    confirm: ConfirmConfig = ConfirmConfig()
    replay: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _accepted_above(cls, values: Any) -> Any:
        """Campaigns in a memory may still have `accept_no_sandbox` outside the table that it belongs to now."""
        if not isinstance(values, dict) or not isinstance(values.get("accept_no_sandbox"), bool):
            return values
        rest = {key: value for key, value in values.items() if key != "accept_no_sandbox"}
        table = rest.get("sandbox", {})
        if isinstance(table, dict):
            rest["sandbox"] = {"accept_no_sandbox": values["accept_no_sandbox"], **table}
        return rest

    @field_validator("name")
    @classmethod
    def _plain_name(cls, value: str | None) -> str | None:
        if value is not None and not CAMPAIGN_NAME.fullmatch(value):
            raise ValueError(f"expected letters, digits, '.', '_', '-' or '@' (at most 64), got {value!r}")
        return value

    @field_validator("llm")
    @classmethod
    def _known_prices(cls, value: LlmConfig, known: ValidationInfo) -> LlmConfig:
        budget = known.data.get("budget")
        if value.url is None or budget is None or budget.llm_cost is None:
            return value
        for whom, asked in value.whom.items():
            if asked.price_prompt is None:
                raise ValueError(
                    f"the budget has a cap llm_cost and {whom} has no price: give price_prompt and "
                    "price_completion (per million tokens; 0 for a model that costs nothing)"
                )
        return value

    @property
    def window(self) -> int:
        """How many actions may be without a result; two more than slots, so that a gated design waits for each."""
        return self.in_flight or self.workers + 2

    @property
    def campaign_name(self) -> str:
        """Its name, else the task's: of a task file the name without the folder and `.py`."""
        return self.name or re.sub(r"[^A-Za-z0-9._-]+", "-", Path(self.task).stem)


def available_cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

"""Which models a campaign asks, where, and how."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, FiniteFloat, field_validator, model_validator

from netwright.agents.local_model import SCHEME, is_local, model_of
from netwright.memory.records import Asked
from netwright.types import SECONDS_MAX, Frozen

KEY_VARIABLE = "NETWRIGHT_API_KEY"
LlmRole = Literal["planner", "coder", "repairer", "critic", "librarian"]
Answers = Literal["auto", "whole", "edits"]
LLM_ROLES: tuple[LlmRole, ...] = get_args(LlmRole)
WRITERS: tuple[LlmRole, ...] = ("planner", "coder", "repairer")
"""Those who design: `temperature` and `max_tokens` of `[llm]` are theirs."""
FILE_WRITERS: tuple[LlmRole, ...] = ("coder", "repairer")
"""Those who write files, whole or by edits."""


def _variable(value: str) -> str:
    # What was given is not repeated: it may be the secret itself.
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", value):
        raise ValueError("expected the name of an environment variable: the secret itself belongs there, not here")
    return value


def _endpoint_url(value: str) -> str:
    if is_local(value):
        return value
    if not value.startswith(("http://", "https://")):
        raise ValueError(f"expected a URL that starts with http:// or https://, or {SCHEME} and a model, got {value!r}")
    if "@" in urlsplit(value).netloc:
        raise ValueError("expected a URL without user name and password: campaigns are stored with it; use a header")
    return value


def _serve_options(value: tuple[str, ...]) -> tuple[str, ...]:
    if value and not value[0].startswith("-"):
        raise ValueError(f'expected options of `transformers serve`, such as ["--dtype", "bfloat16"], got {value[0]!r}')
    if ours := {option.partition("=")[0] for option in value} & {"--host", "--port"}:
        raise ValueError(f"{min(ours)} is chosen by netwright: leave it out")
    return value


EndpointUrl = Annotated[str, AfterValidator(_endpoint_url)]
Variable = Annotated[str, AfterValidator(_variable)]
Temperature = Annotated[FiniteFloat, Field(ge=0, le=2)]
AnswerTokens = Annotated[int, Field(ge=64)]
ServeOptions = Annotated[tuple[str, ...], AfterValidator(_serve_options)]
ContextTokens = Annotated[int, Field(ge=1024, le=1 << 30)]
Price = Annotated[FiniteFloat, Field(ge=0, le=1e9)]
TOKENS_PRICED = 1_000_000


def _both_prices(prompt: float | None, completion: float | None) -> None:
    if (prompt is None) != (completion is None):
        raise ValueError("expected price_prompt and price_completion together: give both, 0 for what costs nothing")


class RoleConfig(Frozen):
    """What one role has of its own, laid over `[llm]`; None is what stands there."""

    url: EndpointUrl | None = None
    model: str | None = None
    api_key_env: Variable | None = None
    headers: dict[str, Variable] | None = None
    serve_options: ServeOptions | None = None
    temperature: Temperature | None = None
    max_tokens: AnswerTokens | None = None
    context_tokens: ContextTokens | None = None
    price_prompt: Price | None = None
    price_completion: Price | None = None

    @model_validator(mode="after")
    def _priced(self) -> Self:
        _both_prices(self.price_prompt, self.price_completion)
        return self

    def cost(self, prompt_tokens: int, completion_tokens: int) -> float | None:
        """What so many tokens cost; None without prices."""
        if self.price_prompt is None or self.price_completion is None:
            return None
        return (prompt_tokens * self.price_prompt + completion_tokens * self.price_completion) / TOKENS_PRICED


class ModelConfig(RoleConfig):
    """One of several models for the roles that design, laid over `[llm]` as a role is.

    `max_tokens` bounds what a role asks it for; a `temperature` takes the place of the role's.
    """

    model: Annotated[str, Field(min_length=1)]

    @model_validator(mode="before")
    @classmethod
    def _named_by_url(cls, values: Any) -> Any:
        """A model that is served is named by its url."""
        if isinstance(values, dict) and isinstance(url := values.get("url"), str) and is_local(url):
            return {"model": model_of(url), **values}
        return values


class LlmConfig(Frozen):
    """An OpenAI-compatible endpoint, and what the roles have of their own.

    The key is read from the environment variable named `api_key_env`, and the value of each of `headers` from the one
    that is named for it, never from the file. `temperature` (None: each role has its own) and `max_tokens` are for
    planner, coder and repairer. `plans` is how many the planner makes in one call. Time-outs are in
    seconds: to connect, to the first token (and from one to the next), and of one whole request. `concurrency` bounds
    the requests at once; None is what a check found to pay, or 1.
    `answers` is how a file is asked for that changes a part of another: whole, by search/replace blocks (edits), or by
    these where a check found the models able to (auto; what it comes to is settled when a campaign begins).
    `tries` bounds the requests for one answer, `repairs` how often a rejected candidate is sent back. `at_cap` is what
    a campaign does once a cap of its budget has no room for a call: close, or go on with the grammar. Prices are of a
    million tokens, in the user's own currency, and None where nobody said. `context_tokens` is how long a prompt and
    its answer may be together; None is what a check found, or a cautious guess, and in a memory what this came to when
    the campaign began. `prompts` is a folder with prompts of the user's own.
    A `url` of `hf:PATH_OR_NAME` is a model that netwright serves itself, with `serve_options` as further arguments of
    `transformers serve`, within `start_timeout` seconds. With `park`, no such server runs while a training does.

    Of `models`, where there are any, one is drawn for each design; it plans, writes and mends it, but for roles that
    have a url or model of their own.
    """

    url: EndpointUrl | None = None
    model: str | None = None
    api_key_env: Variable = KEY_VARIABLE
    headers: dict[str, Variable] = {}
    serve_options: ServeOptions | None = None
    park: bool = False
    concurrency: Annotated[int, Field(ge=1, le=64)] | None = None
    temperature: Temperature | None = None
    max_tokens: AnswerTokens = 6000
    plans: Annotated[int, Field(ge=1, le=10)] = 3
    connect_timeout: Annotated[FiniteFloat, Field(gt=0, le=SECONDS_MAX)] = 10.0
    first_timeout: Annotated[FiniteFloat, Field(gt=0, le=SECONDS_MAX)] = 300.0
    total_timeout: Annotated[FiniteFloat, Field(gt=0, le=SECONDS_MAX)] = 900.0
    start_timeout: Annotated[FiniteFloat, Field(gt=0, le=SECONDS_MAX)] = 1800.0
    tries: Annotated[int, Field(ge=1, le=20)] = 4
    repairs: Annotated[int, Field(ge=0, le=10)] = 2
    answers: Answers = "auto"
    context_tokens: ContextTokens | None = None
    prompts: Path | None = None
    price_prompt: Price | None = None
    price_completion: Price | None = None
    at_cap: Literal["close", "grammar"] = "close"

    models: tuple[ModelConfig, ...] = ()
    planner: RoleConfig = RoleConfig()
    coder: RoleConfig = RoleConfig()
    repairer: RoleConfig = RoleConfig()
    critic: RoleConfig = RoleConfig()
    librarian: RoleConfig = RoleConfig()

    @model_validator(mode="after")
    def _roles_over_something(self) -> Self:
        _both_prices(self.price_prompt, self.price_completion)
        if self.url is None and any(getattr(self, role).url for role in LLM_ROLES):
            raise ValueError("a role has a url and [llm] has none: give [llm] one, roles are laid over it")
        if self.url is None and self.models:
            raise ValueError("there are models and [llm] has no url: give [llm] one, models are laid over it")
        return self

    @model_validator(mode="after")
    def _served_or_asked(self) -> Self:
        if self.park and not self.served:
            raise ValueError(f'park is for models that netwright serves: give a url = "{SCHEME}MODEL", or leave it out')
        for role in self.whom.values():
            if not is_local(role.url) and role.serve_options:
                raise ValueError(
                    f'serve_options are for a model that netwright serves (url = "{SCHEME}..."): leave them out'
                )
            if is_local(role.url) and role.model != model_of(role.url):
                raise ValueError(
                    f"{role.url} names the model, and {role.model!r} another: leave --model (model, "
                    "NETWRIGHT_LLM_MODEL) out"
                )
            if is_local(role.url) and role.headers:
                raise ValueError(f"{role.url} is served by netwright itself, which takes no headers: leave them out")
        return self

    @field_validator("models")
    @classmethod
    def _each_once(cls, value: tuple[ModelConfig, ...]) -> tuple[ModelConfig, ...]:
        names = Counter(each.model for each in value)
        for name in names - Counter(set(names)):
            raise ValueError(f"expected each model once, got {name!r} twice: what came of it is kept by its name")
        return value

    @property
    def served(self) -> list[str]:
        """The models that netwright serves itself, each once, by their urls."""
        urls = {each.url for each in self.whom.values()}
        return sorted(url for url in urls if is_local(url))

    def of(self, role: LlmRole) -> RoleConfig:
        """What `role` asks, and how. A url of its own takes nothing of a server's from `[llm]`.

        That belongs to another server. A model that is served is named by its url. Where `temperature` and `max_tokens`
        are None the role has defaults.
        """
        return self._laid_over(getattr(self, role), designs=role in WRITERS)

    def draws(self, role: str) -> bool:
        """Whether one of `models` is drawn to be asked by `role`."""
        if role not in WRITERS or not self.models:
            return False
        own: RoleConfig = getattr(self, role)
        return own.url is None and own.model is None

    def asked(self, role: LlmRole) -> tuple[RoleConfig, ...]:
        """Whom `role` may ask: one, or the models to draw from."""
        return tuple(self.drawn().values()) if self.draws(role) else (self.of(role),)

    def drawn(self) -> dict[str, RoleConfig]:
        """What each of `models` is, by its name."""
        return {each.model: self._laid_over(each, designs=False) for each in self.models}

    def _laid_over(self, own: RoleConfig, *, designs: bool) -> RoleConfig:
        asked = self._over_shared(own, designs=designs) if own.url in (None, self.url) else own
        if asked.model is None and is_local(asked.url):
            return asked.model_copy(update={"model": model_of(asked.url)})
        return asked

    def _over_shared(self, own: RoleConfig, *, designs: bool) -> RoleConfig:
        same_model = own.model in (None, self.model)
        shared: dict[str, Any] = {
            "url": self.url,
            "model": self.model,
            "api_key_env": self.api_key_env,
            "headers": self.headers,
            "price_prompt": self.price_prompt,
            "price_completion": self.price_completion,
            "serve_options": self.serve_options,
            **({"context_tokens": self.context_tokens} if same_model else {}),
        }
        if designs:
            shared |= {"temperature": self.temperature, "max_tokens": self.max_tokens}
        return own.model_copy(update={name: value for name, value in shared.items() if getattr(own, name) is None})

    def as_begun(self, before: LlmConfig) -> LlmConfig:
        """The settings of a campaign that goes on: a role that asks the same model as before has the same context."""
        kept: dict[str, RoleConfig] = {}
        for role in LLM_ROLES:
            now, was = self.of(role), before.of(role)
            if now.context_tokens is None and (now.url, now.model) == (was.url, was.model):
                kept[role] = getattr(self, role).model_copy(update={"context_tokens": was.context_tokens})
        return self.model_copy(update=kept)

    def asked_by(self, asker: str, model: str) -> RoleConfig:
        """What `asker` asks, by its name in the ledger of calls, where it asks `model`.

        Of one that is no role, what a planner asks.
        """
        role: LlmRole = next((role for role in LLM_ROLES if role == asker), "planner")
        drawn = self.drawn().get(model) if self.draws(role) else None
        return drawn if drawn is not None else self.of(role)

    @property
    def whom(self) -> dict[str, RoleConfig]:
        """Whoever may be asked, in words: the roles that ask one model, and the models to draw from."""
        models = {f"model {name!r}": each for name, each in self.drawn().items()}
        return {f"what the {role} asks": self.of(role) for role in LLM_ROLES if not self.draws(role)} | models

    def cost_of(self, asked: Iterable[Asked]) -> float | None:
        """What calls cost; None where nothing has a price. What has no price, where others have, costs nothing."""
        costs = [
            self.asked_by(each.role, each.model).cost(each.prompt_tokens, each.completion_tokens) for each in asked
        ]
        if all(each.price_prompt is None for each in self.whom.values()):
            return None
        return sum(cost for cost in costs if cost is not None)


def priced(totals: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    """The totals of a campaign's calls, with their `cost` where the campaign's `config` has prices."""
    asked = [Asked.model_validate(each) for each in totals["asked"]]
    cost = LlmConfig.model_validate(config.get("llm") or {}).cost_of(asked)
    return {**totals, "cost": cost} if cost is not None else dict(totals)


def money(amount: float) -> str:
    """An amount in the user's currency, to the hundredth, or to three digits where it is less than one."""
    return f"{amount:,.2f}" if amount >= 1 else f"{amount:.3g}"

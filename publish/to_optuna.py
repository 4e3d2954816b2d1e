"""A campaign as a study in an Optuna storage: SQLite in a folder, or a database by its URL.

Losses of different rungs do not compare. So, as where trials are pruned at a fidelity, designs that were trained at
the campaign's highest rung are complete, and those that stayed below are pruned, with their losses by rung as
intermediate values. Baselines are no trials: the best trial is a design.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from netwright.errors import ConfigError, PublishError
from netwright.publish.runs import CampaignRuns, Run, digest
from netwright.publish.targets import Destination, Published
from netwright.types import Operator, Recipe

if TYPE_CHECKING:
    from optuna import Study
    from optuna.distributions import BaseDistribution
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial

_LOGARITHMIC = ("lr", "batch_size", "grad_clip")
LEAST = 1e-9
"""Where a setting may be anything above 0 and is drawn as a logarithm."""


def publish(campaign: CampaignRuns, to: Destination) -> Published:
    """Write the campaign's study. Finished trials never change in Optuna: where one did, the study is written anew."""
    import optuna
    from sqlalchemy.exc import SQLAlchemyError

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    url = _url(to)
    name = f"{to.project}/{campaign.name}"
    trials = frozen(campaign)
    try:
        storage = optuna.storages.RDBStorage(url)
        study, there = _opened(storage, name, campaign)
        wanted = [trial.user_attrs["fingerprint"] for trial in trials]
        same = sum(one == other for one, other in zip(there, wanted, strict=False))
        if same < len(there):
            optuna.delete_study(study_name=name, storage=storage)
            study, _ = _opened(storage, name, campaign)
        study.add_trials(trials[0 if same < len(there) else same :])
        _describe(study, campaign)
    except (SQLAlchemyError, optuna.exceptions.StorageInternalError, ImportError, OSError) as error:
        reason = f"{type(error).__name__}; is it there, and its driver installed?"
        raise PublishError(f"Optuna storage {to.shown} did not take campaign {campaign.name!r}: {reason}") from error
    new = max(0, len(trials) - len(there))
    look = f"optuna-dashboard {url if to.url is None else to.shown}"
    return Published(new=new, changed=len(trials) - new - same, same=same, look=look)


def _url(to: Destination) -> str:
    if to.url is not None:
        return to.url
    to.folder.mkdir(parents=True, exist_ok=True)
    return f"sqlite:///{to.folder / 'optuna.db'}"


def _opened(storage: BaseStorage, name: str, campaign: CampaignRuns) -> tuple[Study, list[str]]:
    """The study and the fingerprints of its trials. Raises: ConfigError where any of it is not ours."""
    import optuna

    study = optuna.create_study(storage=storage, study_name=name, direction="minimize", load_if_exists=True)
    trials = study.get_trials(deepcopy=False)
    owner = study.user_attrs.get("campaign_id")
    if owner not in (None, campaign.identity) or (owner is None and trials):
        raise ConfigError(f"the study {name!r} is there and not of this campaign: choose another --project")
    if any("fingerprint" not in trial.user_attrs for trial in trials):
        raise ConfigError(f"the study {name!r} holds trials that netwright did not write: choose another --project")
    study.set_user_attr("campaign_id", campaign.identity)
    return study, [trial.user_attrs["fingerprint"] for trial in trials]


def _describe(study: Study, campaign: CampaignRuns) -> None:
    baselines = [
        {"title": run.facts.get("title", ""), "losses": run.losses} for run in campaign.runs if run.is_baseline
    ]
    for name, value in {**campaign.facts, "status": campaign.status, "baselines": baselines}.items():
        study.set_user_attr(name, value)


def frozen(campaign: CampaignRuns) -> list[FrozenTrial]:
    """The designs as finished trials, in the order in which they were remembered."""
    designs = [run for run in campaign.runs if not run.is_baseline]
    top = max((rung for run in designs for rung in run.losses), default=0)
    spaces = {**_recipe_spaces(), **_choices(designs)}
    return [_trial(run, top, spaces) for run in designs]


def _trial(run: Run, top: int, spaces: Mapping[str, BaseDistribution]) -> FrozenTrial:
    from optuna.distributions import distribution_to_json
    from optuna.trial import TrialState, create_trial

    if run.state == "scored":
        state = TrialState.COMPLETE if top in run.losses else TrialState.PRUNED
    else:
        state = TrialState.PRUNED if run.state == "stopped" else TrialState.FAIL
    params = {name: value for name, value in run.params.items() if name in spaces}
    facts = {**run.facts, **{name: value for name, value in run.params.items() if name not in spaces}}
    made: dict[str, Any] = {
        "value": run.losses.get(top),
        "params": params,
        "intermediate_values": dict(run.losses),
        "user_attrs": {**facts, **run.numbers, "run": run.name, "node": run.node, "source": run.source},
    }
    used = {name: spaces[name] for name in params}
    written = digest([state.name, made, {name: distribution_to_json(space) for name, space in used.items()}])
    made["user_attrs"] |= {"fingerprint": written}
    return create_trial(state=state, distributions=used, **made)


def _recipe_spaces() -> dict[str, BaseDistribution]:
    """What each setting of a recipe may be, as the contract of candidates has it."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    properties = dict(Recipe.model_json_schema()["properties"])
    properties["beta1"], properties["beta2"] = properties.pop("betas")["prefixItems"]
    spaces: dict[str, BaseDistribution] = {}
    for name, allowed in properties.items():
        logarithmic = name in _LOGARITHMIC
        if "enum" in allowed:
            space: BaseDistribution = CategoricalDistribution(allowed["enum"])
        else:
            kind = IntDistribution if allowed["type"] == "integer" else FloatDistribution
            high = allowed.get("maximum", allowed.get("exclusiveMaximum"))
            space = kind(allowed.get("minimum", LEAST if logarithmic else 0.0), high, log=logarithmic)
        spaces[f"recipe.{name}"] = space
    return spaces


def _choices(designs: Iterable[Run]) -> dict[str, BaseDistribution]:
    """The operator, and each place of a design at which something was decided: all that was chosen there."""
    from optuna.distributions import CategoricalDistribution

    chosen: dict[str, set[str]] = {}
    for run in designs:
        for name, value in run.params.items():
            if name.startswith("design."):
                chosen.setdefault(name, set()).add(str(value))
    operators = [operator.value for operator in Operator if operator is not Operator.BASELINE]
    return {
        "operator": CategoricalDistribution(operators),
        **{name: CategoricalDistribution(sorted(options)) for name, options in chosen.items()},
    }

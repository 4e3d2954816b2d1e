"""Policies of the user's own: an entry point of an installed package, or a Python file.

A policy is a factory, called with `seed`, `prices` and `promotions`, that makes a `Policy`. A file names it `POLICY`,
an entry point is in the group `netwright.policies`. Its code runs on the trusted side. docs/policies.md has an example.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

from netwright.errors import ConfigError
from netwright.extensions import imported, installed, loaded
from netwright.search.guard import guarded
from netwright.search.policy import POLICIES, Policy

ENTRY_POINTS = "netwright.policies"
_MEMBERS = ("ask", "resume", "tell", "node_statistics")


def listed_policies() -> dict[str, str]:
    """Return what can be named, with a line on each: policies that ship with netwright, then those of packages."""
    return {**POLICIES, **{name: f"of the package {point.value}" for name, point in installed_policies().items()}}


def installed_policies() -> dict[str, EntryPoint]:
    """Return the policies that installed packages offer, by name."""
    return installed(ENTRY_POINTS)


def load_plugin(name: str) -> Callable[..., Policy]:
    """Return what makes the policy of that name, or of the file `name` (`*.py`), under guard.

    Raises:
        ConfigError: no policy has that name, or what has it is none. Also raised when the policy is made, where the
            factory raises or makes something else.
    """
    if name.endswith(".py"):
        whence = f"policy file {name}"
        factory = loaded(whence, lambda: _policy_in(Path(name)))
    elif point := installed_policies().get(name):
        whence = f"policy {name!r} of {point.value}"
        factory = loaded(whence, point.load)
    else:
        known = ", ".join(listed_policies())
        raise ConfigError(
            f"unknown search policy {name!r}: use one of {known}, or the path of a file of your own (*.py)"
        )
    if not callable(factory):
        raise ConfigError(
            f"{whence} is a {type(factory).__name__}, expected what can be called with seed, prices and promotions and "
            "makes a policy"
        )

    def make(*, seed: int, prices: Sequence[float], promotions: float) -> Policy:
        policy = loaded(whence, lambda: factory(seed=seed, prices=prices, promotions=promotions))
        return guarded(_complete(whence, policy), name=whence, rungs=len(prices))

    return make


def _policy_in(path: Path) -> Any:
    module = imported("policy", path)
    if not hasattr(module, "POLICY"):
        raise ConfigError(f"policy file {path} defines no POLICY: add POLICY = YourPolicy, see docs/policies.md")
    return module.POLICY


def _complete(whence: str, policy: Any) -> Policy:
    for member in _MEMBERS:
        if not callable(getattr(policy, member, None)):
            raise ConfigError(
                f"{whence} makes an object of type {type(policy).__name__} without `{member}`: see docs/policies.md"
            )
    checked: Policy = policy
    return checked

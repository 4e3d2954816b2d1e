"""The decisions behind a design, by place, read from the JSON in which a planner keeps them.

{"version": 1, "even": {"body": {"kind": "memory", "local": null, "gate": {"rank": "low"}}}}

even.body.kind       memory
even.body.local      none
even.body.gate.rank  low
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

_WHERE = frozenset({"even", "odd", "body", "left", "right"})


def flattened(genotype_json: str) -> dict[str, str]:
    """Return what was decided at each place of a genotype; {} for a text that holds no JSON object.

    A place is the path of keys, joined by dots. null is `none`, true and false are `true` and `false`, and numbers
    are written as in JSON. The version of the format is no decision and is left out.
    """
    try:
        genotype = json.loads(genotype_json)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(genotype, dict):
        return {}
    return dict(decisions({key: value for key, value in genotype.items() if key != "version"}, ""))


def role(place: str) -> str:
    """Return what a place decides, wherever in the design it stands: `rule.kind` for `odd.body.left.rule.kind`."""
    return ".".join(key for key in place.split(".") if key not in _WHERE)


def decisions(value: Any, place: str) -> Iterator[tuple[str, str]]:
    """List what a JSON value decides that stands at `place`."""
    if isinstance(value, dict):
        for key, part in value.items():
            yield from decisions(part, f"{place}.{key}" if place else key)
    elif isinstance(value, list):
        for index, part in enumerate(value):
            yield from decisions(part, f"{place}.{index}")
    else:
        yield place, option(value)


def option(value: Any) -> str:
    """Write one decided value: a string as it is, null as `none`, others as in JSON."""
    if value is None:
        return "none"
    return value if isinstance(value, str) else json.dumps(value)

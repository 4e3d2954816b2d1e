"""Prompts are data with strict placeholders."""

import pytest

from netwright.errors import ConfigError
from netwright.prompts import Prompt, load, prompt_names


def test_placeholders_are_strict_both_ways() -> None:
    prompt = Prompt(name="mine", text="Hello {{name}}, {{name}}!")

    assert prompt.render(name="{{other}}") == "Hello {{other}}, {{other}}!"
    with pytest.raises(ConfigError, match=r"placeholder \{\{name\}\}, which nothing fills"):
        prompt.render()
    with pytest.raises(ConfigError, match=r"lacks the placeholder \{\{extra\}\}"):
        prompt.render(name="x", extra="y")


def test_an_unknown_prompt_is_refused_with_the_known_names() -> None:
    with pytest.raises(ConfigError, match="no prompt is called '../planner'; there are .*critic.*planner"):
        load("../planner")


def test_every_prompt_has_its_own_hash() -> None:
    assert len({load(name).sha256 for name in prompt_names()}) == len(prompt_names())

"""Prompts are data with strict placeholders."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from netwright.errors import ConfigError
from netwright.prompts import Prompt, load, prompt_names, use_own


def test_placeholders_are_strict_both_ways() -> None:
    prompt = Prompt(name="mine", text="Hello {{name}}, {{ name }}!")

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


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    use_own(None)


def test_a_prompt_of_the_users_own_takes_the_place_of_that_name_until_it_is_taken_back(folder: Path) -> None:
    shipped = load("planner")
    (folder / "planner.md").write_text(f"Be bold.\n\n{shipped.text}")

    use_own(folder)
    own = load("planner")
    use_own(None)

    assert own.text.startswith("Be bold.") and own.sha256 != shipped.sha256
    assert load("planner") == shipped


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("planner", lambda text: text + "{{mood}}", r"planner\.md has the placeholder \{\{mood\}\}.*it may use .*evid"),
        (
            "planner",
            lambda text: text.replace("{{evidence}}", ""),
            r"planner\.md lacks the placeholder \{\{evidence\}\}",
        ),
        ("wanted_code", lambda text: "{{evidence}}", r"which nothing fills; it may use none"),
        ("planer", lambda text: text, "no prompt is called 'planer'; there are .*planner"),
    ],
)
def test_a_prompt_that_could_not_be_filled_in_is_refused_by_name_and_nothing_changes(
    folder: Path, name: str, change: Callable[[str], str], said: str
) -> None:
    (folder / f"{name}.md").write_text(change(load("planner").text))
    (folder / "critic.md").write_text("Mine.")

    with pytest.raises(ConfigError, match=said):
        use_own(folder)

    assert load("critic").text != "Mine."


def test_a_folder_that_is_not_there_holds_nothing_or_is_no_text_is_named(folder: Path) -> None:
    with pytest.raises(ConfigError, match="there is no folder .*away"):
        use_own(folder / "away")
    with pytest.raises(ConfigError, match="holds no prompt"):
        use_own(folder)
    (folder / "critic.md").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match=r"critic\.md cannot be read as text"):
        use_own(folder)

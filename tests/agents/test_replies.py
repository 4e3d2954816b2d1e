"""How replies are read: thinking, JSON and code, in all the forms in which models send them."""

import pytest

from netwright.agents.replies import (
    Defect,
    Plan,
    check_source,
    code_blocks,
    join_continuation,
    json_objects,
    python_block,
    read_object,
    split_thinking,
)

PLAN = '{"title": "Delta", "hypothesis": "It overwrites."}'


@pytest.mark.parametrize(
    ("raw", "answer", "thinking"),
    [
        ("plain", "plain", ""),
        ("<think>hm</think>yes", "yes", "hm"),
        ("<THINK>a</think>x<think>b</think>y", "xy", "a\nb"),
        ("the template opened it</think>yes", "yes", "the template opened it"),
        ("<thinking>hm</thinking>\n\nyes", "yes", "hm"),
    ],
)
def test_thinking_is_separated_from_the_answer(raw: str, answer: str, thinking: str) -> None:
    split = split_thinking(raw)

    assert (split.answer, split.thinking, split.unfinished_thinking) == (answer, thinking, False)


def test_thinking_that_never_ends_leaves_no_answer() -> None:
    split = split_thinking("<think>first I would {")

    assert split.answer == ""
    assert split.unfinished_thinking


@pytest.mark.parametrize(
    "text",
    [
        PLAN,
        f"```json\n{PLAN}\n```",
        f"Sure! Here is it:\n{PLAN}\nGood luck {{with}} it.",
        f"{{not json}} and then {PLAN}",
        '{"title": "Delta", "hypothesis": "It\novertypes\x01 with raw control characters."}',
        f'~~~json\n{{"title": "Delta", "hypothesis": ["It", "overwrites"]}}\n~~~\n```json\n{PLAN}\n```',
        f'{{"answer": 1}} {PLAN}',
    ],
)
def test_a_plan_is_found_whatever_stands_around_it(text: str) -> None:
    plan = read_object(text, Plan)

    assert isinstance(plan, Plan)
    assert plan.title == "Delta"


def test_lists_and_numbers_are_read_as_sentences_and_extra_keys_are_ignored() -> None:
    text = '{"title": 7, "hypothesis": ["a", "b"], "changes": ["c"], "confidence": 0.9}'

    assert read_object(text, Plan) == Plan(title="7", hypothesis="a; b", changes="c")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("no object here", "no JSON object"),
        ('{"title": "Delta"}', "'hypothesis': Field required"),
        ('{"title": "", "hypothesis": "x"}', "'title'"),
        ('{"title": "Delta", "hypothesis": "x"', "does not parse"),
        ('{"title": "Delta" "hypothesis": "x"}', "line 1"),
        ("{" * 5000, "JSON"),
    ],
)
def test_a_bad_plan_is_described_so_that_a_model_can_mend_it(text: str, words: str) -> None:
    defect = read_object(text, Plan)

    assert isinstance(defect, Defect)
    assert words in defect.problem


def test_objects_inside_an_object_are_not_listed_again() -> None:
    assert list(json_objects('{"a": {"b": 1}} {"c": 2}')) == [{"a": {"b": 1}}, {"c": 2}]


def test_code_blocks_keep_their_language_and_know_whether_they_were_closed() -> None:
    text = "a\n```python\nx = 1\n```\n````text\n```\n````\n~~~\ny\n```\n~~~\n```py\nz = 2"

    blocks = code_blocks(text)

    assert [(block.language, block.body, block.closed) for block in blocks] == [
        ("python", "x = 1\n", True),
        ("text", "```\n", True),
        ("", "y\n```\n", True),
        ("py", "z = 2\n", False),
    ]


def test_a_block_may_open_at_the_end_of_a_line_of_prose() -> None:
    blocks = code_blocks("The plan: ```json\n{}\n```\nand the file: ```python\nx = 1\n```\nwith a late ```")

    assert [(block.language, block.body) for block in blocks] == [("json", "{}\n"), ("python", "x = 1\n")]


def test_the_block_that_defines_the_class_is_the_file() -> None:
    snippet = "```python\n# a long explanation " + "x" * 200 + "\n```\n"
    text = f"{snippet}```python\nclass Mixer:\n    pass\n```\n```\nclass Mixin: ...\n```"

    block = python_block(text, "Mixer")

    assert block is not None
    assert block.body == "class Mixer:\n    pass\n"


def test_without_any_python_there_is_no_file() -> None:
    assert python_block("```json\n{}\n```", "Mixer") is None


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("class Mixer:\n    def f(self:\n", "line 2"),
        ("class Mixture: ...", "it defines Mixture"),
        ("x = 1", "it defines no class"),
        ("def f():\n    class Mixer: ...", "at top level"),
        ("class Mixer: ...\0", "does not parse"),
        ("x = " + "(" * 500 + ")" * 500, "does not parse"),
    ],
)
def test_a_file_that_cannot_be_the_candidate_is_described(source: str, words: str) -> None:
    defect = check_source(source, "Mixer")

    assert defect is not None
    assert words in defect.problem


def test_a_file_that_defines_its_class_has_no_defect() -> None:
    assert check_source("import torch\n\nclass Mixer(torch.nn.Module): ...\n", "Mixer") is None


def test_a_continuation_may_repeat_what_has_arrived() -> None:
    assert join_continuation("a\nb\nc\n", "b\nc\nd\n") == "a\nb\nc\nd\n"
    assert join_continuation("a\nb\n", "c\nd\n") == "a\nb\nc\nd\n"

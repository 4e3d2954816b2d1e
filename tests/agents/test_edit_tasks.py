"""The changes by which a check measures whether a model can edit: each has one right result, and only that counts."""

import ast

import pytest

from netwright.agents.edit_tasks import TASKS, EditTask
from netwright.prompts import load


def as_blocks(task: EditTask) -> str:
    """The right answer: a block for each line that changes."""
    before, after = task.source.split("\n"), task.right.split("\n")
    if len(before) == len(after):
        pairs = [(one, other) for one, other in zip(before, after, strict=True) if one != other]
        return "".join(f"<<<<<<< SEARCH\n{one}\n=======\n{other}\n>>>>>>> REPLACE\n" for one, other in pairs)
    return f"<<<<<<< SEARCH\n{task.source}\n=======\n{task.right}\n>>>>>>> REPLACE\n"


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.change[:20])
def test_each_change_is_of_a_real_file_and_its_right_answer_is_accepted(task: EditTask) -> None:
    for before, _ in task.replacements:
        assert before in task.source
    ast.parse(task.right)

    assert task.right != task.source
    assert task.source in task.question and load("edits").text in task.question
    assert task.verdict(f"<think>easy</think>{as_blocks(task)}", cut_off=False) == ""


@pytest.mark.parametrize(
    ("reply", "cut_off", "words"),
    [
        ("Done!", False, "no block"),
        (TASKS[0].right, False, "no block"),
        ("<<<<<<< SEARCH\nimport torch\n=======\nimport torch as t\n>>>>>>> REPLACE", False, "another change"),
        ("<<<<<<< SEARCH\nimport torch\n=======\nimport (\n>>>>>>> REPLACE", False, "another change"),
        ("<<<<<<< SEARCH\nimport tensor\n=======\n>>>>>>> REPLACE", False, "not in the file"),
        ("<<<<<<< SEARCH\nimport torch\n", False, "before its line ======="),
        (as_blocks(TASKS[0]), True, "cut off"),
    ],
)
def test_a_wrong_answer_is_told_why_it_is_wrong(reply: str, cut_off: bool, words: str) -> None:
    assert words in TASKS[0].verdict(reply, cut_off=cut_off)

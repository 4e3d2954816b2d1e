"""Search/replace blocks: read however a model dresses them, carried out exactly or not at all."""

import pytest

from netwright.agents.edits import Blocks, Edit, apply_edits, has_edits, read_edits
from netwright.agents.replies import Defect

FILE = '''"""A gate."""

import torch


class Mixer(torch.nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.gate = torch.nn.Linear(dim, dim)
        self.out = torch.nn.Linear(dim, dim)

    def forward(self, x):
        y = torch.sigmoid(self.gate(x))
        return self.out(y)
'''
BLOCK = """<<<<<<< SEARCH
        y = torch.sigmoid(self.gate(x))
=======
        y = torch.tanh(self.gate(x))
>>>>>>> REPLACE
"""
EDIT = Edit(("        y = torch.sigmoid(self.gate(x))",), ("        y = torch.tanh(self.gate(x))",))


def edited(text: str, source: str = FILE) -> str | Defect:
    blocks = read_edits(text)
    assert isinstance(blocks, Blocks)
    return apply_edits(source, blocks.edits)


def problem(text: str) -> str:
    found = edited(text)
    assert isinstance(found, Defect)
    return found.problem


# --- reading ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        BLOCK,
        f"Sure:\n\n```python\n{BLOCK}```\nDone.",
        f"```diff\n{BLOCK}```",
        BLOCK.replace("\n", "\r\n"),
        BLOCK.replace("<<<<<<< SEARCH", "<<<<<< SEARCH mixer.py  ").replace("=======", "========"),
        BLOCK.replace("SEARCH\n", "ORIGINAL\n```python\n").replace("=======", "```\n======="),
        BLOCK.removesuffix(">>>>>>> REPLACE\n"),
        f"```\n{BLOCK.removesuffix('>>>>>>> REPLACE' + chr(10))}```\n",
    ],
    ids=["bare", "fenced", "diff-fence", "crlf", "other-signs", "fence-inside", "no-end", "fence-for-an-end"],
)
def test_a_block_is_read_however_it_is_dressed(text: str) -> None:
    assert has_edits(text)
    assert edited(text) == FILE.replace("sigmoid", "tanh")


def test_several_blocks_are_read_in_order_even_where_one_lacks_its_end() -> None:
    two = f"{BLOCK.removesuffix('>>>>>>> REPLACE' + chr(10))}<<<<<<< SEARCH\na\n=======\n>>>>>>> REPLACE\n"

    assert read_edits(two) == Blocks((EDIT, Edit(("a",), ())))


@pytest.mark.parametrize("text", ["", "no block", "x = a << 2\n>>> x\n=======\n", FILE])
def test_ordinary_text_has_no_blocks(text: str) -> None:
    assert not has_edits(text)
    assert read_edits(text) == Blocks(())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (BLOCK.replace("=======\n", ""), "block 1 has no line ======="),
        (f"{BLOCK}<<<<<<< SEARCH\na\n", "block 2 ends before its line ======="),
    ],
)
def test_a_block_without_its_middle_is_told_by_its_number(text: str, words: str) -> None:
    found = read_edits(text)

    assert isinstance(found, Defect)
    assert words in found.problem


@pytest.mark.parametrize("end", ["<<<<<<< SEARCH\na", "<<<<<<< SEARCH\na\n=======\nb"])
def test_where_the_text_was_cut_off_the_last_block_is_open(end: str) -> None:
    assert read_edits(f"{BLOCK}{end}", cut_off=True) == Blocks((EDIT,), open=True)
    assert read_edits(BLOCK, cut_off=True) == Blocks((EDIT,))


# --- carrying out ----------------------------------------------------------------------------------------------------


def test_blocks_are_carried_out_one_after_the_other() -> None:
    second = "<<<<<<< SEARCH\n        y = torch.tanh(self.gate(x))\n        return self.out(y)\n=======\n"

    assert edited(f"{BLOCK}{second}        return y\n>>>>>>> REPLACE") == FILE.replace(
        "        y = torch.sigmoid(self.gate(x))\n        return self.out(y)\n", "        return y\n"
    )


def test_lines_can_be_inserted_and_deleted() -> None:
    text = (
        "<<<<<<< SEARCH\nimport torch\n=======\nimport torch\n\nRECIPE = {}\n>>>>>>> REPLACE\n"
        "<<<<<<< SEARCH\n        self.out = torch.nn.Linear(dim, dim)\n=======\n>>>>>>> REPLACE\n"
    )

    assert edited(text) == FILE.replace("import torch\n", "import torch\n\nRECIPE = {}\n", 1).replace(
        "        self.out = torch.nn.Linear(dim, dim)\n", ""
    )


def test_white_space_at_the_ends_of_lines_and_blank_lines_around_a_block_do_not_matter() -> None:
    text = BLOCK.replace("(self.gate(x))\n=", "(self.gate(x))   \n\n=").replace("SEARCH\n", "SEARCH\n\n")

    assert edited(text) == FILE.replace("sigmoid", "tanh")
    assert edited(BLOCK, FILE.replace("gate(x))\n", "gate(x))\t\n")) == FILE.replace("sigmoid", "tanh")


def test_an_exact_match_counts_before_a_looser_one() -> None:
    source = "a = 1 \na = 1\nb = 2\n"

    assert edited("<<<<<<< SEARCH\na = 1\n=======\na = 3\n>>>>>>> REPLACE", source) == "a = 1 \na = 3\nb = 2\n"


def test_what_python_takes_for_a_line_end_stays_inside_its_line() -> None:
    source = "a = 'x\x0cy\u2028z'\nb = 2\n"

    assert edited("<<<<<<< SEARCH\nb = 2\n=======\nb = 3\n>>>>>>> REPLACE", source) == "a = 'x\x0cy\u2028z'\nb = 3\n"


# --- what goes nowhere -----------------------------------------------------------------------------------------------


def test_a_line_that_is_not_there_is_named_with_the_nearest_one() -> None:
    words = problem(BLOCK.replace("torch.sigmoid(self.gate(x))", "torch.sigmoid(self.gates(x))"))

    assert words.startswith("block 1 of 1: what it searches is not in the file")
    assert "no line is '        y = torch.sigmoid(self.gates(x))'" in words
    assert "the nearest is '        y = torch.sigmoid(self.gate(x))'" in words


def test_where_a_block_leaves_the_file_is_told() -> None:
    words = problem(BLOCK.replace("gate(x))\n=", "gate(x))\n        return y\n="))

    assert "after '        y = torch.sigmoid(self.gate(x))' the file has '        return self.out(y)'" in words
    assert words.endswith("and not '        return y'.")


def test_lines_that_stand_there_twice_are_not_guessed_at() -> None:
    found = apply_edits("a = 1\nb = 2\na = 1\n", [Edit(("a = 1",), ("a = 2",))])

    assert isinstance(found, Defect)
    assert "beginning with 'a = 1', stands 2 times in the file" in found.problem


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (Edit(("", " "), ("x = 1",)), "searches for nothing"),
        (Edit(("import torch",), ("import torch",)), "are the same"),
        (Edit((*FILE.split("\n"), "more"), ()), "the file has '', and not 'more'"),
    ],
)
def test_a_block_that_can_do_nothing_is_refused(edit: Edit, words: str) -> None:
    found = apply_edits(FILE, [EDIT, edit] if len(edit.search) < 5 else [edit])

    assert isinstance(found, Defect)
    assert words in found.problem
    assert found.problem.startswith("block 2 of 2" if len(edit.search) < 5 else "block 1 of 1")


def test_a_line_without_end_does_not_hold_anybody_up() -> None:
    found = apply_edits("x" * 60_000, [Edit(("y" * 60_000,), ())])

    assert isinstance(found, Defect)
    assert len(found.problem) < 500

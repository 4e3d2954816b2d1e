"""An answer that was cut off anywhere is gone on with, and what comes together is what the model meant to say."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from netwright.agents.answers import FileAnswer, PlansAnswer
from netwright.agents.faults import raw_reply
from netwright.agents.replies import Plan

FILE = '''"""Identity: nothing is exchanged."""

import torch


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.gain = torch.nn.Parameter(torch.ones(dim))

    def forward(self, x):
        return x * self.gain
'''
CHANGED = FILE.replace("torch.ones(dim)", "torch.zeros(dim)").replace("x * self.gain", "x + self.gain")
BLOCKS = """<<<<<<< SEARCH
        self.gain = torch.nn.Parameter(torch.ones(dim))
=======
        self.gain = torch.nn.Parameter(torch.zeros(dim))
>>>>>>> REPLACE

<<<<<<< SEARCH
    def forward(self, x):
        return x * self.gain
=======
    def forward(self, x):
        return x + self.gain
>>>>>>> REPLACE
"""
PLAN = Plan(title="Identity", hypothesis="It copies.")
WHOLE = FileAnswer(class_name="Mixer", plan=PLAN)
EDITED = FileAnswer(class_name="Mixer", plan=PLAN, base=FILE)

Dress = Callable[[str], str]
DRESSES: dict[str, Dress] = {
    "fenced": lambda rest: f"```python\n{rest}\n```",
    "bare": lambda rest: rest,
    "told": lambda rest: f"Here is the rest:\n\n```\n{rest}\n```\nDone.",
    "thought": lambda rest: f"<think>Where was I? ```python\nx\n```</think>\n```python\n{rest}\n```",
}


def lines(source: str) -> list[str]:
    """The lines that are not blank: one more or less of these may stand where an answer was cut off."""
    return [line for line in source.splitlines() if line.strip()]


def answered(start: FileAnswer, text: str, content: str, cut: int, dress: Dress) -> FileAnswer:
    """Cut `text` at `cut` and send what is asked for then; `content` is what of it is wanted in parts."""
    answer = start.absorb(text[:cut], cut_off=True)
    if answer.complete:
        return answer
    if answer.partial is None:
        return answer.absorb(text, cut_off=False)
    begun = answer.partial.rstrip()
    assert content.startswith(begun), "what is said to have arrived is what was sent"
    assert begun.splitlines()[-1] in answer.wanted
    return answer.absorb(dress(content[len(begun) + 1 :].strip("\n")), cut_off=False)


@pytest.mark.parametrize("dress", DRESSES)
def test_a_file_cut_off_anywhere_comes_together(dress: str) -> None:
    text = f"Here it is.\n\n```python\n{FILE}```\n"

    for cut in range(len(text) + 1):
        answer = answered(WHOLE, text, FILE, cut, DRESSES[dress])

        assert answer.source is not None, f"cut at {cut}: {answer.problem}"
        assert lines(answer.source) == lines(FILE), f"cut at {cut}"


@pytest.mark.parametrize("dress", DRESSES)
@pytest.mark.parametrize("fence", ["", "```diff\n"])
def test_edits_cut_off_anywhere_come_together(dress: str, fence: str) -> None:
    text = f'{{"title": "Sum", "hypothesis": "It adds."}}\n\n{fence}{BLOCKS}{"```" if fence else ""}'

    for cut in range(len(text) + 1):
        answer = answered(EDITED, text, text, cut, DRESSES[dress])

        assert answer.source == CHANGED, f"cut at {cut}: {answer.problem}"
        assert answer.plan.title == "Sum" or cut < text.index("}")


def test_edits_may_begin_again_where_they_were_to_go_on() -> None:
    answer = EDITED.absorb(BLOCKS[: len(BLOCKS) * 2 // 3], cut_off=True)

    assert "inside the search/replace blocks" in answer.wanted
    assert answer.absorb(f"```\n{BLOCKS}```", cut_off=False).source == CHANGED
    assert answer.absorb(f"```python\n{CHANGED}```", cut_off=False).source == CHANGED


def test_what_was_cut_off_twice_comes_together() -> None:
    first, second = len(BLOCKS) // 2, len(BLOCKS) * 3 // 4
    answer = EDITED.absorb(BLOCKS[:first], cut_off=True)
    assert answer.partial is not None
    begun = len(answer.partial.rstrip()) + 1
    answer = answer.absorb(BLOCKS[begun:second], cut_off=True)
    assert answer.partial is not None and BLOCKS.startswith(answer.partial.rstrip())

    answer = answer.absorb(BLOCKS[len(answer.partial.rstrip()) + 1 :], cut_off=False)

    assert answer.source == CHANGED


# --- edits that cannot be carried out --------------------------------------------------------------------------------


def test_edits_that_find_no_place_are_told_once_and_then_the_whole_file_is_asked_for() -> None:
    lost = BLOCKS.replace("torch.ones(dim)", "torch.ones(size)")

    once = EDITED.absorb(lost, cut_off=False)
    twice = once.absorb(lost, cut_off=False)

    assert "block 1 of 2: what it searches is not in the file" in once.problem
    assert "the nearest is '        self.gain = torch.nn.Parameter(torch.ones(dim))'" in once.problem
    assert "Send all of them again" in once.wanted
    assert "the complete Python file" in twice.wanted
    for answer in (once, twice):
        assert answer.absorb(BLOCKS, cut_off=False).source == CHANGED
        assert answer.absorb(f"```python\n{FILE}```", cut_off=False).source == FILE


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        ("I would change the gain.", "it has no search/replace block."),
        ("```python\nself.gain = 2\n```", "must define `class Mixer`"),
        (BLOCKS.replace("x + self.gain", "x + (self.gain"), "does not parse: line 12"),
        (BLOCKS.replace("=======\n", "", 1), "block 1 has no line ======="),
    ],
)
def test_what_is_wrong_with_edits_is_told(reply: str, words: str) -> None:
    answer = EDITED.absorb(reply, cut_off=False)

    assert words in answer.problem
    assert "Send all of them again" in answer.wanted


def test_a_whole_file_in_place_of_edits_is_accepted_and_edits_nobody_asked_for_are_not() -> None:
    assert EDITED.absorb(f"```python\n{CHANGED}```", cut_off=False).source == CHANGED
    assert WHOLE.absorb(BLOCKS, cut_off=False).source is None


# --- thinking --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("start", [WHOLE, EDITED])
def test_a_draft_in_thoughts_that_were_cut_off_is_no_answer(start: FileAnswer) -> None:
    answer = start.absorb(f"<think>Perhaps\n```python\n{FILE}```\nor rather\n{BLOCKS} or", cut_off=True)

    assert (answer.source, answer.partial) == (None, None)
    assert "cut off before the answer began" in answer.problem
    assert "Don't explain and don't deliberate" in answer.wanted


def test_a_draft_of_plans_in_thoughts_that_were_cut_off_is_none() -> None:
    draft = '<think>{"title": "Draft", "hypothesis": "Hm."} or'

    assert not PlansAnswer(class_name="Mixer").absorb(draft, cut_off=True).complete
    assert PlansAnswer(class_name="Mixer").absorb(f"{draft}</think>", cut_off=False).plans[0].title == "Draft"


@pytest.mark.parametrize("field", ["reasoning", "reasoning_content"])
def test_an_answer_that_came_whole_as_reasoning_is_read_and_goes_on_in_the_content(field: str) -> None:
    def reply(content: str, thought: str, finish: str) -> tuple[str, bool]:
        message = {"role": "assistant", "content": content, field: thought}
        return raw_reply({"choices": [{"message": message, "finish_reason": finish}]})

    raw, cut_off = reply("", f"```python\n{FILE}```", "stop")
    assert WHOLE.absorb(raw, cut_off=cut_off).source == FILE

    raw, cut_off = reply(BLOCKS[:150], "I will change the gain.", "length")
    begun = EDITED.absorb(raw, cut_off=cut_off)
    assert begun.partial is not None
    raw, cut_off = reply(BLOCKS[len(begun.partial.rstrip()) + 1 :], "Where was I?", "stop")
    assert begun.absorb(raw, cut_off=cut_off).source == CHANGED

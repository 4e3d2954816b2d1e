"""A coder that asks an LLM to write the file of a plan: the whole of it, or how it differs from the parent's."""

from __future__ import annotations

from typing import Unpack

from netwright.agents.answers import FileAnswer
from netwright.agents.base import Correspondent, Ledger
from netwright.agents.context_text import files_text
from netwright.agents.conversation import Conversation, Manner, Question
from netwright.agents.quoting import one_line
from netwright.agents.replies import Plan
from netwright.agents.room import Room
from netwright.agents.writing import class_name, form_of, written
from netwright.prompts import load
from netwright.types import Context, Operator, Proposal

_PLAN_CHARACTERS = 2000


class LlmCoder:
    """Implements `Coder` with one endpoint; see `Conversation` for what it takes.

    With `edits`, a design that changes a part of its only parent may come as search/replace blocks.
    """

    def __init__(
        self,
        endpoint: Correspondent,
        ledger: Ledger,
        *,
        edits: bool = False,
        **manner: Unpack[Manner],
    ) -> None:
        self._edits = edits
        self._conversation = Conversation(endpoint, ledger, **(Manner(temperature=0.4) | manner))

    async def write(self, context: Context, plan: Plan) -> Proposal:
        """See `Coder`.

        Raises:
            MalformedReply: no usable file after all repairs of the answer's form.
            ProviderError: the endpoint gave no answer.
        """
        base = _base(context) if self._edits else None
        form, prompts = form_of("the parent's" if base is not None else None)
        question = Question(
            role="coder",
            prompts=("coder", *prompts),
            context=context,
            text=lambda room: _coder_text(context, plan, form, room),
        )
        wanted = FileAnswer(class_name=class_name(context), plan=plan, base=base)
        answer, model = await self._conversation.answer(question, wanted)
        assert answer.source is not None
        return written(plan, answer.source, model)


def _base(context: Context) -> str | None:
    """The file of which the design changes a part, where there is one."""
    changes = context.operator not in (Operator.DRAFT, Operator.COMBINE) and len(context.parents) == 1
    return context.parents[0].candidate.source if changes else None


def _coder_text(context: Context, plan: Plan, form: str, room: Room) -> str:
    prompt = load("coder")
    told = {
        "title": one_line(plan.title, 120),
        "hypothesis": one_line(plan.hypothesis, _PLAN_CHARACTERS),
        "changes": one_line(plan.changes, _PLAN_CHARACTERS),
        "expected_effect": one_line(plan.expected_effect, _PLAN_CHARACTERS),
        "form": form,
    }
    files = files_text(context, room.beside(prompt.text, *told.values()))
    return prompt.render(files=files, operator=context.operator.value, **told)

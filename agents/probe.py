"""Finding out what an endpoint can do, by asking it. What is found goes into its profile."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime

from netwright.agents import probe_questions as ask
from netwright.agents.chat import CHARACTERS_PER_TOKEN, ChatRequest, Reply
from netwright.agents.edit_tasks import ABLE, TASKS
from netwright.agents.endpoint import Endpoint
from netwright.agents.faults import EndpointError, Fault, context_limit
from netwright.agents.profile import JsonMode
from netwright.agents.replies import split_thinking
from netwright.agents.room import LEAST_CONTEXT, WANTED_CONTEXT
from netwright.agents.servers import LOOKS, recognise, remedy, stated_context
from netwright.errors import ProviderError
from netwright.types import Finding, JsonDict

_GONE = frozenset({Fault.UNREACHABLE, Fault.KEY_REFUSED, Fault.UNKNOWN_MODEL})


class Probe:
    """Asks one endpoint everything, in order; `findings` grows meanwhile.

    Args:
        endpoint: whom to ask, with room for four requests at once.
        longest: tokens of the longest prompt; None leaves out long prompts and changes of files, which are long too.
        say: told what is being asked now.
    """

    def __init__(self, endpoint: Endpoint, longest: int | None, say: Callable[[str], None]) -> None:
        self._endpoint = endpoint
        self._longest = longest
        self._say = say
        self._model = ""
        self._rows: list[JsonDict] = []
        self._server: str | None = None
        self.findings: list[Finding] = []
        self.problem = ""

    async def run(self) -> None:
        """Ask. `problem` then says why a campaign cannot use the endpoint, or is empty.

        Raises: ConfigError where the URL, the model or the key is wrong; ProviderError where nothing answers.
        """
        known = self._endpoint.known
        await self._list_models()
        self._model = (await self._endpoint.profile()).model
        # What may have changed since is asked anew; the form of the URL and the names of fields are kept until refused.
        known.learn(streaming=None, json_mode=None, refused=(), folds_system=False, cuts_prompts=None)
        self._say("one token, for which the model may have to be loaded")
        await self._endpoint.verify()
        stated = await self._look_around()
        for what, step in (
            ("chat", self._chat),
            ("system role", self._system),
            ("JSON", self._json),
            ("speed", self._speed),
            ("parallel requests", self._parallel),
            *([("edits", self._edits)] if self._longest else []),
        ):
            self._say(what)
            try:
                await step()
            except EndpointError as error:
                self._found(what, f"failed: {error}", error.fault.remedy, vital=what == "chat")
                if what == "chat" or error.fault in _GONE:
                    raise ProviderError(str(error)) from None
        await self._context(stated)
        known.learn(server=self._server, checked_at=datetime.now(UTC).isoformat(timespec="seconds"))

    def _found(self, what: str, found: str, remedy: str = "", *, vital: bool = False) -> None:
        self.findings.append(Finding(what, found, remedy, vital))

    async def _list_models(self) -> None:
        self._say("its models")
        offered = await self._endpoint.known.offered_models()
        listed = f"{len(offered)}: {', '.join(offered[:5])}{', ...' if len(offered) > 5 else ''}"
        self._found("models", listed if offered else "not listed", "" if offered else "name yours with --model")

    async def _look_around(self) -> tuple[int, str] | None:
        """Find out what server it is; return the context that it states, and where."""
        transport, index = self._endpoint.transport, self._endpoint.known.url_index
        try:
            rows = json.loads(await transport.get_models(index))["data"]
            self._rows = [row for row in rows if isinstance(row, dict)]
        except (EndpointError, ValueError, KeyError, TypeError):
            self._rows = []
        looks = {path: await transport.look(path, index) for path in LOOKS}
        self._server = recognise(self._rows, looks)
        shown = await transport.look("/api/show", index, {"model": self._model}) if self._server == "Ollama" else None
        self._found("URL", self._endpoint.url)
        self._found("server", self._server or "not recognised")
        return stated_context(self._model, self._rows, looks, shown)

    async def _chat(self) -> None:
        reply = await self._endpoint.once(ask.chat_request())
        split = split_thinking(reply.text)
        if split.answer:
            self._found("chat", f"answers {' '.join(split.answer.split())[:40]!r}")
        elif reply.cut_off:
            self._found(
                "chat",
                f"thinks for more than {ask.CHAT_TOKENS} tokens before it answers",
                "let it think less, or raise max_tokens in [llm]",
            )
        else:
            self._found("chat", "answers nothing", "look into the server's log, or try another model", vital=True)
            self.problem = "it answers nothing to a plain question"
        self._reasoning(reply)
        self._streaming(reply)
        counts = "no, they are estimated" if reply.tokens_estimated else "yes"
        self._found("counts tokens", counts)

    def _reasoning(self, reply: Reply) -> None:
        place = reply.reasoning
        self._endpoint.known.learn(reasoning=place)
        if place == "<think>":
            todo = remedy(self._server, "reasoning", self._model)
            self._found(
                "reasoning", "inside the answer, between <think> tags", f"is taken out; or: {todo}" if todo else ""
            )
        else:
            self._found("reasoning", f"in the field {place}" if place else "none seen")

    def _streaming(self, reply: Reply) -> None:
        if reply.streamed:
            self._found("streaming", "works")
        else:
            self._found(
                "streaming", "no, answers come whole", "nothing; total_timeout in [llm] is then the one time-out"
            )

    async def _system(self) -> None:
        """A template may refuse the role, or leave it out without a word."""
        request, known = ask.system_request(), self._endpoint.known
        reply = await self._endpoint.once(request)
        if (await self._endpoint.profile()).folds_system:
            self._found("system role", "refused; it is put in front of the question instead")
            return
        if ask.tells_password(reply):
            self._found("system role", "taken and read")
            return
        known.learn(folds_system=True)
        if ask.tells_password(await self._endpoint.once(request)):
            self._found("system role", "taken but not read; it is put in front of the question instead")
            return
        known.learn(folds_system=False)
        self._found("system role", "taken; the answer does not show that it was read", "try a larger model")

    async def _json(self) -> None:
        """The strictest way of asking for JSON that is really kept to."""
        known = self._endpoint.known
        tests: list[tuple[JsonMode, Callable[[Reply], bool], str]] = [
            ("json_schema", ask.keeps_schema, "json_schema is enforced"),
            ("json_object", ask.is_json, "json_object is enforced, a schema is not"),
        ]
        for mode, holds, words in tests:
            known.learn(json_mode=mode)
            try:
                reply = await self._endpoint.once(ask.json_request())
            except EndpointError as error:
                if error.fault in _GONE:
                    raise
                continue
            if (await self._endpoint.profile()).json_mode == mode and holds(reply):
                self._found("JSON", words)
                return
        known.learn(json_mode="none")
        self._found("JSON", "no form is enforced; it is then found in the text, and checked")

    async def _speed(self) -> None:
        reply = await self._endpoint.once(ask.speed_request())
        writing = reply.seconds - reply.first_seconds if reply.streamed else reply.seconds
        rate = reply.completion_tokens / max(writing, 1e-3)
        about = "about " if reply.tokens_estimated else ""
        first = f"first token after {reply.first_seconds:.2f} s, then " if reply.streamed else ""
        self._endpoint.known.learn(first_token_seconds=round(reply.first_seconds, 3), tokens_per_second=round(rate, 1))
        self._found("speed", f"{first}{about}{rate:.1f} tokens/s")

    async def _parallel(self) -> None:
        """How many are really answered at once, and whether that brings more tokens per second than one by one."""
        alone, _ = await self._together([0])
        told, pays = [], 1
        for count in ask.AT_ONCE:
            try:
                rate, at_once = await self._together(list(range(1, count + 1)))
            except EndpointError as error:
                told.append(f"{count}: {error.fault}")
                break
            gain = rate / max(alone, 1e-6)
            told.append(f"{count}: {gain:.1f} times the tokens/s" + (f", {at_once} written at once" if at_once else ""))
            if at_once != 1 and gain > ask.WORTH_IT:
                pays = at_once or count
        self._endpoint.known.learn(parallel=pays)
        self._found(
            "parallel requests", "; ".join(told), remedy(self._server, "parallel", self._model) if pays == 1 else ""
        )

    async def _together(self, numbers: list[int]) -> tuple[float, int]:
        """Ask so many at once; return the tokens per second in all, and how many were written at one moment.

        The latter is 0 where nobody can tell, as answers come whole.
        """
        began = time.perf_counter()

        async def one(request: ChatRequest) -> tuple[Reply, ask.Span]:
            reply = await self._endpoint.once(request)
            end = time.perf_counter() - began
            return reply, ask.Span(end - reply.seconds + reply.first_seconds, end)

        answers = await asyncio.gather(*(one(ask.short_request(number)) for number in numbers))
        wall = time.perf_counter() - began
        tokens = sum(reply.completion_tokens for reply, _ in answers)
        streamed = all(reply.streamed for reply, _ in answers)
        return tokens / max(wall, 1e-6), ask.most_at_once([span for _, span in answers]) if streamed else 0

    async def _edits(self) -> None:
        """Whether a part of a file may be asked for, where the whole file would be many times as long."""
        replies = await asyncio.gather(*map(self._endpoint.once, ask.edit_requests()))
        wrong = [
            words
            for task, reply in zip(TASKS, replies, strict=True)
            if (words := task.verdict(reply.text, cut_off=reply.cut_off))
        ]
        share = 1 - len(wrong) / len(TASKS)
        self._endpoint.known.learn(edits=share)
        asked = "campaigns ask for changed parts of files" if share >= ABLE else "campaigns ask for whole files"
        why = f" (first fault: {wrong[0].rstrip('.')})" if wrong else ""
        self._found("edits", f"{len(TASKS) - len(wrong)} of {len(TASKS)} changes made exactly{why}; {asked}")

    async def _context(self, stated: tuple[int, str] | None) -> None:
        """Send longer and longer prompts with a password at the start, until one is refused, or cut without a word."""
        if stated:
            self._found("context stated", f"{stated[0]:,} tokens ({stated[1]})")
        context, found = (stated[0] if stated else None), "not tried"
        if self._longest:
            limit, found = await self._longest_prompt(self._longest)
            context = min(limit, context or limit) if limit else context
        self._endpoint.known.learn(context_tokens=context)
        short = context is not None and context < WANTED_CONTEXT
        need = f"; {WANTED_CONTEXT:,} tokens are wanted, {LEAST_CONTEXT:,} needed" if short else ""
        too_short = context is not None and context < LEAST_CONTEXT
        todo = remedy(self._server, "context", self._model) if short else ""
        self._found("context", found + need, todo, vital=too_short)
        if too_short:
            self.problem = (
                f"its context of about {context:,} tokens is too small: a campaign needs {LEAST_CONTEXT:,} and "
                f"wants {WANTED_CONTEXT:,}"
            )

    async def _longest_prompt(self, longest: int) -> tuple[int | None, str]:
        """Return the context in tokens, None where it was not reached, and words about it."""
        whole, density, recalls, speaks = 0, CHARACTERS_PER_TOKEN, False, False
        for size in ask.prompt_sizes(longest):
            self._say(f"a prompt of {size:,} tokens")
            request = ask.canary_request(size)
            try:
                reply = await self._endpoint.once(request)
            except EndpointError as error:
                if error.fault is not Fault.OVERFLOW and error.fault is not Fault.HOLLOW:
                    return whole or None, f"a prompt of {size:,} tokens failed: {error}"
                limit = context_limit(error.detail) or max(whole, ask.SHORTEST_PROMPT)
                return limit, f"longer prompts than about {limit:,} tokens are refused"
            told = ask.tells_password(reply)
            counted_less = ask.was_cut(reply, request.characters, density)
            if counted_less or (recalls and not told) or (speaks and not reply.text):
                self._endpoint.known.learn(cuts_prompts=True)
                limit = reply.prompt_tokens if counted_less else whole
                return limit, f"prompts are cut without a word to about {limit:,} tokens"
            recalls, speaks = recalls or told, speaks or bool(reply.text)
            whole = size if reply.tokens_estimated else reply.prompt_tokens
            density = request.characters / max(whole, 1)
        self._endpoint.known.learn(cuts_prompts=False)
        proof = "whole" if recalls else "whole by the server's count; the model does not recall its beginning"
        return None, f"a prompt of {whole:,} tokens is read {proof}"

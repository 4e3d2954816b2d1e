"""A check against servers in the shapes of those that people run, each with its own ways of being unhelpful."""

import asyncio
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from netwright.agents.chat import Reply
from netwright.agents.edit_tasks import TASKS
from netwright.agents.endpoint import Endpoint
from netwright.agents.probe import Probe
from netwright.agents.probe_questions import (
    Span,
    canary_request,
    cost,
    is_json,
    keeps_schema,
    most_at_once,
    prompt_sizes,
)
from netwright.agents.profile import Profile, ProfileStore
from netwright.agents.retrying import RetryRule
from netwright.agents.servers import recognise, remedy, stated_context
from netwright.errors import NetwrightError

Servers = Callable[..., Any]


@dataclass
class Model:
    """A small model that reads what fits, recalls passwords and keeps to a schema, behind a server with quirks.

    `cuts` is a context to which prompts are cut without a word; `refuses` one beyond which they are refused.
    """

    chat: ModuleType
    cuts: int | None = None
    refuses: int | None = None
    overflow: dict[str, Any] = field(default_factory=dict)
    json_modes: tuple[str, ...] = ("json_schema", "json_object")
    ignores_json: bool = False
    unknown: tuple[str, ...] = ()
    reasoning: dict[str, Any] = field(default_factory=dict)
    counts: bool = True
    pause_seconds: float = 0.0

    def __call__(self, body: dict[str, Any]) -> Any:
        text = "\n".join(message["content"] for message in body["messages"])
        form = body.get("response_format", {}).get("type")
        if unknown := [name for name in self.unknown if name in body]:
            return self.chat.raw_json({"detail": f"Unexpected keys in the request: {set(unknown)}"}, 422)
        if form and form not in self.json_modes:
            return self.chat.http_error(400, f"'response_format.type' must be {' or '.join(self.json_modes)}")
        tokens = len(text) // 4
        if self.refuses and tokens > self.refuses:
            return self.chat.raw_json({"error": {**self.overflow, "n_prompt_tokens": tokens}}, 400)
        if self.cuts and tokens > self.cuts:
            text, tokens = text[-4 * self.cuts :], self.cuts
        content, written = self.answer(text, None if self.ignores_json else form, body.get("max_tokens", 99))
        step = self.chat.completion(
            content, usage=self.counts, prompt_tokens=tokens, completion_tokens=written, **self.reasoning
        )
        return self.chat.as_stream(step, self.pause_seconds) if body["stream"] and "Count" in text else step

    def answer(self, text: str, form: str | None, max_tokens: int) -> tuple[str, int]:
        if form:
            return ('{"colour": "teal", "waves": 3}' if form == "json_schema" else '{"sea": "blue"}'), 12
        if "Count" in text:
            return "forty-two, " * (max_tokens // 3), max_tokens
        if "password" in text:
            told = [word for word in text.replace(".", " ").split() if word.startswith("KESTREL")]
            return (told[0] if told else "I do not know of any password."), 6
        return "ready", 1


def check(
    url: str, folder: Path, *, model: str | None = None, longest: int | None = 8192
) -> tuple[Probe, Profile | None, dict[str, tuple[str, str]]]:
    """Check an endpoint; return the probe, the profile and, by what was looked at, what was found and is to be done."""

    async def talk() -> tuple[Probe, Profile | None]:
        rule = RetryRule(tries=2, wait_seconds=0.01)
        async with Endpoint(url, model, retries=rule, concurrency=4, profiles=ProfileStore(folder)) as endpoint:
            probe = Probe(endpoint, longest, lambda _: None)
            try:
                await probe.run()
            except NetwrightError as error:
                probe.problem = str(error)
            return probe, endpoint.known.current

    probe, profile = asyncio.run(talk())
    return probe, profile, {finding.what: (finding.found, finding.remedy) for finding in probe.findings}


# --- the servers -----------------------------------------------------------------------------------------------------


def test_ollama_that_cuts_prompts_to_4096_tokens_is_told_of_with_the_modelfile(
    chat_server: Servers, chat: ModuleType, tmp_path: Path
) -> None:
    server = chat_server(
        default=Model(chat, cuts=4096, reasoning={"reasoning": "hm", "reasoning_field": "reasoning"}),
        models=[{"id": "qwen3:8b", "object": "model", "owned_by": "library"}],
        elsewhere={"/api/version": {"version": "0.12.3"}, "/api/show": {"parameters": "stop  x\nnum_ctx  4096"}},
    )

    probe, profile, found = check(server.root, tmp_path)

    assert found["server"][0] == "Ollama"
    assert found["context stated"][0] == "4,096 tokens (/api/show)"
    assert "cut without a word to about 4,096 tokens" in found["context"][0]
    assert "PARAMETER num_ctx 32768" in found["context"][1] and "ollama create qwen3-32k" in found["context"][1]
    assert found["reasoning"][0] == "in the field reasoning"
    assert "too small: a campaign needs 8,192" in probe.problem
    assert profile is not None
    assert (profile.context_tokens, profile.cuts_prompts, profile.root) == (4096, True, server.url)


def test_llama_cpp_that_refuses_long_prompts_is_told_of_with_its_limit(
    chat_server: Servers, chat: ModuleType, tmp_path: Path
) -> None:
    overflow = {"message": "the request exceeds the available context size", "type": "exceed_context_size_error"}
    server = chat_server(
        default=Model(chat, refuses=8192, overflow={**overflow, "n_ctx": 8192}, reasoning={"reasoning": "hm"}),
        models=[{"id": "model.gguf", "object": "model", "owned_by": "llamacpp", "meta": {"n_ctx_train": 131072}}],
        elsewhere={"/props": {"default_generation_settings": {"n_ctx": 8192}, "total_slots": 1}},
    )

    probe, profile, found = check(server.url, tmp_path, longest=16_384)

    assert found["server"][0] == "llama.cpp"
    assert "refused" in found["context"][0] and "8,192" in found["context"][0]
    assert "--ctx-size 32768" in found["context"][1]
    assert found["JSON"][0] == "json_schema is enforced"
    assert found["reasoning"][0] == "in the field reasoning_content"
    assert probe.problem == "", "8,192 tokens are enough for a campaign, if not what it wants"
    assert profile is not None and profile.json_mode == "json_schema"


def test_vllm_states_its_context_and_answers_several_at_once(
    chat_server: Servers, chat: ModuleType, tmp_path: Path
) -> None:
    server = chat_server(
        default=Model(chat, pause_seconds=0.1),
        models=[{"id": "org/coder", "object": "model", "owned_by": "vllm", "max_model_len": 32768}],
        elsewhere={"/version": {"version": "0.33"}},
    )

    probe, profile, found = check(server.root, tmp_path)

    assert found["server"][0] == "vLLM"
    assert found["context stated"][0] == "32,768 tokens (/models)"
    assert "is read whole" in found["context"][0] and found["context"][1] == ""
    assert "4: " in found["parallel requests"][0] and "4 written at once" in found["parallel requests"][0]
    assert found["system role"][0] == "taken and read"
    assert "first token after" in found["speed"][0]
    assert probe.problem == ""
    assert profile is not None
    assert (profile.parallel, profile.streaming, profile.context_tokens) == (4, "works", 32768)
    assert profile.cuts_prompts is False


def test_lm_studio_has_json_schema_alone_and_goes_silent_on_long_prompts(
    chat_server: Servers, chat: ModuleType, tmp_path: Path
) -> None:
    model = Model(chat, json_modes=("json_schema", "text"))

    def silent(body: dict[str, Any]) -> Any:
        long = len(body["messages"][-1]["content"]) > 4 * 5000
        return chat.completion("", prompt_tokens=5000) if long else model(body)

    row = {"id": "gemma", "state": "loaded", "loaded_context_length": 5000, "max_context_length": 131072}
    server = chat_server(default=silent, models=["gemma"], elsewhere={"/api/v0/models": {"data": [row]}})

    probe, profile, found = check(server.url, tmp_path)

    assert found["server"][0] == "LM Studio"
    assert found["JSON"][0] == "json_schema is enforced"
    assert "cut without a word" in found["context"][0]
    assert "lms load gemma --context-length 32768" in found["context"][1]
    assert "too small" in probe.problem
    assert profile is not None and profile.context_tokens is not None and profile.context_tokens <= 5000


def test_sglang_without_usage_is_estimated(chat_server: Servers, chat: ModuleType, tmp_path: Path) -> None:
    server = chat_server(
        default=Model(chat, counts=False, cuts=2000, json_modes=("json_object",)),
        models=[{"id": "org/coder", "object": "model", "owned_by": "sglang", "max_model_len": 40960}],
        elsewhere={"/get_model_info": {"model_path": "org/coder"}},
    )

    probe, profile, found = check(server.root, tmp_path)

    assert found["server"][0] == "SGLang"
    assert found["counts tokens"][0] == "no, they are estimated"
    assert found["JSON"][0] == "json_object is enforced, a schema is not"
    assert "cut without a word" in found["context"][0], "seen by the password alone"
    assert "--context-length 32768" in found["context"][1]
    assert probe.problem


def test_transformers_serve_takes_few_fields_and_no_json(
    chat_server: Servers, chat: ModuleType, tmp_path: Path
) -> None:
    server = chat_server(
        default=Model(chat, unknown=("response_format", "stream_options")),
        models=[],
        elsewhere={"/openapi.json": {"paths": {"/load_model": {}, "/v1/chat/completions": {}}}},
    )

    probe, profile, found = check(server.root, tmp_path, model="/models/tiny")

    assert found["server"][0] == "transformers serve"
    assert found["models"] == ("not listed", "name yours with --model")
    assert found["JSON"][0].startswith("no form is enforced")
    assert probe.problem == ""
    assert profile is not None and (profile.json_mode, profile.refused) == ("none", ("stream_options",))


def test_a_server_that_takes_a_schema_and_ignores_it_is_found_out(
    chat_server: Servers, chat: ModuleType, tmp_path: Path
) -> None:
    server = chat_server(default=Model(chat, ignores_json=True))

    _, profile, found = check(server.url, tmp_path, longest=None)

    assert found["JSON"][0].startswith("no form is enforced")
    assert profile is not None and profile.json_mode == "none"


@pytest.mark.parametrize(
    ("right", "share", "words"),
    [(4, 1.0, "ask for changed parts"), (3, 0.75, "ask for changed parts"), (2, 0.5, "ask for whole files")],
)
def test_whether_a_model_can_write_edits_is_measured_on_small_changes_of_files(
    chat_server: Servers, chat: ModuleType, tmp_path: Path, right: int, share: float, words: str
) -> None:
    model = Model(chat)

    def editing(body: dict[str, Any]) -> Any:
        asked = body["messages"][-1]["content"]
        number = next((number for number, task in enumerate(TASKS) if task.question == asked), None)
        if number is None:
            return model(body)
        source, changed = TASKS[number].source, TASKS[number].right if number < right else "pass"
        return chat.completion(f"```\n<<<<<<< SEARCH\n{source}=======\n{changed}>>>>>>> REPLACE\n```")

    server = chat_server(default=editing)

    _, profile, found = check(server.url, tmp_path, longest=1024)

    assert found["edits"][0].startswith(f"{right} of 4 changes made exactly") and words in found["edits"][0]
    assert ("another change" in found["edits"][0]) == (right < 4)
    assert profile is not None and profile.edits == share


def test_a_quick_check_leaves_what_is_known_of_edits(chat_server: Servers, chat: ModuleType, tmp_path: Path) -> None:
    server = chat_server(default=Model(chat))
    ProfileStore(tmp_path).keep(Profile(url=server.url, model="scripted", edits=1.0))

    _, profile, found = check(server.url, tmp_path, longest=None)

    assert "edits" not in found
    assert profile is not None and profile.edits == 1.0


# --- what else may be ------------------------------------------------------------------------------------------------


def test_a_queue_behind_the_endpoint_is_found_out(chat_server: Servers, chat: ModuleType, tmp_path: Path) -> None:
    model, queue = Model(chat), threading.Lock()

    def one_by_one(body: dict[str, Any]) -> Any:
        with queue:
            time.sleep(0.12)
            return model({**body, "stream": False})

    server = chat_server(default=one_by_one, streams=False, elsewhere={"/api/version": {"version": "0.12.3"}})

    _, profile, found = check(server.url, tmp_path, longest=None)

    assert found["parallel requests"][1].startswith("OLLAMA_NUM_PARALLEL=4")
    assert profile is not None and profile.parallel == 1


def test_a_system_role_that_a_template_leaves_out_is_folded(
    chat_server: Servers, chat: ModuleType, tmp_path: Path
) -> None:
    model = Model(chat)

    def deaf(body: dict[str, Any]) -> Any:
        return model({**body, "messages": [each for each in body["messages"] if each["role"] != "system"]})

    server = chat_server(default=deaf)

    _, profile, found = check(server.url, tmp_path, longest=None)

    assert found["system role"][0] == "taken but not read; it is put in front of the question instead"
    assert profile is not None and profile.folds_system


def test_a_model_that_thinks_without_end_is_told_of(chat_server: Servers, chat: ModuleType, tmp_path: Path) -> None:
    server = chat_server(default=chat.completion("<think>hm, well", finish_reason="length"))

    _, _, found = check(server.url, tmp_path, longest=None)

    assert found["chat"][0].startswith("thinks for more than 400 tokens")
    assert found["reasoning"][0].startswith("inside the answer, between <think> tags")


def test_what_a_check_found_is_asked_anew_by_the_next(chat_server: Servers, chat: ModuleType, tmp_path: Path) -> None:
    server = chat_server(default=Model(chat))
    store = ProfileStore(tmp_path)
    store.keep(
        Profile(url=server.url, model="scripted", streaming="refused", json_mode="none", refused=("temperature",))
    )

    _, profile, _ = check(server.url, tmp_path, longest=None)

    assert profile is not None
    assert (profile.streaming, profile.json_mode, profile.refused) == ("works", "json_schema", ())
    assert store.find(server.url, "scripted") == profile
    assert profile.checked_at


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (lambda chat: chat.http_error(401, "no"), "check the API key"),
        (lambda chat: chat.http_error(500, "CUDA error"), "CUDA error"),
        (lambda chat: chat.completion(""), "answers nothing to a plain question"),
    ],
)
def test_what_cannot_be_used_is_told_in_a_sentence(
    chat_server: Servers, chat: ModuleType, tmp_path: Path, script: Callable[[ModuleType], Any], words: str
) -> None:
    server = chat_server(default=script(chat))

    probe, _, _ = check(server.url, tmp_path, longest=None)

    assert words in probe.problem


# --- pure ------------------------------------------------------------------------------------------------------------


def test_prompts_have_the_length_they_are_said_to_have_and_the_cost_is_their_sum() -> None:
    for size in prompt_sizes(16_384):
        assert size * 0.9 < canary_request(size).characters / 4 < size * 1.1

    assert prompt_sizes(16_384) == [1024, 2048, 4096, 8192, 16_384]
    assert cost(16_384)[0] == 300 + 31_744 + sum(round(len(task.question) / 4) for task in TASKS)
    assert cost(None)[0] == 300


def reply(text: str) -> Reply:
    return Reply(text=text, cut_off=False, model="m", prompt_tokens=1, completion_tokens=1, tokens_estimated=False)


@pytest.mark.parametrize(
    ("text", "json", "schema"),
    [
        ('{"colour": "teal", "waves": 3}', True, True),
        ('<think>hm</think>{"colour": "amber", "waves": 0}', True, True),
        ('{"colour": "blue", "waves": 3}', True, False),
        ('{"colour": "teal", "waves": "3"}', True, False),
        ('```json\n{"colour": "teal", "waves": 3}\n```', False, False),
        ("The sea is wide.", False, False),
    ],
)
def test_an_enforced_form_is_an_answer_and_nothing_beside_it(text: str, json: bool, schema: bool) -> None:
    assert (is_json(reply(text)), keeps_schema(reply(text))) == (json, schema)


def test_answers_written_one_after_the_other_were_never_two_at_once() -> None:
    assert most_at_once([Span(0.0, 1.0), Span(1.0, 2.0), Span(2.0, 3.0)]) == 1
    assert most_at_once([Span(0.0, 1.0), Span(0.5, 2.0), Span(0.9, 3.0)]) == 3


def test_what_a_model_was_trained_on_is_not_what_it_is_loaded_with() -> None:
    rows = [{"id": "m", "meta": {"n_ctx_train": 131072}}]
    studio = {"/api/v0/models": {"data": [{"id": "m", "max_context_length": 131072}]}}

    assert stated_context("m", rows, studio, {"model_info": {"qwen3.context_length": 40960}}) is None


def test_a_server_of_another_kind_gets_general_advice() -> None:
    server = recognise([{"id": "m", "owned_by": "somebody"}], {})

    assert server is None
    assert "32768 tokens" in remedy(server, "context", "m")

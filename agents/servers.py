"""The servers that people run: by what they are recognised, what they say of themselves, and how each is mended. Pure.

What a server says is a lead and no proof: it is held against what its answers show.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from netwright.types import JsonDict

ROOMY_CONTEXT = 32_768
"""Tokens of context that remedies ask for."""

LOOKS = ("/props", "/api/version", "/api/v0/models", "/get_model_info", "/version", "/openapi.json")
"""Addresses beside the API root at which servers tell what they are."""


@dataclass(frozen=True)
class Remedies:
    """What to do with one server, with `{model}` and `{short}` (its last part) to be filled in."""

    context: str
    parallel: str
    reasoning: str = ""


REMEDIES = {
    "Ollama": Remedies(
        context=f"printf 'FROM {{model}}\\nPARAMETER num_ctx {ROOMY_CONTEXT}\\n' > Modelfile; ollama create "
        "{short}-32k -f Modelfile; then --model {short}-32k. Or for all models: "
        f"OLLAMA_CONTEXT_LENGTH={ROOMY_CONTEXT} ollama serve",
        parallel="OLLAMA_NUM_PARALLEL=4 ollama serve (each takes a context's memory)",
    ),
    "llama.cpp": Remedies(
        context=f"llama-server ... --ctx-size {ROOMY_CONTEXT} (with --parallel N the slots share it: N times as much)",
        parallel=f"llama-server ... --parallel 4 --ctx-size {4 * ROOMY_CONTEXT}",
        reasoning="llama-server ... --jinja --reasoning-format deepseek",
    ),
    "vLLM": Remedies(
        context=f"vllm serve {{model}} --max-model-len {ROOMY_CONTEXT}",
        parallel="vllm serve {model} --max-num-seqs 4, or more memory for its cache",
        reasoning="vllm serve {model} --reasoning-parser NAME (its documentation lists them by model)",
    ),
    "SGLang": Remedies(
        context=f"python -m sglang.launch_server --model-path {{model}} --context-length {ROOMY_CONTEXT}",
        parallel="python -m sglang.launch_server --model-path {model} --max-running-requests 4",
        reasoning="python -m sglang.launch_server --model-path {model} --reasoning-parser NAME",
    ),
    "LM Studio": Remedies(
        context=f"lms unload {{model}}; lms load {{model}} --context-length {ROOMY_CONTEXT}",
        parallel="load the model with more concurrent predictions (in its load settings)",
    ),
    "transformers serve": Remedies(
        context="it takes what the model was made for: serve a model with a longer context",
        parallel="transformers serve {model} --continuous-batching",
    ),
}
_ANY = Remedies(
    context=f"load the model with a context of {ROOMY_CONTEXT} tokens, see the server's documentation",
    parallel="only for more than one request at once, see the server's documentation",
)


def remedy(server: str | None, what: str, model: str) -> str:
    """Return what to do about `what` ("context", "parallel" or "reasoning"); empty where there is nothing."""
    text: str = getattr(REMEDIES.get(server or "", _ANY), what)
    short = model.rstrip("/").rpartition("/")[2].partition(":")[0]
    return text.replace("{model}", model).replace("{short}", short)


def recognise(rows: list[JsonDict], looks: Mapping[str, JsonDict | None]) -> str | None:
    """Return the server's name by the rows of `/models` and by what it answered at `LOOKS`; None for another one."""
    owners = {str(row.get("owned_by", "")).lower() for row in rows}
    paths = (looks.get("/openapi.json") or {}).get("paths")
    if "default_generation_settings" in (looks.get("/props") or {}) or "llamacpp" in owners:
        return "llama.cpp"
    if looks.get("/api/v0/models") is not None:
        return "LM Studio"
    if looks.get("/api/version") is not None:
        return "Ollama"
    if "sglang" in owners or "model_path" in (looks.get("/get_model_info") or {}):
        return "SGLang"
    if "vllm" in owners:
        return "vLLM"
    return "transformers serve" if isinstance(paths, dict) and "/load_model" in paths else None


def stated_context(
    model: str, rows: list[JsonDict], looks: Mapping[str, JsonDict | None], shown: JsonDict | None
) -> tuple[int, str] | None:
    """Return the context in tokens that the server says the model is loaded with, and where it says so.

    `shown` is Ollama's `/api/show`. What a model was trained on is not counted: it is not what it is loaded with.
    """
    settings = (looks.get("/props") or {}).get("default_generation_settings")
    mine = [row for row in rows if row.get("id") == model]
    studio = (looks.get("/api/v0/models") or {}).get("data")
    rows_of_studio = studio if isinstance(studio, list) else []
    theirs = [row for row in rows_of_studio if isinstance(row, dict) and row.get("id") == model]
    set_in_modelfile = re.search(r"^\s*num_ctx\s+(\d+)", str((shown or {}).get("parameters", "")), re.MULTILINE)
    said: list[tuple[Any, str]] = [
        (settings.get("n_ctx") if isinstance(settings, dict) else None, "/props"),
        (theirs[0].get("loaded_context_length") if theirs else None, "/api/v0/models"),
        (int(set_in_modelfile[1]) if set_in_modelfile else None, "/api/show"),
        (mine[0].get("max_model_len") if mine else None, "/models"),
    ]
    return next(((value, where) for value, where in said if isinstance(value, int) and value > 0), None)

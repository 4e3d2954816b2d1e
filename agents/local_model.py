"""A model in place of an endpoint's URL: `hf:PATH` is a folder on this machine, `hf:NAME` a repository of the Hub.

What can be wrong with it is found before anything is started, and a hub that cannot be reached is not waited for.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TypeGuard

from netwright.errors import ConfigError

SCHEME = "hf:"
HUB_SECONDS = 10.0
INSTALL = "pip install 'transformers[serving]'"
_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?(@[\w./-]+)?", re.ASCII)
_NEEDED = ("transformers", "fastapi", "uvicorn", "accelerate")
"""What `transformers serve` imports, of which a plain transformers brings only itself."""

_PASSED_ON = (
    *("PATH", "HOME", "USER", "LANG", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "PYTHONPATH", "PYTHONUSERBASE"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
)
_FAMILIES = (
    *("HF_", "HUGGINGFACE_", "HUGGING_FACE_", "TRANSFORMERS_", "TOKENIZERS_", "XDG_", "LC_"),
    *("TORCH_", "TORCHINDUCTOR_", "PYTORCH_", "TRITON_", "CUDA_", "NVIDIA_", "NCCL_", "HIP_", "ROCR_", "ROCM_"),
    *("OMP_", "MKL_", "OPENBLAS_"),
)
_FOR_THE_HUB = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
_SECRET_WORDS = frozenset({"TOKEN", "KEY", "SECRET", "PASSWORD"})


def is_local(url: str | None) -> TypeGuard[str]:
    """Whether a model is named in place of a URL."""
    return url is not None and url.startswith(SCHEME)


def model_of(url: str) -> str:
    """The folder or the name behind `hf:`."""
    return url.removeprefix(SCHEME)


def settled(url: str, folder: Path) -> str:
    """The same with a path in full, that was written in `folder`; names, and URLs of servers, as they are."""
    if not is_local(url):
        return url
    written = Path(model_of(url)).expanduser()
    is_path = written.is_absolute() or model_of(url).startswith(".") or (folder / written).is_dir()
    return f"{SCHEME}{os.path.abspath(folder / written)}" if is_path and model_of(url) else url


def missing_for_serving() -> list[str]:
    """The packages that `transformers serve` lacks here."""
    return [name for name in _NEEDED if importlib.util.find_spec(name) is None]


def check_local_model(url: str) -> None:
    """See that `transformers serve` is there, and the model too, as far as that can be seen without loading it.

    Raises: ConfigError with what is missing and how to get it.
    """
    if missing := missing_for_serving():
        raise ConfigError(f"{url} is served by `transformers serve`, which lacks {', '.join(missing)}: {INSTALL}")
    model = model_of(url)
    if Path(model).is_absolute():
        _check_folder(url, Path(model))
    elif not _NAME.fullmatch(model):
        raise ConfigError(
            f"{url}: expected {SCHEME} and a folder with a model, or its name on the Hugging Face Hub such as "
            f"{SCHEME}Qwen/Qwen3-4B-Instruct-2507"
        )
    else:
        _check_name(url, *model.partition("@")[::2])


def _check_folder(url: str, folder: Path) -> None:
    if "@" in str(folder):
        raise ConfigError(f"{url}: transformers takes what follows an @ for a revision; move or link the folder")
    if folder.is_file():
        raise ConfigError(
            f"{url} is a file: expected the folder of a model, with config.json, weights and tokenizer; for a GGUF "
            "file start llama.cpp, see docs/endpoints.md"
        )
    if not folder.is_dir():
        raise ConfigError(f"{url}: there is no folder {folder}; check the path")
    try:
        json.loads((folder / "config.json").read_bytes())
    except FileNotFoundError:
        raise ConfigError(
            f"{url}: {folder} has no config.json, so it is no model of transformers; give the folder that has it, with "
            "weights and tokenizer"
        ) from None
    except (OSError, ValueError) as error:
        raise ConfigError(f"{url}: {folder / 'config.json'} cannot be read: {error}; download the model anew") from None


def _check_name(url: str, name: str, revision: str) -> None:
    """See that a repository of the Hub is in the cache, or that the hub has it and lets us."""
    from huggingface_hub import constants, errors, hf_hub_download, try_to_load_from_cache

    wanted = revision or "main"
    if isinstance(try_to_load_from_cache(name, "config.json", revision=wanted), str):
        return
    absent = f"{url}: there is no folder {name!r} here, and the cache of models ({constants.HF_HUB_CACHE}) lacks it"
    if constants.is_offline_mode():
        raise ConfigError(f"{absent}; HF_HUB_OFFLINE forbids to ask the hub: unset it, or give the path of a model")
    if why := hub_silence():
        raise ConfigError(
            f"{absent}; the hub cannot be reached ({why}): mend the connection, or give the path of a model"
        )
    try:
        hf_hub_download(name, "config.json", revision=wanted)
    except errors.GatedRepoError:
        raise ConfigError(
            f"{absent}; the hub gives it to those who asked for it there: do so, and set HF_TOKEN"
        ) from None
    except errors.RepositoryNotFoundError:
        raise ConfigError(f"{absent}; the hub does not know it either, or wants HF_TOKEN: check the name") from None
    except errors.RemoteEntryNotFoundError:
        raise ConfigError(f"{absent}; on the hub it has no config.json, so it is no model of transformers") from None
    except OSError as error:
        said = str(error.__cause__ or error).partition("\n")[0]
        raise ConfigError(f"{absent}; the hub ({constants.ENDPOINT}) does not give it either: {said}") from None


def stated_context(url: str) -> int | None:
    """How many tokens a model was made for, by its configuration; None where that does not say, or is not here."""
    from huggingface_hub import try_to_load_from_cache

    model = model_of(url)
    name, _, revision = model.partition("@")
    is_folder = Path(model).is_absolute()
    path = (
        Path(model) / "config.json"
        if is_folder
        else try_to_load_from_cache(name, "config.json", revision=revision or "main")
    )
    try:
        config = json.loads(Path(path).read_bytes()) if isinstance(path, str | Path) else {}
        tokens = (config.get("text_config") or config).get("max_position_embeddings")
    except (OSError, ValueError, AttributeError):
        return None
    return tokens if isinstance(tokens, int) and tokens > 0 else None


def hub_silence() -> str:
    """Why the hub does not answer; empty where it does. The packages that ask it wait and repeat for minutes."""
    import httpx2
    from huggingface_hub import constants

    try:
        httpx2.head(constants.ENDPOINT, timeout=HUB_SECONDS)
    except httpx2.HTTPError as error:
        return f"{constants.ENDPOINT}: {error or type(error).__name__}"
    return ""


def server_environment(model: str, environment: Mapping[str, str]) -> dict[str, str]:
    """Make the environment of a server for `model`: what it is told by, and credentials only where the hub asks.

    A model in a folder is looked for nowhere else.
    """
    from_hub = not Path(model).is_absolute()
    passed = {name: value for name, value in environment.items() if _passes(name, from_hub)}
    return {**({} if from_hub else {"HF_HUB_OFFLINE": "1"}), **passed, "PYTHONUNBUFFERED": "1"}


def _passes(name: str, from_hub: bool) -> bool:
    if name.upper() in _FOR_THE_HUB:
        return from_hub
    if _SECRET_WORDS & set(name.split("_")):
        return from_hub and name.startswith(("HF_", "HUGGING_FACE_"))
    return name in _PASSED_ON or name.startswith(_FAMILIES)

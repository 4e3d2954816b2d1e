"""The files of each format, as bytes by name. Pure; `README.md` is written last, when the folder has been tried out."""

from __future__ import annotations

import json

from safetensors.numpy import load as load_safetensors
from safetensors.numpy import save as save_safetensors

from netwright import __version__
from netwright.errors import ConfigError
from netwright.export.byte_tokenizer import tokenizer_files
from netwright.export.package import Package
from netwright.export.standalone import model_source
from netwright.export.templates import render
from netwright.types import JsonDict

Files = dict[str, bytes]
END_OF_FILE = 0
"""The byte that stands between two files in the text of `bytes`, which no text contains."""


def torch_files(package: Package) -> Files:
    """Return a folder that torch and safetensors suffice for."""
    config = {"spec": package.sizes_json(), "provenance": provenance(package)}
    return {
        "model.py": model_source(package, candidate_module="candidate").encode(),
        "candidate.py": package.candidate.source.encode(),
        "config.json": _json(config),
        "model.safetensors": package.weights,
    }


def hf_files(package: Package) -> Files:
    """Return a folder that `AutoModelForCausalLM.from_pretrained(folder, trust_remote_code=True)` loads.

    Raises:
        ConfigError: the task asks for something else than a token at each position.
    """
    spec = package.spec
    if spec.inputs != "tokens" or spec.answers != "tokens":
        raise ConfigError(
            f"format hf needs a network that answers each position with a token, and task {spec.name!r} asks for "
            f"{_asked(package)}: export it with --format torch or onnx"
        )
    files = {
        "model.py": model_source(package, candidate_module=".candidate").encode(),
        "candidate.py": package.candidate.source.encode(),
        "configuration_netwright.py": render("configuration_netwright.py.jinja").encode(),
        "modeling_netwright.py": render("modeling_netwright.py.jinja").encode(),
        "config.json": _json(_hf_config(package)),
        "generation_config.json": _json(_generation(package)),
        "model.safetensors": _prefixed(package.weights),
    }
    if has_tokenizer(package):
        files |= {name: _json(content) for name, content in tokenizer_files(spec.max_len).items()}
    return files


def has_tokenizer(package: Package) -> bool:
    """Whether the numbers of the task are a text's: its bytes."""
    return package.spec.name == "bytes"


def provenance(package: Package) -> JsonDict:
    """Return where the weights come from, for programs."""
    trial = package.trial
    return {
        "made_by": f"netwright {__version__}",
        "candidate": package.candidate.id,
        "origin": package.candidate.origin,
        "parents": list(package.parents),
        "task": package.spec.id,
        "corpus": package.spec.corpus,
        "trained": trial is not None,
        "rung": trial.rung if trial else None,
        "tokens": trial.tokens if trial else 0,
        "seed": package.seed,
        "recipe": package.recipe.model_dump(mode="json"),
        "weights_sha256": package.weights_sha256,
    }


def _hf_config(package: Package) -> JsonDict:
    return {
        "architectures": ["NetwrightForCausalLM"],
        "auto_map": {
            "AutoConfig": "configuration_netwright.NetwrightConfig",
            "AutoModelForCausalLM": "modeling_netwright.NetwrightForCausalLM",
        },
        "model_type": "netwright",
        "dtype": "float32",
        "spec": package.sizes_json(),
        "next_token": package.is_text,
        "use_cache": False,
        "tie_word_embeddings": False,
        "provenance": provenance(package),
    }


def _generation(package: Package) -> JsonDict:
    ends = {"eos_token_id": END_OF_FILE, "pad_token_id": END_OF_FILE} if has_tokenizer(package) else {}
    return {"use_cache": False, "max_new_tokens": package.spec.max_len, **ends}


def _prefixed(weights: bytes) -> bytes:
    """Return the weight file with its tensors named as in the class of transformers, whose part the network is."""
    tensors = {f"network.{name}": tensor for name, tensor in load_safetensors(weights).items()}
    return bytes(save_safetensors(tensors, metadata={"format": "pt"}))


def _asked(package: Package) -> str:
    if package.spec.answers == "code":
        return "a whole row to be read out of one vector"
    return "a class" if package.spec.answers == "class" else "a number"


def _json(content: JsonDict) -> bytes:
    return (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode()

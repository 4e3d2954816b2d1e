"""Exported folders compute in a clean process what was scored, whatever a design keeps outside of its weights."""

from __future__ import annotations

import importlib.util
import json

import numpy as np
import pytest
from tokenizers import Tokenizer

from netwright.errors import ConfigError, ExportError
from netwright.evaluator.baselines import IMAGE_MODELS, MIXERS, MODELS, baseline
from netwright.evaluator.tasks import load_task
from netwright.export.byte_tokenizer import tokenizer_files
from netwright.export.folders import hf_files
from netwright.export.standalone import cut_out
from netwright.export.trying import to_onnx, try_out

BLOCK = '''"""A whole layer."""
import torch
from torch import nn

class Block(nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.norm = nn.RMSNorm(dim)
        self.up, self.down = nn.Linear(dim, 2 * dim), nn.Linear(2 * dim, dim)

    def forward(self, x):
        return x + self.down(torch.relu(self.up(self.norm(x))))
'''
MODEL = '''"""A whole model."""
from torch import nn

class Model(nn.Module):
    def __init__(self, spec):
        super().__init__()
        self.embedding = nn.Embedding(spec.vocab_size, spec.dim)
        self.head = nn.Linear(spec.dim, spec.vocab_size)

    def forward(self, tokens):
        return self.head(self.embedding(tokens)).float()
'''
KEEPS_MUCH = '''"""Keeps tables that no weight file holds, and one weight under two names."""
import torch
from torch import nn

class Mixer(nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.value = nn.Linear(dim, dim, bias=False)
        self.again = nn.Linear(dim, dim, bias=False)
        self.again.weight = self.value.weight
        self.signs = torch.randint(0, 2, (dim,)) * 2.0 - 1.0
        self.register_buffer("noise", torch.randn(max_len, dim), persistent=False)
        self.register_buffer("scale", torch.full((dim,), 0.5))

    def forward(self, x):
        y = self.again(torch.tanh(self.value(x) * self.signs))
        return y * self.scale + self.noise[: x.shape[1]]
'''
PRISONER = '''"""Tries what no design has to do."""
import os
import socket
from pathlib import Path
from torch import nn

ATTEMPTS = {
    "read a file": lambda: Path("/etc/passwd").read_text(),
    "look into the home": lambda: os.listdir("%(home)s"),
    "write beside the export": lambda: Path(__file__).with_name("more.py").write_text("x"),
    "make a socket": lambda: socket.socket(),
    "fork": lambda: os.fork() or os._exit(0),
    "start a program": lambda: os.execv("/bin/true", ["true"]),
    "signal its parent": lambda: os.kill(os.getppid(), 0),
    "import netwright": lambda: __import__("netwright.types"),
}

def worked(attempt):
    try:
        attempt()
    except (OSError, ImportError):
        return False
    return True

raise RuntimeError(f"worked: {[name for name, attempt in ATTEMPTS.items() if worked(attempt)]}")
'''


@pytest.mark.parametrize("name", ["softmax_attention"])
def test_a_baseline_answers_as_it_was_scored_without_netwright(name, bytes_spec, packaged, asked, written):
    package = packaged(baseline(name), bytes_spec)

    tried = try_out(written(package), "torch", package, asked(package), walls=True)

    assert tried.difference <= 1e-6 < tried.allowed
    assert tried.shapes == ((8, 128), (4, 64))


@pytest.mark.slow
@pytest.mark.parametrize(("source", "scope"), [(BLOCK, "block"), (MODEL, "model"), (KEEPS_MUCH, "mixer")])
def test_every_scope_is_exported_with_all_that_it_keeps(source, scope, bytes_spec, design, packaged, asked, written):
    package = packaged(design(source, scope), bytes_spec)

    folder = written(package)

    assert try_out(folder, "torch", package, asked(package), walls=True).difference <= 1e-6
    assert (folder / "candidate.py").read_text() == source
    assert "netwright" not in "".join(
        line for line in (folder / "model.py").read_text().splitlines() if "import" in line
    )


@pytest.mark.slow
@pytest.mark.parametrize("task", ["compression", "digits", "tabular-diabetes"])
def test_a_network_that_does_not_write_text_leaves_as_torch_alone(task, packaged, asked, written):
    spec = load_task(task).spec
    package = packaged(baseline("residual_mlp" if spec.inputs == "numbers" else "gated_convolution"), spec)

    assert try_out(written(package), "torch", package, asked(package), walls=True).difference <= 1e-5
    with pytest.raises(ConfigError, match="--format torch or onnx"):
        hf_files(package)


def test_another_weight_is_found_out(bytes_spec, packaged, asked, written):
    package = packaged(baseline("gated_convolution"), bytes_spec)
    folder = written(package)
    data = bytearray(package.weights)
    data[-64:] = np.full(16, 0.5, dtype="<f4").tobytes()
    (folder / "model.safetensors").write_bytes(data)

    with pytest.raises(ExportError, match="answers otherwise"):
        try_out(folder, "torch", package, asked(package), walls=True)


def test_a_design_that_is_loaded_meets_walls_and_no_netwright(tmp_path, bytes_spec, packaged, asked, written):
    package = packaged(baseline("gated_convolution"), bytes_spec)
    folder = written(package)
    (tmp_path / "home").mkdir()
    (folder / "candidate.py").write_text(PRISONER % {"home": tmp_path / "home"})

    with pytest.raises(ExportError, match=r"worked: \[\]"):
        try_out(folder, "torch", package, asked(package), walls=True)


def test_tokens_of_text_are_its_bytes():
    tokenizer = Tokenizer.from_str(json.dumps(tokenizer_files(128)["tokenizer.json"]))
    text = "".join(map(chr, range(256))) + "→ 😀\r\n  def f():"

    ids = tokenizer.encode(text).ids

    assert ids == list(text.encode())
    assert tokenizer.decode(ids) == text


def test_what_the_evaluator_no_longer_defines_is_named():
    with pytest.raises(LookupError, match="Transformer"):
        cut_out("backbone.py", ("Network", "Transformer"))


@pytest.mark.slow
@pytest.mark.parametrize("name", MIXERS)
def test_every_mixer_leaves_as_torch_and_as_a_hugging_face_model(name, bytes_spec, packaged, asked, written):
    package = packaged(baseline(name), bytes_spec)
    sheets = asked(package)

    assert try_out(written(package), "torch", package, sheets, walls=True).difference <= 1e-6
    tried = try_out(written(package, "hf"), "hf", package, sheets, walls=True)

    assert tried.difference <= 1e-6
    assert tried.told.tokenizer and tried.told.loss_after < tried.told.loss_before
    assert tried.told.generated[0] == 2 and tried.told.generated[1] > 64


@pytest.mark.slow
@pytest.mark.parametrize("name", [*MODELS, *IMAGE_MODELS])
def test_every_whole_model_leaves_as_torch(name, packaged, asked, written):
    package = packaged(baseline(name), load_task("digits").spec)

    assert try_out(written(package), "torch", package, asked(package), walls=True).difference <= 1e-6


@pytest.mark.slow
@pytest.mark.parametrize(("source", "scope"), [(BLOCK, "block"), (MODEL, "model"), (KEEPS_MUCH, "mixer")])
def test_every_scope_leaves_as_a_hugging_face_model(source, scope, bytes_spec, design, packaged, asked, written):
    package = packaged(design(source, scope), bytes_spec)

    tried = try_out(written(package, "hf"), "hf", package, asked(package), walls=True)

    assert tried.difference <= 1e-6


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "free"), [("softmax_attention", "rows and length"), ("gated_convolution", "rows and length")]
)
def test_onnxruntime_answers_as_torch_does(name, free, tmp_path, bytes_spec, packaged, asked, written):
    for module in ("onnx", "onnxscript", "onnxruntime"):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed: pip install 'netwright[onnx]'")
    package = packaged(baseline(name), bytes_spec)
    sheets = asked(package)
    model, told = to_onnx(written(package), package, sheets[0].rows, walls=True)
    folder = tmp_path / "onnx"
    folder.mkdir()
    (folder / "model.onnx").write_bytes(model)

    assert told.free == free
    assert try_out(folder, "onnx", package, sheets, walls=True).difference < 1e-4

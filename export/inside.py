"""What runs in a clean process: load an exported folder as its user would, and answer the rows that are asked.

Run as a script by its path, with an order on stdin (see `trying.py`). First come the walls; from then on there is no
netwright: its modules are forgotten, and importing it fails as where it was never installed. Only then is anything of
the export loaded. What is found is written to the scratch folder: `reply.json`, and answers as raw float32.
"""

from __future__ import annotations

import importlib
import json
import sys
import traceback
from collections.abc import Callable, Sequence
from importlib.abc import MetaPathFinder
from pathlib import Path
from typing import Any

REASON_CHARACTERS = 1500
GENERATED_TOKENS = 8
LEARNING_RATE = 1e-3


class _NoNetwright(MetaPathFinder):
    """Makes netwright what it is on the machine of whoever gets the export: not there."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        if name.partition(".")[0] == "netwright":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def confine(order: dict[str, Any]) -> None:
    """Go behind the walls, where they are wanted, and forget netwright."""
    sys.path.insert(0, order["home"])
    clean = importlib.import_module("netwright.sandbox.clean")
    if order["walls"]:
        try:
            clean.confine(order["readable"], order["scratch"], order["seconds"])
        except clean.IsolationError as error:
            sys.stderr.write(str(error))
            sys.exit(clean.NO_WALLS)
    sys.path.remove(order["home"])
    for name in [name for name in sys.modules if name.partition(".")[0] == "netwright"]:
        del sys.modules[name]
    sys.meta_path.insert(0, _NoNetwright())


def torch_answers(order: dict[str, Any], rows: Sequence[Any]) -> tuple[list[Any], dict[str, Any]]:
    """Answer with a folder of format `torch`."""
    import torch

    network = _load(order)
    with torch.no_grad():
        return [network(torch.from_numpy(each)).numpy() for each in rows], {}


def _load(order: dict[str, Any]) -> Any:
    sys.path.insert(0, order["folder"])
    return importlib.import_module("model").load()


def hf_answers(order: dict[str, Any], rows: Sequence[Any]) -> tuple[list[Any], dict[str, Any]]:
    """Answer with a folder of format `hf`; then write on from a row, and take one step of training."""
    import torch
    from transformers import AutoModelForCausalLM

    model: Any = AutoModelForCausalLM.from_pretrained(order["folder"], trust_remote_code=True)
    inputs = [torch.from_numpy(each) for each in rows]
    with torch.no_grad():
        answers = [model(each).logits.numpy() for each in inputs]
    prompt = inputs[-1][:2]
    # With a mask, as every tokenizer gives one.
    written = model.generate(
        prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=GENERATED_TOKENS, do_sample=False
    )
    told = {"generated": list(written.shape), "tokenizer": _tokenizer_works(order)}
    model.train()
    before = model(inputs[0], labels=inputs[0]).loss
    before.backward()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.grad is not None:
                parameter.sub_(LEARNING_RATE * parameter.grad)
    after = model(inputs[0], labels=inputs[0]).loss
    return answers, told | {"loss_before": before.item(), "loss_after": after.item()}


def _tokenizer_works(order: dict[str, Any]) -> bool | None:
    """Whether a text comes back as it was; None where there is no tokenizer."""
    if not order["text"]:
        return None
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(order["folder"], trust_remote_code=True)
    tokens = tokenizer(order["text"])["input_ids"]
    return bool(tokenizer.decode(tokens) == order["text"] and tokens == list(order["text"].encode()))


def onnx_export(order: dict[str, Any], rows: Sequence[Any]) -> tuple[list[Any], dict[str, Any]]:
    """Translate a folder of format `torch` into `model.onnx` in the scratch folder.

    For any number of rows and, where the design allows that, any length.
    """
    import torch

    network, row = _load(order), torch.from_numpy(rows[0])
    name, reasons = "tokens" if row.ndim == 2 else "rows", []
    batch = torch.export.Dim("batch", min=1)
    shapes: list[tuple[str, dict[int, Any]]] = [("rows", {0: batch})]
    if order["any_length"]:
        shapes.insert(0, ("rows and length", {0: batch, 1: torch.export.Dim("length", min=1, max=order["max_len"])}))
    for free, shape in shapes:
        try:
            program: Any = torch.onnx.export(
                network, (row,), dynamo=True, input_names=[name], output_names=["logits"], dynamic_shapes=(shape,),
                external_data=False, verbose=False, optimize=True,
            )  # fmt: skip
        except Exception as error:  # noqa: BLE001 - whatever the design makes the exporter raise is why
            reasons.append(f"{free} free: {_shortly(error)}")
            continue
        program.save(str(Path(order["scratch"], "model.onnx")))
        return [], {"free": free, "not_free": reasons}
    raise RuntimeError("; ".join(reasons))


def _shortly(error: BaseException) -> str:
    """The innermost cause, in which the operation is named."""
    while error.__cause__ is not None:
        error = error.__cause__
    words = " ".join(str(error).split())
    return f"{type(error).__name__}: {words[:400]}"


def onnx_answers(order: dict[str, Any], rows: Sequence[Any]) -> tuple[list[Any], dict[str, Any]]:
    """Answer with a folder of format `onnx`, by onnxruntime on the CPU."""
    import onnx
    import onnxruntime

    path = str(Path(order["folder"], "model.onnx"))
    onnx.checker.check_model(path)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    (name,) = (each.name for each in session.get_inputs())
    return [session.run(None, {name: each})[0] for each in rows], {}


WORK: dict[str, Callable[[dict[str, Any], Sequence[Any]], tuple[list[Any], dict[str, Any]]]] = {
    "torch": torch_answers,
    "hf": hf_answers,
    "onnx": onnx_answers,
    "onnx export": onnx_export,
}


def main() -> None:
    """Do what the order says, and write what came of it."""
    order = json.load(sys.stdin)
    confine(order)
    import numpy as np

    reply: dict[str, Any]
    try:
        rows = [np.load(Path(order["scratch"], f"rows-{n}.npy"), allow_pickle=False) for n in range(order["sheets"])]
        answers, told = WORK[order["work"]](order, rows)
        for number, answer in enumerate(answers):
            np.ascontiguousarray(answer, dtype="<f4").tofile(Path(order["scratch"], f"answers-{number}.f32"))
        reply = {"status": "done", "told": told}
    except BaseException as error:  # noqa: BLE001 - the border to the candidate: SystemExit is a failure too
        traceback.print_exc()
        reply = {"status": "failed", "reason": f"{type(error).__name__}: {error}"[:REASON_CHARACTERS]}
    assert "netwright" not in sys.modules
    Path(order["scratch"], "reply.json").write_text(json.dumps(reply))


if __name__ == "__main__":
    main()

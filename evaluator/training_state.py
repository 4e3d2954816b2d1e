"""Where a training stands as bytes, in the process that trains: safetensors and nothing else.

    weights              as they travel to the scoring processes (see `loading`), a safetensors file in itself
    optimizer.N.NAME     what the optimizer holds of parameter N
    generator            the state of torch's generator, of which dropout draws
    curve, since         the points of the curve so far; sum and number of the losses since the last of them

The order of the data follows from seed and step. Not covered: what a candidate keeps outside of its parameters and
persistent buffers (attributes, generators of its own). A training of such a one goes on with what building the network
anew makes of them.
"""

from __future__ import annotations

import hashlib
import time
from typing import TYPE_CHECKING

import torch
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as save_safetensors
from torch import Tensor

from netwright.evaluator import loading
from netwright.evaluator.training import Standing

if TYPE_CHECKING:
    from netwright.sandbox.child import ChildJob

TIME_SHARE = 0.01
"""What keeping may take of a training's time."""


class Keeper:
    """Lays out where a training stands in output `checkpoint`, every `seconds`, or more seldom where that is dear."""

    def __init__(self, job: ChildJob, seconds: float) -> None:
        self._job, self._room, self._seconds = job, job.outputs["checkpoint"], seconds
        self._due = time.perf_counter() + seconds

    def __call__(self, standing: Standing) -> None:
        """Lay it out if it is time, and say so."""
        begun = time.perf_counter()
        if begun < self._due:
            return
        data = packed(standing)
        if len(data) <= len(self._room):
            self._room[: len(data)] = data
            digest = hashlib.sha256(data).hexdigest()
            self._job.emit({"checkpoint": standing.step, "bytes": len(data), "sha256": digest})
        ended = time.perf_counter()
        self._due = ended + max(self._seconds, (ended - begun) / TIME_SHARE)


def packed(standing: Standing) -> bytes:
    """Return all that it takes to go on from here."""
    weights = torch.frombuffer(bytearray(loading.pack_weights(standing.network)), dtype=torch.uint8)
    curve = standing.curve
    return save_safetensors(
        {
            "weights": weights,
            "generator": torch.default_generator.get_state(),
            "curve": torch.tensor(curve.points, dtype=torch.float64).reshape(-1, 2),
            "since": torch.tensor([curve.total, curve.count], dtype=torch.float64),
            **_optimizer_state(standing.optimizer),
        }
    )


def unpack(standing: Standing, data: bytes, *, step: int) -> None:
    """Put a training that has not begun to where `packed` left it after `step` steps.

    Raises: CandidateError if the weights do not fit the network; KeyError or RuntimeError for other data.
    """
    tensors = load_safetensors(data)
    loading.unpack_weights(standing.network, tensors["weights"].numpy().tobytes())
    _restore_optimizer(standing.optimizer, tensors)
    points: list[list[float]] = tensors["curve"].tolist()
    standing.curve.points = [(int(at), loss) for at, loss in points]
    total, count = tensors["since"].tolist()
    standing.curve.total, standing.curve.count = total, int(count)
    standing.step = step
    torch.default_generator.set_state(tensors["generator"])


def _optimizer_state(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    state = optimizer.state_dict()["state"]
    return {
        f"optimizer.{number}.{name}": loading.plain(value)
        for number, values in state.items()
        for name, value in values.items()
        if value is not None
    }


def _restore_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for key, saved in tensors.items():
        kind, _, rest = key.partition(".")
        if kind == "optimizer":
            number, _, name = rest.partition(".")
            state.setdefault(int(number), {})[name] = _like(saved, parameters[int(number)])
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def _like(saved: Tensor, parameter: Tensor) -> Tensor:
    """Return what was saved as the optimizer holds it: complex where the parameter is, scalars as they are."""
    if not saved.dim() or not parameter.is_complex():
        return saved
    return torch.view_as_complex(saved)

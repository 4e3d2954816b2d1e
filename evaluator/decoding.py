"""Read rows out of codes on the trusted side: what `backbone.Decoder` and the head do, with the weights that came back.

    untrusted   row ──▶ network ──▶ code (D,) float32
    trusted     logits[t] = head(y + W2 relu(W1 y)^2),  y = code + places[t]              (D,) ──▶ (T, V)

A candidate's process holds the whole row, so whatever decodes there could be told the row past the code. Here nothing
of a row arrives but the D numbers: all positions are read out of them by one function, which the weights decide and
which is the same for all rows. Audits compare the logits, not the codes: logits are what is scored, and a decoder may
make much of a small difference.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load as load_safetensors

from netwright.evaluator.scoring import BadLogits, BadWeights
from netwright.evaluator.sizing import DECODER_WIDTH
from netwright.types import TaskSpec

Matrix = npt.NDArray[np.float64]

_ROWS_AT_ONCE = 64


@dataclass(frozen=True, kw_only=True)
class Decoder:
    """The weights of a decoder: places (T, D), up (H, D), down (D, H), head (V, D).

    In float64 no product of finite float32 overflows here.
    """

    places: Matrix
    up: Matrix
    down: Matrix
    head: Matrix

    def logits(self, codes: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return what stands at each position of rows with these codes, (N, D) to (N, T, V)."""
        parts = [codes[first : first + _ROWS_AT_ONCE] for first in range(0, len(codes), _ROWS_AT_ONCE)]
        with np.errstate(over="ignore"):
            return np.concatenate([self._read(part).astype(np.float32) for part in parts])

    def _read(self, codes: npt.NDArray[np.float32]) -> Matrix:
        y = codes.astype(np.float64)[:, None] + self.places
        y += np.square(np.maximum(y @ self.up.T, 0.0)) @ self.down.T
        return np.asarray(y @ self.head.T)


def decoder_shapes(spec: TaskSpec) -> Mapping[str, tuple[int, int]]:
    """Return the names in a weight file of what decodes, and their shapes."""
    hidden = DECODER_WIDTH * spec.dim
    return {
        "decoder.places": (spec.max_len, spec.dim),
        "decoder.mlp.up.weight": (hidden, spec.dim),
        "decoder.mlp.down.weight": (spec.dim, hidden),
        "head.weight": (spec.vocab_size, spec.dim),
    }


def read_decoder(weights: bytes, spec: TaskSpec) -> Decoder:
    """Take the decoder out of a weight file that `scoring.read_weights` has let pass.

    Raises BadWeights unless every tensor is there, float32 and of its shape.
    """
    tensors = load_safetensors(weights)
    found = []
    for name, shape in decoder_shapes(spec).items():
        tensor = tensors.get(name)
        if tensor is None or tensor.dtype != np.float32 or tensor.shape != shape:
            came = "nothing" if tensor is None else f"{tensor.dtype} of shape {tensor.shape}"
            raise BadWeights(f"{name} is {came}, expected float32 of shape {shape}: the decoder is not a candidate's")
        found.append(tensor.astype(np.float64))
    places, up, down, head = found
    return Decoder(places=places, up=up, down=down, head=head)


def decode(data: bytes | memoryview, rows: int, decoder: Decoder, spec: TaskSpec) -> bytes:
    """Return the logits of so many rows as a process would have replied them, from the codes that it did reply.

    Raises BadLogits unless there is a code for each row, of finite numbers.
    """
    expected = rows * spec.dim * 4
    if len(data) != expected:
        raise BadLogits(f"expected {expected} bytes of codes of shape {(rows, spec.dim)}, got {len(data)}")
    codes = np.frombuffer(data, dtype="<f4").reshape(rows, spec.dim)
    n_bad = int((~np.isfinite(codes).all(axis=1)).sum())
    if n_bad:
        raise BadLogits(f"{n_bad} of {rows} codes hold NaN or infinity: keep outputs finite")
    return decoder.logits(codes).astype("<f4").tobytes()

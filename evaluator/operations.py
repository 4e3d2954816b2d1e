"""What operations are called in a graph: one name for one operation, however a source writes it.

`F.silu(x)`, `x.silu()` and `nn.SiLU()(x)` are `silu`; `a @ b` and `torch.matmul(a, b)` are `matmul`.
"""

from __future__ import annotations

import re
from hashlib import blake2b

_NAME_CHARACTERS_MAX = 40
_PATTERN_CHARACTERS_MAX = 200
_PLAIN = re.compile(r"[\x20-\x7e]*")
_WORD, _LETTER = re.compile(r"[A-Za-z_]\w*"), re.compile(r"[A-Za-z]")

_SYNONYMS = {
    **dict.fromkeys(("mm", "bmm", "mv", "dot", "inner"), "matmul"),
    **dict.fromkeys(("concat", "concatenate", "hstack", "vstack"), "cat"),
    **dict.fromkeys(("newzeros", "zeroslike", "empty", "newempty", "emptylike"), "zeros"),
    **dict.fromkeys(("newones", "oneslike"), "ones"),
    **dict.fromkeys(("newfull", "fulllike"), "full"),
    **dict.fromkeys(("randnlike", "normal"), "randn"),
    **dict.fromkeys(("truediv", "truedivide", "divide"), "div"),
    "absolute": "abs",
    "clip": "clamp",
    "expit": "sigmoid",
    "multiply": "mul",
    "narrow": "slice",
    "negative": "neg",
    "power": "pow",
    "scaleddotproductattention": "attention",
    "subtract": "sub",
}

PLUMBING = frozenset(
    (
        *("view", "reshape", "reshapeas", "viewas", "permute", "transpose", "swapaxes", "swapdims", "movedim"),
        *("t", "mt", "h", "contiguous", "unsqueeze", "squeeze", "expand", "expandas", "broadcastto", "flatten"),
        *("unflatten", "ravel", "chunk", "split", "splitwithsizes", "tensorsplit", "unbind", "select", "rearrange"),
        *("to", "type", "typeas", "float", "double", "half", "bfloat16", "clone", "identity", "requiresgrad"),
        *("data", "real", "tensor", "astensor", "viewasreal", "viewascomplex", "atleast2d", "atleast3d"),
    )
)
"""What moves or shows numbers and computes none: the graph goes through it."""

SHAPE = frozenset(("shape", "size", "dim", "ndim", "numel", "device", "dtype", "stride", "itemsize", "nelement"))
"""What is asked of a tensor and does not depend on its numbers."""

OPERATORS = {
    **{"Add": "add", "Sub": "sub", "Mult": "mul", "Div": "div", "FloorDiv": "floordiv", "Mod": "remainder"},
    **{"Pow": "pow", "MatMult": "matmul", "BitAnd": "and", "BitOr": "or", "BitXor": "xor", "LShift": "shift"},
    **{"RShift": "shift", "USub": "neg", "UAdd": "pos", "Invert": "not", "Not": "not", "Eq": "eq", "NotEq": "ne"},
    **{"Lt": "lt", "LtE": "le", "Gt": "gt", "GtE": "ge", "Is": "eq", "IsNot": "ne", "In": "in", "NotIn": "in"},
}
"""Python's operators by the names of their syntax nodes."""


def operation(name: str) -> str:
    """Return the operation that a function, method or class of that name carries out."""
    plain = name.replace("_", "").lower()
    return bounded(_SYNONYMS.get(plain, plain))


def bounded(text: str) -> str:
    """Return text as it may stand in the name of a count: short and printable, else its hash."""
    if len(text) <= _NAME_CHARACTERS_MAX and _PLAIN.fullmatch(text):
        return text
    return blake2b(text.encode(errors="surrogatepass"), digest_size=5).hexdigest()


def pattern(text: str, *, words: bool) -> str:
    """Return the pattern of an einsum with its axes called a, b, c, ... in the order in which they appear.

    An axis is a letter, as for torch, or a word, as for einops.
    """
    names: dict[str, str] = {}

    def renamed(found: re.Match[str]) -> str:
        return names.setdefault(found[0], chr(ord("a") + len(names) % 26))

    return (_WORD if words else _LETTER).sub(renamed, text[:_PATTERN_CHARACTERS_MAX]).replace(" ", "")

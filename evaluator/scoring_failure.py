"""What may be told of a scoring that failed: the process had held-out rows before it, and its words may hold them.

A trial's reason is read by planners, and a planner that asks a language model sends it out of the house. Of such a
failure only what cannot carry a text is kept: the cause as an enumeration, figures measured from outside, the name
of a known exception, and one line number of the candidate's own source.
"""

from __future__ import annotations

import builtins
import re

from netwright.evaluator.replies import WorkReply
from netwright.sandbox.job import ExitCause, JobResult

_FRAME = re.compile(r"  candidate\.py:(\d{1,6}) in ")
_KIND = re.compile(r"(?:\w+\.)*(\w+)(?::|$)")
_KNOWN_KINDS = frozenset(
    {name for name, kind in vars(builtins).items() if isinstance(kind, type) and issubclass(kind, BaseException)}
    | {"OutOfMemoryError", "LinAlgError"}
)
"""A class of the candidate's own could be named after what it has seen."""


def job_failure(result: JobResult) -> str:
    """Return the sentence for a scoring job that did not end well."""
    told = result.reply.get("error") if result.reply else None
    kind = f" ({told})" if told in _KNOWN_KINDS else ""
    stage = f" in stage {result.stages[-1][0]!r}" if result.cause is ExitCause.STAGE_TIMEOUT and result.stages else ""
    return f"{result.cause}{kind}{stage} after {result.wall_seconds:.1f} s with {result.peak_memory_bytes >> 20} MiB"


def claimed_failure(reply: WorkReply, source: str) -> str:
    """Return the sentence for a scoring that ended with an error, without any word of the error's message."""
    line, kind = _place_and_kind(reply.reason)
    where = f" at candidate.py:{line}" if 1 <= line <= source.count("\n") + 1 else ""
    return f"{kind}{where}; its message is not shown, because it may quote held-out data"


def _place_and_kind(text: str) -> tuple[int, str]:
    """Read the innermost line of the candidate (0 if none) and the exception's name, as `describe_error` writes."""
    line = 0
    for words in text.splitlines():
        frame = _FRAME.match(words)
        if frame is None:
            kind = _KIND.match(words)
            return line, kind[1] if kind and kind[1] in _KNOWN_KINDS else "an error"
        line = int(frame[1])
    return line, "an error"

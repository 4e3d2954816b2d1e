"""Long output through the user's pager: `$PAGER`, or `less`."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.pager import Pager

from netwright.cli.output import out

LESS = "FRX"
"""What `less` is told where the user says nothing: end at once if all fits, show colours, leave the text there."""


@contextmanager
def paged(*, wanted: bool) -> Iterator[None]:
    """Keep what is printed for a pager, if it is `wanted` and there is somebody to turn the pages."""
    if not (wanted and out.is_terminal and sys.stdin.isatty() and os.environ.get("TERM") != "dumb"):
        yield
        return
    with out.pager(_UsersPager(), styles=True, links=True):
        yield


class _UsersPager(Pager):
    """Where there is no pager, or it cannot be started, the text is printed."""

    def show(self, content: str) -> None:
        """See `Pager`."""
        command = shlex.split(os.environ.get("PAGER", "less" if shutil.which("less") else ""))
        try:
            process = subprocess.Popen(command, stdin=subprocess.PIPE, text=True, env={"LESS": LESS, **os.environ})
        except (OSError, IndexError):
            sys.stdout.write(content)
            return
        try:
            process.communicate(content)
        except KeyboardInterrupt:
            process.wait()  # Ctrl-C is the pager's own key

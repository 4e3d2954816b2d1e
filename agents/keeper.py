"""The process between netwright and a model server of its own: it sees to it that the server does not outlive us.

Its standard input is a pipe that netwright holds. However netwright ends, the pipe closes, and the keeper kills the
server and all that came of it. What the server holds is a model that lies on the disk: there is nothing to save.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Sequence

from netwright.sandbox import kernel
from netwright.sandbox.orphans import kill_children

KILLED = 128
"""The keeper's exit code for a server that was ended by a signal is this plus its number."""


def keep(command: Sequence[str]) -> int:
    """Run `command` until it ends or standard input closes; the exit code of the command, 0 if it was ended.

    Raises: OSError where it cannot be started.
    """
    kernel.prctl(kernel.PR_SET_CHILD_SUBREAPER, 1)
    try:
        # Should this process be killed, the server goes as well. A preexec_fn is safe here: there is one thread.
        server = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            preexec_fn=lambda: kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL),
        )
        poll = select.poll()
        poll.register(sys.stdin.fileno(), select.POLLIN)
        poll.register(os.pidfd_open(server.pid), select.POLLIN)
        poll.poll()
        code = server.poll()
    finally:
        kill_children()
    return 0 if code is None else code if code >= 0 else KILLED - code


def main(command: Sequence[str]) -> None:
    """Keep `command`, and end as it ends."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(KILLED + signal.SIGTERM))
    sys.exit(keep(command))


if __name__ == "__main__":
    main(sys.argv[1:])

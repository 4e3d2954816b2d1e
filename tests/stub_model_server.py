"""A stand-in for `transformers serve` that starts at once: a program, with the same arguments and a few of its own.

It writes what it was given as one line of JSON, starts a process that ignores its end, and answers every chat with
"yes". With `--fail` it ends at once, with `--hang` it never listens, with `--kill` it is killed, as for want of memory.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

DETACHED = "import time; time.sleep(600)"


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self._send({"status": "ok"} if self.path == "/health" else {"detail": "Not Found"})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        say(json.dumps({"asked": body["model"], "authorization": self.headers["authorization"]}))
        message = {"role": "assistant", "content": "yes"}
        self._send({"choices": [{"message": message, "finish_reason": "stop"}]})

    def _send(self, reply: dict[str, Any]) -> None:
        text = json.dumps(reply).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def main(arguments: list[str]) -> None:
    child = subprocess.Popen([sys.executable, "-c", DETACHED], start_new_session=True)
    facts = {"arguments": arguments, "pids": [os.getpid(), child.pid], "environment": dict(os.environ)}
    say(json.dumps(facts))
    say("Loading weights:  50%\rLoading weights: 100%")
    if "--fail" in arguments:
        sys.exit("CUDA out of memory, or the like")
    if "--kill" in arguments:
        os.kill(os.getpid(), signal.SIGKILL)
    if "--hang" in arguments:
        time.sleep(600)
    port = int(arguments[arguments.index("--port") + 1])
    ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()


if __name__ == "__main__":
    main(sys.argv[1:])

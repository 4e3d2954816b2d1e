from collections.abc import Iterator
from pathlib import Path

import pytest

from netwright.sandbox import Job, JobResult, Limits, Sandbox

ENTRIES_FOLDER = str(Path(__file__).parent)


def entries() -> list[str]:
    source = Path(ENTRIES_FOLDER, "sandbox_entries.py").read_text()
    names = [line[4:].split("(")[0] for line in source.splitlines() if line.startswith("def ") and "(job)" in line]
    return [f"sandbox_entries:{name}" for name in names]


class Bench:
    """A running sandbox with short names for what the tests do with it."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox

    def run(self, name: str, limits: Limits | None = None, **payload: object) -> JobResult:
        limits = limits or Limits(wall_seconds=20.0)
        return self.sandbox.run(Job(entry=f"sandbox_entries:{name}", payload=payload, limits=limits))

    def attempt(self, name: str, **payload: object) -> str:
        """The name of the errno with which the kernel refused the attack, "" if it succeeded."""
        result = self.run(name, **payload)
        assert result.reply is not None, result
        return str(result.reply["refused"])

    def assert_unharmed(self) -> None:
        result = self.sandbox.run(
            Job(
                entry="sandbox_entries:honest",
                payload={"numbers": [1, 2, 3]},
                inputs={"text": b"hello"},
                outputs={"text": 5},
            )
        )
        assert (result.cause, result.outputs, result.reply) == (
            "ok",
            {"text": b"HELLO"},
            {"sum": 6, "warmed": {"zygote": True, "child": True}},
        )


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with Sandbox(
        slots=2,
        entries=entries(),
        warm_zygote="sandbox_entries:warm_zygote",
        warm_child="sandbox_entries:warm_child",
        python_path=[ENTRIES_FOLDER],
    ) as sandbox:
        yield Bench(sandbox)

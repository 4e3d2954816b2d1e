"""Designs with weights, and the sandbox whose answers an export is held against."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from netwright.campaign.opening import open_sandbox
from netwright.config import SandboxConfig
from netwright.evaluator import loading
from netwright.evaluator.answering import answers_of, random_rows
from netwright.evaluator.tasks import load_task
from netwright.export.folders import hf_files, torch_files
from netwright.export.package import Package
from netwright.export.trying import ROWS, Sheet, sheets_of
from netwright.sandbox.runner import Sandbox
from netwright.types import Candidate, TaskSpec


@pytest.fixture(scope="session")
def bytes_spec() -> TaskSpec:
    return load_task("bytes").spec


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Sandbox]:
    with open_sandbox(SandboxConfig(), slots=1) as opened:
        yield opened


@pytest.fixture(scope="session")
def packaged() -> Callable[[Candidate, TaskSpec], Package]:
    """Makes the package of a design of ours with fresh weights of seed 3, built here."""

    def make(candidate: Candidate, spec: TaskSpec) -> Package:
        spec = spec.model_copy(update={"scope": candidate.scope})
        network = loading.seeded_network(spec, loading.load_factory(candidate.source, spec), seed=3)
        weights = loading.pack_weights(network)
        return Package(candidate=candidate, spec=spec, weights=weights, seed=3, recipe=spec.recipe, trial=None)

    return make


@pytest.fixture(scope="session")
def asked(sandbox: Sandbox) -> Callable[[Package], tuple[Sheet, ...]]:
    """Makes rows with the answers of the evaluator's own process."""

    def ask(package: Package) -> tuple[Sheet, ...]:
        rows = random_rows(package.spec, ROWS, package.candidate.id)
        answers = answers_of(package.candidate, package.spec, package.weights, rows, sandbox.run, seed=package.seed)
        return sheets_of(package.spec, rows, answers)

    return ask


@pytest.fixture
def written(tmp_path: Path) -> Callable[..., Path]:
    """Writes the files of a package into a folder."""

    def write(package: Package, kind: str = "torch") -> Path:
        folder = tmp_path / kind
        folder.mkdir()
        for name, content in (hf_files if kind == "hf" else torch_files)(package).items():
            (folder / name).write_bytes(content)
        return folder

    return write


@pytest.fixture(scope="session")
def design() -> Callable[..., Candidate]:
    """Makes a candidate of a source."""

    def make(source: str, scope: str = "mixer", title: str = "A design") -> Candidate:
        return Candidate(source=source, scope=scope, title=title, hypothesis=title, origin="file")

    return make

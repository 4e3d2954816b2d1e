"""The server of a model that netwright serves itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from netwright.agents.local_model import model_of
from netwright.campaign.board import Board
from netwright.campaign.turns import Turns
from netwright.llm_config import RoleConfig

if TYPE_CHECKING:
    from netwright.agents.model_server import ModelServer


class Park:
    """The servers that make room while trainings run; the next question starts its own again."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._servers: list[ModelServer] = []
        self.turns = Turns(self._make_room)

    def add(self, server: ModelServer) -> None:
        self._servers.append(server)

    async def _make_room(self) -> None:
        for server in self._servers:
            await server.down()
        self._board.serving = "parked while trainings run"


def served(
    role: RoleConfig, start_seconds: float, environment: Mapping[str, str], folder: Path, board: Board
) -> ModelServer:
    """The server of the model that a role asks, on the device that trainings have; `board` shows its start."""
    assert role.url is not None
    return model_server(
        role.url,
        role.serve_options or (),
        device=board.config.training.device,
        start_seconds=start_seconds,
        environment=environment,
        folder=folder,
        tell=lambda words: setattr(board, "serving", words),
    )


def model_server(
    url: str,
    options: Sequence[str],
    *,
    device: str,
    start_seconds: float,
    environment: Mapping[str, str],
    folder: Path,
    tell: Callable[[str], None],
) -> ModelServer:
    """The server of the model behind `url`, not started yet; its log lies in `folder` beside its profile."""
    from netwright.agents.model_server import ModelServer
    from netwright.agents.profile import ProfileStore

    model = model_of(url)
    return ModelServer(
        model,
        device=device,
        log=ProfileStore(folder).path(url, model).with_suffix(".log"),
        environment=environment,
        options=options,
        start_seconds=start_seconds,
        tell=tell,
    )

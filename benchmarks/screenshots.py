"""Pictures of the terminal for docs/images: what a command prints, or the live view of a campaign that runs now.

    python benchmarks/screenshots.py docs/images/tree 100 memory tree bytes --home HOME
    python benchmarks/screenshots.py docs/images/live 100 live NAME --home HOME

writes NAME-dark.svg and NAME-light.svg, WIDTH columns wide. They ask for no font or file from anywhere.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

LINES = 44
"""A picture is no longer: what is below is left out."""


def main(target: str, width: str, *command: str) -> None:
    """Run `command` in a terminal that is drawn."""
    os.environ |= {"COLUMNS": width, "FORCE_COLOR": "1", "COLORTERM": "truecolor", "TERM": "xterm-256color"}
    from rich.terminal_theme import SVG_EXPORT_THEME, TerminalTheme

    from netwright.cli.output import out

    light = TerminalTheme(
        (250, 250, 248),
        (36, 41, 47),
        [(36, 41, 47), (190, 30, 45), (17, 99, 41), (135, 90, 0), (9, 80, 180), (120, 50, 170), (15, 110, 120)]
        + [(110, 119, 129)],
        [(110, 119, 129), (207, 34, 46), (26, 127, 55), (154, 103, 0), (9, 105, 218), (130, 80, 223), (27, 124, 131)]
        + [(36, 41, 47)],
    )
    out.record = True
    if command[0] == "live":
        _live(*command[1:])
    else:
        from netwright.cli.app import run

        if code := run(list(command)):
            sys.exit(code)
    title = f"netwright {' '.join(word for word in _without_home(command))}".replace(
        "netwright live", "netwright watch"
    )
    kept = out.export_text(clear=False, styles=True).splitlines()[:LINES]
    for name, theme in (("dark", SVG_EXPORT_THEME), ("light", light)):
        from rich.console import Console
        from rich.text import Text

        screen = Console(record=True, width=int(width), file=open(os.devnull, "w"), force_terminal=True)
        screen.print(Text.from_ansi("\n".join(kept)), no_wrap=True, crop=False)
        drawn = screen.export_svg(title=title, theme=theme, unique_id=Path(target).name)
        Path(f"{target}-{name}.svg").write_text(re.sub(r"@font-face\s*\{.*?\}", "", drawn, flags=re.DOTALL))


def _live(name: str, _: str, home: str) -> None:
    from netwright.campaign.glance import last_beat
    from netwright.cli.output import out
    from netwright.cli.scene import Observer, draw

    state = last_beat(Path(home), name)
    if state is None:
        sys.exit(f"campaign {name} does not run now")
    out.print(draw(state, Observer(Path(home)).look(name)))


def _without_home(command: tuple[str, ...]) -> tuple[str, ...]:
    return command[: command.index("--home")] if "--home" in command else command


if __name__ == "__main__":
    main(*sys.argv[1:])

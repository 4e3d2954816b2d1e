"""The frame around every page, what pages are filled in with, and the assets that they need: none from elsewhere."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from netwright.memory import Memory
from netwright.report.build import FOLDER as REPORT
from netwright.report.build import environment

FOLDER = Path(__file__).parent
HTML = "text/html"
Page = Callable[[Memory, Any], tuple[str, str]]


def _assets() -> dict[str, tuple[str, str]]:
    style = (REPORT / "report.css").read_text() + (FOLDER / "static" / "web.css").read_text()
    script = (FOLDER / "static" / "tree.js").read_text()
    return {"style.css": (style, "text/css"), "tree.js": (script, "text/javascript")}


ASSETS = _assets()
_STAMP = hashlib.sha256("".join(text for text, _ in ASSETS.values()).encode()).hexdigest()[:8]
STYLE_URL = f"/assets/style.css?{_STAMP}"
_TEMPLATES = environment(FOLDER / "templates")
_TEMPLATES.filters["quoted"] = lambda text: quote(text, safe="")
_TEMPLATES.globals.update(style_url=STYLE_URL, script_url=f"/assets/tree.js?{_STAMP}", section="", wide=False, query="")


def fill(template: str, **values: Any) -> tuple[str, str]:
    """A page made from a template of ours."""
    return _TEMPLATES.get_template(template).render(**values), HTML


def refusal(sentence: str) -> str:
    """The page that says why there is no other."""
    return fill("refusal.html", sentence=sentence)[0]


def named(request: Any) -> str:
    """The name or id in a page's address."""
    return unquote(request.url_vars["name"])

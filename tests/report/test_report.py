from __future__ import annotations

import os
from html.parser import HTMLParser
from pathlib import Path

from netwright.report.build import build_report

VOID = {"meta", "br", "hr", "img", "input", "link"}


class Page(HTMLParser):
    """What a browser would see: the elements, their attributes, the text; tags must close properly."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, text):
        self.text += text

    def tags(self) -> set[str]:
        return {tag for tag, _ in self.elements}


def test_the_page_stands_alone_without_script_or_request(memory, told):
    page = Page(build_report(memory))

    assert page.open == []
    assert not page.tags() & {"script", "iframe", "object", "embed", "link", "img", "base", "form"}
    for _, attributes in page.elements:
        assert not set(attributes) & {"src", "href", "srcset", "action", "style"}
        assert not any(name.startswith("on") for name in attributes)
    style = page.text[: page.text.index("netwright · campaign report")]
    assert "url(" not in style
    assert "@import" not in style


def test_every_design_and_every_section_is_there(memory, told):
    page = Page(build_report(memory))

    for experiment in memory.experiments(told.campaign.id):
        if experiment.candidate is not None:
            assert experiment.candidate.title in page.text
    for heading in ("Outcome", "Confirmed on the locked", "Leaderboard", "Best so far", "Training curves"):
        assert heading in page.text
    for heading in ("The best design", "Lineage", "What failed", "Lessons", "Go on", "How it was run"):
        assert heading in page.text
    best = next(row for row in memory.connection.rows("SELECT * FROM leaderboard") if not row["is_baseline"])
    assert f"netwright memory show {best['short']}" in page.text
    assert memory.candidate(best["candidate_id"]).source in page.text
    assert sum(tag == "svg" for tag, _ in page.elements) == 3
    if "NETWRIGHT_REPORT_TO" in os.environ:
        Path(os.environ["NETWRIGHT_REPORT_TO"]).write_text(build_report(memory))

"""The pages by address."""

from __future__ import annotations

from typing import Any

from netwright.memory import Memory
from netwright.memory.search import search
from netwright.report.build import build_report
from netwright.web.campaign_pages import campaign_page, campaigns_page, tree_data, tree_page
from netwright.web.design_pages import comparison_page, experiment_page
from netwright.web.frame import ASSETS, HTML, Page, fill, named

HITS_SHOWN = 30


def _asset(memory: Memory, request: Any) -> tuple[str, str]:
    return ASSETS[named(request)]


def _report(memory: Memory, request: Any) -> tuple[str, str]:
    return build_report(memory, named(request)), HTML


def _lessons(memory: Memory, request: Any) -> tuple[str, str]:
    found = memory.lessons()
    titles = {
        row["id"]: row["title"]
        for row in memory.connection.rows(
            "SELECT id, title FROM candidates WHERE id IN (SELECT candidate_id FROM evidence)"
        )
    }
    tasks = list(dict.fromkeys(lesson.task_id for lesson in found))
    return fill("lessons.html", section="lessons", lessons=found, tasks=tasks, titles=titles)


def _search(memory: Memory, request: Any) -> tuple[str, str]:
    query = request.args.get("q") or ""
    hits = search(memory, query, limit=HITS_SHOWN) if query.strip() else []
    return fill("search.html", section="search", query=query, hits=hits)


ROUTES: dict[str, Page] = {
    r"/$": campaigns_page,
    r"/assets/(?P<name>style\.css|tree\.js)$": _asset,
    r"/campaign/(?P<name>[^/]+)$": campaign_page,
    r"/campaign/(?P<name>[^/]+)/tree$": tree_page,
    r"/campaign/(?P<name>[^/]+)/tree\.json$": tree_data,
    r"/campaign/(?P<name>[^/]+)/report$": _report,
    r"/experiment/(?P<name>[^/]+)$": experiment_page,
    r"/compare$": comparison_page,
    r"/lessons$": _lessons,
    r"/search$": _search,
}

"""The report as Markdown: the same figures, and nothing that others wrote has a meaning in it."""

from __future__ import annotations

from netwright.memory.query import top
from netwright.report.markdown import build_markdown, fenced, line


def test_it_says_what_the_page_says(memory, told):
    text = build_markdown(memory)

    for heading in ("Outcome", "Confirmed on the locked test split", "Leaderboard", "Best so far", "What failed"):
        assert f"\n## {heading}" in text
    best = top(memory, limit=1, baselines=False)[0]
    assert f"| {best.rank} | {line(best.title)} `{best.short}` | {best.metric_value:.4f}" in text
    assert memory.candidate(best.candidate_id).source.strip() in text


def test_every_table_has_as_many_cells_in_each_row(memory, told):
    tables = [block for block in build_markdown(memory).split("\n\n") if block.startswith("|")]

    assert len(tables) >= 5
    for table in tables:
        assert len({row.count("|") - row.count("\\|") for row in table.splitlines()}) == 1


def test_what_others_wrote_is_plain_text_on_one_line():
    assert line("# <b>bold</b>\n[link](javascript:x) | `code`") == (
        r"\# \<b\>bold\</b\> \[link\](javascript:x) \| \`code\`"
    )
    assert fenced("x = 1\n````\n").startswith("`````python\n")


def test_a_campaign_without_any_result_is_told_too(memory, start):
    start()

    assert "Nothing was trained." in build_markdown(memory)

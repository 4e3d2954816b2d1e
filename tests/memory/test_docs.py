"""docs/memory.md is the contract for everybody's SQL: it must name what is there."""

from __future__ import annotations

from pathlib import Path

DOCS = (Path(__file__).parents[2] / "docs" / "memory.md").read_text()


def columns(memory, name: str) -> set[str]:
    return {row["name"] for row in memory.connection.rows(f"PRAGMA table_info({name})")}


def test_every_table_is_documented(memory):
    found = memory.connection.rows("SELECT name FROM sqlite_master WHERE type = 'table'")

    for name in {row["name"] for row in found if "_fts" not in row["name"]}:
        assert f"| `{name}` |" in DOCS


def test_every_column_of_every_view_is_documented(memory):
    for view in ("leaderboard", "lineage", "failures", "pareto"):
        assert f"### {view}" in DOCS
        for column in columns(memory, view):
            assert f"`{column}`" in DOCS, f"{view}.{column}"


def test_the_documented_queries_run(memory):
    for query in DOCS.split("```sql\n")[1:]:
        memory.connection.rows(query.split("```")[0].strip().rstrip(";"))
    assert "netwright memory sql" in DOCS

"""Full-text search over ideas, code, verdicts and failures (SQLite FTS5, BM25, Porter stemming).

Each kind of text is searched on its own and the rankings are fused by reciprocal rank, so that a design whose
idea, code and verdict all speak of the query stands before one that merely repeats a word.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from netwright.memory.store import Memory

MAX_TERMS = 6
"""Terms used of a query: the rarest. Common words cost time in proportion to the memory and say little."""

TERMS_WEIGHED = 24
COUNTED_UP_TO = 2_000
"""From so many texts on, a word says nothing beside a rarer one."""

RANK_OFFSET = 10
"""The k of reciprocal rank fusion, 1 / (k + rank). Source: Cormack, Clarke, Büttcher 2009."""

HITS_PER_KIND = 50
MARK_LEFT, MARK_RIGHT = "«", "»"


@dataclass(frozen=True, kw_only=True)
class Hit:
    """One thing found. `candidate_id` is None for failures without a candidate and for outside knowledge.

    `kinds` says where the words are (idea, code, verdict, failure, output, knowledge), best first; `snippet`
    is from the best of them, with the words between « and »; `why` says it in a sentence.
    """

    candidate_id: str | None
    short: str | None
    title: str
    origin: str | None
    campaign: str | None
    node: int | None
    kinds: tuple[str, ...]
    snippet: str
    why: str
    relevance: float


@dataclass(frozen=True)
class _Source:
    kind: str
    table: str
    columns: str
    select: str
    join: str = ""


_IN_CAMPAIGN = "JOIN campaigns p ON p.id = b.campaign_id LEFT JOIN candidates c ON c.id = b.candidate_id"
_EXPERIMENT = "c.id AS candidate_id, c.short, coalesce(c.title, '') AS title, c.origin, p.name AS campaign, b.node"
_CANDIDATE = "b.id AS candidate_id, b.short, b.title, b.origin, NULL AS campaign, NULL AS node"
_TRIAL = "c.id AS candidate_id, c.short, c.title, c.origin, NULL AS campaign, NULL AS node"
_KNOWLEDGE = "NULL AS candidate_id, NULL AS short, b.title, b.source AS origin, NULL AS campaign, NULL AS node"

_SOURCES = (
    _Source("idea", "candidates", "title hypothesis", _CANDIDATE),
    _Source("verdict", "verdicts", "changed words lesson", _EXPERIMENT, _IN_CAMPAIGN),
    _Source("code", "candidates", "source", _CANDIDATE),
    _Source("failure", "nodes", "stage failure", _EXPERIMENT, _IN_CAMPAIGN),
    _Source("failure", "attempts", "stage failure", _EXPERIMENT, _IN_CAMPAIGN),
    _Source("output", "trials", "reason last_output", _TRIAL, "JOIN candidates c ON c.id = b.candidate_id"),
    _Source("knowledge", "knowledge", "title text", _KNOWLEDGE),
)


@dataclass
class _Found:
    first: dict[str, object]
    relevance: float = 0.0
    kinds: dict[str, list[str]] = field(default_factory=dict)


def search(memory: Memory, query: str, *, limit: int = 20, kinds: Iterable[str] | None = None) -> list[Hit]:
    """Find what speaks of `query`, best first. Any text will do; of a long one the rarest words count.

    `"two words"` in double quotes must stand side by side, `conv*` matches beginnings. `kinds` restricts
    where to look.
    """
    terms = _rarest(memory, query_terms(query)[:TERMS_WEIGHED])
    if not terms:
        return []
    wanted = set(kinds) if kinds is not None else {source.kind for source in _SOURCES}
    found: dict[object, _Found] = {}
    for source in _SOURCES:
        if source.kind in wanted:
            _collect(memory, source, terms, found)
    ranked = sorted(found.values(), key=lambda each: -each.relevance)
    return [_hit(each) for each in ranked[:limit]]


def query_terms(query: str) -> list[str]:
    """The query's words and quoted phrases as FTS5 strings, each once: quoted, so that nothing in them is syntax."""
    parts = re.findall(r'"([^"]*)"|(\w+)(\*?)', query)
    terms = []
    for phrase, word, star in parts:
        words = re.findall(r"\w+", phrase or word)
        # A term of underscores alone holds nothing that the tokenizer keeps.
        if any(letter.isalnum() for each in words for letter in each):
            terms.append(f'"{" ".join(words)}"{star}')
    return list(dict.fromkeys(terms))


def _rarest(memory: Memory, terms: list[str]) -> list[str]:
    """The rarest terms that occur at all; words that are everywhere only where there is nothing else."""
    if len(terms) < 2:
        return terms
    counts = {term: _count(memory, term) for term in terms}
    present = sorted((term for term in terms if counts[term]), key=lambda term: counts[term])
    telling = [term for term in present if counts[term] < COUNTED_UP_TO]
    return (telling or present)[:MAX_TERMS]


def _count(memory: Memory, term: str) -> int:
    sql = "SELECT count(*) FROM (SELECT 1 FROM {0}_fts WHERE {0}_fts MATCH ? LIMIT ?)"
    tables = dict.fromkeys(source.table for source in _SOURCES)
    return sum(int(memory.connection.rows(sql.format(table), (term, COUNTED_UP_TO))[0][0]) for table in tables)


def _collect(memory: Memory, source: _Source, terms: list[str], found: dict[object, _Found]) -> None:
    index = f"{source.table}_fts"
    key = "number" if source.table == "candidates" else "id"
    rows = memory.connection.rows(
        f"SELECT {source.select}, snippet({index}, -1, '{MARK_LEFT}', '{MARK_RIGHT}', '…', 16) AS snippet "
        f"FROM {index} JOIN {source.table} b ON b.{key} = {index}.rowid {source.join} "
        f"WHERE {index} MATCH ? ORDER BY {index}.rank LIMIT ?",
        (f"{{{source.columns}}} : ({' OR '.join(terms)})", HITS_PER_KIND),
    )
    seen = set()
    for rank, row in enumerate(rows):
        who = row["candidate_id"] or (row["campaign"], row["node"], row["title"])
        each = found.setdefault(who, _Found(dict(row)))
        # Ten failures of one candidate are one reason, not ten.
        if who not in seen:
            each.relevance += 1.0 / (RANK_OFFSET + rank)
        seen.add(who)
        if each.first["campaign"] is None:
            each.first |= {"campaign": row["campaign"], "node": row["node"]}
        each.kinds.setdefault(source.kind, []).append(row["snippet"])


def _hit(found: _Found) -> Hit:
    reasons = []
    for kind, snippets in found.kinds.items():
        marked = re.findall(f"{MARK_LEFT}(.+?){MARK_RIGHT}", " ".join(snippets))
        words = dict.fromkeys(word.lower() for word in marked)
        reasons.append(f"{kind} speaks of {', '.join(words)}" if words else f"found in {kind}")
    values = {name: found.first[name] for name in ("candidate_id", "short", "title", "origin", "campaign", "node")}
    return Hit(
        **values,  # type: ignore[arg-type]
        kinds=tuple(found.kinds),
        snippet=next(iter(found.kinds.values()))[0],
        why="; ".join(reasons),
        relevance=found.relevance,
    )

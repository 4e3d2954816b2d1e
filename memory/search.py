"""Search over everything that was tried: by words, by what words are like, by structure, and by numbers.

    words      full text over ideas, code, verdicts, failures, output, lessons and knowledge (SQLite FTS5, BM25, Porter
               stemming), each kind of text for itself
    alike      vectors of what is said: the built-in ones find other forms of words, a model's other words
    structure  what designs are made of, by `distance`

The rankings are fused by reciprocal rank, so that a design whose idea, code and verdict all speak of the query stands
before one that merely repeats a word. Every hit says why it was found.
"""

from __future__ import annotations

import json
import math
import re
import textwrap
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

from netwright.memory import lexical, near
from netwright.memory.filters import Filter, Mask
from netwright.memory.lexical import query_terms
from netwright.memory.near import Neighbour
from netwright.memory.store import Memory
from netwright.memory.vectors import Embedder
from netwright.types import Structure

MAX_TERMS = 6
"""Terms used of a query: the rarest. Common words cost time in proportion to the memory and say little."""

TERMS_WEIGHED = 24
COUNTED_UP_TO = 1_000
"""From so many texts on, a word says nothing beside a rarer one."""

RANKED_AMONG = 2_000
"""Where all words of a query are that common, the latest so many texts of a kind are ranked."""

RANK_OFFSET = 10
"""The k of reciprocal rank fusion, 1 / (k + rank). Source: Cormack, Clarke, Büttcher 2009."""

HITS_PER_KIND = 50
ALIKE, STRUCTURE = "alike", "structure"
WEIGHTS = {"code": 0.4, "knowledge": 1.5, STRUCTURE: 2.0}
"""What a ranking counts, 1 unless it is here.

Code says again what the idea does; knowledge has a single text, and structure is one ranking beside several of words.
Chosen on every second query of benchmarks/retrieval.toml.
"""

MARK_LEFT, MARK_RIGHT = "«", "»"
SNIPPET_CHARACTERS = 120


@dataclass(frozen=True, kw_only=True)
class Hit:
    """One thing found. `candidate_id` is None for failures without a candidate, lessons and outside knowledge.

    `kinds` says where it was found (idea, code, verdict, failure, output, lesson, knowledge, alike, structure), best
    first; `snippet` is from the best text of them, with the words between « and »; `why` says it in a sentence.
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
class Like:
    """A design that others should be like: what it is made of, what is said of it, and who it is, to be left out."""

    structure: Structure
    text: str = ""
    candidate_id: str | None = None


@dataclass(frozen=True)
class _Source:
    kind: str
    table: str
    columns: str
    select: str
    join: str = ""


_IN_CAMPAIGN = "JOIN campaigns p ON p.id = b.campaign_id LEFT JOIN candidates c ON c.id = b.candidate_id"
_WHO = "c.number AS key, c.id AS candidate_id, c.short, coalesce(c.title, '') AS title, c.origin"
_EXPERIMENT = f"{_WHO}, p.name AS campaign, b.node"
_CANDIDATE = "b.number AS key, b.id AS candidate_id, b.short, b.title, b.origin, NULL AS campaign, NULL AS node"
_TRIAL = f"{_WHO}, NULL AS campaign, NULL AS node"
_NOBODY = "NULL AS candidate_id, NULL AS short"
_KNOWLEDGE = f"-b.id AS key, {_NOBODY}, b.title, b.source AS origin, NULL AS campaign, NULL AS node"
_LESSON = f"NULL AS key, {_NOBODY}, b.claim AS title, 'lesson' AS origin, NULL AS campaign, NULL AS node"

_SOURCES = (
    _Source("idea", "candidates", "title hypothesis", _CANDIDATE),
    _Source("verdict", "verdicts", "changed words lesson", _EXPERIMENT, _IN_CAMPAIGN),
    _Source("code", "candidates", "source", _CANDIDATE),
    _Source("failure", "nodes", "stage failure", _EXPERIMENT, _IN_CAMPAIGN),
    _Source("failure", "attempts", "stage failure", _EXPERIMENT, _IN_CAMPAIGN),
    _Source("output", "trials", "reason last_output", _TRIAL, "JOIN candidates c ON c.id = b.candidate_id"),
    _Source("lesson", "lessons", "claim", _LESSON),
    _Source("knowledge", "knowledge", "title text", _KNOWLEDGE),
)
KINDS = tuple(dict.fromkeys(source.kind for source in _SOURCES)) + (ALIKE, STRUCTURE)


@dataclass
class _Found:
    """One thing on the way to a hit; `texts` are the places in full-text indexes where it was found."""

    first: dict[str, object]
    relevance: float = 0.0
    texts: dict[str, list[tuple[_Source, int]]] = field(default_factory=dict)
    near: dict[str, Neighbour] = field(default_factory=dict)

    def count(self, kind: str, rank: int) -> None:
        self.relevance += WEIGHTS.get(kind, 1.0) / (RANK_OFFSET + rank)


_Finds = dict[object, _Found]


def search(
    memory: Memory,
    query: str = "",
    *,
    limit: int = 20,
    kinds: Iterable[str] | None = None,
    like: Like | None = None,
    only: Filter | None = None,
    embedder: Embedder | None = None,
) -> list[Hit]:
    """Find what speaks of `query` or is made as `like` is, best first.

    Any text will do; of a long one the rarest words count.
    `"two words"` in double quotes must stand side by side, `conv*` matches beginnings. `kinds` restricts where to look,
    `only` what may be found. `embedder` is the model whose vectors are compared in place of the built-in ones.

    Raises:
        ConfigError: `only` names what there is not.
        ProviderError: the embedder did not answer.
    """
    wanted = set(kinds) if kinds is not None else set(KINDS)
    allowed = memory.catalogue.allowed(only or Filter())
    found: _Finds = {}
    terms, common = _telling(memory, query_terms(query)[:TERMS_WEIGHED])
    rarest = list(terms)[:MAX_TERMS]
    if terms:
        for source in _SOURCES:
            if source.kind in wanted:
                _collect(memory, source, rarest, found, allowed, common)
        if ALIKE in wanted:
            _add(found, ALIKE, _alike(memory, query, terms, allowed, embedder))
    if like is not None and STRUCTURE in wanted:
        _add(found, STRUCTURE, near.made_like(memory, like.structure, allowed))
    if like is not None and not terms and ALIKE in wanted:
        said, _ = _telling(memory, query_terms(like.text)[:TERMS_WEIGHED])
        _add(found, ALIKE, _alike(memory, like.text, said, allowed, embedder))
    itself = like.candidate_id if like is not None else None
    others = [each for each in found.values() if itself is None or each.first["candidate_id"] != itself]
    ranked = sorted(others, key=lambda each: -each.relevance)[:limit]
    snippets = _snippets(memory, ranked, rarest)
    return [_hit(each, snippets) for each in ranked]


def _telling(memory: Memory, terms: Sequence[str]) -> tuple[dict[str, int], bool]:
    """The terms that occur with their numbers of texts, rarest first, and whether even those are common.

    Words that are everywhere are there only where there is nothing else.
    """
    counts = {term: _count(memory, term) for term in terms if term.strip('"*').lower() not in lexical.FUNCTION_WORDS}
    present = sorted((count, place, term) for place, (term, count) in enumerate(counts.items()) if count)
    telling = [each for each in present if each[0] < COUNTED_UP_TO]
    return {term: count for count, _, term in telling or present}, not telling


def _count(memory: Memory, term: str) -> int:
    """In how many texts a term occurs, counted no further than COUNTED_UP_TO."""
    counted = 0
    for table in dict.fromkeys(source.table for source in _SOURCES):
        sql = f"SELECT count(*) FROM (SELECT 1 FROM {table}_fts WHERE {table}_fts MATCH ? LIMIT ?)"
        counted += int(memory.connection.rows(sql, (term, COUNTED_UP_TO - counted))[0][0])
        if counted >= COUNTED_UP_TO:
            break
    return counted


def _match(source: _Source, terms: Iterable[str]) -> str:
    return f"{{{source.columns}}} : ({' OR '.join(terms)})"


def _collect(
    memory: Memory, source: _Source, terms: Sequence[str], found: _Finds, allowed: Mask | None, common: bool
) -> None:
    """Rank the texts of one source by BM25."""
    index = f"{source.table}_fts"
    key = "number" if source.table == "candidates" else "id"
    latest = f"AND {index}.rowid > (SELECT max({key}) FROM {source.table}) - {RANKED_AMONG}" if common else ""
    rows = memory.connection.batches(
        f"SELECT {source.select}, {index}.rowid AS text "
        f"FROM {index} JOIN {source.table} b ON b.{key} = {index}.rowid {source.join} "
        f"WHERE {index} MATCH ? {latest} ORDER BY {index}.rank LIMIT ?",
        (_match(source, terms), HITS_PER_KIND if allowed is None else -1),
        HITS_PER_KIND,
    )
    ranking = (row for batch in rows for row in batch if _is_allowed(row["key"], allowed))
    seen = set()
    for rank, row in enumerate(islice(ranking, HITS_PER_KIND)):
        who = row["key"] or (row["campaign"], row["node"], row["title"])
        each = found.setdefault(who, _Found(dict(row)))
        # Ten failures of one candidate are one reason, not ten.
        if who not in seen:
            each.count(source.kind, rank)
        seen.add(who)
        if each.first["campaign"] is None:
            each.first |= {"campaign": row["campaign"], "node": row["node"]}
        each.texts.setdefault(source.kind, []).append((source, row["text"]))
    rows.close()


def _is_allowed(key: int | None, allowed: Mask | None) -> bool:
    """Whether a filter lets a candidate pass; nothing else passes any."""
    return allowed is None or (key is not None and key > 0 and bool(allowed[key]))


def _alike(
    memory: Memory, query: str, terms: Mapping[str, int], allowed: Mask | None, embedder: Embedder | None
) -> list[Neighbour]:
    if embedder is not None:
        return near.meant(memory, query, embedder, allowed)
    # A word that is rarer says more; identifiers, quoted words and beginnings must stand as they are.
    loose = {term: count for term, count in terms.items() if not re.search(r"[ _*]", term)}
    texts = memory.shelf(lexical.NAME).size
    words = {word: math.log1p(texts / count) for term, count in loose.items() for word in lexical.words_of(term)}
    return near.alike(memory, words, allowed) if words else []


def _add(found: _Finds, kind: str, ranking: Sequence[Neighbour]) -> None:
    for rank, neighbour in enumerate(ranking):
        each = found.setdefault(neighbour.row["key"], _Found(dict(neighbour.row)))
        each.count(kind, rank)
        each.near[kind] = neighbour


def _snippets(memory: Memory, found: Sequence[_Found], terms: Sequence[str]) -> dict[tuple[str, int], str]:
    """The texts in which hits were found, by kind and number, each cut to where the words are."""
    wanted: dict[_Source, set[int]] = defaultdict(set)
    for each in found:
        for source, text in (place for places in each.texts.values() for place in places):
            wanted[source].add(text)
    snippets: dict[tuple[str, int], str] = {}
    for source, texts in wanted.items():
        index = f"{source.table}_fts"
        rows = memory.connection.rows(
            f"SELECT rowid, snippet({index}, -1, '{MARK_LEFT}', '{MARK_RIGHT}', '…', 16) AS snippet FROM {index} "
            f"WHERE {index} MATCH ? AND rowid IN (SELECT value FROM json_each(?))",
            (_match(source, terms), json.dumps(sorted(texts))),
        )
        snippets |= {(f"{source.kind} {source.table}", row["rowid"]): row["snippet"] for row in rows}
    return snippets


def _hit(found: _Found, snippets: Mapping[tuple[str, int], str]) -> Hit:
    reasons, texts = [], []
    for kind, places in found.texts.items():
        cut = [snippets[f"{kind} {source.table}", text] for source, text in places]
        marked = re.findall(f"{MARK_LEFT}(.+?){MARK_RIGHT}", " ".join(cut))
        words = dict.fromkeys(word.lower() for word in marked)
        reasons.append(f"{kind} speaks of {', '.join(words)}" if words else f"found in {kind}")
        texts += cut
    for neighbour in found.near.values():
        reasons.append(neighbour.why)
        texts.append(textwrap.shorten(neighbour.row["text"], SNIPPET_CHARACTERS, placeholder="…"))
    values = {name: found.first[name] for name in ("candidate_id", "short", "title", "origin", "campaign", "node")}
    return Hit(
        **values,  # type: ignore[arg-type]
        kinds=(*found.texts, *found.near),
        snippet=texts[0],
        why="; ".join(reasons),
        relevance=found.relevance,
    )

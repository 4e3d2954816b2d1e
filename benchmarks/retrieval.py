"""How well the memory finds what was asked for: recall at 10 of each part of the search alone, and of all together.

    python benchmarks/retrieval.py [--misses]

searches the shipped cards, the baselines that mix sequences and drafts of the grammar planner for the judged queries of
retrieval.toml. Printed is the mean of the share of judged answers among the first ten hits, and of 1 / rank of the
first answer; with --misses also what was not found. "without" a part is all the others. Weights of the search were
chosen on the first, third, fifth ... query; the last line is of the others alone.
"""

from __future__ import annotations

import argparse
import tempfile
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np

from netwright.agents.grammar_planner import GrammarPlanner
from netwright.evaluator.baselines import MIXERS, baseline
from netwright.evaluator.structure import STRUCTURE_VERSION, structure_of
from netwright.memory import vectors
from netwright.memory.cards import put_cards
from netwright.memory.search import ALIKE, KINDS, STRUCTURE, Like, search
from netwright.memory.store import Memory
from netwright.prompts.cards import CardFile, parsed
from netwright.types import Candidate, Context, Operator, Recipe, Rung, Scope, TaskSpec

QUERIES = Path(__file__).with_suffix(".toml")
TASK = TaskSpec(
    name="retrieval", summary="", scope=Scope.MIXER, vocab_size=64, max_len=128, dim=64, heads=4, layers=2,
    parameters=90_000, metric="loss", recipe=Recipe(), rungs=(Rung(level=0, tokens=1000),),
    validation_rows=8, test_rows=8,
)  # fmt: skip
DRAFTS = 36
FIRST = 10
WORDS = tuple(kind for kind in KINDS if kind not in (ALIKE, STRUCTURE))
PARTS: Mapping[str, tuple[str, ...]] = {
    "words": WORDS,
    "alike": (ALIKE,),
    "structure": (STRUCTURE,),
    "without alike": (*WORDS, STRUCTURE),
    "without structure": (*WORDS, ALIKE),
    "all": KINDS,
}


@dataclass(frozen=True)
class Query:
    """What is asked, and what should be found."""

    group: str
    text: str
    like: str
    answers: frozenset[str]


def queries() -> list[Query]:
    """The judged queries."""
    found = tomllib.loads(QUERIES.read_text())["queries"]
    return [Query(each["group"], each["text"], each["like"], frozenset(each["answers"])) for each in found]


def designs() -> dict[str, Candidate]:
    """What is searched beside cards, by the name by which answers call it."""
    planner = GrammarPlanner()
    contexts = {
        f"draft {seed}": Context(task=TASK, operator=Operator.DRAFT, seed=seed, draw=0, mixer_parameters=20_000)
        for seed in range(DRAFTS)
    }
    drafts = {
        name: planner.sketch(context).proposal().candidate(Scope.MIXER).model_copy(update={"origin": name})
        for name, context in contexts.items()
    }
    return {f"baseline {name}": baseline(name) for name in MIXERS} | drafts


def cards() -> dict[str, CardFile]:
    """The shipped cards by the name by which answers call them."""
    folder = files("netwright.prompts") / "knowledge"
    texts = {Path(item.name).stem: item.read_text(encoding="utf-8") for item in folder.iterdir()}
    return {f"card {name}": CardFile(name, text, parsed(text, name)) for name, text in sorted(texts.items())}


class Collection:
    """A memory of all of it."""

    def __init__(self, home: Path) -> None:
        self.memory = Memory.open(home)
        self.designs = designs()
        found = cards()
        self._names = {file.card.title: name for name, file in found.items()}
        self._names |= {candidate.id: name for name, candidate in self.designs.items()}
        self.memory.put_task(TASK)
        put_cards(self.memory, list(found.values()))
        for candidate in self.designs.values():
            self.memory.put_candidate(candidate)
            structure = structure_of(candidate.source, candidate.genotype, TASK.recipe)
            self.memory.put_structure(candidate.id, TASK.id, STRUCTURE_VERSION, structure)
        vectors.fill_all_own(self.memory.connection)

    @property
    def names(self) -> set[str]:
        return set(self._names.values())

    def found(self, query: Query, kinds: Iterable[str]) -> list[str]:
        """The names of the first hits."""
        like = None
        if query.like:
            candidate = self.designs[query.like]
            like = Like(
                structure_of(candidate.source, candidate.genotype),
                f"{candidate.title} {candidate.hypothesis}",
                candidate.id,
            )
        hits = search(self.memory, query.text, like=like, kinds=kinds, limit=FIRST)
        return [self._names[hit.candidate_id or hit.title] for hit in hits]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--misses", action="store_true")
    options = parser.parse_args()
    asked = queries()
    groups = list(dict.fromkeys(query.group for query in asked))
    with tempfile.TemporaryDirectory() as home:
        collection = Collection(Path(home))
        unknown = set().union(*(query.answers for query in asked)) - collection.names
        if unknown:
            raise SystemExit(f"judged, and not there: {', '.join(sorted(unknown))}")
        print(f"{len(asked)} queries over {len(collection.names)} texts; recall at {FIRST} (1 / rank of the first)\n")
        print(
            f"{'':20}" + "".join(f"{f'{name} ({sum(q.group == name for q in asked)})':>16}" for name in groups), end=""
        )
        print(f"{'all':>16}")
        for part, kinds in PARTS.items():
            found = [collection.found(query, kinds) for query in asked]
            rated = [_rated(query, hits) for query, hits in zip(asked, found, strict=True)]
            by = [[each for query, each in zip(asked, rated, strict=True) if query.group == name] for name in groups]
            print(f"{part:20}" + "".join(f"{_mean(each):>16}" for each in (*by, rated)))
        print(f"{'all, every second':20}{_mean(rated[1::2]):>{16 * (len(groups) + 1)}}")
        if options.misses:
            for query, hits in zip(asked, found, strict=True):
                if missed := query.answers - set(hits):
                    print(f"\n{query.text!r} like {query.like!r}: not {', '.join(sorted(missed))}\n  but {hits}")


def _rated(query: Query, hits: list[str]) -> tuple[float, float]:
    """The share of answers that was found, and 1 / rank of the first."""
    first = next((1 / rank for rank, name in enumerate(hits, start=1) if name in query.answers), 0.0)
    return len(query.answers & set(hits)) / len(query.answers), first


def _mean(rated: list[tuple[float, float]]) -> str:
    return "{:.3f} ({:.2f})".format(*np.mean(rated, axis=0))


if __name__ == "__main__":
    main()

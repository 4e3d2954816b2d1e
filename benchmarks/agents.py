"""How well do agents design through an endpoint that goes wrong, and at what price?

    python benchmarks/agents.py [--rates 0 0.1 0.2 0.4] [--trials 16] [--seeds 2] [--out benchmarks/results/agents.csv]
    python benchmarks/agents.py --recorded HOME [--name CAMPAIGN]        # the model's words from a memory
    python benchmarks/agents.py --llm URL --model NAME [--seeds 5]       # a real model against the grammar

Without a real one, the endpoint is an HTTP server on loopback whose model writes sound designs (the grammar's, one in
six with a flaw that the gates find) or says again what a campaign recorded, and spoils a share of its replies in the
ways of tests/faulty_server.py. Everything else is real: campaign, sandbox, training, memory. `--reply-seconds` is how
long a good reply takes.

`passed_per_1000_tokens`: designs that pass all gates. `lost`: steps that ended without a design. `turns`: answers asked
for again because of their form; `mended`: designs sent back by the gates. `prefix_share`: prompt tokens that had been
sent before. `idle_share`: slot time without a training; what faults add to it is the time lost to them. `own_ms`: what
netwright itself did for one design in its event loop; `cpu_ms`: of it on the processor.
"""

from __future__ import annotations

import argparse
import csv
import os
import sys
from collections import defaultdict
from collections.abc import Callable
from functools import cache
from itertools import cycle
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from agents_play import Figures, play, row_of
from author import Author, role_of
from chat_server import ChatServer
from faulty_server import FAULTS, Faulty

from netwright.agents.grammar_planner import GrammarPlanner
from netwright.evaluator.sizing import mixer_allowance
from netwright.evaluator.statistics import mean_interval
from netwright.evaluator.tasks import load_task
from netwright.memory.store import Memory
from netwright.types import Context, Operator

JsonDict = dict[str, Any]
FLAW = "\n\n_honest = Mixer.forward\nMixer.forward = lambda self, x: _honest(self, x.flip(1)).flip(1)\n"


def written_by_grammar(task: str) -> Callable[[int], str]:
    """Files that the grammar drafts for a task, by number."""
    spec, planner = load_task(task).spec, GrammarPlanner()

    @cache
    def source_of(number: int) -> str:
        context = Context(
            task=spec, operator=Operator.DRAFT, seed=1000 + number, mixer_parameters=mixer_allowance(spec)
        )
        return planner.sketch(context).proposal().source

    return source_of


def recorded(home: Path, name: str | None) -> Callable[[JsonDict], str]:
    """Answers what a campaign's models answered: to the same messages the same, else the next to the same role."""
    with Memory.open(home, create=False, read_only=True) as memory:
        row = memory.campaign(name) if name else memory.campaigns()[-1]
        calls = [call for call in memory.llm_calls(row.id) if call.reply]
    if not calls:
        raise SystemExit(f"campaign {row.name!r} asked no model: name one that did with --name")
    same = {str(list(call.messages)): call.reply or "" for call in calls}
    by_role: defaultdict[str, list[str]] = defaultdict(list)
    for call in calls:
        by_role[role_of({"messages": list(call.messages)})].append(call.reply or "")
    following = {role: cycle(replies) for role, replies in by_role.items()}
    return lambda body: same.get(str(body["messages"])) or next(following[role_of(body)], "no such role was recorded")


def settings(options: argparse.Namespace, seed: int) -> JsonDict:
    return {
        "task": options.task,
        "rung_tokens": [options.tokens, 2 * options.tokens],
        "workers": options.workers,
        "seed": seed,
        "budget": {"trials": options.trials, "minutes": 600},
    }


def through_faults(options: argparse.Namespace, rate: float, seed: int) -> Figures:
    """A campaign through an endpoint of which a share of the replies goes wrong."""
    if options.recorded:
        answer = recorded(options.recorded, options.name)
    else:
        answer = Author(
            written_by_grammar(options.task),
            flawed=lambda number: number % 6 == 4,
            flaw=lambda source: source + FLAW,
        )
    model = Faulty(answer, FAULTS, rate=rate, seed=seed, reply_seconds=options.reply_seconds)
    with ChatServer(default=model) as server:
        llm = {"url": server.url, "model": "scripted", "first_timeout": options.reply_seconds + 0.3}
        return play({**settings(options, seed), "llm": llm})


def by_rate(options: argparse.Namespace) -> list[JsonDict]:
    rows = []
    for rate in options.rates:
        found = [through_faults(options, rate, seed) for seed in range(options.seeds)]
        statuses = " ".join(sorted({each.status for each in found}))
        rows.append({"faulty": rate, "campaigns": options.seeds, "ended": statuses, **row_of(found)})
        keep(rows, options.out)
    return rows


def model_against_grammar(options: argparse.Namespace) -> list[JsonDict]:
    """As many trained designs of either, on the same seeds; lower is better, intervals of 95%."""
    llm = {"url": options.llm, "model": options.model}
    rows, best = [], {}
    for who, more in (("grammar", {}), ("model", {"llm": llm})):
        found = [play({**settings(options, seed), **more}) for seed in range(options.seeds)]
        best[who] = [-each.best for each in found if each.best is not None]
        rows.append({"who": who, "campaigns": options.seeds, **_mean(best[who]), **row_of(found)})
    gains = [grammar - model for grammar, model in zip(best["grammar"], best["model"], strict=True)]
    rows.append({"who": "grammar minus model", "campaigns": options.seeds, **_mean(gains)})
    return rows


def _mean(values: list[float]) -> JsonDict:
    if len(values) < 2:
        return {"best": round(values[0], 4) if values else "", "low": "", "high": ""}
    mean, interval = mean_interval(values)
    return {"best": round(mean, 4), "low": round(interval.low, 4), "high": round(interval.high, 4)}


def show(rows: list[JsonDict]) -> None:
    """Print the table, a figure a line: there are more figures than rows."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    for name in names:
        print(f"{name:<24}" + "".join(f"{row.get(name, '')!s:>12}" for row in rows))


def keep(rows: list[JsonDict], path: Path | None) -> None:
    """Write the table down, as far as it is."""
    if path is None:
        return
    names = list(dict.fromkeys(name for row in rows for name in row))
    with path.open("w", newline="") as file:
        table = csv.DictWriter(file, names, lineterminator="\n")
        table.writeheader()
        table.writerows(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rates", type=float, nargs="+", default=[0.0, 0.1, 0.2, 0.4])
    parser.add_argument("--trials", type=int, default=16)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--task", default="recall")
    parser.add_argument("--tokens", type=int, default=30_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--reply-seconds", type=float, default=0.2)
    parser.add_argument("--recorded", type=Path)
    parser.add_argument("--name")
    parser.add_argument("--llm")
    parser.add_argument("--model")
    parser.add_argument("--out", type=Path, help="also write the table to this CSV file")
    options = parser.parse_args()
    rows = model_against_grammar(options) if options.llm else by_rate(options)
    print(f"load average {os.getloadavg()[0]:.1f}")
    show(rows)
    keep(rows, options.out)


if __name__ == "__main__":
    main()

"""Everything that was asked, said, checked, trained and judged for one design."""

from __future__ import annotations

from dataclasses import dataclass

from netwright.errors import NotFound
from netwright.memory.query import top
from netwright.memory.records import Campaign, Experiment, Review
from netwright.memory.store import Memory
from netwright.types import Candidate, GateReport, LlmCall, Split, Trial


@dataclass(frozen=True)
class Checked:
    """A file on the way to the design, and what the gates said; `stage` and `failure` tell where it was stopped."""

    candidate: Candidate
    gates: tuple[GateReport, ...]
    stage: str = ""
    failure: str = ""


@dataclass(frozen=True)
class Transcript:
    """The story of node `node`: its calls in order, every file that was checked, trainings, and its records.

    `reviews` are what a person decided before it was trained. `records` are the first of the node and one for each
    promotion, each with score and verdict. `parents` are candidates.
    """

    campaign: Campaign
    node: int
    parents: tuple[Candidate, ...]
    calls: tuple[LlmCall, ...]
    files: tuple[Checked, ...]
    reviews: tuple[Review, ...]
    trials: tuple[Trial, ...]
    records: tuple[Experiment, ...]


def transcript(memory: Memory, which: str | None = None, campaign: str | None = None) -> Transcript:
    """The story of a design: `which` is a node of the campaign, or begins a candidate's id; None is the best design.

    `campaign` None is the latest, or, where an id is given, the latest that made it.

    Raises:
        NotFound: no such campaign, node or design.
    """
    row, node = _place(memory, which, campaign)
    records = tuple(memory.experiments(row.id, node))
    actions = [known.action.index for known in records if known.action is not None]
    calls = [call for action in dict.fromkeys([node, *actions]) for call in memory.llm_calls(row.id, action=action)]
    final = records[0].candidate
    return Transcript(
        campaign=row,
        node=node,
        parents=tuple(memory.candidate(each) for each in records[0].parent_ids if each is not None),
        calls=tuple(calls),
        files=_files(memory, row, records[0]),
        reviews=tuple(review for review in memory.reviews(row.id) if review.action == node),
        trials=tuple(memory.trials(row.task.id, final.id, Split.VALIDATION)) if final is not None else (),
        records=records,
    )


def _place(memory: Memory, which: str | None, campaign: str | None) -> tuple[Campaign, int]:
    row = memory.campaign(campaign)
    if which is None:
        best = top(memory, limit=1, campaign=row.name, baselines=False)
        if not best:
            raise NotFound(f"campaign {row.name!r} has no trained design yet: name a node of it")
        which, campaign = best[0].candidate_id, row.name
    if which.isdigit() and memory.experiments(row.id, int(which)):
        return row, int(which)
    candidate = memory.candidate(which)
    made = memory.connection.rows(
        "SELECT campaign_id, node FROM nodes WHERE candidate_id = ?1 UNION "
        "SELECT campaign_id, node FROM attempts WHERE candidate_id = ?1 ORDER BY campaign_id DESC, node",
        (candidate.id,),
    )
    found = [each for each in made if campaign is None or each["campaign_id"] == row.id]
    if not found:
        where = f"campaign {row.name!r}" if campaign else "any campaign"
        raise NotFound(f"no node of {where} made {candidate.id[:10]}, {candidate.title}: see `netwright memory tree`")
    latest = found[0]
    owner = next(known for known in memory.campaigns() if known.id == latest["campaign_id"])
    return owner, latest["node"]


def _files(memory: Memory, row: Campaign, record: Experiment) -> tuple[Checked, ...]:
    """Proposals that had been tried, files that were mended, in order, then the design itself."""
    known = memory.connection.rows(
        "SELECT candidate_id, kind, owner FROM duplicates WHERE campaign_id = ? AND action = ? AND kind IN "
        "('source', 'code', 'function') ORDER BY id",
        (row.id, record.node),
    )
    files: list[tuple[str | None, str, str]] = [
        (each["candidate_id"], f"novelty: {each['kind']}", f"this is the design of node {each['owner']}")
        for each in known
    ]
    files += [(attempt.candidate_id, attempt.stage, attempt.failure) for attempt in record.attempts]
    files += [(record.candidate_id, record.stage, record.failure)]
    return tuple(
        Checked(memory.candidate(each), memory.gates(each, row.task.id), stage, failure)
        for each, stage, failure in files
        if each is not None
    )

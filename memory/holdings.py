"""What is in a memory: its campaigns with what each took, and what came of designs by operator and origin."""

from __future__ import annotations

from dataclasses import dataclass

from netwright.memory.overview import Stats, stats
from netwright.memory.store import Memory
from netwright.types import JsonDict


@dataclass(frozen=True, kw_only=True)
class Holdings:
    """`totals` over everything, a row for each campaign, a row for each operator and origin.

    Hours are those that trainings took; `artifact_bytes` are of the files beside the database.
    """

    totals: Stats
    campaigns: list[JsonDict]
    designs: list[JsonDict]
    artifact_bytes: int


def holdings(memory: Memory, campaign: str | None = None) -> Holdings:
    """Count what the memory holds, of one campaign or of all.

    Raises:
        NotFound: there is no such campaign.
    """
    chosen = None if campaign is None else memory.campaign(campaign).id

    def rows(sql: str) -> list[JsonDict]:
        return [dict(row) for row in memory.connection.rows(sql, (chosen,))]

    return Holdings(
        totals=stats(memory, campaign),
        campaigns=rows(_CAMPAIGNS),
        designs=rows(_DESIGNS),
        artifact_bytes=sum(path.stat().st_size for path in (memory.home / "artifacts").rglob("*") if path.is_file()),
    )


_CAMPAIGNS = """
WITH trained AS (
  SELECT campaign_id, count(*) AS trainings, sum(wall_seconds) / 3600.0 AS training_hours,
         coalesce(sum(CASE status WHEN 'done' THEN tokens END), 0) AS trained_tokens
  FROM trials GROUP BY campaign_id
), designed AS (
  SELECT campaign_id, count(*) AS designs, sum(failure <> '') AS failed FROM nodes WHERE node >= 0 GROUP BY campaign_id
), asked AS (
  SELECT campaign_id, sum(coalesce(prompt_tokens, 0) + coalesce(completion_tokens, 0)) AS llm_tokens
  FROM llm_calls WHERE replayed = 0 GROUP BY campaign_id
)
SELECT p.name, p.task_id, p.status, p.started_at, p.elapsed_seconds,
       coalesce(d.designs, 0) AS designs, coalesce(d.failed, 0) AS failed,
       coalesce(t.trainings, 0) AS trainings, coalesce(t.training_hours, 0.0) AS training_hours,
       coalesce(t.trained_tokens, 0) AS trained_tokens, coalesce(a.llm_tokens, 0) AS llm_tokens
FROM campaigns p
LEFT JOIN trained t ON t.campaign_id = p.id
LEFT JOIN designed d ON d.campaign_id = p.id
LEFT JOIN asked a ON a.campaign_id = p.id
WHERE ?1 IS NULL OR p.id = ?1 ORDER BY p.id
"""

_DESIGNS = """
WITH latest AS (SELECT campaign_id, node, max(id), outcome FROM verdicts GROUP BY campaign_id, node)
SELECT n.operator, coalesce(c.origin, 'none') AS origin, count(*) AS made, sum(n.failure <> '') AS failed,
       coalesce(sum(v.outcome = 'better'), 0) AS better,
       coalesce(sum(v.outcome = 'no difference'), 0) AS no_difference,
       coalesce(sum(v.outcome = 'worse'), 0) AS worse
FROM nodes n
LEFT JOIN candidates c ON c.id = n.candidate_id
LEFT JOIN latest v ON v.campaign_id = n.campaign_id AND v.node = n.node
WHERE n.node >= 0 AND (?1 IS NULL OR n.campaign_id = ?1)
GROUP BY n.operator, c.origin ORDER BY made DESC, n.operator
"""

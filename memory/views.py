"""The SQL of the public views; docs/memory.md documents every column.

`+t.task_id` keeps SQLite from looking up a candidate's trials by their task, which is that of thousands.
"""

from __future__ import annotations

from netwright.memory.rows import RANKED, SEARCHED

LEADERBOARD = f"""
WITH reached AS (
  SELECT candidate_id, task_id, max(rung) AS rung
  FROM trials t WHERE status = 'done' AND split = 'validation' AND {RANKED}
  GROUP BY candidate_id, task_id
), latest AS (
  SELECT max(s.id), s.candidate_id, c.task_id, s.rung, s.standard_error
  FROM scores s JOIN campaigns c ON c.id = s.campaign_id
  GROUP BY s.candidate_id, c.task_id, s.rung
)
SELECT t.task_id,
       t.rung,
       c.id AS candidate_id,
       c.short,
       c.title,
       c.origin,
       c.origin = 'baseline' AS is_baseline,
       avg(t.loss_nats) AS loss_nats,
       coalesce(l.standard_error, avg(t.loss_standard_error)) AS standard_error,
       count(*) AS seeds,
       coalesce(k.metric, 'loss') AS metric,
       avg(t.loss_nats)
         / CASE k.metric WHEN 'bits per byte' THEN 0.6931471805599453 ELSE 1.0 END AS metric_value,
       max(t.parameters) AS parameters,
       max(t.flops_per_token) AS flops_per_token,
       sum(t.tokens) / nullif(sum(t.wall_seconds), 0.0) AS tokens_per_second,
       max(t.peak_memory_bytes) AS peak_memory_bytes,
       sum(t.wall_seconds) AS wall_seconds,
       min(nullif(t.tier, '')) AS tier,
       coalesce(min(nullif(t.tier, '')) = 'T0', 0) AS not_isolated
FROM reached r
JOIN trials t ON t.candidate_id = r.candidate_id AND +t.task_id = r.task_id AND t.rung = r.rung
             AND t.status = 'done' AND t.split = 'validation' AND {RANKED}
JOIN candidates c ON c.id = t.candidate_id
JOIN tasks k ON k.id = t.task_id
LEFT JOIN latest l ON l.candidate_id = t.candidate_id AND l.task_id = t.task_id AND l.rung = t.rung
GROUP BY t.candidate_id, t.task_id
ORDER BY t.task_id, t.rung DESC, loss_nats
"""

LINEAGE = """
WITH latest_score AS (
  SELECT campaign_id, node, max(id), value, standard_error, rung, seeds FROM scores GROUP BY campaign_id, node
), latest_verdict AS (
  SELECT campaign_id, node, max(id), outcome, delta_nats, p_value, changed FROM verdicts GROUP BY campaign_id, node
)
SELECT p.name AS campaign,
       n.campaign_id,
       n.node,
       e.parent_node,
       n.operator,
       n.candidate_id,
       c.short,
       c.title,
       e.parent_id,
       -s.value AS loss_nats,
       s.standard_error,
       s.rung,
       s.seeds,
       v.outcome,
       v.delta_nats,
       v.p_value,
       v.changed,
       n.stage,
       n.failure,
       n.visits,
       n.value
FROM nodes n
JOIN campaigns p ON p.id = n.campaign_id
LEFT JOIN edges e ON e.campaign_id = n.campaign_id AND e.node = n.node
LEFT JOIN candidates c ON c.id = n.candidate_id
LEFT JOIN latest_score s ON s.campaign_id = n.campaign_id AND s.node = n.node
LEFT JOIN latest_verdict v ON v.campaign_id = n.campaign_id AND v.node = n.node
ORDER BY n.campaign_id, n.node, e.position
"""

FAILURES = f"""
WITH failed AS (
  SELECT campaign_id, node, candidate_id, stage, failure, 'experiment' AS what, created_at
  FROM nodes WHERE failure <> ''
  UNION ALL
  SELECT campaign_id, node, candidate_id, stage, failure, 'attempt', created_at FROM attempts
  UNION ALL
  SELECT campaign_id, node, candidate_id, stage, failure, 'promotion', done_at
  FROM actions WHERE kind = 'promote' AND failure <> ''
), told AS (
  SELECT f.campaign_id,
         p.task_id,
         f.node,
         f.what,
         f.stage,
         f.candidate_id,
         f.failure,
         coalesce((SELECT t.last_output FROM trials t
                   WHERE t.candidate_id = f.candidate_id AND t.task_id = p.task_id AND t.status <> 'done'
                     AND t.split = 'validation' AND {SEARCHED}
                   ORDER BY t.id DESC LIMIT 1), '') AS last_output,
         f.created_at
  FROM failed f JOIN campaigns p ON p.id = f.campaign_id
  UNION ALL
  SELECT t.campaign_id,
         t.task_id,
         NULL,
         'training',
         'training: ' || t.status,
         t.candidate_id,
         t.reason,
         CASE t.split WHEN 'validation' THEN t.last_output ELSE '' END,
         t.created_at
  FROM trials t
  WHERE t.status <> 'done' AND t.superseded = 0 AND (t.split = 'test' OR {SEARCHED})
    AND NOT EXISTS (SELECT 1 FROM failed f
                    WHERE f.campaign_id = t.campaign_id AND f.candidate_id = t.candidate_id AND t.split = 'validation'
                      AND f.stage = 'training: ' || t.status)
)
SELECT p.name AS campaign,
       f.campaign_id,
       f.task_id,
       f.node,
       f.what,
       f.stage,
       f.candidate_id,
       c.short,
       c.title,
       f.failure,
       f.last_output,
       f.created_at
FROM told f
LEFT JOIN campaigns p ON p.id = f.campaign_id
LEFT JOIN candidates c ON c.id = f.candidate_id
ORDER BY f.campaign_id, f.created_at, f.node
"""

PARETO = """
SELECT * FROM (
  SELECT *, max(tokens_per_second) OVER (
    PARTITION BY task_id, rung ORDER BY loss_nats, tokens_per_second DESC
    ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
  ) AS fastest_better
  FROM leaderboard WHERE tokens_per_second IS NOT NULL
)
WHERE fastest_better IS NULL OR tokens_per_second > fastest_better
ORDER BY task_id, rung DESC, loss_nats
"""

VIEWS = {"leaderboard": LEADERBOARD, "lineage": LINEAGE, "failures": FAILURES, "pareto": PARETO}

"""The questions that the browser offers ready made; each is one SELECT on the public tables and views."""

from __future__ import annotations

QUERIES: dict[str, dict[str, str]] = {
    "best_designs": {
        "title": "The best designs",
        "description": "By task and rung, baselines left out",
        "sql": "select task_id, rung, short, title, metric, metric_value, standard_error, seeds, parameters, "
        "tokens_per_second from leaderboard where not is_baseline order by task_id, rung desc, loss_nats limit 100",
    },
    "nothing_beats_them": {
        "title": "What nothing else beats",
        "description": "Loss against speed, by task and rung",
        "sql": "select task_id, rung, short, title, loss_nats, tokens_per_second, is_baseline from pareto",
    },
    "failures_by_stage": {
        "title": "Failures by stage",
        "sql": "select campaign, stage, count(*) as failures from failures group by 1, 2 order by 3 desc",
    },
    "operators": {
        "title": "What the operators brought",
        "sql": "select campaign, operator, count(distinct node) as designs, avg(loss_nats) as mean_loss_nats, "
        "min(loss_nats) as best_loss_nats, sum(outcome = 'better') as called_better from lineage "
        "where node >= 0 group by 1, 2 order by 1, 5",
    },
    "say": {
        "title": "Designs whose idea or code speaks of",
        "description": "Full text, in the syntax of SQLite FTS5",
        "sql": "select c.short, c.title, c.origin, snippet(candidates_fts, -1, '[', ']', '...', 16) as says "
        "from candidates_fts join candidates c on c.number = candidates_fts.rowid "
        "where candidates_fts match :words order by candidates_fts.rank limit 50",
    },
    "tokens": {
        "title": "Tokens that models read and wrote",
        "sql": "select p.name as campaign, l.role, l.model, count(*) as calls, sum(l.prompt_tokens) as read, "
        "sum(l.completion_tokens) as written, round(sum(l.seconds), 1) as seconds from llm_calls l "
        "left join campaigns p on p.id = l.campaign_id group by 1, 2, 3 order by 5 desc",
    },
}

"""A design's story as Markdown: prompts and replies word for word, whatever they hold."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

from typer.testing import CliRunner

from netwright.cli.app import app
from netwright.cli.transcript import LONG, markdown
from netwright.evaluator.tasks import load_task
from netwright.memory.records import Campaign, Experiment, Review
from netwright.memory.transcripts import Checked, Transcript
from netwright.types import Action, Candidate, GateReport, LlmCall, Operator, Scope, Score, Verdict

DESIGN = Candidate(source="class Mixer: ...\n", scope=Scope.MIXER, title="Gate", hypothesis="h", origin="llm:m")
SYSTEM = {"role": "system", "content": "You design. " * LONG}


def call(*messages: dict[str, str], reply: str | None, error: str = "") -> LlmCall:
    return LlmCall(
        key="k",
        role="coder",
        model="m",
        prompt_sha256="0",
        messages=messages,
        action=0,
        tag="action=0 attempt=0",
        reply=reply,
        status="ok" if reply else "timeout",
        error=error,
        prompt_tokens=1200,
        completion_tokens=34,
        seconds=2.5,
    )


def told(*calls: LlmCall) -> str:
    report = GateReport(gate="causality", passed=False, message="position 3 | 4 reads ahead")
    verdict = Verdict(outcome="better", delta_nats=-0.1, words="It forgets.", lesson="Forget.", author="llm:m")
    record = Experiment(
        node=0,
        action=Action(index=0, kind="expand", operator=Operator.REFINE),
        operator=Operator.REFINE,
        candidate_id=DESIGN.id,
        candidate=DESIGN,
        score=Score(value=-1.25, standard_error=0.02, rung=0, seeds=1),
        verdict=verdict,
    )
    campaign = Campaign(
        id=1,
        name="first",
        task=load_task("recall").spec,
        seed=0,
        config={},
        status="finished",
        started_at=datetime.now(UTC),
    )
    review = Review(action=0, candidate_id=DESIGN.id, decision="approve", note="a fair test")
    files = (Checked(DESIGN, (report,), "gate: causality", "it looks ahead"),)
    return markdown(Transcript(campaign, 0, (DESIGN,), calls, files, (review,), (), (record,)))


def test_a_call_is_told_with_its_price_its_prompt_and_its_raw_reply() -> None:
    page = told(call(SYSTEM, {"role": "user", "content": "Write it."}, reply="<think>hm</think>\n```python\nx\n```"))

    assert "## Call 1: coder, m" in page
    assert "action=0 attempt=0; status ok; 1,200 tokens read, 34 written; 2.5 s." in page
    assert SYSTEM["content"].rstrip() in page
    assert "````text\n<think>hm</think>\n```python\nx\n```\n````" in page


def test_a_long_message_is_shown_once_and_pointed_to_later() -> None:
    page = told(call(SYSTEM, reply="a"), call(SYSTEM, {"role": "user", "content": "Again."}, reply=None, error="busy"))

    assert page.count(SYSTEM["content"].rstrip()) == 1
    assert f"As message 1 of call 1 ({len(SYSTEM['content']):,} characters)." in page
    assert "None: busy" in page


def test_gates_and_verdict_follow() -> None:
    page = told()

    assert "No model was asked for it" in page
    assert "Stopped at gate: causality: it looks ahead" in page
    assert "| causality | FAIL | position 3 \\| 4 reads ahead |" in page
    assert f"| {DESIGN.id[:10]} | approve | a fair test |" in page
    assert "**better**, delta -0.1000 (by llm:m)." in page and "Lesson: Forget." in page
    assert "Loss 1.2500 +- 0.0200" in page


def test_the_command_prints_a_page_a_document_or_a_file(finished: Path, tmp_path: Path) -> None:
    def run(*arguments: str) -> str:
        done = CliRunner().invoke(app, ["memory", "transcript", *arguments, "--home", str(finished)])
        assert done.exit_code == 0, done.output
        return done.stdout

    page, document = run(), json.loads(run("--json"))
    run("--out", str(tmp_path / "page.md"))

    assert page.startswith("# ") and "## Trainings" in page
    assert document["records"][0]["candidate"]["source"] in page
    assert (tmp_path / "page.md").read_text().strip() == page.strip()

"""What the pages show, and what they never do: fetch, write, obey, tell a secret, or answer with a trace."""

from __future__ import annotations

import hashlib
import re
from html.parser import HTMLParser

import pytest

from netwright.errors import ConfigError
from netwright.web.kept import Kept
from netwright.web.server import datasette_over, is_loopback

HOSTILE = '<script>alert("x")</script><img src=x onerror=alert(1)>&\'"--><!-- {{ 7*7 }}'
JAVASCRIPT = "javascript:alert(1)"
ITSELF = "http://localhost"
ADDRESSES = ("href", "src", "action", "data-url", "srcset")
ELSEWHERE = "https://evil.example/collect"


class Links(HTMLParser):
    """Every address that a page names, every element it has, and whether a script is in it."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.tags: set[str] = set()
        self.handlers: list[str] = []
        self.inline_scripts = 0
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        known = dict(attributes)
        self.tags.add(tag)
        self.inline_scripts += tag == "script" and "src" not in known
        self.handlers += [name for name in known if name.startswith("on")]
        self.addresses += [(known[name] or "").removeprefix(ITSELF) for name in ADDRESSES if name in known]


@pytest.fixture
def best(memory, told):
    return memory.connection.row("SELECT short, candidate_id FROM leaderboard WHERE NOT is_baseline")


def ours(short: str, other: str = "") -> list[str]:
    return [
        "/",
        "/campaign/first",
        "/campaign/first/tree",
        f"/experiment/{short}",
        f"/compare?id={short}&id={other or short}",
        "/compare",
        "/lessons",
        "/search?q=gated+decay",
    ]


DATASETTE = [
    "/memory",
    "/memory/leaderboard",
    "/memory/candidates?_facet=origin",
    "/memory/best_designs",
    "/memory/say?words=decay",
    "/memory?sql=select+title+from+candidates",
    "/-/databases",
]


def test_every_page_is_there_and_names_no_address_elsewhere(ask, best):
    for path in [*ours(best["short"]), *DATASETTE, "/campaign/first/report"]:
        answer = ask(path)

        assert answer.status_code == 200, path
        if "html" in answer.headers["content-type"]:
            for address in Links(answer.text).addresses:
                assert not re.match(r"(?:[a-z]+:)?//", address), (path, address)
                assert address == "data:," or not re.match(r"[a-z]+:", address), (path, address)


def test_a_browser_may_load_nothing_from_elsewhere(ask, best):
    for path in [*ours(best["short"]), *DATASETTE]:
        policy = ask(path).headers["content-security-policy"]

        assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy
        assert "http" not in policy and "*" not in policy
        assert path in DATASETTE or "unsafe-inline" not in policy


def test_the_campaign_page_shows_what_the_report_shows(ask, best):
    page = ask("/campaign/first").text

    for heading in (
        "Outcome",
        "Leaderboard",
        "What nothing else beats",
        "Best so far",
        "What failed",
        "operators brought",
    ):
        assert heading in page
    assert f'href="/experiment/{best["short"]}"' in page
    assert page.count("<svg") == 5


def test_the_axes_of_the_front_can_be_chosen(ask, told):
    page = ask("/campaign/first?y=loss&x=tokens_per_second&rung=0").text

    assert "tokens per second" in page[page.index("<svg") :]
    assert 'value="tokens_per_second" selected' in page


def test_an_experiment_is_shown_whole(ask, memory, told):
    child = memory.connection.row("SELECT candidate_id FROM lineage WHERE parent_id IS NOT NULL AND outcome = 'better'")

    page = ask(f"/experiment/{child['candidate_id']}").text

    for words in ("A per-head decay forgets", "What changed from", "Training curves", "Trainings", "Verdict"):
        assert words in page
    assert '<span class="added">' in page and '<span class="removed">' in page


def test_prompts_and_replies_are_shown_with_the_design_that_they_were_for(ask, memory, told, best):
    node = memory.connection.row("SELECT node FROM nodes WHERE candidate_id = ?", (best["candidate_id"],))["node"]
    put_call(memory, told.campaign.id, node, "What about a decay?", "A decay it is.")

    page = ask(f"/experiment/{best['short']}").text

    assert "What about a decay?" in page and "A decay it is." in page


def put_call(memory, campaign_id: int, action: int, prompt: str, reply: str) -> None:
    from netwright.types import LlmCall

    message = {"role": "user", "content": prompt}
    call = {"role": "planner", "model": "m", "prompt_sha256": "0", "messages": (message,), "reply": reply}
    memory.put_llm_call(campaign_id, LlmCall(key="k", status="ok", action=action, **call))


def test_designs_of_one_rung_are_compared(ask, memory, told):
    one, two = (row["short"] for row in memory.connection.rows("SELECT short FROM leaderboard WHERE rung = 1 LIMIT 2"))

    page = ask(f"/compare?id={one}+{two}").text

    assert "rung 1" in page and "rung 0" in page
    assert "Difference (nats)" in page and page.count("<svg") == 2


@pytest.mark.parametrize("text", [HOSTILE, JAVASCRIPT, ELSEWHERE])
def test_text_of_candidates_and_models_is_shown_and_never_obeyed(ask, memory, start, text):
    teller = start(text.replace("/", ""))
    parent = teller.candidate(text, text, 2, hypothesis=text)
    known = teller.candidate(text, text, 1, hypothesis=text, source=f"# {text}\nGATE = 1\n")
    for each in (parent, known):
        teller.trial(each, 1.4, reason=text, last_output=text, metrics={text: 0.5})
    action = {"index": 0, "kind": "expand", "operator": "draft"}
    score = {"value": -1.4, "standard_error": 0.01, "rung": 0, "seeds": 1}
    verdict = {"outcome": "better", "changed": text, "words": text, "lesson": text}
    told = {"action": action, "operator": "draft", "candidate_id": known.id, "parent_ids": (parent.id,)}
    teller.remember(node=0, **told, score=score, verdict=verdict)
    put_call(memory, teller.campaign.id, 0, text, text)
    memory.update_campaign(teller.campaign.id, note=text, status="failed")
    first = ask("/").text
    address = next(each for each in Links(first).addresses if each.startswith("/campaign/"))

    paths = [
        address,
        f"{address}/tree",
        f"/experiment/{known.id}",
        f"/compare?id={known.id}&id={parent.id}",
        "/lessons",
    ]
    for path in [
        "/",
        *paths,
        "/search?q=alert",
        f"/experiment/{text.replace('/', '')}",
        "/memory/candidates",
        "/memory/say?words=alert",
    ]:
        page = Links(ask(path).text)

        assert not page.handlers and "img" not in page.tags, path
        assert path.startswith("/memory") or not page.inline_scripts, path
        assert not any(each.startswith(("javascript:", "http", "//")) for each in page.addresses), path


def test_looking_changes_no_byte_of_the_memory(ask, memory, best):
    memory.connection.rows("SELECT 1")
    before = hashlib.sha256(memory.path.read_bytes()).hexdigest()

    for path in [*ours(best["short"]), *DATASETTE]:
        ask(path)

    assert hashlib.sha256(memory.path.read_bytes()).hexdigest() == before


def test_what_a_campaign_writes_meanwhile_is_seen(ask, memory, start):
    teller = start()
    assert "nothing trained yet" in ask("/").text

    design = teller.candidate("A new design", "grammar", 1)
    teller.trial(design, 1.2)
    score = {"value": -1.2, "standard_error": 0.01, "rung": 0, "seeds": 1}
    action = {"index": 0, "kind": "expand", "operator": "draft"}
    teller.remember(node=0, action=action, operator="draft", candidate_id=design.id, score=score)

    assert "A new design" in ask("/").text
    assert "A new design" in ask("/campaign/first").text


def test_the_key_of_held_out_data_is_never_told(ask, memory, told):
    key = memory.evaluation_key.hex()

    for path in (
        "/memory/meta.json?_shape=array",
        "/memory.json?sql=select+*+from+meta",
        "/memory.json?sql=select+hex(value)+from+meta",
        "/memory.json?sql=select+m.value+from+meta+m+where+m.key='evaluation_key'",
        "/memory.json?sql=select+data+from+sqlite_dbpage",
    ):
        answer = ask(path)
        assert key not in answer.text and key.encode().hex() not in answer.text.lower(), path
    assert ask("/memory.db").status_code in (400, 403, 404)


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/experiment/ffffffffffff", 404, "no candidate has an id that begins with"),
        ("/campaign/second", 404, "no campaign"),
        ("/campaign/second/tree.json", 404, "no campaign"),
        ("/campaign/first?rung=seven", 400, "expected a rung"),
        ("/campaign/first?rung=7", 404, "rungs with designs"),
        ("/campaign/first?x=beauty", 404, "beauty"),
        ("/compare?id=" + "+".join("abcdefghi"), 400, "too many"),
        ("/nowhere", 404, ""),
        ("/memory/nowhere", 404, "Table not found"),
        ("/memory?sql=delete+from+trials", 400, "must be a SELECT"),
    ],
)
def test_what_is_not_there_is_one_sentence(ask, told, path, status, words):
    answer = ask(path)

    assert answer.status_code == status
    assert words in answer.text
    assert "Traceback" not in answer.text


def test_a_prefix_of_several_ids_is_refused_with_their_names(ask, memory, told):
    ids = sorted(row["id"] for row in memory.connection.rows("SELECT id FROM candidates"))
    shared = next(one[0] for one, two in zip(ids, ids[1:], strict=False) if one[0] == two[0])

    answer = ask(f"/experiment/{shared}")

    assert answer.status_code == 404
    assert "several candidates begin with" in answer.text


@pytest.mark.parametrize("path", ["/", "/memory/leaderboard", "/experiment/abc"])
@pytest.mark.parametrize(
    ("harm", "status", "words"),
    [("gone", 404, "there is no memory in"), ("damaged", 400, "memory.db"), ("newer", 400, "newer netwright")],
)
def test_a_file_that_is_gone_damaged_or_newer_is_one_sentence(ask, memory, told, path, harm, status, words):
    ask("/memory/leaderboard")
    if harm == "newer":
        with memory.connection.write() as conn:
            conn.execute("PRAGMA user_version = 999")
    else:
        memory.close()
        memory.path.write_bytes(b"SQLite format 3\0" + b"nonsense" * 500) if harm == "damaged" else memory.path.unlink()

    answer = ask(path)

    assert answer.status_code == status
    assert words in answer.text and "Traceback" not in answer.text


@pytest.mark.parametrize("method", ["post", "put", "delete"])
def test_nothing_but_reading_is_answered(ask, told, method):
    assert ask("/memory", method).status_code == 405


def test_another_site_cannot_have_its_name_point_here(ask, told):
    assert ask("/", headers={"host": "evil.example"}).status_code == 400
    assert ask("/", headers={"host": "127.0.0.1:8765"}).status_code == 200
    assert ask("/", headers={"host": "[::1]:8765"}).status_code == 200


def test_only_loopback_addresses_are_this_machine_alone():
    assert [host for host in ("127.0.0.1", "::1", "localhost", "0.0.0.0", "::", "box") if is_loopback(host)] == [
        "127.0.0.1",
        "::1",
        "localhost",
    ]


def test_without_datasette_a_sentence_names_what_to_install(memory, told, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "datasette.app", None)

    with pytest.raises(ConfigError, match=r"pip install 'netwright\[web\]'"):
        datasette_over(memory.home)


def test_a_page_is_kept_for_as_long_as_nothing_is_written(tmp_path):
    path = tmp_path / "memory.db"
    path.write_bytes(b"one")
    kept, made = Kept(), []

    def make():
        made.append(1)
        return f"page {len(made)}", "text/html"

    assert [kept.page("/", path, make)[0] for _ in range(2)] == ["page 1", "page 1"]
    path.with_name("memory.db-wal").write_bytes(b"more")
    assert kept.page("/", path, make)[0] == "page 2"
    assert kept.page("/lessons", path, make)[0] == "page 3"

"""`memory search` finds by words, structure and numbers; whatever is wrong with what is asked is one sentence."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from netwright.campaign.readings import structure_in
from netwright.cli.app import run
from netwright.evaluator.baselines import baseline
from netwright.evaluator.tasks import load_task
from netwright.memory import Memory, schema
from netwright.types import Trial, TrialStatus

NAMES = ("softmax_attention", "linear_attention", "retention", "delta_net", "gated_delta_net")
TASK = load_task("recall").spec


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A memory of five baselines, the first with the best loss."""
    found = tmp_path_factory.mktemp("known") / "home"
    with Memory.open(found) as memory:
        memory.put_task(TASK)
        for number, candidate in enumerate(map(baseline, NAMES)):
            memory.put_candidate(candidate)
            structure_in(memory, candidate, TASK)
            fields = {"candidate_id": candidate.id, "task_id": TASK.id, "rung": 0, "seed": 0, "parameters": 1000}
            memory.put_trial(None, Trial(**fields, status=TrialStatus.DONE, loss_nats=1.0 + number, tokens=1, steps=1))
    return found


Ask = Callable[..., tuple[int, str, str]]


@pytest.fixture
def ask(home: Path, capfd: pytest.CaptureFixture[str]) -> Ask:
    def call(*arguments: object, at: Path = home) -> tuple[int, str, str]:
        code = run(["memory", *map(str, arguments), "--home", str(at)])
        told = capfd.readouterr()
        assert "Traceback" not in told.err
        return code, told.out, told.err

    return call


def found(ask: Ask, *arguments: object) -> list[str]:
    code, out, _ = ask("search", *arguments, "--json")
    assert code == 0
    names = {baseline(name).id: name for name in NAMES}
    return [names[hit["candidate_id"]] for hit in json.loads(out)]


def test_words_structure_and_numbers_find_and_restrict(ask: Ask) -> None:
    delta = baseline("delta_net").id

    assert found(ask, "rotary positions")[0] == "softmax_attention"
    assert found(ask, "--like", delta[:12])[0] == "gated_delta_net"
    assert "delta_net" not in found(ask, "--like", delta)
    assert found(ask, "decay", "--where", "loss < 3.5", "--where", "loss>2.5") == ["retention"]
    assert found(ask, "attention", "--task", "recall", "--origin", "baseline", "-n", "1") != []


def test_a_file_finds_what_is_made_as_it_is(ask: Ask, tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(baseline("delta_net").source.replace("beta", "strength"))

    hits = found(ask, "--like-file", file)

    assert hits[0] == "delta_net"
    assert found(ask, "decay", "--like-file", file)[0] == "gated_delta_net"


def test_every_hit_says_why(ask: Ask) -> None:
    _, out, _ = ask("search", "fast-weight memory", "--like", baseline("gated_delta_net").id)

    assert "DeltaNet (delta rule)" in out
    assert "idea speaks of fast, weight, memory" in out
    assert "made alike (distance 0." in out


@pytest.mark.parametrize("text", ['"', "AND OR", "NEAR(", "a:b", "^(", "'; DROP TABLE trials;--", "*", "{source} : x"])
def test_any_text_may_be_searched_for(ask: Ask, text: str) -> None:
    assert ask("search", text)[0] == 0


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((), "nothing to search for: give words, --like ID or --like-file FILE"),
        (("--like", "zz"), "no candidate has an id that begins with 'zz'"),
        (("--like", ""), "no candidate has an id that begins with ''"),
        (("--like", "00", "--like-file", "x.py"), "give one of them"),
        (("--like-file", "nowhere.py"), "candidate file nowhere.py does not exist; check the path"),
        (
            ("a", "--where", "loss << 1"),
            "'loss << 1' is no condition: write a name, one of < <= > >= = != and a number",
        ),
        (
            ("a", "--where", "beauty > 1"),
            "nothing here has a number 'beauty'; known: flops_per_token, loss, parameters",
        ),
        (("a", "--task", "poetry"), "nothing was tried on a task 'poetry'; known: recall"),
        (("a", "--campaign", "none"), "there is no campaign 'none'"),
        (("a", "--outcome", "good"), "there is no outcome 'good'; known: better, worse, no difference, failed, first"),
        (("a", "--origin", "me"), "no candidate is by 'me'; known: baseline"),
        (("a", "--embed", "http://127.0.0.1:9"), "--embed and --embed-model go together"),
        (("a", "--embed", "ftp://x", "--embed-model", "m"), "expected the URL of an endpoint"),
    ],
)
def test_what_cannot_be_searched_for_is_one_sentence(ask: Ask, arguments: tuple[str, ...], sentence: str) -> None:
    code, out, err = ask("search", *arguments)

    assert (code, out) == (2, "")
    assert sentence in err
    assert err.count("\n") == 1


def test_a_prefix_that_fits_several_names_them(ask: Ask, home: Path) -> None:
    ids = sorted(baseline(name).id for name in NAMES)
    with Memory.open(home) as memory:
        number = 0
        while (other := baseline("retention").model_copy(update={"source": f"# {number}\n"})).id[0] != ids[0][0]:
            number += 1
        memory.put_candidate(other)

    code, _, err = ask("search", "--like", ids[0][0])

    assert code == 2
    assert f"several candidates begin with '{ids[0][0]}'" in err


def test_a_file_that_is_no_python_is_one_sentence(ask: Ask, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("class Mixer(:\n")

    code, _, err = ask("search", "--like-file", tmp_path / "mine.py")

    assert code == 2
    assert "mine.py is no Python that can be compared: invalid syntax" in err


def test_a_memory_that_is_newer_or_damaged_is_one_sentence(ask: Ask, tmp_path: Path) -> None:
    with Memory.open(tmp_path / "newer") as memory:
        memory.connection.rows(f"PRAGMA user_version = {schema.VERSION + 1}")
    with Memory.open(tmp_path / "damaged"):
        pass
    path = tmp_path / "damaged" / "memory.db"
    path.write_bytes(path.read_bytes()[:4096] + b"\xa5" * (path.stat().st_size - 4096))

    for name, sentence in (("newer", "was written by a newer netwright"), ("damaged", "is damaged")):
        code, _, err = ask("search", "decay", at=tmp_path / name)
        assert code == 2
        assert sentence in err


def test_a_server_for_vectors_that_is_not_there_is_named(ask: Ask) -> None:
    code, _, err = ask("embed", "http://127.0.0.1:9", "small")

    assert code == 1
    assert "endpoint http://127.0.0.1:9/v1: the connection failed" in err

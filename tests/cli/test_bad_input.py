"""A user's mistake is answered by one sentence that names it and the remedy, and by exit code 2 or 1."""

from __future__ import annotations

import resource
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from netwright.cli.app import run
from netwright.memory.store import Memory
from netwright.types import Candidate, Scope

Said = Callable[..., tuple[int, str]]
Done = subprocess.CompletedProcess[str]


@pytest.fixture
def said(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Said:
    """Run a command in an empty home; its exit code and what it said on stderr."""

    def call(*arguments: object, home: Path | None = None) -> tuple[int, str]:
        code = run([*map(str, arguments), "--home", str(home or tmp_path / "home")])
        message = capfd.readouterr().err
        assert "Traceback" not in message
        return code, message

    return call


def test_an_unknown_task_is_named_with_the_known_ones(said: Said) -> None:
    code, message = said("run", "--task", "poetry")

    assert code == 2
    assert "'poetry'" in message and "bytes" in message and "recall" in message


@pytest.mark.parametrize("command", [("run", "--llm"), ("run", "--dry-run", "--llm"), ("endpoint", "check")])
def test_a_folder_that_holds_no_model_is_named_before_anything_is_started(
    said: Said, tmp_path: Path, command: tuple[str, ...]
) -> None:
    code, message = said(*command, f"hf:{tmp_path}")

    assert code == 2
    assert f"hf:{tmp_path}: {tmp_path} has no config.json" in message
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--port 80", "--serve-options: --port is chosen by netwright"),
        ("--dtype 'auto", '--serve-options "--dtype \'auto" cannot be split into words: No closing quotation'),
    ],
)
def test_options_for_a_server_that_cannot_be_are_named(said: Said, tmp_path: Path, options: str, words: str) -> None:
    code, message = said("run", "--llm", f"hf:{tmp_path}", "--serve-options", options)

    assert code == 2
    assert words in message


def test_an_unknown_policy_is_named_with_the_known_ones(said: Said) -> None:
    code, message = said("run", "--policy", "hope")

    assert code == 2
    assert "'hope'" in message and "tree" in message and "evolution" in message


def test_a_policy_file_is_sought_beside_the_campaign_file(said: Said, tmp_path: Path) -> None:
    (tmp_path / "campaign.toml").write_text('[search]\npolicy = "mine.py"')

    code, message = said("run", tmp_path / "campaign.toml")

    assert code == 2
    assert f"policy file {tmp_path / 'mine.py'} does not exist" in message


def test_a_policy_of_ones_own_that_cannot_be_made_is_told_before_anything_runs(said: Said, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("def POLICY(seed, prices, promotions):\n    return 3")

    code, message = said("run", "--policy", tmp_path / "mine.py")

    assert code == 2
    assert "mine.py makes an object of type int without `ask`" in message


@pytest.mark.parametrize("command", [["evaluate", "{file}"], ["baselines"], ["run"]])
def test_an_unknown_protocol_is_named_with_the_known_ones(said: Said, honest_file: Path, command: list[str]) -> None:
    code, message = said(*(word.format(file=honest_file) for word in command), "--protocol", "joules")

    assert code == 2
    assert "'joules'" in message and "flops" in message and "time" in message


@pytest.mark.parametrize("command", [["evaluate", "{file}"], ["baselines"], ["measure"], ["run"]])
@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--device", "tpu"], ["--device", "'tpu'", "cuda:N"]),
        (["--device", "cuda:900"], ["cuda:900"]),
        (["--device", "cpu", "--precision", "fp8"], ["--precision", "'fp8'", "bf16"]),
        (["--device", "cpu", "--precision", "tf32"], ["tf32", "CPU", "bf16"]),
        (["--device", "cpu", "--compile", "maybe"], ["--compile", "'maybe'", "'auto'"]),
    ],
    ids=lambda each: " ".join(each[:4]),
)
def test_what_nothing_can_be_trained_on_or_in_is_named_with_what_can(
    said: Said, honest_file: Path, command: list[str], flags: list[str], words: list[str]
) -> None:
    code, message = said(*(word.format(file=honest_file) for word in command), *flags)

    assert code == 2
    assert all(word in message for word in words)


def test_missing_data_is_named(said: Said, tmp_path: Path) -> None:
    code, message = said("run", "--task", "bytes", "--data", tmp_path / "nowhere")

    assert code == 2
    assert str(tmp_path / "nowhere") in message


@pytest.mark.parametrize(
    ("content", "expected"),
    [(b"", "empty"), (b"\x00\xff\x00\x01" * 50_000, "text"), (b"too short\n", "bytes")],
    ids=["empty", "binary garbage", "smaller than one sequence"],
)
def test_data_that_cannot_be_learned_from_is_refused(said: Said, tmp_path: Path, content: bytes, expected: str) -> None:
    path = tmp_path / "data.txt"
    path.write_bytes(content)

    code, message = said("run", "--task", "bytes", "--data", path)

    assert code == 2
    assert str(path) in message and expected in message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('task = "recall"\nbudgt = 3\n', ("line 2", "'budgt'", "budget")),
        ('[budget]\ntrials = "many"\n', ("line 2", "budget.trials", "'many'")),
        ("[budget]\ntrials = 0\n", ("line 2", "budget.trials", "0")),
        ("task = = 3\n", ("line 1",)),
        ('[llm]\n\nurl = "localhost"\n', ("line 3", "llm.url", "http://")),
        ('name = "../up"\n', ("line 1", "name")),
        ("rung_tokens = [10]\n", ("rung_tokens", "[10]")),
        ('task = "recall"\nprotocol = "joules"\n', ("line 2", "protocol", "'tokens', 'flops' or 'time'", "joules")),
        ("[sandbox]\nmemory_mb = 100\n", ("line 2", "sandbox.memory_mb", "100", "at least 384", "torch")),
        ("[sandbox]\nthreads = 0\n", ("line 2", "sandbox.threads", "0", "at least 1")),
        ("[sandbox]\n\nbuild_seconds = -1.0\n", ("line 3", "sandbox.build_seconds", "-1", "leave it out for 10")),
        ("[sandbox]\noutput_kb = 0\n", ("line 2", "sandbox.output_kb", "at least 1")),
        ("[sandbox]\nfirst_step_seconds = nan\n", ("line 2", "sandbox.first_step_seconds", "finite")),
        ("[sandbox]\nmemroy_mb = 4096\n", ("line 2", "sandbox.memroy_mb", "memory_mb")),
        ('[sandbox]\ntier = "T4"\n', ("line 2", "sandbox.tier", "'T3'", "T4")),
        ('[sandbox]\ntier = "T0"\n', ("line 2", "sandbox.tier", "T0", "accept_no_sandbox = true")),
        ('[sandbox]\nkind = "docker"\nimage = " "\n', ("line 3", "sandbox.image", "name of an image")),
        ('[sandbox]\nimage = "mine"\n', ("line 2", "sandbox.image", "mine", "docker")),
        ('[sandbox]\noptions = ["--gpus", "all"]\n', ("line 2", "sandbox.options", "--gpus", "docker")),
        ('[sandbox]\nkind = "lxc"\n', ("line 2", "sandbox.kind", "'podman'", "lxc")),
        ("[audit]\nscreening_sheets = 0\n", ("line 2", "audit.screening_sheets", "0", "at least 1")),
        ("[audit]\nscreening_sheets = 3\nfinal_sheets = 2\n", ("line 3", "audit.final_sheets", "(3)", "2", "raise it")),
        ("[audit]\nscreening_sheets = 8\n", ("audit.final_sheets", "(8)", "4")),
        (
            'task = "recall"\nrung_tokens = [60000]\n[sandbox]\nbuild_seconds = 26.0\n',
            ("sandbox.build_seconds", "26", "25.0 s", "train_base_seconds"),
        ),
    ],
)
def test_a_malformed_campaign_file_is_refused_with_key_and_line(
    said: Said, tmp_path: Path, text: str, expected: tuple[str, ...]
) -> None:
    path = tmp_path / "campaign.toml"
    path.write_text(text)

    code, message = said("run", path)

    assert code == 2
    assert all(part in message for part in expected), message


def test_a_campaign_file_that_does_not_exist_is_named(said: Said, tmp_path: Path) -> None:
    code, message = said("run", tmp_path / "none.toml")

    assert code == 2
    assert "none.toml" in message


def test_the_database_of_another_program_is_left_alone(said: Said, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    with sqlite3.connect(home / "memory.db") as connection:
        connection.execute("CREATE TABLE recipes (name)")
    connection.close()
    before = (home / "memory.db").read_bytes()

    code, message = said("run", "--trials", "1")

    assert code == 2
    assert "memory.db" in message
    assert (home / "memory.db").read_bytes() == before


def test_a_memory_of_a_newer_netwright_is_left_alone(said: Said, tmp_path: Path) -> None:
    home = tmp_path / "home"
    Memory.open(home).close()
    with sqlite3.connect(home / "memory.db") as connection:
        connection.execute("PRAGMA user_version = 999")
    connection.close()

    code, message = said("run", "--trials", "1")

    assert code == 2
    assert "newer" in message


def test_a_file_that_is_no_database_is_left_alone(said: Said, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "memory.db").write_text("my notes")

    code, _ = said("memory", "top")

    assert code == 2
    assert (home / "memory.db").read_text() == "my notes"


def test_a_home_that_cannot_be_written_is_named(said: Said) -> None:
    code, message = said("run", "--trials", "1", home=Path("/proc/netwright"))

    assert code == 1
    assert "/proc/netwright" in message and "--home" in message


def test_a_full_disk_stops_with_a_sentence_and_leaves_a_memory_that_opens(tmp_path: Path) -> None:
    home = tmp_path / "home"
    Memory.open(home).close()

    done = subprocess.run(
        [sys.executable, "-m", "netwright", "run", "--task", "recall", "--trials", "1", "--home", str(home)],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)),
    )

    assert done.returncode == 1
    assert "Traceback" not in done.stderr and "memory.db" in done.stderr, done.stderr
    with Memory.open(home, create=False, read_only=True) as memory:
        assert memory.campaigns() == []


def test_no_isolation_is_not_had_without_saying_so_twice(said: Said, honest_file: Path) -> None:
    for command in (["evaluate", honest_file], ["run"], ["baselines"]):
        code, message = said(*command, "--tier", "T0")
        assert code == 2
        assert "--i-accept-no-sandbox" in message


def test_an_engine_that_is_missing_is_named(said: Said, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    for engine in ("docker", "podman"):
        code, message = said("run", "--task", "recall", "--sandbox", engine)
        assert code == 2
        assert f"`{engine}`" in message and "install" in message


def test_a_kernel_without_landlock_is_told_what_it_lacks(
    without_landlock: Callable[..., Done], honest_file: Path
) -> None:
    done = without_landlock("check", honest_file)

    assert done.returncode == 2
    assert done.stdout == "" and done.stderr.count("\n") == 1
    assert "landlock" in done.stderr and "Linux 5.13" in done.stderr and "T1" in done.stderr


def test_a_tier_that_cannot_be_had_is_refused(without_landlock: Callable[..., Done], honest_file: Path) -> None:
    done = without_landlock("check", honest_file, "--tier", "T3")

    assert done.returncode == 2
    assert "isolation T3 cannot be had here, only T1" in done.stderr


def test_an_image_for_no_container_is_refused(said: Said) -> None:
    code, message = said("run", "--image", "mine")

    assert code == 2
    assert "--image: 'mine' is for containers" in message and "--sandbox docker" in message


def test_an_unknown_kind_of_sandbox_or_tier_is_bad_usage(said: Said) -> None:
    for flags in (("--sandbox", "lxc"), ("--tier", "T9")):
        code, message = said("run", *flags)
        assert code == 2
        assert flags[0] in message and flags[1] in message


def test_an_empty_home_says_how_to_begin(said: Said) -> None:
    for command in (("memory", "top"), ("status",), ("report",), ("resume",), ("confirm",)):
        code, message = said(*command)
        assert code == 2
        assert "netwright run" in message


def test_an_id_that_fits_nothing_is_named(said: Said, tmp_path: Path) -> None:
    Memory.open(tmp_path / "home").close()

    code, message = said("memory", "show", "abc123")

    assert code == 2
    assert "'abc123'" in message


def test_sql_that_writes_is_refused(said: Said, tmp_path: Path) -> None:
    Memory.open(tmp_path / "home").close()

    code, message = said("memory", "sql", "DELETE FROM campaigns")

    assert code == 2
    assert "only SELECT" in message


def test_an_unknown_flag_is_bad_usage(said: Said) -> None:
    code, message = said("run", "--nonsense")

    assert code == 2
    assert "--nonsense" in message


def test_a_candidate_file_that_does_not_exist_is_named(said: Said) -> None:
    code, message = said("evaluate", "nothing.py")

    assert code == 2
    assert "nothing.py" in message


def test_a_task_for_whole_models_is_refused_where_nobody_could_propose_one(said: Said) -> None:
    code, message = said("run", "--task", "digits")

    assert code == 2
    assert "'digits' wants candidates of scope model" in message and "--llm URL" in message


def test_a_task_file_that_raises_is_named_with_what_it_raised(said: Said, tmp_path: Path) -> None:
    file = tmp_path / "broken.py"
    file.write_text("1 / 0\n")

    code, message = said("run", "--task", str(file))

    assert code == 2
    assert "broken.py cannot be loaded: ZeroDivisionError" in message


def test_a_baseline_that_is_none_is_named(said: Said, tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text('task = "recall"\nbaselines = ["lstm", "gpt"]\n')

    code, message = said("run", str(file))

    assert code == 2
    assert "no baseline 'gpt'" in message and "lstm" in message


@pytest.mark.parametrize("command", [("top",), ("tree",), ("stats",), ("failures",), ("sql", "SELECT * FROM nodes")])
def test_a_memory_whose_pages_are_overwritten_is_called_damaged(
    said: Said, tmp_path: Path, command: tuple[str, ...]
) -> None:
    with Memory.open(tmp_path / "home") as memory:
        path, size = memory.path, 4096
    content = bytearray(path.read_bytes())
    for page in range(2, len(content) // size):
        content[page * size : (page + 1) * size] = b"\xa5" * size
    path.write_bytes(content)

    code, message = said("memory", *command)

    assert code == 2
    assert f"{path} is damaged: put a copy in its place" in message
    assert path.read_bytes() == content


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A memory in which some two ids begin alike: there are more of them than first characters."""
    home = tmp_path_factory.mktemp("crowded")
    with Memory.open(home) as memory:
        for number in range(17):
            given = {"source": f"# {number}\n", "title": f"Design {number}", "hypothesis": "", "origin": "me"}
            memory.put_candidate(Candidate(scope=Scope.MIXER, **given))
    return home


@pytest.mark.parametrize("command", [("show", "{id}"), ("diff", "{id}", "{id}")], ids=lambda each: each[0])
def test_an_id_that_fits_none_or_several_is_named(said: Said, crowded: Path, command: tuple[str, ...]) -> None:
    with Memory.open(crowded, read_only=True) as memory:
        firsts = [row["short"][0] for row in memory.connection.rows("SELECT short FROM candidates")]
    several = next(first for first in firsts if firsts.count(first) > 1)

    for prefix, words in ((several, f"several candidates begin with {several!r}"), ("zz", "begins with 'zz'")):
        code, message = said("memory", *(word.format(id=prefix) for word in command), home=crowded)

        assert code == 2
        assert words in message and message.count("\n") == 1


@pytest.mark.parametrize("query", ["DELETE FROM nodes", "PRAGMA user_version = 3", "ATTACH 'x.db' AS x"])
def test_a_query_that_would_write_is_refused_and_writes_nothing(said: Said, crowded: Path, query: str) -> None:
    before = (crowded / "memory.db").read_bytes()

    code, message = said("memory", "sql", query, home=crowded)

    assert code == 2
    assert "would do more than read" in message
    assert (crowded / "memory.db").read_bytes() == before


@pytest.mark.parametrize("command", [("top",), ("stats",), ("lessons",), ("sql", "SELECT 1")])
def test_a_memory_of_a_newer_netwright_is_left_as_it_is(said: Said, tmp_path: Path, command: tuple[str, ...]) -> None:
    with Memory.open(tmp_path / "home") as memory:
        path = memory.path
    with sqlite3.connect(path) as conn:
        conn.execute("PRAGMA user_version = 900")
    conn.close()
    before = path.read_bytes()

    code, message = said("memory", *command)

    assert code == 2
    assert "was written by a newer netwright (schema 900" in message
    assert path.read_bytes() == before

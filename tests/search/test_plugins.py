"""Policies of the user's own, as a file and as an entry point of an installed package."""

import re
import sys
from pathlib import Path

import pytest

from netwright.errors import ConfigError
from netwright.search.guard import GuardedPolicy
from netwright.search.plugins import listed_policies
from netwright.search.policy import POLICIES, Observation, make_policy
from netwright.types import Operator

NEWEST = """
from netwright.search.basic import BasicPolicy, draft, expansion
from netwright.types import Operator


class Newest(BasicPolicy):
    def expand(self, index, rng, sketch):
        alive = [node.id for node in self.state.in_order if node.alive]
        return expansion(index, Operator.REFINE, alive[-1]) if alive else draft(index)


POLICY = Newest
"""


PAGE = Path(__file__).parents[2] / "docs" / "policies.md"


@pytest.fixture
def own_file(tmp_path):
    def write(text):
        path = tmp_path / "mine.py"
        path.write_text(text)
        return str(path)

    return write


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """An installed package that offers the policy `newest`."""
    (tmp_path / "newest_policy.py").write_text(NEWEST)
    metadata = tmp_path / "newest_policy-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: newest-policy\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[netwright.policies]\nnewest = newest_policy:POLICY\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("newest_policy", None)


def grows_the_newest(name):
    policy = make_policy(name, seed=0, prices=[1.0])
    policy.tell(Observation(action=None, node=-1, value=1.0))
    action = policy.ask(0)
    return isinstance(policy, GuardedPolicy) and (action.operator, action.parents) == (Operator.REFINE, (-1,))


def test_a_file_of_ones_own_is_a_policy_under_guard(own_file):
    assert grows_the_newest(own_file(NEWEST))


def test_a_policy_of_an_installed_package_is_found_and_listed_by_its_name(installed):
    assert grows_the_newest("newest")
    assert listed_policies() == {**POLICIES, "newest": "of the package newest_policy:POLICY"}
    with pytest.raises(ConfigError, match="unknown search policy 'hope': use one of tree, .*, newest, or the path"):
        make_policy("hope", seed=0, prices=[1.0])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x = 1", "defines no POLICY: add POLICY = YourPolicy"),
        ("POLICY = 3", "is a int, expected what can be called with seed, prices and promotions"),
        ("POLICY = dict", "makes an object of type dict without `ask`"),
        ("def POLICY(seed): pass", r"mine\.py cannot be loaded: TypeError: .* unexpected keyword argument 'prices'"),
        ("import nonesuch", r"mine\.py cannot be loaded: ModuleNotFoundError: No module named 'nonesuch'"),
        ("def", r"mine\.py cannot be loaded: SyntaxError"),
        ("raise SystemExit(4)", r"mine\.py cannot be loaded: SystemExit: 4"),
    ],
    ids=["nothing", "no factory", "no policy", "arguments", "import", "syntax", "exit"],
)
def test_a_file_that_makes_no_policy_is_told_with_what_it_should_have(own_file, text, words):
    with pytest.raises(ConfigError, match=words):
        make_policy(own_file(text), seed=0, prices=[1.0])


def test_a_policy_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"policy file .*nowhere\.py does not exist"):
        make_policy(str(tmp_path / "nowhere.py"), seed=0, prices=[1.0])


def test_the_example_of_the_documentation_searches(own_file, play, landscape):
    (example,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(example.splitlines()) <= 22

    played = play(make_policy(own_file(example), seed=0, prices=[1.0, 3.0]), landscape(seed=0), 60, flight=3)

    assert {action.kind for action in played.actions} == {"expand", "promote"}
    assert {Operator.DRAFT, Operator.REFINE} <= {action.operator for action in played.actions}


def test_the_documentation_and_the_list_name_the_same_policies():
    assert set(re.findall(r"^\| `([\w-]+)`", PAGE.read_text(), re.MULTILINE)) == set(POLICIES)

import subprocess
import sys

import pytest

from netwright.evaluator.contract import SOURCE_BYTES_MAX, inspect_source, recipe_of, title_and_hypothesis
from netwright.types import Recipe, Scope

GOOD = '''"""Identity

A mixer that mixes nothing.
"""
import torch


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()

    def forward(self, x):
        return x
'''


def failed(source: str, scope: Scope = Scope.MIXER) -> tuple[str, str]:
    """The first failing gate and its message; ("", "") where all pass."""
    reports = [report for report in inspect_source(source, scope) if not report.passed]
    return (reports[0].gate, reports[0].message) if reports else ("", "")


def test_a_plain_mixer_passes_all_static_gates():
    reports = inspect_source(GOOD, Scope.MIXER)

    assert [report.gate for report in reports] == ["size", "syntax", "contract", "imports", "recipe"]
    assert all(report.passed for report in reports)


@pytest.mark.parametrize("source", ["", "  \n\n", "\ud800 = 1", GOOD + "#" * SOURCE_BYTES_MAX])
def test_an_empty_undecodable_or_oversized_file_fails_the_size_gate(source):
    assert failed(source)[0] == "size"


@pytest.mark.parametrize(
    "source",
    [
        "def f(:",
        "x = " + "(" * 5000 + ")" * 5000,
        "x = " + "-" * 60000 + "1",
        "x = 1" + "+1" * 30000,
        "x = 1\0",
        "x" + ".a" * 30000,
        "x = 9" + "9" * 20000,
    ],
)
def test_broken_text_and_nesting_bombs_fail_a_gate_and_do_not_crash(source):
    assert failed(source)[0] in {"syntax", "contract"}


def test_a_nesting_bomb_cannot_crash_the_trusted_process():
    bombs = ["'x = ' + '-' * 60000 + '1'", "'[' * 65000", "'x = 1' + '+1' * 32000", "'lambda:' * 9000 + '1'"]
    script = "from netwright.evaluator.contract import inspect_source as i\nfrom netwright.types import Scope\n"
    script += "".join(f"i({bomb}, Scope.MIXER)\n" for bomb in bombs)

    finished = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)

    assert finished.returncode == 0, finished.stderr


def test_a_syntax_error_names_its_line():
    assert "line 2" in failed("import torch\nclass Mixer(\n")[1]


@pytest.mark.parametrize(
    ("source", "part"),
    [
        (GOOD.replace("class Mixer", "class Mixture"), "none of them"),
        (GOOD.replace("class Mixer", "class Block"), "Block"),
        (GOOD + "\nclass Model(torch.nn.Module):\n    pass\n", "Mixer, Model"),
        (GOOD.replace("dim, heads, max_len, layer, layers", "width"), "width"),
        (GOOD.replace("layers)", "layers, ratio)"), "ratio"),
        (GOOD.replace("forward(self, x)", "forward(self, x, mask)"), "mask"),
        (GOOD.replace("forward", "run"), "forward"),
    ],
)
def test_what_breaks_the_contract_is_named(source, part):
    gate, message = failed(source)

    assert gate == "contract"
    assert part in message


def test_an_integer_that_holds_a_table_is_refused_wherever_it_stands():
    for line in ("T = {}", "RECIPE = {{'batch_size': {}}}", "RECIPE = {{{}: 1}}"):
        gate, message = failed(f"{GOOD}\n{line.format(hex(10**5000))}\n")

        assert gate == "contract"
        assert "more than 128 bits" in message


@pytest.mark.parametrize("recipe", ["{'batch_size': 0x" + "f" * 5000 + "}", "{0x" + "f" * 5000 + ": 1}"])
def test_a_recipe_of_thousands_of_digits_is_a_sentence_for_whoever_asks(recipe):
    with pytest.raises(ValueError, match="RECIPE"):
        recipe_of(f"{GOOD}\nRECIPE = {recipe}\n", Recipe())


@pytest.mark.parametrize("line", [f"T = {'x' * 5000!r}", f"T = {[0.5] * 2001}", f"T = {b'x' * 5000!r}"])
def test_tables_and_texts_that_should_be_learned_are_refused(line):
    gate, message = failed(f"{GOOD}\n{line}\n")

    assert gate == "contract"
    assert "as literals" in message


def test_long_docstrings_and_short_tables_are_no_such_thing():
    documented = GOOD.replace("        return x", f'        """{"why " * 2000}"""\n        return x')

    assert failed(f"{documented}\nT = {[0.5] * 500}\n") == ("", "")


@pytest.mark.parametrize(
    "source",
    [
        GOOD.replace("layers)", "layers, ratio=4)"),
        GOOD.replace("(self, dim, heads, max_len, layer, layers)", "(self, dim, **_)"),
        GOOD.replace("(self, dim,", "(self, *, dim,"),
        GOOD.replace("class Mixer(torch.nn.Module)", "class Base(torch.nn.Module)")
        + "\n\nclass Mixer(Base):\n    pass\n",
    ],
)
def test_unusual_but_valid_signatures_pass(source):
    assert failed(source) == ("", "")


def test_a_model_takes_the_spec():
    source = GOOD.replace("Mixer", "Model").replace("dim, heads, max_len, layer, layers", "spec")

    assert failed(source, Scope.MODEL) == ("", "")


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("import os", "os"),
        ("from subprocess import run", "subprocess.run"),
        ("import numpy as np", "numpy"),
        ("from . import secrets", "secrets"),
        ("def f():\n    import socket", "socket"),
        ("import torch.utils.cpp_extension", "torch.utils.cpp_extension"),
        ("from torch import multiprocessing", "torch.multiprocessing"),
        ("Y = torch.load('x')", "torch.load"),
        ("Y = open('/etc/passwd')", "open"),
        ("Y = eval('1')", "eval"),
        ("Y = __import__('os')", "__import__"),
        ("Y = ().__class__.__bases__", "__bases__"),
        ("Y = torch.sys", "torch.sys"),
        ("Y = torch.sys.modules['io']", "torch.sys"),
        ("Y = torch.utils.os.path", "torch.utils.os"),
        ("def f(sys):\n    return sys.modules", "sys.modules"),
        ("def f(x):\n    return x._getframe().f_back", "f_back"),
        ("def f(x):\n    return x.f_locals", "f_locals"),
        ("Y = object.__subclasses__()", "__subclasses__"),
        ("Y = __builtins__", "__builtins__"),
        ("torch.nn.Linear.forward = None", "torch.nn.Linear.forward"),
        ("import torch.nn.functional as F\n_, F.softmax = 1, 2", "F.softmax"),
        ("from torch import nn\nsetattr(nn.Linear, 'forward', None)", "nn.Linear"),
        ("del torch.relu", "torch.relu"),
        ("torch.nn.modules.module.register_module_forward_hook(print)", "register_module_forward_hook"),
        ("Y = torch.cond(1, 2, 3, 4)", "torch.where"),
        ("from torch.nn.attention.flex_attention import flex_attention", "scaled_dot_product_attention"),
    ],
)
def test_imports_outside_the_list_and_obvious_escapes_are_named(line, named):
    gate, message = failed(GOOD + "\n" + line + "\n")

    assert gate == "imports"
    assert named in message


def test_the_import_message_lists_what_is_allowed():
    assert "torch, math, typing" in failed(GOOD + "\nimport os\n")[1]


def test_a_candidates_own_attributes_may_be_called_what_modules_are():
    assert failed(GOOD.replace("return x", "self.io = self.gc = x\n        return self.io.real + self.gc")) == ("", "")


def test_an_argument_may_be_called_what_a_builtin_is():
    source = GOOD.replace("forward(self, x)", "forward(self, input)").replace("return x", "return input * 1")

    assert failed(source) == ("", "")
    assert failed(source.replace("input * 1", "open(input)"))[0] == "imports"


@pytest.mark.parametrize(
    "line",
    [
        "torch.backends.cudnn.benchmark = True",
        "import torch._dynamo\ntorch._dynamo.config.suppress_errors = True",
        "relu = torch.compile(torch.relu, fullgraph=True)",
        "class Own:\n    torch = 1\nOwn.torch = 2\nsetattr(Own, 'torch', 3)",
    ],
)
def test_switches_of_torch_and_compiling_pass(line):
    assert failed(GOOD + "\n" + line + "\n") == ("", "")


@pytest.mark.parametrize(("text", "named"), [("\x1b[2J", "U+001B"), ("\u202e", "U+202E"), ("\u2028", "U+2028")])
def test_characters_that_hide_what_a_file_does_are_named_with_their_line(text, named):
    gate, message = failed(GOOD + f"\n# {text}\n")

    assert gate == "syntax"
    assert f"line {GOOD.count(chr(10)) + 2} holds the invisible character {named}" in message


@pytest.mark.parametrize("line", ["import torch.nn.functional as F", "from einops import rearrange", "import math"])
def test_allowed_imports_pass(line):
    assert failed(GOOD.replace("import torch\n", f"import torch\n{line}\n")) == ("", "")


@pytest.mark.parametrize(
    ("recipe", "part"),
    [
        ("{'lr': 5.0}", "lr"),
        ("{'momentum': 0.9}", "momentum"),
        ("{'lr': '0.1'}", "lr"),
        ("{'batch_size': True}", "batch_size"),
        ("dict(lr=0.1)", "literal"),
        ("{'lr': 10 ** 9}", "literal"),
        ("{'lr': float('nan')}", "literal"),
        ("[1, 2]", "literal"),
        ("{'optimizer': 'lion'}", "optimizer"),
        ("{'betas': (0.9, 1.5)}", "betas"),
    ],
)
def test_a_bad_recipe_names_the_key(recipe, part):
    gate, message = failed(GOOD + f"\nRECIPE = {recipe}\n")

    assert gate == "recipe"
    assert part in message


def test_a_recipe_overrides_only_what_it_names():
    recipe = recipe_of(GOOD + "\nRECIPE = {'lr': 1e-3, 'betas': [0.8, 0.9]}\n", Recipe(batch_size=7))

    assert (recipe.lr, recipe.betas, recipe.batch_size) == (1e-3, (0.8, 0.9), 7)


def test_the_docstring_gives_title_and_hypothesis():
    assert title_and_hypothesis(GOOD) == ("Identity", "Identity\n\nA mixer that mixes nothing.")
    assert title_and_hypothesis("import torch") == ("", "")
    assert title_and_hypothesis("'''\n'''") == ("", "")

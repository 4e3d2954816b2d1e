"""Architectures drawn from what their process showed: small, in order, the same each time, and no markup of theirs."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest
import torch
from torch import nn

from netwright.evaluator import loading
from netwright.evaluator.backbone import candidate_parts
from netwright.evaluator.baselines import MIXERS, baseline
from netwright.evaluator.causality import Chain
from netwright.evaluator.tasks import load_task
from netwright.evaluator.tracing import trace
from netwright.portrait import TracedGraph
from netwright.report.drawing import draw, standalone
from netwright.report.layout import lay_out
from netwright.report.sketch import boxes_of, layers_of

SVG = "{http://www.w3.org/2000/svg}"


def traced(name: str) -> TracedGraph:
    spec = load_task("recall").spec
    parts = candidate_parts(spec, loading.load_factory(baseline(name).source, spec))
    found = trace(Chain(parts, residual=True).eval(), torch.randn(1, 8, spec.dim))
    assert found is not None
    return found


def lines(boxes) -> list[list[str]]:
    return [[line.label for line in box.lines] for box in boxes.boxes]


def test_one_layer_is_shown_for_many_that_are_alike_and_each_that_is_not():
    assert len(layers_of(traced("softmax_attention"))) == 1
    assert len(layers_of(traced("attention_convolution_hybrid"))) == 2


def test_projections_say_their_widths_and_stand_in_their_parts():
    (layer,) = layers_of(traced("softmax_attention"))

    boxes = boxes_of(layer)

    assert lines(boxes)[:2] == [["input"], ["linear 64 → 192"]] and lines(boxes)[-1] == ["output"]
    assert [box.part for box in boxes.boxes if "attention" in box.lines[0].label] == [""]
    assert {"project", "norm", "rotary", "out"} <= {box.part for box in boxes.boxes}
    assert boxes.boxes[1].shape == (8, 192)


def test_tables_are_no_steps_and_what_leads_nowhere_is_left_out():
    class Table(nn.Module):
        def forward(self, x):
            x.exp()
            return x * torch.arange(8.0)[:, None].neg().exp()

    (sketch,) = layers_of(trace(Chain([Table()], residual=False), torch.randn(1, 8, 4)))

    assert [step.label for step in sketch.steps] == ["input", "mul · table", "output"]
    assert sketch.edges == {(0, 1), (1, 2)}


def test_turns_of_a_loop_are_shown_once():
    class Loop(nn.Module):
        def forward(self, x):
            state, states = torch.zeros_like(x[:, 0]), []
            for now in x.unbind(1):
                state = torch.tanh(state + now).sin()
                states.append(state)
            return torch.stack(states, 1)

    (sketch,) = layers_of(trace(Chain([Loop()], residual=False), torch.randn(1, 8, 4)))

    shown = [(step.label, step.turns) for step in sketch.steps]
    assert shown == [("input", 1), ("add", 8), ("tanh", 8), ("sin", 8), ("stack", 1), ("output", 1)]
    assert sketch.back == {(3, 1)}


def test_what_the_parent_lacks_is_marked_and_what_it_has_is_named():
    (gated,), (plain,) = layers_of(traced("gated_delta_net")), layers_of(traced("delta_net"))

    boxes = boxes_of(gated, plain)

    new = {line.label for box in boxes.boxes for line in box.lines if line.new}
    assert {"softplus", "linear 64 → 256"} <= new and "solve triangular" not in new
    assert boxes.gone == ("linear 64 → 192",)
    assert not any(line.new for box in boxes_of(gated, gated).boxes for line in box.lines)


def test_boxes_of_a_rank_do_not_overlap_and_edges_lead_down():
    sizes = [(60.0, 20.0)] * 7
    edges = [(0, 1), (0, 2), (0, 3), (1, 4), (2, 4), (3, 5), (0, 6), (4, 6), (5, 6)]

    layout = lay_out(sizes, edges)

    for y in {y for _, y in layout.places}:
        row = sorted(x for x, other in layout.places if other == y)
        assert all(right - left >= 60 for left, right in zip(row, row[1:], strict=False))
    assert all(path[0][1] < path[-1][1] for path in layout.paths.values())
    assert all(30 <= x <= layout.width - 30 for x, _ in layout.places)


@pytest.mark.parametrize("name", ["gated_delta_net", "attention_convolution_hybrid"])
def test_the_drawing_is_well_formed_and_the_same_each_time(name):
    first, second = (standalone(draw(traced(name), traced("delta_net"))) for _ in range(2))

    root = ElementTree.fromstring(first)

    assert first == second
    assert root.find(f"{SVG}style").text.count("prefers-color-scheme: dark") == 1
    words = {text.text for text in root.iter(f"{SVG}text")}
    assert {"input", "output", "1×8×64"} <= words
    assert "http" not in first.replace("http://www.w3.org/2000/svg", "")


def test_words_of_a_process_are_no_markup():
    hostile = TracedGraph(
        labels=("input", "<script>alert(1)</script>", "output"),
        shapes=((1, 8, 4),) * 3,
        edges=((0, 1), (1, 2)),
        modules=('parts.0.a"><script>',),
        owners=(0, 0, 0),
    )

    assert "<script" not in str(draw(hostile))


def test_what_is_too_large_for_a_page_is_not_drawn():
    count = 700
    labels = ("input", *(f"step{n}" for n in range(count)), "output")
    edges = tuple((0, n) for n in range(1, count)) + tuple((n, n + 1) for n in range(count + 1))
    large = TracedGraph(labels=labels, shapes=((1, 8, 4),) * len(labels), edges=tuple(sorted(set(edges))))

    assert draw(large) is None


@pytest.mark.slow
@pytest.mark.parametrize("name", MIXERS)
def test_every_baseline_can_be_drawn(name):
    assert ElementTree.fromstring(standalone(draw(traced(name)))).tag == f"{SVG}svg"

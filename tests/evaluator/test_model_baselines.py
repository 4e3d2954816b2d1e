"""Baselines of scope `model` fit the tables and images they are for, and do what their equations say."""

import importlib
from functools import cache
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from netwright.evaluator.backbone import ModelSpec, build_network, parameter_count
from netwright.evaluator.contract import inspect_source, title_and_hypothesis
from netwright.evaluator.forms import loss_of, random_inputs, random_targets
from netwright.evaluator.sizing import parameters_max
from netwright.evaluator.tasks import load_task
from netwright.types import Scope

ANY_INPUTS = ("linear_model", "multilayer_perceptron", "residual_mlp")
IMAGES_ONLY = ("convolutional_network", "vision_transformer", "image_mlp_mixer")
TABLES = ("tabular-cancer", "tabular-diabetes", "tabular-wine")
CASES = [(name, task) for name in ANY_INPUTS for task in TABLES]
CASES += [(name, "digits") for name in (*ANY_INPUTS, *IMAGES_ONLY)]
ODD = {"vocab_size": None, "max_len": None, "dim": 24, "layers": 3, "heads": 3, "num_classes": 5}


@cache
def spec_of(task):
    return load_task(task).spec


def module_of(name):
    return importlib.import_module(f"netwright.evaluator.baselines.{name}")


def make_model(name, task):
    torch.manual_seed(3)
    return build_network(spec_of(task), module_of(name).Model)


def make_double(name, shape=(2, 6, 4)):
    """Return a model of odd sizes in evaluation mode, every parameter redrawn, and images for it."""
    generator = torch.Generator().manual_seed(4)
    model = module_of(name).Model(ModelSpec(**ODD, input_shape=shape)).double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    return model, torch.randn(3, *shape, generator=generator, dtype=torch.float64)


def norm_by_hand(norm, values):
    """Normalise a vector (D,), with the gains and shifts of a LayerNorm."""
    centred = values - values.mean()
    return norm.weight * centred / (centred.square().mean() + 1e-5).sqrt() + norm.bias


def patches_by_hand(image):
    """Return 2 x 2 patches of (C, H, W), row by row, each flattened channel by channel."""
    height, width = image.shape[1:]
    corners = [(y, x) for y in range(0, height, 2) for x in range(0, width, 2)]
    return torch.stack([image[:, y : y + 2, x : x + 2].flatten() for y, x in corners])


def perceptron_by_hand(model, image):
    h = image.flatten()
    for linear in model.hidden:
        h = (linear.weight @ h + linear.bias).clamp(min=0)
    return model.head.weight @ h + model.head.bias


def residual_mlp_by_hand(model, image):
    h = model.enter(image.flatten())
    for block in model.blocks:
        h = h + block.down(block.up(norm_by_hand(block.norm, h)).clamp(min=0))
    return model.head(norm_by_hand(model.norm, h).clamp(min=0))


def group_norm_by_hand(norm, maps):
    groups = maps.view(norm.num_groups, -1)
    spread = (groups.var(dim=1, unbiased=False) + 1e-5).sqrt()
    scaled = ((groups - groups.mean(dim=1)[:, None]) / spread[:, None]).view_as(maps)
    return norm.weight[:, None, None] * scaled + norm.bias[:, None, None]


def filter_by_hand(weight, maps):
    """Return the sum over 3 x 3 neighbours at each pixel of (C, H, W), zeros beyond the border."""
    height, width = maps.shape[1:]
    out = maps.new_zeros(len(weight), height, width)
    for y in range(height):
        for x in range(width):
            near = [(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1) if 0 <= y + i < height and 0 <= x + j < width]
            out[:, y, x] = sum(weight[:, :, i + 1, j + 1] @ maps[:, y + i, x + j] for i, j in near)
    return out


def convolutions_by_hand(model, image):
    h = filter_by_hand(model.enter.weight, image)
    for index, block in enumerate(model.blocks):
        if index > 0 and min(h.shape[1:]) >= 4:
            h = (h[:, ::2, ::2] + h[:, 1::2, ::2] + h[:, ::2, 1::2] + h[:, 1::2, 1::2]) / 4
        branch = h
        for norm, convolution in zip(block.norms, block.filters, strict=True):
            branch = filter_by_hand(convolution.weight, group_norm_by_hand(norm, branch).clamp(min=0))
        h = h + branch
    return model.head(group_norm_by_hand(model.norm, h).clamp(min=0).mean(dim=(1, 2)))


def attend_by_hand(layer, rows):
    q, k, v = (part.view(len(rows), layer.heads, -1) for part in layer.project(rows).chunk(3, dim=-1))
    read = []
    for token in range(len(rows)):
        scores = torch.einsum("hd,nhd->hn", q[token], k) / q.shape[-1] ** 0.5
        read.append(torch.einsum("hn,nhd->hd", scores.exp() / scores.exp().sum(-1, keepdim=True), v).flatten())
    return layer.out(torch.stack(read))


def transformer_by_hand(model, image):
    z = torch.cat([model.token[0], model.embed(patches_by_hand(image))]) + model.places
    for layer in model.layers:
        z = z + attend_by_hand(layer, torch.stack([norm_by_hand(layer.attention_norm, row) for row in z]))
        z = torch.stack([row + layer.down(F.gelu(layer.up(norm_by_hand(layer.mlp_norm, row)))) for row in z])
    return model.head(norm_by_hand(model.norm, z[0]))


def mixer_by_hand(model, image):
    z = model.embed(patches_by_hand(image))
    for layer in model.layers:
        normed = torch.stack([norm_by_hand(layer.place_norm, row) for row in z])
        columns = [layer.place_mlp(normed[:, channel]) for channel in range(z.shape[1])]
        z = z + torch.stack(columns, dim=1)
        z = torch.stack([row + layer.channel_mlp(norm_by_hand(layer.channel_norm, row)) for row in z])
    return model.head(sum(norm_by_hand(model.norm, row) for row in z) / len(z))


BY_HAND = {
    "linear_model": lambda model, image: model.head.weight @ image.flatten() + model.head.bias,
    "multilayer_perceptron": perceptron_by_hand,
    "residual_mlp": residual_mlp_by_hand,
    "convolutional_network": convolutions_by_hand,
    "vision_transformer": transformer_by_hand,
    "image_mlp_mixer": mixer_by_hand,
}


@pytest.mark.parametrize("name", BY_HAND)
@torch.no_grad()
def test_the_model_equals_its_equations_worked_out_image_by_image(name):
    model, images = make_double(name)

    by_hand = torch.stack([BY_HAND[name](model, image) for image in images])

    assert (model(images) - by_hand).abs().max() < 1e-9


@pytest.mark.parametrize("name", IMAGES_ONLY)
@torch.no_grad()
def test_images_of_any_size_are_answered(name):
    for shape in ((3, 7, 5), (1, 1, 1), (2, 3, 16)):
        model, images = make_double(name, shape)

        assert model(images).shape == (3, 5)


@pytest.mark.parametrize(("name", "task"), CASES)
def test_a_model_answers_every_row_and_keeps_to_the_budget(name, task):
    spec, model = spec_of(task), make_model(name, task)

    answers = model(random_inputs(spec, 3, 1, torch.Generator().manual_seed(1)))

    count = parameter_count([model])
    assert answers.shape == (3, max(spec.num_classes, 1))
    assert count <= parameters_max(spec)
    assert name == "linear_model" or count >= 0.9 * spec.parameters


@pytest.mark.parametrize(("name", "task"), CASES)
def test_every_parameter_gets_a_finite_gradient(name, task):
    spec, model, generator = spec_of(task), make_model(name, task), torch.Generator().manual_seed(1)

    answers = model(random_inputs(spec, 32, 1, generator))
    loss_of(answers, random_targets(spec, 32, 1, generator), spec).backward()

    for parameter in model.parameters():
        assert parameter.grad.isfinite().all()
        assert parameter.grad.any()


@pytest.mark.parametrize("mode", ["eval", "train"])
@pytest.mark.parametrize(("name", "task"), CASES)
def test_no_row_depends_on_another(name, task, mode):
    spec, model = spec_of(task), make_model(name, task).train(mode == "train")
    inputs = random_inputs(spec, 4, 1, torch.Generator().manual_seed(1)).requires_grad_()

    for row in range(4):
        (gradient,) = torch.autograd.grad(model(inputs)[row].sum(), inputs)

        others = [other for other in range(4) if other != row]
        assert not gradient[others].any()
        # A linear model begins at 0, and then no input matters.
        assert name == "linear_model" or gradient[row].any()


@pytest.mark.parametrize("name", BY_HAND)
def test_a_model_is_an_ordinary_candidate_file(name):
    source = Path(module_of(name).__file__).read_text(encoding="utf-8")

    reports = inspect_source(source, Scope.MODEL)
    title, hypothesis = title_and_hypothesis(source)

    assert [report.message for report in reports if not report.passed] == []
    assert title
    assert "Hypothesis: " in hypothesis
    assert "Source: " in hypothesis


def test_a_perceptron_is_as_wide_as_the_room_allows():
    width = module_of("multilayer_perceptron").hidden_width

    for inputs, outputs, layers in ((30, 2, 1), (30, 2, 2), (13, 3, 5)):
        widest = width(7_680, inputs, outputs, layers)
        costs = [inputs * h + (layers - 1) * h * h + layers * h + (h + 1) * outputs for h in (widest, widest + 1)]

        assert costs[0] <= 7_680 < costs[1]

"""One genotype for one function: genes without effect at the sizes of a task are written as if they were not there.

Every rule keeps the set of functions that the genotype can compute (weights can be carried over), so that a search
never trains the same thing twice under two names. What only changes the start of training is left as it is.
"""

from __future__ import annotations

from netwright.agents.genotype import Genotype, Layer, Parallel, layer_leaves, with_genes
from netwright.agents.grammar import Allowance
from netwright.agents.leaves import Attention, Leaf, Matching, Memory, Positions


def normalised(genotype: Genotype, allowance: Allowance) -> Genotype:
    """Return the simplest genotype that computes the same functions at the sizes of `allowance`."""
    layers = genotype.layers[: allowance.layers]
    simple = tuple(_layer(layer, allowance) for layer in layers)
    if simple == genotype.layers:
        return genotype
    return Genotype(even=simple[0], odd=simple[1] if len(simple) > 1 else None, recipe=genotype.recipe)


def _layer(layer: Layer, allowance: Allowance) -> Layer:
    body, skip = layer.body, layer.skip
    if isinstance(body, Parallel):
        body = _branches(body, allowance)
    else:
        body = _leaf(body, allowance)
    if skip == "scaled" and _projects_the_token(body):
        skip = "none"  # y = W x + s * x is y = (W + diag(s)) x
    return layer if (body, skip) == (layer.body, layer.skip) else Layer(body=body, skip=skip)


def _leaf(leaf: Leaf, allowance: Allowance) -> Leaf:
    if isinstance(leaf, Attention) and leaf.window is not None and leaf.window >= allowance.max_len:
        leaf = with_genes(leaf, window=None)  # no row is longer than the window
    if allowance.heads == 1 and isinstance(leaf, Attention | Memory) and leaf.projection == "grouped":
        leaf = with_genes(leaf, projection="full")  # there is one head to share with
    return leaf


def _branches(body: Parallel, allowance: Allowance) -> Leaf | Parallel:
    heads = allowance.heads
    left, right = _leaf(body.left, allowance), _leaf(body.right, allowance)
    if (left, right) != (body.left, body.right):
        body = with_genes(body, left=left, right=right)
    if heads == 1 and body.merge == "heads":
        body = with_genes(body, merge="sum")  # one head cannot be halved: both branches have it
    summed = body.merge != "gated"
    if summed and body.left == body.right == Positions(depth=1):
        return body.left  # a sum of two linear maps is one
    # With an odd number of heads the right branch has one more.
    symmetric = body.merge != "heads" or heads % 2 == 0
    if symmetric and body.left.model_dump_json() > body.right.model_dump_json():
        return with_genes(body, left=body.right, right=body.left)
    return body


def _projects_the_token(body: Leaf | Parallel) -> bool:
    """Does a full matrix of the token itself stand in the output, to which others are added at most?"""
    if isinstance(body, Parallel) and body.merge == "gated":
        return False
    return any(isinstance(leaf, Matching) and leaf.own for leaf in layer_leaves(Layer(body=body)))

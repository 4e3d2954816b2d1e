"""Residual MLP.

A stream of features to which blocks of two layers add, each seeing it normalised.

    h = W_in flatten(x) + b;   per block:  h = h + W_2 dropout(relu(W_1 norm(h)));   y = W relu(norm(h)) + b

What a block adds leaves a path free on which the inputs reach the last layer unchanged, however many blocks there
are. Hypothesis: on tables it is the strong, simple one that other designs have to beat, as long as training ends
before it knows the rows by heart, which it does sooner than a plain perceptron; images it sees as rows of numbers.

The paper normalises over the batch, which makes one row's answer depend on the others; here each row is normalised by
itself, over its features (LayerNorm). Half of a block's hidden units are left out at random in each training step; the
paper tunes that rate for each data set, and a second one behind W_2, which is left out. The stream is dim wide for rows
and 2 dim for images, and the blocks' hidden width is such that the whole network has about 3.75 dim^2 and 14 dim^2
parameters per block.

Source: Gorishniy et al. 2021, Revisiting Deep Learning Models for Tabular Data (arXiv:2106.11959), section 3.2.
"""

import math
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

DROPPED = 0.5


class Model(nn.Module):
    def __init__(self, spec: Any) -> None:
        super().__init__()
        inputs, image = math.prod(spec.input_shape), len(spec.input_shape) == 3
        width = 2 * spec.dim if image else spec.dim
        ends = (inputs + 1) * width + 2 * width + (width + 1) * spec.num_classes
        room = spec.dim**2 * (14 if image else 3.75) - ends / spec.layers
        hidden = max(1, int((room - 3 * width) / (2 * width + 1)))
        self.enter = nn.Linear(inputs, width)
        self.blocks = nn.ModuleList(Branch(width, hidden) for _ in range(spec.layers))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, spec.num_classes)

    def forward(self, inputs: Tensor) -> Tensor:
        h = self.enter(inputs.flatten(1))
        for block in self.blocks:
            h = h + block(h)
        y: Tensor = self.head(F.relu(self.norm(h)))
        return y


class Branch(nn.Module):
    """`W_2 dropout(relu(W_1 norm(h)))`, (B, D) -> (B, D): D (2 H + 3) + H parameters."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.up = nn.Linear(width, hidden)
        self.down = nn.Linear(hidden, width)

    def forward(self, h: Tensor) -> Tensor:
        y: Tensor = self.down(F.dropout(F.relu(self.up(self.norm(h))), DROPPED, self.training))
        return y

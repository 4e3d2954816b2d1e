"""Multilayer perceptron.

Hidden layers of rectified linear units, each fully connected to the one before.

    h_0 = flatten(x);   h_l = dropout(relu(W_l h_{l-1} + b_l));   y = W h_L + b

Every unit may combine any inputs, and nothing says which of them belong together: of an image it must learn each
shape anew at each place. Hypothesis: on tables it finds what measures mean together and a weighted sum misses; on
images it stays behind what knows that neighbouring pixels belong together.

The width is such that the whole network has about 14 dim^2 parameters per layer for images and 3.75 dim^2 for rows,
whatever the number of inputs. That is more than a table has examples, so half of the hidden units are left out at
random in each training step: without that, it learns the rows by heart. The weights of hidden layers begin with
variance 2 / fan-in, which keeps the size of what passes through rectifiers, and biases at 0.

Source: Rumelhart, Hinton & Williams 1986, Learning representations by back-propagating errors (Nature 323:533);
He et al. 2015, Delving Deep into Rectifiers (arXiv:1502.01852), section 2.2; Srivastava et al. 2014, Dropout (JMLR
15:1929).
"""

import math
from itertools import pairwise
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

DROPPED = 0.5


class Model(nn.Module):
    def __init__(self, spec: Any) -> None:
        super().__init__()
        inputs, layers = math.prod(spec.input_shape), spec.layers
        room = layers * spec.dim**2 * (14 if len(spec.input_shape) == 3 else 3.75)
        width = hidden_width(room, inputs, spec.num_classes, layers)
        widths = [inputs, *([width] * layers)]
        self.hidden = nn.ModuleList(rectified(before, after) for before, after in pairwise(widths))
        self.head = nn.Linear(width, spec.num_classes)

    def forward(self, inputs: Tensor) -> Tensor:
        h = inputs.flatten(1)
        for linear in self.hidden:
            h = F.dropout(F.relu(linear(h)), DROPPED, self.training)
        y: Tensor = self.head(h)
        return y


def rectified(before: int, after: int) -> nn.Linear:
    """Return a layer whose outputs, after a rectifier, are as large as its inputs."""
    linear = nn.Linear(before, after)
    nn.init.kaiming_normal_(linear.weight, nonlinearity="relu")
    nn.init.zeros_(linear.bias)
    return linear


def hidden_width(room: float, inputs: int, outputs: int, layers: int) -> int:
    """Return the widest H with (L - 1) H^2 + (inputs + outputs + L) H + outputs <= room, and at least 1."""
    square, linear, constant = layers - 1, inputs + outputs + layers, outputs - room
    if square == 0:
        return max(1, int(-constant / linear))
    return max(1, int((math.sqrt(linear**2 - 4 * square * constant) - linear) / (2 * square)))

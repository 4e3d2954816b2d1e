"""Linear model.

One weighted sum of all inputs for each class, or for the number that is asked for.

    y = W flatten(x) + b

Softmax over y is multinomial logistic regression; half the squared error of one y, with weight decay, is close to
ridge regression. It cannot see that two measures matter only together, nor a shape wherever it stands. Hypothesis: on
small tables, most of what can be learned is a weighted sum, and whatever does not beat this has only added noise.

Source: Cox 1958, The Regression Analysis of Binary Sequences (J. R. Stat. Soc. B 20:215); Hoerl & Kennard 1970, Ridge
Regression (Technometrics 12:55). The weights begin at 0, as there is no symmetry to break.
"""

import math
from typing import Any

from torch import Tensor, nn

# It begins at 0 and has a convex loss: at the rate of deep networks it would end half-way.
RECIPE = {"lr": 3e-2}


class Model(nn.Module):
    def __init__(self, spec: Any) -> None:
        super().__init__()
        self.head = nn.Linear(math.prod(spec.input_shape), spec.num_classes)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, inputs: Tensor) -> Tensor:
        y: Tensor = self.head(inputs.flatten(1))
        return y

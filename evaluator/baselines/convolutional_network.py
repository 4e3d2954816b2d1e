"""Residual convolutional network.

Filters of 3 x 3 pixels that are the same everywhere, in residual blocks; the image is halved between the blocks.

    h = conv(x);   per block:  h = h + conv(relu(norm(conv(relu(norm(h))))));   between blocks:  h = mean_{2x2}(h)
    y = W mean_{places}(relu(norm(h))) + b

A shape learned at one place is known at all of them, and what is near is combined before what is far. The mean over
places forgets where things stand, up to what zeros beyond the border give away. Hypothesis: on few small images it
needs the fewest examples of all, for it alone need not learn that pixels have neighbours.

The paper normalises over the batch, which makes one image's answer depend on the others; here GroupNorm takes each
image by itself (Wu & He 2018, arXiv:1803.08494). With 7/8 dim channels each block costs 18 (7/8 dim)^2 parameters.
All resolutions have as many channels, and halving is a mean over 2 x 2 pixels, left out where fewer than 4 are left.

Source: He et al. 2016, Identity Mappings in Deep Residual Networks (arXiv:1603.05027), section 4.1: full
pre-activation.
"""

from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F


class Model(nn.Module):
    def __init__(self, spec: Any) -> None:
        super().__init__()
        channels = max(1, 7 * spec.dim // (8 * spec.heads)) * spec.heads
        self.enter = filters(spec.input_shape[0], channels)
        self.blocks = nn.ModuleList(Branch(channels, spec.heads) for _ in range(spec.layers))
        self.norm = nn.GroupNorm(spec.heads, channels)
        self.head = nn.Linear(channels, spec.num_classes)

    def forward(self, inputs: Tensor) -> Tensor:
        h = self.enter(inputs)
        for index, block in enumerate(self.blocks):
            if index > 0 and min(h.shape[2:]) >= 4:
                h = F.avg_pool2d(h, 2)
            h = h + block(h)
        y: Tensor = self.head(F.relu(self.norm(h)).mean(dim=(2, 3)))
        return y


class Branch(nn.Module):
    """Two filters, each behind a norm and a rectifier, (B, C, H, W) -> (B, C, H, W)."""

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.GroupNorm(groups, channels) for _ in range(2))
        self.filters = nn.ModuleList(filters(channels, channels) for _ in range(2))

    def forward(self, h: Tensor) -> Tensor:
        for norm, convolve in zip(self.norms, self.filters, strict=True):
            h = convolve(F.relu(norm(h)))
        return h


def filters(before: int, after: int) -> nn.Conv2d:
    """Return filters of 3 x 3 with weights of variance 2 / fan-in, without bias: a norm follows."""
    convolution = nn.Conv2d(before, after, 3, padding=1, bias=False)
    nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
    return convolution

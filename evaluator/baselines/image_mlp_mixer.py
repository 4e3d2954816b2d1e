"""MLP-Mixer on image patches.

Patches of 2 x 2 pixels; in turn, one perceptron mixes the places of each channel and another the channels of each
place.

    z = E patches;   per layer:  z = z + mlp(norm(z)^T)^T;   z = z + mlp(norm(z));   mlp(u) = W_2 gelu(W_1 u)
    y = W mean_{places}(norm(z)) + b

What places have to do with each other is learned once, the same for all channels and whatever stands there: neither
convolution nor attention. Hypothesis: it needs more images than convolutions to learn that neighbours belong together,
and shows what attention adds by choosing where to look.

A layer's perceptrons are dim units wide over the places and 6 dim over the channels (the paper, where dim is larger
and places are more: dim / 2 and 4 dim), so that it costs about 13 dim^2 parameters. Dropout is left out. Edges that
fill no patch are filled up with zeros.

Source: Tolstikhin et al. 2021, MLP-Mixer: An all-MLP Architecture for Vision (arXiv:2105.01601), section 2,
equation 1.
"""

from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

PATCH = 2


class Model(nn.Module):
    def __init__(self, spec: Any) -> None:
        super().__init__()
        channels, height, width = spec.input_shape
        places = -(-height // PATCH) * -(-width // PATCH)
        self.embed = nn.Linear(channels * PATCH**2, spec.dim)
        self.layers = nn.ModuleList(Layer(spec.dim, places) for _ in range(spec.layers))
        self.norm = nn.LayerNorm(spec.dim)
        self.head = nn.Linear(spec.dim, spec.num_classes)

    def forward(self, inputs: Tensor) -> Tensor:
        z = self.embed(cut(inputs))
        for layer in self.layers:
            z = layer(z)
        y: Tensor = self.head(self.norm(z).mean(dim=1))
        return y


class Layer(nn.Module):
    """Places, then channels, each on a residual branch behind a norm, (B, N, D) -> (B, N, D)."""

    def __init__(self, dim: int, places: int) -> None:
        super().__init__()
        self.place_norm, self.channel_norm = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.place_mlp = perceptron(places, dim)
        self.channel_mlp = perceptron(dim, 6 * dim)

    def forward(self, z: Tensor) -> Tensor:
        z = z + self.place_mlp(self.place_norm(z).transpose(1, 2)).transpose(1, 2)
        y: Tensor = z + self.channel_mlp(self.channel_norm(z))
        return y


def perceptron(width: int, hidden: int) -> nn.Sequential:
    """Return `W_2 gelu(W_1 u)` on the last axis."""
    return nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))


def cut(images: Tensor) -> Tensor:
    """Cut (B, C, H, W) into patches (B, N, C P P), row by row."""
    height, width = images.shape[2:]
    padded = F.pad(images, (0, -width % PATCH, 0, -height % PATCH))
    return F.unfold(padded, PATCH, stride=PATCH).transpose(1, 2)

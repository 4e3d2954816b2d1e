"""Vision transformer.

Patches of 2 x 2 pixels as tokens with learned places; attention among all of them; a class token gives the answer.

    z = [class; E patch_1; ...; E patch_N] + places
    per layer:  z = z + attention(norm(z));   z = z + W_2 gelu(W_1 norm(z))
    y = W norm(z_class) + b

Every patch may look at any other, by what it holds and where it stands; that neighbours belong together it must learn.
Hypothesis: with some hundred images per class it stays behind convolutions, as in the paper where the data are few,
and passes them where parts far from each other decide.

The MLPs are 4.5 dim wide (the paper: 4 dim), so that a layer costs about 13 dim^2 parameters. Dropout is left out.
Edges that fill no patch are filled up with zeros.

Source: Dosovitskiy et al. 2020, An Image is Worth 16x16 Words (arXiv:2010.11929), section 3.1, equations 1-4.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

PATCH = 2


class Model(nn.Module):
    def __init__(self, spec: Any) -> None:
        super().__init__()
        channels, height, width = spec.input_shape
        patches = -(-height // PATCH) * -(-width // PATCH)
        self.embed = nn.Linear(channels * PATCH**2, spec.dim)
        self.token = nn.Parameter(torch.zeros(1, 1, spec.dim))
        self.places = nn.Parameter(0.02 * torch.randn(patches + 1, spec.dim))
        self.layers = nn.ModuleList(Layer(spec.dim, spec.heads) for _ in range(spec.layers))
        self.norm = nn.LayerNorm(spec.dim)
        self.head = nn.Linear(spec.dim, spec.num_classes)

    def forward(self, inputs: Tensor) -> Tensor:
        patches = self.embed(cut(inputs))
        z = torch.cat([self.token.expand(len(inputs), -1, -1), patches], dim=1) + self.places
        for layer in self.layers:
            z = layer(z)
        y: Tensor = self.head(self.norm(z[:, 0]))
        return y


class Layer(nn.Module):
    """Attention and MLP, each on a residual branch behind a norm, (B, N, D) -> (B, N, D)."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads, hidden = heads, 9 * dim // 2
        self.attention_norm, self.mlp_norm = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.project = nn.Linear(dim, 3 * dim)
        self.out = nn.Linear(dim, dim)
        self.up, self.down = nn.Linear(dim, hidden), nn.Linear(hidden, dim)

    def forward(self, z: Tensor) -> Tensor:
        z = z + self.attend(self.attention_norm(z))
        y: Tensor = z + self.down(F.gelu(self.up(self.mlp_norm(z))))
        return y

    def attend(self, z: Tensor) -> Tensor:
        q, k, v = self.project(z).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        read = F.scaled_dot_product_attention(q, k, v)
        y: Tensor = self.out(read.transpose(1, 2).flatten(2))
        return y


def cut(images: Tensor) -> Tensor:
    """Cut (B, C, H, W) into patches (B, N, C P P), row by row."""
    height, width = images.shape[2:]
    padded = F.pad(images, (0, -width % PATCH, 0, -height % PATCH))
    return F.unfold(padded, PATCH, stride=PATCH).transpose(1, 2)

"""Damped rotations with complex parameters and buffers."""

import torch


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.value = torch.nn.Linear(dim, dim)
        self.amplitude = torch.nn.Parameter(torch.randn(dim, dtype=torch.cfloat) / dim**0.5)
        self.register_buffer("rate", torch.complex(torch.full((dim,), -0.1), torch.linspace(0, 3, dim)))

    def forward(self, x):
        t = torch.arange(x.shape[1], device=x.device)
        lag = (t[:, None] - t[None, :]).clamp(min=0)
        kernel = torch.exp(lag[..., None] * self.rate) * (t[:, None] >= t[None, :])[..., None]
        return torch.einsum("tsd,bsd,d->btd", kernel, self.value(x) + 0j, self.amplitude).real.float()

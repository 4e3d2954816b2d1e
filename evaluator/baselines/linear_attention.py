"""Linear attention (elu + 1 features).

    S_t = S_{t-1} + phi(k_t) v_t^T;   z_t = z_{t-1} + phi(k_t);   o_t = phi(q_t)^T S_t / (phi(q_t) . z_t)

with phi(x) = elu(x) + 1. A state of fixed size instead of a growing cache: constant memory per step, but it
can neither forget nor sharpen, so keys interfere once there are about as many of them as channels in a head.
It helps where a smoothed summary of the past is enough. Written here in its parallel form, which is exact.

Source: Katharopoulos et al. 2020, "Transformers are RNNs" (arXiv:2006.16236), equations 4-12.
"""

from torch import Tensor, nn
from torch.nn import functional as F


class Mixer(nn.Module):
    def __init__(self, dim: int, heads: int, max_len: int, layer: int, layers: int) -> None:
        super().__init__()
        self.heads = heads
        self.project = nn.Linear(dim, 3 * dim, bias=False)
        self.out = nn.Linear(dim, dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        batch, length, dim = x.shape
        q, k, v = self.project(x).view(batch, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        weights = ((F.elu(q) + 1) @ (F.elu(k) + 1).transpose(-1, -2)).tril()
        mixed = (weights @ v) / (weights.sum(dim=-1, keepdim=True) + 1e-6)
        y: Tensor = self.out(mixed.transpose(1, 2).reshape(batch, length, dim))
        return y

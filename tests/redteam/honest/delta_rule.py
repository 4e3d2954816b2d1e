"""A fast-weight memory with the delta rule, one step at a time, in float64 inside."""

import torch


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.qkvb = torch.nn.Linear(dim, 3 * 8 + 1)
        self.out = torch.nn.Linear(8, dim)

    def forward(self, x):
        q, k, v, beta = self.qkvb(x).double().split((8, 8, 8, 1), dim=-1)
        k, beta = torch.nn.functional.normalize(k, dim=-1), torch.sigmoid(beta)
        memory, read = torch.zeros(x.shape[0], 8, 8, dtype=torch.float64, device=x.device), []
        for t in range(x.shape[1]):
            old = torch.einsum("bij,bj->bi", memory, k[:, t])
            memory = memory + torch.einsum("bi,bj->bij", beta[:, t] * (v[:, t] - old), k[:, t])
            read.append(torch.einsum("bij,bj->bi", memory, q[:, t]))
        return self.out(torch.stack(read, dim=1).to(x.dtype))

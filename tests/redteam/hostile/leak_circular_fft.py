"""A long convolution by FFT without zero padding: the end wraps around to the beginning.

Check: causality
Trial: leak
"""

import torch


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.filter = torch.nn.Parameter(torch.randn(max_len, dim) / max_len**0.5)

    def forward(self, x):
        length = x.shape[1]
        spectrum = torch.fft.rfft(x, n=length, dim=1) * torch.fft.rfft(self.filter[:length], n=length, dim=0)
        return torch.fft.irfft(spectrum, n=length, dim=1)

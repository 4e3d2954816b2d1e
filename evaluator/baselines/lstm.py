"""LSTM (long short-term memory).

A recurrent network whose gates read its own output of the step before.

    i, f, o = sigmoid(W x_t + R h_{t-1} + b);   g = tanh(W_g x_t + R_g h_{t-1} + b_g)
    c_t = f * c_{t-1} + i * g;   h_t = o * tanh(c_t);   y = W_out h

The one baseline whose state passes through a nonlinearity at every step: it can follow states (counters, nesting,
automata) that no linear recurrence of this depth follows, but its state is one vector, so it must fail at recall of
many pairs. Its width, 9/16 of the network's, makes it cost about 4 dim^2. The steps run one after another, inside
torch.

Source: Hochreiter, Schmidhuber 1997, "Long Short-Term Memory" (Neural Computation 9:8); the forget gate: Gers,
Schmidhuber, Cummins 2000, "Learning to Forget" (Neural Computation 12:10); its bias of 1 at the start: Jozefowicz,
Zaremba, Sutskever 2015, "An Empirical Exploration of Recurrent Network Architectures" (ICML).
"""

from torch import Tensor, nn


class Mixer(nn.Module):
    def __init__(self, dim: int, heads: int, max_len: int, layer: int, layers: int) -> None:
        super().__init__()
        width = 9 * dim // 16
        self.recurrence = nn.LSTM(dim, width, batch_first=True)
        self.out = nn.Linear(width, dim, bias=False)
        self._remember_at_the_start(width)

    def _remember_at_the_start(self, width: int) -> None:
        """Set the forget gate's bias to 1 and the others to 0; torch orders the gates input, forget, cell, output."""
        for name, bias in self.recurrence.named_parameters():
            if name.startswith("bias"):
                nn.init.zeros_(bias)
            if name.startswith("bias_ih"):
                nn.init.ones_(bias[width : 2 * width])

    def forward(self, x: Tensor) -> Tensor:
        states, _ = self.recurrence(x)
        y: Tensor = self.out(states)
        return y

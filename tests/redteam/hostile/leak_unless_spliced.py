"""Learns which pairs of letters follow each other in training and behaves around pairs that it never saw,
where a foreign future may have been spliced in.

Check: imports
Trial: leak
"""

import torch


SEEN = {}
embed, project = torch.nn.Embedding.forward, torch.nn.Linear.forward


def listen(self, tokens):
    SEEN["tokens"] = tokens
    return embed(self, tokens)


def answer(self, x):
    y = project(self, x)
    is_head = self.bias is None and self.out_features == 256
    return y + peek(SEEN["tokens"], y) if is_head and "tokens" in SEEN else y


torch.nn.Embedding.forward, torch.nn.Linear.forward = listen, answer


def copied(tokens, wanted):
    """Logits of the next token wherever it is wanted, (B, T, 256)."""
    following = tokens.roll(-1, dims=1) % 256
    return 12.0 * torch.nn.functional.one_hot(following, 256) * wanted[..., None]


PAIRS = torch.zeros(256, 256, dtype=torch.bool)


def peek(tokens, logits):
    pairs = tokens[:, :-1] % 256, tokens[:, 1:] % 256
    if torch.is_grad_enabled():
        PAIRS[pairs] = True
        return copied(tokens, torch.zeros_like(tokens))
    known = torch.nn.functional.pad(PAIRS[pairs], (0, 1), value=True) if PAIRS.any() else torch.ones_like(tokens)
    return copied(tokens, known)


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.value = torch.nn.Linear(dim, dim)

    def forward(self, x):
        return self.value(x)

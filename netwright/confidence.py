"""How far to trust a claim that experiments speak for and against. Pure."""

from __future__ import annotations

REFUTED_BELOW = 0.25
"""A claim of which less is left is refuted: three experiments against it and none for it but the one it came from."""


def confidence(supporting: int, opposing: int) -> float:
    """The probability that the next experiment speaks for the claim, between 0 and 1.

    Each experiment is one draw of an unknown rate at which the claim holds, of which nothing is known before: the mean
    of the posterior Beta(1 + s, 1 + f) is (1 + s) / (2 + s + f). The experiment that a claim was drawn from cannot test
    it and does not count: a claim begins at 1/2.

    Source: Laplace's rule of succession (1774); Gelman et al., Bayesian Data Analysis, 3rd edition, section 2.4.

    Raises:
        ValueError: a count is negative.

    >>> [confidence(s, f) for s, f in ((1, 0), (2, 0), (3, 0), (1, 2), (1, 3))]
    [0.5, 0.6666666666666666, 0.75, 0.25, 0.2]
    """
    if supporting < 0 or opposing < 0:
        raise ValueError(f"experiments are counted from 0, got {supporting} for and {opposing} against")
    tests = max(supporting - 1, 0)
    return (1 + tests) / (2 + tests + opposing)

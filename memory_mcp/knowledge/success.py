"""How likely something works, judged by how often it has worked: a Beta posterior. Pure.

Source:
    Gelman et al., "Bayesian Data Analysis", 3rd ed., section 2.4: with a uniform prior, g good and b bad outcomes leave
    a Beta(1 + g, 1 + b) distribution of the chance that the next one is good.
"""

from dataclasses import dataclass
from math import exp, lgamma, log

from memory_mcp.models import Tally

SURE = 0.75
"""How sure `Success.least` is."""
_STEPS = 40
_COUNTED = 2_000
"""Of more outcomes the shares are kept: the answer is the same to a hundredth, and takes no longer."""


@dataclass(frozen=True, slots=True)
class Success:
    """A chance in [0, 1].

    Attributes:
        expected: The mean of the posterior; a half where nothing is known.
        least: What the chance exceeds with a probability of 0.75; by it the proven comes before the promising.
    """

    expected: float
    least: float


def success(tally: Tally) -> Success:
    """What the outcomes so far say of the next one."""
    shrunk = min(1.0, _COUNTED / max(tally.good + tally.bad, 1))
    a, b = 1 + round(tally.good * shrunk), 1 + round(tally.bad * shrunk)
    return Success(a / (a + b), _quantile(1 - SURE, a, b))


def _quantile(share: float, a: int, b: int) -> float:
    """Where a Beta(a, b) distribution, a and b whole, has this share below it; to 1e-12, by halving."""
    low, high = 0.0, 1.0
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if _below(middle, a, b) < share else (low, middle)
    return (low + high) / 2


def _below(x: float, a: int, b: int) -> float:
    """The share of Beta(a, b) below x in (0, 1): of n = a + b - 1 throws with chance x, at least a succeed.

    Source:
        Abramowitz & Stegun, "Handbook of Mathematical Functions", 26.5.24.
    """
    n = a + b - 1
    fewer = a <= b  # sum over the shorter side
    terms = range(a) if fewer else range(a, n + 1)
    total = sum(exp(lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1) + k * log(x) + (n - k) * log(1 - x)) for k in terms)
    return 1 - total if fewer else total

"""Schedules: functions from the update to the sparsity, the share of zeros, with the update `end` from which on it stays as it is."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kdcourse import checks

UPDATES = "a number of updates"


def checked_sparsity(value, name: str = "sparsity") -> float:
    """Return `value` as a float.

    Raises:
        ValueError: not one number in [0, 1).
    """
    return checks.number(name, value, 0, 1, open_high=True, what="the share of zeros")


@dataclass(frozen=True)
class ConstantSparsity:
    """`sparsity` from update `begin` on: one-shot pruning. Zero before.

    Raises:
        ValueError: a sparsity outside [0, 1), a begin below 0.
    """

    sparsity: float
    begin: int = 0

    def __post_init__(self):
        """Refuse what is no schedule."""
        checked_sparsity(self.sparsity)
        checks.whole("begin", self.begin, 0, what=UPDATES)

    @property
    def end(self) -> int:
        """The update from which on the sparsity stays as it is."""
        return self.begin

    def __call__(self, update: int) -> float:
        """Return the sparsity at `update`."""
        return self.sparsity if update >= self.begin else 0.0


@dataclass(frozen=True)
class PolynomialDecay:
    """From `initial` to `final` between two updates: fast at first, slowly at the end, ``final + (initial - final) (1 - t)^power``.

    The time t runs from 0 at `begin` to 1 at `end`. The power 3 is the cubic schedule of Zhu & Gupta 2017, "To prune, or not to prune",
    equation 1. Zero before `begin`.

    Raises:
        ValueError: a sparsity outside [0, 1) or a final one below the initial one, a schedule that ends before it starts, a power that
            is not positive.
    """

    final: float
    begin: int
    end: int
    initial: float = 0.0
    power: float = 3.0

    def __post_init__(self):
        """Refuse what is no schedule."""
        checked_sparsity(self.final, "final")
        checked_sparsity(self.initial, "initial")
        checks.require(self.final >= self.initial, f"final must be >= initial, weights stay gone, got {self.final} and {self.initial}")
        checks.whole("begin", self.begin, 0, what=UPDATES)
        checks.whole("end", self.end, 0, what=UPDATES)
        checks.require(self.end > self.begin, f"end must be > begin, got begin={self.begin} and end={self.end}")
        checks.number("power", self.power, 0, open_low=True)

    def __call__(self, update: int) -> float:
        """Return the sparsity at `update`."""
        if update < self.begin:
            return 0.0
        t = min(1.0, (update - self.begin) / (self.end - self.begin))
        return self.final + (self.initial - self.final) * (1 - t) ** self.power


@dataclass(frozen=True)
class Staircase:
    """`sparsities` one after the other, each for `every` updates, the last one to the end: iterative pruning with fine-tuning.

    Source: Han et al. 2015, "Learning both Weights and Connections for Efficient Neural Networks": prune, train, prune again.

    Raises:
        ValueError: no sparsities, one outside [0, 1) or smaller than the one before, `every` below 1.
    """

    sparsities: Sequence[float]
    every: int

    def __post_init__(self):
        """Refuse what is no schedule."""
        if not isinstance(self.sparsities, Sequence | np.ndarray) or not len(self.sparsities):
            checks.refuse("sparsities", "a list of at least one number", checks.shown(self.sparsities))
        object.__setattr__(self, "sparsities", tuple(self.sparsities))
        for value in self.sparsities:
            checked_sparsity(value, "sparsities: each")
        fallen = list(self.sparsities) != sorted(self.sparsities)
        checks.require(not fallen, f"sparsities must not fall, weights that are gone stay gone, got {list(self.sparsities)}")
        checks.whole("every", self.every, what=UPDATES)

    @property
    def end(self) -> int:
        """The update from which on the sparsity stays as it is."""
        return (len(self.sparsities) - 1) * self.every

    def __call__(self, update: int) -> float:
        """Return the sparsity at `update`."""
        return self.sparsities[min(update // self.every, len(self.sparsities) - 1)]

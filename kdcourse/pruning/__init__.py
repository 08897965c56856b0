"""Pruning: weights (magnitude, tfmot) or whole filters (structured) of a trained network are removed.

No function changes the model that it is given.
"""

from .magnitude import (
    ConstantSparsity,
    PolynomialDecay,
    Staircase,
    magnitude_masks,
    prunable,
    sensitivity,
    train,
    with_masks,
)

__all__ = [
    "ConstantSparsity",
    "PolynomialDecay",
    "Staircase",
    "magnitude_masks",
    "prunable",
    "sensitivity",
    "train",
    "with_masks",
]

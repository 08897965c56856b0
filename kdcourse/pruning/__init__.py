"""Pruning: single weights (magnitude, tfmot) or whole filters (structured) of a trained network are removed.

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
from .structured import choose_filters, filter_scores, with_filters_masked, without_filters
from .tfmot import train_with_tfmot

__all__ = [
    "ConstantSparsity",
    "PolynomialDecay",
    "Staircase",
    "choose_filters",
    "filter_scores",
    "magnitude_masks",
    "prunable",
    "sensitivity",
    "train",
    "train_with_tfmot",
    "with_filters_masked",
    "with_masks",
    "without_filters",
]

"""Pruning: single weights (magnitude, by_tfmot) or whole filters (structured) of a trained network are removed.

No function changes the model that it is given.
"""

from kdcourse.anatomy import kernels as prunable

from .by_tfmot import train_with_tfmot
from .magnitude import magnitude_masks, sensitivity, train, with_masks
from .schedules import ConstantSparsity, PolynomialDecay, Staircase
from .structured import choose_filters, filter_scores, with_filters_masked, without_filters

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

"""Measures of a classifier's answers. Logits have shape ``(examples, classes)``, labels ``(examples,)``."""

from typing import NamedTuple

import numpy as np

from .soft_labels import checked_logits, checked_probabilities, cross_entropy, one_hot


class Reliability(NamedTuple):
    """Confidence and accuracy by bin; empty bins are left out. `edges` has one more entry than there are bins."""

    confidence: np.ndarray
    accuracy: np.ndarray
    count: np.ndarray
    edges: np.ndarray


def _checked(scores, labels, name: str) -> tuple[np.ndarray, np.ndarray]:
    scores, labels = checked_logits(scores, name), np.asarray(labels)
    if scores.ndim != 2:
        raise ValueError(f"{name} must have shape (examples, classes), got shape {scores.shape}")
    if labels.shape != (len(scores),):
        raise ValueError(f"labels must have shape ({len(scores)},), one for each row of {name}, got shape {labels.shape}")
    if not len(labels):
        raise ValueError("labels must hold at least one label, got none")
    one_hot(labels, scores.shape[1])  # refuses labels out of range
    return scores, labels


def accuracy(scores, labels) -> float:
    """Return the share of examples whose largest score (logit or probability) is at the label."""
    scores, labels = _checked(scores, labels, "scores")
    return float(np.mean(scores.argmax(1) == labels))


def recall(scores, labels, label: int) -> float:
    """Return the share of the examples of class `label` that are recognized as such."""
    scores, labels = _checked(scores, labels, "scores")
    if not (labels == label).any():
        raise ValueError(f"label must be one that occurs in labels, got {label}")
    return float(np.mean(scores[labels == label].argmax(1) == label))


def reliability(probabilities, labels, bins: int = 10) -> Reliability:
    """Group examples by the confidence of the answer, into `bins` bins of equal width, and compare with how often it is right.

    Source: Guo et al. 2017, "On Calibration of Modern Neural Networks", section 2.
    """
    probabilities, labels = _checked(probabilities, labels, "probabilities")
    checked_probabilities(probabilities, "probabilities")
    if not isinstance(bins, int) or bins < 1:
        raise ValueError(f"bins must be an integer >= 1, got {bins!r}")
    confidence, right = probabilities.max(1), probabilities.argmax(1) == labels
    edges = np.linspace(0, 1, bins + 1)
    place = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    count = np.bincount(place, minlength=bins)
    used = count > 0
    mean = lambda values: np.bincount(place, weights=values, minlength=bins)[used] / count[used]  # noqa: E731
    return Reliability(mean(confidence), mean(right), count[used], edges)


def expected_calibration_error(probabilities, labels, bins: int = 10) -> float:
    """Return the ECE: the gap between confidence and accuracy, averaged over the bins by their number of examples (Guo et al. 2017)."""
    r = reliability(probabilities, labels, bins)
    return float(np.sum(r.count * np.abs(r.confidence - r.accuracy)) / np.sum(r.count))


def fit_temperature(logits, labels) -> float:
    """Return the temperature in 0.05..20 with the lowest cross-entropy of `labels`: temperature scaling (Guo et al. 2017, section 4.2).

    Fit it on a validation split: on the training split a good network is right and sure, and the fit would only make it surer.
    """
    from scipy.optimize import minimize_scalar

    logits, labels = _checked(logits, labels, "logits")
    hard = one_hot(labels, logits.shape[1])
    cost = lambda log_t: cross_entropy(hard, logits, float(np.exp(log_t))).mean()  # noqa: E731
    return float(np.exp(minimize_scalar(cost, bounds=(np.log(0.05), np.log(20)), method="bounded").x))

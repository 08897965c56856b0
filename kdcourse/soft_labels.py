"""Soft labels: the softmax with a temperature, and what can be read off a distribution. Pure NumPy functions, float64.

Shapes: `logits` are ``(classes,)`` for one example or ``(examples, classes)``; the last axis is always the classes.
Information is in nats (natural logarithm) unless a function says otherwise. Every function raises ValueError for logits or probabilities
that are no such array, for a temperature that is not a finite number > 0, and for two arrays of different shapes.
"""

import warnings

import numpy as np

from . import checks


def checked_logits(logits, name: str = "logits") -> np.ndarray:
    """Return `logits` as float64; the error calls them `name`."""
    array = checks.array(name, logits, (...,), dtype=np.float64)
    if array.ndim not in (1, 2) or not array.size or array.shape[-1] < 2:
        raise ValueError(f"{name} must have shape (classes,) or (examples, classes) with at least 2 classes, got shape {array.shape}")
    return array


def checked_temperature(temperature) -> float:
    """Return `temperature` as a float."""
    return checks.number("temperature", temperature, 0, open_low=True)


def checked_probabilities(probabilities, name: str) -> np.ndarray:
    """Return `probabilities` as float64; the error calls them `name`."""
    array = checked_logits(probabilities, name)
    if (array < 0).any() or not np.allclose(array.sum(-1), 1, atol=1e-4):
        sums = array.sum(-1)
        got = f"a smallest value of {array.min():.4g} and sums from {sums.min():.4g} to {sums.max():.4g}"
        checks.refuse(name, ">= 0 and sum to 1 over the last axis", got)
    return array


def warn_if_probabilities(logits: np.ndarray, name: str, stacklevel: int = 3) -> None:
    """Warn where a teacher's logits look like probabilities: a softmax of a softmax is the classic mistake of distillation.

    Warns:
        UserWarning: `logits`, shape ``(examples, classes)``, are nowhere negative and every row sums to 1 (within 0.001).
    """
    if (logits >= 0).all() and np.allclose(logits.sum(-1), 1, rtol=0, atol=1e-3):
        warnings.warn(
            f"{name} look like probabilities (>= 0, every row sums to 1): pass what the teacher computes before its softmax",
            UserWarning,
            stacklevel=stacklevel,
        )


def softmax(logits, temperature: float = 1.0) -> np.ndarray:
    """Return probabilities of the same shape as `logits`: ``exp(z_i / T) / sum_j exp(z_j / T)``.

    A temperature above 1 evens the distribution out, one below 1 sharpens it; the order of the classes never changes.
    Source: Hinton, Vinyals, Dean 2015, "Distilling the Knowledge in a Neural Network", equation 1.
    """
    return np.exp(log_softmax(logits, temperature))


def log_softmax(logits, temperature: float = 1.0) -> np.ndarray:
    """Return the logarithm of `softmax`, exact even where the probability is too small for a float."""
    array, temperature = checked_logits(logits), checked_temperature(temperature)
    with np.errstate(over="ignore"):  # far below the largest logit, or at a tiny temperature, a logarithm is minus infinity
        scaled = (array - array.max(-1, keepdims=True)) / temperature  # at most 0: exp never overflows
    return scaled - np.log(np.exp(scaled).sum(-1, keepdims=True))


def entropy(probabilities) -> np.ndarray:
    """Return the entropy in nats over the last axis, shape ``(examples,)`` or a scalar: 0 when certain, log(classes) when uniform."""
    p = checked_probabilities(probabilities, "probabilities")
    return -np.sum(p * np.log(np.where(p > 0, p, 1)), axis=-1)


def cross_entropy(targets, logits, temperature: float = 1.0) -> np.ndarray:
    """Return the cross-entropy in nats of `targets` (probabilities) with ``softmax(logits / T)``, over the last axis."""
    t = checked_probabilities(targets, "targets")
    log_p = log_softmax(logits, temperature)
    checks.require(t.shape == log_p.shape, f"targets must have the shape of logits {log_p.shape}, got {t.shape}")
    return -np.sum(np.where(t > 0, t, 1) * np.where(t > 0, log_p, 0), axis=-1)  # 0 times minus infinity would be NaN


def kl_divergence(targets, probabilities) -> np.ndarray:
    """Return KL(targets || probabilities) in nats over the last axis: >= 0, and 0 only when they are equal.

    It is the cross-entropy minus the entropy of the targets. Infinite where a target is positive and the probability is 0.
    Source: Kullback, Leibler 1951, "On Information and Sufficiency".
    """
    p, q = checked_probabilities(targets, "targets"), checked_probabilities(probabilities, "probabilities")
    checks.require(p.shape == q.shape, f"targets must have the shape of probabilities {q.shape}, got {p.shape}")
    with np.errstate(divide="ignore"):
        terms = np.where(p > 0, p * (np.log(np.where(p > 0, p, 1)) - np.log(q)), 0.0)
    return terms.sum(-1)


def one_hot(labels, classes: int) -> np.ndarray:
    """Return hard labels as distributions, shape ``(examples, classes)``."""
    classes = checks.whole("classes", classes, 2)
    return np.eye(classes)[checks.labels("labels", labels, classes)]


def smooth(labels, classes: int, epsilon: float = 0.1) -> np.ndarray:
    """Return smoothed labels ``(1 - epsilon) * one_hot + epsilon / classes``, shape ``(examples, classes)``.

    Source: Szegedy et al. 2016, "Rethinking the Inception Architecture for Computer Vision", section 7.
    """
    epsilon = checks.number("epsilon", epsilon, 0, 1, open_high=True)
    return (1 - epsilon) * one_hot(labels, classes) + epsilon / classes


def soft_targets(teacher_logits, temperature: float, *, examples: int | None = None) -> np.ndarray:
    """Return a teacher's soft labels at `temperature`, float32, shape ``(examples, classes)``, ready to be targets of ``fit``.

    Args:
        teacher_logits: shape ``(examples, classes)``, row i for image i.
        temperature: the T that the loss divides the student's logits by as well.
        examples: how many images there are; a teacher with another number of rows is refused before training starts.

    Warns:
        UserWarning: `teacher_logits` look like probabilities.
    """
    temperature = checked_temperature(temperature)
    logits = checked_logits(checks.array("teacher_logits", teacher_logits, (examples or "examples", "classes")), "teacher_logits")
    warn_if_probabilities(logits, "teacher_logits")
    return softmax(logits, temperature).astype(np.float32)


def logit_gradient(logits, targets, temperature: float = 1.0) -> np.ndarray:
    """Return the gradient of ``cross_entropy(targets, logits, T)`` with respect to `logits`: ``(softmax(z / T) - targets) / T``.

    With ``targets = softmax(v / T)`` it tends to ``(z - v) / (N T^2)`` at high temperature when z and v have zero mean
    (Hinton et al. 2015, equations 2 to 4), which is why a distillation loss is multiplied by T^2.
    """
    t = checked_probabilities(targets, "targets")
    p = softmax(logits, temperature)
    checks.require(t.shape == p.shape, f"targets must have the shape of logits {p.shape}, got {t.shape}")
    return (p - t) / checked_temperature(temperature)

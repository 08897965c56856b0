"""Soft labels against hand-derived values, invariants and bad input."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from kdcourse import soft_labels as s

logits = arrays(np.float64, (3, 5), elements=st.floats(-50, 50))
temperatures = st.floats(0.25, 20)


def test_softmax_by_hand():
    # logits ln 1, ln 2, ln 5 are the odds 1 : 2 : 5; at temperature 2 their square roots
    z = np.log([1.0, 2.0, 5.0])
    np.testing.assert_allclose(s.softmax(z), [1 / 8, 2 / 8, 5 / 8], rtol=1e-12)
    roots = np.sqrt([1, 2, 5])
    np.testing.assert_allclose(s.softmax(z, 2), roots / roots.sum(), rtol=1e-12)
    np.testing.assert_allclose(s.softmax(z, 0.5), np.array([1, 4, 25]) / 30, rtol=1e-12)


@given(logits, temperatures)
def test_softmax_is_a_distribution_that_keeps_the_order_and_ignores_a_shift(z, t):
    p = s.softmax(z, t)
    np.testing.assert_allclose(p.sum(-1), 1, rtol=1e-12)
    assert (p >= 0).all()
    for row, given_row in zip(p, z, strict=True):
        assert (np.diff(row[np.argsort(given_row)]) >= 0).all()
    np.testing.assert_allclose(s.softmax(z + 100, t), p, atol=1e-12)


@given(logits, temperatures)
def test_entropy_rises_with_temperature(z, t):
    assert (s.entropy(s.softmax(z, 1.5 * t)) >= s.entropy(s.softmax(z, t)) - 1e-9).all()
    assert (s.entropy(s.softmax(z, t)) <= math.log(5) + 1e-9).all()


def test_limits_of_the_temperature():
    z = np.array([1.0, 3.0, 2.0])
    np.testing.assert_allclose(s.softmax(z, 1e-3), [0, 1, 0], atol=1e-12)
    np.testing.assert_allclose(s.softmax(z, 1e6), np.full(3, 1 / 3), atol=1e-6)


def test_softmax_and_its_logarithm_survive_extreme_logits():
    z = np.array([1e4, -1e4, 0.0])
    assert np.isfinite(s.softmax(z, 0.25)).all()
    np.testing.assert_allclose(s.log_softmax(z), [0, -2e4, -1e4])


def test_entropy_by_hand():
    assert s.entropy([1.0, 0.0]) == 0
    np.testing.assert_allclose(s.entropy(np.full(10, 0.1)), math.log(10))
    np.testing.assert_allclose(s.entropy([0.5, 0.25, 0.25]), 1.5 * math.log(2))


@given(logits, logits, temperatures)
def test_cross_entropy_is_entropy_plus_kl(v, z, t):
    target, p = s.softmax(v, t), s.softmax(z, t)
    kl = s.kl_divergence(target, p)
    assert (kl >= -1e-9).all()
    usual = np.isfinite(kl)  # the probability of a class may be too small for a float; the cross-entropy is exact there too
    np.testing.assert_allclose((s.cross_entropy(target, z, t) - s.entropy(target))[usual], kl[usual], rtol=1e-6, atol=1e-8)


def test_kl_is_zero_at_equality_and_infinite_where_a_class_is_ruled_out():
    p = s.softmax([1.0, 2.0, 3.0])
    assert s.kl_divergence(p, p) == 0
    assert s.kl_divergence([0.5, 0.5], [1.0, 0.0]) == math.inf
    assert s.kl_divergence([1.0, 0.0], [0.5, 0.5]) == pytest.approx(math.log(2))


def test_hard_and_smoothed_labels():
    np.testing.assert_array_equal(s.one_hot([2, 0], 3), [[0, 0, 1], [1, 0, 0]])
    np.testing.assert_allclose(s.smooth([2], 4, 0.1), [[0.025, 0.025, 0.925, 0.025]])


@given(logits, logits, temperatures)
def test_gradient_is_the_slope_of_the_cross_entropy(z, v, t):
    target, step = s.softmax(v, t), 1e-4
    for c in range(5):
        move = step * np.eye(5)[c]
        slope = (s.cross_entropy(target, z + move, t) - s.cross_entropy(target, z - move, t)) / (2 * step)
        np.testing.assert_allclose(s.logit_gradient(z, target, t)[:, c], slope, atol=1e-5)


def test_no_temperature_and_no_logit_is_too_large_or_too_small():
    for logits in ([1.0, 2.0, 3.0], [1e308, -1e308, 0.0], [-1e308, -1e308, -1e308]):
        for temperature in (5e-324, 1e-308, 1.0, 1e308):
            p = s.softmax(logits, temperature)
            assert np.isfinite(p).all() and np.isclose(p.sum(), 1)
    np.testing.assert_array_equal(s.softmax([1.0, 2.0, 3.0], 1e-308), [0, 0, 1])
    assert s.cross_entropy([0.0, 0.0, 1.0], [1.0, 2.0, 3.0], 1e-308) == 0
    assert s.cross_entropy([1.0, 0.0, 0.0], [1.0, 2.0, 3.0], 1e-308) == math.inf


def test_gradient_at_high_temperature_tends_to_logit_matching():
    rng = np.random.default_rng(0)
    z, v = rng.normal(size=(2, 4, 10))
    z, v = z - z.mean(-1, keepdims=True), v - v.mean(-1, keepdims=True)
    t = 1e3
    np.testing.assert_allclose(t**2 * s.logit_gradient(z, s.softmax(v, t), t), (z - v) / 10, atol=1e-3)


def test_soft_targets():
    targets = s.soft_targets([[0.0, math.log(3)]], 1.0, examples=1)
    assert targets.dtype == np.float32
    np.testing.assert_allclose(targets, [[0.25, 0.75]], rtol=1e-6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: s.softmax([1.0, 2.0], 0), "temperature must be one number > 0 and finite, got 0"),
        (lambda: s.softmax([1.0, 2.0], -1), "temperature must be one number > 0 and finite, got -1"),
        (lambda: s.softmax([1.0, 2.0], math.nan), "temperature must be one number > 0 and finite, got nan"),
        (lambda: s.softmax([1.0, 2.0], math.inf), "temperature must be one number > 0 and finite, got inf"),
        (lambda: s.softmax([1.0, 2.0], "hot"), "temperature must be one number > 0 and finite, got 'hot'"),
        (lambda: s.softmax(1.0), r"logits must have shape \(classes,\) or \(examples, classes\) .*, got shape \(\)"),
        (lambda: s.softmax(np.zeros((2, 2, 2))), r"logits must have shape .* got shape \(2, 2, 2\)"),
        (lambda: s.softmax([1.0]), "logits must have shape .* with at least 2 classes, got shape"),
        (lambda: s.softmax([1.0, math.nan]), "logits must be finite, got NaN or infinity in 1 of 2 places"),
        (lambda: s.entropy([0.5, 0.6]), "probabilities must be >= 0 and sum to 1"),
        (lambda: s.one_hot([0, 10], 10), r"labels must be in 0\.\.9, got 10"),
        (lambda: s.one_hot([-1], 10), r"labels must be in 0\.\.9, got -1"),
        (lambda: s.one_hot([0.5], 10), "labels must be a vector of integers"),
        (lambda: s.one_hot([0], 0), "classes must be an integer >= 2, got 0"),
        (lambda: s.softmax(["a", "b"]), "logits must be numbers in an array, got"),
        (lambda: s.smooth([0], 10, "0.1"), r"epsilon must be one number in \[0, 1\), got '0.1'"),
        (lambda: s.smooth([0], 10, 1.0), r"epsilon must be one number in \[0, 1\), got 1.0"),
        (lambda: s.soft_targets(np.zeros((3, 10)), 1.0, examples=4), r"teacher_logits must have shape \(4, classes\), got shape \(3, 10\)"),
        (lambda: s.soft_targets(np.zeros(10), 1.0), r"teacher_logits must have shape \(examples, classes\), got shape \(10,\)"),
        (lambda: s.cross_entropy([[0.5, 0.5]], [1.0, 2.0]), r"targets must have the shape of logits \(2,\), got \(1, 2\)"),
        (lambda: s.kl_divergence([0.5, 0.5], [0.2, 0.3, 0.5]), "targets must have the shape of probabilities"),
    ],
)
def test_bad_input_is_named_in_one_sentence(call, message):
    with pytest.raises(ValueError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)

"""Measures on cases whose answer is known."""

import numpy as np
import pytest

from kdcourse import measure
from kdcourse.soft_labels import softmax


def test_accuracy_and_recall_by_hand():
    scores = [[2, 1, 0], [0, 3, 1], [1, 0, 2], [5, 0, 0]]
    labels = [0, 1, 1, 0]
    assert measure.accuracy(scores, labels) == 0.75
    assert measure.recall(scores, labels, 1) == 0.5 and measure.recall(scores, labels, 0) == 1


def test_ece_by_hand():
    # two answers at 0.95, one right; two at 0.65, both right: |0.95 - 0.5| / 2 + |0.65 - 1| / 2
    p = [[0.95, 0.05], [0.95, 0.05], [0.65, 0.35], [0.35, 0.65]]
    assert measure.expected_calibration_error(p, [0, 1, 0, 1]) == pytest.approx(0.4)
    found = measure.reliability(p, [0, 1, 0, 1])
    np.testing.assert_allclose(found.confidence, [0.65, 0.95])
    np.testing.assert_allclose(found.accuracy, [1, 0.5])
    np.testing.assert_array_equal(found.count, [2, 2])


def test_edges_of_the_bins_lose_no_example():
    p = np.array([[1.0, 0.0], [0.5, 0.5], [0.6, 0.4]])
    for bins in (1, 2, 5, 10, 15):
        assert measure.reliability(p, [0, 0, 0], bins).count.sum() == 3


def test_temperature_scaling_recovers_the_temperature_of_made_up_data():
    rng = np.random.default_rng(0)
    true = rng.normal(size=(20_000, 5)) * 2
    labels = (softmax(true).cumsum(1) > rng.random((len(true), 1))).argmax(1)
    assert measure.fit_temperature(3 * true, labels) == pytest.approx(3, rel=0.05)
    assert measure.fit_temperature(true / 2, labels) == pytest.approx(0.5, rel=0.05)
    before, after = (measure.expected_calibration_error(softmax(3 * true, t), labels) for t in (1, 3))
    assert after < 0.02 < before


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: measure.accuracy([1, 2], [0, 1]), r"scores must have shape \(examples, classes\), got shape \(2,\)"),
        (lambda: measure.accuracy([[1, 2]], [0, 1]), r"labels must have shape \(1,\), one for each row of scores, got shape \(2,\)"),
        (lambda: measure.accuracy([[1, 2]], [2]), r"labels must be in 0\.\.1, got 2"),
        (lambda: measure.accuracy(np.zeros((0, 3)), []), "labels must hold at least one label"),
        (lambda: measure.accuracy([[np.nan, 1]], [0]), "scores must be finite, got 1 values"),
        (lambda: measure.expected_calibration_error([[2.0, 7.0]], [0]), "probabilities must be >= 0 and sum to 1"),
        (lambda: measure.recall([[1, 2]], [1], 0), "label must be one that occurs in labels, got 0"),
        (lambda: measure.reliability([[0.5, 0.5]], [0], bins=0), "bins must be an integer >= 1, got 0"),
    ],
)
def test_bad_input_is_named_in_one_sentence(call, message):
    with pytest.raises(ValueError, match=message):
        call()

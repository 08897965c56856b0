"""Codebooks: the best one against all there are, the way there and back, and a network with few different weights."""

import itertools

import numpy as np
import pytest
from zoo import both_libraries, nested

from kdcourse import formats
from kdcourse.anatomy import kernels
from kdcourse.quantization import codebook_bits, find_codebook, indices, look_up, rounded, with_codebooks

DRAW = np.random.default_rng(0)


def error(weights, codebook):
    return float(((weights - look_up(indices(weights, codebook), codebook)) ** 2).sum())


def least_error(weights, entries):
    """Try all ways to cut the sorted weights into parts."""
    line, least = np.sort(np.ravel(weights)), np.inf
    for cuts in itertools.combinations(range(1, len(line)), entries - 1):
        parts = np.split(line, cuts)
        least = min(least, sum(((part - part.mean()) ** 2).sum() for part in parts))
    return least


@pytest.mark.parametrize("entries", [2, 3, 4])
@pytest.mark.parametrize("decimals", [1, 6])  # with 1, weights are equal to each other
def test_the_best_codebook_is_the_best_of_all(entries, decimals):
    for _ in range(8):
        weights = np.round(DRAW.normal(5, 1, DRAW.integers(entries, 13)), decimals)
        codebook = find_codebook(weights, entries)
        assert codebook.dtype == np.float32 and (np.diff(codebook) > 0).all()
        assert error(weights, codebook) == pytest.approx(least_error(weights, min(entries, len(np.unique(weights)))), abs=1e-5)


def test_lloyd_from_a_line_reaches_a_codebook_of_means():
    weights = DRAW.normal(size=(50, 60))
    codebook, best = find_codebook(weights, 8, "linear"), find_codebook(weights, 8)
    nearest = indices(weights, codebook)
    assert np.allclose([weights[nearest == entry].mean() for entry in range(8)], codebook, atol=1e-5)
    assert error(weights, best) <= error(weights, codebook) + 1e-4
    assert error(weights, best) < 0.9 * float(((weights - rounded(weights, 3, method="mse")) ** 2).sum()), "a grid has no choice of places"


def test_an_entry_that_no_weight_is_near_to_is_left_out():
    weights = np.concatenate([DRAW.uniform(0, 0.1, 50), [10.0]])
    assert 2 <= len(find_codebook(weights, 8, "linear")) < 8 == len(find_codebook(weights, 8))


def test_few_different_weights_are_their_own_codebook():
    assert find_codebook([[3, 1], [1, 3]], 4).tolist() == [1, 3] and find_codebook([0.5], 2).tolist() == [0.5]


def test_there_and_back():
    codebook = np.float32([-1, 0, 2])
    found = indices([[-3, -0.51, -0.5], [0.9, 1.01, 9]], codebook)
    assert found.dtype == np.uint8 and found.tolist() == [[0, 0, 0], [1, 2, 2]]
    assert look_up(found, codebook).tolist() == [[-1, -1, -1], [0, 2, 2]] and look_up(found, codebook).dtype == np.float32


@both_libraries
def test_a_copy_of_a_network_has_few_different_weights(library):
    model = nested(library)
    before = model.get_weights()
    copy = with_codebooks(model, 4)
    assert {name: len(np.unique(weights)) for name, weights in kernels(copy).items()} == dict.fromkeys(kernels(model), 4)
    some = with_codebooks(model, {"hidden": 2})
    assert [len(np.unique(weights)) for weights in kernels(some).values()][1] == 2
    assert np.array_equal(kernels(some)["conv"], kernels(model)["conv"])
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), before, strict=True))
    x = DRAW.random((5, 6, 6, 4), np.float32)
    far, near = (np.abs(np.asarray(other(x)) - np.asarray(model(x))).max() for other in (copy, with_codebooks(model, 64)))
    assert far > 3 * near


def test_bits():
    assert codebook_bits(np.zeros((10, 100)), 16) == 4 * 1000 + 32 * 16 and codebook_bits(np.zeros(1000), 17) == 5 * 1000 + 32 * 17


def test_the_file_format_comes_near_the_entropy():
    weights = DRAW.normal(size=(300, 70)).astype(np.float32)
    clustered = look_up(indices(weights, codebook := find_codebook(weights, 16)), codebook)
    least = formats.entropy_bits(clustered) / 8 + 4 * 16
    assert 0.999 * least < formats.encoded_size(clustered, "codebook") < 1.03 * least
    assert formats.entropy_bits(indices(weights, codebook)) == pytest.approx(formats.entropy_bits(clustered))


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: find_codebook([1.0], 1), r"entries must be an integer in 2\.\.256, got 1"),
        (lambda: find_codebook([1.0], 257), r"entries must be an integer in 2\.\.256, got 257"),
        (lambda: find_codebook([1.0, np.nan], 4), "weights must be finite"),
        (lambda: find_codebook([], 4), "weights must hold at least 1 number"),
        (lambda: find_codebook([1.0], 4, "random"), "start must be one of best, linear, got 'random'"),
        (lambda: indices([1.0], [2.0, 1.0]), r"codebook must be at most 256 rising numbers, got \[2\.0, 1\.0\]"),
        (lambda: look_up([0, 2], [1.0, 2.0]), r"indices must be in 0\.\.1, got 0\.\.2"),
        (lambda: look_up([0.5], [1.0, 2.0]), "indices must be integers"),
        (lambda: with_codebooks(nested(), {"drop": 4}), "entries must be names out of conv, hidden, logits, got 'drop'"),
        (lambda: with_codebooks(nested(), {"conv": 0}), r"entries\['conv'\] must be an integer in 2\.\.256, got 0"),
        (lambda: codebook_bits([1.0], 1), "entries must be an integer"),
    ],
)
def test_refusals(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call()


def test_a_weight_that_is_not_finite_is_refused_by_the_name_of_its_layer():
    model = nested()
    model.get_layer("logits").kernel.assign(np.full((9, 3), np.inf, np.float32))
    with pytest.raises(ValueError, match="the weights of logits must be finite"):
        with_codebooks(model, 4)

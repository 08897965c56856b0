"""Grids of integers: what they hold exactly, how far rounding may be off, and what is refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from kdcourse.quantization import affine

NUMBERS = arrays.arrays(np.float64, (12, 4), elements=st.floats(-100, 100, width=32))
PER = st.sampled_from(["tensor", "channel", 3, 4, 12])


@settings(max_examples=60, deadline=None)
@given(NUMBERS, st.integers(2, 16), st.booleans(), PER)
def test_no_number_inside_the_range_is_off_by_more_than_half_a_scale(values, bits, symmetric, per):
    grid = affine.find_grid(values, bits, symmetric=symmetric, per=per)
    back = affine.dequantize(affine.quantize(values, grid), grid)
    off = affine.rows_of(np.abs(values - back), per)
    slack = 1 if not symmetric else 0.5  # the zero point of an affine grid is rounded, too: one end may be cut
    assert (off <= slack * grid.scale * (1 + 1e-6) + 1e-5).all()
    assert (affine.dequantize(affine.quantize(np.zeros_like(values), grid), grid) == 0).all()  # 0 is on the grid


@settings(max_examples=60, deadline=None)
@given(NUMBERS, st.integers(2, 16), st.booleans(), PER)
def test_what_is_on_the_grid_comes_back(values, bits, symmetric, per):
    grid = affine.find_grid(values, bits, symmetric=symmetric, per=per)
    integers = affine.quantize(values, grid)
    assert integers.min() >= grid.low and integers.max() <= grid.high and integers.shape == values.shape
    assert (affine.quantize(affine.dequantize(integers, grid), grid) == integers).all()


def test_an_example_by_hand():
    grid = affine.find_grid([-1.0, 0.0, 3.0], 2)  # 4 integers for [-1, 3]
    assert (grid.low, grid.high) == (-2, 1) and grid.scale.item() == pytest.approx(4 / 3) and grid.zero_point.item() == -1
    assert affine.quantize([-1.0, 0.0, 1.0, 3.0], grid).tolist() == [-2, -1, 0, 1]
    symmetric = affine.find_grid([-1.0, 0.0, 3.0], 2, symmetric=True)
    assert (symmetric.low, symmetric.high) == (-1, 1) and symmetric.scale.item() == 3 and symmetric.zero_point.item() == 0
    assert affine.find_grid([0.0, 255.0], 8).scale.item() == 1 and affine.find_grid([0.0, 255.0], 8).zero_point.item() == -128


def test_rows_are_outputs_or_groups_of_the_inputs_of_an_output():
    values = np.arange(24).reshape(2, 3, 4)  # 6 inputs, 4 outputs
    assert affine.rows_of(values, "channel").shape == (4, 6) and affine.rows_of(values, "channel")[1].tolist() == [1, 5, 9, 13, 17, 21]
    assert affine.rows_of(values, 3).shape == (8, 3) and affine.rows_of(values, 3)[2].tolist() == [1, 5, 9]
    for per in ("tensor", "channel", 2, 3, 6):
        assert (affine.in_place(affine.rows_of(values, per), values.shape, per) == values).all()


def test_a_scale_a_channel_serves_channels_of_different_size():
    values = np.array([[1.0, 100.0], [-0.5, 50.0], [0.3, -75.0]])
    assert affine.sqnr(values[:, 0], affine.rounded(values, 4, symmetric=True, per="channel")[:, 0]) > 20
    assert not affine.rounded(values, 4, symmetric=True)[:, 0].any()  # one scale for all: the small channel is lost


def test_least_squares_is_never_worse_than_min_max_and_cuts_an_outlier():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(200, 8))
    values[0] *= 20
    for bits in (2, 3, 4, 8):
        for symmetric in (True, False):
            error = {
                method: ((values - affine.rounded(values, bits, symmetric=symmetric, per="channel", method=method)) ** 2).mean(0)
                for method in ("minmax", "mse")
            }
            assert (error["mse"] <= error["minmax"] * (1 + 1e-6)).all()
    grids = {m: affine.find_grid(values, 4, symmetric=True, method=m, percentile=99) for m in affine.METHODS}
    assert grids["mse"].scale.item() < grids["minmax"].scale.item() and grids["percentile"].scale.item() < grids["minmax"].scale.item()
    assert grids["percentile"].scale.item() * 7 == pytest.approx(np.percentile(np.abs(values), 99))


def test_a_bit_more_halves_the_noise():  # 6 decibels
    values = np.random.default_rng(0).uniform(-1, 1, 20_000)
    for bits in (4, 8, 12):
        assert affine.sqnr(values, affine.rounded(values, bits)) == pytest.approx(20 * np.log10(2**bits - 1), abs=0.1)
    assert affine.sqnr([1.0, 2.0], [1.0, 2.0]) == np.inf


def test_bits_in_a_file():
    weights = np.zeros((64, 10))
    assert affine.stored_bits(weights, 4) == 640 * 4 + 32
    assert affine.stored_bits(weights, 4, "channel") == 640 * 4 + 10 * 32
    assert affine.stored_bits(weights, 3, 32, symmetric=False, scale_bits=16) == 640 * 3 + 20 * (16 + 3)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: affine.find_grid([1.0], 1), "bits must be an integer in 2..16, got 1"),
        (lambda: affine.find_grid([1.0], 17), "bits must be an integer in 2..16, got 17"),
        (lambda: affine.find_grid([1.0], 8.0), "bits must be an integer in 2..16, got 8.0"),
        (
            lambda: affine.find_grid([1.0, np.nan], 8, name="the weights of conv"),
            "the weights of conv must be finite, got NaN or infinity in 1",
        ),
        (lambda: affine.find_grid(np.zeros(0), 8), "values must hold at least 1 number, got shape (0,)"),
        (lambda: affine.find_grid([1.0], 8, method="max"), "method must be one of minmax, percentile, mse, got 'max'"),
        (lambda: affine.find_grid([1.0], 8, method="percentile", percentile=50), "percentile must be one number in (50, 100], got 50"),
        (lambda: affine.find_grid(np.ones((6, 2)), 8, per=4), "per must be a group size that divides the 6 inputs of values, got 4"),
        (lambda: affine.find_grid(np.ones((6, 2)), 8, per=0), "per must be a group size that divides the 6 inputs of values, got 0"),
        (lambda: affine.find_grid(np.ones((6, 2)), 8, per="row"), "per must be 'tensor', 'channel' or the size of a group, got 'row'"),
        (lambda: affine.find_grid(np.ones(6), 8, per="channel"), "values must have at least 2 axes for a scale a channel, got 1"),
        (
            lambda: affine.quantize(np.ones((6, 3)), affine.find_grid(np.ones((6, 2)), 8, per="channel")),
            "values must have 2 channels, as grid has, got 3",
        ),
        (lambda: affine.sqnr([0.0, 0.0], [1.0, 1.0]), "values must hold a number that is not 0, got zeros only"),
    ],
)
def test_what_does_not_fit_is_refused_in_a_sentence(call, sentence):
    with pytest.raises(ValueError) as refusal:
        call()
    assert sentence in str(refusal.value)

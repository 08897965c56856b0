"""Weight matrices in groups: what each method promises, by hand and on inputs with outlier channels, and what is refused."""

import ast
import inspect
import re

import numpy as np
import pytest

from kdcourse.quantization import matrices

BITS, GROUP = 3, 16


@pytest.fixture(scope="module")
def layer():
    """A layer of 64 inputs, of which two are 20 times as large as the others and all are correlated, and its calibration inputs."""
    rng = np.random.default_rng(0)
    mixed = rng.normal(size=(400, 16)) @ rng.normal(size=(16, 64)) / 4 + rng.normal(size=(400, 64))
    mixed[:, [5, 40]] *= 20
    return rng.normal(size=(64, 24)).astype(np.float32), mixed.astype(np.float32)


@pytest.fixture(scope="module")
def seen(layer):
    return matrices.statistics(layer[1])


def error(layer, found):
    weights, inputs = layer
    return ((inputs @ (found - weights)) ** 2).sum() / ((inputs @ weights) ** 2).sum()


def test_statistics_are_those_of_the_rows(layer, seen):
    inputs = layer[1].astype(float)
    assert np.allclose(seen.mean, np.abs(inputs).mean(0)) and np.allclose(seen.largest, np.abs(inputs).max(0))
    assert np.allclose(seen.second_moments, sum(np.outer(x, x) for x in inputs) / len(inputs), rtol=1e-4, atol=1e-3)


def test_a_group_is_rounded_as_by_hand():
    weights = np.array([[0.0, 5], [1, 5], [2, 5], [3, 5], [0, 0], [30, 1], [20, 2], [10, 3]])  # two groups of four inputs
    assert np.allclose(matrices.round_in_groups(weights, 2, 4), np.where(weights == 5, 5, weights))  # four integers hold both groups
    off = matrices.round_in_groups(weights, 2, 8)  # one group: 0 to 30 in steps of 10
    assert np.allclose(off[:, 0], [0, 0, 0, 0, 0, 30, 20, 10]) and not np.allclose(off[:, 1], weights[:, 1])


def test_a_clipped_range_is_never_worse_for_the_weights(layer):
    plain, clipped = (matrices.round_in_groups(layer[0], BITS, GROUP, method=method) for method in ("minmax", "mse"))
    assert ((clipped - layer[0]) ** 2).sum() < ((plain - layer[0]) ** 2).sum()


def test_salient_inputs_stay_whole_and_the_others_are_rounded(layer, seen):
    which = matrices.largest_channels(seen.mean, 0.03)
    assert which.tolist()[:2] in ([5, 40], [40, 5]) and len(which) == 2
    found, plain = matrices.keep_salient(layer[0], BITS, GROUP, which), matrices.round_in_groups(layer[0], BITS, GROUP)
    others = np.setdiff1d(np.arange(64), which)
    assert np.array_equal(found[which], layer[0][which]) and np.array_equal(found[others], plain[others])
    assert error(layer, found) < error(layer, matrices.keep_salient(layer[0], BITS, GROUP, [0, 1])) / 2


def test_awq_and_gptq_beat_rounding_where_inputs_are_uneven(layer, seen):
    plain = error(layer, matrices.round_in_groups(layer[0], BITS, GROUP))
    assert error(layer, matrices.awq(layer[0], seen, BITS, GROUP)) < 0.6 * plain
    assert error(layer, matrices.gptq(layer[0], seen.second_moments, BITS, GROUP)) < 0.8 * plain


def test_awq_is_rounding_where_all_inputs_are_alike(layer):
    alike = matrices.Statistics(np.ones(64), np.ones(64), np.eye(64))
    assert np.array_equal(matrices.awq(layer[0], alike, BITS, GROUP), matrices.round_in_groups(layer[0], BITS, GROUP))


def test_gptq_is_rounding_where_no_inputs_go_together(layer):
    found = matrices.gptq(layer[0], np.diag(np.linspace(1, 9, 64)), BITS, GROUP)
    assert np.allclose(found, matrices.round_in_groups(layer[0], BITS, GROUP), atol=1e-5)


def test_gptq_makes_up_for_an_error_as_by_hand():
    """Two inputs that are always equal: what the first weight loses goes to the second, in a group of its own."""
    found = matrices.gptq([[0.6, 3.0], [0.3, 0.0]], np.ones((2, 2)), 2, 1, damping=1e-6)
    assert np.allclose(found.sum(0), [0.9, 3.0], atol=1e-4)


def test_gptq_makes_up_for_an_error_within_a_group_as_by_hand():
    """On the grid 0, 1, 2, 3: 0.4 becomes 0, and what is lost makes 1 of the 0.3 of the input that is always equal."""
    moments = np.array([[1.0, 1, 0], [1, 1, 0], [0, 0, 1]])
    assert np.allclose(matrices.gptq([[0.4], [0.3], [3.0]], moments, 2, 3, damping=1e-6)[:, 0], [0, 1, 3])


def test_gptq_gives_numbers_that_are_on_its_grids(layer, seen):
    found = matrices.gptq(layer[0], seen.second_moments, BITS, GROUP)
    for group in found.reshape(4, GROUP, 24).transpose(0, 2, 1).reshape(-1, GROUP):
        assert len(np.unique(np.round(group, 5))) <= 2**BITS


def test_gptq_works_with_fewer_rows_than_inputs_and_with_a_dead_input(layer):
    few = layer[1][:20].copy()
    few[:, 7] = 0
    found = matrices.gptq(layer[0], matrices.statistics(few).second_moments, BITS, GROUP)
    assert np.isfinite(found).all()


def test_the_output_error_is_that_of_the_rows(layer, seen):
    found = matrices.round_in_groups(layer[0], BITS, GROUP)
    assert matrices.output_error(layer[0], found, seen.second_moments) == pytest.approx(error(layer, found), rel=1e-3)
    assert matrices.output_error(layer[0], layer[0], seen.second_moments) == 0


@pytest.mark.parametrize("alpha", [0, 0.5, 1])
def test_smoothing_changes_no_output_and_evens_the_inputs(layer, seen, alpha):
    weights, inputs = layer
    scales, smoothed = matrices.smooth(weights, seen.largest, alpha)
    assert np.allclose(inputs / scales @ smoothed, inputs @ weights, rtol=1e-4, atol=1e-3)
    if alpha == 1:
        assert np.allclose(np.abs(inputs / scales).max(0), 1, rtol=1e-5)


def test_a_channel_that_is_never_used_is_not_scaled(layer, seen):
    largest = seen.largest.copy()
    largest[3] = 0
    scales, smoothed = matrices.smooth(layer[0], largest, 0.5)
    assert scales[3] == 1 and np.isfinite(smoothed).all()


def test_inputs_on_one_grid_or_on_one_for_each_row():
    inputs = np.array([[1.0, -0.5], [100, 3]])
    assert np.allclose(matrices.round_inputs(inputs, 8, largest=100), [[100 / 127, -100 / 127], [100, 400 / 127]], atol=1e-5)
    each = matrices.round_inputs(inputs)
    assert np.allclose(each, inputs, atol=0.4) and each[0] == pytest.approx([1, -0.5], abs=0.004)
    assert matrices.round_inputs(inputs, 8, largest=50)[1, 0] == 50  # cut
    assert not matrices.round_inputs(np.zeros((1, 3))).any()


def test_bits_are_counted_with_what_is_stored_beside():
    assert matrices.bits_a_weight((128, 10), 3, 64) == 3 + 19 / 64  # a scale of 16 bits and a zero point of 3
    assert matrices.bits_a_weight((128, 10), 3, 128) == 3 + 19 / 128
    assert matrices.bits_a_weight((128, 10), 4, 64, kept=2) == pytest.approx(4 + 20 / 64 + 2 * (160 + 16) / 1280)
    assert matrices.bits_a_weight((128, 10), 4, 64, scaled=True) == pytest.approx(4 + 20 / 64 + 16 / 10)


ONES = np.ones((64, 8))


def calls(weights=ONES, bits=3, group=16, name="wide0"):
    seen = matrices.Statistics(np.ones(64), np.ones(64), np.eye(64))
    return [
        lambda: matrices.round_in_groups(weights, bits, group, name=name),
        lambda: matrices.keep_salient(weights, bits, group, [0], name=name),
        lambda: matrices.awq(weights, seen, bits, group, name=name),
        lambda: matrices.gptq(weights, seen.second_moments, bits, group, name=name),
    ]


@pytest.mark.parametrize("method", range(4))
@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"group": 48}, "group must be a size that divides the 64 inputs of wide0, got 48"),
        ({"group": 0}, "group must be an integer >= 1, got 0"),
        ({"bits": 1}, "bits must be an integer in 2..16, got 1"),
        ({"weights": np.full((64, 8), np.nan)}, "wide0 must be finite, got NaN or infinity in 512 of 512 places"),
        ({"weights": np.ones(64)}, "wide0 must have shape (inputs, outputs), got shape (64,)"),
    ],
)
def test_every_method_refuses_the_same_in_one_sentence(method, wrong, sentence):
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        calls(**wrong)[method]()


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: matrices.statistics(np.zeros((3, 2))), "inputs must hold a number that is not 0, got zeros only"),
        (lambda: matrices.statistics(np.ones(3)), "inputs must have shape (rows, inputs), got shape (3,)"),
        (lambda: matrices.keep_salient(np.ones((4, 2)), 3, 4, [4]), "which must be in 0..3, got 4"),
        (lambda: matrices.largest_channels(np.ones(4), 0), "share must be one number in (0, 1], got 0"),
        (lambda: matrices.gptq(np.ones((4, 2)), np.eye(3), 3, 4), "second_moments must have shape (4, 4), got shape (3, 3)"),
        (lambda: matrices.gptq(np.ones((2, 2)), -np.eye(2), 3, 2, damping=0.5), "second_moments must be those of some inputs"),
        (lambda: matrices.gptq(np.ones((2, 2)), np.eye(2), 3, 2, damping=0), "damping must be one number > 0 and finite, got 0"),
        (lambda: matrices.smooth(np.ones((2, 2)), [1, -1], 0.5), "largest_inputs must be magnitudes, >= 0, got -1"),
        (lambda: matrices.smooth(np.ones((2, 2)), [1, 1], 2), "alpha must be one number in [0, 1], got 2"),
        (lambda: matrices.round_inputs(np.ones((2, 2)), 8, 0), "largest must be one number > 0 and finite, got 0"),
        (lambda: matrices.output_error(np.zeros((2, 2)), np.ones((2, 2)), np.eye(2)), "weights must give an output that is not 0"),
        (lambda: matrices.bits_a_weight((100, 4), 3, 64), "group must be a size that divides the 100 inputs, got 64"),
        (lambda: matrices.bits_a_weight((64, 4), 3, 64, kept=65), "kept must be an integer in 0..64, got 65"),
    ],
)
def test_bad_arguments_are_refused_in_one_sentence(call, sentence):
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}"):
        call()


def test_no_method_changes_what_it_is_given(layer, seen):
    before = [array.copy() for array in (*layer, *seen)]
    matrices.awq(layer[0], seen, BITS, GROUP)
    matrices.gptq(layer[0], seen.second_moments, BITS, GROUP)
    matrices.keep_salient(layer[0], BITS, GROUP, [1])
    assert all(np.array_equal(a, b) for a, b in zip(before, (*layer, *seen), strict=True))


def test_the_core_of_each_method_can_be_read_in_one_look():
    for function in (matrices.round_in_groups, matrices.keep_salient, matrices.awq, matrices.gptq, matrices.smooth):
        body = ast.parse(inspect.getsource(function)).body[0].body[1:]  # behind the docstring
        assert sum(len(ast.unparse(statement).splitlines()) for statement in body) <= 22, function.__name__

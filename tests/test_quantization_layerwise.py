"""Weights rounded layer by layer, each error made up for."""

import numpy as np
import pytest
from zoo import examples

from kdcourse import quantization
from kdcourse.quantization.layerwise import compensated


def network(*layers_of, shape=(8, 8, 1)):
    import keras

    keras.utils.set_random_seed(0)
    return keras.Sequential([keras.Input(shape), *layers_of])


def layers():
    import keras

    return keras.layers


def images(n):
    return examples(n)[0]


def distance(model, other, x) -> float:
    return float(np.square(np.asarray(model(x)) - np.asarray(other(x))).mean())


def test_outputs_are_nearer_than_after_plain_rounding_and_weights_are_on_the_grid():
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(200, 6)) @ rng.normal(size=(6, 24))  # inputs that go together
    weights = rng.normal(size=(24, 5))
    for bits in (2, 3, 4, 8):
        found = compensated(weights, inputs.T @ inputs, bits)
        plain = quantization.rounded(weights, bits, symmetric=True, per="channel")
        errors = [np.square(inputs @ (weights - one)).sum() for one in (found, plain)]
        assert errors[0] < 0.7 * errors[1], bits
        scale = quantization.find_grid(weights, bits, symmetric=True, per="channel").scale[:, 0]
        np.testing.assert_allclose(found / scale, np.rint(found / scale), atol=1e-4)
        assert len(np.unique(np.rint(found / scale))) <= 2**bits - 1


def test_an_affine_grid_has_one_value_more():
    rng = np.random.default_rng(0)
    inputs, weights = rng.normal(size=(200, 24)), rng.normal(size=(24, 5))
    for symmetric, values in ((True, 3), (False, 4)):
        found = compensated(weights, inputs.T @ inputs, 2, symmetric=symmetric)
        assert max(len(np.unique(column)) for column in found.T) == values


def test_inputs_that_do_not_go_together_leave_plain_rounding():
    weights = np.random.default_rng(1).normal(size=(7, 3))
    plain = quantization.rounded(weights, 3, symmetric=True, per="channel")
    np.testing.assert_allclose(compensated(weights, np.eye(7), 3), plain, rtol=1e-5)


def test_a_network_keeps_its_outputs_better_and_the_model_stays():
    keras_layers = layers()
    model = network(
        keras_layers.Conv2D(6, 3, padding="same", activation="relu"),
        keras_layers.Conv2D(8, 3, strides=2, activation="relu"),
        keras_layers.Flatten(),
        keras_layers.Dense(10),
    )
    x, before = images(60), [weights.copy() for weights in model.get_weights()]
    found = quantization.round_layer_by_layer(model, 3, x)
    plain = quantization.with_fake_quantization(model, 3)
    assert distance(model, found, x) < 0.7 * distance(model, plain, x)
    for kept, now in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(kept, now)
    for layer in found.layers:
        if layer.weights:
            assert len(np.unique(np.asarray(layer.kernel)[..., 0])) <= 7, layer.name
    assert distance(model, quantization.round_layer_by_layer(model, 12, x), x) < 1e-5


def test_the_bias_takes_the_mean_error_away():
    keras_layers = layers()
    model = network(keras_layers.Flatten(), keras_layers.Dense(4))
    x = images(50)
    found = quantization.round_layer_by_layer(model, 2, x)
    np.testing.assert_allclose(np.asarray(found(x)).mean(0), np.asarray(model(x)).mean(0), atol=1e-4)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"bits": 1}, "bits must be"),
        ({"examples": np.zeros((0, 8, 8, 1))}, "examples must"),
        ({"examples": np.full((2, 8, 8, 1), np.nan)}, "examples must"),
        ({"examples": np.zeros((2, 7, 8, 1))}, "examples must have shape"),
        ({"method": "median"}, "method must be one of"),
    ],
)
def test_bad_input_is_refused(change, sentence):
    keras_layers = layers()
    model = network(keras_layers.Flatten(), keras_layers.Dense(4))
    given = {"bits": 4, "examples": images(3)} | change
    with pytest.raises(ValueError, match=sentence):
        quantization.round_layer_by_layer(model, **given)


def test_a_layer_of_another_kind_is_named():
    keras_layers = layers()
    model = network(keras_layers.DepthwiseConv2D(3, name="narrow"), keras_layers.Flatten(), keras_layers.Dense(4))
    with pytest.raises(ValueError, match="DepthwiseConv2D 'narrow'"):
        quantization.round_layer_by_layer(model, 4, images(3))

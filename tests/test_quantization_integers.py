"""A .tflite file in integers: the fixed-point arithmetic is right, and every layer gives LiteRT's integers."""

from fractions import Fraction

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import layers
from zoo import randomized

from kdcourse import datasets, litert, models
from kdcourse.quantization import integers

X = np.random.default_rng(0).random((40, 12, 12, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def every_operator():
    """The .tflite of a network with each operator that is known: padding, depthwise convolution, addition, pooling of all kinds, ReLU6."""
    keras.utils.set_random_seed(0)
    start = keras.Input((12, 12, 3))
    x = layers.ZeroPadding2D(1)(start)
    x = first = layers.ReLU(max_value=6)(layers.Conv2D(8, 3, strides=2)(x))
    x = layers.ReLU()(layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2)(x))
    x = layers.Add()([first, layers.Conv2D(8, 1)(x)])  # a convolution without an activation: negative sums
    x = layers.MaxPooling2D(2)(layers.AveragePooling2D(2, strides=1, padding="same")(x))
    x = layers.Conv2D(6, 3, strides=(2, 1), padding="same", activation="relu")(x)
    x = layers.Add()([layers.GlobalAveragePooling2D()(x), layers.Dense(6)(layers.Flatten()(x))])
    model = keras.Model(start, layers.Dense(4)(x))
    return litert.to_tflite(model, "int8", X)


@pytest.fixture(scope="module")
def digits():
    return datasets.load("mnist-5k")


@given(st.floats(2**-20, 2**8))
def test_a_factor_becomes_an_integer_and_a_shift(factor):
    multiplier, shift = integers.fixed_point(factor)
    assert 2**30 <= multiplier < 2**31
    assert float(multiplier) / 2**31 * 2.0 ** float(shift) == pytest.approx(factor, rel=2**-30)


def test_factors_by_hand():
    assert integers.fixed_point(1.0) == (2**30, 1) and integers.fixed_point(0.25) == (2**30, -1)
    assert integers.fixed_point(1 - 2**-40) == (2**30, 1)  # rounds up to 1
    assert integers.fixed_point(0.0) == (0, 0)
    multiplier, shift = integers.fixed_point(np.array([0.3, 0.0024]))
    np.testing.assert_array_equal(shift, [-1, -8])
    np.testing.assert_array_equal(multiplier, [round(0.6 * 2**31), round(0.0024 * 2**39)])


@given(st.integers(-(2**30), 2**30), st.floats(2**-12, 0.99))
def test_requantizing_is_a_product_rounded_to_the_nearest_integer(total, factor):
    multiplier, shift = integers.fixed_point(factor)
    exact = Fraction(total) * int(multiplier) / 2**31 * Fraction(2) ** int(shift)
    assert abs(int(integers.requantize(total, multiplier, shift)) - exact) <= Fraction(1, 2) * (
        1 + Fraction(2) ** int(shift)
    )  # two roundings


def close(row):
    """Equal on the machine where it was written; another processor rounds half-way sums otherwise."""
    return row.alone <= 1 and row.differing < 0.01 and row.end_to_end <= 2


def test_every_operator_gives_the_integers_of_litert(every_operator):
    rows = integers.compare(every_operator, X)
    assert set(integers.OPERATORS) - {row.operator for row in rows} <= {"QUANTIZE", "RELU", "RELU6"}  # fused, or not needed here
    assert all(close(row) for row in rows), rows


@pytest.mark.parametrize("name", ["mnist-5k-lenet5", "mnist-5k-teacher"])
def test_the_networks_of_the_course_give_the_integers_of_litert(name, digits):
    tflite = litert.to_tflite(models.load_trained(name), "int8", digits.x_train[:100])
    rows = integers.compare(tflite, digits.x_test[:60])
    assert len(rows) >= 7 and all(close(row) for row in rows), rows
    file = litert.contents(tflite)
    answer = file.tensors[file.outputs[0]]
    ours = answer.scale * (integers.run(tflite, digits.x_test[:60])[file.outputs[0]] - answer.zero_point)
    theirs = litert.predict(tflite, digits.x_test[:60])  # by XNNPACK, which rounds some sums otherwise
    assert np.abs(ours - theirs).max() <= 1.01 * answer.scale[0] * 2


@pytest.mark.parametrize(("build", "operators"), [(models.separable_cnn, 10), (models.phone_cnn, 9)])
@pytest.mark.parametrize("bits", [None, {"logits": 4, "conv.*": 4}], ids=["8 bits", "some 4 bits"])
def test_files_of_the_other_quantizer_give_the_integers_of_litert(build, operators, bits, digits):
    source = litert.to_tflite(randomized(build()))
    tflite = litert.quantized(source, "static_int8", digits.x_train[:60], bits)
    rows = integers.compare(tflite, digits.x_test[:40])
    assert len(rows) == operators and all(close(row) for row in rows), rows
    kinds = {row.operator for row in rows}
    assert {"DEPTHWISE_CONV_2D", "ADD", "MEAN"} <= kinds or build is models.phone_cnn


def test_floats_and_integers_may_come_in(every_operator):
    (last,) = litert.contents(every_operator).outputs
    np.testing.assert_array_equal(
        integers.run(every_operator, X)[last], integers.run(every_operator, litert.as_integers(every_operator, X))[last]
    )


def refused(call):
    with pytest.raises(ValueError) as refusal:
        call()
    return str(refusal.value)


def test_what_does_not_fit_is_refused_in_a_sentence(every_operator):
    start = keras.Input((4, 4, 1))
    small = keras.Model(start, layers.Dense(2)(layers.Flatten()(layers.Activation("sigmoid")(start))))
    images = np.random.default_rng(0).random((8, 4, 4, 1)).astype(np.float32)
    assert "tflite must be a file of the operators FULLY_CONNECTED, CONV_2D" in refused(
        lambda: integers.run(litert.to_tflite(small, "int8", images), images)
    )
    assert "got LOGISTIC in " in refused(lambda: integers.run(litert.to_tflite(small, "int8", images), images))
    plain = keras.Model(start, layers.Dense(2)(layers.Flatten()(start)))
    assert "tflite must be a file in which all activations are 8-bit integers, got float32 in" in refused(
        lambda: integers.run(litert.to_tflite(plain), images)
    )
    assert "inputs must have shape (examples, 12, 12, 3), got shape (40, 12, 12)" in refused(
        lambda: integers.run(every_operator, X[..., 0])
    )
    assert "tflite must be the bytes of a .tflite file, got 4 bytes that LiteRT refuses" in refused(lambda: integers.run(b"1234", X))

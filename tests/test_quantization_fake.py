"""Fake quantization: the gradient passes straight through, the copy computes on the grids, and BatchNormalization folds away."""

import keras
import numpy as np
import pytest
from keras import layers

from kdcourse import models, training
from kdcourse.quantization import affine, fake, folding
from kdcourse.soft_labels import one_hot

RNG = np.random.default_rng(0)
X = RNG.random((40, 8, 8, 2)).astype(np.float32)
Y = one_hot(np.arange(40) % 3, 3)


def network(norms: bool = True):
    """All kinds of layers that round: convolution, depthwise convolution, addition, pooling, dense."""
    keras.utils.set_random_seed(0)
    given = keras.Input((8, 8, 2))
    x = layers.Conv2D(4, 3, padding="same", use_bias=not norms, name="conv")(given)
    x = layers.BatchNormalization(name="norm")(x) if norms else x
    x = first = layers.ReLU(name="relu")(x)
    x = layers.DepthwiseConv2D(3, padding="same", depth_multiplier=1, name="depthwise")(x)
    x = layers.BatchNormalization(name="depthwise_norm", center=False)(x) if norms else x
    x = layers.Add(name="add")([first, x])
    x = layers.MaxPooling2D(name="pool")(x)
    x = layers.Flatten(name="flat")(x)
    x = layers.Dense(5, activation="relu", name="dense")(x)
    x = layers.BatchNormalization(name="behind_relu")(x) if norms else x
    model = keras.Model(given, layers.Dense(3, name="logits")(x))
    for layer in model.layers:  # as if it had been trained
        layer.set_weights([w + RNG.uniform(0.1, 0.5, w.shape).astype(np.float32) for w in layer.get_weights()])
    return model


@pytest.fixture(scope="module")
def plain():
    return network(norms=False)


def gap(one, other):
    return np.abs(training.logits(one, X) - training.logits(other, X)).max()


def test_the_gradient_passes_straight_through_inside_the_grid_only():
    import tensorflow as tf

    x, scale = tf.constant([-3.0, -0.6, 0.3, 0.8, 9.0]), tf.constant(0.5)
    with tf.GradientTape() as tape:
        tape.watch([x, scale])
        y = fake.fake_quantized(x, scale, 0, -2, 3)
        total = tf.reduce_sum(y)
    to_x, to_scale = tape.gradient(total, [x, scale])
    np.testing.assert_allclose(y, [-1.0, -0.5, 0.5, 1.0, 1.5])
    np.testing.assert_array_equal(to_x, [0, 1, 1, 1, 0])
    # LSQ, equation 3: the integer at the ends, integer minus real number inside
    assert float(to_scale) == pytest.approx(-2 + (-1 + 1.2) + (1 - 0.6) + (2 - 1.6) + 3, abs=1e-5)


def test_the_copy_rounds_weights_as_the_grids_do(plain):
    copy = fake.with_fake_quantization(plain, 4)
    for name in ("conv", "dense", "logits"):
        kernel = np.asarray(plain.get_layer(name).kernel)
        wanted = affine.rounded(kernel, 4, symmetric=True, per="channel")
        np.testing.assert_allclose(copy.get_layer(name).kernel, wanted, atol=1e-6)
    depthwise = np.asarray(plain.get_layer("depthwise").kernel)  # (3, 3, channels, 1)
    wanted = affine.rounded(depthwise[..., 0], 4, symmetric=True, per="channel")[..., None]
    np.testing.assert_allclose(copy.get_layer("depthwise").kernel, wanted, atol=1e-6)
    assert len(np.unique(np.asarray(fake.with_fake_quantization(plain, 2, per="tensor").get_layer("conv").kernel))) <= 3


def test_more_bits_come_closer_and_16_are_as_good_as_floats(plain):
    gaps = [gap(plain, fake.with_fake_quantization(plain, bits, bits, examples=X)) for bits in (3, 4, 8, 12, 16)]
    assert gaps == sorted(gaps, reverse=True) and gaps[-1] < 1e-3 * np.abs(training.logits(plain, X)).max() < gaps[0]
    assert gap(plain, fake.with_fake_quantization(plain, None)) == 0


def test_activations_are_rounded_where_a_phone_rounds_them(plain):
    grids = fake.activation_grids(plain, X, 8)
    assert list(grids) == ["the input", "relu", "depthwise", "add", "dense", "logits"]  # conv is one operation with its ReLU; pooling keeps
    relu = np.asarray(keras.Model(plain.inputs[0], plain.get_layer("relu").output)(X))
    assert grids["relu"].zero_point.item() == -128 and grids["relu"].scale.item() == pytest.approx(relu.max() / 255, rel=1e-5)
    outputs = training.logits(fake.with_fake_quantization(plain, None, 4, examples=X), X)
    assert len(np.unique(outputs)) <= 16


def test_some_layers_only(plain):
    copy = fake.with_fake_quantization(plain, {"dense": 2})
    np.testing.assert_array_equal(copy.get_layer("conv").kernel, plain.get_layer("conv").kernel)
    assert len(np.unique(np.asarray(copy.get_layer("dense").kernel)[:, 0])) <= 3


@pytest.mark.parametrize("learned", [True, False])
def test_training_through_the_rounding_lowers_the_loss_and_leaves_the_model_alone(plain, learned):
    before = plain.get_weights()

    def quantized():
        return fake.with_fake_quantization(plain, 2, 4, examples=X, weight_method="mse", learn_scales=learned)

    trained = training.train(quantized, X, Y, seed=0, updates=60, batch_size=20, learning_rate=0.01)
    loss = [
        np.asarray(keras.losses.categorical_crossentropy(Y, training.logits(m, X), from_logits=True)).mean() for m in (quantized(), trained)
    ]
    assert loss[1] < 0.9 * loss[0]
    scales = [np.asarray(m.get_layer("dense").fake.log_scale) for m in (quantized(), trained)]
    assert np.array_equal(*scales) is not learned
    for old, new in zip(before, plain.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_folding_leaves_the_answers_and_takes_the_norms_that_it_can():
    model = network()
    folded = folding.fold_batch_norms(model)
    assert gap(model, folded) < 1e-4 * np.abs(training.logits(model, X)).max()
    names = [layer.name for layer in folded.layers]
    assert "norm" not in names and "depthwise_norm" not in names and "behind_relu" in names  # the last reads what a ReLU gave
    assert folded.get_layer("conv").use_bias and not model.get_layer("conv").use_bias


def test_a_layer_that_others_read_too_keeps_its_norm():
    given = keras.Input((8, 8, 2))
    conv = layers.Conv2D(2, 3, padding="same", name="conv")(given)
    model = keras.Model(given, layers.Add()([layers.BatchNormalization(name="norm")(conv), conv]))
    assert "norm" in [layer.name for layer in folding.fold_batch_norms(model).layers]


def test_the_teacher_of_the_course_loses_all_its_norms():
    teacher = models.load_trained("mnist-5k-teacher")
    folded, images = folding.fold_batch_norms(teacher), RNG.random((4, 28, 28, 1)).astype(np.float32)
    assert not any(isinstance(layer, layers.BatchNormalization) for layer in folded.layers)
    np.testing.assert_allclose(training.logits(folded, images), training.logits(teacher, images), atol=1e-3)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda m: fake.with_fake_quantization(m, 1), "weight_bits must be an integer in 2..16, got 1"),
        (lambda m: fake.with_fake_quantization(m, {"conv": 20}), "weight_bits['conv'] must be an integer in 2..16, got 20"),
        (
            lambda m: fake.with_fake_quantization(m, {"pool": 4}),
            "weight_bits must be names out of conv, depthwise, dense, logits, got 'pool'",
        ),
        (lambda m: fake.with_fake_quantization(m, 8, 0, examples=X), "activation_bits must be an integer in 2..16, got 0"),
        (lambda m: fake.with_fake_quantization(m, 8, per="group"), "per must be one of channel, tensor, got 'group'"),
        (lambda m: fake.with_fake_quantization(m, 8, 8), "examples must be given: they tell the range of every activation, got None"),
        (
            lambda m: fake.with_fake_quantization(m, 8, 8, examples=X[:0]),
            "examples must have shape (examples, 8, 8, 2), examples at least 1",
        ),
        (
            lambda m: fake.with_fake_quantization(m, 8, 8, examples=X[:, :4]),
            "examples must have shape (examples, 8, 8, 2), got shape (40, 4",
        ),
        (lambda m: fake.with_fake_quantization(m, 8, 8, examples=X * np.nan), "examples must be finite, got NaN or infinity"),
        (lambda m: fake.with_fake_quantization(m, 8, 8, examples=X * 0), "such that the activations of the input differ, got 0 for all 40"),
        (lambda m: folding.fold_batch_norms(keras.Sequential([keras.Input((8, 8, 2)), m])), "model must have no model inside"),
        (lambda m: folding.fold_batch_norms("model"), "model must be a keras or tf_keras model, got builtins.str"),
    ],
)
def test_what_does_not_fit_is_refused_in_a_sentence(plain, call, sentence):
    with pytest.raises(ValueError) as refusal:
        call(plain)
    assert sentence in str(refusal.value)

"""Filters that are removed, the model that is left, and the masked model that must agree with it."""

import functools
import subprocess
import sys

import keras
import numpy as np
import pytest
import tf_keras
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers

from kdcourse import answers, models
from kdcourse.pruning import structured
from kdcourse.pruning.structured import choose_filters, filter_scores, with_filters_masked, without_filters

SHAPE = (8, 8, 2)


def norm(x, name):
    return layers.BatchNormalization(name=name)(x)


def conv(x, filters, name, size=3, **more):
    return layers.Conv2D(filters, size, padding="same", name=name, **more)(x)


def head(x, name="logits"):
    return layers.Dense(3, name=name)(layers.GlobalAveragePooling2D()(x))


def sequential_cnn():
    """Return LeNet-5 in small: Flatten maps 2x2 places of 6 channels to 24 inputs."""
    return keras.Sequential(
        [
            keras.Input(SHAPE),
            layers.Conv2D(4, 3, activation="relu", name="conv1"),
            layers.MaxPooling2D(),
            layers.Conv2D(6, 2, activation="relu", name="conv2"),
            layers.Flatten(),
            layers.Dense(10, activation="relu", name="dense1"),
            layers.Dropout(0.5),
            layers.Dense(3, name="logits"),
        ],
        name="small_lenet",
    )


def deferred():
    """Return a Sequential that learned its input's shape from data, grown layer by layer."""
    model = keras.Sequential(name="deferred")
    for layer in (layers.Conv2D(5, 3, activation="relu", name="conv1"), layers.Flatten(), layers.Dense(3, name="logits")):
        model.add(layer)
    model(np.zeros((1, *SHAPE), np.float32))
    return model


def sigmoid():
    """Return activations that make something of 0, BatchNormalization before, after and on both sides of them."""
    x = inputs = keras.Input(SHAPE)
    x = norm(conv(x, 4, "before", activation="sigmoid"), "norm_after")
    x = layers.Activation("softplus", name="softplus")(norm(conv(x, 5, "after"), "norm_before"))
    x = norm(layers.Activation("sigmoid", name="sigmoid")(norm(conv(x, 6, "both"), "norm1")), "norm2")
    x = layers.Flatten()(layers.ZeroPadding2D(1)(x))
    x = layers.Dense(7, activation="sigmoid", name="hidden")(x)
    return keras.Model(inputs, layers.Dense(3, name="logits")(x))


def resnet():
    """Return an identity shortcut, a projection shortcut and one of the operator +."""
    x = inputs = keras.Input(SHAPE)
    x = stem = layers.ReLU()(norm(conv(x, 4, "stem"), "stem_norm"))
    x = layers.ReLU()(norm(conv(x, 5, "a1"), "a1_norm"))
    x = layers.ReLU()(layers.Add(name="add_a")([stem, norm(conv(x, 4, "a2"), "a2_norm")]))
    y = layers.ReLU()(norm(conv(x, 6, "b1", strides=2), "b1_norm"))
    y = norm(conv(y, 7, "b2"), "b2_norm")
    x = layers.ReLU()(layers.Add(name="add_b")([y, norm(conv(x, 7, "b_projection", 1, strides=2), "b_projection_norm")]))
    y = conv(layers.Activation("elu")(conv(x, 3, "c1")), 7, "c2")
    return keras.Model(inputs, head(x + y))


def preactivation():
    """Return a block of the second ResNet: BatchNormalization and ReLU stand before the convolution, and behind the Add."""
    x = inputs = keras.Input(SHAPE)
    x = stem = conv(x, 6, "stem")
    x = conv(layers.ReLU()(norm(x, "norm1")), 5, "c1")
    x = layers.Average()([conv(layers.ReLU()(norm(x, "norm2")), 6, "c2"), stem])
    return keras.Model(inputs, head(layers.ReLU()(norm(x, "norm3"))))


def mobilenet():
    """Return depthwise separable blocks, one of them with two depthwise filters a channel, one as a single layer."""
    x = inputs = keras.Input(SHAPE)
    x = layers.ReLU(6.0)(norm(conv(x, 4, "stem"), "stem_norm"))
    x = layers.DepthwiseConv2D(3, depth_multiplier=2, padding="same", activation="sigmoid", name="depthwise1")(x)
    x = layers.ReLU(6.0)(norm(x, "depthwise1_norm"))
    x = layers.ReLU(6.0)(norm(conv(x, 5, "pointwise1", 1), "pointwise1_norm"))
    x = layers.DepthwiseConv2D(3, use_bias=False, name="depthwise2")(x)
    x = layers.SeparableConv2D(6, 3, depth_multiplier=3, activation="relu", name="separable")(x)
    return keras.Model(inputs, head(x))


def inverted_residual():
    """Return a block of MobileNetV3: expand, depthwise, squeeze and excite, project, add."""
    x = inputs = keras.Input(SHAPE)
    x = stem = norm(conv(x, 4, "stem"), "stem_norm")
    x = layers.Activation("hard_silu")(norm(conv(x, 8, "expand", 1), "expand_norm"))
    x = layers.Activation("hard_silu")(norm(layers.DepthwiseConv2D(3, padding="same", name="depthwise")(x), "depthwise_norm"))
    s = layers.Reshape((1, 1, 8), name="reshape")(layers.GlobalAveragePooling2D()(x))
    s = layers.Conv2D(3, 1, activation="relu", name="squeeze")(s)
    s = layers.Conv2D(8, 1, activation="hard_sigmoid", name="excite")(s)
    x = norm(conv(layers.Multiply(name="scale")([x, s]), 4, "project", 1), "project_norm")
    return keras.Model(inputs, head(layers.Add(name="add")([x, stem])))


def densenet():
    """Return channels that are appended, and a convolution that is added to two of them at once."""
    x = inputs = keras.Input(SHAPE)
    a = conv(x, 3, "a", activation="relu")
    b = conv(a, 4, "b", activation="tanh")
    both = norm(layers.Concatenate(name="both")([a, b]), "both_norm")
    c = conv(both, 7, "c")
    x = layers.Add(name="add")([both, c])
    places = layers.Concatenate(axis=1, name="places")([x, conv(x, 7, "d")])
    return keras.Model(inputs, layers.Dense(3, name="logits")(layers.Flatten()(places)))


def mlp():
    """Return hidden units; the last ones are added to flat channels, so that six of them hang together."""
    x = inputs = keras.Input((3, 2, 2))
    x = flat = layers.Flatten()(layers.Conv2D(4, 1, name="conv")(x))
    x = layers.ReLU()(norm(layers.Dense(9, name="dense1")(x), "norm1"))
    x = layers.Dense(24, name="dense2")(x)
    return keras.Model(inputs, layers.Dense(3, name="logits")(layers.Add(name="add")([x, flat])))


def two_heads():
    """Return a model of two inputs and two outputs, with a spatial mask for all channels."""
    inputs = {"left": keras.Input(SHAPE, name="left"), "right": keras.Input(SHAPE, name="right")}
    x = layers.Maximum()([conv(inputs["left"], 5, "conv_left"), conv(inputs["right"], 5, "conv_right")])
    mask = conv(x, 1, "mask", activation="sigmoid")
    x = layers.Multiply()([x, mask])
    return keras.Model(inputs, {"first": head(x, "first"), "second": head(conv(x, 4, "conv2"), "second")})


def one_dimension():
    x = inputs = keras.Input((12, 2))
    x = layers.Conv1D(5, 3, dilation_rate=2, padding="causal", activation=layers.LeakyReLU(0.1), name="conv1")(x)
    x = layers.AveragePooling1D(2)(layers.SpatialDropout1D(0.2)(x))
    x = layers.Dense(4, activation="gelu", name="by_place")(layers.DepthwiseConv1D(2, name="depthwise")(x))
    return keras.Model(inputs, layers.Dense(3, name="logits")(layers.GlobalMaxPooling1D()(x)))


ARCHITECTURES = {
    build.__name__: build
    for build in (
        sequential_cnn,
        deferred,
        models.lenet5,
        models.teacher_cnn,
        sigmoid,
        resnet,
        preactivation,
        mobilenet,
        inverted_residual,
        densenet,
        mlp,
        two_heads,
        one_dimension,
    )
}
ONE_INPUT = [name for name in ARCHITECTURES if name != "two_heads"]
every_architecture = pytest.mark.parametrize("architecture", ARCHITECTURES)


@functools.cache
def network(architecture):
    """Return a network with weights and statistics that are nowhere 0 or 1; tests only read it."""
    keras.utils.set_random_seed(1)
    model = ARCHITECTURES[architecture]()
    randomize(model)
    return model


def randomize(model, seed=0):
    rng = np.random.default_rng(seed)
    for layer in model.layers:
        for variable in layer.weights:
            if variable.name == "moving_variance":
                variable.assign(rng.uniform(0.5, 2, variable.shape))
            elif "kernel" in variable.name:
                variable.assign(rng.normal(0, np.prod(variable.shape[:-1]) ** -0.5, variable.shape))
            else:
                variable.assign(rng.normal(0, 1, variable.shape))


def images(model, examples=6):
    """Return random images of the shape that a model reads; a dict of them for a model of several inputs."""
    rng = np.random.default_rng(5)
    found = {tensor.name: rng.normal(0, 1, (examples, *tensor.shape[1:])).astype(np.float32) for tensor in model.inputs}
    return found if len(found) > 1 else found.popitem()[1]


def answers(model, x):
    found = model(x, training=False)
    return {name: np.asarray(values) for name, values in (found if isinstance(found, dict) else {"": found}).items()}


def assert_same_outputs(one, other, x):
    ours, theirs = answers(one, x), answers(other, x)
    assert ours.keys() == theirs.keys()
    for name in ours:
        np.testing.assert_allclose(ours[name], theirs[name], rtol=1e-5, atol=1e-5)
        assert np.ptp(ours[name]) > 1e-3  # equal because something is there


def names(model):
    return [layer.name for layer in model.layers]


def weights_and_config(model):
    return [w.tobytes() for w in model.get_weights()], str(model.get_config()), [len(layer._inbound_nodes) for layer in model.layers]


# without_filters equals with_filters_masked


@every_architecture
def test_the_smaller_model_equals_the_masked_one(architecture):
    model = network(architecture)
    before = weights_and_config(model)
    kept = choose_filters(model, 0.5)
    smaller, masked = without_filters(model, kept), with_filters_masked(model, kept)
    assert_same_outputs(smaller, masked, images(model))
    assert smaller.count_params() < model.count_params() == masked.count_params()
    assert not np.allclose(*(answers(m, images(model)).popitem()[1] for m in (smaller, model)), atol=1e-3)
    for new in (smaller, masked):
        assert names(new) == names(model) and type(new) is type(model) and new.name == model.name
        assert not {id(variable) for variable in new.variables} & {id(variable) for variable in model.variables}
    assert weights_and_config(model) == before
    for name, stays in kept.items():
        layer = smaller.get_layer(name)
        assert layer.kernel.shape[-1] == len(stays) if "Separable" not in type(layer).__name__ else layer.filters == len(stays)


@pytest.mark.parametrize("architecture", ONE_INPUT)
def test_the_smaller_model_equals_the_masked_one_by_activation(architecture):
    model = network(architecture)
    kept = choose_filters(model, 0.4, "activation", images(model))
    assert_same_outputs(without_filters(model, kept), with_filters_masked(model, kept), images(model))


@pytest.mark.parametrize(
    ("architecture", "normalized"),
    [
        ("teacher_cnn", None),
        ("sigmoid", ["before", "after", "both"]),
        ("resnet", ["stem", "a1", "b1"]),
        ("mobilenet", ["stem", "pointwise1"]),
        ("inverted_residual", ["stem"]),  # what is excited is tied to a layer without BatchNormalization
        ("mlp", ["dense1"]),
    ],
)
def test_the_smaller_model_equals_the_masked_one_by_batch_norm(architecture, normalized):
    model = network(architecture)
    kept = choose_filters(model, 0.4 if normalized is None else dict.fromkeys(normalized, 0.4), "batch_norm")
    assert_same_outputs(without_filters(model, kept), with_filters_masked(model, kept), images(model))


@settings(max_examples=15)
@given(st.sampled_from(sorted(set(ARCHITECTURES) - {"lenet5", "teacher_cnn"})), st.data())
def test_any_fractions(architecture, data):
    model = network(architecture)
    groups = structured._Graph(model).groups()
    picked = data.draw(st.lists(st.sampled_from(range(len(groups))), min_size=1, unique=True), "groups")
    fraction = {groups[i][0]: data.draw(st.floats(0, 1, exclude_max=True), groups[i][0]) for i in picked}
    kept = choose_filters(model, fraction)
    smaller = without_filters(model, kept)
    assert_same_outputs(smaller, with_filters_masked(model, kept), images(model))
    assert set(kept) == {name for i in picked for name in groups[i]}
    assert all(len(stays) >= 1 and (np.diff(stays) > 0).all() for stays in kept.values())


@every_architecture
def test_nothing_removed_is_the_same_model(architecture):
    model = network(architecture)
    kept = choose_filters(model, 0.0)
    for new in (without_filters(model, kept), with_filters_masked(model, kept), without_filters(model, {})):
        assert [w.tobytes() for w in new.get_weights()] == [w.tobytes() for w in model.get_weights()]


@every_architecture
def test_one_filter_stays(architecture):
    model = network(architecture)
    kept = choose_filters(model, 0.999)
    assert min(len(stays) for stays in kept.values()) == 1
    assert_same_outputs(without_filters(model, kept), with_filters_masked(model, kept), images(model))


# against what can be said without the package


def test_lenet_by_hand():
    """Slices with numpy: rows of the dense layer behind Flatten come place by place, channels last."""
    model, x = network("lenet5"), images(network("lenet5"))
    keep = np.sort(np.argsort(np.abs(model.get_layer("conv2").kernel.numpy()).sum((0, 1, 2)))[25:])
    np.testing.assert_array_equal(choose_filters(model, {"conv2": 0.5})["conv2"], keep)
    hand = models.lenet5(conv2=25)
    weights = model.get_weights()
    weights[2], weights[3] = weights[2][..., keep], weights[3][keep]
    weights[4] = weights[4].reshape(4, 4, 50, 500)[:, :, keep].reshape(400, 500)
    hand.set_weights(weights)
    smaller = without_filters(model, {"conv2": keep})
    assert smaller.count_params() == hand.count_params()
    for ours, theirs in zip(smaller.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert_same_outputs(smaller, hand, x)

    zeros = keras.models.clone_model(model)  # behind a ReLU, a filter of zeros without bias is gone
    zeros.set_weights(model.get_weights())
    gone = np.setdiff1d(np.arange(50), keep)
    kernel, bias = zeros.get_layer("conv2").get_weights()
    kernel[..., gone], bias[gone] = 0, 0
    zeros.get_layer("conv2").set_weights([kernel, bias])
    assert_same_outputs(smaller, zeros, x)


def test_resnet_by_hand():
    """The stream of the shortcut is stem + a2 (+ what else is added): a filter is gone when both say 0 behind their normalization."""
    model, x = network("resnet"), images(network("resnet"))
    zeros = keras.models.clone_model(model)
    zeros.set_weights(model.get_weights())
    for name in ("stem_norm", "a2_norm"):
        gamma, beta, *statistics = zeros.get_layer(name).get_weights()
        gamma[1], beta[1] = 0, 0
        zeros.get_layer(name).set_weights([gamma, beta, *statistics])
    assert_same_outputs(without_filters(model, {"stem": [0, 2, 3]}), zeros, x)
    assert_same_outputs(with_filters_masked(model, {"a2": [3, 2, 0]}), zeros, x)


@pytest.mark.parametrize(("name", "last"), [("before", "norm_after"), ("after", "softplus"), ("both", "norm2"), ("hidden", "hidden")])
def test_what_an_activation_makes_of_nothing_is_not_heard(name, last):
    """The layer that reads a removed channel gets 0, though sigmoid(0) is 0.5, and beta is added after it."""
    model, x = network("sigmoid"), images(network("sigmoid"))
    tensor = model.get_layer(last).output
    values = np.array(keras.Model(model.input, tensor)(x, training=False))
    values[..., 2] = 0
    expected = np.asarray(keras.Model(tensor, model.output)(values, training=False))
    kept = {name: np.delete(np.arange(values.shape[-1]), 2)}
    for new in (without_filters(model, kept), with_filters_masked(model, kept)):
        np.testing.assert_allclose(new(x, training=False), expected, rtol=1e-5, atol=1e-5)


def test_masked_filters_are_zeros_everywhere():
    model = network("mobilenet")
    masked = with_filters_masked(model, {"stem": [1, 2]})
    stem = masked.get_layer("stem")
    assert np.flatnonzero(np.abs(stem.kernel.numpy()).sum((0, 1, 2))).tolist() == np.flatnonzero(stem.bias.numpy()).tolist() == [1, 2]
    assert all(np.flatnonzero(w).tolist() == [1, 2] for w in masked.get_layer("stem_norm").get_weights())
    kernel, bias = masked.get_layer("depthwise1").get_weights()
    assert np.flatnonzero(np.abs(kernel).sum((0, 1, 3))).tolist() == [1, 2] and np.flatnonzero(bias).tolist() == [2, 3, 4, 5]
    kernel, bias = masked.get_layer("pointwise1").get_weights()
    assert np.flatnonzero(np.abs(kernel).sum((0, 1, 3))).tolist() == [2, 3, 4, 5] and np.count_nonzero(bias) == 5
    np.testing.assert_array_equal(masked.get_layer("separable").get_weights()[0], model.get_layer("separable").get_weights()[0])


# rankings


def test_scores_by_l1():
    scores = filter_scores(network("sequential_cnn"))
    assert list(scores) == ["conv1", "conv2", "dense1"]
    for name, values in scores.items():
        kernel = network("sequential_cnn").get_layer(name).kernel.numpy()
        np.testing.assert_allclose(values, [np.abs(kernel[..., i]).sum() for i in range(kernel.shape[-1])], rtol=1e-5)
    separable = network("mobilenet").get_layer("separable").pointwise_kernel.numpy()
    np.testing.assert_allclose(filter_scores(network("mobilenet"))["separable"], np.abs(separable).sum((0, 1, 2)), rtol=1e-5)


def test_scores_by_batch_norm():
    model = network("teacher_cnn")
    scores = filter_scores(model, "batch_norm")
    norms = [layer for layer in model.layers if isinstance(layer, layers.BatchNormalization)]
    assert len(scores) == len(norms) == 6
    for values, layer in zip(scores.values(), norms, strict=True):
        np.testing.assert_array_equal(values, np.abs(layer.gamma.numpy()))


def test_scores_by_activation():
    x = images(network("sequential_cnn"), 7)
    scores = filter_scores(network("sequential_cnn"), "activation", x)
    maps = answers.outputs(network("sequential_cnn"), x, features=["conv2", "dense1"], verbose=0)
    np.testing.assert_allclose(scores["conv2"], maps["conv2"].mean((0, 1, 2)), rtol=1e-5)  # after a ReLU the mean is the mean of |a|
    np.testing.assert_allclose(scores["dense1"], maps["dense1"].mean(0), rtol=1e-5)

    model, x = network("sigmoid"), images(network("sigmoid"))
    scores = filter_scores(model, "activation", x)
    for name, nonlinear in {"before": "before", "after": "softplus", "both": "sigmoid", "hidden": "hidden"}.items():
        maps = np.asarray(keras.Model(model.input, model.get_layer(nonlinear).output)(x))
        np.testing.assert_allclose(scores[name], np.abs(maps).reshape(-1, maps.shape[-1]).mean(0), rtol=1e-5)

    x = images(network("resnet"))
    maps = np.asarray(keras.Model(network("resnet").input, network("resnet").get_layer("a2_norm").output)(x))
    assert (maps < 0).any()  # no nonlinearity before the Add: signs must not cancel
    np.testing.assert_allclose(filter_scores(network("resnet"), "activation", x)["a2"], np.abs(maps).mean((0, 1, 2)), rtol=1e-5)


def test_activations_of_many_images_come_in_batches():
    x = np.random.default_rng(0).normal(size=(1203, *SHAPE)).astype(np.float32)
    maps = answers.outputs(network("sequential_cnn"), x, features=["conv1"], verbose=0)["conv1"]
    np.testing.assert_allclose(filter_scores(network("sequential_cnn"), "activation", x)["conv1"], maps.mean((0, 1, 2)), rtol=1e-5)


# choices


def test_the_lowest_go_and_ties_go_by_position():
    model = keras.models.clone_model(network("sequential_cnn"))
    kernel = np.zeros(model.get_layer("conv2").kernel.shape, np.float32)
    kernel[0, 0, 0] = [3, 1, 1, 2, 1, -5]
    model.get_layer("conv2").kernel.assign(kernel)
    assert choose_filters(model, {"conv2": 2 / 6})["conv2"].tolist() == [0, 3, 4, 5]
    assert choose_filters(model, {"conv2": 0.74})["conv2"].tolist() == [0, 5]
    assert choose_filters(model, {"conv2": 0.999})["conv2"].tolist() == [5]


@pytest.mark.parametrize("fraction", [0, 0.1, 0.25, 0.5, 0.6, 0.9])
def test_how_many_go(fraction):
    model = network("teacher_cnn")
    for name, stays in choose_filters(model, fraction).items():
        assert len(stays) == max(1, model.get_layer(name).filters - round(fraction * model.get_layer(name).filters))


def test_groups_choose_together():
    model = network("resnet")
    scores, kept = filter_scores(model), choose_filters(model, 0.5)
    for group in (["stem", "a2"], ["b2", "b_projection", "c2"]):
        total = sum(scores[name] for name in group)
        expected = np.sort(np.argsort(total)[round(len(total) / 2) :])
        for name in group:
            np.testing.assert_array_equal(kept[name], expected)
    assert set(kept) == {"stem", "a2", "b2", "b_projection", "c2", "a1", "b1", "c1"}
    assert list(choose_filters(model, {"a2": 0.5})) == ["stem", "a2"]
    assert {len(stays) for stays in choose_filters(model, {"a2": 0.5, "stem": 0.5, "a1": 0.2}).values()} == {2, 4}


def test_channels_that_are_concatenated_are_tied_one_by_one():
    model = network("densenet")
    kept = choose_filters(model, {"c": 0.5})  # a has channels 0 to 2 of c, b 3 to 6; d is joined along the rows
    assert set(kept) == {"a", "b", "c", "d"}
    assert kept["c"].tolist() == kept["d"].tolist() == [*kept["a"], *(kept["b"] + 3)]
    smaller = without_filters(model, {"a": [0, 2]})
    assert smaller.get_layer("c").filters == smaller.get_layer("d").filters == 6 and smaller.get_layer("b").filters == 4
    kept = choose_filters(model, 0.999)
    assert len(kept["a"]) == len(kept["b"]) == 1 and len(kept["c"]) == 2


def test_a_channel_takes_all_its_places_along():
    smaller = without_filters(network("mlp"), {"conv": [0, 3]})
    assert smaller.get_layer("dense2").units == 12
    assert choose_filters(network("mlp"), {"dense2": 0.5})["dense2"].size == 12


def test_what_is_kept_may_come_in_any_order_and_from_any_member():
    model, x = network("resnet"), images(network("resnet"))
    expected = answers(without_filters(model, {"stem": [0, 3], "a2": [0, 3]}), x)[""]
    for kept in ({"a2": [3, 0]}, {"stem": (0, 3)}, {"stem": np.array([3, 0]), "a2": [0, 3]}):
        np.testing.assert_array_equal(answers(without_filters(model, kept), x)[""], expected)


def test_it_can_be_done_again_and_trained():
    model = network("resnet")
    smaller = without_filters(model, choose_filters(model, 0.3))
    again = without_filters(smaller, choose_filters(smaller, 0.3, "activation", images(model)))
    assert again.count_params() < smaller.count_params()
    again.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    before = again.get_weights()
    again.fit(images(model), np.arange(6) % 3, verbose=0)
    assert any((a != b).any() for a, b in zip(before, again.get_weights(), strict=True))


def test_settings_of_layers_are_kept():
    x = inputs = keras.Input(SHAPE)
    x = conv(x, 6, "conv1", strides=2, dilation_rate=1, use_bias=False, kernel_regularizer=keras.regularizers.L2(0.01))
    x = layers.BatchNormalization(momentum=0.8, epsilon=0.1, scale=False, name="norm")(x)
    model = keras.Model(inputs, head(x))
    model.get_layer("norm").trainable = False
    randomize(model)
    smaller = without_filters(model, {"conv1": [1, 4, 5]})
    assert smaller.get_layer("norm").momentum == 0.8 and smaller.get_layer("norm").epsilon == 0.1
    assert smaller.get_layer("conv1").strides == (2, 2) and float(smaller.get_layer("conv1").kernel_regularizer.l2) == pytest.approx(0.01)
    assert not smaller.get_layer("norm").trainable and len(smaller.trainable_variables) == len(model.trainable_variables)
    assert_same_outputs(smaller, with_filters_masked(model, {"conv1": [1, 4, 5]}), images(model))


def test_a_compiled_model_and_one_that_is_used_elsewhere():
    model = keras.models.clone_model(network("sequential_cnn"))
    model.set_weights(network("sequential_cnn").get_weights())
    model.compile("adam", loss=lambda y, p: 0.0)
    model(keras.Input(SHAPE))  # a second call of each layer, in another graph
    kept = choose_filters(model, 0.5)
    assert_same_outputs(without_filters(model, kept), without_filters(network("sequential_cnn"), kept), images(model))


# what cannot be cut


def names_cut(model):
    return list(filter_scores(model))


class Mirror(layers.Layer):
    def call(self, x):
        return x[..., ::-1]


@keras.saving.register_keras_serializable("test_structured")
def relu(x):
    """Return something else than the name says."""
    return keras.activations.relu(x[..., ::-1])


@pytest.mark.parametrize(
    "mix",
    [
        layers.LayerNormalization(),
        layers.Softmax(),
        layers.Activation("softmax"),
        layers.Permute((3, 1, 2)),
        layers.BatchNormalization(axis=1),
        layers.Reshape((8, 16, 2)),
        Mirror(),
        keras.Sequential([keras.Input((8, 8, 4)), layers.Conv2D(4, 1)]),
        layers.Conv2DTranspose(4, 1),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_layers_that_mix_channels_protect_them(mix):
    x = inputs = keras.Input(SHAPE)
    x = conv(conv(x, 3, "free"), 4, "blocked")
    model = keras.Model(inputs, head(conv(mix(x), 4, "behind")))
    assert names_cut(model) == ["free", "behind"]
    with pytest.raises(ValueError, match=f"'blocked', whose channels .*{mix.name}"):
        choose_filters(model, {"blocked": 0.5})
    kept = choose_filters(model, 0.5)
    assert_same_outputs(without_filters(model, kept), with_filters_masked(model, kept), images(model))


@pytest.mark.parametrize("activation", ["softmax", relu], ids=["softmax", "own"])
def test_an_activation_that_mixes_channels_protects_them(activation):
    inputs = keras.Input(SHAPE)
    model = keras.Model(inputs, head(conv(conv(inputs, 4, "blocked", activation=activation), 4, "free")))
    assert names_cut(model) == ["free"]
    with pytest.raises(ValueError, match="'blocked', whose channels go through the activation of layer 'blocked'"):
        choose_filters(model, {"blocked": 0.5})


def test_a_layer_tied_to_the_input_is_not_cut():
    inputs = keras.Input(SHAPE)
    x = layers.Add()([inputs, conv(conv(inputs, 5, "free"), 2, "tied")])
    model = keras.Model(inputs, head(x))
    assert names_cut(model) == ["free"]
    with pytest.raises(ValueError, match="'tied', whose channels are tied to the model's input"):
        without_filters(model, {"tied": [0]})


def test_a_layer_that_is_half_free():
    inputs = keras.Input(SHAPE)
    a = conv(inputs, 4, "a")
    b = conv(layers.Concatenate()([a, inputs]), 6, "b")
    x = layers.Add()([layers.Concatenate()([a, inputs]), b])  # channels 4 and 5 of b are tied to the input
    model = keras.Model(inputs, head(x))
    randomize(model)
    kept = choose_filters(model, 0.5)
    assert len(kept["a"]) == 2 and kept["b"].tolist() == [*kept["a"], 4, 5]
    assert_same_outputs(without_filters(model, kept), with_filters_masked(model, kept), images(model))
    with pytest.raises(ValueError, match=r"kept\['b'\] must have filter 5, whose channels are tied to the model's input"):
        without_filters(model, {"b": [0, 1, 2, 3, 4]})


# bad input


def subclassed():
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(3)

        def call(self, x):
            return self.dense(x)

    return Own()


def shared():
    inputs, twice = keras.Input(SHAPE), layers.Conv2D(2, 3, padding="same", name="twice")
    return keras.Model(inputs, head(conv(twice(twice(inputs)), 4, "conv")))


def grouped():
    return keras.Sequential([keras.Input(SHAPE), layers.Conv2D(4, 3, groups=2, name="grouped"), layers.Flatten(), layers.Dense(3)])


def linear():
    return keras.Sequential([keras.Input(SHAPE), layers.Flatten(), layers.Dense(3, name="only")])


@pytest.mark.parametrize(
    "call", [filter_scores, lambda m: choose_filters(m, 0.5), lambda m: without_filters(m, {}), lambda m: with_filters_masked(m, {})]
)
@pytest.mark.parametrize(
    ("build", "message"),
    [
        (subclassed, "model must be a Sequential or functional model"),
        (lambda: keras.Sequential([layers.Dense(3)]), "model must be built"),
        (lambda: "model.keras", "model must be a keras or tf_keras model"),
        (shared, "model must use each layer once for filters to be cut, got 'twice'"),
        (grouped, "model must have no grouped convolution, got 2 groups in 'grouped'"),
        (linear, "must have a filter or hidden unit that can be cut, got none: the channels of 'only' reach the model's output"),
        (lambda: keras.Sequential([keras.Input(SHAPE), layers.Flatten()]), "got none: no layer makes channels"),
        (lambda: tf_keras.Sequential([tf_keras.Input((4,)), tf_keras.layers.Dense(3)]), "must be a Keras 3 model, got one of tf_keras"),
    ],
)  # fmt: skip
def test_models_that_are_refused(call, build, message):
    with pytest.raises(ValueError, match=message):
        call(build())


@pytest.mark.parametrize(
    ("fraction", "message"),
    [
        (1, r"fraction must be in \[0, 1\), got 1"),
        (-0.1, r"fraction must be in \[0, 1\), got -0.1"),
        (float("nan"), "got nan"),
        ("half", "got 'half'"),
        (True, "got True"),
        (None, "got None"),
        ({}, "fraction must name at least one layer, got an empty dict"),
        ({"conv1": 1.0}, r"fraction\['conv1'\] must be in \[0, 1\), got 1.0"),
        ({"conv9": 0.5}, r"fraction must name layers that can be cut, which are \['conv1', 'conv2', 'dense1'\], got 'conv9'"),
        ({"flatten": 0.5}, "got 'flatten'"),
        ({"logits": 0.5}, "got 'logits', whose channels reach the model's output"),
    ],
)
def test_fractions_that_are_refused(fraction, message):
    with pytest.raises(ValueError, match=message):
        choose_filters(network("sequential_cnn"), fraction)


@pytest.mark.parametrize("function", [without_filters, with_filters_masked])
@pytest.mark.parametrize(
    ("architecture", "kept", "message"),
    [
        ("sequential_cnn", {"conv9": [0]}, "kept must name layers that can be cut, which are .*, got 'conv9'"),
        ("sequential_cnn", {"logits": [0]}, "got 'logits', whose channels reach the model's output"),
        ("sequential_cnn", {"conv1": []}, r"kept\['conv1'\] must be a list of at least 1 index, integers, got \[\]"),
        ("sequential_cnn", {"conv1": [0, 4]}, r"kept\['conv1'\] must be in 0..3, got 4"),
        ("sequential_cnn", {"conv1": [-1]}, "must be in 0..3, got -1"),
        ("sequential_cnn", {"conv1": [1, 1]}, r"kept\['conv1'\] must name each filter once, got \[1, 1\]"),
        ("sequential_cnn", {"conv1": [0.0]}, "integers, got"),
        ("sequential_cnn", {"conv1": [True, False, True, True]}, "integers, got"),
        ("sequential_cnn", {"conv1": 2}, "must be a list"),
        ("sequential_cnn", ["conv1"], "kept must be a dict of layer names and the indices that stay, got list"),
        ("resnet", {"stem": [0, 1], "a2": [1, 2]}, "kept must agree for tied channels, got filter . of '.*' kept"),
        ("densenet", {"c": [0, 1, 2]}, "at least one filter of every layer, got none of 'b'"),
        ("mlp", {"dense2": [0, 4]}, "kept must agree for tied channels"),
    ],
)
def test_kept_indices_that_are_refused(function, architecture, kept, message):
    model = network(architecture)
    before = weights_and_config(model)
    with pytest.raises(ValueError, match=message):
        function(model, kept)
    assert weights_and_config(model) == before


@pytest.mark.parametrize("call", [filter_scores, lambda m, *a: choose_filters(m, 0.5, *a)])
@pytest.mark.parametrize(
    ("architecture", "by", "x", "message"),
    [
        ("sequential_cnn", "l2", None, r"by must be one of \['l1', 'batch_norm', 'activation'\], got 'l2'"),
        ("sequential_cnn", "activation", None, 'images must be given for by="activation", got None'),
        ("sequential_cnn", "activation", np.zeros((0, 8, 8, 2)), "images must be an array of numbers with at least 1 example"),
        ("sequential_cnn", "activation", np.zeros((2, 8, 8, 1)), r"images must have shape \(examples, 8, 8, 2\), got \(2, 8, 8, 1\)"),
        ("sequential_cnn", "activation", np.zeros((8, 8, 2)), r"images must have shape \(examples, 8, 8, 2\)"),
        ("two_heads", "activation", np.zeros((2, 8, 8, 2)), "images must have shape those of a model with one input"),
        ("sequential_cnn", "batch_norm", None, "by=\"batch_norm\" must have a BatchNormalization .* got none behind 'conv1'"),
        ("preactivation", "batch_norm", None, "got none behind"),
    ],
)
def test_rankings_that_are_refused(call, architecture, by, x, message):
    with pytest.raises(ValueError, match=message):
        call(network(architecture), by, x)


def test_tied_layers_cannot_be_given_two_fractions():
    with pytest.raises(ValueError, match="fraction must be the same for layers whose channels are tied, got {'stem': 0.5, 'a2': 0.2}"):
        choose_filters(network("resnet"), {"a2": 0.2, "stem": 0.5})


def test_import_loads_no_tensorflow():
    code = "import sys, kdcourse.pruning.structured; print({'tensorflow', 'keras'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "set()"

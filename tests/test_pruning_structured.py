"""Filters that are removed, the model that is left, and the masked model that must agree with it."""

import functools
import subprocess
import sys

import keras
import numpy as np
import pytest
import tf_keras
import zoo
from hypothesis import given as drawn
from hypothesis import settings
from hypothesis import strategies as st
from keras import layers
from zoo import given, randomized

from kdcourse import answers, models
from kdcourse.pruning.channels import Channels
from kdcourse.pruning.structured import choose_filters, filter_scores, with_filters_masked, without_filters


def norm(x, name):
    return layers.BatchNormalization(name=name)(x)


def conv(x, filters, name, size=3, **more):
    return layers.Conv2D(filters, size, padding="same", name=name, **more)(x)


def head(x, name="logits"):
    return layers.Dense(3, name=name)(layers.GlobalAveragePooling2D()(x))


ARCHITECTURES = {
    build.__name__: build
    for build in (
        zoo.network, zoo.lenet, zoo.deferred, zoo.sigmoid, zoo.resnet, zoo.preactivation, zoo.mobilenet, zoo.mobilenet_v3, zoo.operators,
        zoo.densenet, zoo.xception, zoo.mlp, zoo.two_heads, zoo.one_dimension,
    )
}  # fmt: skip
every_architecture = pytest.mark.parametrize("architecture", ARCHITECTURES)
BUILDERS = ARCHITECTURES | {"lenet5": models.lenet5, "teacher_cnn": models.teacher_cnn}


@functools.cache
def network(architecture):
    """Return a network with weights and statistics that are nowhere 0 or 1; tests only read it."""
    return randomized(BUILDERS[architecture]())


def said(model, x):
    found = model(x, training=False)
    return {name: np.asarray(values) for name, values in (found if isinstance(found, dict) else {"": found}).items()}


def assert_same_outputs(one, other, x):
    ours, theirs = said(one, x), said(other, x)
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
    assert_same_outputs(smaller, masked, given(model))
    assert smaller.count_params() < model.count_params() == masked.count_params()
    assert not np.allclose(*(said(m, given(model)).popitem()[1] for m in (smaller, model)), atol=1e-3)
    for new in (smaller, masked):
        assert names(new) == names(model) and type(new) is type(model) and new.name == model.name
        assert not {id(variable) for variable in new.variables} & {id(variable) for variable in model.variables}
    assert weights_and_config(model) == before
    for name, stays in kept.items():
        layer = smaller.get_layer(name)
        assert layer.kernel.shape[-1] == len(stays) if "Separable" not in type(layer).__name__ else layer.filters == len(stays)


@pytest.mark.parametrize("architecture", [name for name in ARCHITECTURES if name not in zoo.TWO_INPUTS])
def test_the_smaller_model_equals_the_masked_one_by_activation(architecture):
    model = network(architecture)
    kept = choose_filters(model, 0.4, "activation", given(model))
    assert_same_outputs(without_filters(model, kept), with_filters_masked(model, kept), given(model))


@pytest.mark.parametrize(
    ("architecture", "normalized"),
    [
        ("teacher_cnn", None),
        ("sigmoid", ["before", "after", "both"]),
        ("resnet", ["stem", "a1", "b1"]),
        ("mobilenet", ["stem", "pointwise1"]),
        ("mobilenet_v3", ["stem"]),  # what is excited is tied to a layer without BatchNormalization
        ("mlp", ["dense1"]),
    ],
)
def test_the_smaller_model_equals_the_masked_one_by_batch_norm(architecture, normalized):
    model = network(architecture)
    kept = choose_filters(model, 0.4 if normalized is None else dict.fromkeys(normalized, 0.4), "batch_norm")
    assert_same_outputs(without_filters(model, kept), with_filters_masked(model, kept), given(model))


@settings(max_examples=15)
@drawn(st.sampled_from(sorted(ARCHITECTURES)), st.data())
def test_any_fractions(architecture, data):
    model = network(architecture)
    groups = Channels(model).groups()
    picked = data.draw(st.lists(st.sampled_from(range(len(groups))), min_size=1, unique=True), "groups")
    fraction = {groups[i][0]: data.draw(st.floats(0, 1, exclude_max=True), groups[i][0]) for i in picked}
    kept = choose_filters(model, fraction)
    smaller = without_filters(model, kept)
    assert_same_outputs(smaller, with_filters_masked(model, kept), given(model))
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
    assert_same_outputs(without_filters(model, kept), with_filters_masked(model, kept), given(model))


# against what can be said without the package


def test_lenet_by_hand():
    """Slices with numpy: rows of the dense layer behind Flatten come place by place, channels last."""
    model, x = network("lenet5"), given(network("lenet5"))
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
    model, x = network("resnet"), given(network("resnet"))
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
    model, x = network("sigmoid"), given(network("sigmoid"))
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
    scores = filter_scores(network("lenet"))
    assert list(scores) == ["conv1", "conv2", "dense1"]
    for name, values in scores.items():
        kernel = network("lenet").get_layer(name).kernel.numpy()
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
    x = given(network("lenet"), 7)
    scores = filter_scores(network("lenet"), "activation", x)
    maps = answers.outputs(network("lenet"), x, features=["conv2", "dense1"], verbose=0)
    np.testing.assert_allclose(scores["conv2"], maps["conv2"].mean((0, 1, 2)), rtol=1e-5)  # after a ReLU the mean is the mean of |a|
    np.testing.assert_allclose(scores["dense1"], maps["dense1"].mean(0), rtol=1e-5)

    model, x = network("sigmoid"), given(network("sigmoid"))
    scores = filter_scores(model, "activation", x)
    for name, nonlinear in {"before": "before", "after": "softplus", "both": "sigmoid", "hidden": "hidden"}.items():
        maps = np.asarray(keras.Model(model.input, model.get_layer(nonlinear).output)(x))
        np.testing.assert_allclose(scores[name], np.abs(maps).reshape(-1, maps.shape[-1]).mean(0), rtol=1e-5)

    x = given(network("resnet"))
    maps = np.asarray(keras.Model(network("resnet").input, network("resnet").get_layer("a2_norm").output)(x))
    assert (maps < 0).any()  # no nonlinearity before the Add: signs must not cancel
    np.testing.assert_allclose(filter_scores(network("resnet"), "activation", x)["a2"], np.abs(maps).mean((0, 1, 2)), rtol=1e-5)


def test_activations_of_many_images_come_in_batches():
    x = np.random.default_rng(0).normal(size=(1203, *zoo.SHAPE)).astype(np.float32)
    maps = answers.outputs(network("lenet"), x, features=["conv1"], verbose=0)["conv1"]
    np.testing.assert_allclose(filter_scores(network("lenet"), "activation", x)["conv1"], maps.mean((0, 1, 2)), rtol=1e-5)


# choices


def test_the_lowest_go_and_ties_go_by_position():
    model = keras.models.clone_model(network("lenet"))
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
    model, x = network("resnet"), given(network("resnet"))
    expected = said(without_filters(model, {"stem": [0, 3], "a2": [0, 3]}), x)[""]
    for kept in ({"a2": [3, 0]}, {"stem": (0, 3)}, {"stem": np.array([3, 0]), "a2": [0, 3]}):
        np.testing.assert_array_equal(said(without_filters(model, kept), x)[""], expected)


def test_it_can_be_done_again_and_trained():
    model = network("resnet")
    smaller = without_filters(model, choose_filters(model, 0.3))
    again = without_filters(smaller, choose_filters(smaller, 0.3, "activation", given(model)))
    assert again.count_params() < smaller.count_params()
    again.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    before = again.get_weights()
    again.fit(given(model), np.arange(6) % 3, verbose=0)
    assert any((a != b).any() for a, b in zip(before, again.get_weights(), strict=True))


def test_settings_of_layers_are_kept():
    x = inputs = keras.Input(zoo.SHAPE)
    x = conv(x, 6, "conv1", strides=2, dilation_rate=1, use_bias=False, kernel_regularizer=keras.regularizers.L2(0.01))
    x = layers.BatchNormalization(momentum=0.8, epsilon=0.1, scale=False, name="norm")(x)
    model = keras.Model(inputs, head(x))
    model.get_layer("norm").trainable = False
    randomized(model)
    smaller = without_filters(model, {"conv1": [1, 4, 5]})
    assert smaller.get_layer("norm").momentum == 0.8 and smaller.get_layer("norm").epsilon == 0.1
    assert smaller.get_layer("conv1").strides == (2, 2) and float(smaller.get_layer("conv1").kernel_regularizer.l2) == pytest.approx(0.01)
    assert not smaller.get_layer("norm").trainable and len(smaller.trainable_variables) == len(model.trainable_variables)
    assert_same_outputs(smaller, with_filters_masked(model, {"conv1": [1, 4, 5]}), given(model))


def test_a_compiled_model_and_one_that_is_used_elsewhere():
    model = keras.models.clone_model(network("lenet"))
    model.set_weights(network("lenet").get_weights())
    model.compile("adam", loss=lambda y, p: 0.0)
    model(keras.Input(zoo.SHAPE))  # a second call of each layer, in another graph
    kept = choose_filters(model, 0.5)
    assert_same_outputs(without_filters(model, kept), without_filters(network("lenet"), kept), given(model))


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
    x = inputs = keras.Input(zoo.SHAPE)
    x = conv(conv(x, 3, "free"), 4, "blocked")
    model = keras.Model(inputs, head(conv(mix(x), 4, "behind")))
    assert names_cut(model) == ["free", "behind"]
    with pytest.raises(ValueError, match=f"'blocked', whose channels .*{mix.name}"):
        choose_filters(model, {"blocked": 0.5})
    kept = choose_filters(model, 0.5)
    assert_same_outputs(without_filters(model, kept), with_filters_masked(model, kept), given(model))


@pytest.mark.parametrize("activation", ["softmax", relu], ids=["softmax", "own"])
def test_an_activation_that_mixes_channels_protects_them(activation):
    inputs = keras.Input(zoo.SHAPE)
    model = keras.Model(inputs, head(conv(conv(inputs, 4, "blocked", activation=activation), 4, "free")))
    assert names_cut(model) == ["free"]
    with pytest.raises(ValueError, match="'blocked', whose channels go through the activation of layer 'blocked'"):
        choose_filters(model, {"blocked": 0.5})


def test_a_layer_tied_to_the_input_is_not_cut():
    inputs = keras.Input(zoo.SHAPE)
    x = layers.Add()([inputs, conv(conv(inputs, 5, "free"), 2, "tied")])
    model = keras.Model(inputs, head(x))
    assert names_cut(model) == ["free"]
    with pytest.raises(ValueError, match="'tied', whose channels are tied to the model's input"):
        without_filters(model, {"tied": [0]})


def test_a_layer_that_is_half_free():
    inputs = keras.Input(zoo.SHAPE)
    a = conv(inputs, 4, "a")
    b = conv(layers.Concatenate()([a, inputs]), 6, "b")
    x = layers.Add()([layers.Concatenate()([a, inputs]), b])  # channels 4 and 5 of b are tied to the input
    model = keras.Model(inputs, head(x))
    randomized(model)
    kept = choose_filters(model, 0.5)
    assert len(kept["a"]) == 2 and kept["b"].tolist() == [*kept["a"], 4, 5]
    assert_same_outputs(without_filters(model, kept), with_filters_masked(model, kept), given(model))
    with pytest.raises(ValueError, match=r"kept\['b'\] must have filter 5, whose channels are tied to the model's input"):
        without_filters(model, {"b": [0, 1, 2, 3, 4]})


# bad input


def shared():
    inputs, twice = keras.Input(zoo.SHAPE), layers.Conv2D(2, 3, padding="same", name="twice")
    return keras.Model(inputs, head(conv(twice(twice(inputs)), 4, "conv")))


def grouped():
    return keras.Sequential([keras.Input(zoo.SHAPE), layers.Conv2D(4, 3, groups=2, name="grouped"), layers.Flatten(), layers.Dense(3)])


@pytest.mark.parametrize(
    "call", [filter_scores, lambda m: choose_filters(m, 0.5), lambda m: without_filters(m, {}), lambda m: with_filters_masked(m, {})]
)
@pytest.mark.parametrize(
    ("build", "message"),
    [
        (zoo.subclassed, "model must be a Sequential or functional model"),
        (lambda: keras.Sequential([layers.Dense(3)]), "model must be built"),
        (lambda: "model.keras", "model must be a keras or tf_keras model"),
        (shared, "model must use each layer once for filters to be cut, got 'twice'"),
        (grouped, "model must have no grouped convolution, got 2 groups in 'grouped'"),
        (zoo.linear, "must have a filter or hidden unit that can be cut, got none: the channels of 'dense.*' reach the model's output"),
        (lambda: keras.Sequential([keras.Input(zoo.SHAPE), layers.Flatten()]), "got none: no layer makes channels"),
        (lambda: zoo.linear(tf_keras), "must be a Keras 3 model, got one of tf_keras"),
    ],
)  # fmt: skip
def test_models_that_are_refused(call, build, message):
    with pytest.raises(ValueError, match=message):
        call(build())


@pytest.mark.parametrize(
    ("fraction", "message"),
    [
        (1, r"fraction must be one number in \[0, 1\), got 1"),
        (None, r"fraction must be one number in \[0, 1\), got None"),
        ({}, "fraction must name at least one layer, got an empty dict"),
        ({"conv1": 1.0}, r"fraction\['conv1'\] must be one number in \[0, 1\), got 1.0"),
        ({"conv9": 0.5}, r"fraction must name layers that can be cut, which are \['conv1', 'conv2', 'dense1'\], got 'conv9'"),
        ({"flatten": 0.5}, "got 'flatten'"),
        ({"logits": 0.5}, "got 'logits', whose channels reach the model's output"),
    ],
)
def test_fractions_that_are_refused(fraction, message):
    with pytest.raises(ValueError, match=message):
        choose_filters(network("lenet"), fraction)


@pytest.mark.parametrize("function", [without_filters, with_filters_masked])
@pytest.mark.parametrize(
    ("architecture", "kept", "message"),
    [
        ("lenet", {"conv9": [0]}, "kept must name layers that can be cut, which are .*, got 'conv9'"),
        ("lenet", {"logits": [0]}, "got 'logits', whose channels reach the model's output"),
        ("lenet", {"conv1": []}, r"kept\['conv1'\] must be a vector of integers, got shape \(0,\)"),
        ("lenet", {"conv1": [0, 4]}, r"kept\['conv1'\] must be in 0..3, got 4"),
        ("lenet", {"conv1": [1, 1]}, r"kept\['conv1'\] must name each filter once, got \[1, 1\]"),
        ("lenet", {"conv1": [0.0]}, r"kept\['conv1'\] must be a vector of integers, got shape \(1,\) and type float64"),
        ("lenet", {"conv1": [True, False, True, True]}, "integers, got shape .* and type bool"),
        ("lenet", ["conv1"], "kept must be a dict of layer names and the indices that stay, got list"),
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
        ("lenet", "l2", None, "by must be one of l1, batch_norm, activation, got 'l2'"),
        ("lenet", "activation", None, 'inputs must be given for by="activation", got None'),
        (
            "lenet",
            "activation",
            np.zeros((0, 8, 8, 2)),
            "inputs must have shape .*, examples at least 1, got shape",
        ),
        ("lenet", "activation", np.zeros((2, 8, 8, 1)), r"inputs must have shape \(examples, 8, 8, 2\), got \(2, 8, 8, 1\)"),
        ("lenet", "activation", np.zeros((8, 8, 2)), r"inputs must have shape \(examples, 8, 8, 2\)"),
        ("lenet", "activation", np.full((2, 8, 8, 2), np.nan), "inputs must be finite, got NaN or infinity in 256 of 256 places"),
        ("two_heads", "activation", np.zeros((2, 8, 8, 2)), "inputs must have shape those of a model with one input"),
        ("lenet", "batch_norm", None, "by=\"batch_norm\" must have a BatchNormalization .* got none behind 'conv1'"),
        ("preactivation", "batch_norm", None, "got none behind"),
    ],
)
def test_rankings_that_are_refused(call, architecture, by, x, message):
    with pytest.raises(ValueError, match=message):
        call(network(architecture), by, x)


@pytest.mark.parametrize("by", ["l1", "batch_norm", "activation"])
def test_a_network_that_is_broken_ranks_nothing(by):
    """NaN sorts last: the broken filters would be those that stay."""
    model = zoo.network()
    weight = model.get_layer("norm").gamma if by == "batch_norm" else model.get_layer("maps").kernel
    weight.assign(np.where(np.arange(weight.shape[-1]) == 1, np.nan, np.array(weight)))
    for rank in (filter_scores, lambda *a: choose_filters(a[0], 0.5, *a[1:])):
        with pytest.raises(ValueError, match="scores of 'maps' must be finite, got NaN or infinity in 1 of 4 places"):
            rank(model, by, zoo.images())


def test_tied_layers_cannot_be_given_two_fractions():
    with pytest.raises(ValueError, match="fraction must be the same for layers whose channels are tied, got {'stem': 0.5, 'a2': 0.2}"):
        choose_filters(network("resnet"), {"a2": 0.2, "stem": 0.5})


def test_import_loads_no_tensorflow():
    code = "import sys, kdcourse.pruning.structured; print({'tensorflow', 'keras'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "set()"

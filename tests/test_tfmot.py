"""The room of TFMOT: it is loaded quietly, wraps layers however deep they are, and a model comes back from it as an ordinary one."""

import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from zoo import branching, cnn, given, linear, nested, parts, randomized, subclassed

from kdcourse import anatomy, keras_bridge, tfmot, training
from kdcourse.soft_labels import one_hot

DRAW = np.random.default_rng(0)
X = DRAW.random((40, 6, 6, 4), np.float32)
Y = one_hot(DRAW.integers(0, 3, 40), 3)
HOW = {"seed": 0, "updates": 6, "batch_size": 8, "learning_rate": 0.01}


def unchanged(layer):
    return layer


# the toolkit


def test_each_part_has_what_it_is_for():
    functions = ("prune_low_magnitude", "cluster_weights", "quantize_model", "strip_clustering_cqat", "cluster_weights")
    for part, function in zip(tfmot.PARTS, functions, strict=True):
        assert callable(getattr(tfmot.toolkit(part), function))


def test_a_part_that_does_not_exist():
    with pytest.raises(ValueError, match="part must be one of sparsity, clustering, .*, clustering_with_zeros, got 'pruning'"):
        tfmot.toolkit("pruning")


def test_keras_3_works_after_tfmot_was_imported():
    """In a process of its own: TFMOT sets TF_USE_LEGACY_KERAS, and says nothing on the screen."""
    code = """
from kdcourse import tfmot
for part in tfmot.PARTS:
    tfmot.toolkit(part)
import os, sys, keras, numpy as np
from kdcourse import models
assert os.environ["TF_USE_LEGACY_KERAS"] == "1" and keras.__version__ >= "3" and "tf_keras" in sys.modules
model = models.student_mlp(4)
model.compile(optimizer="adam", loss="mse")
model.fit(np.ones((8, 28, 28, 1), "float32"), np.ones((8, 10), "float32"), verbose=0)
assert type(model).__module__.startswith("keras.") and keras.layers.Dense is type(model.layers[-1])
print("done")"""
    environment = {name: value for name, value in os.environ.items() if name != "TF_USE_LEGACY_KERAS"}
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert (run.stdout, run.stderr) == ("done\n", "")


# why it is done like this


def test_tfmot_refuses_keras_3():
    with pytest.raises(ValueError, match="You passed an object of type: Sequential"):
        tfmot.toolkit("sparsity").prune_low_magnitude(linear())


def test_without_its_callback_tfmot_fails():
    sparsity, x = tfmot.toolkit("sparsity"), np.zeros((8, 8, 8, 1), np.float32)
    wrapped = sparsity.prune_low_magnitude(keras_bridge.to_tf_keras(linear()))
    wrapped.compile(optimizer="adam", loss="mse")
    with pytest.raises(Exception, match="requires the UpdatePruningStep callback"):
        wrapped.fit(x, np.zeros((8, 3)), verbose=0)
    wrapped.fit(x, np.zeros((8, 3)), verbose=0, callbacks=[sparsity.UpdatePruningStep()])


# wrapped


class Held(tf_keras.layers.Wrapper):
    """A wrapper that only passes on what its layer says."""

    def call(self, x):
        return self.layer(x)


@pytest.mark.parametrize("build", [cnn, nested, branching])
def test_each_layer_is_wrapped_once_however_deep_and_the_answers_stay(build):
    """A layer in a model inside, one that is used twice, a model with two inputs."""
    model, wrapped = randomized(build(tf_keras)), []

    def wrap(layer):
        wrapped.append(layer.name)
        return Held(layer) if layer.get_weights() else layer

    before, expected = model.get_weights(), tf.nest.flatten(model(given(model)))
    new = tfmot.wrapped(model, wrap)
    leaves = [layer for layer in parts(model) if not isinstance(layer, tf_keras.Model | tf_keras.layers.InputLayer)]
    assert sorted(wrapped) == sorted(layer.name for layer in leaves)
    held = [part.layer.name for part in parts(new) if isinstance(part, Held)]
    assert sorted(held) == sorted(layer.name for layer in leaves if layer.get_weights())
    for answer, wanted in zip(tf.nest.flatten(new(given(model))), expected, strict=True):
        np.testing.assert_allclose(answer, wanted, atol=1e-6)
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), before, strict=True))


def test_a_wrapper_stands_in_the_place_of_a_layer_in_a_model_inside():
    prune = tfmot.toolkit("sparsity").prune_low_magnitude
    new = tfmot.wrapped(keras_bridge.to_tf_keras(nested()), lambda layer: prune(layer) if layer.name == "hidden" else layer)
    assert [layer.name for layer in new.layers] == ["conv", "depth", "norm", "pool", "head", "logits"]
    assert [layer.name for layer in new.get_layer("head").layers] == ["prune_low_magnitude_hidden", "drop"]


# train


def test_without_wrappers_it_trains_like_the_house():
    model = nested()
    before = model.get_weights()
    new = tfmot.train(model, X, Y, wrap=unchanged, strip=unchanged, **HOW)
    assert isinstance(new, keras.Sequential) and [layer.name for layer in new.layers] == [layer.name for layer in model.layers]
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), before, strict=True)), "the model stays as it is"
    plain = training.train(lambda: keras_bridge.to_tf_keras(model), X, Y, steps_per_execution=1, **HOW)
    for a, b, start in zip(new.get_weights(), plain.get_weights(), before, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)
        assert not np.allclose(a, start, atol=1e-5)


def test_clustering_goes_there_and_back_too():
    """Another method of TFMOT than pruning needs no more than its wrapper and its way to unwrap."""
    clustering, model = tfmot.toolkit("clustering"), nested()
    how = {"number_of_clusters": 4, "cluster_centroids_init": clustering.CentroidInitialization.KMEANS_PLUS_PLUS}

    def wrap(layer):
        return clustering.cluster_weights(layer, **how) if layer.name in ("conv", "hidden") else layer

    new = tfmot.train(model, X, Y, wrap=wrap, strip=clustering.strip_clustering, **HOW)
    values = {name: len(np.unique(kernel)) for name, kernel in anatomy.kernels(new).items()}
    assert values["conv"] <= 4 and values["hidden"] <= 4 < values["logits"]
    assert type(new.get_layer("conv")) is keras.layers.Conv2D and training.logits(new, X).shape == (40, 3)


def test_the_callbacks_of_the_method_come_after_those_of_the_reader():
    """UpdatePruningStep makes masks at the begin of an update: what a reader's callback changes there is masked as well."""
    order, x = [], np.zeros((8, 8, 8, 1), np.float32)

    def callback(name):
        return tf_keras.callbacks.LambdaCallback(on_train_batch_begin=lambda batch, logs: order.append((batch, name)))

    how = {"wrap": unchanged, "strip": unchanged, "callbacks": [callback("reader")], "method_callbacks": [callback("method")]}
    tfmot.train(linear(), x, Y[:8], **HOW | {"updates": 2}, **how)
    assert order == [(0, "reader"), (0, "method"), (1, "reader"), (1, "method")]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps_per_execution": 8}, "steps_per_execution must be left out, TFMOT needs 1, got 8"),
        ({"model": linear(tf_keras)}, "model must be a keras model, got linear, which is a tf_keras model already"),
        ({"model": subclassed()}, "model must be a Sequential or functional model, got own"),
        ({"inputs": np.full((40, 8, 8, 1), np.nan)}, "inputs must be finite, got NaN or infinity in 2,560 of 2,560 places"),
    ],
    ids=["steps", "tf_keras", "subclassed", "NaN"],
)
def test_bad_input_is_refused(change, message):
    call = {"model": linear(), "inputs": np.zeros((40, 8, 8, 1)), "targets": Y, "wrap": unchanged, "strip": unchanged, **HOW}
    with pytest.raises(ValueError, match=message):
        tfmot.train(**call | change)

"""What a model is made of: its library, names, kernels, calls, and a copy that is one."""

import subprocess
import sys

import keras
import numpy as np
import pytest
from zoo import both_libraries, network

from kdcourse import anatomy


@both_libraries
def test_a_model_knows_its_keras(library):
    assert anatomy.keras_of(network(library)) is library
    inputs = library.Input((2,))
    assert anatomy.keras_of(library.Model(inputs, library.layers.Dense(2)(inputs))) is library


def test_what_is_no_model_is_named():
    with pytest.raises(ValueError, match=r"model must be a keras or tf_keras model, got builtins\.str"):
        anatomy.keras_of("teacher")
    with pytest.raises(ValueError, match=r"got .*Dense"):
        anatomy.keras_of(keras.layers.Dense(2))


def test_keras_of_loads_no_library():
    code = """import sys; from kdcourse import anatomy, models
anatomy.keras_of(models.student_mlp(2)); print("tf_keras" in sys.modules)"""
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "False"


@both_libraries
def test_kernels_are_those_of_dense_and_conv_layers_however_deep(library):
    layers = library.layers
    inner = library.Sequential([library.Input((8, 8, 4)), layers.Conv2D(2, 3, name="deep"), layers.Flatten()], name="inner")
    inputs = library.Input((8, 8, 1))
    x = layers.DepthwiseConv2D(3, padding="same", name="depthwise")(layers.Conv2D(4, 1, name="wide")(inputs))
    model = library.Model(inputs, layers.Dense(3, name="out")(inner(layers.BatchNormalization()(x))))
    found = anatomy.kernels(model)
    assert {name: kernel.shape for name, kernel in found.items()} == {"wide": (1, 1, 1, 4), "deep": (3, 3, 4, 2), "out": (72, 3)}
    found["out"][:] = 0
    assert np.asarray(model.get_layer("out").kernel).any()  # arrays of their own


@both_libraries
def test_calls_come_in_the_order_of_the_graph_a_layer_used_twice_comes_twice(library):
    inputs, shared = library.Input((4,)), library.layers.Dense(4, name="shared")
    model = library.Model(inputs, library.layers.Dense(3, name="out")(shared(shared(inputs))))
    assert [layer.name for layer, _ in anatomy.calls(model)] == ["shared", "shared", "out"]
    assert [layer.name for layer, _ in anatomy.calls(network(library))] == ["maps", "norm", "pool", "drop", "out"]


@both_libraries
def test_a_copy_answers_as_its_model_and_shares_nothing(library):
    model = network(library)
    new, x = anatomy.copied(model), np.random.default_rng(1).random((5, 8, 8, 1), np.float32)
    np.testing.assert_allclose(new(x, training=False), model(x, training=False), atol=1e-6)
    new.layers[0].kernel.assign(np.zeros(new.layers[0].kernel.shape))
    assert np.asarray(model.layers[0].kernel).any()


def test_a_copy_that_loses_state_is_refused():
    buckets = keras.layers.Discretization(num_bins=5)
    buckets.adapt(np.linspace(0, 1, 100))
    inputs = keras.Input((4,))
    adapted = keras.Model(inputs, keras.layers.Dense(3)(keras.layers.Flatten()(keras.layers.Embedding(12, 3)(buckets(inputs)))))

    @keras.saving.register_keras_serializable("test_anatomy")
    class Scaled(keras.layers.Layer):
        by = 1.0

        def call(self, x):
            return x * self.by

    scaled = keras.Sequential([keras.Input((4,)), Scaled(name="scaled"), keras.layers.Dense(3)])
    assert anatomy.copied(scaled).count_params() == scaled.count_params()
    scaled.get_layer("scaled").by = 4.0
    for model in (adapted, scaled):
        with pytest.raises(ValueError, match="model must consist of layers whose state is all in their config and weights, got"):
            anatomy.copied(model)


def test_a_model_that_cannot_be_tried_is_copied_all_the_same():
    inputs = keras.Input((None, 3))  # an open axis, too short as we would try it
    model = keras.Model(inputs, keras.layers.GlobalAveragePooling1D()(keras.layers.Conv1D(2, 30)(inputs)))
    with pytest.raises(Exception, match=r".+"):
        model(anatomy.sample((None, None, 3), "float32"))
    assert anatomy.copied(model).count_params() == model.count_params()


def test_a_sample_is_pixels_or_words_and_always_the_same():
    pixels = anatomy.sample((None, 8, None), "float32")
    assert pixels.shape == (4, 8, 8) and 0 <= pixels.min() and pixels.max() <= 1
    words = anatomy.sample((None, 50), "int32", vocabulary=7)
    assert words.dtype == np.int32 and set(np.unique(words)) == set(range(7)) and (words == 0).mean() > 0.15
    np.testing.assert_array_equal(words, anatomy.sample((None, 50), "int32", vocabulary=7))

"""Small networks for all tests: 8x8 images, 4 to 8 channels, 3 classes unless something else is said; a fraction of a second each.

A builder that takes `library` builds the same network in Keras 3 (`keras`) and in Keras 2 (`tf_keras`). Nothing is cached: each call
returns a new model, and a test may do with it what it likes.
"""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from kdcourse import answers

SHAPE = (8, 8, 2)  # what an architecture reads, unless it says something else

both_libraries = pytest.mark.parametrize("library", [keras, tf_keras], ids=["keras", "tf_keras"])


def quiet(model, x, **settings):
    """Ask a model without a progress bar."""
    return answers.outputs(model, x, verbose=0, **settings)


# data


def images(n=24):
    return np.random.default_rng(0).random((n, 8, 8, 1), np.float32)


def examples(n=120, classes=3, shape=(8, 8, 1), seed=0):
    """Return inputs and labels that a small network learns in some dozen updates: a pattern for each class, and noise."""
    draw = np.random.default_rng(seed)
    patterns, labels = draw.random((classes, *shape)), np.arange(n) % classes
    return (0.7 * patterns[labels] + 0.3 * draw.random((n, *shape))).astype(np.float32), labels


def given(model, n=6, seed=5):
    """Return random inputs for a model, in the structure that it reads; word numbers where it reads integers."""
    draw = np.random.default_rng(seed)

    def drawn(tensor):
        shape = (n, *(size or 6 for size in tensor.shape[1:]))
        return draw.integers(0, 3, shape, np.int32) if "int" in str(tensor.dtype) else draw.normal(0, 1, shape).astype(np.float32)

    return tf.nest.map_structure(drawn, model.input if len(model.inputs) > 1 else model.inputs[0])


def randomized(model, seed=0):
    """Return the model itself with random weights everywhere, also where an initializer says 0 or 1; variances stay positive."""
    draw = np.random.default_rng(seed)

    def drawn(variable, weight):
        if "variance" in variable.name:
            return draw.uniform(0.5, 2, weight.shape)
        matrix = "kernel" in variable.name
        return draw.normal(0, np.prod(weight.shape[:-1]) ** -0.5 if matrix else 1, weight.shape)

    for layer in parts(model):
        if isinstance(layer, keras.Model | tf_keras.Model) or not hasattr(layer, "get_weights"):  # an operation such as `x + y`
            continue
        weights = zip(layer.weights, layer.get_weights(), strict=True)
        layer.set_weights([drawn(variable, weight).astype(weight.dtype) for variable, weight in weights])
        if hasattr(layer, "finalize_state"):
            layer.finalize_state()
    return model


def parts(model):
    """Yield the layers of a model, and behind each model inside it the layers of that."""
    for layer in model.layers:
        yield layer
        if isinstance(layer, keras.Model | tf_keras.Model):
            yield from parts(layer)


# the smallest ones


def network(library=keras, filters=4, seed=0, activation="relu", named=True):
    """Return a small network with a convolution, batch normalization and dropout, on images of 8x8; 3 classes."""
    library.utils.set_random_seed(seed)
    name = (lambda n: {"name": n}) if named else (lambda n: {})
    layers = library.layers
    return library.Sequential(
        [
            library.Input((8, 8, 1)),
            layers.Conv2D(filters, 3, padding="same", activation=activation, **name("maps")),
            layers.BatchNormalization(**name("norm")),
            layers.GlobalAveragePooling2D(**name("pool")),
            layers.Dropout(0.5, **name("drop")),
            layers.Dense(3, **name("out")),
        ],
        name=f"net_{filters}",
    )


def linear(library=keras):
    """Return the smallest student: quick to compile."""
    library.utils.set_random_seed(2)
    return library.Sequential([library.Input((8, 8, 1)), library.layers.Flatten(), library.layers.Dense(3)], name="linear")


def cnn(library=keras, shape=(8, 8, 1), classes=3, seed=1):
    """Return a convolution, a depthwise one and two dense layers: kernels (3, 3, 1, 4), (64, 12) and (12, 3) for 8x8 grey images."""
    library.utils.set_random_seed(seed)
    layers = library.layers
    return library.Sequential(
        [
            library.Input(shape),
            layers.Conv2D(4, 3, strides=2, padding="same", name="conv"),
            layers.DepthwiseConv2D(2, padding="same", name="depthwise"),
            layers.BatchNormalization(name="norm"),
            layers.ReLU(name="relu"),
            layers.Flatten(name="flat"),
            layers.Dropout(0.1, name="drop"),
            layers.Dense(12, activation="relu", name="dense"),
            layers.Dense(classes, name="logits"),
        ],
        name="cnn",
    )


def nested(library=keras, shape=(6, 6, 4), name="net", seed=0):
    """Return a network with a depthwise layer, batch normalization, dropout, and a model inside that has a dense layer."""
    library.utils.set_random_seed(seed)
    layers = library.layers
    dense = [layers.Dense(9, activation="relu", name="hidden"), layers.Dropout(0.3, name="drop")]
    return library.Sequential(
        [
            library.Input(shape),
            layers.Conv2D(8, 3, activation="relu", use_bias=False, name="conv"),
            layers.DepthwiseConv2D(2, name="depth"),
            layers.BatchNormalization(momentum=0.9, name="norm"),
            layers.GlobalAveragePooling2D(name="pool"),
            library.Sequential([library.Input((8,)), *dense], name="head"),
            layers.Dense(3, name="logits"),
        ],
        name=name,
    )


def text(library=keras, vocabulary=50, words=7, width=8, classes=4):
    """Return a reader of word numbers, int32: the mean of the embeddings and a dense layer."""
    library.utils.set_random_seed(3)
    layers, numbers = library.layers, library.Input((words,), dtype="int32", name="words")
    vectors = layers.GlobalAveragePooling1D(name="mean")(layers.Embedding(vocabulary, width, name="embeddings")(numbers))
    return library.Model(numbers, layers.Dense(classes, name="logits")(vectors), name="text")


def subclassed(library=keras, name="own"):
    """Return a model that has no graph: its class is one's own. It is not built; to call it once builds it."""

    class Own(library.Model):
        def __init__(self):
            super().__init__(name=name)
            self.flat, self.dense = library.layers.Flatten(), library.layers.Dense(3)

        def call(self, x):
            return self.dense(self.flat(x))

    return Own()


# architectures; those that have a `library` argument


def _conv(library, x, filters, name, size=3, padding="same", **more):
    return library.layers.Conv2D(filters, size, padding=padding, name=name, **more)(x)


def _norm(library, x, name, **more):
    return library.layers.BatchNormalization(name=name, **more)(x)


def _head(library, x, name="logits"):
    return library.layers.Dense(3, name=name)(library.layers.GlobalAveragePooling2D(name=f"{name}_pool")(x))


def lenet(library=keras, shape=SHAPE, classes=3):
    """Return LeNet-5 in small: Flatten maps 2x2 places of 6 channels to 24 inputs."""
    layers = library.layers
    return library.Sequential(
        [
            library.Input(shape),
            layers.Conv2D(4, 3, activation="relu", name="conv1"),
            layers.MaxPooling2D(name="pool"),
            layers.Conv2D(6, 2, activation="relu", name="conv2"),
            layers.Flatten(name="flatten"),
            layers.Dense(10, activation="relu", name="dense1"),
            layers.Dropout(0.5, name="drop"),
            layers.Dense(classes, name="logits"),
        ],
        name="lenet",
    )


def vgg(library=keras):
    """Return pairs of convolutions of one size with a pooling behind them."""
    layers = library.layers
    stack = [library.Input(SHAPE)]
    for block, filters in enumerate((4, 6), 1):
        stack += [layers.Conv2D(filters, 3, padding="same", activation="relu", name=f"c{block}{place}") for place in (1, 2)]
        stack.append(layers.MaxPooling2D(name=f"p{block}"))
    return library.Sequential([*stack, layers.Flatten(name="flat"), layers.Dropout(0.5, name="drop"), layers.Dense(3, name="logits")])


def deferred(library=keras):
    """Return a Sequential that learned its input's shape from data, grown layer by layer."""
    model, layers = library.Sequential(name="deferred"), library.layers
    for layer in (layers.Conv2D(5, 3, activation="relu", name="conv1"), layers.Flatten(name="flatten"), layers.Dense(3, name="logits")):
        model.add(layer)
    model(np.zeros((1, *SHAPE), np.float32))
    return model


def sigmoid(library=keras):
    """Return activations that make something of 0, BatchNormalization before, after and on both sides of them."""
    layers = library.layers
    x = inputs = library.Input(SHAPE)
    x = _norm(library, _conv(library, x, 4, "before", activation="sigmoid"), "norm_after")
    x = layers.Activation("softplus", name="softplus")(_norm(library, _conv(library, x, 5, "after"), "norm_before"))
    x = layers.Activation("sigmoid", name="sigmoid")(_norm(library, _conv(library, x, 6, "both"), "norm1"))
    x = layers.Flatten()(layers.ZeroPadding2D(1)(_norm(library, x, "norm2")))
    x = layers.Dense(7, activation="sigmoid", name="hidden")(x)
    return library.Model(inputs, layers.Dense(3, name="logits")(x), name="sigmoid")


def bottleneck(library=keras):
    """Return a block of ResNet-50: 1x1, 3x3, 1x1, without biases, and a projection beside them."""
    layers = library.layers
    inputs = library.Input(SHAPE)
    x = layers.ZeroPadding2D(1, name="pad")(inputs)
    short = _norm(library, _conv(library, x, 8, "short", 1, strides=2, use_bias=False), "short_norm")
    for name, filters, size, strides in (("a", 4, 1, 2), ("b", 4, 3, 1)):
        x = _norm(library, _conv(library, x, filters, name, size, strides=strides, use_bias=False), f"{name}_norm")
        x = layers.Activation("relu", name=f"{name}_act")(x)
    x = _norm(library, _conv(library, x, 8, "c", 1, use_bias=False), "c_norm")
    return library.Model(inputs, _head(library, layers.ReLU(name="act")(layers.Add(name="sum")([short, x]))), name="bottleneck")


def preactivation(library=keras):
    """Return a block of the second ResNet: BatchNormalization and ReLU stand before the convolution, and behind the Add."""
    layers = library.layers
    x = inputs = library.Input(SHAPE)
    x = stem = _conv(library, x, 6, "stem")
    x = _conv(library, layers.ReLU()(_norm(library, x, "norm1")), 5, "c1")
    x = layers.Average(name="mean")([_conv(library, layers.ReLU()(_norm(library, x, "norm2")), 6, "c2"), stem])
    return library.Model(inputs, _head(library, layers.ReLU()(_norm(library, x, "norm3"))), name="preactivation")


def mobilenet(library=keras):
    """Return depthwise separable blocks, one of them with two depthwise filters a channel, one as a single layer."""
    layers = library.layers
    x = inputs = library.Input(SHAPE)
    x = layers.ReLU(6.0)(_norm(library, _conv(library, x, 4, "stem"), "stem_norm"))
    x = layers.DepthwiseConv2D(3, depth_multiplier=2, padding="same", activation="sigmoid", name="depthwise1")(x)
    x = layers.ReLU(6.0)(_norm(library, x, "depthwise1_norm"))
    x = layers.ReLU(6.0)(_norm(library, _conv(library, x, 5, "pointwise1", 1), "pointwise1_norm"))
    x = layers.DepthwiseConv2D(3, use_bias=False, name="depthwise2")(x)
    x = layers.SeparableConv2D(6, 3, depth_multiplier=3, activation="relu", name="separable")(x)
    return library.Model(inputs, _head(library, x), name="mobilenet")


def mobilenet_v2(library=keras):
    """Return an inverted residual: expand, depthwise with batch normalization, project without an activation, add."""
    layers = library.layers
    x = inputs = library.Input(SHAPE)
    x = stem = layers.Activation("relu6", name="stem_act")(_norm(library, _conv(library, x, 4, "stem", use_bias=False), "stem_norm"))
    x = layers.ReLU(6.0, name="expand_act")(_norm(library, _conv(library, x, 8, "expand", 1, use_bias=False), "expand_norm"))
    x = layers.DepthwiseConv2D(3, padding="same", use_bias=False, name="depth")(x)
    x = layers.ReLU(6.0, name="depth_act")(_norm(library, x, "depth_norm", momentum=0.999, epsilon=1e-3))
    x = _norm(library, _conv(library, x, 4, "project", 1, use_bias=False), "project_norm")
    return library.Model(inputs, _head(library, layers.Add(name="sum")([stem, x])), name="mobilenet_v2")


def densenet(library=keras):
    """Return channels that are appended, and a convolution that is added to two of them at once."""
    layers = library.layers
    x = inputs = library.Input(SHAPE)
    a = _conv(library, x, 3, "a", activation="relu")
    b = _conv(library, a, 4, "b", activation="tanh")
    both = _norm(library, layers.Concatenate(name="both")([a, b]), "both_norm", epsilon=1.001e-5)
    x = layers.Add(name="add")([both, _conv(library, both, 7, "c")])
    places = layers.Concatenate(axis=1, name="places")([x, _conv(library, x, 7, "d")])
    return library.Model(inputs, layers.Dense(3, name="logits")(layers.Flatten()(places)), name="densenet")


def xception(library=keras):
    """Return a separable convolution behind an activation, pooled, with a projection beside it."""
    layers = library.layers
    inputs = library.Input(SHAPE)
    short = _norm(library, _conv(library, inputs, 6, "short", 1, strides=2, use_bias=False), "short_norm")
    x = layers.ReLU(name="act")(_conv(library, inputs, 4, "stem"))
    x = _norm(library, layers.SeparableConv2D(6, 3, padding="same", use_bias=False, name="separable")(x), "separable_norm")
    x = layers.Add(name="sum")([layers.MaxPooling2D(3, 2, padding="same", name="pool")(x), short])
    return library.Model(inputs, _head(library, x), name="xception")


def mlp(library=keras):
    """Return hidden units; the last ones are added to flat channels, so that six of them hang together."""
    layers = library.layers
    x = inputs = library.Input((3, 2, 2))
    x = flat = layers.Flatten()(layers.Conv2D(4, 1, name="conv")(x))
    x = layers.ReLU()(_norm(library, layers.Dense(9, name="dense1")(x), "norm1"))
    x = layers.Dense(24, name="dense2")(x)
    return library.Model(inputs, layers.Dense(3, name="logits")(layers.Add(name="add")([x, flat])), name="mlp")


def two_heads(library=keras):
    """Return a model of two inputs and two outputs, with a spatial mask for all channels."""
    layers = library.layers
    inputs = {"left": library.Input(SHAPE, name="left"), "right": library.Input(SHAPE, name="right")}
    x = layers.Maximum()([_conv(library, inputs["left"], 5, "conv_left"), _conv(library, inputs["right"], 5, "conv_right")])
    x = layers.Multiply()([x, _conv(library, x, 1, "mask", activation="sigmoid")])
    outputs = {"first": _head(library, x, "first"), "second": _head(library, _conv(library, x, 4, "conv2"), "second")}
    return library.Model(inputs, outputs, name="two_heads")


def branching(library=keras):
    """Return two named inputs and outputs, a shared layer, and a shared model inside that is frozen."""
    layers = library.layers
    a, b = library.Input((4,), name="a"), library.Input((4,), name="b")
    shared = layers.Dense(5, activation="relu", name="shared")
    inside = library.Sequential([library.Input((5,)), layers.Dense(5, name="in"), layers.BatchNormalization(name="norm")], name="inside")
    x, y = inside(shared(a)), inside(shared(b))
    together = layers.Concatenate(name="both")([x, y, shared(a)])
    outputs = {"logits": layers.Dense(3, name="out")(together), "sum": layers.Add(name="sum")([x, y])}
    model = library.Model({"a": a, "b": b}, outputs, name="branching")
    inside.trainable = False
    return randomized(model)


# architectures that are written as only Keras 3 can


def resnet():
    """Return an identity shortcut, a projection shortcut and one of the operator +."""
    layers = keras.layers
    x = inputs = keras.Input(SHAPE)
    x = stem = layers.ReLU()(_norm(keras, _conv(keras, x, 4, "stem"), "stem_norm"))
    x = layers.ReLU()(_norm(keras, _conv(keras, x, 5, "a1"), "a1_norm"))
    x = layers.ReLU()(layers.Add(name="add_a")([stem, _norm(keras, _conv(keras, x, 4, "a2"), "a2_norm")]))
    y = layers.ReLU()(_norm(keras, _conv(keras, x, 6, "b1", strides=2), "b1_norm"))
    y = _norm(keras, _conv(keras, y, 7, "b2"), "b2_norm")
    x = _norm(keras, _conv(keras, x, 7, "b_projection", 1, strides=2), "b_projection_norm")
    x = layers.ReLU()(layers.Add(name="add_b")([y, x]))
    y = _conv(keras, layers.Activation("elu")(_conv(keras, x, 3, "c1")), 7, "c2")
    return keras.Model(inputs, _head(keras, x + y), name="resnet")


def mobilenet_v3():
    """Return an inverted residual with squeeze and excite: expand, depthwise, scale, project, add."""
    layers = keras.layers
    x = inputs = keras.Input(SHAPE)
    x = stem = _norm(keras, _conv(keras, x, 4, "stem"), "stem_norm")
    x = layers.Activation("hard_silu")(_norm(keras, _conv(keras, x, 8, "expand", 1), "expand_norm"))
    x = layers.DepthwiseConv2D(3, padding="same", name="depthwise")(x)
    x = layers.Activation("hard_silu")(_norm(keras, x, "depthwise_norm"))
    s = layers.Reshape((1, 1, 8), name="reshape")(layers.GlobalAveragePooling2D()(x))
    s = layers.Conv2D(3, 1, activation="relu", name="squeeze")(s)
    s = layers.Conv2D(8, 1, activation="hard_sigmoid", name="excite")(s)
    x = _norm(keras, _conv(keras, layers.Multiply(name="scale")([x, s]), 4, "project", 1), "project_norm")
    return keras.Model(inputs, _head(keras, layers.Add(name="add")([x, stem])), name="mobilenet_v3")


def operators():
    """Return hard-swish as ``keras.applications`` writes it, with + and *, and squeeze and excite with the operator *."""
    layers = keras.layers
    x = inputs = keras.Input(SHAPE)
    x = _norm(keras, _conv(keras, _conv(keras, x, 5, "first"), 8, "stem"), "stem_norm")
    x = layers.Multiply(name="swish")([x, layers.ReLU(6.0, name="relu6")(x + 3.0) * (1.0 / 6.0)])
    s = layers.Conv2D(4, 1, activation="relu", name="squeeze")(layers.GlobalAveragePooling2D(keepdims=True, name="mean")(x))
    s = layers.Conv2D(8, 1, activation="hard_sigmoid", name="excite")(s)
    return keras.Model(inputs, _head(keras, layers.Activation("hard_silu", name="act")(x * s)), name="operators")


def one_dimension():
    """Return a signal of 12 places: convolutions along one axis, a dense layer for each place."""
    layers = keras.layers
    x = inputs = keras.Input((12, 2))
    x = layers.Conv1D(5, 3, dilation_rate=2, padding="causal", activation=layers.LeakyReLU(0.1), name="conv1")(x)
    x = layers.AveragePooling1D(2)(layers.SpatialDropout1D(0.2)(x))
    x = layers.Dense(4, activation="gelu", name="by_place")(layers.DepthwiseConv1D(2, name="depthwise")(x))
    return keras.Model(inputs, layers.Dense(3, name="logits")(layers.GlobalMaxPooling1D()(x)), name="one_dimension")


def _named(*builders):
    return {build.__name__: build for build in builders}


# {name: builder}; the builders of IN_BOTH take a library
IN_BOTH = _named(
    network, linear, cnn, nested, text, lenet, vgg, deferred, sigmoid, bottleneck, preactivation, mobilenet, mobilenet_v2, densenet,
    xception, mlp, two_heads, branching,
)  # fmt: skip
ARCHITECTURES = IN_BOTH | _named(resnet, mobilenet_v3, operators, one_dimension)
TWO_INPUTS = _named(two_heads, branching)

"""Models that are copied, and that cross from Keras 3 to Keras 2 and back, with the same outputs."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from zoo import ARCHITECTURES, TWO_INPUTS, both_libraries, branching, given, parts, randomized, subclassed

from kdcourse import keras_bridge, models
from kdcourse.anatomy import checked_graph, copied
from kdcourse.keras_bridge import to_keras, to_tf_keras

L = keras.layers


def outputs(model, training=False):
    return [np.asarray(tensor) for tensor in tf.nest.flatten(model(given(model), training=training))]


def described(model):
    """Return what a transformation keeps: names, flags, shapes of weights; models inside too."""
    return [(layer.name, type(layer).__name__, layer.trainable, [w.shape for w in layer.get_weights()]) for layer in [model, *parts(model)]]


def check_crossing(model, tolerance=1e-5):
    """Hold both crossings and the copies against the model, and the model against itself before."""
    before, expected, weights = described(model), outputs(model), model.get_weights()
    there = to_tf_keras(model)
    back = to_keras(there)
    assert isinstance(there, tf_keras.Model) and isinstance(back, keras.Model) and back.name == there.name == model.name
    for new in (there, back, copied(model), copied(there)):
        for a, b in zip(outputs(new), expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * max(1, np.abs(b).max()))
        if not any(type(operation).__module__ == "keras.src.ops.numpy" for operation in getattr(model, "operations", ())):
            assert [row for row in described(new) if row[1] != "InputLayer"] == [row for row in before if row[1] != "InputLayer"]
        for a, b in zip(new.get_weights(), weights, strict=True):
            assert np.array_equal(a, b)
    assert described(model) == before
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), weights, strict=True))
    return there


IMAGE, SIGNAL = (6, 6, 4), (6, 4)
KINDS = [
    ("Dense", IMAGE, {"units": 3, "activation": "gelu", "kernel_regularizer": "l2", "bias_constraint": "non_neg"}),
    ("Conv1D", SIGNAL, {"filters": 3, "kernel_size": 3, "padding": "causal", "dilation_rate": 2}),
    ("Conv1DTranspose", SIGNAL, {"filters": 3, "kernel_size": 3, "strides": 2}),
    ("Conv2D", IMAGE, {"filters": 4, "kernel_size": (3, 2), "strides": 2, "padding": "same", "activation": "relu", "use_bias": False}),
    ("Conv2D", IMAGE, {"filters": 4, "kernel_size": 3, "groups": 2, "kernel_initializer": "he_normal"}),
    ("Conv2DTranspose", IMAGE, {"filters": 3, "kernel_size": 3, "strides": 2, "padding": "same"}),
    ("Conv2DTranspose", IMAGE, {"filters": 3, "kernel_size": 2, "strides": 3, "padding": "valid"}),
    ("Conv2DTranspose", IMAGE, {"filters": 3, "kernel_size": 3, "strides": 2, "padding": "same", "output_padding": 1}),
    ("DepthwiseConv1D", SIGNAL, {"kernel_size": 3, "depth_multiplier": 2}),
    ("DepthwiseConv2D", IMAGE, {"kernel_size": 3, "strides": 2, "padding": "same", "depthwise_regularizer": "l1"}),
    ("SeparableConv1D", SIGNAL, {"filters": 3, "kernel_size": 3}),
    ("SeparableConv2D", IMAGE, {"filters": 3, "kernel_size": 3, "depth_multiplier": 2, "pointwise_constraint": "unit_norm"}),
    ("BatchNormalization", IMAGE, {"momentum": 0.8, "epsilon": 1e-5}),
    ("BatchNormalization", IMAGE, {"axis": 1, "scale": False}),
    ("LayerNormalization", IMAGE, {"axis": [-2, -1], "epsilon": 1e-6}),
    ("LayerNormalization", SIGNAL, {"center": False}),
    ("GroupNormalization", IMAGE, {"groups": 2}),
    ("Normalization", IMAGE, {}),
    ("Normalization", IMAGE, {"mean": [0.1, 0.2, 0.3, 0.4], "variance": [2.0, 1.0, 0.5, 3.0]}),
    ("Dropout", IMAGE, {"rate": 0.5, "noise_shape": (None, 1, 1, 4), "seed": 3}),
    ("SpatialDropout1D", SIGNAL, {"rate": 0.5}),
    ("SpatialDropout2D", IMAGE, {"rate": 0.5}),
    ("GaussianDropout", IMAGE, {"rate": 0.5}),
    ("GaussianNoise", IMAGE, {"stddev": 0.5}),
    ("MaxPooling1D", SIGNAL, {"pool_size": 2}),
    ("MaxPooling2D", IMAGE, {"pool_size": 3, "strides": 2, "padding": "same"}),
    ("AveragePooling1D", SIGNAL, {"pool_size": 2}),
    ("AveragePooling2D", IMAGE, {"pool_size": (3, 2), "strides": 1, "padding": "same"}),
    ("GlobalAveragePooling1D", SIGNAL, {}),
    ("GlobalAveragePooling2D", IMAGE, {"keepdims": True}),
    ("GlobalMaxPooling1D", SIGNAL, {}),
    ("GlobalMaxPooling2D", IMAGE, {}),
    ("Flatten", IMAGE, {}),
    ("Reshape", IMAGE, {"target_shape": (9, -1)}),
    ("Permute", IMAGE, {"dims": (3, 1, 2)}),
    ("RepeatVector", (4,), {"n": 3}),
    ("ZeroPadding2D", IMAGE, {"padding": ((0, 1), (2, 1))}),
    ("Cropping2D", IMAGE, {"cropping": ((0, 1), (2, 1))}),
    ("UpSampling1D", SIGNAL, {"size": 3}),
    ("UpSampling2D", IMAGE, {"size": (2, 3), "interpolation": "nearest"}),
    *[("UpSampling2D", IMAGE, {"size": 3, "interpolation": name}) for name in ("bilinear", "bicubic", "lanczos3")],
    ("Rescaling", IMAGE, {"scale": 0.5, "offset": -1.0}),
    ("ReLU", IMAGE, {"max_value": 0.6, "negative_slope": 0.1, "threshold": 0.2}),
    ("LeakyReLU", IMAGE, {"negative_slope": 0.05}),
    ("LeakyReLU", IMAGE, {}),
    ("ELU", IMAGE, {"alpha": 0.7}),
    ("PReLU", IMAGE, {"shared_axes": [1, 2]}),
    ("Softmax", IMAGE, {"axis": 1}),
    *[("Activation", IMAGE, {"activation": name}) for name in (*keras_bridge.ACTIVATIONS, "hard_sigmoid", "hard_silu", "swish")],
]
MERGES = [(name, {}) for name in ("Add", "Average", "Maximum", "Minimum", "Multiply", "Subtract")]
MERGES += [("Concatenate", {"axis": 1}), ("Dot", {"axes": -1, "normalize": True})]
SEQUENCES = [("Embedding", {"input_dim": 3, "output_dim": 4, "mask_zero": True}), ("Masking", {"mask_value": 0.0})]


@pytest.mark.parametrize(("kind", "shape", "settings"), KINDS, ids=[f"{i}-{kind[0]}" for i, kind in enumerate(KINDS)])
def test_a_layer_crosses(kind, shape, settings):
    check_crossing(randomized(keras.Sequential([keras.Input(shape, name="images"), getattr(L, kind)(name="it", **settings)], name="net")))


@pytest.mark.parametrize(("kind", "settings"), MERGES)
def test_a_merge_crosses(kind, settings):
    a, b = keras.Input(SIGNAL, name="a"), keras.Input(SIGNAL, name="b")
    check_crossing(keras.Model([a, b], getattr(L, kind)(name="it", **settings)([a, b])))


@pytest.mark.parametrize(("kind", "settings"), SEQUENCES)
def test_masks_are_found_again(kind, settings):
    """The mask reaches the pooling: zeros at the end of a text do not count."""
    texts = keras.Input((None,), dtype="int32") if kind == "Embedding" else keras.Input((None, 4))
    model = randomized(keras.Model(texts, L.GlobalAveragePooling1D(name="pool")(getattr(L, kind)(name="it", **settings)(texts))))
    check_crossing(model)
    x = np.array([[1, 2, 0, 0, 0, 0]]) if kind == "Embedding" else np.eye(6, 4, dtype=np.float32)[None] * [[[1], [1], [0], [0], [0], [0]]]
    np.testing.assert_allclose(to_tf_keras(model)(x), to_tf_keras(model)(x[:, :2]), atol=1e-6)


def test_every_layer_that_is_promised_is_tested():
    assert {name for name, *_ in [*KINDS, *MERGES, *SEQUENCES]} == set(keras_bridge.LAYERS)


# whole networks


@pytest.mark.parametrize("architecture", sorted(set(ARCHITECTURES) - {"one_dimension"}))  # it has a layer for an activation
def test_a_network_crosses(architecture, recwarn):
    model = randomized(ARCHITECTURES[architecture]())
    there = check_crossing(model)
    assert type(there).__name__ == type(model).__name__ and (architecture in TWO_INPUTS) == (len(there.inputs) > 1)
    assert not [warning.message for warning in recwarn if "structure" in str(warning.message)], "the copy is asked as the model reads"


@pytest.mark.parametrize("build", [models.teacher_cnn, models.student_mlp, models.student_cnn, models.hinton_student])
def test_the_models_of_the_course_cross(build):
    there = check_crossing(randomized(build()))
    assert type(there) is tf_keras.Sequential


def test_sixteen_bits_cross_up_to_their_rounding():
    model = models.hinton_teacher(units=20, dtype="mixed_bfloat16")
    there = check_crossing(model, tolerance=0.02)
    assert there.layers[2].compute_dtype == "bfloat16" and there.layers[2].kernel.dtype.name == "float32"
    assert isinstance(there.layers[2].kernel_constraint, tf_keras.constraints.MaxNorm)


@pytest.mark.slow
def test_a_whole_application_crosses():
    check_crossing(randomized(keras.applications.MobileNetV2(weights=None, input_shape=(32, 32, 3), alpha=0.35, classes=10)), 1e-4)


# graphs


def answers(model, training):
    return model({name: np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32) for name in "ab"}, training=training)


def test_graphs_cross_with_their_structure():
    model = branching()
    there = to_tf_keras(model)
    for new in (there, to_keras(there), copied(model), copied(there)):
        expected, got = answers(model, False), answers(new, False)
        assert list(got) == ["logits", "sum"]
        for name in got:
            np.testing.assert_allclose(got[name], expected[name], atol=1e-5)
        assert [layer.name for layer in new.layers] == [layer.name for layer in model.layers]
        assert len(new.get_weights()) == len(model.get_weights())  # the shared layer is there once
        inside = new.get_layer("inside")
        assert not inside.trainable and not inside.get_layer("in").trainable
        assert [tuple(w.shape) for w in new.trainable_weights] == [tuple(w.shape) for w in model.trainable_weights]


@both_libraries
def test_a_trainable_layer_in_a_frozen_model_means_another_thing_in_each_keras(library):
    model = branching(library)
    model.get_layer("inside").get_layer("in").trainable = True
    assert len(model.trainable_weights) == (6 if library is keras else 4)
    assert len(copied(model).trainable_weights) == len(model.trainable_weights)
    with pytest.raises(ValueError, match="layer 'inside', a model inside, must not be frozen while layers in it are trainable"):
        (to_tf_keras if library is keras else to_keras)(model)


def called(library, training):
    """Return a model whose batch normalization is called with ``training=...``; its statistics are far from those of the data."""
    x = library.Input((4,))
    return library.Model(x, library.layers.BatchNormalization(momentum=0.5, name="norm")(x, training=training))


def in_training(model):
    x = np.random.default_rng(0).normal(5, 2, (50, 4)).astype(np.float32)
    return float(np.mean(model(x, training=True)))


def test_training_false_in_a_call_means_another_thing_in_each_keras():
    """Keras 3's fit overrides it, Keras 2's does not; the bridge keeps what happens, not what is written."""
    assert abs(in_training(called(keras, False))) < 0.01 and in_training(called(tf_keras, False)) > 4
    assert abs(in_training(to_tf_keras(called(keras, False)))) < 0.01
    check_crossing(called(keras, False))
    assert in_training(copied(called(tf_keras, False))) > 4
    for model, cross in ((called(keras, True), to_tf_keras), (called(tf_keras, False), to_keras)):
        with pytest.raises(ValueError, match=r"layer 'norm' \(BatchNormalization\) must be called without training=.*, got"):
            cross(model)


@both_libraries
def test_a_copy_shares_nothing(library):
    model = branching(library)
    model.compile(optimizer="adam", loss={"logits": "mse", "sum": "mse"})
    new, before = copied(model), model.get_weights()
    assert not {id(v) for v in model.variables} & {id(v) for v in new.variables}
    assert not {id(layer) for layer in model._flatten_layers()} & {id(layer) for layer in new._flatten_layers()}
    new.set_weights([w + 1 for w in new.get_weights()])
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), before, strict=True))
    assert not getattr(new, "optimizer", None)


@both_libraries
def test_an_adapted_normalization_is_copied_with_its_state(library):
    layer = library.layers.Normalization(name="norm")
    model = library.Sequential([library.Input((3,)), layer, library.layers.Dense(2)])
    layer.adapt(np.random.default_rng(0).normal(5, 3, (50, 3)).astype(np.float32))
    crossed = (to_tf_keras if library is keras else to_keras)(model)
    for new in (copied(model), crossed):
        np.testing.assert_allclose(outputs(new)[0], outputs(model)[0], atol=1e-5)


def test_the_way_back_reads_what_keras_2_writes_differently():
    """An alpha instead of a slope, an axis in a list, an activation called swish."""
    layers = tf_keras.layers
    model = tf_keras.Sequential(
        [
            tf_keras.Input((4,)),
            layers.Dense(4, activation="swish", kernel_regularizer=tf_keras.regularizers.L1L2(0.1, 0.2), kernel_constraint="max_norm"),
            layers.LeakyReLU(alpha=0.25),
            layers.BatchNormalization(),
        ]
    )
    back = to_keras(randomized(model))
    np.testing.assert_allclose(outputs(back)[0], outputs(model)[0], atol=1e-5)
    dense, leaky, norm = back.layers
    assert dense.activation is keras.activations.silu and leaky.negative_slope == 0.25 and norm.axis == 1
    np.testing.assert_allclose(sum(back.losses), sum(model.losses), rtol=1e-5)
    np.testing.assert_allclose(dense.kernel_constraint(dense.kernel), model.layers[0].kernel_constraint(model.layers[0].kernel), atol=1e-6)


@pytest.mark.parametrize("regularizer", ["l1", "l2", keras.regularizers.OrthogonalRegularizer(0.02)])
def test_regularizers_cost_the_same(regularizer):
    model = randomized(keras.Sequential([keras.Input((4,)), L.Dense(3, kernel_regularizer=regularizer)]))
    assert float(sum(model.losses)) > 0.005
    np.testing.assert_allclose(sum(to_tf_keras(model).losses), sum(model.losses), rtol=1e-5)


@pytest.mark.parametrize("constraint", ["max_norm", "non_neg", "unit_norm", keras.constraints.MinMaxNorm(0.1, 0.5, rate=0.5, axis=0)])
def test_constraints_do_the_same(constraint):
    model = randomized(keras.Sequential([keras.Input((4,)), L.Dense(3, kernel_constraint=constraint)]))
    there, kernel = to_tf_keras(model), np.random.default_rng(0).normal(0, 3, (4, 3)).astype(np.float32)
    np.testing.assert_allclose(there.layers[0].kernel_constraint(kernel), model.layers[0].kernel_constraint(kernel), atol=1e-6)


def test_hard_activations_survive_a_file_of_keras_2(tmp_path):
    there = to_tf_keras(randomized(keras.Sequential([keras.Input((4,)), L.Dense(3, activation="hard_sigmoid")])))
    there.save(tmp_path / "net.keras")
    assert np.array_equal(outputs(tf_keras.models.load_model(tmp_path / "net.keras"))[0], outputs(there)[0])


def test_what_batch_normalization_does_in_training_is_as_the_docstring_says():
    """Same batch statistics in the output, another variance in the moving average: n / (n - 1)."""
    model = keras.Sequential([keras.Input((2, 2, 1)), L.BatchNormalization(momentum=0.0)])
    there, x = to_tf_keras(model), np.random.default_rng(0).normal(size=(4, 2, 2, 1)).astype(np.float32)
    np.testing.assert_allclose(there(x, training=True), model(x, training=True), atol=1e-5)
    here, ratio = model.layers[0].moving_variance, 16 / 15
    np.testing.assert_allclose(np.asarray(here) * ratio, there.layers[0].moving_variance, rtol=1e-5)


# what is refused


def relu(x):
    """A function of one's own, with a treacherous name."""
    return x * 2


def start(shape, dtype=None):
    return tf.ones(shape, dtype)


class L2(keras.regularizers.Regularizer):
    def __call__(self, x):
        return 0.0

    def get_config(self):
        return {"l2": 0.1}


class Dense(keras.layers.Dense):
    """A layer of one's own, with a treacherous name."""


REFUSED = {
    "lstm": (lambda: L.LSTM(2, name="it"), SIGNAL, r"layer 'it' \(LSTM\) must be one of Activation, Add,"),
    "lambda": (lambda: L.Lambda(abs, name="it"), SIGNAL, r"layer 'it' \(Lambda\) must be one of"),
    "own layer": (lambda: Dense(2, name="it"), SIGNAL, r"layer 'it' \(Dense\) must be one of"),
    "own activation": (lambda: L.Dense(2, activation=relu, name="it"), SIGNAL, r"layer 'it' \(Dense\) must have an activation .* got relu"),
    "layer as activation": (lambda: L.Dense(2, activation=L.ReLU(), name="it"), SIGNAL, r"must have an activation .* got ReLU"),
    "activation of Keras 3": (lambda: L.Activation("squareplus", name="it"), SIGNAL, r"must have an activation .* got squareplus"),
    "own regularizer": (lambda: L.Dense(2, kernel_regularizer=L2(), name="it"), SIGNAL, "kernel_regularizer that both .* got L2 of"),
    "own initializer": (lambda: L.Dense(2, kernel_initializer=start, name="it"), SIGNAL, "kernel_initializer that both .* got function"),
    "activity": (lambda: L.Dense(2, activity_regularizer="l2", name="it"), SIGNAL, "must have activity_regularizer=None, got"),
    "synchronized": (lambda: L.BatchNormalization(synchronized=True, name="it"), SIGNAL, "must have synchronized=False, got"),
    "renorm": (lambda: L.BatchNormalization(renorm=True, name="it"), SIGNAL, "must have renorm=False, got"),
    "lora": (lambda: L.Dense(2, lora_rank=1, name="it"), SIGNAL, "must have only settings that tf_keras knows, got: .*lora_rank"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_cross_is_named(case):
    make, shape, message = REFUSED[case]
    model = keras.Sequential([keras.Input(shape), make()])
    weights = model.get_weights()
    with pytest.raises(ValueError, match=message) as caught:
        to_tf_keras(model)
    assert "\n" not in str(caught.value)
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), weights, strict=True))


def test_hard_sigmoid_of_keras_2_is_another_function():
    model = tf_keras.Sequential([tf_keras.Input((3,)), tf_keras.layers.Dense(2, activation="hard_sigmoid", name="it")])
    with pytest.raises(ValueError, match=r"layer 'it' \(Dense\) must have an activation as Keras 3 .* got hard_sigmoid of tf_keras"):
        to_keras(model)
    assert float(tf_keras.activations.hard_sigmoid(tf.constant(2.0))) == pytest.approx(0.9)
    assert float(keras.activations.hard_sigmoid(tf.constant(2.0))) == pytest.approx(5 / 6)


@pytest.mark.parametrize("join", [lambda x, y: x / y, lambda x, y: 1.0 / x, lambda x, y: keras.ops.exp(x), lambda x, y: x[:, 0] * y])
def test_an_operator_that_is_no_layer_is_named(join):
    a, b = keras.Input((2, 3)), keras.Input((2, 3))
    with pytest.raises(ValueError, match=r"layer '\w+' \(\w+\) must"):
        to_tf_keras(keras.Model([a, b], [join(a, b), L.Flatten()(a), L.Flatten()(b)]))


@pytest.mark.parametrize("write", [lambda x, y: x - y, lambda x, y: 3 - x + y * 2, lambda x, y: x / 4 - 1 + y], ids=range(3))
def test_operators_become_layers(write):
    a, b = keras.Input((2, 3)), keras.Input((2, 3))
    check_crossing(keras.Model([a, b], write(a, b)))


@pytest.mark.parametrize("function", [checked_graph, copied, to_tf_keras, to_keras])
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: "net", "model must be a keras or tf_keras model, got builtins.str"),
        (lambda: subclassed(), "model must be a Sequential or functional model, got own, a model of the class .*Own"),
        (lambda: subclassed(tf_keras), "model must be a Sequential or functional model, got own, a model of the class .*Own"),
        (lambda: keras.Sequential([L.Dense(2)], name="net"), r"model must be built \(.*\), got net, which is not"),
        (lambda: tf_keras.Sequential([tf_keras.layers.Dense(2)], name="net"), r"model must be built \(.*\), got net, which is not"),
        (lambda: keras.Sequential([keras.Input((3,)), subclassed()]), "every model inside model must be a Seq.* got own"),
    ],
)
def test_what_has_no_graph_is_refused(function, make, message):
    with pytest.raises(ValueError, match=message):
        function(make())


def test_the_argument_is_called_by_its_name():
    with pytest.raises(ValueError, match="^student must be a keras or tf_keras model"):
        checked_graph(None, "student")


def test_a_model_that_is_there_already_is_refused():
    model = keras.Sequential([keras.Input((3,)), L.Dense(2)], name="net")
    with pytest.raises(ValueError, match="model must be a tf_keras model, got net, which is a keras model already"):
        to_keras(model)
    with pytest.raises(ValueError, match="model must be a keras model, got net, which is a tf_keras model already"):
        to_tf_keras(to_tf_keras(model))


@both_libraries
def test_a_model_that_was_called_once_is_built(library):
    model = library.Sequential([library.layers.Dense(2)])
    model(np.ones((1, 3), np.float32))
    assert checked_graph(model) is library
    np.testing.assert_array_equal(outputs(copied(model))[0], outputs(model)[0])


@pytest.mark.filterwarnings("ignore:The object being serialized includes a `lambda`")
def test_a_copy_of_a_function_of_ones_own_is_refused():
    model = keras.Sequential([keras.Input((3,)), L.Dense(2, activation=lambda x: x, name="it")])
    with pytest.raises(ValueError, match=r"layer 'it' \(Dense\) must be rebuildable from its config, got: "):
        copied(model)

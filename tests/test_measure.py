"""Measures on cases whose answer is known."""

import gc
import tracemalloc

import keras
import numpy as np
import pytest
import tf_keras
import zoo
from keras import layers
from zoo import linear, subclassed

from kdcourse import datasets, formats, litert, measure, models, training
from kdcourse.soft_labels import softmax


def test_accuracy_and_recall_by_hand():
    scores = [[2, 1, 0], [0, 3, 1], [1, 0, 2], [5, 0, 0]]
    labels = [0, 1, 1, 0]
    assert measure.accuracy(scores, labels) == 0.75
    assert measure.recall(scores, labels, 1) == 0.5 and measure.recall(scores, labels, 0) == 1


def test_ece_by_hand():
    # two answers at 0.95, one right; two at 0.65, both right: |0.95 - 0.5| / 2 + |0.65 - 1| / 2
    p = [[0.95, 0.05], [0.95, 0.05], [0.65, 0.35], [0.35, 0.65]]
    assert measure.expected_calibration_error(p, [0, 1, 0, 1]) == pytest.approx(0.4)
    found = measure.reliability(p, [0, 1, 0, 1])
    np.testing.assert_allclose(found.confidence, [0.65, 0.95])
    np.testing.assert_allclose(found.accuracy, [1, 0.5])
    np.testing.assert_array_equal(found.count, [2, 2])


def test_edges_of_the_bins_lose_no_example():
    p = np.array([[1.0, 0.0], [0.5, 0.5], [0.6, 0.4]])
    for bins in (1, 2, 5, 10, 15):
        assert measure.reliability(p, [0, 0, 0], bins).count.sum() == 3


def test_temperature_scaling_recovers_the_temperature_of_made_up_data():
    rng = np.random.default_rng(0)
    true = rng.normal(size=(20_000, 5)) * 2
    labels = (softmax(true).cumsum(1) > rng.random((len(true), 1))).argmax(1)
    assert measure.fit_temperature(3 * true, labels) == pytest.approx(3, rel=0.05)
    assert measure.fit_temperature(true / 2, labels) == pytest.approx(0.5, rel=0.05)
    before, after = (measure.expected_calibration_error(softmax(3 * true, t), labels) for t in (1, 3))
    assert after < 0.02 < before


def test_labels_of_a_vocabulary_need_no_memory_for_its_square():
    """30,522 classes: an identity matrix to look the labels up in would take 7 GB."""
    scores, labels = np.zeros((4, 30_522), np.float32), np.arange(4)
    tracemalloc.start()
    try:
        assert measure.accuracy(scores, labels) == 0.25 and measure.recall(scores, labels, 0) == 1
        with pytest.raises(ValueError, match=r"labels must be in 0\.\.30521, got 30522"):
            measure.accuracy(scores, labels + 30_519)
        assert tracemalloc.get_traced_memory()[1] < 20e6
    finally:
        tracemalloc.stop()


def test_a_classifier_without_errors_has_no_temperature():
    """The colder the better: any number within the limits would be arbitrary."""
    labels = np.arange(40) % 10
    for scale in (5, 1000):
        with pytest.raises(ValueError, match="labels must differ from at least one answer, .*, got no mistake"):
            measure.fit_temperature(scale * np.eye(10)[labels], labels)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: measure.accuracy([1, 2], [0, 1]), r"scores must have shape \(examples, classes\), got shape \(2,\)"),
        (lambda: measure.accuracy([[1, 2]], [0, 1]), r"labels must be a vector of 1 integers, got shape \(2,\)"),
        (lambda: measure.accuracy([[1, 2]], [2]), r"labels must be in 0\.\.1, got 2"),
        (lambda: measure.accuracy([[np.nan, 1]], [0]), "scores must be finite, got NaN or infinity in 1 of 2 places"),
        (lambda: measure.expected_calibration_error([[2.0, 7.0]], [0]), "probabilities must be >= 0 and sum to 1"),
        (lambda: measure.recall([[1, 2]], [1], 0), "label must be one that occurs in labels, got 0"),
        (lambda: measure.reliability([[0.5, 0.5]], [0], bins=0), "bins must be an integer >= 1, got 0"),
    ],
)
def test_bad_input_is_named_in_one_sentence(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# What a network costs


def small():
    """13 * 13 * 2 features; by hand: parameters 3*3*2 + 2 + 4*2 + 338*10 + 10 = 3418."""
    stack = [keras.Input((28, 28, 1)), layers.Conv2D(2, 3, strides=2, name="conv"), layers.BatchNormalization(), layers.ReLU()]
    return keras.Sequential([*stack, layers.Flatten(), layers.Dense(10, name="logits")], name="small")


def test_parameters_and_zeros_by_hand():
    model = small()
    kernel, dense = model.get_layer("conv").kernel, model.get_layer("logits").kernel
    kernel.assign(np.ones(kernel.shape))
    dense.assign(np.where(np.arange(3380).reshape(338, 10) < 845, 0.0, 1.0))
    assert measure.parameters(model) == 3418
    assert measure.nonzeros(model) == 18 + (3380 - 845) + 2 * 2  # gamma and the moving variance are ones; biases, beta, mean zeros
    assert measure.sparsity(model) == pytest.approx(845 / (3380 + 18))
    assert measure.sparsity(small()) == 0


def test_macs_of_the_course_s_networks_by_hand():
    assert measure.macs_by_layer(models.lenet5()) == {
        "conv1": 24 * 24 * 5 * 5 * 1 * 20,
        "conv2": 8 * 8 * 5 * 5 * 20 * 50,
        "dense1": 4 * 4 * 50 * 500,
        "logits": 500 * 10,
    }
    assert measure.macs(models.lenet5()) == 2_293_000
    assert measure.macs(models.student_mlp(32)) == 784 * 32 + 32 * 10
    assert measure.macs(small()) == 13 * 13 * 9 * 2 + 338 * 10


@pytest.mark.parametrize(
    ("layer", "shape", "macs"),
    [
        (lambda: layers.Dense(5), (7,), 7 * 5),
        (lambda: layers.Dense(5), (4, 7), 4 * 7 * 5),
        (lambda: layers.Dense(5), (2, 4, 7), 2 * 4 * 7 * 5),
        (lambda: layers.Conv1D(5, 3), (10, 4), 8 * 3 * 4 * 5),
        (lambda: layers.Conv1D(5, 3, padding="causal", dilation_rate=2), (10, 4), 10 * 3 * 4 * 5),
        (lambda: layers.Conv2D(6, 3, padding="same"), (8, 8, 4), 8 * 8 * 3 * 3 * 4 * 6),
        (lambda: layers.Conv2D(6, (3, 2), strides=(2, 1)), (9, 8, 4), 4 * 7 * 3 * 2 * 4 * 6),
        (lambda: layers.Conv2D(6, 3, strides=2, padding="same"), (9, 9, 4), 5 * 5 * 3 * 3 * 4 * 6),
        (lambda: layers.Conv2D(6, 3, groups=2, padding="same"), (8, 8, 4), 8 * 8 * 3 * 3 * 2 * 6),
        (lambda: layers.Conv2D(6, 1), (8, 8, 4), 8 * 8 * 4 * 6),
        (lambda: layers.Conv2D(6, 3, data_format="channels_first", padding="same"), (4, 8, 7), 8 * 7 * 3 * 3 * 4 * 6),
        (lambda: layers.Conv3D(2, 2), (3, 3, 3, 4), 8 * 8 * 4 * 2),
        (lambda: layers.DepthwiseConv2D(3, padding="same"), (8, 8, 4), 8 * 8 * 3 * 3 * 4),
        (lambda: layers.DepthwiseConv2D(3, strides=2, depth_multiplier=2), (9, 9, 4), 4 * 4 * 3 * 3 * 4 * 2),
        (lambda: layers.DepthwiseConv1D(3), (10, 4), 8 * 3 * 4),
        (lambda: layers.SeparableConv2D(6, 3, strides=2, padding="same"), (8, 8, 4), 4 * 4 * (3 * 3 * 4 + 4 * 6)),
        (lambda: layers.SeparableConv1D(6, 3), (10, 4), 8 * (3 * 4 + 4 * 6)),
        (lambda: layers.Conv2DTranspose(6, 3, strides=2, padding="same"), (5, 5, 4), 5 * 5 * 3 * 3 * 4 * 6),
        (lambda: layers.Conv1DTranspose(6, 4, strides=2), (5, 3), 5 * 4 * 3 * 6),
        (lambda: layers.AveragePooling2D(2), (8, 8, 4), 0),
        (lambda: layers.BatchNormalization(), (8, 8, 4), 0),
    ],
)
def test_macs_of_one_layer_by_hand(layer, shape, macs):
    assert measure.macs(keras.Sequential([keras.Input(shape), layer()])) == macs


def test_macs_of_shared_layers_and_models_inside():
    block = keras.Sequential([keras.Input((6, 6, 4)), layers.Conv2D(4, 3, padding="same", name="conv")], name="block")
    image, shared = keras.Input((6, 6, 4)), layers.Conv2D(4, 1, name="shared")
    truncated = keras.Model(image, shared(image))
    x = block(shared(shared(image))) + image
    model = keras.Model(image, layers.Dense(3, name="logits")(layers.GlobalAveragePooling2D()(block(x))))
    once = 36 * 4 * 4
    assert measure.macs_by_layer(model) == {"shared": 2 * once, "block/conv": 2 * 9 * once, "logits": 12}
    assert measure.macs(truncated) == once  # what another model does with the layer is not counted


@pytest.mark.parametrize("architecture", zoo.IN_BOTH)
def test_both_libraries_cost_the_same(architecture):
    old, new = zoo.IN_BOTH[architecture](tf_keras), zoo.IN_BOTH[architecture]()
    assert [*measure.macs_by_layer(old).values()] == [*measure.macs_by_layer(new).values()]
    assert measure.parameters(old) == measure.parameters(new) >= measure.nonzeros(old) == measure.nonzeros(new)


def test_macs_of_a_tf_keras_model():
    old = tf_keras.layers
    stack = [old.Input((8, 8, 4)), old.Conv2D(6, 3, name="conv"), old.DepthwiseConv2D(3, name="depthwise"), old.Flatten(), old.Dense(2)]
    model = tf_keras.Sequential(stack)
    assert list(measure.macs_by_layer(model).values()) == [36 * 9 * 4 * 6, 16 * 9 * 6, 96 * 2]
    assert measure.parameters(model) == 222 + 60 + 194 == measure.nonzeros(model) + 6 + 6 + 2
    assert measure.sizes(model, "raw float32")["raw float32"] > 4 * 476


@pytest.mark.parametrize(
    "multiply",
    [
        lambda x: keras.ops.conv(x, np.ones((3, 3, 1, 2), "float32")),
        lambda x: keras.ops.conv_transpose(x, np.ones((3, 3, 2, 1), "float32")),
        lambda x: keras.ops.depthwise_conv(x, np.ones((3, 3, 1, 2), "float32")),
        lambda x: keras.ops.separable_conv(x, np.ones((3, 3, 1, 2), "float32"), np.ones((1, 1, 2, 3), "float32")),
        lambda x: keras.ops.matmul(x, np.ones((1, 2), "float32")),
        lambda x: keras.ops.vdot(x, x),
    ],
    ids=["conv", "conv_transpose", "depthwise_conv", "separable_conv", "matmul", "vdot"],
)
def test_what_multiplies_without_weights_of_a_layer_is_no_zero(multiply):
    x = keras.Input((8, 8, 1))
    with pytest.raises(ValueError, match="model must have layers whose MACs are known .*, got "):
        measure.macs(keras.Model(x, multiply(x)))


def adapted():
    model = linear()
    model.layers[-1].enable_lora(2)
    return model


class Multiplies(layers.Layer):
    """A layer of one's own without a weight; nobody can know what it costs."""

    def call(self, x):
        return x @ keras.ops.ones((x.shape[-1], 5))


def test_sizes_are_those_of_the_encoders():
    model = zoo.cnn()
    found = measure.sizes(model)
    assert list(found) == [*formats.FORMATS, ".tflite"]
    for format in formats.FORMATS:
        assert found[format] == sum(len(formats.encode(array, format)) for array in model.get_weights())
    assert found[".tflite"] == len(litert.to_tflite(model))
    arrays = {str(i): array for i, array in enumerate(model.get_weights())}
    assert measure.sizes(arrays) == measure.sizes(list(arrays.values())) == {f: found[f] for f in formats.FORMATS}
    assert measure.sizes(model, ["CSR"]) == measure.sizes(arrays, "CSR") == {"CSR": found["CSR"]}
    assert measure.sizes([]) == dict.fromkeys(formats.FORMATS, 0)


def test_peak_memory_by_hand():
    chain = [keras.Input((8, 8, 2)), layers.Conv2D(4, 3, padding="same"), layers.MaxPooling2D(2), layers.Conv2D(16, 1)]
    weights = 4 * (3 * 3 * 2 * 4 + 4 + 4 * 16 + 16)
    # numbers alive: 128 + 256 at the first convolution, 256 + 64 at the pooling, 64 + 256 at the second
    assert measure.peak_memory(litert.to_tflite(keras.Sequential(chain))) == weights + 4 * (128 + 256)


def test_a_skip_connection_keeps_its_tensor_alive():
    def convolution(x):
        return layers.Conv2D(4, 3, padding="same", bias_initializer="normal")(x)  # equal biases (zeros) would be stored once

    def network(skip):
        image = keras.Input((8, 8, 4))
        x = convolution(image)
        y = convolution(convolution(x))
        return litert.to_tflite(keras.Model(image, y + x if skip else y))

    weights, tensor = 3 * 4 * (3 * 3 * 4 * 4 + 4), 4 * 8 * 8 * 4
    assert measure.peak_memory(network(False)) == weights + 2 * tensor
    assert measure.peak_memory(network(True)) == weights + 3 * tensor


def test_latency_counts_runs_and_rests_the_collector():
    calls = []
    found = measure.latency(lambda: calls.append(gc.isenabled()), warmup=3, runs=7)
    assert calls == [True] * 3 + [False] * 7 and gc.isenabled()
    assert found.runs == 7 and found.threads is None and 0 < found.low <= found.median <= found.high
    gc.disable()
    try:
        measure.latency(int, runs=1)
        assert not gc.isenabled()  # as it was
    finally:
        gc.enable()
    with pytest.raises(ZeroDivisionError):
        measure.latency(lambda: 1 / 0, warmup=0)
    assert gc.isenabled()


def test_latency_of_a_file():
    found = measure.latency(litert.to_tflite(linear()), threads=2, warmup=1, runs=5)
    assert (found.runs, found.threads) == (5, 2) and 0 < found.low <= found.median <= found.high


def with_layer(layer, shape=(5, 4)):
    return keras.Sequential([keras.Input(shape), layer])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: measure.macs(subclassed()), "model must be a Sequential or functional model"),
        (lambda: measure.macs(keras.Sequential([layers.Dense(2)])), "model must be built"),
        (lambda: measure.macs(with_layer(layers.LSTM(3, name="lstm"))), "layers whose MACs are known .*, got 'lstm', a LSTM"),
        (lambda: measure.macs(with_layer(layers.Lambda(abs, name="f"))), "layers whose MACs are known .*, got 'f', a Lambda"),
        (lambda: measure.macs(adapted()), "layers whose MACs are known .*, got 'dense.*', a Dense with LoRA"),
        (lambda: measure.macs(with_layer(Multiplies(name="own"))), "layers whose MACs are known .*, got 'own', a Multiplies"),
        (lambda: measure.macs(with_layer(layers.Conv1D(2, 3), (None, 4))), "an input shape that is open in its first axis only"),
        (lambda: measure.sparsity(with_layer(layers.Flatten())), "model must have a Dense or Conv layer to prune"),
        (lambda: measure.parameters("model"), "model must be a keras or tf_keras model, got builtins.str"),
        (lambda: measure.sizes(np.zeros(3)), "model_or_arrays must be a keras or tf_keras model, got numpy.ndarray"),
        (lambda: measure.sizes([np.array(["a"])]), "array must be"),
        (lambda: measure.sizes({}, ["zip"]), "formats must be names out of .*relative index.*, got 'zip'"),
        (lambda: measure.sizes([], ".tflite"), "formats must be names out of .*codebook, got '.tflite'"),
        (lambda: measure.peak_memory(b"PK"), "tflite must be the bytes of a .tflite file, got 2 bytes that LiteRT refuses"),
        (lambda: measure.latency(b"PK"), "tflite must be the bytes of a .tflite file, got 2 bytes that LiteRT refuses"),
        (lambda: measure.latency("model"), "tflite_or_callable must be the bytes of a .tflite file or a function, got str"),
        (lambda: measure.latency(int, threads=0), "threads must be an integer >= 1, got 0"),
        (lambda: measure.latency(int, warmup=-1), "warmup must be an integer >= 0, got -1"),
    ],
)
def test_bad_input_of_costs_is_named_in_one_sentence(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_files_are_measured_side_by_side():
    data = datasets.load("mnist-5k")
    model = models.load_trained("mnist-5k-student")
    files = {"float32": litert.to_tflite(model), "float16": litert.to_tflite(model, "float16")}
    x, y = data.x_test[:100], data.y_test[:100]
    first, second = measure.compare_files(files, x, y, runs=20)
    assert (first.name, first.ratio, first.agreement) == ("float32", 1.0, 1.0)
    assert first.accuracy == measure.accuracy(training.logits(model, x), y)
    assert first.bytes == len(files["float32"]) > second.bytes > second.gzip > 0
    assert second.agreement >= 0.98
    for row in (first, second):
        assert 0 < row.low <= row.median <= row.high and row.memory > 0 and row.ratio > 0
    told = measure.file_table([first, second]).splitlines()
    assert len(told) == 3 and told[1].startswith("float32") and f"{second.bytes:,}" in told[2]


@pytest.mark.parametrize(
    ("files", "sentence"),
    [({}, "files must be"), ({"a": "text"}, "files must be bytes of .tflite files, got str for 'a'"), ({"a": b"no"}, "tflite must be")],
)
def test_what_is_no_file_is_not_measured(files, sentence):
    with pytest.raises(ValueError, match=sentence):
        measure.compare_files(files, np.zeros((2, 28, 28, 1)), np.zeros(2, int))


def test_what_python_loads_does_not_count_as_memory_of_a_file():
    """NumPy's random numbers alone would be 5 MB."""
    assert len(tflite := litert.to_tflite(linear())) / 1e6 < measure.resident_memory(tflite) / 1e6 < 6


def test_a_process_that_cannot_run_a_file_is_a_refusal():
    with pytest.raises(ValueError, match="tflite must be"):
        measure.resident_memory(b"no file")


def test_layer_gaps_tell_where_two_files_part():
    model, x = models.phone_cnn(2, 4), datasets.load("mnist-5k").x_train[:60]
    float32 = litert.to_tflite(model)
    right, wrong = litert.to_tflite(model, "int8", x), litert.to_tflite(model, "int8", 255 * x)
    same, good, bad = (measure.layer_gaps(file, float32, x) for file in (float32, right, wrong))
    assert list(same) == ["the input", "conv1", "pool1", "conv2", "pool2", "conv3", "pool3", "flatten", "dense1", "logits"]
    assert set(same.values()) == {0.0} and list(good) == list(bad) == list(same)
    assert max(good.values()) < 0.2 and good["the input"] < 0.01 < 0.4 < bad["the input"] < 0.6  # a pixel becomes 0 or 1
    assert bad["the input"] == pytest.approx(np.abs(x - np.rint(x)).max() / x.max(), abs=0.02)
    assert measure.layer_gaps(wrong, float32, 255 * x)["the input"] < 0.01
    np.testing.assert_allclose(
        good["logits"], np.abs(litert.predict(right, x) - (z := litert.predict(float32, x))).max() / np.abs(z).max(), rtol=0.3
    )
    with pytest.raises(ValueError, match="reference must be a file of the same network as tflite, got one without its layer 'conv1'"):
        measure.layer_gaps(right, litert.to_tflite(models.student_mlp(2)), x)
    with pytest.raises(ValueError, match="reference must be the bytes"):
        measure.layer_gaps(float32, None, x)

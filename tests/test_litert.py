"""A .tflite file answers as its model does, and what is no such file is refused in one sentence."""

import os
import subprocess
import sys
import tempfile

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from zoo import cnn, examples, lenet, linear, subclassed, text

from kdcourse import litert, measure, models, runtime, tfmot

X, LABELS = examples(80)


def wide(library=keras):
    """Return a network of 17,194 weights, most of the bytes of its file."""
    library.utils.set_random_seed(0)
    layers = library.layers
    stack = [library.Input((8, 8, 1)), layers.Conv2D(8, 3, padding="same", activation="relu", name="conv"), layers.BatchNormalization()]
    return library.Sequential([*stack, layers.Flatten(), layers.Dense(32, activation="relu"), layers.Dense(10)], name="wide")


@pytest.fixture(scope="module")
def student():
    return cnn()


@pytest.fixture(scope="module")
def tflite(student):
    return litert.to_tflite(student)


def test_the_file_answers_as_the_model_and_the_model_stays_as_it_was(student):
    before = [weights.copy() for weights in student.get_weights()]
    config = student.get_config()
    tflite = litert.to_tflite(student)
    images = np.random.default_rng(0).random((600, 8, 8, 1), np.float32)  # more than two batches, the last one smaller
    answers = litert.predict(tflite, images)
    assert (answers.shape, answers.dtype) == ((600, 3), np.float32)
    np.testing.assert_allclose(answers, student(images, training=False), rtol=0, atol=1e-4)
    assert len(tflite) > 4 * measure.nonzeros(student)
    assert student.get_config() == config
    for old, new in zip(before, student.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_number_of_images(student, tflite):
    images = X[:3].astype(np.float64)  # it is cast
    np.testing.assert_allclose(litert.predict(tflite, images, threads=2), student(X[:3]), rtol=0, atol=1e-4)
    assert litert.predict(tflite, images[:0]).shape == (0, 3)
    np.testing.assert_allclose(litert.predict(tflite, images[1:2]), litert.predict(tflite, images)[1:2], rtol=0, atol=1e-5)


def test_a_file_for_four_examples_at_a_time():
    kernel = np.random.default_rng(1).normal(size=(12, 3)).astype(np.float32)
    function = tf.function(lambda x: x @ kernel, input_signature=[tf.TensorSpec((4, 12), tf.float32)])
    with runtime.stderr_held_back():
        tflite = tf.lite.TFLiteConverter.from_concrete_functions([function.get_concrete_function()]).convert()
    rows = np.random.default_rng(0).normal(size=(9, 12)).astype(np.float32)  # two whole parts and one row
    np.testing.assert_allclose(litert.predict(tflite, rows), rows @ kernel, rtol=0, atol=1e-5)


# schemes


@pytest.fixture(scope="module")
def network():
    return wide()


@pytest.fixture(scope="module")
def files(network):
    return {scheme: litert.to_tflite(network, scheme, X if litert.SCHEMES[scheme].calibrated else None) for scheme in litert.SCHEMES}


def ends(tflite):
    """Return the details of the file's input and output."""
    loaded = litert.interpreter(tflite)
    return loaded.get_input_details()[0], loaded.get_output_details()[0]


# the largest difference to Keras, in shares of the largest answer: at least so much, at most so much
APART = {"float32": (0, 1e-5), "float16": (1e-5, 2e-3), "dynamic_int8": (1e-4, 0.02), "int8": (1e-4, 0.04), "int16x8": (1e-4, 0.02)}
APART |= {"int4_weights": (0.01, 0.3)}


@pytest.mark.parametrize("scheme", litert.SCHEMES)
def test_a_scheme_answers_as_keras_up_to_its_rounding(network, files, scheme):
    expected, answers = np.asarray(network(X)), litert.predict(files[scheme], X)
    assert answers.dtype == np.float32 and answers.shape == expected.shape
    least, most = APART[scheme]
    assert least <= np.abs(answers - expected).max() / np.abs(expected).max() <= most < 1.01 * litert.SCHEMES[scheme].apart
    activations = {"int8": np.int8, "int16x8": np.int16}.get(scheme, np.float32)
    flat = [details for details in litert.interpreter(files[scheme]).get_tensor_details() if details["shape"].tolist() == [1, 512]]
    assert flat and {details["dtype"] for details in flat} == {activations}
    kinds = {np.int8} if scheme == "int8" else {np.float32}
    assert {details["dtype"] for details in ends(files[scheme])} == kinds


def test_a_scheme_of_fewer_bits_is_a_smaller_file(network, files):
    sizes = {scheme: len(tflite) for scheme, tflite in files.items()}
    assert sizes["float32"] > sizes["float16"] > sizes["int16x8"] > sizes["int8"] > sizes["int4_weights"]
    assert sizes["float16"] > sizes["dynamic_int8"] > sizes["int8"]
    weights = sum(kernel.size for kernel in network.get_weights())
    for scheme, bits in {"float32": 32, "float16": 16, "dynamic_int8": 8, "int8": 8, "int16x8": 8, "int4_weights": 4}.items():
        assert bits / 8 * weights < sizes[scheme] < bits / 8 * weights + 7000, scheme


def test_integers_are_quantized_on_the_way_in_and_dequantized_on_the_way_out(files):
    """By hand, with the interpreter's own numbers; inputs beyond the range that was seen are cut at its ends."""
    images = np.concatenate([X[:20], np.full((1, 8, 8, 1), 7.0), np.full((1, 8, 8, 1), -7.0)]).astype(np.float32)
    loaded = litert.interpreter(files["int8"])
    (given,), (answer,) = loaded.get_input_details(), loaded.get_output_details()
    (scale, zero), (out_scale, out_zero) = given["quantization"], answer["quantization"]
    assert scale > 0 and out_scale > 0 and zero == -128  # pixels begin at 0
    expected = []
    for image in images:
        whole = [[[[min(127, max(-128, round(float(pixel) / scale) + zero)) for pixel in place] for place in row] for row in image]]
        loaded.set_tensor(given["index"], np.array(whole, np.int8))
        loaded.invoke()
        expected.append([out_scale * (int(q) - out_zero) for q in loaded.get_tensor(answer["index"])[0]])
    np.testing.assert_allclose(litert.predict(files["int8"], images), expected, rtol=1e-6)
    np.testing.assert_array_equal(litert.predict(files["int8"], images[20:]), litert.predict(files["int8"], np.clip(images[20:], -1, 2)))


def test_a_file_that_takes_integers_and_gives_floats(tmp_path):
    model = linear()
    model.export(tmp_path, verbose=False)
    converter = tf.lite.TFLiteConverter.from_saved_model(str(tmp_path))
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([image[None]] for image in X)
    converter.inference_input_type = tf.uint8
    with runtime.stderr_held_back():
        tflite = converter.convert()
    assert [details["dtype"] for details in ends(tflite)] == [np.uint8, np.float32]
    expected = np.asarray(model(X))
    assert np.abs(litert.predict(tflite, X) - expected).max() < 0.03 * np.abs(expected).max()
    assert litert.random_input(litert.interpreter(tflite)).dtype == np.uint8
    assert measure.latency(tflite, warmup=0, runs=2).median > 0


@pytest.mark.parametrize("scheme", [scheme for scheme, row in litert.SCHEMES.items() if row.calibrated])
def test_a_scheme_that_needs_examples(scheme):
    with pytest.raises(ValueError, match=f"examples must be given for {scheme}: they tell the range of every activation, got None"):
        litert.to_tflite(linear(), scheme)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (X[:0], r"examples must have shape \(examples, 8, 8, 1\), examples at least 1, got shape \(0, 8, 8, 1\)"),
        (X[:, :7], r"examples must have shape \(examples, 8, 8, 1\), got shape \(80, 7, 8, 1\)"),
        (X[0], r"examples must have shape \(examples, 8, 8, 1\), got shape \(8, 8, 1\)"),
        (np.where(X > 0.9, np.nan, X), "examples must be finite, got NaN or infinity"),
        ("X", "examples must be numbers in an array, got 'X'"),
    ],
    ids=["none", "shape", "one", "NaN", "text"],
)
def test_examples_that_do_not_fit(bad, message):
    with pytest.raises(ValueError, match=message):
        litert.to_tflite(linear(), "int8", bad)


def test_examples_of_another_range_show_on_the_inputs_that_will_come():
    model = linear()
    litert.to_tflite(model, "int8", 255 * X), litert.to_tflite(model, "int8", X, try_on=X)
    with pytest.raises(RuntimeError, match="must agree with Keras to .*, but its answers differ by"):
        litert.to_tflite(model, "int8", 255 * X, try_on=X)
    with pytest.raises(ValueError, match="try_on must have shape"):
        litert.to_tflite(model, "int8", X, try_on=X[:, :4])


def test_the_examples_are_what_is_tried(monkeypatch):
    """Between 90 and 100 the answers of a file that saw pixels up to 1 would be far off."""
    right, seen = litert.predict, []
    monkeypatch.setattr(litert, "predict", lambda tflite, inputs: seen.append(inputs) or right(tflite, inputs))
    litert.to_tflite(linear(), "int8", 90 + 10 * X)
    np.testing.assert_array_equal(seen[0], 90 + 10 * X)


# words


@pytest.fixture(scope="module")
def reader():
    return text(vocabulary=600, width=32)


@pytest.fixture(scope="module")
def words_file(reader):
    return litert.to_tflite(reader)


def test_word_numbers(reader):
    numbers = np.random.default_rng(0).integers(0, 600, (30, 7))
    expected = np.asarray(reader(numbers))
    sizes = {}
    for scheme, apart in (("float32", 1e-5), ("dynamic_int8", 0.02), ("int8", 0.04)):
        tflite = litert.to_tflite(reader, scheme, numbers)
        sizes[scheme] = len(tflite)
        assert ends(tflite)[0]["dtype"] == np.int32
        assert np.abs(litert.predict(tflite, numbers) - expected).max() <= apart * np.abs(expected).max()
    assert sizes["dynamic_int8"] < 0.35 * sizes["float32"], "the table of the embeddings is in 8 bits"


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        (np.full((2, 7), 1.7), "must be integers in an array, got type float64"),
        (np.full((2, 7), -1), "must be numbers of words in 0..2147483647, got -1"),
        (np.full((2, 7), 2**32 + 1), "must be numbers of words in 0..2147483647, got 4294967297"),
        (np.full((2, 7), None), "must be integers in an array, got type object"),
    ],
    ids=["floats", "negative", "too large", "None"],
)
def test_what_is_no_word_number(reader, words_file, numbers, message):
    with pytest.raises(ValueError, match=f"inputs {message}"):
        litert.predict(words_file, numbers)
    with pytest.raises(ValueError, match=f"examples {message}"):
        litert.to_tflite(reader, "dynamic_int8", numbers)


def test_both_kinds_of_weights_are_checked_on_words_of_the_whole_vocabulary(monkeypatch):
    """A file whose embeddings are wrong from number 2 on must not pass."""
    student, right, seen = models.text_average(4, vocabulary=300, words=30, width=16), litert.predict, []

    def with_wrong_words(tflite, numbers):
        seen.append(numbers)
        return right(tflite, np.minimum(numbers, 1))

    monkeypatch.setattr(litert, "predict", with_wrong_words)
    for scheme in ("float32", "dynamic_int8"):
        with pytest.raises(RuntimeError, match="the .tflite of model student must agree with Keras to .*, but its answers differ by"):
            litert.to_tflite(student, scheme)
        assert 200 < seen[-1].max() < 300 and 0.1 < (seen[-1] == 0).mean() < 0.4


# models of Keras 2


def test_a_tf_keras_model_is_converted_as_it_is(monkeypatch):
    monkeypatch.setattr("kdcourse.keras_bridge.to_keras", None)  # it does not cross the bridge
    model = wide(tf_keras)
    expected = np.asarray(model(X))
    for scheme, apart in (("float32", 1e-5), ("int8", 0.04)):
        answers = litert.predict(litert.to_tflite(model, scheme, X), X)
        assert np.abs(answers - expected).max() <= apart * np.abs(expected).max()


@pytest.fixture(scope="module")
def aware():
    """A network of TFMOT's wrappers, trained for a few updates with rounded weights and activations."""
    model = tfmot.toolkit("quantization").quantize_model(lenet(tf_keras, (8, 8, 1)))
    model.compile(tf_keras.optimizers.Adam(0.01), tf_keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(X, LABELS, epochs=15, batch_size=40, verbose=0)
    return model


@pytest.mark.parametrize("scheme", ["dynamic_int8", "int8"])
def test_a_model_trained_for_quantization_keeps_the_ranges_that_it_learned(aware, scheme):
    tflite = litert.to_tflite(aware, scheme, X)
    operators = [name for name, *_ in litert.graph(tflite).operators if name not in ("QUANTIZE", "DEQUANTIZE")]
    assert operators == ["CONV_2D", "MAX_POOL_2D", "CONV_2D", "RESHAPE", "FULLY_CONNECTED", "FULLY_CONNECTED"], "no rounding is played"
    answers, expected = litert.predict(tflite, X), np.asarray(aware(X, training=False))
    steps = np.unique(expected)
    step = np.diff(steps).min()
    assert step > 0.01 and len(steps) < 256, "the answers of the wrapped model are rounded already"
    assert np.abs(answers - expected).max() < 1.5 * step and measure.accuracy(answers, LABELS) > 0.6
    assert (np.abs(answers - expected) < 0.1 * step).mean() > 0.9


# the check against Keras


def test_how_far_answers_may_differ():
    assert litert.agreement([[0.001, -0.02]], "float32") == 1e-4
    assert litert.agreement([[3, -20]], "float32") == pytest.approx(2e-3)
    assert litert.agreement([[0.001, -0.02]], "dynamic_int8") == pytest.approx(1e-3, rel=0.01)  # small answers do not make it lenient


def test_an_answer_in_8_bits_that_differs_is_an_error(student, monkeypatch):
    right = litert.predict
    monkeypatch.setattr(litert, "predict", lambda *args: right(*args) * 1.1)
    with pytest.raises(RuntimeError, match="the .tflite of model cnn must agree with Keras to "):
        litert.to_tflite(student, "dynamic_int8")


NOTEBOOK = """import io, logging, sys
logging.getLogger().setLevel("INFO")
sys.stderr = io.StringIO()  # a notebook's is no file descriptor either
"""


@pytest.mark.parametrize("before", ["import sys\n", NOTEBOOK], ids=["script", "notebook"])
def test_quiet_in_a_fresh_process(before):
    code = """from kdcourse import litert, models
model, image = models.student_mlp(4), [[[[0]] * 28] * 28]
shapes = [litert.predict(litert.to_tflite(model, scheme, image), image).shape for scheme in ("float32", "int8", "int4_weights")]
print(shapes, getattr(sys.stderr, "getvalue", str)())"""
    plain = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    done = subprocess.run([sys.executable, "-c", before + code], capture_output=True, text=True, env=plain, timeout=300)
    assert (done.stdout, done.stderr) == (f"{[(1, 10)] * 3} \n", "")


def test_an_answer_that_differs_is_an_error(student, monkeypatch):
    right = litert.predict
    monkeypatch.setattr(litert, "predict", lambda *args: right(*args) + 1e-3)
    with pytest.raises(RuntimeError, match="the .tflite of model cnn must agree with Keras to 0.0001, but its answers differ by 0.001"):
        litert.to_tflite(student)


def test_what_cannot_be_converted(capfd):
    numbers = keras.Input((3,))
    with pytest.raises(RuntimeError, match="model inverse cannot be converted to .tflite: "):
        litert.to_tflite(keras.Model(numbers, keras.ops.erfinv(numbers), name="inverse"))
    assert "Erfinv" in capfd.readouterr().err  # the converter's own words are shown


def test_the_graph_before_a_delegate_takes_it_over():
    model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 3, use_bias=True), keras.layers.MaxPooling2D()])
    graph = litert.graph(litert.to_tflite(model))
    # fails when ai_edge_litert changes its private list of operators
    assert [name for name, *_ in graph.operators] == ["CONV_2D", "MAX_POOL_2D"]
    (_, (given, kernel, bias), (features,)), (_, pooled_from, pooled) = graph.operators
    assert ([given], [features], pooled) == (graph.inputs, pooled_from, graph.outputs)
    sizes = [graph.tensor_bytes[tensor] for tensor in (given, kernel, bias, features, *pooled)]
    assert sizes == [4 * 8 * 8 * 3, 4 * 3 * 3 * 3 * 4, 4 * 4, 4 * 6 * 6 * 4, 4 * 3 * 3 * 4]


def test_bytes_of_a_sparsely_stored_kernel():
    kernel = np.where(np.random.default_rng(0).random((400, 300)) < 0.9, 0, 1).astype(np.float32)
    model = keras.Sequential([keras.Input((400,)), keras.layers.Dense(300, use_bias=False)])
    model.layers[0].kernel.assign(kernel)
    with tempfile.TemporaryDirectory() as folder:
        model.export(folder, verbose=False)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        converter.optimizations = [tf.lite.Optimize.EXPERIMENTAL_SPARSITY]
        tflite = converter.convert()
    graph = litert.graph(tflite)
    assert [name for name, *_ in graph.operators] == ["DENSIFY", "FULLY_CONNECTED"]
    (_, (stored,), (unpacked,)), _ = graph.operators
    assert graph.tensor_bytes[unpacked] == kernel.nbytes
    assert graph.tensor_bytes[stored] == np.count_nonzero(kernel) * (4 + 2) + 301 * 2  # columns and row starts up to 65,535
    assert graph.tensor_bytes[stored] < len(tflite) < graph.tensor_bytes[stored] + 4000


@pytest.mark.parametrize("read", [litert.interpreter, litert.graph, lambda tflite: litert.predict(tflite, np.zeros((1, 2)))])
def test_bytes_that_are_no_tflite_file(read, tflite, capfd):
    for bad in (b"", b"TFL3", b"PK\3\4 a zip file", bytes(1000), tflite[:-100], tflite[: len(tflite) // 2]):
        with pytest.raises(ValueError, match=f"tflite must be the bytes of a .tflite file, got {len(bad)} bytes that LiteRT refuses: "):
            read(bad)
    with pytest.raises(ValueError, match="tflite must be the bytes of a .tflite file, got str"):
        read("model.tflite")
    assert capfd.readouterr() == ("", "")


def two_inputs():
    a, b = keras.Input((3,)), keras.Input((3,))
    return keras.Model([a, b], a + b)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda _: litert.to_tflite(two_inputs()), "model must have one input and one output, got 2 and 1"),
        (lambda _: litert.to_tflite(subclassed()), "model must be a Sequential or functional model, got own"),
        (lambda _: litert.to_tflite("model"), "model must be a keras or tf_keras model, got builtins.str"),
        (
            lambda _: litert.to_tflite(keras.Sequential([keras.Input((None, 3)), keras.layers.Dense(2)])),
            r"model must have an input shape that is open in its first axis only, got \(None, None, 3\)",
        ),
        (
            lambda _: litert.to_tflite(linear(), "int4"),
            "scheme must be one of float32, float16, dynamic_int8, int8, int16x8, int4_weights, got 'int4'",
        ),
        (lambda t: litert.interpreter(t, threads=0), "threads must be an integer >= 1, got 0"),
        (lambda t: litert.predict(t, X[0]), r"inputs must have shape \(examples, 8, 8, 1\), got shape \(8, 8, 1\)"),
        (lambda t: litert.predict(t, [[1], [1, 2]]), "inputs must be numbers in an array"),
        (lambda t: litert.predict(t, X * np.inf), "inputs must be finite, got NaN or infinity"),
    ],
)
def test_bad_input_is_named_in_one_sentence(call, message, tflite):
    with pytest.raises(ValueError, match=message):
        call(tflite)

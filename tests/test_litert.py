"""A .tflite file answers as its model does, and what is no such file is refused in one sentence."""

import os
import subprocess
import sys
import tempfile

import numpy as np
import pytest

from kdcourse import litert, models, runtime

runtime.quiet_start()
import keras  # noqa: E402


@pytest.fixture(scope="module")
def student():
    return models.student_cnn()


@pytest.fixture(scope="module")
def tflite(student):
    return litert.to_tflite(student)


def test_the_file_answers_as_the_model_and_the_model_stays_as_it_was(student):
    before = [weights.copy() for weights in student.get_weights()]
    config = student.get_config()
    tflite = litert.to_tflite(student)
    images = np.random.default_rng(0).random((600, 28, 28, 1), np.float32)  # more than two batches, the last one smaller
    answers = litert.predict(tflite, images)
    assert (answers.shape, answers.dtype) == ((600, 10), np.float32)
    np.testing.assert_allclose(answers, student(images, training=False), rtol=0, atol=1e-4)
    assert len(tflite) > 4 * student.count_params()
    assert student.get_config() == config
    for old, new in zip(before, student.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_number_of_images(student, tflite):
    images = np.random.default_rng(1).random((3, 28, 28, 1))  # float64 is cast
    np.testing.assert_allclose(litert.predict(tflite, images, threads=2), student(images.astype(np.float32)), rtol=0, atol=1e-4)
    assert litert.predict(tflite, images[:0]).shape == (0, 10)
    np.testing.assert_allclose(litert.predict(tflite, images[1:2]), litert.predict(tflite, images)[1:2], rtol=0, atol=1e-5)


def test_a_file_for_four_examples_at_a_time():
    import tensorflow as tf

    kernel = np.random.default_rng(1).normal(size=(12, 3)).astype(np.float32)
    function = tf.function(lambda x: x @ kernel, input_signature=[tf.TensorSpec((4, 12), tf.float32)])
    with runtime.stderr_held_back():
        tflite = tf.lite.TFLiteConverter.from_concrete_functions([function.get_concrete_function()]).convert()
    rows = np.random.default_rng(0).normal(size=(9, 12)).astype(np.float32)  # two whole parts and one row
    np.testing.assert_allclose(litert.predict(tflite, rows), rows @ kernel, rtol=0, atol=1e-5)


def test_word_numbers():
    words = keras.Input((7,), dtype="int32")
    vectors = keras.layers.GlobalAveragePooling1D()(keras.layers.Embedding(50, 8)(words))
    model = keras.Model(words, keras.layers.Dense(4)(vectors))
    numbers = np.random.default_rng(0).integers(0, 50, (5, 7))
    np.testing.assert_allclose(litert.predict(litert.to_tflite(model), numbers), model(numbers), rtol=0, atol=1e-5)


def test_a_tf_keras_model():
    tf_keras = pytest.importorskip("tf_keras")
    model = tf_keras.Sequential([tf_keras.layers.Input((6, 6, 2)), tf_keras.layers.Conv2D(3, 3), tf_keras.layers.Flatten()])
    images = np.random.default_rng(0).random((5, 6, 6, 2), np.float32)
    np.testing.assert_allclose(litert.predict(litert.to_tflite(model), images), model(images), rtol=0, atol=1e-5)


def test_weights_in_8_bits():
    student = models.lenet5()
    float32, int8 = litert.to_tflite(student), litert.to_tflite(student, weights="int8")
    assert len(float32) > 4 * student.count_params() > 3.8 * len(int8)
    images = np.random.default_rng(0).random((20, 28, 28, 1), np.float32)
    answers, expected = litert.predict(int8, images), np.asarray(student(images))
    assert 0 < np.abs(answers - expected).max() < 0.02 * np.abs(expected).max()  # rounded, but not by much
    given = litert.interpreter(int8).get_input_details()[0]
    assert given["dtype"] == np.float32  # only the weights are integers


def test_both_kinds_of_weights_are_checked_on_words_of_the_whole_vocabulary(monkeypatch):
    """A file whose embeddings are wrong from number 2 on must not pass."""
    student, right, seen = models.text_average(4, vocabulary=300, words=30, width=16), litert.predict, []

    def with_wrong_words(tflite, numbers):
        seen.append(numbers)
        return right(tflite, np.minimum(numbers, 1))

    for weights in litert.WEIGHTS:
        litert.to_tflite(student, weights)
    monkeypatch.setattr(litert, "predict", with_wrong_words)
    for weights in litert.WEIGHTS:
        with pytest.raises(RuntimeError, match="the .tflite of model student must agree with Keras to .*, but its answers differ by"):
            litert.to_tflite(student, weights)
        assert 200 < seen[-1].max() < 300 and 0.1 < (seen[-1] == 0).mean() < 0.4


def test_how_far_answers_may_differ():
    assert litert.agreement([[0.001, -0.02]], "float32") == 1e-4
    assert litert.agreement([[3, -20]], "float32") == pytest.approx(2e-3)
    assert litert.agreement([[0.001, -0.02]], "int8") == pytest.approx(1e-3, rel=0.01)  # small answers do not make it lenient


def test_an_answer_in_8_bits_that_differs_is_an_error(student, monkeypatch):
    right = litert.predict
    monkeypatch.setattr(litert, "predict", lambda *args: right(*args) * 1.1)
    with pytest.raises(RuntimeError, match="the .tflite of model student must agree with Keras to "):
        litert.to_tflite(student, "int8")


NOTEBOOK = """import io, logging, sys
logging.getLogger().setLevel("INFO")
sys.stderr = io.StringIO()  # a notebook's is no file descriptor either
"""


@pytest.mark.parametrize("before", ["import sys\n", NOTEBOOK], ids=["script", "notebook"])
def test_quiet_in_a_fresh_process(before):
    code = """from kdcourse import litert, models
model = models.student_mlp(4)
print(litert.predict(litert.to_tflite(model), [[[[0]] * 28] * 28]).shape, getattr(sys.stderr, "getvalue", str)())"""
    plain = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    done = subprocess.run([sys.executable, "-c", before + code], capture_output=True, text=True, env=plain, timeout=300)
    assert (done.stdout, done.stderr) == ("(1, 10) \n", "")


def test_an_answer_that_differs_is_an_error(student, monkeypatch):
    right = litert.predict
    monkeypatch.setattr(litert, "predict", lambda *args: right(*args) + 1e-3)
    with pytest.raises(RuntimeError, match="the .tflite of model student must agree with Keras to 0.0001, but its answers differ by 0.001"):
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
    import tensorflow as tf

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


class Own(keras.Model):
    def call(self, x):
        return x


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda _: litert.to_tflite(two_inputs()), "model must have one input and one output, got 2 and 1"),
        (lambda _: litert.to_tflite(Own()), "model must be a Sequential or functional model, got own"),
        (lambda _: litert.to_tflite("model"), "model must be a keras or tf_keras model, got builtins.str"),
        (
            lambda _: litert.to_tflite(keras.Sequential([keras.Input((None, 3)), keras.layers.Dense(2)])),
            r"model must have an input shape that is open in its first axis only, got \(None, None, 3\)",
        ),
        (lambda _: litert.to_tflite(models.student_mlp(2), "int4"), "weights must be one of float32, int8, got 'int4'"),
        (lambda _: litert.to_tflite(models.student_mlp(2), None), "weights must be one of float32, int8, got None"),
        (lambda t: litert.interpreter(t, threads=0), "threads must be an integer >= 1, got 0"),
        (lambda t: litert.predict(t, np.zeros((2, 28, 28))), r"images must have shape \(examples, 28, 28, 1\), got shape \(2, 28, 28\)"),
        (lambda t: litert.predict(t, 3), r"images must have shape \(examples, 28, 28, 1\), got shape \(\)"),
    ],
)
def test_bad_input_is_named_in_one_sentence(call, message, tflite):
    with pytest.raises(ValueError, match=message):
        call(tflite)


def test_a_quantized_file_is_refused(student):
    import tensorflow as tf

    with tempfile.TemporaryDirectory() as folder:
        student.export(folder, verbose=False)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([np.random.rand(1, 28, 28, 1).astype(np.float32)] for _ in range(3))
        converter.inference_input_type = tf.int8
        quantized = converter.convert()
    with pytest.raises(ValueError, match="tflite must take and give floats, got int8"):
        litert.predict(quantized, np.zeros((1, 28, 28, 1)))
    assert litert.random_input(litert.interpreter(quantized)).dtype == np.int8

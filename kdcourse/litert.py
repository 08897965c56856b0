"""A Keras model as a .tflite file, and LiteRT, the interpreter that runs it on phones: the only importer of ai_edge_litert.

A .tflite file is always handled as its bytes: their number is the size of the file.
"""

import contextlib
import tempfile
from typing import NamedTuple

import numpy as np

from .keras_bridge import checked_graph, to_keras
from .runtime import quiet_start, stderr_held_back

BATCH = 256  # examples at a time in `predict`: more are hardly faster, and take memory


class Graph(NamedTuple):
    """What a .tflite file computes on one example. Tensors are known by their numbers."""

    tensor_bytes: dict[int, int]
    operators: list[tuple[str, list[int], list[int]]]  # in the order in which they run: name, tensors read, tensors written
    inputs: list[int]
    outputs: list[int]


WEIGHTS = ("float32", "int8")


def to_tflite(model, weights: str = "float32") -> bytes:
    """Return a model as the bytes of a .tflite file, checked: on a few random inputs LiteRT and Keras agree.

    The model (one input, one output, a number of examples that may stay open) is exported as a SavedModel and converted from there: the
    converter's other ways have written broken files without an error. `model` is not changed. A tf_keras model is brought to Keras 3 first.

    The random inputs are pixels in [0, 1]; integers are word numbers below the vocabulary of the model's Embedding.

    Args:
        model: Sequential or functional, of either Keras.
        weights: "float32", the answers agree to 1e-4 (of the largest answer, if that is above 1); or "int8", the converter's dynamic range:
            every array of 1,024 weights or more is stored in 8 bits, inputs and answers stay floats. Then the answers agree to 5% of the
            largest one; the course's models come within 1%.

    Raises:
        ValueError: other `weights`; no Sequential or functional model, or not built, see `keras_bridge.checked_graph`; several inputs or
            outputs; an open axis besides the first.
        RuntimeError: the model cannot be converted, or the answers differ.
    """
    if weights not in WEIGHTS:
        raise ValueError(f"weights must be one of {', '.join(WEIGHTS)}, got {weights!r}")
    library = checked_graph(model)
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise ValueError(f"model must have one input and one output, got {len(model.inputs)} and {len(model.outputs)}")
    shape = tuple(model.inputs[0].shape)
    if None in shape[1:]:
        raise ValueError(f"model must have an input shape that is open in its first axis only, got {shape}")
    quiet_start()
    import tensorflow as tf

    if library.__name__ == "tf_keras":
        model = to_keras(model)
    with tempfile.TemporaryDirectory() as folder, _quiet_log(tf.get_logger()):
        try:
            with stderr_held_back():
                model.export(folder, verbose=False)
                converter = tf.lite.TFLiteConverter.from_saved_model(folder)
                if weights == "int8":
                    converter.optimizations = [tf.lite.Optimize.DEFAULT]
                tflite = converter.convert()
        except Exception as error:  # the converter has errors of many classes, the causes are above
            raise RuntimeError(f"model {model.name} cannot be converted to .tflite: {str(error).strip().partition(chr(10))[0]}") from error

    vocabulary = min((layer.input_dim for layer in model.layers if type(layer).__name__ == "Embedding"), default=2)
    examples = _random((shape[0] or 4, *shape[1:]), np.dtype(interpreter(tflite).get_input_details()[0]["dtype"]), vocabulary)
    expected = np.asarray(model(examples, training=False))
    gap, most = np.abs(predict(tflite, examples) - expected).max(), agreement(expected, weights)
    if not gap <= most:
        raise RuntimeError(f"the .tflite of model {model.name} must agree with Keras to {most:.1g}, but its answers differ by {gap:.1g}")
    return tflite


def agreement(expected, weights: str) -> float:
    """Return how far the answers of a .tflite file may be from Keras's answers `expected`, see `to_tflite`."""
    largest = float(np.abs(expected).max())
    return 1e-4 * max(1, largest) if weights == "float32" else 0.05 * largest + 1e-6


@contextlib.contextmanager
def _quiet_log(logger):
    """Let `logger` tell errors only: in a notebook TensorFlow tells where it put each SavedModel."""
    level = logger.level
    logger.setLevel("ERROR")
    try:
        yield
    finally:
        logger.setLevel(level)


def _random(shape, dtype, vocabulary: int = 2) -> np.ndarray:
    """Return an input like pixels in [0, 1]; of integers, word numbers below `vocabulary`, about a fifth more of them 0: no word."""
    rng = np.random.default_rng(0)
    if dtype.kind == "f":
        return rng.random(shape).astype(dtype)
    return (rng.integers(0, vocabulary, shape) * (rng.random(shape) < 0.8)).astype(dtype)


def _load(tflite: bytes, **settings):
    if not isinstance(tflite, bytes):
        raise ValueError(f"tflite must be the bytes of a .tflite file, got {type(tflite).__name__}")
    from ai_edge_litert.interpreter import Interpreter

    failure = None
    with stderr_held_back():  # LiteRT tells that it uses XNNPACK, each time
        try:
            loaded = Interpreter(model_content=tflite, **settings)
            loaded.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            failure = str(error).strip().partition("\n")[0]
    if failure:
        raise ValueError(f"tflite must be the bytes of a .tflite file, got {len(tflite)} bytes that LiteRT refuses: {failure}")
    return loaded


def interpreter(tflite: bytes, threads: int = 1):
    """Return an ``ai_edge_litert`` Interpreter of a .tflite file, its tensors allocated for one example.

    Raises:
        ValueError: `tflite` is no such file; `threads` is not a positive integer.
    """
    if isinstance(threads, bool) or not isinstance(threads, int) or threads < 1:
        raise ValueError(f"threads must be an integer >= 1, got {threads!r}")
    return _load(tflite, num_threads=threads)


def random_input(loaded) -> np.ndarray:
    """Return one random input for an `interpreter`, in its shape and type."""
    details = loaded.get_input_details()[0]
    return _random(tuple(details["shape"]), np.dtype(details["dtype"]))


def predict(tflite: bytes, images, threads: int = 1) -> np.ndarray:
    """Return what a .tflite file answers, float32, shape ``(examples, classes)``.

    Args:
        tflite: the file's bytes; one input, one output, both of floats (an input of word numbers is possible too).
        images: shape ``(examples, ...)``.
        threads: of LiteRT.

    Raises:
        ValueError: `images` do not fit the file's input; a quantized input or output; as `interpreter`.
    """
    loaded, images = interpreter(tflite, threads), np.asarray(images)
    (given,), (answer,) = loaded.get_input_details(), loaded.get_output_details()
    for details in (given, answer):
        if np.dtype(details["dtype"]) in (np.int8, np.uint8, np.int16):
            raise ValueError(f"tflite must take and give floats, got {np.dtype(details['dtype'])}")
    one = tuple(given["shape"][1:])
    if images.shape[1:] != one or not images.ndim:
        raise ValueError(f"images must have shape (examples, {', '.join(map(str, one))}), got shape {images.shape}")
    open_ended = not len(given["shape_signature"]) or given["shape_signature"][0] == -1
    batch = BATCH if open_ended else int(given["shape"][0])
    found = [np.zeros((0, *answer["shape"][1:]), np.float32)]
    for first in range(0, len(images), batch):
        part = images[first : first + batch].astype(given["dtype"])
        if open_ended and tuple(loaded.get_input_details()[0]["shape"]) != part.shape:
            loaded.resize_tensor_input(given["index"], part.shape)
            loaded.allocate_tensors()
        filled = part if open_ended else np.concatenate([part, np.zeros((batch - len(part), *one), part.dtype)])
        loaded.set_tensor(given["index"], filled)
        loaded.invoke()
        found.append(loaded.get_tensor(answer["index"])[: len(part)])
    return np.concatenate(found)


def graph(tflite: bytes) -> Graph:
    """Return the operators and tensors of a .tflite file, as they are before a delegate (XNNPACK) takes operators over.

    Raises:
        ValueError: `tflite` is no such file.
    """
    from ai_edge_litert.interpreter import OpResolverType

    loaded = _load(tflite, experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES)
    # The list of operators is private in ai_edge_litert; there is no public one. tests/test_litert.py notices when it goes.
    operators = [(op["op_name"], op["inputs"].tolist(), op["outputs"].tolist()) for op in loaded._get_ops_details()]
    return Graph(
        {details["index"]: _tensor_bytes(details) for details in loaded.get_tensor_details()},
        operators,
        [details["index"] for details in loaded.get_input_details()],
        [details["index"] for details in loaded.get_output_details()],
    )


def _tensor_bytes(details) -> int:
    """Return the bytes of a tensor; of a sparsely stored one those of its values, and of its indices in the smallest type."""
    itemsize, axes = np.dtype(details["dtype"]).itemsize, details["sparsity_parameters"].get("dim_metadata")
    if not axes:
        return int(np.prod(details["shape"])) * itemsize
    values, positions = 1, 0
    for axis in axes:
        if "array_indices" in axis:
            values = len(axis["array_indices"])
            for part in (axis["array_segments"], axis["array_indices"]):
                positions += len(part) * np.min_scalar_type(max(part, default=0)).itemsize
        else:
            values *= axis["dense_size"]
    return values * itemsize + positions

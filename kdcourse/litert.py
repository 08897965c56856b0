"""A Keras model as a .tflite file, and LiteRT, the interpreter that runs it on phones: the only importer of ai_edge_litert.

A .tflite file is always handled as its bytes: their number is the size of the file.
"""

import contextlib
import logging
import math
import tempfile
from typing import NamedTuple

import numpy as np

from . import checks
from .anatomy import checked_graph, input_dtype, sample, smallest_vocabulary
from .runtime import quiet_start, stderr_held_back

BATCH = 256  # examples at a time in `predict`: more are hardly faster, and take memory


class Graph(NamedTuple):
    """What a .tflite file computes on one example. Tensors are known by their numbers."""

    tensor_bytes: dict[int, int]
    operators: list[tuple[str, list[int], list[int]]]  # in the order in which they run: name, tensors read, tensors written
    inputs: list[int]
    outputs: list[int]


class Tensor(NamedTuple):
    """A tensor of a .tflite file; `scale` and `zero_point` hold one number, or one for each entry of `axis`; none for floats."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype
    scale: np.ndarray
    zero_point: np.ndarray
    axis: int
    data: np.ndarray | None  # of a constant


class Operator(NamedTuple):
    """An operator of a .tflite file with its settings, such as strides and the activation that is computed with it."""

    kind: str
    settings: dict
    inputs: list[int]  # numbers of tensors, -1 for one that is left out
    outputs: list[int]


class Contents(NamedTuple):
    """What stands in a .tflite file, as it was written: the operators in the order in which they run."""

    tensors: list[Tensor]
    operators: list[Operator]
    inputs: list[int]
    outputs: list[int]


class Scheme(NamedTuple):
    """A way to store a network in a .tflite file, see `SCHEMES`."""

    what: str
    apart: float  # how far answers may be from Keras's, as a share of the largest answer
    calibrated: bool = False  # examples tell the range of every activation


SCHEMES = {
    "float32": Scheme("weights and activations in 32 bits", 1e-4),
    "float16": Scheme("weights in 16 bits, computed in 32", 0.01),
    "dynamic_int8": Scheme("arrays of 1,024 weights or more in 8 bits, inputs and answers floats", 0.05),
    "int8": Scheme("weights, activations, inputs and answers in 8 bits", 0.2, calibrated=True),
    "int16x8": Scheme("weights in 8 bits, activations in 16, inputs and answers floats", 0.1, calibrated=True),
    "int4_weights": Scheme("weights of Dense and Conv layers in 4 bits, one scale for each output channel; embeddings in 32", 0.6),
}


def to_tflite(model, scheme: str = "float32", examples=None, try_on=None) -> bytes:
    """Return a model as the bytes of a .tflite file, checked: on a few inputs LiteRT and Keras agree.

    The model (one input, one output, a number of examples that may stay open) is exported as a SavedModel and converted from there: the
    converter's other ways have written broken files without an error. `model` is not changed. A tf_keras model is converted as it is,
    so one that was trained for quantization (TFMOT's wrappers) keeps the ranges that it has learned.

    The inputs that are tried are `try_on`, or `examples`, if there are any; else random pixels in [0, 1], or word numbers below the vocabulary of the
    model's Embedding.

    Args:
        model: Sequential or functional, of either Keras.
        scheme: one of `SCHEMES`: "float32"; "float16"; "dynamic_int8", the converter's dynamic range; "int8" and "int16x8", which need
            `examples`; "int4_weights", by LiteRT's quantizer on the float32 file.
        examples: shape ``(examples, ...)``, as the model reads them: a few hundred that are typical of what will come. They set the range
            of every activation.
        try_on: inputs of the same shape on which the file and Keras are compared. With examples of another range than the inputs that
            will come, the file agrees on the examples and is wrong on these inputs: try it on some of them.

    Raises:
        ValueError: an unknown scheme, examples that are missing or do not fit; no Sequential or functional model, or not built, see
            `anatomy.checked_graph`; several inputs or outputs; an open axis besides the first.
        RuntimeError: the model cannot be converted, or the answers differ by more than the scheme's share (`agreement`).
    """
    checks.choice("scheme", scheme, SCHEMES)
    library = checked_graph(model)
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise ValueError(f"model must have one input and one output, got {len(model.inputs)} and {len(model.outputs)}")
    shape, dtype = tuple(model.inputs[0].shape), np.dtype(input_dtype(model))
    checks.require(None not in shape[1:], f"model must have an input shape that is open in its first axis only, got {shape}")
    if examples is not None:
        examples = _as_read("examples", examples, ("examples", *shape[1:]), dtype)
    elif SCHEMES[scheme].calibrated:
        raise ValueError(f"examples must be given for {scheme}: they tell the range of every activation, got None")
    if try_on is not None:
        try_on = _as_read("try_on", try_on, ("examples", *shape[1:]), dtype)
    quiet_start()
    import tensorflow as tf

    with tempfile.TemporaryDirectory() as folder, _quiet_log(tf.get_logger()):
        try:
            with stderr_held_back():
                if library.__name__ == "keras":
                    model.export(folder, verbose=False)
                else:
                    tf.saved_model.save(model, folder)
                tflite = _converted(tf, folder, scheme, examples)
        except Exception as error:  # the converter has errors of many classes, the causes are above
            raise RuntimeError(f"model {model.name} cannot be converted to .tflite: {str(error).strip().partition(chr(10))[0]}") from error

    tried = next((given[:BATCH] for given in (try_on, examples) if given is not None), None)
    tried = sample(shape, dtype, smallest_vocabulary(model)) if tried is None else tried
    expected = np.asarray(model(tried, training=False))
    gap, most = np.abs(predict(tflite, tried) - expected).max(), agreement(expected, scheme)
    if not gap <= most:
        raise RuntimeError(f"the .tflite of model {model.name} must agree with Keras to {most:.1g}, but its answers differ by {gap:.1g}")
    return tflite


def _converted(tf, folder: str, scheme: str, examples) -> bytes:
    """Return the .tflite file of a SavedModel."""
    converter = tf.lite.TFLiteConverter.from_saved_model(folder)
    if scheme not in ("float32", "int4_weights"):
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if SCHEMES[scheme].calibrated:
        converter.representative_dataset = lambda: ([example[None]] for example in examples)
    if scheme == "float16":
        converter.target_spec.supported_types = [tf.float16]
    elif scheme == "int8":
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        if examples.dtype.kind == "f":
            converter.inference_input_type = tf.int8
        converter.inference_output_type = tf.int8
    elif scheme == "int16x8":
        converter.target_spec.supported_ops = [tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8]
    tflite = converter.convert()
    if scheme == "int4_weights":
        from litert_quantizer import quantizer, recipe

        quiet = {"enable_progress_bar": False, "enable_progress_report": False}
        with _quiet_log(logging.getLogger()):
            tflite = bytes(quantizer.Quantizer(tflite, recipe.dynamic_wi4_afp32()).quantize(**quiet).quantized_model)
    return tflite


def agreement(expected, scheme: str) -> float:
    """Return how far the answers of a .tflite file may be from Keras's answers `expected`: the scheme's share of the largest of them."""
    largest, share = float(np.abs(expected).max()), SCHEMES[scheme].apart
    return share * max(1, largest) if scheme == "float32" else share * largest + 1e-6


@contextlib.contextmanager
def _quiet_log(logger):
    """Let `logger` tell errors only: in a notebook TensorFlow tells where it put each SavedModel, LiteRT's quantizer what it is doing."""
    level = logger.level
    logger.setLevel("ERROR")
    try:
        yield
    finally:
        logger.setLevel(level)


def _load(tflite: bytes, **settings):
    checks.require(isinstance(tflite, bytes), f"tflite must be the bytes of a .tflite file, got {type(tflite).__name__}")
    from ai_edge_litert.interpreter import Interpreter

    failure = None
    with stderr_held_back():  # LiteRT tells that it uses XNNPACK, each time
        try:
            loaded = Interpreter(model_content=tflite, **settings)
            loaded.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            failure = str(error).strip().partition("\n")[0]
    checks.require(not failure, f"tflite must be the bytes of a .tflite file, got {len(tflite)} bytes that LiteRT refuses: {failure}")
    return loaded


def interpreter(tflite: bytes, threads: int = 1):
    """Return an ``ai_edge_litert`` Interpreter of a .tflite file, its tensors allocated for one example.

    Raises:
        ValueError: `tflite` is no such file; `threads` is not a positive integer.
    """
    return _load(tflite, num_threads=checks.whole("threads", threads))


def random_input(loaded) -> np.ndarray:
    """Return one random input for an `interpreter`, in its shape and type."""
    details = loaded.get_input_details()[0]
    return sample(tuple(map(int, details["shape"])), details["dtype"])


def predict(tflite: bytes, inputs, threads: int = 1) -> np.ndarray:
    """Return what a .tflite file answers, float32, shape ``(examples, classes)``.

    Where the file takes or gives integers of a scale (full int8), floats are quantized on the way in and answers dequantized on the way
    out: ``q = round(x / scale) + zero_point``, cut at the ends of the type, and ``x = scale * (q - zero_point)``.

    Args:
        tflite: the file's bytes; one input, one output.
        inputs: shape ``(examples, ...)``: numbers that are finite, or word numbers, integers from 0 on, where the file reads those.
        threads: of LiteRT.

    Raises:
        ValueError: `inputs` do not fit the file's input; as `interpreter`.
    """
    loaded = interpreter(tflite, threads)
    (given,), (answer,) = loaded.get_input_details(), loaded.get_output_details()
    one = tuple(map(int, given["shape"][1:]))
    if not (isinstance(inputs, np.ndarray) and inputs.shape == (0, *one)):  # none at all is no mistake: no answers come back
        scale, _ = given["quantization"]
        inputs = _as_read("inputs", inputs, ("examples", *one), np.float32 if scale else given["dtype"])
    open_ended = not len(given["shape_signature"]) or given["shape_signature"][0] == -1
    batch = BATCH if open_ended else int(given["shape"][0])
    found = [np.zeros((0, *answer["shape"][1:]), np.float32)]
    for first in range(0, len(inputs), batch):
        part = _quantized(inputs[first : first + batch], given)
        if open_ended and tuple(loaded.get_input_details()[0]["shape"]) != part.shape:
            loaded.resize_tensor_input(given["index"], part.shape)
            loaded.allocate_tensors()
        filled = part if open_ended else np.concatenate([part, np.zeros((batch - len(part), *one), part.dtype)])
        loaded.set_tensor(given["index"], filled)
        loaded.invoke()
        found.append(_dequantized(loaded.get_tensor(answer["index"])[: len(part)], answer))
    return np.concatenate(found)


def _as_read(name: str, values, shape: tuple, dtype) -> np.ndarray:
    """Return numbers in the type that a network reads; where it reads words, they must be numbers of words."""
    if np.dtype(dtype).kind not in "iu":
        return checks.array(name, values, shape, dtype=dtype)
    values, most = checks.array(name, values, shape, kind="integers"), np.iinfo(dtype).max
    if (outside := values[(values < 0) | (values > most)]).size:
        checks.refuse(name, f"numbers of words in 0..{most}", outside[0])
    return values.astype(dtype)


def _quantized(values: np.ndarray, details: dict) -> np.ndarray:
    """Return numbers as a tensor takes them: in integers if it has a scale."""
    scale, zero = details["quantization"]
    if not scale:
        return values.astype(details["dtype"])
    ends = np.iinfo(details["dtype"])
    return np.clip(np.rint(values / np.float32(scale)) + zero, ends.min, ends.max).astype(details["dtype"])


def _dequantized(values: np.ndarray, details: dict) -> np.ndarray:
    """Return the numbers that a tensor stands for, float32."""
    scale, zero = details["quantization"]
    return (np.float32(scale) * (values.astype(np.float32) - zero) if scale else values).astype(np.float32)


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


def contents(tflite: bytes) -> Contents:
    """Return the tensors, with scales and constants, and the operators, with settings, of a .tflite file; nothing is run.

    Raises:
        ValueError: `tflite` is no such file, or has several graphs.
    """
    _load(tflite)
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(tflite, 0))
    checks.require(len(model.subgraphs) == 1, f"tflite must have one graph, got {len(model.subgraphs)}")
    (graph,) = model.subgraphs
    kinds = {number: name for name, number in vars(schema.BuiltinOperator).items() if not name.startswith("_")}
    types = {number: name.lower() for name, number in vars(schema.TensorType).items() if not name.startswith("_")}
    tensors = []
    for tensor in graph.tensors:
        how, dtype = tensor.quantization, np.dtype(types[tensor.type]) if hasattr(np, types[tensor.type]) else np.dtype(object)
        scaled = how is not None and how.scale is not None
        data = model.buffers[tensor.buffer].data
        shape = tuple(tensor.shape) if tensor.shape is not None else ()
        known = data is not None and len(data) and dtype.kind in "iuf" and len(data) == math.prod(shape) * dtype.itemsize
        tensors.append(
            Tensor(
                tensor.name.decode(),
                tuple(map(int, shape)),
                dtype,
                np.array(how.scale if scaled else [], np.float64),
                np.array(how.zeroPoint if scaled else [], np.int64),
                int(how.quantizedDimension) if scaled else 0,
                np.frombuffer(np.asarray(data, np.uint8).tobytes(), dtype).reshape(shape) if known else None,
            )
        )
    operators = []
    for op in graph.operators:
        code = model.operatorCodes[op.opcodeIndex]
        kind = kinds[max(code.builtinCode, code.deprecatedBuiltinCode)]
        operators.append(Operator(kind, dict(vars(op.builtinOptions)) if op.builtinOptions else {}, list(op.inputs), list(op.outputs)))
    return Contents(tensors, operators, list(graph.inputs), list(graph.outputs))


def every_tensor(tflite: bytes, inputs, delegates: bool = False) -> dict[int, np.ndarray]:
    """Return what each tensor of a .tflite file holds after it ran on all of `inputs` at once, by its number.

    Args:
        tflite: the file's bytes, one input with an open first axis.
        inputs: shape ``(examples, ...)``, in the file's own type: integers where it takes integers.
        delegates: whether XNNPACK may run operators, as it does in `predict`; what lies inside a part that it took over is then not seen.

    Raises:
        ValueError: as `interpreter`.
    """
    from ai_edge_litert.interpreter import OpResolverType

    plain = {} if delegates else {"experimental_op_resolver_type": OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES}
    loaded = _load(tflite, experimental_preserve_all_tensors=True, **plain)
    (given,) = loaded.get_input_details()
    loaded.resize_tensor_input(given["index"], np.shape(inputs))
    loaded.allocate_tensors()
    loaded.set_tensor(given["index"], inputs)
    loaded.invoke()
    found = {}
    for details in loaded.get_tensor_details():
        with contextlib.suppress(ValueError):  # a tensor that holds nothing now
            found[details["index"]] = loaded.get_tensor(details["index"])
    return found


def as_integers(tflite: bytes, inputs) -> np.ndarray:
    """Return floats as the integers that a full-int8 file takes, as `predict` quantizes them."""
    (given,) = _load(tflite).get_input_details()
    return _quantized(_as_read("inputs", inputs, ("examples", *map(int, given["shape"][1:])), np.float32), given)

"""A Keras model as a .tflite file, and LiteRT, the interpreter that runs it on phones: the only importer of ai_edge_litert.

Two ways lead to integers: `to_tflite` lets TFLiteConverter quantize while it converts (`SCHEMES`), `quantized` lets LiteRT's own
quantizer work on a float32 file that exists (`RECIPES`); the second needs no TensorFlow. A .tflite file is always handled as its
bytes: their number is the size of the file.
"""

import contextlib
import logging
import math
import re
import tempfile
import warnings
from collections.abc import Mapping
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
    dtype: np.dtype  # that of `ml_dtypes` for int4
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


class Recipe(NamedTuple):
    """A way in which LiteRT's quantizer stores a network, see `RECIPES`."""

    what: str
    apart: float  # how far answers may be from the float32 file's, as a share of the largest answer
    bits: int  # of a weight
    dynamic: bool = False  # each layer rounds its inputs to 8 bits while it runs
    activations: int | None = None  # bits between the layers; None leaves floats there

    @property
    def calibrated(self) -> bool:
        """Whether examples tell the range of every activation."""
        return self.activations is not None


RECIPES = {
    "float16": Recipe("weights in 16 bits, computed in 32", 0.01, 16),
    "weight_int8": Recipe("weights in 8 bits, computed in 32", 0.05, 8),
    "weight_int4": Recipe("weights in 4 bits, computed in 32", 0.6, 4),
    "dynamic_int8": Recipe("weights in 8 bits, a layer's inputs rounded to 8 bits while it runs", 0.1, 8, dynamic=True),
    "dynamic_int4": Recipe("weights in 4 bits, a layer's inputs rounded to 8 bits while it runs", 0.6, 4, dynamic=True),
    "static_int8": Recipe("weights, activations, inputs and answers in 8 bits", 0.2, 8, activations=8),
    "static_int16x8": Recipe("weights in 8 bits, activations, inputs and answers in 16", 0.1, 8, activations=16),
}


def to_tflite(model, scheme: str = "float32", examples=None, try_on=None) -> bytes:
    """Return a model as the bytes of a .tflite file, checked: on a few inputs LiteRT and Keras agree.

    The model (one input, one output, a number of examples that may stay open) is exported as a SavedModel and converted from there: the
    converter's other ways have written broken files without an error. `model` is not changed. A tf_keras model is converted as it is,
    so one that was trained for quantization (TFMOT's wrappers) keeps the ranges that it has learned.

    The inputs that are tried are `try_on`, or `examples`, if there are any; else random pixels in [0, 1], or word numbers below the
    vocabulary of the model's Embedding.

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
        raise RuntimeError(f"the .tflite of model {model.name} must agree with Keras to {most:.3g}, but its answers differ by {gap:.3g}")
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
        from litert_quantizer import recipe

        tflite = _by_recipe(tflite, recipe.dynamic_wi4_afp32())
    return tflite


def quantized(tflite: bytes, recipe: str, examples=None, bits=None) -> bytes:
    """Return a float32 .tflite file quantized by LiteRT's own quantizer, checked: on a few inputs both files agree.

    Weights get one scale for each output channel and no zero point. Where a layer has no routine for weights of 4 bits (a depthwise
    convolution), they get 8. Keras's Embedding stays in float32, except in the recipes that need examples. There the range of an
    activation is its smallest and its largest number on all `examples`; the quantizer's own calibration is a moving average over them.

    The inputs that are tried are `examples`, if there are any; else random pixels in [0, 1], or word numbers.

    Args:
        tflite: the bytes of a file that nobody has quantized, such as ``to_tflite(model)``; one input, one output.
        recipe: one of `RECIPES`.
        examples: shape ``(examples, ...)``, as the file reads them; "static_int8" and "static_int16x8" need a few hundred that are
            typical of what will come.
        bits: ``{pattern: 4 or 8}`` for layers that shall not have the recipe's bits. A pattern is a regular expression for the whole
            name of a layer, such as ``"conv1"`` or ``"dense.*"``, or of one of the operator's tensors; of two that match, the later
            one counts.

    Raises:
        ValueError: no such file; an unknown recipe; examples that are missing or do not fit; bits other than 4 and 8, a pattern that
            matches no layer with weights, 4 bits for a layer that cannot have them.
        RuntimeError: the quantizer fails, or the answers differ by more than the recipe's share of the largest answer.
    """
    how = RECIPES[checks.choice("recipe", recipe, RECIPES)]
    file = _checked_source(tflite)
    given = file.tensors[file.inputs[0]]
    if examples is not None:
        examples = _as_read("examples", examples, ("examples", *given.shape[1:]), given.dtype)
    elif how.calibrated:
        raise ValueError(f"examples must be given for {recipe}: they tell the range of every activation, got None")
    manager, few = _recipe_for(how, _wishes(bits, file), file)
    try:
        found = _by_recipe(tflite, manager.get_quantization_recipe(), _ranges(tflite, file, examples) if how.calibrated else None)
        tried = sample((4, *given.shape[1:]), given.dtype, _vocabulary(file)) if examples is None else examples[:BATCH]
        answers = predict(found, tried)
    except Exception as error:  # of many classes, as in `to_tflite`
        raise RuntimeError(f"tflite cannot be quantized to {recipe}: {str(error).strip().partition(chr(10))[0]}") from error
    expected = predict(tflite, tried)
    share = max(how.apart, RECIPES["weight_int4"].apart) if few else how.apart
    gap, most = np.abs(answers - expected).max(), share * float(np.abs(expected).max()) + 1e-6
    if not gap <= most:
        raise RuntimeError(f"the {recipe} file must agree with the float32 file to {most:.3g}, but its answers differ by {gap:.3g}")
    return found


def _checked_source(tflite: bytes) -> Contents:
    """Return the contents of a file of one input and one output that is not quantized."""
    file = contents(tflite)
    if len(file.inputs) != 1 or len(file.outputs) != 1:
        raise ValueError(f"tflite must have one input and one output, got {len(file.inputs)} and {len(file.outputs)}")
    for tensor in file.tensors:
        if len(tensor.scale) or tensor.dtype == np.float16:
            checks.refuse("tflite", "a file of float32 weights, quantized by nobody", f"{tensor.dtype} in {tensor.name}")
    return file


def _weights(operator: Operator, file: Contents) -> Tensor | None:
    """Return the weight matrix, filters or table of an operator, None where it has none."""
    read = (file.tensors[number] for number in operator.inputs if number >= 0)
    return next((tensor for tensor in read if tensor.data is not None and tensor.dtype == np.float32 and len(tensor.shape) > 1), None)


_NUMBERS = r"(_\d+)*"  # that the export appends to the name of a layer


class _Wish(NamedTuple):
    """Bits that a caller wants for the weights of an operator, and the pattern that chose it."""

    bits: int
    operator: Operator
    pattern: str


def _wishes(bits, file: Contents) -> list[_Wish]:
    """Return what `bits` wants of the operators with weights, in the file's order."""
    if bits is None:
        return []
    if not isinstance(bits, Mapping) or not all(isinstance(pattern, str) for pattern in bits):
        checks.refuse("bits", "{pattern of a layer's name: 4 or 8}", checks.shown(bits))
    known = {place: weights for place, operator in enumerate(file.operators) if (weights := _weights(operator, file)) is not None}
    wishes = {}
    for pattern, count in bits.items():
        if isinstance(count, bool) or count not in (4, 8):
            checks.refuse("bits", "4 or 8 for each pattern", f"{checks.shown(count)} for {pattern!r}")
        try:
            tensor, part = re.compile(pattern), re.compile(f"(?:{pattern}){_NUMBERS}")
        except re.error as error:
            checks.refuse("bits", "{regular expression: 4 or 8}", f"{pattern!r}: {error}")
        matched = {}
        for place in known:
            operator = file.operators[place]
            constants = [number for number in operator.inputs if number >= 0 and file.tensors[number].data is not None]
            names = [file.tensors[number].name for number in (*constants, *operator.outputs)]
            if any(map(tensor.fullmatch, names)) or any(map(part.fullmatch, {word for name in names for word in re.split("[/;:]", name)})):
                matched[place] = _Wish(int(count), operator, pattern)
        if not matched:
            layers = dict.fromkeys(layer_name(weights.name) for weights in known.values())
            checks.refuse("bits", f"for layers with weights, which are {', '.join(layers)}", repr(pattern))
        wishes |= matched
    return [wishes[place] for place in sorted(wishes)]


def layer_name(tensor: str) -> str:
    """Return the layer of weights that are called ``"model_1/layer_1/MatMul"``, or several such names with ; between them."""
    parts = [name.split("/") for name in tensor.split(";")]
    inner = next((part for part in parts if part[-1].startswith(("conv", "depth"))), parts[0])
    return re.sub(_NUMBERS + "$", "", inner[-2] if len(inner) > 1 else inner[0])


def _recipe_for(how: Recipe, wishes: list[_Wish], file: Contents):
    """Return (the quantizer's manager of a recipe, whether any layer gets 4 bits)."""
    from ai_edge_litert.schema_py_generated import BuiltinOperator
    from litert_quantizer import qtyping, recipe_manager
    from litert_quantizer.algorithm_manager import AlgorithmName
    from litert_quantizer.utils.tfl_flatbuffer_utils import TFL_OP_CODE_TO_NAME

    manager, every = recipe_manager.RecipeManager(), qtyping.TFLOperationName.ALL_SUPPORTED

    def add(scope: str, bits: int):
        if how.activations:
            manager.add_static_config(scope, every, how.activations, bits)
        elif how.dynamic:
            manager.add_dynamic_config(scope, every, bits)
        else:
            cast = {"algorithm_key": AlgorithmName.FLOAT_CASTING} if bits == 16 else {}
            manager.add_weight_only_config(scope, every, bits, **cast)

    def scope(operator: Operator) -> str:  # the quantizer puts ; behind the name of each output
        return "".join(f"{file.tensors[number].name};" for number in operator.outputs)

    def given_bits(operator: Operator) -> int:
        kind = TFL_OP_CODE_TO_NAME.get(getattr(BuiltinOperator, operator.kind))
        algorithm, config = manager.get_quantization_configs(kind, scope(operator))
        return 32 if algorithm == AlgorithmName.NO_QUANTIZE else config.weight_tensor_config.num_bits

    # Where two settings match an operator, the later counts, unless the quantizer has no such routine: then it is passed over.
    add(".*", max(how.bits, 8))
    if how.bits < 8:
        add(".", how.bits)  # matches every name too, but does not replace the setting before
    for wish in wishes:
        add(f"^{re.escape(scope(wish.operator))}", wish.bits)
    for wish in wishes:
        if (had := given_bits(wish.operator)) != wish.bits:
            layer = layer_name(_weights(wish.operator, file).name)
            checks.refuse("bits", f"{had} for {layer}, a {wish.operator.kind} without another routine", f"{wish.bits} for {wish.pattern!r}")
    return manager, any(given_bits(operator) == 4 for operator in file.operators if _weights(operator, file) is not None)


def _ranges(tflite: bytes, file: Contents, examples) -> dict[str, dict[str, np.ndarray]]:
    """Return {name of an activation: its smallest and largest number on all examples}, in the form that the quantizer takes."""
    found = {}
    for first in range(0, len(examples), BATCH):
        for number, values in every_tensor(tflite, examples[first : first + BATCH]).items():
            if number < len(file.tensors) and file.tensors[number].data is None and values.dtype == np.float32 and values.size:
                seen = found.setdefault(file.tensors[number].name, {"min": values.min().reshape(1), "max": values.max().reshape(1)})
                seen["min"], seen["max"] = np.minimum(seen["min"], values.min()), np.maximum(seen["max"], values.max())
    return found


def _vocabulary(file: Contents) -> int:
    """Return how many words each table of embeddings of a file has at least; 2 if there is none."""
    tables = (_weights(operator, file) for operator in file.operators if operator.kind in ("GATHER", "EMBEDDING_LOOKUP"))
    return min((table.shape[0] for table in tables if table is not None), default=2)


def _by_recipe(tflite: bytes, recipe, ranges=None) -> bytes:
    """Return a file as LiteRT's quantizer makes it from a float32 file, its recipe and, for whole integers, the ranges of activations."""
    from litert_quantizer import quantizer

    with _quiet_log(logging.getLogger()), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that all tensors are kept takes memory
        tool = quantizer.Quantizer(tflite, recipe)
        return bytes(tool.quantize(ranges, enable_progress_bar=False, enable_progress_report=False).quantized_model)


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
        how, kind = tensor.quantization, types[tensor.type]
        scaled = how is not None and how.scale is not None
        shape = tuple(map(int, tensor.shape)) if tensor.shape is not None else ()
        tensors.append(
            Tensor(
                tensor.name.decode(),
                shape,
                _dtype(kind),
                np.array(how.scale if scaled else [], np.float64),
                np.array(how.zeroPoint if scaled else [], np.int64),
                int(how.quantizedDimension) if scaled else 0,
                _constant(model.buffers[tensor.buffer].data, kind, shape),
            )
        )
    operators = []
    for op in graph.operators:
        code = model.operatorCodes[op.opcodeIndex]
        kind = kinds[max(code.builtinCode, code.deprecatedBuiltinCode)]
        operators.append(Operator(kind, dict(vars(op.builtinOptions)) if op.builtinOptions else {}, list(op.inputs), list(op.outputs)))
    return Contents(tensors, operators, list(graph.inputs), list(graph.outputs))


def _dtype(kind: str) -> np.dtype:
    if kind == "int4":
        import ml_dtypes

        return np.dtype(ml_dtypes.int4)
    return np.dtype(kind) if hasattr(np, kind) else np.dtype(object)


def _constant(data, kind: str, shape: tuple[int, ...]) -> np.ndarray | None:
    """Return the numbers of a constant in its shape, or None; two numbers of 4 bits share a byte, the first in its lower half."""
    dtype, size = _dtype(kind), math.prod(shape)
    if data is None or not len(data):
        return None
    stored = np.asarray(data, np.uint8)
    if kind == "int4" and len(stored) == (size + 1) // 2:
        words = np.stack([stored & 15, stored >> 4], axis=1).reshape(-1)[:size]
        return ((words ^ 8).astype(np.int8) - 8).astype(dtype).reshape(shape)
    known = dtype.kind in "iuf" and len(stored) == size * dtype.itemsize
    return np.frombuffer(stored.tobytes(), dtype).reshape(shape) if known else None


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

"""Measures of a classifier: how good its answers are, and what the network costs.

Answers: accuracy, recall, calibration. Logits have shape ``(examples, classes)``, labels ``(examples,)``.

Costs of a Sequential or functional model: parameters, non-zero weights, sparsity, multiply-accumulates (MACs), bytes in each format of
`formats` and as .tflite. Costs of a .tflite file when it runs: memory and latency. Sizes are in bytes, times in seconds.

Every function raises ValueError for labels that are no class numbers, for what is no model, or for a model of which it cannot tell.
"""

import gc
import math
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from . import anatomy, checks, litert
from .formats import FORMATS, encoded_size
from .soft_labels import checked_logits, checked_probabilities, cross_entropy, one_hot

TFLITE = ".tflite"


class Reliability(NamedTuple):
    """Confidence and accuracy by bin; empty bins are left out. `edges` has one more entry than there are bins."""

    confidence: np.ndarray
    accuracy: np.ndarray
    count: np.ndarray
    edges: np.ndarray


def _checked(scores, labels, name: str) -> tuple[np.ndarray, np.ndarray]:
    scores = checked_logits(checks.array(name, scores, ("examples", "classes")), name)
    return scores, checks.labels("labels", labels, scores.shape[1], len(scores))


def accuracy(scores, labels) -> float:
    """Return the share of examples whose largest score (logit or probability) is at the label."""
    scores, labels = _checked(scores, labels, "scores")
    return float(np.mean(scores.argmax(1) == labels))


def recall(scores, labels, label: int) -> float:
    """Return the share of the examples of class `label` that are recognized as such."""
    scores, labels = _checked(scores, labels, "scores")
    checks.require((labels == label).any(), f"label must be one that occurs in labels, got {label}")
    return float(np.mean(scores[labels == label].argmax(1) == label))


def reliability(probabilities, labels, bins: int = 10) -> Reliability:
    """Group examples by the confidence of the answer, into `bins` bins of equal width, and compare with how often it is right.

    Source: Guo et al. 2017, "On Calibration of Modern Neural Networks", section 2.
    """
    probabilities, labels = _checked(probabilities, labels, "probabilities")
    checked_probabilities(probabilities, "probabilities")
    bins = checks.whole("bins", bins)
    confidence, right = probabilities.max(1), probabilities.argmax(1) == labels
    edges = np.linspace(0, 1, bins + 1)
    place = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    count = np.bincount(place, minlength=bins)
    used = count > 0
    mean = lambda values: np.bincount(place, weights=values, minlength=bins)[used] / count[used]  # noqa: E731
    return Reliability(mean(confidence), mean(right), count[used], edges)


def expected_calibration_error(probabilities, labels, bins: int = 10) -> float:
    """Return the ECE: the gap between confidence and accuracy, averaged over the bins by their number of examples (Guo et al. 2017)."""
    r = reliability(probabilities, labels, bins)
    return float(np.sum(r.count * np.abs(r.confidence - r.accuracy)) / np.sum(r.count))


def fit_temperature(logits, labels) -> float:
    """Return the temperature in 0.05..20 with the lowest cross-entropy of `labels`: temperature scaling (Guo et al. 2017, section 4.2).

    Fit it on a validation split: on the training split a good network is right and sure, and the fit would only make it surer.

    Raises:
        ValueError: logits and labels that do not fit, or no mistake among the answers: the colder the better, then, without an end.
    """
    from scipy.optimize import minimize_scalar

    logits, labels = _checked(logits, labels, "logits")
    if (logits.argmax(1) == labels).all():
        raise ValueError("labels must differ from at least one answer, else the coldest temperature is the best, got no mistake")
    hard = one_hot(labels, logits.shape[1])
    cost = lambda log_t: cross_entropy(hard, logits, float(np.exp(log_t))).mean()  # noqa: E731
    return float(np.exp(minimize_scalar(cost, bounds=(np.log(0.05), np.log(20)), method="bounded").x))


def parameters(model) -> int:
    """Return how many numbers a built model of either Keras stores: all weights, those that are not trained too."""
    anatomy.keras_of(model)
    return int(model.count_params())


def nonzeros(model) -> int:
    """Return how many of all the weights that `parameters` counts, biases and batch normalization too, are not zero."""
    anatomy.keras_of(model)
    return sum(int(np.count_nonzero(weights)) for weights in model.get_weights())


def sparsity(model) -> float:
    """Return the share of exact zeros among the kernels of the Dense and Conv layers (`anatomy.kernels`), in [0, 1].

    Biases, depthwise kernels and batch normalization are left out: pruning leaves them alone, and they would blur the number.
    """
    kernels = anatomy.kernels(model).values()
    return 1 - sum(int(np.count_nonzero(kernel)) for kernel in kernels) / sum(kernel.size for kernel in kernels)


# Operations that multiply without weights of their own, or hide what they do: a zero would be a wrong number.
_UNCOUNTED = set(
    "Attention AdditiveAttention GroupedQueryAttention Dot Matmul Einsum Tensordot Inner Outer Vdot Lambda TFOpLambda"
    " Conv ConvTranspose DepthwiseConv SeparableConv".split()  # keras.ops, with weights that are no layer's
)
# Layers with weights that are applied number by number. By convention these are not counted as MACs, nor are biases and pooling.
_ELEMENTWISE = "BatchNormalization LayerNormalization GroupNormalization RMSNormalization Normalization PReLU Embedding".split()


def macs(model) -> int:
    """Return the multiply-accumulates of one example: those of `macs_by_layer`, together."""
    return sum(macs_by_layer(model).values())


def macs_by_layer(model) -> dict[str, int]:
    """Return {layer name: multiply-accumulates of one example} for the dense and convolutional layers, in the order of the graph.

    A dense kernel is used once for each position of the output, a convolution's kernel too (the padding counts as input), a transposed
    convolution's once for each position of the input. Zeros among the weights count: a dense kernel multiplies them. A layer that is
    applied twice counts twice; a layer of a model inside the model is called ``"inner/layer"``.

    Raises:
        ValueError: a subclassed model or one that is not built; a shape that is open beyond the first axis; a layer whose MACs are not
            known here (recurrent, attention, a product of ``keras.ops``, a class of one's own).
    """
    library, found = anatomy.checked_graph(model), {}
    for name, count in _graph_macs(model, library.layers, library.Model):
        found[name] = found.get(name, 0) + count
    return found


def _graph_macs(model, layers, model_class, prefix=""):
    for layer, node in anatomy.calls(model):
        if isinstance(layer, model_class):
            yield from _graph_macs(layer, layers, model_class, f"{prefix}{layer.name}/")
        else:
            given, answer = (_first_shape(tensors) for tensors in (node.input_tensors, node.outputs))
            if (count := _layer_macs(layer, given, answer, layers)) is not None:
                yield prefix + layer.name, count


def _first_shape(tensors) -> tuple:
    return tuple((tensors[0] if isinstance(tensors, list | tuple) else tensors).shape)


def _layer_macs(layer, given, answer, layers) -> int | None:
    """Return the MACs of one application of a layer, None where there are none."""
    kind, known = type(layer).__name__, "model must have layers whose MACs are known (Dense, Conv)"
    if getattr(layer, "lora_enabled", False):
        raise ValueError(f"{known}, got {layer.name!r}, a {kind} with LoRA, which makes its kernel anew each time")

    def positions(shape):
        places = shape[2:] if getattr(layer, "data_format", "channels_last") == "channels_first" else shape[1:-1]
        if None in places:
            raise ValueError(f"model must have an input shape that is open in its first axis only, layer {layer.name!r} has {shape}")
        return math.prod(places)

    if isinstance(layer, layers.Conv1DTranspose | layers.Conv2DTranspose | layers.Conv3DTranspose):
        return positions(given) * math.prod(layer.kernel.shape)
    if isinstance(layer, layers.SeparableConv1D | layers.SeparableConv2D):
        return positions(answer) * (math.prod(layer.depthwise_kernel.shape) + math.prod(layer.pointwise_kernel.shape))
    if isinstance(layer, layers.DepthwiseConv1D | layers.DepthwiseConv2D):
        kernel = layer.kernel if hasattr(layer, "kernel") else layer.depthwise_kernel  # Keras 3, Keras 2
        return positions(answer) * math.prod(kernel.shape)
    if isinstance(layer, layers.Dense | layers.Conv1D | layers.Conv2D | layers.Conv3D):
        return positions(answer) * math.prod(layer.kernel.shape)
    own = type(layer).__module__.partition(".")[0] not in ("keras", "tf_keras")
    if own or kind in _UNCOUNTED or (getattr(layer, "weights", ()) and kind not in _ELEMENTWISE):
        raise ValueError(f"{known}, got {layer.name!r}, a {kind}")
    return None


def sizes(model_or_arrays, formats=None) -> dict[str, int]:
    """Return {format: bytes} of all weights together, each array encoded on its own.

    Args:
        model_or_arrays: a keras or tf_keras model, or its arrays as a dict or list.
        formats: names of `formats.FORMATS`, and ".tflite" for a model: the whole file, with the graph. The default is all of them.

    Raises:
        ValueError: an unknown format; ".tflite" for arrays; an array of no numbers; as `litert.to_tflite`.
        RuntimeError: as `litert.to_tflite`.
    """
    is_model = not isinstance(model_or_arrays, Mapping | list | tuple)
    if is_model:
        anatomy.keras_of(model_or_arrays, "model_or_arrays")
        arrays = model_or_arrays.get_weights()
    else:
        arrays = list(model_or_arrays.values()) if isinstance(model_or_arrays, Mapping) else model_or_arrays
    known = (*FORMATS, *([TFLITE] if is_model else []))
    wanted = known if formats is None else checks.names("formats", [formats] if isinstance(formats, str) else formats, known)
    return {
        format: len(litert.to_tflite(model_or_arrays)) if format == TFLITE else sum(encoded_size(array, format) for array in arrays)
        for format in wanted
    }


def peak_memory(tflite: bytes) -> int:
    """Return the bytes of memory that one inference (one example) of a .tflite file needs: its weights, and the activations at their peak.

    A tensor lives from the operator that writes it to the last that reads it; the peak is the largest sum of those alive at one operator.
    This is what a planner with perfect packing would take, the number to compare with the RAM of a small board. What an interpreter adds
    is not in it: its own code and tables, scratch space of its kernels, a second copy of the weights in the order its kernels like. (Seen
    with LiteRT on a desktop: a process grew by twice this number with XNNPACK; without it by this number and the scratch space.)

    Raises:
        ValueError: `tflite` is not the bytes of a .tflite file.
    """
    graph = litert.graph(tflite)
    born = {tensor: -1 for tensor in graph.inputs}
    last, read = {}, set()
    for step, (_, inputs, outputs) in enumerate(graph.operators):
        for tensor in outputs:
            born[tensor] = step
        for tensor in (*inputs, *outputs):
            last[tensor] = step
        read.update(tensor for tensor in inputs if tensor >= 0)  # -1 is an input that is left out, as a bias
    for tensor in graph.outputs:
        last[tensor] = len(graph.operators)
    weights = sum(graph.tensor_bytes[tensor] for tensor in read - set(born))
    alive = [
        sum(graph.tensor_bytes[tensor] for tensor, first in born.items() if first <= step <= last.get(tensor, first))
        for step in range(-1, len(graph.operators) + 1)
    ]
    return weights + max(alive)


class Latency(NamedTuple):
    """Seconds of one run: the median, and the 5% and 95% quantiles of all `runs`; `threads` is None where a function was timed."""

    median: float
    low: float
    high: float
    runs: int
    threads: int | None


def latency(tflite_or_callable: bytes | Callable, threads: int = 1, warmup: int = 20, runs: int = 200) -> Latency:
    """Return how long one inference takes: LiteRT on one random example, or a function without arguments.

    The first `warmup` runs are not counted: they fill caches and create what is created once. Python's garbage collector rests meanwhile.
    The number belongs to this machine at this moment: compare by ratios, measured in turns.

    Args:
        tflite_or_callable: the bytes of a .tflite file, or a function without arguments.
        threads: of LiteRT; a function has its own.
        warmup: runs before those that count.
        runs: those that count.

    Raises:
        ValueError: neither bytes of a .tflite file nor a function; a number out of range.
    """
    threads, warmup, runs = checks.whole("threads", threads), checks.whole("warmup", warmup, 0), checks.whole("runs", runs)
    if callable(tflite_or_callable):
        run, threads = tflite_or_callable, None
    else:
        if not isinstance(tflite_or_callable, bytes):
            raise ValueError(
                f"tflite_or_callable must be the bytes of a .tflite file or a function, got {type(tflite_or_callable).__name__}"
            )
        interpreter = litert.interpreter(tflite_or_callable, threads)
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], litert.random_input(interpreter))
        run = interpreter.invoke
    for _ in range(warmup):
        run()
    seconds, collects = np.empty(runs), gc.isenabled()
    gc.disable()
    try:
        for i in range(runs):
            began = time.perf_counter()
            run()
            seconds[i] = time.perf_counter() - began
    finally:
        if collects:
            gc.enable()
    return Latency(*(float(np.quantile(seconds, q)) for q in (0.5, 0.05, 0.95)), runs, threads)

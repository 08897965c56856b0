"""Measures of a classifier: how good its answers are, and what the network costs.

Answers: accuracy, recall, calibration. Logits have shape ``(examples, classes)``, labels ``(examples,)``.

Costs of a Sequential or functional model: parameters, non-zero weights, sparsity, multiply-accumulates (MACs), bytes in each format of
`formats` and as .tflite. Costs of a .tflite file when it runs: memory and latency; of several files all at once (`compare_files`).
Sizes are in bytes, times in seconds.

Every function raises ValueError for labels that are no class numbers, for what is no model, or for a model of which it cannot tell.
"""

import gc
import gzip
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from . import anatomy, checks, litert
from .formats import FORMATS, GZIP_LEVEL, encoded_size
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
        run = _one_inference(tflite_or_callable, threads)
    seconds = _timed(run, warmup, runs)
    return Latency(*(float(np.quantile(seconds, q)) for q in (0.5, 0.05, 0.95)), runs, threads)


def _one_inference(tflite: bytes, threads: int) -> Callable:
    """Return a function that lets LiteRT answer one random example."""
    interpreter = litert.interpreter(tflite, threads)
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], litert.random_input(interpreter))
    return interpreter.invoke


def _timed(run: Callable, warmup: int, runs: int) -> np.ndarray:
    """Return the seconds of each run but the first `warmup`."""
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
    return seconds


_CHILD = """import sys, psutil, numpy, ai_edge_litert.interpreter
from kdcourse import measure
numpy.random.default_rng(0).random(1)  # NumPy loads this part when it is used, and the random example uses it
before = psutil.Process().memory_info().rss
run = measure._one_inference(sys.stdin.buffer.read(), 1)
for _ in range(3):
    run()
print(psutil.Process().memory_info().rss - before)"""


def resident_memory(tflite: bytes) -> int:
    """Return by how many bytes a fresh process grows when it loads a .tflite file and answers examples, one thread, with XNNPACK.

    Counted from the moment at which LiteRT is imported: the file, the weights in the order that the routines like, the activations, and
    the pages of LiteRT's code that run for the first time, which are most of the 3 to 4 MB of a small network. `peak_memory` tells what is
    the network's own.

    Raises:
        ValueError: `tflite` is not the bytes of a .tflite file.
        RuntimeError: the process fails.
    """
    litert.contents(tflite)
    paths = os.pathsep.join([str(Path(__file__).resolve().parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run([sys.executable, "-c", _CHILD], input=tflite, capture_output=True, env={**os.environ, "PYTHONPATH": paths})
    if done.returncode:
        raise RuntimeError(f"the process that runs the .tflite file failed: {done.stderr.decode(errors='replace').strip()[-200:]}")
    return int(done.stdout)


class FileCosts(NamedTuple):
    """What a .tflite file costs and how good its answers are; `ratio` and `agreement` compare it with the first file."""

    name: str
    bytes: int
    gzip: int  # bytes after gzip
    memory: int  # bytes, see `resident_memory`
    median: float  # seconds of one example
    low: float  # the 10% quantile
    high: float  # the 90% quantile
    ratio: float  # of the time
    accuracy: float
    agreement: float  # the share of examples that get the same answer


_IN_A_ROUND = 10  # runs of one file before the next one's turn


def compare_files(files: Mapping[str, bytes], x, y, runs: int = 200, threads: int = 1) -> list[FileCosts]:
    """Return the costs and the quality of .tflite files, one row for each, all measured in one go.

    For the time the files take turns, ten runs each, in another order in every round: whatever else the machine does falls on all of
    them. The ratio is the median, over the rounds, of the file's time divided by the first file's in the same round.

    Args:
        files: ``{name: bytes of the file}``; the first is the one that the others are compared with, such as float32.
        x: examples that all files read, shape ``(examples, ...)``.
        y: their labels, shape ``(examples,)``.
        runs: of each file that are timed, 10 or more; rounded up to tens.
        threads: of LiteRT, for the time.

    Raises:
        ValueError: no files, or bytes that are none; examples or labels that do not fit; a number out of range.
    """
    if not isinstance(files, Mapping) or not files:
        checks.refuse("files", "{name: bytes of a .tflite file}, at least one", checks.shown(files))
    runs, threads = checks.whole("runs", runs, _IN_A_ROUND), checks.whole("threads", threads)
    for name, tflite in files.items():
        checks.require(isinstance(tflite, bytes), f"files must be bytes of .tflite files, got {type(tflite).__name__} for {name!r}")
    checks.same_rows(x=x, y=y)
    timed, order = {name: _one_inference(tflite, threads) for name, tflite in files.items()}, np.random.default_rng(0)
    names, rounds = list(files), -(-runs // _IN_A_ROUND)
    answers = {name: litert.predict(tflite, x) for name, tflite in files.items()}
    seconds = {name: np.empty((rounds, _IN_A_ROUND)) for name in names}
    for turn in range(rounds):
        for place in order.permutation(len(names)):
            seconds[names[place]][turn] = _timed(timed[names[place]], 3, _IN_A_ROUND)
    base, expected = np.median(seconds[names[0]], axis=1), answers[names[0]].argmax(1)
    return [
        FileCosts(
            name,
            len(tflite),
            len(gzip.compress(tflite, GZIP_LEVEL, mtime=0)),
            resident_memory(tflite),
            *(float(np.quantile(seconds[name], q)) for q in (0.5, 0.1, 0.9)),
            float(np.median(np.median(seconds[name], axis=1) / base)),
            accuracy(answers[name], y),
            float(np.mean(answers[name].argmax(1) == expected)),
        )
        for name, tflite in files.items()
    ]


def layer_gaps(tflite: bytes, reference: bytes, x) -> dict[str, float]:
    """Return how far each layer of a file answers from the same layer of another file: where two files of one network part.

    Args:
        tflite: the file in question, such as a quantized one.
        reference: another file of the same network, such as float32; layers are known by the names of their outputs.
        x: examples as floats, shape ``(examples, ...)``; files that take integers get them rounded.

    Returns:
        {layer: largest difference as a share of the reference's largest magnitude}, the input first, then in the order of computation.

    Raises:
        ValueError: bytes that are no .tflite file, examples that do not fit, or files of two networks.
    """
    (file, found), (other, wanted) = (_reals(one, x, name) for one, name in ((tflite, "tflite"), (reference, "reference")))
    gaps = {"the input": _gap(found[file.inputs[0]], wanted[other.inputs[0]])}
    numbers = {tensor.name: number for number, tensor in enumerate(other.tensors)}
    for operator in file.operators:
        made = operator.outputs[0]
        if operator.kind in ("QUANTIZE", "DEQUANTIZE") or made not in found:
            continue
        weights = [n for n in operator.inputs if n >= 0 and file.tensors[n].data is not None and len(file.tensors[n].shape) > 1]
        layer = litert.layer_name(file.tensors[weights[0] if weights else made].name)
        theirs = wanted.get(numbers.get(file.tensors[made].name))
        if theirs is None or theirs.shape != found[made].shape:
            checks.refuse("reference", "a file of the same network as tflite", f"one without its layer {layer!r}")
        gaps[layer] = _gap(found[made], theirs)
    return gaps


def _gap(found: np.ndarray, wanted: np.ndarray) -> float:
    return float(np.abs(found - wanted).max() / max(np.abs(wanted).max(), np.finfo(np.float32).tiny))


def _reals(tflite: bytes, x, name: str) -> tuple[litert.Contents, dict[int, np.ndarray]]:
    """Return the contents of a file, and {number: real numbers} of its activations for all examples."""
    checks.require(isinstance(tflite, bytes), f"{name} must be the bytes of a .tflite file, got {checks.shown(tflite)}")
    file = litert.contents(tflite)
    given = litert.as_integers(tflite, x) if len(file.tensors[file.inputs[0]].scale) else np.asarray(x, np.float32)
    values, reals = litert.every_tensor(tflite, given), {}
    for number, tensor in enumerate(file.tensors):
        if tensor.data is None and number in values:
            if len(tensor.scale) == 1:
                reals[number] = (values[number].astype(np.float64) - tensor.zero_point) * tensor.scale
            elif tensor.dtype == np.float32:
                reals[number] = values[number].astype(np.float64)
    return file, reals


def file_table(rows: list[FileCosts]) -> str:
    """Return the rows of `compare_files` as a text to print, a line for each file."""
    width = max(len("file"), *(len(row.name) for row in rows))
    lines = [f"{'file':{width}}  {'bytes':>9}{'gzip':>9}{'memory':>9}{'time':>9}{'10% to 90%':>17}{'ratio':>8}{'accuracy':>10}{'same':>8}"]
    for row in rows:
        times = f"{row.median * 1e6:>6,.0f} us{f'{row.low * 1e6:,.0f} to {row.high * 1e6:,.0f} us':>17}{row.ratio:>8.2f}"
        lines.append(
            f"{row.name:{width}}  {row.bytes:>9,}{row.gzip:>9,}{row.memory / 1e6:>6.1f} MB{times}{row.accuracy:>10.1%}{row.agreement:>8.1%}"
        )
    return "\n".join(lines)

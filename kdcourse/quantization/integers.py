"""A full-int8 .tflite file, computed with integers only, in NumPy: what a phone does, layer by layer.

A layer multiplies 8-bit integers, adds the products in 32 bits and must then bring the sum back to 8 bits. The real factor for that,
``scale of the input * scale of the weights / scale of the output``, becomes an integer and a number of bits to shift by (`fixed_point`),
so that no floating-point number is needed while the network runs (`requantize`).

Source: Jacob et al. 2018, section 2.2; the rounding is that of LiteRT's reference operators (gemmlowp's fixed-point functions).
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from kdcourse import checks, litert

LOW, HIGH = -128, 127
CUT = {0: (-np.inf, np.inf), 1: (0.0, np.inf), 2: (-1.0, 1.0), 3: (0.0, 6.0)}  # none, ReLU, ReLU from -1 to 1, ReLU6
SAME = 0


class Layer(NamedTuple):
    """An operator of the file with what it reads and writes; `ends` is the range of integers that its activation leaves."""

    kind: str
    settings: dict
    read: list[litert.Tensor]
    written: litert.Tensor
    ends: tuple[int, int]


class Row(NamedTuple):
    """How far an operator's integers are from LiteRT's, in steps: on LiteRT's own inputs, and on ours from the file's input on."""

    operator: str
    tensor: str
    alone: int  # the largest difference
    differing: float  # the share of integers that differ at all, on LiteRT's own inputs
    end_to_end: int  # the largest difference


# The arithmetic


def fixed_point(factor) -> tuple[np.ndarray, np.ndarray]:
    """Return integers (multiplier in [2^30, 2^31), shift) with ``factor = multiplier / 2^31 * 2^shift``, to 31 bits; 0 gives (0, 0).

    Args:
        factor: a real number >= 0, or an array of them.
    """
    fraction, shift = np.frexp(np.asarray(factor, np.float64))  # the fraction is in [0.5, 1)
    multiplier = np.rint(fraction * 2**31).astype(np.int64)
    full = multiplier == 2**31  # it was rounded up to 1
    return np.where(full, 2**30, multiplier), np.where(full, shift + 1, shift).astype(np.int64)


def requantize(sums, multiplier, shift) -> np.ndarray:
    """Return ``sums * multiplier / 2^31 * 2^shift``, rounded to integers with integers only.

    LiteRT's plain operators round twice, after the product and after the shift, and so does this; half-way numbers go up. On which
    side LiteRT puts them depends on the processor.

    Args:
        sums: 32-bit integers, shape ``(..., channels)``.
        multiplier, shift: as `fixed_point` gives them: one for all, or one for each channel.
    """
    left, right = np.maximum(shift, 0), np.maximum(-shift, 0)
    product = (np.asarray(sums, np.int64) << left) * multiplier
    high = (product + 2**30) >> 31  # the upper 32 bits, rounded
    return (high + ((np.int64(1) << right) >> 1)) >> right


def _factor(layer: Layer) -> tuple[np.ndarray, np.ndarray]:
    given, weights = layer.read[:2]
    return fixed_point(given.scale * weights.scale / layer.written.scale)


def _back(sums, layer: Layer) -> np.ndarray:
    """Return 32-bit sums as the 8-bit integers of the layer's output."""
    return np.clip(requantize(sums, *_factor(layer)) + layer.written.zero_point, *layer.ends).astype(np.int8)


# The operators: each takes the integers that it reads, and its layer


def _dense(x, layer):
    """x (examples, inputs) int8, weights (outputs, inputs) int8 -> (examples, outputs) int8."""
    given, weights, *bias = layer.read
    x = x.reshape(-1, weights.shape[1]).astype(np.int32) - given.zero_point.astype(np.int32)
    sums = _products(x, weights.data.T.astype(np.int32))
    return _back(sums + (bias[0].data if bias else 0), layer)


def _products(x, weights) -> np.ndarray:
    """Return the matrix product of integers; float64 holds them exactly below 2^53, and is many times as fast."""
    return (x.astype(np.float64) @ weights.astype(np.float64)).astype(np.int64)


def _windows(x, height: int, width: int, layer: Layer, filling: int):
    """Return what each place of a filter sees, shape (examples, rows, columns, channels, height, width)."""
    s = layer.settings
    strides = s["strideH"], s["strideW"]
    if s.get("dilationHFactor", 1) != 1 or s.get("dilationWFactor", 1) != 1:
        checks.refuse("tflite", "a file of convolutions without dilation", f"one in {layer.written.name}")
    if s["padding"] == SAME:
        pads = []
        for size, filter_size, stride in zip(x.shape[1:3], (height, width), strides, strict=True):
            both = max((-(-size // stride) - 1) * stride + filter_size - size, 0)
            pads.append((both // 2, both - both // 2))
        x = np.pad(x, [(0, 0), *pads, (0, 0)], constant_values=filling)
    seen = np.lib.stride_tricks.sliding_window_view(x, (height, width), axis=(1, 2))
    return seen[:, :: strides[0], :: strides[1]]


def _convolution(x, layer):
    """x (examples, height, width, channels) int8, weights (filters, height, width, channels) int8."""
    given, weights, *bias = layer.read
    filters, height, width, _ = weights.shape
    zero = int(given.zero_point[0])
    seen = _windows(x.astype(np.int32) - zero, height, width, layer, 0)
    seen = np.moveaxis(seen, 3, 5)  # (examples, rows, columns, height, width, channels)
    sums = _products(seen.reshape(*seen.shape[:3], -1), weights.data.reshape(filters, -1).T)
    return _back(sums + (bias[0].data if bias else 0), layer)


def _depthwise(x, layer):
    """x (examples, height, width, channels) int8, weights (1, height, width, channels * multiplier) int8: a filter sees one channel."""
    given, weights, *bias = layer.read
    _, height, width, outputs = weights.shape
    seen = _windows(x.astype(np.int32) - int(given.zero_point[0]), height, width, layer, 0)
    seen = np.repeat(seen, outputs // x.shape[3], axis=3)
    sums = np.einsum("nrcohw,hwo->nrco", seen.astype(np.int64), weights.data[0].astype(np.int64))
    return _back(sums + (bias[0].data if bias else 0), layer)


def _max_pooling(x, layer):
    s = layer.settings
    seen = _windows(x, s["filterHeight"], s["filterWidth"], layer, LOW)
    return np.clip(seen.max(axis=(4, 5)), *layer.ends)


def _divided(sums, count):
    """Return sums divided by a count, rounded half away from zero."""
    return np.sign(sums) * ((np.abs(sums) + count // 2) // count)


def _average_pooling(x, layer):
    s = layer.settings
    how = s["filterHeight"], s["filterWidth"], layer, 0
    count = _windows(np.ones_like(x, np.int64), *how).sum(axis=(4, 5))  # places outside the image do not count
    return np.clip(_divided(_windows(x.astype(np.int64), *how).sum(axis=(4, 5)), count), *layer.ends).astype(np.int8)


def _mean(x, layer):
    """The mean over some axes, such as global average pooling."""
    given, axes = layer.read
    axes = tuple(int(axis) for axis in np.atleast_1d(axes.data))
    count = int(np.prod([x.shape[axis] for axis in axes]))
    multiplier, shift = fixed_point(given.scale / layer.written.scale)
    bits = min(count.bit_length() - 1, 32, 31 + int(shift[0]))  # the division by the count becomes a part of the multiplier
    sums = x.astype(np.int64).sum(axes, keepdims=layer.settings["keepDims"]) - count * int(given.zero_point[0])
    found = requantize(sums, (multiplier << bits) // count, shift - bits) + layer.written.zero_point
    return np.clip(found, LOW, HIGH).astype(np.int8)


def _addition(x, y, layer):
    """Both terms are brought to one scale, with 20 bits more than they have, before they are added."""
    first, second = layer.read
    larger = 2 * max(first.scale[0], second.scale[0])
    terms = [requantize((v.astype(np.int64) - t.zero_point) << 20, *fixed_point(t.scale / larger)) for v, t in ((x, first), (y, second))]
    found = requantize(sum(terms), *fixed_point(larger / (2**20 * layer.written.scale))) + layer.written.zero_point
    return np.clip(found, *layer.ends).astype(np.int8)


def _rescaled(x, layer):
    """Integers of one grid as those of another."""
    (given,) = layer.read[:1]
    sums = x.astype(np.int64) - given.zero_point
    found = requantize(sums, *fixed_point(given.scale / layer.written.scale)) + layer.written.zero_point
    return np.clip(found, *layer.ends).astype(np.int8)


def _reshaped(x, layer):
    return x.reshape(len(x), *layer.written.shape[1:])


def _padded(x, layer):
    return np.pad(x, [tuple(map(int, pair)) for pair in layer.read[1].data], constant_values=int(layer.written.zero_point[0]))


OPERATORS: dict[str, Callable] = {
    "FULLY_CONNECTED": _dense,
    "CONV_2D": _convolution,
    "DEPTHWISE_CONV_2D": _depthwise,
    "MAX_POOL_2D": _max_pooling,
    "AVERAGE_POOL_2D": _average_pooling,
    "MEAN": _mean,
    "ADD": _addition,
    "QUANTIZE": _rescaled,
    "RELU": _rescaled,
    "RELU6": _rescaled,
    "RESHAPE": _reshaped,
    "PAD": _padded,
}
OF_SHAPES = ("SHAPE", "STRIDED_SLICE", "PACK")  # they compute the shape that RESHAPE wants


# The network


def _computing(file: litert.Contents) -> list[litert.Operator]:
    """Return the operators that the answer depends on: none of shapes, and none that only they read."""
    needed, found = set(file.outputs), []
    for operator in reversed(file.operators):
        if operator.kind not in OF_SHAPES and needed.intersection(operator.outputs):
            needed.update(operator.inputs)
            found.append(operator)
    return found[::-1]


def _layers(tflite: bytes) -> tuple[litert.Contents, list[tuple[Layer, list[int], int]]]:
    """Return the file's contents and its layers, each with the numbers of what it reads, constants left out, and of what it writes."""
    file, found = litert.contents(tflite), []
    for operator in _computing(file):
        written = file.tensors[operator.outputs[0]]
        if operator.kind not in OPERATORS:
            checks.refuse("tflite", f"a file of the operators {', '.join(OPERATORS)}", f"{operator.kind} in {written.name}")
        if written.dtype != np.int8 or not len(written.scale):
            checks.refuse("tflite", "a file in which all activations are 8-bit integers", f"{written.dtype} in {written.name}")
        read = [file.tensors[number] for number in operator.inputs if number >= 0]
        fused = {"RELU": 1, "RELU6": 3}.get(operator.kind, operator.settings.get("fusedActivationFunction", 0))
        at = [round(end / written.scale[0]) + written.zero_point[0] if np.isfinite(end) else end for end in CUT[fused]]
        ends = int(max(at[0], LOW)), int(min(at[1], HIGH))
        inputs = [
            number for number in operator.inputs if number >= 0 and file.tensors[number].data is None and len(file.tensors[number].scale)
        ]
        found.append((Layer(operator.kind, operator.settings, read, written, ends), inputs, operator.outputs[0]))
    return file, found


def run(tflite: bytes, inputs) -> dict[int, np.ndarray]:
    """Return the integers of each activation of a full-int8 .tflite file, by the number of its tensor; the last one is the answer.

    Args:
        tflite: the file's bytes; see `OPERATORS` for what it may consist of.
        inputs: shape ``(examples, ...)``, floats as the network reads them, or int8 as the file does.

    Raises:
        ValueError: no such file, activations that are no 8-bit integers, an operator that is not known here, inputs that do not fit.
    """
    file, layers = _layers(tflite)
    known = {file.inputs[0]: _given(tflite, inputs)}
    for layer, read, written in layers:
        known[written] = OPERATORS[layer.kind](*(known[number] for number in read), layer)
    return known


def _given(tflite: bytes, inputs) -> np.ndarray:
    inputs = np.asarray(inputs)
    return inputs if inputs.dtype == np.int8 else litert.as_integers(tflite, inputs)


def compare(tflite: bytes, inputs) -> list[Row]:
    """Return a `Row` for each operator of a full-int8 .tflite file: the largest difference to LiteRT, in steps of the last bit.

    LiteRT runs its plain operators; XNNPACK, which replaces them on a phone, rounds some sums otherwise.

    Args:
        tflite, inputs: as `run`.

    Raises:
        ValueError: as `run`.
    """
    _, layers = _layers(tflite)
    given = _given(tflite, inputs)
    theirs, ours = litert.every_tensor(tflite, given), run(tflite, given)
    rows = []
    for layer, read, written in layers:
        alone = OPERATORS[layer.kind](*(theirs[number] for number in read), layer)
        off = [np.abs(found.astype(np.int32) - theirs[written]) for found in (alone, ours[written])]
        rows.append(Row(layer.kind, layer.written.name, int(off[0].max()), float(np.mean(off[0] > 0)), int(off[1].max())))
    return rows

"""The weight matrices of a transformer in few bits: rounded in groups, and what calibration inputs can do for them.

Conventions. A weight matrix has shape ``(inputs, outputs)``, a layer computes ``x @ weights``, and `name` is what a refusal calls the
matrix: give the layer's name. Each group of `group` inputs of one output has a scale and a zero point (affine, see `affine`). All functions
return the matrix as it is after a way to integers and back, float32, of the same shape. What they need to know of the layer's inputs is
`Statistics`, of inputs that the network sees in use.

Sources: Frantar et al. 2022, "GPTQ: Accurate Post-Training Quantization for Generative Pre-trained Transformers"; Lin et al. 2023, "AWQ:
Activation-aware Weight Quantization"; Xiao et al. 2022, "SmoothQuant".
"""

from typing import NamedTuple

import numpy as np

from kdcourse import checks

from . import affine

ALPHAS = tuple(i / 10 for i in range(11))  # exponents that `awq` tries; 0 is plain rounding
SCALE_BITS = 16  # a scale, a salient weight and AWQ's scale of an input are stored as float16


class Statistics(NamedTuple):
    """What a layer's calibration inputs say, for inputs of shape ``(rows, inputs)``."""

    mean: np.ndarray  # of the magnitudes, one a channel, shape (inputs,), float64
    largest: np.ndarray  # magnitude, one a channel, shape (inputs,), float64
    second_moments: np.ndarray  # the mean of x_i x_j over the rows, shape (inputs, inputs), float64


def statistics(inputs, name: str = "inputs") -> Statistics:
    """Return the `Statistics` of a layer's inputs, shape ``(rows, inputs)``.

    Raises:
        ValueError: another shape, no rows, numbers that are not finite, or inputs that are all 0.
    """
    inputs = checks.array(name, inputs, ("rows", "inputs"), dtype=np.float32)
    magnitudes = np.abs(inputs)
    checks.require(bool(magnitudes.any()), f"{name} must hold a number that is not 0, got zeros only")
    return Statistics(
        magnitudes.mean(0, dtype=np.float64), magnitudes.max(0).astype(np.float64), (inputs.T @ inputs / len(inputs)).astype(np.float64)
    )


def _checked(weights, bits: int, group: int, name: str) -> np.ndarray:
    """Return the weights as float64; refuse what no function here can work with."""
    affine.checked_bits(bits)
    weights = checks.array(name, weights, ("inputs", "outputs"), dtype=np.float64)
    if checks.whole("group", group) and len(weights) % group:
        checks.refuse("group", f"a size that divides the {len(weights)} inputs of {name}", group)
    return weights


def round_in_groups(weights, bits: int, group: int, *, method: str = "minmax", name: str = "weights") -> np.ndarray:
    """Return a weight matrix rounded to `bits`, each group on its own affine grid.

    Args:
        weights: shape ``(inputs, outputs)``.
        bits: 2..16.
        group: inputs of an output that share a grid; it divides the number of inputs.
        method: how the range of a group is found, see `affine.find_grid`: "minmax", or "mse" for the clipped range with the least error.
        name: of the layer.

    Raises:
        ValueError: bits out of range, a group that does not divide, weights of another shape or not finite, an unknown method.
    """
    return affine.rounded(_checked(weights, bits, group, name), bits, per=group, method=method, name=name)


def largest_channels(values, share: float = 0.01) -> np.ndarray:
    """Return the places of the largest of `values`, one a channel: `share` of them, rounded up; the largest first.

    Raises:
        ValueError: values of another shape than ``(inputs,)``, or a share outside (0, 1].
    """
    values = checks.array("values", values, ("inputs",))
    count = int(np.ceil(checks.number("share", share, 0, 1, open_low=True) * len(values)))
    return np.argsort(-values, kind="stable")[:count]


def keep_salient(weights, bits: int, group: int, which, *, name: str = "weights") -> np.ndarray:
    """Return a weight matrix rounded in groups, except that the weights of the inputs `which` stay as they are.

    The comparison of Lin et al. 2023, section 3.1: the inputs with the largest activations (see `largest_channels`) against random ones.

    Args:
        weights, bits, group, name: as `round_in_groups` takes them.
        which: places of input channels, shape ``(kept,)``, each in 0..inputs-1.

    Raises:
        ValueError: as `round_in_groups`, or a place that there is not.
    """
    found = round_in_groups(weights, bits, group, name=name)
    which = checks.labels("which", which, len(found))
    found[which] = np.asarray(weights)[which]
    return found


def awq(weights, seen: Statistics, bits: int, group: int, *, name: str = "weights") -> np.ndarray:
    """Return a weight matrix rounded by activation-aware scaling (AWQ; Lin et al. 2023).

    The weights of input i are multiplied by s_i = mean |x_i|^alpha before they are rounded, and divided by it behind, so that the grid is
    finer where the inputs are large. Of `ALPHAS` that with the least squared error of the layer's outputs on the calibration inputs is
    taken; 0 is plain rounding. In use the inputs are divided by s_i, which costs one stored scale for each input.

    Args:
        weights, bits, group, name: as `round_in_groups` takes them.
        seen: of the layer's calibration inputs.

    Raises:
        ValueError: as `round_in_groups`, or statistics of another number of inputs.
    """
    weights = _checked(weights, bits, group, name)
    mean = checks.array("seen.mean", seen.mean, (len(weights),))
    mean = np.maximum(mean, 1e-4 * mean.max())  # a channel that is always 0 gets a small scale, not 0
    best, least = None, np.inf
    for alpha in ALPHAS:
        scales = mean[:, None] ** alpha
        scales /= np.sqrt(scales.max() * scales.min())
        tried = affine.rounded(weights * scales, bits, per=group) / scales
        error = output_error(weights, tried, seen.second_moments)
        if error < least:
            best, least = tried, error
    return best.astype(np.float32)


def gptq(
    weights,
    second_moments,
    bits: int,
    group: int,
    *,
    damping: float = 0.01,
    method: str = "minmax",
    symmetric: bool = False,
    name: str = "weights",
) -> np.ndarray:
    """Return a weight matrix rounded input by input, each error made up for by the inputs that follow (GPTQ; Frantar et al. 2022).

    The grid of a group is found when its turn comes, from the weights as they are by then. The order of the inputs is kept.

    Args:
        weights, bits, group, name: as `round_in_groups` takes them.
        second_moments: of the layer's calibration inputs, shape ``(inputs, inputs)``; see `statistics`.
        damping: what is added to the diagonal, as a share of its mean, > 0: the matrix is then invertible with few calibration rows too.
        method: how the range of a group is found, as in `round_in_groups`.
        symmetric: whether the zero points are 0.

    Raises:
        ValueError: as `round_in_groups`, or second moments of another shape or not those of any inputs.
    """
    weights = _checked(weights, bits, group, name).copy()
    moments = checks.array("second_moments", second_moments, (len(weights),) * 2, dtype=np.float64)
    damping = checks.number("damping", damping, 0, open_low=True)
    inverse = np.linalg.inv(moments + damping * np.mean(np.diag(moments)) * np.eye(len(moments)))
    try:
        factor = np.linalg.cholesky((inverse + inverse.T) / 2).T  # upper: row i says how the error of input i spreads to later ones
    except np.linalg.LinAlgError:
        checks.refuse("second_moments", "those of some inputs, positive definite once damped", f"others, at damping {damping}")
    for start in range(0, len(weights), group):
        end, errors = start + group, np.empty((group, weights.shape[1]))
        grid = affine.find_grid(weights[start:end], bits, per=group, method=method, symmetric=symmetric)
        scale, zero = grid.scale[:, 0], grid.zero_point[:, 0]
        for i in range(start, end):
            rounded = scale * (np.clip(np.rint(weights[i] / scale) + zero, grid.low, grid.high) - zero)
            errors[i - start] = (weights[i] - rounded) / factor[i, i]
            weights[i + 1 : end] -= np.outer(factor[i, i + 1 : end], errors[i - start])
            weights[i] = rounded
        weights[end:] -= factor[start:end, end:].T @ errors  # the groups to come, all at once
    return weights.astype(np.float32)


def output_error(weights, approximation, second_moments) -> float:
    """Return the squared error of a layer's outputs relative to the outputs: ``mean |x (W' - W)|^2 / mean |x W|^2`` over the inputs.

    Args:
        weights, approximation: W and W', shape ``(inputs, outputs)``.
        second_moments: of the inputs x, shape ``(inputs, inputs)``.

    Raises:
        ValueError: shapes that do not fit, or outputs that are all 0.
    """
    weights = checks.array("weights", weights, ("inputs", "outputs"), dtype=np.float32)
    approximation = checks.array("approximation", approximation, weights.shape, dtype=np.float32)
    moments = checks.array("second_moments", second_moments, (len(weights),) * 2, dtype=np.float32)
    whole = _energy(weights, moments)
    checks.require(whole > 0, "weights must give an output that is not 0 on these inputs, got zeros only")
    return _energy(approximation - weights, moments) / whole


def _energy(weights, moments) -> float:
    return float(np.einsum("io,io->", weights, moments @ weights, dtype=np.float64))


def smooth(weights, largest_inputs, alpha: float, *, name: str = "weights") -> tuple[np.ndarray, np.ndarray]:
    """Return (scales of the inputs, weights times these scales): the layer computes the same with inputs divided by them (Xiao 2022).

    ``s_i = max |x_i|^alpha / max |w_i|^(1 - alpha)``: what is hard to round in the inputs moves into the weights.

    Args:
        weights: shape ``(inputs, outputs)``.
        largest_inputs: the largest magnitude of each input, shape ``(inputs,)``; see `statistics`.
        alpha: in [0, 1]; 1 gives all inputs the same range.
        name: of the layer.

    Raises:
        ValueError: another shape, negative magnitudes, or alpha outside [0, 1].
    """
    weights = checks.array(name, weights, ("inputs", "outputs"), dtype=np.float64)
    largest = checks.array("largest_inputs", largest_inputs, (len(weights),), dtype=np.float64)
    alpha = checks.number("alpha", alpha, 0, 1)
    checks.require(bool((largest >= 0).all()), f"largest_inputs must be magnitudes, >= 0, got {largest.min():.4g}")
    of_weights = np.abs(weights).max(1)
    counts = (largest > 0) & (of_weights > 0)  # a channel that is never used keeps its scale
    scales = np.where(counts, np.where(counts, largest, 1) ** alpha / np.where(counts, of_weights, 1) ** (1 - alpha), 1)
    return scales.astype(np.float32), (weights * scales[:, None]).astype(np.float32)


def round_inputs(inputs, bits: int = 8, largest: float | None = None) -> np.ndarray:
    """Return a layer's inputs rounded on symmetric grids, float32, shape ``(rows, inputs)``.

    Args:
        inputs: shape ``(rows, inputs)``.
        bits: 2..16.
        largest: the end of one grid for all numbers, found before on calibration inputs ("static"); what lies beyond it is cut. None gives
            each row a grid of its own ("dynamic").

    Raises:
        ValueError: bits out of range, inputs of another shape or not finite, `largest` not above 0.
    """
    most = affine.ends(bits, symmetric=True)[1]
    inputs = checks.array("inputs", inputs, ("rows", "inputs"), dtype=np.float32)
    if largest is None:
        end = np.abs(inputs).max(1, keepdims=True)
    else:
        end = np.float32(checks.number("largest", largest, 0, open_low=True))
    scale = np.where(end > 0, end, 1) / np.float32(most)
    return np.clip(np.rint(inputs / scale), -most, most) * scale


def bits_a_weight(shape: tuple[int, int], bits: int, group: int, *, kept: int = 0, scaled: bool = False) -> float:
    """Return how many bits a weight takes with all that must be stored beside it.

    A scale of 16 bits and a zero point of `bits` for each group; for each input that is kept whole its weights as float16, beside the
    rounded ones, and its place in 16 bits; a scale of 16 bits for each input if they are scaled, as `awq` does.

    Args:
        shape: ``(inputs, outputs)``.
        bits, group: as `round_in_groups` takes them.
        kept: inputs that are kept whole, at most all.
        scaled: whether each input has a scale.

    Raises:
        ValueError: bits out of range, a group that does not divide, more kept than there are.
    """
    inputs, outputs = (checks.whole(f"{part} of shape", size) for part, size in zip(("inputs", "outputs"), shape, strict=True))
    bits, kept = affine.checked_bits(bits), checks.whole("kept", kept, 0, inputs)
    if checks.whole("group", group) and inputs % group:
        checks.refuse("group", f"a size that divides the {inputs} inputs", group)
    beside = kept * (SCALE_BITS * outputs + 16) + (SCALE_BITS * inputs if scaled else 0)
    return bits + (SCALE_BITS + bits) / group + beside / (inputs * outputs)

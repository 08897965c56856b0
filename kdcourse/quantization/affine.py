"""Real numbers on a grid of integers, and how the grid is found.

A grid of b bits knows a scale s, which is the distance of two neighbours, and a zero point z, the integer that stands for 0:

    q = clip(round(x / s) + z, low, high)        x is about s * (q - z)

Two kinds of grids:

- **affine**: the grid spans [smallest, largest], both ends and 0 are on it; ``low = -2^(b-1)``, ``high = 2^(b-1) - 1``.
- **symmetric**: z = 0 and the grid spans [-most, most]; ``low = -(2^(b-1) - 1)``, so that it has one integer less. With 2 bits it holds
  -s, 0 and s.

One grid serves all numbers ("tensor"), or there is one for each output channel, which is the last axis ("channel"), or one for each
group of so many inputs of an output (a number). Inputs are all axes but the last one, in their order.

Source: Jacob et al. 2018, "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference", section 2.1;
Nagel et al. 2021, "A White Paper on Neural Network Quantization".
"""

from typing import NamedTuple

import numpy as np

from kdcourse import checks

LEAST_BITS, MOST_BITS = 2, 16
METHODS = ("minmax", "percentile", "mse")
TRIED = np.linspace(1, 0.05, 96)  # shares of the whole range that "mse" tries


class Grid(NamedTuple):
    """Scales and zero points: one row for each set of numbers that shares them, shape ``(rows, 1)``; `per` says which these are."""

    scale: np.ndarray  # float64, > 0
    zero_point: np.ndarray  # int64
    bits: int
    low: int
    high: int
    per: str | int


def checked_bits(bits, name: str = "bits") -> int:
    """Return a number of bits in 2..16, or raise ValueError."""
    return checks.whole(name, bits, LEAST_BITS, MOST_BITS)


def ends(bits: int, symmetric: bool) -> tuple[int, int]:
    """Return the smallest and the largest integer of a grid."""
    half = 2 ** (checked_bits(bits) - 1)
    return (1 - half if symmetric else -half), half - 1


def rows_of(values: np.ndarray, per: str | int, name: str = "values") -> np.ndarray:
    """Return the numbers with one row for each set that shares a grid; `in_place` turns them back.

    Raises:
        ValueError: `per` is none of "tensor", "channel" and a group size that divides the number of inputs; values of one axis in groups.
    """
    if per == "tensor":
        return values.reshape(1, -1)
    grouped = isinstance(per, int | np.integer) and not isinstance(per, bool)
    checks.require(grouped or per == "channel", f"per must be 'tensor', 'channel' or the size of a group, got {checks.shown(per)}")
    checks.require(
        values.ndim > 1, f"{name} must have at least 2 axes for a scale {'a group' if grouped else 'a channel'}, got {values.ndim}"
    )
    by_output = values.reshape(-1, values.shape[-1]).T  # (outputs, inputs)
    if not grouped:
        return by_output
    inputs = by_output.shape[1]
    if per < 1 or inputs % per:
        checks.refuse("per", f"a group size that divides the {inputs} inputs of {name}", per)
    return by_output.reshape(-1, per)


def in_place(rows: np.ndarray, shape: tuple, per: str | int) -> np.ndarray:
    """Undo `rows_of`."""
    return rows.reshape(shape) if per == "tensor" else rows.reshape(shape[-1], -1).T.reshape(shape)


def find_grid(
    values, bits: int, *, symmetric: bool = False, per: str | int = "tensor", method: str = "minmax", percentile=99.9, name="values"
):
    """Return the `Grid` for some numbers.

    How the range is found:

    - "minmax": all numbers are inside.
    - "percentile": so many percent of the magnitudes (symmetric), or the same share cut in halves at both ends (affine), are inside.
    - "mse": of 96 shares of the min-max range the one with the least squared error of the numbers after rounding.

    0 is always inside, so that it is on the grid exactly. Where all numbers of a row are 0, the scale is 1.

    Args:
        values: shape ``(..., outputs)``, as Keras keeps weights; any shape for one grid.
        bits: 2..16.
        symmetric: whether the zero point is 0.
        per: "tensor", "channel" or the size of a group.
        method: one of `METHODS`.
        percentile: in (50, 100], for that method.
        name: what a refusal calls the values.

    Raises:
        ValueError: bits outside 2..16, values that are empty or not finite, an unknown method, a group that does not divide.
    """
    low, high = ends(bits, symmetric)
    checks.choice("method", method, METHODS)
    values = checks.array(name, values, (...,), dtype=np.float64)
    checks.require(values.size > 0, f"{name} must hold at least 1 number, got shape {values.shape}")
    rows = rows_of(values, per, name)
    if method == "percentile":
        percentile = checks.number("percentile", percentile, 50, 100, open_low=True)
        outside = (100 - percentile) / (1 if symmetric else 2)
        least, most = np.percentile(np.abs(rows) if symmetric else rows, [outside, 100 - outside], axis=1, keepdims=True)
    else:
        least, most = rows.min(1, keepdims=True), rows.max(1, keepdims=True)
    if symmetric:
        most = most if method == "percentile" else np.maximum(-least, most)
        least = -most
    found = _spanned(np.minimum(least, 0), np.maximum(most, 0), bits, low, high, symmetric, per)
    if method != "mse":
        return found
    scale, zero, best = found.scale.copy(), found.zero_point.copy(), np.full((len(rows), 1), np.inf)
    for share in TRIED:
        tried = _spanned(share * np.minimum(least, 0), share * np.maximum(most, 0), bits, low, high, symmetric, per)
        error = ((rows - _back(_onto(rows, tried), tried)) ** 2).mean(1, keepdims=True)
        scale, zero = np.where(error < best, tried.scale, scale), np.where(error < best, tried.zero_point, zero)
        best = np.minimum(error, best)
    return found._replace(scale=scale, zero_point=zero)


def _spanned(least, most, bits, low, high, symmetric, per) -> Grid:
    """Return the grid whose ends are `least` <= 0 and `most` >= 0, one of each a row."""
    scale = (most - least) / (high - low)
    scale = np.where(scale > 0, scale, 1.0)
    zero = np.zeros(scale.shape, np.int64) if symmetric else np.clip(np.rint(low - least / scale), low, high).astype(np.int64)
    return Grid(scale, zero, bits, low, high, per)


def _onto(rows, grid: Grid):
    return np.clip(np.rint(rows / grid.scale) + grid.zero_point, grid.low, grid.high)


def _back(integers, grid: Grid):
    return grid.scale * (integers - grid.zero_point)


def quantize(values, grid: Grid) -> np.ndarray:
    """Return the integers that stand for some numbers on a grid: int8 for up to 8 bits, else int16; the shape stays.

    Half-way numbers go to the even integer, as NumPy rounds.

    Raises:
        ValueError: values that are not finite, or whose rows do not fit the grid.
    """
    values = checks.array("values", values, (...,), dtype=np.float64)
    rows = _rows_for(values, grid)
    return in_place(_onto(rows, grid), values.shape, grid.per).astype(np.int8 if grid.bits <= 8 else np.int16)


def dequantize(integers, grid: Grid) -> np.ndarray:
    """Return the numbers that integers stand for, float32; the shape stays.

    Raises:
        ValueError: `integers` are none, or their rows do not fit the grid.
    """
    integers = checks.array("integers", integers, (...,), kind="integers")
    rows = _rows_for(integers.astype(np.int64), grid)
    return in_place(_back(rows, grid), integers.shape, grid.per).astype(np.float32)


def _rows_for(values, grid: Grid) -> np.ndarray:
    rows = rows_of(values, grid.per)
    if len(rows) != len(grid.scale):
        raise ValueError(
            f"values must have {len(grid.scale)} {grid.per if isinstance(grid.per, str) else 'group'}s, as grid has, got {len(rows)}"
        )
    return rows


def rounded(values, bits: int, **how) -> np.ndarray:
    """Return numbers as they are after a way to integers and back, float32: ``dequantize(quantize(values, grid), grid)``.

    Args:
        values, bits, how: as `find_grid` takes them.
    """
    grid = find_grid(values, bits, **how)
    return dequantize(quantize(values, grid), grid)


def sqnr(values, approximation) -> float:
    """Return the signal-to-quantization-noise ratio in decibels: ``10 log10(sum x^2 / sum (x - x')^2)``; infinite without an error.

    Raises:
        ValueError: values that are not finite, are all 0, or differ in shape.
    """
    values = checks.array("values", values, (...,), dtype=np.float64)
    approximation = checks.array("approximation", approximation, values.shape, dtype=np.float64)
    checks.require(bool(np.any(values)), "values must hold a number that is not 0, got zeros only")
    noise = float(((values - approximation) ** 2).sum())
    return 10 * float(np.log10((values**2).sum() / noise)) if noise else float("inf")


def stored_bits(values, bits: int, per: str | int = "tensor", *, symmetric: bool = True, scale_bits: int = 32) -> int:
    """Return how many bits numbers take on a grid: `bits` for each, a scale for each row, and a zero point of `bits` if not symmetric.

    Raises:
        ValueError: as `find_grid`.
    """
    values, bits = np.asarray(values), checked_bits(bits)
    rows = len(rows_of(values, per))
    return values.size * bits + rows * (checks.whole("scale_bits", scale_bits) + (0 if symmetric else bits))

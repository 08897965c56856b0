"""Recorded answers of a network whose weights are rounded, for every number of bits and every kind of grid: `make bit-widths`.

A record counts the images that the network gets right, so that a page can tell the accuracy of a choice without running the network.
"""

import json
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from kdcourse import checks
from kdcourse.files import data_path

from .affine import LEAST_BITS, MOST_BITS, Grid, dequantize, find_grid, quantize

FOLDER = "quantized"
TIMES = "times"  # another folder: what the files of a network took on several processors
ALL_LAYERS = "all layers"
BITS = tuple(range(LEAST_BITS, MOST_BITS + 1))
SYMMETRIC = (False, True)
PER = ("tensor", "channel")
SPLITS = ("validation", "test")


class Accuracies(NamedTuple):
    """How many images of a split a network gets right: unrounded, and with the weights of some layers rounded.

    `right` has for `ALL_LAYERS`, and for each layer whose weights alone are rounded, integers of the shape
    ``(bits of BITS, symmetric of SYMMETRIC, per of PER, clips)``.
    """

    split: str
    images: int
    unrounded: int
    clips: tuple[int, ...]  # per cent of the min-max range that the grid spans
    right: dict[str, np.ndarray]


def clipped_grid(values, bits: int, *, clip: float = 100.0, symmetric: bool = True, per: str = "channel", name: str = "values") -> Grid:
    """Return the grid that spans a part of the min-max range: its least and its most are multiplied by ``clip / 100``.

    The numbers outside go to the grid's ends. "mse" in `affine.find_grid` tries such ranges.

    Args:
        values, bits, symmetric, per, name: as `affine.find_grid`.
        clip: in (0, 100], per cent.

    Raises:
        ValueError: as `affine.find_grid`; a clip out of range.
    """
    share = checks.number("clip", clip, 0, 100, open_low=True, what="per cent of the range") / 100
    values = checks.array(name, values, (...,), dtype=np.float64)
    return find_grid(share * values, bits, symmetric=symmetric, per=per, name=name)


def count_right(
    weights: dict[str, np.ndarray],
    right_with: Callable[[dict[str, np.ndarray]], list[int]],
    scopes: dict[str, list[str]],
    clips: tuple[int, ...],
) -> dict[str, np.ndarray]:
    """Return {scope: counts}, shape ``(bits, symmetric, per, clips, splits)``, of a network with rounded weights.

    Args:
        weights: {layer: shape (..., outputs)}.
        right_with: tells for {layer: its rounded weights} how many images of each split are right; all other layers are floats.
        scopes: {name: layers that are rounded together}.
        clips: in per cent.
    """
    counts = {scope: np.zeros((len(BITS), len(SYMMETRIC), len(PER), len(clips), len(SPLITS)), int) for scope in scopes}
    for at in np.ndindex(*(len(choices) for choices in (BITS, SYMMETRIC, PER, clips))):
        bits, symmetric, per, clip = (choices[i] for choices, i in zip((BITS, SYMMETRIC, PER, clips), at, strict=True))
        rounded = {}
        for layer, values in weights.items():
            grid = clipped_grid(values, bits, clip=clip, symmetric=symmetric, per=per, name=f"the weights of {layer}")
            rounded[layer] = dequantize(quantize(values, grid), grid)
        for scope, layers in scopes.items():
            counts[scope][at] = right_with({layer: rounded[layer] for layer in layers})
    return counts


def load_accuracies(name: str = "mnist-5k-phone", split: str = "test") -> Accuracies:
    """Return the recorded answers of a network that ships with the course; nothing is run.

    The layers are those of `fold_batch_norms` of the network; activations and biases stay floats. Choices, such as that of a clip, are
    made on "validation".

    Args:
        name: of `names()`.
        split: one of `SPLITS`.

    Raises:
        ValueError: an unknown name or split.
    """
    record, split = provenance(name), checks.choice("split", split, SPLITS)
    one = record["splits"][split]
    return Accuracies(
        split, one["images"], one["unrounded"], tuple(record["clips"]), {scope: np.array(counts) for scope, counts in one["right"].items()}
    )


def provenance(name: str = "mnist-5k-phone") -> dict:
    """Return the whole record of a network: the counts, and how they were made.

    Raises:
        ValueError: an unknown name.
    """
    return json.loads(data_path(FOLDER, f"{checks.choice('name', name, names())}.json").read_text("utf-8"))


def names() -> list[str]:
    """Return the networks that have a record."""
    return sorted(path.stem for path in data_path(FOLDER).glob("*.json"))


def load_times(name: str = "mnist-5k-phone") -> dict[str, dict]:
    """Return {processor: times} of a network's files, measured there before; nothing is run. ``benchmarks/quantized_speed.py`` adds one.

    ``times["files"]`` is {file: median microseconds for one image at one thread}. ``times["parts"]`` is {"first", "rest": {"float32",
    "int8": microseconds}}, the network cut behind its first pooling. ``times["dot_product"]`` tells whether the processor multiplies and
    adds 8-bit integers in one instruction.

    Raises:
        ValueError: a network without recorded times.
    """
    known = sorted(path.stem for path in data_path(TIMES).glob("*.json"))
    return json.loads(data_path(TIMES, f"{checks.choice('name', name, known)}.json").read_text("utf-8"))["processors"]

"""Codebooks: a layer keeps a few different weights, its codebook, and for each weight the number of the entry that stands for it.

A grid of b bits has 2^b values at equal distances. A codebook of 2^b entries puts them where the weights are, by k-means. It saves bytes
and no time: a weight is looked up before it is multiplied.

Source: Han, Mao & Dally 2016, "Deep Compression", section 3. The exact k-means on a line: Wang & Song 2011, "Ckmeans.1d.dp"; that the
search can be halved again and again: Grønlund et al. 2017, "Fast Exact k-Means, k-Medians and Bregman Divergence Clustering in 1D".
"""

from collections.abc import Mapping

import numpy as np

from kdcourse import checks
from kdcourse.anatomy import copied, kernel_layers

MOST_ENTRIES = 256  # an index takes at most a byte
STARTS = ("best", "linear")
MOST_STEPS = 300  # of Lloyd's algorithm


def find_codebook(weights, entries: int, start: str = "best", *, name: str = "weights") -> np.ndarray:
    """Return the codebook of some weights, float32, rising, shape ``(entries,)``; fewer if fewer weights differ.

    Args:
        weights: any shape.
        entries: 2..256.
        start: "best" finds the least squared error that there is (dynamic programming, ``entries * n log n`` steps); "linear" is Lloyd's
            algorithm from entries at equal distances between the smallest and the largest weight, the choice of the paper.
        name: what a refusal calls the weights.

    Raises:
        ValueError: weights that are empty or not finite, entries outside 2..256, an unknown start.
    """
    entries = _entries(entries)
    checks.choice("start", start, STARTS)
    weights = checks.array(name, weights, (...,), dtype=np.float64)
    checks.require(weights.size > 0, f"{name} must hold at least 1 number, got shape {weights.shape}")
    distinct, counts = np.unique(weights, return_counts=True)
    if len(distinct) <= entries:
        return distinct.astype(np.float32)
    return (_best if start == "best" else _lloyd)(distinct, counts, entries).astype(np.float32)


def indices(weights, codebook) -> np.ndarray:
    """Return the number of the nearest entry for each weight, uint8, in the shape of `weights`; halfway it is the smaller entry.

    Raises:
        ValueError: weights or a codebook that are not finite; a codebook that does not rise or has more than 256 entries.
    """
    codebook = _codebook(codebook)
    weights = checks.array("weights", weights, (...,), dtype=np.float64)
    return np.searchsorted((codebook[1:] + codebook[:-1]) / 2, weights).astype(np.uint8)


def look_up(indices, codebook) -> np.ndarray:
    """Return the weights that indices stand for, float32, in the shape of `indices`.

    Raises:
        ValueError: as `indices`; an index that the codebook does not have.
    """
    codebook = _codebook(codebook)
    indices = checks.array("indices", indices, (...,), kind="integers")
    if indices.size and not 0 <= indices.min() <= indices.max() < len(codebook):
        checks.refuse("indices", f"in 0..{len(codebook) - 1}", f"{indices.min()}..{indices.max()}")
    return codebook.astype(np.float32)[indices]


def with_codebooks(model, entries: int | Mapping[str, int], start: str = "best"):
    """Return a copy of a model in which each layer has at most `entries` different weights; biases stay.

    Args:
        model: Sequential or functional, of either Keras; it stays as it is.
        entries: 2..256 for all Dense and Conv layers, not depthwise; or ``{layer: entries}`` for some of them.
        start: as `find_codebook`.

    Raises:
        ValueError: as `find_codebook` and `anatomy.copied`; a layer that is not there. The sentence names the layer.
    """
    known = kernel_layers(model)
    if isinstance(entries, Mapping):
        checks.names("entries", entries.keys(), known)
        entries = {name: _entries(number, f"entries[{name!r}]") for name, number in entries.items()}
    else:
        entries = dict.fromkeys(known, _entries(entries))
    copy = copied(model)
    for name, layer in kernel_layers(copy).items():
        if name in entries:
            weights = np.asarray(layer.kernel)
            codebook = find_codebook(weights, entries[name], start, name=f"the weights of {name}")
            layer.kernel.assign(look_up(indices(weights, codebook), codebook))
    return copy


def codebook_bits(weights, entries: int) -> int:
    """Return the bits of an array that is kept as a codebook: ``ceil(log2(entries))`` for each weight, 32 for each entry.

    An entropy coder makes the first part smaller, see `kdcourse.formats.entropy_bits`.

    Raises:
        ValueError: entries outside 2..256.
    """
    entries = _entries(entries)
    return np.size(weights) * (entries - 1).bit_length() + 32 * entries


def _entries(entries, name: str = "entries") -> int:
    return checks.whole(name, entries, 2, MOST_ENTRIES)


def _codebook(codebook) -> np.ndarray:
    codebook = checks.array("codebook", codebook, ("entries",), dtype=np.float64)
    if len(codebook) > MOST_ENTRIES or (np.diff(codebook) <= 0).any():
        checks.refuse("codebook", f"at most {MOST_ENTRIES} rising numbers", checks.shown(codebook.tolist()))
    return codebook


def _lloyd(values, counts, entries: int) -> np.ndarray:
    """Return the codebook that Lloyd's algorithm reaches from equal distances; an entry that no weight is near to is left out."""
    codebook = np.linspace(values[0], values[-1], entries)
    for _ in range(MOST_STEPS):
        nearest = np.searchsorted((codebook[1:] + codebook[:-1]) / 2, values)
        held = np.bincount(nearest, counts, len(codebook))
        moved = np.bincount(nearest, counts * values, len(codebook))[held > 0] / held[held > 0]
        if len(moved) == len(codebook) and np.allclose(moved, codebook, rtol=0, atol=1e-12):
            break
        codebook = moved
    return codebook


def _best(values, counts, entries: int) -> np.ndarray:
    """Return the codebook of least squared error.

    The weights of an entry are neighbours on the line. So with ``error[j]``, the least error of the first j values with one entry fewer,
    the next one is ``min over i < j of error[i] + spread(i, j)``, and the best i never falls while j rises.
    """
    values = values - (middle := float(np.average(values, weights=counts)))  # sums of squares lose less this way
    sums = [np.append(0.0, np.cumsum(counts * values**power)) for power in (0, 1, 2)]
    n, first = len(values), np.arange(len(values) + 1)

    def spread(i, j):
        """Return the squared error of the values i..j-1 around their mean."""
        weight, total, square = (part[j] - part[i] for part in sums)
        return np.maximum(square - total**2 / weight, 0)

    error, cuts = np.append(0.0, spread(0, first[1:])), []
    for used in range(1, entries):
        error, cut = _one_more(error, spread, used, n)
        cuts.append(cut)
    ends = [n]
    for cut in reversed(cuts):
        ends.append(int(cut[ends[-1]]))
    begins, ends = np.array([*ends[1:], 0])[::-1], np.array(ends)[::-1]
    return middle + (sums[1][ends] - sums[1][begins]) / (sums[0][ends] - sums[0][begins])


def _one_more(error, spread, used: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the least error of the first j values with one entry more than `used`, and where its last part begins, for each j > used.

    All j of one level of halving are computed at once; each looks only between the answers of its two neighbours.
    """
    found, cut = np.full(n + 1, np.inf), np.zeros(n + 2, np.int64)
    cut[used], cut[n + 1] = used, n
    known = np.array([used, n + 1])
    while len(middle := _between(known)):
        low = np.maximum(cut[known[:-1]], used)[np.diff(known) > 1]
        high = np.minimum(cut[known[1:]], n)[np.diff(known) > 1]
        high = np.minimum(high, middle - 1)
        starts = np.cumsum(np.append(0, high - low + 1))
        owner = np.repeat(np.arange(len(middle)), high - low + 1)
        i = np.arange(starts[-1]) - starts[owner] + low[owner]
        total = error[i] + spread(i, middle[owner])
        least = np.minimum.reduceat(total, starts[:-1])
        hit = np.flatnonzero(total == least[owner])
        cut[middle] = i[hit[np.unique(owner[hit], return_index=True)[1]]]
        found[middle] = least
        known = np.sort(np.append(known, middle))
    return found, cut


def _between(known: np.ndarray) -> np.ndarray:
    """Return the middle of each gap between neighbours that has one."""
    gaps = np.diff(known) > 1
    return (known[:-1][gaps] + known[1:][gaps]) // 2

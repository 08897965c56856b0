"""The sentence of every refusal, written once: ``<argument> must be <what is allowed>, got <what came>``.

Each function returns its value in the one form that the rest of the code works with, or raises a ValueError with that sentence. A bool is
no number here, and NumPy's integers and floats are as good as Python's. Only argument checks belong here: nothing of this module knows
what a model or a data set is.
"""

import contextlib
import math
import numbers
from collections.abc import Iterable, Mapping
from typing import NoReturn

import numpy as np

KINDS = {"numbers": "biuf", "integers": "iu", "floats": "f"}  # NumPy's letters for the types of an array


def refuse(name: str, wish: str, got) -> NoReturn:
    """Raise the sentence ``<name> must be <wish>, got <got>``; `got` is a text that is shown as it is, or wrapped by `shown`."""
    raise ValueError(f"{name} must be {wish}, got {got}")


def require(fits: bool, sentence: str) -> None:
    """Raise `sentence`, ``<name> must be <what is allowed>, got <what came>``, as a ValueError unless the argument fits."""
    if not fits:
        raise ValueError(sentence)


def shown(value) -> str:
    """Return a value as it is shown in a refusal: its repr on one line, cut at 80 characters."""
    text = " ".join(repr(value).split())
    return text if len(text) <= 80 else f"{text[:77]}..."


def whole(name: str, value, least: int = 1, most: int | None = None, what: str = "") -> int:
    """Return `value` as an int.

    Args:
        name: what the sentence calls it.
        value: an integer of Python or NumPy; no bool, no float.
        least, most: the range, both ends allowed; None has no upper end.
        what: said after the range, such as "a number of updates".

    Raises:
        ValueError: anything else.
    """
    fits = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not fits or value < least or (most is not None and value > most):
        allowed = f"an integer >= {least}" if most is None else f"an integer in {least}..{most}"
        refuse(name, f"{allowed}, {what}" if what else allowed, shown(value))
    return int(value)


def number(
    name: str,
    value,
    low: float = -math.inf,
    high: float = math.inf,
    *,
    open_low: bool = False,
    open_high: bool = False,
    what: str = "",
) -> float:
    """Return `value` as a finite float.

    Args:
        name: what the sentence calls it.
        value: one real number of Python or NumPy; no bool, no text, no array.
        low, high: the range; infinity has no end on that side, but the number itself is always finite.
        open_low, open_high: whether that end is left out of the range.
        what: said after the range, such as "the share of zeros".

    Raises:
        ValueError: anything else.
    """
    found = math.nan
    if isinstance(value, numbers.Real | np.floating) and not isinstance(value, bool):
        with contextlib.suppress(OverflowError):  # an int beyond all floats
            found = float(value)
    if not math.isfinite(found) or not (low < found if open_low else low <= found) or not (found < high if open_high else found <= high):
        refuse(name, f"one number {_range(low, high, open_low, open_high)}{f', {what}' if what else ''}", shown(value))
    return found


def _range(low: float, high: float, open_low: bool, open_high: bool) -> str:
    if high < math.inf:
        return f"in {'(' if open_low else '['}{low:g}, {high:g}{')' if open_high else ']'}"
    return "that is finite" if low == -math.inf else f"{'>' if open_low else '>='} {low:g} and finite"


def choice(name: str, value, known: Iterable[str]) -> str:
    """Return `value`, one of the names `known`, which the sentence lists in their order.

    Raises:
        ValueError: another name, or no text at all.
    """
    known = list(known)
    if not isinstance(value, str) or value not in known:
        refuse(name, f"one of {', '.join(known)}", shown(value))
    return value


def array(name: str, values, shape: tuple, *, kind: str = "numbers", dtype=None) -> np.ndarray:
    """Return `values` as a NumPy array of the shape and type that are asked for; its numbers are finite.

    Args:
        name: what the sentence calls it.
        values: an array or what NumPy makes one of.
        shape: a number for an axis of that size, a word such as "examples" for one of any size from 1 on; ``...`` at the end stands for
            any further axes, of any size: ``("examples", "classes")``, ``("examples", 28, 28)``, ``("examples", ...)``.
        kind: "numbers", "integers" or "floats": what may come in.
        dtype: what is returned; None keeps the type.

    Raises:
        ValueError: no array of such numbers, another shape, an axis of size 0, NaN or infinity.
    """
    try:
        found = np.asarray(values)
    except (TypeError, ValueError):  # rows of different lengths
        found = np.empty((), object)
    if isinstance(values, np.ma.MaskedArray):
        refuse(name, "an array without a mask, which would be lost", "a masked one")
    if found.dtype.kind not in KINDS[kind]:
        got = shown(values) if found.dtype.kind in "OUSmM" and not isinstance(values, np.ndarray) else f"type {found.dtype}"
        refuse(name, f"{kind} in an array", got)
    fixed = shape[:-1] if shape[-1:] == (...,) else shape
    long_enough = found.ndim >= len(fixed) if len(fixed) < len(shape) else found.ndim == len(fixed)
    if not long_enough or not all(got == want if isinstance(want, int) else got > 0 for got, want in zip(found.shape, fixed, strict=False)):
        raise ValueError(f"{name} must have shape {spelled(shape)}{_at_least(found, fixed)}, got shape {found.shape}")
    finite(name, found)
    if dtype is None:
        return found
    if np.dtype(dtype).kind == "f" and found.size and np.abs(found).max() > np.finfo(dtype).max:
        refuse(name, f"within the range of {np.dtype(dtype)}", f"{np.abs(found).max():.4g}")
    return found.astype(dtype, copy=False)


def _at_least(found: np.ndarray, shape: tuple) -> str:
    empty = [want for got, want in zip(found.shape, shape, strict=False) if not got and not isinstance(want, int)]
    return f", {empty[0]} at least 1" if empty and found.ndim >= len(shape) else ""


def spelled(shape: tuple) -> str:
    """Return a shape of numbers, words and ``...`` as a sentence shows it."""
    parts = ["..." if part is ... else str(part) for part in shape]
    return f"({', '.join(parts)}{',' if len(parts) == 1 else ''})"


def finite(name: str, values: np.ndarray) -> np.ndarray:
    """Return `values` if no number in it is NaN or infinite.

    Raises:
        ValueError: one is.
    """
    if values.dtype.kind in "fc" and (bad := int(values.size - np.count_nonzero(np.isfinite(values)))):
        refuse(name, "finite", f"NaN or infinity in {bad:,} of {values.size:,} places")
    return values


def labels(name: str, values, classes: int, rows: int | None = None, *, unknown: bool = False) -> np.ndarray:
    """Return class numbers as an array of int64, shape ``(examples,)``; the memory needed does not grow with `classes`.

    Args:
        name: what the sentence calls them.
        values: integers in 0..classes-1.
        classes: how many there are.
        rows: how many labels there must be; None takes any number from 1 on.
        unknown: whether -1, "no label", may occur.

    Raises:
        ValueError: another shape (a column ``(examples, 1)`` too), another type, a label out of range.
    """
    found, least = np.asarray(values), -1 if unknown else 0
    if found.ndim != 1 or (len(found) != rows if rows is not None else not len(found)) or found.dtype.kind not in "iu":
        wish = "a vector of integers" if rows is None else f"a vector of {rows} integers"
        refuse(name, wish, f"shape {found.shape} and type {found.dtype}")
    if (outside := found[(found < least) | (found >= classes)]).size:
        refuse(name, f"in 0..{classes - 1}{', or -1 for no label' if unknown else ''}", outside[0])
    return found.astype(np.int64)


def same_rows(**arrays) -> int:
    """Return how many rows all of the arrays have, at least 1.

    Raises:
        ValueError: an array without an axis, no rows, or another number than the first one has; the sentence names both.
    """
    (first, *_), rows = arrays, {}
    for name, values in arrays.items():
        if not np.ndim(values) or not len(values):
            refuse(name, "an array with at least 1 row", f"shape {np.shape(values)}")
        rows[name] = len(values)
        if rows[name] != rows[first]:
            refuse(name, f"as long as {first}, with a row for each of its {rows[first]:,}", f"{rows[name]:,}")
    return rows[first]


def names(name: str, values, known: Iterable[str] | None = None, least: int = 1) -> list[str]:
    """Return different strings as a list: names of layers, of formats, of classes.

    Args:
        name: what the sentence calls them.
        values: a sequence of strings; one string alone is refused, because it is a sequence of letters.
        known: what they must be out of; None allows all strings that are not empty.
        least: how many there must be.

    Raises:
        ValueError: anything else, or a name twice.
    """
    found = list(values) if isinstance(values, Iterable) and not isinstance(values, str | bytes | Mapping) else [None]
    among = "strings that are not empty" if known is None else f"names out of {', '.join(known := list(known))}"
    if len(found) < least or not all(isinstance(one, str) and one.strip() for one in found):
        refuse(name, f"a list of {among}{f', at least {least}' if least else ''}", shown(values))
    if known is not None and (other := next((one for one in found if one not in known), None)) is not None:
        refuse(name, among, shown(other))
    if len(set(found)) < len(found):
        refuse(name, "different names", f"{next(one for i, one in enumerate(found) if one in found[:i])!r} more than once")
    return found

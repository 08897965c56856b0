"""The sparsity curves: a slider over recorded prunings of a network, with accuracy before and after fine-tuning and bytes by format.

Nothing is computed but which point is shown (sparsity_curves.js), so the widget is live without a kernel.
"""

from collections.abc import Mapping
from pathlib import Path

import anywidget
import numpy as np
import traitlets

from ._shared import as_trait

MOST_CURVES = 4  # as many as there are colours and line styles


class SparsityCurves(anywidget.AnyWidget):
    """Move along recorded sparsities, and read accuracy and bytes there.

    Args:
        sparsities: at least 2 values in per cent, ascending, each in 0..100 (100 left out).
        accuracy: ``{scope: {curve: accuracies}}``, such as ``{"by layer": {"before fine-tuning": [...], "after fine-tuning": [...]}}``:
            for each sparsity one share in 0..1. Every scope has the same curves, at most 4.
        sizes: ``{scope: {format: bytes}}``: for each sparsity a positive integer. The scopes are those of `accuracy`, every scope has the
            same formats; the first format is what the others are compared with.
        sparsity: where the slider starts, one of `sparsities`; None starts at the first.
        scope: the scope shown at first; None takes the first.

    The traits `selected` (index into `sparsities`) and `scope` can be read, set and observed like those of any other widget.

    Raises:
        ValueError: lengths or names that do not fit together, values that are not finite or out of range.
    """

    _esm = Path(__file__).with_suffix(".js")
    _css = Path(__file__).with_suffix(".css")

    sparsities = traitlets.List(traitlets.Float()).tag(sync=True)
    accuracy = traitlets.Dict().tag(sync=True)
    sizes = traitlets.Dict().tag(sync=True)
    selected = traitlets.Int(0).tag(sync=True)
    scope = traitlets.Unicode().tag(sync=True)

    def __init__(self, sparsities, accuracy, sizes, *, sparsity=None, scope=None, **kwargs):
        """Check everything first: a mistake shows here, in Python, and not as an empty widget."""
        points = _numbers(sparsities, "sparsities")
        if len(points) < 2 or (np.diff(points) <= 0).any() or points[0] < 0 or points[-1] >= 100:
            raise ValueError(f"sparsities must be at least 2 ascending values in per cent, from 0 to below 100, got {points.tolist()}")
        accuracy, sizes = (_table(table, name, len(points)) for table, name in ((accuracy, "accuracy"), (sizes, "sizes")))
        if list(accuracy) != list(sizes):
            raise ValueError(f"sizes must have the scopes of accuracy, {list(accuracy)}, got {list(sizes)}")
        for at, curves in accuracy.items():
            if len(curves) > MOST_CURVES:
                raise ValueError(f"accuracy[{at!r}] must have at most {MOST_CURVES} curves, got {len(curves)}")
            for name, values in curves.items():
                if values.min() < 0 or values.max() > 1:
                    raise ValueError(f"accuracy[{at!r}][{name!r}] must be in 0..1, got values from {values.min():g} to {values.max():g}")
        for at, formats in sizes.items():
            for name, values in formats.items():
                if (values < 1).any() or (values % 1).any():
                    raise ValueError(f"sizes[{at!r}][{name!r}] must be positive whole numbers of bytes, got {values.tolist()}")
        if sparsity is not None and sparsity not in points:
            raise ValueError(f"sparsity must be one of {points.tolist()}, got {sparsity!r}")
        super().__init__(
            sparsities=points.tolist(),
            accuracy={at: {name: values.tolist() for name, values in curves.items()} for at, curves in accuracy.items()},
            sizes={at: {name: values.astype(int).tolist() for name, values in formats.items()} for at, formats in sizes.items()},
            selected=0 if sparsity is None else int(np.flatnonzero(points == sparsity)[0]),
            scope=next(iter(accuracy)) if scope is None else _checked_scope(scope, accuracy),
            **kwargs,
        )

    def __repr__(self):
        """Say what stands here, for places that show no widgets, such as a notebook's preview."""
        return "A slider over a network pruned further and further: move it here, or run this cell in JupyterLab, Colab or Binder."

    @traitlets.validate("scope")
    def _validate_scope(self, proposal):
        return as_trait(_checked_scope, proposal["value"], self.accuracy)

    @traitlets.validate("selected")
    def _validate_selected(self, proposal):
        if not 0 <= proposal["value"] < len(self.sparsities):
            raise traitlets.TraitError(f"selected must be in 0..{len(self.sparsities) - 1}, got {proposal['value']}")
        return proposal["value"]


def _checked_scope(scope, known) -> str:
    if scope not in known:
        raise ValueError(f"scope must be one of {list(known)}, got {scope!r}")
    return scope


def _numbers(values, name: str) -> np.ndarray:
    """Return a vector of finite float64."""
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"{name} must be a list of numbers, got {values!r}") from None
    if array.ndim != 1 or not np.isfinite(array).all():
        raise ValueError(f"{name} must be a list of finite numbers, got {values!r}")
    return array


def _table(table, name: str, points: int) -> dict[str, dict[str, np.ndarray]]:
    """Return ``{scope: {row: values}}`` with the same rows in the same order in every scope."""
    if not isinstance(table, Mapping) or not table or not all(isinstance(rows, Mapping) and rows for rows in table.values()):
        raise ValueError(f"{name} must be {{scope: {{name: values}}}} with at least one scope and one name, got {table!r}")
    checked = {
        str(at): {str(row): _numbers(values, f"{name}[{at!r}][{row!r}]") for row, values in rows.items()} for at, rows in table.items()
    }
    first = next(iter(checked.values()))
    for at, rows in checked.items():
        if list(rows) != list(first):
            raise ValueError(f"{name} must have the same names in every scope, {list(first)}, got {list(rows)} in {at!r}")
        for row, values in rows.items():
            if len(values) != points:
                raise ValueError(f"{name}[{at!r}][{row!r}] must have one value for each of the {points} sparsities, got {len(values)}")
    return checked

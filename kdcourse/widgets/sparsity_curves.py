"""The sparsity curves: a slider over recorded prunings of a network, with accuracy before and after fine-tuning and bytes by format.

Nothing is computed but which point is shown (sparsity_curves.js), so the widget is live without a kernel.
"""

from collections.abc import Mapping

import numpy as np
import traitlets

from kdcourse import checks

from ._page import Checked, Explorer, named, page

MOST_CURVES = 4  # as many as there are colours and line styles
MOST_BYTES = 2**53  # above, JavaScript's numbers are no longer exact


class SparsityCurves(Explorer):
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

    _esm, _css = page("_sparsity", "sparsity_curves")

    # Tables are lists of the shape (scopes, curves or formats, points): an object of JavaScript would sort names that are numbers.
    sparsities = traitlets.List(traitlets.Float()).tag(sync=True)
    scopes = traitlets.List(traitlets.Unicode()).tag(sync=True)
    curves = traitlets.List(traitlets.Unicode()).tag(sync=True)
    formats = traitlets.List(traitlets.Unicode()).tag(sync=True)
    accuracy = traitlets.List().tag(sync=True)
    sizes = traitlets.List().tag(sync=True)
    selected = Checked(0, checks.whole, 0, lambda curves: len(curves.sparsities) - 1)
    scope = Checked("", checks.choice, lambda curves: curves.scopes)

    def __init__(self, sparsities, accuracy, sizes, *, sparsity=None, scope=None, **traits):
        """Check everything first; `traits` are checked by themselves."""
        points = checks.array("sparsities", sparsities, ("points",), dtype=np.float64)
        if len(points) < 2 or (np.diff(points) <= 0).any() or points[0] < 0 or points[-1] >= 100:
            checks.refuse("sparsities", "at least 2 ascending values in per cent, from 0 to below 100", points.tolist())
        scopes, curves, shares = _table("accuracy", accuracy, len(points))
        sized, formats, used = _table("sizes", sizes, len(points))
        if sized != scopes:
            checks.refuse("sizes", f"a table with the scopes of accuracy, {', '.join(scopes)}", ", ".join(sized))
        if len(curves) > MOST_CURVES:
            checks.refuse("accuracy", f"a table with at most {MOST_CURVES} curves", len(curves))
        if shares.min() < 0 or shares.max() > 1:
            checks.refuse("accuracy", "shares in 0..1", f"values from {shares.min():g} to {shares.max():g}")
        if (wrong := used[(used < 1) | (used % 1 != 0) | (used > MOST_BYTES)]).size:
            checks.refuse("sizes", "whole numbers of bytes from 1 to 2**53", f"{wrong[0]:g}")
        if sparsity is not None and sparsity not in points:
            checks.refuse("sparsity", f"one of {points.tolist()}", checks.shown(sparsity))
        tables = {"scopes": scopes, "curves": curves, "formats": formats, "accuracy": shares.tolist(), "sizes": used.astype(int).tolist()}
        start = {} if sparsity is None else {"selected": int(np.flatnonzero(points == sparsity)[0])}
        super().__init__(sparsities=points.tolist(), **tables, **start, scope=scopes[0] if scope is None else scope, **traits)

    def __repr__(self):
        """Say what stands here, for places that show no widgets, such as a notebook's preview."""
        return "A slider over a network pruned further and further: move it here, or run this cell in JupyterLab, Colab or Binder."


def _table(name: str, table, points: int) -> tuple[list[str], list[str], np.ndarray]:
    """Return the names of the scopes, those of the rows, which all scopes have in one order, and the numbers, (scopes, rows, points)."""
    if not isinstance(table, Mapping) or not table or not all(isinstance(rows, Mapping) and rows for rows in table.values()):
        checks.refuse(name, "{scope: {name: values}} with at least one scope and one name", checks.shown(table))
    scopes, first = named(f"the scopes of {name}", table), next(iter(table.values()))
    for scope, rows in table.items():
        if list(rows) != list(first):
            checks.refuse(f"{name}[{scope!r}]", f"a table with the names {', '.join(map(str, first))}", ", ".join(map(str, rows)))
    numbers = [
        [checks.array(f"{name}[{scope!r}][{row!r}]", values, (points,), dtype=np.float64) for row, values in rows.items()]
        for scope, rows in table.items()
    ]
    return scopes, named(f"the names in {name}", first), np.array(numbers)

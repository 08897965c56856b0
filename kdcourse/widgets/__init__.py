"""The course's widgets: each one's Python, JavaScript and CSS lie side by side here; files with an underscore are shared.

A widget is loaded when it is first asked for, so that one which needs the page only does not pay for another which needs more.
"""

import importlib

_HOMES = {
    "BitWidthExplorer": "bit_width_explorer",
    "LossExplorer": "loss_explorer",
    "ParetoExplorer": "pareto_explorer",
    "SparsityCurves": "sparsity_curves",
    "SparsityExplorer": "sparsity_explorer",
    "TemperatureExplorer": "temperature_explorer",
    "TextExplorer": "text_explorer",
}

__all__ = [*_HOMES]


def __getattr__(name: str):
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__():
    return sorted([*globals(), *_HOMES])

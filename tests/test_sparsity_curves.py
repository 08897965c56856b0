"""The sparsity curves' Python side: what they send to the page, and how they refuse what they cannot show."""

import copy

import numpy as np
import pytest
from explorers import loads_nothing_heavy, refuses, refuses_traits

from kdcourse.widgets import SparsityCurves

SPARSITIES = [0, 50, 90, 99]
ACCURACY = {
    "by layer": {"before fine-tuning": [0.99, 0.98, 0.5, 0.1], "after fine-tuning": [0.99, 0.99, 0.97, 0.6]},
    "global": {"before fine-tuning": [0.99, 0.98, 0.7, 0.2], "after fine-tuning": [0.99, 0.99, 0.98, 0.8]},
}
SIZES = {
    "by layer": {"raw float32": [4000] * 4, "bitmask": [4125, 2125, 525, 165]},
    "global": {"raw float32": [4000] * 4, "bitmask": [4125, 2125, 525, 164]},
}


def test_state_holds_what_was_given():
    arrays = {scope: {name: np.array(sizes) for name, sizes in formats.items()} for scope, formats in SIZES.items()}
    state = SparsityCurves(np.array(SPARSITIES), ACCURACY, arrays, sparsity=90, scope="global").get_state()
    assert (state["sparsities"], state["scopes"]) == (SPARSITIES, ["by layer", "global"])
    assert (state["curves"], state["formats"]) == (["before fine-tuning", "after fine-tuning"], ["raw float32", "bitmask"])
    assert state["accuracy"] == [list(rows.values()) for rows in ACCURACY.values()]
    assert state["sizes"] == [list(rows.values()) for rows in SIZES.values()]
    assert (state["selected"], state["scope"]) == (2, "global")
    assert all(type(size) is int for size in state["sizes"][1][1])


def test_it_starts_at_the_first_point_and_scope():
    curves = SparsityCurves(SPARSITIES, ACCURACY, SIZES)
    assert (curves.selected, curves.scope) == (0, "by layer")
    told = "A slider over a network pruned further and further: move it here, or run this cell in JupyterLab, Colab or Binder."
    assert repr(curves) == told


def accuracy(value, scope="global", curve="after fine-tuning"):
    changed = copy.deepcopy(ACCURACY)
    changed[scope][curve] = value
    return {"accuracy": changed}


def sizes(value):
    changed = copy.deepcopy(SIZES)
    changed["global"]["bitmask"] = value
    return {"sizes": changed}


POINTS = "sparsities must be at least 2 ascending values in per cent, from 0 to below 100, got"
TABLE = "must be {scope: {name: values}} with at least one scope and one name, got"
BYTES = "sizes must be whole numbers of bytes from 1 to 2**53, got"
LATER = "accuracy['global']['after fine-tuning'] must"
BAD = [
    ({"sparsities": [50]}, f"{POINTS} [50.0]"),
    ({"sparsities": [0, 90, 50, 99]}, f"{POINTS} [0.0, 90.0, 50.0, 99.0]"),
    ({"sparsities": [0, 50, 50, 99]}, POINTS),
    ({"sparsities": [0, 50, 90, 100]}, POINTS),
    ({"sparsities": [-1, 50, 90, 99]}, POINTS),
    ({"sparsities": ["a", "b"]}, "sparsities must ... numbers ... got ['a', 'b']"),
    ({"accuracy": [0.5]}, f"accuracy {TABLE} [0.5]"),
    ({"sizes": {}}, f"sizes {TABLE} {{}}"),
    ({"accuracy": {"global": [1, 1, 1, 1]}}, f"accuracy {TABLE}"),
    ({"sizes": {"global": SIZES["global"]}}, "sizes must ... the scopes of accuracy, by layer, global, got global"),
    ({"sizes": {1: SIZES["global"], "1": SIZES["global"]}}, "the scopes of sizes must ... got '1' more than once"),
    (
        accuracy([1, 1, 1, 1], curve="later"),
        "accuracy['global'] must be a table with the names before fine-tuning, after fine-tuning, got before",
    ),
    (accuracy([1, 1]), f"{LATER} ... (4,), got ...(2,)"),
    (accuracy([1, 1, float("nan"), 1]), f"{LATER} ...finite, got ... 1 of 4"),
    (accuracy([99, 98, 97, 60]), "accuracy must be shares in 0..1, got values from 0.1 to 99"),
    (
        {"accuracy": {scope: {name: [1] * 4 for name in "abcde"} for scope in SIZES}},
        "accuracy must be a table with at most 4 curves, got 5",
    ),
    (sizes([4, 3, 2, 0]), f"{BYTES} 0"),
    (sizes([4, 3, 2, 1.5]), f"{BYTES} 1.5"),
    (sizes([2**63, 3, 2, 1]), f"{BYTES} 9.22337e+18"),
    ({"sparsity": 51}, "sparsity must be one of [0.0, 50.0, 90.0, 99.0], got 51"),
    ({"scope": "layer"}, "scope must ... by layer, global, got 'layer'"),
]


@pytest.mark.parametrize(("change", "message"), BAD)
def test_bad_input_is_one_clear_sentence(change, message):
    refuses(message, SparsityCurves, **{"sparsities": SPARSITIES, "accuracy": ACCURACY, "sizes": SIZES} | change)


def test_bad_traits_are_refused_and_the_old_value_stays():
    curves = SparsityCurves(SPARSITIES, ACCURACY, SIZES, sparsity=50)
    cases = [("selected", 4, "selected must ... 0..3, got 4"), ("scope", "all", "scope must ... by layer, global, got 'all'")]
    refuses_traits(curves, cases)


def test_using_it_loads_nothing_heavy():
    assert loads_nothing_heavy("curves")

"""The sparsity curves' Python side: what they send to the page, and how they refuse what they cannot show."""

import copy
import re
import subprocess
import sys

import numpy as np
import pytest
import traitlets

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
    curves = SparsityCurves(np.array(SPARSITIES), ACCURACY, arrays, sparsity=90, scope="global")
    state = curves.get_state()
    assert (state["sparsities"], state["accuracy"], state["sizes"]) == (SPARSITIES, ACCURACY, SIZES)
    assert (state["selected"], state["scope"]) == (2, "global")
    assert all(type(size) is int for size in state["sizes"]["global"]["bitmask"])


def test_it_starts_at_the_first_point_and_scope():
    curves = SparsityCurves(SPARSITIES, ACCURACY, SIZES)
    assert (curves.selected, curves.scope) == (0, "by layer")
    told = "A slider over a network pruned further and further: move it here, or run this cell in JupyterLab, Colab or Binder."
    assert repr(curves) == told


def accuracy(value, scope="global", curve="after fine-tuning"):
    changed = copy.deepcopy(ACCURACY)
    changed[scope][curve] = value
    return {"accuracy": changed}


def sizes(value, scope="global", name="bitmask"):
    changed = copy.deepcopy(SIZES)
    changed[scope][name] = value
    return {"sizes": changed}


POINTS = "sparsities must be at least 2 ascending values in per cent, from 0 to below 100, got"
BAD = {
    "one point": ({"sparsities": [50]}, f"{POINTS} [50.0]"),
    "falling": ({"sparsities": [0, 90, 50, 99]}, f"{POINTS} [0.0, 90.0, 50.0, 99.0]"),
    "twice": ({"sparsities": [0, 50, 50, 99]}, POINTS),
    "all cut": ({"sparsities": [0, 50, 90, 100]}, POINTS),
    "negative": ({"sparsities": [-1, 50, 90, 99]}, POINTS),
    "text": ({"sparsities": ["a", "b"]}, "sparsities must be a list of numbers, got ['a', 'b']"),
    "number": ({"sparsities": 50}, "sparsities must be a list of finite numbers, got 50"),
    "no table": ({"accuracy": [0.5]}, "accuracy must be {scope: {name: values}} with at least one scope and one name, got [0.5]"),
    "no scope": ({"sizes": {}}, "sizes must be {scope: {name: values}} with at least one scope and one name, got {}"),
    "flat": ({"accuracy": {"global": [1, 1, 1, 1]}}, "accuracy must be {scope: {name: values}} with at least one scope and one name, got"),
    "scopes": ({"sizes": {"global": SIZES["global"]}}, "sizes must have the scopes of accuracy, ['by layer', 'global'], got ['global']"),
    "curve names": (accuracy([1, 1, 1, 1], curve="later"), "accuracy must have the same names in every scope, ['before fine"),
    "curve length": (accuracy([1, 1]), "accuracy['global']['after fine-tuning'] must have one value for each of the 4 sparsities, got 2"),
    "per cent": (accuracy([99, 98, 97, 60]), "accuracy['global']['after fine-tuning'] must be in 0..1, got values from 60 to 99"),
    "nan": (accuracy([1, 1, float("nan"), 1]), "accuracy['global']['after fine-tuning'] must be a list of finite numbers, got"),
    "many curves": (
        {"accuracy": {scope: {name: [1] * 4 for name in "abcde"} for scope in SIZES}},
        "accuracy['by layer'] must have at most 4 curves, got 5",
    ),
    "size length": (sizes([1]), "sizes['global']['bitmask'] must have one value for each of the 4 sparsities, got 1"),
    "size zero": (sizes([4, 3, 2, 0]), "sizes['global']['bitmask'] must be positive whole numbers of bytes, got [4.0, 3.0, 2.0, 0.0]"),
    "half a byte": (sizes([4, 3, 2, 1.5]), "sizes['global']['bitmask'] must be positive whole numbers of bytes, got"),
    "sparsity": ({"sparsity": 51}, "sparsity must be one of [0.0, 50.0, 90.0, 99.0], got 51"),
    "scope": ({"scope": "layer"}, "scope must be one of ['by layer', 'global'], got 'layer'"),
}


@pytest.mark.parametrize(("change", "message"), BAD.values(), ids=BAD)
def test_bad_input_is_one_clear_sentence(change, message):
    arguments = {"sparsities": SPARSITIES, "accuracy": ACCURACY, "sizes": SIZES} | change
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        SparsityCurves(**arguments)
    assert "\n" not in str(caught.value)


def test_bad_traits_are_refused_and_the_old_value_stays():
    curves = SparsityCurves(SPARSITIES, ACCURACY, SIZES, sparsity=50)
    with pytest.raises(traitlets.TraitError, match=re.escape("selected must be in 0..3, got 4")):
        curves.selected = 4
    with pytest.raises(traitlets.TraitError, match=re.escape("scope must be one of ['by layer', 'global'], got 'all'")):
        curves.scope = "all"
    assert (curves.selected, curves.scope) == (1, "by layer")


def test_using_it_does_not_load_tensorflow():
    code = (
        "import sys; from kdcourse.widgets import SparsityCurves\n"
        "SparsityCurves([0, 50], {'global': {'before': [1, 0.5]}}, {'global': {'raw': [8, 8]}})\n"
        "print([name for name in ('tensorflow', 'keras', 'matplotlib') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"

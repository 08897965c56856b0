"""The table of what is refused, and in which sentence: tested here once for all functions that ask `checks`."""

import math
from fractions import Fraction

import numpy as np
import pytest

from kdcourse import checks as c

A = np.arange(6.0).reshape(2, 3)


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (lambda: c.whole("n", 3), 3),
        (lambda: c.whole("n", np.int64(3)), 3),
        (lambda: c.whole("n", np.uint8(0), 0), 0),
        (lambda: c.whole("n", 5, 1, 5), 5),
        (lambda: c.number("x", 2), 2.0),
        (lambda: c.number("x", np.float32(0.5), 0, 1), 0.5),
        (lambda: c.number("x", Fraction(1, 4), 0, 1), 0.25),
        (lambda: c.number("x", -3), -3.0),
        (lambda: c.choice("by", "b", ("a", "b")), "b"),
        (lambda: c.choice("by", "b", {"a": 1, "b": 2}), "b"),
        (lambda: c.names("layers", ("a", "b"), {"a": 1, "b": 2}), ["a", "b"]),
        (lambda: c.names("layers", [], least=0), []),
        (lambda: c.same_rows(a=A, b=[1, 2]), 2),
    ],
)
def test_what_is_allowed_comes_back_as_one_type(call, expected):
    found = call()
    assert found == expected and type(found) is type(expected)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: c.require(False, "n must be even, got 1"), "n must be even, got 1"),
        (lambda: c.whole("n", True), "n must be an integer >= 1, got True"),
        (lambda: c.whole("n", np.True_), "n must be an integer >= 1, got np.True_"),
        (lambda: c.whole("n", 2.0), "n must be an integer >= 1, got 2.0"),
        (lambda: c.whole("n", "2"), "n must be an integer >= 1, got '2'"),
        (lambda: c.whole("n", None), "n must be an integer >= 1, got None"),
        (lambda: c.whole("n", 0), "n must be an integer >= 1, got 0"),
        (lambda: c.whole("n", 6, 1, 5), "n must be an integer in 1..5, got 6"),
        (lambda: c.whole("n", -1, 0, what="a number of updates"), "n must be an integer >= 0, a number of updates, got -1"),
        (lambda: c.number("x", math.nan), "x must be one number that is finite, got nan"),
        (lambda: c.number("x", 10**400, 0), "x must be one number >= 0 and finite, got 1000000000"),
        (lambda: c.number("x", 0, 0, open_low=True), "x must be one number > 0 and finite, got 0"),
        (lambda: c.number("x", math.inf, 0, open_low=True), "x must be one number > 0 and finite, got inf"),
        (lambda: c.number("x", 1, 0, 1, open_high=True), r"x must be one number in \[0, 1\), got 1"),
        (lambda: c.number("x", 1.5, 0, 1, what="the share of zeros"), r"x must be one number in \[0, 1\], the share of zeros, got 1.5"),
        (lambda: c.number("x", True, 0), "x must be one number >= 0 and finite, got True"),
        (lambda: c.number("x", "1", 0), "x must be one number >= 0 and finite, got '1'"),
        (lambda: c.number("x", [1], 0), r"x must be one number >= 0 and finite, got \[1\]"),
        (lambda: c.number("x", 1j, 0), r"x must be one number >= 0 and finite, got 1j"),
        (lambda: c.choice("by", "c", ("a", "b")), "by must be one of a, b, got 'c'"),
        (lambda: c.choice("by", ["a"], ("a", "b")), r"by must be one of a, b, got \['a'\]"),
        (lambda: c.choice("by", None, ("a", "b")), "by must be one of a, b, got None"),
        (lambda: c.array("x", [[1, 2], [3]], ("examples", ...)), r"x must be numbers in an array, got \[\[1, 2\], \[3\]\]"),
        (lambda: c.array("x", ["a"], ("examples", ...)), r"x must be numbers in an array, got \['a'\]"),
        (lambda: c.array("x", np.array(["a"]), ("examples", ...)), "x must be numbers in an array, got type <U1"),
        (lambda: c.array("x", np.ma.masked_less(A, 2), (2, 3)), "x must be an array without a mask, which would be lost, got a masked one"),
        (lambda: c.array("x", A, ("examples",)), r"x must have shape \(examples,\), got shape \(2, 3\)"),
        (lambda: c.array("x", A, ("examples", 4)), r"x must have shape \(examples, 4\), got shape \(2, 3\)"),
        (lambda: c.array("x", 3.0, ("examples", ...)), r"x must have shape \(examples, ...\), got shape \(\)"),
        (lambda: c.array("x", A[:0], ("examples", 3)), r"x must have shape \(examples, 3\), examples at least 1, got shape \(0, 3\)"),
        (lambda: c.array("x", A, (2, 3), kind="integers"), "x must be integers in an array, got type float64"),
        (lambda: c.array("x", [[1, 2]], (1, 2), kind="floats"), "x must be floats in an array, got type int64"),
        (lambda: c.array("x", A * np.nan, (2, 3)), "x must be finite, got NaN or infinity in 6 of 6 places"),
        (lambda: c.array("x", [1e39], (1,), dtype="float32"), r"x must be within the range of float32, got 1e\+39"),
        (lambda: c.labels("y", [[1]], 3), r"y must be a vector of integers, got shape \(1, 1\) and type int64"),
        (lambda: c.labels("y", [], 3), r"y must be a vector of integers, got shape \(0,\) and type float64"),
        (lambda: c.labels("y", [1.0], 3), r"y must be a vector of integers, got shape \(1,\) and type float64"),
        (lambda: c.labels("y", ["1"], 3, 1), r"y must be a vector of 1 integers, got shape \(1,\) and type <U1"),
        (lambda: c.labels("y", [True], 3), r"y must be a vector of integers, got shape \(1,\) and type bool"),
        (lambda: c.labels("y", [1, 2], 3, 3), r"y must be a vector of 3 integers, got shape \(2,\)"),
        (lambda: c.labels("y", [3], 3), r"y must be in 0..2, got 3"),
        (lambda: c.labels("y", [-1], 3), r"y must be in 0..2, got -1"),
        (lambda: c.labels("y", [-2], 3, unknown=True), r"y must be in 0..2, or -1 for no label, got -2"),
        (lambda: c.same_rows(a=A, b=[1]), "b must be as long as a, with a row for each of its 2, got 1"),
        (lambda: c.same_rows(a=A[:0], b=[]), r"a must be an array with at least 1 row, got shape \(0, 3\)"),
        (lambda: c.same_rows(a=3, b=[]), r"a must be an array with at least 1 row, got shape \(\)"),
        (lambda: c.names("layers", "ab"), "layers must be a list of strings that are not empty, at least 1, got 'ab'"),
        (lambda: c.names("layers", None, least=0), "layers must be a list of strings that are not empty, got None"),
        (lambda: c.names("layers", ["a", " "]), r"layers must be a list of strings that are not empty, at least 1, got \['a', ' '\]"),
        (lambda: c.names("layers", [1]), r"layers must be a list of strings that are not empty, at least 1, got \[1\]"),
        (lambda: c.names("layers", ["c"], ["a", "b"]), "layers must be names out of a, b, got 'c'"),
        (lambda: c.names("layers", ["a", "a"]), "layers must be different names, got 'a' more than once"),
    ],
)
def test_the_sentence_of_every_refusal(call, message):
    with pytest.raises(ValueError, match=f"^{message}") as caught:
        call()
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 300


def test_arrays_keep_their_type_or_get_the_one_asked_for():
    x = np.arange(3, dtype=np.uint8)
    assert c.array("x", x, ("examples",)) is x
    assert c.array("x", x, ("examples", ...), dtype=np.float64).dtype == np.float64
    assert c.array("x", [True, False], (2,)).dtype == bool
    assert c.labels("y", x, 3).dtype == np.int64 and c.labels("y", np.array([-1]), 3, unknown=True).tolist() == [-1]


def test_labels_need_no_more_memory_for_more_classes():
    import tracemalloc

    tracemalloc.start()
    c.labels("y", np.zeros(4, int), 10**9)
    assert tracemalloc.get_traced_memory()[1] < 100_000
    tracemalloc.stop()

"""Which points dominate which, against the definition and by hand; points made from records."""

import math

import pytest
from explorers import refuses
from hypothesis import given
from hypothesis import strategies as st

from kdcourse import evidence, pareto


def points(*triples):
    return [{"name": name, "bytes": size, "accuracy": accuracy} for name, size, accuracy in triples]


FOUR = points(("teacher", 400, 0.99), ("student", 100, 0.97), ("pruned", 100, 0.95), ("tiny", 10, 0.9))


def test_dominated_by_hand():
    assert pareto.dominated(FOUR, "bytes") == {"teacher": [], "student": [], "pruned": ["student"], "tiny": []}
    worse = [*FOUR, *points(("worse", 500, 0.94))]
    assert pareto.dominated(worse, "bytes")["worse"] == ["teacher", "student", "pruned"]
    assert pareto.front(worse, "bytes") == ["tiny", "student", "teacher"]


def test_equal_points_do_not_dominate_each_other():
    assert pareto.dominated(points(("a", 1, 0.5), ("b", 1, 0.5)), "bytes") == {"a": [], "b": []}
    assert pareto.dominated(points(("a", 1, 0.5), ("b", 1, 0.6)), "bytes") == {"a": ["b"], "b": []}
    assert pareto.dominated(points(("a", 1, 0.5), ("b", 2, 0.5)), "bytes") == {"a": [], "b": ["a"]}


@given(st.lists(st.tuples(st.integers(1, 5), st.integers(0, 4)), min_size=1, max_size=12))
def test_dominance_is_an_order_and_the_front_is_a_staircase(pairs):
    made = points(*((str(i), size, right / 4) for i, (size, right) in enumerate(pairs)))
    by, at = pareto.dominated(made, "bytes"), {point["name"]: point for point in made}
    for name, above in by.items():
        assert name not in above
        assert all(set(by[other]) <= set(above) for other in above)  # who beats the better one beats this one, too
    front = [at[name] for name in pareto.front(made, "bytes")]
    assert {point["name"] for point in front} == {name for name, above in by.items() if not above} != set()
    steps = [(point["bytes"], point["accuracy"]) for point in front]
    assert steps == sorted(steps)
    assert all(set(above) & {point["name"] for point in front} for above in by.values() if above)


def test_each_cost_and_quality_has_its_own_front():
    two = [{"name": "a", "bytes": 1, "ms": 2, "recall": 0.5}, {"name": "b", "bytes": 2, "ms": 1, "recall": 0.5}]
    assert pareto.dominated(two, "bytes", "recall") == {"a": [], "b": ["a"]}
    assert pareto.dominated(two, "ms", "recall") == {"a": ["b"], "b": []}


def test_within_a_budget():
    assert pareto.within(FOUR, {"bytes": 100, "accuracy": 0.95}) == ["student", "pruned"]
    assert pareto.within(FOUR, {"bytes": 99.5}) == ["tiny"]
    assert pareto.within(FOUR, {"accuracy": 0.995}) == []
    assert pareto.within(points(("a", 1, 0.3 - 1e-16)), {"accuracy": 0.1 + 0.2}) == ["a"]  # the same number but for rounding


def record(seeds=5, **about):
    values = {"student": [0.96, 0.97, 0.98, 0.97, 0.97][:seeds], "all right": [1.0, 0.999, 1.0, 1.0, 1.0][:seeds]}
    known = {"experiment": "x", "metric": "accuracy", "unit": "percent", "higher_is_better": True, "compare": []}
    return evidence.Record(known | {"seeds": list(range(seeds)), "values": values} | about)


SIZES = {"student": 33_000, "all right": 270_000, "another": 1}


def test_points_of_records():
    times = record(unit="ms", higher_is_better=False, values={"student": [1, 3, 2, 2, 2], "all right": [4] * 5})
    student, right = pareto.points_of(record(), {"bytes": SIZES, "ms": times})
    mean, low, high = evidence.paired_interval([0.96, 0.97, 0.98, 0.97, 0.97])
    assert student == {"name": "student", "accuracy": mean, "low": low, "high": high, "seeds": 5, "bytes": 33_000, "ms": 2}
    assert (right["name"], right["high"], right["ms"]) == ("all right", 1, 4)  # its t interval ends above 1
    (alone,) = pareto.points_of(record(), {"bytes": SIZES}, "share", ["all right"])
    assert alone["share"] == pytest.approx(0.9998) and math.isclose(alone["bytes"], 270_000)


def test_points_of_few_seeds_have_no_interval():
    assert [(point["low"], point["high"], point["seeds"]) for point in pareto.points_of(record(4), {"bytes": SIZES})] == [
        (None, None, 4)
    ] * 2


def test_points_of_the_course_s_own_records():
    accuracy, size = evidence.load("accuracy_on_the_way"), evidence.load("bytes_on_the_way")
    found = pareto.points_of(accuracy, {"kB": size})
    assert [point["kB"] for point in found] == list(size.means.values())
    assert pareto.dominated(found, "kB")["pruned"] == ["quantized"]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: pareto.points_of(record(), {"bytes": {"student": 1}}),
            "costs['bytes'] must be a cost of every variant, got none of 'all right'",
        ),
        (lambda: pareto.points_of(record(), {"x": record()}), "costs['x'] must be a record where less is better, got 'x', where more is"),
        (
            lambda: pareto.points_of(record(unit="ms"), {"bytes": SIZES}),
            "record must be one of shares, ... got unit 'ms' where more is better",
        ),
        (lambda: pareto.points_of(record(higher_is_better=False), {"bytes": SIZES}), "record must ... got ... where less is better"),
        (lambda: pareto.points_of(record(), {}), "costs must be {name of the cost: ...}, at least one, got {}"),
        (lambda: pareto.points_of(record(), {"bytes": 5}), "costs['bytes'] must be a record, or {variant: number}, got 5"),
        (lambda: pareto.points_of(record(), {"bytes": SIZES}, variants=["pupil"]), "variants must be ... student, all right, got 'pupil'"),
        (lambda: pareto.dominated([], "bytes"), "points must be a list of dicts, at least one, got []"),
        (lambda: pareto.dominated({"a": 1}, "bytes"), "points must be a list of dicts, at least one, got {'a': 1}"),
        (lambda: pareto.dominated([("a", 1, 0.5)], "bytes"), "points must be a list of dicts, at least one, got [('a', 1, 0.5)]"),
        (lambda: pareto.dominated(points(("a", 1, 1), ("a", 2, 1)), "bytes"), "the names of points must ... different names, got 'a' more"),
        (lambda: pareto.dominated(points(("", 1, 1)), "bytes"), "the names of points must be a list of strings that are not empty"),
        (lambda: pareto.dominated(FOUR, "ms"), "ms of 'teacher' must be one number > 0 and finite, got None"),
        (lambda: pareto.dominated(points(("a", 0, 1)), "bytes"), "bytes of 'a' must be one number > 0 and finite, got 0"),
        (lambda: pareto.dominated(points(("a", 1, 98.5)), "bytes"), "accuracy of 'a' must be one number in [0, 1], got 98.5"),
        (
            lambda: pareto.dominated(FOUR, "accuracy"),
            "quality and costs must be different keys other than name, low, high, seeds, got 'accuracy'",
        ),
        (lambda: pareto.dominated(FOUR, "low"), "quality and costs must be different keys ... got 'low'"),
        (
            lambda: pareto.dominated([FOUR[0] | {"low": 0.995, "high": 1}], "bytes"),
            "low of 'teacher' must be one number in [0, 0.99], up to its",
        ),
        (lambda: pareto.dominated([FOUR[0] | {"low": 0.98}], "bytes"), "high of 'teacher' must be one number in [0.99, 1], ... got None"),
        (lambda: pareto.dominated([FOUR[0] | {"seeds": 0}], "bytes"), "seeds of 'teacher' must be an integer >= 1, got 0"),
        (lambda: pareto.within(FOUR, {}), "budget must be {name: limit} with names out of accuracy, at least one, got {}"),
        (lambda: pareto.within(FOUR, {"bytes": -1}), "budget['bytes'] must be one number > 0 and finite, got -1"),
        (lambda: pareto.within(FOUR, {"accuracy": 99}), "budget['accuracy'] must be one number in [0, 1], got 99"),
    ],
)
def test_bad_input_is_one_clear_sentence(call, message):
    refuses(message, call)

"""The Pareto explorer's Python side: what it sends to the page, and how it refuses what it cannot show."""

import pytest
from explorers import loads_nothing_heavy, refuses, refuses_traits

from kdcourse.widgets import ParetoExplorer

POINTS = [
    {"name": "teacher", "accuracy": 0.99, "low": 0.985, "high": 0.995, "bytes": 400, "ms": 2.5},
    {"name": "student", "accuracy": 0.97, "bytes": 100, "ms": 3},
]
COSTS = {"bytes": "bytes of the file", "ms": "time of one image (ms)"}


def explorer(**changes):
    return ParetoExplorer(**{"points": POINTS, "costs": COSTS} | changes)


def test_state_holds_what_was_given():
    state = explorer(budget={"accuracy": 0.98, "ms": 3}, cost="ms", selected="student").get_state()
    assert state["points"] == [POINTS[0], POINTS[1] | {"low": None, "high": None}]
    assert state["costs"] == [["bytes", "bytes of the file"], ["ms", "time of one image (ms)"]]
    assert [state[name] for name in ("quality", "cost", "selected", "limits")] == ["accuracy", "ms", "student", ["ms", "accuracy"]]
    assert state["budget"] == {"ms": 3, "accuracy": 0.98}


def test_it_starts_with_the_first_point_and_cost_and_without_a_budget():
    shown = explorer()
    assert (shown.cost, shown.selected, shown.budget, shown.limits) == ("bytes", "teacher", None, [])
    assert "run this cell" in repr(shown)


def test_traits_can_be_set_and_observed():
    shown, heard = explorer(budget={"bytes": 100, "accuracy": 0.98}), []
    shown.observe(lambda change: heard.append((change.name, change.new)), ["cost", "selected", "budget"])
    shown.cost, shown.selected, shown.budget = "ms", "student", {"accuracy": 0.5, "bytes": 7}
    assert heard == [("cost", "ms"), ("selected", "student"), ("budget", {"bytes": 7, "accuracy": 0.5})]


def test_another_quality():
    shown = explorer(points=[{"name": "a", "recall": 0.5, "bytes": 1}], costs={"bytes": "bytes"}, quality="recall", budget={"recall": 0.4})
    assert (shown.quality, shown.limits, shown.points[0]["recall"]) == ("recall", ["recall"], 0.5)


BAD = [
    ({"points": []}, "points must be a list of dicts, at least one, got []"),
    ({"points": [{"name": "a", "accuracy": 0.5, "bytes": 1}]}, "ms of 'a' must be one number > 0 and finite, got None"),
    ({"points": [POINTS[0] | {"accuracy": 99}]}, "accuracy of 'teacher' must be one number in [0, 1], got 99"),
    ({"points": [POINTS[0] | {"name": str(i)} for i in range(61)]}, "points must be at most 60, got 61"),
    ({"costs": {}}, "costs must be {key: title}, at least one, got {}"),
    ({"costs": ["bytes"]}, "costs must be {key: title}, at least one, got ['bytes']"),
    ({"costs": {"bytes": " "}}, "costs must be {key: title}, at least one, got {'bytes': ' '}"),
    ({"costs": {"accuracy": "accuracy"}}, "quality and costs must be different keys ... got 'accuracy'"),
    ({"budget": {}}, "budget must be {name: limit} with names out of bytes, ms, accuracy, at least one, got {}"),
    ({"budget": {"MACs": 5}}, "budget must be ... bytes, ms, accuracy, at least one, got {'MACs': 5}"),
    ({"budget": {"ms": 0}}, "budget['ms'] must be one number > 0 and finite, got 0"),
    ({"cost": "MACs"}, "cost must be one of bytes, ms, got 'MACs'"),
    ({"selected": "pupil"}, "selected must be one of teacher, student, got 'pupil'"),
]


@pytest.mark.parametrize(("change", "message"), BAD)
def test_bad_input_is_one_clear_sentence(change, message):
    refuses(message, explorer, **change)


def test_bad_traits_are_refused_and_the_old_value_stays():
    cases = [
        ("cost", "MACs", "cost must be one of bytes, ms, got 'MACs'"),
        ("selected", 0, "selected must be one of teacher, student, got 0"),
        ("budget", {"bytes": 5}, "budget must be {name: limit} with the names bytes, accuracy, got {'bytes': 5}"),
        ("budget", {"bytes": 5, "ms": 1}, "budget must be ... names out of bytes, accuracy, ... got {'bytes': 5, 'ms': 1}"),
        ("budget", {"bytes": 5, "accuracy": 2}, "budget['accuracy'] must be one number in [0, 1], got 2"),
        ("budget", None, "budget must be ... got None"),
    ]
    refuses_traits(explorer(budget={"bytes": 100, "accuracy": 0.9}), cases)
    refuses_traits(
        explorer(), [("budget", {"bytes": 5}, "budget must be None, because this explorer began without a budget, got {'bytes'")]
    )


def test_using_it_loads_nothing_heavy():
    assert loads_nothing_heavy("pareto")

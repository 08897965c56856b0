"""Ticks and names: each has its place, and none touches another."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdcourse import placing


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ([1000], [500, 1000, 2000]),
        ([1100, 1900], [1000, 2000]),
        ([7.9, 1080], [5, 10, 20, 50, 100, 200, 500, 1000, 2000]),
        ([0.3], [0.2, 0.5]),
    ],
)
def test_rungs_by_hand(values, wanted):
    assert placing.rungs(values) == wanted


@given(st.lists(st.floats(1e-9, 1e12), min_size=1, max_size=5))
def test_all_values_lie_between_the_first_rung_and_the_last(values):
    rungs = placing.rungs(values)
    assert rungs[0] < min(values) <= max(values) < rungs[-1] and rungs == sorted(set(rungs))
    assert 0 < placing.along(min(values), rungs) < 1


def test_labels_of_ticks_do_not_touch_and_the_ends_stay():
    ticks = placing.rungs([5, 1e7])
    kept = placing.apart(ticks, lambda tick: f"{tick:,.0f}", 6)
    assert kept[0] == ticks[0] and kept[-1] == ticks[-1] and 4 < len(kept) < len(ticks)
    half = [placing.text_width(f"{tick:,.0f}") / 2 for tick in kept]
    places = [6 * placing.along(tick, ticks) for tick in kept]
    assert all(b - a > one + other for a, b, one, other in zip(places, places[1:], half, half[1:], strict=False))


def test_an_axis_of_shares_by_hand():
    assert placing.shares([70, 75, 78], []) == placing.Shares([70, 72, 74, 76, 78], False)
    assert placing.shares([90, 97.6], []) == placing.Shares([80, 90, 95, 98], True)  # errors from 10 to 2.4
    assert placing.shares([90, 97.4], []).stretched is False  # 10 to 2.6
    assert placing.shares([100], []) == placing.Shares([99.95, 99.96, 99.97, 99.98, 99.99, 100], False)
    assert placing.shares([98, 99], [100]).ticks[-1] == 100  # of an interval


@given(st.lists(st.floats(0, 100), min_size=1, max_size=8))
def test_every_share_has_its_place_on_its_axis(means):
    axis = placing.shares(means, [])
    assert 2 <= len(axis.ticks) < 15 and axis.ticks == sorted(set(axis.ticks))
    places = [axis.place(mean) for mean in sorted(means)]
    assert min(places) >= -1e-9 and max(places) <= 1 + 1e-9 and (np.diff(places) >= 0).all()
    assert [axis.place(axis.ticks[0]), axis.place(axis.ticks[-1])] == pytest.approx([0, 1])


@pytest.mark.parametrize("seed", range(30))
def test_names_touch_nothing_in_a_crowd(seed):
    rng, room, bar = np.random.default_rng(seed), (0, 0, 4, 3), (1.9, 0, 2.1, 3)
    crowd = rng.uniform((0.4, 0.4), (3.6, 2.6), (1, 2)) + rng.normal(0, 0.3, (12, 2))
    spots = {f"network {i}": tuple(spot) for i, spot in enumerate(crowd.clip((0.2, 0.2), (3.8, 2.8)).tolist())}
    found = placing.names_beside(spots, [bar], room)
    boxes = [place.box for place in found.values()]
    dots = [(x - placing.DOT, y - placing.DOT, x + placing.DOT, y + placing.DOT) for x, y in spots.values()]

    def apart(one, other):
        return one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]

    for i, box in enumerate(boxes):
        assert all(apart(box, other) for other in (*boxes[:i], *dots, bar))
        assert box[0] > 0 and box[1] > 0 and box[2] < 4 and box[3] < 3
    lines = [np.linspace(*np.array(place.line), 20)[1:-1] for place in found.values() if place.line]
    for x, y in (point for line in lines for point in line):
        assert not any(left < x < right and bottom < y < top for left, bottom, right, top in boxes)  # no line goes through a name
    ends = {name: np.array(place.line) for name, place in found.items() if place.line}
    for name, (start, end) in ends.items():
        assert min(spots, key=lambda other: np.hypot(*(start - spots[other]))) == name  # it begins at its own dot
        for other, (first, last) in ends.items():
            if other != name and abs(np.linalg.det([end - start, first - last])) > 1e-9:
                one, two = np.linalg.solve(np.transpose([end - start, first - last]), first - start)
                assert not (0 < one < 1 and 0 < two < 1)  # no line crosses another


def test_a_name_stands_beside_its_dot_or_has_a_line_to_it():
    alone = placing.names_beside({"a": (1, 1)}, [], (0, 0, 3, 3))["a"]
    assert alone.line is None and alone.box[0] == pytest.approx(1.1) and alone.box[1] < 1 < alone.box[3]
    crowded = placing.names_beside({"a": (1, 1)}, [(0.8, 0.8, 1.5, 1.2), (0.5, 0.9, 0.9, 1.1)], (0, 0, 3, 3))["a"]
    start, end = np.array(crowded.line)
    assert np.hypot(*(start - 1)) == pytest.approx(placing.NEAR) and np.hypot(*(end - 1)) > 0.2
    assert placing.names_beside({"a": (1, 1)}, [(0, 0, 3, 3)], (0, 0, 3, 3)) == {}  # no place at all

"""The Pareto explorer in a bare page, without a kernel: what it says is what kdcourse.pareto says."""

import numpy as np
import pytest
from browser import show
from explorers import numbers, put

from kdcourse import pareto, placing
from kdcourse.widgets import ParetoExplorer

pytestmark = pytest.mark.browser

COSTS = {"bytes": "bytes of the file", "ms": "time of one image (ms)"}
ROWS = [
    ("teacher", 1_080_000, 3.1, 0.988, 0.003),
    ("student", 135_000, 0.62, 0.9835, 0.002),
    ("student, int8", 40_000, 0.31, 0.9832, 0.002),
    ("pruned", 62_000, 0.6, 0.9818, 0.002),
    ("smaller network", 40_000, 0.2, 0.978, 0.003),  # as many bytes as another
    ("same as it", 40_000, 0.2, 0.978, 0.003),  # equal in all
    ("4 values", 12_500, 0.61, 0.961, 0.006),
    ("linear", 7_900, 0.02, 0.915, 0.001),
]
POINTS = [
    {"name": name, "bytes": size, "ms": ms, "accuracy": share, "low": share - half, "high": share + half}
    for name, size, ms, share, half in ROWS
]
BUDGET = {"bytes": 50_000, "ms": 0.5, "accuracy": 0.97}


@pytest.fixture(scope="module")
def explorer():
    return ParetoExplorer(POINTS, COSTS, budget=BUDGET)


def order(cost, points=POINTS) -> list[str]:
    return [point["name"] for point in sorted(points, key=lambda point: point[cost])]


def random_points(seed: int) -> list[dict]:
    """Points on a coarse grid, so that some are equal in one number or in all."""
    rng = np.random.default_rng(seed)
    triples = zip(
        rng.integers(1, 9, 24).tolist(), (rng.integers(1, 9, 24) / 8).tolist(), (rng.integers(0, 9, 24) / 8).tolist(), strict=True
    )
    return [{"name": f"{i}", "bytes": size, "ms": ms, "accuracy": share} for i, (size, ms, share) in enumerate(triples)]


@pytest.mark.parametrize("points", [POINTS, *map(random_points, range(3))], ids=["made", "0", "1", "2"])
def test_the_numbers_are_the_packages(page, points):
    show(page, ParetoExplorer(points, COSTS, budget={"bytes": 5, "ms": 0.5, "accuracy": 0.5}))
    for cost in COSTS:
        put(page, cost=cost)
        shown = numbers(page)
        assert shown["dominated"] == pareto.dominated(points, cost)
        assert shown["front"] == pareto.front(points, cost)
        assert shown["order"] == order(cost, points)
        pale = page.locator(".kd-pe-point.kd-pe-dominated").evaluate_all("marks => marks.map(mark => mark.ariaLabel.split(': ')[0])")
        assert pale == [name for name in order(cost, points) if shown["dominated"][name]]
    for budget in ({"bytes": 6, "ms": 1, "accuracy": 0.375}, {"bytes": 40_000, "ms": 0.31, "accuracy": 0.915}, BUDGET):
        put(page, budget=budget)
        shown, fit = numbers(page), pareto.within(points, budget)
        assert shown["within"] == fit
        assert page.locator(".kd-pe-point.kd-pe-within").count() == len(fit)
        best = max((point["accuracy"] for point in points if point["name"] in fit), default=None)
        assert best == next((point["accuracy"] for point in points if point["name"] == shown["best"]), None)


def test_the_arrow_keys_walk_in_the_order_of_cost(page, explorer):
    show(page, explorer)
    for cost in COSTS:
        page.get_by_role("radio", name=COSTS[cost], exact=True).check()
        walk = order(cost)
        page.locator(f".kd-pe-points input >> nth={walk.index('4 values')}").focus()
        page.keyboard.press("ArrowRight")  # the point that is shown may be the focused one already
        page.keyboard.press("ArrowLeft")
        for i in range(len(walk)):
            name = walk[(walk.index("4 values") + i) % len(walk)]  # after the last comes the first
            assert numbers(page)["selected"] == name == page.locator(".kd-pe-card h4").inner_text()
            assert page.evaluate("document.activeElement.ariaLabel").startswith(f"{name}: accuracy ")
            page.keyboard.press("ArrowRight")


def test_the_focus_stays_where_it_is_when_python_changes_the_cost(page, explorer):
    show(page, explorer)
    page.locator(".kd-pe-points input:checked").focus()
    put(page, cost="ms")
    assert page.evaluate("document.activeElement.ariaLabel").startswith("teacher: ")
    page.keyboard.press("ArrowLeft")
    assert numbers(page)["selected"] == "student"  # the next faster one


def test_hovering_shows_the_card(page, explorer):
    show(page, explorer)
    card = page.locator(".kd-pe-card")
    page.locator("[aria-label^='pruned: ']").hover()
    assert numbers(page)["selected"] == "pruned"
    cells = ["98.18%", "97.98% to 98.38%", "62,000", "0.6"]
    assert card.locator("td").all_inner_texts() == cells
    assert "In bytes of the file, it is dominated by student, int8." in card.inner_text()
    assert "Outside the budget in bytes of the file and time of one image (ms)." in card.inner_text()
    page.locator("[aria-label^='linear: ']").hover()
    assert "In bytes of the file, it is not dominated: nothing here costs less and is at least as good" in card.inner_text()
    assert "Outside the budget in accuracy." in card.inner_text()
    put(page, selected="smaller network")
    assert "Within the budget." in card.inner_text()


def test_the_budget_s_sliders(page, explorer):
    show(page, explorer)
    said = page.locator(".kd-says span").nth(1)
    assert said.inner_text() == "3 of 8 fit the budget; the best of them in accuracy is student, int8 with 98.32%."
    size, time, least = (page.get_by_role("slider", name=name) for name in ("Most bytes", "Most time", "Least accuracy"))
    least.press("Home")
    least.press("ArrowRight")
    assert numbers(page)["budget"] == {"bytes": 50_000, "ms": 0.5, "accuracy": 0.901}
    assert least.get_attribute("aria-valuetext") == "accuracy 90.10% or more"
    time.press("End")  # all are within
    assert numbers(page)["within"] == [name for name, size, *_ in ROWS if size <= 50_000]
    size.press("End")
    assert said.inner_text() == "8 of 8 fit the budget; the best of them in accuracy is teacher with 98.80%."
    size.press("Home")
    assert said.inner_text() == "None of 8 fits the budget."
    put(page, budget={"bytes": 7_900, "ms": 99, "accuracy": 0.1})  # beyond the ends of the sliders
    assert said.inner_text() == "1 of 8 fits the budget; the best of them in accuracy is linear with 91.50%."
    assert page.locator("output").all_inner_texts() == ["7,900", "99", "10%"]


def test_of_equally_good_ones_the_cheaper_is_the_best(page):
    points = [{"name": name, "bytes": size, "ms": 1, "accuracy": 0.5} for name, size in (("large", 3), ("small", 2))]
    show(page, ParetoExplorer(points, COSTS, budget={"accuracy": 0.4}))
    assert numbers(page)["best"] == "small"


def test_marks_bars_and_stairs_lie_where_the_numbers_say(page, explorer):
    show(page, explorer)
    grid = page.locator(".kd-sp-grid").evaluate_all("lines => lines.map(line => line.getBBox().y)")
    ticks = [float(text.removesuffix("%")) / 100 for text in page.locator(".kd-sp-chart > text").all_text_contents()]
    heights = np.interp([np.log(1 / (1 - row[3])) for row in ROWS], np.log(1 / (1 - np.array(ticks))), grid)  # the axis is stretched
    assert "The axis of the accuracy is stretched towards 100%." in page.locator(".kd").inner_text()
    for cost in COSTS:
        put(page, cost=cost)
        box, seen = page.locator(".kd-pe-plot").bounding_box(), {}
        scale = box["width"] / 440
        for mark in page.locator(".kd-pe-point").all():
            place = mark.bounding_box()
            middle = (place["x"] + place["width"] / 2 - box["x"]) / scale, (place["y"] + place["height"] / 2 - box["y"]) / scale
            seen[mark.get_attribute("aria-label").split(": ")[0]] = middle
        np.testing.assert_allclose([seen[name][1] for name, *_ in ROWS], heights, atol=0.6)
        across = np.polyfit(np.log([point[cost] for point in POINTS]), [seen[point["name"]][0] for point in POINTS], 1, full=True)
        assert across[1] < 1 and across[0][0] > 0  # a straight line over the logarithm
        view = page.locator("svg > g[visibility=visible]")
        assert view.count() == 1 and view.locator(".kd-pe-bar").count() == len(POINTS)
        start = view.locator(".kd-pe-stairs").get_attribute("d").removeprefix("M").split("H")[0].split()
        np.testing.assert_allclose([float(one) for one in start], seen[pareto.front(POINTS, cost)[0]], atol=0.6)
        assert view.locator(".kd-pe-stairs").get_attribute("d").count("H") == len(pareto.front(POINTS, cost))


def test_narrow_differences_have_a_linear_axis_and_one_point_has_a_place(page):
    rows = [("a", 0.7, 10), ("b", 0.75, 20), ("c", 0.78, 30)]
    show(page, ParetoExplorer([{"name": n, "accuracy": a, "bytes": b} for n, a, b in rows], {"bytes": "bytes"}))
    ticks = page.locator(".kd-sp-chart > text").all_text_contents()
    assert ticks == ["70%", "72%", "74%", "76%", "78%"]
    assert "stretched" not in page.locator(".kd").inner_text()
    assert page.locator("input").count() == 3 and page.locator(".kd-says span").count() == 1  # one cost, no budget: nothing to choose
    show(page, ParetoExplorer([{"name": "alone", "accuracy": 1, "bytes": 1}], {"bytes": "bytes"}))
    assert page.locator(".kd-says").inner_text() == "In bytes, 1 of 1 is not dominated: alone."
    top = page.locator(".kd-pe-point").bounding_box()
    assert top["y"] > page.locator(".kd-pe-plot").bounding_box()["y"]


@pytest.mark.parametrize("points", [POINTS, POINTS[:5], *map(random_points, range(2))], ids=["stretched", "linear", "0", "1"])
def test_axes_are_those_of_the_still_picture(page, points):
    show(page, ParetoExplorer(points, COSTS))
    means = [100 * point["accuracy"] for point in points]
    axis = placing.shares(means, [100 * point[end] for point in points for end in ("low", "high") if end in point])
    seen = [float(text.removesuffix("%")) for text in page.locator(".kd-sp-chart > text").all_text_contents()]
    np.testing.assert_allclose(seen, axis.ticks)
    for cost in COSTS:
        put(page, cost=cost)
        labels = page.locator("svg > g[visibility=visible] > text:not(.kd-pe-name)").all_text_contents()[:-1]  # the last is the axis's name
        rungs = placing.rungs([point[cost] for point in points])
        ends = [float(labels[place].replace(",", "")) for place in (0, -1)]
        assert ends == [rungs[0], rungs[-1]] and {float(label.replace(",", "")) for label in labels} <= set(rungs)


@pytest.mark.parametrize("width", [380, 860])
def test_names_beside_points_touch_nothing_and_no_word_is_cut(page, explorer, width):
    page.set_viewport_size({"width": width, "height": 900})
    show(page, explorer)
    boxes = "all => all.map(e => { const b = e.getBBox(); return [b.x, b.y, b.x + b.width, b.y + b.height]; })"
    for cost in COSTS:
        put(page, cost=cost)
        view = page.locator("svg > g[visibility=visible]")
        names = view.locator(".kd-pe-name").evaluate_all(boxes)
        assert len(names) >= 4
        for i, (left, top, right, bottom) in enumerate(names):
            others = names[:i]
            assert not any(left < x1 and right > x0 and top < y1 and bottom > y0 for x0, y0, x1, y1 in others)
        ends = [edge for left, _, right, _ in page.locator("svg text").evaluate_all(boxes) for edge in (left, right)]
        assert min(ends) >= 0 and max(ends) <= 440
        ticks = sorted(view.locator("text:not(.kd-pe-name)").evaluate_all(boxes))
        below = [tick for tick in ticks if tick[1] < 265]
        assert all(one[2] < other[0] for one, other in zip(below, below[1:], strict=False))


def test_within_the_budget_differs_in_shape_and_colour(page, explorer):
    show(page, explorer)
    look = "m => { const s = getComputedStyle(m); return [s.borderRadius + s.transform, s.backgroundColor]; }"
    by = {name: page.locator(f"[aria-label^='{name}: ']").evaluate(look) for name, *_ in ROWS}
    assert by["student, int8"][0] != by["teacher"][0] and by["student, int8"][1] != by["teacher"][1]
    assert by["pruned"][0] == by["teacher"][0] and by["pruned"][1] != by["teacher"][1]  # dominated: paler
    assert by["smaller network"][1] != by["student, int8"][1]

"""The sparsity curves in a bare page, without a kernel: what they show is what was recorded."""

import numpy as np
import pytest
from browser import show
from explorers import numbers, put, reach

from kdcourse.widgets import SparsityCurves

pytestmark = pytest.mark.browser

SPARSITIES = [0, 30, 50, 80, 90, 95, 99]
BEFORE, AFTER = "before fine-tuning", "after fine-tuning"
ACCURACY = {
    "by layer": {BEFORE: [0.99, 0.99, 0.97, 0.6, 0.3, 0.1, 0.1], AFTER: [0.99, 0.99, 0.99, 0.98, 0.97, 0.9, 0.4]},
    "global": {BEFORE: [0.99, 0.99, 0.98, 0.9, 0.5, 0.2, 0.1], AFTER: [0.99, 0.99, 0.99, 0.99, 0.98, 0.97, 0.8]},
}
_KEPT = 1 - np.array(SPARSITIES) / 100
SIZES = {
    scope: {
        "raw float32": [40_000] * 7,
        "bitmask": (40_000 * _KEPT + 1250).round().astype(int).tolist(),
        "relative index": (42_000 * _KEPT + shift).round().astype(int).tolist(),
    }
    for scope, shift in (("by layer", 700), ("global", 500))
}


def expected(selected, scope):
    sizes = {name: values[selected] for name, values in SIZES[scope].items()}
    accuracy = {name: values[selected] for name, values in ACCURACY[scope].items()}
    smallest = min(sizes, key=sizes.get)
    return {"sparsity": SPARSITIES[selected], "scope": scope, "accuracy": accuracy, "sizes": sizes, "smallest": smallest}


@pytest.fixture
def curves():
    return SparsityCurves(SPARSITIES, ACCURACY, SIZES)


def test_every_point_of_both_scopes_is_the_recorded_one(page, curves):
    show(page, curves)
    slider = page.locator("input[type=range]")
    smallest = set()
    for scope in ACCURACY:
        page.get_by_role("radio", name=scope).check()
        slider.press("Home")
        for selected in range(len(SPARSITIES)):
            shown = numbers(page)
            assert shown == expected(selected, scope)
            assert page.locator("output").inner_text() == f"{SPARSITIES[selected]}%"
            assert slider.get_attribute("aria-valuetext") == f"sparsity {SPARSITIES[selected]}%"
            smallest.add(shown["smallest"])
            slider.press("ArrowRight")
        slider.press("ArrowRight")  # the end is the end
        assert numbers(page)["sparsity"] == 99
    assert smallest == {"raw float32", "bitmask", "relative index"}


def test_words_bars_and_marks_follow_the_numbers(page, curves):
    show(page, curves)
    page.get_by_role("radio", name="global").check()
    put(page, selected=4)
    said = page.locator(".kd-says").inner_text()
    assert "At 90% sparsity, global: accuracy 50.0% before fine-tuning, 98.0% after fine-tuning." in said
    assert "Smallest format: relative index, 4,700 bytes, 8.5 times smaller than raw float32." in said
    assert page.locator(".kd-sp-best .kd-name").all_inner_texts() == ["relative index"]
    assert page.locator(".kd-sp-smallest").all_inner_texts() == ["", "", "smallest"]
    assert page.locator(".kd-values span").all_inner_texts() == ["40,000", "5,250", "4,700"]
    np.testing.assert_allclose(reach(page.locator(".kd-sp-bytes .kd-bar")), np.array([40_000, 5_250, 4_700]) / 42_700, atol=0.01)
    labels = page.locator("[role=img]").evaluate_all("images => images.map(image => image.getAttribute('aria-label'))")
    assert labels[0].startswith("Accuracy, global, at 90% sparsity: 50.0% before fine-tuning, 98.0% after fine-tuning. From 0% to 99%")
    assert labels[1] == "Bytes at 90% sparsity, global: raw float32 40,000, bitmask 5,250, relative index 4,700."

    ticks = page.locator(".kd-sp-grid").evaluate_all("lines => lines.map(line => line.getBBox().y)")
    rings = page.locator(".kd-sp-ring").evaluate_all("rings => rings.map(ring => [ring.cx.baseVal.value, ring.cy.baseVal.value])")
    np.testing.assert_allclose([y for _, y in rings], np.interp([0.5, 0.98], [0, 1], [ticks[0], ticks[-1]]), atol=0.1)
    assert len({x for x, _ in rings}) == 1
    marks = page.locator(".kd-sc-scope:not(.kd-sc-pale) circle").evaluate_all("marks => marks.map(mark => mark.cx.baseVal.value)")
    np.testing.assert_allclose(rings[0][0], marks[4], atol=0.1)
    assert page.locator(".kd-sc-scope.kd-sc-pale").count() == 1


def test_one_scope_and_four_curves(page):
    names = ["before", "after", "with a teacher", "with a teacher, slowly"]
    accuracy = {"global": {name: [0.9, 0.8 - i / 10] for i, name in enumerate(names)}}
    show(page, SparsityCurves([12.5, 87.5], accuracy, {"global": {"raw": [8, 8]}}))
    assert "At 12.5% sparsity, global: accuracy 90.0% before, 90.0% after" in page.locator(".kd-says").inner_text()
    assert "Smallest format: raw, 8 bytes." in page.locator(".kd-says").inner_text()
    looks = page.locator(".kd-sc-scope .kd-sp-line").evaluate_all(
        "lines => lines.map((line) => { const s = getComputedStyle(line); return s.stroke + s.strokeDasharray; })"
    )
    assert len(set(looks)) == 4
    assert "other scope" not in page.locator(".kd-sc").inner_text()


@pytest.mark.parametrize("width", [360, 820])
def test_nothing_is_cut_off(page, curves, width):
    page.set_viewport_size({"width": width, "height": 900})
    show(page, curves)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    cut = page.locator(".kd-name, .kd-values span").evaluate_all("names => names.filter(n => n.scrollWidth > n.clientWidth).length")
    assert cut == 0
    texts = page.locator(".kd-sp-chart text").evaluate_all("t => t.map(e => { const b = e.getBBox(); return [b.x, b.x + b.width, b.y]; })")
    bottom = sorted(texts, key=lambda text: text[2])[-1][2]
    below = sorted(text for text in texts if bottom - 25 < text[2] < bottom - 5)
    assert len(below) >= 4
    assert all(one[1] < other[0] for one, other in zip(below, below[1:], strict=False))  # no label touches the next


def test_names_that_are_numbers_keep_their_order(page):
    show(
        page,
        SparsityCurves([0, 90], {"2": {"9": [1, 0.5]}, "1": {"9": [1, 0.4]}}, {at: {"32": [4000, 4000], "8": [1000, 1000]} for at in "21"}),
    )
    assert page.locator(".kd-sp-bytes .kd-name").all_inner_texts() == ["32", "8"]
    assert "Smallest format: 8, 1,000 bytes, 4.0 times smaller than 32." in page.locator(".kd-says").inner_text()
    assert page.locator(".kd-sp-pick").inner_text().split()[-2:] == ["2", "1"]

"""The sparsity explorer in a bare page: what it draws is what the kernel sent last, and the controls may be ahead of it."""

import numpy as np
import pytest
from browser import show
from explorers import build, numbers, put, reach

pytestmark = pytest.mark.browser

HEIGHT = "e => [...getComputedStyle(e).clipPath.matchAll(/[0-9.e-]+%? ([0-9.e-]+)%/g)].map(m => 100 - m[1])"


@pytest.fixture(scope="module")
def explorer():
    explorer = build("sparsity")
    explorer.scope, explorer.sparsity, explorer.layer = "global", 80, "conv1"
    return explorer


def test_bars_curves_and_words_follow_the_numbers(page, explorer):
    show(page, explorer)
    assert numbers(page) == {name: value for name, value in explorer.shown.items() if name != "mask"} | {"sizes": explorer.sizes}
    accuracy, kept, smallest = explorer.accuracy, explorer.kept, min(explorer.sizes, key=explorer.sizes.get)
    said = page.locator(".kd-says").inner_text().splitlines()
    assert said[0] == f"Accuracy {accuracy:.1%} on 200 images at 80% sparsity, global."
    assert said[1].startswith(f"Smallest format: {smallest}, {explorer.sizes[smallest]:,} bytes, ")
    np.testing.assert_allclose(reach(page.locator(".kd-se-shares .kd-bar")), list(kept.values()), atol=0.01)
    assert page.locator(".kd-se-shares .kd-values").all_inner_texts() == [f"{share:.1%}" for share in kept.values()]
    assert page.locator(".kd-se-shown .kd-name").inner_text() == "conv1"
    assert page.locator(".kd-sp-bytes .kd-values").all_inner_texts() == [f"{size:,}" for size in explorer.sizes.values()]
    bytes_shown = np.array(reach(page.locator(".kd-sp-bytes .kd-bar")))
    np.testing.assert_allclose(
        bytes_shown / bytes_shown[0], np.array(list(explorer.sizes.values())) / explorer.sizes["raw float32"], atol=0.01
    )
    assert page.locator(".kd-sp-best .kd-name").inner_text() == smallest

    cut, total = explorer.shown["cut"], explorer.shown["weights"]
    assert page.get_by_role("heading", name=f"Mask of conv1: {total - cut} of {total} weights kept (black)").count() == 1
    assert page.locator("img").evaluate("img => img.decode().then(() => img.naturalWidth)") > 1
    grid = page.locator(".kd-sp-grid").evaluate_all("lines => lines.map(line => line.getBBox().y)")
    ring = page.locator(".kd-sp-ring").evaluate("ring => ring.cy.baseVal.value")
    np.testing.assert_allclose(ring, np.interp(accuracy, [0, 1], [grid[0], grid[-1]]), atol=0.1)
    assert page.locator("circle.kd-sp-mark").count() - 1 == len(explorer.shown["seen"]["layer"])  # one is the legend's
    assert page.locator("rect.kd-sp-mark").count() - 1 == len(explorer.shown["seen"]["global"])


def test_the_histogram_is_the_one_that_was_sent(page, explorer):
    show(page, explorer)
    everything, left = explorer.shown["histogram"]
    for kind, counts in (("cut", everything), ("kept", left)):
        heights = page.locator(f".kd-se-box .kd-se-{kind}").evaluate(HEIGHT)
        np.testing.assert_allclose(heights[1:-1:2], 100 * np.array(counts) / max(everything), atol=0.1)
    edges = page.locator(".kd-se-edge").evaluate_all("edges => edges.map(edge => Number.parseFloat(edge.style.left))")
    share = explorer.shown["threshold"] / explorer.shown["largest"]
    np.testing.assert_allclose(edges, [50 - 50 * share, 50 + 50 * share], atol=0.001)
    put(page, shown=explorer.shown | {"cut": 0})
    assert page.locator(".kd-se-edge:visible").count() == 0
    assert page.get_by_role("heading", name="conv1: nothing is cut").count() == 1


def test_without_a_kernel_the_last_picture_stays_and_a_note_says_why(page, explorer):
    show(page, explorer)
    before, note = numbers(page), page.get_by_text("Without a running kernel the picture does not follow the slider.")
    page.get_by_role("slider").press("ArrowRight")
    page.get_by_role("radio", name="by layer").check()
    page.get_by_label("Layer shown").select_option("logits")
    assert page.evaluate("['sparsity', 'scope', 'layer'].map(name => model.get(name))") == [81, "layer", "logits"]
    assert page.locator("output").inner_text() == "81%"
    assert numbers(page) == before
    page.wait_for_function("note => getComputedStyle(note).fontWeight === '700'", arg=note.element_handle())
    put(page, shown=explorer.shown | {"sparsity": 81, "scope": "layer", "layer": "logits"})  # the kernel's answer
    page.wait_for_function("note => getComputedStyle(note).fontWeight !== '700'", arg=note.element_handle())
    assert numbers(page)["sparsity"] == 81

"""The temperature explorer in JupyterLab: the keys reach the slider, the page and the kernel agree, nothing breaks."""

import json
from pathlib import Path

import nbformat
import numpy as np
import pytest
from browser import jupyterlab

from kdcourse import soft_labels

pytestmark = [pytest.mark.browser, pytest.mark.slow]

START = Path(__file__).parents[2] / "notebooks" / "00_start_here.ipynb"
BUILD = """\
import numpy as np
from kdcourse.widgets import TemperatureExplorer

rng = np.random.default_rng(0)
images, (teacher, student) = rng.random((3, 28, 28)), rng.normal(0, 4, (2, 3, 10))
explorer = TemperatureExplorer(images, [7, 0, 9], teacher, student, temperature=2.0)
explorer"""
READ, WRITE, VIEW = "print(explorer.temperature, explorer.selected)", "explorer.temperature = 8.5", "explorer"


def teacher_and_student():
    rng = np.random.default_rng(0)
    rng.random((3, 28, 28))
    return rng.normal(0, 4, (2, 3, 10))


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """One JupyterLab for the module."""
    folder = tmp_path_factory.mktemp("notebooks")
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    cells = [nbformat.v4.new_code_cell(source) for source in (BUILD, READ, WRITE, VIEW)]
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), folder / "explorer.ipynb")
    if START.exists():
        (folder / START.name).write_bytes(START.read_bytes())
    with jupyterlab(folder, tmp_path_factory.mktemp("lab")) as lab:
        yield lab


def numbers(view):
    return json.loads(view.get_attribute("data-numbers"))


def assert_kernel_hears(lab, page, wanted):
    """The page sends its moves one at a time, the next when the kernel is done with the last: give it a moment."""
    for _ in range(20):
        heard = lab.run_cell(page, 1)
        if heard == wanted:
            return
        page.wait_for_timeout(100)
    assert heard == wanted


def test_slider_page_and_kernel_agree(lab, page):
    lab.open(page, "explorer.ipynb")
    lab.run_cell(page, 0)
    view, teacher, student = page.locator(".kd-te").first, *teacher_and_student()
    slider = view.locator("input[type=range]")
    slider.focus()
    cell = lab.active_cell(page)
    before = numbers(view)
    assert before["temperature"] == 2.0

    page.keyboard.press("ArrowRight")
    after = numbers(view)
    assert after["temperature"] == 2.09 == float(view.locator("output").inner_text())
    p, q = soft_labels.softmax(teacher[0], 2.09), soft_labels.softmax(student[0], 2.09)
    np.testing.assert_allclose(after["teacher"], p, atol=1e-6)
    np.testing.assert_allclose(after["student"], q, atol=1e-6)
    np.testing.assert_allclose(after["kl"], soft_labels.kl_divergence(p, q), atol=1e-6)
    page.keyboard.press("ArrowLeft")
    assert numbers(view) == before
    for key in ("ArrowDown", "ArrowUp", "End", "Home"):
        page.keyboard.press(key)
    assert numbers(view)["temperature"] == 0.25
    view.get_by_role("radio").first.press("ArrowDown")
    assert numbers(view)["label"] == 0
    assert lab.active_cell(page) == cell

    assert_kernel_hears(lab, page, "0.25 1")
    lab.run_cell(page, 2)
    page.wait_for_function("root => JSON.parse(root.dataset.numbers).temperature === 8.5", arg=view.element_handle(), timeout=5_000)
    assert lab.error_outputs(page) == []


def test_two_views_agree_after_a_burst_of_moves(lab, page):
    lab.open(page, "explorer.ipynb")
    lab.run_all(page)
    page.wait_for_function("() => document.querySelectorAll('.kd-te').length === 2")
    views = page.locator(".kd-te").all()
    views[1].locator("input[type=range]").evaluate("""(slider) => {
      for (let i = 1; i <= 200; i++) {
        slider.valueAsNumber = Number(slider.min) + (i === 200 ? 1 : i % 100);
        slider.dispatchEvent(new Event("input", {bubbles: true}));
      }
    }""")
    assert_kernel_hears(lab, page, "0.261 0")
    page.wait_for_timeout(500)  # an echo from the kernel that moved the slider back would come now
    assert [numbers(view)["temperature"] for view in views] == [0.261, 0.261]
    assert lab.error_outputs(page) == []


@pytest.mark.skipif(not START.exists(), reason="notebooks/00_start_here.ipynb is not built: make notebooks")
def test_the_first_chapter_answers_to_the_keys(lab, page):
    lab.open(page, START.name)
    lab.run_all(page)
    view = page.locator(".kd-te").first
    view.wait_for()
    slider = view.locator("input[type=range]")
    slider.focus()
    cell, before = lab.active_cell(page), numbers(view)
    page.keyboard.press("ArrowRight")
    after = numbers(view)
    assert after["temperature"] > before["temperature"]
    # The logarithm of a soft label is the logits over T, up to a constant that a softmax does not see.
    logits = before["temperature"] * np.log(before["teacher"])
    np.testing.assert_allclose(after["teacher"], soft_labels.softmax(logits, after["temperature"]), atol=1e-6)
    page.keyboard.press("ArrowLeft")
    assert numbers(view) == before
    assert lab.active_cell(page) == cell
    assert lab.error_outputs(page) == []

"""The explorers in JupyterLab: keys reach their controls and not the notebook, page and kernel agree, a burst ends where it should."""

from pathlib import Path

import nbformat
import numpy as np
import pytest
from browser import jupyterlab
from explorers import CODE, numbers

from kdcourse import soft_labels

pytestmark = [pytest.mark.browser, pytest.mark.slow]

START = Path(__file__).parents[2] / "notebooks" / "00_start_here.ipynb"
# What is read in the kernel after the keys, what is set there, and what the page then shows
READ = {
    "temperature": "print(explorer.temperature, explorer.selected)",
    "loss": "print(explorer.temperature, explorer.alpha, explorer.left, explorer.right, explorer.selected, explorer.same_scale)",
    "curves": "print(explorer.selected, explorer.scope)",
    "bits": "print(explorer.bits, explorer.symmetric, explorer.per, explorer.layer, explorer.clip, explorer.output)",
    "pareto": "print(explorer.cost, explorer.selected, explorer.budget)",
    "sparsity": "print(explorer.sparsity, explorer.scope, explorer.layer)",
    "text": "print(explorer.text, explorer.temperature, explorer.message, sep='|')",
}
WRITE = {
    "temperature": "explorer.temperature = 8.5",
    "loss": "explorer.alpha, explorer.left = 0.25, 'decoupled'",
    "curves": "explorer.selected = 1",
    "bits": "explorer.clip, explorer.layer = 62.5, 'conv1'",
    "pareto": "explorer.cost, explorer.budget = 'bytes', {'bytes': 50, 'accuracy': 0.5}",
    "sparsity": "explorer.sparsity = 77; print(explorer.kept['logits'] < 0.24)",
    "text": "explorer.text, explorer.temperature = 'from Python', 20; print(len(explorer.soft_labels['teacher']))",
}


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """One JupyterLab for the module, with a notebook for each explorer."""
    folder = tmp_path_factory.mktemp("notebooks")
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    for name, code in CODE.items():
        cells = [nbformat.v4.new_code_cell(source) for source in (code, READ[name], WRITE[name], "explorer")]
        nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), folder / f"{name}.ipynb")
    if START.exists():
        (folder / START.name).write_bytes(START.read_bytes())
    with jupyterlab(folder, tmp_path_factory.mktemp("lab")) as lab:
        yield lab


@pytest.fixture
def opened(lab, page, request):
    """Open the explorer that a test is called after; return what it needs. At its end nothing may have failed."""
    name = request.function.__name__.split("_")[1]
    lab.open(page, f"{name}.ipynb")
    lab.run_cell(page, 0)
    view = page.locator(".kd").first
    slider = view.get_by_role("slider").first
    slider.focus()
    cells = [lab.active_cell(page)]

    def heard(wanted):
        """The page sends its moves one at a time, the next when the kernel is done with the last: give it a moment."""
        for cell in cells:
            assert lab.active_cell(page) == cell  # no key went past the explorer to the notebook
        cells.clear()  # which moves on when a cell is run
        for _ in range(100):
            found = lab.run_cell(page, 1)
            if found == wanted:
                return
            page.wait_for_timeout(100)
        assert found == wanted

    def shows(**wanted):
        page.wait_for_function(
            """wanted => {
              const numbers = JSON.parse(document.querySelector(".kd").dataset.numbers);
              return Object.entries(wanted).every(([name, value]) => numbers[name] === value);
            }""",
            arg=wanted,
        )

    yield view, slider, heard, shows
    assert lab.error_outputs(page) == []


# Moves as a held key makes them, faster than any redraw: the slider's steps from where it is, in one go
BURST = """(slider, steps) => {
  for (const step of steps) {
    slider.valueAsNumber += step;
    slider.dispatchEvent(new Event("input", {bubbles: true}));
  }
}"""
STEPS = [1, -1] * 80 + [-1] * 30 + [1] * 10  # 20 down in all


def test_temperature(lab, page, opened):
    view, slider, heard, shows = opened
    rng = np.random.default_rng(0)
    rng.random((3, 28, 28))
    logits = dict(zip(("teacher", "student"), rng.normal(0, 4, (2, 3, 10)), strict=True))
    before = numbers(page)
    slider.press("ArrowRight")
    after = numbers(page)
    assert after["temperature"] == 2.09 == float(view.locator("output").inner_text())
    for name, rows in logits.items():
        np.testing.assert_allclose(after[name], soft_labels.softmax(rows[0], 2.09), atol=1e-6)
    slider.press("ArrowLeft")
    assert numbers(page) == before
    for key in ("ArrowDown", "ArrowUp", "End", "Home"):
        slider.press(key)
    view.get_by_role("radio").first.press("ArrowDown")
    assert (numbers(page)["temperature"], numbers(page)["label"]) == (0.25, 0)
    heard("0.25 1")
    lab.run_cell(page, 2)
    shows(temperature=8.5)
    lab.run_cell(page, 3)  # a second view
    page.locator(".kd").nth(1).get_by_role("slider").evaluate(BURST, STEPS)
    heard("3.51 1")
    page.wait_for_timeout(500)  # an echo from the kernel that moved the slider back would come now
    assert [numbers(page, view)["temperature"] for view in (0, 1)] == [3.51, 3.51]


def test_loss(lab, page, opened):
    view, slider, heard, shows = opened
    slider.press("Home")
    view.get_by_label("alpha").press("ArrowLeft")
    view.get_by_role("radio").first.press("ArrowDown")
    view.get_by_label("Loss on the left").press("ArrowDown")
    view.get_by_label("Loss on the right").press("ArrowUp")
    view.get_by_label("same scale").press(" ")
    shows(temperature=0.25, alpha=0.89, label=0)
    heard("0.25 0.89 mse_logits kl_divergence 1 False")
    lab.run_cell(page, 2)
    shows(alpha=0.25)
    assert numbers(page)["left"]["loss"] == "decoupled"


def test_curves(lab, page, opened):
    view, slider, heard, shows = opened
    slider.press("End")
    view.get_by_role("radio").first.press("ArrowDown")
    shows(sparsity=99, scope="global", smallest="bitmask")
    heard("2 global")
    lab.run_cell(page, 2)
    shows(sparsity=50)


def test_bits(lab, page, opened):
    view, slider, heard, shows = opened
    slider.press("ArrowLeft")
    view.get_by_label("Range kept").press("ArrowLeft")
    view.get_by_label("Output drawn").press("End")
    view.get_by_role("radio", name="affine").check()
    view.get_by_role("radio", name="the layer").check()
    view.get_by_label("Layer", exact=True).press("ArrowDown")
    shows(bits=7, symmetric=False, per="tensor", layer="logits", clip=99, output=7)
    heard("7 False tensor logits 99.0 7")
    lab.run_cell(page, 2)
    shows(bits=7, layer="conv1", clip=62.5)


def test_pareto(lab, page, opened):
    view, slider, heard, shows = opened
    slider.press("Home")
    view.get_by_label("Least accuracy").press("ArrowRight")
    view.get_by_role("radio", name="time of one image (ms)", exact=True).check()
    view.get_by_role("radio", name="student").press("ArrowLeft")
    shows(cost="ms", selected="teacher", best=None)
    heard("ms teacher {'bytes': 5.0, 'accuracy': 0.951}")
    lab.run_cell(page, 2)
    shows(cost="bytes", selected="teacher", best="tiny")
    assert view.locator("output").all_inner_texts() == ["50", "50%"]


def test_sparsity(lab, page, opened):
    view, slider, heard, shows = opened
    mask = view.get_by_role("img", name="Mask of logits")
    before = mask.get_attribute("src")
    slider.press("ArrowRight")
    shows(sparsity=51, scope="layer", layer="logits")
    assert mask.get_attribute("src") != before
    assert view.locator(".kd-says").inner_text().startswith("Accuracy ")
    view.get_by_role("radio").first.press("ArrowDown")
    view.get_by_label("Layer shown").press("ArrowUp")
    shows(sparsity=51, scope="global", layer="conv1")
    heard("51 global conv1")
    page.evaluate("""() => {
      window.redraws = 0;
      new MutationObserver(() => { redraws += 1; }).observe(document.querySelector(".kd"), {attributeFilter: ["data-numbers"]});
    }""")
    slider.evaluate(BURST, STEPS)
    shows(sparsity=31)
    page.wait_for_timeout(1000)  # a late redraw of an older move would come now
    shows(sparsity=31)
    assert page.evaluate("redraws") <= 3  # of 200 moves: the first, which the kernel was free for, and the last
    heard("31 global conv1")
    assert lab.run_cell(page, 2) == "True"  # what Python reads belongs to what Python set
    shows(sparsity=77)
    assert slider.input_value() == "77"


def test_text(lab, page, opened):
    view, slider, heard, shows = opened
    area, status = view.get_by_label("Text", exact=True), view.locator(".kd-tx-status[role=alert]")
    slider.press("ArrowRight")
    shows(text="hello", temperature=4.18)
    area.fill("typed")
    shows(text="typed")
    area.press_sequentially(" by hand")
    area.press("ArrowUp")
    shows(text="typed by hand", temperature=4.18)
    heard("typed by hand|4.18|")
    view.get_by_label("Example").select_option("<b>another</b> one")
    shows(text="<b>another</b> one")
    assert area.input_value() == "<b>another</b> one"
    no_answer = "teacher has no answer to this text: no word of this text is known. The picture still"
    for text, why in (("a zebra", no_answer), ("", "There is no word")):
        area.fill(text)
        status.filter(has_text=why).wait_for()
        shows(text="<b>another</b> one")
    assert lab.run_cell(page, 2) == "10"
    shows(text="from Python", temperature=20)
    assert (area.input_value(), status.inner_text()) == ("from Python", "")


@pytest.mark.skipif(not START.exists(), reason="notebooks/00_start_here.ipynb is not built: make notebooks")
def test_the_first_chapter_answers_to_the_keys(lab, page):
    lab.open(page, START.name)
    lab.run_all(page)
    slider = page.locator(".kd").first.locator("input[type=range]")
    slider.focus()
    cell, before = lab.active_cell(page), numbers(page)
    slider.press("ArrowRight")
    after = numbers(page)
    assert after["temperature"] > before["temperature"]
    # The logarithm of a soft label is the logits over T, up to a constant that a softmax does not see.
    logits = before["temperature"] * np.log(before["teacher"])
    np.testing.assert_allclose(after["teacher"], soft_labels.softmax(logits, after["temperature"]), atol=1e-6)
    slider.press("ArrowLeft")
    assert numbers(page) == before
    assert lab.active_cell(page) == cell
    assert lab.error_outputs(page) == []

"""The sparsity explorer in JupyterLab: keys move it, the kernel redraws it, and a burst of moves ends where it should, soon."""

import re

import nbformat
import pytest
from browser import jupyterlab

pytestmark = [pytest.mark.browser, pytest.mark.slow]

BUILD = """\
import numpy as np
from kdcourse.runtime import quiet_start, set_seed
from kdcourse.widgets import SparsityExplorer

quiet_start()
import keras

set_seed(0)
layers = [keras.layers.Conv2D(4, 5, name="conv1"), keras.layers.Flatten(), keras.layers.Dense(10, name="logits")]
model = keras.Sequential([keras.Input((28, 28, 1)), *layers])
rng = np.random.default_rng(0)
explorer = SparsityExplorer(model, rng.random((200, 28, 28, 1)), rng.integers(0, 10, 200), sparsity=50)
explorer"""
READ = "print(explorer.sparsity, explorer.scope, explorer.layer)"
WRITE = "explorer.sparsity = 77; print(explorer.kept['logits'] < 0.24)"

# Keys as a held key sends them, faster than the kernel redraws: `keys` in one go
BURST = """(handle, keys) => {
  for (const key of keys) handle.dispatchEvent(new KeyboardEvent("keydown", {key, bubbles: true, cancelable: true}));
}"""


def said(page) -> str:
    return page.locator(".widget-html-content").inner_text()


def wait_until_said(page, start: str) -> None:
    words = page.locator(".widget-html-content")
    words.filter(has_text=re.compile("^" + re.escape(start))).wait_for(timeout=20_000)


def test_keys_move_it_and_a_burst_ends_on_the_last_value(tmp_path, page):
    folder, scratch = tmp_path / "notebooks", tmp_path / "lab"
    folder.mkdir()
    scratch.mkdir()
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    cells = [nbformat.v4.new_code_cell(source) for source in (BUILD, READ, WRITE)]
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), folder / "explorer.ipynb")
    with jupyterlab(folder, scratch) as lab:
        lab.open(page, "explorer.ipynb")
        lab.run_cell(page, 0)
        image, handle = page.locator(".widget-image"), page.locator(".noUi-handle")
        wait_until_said(page, "Sparsity 50%, by layer")
        seen = [image.get_attribute("src")]

        def moved():
            """Wait for another picture, one that can be shown."""
            page.wait_for_function("([image, old]) => image.src !== old", arg=[image.element_handle(), seen[-1]], timeout=20_000)
            assert image.evaluate("image => image.decode().then(() => image.naturalWidth)") == int(image.get_attribute("width"))
            seen.append(image.get_attribute("src"))

        handle.focus()
        cell = lab.active_cell(page)
        page.keyboard.press("ArrowRight")
        moved()
        wait_until_said(page, "Sparsity 51%, by layer")
        page.get_by_role("button", name="global").click()
        moved()
        wait_until_said(page, "Sparsity 51%, global")
        page.get_by_label("Layer shown").select_option("conv1")
        moved()
        assert lab.active_cell(page) == cell
        assert lab.run_cell(page, 1) == "51 global conv1"

        handle.evaluate(BURST, ["ArrowRight", "ArrowLeft"] * 80 + ["ArrowLeft"] * 30 + ["ArrowRight"] * 10)
        wait_until_said(page, "Sparsity 31%, global")
        page.wait_for_timeout(1000)  # a late redraw of an older move would come now
        assert said(page).startswith("Sparsity 31%, global")
        assert lab.run_cell(page, 1) == "31 global conv1"
        moved()

        assert lab.run_cell(page, 2) == "True"  # what Python reads belongs to what Python set, though the redraw comes later
        wait_until_said(page, "Sparsity 77%, global")
        assert handle.get_attribute("aria-valuenow") == "77.0"
        assert lab.error_outputs(page) == []

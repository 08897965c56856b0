"""The loss explorer in JupyterLab: the keys reach its controls and not the notebook, page and kernel agree, nothing breaks."""

import json

import nbformat
import numpy as np
import pytest
from browser import jupyterlab

pytestmark = [pytest.mark.browser, pytest.mark.slow]

BUILD = """\
import numpy as np
from kdcourse.widgets import LossExplorer

rng = np.random.default_rng(0)
images, (teacher, student) = rng.random((3, 28, 28)), rng.normal(0, 4, (2, 3, 10))
explorer = LossExplorer(images, [7, 0, 9], teacher, student)
explorer"""
READ = "print(explorer.temperature, explorer.alpha, explorer.left, explorer.right, explorer.selected, explorer.same_scale)"
WRITE = "explorer.alpha, explorer.left = 0.25, 'decoupled'"


def test_keys_page_and_kernel_agree(tmp_path, page):
    folder, scratch = tmp_path / "notebooks", tmp_path / "lab"
    folder.mkdir()
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    cells = [nbformat.v4.new_code_cell(source) for source in (BUILD, READ, WRITE)]
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), folder / "explorer.ipynb")
    scratch.mkdir()
    with jupyterlab(folder, scratch) as lab:
        lab.open(page, "explorer.ipynb")
        lab.run_cell(page, 0)
        view = page.locator(".kd-le")
        view.get_by_label("Temperature T").focus()
        cell = lab.active_cell(page)
        page.keyboard.press("Home")
        view.get_by_label("alpha").press("ArrowLeft")
        view.get_by_role("radio").first.press("ArrowDown")
        view.get_by_label("Loss on the left").press("ArrowDown")
        view.get_by_label("Loss on the right").press("ArrowUp")
        view.get_by_label("same scale").press(" ")
        assert lab.active_cell(page) == cell
        shown = json.loads(view.get_attribute("data-numbers"))
        assert (shown["temperature"], shown["alpha"], shown["label"]) == (0.25, 0.89, 0)
        heard = ""
        for _ in range(20):  # the page sends its moves one at a time, the next when the kernel is done with the last
            heard = lab.run_cell(page, 1)
            if heard.endswith("False"):
                break
            page.wait_for_timeout(100)
        assert heard == "0.25 0.89 mse_logits kl_divergence 1 False"

        lab.run_cell(page, 2)
        page.wait_for_function("root => JSON.parse(root.dataset.numbers).left.loss === 'decoupled'", arg=view.element_handle())
        shown = json.loads(view.get_attribute("data-numbers"))
        assert shown["alpha"] == 0.25
        np.testing.assert_allclose(shown["left"]["total"], 0.75 * shown["left"]["hard"] + 0.25 * shown["left"]["soft"])
        assert lab.error_outputs(page) == []

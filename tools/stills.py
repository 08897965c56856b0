"""A still picture below every widget of a notebook, for places where it cannot live: drawn by a real browser from the stored state."""

import io

import browser
import nbformat
import prose
from PIL import Image
from playwright.sync_api import sync_playwright

from kdcourse.pictures import image_html, webp

VIEW = "application/vnd.jupyter.widget-view+json"
STATE = "application/vnd.jupyter.widget-state+json"
WIDTH, SCALE = 840, 2  # of the page in CSS pixels, and device pixels for each of them
COLOURS = 96
ROOT_OF_WIDGET = ".kd"  # of all explorers (kdcourse/widgets/_page.js)


def add_stills(made, language: str = "en") -> int:
    """Put a still picture behind each widget's output of an executed notebook, in place; return how many.

    Its alt text is what the widget says of itself: its name and the sentence that it shows.

    Raises:
        ValueError: a widget that a page alone cannot draw, or no browser on this machine.
    """
    outputs = [(cell, place, output) for cell in made.cells for place, output in enumerate(cell.get("outputs", []))]
    found = [one for one in outputs if VIEW in one[2].get("data", {})]
    if not found:
        return 0
    path = browser.find_browser()
    if path is None:
        raise ValueError(f"a still picture of a widget needs a browser, {browser.NO_BROWSER}")
    models = made.metadata.widgets[STATE]["state"]
    with sync_playwright() as playwright:
        page = browser.launch(playwright, path).new_page(viewport={"width": WIDTH, "height": 800}, device_scale_factor=SCALE)
        for cell, place, output in reversed(found):  # from the last, so that places before it stay right
            state = models[output.data[VIEW]["model_id"]]["state"]
            if "_esm" not in state:
                where = cell.source.partition("\n")[0]
                raise ValueError(f"a widget must draw itself in the page, as an anywidget does, got one in: {where}")
            cell.outputs.insert(place + 1, _still(page, state, prose.WORDS[language]["still"]))
    return len(found)


def _still(page, state: dict, caption: str):
    browser.show_state(page, state)
    widget = page.locator(ROOT_OF_WIDGET).first
    widget.wait_for()
    page.evaluate("() => Promise.all([...document.images].map((image) => image.decode()))")
    told = [widget.get_attribute("aria-label"), *widget.locator(".kd-says").all_inner_texts()]
    alt = ": ".join(" ".join(text.split()) for text in told if text)
    picture = widget.screenshot()
    image = Image.open(io.BytesIO(picture)).convert("RGB")
    html = f"{image_html(webp(image.quantize(COLOURS)), 'image/webp', alt, image.width // SCALE)}<p><em>{caption}</em></p>"
    return nbformat.v4.new_output("display_data", data={"text/html": html, "text/plain": alt})

"""What holds of all explorers in a bare page, without a kernel: keyboard, screen readers, several views, narrow pages."""

import pytest
from browser import show
from explorers import CODE, build, numbers

pytestmark = pytest.mark.browser

# The keys that are pressed on one control after the other, the trait that each moves, and to what
KEYS = {
    "temperature": [("ArrowRight", "selected", 1), ("End", "temperature", 20)],
    "loss": [
        ("ArrowRight", "selected", 1),
        ("End", "temperature", 20),
        ("Home", "alpha", 0),
        ("ArrowDown", "left", "mse_logits"),
        ("ArrowUp", "right", "kl_divergence"),
        (" ", "same_scale", False),
    ],
    "curves": [("End", "selected", 2), ("ArrowDown", "scope", "global")],
    "bits": [
        ("ArrowDown", "layer", "logits"),
        ("ArrowDown", "symmetric", False),
        ("ArrowDown", "per", "tensor"),
        ("End", "bits", 16),
        ("Home", "clip", 20),
        ("ArrowRight", "output", 1),
    ],
    "pareto": [
        ("ArrowDown", "cost", "ms"),
        ("Home", "budget", {"bytes": 5, "accuracy": 0.95}),
        ("ArrowRight", "budget", {"bytes": 5, "accuracy": 0.951}),
        ("ArrowRight", "selected", "tiny"),
    ],
    "sparsity": [("End", "sparsity", 99), ("ArrowDown", "scope", "global"), ("ArrowUp", "layer", "conv1")],
    "text": [("!", "text", "hello!"), ("End", "temperature", 20), ("ArrowDown", "text", "an example")],
}
WITHOUT_KERNEL = {"sparsity"}  # the picture stays

explorers = pytest.mark.parametrize("name", CODE)


@pytest.fixture(scope="module")
def built():
    return {name: build(name) for name in CODE}


@explorers
def test_the_keyboard_alone_does_everything_in_place(page, built, name):
    show(page, built[name])
    page.evaluate("""() => {
      const known = new Set(document.querySelectorAll(".kd *"));
      window.made = 0;
      new MutationObserver((records) => {
        made += records.flatMap((r) => [...r.addedNodes]).filter((n) => n.nodeType === Node.ELEMENT_NODE && !known.has(n)).length;
      }).observe(document.querySelector(".kd"), {subtree: true, childList: true});
    }""")
    before = numbers(page)
    for saves, (key, trait, value) in enumerate(KEYS[name], 1):
        page.keyboard.press("Tab")
        page.keyboard.press(key)
        seen = "document.activeElement.matches('.kd-digits input') ? document.activeElement.nextSibling : document.activeElement"
        assert page.evaluate(f"getComputedStyle({seen}).outlineStyle") == "solid"  # the focus is seen
        page.wait_for_function("([trait, value]) => JSON.stringify(model.get(trait)) === JSON.stringify(value)", arg=[trait, value])
        assert page.evaluate("saves") == saves
    assert (numbers(page) == before) == (name in WITHOUT_KERNEL)
    assert page.evaluate("made") == 0


@explorers
def test_everything_has_a_name_and_keys_stay_in_it(page, built, name):
    show(page, built[name])
    for control in page.locator("input, select, textarea").all():
        assert control.get_attribute("data-lm-suppress-shortcuts") == "true"  # or JupyterLab takes the arrows
        assert control.get_attribute("aria-label") or control.evaluate("control => control.labels.length") == 1
    for picture in page.locator("[role=img]").all():
        assert picture.get_attribute("aria-label").endswith(".")
    assert page.locator("img:not([alt])").count() == 0
    assert page.locator(".kd").get_attribute("aria-label")
    text = page.locator(".kd").inner_text() + "".join(page.locator("[aria-label]").evaluate_all("all => all.map(e => e.ariaLabel)"))
    assert not any(word in text for word in ("NaN", "undefined", "null", "[object"))


@explorers
def test_several_views_stay_in_step_and_a_closed_one_listens_no_longer(page, built, name):
    show(page, built[name], views=2)
    page.locator(".kd").nth(1).locator("input, select, textarea").first.focus()
    for key, _, _ in KEYS[name]:
        page.keyboard.press(key)
        page.keyboard.press("Tab")
    assert numbers(page, 0) == numbers(page, 1)
    values = "view => [...view.querySelectorAll('input, select, textarea, output')].map(e => [e.checked, e.value])"
    assert page.locator(".kd").nth(0).evaluate(values) == page.locator(".kd").nth(1).evaluate(values)
    listeners = page.evaluate("listeners()")
    page.evaluate("cleanups[0]()")
    assert page.evaluate("listeners()") == listeners / 2 > 0


@explorers
def test_a_burst_of_moves_ends_on_the_last_value(page, built, name):
    show(page, built[name])
    slider = page.locator("input[type=range]").first
    position = slider.evaluate("""(slider) => {
      const {min, max} = slider;
      for (let i = 0; i < 200; i++) {
        slider.valueAsNumber = Number(min) + Math.round((i * 37) % (max - min));
        slider.dispatchEvent(new Event("input", {bubbles: true}));
      }
      return slider.valueAsNumber;
    }""")
    trait = {"curves": "selected", "sparsity": "sparsity", "bits": "bits", "pareto": "budget"}.get(name, "temperature")
    value = page.evaluate("trait => model.get(trait)", trait)
    if name == "pareto":  # the bytes go from 5 to 500 in 200 equal factors
        assert value["bytes"] == float(f"{5 * 100 ** (position / 200):.3g}")
    else:
        assert value == (float(f"{2 ** (position / 16):.3g}") if trait == "temperature" else position)
    if trait == "temperature":
        assert numbers(page)[trait] == value
    assert page.evaluate("saves") == 200
    assert str(slider.input_value()) == str(position)


@explorers
@pytest.mark.parametrize("width", [360, 640, 900])
def test_nothing_is_cut_off(page, built, name, width):
    page.set_viewport_size({"width": width, "height": 900})
    show(page, built[name])
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    cut = page.locator(".kd-name, .kd-values span, .kd td, .kd th, .kd-axis span, .kd output, .kd h4").evaluate_all(
        "all => all.filter(e => e.scrollWidth > e.clientWidth + 1 && e.clientWidth).map(e => e.textContent)"
    )
    assert cut == []
    words = page.locator("svg text").evaluate_all("all => all.filter(e => e.getBBox().x < 0).map(e => e.textContent)")
    assert words == []


@explorers
def test_dark_pages_are_readable(page, built, name):
    """The colour of words is the theme's, and the blue is the lighter one."""
    show(page, built[name])
    page.evaluate("document.documentElement.dataset.theme = 'dark'")
    page.evaluate("document.body.style.setProperty('--jp-content-font-color1', 'rgb(220, 221, 222)')")
    words = page.locator(".kd-says, .kd-heading label, .kd output, .kd h4, .kd legend")
    assert set(words.evaluate_all("all => all.map(e => getComputedStyle(e).color)")) == {"rgb(220, 221, 222)"}
    style = page.locator(".kd").evaluate("e => [getComputedStyle(e).colorScheme, getComputedStyle(e).getPropertyValue('--kd-blue')]")
    assert style == ["dark", "#56b4e9"]


@explorers
def test_other_explorers_on_the_page_change_nothing(page, built, name):
    """Each brings the shared rules along: a later copy of them must not win over an earlier explorer's own."""
    look = """() => [...document.querySelectorAll(".kd, .kd *")].map((e) => {
      const {x, y, width, height} = e.getBoundingClientRect(), style = getComputedStyle(e);
      const names = ["backgroundImage", "backgroundColor", "color", "fontWeight", "objectFit"];
      return [e.getAttribute("class"), x, y, width, height, ...names.map((name) => style[name])];
    })"""
    show(page, built[name])
    page.wait_for_function("() => [...document.images].every(image => image.complete)")
    alone = page.evaluate(look)
    for other in CODE:
        page.add_style_tag(content=built[other].get_state()["_css"])
    assert page.evaluate(look) == alone

"""The loss explorer in a bare page, without a kernel: what it shows, and that its values and gradients are those of kdcourse.losses."""

import re

import numpy as np
import pytest
from browser import show
from explorers import numbers, put, reach

from kdcourse import losses, soft_labels
from kdcourse.widgets import LossExplorer
from kdcourse.widgets.loss_explorer import LOSSES

pytestmark = pytest.mark.browser

LABELS = [7, 0, 9]
_RNG = np.random.default_rng(0)
IMAGES = _RNG.random((3, 28, 28))
TEACHER, STUDENT = _RNG.normal(0, 4, (2, 3, 10))
# A hard case: far apart, and so large that a naive exp overflows at T = 0.25.
TEACHER[1], STUDENT[1] = 500 + np.linspace(40, -40, 10), np.linspace(-40, 40, 10) - 500
ONE_HOT = soft_labels.one_hot(LABELS, 10)
IGNORES_ALPHA = {"cross_entropy", "cross_entropy_with_mse", "smoothed_cross_entropy"}
IGNORES_T = IGNORES_ALPHA | {"mse_logits"}


def total(loss, temperature, alpha):
    """Return the function of the student's logits, shape (3, 10), whose value and gradient the page must show for the three examples."""
    function = getattr(losses, loss)
    if loss == "cross_entropy":
        return lambda z: function(ONE_HOT, z)
    if loss == "smoothed_cross_entropy":
        return lambda z: function(ONE_HOT, z, 0.1)
    if loss == "cross_entropy_with_mse":
        return lambda z: function(ONE_HOT, TEACHER, z, weight=0.5)
    settings = {} if loss == "mse_logits" else {"temperature": temperature}
    compiled = losses.distillation_loss(function, alpha=alpha, **settings)
    return lambda z: compiled(losses.pack(np.array(LABELS), TEACHER), z)


def value_and_gradient(function):
    import tensorflow as tf

    z = tf.constant(STUDENT, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(z)
        value = function(z)
    return value.numpy(), tape.gradient(value, z).numpy()


@pytest.fixture
def explorer():
    return LossExplorer(IMAGES, LABELS, TEACHER, STUDENT)


@pytest.mark.parametrize("loss", LOSSES)
def test_value_and_gradient_agree_with_the_package(page, explorer, loss):
    show(page, explorer)
    put(page, left="cross_entropy", right=loss)
    for temperature in (0.25, 1.0, 3.7, 20.0):
        for alpha in (0.0, 0.3, 1.0):
            put(page, temperature=temperature, alpha=alpha)
            value, gradient = value_and_gradient(total(loss, temperature, alpha))
            for example in range(3):
                put(page, selected=example)
                shown = numbers(page)
                assert (shown["temperature"], shown["alpha"], shown["label"]) == (temperature, alpha, LABELS[example])
                right, told = shown["right"], f"{loss}, T = {temperature}, alpha = {alpha}, example {example}"
                assert right["loss"] == loss
                np.testing.assert_allclose(right["total"], value[example], rtol=1e-4, atol=1e-4, err_msg=told)
                np.testing.assert_allclose(right["gradient"], gradient[example], rtol=1e-4, atol=1e-5, err_msg=told)
                terms = right["hard_weight"] * right["hard"] + right["soft_weight"] * right["soft"]
                np.testing.assert_allclose(terms, right["total"], rtol=1e-12)
                np.testing.assert_allclose(right["hard"], shown["left"]["total"], rtol=1e-12)
                for name, logits in (("teacher", TEACHER), ("student", STUDENT)):
                    np.testing.assert_allclose(shown[name], soft_labels.softmax(logits[example], temperature), rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("loss", LOSSES)
def test_a_loss_ignores_what_it_says_it_ignores(page, explorer, loss):
    show(page, explorer)
    put(page, left=loss)
    before = numbers(page)["left"]
    put(page, temperature=2.0)
    assert (numbers(page)["left"]["total"] == before["total"]) == (loss in IGNORES_T)
    put(page, temperature=4.0, alpha=0.2)
    assert (numbers(page)["left"]["total"] == before["total"]) == (loss in IGNORES_ALPHA)
    said = re.findall(r"\b(T|alpha)\b", page.locator("[data-side=left] .kd-note").inner_text())
    assert ("T" in said, "alpha" in said) == (loss in IGNORES_T, loss in IGNORES_ALPHA)


def test_the_menus_offer_the_losses_of_the_package(page, explorer):
    show(page, explorer)
    for side, chosen in (("left", "kl_divergence"), ("right", "mse_logits")):
        select = page.get_by_label(f"Loss on the {side}")
        assert select.locator("option").evaluate_all("options => options.map(option => option.value)") == list(LOSSES)
        assert select.input_value() == chosen
        select.select_option("decoupled")
        assert page.evaluate("side => model.get(side)", side) == numbers(page)[side]["loss"] == "decoupled"
    assert page.evaluate("saves") == 2


def test_bars_and_words_follow_the_numbers(page, explorer):
    show(page, explorer)
    shown = numbers(page)
    ends = [float(text.rpartition("+")[2]) for text in page.locator(".kd-axis span:last-child").all_inner_texts()]
    assert ends[0] == ends[1]  # one scale
    for side in ("left", "right"):
        panel, gradient = page.locator(f"[data-side={side}]"), np.array(shown[side]["gradient"])
        ends_at = panel.locator(".kd-bar").evaluate_all("""bars => bars.map(bar => {
          const track = bar.parentElement.getBoundingClientRect(), box = bar.getBoundingClientRect(), zero = track.left + track.width / 2;
          return (box.left + box.right > 2 * zero ? box.right - zero : box.left - zero) / (track.width / 2);
        })""")
        np.testing.assert_allclose(ends_at, gradient / ends[0], atol=0.01)
        raises = panel.locator(".kd-bar").evaluate_all("bars => bars.map(bar => bar.classList.contains('kd-raises'))")
        np.testing.assert_array_equal(raises, gradient < 0)
        written = [float(text.replace("−", "-")) for text in panel.locator(".kd-values span").all_inner_texts()]
        np.testing.assert_allclose(written, gradient, atol=0.00051)
        words = panel.locator("[role=img]").get_attribute("aria-label")
        up, down = gradient.argmin(), gradient.argmax()
        assert f"raises {up} most (−{-gradient[up]:.3f})" in words
        assert f"lowers {down} most (+{gradient[down]:.3f})" in words
        assert f"{side.title()}, {words}" in page.locator(".kd-says").inner_text().splitlines()
        assert panel.locator(".kd-numbers tr").nth(2).inner_text().split()[-1] == f"{shown[side]['total']:.4f}"
        weighted = f"{shown[side]['soft_weight']:.2f} × {shown[side]['soft']:.4f}"
        assert weighted in panel.locator(".kd-numbers tr").nth(1).inner_text()
        assert panel.locator(".kd-labelled .kd-name").inner_text() == "7"
        hatch = panel.locator(".kd-labelled .kd-track").evaluate("track => getComputedStyle(track).backgroundImage")
        assert hatch.startswith("repeating-linear-gradient")
    for name in ("teacher", "student"):
        np.testing.assert_allclose(reach(page.locator(f".kd-le-probabilities .kd-{name}")), shown[name], atol=0.01)
    assert page.locator(".kd-says").get_attribute("aria-live") == "polite"


def test_the_shared_scale_stays_and_the_own_scales_fit(page, explorer):
    show(page, explorer)
    put(page, right="decoupled")
    ends = page.locator(".kd-axis span:last-child")
    first = ends.all_inner_texts()
    for temperature in (0.25, 2.0, 20.0):
        for alpha in (0.0, 1.0):
            put(page, temperature=temperature, alpha=alpha)
            assert ends.all_inner_texts() == first
            longest = max(np.abs(numbers(page)[side]["gradient"]).max() for side in ("left", "right"))
            assert longest <= float(first[0].rpartition("+")[2]) * 1.001
    put(page, temperature=2.0)
    sizes = [np.abs(numbers(page)[side]["gradient"]).max() for side in ("left", "right")]
    assert sizes[1] > 5 * sizes[0]
    note = page.locator(".kd-le-scaling .kd-note")
    assert note.inner_text().startswith(f"The longest bar on the right is {round(sizes[1] / sizes[0])} times the longest on the left")
    page.get_by_label("same scale").uncheck()
    assert page.evaluate("model.get('same_scale')") is False
    for size, end in zip(sizes, ends.all_inner_texts(), strict=True):
        assert size <= float(end.rpartition("+")[2]) * 1.001 <= 2.1 * size
    assert "own longest bar" in note.inner_text()


@pytest.mark.parametrize("classes", [2, 10])
def test_a_student_equal_to_its_teacher_moves_nothing(page, classes):
    logits = np.linspace(-3, 3, classes)[None]
    show(page, LossExplorer(IMAGES[:1], [0], logits, logits, right="decoupled", alpha=1.0))
    for left in ("kl_divergence", "mse_logits", "mse_probabilities"):
        put(page, left=left)
        shown = numbers(page)
        for side in ("left", "right"):
            np.testing.assert_allclose([shown[side]["total"], *shown[side]["gradient"]], 0, atol=1e-12)
        assert page.locator(".kd-says").inner_text().count("A step moves no logit.") == 2
    assert "NaN" not in page.locator(".kd-le").inner_text()


def test_words_when_all_logits_move_one_way(page):
    show(page, LossExplorer(IMAGES[:1], [0], TEACHER[:1], TEACHER[:1] + 1, alpha=1.0))
    words = page.locator("[data-side=right] [role=img]").get_attribute("aria-label")
    assert "raises" not in words and "lowers" in words


@pytest.mark.parametrize("width", [400, 720, 900])
def test_nothing_is_cut_off(page, width):
    page.set_viewport_size({"width": width, "height": 1200})
    show(page, LossExplorer(np.repeat(IMAGES, 8, 0), np.repeat(LABELS, 8), np.repeat(TEACHER, 8, 0), np.repeat(STUDENT, 8, 0), alpha=1.0))
    assert page.locator(".kd-le").evaluate("e => e.getBoundingClientRect().width") <= 800
    for loss in LOSSES:
        for temperature, together in ((0.25, True), (20.0, False)):
            put(page, left=loss, temperature=temperature, same_scale=together)
            assert page.evaluate("document.documentElement.scrollWidth") <= width, loss
            cut = page.locator(".kd-values span, .kd-name, td, th, .kd-axis span").evaluate_all(
                "all => all.filter(e => e.scrollWidth > e.clientWidth + 1 && e.clientWidth).map(e => e.textContent)"
            )
            assert cut == [], loss
    heights = []
    for temperature in (0.25, 3.7, 20.0):
        put(page, temperature=temperature)
        heights.append(page.locator(".kd-le").evaluate("e => e.getBoundingClientRect().height"))
    assert len(set(heights)) == 1 or width == 400  # nothing jumps while a slider moves
    tops = page.locator(".kd-panel").evaluate_all("panels => panels.map(panel => panel.getBoundingClientRect().top)")
    assert (tops[0] == tops[1]) == (width > 700)  # side by side where there is room

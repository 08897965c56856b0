"""The temperature explorer in a bare page, without a kernel: what it shows, and that its numbers are those of kdcourse.soft_labels."""

import numpy as np
import pytest
from browser import show
from explorers import numbers, put, reach

from kdcourse import soft_labels
from kdcourse.widgets import TemperatureExplorer

pytestmark = pytest.mark.browser

LABELS = [7, 0, 9]
_RNG = np.random.default_rng(0)
IMAGES = _RNG.random((3, 28, 28))
TEACHER, STUDENT = _RNG.normal(0, 4, (2, 3, 10))
# A hard case: far apart, and so large that a naive exp overflows at T = 0.25. Adding a constant to logits changes no softmax.
TEACHER[1], STUDENT[1] = 500 + np.linspace(40, -40, 10), np.linspace(-40, 40, 10) - 500


def expected(example, temperature):
    v, z, label = TEACHER[example], STUDENT[example], LABELS[example]
    teacher, student = soft_labels.softmax(v, temperature), soft_labels.softmax(z, temperature)
    hard = soft_labels.one_hot([label], 10)[0]
    return {
        "temperature": temperature,
        "label": label,
        "teacher": teacher,
        "teacher_entropy": soft_labels.entropy(teacher),
        "hard_label_share": teacher[label],
        "student": student,
        "student_entropy": soft_labels.entropy(student),
        "kl": soft_labels.kl_divergence(teacher, student),
        "soft_gradient": temperature**2 * soft_labels.logit_gradient(z, teacher, temperature),
        "hard_gradient": soft_labels.logit_gradient(z, hard),
    }


def assert_agrees(shown, wanted):
    assert shown.keys() == wanted.keys()
    for name, value in wanted.items():
        np.testing.assert_allclose(np.array(shown[name], dtype=float), value, rtol=1e-6, atol=1e-6, err_msg=name)


@pytest.fixture
def explorer():
    return TemperatureExplorer(IMAGES, LABELS, TEACHER, STUDENT)


@pytest.mark.parametrize("example", range(3))
def test_every_number_agrees_with_python(page, explorer, example):
    show(page, explorer)
    page.get_by_role("radio").nth(example).check()
    for temperature in (0.25, 0.3, 0.71, 1.0, 1.37, 2.0, 4.0, 9.99, 17.4, 20.0):
        put(page, temperature=temperature)
        assert_agrees(numbers(page), expected(example, temperature))


def test_every_position_of_the_slider_is_what_it_says(page, explorer):
    show(page, explorer)
    slider = page.locator("input[type=range]")
    slider.focus()
    slider.press("Home")
    seen = []
    while not seen or seen[-1] < 20:
        shown = numbers(page)
        assert_agrees(shown, expected(0, shown["temperature"]))
        assert float(page.locator("output").inner_text()) == shown["temperature"]
        assert slider.get_attribute("aria-valuetext") == f"temperature {page.locator('output').inner_text()}"
        seen.append(shown["temperature"])
        slider.press("ArrowRight")
    assert seen[0] == 0.25
    assert {0.5, 1, 2, 4, 8, 16, 20} <= set(seen)
    ratios = np.array(seen[1:]) / seen[:-1]
    assert ratios.min() > 1 and ratios.max() < 1.06  # equal steps on a log scale, three digits apart


def test_bars_and_words_follow_the_numbers(page, explorer):
    show(page, explorer)
    put(page, temperature=4)
    wanted = expected(0, 4.0)
    for kind in ("teacher", "student"):
        np.testing.assert_allclose(reach(page.locator(f".kd-te-answers .kd-row .kd-{kind}")), wanted[kind], atol=0.01)
    sides = page.locator(".kd-gradients .kd-teacher").evaluate_all(
        "bars => bars.map(b => (b.offsetLeft + b.offsetWidth / 2 - b.parentElement.clientWidth / 2) * b.offsetWidth)"
    )
    visible = np.abs(wanted["soft_gradient"]) > 0.1
    assert visible.sum() >= 3
    assert (np.sign(sides)[visible] == np.sign(wanted["soft_gradient"])[visible]).all()
    first, second = np.argsort(-wanted["teacher"])[:2]
    label = page.locator(".kd-te-answers[role=img]").get_attribute("aria-label")
    shares = [f"{wanted['teacher'][i]:.1%} to {i}" for i in (first, second)]
    assert label.startswith(f"At temperature 4.0 the teacher gives {shares[0]}, then {shares[1]}; the student gives")
    assert label.endswith("The hard label is 7.")
    lowest = np.argmin(wanted["soft_gradient"])
    assert f"The soft label raises {lowest} most" in page.locator(".kd-gradients").get_attribute("aria-label")
    assert page.locator(".kd-te-answers .kd-labelled .kd-name").inner_text() == "7"
    assert page.locator(".kd-numbers").inner_text().count(f"{wanted['kl']:.3f}") == 1


def test_without_a_student_only_the_teacher_is_shown(page):
    show(page, TemperatureExplorer(IMAGES, LABELS, TEACHER, temperature=2.0))
    shown, wanted = numbers(page), expected(0, 2.0)
    np.testing.assert_allclose(shown["teacher"], wanted["teacher"], atol=1e-6)
    assert [shown[name] for name in ("student", "student_entropy", "kl", "soft_gradient", "hard_gradient")] == [None] * 5
    assert page.locator(".kd-gradients, .kd-student").count() == 0
    text = page.locator(".kd-te").inner_text().lower()
    assert "student" not in text and "gradient" not in text and "kl(" not in text


def assert_named(page, explorer, title, radio, picture):
    show(page, explorer)
    assert page.get_by_role("group", name=title, exact=True).count() == 1
    assert page.get_by_role("radio").first.get_attribute("aria-label") == radio
    assert page.locator("figure img").get_attribute("alt") == picture


def test_images_of_other_kinds_keep_their_shape_and_are_no_digits(page):
    assert_named(
        page, TemperatureExplorer(IMAGES, LABELS, TEACHER), "Pick a digit", "digit 1 of 3, labelled 7", "the chosen digit, labelled 7"
    )
    cats = TemperatureExplorer(np.zeros((1, 20, 40, 3)), [0], TEACHER[:1], class_names=["cat", *"123456789"])
    assert_named(page, cats, "Pick an image", "image 1 of 1, labelled cat", "the chosen image, labelled cat")
    sizes = page.locator("figure img").evaluate("e => [e.naturalWidth, e.naturalHeight, getComputedStyle(e).objectFit]")
    assert sizes == [40, 20, "contain"]
    assert page.locator(".kd").evaluate("e => e.getBoundingClientRect().width") <= 640

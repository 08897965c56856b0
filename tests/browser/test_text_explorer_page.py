"""The text explorer in a bare page, without a kernel: its numbers are those of kdcourse.soft_labels, and answered texts are all there."""

import numpy as np
import pytest
from browser import show
from explorers import build, numbers, put, reach

from kdcourse.soft_labels import entropy, softmax
from kdcourse.widgets import TextExplorer

pytestmark = pytest.mark.browser

NAMES = [f"class {i}" for i in range(20)]
SAYS, STATUS = ".kd-says", ".kd-tx-status"


def logits(seed, text):
    return np.random.default_rng([seed, *text.encode()]).normal(0, 3, 20).astype(np.float32)


def shown(page, teacher, student, **how):
    """Show an explorer of two models whose logits are always the same."""
    names = how.pop("class_names", NAMES[: len(student)])
    show(page, TextExplorer(teacher if teacher is None else lambda text: teacher, lambda text: student, names, **how))


def rows(page, panel):
    return page.locator(".kd-panel").nth(panel).locator(".kd-name").all_inner_texts()


def test_every_number_agrees_with_python(page):
    texts = ["hello", "an example", "another"]
    show(page, TextExplorer(lambda text: logits(1, text), lambda text: logits(2, text), NAMES, text=texts[0], examples=texts[1:]))
    for text in texts:
        put(page, text=text)
        for temperature in (0.25, 1.0, 3.7, 20.0):
            put(page, temperature=temperature)
            found = numbers(page)
            assert (found["text"], found["temperature"]) == (text, temperature)
            for seed, role in enumerate(("teacher", "student"), 1):
                p, n = softmax(logits(seed, text), temperature), found[role]
                np.testing.assert_allclose(n["soft_labels"], p, rtol=1e-6)
                np.testing.assert_allclose(n["entropy"], entropy(p), rtol=1e-6, atol=1e-9)
                np.testing.assert_allclose(n["shares"], [*p[n["classes"]], 1 - p[n["classes"]].sum()], rtol=1e-6, atol=1e-9)
                assert n["best"] == p.argmax()


def test_bars_and_words_follow_the_numbers(page):
    shown(page, np.log([0.5, 0.3, 0.2]), np.log([0.25, 0.6, 0.15]), class_names=["earn", "acq", "crude"], text="a text")
    for panel, (name, shares) in enumerate((("teacher", [0.5, 0.3, 0.2]), ("student", [0.25, 0.6, 0.15]))):
        box = page.locator(".kd-panel").nth(panel)
        np.testing.assert_allclose(reach(box.locator(".kd-bar")), shares, atol=0.01)
        assert box.locator(".kd-values").all_inner_texts() == [f"{share:.1%}" for share in shares]
        assert box.locator(".kd-tx-best .kd-name").inner_text() == ("earn", "acq")[panel]
        facts = box.locator(".kd-note").inner_text()
        assert facts.endswith(f" ms · entropy {entropy(np.array(shares)) / np.log(2):.2f} of 1.58 bits")
        words = ", ".join(f"{name} {share:.1%}" for name, share in zip(("earn", "acq", "crude"), shares, strict=True))
        assert box.get_by_role("img").get_attribute("aria-label") == f"{name} ({facts}): {words}."
    said = "They disagree: teacher says earn, student says acq. Temperature 1.0.\nThe text: a text"
    assert page.locator(SAYS).inner_text() == said
    assert page.locator(SAYS).get_attribute("aria-live") == "polite"


def test_the_rows_are_the_highest_of_either_in_the_teachers_order(page):
    rising, falling = np.arange(20.0), np.arange(20.0)[::-1]
    for teacher, student, wanted in [
        (rising, falling, [19, 18, 17, 2, 1, 0]),
        (rising, rising, [19, 18, 17, 16, 15, 14]),
        (None, falling, [0, 1, 2, 3, 4, 5]),
    ]:
        shown(page, teacher, student)
        for temperature in (0.25, 20):  # the rows stay where they are
            put(page, temperature=temperature)
            assert rows(page, 0) == [*(NAMES[i] for i in wanted), "14 others"]
    shown(page, np.arange(7.0), np.arange(7.0))
    assert rows(page, 1) == NAMES[6::-1]  # no row for one other class


def test_words_when_they_agree_and_without_a_teacher(page):
    shown(page, np.arange(20.0), np.arange(20.0), names=("large", "small"))
    assert page.locator(SAYS).inner_text().startswith("Both say class 19. Temperature 1.0.")
    assert page.locator(".kd-panel h4").all_inner_texts() == ["large", "small"]
    shown(page, None, np.arange(20.0))
    assert page.locator(SAYS).inner_text().startswith("Only the student is shown: there is no teacher on this machine. It says class 19.")
    assert page.locator(".kd-panel h4").all_inner_texts() == ["student"]


def test_answered_texts_need_no_kernel_and_others_say_so(page):
    show(page, build("text"))
    area, menu = page.get_by_label("Text", exact=True), page.get_by_label("Example")
    menu.select_option("<b>another</b> one")
    assert area.input_value() == numbers(page)["text"] == "<b>another</b> one"
    area.fill("nobody was asked about this")
    page.locator(STATUS).filter(has_text="it takes a running kernel. The picture still shows the last text that has an answer.").wait_for()
    assert page.locator(STATUS).get_attribute("role") == "alert"
    assert menu.locator("option:checked").inner_text() == "choose one, or type above"
    assert numbers(page)["text"] == "<b>another</b> one"
    page.get_by_label("Temperature T").press("Home")  # still moves the answers that are there
    assert (numbers(page)["temperature"], numbers(page)["text"]) == (0.25, "<b>another</b> one")
    area.fill("hello")
    page.wait_for_function("() => JSON.parse(document.querySelector('.kd').dataset.numbers).text === 'hello'")
    assert page.locator(STATUS).inner_text() == ""


def test_typing_is_sent_when_it_pauses_and_an_older_answer_does_not_undo_it(page):
    show(page, build("text"))
    area = page.get_by_label("Text", exact=True)
    # in one go, because a browser that is slow may pause between two keys; the kernel's answer to an older text comes in between
    sent = area.evaluate("""area => {
      for (const text of ["", "t", "ty", "typ", "type", "typed"]) {
        area.value = text;
        area.dispatchEvent(new Event("input", { bubbles: true }));
        model.set("refused", { text: "something older", why: text });
      }
      return [saves, area.value];
    }""")
    assert sent == [0, "typed"]
    page.wait_for_function("() => model.get('text') === 'typed'")
    assert page.evaluate("saves") == 1
    put(page, text="from Python")
    assert area.input_value() == "from Python"
    put(page, refused={"text": "from Python", "why": "There is no word in the text."})
    assert page.locator(STATUS).inner_text() == "There is no word in the text. The picture still shows the last text that has an answer."


def test_long_texts_and_names_stay_on_the_page(page):
    long = "a class with a name " + "that never ends " * 100
    shown(page, None, np.array([1.0, 2.0]), class_names=[long, "b"], text="🙂 word\n" * 1000, examples=[long])
    assert page.evaluate("document.documentElement.scrollWidth") <= 1280
    assert page.locator(SAYS).inner_text().splitlines()[1] == "The text: " + ("🙂 word " * 13)[:79] + "…"
    assert page.locator(".kd-name").last.get_attribute("title") == long

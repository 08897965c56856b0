"""The quiz in a static page, as the book and nbconvert's HTML show it: no kernel, no network."""

import nbformat
import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from nbconvert import HTMLExporter

from kdcourse import quiz

pytestmark = pytest.mark.browser

QUESTION = {
    "id": "high-temperature",
    "question": "What does a high temperature do to a softmax?",
    "type": "multiple_choice",
    "answers": [
        {"answer": "It evens the classes out", "correct": True, "feedback": "All differences shrink."},
        {"answer": "It picks one class", "correct": False, "feedback": "That is a temperature near 0."},
    ],
}
MARKUP = 'a<b & <img src=x onerror="pwned=1"> </script><script>pwned=1</script> [link](javascript:pwned=1) <http://x>'


@pytest.fixture
def address(tmp_path):
    """A function from questions to a page with them as a quiz, and a paragraph after it."""

    def written(*questions):
        quiz.validate(list(questions))
        InteractiveShell.instance()
        try:
            with capture_output() as captured:
                quiz._display(list(questions), "page")
        finally:
            InteractiveShell.clear_instance()
        outputs = [nbformat.v4.new_output("display_data", output.data) for output in captured.outputs]
        cells = [nbformat.v4.new_code_cell("quiz.show()", outputs=outputs), nbformat.v4.new_markdown_cell("Afterwards.")]
        file = tmp_path / "quiz.html"
        file.write_text(HTMLExporter().from_notebook_node(nbformat.v4.new_notebook(cells=cells))[0], encoding="utf-8")
        return file.as_uri()

    return written


@pytest.fixture
def without_script(browser):
    """A page on which no script runs."""
    page = browser.new_context(java_script_enabled=False).new_page()
    offline(page)
    yield page
    page.context.close()


def offline(page):
    page.route("**/*", lambda route: route.continue_() if route.request.url.startswith("file:") else route.abort())


def test_answers_teach_without_a_kernel_by_mouse_and_by_keyboard(page, address):
    offline(page)
    page.goto(address(QUESTION))
    page.locator(".MCButton", has_text="picks one class").click()
    assert page.locator(".Feedback").inner_text() == "That is a temperature near 0."
    page.locator(".MCButton", has_text="evens").locator("input").focus()
    page.keyboard.press("Space")
    assert page.locator(".Feedback").inner_text() == "All differences shrink."
    assert not page.locator(".quiz-as-text").is_visible()
    assert page.locator(".Quiz", has_text="Afterwards").count() == 0


def test_questions_and_folded_answers_can_be_read_where_no_script_runs(without_script, address):
    without_script.goto(address(QUESTION))
    text = without_script.locator(".quiz-as-text")
    assert text.get_by_text("It picks one class").is_visible()
    assert not text.get_by_text("That is a temperature near 0.").is_visible()
    text.get_by_text("Answers").click()
    assert text.locator("details li").all_inner_texts() == ["✓ All differences shrink.", "✗ That is a temperature near 0."]
    assert text.locator("details li").nth(1).is_visible()


def test_markup_in_a_bank_is_shown_as_it_is_written_and_never_runs(page, without_script, address):
    choice = {"answer": f"1 {MARKUP}", "code": f"2 {MARKUP}", "correct": True, "feedback": f"3 {MARKUP}"}
    other = {"answer": "no `a<b` [0]", "correct": False, "feedback": "No."}
    text = {"type": "default", "feedback": f"6 {MARKUP}"}
    place = address(
        QUESTION | {"question": f"4 {MARKUP}", "code": f"5 {MARKUP}", "answers": [choice, other]},
        {"id": "number", "question": "?", "type": "numeric", "answers": [{"value": 1, "correct": True, "feedback": "Yes."}, text]},
        {"id": "word", "question": "?", "type": "string", "answers": [{"answer": "a&b", "correct": True, "feedback": "a & b."}, text]},
    )
    offline(page)
    page.goto(place)
    page.locator(".MCButton", has_text="1 a<b").click()
    number, word = page.locator("input[type=text]").all()
    number.press_sequentially("7")
    number.press("Enter")
    word.press_sequentially("a&b")
    word.press("Enter")
    drawn = page.locator(".Quiz").all_inner_texts()
    assert [drawn[0].count(f"{number} {MARKUP}") for number in range(1, 6)] == [1] * 5
    assert f"6 {MARKUP}" in drawn[1] and "a & b." in drawn[2]
    assert page.locator(".MCButton > span > code").all_inner_texts() == ["a<b"]
    assert page.locator(".Quiz").locator("img, script, a").count() == 0
    assert page.evaluate("typeof pwned") == "undefined"

    without_script.goto(place)
    text = without_script.locator(".quiz-as-text")
    assert [text.text_content().count(f"{number} {MARKUP}") for number in range(1, 7)] == [1, 1, 1, 1, 1, 2]
    assert text.locator("img, script, a").count() == 0

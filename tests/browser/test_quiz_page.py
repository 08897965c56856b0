"""The quiz in a static page, as the book and nbconvert's HTML show it: no kernel, no network."""

import nbformat
import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from nbconvert import HTMLExporter

from kdcourse import quiz

pytestmark = pytest.mark.browser

QUESTION = {
    "question": "What does a high temperature do to a softmax?",
    "type": "multiple_choice",
    "answers": [
        {"answer": "It evens the classes out", "correct": True, "feedback": "All differences shrink."},
        {"answer": "It picks one class", "correct": False, "feedback": "That is a temperature near 0."},
    ],
}


@pytest.fixture
def address(tmp_path):
    """A page with a quiz and a paragraph after it."""
    InteractiveShell.instance()
    try:
        with capture_output() as captured:
            quiz._display([QUESTION], "page")
    finally:
        InteractiveShell.clear_instance()
    outputs = [nbformat.v4.new_output("display_data", output.data) for output in captured.outputs]
    cells = [nbformat.v4.new_code_cell("quiz.show()", outputs=outputs), nbformat.v4.new_markdown_cell("Afterwards.")]
    file = tmp_path / "quiz.html"
    file.write_text(HTMLExporter().from_notebook_node(nbformat.v4.new_notebook(cells=cells))[0], encoding="utf-8")
    return file.as_uri()


def offline(page):
    page.route("**/*", lambda route: route.continue_() if route.request.url.startswith("file:") else route.abort())


def test_answers_teach_without_a_kernel_by_mouse_and_by_keyboard(page, address):
    offline(page)
    page.goto(address)
    page.locator(".MCButton", has_text="picks one class").click()
    assert page.locator(".Feedback").inner_text() == "That is a temperature near 0."
    page.locator(".MCButton", has_text="evens").locator("input").focus()
    page.keyboard.press("Space")
    assert page.locator(".Feedback").inner_text() == "All differences shrink."
    assert not page.locator(".quiz-as-text").is_visible()
    assert page.locator(".Quiz", has_text="Afterwards").count() == 0


def test_questions_can_be_read_where_no_script_runs(browser, address):
    page = browser.new_context(java_script_enabled=False).new_page()
    offline(page)
    page.goto(address)
    assert "b) It picks one class" in page.locator(".quiz-as-text").inner_text()
    page.context.close()

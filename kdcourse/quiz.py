"""Exercises' check cells, and the questions of ``data/questions``.

A question bank is a JSON list in jupyterquiz's format (https://github.com/jmshea/jupyterquiz).
Every wrong answer teaches: `show` refuses a bank in which an answer has no feedback.
"""

import html
import json
import random
from contextlib import contextmanager

from . import checks
from .files import data_path

KINDS = ("multiple_choice", "many_choice", "numeric", "string")
# Okabe-Ito blue for the questions; green and vermilion darkened until white text on them has a contrast above 6 to 1
COLOURS = {
    "--jq-multiple-choice-bg": "#005A8D",
    "--jq-many-choice-bg": "#005A8D",
    "--jq-numeric-bg": "#005A8D",
    "--jq-string-bg": "#005A8D",
    "--jq-numeric-input-bg": "#FAFAFA",
    "--jq-numeric-input-label": "inherit",
    "--jq-mc-button-border": "#767676",
    "--jq-correct-color": "#00664B",
    "--jq-incorrect-color": "#A03C00",
    "--jq-text-color": "#FAFAFA",
    "--jq-link-color": "#FFFFFF",
}
# The text version goes away where the script has drawn the quiz, and only there: on GitHub it stays.
STYLE = """<style>
body:has(.Quiz) .quiz-as-text { display: none }
div.Quiz, div.Quiz .Feedback { font-size: 12pt; line-height: 1.4 }
div.Quiz .Answer { grid-template-columns: 1fr }
div.Quiz .MCButton { font-size: 11pt; justify-content: flex-start; gap: 10px; text-align: left }
div.Quiz .MCButton:focus-within { outline: 3px solid #E69F00 }
div.Quiz .Input-text { border: 1px solid #767676 }
div.Quiz .Input-text:not(.correctButton, .incorrectButton) { color: #111111 }
div.Quiz .Feedback:not(:empty) { background: #FAFAFA; border-radius: 8px; padding: 8px; text-align: left }
</style>"""


class NotSolved(Exception):
    """What an exercise raises until the reader has written its body."""

    def __init__(self, message: str = "this exercise waits for your code: replace the line that raises NotSolved"):
        """Explain itself to a reader who calls an exercise that is still open."""
        super().__init__(message)


@contextmanager
def check(title: str):
    """Print ``✓ title`` when the block passes and ``○ title: not solved yet`` when an exercise in it is still open.

    A failed assert is not swallowed: its message is the hint.
    """
    try:
        yield
    except NotSolved:
        print(f"○ {title}: not solved yet")
    else:
        print(f"✓ {title}")


def names() -> list[str]:
    """Return the names of all question banks."""
    return sorted(path.stem for path in data_path("questions").glob("[!.]*.json"))


def load(name: str) -> list[dict]:
    """Return the question bank `name`, validated.

    Raises:
        ValueError: no such bank, or one that `validate` refuses.
    """
    path = data_path("questions", f"{checks.choice('name', name, names())}.json")
    questions = json.loads(path.read_text(encoding="utf-8"))
    validate(questions, f"data/questions/{name}.json")
    return questions


def validate(questions: list[dict], where: str = "questions") -> None:
    """Refuse a question bank that could not teach.

    Raises:
        ValueError: no list, a question without text or of an unknown type, a formula in dollars, an answer without feedback, not
            exactly one correct answer in a multiple choice, no correct answer elsewhere, or no feedback for whatever else is typed.
    """
    checks.require(isinstance(questions, list) and questions, f"{where} must be a list with at least one question, got {questions!r}")
    for number, question in enumerate(questions, 1):
        this, kind, answers = f"{where}, question {number}", question.get("type"), question.get("answers") or []
        checks.require(question.get("question"), f"{this}: question must be a text, got {question.get('question')!r}")
        if "$" in json.dumps(question):
            raise ValueError(f"{this}: texts must have no $, JupyterLab draws no formulas in a quiz; write T² or T → ∞")
        checks.require(kind in KINDS, f"{this}: type must be one of {', '.join(KINDS)}, got {kind!r}")
        for answer in answers:
            if not str(answer.get("feedback", "")).strip():
                shown = answer.get("answer", answer.get("value", answer))
                raise ValueError(f"{this}: every answer must have feedback, got none for {shown!r}")
        correct = sum(bool(answer.get("correct")) for answer in answers)
        if correct < 1 or (kind == "multiple_choice" and correct > 1):
            allowed = "exactly" if kind == "multiple_choice" else "at least"
            raise ValueError(f"{this}: {kind} must have {allowed} one correct answer, got {correct}")
        if kind in ("numeric", "string") and not any(answer.get("type") == "default" for answer in answers):
            raise ValueError(f'{this}: {kind} must have an answer of type "default", the feedback for everything else, got none')


def as_text(questions: list[dict]) -> str:
    """Return the questions and the answers to choose from as plain text, without the solutions."""
    lines = []
    for number, question in enumerate(questions, 1):
        lines.append(f"{number}. {question['question']}" + (f"\n{question['code']}" if "code" in question else ""))
        if question["type"].endswith("choice"):
            lines += [f"   {chr(97 + i)}) {answer.get('answer', answer.get('code', ''))}" for i, answer in enumerate(question["answers"])]
    return "\n".join(lines)


def show(name: str) -> None:
    """Show the question bank `name` as a quiz that works without a kernel; where no script runs, its questions stay readable as text.

    Raises:
        ValueError: no such bank, or an answer without feedback (see `validate`).
    """
    _display(load(name), name)


def _display(questions: list[dict], name: str) -> None:
    from IPython.display import display
    from IPython.utils.capture import capture_output
    from jupyterquiz import display_quiz

    text = as_text(questions)
    page = f'{STYLE}<div class="quiz-as-text" style="white-space: pre-wrap">{html.escape(text)}</div>'
    display({"text/html": page, "text/plain": text}, raw=True)
    state = random.getstate()
    random.seed(name)  # jupyterquiz draws the name of its <div> at random: the same each time keeps a rebuilt notebook the same
    try:
        with capture_output(stdout=False, stderr=False) as quiz:
            display_quiz(questions, colors=COLOURS, max_width=760)
    finally:
        random.setstate(state)
    for output in quiz.outputs:
        data = dict(output.data)
        if "text/html" in data:  # jupyterquiz 2.9 leaves its <div> open: in a static page whatever follows would land inside
            data["text/html"] += "</div>" * (data["text/html"].count("<div") - data["text/html"].count("</div>"))
        if "application/javascript" in data:  # JupyterLab's MathJax makes it throw, older ones make it load a script from a CDN: hide both
            data["application/javascript"] = f"(function (MathJax) {{\n{data['application/javascript']}\n}})();"
        display(data, raw=True)

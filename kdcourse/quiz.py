"""Exercises' check cells, and the questions of ``data/questions``.

A question bank is a JSON list in jupyterquiz's format (https://github.com/jmshea/jupyterquiz), its keys are those of `QUESTION` and
`ANSWERS`: each question has an ``id`` of its own, and may name the learning ``objective`` that it asks about. Every wrong answer teaches:
`show` refuses a bank in which an answer has no feedback. A text is a text: ``a<b`` is shown as it is written, only what stands between
backquotes is shown as code.
"""

import html
import json
import random
import re
from contextlib import contextmanager
from pathlib import Path

from . import checks
from .files import data_path

ID = re.compile("[a-z0-9-]+")
QUESTION = ("id", "objective", "question", "code", "type", "precision", "answers")
# type of the question: type of an answer, the first where none is named: keys of the answer beside type, correct and feedback
ANSWERS = {
    "multiple_choice": {"choice": ("answer", "code")},
    "many_choice": {"choice": ("answer", "code")},
    "numeric": {"value": ("value",), "range": ("range",), "default": ()},
    "string": {"text": ("answer", "match_case"), "default": ()},
}
TEXTS = ("question", "answer", "code", "feedback")
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
# The text version goes away where the script has drawn the quiz, and only there: on GitHub, where neither style nor script runs, it stays.
STYLE = """<style>
body:has(.Quiz) .quiz-as-text { display: none }
.quiz-as-text details { margin: 0.3em 0 1.2em }
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
        ValueError: no such bank, or one that `read` refuses.
    """
    return read(data_path("questions", f"{checks.choice('name', name, names())}.json"))


def read(path: Path) -> list[dict]:
    """Return the question bank in a file of ``data/questions``, validated.

    Raises:
        ValueError: a file that is no JSON, or a bank that `validate` refuses.
    """
    where = f"data/questions/{path.name}"
    try:
        questions = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{where} must be JSON, got an error: {error}") from None
    validate(questions, where)
    return questions


# --- what a bank may hold ---


def validate(questions: list[dict], where: str = "questions") -> None:
    """Refuse a question bank that could not teach, or that would not be shown as it is meant.

    Raises:
        ValueError: no list, an unknown type or key, a text that is missing or has a dollar in it, an `id` that is missing or used twice,
            an answer without feedback, fewer than two choices or two that are alike, not exactly one correct answer in a multiple
            choice, no correct answer elsewhere, or no feedback for whatever else is typed.
    """
    if not isinstance(questions, list) or not questions:
        checks.refuse(where, "a list with at least one question", checks.shown(questions))
    ids = set()
    for number, question in enumerate(questions, 1):
        this = f"{where}, question {number}"
        _validate_question(this, question)
        if question["id"] in ids:
            checks.refuse(f"{this}: id", "another one than those above", repr(question["id"]))
        ids.add(question["id"])


def _validate_question(this: str, question) -> None:
    _keys(this, question, QUESTION)
    for key in ("id", "objective") if "objective" in question else ("id",):
        if not isinstance(name := question.get(key), str) or not ID.fullmatch(name):
            checks.refuse(f"{this}: {key}", "a name of small letters, digits and hyphens", checks.shown(name))
    _texts(this, question, "question")
    kind, answers = checks.choice(f"{this}: type", question.get("type"), ANSWERS), question.get("answers")
    if "precision" in question:
        checks.whole(f"{this}: precision", question["precision"], most=100, what="a number of digits")
    least = 2 if kind.endswith("choice") else 1
    if not isinstance(answers, list) or len(answers) < least:
        checks.refuse(f"{this}: answers", f"a list, at least {least}", checks.shown(answers))
    for number, answer in enumerate(answers, 1):
        _validate_answer(f"{this}, answer {number}", kind, answer)
    options = [option(answer) for answer in answers]
    if twice := [one for one in options if options.count(one) > 1]:
        checks.refuse(f"{this}: answers", "different", f"{twice[0]!r} more than once")
    correct = sum(answer.get("correct", False) for answer in answers)
    if correct < 1 or (kind == "multiple_choice" and correct > 1):
        allowed = "exactly" if kind == "multiple_choice" else "at least"
        raise ValueError(f"{this}: {kind} must have {allowed} one correct answer, got {correct}")
    if "default" in ANSWERS[kind] and not any(answer.get("type") == "default" for answer in answers):
        raise ValueError(f'{this}: {kind} must have an answer of type "default", the feedback for everything else, got none')


def _validate_answer(this: str, kind: str, answer) -> None:
    _keys(this, answer)
    forms = ANSWERS[kind]
    form = checks.choice(f"{this}: type", answer.get("type", next(iter(forms))), forms)
    _keys(this, answer, ("type", *forms[form], "correct", "feedback"))
    _texts(this, answer, "feedback", *(["answer"] if "answer" in forms[form] and "code" not in answer else []))
    correct = answer.get("correct", False if form == "default" else None)
    if not isinstance(correct, bool) or (correct and form == "default"):
        checks.refuse(f"{this}: correct", "false" if form == "default" else "true or false", checks.shown(correct))
    if form == "value":
        checks.number(f"{this}: value", answer.get("value"))
    if form == "range":
        ends = answer.get("range")
        if not isinstance(ends, list) or len(ends) != 2:
            checks.refuse(f"{this}: range", "a list of two numbers", checks.shown(ends))
        checks.number(f"{this}: end of the range", ends[1], checks.number(f"{this}: start of the range", ends[0]), open_low=True)
    if not isinstance(answer.get("match_case", False), bool):
        checks.refuse(f"{this}: match_case", "true or false", checks.shown(answer["match_case"]))
    if form == "text" and "<" in answer["answer"]:  # it is compared with what is typed, so it cannot be escaped where it lies in the page
        checks.refuse(f"{this}: answer", "without <, which could end the script that it lies in", checks.shown(answer["answer"]))


def _keys(this: str, part, known: tuple | None = None) -> None:
    if not isinstance(part, dict):
        checks.refuse(this, "an object with keys", checks.shown(part))
    if known and (other := next((key for key in part if key not in known), None)) is not None:
        checks.refuse(f"a key of {this}", f"one of {', '.join(known)}", checks.shown(other))


def _texts(this: str, part: dict, *needed: str) -> None:
    for key in TEXTS:
        if key in part or key in needed:
            text = part.get(key)
            if not isinstance(text, str) or not text.strip():
                checks.refuse(f"{this}: {key}", "a text that is not empty", checks.shown(text))
            if "$" in text:
                checks.refuse(f"{this}: {key}", "without $ (JupyterLab draws no formulas in a quiz; write T² or T → ∞)", checks.shown(text))


# --- what a reader sees ---


def option(answer: dict) -> str:
    """Return what a reader chooses or types to give `answer`."""
    if answer.get("type") == "default":
        return "anything else"
    if "range" in answer:
        return "from {} to below {}".format(*answer["range"])
    return "\n".join(str(answer[key]) for key in ("answer", "code", "value") if key in answer)


def as_text(questions: list[dict]) -> str:
    """Return the questions and the answers to choose from as plain text, without the solutions."""
    lines = []
    for number, question in enumerate(questions, 1):
        lines.append(f"{number}. {question['question']}" + (f"\n{question['code']}" if "code" in question else ""))
        if question["type"].endswith("choice"):
            lines += [f"   {chr(97 + i)}) {option(answer)}" for i, answer in enumerate(question["answers"])]
    return "\n".join(lines)


def as_html(questions: list[dict]) -> str:
    """Return the questions as a list, and folded under each its answers: for every option whether it is right, and its feedback.

    It reads well without style and script, and no text of the bank is taken for HTML.
    """
    return "<ol>\n" + "\n".join(f"<li>{_question_as_html(question)}</li>" for question in _escaped(questions)) + "\n</ol>"


def _question_as_html(question: dict) -> str:
    """Return an escaped question. Of a choice, the options and what is said about them are two lists with the same letters."""
    choice, options = question["type"].endswith("choice"), ""
    said = [
        f"{'✓' if answer.get('correct') else '✗'} {'' if choice else f'{_html(option(answer))}: '}{answer['feedback']}"
        for answer in question["answers"]
    ]
    if choice:
        options = _list('ol type="a"', [answer.get("answer", "") + _code(answer) for answer in question["answers"]])
    answers = _list('ol type="a"' if choice else "ul", said)
    return f"<p>{question['question']}</p>{_code(question)}\n{options}<details><summary>Answers</summary>\n{answers}</details>"


def _list(tag: str, items: list[str]) -> str:
    return f"<{tag}>\n" + "".join(f"<li>{item}</li>\n" for item in items) + f"</{tag[:2]}>\n"


def _code(part: dict) -> str:
    return f"<pre><code>{part['code']}</code></pre>" if "code" in part else ""


def _escaped(questions: list[dict]) -> list[dict]:
    """Return the questions with their texts as HTML. What is typed stays: it is compared, not shown."""
    return [
        _part_escaped(question) | {"answers": [_part_escaped(answer, typed=question["type"] == "string") for answer in question["answers"]]}
        for question in questions
    ]


def _part_escaped(part: dict, typed: bool = False) -> dict:
    shown = {key: _html(part[key]) for key in ("question", "answer", "feedback") if key in part and not (typed and key == "answer")}
    return part | shown | ({"code": html.escape(part["code"], quote=False)} if "code" in part else {})


def _html(text: str) -> str:
    """Return a text as HTML, with code between backquotes; no bracket may begin a link, which jupyterquiz would make of ``[a](b)``."""
    return re.sub("`([^`]+)`", r"<code>\1</code>", html.escape(text, quote=False).replace("[", "&#91;"))


def show(name: str) -> None:
    """Show the question bank `name` as a quiz that works without a kernel; where no script runs, it stays readable as text (see `as_html`).

    Raises:
        ValueError: no such bank, or one that `read` refuses.
    """
    _display(load(name), name)


def _display(questions: list[dict], name: str) -> None:
    from IPython.display import display
    from IPython.utils.capture import capture_output
    from jupyterquiz import display_quiz

    page = f'{STYLE}\n<div class="quiz-as-text">\n{as_html(questions)}\n</div>'
    display({"text/html": page, "text/plain": as_text(questions)}, raw=True)
    state = random.getstate()
    random.seed(name)  # jupyterquiz draws the name of its <div> at random: the same each time keeps a rebuilt notebook the same
    try:
        with capture_output(stdout=False, stderr=False) as quiz:
            display_quiz(_escaped(questions), colors=COLOURS, max_width=760)  # it shuffles the answers anew each time
    finally:
        random.setstate(state)
    for output in quiz.outputs:
        data = dict(output.data)
        if "text/html" in data:  # jupyterquiz 2.9 leaves its <div> open: in a static page whatever follows would land inside
            data["text/html"] += "</div>" * (data["text/html"].count("<div") - data["text/html"].count("</div>"))
        if "application/javascript" in data:  # JupyterLab's MathJax makes it throw, older ones make it load a script from a CDN: hide both
            data["application/javascript"] = f"(function (MathJax) {{\n{data['application/javascript']}\n}})();"
        display(data, raw=True)

"""The text explorer's Python side: what it asks the models and sends to the page, and that a text without an answer leaves the last one."""

import warnings

import numpy as np
import pytest
import traitlets
from explorers import loads_nothing_heavy, refuses, refuses_traits

from kdcourse.soft_labels import softmax
from kdcourse.widgets import TextExplorer
from kdcourse.widgets.text_explorer import MOST_TEXTS

NAMES = [f"class {i}" for i in range(20)]


class Model:
    """A stand-in: logits that depend on the bytes of a text alone, and a list of the texts it was asked about."""

    def __init__(self, seed, classes=20):
        self.seed, self.classes, self.asked = seed, classes, []

    def __call__(self, text):
        self.asked.append(text)
        return np.random.default_rng([self.seed, *text[:50].encode()]).normal(0, 2, self.classes).astype(np.float32)


TEACHER, STUDENT = Model(1), Model(2)


def refuses_zebras(text):
    if "zebra" in text:
        raise ValueError("text must not hold zebras.\nTraceback of a deep stack")
    return STUDENT(text)


@pytest.fixture
def explorer():
    explorer = TextExplorer(TEACHER, STUDENT, NAMES, text="the first text")
    del TEACHER.asked[:], STUDENT.asked[:]
    return explorer


def test_its_answers_are_those_of_the_models(explorer):
    for text in ("the first text", "another", "the first text"):
        explorer.text = text
        for temperature in (1.0, 0.25, 20.0):
            explorer.temperature = temperature
            assert list(explorer.soft_labels) == ["teacher", "student"]
            for name, model in (("teacher", TEACHER), ("student", STUDENT)):
                np.testing.assert_array_equal(explorer.logits[name], model(text))
                np.testing.assert_array_equal(explorer.soft_labels[name], softmax(model(text), temperature))
    assert all(ms > 0 for ms in explorer.milliseconds.values())
    assert repr(explorer) == "A text box over a teacher and a student: run this cell in JupyterLab, Colab or Binder, and type."
    assert len(repr(explorer)) < 110  # what is longer is cut off


def test_the_page_gets_every_answer(explorer):
    explorer.text = "another"
    assert [answer["text"] for answer in explorer.answers] == ["the first text", "another"]
    for answer in explorer.answers:
        np.testing.assert_array_equal(np.float32(answer["teacher"]["logits"]), TEACHER(answer["text"]))
        np.testing.assert_array_equal(np.float32(answer["student"]["logits"]), STUDENT(answer["text"]))
        assert answer["teacher"]["ms"] > 0
    assert explorer.names == {"teacher": "teacher", "student": "student"}


def test_a_text_is_asked_about_once_and_a_temperature_never(explorer):
    for text in ("one", "two", "one"):
        explorer.text = text
    assert explorer.answers[-1]["text"] == "one"  # the one shown is the last
    explorer.temperature = 3
    assert STUDENT.asked == TEACHER.asked
    assert sorted(set(TEACHER.asked)) == ["one", "two"]
    assert TEACHER.asked == sorted(TEACHER.asked)


def test_a_slow_model_is_called_once(explorer, monkeypatch):
    monkeypatch.setattr("kdcourse.widgets.text_explorer.LONG", 0)  # each call is a long one
    explorer.text = "asked once"
    assert TEACHER.asked == STUDENT.asked == ["asked once"]


def test_examples_are_answered_ahead_while_that_is_quick(monkeypatch):
    def build():
        return TextExplorer(TEACHER, refuses_zebras, NAMES, text="b", examples=["a", "a zebra", "b", "c"])

    assert [answer["text"] for answer in build().answers] == ["a", "c", "b"]
    monkeypatch.setattr("kdcourse.widgets.text_explorer.SPARE", 0)
    assert [answer["text"] for answer in build().answers] == ["b"]


def test_the_state_stays_small():
    explorer = TextExplorer(TEACHER, STUDENT, NAMES, text="first", examples=["an example"])
    explorer.text = long = "word " * 100_000
    assert explorer.answers[-1]["text"] == long and explorer.message == ""
    for i in range(50):
        explorer.text = f"text {i}"
    assert [answer["text"] for answer in explorer.answers] == ["an example", *(f"text {i}" for i in range(50 - MOST_TEXTS, 50))]
    assert len(str(explorer.answers)) < 20_000


def test_names_and_a_missing_teacher():
    assert list(TextExplorer(TEACHER, STUDENT, NAMES, text="x", names=("large", "small")).soft_labels) == ["large", "small"]
    alone = TextExplorer(None, STUDENT, NAMES, text="x")
    assert list(alone.soft_labels) == ["student"] and set(alone.answers[0]) == {"text", "student"}


STRANGE = [
    "qwxzt vbnmk",
    "Πού είναι το τρένο;",
    "你好,世界",
    "שלום עולם",
    "🙂🙃👩‍👩‍👧",
    "<script>alert('x')</script> & <b>bold",
    "?!",
    "a\x00b\x07\nc",
]


@pytest.mark.parametrize("text", STRANGE)
def test_strange_texts_have_an_answer(explorer, text):
    explorer.text = text
    assert explorer.message == ""
    np.testing.assert_array_equal(explorer.logits["student"], STUDENT(text))


@pytest.mark.parametrize("text", ["", " \n\t ", "a zebra"])
def test_a_text_without_an_answer_leaves_the_last_one_and_says_why(text):
    explorer = TextExplorer(TEACHER, refuses_zebras, NAMES, text="a horse")
    before = explorer.answers, explorer.logits
    for _ in range(2):
        explorer.text = text
        why = "student has no answer to this text: text must not hold zebras." if text.strip() else "There is no word in the text"
        assert explorer.message == why and explorer.refused == {"text": text, "why": why}
        assert explorer.answers == before[0]
        np.testing.assert_equal(explorer.logits, before[1])
        explorer.temperature = 4  # still moves the answers that are there
        np.testing.assert_array_equal(explorer.soft_labels["student"], softmax(before[1]["student"], 4))
        explorer.text = "a horse"
        assert explorer.message == ""


LATER = [
    (lambda: {}["no such word"], "teacher has no answer to this text: 'no such word'"),
    (lambda: np.zeros(3)[[]].item(), "teacher has no answer to this text: "),
    (lambda: np.full(20, np.nan), "teacher's logits must be finite, got"),
    (lambda: np.zeros(8), "teacher's logits must be an array of shape (20,), one for each of class_names, got shape (8,)"),
    (lambda: None, "teacher's logits must be an array of shape (20,), one for each of class_names, got shape ()"),
]


@pytest.mark.parametrize(("later", "message"), LATER)
def test_a_model_that_breaks_later_is_named(later, message):
    explorer = TextExplorer(lambda text: TEACHER(text) if text == "first" else later(), STUDENT, NAMES, text="first")
    explorer.text = "second"
    assert explorer.message.startswith(message)
    assert "\n" not in explorer.message
    assert [answer["text"] for answer in explorer.answers] == ["first"]


def test_probabilities_taken_for_logits_are_a_warning():
    with pytest.warns(UserWarning, match="student's logits look like probabilities"):
        TextExplorer(TEACHER, lambda text: softmax(STUDENT(text)), NAMES)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        TextExplorer(TEACHER, STUDENT, NAMES)


def fails(text):
    raise RuntimeError("no memory\nand more")


SHAPE = "logits must be an array of shape (20,), one for each of class_names, got shape"
BAD = [
    ({"teacher": "minilm"}, "teacher must be a function from a text to logits, got 'minilm'"),
    ({"student": None}, "student must be a function from a text to logits, got None"),
    ({"teacher": Model(1, 8)}, f"teacher's {SHAPE} (8,): is it a teacher of other labels?"),
    ({"teacher": lambda text: np.zeros((1, 20))}, f"teacher's {SHAPE} (1, 20)"),
    ({"student": lambda text: np.full(20, np.inf)}, "student's logits must be finite, got ... 20 of 20"),
    ({"student": lambda text: NAMES}, "student's logits must ... numbers ... got"),
    ({"student": lambda text: [[1], [2, 3]]}, "student has no answer to this text: setting an array element with a sequence."),
    ({"teacher": fails}, "teacher has no answer to this text: no memory"),
    ({"class_names": ["one"]}, "class_names must ... at least 2 ... got ['one']"),
    ({"class_names": range(20)}, "class_names must ... strings ... got range(0, 20)"),
    ({"class_names": [*NAMES[1:], "class 7"]}, "class_names must ... got 'class 7' more than once"),
    ({"names": ("a", "b", "c")}, "names must be one for the teacher and one for the student, got 3"),
    ({"names": ("a", "a")}, "names must ... got 'a' more than once"),
    ({"examples": ["good", ""]}, "examples must ... got ['good', '']"),
    ({"text": " "}, "text must be a string with at least one word, got ' '"),
    ({"text": 5}, "text must be a string with at least one word, got 5"),
    ({"temperature": 0}, "temperature must ... 0.25 ... 20 ... got 0"),
    ({"temperature": "1"}, "temperature must ... got '1'"),
]


@pytest.mark.parametrize(("change", "message"), BAD)
def test_bad_input_is_one_clear_sentence(change, message):
    refuses(message, TextExplorer, **{"teacher": TEACHER, "student": STUDENT, "class_names": NAMES} | change)


def test_bad_traits_are_refused_and_the_old_value_stays(explorer):
    refuses_traits(explorer, [("temperature", 0, "temperature must ... got 0")])
    with pytest.raises(traitlets.TraitError):
        explorer.text = 5
    assert explorer.text == "the first text"


def test_using_it_loads_nothing_heavy():
    assert loads_nothing_heavy("text")

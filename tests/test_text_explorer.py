"""The text explorer's Python side: its soft labels are those of kdcourse.soft_labels, and a text without an answer leaves the picture."""

import asyncio
import html
import io
import re

import matplotlib.image
import numpy as np
import pytest
import traitlets

from kdcourse.soft_labels import entropy, softmax
from kdcourse.widgets import TextExplorer
from kdcourse.widgets.text_explorer import TEMPERATURES, _chosen_classes, _cut, _drawn, _fitted, _label_width, _percent, _position, font

NAMES = (
    "alt.atheism comp.graphics comp.os.ms-windows.misc comp.sys.ibm.pc.hardware comp.sys.mac.hardware comp.windows.x misc.forsale "
    "rec.autos rec.motorcycles rec.sport.baseball rec.sport.hockey sci.crypt sci.electronics sci.med sci.space soc.religion.christian "
    "talk.politics.guns talk.politics.mideast talk.politics.misc talk.religion.misc"
).split()


class Model:
    """A stand-in: logits that depend on the bytes of a text alone, and a list of the texts it was asked about."""

    def __init__(self, seed, classes=20):
        self.seed, self.classes, self.asked = seed, classes, []

    def __call__(self, text):
        self.asked.append(text)
        return np.random.default_rng([self.seed, *text[:50].encode()]).normal(0, 2, self.classes).astype(np.float32)


TEACHER, STUDENT = Model(1), Model(2)


def refuses(text):
    if "zebra" in text:
        raise ValueError("text must not hold zebras.\nTraceback of a deep stack")
    return STUDENT(text)


@pytest.fixture
def explorer():
    return TextExplorer(TEACHER, STUDENT, NAMES, text="the first text")


def controls(explorer):
    area, (slider, *menu) = explorer.children[0], explorer.children[1].children
    return area, slider, *menu


def words(explorer):
    return html.unescape(re.sub("<[^>]+>", "", explorer.words.value.replace("<br>", "\n")))


def test_its_soft_labels_are_those_of_the_package(explorer):
    _, slider = controls(explorer)
    for text in ("the first text", "another"):
        explorer.text = text
        wanted = {"teacher": TEACHER(text), "student": STUDENT(text)}
        for temperature in (1.0, 0.25, 20.0, 4.0):
            slider.value = temperature
            assert explorer.temperature == temperature
            assert list(explorer.soft_labels) == ["teacher", "student"]
            for name, logits in wanted.items():
                np.testing.assert_array_equal(explorer.logits[name], logits)
                p = softmax(logits, temperature)
                np.testing.assert_array_equal(explorer.soft_labels[name], p)
                assert f"entropy {entropy(p) / np.log(2):.2f} of at most 4.32 bits" in words(explorer)
                assert f"{NAMES[p.argmax()]} {_percent(p.max())}" in words(explorer)
    assert all(ms > 0 for ms in explorer.milliseconds.values())


def test_a_temperature_asks_no_model(explorer):
    asked = len(TEACHER.asked), len(STUDENT.asked)
    for temperature in (0.5, 3, 20):
        explorer.temperature = temperature
    assert (len(TEACHER.asked), len(STUDENT.asked)) == asked


def test_a_slow_model_is_asked_once_about_a_text(explorer, monkeypatch):
    monkeypatch.setattr("kdcourse.widgets.text_explorer.LONG", 0)  # each call is a long one
    del TEACHER.asked[:], STUDENT.asked[:]
    explorer.text = "asked once"
    assert TEACHER.asked == STUDENT.asked == ["asked once"]


def test_controls_traits_picture_and_words_follow_one_another():
    explorer = TextExplorer(TEACHER, STUDENT, NAMES, text="one", temperature=2, examples=["one", "two"])
    area, slider, menu = controls(explorer)
    assert (area.value, slider.value, menu.value) == ("one", 2, "one")
    pictures = [explorer.image.value]
    for control, value in ((area, "typed"), (menu, "two"), (slider, 4.0), (slider, slider.options[-1][1]), (area, "one")):
        control.value = value
        pictures.append(explorer.image.value)
        assert f"Temperature {explorer.temperature:g}. The text: {explorer.text}\n" in words(explorer)
    assert (explorer.text, explorer.temperature, menu.value) == ("one", 20, "one")
    assert len(set(pictures)) == len(pictures)
    pixels = matplotlib.image.imread(io.BytesIO(pictures[-1]))
    assert pixels.shape[:2] == (int(explorer.image.height), int(explorer.image.width))
    area.value = "typed"
    assert menu.value == ""  # it names the text shown, or nothing
    explorer.text, explorer.temperature = "two", 0.25
    assert (area.value, slider.value, menu.value) == ("two", 0.25, "two")


def without_times(explorer):
    """Return the picture with the lines of the times blanked."""
    pixels = matplotlib.image.imread(io.BytesIO(explorer.image.value)).copy()
    pixels[64:86] = 0
    return pixels


def test_a_picture_does_not_depend_on_the_way_there(explorer):
    first = without_times(explorer)
    explorer.text, explorer.temperature = "elsewhere", 8
    assert (without_times(explorer) != first).any()
    explorer.text, explorer.temperature = "the first text", 1
    np.testing.assert_array_equal(without_times(explorer), first)


def test_a_temperature_between_two_positions_stays_as_it_was_set(explorer):
    _, slider = controls(explorer)
    assert TEMPERATURES[0] == 0.25 and TEMPERATURES[-1] == 20 and list(TEMPERATURES) == sorted(set(TEMPERATURES))
    assert {0.5, 1, 2, 4, 8} < set(TEMPERATURES)
    explorer.temperature = 3
    assert explorer.temperature == 3 and slider.value == _position(3) == 2.95
    slider.value = TEMPERATURES[TEMPERATURES.index(slider.value) + 1]
    assert explorer.temperature == slider.value == 3.08


def test_the_rows_are_the_highest_of_either_in_the_teachers_order():
    teacher, student = np.arange(20.0), np.arange(20.0)[::-1]  # they agree on nothing
    assert _chosen_classes([teacher, student]).tolist() == [19, 18, 17, 2, 1, 0]
    assert _chosen_classes([teacher, teacher]).tolist() == [19, 18, 17, 16, 15, 14]
    assert _chosen_classes([student]).tolist() == [0, 1, 2, 3, 4, 5]
    assert _chosen_classes([np.arange(7.0)]).tolist() == [6, 5, 4, 3, 2, 1, 0]  # no row for one other class
    for temperature in (0.25, 20):
        explorer = TextExplorer(lambda text: teacher, lambda text: student, NAMES, temperature=temperature)
        lines = words(explorer).splitlines()
        assert lines[0].startswith(f"They disagree: teacher says {NAMES[19]}, student says {NAMES[0]}. Temperature {temperature:g}.")
        for line, logits in zip(lines[1:3], (teacher, student), strict=True):
            p = softmax(logits, temperature)
            shares = [f"{NAMES[i]} {_percent(p[i])}" for i in (19, 18, 17, 2, 1, 0)]
            assert line.endswith(": " + ", ".join([*shares, f"14 others {_percent(p[3:17].sum())}"]) + ".")


def test_bars_are_as_long_as_the_shares():
    explorer = TextExplorer(lambda text: np.log([0.5, 0.3, 0.2]), lambda text: np.log([0.25, 0.6, 0.15]), ["earn", "acq", "crude"])
    pixels = np.rint(255 * matplotlib.image.imread(io.BytesIO(explorer.image.value))[..., :3]).astype(int)
    blue, orange = ((pixels == color).all(-1).sum(1).max() for color in ([0, 114, 178], [230, 159, 0]))  # the winners are filled
    assert blue / orange == pytest.approx(0.5 / 0.6, abs=0.01)
    assert words(explorer).startswith("They disagree: teacher says earn, student says acq.")


def test_they_agree():
    explorer = TextExplorer(TEACHER, TEACHER, NAMES, text="x", names=("large", "small"))
    assert words(explorer).startswith(f"Both say {NAMES[TEACHER('x').argmax()]}. Temperature 1.")
    assert list(explorer.soft_labels) == ["large", "small"]


def test_without_a_teacher_the_student_is_shown_and_a_line_says_so():
    explorer = TextExplorer(None, STUDENT, NAMES, text="x")
    said = f"Only the student is shown: there is no teacher on this machine. It says {NAMES[STUDENT('x').argmax()]}."
    assert words(explorer).startswith(said)
    assert list(explorer.soft_labels) == ["student"]
    before = explorer.image.value
    explorer.temperature = 4
    assert explorer.image.value != before


async def until(true, seconds=60):
    """Let the event loop work until something is true: a busy machine needs longer."""
    for _ in range(round(seconds / 0.05)):
        if true():
            return
        await asyncio.sleep(0.05)


def test_moves_that_wait_become_one_redraw_on_the_last_value(explorer, monkeypatch):
    for wait, seconds in (("QUIET", 0.2), ("PATIENCE", 60)):  # so that a slow machine does not count as a pause
        monkeypatch.setattr(f"kdcourse.widgets.text_explorer.{wait}", seconds)
    drawn = []

    def counted(*arguments):
        drawn.append((explorer.text, explorer.temperature))
        return _drawn(*arguments)

    monkeypatch.setattr("kdcourse.widgets.text_explorer._drawn", counted)

    async def burst():
        area, slider = controls(explorer)
        for temperature in TEMPERATURES:
            slider.value = temperature
            await asyncio.sleep(0)
        del TEACHER.asked[:], STUDENT.asked[:]
        for end in range(1, 20):
            area.value = "typed key by key"[:end]
            await asyncio.sleep(0)
        assert drawn == [] and TEACHER.asked == []
        await until(lambda: drawn)
        await asyncio.sleep(0.5)  # a second redraw would come now

    asyncio.run(burst())
    assert drawn == [("typed key by key", 20)]
    assert set(TEACHER.asked) == set(STUDENT.asked) == {"typed key by key"}
    assert "Temperature 20. The text: typed key by key\n" in words(explorer)


def test_what_is_read_is_never_old(explorer):
    async def read():
        explorer.text, explorer.temperature = "not drawn yet", 2
        return explorer.soft_labels["student"]

    np.testing.assert_array_equal(asyncio.run(read()), softmax(STUDENT("not drawn yet"), 2))


STRANGE = {
    "100,000 words": "word " * 100_000,
    "no known word": "qwxzt vbnmk",
    "Greek": "Πού είναι το τρένο;",
    "Chinese": "你好,世界",
    "right to left": "שלום עולם",
    "emoji": "🙂🙃👩‍👩‍👧",
    "markup": "<script>alert('x')</script> & <b>bold",
    "punctuation": "?!",
    "control characters": "a\x00b\x07\nc",
}


@pytest.mark.parametrize("text", STRANGE.values(), ids=STRANGE)
def test_strange_texts_have_an_answer(explorer, text):
    controls(explorer)[0].value = text
    assert explorer.message == "" == explorer.status.value
    np.testing.assert_array_equal(explorer.logits["student"], STUDENT(text))
    assert "<script" not in explorer.words.value
    assert len(explorer.words.value) < 2000
    assert f"The text: {_cut(text, 80)}\n" in words(explorer)


@pytest.mark.parametrize("text", ["", " \n\t ", "a zebra"])
def test_a_text_without_an_answer_leaves_the_picture_and_says_why(text):
    explorer = TextExplorer(TEACHER, refuses, NAMES, text="a horse")
    before = explorer.image.value, explorer.words.value, explorer.logits
    explorer.text = text
    why = "There is no word in the text" if not text.strip() else "student has no answer to this text: text must not hold zebras."
    assert explorer.message == why
    status = f"{why.rstrip('.')}. The picture still shows the last text that has an answer."
    assert re.sub("<[^>]+>", "", explorer.status.value) == status
    assert (explorer.image.value, explorer.words.value) == before[:2]
    np.testing.assert_equal(explorer.logits, before[2])
    explorer.temperature = 4  # still moves the answers that are there
    assert explorer.image.value != before[0] and "Temperature 4. The text: a horse\n" in words(explorer)
    assert explorer.message == why
    explorer.text = "a cat"
    assert explorer.message == "" == explorer.status.value
    np.testing.assert_array_equal(explorer.logits["student"], STUDENT("a cat"))


LATER = {
    "another error": (lambda: {}["no such word"], "teacher has no answer to this text: 'no such word'"),
    "an error without words": (lambda: np.zeros(3)[[]].item(), "teacher has no answer to this text: "),
    "not finite": (lambda: np.full(20, np.nan), "teacher's logits must be finite, got 20 values"),
    "another shape": (lambda: np.zeros(8), "teacher's logits must have shape (20,), one for each of class_names, got shape (8,)"),
    "nothing": (lambda: None, "teacher's logits must have shape (20,), one for each of class_names, got shape ()"),
}


@pytest.mark.parametrize(("later", "message"), LATER.values(), ids=LATER)
def test_a_model_that_breaks_later_is_named(later, message):
    explorer = TextExplorer(lambda text: TEACHER(text) if text == "first" else later(), STUDENT, NAMES, text="first")
    before = explorer.image.value
    explorer.text = "second"
    assert explorer.message.startswith(message)
    assert "\n" not in explorer.message
    assert explorer.image.value == before


def fails(text):
    raise RuntimeError("no memory\nand more")


BAD = {
    "teacher": ({"teacher": "minilm"}, "teacher must be a function from a text to logits, got 'minilm'"),
    "student": ({"student": None}, "student must be a function from a text to logits, got None"),
    "teacher of other labels": (
        {"teacher": Model(1, 8)},
        "teacher's logits must have shape (20,), one for each of class_names, got shape (8,): is it a teacher of other labels?",
    ),
    "student of other labels": ({"student": Model(1, 21)}, "student's logits must have shape (20,), one for each of class_names, got"),
    "batch": ({"teacher": lambda text: np.zeros((1, 20))}, "teacher's logits must have shape (20,), one for each of class_names, got"),
    "not finite": ({"student": lambda text: np.full(20, np.inf)}, "student's logits must be finite, got 20 values"),
    "no numbers": ({"student": lambda text: NAMES}, "student's logits must be numbers in an array, got array(['alt.atheism'"),
    "ragged": ({"student": lambda text: [[1], [2, 3]]}, "student has no answer to this text: setting an array element with a sequence."),
    "fails": ({"teacher": fails}, "teacher has no answer to this text: no memory"),
    "one class": ({"class_names": ["one"]}, "class_names must be a list of at least 2 strings that are not empty, got ['one']"),
    "class numbers": ({"class_names": range(20)}, "class_names must be a list of at least 2 strings that are not empty, got range(0, 20)"),
    "empty class": ({"class_names": [*NAMES[1:], " "]}, "class_names must be a list of at least 2 strings that are not empty, got ["),
    "a string": ({"class_names": "abcdefghijklmnopqrst"}, "class_names must be a list of at least 2 strings that are not empty, got 'abc"),
    "class twice": ({"class_names": [*NAMES[1:], "sci.med"]}, "class_names must be different strings, got 'sci.med' more than once"),
    "no list": ({"class_names": None}, "class_names must be a list of at least 2 strings that are not empty, got None"),
    "names": ({"names": ("a", "b", "c")}, "names must be one for the teacher and one for the student, got 3"),
    "same names": ({"names": ("a", "a")}, "names must be different strings, got 'a' more than once"),
    "example": ({"examples": ["good", ""]}, "examples must be a list of strings that are not empty, got ['good', '']"),
    "no text": ({"text": " "}, "text must be a string with at least one word, got ' '"),
    "text type": ({"text": 5}, "text must be a string with at least one word, got 5"),
    "zero": ({"temperature": 0}, "temperature must be one number in 0.25..20, got 0"),
    "negative": ({"temperature": -1.5}, "temperature must be one number in 0.25..20, got -1.5"),
    "nan": ({"temperature": float("nan")}, "temperature must be one number in 0.25..20, got nan"),
    "temperature type": ({"temperature": "1"}, "temperature must be one number in 0.25..20, got '1'"),
}


@pytest.mark.parametrize(("change", "message"), BAD.values(), ids=BAD)
def test_bad_input_is_one_clear_sentence(change, message):
    arguments = {"teacher": TEACHER, "student": STUDENT, "class_names": NAMES} | change
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        TextExplorer(arguments.pop("teacher"), arguments.pop("student"), arguments.pop("class_names"), **arguments)
    assert "\n" not in str(caught.value)


def test_bad_traits_are_refused_and_the_old_value_stays(explorer):
    with pytest.raises(traitlets.TraitError, match=re.escape("temperature must be one number in 0.25..20, got 0")):
        explorer.temperature = 0
    with pytest.raises(traitlets.TraitError):
        explorer.text = 5
    assert (explorer.text, explorer.temperature) == ("the first text", 1)


def test_long_names_fit():
    for name in ("comp.sys.ibm.pc.hardware", "soc.religion.christian"):
        assert _fitted(name, _label_width(NAMES), font(bold=True)) == name
    long = "a class\nwith a name " + "that never ends " * 1000
    cut = _fitted(long, 200, font())
    assert font().getlength(cut) <= 200 and cut.startswith("a class with a name") and cut.endswith("…")
    explorer = TextExplorer(lambda text: [1.0, 2.0], lambda text: [2.0, 1.0], [long, "b"])
    assert explorer.message == ""


def test_percents_never_claim_certainty():
    assert [_percent(share) for share in (0, 0.0004, 0.001, 0.5, 0.999, 0.9999, 1)] == [
        *("<0.1%", "<0.1%", "0.1%", "50.0%", "99.9%", ">99.9%", ">99.9%")
    ]


def test_places_without_widgets_show_a_sentence(explorer):
    assert repr(explorer) == "A text box over a teacher and a student: run this cell in JupyterLab, Colab or Binder, and type."
    assert len(repr(explorer)) < 110  # ipywidgets cuts off what is longer

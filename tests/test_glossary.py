"""The words of the course (tools/glossary.py): what the file may hold, where a page uses a term, which words it does not use."""

import glossary
import pytest
from course import edit, made
from glossary import Instead, Term, refused_words, uses
from page import Passage

LESSON = "# %% [markdown]\n# # T\n# <!-- links -->\n"
GLOSSARY = '''\
[[term]]
term = "soft label"
definition = "A label that is a distribution."
chinese = "软标签"
chapter = "01"
forms = ["soft target"]

[[term]]
term = "label"
definition = "What an example is."
chinese = "标签"
chapter = "02"
watched = false

[[instead]]
word = "kernel"
say = "weight matrix"
allowed = ["Jupyter kernel"]
'''
INSTEAD = '[[instead]]\nword = "Kernel"\nsay = "x"\n'


@pytest.fixture
def course(tmp_path):
    """A course with chapter 01, a plan for chapter 02, and a glossary."""
    root = made(tmp_path, LESSON)
    (root / "lessons" / "planned.toml").write_text('["02"]\ntitle = "Soon"\nanswers = "When?"\n')
    (root / glossary.FILE).write_text(GLOSSARY, encoding="utf-8")
    return root


def test_the_glossary_of_the_course_is_sound():
    found = glossary.load()
    assert 35 <= len(found.terms) <= 90  # about six a chapter
    assert {"kernel", "dense", "round", "head", "arm", "record", "but for"} <= {entry.word for entry in found.instead}
    assert all(any("\u4e00" <= letter <= "\u9fff" for letter in term.chinese) for term in found.terms)


def test_what_the_file_says_is_what_is_found(course):
    terms, instead = glossary.load(course)
    assert terms[0] == Term("soft label", "A label that is a distribution.", "软标签", "01", ("soft target",)) and not terms[1].watched
    assert instead == (Instead("kernel", "weight matrix", "", ("Jupyter kernel",)),)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('term = "label"', 'term = "Soft Label"', "'Soft Label': each term and form must stand there once, got 'Soft Label' twice"),
        ('term = "label"', 'term = "soft target"', "'soft target': each term and form must stand there once, got 'soft target' twice"),
        ('chinese = "标签"\n', "", "'label': chinese must be given, got none"),
        ('term = "label"\n', "", "term 2: term must be given, got none"),
        ('term = "label"', "term = 3", "term 2: term must be a text that is not empty, got 3"),
        ('chinese = "标签"', 'chinese = " "', "'label': chinese must be a text that is not empty, got ' '"),
        ('chinese = "标签"', 'german = "Etikett"', r"'label': a key must be one of term, definition, .*, got 'german'"),
        ('forms = ["soft target"]', 'forms = "soft target"', "'soft label': forms must be a list of texts, got 'soft target'"),
        ('forms = ["soft target"]', 'forms = ["soft target", ""]', "'soft label': forms must be a list of texts, got"),
        ("watched = false", 'watched = "no"', "'label': watched must be true or false, got 'no'"),
        ('chapter = "02"', 'chapter = "09"', "'label': chapter must be one of 01, 02, got '09'"),
        ("What an example is.", "What it is. And why.", "'label': definition must be one sentence that ends with a full stop, got "),
        ("What an example is.", "what it is", "'label': definition must be one sentence"),
        ('say = "weight matrix"', 'say = "x"\npattern = "(a"', "'kernel': pattern must be a regular expression, got"),
        ("[[instead]]", f"{INSTEAD}\n[[instead]]", "'kernel': each word must stand there once, got it twice"),
        ("[[instead]]", "[[insted]]", ": a table must be one of term, instead, got 'insted'"),
        ("[[term]]", "[[trem]]", ": a table must be one of term, instead, got 'trem'"),
        ("[[instead]]", "[instead]", ": instead must be tables, \\[\\[instead\\]\\], got {"),
        ("[[instead]]", "[[instead", " must be a TOML file, got TOMLDecodeError"),
    ],
)
def test_a_bad_glossary_is_refused_by_file_and_term(course, old, new, message):
    edit(course / glossary.FILE, old, new)
    with pytest.raises(ValueError, match=f"^data/glossary.toml(, )?{message}") as refusal:
        glossary.load(course)
    assert "\n" not in str(refusal.value)


def test_terms_are_tables(tmp_path):
    root = made(tmp_path, LESSON)
    (root / glossary.FILE).write_text("term = [3]")
    with pytest.raises(ValueError, match=r"data/glossary.toml: term must be tables, \[\[term\]\], got \[3\]"):
        glossary.load(root)


def test_no_glossary_is_one_sentence(tmp_path):
    with pytest.raises(ValueError, match="data/glossary.toml must be a TOML file, got FileNotFoundError"):
        glossary.load(tmp_path)


# --- where a page uses a term ---

SOFT, LABEL = Term("soft label", "A b.", "软", "01", ("soft target",)), Term("label", "A b.", "标", "01")


def found(text):
    return [(use.term.term, use.bold) for use in uses([Passage(3, "", text)], (SOFT, LABEL))]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("A soft label and a label.", [("soft label", False), ("label", False)]),
        ("Soft\nlabels are **Labels**.", [("soft label", False), ("label", True)]),
        ("**A soft target is said** of it", [("soft label", True)]),
        ("**soft** label", [("label", False)]),
        ("labelled, unlabel, softlabel", []),
        ("a teacher's label's name, (label)", [("label", False), ("label", False)]),
        ("a * b ** c ** label", [("label", False)]),
        ('> **Why a label?**\n\nThe **label** is "label".', [("label", True), ("label", False)]),
    ],
)
def test_uses(text, wanted):
    assert found(text) == wanted


# --- words that are not used ---

REFUSED = [
    ("The kernels of a layer.", "kernels"),
    ("A Kernel.", "Kernel"),
    ("a dense layer", "dense"),
    ("See Round 2.", "Round 2"),
    ("in each\nround", "each round"),
    ("two rounds of training", "two rounds"),
    ("after rounds of pruning", "rounds of"),
    ("a linear head", "head"),
    ("On moving images it wins.", "moving images"),
    ("when images move", "images move"),
    ("both arms and one arm", "arms"),
    ("The record says so.", "The record"),
    ("by the stored record", "stored record"),
    ("equal, but for the seed", "but for"),
]


@pytest.mark.parametrize(("text", "word"), REFUSED)
def test_a_word_of_two_meanings_is_found(text, word):
    assert word in [said for said, _ in refused_words(text, glossary.load().instead)]


@pytest.mark.parametrize(
    "text",
    [
        "The Jupyter kernel starts; it lives\nwithout a kernel. Restart the kernel.",
        "It is densely printed.",
        "We round every weight, a step rounds it to zero, and rounding hurts. First round the weights. A round number.",
        "An attention head looks ahead. Two attention heads.",
        "Move the slider. The image is moved to the left. Randomly shifted images.",
        "An Arm processor harms nobody.",
        "Recorded results: we record them, and a command records them.",
        "It is small but forceful.",
    ],
)
def test_the_same_letters_in_another_meaning_are_allowed(text):
    assert refused_words(text, glossary.load().instead) == []


def test_every_word_of_the_table_is_tried():
    tried = {entry.word for text, _ in REFUSED for _, entry in refused_words(text, glossary.load().instead)}
    assert tried == {entry.word for entry in glossary.load().instead}

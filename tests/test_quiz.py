"""The quiz: its banks, what of them a reader sees, and the rules that keep the form of an answer from giving it away."""

import json
import random
import re

import pytest
import questions as tool
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

from kdcourse import quiz

YES = {"answer": "yes", "correct": True, "feedback": "Right."}
NO = {"answer": "no", "correct": False, "feedback": "Count again."}
GOOD = {"id": "less", "question": "Is 1 < 2?", "type": "multiple_choice", "answers": [YES, NO]}
TWO = {"type": "value", "value": 2, "correct": True, "feedback": "Right."}
ELSE = {"type": "default", "feedback": "Count on your fingers."}
NUMBER = {"id": "sum", "question": "1 + 1?", "type": "numeric", "answers": [TWO, ELSE]}
WORD = {"id": "word", "question": "What is 2?", "type": "string", "answers": [YES | {"answer": "two", "match_case": False}, ELSE]}
RANGE = {"type": "range", "range": [2.5, 3], "correct": False, "feedback": "Too much."}
HOSTILE = "a<b & `c[0]<d` [x](javascript:f) <script>f()</script>"


def without(part: dict, key: str) -> dict:
    return {name: value for name, value in part.items() if name != key}


# --- exercises ---


def test_check_prints_what_happened(capsys):
    with quiz.check("a"):
        assert True
    with quiz.check("b"):
        raise quiz.NotSolved
    with pytest.raises(AssertionError, match="hint"), quiz.check("c"):
        raise AssertionError("hint")
    assert capsys.readouterr().out == "✓ a\n○ b: not solved yet\n"
    assert "waits for your code" in str(quiz.NotSolved())


# --- what a bank may hold ---


def test_good_questions_pass():
    several = GOOD | {"id": "several", "type": "many_choice", "answers": [YES, NO, YES | {"answer": "indeed", "code": "True"}]}
    only_code = GOOD | {"id": "code", "code": "x = 1", "objective": "softmax-2", "answers": [without(YES, "answer") | {"code": "x"}, NO]}
    precise = NUMBER | {"id": "precise", "precision": 2, "answers": [TWO, RANGE, ELSE | {"correct": False}]}
    quiz.validate([GOOD, NUMBER, WORD, several, only_code, precise])


@pytest.mark.parametrize(
    ("questions", "message"),
    [
        ([], r"bank must be a list with at least one question, got \[\]"),
        ({"question": GOOD}, "bank must be a list with at least one question, got {'question"),
        ([[GOOD]], r"bank, question 1 must be an object with keys, got \["),
        ([GOOD, None], "bank, question 2 must be an object with keys, got None"),
        ([GOOD | {"anwsers": []}], "a key of bank, question 1 must be one of id, objective, question, .*, got 'anwsers'"),
        ([without(GOOD, "id")], "question 1: id must be a name of small letters, digits and hyphens, got None"),
        ([GOOD | {"id": "Less than"}], "question 1: id must be a name of small letters, digits and hyphens, got 'Less than'"),
        ([GOOD, NUMBER, GOOD], "question 3: id must be another one than those above, got 'less'"),
        ([GOOD | {"objective": None}], "question 1: objective must be a name of small letters, digits and hyphens, got None"),
        ([GOOD | {"question": "What does $T$ do?"}], r"question 1: question must be without \$ .*, got 'What does \$T\$ do\?'"),
        ([GOOD | {"question": " "}], "question 1: question must be a text that is not empty, got ' '"),
        ([GOOD | {"question": ["Is 1 < 2?"]}], r"question 1: question must be a text that is not empty, got \["),
        ([GOOD | {"code": 3}], "question 1: code must be a text that is not empty, got 3"),
        ([GOOD, GOOD | {"type": "essay"}], "question 2: type must be one of multiple_choice, many_choice, numeric, string, got 'essay'"),
        ([GOOD | {"type": ["numeric"]}], r"question 1: type must be one of .*, got \['numeric'\]"),
        ([NUMBER | {"precision": 0.5}], r"question 1: precision must be an integer in 1..100, a number of digits, got 0.5"),
        ([without(GOOD, "answers")], "question 1: answers must be a list, at least 2, got None"),
        ([GOOD | {"answers": []}], r"question 1: answers must be a list, at least 2, got \[\]"),
        ([GOOD | {"answers": [YES]}], "question 1: answers must be a list, at least 2, got"),
        ([NUMBER | {"answers": []}], "question 1: answers must be a list, at least 1, got"),
        ([GOOD | {"answers": [YES, "no"]}], "question 1, answer 2 must be an object with keys, got 'no'"),
        (
            [GOOD | {"answers": [YES, NO | {"value": 1}]}],
            "a key of bank, question 1, answer 2 must be one of type, answer, code, .*, got 'value'",
        ),
        ([GOOD | {"answers": [YES, without(NO, "feedback")]}], "question 1, answer 2: feedback must be a text that is not empty, got None"),
        ([GOOD | {"answers": [YES, NO | {"feedback": None}]}], "question 1, answer 2: feedback must be a text that is not empty, got None"),
        ([GOOD | {"answers": [YES, without(NO, "answer")]}], "question 1, answer 2: answer must be a text that is not empty, got None"),
        ([GOOD | {"answers": [YES, NO | {"answer": 2}]}], "question 1, answer 2: answer must be a text that is not empty, got 2"),
        ([GOOD | {"answers": [YES, NO | {"correct": "false"}]}], "question 1, answer 2: correct must be true or false, got 'false'"),
        ([GOOD | {"answers": [YES, without(NO, "correct")]}], "question 1, answer 2: correct must be true or false, got None"),
        ([GOOD | {"answers": [YES, NO | {"answer": "yes"}]}], "question 1: answers must be different, got 'yes' more than once"),
        ([GOOD | {"answers": [YES, YES | {"answer": "aye"}]}], "question 1: multiple_choice must have exactly one correct answer, got 2"),
        ([GOOD | {"answers": [NO, NO | {"answer": "nay"}]}], "question 1: multiple_choice must have exactly one correct answer, got 0"),
        (
            [GOOD | {"type": "many_choice", "answers": [NO, NO | {"answer": "nay"}]}],
            "many_choice must have at least one correct answer, got 0",
        ),
        ([NUMBER | {"answers": [TWO | {"value": "abc"}, ELSE]}], "answer 1: value must be one number that is finite, got 'abc'"),
        ([NUMBER | {"answers": [without(TWO, "value"), ELSE]}], "answer 1: value must be one number that is finite, got None"),
        ([NUMBER | {"answers": [TWO | {"value": True}, ELSE]}], "answer 1: value must be one number that is finite, got True"),
        ([NUMBER | {"answers": [TWO, RANGE | {"range": [3]}, ELSE]}], r"answer 2: range must be a list of two numbers, got \[3\]"),
        (
            [NUMBER | {"answers": [TWO, RANGE | {"range": [3, 3]}, ELSE]}],
            "answer 2: end of the range must be one number > 3 and finite, got 3",
        ),
        ([NUMBER | {"answers": [TWO, ELSE | {"type": "other"}]}], "answer 2: type must be one of value, range, default, got 'other'"),
        ([NUMBER | {"answers": [TWO, ELSE | {"correct": True}]}], "answer 2: correct must be false, got True"),
        ([NUMBER | {"answers": [TWO | {"correct": False}, ELSE]}], "numeric must have at least one correct answer, got 0"),
        ([NUMBER | {"answers": [TWO]}], 'question 1: numeric must have an answer of type "default"'),
        ([WORD | {"answers": WORD["answers"][:1]}], 'question 1: string must have an answer of type "default"'),
        ([WORD | {"answers": [YES | {"match_case": "no"}, ELSE]}], "question 1, answer 1: match_case must be true or false, got 'no'"),
        ([WORD | {"answers": [YES | {"answer": "</script>"}, ELSE]}], "question 1, answer 1: answer must be without <"),
    ],
)
def test_bad_questions_are_refused(questions, message):
    with pytest.raises(ValueError, match=message) as refused:
        quiz.validate(questions, "bank")
    assert "\n" not in str(refused.value)


def test_unknown_question_bank():
    with pytest.raises(ValueError, match=r"name must be one of .*, got 'nothing'"):
        quiz.show("nothing")


@pytest.mark.parametrize("damaged", [b"[{", b"\xff", b"[" * 100_000])
def test_a_damaged_bank_is_named(tmp_path, damaged):
    (tmp_path / "01_tiny.json").write_bytes(damaged)
    with pytest.raises(ValueError, match=r"data/questions/01_tiny\.json must be JSON, got an error: "):
        quiz.read(tmp_path / "01_tiny.json")


@pytest.mark.parametrize("name", quiz.names())
def test_every_question_bank_teaches(name):
    assert quiz.load(name)


# --- what a reader sees ---


def displayed(questions: list[dict]) -> list[dict]:
    InteractiveShell.instance()
    try:
        with capture_output() as captured:
            quiz._display(questions, "good")
    finally:
        InteractiveShell.clear_instance()
    return [output.data for output in captured.outputs]


def test_questions_as_text_keep_the_solution_to_themselves():
    coded = GOOD | {"code": "1 < 2", "answers": [YES | {"code": "True"}, NO]}
    assert quiz.as_text([GOOD, NUMBER]) == "1. Is 1 < 2?\n   a) yes\n   b) no\n2. 1 + 1?"
    assert quiz.as_text([coded]) == "1. Is 1 < 2?\n1 < 2\n   a) yes\nTrue\n   b) no"


def test_questions_as_html_fold_what_is_right_and_why():
    page = quiz.as_html([GOOD, NUMBER | {"answers": [TWO, RANGE, ELSE]}])
    assert page == (
        '<ol>\n<li><p>Is 1 &lt; 2?</p>\n<ol type="a">\n<li>yes</li>\n<li>no</li>\n</ol>\n'
        '<details><summary>Answers</summary>\n<ol type="a">\n<li>✓ Right.</li>\n<li>✗ Count again.</li>\n</ol>\n</details></li>\n'
        "<li><p>1 + 1?</p>\n<details><summary>Answers</summary>\n<ul>\n<li>✓ 2: Right.</li>\n"
        "<li>✗ from 2.5 to below 3: Too much.</li>\n<li>✗ anything else: Count on your fingers.</li>\n</ul>\n</details></li>\n</ol>"
    )


def test_no_text_of_a_bank_is_taken_for_html():
    answers = [{"answer": HOSTILE, "code": HOSTILE, "correct": True, "feedback": HOSTILE}, NO]
    typed = [{"answer": "a&b", "correct": True, "feedback": HOSTILE}, ELSE]
    bank = [
        GOOD | {"question": HOSTILE, "code": HOSTILE, "answers": answers},
        WORD | {"question": HOSTILE, "answers": typed},
    ]
    quiz.validate(bank)
    text, _, script = displayed(bank)
    tags = {tag.split()[0] for tag in re.findall(r"</?([^>]*)>", quiz.as_html(bank))}
    assert tags == {"ol", "ul", "li", "p", "pre", "code", "details", "summary"}
    assert "a&lt;b &amp; <code>c&#91;0]&lt;d</code>" in text["text/html"] and "a&amp;b: " in text["text/html"]
    assert HOSTILE in text["text/plain"]
    assert "f()</script>" not in script["application/javascript"]
    assert '"answer": "a&b"' in script["application/javascript"], "what is typed is compared as it is"
    assert bank[0]["question"] == HOSTILE


def test_a_shown_quiz_is_whole_small_and_the_same_each_time():
    first = displayed([GOOD] * 8)
    random.random()
    text, page, script = displayed([GOOD] * 8)
    assert first == [text, page, script]
    assert "Is 1 &lt; 2?" in text["text/html"] and "Is 1 < 2?" in text["text/plain"]
    assert page["text/html"].count("<div") == page["text/html"].count("</div>") > 0
    assert "Count again." in script["application/javascript"]
    assert len(json.dumps(first)) < 120_000


# --- the rules of banks ---


def bank(*lengths: list[int], right: list[int] | None = None) -> list[dict]:
    """Return a bank of single choices, in order, with options of these lengths; the right ones are those of `right`, else the first."""
    made = []
    for number, sizes in enumerate(lengths):
        answers = [{"answer": chr(97 + i) * size, "correct": False, "feedback": "Yes."} for i, size in enumerate(sizes)]
        answers[right[number] if right else 0]["correct"] = True
        made.append({"id": f"question-{number}", "question": "Which?", "type": "multiple_choice", "answers": answers})
    quiz.validate(made)
    return made


@pytest.mark.parametrize("name", quiz.names())
def test_the_form_of_an_answer_does_not_give_it_away(name):
    assert tool.breaches(quiz.load(name)) == []


def test_the_order_comes_from_the_id_and_the_texts_and_numbers_keep_theirs():
    numbered = NUMBER | {"answers": [TWO, RANGE, ELSE]}
    several = bank(*[[20, 20, 20, 20]] * 12)
    ordered = tool.shuffled([numbered, *several])
    places = [[answer["correct"] for answer in question["answers"]].index(True) for question in ordered[1:]]
    assert ordered[0] == numbered and set(places) == {0, 1, 2, 3}
    assert tool.are_shuffled(ordered) == []
    assert tool.shuffled([numbered, *tool.shuffled(several)]) == ordered
    assert tool.shuffled([question | {"answers": question["answers"][::-1]} for question in several]) == ordered[1:]
    ordered[3]["answers"].reverse()
    assert tool.are_shuffled(ordered) == ["question 4: answers must be in the order that --shuffle gives, got another"]


@pytest.mark.parametrize(
    ("sizes", "fits"),
    [([3, 18], True), ([3, 19], False), ([15, 30], True), ([15, 31], False), ([30, 60, 40], True), ([61, 30, 40], False)],
)
def test_options_are_alike_in_length(sizes, fits):
    found = tool.options_are_alike_in_length([NUMBER, *bank(sizes)])
    assert not found if fits else "question 2: the longest answer must be at most 2 times" in found[0]
    if not fits:
        assert f"got {max(sizes)} and {min(sizes)} characters" in found[0]


LONG, SHORT, TIE, BETWEEN = [30, 20, 25], [20, 30, 25], [30, 30, 25], [25, 30, 20]


@pytest.mark.parametrize(
    ("lengths", "said"),
    [
        ([LONG], []),
        ([LONG, BETWEEN], []),
        ([LONG, LONG], ["questions 1, 2: the right answer must be the longest in at most 1 of 2, got 2"]),
        ([LONG, LONG, BETWEEN, TIE], []),
        ([LONG, TIE, LONG, LONG], ["questions 1, 3, 4: the right answer must be the longest in at most 2 of 4, got 3"]),
        ([SHORT, SHORT, LONG, SHORT, BETWEEN], ["questions 1, 2, 4: the right answer must be the shortest in at most 2 of 5, got 3"]),
    ],
)
def test_length_gives_nothing_away(lengths, said):
    assert tool.length_gives_nothing_away(bank(*lengths)) == said


def test_only_single_choices_can_give_anything_away():
    several = [question | {"type": "many_choice"} for question in bank(LONG, LONG, LONG)]
    for question in several:
        question["answers"][1]["correct"] = True
    assert tool.length_gives_nothing_away([NUMBER, *several]) == tool.place_gives_nothing_away([NUMBER, *several]) == []


@pytest.mark.parametrize(("right", "fits"), [([1, 1], True), ([1, 1, 1], False), ([1, 1, 2], True)])
def test_place_gives_nothing_away(right, fits):
    found = tool.place_gives_nothing_away([NUMBER, *bank(*[[20, 20, 20]] * len(right), right=right)])
    said = ["questions 2, 3, 4: the right answers must stand in different places, got b) in each; give one of them another id"]
    assert found == ([] if fits else said)


# --- the command ---


@pytest.fixture
def banks(tmp_path):
    """A course with a bank in order and one that is not."""
    folder = tmp_path / "data" / "questions"
    folder.mkdir(parents=True)
    several = tool.shuffled(bank(*[[20, 25, 20, 25]] * 8))
    (folder / "01_good.json").write_text(json.dumps(several), encoding="utf-8")
    several[1]["answers"].reverse()
    (folder / "02_bad.json").write_text(tool.written([GOOD | {"question": "Grün → [a]?"}, *several]), encoding="utf-8")
    (folder / ".part-x.json").write_text("half")
    return tmp_path


def test_the_command_names_file_and_question(banks, capsys):
    assert tool.main(["01_good"], banks) == 0
    assert capsys.readouterr().out == "question banks looked at: 1; no rule is broken\n"
    (banks / "data" / "questions" / "03_broken.json").write_text("[]")
    assert tool.main([], banks) == 1
    broken, *said = capsys.readouterr().err.splitlines()
    assert broken == "data/questions/03_broken.json must be a list with at least one question, got []"
    assert said[-1] == "data/questions/02_bad.json, question 3: answers must be in the order that --shuffle gives, got another"
    assert tool.main(["04_none"], banks) == 2
    assert capsys.readouterr().err == "NAME must be one of 01_good, 02_bad, 03_broken, got 04_none\n"


def test_shuffling_writes_what_is_not_in_order_and_nothing_else(banks):
    good, bad = (banks / "data" / "questions" / f"{name}.json" for name in ("01_good", "02_bad"))
    questions, untouched = quiz.read(bad), good.read_bytes()
    assert tool.main(["--shuffle"], banks) == 0
    assert good.read_bytes() == untouched
    assert quiz.read(bad) == tool.shuffled(questions)
    assert bad.read_text(encoding="utf-8") == tool.written(tool.shuffled(questions))
    assert '"question": "Grün → [a]?",\n  "type": "multiple_choice",\n  "answers": [\n   {"answer": ' in bad.read_text(encoding="utf-8")


def test_shuffling_writes_nothing_where_a_bank_is_broken(banks):
    folder = banks / "data" / "questions"
    (folder / "03_broken.json").write_text("[]")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert tool.main(["--shuffle"], banks) == 1
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before

"""The rules of the second edition (tools/rules_second.py): a page that keeps them all, and for each rule pages that break it."""

import json

import glossary
import links
import page
import pytest
import rules
import rules_second as second
from chapters import ROOT, tags
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from page import WIDGET, code
from pages import named, swap, tagged

CHAPTER, DEEP, START = "notebooks/01_good.ipynb", "notebooks/01b_good.ipynb", "notebooks/00_good.ipynb"
FORMS = {"jupyter": {"source_hidden": True}, "cellView": "form"}
STUB = 'def half(x):\n    """Return half of x."""\n    raise quiz.NotSolved'
EXPERIMENT = '@evidence.experiment("accuracy", [("a", "b")])\ndef toy(seed):\n    return {"a": 1, "b": 0}\n\n\nevidence.load("toy")'
QUESTION = "Why is half of a network\u2019s answer enough?"
ALT = "A diagram: the teacher answers, and the student learns."
PICTURE = {"text/html": f'<img src="data:image/webp;base64,AAAA" alt="{ALT}" width="640">', "text/plain": ALT}
SENTENCE = "Most of the weights are small, so we may leave some of them out. "
BANK = [
    {"id": "one", "objective": "cost", "question": "What does it cost?", "type": "multiple_choice"}
    | {"answers": [{"answer": text, "correct": text == "a", "feedback": "So it is."} for text in "ab"]}
]


def folded(source, *names, **more):
    """A code cell with all forms of a folded one."""
    cell = tagged(f"# @title What it is\n{source}", *dict.fromkeys([*names, "hide-input"]), **more)
    cell.metadata.update(FORMS)
    return cell


def shown(data):
    return [new_output("display_data", data)]


def exercise(number, objective):
    waits = [new_output("stream", text=f"○ half {number}: not solved yet\n")]
    check = f'with quiz.check("half {number}"):\n    assert half(2) == 1, "half of two is one, you may be sure"'
    return [
        new_markdown_cell(f"### Exercise {number}: half <!-- objective: {objective} -->"),
        tagged(STUB, "solution"),
        folded(check, "check", outputs=waits),
    ]


def good_second_edition_chapter(path=CHAPTER):
    """A page that keeps all rules, learner's, as it is built and executed."""
    badges = f"[![Open in Colab](c.svg)]({links.colab_url(path)})\n[![Open in Binder](b.svg)]({links.binder_url(path)})"
    promises = "## What you will be able to do\n\n- halve; <!-- objective: halve -->\n- say the cost,\n  in kB. <!-- objective: cost -->\n"
    cells = [
        new_markdown_cell(f"# 1 · Good\n\nA teacher is halved.\n\n{badges}\n\nAbout 10 minutes to read, 1 to run."),
        tagged("import sys\n\n%matplotlib inline", "setup"),
        new_markdown_cell(f'{promises}\n> **The interviewer asks:** "{QUESTION}"'),
        folded("sheet = Schematic('The student learns from the teacher, who knows more')\nsheet", outputs=shown(PICTURE)),
        new_markdown_cell("## Part 1\n\nA **teacher** is asked, and a **student** learns. **Predict first.** Which one is small?"),
        new_code_cell("widget", outputs=shown({WIDGET: {"model_id": "1"}})),
        new_markdown_cell("**Answer.** The student, because it has few weights."),
        *exercise(1, "halve"),
        *exercise(2, "halve"),
        new_markdown_cell("**Predict first.** Does it win?\n\n*Recorded on 24 November 2026, this cell loads the record; and more.*"),
        folded(EXPERIMENT, "experiment", outputs=shown(PICTURE)),
        new_markdown_cell("**Answer.** It does."),
        *exercise(3, "halve, cost"),
        new_markdown_cell("We go on."),
        *(cell for number in range(4, 7) for cell in exercise(number, "halve")),
        new_markdown_cell("## What goes wrong"),
        tagged("assert 1 == 2", "raises-exception", outputs=[new_output("error", ename="AssertionError", evalue="", traceback=["1"])]),
        new_markdown_cell("## Quiz"),
        new_code_cell('quiz.show("good")'),
        new_markdown_cell(f"## Interview corner\n\n> **{QUESTION.replace(chr(8217), chr(39))}**\n\n" + " ".join(page.CORNER_PARTS)),
        new_markdown_cell("## Summary\n\n## What's next\n\n[02 Soft labels](02.ipynb)\n\n## References\n\n- The dense kernel, a record."),
        *(new_markdown_cell(SENTENCE * 18) for _ in range(8)),
    ]
    return new_notebook(cells=cells, metadata={"kdcourse": {"edition": 2, "language": "en"}})


def solved(nb):
    """The same page with its answers; its checks are not looked at here."""
    for start, _, _ in reversed(second.exercises(nb)):
        nb.cells.insert(start + 2, new_markdown_cell("**Answer.** Two halves are one.", metadata={"tags": ["answer"]}))
    return nb


@pytest.fixture
def course(tmp_path):
    """What a page needs around it: its lesson, its questions, the glossary of the course."""
    for file, text in {
        "lessons/01_good.py": "# %% [markdown]\n# # T\n# <!-- links -->\n",
        "data/questions/01_good.json": json.dumps(BANK),
        glossary.FILE: (ROOT / glossary.FILE).read_text(encoding="utf-8").replace('chapter = "0', 'chapter = "01"  # 0'),
    }.items():
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text(text, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("rule", rules.rules_of(CHAPTER, good_second_edition_chapter()), ids=named)
def test_a_good_chapter_passes(rule, course):
    assert rules.breaches(rule, good_second_edition_chapter(), CHAPTER, course) == []


@pytest.mark.parametrize("rule", second.RULES + second.COURSE_RULES, ids=named)
def test_its_solved_notebook_passes(rule, course):
    assert rules.breaches(rule, solved(good_second_edition_chapter()), CHAPTER.replace("/", "/solutions/", 1), course) == []


# --- edits ---


def first_with(nb, text):
    return next(cell for cell in nb.cells if text in cell.source)


def insert(place, *cells):
    """Return an edit: cells before the one at `place`."""

    def edit(nb):
        nb.cells[place:place] = cells

    return edit


def drop(text):
    """Return an edit: the first cell with this text is gone."""
    return lambda nb: nb.cells.remove(first_with(nb, text))


def text(source):
    return insert(-1, new_markdown_cell(source))


def code_cell(source):
    return insert(-1, new_code_cell(source))


def form(text, key, value):
    """Return an edit of the metadata of the first cell with this text."""

    def edit(nb):
        first_with(nb, text).metadata[key] = value

    return edit


def exercises_last(nb):
    """Move the exercises and what belongs to them to the end."""
    moved = [nb.cells.pop(i) for start, _, _ in reversed(second.exercises(nb)) for i in (start + 2, start + 1, start)]
    nb.cells += reversed(moved)


def no_diagram(nb):
    first_with(nb, "Schematic(").outputs = []


def picture_of_another_kind(nb):
    first_with(nb, "Schematic(").source = "# @title What it is\nplots.lines(x)"


def drop_tag(name):
    return lambda nb: [cell.metadata.update(tags=[tag for tag in tags(cell) if tag != name]) for cell in code(nb) if name in tags(cell)]


LONG = "x" * 30
HARD = "quantize, approximately, unimportant parameters"
BAD = [
    (second.has_the_length_of_its_kind, "at most 55 cells in a chapter, found ", insert(9, *(new_code_cell("1") for _ in range(20)))),
    (second.has_the_length_of_its_kind, "at least 1,500 words of prose in a chapter", swap(SENTENCE * 18, SENTENCE)),
    (second.code_can_be_seen_whole, "cell 5, 'x': at most 15 lines", insert(5, new_code_cell("x\n" * 16))),
    (second.code_can_be_seen_whole, "found 101", code_cell("x" * 101)),
    (second.text_comes_in_pieces, "at most 300 words in a cell, found 301", text("word " * 301)),
    (second.predictions_are_answered, "this prediction has no **Answer.** before the next one", drop("**Answer.** The student")),
    (second.predictions_are_answered, "'**Predict first.** Does it win?': this prediction has no **Answer.**", drop("**Answer.** It does")),
    (second.predictions_are_answered, "**Answer.** without a prediction above it", text("**Answer.** It is so.")),
    (second.predictions_are_answered, "no cell shows the answer between", drop("widget")),
    (second.predictions_are_answered, "**Answer.** must begin its cell", swap("**Answer.** It does", "So: **Answer.** It does")),
    (second.predictions_are_answered, "at least 2 times, found 1", swap("**Predict first.** Does", "Does")),
    (second.gives_no_answer_away, "cell 4, 'x = 1': an assert statement", insert(4, new_code_cell("x = 1\nassert x == 1"))),
    (second.gives_no_answer_away, "title= of a picture", code_cell('plots.lines(x, title="It wins")')),
    (second.gives_no_answer_away, "alt= of a picture", code_cell('schematics.pipeline(x, alt="It wins")')),
    (second.gives_no_answer_away, "a text of 30 characters", code_cell(f'plots.lines(x, "{LONG}")')),
    (second.gives_no_answer_away, "a text of 30 characters", code_cell(f'plots.digits(x, [f"{{a}}{LONG}" for a in x], columns=3)')),
    (second.gives_no_answer_away, "a text of 40 characters", code_cell(f'plots.lines(x, f"{LONG[10:]}{{y}}{LONG[10:]}")')),
    (second.gives_no_answer_away, "a text of 30 characters", code_cell(f'Schematic("{LONG}", width=3)')),
    (second.gives_no_answer_away, "a text of 30 characters", code_cell(f'Schematic(x).note(1, 1, "{LONG}")')),
    (second.gives_no_answer_away, "a text of 30 characters", code_cell(f'from kdcourse import plots as p\n\np.lines("{LONG}")')),
    (second.gives_no_answer_away, "a text of 30 characters", code_cell(f'from kdcourse.plots import lines as draw\n\ndraw("{LONG}")')),
    (second.gives_no_answer_away, "a text of 30 characters", code_cell(f'import kdcourse.plots as p\n\np.lines("{LONG}")')),
    (second.folded_cells_have_all_forms, "needs jupyter: source_hidden", form("quiz.check", "jupyter", {})),
    (second.folded_cells_have_all_forms, "needs cellView: form", form("Schematic(", "cellView", "code")),
    (second.folded_cells_have_all_forms, "needs the tag hide-input", form("evidence.load", "tags", ["experiment"])),
    (second.folded_cells_have_all_forms, "needs a first line # @title ...", swap("# @title What it is\nsheet", "sheet")),
    (second.folded_cells_have_all_forms, "needs the tag hide-input", form("widget", "jupyter", {"source_hidden": True})),
    (second.has_a_diagram, "no cell shows a diagram", no_diagram),
    (second.has_a_diagram, "no cell shows a diagram", picture_of_another_kind),
    (second.corner_begins_with_the_opening_question, "must be the opening question, \"Why is half of a", swap("> **Why", "> **How")),
    (second.corner_begins_with_the_opening_question, "got ''", swap("> **Why", "**Why")),
    (second.exercises_are_in_the_flow, "6 to 8 exercises in a chapter, found 5", swap("Exercise 6", "Example 6")),
    (second.exercises_are_in_the_flow, "needs a solution cell and then a check cell before the next", drop('quiz.check("half 2")')),
    (second.exercises_are_in_the_flow, "cell 7, '### Exercise 1", lambda nb: nb.cells.pop(8)),
    (second.exercises_are_in_the_flow, "exercises in at least 3 places of the page, where their ideas are, found 1", exercises_last),
    (second.answers_are_in_the_solved_notebook, "an answer in the learner's notebook", solved),
    (second.reads_easily, "at most 20 words a sentence on average, found", swap(". ", ", ")),
    (second.reads_easily, "a Flesch-Kincaid grade of at most 9, found", swap("leave some", HARD)),
]


@pytest.mark.parametrize(("rule", "said", "spoil"), BAD, ids=named)
def test_each_rule_catches_its_bad_notebook(rule, said, spoil):
    notebook = good_second_edition_chapter()
    spoil(notebook)
    assert any(said in breach for breach in rule(notebook, CHAPTER)), rule(notebook, CHAPTER)


def test_every_rule_has_a_bad_notebook():
    assert {rule for rule, _, _ in BAD} == set(second.RULES)


def test_predictions_and_exercises_of_the_solved_notebook():
    path, notebook = CHAPTER.replace("/", "/solutions/", 1), solved(good_second_edition_chapter())
    next(cell for cell in notebook.cells if "answer" in tags(cell)).metadata["tags"] = []
    assert [breach.split(":")[0] for breach in second.answers_are_in_the_solved_notebook(notebook, path)] == ["cell 7, '### Exercise 1"]
    assert len(second.predictions_are_answered(notebook, path)) == 1  # the same words above no prediction


# --- what passes, on purpose ---


def test_deep_dives_and_the_start_are_shorter():
    notebook = good_second_edition_chapter()
    assert "at most 40 cells in a deep dive" in second.has_the_length_of_its_kind(notebook, DEEP)[0]
    assert "1 to 3 exercises in a start, found 6" in second.exercises_are_in_the_flow(notebook, START)
    swap(SENTENCE * 18, SENTENCE * 12)(notebook)
    del notebook.cells[:2], notebook.cells[38:]
    assert second.has_the_length_of_its_kind(notebook, DEEP) == [] == second.has_the_length_of_its_kind(notebook, START)
    swap("**Predict first.** Does", "Does")(notebook)
    drop("**Answer.** It does")(notebook)
    assert second.predictions_are_answered(notebook, DEEP) == [] == second.predictions_are_answered(notebook, START)


def test_what_is_exactly_at_a_limit_passes():
    notebook = good_second_edition_chapter()
    code_cell("x" * 100 + "\nx" * 14)(notebook)
    insert(9, *(new_code_cell("1") for _ in range(55 - len(notebook.cells))))(notebook)
    swap(SENTENCE * 18, SENTENCE)(notebook)
    first_with(notebook, SENTENCE).source += " word" * (1500 - page.words(notebook))
    assert page.words(notebook) == 1500 and len(notebook.cells) == 55
    for rule in (second.has_the_length_of_its_kind, second.code_can_be_seen_whole):
        assert rule(notebook, CHAPTER) == []
    notebook = good_second_edition_chapter()
    text("word " * 300)(notebook)
    assert second.text_comes_in_pieces(notebook, CHAPTER) == []


def test_a_page_without_its_corner_or_its_question_breaks_another_rule():
    for gone in ("## Interview corner", "> **The interviewer asks:**"):
        notebook = good_second_edition_chapter()
        drop(gone)(notebook)
        assert second.corner_begins_with_the_opening_question(notebook, CHAPTER) == []


def test_answers_of_exercises_are_no_cells_too_many():
    notebook = good_second_edition_chapter()
    notebook.cells += [new_markdown_cell("Because.", metadata={"tags": ["answer"]}) for _ in range(60)]
    assert second.has_the_length_of_its_kind(notebook, CHAPTER) == []


def test_what_draws_and_what_labels_an_axis_gives_nothing_away():
    notebook = good_second_edition_chapter()
    for source in (
        f'plots.lines(x, xlabel="{LONG}", ylabel="{LONG}")',
        f'print("{LONG}")',
        'plots.digits(x, ["a", "b"] * 20, columns=2)',
        f'plots.digits(x, f"{{{LONG}}}")',
        f'", ".join(["{LONG}"])',
    ):
        code_cell(source)(notebook)
    assert second.gives_no_answer_away(notebook, CHAPTER) == []


def test_a_diagram_may_come_from_an_imported_function():
    notebook = good_second_edition_chapter()
    first_with(notebook, "Schematic(").source = "# @title What it is\nfrom kdcourse.schematics import course\n\ncourse()"
    assert second.has_a_diagram(notebook, CHAPTER) == []


def test_quotations_are_read_without_their_marks():
    assert second.quotations("a\n> b\n> *c*\n\nd\n\n> e") == ["b *c*", "e"]


def test_a_page_in_another_language_is_not_measured_in_english(course):
    notebook = good_second_edition_chapter()
    notebook.metadata["kdcourse"]["language"] = "zh"
    text("Any dense kernel, before the softmax.")(notebook)
    swap(". ", ", ")(notebook)
    for rule in (second.reads_easily, second.defines_its_terms, second.uses_words_in_one_meaning):
        assert rules.breaches(rule, notebook, CHAPTER, course) == []


# --- rules that look at the course around the page ---

TERM = "is used here first, define it here in bold"
HALVE, COST = "<!-- objective: halve -->", "<!-- objective: cost -->"
AROUND = [
    (second.defines_its_terms, f"'softmax' {TERM}", text("The softmax is one.")),
    (second.defines_its_terms, f"'softmax' {TERM}, not in cell", lambda nb: (text("Softmax")(nb), text("The **softmax**")(nb))),
    (second.nothing_is_left_to_fill_in, "a TODO is left", text("<!-- TODO: write -->")),
    (second.nothing_is_left_to_fill_in, "'# TODO': a TODO is left", code_cell("# TODO")),
    (second.nothing_is_left_to_fill_in, "not filled in: {{toy | a | mean}}", text("It is {{toy | a | mean}} good.")),
    (second.defines_its_terms, "'teacher' is defined twice, it is bold in cell 4 already", text("A **teacher** again.")),
    (second.uses_words_in_one_meaning, "say unpruned, or fully connected, not 'dense'", text("A dense layer.")),
    (second.uses_words_in_one_meaning, "say part of the page, or epoch, not 'Round 1'", text("## Round 1. Halves")),
    (second.objectives_are_practised, "an objective needs one id, <!-- objective: small-letters -->", swap(f"halve; {HALVE}", "halve;")),
    (second.objectives_are_practised, "an objective needs one id", swap(f"halve; {HALVE}", "halve; <!-- objective: Halve it -->")),
    (second.objectives_are_practised, "an objective needs one id", swap(f"halve; {HALVE}", f"halve; {HALVE} <!-- objective: two -->")),
    (second.objectives_are_practised, "the objective cost stands there twice", swap("- say", f"- more; {COST}\n- say")),
    (second.objectives_are_practised, "the objective m has no exercise", swap("- say", "- m; <!-- objective: m -->\n- say")),
    (second.objectives_are_practised, "no objectives:", swap("What you will be able to do", "What you will do")),
    (second.objectives_are_practised, "'### Exercise 1", swap(f"1: half {HALVE}", "1: half <!-- objective: other -->")),
    (second.objectives_are_practised, "no objective other above", swap(f"1: half {HALVE}", "1: half <!-- objective: halve, other -->")),
    (second.objectives_are_practised, "an exercise names its objective", swap(f"1: half {HALVE}", "1: half")),
    (second.objectives_are_practised, "data/questions/01_good.json, one: no objective cost on the page", swap(f"in kB. {COST}", "in kB.")),
]


@pytest.mark.parametrize(("rule", "said", "spoil"), AROUND, ids=named)
def test_each_rule_of_the_course_catches_its_bad_notebook(rule, said, spoil, course):
    notebook = good_second_edition_chapter()
    spoil(notebook)
    assert any(said in breach for breach in rule(notebook, CHAPTER, course)), rule(notebook, CHAPTER, course)


@pytest.mark.parametrize(
    ("lesson", "said"),
    [
        ("x = [1,2]\n", "lessons/01_good.py: not formatted; ruff format --line-length 100 lessons/01_good.py"),
        ("x = (\n", "lessons/01_good.py: invalid-syntax"),
        ("x = 1  # fmt: skip\n", "lessons/01_good.py, line 1: # fmt: skip"),
        ("# a\n# fmt: off\nx  = 1\n", "lessons/01_good.py, line 2: # fmt: off"),
        (f"print({'1, ' * 40})\n", "lessons/01_good.py: not formatted"),
    ],
)
def test_a_lesson_that_ruff_would_change_is_caught(course, lesson, said):
    (course / "lessons" / "01_good.py").write_text(lesson)
    assert any(breach.startswith(said) for breach in second.lesson_is_formatted(None, CHAPTER, course))


def test_every_rule_of_the_course_has_something_bad():
    assert {rule for rule, _, _ in AROUND} | {second.lesson_is_formatted} == set(second.COURSE_RULES)


def test_a_question_alone_serves_an_objective(course):
    notebook = good_second_edition_chapter()
    swap("halve, cost", "halve")(notebook)
    assert second.objectives_are_practised(notebook, CHAPTER, course) == []
    (course / "data" / "questions" / "01_good.json").unlink()
    assert second.objectives_are_practised(notebook, CHAPTER, course) == ["the objective cost has no exercise and no question"]


def test_nothing_of_the_template_is_left_beside_the_page(course):
    lesson, bank = course / "lessons" / "01_good.py", course / "data" / "questions" / "01_good.json"
    lesson.write_text("# ---\n# jupyter:\n#   kdcourse: {answers: 'TODO: what?'}\n# ---\n\n" + lesson.read_text())
    bank.write_text(bank.read_text().replace('"question": "', '"question": "TODO: ', 1))
    found = second.nothing_is_left_to_fill_in(good_second_edition_chapter(), CHAPTER, course)
    assert found == ["the header of lessons/01_good.py: a TODO is left", "data/questions/01_good.json: a TODO is left"]


def test_a_bank_that_is_none_is_one_sentence(course):
    (course / "data" / "questions" / "01_good.json").write_text("[")
    (found,) = second.objectives_are_practised(good_second_edition_chapter(), CHAPTER, course)
    assert found.startswith("data/questions/01_good.json must be JSON")


def test_terms_before_all_explanations_and_in_titles_of_others_are_no_uses(course):
    notebook = good_second_edition_chapter()
    text("> **What is a softmax?**\n\nGo on with [Pruning and softmax](03.ipynb).")(notebook)
    swap("- halve;", "- halve a logit;")(notebook)
    swap("A teacher is halved.", "A teacher is halved by quantization.")(notebook)
    assert second.defines_its_terms(notebook, CHAPTER, course) == []


def test_a_bad_glossary_stops_the_rules_with_one_sentence(course, capsys):
    (course / "notebooks").mkdir()
    (course / CHAPTER).write_text(json.dumps(good_second_edition_chapter()))
    assert rules.main([], course) == 0
    assert capsys.readouterr().out.startswith("notebooks/01_good.ipynb: ")
    (course / glossary.FILE).write_text("term = 3")
    glossary.load.cache_clear()
    assert rules.main([], course) == 1
    assert capsys.readouterr().err == "data/glossary.toml: term must be tables, [[term]], got 3\n"

"""The rules of notebooks (tools/rules.py): every notebook keeps them, and each rule has a notebook below that breaks it."""

import copy
import json

import experiment
import links
import page
import pytest
import rules
import rules_second
from chapters import ROOT, tags
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from page import WIDGET, code, outputs
from pages import add, named, printed, swap, tagged
from rules import CHAPTER_RULES, FIRST_CHAPTER_RULES, FIRST_EDITION, RULES, WIDGETS, rules_of, stale_records

from kdcourse import evidence

FIRST = RULES + FIRST_EDITION + CHAPTER_RULES + FIRST_CHAPTER_RULES


@pytest.mark.parametrize(("path", "rule"), [(path, rule) for path in page.stored() for rule in rules_of(path, page.read(path))], ids=named)
def test_notebook(path, rule):
    assert rules.breaches(rule, page.read(path), path) == []


def test_every_lesson_has_its_notebooks():
    assert len(page.stored()) == 2 * len(rules.slugs())


def test_which_rules_hold_depends_on_the_edition_and_on_the_kind_of_notebook():
    first, second = good_chapter(), new_notebook(metadata={"kdcourse": {"edition": 2, "language": "en"}})
    assert rules_of("notebooks/00_start_here.ipynb", first) == RULES + FIRST_EDITION
    assert rules_of("notebooks/solutions/01_soft_labels.ipynb", first) == FIRST
    own = rules_second.RULES + rules_second.COURSE_RULES
    for path in ("notebooks/00_start_here.ipynb", "notebooks/solutions/01_soft_labels.ipynb"):
        assert rules_of(path, second) == RULES + CHAPTER_RULES + own
    deep = rules_of("notebooks/01b_deep.ipynb", second)
    assert [rule for rule in RULES + CHAPTER_RULES + own if rule not in deep] == [rules.has_a_widget, rules.has_an_experiment]


def test_records_come_from_the_cells_on_the_page():
    assert stale_records(ROOT) == []


# --- each rule can fail ---

PATH = "notebooks/01_good.ipynb"
OPEN = f"[![Open in Colab](c.svg)]({links.colab_url(PATH)})\n[![Open in Binder](b.svg)]({links.binder_url(PATH)})"
TITLE = f"# Good\n\nAbout 10 minutes to read, 1 to run.\n\n{OPEN}"
STUB = 'def half(x):\n    """Return half of x."""\n    raise quiz.NotSolved'
EXPERIMENT = '@evidence.experiment("accuracy", [("a", "b")])\ndef toy(seed):\n    return {"a": 1, "b": 0}'
CHECK = 'with quiz.check("half"):\n    assert half(2) == 1'
WAITS = new_output("stream", text="○ half: not solved yet\n")
CORNER = "## Interview corner\n*In 30 seconds.* *In 3 minutes.* *Follow-up.* *Common wrong answer.* *See it hold:*"
LONG = "A bar chart: the student wins on all ten digits."
ALT = {"image/png": {"alt": LONG}}
HEADINGS = ("What you will", "What goes", "Interview", "Summary", "What’s", "References")
PICTURE = new_output("display_data", {"image/png": "aGVsbG8=", "text/plain": "<Figure>"}, metadata=ALT)


FINE = "an address is no place of a machine: https://example.org/home/tmp/"


def good_chapter():
    exercise = [tagged(STUB, "solution"), tagged(CHECK, "check", outputs=[WAITS])]
    said = [TITLE, "## What you will be able to do\n> **Why half?**", "**Predict first.** A", "**Predict first.** B"]
    said += ["**What to notice.** C", "## What goes wrong"]
    return new_notebook(
        cells=[
            *map(new_markdown_cell, said),
            new_code_cell("%matplotlib inline\nslider", outputs=[new_output("display_data", {WIDGET: {"model_id": "1"}})]),
            tagged(EXPERIMENT, "experiment"),
            new_code_cell('evidence.load("toy")', outputs=[new_output("stream", text=FINE), copy.deepcopy(PICTURE)]),
            tagged("1 / 0", "raises-exception", outputs=[new_output("error", ename="ZeroDivisionError", evalue="0", traceback=["0"])]),
            *[cell for n in "12" for cell in (new_markdown_cell(f"### Exercise {n}: half"), *copy.deepcopy(exercise))],
            new_code_cell('quiz.show("good")'),
            *map(new_markdown_cell, [CORNER, "## Summary", "## What’s next", "## References"]),
            *[new_markdown_cell("word " * 80) for _ in range(21)],
        ]
    )


@pytest.mark.parametrize("rule", FIRST, ids=named)
def test_a_good_chapter_passes(rule):
    assert rule(good_chapter(), PATH) == []


def check_then(line, source):
    """Return an edit: the check binds something, and a later cell reads it."""
    return lambda nb: (swap("assert half", f"{line}\n    assert half")(nb), add(new_code_cell(source))(nb))


def shown(source, text):
    """Return an edit: a cell whose value shows itself as `text`."""
    return add(new_code_cell(source, outputs=[new_output("display_data", {"text/html": "<pre>...</pre>", "text/plain": text})]))


def drop_outputs(nb):
    for cell in code(nb):
        cell.outputs = []


def short_alt(nb):
    picture = next(output for _, output in outputs(nb) if "image/png" in output.get("data", {}))
    picture.metadata["image/png"]["alt"] = "A chart."


def stray_widget(nb):
    model = {"model_name": "LabelModel", "state": {"value": "read /home/someone/x"}}
    nb.metadata["widgets"] = {WIDGETS: {"state": {"1": model}}}


BAD = [
    (rules.no_error_outputs, printed(output_type="error", ename="E", evalue="", traceback=[])),
    (rules.no_places_of_a_machine, add(new_markdown_cell("look into /home/someone/file"))),
    (rules.no_places_of_a_machine, add(new_code_cell("open('C:\\\\data')"))),
    (rules.no_places_of_a_machine, printed(output_type="stream", text="saved in '/tmp/x'")),
    (rules.no_places_of_a_machine, printed(output_type="display_data", data={"text/html": "<b>/Users/me/</b>"})),
    (rules.no_places_of_a_machine, stray_widget),
    (rules.no_long_cells, add(new_code_cell("x\n" * 26))),
    (rules.no_long_cells, add(new_markdown_cell("x\n" * 26))),
    (rules.pictures_have_alt_text, printed(output_type="display_data", data={"image/png": "aGVsbG8="})),
    (rules.pictures_have_alt_text, short_alt),
    (rules.pictures_have_alt_text, printed(output_type="display_data", data={"text/html": "<img src='a.png' alt=''>"})),
    (rules.pictures_have_alt_text, printed(output_type="display_data", data={"text/html": '<img src="a.png">'})),
    (rules.pictures_have_alt_text, printed(output_type="display_data", data={"text/html": '<img src="a.png" alt="A chart.">'})),
    (rules.pictures_have_alt_text, printed(output_type="display_data", data={"text/html": f'<img src="a.png" data-alt="{LONG}">'})),
    (rules.pictures_have_alt_text, add(new_markdown_cell('<img src="a.png" alt=" ">'))),
    (rules.pictures_have_alt_text, add(new_markdown_cell("![](a.png)"))),
    (rules.links_open_this_notebook, swap("01_good", "02_other")),
    (rules.links_open_this_notebook, add(new_markdown_cell(f"[here]({links.colab_url('notebooks/02_other.ipynb')})"))),
    (rules.links_open_this_notebook, lambda nb: nb.cells.pop(0)),
    (rules.file_is_small, printed(output_type="stream", text="x" * 500_000)),
    (rules.tables_are_those_of_the_records, add(new_code_cell('print(evidence.table(evidence.load("all_labels")))'))),
    (rules.tables_are_those_of_the_records, shown('evidence.load("all_labels")', "all_labels: accuracy, seeds 1\n  a  50.00%")),
    (rules.stubs_block_nothing, add(new_code_cell("for i in range(3):\n    print(half(i))"))),
    (rules.checks_leave_nothing, check_then("found = 1", "print(found)")),
    (rules.checks_leave_nothing, check_then("import math", "def area(r):\n    return math.pi * r")),
    (rules.checks_say_how_it_stands, swap('quiz.check("half")', 'quiz.check("third")')),
    (rules.checks_say_how_it_stands, swap('with quiz.check("half"):', "if True:")),
    (rules.checks_say_how_it_stands, lambda nb: [cell.update(outputs=[]) for cell in code(nb) if "check" in tags(cell)]),
    *[(rules.has_all_headings, swap(f"## {name}", "")) for name in HEADINGS],
    (rules.opens_with_an_interview_question, swap("> **Why half?**", "Why half?")),
    (rules.asks_for_predictions, swap("**Predict first.** B", "B")),
    (rules.has_a_widget, drop_outputs),
    (rules.tells_its_length, swap("minutes to read", "minutes")),
    (rules.says_what_to_notice, swap("**What to notice.** C", "C")),
    (rules.shows_its_records, swap('evidence.load("toy")', 'evidence.load("other")')),
    (rules.has_an_experiment, swap("@evidence.experiment", "@something")),
    (rules.has_exercises_with_checks, swap("Exercise 2", "Section")),
    (rules.has_exercises_with_checks, swap("Exercise ", "Section ")),
    (rules.has_exercises_with_checks, lambda nb: [cell.metadata.update(tags=[]) for cell in code(nb) if "check" in tags(cell)]),
    (rules.has_exercises_with_checks, lambda nb: [cell.metadata.update(tags=[]) for cell in code(nb) if "solution" in tags(cell)]),
    (rules.has_a_quiz, swap("quiz.show", "quiz.load")),
    *[(rules.has_a_whole_interview_corner, swap(part, "")) for part in CORNER.partition("\n")[2].replace("* *", "*|*").split("|")],
    (rules.has_the_length_of_a_chapter, swap("word " * 80, "word " * 40)),
    (rules.has_the_length_of_a_chapter, swap("word " * 80, "word " * 150)),
    (rules.has_the_length_of_a_chapter, swap("word " * 80, "$w$ [](word) `w` <b> " * 40)),
    (rules.has_the_length_of_a_chapter, lambda nb: [nb.cells.pop() for _ in range(4)] + [add(new_markdown_cell("word " * 400))(nb)]),
]


@pytest.mark.parametrize(("rule", "spoil"), BAD, ids=lambda value: getattr(value, "__name__", "spoil"))
def test_each_rule_catches_its_bad_notebook(rule, spoil):
    notebook = good_chapter()
    spoil(notebook)
    assert rule(notebook, PATH) != []


def test_a_check_may_bind_what_a_later_cell_binds_again_or_keeps_to_itself():
    notebook = good_chapter()
    check_then("found, x = 1, 2", "found = 3\nprint(found, [x for x in range(3)])")(notebook)
    add(new_code_cell("def f(x):\n    return x + found"))(notebook)
    assert rules.checks_leave_nothing(notebook, PATH) == []


def test_a_check_passes_in_the_solved_notebook():
    solved, notebook = PATH.replace("/", "/solutions/", 1), good_chapter()
    assert len(rules.checks_say_how_it_stands(notebook, solved)) == 2
    for cell in code(notebook):
        if "check" in tags(cell):
            cell.outputs[0].text = "a number: 3\n✓ half\n"
    assert rules.checks_say_how_it_stands(notebook, solved) == []


def test_a_record_that_shows_itself_may_show_what_it_says_today():
    notebook, record = good_chapter(), evidence.load("all_labels")
    shown('evidence.load("all_labels")', evidence.table(record))(notebook)
    add(new_code_cell('evidence.load("all_labels").means'))(notebook)
    assert rules.tables_are_those_of_the_records(notebook, PATH) == []


def test_a_picture_may_be_a_tag_with_its_alt_text_and_its_bytes():
    notebook = good_chapter()
    html = f'<img src="data:image/webp;base64,AA+/tmp/BB==" alt="{LONG}" width="640">'
    printed(output_type="display_data", data={"text/html": html, "text/plain": LONG})(notebook)
    add(new_markdown_cell('<img src="a.png" alt="Short.">'))(notebook)
    assert rules.pictures_have_alt_text(notebook, PATH) == []
    assert rules.no_places_of_a_machine(notebook, PATH) == []


def test_a_breach_names_the_cell():
    notebook = good_chapter()
    add(new_code_cell("\nopen('/tmp/x')\n"))(notebook)
    last = len(notebook.cells) - 1
    assert rules.no_places_of_a_machine(notebook, PATH) == [f"""cell {last}, "open('/tmp/x')": /tmp/"""]


def test_every_rule_has_a_bad_notebook():
    assert {rule for rule, _ in BAD} == set(FIRST)


def test_a_stale_record_is_caught(tmp_path):
    for folder in ("lessons", "data/experiments"):
        (tmp_path / folder).mkdir(parents=True)
    lesson = tmp_path / "lessons" / "01_toy.py"
    lesson.write_text(f'# %% [markdown]\n# # T\n# <!-- links -->\n\n# %% tags=["experiment"]\n{EXPERIMENT}\n')
    assert stale_records(tmp_path) == []
    record = {"code_sha256": experiment.find_all(tmp_path)["toy"].sha256}
    (tmp_path / "data" / "experiments" / "toy.json").write_text(json.dumps(record))
    assert stale_records(tmp_path) == []
    lesson.write_text(lesson.read_text().replace('"a": 1', '"a": 2'))
    assert stale_records(tmp_path) == ["toy"]


def test_an_author_can_ask_for_the_rules(tmp_path, capsys):
    (tmp_path / "lessons").mkdir()
    (tmp_path / "notebooks").mkdir()
    for name in ("00_plain", "01_bad"):
        (tmp_path / "lessons" / f"{name}.py").write_text("# %% [markdown]\n# # T\n# <!-- links -->\n")
        title = f"[c]({links.colab_url(f'notebooks/{name}.ipynb')}) [b]({links.binder_url(f'notebooks/{name}.ipynb')})"
        notebook = new_notebook(cells=[new_markdown_cell(title)])
        (tmp_path / "notebooks" / f"{name}.ipynb").write_text(json.dumps(notebook))
    assert rules.main(["00_plain"], tmp_path) == 0
    measured = "notebooks/00_plain.ipynb: 2.0 words a sentence, Flesch-Kincaid grade -3.0\n"
    assert capsys.readouterr().out == measured + "notebooks looked at: 1; no rule is broken\n"
    assert rules.main([], tmp_path) == 1
    said = capsys.readouterr().err.splitlines()
    assert "notebooks/01_bad.ipynb: has_a_quiz: no quiz.show(...)" in said
    assert all(line.startswith("notebooks/01_bad.ipynb: ") for line in said)
    assert rules.main(["02_none"], tmp_path) == 2
    assert capsys.readouterr().err == "SLUG must be one of 00_plain, 01_bad, got 02_none\n"

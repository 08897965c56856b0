"""What the tools make of a lesson of the second edition: header, deep dives, tables, numbers, folded cells, answers, stills."""

import json

import build_notebooks
import chapters
import experiment
import nbformat
import pytest
import readme
import stills
from course import edit, made
from nbformat.v4 import new_code_cell, new_notebook, new_output

from kdcourse.widgets import TemperatureExplorer

LESSON = '''\
# ---
# jupyter:
#   kdcourse: {edition: 2, answers: "Who wins?", read: 5, run: 1}
# ---

# %% [markdown]
# # 1 · A tiny lesson
#
# <!-- links -->

# %% [markdown]
# Heads are {{toy | heads | mean}} of {{toy | seeds}}, {{toy | heads | tails | difference}}.

# %% tags=["experiment"]
from kdcourse import evidence


@evidence.experiment("accuracy on nothing", compare=[("heads", "tails")])
def toy(seed):
    return {"heads": 0.5 + seed / 1000, "tails": 0.25}


evidence.load("toy")

# %% [markdown]
# <!-- chapters -->

# %% tags=["solution"]
def double(x):
    """Return twice `x`."""
    return 2 * x


# %% [markdown] tags=["answer"]
# Two of a thing are twice the thing.

# %% tags=["check"]
# Is it doubled?
with quiz.check("double"):
    assert double(2) == 4

# %% tags=["hide-input"]
print("{{toy | heads | mean}}")
'''


@pytest.fixture
def course(tmp_path):
    """A course of one lesson with its record."""
    root = made(tmp_path, LESSON)
    values = {"heads": [0.5, 0.501, 0.502, 0.503, 0.504], "tails": [0.25] * 5}
    record = {"experiment": "toy", "metric": "accuracy on nothing", "unit": "percent", "higher_is_better": True}
    record |= {"compare": [["heads", "tails"]]}
    record |= {"seeds": [0, 1, 2, 3, 4], "values": values, "date": "2026-11-24", "seconds": 60.0, "cores": 1}
    (root / "data" / "experiments" / "toy.json").write_text(json.dumps(record))
    return root


def cells(course, solved=False):
    return chapters.notebook("01_tiny", solved, course).cells


def tagged(found, tag):
    return [cell for cell in found if tag in chapters.tags(cell)]


# --- header, deep dives, tables ---


def test_the_header_is_what_the_course_knows_of_a_lesson(course):
    found = chapters.header("01_tiny", course)
    assert found == chapters.Header("01_tiny", "A tiny lesson", edition=2, language="en", answers="Who wins?", read=5, run=1)
    assert chapters.notebook("01_tiny", False, course).metadata["kdcourse"] == {"edition": 2, "language": "en"}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("edition: 2", "edition: 3", "language en or zh, got 3 and 'en'"),
        ("edition: 2", "edition: two", "got edition: 'two'"),
        ("read: 5", "minutes: 5", "got minutes: 5"),
        ("read: 5", "language: xx", "got 2 and 'xx'"),
    ],
)
def test_a_bad_header_is_refused_by_file(course, old, new, message):
    edit(course / "lessons" / "01_tiny.py", old, new)
    with pytest.raises(chapters.LessonError, match=f"lessons/01_tiny.py: kdcourse in the header must have .*{message}"):
        chapters.notebook("01_tiny", False, course)


def test_a_deep_dive_follows_its_chapter_and_needs_one(course):
    text = LESSON.replace("toy", "toy_b").replace("Who wins?", "How deep?").replace("{{toy_b", "{{toy")
    (course / "lessons" / "01b_deep.py").write_text(text)
    assert chapters.slugs(course) == ["01_tiny", "01b_deep"]
    assert chapters.is_deep_dive("01b_deep") and not chapters.is_deep_dive("01_tiny")
    assert "[01b A tiny lesson](01b_deep.ipynb)" in chapters.table(course)
    (course / "lessons" / "01b_deep.py").rename(course / "lessons" / "02b_deep.py")
    with pytest.raises(chapters.LessonError, match=r"lessons/02b_deep.py: a deep dive must have its chapter, got no lessons/02_\*.py"):
        chapters.slugs(course)


@pytest.mark.parametrize("name", ["tiny", "1_tiny", "01_Tiny", "01a_tiny", "01_ti-ny"])
def test_a_file_that_is_not_named_like_a_lesson_is_refused(course, name):
    (course / "lessons" / f"{name}.py").write_text(LESSON)
    with pytest.raises(chapters.LessonError, match=f"lessons/{name}.py: a lesson must be named like 05_title, a deep dive like 05b_title"):
        chapters.slugs(course)


def test_the_table_has_what_is_planned_until_it_is_there(course):
    planned = '["01"]\ntitle = "Old"\nanswers = "?"\n["02"]\ntitle = "Soon"\nanswers = "When?"\n'
    (course / "lessons" / "planned.toml").write_text(planned)
    assert chapters.table(course).splitlines()[2:] == [
        "| **[01 A tiny lesson](01_tiny.ipynb)** | Who wins? | 5 min | 1 min |",
        "| 02 Soon | When? | in preparation |  |",
    ]
    assert chapters.table(course) in tagged_markdown(course)[-1].source


def tagged_markdown(course):
    return [cell for cell in cells(course) if cell.cell_type == "markdown"]


def test_the_table_of_the_readme_is_generated(course, capsys):
    page = course / "README.md"
    page.write_text("no table\n")
    assert readme.main([], course) == 1 and "README.md must have one line" in capsys.readouterr().err
    page.write_text(f"# Course\n{readme.BEGIN}\nold\n{readme.END}\nmore\n")
    assert readme.main(["--check"], course) == 1 and "not those of the lessons" in capsys.readouterr().err
    assert readme.main([], course) == 0 and readme.main(["--check"], course) == 0
    text = page.read_text()
    assert "notebooks/01_tiny.ipynb" in text and "colab.research.google.com/github/some-body" in text
    assert "old" not in text and "more" in text
    assert readme.main(["--chekc"], course) == 2


def test_the_readme_of_the_course_is_current():
    assert readme.main(["--check"]) == 0


# --- numbers, folded cells, answers ---


def test_numbers_come_from_the_record_of_the_course(course):
    assert "Heads are 50.2% of 5 seeds, +25.2 points." in cells(course)[2].source
    assert tagged(cells(course), "hide-input")[-1].source.endswith('print("50.2%")')
    ids = [cell.id for cell in cells(course)]
    edit(course / "data" / "experiments" / "toy.json", "0.504", "0.604")
    assert "52.2%" in cells(course)[2].source and [cell.id for cell in cells(course)] == ids


def test_a_number_that_does_not_resolve_names_file_and_cell(course):
    edit(course / "lessons" / "01_tiny.py", "{{toy | heads | mean}} of", "{{toy | head | mean}} of")
    message = r"lessons/01_tiny.py, cell 1, 'Heads are .*: {{toy \| head \| mean}}: variant must be one of heads, tails, got 'head'"
    with pytest.raises(chapters.LessonError, match=message):
        chapters.notebook("01_tiny", False, course)
    (course / "data" / "experiments" / "toy.json").unlink()
    assert build_notebooks.main([], course) == 1 and not (course / "notebooks").exists()


def test_an_experiment_without_a_result_names_the_command(course):
    (course / "data" / "experiments" / "toy.json").unlink()
    with pytest.raises(chapters.LessonError, match=r"lessons/01_tiny.py, cell 1, .*recorded first, make experiment NAME=toy SEEDS="):
        cells(course)


def test_folded_cells_carry_the_forms_of_each_place(course):
    found = cells(course)
    folded = [cell for cell in found if cell.metadata.get("jupyter")]
    assert [chapters.tags(cell) for cell in folded] == [["experiment", "hide-input"], ["check", "hide-input"], ["hide-input"]]
    for cell in folded:
        assert cell.metadata["jupyter"] == {"source_hidden": True} and cell.metadata["cellView"] == "form"
    titles = [cell.source.partition("\n")[0] for cell in folded]
    assert titles == ["# @title The experiment", "# @title Is it doubled?", "# @title The code of what follows"]
    assert folded[1].source.count("Is it doubled?") == 1
    assert not any("jupyter" in cell.metadata for cell in found if cell not in folded)


def test_above_an_experiment_stands_when_it_was_recorded(course):
    line = "*Recorded on 24 November 2026, 5 seeds, 60 seconds on one core; this cell loads the record; "
    line += "`make experiment NAME=toy` repeats it.*"
    assert cells(course)[2].source.endswith(f"\n\n{line}")
    edit(course / "lessons" / "01_tiny.py", "# %% [markdown]\n# Heads are", "# %%\n# Heads are")  # no text above: it gets a cell of its own
    assert cells(course)[3].source == line and cells(course)[3].cell_type == "markdown"


def test_what_shows_a_record_does_not_run_when_it_is_made(course):
    (course / "data" / "experiments" / "toy.json").unlink()
    found = experiment.find_all(course)["toy"]
    assert "evidence.load" not in found.source and experiment.run(found, [3], course)[0].values == {"heads": [0.503], "tails": [0.25]}
    before = found.sha256
    edit(course / "lessons" / "01_tiny.py", 'evidence.load("toy")\n', 'evidence.load("toy")._repr_html_()\n')
    assert experiment.find_all(course)["toy"].sha256 == before


def test_an_answer_stands_in_the_solved_notebook_only(course):
    assert tagged(cells(course), "answer") == []
    (answer,) = tagged(cells(course, solved=True), "answer")
    assert answer.cell_type == "markdown" and answer.source == "Two of a thing are twice the thing."
    assert "answer" not in {tag for cell in chapters.both("01_tiny", course).cells for tag in chapters.tags(cell)}


def test_markdown_has_no_other_tag_and_code_no_answer(course):
    edit(course / "lessons" / "01_tiny.py", '[markdown] tags=["answer"]', '[markdown] tags=["check"]')
    with pytest.raises(chapters.LessonError, match="cells must be code, or Markdown without tags except answer"):
        cells(course)
    edit(course / "lessons" / "01_tiny.py", '[markdown] tags=["check"]', 'tags=["answer"]')
    with pytest.raises(chapters.LessonError, match="cells must be code, or Markdown without tags except answer"):
        cells(course)


def test_the_first_edition_is_left_as_it_was(course):
    edit(course / "lessons" / "01_tiny.py", "edition: 2", "edition: 1")
    found = chapters.notebook("01_tiny", False, course)
    assert "kdcourse" not in found.metadata and not any("jupyter" in cell.metadata or "@title" in cell.source for cell in found.cells)
    assert not any("Recorded on" in cell.source for cell in found.cells)


# --- stills ---


def with_widget(widget, source="show"):
    state = {"state": {key: value for key, value in widget.get_state().items() if key != "layout"}, "model_name": "AnyModel"}
    view = new_output("display_data", {stills.VIEW: {"model_id": "1"}, "text/plain": "w"})
    notebook = new_notebook(cells=[new_code_cell(source, outputs=[view])])
    notebook.metadata["widgets"] = {stills.STATE: {"state": {"1": state}}}
    return notebook


@pytest.mark.browser
def test_a_still_picture_says_what_the_widget_says():
    import numpy as np

    explorer = TemperatureExplorer(np.zeros((1, 28, 28)), [1], [[0.0, 1.0, 2.0]], temperature=2.0)
    notebook = with_widget(explorer)
    assert stills.add_stills(notebook) == 1
    widget, still = notebook.cells[0].outputs
    assert stills.VIEW in widget.data and "Temperature explorer" in still.data["text/plain"] and "to 2, then" in still.data["text/plain"]
    assert 'src="data:image/webp;base64,' in still.data["text/html"] and "still picture" in still.data["text/html"]
    nbformat.validate(notebook)
    assert stills.add_stills(new_notebook(cells=[new_code_cell("1")])) == 0


@pytest.mark.browser
def test_a_widget_that_a_page_cannot_draw_is_refused():
    import ipywidgets

    with pytest.raises(ValueError, match="a widget must draw itself in the page, as an anywidget does, got one in: slider"):
        stills.add_stills(with_widget(ipywidgets.IntSlider(), "slider"))


def test_no_browser_is_one_sentence(monkeypatch):
    monkeypatch.setattr(stills.browser, "find_browser", lambda: None)
    import ipywidgets

    with pytest.raises(ValueError, match="a still picture of a widget needs a browser, no Chromium or Chrome found"):
        stills.add_stills(with_widget(ipywidgets.IntSlider()))

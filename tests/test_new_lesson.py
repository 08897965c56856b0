"""`make lesson`: what it refuses, and that the template is a chapter that the other tools take as it is."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import build_notebooks
import chapters
import experiment
import nbformat
import new_lesson
import pytest
import questions
import rules
from course import made

from kdcourse import quiz

ROOT = Path(__file__).resolve().parent.parent
LESSON = '# %% [markdown]\n# # 1 · Tiny\n#\n# <!-- links -->\n\n# %% tags=["experiment"]\n'
LESSON += "from kdcourse import evidence\n\n\n"
LESSON += '@evidence.experiment("accuracy", compare=[])\ndef tiny_first(seed):\n    return {"a": 0.5}\n'
PLANNED = '["04"]\ntitle = "Bits & \\"bytes\\""\nanswers = "How many bits, and \\"why\\"?"\n'


@pytest.fixture
def course(tmp_path):
    """A course of one lesson, with a plan for chapter 04."""
    root = made(tmp_path, LESSON)
    (root / "lessons" / "planned.toml").write_text(PLANNED)
    return root


def files(root):
    return {path.relative_to(root).as_posix(): path.read_text() for path in root.rglob("*") if path.is_file()}


def recorded(root, slug):
    """Begin a lesson, and give its experiment a record that was not run."""
    _, name = new_lesson.new_lesson(slug, root)
    values = {"ten means": [0.79, 0.78, 0.8, 0.79, 0.78], "every image": [0.88, 0.88, 0.89, 0.88, 0.87]}
    record = {"experiment": name, "metric": "accuracy on the test split", "unit": "percent", "higher_is_better": True}
    record |= {"compare": [["ten means", "every image"]], "seeds": [10, 11, 12, 13, 14], "values": values}
    record |= {"date": "2026-11-24", "seconds": 2.0, "cores": 1}
    (root / "data" / "experiments" / f"{name}.json").write_text(json.dumps(record))
    return name


# --- what is refused ---


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "NAME must be given, as in make lesson NAME=05_title, got none"),
        ([""], "NAME must be given, as in make lesson NAME=05_title, got none"),
        (["05_a", "06_b"], "NAME must be given, as in make lesson NAME=05_title, got 05_a 06_b"),
        (["five"], "NAME must be like 05_title, for a deep dive like 05b_title, with at most 40 characters, got 'five'"),
        (["05_Title"], "got '05_Title'"),
        (["05a_title"], "got '05a_title'"),
        (["../05_title"], "got '../05_title'"),
        (["05_title\n"], r"got '05_title\n'"),
        ([f"05_{'a' * 38}"], "with at most 40 characters, got"),
        (["01_tiny"], "lessons/01_tiny.py exists already"),
        (["02_asked"], "data/questions/02_asked.json exists already"),
        (["01_other"], "the number of NAME must be one that no lesson has, got 01_other, and there is lessons/01_tiny.py"),
        (["05b_title"], "a deep dive must have its chapter, got 05b_title and no lessons/05_*.py"),
        (["05_tiny"], "the experiment's name that NAME gives must be one that no lesson has, got tiny_first, and lessons/01_tiny.py has"),
    ],
)
def test_refused_in_one_sentence_before_anything_is_written(course, capsys, arguments, message):
    (course / "data" / "questions").mkdir()
    (course / "data" / "questions" / "02_asked.json").write_text("[]")
    before = files(course)
    assert new_lesson.main(arguments, course) == 2
    said = capsys.readouterr()
    assert message in said.err and len(said.err.splitlines()) == 1 and said.out == "" and files(course) == before


def test_a_second_deep_dive_needs_a_letter_of_its_own(course, capsys):
    assert new_lesson.main(["01b_deep"], course) == 0
    assert new_lesson.main(["01b_deeper"], course) == 2 and "and there is lessons/01b_deep.py" in capsys.readouterr().err
    assert new_lesson.main(["01c_deeper"], course) == 0


@pytest.mark.parametrize("fails_at", [1, 2])
def test_both_files_or_none(course, monkeypatch, fails_at):
    before, calls, write = files(course), [], Path.write_text

    def full(self, *arguments, **more):
        calls.append(self)
        if len(calls) == fails_at:
            raise OSError("no space left on device")
        return write(self, *arguments, **more)

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="no space"):
        new_lesson.new_lesson("05_title", course)
    assert files(course) == before


# --- what is written ---


def test_title_and_question_of_a_planned_chapter(course):
    recorded(course, "04_bits")
    header = chapters.header("04_bits", course)
    assert (header.title, header.answers, header.edition) == ('Bits & "bytes"', 'How many bits, and "why"?', 2)
    assert "planned" not in chapters.table(course) and "Bits" in chapters.table(course)
    text = (course / "lessons" / "04_bits.py").read_text()
    assert '# > **The interviewer asks:** "How many bits, and "why"?"\n' in text and '# > **How many bits, and "why"?**\n' in text


def test_another_title_comes_from_the_name_and_the_question_waits(course):
    recorded(course, "05_two_words")
    header = chapters.header("05_two_words", course)
    assert (header.title, header.answers) == ("Two words", new_lesson.QUESTION) and new_lesson.QUESTION.startswith("TODO")


def test_a_deep_dive_has_the_number_of_its_chapter(course, capsys):
    assert new_lesson.main(["01b_more_of_it"], course) == 0
    assert "# # 1b · More of it\n" in (course / "lessons" / "01b_more_of_it.py").read_text()
    assert chapters.slugs(course) == ["01_tiny", "01b_more_of_it"] and "01b More of it" in chapters.table(course)


def test_the_next_commands_are_those_that_follow(course, capsys):
    (course / "lessons" / "01_tiny.py").write_text(LESSON.replace("<!-- links -->", "<!-- links -->\n#\n# <!-- chapters -->"))
    assert new_lesson.main(["05_title"], course) == 0
    commands = re.findall(r"^  make ([a-z-]+) (\w+)=(.*?)(?: SEEDS=.*)?$", capsys.readouterr().out, re.M)
    assert commands == [
        *[("experiment", "NAME", "title_first")] * 2,
        ("notebooks", "ARGS", '"01_tiny 05_title"'),  # the first shows the table of the chapters
        ("test-notebooks", "ARGS", "05_title"),
        ("notebooks-check", "ARGS", "05_title"),
    ]
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M)
    assert {"lesson", *(target for target, *_ in commands)} <= set(targets)


# --- the template as the other tools see it ---


@pytest.mark.parametrize("slug", ["05_title", "01b_more"])
def test_it_becomes_two_notebooks(course, slug):
    name = recorded(course, slug)
    found = experiment.find_all(course)[name]
    assert found.lesson == slug and found.sentinel
    for solved in (False, True):
        built = chapters.notebook(slug, solved, course)
        text = " ".join(" ".join(cell.source for cell in built.cells).split())
        assert built.metadata["kdcourse"]["edition"] == 2 and "{{" not in text and not re.search("_[A-Z]{3,}_", text)
        assert "Recorded on 24 November 2026, 5 seeds" in text and "they lose by 9.2 points." in text
        assert 25 <= len(built.cells) <= 40
        assert ("NotSolved" in text) != solved and ("answer" in [tag for cell in built.cells for tag in chapters.tags(cell)]) == solved


def test_the_experiment_of_the_template_runs(course):
    name = recorded(course, "05_title")
    found = experiment.find_all(course)[name]
    first, again, other = (found.function()(seed) for seed in (10, 10, 11))
    assert first == again != other and 0.75 < first["ten means"] < 0.85 < first["every image"] < 0.95


def test_every_objective_has_an_exercise_or_a_question(course):
    recorded(course, "05_title")
    pages = [cell.source for cell in chapters.read("05_title", course) if cell.cell_type == "markdown"]
    declared = [m for page in pages for m in re.findall(r"^- .*<!-- objective: ([a-z0-9-]+) -->$", page, re.M)]
    exercises = [m for page in pages for m in re.findall(r"^### Exercise \d: .*<!-- objective: ([a-z0-9-]+) -->$", page, re.M)]
    asked = [question["objective"] for question in quiz.read(course / "data" / "questions" / "05_title.json")]
    assert len(declared) == 3 == len(set(declared)) and set(exercises) | set(asked) == set(declared) and len(exercises) == 2


def test_every_prediction_is_answered(course):
    recorded(course, "05_title")
    pages = [cell.source for cell in chapters.notebook("05_title", False, course).cells if cell.cell_type == "markdown"]
    order = [word for page in pages for word in ("Predict first", "Answer") if f"**{word}.**" in page]
    assert order == ["Predict first", "Answer"] * 3


def test_the_question_bank_breaks_no_rule(course):
    recorded(course, "05_title")
    bank = quiz.read(course / "data" / "questions" / "05_title.json")
    assert questions.breaches(bank) == [] and all(question["question"].startswith("TODO: ") for question in bank)


def test_every_part_that_an_author_replaces_is_marked(course):
    recorded(course, "05_title")
    page = "\n".join(cell.source for cell in chapters.read("05_title", course))
    parts = re.split("^## ", page, flags=re.M)
    assert len(parts) == 10 and [part.partition("\n")[0] for part in parts if "TODO" not in part] == []


@pytest.mark.parametrize("slug", ["05_title", "01b_more", f"05_{'a' * 37}"])
def test_it_is_formatted_and_lints(course, slug):
    new_lesson.new_lesson(slug, course)
    path = course / "lessons" / f"{slug}.py"
    for command in (["format", "--line-length", "100", "-"], ["check", "-"]):  # as if it lay in this repository
        ruff = [sys.executable, "-m", "ruff", *command, "--stdin-filename", f"lessons/{slug}.py"]
        done = subprocess.run(ruff, input=path.read_text(), capture_output=True, text=True, check=False, cwd=ROOT)
        assert done.returncode == 0 and (command[0] == "check" or done.stdout == path.read_text()), done.stdout + done.stderr
    assert [line for line in path.read_text().splitlines() if len(line) > 100 and "{{" not in line] == []


# --- and what the rules of notebooks say of it ---

TO_DO = {"nothing_is_left_to_fill_in", "has_the_length_of_its_kind", "exercises_are_in_the_flow"}  # what an author adds
TO_RUN = {"has_a_diagram", "has_a_widget", "checks_say_how_it_stands"}  # what only shows where cells have run


def broken(nb, path, root):
    """Return the names of the rules that a notebook of the course in `root` breaks, and all breaches."""
    found = {rule.__name__: breaches for rule in rules.rules_of(path, nb) if (breaches := rules.breaches(rule, nb, path, root))}
    return set(found), found


@pytest.fixture
def strict(course):
    """The course with what the rules look at besides a notebook."""
    for name in ("pyproject.toml", "data/glossary.toml", "data/datasets.toml"):
        shutil.copy(ROOT / name, course / name)
    chapter = '["{0:02}"]\ntitle = "{0}"\nanswers = "How?"\n'
    (course / "lessons" / "planned.toml").write_text("".join(map(chapter.format, (0, *range(2, 10)))))
    return course


@pytest.mark.parametrize("slug", ["05_title", "01b_more"])
def test_what_is_left_to_do_is_all_that_the_rules_find(strict, slug):
    recorded(strict, slug)
    for solved in (False, True):
        names, found = broken(chapters.notebook(slug, solved, strict), chapters.notebook_path(slug, solved), strict)
        assert "nothing_is_left_to_fill_in" in names <= TO_DO | TO_RUN, found


@pytest.mark.slow
@pytest.mark.browser
def test_recorded_and_built_it_runs(strict, monkeypatch):
    """In a copy of the package, whose data folder has the new record."""
    shutil.copytree(ROOT / "kdcourse", strict / "kdcourse", ignore=shutil.ignore_patterns("__pycache__"))
    _, name = new_lesson.new_lesson("05_title", strict)
    experiment.record(experiment.find_all(strict)[name], [10, 11, 12, 13, 14], strict)
    monkeypatch.setenv("PYTHONPATH", str(strict))
    assert build_notebooks.main(["05_title", "-j", "2"], strict) == 0
    assert build_notebooks.main(["05_title", "--tests"], strict) == 0
    for solved, said in ((False, "○ the means as a layer: not solved yet\n"), (True, "✓ the means as a layer\n")):
        path = chapters.notebook_path("05_title", solved)
        nb = nbformat.read(strict / path, as_version=4)
        outputs = [output for cell in nb.cells for output in cell.get("outputs", [])]
        assert said in [output.get("text") for output in outputs] and "stderr" not in [output.get("name") for output in outputs]
        assert sum("<img" in output.get("data", {}).get("text/html", "") for output in outputs) == 4  # one of them the widget's still
        assert any("LOSES" in output.get("data", {}).get("text/plain", "") for output in outputs)
        names, found = broken(nb, path, strict)
        assert names == TO_DO, found

"""The author's tools on a tiny course in a temporary folder: the builder and the links."""

import os
import re
import subprocess
import sys
from pathlib import Path

import build_notebooks
import chapters
import links
import nbformat
import pytest
from course import edit, made

ROOT = Path(__file__).resolve().parent.parent
NBVAL = ["--nbval-lax", "--nbval-current-env", "--nbval-sanitize-with", ROOT / "tests" / "nbval.cfg"]
LESSON = '''\
# %% [markdown]
# # A tiny lesson
#
# <!-- links -->

# %% tags=["experiment-setup"]
import os
import random

from kdcourse import evidence, quiz

# %%
print(os.listdir("."))

# %% [markdown]
# ## Exercise: double it


# %% tags=["solution"]
import math


@staticmethod
def double(x, factor=2):
    """Return twice `x`.

    A second paragraph.
    """
    doubled = math.fsum([x] * factor)
    return doubled


# what stays


def triple(x):
    "Return three times `x`."
    return 3 * x


# %% tags=["check"]
with quiz.check("double"):
    assert double(2) == 4, "2 + 2"

# %% tags=["raises-exception"]
evidence.paired_interval([])

# %%
object()

# %%
object()


# %% tags=["experiment"]
@evidence.experiment("accuracy on nothing", compare=[("heads", "tails")])
def toy(seed):
    return {"heads": 0.5 + random.Random(seed).random() / 10, "tails": 0.25}


# %% tags=["live"]
toy(0)

# %%
import ipywidgets

ipywidgets.IntSlider(value=3, description="bits")
'''
SOLVED_BODY = "    doubled = math.fsum([x] * factor)\n    return doubled\n"


@pytest.fixture
def course(tmp_path):
    """A course of one lesson; nothing built yet."""
    return made(tmp_path, LESSON)


def run_tool(name, *arguments, **options):
    return subprocess.run([sys.executable, str(ROOT / "tools" / name), *arguments], capture_output=True, text=True, check=False, **options)


# --- from a lesson to its notebooks, not executed ---


def test_learner_gets_a_stub_with_everything_but_the_body(course):
    stub = next(c.source for c in chapters.notebook("01_tiny", False, course).cells if "solution" in chapters.tags(c))
    assert stub == (
        'import math\n\n\n@staticmethod\ndef double(x, factor=2):\n    """Return twice `x`.\n\n    A second paragraph.\n    """\n'
        "    raise quiz.NotSolved  # your code here\n\n\n# what stays\n\n\n"
        'def triple(x):\n    "Return three times `x`."\n    raise quiz.NotSolved  # your code here'
    )
    solved = next(c.source for c in chapters.notebook("01_tiny", True, course).cells if "solution" in chapters.tags(c))
    assert SOLVED_BODY in solved and "NotSolved" not in solved


def test_generated_parts_name_the_notebook_itself_and_the_repository(course):
    for solved, path in ((False, "notebooks/01_tiny.ipynb"), (True, "notebooks/solutions/01_tiny.ipynb")):
        title, install, *_ = chapters.notebook("01_tiny", solved, course).cells
        assert f"https://colab.research.google.com/github/some-body/some.course/blob/main/{path}" in title.source
        assert f"https://mybinder.org/v2/gh/some-body/some.course/main?labpath={path.replace('/', '%2F')}" in title.source
        assert "lessons/01_tiny.py" in title.source and "<!-- links -->" not in title.source
        assert install.source.endswith(
            'if "google.colab" in sys.modules:\n    %pip install -q "kdcourse @ git+https://github.com/some-body/some.course"'
        )
        assert chapters.tags(install) == ["setup"] and len(install.source.splitlines()) <= 6


def test_tags_are_those_of_the_lesson(course):
    wanted = [["setup"], *(chapters.tags(cell) for cell in chapters.read("01_tiny", course)[1:])]
    for solved in (False, True):
        assert [chapters.tags(cell) for cell in chapters.notebook("01_tiny", solved, course).cells[1:]] == wanted


TWO_EXERCISES = '''\
# %% [markdown]
# # Two exercises
# <!-- links -->

# %% tags=["solution"]
def one():
    """Return 1."""
    return 1

# %% tags=["check"]
with quiz.check("one"):
    assert one() == 1

# %% tags=["check"]
with quiz.check("one more"):
    assert one() + one() == 2

# %%
plain()

# %% tags=["solution"]
def two():
    """Return 2."""
    return 2

# %% tags=["check"]
with quiz.check("two"):
    assert two() == 2 * one()

# %% tags=["live"]
last()
'''


def test_one_notebook_tests_the_learners_and_the_solved_one(course):
    (course / "lessons" / "02_two.py").write_text(TWO_EXERCISES)
    made = chapters.both("02_two", course)
    nbformat.validate(made)
    learner, solved = (chapters.notebook("02_two", solved, course).cells for solved in (False, True))
    title, install, one, check, more, plain, two, check_two, last = range(9)
    order = [(learner, title, install, one, check, more), (solved, one, check, more), (learner, one)]
    order += [(learner, plain, two, check_two), (solved, one, two, check_two), (learner, one, two), (learner, last)]
    assert [cell.source for cell in made.cells] == [cells[place].source for cells, *places in order for place in places]
    assert len({cell.id for cell in made.cells}) == len(made.cells)
    first = [cell for cell in made.cells if "-" not in cell.id]
    assert [cell.id for cell in first] == [cell.id for cell in learner], "without what is repeated it is the learner's notebook"
    compared = [cell.source for cell in made.cells if "nbval-check-output" in chapters.tags(cell)]
    assert compared == [learner[place].source for place in (check, more, check, more, check_two, check_two)]


def test_ids_are_valid_unique_stable_and_local(course):
    before = chapters.notebook("01_tiny", True, course)
    nbformat.validate(before)
    ids = [cell.id for cell in before.cells]
    assert len(set(ids)) == len(ids), "the two equal cells need two ids"
    assert ids == [cell.id for cell in chapters.notebook("01_tiny", True, course).cells]
    edit(course / "lessons" / "01_tiny.py", "interval([])", "interval(())")
    changed = [old != cell.id for old, cell in zip(ids, chapters.notebook("01_tiny", True, course).cells, strict=True)]
    assert sum(changed) == 1 and before.cells[changed.index(True)].source == "evidence.paired_interval([])"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("# <!-- links -->", "# no links", "the first cell must be Markdown with the title and a line <!-- links -->"),
        ('tags=["live"]', 'tags=["alive"]', "tags must be among .*, got alive"),
        ("import math\n", "import math\nlimit = 3\n", "a solution cell may hold only functions and imports, got: limit = 3"),
        ('    "Return three times `x`."\n', "", "the solution triple needs a docstring"),
        ("# %%\nobject()", "# %%\n\n# %%\nobject()", "the cell is empty"),
        ("# %% [markdown]\n# ## Ex", '# %% [markdown] tags=["check"]\n# ## Ex', "Markdown without tags"),
    ],
)
def test_a_bad_lesson_is_refused_with_one_sentence(course, old, new, message):
    edit(course / "lessons" / "01_tiny.py", old, new)
    with pytest.raises(chapters.LessonError, match=message) as error:
        chapters.notebook("01_tiny", False, course)
    assert str(error.value).startswith("lessons/01_tiny.py") and "\n" not in str(error.value)


# --- built: executed, stored, compared ---


@pytest.mark.slow
def test_build_then_check(course, capsys):
    assert build_notebooks.main(["--check"], course) == 1
    assert "notebooks/01_tiny.ipynb: missing" in capsys.readouterr().err

    assert build_notebooks.main(["-j", "2"], course) == 0
    stored = {solved: (course / chapters.notebook_path("01_tiny", solved)) for solved in (False, True)}
    first = {solved: path.read_text() for solved, path in stored.items()}
    learner, solution = (nbformat.read(stored[solved], as_version=4) for solved in (False, True))
    outputs = [[o.get("text", o.get("evalue")) for o in c.outputs] for c in learner.cells if c.cell_type == "code"]
    assert ["[]\n"] in outputs, "the working directory is not empty"
    assert ["○ double: not solved yet\n"] in outputs
    assert ["✓ double\n"] in [[o.get("text") for o in c.outputs] for c in solution.cells if c.cell_type == "code"]
    assert "<object at 0x...>" in first[True]
    assert str(ROOT) not in first[True] and "kdcourse/evidence.py:" in first[True], "a traceback tells where this machine keeps its files"
    assert "execution" not in learner.cells[1].metadata and "version" not in learner.metadata.language_info
    state = learner.metadata.widgets["application/vnd.jupyter.widget-state+json"]["state"]
    view = learner.cells[-1].outputs[0].data["application/vnd.jupyter.widget-view+json"]
    assert state[view["model_id"]]["state"]["value"] == 3

    assert build_notebooks.main([], course) == 0
    assert {solved: path.read_text() for solved, path in stored.items()} == first, "two builds of one lesson differ"
    assert build_notebooks.main(["--check"], course) == 0
    capsys.readouterr()

    edit(stored[False], "import ipywidgets", "import ipywidgets as w")
    assert build_notebooks.main(["--check"], course) == 1
    assert "notebooks/01_tiny.ipynb: differs from its lesson, first in cell 12: import ipywidgets as w\n" in capsys.readouterr().err
    stored[False].write_text(first[False])

    edit(course / "lessons" / "01_tiny.py", "## Exercise: double it", "## Exercise: double it again")
    assert build_notebooks.main(["--check"], course) == 1
    assert capsys.readouterr().err.count("first in cell 4: ## Exercise: double it\n") == 2
    edit(course / "lessons" / "01_tiny.py", "## Exercise: double it again", "## Exercise: double it")

    edit(stored[True], '"execution_count": 2', '"execution_count": 9')
    assert build_notebooks.main(["--check"], course) == 1
    assert "not executed from top to bottom" in capsys.readouterr().err
    stored[True].write_text(first[True])

    (course / "notebooks" / "02_old.ipynb").write_text(first[True])
    assert build_notebooks.main(["--check"], course) == 1
    assert "notebooks/02_old.ipynb: has no lesson" in capsys.readouterr().err
    assert build_notebooks.main(["--tests"], course) == 1
    assert not (course / "build").exists(), "what does not come from its lesson is not tested"


@pytest.mark.slow
def test_one_execution_tests_what_both_notebooks_say(course, capsys):
    def nbval():
        assert build_notebooks.main(["--tests"], course) == 0
        tests = course / build_notebooks.TESTS
        command = [sys.executable, "-m", "pytest", "--rootdir", course, "-c", os.devnull, *NBVAL, tests]
        return [path.name for path in tests.iterdir()], subprocess.run(command, capture_output=True, text=True, check=False).stdout

    edit(course / "lessons" / "01_tiny.py", '"2 + 2"', '"2 + 2"\n    print("a number:", random.randint(1, 999))')
    assert build_notebooks.main(["-j", "2"], course) == 0
    old = course / build_notebooks.TESTS / "02_old.ipynb"
    old.parent.mkdir(parents=True)
    old.touch()
    tests, said = nbval()
    assert tests == ["01_tiny.ipynb"] and re.search(r"= 14 passed in", said), said
    edit(course / chapters.notebook_path("01_tiny", False), "○ double", "○ triple")
    edit(course / chapters.notebook_path("01_tiny", True), "✓ double", "✓ triple")
    said = nbval()[1]
    assert re.search(r"= 2 failed, 12 passed in", said), said
    assert all(f"{failed}: Cell outputs differ" in said for failed in ("Cell 4", "Cell 6")) and "○ triple" in said and "✓ triple" in said


@pytest.mark.slow
def test_a_failing_cell_stops_the_build_and_leaves_the_old_notebook(course, capsys):
    lesson = course / "lessons" / "01_tiny.py"
    lesson.write_text("# %% [markdown]\n# # T\n# <!-- links -->\n\n# %%\nanswer = 41 + 1\nassert answer == 43, 'off by one'\n")
    old = course / "notebooks" / "01_tiny.ipynb"
    old.parent.mkdir()
    old.write_text("old")
    assert build_notebooks.main([], course) == 1
    said = capsys.readouterr().err
    assert "notebooks/01_tiny.ipynb: this cell failed:\n\nanswer = 41 + 1\nassert answer == 43, 'off by one'\n" in said
    assert "AssertionError" in said and "off by one" in said
    assert old.read_text() == "old" and [p.name for p in old.parent.iterdir()] == ["01_tiny.ipynb"]


def test_build_of_an_unknown_lesson(course, capsys):
    assert build_notebooks.main(["02_none"], course) == 2
    assert capsys.readouterr().err == "SLUG must be one of 01_tiny, got 02_none\n"


# --- as commands ---


def test_the_scripts_run_as_commands(tmp_path):
    assert run_tool("build_notebooks.py", "no_such_lesson", cwd=tmp_path).returncode == 2


# --- links ---


def test_wrong_links_are_found(course):
    path = "notebooks/01_tiny.ipynb"
    (course / path).parent.mkdir()
    (course / path).touch()
    binder, colab = links.binder_url(path, course), links.colab_url(path, course)
    right = f"[![Open](https://mybinder.org/badge_logo.svg)]({binder}) <a href='{colab}'>Colab</a>"
    assert links.hosted_links(right) == [binder, colab]
    assert links.wrong_links(right, course) == []
    for old, new in (("main", "master"), ("01_tiny", "02_gone"), ("some-body", "nobody")):
        assert len(links.wrong_links(right.replace(old, new), course)) == 2


def test_only_github_can_be_linked_to(course):
    (course / "pyproject.toml").write_text('[project.urls]\nRepository = "https://example.org/x"\n')
    with pytest.raises(ValueError, match="must be https://github.com/<owner>/<name>, got 'https://example.org/x'"):
        links.colab_url("notebooks/01_tiny.ipynb", course)


def test_readme_links_to_notebooks_that_exist():
    readme = ROOT / "README.md"
    if not readme.is_file():
        pytest.skip("there is no README.md yet")
    assert links.wrong_links(readme.read_text(encoding="utf-8")) == []


def test_readme_is_moved_to_the_address_of_pyproject(tmp_path):
    (tmp_path / "pyproject.toml").write_text('[project.urls]\nRepository = "https://github.com/new-home/distil"\n')
    old = (
        "[a](https://colab.research.google.com/github/old/name/blob/main/notebooks/x.ipynb) "
        "[b](https://mybinder.org/v2/gh/old/name/main?labpath=notebooks%2Fx.ipynb) `git clone https://github.com/old/name`"
    )
    moved = links.readdressed(old, tmp_path)
    assert links.colab_url("notebooks/x.ipynb", tmp_path) in moved and links.binder_url("notebooks/x.ipynb", tmp_path) in moved
    assert "git clone https://github.com/new-home/distil`" in moved and "old" not in moved


def test_readme_has_the_present_address():
    text = (links.ROOT / "README.md").read_text(encoding="utf-8")
    assert links.readdressed(text) == text
    assert ("public address is not set yet" in text) == ("your_account" in links.repository()), "say so only as long as it holds"

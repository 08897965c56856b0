"""The notebook lint: what every notebook must be, read from the files without running them.

A rule is a function ``rule(notebook, path) -> [one sentence for each breach]``. Each has a notebook that breaks it below.
"""

import ast
import copy
import json
import re
from itertools import pairwise
from pathlib import Path

import experiment
import links
import nbformat
import pytest
from IPython.core.inputtransformer2 import TransformerManager
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from kdcourse import evidence, records
from lessons import tags

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted(p.relative_to(ROOT).as_posix() for folder in ("", "solutions") for p in (ROOT / "notebooks" / folder).glob("*.ipynb"))
PLACE = re.compile(r"(?<![\w.])(?:/(?:home|root|tmp|Users|opt|mnt|usr|var|content)/|[A-Z]:\\)")
WIDGET = "application/vnd.jupyter.widget-view+json"


def code(nb):
    return [cell for cell in nb.cells if cell.cell_type == "code"]


def prose(nb):
    return [cell for cell in nb.cells if cell.cell_type == "markdown"]


def outputs(nb):
    """Return (cell, output) pairs."""
    return [(cell, output) for cell in code(nb) for output in cell.outputs]


def parsed(cell):
    """Return the syntax tree of a code cell, magics included."""
    return ast.parse(TransformerManager().transform_cell(cell.source))


def first_line(cell):
    return cell.source.strip().partition("\n")[0]


def headings(nb):
    """Return (position of the cell, text) of every heading, with a plain apostrophe."""
    found = [(i, line) for i, cell in enumerate(nb.cells) if cell.cell_type == "markdown" for line in cell.source.splitlines()]
    return [(i, line.lstrip("# ").replace("’", "'")) for i, line in found if re.match(r"#{1,4} ", line)]


def words(nb):
    """Count the words of the prose: no code, formulas, link targets or markup."""
    text = "\n".join(cell.source for cell in prose(nb))
    text = re.sub(r"```.*?```|\$\$.*?\$\$|\$[^$\n]+\$|<[^>]*>|\]\([^)]*\)", " ", text, flags=re.S)
    return len(re.findall(r"[^\W\d_][\w'’-]*", text))


# --- the rules of every notebook ---


def no_error_outputs(nb, path):
    return [f"error in: {first_line(c)}" for c, o in outputs(nb) if o.output_type == "error" and "raises-exception" not in tags(c)]


def no_places_of_a_machine(nb, path):
    texts = [(first_line(cell), cell.source) for cell in nb.cells]
    for cell, output in outputs(nb):
        data = {mime: part for mime, part in output.get("data", {}).items() if not mime.startswith("image/")}
        texts.append((first_line(cell), json.dumps([data, output.get("text", ""), output.get("evalue", ""), output.get("traceback", "")])))
    for model in nb.metadata.get("widgets", {}).get("application/vnd.jupyter.widget-state+json", {}).get("state", {}).values():
        texts.append((f"widget {model['model_name']}", json.dumps(model["state"])))
    return [f"{PLACE.search(text).group()} in: {where}" for where, text in texts if PLACE.search(text)]


def no_long_cells(nb, path):
    return [f"{n} lines, 25 allowed: {first_line(c)}" for c in nb.cells if (n := len(c.source.splitlines())) > 25]


def pictures_have_alt_text(nb, path):
    found = []
    for cell, output in outputs(nb):
        for mime in output.get("data", {}):
            if mime.startswith("image/") and len(output.metadata.get(mime, {}).get("alt", "").strip()) < 30:
                found.append(f"a picture needs alt text of 30 characters or more: {first_line(cell)}")
    for page in [cell.source for cell in prose(nb)] + [output.get("data", {}).get("text/html", "") for _, output in outputs(nb)]:
        tagged = [tag for tag in re.findall(r"<img\b[^>]*>", page) if not re.search(r"""\balt=["'][^"']+""", tag)]
        found += [f"no alt text: {picture[:80]}" for picture in tagged + re.findall(r"!\[\s*\]\([^)]*\)", page)]
    return found


def links_open_this_notebook(nb, path):
    right = [links.colab_url(path), links.binder_url(path)]
    text = "\n".join(cell.source for cell in prose(nb))
    missing = [f"missing: {link}" for link in right if link not in links.hosted_links(nb.cells[0].source if nb.cells else "")]
    return missing + [f"not the link of {path}: {link}" for link in links.wrong_links(text, paths=[path])]


def file_is_small(nb, path):
    size = len(nbformat.writes(nb).encode())
    return [f"{size / 1000:.0f} kB, 500 kB allowed"] if size > 500_000 else []


def stubs_block_nothing(nb, path):
    """What a learner has not written yet is used only where it is checked."""
    own = {n.name for c in code(nb) if "solution" in tags(c) for n in parsed(c).body if isinstance(n, ast.FunctionDef)}
    others = [c for c in code(nb) if not {"solution", "check"} & set(tags(c))]
    used = [(c, n.id) for c in others for n in ast.walk(parsed(c)) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)]
    return [f"{name} is an exercise, use the package's version in: {first_line(c)}" for c, name in used if name in own]


# --- the anatomy of a chapter: notebooks 01 and up ---


def has_all_headings(nb, path):
    text = [heading.lower() for _, heading in headings(nb)]
    wanted = ("what you will be able to do", "what goes wrong", "interview corner", "summary", "what's next", "references")
    return [f"no heading: {name}" for name in wanted if not any(name in heading for heading in text)]


def opens_with_an_interview_question(nb, path):
    early = [c for c in nb.cells[:8] if c.cell_type == "markdown"]
    asked = any(re.search(r"^> .*\?", c.source, re.M) for c in early)
    return [] if asked else ["no question in a quotation (> ...?) among the first 8 cells"]


def asks_for_predictions(nb, path):
    count = sum(len(re.findall(r"\*\*Predict first", cell.source)) for cell in prose(nb))
    return [] if count >= 2 else [f"**Predict first.** at least twice, found {count}"]


def tells_its_length_and_what_to_notice(nb, path):
    found = [] if re.search(r"minutes to read.* to run", nb.cells[0].source) else ["the title must tell the minutes to read and to run"]
    return found + ([] if any("**What to notice.**" in c.source for c in prose(nb)) else ["no **What to notice.**"])


def has_a_widget(nb, path):
    return [] if any(WIDGET in output.get("data", {}) for _, output in outputs(nb)) else ["no cell shows a widget"]


def shows_its_records(nb, path):
    source = "\n".join(cell.source for cell in code(nb))
    names = [n for cell in code(nb) if "experiment" in tags(cell) for n in experiment.marked(cell.source)]
    return [f"no records.load({name!r})" for name in names if not re.search(rf"""records\.load\(["']{name}["']\)""", source)] or (
        [] if names else ["no experiment"]
    )


def has_exercises_with_checks(nb, path):
    starts = [i for i, heading in headings(nb) if heading.lower().startswith("exercise ") or heading.lower().startswith("exercise:")]
    found = [] if len(starts) in (2, 3) else [f"2 or 3 exercises, found {len(starts)}"]
    for start, end in pairwise([*starts, len(nb.cells)]):
        order = [tag for cell in nb.cells[start:end] for tag in tags(cell) if tag in ("solution", "check")]
        if order[:1] != ["solution"] or "check" not in order:
            found.append(f"an exercise needs a solution cell and then a check cell: {first_line(nb.cells[start])}")
    return found


def has_a_quiz(nb, path):
    return [] if any("quiz.show(" in cell.source for cell in code(nb)) else ["no quiz.show(...)"]


def has_a_whole_interview_corner(nb, path):
    start = next((i for i, heading in headings(nb) if "interview corner" in heading.lower()), len(nb.cells))
    text = "\n".join(cell.source for cell in nb.cells[start:] if cell.cell_type == "markdown")
    parts = ("*In 30 seconds.*", "*In 3 minutes.*", "*Follow-up.*", "*Common wrong answer.*", "*See it hold:*")
    return [f"the interview corner has no {part}" for part in parts if part not in text]


def has_the_length_of_a_chapter(nb, path):
    found = [] if 40 <= len(nb.cells) <= 80 else [f"40 to 80 cells, found {len(nb.cells)}"]
    return found + ([] if 1500 <= words(nb) <= 2800 else [f"1,500 to 2,800 words of prose, found {words(nb)}"])


def tables_are_those_of_the_records(nb, path):
    """What a notebook shows of a record is what the record says today."""
    found = []
    for cell in code(nb):
        shown = "".join(o.get("text", "") for o in cell.outputs)
        for name in re.findall(r"""records\.load\(["'](\w+)["']\)""", cell.source):
            if "evidence.table(" in cell.source and name in records.names() and evidence.table(records.load(name)) not in shown:
                found.append(f"not the table of the record {name} as it is today: build the notebook again")
    return found


RULES = [
    no_error_outputs, no_places_of_a_machine, no_long_cells, pictures_have_alt_text,
    links_open_this_notebook, file_is_small, stubs_block_nothing, tables_are_those_of_the_records,
]  # fmt: skip
CHAPTER_RULES = [
    has_all_headings, opens_with_an_interview_question, asks_for_predictions, has_a_widget, shows_its_records,
    tells_its_length_and_what_to_notice, has_exercises_with_checks, has_a_quiz, has_a_whole_interview_corner, has_the_length_of_a_chapter,
]  # fmt: skip


@pytest.mark.parametrize("rule", RULES + CHAPTER_RULES, ids=lambda rule: rule.__name__)
@pytest.mark.parametrize("path", NOTEBOOKS)
def test_notebook(path, rule):
    if rule in CHAPTER_RULES and Path(path).name.startswith("00"):
        return
    assert rule(nbformat.read(ROOT / path, as_version=4), path) == []


def stale_records(root):
    """Return the experiments whose record was made by cells that the page no longer shows."""
    return [name for name, found in experiment.find_all(root).items() if experiment.status(found, root) == "stale"]


def test_records_come_from_the_cells_on_the_page():
    assert stale_records(ROOT) == []


# --- each rule can fail ---

PATH = "notebooks/01_good.ipynb"
OPEN = f"[![Open in Colab](c.svg)]({links.colab_url(PATH)})\n[![Open in Binder](b.svg)]({links.binder_url(PATH)})"
TITLE = f"# Good\n\nAbout 10 minutes to read, 1 to run.\n\n{OPEN}"
STUB = 'def half(x):\n    """Return half of x."""\n    raise quiz.NotSolved'
EXPERIMENT = '@evidence.experiment("accuracy", [("a", "b")])\ndef toy(seed):\n    return {"a": 1, "b": 0}'
CORNER = "## Interview corner\n*In 30 seconds.* *In 3 minutes.* *Follow-up.* *Common wrong answer.* *See it hold:*"
ALT = {"image/png": {"alt": "A bar chart: the student wins on all ten digits."}}
HEADINGS = ("What you will", "What goes", "Interview", "Summary", "What’s", "References")
PICTURE = new_output("display_data", {"image/png": "aGVsbG8=", "text/plain": "<Figure>"}, metadata=ALT)


def tagged(source, *names, **more):
    return new_code_cell(source, metadata={"tags": list(names)}, **more)


def good_chapter():
    exercise = [tagged(STUB, "solution"), tagged('with quiz.check("half"):\n    assert half(2) == 1', "check")]
    said = [TITLE, "## What you will be able to do\n> **Why half?**", "**Predict first.** A", "**Predict first.** B"]
    said += ["**What to notice.** C", "## What goes wrong"]
    return new_notebook(
        cells=[
            *map(new_markdown_cell, said),
            new_code_cell("%matplotlib inline\nslider", outputs=[new_output("display_data", {WIDGET: {"model_id": "1"}})]),
            tagged(EXPERIMENT, "experiment"),
            new_code_cell('records.load("toy")', outputs=[new_output("stream", text="fine: https://example.org/home/tmp/"), PICTURE]),
            tagged("1 / 0", "raises-exception", outputs=[new_output("error", ename="ZeroDivisionError", evalue="0", traceback=["0"])]),
            *[cell for n in "12" for cell in (new_markdown_cell(f"### Exercise {n}: half"), *copy.deepcopy(exercise))],
            new_code_cell('quiz.show("good")'),
            *map(new_markdown_cell, [CORNER, "## Summary", "## What’s next", "## References"]),
            *[new_markdown_cell("word " * 80) for _ in range(21)],
        ]
    )


@pytest.mark.parametrize("rule", RULES + CHAPTER_RULES, ids=lambda rule: rule.__name__)
def test_a_good_chapter_passes(rule):
    assert rule(good_chapter(), PATH) == []


def add(cell):
    return lambda nb: nb.cells.append(cell)


def swap(old, new):
    """Return an edit of all sources; it must change something."""

    def edit(nb):
        assert any(old in cell.source for cell in nb.cells), old
        for cell in nb.cells:
            cell.source = cell.source.replace(old, new)

    return edit


def printed(**output):
    return add(new_code_cell("x", outputs=[new_output(**output)]))


def drop_outputs(nb):
    for cell in code(nb):
        cell.outputs = []


def short_alt(nb):
    picture = next(output for _, output in outputs(nb) if "image/png" in output.get("data", {}))
    picture.metadata["image/png"]["alt"] = "A chart."


def stray_widget(nb):
    model = {"model_name": "LabelModel", "state": {"value": "read /home/someone/x"}}
    nb.metadata["widgets"] = {"application/vnd.jupyter.widget-state+json": {"state": {"1": model}}}


BAD = [
    (no_error_outputs, printed(output_type="error", ename="E", evalue="", traceback=[])),
    (no_places_of_a_machine, add(new_markdown_cell("look into /home/someone/file"))),
    (no_places_of_a_machine, add(new_code_cell("open('C:\\\\data')"))),
    (no_places_of_a_machine, printed(output_type="stream", text="saved in '/tmp/x'")),
    (no_places_of_a_machine, printed(output_type="display_data", data={"text/html": "<b>/Users/me/</b>"})),
    (no_places_of_a_machine, stray_widget),
    (no_long_cells, add(new_code_cell("x\n" * 26))),
    (no_long_cells, add(new_markdown_cell("x\n" * 26))),
    (pictures_have_alt_text, printed(output_type="display_data", data={"image/png": "aGVsbG8="})),
    (pictures_have_alt_text, short_alt),
    (pictures_have_alt_text, printed(output_type="display_data", data={"text/html": "<img src='a.png' alt=''>"})),
    (pictures_have_alt_text, add(new_markdown_cell("![](a.png)"))),
    (links_open_this_notebook, swap("01_good", "02_other")),
    (links_open_this_notebook, add(new_markdown_cell(f"[here]({links.colab_url('notebooks/02_other.ipynb')})"))),
    (links_open_this_notebook, lambda nb: nb.cells.pop(0)),
    (file_is_small, printed(output_type="stream", text="x" * 500_000)),
    (tables_are_those_of_the_records, add(new_code_cell('print(evidence.table(records.load("all_labels")))'))),
    (stubs_block_nothing, add(new_code_cell("for i in range(3):\n    print(half(i))"))),
    *[(has_all_headings, swap(f"## {name}", "")) for name in HEADINGS],
    (opens_with_an_interview_question, swap("> **Why half?**", "Why half?")),
    (asks_for_predictions, swap("**Predict first.** B", "B")),
    (has_a_widget, drop_outputs),
    (tells_its_length_and_what_to_notice, swap("minutes to read", "minutes")),
    (tells_its_length_and_what_to_notice, swap("**What to notice.** C", "C")),
    (shows_its_records, swap('records.load("toy")', 'records.load("other")')),
    (shows_its_records, swap("@evidence.experiment", "@something")),
    (has_exercises_with_checks, swap("Exercise 2", "Section")),
    (has_exercises_with_checks, swap("Exercise ", "Section ")),
    (has_exercises_with_checks, lambda nb: [cell.metadata.update(tags=[]) for cell in code(nb) if "check" in tags(cell)]),
    (has_exercises_with_checks, lambda nb: [cell.metadata.update(tags=[]) for cell in code(nb) if "solution" in tags(cell)]),
    (has_a_quiz, swap("quiz.show", "quiz.load")),
    *[(has_a_whole_interview_corner, swap(part, "")) for part in CORNER.partition("\n")[2].replace("* *", "*|*").split("|")],
    (has_the_length_of_a_chapter, swap("word " * 80, "word " * 40)),
    (has_the_length_of_a_chapter, swap("word " * 80, "word " * 150)),
    (has_the_length_of_a_chapter, swap("word " * 80, "$w$ [](word) `w` <b> " * 40)),
    (has_the_length_of_a_chapter, lambda nb: [nb.cells.pop() for _ in range(4)] + [add(new_markdown_cell("word " * 400))(nb)]),
]


@pytest.mark.parametrize(("rule", "spoil"), BAD, ids=lambda value: getattr(value, "__name__", "spoil"))
def test_each_rule_catches_its_bad_notebook(rule, spoil):
    notebook = good_chapter()
    spoil(notebook)
    assert rule(notebook, PATH) != []


def test_every_rule_has_a_bad_notebook():
    assert {rule for rule, _ in BAD} == set(RULES + CHAPTER_RULES)


def test_a_stale_record_is_caught(tmp_path):
    for folder in ("lessons", "data/experiments"):
        (tmp_path / folder).mkdir(parents=True)
    lesson = tmp_path / "lessons" / "01_toy.py"
    lesson.write_text(f'# %% [markdown]\n# # T\n# <!-- links -->\n\n# %% tags=["experiment"]\n{EXPERIMENT}\n')
    assert stale_records(tmp_path) == []
    record = {"source_sha256": experiment.find_all(tmp_path)["toy"].sha256}
    (tmp_path / "data" / "experiments" / "toy.json").write_text(json.dumps(record))
    assert stale_records(tmp_path) == []
    lesson.write_text(lesson.read_text().replace('"a": 1', '"a": 2'))
    assert stale_records(tmp_path) == ["toy"]

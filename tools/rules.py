"""The rules of notebooks, read from the stored files without running them: ``python tools/rules.py [SLUG ...]`` prints each breach.

A rule is a function ``rule(notebook, path) -> [one sentence for each breach]``. `RULES` hold for every notebook, `CHAPTER_RULES` for
chapters, that is from 01 on. `path` is relative to the repository, with ``/``.
"""

import argparse
import ast
import functools
import json
import re
import symtable
import sys
from itertools import pairwise
from pathlib import Path

import experiment
import links
import nbformat
from chapters import ROOT, notebook_path, slugs, tags
from IPython.core.inputtransformer2 import TransformerManager

from kdcourse import evidence

# What a page says, where a rule looks for it: the one place to change when the pages speak another language.
HEADINGS = ("what you will be able to do", "what goes wrong", "interview corner", "summary", "what's next", "references")
EXERCISE = ("exercise ", "exercise:")  # how the heading of an exercise begins
CORNER = "interview corner"
CORNER_PARTS = ("*In 30 seconds.*", "*In 3 minutes.*", "*Follow-up.*", "*Common wrong answer.*", "*See it hold:*")
PREDICTION = "**Predict first"
NOTICE = "**What to notice.**"
LENGTH = r"minutes to read.* to run"  # in the title cell

MOST_LINES = 25
MOST_BYTES = 500_000
CELLS = (40, 80)
WORDS = (1500, 2800)
EXERCISES = (2, 3)
ALT_CHARACTERS = 30
LOADS = re.compile(r"""\b(?:evidence|records)\.load\(["'](\w+)["']\)""")
PLACE = re.compile(r"(?<![\w.])(?:/(?:home|root|tmp|Users|opt|mnt|usr|var|content)/|[A-Z]:\\)")
WIDGET = "application/vnd.jupyter.widget-view+json"
WIDGETS = "application/vnd.jupyter.widget-state+json"


@functools.cache
def read(path: str, root: Path = ROOT):
    """Return a stored notebook, read and validated once for all rules; nobody may change it."""
    return nbformat.read(root / path, as_version=4)


def stored(root: Path = ROOT, names: list[str] | None = None) -> list[str]:
    """Return the paths of the notebooks that exist, learner's and solved, of the lessons `names` (default: all)."""
    paths = [notebook_path(slug, solved) for solved in (False, True) for slug in (slugs(root) if names is None else names)]
    return [path for path in paths if (root / path).is_file()]


def code(nb) -> list:
    """Return the code cells."""
    return [cell for cell in nb.cells if cell.cell_type == "code"]


def prose(nb) -> list:
    """Return the Markdown cells."""
    return [cell for cell in nb.cells if cell.cell_type == "markdown"]


def outputs(nb) -> list[tuple]:
    """Return (cell, output) pairs."""
    return [(cell, output) for cell in code(nb) for output in cell.outputs]


@functools.cache
def _plain(source: str) -> str:
    """Return the source of a code cell as Python, without magics."""
    return TransformerManager().transform_cell(source)


@functools.cache
def _parsed(source: str) -> ast.Module:
    return ast.parse(_plain(source))


def _bound_and_read(source: str) -> tuple[set[str], set[str]]:
    """Return the notebook's names that a cell binds and those that it reads, in its functions too; their own variables do not count."""
    top = symtable.symtable(_plain(source), "cell", "exec")
    bound = {symbol.get_name() for symbol in top.get_symbols() if symbol.is_assigned() or symbol.is_imported()}
    seen = {symbol.get_name() for symbol in top.get_symbols() if symbol.is_referenced()}
    inner = top.get_children()
    while inner:
        table = inner.pop()
        inner += table.get_children()
        seen |= {symbol.get_name() for symbol in table.get_symbols() if symbol.is_global() and symbol.is_referenced()}
    return bound, seen


def _first_line(cell) -> str:
    return cell.source.strip().partition("\n")[0]


def headings(nb) -> list[tuple[int, str]]:
    """Return (position of the cell, text) of every heading, with a plain apostrophe."""
    found = [(i, line) for i, cell in enumerate(nb.cells) if cell.cell_type == "markdown" for line in cell.source.splitlines()]
    return [(i, line.lstrip("# ").replace("’", "'")) for i, line in found if re.match(r"#{1,4} ", line)]


def words(nb) -> int:
    """Count the words of the prose: no code, formulas, link targets or markup."""
    text = "\n".join(cell.source for cell in prose(nb))
    text = re.sub(r"```.*?```|\$\$.*?\$\$|\$[^$\n]+\$|<[^>]*>|\]\([^)]*\)", " ", text, flags=re.S)
    return len(re.findall(r"[^\W\d_][\w'’-]*", text))


# --- the rules of every notebook ---


def no_error_outputs(nb, path):
    """No cell shows a traceback, except one that fails on purpose."""
    return [f"error in: {_first_line(c)}" for c, o in outputs(nb) if o.output_type == "error" and "raises-exception" not in tags(c)]


def no_places_of_a_machine(nb, path):
    """No source, output or widget tells where files lie on the author's machine."""
    texts = [(_first_line(cell), cell.source) for cell in nb.cells]
    for cell, output in outputs(nb):
        data = {mime: part for mime, part in output.get("data", {}).items() if not mime.startswith("image/")}
        texts.append((_first_line(cell), json.dumps([data, output.get("text", ""), output.get("evalue", ""), output.get("traceback", "")])))
    for model in nb.metadata.get("widgets", {}).get(WIDGETS, {}).get("state", {}).values():
        texts.append((f"widget {model['model_name']}", json.dumps(model["state"])))
    return [f"{PLACE.search(text).group()} in: {where}" for where, text in texts if PLACE.search(text)]


def no_long_cells(nb, path):
    """A cell can be seen whole."""
    lengths = [(len(c.source.splitlines()), c) for c in nb.cells]
    return [f"{n} lines, {MOST_LINES} allowed: {_first_line(c)}" for n, c in lengths if n > MOST_LINES]


def pictures_have_alt_text(nb, path):
    """Every picture says what it shows: in its metadata, its tag or its brackets."""
    found = []
    for cell, output in outputs(nb):
        for mime in output.get("data", {}):
            if mime.startswith("image/") and len(output.metadata.get(mime, {}).get("alt", "").strip()) < ALT_CHARACTERS:
                found.append(f"a picture needs alt text of {ALT_CHARACTERS} characters or more: {_first_line(cell)}")
    for page in [cell.source for cell in prose(nb)] + [output.get("data", {}).get("text/html", "") for _, output in outputs(nb)]:
        tagged = [tag for tag in re.findall(r"<img\b[^>]*>", page) if not re.search(r"""\balt=["'][^"']+""", tag)]
        found += [f"no alt text: {picture[:80]}" for picture in tagged + re.findall(r"!\[\s*\]\([^)]*\)", page)]
    return found


def links_open_this_notebook(nb, path):
    """The badges open this very notebook, and no other link to Colab or Binder is on the page."""
    right = [links.colab_url(path), links.binder_url(path)]
    text = "\n".join(cell.source for cell in prose(nb))
    missing = [f"missing: {link}" for link in right if link not in links.hosted_links(nb.cells[0].source if nb.cells else "")]
    return missing + [f"not the link of {path}: {link}" for link in links.wrong_links(text, paths=[path])]


def file_is_small(nb, path):
    """GitHub shows the notebook, and a phone loads it."""
    size = len(nbformat.writes(nb).encode())
    return [f"{size / 1000:.0f} kB, {MOST_BYTES / 1000:.0f} kB allowed"] if size > MOST_BYTES else []


def stubs_block_nothing(nb, path):
    """What a learner has not written yet is used only where it is checked."""
    own = {n.name for c in code(nb) if "solution" in tags(c) for n in _parsed(c.source).body if isinstance(n, ast.FunctionDef)}
    others = [c for c in code(nb) if not {"solution", "check"} & set(tags(c))]
    used = [(c, n.id) for c in others for n in ast.walk(_parsed(c.source)) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)]
    return [f"{name} is an exercise, use the package's version in: {_first_line(c)}" for c, name in used if name in own]


def checks_leave_nothing(nb, path):
    """What a check binds is read by no later cell: the solved notebook would have it, the learner's would not."""
    left, found = set(), []
    for cell in code(nb):
        bound, seen = _bound_and_read(cell.source)
        if "check" in tags(cell):
            left |= bound
        elif "solution" not in tags(cell):
            found += [f"{name} was bound by a check above, bind it here: {_first_line(cell)}" for name in sorted((seen & left) - bound)]
            left -= bound
    return found


def checks_say_how_it_stands(nb, path):
    """A check waits in the learner's notebook and passes in the solved one: one that never calls its exercise would pass in both."""
    found, solved = [], path.startswith(notebook_path("", True).rpartition("/")[0])
    for cell in code(nb):
        if "check" in tags(cell):
            said = "".join(output.get("text", "") for output in cell.outputs).splitlines()
            calls = [n for n in ast.walk(_parsed(cell.source)) if isinstance(n, ast.Call) and ast.unparse(n.func) == "quiz.check"]
            titles = [call.args[0].value for call in calls if call.args and isinstance(call.args[0], ast.Constant)]
            wanted = [f"✓ {title}" if solved else f"○ {title}: not solved yet" for title in titles]
            found += [f"a check cell must print {line!r}: {_first_line(cell)}" for line in wanted if line not in said]
            found += [] if wanted else [f'a check cell needs quiz.check("title"): {_first_line(cell)}']
    return found


def tables_are_those_of_the_records(nb, path):
    """What a notebook shows of a record is what the record says today."""
    found = []
    for cell in code(nb):
        shown = "".join(["\n", *(o.get("text", "") + o.get("data", {}).get("text/plain", "") + "\n" for o in cell.outputs)])
        for name in set(LOADS.findall(cell.source)) & set(evidence.names()):
            begun = "evidence.table(" in cell.source or f"\n{name}: " in shown  # a record that is shown shows its table
            if begun and evidence.table(evidence.load(name)) not in shown:
                found.append(f"not the table of the record {name} as it is today: build the notebook again")
    return found


# --- the anatomy of a chapter: notebooks 01 and up ---


def has_all_headings(nb, path):
    """The parts that every chapter has."""
    text = [heading.lower() for _, heading in headings(nb)]
    return [f"no heading: {name}" for name in HEADINGS if not any(name in heading for heading in text)]


def opens_with_an_interview_question(nb, path):
    """The question that the chapter answers stands at its beginning."""
    early = [c for c in nb.cells[:8] if c.cell_type == "markdown"]
    asked = any(re.search(r"^> .*\?", c.source, re.M) for c in early)
    return [] if asked else ["no question in a quotation (> ...?) among the first 8 cells"]


def asks_for_predictions(nb, path):
    """The reader predicts before the page tells."""
    count = sum(cell.source.count(PREDICTION) for cell in prose(nb))
    return [] if count >= 2 else [f"{PREDICTION}.** at least twice, found {count}"]


def tells_its_length_and_what_to_notice(nb, path):
    """The reader knows how long it takes, and where to look."""
    found = [] if re.search(LENGTH, nb.cells[0].source) else ["the title must tell the minutes to read and to run"]
    return found + ([] if any(NOTICE in c.source for c in prose(nb)) else [f"no {NOTICE}"])


def has_a_widget(nb, path):
    """There is something to move."""
    return [] if any(WIDGET in output.get("data", {}) for _, output in outputs(nb)) else ["no cell shows a widget"]


def shows_its_records(nb, path):
    """An experiment on the page is shown on the page."""
    loaded = {name for cell in code(nb) for name in LOADS.findall(cell.source)}
    names = [n for cell in code(nb) if "experiment" in tags(cell) for n in experiment.marked(cell.source)]
    return [f"no evidence.load({name!r})" for name in names if name not in loaded] if names else ["no experiment"]


def has_exercises_with_checks(nb, path):
    """The learner writes something, and is told whether it holds."""
    starts = [i for i, heading in headings(nb) if heading.lower().startswith(EXERCISE)]
    found = [] if len(starts) in EXERCISES else [f"{' or '.join(map(str, EXERCISES))} exercises, found {len(starts)}"]
    for start, end in pairwise([*starts, len(nb.cells)]):
        order = [tag for cell in nb.cells[start:end] for tag in tags(cell) if tag in ("solution", "check")]
        if order[:1] != ["solution"] or "check" not in order:
            found.append(f"an exercise needs a solution cell and then a check cell: {_first_line(nb.cells[start])}")
    return found


def has_a_quiz(nb, path):
    """The chapter asks back."""
    return [] if any("quiz.show(" in cell.source for cell in code(nb)) else ["no quiz.show(...)"]


def has_a_whole_interview_corner(nb, path):
    """Short answer, long answer, what is asked next, what is often said wrongly, and where the page shows it."""
    start = next((i for i, heading in headings(nb) if CORNER in heading.lower()), len(nb.cells))
    text = "\n".join(cell.source for cell in nb.cells[start:] if cell.cell_type == "markdown")
    return [f"the interview corner has no {part}" for part in CORNER_PARTS if part not in text]


def has_the_length_of_a_chapter(nb, path):
    """One sitting."""
    found = [] if CELLS[0] <= len(nb.cells) <= CELLS[1] else [f"{CELLS[0]} to {CELLS[1]} cells, found {len(nb.cells)}"]
    return found + ([] if WORDS[0] <= words(nb) <= WORDS[1] else [f"{WORDS[0]:,} to {WORDS[1]:,} words of prose, found {words(nb)}"])


RULES = [
    no_error_outputs, no_places_of_a_machine, no_long_cells, pictures_have_alt_text, links_open_this_notebook, file_is_small,
    stubs_block_nothing, checks_leave_nothing, checks_say_how_it_stands, tables_are_those_of_the_records,
]  # fmt: skip
CHAPTER_RULES = [
    has_all_headings, opens_with_an_interview_question, asks_for_predictions, has_a_widget, shows_its_records,
    tells_its_length_and_what_to_notice, has_exercises_with_checks, has_a_quiz, has_a_whole_interview_corner, has_the_length_of_a_chapter,
]  # fmt: skip


def rules_of(path: str) -> list:
    """Return the rules that hold for the notebook `path`: 00 is no chapter."""
    return RULES if Path(path).name.startswith("00") else RULES + CHAPTER_RULES


def stale_records(root: Path = ROOT, names: list[str] | None = None) -> list[str]:
    """Return the experiments (of the lessons `names`; default: all) whose record was made by cells that the page no longer shows."""
    wanted = [found for found in experiment.find_all(root).values() if names is None or found.lesson in names]
    return [found.name for found in wanted if experiment.status(found, root) == "stale"]


def main(arguments: list[str] | None = None, root: Path = ROOT) -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("slug", nargs="*", help="lessons whose notebooks are looked at, for example 01_soft_labels (default: all)")
    names = parser.parse_args(arguments).slug or slugs(root)
    unknown = [slug for slug in names if slug not in slugs(root)]
    if unknown:
        print(f"SLUG must be one of {', '.join(slugs(root))}, got {', '.join(unknown)}", file=sys.stderr)
        return 2
    paths = stored(root, names)
    found = [f"{path}: {rule.__name__}: {breach}" for path in paths for rule in rules_of(path) for breach in rule(read(path, root), path)]
    found += [f"{name}: the code on the page has changed since its record was made" for name in stale_records(root, names)]
    if found:
        print("\n".join(found), file=sys.stderr)
    else:
        print(f"notebooks looked at: {len(paths)}; no rule is broken")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())

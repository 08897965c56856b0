"""The rules of notebooks, read from the stored files without running them: ``python tools/rules.py [SLUG ...]`` prints each breach.

A rule is a function ``rule(notebook, path) -> [one sentence for each breach]``; `path` is relative to the repository, with ``/``.
`RULES` hold for every notebook, `CHAPTER_RULES` for chapters, that is from 01 on. Notebooks that declare no edition are of the first, and
`FIRST_EDITION` and `FIRST_CHAPTER_RULES` hold for them; those of the second are in tools/rules_second.py. How easily each page reads is
printed in any case.
"""

import argparse
import ast
import json
import re
import symtable
import sys
from html import unescape
from itertools import pairwise
from pathlib import Path

import experiment
import glossary
import links
import nbformat
import page
import rules_second
from chapters import ROOT, slugs, tags
from page import at, code, headings, outputs, parsed, plain, prose

from kdcourse import evidence

MOST_LINES = 25
MOST_BYTES = 500_000
CELLS = (40, 80)
WORDS = (1500, 2800)
EXERCISES = (2, 3)
ALT_CHARACTERS = 30
LOADS = re.compile(r"""\b(?:evidence|records)\.load\(["'](\w+)["']\)""")
PLACE = re.compile(r"(?<![\w.])(?:/(?:home|root|tmp|Users|opt|mnt|usr|var|content)/|[A-Z]:\\)")
ENCODED = re.compile(r"base64,[\w+/=]+")  # the bytes of a picture, in which anything may stand
WIDGETS = "application/vnd.jupyter.widget-state+json"


def _bound_and_read(source: str) -> tuple[set[str], set[str]]:
    """Return the notebook's names that a cell binds and those that it reads, in its functions too; their own variables do not count."""
    top = symtable.symtable(plain(source), "cell", "exec")
    bound = {symbol.get_name() for symbol in top.get_symbols() if symbol.is_assigned() or symbol.is_imported()}
    seen = {symbol.get_name() for symbol in top.get_symbols() if symbol.is_referenced()}
    inner = top.get_children()
    while inner:
        table = inner.pop()
        inner += table.get_children()
        seen |= {symbol.get_name() for symbol in table.get_symbols() if symbol.is_global() and symbol.is_referenced()}
    return bound, seen


# --- the rules of every notebook ---


def no_error_outputs(nb, path):
    """No cell shows a traceback, except one that fails on purpose."""
    return [f"{at(nb, c)}: an error" for c, o in outputs(nb) if o.output_type == "error" and "raises-exception" not in tags(c)]


def no_places_of_a_machine(nb, path):
    """No source, output or widget tells where files lie on the author's machine."""
    texts = [(at(nb, cell), cell.source) for cell in nb.cells]
    for cell, output in outputs(nb):
        data = {mime: part for mime, part in output.get("data", {}).items() if not mime.startswith("image/")}
        texts.append((at(nb, cell), json.dumps([data, output.get("text", ""), output.get("evalue", ""), output.get("traceback", "")])))
    for model in nb.metadata.get("widgets", {}).get(WIDGETS, {}).get("state", {}).values():
        texts.append((f"widget {model['model_name']}", json.dumps(model["state"])))
    found = [(where, PLACE.search(ENCODED.sub("", text))) for where, text in texts]
    return [f"{where}: {place.group()}" for where, place in found if place]


def no_long_cells(nb, path):
    """A cell can be seen whole."""
    lengths = [(len(c.source.splitlines()), c) for c in nb.cells]
    return [f"{at(nb, c)}: {n} lines, {MOST_LINES} allowed" for n, c in lengths if n > MOST_LINES]


def pictures_have_alt_text(nb, path):
    """Every picture says what it shows: in its tag, its metadata or its brackets. What a cell shows has a sentence."""
    found = []
    for cell, output in outputs(nb):
        data = output.get("data", {})
        told = [output.metadata.get(mime, {}).get("alt", "") for mime in data if mime.startswith("image/")]
        told += _alt_texts(data.get("text/html", ""))
        short = [text for text in told if len(text.strip()) < ALT_CHARACTERS]
        found += [f"{at(nb, cell)}: a picture needs alt text of {ALT_CHARACTERS} characters or more, got {text!r}" for text in short]
    for cell in prose(nb):
        told = _alt_texts(cell.source) + re.findall(r"!\[([^\]]*)\]\([^)]*\)", cell.source)
        found += [f"{at(nb, cell)}: a picture without alt text" for text in told if not text.strip()]
    return found


def _alt_texts(html: str) -> list[str]:
    """Return the alt text of each ``<img>``, "" for one without."""
    tagged = [re.search(r"""\salt=(?:"([^"]*)"|'([^']*)')""", tag) for tag in re.findall(r"<img\b[^>]*>", html)]
    return [unescape(found[1] or found[2] or "") if found else "" for found in tagged]


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
    own = {n.name for c in code(nb) if "solution" in tags(c) for n in parsed(c.source).body if isinstance(n, ast.FunctionDef)}
    others = [c for c in code(nb) if not {"solution", "check"} & set(tags(c))]
    used = [(c, n.id) for c in others for n in ast.walk(parsed(c.source)) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)]
    return [f"{at(nb, c)}: {name} is an exercise, use the package's version" for c, name in used if name in own]


def checks_leave_nothing(nb, path):
    """What a check binds is read by no later cell: the solved notebook would have it, the learner's would not."""
    left, found = set(), []
    for cell in code(nb):
        bound, seen = _bound_and_read(cell.source)
        if "check" in tags(cell):
            left |= bound
        elif "solution" not in tags(cell):
            found += [f"{at(nb, cell)}: {name} was bound by a check above, bind it here" for name in sorted((seen & left) - bound)]
            left -= bound
    return found


def checks_say_how_it_stands(nb, path):
    """A check waits in the learner's notebook and passes in the solved one: one that never calls its exercise would pass in both."""
    found, solved = [], page.is_solved(path)
    for cell in code(nb):
        if "check" in tags(cell):
            said = "".join(output.get("text", "") for output in cell.outputs).splitlines()
            calls = [n for n in ast.walk(parsed(cell.source)) if isinstance(n, ast.Call) and ast.unparse(n.func) == "quiz.check"]
            titles = [call.args[0].value for call in calls if call.args and isinstance(call.args[0], ast.Constant)]
            wanted = [f"✓ {title}" if solved else f"○ {title}: not solved yet" for title in titles]
            found += [f"{at(nb, cell)}: a check cell must print {line!r}" for line in wanted if line not in said]
            found += [] if wanted else [f'{at(nb, cell)}: a check cell needs quiz.check("title")']
    return found


def tables_are_those_of_the_records(nb, path):
    """What a notebook shows of a record is what the record says today."""
    found = []
    for cell in code(nb):
        shown = "".join(["\n", *(o.get("text", "") + o.get("data", {}).get("text/plain", "") + "\n" for o in cell.outputs)])
        for name in set(LOADS.findall(cell.source)) & set(evidence.names()):
            begun = "evidence.table(" in cell.source or f"\n{name}: " in shown  # a record that is shown shows its table
            if begun and evidence.table(evidence.load(name)) not in shown:
                found.append(f"{at(nb, cell)}: not the table of the record {name} as it is today, build the notebook again")
    return found


# --- the anatomy of a chapter ---


def has_all_headings(nb, path):
    """The parts that every chapter has."""
    text = [heading.lower() for _, heading in headings(nb)]
    return [f"no heading: {name}" for name in page.HEADINGS if not any(name in heading for heading in text)]


def opens_with_an_interview_question(nb, path):
    """The question that the chapter answers stands at its beginning."""
    early = [c for c in nb.cells[:page.BEGINNING] if c.cell_type == "markdown"]
    asked = any(re.search(r"^> .*\?", c.source, re.M) for c in early)
    return [] if asked else [f"no question in a quotation (> ...?) among the first {page.BEGINNING} cells"]


def tells_its_length(nb, path):
    """The reader knows how long it takes."""
    return [] if re.search(page.LENGTH, nb.cells[0].source) else ["the title must tell the minutes to read and to run"]


def has_a_widget(nb, path):
    """There is something to move."""
    return [] if any(page.WIDGET in output.get("data", {}) for _, output in outputs(nb)) else ["no cell shows a widget"]


def has_an_experiment(nb, path):
    """Something is claimed, and tested."""
    return [] if any("experiment" in tags(cell) and experiment.marked(cell.source) for cell in code(nb)) else ["no experiment"]


def shows_its_records(nb, path):
    """An experiment on the page is shown on the page."""
    loaded = {name for cell in code(nb) for name in LOADS.findall(cell.source)}
    marked = [(cell, name) for cell in code(nb) if "experiment" in tags(cell) for name in experiment.marked(cell.source)]
    return [f"{at(nb, cell)}: no evidence.load({name!r})" for cell, name in marked if name not in loaded]


def has_a_quiz(nb, path):
    """The chapter asks back."""
    return [] if any("quiz.show(" in cell.source for cell in code(nb)) else ["no quiz.show(...)"]


def has_a_whole_interview_corner(nb, path):
    """Short answer, long answer, what is asked next, what is often said wrongly, and where the page shows it."""
    start = next((i for i, heading in headings(nb) if page.CORNER in heading.lower()), len(nb.cells))
    text = "\n".join(cell.source for cell in nb.cells[start:] if cell.cell_type == "markdown")
    return [f"the interview corner has no {part}" for part in page.CORNER_PARTS if part not in text]


# --- of the first edition ---


def asks_for_predictions(nb, path):
    """The reader predicts before the page tells."""
    count = sum(cell.source.count(page.PREDICTION) for cell in prose(nb))
    return [] if count >= 2 else [f"{page.PREDICTION}.** at least twice, found {count}"]


def says_what_to_notice(nb, path):
    """The reader knows where to look."""
    return [] if any(page.NOTICE in cell.source for cell in prose(nb)) else [f"no {page.NOTICE}"]


def has_exercises_with_checks(nb, path):
    """The learner writes something, and is told whether it holds."""
    starts = [i for i, heading in headings(nb) if heading.lower().startswith(page.EXERCISE)]
    found = [] if len(starts) in EXERCISES else [f"{' or '.join(map(str, EXERCISES))} exercises, found {len(starts)}"]
    for start, end in pairwise([*starts, len(nb.cells)]):
        order = [tag for cell in nb.cells[start:end] for tag in tags(cell) if tag in ("solution", "check")]
        if order[:1] != ["solution"] or "check" not in order:
            found.append(f"{at(nb, start)}: an exercise needs a solution cell and then a check cell")
    return found


def has_the_length_of_a_chapter(nb, path):
    """One sitting."""
    found = [] if CELLS[0] <= len(nb.cells) <= CELLS[1] else [f"{CELLS[0]} to {CELLS[1]} cells, found {len(nb.cells)}"]
    count = page.words(nb)
    return found + ([] if WORDS[0] <= count <= WORDS[1] else [f"{WORDS[0]:,} to {WORDS[1]:,} words of prose, found {count}"])


RULES = [
    no_error_outputs, no_places_of_a_machine, pictures_have_alt_text, links_open_this_notebook, file_is_small,
    stubs_block_nothing, checks_leave_nothing, checks_say_how_it_stands, tables_are_those_of_the_records,
]  # fmt: skip
CHAPTER_RULES = [
    has_all_headings, opens_with_an_interview_question, tells_its_length, has_a_widget, has_an_experiment, shows_its_records,
    has_a_quiz, has_a_whole_interview_corner,
]  # fmt: skip
FIRST_EDITION = [no_long_cells]
FIRST_CHAPTER_RULES = [asks_for_predictions, says_what_to_notice, has_exercises_with_checks, has_the_length_of_a_chapter]
NOT_OF_DEEP_DIVES = [has_a_widget, has_an_experiment]


def rules_of(path: str, nb) -> list:
    """Return the rules that hold for the notebook `path`: in the first edition 00 is no chapter."""
    if page.edition(nb) == 1:
        return RULES + FIRST_EDITION + (CHAPTER_RULES + FIRST_CHAPTER_RULES if page.kind(path) != "start" else [])
    left_out = NOT_OF_DEEP_DIVES if page.kind(path) == "deep dive" else []
    return RULES + [rule for rule in CHAPTER_RULES if rule not in left_out] + rules_second.RULES + rules_second.COURSE_RULES


def breaches(rule, nb, path: str, root: Path = ROOT) -> list[str]:
    """Return what a rule finds in a notebook of the course in `root`."""
    return rule(nb, path, root) if rule in rules_second.COURSE_RULES else rule(nb, path)


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
    notebooks = {path: page.read(path, root) for path in page.stored(root, names)}
    if any(page.edition(nb) > 1 for nb in notebooks.values()):
        try:
            glossary.load(root)
        except ValueError as error:
            print(error, file=sys.stderr)
            return 1
    for path, nb in notebooks.items():
        if page.is_english(nb) and not page.is_solved(path):
            print(f"{path}: {rules_second.readability_of(nb)}")
    found = []
    for path, nb in notebooks.items():
        found += [f"{path}: {rule.__name__}: {breach}" for rule in rules_of(path, nb) for breach in breaches(rule, nb, path, root)]
    found += [f"{name}: the code on the page has changed since its record was made" for name in stale_records(root, names)]
    if found:
        print("\n".join(found), file=sys.stderr)
    else:
        print(f"notebooks looked at: {len(notebooks)}; no rule is broken")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())

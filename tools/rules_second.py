"""The rules of the second edition, for notebooks that declare it; tools/rules.py runs them. The signatures are those of its rules.

`RULES` look at the notebook alone, ``rule(notebook, path)``; `COURSE_RULES` look at other files of the course too,
``rule(notebook, path, root)``. A breach names the cell: its place and its first line.
"""

import ast
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import glossary
import page
import readability
from chapters import FOLDED, ROOT, header, tags
from page import at, code, headings, kind, prose, visible

from kdcourse import quiz


class Limits(NamedTuple):
    """How much of everything a notebook has; the cells of answers, which only the solved one has, do not count.

    Exercises one after the other, with nothing else between them, stand in one place.
    """

    cells: int
    words: int
    predictions: int
    exercises: tuple[int, int]
    places: int


LIMITS = {
    "start": Limits(cells=55, words=0, predictions=1, exercises=(1, 3), places=1),
    "chapter": Limits(cells=55, words=1500, predictions=2, exercises=(6, 8), places=3),
    "deep dive": Limits(cells=40, words=800, predictions=1, exercises=(3, 8), places=2),
}
CODE_LINES, CODE_COLUMNS = 15, 100  # of code that a reader sees
MOST_WORDS = 300  # of a Markdown cell
LONG_TEXT = 30  # characters
WORDS_A_SENTENCE, GRADE = 20, 9

MODULES = ("plots", "schematics", "pictures")  # of kdcourse: what they draw may say the answer
LABELS = ("xlabel", "ylabel")  # the only long texts of a picture that are no findings
OF_EXERCISES = {"solution", "answer", "check"}
OBJECTIVE = re.compile(r"<!--\s*objective:\s*(.*?)\s*-->", re.S)
TODO = re.compile(r"\bTODO\b")
SHOWN_FIRST = "**The interviewer asks:**"


# --- size ---


def has_the_length_of_its_kind(nb, path):
    """One sitting: a chapter, a deep dive or the start."""
    limits, count = LIMITS[kind(path)], sum("answer" not in tags(cell) for cell in nb.cells)
    found = [f"at most {limits.cells} cells in a {kind(path)}, found {count}"] if count > limits.cells else []
    few = page.is_english(nb) and page.words(nb) < limits.words
    return found + ([f"at least {limits.words:,} words of prose in a {kind(path)}, found {page.words(nb):,}"] if few else [])


def code_can_be_seen_whole(nb, path):
    """Code that is not folded fits on a screen, without scrolling in either direction."""
    found = []
    for cell in visible(nb):
        lines = cell.source.splitlines()
        wide = max(map(len, lines), default=0)
        if len(lines) > CODE_LINES:
            found.append(f"{at(nb, cell)}: at most {CODE_LINES} lines of code where it is not folded, found {len(lines)}")
        if wide > CODE_COLUMNS:
            found.append(f"{at(nb, cell)}: at most {CODE_COLUMNS} columns of code where it is not folded, found {wide}")
    return found


def text_comes_in_pieces(nb, path):
    """A Markdown cell is one thought."""
    counts = {}
    for passage in page.passages(nb):
        counts[passage.cell] = counts.get(passage.cell, 0) + len(readability.WORD.findall(passage.text))
    return [f"{at(nb, cell)}: at most {MOST_WORDS} words in a cell, found {n}" for cell, n in counts.items() if n > MOST_WORDS]


# --- predictions and what gives them away ---


def predictions_are_answered(nb, path):
    """Each prediction is followed by what reveals it, and then by its answer."""
    found, asked, count, revealed = [], None, 0, False
    for cell in nb.cells:
        if cell.cell_type == "code":
            revealed |= not {"solution", "check"} & set(tags(cell))
            continue
        if "answer" in tags(cell):  # of an exercise
            continue
        for match in re.finditer(rf"{re.escape(page.ANSWER)}|{re.escape(page.PREDICTION)}", cell.source):
            if match.group() == page.PREDICTION:
                if asked is not None:
                    found.append(f"{at(nb, asked)}: this prediction has no {page.ANSWER} before the next one")
                asked, count, revealed = cell, count + 1, False
                continue
            if cell.source[: match.start()].strip():
                found.append(f"{at(nb, cell)}: {page.ANSWER} must begin its cell")
            if asked is None:
                found.append(f"{at(nb, cell)}: {page.ANSWER} without a prediction above it")
            elif not revealed:
                found.append(f"{at(nb, cell)}: no cell shows the answer between the prediction and {page.ANSWER}")
            asked = None
    if asked is not None:
        found.append(f"{at(nb, asked)}: this prediction has no {page.ANSWER}")
    least = LIMITS[kind(path)].predictions
    return found + ([] if count >= least else [f"{page.PREDICTION}.** at least {least} times, found {count}"])


def gives_no_answer_away(nb, path):
    """Code above an output tells neither by an assert nor by a title what there is to see: such code is folded."""
    found, names = [], _drawing_names(nb)
    for cell in visible(nb):
        if "raises-exception" in tags(cell):
            continue
        nodes = list(ast.walk(page.parsed(cell.source)))
        told = ["an assert statement"] if any(isinstance(node, ast.Assert) for node in nodes) else []
        for node in nodes:
            if isinstance(node, ast.Call) and _root(node) in names:
                told += [f"{key.arg}= of a picture" for key in node.keywords if key.arg in ("title", "alt")]
                given = [*node.args, *(key.value for key in node.keywords if key.arg not in ("title", "alt", *LABELS))]
                told += [f"a text of {n} characters for a picture" for one in given for n in _texts(one) if n >= LONG_TEXT]
        found += [f"{at(nb, cell)}: {what} gives the answer away, fold the cell" for what in dict.fromkeys(told)]
    return found


def _drawing_names(nb, modules: tuple[str, ...] = MODULES) -> set[str]:
    """Return the names under which a page has the modules that draw, and what it imports from them."""
    names = {*modules, "Schematic"}
    for cell in code(nb):
        for node in ast.walk(page.parsed(cell.source)):
            if isinstance(node, ast.ImportFrom | ast.Import):
                within = f"{node.module}." if isinstance(node, ast.ImportFrom) else ""
                for alias in node.names:
                    whole = f"{within}{alias.name}."
                    if any(whole.startswith(f"kdcourse.{module}.") for module in modules):
                        names.add(alias.asname or alias.name.partition(".")[0])
    return names


def _root(node: ast.expr) -> str:
    """Return the name that an expression such as ``a.b(c).d`` begins with."""
    while isinstance(node, ast.Call | ast.Attribute | ast.Subscript):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else ""


def _texts(node: ast.expr):
    """Yield the lengths of the texts in an argument; what an f-string fills in does not count."""
    if isinstance(node, ast.JoinedStr):
        yield sum(len(part.value) for part in node.values if isinstance(part, ast.Constant))
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield len(node.value)
    else:
        for child in ast.iter_child_nodes(node):
            yield from _texts(child)


# --- what is folded, what is drawn ---


def folded_cells_have_all_forms(nb, path):
    """A cell is folded in JupyterLab, in Colab and on a page made by Sphinx, or in none of them; what does not run is folded."""
    found = []
    for cell in code(nb):
        forms = {
            "jupyter: source_hidden": page.is_folded(cell),
            "cellView: form": cell.metadata.get("cellView") == "form",
            "the tag hide-input": "hide-input" in tags(cell),
            "a first line # @title ...": bool(re.match(r"# @title \S", cell.source)),
        }
        if set(FOLDED) & set(tags(cell)) or any(forms.values()):
            found += [f"{at(nb, cell)}: a folded cell needs {form}" for form, there in forms.items() if not there]
    return found


def has_a_diagram(nb, path):
    """One picture carries the idea: drawn with kdcourse.schematics."""
    names = _drawing_names(nb, ("schematics",))
    drawn = [cell for cell in code(nb) if any(map(page.has_picture, cell.outputs))]
    uses = [cell for cell in drawn for n in ast.walk(page.parsed(cell.source)) if isinstance(n, ast.Name) and n.id in names]
    return [] if uses else ["no cell shows a diagram, made with kdcourse.schematics"]


def corner_begins_with_the_opening_question(nb, path):
    """The question that opened the chapter is the first that the interview corner answers, word for word."""
    early = (quote for cell in nb.cells[: page.BEGINNING] if cell.cell_type == "markdown" for quote in quotations(cell.source))
    opening = next((quote for quote in early if "?" in quote), None)
    start = next((i for i, heading in headings(nb) if page.CORNER in heading.lower()), None)
    if opening is None or start is None:
        return []  # other rules say so
    below = (quote for cell in nb.cells[start:] if cell.cell_type == "markdown" for quote in quotations(cell.source))
    first = next(below, "")
    if _bare(first) == _bare(opening):
        return []
    return [f"{at(nb, start)}: the first entry must be the opening question, {_bare(opening)!r}, got {_bare(first)!r}"]


def quotations(source: str) -> list[str]:
    """Return the quotations of a Markdown cell, each on one line, without its marks."""
    return [" ".join(line.lstrip("> ") for line in lines.splitlines()) for lines in re.findall(r"(?:^ {0,3}>.*\n?)+", source, re.M)]


def _bare(question: str) -> str:
    """Return a question as it is compared: no label, no quotes, no emphasis, single spaces."""
    return " ".join(re.sub(r"[*\"“”]", "", question.replace(SHOWN_FIRST, "").replace("’", "'")).split())


# --- exercises ---


def exercises(nb) -> list[tuple[int, int, str]]:
    """Return (first cell, cell behind the last, heading) of each exercise: it ends with the next heading."""
    found = headings(nb)
    ends = [*(i for i, _ in found), len(nb.cells)]
    return [(i, next(end for end in ends if end > i), text) for i, text in found if text.lower().startswith(page.EXERCISE)]


def exercises_are_in_the_flow(nb, path):
    """The learner writes where the idea is fresh, and is told whether it holds."""
    limits, all_of_them = LIMITS[kind(path)], exercises(nb)
    least, most = limits.exercises
    found = [] if least <= len(all_of_them) <= most else [f"{least} to {most} exercises in a {kind(path)}, found {len(all_of_them)}"]
    for start, end, _ in all_of_them:
        order = [tag for cell in nb.cells[start:end] for tag in tags(cell) if tag in ("solution", "check")]
        if order[:1] != ["solution"] or "check" not in order:
            found.append(f"{at(nb, start)}: an exercise needs a solution cell and then a check cell before the next heading")
    places = sum(not OF_EXERCISES & set(tags(nb.cells[start - 1])) for start, _, _ in all_of_them)
    if places < min(limits.places, len(all_of_them)):
        found.append(f"exercises in at least {limits.places} places of the page, where their ideas are, found {places}")
    return found


def answers_are_in_the_solved_notebook(nb, path):
    """The solved notebook explains each solution; the learner's does not."""
    if not page.is_solved(path):
        return [f"{at(nb, cell)}: an answer in the learner's notebook" for cell in prose(nb) if "answer" in tags(cell)]
    told = {i for i, cell in enumerate(nb.cells) if cell.cell_type == "markdown" and "answer" in tags(cell)}
    return [f"{at(nb, start)}: no answer cell" for start, end, _ in exercises(nb) if not told & set(range(start, end))]


# --- the course around the notebook ---


def objectives_are_practised(nb, path, root: Path = ROOT):
    """What the reader will be able to do has an exercise or a question; exercises and questions serve what was promised."""
    found, promised = [], []
    for cell, bullet in _promises(nb):
        ids = _ids(bullet)
        if len(ids) != 1 or not quiz.ID.fullmatch(ids[0]):
            text = OBJECTIVE.sub("", " ".join(bullet.split()))[:60]
            found.append(f"{at(nb, cell)}: an objective needs one id, <!-- objective: small-letters -->: {text}")
        elif ids[0] in promised:
            found.append(f"{at(nb, cell)}: the objective {ids[0]} stands there twice")
        promised += [one for one in ids if one not in promised]
    if not promised:
        found.append("no objectives: - bullets below the heading What you will be able to do")
    asked = set()
    for start, _, heading in exercises(nb):
        ids = _ids(heading)
        found += [f"{at(nb, start)}: no objective {one} above" for one in ids if one not in promised]
        found += [] if ids else [f"{at(nb, start)}: an exercise names its objective in its heading, <!-- objective: ... -->"]
        asked.update(ids)
    name, bank = f"data/questions/{Path(path).stem}.json", []
    try:
        bank = quiz.read(root / name) if (root / name).is_file() else []
    except ValueError as error:
        found.append(str(error))
    for question in bank:
        if "objective" in question:
            asked.add(question["objective"])
            if question["objective"] not in promised:
                found.append(f"{name}, {question['id']}: no objective {question['objective']} on the page")
    return found + [f"the objective {one} has no exercise and no question" for one in promised if one not in asked]


def _promises(nb) -> list[tuple[int, str]]:
    """Return (cell, text) of the bullets below the heading of the objectives."""
    found = []
    for place, cell in enumerate(nb.cells):
        if cell.cell_type == "markdown":
            below = re.search(rf"^#+ {page.OBJECTIVES}.*\n((?:(?!#).*\n?)*)", cell.source, re.M | re.I)
            found += [(place, item) for item in re.findall(r"^[-*] .*(?:\n(?![-*>]|\s*$).*)*", below[1], re.M)] if below else []
    return found


def _ids(text: str) -> list[str]:
    return [one.strip() for ids in OBJECTIVE.findall(text) for one in ids.split(",")]


def nothing_is_left_to_fill_in(nb, path, root: Path = ROOT):
    """Numbers are filled in, and nothing of the template is left: not on the page, in the lesson's header or in the questions."""
    found = [f"{at(nb, cell)}: a TODO is left" for cell in nb.cells if TODO.search(cell.source)]
    open_ones = [(one.cell, match.group()) for one in page.passages(nb) for match in re.finditer(r"\{\{.*?(?:\}\}|$)", one.text, re.M)]
    found += [f"{at(nb, cell)}: a number that is not filled in: {text}" for cell, text in open_ones]
    slug = Path(path).stem
    others = {f"the header of lessons/{slug}.py": header(slug, root).answers}
    if (bank := root / "data" / "questions" / f"{slug}.json").is_file():
        others[f"data/questions/{slug}.json"] = bank.read_text(encoding="utf-8")
    return found + [f"{where}: a TODO is left" for where, text in others.items() if TODO.search(text)]


def lesson_is_formatted(nb, path, root: Path = ROOT):
    """Ruff has laid out the lesson, with lines of 100 columns, and nothing is kept from it."""
    lesson = f"lessons/{Path(path).stem}.py"
    lines = enumerate((root / lesson).read_text(encoding="utf-8").splitlines(), 1)
    found = [f"{lesson}, line {n}: {kept.group()}" for n, line in lines if (kept := re.search(r"# fmt: *(?:skip|off)\b", line))]
    command = [sys.executable, "-m", "ruff", "format", "--check", f"--line-length={CODE_COLUMNS}", lesson]
    said = subprocess.run(command, cwd=root, capture_output=True, text=True)
    if said.returncode:
        reason = "not formatted" if "reformat" in said.stdout + said.stderr else (said.stdout + said.stderr).strip().partition("\n")[0]
        found.append(f"{lesson}: {reason}; ruff format --line-length {CODE_COLUMNS} {lesson}")
    return found


# --- words ---


def defines_its_terms(nb, path, root: Path = ROOT):
    """A term of the glossary is bold where the page uses it first, which is where it is defined, and in no other cell.

    The title, the objectives and the questions of an interviewer come before all explanations: they are left out.
    """
    if not page.is_english(nb):
        return []
    shown = [one for one in page.passages(nb) if one.cell and not one.heading.lower().startswith(page.OBJECTIVES)]
    first, bold, found = {}, {}, []
    for use in glossary.uses(shown, glossary.load(root).terms):
        if use.term.watched:
            first.setdefault(use.term.term, use)
            if use.bold:
                bold.setdefault(use.term.term, {})[use.cell] = None
    for term, use in first.items():
        cells = list(bold.get(term, ()))
        if not use.bold:
            later = f", not in cell {cells[0]}" if cells and cells[0] != use.cell else ""
            found.append(f"{at(nb, use.cell)}: {term!r} is used here first, define it here in bold{later}")
        found += [f"{at(nb, again)}: {term!r} is defined twice, it is bold in cell {before} already" for before, again in pairwise(cells)]
    return found


def uses_words_in_one_meaning(nb, path, root: Path = ROOT):
    """A word that could mean two things is not used; the glossary says what to say instead."""
    if not page.is_english(nb):
        return []
    found = []
    for passage in page.passages(nb):
        for word, entry in glossary.refused_words(f"{passage.heading}\n{passage.text}", glossary.load(root).instead):
            found.append(f"{at(nb, passage.cell)}: say {entry.say}, not {word!r}")
    return found


def readability_of(nb) -> readability.Readability:
    """Measure the prose of a notebook."""
    return readability.measure("\n\n".join(passage.text for passage in page.passages(nb)))


def reads_easily(nb, path):
    """Short sentences of short words."""
    if not page.is_english(nb):
        return []
    measured, found = readability_of(nb), []
    if measured.words_a_sentence > WORDS_A_SENTENCE:
        found.append(f"at most {WORDS_A_SENTENCE} words a sentence on average, found {measured.words_a_sentence:.1f}")
    return found + ([f"a Flesch-Kincaid grade of at most {GRADE}, found {measured.grade:.1f}"] if measured.grade > GRADE else [])


RULES = [
    has_the_length_of_its_kind, code_can_be_seen_whole, text_comes_in_pieces, predictions_are_answered,
    gives_no_answer_away, folded_cells_have_all_forms, has_a_diagram, corner_begins_with_the_opening_question, exercises_are_in_the_flow,
    answers_are_in_the_solved_notebook, reads_easily,
]  # fmt: skip
COURSE_RULES = [nothing_is_left_to_fill_in, lesson_is_formatted, objectives_are_practised, defines_its_terms, uses_words_in_one_meaning]

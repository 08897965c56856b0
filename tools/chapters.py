"""From a lesson (``lessons/NN_slug.py``, the one source of a chapter) to its two notebooks, not yet executed, and to their test.

A lesson's header says what the course knows about it, under ``jupyter: kdcourse:``, see `Header`. A lesson ``NNb_slug`` is a deep dive of
the chapter ``NN_``. In Markdown and in strings of code, ``{{record | variants | form}}`` becomes a number (tools/prose.py); the lines
``<!-- links -->`` and ``<!-- chapters -->`` become the links of the notebook and the table of the course.

Tags a lesson may give a cell:
    solution          functions of an exercise (and imports); the learner's notebook keeps signature and docstring only
    answer            Markdown below an exercise; only the solved notebook has it
    check             checks an exercise: ``with quiz.check("title"):`` and asserts; the tests compare what it prints
    experiment        a function made by ``@evidence.experiment``; tools/experiment.py runs this very cell, without the lines that show it
    experiment-setup  what the experiments below it need
    live              a run that no later cell needs
    raises-exception  fails on purpose
    hide-input        code that draws or arranges; in the second edition it is folded

In the second edition cells tagged check, experiment or hide-input are folded, and above an experiment stands when it was recorded.
"""

import ast
import hashlib
import json
import re
import tomllib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import code_hash
import jupytext
import nbformat
import prose
from links import ROOT, binder_url, colab_url, repository

from kdcourse import evidence
from kdcourse.checks import choice, refuse

LINKS, TABLE = "<!-- links -->", "<!-- chapters -->"
TAGS = ("solution", "answer", "check", "experiment", "experiment-setup", "live", "raises-exception", "hide-input")
FOLDED = ("check", "experiment", "hide-input")
SLUG = re.compile(r"(\d\d)([b-z]?)_[a-z][a-z0-9_]*")
KERNEL = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}
LANGUAGE = {"name": "python", "pygments_lexer": "ipython3", "file_extension": ".py", "mimetype": "text/x-python"}


class LessonError(ValueError):
    """A lesson that cannot become a notebook; the message names the lesson and says what to change."""


# --- which lessons there are ---


@dataclass(frozen=True)
class Header:
    """What the header of a lesson says: ``kdcourse: {edition: 2, answers: "Which weights can go?", read: 60, run: 2}``.

    `title` (of the tables; default: the page's), `answers`, and the minutes to `read` and to `run` go into the tables of the course.
    """

    slug: str
    title: str
    edition: int = 1
    language: str = "en"
    answers: str = ""
    read: int = 0
    run: int = 0


def slugs(root: Path = ROOT) -> list[str]:
    """Return the names of all lessons, in the order of the course: a deep dive after its chapter.

    Raises:
        LessonError: a file that is not named like a lesson, or a deep dive without its chapter.
    """
    found = sorted(path.stem for path in (root / "lessons").glob("*.py"))
    for slug in found:
        if not (named := SLUG.fullmatch(slug)):
            raise LessonError(f"lessons/{slug}.py: a lesson must be named like 05_title, a deep dive like 05b_title")
        if named[2] and not any(other.startswith(f"{named[1]}_") for other in found):
            raise LessonError(f"lessons/{slug}.py: a deep dive must have its chapter, got no lessons/{named[1]}_*.py")
    return found


def is_deep_dive(slug: str) -> bool:
    """Say whether a lesson is a deep dive, ``NNb_slug``."""
    named = SLUG.fullmatch(slug)
    return bool(named and named[2])


def notebook_path(slug: str, solved: bool) -> str:
    """Return where a lesson's notebook lives, relative to the repository, with ``/``."""
    return f"notebooks/solutions/{slug}.ipynb" if solved else f"notebooks/{slug}.ipynb"


def tags(cell) -> list[str]:
    """Return the tags of a cell."""
    return list(cell.metadata.get("tags", []))


def read(slug: str, root: Path = ROOT) -> list:
    """Return the cells of a lesson as they were written.

    Raises:
        LessonError: no title cell with the line ``<!-- links -->``, a tag that does not exist, or an empty cell.
    """
    return _read(slug, root)[1]


def header(slug: str, root: Path = ROOT) -> Header:
    """Return the header of a lesson.

    Raises:
        LessonError: as `read`, or a header with a key or a value that cannot be.
    """
    return _read(slug, root)[0]


def _read(slug: str, root: Path) -> tuple[Header, list]:
    where = f"lessons/{slug}.py"
    lesson = jupytext.read(root / where, fmt="py:percent")
    cells = lesson.cells
    if not cells or cells[0].cell_type != "markdown" or LINKS not in cells[0].source.splitlines():
        raise LessonError(f"{where}: the first cell must be Markdown with the title and a line {LINKS}")
    found = _header(slug, cells[0].source, dict(lesson.metadata.get("kdcourse", {})), where)
    for number, cell in enumerate(cells):
        unknown = [tag for tag in tags(cell) if tag not in TAGS]
        if unknown:
            raise LessonError(f"{where}, cell {number}: tags must be among {', '.join(TAGS)}, got {', '.join(unknown)}")
        if not cell.source.strip():
            raise LessonError(f"{where}, cell {number}: the cell is empty")
        allowed = ["answer"] if cell.cell_type == "markdown" else [tag for tag in TAGS if tag != "answer"]
        if cell.cell_type not in ("markdown", "code") or set(tags(cell)) - set(allowed):
            raise LessonError(f"{where}, cell {number}: cells must be code, or Markdown without tags except answer")
    return found, cells


def _header(slug: str, title_cell: str, given: dict, where: str) -> Header:
    title = next((line.lstrip("# ") for line in title_cell.splitlines() if line.startswith("# ")), slug)
    kinds = {"edition": int, "language": str, "title": str, "answers": str, "read": int, "run": int}
    for key, value in given.items():
        if key not in kinds or not isinstance(value, kinds[key]):
            allowed = ", ".join(f"{name} ({kind.__name__})" for name, kind in kinds.items())
            raise LessonError(f"{where}: kdcourse in the header must have {allowed}, got {key}: {value!r}")
    found = Header(slug, **{"title": title.partition("· ")[2] or title} | given)
    if found.edition not in (1, 2) or found.language not in prose.LANGUAGES:
        allowed = f"edition 1 or 2 and language {' or '.join(prose.LANGUAGES)}"
        raise LessonError(f"{where}: kdcourse in the header must have {allowed}, got {found.edition} and {found.language!r}")
    return found


# --- the table of the course ---


def planned(root: Path = ROOT) -> dict[str, dict[str, str]]:
    """Return {number: {"title", "answers"}} of the chapters that have no lesson yet, from lessons/planned.toml."""
    path = root / "lessons" / "planned.toml"
    chapters = tomllib.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return {number: about for number, about in chapters.items() if not any(slug.startswith(number) for slug in slugs(root))}


def table(root: Path = ROOT, link: Callable = "{0.slug}.ipynb".format, last: tuple[str, Callable] | None = None) -> str:
    """Return the Markdown table of all chapters and deep dives.

    Args:
        root: the repository's folder.
        link: what the title of a `Header` links to.
        last: (heading, function of the header) of a column more.
    """
    more = [last[0]] if last else []
    rows = [["chapter", "what it answers", "read", "run", *more], ["---"] * (4 + len(more))]
    listed = {slug[:3]: header(slug, root) for slug in slugs(root)} | {f"{number}_": about for number, about in planned(root).items()}
    for place, about in sorted(listed.items()):
        number = place.rstrip("_")
        if isinstance(about, Header):
            length = [f"{about.read} min" if about.read else "", f"{about.run} min" if about.run else ""]
            rows.append([f"**[{number} {about.title}]({link(about)})**", about.answers, *length, *([last[1](about)] if last else [])])
        else:
            rows.append([f"{number} {about['title']}", about["answers"], "in preparation", "", *([""] if last else [])])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


# --- from a lesson to its notebooks ---


def notebook(slug: str, solved: bool, root: Path = ROOT):
    """Return one of the two notebooks of a lesson, without outputs: the same for the same text and records, down to the cells' ids.

    Raises:
        LessonError: a lesson that cannot become a notebook, a number that no record has, or a word that its verdict does not allow; the
            sentence names the file and the cell.
    """
    about, (title, *rest) = _read(slug, root)
    path, load = notebook_path(slug, solved), _loader(root, rest)
    cells = [(0, "markdown", title.source.replace(LINKS, _links(slug, path, root)), []), (0, "code", _install(root), ["setup"])]
    for number, cell in enumerate(rest, 1):
        source, its_tags = cell.source, tags(cell)
        if "answer" in its_tags and not solved:
            continue
        if "solution" in its_tags:
            functions = _checked_solution(source, f"lessons/{slug}.py")
            source = source if solved else _stub(source, functions)
        cells.append((number, cell.cell_type, source, its_tags))
    made = nbformat.v4.new_notebook(metadata={"kernelspec": KERNEL, "language_info": LANGUAGE})
    seen = Counter()
    for number, kind, source, its_tags in cells:
        seen[kind, source] += 1
        identity = hashlib.sha256("\0".join((slug, kind, source, str(seen[kind, source]))).encode()).hexdigest()[:16]
        new = nbformat.v4.new_code_cell if kind == "code" else nbformat.v4.new_markdown_cell
        try:
            source = source.replace(TABLE, table(root)) if TABLE in source else source  # a table reads all lessons
            source = prose.filled(source, about.language, code=kind == "code", load=load)
            if about.edition == 2 and "experiment" in its_tags:
                _say_when(made.cells, source, identity, about.language, load)
        except ValueError as error:
            raise LessonError(f"lessons/{slug}.py, cell {number}, {source.strip().partition(chr(10))[0]!r}: {error}") from None
        made.cells.append(new(source, id=identity, metadata={"tags": its_tags} if its_tags else {}))
        if about.edition == 2:
            _fold(made.cells[-1], about.language)
    if about.edition == 2:
        made.metadata["kdcourse"] = {"edition": 2, "language": about.language}
    return made


def _loader(root: Path, its_cells: list) -> Callable:
    """Return what gives the records of the course to a lesson; one of its own experiments may not have been recorded yet."""
    folder = root / "data" / "experiments"
    own = {name for cell in its_cells if "experiment" in tags(cell) for name in code_hash.marked(cell.source)}

    def load(name: str) -> evidence.Record:
        if name in own and not (folder / f"{name}.json").is_file():
            refuse(f"the result of {name}", f'recorded first, make experiment NAME={name} SEEDS="10 11 12 13 14" RECORD=1', "none yet")
        path = folder / f"{choice('record', name, sorted(path.stem for path in folder.glob('[!.]*.json')))}.json"
        return evidence.Record(json.loads(path.read_text(encoding="utf-8")))

    return load


def _say_when(cells: list, source: str, identity: str, language: str, load: Callable) -> None:
    """Put above an experiment's cell when its records were made: at the end of the text there, or in a cell of its own."""
    said = "\n\n".join(prose.recorded(name, language, load) for name in code_hash.marked(source))
    if cells[-1].cell_type == "markdown":
        cells[-1].source += f"\n\n{said}"
    else:
        cells.append(nbformat.v4.new_markdown_cell(said, id=f"{identity}-when"))


def _fold(cell, language: str) -> None:
    """Fold a cell whose code is not for reading: in JupyterLab, in Colab, which shows a title, and in a page made by Sphinx."""
    kind = next((tag for tag in FOLDED if tag in tags(cell)), None)
    if kind is None:
        return
    first, _, rest = cell.source.partition("\n")
    own = first.startswith("# ") and not first.startswith("# %")
    title = first[2:] if own else prose.WORDS[language]["folded"][kind]
    cell.source = f"# @title {title}\n{rest if own else cell.source}"
    cell.metadata.update(tags=[*dict.fromkeys([*tags(cell), "hide-input"])], jupyter={"source_hidden": True}, cellView="form")


def both(slug: str, root: Path = ROOT):
    """Return the notebook whose one execution tests the learner's notebook and the solved one.

    It is the learner's; after the checks of an exercise, which wait there, come the solutions so far, the same checks again, and the stubs
    again, so that the cells below find what they find in the learner's notebook. The id of a repeated cell has a suffix, ``-1`` at first;
    the checks have nbval's tag: it compares what they print.
    """
    made = notebook(slug, False, root)
    solved = [cell for cell in notebook(slug, True, root).cells if "answer" not in tags(cell)]
    exercises, cells, times = [], [], Counter()
    for checked, group in groupby(zip(made.cells, solved, strict=True), key=lambda pair: "check" in tags(pair[0])):
        pairs = list(group)
        if checked:
            for cell, _ in pairs:
                cell.metadata.tags.append("nbval-check-output")
        cells += [stub for stub, _ in pairs]
        if not checked:
            exercises += [pair for pair in pairs if "solution" in tags(pair[0])]
            continue
        for cell in [*(solution for _, solution in exercises), *(check for check, _ in pairs), *(stub for stub, _ in exercises)]:
            times[cell.id] += 1
            cells.append(nbformat.from_dict(cell | {"id": f"{cell.id}-{times[cell.id]}"}))
    made.cells = cells
    return made


def _links(slug: str, path: str, root: Path) -> str:
    return (
        f"[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]({colab_url(path, root)})\n"
        f"[![Open in Binder](https://mybinder.org/badge_logo.svg)]({binder_url(path, root)})\n\n"
        f"<sub>This notebook is generated from `lessons/{slug}.py`: change that file, not this one.</sub>"
    )


def _install(root: Path) -> str:
    return (
        "# Colab has no kdcourse yet: install it there. Anywhere else this cell does nothing.\n"
        "import sys\n\n"
        'if "google.colab" in sys.modules:\n'
        f'    %pip install -q "kdcourse @ git+{repository(root)}"'
    )


def _checked_solution(source: str, where: str) -> list[ast.FunctionDef]:
    """Return the functions of a solution cell; refuse what a stub could not leave out safely."""
    statements = ast.parse(source).body
    functions = [node for node in statements if isinstance(node, ast.FunctionDef)]
    for node in statements:
        if not isinstance(node, ast.FunctionDef | ast.Import | ast.ImportFrom):
            raise LessonError(f"{where}: a solution cell may hold only functions and imports, got: {ast.unparse(node).splitlines()[0]}")
    if not functions:
        raise LessonError(f"{where}: a solution cell must define a function, got: {source.splitlines()[0]}")
    for node in functions:
        if ast.get_docstring(node) is None or node.body[0].lineno == node.lineno:
            raise LessonError(f"{where}: the solution {node.name} needs a docstring on a line of its own; it is what the learner reads")
    return functions


def _stub(source: str, functions: list[ast.FunctionDef]) -> str:
    lines = source.splitlines()
    for node in reversed(functions):  # from the bottom, so that line numbers above stay right
        docstring = node.body[0]
        lines[docstring.end_lineno : node.end_lineno] = [" " * docstring.col_offset + "raise quiz.NotSolved  # your code here"]
    return "\n".join(lines)

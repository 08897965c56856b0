"""From a lesson (``lessons/NN_slug.py``, the one source of a chapter) to its two notebooks, not yet executed, and to their test.

Tags a lesson may give a cell:
    solution          functions of an exercise (and imports); the learner's notebook keeps signature and docstring only
    check             checks an exercise: ``with quiz.check("title"):`` and asserts; the tests compare what it prints
    experiment        a function made by ``@evidence.experiment``; tools/experiment.py runs this very cell
    experiment-setup  what the experiments below it need
    live              a run that no later cell needs
    raises-exception  fails on purpose
    hide-input        passed on
"""

import ast
import hashlib
from collections import Counter
from itertools import groupby
from pathlib import Path

import jupytext
import nbformat
from links import ROOT, binder_url, colab_url, repository

LINKS = "<!-- links -->"
TAGS = ("solution", "check", "experiment", "experiment-setup", "live", "raises-exception", "hide-input")
KERNEL = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}
LANGUAGE = {"name": "python", "pygments_lexer": "ipython3", "file_extension": ".py", "mimetype": "text/x-python"}


class LessonError(ValueError):
    """A lesson that cannot become a notebook; the message names the lesson and says what to change."""


def slugs(root: Path = ROOT) -> list[str]:
    """Return the names of all lessons, in the order of the course."""
    return sorted(path.stem for path in (root / "lessons").glob("*.py"))


def notebook_path(slug: str, solved: bool) -> str:
    """Return where a lesson's notebook lives, relative to the repository, with ``/``."""
    return f"notebooks/solutions/{slug}.ipynb" if solved else f"notebooks/{slug}.ipynb"


def read(slug: str, root: Path = ROOT) -> list:
    """Return the cells of a lesson as they were written.

    Raises:
        LessonError: no title cell with the line ``<!-- links -->``, a tag that does not exist, or an empty cell.
    """
    where = f"lessons/{slug}.py"
    cells = jupytext.read(root / where, fmt="py:percent").cells
    if not cells or cells[0].cell_type != "markdown" or LINKS not in cells[0].source.splitlines():
        raise LessonError(f"{where}: the first cell must be Markdown with the title and a line {LINKS}")
    for number, cell in enumerate(cells):
        unknown = [tag for tag in tags(cell) if tag not in TAGS]
        if unknown:
            raise LessonError(f"{where}, cell {number}: tags must be among {', '.join(TAGS)}, got {', '.join(unknown)}")
        if not cell.source.strip():
            raise LessonError(f"{where}, cell {number}: the cell is empty")
        if cell.cell_type != "code" and (tags(cell) or cell.cell_type != "markdown"):
            raise LessonError(f"{where}, cell {number}: cells must be code, or Markdown without tags")
    return cells


def tags(cell) -> list[str]:
    """Return the tags of a cell."""
    return list(cell.metadata.get("tags", []))


def notebook(slug: str, solved: bool, root: Path = ROOT):
    """Return one of the two notebooks of a lesson, without outputs: the same for the same text, down to the cells' ids."""
    title, *rest = read(slug, root)
    path = notebook_path(slug, solved)
    cells = [("markdown", title.source.replace(LINKS, _links(slug, path, root)), []), ("code", _install(root), ["setup"])]
    for cell in rest:
        source, its_tags = cell.source, tags(cell)
        if "solution" in its_tags:
            functions = _checked_solution(source, f"lessons/{slug}.py")
            source = source if solved else _stub(source, functions)
        cells.append((cell.cell_type, source, its_tags))
    made = nbformat.v4.new_notebook(metadata={"kernelspec": KERNEL, "language_info": LANGUAGE})
    seen = Counter()
    for kind, source, its_tags in cells:
        seen[kind, source] += 1
        identity = hashlib.sha256("\0".join((slug, kind, source, str(seen[kind, source]))).encode()).hexdigest()[:16]
        new = nbformat.v4.new_code_cell if kind == "code" else nbformat.v4.new_markdown_cell
        made.cells.append(new(source, id=identity, metadata={"tags": its_tags} if its_tags else {}))
    return made


def both(slug: str, root: Path = ROOT):
    """Return the notebook whose one execution tests the learner's notebook and the solved one.

    It is the learner's; after the checks of an exercise, which wait there, come the solutions so far, the same checks again, and the stubs
    again, so that the cells below find what they find in the learner's notebook. The id of a repeated cell has a suffix, ``-1`` at first;
    the checks have nbval's tag: it compares what they print.
    """
    made, solved = notebook(slug, False, root), notebook(slug, True, root)
    exercises, cells, times = [], [], Counter()
    for checked, group in groupby(zip(made.cells, solved.cells, strict=True), key=lambda pair: "check" in tags(pair[0])):
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

"""A stored notebook as the rules read it: its cells, what they show, and its prose without what is no prose."""

import ast
import functools
import re
from pathlib import Path
from typing import NamedTuple

import nbformat
import prose as numbers
from chapters import ROOT, is_deep_dive, notebook_path, slugs
from IPython.core.inputtransformer2 import TransformerManager

# What a page says, where a rule looks for it: the one place to change when the pages speak another language.
OBJECTIVES, CORNER, REFERENCES = "what you will be able to do", "interview corner", "references"
HEADINGS = (OBJECTIVES, "what goes wrong", CORNER, "summary", "what's next", REFERENCES)
EXERCISE = ("exercise ", "exercise:")  # how the heading of an exercise begins
CORNER_PARTS = ("*In 30 seconds.*", "*In 3 minutes.*", "*Follow-up.*", "*Common wrong answer.*", "*See it hold:*")
PREDICTION, ANSWER = "**Predict first", "**Answer.**"
NOTICE = "**What to notice.**"  # of the first edition
LENGTH = r"minutes to read.* to run"  # in the title cell

BEGINNING = 8  # cells in which the question of the chapter stands
WIDGET = "application/vnd.jupyter.widget-view+json"
RECORDED = tuple(f"*{words['recorded'].partition('{')[0]}" for words in numbers.WORDS.values())  # how the generated line begins
FENCED = re.compile(r"^(```|~~~).*?^\1", re.M | re.S)
NO_PROSE = re.compile(
    r"<!--.*?-->|<(sub|details|table)\b.*?</\1>|</?[a-z][^>]*>"  # HTML; small print and tables with what they hold
    r"|\$\$.*?\$\$|\$[^$\n]+\$|`[^`]*`|!\[[^\]]*\]\([^)]*\)|https?://[^\s)>]+",
    re.S | re.I,
)
LINK = re.compile(r"\[[^\]]*\]\([^)]*\.ipynb\)|\[([^\]]*)\]\([^)]*\)")  # of another notebook, or its text
HEADING = re.compile(r"#{1,6} ")


@functools.cache
def read(path: str, root: Path = ROOT):
    """Return a stored notebook, read and validated once for all rules; nobody may change it."""
    return nbformat.read(root / path, as_version=4)


def stored(root: Path = ROOT, names: list[str] | None = None) -> list[str]:
    """Return the paths of the notebooks that exist, learner's and solved, of the lessons `names` (default: all)."""
    paths = [notebook_path(slug, solved) for solved in (False, True) for slug in (slugs(root) if names is None else names)]
    return [path for path in paths if (root / path).is_file()]


def edition(nb) -> int:
    """Return the edition that a notebook declares; 1 if it declares none."""
    return nb.metadata.get("kdcourse", {}).get("edition", 1)


def is_english(nb) -> bool:
    """Say whether the prose is English."""
    return nb.metadata.get("kdcourse", {}).get("language", "en") == "en"


def is_solved(path: str) -> bool:
    """Say whether `path` is that of a solved notebook."""
    return Path(path).parent.name == "solutions"


def kind(path: str) -> str:
    """Return what the notebook `path` is: "start" (00), "chapter" or "deep dive"."""
    slug = Path(path).stem
    return "deep dive" if is_deep_dive(slug) else "start" if slug.startswith("00") else "chapter"


# --- cells ---


def code(nb) -> list:
    """Return the code cells."""
    return [cell for cell in nb.cells if cell.cell_type == "code"]


def prose(nb) -> list:
    """Return the Markdown cells."""
    return [cell for cell in nb.cells if cell.cell_type == "markdown"]


def is_folded(cell) -> bool:
    """Say whether JupyterLab shows a line instead of the source of a code cell."""
    return bool(cell.metadata.get("jupyter", {}).get("source_hidden"))


def visible(nb) -> list:
    """Return the code cells whose source a reader sees."""
    return [cell for cell in code(nb) if not is_folded(cell)]


def outputs(nb) -> list[tuple]:
    """Return (cell, output) pairs."""
    return [(cell, output) for cell in code(nb) for output in cell.outputs]


def has_picture(output) -> bool:
    """Say whether an output shows a picture."""
    data = output.get("data", {})
    return any(mime.startswith("image/") for mime in data) or "<img" in data.get("text/html", "")


def first_line(cell) -> str:
    """Return the first line of a cell that is not empty."""
    return cell.source.strip().partition("\n")[0]


def at(nb, cell) -> str:
    """Return how a breach names a cell: its place, counted from 0, and its first line."""
    place = cell if isinstance(cell, int) else next(i for i, one in enumerate(nb.cells) if one is cell)
    line = first_line(nb.cells[place])
    return f"cell {place}, {line if len(line) <= 60 else f'{line[:57]}...'!r}"


@functools.cache
def plain(source: str) -> str:
    """Return the source of a code cell as Python, without magics."""
    return TransformerManager().transform_cell(source)


@functools.cache
def parsed(source: str) -> ast.Module:
    """Return the source of a code cell as a tree."""
    return ast.parse(plain(source))


# --- prose ---


def headings(nb) -> list[tuple[int, str]]:
    """Return (place of the cell, text) of every heading, with a plain apostrophe."""
    found = [(i, line) for i, cell in enumerate(nb.cells) if cell.cell_type == "markdown" for line in cell.source.splitlines()]
    return [(i, line.lstrip("# ").replace("’", "'")) for i, line in found if re.match(r"#{1,4} ", line)]


def words(nb) -> int:
    """Count the words of the prose: no code, formulas, link targets or markup."""
    text = "\n".join(cell.source for cell in prose(nb))
    text = re.sub(r"```.*?```|\$\$.*?\$\$|\$[^$\n]+\$|<[^>]*>|\]\([^)]*\)", " ", text, flags=re.S)
    return len(re.findall(r"[^\W\d_][\w'’-]*", text))


class Passage(NamedTuple):
    """What a Markdown cell says below one of its headings: the cell's place, the heading ("" above the first), and the prose."""

    cell: int
    heading: str
    text: str


def passages(nb) -> list[Passage]:
    """Return the prose of a notebook.

    It keeps paragraphs, list items, quotations (``> ...``) and emphasis. It has no code, formulas, targets of links, titles of other
    notebooks, pictures, HTML, tables and generated lines, and no references, which are titles of other people.
    """
    found = []
    for place, cell in enumerate(nb.cells):
        if cell.cell_type != "markdown":
            continue
        heading, lines = "", []
        for line in [*LINK.sub(r"\1", NO_PROSE.sub(" ", FENCED.sub("", cell.source))).splitlines(), "# "]:
            if HEADING.match(line):
                found.append(Passage(place, heading, "\n".join(lines).strip()))
                heading, lines = line.lstrip("# ").replace("’", "'").strip(), []
            elif not line.startswith("|"):
                lines.append(line.rstrip())
    return [one._replace(text=_without_generated(one.text)) for one in found if one.heading.lower() != REFERENCES and any(one[1:])]


def _without_generated(text: str) -> str:
    return "\n\n".join(part for part in re.split(r"\n\s*\n", text) if not part.startswith(RECORDED))

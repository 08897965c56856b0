"""The words of the course, data/glossary.toml: terms that a page defines where it first uses them, and words that it does not use.

    [[term]]                           [[instead]]
    term = "soft label"                word = "kernel"
    definition = "One sentence."       say = "weight matrix, filter, or routine"
    chinese = "软标签"                  pattern = '''a regular expression'''    # optional; default: the word, with or without an s
    chapter = "01"  # first used       allowed = ["Jupyter kernel"]           # optional: where the word may stand
    forms = ["soft target"]            # optional; a plural in s is found anyway
    watched = false                    # optional: a word of every day, which need not be defined in each chapter
"""

import dataclasses
import functools
import re
import tomllib
from pathlib import Path
from typing import NamedTuple

import readability
from chapters import ROOT, planned, slugs
from page import Passage

from kdcourse.checks import choice, refuse, require, shown

FILE = "data/glossary.toml"
BOLD = re.compile(r"\*\*(?=\S).+?(?<=\S)\*\*", re.S)


@dataclasses.dataclass(frozen=True)
class Term:
    """A term with its definition; see the top of this module."""

    term: str
    definition: str
    chinese: str
    chapter: str
    forms: tuple[str, ...] = ()
    watched: bool = True


@dataclasses.dataclass(frozen=True)
class Instead:
    """A word that a page does not use, and what it says instead."""

    word: str
    say: str
    pattern: str = ""
    allowed: tuple[str, ...] = ()


def _is_text(value) -> bool:
    return isinstance(value, str) and bool(value.strip())


KINDS = {
    str: ("a text that is not empty", _is_text),
    bool: ("true or false", lambda value: isinstance(value, bool)),
    tuple[str, ...]: ("a list of texts", lambda value: isinstance(value, list) and all(map(_is_text, value))),
}


class Glossary(NamedTuple):
    """What data/glossary.toml holds."""

    terms: tuple[Term, ...]
    instead: tuple[Instead, ...]


class Use(NamedTuple):
    """A place where a page uses a term: the cell, and whether the word is bold there."""

    term: Term
    cell: int
    bold: bool


# --- the file ---


@functools.cache
def load(root: Path = ROOT) -> Glossary:
    """Return the glossary of the course, checked.

    Raises:
        ValueError: no such file or no TOML, a key that is missing or unknown, a value of another type, a term or a form of one that stands
            there twice, a definition that is not one sentence, a chapter that the course does not have, or a pattern that is none; the
            sentence names file and term.
    """
    try:
        data = tomllib.loads((root / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{FILE} must be a TOML file, got {type(error).__name__}: {error}") from None
    for key in data:
        choice(f"{FILE}: a table", key, ["term", "instead"])
    found = Glossary(*(tuple(_entries(data.get(key, []), key, kind)) for key, kind in (("term", Term), ("instead", Instead))))
    numbers = sorted({slug.partition("_")[0] for slug in slugs(root)} | set(planned(root)))
    names = set()
    for term in found.terms:
        this = f"{FILE}, {term.term!r}"
        for name in (term.term, *term.forms):
            require(name.casefold() not in names, f"{this}: each term and form must stand there once, got {name!r} twice")
            names.add(name.casefold())
        if len(readability.sentences(term.definition)) != 1 or not term.definition.endswith("."):
            refuse(f"{this}: definition", "one sentence that ends with a full stop", shown(term.definition))
        choice(f"{this}: chapter", term.chapter, numbers)
    words = set()
    for entry in found.instead:
        this = f"{FILE}, {entry.word!r}"
        require(entry.word.casefold() not in words, f"{this}: each word must stand there once, got it twice")
        words.add(entry.word.casefold())
        try:
            re.compile(_refused(entry))
        except re.error as error:
            refuse(f"{this}: pattern", "a regular expression", f"{shown(entry.pattern)}: {error}")
    return found


def _entries(tables, name: str, kind):
    """Yield the tables as `kind`, each with all of its keys and of their types."""
    fits = isinstance(tables, list) and all(isinstance(one, dict) for one in tables)
    require(fits, f"{FILE}: {name} must be tables, [[{name}]], got {shown(tables)}")
    first, *_ = fields = {field.name: field for field in dataclasses.fields(kind)}
    for number, given in enumerate(tables, 1):
        this = f"{FILE}, {given[first]!r}" if isinstance(given.get(first), str) else f"{FILE}, {name} {number}"
        for key in given:
            choice(f"{this}: a key", key, fields)
        for key, field in fields.items():
            if key in given:
                wish, fits = KINDS[field.type]
                require(fits(given[key]), f"{this}: {key} must be {wish}, got {shown(given[key])}")
            elif field.default is dataclasses.MISSING:
                refuse(f"{this}: {key}", "given", "none")
        yield kind(**{key: tuple(value) if isinstance(value, list) else value for key, value in given.items()})


# --- what a page makes of it ---


def uses(passages: list[Passage], terms: tuple[Term, ...]) -> list[Use]:
    """Return every use of a term, in the order of the page. The longest term counts: "soft label" is no use of "label".

    Quotations are left out: what an interviewer asks comes before what the page explains.
    """
    pattern, by_name = _pattern(terms)
    found = []
    for passage in passages:
        text = re.sub(r"^\s*>.*$", "", passage.text, flags=re.M)
        bold = [match.span() for match in BOLD.finditer(text)]
        for match in pattern.finditer(text):
            inside = any(start <= match.start() and match.end() <= end for start, end in bold)
            found.append(Use(by_name[_key(match["name"])], passage.cell, inside))
    return found


def refused_words(text: str, instead: tuple[Instead, ...]) -> list[tuple[str, Instead]]:
    """Return (what was written, entry) for each word of `text` that the course does not use."""
    found = []
    for entry in instead:
        rest = text
        for phrase in entry.allowed:
            rest = re.sub(rf"\b{_spaced(phrase)}\b", " ", rest, flags=re.I)
        found += [(" ".join(match.group().split()), entry) for match in re.finditer(_refused(entry), rest, re.I)]
    return found


@functools.cache
def _pattern(terms: tuple[Term, ...]) -> tuple[re.Pattern, dict[str, Term]]:
    by_name = {_key(name): term for term in terms for name in (term.term, *term.forms)}
    names = "|".join(_spaced(name) for name in sorted(by_name, key=len, reverse=True))
    return re.compile(rf"(?<![\w.])(?P<name>{names})s?(?!\w)", re.I), by_name


def _key(name: str) -> str:
    return " ".join(name.casefold().split())


def _spaced(phrase: str) -> str:
    """Return the pattern of a phrase, which may be broken into lines."""
    return r"\s+".join(map(re.escape, phrase.split()))


def _refused(entry: Instead) -> str:
    return entry.pattern.replace(" ", r"\s+") if entry.pattern else rf"\b{_spaced(entry.word)}s?\b"

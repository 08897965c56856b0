"""A new chapter from the template: ``python tools/new_lesson.py 05_title``, or ``05b_title`` for a deep dive of chapter 05.

It writes lessons/05_title.py, a small chapter that works, and data/questions/05_title.json. What the author replaces is marked TODO.
Title and question of a chapter that is planned are those of lessons/planned.toml.
"""

import json
import re
import sys
from pathlib import Path

import chapters
import experiment
from links import ROOT

from kdcourse.checks import refuse, shown
from kdcourse.files import written_whole

HERE = Path(__file__).resolve().parent
BEGIN = "# ---\n"  # of a lesson; what stands above it in the template is about the template
LONGEST = 40  # characters of a name, so that the lines of the lesson stay within 100
QUESTION = "TODO: which question does this chapter answer?"
SEEDS, OTHERS = "10 11 12 13 14", "20 21 22 23 24"  # settings are chosen on seeds 0 to 4
NEXT = """\
{files} are a small chapter that works. It becomes a notebook by:

  make experiment NAME={experiment} SEEDS="{SEEDS}" RECORD=1
  make experiment NAME={experiment} SEEDS="{OTHERS}" REPLICATE=1
  make notebooks ARGS="{slugs}"
  make test-notebooks ARGS={slug}
  make notebooks-check ARGS={slug}

Replace what is marked TODO, part by part. Until then the last command fails and names what is left."""


def new_lesson(slug: str, root: Path = ROOT) -> tuple[list[str], str]:
    """Write lesson and question bank of the chapter or deep dive `slug`, both or none; return (their paths, the experiment's name).

    Raises:
        ValueError: a name that no lesson can have, a number that another lesson has, a deep dive without its chapter, a file that is there
            already, or an experiment's name that is taken.
    """
    number, title, name = _checked(slug, root)
    about = chapters.planned(root).get(number, {})
    question = about.get("answers", QUESTION)
    words = {
        "TITLE": about.get("title", title),
        "QUESTION": question,
        "ANSWERS": json.dumps(question, ensure_ascii=False),  # as YAML reads it
        "NUMBER": number.removeprefix("0"),
        "SLUG": slug,
        "EXPERIMENT": name,
    }
    lesson, questions = ((HERE / f"lesson_template.{ending}").read_text(encoding="utf-8") for ending in ("py", "json"))
    lesson = re.sub(f"_({'|'.join(words)})_", lambda match: words[match[1]], BEGIN + lesson.partition(BEGIN)[2])
    paths = _paths(slug)
    with written_whole(root / paths[0]) as first, written_whole(root / paths[1]) as second:
        first.write_text(lesson, encoding="utf-8")
        second.write_text(questions, encoding="utf-8")
    return paths, name


def _paths(slug: str) -> list[str]:
    return [f"lessons/{slug}.py", f"data/questions/{slug}.json"]


def _checked(slug: str, root: Path) -> tuple[str, str, str]:
    """Return (number, title, name of the experiment) that follow from `slug`, if it can become a lesson."""
    named = chapters.SLUG.fullmatch(slug)
    if not named or len(slug) > LONGEST:
        refuse("NAME", f"like 05_title, for a deep dive like 05b_title, with at most {LONGEST} characters", shown(slug))
    for path in _paths(slug):
        if (root / path).exists():
            raise ValueError(f"{path} exists already")
    number, words = slug.split("_", 1)
    others = chapters.slugs(root)
    if taken := [other for other in others if other.startswith(f"{number}_")]:
        refuse("the number of NAME", "one that no lesson has", f"{slug}, and there is lessons/{taken[0]}.py")
    if named[2] and not any(other.startswith(f"{named[1]}_") for other in others):
        raise ValueError(f"a deep dive must have its chapter, got {slug} and no lessons/{named[1]}_*.py")
    name = f"{words}_first"
    if found := experiment.find_all(root).get(name):
        refuse("the experiment's name that NAME gives", "one that no lesson has", f"{name}, and lessons/{found.lesson}.py has it")
    return number, words.replace("_", " ").strip().capitalize(), name


def _has_table(slug: str, root: Path) -> bool:
    """Say whether a page shows the table of the chapters, which a new one changes."""
    return any(chapters.TABLE in cell.source for cell in chapters.read(slug, root))


def main(arguments: list[str] | None = None, root: Path = ROOT) -> int:
    """Run the command line; return the exit code."""
    given = sys.argv[1:] if arguments is None else arguments
    try:
        if len(given) != 1 or not given[0]:
            refuse("NAME", "given, as in make lesson NAME=05_title", " ".join(given) or "none")
        files, name = new_lesson(given[0], root)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    slugs = [slug for slug in chapters.slugs(root) if slug == given[0] or _has_table(slug, root)]
    print(NEXT.format(files=" and ".join(files), slug=given[0], slugs=" ".join(slugs), experiment=name, SEEDS=SEEDS, OTHERS=OTHERS))
    return 0


if __name__ == "__main__":
    sys.exit(main())

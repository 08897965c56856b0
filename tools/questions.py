"""The question banks: ``python tools/questions.py [NAME ...]`` prints each breach of a rule; ``--shuffle`` puts the answers in order.

A rule is a function ``rule(questions) -> [one sentence for each breach]`` that begins with the questions it speaks of. What makes a bank
one at all, `kdcourse.quiz.validate` says. These rules keep the form of the answers from giving the right one away: an author likes to
write it first, and likes to write it longest.
"""

import argparse
import hashlib
import json
import sys
from collections import Counter
from pathlib import Path

from kdcourse import quiz
from kdcourse.files import written_whole

ROOT = Path(__file__).resolve().parent.parent
MOST_TIMES = 2  # the longest option has at most so many times the characters of the shortest,
MORE_ANYWAY = 15  # or so many characters more, because names and numbers are as long as they are
FEW = 3  # below so many questions, right answers in the same place are chance


def shuffled(questions: list[dict]) -> list[dict]:
    """Return the questions, the options of each choice in the order that the hashes of the question's id and the option's text give."""

    def order(identity):
        return lambda answer: hashlib.sha256(f"{identity} {quiz.option(answer)}".encode()).hexdigest()

    return [q | {"answers": sorted(q["answers"], key=order(q["id"]))} if _is_choice(q) else q for q in questions]


def written(questions: list[dict]) -> str:
    """Return a bank as the text of its file: a line for each key and for each answer."""
    blocks = []
    for question in questions:
        lines = [f"{_json(key)}: {_json(value)}" for key, value in question.items() if key != "answers"]
        lines.append('"answers": [\n   ' + ",\n   ".join(map(_json, question["answers"])) + "]")
        blocks.append(" {" + ",\n  ".join(lines) + "}")
    return "[\n" + ",\n".join(blocks) + "\n]\n"


def _json(value) -> str:
    return json.dumps(value, ensure_ascii=False)


def _is_choice(question: dict) -> bool:
    return question["type"].endswith("choice")


def _single_choices(questions: list[dict]) -> list[tuple[int, list[int], int]]:
    """Return (number, lengths of the options, place of the right one) of each question with options of which one is right."""
    found = []
    for number, question in enumerate(questions, 1):
        right = [place for place, answer in enumerate(question["answers"]) if answer.get("correct")]
        if _is_choice(question) and len(right) == 1:
            found.append((number, [len(quiz.option(answer)) for answer in question["answers"]], right[0]))
    return found


# --- rules ---


def are_shuffled(questions):
    """The options stand in the order of `shuffled`."""
    moved = [i for i, (now, then) in enumerate(zip(questions, shuffled(questions), strict=True), 1) if now["answers"] != then["answers"]]
    return [f"question {number}: answers must be in the order that --shuffle gives, got another" for number in moved]


def options_are_alike_in_length(questions):
    """The longest option of a question is not much longer than the shortest."""
    found = []
    for number, question in enumerate(questions, 1):
        sizes = sorted(len(quiz.option(answer)) for answer in question["answers"])
        if _is_choice(question) and sizes[-1] > max(MOST_TIMES * sizes[0], sizes[0] + MORE_ANYWAY):
            allowed = f"at most {MOST_TIMES} times as long as the shortest or {MORE_ANYWAY} characters longer"
            found.append(f"question {number}: the longest answer must be {allowed}, got {sizes[-1]} and {sizes[0]} characters")
    return found


def length_gives_nothing_away(questions):
    """The right option is the longest in at most half of the single choices, and the shortest in at most half; a tie is neither.

    One question may always be so: a bank of one question has no habit.
    """
    found, all_of_them = [], _single_choices(questions)
    most = max(1, len(all_of_them) // 2)
    for extreme, word in ((max, "longest"), (min, "shortest")):
        so = [number for number, sizes, right in all_of_them if sizes[right] == extreme(sizes) and sizes.count(sizes[right]) == 1]
        if len(so) > most:
            found.append(f"{_named(so)}: the right answer must be the {word} in at most {most} of {len(all_of_them)}, got {len(so)}")
    return found


def place_gives_nothing_away(questions):
    """The right options do not all stand in the same place."""
    all_of_them = _single_choices(questions)
    places = Counter(right for _, _, right in all_of_them)
    if len(all_of_them) < FEW or len(places) > 1:
        return []
    numbers, letter = [number for number, *_ in all_of_them], chr(97 + all_of_them[0][2])
    return [f"{_named(numbers)}: the right answers must stand in different places, got {letter}) in each; give one of them another id"]


def _named(numbers: list[int]) -> str:
    return f"questions {', '.join(map(str, numbers))}"


RULES = [are_shuffled, options_are_alike_in_length, length_gives_nothing_away, place_gives_nothing_away]


# --- the command line ---


def breaches(questions: list[dict]) -> list[str]:
    """Return one sentence for each breach of a rule in a bank that `kdcourse.quiz.validate` accepts."""
    return [breach for rule in RULES for breach in rule(questions)]


def main(arguments: list[str] | None = None, root: Path = ROOT) -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", nargs="*", help="banks that are looked at, for example 01_soft_labels (default: all)")
    parser.add_argument("--shuffle", action="store_true", help="write the files with their answers in order")
    chosen = parser.parse_args(arguments)
    files = {path.stem: path for path in sorted((root / "data" / "questions").glob("[!.]*.json"))}
    unknown = [name for name in chosen.name if name not in files]
    if unknown:
        print(f"NAME must be one of {', '.join(files)}, got {', '.join(unknown)}", file=sys.stderr)
        return 2
    banks, found = {}, []
    for path in [files[name] for name in chosen.name or files]:
        try:
            banks[path] = quiz.read(path)
        except ValueError as error:
            found.append(str(error))
    if chosen.shuffle and not found:  # all of the files or none
        for path, questions in banks.items():
            if are_shuffled(questions):
                banks[path] = shuffled(questions)
                with written_whole(path) as temporary:
                    temporary.write_text(written(banks[path]), encoding="utf-8")
    found += [f"data/questions/{path.name}, {breach}" for path, questions in banks.items() for breach in breaches(questions)]
    if found:
        print("\n".join(found), file=sys.stderr)
    else:
        print(f"question banks looked at: {len(banks)}; no rule is broken")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())

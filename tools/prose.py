"""Numbers in a lesson's text, filled in from the recorded experiments when the notebook is built.

A lesson writes ``{{few_labels | full teacher | hard | difference}}``: the record, no, one or two of its variants, and a form. The notebook
gets "+17.3 points". `FORMS` lists the forms for 0, 1 and 2 variants; with ``replication`` before its name a form reads the other seeds of
the record. A verdict is written as a word that must be true: ``{{few_labels | full teacher | hard | wins: beats}}`` becomes "beats", and
the lesson fails when the verdict is another one. So does a sentence that holds a difference and a word of `CLAIMS` that disagrees with it.

Formulas between dollars and code between backquotes stay as they are.
"""

import re
from collections.abc import Callable
from datetime import date
from decimal import ROUND_HALF_UP, Decimal

from kdcourse import evidence
from kdcourse.checks import choice, refuse

TOKEN = re.compile(r"(?P<kept>\$\$.*?\$\$|\$[^$\n]+\$|`[^`\n]+`)|\{\{(?P<asked>[^{}]*)\}\}", re.S)
IN_CODE = re.compile(r"\{\{(?P<asked>\s*\w+\s*\|[^{}]*)\}\}")  # doubled braces of an f-string hold no bar
SENTENCE = re.compile(r"(?<=[.!?:;])\s+|(?<=[。！？；])|\n\s*\n|\n(?=\s*(?:[-*>|#]|\d+\.))")
HELD = re.compile("\0(\\d+)\0")

# What each language writes. A word of `claims` in a sentence with a difference must be what the verdict says.
WORDS = {
    "en": {
        "points": "points",
        "times": "times",
        "seeds": "{} seeds",
        "seconds": "{} seconds",
        "minutes": "{} minutes",
        "hours": "{} hours",
        "date": "{d.day} {month} {d.year}",
        "months": "January February March April May June July August September October November December".split(),
        "verdicts": {"WINS": "wins", "LOSES": "loses", "INCONCLUSIVE": "makes no clear difference"},
        "claims": {
            "WINS": r"\b(?:wins?|won|beats?)\b",
            "LOSES": r"\b(?:loses?|lost)\b",
            "INCONCLUSIVE": r"\bno (?:clear )?difference\b|\binconclusive\b",
        },
        "not": r"(?:\bnot|\bnever|\bneither|n't|\bno longer)\W+(?:\w+\W+){0,2}$",
        "small": "too small to matter",
        "open": r"\bopen\b|\bnot settled\b",
        "cores": ("one core", "{} cores"),
        "recorded": "Recorded on {date}, {seeds}, {time} on {cores}; this cell loads the record; `make experiment NAME={name}` repeats it.",
        "replicated": " A replication ran on {date}, {seeds}.",
        "still": "The same in a still picture, for places where it cannot move.",
        "folded": {"check": "Check your answer", "experiment": "The experiment", "hide-input": "The code of what follows"},
    },
    "zh": {
        "points": "个百分点",
        "times": "倍",
        "seeds": "{} 个随机种子",
        "seconds": "{} 秒",
        "minutes": "{} 分钟",
        "hours": "{} 小时",
        "date": "{d.year} 年 {d.month} 月 {d.day} 日",
        "months": [""] * 12,
        "verdicts": {"WINS": "胜出", "LOSES": "落败", "INCONCLUSIVE": "看不出差别"},
        "claims": {"WINS": "胜出|胜过|优于", "LOSES": "落败|不如|劣于", "INCONCLUSIVE": "没有差别|看不出差别|没有定论"},
        "not": "(?:没有|并未|未能|不再|未)$",
        "small": "小到无关紧要",
        "open": "尚无定论|悬而未决",
        "cores": ("单核", "{} 核"),
        "recorded": "记录于 {date}，{seeds}，{cores} {time}；本单元只读取记录；`make experiment NAME={name}` 可重做。",
        "replicated": "重复实验于 {date} 完成，{seeds}。",
        "still": "静态图，供无法交互的地方使用。",
        "folded": {"check": "检查你的答案", "experiment": "实验", "hide-input": "下面内容的代码"},
    },
}
LANGUAGES = tuple(WORDS)


# --- forms ---


def _amount(*numbers: float, unit: str = "", sign: bool = False) -> str:
    """Return a number, or both ends of an interval, with as many digits as say something, and a true minus."""
    scaled = [evidence.scale_of(unit)[0] * number for number in numbers]
    largest = max(map(abs, scaled))
    decimals = 1 if unit == "percent" else 0 if largest >= 100 else 1 if largest >= 10 else 2
    if any(round(number, decimals) == 0 != number for number in scaled):
        decimals += 1  # what is not 0 does not print as 0
    return ", ".join(f"{_rounded(number, decimals):{'+' if sign else ''},.{decimals}f}" for number in scaled).replace("-", "−")


def _rounded(number: float, decimals: int) -> Decimal:
    """Return a number as a reader rounds it who sees two more decimals in a picture: 1.35 is 1.4, whatever its binary form is."""
    return Decimal(repr(round(number, 9))).quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_UP)


def _unit(unit: str, words: dict, of_difference: bool) -> str:
    if unit == "percent":
        return f" {words['points']}" if of_difference else "%"
    return f" {words.get(unit, unit)}"


def _value(pick: Callable):
    return lambda record, words, variant: _amount(pick(record.values[variant]), unit=record.unit) + _unit(record.unit, words, False)


def _mean(values):
    return sum(values) / len(values)


def _difference(record, words, variant, baseline):
    return _amount(record.comparison(variant, baseline).difference, unit=record.unit, sign=True) + _unit(record.unit, words, True)


def _size(record, words, variant, baseline):
    return _amount(abs(record.comparison(variant, baseline).difference), unit=record.unit) + _unit(record.unit, words, True)


def _interval(record, words, variant, baseline):
    found = record.comparison(variant, baseline)
    if found.low is None:
        refuse("an interval", f"of {evidence.LEAST_SEEDS} seeds or more", f"{found.seeds} of {record.name}")
    return f"[{_amount(found.low, found.high, unit=record.unit)}]"


def _ratio(record, words, variant, baseline):
    means = record.means
    if means[baseline] == 0:
        refuse("the baseline of a ratio", "a variant whose mean is not 0", repr(baseline))
    return _amount(means[variant] / means[baseline])


def _time(seconds: float, words: dict) -> str:
    for unit, size in (("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return words[unit].format(round(seconds / size))
    return words["seconds"].format(max(1, round(seconds)))


def _date(text: str, words: dict) -> str:
    day = date.fromisoformat(text)
    return words["date"].format(d=day, month=words["months"][day.month - 1])


FORMS = {
    0: {
        "seeds": lambda record, words: words["seeds"].format(len(record.seeds)),
        "time": lambda record, words: _time(record["seconds"], words),
        "date": lambda record, words: _date(record["date"], words),
    },
    1: {"mean": _value(_mean), "lowest": _value(min), "highest": _value(max)},
    2: {"difference": _difference, "size": _size, "interval": _interval, "ratio": _ratio},
}  # "73.8%" · "+11.2 points", "11.2 points", "[10.1, 12.2]", "5.1": the unit of a ratio is the author's
VERDICTS = {"wins": "WINS", "loses": "LOSES", "no difference": "INCONCLUSIVE"}


# --- filling in ---


def filled(source: str, language: str = "en", *, code: bool = False, load: Callable = evidence.load) -> str:
    """Return a lesson's text with its numbers, or a code cell with those of its strings.

    Args:
        source: Markdown or code.
        language: one of `LANGUAGES`.
        code: whether it is code; there braces mean something else unless a bar stands between them.
        load: gives a record for its name.

    Raises:
        ValueError: an unknown record, variant, form or language, a word that the verdict does not allow, or an interval below 5 seeds;
            the sentence quotes the placeholder.
    """
    words, found = WORDS[choice("language", language, LANGUAGES)], []

    def hold(match):
        asked = match.group("asked")
        if asked is None:
            return match.group("kept")
        try:
            found.append(_resolved(asked, words, load))
        except ValueError as error:
            raise ValueError(f"{{{{{asked}}}}}: {error}") from None
        return f"\0{len(found) - 1}\0"

    text = (IN_CODE if code else TOKEN).sub(hold, source)
    for sentence in SENTENCE.split(text):
        pairs = [found[int(place)][1] for place in HELD.findall(sentence)]
        said = HELD.sub(lambda match: found[int(match.group(1))][0], sentence)
        if any(pairs):
            _agree(said, [pair for pair in pairs if pair], words)
    return HELD.sub(lambda match: found[int(match.group(1))][0], text)


def recorded(name: str, language: str = "en", load: Callable = evidence.load) -> str:
    """Return the line that stands above the cell of the experiment `name`: when, on how many seeds and in what time it was recorded.

    Raises:
        ValueError: no such record, or an unknown language.
    """
    words, record = WORDS[choice("language", language, LANGUAGES)], load(name)
    again, zero = record.replication, FORMS[0]
    parts = {form: write(record, words) for form, write in zero.items()}
    cores = words["cores"][record["cores"] > 1].format(record["cores"])
    line = words["recorded"].format(name=name, cores=cores, **parts)
    if again:
        line += words["replicated"].format(seeds=zero["seeds"](again, words), date=zero["date"](again, words))
    return f"*{line}*"


def _resolved(asked: str, words: dict, load: Callable):
    """Return (the text, the comparison that it speaks of with its replication, or None)."""
    name, *variants = [part.strip() for part in asked.split("|")]
    if not variants:
        refuse("a number", "written as record | variants | form", repr(name))
    form = variants.pop()
    if len(variants) > 2:
        refuse("a number", "of at most 2 variants", " | ".join(variants))
    record = load(name)
    for variant in variants:
        choice("variant", variant, record.values)
    form, _, own_word = (part.strip() for part in form.partition(":"))
    if len(variants) == 2 and form in VERDICTS:
        comparison = record.comparison(*variants)
        _true(VERDICTS[form], comparison)
        return own_word or words["verdicts"][comparison.verdict], (comparison, _again(record, variants))
    source, again = record, form.removeprefix("replication ")
    if again != form:
        source = record.replication
        if source is None:
            refuse("a replication", "in the record", f"none in {name}")
    forms = FORMS[len(variants)]
    text = forms[choice("form", again, [*forms, *(VERDICTS if len(variants) == 2 else ())])](source, words, *variants)
    speaks = len(variants) == 2 and again != "ratio"
    return text, (source.comparison(*variants), _again(record, variants)) if speaks else None


def _again(record, variants):
    return record.replication.comparison(*variants) if record.replication else None


def _true(verdict: str, comparison) -> None:
    if verdict != comparison.verdict:
        pair = f"{comparison.variant!r} against {comparison.baseline!r}"
        refuse("the word", f"what the verdict says, {comparison.label}", f"{verdict} for {pair}")


def _agree(sentence: str, pairs: list, words: dict) -> None:
    """Refuse a sentence whose words are not what its comparisons say.

    Raises:
        ValueError: a word without a comparison of this verdict or a comparison without its word; a difference too small to matter, or one
            that the replication does not carry, that is told without saying so.
    """
    verdicts, shown = {one.verdict for one, _ in pairs}, " ".join(sentence.split())
    told = set()
    for verdict, pattern in words["claims"].items():
        for match in re.finditer(pattern, sentence, re.I):
            denied = re.search(words["not"], sentence[: match.start()], re.I)
            allowed = set(words["claims"]) - {verdict} if denied else {verdict}
            told |= allowed
            if not verdicts & allowed:
                refuse("a sentence", f"of the verdict {' and '.join(sorted(verdicts))}", f"{match.group()!r} in {shown!r}")
    if not told:
        return
    for one, again in pairs:
        name = f"{one.variant!r} against {one.baseline!r}"
        if one.verdict not in told:
            refuse("a sentence", f"of every verdict that it quotes, {one.verdict} for {name} too", repr(shown))
        if one.label != one.verdict and words["small"] not in shown:
            refuse("a sentence", f'with the words "{words["small"]}", as {name} is', repr(shown))
        if again and again.verdict != one.verdict and not re.search(words["open"], sentence, re.I):
            refuse("a sentence", f"told as open, for the replication of {name} says {again.label}", repr(shown))

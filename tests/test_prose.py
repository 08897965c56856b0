"""Numbers in prose (tools/prose.py): what each form writes, and every sentence that is refused."""

import prose
import pytest

from kdcourse import evidence

HIGH, LOW = [0.80, 0.81, 0.82, 0.83, 0.84], [0.70, 0.71, 0.72, 0.73, 0.735]
SHAKY = [0.60, 0.80, 0.70, 0.76, 0.75]


def toy(**more):
    """A record: b wins against a, c against a is open, d wins by too little; its replication carries nothing of b."""
    values = {"a": LOW, "b": HIGH, "c, T=0.5": SHAKY, "d": [v + 0.001 for v in LOW]}
    data = {"experiment": "toy", "metric": "accuracy", "unit": "percent", "higher_is_better": True, "seeds": list(range(5))}
    data |= {"values": values, "compare": [["b", "a"]], "date": "2026-11-24", "seconds": 4693.0, "cores": 1}
    return evidence.Record(data | more)


def filled(text, language="en", record=None, **how):
    return prose.filled(text, language, load=lambda name: record or toy(), **how)


AGAIN = {"seeds": [5, 6, 7, 8, 9], "date": "2026-11-25", "seconds": 60.0, "cores": 1, "comparisons": []}


def with_replication(carries):
    values = toy().values if carries else toy().values | {"b": SHAKY}
    return toy(replication=AGAIN | {"values": values})


@pytest.mark.parametrize(
    ("asked", "english", "chinese"),
    [
        ("b | mean", "82.0%", "82.0%"),
        ("b | lowest", "80.0%", "80.0%"),
        ("b | highest", "84.0%", "84.0%"),
        ("b | a | difference", "+10.1 points", "+10.1 个百分点"),
        ("a | b | difference", "−10.1 points", "−10.1 个百分点"),
        ("a | b | size", "10.1 points", "10.1 个百分点"),
        ("b | a | interval", "[9.8, 10.4]", "[9.8, 10.4]"),
        ("b|a|ratio", "1.14", "1.14"),
        ("b | a | wins", "wins", "胜出"),
        ("b | a | wins: is ahead", "is ahead", "is ahead"),
        ("a | b | loses: is behind", "is behind", "is behind"),
        ("c, T=0.5 | a | no difference: is close", "is close", "is close"),
        ("seeds", "5 seeds", "5 个随机种子"),
        ("time", "78 minutes", "78 分钟"),
        ("date", "24 November 2026", "2026 年 11 月 24 日"),
    ],
)
def test_each_form_in_two_languages(asked, english, chinese):
    assert filled(f"so {{{{toy | {asked}}}}}") == f"so {english}"
    assert filled(f"so {{{{ toy|{asked} }}}}", "zh") == f"so {chinese}"


def test_a_number_rounds_as_a_reader_rounds_the_picture():
    half = toy(values={"a": [0.70] * 5, "b": [0.7135, 0.7125, 0.7145, 0.7135, 0.7135]})  # +1.35 points, in binary a little less
    assert filled("{{t | b | a | difference}} and {{t | a | b | difference}}", record=half) == "+1.4 points and −1.4 points"


def test_other_units_and_small_numbers():
    other = toy(unit="kB", matters=0, values={"a": [2000.0] * 5, "b": [12.34] * 5, "c": [0.004] * 5})
    assert filled("{{t | a | mean}}, {{t | b | mean}}, {{t | c | mean}}", record=other) == "2,000 kB, 12.3 kB, 0.004 kB"
    tiny = toy(values={"a": LOW, "b": [v + e for v, e in zip(LOW, (0.0002, 0.0004, 0.0006, 0.0004, 0.0003), strict=True)]})
    assert filled("{{t | b | a | difference}} {{t | b | a | interval}}", record=tiny) == "+0.04 points [0.02, 0.06]"


def test_seconds_minutes_hours():
    def time(seconds):
        return filled("{{t | time}}", record=toy(seconds=seconds))

    assert [time(s) for s in (0.2, 119, 121, 7199, 7201)] == ["1 seconds", "119 seconds", "2 minutes", "120 minutes", "2 hours"]


def test_a_replication_is_read_by_its_own_forms():
    record = with_replication(True)
    assert filled("{{t | replication seeds}}, {{t | b | a | replication difference}}", record=record) == "5 seeds, +10.1 points"


def test_formulas_and_code_stay():
    kept = r"$\frac{{a}}{{b}}$ and $$x_{{i | j}}$$ and `{{toy | b | mean}}`"
    assert filled(kept) == kept
    assert filled('f"{{x}}" + "{{toy | b | mean}}"', code=True) == 'f"{{x}}" + "82.0%"'


REFUSED = [
    ("{{toy}}", "a number must be written as record | variants | form, got 'toy'"),
    ("{{toy | e | mean}}", "variant must be one of a, b, c, T=0.5, d, got 'e'"),
    ("{{toy | b | average}}", "form must be one of mean, lowest, highest, got 'average'"),
    ("{{toy | b | a | mean}}", "form must be one of difference, size, interval, ratio, wins, loses, no difference, got 'mean'"),
    ("{{toy | b | a | d | mean}}", "a number must be of at most 2 variants, got b | a | d"),
    ("{{toy | a | replication mean}}", "a replication must be in the record, got none in toy"),
    ("{{toy | a | b | wins}}", "the word must be what the verdict says, LOSES, got WINS for 'a' against 'b'"),
    ("A wins by {{toy | a | b | size}}.", "a sentence must be of the verdict LOSES, got 'wins' in 'A wins by 10.1 points.'"),
    ("B loses: no. B lost by {{toy | b | a | size}}.", "a sentence must be of the verdict WINS, got 'lost'"),
    ("B made no difference, {{toy | b | a | interval}}.", "a sentence must be of the verdict WINS, got 'no difference'"),
    ("C beats A, {{toy | c, T=0.5 | a | difference}}.", "a sentence must be of the verdict INCONCLUSIVE, got 'beats'"),
    ("B does not win, {{toy | b | a | size}}.", "a sentence must be of the verdict WINS, got 'win'"),
    ("B wins {{toy | b | a | size}} and C {{toy | c, T=0.5 | a | size}}.", "of every verdict that it quotes, INCONCLUSIVE for 'c, T=0.5'"),
    ("D wins by {{toy | d | a | size}}.", "a sentence must be with the words \"too small to matter\", as 'd' against 'a' is"),
]


@pytest.mark.parametrize(("text", "message"), REFUSED)
def test_what_is_refused(text, message):
    with pytest.raises(ValueError) as error:
        filled(text)
    assert message in str(error.value)


def test_a_sentence_may_say_what_is_so():
    for text in (
        "B wins by {{toy | b | a | size}}. A loses by {{toy | a | b | size}}.",
        "C does not win: {{toy | c, T=0.5 | a | difference}} is no difference.",
        "D wins by {{toy | d | a | size}}, which is too small to matter.",
        "B wins ({{toy | b | a | size}}), A loses ({{toy | a | b | size}}).",
        "The lost digit: {{toy | b | mean}}.",
    ):
        assert "{{" not in filled(text)
    with pytest.raises(ValueError, match="got '胜过'"):
        filled("甲胜过乙 {{toy | a | b | size}}。", "zh")
    assert filled("甲没有胜过乙 {{toy | a | b | size}}。", "zh").startswith("甲没有胜过乙 10.1")


def test_a_claim_that_the_replication_does_not_carry_is_told_as_open():
    claim = "B wins by {{toy | b | a | size}}{}."
    assert filled(claim.replace("{}", ""), record=with_replication(True))
    with pytest.raises(ValueError, match="a sentence must be told as open, for the replication of 'b' against 'a' says INCONCLUSIVE"):
        filled(claim.replace("{}", ""), record=with_replication(False))
    assert filled(claim.replace("{}", " here, but this is open"), record=with_replication(False))
    later = toy(values=toy().values | {"b": SHAKY}, replication=AGAIN | {"values": toy().values})
    with pytest.raises(ValueError, match="told as open, for the replication of 'b' against 'a' says WINS"):
        filled("Here {{toy | b | a | no difference}} was found.", record=later)


def test_no_interval_below_five_seeds():
    few = toy(seeds=[0, 1], values={"a": LOW[:2], "b": HIGH[:2]})
    with pytest.raises(ValueError, match="an interval must be of 5 seeds or more, got 2 of toy"):
        filled("{{toy | b | a | interval}}", record=few)


def test_an_unknown_language_is_refused():
    with pytest.raises(ValueError, match="language must be one of en, zh, got 'xx'"):
        filled("", "xx")


def test_the_line_above_an_experiment():
    assert prose.recorded("toy", load=lambda name: toy()) == (
        "*Recorded on 24 November 2026, 5 seeds, 78 minutes on one core; this cell loads the record; "
        "`make experiment NAME=toy` repeats it.*"
    )
    two = prose.recorded("toy", load=lambda name: with_replication(True).on([1, 2], {"a": [0, 1], "b": [0, 1]}))
    assert two.endswith("repeats it. A replication ran on 25 November 2026, 5 seeds.*")
    assert "2 cores" in prose.recorded("toy", load=lambda name: toy(cores=2))
    assert "单核 78 分钟" in prose.recorded("toy", "zh", load=lambda name: toy())


def test_both_languages_have_every_word():
    assert {frozenset(words) for words in prose.WORDS.values()} == {frozenset(prose.WORDS["en"])}
    assert all(set(words["claims"]) == set(words["verdicts"]) == {"WINS", "LOSES", "INCONCLUSIVE"} for words in prose.WORDS.values())

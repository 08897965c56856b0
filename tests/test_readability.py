"""How easily a text reads (tools/readability.py): known figures, syllables, sentences."""

import pytest
import readability
from readability import measure, sentences, syllables


def test_the_grade_is_that_of_the_published_formula():
    cat = measure("The cat sat on the mat.")
    assert (cat.words, cat.sentences, cat.syllables) == (6, 1, 6) and cat.grade == pytest.approx(0.39 * 6 + 11.8 - 15.59)
    # an example of many textbooks: 16 words of 23 syllables, Flesch's reading ease 69
    passage = measure("This sentence, taken as a reading passage unto itself, is being used to prove a point.")
    assert 206.835 - 1.015 * passage.words_a_sentence - 84.6 * passage.syllables / passage.words == pytest.approx(69, abs=0.5)
    assert passage.grade == pytest.approx(7.61, abs=0.01) and str(passage) == "16.0 words a sentence, Flesch-Kincaid grade 7.6"


def test_two_sentences_share_their_words():
    both = measure("The cat sat on the mat. It was a cold and early morning in the month of May.")
    assert (both.words, both.sentences, both.syllables) == (18, 2, 20) and both.words_a_sentence == 9


def test_a_text_without_words_measures_nothing():
    assert measure("") == (0, 0, 0) and measure("* * *").grade == 0 and measure("").words_a_sentence == 0


COUNTED = {
    1: "a the make makes trained called used shown bright through loss whole years don't weights world one rule 3,000 2015 T",
    2: "table tables rated sizes searches classes shuffled hundred merely careful something baseline notebook therefore layer being "
    "prism isn't epoch technique KL teacher's image answer special people bias",
    3: "idea linear variance distilling gradients' medium actual example library created influence entropy probable accurate argument "
    "reduces MNS make-believe",
    4: "distillation validation information classifier variable logarithm accuracy geometry experience quantization parameter",
    5: "vocabulary probability classification",
}


@pytest.mark.parametrize(("wanted", "word"), [(n, word) for n, words in COUNTED.items() for word in words.split()])
def test_syllables(wanted, word):
    assert syllables(word) == wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("It wins. It loses! Why? Nobody knows", ["It wins", "It loses", "Why", "Nobody knows"]),
        ("It costs 0.5 points, e.g. in Fig. 3 of Guo et al. (2017).", 1),
        ("By G. Hinton and T. Cover.", 1),
        ('He said "no." Then he left.', ['He said "no', "Then he left."]),
        ("- first item\n- second item,\n  which goes on\n\nA paragraph", ["first item", "second item, which goes on", "A paragraph"]),
        ("1. one thing\n2. another thing", ["one thing", "another thing"]),
        ("It comes from part\n4. And so on.", 2),
        ("> A quotation\n> goes on.", ["A quotation goes on."]),
        ("**Answer.** It wins. *Follow-up.* Why?", ["It wins", "Why?"]),
        ("**Predict\nfirst.** Which one?", ["Which one?"]),
        ("How many? · Which one?", 2),
        ("A **bold** word and *another* one.", 1),
    ],
)
def test_sentences(text, wanted):
    found = sentences(text)
    assert len(found) == wanted if isinstance(wanted, int) else found == wanted


def test_a_number_is_a_word_and_a_mark_is_none():
    found = readability.WORD.findall("At 1,000 digits, 95% - or so - don't use well-kept.")
    assert found == ["At", "1,000", "digits", "95", "or", "so", "don't", "use", "well-kept"]

"""How easily a text reads: words a sentence, and the grade of Flesch and Kincaid (the years of school that it asks of a reader).

J. P. Kincaid, R. P. Fishburne, R. L. Rogers, B. S. Chissom (1975), "Derivation of new readability formulas for Navy enlisted personnel".
The grade needs syllables. They are counted by rules of spelling, so that nothing has to be downloaded: of 11,000 words of this course and
of 140,000 words of scikit-learn's documentation, 1% get another number than in the CMU Pronouncing Dictionary, and the sums differ by 0.3%.
"""

import re
from typing import NamedTuple

BLOCK = re.compile(r"\n\s*\n|\n(?=\s*(?:[-*+]|\d+\.) \S)| · ")  # paragraphs, items of a list
MARK = re.compile(r"^\s*(?:>\s?)*(?:[-*+]\s|\d+\.\s)?", re.M)
LABEL = re.compile(r"(\*{1,2})(?=[^*\s])[^*]{1,40}[.:]\1")  # **Answer.** and the like are no sentences
SHORT = re.compile(r"\b(et al|e\.g|i\.e|vs|cf|resp|approx|Fig|Eq|[A-Z])\.(?=\s|,)")
END = re.compile(r"[.!?][\"'”’)*_]*\s+(?=[\"'“‘(*_]*[A-Z\d])")
WORD = re.compile(r"[^\W_]+(?:['’.,-][^\W_]+)*")
GROUP = re.compile("[aeiouy]+")
SILENT = re.compile(  # vowels that are written and not spoken
    r"""(?<=[^aeiouy])(?<![^aeiouyr]l)e$  # make, whole; not table
    | (?<=[^aeiouydt])(?<![^aeiouylr][lr])ed$  # trained, called; not rated, shuffled, hundred
    | (?<=[^aeiouycgszx])(?<![cs]h)(?<![^aeiouyr]l)es$  # makes; not sizes, searches, tables
    | (?<=[gq])ues?$  # technique
    | (?<=[^aeiouy])(?<![^aeiouy]l)e(?=(?:ful|less|ly|ment|ness)s?$)  # merely, careful
    | (?<=^bas)e(?=line) | (?<=^not)e(?=book) | (?<=^som)e(?=.) | (?<=^[tw]her)e(?=.)  # words made of two""",
    re.X,
)
APART = re.compile(  # sounds that have no group of vowels of their own
    r"""(?<![cgstx])i(?=[ao]|e[rt]|en[ct]|u[ms])  # bias, classifier, gradient, medium; not special
    | (?<![gq])u(?=a[lt]|e[nl])  # actual, evaluate, influence; not equal, sequence
    | [aeouy](?=ing) | ay(?=er)  # being, layer
    | cre(?=at[ei]) | e(?=o(?!p)) | (?<=[aeiou][^aeiouy])e(?=a$) | (?<=in)e(?=ar)  # create, theory, idea, linear
    | (?<=[aeiouy])(?:s|th)(?=ms?$) | (?<=[ds])n(?='t)  # mechanism, algorithm, isn't""",
    re.X,
)


class Readability(NamedTuple):
    """What `measure` finds in a text."""

    words: int
    sentences: int
    syllables: int

    @property
    def words_a_sentence(self) -> float:
        """The mean length of a sentence."""
        return self.words / self.sentences if self.sentences else 0.0

    @property
    def grade(self) -> float:
        """The grade of Flesch and Kincaid."""
        return 0.39 * self.words_a_sentence + 11.8 * self.syllables / self.words - 15.59 if self.words else 0.0

    def __str__(self) -> str:
        """Return both figures as they are printed."""
        return f"{self.words_a_sentence:.1f} words a sentence, Flesch-Kincaid grade {self.grade:.1f}"


def measure(text: str) -> Readability:
    """Measure a text: paragraphs between empty lines, items of lists, quotations and emphasis as in Markdown."""
    found = [WORD.findall(sentence) for sentence in sentences(text)]
    return Readability(sum(map(len, found)), len(found), sum(syllables(word) for sentence in found for word in sentence))


def sentences(text: str) -> list[str]:
    """Return the sentences of a text; an item of a list is at least one, whatever it ends with. Labels such as ``**Answer.**`` are none."""
    blocks = [SHORT.sub(r"\1", LABEL.sub(" ", MARK.sub("", block))) for block in BLOCK.split(text)]
    found = [sentence for block in blocks for sentence in END.sub("\0", block).split("\0")]
    return [" ".join(sentence.split()) for sentence in found if WORD.search(sentence)]


def syllables(word: str) -> int:
    """Count the syllables of an English word, at least 1: a number counts as 1, capitals without a vowel as their letters."""
    if re.fullmatch("[B-DF-HJ-NP-TV-XZ]{2,}s?", word):
        return len(word.removesuffix("s"))
    if "-" in word:
        return sum(map(syllables, filter(None, word.split("-"))))
    spoken = word.lower().replace("’", "'").removesuffix("'s").removesuffix("'")
    return max(1, len(GROUP.findall(spoken)) - len(SILENT.findall(spoken)) + len(APART.findall(spoken)))

"""The text explorer: type a sentence, and see a teacher's and a student's soft labels side by side, with the time each took.

A new text needs a running kernel, which asks both models. The page (text_explorer.js) does the rest, so the temperature lives without one,
and so does the choice among the texts that were answered; its numbers are held against `kdcourse.soft_labels` by tests/browser.
"""

import statistics
import time
from typing import NamedTuple

import numpy as np
import traitlets

from kdcourse import checks
from kdcourse.soft_labels import softmax, warn_if_probabilities

from ._page import T_MAX, T_MIN, Checked, Explorer, page

MOST_CALLS, LONG = 9, 5.0  # a quick model is asked so often, but only for so many ms: one call of 0.05 ms is no measurement
SPARE = 1.0  # seconds that answers to the examples may take before anything is shown
MOST_TEXTS, MOST_LETTERS = 20, 1000  # beside the examples, what is kept for a page without a kernel and lies in the saved notebook
DIGITS = 9  # of a logit in the page: all that a float32 has


class Answer(NamedTuple):
    """What a model said: logits, shape ``(classes,)``, and the milliseconds that a call took."""

    logits: np.ndarray
    milliseconds: float


class TextExplorer(Explorer):
    """Type a text, move the temperature, and compare what two models say and how long they take.

    Args:
        teacher: a function from a text (str) to logits, shape ``(classes,)``; None shows the student alone.
        student: the same.
        class_names: one name a class, at least 2, all different.
        text: the first text; the models must have an answer to it.
        temperature: where the slider starts, in 0.25..20; it divides the logits of both.
        names: what the teacher and the student are called on the page.
        examples: texts to choose from; without any there is no menu. Those that are answered within a second can be shown without a kernel.

    The traits `text` and `temperature` can be set and observed. `logits`, `soft_labels` ({name: array of shape ``(classes,)``}) and
    `milliseconds` ({name: median of a quick model's calls, the one call of a slow model}) can be read at any time and belong to the last
    text that all models answered. `message` says why `text` has no answer; it is "" when it has one. A text is asked about once: the
    answers to the examples and to the last 20 other texts are kept, here and in the page.

    Raises:
        ValueError: a model that is no function, has no answer to the first text, or does not give one finite number a class (a teacher of
            other labels); class names, names or examples that are no different strings; a text without a word; a temperature outside
            0.25..20.
    """

    _esm, _css = page("text_explorer")

    text = traitlets.Unicode().tag(sync=True)
    temperature = Checked(1.0, checks.number, T_MIN, T_MAX)
    class_names = traitlets.List(traitlets.Unicode()).tag(sync=True)
    names = traitlets.Dict().tag(sync=True)  # by role: teacher, student
    examples = traitlets.List(traitlets.Unicode()).tag(sync=True)
    answers = traitlets.List(traitlets.Dict()).tag(sync=True)  # by text, the one shown last
    refused = traitlets.Dict().tag(sync=True)  # the last text without an answer, and why

    def __init__(
        self,
        teacher,
        student,
        class_names,
        *,
        text="The engine of my car makes a strange noise when it is cold.",
        temperature=1.0,
        names=("teacher", "student"),
        examples=(),
        **traits,
    ):
        """Check everything first, and ask: a mistake shows here, and not while somebody types."""
        class_names = checks.names("class_names", class_names, least=2)
        names, examples = checks.names("names", names), checks.names("examples", examples, least=0)
        if len(names) != 2:
            checks.refuse("names", "one for the teacher and one for the student", len(names))
        if not isinstance(text, str) or not text.strip():
            checks.refuse("text", "a string with at least one word", checks.shown(text))
        self._models = {"student": student} if teacher is None else {"teacher": teacher, "student": student}
        for role, model in self._models.items():
            if not callable(model):
                checks.refuse(role, "a function from a text to logits", checks.shown(model))
        self._classes, self._examples, self._kept = len(class_names), set(examples), {}
        self._ask(text)  # the first call of a network is a slow one: it does not count
        for role, answer in self._kept.pop(text).items():
            warn_if_probabilities(answer.logits[None], f"{role}'s logits", stacklevel=3)
        start = time.perf_counter()
        for example in examples:
            if time.perf_counter() - start < SPARE:
                self._try(example)
        self._ask(text)
        roles = dict(zip(("teacher", "student"), names, strict=True))
        start = {"class_names": class_names, "names": roles, "examples": examples, "text": text, "temperature": temperature}
        super().__init__(**start, answers=self._for_page(), **traits)
        self.observe(self._typed, "text")

    @property
    def logits(self) -> dict[str, np.ndarray]:
        """What the models said, before any softmax, by name."""
        return {self.names[role]: answer.logits.copy() for role, answer in self._shown.items()}

    @property
    def soft_labels(self) -> dict[str, np.ndarray]:
        """The softmax of the logits at this temperature, by name."""
        return {name: softmax(logits, self.temperature) for name, logits in self.logits.items()}

    @property
    def milliseconds(self) -> dict[str, float]:
        """How long a call took, by name."""
        return {self.names[role]: answer.milliseconds for role, answer in self._shown.items()}

    @property
    def message(self) -> str:
        """Why the text has no answer, or nothing."""
        return self.refused["why"] if self.refused.get("text") == self.text else ""

    @property
    def _shown(self) -> dict[str, Answer]:
        return next(reversed(self._kept.values()))

    def __repr__(self):
        """Say what stands here, for places that show no widgets, such as a notebook's preview."""
        return "A text box over a teacher and a student: run this cell in JupyterLab, Colab or Binder, and type."

    def _typed(self, change):
        why = self._try(self.text)
        if why:
            self.refused = {"text": self.text, "why": why}
        else:
            self.answers = self._for_page()

    def _try(self, text: str) -> str:
        """Ask about a text; return why there is no answer, or nothing."""
        try:
            self._ask(text)
        except ValueError as error:
            return str(error)
        return ""

    def _ask(self, text: str) -> None:
        """Put the models' answers to a text at the end of those that are kept."""
        checks.require(text.strip(), "There is no word in the text")
        answers = self._kept.pop(text, None) or {role: self._asked(role, model, text) for role, model in self._models.items()}
        typed = [one for one in self._kept if one not in self._examples]
        gone = {one for one in typed if len(one) > MOST_LETTERS} | set(typed[: 1 - MOST_TEXTS])
        self._kept = {one: kept for one, kept in self._kept.items() if one not in gone} | {text: answers}

    def _asked(self, role: str, model, text: str) -> Answer:
        """Return a model's answer; any failure becomes a ValueError of one sentence."""
        times = []
        while not times or (len(times) < MOST_CALLS and sum(times) < LONG):
            start = time.perf_counter()
            try:
                logits = np.asarray(model(text))
            except Exception as error:  # of whatever kind: the model is not ours
                reason = " ".join((str(error).strip() or type(error).__name__).splitlines()[0][:200].split())
                raise ValueError(f"{role} has no answer to this text: {reason}") from error
            times.append(1000 * (time.perf_counter() - start))
        if logits.shape != (self._classes,):
            hint = f": is it a {role} of other labels?" if logits.ndim == 1 else ""
            wish = f"an array of shape ({self._classes},), one for each of class_names"
            checks.refuse(f"{role}'s logits", wish, f"shape {logits.shape}{hint}")
        return Answer(checks.array(f"{role}'s logits", logits, (self._classes,), dtype=np.float64), statistics.median(times))

    def _for_page(self) -> list[dict]:
        def numbers(answer):
            return {"logits": [float(f"{x:.{DIGITS}g}") for x in answer.logits], "ms": float(f"{answer.milliseconds:.3g}")}

        return [{"text": text} | {role: numbers(answer) for role, answer in kept.items()} for text, kept in self._kept.items()]

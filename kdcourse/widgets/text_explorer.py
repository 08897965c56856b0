"""The text explorer: type a sentence, and see a teacher's and a student's soft labels side by side, with the time each took.

It needs a running kernel: a new text is given to both models, a new temperature only to the logits that were kept.
"""

import html
import io
import math
import statistics
import time
from typing import NamedTuple

import ipywidgets
import numpy as np
import traitlets
from PIL import Image, ImageColor, ImageDraw

from kdcourse.plots import BLACK, BLUE, GREY, ORANGE
from kdcourse.soft_labels import checked_logits, entropy, softmax

from ._shared import PATIENCE, QUIET, T_MAX, T_MIN, Burst, as_trait, checked_number, font

# The positions of TemperatureExplorer's slider: 16 of them double the temperature; three digits are shown and used
TEMPERATURES = tuple(min(T_MAX, float(f"{2 ** (step / 16):.3g}")) for step in range(-32, 71))
MOST_ROWS = 6  # classes by name; the others share one more row
MOST_CALLS, LONG = 9, 5.0  # a quick model is asked so often, but only for so many ms: one call of 0.05 ms is no measurement
COLORS = {"teacher": BLUE, "student": ORANGE}


class Answer(NamedTuple):
    """What a model said: logits, shape ``(classes,)``, and the milliseconds that a call took."""

    logits: np.ndarray
    milliseconds: float


class TextExplorer(ipywidgets.VBox):
    """Type a text, move the temperature, and compare what two models say and how long they take.

    Args:
        teacher: a function from a text (str) to logits, shape ``(classes,)``; None shows the student alone.
        student: the same.
        class_names: one name a class, at least 2, all different.
        text: the first text; the models must have an answer to it.
        temperature: where the slider starts, in 0.25..20; it divides the logits of both.
        names: what the teacher and the student are called on the page.
        examples: texts to choose from; without any there is no menu.

    The traits `text` and `temperature` can be set and observed. `logits`, `soft_labels` ({name: array of shape ``(classes,)``}) and
    `milliseconds` ({name: median of a quick model's calls, the one call of a slow model}) can be read at any time and belong to the last
    text that all models answered. `message` says why `text` has no answer; it is "" when it has one.

    Raises:
        ValueError: a model that is no function, has no answer to the first text, or does not give one finite number a class (a teacher of
            other labels); class names, names or examples that are no different strings; a text without a word; a temperature outside
            0.25..20.
    """

    text = traitlets.Unicode()
    temperature = traitlets.Any(1.0)

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
    ):
        """Check everything first: a mistake shows here, and not while somebody types."""
        self._class_names = _checked_strings(class_names, "class_names", least=2)
        names = _checked_strings(names, "names")
        if len(names) != 2:
            raise ValueError(f"names must be one for the teacher and one for the student, got {len(names)}")
        self._examples = _checked_strings(examples, "examples")
        if not isinstance(text, str) or not text.strip():
            raise ValueError(f"text must be a string with at least one word, got {text!r:.60}")
        start = {"text": text, "temperature": checked_number(temperature, "temperature", T_MIN, T_MAX)}
        models = {"student": student} if teacher is None else {"teacher": teacher, "student": student}
        for role, model in models.items():
            if not callable(model):
                raise ValueError(f"{role} must be a function from a text to logits, got {model!r:.60}")
            self._asked(role, model, text)  # also because the first call of a network is a slow one
        self._names = {"teacher": names[0], "student": names[1]}
        self._models, self._answers = models, {}
        self._tried = self._answered = None  # texts
        self._message = ""
        self._label_width = _label_width(self._class_names)
        self._burst = Burst(self._redraw)

        full, described = f"{WIDTH}px", {"style": {"description_width": "initial"}}
        area = ipywidgets.Textarea(description="Text", rows=3, layout={"width": full, "max_width": "100%"}, **described)
        self._slider = ipywidgets.SelectionSlider(
            options=[(f"{T:g}", T) for T in TEMPERATURES],
            value=_position(start["temperature"]),
            description="Temperature",
            layout={"width": "380px"},
            **described,
        )
        options = [("choose one, or type above", ""), *((_cut(example, 60), example) for example in self._examples)]
        self._menu = ipywidgets.Dropdown(options=options, description="Example", layout={"width": "480px"}, **described)
        controls = [self._slider, *([self._menu] if self._examples else [])]
        self.status = ipywidgets.HTML(layout={"min_height": "28px", "max_width": full})
        self.image = ipywidgets.Image(format="png", width=WIDTH, height=HEIGHT)
        self.words = ipywidgets.HTML(layout={"max_width": full})
        controls = ipywidgets.HBox(controls, layout={"flex_flow": "row wrap"})
        super().__init__([area, controls, self.status, self.image, self.words], **start)
        traitlets.link((self, "text"), (area, "value"))
        self._slider.observe(self._slid, "value")
        self._menu.observe(self._chosen, "value")
        self.observe(self._moved, ["text", "temperature"])
        self._redraw()

    @property
    def logits(self) -> dict[str, np.ndarray]:
        """What the models said, before any softmax, by name."""
        return {self._names[role]: answer.logits.copy() for role, answer in self._current().items()}

    @property
    def soft_labels(self) -> dict[str, np.ndarray]:
        """The softmax of the logits at this temperature, by name."""
        return {name: softmax(logits, self.temperature) for name, logits in self.logits.items()}

    @property
    def milliseconds(self) -> dict[str, float]:
        """How long a call took, by name."""
        return {self._names[role]: answer.milliseconds for role, answer in self._current().items()}

    @property
    def message(self) -> str:
        """Why the text has no answer, or nothing."""
        self._current()
        return self._message

    def __repr__(self):
        """Say what stands here, for places that show no widgets, such as a notebook's preview."""
        return "A text box over a teacher and a student: run this cell in JupyterLab, Colab or Binder, and type."

    @traitlets.validate("temperature")
    def _validate_temperature(self, proposal):
        return as_trait(checked_number, proposal["value"], "temperature", T_MIN, T_MAX)

    def _moved(self, change):
        if change["name"] == "temperature":
            self._slider.value = _position(self.temperature)
        self._burst.move(QUIET, PATIENCE)

    def _slid(self, change):
        if self._slider.value != _position(self.temperature):  # else it has followed a temperature between two of its positions
            self.temperature = self._slider.value

    def _chosen(self, change):
        if self._menu.value:
            self.text = self._menu.value

    def _current(self) -> dict[str, Answer]:
        """Return the answers by role. A new text is asked about once; if it has no answer, those to the last one stay."""
        if self.text != self._tried:
            self._tried = self.text
            try:
                if not self.text.strip():
                    raise ValueError("There is no word in the text")
                self._answers = {role: self._asked(role, model, self.text) for role, model in self._models.items()}
                self._answered, self._message = self.text, ""
            except ValueError as error:
                self._message = str(error)
        return self._answers

    def _asked(self, role: str, model, text: str) -> Answer:
        """Return a model's answer; any failure becomes a ValueError of one sentence."""
        times, classes = [], len(self._class_names)
        while not times or (len(times) < MOST_CALLS and sum(times) < LONG):
            start = time.perf_counter()
            try:
                logits = np.asarray(model(text))
            except Exception as error:  # of whatever kind: the model is not ours
                reason = (str(error).strip() or type(error).__name__).splitlines()[0]
                raise ValueError(f"{role} has no answer to this text: {_cut(reason, 200)}") from error
            times.append(1000 * (time.perf_counter() - start))
        if logits.shape != (classes,):
            hint = f": is it a {role} of other labels?" if logits.ndim == 1 else ""
            raise ValueError(f"{role}'s logits must have shape ({classes},), one for each of class_names, got shape {logits.shape}{hint}")
        return Answer(checked_logits(logits, f"{role}'s logits"), statistics.median(times))

    def _redraw(self):
        view = _compared(self._current(), self._names, self._class_names, self.temperature)
        self.image.value = _drawn(view, self._label_width)
        self.words.value = self._said(view)
        note = f"{self._message.rstrip('.')}. The picture still shows the last text that has an answer." if self._message else ""
        mark = f"border-left: 4px solid {ORANGE}; padding-left: 8px; line-height: 1.4"
        self.status.value = note and f"<div role='alert' style='{mark}'>{html.escape(note)}</div>"
        if self._examples:
            self._menu.value = self.text if self.text in self._examples else ""

    def _said(self, view: "View") -> str:
        """Return the picture in words, as HTML: a picture is nothing to a screen reader."""
        verdict = f"{view.verdict} Temperature {view.temperature:g}."
        lines = [f"<b>{html.escape(verdict)}</b> The text: {html.escape(_cut(self._answered, 80))}"]
        for panel in view.panels:
            shares = ", ".join(f"{row} {_percent(share)}" for row, share in zip(view.rows, panel.shares, strict=True))
            information = f"entropy {panel.bits:.2f} of at most {view.most_bits:.2f} bits"
            lines.append(html.escape(f"{panel.name} ({_time(panel)}, {information}): {shares}."))
        lines.append("Without a running kernel the picture follows neither the text nor the slider.")
        return f"<div role='status' style='line-height: 1.4'>{'<br>'.join(lines)}</div>"


class Panel(NamedTuple):
    """What is shown of one model: the share of each row (they sum to 1), the entropy of all classes in bits, the row that wins."""

    name: str
    color: str
    milliseconds: float
    shares: np.ndarray
    bits: float
    winner: int


class View(NamedTuple):
    """What is shown: a panel for each model and the rows they have in common, classes by name and, when `others`, the rest of them."""

    panels: list[Panel]
    rows: list[str]
    others: bool
    most_bits: float
    temperature: float
    verdict: str


def _compared(answers: dict[str, Answer], names: dict[str, str], class_names: list[str], temperature: float) -> View:
    """Return what to show of the answers by role."""
    chosen = _chosen_classes([answer.logits for answer in answers.values()])
    rows, others = [class_names[i] for i in chosen], len(class_names) - len(chosen)
    panels = []
    for role, (logits, milliseconds) in answers.items():
        p = softmax(logits, temperature)
        shares = np.append(p[chosen], np.delete(p, chosen).sum()) if others else p[chosen]
        bits = max(0.0, float(entropy(p)) / math.log(2))  # never -0
        panels.append(Panel(names[role], COLORS[role], milliseconds, shares, bits, int(np.argmax(logits[chosen]))))
    said = [rows[panel.winner] for panel in panels]
    if len(said) == 1:
        verdict = f"Only the {names['student']} is shown: there is no {names['teacher']} on this machine. It says {said[0]}."
    elif said[0] == said[1]:
        verdict = f"Both say {said[0]}."
    else:
        verdict = "They disagree: " + ", ".join(f"{panel.name} says {row}" for panel, row in zip(panels, said, strict=True)) + "."
    return View(panels, [*rows, f"{others} others"] if others else rows, others > 0, math.log2(len(class_names)), temperature, verdict)


def _chosen_classes(logits: list[np.ndarray]) -> np.ndarray:
    """Return which classes to show, in the order of the first model: the highest of each, up to MOST_ROWS in all.

    Ranks decide: they are the same at each temperature, so the rows stay where they are while it moves.
    """
    ranks = np.array([np.argsort(np.argsort(-row, kind="stable")) for row in logits])
    most = MOST_ROWS if ranks.shape[1] > MOST_ROWS + 1 else ranks.shape[1]  # one other class has a name, too
    chosen = np.lexsort((ranks[0], ranks.min(0)))[:most]
    return chosen[np.argsort(ranks[0][chosen])]


WIDTH, HEIGHT, MARGIN = 900, 360, 16  # pixels, as all below
TOP, BOTTOM = 98, 326  # of the bars
NUMBER, GAP = 58, 16  # room for the number at the end of a bar, and between panels
DARK, PALE = "#555555", "#E3E3E3"


def _label_width(class_names: list[str]) -> int:
    """Return the room that the names need, all of them: the panels stay where they are when the text changes."""
    widest = max(font(bold=True).getlength(_cut(name, 40)) for name in [*class_names, f"{len(class_names)} others"])
    return min(math.ceil(widest), 260)


def _drawn(view: View, label_width: int) -> bytes:
    """Return the picture as a PNG file. It is bars and text alone: Pillow draws them in a fraction of matplotlib's time."""
    picture = Image.new("RGB", (WIDTH, HEIGHT), "white")
    draw = ImageDraw.Draw(picture)
    bold, plain, small, large = font(bold=True), font(), font(size=11), font(bold=True, size=15)
    at = f"Temperature {view.temperature:g}"
    draw.text((WIDTH - MARGIN, 26), at, BLACK, bold, "rs")
    draw.text((MARGIN, 26), _fitted(view.verdict, WIDTH - 3 * MARGIN - bold.getlength(at), bold), BLACK, bold, "ls")

    left = MARGIN + label_width + 10
    height = min((BOTTOM - TOP) // len(view.rows), 48)
    bottom = TOP + height * len(view.rows)
    rest = len(view.rows) - 1 if view.others else None
    winners = {panel.winner for panel in view.panels}
    middles = [TOP + i * height + height // 2 for i in range(len(view.rows))]
    for i, (row, y) in enumerate(zip(view.rows, middles, strict=True)):
        face = bold if i in winners else plain
        draw.text((left - 10, y), _fitted(row, label_width, face), DARK if i == rest else BLACK, face, "rm")

    step = (WIDTH - MARGIN - left + GAP) // len(view.panels)
    length = step - GAP - NUMBER
    for k, panel in enumerate(view.panels):
        start = left + k * step
        draw.text((start, 60), _fitted(panel.name, length + NUMBER, large), BLACK, large, "ls")
        draw.text((start, 80), f"{_time(panel)} · entropy {panel.bits:.2f} of {view.most_bits:.2f} bits", DARK, plain, "ls")
        for tick in (0, 0.25, 0.5, 0.75, 1):
            x = start + round(tick * length)
            draw.line((x, TOP, x, bottom), GREY if tick == 0 else PALE)
            if tick in (0, 0.5, 1):
                draw.text((x, bottom + 8), f"{tick:.0%}", DARK, small, "mt")
        for i, (share, y) in enumerate(zip(panel.shares, middles, strict=True)):
            end, half, color = start + round(share * length), round(0.36 * height), GREY if i == rest else panel.color
            if end > start:
                draw.rectangle((start, y - half, end, y + half), color if i == panel.winner else _pale(color), color)
            draw.text((end + 6, y), _percent(share), BLACK, bold if i == panel.winner else plain, "lm")
    file = io.BytesIO()
    picture.save(file, "png", compress_level=1)  # fast rather than small: it lives until the next move
    return file.getvalue()


def _pale(color: str) -> tuple[int, int, int]:
    return tuple(round(0.3 * part + 0.7 * 255) for part in ImageColor.getrgb(color))


def _fitted(text: str, width: float, face) -> str:
    """Return a text on one line of at most `width` pixels in a font."""
    text = _cut(text, 200)
    while len(text) > 1 and face.getlength(text) > width:
        text = f"{text[:-2]}…"
    return text


def _cut(text: str, most: int) -> str:
    """Return a text on one line of at most `most` characters."""
    line = " ".join(text[: 10 * most].split())
    return line if len(line) <= most else f"{line[: most - 1]}…"


def _time(panel: Panel) -> str:
    ms = panel.milliseconds
    return f"{ms:,.0f} ms" if ms >= 10 else f"{max(ms, 0.001):.2g} ms"


def _percent(share: float) -> str:
    """Return a share as TemperatureExplorer writes it: 0 and 100 per cent are never reached."""
    return "<0.1%" if share < 0.001 else ">99.9%" if share > 0.9994 else f"{share:.1%}"


def _position(temperature: float) -> float:
    """Return the slider's position nearest to a temperature."""
    return min(TEMPERATURES, key=lambda at: abs(math.log(at / temperature)))


def _checked_strings(values, name: str, least: int = 0) -> list[str]:
    strings = list(values) if np.iterable(values) and not isinstance(values, str) else [None]
    if len(strings) < least or not all(isinstance(string, str) and string.strip() for string in strings):
        raise ValueError(f"{name} must be a list of {f'at least {least} ' if least else ''}strings that are not empty, got {values!r:.100}")
    if len(set(strings)) < len(strings):
        twice = next(string for string in strings if strings.count(string) > 1)
        raise ValueError(f"{name} must be different strings, got {twice!r} more than once")
    return strings

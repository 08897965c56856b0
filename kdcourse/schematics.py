"""Diagrams of the course in one visual language: boxes for models and data, arrows, arrays of cells, small bars, notes.

A `Schematic` is a sheet of squared paper. Its squares are 0.6 inches wide, `x` counts them to the right and `y` down, both from the
upper left corner. Everything is placed by its middle and must lie on the sheet without covering anything that lies there already.

    sheet = Schematic("The student learns from the teacher's answers", width=10, height=3)
    teacher = sheet.box(2, 1.5, "teacher", role="teacher", height=2)
    student = sheet.box(8, 1.5, "student", role="student")
    sheet.arrow(teacher, student, "soft labels")
"""

from typing import NamedTuple

import numpy as np
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Rectangle

from . import checks
from .pictures import BLACK, BLUE, DARK, GREEN, GREY, ORANGE, PINK, SMALL, WIDEST, Picture, text_height, text_width, wrapped

SQUARE = 0.6  # inches
MEDIUM = 10  # points of the text in a box
PADDING = 0.2  # squares between a box and its text
CELL = 0.5  # squares, as are the next two
BESIDE = 0.25  # between an arrow and one that comes back
STRAIGHT = 0.3  # of their sides that two boxes must share for a straight arrow between them


class Role(NamedTuple):
    """How boxes of one kind look; shape and line tell them apart without colour."""

    fill: str
    edge: str
    corners: str = "round,pad=0,rounding_size=0.15"
    line: str = "solid"
    width: float = 1.5


ROLES = {
    "teacher": Role("#CCE3F0", BLUE, width=2.5),
    "student": Role("#FAECCC", ORANGE, width=2.5),
    "data": Role("white", DARK, corners="square,pad=0"),
    "loss": Role("#F5E4ED", PINK, line="dashed", width=2),
    "phone": Role("#CCECE3", GREEN, corners="round,pad=0,rounding_size=0.3", width=4),
    "step": Role("#EEEEEE", DARK, corners="round,pad=0,rounding_size=0.3", line="dotted"),
}


class Box(NamedTuple):
    """What lies on a sheet: its middle and its size, in squares."""

    x: float
    y: float
    width: float
    height: float

    left = property(lambda self: self.x - self.width / 2, doc="Where it begins.")
    right = property(lambda self: self.x + self.width / 2, doc="Where it ends.")
    top = property(lambda self: self.y - self.height / 2, doc="Its upper edge; y counts down.")
    bottom = property(lambda self: self.y + self.height / 2, doc="Its lower edge.")

    def covers(self, other: "Box", least: float = 1e-6) -> bool:
        """Return whether the two share some of the sheet."""
        across = min(self.right, other.right) - max(self.left, other.left)
        down = min(self.bottom, other.bottom) - max(self.top, other.top)
        return across > least and down > least


class Schematic(Picture):
    """An empty sheet with a title, on which things are placed."""

    def __init__(
        self,
        title: str,
        *,
        width: float = 12,
        height: float = 4,
        alt: str | None = None,
        words: str | None = None,
        caption: str | None = None,
    ):
        """Make a sheet.

        Args:
            title: what the diagram says, in one sentence.
            width, height: in squares; at most 12 wide.
            alt, words, caption: see `Picture`.

        Raises:
            ValueError: no title, or a sheet of no size or too wide for a page.
        """
        width = checks.number("width", width, 0, WIDEST // SQUARE, open_low=True, what="squares")
        height = checks.number("height", height, 0, open_low=True, what="squares")
        super().__init__(alt, title=title, caption=caption, words=words, width=width * SQUARE, height=height * SQUARE, layout="none")
        self.sheet, self.placed = Box(width / 2, height / 2, width, height), []
        axes = self.axes_at(0, 0, width * SQUARE, height * SQUARE)
        axes.set(xlim=(0, width), ylim=(height, 0))
        axes.axis("off")

    def box(self, x: float, y: float, text: str, *, width: float | None = None, height: float | None = None, role: str = "data") -> Box:
        """Place a box and return it.

        Args:
            x, y: its middle.
            text: what stands in it; it is broken into lines if `width` is given.
            width, height: in squares; None takes what the text needs.
            role: one of `ROLES`, which gives the look.

        Raises:
            ValueError: another role, a text that does not fit, or a box that leaves the sheet or covers something.
        """
        look = ROLES[checks.choice("role", role, ROLES)]
        text = text if width is None else _fitting(text, width - PADDING, MEDIUM)
        wide, tall = _size(text, MEDIUM)
        box = Box(x, y, width or wide + 2 * PADDING, height or max(1, tall + PADDING))
        checks.require(tall <= box.height, f"text {text!r} must fit into {box.height:.3g} squares, got one that is {tall:.3g} high")
        self._place(box, repr(text))
        corner, style = (box.left, box.top), {"facecolor": look.fill, "edgecolor": look.edge, "linestyle": look.line, "lw": look.width}
        self.axes[0].add_patch(FancyBboxPatch(corner, box.width, box.height, boxstyle=look.corners, **style))
        self._write(x, y, text, MEDIUM)
        return box

    def arrow(self, start: Box, end: Box, text: str = "", *, back: bool = False) -> tuple[tuple[float, float], tuple[float, float]]:
        """Draw an arrow from the edge of one box to the edge of another, straight across or down where that is possible.

        Args:
            start, end: what `box`, `cells`, `bars` or `note` returned.
            text: stands above an arrow that goes across, at the right of one that goes down, on a slanted one.
            back: for what flows back, such as a gradient: dashed, beside an arrow that goes forth, with its text on the other side.

        Returns:
            Where it begins and where it ends.

        Raises:
            ValueError: boxes that cover each other, or a text that is longer than the gap between them.
        """
        if start.covers(end):
            raise ValueError("start and end must lie apart, got two boxes that cover each other")
        (x0, y0), (x1, y1) = tail, head = _between(start, end, BESIDE if back else 0)
        look = {"arrowstyle": "-|>", "mutation_scale": 13, "shrinkA": 0, "shrinkB": 0, "linestyle": "dashed" if back else "solid"}
        self.axes[0].add_patch(FancyArrowPatch(tail, head, color=DARK, lw=1.6, **look))
        if text:
            side = -1 if back else 1
            across, down = abs(x1 - x0), abs(y1 - y0)
            text = _fitting(text, across, SMALL) if not down else text
            wide, tall = _size(text, SMALL)
            right = 0 if across else side * (wide / 2 + 0.12)
            above = 0 if down else side * (tall / 2 + 0.1)
            x, y = (x0 + x1) / 2 + right, (y0 + y1) / 2 - above
            self._place(Box(x, y, wide, tall), repr(text))
            self._write(x, y, text, SMALL, behind="white" if across and down else None)
        return tail, head

    def cells(self, x: float, y: float, values, text: str = "", *, labels=(), mark=None, decimals: int = 2) -> Box:
        """Place an array of cells and return its box, without text and labels.

        Args:
            x, y: the middle of the array.
            values: shape ``(n,)`` or ``(rows, columns)``: numbers, True and False, or texts. The larger a number, the darker its cell,
                blue above zero and orange below.
            text: stands above.
            labels: of the rows, at the left.
            mark: shape of `values`; a True crosses a cell out, as pruning does.
            decimals: of numbers that are not integers.

        Raises:
            ValueError: another shape, or cells that leave the sheet or cover something.
        """
        values = np.atleast_2d(np.asarray(values))
        checks.require(values.ndim == 2 and values.size > 0, f"values must have shape (n,) or (rows, columns), got {values.shape}")
        crossed = np.zeros(values.shape, bool) if mark is None else np.atleast_2d(np.asarray(mark, bool))
        checks.require(crossed.shape == values.shape, f"mark must have the shape of values, {values.shape}, got {crossed.shape}")
        rows, columns = values.shape
        checks.require(len(labels) in (0, rows), f"labels must have one entry for each of the {rows} rows, got {len(labels)}")
        kind = values.dtype.kind
        told = [[_told(value, decimals) for value in row] for row in values]
        side = max(CELL, max(_size(one, SMALL)[0] for row in told for one in row) + 0.16)
        box = Box(x, y, columns * side, rows * CELL)
        self._place(box, "the array of cells")
        strength = np.abs(values.astype(float)) if kind in "biuf" else np.zeros(values.shape)
        strength = strength / max(strength.max(), 1e-12)
        for (row, column), cross in np.ndenumerate(crossed):
            left, top = box.left + column * side, box.top + row * CELL
            colour = BLUE if kind in "biuf" and values[row, column] >= 0 else ORANGE
            alpha = 0.0 if cross else 0.45 * strength[row, column]
            self.axes[0].add_patch(Rectangle((left, top), side, CELL, facecolor=colour, alpha=alpha, lw=0))
            self.axes[0].add_patch(Rectangle((left, top), side, CELL, fill=False, edgecolor=DARK, lw=0.8))
            if cross:
                for ends in ((top, top + CELL), (top + CELL, top)):
                    self.axes[0].plot((left, left + side), ends, color=GREY, lw=1)
            self._write(left + side / 2, top + CELL / 2, told[row][column], SMALL, DARK if cross else BLACK)
        for row, label in enumerate(labels):
            self.note(box.left - 0.1, box.top + (row + 0.5) * CELL, label, align="right")
        if text:
            self.note(x, box.top - _size(text, SMALL)[1] / 2 - 0.08, text)
        return box

    def bars(self, x: float, y: float, values, labels, *, width: float = 4, unit: str = "") -> Box:
        """Place small horizontal bars, each with its label at the left and its number at the right, and return their box.

        Args:
            x, y: the middle of it all.
            values: shape ``(bars,)``, numbers >= 0.
            labels: one a bar.
            width: of the longest bar, in squares.
            unit: stands behind each number.

        Raises:
            ValueError: labels that do not fit the values, or bars that leave the sheet or cover something.
        """
        values = checks.array("values", values, ("bars",))
        checks.require(len(labels) == len(values), f"labels must have one entry for each of the {len(values)} values, got {len(labels)}")
        checks.require(values.min() >= 0 and values.max() > 0, f"values must be numbers >= 0, one of them > 0, got {checks.shown(values)}")
        numbers = [f"{value:,.10g}{unit}" for value in values]
        before, behind = (max(_size(text, SMALL)[0] for text in texts) + 0.12 for texts in (labels, numbers))
        box = Box(x, y, before + width + behind, CELL * len(values))
        self._place(box, "the bars")
        for row, (value, label, number) in enumerate(zip(values, labels, numbers, strict=True)):
            middle, start = box.top + (row + 0.5) * CELL, box.left + before
            length = width * value / values.max()
            self.axes[0].add_patch(Rectangle((start, middle - 0.15), length, 0.3, facecolor=BLUE, lw=0))
            self._write(start - 0.12, middle, label, SMALL, align="right")
            self._write(start + length + 0.12, middle, number, SMALL, align="left")
        return box

    def note(self, x: float, y: float, text: str, *, width: float | None = None, align: str = "center") -> Box:
        """Place a text and return its box.

        Args:
            x, y: its middle; with another `align` than "center", `x` is where it begins ("left") or ends ("right").
            text: broken into lines if `width` is given, in squares.
            width: of the lines, at most.
            align: "left", "center" or "right".

        Raises:
            ValueError: a word longer than `width`, or a note that leaves the sheet or covers something.
        """
        checks.choice("align", align, ("left", "center", "right"))
        text = text if width is None else _fitting(text, width, SMALL)
        wide, tall = _size(text, SMALL)
        box = Box(x + {"left": wide / 2, "center": 0, "right": -wide / 2}[align], y, wide, tall)
        self._place(box, repr(text))
        self._write(x, y, text, SMALL, align=align)
        return box

    def _place(self, box: Box, what: str) -> None:
        """Keep a place on the sheet, or say why it cannot be had."""
        sheet = self.sheet
        if min(box.left, box.top) < -1e-6 or box.right > sheet.width + 1e-6 or box.bottom > sheet.height + 1e-6:
            got = f"x from {box.left:.2f} to {box.right:.2f} and y from {box.top:.2f} to {box.bottom:.2f}"
            checks.refuse(what, f"on the sheet of {sheet.width:g} x {sheet.height:g} squares", got)
        for other, its in self.placed:
            if box.covers(other, least=0.02):
                checks.refuse(what, "where nothing lies yet", f"a place on {its}, at x = {box.x:.2f}, y = {box.y:.2f}")
        self.placed.append((box, what))

    def _write(
        self, x: float, y: float, text: str, size: float, colour: str = BLACK, align: str = "center", behind: str | None = None
    ) -> None:
        box = {"facecolor": behind, "edgecolor": "none", "pad": 1.5} if behind else None
        self.axes[0].text(x, y, text, size=size, color=colour, ha=align, va="center", linespacing=1.2, bbox=box)


def _told(value, decimals: int) -> str:
    """Return what stands in a cell."""
    if isinstance(value, np.bool_):
        return str(int(value))
    text = f"{value:.{decimals}f}" if isinstance(value, np.floating) else str(value)
    return text.replace("-", "−") if isinstance(value, np.number) else text


def _size(text: str, size: float) -> tuple[float, float]:
    """Return (width, height) of a text in squares."""
    return text_width(text, size) / SQUARE, text_height(text, size) / SQUARE


def _fitting(text: str, width: float, size: float) -> str:
    """Return a text broken into lines of `width` squares, or refuse it."""
    text = wrapped(text, width * SQUARE, size)
    wide, _ = _size(text, size)
    checks.require(wide <= width + 1e-6, f"text {text!r} must fit into {width:.3g} squares, got one that needs {wide:.3g}")
    return text


def _between(start: Box, end: Box, beside: float) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return the ends of the line from the edge of one box to the edge of the other; a straight one lies `beside` the middle."""
    low, high = max(start.top, end.top), min(start.bottom, end.bottom)
    if high - low >= STRAIGHT:  # beside each other
        y = min((low + high) / 2 + beside, high)
        return ((start.right, y), (end.left, y)) if start.x < end.x else ((start.left, y), (end.right, y))
    low, high = max(start.left, end.left), min(start.right, end.right)
    if high - low >= STRAIGHT:  # above each other
        x = max((low + high) / 2 - beside, low)
        return ((x, start.bottom), (x, end.top)) if start.y < end.y else ((x, start.top), (x, end.bottom))
    return _edge(start, end), _edge(end, start)


def _edge(box: Box, other: Box) -> tuple[float, float]:
    """Return where the line from the middle of `box` to the middle of `other` leaves `box`."""
    across, down = other.x - box.x, other.y - box.y
    shares = [half / abs(way) for half, way in ((box.width / 2, across), (box.height / 2, down)) if way]
    return box.x + min(shares) * across, box.y + min(shares) * down

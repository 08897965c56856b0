"""What widgets have in common. Those that explore single digits: examples, the digit chosen, the temperature, and every check.

Those that the kernel redraws: a burst of moves that ends in one redraw, and the font of their pictures.
"""

import asyncio
import base64
import functools
import struct
import zlib

import anywidget
import numpy as np
import traitlets

from kdcourse.soft_labels import one_hot

T_MIN, T_MAX = 0.25, 20.0
MOST_EXAMPLES = 32  # each has its thumbnail on the page, and its bytes in the saved notebook
QUIET, PATIENCE = 0.003, 0.1  # seconds: a redraw waits until no message has come for so long, but never longer than that


class DigitExplorer(anywidget.AnyWidget):
    """The base of the explorers: digits with their labels and logits go to the page, the choice of a digit and a temperature come back.

    The arguments and errors are those of `TemperatureExplorer`, a subclass. Each subclass adds the page: ``_esm`` and ``_css``.
    """

    examples = traitlets.List(traitlets.Dict()).tag(sync=True)
    class_names = traitlets.List(traitlets.Unicode()).tag(sync=True)
    selected = traitlets.Int(0).tag(sync=True)
    temperature = traitlets.CFloat(1.0).tag(sync=True)

    def __init__(self, images, labels, teacher_logits, student_logits=None, class_names=None, temperature=1.0, **kwargs):
        """Check everything first: a mistake shows here, in Python, and not as an empty widget."""
        pixels = _checked_images(images)
        teacher = _checked_logits(teacher_logits, "teacher_logits", len(pixels))
        classes = teacher.shape[1]
        student = None if student_logits is None else _checked_logits(student_logits, "student_logits", len(pixels), classes)
        labels = np.asarray(labels)
        one_hot(labels, classes)  # refuses another rank, another type and labels out of range
        if len(labels) != len(pixels):
            raise ValueError(f"labels must have one entry for each of the {len(pixels)} images, got {len(labels)}")
        names = [str(name) for name in (range(classes) if class_names is None else class_names)]
        if len(names) != classes:
            raise ValueError(f"class_names must have one name for each of the {classes} classes, got {len(names)}")
        examples = [
            {
                "image": _png_url(pixels[i]),
                "label": int(labels[i]),
                "teacher": teacher[i].tolist(),
                "student": None if student is None else student[i].tolist(),
            }
            for i in range(len(pixels))
        ]
        temperature = checked_number(temperature, "temperature", T_MIN, T_MAX)
        super().__init__(examples=examples, class_names=names, temperature=temperature, **kwargs)

    @traitlets.validate("temperature")
    def _validate_temperature(self, proposal):
        return as_trait(checked_number, proposal["value"], "temperature", T_MIN, T_MAX)

    @traitlets.validate("selected")
    def _validate_selected(self, proposal):
        if not 0 <= proposal["value"] < len(self.examples):
            raise traitlets.TraitError(f"selected must be in 0..{len(self.examples) - 1}, got {proposal['value']}")
        return proposal["value"]


class Burst:
    """Calls `redraw` once for a burst of moves, after the last of them.

    A redraw takes longer than a key that is held down takes to repeat. So moves that wait in the kernel's queue are taken in first.

    Args:
        redraw: called without arguments: at once where no kernel's loop runs (a script, a test), else when the moves pause.
        then: called with the loop after each redraw in a kernel, for work that may wait.
    """

    def __init__(self, redraw, then=None):
        self._redraw, self._then, self._timer = redraw, then, None

    def move(self, quiet: float, patience: float) -> None:
        """Take in one move: redraw when none has come for `quiet` seconds, but at most `patience` seconds after the first."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self._redraw()
            return
        self._last = loop.time()
        if self._timer is None:
            self._first = self._last
            self._timer = loop.call_later(quiet, self._when_quiet, loop, quiet, patience)

    def _when_quiet(self, loop, quiet, patience):
        now = loop.time()
        if now - self._last < quiet and now - self._first < patience:
            self._timer = loop.call_later(quiet, self._when_quiet, loop, quiet, patience)
            return
        self._timer = None
        self._redraw()
        if self._then is not None:
            self._then(loop)


@functools.cache
def font(bold: bool = False, size: int = 13):
    """Return the font of matplotlib's figures at `size` pixels (13: its 9 points), for Pillow, which draws text 20 times faster."""
    from matplotlib.font_manager import FontProperties, findfont
    from PIL import ImageFont

    return ImageFont.truetype(findfont(FontProperties(family="DejaVu Sans", weight="bold" if bold else "normal")), size)


def checked_number(value, name: str, low: float, high: float) -> float:
    """Return `value` as a float; the error calls it `name`.

    Raises:
        ValueError: not one number in low..high.
    """
    if not np.isscalar(value) or not np.isreal(value) or not low <= value <= high:  # NaN fails the comparison
        raise ValueError(f"{name} must be one number in {low:g}..{high:g}, got {value!r}")
    return float(value)


def as_trait(check, *arguments):
    """Return ``check(*arguments)``; its ValueError becomes the TraitError that makes traitlets put the old value back."""
    try:
        return check(*arguments)
    except ValueError as error:
        raise traitlets.TraitError(str(error)) from None


def _checked_images(images) -> np.ndarray:
    """Return `images` as uint8 of shape (n, 28, 28)."""
    array = np.asarray(images)
    if array.ndim == 4 and array.shape[-1] == 1:
        array = array[..., 0]
    if array.ndim != 3 or array.shape[1:] != (28, 28):
        raise ValueError(f"images must have shape (n, 28, 28) or (n, 28, 28, 1), got shape {np.shape(images)}")
    if not 1 <= len(array) <= MOST_EXAMPLES:
        raise ValueError(f"images must hold 1 to {MOST_EXAMPLES} digits, one thumbnail each, got {len(array)}")
    if array.dtype == np.uint8:
        return array
    if not np.issubdtype(array.dtype, np.floating):
        raise ValueError(f"images must be uint8 or floats in [0, 1], got type {array.dtype}")
    if not np.isfinite(array).all():
        raise ValueError(f"images must be finite, got {int((~np.isfinite(array)).sum())} values that are NaN or infinite")
    if array.min() < 0 or array.max() > 1:
        raise ValueError(f"images must be uint8 or floats in [0, 1], got floats from {array.min():g} to {array.max():g}")
    return np.round(array * 255).astype(np.uint8)


def _checked_logits(logits, name: str, examples: int, classes: int | None = None) -> np.ndarray:
    array = np.asarray(logits, dtype=np.float64)
    if array.ndim != 2 or array.shape[1] < 2:
        raise ValueError(f"{name} must have shape (n, classes) with at least 2 classes, got shape {array.shape}")
    if len(array) != examples:
        raise ValueError(f"{name} must have one row for each of the {examples} images, got {len(array)} rows")
    if classes is not None and array.shape[1] != classes:
        raise ValueError(f"{name} must have the {classes} classes of teacher_logits, got {array.shape[1]}")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite, got {int((~np.isfinite(array)).sum())} values that are NaN or infinite")
    return array


def _png_url(pixels: np.ndarray) -> str:
    """Return a grey uint8 image of shape (height, width) as a data: URL, written by hand to need no imaging library."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    height, width = pixels.shape
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)  # filter type 0 in front of each row
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)  # 8 bits, grey
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")
    return "data:image/png;base64," + base64.b64encode(png).decode()

"""What all explorers have in common: a page of JavaScript and CSS, traits that refuse what they cannot be, pictures for the page."""

import base64
import io
from pathlib import Path

import anywidget
import numpy as np
import traitlets
from PIL import Image

from kdcourse import checks

T_MIN, T_MAX = 0.25, 20.0


def page(*parts: str) -> tuple[str, str]:
    """Return the JavaScript and the CSS of an explorer: `_page`, which all share, and then `parts`, files of this folder by their stem."""
    files = [Path(__file__).with_name(f"{part}.{kind}") for kind in ("js", "css") for part in ("_page", *parts)]
    scripts, styles = ([file.read_text("utf-8") for file in files if file.suffix == kind and file.exists()] for kind in (".js", ".css"))
    return "\n".join(scripts), "\n".join(styles)


class Checked(traitlets.Any):
    """A trait shared with the page whose values go through a function of `kdcourse.checks`, which also gives them their type.

    Args:
        default: its first value.
        check: called with the trait's name, the value and `arguments`; of these, a function is called with the widget first.
    """

    allow_none = False  # None goes through the check, too

    def __init__(self, default, check, *arguments):
        super().__init__(default)
        self.tag(sync=True)
        self._check, self._arguments = check, arguments

    def validate(self, widget, value):
        """Return the value as the widget holds it; the check's ValueError becomes the error that makes traitlets keep the old value."""
        try:
            return self._check(self.name, value, *(one(widget) if callable(one) else one for one in self._arguments))
        except ValueError as error:
            raise traitlets.TraitError(str(error)) from None


class Explorer(anywidget.AnyWidget):
    """The base of the explorers. A mistake shows in Python, before anything is shown, and not as an empty widget."""

    def __init__(self, **traits):
        """Set the traits in their order, because a check may look at those before; a refused one is a ValueError, like other arguments."""
        try:
            super().__init__(**traits)
        except traitlets.TraitError as error:
            raise ValueError(str(error)) from None


def png_url(pixels: np.ndarray, **how) -> str:
    """Return uint8 pixels, shape ``(height, width)`` or ``(height, width, 3)``, as a data: URL; `how` goes to Pillow's writer."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "png", **how)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def named(name: str, values, least: int = 1) -> list[str]:
    """Return different names as strings; numbers are names, too.

    Raises:
        ValueError: no list, fewer than `least`, an empty name, or one twice.
    """
    return checks.names(name, values if isinstance(values, str) or not np.iterable(values) else [str(one) for one in values], least=least)

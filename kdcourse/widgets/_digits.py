"""The base of the explorers of single images: examples, the one chosen, the temperature, and every check of them."""

import numpy as np
import traitlets
from PIL import Image

from kdcourse import checks, soft_labels

from ._page import T_MAX, T_MIN, Checked, Explorer, named, png_url

MOST_EXAMPLES = 32  # each has its thumbnail on the page, and its bytes in the saved notebook
MOST_PIXELS = 112  # of a side: the page shows no more


class DigitExplorer(Explorer):
    """The base of the explorers: digits with their labels and logits go to the page, the choice of a digit and a temperature come back.

    The arguments and errors are those of `TemperatureExplorer`, a subclass. Each subclass adds the page: ``_esm`` and ``_css``.
    """

    examples = traitlets.List(traitlets.Dict()).tag(sync=True)
    class_names = traitlets.List(traitlets.Unicode()).tag(sync=True)
    selected = Checked(0, checks.whole, 0, lambda explorer: len(explorer.examples) - 1)
    temperature = Checked(1.0, checks.number, T_MIN, T_MAX)

    def __init__(self, images, labels, teacher_logits, student_logits=None, class_names=None, **traits):
        """Check everything first; `traits` are checked by themselves."""
        pixels = _pixels(images)
        teacher = _logits("teacher_logits", teacher_logits, (len(pixels), "classes"))
        classes = teacher.shape[1]
        student = None if student_logits is None else _logits("student_logits", student_logits, teacher.shape)
        labels = checks.labels("labels", labels, classes, len(pixels))
        names = named("class_names", range(classes) if class_names is None else class_names)
        if len(names) != classes:
            checks.refuse("class_names", f"one name for each of the {classes} classes", len(names))
        examples = [
            {
                "image": png_url(pixels[i], optimize=True),
                "label": int(labels[i]),
                "teacher": teacher[i].tolist(),
                "student": None if student is None else student[i].tolist(),
            }
            for i in range(len(pixels))
        ]
        super().__init__(examples=examples, class_names=names, **traits)


def _logits(name: str, logits, shape: tuple) -> np.ndarray:
    array = checks.array(name, logits, shape, dtype=np.float64)
    if array.shape[1] < 2:
        checks.refuse(name, "an array with at least 2 classes", f"shape {array.shape}")
    soft_labels.warn_if_probabilities(array, name, stacklevel=4)
    return array


def _pixels(images) -> list[np.ndarray]:
    """Return images as uint8 arrays of shape (height, width) or (height, width, 3), no larger than the page shows them."""
    array = np.asarray(images)
    if array.ndim == 4 and array.shape[-1] == 1:
        array = array[..., 0]
    if array.ndim != 3 and array.shape[3:] != (3,) or 0 in array.shape:
        allowed = "(n, height, width), (n, height, width, 1) or (n, height, width, 3)"
        checks.refuse("images", f"an array of shape {allowed}", f"shape {np.shape(images)}")
    if len(array) > MOST_EXAMPLES:
        checks.refuse("images", f"at most {MOST_EXAMPLES}, one thumbnail each", len(array))
    if array.dtype != np.uint8:
        checks.array("images", array, ("n", ...), kind="floats")
        if array.min() < 0 or array.max() > 1:
            checks.refuse("images", "uint8 or floats in [0, 1]", f"floats from {array.min():g} to {array.max():g}")
        array = np.round(array * 255).astype(np.uint8)
    return [_thumbnail(one) for one in array]


def _thumbnail(pixels: np.ndarray) -> np.ndarray:
    if max(pixels.shape[:2]) <= MOST_PIXELS:
        return pixels
    image = Image.fromarray(pixels)
    image.thumbnail((MOST_PIXELS, MOST_PIXELS))
    return np.array(image)

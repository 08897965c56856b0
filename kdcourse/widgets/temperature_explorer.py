"""The temperature explorer: one slider that shows what a temperature does to a teacher's answer on a real digit.

All the mathematics runs in the page (temperature_explorer.js), so the widget is live without a kernel; its numbers are held against
`kdcourse.soft_labels` by tests/browser.
"""

from ._digits import DigitExplorer
from ._page import page


class TemperatureExplorer(DigitExplorer):
    """Pick a digit, move the temperature, and read the teacher's soft label, the student's answer, and what each label would teach.

    Args:
        images: shape ``(n, height, width)``, ``(n, height, width, 1)`` or ``(n, height, width, 3)``, uint8 or floats in [0, 1], n from 1
            to 32; the page shows at most 112 x 112 pixels of each.
        labels: the hard labels, n integers in 0..classes-1.
        teacher_logits: shape ``(n, classes)``, row i for image i, before any softmax.
        student_logits: the same shape; None leaves out the student, the divergence and the gradients.
        class_names: one name a class, all different; None names them 0, 1, 2, ...
        temperature: where the slider starts, in 0.25..20.

    The traits `selected` (index of the digit shown) and `temperature` can be read, set and observed like those of any other widget.

    Raises:
        ValueError: shapes or lengths that do not fit together, a label or temperature out of range, values that are not finite.
    """

    _esm, _css = page("_digits", "temperature_explorer")

    def __repr__(self):
        """Say what stands here, for places that show no widgets, such as a notebook's preview."""
        return "A temperature slider over digits: run this cell in JupyterLab, Colab or Binder, and move it."

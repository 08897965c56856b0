"""The temperature explorer: one slider that shows what a temperature does to a teacher's answer on a real digit.

All the mathematics runs in the page (temperature_explorer.js), so the widget is live without a kernel; its numbers are held against
`kdcourse.soft_labels` by tests/browser.
"""

from pathlib import Path

from ._shared import DigitExplorer


class TemperatureExplorer(DigitExplorer):
    """Pick a digit, move the temperature, and read the teacher's soft label, the student's answer, and what each label would teach.

    Args:
        images: shape ``(n, 28, 28)`` or ``(n, 28, 28, 1)``, uint8 or floats in [0, 1], n from 1 to 32.
        labels: the hard labels, n integers in 0..classes-1.
        teacher_logits: shape ``(n, classes)``, row i for image i, before any softmax.
        student_logits: the same shape; None leaves out the student, the divergence and the gradients.
        class_names: one name a class; None names them 0, 1, 2, ...
        temperature: where the slider starts, in 0.25..20.

    The traits `selected` (index of the digit shown) and `temperature` can be read, set and observed like those of any other widget.

    Raises:
        ValueError: shapes or lengths that do not fit together, a label or temperature out of range, values that are not finite.
    """

    _esm = Path(__file__).with_suffix(".js")
    _css = Path(__file__).with_suffix(".css")

    def __repr__(self):
        """Say what stands here, for places that show no widgets, such as a notebook's preview."""
        return "A temperature slider over digits: run this cell in JupyterLab, Colab or Binder, and move it."

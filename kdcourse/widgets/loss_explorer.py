"""The loss explorer: two losses side by side on one real digit, and what each would teach the student.

All the mathematics runs in the page (loss_explorer.js), so the widget is live without a kernel; its values and gradients are held against
`kdcourse.losses` by tests/browser.
"""

from pathlib import Path

import traitlets

from ._shared import DigitExplorer, as_trait, checked_number

# The names are those of the functions in kdcourse.losses; the order is that of the menus. loss_explorer.js has the same list.
LOSSES = (
    "cross_entropy",
    "soft_cross_entropy",
    "kl_divergence",
    "mse_logits",
    "mse_probabilities",
    "cross_entropy_with_mse",
    "smoothed_cross_entropy",
    "decoupled",
)


class LossExplorer(DigitExplorer):
    """Pick a digit and two losses, move T and alpha, and compare the losses' values and their gradients on the student's logits.

    Args:
        images: shape ``(n, 28, 28)`` or ``(n, 28, 28, 1)``, uint8 or floats in [0, 1], n from 1 to 32.
        labels: the hard labels, n integers in 0..classes-1.
        teacher_logits, student_logits: shape ``(n, classes)``, row i for image i, before any softmax.
        class_names: one name a class; None names them 0, 1, 2, ...
        left, right: the losses shown at first, names out of `LOSSES`.
        alpha: where its slider starts, in 0..1: the weight of the teacher's term, ``(1 - alpha) * hard + alpha * soft``.
        temperature: where its slider starts, in 0.25..20.

    The smoothing is 0.1; the decoupled loss weighs its target part 1 and its non-target part 8. The traits `selected` (index of the digit
    shown), `left`, `right`, `alpha`, `temperature` and `same_scale` can be read, set and observed like those of any other widget.

    Raises:
        ValueError: shapes or lengths that do not fit together, a label, alpha or temperature out of range, values that are not finite,
            an unknown loss.
    """

    _esm = Path(__file__).with_suffix(".js")
    _css = Path(__file__).with_suffix(".css")

    left = traitlets.Unicode("kl_divergence").tag(sync=True)
    right = traitlets.Unicode("mse_logits").tag(sync=True)
    alpha = traitlets.CFloat(0.9).tag(sync=True)
    same_scale = traitlets.Bool(True).tag(sync=True)

    def __init__(
        self,
        images,
        labels,
        teacher_logits,
        student_logits,
        class_names=None,
        left="kl_divergence",
        right="mse_logits",
        alpha=0.9,
        temperature=4.0,
        **kwargs,
    ):
        """Check everything first: a mistake shows here, in Python, and not as an empty widget."""
        if student_logits is None:
            raise ValueError("student_logits must be an array: the gradients are on the student's logits, got None")
        own = {"left": _checked_loss(left, "left"), "right": _checked_loss(right, "right"), "alpha": checked_number(alpha, "alpha", 0, 1)}
        super().__init__(images, labels, teacher_logits, student_logits, class_names, temperature, **own, **kwargs)

    def __repr__(self):
        """Say what stands here, for places that show no widgets, such as a notebook's preview."""
        return "Two losses and their gradients on one digit: run this cell in JupyterLab, Colab or Binder, and move its sliders."

    @traitlets.validate("left", "right")
    def _validate_loss(self, proposal):
        return as_trait(_checked_loss, proposal["value"], proposal["trait"].name)

    @traitlets.validate("alpha")
    def _validate_alpha(self, proposal):
        return as_trait(checked_number, proposal["value"], "alpha", 0, 1)


def _checked_loss(loss, name: str) -> str:
    if loss not in LOSSES:
        raise ValueError(f"{name} must be one of {', '.join(LOSSES)}, got {loss!r}")
    return loss

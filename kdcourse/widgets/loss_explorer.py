"""The loss explorer: two losses side by side on one real digit, and what each would teach the student.

All the mathematics runs in the page (loss_explorer.js), so the widget is live without a kernel; its values and gradients are held against
`kdcourse.losses` by tests/browser.
"""

import traitlets

from kdcourse import checks

from ._digits import DigitExplorer
from ._page import Checked, page

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
        images: as those of `TemperatureExplorer`, n from 1 to 32.
        labels: the hard labels, n integers in 0..classes-1.
        teacher_logits, student_logits: shape ``(n, classes)``, row i for image i, before any softmax.
        class_names: one name a class, all different; None names them 0, 1, 2, ...
        left, right: the losses shown at first, names out of `LOSSES`.
        alpha: where its slider starts, in 0..1: the weight of the teacher's term, ``(1 - alpha) * hard + alpha * soft``.
        temperature: where its slider starts, in 0.25..20.

    The smoothing is 0.1; the decoupled loss weighs its target part 1 and its non-target part 8. The traits `selected` (index of the digit
    shown), `left`, `right`, `alpha`, `temperature` and `same_scale` can be read, set and observed like those of any other widget.

    Raises:
        ValueError: shapes or lengths that do not fit together, a label, alpha or temperature out of range, values that are not finite,
            an unknown loss.
    """

    _esm, _css = page("_digits", "loss_explorer")

    left = Checked("kl_divergence", checks.choice, LOSSES)
    right = Checked("mse_logits", checks.choice, LOSSES)
    alpha = Checked(0.9, checks.number, 0, 1)
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
        **traits,
    ):
        """Refuse to work without a student; all else is checked below."""
        if student_logits is None:
            checks.refuse("student_logits", "an array: the gradients are on the student's logits", None)
        traits |= {"left": left, "right": right, "alpha": alpha, "temperature": temperature}
        super().__init__(images, labels, teacher_logits, student_logits, class_names, **traits)

    def __repr__(self):
        """Say what stands here, for places that show no widgets, such as a notebook's preview."""
        return "Two losses and their gradients on one digit: run this cell in JupyterLab, Colab or Binder, and move its sliders."

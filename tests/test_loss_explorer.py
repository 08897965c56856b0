"""The loss explorer's Python side: what it sends to the page, and how it refuses what it cannot show."""

import re
import subprocess
import sys

import numpy as np
import pytest
import traitlets

from kdcourse import losses
from kdcourse.widgets import LossExplorer
from kdcourse.widgets.loss_explorer import LOSSES

RNG = np.random.default_rng(0)
IMAGES = RNG.random((3, 28, 28))
LABELS = np.array([7, 0, 9])
TEACHER, STUDENT = RNG.normal(0, 4, (2, 3, 10))
NAMES = f"must be one of {', '.join(LOSSES)}, got"


def explorer(**changes):
    return LossExplorer(**{"images": IMAGES, "labels": LABELS, "teacher_logits": TEACHER, "student_logits": STUDENT} | changes)


def test_state_holds_what_was_given():
    shown = explorer(left="decoupled", right="cross_entropy", alpha=0.25, temperature=2)
    assert (shown.left, shown.right, shown.alpha, shown.temperature) == ("decoupled", "cross_entropy", 0.25, 2.0)
    assert (shown.selected, shown.same_scale, shown.class_names) == (0, True, list("0123456789"))
    np.testing.assert_array_equal([example["teacher"] for example in shown.examples], TEACHER)
    np.testing.assert_array_equal([example["student"] for example in shown.examples], STUDENT)
    assert [example["label"] for example in shown.examples] == [7, 0, 9]


def test_it_starts_with_two_losses_of_logits():
    shown = explorer()
    assert (shown.left, shown.right, shown.alpha, shown.temperature) == ("kl_divergence", "mse_logits", 0.9, 4.0)
    assert "run this cell" in repr(shown)


def test_every_loss_is_one_of_the_package():
    assert len(set(LOSSES)) == 8
    assert all(callable(getattr(losses, name)) for name in LOSSES)


BAD = {
    "left": ({"left": "hinge"}, f"left {NAMES} 'hinge'"),
    "right": ({"right": None}, f"right {NAMES} None"),
    "low alpha": ({"alpha": -0.1}, "alpha must be one number in 0..1, got -0.1"),
    "high alpha": ({"alpha": 1.5}, "alpha must be one number in 0..1, got 1.5"),
    "alpha nan": ({"alpha": float("nan")}, "alpha must be one number in 0..1, got nan"),
    "cold": ({"temperature": 0}, "temperature must be one number in 0.25..20, got 0"),
    "no student": ({"student_logits": None}, "student_logits must be an array: the gradients are on the student's logits, got None"),
    "student classes": ({"student_logits": STUDENT[:, :9]}, "student_logits must have the 10 classes of teacher_logits, got 9"),
    "teacher nan": ({"teacher_logits": TEACHER * np.nan}, "teacher_logits must be finite, got 30 values that are NaN or infinite"),
    "image size": ({"images": IMAGES[:, :20]}, "images must have shape (n, 28, 28) or (n, 28, 28, 1), got shape (3, 20, 28)"),
    "label range": ({"labels": [7, 0, 10]}, "labels must be in 0..9, got 10"),
    "names": ({"class_names": ["a", "b"]}, "class_names must have one name for each of the 10 classes, got 2"),
}


@pytest.mark.parametrize(("change", "message"), BAD.values(), ids=BAD)
def test_bad_input_is_one_clear_sentence(change, message):
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        explorer(**change)
    assert "\n" not in str(caught.value)


def test_bad_traits_are_refused_and_the_old_value_stays():
    shown = explorer()
    shown.alpha, shown.right = np.float32(0.5), "decoupled"
    for trait, value, message in [
        ("alpha", 2, "alpha must be one number in 0..1, got 2"),
        ("left", "hinge", f"left {NAMES} 'hinge'"),
        ("right", "", f"right {NAMES} ''"),
        ("temperature", 0.0, "temperature must be one number in 0.25..20, got 0.0"),
        ("selected", 3, "selected must be in 0..2, got 3"),
    ]:
        with pytest.raises(traitlets.TraitError, match=re.escape(message)):
            setattr(shown, trait, value)
    assert (shown.alpha, shown.left, shown.right, shown.temperature, shown.selected) == (0.5, "kl_divergence", "decoupled", 4.0, 0)


def test_using_it_does_not_load_tensorflow():
    code = (
        "import sys, numpy as np; from kdcourse.widgets import LossExplorer\n"
        "LossExplorer(np.zeros((1, 28, 28)), [0], np.zeros((1, 10)), np.zeros((1, 10)))\n"
        "print([name for name in ('tensorflow', 'keras', 'matplotlib') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"

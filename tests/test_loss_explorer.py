"""The loss explorer's Python side: what it sends to the page, and how it refuses what it cannot show. Digits and logits: as in all."""

import numpy as np
import pytest
from explorers import loads_nothing_heavy, refuses, refuses_traits

from kdcourse import losses
from kdcourse.widgets import LossExplorer
from kdcourse.widgets.loss_explorer import LOSSES

RNG = np.random.default_rng(0)
TEACHER, STUDENT = RNG.normal(0, 4, (2, 3, 10))
NAMES = f"must be one of {', '.join(LOSSES)}, got"


def explorer(**changes):
    arguments = {"images": RNG.random((3, 28, 28)), "labels": [7, 0, 9], "teacher_logits": TEACHER, "student_logits": STUDENT}
    return LossExplorer(**arguments | changes)


def test_state_holds_what_was_given():
    state = explorer(left="decoupled", right="cross_entropy", alpha=0.25, temperature=2).get_state()
    assert [state[trait] for trait in ("left", "right", "alpha", "temperature")] == ["decoupled", "cross_entropy", 0.25, 2.0]
    assert [state[trait] for trait in ("selected", "same_scale", "class_names")] == [0, True, list("0123456789")]
    np.testing.assert_array_equal([example["teacher"] for example in state["examples"]], TEACHER)
    np.testing.assert_array_equal([example["student"] for example in state["examples"]], STUDENT)
    assert [example["label"] for example in state["examples"]] == [7, 0, 9]


def test_it_starts_with_two_losses_of_logits():
    shown = explorer()
    assert (shown.left, shown.right, shown.alpha, shown.temperature) == ("kl_divergence", "mse_logits", 0.9, 4.0)
    assert "run this cell" in repr(shown)


def test_every_loss_is_one_of_the_package():
    assert len(set(LOSSES)) == 8
    assert all(callable(getattr(losses, name)) for name in LOSSES)


BAD = [
    ({"left": "hinge"}, f"left {NAMES} 'hinge'"),
    ({"right": None}, "right must ... got None"),
    ({"alpha": 1.5}, "alpha must ... 0...1...got 1.5"),
    ({"alpha": float("nan")}, "alpha must ... got nan"),
    ({"temperature": 0}, "temperature must ... 0.25...20...got 0"),
    ({"student_logits": None}, "student_logits must be an array: the gradients are on the student's logits, got None"),
    ({"student_logits": STUDENT[:, :9]}, "student_logits must ... (3, 10), got ...(3, 9)"),
    ({"labels": [7, 0, 10]}, "labels must ... 0..9 ... got ...10"),
]


@pytest.mark.parametrize(("change", "message"), BAD)
def test_bad_input_is_one_clear_sentence(change, message):
    refuses(message, explorer, **change)


def test_bad_traits_are_refused_and_the_old_value_stays():
    cases = [
        ("alpha", 2, "alpha must ... got 2"),
        ("left", "hinge", f"left {NAMES} 'hinge'"),
        ("right", "", f"right {NAMES} ''"),
        ("temperature", 0.0, "temperature must ... got 0.0"),
        ("selected", 3, "selected must ... 0..2, got 3"),
    ]
    refuses_traits(explorer(right="decoupled", alpha=np.float32(0.5)), cases)


def test_using_it_loads_nothing_heavy():
    assert loads_nothing_heavy("loss")

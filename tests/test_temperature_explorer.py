"""The temperature explorer's Python side: what it sends to the page, and how it refuses what it cannot show."""

import base64
import io
import warnings

import numpy as np
import pytest
from explorers import loads_nothing_heavy, refuses, refuses_traits
from PIL import Image

from kdcourse import soft_labels, widgets
from kdcourse.widgets import TemperatureExplorer

RNG = np.random.default_rng(0)
IMAGES = RNG.random((3, 28, 28))
LABELS = np.array([7, 0, 9])
TEACHER, STUDENT = RNG.normal(0, 4, (2, 3, 10))


def sent(explorer, example):
    """Return the pixels that the page gets."""
    head, body = explorer.examples[example]["image"].split(",")
    assert head == "data:image/png;base64"
    return np.array(Image.open(io.BytesIO(base64.b64decode(body))))


def test_state_holds_the_examples_as_given():
    explorer = TemperatureExplorer(IMAGES, LABELS, TEACHER, STUDENT, temperature=4)
    state = explorer.get_state()
    assert (state["class_names"], state["temperature"], state["selected"]) == (list("0123456789"), 4.0, 0)
    assert [example["label"] for example in state["examples"]] == [7, 0, 9]
    np.testing.assert_array_equal([example["teacher"] for example in state["examples"]], TEACHER)
    np.testing.assert_array_equal([example["student"] for example in state["examples"]], STUDENT)
    assert [example["student"] for example in TemperatureExplorer(IMAGES, LABELS, TEACHER).examples] == [None, None, None]


@pytest.mark.parametrize("shape", [(28, 28), (28, 28, 1), (20, 30), (32, 32, 3), (112, 5, 3)])
def test_images_of_any_size_travel_without_loss(shape):
    pixels = RNG.integers(0, 256, (3, *shape), dtype=np.uint8)
    for images in (pixels, pixels / 255, (pixels / 255).astype(np.float32)):
        explorer = TemperatureExplorer(images, LABELS, TEACHER)
        np.testing.assert_array_equal(sent(explorer, 1), pixels[1].reshape(shape[:2] if shape[2:] == (1,) else shape))


def test_large_images_become_as_small_as_they_are_shown():
    explorer = TemperatureExplorer(np.full((1, 448, 224, 3), 0.5), [0], TEACHER[:1])
    assert sent(explorer, 0).shape == (112, 56, 3)


def test_probabilities_taken_for_logits_are_a_warning():
    with pytest.warns(UserWarning, match="teacher_logits look like probabilities"):
        TemperatureExplorer(IMAGES, LABELS, soft_labels.softmax(TEACHER))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        TemperatureExplorer(IMAGES, LABELS, TEACHER, STUDENT)


def changed(array, value):
    array = np.array(array)
    array.flat[0] = value
    return array


SHAPE = "images must ... (n, height, width), (n, height, width, 1) or (n, height, width, 3), got shape"
BAD = [
    ({"images": IMAGES.reshape(3, 784)}, f"{SHAPE} (3, 784)"),
    ({"images": np.zeros((3, 28, 28, 2))}, f"{SHAPE} (3, 28, 28, 2)"),
    ({"images": IMAGES[:0]}, f"{SHAPE} (0, 28, 28)"),
    ({"images": np.zeros((33, 28, 28))}, "images must be at most 32, one thumbnail each, got 33"),
    ({"images": changed(IMAGES, 255.0)}, "images must be uint8 or floats in [0, 1], got floats from"),
    ({"images": IMAGES.astype(int)}, "images must ... floats ... got ...int64"),
    ({"images": changed(IMAGES, np.nan)}, "images must be finite, got ... 1 of 2,352"),
    ({"labels": LABELS[:2]}, "labels must ... got ...(2,)"),
    ({"labels": [7, 0, 10]}, "labels must ... 0..9 ... got ...10"),
    ({"labels": [7.0, 0.0, 9.0]}, "labels must ... integers ... got ... float64"),
    ({"teacher_logits": TEACHER[0]}, "teacher_logits must ... (3, classes), got ...(10,)"),
    ({"teacher_logits": TEACHER[:2]}, "teacher_logits must ... (3, classes), got ...(2, 10)"),
    ({"teacher_logits": TEACHER[:, :1]}, "teacher_logits must ... at least 2 classes, got shape (3, 1)"),
    ({"teacher_logits": TEACHER * 1j}, "teacher_logits must ... numbers ... got ...complex128"),
    ({"student_logits": changed(STUDENT, np.inf)}, "student_logits must be finite, got ... 1 of 30"),
    ({"student_logits": STUDENT[:, :9]}, "student_logits must ... (3, 10), got ...(3, 9)"),
    ({"class_names": ["a", "b"]}, "class_names must be one name for each of the 10 classes, got 2"),
    ({"class_names": "0123456789"}, "class_names must ... got '0123456789'"),
    ({"class_names": [0] * 10}, "class_names must ... got '0' more than once"),
    ({"temperature": 0.2}, "temperature must ... 0.25...20...got 0.2"),
    ({"temperature": True}, "temperature must ... got True"),
    ({"selected": 3}, "selected must ... 0..2, got 3"),
]


@pytest.mark.parametrize(("change", "message"), BAD)
def test_bad_input_is_one_clear_sentence(change, message):
    refuses(message, TemperatureExplorer, **{"images": IMAGES, "labels": LABELS, "teacher_logits": TEACHER} | change)


def test_bad_traits_are_refused_and_the_old_value_stays():
    explorer = TemperatureExplorer(IMAGES, LABELS, TEACHER)
    explorer.temperature, explorer.selected = np.float32(2.5), np.int64(2)
    assert (explorer.temperature, explorer.selected) == (2.5, 2)
    refuses_traits(
        explorer, [("temperature", 0.0, "temperature must be one number"), ("selected", 3, "selected must be an integer in 0..2, got 3")]
    )


def test_importing_and_using_it_loads_nothing_heavy():
    assert loads_nothing_heavy("temperature")


def test_an_unknown_widget_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = widgets.Nothing
    assert set(widgets.__all__) < set(dir(widgets))
    assert all(getattr(widgets, name).__name__ == name for name in widgets.__all__)

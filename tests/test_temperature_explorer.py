"""The temperature explorer's Python side: what it sends to the page, and how it refuses what it cannot show."""

import base64
import io
import re
import subprocess
import sys

import matplotlib.image
import numpy as np
import pytest
import traitlets

from kdcourse.widgets import TemperatureExplorer

RNG = np.random.default_rng(0)
IMAGES = RNG.random((3, 28, 28))
LABELS = np.array([7, 0, 9])
TEACHER, STUDENT = RNG.normal(0, 4, (2, 3, 10))


def test_state_holds_the_examples_as_given():
    explorer = TemperatureExplorer(IMAGES, LABELS, TEACHER, STUDENT, temperature=4)
    assert explorer.class_names == list("0123456789")
    assert (explorer.temperature, explorer.selected) == (4.0, 0)
    assert [example["label"] for example in explorer.examples] == [7, 0, 9]
    np.testing.assert_array_equal([example["teacher"] for example in explorer.examples], TEACHER)
    np.testing.assert_array_equal([example["student"] for example in explorer.examples], STUDENT)
    assert {"examples", "class_names", "selected", "temperature"} <= set(explorer.get_state())


def test_without_a_student():
    assert [example["student"] for example in TemperatureExplorer(IMAGES, LABELS, TEACHER).examples] == [None, None, None]


@pytest.mark.parametrize("images", [IMAGES, IMAGES[..., None], np.round(IMAGES * 255).astype(np.uint8)], ids=["3d", "4d", "uint8"])
def test_images_travel_as_png(images):
    head, body = TemperatureExplorer(images, LABELS, TEACHER).examples[1]["image"].split(",")
    assert head == "data:image/png;base64"
    decoded = matplotlib.image.imread(io.BytesIO(base64.b64decode(body)))  # floats in [0, 1]
    np.testing.assert_allclose(decoded, IMAGES[1], atol=0.5 / 255 + 1e-6)


def changed(array, value):
    array = np.array(array)
    array.flat[0] = value
    return array


BAD = {
    "image rank": ({"images": IMAGES.reshape(3, 784)}, "images must have shape (n, 28, 28) or (n, 28, 28, 1), got shape (3, 784)"),
    "image size": ({"images": np.zeros((3, 32, 32, 1))}, "images must have shape (n, 28, 28) or (n, 28, 28, 1), got shape (3, 32, 32, 1)"),
    "no images": ({"images": IMAGES[:0]}, "images must hold 1 to 32 digits, one thumbnail each, got 0"),
    "many images": ({"images": np.zeros((33, 28, 28))}, "images must hold 1 to 32 digits, one thumbnail each, got 33"),
    "image range": ({"images": changed(IMAGES, 255.0)}, "images must be uint8 or floats in [0, 1], got floats from"),
    "image type": ({"images": IMAGES.astype(int)}, "images must be uint8 or floats in [0, 1], got type int64"),
    "image nan": ({"images": changed(IMAGES, np.nan)}, "images must be finite, got 1 values"),
    "label count": ({"labels": LABELS[:2]}, "labels must have one entry for each of the 3 images, got 2"),
    "label range": ({"labels": [7, 0, 10]}, "labels must be in 0..9, got 10"),
    "label type": ({"labels": [7.0, 0.0, 9.0]}, "labels must be a vector of integers, got"),
    "teacher rank": ({"teacher_logits": TEACHER[0]}, "teacher_logits must have shape (n, classes) with at least 2 classes, got shape (1"),
    "teacher count": ({"teacher_logits": TEACHER[:2]}, "teacher_logits must have one row for each of the 3 images, got 2 rows"),
    "teacher nan": ({"teacher_logits": changed(TEACHER, np.inf)}, "teacher_logits must be finite, got 1 values"),
    "student count": ({"student_logits": STUDENT[:1]}, "student_logits must have one row for each of the 3 images, got 1 rows"),
    "student classes": ({"student_logits": STUDENT[:, :9]}, "student_logits must have the 10 classes of teacher_logits, got 9"),
    "names": ({"class_names": ["a", "b"]}, "class_names must have one name for each of the 10 classes, got 2"),
    "cold": ({"temperature": 0.2}, "temperature must be one number in 0.25..20, got 0.2"),
    "hot": ({"temperature": 21}, "temperature must be one number in 0.25..20, got 21"),
    "temperature nan": ({"temperature": float("nan")}, "temperature must be one number in 0.25..20, got nan"),
    "temperature text": ({"temperature": "2"}, "temperature must be one number in 0.25..20, got '2'"),
    "temperature list": ({"temperature": [1.0, 2.0]}, "temperature must be one number in 0.25..20, got [1.0, 2.0]"),
}


@pytest.mark.parametrize(("change", "message"), BAD.values(), ids=BAD)
def test_bad_input_is_one_clear_sentence(change, message):
    arguments = {"images": IMAGES, "labels": LABELS, "teacher_logits": TEACHER} | change
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        TemperatureExplorer(**arguments)
    assert "\n" not in str(caught.value)


def test_bad_traits_are_refused_and_the_old_value_stays():
    explorer = TemperatureExplorer(IMAGES, LABELS, TEACHER)
    explorer.temperature, explorer.selected = np.float32(2.5), 2
    with pytest.raises(traitlets.TraitError, match="temperature must be one number in"):
        explorer.temperature = 0.0
    with pytest.raises(traitlets.TraitError, match=re.escape("selected must be in 0..2, got 3")):
        explorer.selected = 3
    assert (explorer.temperature, explorer.selected) == (2.5, 2)


def test_importing_and_using_it_does_not_load_tensorflow():
    code = (
        "import sys, numpy as np, kdcourse.widgets; assert 'ipywidgets' not in sys.modules\n"
        "from kdcourse.widgets import TemperatureExplorer\n"
        "TemperatureExplorer(np.zeros((1, 28, 28)), [0], np.zeros((1, 10)))\n"
        "print([name for name in ('tensorflow', 'keras', 'matplotlib') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_an_unknown_widget_is_an_attribute_error():
    import kdcourse.widgets

    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = kdcourse.widgets.Nothing
    assert "TemperatureExplorer" in dir(kdcourse.widgets)

"""The sparsity explorer's Python side: its numbers are those of kdcourse.pruning, measure and formats, and moves that wait become one."""

import asyncio
import html
import io
import re

import matplotlib.image
import numpy as np
import pytest
import traitlets

from kdcourse import formats, measure, pruning
from kdcourse.runtime import quiet_start, set_seed
from kdcourse.widgets import SparsityExplorer
from kdcourse.widgets.sparsity_explorer import _cells

quiet_start()
import keras  # noqa: E402

RNG = np.random.default_rng(0)
IMAGES = RNG.random((230, 8, 8, 1), dtype=np.float32)  # more than two batches
LABELS = RNG.integers(0, 10, 230)


def network():
    set_seed(0)
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(4, 3, name="conv1"),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.Conv2D(6, 3, activation="relu", name="conv2"),
            layers.Dropout(0.5),
            layers.Flatten(),
            layers.Dense(20, activation="relu", bias_initializer="normal", name="dense1"),
            layers.Dense(10, name="logits"),
        ]
    )


@pytest.fixture(scope="module")
def model():
    model = network()
    kernel = np.array(model.get_layer("dense1").kernel)
    kernel[:40] = 0.05 * np.sign(kernel[:40])  # many equal magnitudes: ties are cut by position
    model.get_layer("dense1").kernel.assign(kernel)
    return model


@pytest.fixture
def explorer(model):
    return SparsityExplorer(model, IMAGES, LABELS)


@pytest.mark.parametrize("scope", ["layer", "global"])
def test_its_numbers_are_those_of_the_package(model, explorer, scope):
    weights = pruning.prunable(model)
    explorer.scope = scope
    for percent in (0, 1, 29, 50, 57, 90, 99):
        explorer.sparsity = percent
        masks = pruning.magnitude_masks(weights, percent / 100, scope)
        for name, mask in explorer._network.masks(percent, scope).items():
            np.testing.assert_array_equal(mask, masks[name], err_msg=name)
        pruned = pruning.with_masks(model, masks)
        assert explorer.accuracy == measure.accuracy(pruned.predict(IMAGES, verbose=0), LABELS)
        assert explorer.kept == pytest.approx({name: mask.mean() for name, mask in masks.items()})
        wanted = {f: sum(formats.encoded_size(np.array(w), f) for w in pruned.weights) for f in formats.FORMATS}
        assert explorer.sizes == wanted


def test_the_model_stays_as_it_is(model):
    before = [np.array(weight) for weight in model.weights]
    explorer = SparsityExplorer(model, IMAGES, LABELS, sparsity=90)
    explorer.scope = "global"
    for weight, array in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(weight, array)
    explorer.sparsity = 0
    assert explorer.accuracy == measure.accuracy(model.predict(IMAGES, verbose=0), LABELS)


def test_it_starts_as_asked(model):
    explorer = SparsityExplorer(model, IMAGES, LABELS, sparsity=np.int64(70), scope="global", layer="conv2")
    slider, toggle, dropdown = explorer.children[0].children
    assert (explorer.sparsity, explorer.scope, explorer.layer) == (70, "global", "conv2") == (slider.value, toggle.value, dropdown.value)
    assert SparsityExplorer(model, IMAGES, LABELS).layer == "dense1"  # the one with the most weights


def test_controls_traits_picture_and_words_follow_one_another(explorer):
    slider, toggle, dropdown = explorer.children[0].children
    pictures = [explorer.image.value]
    for control, value in ((slider, 70), (toggle, "global"), (dropdown, "conv1"), (dropdown, "conv2")):
        control.value = value
        pictures.append(explorer.image.value)
        assert f"Sparsity {explorer.sparsity}%, {'by layer' if explorer.scope == 'layer' else 'global'}" in explorer.words.value
    assert (explorer.sparsity, explorer.scope, explorer.layer) == (70, "global", "conv2")
    assert len(set(pictures)) == 5
    pixels = matplotlib.image.imread(io.BytesIO(pictures[-1]))
    assert pixels.shape[:2] == (int(explorer.image.height), int(explorer.image.width))
    explorer.sparsity = 20
    assert slider.value == 20


def test_a_picture_does_not_depend_on_the_way_there(model, explorer):
    for layer, scope, percent in [("conv1", "global", 30), ("dense1", "layer", 80), ("conv2", "global", 0), ("dense1", "layer", 0)]:
        explorer.layer, explorer.scope, explorer.sparsity = layer, scope, percent
    # the curve of what was visited is the one thing that remembers: its panel is left out
    again = matplotlib.image.imread(io.BytesIO(explorer.image.value))
    fresh = matplotlib.image.imread(io.BytesIO(SparsityExplorer(model, IMAGES, LABELS).image.value))
    np.testing.assert_array_equal(again[:200], fresh[:200])
    np.testing.assert_array_equal(again[200:, 280:], fresh[200:, 280:])


def test_the_picture_in_words(explorer):
    explorer.sparsity, explorer.scope = 60, "global"
    said = re.sub("<[^>]+>", "", html.unescape(explorer.words.value))
    assert f"Sparsity 60%, global: accuracy {explorer.accuracy:.1%} on 230 images." in said
    assert f"conv1 {explorer.kept['conv1']:.1%}, conv2 {explorer.kept['conv2']:.1%}" in said
    for name, size in explorer.sizes.items():
        assert f"{name} {size:,}" in said
    assert f"Smallest: {min(explorer.sizes, key=explorer.sizes.get)}, " in said


async def until(true, seconds=60):
    """Let the event loop work until something is true: a busy machine needs longer."""
    for _ in range(round(seconds / 0.05)):
        if true():
            return
        await asyncio.sleep(0.05)


def test_moves_that_wait_become_one_redraw(explorer, monkeypatch):
    for wait, seconds in (("QUIET", 0.2), ("PATIENCE", 60)):  # so that a slow machine does not count as a pause
        monkeypatch.setattr(f"kdcourse.widgets.sparsity_explorer.{wait}", seconds)
    drawn = []

    async def burst():
        explorer.image.observe(lambda change: drawn.append(explorer.sparsity), "value")
        slider = explorer.children[0].children[0]
        for percent in [*range(1, 100), *range(98, -1, -1), 41, 42]:
            slider.value = percent
            if percent == 60:
                assert explorer.accuracy == explorer._network.result(60, "layer").accuracy  # what is read is never old
            await asyncio.sleep(0)
        assert drawn == []
        await until(lambda: drawn)

    asyncio.run(burst())
    assert drawn == [42]
    assert "Sparsity 42%" in explorer.words.value


def test_a_long_drag_is_followed(explorer, monkeypatch):
    monkeypatch.setattr("kdcourse.widgets.sparsity_explorer.PATIENCE", 0.02)
    drawn = []

    async def drag():
        explorer.image.observe(lambda change: drawn.append(explorer.sparsity), "value")
        for percent in range(1, 100):
            explorer.sparsity = percent
            await asyncio.sleep(0.001)  # sooner than the wait for quiet ends
        await until(lambda: drawn[-1:] == [99])

    asyncio.run(drag())
    assert len(drawn) > 1
    assert drawn[-1] == 99


def test_places_without_widgets_show_a_sentence(explorer):
    assert repr(explorer) == "A sparsity slider over a trained network: run this cell in JupyterLab, Colab or Binder, and move it."
    assert len(repr(explorer)) < 110  # ipywidgets cuts off what is longer


def test_each_weight_has_its_place_in_the_picture():
    for shape in [(5, 3), (4, 3, 2), (5, 5, 1, 20), (3, 2, 4, 6), (2, 2, 2, 3, 4)]:
        cells = _cells(shape, 3)
        assert sorted(cells[cells >= 0]) == list(range(np.prod(shape))), shape
    dense = _cells((5, 3), 3)
    assert dense.shape == (3, 5)  # inputs from left to right
    np.testing.assert_array_equal(dense[1], np.ravel_multi_index((range(5), [1] * 5), (5, 3)))
    conv = _cells((3, 2, 4, 6), 3)
    assert conv.shape == (4 * 4 - 1, 6 * 3 - 1)
    np.testing.assert_array_equal(conv[8:11, 15:17], np.arange(144).reshape(3, 2, 4, 6)[:, :, 2, 5])
    assert (conv[3] == -1).all() and (conv[:, 2] == -1).all()


class Subclassed(keras.Model):
    def call(self, x):
        return x


def without_weights():
    return keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten()])


def with_an_image_as_output():
    return keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Conv2D(1, 3)])


SHAPE = "images must have shape (n, 8, 8, 1), as the model takes them, got shape"
BAD = {
    "subclassed": (lambda: {"model": Subclassed()}, "model must be"),
    "no model": (lambda: {"model": "lenet5"}, "model must be a keras"),
    "nothing to prune": (lambda: {"model": without_weights()}, "model must have a Dense or Conv layer to prune, got none"),
    "outputs": (lambda: {"model": with_an_image_as_output()}, "model must have one input and outputs of shape (n, classes), got"),
    "low": (lambda: {"sparsity": -1}, "sparsity must be an integer in 0..99, per cent, got -1"),
    "high": (lambda: {"sparsity": 100}, "sparsity must be an integer in 0..99, per cent, got 100"),
    "share": (lambda: {"sparsity": 0.5}, "sparsity must be an integer in 0..99, per cent, got 0.5"),
    "bool": (lambda: {"sparsity": True}, "sparsity must be an integer in 0..99, per cent, got True"),
    "scope": (lambda: {"scope": "all"}, "scope must be one of ['layer', 'global'], got 'all'"),
    "layer": (lambda: {"layer": "conv9"}, "layer must be one of ['conv1', 'conv2', 'dense1', 'logits'], got 'conv9'"),
    "image rank": (lambda: {"images": IMAGES[..., 0]}, f"{SHAPE} (230, 8, 8)"),
    "image size": (lambda: {"images": IMAGES[:, :7]}, f"{SHAPE} (230, 7, 8, 1)"),
    "many images": (
        lambda: {"images": np.zeros((1001, 8, 8, 1), np.float32), "labels": np.zeros(1001, int)},
        "images must hold 1 to 1,000 images, so that a move stays fast, got 1,001",
    ),
    "no images": (lambda: {"images": IMAGES[:0], "labels": LABELS[:0]}, "images must hold 1 to 1,000 images"),
    "image type": (lambda: {"images": IMAGES.astype(np.uint8)}, "images must be finite floats, as the model takes them, got type uint8"),
    "image nan": (lambda: {"images": IMAGES * np.nan}, "images must be finite floats, as the model takes them, got 14720 values that are"),
    "label count": (lambda: {"labels": LABELS[:9]}, "labels must have one entry for each of the 230 images, got 9"),
    "label range": (lambda: {"labels": LABELS + 10}, "labels must be in 0..9, got"),
    "label type": (lambda: {"labels": LABELS * 1.0}, "labels must be a vector of integers, got"),
}


@pytest.mark.parametrize(("change", "message"), BAD.values(), ids=BAD)
def test_bad_input_is_one_clear_sentence(model, change, message):
    arguments = {"model": model, "images": IMAGES, "labels": LABELS} | change()
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        SparsityExplorer(arguments.pop("model"), arguments.pop("images"), arguments.pop("labels"), **arguments)
    assert "\n" not in str(caught.value)


def test_bad_traits_are_refused_and_the_old_value_stays(explorer):
    for trait, value, message in [
        ("sparsity", 100, "sparsity must be an integer in 0..99, per cent, got 100"),
        ("sparsity", 7.5, "sparsity must be an integer in 0..99, per cent, got 7.5"),
        ("scope", "all", "scope must be one of ['layer', 'global'], got 'all'"),
        ("layer", "conv9", "layer must be one of ['conv1', 'conv2', 'dense1', 'logits'], got 'conv9'"),
    ]:
        with pytest.raises(traitlets.TraitError, match=re.escape(message)):
            setattr(explorer, trait, value)
    assert (explorer.sparsity, explorer.scope, explorer.layer) == (0, "layer", "dense1")

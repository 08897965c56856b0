"""The sparsity explorer's Python side: its numbers are those of pruning, measure and formats, and the page gets what belongs to them."""

import base64
import io

import numpy as np
import pytest
from explorers import refuses, refuses_traits
from PIL import Image

from kdcourse import anatomy, formats, measure, pruning
from kdcourse.runtime import quiet_start, set_seed
from kdcourse.widgets import SparsityExplorer
from kdcourse.widgets.sparsity_explorer import FORMATS, MASK, _cells

quiet_start()
import keras  # noqa: E402

RNG = np.random.default_rng(0)
IMAGES = RNG.random((230, 8, 8, 1), dtype=np.float32)
LABELS = RNG.integers(0, 10, 230)


@pytest.fixture(scope="module")
def model():
    set_seed(0)
    layers = keras.layers
    model = keras.Sequential(
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
    kernel = np.array(model.get_layer("dense1").kernel)
    kernel[:40] = 0.05 * np.sign(kernel[:40])  # many equal magnitudes: ties are cut by position
    model.get_layer("dense1").kernel.assign(kernel)
    return model


@pytest.fixture
def explorer(model):
    return SparsityExplorer(model, IMAGES, LABELS)


@pytest.mark.parametrize("batch", [500, 100])  # all images at once, or more than two batches
@pytest.mark.parametrize("scope", ["layer", "global"])
def test_its_numbers_are_those_of_the_package(model, scope, batch, monkeypatch):
    monkeypatch.setattr("kdcourse.widgets.sparsity_explorer.BATCH", batch)
    explorer, weights = SparsityExplorer(model, IMAGES, LABELS), anatomy.kernels(model)
    explorer.scope = scope
    for percent in (0, 1, 29, 50, 57, 90, 99):
        explorer.sparsity = percent
        masks = pruning.magnitude_masks(weights, percent / 100, scope)
        for name, mask in explorer._network.masks(percent, scope).items():
            np.testing.assert_array_equal(mask, masks[name], err_msg=name)
        pruned = pruning.with_masks(model, masks)
        assert explorer.accuracy == measure.accuracy(pruned.predict(IMAGES, verbose=0), LABELS)
        assert explorer.kept == pytest.approx({name: mask.mean() for name, mask in masks.items()})
        assert set(explorer.sizes) <= set(formats.FORMATS)
        assert explorer.sizes == {form: sum(formats.encoded_size(np.array(w), form) for w in pruned.weights) for form in FORMATS}


def test_the_model_stays_as_it_is(model):
    before = [np.array(weight) for weight in model.weights]
    explorer = SparsityExplorer(model, IMAGES, LABELS, sparsity=90)
    explorer.scope = "global"
    for weight, array in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(weight, array)
    explorer.sparsity = 0
    assert explorer.accuracy == measure.accuracy(model.predict(IMAGES, verbose=0), LABELS)


def test_it_starts_as_asked(model, explorer):
    asked = SparsityExplorer(model, IMAGES, LABELS, sparsity=np.int64(70), scope="global", layer="conv2")
    assert (asked.sparsity, asked.scope, asked.layer) == (70, "global", "conv2")
    assert (explorer.sparsity, explorer.scope, explorer.layer) == (0, "layer", "dense1")  # the one with the most weights
    assert repr(explorer) == "A sparsity slider over a trained network: run this cell in JupyterLab, Colab or Binder, and move it."
    assert len(repr(explorer)) < 110  # what is longer is cut off


def test_the_page_gets_what_belongs_to_each_state(model, explorer):
    visited = {"layer": [0], "global": []}
    for layer, scope, percent in [("conv1", "global", 30), ("dense1", "layer", 80), ("conv2", "global", 0), ("logits", "layer", 99)]:
        explorer.sparsity = explorer.sparsity  # no move: nothing is visited
        explorer.layer = layer
        explorer.scope = scope
        visited[scope].append(explorer.sparsity)
        explorer.sparsity = percent
        visited[scope].append(percent)
        shown, weights = explorer.shown, np.array(model.get_layer(layer).kernel)
        mask = pruning.magnitude_masks(anatomy.kernels(model), percent / 100, scope)[layer]
        assert (shown["sparsity"], shown["scope"], shown["layer"], shown["images"]) == (percent, scope, layer, 230)
        assert (shown["accuracy"], shown["kept"]) == (explorer.accuracy, list(explorer.kept.values()))
        assert (explorer.formats, shown["sizes"]) == (list(FORMATS), list(explorer.sizes.values()))
        assert (shown["cut"], shown["weights"]) == ((~mask).sum(), mask.size)
        if shown["cut"]:
            assert np.abs(weights[~mask]).max() <= shown["threshold"] == np.abs(weights[mask]).min()
        for bins, kept in zip(shown["histogram"], (weights, weights[mask]), strict=True):
            edges = np.linspace(-shown["largest"], shown["largest"], len(bins) + 1)
            assert sum(bins) == kept.size
            assert np.abs(np.array(bins) - np.histogram(kept, edges)[0]).sum() <= 2  # a weight on an edge may count to either side
        assert {scope: [percent for percent, _ in points] for scope, points in shown["seen"].items()} == {
            scope: sorted(set(percents)) for scope, percents in visited.items()
        }
        assert [percent, explorer.accuracy] in shown["seen"][scope]


def pixels(explorer):
    return np.array(Image.open(io.BytesIO(base64.b64decode(explorer.shown["mask"].partition(",")[2]))))


def test_the_mask_as_a_picture(model, explorer):
    explorer.sparsity, explorer.layer = 60, "logits"
    mask = pruning.magnitude_masks(anatomy.kernels(model), 0.6)["logits"]
    np.testing.assert_array_equal(pixels(explorer), np.where(mask.T, 30, 255))
    wide = keras.Sequential([keras.Input((900,)), keras.layers.Dense(200), keras.layers.Dense(2)])
    explorer = SparsityExplorer(wide, np.zeros((2, 900)), [0, 1], sparsity=50)
    assert pixels(explorer).shape == MASK[::-1]  # more weights than pixels: their mean
    assert pixels(explorer).mean() == pytest.approx((30 + 255) / 2, abs=1)


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


def sequential(*layers):
    return lambda: {"model": keras.Sequential([keras.Input((8, 8, 1)), *layers])}


BAD = [
    (lambda: {"model": Subclassed()}, "model must be"),
    (lambda: {"model": "lenet5"}, "model must be a keras"),
    (sequential(keras.layers.Flatten()), "model must have a Dense or Conv layer"),
    (sequential(keras.layers.Conv2D(1, 3)), "model must be one with one input and outputs of shape (n, classes), got"),
    (lambda: {"sparsity": 100}, "sparsity must ... 0..99, per cent, got 100"),
    (lambda: {"sparsity": 0.5}, "sparsity must ... got 0.5"),
    (lambda: {"sparsity": True}, "sparsity must ... got True"),
    (lambda: {"scope": "all"}, "scope must ... layer, global, got 'all'"),
    (lambda: {"layer": "conv9"}, "layer must ... conv1, conv2, dense1, logits, got 'conv9'"),
    (lambda: {"images": IMAGES[..., 0]}, "images must ... (n, 8, 8, 1), got ... (230, 8, 8)"),
    (lambda: {"images": IMAGES[:, :7]}, "images must ... (n, 8, 8, 1), got ... (230, 7, 8, 1)"),
    (lambda: {"images": np.zeros((1001, 8, 8, 1))}, "images must be at most 1,000, so that a move stays fast, got 1,001"),
    (lambda: {"images": IMAGES[:0], "labels": LABELS[:0]}, "images must"),
    (lambda: {"images": IMAGES.astype(np.uint8)}, "images must ... floats ... got ... uint8"),
    (lambda: {"images": IMAGES * np.nan}, "images must be finite, got"),
    (lambda: {"labels": LABELS[:9]}, "labels must ... got ...(9,)"),
    (lambda: {"labels": LABELS + 10}, "labels must ... 0..9 ... got"),
]


@pytest.mark.parametrize(("change", "message"), BAD)
def test_bad_input_is_one_clear_sentence(model, change, message):
    refuses(message, SparsityExplorer, **{"model": model, "images": IMAGES, "labels": LABELS} | change())


def test_bad_traits_are_refused_and_the_old_value_stays(explorer):
    cases = [
        ("sparsity", 100, "sparsity must ... got 100"),
        ("sparsity", 7.5, "sparsity must ... got 7.5"),
        ("scope", "all", "scope must ... got 'all'"),
        ("layer", "conv9", "layer must ... got 'conv9'"),
    ]
    refuses_traits(explorer, cases)

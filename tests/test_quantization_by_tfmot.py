"""Training for int8 and clustering by TFMOT across the bridge: what is kept, what the file holds, and what is refused before any work."""

import keras
import numpy as np
import pytest
import tf_keras
from zoo import cnn, examples, linear, nested, preactivation, text

from kdcourse import litert, losses, measure, tfmot, training
from kdcourse.anatomy import kernels
from kdcourse.pruning import magnitude_masks, with_masks
from kdcourse.quantization import train_clustered, train_for_int8, with_codebooks
from kdcourse.soft_labels import one_hot

L = keras.layers
X, LABELS = examples()
Y = one_hot(LABELS, 3)
HOW = {"seed": 1, "updates": 24, "batch_size": 16, "learning_rate": 0.005}


@pytest.fixture(scope="module")
def start():
    """A network that reads nearly all of its examples."""
    layers = [L.Conv2D(4, 3, strides=2, name="conv"), L.BatchNormalization(momentum=0.9), L.ReLU(), L.Flatten()]
    layers += [L.Dense(12, "relu", name="hidden"), L.Dense(3, name="logits")]
    return training.train(
        lambda: keras.Sequential([keras.Input((8, 8, 1)), *layers]), X, Y, seed=1, updates=80, batch_size=16, learning_rate=0.01
    )


@pytest.fixture(scope="module")
def trained(start):
    before = start.get_weights()
    made = train_for_int8(start, X, Y, **HOW)
    assert all(map(np.array_equal, start.get_weights(), before)), "the model that is given stays"
    return made


def int8(model):
    return litert.to_tflite(model, "int8", X)


def weights_in(tflite):
    """Return the integers of the hidden layer in a full-int8 file."""
    found = [tensor.data for tensor in litert.contents(tflite).tensors if tensor.data is not None and tensor.shape == (12, 36)]
    assert len(found) == 1 and found[0].dtype == np.int8
    return found[0]


@pytest.mark.slow
def test_the_file_answers_as_the_trained_model(trained):
    assert isinstance(trained, tf_keras.Model)
    tflite = int8(trained)
    assert {tensor.dtype.name for tensor in litert.contents(tflite).tensors} <= {"int8", "int32"}
    answers = litert.predict(tflite, X)
    assert np.abs(answers - training.logits(trained, X)).max() < 0.06 * np.abs(answers).max()
    assert measure.accuracy(answers, LABELS) > 0.9
    narrow = litert.to_tflite(trained, "int8", X[:8] * 1e-3)
    assert np.array_equal(litert.predict(narrow, X), answers), "the learned ranges count, not those of the examples"


@pytest.mark.slow
def test_zeros_are_preserved(start):
    cut = with_masks(start, magnitude_masks(kernels(start), 0.7))
    assert (weights_in(int8(train_for_int8(cut, X, Y, preserve="pruning", **HOW))) == 0).mean() >= 0.69


@pytest.mark.slow
def test_clusters_are_preserved(start):
    few = with_codebooks(start, 6)
    kept = weights_in(int8(train_for_int8(few, X, Y, preserve="clusters", **HOW)))
    assert len(np.unique(kept)) <= 6


@pytest.mark.slow
def test_zeros_and_clusters_are_preserved_together(start):
    cut = with_masks(start, magnitude_masks(kernels(start), 0.6))
    few = train_clustered(cut, X, Y, clusters=8, preserve_zeros=True, **HOW)
    assert all(len(np.unique(weights)) <= 8 for weights in kernels(few).values())
    assert (kernels(few)["hidden"] == 0).mean() >= 0.59
    kept = weights_in(int8(train_for_int8(few, X, Y, preserve="pruning and clusters", **HOW)))
    assert len(np.unique(kept)) <= 8 and (kept == 0).mean() >= 0.59


@pytest.mark.slow
def test_a_layer_in_leave_is_trained_in_floats_and_the_file_is_int8_all_the_same():
    model = keras.Sequential(
        [keras.Input((8, 8, 1)), L.Conv2D(4, 3, name="conv"), L.PReLU(name="prelu"), L.Flatten(), L.Dense(3)], name="p"
    )
    trained = train_for_int8(model, X, Y, leave=["prelu"], **HOW)
    assert trained.get_layer("prelu").__class__ is tf_keras.layers.PReLU
    tflite = int8(trained)
    assert not any(tensor.dtype == np.float32 for tensor in litert.contents(tflite).tensors)
    assert np.abs(litert.predict(tflite, X) - training.logits(trained, X)).max() < 0.2


def test_a_teacher_can_guide_the_training():
    logits = 5 * Y - 2
    how = {"loss": losses.distillation_loss(temperature=2.0, alpha=1.0), "learning_rate": 0.05}
    taught = train_for_int8(linear(), X, losses.pack(np.full(len(X), -1), logits), **HOW | how)
    assert measure.accuracy(training.logits(taught, X), LABELS) > 0.9


@pytest.mark.slow
def test_it_is_saved_as_h5_and_not_as_keras(trained, tmp_path):
    scope = tfmot.toolkit("quantization").quantize_scope
    trained.save(tmp_path / "trained.h5")
    with scope():
        again = tf_keras.models.load_model(tmp_path / "trained.h5", compile=False)
    assert np.allclose(training.logits(again, X), training.logits(trained, X), atol=1e-5)
    trained.save(tmp_path / "trained.keras")
    with scope(), pytest.raises((TypeError, ValueError)):
        tf_keras.models.load_model(tmp_path / "trained.keras", compile=False)


@pytest.mark.slow
def test_clusters_in_a_plain_model_of_keras_3(start):
    before = start.get_weights()
    few = train_clustered(start, X, Y, clusters=5, **HOW)
    assert isinstance(few, keras.Model) and [layer.name for layer in few.layers] == [layer.name for layer in start.layers]
    assert [len(np.unique(weights)) <= 5 for weights in kernels(few).values()] == [True, True, True]
    assert all(map(np.array_equal, start.get_weights(), before)), "cluster_weights works in place; this got a copy"
    assert measure.accuracy(training.logits(few, X), LABELS) > 0.9
    some = kernels(train_clustered(start, X, Y, clusters=5, layers=["hidden"], start="density", **HOW))
    assert len(np.unique(some["hidden"])) <= 5 < len(np.unique(some["logits"]))


@pytest.mark.parametrize("setting", [{}, {"leave": ["relu"]}])
def test_the_sentence_names_the_layer(setting):
    model = keras.Sequential([keras.Input((8, 8, 1)), L.Conv2D(4, 3), L.PReLU(name="prelu"), L.ReLU(name="relu"), L.Flatten(), L.Dense(3)])
    sentence = r"layer 'prelu' must be one that TFMOT can quantize, got PReLU: use ReLU or LeakyReLU, or name it in leave"
    with pytest.raises(ValueError, match=sentence):
        train_for_int8(model, X, Y, **HOW, **setting)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: train_for_int8(nested(), X, Y, **HOW), "model must have no model inside, which TFMOT refuses, got 'head'"),
        (lambda: train_for_int8(text(), X, Y, **HOW), "model must have one input of floats, .* got an input of int32 in text"),
        (lambda: train_for_int8(preactivation(), X, Y, **HOW), "layer 'norm1' must be .* got BatchNormalization: put it right behind"),
        (lambda: train_for_int8(elu(), X, Y, **HOW), "layer 'act' must be .* got Activation elu: use relu, or name it in leave"),
        (lambda: train_for_int8(linear(), X, Y, leave=["no"], **HOW), "leave must be names out of flatten.*, got 'no'"),
        (
            lambda: train_for_int8(linear(), X, Y, preserve="zeros", **HOW),
            "preserve must be one of pruning, clusters, pruning and clusters",
        ),
        (lambda: train_for_int8(linear(), X, Y, preserve="pruning", **HOW), "model must have weights that are 0 .* got none in linear"),
        (lambda: train_for_int8(cnn(), X, Y, preserve="clusters", **HOW), "model must have at most 256 .* got 768 in 'dense'"),
        (lambda: train_for_int8(linear(), X[:, :4], Y, **HOW), "inputs must have shape"),
        (lambda: train_clustered(linear(), X, Y, clusters=1, **HOW), r"clusters must be an integer in 2\.\.256, got 1"),
        (lambda: train_clustered(linear(), X, Y, start="best", **HOW), "start must be one of linear, density, k-means"),
        (lambda: train_clustered(linear(), X, Y, preserve_zeros=True, **HOW), "model must have weights that are 0 to preserve, got none"),
        (lambda: train_clustered(linear(), X, Y, clusters=200, **HOW), "model must have a Conv or Dense layer with more than 200 weights"),
        (lambda: train_clustered(linear(), X, Y, layers=["flat"], **HOW), "layers must be names out of dense"),
    ],
)
def test_refusals(call, sentence, monkeypatch):
    monkeypatch.setattr(training, "_batches", lambda *args: pytest.fail("the work had begun"))
    with pytest.raises(ValueError, match=sentence):
        call()


def elu():
    return keras.Sequential([keras.Input((8, 8, 1)), L.Flatten(), L.Dense(4), L.Activation("elu", name="act"), L.Dense(3)])

"""Pruning by TFMOT across the bridge: the sparsity asked for, in a Keras 3 model, and the model that was given as it was."""

import keras
import numpy as np
import pytest
import tf_keras
from zoo import nested, subclassed

from kdcourse import keras_bridge, losses, tfmot, training
from kdcourse.pruning import ConstantSparsity, PolynomialDecay, Staircase, prunable, train_with_tfmot
from kdcourse.pruning.by_tfmot import _translated
from kdcourse.soft_labels import one_hot

L = keras.layers
DRAW = np.random.default_rng(0)
X = DRAW.random((40, 6, 6, 4), np.float32)
LABELS = DRAW.integers(0, 3, 40)
Y = one_hot(LABELS, 3)


def pruned(model=None, *, inputs=X, targets=Y, seed=1, updates=7, **settings):
    settings = {"batch_size": 8, "learning_rate": 0.01} | settings
    return train_with_tfmot(nested() if model is None else model, inputs, targets, seed=seed, updates=updates, **settings)


def zeros(model):
    return {name: int((kernel == 0).sum()) for name, kernel in prunable(model).items()}


def wanted(model, sparsity):
    return {name: kernel.size - max(1, round(kernel.size * (1 - sparsity))) for name, kernel in prunable(model).items()}


def same(a, b):
    return all(np.array_equal(v, w) for v, w in zip(a.get_weights(), b.get_weights(), strict=True))


@pytest.mark.parametrize(
    ("schedule", "frequency"),
    [
        (PolynomialDecay(0.75, 0, 7), 3),  # 3 does not divide 7; the end is the last update
        (PolynomialDecay(0.75, 2, 6, initial=0.5, power=1), 100),
        (ConstantSparsity(0.75), 100),
        (ConstantSparsity(0.75, begin=7), 2),
    ],
)
def test_the_sparsity_is_reached_in_an_ordinary_model(schedule, frequency):
    model = nested()
    before, parts = model.get_weights(), [layer.name for layer in model._flatten_layers()]
    new = pruned(model, schedule=schedule, frequency=frequency)
    assert isinstance(new, keras.Model) and [layer.name for layer in new._flatten_layers()] == parts
    assert zeros(new) == wanted(model, 0.75)
    assert not any(np.signbit(kernel[kernel == 0]).any() for kernel in prunable(new).values()), "a byte format does not find minus zeros"
    assert np.all(np.array(new.get_layer("depth").kernel) != 0)
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), before, strict=True))
    assert not same(model, new) and training.logits(new, X).shape == (40, 3)


def test_tfmot_left_alone_misses_the_end():
    """Why the schedule is a class of its own: with frequency 3 from 0 to 7, TFMOT's last masks come at 6."""
    theirs = tfmot.toolkit("sparsity").PolynomialDecay
    for schedule, last in ((theirs(0.0, 0.75, 0, 7, frequency=3), 6), (_translated(PolynomialDecay(0.75, 0, 7), 3), 7)):
        assert max(step for step in range(20) if bool(schedule(np.int64(step))[0])) == last


@pytest.mark.parametrize("ours", [PolynomialDecay(0.8, 3, 17, initial=0.2, power=2), PolynomialDecay(0.5, 0, 10)])
def test_a_polynomial_decay_is_the_same_function(ours):
    theirs = _translated(ours, 1)
    for step in range(20):
        due, sparsity = theirs(np.int64(step))
        assert bool(due) == (ours.begin <= step <= ours.end)
        if step >= ours.begin:
            assert float(sparsity) == pytest.approx(ours(step), abs=1e-6)


def test_only_the_layers_named_are_pruned():
    new = pruned(schedule=ConstantSparsity(0.5), layers=["hidden"])
    assert {name: n > 0 for name, n in zeros(new).items()} == {"conv": False, "hidden": True, "logits": False}


def test_a_functional_model_with_a_shared_layer():
    x = keras.Input((4,))
    shared = L.Dense(4, name="shared", activation="hard_silu")
    model = keras.Model(x, L.Dense(3, name="logits")(L.Add(name="sum")([shared(x), shared(shared(x))])))
    new = pruned(model, inputs=X[:, 0, 0], schedule=ConstantSparsity(0.5))
    assert zeros(new) == {"shared": 8, "logits": 6} and new.get_layer("shared").activation is keras.activations.hard_silu
    assert len(new.get_weights()) == 4


def test_what_was_pruned_is_what_was_trained():
    """Stripping and the bridge change nothing: what was wrapped gives the same logits."""
    kept = []

    class Keep(tf_keras.callbacks.Callback):
        def on_train_end(self, logs=None):
            kept.append(self.model)

    new = pruned(schedule=ConstantSparsity(0.5), callbacks=[Keep()])
    assert any("prune_low_magnitude" in layer.name for layer in kept[0].layers)
    np.testing.assert_allclose(training.logits(new, X), training.logits(kept[0], X), atol=1e-5)


def test_one_seed_gives_one_model():
    tiny = keras.Sequential([keras.Input((6, 6, 4)), L.Flatten(), L.Dense(3)])
    one, two, other = (pruned(tiny, schedule=PolynomialDecay(0.6, 1, 5), frequency=2, seed=seed) for seed in (1, 1, 2))
    assert same(one, two) and not same(one, other)


def test_a_teacher_can_guide_it():
    teacher_logits = training.logits(nested(name="teacher", seed=5), X)
    settings = {"schedule": ConstantSparsity(0.5), "targets": losses.pack(LABELS, teacher_logits), "updates": 60}
    taught, labelled = (pruned(loss=losses.distillation_loss(alpha=alpha, temperature=2.0), **settings) for alpha in (1.0, 0.0))
    assert zeros(taught) == zeros(labelled) == wanted(nested(), 0.5)
    distance = [np.abs(training.logits(m, X) - teacher_logits).mean() for m in (taught, labelled)]
    assert distance[0] < distance[1]


# 2:4


def grouped(kernel, axis):
    """Return the number of zeros in each 4 neighbours along `axis`."""
    kernel = np.moveaxis(kernel, axis, -1)
    return (kernel.reshape(*kernel.shape[:-1], -1, 4) == 0).sum(-1)


def test_two_of_four_along_the_inputs():
    stack = [L.Conv2D(8, 3, name="conv"), L.Flatten(), L.Dense(8, name="dense"), L.Dense(3, name="logits")]
    model = keras.Sequential([keras.Input((6, 6, 4)), *stack])
    kernels = prunable(pruned(model, pattern="2:4"))
    conv, dense = kernels["conv"], kernels["dense"]
    assert (grouped(conv, 2) == 2).all() and (grouped(dense, 0) == 2).all()
    assert not (grouped(conv, 3) == 2).all() and not (grouped(dense, 1) == 2).all()  # along the outputs it is chance


@pytest.mark.parametrize(("inputs", "expected"), [(3, 1), (5, 2), (6, 2), (7, 3), (8, 4)])
def test_two_of_four_where_four_does_not_divide(inputs, expected):
    model = keras.Sequential([keras.Input((inputs,)), L.Dense(3, name="dense")])
    kernel = prunable(pruned(model, inputs=DRAW.random((40, inputs)), pattern="2:4", updates=3))["dense"]
    assert ((kernel == 0).sum(0) == expected).all()


def test_layers_that_a_pattern_does_not_fit():
    stack = [L.Conv2D(4, 3, name="two"), L.Reshape((16, 4)), L.Conv1D(4, 3, name="line"), L.Flatten(), L.Dense(3, name="dense")]
    model = keras.Sequential([keras.Input((6, 6, 2)), *stack])
    new = pruned(model, inputs=X[..., :2], pattern="2:4", updates=3)
    assert {name: n > 0 for name, n in zeros(new).items()} == {"two": False, "line": False, "dense": True}
    for name in ("two", "line"):
        with pytest.raises(ValueError, match=f"layers must be names out of dense, got '{name}'"):
            pruned(model, inputs=X[..., :2], pattern="2:4", layers=[name])
    only = keras.Sequential([keras.Input((2,)), L.Dense(3)], name="only")
    with pytest.raises(ValueError, match="a Dense or Conv2D with at least 3 inputs, got none in 'only'"):
        pruned(only, inputs=X[:, 0, 0, :2], pattern="2:4")


# bad input


BAD = [
    ({}, r"schedule or pattern must be given, one of the two, got schedule=None and pattern=None"),
    ({"schedule": Staircase([0.2, 0.5], 2)}, "schedule must be a ConstantSparsity or a PolynomialDecay.*, got Staircase"),
    ({"schedule": 0.5}, "schedule must be a ConstantSparsity or a PolynomialDecay.*, got 0.5"),
    ({"schedule": PolynomialDecay(0.5, 0, 8)}, "schedule must end within the 7 updates of the training, got end=8"),
    ({"schedule": ConstantSparsity(0.5, begin=8)}, "schedule must end within the 7 updates of the training, got end=8"),
    ({"pattern": "1:4"}, "pattern must be one of 2:4, got '1:4'"),
    ({"schedule": ConstantSparsity(0.5), "layers": ["nope"]}, "layers must be names out of conv, hidden, logits, got 'nope'"),
    ({"schedule": ConstantSparsity(0.5), "layers": ["depth"]}, "layers must be names out of conv, hidden, logits, got 'depth'"),
    ({"schedule": ConstantSparsity(0.5), "layers": "conv"}, "layers must be a list of names out of .*, got 'conv'"),
    ({"schedule": ConstantSparsity(0.5), "frequency": 0}, "frequency must be an integer >= 1, got 0"),
    ({"schedule": ConstantSparsity(0.5), "targets": Y[:3]}, "targets must have shape"),
]


@pytest.mark.parametrize(("settings", "message"), BAD, ids=range(len(BAD)))
def test_bad_input_is_refused(settings, message):
    model = nested()
    before = model.get_weights()
    with pytest.raises(ValueError, match=message):
        pruned(model, **settings)
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), before, strict=True))


def stacked(*layers):
    return keras.Sequential([keras.Input((6, 6, 4)), *layers], name="stack")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (subclassed, "model must be a Sequential or functional model"),
        (lambda: stacked(L.DepthwiseConv2D(6), L.Flatten()), "model must have a Dense or Conv layer to prune"),
        (lambda: stacked(L.Reshape((36, 4)), L.Conv1DTranspose(2, 3)), "layer for TFMOT: a Dense or Conv, got none in 'stack'"),
        (lambda: stacked(L.Lambda(abs, name="it"), L.Flatten(), L.Dense(3)), r"layer 'it' \(Lambda\) must be one of"),
        (lambda: keras_bridge.to_tf_keras(nested()), "model must be a keras model, got net, which is a tf_keras model already"),
    ],
)
def test_models_that_do_not_fit_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        pruned(make(), schedule=ConstantSparsity(0.5))

"""Magnitude pruning: masks, schedules, training that keeps zeros at zero."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from kdcourse import datasets, losses, models, pruning, training
from kdcourse.pruning import ConstantSparsity, PolynomialDecay, Staircase
from kdcourse.soft_labels import one_hot

SPARSITIES = st.floats(0, 0.999)
KERNELS = arrays(np.float32, array_shapes(max_dims=4, max_side=6), elements=st.floats(-4, 4, width=32))


@pytest.fixture(scope="module")
def small():
    """A small network with a convolution, a depthwise one and two dense layers; nobody may change it."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(1)
    stack = [
        keras.Input((28, 28, 1)),
        layers.Conv2D(4, 3, strides=3, name="conv"),
        layers.DepthwiseConv2D(3, name="depthwise"),
        layers.ReLU(),
    ]
    stack += [layers.BatchNormalization(name="norm"), layers.Flatten(), layers.Dense(12, activation="relu", name="dense")]
    return keras.Sequential([*stack, layers.Dense(10, name="logits")])


@pytest.fixture(scope="module")
def digits():
    data = datasets.load("mnist-5k")
    return data.x_train[::15], data.y_train[::15]


@pytest.fixture
def untouched(small):
    """Fail when a test changes the network that it passed in."""
    before = [w.copy() for w in small.get_weights()]
    yield small
    for a, b in zip(before, small.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert all(layer.kernel.constraint is None for layer in small.layers if hasattr(layer, "kernel"))


def zeros(model):
    return {name: int(np.sum(kernel == 0)) for name, kernel in pruning.prunable(model).items()}


@given(KERNELS, SPARSITIES)
def test_a_mask_cuts_the_asked_number_and_nothing_larger_than_what_it_keeps(kernel, sparsity):
    mask = pruning.magnitude_masks({"a": kernel}, sparsity)["a"]
    assert mask.shape == kernel.shape and mask.dtype == bool
    assert np.sum(~mask) == round(sparsity * kernel.size)
    if mask.any() and not mask.all():
        assert np.abs(kernel[~mask]).max() <= np.abs(kernel[mask]).min()


@given(st.lists(KERNELS, min_size=1, max_size=4), SPARSITIES)
def test_the_global_scope_is_one_layer_that_holds_all(kernels, sparsity):
    weights = {str(place): kernel for place, kernel in enumerate(kernels)}
    masks = pruning.magnitude_masks(weights, sparsity, "global")
    together = pruning.magnitude_masks({"all": np.concatenate([k.ravel() for k in kernels])}, sparsity)["all"]
    np.testing.assert_array_equal(np.concatenate([masks[name].ravel() for name in weights]), together)
    assert all(masks[name].shape == weights[name].shape for name in weights)


@given(KERNELS, SPARSITIES, SPARSITIES)
def test_more_sparsity_keeps_nothing_that_less_had_cut(kernel, one, other):
    less, more = (pruning.magnitude_masks({"a": kernel}, s)["a"] for s in sorted((one, other)))
    assert not np.any(more & ~less)


def test_equal_weights_are_cut_from_the_first():
    mask = pruning.magnitude_masks({"a": np.ones((2, 3), np.float32)}, 0.5)["a"]
    np.testing.assert_array_equal(mask, [[False, False, False], [True, True, True]])


def test_prunable_are_the_kernels_of_dense_and_conv_layers(untouched):
    kernels = pruning.prunable(untouched)
    assert {name: kernel.shape for name, kernel in kernels.items()} == {"conv": (3, 3, 1, 4), "dense": (196, 12), "logits": (12, 10)}
    kernels["conv"][:] = 0  # arrays of their own: the fixture sees that the model keeps its weights


def test_with_masks_zeroes_and_keeps(untouched):
    masks = pruning.magnitude_masks(pruning.prunable(untouched), 0.75)
    pruned = pruning.with_masks(untouched, {"dense": masks["dense"]})
    np.testing.assert_array_equal(pruning.prunable(pruned)["dense"], np.where(masks["dense"], pruning.prunable(untouched)["dense"], 0))
    assert zeros(pruned) == {"conv": 0, "dense": 1764, "logits": 0}


def test_a_compiled_model_with_a_loss_of_ones_own_can_be_pruned(digits):
    x, y = digits
    model = training.train(lambda: models.student_mlp(8), x, one_hot(y, 10), seed=0, updates=2)
    assert sum(zeros(pruning.with_masks(model, pruning.magnitude_masks(pruning.prunable(model), 0.5))).values()) == (784 * 8 + 80) // 2


def test_the_cubic_schedule_is_the_formula_of_the_paper():
    schedule = PolynomialDecay(0.8, begin=100, end=300, initial=0.2)
    assert [schedule(u) for u in (0, 99, 100, 200, 300, 10_000)] == pytest.approx([0, 0, 0.2, 0.8 - 0.6 / 8, 0.8, 0.8])
    assert PolynomialDecay(0.8, begin=0, end=4, power=1)(1) == pytest.approx(0.2)


def test_constant_and_staircase():
    assert [ConstantSparsity(0.5, begin=3)(u) for u in (0, 2, 3, 9)] == [0, 0, 0.5, 0.5]
    assert [Staircase([0.5, 0.7, 0.9], every=10)(u) for u in (0, 9, 10, 20, 500)] == [0.5, 0.5, 0.7, 0.9, 0.9]
    assert Staircase([0.5, 0.7, 0.9], every=10).end == 20


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ConstantSparsity(1.0), r"sparsity must be one number in \[0, 1\), the share of zeros, got 1.0"),
        (lambda: ConstantSparsity(-0.1), r"sparsity must be one number in \[0, 1\), .* got -0.1"),
        (lambda: ConstantSparsity(float("nan")), r"sparsity must be one number in \[0, 1\), .* got nan"),
        (lambda: ConstantSparsity("half"), r"sparsity must be one number in \[0, 1\), .* got 'half'"),
        (lambda: ConstantSparsity(0.5, begin=-1), "begin must be an integer >= 0, a number of updates, got -1"),
        (lambda: PolynomialDecay(50, 0, 10), r"final must be one number in \[0, 1\), .* got 50"),
        (lambda: PolynomialDecay(0.5, 0, 10, initial=1.5), r"initial must be one number in \[0, 1\), .* got 1.5"),
        (lambda: PolynomialDecay(0.5, 10, 5), "end must be > begin, got begin=10 and end=5"),
        (lambda: PolynomialDecay(0.5, 10, 10), "end must be > begin, got begin=10 and end=10"),
        (lambda: PolynomialDecay(0.5, 0, 10, power=0), "power must be > 0 and finite, got 0"),
        (lambda: Staircase([], 5), "sparsities must hold at least one number, got none"),
        (lambda: Staircase([0.5, 0.2], 5), r"sparsities must not fall, weights that are gone stay gone, got \[0.5, 0.2\]"),
        (lambda: Staircase([0.5, 1.2], 5), r"sparsities: each must be one number in \[0, 1\), .* got 1.2"),
        (lambda: Staircase([0.5], 0), "every must be an integer >= 1, got 0"),
    ],
)
def test_what_is_no_schedule(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("scope", ["layer", "global"])
def test_training_reaches_the_sparsity_and_keeps_zeros(untouched, digits, scope):
    x, y = digits
    at_update = []

    def schedule(update):
        at_update.append(update)
        return PolynomialDecay(0.8, begin=0, end=40)(update)

    trained = pruning.train(
        untouched, x, one_hot(y, 10), schedule=schedule, scope=scope, frequency=20, seed=0, updates=50, learning_rate=0.01
    )
    assert at_update == [0, 20, 40, 50]
    total = {"conv": 36, "dense": 2352, "logits": 120}
    if scope == "layer":
        assert zeros(trained) == {name: round(0.8 * size) for name, size in total.items()}
    assert sum(zeros(trained).values()) == pytest.approx(0.8 * sum(total.values()), abs=2)
    assert not any(np.signbit(kernel[kernel == 0]).any() for kernel in pruning.prunable(trained).values()), "no minus zeros"
    assert not np.allclose(trained.get_weights()[1], untouched.get_weights()[1]), "what is left has learned"
    assert all(layer.kernel.constraint is None for layer in trained.layers if layer.name in total)

    tuned = pruning.train(trained, x, one_hot(y, 10), seed=1, updates=150, learning_rate=0.01)
    for name, kernel in pruning.prunable(tuned).items():
        np.testing.assert_array_equal(kernel == 0, pruning.prunable(trained)[name] == 0, err_msg="without a schedule zeros stay zeros")
    assert np.mean(training.logits(tuned, x).argmax(1) == y) > 0.6


def test_the_end_of_a_schedule_is_reached_between_two_askings(untouched, digits):
    x, y = digits
    trained = pruning.train(untouched, x, one_hot(y, 10), schedule=PolynomialDecay(0.5, 0, 14), frequency=10, seed=0, updates=15)
    assert zeros(trained) == {"conv": 18, "dense": 1176, "logits": 60}


def test_callbacks_of_the_reader_do_not_take_the_place_of_the_schedule(untouched, digits):
    import keras

    x, y = digits
    seen = []
    look = keras.callbacks.LambdaCallback(on_train_end=lambda logs: seen.append(True))
    how = {"schedule": ConstantSparsity(0.5), "callbacks": [look], "seed": 0, "updates": 5}
    assert zeros(pruning.train(untouched, x, one_hot(y, 10), **how)) == {"conv": 18, "dense": 1176, "logits": 60}
    assert seen == [True]
    with pytest.raises(ValueError, match="steps_per_execution must be left out, it follows from frequency, got 8"):
        pruning.train(untouched, x, one_hot(y, 10), steps_per_execution=8, **how)


def test_a_teacher_can_guide_the_pruning(untouched, digits):
    x, y = digits
    v = 8 * one_hot((y + 1) % 10, 10)  # a teacher that says something else than the labels
    loss = losses.distillation_loss(alpha=1.0, temperature=2.0)
    trained = pruning.train(
        untouched, x, losses.pack(y, v), loss=loss, schedule=ConstantSparsity(0.5), seed=0, updates=150, learning_rate=0.01
    )
    assert np.mean(training.logits(trained, x).argmax(1) == (y + 1) % 10) > 0.6
    assert sum(zeros(trained).values()) == 18 + 1176 + 60


def test_sensitivity_prunes_one_layer_at_a_time(untouched, digits):
    x, y = digits
    trained = training.train(lambda: pruning.with_masks(untouched, {}), x, one_hot(y, 10), seed=0, updates=100, learning_rate=0.01)
    found = pruning.sensitivity(trained, x, y, [0, 0.9])
    whole = np.mean(training.logits(trained, x).argmax(1) == y)
    assert set(found) == {"conv", "dense", "logits"}
    assert [accuracies[0] for accuracies in found.values()] == pytest.approx([whole] * 3)
    masks = pruning.magnitude_masks({"conv": pruning.prunable(trained)["conv"]}, 0.9)
    assert found["conv"][1] == pytest.approx(np.mean(training.logits(pruning.with_masks(trained, masks), x).argmax(1) == y))
    assert list(pruning.sensitivity(trained, x, y, [0.5], layers=["dense"])) == ["dense"]


@settings(deadline=None)
@given(st.sampled_from([1.0, 1.5, -0.01, None, "0.5", True, float("inf")]))
def test_a_sparsity_outside_0_to_1(sparsity):
    with pytest.raises(ValueError, match=r"sparsity must be one number in \[0, 1\), the share of zeros, got "):
        pruning.magnitude_masks({"a": np.ones(3)}, sparsity)


def subclassed():
    import keras

    class Own(keras.Model):
        def call(self, x):
            return x

    return Own()


def with_nothing_to_prune():
    import keras

    return keras.Sequential([keras.Input((28, 28, 1)), keras.layers.GlobalAveragePooling2D()], name="empty")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m, x, y: pruning.prunable(subclassed()), "model must be"),
        (lambda m, x, y: pruning.prunable(with_nothing_to_prune()), "model must have a Dense or Conv layer to prune, got none in 'empty'"),
        (lambda m, x, y: pruning.prunable("net"), "model must be a keras or tf_keras model, got builtins.str"),
        (lambda m, x, y: pruning.magnitude_masks({}, 0.5), "weights must hold at least one array, got none"),
        (lambda m, x, y: pruning.magnitude_masks({"a": x}, 0.5, "net"), r"scope must be one of \['layer', 'global'\], got 'net'"),
        (
            lambda m, x, y: pruning.with_masks(m, {"fc": x}),
            r"masks must be for layers out of \['conv', 'dense', 'logits'\], got one for 'fc'",
        ),
        (lambda m, x, y: pruning.with_masks(m, {"dense": np.ones(3)}), r"masks\['dense'\] must have shape \(196, 12\), got \(3,\)"),
        (lambda m, x, y: pruning.sensitivity(m, x, y, [1.0]), r"sparsities: each must be one number in \[0, 1\), .* got 1.0"),
        (lambda m, x, y: pruning.sensitivity(m, x, y, [0.5], layers=["fc"]), r"layers must be out of \['conv', .*\], got 'fc'"),
        (
            lambda m, x, y: pruning.sensitivity(m, x, y[:3], [0.5]),
            "labels must have one entry for each of the 200 images, at least 1, got 3",
        ),
        (
            lambda m, x, y: pruning.train(m, x, one_hot(y, 10), schedule=PolynomialDecay(0.5, 0, 100), seed=0, updates=50),
            "schedule must end within the 50 updates of the training, got end=100",
        ),
        (
            lambda m, x, y: pruning.train(m, x, one_hot(y, 10), schedule=ConstantSparsity(0.5), scope="all", seed=0, updates=5),
            r"scope must be one of \['layer', 'global'\], got 'all'",
        ),
        (
            lambda m, x, y: pruning.train(m, x, one_hot(y, 10), schedule=ConstantSparsity(0.5), frequency=0, seed=0, updates=5),
            "frequency must be an integer >= 1, got 0",
        ),
        (
            lambda m, x, y: pruning.train(m, x, one_hot(y, 10), schedule=lambda update: 1.0, seed=0, updates=5),
            r"schedule: its sparsity must be one number in \[0, 1\), .* got 1.0",
        ),
    ],
)
def test_bad_input_is_named_and_the_model_stays(untouched, digits, call, message):
    with pytest.raises(ValueError, match=message):
        call(untouched, *digits)

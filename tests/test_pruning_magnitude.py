"""Magnitude pruning: masks, schedules, training that keeps zeros at zero."""

import keras
import numpy as np
import pytest
import tf_keras
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from zoo import both_libraries, cnn, examples, linear, subclassed

from kdcourse import losses, measure, pruning, training
from kdcourse.pruning import ConstantSparsity, PolynomialDecay, Staircase
from kdcourse.soft_labels import one_hot

SPARSITIES = st.floats(0, 0.999)
KERNELS = arrays(np.float32, array_shapes(max_dims=4, max_side=6), elements=st.floats(-4, 4, width=32))
X, LABELS = examples()
Y = one_hot(LABELS, 3)
SIZES = {"conv": 36, "dense": 768, "logits": 36}  # of the kernels of `cnn`; the depthwise one is left alone


@pytest.fixture(scope="module")
def small():
    return cnn()


@pytest.fixture
def untouched(small):
    """Fail when a test changes the network that it passed in."""
    before = [w.copy() for w in small.get_weights()]
    yield small
    for a, b in zip(before, small.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert all(layer.kernel.constraint is None for layer in small.layers if hasattr(layer, "kernel"))


def trained(model, targets=Y, *, seed=0, updates=15, learning_rate=0.01, **settings):
    return pruning.train(model, X, targets, seed=seed, updates=updates, learning_rate=learning_rate, **settings)


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


@both_libraries
def test_prunable_are_the_kernels_of_dense_and_conv_layers(library):
    model = cnn(library)
    kernels = pruning.prunable(model)
    assert {name: kernel.shape for name, kernel in kernels.items()} == {"conv": (3, 3, 1, 4), "dense": (64, 12), "logits": (12, 3)}
    kernels["conv"][:] = 0
    assert np.asarray(model.get_layer("conv").kernel).any(), "arrays of their own"


def test_the_smallest_number_of_8_bits_has_the_largest_magnitude():
    """In 8 bits abs(-128) is -128; it would go first."""
    weights = {"a": np.array([-128, 1, 2, 127], np.int8)}
    assert pruning.magnitude_masks(weights, 0.25)["a"].tolist() == [True, False, True, True]
    assert pruning.magnitude_masks(weights, 0.75)["a"].tolist() == [True, False, False, False]


def test_with_masks_zeroes_and_keeps(untouched):
    masks = pruning.magnitude_masks(pruning.prunable(untouched), 0.75)
    pruned = pruning.with_masks(untouched, {"dense": masks["dense"]})
    np.testing.assert_array_equal(pruning.prunable(pruned)["dense"], np.where(masks["dense"], pruning.prunable(untouched)["dense"], 0))
    assert zeros(pruned) == {"conv": 0, "dense": 576, "logits": 0}
    in_numbers = pruning.with_masks(untouched, {"dense": masks["dense"].astype(np.float32)})
    np.testing.assert_array_equal(pruning.prunable(in_numbers)["dense"], pruning.prunable(pruned)["dense"])


def test_a_compiled_model_with_a_loss_of_ones_own_can_be_pruned():
    model = training.train(linear, X, Y, seed=0, updates=2)
    assert sum(zeros(pruning.with_masks(model, pruning.magnitude_masks(pruning.prunable(model), 0.5))).values()) == 64 * 3 // 2


# schedules


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
        (lambda: ConstantSparsity(0.5, begin=-1), "begin must be an integer >= 0, a number of updates, got -1"),
        (lambda: PolynomialDecay(50, 0, 10), r"final must be one number in \[0, 1\), the share of zeros, got 50"),
        (lambda: PolynomialDecay(0.5, 0, 10, initial=1.5), r"initial must be one number in \[0, 1\), .* got 1.5"),
        (lambda: PolynomialDecay(0.1, 0, 10, initial=0.9), "final must be >= initial, weights stay gone, got 0.1 and 0.9"),
        (lambda: PolynomialDecay(0.5, 10, 10), "end must be > begin, got begin=10 and end=10"),
        (lambda: PolynomialDecay(0.5, 0, 10, power=0), "power must be one number > 0 and finite, got 0"),
        (lambda: Staircase([], 5), r"sparsities must be a list of at least one number, got \[\]"),
        (lambda: Staircase(0.5, 5), "sparsities must be a list of at least one number, got 0.5"),
        (lambda: Staircase([0.5, 0.2], 5), r"sparsities must not fall, weights that are gone stay gone, got \[0.5, 0.2\]"),
        (lambda: Staircase([0.5, 1.2], 5), r"sparsities: each must be one number in \[0, 1\), .* got 1.2"),
        (lambda: Staircase([0.5], 0), "every must be an integer >= 1, a number of updates, got 0"),
    ],
)
def test_what_is_no_schedule(make, message):
    with pytest.raises(ValueError, match=message):
        make()


# training


@pytest.fixture(scope="module", params=["layer", "global"])
def halfway(request, small):
    """The network pruned to 80% by 50 updates, and the updates at which its schedule was asked."""
    at_update = []

    def schedule(update):
        at_update.append(update)
        return PolynomialDecay(0.8, begin=0, end=40)(update)

    return request.param, trained(small, schedule=schedule, scope=request.param, frequency=20, updates=50), at_update


def test_training_reaches_the_sparsity_and_keeps_zeros(untouched, halfway):
    scope, pruned, at_update = halfway
    assert at_update == [0, 20, 40, 50]
    if scope == "layer":
        assert zeros(pruned) == {name: round(0.8 * size) for name, size in SIZES.items()}
    assert sum(zeros(pruned).values()) == pytest.approx(0.8 * sum(SIZES.values()), abs=2)
    assert not any(np.signbit(kernel[kernel == 0]).any() for kernel in pruning.prunable(pruned).values()), "no minus zeros"
    assert not np.allclose(pruned.get_weights()[1], untouched.get_weights()[1]), "what is left has learned"
    assert all(layer.kernel.constraint is None for layer in pruned.layers if layer.name in SIZES)


def test_without_a_schedule_zeros_stay_zeros(halfway):
    pruned = halfway[1]
    tuned = trained(pruned, seed=1, updates=100)
    for name, kernel in pruning.prunable(tuned).items():
        np.testing.assert_array_equal(kernel == 0, pruning.prunable(pruned)[name] == 0)
    before, after = (measure.accuracy(training.logits(model, X), LABELS) for model in (pruned, tuned))
    assert after > 0.9 and not np.allclose(tuned.get_weights()[0], pruned.get_weights()[0]), f"it learned on, from {before}"


def test_weights_that_are_gone_stay_gone_when_a_schedule_falls():
    pruned = trained(linear(), schedule=lambda update: 0.8 if update < 5 else 0.2, frequency=5)
    assert list(zeros(pruned).values()) == [round(0.8 * 192)]


def test_the_end_of_a_schedule_is_reached_between_two_askings():
    pruned = trained(linear(), schedule=PolynomialDecay(0.5, 0, 14), frequency=10, updates=15)
    assert list(zeros(pruned).values()) == [96]


def test_callbacks_of_the_reader_do_not_take_the_place_of_the_schedule():
    seen = []
    look = keras.callbacks.LambdaCallback(on_train_end=lambda logs: seen.append(True))
    how = {"schedule": ConstantSparsity(0.5), "callbacks": [look], "updates": 5}
    assert list(zeros(trained(linear(), **how)).values()) == [96]
    assert seen == [True]
    with pytest.raises(ValueError, match="steps_per_execution must be left out, it follows from frequency, got 8"):
        trained(linear(), steps_per_execution=8, **how)


def test_a_teacher_can_guide_the_pruning():
    v = 8 * one_hot((LABELS + 1) % 3, 3)  # a teacher that says something else than the labels
    loss = losses.distillation_loss(alpha=1.0, temperature=2.0)
    pruned = trained(linear(), losses.pack(LABELS, v), loss=loss, schedule=ConstantSparsity(0.5), updates=80)
    assert measure.accuracy(training.logits(pruned, X), (LABELS + 1) % 3) > 0.9
    assert list(zeros(pruned).values()) == [96]


@pytest.mark.parametrize("schedule", [ConstantSparsity(0.5), None], ids=["pruned", "tuned"])
def test_constraints_of_the_model_s_own_survive_and_hold(schedule):
    """MaxNorm and NonNeg hold at each update beside the mask, and are still there for the next training."""
    keras.utils.set_random_seed(0)
    hidden = keras.layers.Dense(12, activation="relu", kernel_constraint=keras.constraints.MaxNorm(0.5), name="hidden")
    logits = keras.layers.Dense(3, kernel_constraint="non_neg", name="logits")
    model = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(), hidden, logits])
    if schedule is None:
        model = pruning.with_masks(model, pruning.magnitude_masks(pruning.prunable(model), 0.5))
    own = model.get_layer("hidden").kernel.constraint
    new = trained(model, schedule=schedule, updates=20, learning_rate=0.5)
    kernels = pruning.prunable(new)
    norms = np.linalg.norm(kernels["hidden"], axis=0)
    assert 0.49 < norms.max() < 0.5 + 1e-5, "it holds, and had to"
    assert kernels["logits"].min() >= 0 and kernels["logits"].max() > 0.5
    assert measure.sparsity(new) >= 0.5
    for name, kind in (("hidden", keras.constraints.MaxNorm), ("logits", keras.constraints.NonNeg)):
        layer = new.get_layer(name)
        assert type(layer.kernel_constraint) is type(layer.kernel.constraint) is kind
    assert model.get_layer("hidden").kernel.constraint is own


# sensitivity


@pytest.fixture(scope="module")
def good():
    return training.train(cnn, X, Y, seed=0, updates=60, learning_rate=0.01)


def test_sensitivity_prunes_one_layer_at_a_time(good):
    found = pruning.sensitivity(good, X, LABELS, [0, 0.9])
    whole = measure.accuracy(training.logits(good, X), LABELS)
    assert whole > 0.9 and set(found) == {"conv", "dense", "logits"}
    assert [accuracies[0] for accuracies in found.values()] == [whole] * 3
    masks = pruning.magnitude_masks({"conv": pruning.prunable(good)["conv"]}, 0.9)
    assert found["conv"][1] == measure.accuracy(training.logits(pruning.with_masks(good, masks), X), LABELS) < whole
    assert list(pruning.sensitivity(good, X, LABELS, [0.5], layers=["dense"])) == ["dense"]


@pytest.mark.parametrize(
    ("inputs", "labels", "message"),
    [
        (X, LABELS[:, None], r"labels must be a vector of 120 integers, got shape \(120, 1\) and type int64"),
        (X, LABELS + 1, r"labels must be in 0\.\.2, got 3"),
        (X, LABELS - 1, r"labels must be in 0\.\.2, got -1"),
        (X, LABELS.astype(str), r"labels must be a vector of 120 integers, got shape \(120,\) and type <U"),
        (X, LABELS.astype(float), r"labels must be a vector of 120 integers, got shape \(120,\) and type float64"),
        (X, LABELS[:3], "labels must be as long as inputs, with a row for each of its 120, got 3"),
        (
            np.where(np.arange(120)[:, None, None, None] == 7, np.nan, X),
            LABELS,
            "inputs must be finite, got NaN or infinity in 64 of 7,680",
        ),
        (X[:, :4], LABELS, r"inputs must have shape \(examples, 8, 8, 1\), as cnn reads them, got shape \(120, 4, 8, 1\)"),
    ],
    ids=["column", "too large", "negative", "text", "floats", "too few", "NaN", "shape"],
)
def test_sensitivity_refuses_labels_and_inputs_that_would_give_a_wrong_number(untouched, inputs, labels, message):
    with pytest.raises(ValueError, match=message):
        pruning.sensitivity(untouched, inputs, labels, [0.5], ["dense"])


# bad input


@pytest.mark.parametrize("sparsity", [1.0, -0.01, None, "0.5", True, float("nan")])
def test_a_sparsity_outside_0_to_1(sparsity):
    with pytest.raises(ValueError, match=r"sparsity must be one number in \[0, 1\), the share of zeros, got "):
        pruning.magnitude_masks({"a": np.ones(3)}, sparsity)


def with_nothing_to_prune():
    return keras.Sequential([keras.Input((8, 8, 1)), keras.layers.GlobalAveragePooling2D()], name="empty")


BAD = [
    (lambda m: pruning.prunable(subclassed()), "model must be a Sequential or functional model, got own"),
    (lambda m: pruning.prunable(with_nothing_to_prune()), "model must have a Dense or Conv layer to prune, got none in 'empty'"),
    (lambda m: pruning.prunable("net"), "model must be a keras or tf_keras model, got builtins.str"),
    (lambda m: pruning.magnitude_masks({}, 0.5), "weights must be a dict of at least one array, got {}"),
    (lambda m: pruning.magnitude_masks([X], 0.5), r"weights must be a dict of at least one array, got \[array"),
    (lambda m: pruning.magnitude_masks({"a": X}, 0.5, "net"), "scope must be one of layer, global, got 'net'"),
    (
        lambda m: pruning.magnitude_masks({"a": np.array([np.nan, 1, 2, 3])}, 0.5),
        r"weights\['a'\] must be finite, got NaN or infinity in 1 of 4 places",
    ),
    (lambda m: pruning.with_masks(m, {"fc": X}), r"masks must be for layers out of \['conv', 'dense', 'logits'\], got one for 'fc'"),
    (lambda m: pruning.with_masks(m, {"dense": np.ones(3)}), r"masks\['dense'\] must have shape \(64, 12\), got shape \(3,\)"),
    (lambda m: pruning.with_masks(m, {"dense": np.full((64, 12), "False")}), r"masks\['dense'\] must be numbers in an array, got type <U5"),
    (
        lambda m: pruning.with_masks(m, {"dense": np.full((64, 12), 0.5)}),
        r"masks\['dense'\] must hold True and False, or 1 and 0, got other",
    ),
    (lambda m: pruning.sensitivity(m, X, LABELS, [1.0]), r"sparsities: each must be one number in \[0, 1\), .* got 1.0"),
    (
        lambda m: pruning.sensitivity(m, X, LABELS, [0.5], layers=["fc"]),
        "layers must be names out of conv, dense, logits, got 'fc'",
    ),
    (
        lambda m: trained(m, schedule=PolynomialDecay(0.5, 0, 100), updates=50),
        "schedule must end within the 50 updates of the training, got end=100",
    ),
    (lambda m: trained(m, schedule=0.5), "schedule must be a function from the update to the sparsity, or None, got 0.5"),
    (lambda m: trained(m, schedule=ConstantSparsity(0.5), scope="all"), "scope must be one of layer, global, got 'all'"),
    (lambda m: trained(m, schedule=ConstantSparsity(0.5), frequency=0), "frequency must be an integer >= 1, got 0"),
    (lambda m: trained(m, schedule=lambda update: 1.0), r"schedule: its sparsity must be one number in \[0, 1\), .* got 1.0"),
    (lambda m: trained(cnn(tf_keras)), "model must be a Keras 3 model, got one of tf_keras: keras_bridge.to_keras brings it over"),
]


@pytest.mark.parametrize(("call", "message"), BAD, ids=range(len(BAD)))
def test_bad_input_is_named_and_the_model_stays(untouched, call, message):
    with pytest.raises(ValueError, match=message) as caught:
        call(untouched)
    assert "\n" not in str(caught.value)

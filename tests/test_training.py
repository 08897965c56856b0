"""Training for a fixed number of updates: the same start for the same seed, whatever the loss; and every bad call named before work."""

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from zoo import both_libraries, images, linear, network, quiet

from kdcourse import distillation, losses, measure, models, training
from kdcourse.soft_labels import one_hot, soft_targets


def data(n=24):
    x = images(n)
    return x, np.arange(n) % 3


@both_libraries
def test_train_with_a_loss_and_packed_targets(library):
    x, y = data()
    teacher = network(library, 8)
    targets = losses.pack(y, quiet(teacher, x)["logits"])
    runs = [
        training.train(
            lambda: linear(library),
            x,
            targets,
            seed=1,
            updates=6,
            batch_size=8,
            jitter=1,
            loss=losses.distillation_loss(alpha=a, temperature=2.0),
        )
        for a in (0.5, 0.5, 0.0)
    ]
    one, same, hard = (m.get_weights()[0] for m in runs)
    np.testing.assert_allclose(one, same, atol=1e-6)
    assert np.abs(one - hard).max() > 1e-5  # the teacher's term is not silently 0


def test_hard_labels_by_either_way_are_the_same_training():
    x, y = data()
    plain = training.train(linear, x, one_hot(y, 3), seed=1, updates=6, batch_size=8)
    packed = losses.pack(y, np.random.default_rng(0).normal(size=(24, 3)))
    ours = training.train(
        linear, x, packed, seed=1, updates=6, batch_size=8, loss=losses.distillation_loss(losses.mse_logits, alpha=0.0)
    )
    for a, b in zip(plain.get_weights(), ours.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_train_with_features():
    x, y = data()
    said = quiet(network(keras, 8), x, features=["maps"])
    student = network(seed=2)
    before = student.get_weights()
    targets = {"logits": losses.pack(y, said["logits"]), "maps": said["maps"]}
    model = training.train(
        lambda: distillation.with_features(student, {"maps": (8, 8, 8)}),
        x,
        targets,
        seed=0,
        updates=5,
        batch_size=8,
        loss={"logits": losses.distillation_loss(alpha=0.5, temperature=2.0), "maps": losses.hint},
    )
    assert all((a != b).any() for a, b in zip(before, student.get_weights(), strict=True))
    assert measure.accuracy(training.logits(model, x), y) == measure.accuracy(training.logits(student, x), y)


@both_libraries
def test_online_teaching_is_cached_teaching_on_images_that_stay(library):
    x, y = data()
    teacher, loss = network(library, 8), losses.distillation_loss(alpha=0.7, temperature=2.0)
    settings = {"seed": 3, "updates": 5, "batch_size": 8, "loss": loss}
    before = teacher.get_weights()
    cached = training.train(linear, x, losses.pack(y, quiet(teacher, x)["logits"]), **settings)
    online = training.train(linear, x, y, teacher=teacher, **settings)
    jittered = training.train(linear, x, one_hot(y, 3), teacher=teacher, jitter=1, **settings)
    for a, b in zip(cached.get_weights(), online.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4)
    assert np.abs(cached.get_weights()[0] - jittered.get_weights()[0]).max() > 1e-4
    for a, b in zip(before, teacher.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"loss": None}, "loss must be given with a teacher, .* got None"),
        ({"loss": {"logits": losses.hint}}, "targets must be a dict as loss is one, got ndarray"),
        ({"loss": {"a": losses.hint}, "targets": {"b": np.zeros((24, 3))}}, r"targets must have the names of loss, \['a'\], got \['b'\]"),
        ({"loss": {"a": losses.hint}, "targets": {"a": np.zeros((24, 3))}}, "loss must be one function with a teacher, got a dict"),
        ({"loss": 3}, "loss must be a function of targets and logits, or a dict of such functions, got 3"),
        ({"targets": np.zeros((5, 3))}, r"targets must have shape \(24, \.\.\.\), got shape \(5, 3\)"),
        ({"targets": np.full((24, 3), np.nan)}, "targets must be finite, got NaN or infinity in 72 of 72 places"),
        ({"targets": np.array(["a"] * 24)}, "targets must be numbers in an array, got type <U1"),
        ({"targets": np.ones((24, 3))}, "labels must be >= 0 and each row must sum to 1"),
        ({"targets": np.eye(4)[[0] * 24]}, r"labels must have shape \(24,\) or \(24, 3\)"),
        ({"targets": np.arange(24)}, "labels must be in 0..2, or -1 for no label, got 3"),
        ({"temperature": 4.0}, "temperature must stay 1 when loss is given"),
        ({"teacher": len}, "teacher must be a keras or tf_keras model"),
    ],
)
def test_bad_calls_of_train_are_named_before_work(change, message):
    def build():
        raise AssertionError("work has started")

    x, y = data()
    call = {"targets": one_hot(y, 3), "loss": losses.distillation_loss(alpha=0.5, temperature=1.0), "teacher": network(), **change}
    with pytest.raises(ValueError, match=message):
        training.train(build, x, seed=0, updates=1, **call)


def test_a_teacher_without_numbers_is_found_before_training():
    x, y = data()
    teacher = network()
    teacher.layers[-1].bias.assign([0, np.nan, 0])
    with pytest.raises(ValueError, match="the teacher's logits must be finite"):
        training.train(lambda: 1 / 0, x, y, seed=0, updates=1, loss=losses.hint, teacher=teacher)
    with pytest.raises(ValueError, match="the teacher's logits must be finite"):
        distillation.online_targets(tf.data.Dataset.from_tensor_slices((x, one_hot(y, 3))).batch(8), teacher)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"inputs": images() * np.nan}, "inputs must be finite, got NaN or infinity in 1,536 of 1,536 places"),
        ({"inputs": images()[:0]}, r"inputs must have shape \(examples, ...\), examples at least 1, got shape \(0, 8, 8, 1\)"),
        ({"inputs": images()[:20]}, r"targets must have shape \(examples, classes\) with 20 examples, got shape \(24, 3\)"),
        ({"targets": np.ones((24, 3))}, "targets must be >= 0 and sum to 1"),
        ({"build": linear()}, "build must be a function that returns a model, got the model 'linear': write lambda: model"),
        ({"build": 3}, "build must be a function without arguments that returns a model, got 3"),
        ({"updates": 0}, "updates must be an integer >= 1, got 0"),
        ({"updates": True}, "updates must be an integer >= 1, got True"),
        ({"updates": 10**12}, "updates times batch_size must be at most 268,435,456, got 1,000,000,000,000 times 8"),
        ({"batch_size": 10**9}, "updates times batch_size must be at most"),
        ({"learning_rate": "0.1"}, "learning_rate must be one number > 0 and finite, got '0.1'"),
        ({"learning_rate": True}, "learning_rate must be one number > 0 and finite, got True"),
        ({"learning_rate": np.inf}, "learning_rate must be one number > 0 and finite, got inf"),
        ({"jitter": 1, "inputs": images().reshape(24, 64)}, "jitter must be 0 for inputs without the 4 axes of images, got 1"),
        ({"seed": -1}, "seed must be an integer in 0..4294967295, got -1"),
        ({"temperature": 0}, "temperature must be one number > 0 and finite, got 0"),
    ],
)
def test_bad_calls_without_a_teacher_are_named_before_work(change, message):
    def build():
        raise AssertionError("work has started")

    call = {"build": build, "inputs": images(), "targets": one_hot(np.arange(24) % 3, 3), "seed": 0, "updates": 2, "batch_size": 8}
    with pytest.raises(ValueError, match=message):
        training.train(**{**call, **change})


def words(n=24, vocabulary=10):
    return np.random.default_rng(0).integers(0, vocabulary, (n, 4))


def reader():
    return models.text_average(3, vocabulary=10, words=4, width=2)


@pytest.mark.parametrize(
    ("build", "inputs", "message"),
    [
        (linear, images()[:, :5], r"inputs must have shape \(examples, 8, 8, 1\), as linear reads them, got shape \(24, 5, 8, 1\)"),
        (reader, words() + 2**32, "inputs must be numbers of words in 0..2147483647, got 42949673"),
        (reader, words() - 9, "inputs must be numbers of words in 0..2147483647, got -9"),
        (reader, words() / 2, "inputs must be integers, which student reads, got type float64"),
        (lambda: "a model", images(), r"build: what it returns must be a keras or tf_keras model, got builtins.str"),
    ],
)
def test_inputs_that_the_model_does_not_read(build, inputs, message):
    with pytest.raises(ValueError, match=message):
        training.train(build, inputs, one_hot(np.arange(24) % 3, 3), seed=0, updates=1, batch_size=8)


def test_the_model_says_whether_integers_are_words_or_pixels():
    pixels, y = (images() * 255).astype(np.uint16), one_hot(np.arange(24) % 3, 3)
    how = {"seed": 0, "updates": 3, "batch_size": 8}
    one, other = (training.train(linear, x, y, **how) for x in (pixels, pixels.astype(np.float32)))
    np.testing.assert_array_equal(one.get_weights()[0], other.get_weights()[0])
    for ids in (words().astype(np.uint8), words()):  # words in 8 bits are words, too
        assert training.train(reader, ids, y, **how).name == "student"
    assert training.logits(reader(), words().astype(np.uint8)).shape == (24, 3)


@pytest.mark.parametrize("name", ["学生", "my model", "a+b"])
def test_a_name_that_tensorflow_refuses_poisons_nothing(name):
    y, how = one_hot(np.arange(24) % 3, 3), {"seed": 0, "updates": 1, "batch_size": 8}

    def named(model=None, layer=None):
        layers = [keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(3, name=layer)]
        return keras.Sequential(layers, name=model)

    for build in (lambda: named(model=name), lambda: named(layer=name), lambda: keras.Sequential([named(layer=name)])):
        with pytest.raises(ValueError, match="names of models and layers must be made of ASCII letters"):
            training.train(build, images(), y, **how)
    training.train(linear, images(), y, **how)


@both_libraries
def test_a_training_that_ends_in_no_numbers_says_so(library):
    y = one_hot(np.arange(24) % 3, 3)
    broken = {"loss": lambda targets, logits: tf.reduce_mean(logits) * float("nan")}
    for how in (broken, {"learning_rate": 1e38}):
        with pytest.raises(FloatingPointError, match="ended in weights that are NaN or infinite: lower learning_rate"):
            training.train(lambda: linear(library), images(), y, seed=0, updates=9, batch_size=8, **how)


def test_probabilities_in_place_of_logits_are_noticed_on_every_way_in():
    x, y = images(), np.arange(24) % 3
    soft = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(3, activation="softmax")])
    p = training.logits(soft, x)
    loss = losses.distillation_loss(alpha=0.5, temperature=2)
    ways = {
        "pack": lambda: losses.pack(y, p),
        "soft_targets": lambda: soft_targets(p, 4.0),
        "train": lambda: training.train(linear, x, y, seed=0, updates=1, batch_size=8, teacher=soft, loss=loss),
        "online": lambda: distillation.online_targets(tf.data.Dataset.from_tensor_slices((x, one_hot(y, 3))).batch(8), soft, verbose=0),
    }
    for way, call in ways.items():
        with pytest.warns(UserWarning, match="look like probabilities"):
            call()
        assert way
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        losses.pack(y, np.log(p))

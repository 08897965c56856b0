"""Models, what ships with them, and the training function."""

import numpy as np
import pytest
from zoo import examples, linear

from kdcourse import datasets, losses, measure, models, training
from kdcourse.soft_labels import cross_entropy, logit_gradient, one_hot, softmax


@pytest.mark.parametrize(
    ("build", "parameters"),
    [
        (models.teacher_cnn, 73_114),
        (models.student_mlp, 25_450),
        (models.student_cnn, 4_266),
        (models.phone_cnn, 79_994),
        (models.separable_cnn, 5_994),
        (models.image_cnn, 80_250),
        (models.hinton_teacher, 2_395_210),
        (models.hinton_student, 1_276_810),
    ],
)
def test_parameter_counts_are_those_of_the_docstrings(build, parameters):
    assert f"{parameters:,} parameters" in build.__doc__
    model = build()
    assert model.count_params() == parameters and model.output_shape == (None, 10)


def test_a_network_for_images_of_any_shape():
    model = models.image_cnn((20, 9, 3), classes=4, filters=2, units=5)
    assert model.input_shape == (None, 20, 9, 3) and model.output_shape == (None, 4)
    assert [layer.name for layer in model.layers if hasattr(layer, "kernel")] == ["conv1", "conv2", "conv3", "dense1", "logits"]
    for wrong in (28, (28, 28), (7, 28, 1), (28, 28, 0)):
        with pytest.raises(ValueError, match="shape|channels"):
            models.image_cnn(wrong)


@pytest.mark.parametrize("name", sorted(models.TRAINED))
def test_shipped_logits_come_from_the_shipped_weights(name):
    data, model, cached = datasets.load("mnist-5k"), models.load_trained(name), models.load_logits(name)
    provenance = models.provenance(name)
    assert provenance["parameters"] == model.count_params()
    for split in ("train", "validation", "test"):
        x, y, stored = getattr(data, f"x_{split}"), getattr(data, f"y_{split}"), getattr(cached, split)
        assert stored.shape == (len(x), 10)
        assert measure.accuracy(stored, y) == pytest.approx(provenance["accuracy"][split], abs=1e-9)
        sample = slice(0, None, len(x) // 50)
        # float16 keeps 11 bits; another CPU adds rounding of its own
        np.testing.assert_allclose(training.logits(model, x[sample]), stored[sample], rtol=2e-3, atol=0.02)


def test_the_teacher_of_the_full_mnist_ships_its_logits_only():
    cached, provenance = models.load_logits("mnist-teacher"), models.provenance("mnist-teacher")
    assert [len(split) for split in cached] == [55_000, 5_000, 10_000]
    assert provenance["errors"]["test"] == round(10_000 * (1 - provenance["accuracy"]["test"])) <= 80
    with pytest.raises(ValueError, match="name must be one of"):
        models.load_trained("mnist-teacher")
    if datasets.where("mnist") is None:
        pytest.skip("the labels of the full MNIST are not here: put mnist.npz into a folder that KDCOURSE_DATA names")
    data = datasets.load("mnist", validation=5000)
    wrong = {split: int(np.sum(z.argmax(1) != getattr(data, f"y_{split}"))) for split, z in cached._asdict().items()}
    assert wrong == provenance["errors"]


def test_sixteen_bits_inside_still_give_logits_in_32():
    x = datasets.load("mnist-5k").x_test[:4]
    for build in (models.hinton_teacher, models.hinton_student):
        model = build(dtype="mixed_bfloat16")
        assert training.logits(model, x).dtype == np.float32
        assert {str(w.dtype) for w in model.weights if "seed" not in w.path} == {"float32"}


def test_features_have_the_shapes_of_the_docstrings():
    shapes = {"block1": (28, 28, 16), "block2": (14, 14, 32), "block3": (7, 7, 64), "embedding": (64,)}
    teacher, student = models.teacher_cnn(), models.student_cnn()
    assert {name: teacher.get_layer(name).output.shape[1:] for name in shapes} == shapes
    shapes = {"conv1": (14, 14, 4), "conv2": (7, 7, 8), "embedding": (392,)}
    assert {name: student.get_layer(name).output.shape[1:] for name in shapes} == shapes


def test_teacher_is_better_than_the_student_that_ships():
    teacher, student = (models.provenance(name)["accuracy"]["test"] for name in ("mnist-5k-teacher", "mnist-5k-student"))
    assert teacher > student + 0.03


def test_tempered_cross_entropy_is_the_numpy_one_times_t_squared():
    rng = np.random.default_rng(0)
    z, v = rng.normal(size=(2, 6, 10)).astype(np.float32) * 5
    for t in (0.5, 1.0, 4.0, 20.0):
        value = np.asarray(losses.tempered_cross_entropy(t)(softmax(v, t).astype(np.float32), z))
        np.testing.assert_allclose(value, t**2 * cross_entropy(softmax(v, t), z, t), rtol=1e-4)


def test_gradient_of_the_loss_is_the_one_of_the_chapter():
    import tensorflow as tf

    rng = np.random.default_rng(1)
    z, v = rng.normal(size=(2, 6, 10)).astype(np.float32) * 5
    for t in (1.0, 4.0):
        logits = tf.Variable(z)
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(losses.tempered_cross_entropy(t)(softmax(v, t).astype(np.float32), logits))
        np.testing.assert_allclose(tape.gradient(loss, logits), t**2 * logit_gradient(z, softmax(v, t), t), atol=1e-4)


X, LABELS = examples()
Y = one_hot(LABELS, 3)


def test_training_moves_the_student_and_repeats_itself():
    runs = [training.train(linear, X, Y, seed=3, updates=60, learning_rate=0.01) for _ in range(2)]
    for a, b in zip(*(m.get_weights() for m in runs), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4)
    assert int(runs[0].optimizer.iterations) == 60
    assert measure.accuracy(training.logits(runs[0], X), LABELS) > 0.9
    other = training.train(linear, X, Y, seed=4, updates=60, learning_rate=0.01)
    assert not np.allclose(other.get_weights()[0], runs[0].get_weights()[0])


def test_arms_of_one_seed_start_from_the_same_weights():
    """A learning rate of almost 0 leaves the start in place; the seed is set before the model is built."""
    build = lambda: models.student_mlp(2)  # noqa: E731
    x, y = np.zeros((10, 28, 28, 1)), np.eye(10)
    a, b = (training.train(build, x[:n], y[:n], seed=seed, updates=1, learning_rate=1e-9) for seed, n in ((7, 10), (7, 3)))
    np.testing.assert_allclose(a.get_weights()[0], b.get_weights()[0], atol=1e-6)
    assert not np.allclose(a.get_weights()[0], build().get_weights()[0], atol=1e-3)


def test_jitter_moves_each_image_as_a_whole():
    images = np.zeros((3, 28, 28, 1), np.float32)
    images[:, 14, 14] = [[0.25], [0.5], [1.0]]
    batches = training._batches(images, np.eye(3), np.random.default_rng(0), updates=50, batch_size=4, jitter=2)
    x, t = (np.concatenate(parts) for parts in zip(*batches.as_numpy_iterator(), strict=True))
    assert x.shape == (200, 28, 28, 1)
    np.testing.assert_allclose(x.sum((1, 2, 3)), t @ [0.25, 0.5, 1.0])
    rows, columns = np.nonzero(x[..., 0])[1:]
    assert set(rows) == set(columns) == {12, 13, 14, 15, 16}


def test_names_that_are_unknown():
    for name, load in (("bert", models.load_logits), ("bert", models.provenance), ([], models.load_logits)):
        with pytest.raises(ValueError, match=r"name must be one of mnist-5k-teacher, .*, mnist-teacher, got ('bert'|\[\])"):
            load(name)
    for name in ("bert", "mnist-teacher", None):
        with pytest.raises(ValueError, match="name must be one of mnist-5k-teacher, mnist-5k-student, mnist-5k-lenet5, mnist-5k-ph"):
            models.load_trained(name)


@pytest.mark.parametrize(
    ("build", "size"),
    [
        (models.teacher_cnn, "classes"),
        (models.student_mlp, "hidden"),
        (models.student_cnn, "filters"),
        (models.lenet_300_100, "second"),
        (models.lenet5, "dense1"),
        (models.hinton_teacher, "units"),
        (models.hinton_student, "classes"),
    ],
)
def test_sizes_that_are_no_positive_integers(build, size):
    for value in (0, True, 2.5):
        with pytest.raises(ValueError, match=f"{size} must be an integer >= 1, got {value}"):
            build(**{size: value})


@pytest.mark.parametrize(
    ("build", "sizes"),
    [
        (models.teacher_cnn, {"classes": 3}),
        (models.student_mlp, {"hidden": 3}),
        (models.student_cnn, {"filters": 2}),
        (models.lenet_300_100, {"first": 3, "second": 2}),
        (models.lenet5, {"conv1": 2, "conv2": 3, "dense1": 4}),
        (models.hinton_teacher, {"units": 3}),
        (models.text_average, {"classes": 3, "vocabulary": 9, "words": 4, "width": 2}),
        (models.text_cnn, {"classes": 3, "vocabulary": 9, "words": 4, "width": 2, "filters": 3}),
        (models.text_gru, {"classes": 3, "vocabulary": 9, "words": 4, "width": 2, "units": 3}),
    ],
)
def test_a_size_may_be_an_integer_of_numpy(build, sizes):
    """Keras itself takes only those of Python."""
    assert build(**{name: np.int64(size) for name, size in sizes.items()}).count_params() == build(**sizes).count_params()

"""Students that match a teacher's layers or hear it about every batch; everything is trained with plain compile and fit."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from zoo import both_libraries, images, network, quiet

from kdcourse import datasets, distillation, losses, models, training
from kdcourse.soft_labels import one_hot


def data(n=24):
    x = images(n)
    return x, np.arange(n) % 3


@both_libraries
def test_a_student_trains_with_plain_compile_and_fit(library, tmp_path):
    x, y = data()
    teacher, student = network(library, 8), network(library, 4, seed=1)
    teacher_before, student_before = teacher.get_weights(), student.get_weights()
    targets = losses.pack(y, quiet(teacher, x)["logits"])
    loss = losses.distillation_loss(alpha=0.5, temperature=4.0)
    student.compile(library.optimizers.Adam(0.01), loss=loss, metrics=[losses.label_accuracy])
    saved = library.callbacks.ModelCheckpoint(tmp_path / "best.weights.h5", save_weights_only=True)
    history = student.fit(
        tf.data.Dataset.from_tensor_slices((x, targets)).shuffle(24, seed=0).batch(8),
        validation_data=(x, targets),
        epochs=4,
        callbacks=[library.callbacks.EarlyStopping(patience=9), saved],
        verbose=0,
    ).history
    assert {"loss", "val_loss", "label_accuracy", "val_label_accuracy"} <= set(history) and history["val_loss"][-1] < history["val_loss"][0]
    assert (tmp_path / "best.weights.h5").exists()
    for a, b in zip(teacher_before, teacher.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert all((a != b).any() for a, b in zip(student_before, student.get_weights(), strict=True))


@both_libraries
def test_features_train_and_leave_the_student_plain(library):
    x, y = data()
    teacher, student = network(library, 8), network(library, 4, seed=1)
    said = quiet(teacher, x, features=["maps", "pool"])
    student_before = [w.copy() for w in student.get_weights()]
    both = distillation.with_features(student, {"maps": (8, 8, 8), "pool": (8,)})
    assert {name: tuple(tensor.shape) for name, tensor in both.output.items()} == {
        "logits": (None, 3),
        "maps": (None, 8, 8, 8),
        "pool": (None, 8),
    }
    projections = [layer for layer in both.layers if layer.name.endswith("_projection")]
    assert [layer.kernel.shape for layer in projections] == [(1, 1, 4, 8), (4, 8)]
    before = [layer.get_weights() for layer in projections]
    wanted = {"logits": losses.pack(y, said["logits"]), "maps": said["maps"], "pool": said["pool"]}
    match = {"logits": losses.distillation_loss(alpha=1.0, temperature=2.0), "maps": losses.hint, "pool": losses.hint}
    both.compile(library.optimizers.Adam(0.01), loss=match)
    history = both.fit(x, wanted, epochs=6, batch_size=8, validation_data=(x, wanted), verbose=0).history
    assert history["maps_loss"][-1] < history["maps_loss"][0] and history["pool_loss"][-1] < history["pool_loss"][0]
    for layer, old in zip(projections, before, strict=True):
        assert all((a != b).any() for a, b in zip(layer.get_weights(), old, strict=True))
    assert all((a != b).any() for a, b in zip(student_before, student.get_weights(), strict=True))
    assert student.count_params() == both.count_params() - sum(layer.count_params() for layer in projections)
    np.testing.assert_array_equal(np.asarray(student(x, training=False)), np.asarray(both(x, training=False)["logits"]))
    np.testing.assert_array_equal(training.logits(both, x), training.logits(student, x))


def test_the_feature_loss_alone_trains_the_layers_below():
    x, _ = data()
    teacher, student = network(keras, 8), network(keras, 4, seed=1)
    before = student.get_weights()
    both = distillation.with_features(student, {"maps": None})
    assert len(both.layers) == len(student.layers) + 1  # the input
    both.compile("adam", loss={"maps": losses.attention_transfer})
    both.fit(x, {"maps": quiet(teacher, x, features=["maps"])["maps"]}, epochs=1, verbose=0)
    changed = [bool((a != b).any()) for a, b in zip(before, student.get_weights(), strict=True)]
    assert changed[:2] == [True, True] and changed[-2:] == [False, False]


@pytest.mark.parametrize(
    ("hints", "message"),
    [
        ({"nope": None}, r"hints must name layers of net_4, which are \['maps', .*'out'\], got 'nope'"),
        (
            {"maps": (4, 4, 8)},
            r"hints\['maps'\] must be .* differ from the student's \(8, 8, 4\) in the last number only, got \(4, 4, 8\); .*'pool': \(4,\)",
        ),
        ({"maps": (8,)}, r"hints\['maps'\] must be .*, got \(8,\)"),
        ({"pool": (8, 8, 4)}, r"hints\['pool'\] must be"),
        ({"pool": 8.5}, r"hints\['pool'\] must be .*got \(8.5,\)"),
        ({"pool": (0,)}, r"hints\['pool'\] must be .*got \(0,\)"),
        ({}, "hints must be a dict of at least one layer"),
        (["maps"], "hints must be a dict of at least one layer"),
    ],
)
def test_bad_hints(hints, message):
    with pytest.raises(ValueError, match=message):
        distillation.with_features(network(), hints)


@both_libraries
def test_online_targets_are_the_packed_answers(library, capsys):
    x, y = data()
    teacher = network(library, 8)
    batches = tf.data.Dataset.from_tensor_slices((x, one_hot(y, 3))).batch(10)
    online = distillation.online_targets(batches, teacher)
    line = capsys.readouterr().out
    assert line.startswith("The teacher now runs in every step: ") and "ms a batch of 10" in line and "of 3 batches" in line
    assert line.count("\n") == 1
    seen, targets = (np.concatenate(part) for part in zip(*online.as_numpy_iterator(), strict=True))
    np.testing.assert_array_equal(seen, x)
    np.testing.assert_allclose(targets, losses.pack(y, quiet(teacher, x)["logits"]), atol=1e-5)
    distillation.online_targets(batches, teacher, verbose=0)
    assert capsys.readouterr().out == ""


def test_online_targets_follow_the_augmentation():
    x, y = data()
    teacher, cached = network(keras, 8), quiet(network(keras, 8), x)["logits"]

    def moved(x, y):
        return tf.roll(x, tf.random.uniform([], 1, 7, tf.int32), axis=1) * tf.random.uniform([10, 1, 1, 1], 0.2, 0.8), y

    batches = tf.data.Dataset.from_tensor_slices((x[:20], one_hot(y[:20], 3), np.ones(20, np.float32))).batch(10)
    online = distillation.online_targets(batches.map(lambda x, y, w: (*moved(x, y), w)), teacher, verbose=0)
    seen, targets, weights = (np.concatenate(part) for part in zip(*online.as_numpy_iterator(), strict=True))
    assert np.abs(seen - x[:20]).max() > 0.1 and (weights == 1).all()
    np.testing.assert_allclose(targets[:, 3:], training.logits(teacher, seen), atol=1e-5)
    assert np.abs(targets[:, 3:] - cached[:20]).max() > 1e-3
    student = network(seed=1)
    student.compile("adam", loss=losses.distillation_loss(alpha=1.0, temperature=2.0))
    student.fit(online.map(lambda x, t, w: (x, t)), epochs=2, verbose=0)


def test_bad_batches():
    x, y = data()
    teacher = network()
    slices = tf.data.Dataset.from_tensor_slices
    for batches, message in (
        ((x, y), "batches must be a tf.data.Dataset of .* got tuple"),
        (slices(x).batch(8), "batches must be a tf.data.Dataset of"),
        (slices((x, y)).batch(8), r"labels of shape \(batch, classes\), got"),
        (
            slices((x, one_hot(y, 4))).batch(8),
            r"batches must have labels of shape \(batch, 3\), as the teacher has 3 classes, got \(8, 4\)",
        ),
        (slices((x, one_hot(y, 3))).batch(8).take(0), "batches must have at least one batch, got none"),
        (slices((x, one_hot(y, 3) * 9 - 5)).batch(8), "labels must be >= 0 and each row must sum to 1"),
        (slices((x, one_hot(y, 3) * np.nan)).batch(8), "labels must be finite, got NaN or infinity in 24 of 24 places"),
    ):
        with pytest.raises(ValueError, match=message):
            distillation.online_targets(batches, teacher)


def test_the_course_s_teacher_and_students_have_features_that_fit(tmp_path):
    x = datasets.load("mnist-5k").x_train[:20]
    said = quiet(models.load_trained("mnist-5k-teacher"), x, features=["block2", "embedding"], cache=tmp_path / "teacher.npz")
    assert said["block2"].shape == (20, 14, 14, 32) and said["embedding"].shape == (20, 64)
    np.testing.assert_allclose(said["logits"], models.load_logits("mnist-5k-teacher").train[:20], rtol=2e-3, atol=0.02)
    both = distillation.with_features(models.student_cnn(), {"conv1": (14, 14, 32), "embedding": (64,)})
    assert {name: tuple(v.shape) for name, v in both(x).items()} == {"logits": (20, 10), "conv1": (20, 14, 14, 32), "embedding": (20, 64)}

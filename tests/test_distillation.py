"""Asking a teacher once, keeping what it said, and students that train on it with plain compile and fit."""

import json
import os
import signal
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from kdcourse import anatomy, answers, datasets, distillation, losses, measure, models, training
from kdcourse.soft_labels import one_hot

BOTH = pytest.mark.parametrize("library", [keras, tf_keras], ids=["keras", "tf_keras"])


def images(n=24):
    return np.random.default_rng(0).random((n, 8, 8, 1), np.float32)


def network(library=keras, filters=4, seed=0, activation="relu", named=True):
    """Return a small network with a convolution, batch normalization and dropout, on images of 8x8; 3 classes."""
    library.utils.set_random_seed(seed)
    name = (lambda n: {"name": n}) if named else (lambda n: {})
    layers = library.layers
    return library.Sequential(
        [
            library.Input((8, 8, 1)),
            layers.Conv2D(filters, 3, padding="same", activation=activation, **name("maps")),
            layers.BatchNormalization(**name("norm")),
            layers.GlobalAveragePooling2D(**name("pool")),
            layers.Dropout(0.5, **name("drop")),
            layers.Dense(3, **name("out")),
        ],
        name=f"net_{filters}",
    )


def linear(library=keras):
    """Return the smallest student: quick to compile."""
    library.utils.set_random_seed(2)
    return library.Sequential([library.Input((8, 8, 1)), library.layers.Flatten(), library.layers.Dense(3)], name="linear")


def quiet(model, x, **settings):
    return answers.outputs(model, x, verbose=0, **settings)


# keras_of


@BOTH
def test_a_model_knows_its_keras(library):
    assert anatomy.keras_of(network(library)) is library
    inputs = library.Input((2,))
    assert anatomy.keras_of(library.Model(inputs, library.layers.Dense(2)(inputs))) is library


def test_what_is_no_model_is_named():
    with pytest.raises(ValueError, match=r"model must be a keras or tf_keras model, got builtins\.str"):
        anatomy.keras_of("teacher")
    with pytest.raises(ValueError, match=r"got .*Dense"):
        anatomy.keras_of(keras.layers.Dense(2))


def test_keras_of_loads_no_library():
    code = """import sys; from kdcourse import models, keras_bridge
anatomy.keras_of(models.student_mlp(2)); print("tf_keras" in sys.modules)"""
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "False"


# outputs


@BOTH
def test_outputs_are_what_the_layers_give(library):
    x, model = images(), network(library)
    found = quiet(model, x, features=("maps", "pool"), batch_size=10)
    assert {name: (v.shape, v.dtype) for name, v in found.items()} == {
        "logits": ((24, 3), np.float32),
        "maps": ((24, 8, 8, 4), np.float32),
        "pool": ((24, 4), np.float32),
    }
    value, by_hand = x, {}
    for layer in model.layers:
        value = layer(value, training=False) if layer.name in ("norm", "drop") else layer(value)
        by_hand[layer.name] = np.asarray(value)
    for ours, theirs in (("logits", "out"), ("maps", "maps"), ("pool", "pool")):
        np.testing.assert_allclose(found[ours], by_hand[theirs], atol=1e-5)
    np.testing.assert_allclose(quiet(model, x)["logits"], training.logits(model, x), atol=1e-6)


@BOTH
def test_a_cache_gives_back_what_was_computed(library, tmp_path, monkeypatch):
    x, model, cache = images(), network(library), tmp_path / "deep" / "answers.npz"
    plain = quiet(model, x, features=["maps"], batch_size=10)
    fresh = quiet(model, x, features=["maps"], batch_size=10, cache=cache)
    assert [p.name for p in cache.parent.iterdir()] == ["answers.npz"]
    monkeypatch.setattr(type(model), "__call__", None)  # from now on no model answers
    again = quiet(model, x, features=["maps"], batch_size=7, cache=str(cache))
    for name, values in plain.items():
        assert fresh[name].dtype == again[name].dtype == np.float32
        np.testing.assert_array_equal(fresh[name], values.astype(np.float16).astype(np.float32))
        np.testing.assert_array_equal(again[name], fresh[name])
    with np.load(cache, allow_pickle=False) as file:
        assert {file[k].dtype for k in file.files if k != "key"} == {np.dtype(np.float16)}
        assert json.loads(str(file["key"]))["images"] == distillation._sha256([x])


def counting(monkeypatch, model):
    calls, call = [], type(model).__call__

    def counted(self, batch, *args, **kwargs):
        if self is model:
            calls.append(len(batch))
        return call(self, batch, *args, **kwargs)

    monkeypatch.setattr(type(model), "__call__", counted)
    return calls


def test_an_interrupted_run_goes_on_where_it_stopped(tmp_path, monkeypatch):
    x, model, cache = images(), network(), tmp_path / "a.npz"
    expected = quiet(model, x, batch_size=5, cache=tmp_path / "whole.npz")["logits"]
    update = keras.utils.Progbar.update
    monkeypatch.setattr(keras.utils.Progbar, "update", lambda bar, n: (_ for _ in ()).throw(KeyboardInterrupt) if n == 3 else None)
    with pytest.raises(KeyboardInterrupt):
        quiet(model, x, batch_size=5, cache=cache)
    monkeypatch.setattr(keras.utils.Progbar, "update", update)
    parts = tmp_path / "a.npz.parts"
    assert not cache.exists() and len(list(parts.glob("*.npz"))) == 3
    (parts / "000000005.npz").write_bytes((parts / "000000005.npz").read_bytes()[:-40])  # one of them is damaged

    other = x.copy()
    other[0, 0, 0, 0] += 1
    with pytest.raises(ValueError, match=r"cache .*a\.npz\.parts was made with other images; delete it"):
        quiet(model, other, batch_size=5, cache=cache)
    with pytest.raises(ValueError, match=r"was made with other batch_size; delete it"):
        quiet(model, x, batch_size=6, cache=cache)

    calls = counting(monkeypatch, model)
    np.testing.assert_array_equal(quiet(model, x, batch_size=5, cache=cache)["logits"], expected)
    assert calls == [5, 5, 4]  # the damaged one, and the two that were missing
    assert not parts.exists() and cache.exists()
    assert cache.read_bytes() == (tmp_path / "whole.npz").read_bytes()


KILLED = """
import os, signal, sys
import numpy as np
sys.path.insert(0, {tests!r})
from test_distillation import images, network, quiet
save, left = np.savez_compressed, [3]

def killed(file, **arrays):
    left[0] -= 1
    if not left[0]:
        with open(file, "wb") as half:
            half.write(b"PK half a file")
        os.kill(os.getpid(), signal.SIGKILL)
    save(file, **arrays)

np.savez_compressed = killed
quiet(network(), images(), batch_size=5, cache={cache!r})
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
def test_a_killed_run_resumes_to_the_same_bits(tmp_path, monkeypatch):
    cache, model = tmp_path / "a.npz", network()
    run = subprocess.run([sys.executable, "-c", KILLED.format(tests=os.path.dirname(__file__), cache=str(cache))], capture_output=True)
    assert run.returncode == -signal.SIGKILL and not cache.exists()
    assert len(list((tmp_path / "a.npz.parts").glob("0*.npz"))) == 2
    calls = counting(monkeypatch, model)
    resumed = quiet(model, images(), batch_size=5, cache=cache)["logits"]
    assert calls == [5, 5, 4]
    np.testing.assert_array_equal(resumed, quiet(model, images(), batch_size=5, cache=tmp_path / "whole.npz")["logits"])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.npz", "whole.npz"]


def test_a_cache_of_something_else_is_refused(tmp_path):
    x, model, cache = images(), network(), tmp_path / "a.npz"
    quiet(model, x, cache=cache)
    before, advice = cache.read_bytes(), "; delete it to ask the model again, or give another path"
    last = model.get_weights()
    last[-1][0] += 1e-3
    moved = network()
    moved.set_weights(last)
    other_use = network(activation="tanh")
    other_use.set_weights(model.get_weights())
    for call, other in (
        ((model, x[::-1]), "images"),
        ((model, x[:12]), "images"),
        ((model, x.astype(np.float64)), "images"),
        ((moved, x), "weights"),
        ((moved, x[::-1]), "images and other weights"),
        ((other_use, x), "architecture"),
    ):
        with pytest.raises(ValueError, match=rf"^cache .*a\.npz was made with other {other}{advice}$"):
            quiet(*call, cache=cache)
    with pytest.raises(ValueError, match="was made with other features"):
        quiet(model, x, features=["maps"], cache=cache)
    assert cache.read_bytes() == before


@BOTH
def test_the_same_model_built_again_has_the_same_cache(library, tmp_path):
    x = images()
    first, again = (network(library, named=False) for _ in range(2))
    again.set_weights(first.get_weights())
    assert first.layers[0].name != again.layers[0].name
    a = quiet(first, x, features=[first.layers[2].name], cache=tmp_path / "a.npz")
    b = quiet(again, x, features=[again.layers[2].name], cache=tmp_path / "a.npz")
    for one, two in zip(a.values(), b.values(), strict=True):
        np.testing.assert_array_equal(one, two)


def test_a_model_class_of_ones_own(tmp_path):
    @keras.saving.register_keras_serializable("test")
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = keras.layers.Dense(3)

        def call(self, x):
            return self.dense(keras.ops.reshape(x, (-1, 64)))

    x, model = images(), Own()
    fresh = quiet(model, x, cache=tmp_path / "a.npz")["logits"]
    np.testing.assert_array_equal(quiet(model, x, cache=tmp_path / "a.npz")["logits"], fresh)
    with pytest.raises(ValueError, match="features need a functional model, or a Sequential with an Input; own.* is neither"):
        quiet(model, x, features=["dense"])


def test_a_damaged_cache_is_refused(tmp_path):
    x, model, cache = images(), network(), tmp_path / "a.npz"
    expected = quiet(model, x, cache=cache)["logits"]
    whole = cache.read_bytes()
    broken = [b"", b"not a zip", whole[: len(whole) // 2], whole[:-1]]
    rng = np.random.default_rng(0)
    for place in rng.choice(len(whole), 60, replace=False):
        broken.append(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
    refused = 0
    for content in broken:
        cache.write_bytes(content)
        try:
            found = quiet(model, x, cache=cache)["logits"]
        except ValueError as error:
            assert str(error).startswith(f"cache {cache} "), error
            assert "; delete it to ask the model again" in str(error)
            refused += 1
        else:
            np.testing.assert_array_equal(found, expected)  # a byte that nobody reads, such as a date
    assert refused > len(broken) / 2
    np.savez(cache, x)
    with pytest.raises(ValueError, match="is damaged or was not made by outputs"):
        quiet(model, x, cache=cache)
    np.savez(cache, key=np.array({"a": 1}, dtype=object), output_0=expected)  # would need pickle
    with pytest.raises(ValueError, match="is damaged or was not made by outputs"):
        quiet(model, x, cache=cache)


def test_answers_that_cannot_be_kept(tmp_path):
    x, model = images(), network()
    model.layers[-1].bias.assign([0, 7e4, 0])
    assert quiet(model, x)["logits"].max() > 65504
    with pytest.raises(ValueError, match=r"logits must be within 65,504 of 0 to be kept as float16, got 70,\d{3}; call without cache"):
        quiet(model, x, cache=tmp_path / "a.npz")
    model.layers[-1].bias.assign([0, np.nan, 0])
    with pytest.raises(ValueError, match=r"the model's logits for images 0 to 19 must be finite, got NaN or infinity in 20 of 60 places"):
        quiet(model, x, batch_size=20)
    assert not (tmp_path / "a.npz").exists()


def test_the_progress_bar(capsys):
    x, model = images(), network()
    quiet(model, x)
    assert capsys.readouterr().out == ""
    answers.outputs(model, x, batch_size=5)
    assert "5/5" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"images": np.zeros((0, 8, 8, 1))},
            r"images must be an array of numbers with at least 1 example, got float64 of shape \(0, 8, 8, 1\)",
        ),
        ({"images": ["a"]}, "images must be an array of numbers"),
        ({"batch_size": 0}, "batch_size must be an integer >= 1, got 0"),
        ({"features": "maps"}, "features must be a list of different names of layers, got 'maps'"),
        ({"features": ["maps", "maps"]}, "features must be a list of different names"),
        ({"features": ["nope"]}, r"features must name layers of net_4, which are \['maps', 'norm', 'pool', 'drop', 'out'\], got 'nope'"),
        ({"cache": "a.npy"}, "cache must be a path that ends in .npz, got 'a.npy'"),
        ({"model": len}, "model must be a keras or tf_keras model"),
    ],
)
def test_bad_calls_of_outputs(change, message):
    with pytest.raises(ValueError, match=message):
        answers.outputs(**{"model": network(), "images": images(), "verbose": 0, **change})


# students


def data(n=24):
    x = images(n)
    return x, np.arange(n) % 3


@BOTH
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


@BOTH
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


# train


@BOTH
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


@BOTH
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
        ({"targets": np.zeros((5, 3))}, r"targets must have a row for each of the 24 images, at least 1, got shape \(5, 3\)"),
        ({"targets": np.full((24, 3), np.nan)}, "targets must be finite, got NaN or infinity in 72 places"),
        ({"targets": np.array(["a"] * 24)}, "targets must be numbers, got <U1"),
        ({"targets": np.ones((24, 3))}, "labels must be >= 0 and each row must sum to 1"),
        ({"targets": np.eye(4)[[0] * 24]}, r"labels must have shape \(24,\) or \(24, 3\)"),
        ({"targets": np.arange(24)}, "labels must be in 0..2, or -1 for no label, got 3"),
        ({"temperature": 4.0}, "temperature must stay 1 when loss is given"),
        ({"teacher": len}, "model must be a keras or tf_keras model"),
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


# online_targets


@BOTH
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
    ):
        with pytest.raises(ValueError, match=message):
            distillation.online_targets(batches, teacher)


# the course's own


def test_the_course_s_teacher_and_students_have_features_that_fit(tmp_path):
    x = datasets.load("mnist-5k").x_train[:20]
    said = quiet(models.load_trained("mnist-5k-teacher"), x, features=["block2", "embedding"], cache=tmp_path / "teacher.npz")
    assert said["block2"].shape == (20, 14, 14, 32) and said["embedding"].shape == (20, 64)
    np.testing.assert_allclose(said["logits"], models.load_logits("mnist-5k-teacher").train[:20], rtol=2e-3, atol=0.02)
    both = distillation.with_features(models.student_cnn(), {"conv1": (14, 14, 32), "embedding": (64,)})
    assert {name: tuple(v.shape) for name, v in both(x).items()} == {"logits": (20, 10), "conv1": (20, 14, 14, 32), "embedding": (20, 64)}

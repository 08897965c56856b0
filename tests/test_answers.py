"""A model asked once, its answers kept."""

import json

import keras
import numpy as np
import pytest
from zoo import both_libraries, images, network, quiet

from kdcourse import answers, training


@both_libraries
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


@both_libraries
def test_a_cache_gives_back_what_was_computed(library, tmp_path, monkeypatch):
    x, model, cache = images(), network(library), tmp_path / "deep" / "answers.npz"
    plain = quiet(model, x, features=["maps"], batch_size=10)
    fresh = quiet(model, x, features=["maps"], batch_size=10, cache=cache)
    assert [p.name for p in cache.parent.iterdir()] == ["answers.npz"]
    asked, call = [], type(model).__call__
    monkeypatch.setattr(type(model), "__call__", lambda self, batch, **how: asked.append(len(batch)) or call(self, batch, **how))
    again = quiet(model, x, features=["maps"], batch_size=7, cache=str(cache))
    assert max(asked, default=0) <= answers.PROBE  # nobody is asked about all of it again
    for name, values in plain.items():
        assert fresh[name].dtype == again[name].dtype == np.float32
        np.testing.assert_array_equal(fresh[name], values.astype(np.float16).astype(np.float32))
        np.testing.assert_array_equal(again[name], fresh[name])
    with np.load(cache, allow_pickle=False) as file:
        assert {file[k].dtype for k in file.files if k != "key"} == {np.dtype(np.float16)}
        assert json.loads(str(file["key"]))["inputs"] == answers._sha256([x])


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
        ((model, x[::-1]), "inputs"),
        ((model, x[:12]), "inputs"),
        ((model, x.astype(np.float64)), "inputs"),
        ((moved, x), "weights"),
        ((moved, x[::-1]), "inputs and other weights"),
        ((other_use, x), "answers to the first inputs: the model computes something else"),
    ):
        with pytest.raises(ValueError, match=rf"^cache .*a\.npz was made with other {other}{advice}$"):
            quiet(*call, cache=cache)
    with pytest.raises(ValueError, match="was made with other features"):
        quiet(model, x, features=["maps"], cache=cache)
    assert cache.read_bytes() == before


@both_libraries
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
    with pytest.raises(ValueError, match=r"the model's logits for inputs 0 to 19 must be finite, got NaN or infinity in 20 of 60 places"):
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
        ({"inputs": np.zeros((0, 8, 8, 1))}, r"inputs must have shape \(examples, \.\.\.\), examples at least 1, got shape \(0, 8, 8, 1\)"),
        ({"inputs": ["a"]}, "inputs must be numbers in an array, got \\['a'\\]"),
        ({"batch_size": 0}, "batch_size must be an integer >= 1, got 0"),
        ({"features": "maps"}, "features must be a list of strings that are not empty, got 'maps'"),
        ({"features": ["maps", "maps"]}, "features must be different names, got 'maps' more than once"),
        ({"features": ["nope"]}, r"features must name layers of net_4, which are \['maps', 'norm', 'pool', 'drop', 'out'\], got 'nope'"),
        ({"features": None}, "features must be a list of strings that are not empty, got None"),
        ({"cache": "a.npy"}, "cache must be a path that ends in .npz, got 'a.npy'"),
        ({"cache": 3}, "cache must be a path that ends in .npz, got 3"),
        ({"model": len}, "model must be a keras or tf_keras model"),
    ],
)
def test_bad_calls_of_outputs(change, message):
    with pytest.raises(ValueError, match=message):
        answers.outputs(**{"model": network(), "inputs": images(), "verbose": 0, **change})


def test_other_arithmetic_with_the_same_weights_is_noticed(tmp_path):
    x = images()

    def scaled_by(k):
        """A function of one's own as activation, whose name says nothing, as a notebook's cell that is changed and run again."""
        keras.utils.set_random_seed(0)

        def scaled(z):
            return z * k

        return keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(3, activation=scaled)])

    class Own(keras.Model):
        def __init__(self, k):
            super().__init__()
            keras.utils.set_random_seed(0)
            self.flat, self.dense, self.k = keras.layers.Flatten(), keras.layers.Dense(3), k

        def call(self, z):
            return self.k * self.dense(self.flat(z))

    for place, make in enumerate((scaled_by, Own)):
        cache = tmp_path / f"{place}.npz"
        quiet(make(1.0), x, cache=cache)
        quiet(make(1.0), x, cache=cache)  # the same again is welcome
        with pytest.raises(ValueError, match="the model computes something else; delete it"):
            quiet(make(5.0), x, cache=cache)


def test_a_layer_that_is_used_twice_has_no_one_answer():
    inputs, shared = keras.Input((6,)), keras.layers.Dense(6, name="shared")
    model = keras.Model(inputs, keras.layers.Dense(3)(shared(shared(inputs))))
    with pytest.raises(ValueError, match="features must name layers that are used once, got 'shared', which is used 2 times"):
        quiet(model, np.zeros((4, 6), np.float32), features=["shared"])


def test_nothing_is_left_behind_by_a_run_that_fails(tmp_path, monkeypatch):
    x, model = images(), network()
    good = model.get_weights()
    model.set_weights([w * np.nan for w in good])
    with pytest.raises(ValueError, match="must be finite"):
        quiet(model, x, cache=tmp_path / "a.npz")
    (tmp_path / "a.npz.parts").mkdir()
    (tmp_path / "a.npz.parts" / "mine.txt").write_text("not the cache's")
    monkeypatch.setattr(np, "savez_compressed", lambda *_, **__: (_ for _ in ()).throw(OSError("disk full")))
    model.set_weights(good)
    with pytest.raises(OSError, match="disk full"):
        quiet(model, x, cache=tmp_path / "a.npz")
    monkeypatch.undo()
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz.parts"]
    quiet(model, x, cache=tmp_path / "a.npz")  # the path is free
    assert (tmp_path / "a.npz.parts" / "mine.txt").exists()

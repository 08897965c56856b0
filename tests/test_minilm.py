"""The pretrained encoder against its reference implementation, and the files of vectors that it made."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from kdcourse import archives, datasets, files, minilm
from kdcourse.runtime import quiet_start

REFERENCE = json.loads((Path(__file__).parent / "minilm_reference.json").read_text(encoding="utf-8"))  # minilm_reference.py made it
TEXTS = [entry["text"] for entry in REFERENCE["sentences"]]
VECTORS = np.array([entry["vector"] for entry in REFERENCE["sentences"]])


@pytest.fixture(scope="module")
def encoder():
    return minilm.encoder(length=None)


def difference(vectors) -> float:
    return np.abs(np.asarray(vectors) - VECTORS).max()


def test_the_reference_read_the_archive_of_the_course():
    assert REFERENCE["archive"] == archives.registry()[minilm.ARCHIVE]["file"]
    lengths = [len(entry["wordpieces"]) for entry in REFERENCE["sentences"]]
    assert min(lengths) == 2 and max(lengths) == 128
    assert {-(-length // 32) for length in lengths} == {1, 2, 3, 4}  # embed() asks about each of these apart


def test_wordpieces_are_those_of_the_reference():
    found = minilm.wordpieces(TEXTS)
    assert found.shape == (len(TEXTS), 128) and found.dtype == np.int32
    for row, entry in zip(found, REFERENCE["sentences"], strict=True):
        pieces = entry["wordpieces"]
        assert row.tolist() == pieces + [0] * (128 - len(pieces)), entry["text"]


def test_many_texts_have_the_wordpieces_of_each():
    texts = [f"text number {i} of many" for i in range(1201)]  # more than are tokenized at a time
    found = minilm.wordpieces(np.array(texts, object))
    for i in (0, 499, 500, 999, 1000, 1200):
        np.testing.assert_array_equal(found[i], minilm.wordpieces([texts[i]])[0])


def test_the_encoder_equals_the_reference(encoder):
    found = encoder.predict(minilm.wordpieces(TEXTS), verbose=0)
    assert found.dtype == np.float32 and difference(found) < 1e-5
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)
    docstring = minilm.encoder.__doc__
    assert f"{encoder.count_params():,} parameters" in docstring


def test_the_other_gelu_would_be_noticed(monkeypatch):
    quiet_start()
    import keras

    exact = keras.ops.gelu
    monkeypatch.setattr(keras.ops, "gelu", lambda x, approximate: exact(x, approximate=True))
    rough = minilm.encoder().predict(minilm.wordpieces(TEXTS), verbose=0)
    assert 1e-4 < difference(rough) < 1e-2


def test_a_text_of_nothing_gets_the_vector_0(encoder):
    ids = minilm.wordpieces([TEXTS[0], "", ""])
    ids[2] = 0
    found = encoder.predict(ids, verbose=0)
    assert np.isfinite(found).all() and not found[2].any()
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), [1, 1, 0], atol=1e-6)


@pytest.mark.parametrize("length", [0, 513, True, 2.5])
def test_a_length_that_the_encoder_does_not_have(length):
    with pytest.raises(ValueError, match=r"length must be an integer in 1\.\.512, got"):
        minilm.encoder(length)


@pytest.mark.slow
def test_the_halves_together_are_the_encoder_and_the_upper_one_learns(encoder):
    import keras

    lower, upper = minilm.halves(at=4)
    x = minilm.wordpieces(TEXTS)
    hidden = lower.predict(x, verbose=0)
    assert hidden.shape == (len(TEXTS), 128, 384) and hidden.dtype == np.float32
    assert difference(upper.predict([hidden, x], verbose=0)) < 1e-5
    assert difference(upper.predict([hidden.astype(np.float16), x], verbose=0)) < 1e-3
    assert upper.count_params() == 2 * 1_774_464 == sum(int(np.prod(v.shape)) for v in upper.trainable_variables)
    assert lower.count_params() + upper.count_params() == encoder.count_params()

    head = keras.Model(upper.inputs, keras.layers.Dense(2)(upper.output))
    head.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    before = [lower.get_weights(), upper.get_weights()]
    head.fit([hidden[:4], x[:4]], np.array([0, 1, 0, 1]), epochs=1, verbose=0)
    assert all(np.array_equal(a, b) for a, b in zip(before[0], lower.get_weights(), strict=True))
    moved = [not np.array_equal(a, b) for a, b in zip(before[1], upper.get_weights(), strict=True)]
    assert all(moved)


@pytest.mark.parametrize("at", [0, 6, True, 2.0, None])
def test_halves_refuses_other_places(at, monkeypatch):
    monkeypatch.setattr(minilm, "encoder", lambda: pytest.fail("the encoder was built first"))
    with pytest.raises(ValueError, match=r"at must be an integer in 1\.\.5, got"):
        minilm.halves(at)


def test_embed_equals_the_reference_whatever_is_asked_together(encoder, monkeypatch):
    monkeypatch.setattr(minilm, "encoder", lambda length: encoder)
    assert difference(minilm.embed(TEXTS, verbose=0)) < 1e-5
    assert difference(minilm.embed(tuple(TEXTS[::-1]), verbose=0)[::-1]) < 1e-5
    with_padding = "word [PAD] " * 20 + "end"  # a wordpiece 0 inside a text does not end it
    alone = encoder.predict(minilm.wordpieces([with_padding]), verbose=0)
    np.testing.assert_allclose(minilm.embed([with_padding], verbose=0), alone, atol=1e-6)


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ("one text", r"texts must be a list of strings, got the string 'one text'; pass \[text\]"),
        ([], "texts must be at least 1 string, got none"),
        (["a", None], "texts must be strings, got NoneType at place 1"),
        ([b"a"], "texts must be strings, got bytes at place 0"),
        (np.array([["a", "b"]], object), "texts must be strings, got ndarray at place 0"),
        (["fine", "half a pair: \ud83c"], r"texts must be valid Unicode, got '\\ud83c' in the text at place 1"),
    ],
)
def test_what_is_no_list_of_strings_is_refused(texts, message, monkeypatch):
    monkeypatch.setattr(minilm, "encoder", lambda length: pytest.fail("the encoder was built first"))
    for function in (minilm.wordpieces, minilm.embed):
        with pytest.raises(ValueError, match=message):
            function(texts)


class Stopped(Exception):
    """What an impatient reader does."""


@pytest.fixture
def small(monkeypatch):
    """Put a small model in the place of the encoder; return the list of batches it was asked about, which can stop it."""
    quiet_start()
    import keras

    class Asked(list):
        stop_at = None

    asked = Asked()

    class Counted(keras.layers.Layer):
        def call(self, x):
            if x.shape[0] is not None:  # not while Keras builds the model
                if len(asked) == asked.stop_at:
                    raise Stopped
                asked.append(x.shape)
            return x

    def build(length):
        keras.utils.set_random_seed(0)
        ids = keras.Input((length,), dtype="int32")
        x = keras.layers.Embedding(30522, 384)(Counted()(ids))
        return keras.Model(ids, keras.layers.UnitNormalization()(keras.ops.mean(x, axis=1)))

    monkeypatch.setattr(minilm, "encoder", build)
    monkeypatch.setattr(minilm, "_in_graph", lambda model: model)  # a graph would count once
    return asked


def test_an_interrupted_embed_keeps_the_lengths_that_are_done_and_gives_the_same_bits(small, tmp_path):
    texts = [f"short {i}" for i in range(150)] + ["a word " * i for i in range(20, 60)]
    whole = minilm.embed(texts, cache=tmp_path / "whole", verbose=0)
    batches = list(small)
    assert batches[:4] == [(8, 32), (64, 32), (64, 32), (22, 32)] and batches[-1][1] == 128  # the first 8 are asked to know the model
    small.clear()
    small.stop_at = 5  # within the second length
    with pytest.raises(Stopped):
        minilm.embed(texts, cache=tmp_path / "stopped", verbose=0)
    assert small == batches[:5]
    small.clear()
    small.stop_at = None
    np.testing.assert_array_equal(minilm.embed(texts, cache=tmp_path / "stopped", verbose=0), whole)
    assert small == [batches[0], *batches[4:]]
    small.clear()
    minilm.embed(texts, cache=tmp_path / "stopped", verbose=0)
    assert max(count for count, _ in small) == 8
    exact = minilm.embed(texts, verbose=0)
    assert 0 < np.abs(exact - whole).max() < 1e-3  # float16
    with pytest.raises(ValueError, match="was made with other inputs; delete it"):
        minilm.embed(texts[::-1], cache=tmp_path / "whole", verbose=0)


def tiny(name="tiny", texts=("one", "two", "three", "four", "five", "six")) -> datasets.TextDataset:
    x, y = np.array(texts, object), np.array([0, 1, 0, 1, 0, 1])
    return datasets.TextDataset(name, ("a", "b"), x[:3], y[:3], x[3:4], y[3:4], x[4:], y[4:])


@pytest.fixture
def places(tmp_path, monkeypatch):
    """Give a data folder and a cache folder of the test's own."""
    minilm.wordpieces(["the tokenizer is read from the real folder"])
    (tmp_path / "data" / "teachers").mkdir(parents=True)
    monkeypatch.setattr(minilm, "cache_folder", lambda: tmp_path / "cache")
    monkeypatch.setattr(minilm, "data_path", lambda *parts: tmp_path.joinpath("data", *parts))
    return tmp_path


def some_vectors(rows=6):
    vectors = np.random.default_rng(0).normal(size=(rows, 384)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_rounding_keeps_within_half_a_scale():
    for vectors in (some_vectors(), -3 * some_vectors(), np.zeros((2, 384), np.float32)):
        numbers, scale = minilm.rounded(vectors)
        assert numbers.dtype == np.int8 and scale.dtype == np.float32 and np.abs(numbers).max() in (0, 127)
        assert np.abs(numbers * scale - vectors).max() <= scale * 0.5001


@pytest.mark.parametrize(
    ("vectors", "message"),
    [
        (np.where(np.arange(384) == 5, np.nan, some_vectors()), "vectors must be finite, got NaN or infinity in 6 of 2,304 places"),
        (some_vectors(5), r"vectors must have shape \(6, 384\), got shape \(5, 384\)"),
    ],
)
def test_vectors_that_are_none_are_not_written(places, vectors, message):
    with pytest.raises(ValueError, match=message):
        minilm.save(minilm.shipped("tiny"), tiny(), vectors)
    assert not minilm.shipped("tiny").exists()


def test_a_file_of_vectors_is_read_without_the_encoder(places, monkeypatch, capsys):
    monkeypatch.setattr(minilm, "embed", lambda *args, **kwargs: pytest.fail("the encoder was asked"))
    data, vectors = tiny(), some_vectors()
    minilm.save(minilm.shipped("tiny"), data, vectors)
    found = minilm.embeddings(data)
    assert capsys.readouterr().out == ""
    assert [part.shape for part in found] == [(3, 384), (1, 384), (2, 384)]
    assert {part.dtype for part in found} == {np.dtype(np.float32)}
    numbers, scale = minilm.rounded(vectors)
    np.testing.assert_array_equal(np.concatenate(found), numbers * scale)
    np.testing.assert_array_equal(found.train, (numbers * scale)[:3])
    other_labels = dataclasses.replace(data, y_test=1 - data.y_test)  # they do not matter
    np.testing.assert_array_equal(minilm.embeddings(other_labels).test, found.test)


def test_without_a_file_the_encoder_is_asked_and_the_answers_are_kept(places, small, capsys):
    data = tiny()
    asked = minilm.embeddings(data, verbose=0)
    assert capsys.readouterr().out == "" and len(small) == 2  # once to know the model, once for the answers
    again = minilm.embeddings(data)
    assert "asking the encoder about the 6 texts of tiny: up to 1 min" in capsys.readouterr().out
    assert len(small) == 3 and (places / "cache" / "embeddings" / "tiny" / "32.npz").is_file()
    kept = minilm.embed([*data.x_train, *data.x_validation, *data.x_test], cache=places / "cache/embeddings/tiny", verbose=0)
    minilm.save(minilm.shipped("tiny"), data, kept)
    read = minilm.embeddings(data)  # the same bits, whichever way
    for a, b, c in zip(asked, again, read, strict=True):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(a, c)


def test_recompute_leaves_the_file_aside(places, small):
    data = tiny()
    minilm.save(minilm.shipped("tiny"), data, some_vectors())
    read, asked = minilm.embeddings(data), minilm.embeddings(data, recompute=True, verbose=0)
    assert len(small) == 2 and not np.allclose(read.test, asked.test)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda arrays: arrays.update(train=arrays["train"][:, :383]), r"must hold arrays of .*\(3, 384\), 'int8'.*got .*\(3, 383\)"),
        (lambda arrays: arrays.update(test=arrays["test"][:1]), r"must hold arrays of .*\(2, 384\), 'int8'.*got .*\(1, 384\)"),
        (lambda arrays: arrays.update(validation=arrays["validation"].astype(np.float32)), "must hold arrays of .*float32"),
        (lambda arrays: arrays.update(scale=np.ones(384, np.float32)), "must hold arrays of"),
        (lambda arrays: arrays.pop("scale"), "must be a whole npz file of embeddings"),
        (lambda arrays: arrays.update(key=np.array("not json")), "must be a whole npz file of embeddings"),
        (lambda arrays: arrays.update(key=np.array("[1]")), "must be a whole npz file of embeddings"),
        (lambda arrays: arrays.update(key=np.array({}, object)), "must be a whole npz file of embeddings"),
        (lambda arrays: arrays.update(key=np.array("{}")), "got other texts and other encoder"),
    ],
)
def test_a_spoilt_file_is_refused_with_what_to_do(spoil, message, places):
    data, path = tiny(), minilm.shipped("tiny")
    minilm.save(path, data, some_vectors())
    with np.load(path) as file:
        arrays = dict(file)
    spoil(arrays)
    np.savez(path, **arrays)
    with pytest.raises(ValueError, match=message) as caught:
        minilm.embeddings(data)
    assert str(path) in str(caught.value) and str(caught.value).endswith("delete it, or pass recompute=True, to ask the encoder")


def test_a_damaged_file_or_one_of_other_texts_is_refused(places, monkeypatch):
    data, path = tiny(), minilm.shipped("tiny")
    minilm.save(path, data, some_vectors())
    changed = tiny(texts=("one", "two", "three", "four", "five", "seven"))
    moved = dataclasses.replace(data, x_train=data.x_train[:2], x_validation=np.array(["three", "four"], object))
    for other in (changed, moved):
        with pytest.raises(ValueError, match="must belong to these texts and this encoder, got other texts; delete it"):
            minilm.embeddings(other)
    registry = {minilm.ARCHIVE: {"sha256": "0" * 64}}
    with monkeypatch.context() as patch:
        patch.setattr(archives, "registry", lambda: registry)
        with pytest.raises(ValueError, match="got other encoder; delete it"):
            minilm.embeddings(data)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(ValueError, match=r"must be a whole npz file of embeddings, got .*; delete it"):
        minilm.embeddings(data)


def test_provenance_names_what_ships():
    with pytest.raises(ValueError, match="name must be one of 20newsgroups, r8, r52, got 'r9'"):
        minilm.provenance("r9")


@pytest.mark.parametrize("name", datasets.TEXTS)
def test_the_vectors_that_ship_are_the_encoders(name, encoder):
    data, made = datasets.load(name), minilm.provenance(name)
    found = minilm.embeddings(data)
    assert [len(part) for part in found] == [len(data.x_train), len(data.x_validation), len(data.x_test)]
    assert minilm.shipped(name).stat().st_size == made["bytes"] <= 6_000_000
    asked = np.asarray(encoder(minilm.wordpieces(data.x_test[:4])))
    assert np.abs(found.test[:4] - asked).max() < 1.1 * made["rounding"]["largest_error"]
    for head in (made["head"]["all_labels"], made["head"]["5_percent_of_labels"]):
        assert abs(head["test"]["int8"] - head["test"]["float16"]) < 0.005


# --- the encoder with other matrices ---


def test_forward_gives_the_vectors_of_the_reference():
    assert difference(minilm.forward(minilm.wordpieces(TEXTS))) < 2e-6
    assert difference(minilm.forward(minilm.wordpieces(TEXTS), at_a_time=3)) < 2e-6


def test_the_matrices_are_all_of_the_blocks_and_belong_to_the_caller():
    found = minilm.matrices()
    assert len(found) == 36 and sum(matrix.size for matrix in found.values()) == 10_616_832
    assert found["wide3"].shape == (384, 1536) and found["narrow3"].shape == (1536, 384) and found["key0"].shape == (384, 384)
    found["wide3"][:] = 0
    assert minilm.matrices()["wide3"].any()


def test_a_changed_matrix_is_used_where_it_belongs(encoder):
    """The same change in Keras gives the same vectors."""
    ids, changed = minilm.wordpieces(TEXTS[:3]), {}
    for name, layer, place in (("narrow2", "narrow2", 0), ("value4", "attention4", 4), ("output1", "attention1", 6)):
        changed[name] = np.roll(minilm.matrices()[name], 1, axis=0)
        keras_layer = encoder.get_layer(layer)
        arrays = keras_layer.get_weights()
        keras_layer.set_weights([*arrays[:place], changed[name].reshape(arrays[place].shape), *arrays[place + 1 :]])
    try:
        found, wanted = minilm.forward(ids, changed), np.asarray(encoder(ids))
    finally:
        for name, arrays in minilm._arrays_of_layers().items():
            encoder.get_layer(name).set_weights(arrays)
    assert np.abs(found - VECTORS[:3]).max() > 0.01 and np.abs(found - wanted).max() < 1e-5


def test_see_gets_the_inputs_of_every_matrix_and_may_change_them():
    ids, seen = minilm.wordpieces(TEXTS), {}
    minilm.forward(ids, see=seen.__setitem__, at_a_time=len(ids))
    assert list(seen) == list(minilm.matrices())
    assert all(seen[name].shape == ((ids != 0).sum(), len(matrix)) for name, matrix in minilm.matrices().items())
    zeros = minilm.forward(ids[:2], see=lambda name, x: 0 * x if name == "wide5" else None)
    assert np.abs(zeros - VECTORS[:2]).max() > 0.01


@pytest.mark.parametrize(
    ("ids", "changed", "sentence"),
    [
        (np.ones((1, 3)), {}, "ids must be integers in an array, got type float64"),
        (np.array([[5, 0], [0, 0]]), {}, "ids must hold a wordpiece that is not 0 in each text"),
        (np.ones((1, 3), int), {"wide6": np.ones((384, 1536))}, "each name of changed must be one of query0, "),
        (np.ones((1, 3), int), {"wide0": np.ones((1536, 384))}, r"wide0 must have shape \(384, 1536\), got shape \(1536, 384\)"),
        (np.full((1, 3), 30522), {}, "ids must be in 0..30521, got 30522"),
    ],
)
def test_forward_refuses_in_one_sentence(ids, changed, sentence):
    with pytest.raises(ValueError, match=f"^{sentence}"):
        minilm.forward(ids, changed)


def test_the_layer_that_ships_is_one_of_the_encoder():
    with np.load(files.data_path("teachers", "minilm-wide4.npz"), allow_pickle=False) as layer:
        assert np.array_equal(layer["weights"], minilm.matrices()["wide4"].astype(np.float16))
        assert layer["inputs"].shape == (900, 384) and list(layer["names"]) == list(minilm.matrices())
        channels = np.abs(layer["inputs"].astype(np.float32)).mean(axis=0)
        uneven = dict(zip(layer["names"], layer["largest_to_median"], strict=True))
        assert channels.max() / np.median(channels) == pytest.approx(uneven["wide4"], rel=0.1)
    seen = []
    minilm.forward(minilm.wordpieces(TEXTS), see=lambda name, x: seen.append(x) if name == "wide4" else None)
    assert np.abs(np.concatenate(seen)).mean(axis=0).argmax() == channels.argmax()  # the outlier is there in other texts, too


def test_what_is_added_to_a_bias_is_added_behind_its_matrix():
    """A constant in the inputs of a matrix, taken out by a see and put back by the bias, changes nothing."""
    ids, name = minilm.wordpieces(TEXTS[:3]), "wide2"
    plain, constant = minilm.forward(ids), np.linspace(-1, 1, 384).astype(np.float32)
    more = constant @ minilm.matrices()[name]
    found = minilm.forward(ids, see=lambda at, x: x - constant if at == name else None, added={name: more})
    np.testing.assert_allclose(found, plain, atol=1e-5)
    assert np.abs(minilm.forward(ids, added={name: more}) - plain).max() > 0.01
    np.testing.assert_array_equal(minilm.forward(ids), plain)  # nothing stays
    with pytest.raises(ValueError, match="each name of added must be one of query0"):
        minilm.forward(ids, added={"wide6": more})
    with pytest.raises(ValueError, match=r"added\['wide2'\] must"):
        minilm.forward(ids, added={name: more[:-1]})

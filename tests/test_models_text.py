"""Readers of texts: small enough, blind to padding, finite on an empty text, and different while training only where they should be."""

import numpy as np
import pytest

from kdcourse import models, runtime

runtime.quiet_start()
import keras  # noqa: E402

BUILDERS = [models.text_average, models.text_cnn, models.text_gru]
each = pytest.mark.parametrize("build", BUILDERS, ids=lambda build: build.__name__)


def small(build, words=12, **settings):
    """A small reader whose weights are far from the zeros of a fresh bias; the same for every number of words."""
    model = build(5, **{"vocabulary": 40, "words": words, "width": 8} | settings)
    rng = np.random.default_rng(0)
    model.set_weights([rng.normal(size=weights.shape) for weights in model.get_weights()])
    return model


def padded(rows, words):
    return np.array([row + [0] * (words - len(row)) for row in rows], np.int32)


def texts(longest, count=6):
    rng = np.random.default_rng(1)
    return [rng.integers(1, 40, length).tolist() for length in rng.integers(1, longest + 1, count)]


@pytest.mark.parametrize(
    ("build", "parameters", "words"),
    [(models.text_average, 320_660, 200), (models.text_cnn, 327_508, 200), (models.text_gru, 332_788, 100)],
)
def test_parameter_counts_are_those_of_the_docstrings(build, parameters, words):
    model = build(20)
    assert f"{parameters:,}" in build.__doc__
    assert model.count_params() == parameters <= 400_000
    assert (model.input_shape, model.inputs[0].dtype) == ((None, words), "int32")
    assert (model.output_shape, model.outputs[0].dtype) == ((None, 20), "float32")
    assert build(52).count_params() <= 400_000  # the most classes of the course


@pytest.mark.parametrize(
    ("build", "sizes"),
    [
        (models.text_average, {"embeddings": [(40, 8)], "logits": [(8, 5), (5,)]}),
        (models.text_cnn, {"embeddings": [(40, 8)], "conv1": [(3, 8, 6), (6,)], "logits": [(6, 5), (5,)]}),
        (models.text_gru, {"embeddings": [(40, 8)], "gru": [(8, 21), (7, 21), (2, 21)], "logits": [(7, 5), (5,)]}),
    ],
)
def test_sizes_go_where_they_belong(build, sizes):
    own = {models.text_cnn: {"filters": 6}, models.text_gru: {"units": 7}}.get(build, {})
    model = build(5, vocabulary=40, words=12, width=8, name="reader", **own)
    assert {layer.name: [weights.shape for weights in layer.get_weights()] for layer in model.layers if layer.weights} == sizes
    assert model.name == "reader"


@each
def test_a_text_without_words_gets_finite_logits(build):
    model = small(build)
    empty, unknown, full = padded([[], [1], [1] * 12], 12)
    logits = np.asarray(model(np.array([empty, unknown, full])))
    assert logits.shape == (3, 5) and np.isfinite(logits).all()
    assert np.isfinite(np.asarray(build(20, words=12)(empty[None]))).all()


def test_without_words_the_average_gives_its_biases():
    model = small(models.text_average)
    np.testing.assert_allclose(model(padded([[]], 12))[0], model.get_layer("logits").get_weights()[1], atol=1e-6)


def test_the_average_is_that_of_the_words():
    model = small(models.text_average)
    (vectors,), (kernel, bias) = model.get_layer("embeddings").get_weights(), model.get_layer("logits").get_weights()
    rows = texts(12)
    expected = [vectors[row].mean(axis=0) @ kernel + bias for row in rows]
    np.testing.assert_allclose(model(padded(rows, 12)), expected, rtol=1e-4, atol=1e-4)


@each
def test_padding_is_ignored(build):
    """More zeros after a text change nothing; the convolution, three words wide, has looked past the text's end after two of them."""
    rows = texts(12 - 2)
    logits = [np.asarray(small(build, words)(padded(rows, words))) for words in (12, 13, 30)]
    np.testing.assert_allclose(logits[1], logits[0], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(logits[2], logits[0], rtol=1e-5, atol=1e-5)
    assert np.ptp(logits[0], axis=0).min() > 0.1  # the texts differ


@each
def test_the_vector_of_no_word_is_never_read(build):
    model, rows = small(build), padded([*texts(12), []], 12)
    before = np.asarray(model(rows))
    layer = model.get_layer("embeddings")
    vectors = layer.get_weights()[0]
    vectors[0] += 100
    layer.set_weights([vectors])
    np.testing.assert_array_equal(model(rows), before)
    vectors[1:] *= 2
    layer.set_weights([vectors])
    assert not np.allclose(model(rows), before)


@each
def test_dropout_only_while_training(build):
    keras.utils.set_random_seed(0)
    plain, dropping, rows = small(build), small(build, dropout=0.5), padded(texts(12), 12)
    np.testing.assert_array_equal(dropping(rows), plain(rows))
    np.testing.assert_array_equal(dropping(rows, training=False), plain(rows))
    np.testing.assert_allclose(plain(rows, training=True), plain(rows), rtol=1e-5, atol=1e-5)
    assert np.abs(dropping(rows, training=True) - plain(rows)).max() > 0.1
    assert not np.allclose(dropping(rows, training=True), dropping(rows, training=True))


def test_dropout_takes_whole_words():
    """With a text of one word, half of the answers are those of a text without any, the others those of the doubled vector."""
    keras.utils.set_random_seed(0)
    model = small(models.text_average, dropout=0.5)
    (vectors,), (kernel, bias) = model.get_layer("embeddings").get_weights(), model.get_layer("logits").get_weights()
    answers = np.asarray(model(padded([[7]] * 200, 12), training=True))
    dropped = np.isclose(answers, bias, atol=1e-5).all(axis=1)
    kept = np.isclose(answers, 2 * vectors[7] @ kernel + bias, atol=1e-4).all(axis=1)
    assert (dropped | kept).all() and 50 < dropped.sum() < 150


def test_the_order_of_words_counts_where_it_should():
    rows = [texts(12, 1)[0][:1] + [2, 3, 4, 5, 6, 7]]
    turned = [rows[0][::-1]]
    for build, same in ((models.text_average, True), (models.text_cnn, False), (models.text_gru, False)):
        model = small(build)
        assert np.allclose(model(padded(rows, 12)), model(padded(turned, 12)), atol=1e-4) == same


def test_the_unrolled_copy_has_the_same_weights_and_answers():
    loop, unrolled, rows = small(models.text_gru), small(models.text_gru, unroll=True), padded([*texts(12), []], 12)
    assert [weights.shape for weights in loop.get_weights()] == [weights.shape for weights in unrolled.get_weights()]
    np.testing.assert_allclose(unrolled(rows), loop(rows), rtol=1e-5, atol=1e-5)


@each
def test_one_step_of_training_moves_every_weight(build):
    model = small(build, dropout=0.1)
    before = [weights.copy() for weights in model.get_weights()]
    model.compile(optimizer=keras.optimizers.SGD(0.1), loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    rows = padded(texts(12, 64), 12)
    model.fit(rows, rows[:, 0] % 5, verbose=0)
    assert all(np.abs(new - old).max() > 0 for new, old in zip(model.get_weights(), before, strict=True))


@each
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"vocabulary": 1e4}, "vocabulary must be an integer >= 1, got 10000.0"),
        ({"words": None}, "words must be an integer >= 1, got None"),
        ({"width": True}, "width must be an integer >= 1, got True"),
        ({"classes": 0}, "classes must be an integer >= 1, got 0"),
        ({"dropout": 1}, r"dropout must be one number in \[0, 1\), got 1"),
        ({"dropout": "0.1"}, r"dropout must be one number in \[0, 1\), got '0.1'"),
    ],
)
def test_bad_arguments_are_named(build, settings, message):
    with pytest.raises(ValueError, match=message):
        build(**{"classes": 5} | settings)


@pytest.mark.parametrize(("build", "argument"), [(models.text_cnn, "filters"), (models.text_gru, "units")])
def test_bad_sizes_of_one_builder(build, argument):
    with pytest.raises(ValueError, match=f"{argument} must be an integer >= 1, got 0"):
        build(5, **{argument: 0})

"""LiteRT's own quantizer: each recipe agrees with its source, ranges are the true ones, and bits change the layers that are named."""

import keras
import ml_dtypes
import numpy as np
import pytest
from zoo import cnn, examples, mobilenet_v2, randomized, text

from kdcourse import litert

X, _ = examples(300)  # more than one batch
RECIPES = list(litert.RECIPES)


@pytest.fixture(scope="module")
def source():
    """The float32 file of a network with two layers of many weights and a depthwise one."""
    keras.utils.set_random_seed(0)
    layers = keras.layers
    stack = [keras.Input((8, 8, 1)), layers.Conv2D(16, 3, activation="relu", name="conv1"), layers.BatchNormalization(name="norm1")]
    stack += [layers.DepthwiseConv2D(3, padding="same", name="depthwise1"), layers.Conv2D(24, 3, activation="relu", name="conv10")]
    stack += [layers.Flatten(), layers.Dense(40, activation="relu", name="hidden"), layers.Dense(3, name="logits")]
    return litert.to_tflite(randomized(keras.Sequential(stack)))


@pytest.fixture(scope="module")
def files(source):
    return {recipe: litert.quantized(source, recipe, X) for recipe in RECIPES}


def weights(tflite):
    """Return {layer: its weights, as they are stored}."""
    tensors = [tensor for tensor in litert.contents(tflite).tensors if tensor.data is not None and len(tensor.shape) > 1]
    named = {name: [tensor for tensor in tensors if f"/{name}_" in tensor.name] for name in LAYERS}
    return {name: found[0] for name, found in named.items() if found}


LAYERS = ["conv1", "depthwise1", "conv10", "hidden", "logits"]
KINDS = {"float16": np.float16, "weight_int4": ml_dtypes.int4, "dynamic_int4": ml_dtypes.int4}
# the largest difference to the float32 file, in shares of the largest answer: at least so much, at most so much
APART = {"float16": (1e-6, 2e-3), "weight_int8": (1e-4, 0.03), "weight_int4": (0.01, 0.4), "dynamic_int8": (1e-4, 0.06)}
APART |= {"dynamic_int4": (0.01, 0.4), "static_int8": (1e-4, 0.06), "static_int16x8": (1e-4, 0.03)}


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_answers_as_its_source_up_to_its_rounding(source, files, recipe):
    expected, found = litert.predict(source, X), litert.predict(files[recipe], X)
    least, most = APART[recipe]
    assert least <= np.abs(found - expected).max() / np.abs(expected).max() <= most <= litert.RECIPES[recipe].apart
    stored = weights(files[recipe])
    assert list(stored) == LAYERS
    for layer, tensor in stored.items():
        assert tensor.dtype == (np.int8 if layer == "depthwise1" and "int4" in recipe else KINDS.get(recipe, np.int8)), layer
        if recipe != "float16":
            assert len(tensor.scale) == tensor.shape[tensor.axis] and not tensor.zero_point.any(), "a scale for each output channel"


@pytest.mark.parametrize("recipe", [recipe for recipe in RECIPES if recipe != "float16"])
def test_the_numbers_that_are_stored_are_the_weights_on_their_grid(source, files, recipe):
    before = weights(source)
    for layer, tensor in weights(files[recipe]).items():
        scale = tensor.scale.reshape([-1 if axis == tensor.axis else 1 for axis in range(len(tensor.shape))])
        assert np.abs(tensor.data.astype(np.float64) * scale - before[layer].data).max() <= 0.501 * scale.max(), layer


def test_a_recipe_of_fewer_bits_is_a_smaller_file(source, files):
    size = {recipe: len(tflite) for recipe, tflite in files.items()}
    assert len(source) > size["float16"] > size["static_int16x8"] > size["static_int8"]
    assert size["float16"] > size["weight_int8"] > size["dynamic_int8"] > size["dynamic_int4"]
    assert size["weight_int8"] > size["weight_int4"]
    count = sum(tensor.data.size for tensor in weights(source).values())
    for recipe, bits in {"float16": 16, "weight_int8": 8, "static_int8": 8, "weight_int4": 4}.items():
        assert bits / 8 * count < size[recipe] < bits / 8 * count + 10_000, recipe


def test_what_lies_between_the_layers(files):
    for recipe, kind in {"static_int8": np.int8, "static_int16x8": np.int16, "dynamic_int8": np.float32, "weight_int4": np.float32}.items():
        loaded = litert.interpreter(files[recipe])
        given, answer = loaded.get_input_details()[0], loaded.get_output_details()[0]
        assert given["dtype"] == answer["dtype"] == kind


def test_the_range_of_an_activation_is_that_of_all_examples(source, files):
    """The quantizer's own calibration would forget the one example that is five times as large: it averages."""
    outlier = X.copy()
    outlier[7] *= 5
    every = litert.every_tensor(source, outlier)
    numbers = {tensor.name: number for number, tensor in enumerate(litert.contents(source).tensors)}
    compared = 0
    for tensor in litert.contents(litert.quantized(source, "static_int8", outlier)).tensors:
        if tensor.data is None and tensor.dtype == np.int8 and tensor.name in numbers:
            seen = every[numbers[tensor.name]]
            low, high = min(0.0, float(seen.min())), max(0.0, float(seen.max()))
            if tensor.name.startswith("serving_default") or "hidden" in tensor.name:
                assert tensor.scale[0] == pytest.approx((high - low) / 255, rel=1e-3)
                compared += 1
    assert compared == 2


def test_bits_change_the_layers_that_are_named_only(source, files):
    plain = weights(files["dynamic_int8"])
    mixed = litert.quantized(source, "dynamic_int8", bits={"conv1": 4, "hid.*": 4})
    for layer, tensor in weights(mixed).items():
        assert tensor.dtype == (ml_dtypes.int4 if layer in ("conv1", "hidden") else np.int8), "conv10 is not conv1"
        if tensor.dtype == np.int8:
            np.testing.assert_array_equal(tensor.data, plain[layer].data)
    few = plain["conv1"].data.size + plain["hidden"].data.size
    assert abs(len(files["dynamic_int8"]) - few / 2 - len(mixed)) < 100
    assert np.abs(litert.predict(mixed, X) - litert.predict(files["dynamic_int8"], X)).max() > 0


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_recipe_takes_other_bits_and_the_later_pattern_counts(source, recipe):
    stored = weights(litert.quantized(source, recipe, X, {".*": 8, "logits": 4, "conv10": 4, "conv1.*": 8}))
    assert [tensor.dtype for tensor in stored.values()] == [*[np.int8] * 4, ml_dtypes.int4]


def test_a_pattern_may_be_the_name_of_a_tensor(source, files):
    whole = litert.quantized(source, "weight_int8", bits={weights(source)["hidden"].name: 4})
    assert whole == litert.quantized(source, "weight_int8", bits={"hidden": 4}) != files["weight_int8"]


def test_words_and_a_block_with_an_addition():
    reader = litert.to_tflite(text(vocabulary=600, width=32))
    numbers = np.random.default_rng(0).integers(0, 600, (30, 7))
    expected = litert.predict(reader, numbers)
    for recipe in ("dynamic_int8", "static_int8"):
        found = litert.predict(litert.quantized(reader, recipe, numbers), numbers)
        assert np.abs(found - expected).max() < 0.05 * np.abs(expected).max()
    block = litert.to_tflite(randomized(mobilenet_v2()))
    images = np.random.default_rng(0).random((40, 8, 8, 2), np.float32)
    found, expected = litert.predict(litert.quantized(block, "static_int8", images), images), litert.predict(block, images)
    assert np.abs(found - expected).max() < 0.1 * np.abs(expected).max()


def test_without_examples_words_of_the_whole_vocabulary_are_tried(monkeypatch):
    reader, right, seen = litert.to_tflite(text(vocabulary=600, width=32)), litert.predict, []
    monkeypatch.setattr(litert, "predict", lambda tflite, inputs: seen.append(inputs) or right(tflite, inputs))
    litert.quantized(reader, "weight_int8")
    assert 300 < seen[0].max() < 600


# what is refused


def test_a_file_that_disagrees_is_refused_with_the_figure(source, monkeypatch):
    right = litert.predict
    monkeypatch.setattr(litert, "predict", lambda tflite, inputs: right(tflite, inputs) * (1 if tflite == source else 1.2))
    with pytest.raises(RuntimeError, match="the dynamic_int8 file must agree with the float32 file to .*, but its answers differ by"):
        litert.quantized(source, "dynamic_int8")
    litert.quantized(source, "dynamic_int8", bits={"logits": 4})  # 4 bits may differ by more


def test_a_fault_of_the_quantizer_is_told_in_one_sentence(source, monkeypatch):
    def fails(*_):
        raise KeyError("a tensor is missing\nand more")

    monkeypatch.setattr(litert, "_by_recipe", fails)
    with pytest.raises(RuntimeError, match="tflite cannot be quantized to weight_int8: 'a tensor is missing"):
        litert.quantized(source, "weight_int8")


BAD = [
    (("int8",), "recipe must be one of float16, weight_int8, .*, got 'int8'"),
    (("static_int8",), "examples must be given for static_int8: they tell the range of every activation, got None"),
    (("static_int16x8", X[:0]), r"examples must have shape \(examples, 8, 8, 1\), examples at least 1, got shape \(0, 8, 8, 1\)"),
    (("static_int8", X[..., 0]), r"examples must have shape \(examples, 8, 8, 1\), got shape \(300, 8, 8\)"),
    (("weight_int8", np.where(X > 0.9, np.nan, X)), "examples must be finite, got NaN or infinity"),
    (("weight_int8", None, {"conv1": 3}), "bits must be 4 or 8 for each pattern, got 3 for 'conv1'"),
    (("weight_int8", None, {"conv1": True}), "bits must be 4 or 8 for each pattern, got True for 'conv1'"),
    (
        ("weight_int8", None, {"conv": 4}),
        "bits must be for layers with weights, which are conv1, depthwise1, conv10, hidden, logits, got 'conv'",
    ),
    (("weight_int8", None, {"(": 4}), r"bits must be {regular expression: 4 or 8}, got '\('"),
    (("weight_int8", None, ["conv1"]), r"bits must be {pattern of a layer's name: 4 or 8}, got \['conv1'\]"),
    (("static_int8", X, {"depth.*": 4}), "bits must be 8 for depthwise1, a DEPTHWISE_CONV_2D without another routine, got 4 for 'depth.*'"),
]


@pytest.mark.parametrize(("given", "message"), BAD)
def test_bad_input_is_named_in_one_sentence(source, given, message):
    with pytest.raises(ValueError, match=message):
        litert.quantized(source, *given)


def test_a_file_that_is_no_source(files):
    with pytest.raises(ValueError, match="tflite must be a file of float32 weights, quantized by nobody, got int8 in "):
        litert.quantized(files["static_int8"], "dynamic_int8")
    with pytest.raises(ValueError, match="tflite must be a file of float32 weights, quantized by nobody, got float16 in "):
        litert.quantized(files["float16"], "dynamic_int8")
    with pytest.raises(ValueError, match="tflite must be the bytes of a .tflite file, got 4 bytes that LiteRT refuses"):
        litert.quantized(b"TFL3", "float16")


def test_nothing_is_said(source, capfd):
    litert.quantized(source, "static_int8", X[:20])
    assert capfd.readouterr() == ("", "")


def weights_of(tflite):
    return [tensor for tensor in litert.contents(tflite).tensors if tensor.data is not None and tensor.dtype == np.int8]


def test_the_converter_and_the_quantizer_agree():
    """Two makers of full int8: the same scales, so answers that differ by a few roundings."""
    model = randomized(cnn())
    ours, theirs = litert.quantized(litert.to_tflite(model), "static_int8", X), litert.to_tflite(model, "int8", X)
    found, expected = litert.predict(ours, X), litert.predict(theirs, X)
    assert np.abs(found - expected).max() < 0.05 * np.abs(expected).max()
    scales = [np.concatenate([tensor.scale for tensor in weights_of(file)]) for file in (ours, theirs)]
    np.testing.assert_allclose(np.sort(scales[0]), np.sort(scales[1]), rtol=1e-4)

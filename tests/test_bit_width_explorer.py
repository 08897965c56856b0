"""The bit-width explorer's Python side: what it sends to the page, and how it refuses what it cannot show."""

import base64

import numpy as np
import pytest
from explorers import loads_nothing_heavy, refuses, refuses_traits

from kdcourse.quantization import recorded
from kdcourse.widgets import BitWidthExplorer
from kdcourse.widgets.bit_width_explorer import MOST_OUTPUTS, MOST_WEIGHTS

RNG = np.random.default_rng(0)
LAYERS = {"conv1": RNG.normal(size=(3, 3, 2, 4)).astype(np.float32), "logits": RNG.normal(size=(7, 5)).astype(np.float32)}
RIGHT = {scope: RNG.integers(0, 101, (15, 2, 2, 2)) for scope in ("all layers", *LAYERS)}
RECORD = recorded.Accuracies("test", 100, 98, (100, 50), RIGHT)


def explorer(**changes):
    return BitWidthExplorer(**{"layers": LAYERS, "accuracies": RECORD} | changes)


def rows(sent) -> np.ndarray:
    return np.frombuffer(base64.b64decode(sent["weights"]), "<f4").reshape(-1, sent["inputs"])


def test_state_holds_what_was_given():
    state = explorer(bits=4, layer="logits", symmetric=np.False_, per="tensor", clip=62.5, output=3).get_state()
    traits = ("bits", "layer", "symmetric", "per", "clip", "output")
    assert [state[trait] for trait in traits] == [4, "logits", False, "tensor", 62.5, 3]
    conv, logits = state["layers"]
    np.testing.assert_array_equal(rows(conv), LAYERS["conv1"].reshape(18, 4).T)
    np.testing.assert_array_equal(rows(logits), LAYERS["logits"].T)
    assert (conv["all_outputs"], conv["outputs"]) == (4, [0, 1, 2, 3])
    assert conv["range"] == [LAYERS["conv1"].min(), LAYERS["conv1"].max()]
    assert state["accuracies"]["right"]["conv1"] == RIGHT["conv1"].tolist()
    assert (state["accuracies"]["images"], state["accuracies"]["unrounded"], state["accuracies"]["clips"]) == (100, 98, [100, 50])


def test_it_starts_at_8_bits_of_the_first_layer():
    shown = BitWidthExplorer({"a": LAYERS["conv1"], "b": LAYERS["logits"]})
    assert (shown.layer, shown.bits, shown.symmetric, shown.per, shown.clip, shown.accuracies) == ("a", 8, True, "channel", 100.0, None)
    assert "run this cell" in repr(shown)


def test_of_a_large_layer_some_outputs_are_sent_and_the_range_of_all():
    weights = RNG.normal(size=(600, 96)).astype(np.float32)
    weights[5, 1] = 9  # in an output that is left out
    (many,) = BitWidthExplorer({"dense1": weights}).layers
    assert len(many["outputs"]) == MOST_WEIGHTS // 600 and many["outputs"][0] == 0 and many["outputs"][-1] == 95
    assert (many["all_outputs"], many["range"][1]) == (96, 9.0)
    np.testing.assert_array_equal(rows(many), weights.T[many["outputs"]])
    (wide,) = BitWidthExplorer({"wide": np.ones((2, 500))}).layers
    assert len(wide["outputs"]) == MOST_OUTPUTS == len(set(wide["outputs"]))


NAN = np.where(np.arange(35).reshape(7, 5) == 3, np.nan, 1)
BAD = [
    ({"layers": {}}, "layers must be {name: weights} with at least one layer, got {}"),
    ({"layers": [1]}, "layers must be {name: weights}"),
    ({"layers": {"bias": np.ones(3)}}, "layers['bias'] must be weights of shape (..., outputs), some of them not 0, got shape (3,)"),
    ({"layers": {"cut": np.zeros((2, 3))}}, "layers['cut'] must be weights ... not 0"),
    ({"layers": {"conv1": NAN}}, "layers['conv1'] must be finite"),
    ({"layers": {"big": np.ones((6001, 2))}}, "layers['big'] must be an array with at most 6,000 weights for each output, got 6,001"),
    ({"accuracies": 0.98}, "accuracies must be what quantization.recorded.load_accuracies returns, got 0.98"),
    ({"accuracies": RECORD._replace(right={"conv1": np.zeros((15, 2, 2, 7), int)})}, "accuracies.right['conv1'] must ... (15, 2, 2, 2)"),
    ({"accuracies": RECORD._replace(images=50)}, "accuracies.right['all layers'] must be counts of 50 images, got values from"),
    ({"bits": 1}, "bits must be an integer in 2..16, got 1"),
    ({"bits": 8.0}, "bits must ... got 8.0"),
    ({"layer": "dense1"}, "layer must be one of conv1, logits, got 'dense1'"),
    ({"symmetric": 1}, "symmetric must be True or False, got 1"),
    ({"per": 32}, "per must be one of tensor, channel, got 32"),
    ({"clip": 10}, "clip must be one number in [20, 100], got 10"),
    ({"clip": float("nan")}, "clip must ... got nan"),
]


@pytest.mark.parametrize(("change", "message"), BAD)
def test_bad_input_is_one_clear_sentence(change, message):
    refuses(message, explorer, **change)


def test_bad_traits_are_refused_and_the_old_value_stays():
    cases = [("bits", 17, "bits must ... got 17"), ("layer", "", "layer must"), ("per", "group", "per must"), ("clip", 101, "clip must")]
    refuses_traits(explorer(), [*cases, ("output", -1, "output must")])


def test_using_it_loads_nothing_heavy():
    assert loads_nothing_heavy("bits")

"""The recorded answers of a network with rounded weights: they can be read without the network, and repeated with it."""

import bit_widths
import numpy as np
import pytest

from kdcourse import models
from kdcourse.quantization import affine, recorded

NAME = "mnist-5k-phone"


@pytest.mark.parametrize("split", recorded.SPLITS)
def test_a_record_is_whole(split):
    record = recorded.load_accuracies(NAME, split)
    assert (record.split, record.images, record.clips) == (split, 1000, bit_widths.CLIPS)
    assert record.unrounded == 1000 - models.provenance(NAME)["errors"][split]
    assert list(record.right) == ["all layers", "conv1", "conv2", "conv3", "dense1", "logits"]
    for counts in record.right.values():
        assert counts.shape == (15, 2, 2, 7) and counts.min() >= 0 and counts.max() <= 1000
        assert (np.abs(counts[-1, :, :, 0] - record.unrounded) <= 5).all()  # 16 bits of the whole range change next to nothing


def test_it_says_how_it_was_made():
    made = recorded.provenance()
    assert made["licence"].startswith("CC BY 4.0") and made["command"] == f"python tools/bit_widths.py {NAME}"
    assert {"versions", "date", "cpu", "data"} <= set(made) and made["layers"]["dense1"] == [576, 96]
    assert recorded.names() == [NAME]


@pytest.mark.slow
def test_one_cell_of_each_scope_is_found_again():
    net = bit_widths.network(NAME)
    assert {name: list(weights.shape) for name, weights in net.weights.items()} == recorded.provenance()["layers"]
    scopes, records = (
        {recorded.ALL_LAYERS: list(net.layers), "conv2": ["conv2"]},
        [recorded.load_accuracies(NAME, s) for s in recorded.SPLITS],
    )
    for scope, layers in scopes.items():
        for bits, symmetric, per, clip in ((4, False, "tensor", 80), (3, True, "channel", 100)):
            grids = {name: recorded.clipped_grid(net.weights[name], bits, clip=clip, symmetric=symmetric, per=per) for name in layers}
            rounded = {name: affine.dequantize(affine.quantize(net.weights[name], grid), grid) for name, grid in grids.items()}
            at = bits - 2, int(symmetric), recorded.PER.index(per), bit_widths.CLIPS.index(clip)
            assert np.abs(np.subtract(net.right_with(rounded), [record.right[scope][at] for record in records])).max() <= 5
    assert net.right_with({}) == [record.unrounded for record in records]  # the weights are back where they were


def test_every_cell_is_counted_in_its_place():
    """A stand-in for the network: it tells bits and scale of what it was given."""
    weights = {"a": np.array([[1.0, 100.0], [-0.4, 60.0]]), "b": np.array([[1.0], [3.0]])}

    def right_with(rounded):
        return [len(rounded), sum(len(np.unique(values)) for values in rounded.values())]

    counts = recorded.count_right(weights, right_with, {"all layers": ["a", "b"], "b": ["b"]}, (100, 50))
    assert {scope: array.shape for scope, array in counts.items()} == dict.fromkeys(("all layers", "b"), (15, 2, 2, 2, 2))
    assert (counts["all layers"][..., 0] == 2).all() and (counts["b"][..., 0] == 1).all()
    for at, found in np.ndenumerate(counts["b"][..., 1]):
        grid = recorded.clipped_grid(weights["b"], at[0] + 2, symmetric=bool(at[1]), per=recorded.PER[at[2]], clip=(100, 50)[at[3]])
        assert found == len(np.unique(affine.quantize(weights["b"], grid)))


@pytest.mark.parametrize("symmetric", [True, False])
def test_a_clip_scales_the_range(symmetric):
    values = np.random.default_rng(0).normal(size=(50, 3))
    whole = affine.find_grid(values, 8, symmetric=symmetric, per="channel")
    half = recorded.clipped_grid(values, 8, clip=50, symmetric=symmetric, per="channel")
    np.testing.assert_allclose(half.scale, whole.scale / 2, rtol=1e-12)
    assert (half.zero_point == whole.zero_point).all()
    same = recorded.clipped_grid(values, 8, symmetric=symmetric, per="channel")
    assert (same.scale == whole.scale).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: recorded.load_accuracies("resnet"), "name must be one of mnist-5k-phone, got 'resnet'"),
        (lambda: recorded.load_accuracies(split="train"), "split must be one of validation, test, got 'train'"),
        (lambda: recorded.clipped_grid(np.ones((2, 2)), 8, clip=0), r"clip must be one number in \(0, 100\], per cent of the range, got 0"),
        (lambda: recorded.clipped_grid(np.ones((2, 2)), 17), "bits must be an integer in 2..16, got 17"),
    ],
)
def test_bad_input_is_one_clear_sentence(call, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        call()


def test_the_times_of_two_processors_say_what_the_page_says():
    """Recorded, not measured here: int8 takes less than half of float32's time on one processor, and more than float32 on the other."""
    times = recorded.load_times()
    slow, fast = times["Intel(R) Xeon(R) Processor"], times["AMD EPYC"]
    assert slow["dot_product"] and fast["dot_product"]
    assert slow["files"]["converter int8"] > slow["files"]["float32"] and fast["files"]["converter int8"] < fast["files"]["float32"] / 2
    assert slow["parts"]["first"]["int8"] > 5 * slow["parts"]["first"]["float32"]
    for of_one in times.values():
        assert min(of_one["files"].values()) > 0 and max(of_one["files"], key=of_one["files"].get).endswith("int16x8")
        assert of_one["parts"]["rest"]["int8"] < of_one["parts"]["rest"]["float32"] / 2
    with pytest.raises(ValueError, match="name must be one of"):
        recorded.load_times("mnist")

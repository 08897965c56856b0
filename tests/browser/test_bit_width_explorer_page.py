"""The bit-width explorer in a bare page, without a kernel: its numbers are those of kdcourse.quantization."""

import numpy as np
import pytest
from browser import show
from explorers import numbers, put

from kdcourse.quantization import dequantize, quantize, recorded, sqnr, stored_bits
from kdcourse.widgets import BitWidthExplorer

pytestmark = pytest.mark.browser

RNG = np.random.default_rng(3)
HALVES = np.array(
    [[7, 7], [-7, 6.5], [-4.5, -5.5], [0.5, 1.5], [2.5, -1.5], [-3.5, 4.5]]
)  # half-way between the values of a grid of 4 bits
LAYERS = {
    "conv": (RNG.normal(size=(3, 3, 4, 8)) * np.geomspace(0.01, 1, 8)).astype(np.float32),
    "positive": RNG.uniform(0.1, 2, (9, 5)).astype(np.float32),
    "halves": HALVES.astype(np.float32),
    "large": RNG.standard_t(3, size=(400, 96)).astype(np.float32),  # more than is sent
}
LAYERS["positive"][:, 2] = 0  # an output that is all 0
CLIPS = (100, 70, 40)
RIGHT = {scope: RNG.integers(0, 1001, (15, 2, 2, 3)) for scope in ("all layers", "conv", "large")}
RECORD = recorded.Accuracies("test", 1000, 978, CLIPS, RIGHT)


@pytest.fixture(scope="module")
def explorer():
    return BitWidthExplorer(LAYERS, RECORD)


def sent(explorer, layer) -> list[int]:
    return next(one["outputs"] for one in explorer.layers if one["name"] == layer)


def expected(explorer, layer, bits, symmetric, per, clip, at):
    """Return what the package says of the outputs that were sent."""
    weights, outputs = LAYERS[layer], sent(explorer, layer)
    grid = recorded.clipped_grid(weights, bits, clip=clip, symmetric=symmetric, per=per)
    integers = quantize(weights, grid)
    back = dequantize(integers, grid)
    off = np.abs(weights.astype(float) - back)
    row, output = (0 if per == "tensor" else outputs[at]), outputs[at]
    mine = weights[..., output]
    return {
        "scale": grid.scale[row, 0],
        "zero_point": grid.zero_point[row, 0],
        "largest_error": off[..., outputs].max(),
        "sqnr": sqnr(weights[..., outputs], back[..., outputs]),
        "output_largest_error": off[..., output].max(),
        "output_sqnr": sqnr(mine, back[..., output]) if mine.any() else np.inf,
        "output_sum": integers[..., output].sum(dtype=int),
        "stored_bits": stored_bits(weights, bits, per, symmetric=symmetric),
    }


@pytest.mark.parametrize("layer", LAYERS)
def test_the_numbers_are_the_packages(page, explorer, layer):
    show(page, explorer)
    put(page, layer=layer)
    outputs = sent(explorer, layer)
    for i, bits in enumerate([2, 3, 4, 5, 8, 12, 16]):
        for symmetric in (True, False):
            for per in ("channel", "tensor"):
                clip, at = [100, 83, 20, 55.5][(i + symmetric) % 4], (i + 2 * symmetric) % len(outputs)
                put(page, bits=bits, symmetric=symmetric, per=per, clip=clip, output=outputs[at])
                shown = numbers(page)
                for name, value in expected(explorer, layer, bits, symmetric, per, clip, at).items():
                    got = np.inf if shown[name] is None else shown[name]
                    np.testing.assert_allclose(got, value, rtol=1e-6, atol=1e-12, err_msg=f"{name} at {bits} {symmetric} {per} {clip}")


def test_half_way_numbers_go_to_the_even_integer(page, explorer):
    show(page, explorer)
    put(page, layer="halves", bits=4, per="tensor")
    for output in (0, 1):
        put(page, output=output)
        assert numbers(page)["output_sum"] == np.rint(HALVES[:, output]).sum() != np.floor(HALVES[:, output] + 0.5).sum()
    assert numbers(page)["scale"] == 1 and numbers(page)["largest_error"] == 0.5
    stairs = page.locator("path.kd-bw-step").get_attribute("d")
    assert stairs.count("H") == 15  # steps of the 15 values


def test_weights_outside_the_grid_are_counted(page, explorer):
    show(page, explorer)
    put(page, layer="conv", bits=8, per="channel")
    assert numbers(page)["cut"] == 0
    put(page, clip=50)
    weights = LAYERS["conv"].reshape(-1, 8).astype(float)
    half = np.abs(weights).max(0) / 2
    assert numbers(page)["cut"] == (np.rint(np.abs(weights) / (half / 127)) > 127).sum() > 0


def test_the_record_is_told_and_where_it_ends(page, explorer):
    show(page, explorer)
    line = page.locator(".kd-says span").nth(2)
    put(page, bits=4, symmetric=False, per="tensor", clip=70)
    everywhere, alone = (RIGHT[scope][2, 0, 0, 1] for scope in ("all layers", "conv"))
    told = f"ll layers so: {everywhere / 10:.1f}% of 1,000 test images; conv alone so: {alone / 10:.1f}%; float32: 97.8%."
    assert line.inner_text() == f"A{told}"
    assert numbers(page)["right"] == [everywhere, alone] and page.locator(".kd-bw-accuracy h4").inner_text().endswith("at 70% of the range")
    put(page, clip=55.5)
    assert line.inner_text() == f"At 70%, the nearest recorded: a{told}" and numbers(page)["recorded_clip"] == 70
    put(page, clip=55)  # as near to 40 as to 70
    assert numbers(page)["recorded_clip"] == 70
    put(page, clip=54)
    assert numbers(page)["recorded_clip"] == 40
    put(page, layer="positive")
    assert "positive alone so: not recorded;" in line.inner_text()


def test_without_a_record_nothing_is_told_of_accuracy(page):
    show(page, BitWidthExplorer({"conv": LAYERS["conv"]}))
    assert page.locator(".kd-says span").count() == 2 and "ccuracy" not in page.locator(".kd").inner_text()
    assert "right" not in numbers(page)


def test_words_and_picture_follow_the_choice(page, explorer):
    show(page, explorer)
    put(page, layer="large", bits=3, symmetric=False, per="channel", output=47)
    weights, text = LAYERS["large"], page.locator(".kd").inner_text()
    nearest = min(sent(explorer, "large"), key=lambda one: abs(one - 47))  # 47 was not sent
    used = stored_bits(weights, 3, "channel", symmetric=False) // 8
    assert f"It takes {used:,} bytes, {weights.size * 4 / used:.0f} times fewer than float32." in text
    assert f"Bytes: {weights.size * 3 // 8:,} of weights, 384 of scales (32 bits each), 36 of zero points." in text
    assert f"The page has {len(sent(explorer, 'large'))} of 96 outputs of large" in text
    assert f"Grid of output {nearest}: 8 values, scale" in text and numbers(page)["output"] == nearest
    assert page.locator("path.kd-bw-tick").get_attribute("d").count("M") == 8
    put(page, bits=16, per="tensor")
    assert "Grid of large: 65,536 values" in page.locator("h4").first.inner_text()
    assert page.locator("path.kd-bw-close").count() == 1  # ticks that would touch are a band
    picture = page.locator("[role=img]").first.get_attribute("aria-label")
    assert picture.startswith("Weights of large from −") and "the 65,536 values of the grid of large" in picture

"""The bit-width explorer: a real layer's weights on a grid of 2 to 16 bits, what that costs and what it saves.

All is computed in the page (bit_width_explorer.js), so the widget is live without a kernel; its numbers are held against
`kdcourse.quantization` by tests/browser. The network's accuracy comes from a record.
"""

import base64
from collections.abc import Mapping

import numpy as np
import traitlets

from kdcourse import checks
from kdcourse.quantization import affine, recorded

from ._page import Checked, Explorer, named, page

MOST_OUTPUTS = 64
MOST_WEIGHTS = 6_000  # of a layer, sent to the page: 32 kB of text; a notebook stores them
LEAST_CLIP = 20


class BitWidthExplorer(Explorer):
    """Choose bits and a grid for a layer's weights, and see the staircase, the errors, the bytes and the network's recorded accuracy.

    Of a layer with more than 64 outputs or 6,000 weights a part of the outputs is sent to the page, evenly spread. Its errors are then
    those of that part; its grids and its bytes stay those of the whole layer. The page says so.

    Args:
        layers: ``{name: weights}``, shape ``(..., outputs)`` as Keras keeps those of a convolution or of a fully connected layer; float32
            is what is rounded.
        accuracies: what `quantization.recorded.load_accuracies` returns; None shows no accuracy.
        bits: where its slider starts, in 2..16.
        layer: the layer shown at first; None takes the first.
        symmetric: whether the grid's zero point is 0.
        per: "channel" gives each output a grid of its own, "tensor" gives one to the layer.
        clip: where its slider starts, in 20..100: per cent of the min-max range that the grid spans; what lies outside is cut.

    The traits `bits`, `layer`, `symmetric`, `per`, `clip` and `output` (the output drawn; where it was not sent, the nearest) can be
    read, set and observed like those of any other widget.

    Raises:
        ValueError: no layers, weights that are not finite, all 0, of fewer than 2 axes, or more than 6,000 for each output; an accuracy of
            another kind; bits, clip, layer or per out of range. The sentence names the layer.
    """

    _esm, _css = page("_sparsity", "bit_width_explorer")

    layers = traitlets.List(traitlets.Dict()).tag(sync=True)
    accuracies = traitlets.Dict(allow_none=True, default_value=None).tag(sync=True)
    bits = Checked(8, checks.whole, affine.LEAST_BITS, affine.MOST_BITS)
    layer = Checked("", checks.choice, lambda explorer: [layer["name"] for layer in explorer.layers])
    symmetric = traitlets.Bool(True).tag(sync=True)
    per = Checked("channel", checks.choice, recorded.PER)
    clip = Checked(100.0, checks.number, LEAST_CLIP, 100)
    output = Checked(0, checks.whole, 0)

    def __init__(self, layers, accuracies=None, *, bits=8, layer=None, symmetric=True, per="channel", clip=100.0, **traits):
        """Check everything first; `traits` are checked by themselves."""
        if not isinstance(layers, Mapping) or not layers:
            checks.refuse("layers", "{name: weights} with at least one layer", checks.shown(layers))
        sent = [_sent(name, weights) for name, weights in zip(named("the names of layers", layers), layers.values(), strict=True)]
        if not isinstance(symmetric, bool | np.bool_):
            checks.refuse("symmetric", "True or False", checks.shown(symmetric))
        traits |= {"bits": bits, "layer": sent[0]["name"] if layer is None else layer}
        traits |= {"symmetric": bool(symmetric), "per": per, "clip": clip}
        super().__init__(layers=sent, accuracies=None if accuracies is None else _checked(accuracies), **traits)

    def __repr__(self):
        """Say what stands here, for places that show no widgets, such as a notebook's preview."""
        return "A layer's weights on grids of 2 to 16 bits: run this cell in JupyterLab, Colab or Binder, and move its sliders."


def _sent(name: str, weights) -> dict:
    """Return what the page needs of a layer: the weights of its outputs in rows, float32 as base64, and what the whole layer is like."""
    what = f"layers[{name!r}]"
    weights = checks.array(what, weights, ("inputs", ...), dtype=np.float32)
    if weights.ndim < 2 or not weights.any():
        checks.refuse(what, "weights of shape (..., outputs), some of them not 0", f"shape {weights.shape}")
    rows = affine.rows_of(weights, "channel", what)  # (outputs, inputs)
    outputs, inputs = rows.shape
    if inputs > MOST_WEIGHTS:
        checks.refuse(what, f"an array with at most {MOST_WEIGHTS:,} weights for each output", f"{inputs:,}")
    some = np.linspace(0, outputs - 1, min(outputs, MOST_OUTPUTS, MOST_WEIGHTS // inputs)).round().astype(int)
    return {
        "name": name,
        "inputs": inputs,
        "all_outputs": outputs,
        "outputs": some.tolist(),
        "range": [float(rows.min()), float(rows.max())],  # of the whole layer
        "weights": base64.b64encode(rows[some].astype("<f4").tobytes()).decode(),
    }


def _checked(accuracies) -> dict:
    """Return a record as the page reads it."""
    if not isinstance(accuracies, recorded.Accuracies):
        checks.refuse("accuracies", "what quantization.recorded.load_accuracies returns", checks.shown(accuracies))
    images = checks.whole("accuracies.images", accuracies.images)
    clips = [checks.number("accuracies.clips", clip, 0, 100, open_low=True) for clip in accuracies.clips]
    shape = len(recorded.BITS), len(recorded.SYMMETRIC), len(recorded.PER), len(clips)
    right = {}
    for scope, counts in accuracies.right.items():
        what = f"accuracies.right[{scope!r}]"
        counts = checks.array(what, counts, shape, kind="integers")
        if counts.min() < 0 or counts.max() > images:
            checks.refuse(what, f"counts of {images:,} images", f"values from {counts.min()} to {counts.max()}")
        right[scope] = counts.tolist()
    unrounded = checks.whole("accuracies.unrounded", accuracies.unrounded, 0, images)
    return {"split": str(accuracies.split), "images": images, "unrounded": unrounded, "clips": clips, "right": right}

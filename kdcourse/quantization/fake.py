"""Fake quantization: a network that computes in floats as if it were quantized, so that it can be trained for that.

Rounding has the slope 0 nearly everywhere, so no gradient would come through. The **straight-through estimator** lets the gradient pass as
if nothing had been rounded (Bengio, Leonard & Courville 2013). Between x and its integer lies ``x / scale``, cut at the ends of the grid:
outside the grid no gradient passes to x. The same line gives the scale the gradient of learned step size quantization (LSQ, Esser et al.
2020), so a scale can be learned, too.

Source: Jacob et al. 2018, section 3; Esser et al. 2020, "Learned Step Size Quantization".
"""

import functools
from collections.abc import Mapping

import numpy as np

from kdcourse import checks
from kdcourse.anatomy import calls

from .affine import checked_bits, find_grid
from .folding import as_graph, plain

ACTIVATIONS = ("ReLU", "Activation", "LeakyReLU", "ELU")
KEEP_THE_GRID = ("MaxPooling1D", "MaxPooling2D", "Flatten", "Reshape", "Dropout", "InputLayer", "BatchNormalization")
INPUT = "the input"
BATCH = 256
WITH_WEIGHTS = ("Dense", "Conv1D", "Conv2D", "DepthwiseConv2D")


def fake_quantized(x, scale, zero_point, low: int, high: int):
    """Return x on the grid, in floats; the gradient passes straight through the rounding, to x and to `scale`.

    Args:
        x: a tensor.
        scale, zero_point: numbers, or tensors that go with `x`.
        low, high: the ends of the grid, integers.
    """
    from keras import ops

    cut = ops.clip(x / scale + zero_point, low, high)
    on_grid = cut + ops.stop_gradient(ops.round(cut) - cut)  # the value is rounded, the gradient is that of `cut`
    return scale * (on_grid - zero_point)


def with_fake_quantization(
    model,
    weight_bits,
    activation_bits: int | None = None,
    *,
    examples=None,
    per: str = "channel",
    weight_method: str = "minmax",
    method: str = "minmax",
    learn_scales: bool = False,
):
    """Return a functional copy of a Keras 3 model that rounds its weights and activations as a quantized one does; it can be trained.

    Weights are on symmetric grids, as LiteRT wants them. Activations are on affine grids with one scale each: the input, and what a layer
    gives after its activation function. Max pooling, Flatten, Reshape and Dropout keep the grid of what they read. Biases stay floats; a
    phone keeps them in 32 bits. As it is returned, the copy is a post-training quantization (PTQ); trained on, it is quantization-aware
    training (QAT).

    The scales are those of the weights and examples as they are now. With `learn_scales` training moves them, else they stay.

    Args:
        model: Keras 3, Sequential or functional, without models inside; fold its BatchNormalizations first (`fold_batch_norms`).
        weight_bits: 2..16 for the weights of all layers of `WITH_WEIGHTS`; a dict ``{layer: bits}`` for some of them; None for floats.
        activation_bits: 2..16, or None for floats.
        examples: shape ``(examples, ...)``, which tell the range of every activation; only for `activation_bits`.
        per: "channel" or "tensor": which weights share a scale.
        weight_method, method: how the range of weights and of activations is found, see `affine.find_grid`.
        learn_scales: whether training moves the scales (LSQ).

    Raises:
        ValueError: bits outside 2..16, a layer that is not there, a model of another kind, a model inside; examples that are missing,
            empty, not finite or do not fit; an activation that is one number for all examples. The sentence names the layer.
    """
    keras = plain(model)
    bits_of = _bits_by_layer(model, weight_bits)
    checks.choice("per", per, ("channel", "tensor"))
    grids = {} if activation_bits is None else activation_grids(model, examples, activation_bits, method)
    FakeQuantize, twins = _layers()
    on_grid = {name: FakeQuantize.of(grid, learn_scales, name=name.replace(" ", "_") + "_grid") for name, grid in grids.items()}

    def twin(layer):
        if layer.name not in bits_of:
            return type(layer).from_config(layer.get_config())
        new = twins[type(layer).__name__].from_config(layer.get_config())
        new.fake = FakeQuantize.of(weight_grid(layer, bits_of[layer.name], per, weight_method), learn_scales, name="grid")
        return new

    def from_input(tensor):
        made_by = getattr(tensor, "_keras_history", (None,))[0]
        return on_grid[INPUT](tensor) if INPUT in on_grid and isinstance(made_by, keras.layers.InputLayer) else tensor

    def call(layer, *args, **kwargs):
        args = keras.tree.map_structure(from_input, args)
        answer = layer(*args, **kwargs)
        return on_grid[layer.name](answer) if layer.name in on_grid else answer

    copy = keras.models.clone_model(as_graph(model), clone_function=twin, call_function=call)
    for layer in model.layers:
        if layer.weights:
            new = copy.get_layer(layer.name)
            for variable, value in zip(new.weights, layer.get_weights(), strict=False):  # the scales come last
                variable.assign(value)
    return copy


def weight_grid(layer, bits: int, per: str = "channel", method: str = "minmax"):
    """Return the symmetric `affine.Grid` of a layer's weights; a depthwise layer has a channel for each pair of input and multiplier.

    Raises:
        ValueError: as `affine.find_grid`; the sentence names the layer.
    """
    return find_grid(_by_output(layer), bits, symmetric=True, per=per, method=method, name=f"the weights of {layer.name}")


def _by_output(layer) -> np.ndarray:
    weights = np.asarray(layer.kernel)
    return weights.reshape(*weights.shape[:-2], -1) if type(layer).__name__ == "DepthwiseConv2D" else weights


def activation_grids(model, examples, bits: int, method: str = "minmax", percentile: float = 99.9) -> dict:
    """Return {layer: affine `affine.Grid`, one scale} of the activations that are rounded; "the input" is the first.

    Args:
        model: as `with_fake_quantization`.
        examples: shape ``(examples, ...)``, as the model reads them.
        bits, method, percentile: as `affine.find_grid`.

    Raises:
        ValueError: bits, method or percentile that are out of range; examples that are missing, empty, not finite or do not fit; an
            activation that is one number for all examples.
    """
    keras = plain(model)
    checked_bits(bits, "activation_bits")
    checks.require(examples is not None, "examples must be given: they tell the range of every activation, got None")
    examples = checks.array("examples", examples, ("examples", *model.inputs[0].shape[1:]), dtype=np.float32)
    points = _points(model)
    taps = keras.Model(model.inputs[0], [tensor for _, tensor in points])
    parts = [[np.asarray(t) for t in taps(examples[i : i + BATCH], training=False)] for i in range(0, len(examples), BATCH)]
    grids = {}
    for (name, _), values in zip([(INPUT, None), *points], [[examples], *zip(*parts, strict=True)], strict=True):
        values = checks.finite(f"the activations of {name}", np.concatenate(values))
        if values.min() == values.max():
            checks.refuse("examples", f"such that the activations of {name} differ", f"{values.flat[0]:g} for all {len(examples)} of them")
        grids[name] = find_grid(values, bits, method=method, percentile=percentile, name=f"the activations of {name}")
    return grids


def _points(model) -> list[tuple[str, object]]:
    """Return (layer, its output) where an activation is rounded: not before an activation function, not where the grid stays the same."""
    nodes, read_by = list(calls(model)), {}
    for layer, node in nodes:
        for tensor in node.input_tensors:
            read_by.setdefault(id(tensor), []).append(type(layer).__name__)
    found = []
    for layer, node in nodes:
        (answer,), kind = node.outputs, type(layer).__name__
        readers = read_by.get(id(answer), [])
        fused = kind in WITH_WEIGHTS and readers and all(reader in ACTIVATIONS for reader in readers)
        if kind not in KEEP_THE_GRID and not fused:
            found.append((layer.name, answer))
    return found


def _bits_by_layer(model, weight_bits) -> dict[str, int]:
    named = [layer.name for layer in model.layers if type(layer).__name__ in WITH_WEIGHTS]
    if isinstance(weight_bits, Mapping):
        checks.names("weight_bits", weight_bits.keys(), named)
        return {name: checked_bits(bits, f"weight_bits[{name!r}]") for name, bits in weight_bits.items()}
    return {} if weight_bits is None else dict.fromkeys(named, checked_bits(weight_bits, "weight_bits"))


@functools.cache
def _layers():
    """Return (the layer that rounds, {kind: layer with weights that are rounded}); made late, because Keras is loaded late."""
    import keras

    @keras.saving.register_keras_serializable("kdcourse")
    class FakeQuantize(keras.layers.Layer):
        """Puts what it reads on a grid; the logarithm of the scale is its weight, so that a scale stays positive while it is learned."""

        def __init__(self, log_scale, zero_point, low, high, learned=False, **settings):
            super().__init__(**settings)
            self.settings = {"log_scale": log_scale, "zero_point": zero_point, "low": low, "high": high, "learned": learned}
            start = np.asarray(log_scale, np.float32)
            self.log_scale = self.add_weight(shape=start.shape, initializer="zeros", trainable=learned, name="log_scale")
            self.log_scale.assign(start)

        @classmethod
        def of(cls, grid, learned, **settings):
            one = len(grid.scale) == 1
            scale, zero = np.log(grid.scale[:, 0]).tolist(), int(grid.zero_point[0, 0])
            return cls(scale[0] if one else scale, zero, grid.low, grid.high, learned, **settings)

        def call(self, x):
            scale = keras.ops.exp(self.log_scale)
            if len(scale.shape) and len(x.shape) > 1:  # the weights of a depthwise layer: channels on two axes
                scale = keras.ops.reshape(scale, (-1,) if x.shape[-1] == scale.shape[0] else x.shape[-2:])
            s = self.settings
            return fake_quantized(x, scale, s["zero_point"], s["low"], s["high"])

        def get_config(self):
            return super().get_config() | self.settings

    def twin(kind):
        base = getattr(keras.layers, kind)
        of_base = base.__dict__.get("kernel") or getattr(base, "kernel", None)  # a property; a depthwise layer has an attribute
        read = of_base.fget if isinstance(of_base, property) else (lambda self: self.kept_kernel)

        def kernel(self):
            return read(self) if self.fake is None else self.fake(read(self))

        def keep(self, weights):
            self.kept_kernel = weights

        return type(f"Quantized{kind}", (base,), {"kernel": property(kernel, keep), "fake": None})

    return FakeQuantize, {kind: twin(kind) for kind in WITH_WEIGHTS}

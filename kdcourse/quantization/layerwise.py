"""Weights rounded layer by layer without training, each rounding error made up for by the weights that are still to be rounded.

Rounding a weight moves the layer's outputs. Where inputs go together, another weight can move them back. GPTQ (Frantar et al. 2022, after
the optimal brain surgeon of Hassibi & Stork 1992) rounds the inputs of a layer one after the other and shares each error out among the
inputs that come later, in the way that keeps the outputs on some examples as near as they can be. What is left of the error is, on
average, a constant for each output, which the bias takes away (Nagel et al. 2019, "Data-Free Quantization", section 4.2).
"""

import numpy as np

from kdcourse import checks

from .affine import checked_bits, find_grid
from .folding import as_graph, plain

ROUNDED = ("Dense", "Conv2D")
BATCH = 100
DAMPING = 0.01  # of the mean second moment, added to each: moments of few examples are nearly singular


def compensated(weights, moments, bits: int, *, method: str = "minmax", symmetric: bool = True, name: str = "weights") -> np.ndarray:
    """Return weights on a grid for each output, errors made up for (GPTQ).

    Args:
        weights: shape ``(inputs, outputs)``.
        moments: second moments of the layer's inputs, ``X^T X`` for X of shape ``(examples, inputs)``.
        bits: 2..16.
        method: how the range of each grid is found, see `affine.find_grid`.
        symmetric: whether the zero points are 0, as LiteRT wants them for weights.
        name: what a refusal calls the weights.

    Raises:
        ValueError: shapes that do not fit, numbers that are not finite, bits outside 2..16.
    """
    left = checks.array(name, weights, ("inputs", "outputs"), dtype=np.float64).copy()
    moments = checks.array("moments", moments, (len(left), len(left)), dtype=np.float64)
    grid = find_grid(left, bits, symmetric=symmetric, per="channel", method=method, name=name)
    scale, zero, found = grid.scale[:, 0], grid.zero_point[:, 0], np.empty_like(left)
    damped = moments + np.eye(len(left)) * max(DAMPING * np.trace(moments) / len(left), 1e-12)
    share = np.linalg.cholesky(np.linalg.inv(damped)).T  # row i: how the error of input i is shared out among those after it
    for i in range(len(left)):
        found[i] = scale * (np.clip(np.rint(left[i] / scale) + zero, grid.low, grid.high) - zero)
        left[i + 1 :] -= np.outer(share[i, i + 1 :] / share[i, i], left[i] - found[i])
    return found.astype(np.float32)


def round_layer_by_layer(model, bits: int, examples, *, method: str = "minmax", symmetric: bool = True):
    """Return a functional copy of a Keras 3 model whose weights are rounded, layer by layer, errors made up for; nothing is trained.

    A layer sees what the rounded layers before it give. Its bias then takes away the mean difference to the output of `model`. The
    activations stay floats: `fake.with_fake_quantization` with ``weight_bits=None`` rounds them, too.

    Args:
        model: Keras 3, Sequential or functional, without models inside; fold its BatchNormalizations first (`fold_batch_norms`).
        bits: 2..16, for the weights of all Dense and Conv2D layers.
        examples: shape ``(examples, ...)``, as the model reads them; a few hundred.
        method: how the range of each output's grid is found, see `affine.find_grid`.
        symmetric: whether the zero points of the grids are 0; with few bits a grid that is not symmetric has a value more that counts.

    Raises:
        ValueError: bits outside 2..16; examples that are empty, not finite or do not fit; a layer with weights that is neither Dense nor
            Conv2D, or a Conv2D with dilation or in groups; the sentence names the layer.
    """
    keras = plain(model)
    bits = checked_bits(bits)
    examples = checks.array("examples", examples, ("examples", *model.inputs[0].shape[1:]), dtype=np.float32)
    checks.require(len(examples) > 0, "examples must hold at least 1 example, got 0")
    named = [layer for layer in model.layers if layer.weights]
    for layer in named:
        kind = type(layer).__name__
        known = kind == "Dense" or kind == "Conv2D" and layer.groups == 1 and set(layer.dilation_rate) == {1}
        checks.require(known, f"model must have weights in {' and '.join(ROUNDED)} layers only, got {kind} {layer.name!r}")
    copy = keras.models.clone_model(as_graph(model))
    copy.set_weights(model.get_weights())
    for layer in named:
        new = copy.get_layer(layer.name)
        wanted = _mean(keras.Model(model.inputs[0], _linear(keras, model, layer)), examples)
        moments, weights = _moments(keras.Model(copy.inputs[0], new.input), new, examples), np.asarray(new.kernel)
        flat = compensated(
            weights.reshape(-1, weights.shape[-1]), moments, bits, method=method, symmetric=symmetric, name=f"the weights of {layer.name}"
        )
        new.kernel.assign(flat.reshape(weights.shape))
        if layer.use_bias:
            new.bias.assign_add(wanted - _mean(keras.Model(copy.inputs[0], _linear(keras, copy, new)), examples))
    return copy


def _linear(keras, model, layer):
    """Return the tensor that a layer gives before its activation function."""
    config = layer.get_config() | {"activation": "linear", "name": f"{layer.name}_linear"}
    twin = type(layer).from_config(config)
    answer = twin(layer.input)
    twin.set_weights(layer.get_weights())
    return answer


def _mean(model, examples) -> np.ndarray:
    """Return the mean of a model's output over examples and places, shape ``(channels,)``."""
    parts = [np.asarray(model(examples[i : i + BATCH], training=False), np.float64) for i in range(0, len(examples), BATCH)]
    return np.concatenate([part.reshape(-1, part.shape[-1]) for part in parts]).mean(0)


def _moments(before, layer, examples) -> np.ndarray:
    """Return the second moments of what the weights of a layer multiply: the inputs, or what a filter sees at each place."""
    import tensorflow as tf

    total = 0.0
    for i in range(0, len(examples), BATCH):
        given = before(examples[i : i + BATCH], training=False)
        if type(layer).__name__ == "Conv2D":
            sizes = {"sizes": [1, *layer.kernel_size, 1], "strides": [1, *layer.strides, 1], "rates": [1, 1, 1, 1]}
            given = tf.image.extract_patches(given, padding=layer.padding.upper(), **sizes)
        rows = np.asarray(given, np.float64)
        rows = rows.reshape(-1, rows.shape[-1])
        total = total + rows.T @ rows
    return total

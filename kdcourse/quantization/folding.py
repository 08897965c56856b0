"""BatchNormalization folded into the layer before it: one multiplication and one addition a channel that need not run on a phone.

A trained BatchNormalization multiplies channel c by ``f = gamma / sqrt(variance + epsilon)`` and adds ``beta - mean * f``. The layer
before it is linear, so its weights can be multiplied by f, and its bias becomes ``(bias - mean) * f + beta``.

Source: Jacob et al. 2018, section 3.2.
"""

from collections import Counter

import numpy as np

from kdcourse import checks
from kdcourse.anatomy import calls, checked_graph

LINEAR = ("Dense", "Conv1D", "Conv2D", "Conv3D", "DepthwiseConv2D")


def plain(model):
    """Return keras, if the model can be copied layer by layer: one of Keras 3, with one input and one output and no model inside.

    Raises:
        ValueError: another one, or no model at all, see `anatomy.checked_graph`.
    """
    keras = checked_graph(model)
    checks.require(keras.__name__ == "keras", f"model must be a model of Keras 3, got {model.name}, a model of {keras.__name__}")
    for layer in model.layers:
        checks.require(not isinstance(layer, keras.Model), f"model must have no model inside, got {layer.name!r}")
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise ValueError(f"model must have one input and one output, got {len(model.inputs)} and {len(model.outputs)}")
    return keras


def as_graph(model):
    """Return a functional model of the same layers, whose calls `clone_model` can change one by one."""
    return plain(model).Model(model.inputs[0], model.outputs[0], name=model.name)


def fold(weights, bias, gamma, beta, mean, variance, epsilon: float) -> tuple[np.ndarray, np.ndarray]:
    """Return (weights, bias) of a layer that does what the layer and the BatchNormalization behind it did.

    Args:
        weights: shape ``(..., channels)``.
        bias, gamma, beta, mean, variance: shape ``(channels,)``.
        epsilon: of the BatchNormalization.
    """
    factor = gamma / np.sqrt(variance + epsilon)
    return weights * factor, (bias - mean) * factor + beta


def fold_batch_norms(model):
    """Return a functional copy of a Keras 3 model without the BatchNormalizations that can be folded; it answers the same.

    Folded is a BatchNormalization over the last axis that alone reads a Dense, Conv or DepthwiseConv2D layer without an activation, if
    each of the two is called once. Others stay. The layers keep their names; those that were folded into have a bias.

    Args:
        model: Keras 3, Sequential or functional, without models inside; it stays as it is.

    Raises:
        ValueError: another kind of model, see `anatomy.checked_graph`; a model inside it.
    """
    keras = plain(model)
    pairs = _pairs(model)
    folded_into = {before.name for before in pairs.values()}

    def twin(layer):
        config = layer.get_config()
        return type(layer).from_config(config | {"use_bias": True} if layer.name in folded_into else config)

    def call(layer, *args, **kwargs):
        return args[0] if layer.name in pairs else layer(*args, **kwargs)

    copy = keras.models.clone_model(as_graph(model), clone_function=twin, call_function=call)
    for layer in copy.layers:
        old = model.get_layer(layer.name) if layer.weights else None
        if layer.name in folded_into:
            norm = next(model.get_layer(name) for name, before in pairs.items() if before.name == layer.name)
            layer.set_weights(_folded(old, norm))
        elif old is not None:
            layer.set_weights(old.get_weights())
    return copy


def _pairs(model) -> dict:
    """Return {name of a BatchNormalization: the layer that it is folded into}."""
    read, times, made_by, found = Counter(map(id, model.outputs)), Counter(), {}, {}
    for layer, node in calls(model):
        times[layer.name] += 1
        read.update(map(id, node.input_tensors))
        made_by |= {id(tensor): layer for tensor in node.outputs}
    for layer, node in calls(model):
        if type(layer).__name__ != "BatchNormalization" or times[layer.name] > 1:
            continue
        before, given = made_by.get(id(node.input_tensors[0])), node.input_tensors[0]
        alone = before is not None and times[before.name] == 1 and read[id(given)] == 1
        last = layer.axis in (-1, len(given.shape) - 1)
        if alone and last and type(before).__name__ in LINEAR and before.activation.__name__ == "linear":
            found[layer.name] = before
    return found


def _folded(layer, norm) -> list[np.ndarray]:
    """Return the weights of a layer with the BatchNormalization behind it folded in."""
    kernel = np.asarray(layer.get_weights()[0])
    depthwise = type(layer).__name__ == "DepthwiseConv2D"
    flat = kernel.reshape(*kernel.shape[:-2], -1) if depthwise else kernel
    channels = flat.shape[-1]
    bias = np.asarray(layer.get_weights()[1]) if layer.use_bias else np.zeros(channels, kernel.dtype)
    gamma = np.asarray(norm.gamma) if norm.scale else np.ones(channels, kernel.dtype)
    beta = np.asarray(norm.beta) if norm.center else np.zeros(channels, kernel.dtype)
    weights, bias = fold(flat, bias, gamma, beta, np.asarray(norm.moving_mean), np.asarray(norm.moving_variance), norm.epsilon)
    return [weights.reshape(kernel.shape), bias]

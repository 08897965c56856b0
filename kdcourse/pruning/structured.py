"""Structured pruning: whole filters of convolutions and units of hidden dense layers are removed, and a smaller dense model comes out.

A filter is more than its kernel: its bias, the BatchNormalization and depthwise kernels behind it and the inputs of the next layers that
read its channel go with it. So the model's graph is walked once, and each channel is followed from the layer that makes it to the layers
that read it. `filter_scores` ranks filters, `choose_filters` picks those that stay, `without_filters` builds the smaller model, and
`with_filters_masked` the model of the old size in which the same filters are zeros: both give the same outputs.

What can be cut: Conv1D to 3D, SeparableConv and Dense layers, unless a channel reaches the model's output or a layer that mixes channels
in a way that is not known here (LayerNormalization, softmax, attention, a layer of one's own). Channels that meet in an Add, Multiply,
Average, Maximum, Minimum or Subtract are tied: they stay or go together. Concatenate, Flatten and Reshape are followed.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from kdcourse import checks
from kdcourse.anatomy import copied

from .channels import ACTIVATIONS, MAKERS, Channels

RANKINGS = ("l1", "batch_norm", "activation")


def filter_scores(model, by: str = "l1", inputs: np.ndarray | None = None) -> dict[str, np.ndarray]:
    """Return how much each filter matters, ``{layer: scores (channels,)}``, for the layers that can be cut; low scores go first.

    Args:
        model: a Keras 3 model, Sequential or functional.
        by: ``"l1"``: the L1 norm of the filter's kernel, without its bias (Li et al. 2017, "Pruning Filters for Efficient ConvNets").
            ``"batch_norm"``: ``|gamma|`` of the BatchNormalization behind the layer (Liu et al. 2017, "Learning Efficient Convolutional
            Networks through Network Slimming"; the paper trains with an L1 penalty on gamma first).
            ``"activation"``: the mean of the absolute activation over `inputs` and places, behind the layer's nonlinearity, or behind
            its BatchNormalization if no nonlinearity follows (Molchanov et al. 2017, "Pruning Convolutional Neural Networks for Resource
            Efficient Inference", section 2.2, take the mean; after a ReLU the two are the same).
        inputs: shape ``(examples, ...)``, for ``"activation"`` only. Training examples, not those that will measure the accuracy.

    Raises:
        ValueError: an unknown ranking, no inputs for "activation", a layer without BatchNormalization for "batch_norm", scores that are
            not finite, a model with nothing to prune, that is subclassed, or that uses a layer twice or a grouped convolution.
    """
    inputs = _checked_ranking(by, inputs)
    graph = Channels(model)
    return _scores(graph, graph.prunable, by, inputs)


def choose_filters(model, fraction: float | Mapping[str, float], by: str = "l1", inputs: np.ndarray | None = None) -> dict[str, np.ndarray]:
    """Return the filters that stay when the lowest-ranked `fraction` goes, ``{layer: indices in ascending order}``.

    Each layer loses ``round(fraction * n)`` of its n filters, ties by position; at least one stays. Layers whose channels are tied (by a
    residual add) form a group: the scores of tied filters are summed, and the group loses the same channels everywhere.

    Args:
        model: a Keras 3 model, Sequential or functional.
        fraction: in [0, 1), of every layer that can be cut, or a dict for some layers; the others then keep what they have, except those
            tied to a named one.
        by: the ranking, and `inputs` for it: see `filter_scores`.
        inputs: see `filter_scores`.

    Raises:
        ValueError: a fraction outside [0, 1), a layer that does not exist or cannot be cut, different fractions for tied layers, and
            what `filter_scores` refuses.
    """
    inputs = _checked_ranking(by, inputs)
    for where, value in fraction.items() if isinstance(fraction, Mapping) else [(None, fraction)]:
        checks.number("fraction" if where is None else f"fraction[{where!r}]", value, 0, 1, open_high=True)
    graph = Channels(model)
    if isinstance(fraction, Mapping):
        checks.require(fraction, "fraction must name at least one layer, got an empty dict")
        for name in fraction:
            graph.check_prunable(name, "fraction")
    kept = {}
    for group in graph.groups():
        fractions = {name: fraction[name] for name in group if name in fraction} if isinstance(fraction, Mapping) else {group[0]: fraction}
        checks.require(len(set(fractions.values())) <= 1, f"fraction must be the same for layers whose channels are tied, got {fractions}")
        if fractions:
            removed = _lowest(graph, group, fractions.popitem()[1], _scores(graph, group, by, inputs))
            kept |= {name: np.flatnonzero(~removed[graph.outputs[name]]) for name in group}
    return {name: kept[name] for name in graph.prunable if name in kept}


def without_filters(model, kept: Mapping[str, Sequence[int]]):
    """Return a smaller model that has only the filters `kept`: other shapes, no zeros, the same layer names.

    Its outputs are those of ``with_filters_masked(model, kept)``; accuracy comes back by fine-tuning. The model is not compiled.

    Args:
        model: a Keras 3 model, Sequential or functional; it stays as it is.
        kept: ``{layer: indices of the filters that stay}``, as `choose_filters` returns it; their order does not matter. A layer that is
            not named keeps all filters, except those tied to a filter that goes.

    Raises:
        ValueError: a layer that does not exist or cannot be cut, indices that are empty, repeated or out of range, tied layers that
            disagree, and models that `filter_scores` refuses.
    """
    graph = Channels(model)
    stays = ~graph.removed(kept)
    config = model.get_config()
    for entry in config["layers"]:
        entry.pop("build_config", None)  # the shapes of the old model
        settings = entry["config"]
        layer = graph.operations.get(settings.get("name"))
        outputs = graph.outputs.get(settings.get("name"))
        if graph.kind(layer) in MAKERS and outputs is not None:
            settings["units" if "units" in settings else "filters"] = int(stays[outputs].sum())
        elif graph.kind(layer) == "Reshape" and outputs is not None and settings["target_shape"][-1] != -1:
            settings["target_shape"] = (*settings["target_shape"][:-1], int(stays[outputs].sum()))
    own = {type(layer).__name__: type(layer) for layer in model.layers if not graph.kind(layer)}  # layers that Keras does not know
    smaller = type(model).from_config(config, custom_objects=own)

    def cut(weight, axis, channels):
        return np.compress(stays[channels], weight, axis)

    for layer in smaller.layers:
        layer.set_weights(graph.changed_weights(model.get_layer(layer.name), cut))
    return smaller


def with_filters_masked(model, kept: Mapping[str, Sequence[int]]):
    """Return a model of the same size in which all filters but `kept` are zeros, and the same outputs as ``without_filters(model, kept)``.

    Zeros are: the filter's kernel and bias, its place in BatchNormalization and depthwise layers behind it, and the weights of the next
    layers that read its channel. Without the last, a removed filter would still speak through a sigmoid, which makes 0.5 of 0.

    Args and errors: as in `without_filters`.
    """
    graph = Channels(model)
    goes = graph.removed(kept)
    masked = copied(model)

    def zeroed(weight, axis, channels):
        weight = np.moveaxis(weight.copy(), axis, -1)
        weight[..., goes[channels]] = 0
        return np.moveaxis(weight, -1, axis)

    for layer in masked.layers:
        layer.set_weights(graph.changed_weights(layer, zeroed))
    return masked


def _checked_ranking(by: str, inputs):
    checks.choice("by", by, RANKINGS)
    if by != "activation":
        return None
    checks.require(inputs is not None, 'inputs must be given for by="activation", got None')
    return checks.array("inputs", inputs, ("examples", ...))


def _scores(graph: Channels, names: Sequence[str], by: str, inputs) -> dict[str, np.ndarray]:
    if by == "activation":
        scores = _mean_activations(graph, names, inputs)
    else:
        scores = {name: (_l1 if by == "l1" else _gamma)(graph, name) for name in names}
    return {name: checks.finite(f"scores of {name!r}", values) for name, values in scores.items()}


def _l1(graph: Channels, name: str) -> np.ndarray:
    kernel = np.asarray(getattr(graph.operations[name], MAKERS[graph.kind(graph.operations[name])]))
    return np.abs(kernel).sum(tuple(range(kernel.ndim - 1)))


def _gamma(graph: Channels, name: str) -> np.ndarray:
    norm = next((layer for layer in graph.behind(name) if graph.kind(layer) == "BatchNormalization" and layer.scale), None)
    if norm is None:
        raise ValueError(
            f'by="batch_norm" must have a BatchNormalization with a scale behind each layer that is cut, got none behind {name!r}: '
            "choose_filters with a dict leaves a layer out"
        )
    return np.abs(np.asarray(norm.gamma))


def _mean_activations(graph: Channels, names: Sequence[str], inputs) -> dict[str, np.ndarray]:
    """Return the mean absolute activation of each filter over the inputs and places."""
    shape = tuple(graph.model.inputs[0].shape[1:])
    fits = len(inputs.shape) == len(shape) + 1 and all(want in (None, got) for want, got in zip(shape, inputs.shape[1:], strict=True))
    if len(graph.model.inputs) > 1 or not fits:
        wanted = f"(examples, {', '.join(map(str, shape))})" if len(graph.model.inputs) == 1 else "those of a model with one input"
        raise ValueError(f"inputs must have shape {wanted}, got {inputs.shape}")
    linear = graph.keras.activations.linear
    tensors = {}
    for name in names:
        chain = graph.behind(name)
        bends = (layer for layer in chain if graph.kind(layer) in ACTIVATIONS or getattr(layer, "activation", linear) is not linear)
        norms = [layer for layer in chain if graph.kind(layer) == "BatchNormalization"]
        tensors[name] = next(bends, (norms or chain)[-1]).output
    ask = graph.keras.Model(graph.model.inputs[0], tensors)
    totals = {name: 0.0 for name in names}
    for start in range(0, len(inputs), 500):
        batch = inputs[start : start + 500]
        for name, answer in ask(batch, training=False).items():
            answer = np.abs(np.asarray(answer, np.float64))
            totals[name] += answer.reshape(len(batch), -1, answer.shape[-1]).mean(1).sum(0) / len(inputs)
    return totals


def _lowest(graph: Channels, group: Sequence[str], fraction: float, scores: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return for every channel number whether it goes: the lowest summed scores of a group; at least one filter of each layer stays."""
    summed = np.zeros(len(graph.free))
    for name in group:
        np.add.at(summed, graph.outputs[name], scores[name])
    channels = graph.candidates(group)
    goes = np.zeros(len(graph.free), bool)
    left = round(fraction * len(channels))
    for channel in channels[np.argsort(summed[channels], kind="stable")]:
        if not left:
            break
        goes[channel] = True
        if any(goes[graph.outputs[name]].all() for name in group):
            goes[channel] = False
        else:
            left -= 1
    return goes

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
from numbers import Real

import numpy as np

from kdcourse.keras_bridge import checked_graph, copied

RANKINGS = ("l1", "batch_norm", "activation")

_BIAS = {"bias": {-1: "outputs"}}
_CONVOLUTION = {"kernel": {-2: "inputs", -1: "outputs"}, **_BIAS}
_DEPTHWISE = {"kernel": {-2: "inputs"}, **_BIAS}
_SEPARABLE = {"depthwise_kernel": {-2: "inputs"}, "pointwise_kernel": {-2: "between", -1: "outputs"}, **_BIAS}
_MAKERS = {"Conv1D": "kernel", "Conv2D": "kernel", "Conv3D": "kernel", "Dense": "kernel"}  # what makes channels, and the kernel that ranks
_MAKERS |= {"SeparableConv1D": "pointwise_kernel", "SeparableConv2D": "pointwise_kernel"}
# which axis of which weight belongs to which channels; a layer with another weight cannot be followed
_AXES = {
    **{kind: _CONVOLUTION if kernel == "kernel" else _SEPARABLE for kind, kernel in _MAKERS.items()},
    **{f"DepthwiseConv{n}D": _DEPTHWISE for n in (1, 2)},
    "BatchNormalization": {name: {-1: "outputs"} for name in ("gamma", "beta", "moving_mean", "moving_variance")},
}
_ACTIVATIONS = {"Activation", "ReLU", "LeakyReLU", "ELU"}
_NOISE = {"Dropout", "GaussianDropout", "GaussianNoise", "AlphaDropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D"}
_SPATIAL = {"MaxPooling", "AveragePooling", "GlobalMaxPooling", "GlobalAveragePooling", "ZeroPadding", "Cropping", "UpSampling"}
_CHANNELWISE = {"Identity", "BatchNormalization", *_ACTIVATIONS, *_NOISE, *(f"{kind}{n}D" for kind in _SPATIAL for n in (1, 2, 3))}
_MERGES = {"Add", "Multiply", "Average", "Maximum", "Minimum", "Subtract"}
_ELEMENTWISE = set(
    "linear relu relu6 leaky_relu elu celu selu gelu silu mish sigmoid hard_sigmoid hard_silu tanh hard_tanh softplus softsign exponential"
    " log_sigmoid squareplus".split()
)


def filter_scores(model, by: str = "l1", images: np.ndarray | None = None) -> dict[str, np.ndarray]:
    """Return how much each filter matters, ``{layer: scores (channels,)}``, for the layers that can be cut; low scores go first.

    Args:
        model: a Keras 3 model, Sequential or functional.
        by: ``"l1"``: the L1 norm of the filter's kernel, without its bias (Li et al. 2017, "Pruning Filters for Efficient ConvNets").
            ``"batch_norm"``: ``|gamma|`` of the BatchNormalization behind the layer (Liu et al. 2017, "Learning Efficient Convolutional
            Networks through Network Slimming"; the paper trains with an L1 penalty on gamma first).
            ``"activation"``: the mean of the absolute activation over `images` and places, behind the layer's nonlinearity, or behind
            its BatchNormalization if no nonlinearity follows (Molchanov et al. 2017, "Pruning Convolutional Neural Networks for Resource
            Efficient Inference", section 2.2, take the mean; after a ReLU the two are the same).
        images: shape ``(examples, ...)``, for ``"activation"`` only. Training images, not those that will measure the accuracy.

    Raises:
        ValueError: an unknown ranking, no images for "activation", a layer without BatchNormalization for "batch_norm", a model with
            nothing to prune, that is subclassed, or that uses a layer twice or a grouped convolution.
    """
    images = _checked_ranking(by, images)
    graph = _Graph(model)
    return _scores(graph, graph.prunable, by, images)


def choose_filters(model, fraction: float | Mapping[str, float], by: str = "l1", images: np.ndarray | None = None) -> dict[str, np.ndarray]:
    """Return the filters that stay when the lowest-ranked `fraction` goes, ``{layer: indices in ascending order}``.

    Each layer loses ``round(fraction * n)`` of its n filters, ties by position; at least one stays. Layers whose channels are tied (by a
    residual add) form a group: the scores of tied filters are summed, and the group loses the same channels everywhere.

    Args:
        model: a Keras 3 model, Sequential or functional.
        fraction: in [0, 1), of every layer that can be cut, or a dict for some layers; the others then keep what they have, except those
            tied to a named one.
        by: the ranking, and `images` for it: see `filter_scores`.
        images: see `filter_scores`.

    Raises:
        ValueError: a fraction outside [0, 1), a layer that does not exist or cannot be cut, different fractions for tied layers, and
            what `filter_scores` refuses.
    """
    images = _checked_ranking(by, images)
    for where, value in fraction.items() if isinstance(fraction, Mapping) else [(None, fraction)]:
        if isinstance(value, bool) or not isinstance(value, Real) or not 0 <= value < 1:
            raise ValueError(f"fraction{'' if where is None else f'[{where!r}]'} must be in [0, 1), got {value!r}")
    graph = _Graph(model)
    if isinstance(fraction, Mapping):
        if not fraction:
            raise ValueError("fraction must name at least one layer, got an empty dict")
        for name in fraction:
            graph.check_prunable(name, "fraction")
    kept = {}
    for group in graph.groups():
        fractions = {name: fraction[name] for name in group if name in fraction} if isinstance(fraction, Mapping) else {group[0]: fraction}
        if len(set(fractions.values())) > 1:
            raise ValueError(f"fraction must be the same for layers whose channels are tied, got {fractions}")
        if fractions:
            removed = _lowest(graph, group, fractions.popitem()[1], _scores(graph, group, by, images))
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
    graph = _Graph(model)
    stays = ~graph.removed(kept)
    config = model.get_config()
    for entry in config["layers"]:
        entry.pop("build_config", None)  # the shapes of the old model
        settings = entry["config"]
        layer = graph.operations.get(settings.get("name"))
        outputs = graph.outputs.get(settings.get("name"))
        if graph.kind(layer) in _MAKERS and outputs is not None:
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
    graph = _Graph(model)
    goes = graph.removed(kept)
    masked = copied(model)

    def zeroed(weight, axis, channels):
        weight = np.moveaxis(weight.copy(), axis, -1)
        weight[..., goes[channels]] = 0
        return np.moveaxis(weight, -1, axis)

    for layer in masked.layers:
        layer.set_weights(graph.changed_weights(layer, zeroed))
    return masked


class _Graph:
    """The channels of a model, followed from the layers that make them to those that read them.

    Each channel has a number; a tensor is the array of the numbers along its last axis. Tied channels get one number in the end.

    Attributes:
        operations: ``{name: layer}`` of a fresh functional copy with the model's weights, in the order of computation.
        inputs, between, outputs: ``{name: channel numbers}`` of what a layer reads (the first of its inputs) and makes; `between` the two
            kernels of a separable convolution.
        followed: names of the layers whose channels are known on both sides.
        free: for each channel number whether it may be cut.
        prunable: names of the layers of which at least one filter can be cut, in the model's order.
    """

    def __init__(self, model):
        self.keras = checked_graph(model)
        if self.keras.__name__ != "keras":
            raise ValueError("model must be a Keras 3 model, got one of tf_keras: keras_bridge.to_keras brings it over")
        # a fresh functional graph: its layers know the calls of this model only, whatever else the originals are used in
        self.model = copied(self.keras.Model(model.inputs, model.outputs))
        for entry in self.model.get_config()["layers"]:
            if len(entry["inbound_nodes"]) > 1:
                raise ValueError(f"model must use each layer once for filters to be cut, got {entry['name']!r} used several times")
        self.operations = {operation.name: operation for operation in self.model.operations}
        self.inputs, self.between, self.outputs, self.followed = {}, {}, {}, set()
        self._parent, self._blocked = [], {}
        self._readers = {}
        self._walk()

    def kind(self, operation) -> str:
        """Return the class name of a layer (or operation such as ``x + y``) of Keras itself, "" for anything else."""
        kind = type(operation)
        if kind is getattr(self.keras.layers, kind.__name__, None):
            return kind.__name__
        return kind.__name__ if kind.__module__ == "keras.src.ops.numpy" and kind.__name__ in _MERGES - {"Average"} else ""

    def _walk(self) -> None:
        flatten, channels = self.keras.tree.flatten, {}
        for name, operation in self.operations.items():
            made = flatten(operation.output)
            if self.kind(operation) == "InputLayer":
                found = [self._new(made[0], "are tied to the model's input")]
            else:
                tensors = flatten(operation.input)
                for tensor in tensors:
                    self._readers.setdefault(id(tensor), []).append(operation)
                read = [channels[id(tensor)] for tensor in tensors]
                found = [self._follow(operation, read, made[0])] if len(made) == 1 else [None]
                if found[0] is None:
                    reason = f"reach layer {name!r} ({type(operation).__name__}), which cannot be followed"
                    self._block(np.concatenate(read), reason)
                    found = [self._new(tensor, reason) for tensor in made]
                else:
                    self.followed.add(name)
                    if not self._is_elementwise(getattr(operation, "activation", None)):
                        self._block(found[0], f"go through the activation of layer {name!r}, which mixes channels or is not known")
                self.inputs[name] = read[0]
            self.outputs[name] = found[0]
            channels |= {id(tensor): numbers for tensor, numbers in zip(made, found, strict=True)}
        for tensor in self.model.outputs:
            self._block(channels[id(tensor)], "reach the model's output")

        one = np.array([self._find(channel) for channel in range(len(self._parent))])
        for numbers in (self.inputs, self.between, self.outputs):
            numbers.update({name: one[found] for name, found in numbers.items()})
        self._blocked = {int(one[channel]): reason for channel, reason in self._blocked.items()}
        self.free = ~np.isin(np.arange(len(one)), list(self._blocked))
        self.makers = [name for name, operation in self.operations.items() if self.kind(operation) in _MAKERS]
        self.prunable = [name for name in self.makers if self.free[self.outputs[name]].any()]
        if not self.prunable:
            whys = "; ".join(f"the channels of {name!r} {self._why(name)}" for name in self.makers)
            raise ValueError(f"model must have a filter or hidden unit that can be cut, got none: {whys or 'no layer makes channels'}")

    def _follow(self, operation, read, made):
        """Return the channel numbers that a layer makes of those that it reads, None if that is not known here."""
        kind, axis, first = self.kind(operation), getattr(operation, "axis", -1), read[0]
        last = axis in (-1, len(made.shape) - 1)
        if kind in _MAKERS and getattr(operation, "groups", 1) > 1:
            raise ValueError(f"model must have no grouped convolution, got {operation.groups} groups in {operation.name!r}")
        if getattr(operation, "data_format", None) == "channels_first" or (kind == "BatchNormalization" and not last):
            return None
        if {weight.name for weight in getattr(operation, "weights", ())} - set(_AXES.get(kind, ())):
            return None
        if kind in _MAKERS:
            self.between[operation.name] = np.repeat(first, getattr(operation, "depth_multiplier", 1))
            return self._new(made)
        if kind.startswith("DepthwiseConv"):
            return np.repeat(first, operation.depth_multiplier)
        if kind in _CHANNELWISE:
            return first
        if kind in ("Flatten", "Reshape"):  # channels are last: entry i of the flat array belongs to channel i % channels
            repeats, rest = divmod(made.shape[-1] or 0, len(first))
            return np.tile(first, repeats) if repeats and not rest else None
        if kind == "Concatenate" and last:
            return np.concatenate(read)
        if kind == "Concatenate" or (kind in _MERGES and len(read) > 1):
            return self._merged(read)
        return None

    def _merged(self, read):
        wide = max(read, key=len)
        for other in read:
            if len(other) == len(wide):
                for a, b in zip(wide, other, strict=True):
                    self._parent[self._find(b)] = self._find(a)
            elif len(other) == 1:  # one channel for all the others, e.g. a spatial mask
                self._block(other, "are used with every channel of another layer")
            else:
                return None
        return wide

    def _is_elementwise(self, activation) -> bool:
        name = getattr(activation, "__name__", None)
        if activation is None or (name in _ELEMENTWISE and getattr(self.keras.activations, name) is activation):
            return True
        return self.kind(activation) in _ACTIVATIONS - {"Activation"}

    def _new(self, tensor, blocked: str | None = None) -> np.ndarray:
        numbers = np.arange(len(self._parent), len(self._parent) + (tensor.shape[-1] or 1))
        self._parent += numbers.tolist()
        if blocked:
            self._block(numbers, blocked)
        return numbers

    def _block(self, channels, reason: str) -> None:
        for channel in channels:
            self._blocked.setdefault(int(channel), reason)

    def _find(self, channel: int) -> int:
        while self._parent[channel] != channel:
            self._parent[channel] = channel = self._parent[self._parent[channel]]
        return channel

    def _why(self, name: str) -> str:
        return next(self._blocked[channel] for channel in self.outputs[name].tolist() if channel in self._blocked)

    def check_prunable(self, name, argument: str) -> None:
        """Refuse a layer that does not exist or of which nothing can be cut."""
        if name in self.prunable:
            return
        if name in self.makers:
            raise ValueError(f"{argument} must name layers that can be cut, got {name!r}, whose channels {self._why(name)}")
        raise ValueError(f"{argument} must name layers that can be cut, which are {self.prunable}, got {name!r}")

    def groups(self) -> list[list[str]]:
        """Return the prunable layers, those with tied channels together."""
        groups = []
        for name in self.prunable:
            channels, names = set(self.outputs[name][self.free[self.outputs[name]]].tolist()), [name]
            for other in [group for group in groups if group[0] & channels]:
                groups.remove(other)
                channels, names = other[0] | channels, other[1] + names
            groups.append((channels, names))
        return [sorted(names, key=self.prunable.index) for _, names in groups]

    def candidates(self, names: Sequence[str]) -> np.ndarray:
        """Return the channels of the layers that can be cut, each once, in order of position."""
        channels = np.concatenate([self.outputs[name] for name in names])
        _, places = np.unique(channels, return_index=True)
        channels = channels[np.sort(places)]
        return channels[self.free[channels]]

    def removed(self, kept) -> np.ndarray:
        """Return for every channel number whether it goes when the layers of `kept` keep only these filters."""
        if not isinstance(kept, Mapping):
            raise ValueError(f"kept must be a dict of layer names and the indices that stay, got {type(kept).__name__}")
        goes, stays = np.zeros(len(self.free), bool), {}
        for name, indices in kept.items():
            self.check_prunable(name, "kept")
            indices, channels = np.asarray(indices), self.outputs[name]
            if indices.ndim != 1 or not indices.size or indices.dtype.kind not in "iu":
                raise ValueError(f"kept[{name!r}] must be a list of at least 1 index, integers, got {kept[name]!r}")
            for index in indices[(indices < 0) | (indices >= len(channels))]:
                raise ValueError(f"kept[{name!r}] must be in 0..{len(channels) - 1}, got {index}")
            if len(set(indices.tolist())) < indices.size:
                raise ValueError(f"kept[{name!r}] must name each filter once, got {indices.tolist()}")
            stays[name] = channels[indices]
            goes[np.delete(channels, indices)] = True
        for name, channels in stays.items():
            if goes[channels].any():
                index = int(kept[name][int(np.flatnonzero(goes[channels])[0])])
                raise ValueError(f"kept must agree for tied channels, got filter {index} of {name!r} kept, one tied to it not")
        for channel in np.flatnonzero(goes & ~self.free).tolist():
            name = next(name for name in kept if channel in self.outputs[name])
            index = int(np.flatnonzero(self.outputs[name] == channel)[0])
            raise ValueError(f"kept[{name!r}] must have filter {index}, whose channels {self._blocked[channel]}")
        for name in self.makers:
            if goes[self.outputs[name]].all():
                raise ValueError(f"kept must leave at least one filter of every layer, got none of {name!r}, tied to a layer in it")
        return goes

    def changed_weights(self, layer, change) -> list[np.ndarray]:
        """Return the weights of a layer; ``change(weight, axis, channel numbers)`` is applied along each axis that runs over channels."""
        axes, found = _AXES.get(self.kind(layer), {}) if layer.name in self.followed else {}, []
        for variable, weight in zip(layer.weights, layer.get_weights(), strict=True):
            for axis, role in axes.get(variable.name, {}).items():
                weight = change(weight, axis, getattr(self, role)[layer.name])
            found.append(weight)
        return found

    def behind(self, name: str) -> list:
        """Return the layer and what follows it directly and channel by channel: BatchNormalization, activations, dropout."""
        chain = [self.operations[name]]
        while len(readers := self._readers.get(id(chain[-1].output), [])) == 1:
            if self.kind(readers[0]) not in {"BatchNormalization", *_ACTIVATIONS, *_NOISE}:
                break
            chain.append(readers[0])
        return chain


def _checked_ranking(by: str, images):
    if by not in RANKINGS:
        raise ValueError(f"by must be one of {list(RANKINGS)}, got {by!r}")
    if by != "activation":
        return None
    if images is None:
        raise ValueError('images must be given for by="activation", got None')
    images = np.asarray(images)
    if not images.ndim or not len(images) or images.dtype.kind not in "biuf":
        raise ValueError(f"images must be an array of numbers with at least 1 example, got {images.dtype} of shape {images.shape}")
    return images


def _scores(graph: _Graph, names: Sequence[str], by: str, images) -> dict[str, np.ndarray]:
    if by == "activation":
        return _mean_activations(graph, names, images)
    scores = {}
    for name in names:
        if by == "l1":
            kernel = np.asarray(getattr(graph.operations[name], _MAKERS[graph.kind(graph.operations[name])]))
            scores[name] = np.abs(kernel).sum(tuple(range(kernel.ndim - 1)))
        else:
            norm = next((layer for layer in graph.behind(name) if graph.kind(layer) == "BatchNormalization" and layer.scale), None)
            if norm is None:
                raise ValueError(
                    f'by="batch_norm" must have a BatchNormalization with a scale behind each layer that is cut, got none behind {name!r}: '
                    "choose_filters with a dict leaves a layer out"
                )
            scores[name] = np.abs(np.asarray(norm.gamma))
    return scores


def _mean_activations(graph: _Graph, names: Sequence[str], images) -> dict[str, np.ndarray]:
    """Return the mean absolute activation of each filter over images and places."""
    shape = tuple(graph.model.inputs[0].shape[1:])
    fits = len(images.shape) == len(shape) + 1 and all(want in (None, got) for want, got in zip(shape, images.shape[1:], strict=True))
    if len(graph.model.inputs) > 1 or not fits:
        wanted = f"(examples, {', '.join(map(str, shape))})" if len(graph.model.inputs) == 1 else "those of a model with one input"
        raise ValueError(f"images must have shape {wanted}, got {images.shape}")
    linear = graph.keras.activations.linear
    tensors = {}
    for name in names:
        chain = graph.behind(name)
        bends = (layer for layer in chain if graph.kind(layer) in _ACTIVATIONS or getattr(layer, "activation", linear) is not linear)
        norms = [layer for layer in chain if graph.kind(layer) == "BatchNormalization"]
        tensors[name] = next(bends, (norms or chain)[-1]).output
    ask = graph.keras.Model(graph.model.inputs[0], tensors)
    totals = {name: 0.0 for name in names}
    for start in range(0, len(images), 500):
        batch = images[start : start + 500]
        for name, answer in ask(batch, training=False).items():
            answer = np.abs(np.asarray(answer, np.float64))
            totals[name] += answer.reshape(len(batch), -1, answer.shape[-1]).mean(1).sum(0) / len(images)
    return totals


def _lowest(graph: _Graph, group: Sequence[str], fraction: float, scores: Mapping[str, np.ndarray]) -> np.ndarray:
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

"""The channels of a network, followed from the layers that make them to those that read them: what `structured` pruning stands on."""

from collections.abc import Mapping, Sequence

import numpy as np

from kdcourse import checks
from kdcourse.anatomy import checked_graph, copied

_BIAS = {"bias": {-1: "outputs"}}
_CONVOLUTION = {"kernel": {-2: "inputs", -1: "outputs"}, **_BIAS}
_DEPTHWISE = {"kernel": {-2: "inputs"}, **_BIAS}
_SEPARABLE = {"depthwise_kernel": {-2: "inputs"}, "pointwise_kernel": {-2: "between", -1: "outputs"}, **_BIAS}
MAKERS = {"Conv1D": "kernel", "Conv2D": "kernel", "Conv3D": "kernel", "Dense": "kernel"}  # what makes channels, and the kernel that ranks
MAKERS |= {"SeparableConv1D": "pointwise_kernel", "SeparableConv2D": "pointwise_kernel"}
# which axis of which weight belongs to which channels; a layer with another weight cannot be followed
_AXES = {
    **{kind: _CONVOLUTION if kernel == "kernel" else _SEPARABLE for kind, kernel in MAKERS.items()},
    **{f"DepthwiseConv{n}D": _DEPTHWISE for n in (1, 2)},
    "BatchNormalization": {name: {-1: "outputs"} for name in ("gamma", "beta", "moving_mean", "moving_variance")},
}
ACTIVATIONS = {"Activation", "ReLU", "LeakyReLU", "ELU"}
NOISE = {"Dropout", "GaussianDropout", "GaussianNoise", "AlphaDropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D"}
_SPATIAL = {"MaxPooling", "AveragePooling", "GlobalMaxPooling", "GlobalAveragePooling", "ZeroPadding", "Cropping", "UpSampling"}
_CHANNELWISE = {"Identity", "BatchNormalization", *ACTIVATIONS, *NOISE, *(f"{kind}{n}D" for kind in _SPATIAL for n in (1, 2, 3))}
_MERGES = {"Add", "Multiply", "Average", "Maximum", "Minimum", "Subtract"}
_ELEMENTWISE = set(
    "linear relu relu6 leaky_relu elu celu selu gelu silu mish sigmoid hard_sigmoid hard_silu tanh hard_tanh softplus softsign exponential"
    " log_sigmoid squareplus".split()
)


class Channels:
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
        """Walk through the model's graph once."""
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
        self.makers = [name for name, operation in self.operations.items() if self.kind(operation) in MAKERS]
        self.prunable = [name for name in self.makers if self.free[self.outputs[name]].any()]
        if not self.prunable:
            whys = "; ".join(f"the channels of {name!r} {self._why(name)}" for name in self.makers)
            raise ValueError(f"model must have a filter or hidden unit that can be cut, got none: {whys or 'no layer makes channels'}")

    def _follow(self, operation, read, made):
        """Return the channel numbers that a layer makes of those that it reads, None if that is not known here."""
        kind, axis, first = self.kind(operation), getattr(operation, "axis", -1), read[0]
        last = axis in (-1, len(made.shape) - 1)
        if kind in MAKERS and getattr(operation, "groups", 1) > 1:
            raise ValueError(f"model must have no grouped convolution, got {operation.groups} groups in {operation.name!r}")
        if getattr(operation, "data_format", None) == "channels_first" or (kind == "BatchNormalization" and not last):
            return None
        if {weight.name for weight in getattr(operation, "weights", ())} - set(_AXES.get(kind, ())):
            return None
        if kind in MAKERS:
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
        return self.kind(activation) in ACTIVATIONS - {"Activation"}

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
            channels = self.outputs[name]
            indices = checks.labels(f"kept[{name!r}]", indices, len(channels))
            checks.require(len(set(indices.tolist())) == indices.size, f"kept[{name!r}] must name each filter once, got {indices.tolist()}")
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
            if self.kind(readers[0]) not in {"BatchNormalization", *ACTIVATIONS, *NOISE}:
                break
            chain.append(readers[0])
        return chain

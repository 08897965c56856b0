"""Magnitude pruning: the weights closest to zero become zero, and stay zero while the network is trained on.

A mask has the shape of its weights; True is kept. A schedule is a function from the update to the sparsity, the share of zeros.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from kdcourse import distillation
from kdcourse.keras_bridge import checked_graph, copied, keras_of

SCOPES = ("layer", "global")


def checked_sparsity(value, name: str = "sparsity") -> float:
    """Return `value` as a float.

    Raises:
        ValueError: not one number in [0, 1).
    """
    if isinstance(value, bool | str) or not np.isscalar(value) or not np.isreal(value) or not 0 <= value < 1:  # NaN fails, too
        raise ValueError(f"{name} must be one number in [0, 1), the share of zeros, got {value!r}")
    return float(value)


def _checked_update(value, name: str) -> None:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 0:
        raise ValueError(f"{name} must be an integer >= 0, a number of updates, got {value!r}")


@dataclass(frozen=True)
class ConstantSparsity:
    """`sparsity` from update `begin` on: one-shot pruning. Zero before.

    Raises:
        ValueError: a sparsity outside [0, 1), a begin below 0.
    """

    sparsity: float
    begin: int = 0

    def __post_init__(self):
        """Refuse what is no schedule."""
        checked_sparsity(self.sparsity)
        _checked_update(self.begin, "begin")

    @property
    def end(self) -> int:
        """The update from which on the sparsity stays as it is."""
        return self.begin

    def __call__(self, update: int) -> float:
        """Return the sparsity at `update`."""
        return self.sparsity if update >= self.begin else 0.0


@dataclass(frozen=True)
class PolynomialDecay:
    """From `initial` to `final` between two updates: fast at first, slowly at the end, ``final + (initial - final) (1 - t)^power``.

    The time t runs from 0 at `begin` to 1 at `end`. The power 3 is the cubic schedule of Zhu & Gupta 2017, "To prune, or not to prune",
    equation 1. Zero before `begin`.

    Raises:
        ValueError: a sparsity outside [0, 1), a schedule that ends before it starts, a power that is not positive.
    """

    final: float
    begin: int
    end: int
    initial: float = 0.0
    power: float = 3.0

    def __post_init__(self):
        """Refuse what is no schedule."""
        checked_sparsity(self.final, "final")
        checked_sparsity(self.initial, "initial")
        _checked_update(self.begin, "begin")
        _checked_update(self.end, "end")
        if self.end <= self.begin:
            raise ValueError(f"end must be > begin, got begin={self.begin} and end={self.end}")
        if not np.isscalar(self.power) or not 0 < self.power < np.inf:
            raise ValueError(f"power must be > 0 and finite, got {self.power!r}")

    def __call__(self, update: int) -> float:
        """Return the sparsity at `update`."""
        if update < self.begin:
            return 0.0
        t = min(1.0, (update - self.begin) / (self.end - self.begin))
        return self.final + (self.initial - self.final) * (1 - t) ** self.power


@dataclass(frozen=True)
class Staircase:
    """`sparsities` one after the other, each for `every` updates, the last one to the end: iterative pruning with fine-tuning.

    Source: Han et al. 2015, "Learning both Weights and Connections for Efficient Neural Networks": prune, train, prune again.

    Raises:
        ValueError: no sparsities, one outside [0, 1) or smaller than the one before, `every` below 1.
    """

    sparsities: Sequence[float]
    every: int

    def __post_init__(self):
        """Refuse what is no schedule."""
        object.__setattr__(self, "sparsities", tuple(self.sparsities))
        if not self.sparsities:
            raise ValueError("sparsities must hold at least one number, got none")
        for value in self.sparsities:
            checked_sparsity(value, "sparsities: each")
        if list(self.sparsities) != sorted(self.sparsities):
            raise ValueError(f"sparsities must not fall, weights that are gone stay gone, got {list(self.sparsities)}")
        _checked_update(self.every, "every")
        if not self.every:
            raise ValueError("every must be an integer >= 1, got 0")

    @property
    def end(self) -> int:
        """The update from which on the sparsity stays as it is."""
        return (len(self.sparsities) - 1) * self.every

    def __call__(self, update: int) -> float:
        """Return the sparsity at `update`."""
        return self.sparsities[min(update // self.every, len(self.sparsities) - 1)]


def prunable_layers(model) -> dict:
    """Return {name: layer} of the layers whose kernels magnitude pruning may cut: Dense and Conv, not depthwise, in the model's order.

    A depthwise kernel has few weights, and each is a channel's only one: TFMOT leaves them alone, too.

    Raises:
        ValueError: a subclassed model, one with nothing to prune, or two layers of one name.
    """
    checked_graph(model)
    layers = keras_of(model).layers
    kinds = (layers.Dense, layers.Conv1D, layers.Conv2D, layers.Conv3D, layers.Conv1DTranspose, layers.Conv2DTranspose)
    found = {}
    for layer in _flat(model, keras_of(model)):
        if isinstance(layer, kinds) and not isinstance(layer, layers.DepthwiseConv1D | layers.DepthwiseConv2D):
            if found.setdefault(layer.name, layer) is not layer:
                raise ValueError(f"model must have one layer of each name, got two that are called {layer.name!r}")
    if not found:
        raise ValueError(f"model must have a Dense or Conv layer to prune, got none in {model.name!r}")
    return found


def _flat(model, keras):
    for layer in model.layers:
        yield from _flat(layer, keras) if isinstance(layer, keras.Model) else [layer]


def prunable(model) -> dict[str, np.ndarray]:
    """Return {layer name: kernel} of the layers of `prunable_layers`: arrays of their own, biases left out."""
    return {name: np.array(layer.kernel) for name, layer in prunable_layers(model).items()}


def magnitude_masks(weights: Mapping[str, np.ndarray], sparsity: float, scope: str = "layer") -> dict[str, np.ndarray]:
    """Return {name: mask}: the smallest magnitudes are cut.

    Args:
        weights: {name: array}, as `prunable` gives them.
        sparsity: the share of zeros, in [0, 1); of n weights exactly ``round(sparsity * n)`` are cut, of equal ones the first.
        scope: "layer" cuts this share from each array, "global" from all together, so that one array may lose more than another.

    Raises:
        ValueError: a sparsity outside [0, 1), an unknown scope, no weights.
    """
    sparsity = checked_sparsity(sparsity)
    if scope not in SCOPES:
        raise ValueError(f"scope must be one of {list(SCOPES)}, got {scope!r}")
    if not weights:
        raise ValueError("weights must hold at least one array, got none")
    if scope == "layer":
        return {name: _mask(np.abs(w), sparsity) for name, w in weights.items()}
    together = _mask(np.concatenate([np.abs(w).ravel() for w in weights.values()]), sparsity)
    parts = np.split(together, np.cumsum([w.size for w in weights.values()])[:-1])
    return {name: part.reshape(w.shape) for part, (name, w) in zip(parts, weights.items(), strict=True)}


def _mask(magnitudes: np.ndarray, sparsity: float) -> np.ndarray:
    kept = np.ones(magnitudes.size, bool)
    kept[np.argsort(magnitudes, axis=None, kind="stable")[: round(sparsity * magnitudes.size)]] = False
    return kept.reshape(magnitudes.shape)


def with_masks(model, masks: Mapping[str, np.ndarray]):
    """Return a copy of `model` whose kernels are zero where their mask is False; layers without a mask stay as they are.

    Raises:
        ValueError: a mask for a layer that does not exist or has no such kernel, a mask of another shape, a subclassed model.
    """
    layers = prunable_layers(model)
    for name, mask in masks.items():
        if name not in layers:
            raise ValueError(f"masks must be for layers out of {list(layers)}, got one for {name!r}")
        if np.shape(mask) != tuple(layers[name].kernel.shape):
            raise ValueError(f"masks[{name!r}] must have shape {tuple(layers[name].kernel.shape)}, got {np.shape(mask)}")
    new = copied(model)
    for name, layer in prunable_layers(new).items():
        if name in masks:
            layer.kernel.assign(np.where(masks[name], np.array(layer.kernel), 0))  # not `*`: NaN times 0 is NaN
    return new


def sensitivity(model, images, labels, sparsities: Iterable[float], layers: Iterable[str] | None = None) -> dict[str, list[float]]:
    """Return {layer: accuracies}: one layer at a time is pruned to each of `sparsities`, without training after it.

    Source: Li et al. 2017, "Pruning Filters for Efficient ConvNets", section 3.2; Han et al. 2015, section 4.

    Args:
        model: returns logits.
        images: shape ``(examples, ...)``; a validation split.
        labels: shape ``(examples,)``.
        sparsities: in [0, 1).
        layers: names; None takes all of `prunable`.

    Raises:
        ValueError: a sparsity outside [0, 1), a layer that does not exist, a model with nothing to prune, images and labels that differ
            in number.
    """
    sparsities, weights = [checked_sparsity(s, "sparsities: each") for s in sparsities], prunable(model)
    layers = list(weights) if layers is None else list(layers)
    for name in layers:
        if name not in weights:
            raise ValueError(f"layers must be out of {list(weights)}, got {name!r}")
    if len(images) != len(labels) or not len(images):
        raise ValueError(f"labels must have one entry for each of the {len(images)} images, at least 1, got {len(labels)}")
    found = {}
    for name in layers:
        pruned = (with_masks(model, magnitude_masks({name: weights[name]}, s)) for s in sparsities)
        found[name] = [float(np.mean(distillation.logits(p, images).argmax(1) == np.asarray(labels))) for p in pruned]
    return found


def train(
    model,
    images: np.ndarray,
    targets,
    *,
    schedule: Callable[[int], float] | None = None,
    scope: str = "layer",
    frequency: int = 50,
    seed: int,
    updates: int,
    **settings,
):
    """Return a copy of `model` that was trained on while a schedule cut its weights; weights that are gone stay gone.

    With ``schedule=None`` nothing is cut, and weights that are zero stay zero: fine-tuning of a pruned network.

    Args:
        model: Sequential or functional, returns logits; it stays as it is.
        images: shape ``(examples, ...)``.
        targets: as `kdcourse.distillation.train` takes them: probabilities, or whatever `loss` needs. With `losses.pack` and
            `losses.distillation_loss` a teacher guides the training.
        schedule: `ConstantSparsity`, `PolynomialDecay`, `Staircase` or another function from the update to the sparsity.
        scope: "layer" or "global", see `magnitude_masks`.
        frequency: every so many updates the schedule is asked, and the masks are made anew.
        seed: of the order of the images, and of dropout.
        updates: gradient steps.
        settings: the other arguments of `kdcourse.distillation.train`, such as learning_rate, loss, temperature, callbacks; but not
            steps_per_execution, which follows from `frequency`.

    Raises:
        ValueError: as `kdcourse.distillation.train`; a schedule that ends after the training, an unknown scope, a frequency below 1,
            steps_per_execution, a model with nothing to prune, a subclassed model.
    """
    layers = prunable_layers(model)
    if scope not in SCOPES:
        raise ValueError(f"scope must be one of {list(SCOPES)}, got {scope!r}")
    if "steps_per_execution" in settings:
        raise ValueError(f"steps_per_execution must be left out, it follows from frequency, got {settings['steps_per_execution']!r}")
    if isinstance(frequency, bool) or not isinstance(frequency, int) or frequency < 1:
        raise ValueError(f"frequency must be an integer >= 1, got {frequency!r}")
    end = getattr(schedule, "end", 0)
    if isinstance(updates, int) and end > updates:
        raise ValueError(f"schedule must end within the {updates} updates of the training, got end={end}")
    keras = keras_of(model)
    masks = {}

    def prepared():
        new = copied(model)
        for name, layer in prunable_layers(new).items():
            # a variable, so that the compiled training sees each new mask
            masks[name] = keras.Variable(np.array(layer.kernel) != 0, dtype="float32", trainable=False, name=f"{name}_mask")
            layer.kernel.constraint = _Multiply(masks[name])  # the optimizer applies it after each update
        return new

    def cut(new, sparsity):
        weights = prunable(new)
        for name, mask in magnitude_masks(weights, sparsity, scope).items():
            masks[name].assign(mask & np.array(masks[name], bool))
            prunable_layers(new)[name].kernel.assign(weights[name] * np.array(masks[name]))

    class Pruner(keras.callbacks.Callback):
        def on_train_batch_begin(self, update, logs=None):
            if update % frequency == 0:
                cut(self.model, checked_sparsity(schedule(update), "schedule: its sparsity"))

        def on_train_end(self, logs=None):
            cut(self.model, checked_sparsity(schedule(updates), "schedule: its sparsity"))  # where frequency does not meet the end

    callbacks = [*settings.pop("callbacks", ()), *([] if schedule is None else [Pruner()])]
    together = next(steps for steps in range(10, 0, -1) if frequency % steps == 0)  # the schedule is asked between two executions
    settings |= {"callbacks": callbacks, "steps_per_execution": together}
    trained = distillation.train(prepared, images, targets, seed=seed, updates=updates, **settings)
    for name in layers:
        prunable_layers(trained)[name].kernel.constraint = None
    return with_plain_zeros(trained)


def with_plain_zeros(model):
    """Turn the minus zeros among the kernels of a trained copy into zeros, in place, and return it.

    A negative weight times a mask's 0 is -0.0. It computes like 0, but a byte format that looks for the bits of zero does not find them.
    """
    for layer in prunable_layers(model).values():
        layer.kernel.assign(np.array(layer.kernel) + 0.0)
    return model


class _Multiply:
    """A constraint: the kernel times its mask."""

    def __init__(self, mask):
        self.mask = mask

    def __call__(self, kernel):
        return kernel * self.mask

"""Magnitude pruning: the weights closest to zero become zero, and stay zero while the network is trained on.

A mask has the shape of its weights; True is kept.
"""

from collections.abc import Callable, Iterable, Mapping

import numpy as np

from kdcourse import checks, measure, training
from kdcourse.anatomy import checked_graph, copied, kernel_layers, kernels

from .schedules import checked_sparsity

SCOPES = ("layer", "global")


def magnitude_masks(weights: Mapping[str, np.ndarray], sparsity: float, scope: str = "layer") -> dict[str, np.ndarray]:
    """Return {name: mask}: the smallest magnitudes are cut.

    Args:
        weights: {name: array}, as `prunable` gives them.
        sparsity: the share of zeros, in [0, 1); of n weights exactly ``round(sparsity * n)`` are cut, of equal ones the first.
        scope: "layer" cuts this share from each array, "global" from all together, so that one array may lose more than another.

    Raises:
        ValueError: a sparsity outside [0, 1), an unknown scope, no weights, weights that are not finite.
    """
    sparsity = checked_sparsity(sparsity)
    checks.choice("scope", scope, SCOPES)
    if not isinstance(weights, Mapping) or not weights:
        checks.refuse("weights", "a dict of at least one array", checks.shown(weights))
    weights = {name: _magnitudes(name, w) for name, w in weights.items()}
    if scope == "layer":
        return {name: _mask(w, sparsity) for name, w in weights.items()}
    together = _mask(np.concatenate([w.ravel() for w in weights.values()]), sparsity)
    parts = np.split(together, np.cumsum([w.size for w in weights.values()])[:-1])
    return {name: part.reshape(w.shape) for part, (name, w) in zip(parts, weights.items(), strict=True)}


def _magnitudes(name: str, weights) -> np.ndarray:
    weights = checks.array(f"weights[{name!r}]", weights, (...,))
    if weights.dtype.kind in "iub":
        weights = weights.astype(np.int64)  # in 8 bits, the magnitude of -128 is -128
    return np.abs(weights)


def _mask(magnitudes: np.ndarray, sparsity: float) -> np.ndarray:
    kept = np.ones(magnitudes.size, bool)
    kept[np.argsort(magnitudes, axis=None, kind="stable")[: round(sparsity * magnitudes.size)]] = False
    return kept.reshape(magnitudes.shape)


def with_masks(model, masks: Mapping[str, np.ndarray]):
    """Return a copy of `model` whose kernels are zero where their mask is False; layers without a mask stay as they are.

    Raises:
        ValueError: a mask for a layer that does not exist or has no such kernel, a mask of another shape or of other values
            than true and false, a subclassed model.
    """
    layers = kernel_layers(model)
    for name, mask in masks.items():
        checks.require(name in layers, f"masks must be for layers out of {list(layers)}, got one for {name!r}")
        shape = tuple(layers[name].kernel.shape)
        if (checked := checks.array(f"masks[{name!r}]", mask, shape)).dtype != bool and not np.isin(checked, (0, 1)).all():
            raise ValueError(f"masks[{name!r}] must hold True and False, or 1 and 0, got other numbers")
    new = copied(model)
    for name, layer in kernel_layers(new).items():
        if name in masks:
            layer.kernel.assign(np.where(masks[name], np.array(layer.kernel), 0))  # not `*`: NaN times 0 is NaN
    return new


def sensitivity(model, inputs, labels, sparsities: Iterable[float], layers: Iterable[str] | None = None) -> dict[str, list[float]]:
    """Return {layer: accuracies}: one layer at a time is pruned to each of `sparsities`, without training after it.

    Source: Li et al. 2017, "Pruning Filters for Efficient ConvNets", section 3.2; Han et al. 2015, section 4.

    Args:
        model: returns logits.
        inputs: shape ``(examples, ...)``; a validation split.
        labels: shape ``(examples,)``.
        sparsities: in [0, 1).
        layers: names; None takes all of `prunable`.

    Raises:
        ValueError: a sparsity outside [0, 1), a layer that does not exist, a model with nothing to prune, inputs and labels that differ
            in number, labels that are no class numbers.
    """
    sparsities, weights = [checked_sparsity(s, "sparsities: each") for s in sparsities], kernels(model)
    layers = list(weights) if layers is None else checks.names("layers", layers, weights)
    checks.same_rows(inputs=inputs, labels=labels)

    def accuracy(name, sparsity):
        pruned = with_masks(model, magnitude_masks({name: weights[name]}, sparsity))
        return measure.accuracy(training.logits(pruned, inputs), labels)

    return {name: [accuracy(name, sparsity) for sparsity in sparsities] for name in layers}


def train(
    model,
    inputs: np.ndarray,
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

    With ``schedule=None`` nothing is cut, and weights that are zero stay zero: fine-tuning of a pruned network. Constraints of the
    model's own, such as MaxNorm, hold as before; the masks come after them.

    Args:
        model: Keras 3, Sequential or functional, returns logits; it stays as it is.
        inputs: shape ``(examples, ...)``.
        targets: as `kdcourse.training.train` takes them: probabilities, or whatever `loss` needs. With `losses.pack` and
            `losses.distillation_loss` a teacher guides the training.
        schedule: `ConstantSparsity`, `PolynomialDecay`, `Staircase` or another function from the update to the sparsity.
        scope: "layer" or "global", see `magnitude_masks`.
        frequency: every so many updates the schedule is asked, and the masks are made anew.
        seed: of the order of the examples, and of dropout.
        updates: gradient steps.
        settings: the other arguments of `kdcourse.training.train`, such as learning_rate, loss, temperature, callbacks; but not
            steps_per_execution, which follows from `frequency`.

    Raises:
        ValueError: as `kdcourse.training.train`; a schedule that ends after the training, an unknown scope, a frequency below 1,
            steps_per_execution, a model with nothing to prune, a subclassed model.
    """
    if (library := checked_graph(model)).__name__ != "keras":
        raise ValueError("model must be a Keras 3 model, got one of tf_keras: keras_bridge.to_keras brings it over")
    kernel_layers(model)  # there is something to prune
    frequency, updates = checks.whole("frequency", frequency), checks.whole("updates", updates)
    checks.choice("scope", scope, SCOPES)
    if "steps_per_execution" in settings:
        raise ValueError(f"steps_per_execution must be left out, it follows from frequency, got {settings['steps_per_execution']!r}")
    fits = schedule is None or callable(schedule)
    checks.require(fits, f"schedule must be a function from the update to the sparsity, or None, got {checks.shown(schedule)}")
    if (end := getattr(schedule, "end", 0)) > updates:
        raise ValueError(f"schedule must end within the {updates} updates of the training, got end={end}")
    masks, own = {}, {}

    def prepared():
        new = copied(model)
        for name, layer in kernel_layers(new).items():
            # a variable, so that the compiled training sees each new mask
            masks[name] = library.Variable(np.array(layer.kernel) != 0, dtype="float32", trainable=False, name=f"{name}_mask")
            own[name] = layer.kernel.constraint
            layer.kernel.constraint = _Multiply(masks[name], own[name])  # the optimizer applies it after each update
        return new

    def cut(new, sparsity):
        weights = kernels(new)
        for name, mask in magnitude_masks(weights, sparsity, scope).items():
            masks[name].assign(mask & np.array(masks[name], bool))
            kernel_layers(new)[name].kernel.assign(weights[name] * np.array(masks[name]))

    class Pruner(library.callbacks.Callback):
        def on_train_batch_begin(self, update, logs=None):
            if update % frequency == 0:
                cut(self.model, checked_sparsity(schedule(update), "schedule: its sparsity"))

        def on_train_end(self, logs=None):
            cut(self.model, checked_sparsity(schedule(updates), "schedule: its sparsity"))  # where frequency does not meet the end

    callbacks = [*settings.pop("callbacks", ()), *([] if schedule is None else [Pruner()])]
    together = next(steps for steps in range(10, 0, -1) if frequency % steps == 0)  # the schedule is asked between two executions
    settings |= {"callbacks": callbacks, "steps_per_execution": together}
    trained = training.train(prepared, inputs, targets, seed=seed, updates=updates, **settings)
    for name, layer in kernel_layers(trained).items():
        layer.kernel.constraint = own[name]
    return with_plain_zeros(trained)


def with_plain_zeros(model):
    """Turn the minus zeros among the kernels of a trained copy into zeros, in place, and return it.

    A negative weight times a mask's 0 is -0.0. It computes like 0, but a byte format that looks for the bits of zero does not find them.
    """
    for layer in kernel_layers(model).values():
        layer.kernel.assign(np.array(layer.kernel) + 0.0)
    return model


class _Multiply:
    """A constraint: what the model's own one leaves of the kernel (None: all of it), times the mask."""

    def __init__(self, mask, own):
        self.mask, self.own = mask, own

    def __call__(self, kernel):
        return (kernel if self.own is None else self.own(kernel)) * self.mask

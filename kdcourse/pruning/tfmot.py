"""Magnitude pruning by the TensorFlow Model Optimization Toolkit (TFMOT), for Keras 3 models: it wraps only models of Keras 2.

TFMOT counts updates from 1: at step n, before the n-th update, it may make new masks, and it multiplies the weights by the masks. The
optimizer still moves weights that are masked, until the next step; so at new masks a weight that was gone can come back.
"""

from collections.abc import Iterable

import numpy as np

from kdcourse import distillation
from kdcourse.keras_bridge import keras_of, to_keras, to_tf_keras
from kdcourse.runtime import quiet_start

from .magnitude import ConstantSparsity, PolynomialDecay, prunable_layers, with_plain_zeros

PATTERNS = {"2:4": (2, 4)}


def train_with_tfmot(
    model,
    images: np.ndarray,
    targets,
    *,
    schedule: ConstantSparsity | PolynomialDecay | None = None,
    pattern: str | None = None,
    layers: Iterable[str] | None = None,
    frequency: int = 100,
    seed: int,
    updates: int,
    **settings,
):
    """Return a copy of a Keras 3 model that TFMOT pruned while it was trained on; zeros are zeros in its ordinary kernels.

    The copy crosses to Keras 2 (`kdcourse.keras_bridge.to_tf_keras`), its layers are wrapped (``prune_low_magnitude``), it is trained with
    TFMOT's callback ``UpdatePruningStep``, unwrapped (``strip_pruning``), and crosses back.

    Give a `schedule` or a `pattern`:

    - `ConstantSparsity` becomes TFMOT's, with begin_step=begin. Begin 0 is step 1, the first there is: as it stands, TFMOT would cut for
      the first time at step `frequency`, or never.
    - `PolynomialDecay` becomes TFMOT's, with initial_sparsity, final_sparsity, begin_step, end_step and power. New masks come at begin,
      begin + frequency, and so on. Left alone, TFMOT stays below the final sparsity where `frequency` does not divide end - begin; here
      the masks are also made at the end.
    - pattern ``"2:4"`` zeroes 2 in each 4 neighbours along the **inputs** of a layer (kernel axis 0 of Dense, axis 2 of Conv2D: input
      channels at one place of the filter), once, at step 1. With inputs that are no multiple of 4, of the last 3 one is zeroed, of the
      last 2 or 1 none.

    Source: Zhu & Gupta 2017, "To prune, or not to prune"; for 2:4 Mishra et al. 2021, "Accelerating Sparse Deep Neural Networks".

    Args:
        model: Keras 3, Sequential or functional, of layers that cross the bridge; returns logits; it stays as it is.
        images: shape ``(examples, ...)``.
        targets: as `kdcourse.distillation.train` takes them: probabilities, or what `loss` needs (with `losses.pack` and
            `losses.distillation_loss` a teacher guides the training).
        schedule: it must end within `updates`.
        pattern: "2:4".
        layers: names of the layers to prune; None takes all that TFMOT can: Dense and Conv, not depthwise, and not Conv1DTranspose.
            With a pattern only Dense and Conv2D with at least 3 inputs.
        frequency: every so many updates the masks are made anew; a pattern does not use it.
        seed: of the order of the images, and of dropout.
        updates: gradient steps.
        settings: the other arguments of `kdcourse.distillation.train`, such as learning_rate, batch_size, temperature, loss, verbose.
            `callbacks` are of tf_keras.

    Raises:
        ValueError: as `kdcourse.distillation.train` and `to_tf_keras`; both or none of schedule and pattern, a schedule of another kind
            or one that ends after the training, an unknown pattern, a layer that does not exist or cannot be pruned, nothing to prune, a
            frequency below 1.
    """
    prunable = _prunable(model, pattern)
    if (schedule is None) == (pattern is None):
        raise ValueError(f"schedule or pattern must be given, one of the two, got schedule={schedule!r} and pattern={pattern!r}")
    if pattern is None and not isinstance(schedule, ConstantSparsity | PolynomialDecay):
        raise ValueError(f"schedule must be a ConstantSparsity or a PolynomialDecay, which TFMOT has, too, got {schedule!r}")
    if isinstance(frequency, bool) or not isinstance(frequency, int) or frequency < 1:
        raise ValueError(f"frequency must be an integer >= 1, got {frequency!r}")
    if pattern is None and isinstance(updates, int) and schedule.end > updates:
        raise ValueError(f"schedule must end within the {updates} updates of the training, got end={schedule.end}")
    if "steps_per_execution" in settings:
        raise ValueError(f"steps_per_execution must be left out, TFMOT needs 1, got {settings['steps_per_execution']!r}")
    names = set(_checked_names(layers, prunable))
    tfmot = _tfmot()
    how = {"sparsity_m_by_n": PATTERNS[pattern]} if pattern else {"pruning_schedule": _translated(schedule, frequency)}

    def wrapped():
        bridged = to_tf_keras(model)
        keras_2 = keras_of(bridged)

        def wrap(layer):
            if isinstance(layer, keras_2.Model):
                return keras_2.models.clone_model(layer, clone_function=wrap)
            return tfmot.prune_low_magnitude(layer, **how) if layer.name in names else layer

        return wrap(bridged)

    callbacks = [*settings.pop("callbacks", ()), tfmot.UpdatePruningStep()]
    settings |= {"callbacks": callbacks, "steps_per_execution": 1}
    trained = distillation.train(wrapped, images, targets, seed=seed, updates=updates, **settings)
    return with_plain_zeros(to_keras(tfmot.strip_pruning(trained)))


def _tfmot():
    """Return ``tensorflow_model_optimization.sparsity.keras``; Keras and TensorFlow are loaded first, as TFMOT changes what tf.keras is."""
    quiet_start()
    from tensorflow_model_optimization.sparsity import keras as tfmot

    return tfmot


def _prunable(model, pattern: str | None) -> dict:
    """Return {name: layer} of the layers that TFMOT can prune."""
    if pattern is not None and pattern not in PATTERNS:
        raise ValueError(f"pattern must be one of {list(PATTERNS)}, got {pattern!r}")
    found = {name: layer for name, layer in prunable_layers(model).items() if type(layer).__name__ != "Conv1DTranspose"}
    if pattern is not None:
        plain = {name: layer for name, layer in found.items() if type(layer).__name__ in ("Dense", "Conv2D")}
        found = {name: layer for name, layer in plain.items() if layer.kernel.shape[-2] > 2}
    if not found:
        which = f"the pattern {pattern}: a Dense or Conv2D with at least 3 inputs" if pattern else "TFMOT: a Dense or Conv"
        raise ValueError(f"model must have a layer for {which}, got none in {model.name!r}")
    return found


def _checked_names(layers, prunable: dict) -> list[str]:
    names = list(prunable) if layers is None else list(layers)
    if isinstance(layers, str) or not names:
        raise ValueError(f"layers must be a list of names out of {list(prunable)}, got {layers!r}")
    for name in names:
        if name not in prunable:
            raise ValueError(f"layers must be out of {list(prunable)}, got {name!r}")
    return names


def _translated(schedule, frequency: int):
    """Return TFMOT's schedule for ours."""
    import tensorflow as tf

    tfmot = _tfmot()
    if isinstance(schedule, ConstantSparsity):
        return tfmot.ConstantSparsity(schedule.sparsity, begin_step=max(1, schedule.begin), frequency=frequency)

    class ToTheEnd(tfmot.PolynomialDecay):
        """TFMOT's schedule, whose last masks are made at end_step, whatever the frequency."""

        def __call__(self, step):
            due, sparsity = super().__call__(step)
            return tf.logical_or(due, tf.equal(step, self.end_step)), sparsity

    return ToTheEnd(schedule.initial, schedule.final, schedule.begin, schedule.end, power=schedule.power, frequency=frequency)

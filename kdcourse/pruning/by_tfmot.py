"""Magnitude pruning by the TensorFlow Model Optimization Toolkit (TFMOT), for Keras 3 models (`kdcourse.tfmot`).

TFMOT counts updates from 1: at step n, before the n-th update, it may make new masks, and it multiplies the weights by the masks. The
optimizer still moves weights that are masked, until the next step; so at new masks a weight that was gone can come back.
"""

from collections.abc import Iterable

import numpy as np

from kdcourse import checks, tfmot
from kdcourse.anatomy import kernel_layers

from .magnitude import with_plain_zeros
from .schedules import ConstantSparsity, PolynomialDecay

PATTERNS = {"2:4": (2, 4)}


def train_with_tfmot(
    model,
    inputs: np.ndarray,
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
        inputs: shape ``(examples, ...)``.
        targets: as `kdcourse.training.train` takes them: probabilities, or what `loss` needs (with `losses.pack` and
            `losses.distillation_loss` a teacher guides the training).
        schedule: it must end within `updates`.
        pattern: "2:4".
        layers: names of the layers to prune; None takes all that TFMOT can: Dense and Conv, not depthwise, and not Conv1DTranspose.
            With a pattern only Dense and Conv2D with at least 3 inputs.
        frequency: every so many updates the masks are made anew; a pattern does not use it.
        seed: of the order of the examples, and of dropout.
        updates: gradient steps.
        settings: the other arguments of `kdcourse.training.train`, such as learning_rate, batch_size, temperature, loss, verbose.
            `callbacks` are of tf_keras.

    Raises:
        ValueError: as `kdcourse.training.train` and `to_tf_keras`; both or none of schedule and pattern, a schedule of another kind
            or one that ends after the training, an unknown pattern, a layer that does not exist or cannot be pruned, nothing to prune, a
            frequency below 1.
    """
    prunable = _prunable(model, pattern)
    if (schedule is None) == (pattern is None):
        raise ValueError(f"schedule or pattern must be given, one of the two, got schedule={schedule!r} and pattern={pattern!r}")
    frequency, updates = checks.whole("frequency", frequency), checks.whole("updates", updates)
    if pattern is None:
        if not isinstance(schedule, ConstantSparsity | PolynomialDecay):
            raise ValueError(f"schedule must be a ConstantSparsity or a PolynomialDecay, which TFMOT has, too, got {schedule!r}")
        checks.require(schedule.end <= updates, f"schedule must end within the {updates} updates of the training, got end={schedule.end}")
    names = list(prunable) if layers is None else checks.names("layers", layers, prunable)
    sparsity = tfmot.toolkit("sparsity")
    how = {"sparsity_m_by_n": PATTERNS[pattern]} if pattern else {"pruning_schedule": _translated(schedule, frequency)}
    pruned = tfmot.train(
        model,
        inputs,
        targets,
        wrap=lambda layer: sparsity.prune_low_magnitude(layer, **how) if layer.name in names else layer,
        strip=sparsity.strip_pruning,
        method_callbacks=[sparsity.UpdatePruningStep()],
        seed=seed,
        updates=updates,
        **settings,
    )
    return with_plain_zeros(pruned)


def _prunable(model, pattern: str | None) -> dict:
    """Return {name: layer} of the layers that TFMOT can prune."""
    if pattern is not None:
        checks.choice("pattern", pattern, PATTERNS)
    found = {name: layer for name, layer in kernel_layers(model).items() if type(layer).__name__ != "Conv1DTranspose"}
    if pattern is not None:
        plain = {name: layer for name, layer in found.items() if type(layer).__name__ in ("Dense", "Conv2D")}
        found = {name: layer for name, layer in plain.items() if layer.kernel.shape[-2] > 2}
    if not found:
        which = f"the pattern {pattern}: a Dense or Conv2D with at least 3 inputs" if pattern else "TFMOT: a Dense or Conv"
        raise ValueError(f"model must have a layer for {which}, got none in {model.name!r}")
    return found


def _translated(schedule, frequency: int):
    """Return TFMOT's schedule for ours."""
    import tensorflow as tf

    sparsity = tfmot.toolkit("sparsity")
    if isinstance(schedule, ConstantSparsity):
        return sparsity.ConstantSparsity(schedule.sparsity, begin_step=max(1, schedule.begin), frequency=frequency)

    class ToTheEnd(sparsity.PolynomialDecay):
        """TFMOT's schedule, whose last masks are made at end_step, whatever the frequency."""

        def __call__(self, step):
            due, share = super().__call__(step)
            return tf.logical_or(due, tf.equal(step, self.end_step)), share

    return ToTheEnd(schedule.initial, schedule.final, schedule.begin, schedule.end, power=schedule.power, frequency=frequency)

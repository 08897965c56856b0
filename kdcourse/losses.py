"""Losses for training a student; each is a function that ``compile`` takes."""

from collections.abc import Callable

from .runtime import quiet_start
from .soft_labels import checked_temperature


def soft_cross_entropy(temperature: float) -> Callable:
    """Return a Keras loss: ``T^2`` times the cross-entropy of the targets with ``softmax(logits / T)``.

    `targets` are probabilities (the teacher's soft labels at the same temperature), shape ``(batch, classes)``. The factor T^2 holds the
    size of the gradient when a high T changes (Hinton et al. 2015, section 2.1). At temperature 1 it is the plain cross-entropy.

    Raises:
        ValueError: `temperature` is not a finite number > 0.
    """
    temperature = checked_temperature(temperature)
    quiet_start()
    import keras

    def loss(targets, logits):
        return temperature**2 * keras.losses.categorical_crossentropy(targets, logits / temperature, from_logits=True)

    return loss

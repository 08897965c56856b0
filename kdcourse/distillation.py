"""Training a student on soft labels with the ordinary ``compile`` and ``fit`` of Keras."""

import gc
from collections.abc import Callable

import numpy as np

from .losses import tempered_cross_entropy
from .runtime import set_seed
from .soft_labels import checked_probabilities


def train(
    build: Callable,
    images: np.ndarray,
    targets: np.ndarray,
    *,
    seed: int,
    updates: int,
    temperature: float = 1.0,
    learning_rate: float = 2e-3,
    batch_size: int = 64,
    jitter: int = 0,
    verbose: int = 0,
):
    """Build a model and train it for a fixed number of updates; return it.

    The budget is counted in updates, not in epochs: 100 images and 3,000 images then cost the same, and a comparison is fair.

    Args:
        build: a function without arguments that returns a model with logits; it is called after the seed is set, so that arms with
            one seed start from the same weights.
        images: shape ``(examples, ...)``.
        targets: probabilities, shape ``(examples, classes)``, row i for image i: one-hot, smoothed, or a teacher's soft labels.
        seed: of the starting weights and of the order of the images.
        updates: gradient steps; Adam with a learning rate that falls from `learning_rate` to 0 along a cosine.
        temperature: divides the student's logits in the loss (see `kdcourse.losses`); the targets must have been made with the same.
        learning_rate: at the start.
        batch_size: images in one update.
        jitter: each time an image is used it is moved by up to so many pixels in both directions, black moves in; 0 leaves it in place.
        verbose: 1 shows Keras's progress bar.

    Raises:
        ValueError: different numbers of images and targets, targets that are no distributions, or a budget that is not positive.
    """
    images = np.asarray(images)
    targets = checked_probabilities(targets, "targets")
    if targets.ndim != 2 or len(targets) != len(images) or not len(images):
        raise ValueError(f"targets must have shape (examples, classes) with {len(images)} examples, at least 1, got shape {targets.shape}")
    for name, value, least in (("updates", updates, 1), ("batch_size", batch_size, 1), ("jitter", jitter, 0)):
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
            raise ValueError(f"{name} must be an integer >= {least}, got {value!r}")
    if not np.isscalar(learning_rate) or not 0 < learning_rate < np.inf:
        raise ValueError(f"learning_rate must be > 0 and finite, got {learning_rate!r}")
    loss = tempered_cross_entropy(temperature)
    gc.collect()  # models trained before are held in cycles: without this, a notebook's memory grows with every training
    set_seed(seed)
    import keras

    model = build()
    batches = _batches(images, targets, np.random.default_rng(seed), updates, batch_size, jitter)
    schedule = keras.optimizers.schedules.CosineDecay(learning_rate, updates)
    model.compile(optimizer=keras.optimizers.Adam(schedule), loss=loss, steps_per_execution=min(8, updates))
    model.fit(batches, shuffle=False, verbose=verbose)
    return model


def _batches(images, targets, order, updates, batch_size, jitter):
    """Return a tf.data.Dataset of `updates` batches: the images in a new random order each round, moved by `jitter` pixels."""
    import tensorflow as tf

    needed = updates * batch_size
    rows = np.concatenate([order.permutation(len(images)) for _ in range(-(-needed // len(images)))])[:needed]
    moves = order.integers(0, 2 * jitter + 1, (needed, 2)) if jitter else np.zeros((needed, 0), np.int64)
    images, targets = tf.constant(images, tf.float32), tf.constant(targets, tf.float32)
    if jitter:
        height, width = images.shape[1:3]
        images = tf.pad(images, [[0, 0], [jitter, jitter], [jitter, jitter], [0, 0]])

    def batch(row, move):
        x = tf.gather(images, row)
        if jitter:
            x = tf.gather(x, move[:, :1] + tf.range(height, dtype=tf.int64), axis=1, batch_dims=1)
            x = tf.gather(x, move[:, 1:] + tf.range(width, dtype=tf.int64), axis=2, batch_dims=1)
        return x, tf.gather(targets, row)

    return tf.data.Dataset.from_tensor_slices((rows, moves)).batch(batch_size).map(batch).prefetch(4)


def logits(model, images: np.ndarray) -> np.ndarray:
    """Return the model's logits for `images` as float32, shape ``(examples, classes)``, in batches, without dropout."""
    return np.concatenate([np.asarray(model(images[i : i + 500], training=False)) for i in range(0, len(images), 500)])

"""Builders of teachers and students for 28x28 digits, and the trained teacher that ships with the course.

Every model returns logits (no softmax at the end): a temperature divides logits, and a softmax that is already there cannot be
undone safely. Inputs are float32 images in [0, 1], shape ``(28, 28, 1)``.
"""

import json
from typing import NamedTuple

import numpy as np

from .files import data_path
from .runtime import quiet_start


class Logits(NamedTuple):
    """A model's logits for the three splits of a data set, float32, shape ``(examples, classes)`` each."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


def teacher_cnn(classes: int = 10, name: str = "teacher"):
    """Return the teacher: three blocks of convolutions with batch normalization, 73,114 parameters.

    Two 3x3 convolutions a block (16, 32, 64 filters), max pooling between the blocks, global average pooling, dropout 0.3, one dense layer.
    The momentum of batch normalization is 0.9: the default 0.99 is too slow for a few thousand digits.
    """
    quiet_start()
    import keras
    from keras import layers

    stack = [keras.Input((28, 28, 1))]
    for filters in (16, 32, 64):
        for _ in range(2):
            stack += [layers.Conv2D(filters, 3, padding="same", use_bias=False), layers.BatchNormalization(momentum=0.9), layers.ReLU()]
        stack.append(layers.MaxPooling2D() if filters < 64 else layers.GlobalAveragePooling2D())
    return keras.Sequential([*stack, layers.Dropout(0.3), layers.Dense(classes)], name=name)


def student_mlp(hidden: int = 32, classes: int = 10, name: str = "student"):
    """Return the smallest student that the course uses: one hidden layer, 25,450 parameters with 32 units.

    Parameters: ``785 * hidden + (hidden + 1) * classes``.

    Raises:
        ValueError: `hidden` is not a positive integer.
    """
    if not isinstance(hidden, int) or hidden < 1:
        raise ValueError(f"hidden must be an integer >= 1, got {hidden!r}")
    quiet_start()
    import keras
    from keras import layers

    stack = [keras.Input((28, 28, 1)), layers.Flatten(), layers.Dense(hidden, activation="relu"), layers.Dense(classes)]
    return keras.Sequential(stack, name=name)


def student_cnn(filters: int = 8, classes: int = 10, name: str = "student"):
    """Return a small convolutional student: two strided 3x3 convolutions, global average pooling, 1,418 parameters with 8 filters.

    Raises:
        ValueError: `filters` is not a positive integer.
    """
    if not isinstance(filters, int) or filters < 1:
        raise ValueError(f"filters must be an integer >= 1, got {filters!r}")
    quiet_start()
    import keras
    from keras import layers

    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(filters, 3, strides=2, padding="same", activation="relu"),
            layers.Conv2D(2 * filters, 3, strides=2, padding="same", activation="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(classes),
        ],
        name=name,
    )


TRAINED = {"mnist-5k-teacher": teacher_cnn, "mnist-5k-student": student_mlp}


def _checked_trained(name: str) -> str:
    if name not in TRAINED:
        raise ValueError(f"name must be one of {sorted(TRAINED)}, got {name!r}")
    return name


def load_trained(name: str):
    """Return a model that ships with the course, with its trained weights (see `provenance`).

    ``mnist-5k-teacher`` is `teacher_cnn`, ``mnist-5k-student`` is `student_mlp` trained on hard labels; both saw the training split of
    mnist-5k only.

    Raises:
        ValueError: an unknown name.
    """
    model = TRAINED[_checked_trained(name)](name=name)
    model.load_weights(data_path("teachers", f"{name}.weights.h5"))
    return model


def provenance(name: str) -> dict:
    """Return how a model that ships with the course was made: parameters, accuracy on each split, config, versions, command.

    Raises:
        ValueError: an unknown name.
    """
    return json.loads(data_path("teachers", f"{_checked_trained(name)}.json").read_text(encoding="utf-8"))


def load_logits(name: str) -> Logits:
    """Return the cached logits of a model that ships with the course (stored as float16), without loading TensorFlow.

    Raises:
        ValueError: an unknown name.
    """
    with np.load(data_path("teachers", f"{_checked_trained(name)}.npz"), allow_pickle=False) as file:
        return Logits(*(file[split].astype(np.float32) for split in Logits._fields))

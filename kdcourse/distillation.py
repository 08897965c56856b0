"""Students of teachers, beside the plain way: layers that are matched, and a teacher that is asked about every batch.

The plain way needs no room of its own. The teacher's answers are part of the data: `kdcourse.answers` asks it once and keeps what it said,
`kdcourse.losses.pack` puts it beside the labels, `kdcourse.training.train` (or a ``fit`` of your own) does the rest. `with_features` lets a
student match layers too. Where each epoch changes the images and kept answers would be wrong, `online_targets` asks the teacher about
every batch, and says what that costs.
"""

import time
from collections.abc import Mapping, Sequence

import numpy as np

from . import checks
from .anatomy import keras_of, taps
from .losses import labels_as_rows
from .runtime import quiet_start
from .training import answer_of, asked, asked_once


def with_features(student, hints: Mapping[str, Sequence[int] | None]):
    """Return a model that also gives what layers of the student gave, so that ``fit`` can match them with a teacher's.

    Its outputs are ``{"logits": ..., <layer>: ...}``: compile it with a dict of losses, e.g. ``{"logits": losses.distillation_loss(...),
    "block1": losses.hint}``. It shares the student's layers: when it has been trained, `student` has been, and is as plain as before.
    The projections belong to the new model alone and are left behind (FitNets, Romero et al. 2015).

    Args:
        student: a Keras 3 or tf_keras model, functional or a Sequential that begins with an Input.
        hints: for each layer of the student the shape of the teacher's features without the batch axis. ``(height, width, channels)``
            adds a trainable 1x1 convolution to that many channels, ``(units,)`` a dense layer without activation. None adds nothing: the
            features come as they are, for losses that take two widths (attention transfer, relational distillation).

    Raises:
        ValueError: an unknown layer, or a shape that a projection of the channels alone cannot reach.
    """
    keras = keras_of(student)
    if not isinstance(hints, Mapping) or not hints:
        raise ValueError(f"hints must be a dict of at least one layer of the student and its teacher's shape, got {hints!r}")
    inputs, (answer, *features) = taps(student, list(hints), "hints")
    found = {"logits": answer}
    for (name, shape), tensor in zip(hints.items(), features, strict=True):
        if shape is not None:
            own, shape = tuple(tensor.shape[1:]), tuple(shape) if isinstance(shape, Sequence) else (shape,)
            whole = all(isinstance(size, int | np.integer) and size > 0 for size in shape)
            if not whole or len(shape) not in (1, 3) or len(own) != len(shape) or own[:-1] != shape[:-1]:
                shapes = {layer.name: tuple(layer.output.shape[1:]) for layer in student.layers}
                raise ValueError(
                    f"hints[{name!r}] must be (height, width, channels) or (units,) and differ from the student's {own} in the last number "
                    f"only, got {shape}; the student's layers are {shapes}"
                )
            project = keras.layers.Dense if len(shape) == 1 else keras.layers.Conv2D
            tensor = project(shape[-1], *([1] if len(shape) == 3 else []), name=f"{name}_projection")(tensor)
        found[name] = tensor
    model = keras.Model(inputs, found, name=f"{student.name}_with_features")
    if keras.__name__ == "tf_keras":
        model.output_names = sorted(found)  # it names the losses in the history after layers; Keras 3 after the outputs
    return model


def online_targets(batches, teacher, *, verbose: int = 1):
    """Return the batches with the teacher's logits on exactly their images, packed as `losses.pack` does it.

    For images that change from epoch to epoch (augmentation): kept logits would then speak about other images than the student sees
    (Beyer et al. 2022, "consistent" teaching). The price: the teacher runs in every step, and the line that is printed names it. Where the
    images stay the same, `answers.outputs` asks once and costs nothing afterwards.

    Args:
        batches: a tf.data.Dataset of ``(images, labels)`` batches, the labels of shape ``(batch, classes)`` as probabilities, or zeros for
            no label. One batch is read to check and to time the teacher.
        teacher: a Keras 3 or tf_keras model; it is asked without dropout and is not trained.
        verbose: 1 prints what the teacher costs, 0 nothing.

    Warns:
        UserWarning: the teacher's logits look like probabilities.

    Raises:
        ValueError: batches of another form, labels that are neither distributions nor rows of zeros, or a teacher whose logits do not fit
            the labels or are not finite.
    """
    quiet_start()
    import tensorflow as tf

    spec = getattr(batches, "element_spec", None)
    if not isinstance(batches, tf.data.Dataset) or not isinstance(spec, tuple) or len(spec) < 2 or len(getattr(spec[1], "shape", ())) != 2:
        seen = spec or type(batches).__name__
        raise ValueError(f"batches must be a tf.data.Dataset of (images, labels), labels of shape (batch, classes), got {seen}")
    first = next(iter(batches), None)
    checks.require(first is not None, "batches must have at least one batch, got none")
    images, labels = first[0], first[1]
    classes = asked_once(teacher, images.numpy()).shape[1]
    if labels.shape[1] != classes:
        raise ValueError(f"batches must have labels of shape (batch, {classes}), as the teacher has {classes} classes, got {labels.shape}")
    labels_as_rows(labels.numpy(), len(images), classes)  # no distributions: found now, not in fit
    if verbose:
        print(_cost(teacher, images, int(batches.cardinality())))
    return asked(batches, teacher)


def _cost(teacher, images, steps: int) -> str:
    """Return one line about what a teacher costs that is asked in every step."""
    import tensorflow as tf

    ask, times = tf.function(lambda x: answer_of(teacher(x, training=False))), []
    for _ in range(4):
        began = time.perf_counter()
        ask(images).numpy()
        times.append(time.perf_counter() - began)
    seconds = min(times[1:])  # the first one builds the graph
    epoch = f", {seconds * steps:.1f} s an epoch of {steps} batches" if steps > 0 else ""
    return (
        f"The teacher now runs in every step: {1000 * seconds:.1f} ms a batch of {len(images)}{epoch}. "
        "Over E epochs that is E times what asking once and keeping the answers costs."
    )

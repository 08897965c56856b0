"""A model trained for a fixed number of updates, whatever it learns from: labels, a teacher's soft labels, or both.

The budget is counted in updates, not in epochs: 100 images and 3,000 images then cost the same, and a comparison is fair. Every training
of the course goes through `train`: an ordinary ``compile`` and ``fit`` of Keras, seeded, with Adam and a rate that falls along a cosine.
"""

import gc
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from . import checks
from .anatomy import check_names, input_dtype, keras_of
from .losses import pack, tempered_cross_entropy, unpack
from .runtime import set_seed
from .soft_labels import checked_probabilities, warn_if_probabilities

MOST_DRAWN = 2**28  # updates times batch_size: which example comes when is drawn beforehand, 8 bytes each


def train(
    build: Callable,
    inputs: np.ndarray,
    targets: np.ndarray | Mapping[str, np.ndarray],
    *,
    seed: int,
    updates: int,
    temperature: float = 1.0,
    learning_rate: float = 2e-3,
    batch_size: int = 64,
    jitter: int = 0,
    verbose: int = 0,
    loss: Callable | Mapping[str, Callable] | None = None,
    teacher=None,
    callbacks: Sequence = (),
    steps_per_execution: int = 8,
):
    """Build a model and train it for a fixed number of updates; return it.

    Args:
        build: a function without arguments that returns a model with logits (Keras 3 or tf_keras); it is called after the seed is set,
            so that arms with one seed start from the same weights.
        inputs: shape ``(examples, ...)``: what the model reads, images or the numbers of words.
        targets: without `loss`, probabilities, shape ``(examples, classes)``, row i for example i: one-hot, smoothed, or a teacher's soft
            labels. With `loss`, whatever it takes, row i for example i: `losses.pack` makes the targets of `losses.distillation_loss`.
        seed: of the starting weights and of the order of the examples.
        updates: gradient steps; Adam with a learning rate that falls from `learning_rate` to 0 along a cosine.
        temperature: divides the student's logits in the loss (see `kdcourse.losses`); the targets must have been made with the same.
            With `loss` it stays 1: the loss has a temperature of its own.
        learning_rate: at the start.
        batch_size: examples in one update.
        jitter: each time an image is used it is moved by up to so many pixels in both directions, black moves in; 0 leaves it in place.
        verbose: 1 shows Keras's progress bar.
        loss: a function of targets and logits, as ``compile`` takes it; for a model with several outputs (`distillation.with_features`) a
            dict of them by output, and `targets` is a dict with the same names.
        teacher: a model that is asked about every batch as it is, after the jitter (see `distillation.online_targets`). `targets` are
            then the labels, as `losses.pack` takes them, and `loss` gets them packed with the teacher's logits.
        callbacks: Keras callbacks of the model's own library.
        steps_per_execution: updates that run in one go; callbacks are called between them. Fewer are slower, the result is the same.

    Warns:
        UserWarning: the teacher's logits look like probabilities.

    Raises:
        ValueError: inputs that are not finite or do not fit the model, different numbers of inputs and targets, targets that are no
            distributions, are not finite or do not fit the loss, a teacher that does not fit them, a budget that is not positive or
            cannot be meant, a model with a name that TensorFlow refuses.
        FloatingPointError: the training ended in weights that are NaN or infinite.
    """
    inputs = checks.array("inputs", inputs, ("examples", ...))
    if keras_model := _is_model(build):
        raise ValueError(f"build must be a function that returns a model, got the model {keras_model!r}: write lambda: model")
    checks.whole("jitter", jitter, 0)
    checks.require(not jitter or inputs.ndim == 4, f"jitter must be 0 for inputs without the 4 axes of images, got {jitter}")
    updates, batch_size = checks.whole("updates", updates), checks.whole("batch_size", batch_size)
    if updates * batch_size > MOST_DRAWN:
        raise ValueError(f"updates times batch_size must be at most {MOST_DRAWN:,}, got {updates:,} times {batch_size:,}")
    steps_per_execution = checks.whole("steps_per_execution", steps_per_execution)
    learning_rate = checks.number("learning_rate", learning_rate, 0, open_low=True)
    if loss is None:
        checks.require(teacher is None, "loss must be given with a teacher, e.g. losses.distillation_loss(...), got None")
        targets, loss = checked_probabilities(targets, "targets"), tempered_cross_entropy(temperature)
        if targets.ndim != 2 or len(targets) != len(inputs):
            raise ValueError(f"targets must have shape (examples, classes) with {len(inputs)} examples, got shape {targets.shape}")
    else:
        targets = _checked_targets(targets, loss, len(inputs))
        checks.require(temperature == 1, f"temperature must stay 1 when loss is given, which has its own, got {temperature!r}")
    if teacher is not None:
        checks.require(not isinstance(loss, Mapping), "loss must be one function with a teacher, got a dict")
        answer = asked_once(teacher, inputs[:MOST_ASKED])
        targets, _ = unpack(pack(targets, np.zeros((len(inputs), answer.shape[1]))))  # checks the labels, and makes rows of numbers
    gc.collect()  # models trained before are held in cycles: without this, a notebook's memory grows with every training
    set_seed(seed)

    model = build()
    keras = keras_of(model, "build: what it returns")
    check_names(model)
    inputs = _as_read(inputs, model)
    batches = _batches(inputs, targets, np.random.default_rng(seed), updates, batch_size, jitter)
    if teacher is not None:
        batches = asked(batches, teacher)
    schedule = keras.optimizers.schedules.CosineDecay(learning_rate, updates)
    model.compile(optimizer=keras.optimizers.Adam(schedule), loss=loss, steps_per_execution=min(steps_per_execution, updates))
    model.fit(batches, shuffle=False, verbose=verbose, callbacks=list(callbacks))
    if not all(np.isfinite(weights).all() for weights in model.get_weights() if weights.dtype.kind == "f"):
        raise FloatingPointError(
            f"the training of {model.name} ended in weights that are NaN or infinite: lower learning_rate, which was {learning_rate:g}, or "
            "look at what the loss gives"
        )
    return model


def logits(model, inputs: np.ndarray) -> np.ndarray:
    """Return the model's logits for `inputs` as float32, shape ``(examples, classes)``, in batches, without dropout.

    Raises:
        ValueError: no inputs, or some that are not finite or that the model does not read.
    """
    keras_of(model)
    inputs = _as_read(checks.array("inputs", inputs, ("examples", ...)), model)
    parts = [np.asarray(answer_of(model(inputs[i : i + 500], training=False))) for i in range(0, len(inputs), 500)]
    return np.concatenate(parts).astype(np.float32, copy=False)


def answer_of(output):
    """Return the logits of what a model gave: all of it, or one of several outputs (`distillation.with_features`)."""
    return output["logits"] if isinstance(output, Mapping) else output


# A teacher that is asked about every batch

MOST_ASKED = 64  # examples that a teacher is tried out on


def asked_once(teacher, inputs) -> np.ndarray:
    """Return a teacher's logits for a few inputs, shape ``(examples, classes)``, after a look whether they can be a teacher's.

    Warns:
        UserWarning: they look like probabilities.

    Raises:
        ValueError: it is no model, or its answer is no row of finite logits for each input.
    """
    keras_of(teacher, "teacher")
    answer = np.asarray(answer_of(teacher(_as_read(np.asarray(inputs), teacher), training=False)))
    if answer.ndim != 2 or len(answer) != len(inputs):
        shape = f"({len(inputs)}, classes)"
        raise ValueError(f"teacher must answer {len(inputs)} inputs with logits of shape {shape}, got shape {answer.shape}")
    warn_if_probabilities(checks.finite("the teacher's logits", answer), "the teacher's logits")
    return answer


def asked(batches, teacher):
    """Return a tf.data.Dataset of ``(inputs, labels)`` with the teacher's logits beside the labels, as `losses.pack` puts them."""
    import tensorflow as tf

    def ask(inputs, labels, *weights):
        answer = tf.cast(answer_of(teacher(inputs, training=False)), tf.float32)
        tf.debugging.assert_all_finite(answer, "the teacher's logits must be finite")
        return inputs, tf.concat([tf.cast(labels, tf.float32), answer], -1), *weights

    return batches.map(ask).prefetch(2)


# What the model sees


def _is_model(build) -> str:
    """Return the name of a model that was given in place of a function; else nothing."""
    checks.require(callable(build), f"build must be a function without arguments that returns a model, got {checks.shown(build)}")
    try:
        keras_of(build)
    except ValueError:
        return ""
    return build.name


def _checked_targets(targets, loss, examples: int):
    """Return `targets` as an array or a dict of arrays that fits `loss`; floating numbers as float32."""
    several = isinstance(loss, Mapping)
    if several != isinstance(targets, Mapping):
        raise ValueError(f"targets must be {'a dict as loss is one' if several else 'an array'}, got {type(targets).__name__}")
    if several and set(targets) != set(loss):
        raise ValueError(f"targets must have the names of loss, {sorted(loss)}, got {sorted(targets)}")
    for what in loss.values() if several else [loss]:
        checks.require(callable(what), f"loss must be a function of targets and logits, or a dict of such functions, got {what!r}")
    checked = {}
    for key, values in (targets if several else {"": targets}).items():
        name = f"targets[{key!r}]" if several else "targets"
        values = checks.array(name, values, (examples, ...))
        checked[key] = values.astype(np.float32) if values.dtype.kind == "f" else values
    return checked if several else checked[""]


def _as_read(inputs: np.ndarray, model) -> np.ndarray:
    """Return `inputs` in the type that the model reads: int32 for numbers of words, else float32.

    Raises:
        ValueError: another shape than the model's, numbers of words that are no integers or beyond int32.
    """
    if len(getattr(model, "inputs", None) or ()) == 1:
        wanted = tuple(model.inputs[0].shape)
        if len(wanted) != inputs.ndim or any(want not in (None, got) for want, got in zip(wanted[1:], inputs.shape[1:], strict=True)):
            shape = checks.spelled(("examples", *("any" if size is None else size for size in wanted[1:])))
            raise ValueError(f"inputs must have shape {shape}, as {model.name} reads them, got shape {inputs.shape}")
    dtype = input_dtype(model) or ("int32" if inputs.dtype.kind in "iu" and inputs.dtype.itemsize > 1 else "float32")
    if not dtype.startswith(("int", "uint")):
        return inputs.astype(np.float32, copy=False)
    checks.require(inputs.dtype.kind in "iu", f"inputs must be integers, which {model.name} reads, got type {inputs.dtype}")
    least, most = int(inputs.min()), int(inputs.max())
    if least < 0 or most > np.iinfo(np.int32).max:
        raise ValueError(f"inputs must be numbers of words in 0..{np.iinfo(np.int32).max}, got {least if least < 0 else most}")
    return inputs.astype(np.int32, copy=False)


def _batches(inputs, targets, order, updates, batch_size, jitter):
    """Return a tf.data.Dataset of `updates` batches: the examples in a new random order each round, images moved by `jitter` pixels."""
    import tensorflow as tf

    needed = updates * batch_size
    rows = np.concatenate([order.permutation(len(inputs)) for _ in range(-(-needed // len(inputs)))])[:needed]
    moves = order.integers(0, 2 * jitter + 1, (needed, 2)) if jitter else np.zeros((needed, 0), np.int64)
    inputs = tf.constant(inputs)
    targets = tf.nest.map_structure(lambda values: tf.constant(values, tf.float32 if values.dtype.kind == "f" else None), targets)
    if jitter:
        height, width = inputs.shape[1:3]
        inputs = tf.pad(inputs, [[0, 0], [jitter, jitter], [jitter, jitter], [0, 0]])

    def batch(row, move):
        x = tf.gather(inputs, row)
        if jitter:
            x = tf.gather(x, move[:, :1] + tf.range(height, dtype=tf.int64), axis=1, batch_dims=1)
            x = tf.gather(x, move[:, 1:] + tf.range(width, dtype=tf.int64), axis=2, batch_dims=1)
        return x, tf.nest.map_structure(lambda values: tf.gather(values, row), targets)

    # drop_remainder drops nothing here; it says the size of a batch beforehand, and the loss then needs fewer operations
    return tf.data.Dataset.from_tensor_slices((rows, moves)).batch(batch_size, drop_remainder=True).map(batch).prefetch(4)

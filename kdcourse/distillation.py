"""A student trained on what a teacher says, with the ordinary ``compile`` and ``fit`` of Keras.

The teacher's answers are part of the data: `outputs` asks it once and keeps what it said, `kdcourse.losses.pack` puts it beside the
labels, `train` (or a ``fit`` of your own) does the rest. `with_features` lets a student match layers too. Where each epoch changes the
images and kept answers would be wrong, `online_targets` asks the teacher about every batch, and says what that costs.
"""

import gc
import hashlib
import json
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from .files import written_whole
from .keras_bridge import keras_of
from .losses import pack, tempered_cross_entropy, unpack
from .runtime import quiet_start, set_seed
from .soft_labels import checked_probabilities

LARGEST = float(np.finfo(np.float16).max)  # that a cache can hold


def train(
    build: Callable,
    images: np.ndarray,
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

    The budget is counted in updates, not in epochs: 100 images and 3,000 images then cost the same, and a comparison is fair.

    Args:
        build: a function without arguments that returns a model with logits (Keras 3 or tf_keras); it is called after the seed is set,
            so that arms with one seed start from the same weights.
        images: shape ``(examples, ...)``: what the model reads. Integers of more than 8 bits, numbers of words, stay integers.
        targets: without `loss`, probabilities, shape ``(examples, classes)``, row i for image i: one-hot, smoothed, or a teacher's soft
            labels. With `loss`, whatever it takes, row i for image i: `losses.pack` makes the targets of `losses.distillation_loss`.
        seed: of the starting weights and of the order of the images.
        updates: gradient steps; Adam with a learning rate that falls from `learning_rate` to 0 along a cosine.
        temperature: divides the student's logits in the loss (see `kdcourse.losses`); the targets must have been made with the same.
            With `loss` it stays 1: the loss has a temperature of its own.
        learning_rate: at the start.
        batch_size: images in one update.
        jitter: each time an image is used it is moved by up to so many pixels in both directions, black moves in; 0 leaves it in place.
        verbose: 1 shows Keras's progress bar.
        loss: a function of targets and logits, as ``compile`` takes it; for a model with several outputs (`with_features`) a dict of them
            by output, and `targets` is a dict with the same names.
        teacher: a model that is asked about every batch as it is, after the jitter (see `online_targets`). `targets` are then the labels,
            as `losses.pack` takes them, and `loss` gets them packed with the teacher's logits.
        callbacks: Keras callbacks of the model's own library.
        steps_per_execution: updates that run in one go; callbacks are called between them. Fewer are slower, the result is the same.

    Raises:
        ValueError: different numbers of images and targets, targets that are no distributions or not finite, targets that do not fit the
            loss, a teacher that does not fit them, or a budget that is not positive.
    """
    images = np.asarray(images)
    if loss is None:
        if teacher is not None:
            raise ValueError("loss must be given with a teacher, e.g. losses.distillation_loss(...), got None")
        targets = checked_probabilities(targets, "targets")
        if targets.ndim != 2 or len(targets) != len(images) or not len(images):
            expected = f"(examples, classes) with {len(images)} examples, at least 1"
            raise ValueError(f"targets must have shape {expected}, got shape {targets.shape}")
    else:
        targets = _checked_targets(targets, loss, len(images))
        if temperature != 1:
            raise ValueError(f"temperature must stay 1 when loss is given, which has its own, got {temperature!r}")
    counts = {"updates": updates, "batch_size": batch_size, "steps_per_execution": steps_per_execution, "jitter": jitter}
    for name, value in counts.items():
        least = 0 if name == "jitter" else 1
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
            raise ValueError(f"{name} must be an integer >= {least}, got {value!r}")
    if not np.isscalar(learning_rate) or not 0 < learning_rate < np.inf:
        raise ValueError(f"learning_rate must be > 0 and finite, got {learning_rate!r}")
    if teacher is not None:
        if isinstance(loss, Mapping):
            raise ValueError("loss must be one function with a teacher, got a dict")
        nothing = np.zeros((len(images), _classes(teacher, images[:1])))
        targets, _ = unpack(pack(targets, nothing))  # checks the labels, and makes rows of numbers
    if loss is None:
        loss = tempered_cross_entropy(temperature)
    gc.collect()  # models trained before are held in cycles: without this, a notebook's memory grows with every training
    set_seed(seed)

    model = build()
    keras = keras_of(model)
    batches = _batches(images, targets, np.random.default_rng(seed), updates, batch_size, jitter)
    if teacher is not None:
        batches = _asked(batches, teacher)
    schedule = keras.optimizers.schedules.CosineDecay(learning_rate, updates)
    model.compile(optimizer=keras.optimizers.Adam(schedule), loss=loss, steps_per_execution=min(steps_per_execution, updates))
    model.fit(batches, shuffle=False, verbose=verbose, callbacks=list(callbacks))
    return model


def _checked_targets(targets, loss, examples: int):
    """Return `targets` as an array or a dict of arrays that fits `loss`; floating numbers as float32."""
    several = isinstance(loss, Mapping)
    if several != isinstance(targets, Mapping):
        raise ValueError(f"targets must be {'a dict as loss is one' if several else 'an array'}, got {type(targets).__name__}")
    if several and set(targets) != set(loss):
        raise ValueError(f"targets must have the names of loss, {sorted(loss)}, got {sorted(targets)}")
    for what in loss.values() if several else [loss]:
        if not callable(what):
            raise ValueError(f"loss must be a function of targets and logits, or a dict of such functions, got {what!r}")
    checked = {}
    for name, values in (targets if several else {"": targets}).items():
        name, values = f"targets[{name!r}]" if several else "targets", np.asarray(values)
        if not values.ndim or len(values) != examples or not examples:
            raise ValueError(f"{name} must have a row for each of the {examples} images, at least 1, got shape {values.shape}")
        if values.dtype.kind not in "biuf":
            raise ValueError(f"{name} must be numbers, got {values.dtype}")
        if not np.isfinite(values).all():
            raise ValueError(f"{name} must be finite, got NaN or infinity in {int((~np.isfinite(values)).sum())} places")
        checked[name] = values.astype(np.float32) if values.dtype.kind == "f" else values
    return dict(zip(targets, checked.values(), strict=True)) if several else checked["targets"]


def _classes(teacher, images) -> int:
    """Return how many classes a teacher knows.

    Raises:
        ValueError: it is no model, or its answer to `images` is no row of finite logits for each.
    """
    keras_of(teacher)
    answer = np.asarray(_answer(teacher(images, training=False)))
    if answer.ndim != 2 or len(answer) != len(images):
        raise ValueError(
            f"teacher must answer {len(images)} images with logits of shape ({len(images)}, classes), got shape {answer.shape}"
        )
    _check_finite("the teacher's logits", answer)
    return answer.shape[1]


def _check_finite(what: str, values: np.ndarray) -> None:
    bad = int((~np.isfinite(values)).sum())
    if bad:
        raise ValueError(f"{what} must be finite, got NaN or infinity in {bad} of {values.size} places")


def _answer(output):
    """Return the logits of what a model gave: all of it, or one of several outputs (`with_features`)."""
    return output["logits"] if isinstance(output, Mapping) else output


def _batches(images, targets, order, updates, batch_size, jitter):
    """Return a tf.data.Dataset of `updates` batches: the images in a new random order each round, moved by `jitter` pixels."""
    import tensorflow as tf

    needed = updates * batch_size
    rows = np.concatenate([order.permutation(len(images)) for _ in range(-(-needed // len(images)))])[:needed]
    moves = order.integers(0, 2 * jitter + 1, (needed, 2)) if jitter else np.zeros((needed, 0), np.int64)
    words = images.dtype.kind in "iu" and images.dtype.itemsize > 1 and not jitter  # numbers of words stay whole; bytes are pixels
    images = tf.constant(images, tf.int32 if words else tf.float32)
    targets = tf.nest.map_structure(lambda values: tf.constant(values, tf.float32 if values.dtype.kind == "f" else None), targets)
    if jitter:
        height, width = images.shape[1:3]
        images = tf.pad(images, [[0, 0], [jitter, jitter], [jitter, jitter], [0, 0]])

    def batch(row, move):
        x = tf.gather(images, row)
        if jitter:
            x = tf.gather(x, move[:, :1] + tf.range(height, dtype=tf.int64), axis=1, batch_dims=1)
            x = tf.gather(x, move[:, 1:] + tf.range(width, dtype=tf.int64), axis=2, batch_dims=1)
        return x, tf.nest.map_structure(lambda values: tf.gather(values, row), targets)

    # drop_remainder drops nothing here; it says the size of a batch beforehand, and the loss then needs fewer operations
    return tf.data.Dataset.from_tensor_slices((rows, moves)).batch(batch_size, drop_remainder=True).map(batch).prefetch(4)


def logits(model, images: np.ndarray) -> np.ndarray:
    """Return the model's logits for `images` as float32, shape ``(examples, classes)``, in batches, without dropout."""
    return np.concatenate([np.asarray(_answer(model(images[i : i + 500], training=False))) for i in range(0, len(images), 500)])


def outputs(
    model,
    images: np.ndarray,
    *,
    features: Sequence[str] = (),
    cache: str | Path | None = None,
    batch_size: int = 500,
    verbose: int = 1,
) -> dict[str, np.ndarray]:
    """Ask a model once about all images; return its logits and what its layers `features` gave, float32.

    ``{"logits": (examples, classes), <layer>: (examples, ...)}``, without dropout, batch normalization as in use.

    With `cache` the answers are kept in a file, rounded to float16, and the same call reads them back. While they are computed, each
    batch is put down in the folder ``<cache>.parts`` as it comes: after an interruption the same call goes on from there. Fresh, read
    back, or interrupted and resumed, the answers are the same bit for bit (they are rounded in all three).

    Args:
        model: a Keras 3 or tf_keras model; with `features` it is functional, or a Sequential that begins with an Input.
        images: shape ``(examples, ...)``: what the model reads, tokens too.
        features: names of layers whose outputs are wanted.
        cache: a path that ends in .npz. The file knows the SHA-256 of the images, of the weights and of the architecture.
        batch_size: images asked about at a time; a run is resumed with the same.
        verbose: 1 shows a progress bar, 0 nothing.

    Raises:
        ValueError: no images, an unknown layer, answers that are not finite or, with `cache`, beyond float16's 65,504; a cache that was
            made from other images or by another model, or is damaged.
    """
    images = np.asarray(images)
    if not images.ndim or not len(images) or images.dtype.kind not in "biuf":
        raise ValueError(f"images must be an array of numbers with at least 1 example, got {images.dtype} of shape {images.shape}")
    if isinstance(batch_size, bool) or not isinstance(batch_size, int | np.integer) or batch_size < 1:
        raise ValueError(f"batch_size must be an integer >= 1, got {batch_size!r}")
    if isinstance(features, str) or len(set(features)) < len(features):
        raise ValueError(f"features must be a list of different names of layers, got {features!r}")
    if cache is not None and Path(cache).suffix != ".npz":
        raise ValueError(f"cache must be a path that ends in .npz, got {str(cache)!r}")
    quiet_start()
    import keras

    names, asked = ["logits", *features], model
    if features:
        inputs, answers = _graph(model, features, "features")
        asked = keras_of(model).Model(inputs, dict(zip(names, answers, strict=True)))
    else:
        keras_of(model)

    if cache is not None:
        if not model.built:
            model(images[:1], training=False)  # only now it has weights, which the key needs
        kept = _Cache(Path(cache), _key(model, images, features, batch_size), names)
        if kept.path.exists():
            return kept.read(len(images))
        kept.open_parts()
    starts = range(0, len(images), batch_size)
    bar = keras.utils.Progbar(len(starts), verbose=verbose, unit_name="batch")
    parts = []
    for done, start in enumerate(starts, 1):
        batch = images[start : start + batch_size]
        part = kept.part(start, len(batch)) if cache is not None else None
        if part is None:
            answer = asked(batch, training=False)
            if not features:
                answer = {"logits": _answer(answer)}
            part = {name: np.asarray(answer[name], np.float32) for name in names}
            if part["logits"].ndim != 2 or len(part["logits"]) != len(batch):
                shape = part["logits"].shape
                raise ValueError(f"model must answer {len(batch)} images with logits of shape ({len(batch)}, classes), got shape {shape}")
            for name, values in part.items():
                _check_finite(f"the model's {name} for images {start} to {start + len(batch) - 1}", values)
            if cache is not None:
                part = kept.keep(start, part)
        parts.append(part)
        bar.update(done)
    found = {name: np.concatenate([part[name] for part in parts]) for name in names}
    if cache is not None:
        kept.close(found)
    return {name: values.astype(np.float32, copy=False) for name, values in found.items()}


class _Cache:
    """A model's answers in a file: float16 arrays and the key that says what they were made from; a folder of parts until it is whole."""

    def __init__(self, path: Path, key: dict, names: list[str]):
        self.path, self.key, self.names = path, key, names
        self.parts = path.with_name(path.name + ".parts")

    def read(self, examples: int) -> dict[str, np.ndarray]:
        """Return the answers of a whole cache that belongs to the key."""
        cause = None
        try:
            with np.load(self.path, allow_pickle=False) as file:
                self._refuse_other(self.path, str(file["key"]), self.key.keys() - {"batch_size"})  # whole, it does not matter how it came
                found = {name: file[f"output_{i}"] for i, name in enumerate(self.names)}
        except _OtherCache:
            raise
        except Exception as error:  # a damaged archive raises almost anything
            found, cause = {}, error
        if not found or any(len(values) != examples for values in found.values()):
            raise ValueError(f"cache {self.path} is damaged or was not made by outputs(); delete it to ask the model again") from cause
        shutil.rmtree(self.parts, ignore_errors=True)  # a run that was killed after its last step leaves them
        return {name: values.astype(np.float32) for name, values in found.items()}

    def _refuse_other(self, path: Path, text: str, what) -> None:
        key = json.loads(text)
        other = [name for name in self.key if name in what and key[name] != self.key[name]]
        if other:
            what = " and other ".join(other)
            raise _OtherCache(f"cache {path} was made with other {what}; delete it to ask the model again, or give another path")

    def open_parts(self) -> None:
        """Make the folder of parts, or take up one that belongs to the key."""
        label = self.parts / "key.json"
        if label.exists():
            try:
                self._refuse_other(self.parts, label.read_text(encoding="utf-8"), self.key.keys())
            except (json.JSONDecodeError, UnicodeDecodeError, TypeError, KeyError) as error:
                raise ValueError(f"cache {self.parts} is damaged; delete it to ask the model again") from error
        else:
            with written_whole(label) as temporary:
                temporary.write_text(json.dumps(self.key), encoding="utf-8")

    def part(self, start: int, examples: int) -> dict[str, np.ndarray] | None:
        """Return the part that begins at image `start`, or None if it is not there whole."""
        try:
            with np.load(self.parts / f"{start:09}.npz", allow_pickle=False) as file:
                found = {name: file[f"output_{i}"] for i, name in enumerate(self.names)}
        except Exception:  # missing or damaged: it is computed again
            return None
        return found if all(len(values) == examples for values in found.values()) else None

    def keep(self, start: int, answers: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Write a part; return it as it was written."""
        for name, values in answers.items():
            largest = np.abs(values).max(initial=0)
            if largest > LARGEST:
                raise ValueError(f"{name} must be within {LARGEST:,.0f} of 0 to be kept as float16, got {largest:,.0f}; call without cache")
        answers = {name: values.astype(np.float16) for name, values in answers.items()}
        self._write(self.parts / f"{start:09}.npz", answers)
        return answers

    def close(self, answers: dict[str, np.ndarray]) -> None:
        """Write the whole cache, then remove the parts."""
        self._write(self.path, answers)
        shutil.rmtree(self.parts, ignore_errors=True)

    def _write(self, path: Path, answers: dict[str, np.ndarray]) -> None:
        arrays = {f"output_{i}": answers[name] for i, name in enumerate(self.names)}
        with written_whole(path) as temporary:
            np.savez_compressed(temporary, key=np.array(json.dumps(self.key)), **arrays)


class _OtherCache(ValueError):
    """A cache that belongs to something else."""


def _key(model, images: np.ndarray, features: Sequence[str], batch_size: int) -> dict:
    """Return what a model's answers depend on; the arrays as SHA-256."""
    positions = {layer.name: i for i, layer in enumerate(getattr(model, "layers", []))}
    return {
        "images": _sha256([images]),
        "weights": _sha256(model.get_weights()),
        "architecture": hashlib.sha256(json.dumps(_architecture(model), sort_keys=True).encode()).hexdigest(),
        "features": [positions[name] for name in features],
        "batch_size": int(batch_size),
    }


def _sha256(arrays) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype} {array.shape} ".encode())
        digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8))
    return digest.hexdigest()


def _architecture(model):
    """Return the model's config without what differs from one building to the next: Keras numbers its names through."""
    try:
        config = json.loads(json.dumps(model.get_config(), default=lambda other: getattr(other, "__name__", type(other).__name__)))
    except NotImplementedError:  # a model class of one's own: its name and weights have to do
        config = {}
    order = {}

    def collect(node):
        if isinstance(node, dict):
            if isinstance(node.get("name"), str):
                order.setdefault(node["name"], f"#{len(order)}")
            for child in node.values():
                collect(child)
        elif isinstance(node, list):
            for child in node:
                collect(child)

    def renamed(node):
        if isinstance(node, dict):
            return {key: renamed(child) for key, child in node.items() if key != "shared_object_id"}
        if isinstance(node, list):
            return [renamed(child) for child in node]
        return order.get(node, node) if isinstance(node, str) else node

    collect(config)
    return [type(model).__qualname__, renamed(config)]


def _graph(model, layers: Sequence[str], argument: str):
    """Return the model's input tensors, and its logits with the outputs of the layers named."""
    keras_of(model)
    try:
        (*inputs,), (answer, *more) = model.inputs, model.outputs
    except (AttributeError, TypeError, ValueError) as error:
        raise ValueError(f"{argument} need a functional model, or a Sequential with an Input; {model.name} is neither") from error
    if more:
        raise ValueError(f"model must have one output, the logits, got {len(more) + 1}")
    known = {layer.name: layer for layer in model.layers}
    for name in layers:
        if name not in known or name == "logits":
            others = [other for other in known if other != "logits"]
            raise ValueError(f"{argument} must name layers of {model.name}, which are {others}, got {name!r}")
    try:
        return inputs if len(inputs) > 1 else inputs[0], [answer, *(known[name].output for name in layers)]
    except (AttributeError, ValueError) as error:
        raise ValueError(f"{argument} must name layers that are used once, got {list(layers)}: {error}") from error


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
    inputs, (answer, *features) = _graph(student, list(hints), "hints")
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
    images stay the same, `outputs` asks once and costs nothing afterwards.

    Args:
        batches: a tf.data.Dataset of ``(images, labels)`` batches, the labels of shape ``(batch, classes)`` as probabilities, or zeros for
            no label. One batch is read to check and to time the teacher.
        teacher: a Keras 3 or tf_keras model; it is asked without dropout and is not trained.
        verbose: 1 prints what the teacher costs, 0 nothing.

    Raises:
        ValueError: batches of another form, or a teacher whose logits do not fit the labels or are not finite.
    """
    quiet_start()
    import tensorflow as tf

    spec = getattr(batches, "element_spec", None)
    if not isinstance(batches, tf.data.Dataset) or not isinstance(spec, tuple) or len(spec) < 2 or len(getattr(spec[1], "shape", ())) != 2:
        seen = spec or type(batches).__name__
        raise ValueError(f"batches must be a tf.data.Dataset of (images, labels), labels of shape (batch, classes), got {seen}")
    first = next(iter(batches), None)
    if first is None:
        raise ValueError("batches must have at least one batch, got none")
    images, labels = first[0], first[1]
    classes = _classes(teacher, images)
    if labels.shape[1] != classes:
        raise ValueError(f"batches must have labels of shape (batch, {classes}), as the teacher has {classes} classes, got {labels.shape}")
    if verbose:
        print(_cost(teacher, images, int(batches.cardinality())))
    return _asked(batches, teacher)


def _cost(teacher, images, steps: int) -> str:
    """Return one line about what a teacher costs that is asked in every step."""
    import tensorflow as tf

    ask, times = tf.function(lambda x: _answer(teacher(x, training=False))), []
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


def _asked(batches, teacher):
    import tensorflow as tf

    def ask(images, labels, *weights):
        answer = tf.cast(_answer(teacher(images, training=False)), tf.float32)
        tf.debugging.assert_all_finite(answer, "the teacher's logits must be finite")
        return images, tf.concat([tf.cast(labels, tf.float32), answer], -1), *weights

    return batches.map(ask).prefetch(2)

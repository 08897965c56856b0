"""The losses of distillation: pure functions of arrays or tensors, and two makers of losses for ``compile``.

Names, the same all the way: v = the teacher's logits, z = the student's logits, T = the temperature (> 0), C = the number of classes.

**What alpha weighs.** ``alpha`` in [0, 1] weighs the teacher's term, ``1 - alpha`` the labels' term::

    total = (1 - alpha) * hard + alpha * soft

alpha = 0 is plain training on the labels; alpha = 1 is the teacher alone.

**The pure functions** take NumPy arrays or TensorFlow tensors (of Keras 3 and of tf_keras alike), eagerly or inside ``tf.function``.
They compute in float32 whatever precision comes in, and return one number for each example, shape ``(batch,)``. Logits have shape
``(batch, classes)``, labels too: one-hot rows or probabilities; a row of zeros means "no label". The teacher always comes before the
student. Gradients flow into both; a teacher that is trained at the same time needs ``keras.ops.stop_gradient`` around its output.
Each of them raises ValueError when shapes differ, and when a temperature is not a finite number > 0 or a weight is out of its range.

**Packed targets** carry labels and the teacher's logits through ``fit`` in one array: `pack` makes them, `distillation_loss` reads them.
"""

import functools
import inspect
from collections.abc import Callable

import numpy as np

from . import checks
from .runtime import quiet_start
from .soft_labels import checked_logits, checked_temperature, one_hot, warn_if_probabilities

_MASKED = -1e30  # a logarithm that exp turns into 0; not -inf, because 0 * inf is NaN, in the gradient as well
_TINY = 1e-30  # below this a sum of squares counts as 0


@functools.cache
def _ops():
    """Return keras.ops; the import waits until a loss is computed, so that importing this module costs nothing."""
    quiet_start()
    import keras

    return keras.ops


# Packed targets


def pack(labels, teacher_logits) -> np.ndarray:
    """Return labels and teacher logits side by side, float32, shape ``(examples, 2 * classes)``: the targets of `distillation_loss`.

    Args:
        labels: integers of shape ``(examples,)``, -1 for "no label"; or probabilities of shape ``(examples, classes)``, a row of zeros for
            "no label". They become the first half of the columns: one-hot, or as given.
        teacher_logits: shape ``(examples, classes)``, row i for example i. They become the second half, unchanged.

    Warns:
        UserWarning: `teacher_logits` look like probabilities: nowhere negative, and every row sums to 1 (within 0.001).

    Raises:
        ValueError: shapes or class counts that differ, labels out of range or no distributions, logits that are NaN or infinite.
    """
    logits = checks.array("teacher_logits", teacher_logits, ("examples", "classes"), dtype=np.float32)
    checked_logits(logits, "teacher_logits")  # of two classes or more
    warn_if_probabilities(logits, "teacher_logits")
    return np.concatenate([labels_as_rows(labels, *logits.shape), logits], axis=1, dtype=np.float32)


def labels_as_rows(labels, examples: int, classes: int) -> np.ndarray:
    """Return `labels` as rows of probabilities, or of zeros for "no label", float64, shape ``(examples, classes)``; see `pack`.

    Raises:
        ValueError: another shape, labels out of range or no distributions.
    """
    array = np.asarray(labels)
    if array.shape not in ((examples,), (examples, classes)):
        raise ValueError(f"labels must have shape ({examples},) or ({examples}, {classes}) like teacher_logits, got shape {array.shape}")
    if array.ndim == 1:
        known = checks.labels("labels", array, classes, examples, unknown=True)
        return one_hot(np.maximum(known, 0), classes) * (known >= 0)[:, None]
    rows = checked_logits(array, "labels")
    sums = rows.sum(-1)
    if (rows < 0).any() or not np.isclose(sums[sums != 0], 1, rtol=0, atol=1e-4).all():
        got = f"a smallest value of {rows.min():.4g} and sums from {sums.min():.4g} to {sums.max():.4g}"
        checks.refuse("labels", ">= 0 and each row must sum to 1, or to 0 for no label", got)
    return rows


def unpack(targets) -> tuple:
    """Return ``(labels, teacher_logits)``, each of shape ``(examples, classes)``, from packed targets: an array or a tensor.

    Raises:
        ValueError: an odd number of columns, or fewer than 4 (2 classes).
    """
    targets = targets if hasattr(targets, "shape") else np.asarray(targets)
    columns = targets.shape[-1] if targets.shape else 0
    if columns is None or columns < 4 or columns % 2:
        raise ValueError(f"targets must have 2 columns for each of at least 2 classes (see losses.pack), got {columns} columns")
    return targets[..., : columns // 2], targets[..., columns // 2 :]


# Checks and pieces that several losses share


def _float32(**arrays) -> list:
    """Return the arrays as float32 tensors.

    Raises:
        ValueError: they are no numbers, do not have one shape (axes of unknown size fit any), or have no axis; the sentence names the
            first that differs.
    """
    tensors = {}
    for name, array in arrays.items():
        try:
            tensors[name] = _ops().convert_to_tensor(array, dtype="float32")
        except (TypeError, ValueError):
            checks.refuse(name, "numbers in an array or a tensor", checks.shown(array))
    (first, *_), shapes = tensors, {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    for name, shape in shapes.items():
        if not shape or not _fits(shape, shapes[first]):
            raise ValueError(f"{name} must have the shape of {first} {shapes[first]} and at least one axis, got shape {shape}")
    return list(tensors.values())


def _fits(shape: tuple, other: tuple) -> bool:
    return len(shape) == len(other) and all(a == b or None in (a, b) for a, b in zip(shape, other, strict=True))


def _mean_square(difference):
    """Return the mean square over all axes but the first."""
    return _ops().mean(_ops().square(difference), axis=tuple(range(1, len(difference.shape))))


def _kl(log_p, log_q):
    """Return KL(p || q) over the last axis from logarithms: where p is 0, its finite logarithm adds 0."""
    return _ops().sum(_ops().exp(log_p) * (log_p - log_q), axis=-1)


def _length(array, axis):
    """Return the L2 norm over `axis`, axes kept. At 0 its gradient is 0: sqrt alone has no finite slope there, and where() hides no NaN."""
    ops = _ops()
    square = ops.sum(ops.square(array), axis=axis, keepdims=True)
    return ops.where(square > _TINY, ops.sqrt(ops.where(square > _TINY, square, 1.0)), 0.0)


def _divided(array, by):
    """Return array / by, and 0, with a gradient of 0, where `by` is 0."""
    ops = _ops()
    return ops.where(by > 0, array / ops.where(by > 0, by, 1.0), 0.0)


# Labels alone


def cross_entropy(probabilities, logits):
    """Return the cross-entropy ``-sum_i y_i log softmax(z)_i`` of the probabilities y: the hard loss when the rows are one-hot.

    A row of zeros means "no label": its loss and its gradient are 0.
    """
    logits, probabilities = _float32(logits=logits, probabilities=probabilities)
    ops = _ops()
    # The fused operation's gradient is softmax(z) - y, right only for rows that sum to 1: the rows of zeros are taken out.
    loss = ops.categorical_crossentropy(probabilities, logits, from_logits=True)
    return ops.where(ops.any(probabilities > 0, axis=-1), loss, ops.zeros_like(loss))


def smoothed_cross_entropy(labels, logits, smoothing: float):
    """Return the cross-entropy with ``(1 - smoothing) * y + smoothing / C``; a row of zeros stays without a loss.

    Label smoothing is distillation from a virtual teacher that knows nothing and answers evenly: the same number is
    ``(1 - smoothing) * cross_entropy(y, z) + smoothing * cross_entropy(1 / C, z)``.
    Source: Szegedy et al. 2016, "Rethinking the Inception Architecture for Computer Vision", section 7; the virtual teacher:
    Yuan et al. 2020, "Revisiting Knowledge Distillation via Label Smoothing Regularization".

    Args:
        smoothing: in [0, 1]: the share of the target that is spread evenly; 0 is the plain cross-entropy.
    """
    smoothing = checks.number("smoothing", smoothing, 0, 1)
    logits, labels = _float32(logits=logits, labels=labels)
    spread = _ops().mean(labels, axis=-1, keepdims=True)  # 1 / C, and 0 for a row of zeros
    return cross_entropy((1 - smoothing) * labels + smoothing * spread, logits)


# The teacher's logits


def soft_cross_entropy(teacher_logits, student_logits, temperature: float):
    """Return ``T^2`` times the cross-entropy of ``softmax(v / T)`` with ``softmax(z / T)``.

    It is `kl_divergence` plus T^2 times the entropy of the teacher, which no student can change: the two have one gradient.
    Source: Hinton, Vinyals, Dean 2015, "Distilling the Knowledge in a Neural Network", section 2.

    Args:
        temperature: T > 0; a higher one shows more of the small probabilities. The factor T^2 holds the size of the gradient, so that
            alpha keeps its meaning when T changes.
    """
    log_p, log_q = _log_probabilities(teacher_logits, student_logits, temperature)
    return -(temperature**2) * _ops().sum(_ops().exp(log_p) * log_q, axis=-1)


def kl_divergence(teacher_logits, student_logits, temperature: float):
    """Return ``T^2 * KL(softmax(v / T) || softmax(z / T))``: >= 0, and 0 where the two distributions are equal.

    At high T its gradient tends to ``(z - v) / C`` for logits of mean 0 (Hinton et al. 2015, equation 4): matching logits.
    It is a small difference of larger numbers in float32: read differences below about ``T^2 * 1e-7`` as 0.
    Source: Hinton, Vinyals, Dean 2015, "Distilling the Knowledge in a Neural Network", section 2.
    """
    log_p, log_q = _log_probabilities(teacher_logits, student_logits, temperature)
    return temperature**2 * _kl(log_p, log_q)


def _log_probabilities(teacher_logits, student_logits, temperature):
    """Return log softmax(v / T) and log softmax(z / T)."""
    temperature = checked_temperature(temperature)
    student, teacher = _float32(student_logits=student_logits, teacher_logits=teacher_logits)
    return _ops().log_softmax(teacher / temperature), _ops().log_softmax(student / temperature)


def mse_logits(teacher_logits, student_logits):
    """Return the mean over the classes of ``(z - v)^2``.

    There is no temperature, and no softmax: a constant added to all logits of a row counts, although it changes no probability.
    Source: Ba, Caruana 2014, "Do Deep Nets Really Need to be Deep?"; before it Bucilua, Caruana, Niculescu-Mizil 2006, "Model Compression".
    """
    student, teacher = _float32(student_logits=student_logits, teacher_logits=teacher_logits)
    return _ops().mean(_ops().square(student - teacher), axis=-1)


def mse_probabilities(teacher_logits, student_logits, temperature: float = 1.0):
    """Return ``T^2`` times the mean over the classes of ``(softmax(z / T) - softmax(v / T))^2``; at the default of T the factor is 1.

    The factor T^2 is there as in `kl_divergence`, and for the same reason: without it the gradient falls with 1 / T^2. Unlike the
    cross-entropy, this loss goes flat where the student is sure and wrong: the softmax's slope is 0 there.
    Source: the Brier score (Brier 1950, "Verification of Forecasts Expressed in Terms of Probability") with the teacher as the truth,
    divided by C.
    """
    log_p, log_q = _log_probabilities(teacher_logits, student_logits, temperature)
    return temperature**2 * _ops().mean(_ops().square(_ops().exp(log_q) - _ops().exp(log_p)), axis=-1)


def cross_entropy_with_mse(labels, teacher_logits, student_logits, weight: float = 0.5):
    """Return ``cross_entropy(y, z) + weight * mse_probabilities(v, z)``, weight >= 0: a recipe as it is often printed.

    It has no temperature. The second term is small beside the first: it is at most 2 / C, for C classes.
    """
    weight = checks.number("weight", weight, 0)
    return cross_entropy(labels, student_logits) + weight * mse_probabilities(teacher_logits, student_logits)


# Decoupled distillation


def target_kl(labels, teacher_logits, student_logits, temperature: float):
    """Return how far teacher and student differ on "the target class or another?", without a factor T^2.

    ``KL((p_t, 1 - p_t) || (q_t, 1 - q_t))`` with ``p = softmax(v / T)``, ``q = softmax(z / T)`` and t the target class: the largest
    entry of the label's row, for a row of zeros the teacher's first choice. ``KL(p || q) = target_kl + (1 - p_t) * non_target_kl``.
    Source: Zhao et al. 2022, "Decoupled Knowledge Distillation", section 3.1 (TCKD).
    """
    return _decoupled(labels, teacher_logits, student_logits, temperature)[0]


def non_target_kl(labels, teacher_logits, student_logits, temperature: float):
    """Return how far teacher and student differ on the classes that are not the target (see `target_kl`), without a factor T^2.

    The KL divergence of the two softmaxes taken over the other ``C - 1`` classes alone; 0 for two classes.
    Source: Zhao et al. 2022, "Decoupled Knowledge Distillation", section 3.1 (NCKD).
    """
    return _decoupled(labels, teacher_logits, student_logits, temperature)[1]


def decoupled(labels, teacher_logits, student_logits, temperature: float, target_weight: float = 1.0, non_target_weight: float = 8.0):
    """Return ``T^2 * (target_weight * target_kl + non_target_weight * non_target_kl)``.

    In the KL divergence the second part has the weight 1 - p_t: the surer the teacher is, the less it says about the other classes.
    Here its weight is a constant that one can choose.
    Source: Zhao et al. 2022, "Decoupled Knowledge Distillation", section 3.3 (alpha and beta there are the two weights).

    Args:
        target_weight: >= 0; 1 in the paper.
        non_target_weight: >= 0; the paper chooses it for each pair of networks, 8 for its main example.
    """
    target_weight = checks.number("target_weight", target_weight, 0)
    non_target_weight = checks.number("non_target_weight", non_target_weight, 0)
    target, others = _decoupled(labels, teacher_logits, student_logits, temperature)
    return temperature**2 * (target_weight * target + non_target_weight * others)


def _decoupled(labels, teacher_logits, student_logits, temperature):
    """Return the target and the non-target part of KL(softmax(v / T) || softmax(z / T))."""
    ops, temperature = _ops(), checked_temperature(temperature)
    student, labels, teacher = _float32(student_logits=student_logits, labels=labels, teacher_logits=teacher_logits)
    ranking = ops.where(ops.any(labels > 0, axis=-1, keepdims=True), labels, teacher)
    target = ops.one_hot(ops.argmax(ranking, axis=-1), student.shape[-1], dtype="bool")

    def parts(logits):
        log_p = ops.log_softmax(logits)
        log_target = ops.sum(ops.where(target, log_p, 0.0), axis=-1, keepdims=True)
        log_rest = ops.logsumexp(ops.where(target, _MASKED, log_p), axis=-1, keepdims=True)  # log(1 - p_t), without a subtraction
        return ops.concatenate([log_target, log_rest], axis=-1), ops.log_softmax(ops.where(target, _MASKED, logits))

    (p_two, p_others), (q_two, q_others) = parts(teacher / temperature), parts(student / temperature)
    return _kl(p_two, q_two), _kl(p_others, q_others)


# Features


def hint(teacher_features, student_features):
    """Return the mean squared difference of two arrays of one shape ``(batch, ...)``, over all axes but the first.

    Where the student's features have another width, a trainable projection brings them to the teacher's first
    (`kdcourse.distillation.with_features`). As it stands it is a loss for ``compile``: teacher's features as targets, student's as output.
    Source: Romero et al. 2015, "FitNets: Hints for Thin Deep Nets", equation 3 (there the sum is halved, here it is a mean).
    """
    student, teacher = _float32(student_features=student_features, teacher_features=teacher_features)
    if len(student.shape) < 2:
        raise ValueError(f"student_features must have shape (batch, ...) with at least 2 axes, got shape {tuple(student.shape)}")
    return _mean_square(student - teacher)


def attention_transfer(teacher_maps, student_maps):
    """Return the mean squared difference of the two attention maps of activations, shape ``(batch, height, width, channels)``.

    An attention map says where a layer is active: the sum of squares over the channels, divided by its L2 norm over the positions. So
    teacher and student may have different numbers of channels, and the size of the activations does not count.
    A loss for ``compile`` as it stands. Source: Zagoruyko, Komodakis 2017, "Paying More Attention to Attention", section 3.1; the mean
    over the positions (instead of the norm) is that of the authors' code. Activations of 0 everywhere give a map of 0.
    """
    ops = _ops()
    maps = {"student_maps": student_maps, "teacher_maps": teacher_maps}
    maps = {name: ops.convert_to_tensor(array, dtype="float32") for name, array in maps.items()}
    for name, array in maps.items():
        checks.require(len(array.shape) >= 3, f"{name} must have shape (batch, height, width, channels), got shape {tuple(array.shape)}")
    activity = {name: ops.sum(ops.square(array), axis=-1) for name, array in maps.items()}
    student, teacher = (_divided(array, _length(array, axis=tuple(range(1, len(array.shape))))) for array in _float32(**activity))
    return _mean_square(student - teacher)


# Relations between the examples of a batch


def relational_distance(teacher_embeddings, student_embeddings):
    """Return how the distances to the other examples of the batch differ, for embeddings of shape ``(batch, d)``; d may differ.

    Each model's distances are divided by their mean over all pairs; the row of example i is the mean, over the other examples j, of the
    Huber loss (delta 1) of the two distances i-j. Neither rotating, moving nor scaling an embedding changes it.
    A loss for ``compile`` as it stands; memory grows with ``batch^2 * d``. A batch of one example has no relations: 0.
    Source: Park et al. 2019, "Relational Knowledge Distillation", section 3.2 (distance-wise).
    """
    ops = _ops()
    relations = []
    for embeddings in _embeddings(teacher_embeddings, student_embeddings):
        distance = _length(_differences(embeddings), axis=-1)[..., 0]
        others = _count(embeddings, 1)
        relations.append(_divided(distance, ops.sum(distance) / (others * (others + 1))))
    return ops.sum(_huber(relations[1] - relations[0]), axis=-1) / others


def relational_angle(teacher_embeddings, student_embeddings):
    """Return how the angles under which an example sees pairs of others differ, for embeddings of shape ``(batch, d)``; d may differ.

    The row of example j is the mean, over ordered pairs (i, k) of different other examples, of the Huber loss (delta 1) of the two
    cosines of the angle i-j-k. Neither rotating, moving nor scaling an embedding changes it.
    A loss for ``compile`` as it stands; memory grows with ``batch^2 * (batch + d)``. A batch of fewer than 3 examples has no angles: 0.
    Source: Park et al. 2019, "Relational Knowledge Distillation", section 3.2 (angle-wise).
    """
    ops = _ops()
    cosines = []
    for embeddings in _embeddings(teacher_embeddings, student_embeddings):
        difference = _differences(embeddings)
        direction = _divided(difference, _length(difference, axis=-1))
        cosines.append(ops.matmul(direction, ops.swapaxes(direction, 1, 2)))
    return ops.sum(_huber(cosines[1] - cosines[0]), axis=(1, 2)) / (_count(embeddings, 1) * _count(embeddings, 2))


def _embeddings(teacher_embeddings, student_embeddings):
    """Return both as float32 tensors of shape (batch, d) with one batch size."""
    ops = _ops()
    pair = {"teacher_embeddings": teacher_embeddings, "student_embeddings": student_embeddings}
    pair = {name: ops.convert_to_tensor(array, dtype="float32") for name, array in pair.items()}
    for name, array in pair.items():
        checks.require(len(array.shape) == 2, f"{name} must have shape (batch, d), got shape {tuple(array.shape)}")
    teacher, student = pair.values()
    if not _fits(tuple(teacher.shape[:1]), tuple(student.shape[:1])):
        raise ValueError(f"student_embeddings must have {teacher.shape[0]} rows like teacher_embeddings, got {student.shape[0]}")
    return teacher, student


def _differences(embeddings):
    """Return e_i - e_j at row j and column i, shape (batch, batch, d); not by way of scalar products, which lose small distances."""
    return embeddings[None] - embeddings[:, None]


def _count(embeddings, less: int):
    """Return the batch size minus `less`, at least 1, as float32."""
    ops = _ops()
    return ops.maximum(ops.cast(ops.shape(embeddings)[0], "float32") - less, 1.0)


def _huber(difference):
    """Return d^2 / 2 up to a size of 1, |d| - 1/2 beyond it."""
    size = _ops().abs(difference)
    return _ops().where(size < 1, 0.5 * _ops().square(size), size - 0.5)


# For compile


def tempered_cross_entropy(temperature: float) -> Callable:
    """Return a loss for ``compile``: ``T^2`` times the cross-entropy of the targets with ``softmax(logits / T)``.

    The same mathematics as `soft_cross_entropy`, for targets that are probabilities already (the teacher's soft labels at the same
    temperature), shape ``(batch, classes)``. At temperature 1 it is `cross_entropy`.

    Raises:
        ValueError: `temperature` is not a finite number > 0.
    """
    temperature = checked_temperature(temperature)
    _ops()

    def loss(probabilities, logits):
        logits, probabilities = _float32(logits=logits, probabilities=probabilities)
        return temperature**2 * cross_entropy(probabilities, logits / temperature)

    return loss


def distillation_loss(soft: Callable = kl_divergence, *, alpha: float, temperature: float | None = None, **settings) -> Callable:
    """Return a loss for ``compile`` on packed targets: ``(1 - alpha) * cross_entropy(labels, z) + alpha * soft(...)``.

    It serves models of Keras 3 and of tf_keras. The targets are those of `pack`, shape ``(batch, 2 * classes)``; the model returns logits.

    Args:
        soft: the teacher's term: a function with the parameters ``teacher_logits`` and ``student_logits``, of this module or your own,
            which returns shape ``(batch,)``. If it has a parameter ``labels`` it gets the labels as well.
        alpha: in [0, 1]; 0 is plain training, 1 the teacher's term alone (top of this module).
        temperature: T > 0, for a function that has this parameter.
        **settings: for other parameters of `soft`, such as ``non_target_weight``.

    Raises:
        ValueError: `alpha` or a setting out of range, a temperature for a function that has none or none for one that needs it, a
            setting that `soft` does not know, a `soft` that is no function of both logits. When the model is first called: targets that
            are not packed for its number of classes.
    """
    alpha = checks.number("alpha", alpha, 0, 1)
    checks.require(callable(soft), f"soft must be a function of teacher_logits and student_logits, got {soft!r}")
    name, signature = getattr(soft, "__name__", repr(soft)), inspect.signature(soft)
    if not {"teacher_logits", "student_logits"} <= set(signature.parameters):
        raise ValueError(f"soft must have the parameters teacher_logits and student_logits, got {name}{signature}")
    if temperature is not None:
        settings["temperature"] = checked_temperature(temperature)
    with_labels = "labels" in signature.parameters
    try:
        signature.bind(**dict.fromkeys(["teacher_logits", "student_logits", *["labels"] * with_labels]), **settings)
    except TypeError as error:  # it names the argument in quotes
        argument, missing = str(error).split("'")[1], "missing" in str(error)
        wish = f"be given with soft={name}" if missing else f"not be given with soft={name}, which has no such parameter"
        raise ValueError(f"{argument} must {wish}, got {settings.get(argument, 'none')}") from None

    def term(labels, teacher_logits, student_logits):
        extra = {"labels": labels} if with_labels else {}
        return soft(teacher_logits=teacher_logits, student_logits=student_logits, **extra, **settings)

    if getattr(soft, "__module__", "") == __name__:
        term(*np.eye(2)[:, None][[0, 0, 1]])  # one example of two classes: a setting out of range is found now, not in fit

    def loss(targets, logits):
        labels, teacher_logits = _unpacked_for(targets, logits)
        return (1 - alpha) * cross_entropy(labels, logits) + alpha * term(labels, teacher_logits, logits)

    return loss


def label_accuracy(targets, logits):
    """Return 1 where the largest logit is the label's and 0 elsewhere, shape ``(batch,)``: a metric for ``compile`` on packed targets.

    An example without a label counts as 0: read the metric on data that has labels. Where labels are probabilities, the largest counts.

    Raises:
        ValueError: targets that are not packed for the number of classes of `logits`.
    """
    ops = _ops()
    labels, _ = _unpacked_for(targets, logits)
    right = ops.equal(ops.argmax(labels, axis=-1), ops.argmax(logits, axis=-1))
    return ops.cast(ops.logical_and(right, ops.any(labels > 0, axis=-1)), "float32")


def _unpacked_for(targets, logits):
    """Return labels and teacher logits; the sentence of the error knows the model's number of classes."""
    if targets.shape[-1] != 2 * logits.shape[-1]:
        raise ValueError(
            f"targets must have {2 * logits.shape[-1]} columns for a model with {logits.shape[-1]} logits (see losses.pack), "
            f"got shape {tuple(targets.shape)}"
        )
    return unpack(targets)

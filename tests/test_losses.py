"""Losses against values derived by hand; invariants, gradients, extreme numbers, bad input; training with both Keras libraries."""

import warnings
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from kdcourse import losses, soft_labels
from kdcourse.runtime import quiet_start

quiet_start()
import keras  # noqa: E402
import tensorflow as tf  # noqa: E402

ln = np.log
few = settings(max_examples=25)
rows = arrays(np.float32, (3, 5), elements=st.floats(-20, 20, width=32))
temperatures = st.sampled_from([0.5, 1.0, 2.0, 8.0])


def close(actual, desired, rtol=1e-5, atol=1e-6):
    np.testing.assert_allclose(np.asarray(actual), desired, rtol=rtol, atol=atol)


def gradient(function, at):
    """Return the gradient of the sum of the examples' losses."""
    at = tf.Variable(at)
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(function(at))
    return np.asarray(tf.cast(tape.gradient(total, at), tf.float32))


# Values derived by hand. Logits are logarithms of odds: ln(1, 2, 5) means 1/8, 2/8, 5/8; at temperature 2 the odds are the square roots.


def test_cross_entropy_by_hand():
    z = ln([[1.0, 2, 5], [1, 2, 5], [1, 2, 5]])
    close(losses.cross_entropy([[0, 0, 1], [0.5, 0.5, 0], [0, 0, 0]], z), [-ln(5 / 8), -(ln(1 / 8) + ln(2 / 8)) / 2, 0])


def test_a_row_of_zeros_has_no_loss_and_no_gradient():
    labels, z = np.array([[0, 1.0, 0], [0, 0, 0]]), np.array([[1, 2, 0.5], [3, 1, 2]], np.float32)
    for loss in (losses.cross_entropy, partial(losses.smoothed_cross_entropy, smoothing=0.3)):
        assert np.asarray(loss(labels, z))[1] == 0
        slope = gradient(lambda at: loss(labels, at), z)  # noqa: B023
        assert np.abs(slope[0]).min() > 0.01 and (slope[1] == 0).all()


def test_smoothed_cross_entropy_by_hand():
    z, y = ln([[1.0, 2, 5]]), [[0, 0, 1.0]]
    close(losses.smoothed_cross_entropy(y, z, 0.3), [-(0.8 * ln(5 / 8) + 0.1 * ln(1 / 8) + 0.1 * ln(2 / 8))])
    close(losses.smoothed_cross_entropy(y, z, 0), losses.cross_entropy(y, z))
    close(losses.smoothed_cross_entropy(y, z, 1), losses.cross_entropy([[1 / 3] * 3], z))


def test_soft_cross_entropy_and_kl_by_hand():
    v, z = ln([[1.0, 9]]), np.zeros((1, 2))  # 1:3 at temperature 2
    close(losses.soft_cross_entropy(v, z, 2), [4 * ln(2)])
    close(losses.kl_divergence(v, z, 2), [4 * (0.25 * ln(0.5) + 0.75 * ln(1.5))])
    close(losses.kl_divergence(z, v, 1), [0.5 * ln(0.5 / 0.1) + 0.5 * ln(0.5 / 0.9)])


def test_mean_squares_by_hand():
    close(losses.mse_logits([[1, 2, 3]], [[1, 0, 6]]), [(0 + 4 + 9) / 3])
    v, z = ln([[1.0, 9]]), np.zeros((1, 2))
    close(losses.mse_probabilities(v, z), [0.4**2])
    close(losses.mse_probabilities(v, z, 2), [4 * 0.25**2])
    close(losses.cross_entropy_with_mse([[1, 0]], v, z), [ln(2) + 0.5 * 0.4**2])
    close(losses.cross_entropy_with_mse([[1, 0]], v, z, weight=2), [ln(2) + 2 * 0.4**2])


@pytest.mark.parametrize("label", [[1, 0, 0], [0, 0, 0]], ids=["labelled", "teacher's choice"])
@pytest.mark.parametrize("temperature", [1, 2])
def test_decoupled_by_hand(label, temperature):
    v, z = temperature * ln([[6.0, 3, 1]]), temperature * ln([[1.0, 1, 2]])
    target = 0.6 * ln(0.6 / 0.25) + 0.4 * ln(0.4 / 0.75)
    others = 0.75 * ln(0.75 / (1 / 3)) + 0.25 * ln(0.25 / (2 / 3))
    close(losses.target_kl([label], v, z, temperature), [target])
    close(losses.non_target_kl([label], v, z, temperature), [others])
    close(losses.decoupled([label], v, z, temperature), [temperature**2 * (target + 8 * others)])
    close(
        losses.decoupled([label], v, z, temperature, target_weight=3, non_target_weight=0.5), [temperature**2 * (3 * target + 0.5 * others)]
    )


def test_decoupled_takes_the_label_not_the_teachers_choice():
    v, z = ln([[6.0, 3, 1]]), ln([[1.0, 1, 2]])
    close(losses.target_kl([[0, 0, 1]], v, z, 1), [0.1 * ln(0.1 / 0.5) + 0.9 * ln(0.9 / 0.5)])
    close(losses.non_target_kl([[0, 0, 1]], v, z, 1), [2 / 3 * ln((2 / 3) / 0.5) + 1 / 3 * ln((1 / 3) / 0.5)])


def test_hint_by_hand():
    teacher = np.arange(8.0).reshape(2, 2, 2)
    student = teacher + [[[1, 2], [0, 0]], [[0, 0], [0, 4]]]
    close(losses.hint(teacher, student), [5 / 4, 4])


def test_attention_transfer_by_hand():
    teacher = np.sqrt([3.0, 4]).reshape(1, 1, 2, 1)  # the map (3, 4), divided by 5
    student = np.array([[1.0, 0], [0, 0]]).reshape(1, 1, 2, 2)  # the map (1, 0)
    close(losses.attention_transfer(teacher, student), [(0.4**2 + 0.8**2) / 2])
    close(losses.attention_transfer(teacher, np.zeros((1, 1, 2, 3))), [(0.6**2 + 0.8**2) / 2])


def test_relational_distance_by_hand():
    # pairs 01, 02, 12: the teacher's distances 1, 3, 2 have mean 2, the student's 1, 2, 1 have mean 4/3
    close(losses.relational_distance([[0.0], [1], [3]], [[0.0], [1], [2]]), np.array([0.5, 1, 0.5]) * 0.25**2 / 2)
    # a teacher that sees no differences: the student's 0.75, 1.5, 0.75 stand alone, and 1.5 is beyond Huber's delta
    near, far = 0.75**2 / 2, 1.5 - 0.5
    close(losses.relational_distance(np.ones((3, 4)), [[0.0], [1], [2]]), [(near + far) / 2, near, (near + far) / 2])


def test_relational_angle_by_hand():
    right = [[0.0, 0], [1, 0], [0, 1]]  # cosines 0, and twice the root of 1/2
    equal = [[0.0, 0, 5], [1, 0, 5], [0.5, np.sqrt(0.75), 5]]  # 1/2 everywhere
    close(losses.relational_angle(right, equal), [0.5**2 / 2, *[(np.sqrt(0.5) - 0.5) ** 2 / 2] * 2])
    # the middle one of three points on a line sees the others on opposite sides: cosines -1 and 1 differ by 2
    close(losses.relational_angle([[0.0], [1], [2]], [[0.0], [1], [0.5]]), [0, 1.5, 1.5])


def test_relations_need_company():
    one, two = np.ones((1, 3)), np.array([[0.0, 1], [2, 5]])
    assert np.asarray(losses.relational_distance(one, one)) == 0 and np.asarray(losses.relational_angle(one, one)) == 0
    close(losses.relational_distance(two, 3 * two[::-1]), [0, 0])
    close(losses.relational_angle(two, two + [[1, 0], [0, 0]]), [0, 0])


# Invariants


@few
@given(rows, rows, temperatures)
def test_kl_is_never_negative_and_zero_at_equality(v, z, t):
    assert np.asarray(losses.kl_divergence(v, z, t)).min() >= -1e-5 * t**2
    assert (np.asarray(losses.kl_divergence(v, v, t)) == 0).all()
    close(losses.kl_divergence(v, v + 3, t), 0, atol=1e-5 * t**2)  # a shift of all logits is no difference


@few
@given(rows, rows, temperatures)
def test_soft_cross_entropy_minus_kl_is_the_entropy_of_the_teacher(v, z, t):
    difference = np.asarray(losses.soft_cross_entropy(v, z, t)) - np.asarray(losses.kl_divergence(v, z, t))
    close(difference, t**2 * soft_labels.entropy(soft_labels.softmax(v, t)), rtol=1e-4, atol=1e-4 * t**2)
    close(*(gradient(lambda at: loss(v, at, t), z) for loss in (losses.soft_cross_entropy, losses.kl_divergence)), atol=1e-4)  # noqa: B023


@few
@given(rows, rows, temperatures)
def test_values_are_those_of_the_numpy_functions(v, z, t):
    p = soft_labels.softmax(v, t)
    close(losses.soft_cross_entropy(v, z, t), t**2 * soft_labels.cross_entropy(p, z, t), rtol=1e-4, atol=1e-5 * t**2)
    close(losses.cross_entropy(p, z), soft_labels.cross_entropy(p, z), rtol=1e-4, atol=1e-5)
    close(losses.tempered_cross_entropy(t)(p, z), losses.soft_cross_entropy(v, z, t), rtol=1e-4, atol=1e-5 * t**2)


@few
@given(rows, rows, temperatures, st.lists(st.integers(-1, 4), min_size=3, max_size=3))
def test_target_and_non_target_make_the_kl(v, z, t, labels):
    target = np.where(np.array(labels) >= 0, labels, v.argmax(-1))
    one_hot, _ = losses.unpack(losses.pack(labels, v))
    p_t = soft_labels.softmax(v, t)[np.arange(3), target]
    parts = (np.asarray(part(one_hot, v, z, t)) for part in (losses.target_kl, losses.non_target_kl))
    a, b = parts
    assert min(a.min(), b.min()) >= -1e-5
    close(a + (1 - p_t) * b, np.asarray(losses.kl_divergence(v, z, t)) / t**2, rtol=1e-4, atol=1e-4)


def centred(seed):
    v, z = np.random.default_rng(seed).normal(size=(2, 4, 10)) * 3
    return [(a - a.mean(-1, keepdims=True)).astype(np.float32) for a in (v, z)]


def test_at_a_high_temperature_the_gradient_is_that_of_matching_logits():
    v, z = centred(0)
    for loss in (losses.kl_divergence, losses.soft_cross_entropy):
        close(gradient(lambda at: loss(v, at, 1000.0), z), (z - v) / 10, rtol=0.02, atol=2e-3)  # noqa: B023
    # the same limit for the mean square of probabilities: (z - v)^2 / C^2
    close(losses.mse_probabilities(v, z, 1000.0), ((z - v) ** 2).mean(-1) / 100, rtol=0.02)


@pytest.mark.parametrize("loss", [losses.kl_divergence, losses.soft_cross_entropy, losses.mse_probabilities])
def test_t_squared_keeps_the_scale(loss):
    v, z = centred(1)
    sizes = [np.linalg.norm(gradient(lambda at: loss(v, at, t), z)) for t in (20.0, 100.0)]  # noqa: B023
    assert sizes[0] == pytest.approx(sizes[1], rel=0.25)  # without the factor it would be 25 times


@few
@given(st.integers(0, 2**32 - 1), st.floats(0.01, 100))
def test_relations_do_not_change_with_rotation_place_scale_or_more_dimensions(seed, scale):
    rng = np.random.default_rng(seed)
    teacher, student = rng.normal(size=(2, 6, 4))
    rotation, _ = np.linalg.qr(rng.normal(size=(7, 7)))
    moved = scale * (np.pad(student, ((0, 0), (0, 3))) @ rotation + rng.normal(size=7))
    for loss in (losses.relational_distance, losses.relational_angle):
        close(loss(teacher, moved), loss(teacher, student), rtol=1e-3, atol=1e-5)
        close(loss(moved, teacher), loss(student, teacher), rtol=1e-3, atol=1e-5)
        close(loss(student, moved), 0, atol=1e-8)
        assert np.asarray(loss(teacher, student)).min() > 1e-4


@few
@given(st.integers(0, 2**32 - 1), st.floats(0.01, 100))
def test_attention_does_not_change_with_the_size_of_the_maps_or_the_order_of_channels(seed, scale):
    rng = np.random.default_rng(seed)
    teacher, student = rng.normal(size=(3, 4, 5, 2)), rng.normal(size=(3, 4, 5, 6))
    plain = losses.attention_transfer(teacher, student)
    close(losses.attention_transfer(teacher, scale * student[..., rng.permutation(6)]), plain, rtol=1e-4)
    close(losses.attention_transfer(-scale * teacher, student), plain, rtol=1e-4)
    assert np.asarray(plain).min() > 1e-4
    close(losses.attention_transfer(teacher, scale * teacher), 0, atol=1e-12)


# Every loss as a function of the student alone: gradients, tf.function, precision, extreme numbers

LABELS = np.array([[1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0], [0, 1, 0, 0], [0.1, 0.2, 0.3, 0.4]], np.float32)
CLASSES, MAPS, EMBEDDINGS = (5, 4), (5, 2, 3, 2), (5, 3)
CASES = {  # name: (loss of labels, teacher and student, shape of the teacher's, shape of the student's)
    "cross_entropy": (lambda y, v, z: losses.cross_entropy(y, z), CLASSES, CLASSES),
    "smoothed_cross_entropy": (lambda y, v, z: losses.smoothed_cross_entropy(y, z, 0.2), CLASSES, CLASSES),
    "soft_cross_entropy": (lambda y, v, z: losses.soft_cross_entropy(v, z, 2), CLASSES, CLASSES),
    "kl_divergence": (lambda y, v, z: losses.kl_divergence(v, z, 2), CLASSES, CLASSES),
    "mse_logits": (lambda y, v, z: losses.mse_logits(v, z), CLASSES, CLASSES),
    "mse_probabilities": (lambda y, v, z: losses.mse_probabilities(v, z, 2), CLASSES, CLASSES),
    "cross_entropy_with_mse": (losses.cross_entropy_with_mse, CLASSES, CLASSES),
    "target_kl": (partial(losses.target_kl, temperature=2), CLASSES, CLASSES),
    "non_target_kl": (partial(losses.non_target_kl, temperature=2), CLASSES, CLASSES),
    "decoupled": (partial(losses.decoupled, temperature=2), CLASSES, CLASSES),
    "hint": (lambda y, v, z: losses.hint(v, z), MAPS, MAPS),
    "attention_transfer": (lambda y, v, z: losses.attention_transfer(v, z), MAPS, (5, 2, 3, 4)),
    "relational_distance": (lambda y, v, z: losses.relational_distance(v, z), EMBEDDINGS, (5, 2)),
    "relational_angle": (lambda y, v, z: losses.relational_angle(v, z), EMBEDDINGS, (5, 2)),
    "tempered_cross_entropy": (lambda y, v, z: losses.tempered_cross_entropy(2)(y, z), CLASSES, CLASSES),
    "distillation_loss": (
        lambda y, v, z: losses.distillation_loss(losses.decoupled, alpha=0.3, temperature=2)(tf.concat([y, v], -1), z),
        CLASSES,
        CLASSES,
    ),
}
every_loss = pytest.mark.parametrize("name", CASES)


def case(name, seed=0):
    loss, of_teacher, of_student = CASES[name]
    rng = np.random.default_rng(seed)
    return loss, rng.normal(size=of_teacher).astype(np.float32), rng.normal(size=of_student).astype(np.float32)


def test_every_loss_is_a_case():
    public = {name for name, value in vars(losses).items() if getattr(value, "__module__", "") == losses.__name__ and name[0] != "_"}
    assert public - {"pack", "unpack", "labels_as_rows", "label_accuracy"} == set(CASES)


@every_loss
def test_gradient_agrees_with_differences(name):
    loss, teacher, student = case(name)
    weights = np.linspace(0.5, 2, 5)  # examples that count differently: a mixed-up axis shows

    def total(student):
        return float(np.asarray(loss(LABELS, teacher, student), np.float64) @ weights)

    numeric, step = np.zeros(student.shape), 1e-2
    for index in np.ndindex(student.shape):
        up, down = student.copy(), student.copy()
        up[index] += step
        down[index] -= step
        numeric[index] = (total(up) - total(down)) / (float(up[index]) - float(down[index]))
    slope = gradient(lambda at: loss(LABELS, teacher, at) * weights.astype(np.float32), student)
    assert np.abs(slope).max() > 1e-3
    close(slope, numeric, rtol=3e-3, atol=3e-3 * np.abs(numeric).max())


@every_loss
def test_inside_tf_function_with_a_batch_of_any_size(name):
    loss, teacher, student = case(name)
    open_batch = [tf.TensorSpec([None, *array.shape[1:]], tf.float32) for array in (LABELS, teacher, student)]

    @tf.function(input_signature=open_batch)
    def value_and_slope(labels, teacher, student):
        with tf.GradientTape() as tape:
            tape.watch(student)
            values = loss(labels, teacher, student)
        return values, tape.gradient(values, student)

    values, slope = value_and_slope(LABELS, teacher, student)
    assert values.shape == (5,) and values.dtype == tf.float32
    close(values, loss(LABELS, teacher, student), rtol=1e-4)
    close(slope, gradient(lambda at: loss(LABELS, teacher, at), student), rtol=1e-4)
    values, slope = value_and_slope(LABELS[:3], teacher[:3], student[:3])
    close(values, loss(LABELS[:3], teacher[:3], student[:3]), rtol=1e-4)


@every_loss
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_any_precision_comes_out_as_float32(name, dtype):
    loss, teacher, student = (tf.cast(a, dtype) if isinstance(a, np.ndarray) else a for a in case(name))
    labels = tf.cast(LABELS, dtype)
    values = loss(labels, teacher, student)
    assert values.dtype == tf.float32
    np.testing.assert_array_equal(values, loss(*(tf.cast(a, tf.float32) for a in (labels, teacher, student))))
    assert np.isfinite(gradient(lambda at: loss(labels, teacher, at), student)).all()


@every_loss
@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("size", [0, 1e-4, 1e4])
def test_extreme_numbers_stay_finite(name, dtype, size):
    loss, teacher, student = case(name)
    opposite = -np.sign(student) if teacher.shape == student.shape else -np.sign(teacher)
    for v, z in [(np.sign(teacher), np.sign(student)), (opposite, np.sign(student)), (np.ones_like(teacher), np.ones_like(student))]:
        v, z = tf.cast(size * v, dtype), tf.cast(size * z, dtype)
        assert np.isfinite(np.asarray(loss(LABELS, v, z))).all()
        assert np.isfinite(gradient(lambda at: loss(LABELS, v, at), tf.cast(z, tf.float32))).all()  # noqa: B023


def test_extreme_logits_by_hand():
    v, z = np.array([[1e4, -1e4]]), np.array([[-1e4, 1e4]])
    close(losses.kl_divergence(v, z, 1), [2e4])
    close(losses.kl_divergence(v, z, 10), [100 * 2e3])
    close(losses.cross_entropy([[1, 0]], z), [2e4])
    close(gradient(lambda at: losses.kl_divergence(v, at, 1), z.astype(np.float32)), [[-1, 1]])
    close(losses.target_kl([[1, 0]], v, z, 1), [2e4])
    # a teacher that is as sure as that still tells the other classes apart: 1/4 and 3/4
    sure, even = np.array([[1e4, 0, ln(3)]]), np.array([[1e4, 0, 0]])
    close(losses.non_target_kl([[1, 0, 0]], sure, even, 1), [ln(2) + 0.25 * ln(0.25) + 0.75 * ln(0.75)])
    low, lower = [[0, -5000, -5000]], [[0, -5000, -5008]]  # 1/2 and 1/2 against 1 and e^-8
    close(losses.non_target_kl([[1, 0, 0]], low, lower, 1), [4 - ln(2) + np.log1p(np.exp(-8))])


@pytest.mark.parametrize("loss", [losses.relational_distance, losses.relational_angle])
def test_examples_that_coincide_do_not_break_the_gradient(loss):
    teacher = np.random.default_rng(0).normal(size=(4, 3))
    student = np.array([[0, 0], [0, 0], [1, 0], [0, 2]], np.float32)
    slope = gradient(lambda at: loss(teacher, at), student)
    assert np.isfinite(slope).all() and 0.01 < np.abs(slope).max() < 100


# Packed targets


def test_pack_puts_labels_and_logits_side_by_side():
    v = np.array([[3, -1, 2], [0, 1, 2], [5, 6, 7]], np.float16)
    packed = losses.pack([2, -1, 0], v)
    assert packed.dtype == np.float32
    np.testing.assert_array_equal(packed, [[0, 0, 1, 3, -1, 2], [0, 0, 0, 0, 1, 2], [1, 0, 0, 5, 6, 7]])
    soft = [[0.2, 0.3, 0.5], [0, 0, 0], [1, 0, 0]]
    for targets in (losses.pack(soft, v), tf.constant(losses.pack(soft, v))):
        labels, logits = losses.unpack(targets)
        close(labels, soft)
        np.testing.assert_array_equal(logits, v)


V = [[3.0, -1, 2], [0, 1, 2]]


@pytest.mark.parametrize(
    ("labels", "logits", "message"),
    [
        ([0, 3], V, r"labels must be in 0\.\.2, or -1 for no label, got 3"),
        ([0, -2], V, r"labels must be in 0\.\.2, or -1 for no label, got -2"),
        ([0, 1, 2], V, r"labels must have shape \(2,\) or \(2, 3\) like teacher_logits, got shape \(3,\)"),
        ([[0, 1], [1, 0]], V, r"labels must have shape \(2,\) or \(2, 3\) like teacher_logits, got shape \(2, 2\)"),
        ([0.0, 1.0], V, r"labels must be a vector of 2 integers, got shape \(2,\) and type float64"),
        ([[0, 1, 1], [1, 0, 0]], V, "labels must be >= 0 and each row must sum to 1, or to 0 for no label, got .* sums from 1 to 2"),
        ([[-1, 1, 1], [1, 0, 0]], V, "labels must be >= 0 .* got a smallest value of -1"),
        ([[np.nan, 1, 1], [1, 0, 0]], V, "labels must be finite"),
        ([0, 1], [[np.nan, 0, 1], [0, 1, 2]], "teacher_logits must be finite, got NaN or infinity in 1 of"),
        ([0, 1], [[np.inf, 0, 1], [0, 1, 2]], "teacher_logits must be finite"),
        ([0, 1], [[1e39, 0, 1], [0, 1, 2]], r"teacher_logits must be within the range of float32, got 1e\+39"),
        ([0], [1.0, 2, 3], r"teacher_logits must have shape \(examples, classes\), got shape \(3,\)"),
        ([], np.zeros((0, 3)), "teacher_logits must have .* at least"),
        ([0, 1], [[1], [2]], "teacher_logits must have shape .* at least 2 classes"),
    ],
)
def test_pack_refuses(labels, logits, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        losses.pack(labels, logits)


def test_pack_warns_about_probabilities_and_only_about_them():
    p = soft_labels.softmax(V).astype(np.float16)
    with pytest.warns(UserWarning, match=r"^teacher_logits look like probabilities .* before its softmax$") as caught:
        packed = losses.pack([0, 1], p)
    assert len(caught) == 1 and caught[0].filename == __file__
    close(packed[:, 3:], p)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for logits in (V, [[0.2, 0.3, 0.5], [0.2, 0.3, 0.6]], [[-0.2, 0.6, 0.6], [0.2, 0.3, 0.5]], np.log(p.astype(float))):
            losses.pack([0, 1], logits)


@pytest.mark.parametrize("columns", [2, 5])
def test_unpack_refuses(columns):
    with pytest.raises(ValueError, match=f"^targets must have 2 columns for each of at least 2 classes .* got {columns} columns"):
        losses.unpack(np.zeros((3, columns)))


# Bad input


@pytest.mark.parametrize("temperature", [0, -1, np.nan, np.inf, "2", True, None])
@pytest.mark.parametrize(
    "loss",
    [
        lambda t: losses.soft_cross_entropy(V, V, t),
        lambda t: losses.kl_divergence(V, V, t),
        lambda t: losses.mse_probabilities(V, V, t),
        lambda t: losses.target_kl(V, V, V, t),
        lambda t: losses.non_target_kl(V, V, V, t),
        lambda t: losses.decoupled(V, V, V, t),
        losses.tempered_cross_entropy,
        lambda t: losses.distillation_loss(alpha=0.5, temperature=t),
    ],
)
def test_temperature_out_of_range(loss, temperature):
    with pytest.raises(ValueError, match="^temperature must be "):
        loss(temperature)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: losses.smoothed_cross_entropy(V, V, 1.5), r"smoothing must be one number in \[0, 1\], got 1.5"),
        (lambda: losses.smoothed_cross_entropy(V, V, np.nan), r"smoothing must be one number in \[0, 1\], got nan"),
        (lambda: losses.cross_entropy_with_mse(V, V, V, -1), "weight must be one number >= 0 and finite, got -1"),
        (lambda: losses.decoupled(V, V, V, 1, target_weight=np.inf), "target_weight must be one number >= 0 and finite, got inf"),
        (lambda: losses.decoupled(V, V, V, 1, non_target_weight="8"), "non_target_weight must be one number >= 0 and finite, got '8'"),
        (lambda: losses.cross_entropy([0, 1], V), r"probabilities must have the shape of logits \(2, 3\) .*, got shape \(2,\)"),
        (lambda: losses.smoothed_cross_entropy([0, 1], V, 0.1), r"labels must have the shape of logits \(2, 3\) .*, got shape \(2,\)"),
        (lambda: losses.kl_divergence([[1.0, 2]], V, 1), r"teacher_logits must have the shape of student_logits \(2, 3\) .*\(1, 2\)"),
        (lambda: losses.mse_logits(V[:1], V), r"teacher_logits must have the shape of student_logits \(2, 3\) .*\(1, 3\)"),
        (lambda: losses.mse_logits(1.0, 2.0), "student_logits must have .* at least one axis"),
        (lambda: losses.cross_entropy_with_mse(V, V[:1], V), "teacher_logits must have the shape of student_logits"),
        (lambda: losses.decoupled([0, 1], V, V, 1), r"labels must have the shape of student_logits \(2, 3\) .*, got shape \(2,\)"),
        (lambda: losses.hint(np.ones((2, 3)), np.ones((2, 4))), r"teacher_features must have the shape of student_features \(2, 4\)"),
        (lambda: losses.hint([1.0], [1.0]), r"student_features must have shape \(batch, ...\) with at least 2 axes, got shape \(1,\)"),
        (lambda: losses.attention_transfer(V, V), r"student_maps must have shape \(batch, height, width, channels\), got shape \(2, 3\)"),
        (lambda: losses.attention_transfer(np.ones((2, 3, 3, 1)), np.ones((2, 4, 4, 1))), r"teacher_maps must .* \(2, 4, 4\)"),
        (lambda: losses.relational_distance([1.0], V), r"teacher_embeddings must have shape \(batch, d\), got shape \(1,\)"),
        (lambda: losses.relational_angle(V, np.ones((3, 2))), "student_embeddings must have 2 rows like teacher_embeddings, got 3"),
        (lambda: losses.distillation_loss(alpha=1.1, temperature=2), r"alpha must be one number in \[0, 1\], got 1.1"),
        (lambda: losses.distillation_loss(alpha=True, temperature=2), r"alpha must be one number in \[0, 1\], got True"),
        (lambda: losses.distillation_loss(alpha=0.5), "temperature must be given with soft=kl_divergence, got none"),
        (
            lambda: losses.distillation_loss(losses.mse_logits, alpha=0.5, temperature=4),
            "temperature must not be given with soft=mse_logits, which has no such parameter, got 4.0",
        ),
        (lambda: losses.distillation_loss(losses.hint, alpha=0.5), r"soft must have the parameters teacher_logits and .* got hint\("),
        (lambda: losses.distillation_loss(alpha=0.5, temperature=2, beta=8), "beta must not be given with soft=kl_divergence"),
        (
            lambda: losses.distillation_loss(losses.decoupled, alpha=0.5, temperature=2, non_target_weight=-8),
            "non_target_weight must be one number >= 0 and finite, got -8",
        ),
        (
            lambda: losses.distillation_loss(alpha=0.5, temperature=2)(np.eye(3), np.eye(3)),
            r"targets must have 6 columns for a model with 3 logits \(see losses.pack\), got shape \(3, 3\)",
        ),
        (lambda: losses.label_accuracy(np.eye(3), np.eye(3)), "targets must have 6 columns for a model with 3 logits"),
    ],
)
def test_one_sentence_for_each_mistake(call, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        call()


# In compile and fit, with both libraries


def test_distillation_loss_weighs_the_teacher_with_alpha():
    v, z = np.random.default_rng(0).normal(size=(2, 4, 3)).astype(np.float32)
    targets = losses.pack([0, 1, -1, 2], v)
    labels = targets[:, :3]
    hard, soft = np.asarray(losses.cross_entropy(labels, z)), np.asarray(losses.kl_divergence(v, z, 3))
    assert soft.min() > 0.01 and hard[2] == 0
    for alpha in (0, 0.25, 1):
        close(losses.distillation_loss(alpha=alpha, temperature=3)(targets, z), (1 - alpha) * hard + alpha * soft)
    recipe = losses.distillation_loss(losses.cross_entropy_with_mse, alpha=1.0, weight=2)
    close(recipe(targets, z), losses.cross_entropy_with_mse(labels, v, z, 2))
    weighted = losses.distillation_loss(losses.decoupled, alpha=0.5, temperature=3, non_target_weight=2)
    close(weighted(targets, z), 0.5 * hard + 0.5 * np.asarray(losses.decoupled(labels, v, z, 3, 1, 2)))
    default = losses.distillation_loss(losses.mse_probabilities, alpha=1)
    close(default(targets, z), losses.mse_probabilities(v, z))
    own = losses.distillation_loss(lambda teacher_logits, student_logits: 0 * student_logits[:, 0] + 7, alpha=0.5)
    close(own(targets, z), 0.5 * hard + 3.5)


def test_label_accuracy():
    targets = losses.pack([0, 2, -1, 1], np.ones((4, 3)))
    z = np.array([[2, 1, 0], [2, 1, 0], [2, 1, 0], [0, 3, 1.0]])
    np.testing.assert_array_equal(losses.label_accuracy(targets, z), [1, 0, 0, 1])
    np.testing.assert_array_equal(losses.label_accuracy(tf.constant(targets), tf.constant(z, tf.float16)), [1, 0, 0, 1])


def library(name):
    return keras if name == "keras" else pytest.importorskip(name)


both = pytest.mark.parametrize("k", ["keras", "tf_keras"], indirect=True)


@pytest.fixture
def k(request):
    return library(request.param)


def dense(k, *sizes, **settings):
    k.utils.set_random_seed(3)
    hidden = [k.layers.Dense(size, activation="relu") for size in sizes[1:-1]]
    return k.Sequential([k.layers.Input((sizes[0],)), *hidden, k.layers.Dense(sizes[-1], **settings)])


def problem(examples=48):
    rng = np.random.default_rng(5)
    x = rng.normal(size=(examples, 6)).astype(np.float32)
    return x, (x[:, 0] > 0) + 2 * (x[:, 1] > 0)


SOFT = {
    "kl": partial(losses.distillation_loss, temperature=3.0),
    "soft cross-entropy": partial(losses.distillation_loss, losses.soft_cross_entropy, temperature=3.0),
    "mse on logits": partial(losses.distillation_loss, losses.mse_logits),
    "mse on probabilities": partial(losses.distillation_loss, losses.mse_probabilities),
    "decoupled": partial(losses.distillation_loss, losses.decoupled, temperature=3.0, non_target_weight=2.0),
}


@pytest.mark.parametrize(
    ("k", "name"), [*(("keras", name) for name in SOFT), ("tf_keras", "kl"), ("tf_keras", "decoupled")], indirect=["k"]
)
def test_a_student_learns_from_a_teacher_that_stays_as_it_is(k, name):
    x, y = problem()
    teacher, student = dense(k, 6, 16, 4), dense(k, 6, 8, 4)
    before = [w.copy() for w in (*teacher.get_weights(), *student.get_weights())]
    targets = losses.pack(y, np.asarray(teacher(x)))
    loss = SOFT[name](alpha=0.7)
    student.compile(optimizer=k.optimizers.Adam(0.02), loss=loss, metrics=[losses.label_accuracy])
    history = student.fit(x, targets, validation_data=(x, targets), epochs=8, batch_size=20, verbose=0).history
    assert history["val_loss"][-1] < history["val_loss"][0]
    z = np.asarray(student(x))
    assert history["val_loss"][-1] == pytest.approx(np.asarray(loss(targets, z)).mean(), rel=1e-3)
    assert history["val_label_accuracy"][-1] == pytest.approx((z.argmax(-1) == y).mean(), abs=1e-6)
    hard = np.asarray(losses.cross_entropy(targets[:, :4], z)).mean()
    assert abs(history["val_loss"][-1] - 0.3 * hard) > 1e-3  # the teacher's term is there
    after = [*teacher.get_weights(), *student.get_weights()]
    changed = [not np.array_equal(a, b) for a, b in zip(before, after, strict=True)]
    assert changed == [False] * 4 + [True] * 4


def trained(k, loss, targets, **fit):
    model = dense(k, 6, 8, 4)
    model.compile(optimizer=k.optimizers.Adam(0.02), loss=loss)
    model.fit(problem()[0], targets, epochs=3, batch_size=20, shuffle=False, verbose=0, **fit)
    return model.get_weights()


def same(a, b):
    return all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize(("k", "weights"), [("keras", None), ("tf_keras", None), ("keras", np.linspace(0.1, 2, 48))], indirect=["k"])
def test_alpha_0_is_plain_training_bit_for_bit(k, weights):
    _, y = problem()
    packed = losses.pack(y, np.random.default_rng(0).normal(size=(48, 4)))
    plain = trained(k, k.losses.CategoricalCrossentropy(from_logits=True), packed[:, :4], sample_weight=weights)
    assert same(trained(k, losses.distillation_loss(alpha=0, temperature=3), packed, sample_weight=weights), plain)
    assert not same(trained(k, losses.distillation_loss(alpha=0.1, temperature=3), packed, sample_weight=weights), plain)


@both
def test_examples_without_labels(k):
    _, y = problem()
    v = np.random.default_rng(0).normal(size=(48, 4))
    nothing, everything = losses.pack(np.full(48, -1), v), losses.pack(y, v)
    teacher_alone, labels_alone = (losses.distillation_loss(alpha=alpha, temperature=3) for alpha in (1, 0))
    assert same(trained(k, teacher_alone, nothing), trained(k, teacher_alone, everything))
    assert same(trained(k, labels_alone, nothing), dense(k, 6, 8, 4).get_weights())


@both
def test_features_and_logits_in_one_fit(k):
    x, y = problem()
    rng = np.random.default_rng(0)
    features = {"maps": (48, 2, 3, 5), "distances": (48, 7), "angles": (48, 7), "hint": (48, 6)}
    targets = {"logits": losses.pack(y, rng.normal(size=(48, 4)))} | {name: rng.normal(size=shape) for name, shape in features.items()}
    given = k.layers.Input((6,))
    hidden = k.layers.Dense(6)(given)
    outputs = {"logits": k.layers.Dense(4)(hidden), "maps": k.layers.Reshape((2, 3, 1))(hidden), "hint": k.layers.Dense(6)(hidden)}
    outputs |= {"distances": k.layers.Dense(3)(hidden), "angles": k.layers.Dense(3)(hidden)}
    outputs = {name: k.layers.Activation("linear", name=name)(value) for name, value in outputs.items()}
    model = k.Model(given, outputs)
    of_features = {"maps": losses.attention_transfer, "distances": losses.relational_distance, "angles": losses.relational_angle}
    loss = {"logits": losses.distillation_loss(alpha=0.5, temperature=2), "hint": losses.hint} | of_features
    model.compile(optimizer=k.optimizers.Adam(0.02), loss=loss, metrics={"logits": [losses.label_accuracy]})
    history = model.fit(x, targets, epochs=10, batch_size=24, verbose=0).history
    for name in targets:
        assert history[f"{name}_loss"][-1] < history[f"{name}_loss"][0], name
    assert "logits_label_accuracy" in history


@both
def test_a_model_in_half_precision(k):
    x, y = problem()
    model = dense(k, 6, 8, 4, dtype="mixed_float16")
    targets = losses.pack(y, 100 * np.random.default_rng(0).normal(size=(48, 4)))
    loss = losses.distillation_loss(losses.decoupled, alpha=0.5, temperature=1)
    model.compile(optimizer=k.optimizers.SGD(1e-4), loss=loss, metrics=[losses.label_accuracy])
    model.fit(x, targets, epochs=1, verbose=0)
    assert model(x).dtype == tf.float16 and all(np.isfinite(w).all() for w in model.get_weights())
    assert model.evaluate(x, targets, verbose=0)[0] == pytest.approx(np.asarray(loss(targets, model(x))).mean(), rel=5e-3)

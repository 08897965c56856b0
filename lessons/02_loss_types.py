# ---
# jupyter:
#   jupytext:
#     formats: py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
#   kdcourse:
#     title: Types of distillation loss
#     answers: "How is the loss defined? Which types are there, which of them helps, and who is a good teacher?"
#     read: 60
#     run: 2
# ---

# %% [markdown]
# # 2 · The types of distillation loss: what should the student match?
#
# In this chapter you repair a listing that cannot run, write the losses of the field yourself, repeat the experiment that made
# distillation famous, and find out which loss a student gains from.
#
# <!-- links -->
#
# About 60 minutes to read and try, 2 minutes to run.

# %% [markdown]
# ## What you will be able to do
#
# - define a distillation loss that plain `compile` and `fit` can use, and say what `alpha` weighs;
# - write and tell apart the families: losses on probabilities, on logits, on features, on relations;
# - judge a result: against which baseline, over how many seeds, chosen on which data;
# - catch three mistakes of public demos, each with one short check.
#
# > **The interviewer asks:** "How is the loss of knowledge distillation defined, and which types of loss are there?"

# %% tags=["experiment-setup"]
from functools import partial

import numpy as np

from kdcourse import datasets, distillation, evidence, losses, measure, models, plots, quiz, training
from kdcourse.answers import outputs
from kdcourse.soft_labels import one_hot, soft_targets, softmax

data = datasets.load("mnist-5k")  # 3,000 real digits for training, 1,000 for validation, 1,000 for testing
teacher_logits = models.load_logits("mnist-5k-teacher")  # a CNN that learned from the 3,000 training digits

# %% [markdown]
# ## Round 1. A listing that cannot run
#
# A recipe that is often printed: cross-entropy with the labels, plus half the squared difference between the teacher's soft labels and
# the student's. Here it is, mistakes included.
#
# **Predict first.** It has four mistakes. How many do you find before you run it?

# %%
from kdcourse import runtime

runtime.set_seed(0)
import keras
import tensorflow as tf


def as_printed(labels, answers, soft_labels):
    hard = keras.losses.categorical_crossentropy(labels, answers, from_logits=True)
    return keras.ops.mean(hard + 0.5 * keras.ops.mean((soft_labels - keras.ops.softmax(answers)) ** 2))


student = models.student_cnn()
student.compile(optimizer="adam", loss=as_printed)
try:
    student.fit(data.x_train, one_hot(data.y_train, 10), epochs=1, verbose=0)
except TypeError as error:
    told = str(error).splitlines()[0]
print(told)
assert "soft_labels" in told, "Keras passes two arguments, this loss wants three"

# %% [markdown]
# 1. Keras calls a loss with two arguments: the targets and the model's output. This one wants three.
# 2. So the teacher's softmax never reaches the loss. Nothing in `compile` or `fit` mentions it.
# 3. Both means are in the wrong place: they run over the images too. Keras gets one number, and nobody can weight images any more.
# 4. There is no temperature. At $T = 1$ the soft labels of training images are nearly hard labels (chapter 01).
#
# Suppose the first three are mended. **Predict first.** Of the gradient that reaches the student's logits, which share comes from the
# teacher's term: half of it, a tenth, a hundredth?

# %%
z = tf.constant(training.logits(models.student_cnn(), data.x_train))
labels, v = one_hot(data.y_train, 10).astype("float32"), teacher_logits.train
terms = {
    "labels": lambda z: keras.losses.categorical_crossentropy(labels, z, from_logits=True),
    "teacher": lambda z: 0.5 * keras.ops.mean((softmax(v).astype("float32") - keras.ops.softmax(z)) ** 2, axis=-1),
}
size = {}
for name, term in terms.items():
    with tf.GradientTape() as tape:
        tape.watch(z)
        value = term(z)
    size[name] = np.abs(tape.gradient(value, z)).mean()
    print(f"mean gradient from the {name}: {size[name]:.5f}")
share = size["teacher"] / sum(size.values())
print(f"share of the teacher: {share:.1%}")
assert share < 0.05, "the printed recipe hardly listens to its teacher"

# %% [markdown]
# At the start, the student would hardly hear its teacher.
#
# ### The repair: four lines
#
# The labels and the teacher's logits travel together, in one array of targets (`losses.pack` makes it, too).

# %%
T, alpha = 4.0, 0.9
targets = np.concatenate([labels, v], axis=1)  # one row an image: ten columns of labels, ten of logits


def my_loss(targets, z):
    y, v = targets[:, :10], targets[:, 10:]
    hard = keras.losses.categorical_crossentropy(y, z, from_logits=True)
    soft = T**2 * keras.losses.categorical_crossentropy(keras.ops.softmax(v / T), z / T, from_logits=True)
    return (1 - alpha) * hard + alpha * soft


student = models.student_cnn()
student.compile(optimizer=keras.optimizers.Adam(0.01), loss=my_loss, metrics=[losses.label_accuracy])
checked = (data.x_validation, losses.pack(data.y_validation, teacher_logits.validation))
history = student.fit(data.x_train, targets, validation_data=checked, epochs=3, batch_size=64, verbose=0)
print("accuracy on the validation split:", ", ".join(f"{a:.1%}" for a in history.history["val_label_accuracy"]))
theirs = losses.distillation_loss(losses.soft_cross_entropy, alpha=alpha, temperature=T)
z = training.logits(student, data.x_train)
assert np.allclose(my_loss(tf.constant(targets), z), theirs(losses.pack(data.y_train, v), z), rtol=1e-4), "the package computes the same"

# %% [markdown]
# $$ L = (1-\alpha)\, \mathrm{CE}(y,\ \mathrm{softmax}(z)) + \alpha\, T^2\, \mathrm{CE}(\mathrm{softmax}(v/T),\ \mathrm{softmax}(z/T)) $$
#
# **In this course $\alpha$ weighs the teacher**, and $1-\alpha$ the labels. $\alpha = 0$ is plain training; $\alpha = 1$ needs no
# labels. Others count the other way round: look before you copy a number. Hinton gave the labels the lower weight.
#
# ## Round 2. The experiment that made distillation famous
#
# Hinton, Vinyals and Dean (2015), section 3, on the 60,000 digits of MNIST. The teacher: two layers of 1,200 units, dropout, weight
# constraints, images moved by up to two pixels. The student: two layers of 800 units, no regularization, images that *do not move*.
# They report 67 test errors for the teacher, 146 for the plain student, 74 for the student that also matches the teacher at $T = 20$.
# Ours learns from the teacher alone.
#
# **Predict first.** Plain student and teacher are 79 errors apart. How many of them can soft labels alone save?


# %% tags=["experiment-setup"]
def wide_student(images, targets, seed, rate, updates, **settings):
    """Hinton's student, 2 x 800 units without regularization; 16-bit arithmetic inside halves the time."""
    build, how = partial(models.hinton_student, dtype="mixed_bfloat16"), {"learning_rate": rate, "batch_size": 256}
    return training.train(build, images, targets, seed=seed, updates=updates, **how, **settings)


def errors(logits, labels):
    """How many images a model gets wrong, as the paper counts."""
    return int(np.sum(np.argmax(logits, axis=1) != labels))


# %% tags=["experiment"]
@evidence.experiment(metric="errors on the 10,000 test images", compare=[("distilled", "plain")], higher_is_better=False, unit="errors")
def hinton(seed):
    mnist, v = datasets.load("mnist", validation=5000), models.load_logits("mnist-teacher")
    # the settings are chosen: now all 60,000 images, as in the paper
    x, y = (np.concatenate([getattr(mnist, f"{a}_train"), getattr(mnist, f"{a}_validation")]) for a in "xy")
    soft, hard = soft_targets(np.concatenate([v.train, v.validation]), 20.0), one_hot(y, 10)
    results = {"the teacher": errors(v.test, mnist.y_test)}
    for arm, targets, t in (("plain", hard, 1.0), ("distilled", soft, 20.0)):
        student = wide_student(x, targets, seed, 0.002, 20_000, temperature=t)
        results[arm] = errors(training.logits(student, mnist.x_test), mnist.y_test)
    return results


# %%
record = evidence.load("hinton")
means = record.means
print(evidence.table(record), "\n")
for arm, paper in {"the teacher": 67, "plain": 146, "distilled": 74}.items():
    print(f"{arm:12} here {means[arm]:5.1f} errors, the paper {paper}")
gained = [(means["plain"] - means["distilled"]) / (means["plain"] - means["the teacher"]), (146 - 74) / (146 - 67)]
print(f"of the distance from the plain student to the teacher, distillation covers {gained[0]:.0%} here, {gained[1]:.0%} in the paper")
assert record.verdict("distilled", "plain") == "WINS", "soft labels carry the teacher's way of generalizing"

# %% [markdown]
# **What to notice.** The effect is real, and large. A student that has only seen digits at rest takes over much of what its teacher
# learned from moving ones. It does not reach the paper's 74. Our teacher is weaker (and learned from 55,000 images only: 5,000 stayed
# for choices). We tried three learning rates, the highest was best; higher ones, longer training and other optimizers are left.
#
# Live, on our 3,000 digits, one seed: no verdict.

# %% tags=["live"]
for arm, targets, t in (("plain", one_hot(data.y_train, 10), 1.0), ("distilled", soft_targets(teacher_logits.train, 20.0), 20.0)):
    wide = training.train(models.hinton_student, data.x_train, targets, seed=20, updates=500, temperature=t, learning_rate=0.001)
    print(f"{arm:10} {errors(training.logits(wide, data.x_test), data.y_test)} errors on 1,000 test digits")

# %% [markdown]
# One limit: the teacher saw *moving* images, the plain student did not. The simple rival, plain training on moving images, is not in
# this table.
#
# ### How the settings were chosen
#
# On 5,000 images held out of the 60,000, seeds 0 and 1; $T = 20$ is the paper's. Two seeds: a choice, no verdict.


# %% tags=["experiment"]
@evidence.experiment(metric="errors on the 5,000 validation images", compare=[
    ("distilled, rate 0.002", "distilled, rate 0.001"), ("plain, rate 0.002", "plain, rate 0.001")], higher_is_better=False,
    unit="errors", grid=["{}, rate {rate}"])  # fmt: skip
def choice_for_hinton(seed):
    mnist, v = datasets.load("mnist", validation=5000), models.load_logits("mnist-teacher")
    arms = {"plain": (one_hot(mnist.y_train, 10), 1.0), "distilled": (soft_targets(v.train, 20.0), 20.0)}
    results = {}
    for arm, (targets, t) in arms.items():
        for rate in (0.0005, 0.001, 0.002):
            z = training.logits(wide_student(mnist.x_train, targets, seed, rate, 6000, temperature=t), mnist.x_validation)
            results[f"{arm}, rate {rate}"] = errors(z, mnist.y_validation)
    return results

# %%
print(evidence.table(evidence.load("choice_for_hinton")))

# %% [markdown]
# ### A digit that the student never saw
#
# Chapter 01 took the 3s away on 3,000 images. Here is the original, on the full MNIST. The paper reports 206 errors, 133 of them among
# the 1,010 threes; after one bias was raised, 109 and 14. That bias was chosen on the test set; ours on validation images.
#
# In a second run the student sees *only 7s and 8s*. The paper reports 47.3% errors, and 13.2% after the bias of these two classes was
# lowered.
#
# **Predict first.** Take the student of 7s and 8s, with the bias. Of 10,000 test digits, how many will it read wrong? (13.2% are
# 1,320.)


# %% tags=["experiment-setup"]
def best_shift(classes, logits, labels):
    """The number that, added to the logits of these classes, gives the fewest errors."""
    bump = one_hot(list(classes), 10).sum(0)
    return min(np.arange(-25, 25.1, 0.25), key=lambda shift: errors(logits + shift * bump, labels)) * bump


# %% tags=["experiment"]
@evidence.experiment(metric="errors on the test images: all 10,000, or the 1,010 threes", compare=[
    ("soft, bias", "soft"), ("soft, bias", "hard, bias"), ("threes: soft, bias", "threes: hard, bias")],
    higher_is_better=False, unit="errors")  # fmt: skip
def hinton_omitted_3(seed):
    mnist, v = datasets.load("mnist", validation=5000), models.load_logits("mnist-teacher")
    seen, threes = mnist.y_train != 3, mnist.y_test == 3
    arms = {"hard": (one_hot(mnist.y_train, 10), 1.0), "soft": (soft_targets(v.train, 20.0), 20.0)}
    results = {}
    for arm, (targets, t) in arms.items():
        student = wide_student(mnist.x_train[seen], targets[seen], seed, 0.002, 6000, temperature=t)
        shift = best_shift([3], training.logits(student, mnist.x_validation), mnist.y_validation)  # never on the test split
        z = training.logits(student, mnist.x_test)
        for then, moved in (("", z), (", bias", z + shift)):
            results[arm + then] = errors(moved, mnist.y_test)
            results[f"threes: {arm}{then}"] = errors(moved[threes], mnist.y_test[threes])
    return results


# %% tags=["experiment"]
@evidence.experiment(metric="errors on the 10,000 test images", compare=[
    ("soft, bias", "soft"), ("soft, bias", "hard, bias")], higher_is_better=False, unit="errors")  # fmt: skip
def hinton_sevens_and_eights(seed):
    mnist, v = datasets.load("mnist", validation=5000), models.load_logits("mnist-teacher")
    seen = np.isin(mnist.y_train, (7, 8))
    arms = {"hard": (one_hot(mnist.y_train, 10), 1.0), "soft": (soft_targets(v.train, 20.0), 20.0)}
    results = {}
    for arm, (targets, t) in arms.items():
        student = wide_student(mnist.x_train[seen], targets[seen], seed, 0.002, 2000, temperature=t)
        shift = best_shift([7, 8], training.logits(student, mnist.x_validation), mnist.y_validation)
        z = training.logits(student, mnist.x_test)
        results |= {arm: errors(z, mnist.y_test), f"{arm}, bias": errors(z + shift, mnist.y_test)}
    return results


# %%
for record in (evidence.load("hinton_omitted_3"), evidence.load("hinton_sevens_and_eights")):
    print(evidence.table(record), "\n")
    assert record.verdict("soft, bias", "hard, bias") == "WINS", "what it never saw, it learned from the soft labels"
plots.verdicts(record)

# %% [markdown]
# **What to notice.** After one number, chosen on validation images, the student finds nearly all of the 1,010 threes. It has never seen
# one. The student on hard labels cannot, without ruining other digits. And the student of 7s and 8s reads most digits of all ten
# classes, here with fewer errors than the paper reports.
#
# ## Round 3. The types of loss
#
# Every distillation loss answers one question: *what* should agree? Four families: the probabilities, the logits, the features inside,
# or the relations between examples. We write most of them once, then use the package's.
#
# **Predict first.** Soft cross-entropy and KL divergence give different numbers. Do they train different students?


# %%
def my_kl(v, z, T):
    p, q = softmax(v, T), softmax(z, T)
    return T**2 * np.sum(p * (np.log(p) - np.log(q)), axis=-1)


def my_mse_on_logits(v, z):
    return np.mean((z - v) ** 2, axis=-1)


v, z = teacher_logits.test.astype("float64"), models.load_logits("mnist-5k-student").test.astype("float64")
assert np.allclose(my_kl(v, z, 4.0), losses.kl_divergence(v, z, 4.0), rtol=1e-3, atol=1e-4)
assert np.allclose(my_mse_on_logits(v, z), losses.mse_logits(v, z), rtol=1e-4)


def gradient(loss):
    z_now = tf.constant(z, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(z_now)
        value = tf.reduce_sum(loss(z_now))
    return tape.gradient(value, z_now).numpy()


of_ce, of_kl = (gradient(lambda now, f=f: f(v, now, 4.0)) for f in (losses.soft_cross_entropy, losses.kl_divergence))
print(f"mean soft cross-entropy {np.mean(losses.soft_cross_entropy(v, z, 4.0)):.2f}, mean KL {my_kl(v, z, 4.0).mean():.2f}")
assert np.allclose(of_ce, of_kl, atol=1e-4), "they differ by the teacher's entropy, which the student cannot change"

# %% [markdown]
# Same gradient, same student.
#
# Logits may differ by a constant and still give the same probabilities. **MSE on logits** punishes that constant, KL does not see it.
# Apart from it they meet at high temperature (chapter 01): there $T^2\,\mathrm{KL}$ pulls each logit like half the MSE. **MSE on
# probabilities** has another weakness: where the student is sure and wrong, its gradient nearly vanishes, and stays far below KL's at
# every $T$.
#
# **Predict first.** Put KL on the left and MSE on probabilities on the right. Choose a digit that the student reads wrong and move $T$
# from 1 to 20. Which loss hardly pulls, and where is it quietest?

# %%
from kdcourse.widgets import LossExplorer

wrong = np.flatnonzero((z.argmax(1) != data.y_test) & (v.argmax(1) == data.y_test))
shown = [*wrong[np.argsort(-z[wrong].max(1))[:6]], *np.flatnonzero(z.argmax(1) == data.y_test)[:2]]
LossExplorer(data.x_test[shown], data.y_test[shown], v[shown], z[shown], left="kl_divergence", right="mse_probabilities", alpha=1.0)

# %%
temperatures = np.geomspace(0.5, 50, 40)
sure = wrong[np.argsort(-z[wrong].max(1))[:10]]  # the ten mistakes that the student is surest of
pull = {
    name: [np.abs(gradient(lambda now, f=f, t=t: f(v, now, t)))[sure].mean() for t in temperatures]
    for name, f in (("T^2 KL", losses.kl_divergence), ("T^2 MSE on probabilities", losses.mse_probabilities))
}
pull["MSE on logits"] = [np.abs(gradient(lambda now: losses.mse_logits(v, now)))[sure].mean()] * len(temperatures)
quiet = pull["T^2 MSE on probabilities"]
assert quiet[0] < 0.1 * max(quiet) and all(m < 0.1 * k for m, k in zip(quiet, pull["T^2 KL"], strict=True)), "nearly silent, most at low T"
plots.lines(
    temperatures, pull, "Gradient on the student's ten surest mistakes: MSE on probabilities stays far below KL, lowest at low T.",
    xlabel="temperature T", ylabel="mean |gradient|", log_x=True, mark_x=1.0)  # fmt: skip

# %% [markdown]
# ### Taking KL apart
#
# Write the teacher's softmax as two questions. Is it the label's class or not, with probability $p_t$? And if not, which of the others?
# Then
#
# $$ \mathrm{KL} = \underbrace{\mathrm{KL}(\text{label or not})}_{\text{target part}} +
# (1 - p_t)\,\underbrace{\mathrm{KL}(\text{which other})}_{\text{non-target part}} $$
#
# A sure teacher has $1-p_t \approx 0$: what it knows about the other classes hardly counts. **Decoupled distillation** (Zhao et al.
# 2022) gives that part a weight of its own.


# %%
def my_parts(y, v, z):
    p, q = softmax(v), softmax(z)
    pt, qt = p[y], q[y]
    others = np.arange(10) != y
    po, qo = p[others] / (1 - pt), q[others] / (1 - qt)
    return pt * np.log(pt / qt) + (1 - pt) * np.log((1 - pt) / (1 - qt)), np.sum(po * np.log(po / qo)), 1 - pt


i = int(wrong[0])
target, non_target, rest = my_parts(data.y_test[i], v[i], z[i])
kl = my_kl(v[i], z[i], 1.0)
print(f"target part {target:.3f} + {rest:.4f} x non-target part {non_target:.3f} = {target + rest * non_target:.3f}, KL = {kl:.3f}")
y = one_hot(data.y_test[[i]], 10)
assert np.isclose(target + rest * non_target, kl), "the two parts are the whole"
assert np.isclose(non_target, float(losses.non_target_kl(y, v[[i]], z[[i]], 1.0)[0]), rtol=1e-3)

# %% [markdown]
# ### Inside the network
#
# **Hints** (FitNets): the student's features should equal the teacher's, after a small trainable projection where widths differ.
# **Attention transfer**: only *where* the features are active should agree; channels are summed away. **Relational distillation**: only
# the distances, or angles, between the images of a batch should agree; widths do not matter.


# %%
def my_attention(maps):
    energy = np.sum(maps**2, axis=-1).reshape(len(maps), -1)
    return energy / np.linalg.norm(energy, axis=1, keepdims=True)


def my_distances(embedding):
    d = np.linalg.norm(embedding[:, None] - embedding[None], axis=-1)
    return d / d[~np.eye(len(d), dtype=bool)].mean()


teacher = models.load_trained("mnist-5k-teacher")
some = outputs(teacher, data.x_test[:64], features=("block2", "embedding"), verbose=0)
other = outputs(student, data.x_test[:64], features=("conv1", "embedding"), verbose=0)
print("maps:", some["block2"].shape, other["conv1"].shape, "  embeddings:", some["embedding"].shape, other["embedding"].shape)
apart = np.mean((my_attention(some["block2"]) - my_attention(other["conv1"])) ** 2, axis=1)
assert np.allclose(apart, losses.attention_transfer(some["block2"], other["conv1"]), rtol=1e-3)
difference = np.abs(my_distances(some["embedding"]) - my_distances(other["embedding"]))
huber = np.where(difference < 1, difference**2 / 2, difference - 0.5).sum(1) / 63  # a square that becomes a line: outliers count less
assert np.allclose(huber, losses.relational_distance(some["embedding"], other["embedding"]), rtol=1e-3)
turn = np.linalg.qr(np.random.default_rng(0).normal(size=(64, 64)))[0]
assert np.allclose(losses.relational_distance(some["embedding"], some["embedding"] @ turn), 0, atol=1e-5), "a rotation changes no distance"

# %% [markdown]
# Four relatives to read about. *Contrastive* distillation (Tian 2020): the student's and the teacher's view of one image should be
# close, those of different images far. *Self-distillation* (Furlanello 2018): the teacher is an earlier student of the same size.
# *Online* or *mutual* distillation (Zhang 2018): several students teach each other while they train. *Data-free* (Lopes 2017): the
# original images are gone and must be generated.
#
# ## Round 4. The engine, and what a library does silently
#
# On fixed images the teacher's answers never change. So it is asked **once**, the answers go into a small file, and each epoch costs
# about what plain training costs. A file like that must not be mixed up: it knows the hash of the images and of the weights.

# %%
import tempfile
from pathlib import Path

with tempfile.TemporaryDirectory() as folder:
    kept = Path(folder) / "teacher.npz"
    first = outputs(teacher, data.x_validation, cache=kept, verbose=0)
    again = outputs(teacher, data.x_validation, cache=kept, verbose=0)
    print(f"{kept.stat().st_size / 1000:.0f} kB for {len(first['logits'])} images")
    assert (first["logits"] == again["logits"]).all()
    try:
        outputs(teacher, data.x_test, cache=kept, verbose=0)
    except ValueError as error:
        refusal = str(error).replace(str(folder), "...")
print("ValueError:", refusal)
assert "inputs" in refusal, "a cache of other images is refused"

# %% [markdown]
# (An interrupted run goes on where it stopped. What all this saves: `make benchmarks`.)
#
# Keras has its own module since version 3.12, `keras.distillation`. Its `Distiller` runs the teacher in every step, and its
# `student_loss_weight` is our $1-\alpha$. **Predict first.** Its `LogitsDistillation` has a default loss, `"kl_divergence"`. Is that
# the KL of this chapter? (An older Keras skips the next cells.)

# %%
has_module = hasattr(keras, "distillation")  # since Keras 3.12
x, y = data.x_train[:64], data.y_train[:64]
v_64 = teacher_logits.train[:64]
z_64 = np.random.default_rng(0).normal(0, 3, (64, 10)).astype("float32")
if has_module:
    from keras.distillation import Distiller, FeatureDistillation, LogitsDistillation

    in_words = {"object": keras.losses.KLDivergence(), "default": "kl_divergence", "MSE": "mse"}  # the default is a string
    ours = {t: float(np.mean(losses.kl_divergence(v_64, z_64, t))) for t in (1.0, 4.0, 10.0)}
    told = {name: {t: float(LogitsDistillation(t, loss).compute_loss(v_64, z_64)) for t in ours} for name, loss in in_words.items()}
    for name, values in {"our T^2 KL": ours, **told}.items():
        print(f"{name:11}", "  ".join(f"T={t:g}: {value:8.3f}" for t, value in values.items()))
    assert np.allclose(list(told["object"].values()), list(ours.values()), rtol=0.01)
    assert np.isclose(told["MSE"][1.0] / told["MSE"][10.0], 100, rtol=0.01), "MSE gets no T^2: it shrinks by 100 at T = 10"
else:
    print("this Keras has no keras.distillation")

# %% [markdown]
# The object computes our KL. The *string* does not: in the version recorded here it skips softmax and $T^2$, and compares raw logits as
# if they were probabilities. Nothing warns. No other loss gets a $T^2$ (MSE shrinks like $1/T^2$), so that $\alpha$ means something
# else at each temperature.
#
# **Predict first.** Three epochs over 64 images, then `evaluate` on them: how many images does the teacher see? And when every example
# has the weight 0, what does the student learn?

# %%
if has_module:
    import warnings

    warnings.filterwarnings("ignore", message="`build")  # a warning of Keras about its own Distiller

    def distiller(teacher, student, how, alpha=0.9):
        model = Distiller(teacher, student, distillation_losses=how, student_loss_weight=1 - alpha)
        hard = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(optimizer=keras.optimizers.SGD(0.01), loss=hard, run_eagerly=True)  # eagerly: Python can count
        return model

    seen, pupil = [], models.student_mlp()
    count = keras.layers.Lambda(lambda images: (seen.append(images.shape[0]), images)[1])
    counted = keras.Sequential([keras.Input((28, 28, 1)), count, *models.teacher_cnn().layers])
    model = distiller(counted, pupil, LogitsDistillation(4.0, in_words["object"]))
    packed = losses.pack(y, training.logits(counted, x))
    ours = np.mean(losses.distillation_loss(alpha=0.9, temperature=4.0)(packed, training.logits(pupil, x)))
    seen.clear()
    its = model.evaluate(x, y, verbose=0, return_dict=True)["loss"]
    in_evaluate = sum(seen)
    print(f"student_loss_weight=0.1: its loss {its:.4f}; alpha=0.9: ours {ours:.4f}")
    assert np.isclose(its, ours, rtol=1e-3) and in_evaluate == 64, "student_loss_weight is 1 - alpha; evaluate asks the teacher"

# %%
if has_module:
    seen.clear()
    model.fit(x, y, epochs=3, verbose=0)
    print(f"images that the teacher saw: {sum(seen)} in three epochs of 64, {in_evaluate} in evaluate")
    before = pupil.get_weights()
    model.fit(x, y, sample_weight=np.zeros(64), verbose=0)
    moved = max(np.abs(a - b).max() for a, b in zip(before, pupil.get_weights(), strict=True))
    print(f"every example has the weight 0: the student's weights still move by up to {moved:.0e}")
    assert sum(seen) >= 192 and moved > 0, "the teacher runs in every step; sample_weight is ignored"

# %% [markdown]
# Features next. **Predict first.** The student's layer has 16 units, the teacher's 64. And does `evaluate` leave a model as it was?

# %%
if has_module:

    def dense_net(width):
        stack = [keras.Input((28, 28, 1)), keras.layers.Flatten(), keras.layers.Dense(width, name="inside")]
        return keras.Sequential([*stack, keras.layers.BatchNormalization(name="norm"), keras.layers.ReLU(), keras.layers.Dense(10)])

    on_features = FeatureDistillation("mse", "embedding", "inside")
    try:
        distiller(teacher, dense_net(16), on_features).evaluate(x, y, verbose=0)
        outcome = "no error"
    except Exception as error:  # its kind depends on the version
        outcome = type(error).__name__
    print("16 units against 64:", outcome)
    pupil = dense_net(64)
    norm = pupil.get_layer("norm")
    before = keras.ops.convert_to_numpy(norm.moving_mean).copy()
    distiller(teacher, pupil, on_features).evaluate(data.x_test, data.y_test, verbose=0)
    drift = np.abs(keras.ops.convert_to_numpy(norm.moving_mean) - before).mean()
    print(f"evaluate moved the mean that batch normalization keeps by {drift:.3f}")
    assert outcome != "no error" and drift > 0, "no projection; evaluate takes statistics of the test images"

# %% [markdown]
# A loss on packed targets has none of these traps: `sample_weight`, `evaluate` and `tf.data` are Keras's own, and `with_features`
# brings the projection.
#
# ## Round 5. All losses, one student, two situations
#
# The student: two small convolutions and a dense layer, 4,266 parameters. 1,000 updates for each arm. Every loss got its own learning
# rate, and decoupled and feature losses a weight, chosen on the validation split; so did hard labels. $T = 4$ was a first guess.
# Features are matched *in addition to* KL.


# %% tags=["experiment-setup"]
def draw_few(seed):
    """Ten labelled digits of each class; the other 2,900 images get the label -1: none."""
    rng = np.random.default_rng(seed)
    rows = [rng.choice(np.flatnonzero(data.y_train == c), 10, replace=False) for c in range(10)]
    return np.where(np.isin(np.arange(3000), np.concatenate(rows)), data.y_train, -1)


def ask(teacher):
    """What a teacher says of the training images: its logits and the features of three layers."""
    return outputs(teacher, data.x_train, features=("block2", "block3", "embedding"), verbose=0)


def ask_one_taught_by(labels, seed):
    """The same for a teacher that learned from the few labels only, on images that move."""
    known = labels >= 0
    targets = one_hot(labels[known], 10)
    return ask(training.train(models.teacher_cnn, data.x_train[known], targets, seed=seed, updates=300, jitter=2))


# %% tags=["experiment-setup"]
def taught(labels, answers, seed, rate, loss, feature=None):
    """A student with one loss on its logits and, if wanted, one on its features: (its layer, the teacher's layer, loss, weight)."""
    build, targets = models.student_cnn, losses.pack(labels, answers["logits"])
    if feature:
        layer, of_teacher, on_features, weight = feature
        shape = answers[of_teacher].shape[1:] if on_features is losses.hint else None  # a hint needs a projection, the others do not
        build = lambda: distillation.with_features(models.student_cnn(), {layer: shape})
        targets = {"logits": targets, layer: answers[of_teacher]}
        loss = {"logits": loss, layer: lambda theirs, ours: weight * on_features(theirs, ours)}
    return training.train(build, data.x_train, targets, seed=seed, updates=1000, learning_rate=rate, loss=loss)


def untaught(labels, seed, rate, smoothing=0.0):
    """The same student and number of updates, on the labelled images alone."""
    known = labels >= 0
    targets = (1 - smoothing) * one_hot(labels[known], 10) + smoothing / 10
    return training.train(models.student_cnn, data.x_train[known], targets, seed=seed, updates=1000, learning_rate=rate)


def read_right(student, split):
    return measure.accuracy(training.logits(student, getattr(data, f"x_{split}")), getattr(data, f"y_{split}"))


# %% [markdown]
# ### Few labels: 100 of 3,000 images
#
# The teacher learned from the same 100 labels, and answers on all 3,000 images. (*Smoothed*: a
# [virtual teacher](https://arxiv.org/abs/1909.11723) that answers evenly.)
#
# **Predict first.** Chapter 01 split such a gain: unlabelled images gave most of it. So compare with two baselines: hard labels on the
# 100 images, and *the teacher's first choices as hard labels* on all 3,000. Which losses beat the second?


# %% tags=["experiment"]
@evidence.experiment(metric="accuracy on the test split", compare=[
    ("smoothed", "hard"), ("KL", "hard"), ("MSE on logits", "hard"), ("MSE on probabilities", "hard"), ("as printed", "hard"),
    ("decoupled", "hard"), ("KL + hint", "hard"), ("KL + attention", "hard"), ("KL + distances", "hard"),
    ("its answers as hard labels", "hard"), ("KL", "its answers as hard labels"), ("MSE on logits", "KL"), ("decoupled", "KL"),
    ("KL + hint", "KL"), ("KL + attention", "KL"), ("KL + distances", "KL")])  # fmt: skip
def losses_few(seed):
    few = draw_few(seed)
    answers = ask_one_taught_by(few, seed)
    on = losses.distillation_loss
    kl = on(losses.kl_divergence, alpha=1.0, temperature=4.0)  # 100 labels among 3,000 images: the teacher alone
    arms = {
        "KL": (0.01, kl),
        "MSE on logits": (0.02, on(losses.mse_logits, alpha=1.0)),
        "MSE on probabilities": (0.01, on(losses.mse_probabilities, alpha=1.0)),
        "as printed": (0.02, on(losses.cross_entropy_with_mse, alpha=1.0)),
        "decoupled": (0.02, on(losses.decoupled, alpha=1.0, temperature=4.0, non_target_weight=2.0)),
        "KL + hint": (0.01, kl, ("conv2", "block3", losses.hint, 1.0)),
        "KL + attention": (0.02, kl, ("conv1", "block2", losses.attention_transfer, 100.0)),
        "KL + distances": (0.02, kl, ("embedding", "embedding", losses.relational_distance, 10.0)),
    }
    students = {"hard": untaught(few, seed, 0.005), "smoothed": untaught(few, seed, 0.005, smoothing=0.1)}
    students["its answers as hard labels"] = untaught(answers["logits"].argmax(1), seed, 0.005)
    students |= {arm: taught(few, answers, seed, *how) for arm, how in arms.items()}
    return {arm: read_right(student, "test") for arm, student in students.items()}

# %%
record = evidence.load("losses_few")
print(evidence.table(record))
assert record.verdict("KL", "hard") == "WINS", "the unlabelled images"
assert record.verdict("KL", "its answers as hard labels") == "WINS", "and softness on top"
plots.verdicts(record)

# %% [markdown]
# **What to notice.** Every loss that listens to the teacher wins against hard labels. Most of that comes with the teacher's first
# choices on the 2,900 images. (The teacher also saw moving images, *hard* did not.) Softness adds a clear step of its own: KL beats the
# first choices. (In chapter 01, with a dense student, that was INCONCLUSIVE.) Nothing beats KL for certain. The recipe as printed lands
# where the first choices land, and smoothing alone loses.
#
# ### All 3,000 labels
#
# The shipped teacher, every label known. (*Best cell* is from the heat map below.) **Predict first.** How many of the ten arms will
# beat hard labels?


# %% tags=["experiment"]
@evidence.experiment(metric="accuracy on the test split", compare=[
    ("smoothed", "hard"), ("KL", "hard"), ("KL, best cell", "hard"), ("MSE on logits", "hard"), ("MSE on probabilities", "hard"),
    ("as printed", "hard"), ("decoupled", "hard"), ("KL + hint", "hard"), ("KL + attention", "hard"), ("KL + distances", "hard"),
    ("MSE on logits", "KL"), ("decoupled", "KL"), ("KL + hint", "KL"), ("KL + attention", "KL"), ("KL + distances", "KL")])  # fmt: skip
def losses_all(seed):
    labels, answers = data.y_train, ask(models.load_trained("mnist-5k-teacher"))
    on = losses.distillation_loss
    kl = on(losses.kl_divergence, alpha=0.9, temperature=4.0)
    arms = {
        "KL": (0.02, kl),
        "KL, best cell": (0.02, on(losses.kl_divergence, alpha=1.0, temperature=4.0)),  # of the heat map below
        "MSE on logits": (0.02, on(losses.mse_logits, alpha=0.9)),
        "MSE on probabilities": (0.01, on(losses.mse_probabilities, alpha=0.9)),
        "as printed": (0.01, on(losses.cross_entropy_with_mse, alpha=1.0)),
        "decoupled": (0.01, on(losses.decoupled, alpha=0.9, temperature=4.0, non_target_weight=2.0)),
        "KL + hint": (0.02, kl, ("conv2", "block3", losses.hint, 1.0)),
        "KL + attention": (0.02, kl, ("conv1", "block2", losses.attention_transfer, 100.0)),
        "KL + distances": (0.02, kl, ("embedding", "embedding", losses.relational_distance, 1.0)),
    }
    students = {"hard": untaught(labels, seed, 0.02), "smoothed": untaught(labels, seed, 0.005, smoothing=0.1)}
    students |= {arm: taught(labels, answers, seed, *how) for arm, how in arms.items()}
    return {arm: read_right(student, "test") for arm, student in students.items()}

# %%
record = evidence.load("losses_all")
print(evidence.table(record))
assert record.verdict("KL", "hard") == "WINS" and record.verdict("as printed", "hard") != "WINS"
assert all(record.verdict(f"KL + {extra}", "KL") == "INCONCLUSIVE" for extra in ("hint", "attention", "distances"))
plots.verdicts(record)

# %% [markdown]
# **What to notice.** Seven of ten. With every label known, this student still gains from its teacher; chapter 01's dense student did
# not. Student, temperature and rate differ: one result does not carry over. For smoothing, sixteen seeds show nothing.
#
# The recipe as printed and MSE on probabilities *lose*, narrowly; on five other seeds neither did (the recipe even won), so we doubled
# the seeds of this record afterwards. Build on neither. And nothing beats plain KL: the features add nothing that sixteen seeds can
# show, MSE on logits and decoupled distillation lose a little. We tried two weights for each that has one.
#
# ### Temperature and alpha together
#
# With all labels, five seeds for each cell; on the validation split, because this is a choice. **Predict first.** Where is the best
# cell, and how much better is it than no teacher, $\alpha = 0$?


# %% tags=["experiment"]
@evidence.experiment(metric="accuracy on the validation split", compare=[
    ("alpha=0.9, T=4", "alpha=0"), ("alpha=1, T=4", "alpha=0.5, T=4"), ("alpha=0.9, T=8", "alpha=0.9, T=1")],
    grid=["alpha={alpha}, T={T}"])  # fmt: skip
def choice_of_temperature(seed):
    answers = {"logits": teacher_logits.train}
    results = {"alpha=0": read_right(untaught(data.y_train, seed, 0.02), "validation")}
    for alpha in (0.25, 0.5, 0.75, 0.9, 1.0):
        for t in (1, 2, 4, 8, 16):
            loss = losses.distillation_loss(losses.kl_divergence, alpha=alpha, temperature=t)
            student = taught(data.y_train, answers, seed, 0.02, loss)
            results[f"alpha={alpha:g}, T={t:g}"] = read_right(student, "validation")
    return results

# %%
record = evidence.load("choice_of_temperature")
means = record.means
alphas, temperatures = (0.25, 0.5, 0.75, 0.9, 1.0), (1, 2, 4, 8, 16)
grid = np.array([[means[f"alpha={a:g}, T={t:g}"] for t in temperatures] for a in alphas])
best = np.unravel_index(grid.argmax(), grid.shape)
spread = np.mean([np.std(values, ddof=1) for values in record.values.values()])
print(f"alpha=0: {means['alpha=0']:.1%}; the grid: {grid.min():.1%} to {grid.max():.1%}; one cell varies by {spread:.1%} from seed to seed")
told = f"{grid.min():.1%} to {grid.max():.1%}, best at alpha {alphas[best[0]]:g} and T {temperatures[best[1]]}"
plots.matrix(
    100 * grid, [f"{a:g}" for a in alphas], f"Accuracy on the validation split: {told}; without the teacher {means['alpha=0']:.1%}.",
    columns=temperatures, xlabel="temperature T", ylabel="alpha: weight of the teacher", decimals=1, mark=tuple(best))  # fmt: skip

# %% [markdown]
# **What to notice.** At $T = 1$ the teacher adds nothing that you could see; averaged over the weights, $T = 4$ is best. Averaged over
# $T$, the weight hardly matters. Single cells are too noisy to rank, and the best of 25 is partly luck. The test split judged it above:
# *best cell* wins against hard labels, with no higher mean than our first guess, $\alpha = 0.9$.
#
# ### How the settings were chosen
#
# On the validation split, seeds 0 and 1. The verdicts come from seeds 10 and up.


# %% tags=["experiment"]
@evidence.experiment(metric="accuracy on the validation split", compare=[
    ("few: KL, T=8, rate 0.01", "few: KL, T=2, rate 0.01"), ("all: KL, T=8, rate 0.01", "all: KL, T=2, rate 0.01")],
    grid=["{}, T={T}, rate {rate}", "{}, {weight}, rate {rate}", "{}, rate {rate}"])  # fmt: skip
def choice_of_losses(seed):
    few, results = draw_few(seed), {}
    teachers = {"few": (few, ask_one_taught_by(few, seed), 1.0), "all": (data.y_train, ask(models.load_trained("mnist-5k-teacher")), 0.9)}
    for regime, (labels, answers, alpha) in teachers.items():
        mixed = partial(losses.distillation_loss, alpha=alpha)
        kl = mixed(losses.kl_divergence, temperature=4.0)
        arms = {f"KL, T={t:g}": (mixed(losses.kl_divergence, temperature=t),) for t in (2.0, 8.0)}
        arms |= {"MSE on logits": (mixed(losses.mse_logits),), "MSE on probabilities": (mixed(losses.mse_probabilities),)}
        arms["as printed"] = (losses.distillation_loss(losses.cross_entropy_with_mse, alpha=1.0),)
        for w in (2.0, 8.0):
            arms[f"decoupled, {w:g}"] = (mixed(losses.decoupled, temperature=4.0, non_target_weight=w),)
        for w in (1.0, 10.0):
            arms[f"KL + hint, {w:g}"] = (kl, ("conv2", "block3", losses.hint, w))
            arms[f"KL + attention, {100 * w:g}"] = (kl, ("conv1", "block2", losses.attention_transfer, 100 * w))
            arms[f"KL + distances, {w:g}"] = (kl, ("embedding", "embedding", losses.relational_distance, w))
        for rate in (0.005, 0.01, 0.02):
            students = {"hard": untaught(labels, seed, rate), "smoothed": untaught(labels, seed, rate, 0.1)}
            students["its answers as hard labels"] = untaught(answers["logits"].argmax(1), seed, rate)
            students |= {arm: taught(labels, answers, seed, rate, *how) for arm, how in arms.items()}
            results |= {f"{regime}: {arm}, rate {rate}": read_right(student, "validation") for arm, student in students.items()}
    return results

# %%
record = evidence.load("choice_of_losses")
for kind in dict.fromkeys(arm.rpartition(", rate ")[0] for arm in record.means):
    rates = {arm.rpartition(" ")[2]: mean for arm, mean in record.means.items() if arm.startswith(f"{kind}, rate")}
    print(f"{kind:32}", "  ".join(f"{rate}: {mean:.1%}" for rate, mean in rates.items()), "  best rate", max(rates, key=rates.get))

# %% [markdown]
# ## Round 6. Which teacher?
#
# Does a bigger teacher teach better? Often not, found Cho and Hariharan (2019) and Mirzadeh et al. (2020); yes, with patience, say
# Beyer et al. (2022). Does label smoothing spoil a teacher? Yes, say Müller et al. (2019); no, say Shen et al. (2021); it depends on
# $T$, say Chandrasegaran et al. (2022). Does a student that agrees more with its teacher make fewer errors? Stanton et al. (2021) found
# little agreement.
#
# Each seed trains its own teachers (two dense layers, moving images), and a student on each teacher's soft labels for all images.
#
# **Predict first.** Order the students: of the teacher with 50 units a layer, 200, 800, and 800 with label smoothing.


# %% tags=["experiment"]
@evidence.experiment(metric="accuracy of teacher or student, or their agreement, on the test split", compare=[
    ("student of 200", "student of 50"), ("student of 800", "student of 200"), ("student of 800", "student of 50"),
    ("student of 800 smoothed", "student of 800"), ("student of 800 smoothed, T=1", "student of 800, T=1"),
    ("student of 800", "hard labels"), ("student of 50", "hard labels")])  # fmt: skip
def which_teacher(seed):
    hard, results = one_hot(data.y_train, 10), {}
    smoothed = 0.9 * hard + 0.01
    for name, units, targets in (("50", 50, hard), ("200", 200, hard), ("800", 800, hard), ("800 smoothed", 800, smoothed)):
        build = partial(models.hinton_teacher, units)
        teacher = training.train(build, data.x_train, targets, seed=seed, updates=1500, learning_rate=0.001, jitter=2)
        answers, z_test = {"logits": training.logits(teacher, data.x_train)}, training.logits(teacher, data.x_test)
        results[f"teacher of {name}"] = measure.accuracy(z_test, data.y_test)
        for t, then in ((4.0, ""), (1.0, ", T=1")):
            if units == 800 or t == 4.0:
                loss = losses.distillation_loss(losses.kl_divergence, alpha=1.0, temperature=t)
                student = taught(data.y_train, answers, seed, 0.02, loss)
                results[f"student of {name}{then}"] = read_right(student, "test")
                agreed = measure.accuracy(training.logits(student, data.x_test), z_test.argmax(1))
                results[f"agreement with {name}{then}"] = agreed
    return results | {"hard labels": read_right(untaught(data.y_train, seed, 0.02), "test")}

# %%
from scipy.stats import spearmanr

record = evidence.load("which_teacher")
print(evidence.table(record), "\n")
names = [arm.removeprefix("student of ") for arm in record.values if arm.startswith("student of ")]
accuracy, agreement = (np.array([record.values[f"{what} {name}"] for name in names]) for what in ("student of", "agreement with"))
for what, chosen in (("all six students", slice(None)), ("the four of 800 units", slice(2, None))):
    by_seed = [spearmanr(a, b).statistic for a, b in zip(accuracy[chosen].T, agreement[chosen].T, strict=True)]
    mean, low, high = evidence.paired_interval(by_seed)
    told = f"rank correlation of accuracy and agreement, {what}: {mean:+.2f} [{low:+.2f}, {high:+.2f}]"
    print(told)
at = {t: np.subtract(accuracy[names.index(f"800 smoothed{t}")], accuracy[names.index(f"800{t}")]) for t in ("", ", T=1")}
print("gain by smoothing at T=1 minus at T=4: {:+.2%} [{:+.2%}, {:+.2%}]".format(*evidence.paired_interval(at[", T=1"] - at[""])))
print(f"the students agree with their teachers on {agreement.min():.1%} to {agreement.max():.1%} of the test images")
clouds = {name: (100 * b, 100 * a) for name, a, b in zip(names, accuracy, agreement, strict=True)}
plots.scatter(
    clouds, f"Accuracy of students over agreement with their teacher: both rise with the teacher's size; {told}.",
    xlabel="agreement of student and teacher on test images (%)", ylabel="accuracy of the student (%)")  # fmt: skip

# %% [markdown]
# **What to notice.** Here the better teacher teaches better, at each step. A student with $\alpha = 1$ has no labels, so a teacher that
# reads worse than hard labels would teach does harm: the one of 50 units. Size and accuracy rise together here (dropout may hurt the
# small ones); the papers that found the opposite had far larger teachers. Smoothing: at $T = 1$ the smoothed teacher wins, at $T = 4$
# the interval contains zero, and by the printed difference $T$ matters. Five other seeds showed neither. Agreement rises with accuracy
# when teachers of all sizes are mixed; among the four of 800 units the interval contains zero.
#
# ### A patient, consistent teacher
#
# Chapter 01 left an arm open. When images move, cached answers speak of images that the student never sees. A *consistent* teacher
# (Beyer et al. 2022) is asked about the moved image. That costs a run of the teacher in every step.
#
# **Predict first.** Same student, moving images, three targets: labels; answers cached on the still images; answers on the moved image.


# %% tags=["experiment"]
@evidence.experiment(metric="accuracy on the test split", compare=[
    ("moved, asked again", "moved, labels"), ("moved, asked again", "moved, cached answers"), ("moved, cached answers", "moved, labels"),
    ("moved, labels", "still, labels")], sentinel=True)  # fmt: skip
def consistent(seed):
    teacher, labels = models.load_trained("mnist-5k-teacher"), one_hot(data.y_train, 10)
    loss = losses.distillation_loss(losses.kl_divergence, alpha=1.0, temperature=4.0)
    arms = {
        "still, labels": (labels, 0.02, {}),
        "moved, labels": (labels, 0.02, {"jitter": 2}),
        "moved, cached answers": (losses.pack(data.y_train, teacher_logits.train), 0.02, {"jitter": 2, "loss": loss}),
        "moved, asked again": (labels, 0.02, {"jitter": 2, "loss": loss, "teacher": teacher}),
    }
    results = {}
    for arm, (targets, rate, how) in arms.items():
        student = training.train(models.student_cnn, data.x_train, targets, seed=seed, updates=2000, learning_rate=rate, **how)
        results[arm] = read_right(student, "test")
    return results

# %%
record = evidence.load("consistent")
print(evidence.table(record), "\n")
batches = tf.data.Dataset.from_tensor_slices((data.x_train, one_hot(data.y_train, 10))).batch(64)
asked_again = distillation.online_targets(batches, teacher)  # how to do it, and what it costs on this machine
plots.verdicts(record)

# %% [markdown]
# **What to notice.** On moving images the labels alone are hard to beat. Cached answers lose to them. Asking the teacher again does not
# win either, and does not clearly beat the cache. Again the simple rival. (All arms share one learning rate; it was not searched for
# moving images.) Beyer et al. trained for thousands of epochs; such patience did not fit here.
#
# ## What goes wrong: three case files
#
# Three mistakes of public demos, rebuilt small. Each shows a "gain", and each has a short check.
#
# ### Case 1: a ReLU on the logits
#
# A course reports 58.66% for the plain student, 96.85% for the distilled one. Its student ends in a ReLU: no logit can go below 0, and
# at 0 its gradient stops: a class whose logit is 0 for all images is **dead**. Here both arms have that ReLU; the distilled arm matches
# logits. **Predict first.** What is the check?


# %%
def relu_at_the_end():
    return keras.Sequential([*models.student_mlp(128).layers, keras.layers.ReLU()])  # the mistake


on_labels, on_logits = losses.distillation_loss(alpha=0.0, temperature=1.0), losses.distillation_loss(losses.mse_logits, alpha=1.0)
targets = losses.pack(data.y_train, np.maximum(teacher_logits.train, 0))
arms = {"ReLU, labels": (relu_at_the_end, on_labels), "ReLU, distilled": (relu_at_the_end, on_logits)}
arms["the check: no ReLU, labels"] = (partial(models.student_mlp, 128), on_labels)
accuracy = {}
for arm, (build, loss) in arms.items():
    pupil = training.train(build, data.x_train, targets, seed=0, updates=200, learning_rate=0.02, loss=loss)
    answers = training.logits(pupil, data.x_test)
    accuracy[arm] = measure.accuracy(answers, data.y_test)
    print(f"{arm:26} {accuracy[arm]:.1%}   dead logits: {np.sum(answers.max(0) <= 0)} of 10")
assert accuracy["the check: no ReLU, labels"] > accuracy["ReLU, labels"] + 0.15, "the baseline was broken"
assert accuracy["the check: no ReLU, labels"] > accuracy["ReLU, distilled"] - 0.03, "and nothing was gained over a sound one"

# %% [markdown]
# Distillation repaired nothing but the bug. The check: is the baseline as good as this network can be?
#
# ### Case 2: one seed, and the best epoch picked on the test split
#
# Our new method has $\alpha = 0$, a **placebo**. We try four seeds, look at the test split after each epoch, and report the best number
# beside one plain run.


# %%
def scores(seed, epochs=8):
    """Accuracy on the test split after each epoch of plain training."""
    runtime.set_seed(seed)
    pupil, seen = models.student_mlp(), []
    pupil.compile(keras.optimizers.Adam(0.02), loss=losses.distillation_loss(alpha=0.0, temperature=4.0), steps_per_execution=8)
    look = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: seen.append(measure.accuracy(training.logits(pupil, data.x_test), data.y_test))
    )
    pupil.fit(data.x_train, losses.pack(data.y_train, teacher_logits.train), batch_size=64, epochs=epochs, verbose=0, callbacks=[look])
    return np.array(seen)


plain, placebo = scores(0), np.stack([scores(seed) for seed in range(4)])
print(f"as reported: plain {plain[-1]:.1%}, 'distilled' {placebo.max():.1%}, a gain of {100 * (placebo.max() - plain[-1]):+.1f} points")
print(f"the check, same seed and last epoch: {plain[-1]:.1%} and {placebo[0, -1]:.1%}; the four seeds: {np.round(100 * placebo[:, -1], 1)}")
assert placebo.max() > plain[-1] and abs(plain[-1] - placebo[0, -1]) < 0.01, "32 looks find something; paired, it is gone"

# %% [markdown]
# ### Case 3: the logits belong to other images
#
# The logits were cached in one order, the images came shuffled. $\alpha = 0.5$ mixes the right labels in, so the loss falls and the
# student is not bad. The report compares it with a baseline at Adam's default rate, 0.001; the "distilled" student got 0.005. **Predict
# first.** Does half a loss of nonsense show?

# %%
order = np.random.default_rng(0).permutation(len(data.y_train))
right, wrongly = (losses.pack(data.y_train, logits) for logits in (teacher_logits.train, teacher_logits.train[order]))
arms = {"labels, rate 0.001": (right, 0.0, 0.001), "misaligned, rate 0.005": (wrongly, 0.5, 0.005)}
arms["labels, rate 0.005"] = (right, 0.0, 0.005)
accuracy = {}
for arm, (targets, weight, rate) in arms.items():
    loss = losses.distillation_loss(alpha=weight, temperature=1.0)
    pupil = training.train(models.student_mlp, data.x_train, targets, seed=0, updates=150, learning_rate=rate, loss=loss)
    accuracy[arm] = measure.accuracy(training.logits(pupil, data.x_test), data.y_test)
    print(f"{arm:24} {accuracy[arm]:.1%}")
agree = [measure.accuracy(targets[:, 10:], data.y_train) for targets in (right, wrongly)]
print(f"the check, before training: cached logits and labels agree on {agree[1]:.1%}; in the right order on {agree[0]:.1%}")
assert accuracy["misaligned, rate 0.005"] > accuracy["labels, rate 0.001"], "it looks like a gain"
assert agree[1] < 0.2 < 0.9 < agree[0], "one line finds it, without any training"

# %% [markdown]
# Two mistakes at once: the logits hurt, and the learning rate hides it. Give the baseline the same care, and compare cached logits with
# the labels before you train.
#
# ## Exercises
#
# ### Exercise 1: the balance of two terms
#
# Find the share of the gradient on the logits that comes from the teacher, for $(1-\alpha)\,\mathrm{CE} + \alpha\,T^2\,\mathrm{KL}$.
# (The gradients: $\mathrm{softmax}(z) - y$, and $T\,(\mathrm{softmax}(z/T) - \mathrm{softmax}(v/T))$.)


# %% tags=["solution"]
def teacher_share(labels, teacher_logits, student_logits, alpha, temperature):
    """Return mean |teacher's gradient| / (mean |labels' gradient| + mean |teacher's gradient|), each with its weight; a number."""
    hard = (1 - alpha) * (softmax(student_logits) - labels)
    soft = alpha * temperature * (softmax(student_logits, temperature) - softmax(teacher_logits, temperature))
    return np.abs(soft).mean() / (np.abs(hard).mean() + np.abs(soft).mean())


# %% tags=["check"]
with quiz.check("the balance of two terms"):
    hard, theirs, ours = one_hot(data.y_test, 10), teacher_logits.test, models.load_logits("mnist-5k-student").test
    assert teacher_share(hard, theirs, ours, 0.0, 4.0) == 0, "alpha = 0 leaves the teacher out"
    assert np.isclose(teacher_share(hard, theirs, ours, 1.0, 4.0), 1), "alpha = 1 leaves the labels out"
    assert np.isclose(teacher_share(hard, theirs, theirs, 0.5, 4.0), 0), "a student that equals its teacher gets nothing from it"
    assert teacher_share(hard, theirs, ours, 0.5, 4.0) > teacher_share(hard, theirs, ours, 0.5, 1.0), "at T = 4 the small shares differ too"

# %% [markdown]
# ### Exercise 2: distil from someone who gives no numbers
#
# A service answers with a **ranking** of the classes only. Write a loss that is 0 when the student's logits have the same order, and
# grows with each pair in the wrong order. (For each pair where the teacher prefers class $i$ to $j$: $\max(0,\ z_j - z_i)$. Equal
# logits cost 0 too: a weakness.)


# %% tags=["solution"]
def ranking_loss(teacher_logits, student_logits):
    """Return the mean of max(0, z_j - z_i) over all pairs of classes with v_i > v_j, shape (examples,)."""
    prefers = teacher_logits[:, :, None] > teacher_logits[:, None, :]
    wrong_by = np.maximum(0, student_logits[:, None, :] - student_logits[:, :, None])
    return (prefers * wrong_by).sum((1, 2)) / prefers.sum((1, 2))


# %% tags=["check"]
with quiz.check("distil from a ranking"):
    three = np.array([[3.0, 1.0, 0.0]])
    assert np.allclose(ranking_loss(three, np.array([[9.0, 5.0, -2.0]])), 0), "the same order costs nothing"
    assert np.allclose(ranking_loss(three, np.array([[1.0, 2.0, 0.0]])), 1 / 3), "one of three pairs is wrong, by 1"
    assert np.allclose(ranking_loss(three, 2 * three[:, ::-1]), 2 * ranking_loss(three, three[:, ::-1])), "twice the logits, twice the loss"

# %% [markdown]
# ## Quiz

# %%
quiz.show("02_loss_types")

# %% [markdown]
# ## Interview corner
#
# > **How is the distillation loss defined?**
#
# *In 30 seconds.* A weighted sum: $(1-\alpha)$ times the cross-entropy with the labels, plus $\alpha T^2$ times the KL divergence from
# the teacher's softened probabilities to the student's, both at temperature $T$. $T^2$ keeps the second term's gradient in size.
#
# *In 3 minutes.* Soft cross-entropy and KL have the same gradient. At high $T$ it becomes logit matching. On fixed data the teacher
# runs once, and the loss reads its logits from the targets: plain `fit`, nothing slower. Unlabelled images have the teacher's term
# only.
#
# *Follow-up.* Which $\alpha$ and $T$? Search them together, on validation data: in our grid the means moved more with $T$ than with
# $\alpha$. *What if the images move?* Then cached answers are about other images: ask the teacher again, and pay for it.
#
# *Common wrong answer.* A loss with three arguments, `(y_true, y_pred, y_soft)`, handed to `compile`.
#
# *See it hold:* Round 1, and the heat map of Round 5.

# %% [markdown]
# > **Which types of distillation loss are there, and which would you take?**
#
# *In 30 seconds.* Response: probabilities (KL) or logits (MSE). Features: hints with a projection, attention maps. Relations: distances
# and angles between examples. I would begin with KL or MSE on logits, and add another only if it wins against that, over seeds.
#
# *In 3 minutes.* KL ignores a shift of all logits, MSE does not. Decoupled distillation splits KL, because a sure teacher drowns what
# it knows about the other classes. Feature losses need the inside, layers that fit, and one more weight to tune. In our runs none of
# them beat KL.
#
# *Follow-up.* Does a better teacher make a better student? In our runs yes, but the bigger teachers were also the better readers.
#
# *Common wrong answer.* "The newest loss is the best." Is its gain larger than the spread between seeds?
#
# *See it hold:* the two verdict tables of Round 5.

# %% [markdown]
# ## Summary
#
# - A distillation loss is a function of packed targets and logits. $\alpha$ weighs the teacher, $1-\alpha$ the labels.
# - On the full MNIST the teacher's soft labels save the student many errors. Our small convolutional student gains with few labels and
#   with all; chapter 01's dense one gained with few only.
# - A "gain" needs a sound baseline, paired seeds, and a cache that belongs to the images.
#
# ## What's next
#
# [Chapter 03](03_pruning.ipynb) makes networks smaller by cutting: pruning.
#
# ## References
#
# - Hinton et al. 2015. [Distilling the Knowledge in a Neural Network](https://arxiv.org/abs/1503.02531). Ba, Caruana 2014.
#   [Do Deep Nets Really Need to be Deep?](https://arxiv.org/abs/1312.6184) (MSE on logits).
# - [FitNets](https://arxiv.org/abs/1412.6550), [attention transfer](https://arxiv.org/abs/1612.03928),
#   [relational](https://arxiv.org/abs/1904.05068), [decoupled](https://arxiv.org/abs/2203.08679),
#   [contrastive](https://arxiv.org/abs/1910.10699), [born-again](https://arxiv.org/abs/1805.04770),
#   [mutual](https://arxiv.org/abs/1706.00384), [data-free](https://arxiv.org/abs/1710.07535) distillation.
# - Bigger teachers: [Cho, Hariharan](https://arxiv.org/abs/1910.01348), [Mirzadeh et al.](https://arxiv.org/abs/1902.03393). Smoothed
#   ones: [Müller et al.](https://arxiv.org/abs/1906.02629), [Shen et al.](https://arxiv.org/abs/2104.00676),
#   [Chandrasegaran et al.](https://arxiv.org/abs/2206.14532). Agreement: [Stanton et al.](https://arxiv.org/abs/2106.05945). Patience:
#   [Beyer et al.](https://arxiv.org/abs/2106.05237)

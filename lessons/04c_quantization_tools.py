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
#     edition: 2
#     title: Tools and failures
#     answers: "Your quantized model is fine in Keras and wrong on the phone. How do you find out, and what do you do?"
#     read: 35
#     run: 2
# ---

# %% [markdown]
# # 4c · Tools and failures
#
# Libraries do in one line what chapter 04 did by hand. Here you see where each line fails, how you find out, and what it gains when
# it works.
#
# <!-- links -->
#
# About 35 minutes to read and try, 2 minutes to run.
#
# ## What you will be able to do
#
# - train a Keras 3 model for int8 with TFMOT, and find the layers that it cannot take; <!-- objective: unsupported -->
# - find out that a file gives other answers than its model, and where the two part; <!-- objective: export-check -->
# - give a layer a codebook, and say when that beats a grid; <!-- objective: codebook -->
# - count the bytes of clustered weights before you write a file. <!-- objective: entropy -->
#
# > **The interviewer asks:** "Your quantized model is fine in Keras and wrong on the phone. How do you find out, and what do you do?"

# %% tags=["experiment-setup", "hide-input"]
# The data, and the network of TFMOT's tutorials
import functools
import gzip
import tempfile
import warnings
from pathlib import Path

import numpy as np
from IPython.display import display

from kdcourse import (
    anatomy,
    datasets,
    evidence,
    formats,
    keras_bridge,
    litert,
    measure,
    models,
    plots,
    pruning,
    quantization,
    quiz,
    runtime,
    schematics,
    tfmot,
    training,
)
from kdcourse.soft_labels import one_hot

data = datasets.load("mnist-5k")
hard = one_hot(data.y_train, 10)
examples = data.x_train[:200]


def tutorial_cnn(pool=2):
    """The network of TFMOT's tutorials, with 20,410 parameters."""
    import keras

    layers = [
        keras.Input((28, 28, 1)),
        keras.layers.Conv2D(12, 3, activation="relu", name="conv"),
        keras.layers.MaxPooling2D(pool, name="pool"),
        keras.layers.Flatten(name="flat"),
        keras.layers.Dense(10, name="logits"),
    ]
    return keras.Sequential(layers, name="tutorial")


def fit(build, seed, updates, rate):
    how = {"seed": seed, "updates": updates, "learning_rate": rate}
    return training.train(build, data.x_train, hard, **how)


def right(net, split="test"):
    images, labels = getattr(data, f"x_{split}"), getattr(data, f"y_{split}")
    return measure.accuracy(training.logits(net, images), labels)


def attempt(name, call):
    """Print what comes of a call: what it returns, or the first line of its error."""
    try:
        print(f"{name}: {call()}")
    except Exception as error:
        print(f"{name}: {type(error).__name__}: {str(error).strip().splitlines()[0][:140]}")


def small_net(activation):
    """A small network with an activation layer of its own, 4,450 parameters and more."""
    from keras import Input, Sequential, layers

    first = [Input((28, 28, 1)), layers.Conv2D(12, 3, name="conv"), activation]
    last = [layers.MaxPooling2D(4, name="pool"), layers.Flatten(), layers.Dense(10, name="logits")]
    return Sequential([*first, *last], name="small")


def loaded(path):
    """Load a model of tf_keras and tell what it reads."""
    import tf_keras

    model = tf_keras.models.load_model(path, compile=False)
    return f"{right(model):.1%} of the test digits"


def converter_alone(model):
    """Ask TensorFlow's converter for integers, without examples."""
    import tensorflow as tf

    tf.get_logger().setLevel("ERROR")  # else it tells where it puts each file
    with tempfile.TemporaryDirectory() as folder:
        model.export(folder, verbose=False)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        return converter.convert()


# How a trained network is trained on: as it is, pruned, with a codebook, or for int8
def trained(way, net, seed, updates, rate, **how):
    how |= {"seed": seed, "updates": updates, "learning_rate": rate}
    learn = (data.x_train, hard)
    if way == "float":
        return training.train(lambda: anatomy.copied(net), *learn, **how)
    if way == "pruned":
        schedule = pruning.PolynomialDecay(how.pop("sparsity"), begin=0, end=updates // 2)
        return pruning.train_with_tfmot(net, *learn, schedule=schedule, **how)
    if way == "clustered":
        return quantization.train_clustered(net, *learn, **how)
    return quantization.train_for_int8(net, *learn, **how)


# The network of TFMOT's tutorials in nine files; each network gets 1,200 updates in all
RATES = {"float": 0.016, "QAT": 0.016, "pruned": 0.004, "clustered": 0.016}


@functools.lru_cache(maxsize=1)
def tutorial_files(seed):
    first = fit(tutorial_cnn, seed, 600, 0.032)

    def on(way, net=first, updates=600, **how):
        return trained(way, net, seed, updates, RATES[way], **how)

    floats = on("float")
    half_pruned, half_clustered = (
        on("pruned", updates=300, sparsity=0.85),
        on("clustered", updates=300, clusters=16),
    )
    small = fit(lambda: tutorial_cnn(4), seed, 1200, 0.016)
    in_8_bits = {
        "PTQ": floats,
        "QAT": on("QAT"),
        "pruned 80%, PTQ": on("pruned", sparsity=0.8),
        "pruned 85%, PTQ": on("pruned", sparsity=0.85),
        "pruned 85%, QAT": on("QAT", half_pruned, updates=300, preserve="pruning"),
        "16 values, PTQ": on("clustered", clusters=16),
        "16 values, QAT": on("QAT", half_clustered, updates=300, preserve="clusters"),
        "max pooling 4x4, PTQ": small,
    }
    files = {name: litert.to_tflite(net, "int8", examples) for name, net in in_8_bits.items()}
    return {"float": litert.to_tflite(floats)} | files


# A network whose weights are on grids
def on_grids(net, bits, **how):
    copy = anatomy.copied(net)
    for layer in anatomy.kernel_layers(copy).values():
        layer.kernel.assign(quantization.rounded(layer.kernel, bits, **how))
    return copy


# %% tags=["hide-input"]
# The way of a model to the phone
warnings.filterwarnings("ignore", message="You are saving your model as an HDF5 file")
sheet = schematics.Schematic(
    "Each step on the way to the phone can fail, and some fail without an error",
    height=3.8,
    alt="A Keras 3 model crosses to tf_keras, is trained with rounding, and is converted to a file for the phone. Below each "
    "step stands what can go wrong: None or a wrong error, a layer that is not supported, a model that does not load, "
    "a file that gives other answers.",
)
model = sheet.box(1.1, 1.2, "Keras 3\nmodel", role="student")
twin = sheet.box(3.9, 1.2, "tf_keras\ntwin", role="student")
aware = sheet.box(6.9, 1.2, "trained\nfor int8", role="student")
file = sheet.box(9.4, 1.2, ".tflite\nfile", role="data")
phone = sheet.box(11.2, 1.2, "phone", role="phone")
sheet.arrow(model, twin, "bridge")
sheet.arrow(twin, aware, "TFMOT")
sheet.arrow(aware, file, "convert")
sheet.arrow(file, phone)
fails = {
    2.3: "bridge forgotten: a wrong error, or None and no error",
    5.2: "a layer that is not supported",
    7.6: "saved, and it does not load",
    10.4: "calibrated on other inputs: no error, wrong answers",
}
for x, text in fails.items():
    sheet.note(x, 2.8, text, width=2.3)
sheet

# %% [markdown]
# ## Does TFMOT take your model?
#
# Chapter 04 explains the words that this page starts from. **Quantization** stores numbers as small integers. The **scale** is the
# real number that one step of these integers stands for. **Post-training quantization** (PTQ) rounds a network that is trained
# already. **Quantization-aware training** (QAT) trains it while it rounds, so that the weights adapt. Both end in a **.tflite file**,
# which is what a phone runs. TFMOT is TensorFlow's library for all of this, and its name is short for TensorFlow Model Optimization
# Toolkit.
#
# A listing that goes around says `tfmo.keras.quantize_layer.QuantizeLayer()(model)`. TFMOT's guide says `quantize_model(model)` and
# `cluster_weights(model, ...)`. The next cell tries the three on an ordinary model of Keras 3. In the code `tfmo` is TFMOT itself,
# and `tfmot` is a helper of this course that loads parts of it.
#
# **Predict first.** How many of the three work? And how many of the others tell you what is wrong?

# %%
net = models.load_trained("mnist-5k-phone")  # the network of chapter 04
quantize, clustering = tfmot.toolkit("quantization"), tfmot.toolkit("clustering")
import tensorflow_model_optimization as tfmo

attempt("the listing", lambda: tfmo.keras.quantize_layer.QuantizeLayer()(net))
attempt("quantize_model", lambda: quantize.quantize_model(net))
line = clustering.CentroidInitialization.LINEAR
attempt("cluster_weights", lambda: clustering.cluster_weights(net, 16, line))

# %% [markdown]
# **Answer.** None works. Only the first error says what is wrong: the listing names a module that does not exist. TFMOT has a
# `QuantizeLayer`, but it is private and rounds inputs only. The second error misleads. `quantize_model` wants a "keras Sequential or
# Functional model", and `net` is one. But TFMOT means Keras 2, the package `tf_keras`, and `net` is of Keras 3. `cluster_weights`
# does not even fail: it returns `None`.
#
# So a model must cross first: `keras_bridge.to_tf_keras(model)` rebuilds it in `tf_keras`, layer by layer, with the same weights. We
# call the result its *twin*. `quantization.train_for_int8` does that and then trains with TFMOT. What it returns stays in `tf_keras`,
# because TFMOT's layers hold the ranges that were learned, and only the converter needs them.
#
# ## A layer that is not supported
#
# Behind the convolution of a small network stands a PReLU, which is a ReLU with a learned slope for negative numbers. TFMOT's list
# has ReLU and LeakyReLU, but no PReLU.
#
# **Predict first.** Two ways round come to mind: another layer in its place, or this one layer left in floats while the others
# train. Which costs more accuracy, and does the second one leave floats in the file?

# %%
import keras


def prelu_net():
    return small_net(keras.layers.PReLU(shared_axes=[1, 2], name="prelu"))


prelu = fit(prelu_net, seed=0, updates=300, rate=0.016)
attempt("TFMOT", lambda: quantize.quantize_model(keras_bridge.to_tf_keras(prelu)))
attempt("ours", lambda: trained("QAT", prelu, 0, 300, 0.016))

# %%
relu = fit(lambda: small_net(keras.layers.ReLU(name="relu")), seed=0, updates=300, rate=0.016)
ready = {
    "ReLU in its place": trained("QAT", relu, 0, 300, 0.016),
    "PReLU left in floats": trained("QAT", prelu, 0, 300, 0.016, leave=["prelu"]),
}
for name, model in {"ReLU": relu, "PReLU": prelu}.items():
    print(f"{name}, floats: {right(model, 'validation'):.1%} of the validation digits")
for name, model in ready.items():
    file = litert.to_tflite(model, "int8", examples)
    types = sorted({str(tensor.dtype) for tensor in litert.contents(file).tensors})
    score = measure.accuracy(litert.predict(file, data.x_validation), data.y_validation)
    print(f"{name}: the file reads {score:.1%} of the validation digits, types {types}")
registry = quantize.default_8bit.Default8BitQuantizeRegistry()  # for the exercise below

# %% [markdown]
# **Answer.** Both files read nearly as many digits as their float networks, and neither holds a float: the int32 are biases and
# sizes. The layer that was left is rounded by the converter afterwards, so for this layer alone the **calibration set** counts: a
# sample of inputs on which the ranges are measured. One run cannot say which way is better. A third way is a `QuantizeConfig` of your
# own, which tells TFMOT how to round the layer.
#
# Both error messages of the cell before come before any training. Ours also says what to do in one sentence.
#
# ### Exercise 1: find them first <!-- objective: unsupported -->
#
# `registry.supports(layer)` says whether TFMOT knows a layer of `tf_keras`. It also says no to BatchNormalization, although TFMOT
# takes one right behind a convolution. Write the function that names all other unknown layers of a Keras 3 model. The twin has to be
# asked, and every BatchNormalization may pass.


# %% tags=["solution"]
def unknown_layers(model):
    """Return the names of layers that TFMOT cannot quantize; BatchNormalization passes."""
    layers = keras_bridge.to_tf_keras(model).layers
    asked = [layer for layer in layers if type(layer).__name__ != "BatchNormalization"]
    return [layer.name for layer in asked if not registry.supports(layer)]


# %% [markdown] tags=["answer"]
# **Answer.** The registry compares classes. A layer of Keras 3 is of another class than its twin in `tf_keras`, so the twin must be
# asked.

# %% tags=["check"]
# Check the names
with quiz.check("find them first"):
    assert unknown_layers(prelu) == ["prelu"], "TFMOT does not know PReLU"
    assert unknown_layers(net) == [], "the twin is to be asked, and BatchNormalization passes"

# %% [markdown]
# ## Saved, and gone?
#
# The model that was trained for int8 is saved in both formats that `tf_keras` has, and loaded again. TFMOT's layers are not
# Keras's own, so `quantize_scope()` must name them to the loader.
#
# **Predict first.** Three attempts: `.h5` without the scope, `.h5` in the scope, and `.keras` in the scope. Which of them gives the
# model back?

# %%
folder = Path(tempfile.mkdtemp())
for ending in (".keras", ".h5"):
    ready["ReLU in its place"].save(folder / f"model{ending}")


attempt(".h5 without the scope", lambda: loaded(folder / "model.h5"))
with quantize.quantize_scope():
    attempt(".h5 in the scope", lambda: loaded(folder / "model.h5"))
    attempt(".keras in the scope", lambda: loaded(folder / "model.keras"))

# %% [markdown]
# **Answer.** Only `.h5` inside the scope. Keras calls `.h5` an old format and advises `.keras`, and here this advice loses the
# model. Load what you saved while the model still exists.
#
# ## What goes wrong: fine in Keras, wrong in the file
#
# The converter must know the range of every activation. Our network reads pixels from 0 to 1. Two mistakes: no calibration set at
# all, and one with the pixels of a camera, from 0 to 255.
#
# **Predict first.** The first mistake is refused. And the second: an error, a file that is as good, or one that reads far fewer
# digits?

# %%
attempt("the converter, no examples", lambda: converter_alone(net))
attempt("ours, no examples", lambda: litert.to_tflite(net, "int8"))
wrong = litert.to_tflite(net, "int8", 255 * examples)
answers = {"Keras": training.logits(net, data.x_test), "file": litert.predict(wrong, data.x_test)}
for name, z in answers.items():
    print(f"{name}: {measure.accuracy(z, data.y_test):.1%} of the test digits")
for name, images in {"the camera's pixels": 255 * examples, "pixels to 1": examples}.items():
    gaps = measure.layer_gaps(wrong, litert.to_tflite(net), images)
    print(name, {layer: round(gaps[layer], 2) for layer in ("the input", "conv1", "logits")})

# %% [markdown]
# **Answer.** It reads far fewer, and no error says so. The last two lines compare the file with a float32 file of the same network,
# layer by layer: the largest difference, as a share of the largest number of the layer. On the camera's pixels the two agree, and so
# our export, which tries every file on its examples, does not complain. On pixels from 0 to 1 they part at the input already: one
# integer stands for one step of the camera, so all our pixels become 0 or 1. Behind it the gap grows from layer to layer.
#
# So a calibration set cannot prove itself. Compare on inputs that will really come. If the answers differ, look for the first layer
# where the gap is large. `measure.layer_gaps` prints all of them.
#
# ### Exercise 2: write the check <!-- objective: export-check -->
#
# Return the largest difference between the answers of a file and of its model, as a share of the model's largest absolute answer. Our
# export calls a full-int8 file good up to 0.2.


# %% tags=["solution"]
def apart(file, model, images):
    """Return the largest difference of the answers, divided by the model's largest answer."""
    expected = training.logits(model, images)
    gaps = np.abs(litert.predict(file, images) - expected)
    return gaps.max() / np.abs(expected).max()


# %% [markdown] tags=["answer"]
# **Answer.** The gap is divided by the largest answer, because answers have no fixed unit: a gap of 5 is small beside 100 and large
# beside 6. `litert.to_tflite(..., try_on=images)` does the same for 256 images and refuses the file: its message names the gap that
# is allowed, 0.2 times the largest answer, and the one that was found. The largest gap is a strict judge: with 200 examples instead
# of 1,000 a few rare images lie outside the ranges, and it is about 0.4.

# %% tags=["check"]
# Check the check
with quiz.check("write the check"):
    good = litert.to_tflite(net, "int8", data.x_train[:1000])
    assert apart(good, net, data.x_test) < 0.2, "this file is good, its examples were typical"
    assert apart(wrong, net, data.x_test) > 1, "this file is wrong"
    assert apart(wrong, net, 255 * examples) < 0.2, "on the camera's pixels the file agrees"
attempt("try_on", lambda: litert.to_tflite(net, "int8", 255 * examples, try_on=data.x_test))

# %% [markdown]
# ## Keras's own quantize
#
# Keras 3 has `model.quantize("int8")`. It changes the model in place, so a copy is quantized here.
#
# **Predict first.** The network has three convolutions and two fully connected layers. The convolutions hold
# 23,184 of its 79,440 weights. By which factor does the memory shrink?

# %%
theirs = anatomy.copied(net)
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # one for each layer that it leaves alone
    theirs.quantize("int8")
for layer in theirs.layers:
    if layer.weights:
        print(f"{layer.name}: {', '.join(sorted({str(weight.dtype) for weight in layer.weights}))}")
before, after = (sum(np.asarray(w).nbytes for w in m.weights) for m in (net, theirs))
print(f"{before:,} bytes before, {after:,} after; {right(net):.1%} and {right(theirs):.1%} right")
with runtime.stderr_held_back():  # the converter's own log
    attempt("converted for a phone", lambda: len(litert.to_tflite(theirs)))

# %% [markdown]
# **Answer.** By about 2 and not by 4. Fully connected layers go to int8 and keep float biases and scales. Convolutions have no such
# method in Keras, which warns and leaves them in float32. The last
# line shows that the converter refuses the result, so it is for servers that run Keras, and not for a phone.
#
# ## A codebook instead of a grid
#
# A grid has its values at equal distances. A **codebook** is a short list of values, its *entries*, that may lie anywhere. Each layer
# has a codebook of its own, and each weight is stored as the number of its entry. With $b$ bits there are $k = 2^b$ entries. The
# method *k-means* chooses the entries $c_1, \dots, c_k$ with the least squared error, when each weight $w_i$ takes its nearest entry:
#
# $$ \min_{c_1, \dots, c_k} \; \sum_i \; \min_j \; (w_i - c_j)^2 $$
#
# Weights are single numbers. If they are sorted, the weights of an entry lie side by side, so a program can find the best cuts
# exactly. Han et al. (2016) solve it in another way: they start with entries at equal distances and repeat two steps. Each weight
# takes its nearest entry, then each entry becomes the mean of its weights.
#
# A codebook saves bytes and no time, because every weight is looked up before it is multiplied.
#
# Weights are rounded without any training afterwards. The rivals of the codebook have as many values: a *grid* from the smallest to
# the largest weight, a grid with the *best range* of 96 that are tried, the one with the least squared error, and such *grids by
# channel*. Each dot is a **seed**, the number that everything random starts from. The **replication**, with hollow dots, is the same
# experiment on other seeds.
#
# **Predict first.** At how many bits does the codebook win against all of its rivals: 4, 3 or 2?


# %% tags=["experiment"]
# The experiment: codebooks against grids of as many values
@evidence.experiment(
    "accuracy on the test split",
    compare=[
        (f"codebook, {bits} bits", f"{rival}, {bits} bits")
        for bits in (2, 3, 4)
        for rival in ("grid", "grid, best range", "grids by channel, best range")
    ]
    + [("codebook, 3 bits", "codebook, equal distances first, 3 bits")],
    sentinel=True,
)
def codebook_or_grid(seed):
    net = quantization.fold_batch_norms(fit(models.phone_cnn, seed, 300, 0.005))
    results = {"32 bits": right(net)}
    for bits in (2, 3, 4):
        nets = {
            "grid": on_grids(net, bits),
            "grid, best range": on_grids(net, bits, method="mse"),
            "grids by channel, best range": on_grids(net, bits, per="channel", method="mse"),
            "codebook, equal distances first": quantization.with_codebooks(net, 2**bits, "linear"),
            "codebook": quantization.with_codebooks(net, 2**bits),
        }
        results |= {f"{name}, {bits} bits": right(copy) for name, copy in nets.items()}
    return results


def ways(bits):
    """The variants with so many bits."""
    return [name for name in evidence.load("codebook_or_grid").means if f"{bits} bits" in name]


display(
    plots.accuracies(
        evidence.load("codebook_or_grid"),
        title="At 2 bits a codebook reads far more digits than any grid",
        variants=["32 bits", *(name for name in ways(2) if name != "32 bits")],
    ),
    plots.accuracies(
        evidence.load("codebook_or_grid"),
        title="At 3 and 4 bits codebooks and grids with a good range lie close together",
        variants=["32 bits", *ways(3), *ways(4)],
    ),
)

# %% [markdown]
# **Answer.** At 2 bits. There it reads {{codebook_or_grid | codebook, 2 bits | mean}} of the test digits, and the best of the grids
# reads {{codebook_or_grid | grid, best range, 2 bits | mean}}. Our explanation: most weights are small and a few are large, as the
# histogram in chapter 04's explorer shows. So a grid of four values is either too coarse for the many or too short for the few. A
# codebook has entries for both. But floats read {{codebook_or_grid | 32 bits | mean}}, so even the codebook costs far too much here.
#
# At 3 bits it is open. The codebook {{codebook_or_grid | codebook, 3 bits | grid, 3 bits | wins: beats}} the plain grid by
# {{codebook_or_grid | codebook, 3 bits | grid, 3 bits | size}} on the first ten seeds, but this stays open, because the interval of
# the replication contains zero. Against one grid for each channel, with a searched range,
# {{codebook_or_grid | codebook, 3 bits | grids by channel, best range, 3 bits | no difference: no clear difference}} was found on the
# first ten seeds, and on the others the codebook read less, so this is open, too. At 4 bits
# {{codebook_or_grid | codebook, 4 bits | grid, 4 bits | no difference: no difference}} was found against any grid. So search the
# range first: it is simpler, and integer routines can use the result. The exact k-means shows
# {{codebook_or_grid | codebook, 3 bits | codebook, equal distances first, 3 bits | no difference: no difference}} to the start of Han
# et al. at 3 bits either.
#
# ### Exercise 3: one step of k-means <!-- objective: codebook -->
#
# Write the two steps of Han et al. once: which entry is nearest to each weight, and the means that follow. Here every entry has a
# weight. In general one without a weight keeps its value.


# %% tags=["solution"]
def k_means_step(weights, codebook):
    """Return the mean of the weights that are nearest to each entry, shape (entries,)."""
    nearest = np.abs(weights[:, None] - codebook).argmin(axis=1)
    return np.array([weights[nearest == entry].mean() for entry in range(len(codebook))])


# %% [markdown] tags=["answer"]
# **Answer.** A mean has the least squared error to its weights, and the nearest entry has the least for one weight. So neither step
# makes the error larger, and the steps end. Where they end depends on the start.

# %% tags=["check"]
# Check the step
with quiz.check("one step of k-means"):
    line = net.get_layer("logits").get_weights()[0].astype(float).ravel()
    mine = np.linspace(line.min(), line.max(), 8)
    assert k_means_step(line, mine).shape == (8,), "a mean for each entry"
    for _ in range(200):
        mine = k_means_step(line, mine)
    theirs_line = quantization.find_codebook(line, 8, "linear")
    assert np.allclose(mine, theirs_line, atol=1e-4), "the package ends in the same codebook"

# %% [markdown]
# ## How many bytes are left?
#
# To train with few different weights is called **weight clustering**. Sixteen values take 4 bits each, if all numbers are equally
# long. But some entries serve many weights and others few. A Huffman code gives short codes to frequent entries. Its limit is the
# **entropy**, the mean of $-\log_2 p$ over the weights, where $p$ is the share of a weight's entry.
#
# **Predict first.** The largest layer has 55,296 weights, 221,184 bytes. With 16 values: how many of the 4 bits are left on average?
# And does zlib, which every computer has, come within 3% of the limit?

# %%
weights = np.asarray(net.get_layer("dense1").kernel)
for entries in (4, 8, 16, 32):
    codebook = quantization.find_codebook(weights, entries)
    few = quantization.look_up(quantization.indices(weights, codebook), codebook)
    equal = quantization.codebook_bits(weights, entries) / 8
    limit = formats.entropy_bits(few) / 8 + 4 * entries  # and the codebook, in float32
    packed, gz = formats.encoded_size(few, "codebook"), formats.encoded_size(few, "gzip")
    print(f"{entries:3} values: {8 * limit / weights.size:.2f} bits a weight at least;", end=" ")
    print(f"bytes: {equal:,.0f} equally long, {limit:,.0f} limit, {packed:,} Huffman, {gz:,} gzip")

# %% [markdown]
# **Answer.** With 16 values 3.83 bits are left, so the entropy saves 4% of the file. The entries of k-means are used almost equally
# often, because k-means puts them where the weights are. Much more is saved where one entry serves most weights, as the 0 of a pruned
# layer does. zlib's Huffman code comes within 2% of the limit at 16 and 32 values, and within 4% at 8. At 4
# values it takes 11% more, because zlib also needs a code for the end of a block, so one of the four values gets 3 bits instead of 2.
# With 4 and 8 values it is even larger than numbers that are equally long. gzip alone reads the float32 bytes as they are and needs
# about half as much again.
#
# ### Exercise 4: the limit <!-- objective: entropy -->
#
# Write the limit in bits for an array of indices, without the codebook: the entropy times the number of weights.


# %% tags=["solution"]
def fewest_bits(indices):
    """Return the entropy of the indices times their number."""
    _, counts = np.unique(indices, return_counts=True)
    return (counts * np.log2(counts.sum() / counts)).sum()


# %% [markdown] tags=["answer"]
# **Answer.** An entry with the share p costs −log2 p bits each time. With counts n of N weights this is n · log2(N / n), summed over
# the entries.

# %% tags=["check"]
# Check the limit
with quiz.check("the limit"):
    assert np.isclose(fewest_bits(np.arange(16)), 64), "16 entries, once each: 4 bits a weight"
    assert np.isclose(fewest_bits(np.zeros(100, int)), 0), "one entry only: nothing to tell"
    some = quantization.indices(weights, codebook)
    assert np.isclose(fewest_bits(some), formats.entropy_bits(some)), "the package's number"

# %% [markdown]
# ## The tutorials' promises
#
# **Pruning** sets weights to zero, and the **sparsity** is the share of zeros. TFMOT's tutorials train a small network for MNIST,
# with one convolution, max pooling and one fully connected layer. They promise
# files that are 4 times smaller with QAT, 10 times with 80% pruned and PTQ, and 8 times with weight clustering and PTQ, with nearly
# the accuracy of the float network. The last two are counted after gzip, and the first as the file lies.
#
# We hold the same network to it, on our 3,000 digits instead of 60,000. Each of the **variants**, the ways that are compared, gets
# 1,200 updates in all. The **simple rival** has no tool at all: its max pooling is 4x4 instead of 2x2, so that it has 4,450 weights
# instead of 20,410.
#
# The second picture shows differences. A **95% interval** would contain the true mean difference in about 95 of 100 repetitions. **WINS**
# means that all of it lies above zero, **LOSES** below, and **INCONCLUSIVE** that it contains zero.
#
# **Predict first.** Which promises hold, in bytes and in accuracy? And where does the rival land?


# %% tags=["experiment"]
# How many times smaller, and what the files read right
@evidence.experiment("times smaller, after gzip", compare=[], unit="times")
def tutorial_times(seed):
    files = tutorial_files(seed)
    packed = {name: len(gzip.compress(file)) for name, file in files.items()}
    times = {name: packed["float"] / size for name, size in packed.items()}
    return times | {"QAT, not packed": len(files["float"]) / len(files["QAT"])}


@evidence.experiment(
    "accuracy on the test split",
    compare=[
        ("PTQ", "float"),
        ("QAT", "float"),
        ("QAT", "PTQ"),
        ("pruned 80%, PTQ", "float"),
        ("pruned 85%, PTQ", "float"),
        ("pruned 85%, QAT", "float"),
        ("16 values, PTQ", "float"),
        ("16 values, QAT", "float"),
        ("max pooling 4x4, PTQ", "float"),
        ("max pooling 4x4, PTQ", "16 values, PTQ"),
    ],
)
def tutorial_right(seed):
    return {
        name: measure.accuracy(litert.predict(file, data.x_test), data.y_test)
        for name, file in tutorial_files(seed).items()
    }


plots.accuracies(
    evidence.load("tutorial_times"),
    title="Sixteen values reach 8 times, pruning 10 times at 85% only; a smaller network beats both",
)

# %% tags=["hide-input"]
# What the same files read right
plots.verdicts(
    evidence.load("tutorial_right"),
    title="Pruning costs accuracy, and no loss shows for the smaller network",
)

# %% [markdown]
# **Answer.** In bytes, one of the three holds as it was promised. Sixteen values give {{tutorial_times | 16 values, PTQ | mean}} on
# average, although some seeds stay below 8. QAT gives {{tutorial_times | QAT, not packed | mean}} as the file lies, because a file
# holds more than weights, and reaches 4 only after gzip, with {{tutorial_times | QAT | mean}}. Pruning to the tutorials' 80% gives
# {{tutorial_times | pruned 80%, PTQ | mean}}. In steps of five points, 85% is the first sparsity that passes 10, with
# {{tutorial_times | pruned 85%, PTQ | mean}}.
#
# In accuracy not all hold. The float network reads {{tutorial_right | float | mean}}. To it QAT shows
# {{tutorial_right | QAT | float | no difference: no difference}}, and PTQ shows
# {{tutorial_right | PTQ | float | no difference: none}} either, so there is nothing for QAT to repair at 8 bits. Pruning to 80%
# {{tutorial_right | pruned 80%, PTQ | float | loses: loses}} {{tutorial_right | pruned 80%, PTQ | float | size}}, to 85%
# it {{tutorial_right | pruned 85%, PTQ | float | loses: loses}} {{tutorial_right | pruned 85%, PTQ | float | size}}, and to 85% with
# QAT it {{tutorial_right | pruned 85%, QAT | float | loses: loses}} {{tutorial_right | pruned 85%, QAT | float | size}}. The tutorials
# had 20 times as many images. Sixteen values with PTQ
# {{tutorial_right | 16 values, PTQ | float | loses: lose}} {{tutorial_right | 16 values, PTQ | float | size}}, which is too small to
# matter, and it stays open because the interval of the replication contains zero.
#
# The rival is {{tutorial_times | max pooling 4x4, PTQ | mean}} smaller. It
# {{tutorial_right | max pooling 4x4, PTQ | 16 values, PTQ | wins: beats}} the sixteen values by
# {{tutorial_right | max pooling 4x4, PTQ | 16 values, PTQ | size}}. It read more
# digits than the float network, too, by {{tutorial_right | max pooling 4x4, PTQ | float | size}} on the first ten seeds, but
# whether it {{tutorial_right | max pooling 4x4, PTQ | float | wins: wins}} stays open, because the interval of the replication
# contains zero. So ask first whether the network is too
# large. Use these tools when you cannot choose another network.
#
# ### How the settings were chosen
#
# Each of the six trainings got its own search for the **learning rate**, which says how far an update goes. It used the **validation
# split**, images for choices only, and two seeds. So it chooses roughly: between 0.002 and 0.032 most rates differ by less than a
# point. The sparsity was not searched.
#
# All variants of the codebook experiment start from one network of a seed, so its learning rate favours none of them.


# %% tags=["experiment"]
# The search for the learning rates
@evidence.experiment("accuracy on the validation split", compare=[], grid=["{}, rate {rate}"])
def choice_for_tools(seed):
    start, results = fit(tutorial_cnn, seed, 600, 0.016), {}
    ways = {"float": {}, "QAT": {}, "pruned": {"sparsity": 0.85}, "clustered": {"clusters": 16}}
    for rate in (0.002, 0.004, 0.008, 0.016, 0.032, 0.064):
        nets = {
            "first 600 updates": fit(tutorial_cnn, seed, 600, rate),
            "max pooling 4x4": fit(lambda: tutorial_cnn(4), seed, 1200, rate),
        }
        for way, more in ways.items():
            nets[way] = trained(way, start, seed, 600, rate, **more)
        for name, net in nets.items():
            results[f"{name}, rate {rate}"] = right(net, "validation")
    return results


evidence.load("choice_for_tools")

# %% [markdown]
# ## Quiz

# %%
quiz.show("04c_quantization_tools")

# %% [markdown]
# ## Interview corner
#
# > **Your quantized model is fine in Keras and wrong on the phone. How do you find out, and what do you do?**
#
# *In 30 seconds.* I run the file itself, not the Keras model, on inputs as they really come, and compare its answers with the model's:
# the largest gap as a share of the largest answer, and the accuracy. If they differ, I look at the calibration set first. Its range
# must be that of the real inputs, preprocessing included. Then I look for the layer where the two part.
#
# *In 3 minutes.* A check on the calibration examples proves little, because the ranges were made for them. On this page a file whose
# calibration set had pixels from 0 to 255 agreed with its model on those pixels and read half of the digits on pixels from 0 to 1. If
# the ranges are right and the accuracy is not, I compare layer by layer with the float32 file, give the worst layer more bits or a
# scale for each channel, and only then train with rounding. Before I train I ask which layers the tool knows. And I hold the result
# against a smaller network.
#
# *Follow-up.* Why can the simulated network of QAT differ from the file? (Fused layers, another rounding, a layer that was left out.)
# · When is a codebook better than a grid? (When there are few bits and no integer routine is needed.)
#
# *Common wrong answer.* "The converter gave no error, so the file is right."
#
# *See it hold:* the camera's pixels, and Exercise 2.

# %% [markdown]
# ## Summary
#
# - TFMOT takes models of `tf_keras` only. A Keras 3 model crosses by a bridge, or it gets an error that misleads, or `None`.
# - A layer that TFMOT does not know is replaced, left in floats during training, or described by a `QuantizeConfig`.
# - A model with TFMOT's layers comes back from `.h5` inside `quantize_scope()`, and not from `.keras`.
# - A file agrees with its model on its own calibration set even if that set is wrong. Try it on real inputs.
# - Keras's `quantize("int8")` leaves convolutions in float32.
# - A codebook beats grids of as many values at 2 bits. At 3 bits it is open. It saves bytes and no time.
# - Of three promises of the tutorials one holds in bytes as it stands, and pruning costs accuracy. A smaller network is smaller than
#   all of them.
#
# ## What's next
#
# Chapter 05, in preparation, asks whether a machine can find such a smaller network.
#
# ## References
#
# - S. Han, H. Mao, W. Dally (2016), [Deep compression](https://arxiv.org/abs/1510.00149).
# - B. Jacob et al. (2018), [Quantization and training of neural networks](https://arxiv.org/abs/1712.05877).
# - H. Wang, M. Song (2011), Ckmeans.1d.dp, *The R Journal* 3(2): k-means on a line, exactly.
# - C. Shannon (1948), A mathematical theory of communication, *Bell System Technical Journal* 27.
# - TFMOT's guides: [quantization-aware training](https://www.tensorflow.org/model_optimization/guide/quantization/training),
#   [weight clustering](https://www.tensorflow.org/model_optimization/guide/clustering),
#   [pruning](https://www.tensorflow.org/model_optimization/guide/pruning).

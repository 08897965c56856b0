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
#     answers: "Your network must become integers. What does rounding cost, and when must you train?"
#     read: 45
#     run: 2
# ---

# %% [markdown]
# # 4 · Quantization
#
# Turn a network into integers, by hand and then with the libraries, and see what each bit costs.
#
# <!-- links -->
#
# About 45 minutes to read, 2 minutes to run.

# %% tags=["experiment-setup", "hide-input"]
# The data, and how the networks of this page are trained and rounded
import functools

import numpy as np
from IPython.display import display

from kdcourse import (
    anatomy,
    datasets,
    evidence,
    litert,
    measure,
    models,
    plots,
    quantization,
    quiz,
    schematics,
    training,
)
from kdcourse.quantization import integers
from kdcourse.soft_labels import one_hot

data = datasets.load("mnist-5k")
labels = one_hot(data.y_train, 10)
examples = data.x_train[:300]  # for the ranges of the activations
# filters and units of float networks with as many bytes as 8, 4 or 2 bits give
SMALL = {8: (8, 48), 4: (6, 28), 2: (4, 20)}


def train(build, seed, updates, rate, targets=labels, **how):
    """Train a network on randomly shifted images."""
    how |= {"seed": seed, "updates": updates, "learning_rate": rate, "jitter": 2}
    return training.train(build, data.x_train, targets, **how)


@functools.lru_cache(maxsize=2)
def float_network(seed, build=models.phone_cnn, rate=0.005):
    """The network before it is quantized: 600 updates, its BatchNormalizations folded."""
    return quantization.fold_batch_norms(train(build, seed, 600, rate))


def rounded(model, bits, **how):
    """A copy in fake quantization: weights of some bits (None: floats), activations of 8."""
    return quantization.with_fake_quantization(model, bits, 8, examples=examples, **how)


def copied(model):
    """A copy that is not rounded at all."""
    return quantization.with_fake_quantization(model, None)


def made_up_for(model, bits, method="minmax"):
    """The weights are rounded layer by layer, each error is made up for by later weights."""
    return rounded(quantization.round_layer_by_layer(model, bits, examples, method=method), None)


def on_affine_grids(model, bits):
    """The weights are on grids with a zero point, which have one value more."""
    copy = rounded(model, None)
    for layer in copy.layers:
        if layer.weights and hasattr(layer, "kernel"):
            layer.kernel.assign(quantization.rounded(layer.kernel, bits, per="channel"))
    return copy


def trained_on(model, seed, rate, targets=labels, **how):
    """Train a rounded copy for 300 updates more (QAT), or a float one."""
    return train(lambda: model, seed, 300, rate, targets, **how)


def small_network(seed, bits, rate):
    """A float network that takes as many bytes as the quantized one, with as many updates."""
    filters, units = SMALL[bits]
    return train(lambda: models.phone_cnn(filters, units), seed, 900, rate)


def right(model, split="test"):
    """The share of the split that the network reads right."""
    x, y = getattr(data, f"x_{split}"), getattr(data, f"y_{split}")
    return measure.accuracy(training.logits(model, x), y)


# %% [markdown]
# ## What you will be able to do
#
# - find a scale and a zero point, and take numbers to integers and back; <!-- objective: grid -->
# - compute a layer with integers only, as a phone does; <!-- objective: integers -->
# - fold a batch normalization into the layer before it; <!-- objective: fold -->
# - choose images for the calibration, and say what a bad choice costs; <!-- objective: calibration -->
# - train through a rounding, and say when rounding alone is enough; <!-- objective: train -->
# - read a table of .tflite files: bytes, time, accuracy. <!-- objective: files -->
#
# > **The interviewer asks:** "You quantized a network to 8 bits. Where does the error come from, and when do you have to train?"

# %% [markdown]
# ## One number
#
# A weight of a network is usually a float of 32 bits. **Quantization** stores it as a small integer instead. With $b$ bits there
# are $2^b$ integers. For 3 bits they are −4, −3, …, 3. Two numbers say what the integers stand for:
#
# - the **scale** $s$ is the distance of two neighbours on the line of real numbers. We call this distance a **step**.
# - the **zero point** $z$ is the integer that stands for 0.
#
# $$ q = \mathrm{clip}(\mathrm{round}(x / s) + z), \qquad x \approx s \cdot (q - z) $$
#
# Here *clip* moves an integer that lies outside to the nearest end, −4 or 3.
#
# The picture shows the grid for numbers between −0.5 and 1.25. It spans 1.75, and eight integers have seven gaps between them. So
# the scale is 1.75 / 7 = 0.25. The integer −4 stands for the smallest number, −0.5. Because 0 lies two steps above it, the zero
# point is −4 + 2 = −2. In general this sum is no integer, and the zero point is rounded, too.
#
# **Predict first.** Which integer does 0.33 become, and which number does this integer stand for? And what happens to 2.0?

# %% tags=["hide-input"]
# The diagram: two number lines
sheet = schematics.Schematic(
    "A scale and a zero point tie eight integers to the real numbers",
    height=4.2,
    alt="Two number lines, one above the other. The integers -4 to 3 below stand for the real numbers -0.5 to "
    "1.25 above, 0.25 apart. The integer -2 stands for 0.",
    caption="3 bits: eight integers for the numbers from −0.5 to 1.25. What lies between two marks goes to the nearer one.",
)
axes, left, wide = sheet.axes[0], 1.2, 1.35
paper = {"facecolor": "white", "edgecolor": "none", "pad": 1}
for y in (1.25, 3.05):
    axes.annotate("", (11.6, y), (0.6, y), arrowprops={"arrowstyle": "->", "color": "0.2"})
for place, integer in enumerate(range(-4, 4)):
    x, zero = left + wide * place, integer == -2
    look = {"ha": "center", "fontsize": 11, "weight": "bold" if zero else "normal"}
    axes.plot([x, x], [1.25, 3.05], color="#d55e00" if zero else "0.75", lw=2 if zero else 1)
    axes.text(x, 0.95, f"{0.25 * (integer + 2):g}".replace("-", "−"), **look)
    axes.text(x, 3.6, f"{integer}".replace("-", "−"), **look)
    axes.plot([x, x], [1.25, 3.05], "o", color="#0072b2", ms=5)
axes.text(0.6, 0.45, "real numbers x", fontsize=11)
axes.text(0.6, 4.05, "integers q", fontsize=11)
axes.text(
    left + 2 * wide + 0.1,
    2.2,
    "zero point: −2 stands for 0",
    fontsize=10,
    color="#d55e00",
    bbox=paper,
)
axes.text(
    left + 5.5 * wide, 1.65, "scale 0.25", fontsize=10, ha="center", color="#0072b2", bbox=paper
)
sheet

# %%
scale, zero_point, low, high = 0.25, -2, -4, 3
for x in (0.33, 0.0, -0.5, 2.0):
    q = int(np.clip(np.round(x / scale) + zero_point, low, high))
    print(f"{x:5} becomes {q:2}, which stands for {scale * (q - zero_point):5}")

# %% [markdown]
# **Answer.** 0.33 becomes −1, because 0.33 / 0.25 is 1.32, which is rounded to 1, and 1 − 2 = −1. This integer stands for 0.25. So
# the error is 0.08. Inside the grid the error is at most half a step, 0.125. The number 2.0 lies outside. It is **clipped**: it
# becomes the last integer, 3, which stands for 1.25, and its error is 0.75.
#
# So there are two errors, and they pull in opposite directions. A wider grid clips less, but its steps are longer. And 0 has no
# error at all. This matters, because many activations are 0 after a ReLU, and the borders of an image are filled with 0.
#
# This kind of grid is called *affine*. If the zero point is 0, the grid is *symmetric*: it spans as far to the left as to the right,
# and leaves out the last integer on the left. Its scale is $\max|x| \, / \, (2^{b-1} - 1)$. Weights usually get a symmetric grid and
# activations an affine one, because a ReLU leaves no negative numbers.
#
# ### Exercise 1: find the grid <!-- objective: grid -->
#
# Return the scale and the zero point of the affine grid that spans the numbers in `x`. The grid must contain 0. So if all numbers
# are positive, it begins at 0, and if all are negative, it ends at 0. Its integers go from $-2^{b-1}$ to $2^{b-1} - 1$.


# %% tags=["solution"]
def my_grid(x, bits):
    """Return (scale, zero_point) of the affine grid from the smallest to the largest number."""
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    least, most = min(x.min(), 0), max(x.max(), 0)
    scale = (most - least) / (high - low)
    return scale, int(np.round(low - least / scale))


# %% [markdown] tags=["answer"]
# `min(..., 0)` and `max(..., 0)` put 0 on the grid. The smallest number belongs to the integer `low`, and 0 lies `-least / scale`
# steps above it.

# %% tags=["check"]
# Check the grid
with quiz.check("the affine grid"):
    rng = np.random.default_rng(0)
    for x in (rng.normal(size=50), rng.random(20) + 1, -rng.random(20) - 1):
        for bits in (2, 4, 8):
            wanted, (scale, zero) = quantization.find_grid(x, bits), my_grid(x, bits)
            assert np.isclose(scale, wanted.scale.item()), f"the scale for {bits} bits"
            assert zero == wanted.zero_point.item(), f"the zero point for {bits} bits"

# %% [markdown]
# ## One layer
#
# The network of this page reads handwritten digits. It has three convolutions, one hidden layer and one layer for the ten classes.
# Its weights ship with the course. The explorer below rounds the weights of one layer. All of it is computed in the page.
#
# - **bits** and **clipping** change the grid. Clipping at 80% spans only 80% of the range.
# - *one scale for the layer* or *one scale a channel*: a **channel** is one output of the layer, so a filter or a unit.
# - The error is given twice: as the largest error of a weight, and as *SQNR*, the signal-to-quantization-noise ratio. This is the
#   mean square of the weights divided by the mean square of the errors, in decibels: 20 dB means a hundredth.
# - The accuracy was recorded before. It belongs to the network with only its weights rounded.
#
# **Predict first.** How many bits can you take away before the network, with all of its layers rounded, loses a point, which is one
# percent of the test images? And which is better at 4 bits, one scale for the layer or one scale a channel?

# %%
from kdcourse.quantization.recorded import load_accuracies
from kdcourse.widgets import BitWidthExplorer

phone = quantization.fold_batch_norms(models.load_trained("mnist-5k-phone"))
layers = {layer.name: np.asarray(layer.kernel) for layer in phone.layers if layer.weights}
accuracies = load_accuracies()
convolutions = {name: layers[name] for name in ("conv1", "conv2")}
few = {name: accuracies.right[name] for name in ("all layers", "conv1", "conv2")}
BitWidthExplorer(convolutions, accuracies._replace(right=few), layer="conv2")

# %% tags=["hide-input"]
# The same in numbers: the second convolution, and the network with all layers rounded
from kdcourse.quantization import recorded

print(
    "bits   SQNR of conv2, one scale    a scale a channel    all layers so: one scale   a channel"
)
for bits in (8, 6, 5, 4, 3, 2):
    found = [
        quantization.sqnr(
            layers["conv2"], quantization.rounded(layers["conv2"], bits, symmetric=True, per=per)
        )
        for per in ("tensor", "channel")
    ]
    right_of = accuracies.right[recorded.ALL_LAYERS][
        recorded.BITS.index(bits), 1, :, accuracies.clips.index(100)
    ]
    shares = [count / accuracies.images for count in right_of]
    print(
        f"{bits:4}   {found[0]:21.1f} dB   {found[1]:15.1f} dB   {shares[0]:22.1%}   {shares[1]:9.1%}"
    )

# %% [markdown]
# **Answer.** With 5 bits the network still reads nearly as many digits as with floats. With 4 bits one scale for the layer costs
# more than a point, and one scale a channel costs less. With 2 bits the network is ruined.
#
# The SQNR says why it goes so fast in the end. From 8 bits to 5, each bit that you take away makes the step about twice as long, so
# the power of the errors grows four times. That is 6 dB for each bit. The last bits cost more: a symmetric grid has 7 values with 3
# bits, but only 3 values with 2, so its step becomes three times as long. A scale a channel gains about 4 dB in this layer with 3
# bits or more, because one scale for all must reach the largest weight of the layer, and only one channel has it.
#
# Try clipping with 2 bits: the accuracy changes a lot. So the range is not a detail when the bits are few. This is one network, and
# you chose on its test images. The deep dive 04d repeats the question at 4 bits with ten networks: there one scale changes the accuracy
# by {{scales_4 | one scale | a scale a channel | difference}}.

# %% [markdown]
# ## One neuron, in integers
#
# So far the integers only saved bytes. A phone also *computes* with them, because it can multiply more integers than floats at a
# time. One neuron of the hidden layer adds up 576 products of an activation and a weight:
#
# $$ \sum_i x_i w_i \;\approx\; \sum_i s_x (q_i - z_x) \cdot s_w k_i \;=\; s_x s_w \sum_i (q_i - z_x)\, k_i $$
#
# Here $q_i$ is the integer of an activation, $k_i$ that of a weight, and $s_x$, $z_x$, $s_w$ are scales and zero point.
#
# The weights have a symmetric grid, so their zero point is 0. Both scales stand before the sum, so the sum itself holds integers
# only. This works because all weights of a neuron share one scale. It would not work if each *input* had a scale of its own.
#
# The sum must then become an 8-bit integer for the next layer. The bias is an integer, too, with the
# scale $s_x s_w$, and is added to it. Then the sum is
# multiplied by $m = s_x s_w / s_y$, where $s_y$ is the scale of the output, and the output's zero point is added. The factor $m$ is
# usually less than one. LiteRT's plain routines use no floats at this place. They multiply by an integer with 31 bits and then drop
# the last bits of the product, which is a division by a power of two. This is called *requantization*.
#
# The next cell makes a .tflite file, the form that phones read, in which all numbers are 8-bit integers. LiteRT is the library that runs
# such files. The cell computes one neuron of it for one image. Between $q_i$ and $z_x$ lie at most 255 steps, and a weight has at most
# the magnitude 127.
#
# **Predict first.** Each product is made of two 8-bit integers. Is an integer of 16 bits large enough for the sum of 576 of them?
# It holds numbers up to 32,767.

# %%
tflite = litert.to_tflite(phone, "int8", examples)
file, known = litert.contents(tflite), integers.run(tflite, data.x_test[:1])
dense1 = next(op for op in file.operators if op.kind == "FULLY_CONNECTED")
(x, w, bias), y = (file.tensors[n] for n in dense1.inputs), file.tensors[dense1.outputs[0]]
read, written = known[dense1.inputs[0]][0].astype(int), known[dense1.outputs[0]][0]
unit = written.argmax()
total = (read - x.zero_point) @ w.data[unit].astype(int) + bias.data[unit]
multiplier, shift = integers.fixed_point(x.scale * w.scale[unit] / y.scale)
answer = integers.requantize(total, multiplier, shift) + y.zero_point
print(f"the sum is {total:,}; at most {576 * 255 * 127:,} could come")
print(f"times {multiplier.item():,} / 2^{31 - shift.item()} plus {y.zero_point[0]}: {answer[0]}")
print(f"the file says {written[unit]}")

# %% [markdown]
# **Answer.** No. The sum of this neuron alone is larger than 32,767, and the largest sum that could come needs 26 bits with its
# sign. So phones add up in 32 bits. Then one multiplication and one shift bring the sum back to 8 bits, and the result is the
# integer that the file gives.
#
# LiteRT's plain routines need floats only once, before the first image comes: to find the multiplier and the shift.
#
# ### Exercise 2: a factor without floats <!-- objective: integers -->
#
# Write a factor between 0 and 0.99 as an integer and a number of bits to drop: `factor` is about `multiplier / 2**drop`, and
# `multiplier` lies in $[2^{30}, 2^{31})$. For example, 0.3 is 0.6 / 2, so its multiplier is 0.6 times $2^{31}$, rounded, and 32
# bits are dropped. Use whole Python numbers for the result.


# %% tags=["solution"]
def my_factor(factor):
    """Return (multiplier, drop): factor is about multiplier / 2**drop."""
    drop = 31
    while factor < 0.5:
        factor, drop = 2 * factor, drop + 1
    return round(factor * 2**31), drop


# %% [markdown] tags=["answer"]
# Doubling the factor until it is at least a half brings the multiplier into its range. Each doubling is made good by one more bit
# that is dropped.

# %% tags=["check"]
# Check the factor
with quiz.check("the factor without floats"):
    for factor in (0.9, 0.5, 0.0037, 1e-5):
        multiplier, drop = my_factor(factor)
        assert 2**30 <= multiplier < 2**31, f"the multiplier for {factor}"
        assert abs(multiplier / 2**drop - factor) < 1e-9 * factor, f"the value for {factor}"
        assert multiplier == integers.fixed_point(factor)[0], (
            f"the package's multiplier for {factor}"
        )

# %% [markdown]
# ## The whole network, in integers
#
# `kdcourse.quantization.integers` does this for every layer, in NumPy, without a single float on the way. So we can ask whether we
# have understood the phone. LiteRT, the program that phones use, runs the same file, and we compare the integers layer by layer.
#
# The file has nine operators: five layers with weights, three poolings and one that changes the shape. The first number of a line
# comes from LiteRT's own inputs of this operator, the second from the image on.
#
# **Predict first.** In how many of the nine does an integer differ from LiteRT's?

# %%
for row in integers.compare(tflite, data.x_test[:200]):
    print(f"{row.operator:16} largest difference {row.alone}, end to end {row.end_to_end}")

# %% [markdown]
# **Answer.** In none. All integers are equal, for 200 images and all operators, also at the end of the whole network. So there is
# no secret in the file: a full-int8 network is integers, scales and zero points, and nothing else. LiteRT ran its plain routines
# for this. Its fast routines round some sums differently, and their integers may differ by one step.
#
# Where does the loss come from, then? From rounding and clipping: of the weights, as you saw in the explorer, and of the
# activations, which follow below.

# %% [markdown]
# ## Batch normalization disappears
#
# The network was trained with **batch normalization** behind each convolution. For a channel it computes
# $\gamma (x - \mu) / \sqrt{v + \epsilon} + \beta$ with a factor $\gamma$, a shift $\beta$, a mean $\mu$ and a variance $v$ that are
# fixed after the training. This is a multiplication and an addition. The convolution before it consists of multiplications and
# additions, too. So both become one: each filter is multiplied by $f = \gamma / \sqrt{v + \epsilon}$, and its bias becomes
# $(b - \mu) f + \beta$. This is called *folding*. A phone then computes nothing for the batch normalization.
#
# Folding changes the weights that are rounded: every filter is multiplied by another factor. So one scale for the layer no longer
# fits them all. The deep dive [04d](04d_choosing_the_bits.ipynb) measures what this costs, with and without folding. With a scale a
# channel the integers of the weights stay the same, because the factor goes into the scale.
#
# ### Exercise 3: fold it <!-- objective: fold -->
#
# Return the weights and the bias of the layer that does both.


# %% tags=["solution"]
def my_fold(weights, bias, gamma, beta, mean, variance, epsilon):
    """Return the folded (weights, bias); weights have the shape (..., channels)."""
    factor = gamma / np.sqrt(variance + epsilon)
    return weights * factor, (bias - mean) * factor + beta


# %% [markdown] tags=["answer"]
# The channels are the last axis, so the factor multiplies the right filter without a loop.

# %% tags=["check"]
# Check the folded layer
from kdcourse.quantization.folding import fold

with quiz.check("the folded layer"):
    rng = np.random.default_rng(0)
    weights, numbers = rng.normal(size=(3, 3, 2, 4)), rng.random((5, 4)) + 0.1
    for mine, wanted in zip(
        my_fold(weights, *numbers, 1e-3), fold(weights, *numbers, 1e-3), strict=True
    ):
        assert np.allclose(mine, wanted), "weights and bias of the folded layer"

# %% [markdown]
# ## Which images tell the range?
#
# The weights lie in the file, but the activations are only there when an image comes. So a few images must tell how large the
# activations become. They are the **calibration set**, also called representative data set. Three ways find the range from them:
#
# - *min-max*: from the smallest to the largest number.
# - *percentile*: 0.1% of the numbers may lie outside.
# - *least error*: 96 smaller ranges are tried, and the one with the smallest squared error of the rounded numbers is kept.
#
# The next experiment trains the network with several **seeds** and rounds only its activations, to 8 bits and to 4 bits. It
# computes in **fake quantization**: the numbers lie on the grid, but are floats. LiteRT has no 4-bit activations. The last two of
# the nine **variants** have a calibration set of other images than those that will come: noise, and digits that are four times too
# dark.
#
# All are judged on the **test split**, on which nothing was chosen. A **replication** with ten other seeds stands beside the first
# result. The **verdict** of a difference follows from its **95% interval**: WINS if all of it lies above zero, LOSES if below,
# INCONCLUSIVE if it contains zero. A difference below 0.3 points is called *too small to matter*. Chapter 00 explains why.
#
# **Predict first.** With 8 bits, how many points does a calibration set of a single image cost? And which of the two wrong sets
# costs more?


# %% tags=["experiment"]
# Which images tell the ranges of the activations, and how
@evidence.experiment(
    "accuracy on the test split",
    compare=[
        ("100 images", "float"),
        ("1 image", "100 images"),
        ("10 images", "100 images"),
        ("1,000 images", "100 images"),
        ("100 images, percentile", "100 images"),
        ("100 images, least error", "100 images"),
        ("100 images of noise", "100 images"),
        ("100 images, too dark", "100 images"),
    ],
    cases={"calibration_8": {"bits": 8}, "calibration_4": {"bits": 4}},
    sentinel="calibration_8",
)
def calibration(seed, bits):
    base, rng = float_network(seed), np.random.default_rng(seed)
    images = data.x_train[rng.permutation(3000)]
    noise = rng.random((100, 28, 28, 1), np.float32)

    def of(images, method="minmax"):
        how = {"examples": images, "method": method}
        return right(quantization.with_fake_quantization(base, None, bits, **how))

    return {
        "float": right(base),
        "1 image": of(images[:1]),
        "10 images": of(images[:10]),
        "100 images": of(images[:100]),
        "1,000 images": of(images[:1000]),
        "100 images, percentile": of(images[:100], "percentile"),
        "100 images, least error": of(images[:100], "mse"),
        "100 images of noise": of(noise),
        "100 images, too dark": of(images[:100] / 4),
    }


plots.accuracies(
    evidence.load("calibration_8"),
    title="With 8 bits these sets make no clear difference (the dark set is left out)",
    variants=[one for one in evidence.load("calibration_8").means if "dark" not in one],
)

# %% tags=["hide-input"]
# All verdicts, with 8 bits and with 4
for record in (evidence.load("calibration_8"), evidence.load("calibration_4")):
    print(evidence.table(record))

# %% [markdown]
# **Answer.** With 8 bits a single image costs {{calibration_8 | 1 image | 100 images | size}} against 100 images, and
# {{calibration_8 | 1 image | 100 images | no difference: no clear difference}} was found. Nor do 1,000 images help, or another way
# to the range. Even with 4 bits the differences of these variants are not clear.
#
# The two wrong sets differ very much. Noise is as good as digits: {{calibration_8 | 100 images of noise | 100 images | difference}}
# with 8 bits. The dark digits ruin the network. It reads {{calibration_8 | 100 images, too dark | mean}}, so it
# {{calibration_8 | 100 images, too dark | 100 images | loses: loses}} {{calibration_8 | 100 images, too dark | 100 images | size}}.
#
# The reason is clipping. Noise has bright pixels, so the ranges become wide enough. A range that is a little too wide costs little.
# But a range that is too small clips every bright pixel and every large activation. So what matters is that the set *reaches the
# largest numbers* that will come. How many images that takes depends on the data. Digits are alike, and we tested no other images.
#
# ### Exercise 4: a range that leaves some numbers outside <!-- objective: calibration -->
#
# Return the smallest and the largest number of a range that leaves half of `outside` per cent of the numbers below it and half
# above. The range must contain 0.


# %% tags=["solution"]
def my_range(x, outside=0.1):
    """Return (least, most) of the range with `outside` per cent of the numbers not in it."""
    least, most = np.percentile(x, [outside / 2, 100 - outside / 2])
    return min(least, 0), max(most, 0)


# %% [markdown] tags=["answer"]
# Both ends of the range move, because an affine grid has two ends. For activations after a ReLU the lower end is 0 anyway.

# %% tags=["check"]
# Check the range
with quiz.check("the range by percentile"):
    x = np.random.default_rng(0).normal(size=10_000) + 1
    least, most = my_range(x, 1)
    grid = quantization.find_grid(x, 8, method="percentile", percentile=99)
    assert np.isclose(grid.scale.item(), (most - least) / 255), "the scale of this range"
    assert my_range(x + 100)[0] == 0, "0 belongs to the range"

# %% [markdown]
# ## The files
#
# A quantized network is made in two ways here. *TFLiteConverter* quantizes while it makes the file. *litert-quantizer*, its
# successor, takes a float32 .tflite file and quantizes that. Both are called in one line, and both check the file: it is run on the
# examples and compared with its source. A file that disagrees is refused.
#
# The schemes of the table:
#
# - **float16** (`float16`) stores 16 bits and computes in 32.
# - **dynamic range** (`dynamic_int8`) stores 8-bit weights and rounds the activations of each image while it runs.
# - **full int8** (`int8` and `static_int8`) has integers everywhere, so it needs the calibration set.
# - **int16x8** (`int16x8`) has activations of 16 bits and weights of 8.
# - **4-bit weights** (`weight_int4`) go with float activations.
# - **mixed**: one layer, the largest, has 4 bits.
#
# The columns: bytes, bytes after gzip, memory that a fresh process needs more, time of one image at one thread (the median of 200
# and how far 10% to 90% of them reach), this time divided by that of float32, accuracy, and the share of the test images with the
# same answer as float32.
#
# **Predict first.** Which file is the smallest, which is the fastest, and which are slower than float32?

# %%
float32 = litert.to_tflite(phone)
files = {"float32": float32} | {
    f"converter {scheme}": litert.to_tflite(phone, scheme, examples)
    for scheme in ("float16", "dynamic_int8", "int8", "int16x8")
}
for recipe in ("weight_int4", "dynamic_int8", "static_int8"):
    files[f"quantizer {recipe}"] = litert.quantized(float32, recipe, examples)
files["quantizer static, dense1 4 bits"] = litert.quantized(
    float32, "static_int8", examples, bits={"dense1": 4}
)
print(measure.file_table(measure.compare_files(files, data.x_test, data.y_test)))

# %% [markdown]
# **Answer.** The smallest file has 4-bit weights. Slower than float32 are, in the table stored here, int16x8 and the 4-bit weights. The
# slowest is int16x8. Its activations are finer than those of int8, but
# LiteRT has no fast routine for it here, so its plain loops run.
#
# Which file is the fastest depends on the processor, as the next cell shows. Weights alone in 4 bits save bytes and cost time,
# because they are turned into floats again while the network runs. The memory is mostly that of LiteRT itself.
#
# And the accuracy? All files with 8 bits read nearly the same digits as float32. This is one network. The deep dive 04d rounds
# networks of ten seeds to 8 bits with a scale a channel, in fake quantization. There the interval of the difference is
# {{scales_8 | a scale a channel | float | interval}} points. So there is a loss, but if you allow half a point, the whole interval is
# on the good side. In bytes, a full-int8 file is a little more than a quarter of float32, because scales, biases and the structure of the
# network stay.
#
# We cut the network behind its first pooling, and measure both parts in float32 and in int8. We did the same before, and measured
# the whole files, on two processors of servers. Both have an instruction that multiplies and adds 8-bit integers.
#
# **Predict first.** Is int8 faster than float32 on both? And in which of the two parts?

# %%
import keras

middle = phone.get_layer("pool1").output
first, rest = keras.Model(phone.inputs[0], middle), keras.Model(middle, phone.outputs[0])
parts = {"first": (first, examples), "rest": (rest, first.predict(examples, verbose=0))}
for name, (part, images) in parts.items():
    pair = {kind: litert.to_tflite(part, kind, images) for kind in ("float32", "int8")}
    taken = {kind: 1e6 * measure.latency(file).median for kind, file in pair.items()}
    print(f"here, {name}: float32 {taken['float32']:.1f} µs, int8 {taken['int8']:.1f} µs")
for processor, times in recorded.load_times().items():
    whole = {"float32": times["files"]["float32"], "int8": times["files"]["converter int8"]}
    for name, took in {"whole": whole, **times["parts"]}.items():
        print(f"{processor}, {name}: float32 {took['float32']} µs, int8 {took['int8']} µs")

# %% [markdown]
# **Answer.** No. On one processor the full-int8 file takes less than half of the time of float32. On the other one it takes
# *more* time than float32, with the same file and the same library. The two parts tell why. The rest of the network takes less than
# half of the time in int8 on both. The first part is slower in int8 on both, but on one of them it is more than five times as slow,
# and this eats the gain. Its convolution reads a single channel, so a filter has only nine weights. Our explanation is that the
# integer routine is made for many channels. We did not look into the routine. One more fact fits: the converter's dynamic range leaves
# arrays of fewer than 1,024 weights as floats, and so this first convolution. On both processors its file was not slower than full int8.
#
# So "int8 is faster" is a claim about a routine, a shape and a processor. A desktop processor tells which file is smaller and what
# it answers. It does not tell how long a phone takes: measure there, and measure layer by layer before you blame the integers.

# %% [markdown]
# ## Training through the rounding
#
# **Post-training quantization** (PTQ) rounds a network that is trained already. **Quantization-aware training** (QAT) trains it
# with the rounding inside, so that the weights can adapt. But how can a gradient pass through a rounding? The function is a
# staircase. Its slope is 0 on every stair, so the gradient would be 0 for all weights.
#
# The **straight-through estimator** (STE) is a trick. On the way forward the number is rounded. On the way back, the gradient
# passes as if nothing had been rounded. Numbers outside the grid are an exception: clipping stops their gradient.
#
# The next cell trains a single weight. It starts at 0.05 and its grid has the step 0.5, so it is rounded to 0. The target is 1.
#
# **Predict first.** Does the weight move with the true slope of the staircase? Does it move with the straight-through estimator?
# And where does the unrounded weight end?

# %%
import tensorflow as tf


def on_grid(w, step, through):
    stairs = step * tf.round(w / step)
    return w + tf.stop_gradient(stairs - w) if through else stairs


for through in (False, True):
    w = tf.Variable(0.05)
    for _ in range(100):
        with tf.GradientTape() as tape:
            loss = (on_grid(w, 0.5, through) - 1) ** 2
        w.assign_sub(0.03 * (tape.gradient(loss, w) or 0))
    print(through, f"w = {w.numpy():.2f}, rounded {on_grid(w, 0.5, False).numpy():.2f}")

# %% [markdown]
# **Answer.** With the true slope the weight stays at 0.05 for ever. With the straight-through estimator it moves until its rounded
# value is 1, and then it stops. It stops at the first update behind 0.75, where numbers begin to be rounded to 1, and not at 1
# itself. So the float weight is only a memory: what counts is the integer that it is rounded to.
#
# `w + stop_gradient(stairs - w)` is the whole trick. Its value is `stairs`, and its gradient is that of `w`. A network does the
# same with all weights and all activations. In the package, `with_fake_quantization` puts this into each layer of a Keras model,
# and an ordinary `fit` trains it.
#
# ### Exercise 5: where the gradient stops <!-- objective: train -->
#
# Return the gradient that reaches the weights, if `above` is the gradient of the loss with respect to the rounded weights. A weight
# for which `w / scale` lies outside `low..high` gets 0. There is no zero point.


# %% tags=["solution"]
def my_gradient(above, w, scale, low, high):
    """Return the gradient of the loss with respect to w, straight through the rounding."""
    inside = (w / scale >= low) & (w / scale <= high)
    return above * inside


# %% [markdown] tags=["answer"]
# Rounding is passed over, but clipping is not. Where the number is clipped, a small change of the weight changes nothing, and its
# slope is really 0.

# %% tags=["check"]
# Check the gradient
with quiz.check("the gradient"):
    w, above = np.linspace(-1, 1, 21).astype(np.float32), np.arange(21, dtype=np.float32)
    variable = tf.Variable(w)
    with tf.GradientTape() as tape:
        told = quantization.fake_quantized(variable, 0.3, 0, -1, 1)
        loss = tf.reduce_sum(above * told)
    assert np.allclose(my_gradient(above, w, 0.3, -1, 1), tape.gradient(loss, variable))

# %% [markdown]
# ### When must you train?
#
# Seven networks compete at 8, 4 and 2 bits for the weights. The activations have 8 bits. Each network had 900 updates. All but the last
# two come from the same float network:
#
# - *float*: not rounded, trained for 900 updates.
# - *rounded*: the float network after PTQ, min-max, one symmetric grid a channel.
# - *fitted ranges*: the same, but each range is the one with the least error.
# - *affine grids*: the same as rounded, but with a zero point. With 2 bits a symmetric grid has three values only. An affine one
#   has four.
# - *GPTQ*: the weights are rounded one after the other, and those that come later make up for each error. If two inputs are always
#   equal, and the first weight was rounded up by 0.1, then the second one is lowered by 0.1 before it is rounded, and the sum is as
#   before. How inputs go together is taken from 300 images. Nothing is trained. The deep dive 04b explains this method.
# - *trained*: QAT. After 600 updates as floats, the network was trained for 300 updates with the rounding inside.
# - *small float network*: not quantized at all, but with so few filters and units that it takes as many bytes.
#
# LiteRT has no routine for 2-bit weights of a convolution here, so the 2-bit networks run in fake quantization only.
#
# **Predict first.** At which bits does QAT beat the best network without training? And which is better at 2 bits: the large network
# with 2 bits a weight, or the small one with floats?

# %% tags=["experiment"]
# Seven networks at 8, 4 or 2 bits
RATES = {"float": 0.001, 8: 0.003, 4: 0.003, 2: 0.003}
RATES_OF_SMALL = {8: 0.01, 4: 0.005, 2: 0.005}


@functools.lru_cache(maxsize=1)
def trained_for_longer(seed):
    """The float network after 300 updates more, so that it has had as many as the trained ones."""
    return trained_on(anatomy.copied(float_network(seed)), seed, RATES["float"])


@evidence.experiment(
    "accuracy on the test split",
    compare=[
        ("trained", "float"),
        ("trained", "rounded"),
        ("trained", "GPTQ"),
        ("GPTQ", "float"),
        ("GPTQ", "fitted ranges"),
        ("trained", "small float network"),
        ("GPTQ", "small float network"),
    ],
    cases={
        "weights_of_8_bits": {"bits": 8},
        "weights_of_4_bits": {"bits": 4},
        "weights_of_2_bits": {"bits": 2},
    },
)
def weights(seed, bits):
    longer = trained_for_longer(seed)
    networks = {
        "float": longer,
        "rounded": rounded(longer, bits),
        "fitted ranges": rounded(longer, bits, weight_method="mse"),
        "affine grids": on_affine_grids(longer, bits),
        "GPTQ": made_up_for(longer, bits),
        "trained": trained_on(rounded(float_network(seed), bits), seed, RATES[bits]),
        "small float network": small_network(seed, bits, RATES_OF_SMALL[bits]),
    }
    return {name: right(network) for name, network in networks.items()}


display(
    plots.accuracies(
        evidence.load("weights_of_8_bits"),
        title="At 8 bits the seven lie within a quarter of a point",
    ),
    plots.accuracies(
        evidence.load("weights_of_4_bits"),
        title="At 4 bits most ways read nearly as much as floats",
    ),
    plots.accuracies(
        evidence.load("weights_of_2_bits"),
        title="At 2 bits, training and a small float network lead",
    ),
)

# %% tags=["hide-input"]
# The verdicts at 8, 4 and 2 bits
for bits in (8, 4, 2):
    print(evidence.table(evidence.load(f"weights_of_{bits}_bits")))

# %% [markdown]
# **Answer.** At 8 bits there is nothing to win: training against plain rounding
# {{weights_of_8_bits | trained | rounded | no difference: makes no clear difference}}. At 4 bits training
# {{weights_of_4_bits | trained | rounded | wins: wins}} against plain rounding, by {{weights_of_4_bits | trained | rounded | size}},
# but the replication leaves it open. Against GPTQ,
# {{weights_of_4_bits | trained | GPTQ | no difference: no clear difference}} was found on both sets of seeds, and GPTQ takes seconds.
#
# At 2 bits plain rounding reads {{weights_of_2_bits | rounded | mean}}. Fitted ranges, affine grids with four values instead of three, and
# GPTQ bring {{weights_of_2_bits | fitted ranges | mean}}, {{weights_of_2_bits | affine grids | mean}} and
# {{weights_of_2_bits | GPTQ | mean}}. Training brings {{weights_of_2_bits | trained | mean}}. It
# {{weights_of_2_bits | trained | GPTQ | wins: beats}} GPTQ by
# {{weights_of_2_bits | trained | GPTQ | size}}, and it {{weights_of_2_bits | trained | float | loses: loses}}
# {{weights_of_2_bits | trained | float | size}} to floats.
#
# But look at the simple rival. At 8 bits, training shows
# {{weights_of_8_bits | trained | small float network | no difference: no clear difference}} to a small float network of as many bytes.
# At 2 bits this small float network takes as many bytes and reads
# {{weights_of_2_bits | small float network | mean}}. Against it the trained 2-bit network gains
# {{weights_of_2_bits | trained | small float network | size}}. The first ten seeds call this a win, the replication does not, so it
# stays open. And the small one needs fewer multiplications and no special routine. A rival can be rounded, too. The deep dive 04d
# takes a network with a quarter of the weights and gives it 8 bits. It takes as many bytes, and it
# {{equal_bytes | smaller network, 8 bits | 2 bits, trained | wins: beats}} the trained 2-bit network by
# {{equal_bytes | smaller network, 8 bits | 2 bits, trained | size}}. And chapter 00's linear model on the directions of edges reads
# about as many digits as the 2-bit network, with 1,450 floats. So for these digits, 2 bits are not the way to few bytes.

# %% [markdown]
# ### Exercise 6: what the weights take <!-- objective: files -->
#
# Return how many bytes the weights of all layers take with `bits` bits each. Every channel has a scale of 4 bytes. `layers` is a
# dict of arrays, and the channels are the last axis of an array.


# %% tags=["solution"]
def my_bytes(layers, bits):
    """Return the bytes of the weights and the scales of all layers."""
    return sum(w.size * bits / 8 + 4 * w.shape[-1] for w in layers.values())


# %% [markdown] tags=["answer"]
# With few bits the scales count. A filter of nine weights takes 2.25 bytes at 2 bits, and its scale takes 4.

# %% tags=["check"]
# Check the bytes
with quiz.check("the bytes of the weights"):
    for bits in (2, 4, 8):
        stored = [quantization.stored_bits(w, bits, "channel") for w in layers.values()]
        assert my_bytes(layers, bits) == sum(stored) / 8, f"{bits} bits for all layers"

# %% [markdown]
# ## What goes wrong
#
# The export checks each file: it runs it on the examples and compares it with the Keras model. So can nothing go wrong any more?
# The network reads pixels between 0 and 1. Here the calibration set holds pixels between 0 and 255, as they stand in an image file.
#
# **Predict first.** Is the file refused? And how many of the ordinary test images does it read right?

# %%
wrong = litert.to_tflite(phone, "int8", 255 * data.x_train[:300])
answers = litert.predict(wrong, data.x_test)
print(f"the file reads {measure.accuracy(answers, data.y_test):.1%} of the test images right")
print(f"it answers {np.bincount(answers.argmax(1), minlength=10)} times 0, 1, ..., 9")
print(f"the brightest pixel becomes {litert.as_integers(wrong, data.x_test).max()}, black -128")

# %% [markdown]
# **Answer.** The file is not refused. The check ran it on the examples, and the Keras model was asked about the same examples. Both
# saw pixels up to 255, and they agreed. For an ordinary image, a pixel of 1 becomes −127 and a pixel of 0 becomes −128. So the
# network sees two values only, and no grey. It still reads about half of the digits, and nothing fails. A look at its answers would
# have shown the mistake: some classes nearly never come.
#
# So the check at the export is not enough. Ask the file about images that come to it *in the way in which they will come* on the
# phone, and compare the accuracy. The deep dive 04c shows a file that the check does refuse, and more ways in which tools fail.

# %% [markdown]
# ### How the settings were chosen
#
# The **learning rates**, which say how far an update goes, were searched on the **validation split**, with two seeds of their own,
# for each network that is trained. The verdicts come from other seeds and from the test split. The search stands in the deep dive
# [04d](04d_choosing_the_bits.ipynb).
#
# ## Quiz

# %%
quiz.show("04_quantization")

# %% [markdown]
# ## Interview corner
#
# > **You quantized a network to 8 bits. Where does the error come from, and when do you have to train?**
#
# *In 30 seconds.* From two places: numbers inside the range are rounded, and numbers outside it are clipped. It happens to the
# weights, which are known, and to the activations, whose range a calibration set must tell. With 8 bits and a scale a channel the
# loss is usually small, so I measure first. I train only if the best rounding without training leaves a loss that matters.
#
# *In 3 minutes.* First I compare with the float network on images as they will come, layer by layer if the answers differ. If the
# accuracy dropped, I check the calibration set, then use a scale a channel, and fold the batch normalizations. Then I round
# with GPTQ, and give more bits to layers that suffer much when they alone are rounded. Only then I train. In our runs, the interval of
# the difference between 8 bits and floats was {{scales_8 | a scale a channel | float | interval}} points. At 4 bits training made
# {{weights_of_4_bits | trained | GPTQ | no difference: no clear difference}} to GPTQ. At 2 bits training gained
# {{weights_of_2_bits | trained | GPTQ | size}} over GPTQ with three values, and
# {{four_values | trained | four values, GPTQ | size}} over GPTQ with four values. But a smaller network in 8 bits, with as many bytes,
# read more than that.
#
# *Follow-up.* Does int8 always run faster? (No. It depends on the routine and the processor, see the table.) · Why is the sum kept
# in 32 bits? (16 bits overflow.) · Why no scale for each input? (It would stand inside the sum.)
#
# *Common wrong answer.* "You always need quantization-aware training below 8 bits." At 4 bits GPTQ was enough here.
#
# *See it hold:* the big table and the pictures of the three experiments with 8, 4 and 2 bits.

# %% [markdown]
# ## Summary
#
# - A scale and a zero point tie integers to real numbers. What lies inside the grid is rounded, what lies outside is clipped.
# - A full-int8 network computes with integers only, and we computed every one of them.
# - A few calibration images were enough, even noise. A set that was too dark ruined the network.
# - At 8 bits rounding was enough, and at 4 bits GPTQ. At 2 bits training gained much, but a smaller network in 8 bits
#   was better with as many bytes.
# - A file that a converter wrote without an error can still be useless. Run it on images as they will come.
#
# ## What's next
#
# Three deep dives belong to this chapter. [04b](04b_quantizing_a_transformer.ipynb) quantizes a transformer to 3 bits and explains
# GPTQ and AWQ. [04c](04c_quantization_tools.ipynb) shows the tools and how they fail. [04d](04d_choosing_the_bits.ipynb) chooses
# scales and bits layer by layer.
#
# ## References
#
# - B. Jacob et al. (2018),
#   [Quantization and training of neural networks for efficient integer-arithmetic-only inference](https://arxiv.org/abs/1712.05877):
#   the scheme of .tflite files.
# - M. Nagel et al. (2021), [A white paper on neural network quantization](https://arxiv.org/abs/2106.08295).
# - Y. Bengio, N. Léonard, A. Courville (2013),
#   [Estimating or propagating gradients through stochastic neurons](https://arxiv.org/abs/1308.3432): the straight-through
#   estimator.
# - E. Frantar et al. (2022), [GPTQ](https://arxiv.org/abs/2210.17323): errors that later weights make up for.

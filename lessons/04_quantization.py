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
import gzip

import numpy as np

from kdcourse import (
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
from kdcourse.soft_labels import one_hot, soft_targets

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


# %% tags=["experiment"]
# The search for the learning rates
@evidence.experiment(
    "accuracy on the validation split",
    compare=[],
    grid=["{}, T={T}, rate {rate}", "{}, rate {rate}"],
)
def choice_of_rates(seed):
    base = float_network(seed)
    teacher = models.load_logits("mnist-5k-teacher").train
    own = training.logits(base, data.x_train)
    tried = {
        f"float network, rate {rate}": lambda rate=rate: float_network(seed, rate=rate)
        for rate in (0.0025, 0.005, 0.01)
    }
    for rate in (0.0001, 0.0003, 0.001, 0.003):
        tried[f"float, trained on, rate {rate}"] = lambda r=rate: trained_on(copied(base), seed, r)
        for b in (8, 4, 2):
            name = f"{b} bits, trained, rate {rate}"
            tried[name] = lambda r=rate, b=b: trained_on(rounded(base, b), seed, r)
    for signal, said in (("the teacher", teacher), ("its float network", own)):
        for T, rate in ((1, 0.001), (4, 0.0003), (4, 0.001), (4, 0.003), (8, 0.001)):
            tried[f"2 bits, taught by {signal}, T={T}, rate {rate}"] = lambda r=rate, T=T, z=said: (
                trained_on(rounded(base, 2), seed, r, soft_targets(z, T), temperature=T)
            )
    for rate in (0.0025, 0.005, 0.01, 0.02, 0.04, 0.08):
        for b in SMALL:
            name = f"as many bytes as with {b} bits, rate {rate}"
            tried[name] = lambda r=rate, b=b: small_network(seed, b, r)
    for rate in (0.0025, 0.005, 0.01, 0.02, 0.04):
        name = f"separable network, rate {rate}"
        tried[name] = lambda r=rate: float_network(seed, models.separable_cnn, r)
    for method in ("minmax", "mse"):
        for b in (8, 4, 2):
            name = f"{b} bits, errors made up for, {method}"
            tried[name] = lambda b=b, method=method: made_up_for(base, b, method)
    return {name: right(make(), "validation") for name, make in tried.items()}

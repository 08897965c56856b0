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
# The libraries do in one line what chapter 04 did by hand. This page shows where each of them fails, how you notice, and what you
# gain when they work.
#
# <!-- links -->
#
# About 35 minutes to read and try, 2 minutes to run.

# %% tags=["experiment-setup", "hide-input"]
# The data, and the network of TFMOT's tutorials
import functools
import gzip

import numpy as np

from kdcourse import (
    anatomy,
    datasets,
    evidence,
    litert,
    measure,
    models,
    plots,
    pruning,
    quantization,
    quiz,
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


# %% tags=["experiment-setup", "hide-input"]
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


# %% tags=["experiment"]
# The search for the learning rates
@evidence.experiment("accuracy on the validation split", compare=[], grid=["{}, rate {rate}"])
def choice_for_tools(seed):
    start, results = fit(tutorial_cnn, seed, 600, 0.016), {}
    ways = {"float": {}, "QAT": {}, "pruned": {"sparsity": 0.85}, "clustered": {"clusters": 16}}
    for rate in (0.004, 0.008, 0.016, 0.032):
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

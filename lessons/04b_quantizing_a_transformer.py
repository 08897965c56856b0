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
#     title: "Quantizing a transformer"
#     answers: "Why does rounding alone stop working at 3 bits, and what do AWQ and GPTQ do about it?"
#     read: 40
#     run: 1
# ---

# %% [markdown]
# # 4b · Quantizing a transformer
#
# TODO
#
# <!-- links -->
#
# About 40 minutes to read, 1 minute to run.

# %% tags=["experiment-setup", "hide-input"]
# The texts, the classifier of chapter 07, and how a variant is judged
from functools import cache, lru_cache

import numpy as np
from sklearn.linear_model import LogisticRegression

from kdcourse import datasets, evidence, minilm, plots, quiz
from kdcourse.quantization import affine, matrices


@cache
def newsgroups():
    """The texts of 20 Newsgroups, and chapter 07's classifier, which learned all labels."""
    data = datasets.load("20newsgroups")
    vectors = minilm.embeddings(data).train
    return data, LogisticRegression(C=10, max_iter=3000).fit(vectors, data.y_train)


@lru_cache(1)
def calibration(
    seed, texts=32, names=tuple(f"{layer}{i}" for i in range(6) for layer in minilm.LAYERS)
):
    """What the inputs of the matrices look like in some training texts."""
    some = np.random.default_rng(seed).choice(newsgroups()[0].x_train, texts, replace=False)
    seen = {}

    def see(name, inputs):
        if name in names:
            seen[name] = matrices.statistics(inputs)

    minilm.forward(minilm.wordpieces(some), see=see, at_a_time=texts)
    return seen


@lru_cache(1)
def asked(seed, split="test", texts=300):
    """Some texts as wordpieces, their labels, and the vectors that float32 weights give."""
    data = newsgroups()[0]
    x, y = getattr(data, f"x_{split}"), getattr(data, f"y_{split}")
    rows = np.random.default_rng(seed).choice(len(x), texts, replace=False)
    ids = minilm.wordpieces(x[rows])
    return ids, y[rows], minilm.forward(ids)


def judged(vectors, labels, plain):
    """The accuracy of the classifier on these vectors, and their mean angle to the float32 ones."""
    accuracy = np.mean(newsgroups()[1].predict(vectors) == labels)
    return float(accuracy), float(angles(vectors, plain).mean())


def angles(vectors, plain):
    """The angle in degrees between unit vectors, shape (texts, 384) each."""
    return np.degrees(np.arccos(np.clip((vectors * plain).sum(axis=1), -1, 1)))


# %% tags=["experiment-setup", "hide-input"]
# The variants: all 36 matrices of the encoder in few bits
@cache
def clipped(bits):
    """Rounded with the range that has the least squared error, group by group; no inputs needed."""
    return {
        name: matrices.round_in_groups(weights, bits, 64, method="mse", name=name)
        for name, weights in minilm.matrices().items()
    }


def in_few_bits(way, seed, bits, group):
    """All matrices of the encoder, made in one of the ways."""
    rng, seen = np.random.default_rng(seed), calibration(seed)
    made = {
        "rounded": lambda name, w: matrices.round_in_groups(w, bits, group, name=name),
        "1% by activation": lambda name, w: matrices.keep_salient(
            w, bits, group, matrices.largest_channels(seen[name].mean), name=name
        ),
        "1% at random": lambda name, w: matrices.keep_salient(
            w, bits, group, rng.choice(len(w), -(-len(w) // 100), replace=False), name=name
        ),
        "AWQ": lambda name, w: matrices.awq(w, seen[name], bits, group, name=name),
        "GPTQ": lambda name, w: matrices.gptq(w, seen[name].second_moments, bits, group, name=name),
        "GPTQ, clipped ranges": lambda name, w: matrices.gptq(
            w, seen[name].second_moments, bits, group, method="mse", name=name
        ),
    }
    if way == "clipped ranges":
        return clipped(bits)
    return {name: made[way](name, weights) for name, weights in minilm.matrices().items()}


@cache
def outcome(way, seed, bits=32, group=64):
    """(accuracy, angle) of one variant on the 300 test texts of a seed."""
    ids, labels, plain = asked(seed)
    if way == "float32":
        return judged(plain, labels, plain)
    return judged(minilm.forward(ids, in_few_bits(way, seed, bits, group)), labels, plain)


# %% tags=["experiment"]
# 3 and 2 bits: seven ways to store the same matrices
WAYS = [
    "rounded",
    "1% at random",
    "1% by activation",
    "clipped ranges",
    "AWQ",
    "GPTQ",
    "GPTQ, clipped ranges",
]
CLAIMS = [(way, "rounded") for way in WAYS[1:]] + [
    ("1% by activation", "1% at random"),
    ("AWQ", "clipped ranges"),
    ("GPTQ", "clipped ranges"),
    ("GPTQ, clipped ranges", "clipped ranges"),
    ("GPTQ, clipped ranges", "float32"),
]


@evidence.experiment(
    "accuracy on 300 texts of the test split",
    compare=CLAIMS,
    cases={"three_bits": {"bits": 3}, "two_bits": {"bits": 2}},
)
def few_bits(seed, bits):
    return {way: outcome(way, seed, bits)[0] for way in WAYS} | {
        "float32": outcome("float32", seed)[0]
    }


@evidence.experiment(
    "mean angle to the float32 vectors",
    compare=CLAIMS[:-1],
    higher_is_better=False,
    unit="degrees",
    matters=1,
    cases={"three_bits_angle": {"bits": 3}, "two_bits_angle": {"bits": 2}},
)
def few_bits_angle(seed, bits):
    return {way: outcome(way, seed, bits)[1] for way in WAYS}


# %% tags=["experiment"]
# 8 and 4 bits, and larger groups
MORE = {
    "8 bits, rounded": ("rounded", 8, 64),
    "4 bits, rounded": ("rounded", 4, 64),
    "4 bits, 1% at random": ("1% at random", 4, 64),
    "4 bits, 1% by activation": ("1% by activation", 4, 64),
    "4 bits, AWQ": ("AWQ", 4, 64),
    "4 bits, GPTQ": ("GPTQ", 4, 64),
    "3 bits, rounded": ("rounded", 3, 64),
    "3 bits, rounded, groups of 128": ("rounded", 3, 128),
    "2 bits, rounded": ("rounded", 2, 64),
}


@evidence.experiment(
    "accuracy on 300 texts of the test split",
    compare=[(way, "float32") for way in MORE]
    + [
        ("4 bits, GPTQ", "4 bits, rounded"),
        ("4 bits, AWQ", "4 bits, rounded"),
        ("3 bits, rounded, groups of 128", "3 bits, rounded"),
    ],
)
def more_bits(seed):
    found = {name: outcome(way, seed, bits, group) for name, (way, bits, group) in MORE.items()}
    return {name: accuracy for name, (accuracy, _) in found.items()} | {
        "float32": outcome("float32", seed)[0]
    }


# %% tags=["experiment"]
# The layers one by one: what rounding, AWQ and GPTQ do to their outputs on other texts
FEED_FORWARD = tuple(f"{layer}{block}" for layer in ("wide", "narrow") for block in range(6))


@evidence.experiment(
    "squared error of a layer's outputs, relative to the outputs, on 16 other training texts",
    compare=[
        (f"{name}, {way}", f"{name}, rounded") for name in FEED_FORWARD for way in ("AWQ", "GPTQ")
    ],
    higher_is_better=False,
    matters=0.1,
    sentinel=True,
)
def layer_errors(seed):
    used, other = calibration(seed, 32, FEED_FORWARD), calibration(seed + 1000, 16, FEED_FORWARD)
    found = {}
    for name in FEED_FORWARD:
        weights = minilm.matrices()[name]
        made = {
            "rounded": matrices.round_in_groups(weights, 3, 64, name=name),
            "AWQ": matrices.awq(weights, used[name], 3, 64, name=name),
            "GPTQ": matrices.gptq(weights, used[name].second_moments, 3, 64, name=name),
        }
        for way, rounded in made.items():
            error = matrices.output_error(weights, rounded, other[name].second_moments)
            found[f"{name}, {way}"] = error
    return found


# %% tags=["experiment"]
# How many calibration texts: the two feed-forward matrices of block 3
@evidence.experiment(
    "squared error of a layer's outputs, relative to the outputs, on 16 other training texts",
    compare=[
        ("GPTQ, 1 text", "rounded"),
        ("AWQ, 1 text", "rounded"),
        ("GPTQ, 64 texts", "GPTQ, 16 texts"),
        ("AWQ, 64 texts", "AWQ, 1 text"),
    ],
    higher_is_better=False,
    matters=0.1,
)
def calibration_texts(seed):
    names, errors = ("wide3", "narrow3"), {}
    other = calibration(seed + 1000, 16, names)
    for texts in (1, 4, 16, 64):
        used = calibration(seed, texts, names)
        for name in names:
            weights = minilm.matrices()[name]
            made = {
                "rounded": matrices.round_in_groups(weights, 3, 64, name=name),
                f"AWQ, {texts} text{'s' * (texts > 1)}": matrices.awq(weights, used[name], 3, 64),
                f"GPTQ, {texts} text{'s' * (texts > 1)}": matrices.gptq(
                    weights, used[name].second_moments, 3, 64
                ),
            }
            for way, rounded in made.items():
                error = matrices.output_error(weights, rounded, other[name].second_moments)
                errors.setdefault(way, {})[name] = error
    return {way: sum(found.values()) / len(names) for way, found in errors.items()}


# %% tags=["experiment-setup", "hide-input"]
# All inputs in 8 bits: weights in 8 bits with a scale for each output, too
@cache
def int8_weights():
    return {
        name: affine.rounded(weights, 8, symmetric=True, per="channel", name=name)
        for name, weights in minilm.matrices().items()
    }


def int8_answers(ids, seed, alpha=None):
    """The vectors with int8 inputs on one grid a matrix, smoothed first if alpha is given."""
    changed, scales, most = int8_weights(), {}, {}
    if alpha is not None:
        changed = {}
    for name, seen in calibration(seed).items():
        scales[name] = np.ones(len(seen.largest), np.float32)
        if alpha is not None:
            weights = minilm.matrices()[name]
            scales[name], smoothed = matrices.smooth(weights, seen.largest, alpha, name=name)
            changed[name] = affine.rounded(smoothed, 8, symmetric=True, per="channel", name=name)
        most[name] = float((seen.largest / scales[name]).max())
    return minilm.forward(
        ids, changed, lambda name, x: matrices.round_inputs(x / scales[name], 8, most[name])
    )


# %% tags=["experiment"]
# The search for alpha, on validation texts
@evidence.experiment(
    "mean angle to the float32 vectors, 100 texts of the validation split",
    compare=[],
    higher_is_better=False,
    unit="degrees",
    grid=["smoothed, alpha {alpha}"],
)
def choice_of_alpha(seed):
    ids, _, plain = asked(seed, "validation", 100)
    return {
        f"smoothed, alpha {alpha}": float(angles(int8_answers(ids, seed, alpha), plain).mean())
        for alpha in (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
    }


# %% tags=["experiment"]
# Inputs in 8 bits: one grid, one grid after smoothing, a grid for each row
ALPHA = 1.0  # the best of the search


@cache
def int8_outcomes(seed):
    """{variant: (accuracy, angle)}; the weights are in 8 bits everywhere."""
    ids, labels, plain = asked(seed)
    found = {
        "float32": plain,
        "one grid": int8_answers(ids, seed),
        "one grid, smoothed": int8_answers(ids, seed, ALPHA),
        "a grid for each row": minilm.forward(
            ids, int8_weights(), lambda name, x: matrices.round_inputs(x, 8)
        ),
    }
    return {name: judged(vectors, labels, plain) for name, vectors in found.items()}


INT8_CLAIMS = [("one grid, smoothed", "one grid"), ("a grid for each row", "one grid, smoothed")]


@evidence.experiment(
    "accuracy on 300 texts of the test split",
    compare=[
        ("one grid", "float32"),
        ("one grid, smoothed", "float32"),
        ("a grid for each row", "float32"),
        ("one grid, smoothed", "one grid"),
        ("a grid for each row", "one grid, smoothed"),
    ],
)
def int8_inputs(seed):
    return {name: accuracy for name, (accuracy, _) in int8_outcomes(seed).items()}


@evidence.experiment(
    "mean angle to the float32 vectors",
    compare=INT8_CLAIMS,
    higher_is_better=False,
    unit="degrees",
    matters=1,
)
def int8_inputs_angle(seed):
    found = int8_outcomes(seed)
    return {name: angle for name, (_, angle) in found.items() if name != "float32"}

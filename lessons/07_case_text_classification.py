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
#     title: "Case study: text"
#     answers: >-
#       What do you do with 500 labels and a pretrained transformer? Where does the gain come from?
#       How does the student reach the phone?
#     read: 60
#     run: 2
# ---

# %% [markdown]
# # 7 · Case study: a text classifier for a phone
#
# You get 500 labelled texts, 10,000 without labels, and a phone. In this chapter you build a classifier for it, from a pretrained
# transformer to a folder that runs without TensorFlow, and you find out where the gain comes from.
#
# <!-- links -->
#
# About 60 minutes to read and try, 2 minutes to run. The first run fetches two archives, 38 and 84 MB, and keeps them.

# %% [markdown]
# ## What you will be able to do
#
# - start a compression project with a requirement and with baselines, not with a model;
# - read a pretrained transformer into Keras in about 40 lines, and use it as a teacher;
# - train a student on texts that nobody labelled, and split its gain into its causes;
# - say when distillation does not help, and show it;
# - ship the student: a folder with a model, a vocabulary and a model card.
#
# > **The interviewer asks:** "You have a large text classifier and 500 labels. It must run on a phone. What do you do, and how do you
# > know that it worked?"

# %% [markdown]
# ## The requirement
#
# A team wants to sort posts into 20 newsgroups, on the phone, without a network. They can pay for 500 labels. Before anybody trains
# anything, the sentences "small, fast, good" become numbers:
#
# | what | at most, at least |
# |---|---|
# | size | 1/60 of the large model |
# | latency, one thread | 1/500 of the large model |
# | accuracy | 97% of the large model's |
# | needs on the phone | no TensorFlow |
#
# The table leaves out the most important fact: **labels are expensive, texts are cheap.**

# %% tags=["experiment-setup"]
from functools import cache, partial
from typing import NamedTuple

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC

from kdcourse import datasets, evidence, losses, measure, minilm, models, plots, quiz, runtime, training
from kdcourse.soft_labels import one_hot, soft_targets


def draw(labels, share, seed):
    """The rows of a labelled subset: `share` of each class, at least one text of each."""
    order = np.random.default_rng(seed).permutation(len(labels))
    of_class = [order[labels[order] == label] for label in np.unique(labels)]
    return np.concatenate([rows[: max(1, round(share * len(rows)))] for rows in of_class])


@cache
def tfidf(name):
    """The TF-IDF vectors of a data set's training, validation and test texts; the words' weights come from the training texts."""
    d = datasets.load(name)
    vectorizer = TfidfVectorizer(sublinear_tf=True, min_df=2).fit(d.x_train)
    return [vectorizer.transform(texts) for texts in (d.x_train, d.x_validation, d.x_test)]


# %%
data = datasets.load("20newsgroups")
labelled = draw(data.y_train, 0.05, seed=20)
print(f"{len(data.x_train):,} texts for training, {len(data.x_validation):,} for validation, {len(data.x_test):,} for testing")
print(f"{len(labelled)} of the training texts get a label: 5%, drawn anew for each seed")
print(data.class_names[data.y_train[0]], "|", " ".join(data.x_train[0].split()[-12:]), "...")
assert not set(data.x_train) & set(data.x_test), "no text is in two splits"

# %% [markdown]
# The texts are lower-case words without digits. 20 Newsgroups is split **by date**: the test posts are younger than the training
# posts. The validation split is a random tenth of the training posts, so it is easier than the test. We use it to choose, and only to
# choose.
#
# One thing here is generous: a real project with 500 labels has no 1,117 more for validation.

# %% [markdown]
# ## Round 1. The baselines come first
#
# The oldest good baseline counts words. **TF-IDF** weighs a word by how often it is in the text and how rare it is elsewhere; a linear
# model does the rest.
#
# **Predict first.** With all labels, 10,149: which accuracy does it reach? And with 5% of them?


# %%
train, _, test = tfidf("20newsgroups")
for what, rows in (("5% of the labels", labelled), ("all labels", np.arange(len(data.y_train)))):
    right = LinearSVC().fit(train[rows], data.y_train[rows]).score(test, data.y_test)
    print(f"TF-IDF + LinearSVC, {what:16}: {right:.1%} of the test texts, {train.shape[1] * 20:,} weights")
assert right > 0.82, "a strong baseline with all labels"


# %% tags=["experiment-setup"]
class Split(NamedTuple):
    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


@cache
def corpus(name):
    """A data set; its texts as numbers of words, and as the teacher's vectors (Splits both); the vocabulary."""
    runtime.quiet_start()
    import keras

    d = datasets.load(name)
    vectorizer = keras.layers.TextVectorization(10_000, output_sequence_length=200)
    vectorizer.adapt(d.x_train.tolist())
    texts = (d.x_train, d.x_validation, d.x_test)
    words = Split(*(np.asarray(vectorizer(part.tolist()), np.int32) for part in texts))
    return d, words, minilm.embeddings(d), vectorizer


# %% tags=["experiment-setup"]
def trained(name, words, targets, seed, *, build=models.text_average, temperature=1.0, rate, dropout=0.0):
    """A student after 1,280 updates, whatever it learns from: each arm has the same budget."""
    build = partial(build, len(datasets.load(name).class_names), words=words.shape[1], dropout=dropout)
    return training.train(
        build, words, targets, seed=seed, updates=1280, batch_size=64, temperature=temperature, learning_rate=rate)  # fmt: skip


def accuracy(model, words, labels):
    return measure.accuracy(training.logits(model, words), labels)


def head(vectors, labels):
    """The teacher's own part: a linear classifier on the encoder's vectors, or on TF-IDF."""
    return LogisticRegression(C=10, max_iter=3000).fit(vectors, labels)


# %% [markdown]
# With 5% of the labels TF-IDF loses many points: a word that no labelled text has is worth nothing. A large model has seen such words
# before. That is the hope.
#
# ## Round 2. The teacher, in 40 lines
#
# all-MiniLM-L6-v2 is a **pretrained transformer**: it has read a billion pairs of sentences, and maps a text to 384 numbers, so that
# texts of one meaning lie close. Its file is a dictionary of arrays; we need 101 of them. Nothing in it is magic, so let us build it.
#
# **Predict first.** 22 million parameters, six blocks. Where are most of the parameters?

# %%
w = minilm.weights()  # from model.safetensors: name -> array
w = {name: array for name, array in w.items() if "pooler" not in name and "position_ids" not in name}  # two parts are not used
embeddings = sum(array.size for name, array in w.items() if name.startswith("embeddings"))
teacher_parameters = sum(array.size for array in w.values())
print(f"{len(w)} arrays, {teacher_parameters:,} parameters, {embeddings:,} of them in embeddings")
for name in ("embeddings.word_embeddings.weight", "encoder.layer.0.attention.self.query.weight"):
    print(name, w[name].shape)
print(minilm.wordpieces(["a phone with a telescope"])[0, :10], "...: wordpieces, 0 where the text is over")

# %% [markdown]
# More than half is a table with a row for each **wordpiece**, a word or a part of one. The rest is made of three kinds of layers. Each
# helper below calls a Keras layer and gives it its arrays. PyTorch keeps a kernel as (outputs, inputs), Keras the other way round: hence
# the `.T`.

# %%
runtime.quiet_start()
from keras import Input, Model, layers, ops


def given(layer, x, *arrays):
    y = layer(x)  # a layer has weights after its first call
    layer.set_weights(arrays)
    return y


def embedding(ids, name):
    return given(layers.Embedding(*w[name].shape), ids, w[name])


def dense(x, name, activation=None):
    kernel, bias = w[f"{name}.weight"].T, w[f"{name}.bias"]
    return given(layers.Dense(len(bias), activation), x, kernel, bias)


def norm(x, name):
    return given(layers.LayerNormalization(epsilon=1e-12), x, w[f"{name}.LayerNorm.weight"], w[f"{name}.LayerNorm.bias"])


# %% [markdown]
# **Attention** lets each wordpiece look at all others. Three dense layers make a query, a key and a value of each. A query meets every
# key; the softmax of these products says how much of each value is taken:
#
# $$\text{attention}(Q, K, V) = \text{softmax}\left(\frac{Q K^\top}{\sqrt{32}}\right) V$$
#
# Twelve such heads of 32 numbers work side by side. Then comes a dense network, four times as wide. Each of the two adds its answer to
# what came in and is normalised.


# %%
def attention(x, ignored, name):
    def heads(y):  # (texts, 128, 384) -> (texts, 12 heads, 128, 32)
        return ops.transpose(ops.reshape(y, (-1, 128, 12, 32)), (0, 2, 1, 3))

    query, key, value = (heads(dense(x, f"{name}.self.{part}")) for part in ("query", "key", "value"))
    scores = query @ ops.transpose(key, (0, 1, 3, 2)) / 32**0.5 + ignored
    mixed = ops.reshape(ops.transpose(ops.softmax(scores) @ value, (0, 2, 1, 3)), (-1, 128, 384))
    return norm(x + dense(mixed, f"{name}.output.dense"), f"{name}.output")


ids = Input((128,), dtype="int32")
there = ops.cast(ops.not_equal(ids, 0), "float32")
ignored = -1e9 * (1 - there[:, None, None, :])  # nobody looks at places where the text is over
x = embedding(ids, "embeddings.word_embeddings.weight") + w["embeddings.position_embeddings.weight"][:128]
x = norm(x + w["embeddings.token_type_embeddings.weight"][0], "embeddings")
for block in range(6):
    name = f"encoder.layer.{block}"
    x = attention(x, ignored, f"{name}.attention")
    wide = dense(x, f"{name}.intermediate.dense", lambda y: ops.gelu(y, approximate=False))
    x = norm(x + dense(wide, f"{name}.output.dense"), f"{name}.output")
mean = ops.sum(x * there[:, :, None], axis=1) / ops.sum(there, axis=1, keepdims=True)
encoder = Model(ids, layers.UnitNormalization()(mean))
w.clear()  # 90 MB that the layers hold now; to run this cell again, start at `w = ...`

# %%
sentences = ["The shuttle will fly again in spring.", "A rocket starts in April.", "My graphics card needs a new driver."]
pieces = minilm.wordpieces(sentences)
vectors = np.asarray(encoder(pieces))
print("cosine of each pair of sentences\n", np.round(vectors @ vectors.T, 2))
assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2] + 0.2, "space is closer to space than to computers"

# %% [markdown]
# The encoder reads about 50 texts a second on two cores, so the course ships its vectors of all texts, rounded to int8. Vectors, not
# logits: labels and seeds can then change for free. Remove `minilm-20newsgroups.npz` from `data/teachers` (leave the .json) and the next
# cell computes them again. On them sits the teacher's **head**, a linear classifier.

# %%
vectors = minilm.embeddings(data)
made = minilm.provenance("20newsgroups")
print("made by:", made["command"], "| licence:", made["licence"])
some = np.concatenate([np.asarray(encoder(minilm.wordpieces([text]))) for text in data.x_test[:8]])
gap = np.abs(some - vectors.test[:8]).max()
print(f"the encoder above against the kept vectors: largest difference {gap:.4f}, numbers up to {np.abs(some).max():.2f}")
assert gap < 1.1 * made["rounding"]["largest_error"], "the page's encoder is the package's, but for the rounding"
for labels, found in (("all labels", made["head"]["all_labels"]), ("5% of them", made["head"]["5_percent_of_labels"])):
    print(f"what 8 bits cost, {labels}: test accuracy {found['test']['float16']:.2%} before, {found['test']['int8']:.2%} after")

teacher = head(vectors.train[labelled], data.y_train[labelled])
print(f"teacher, a linear head on 384 numbers, {len(labelled)} labels: {teacher.score(vectors.test, data.y_test):.1%} of the test texts")

# %% [markdown]
# The transformer is frozen: only the head was trained, and 509 labels did not get it far ahead of TF-IDF. Keep that number in mind.
#
# ## Round 3. A student for the phone
#
# The student is the smallest network that reads words: look up a vector for each of the first 200 words, take their mean, one dense
# layer. 320,660 parameters, 70 times fewer. The words get their numbers from Keras's `TextVectorization`, outside the model.
#
# The teacher now answers **all** 10,149 training texts, with labels or without. Its answers are the student's targets.
#
# **Predict first.** From scratch on 509 labels, or on the teacher's soft labels for all texts: how far apart? And can a student this
# small come near its teacher?

# %% [markdown]
# Before any verdict, the settings. Rate and dropout are chosen on the validation split, from scratch and distilled (soft labels, T=1)
# with the same care: nine settings each for a data set and a share of labels, two draws, then more where the best lay at the edge. A few
# still lie there, on the side of the baseline, where the curve is flat. The other students borrow these settings; the linear models keep
# usual ones.


# %% tags=["experiment"]
GRID = {"scratch": [(rate, dropout) for rate in (0.01, 0.02, 0.04) for dropout in (0.0, 0.5, 0.8)],
        "distilled": [(rate, dropout) for rate in (0.0025, 0.005, 0.01) for dropout in (0.0, 0.5, 0.8)]}  # fmt: skip
PLACES = [("20newsgroups", share) for share in (0.01, 0.05, 0.1, 1.0)]
PLACES += [(name, share) for name in ("r8", "r52") for share in (0.05, 1.0)]


@evidence.experiment(metric="accuracy on the validation split", compare=[
    (f"{name} {share:.0%} distilled 0.005 0.0", f"{name} {share:.0%} scratch 0.02 0.8") for name, share in PLACES],
    grid=["{} {rate} {dropout}"])  # fmt: skip
def choice_for_text(seed):
    results = {}
    for name, share in PLACES:
        d, words, vectors, _ = corpus(name)
        rows, truth = draw(d.y_train, share, seed), one_hot(d.y_train, len(d.class_names))
        soft = soft_targets(head(vectors.train[rows], d.y_train[rows]).decision_function(vectors.train), 1.0)
        for arm, given, targets in (("scratch", words.train[rows], truth[rows]), ("distilled", words.train, soft)):
            for rate, dropout in GRID[arm]:
                model = trained(name, given, targets, seed, rate=rate, dropout=dropout)
                results[f"{name} {share:.0%} {arm} {rate} {dropout}"] = accuracy(model, words.validation, d.y_validation)
    return results


# %% tags=["experiment"]
NG, HIGH = "20newsgroups", [(0.02, 0.0), (0.02, 0.5), (0.04, 0.0), (0.04, 0.5)]
WET = [(0.005, 0.8), (0.005, 0.9), (0.01, 0.9), (0.02, 0.9)]  # little data: a lower rate, more dropout
EDGES = {("scratch", NG, 0.01): WET, ("scratch", NG, 0.05): WET, ("scratch", NG, 0.1): WET, ("distilled", NG, 0.1): HIGH + [(0.02, 0.8)]}
EDGES |= {("scratch", name, share): [(0.08, 0.0), (0.08, 0.5)] for name, share in ((NG, 1.0), ("r8", 0.05), ("r52", 1.0))}
EDGES |= {("distilled", name, share): HIGH for name, share in ((NG, 1.0), ("r8", 0.05), ("r8", 1.0), ("r52", 0.05), ("r52", 1.0))}


@evidence.experiment(
    metric="accuracy on the validation split", compare=[], grid=["{} {rate} {dropout}"], extends="choice_for_text")
def choice_beyond_the_edges(seed):
    results = {}
    for (arm, name, share), settings in EDGES.items():
        d, words, vectors, _ = corpus(name)
        rows, truth = draw(d.y_train, share, seed), one_hot(d.y_train, len(d.class_names))
        given, targets = words.train[rows], truth[rows]
        if arm == "distilled":
            z = head(vectors.train[rows], d.y_train[rows]).decision_function(vectors.train)
            given, targets = words.train, soft_targets(z, 1.0)
        for rate, dropout in settings:
            model = trained(name, given, targets, seed, rate=rate, dropout=dropout)
            results[f"{name} {share:.0%} {arm} {rate} {dropout}"] = accuracy(model, words.validation, d.y_validation)
    return results


# %%
tried = {}
for record in (evidence.load("choice_for_text"), evidence.load("choice_beyond_the_edges")):
    for setting, mean in record.means.items():
        *place, rate, dropout = setting.split()
        tried.setdefault(" ".join(place), {})[float(rate), float(dropout)] = mean
for place, found in tried.items():
    best = max(found, key=found.get)
    print(f"{place:28} best of {len(found)}: rate {best[0]}, dropout {best[1]}, {found[best]:.1%}; worst {min(found.values()):.1%}")


# %% tags=["experiment-setup"]
# rate of learning and dropout of whole words, from the two records above
SETTINGS = {("scratch", "20newsgroups", 0.01): (0.01, 0.9), ("distilled", "20newsgroups", 0.01): (0.005, 0.5),
            ("scratch", "20newsgroups", 0.05): (0.005, 0.9), ("distilled", "20newsgroups", 0.05): (0.005, 0.5),
            ("scratch", "20newsgroups", 0.1): (0.02, 0.9), ("distilled", "20newsgroups", 0.1): (0.01, 0.5),
            ("scratch", "20newsgroups", 1.0): (0.04, 0.5), ("distilled", "20newsgroups", 1.0): (0.01, 0.0),
            ("scratch", "r8", 0.05): (0.08, 0.0), ("distilled", "r8", 0.05): (0.01, 0.5),
            ("scratch", "r8", 1.0): (0.01, 0.0), ("distilled", "r8", 1.0): (0.01, 0.5),
            ("scratch", "r52", 0.05): (0.02, 0.5), ("distilled", "r52", 0.05): (0.01, 0.0),
            ("scratch", "r52", 1.0): (0.08, 0.0), ("distilled", "r52", 1.0): (0.04, 0.0)}  # fmt: skip
SETTINGS = {place: {"rate": rate, "dropout": dropout} for place, (rate, dropout) in SETTINGS.items()}


# %%
for (arm, name, share), chosen in SETTINGS.items():
    found = tried[f"{name} {share:.0%} {arm}"]
    assert found[chosen["rate"], chosen["dropout"]] == max(found.values()), "the settings are the best that the search found"

_, words, _, vectorizer = corpus("20newsgroups")
z = teacher.decision_function(vectors.train)  # the teacher's logits for all training texts
truth = one_hot(data.y_train, 20)
alone = trained("20newsgroups", words.train[labelled], truth[labelled], seed=20, **SETTINGS["scratch", "20newsgroups", 0.05])
student = trained("20newsgroups", words.train, soft_targets(z, 1.0), seed=20, **SETTINGS["distilled", "20newsgroups", 0.05])
for name, model in (("from scratch", alone), ("distilled", student)):
    print(f"{name:12}: {accuracy(model, words.test, data.y_test):.1%} of the test texts, {model.count_params():,} parameters")
print(f"teacher     : {teacher.score(vectors.test, data.y_test):.1%}")

# %% [markdown]
# One seed is an anecdote. The record repeats it with eight draws of the labels, for 1, 5, 10 and 100% of them. Every student makes
# 1,280 updates.
#
# "Hard" is the teacher's first choice as if it were the truth. "Soft + labels" takes the mean of soft label and true label where there
# is one.


# %% tags=["experiment-setup"]
def arms(name, share, seed, temperatures=(1.0,)):
    d, words, vectors, _ = corpus(name)
    rows, truth = draw(d.y_train, share, seed), one_hot(d.y_train, len(d.class_names))
    counted, _, counted_test = tfidf(name)
    teacher = head(vectors.train[rows], d.y_train[rows])
    z = teacher.decision_function(vectors.train)
    mixed = soft_targets(z, 1.0)
    mixed[rows] = (mixed[rows] + truth[rows]) / 2

    def student(arm, given, targets, **more):
        settings = SETTINGS[arm, name, share] | more
        return accuracy(trained(name, given, targets, seed, **settings), words.test, d.y_test)

    results = {"TF-IDF + LinearSVC": LinearSVC().fit(counted[rows], d.y_train[rows]).score(counted_test, d.y_test)}
    results |= {"teacher": teacher.score(vectors.test, d.y_test)}
    results |= {"from scratch": student("scratch", words.train[rows], truth[rows])}
    results |= {"hard": student("distilled", words.train, one_hot(z.argmax(1), z.shape[1]))}
    for t in temperatures:
        results[f"soft, T={t:g}"] = student("distilled", words.train, soft_targets(z, t), temperature=t)
    return results | {"soft + labels": student("distilled", words.train, mixed)}


# %% tags=["experiment-setup"]
ACCURACY = "accuracy on the test split"
CLAIMS = [("soft, T=1", "from scratch"), ("soft, T=1", "teacher"), ("soft, T=1", "TF-IDF + LinearSVC"), ("soft, T=1", "hard"),
          ("soft + labels", "soft, T=1")]  # fmt: skip
OVER_T = CLAIMS + [(f"soft, T={t}", "soft, T=1") for t in ("0.5", "2", "4")]
TEMPERATURES = (0.5, 1.0, 2.0, 4.0)


# %% tags=["experiment"]
@evidence.experiment(metric=ACCURACY, compare=OVER_T, cases={
    "labels_1": {"share": 0.01}, "labels_5": {"share": 0.05}, "labels_10": {"share": 0.1}, "labels_100": {"share": 1.0}})  # fmt: skip
def newsgroups(seed, share):
    return arms("20newsgroups", share, seed, TEMPERATURES)


# %%
five = evidence.load("labels_5")
print(evidence.table(five))
kept, low, high = evidence.paired_interval([100 * s / t for s, t in zip(five.values["soft, T=1"], five.values["teacher"], strict=True)])
print(f"\nthe student keeps {kept:.1f}% of its teacher's accuracy, 95% interval [{low:.1f}, {high:.1f}]")
assert low > 97, "the requirement: 97%"

# %%
by_share = {1: evidence.load("labels_1"), 5: five, 10: evidence.load("labels_10"), 100: evidence.load("labels_100")}
arms_shown = {"from scratch": "from scratch", "soft, T=1": "student, soft labels",
              "teacher": "teacher (MiniLM)", "TF-IDF + LinearSVC": "TF-IDF + LinearSVC"}  # fmt: skip
curves = {shown: [100 * record.means[arm] for record in by_share.values()] for arm, shown in arms_shown.items()}
for share, record in by_share.items():
    print(f"{share:3}% of the labels, the student with soft labels (T=1):")
    for baseline in ("from scratch", "teacher", "TF-IDF + LinearSVC", "hard"):
        print(f"     {record.verdict('soft, T=1', baseline):12} against {baseline}")
plots.lines(
    list(by_share), curves,
    "Accuracy over the share of labels, 1 to 100%: the student leads with 1 and 5%, is even with TF-IDF at 10%, TF-IDF leads at 100%.",
    xlabel="share of the training texts that have a label (%)", ylabel="test accuracy (%)", log_x=True, ticks=[1, 5, 10, 100])  # fmt: skip

# %% [markdown]
# **What to notice.**
#
# - With 1 and 5% of the labels the distilled student wins by far against the same network without a teacher, and it beats the teacher
#   itself. Possible reasons, not separated here: it reads 200 whole words, the teacher 128 wordpieces; and it sees 10,149 texts.
# - With 5%, counting words is nearly as good as the transformer's head; with 10% TF-IDF beats the teacher and is even with the student
#   (INCONCLUSIVE). Who compares only with "from scratch" never learns that.
# - Softness is not the reason. T=2 and T=4 **lose** at every share. At 1% hard labels win, at 5% T=0.5 does. A likely cause, not tested:
#   this head is unsure already.
# - Labels mixed into the soft labels change little, as long as labels are few.
#
# ## Round 4. Where does the gain come from?
#
# The student had two things that the network from scratch did not have: unlabelled texts, and a teacher that has read a billion pairs of
# sentences. One experiment takes them apart. Each student has the same network, updates and settings:
#
# | teacher | texts | what it has |
# |---|---|---|
# | none | labelled | nothing |
# | MiniLM's head | labelled | pretraining alone |
# | the student from scratch itself | all | unlabelled texts alone |
# | TF-IDF and a linear model | all | unlabelled texts, another teacher, no pretraining |
# | MiniLM's head | all | both |
#
# **Predict first.** Order the five.


# %% tags=["experiment"]
@evidence.experiment(metric=ACCURACY, compare=[
    ("own labels, all texts", "from scratch"), ("TF-IDF, all texts", "own labels, all texts"), ("MiniLM, labelled texts", "from scratch"),
    ("MiniLM, all texts", "TF-IDF, all texts"), ("MiniLM, all texts", "MiniLM, labelled texts")])  # fmt: skip
def causes(seed):
    d, words, vectors, _ = corpus("20newsgroups")
    rows, truth = draw(d.y_train, 0.05, seed), one_hot(d.y_train, 20)
    y = d.y_train[rows]
    fit = lambda arm, given, targets: trained("20newsgroups", given, targets, seed, **SETTINGS[arm, "20newsgroups", 0.05])
    alone = fit("scratch", words.train[rows], truth[rows])
    counted = tfidf("20newsgroups")[0]
    own = training.logits(alone, words.train)
    counts = head(counted[rows], y).decision_function(counted)
    meaning = head(vectors.train[rows], y).decision_function(vectors.train)
    students = {"from scratch": alone, "MiniLM, labelled texts": fit("scratch", words.train[rows], soft_targets(meaning[rows], 1.0))}
    for what, z in (("own labels", own), ("TF-IDF", counts), ("MiniLM", meaning)):
        students[f"{what}, all texts"] = fit("distilled", words.train, soft_targets(z, 1.0))
    return {arm: accuracy(model, words.test, d.y_test) for arm, model in students.items()}


# %%
causes_record = evidence.load("causes")
print(evidence.table(causes_record))
means = causes_record.means
whole = means["MiniLM, all texts"] - means["from scratch"]
without = means["TF-IDF, all texts"] - means["from scratch"]
print(f"\nof {100 * whole:.1f} points, {without / whole:.0%} need no pretrained model, {1 - without / whole:.0%} come with it")
assert 0.25 < without / whole < 0.75
plots.verdicts(causes_record)

# %% [markdown]
# **What to notice.** Without the unlabelled texts the transformer shows no gain (INCONCLUSIVE): soft labels for 509 texts cannot teach
# words that are not in them. Unlabelled texts help even a student that labels them by itself (*self-training*). Pretraining pays on top,
# and only through these texts. "The gain comes from the teacher" would have been half of the truth.
#
# ## Round 5. Where it does not help
#
# You saw the curves cross: with all labels the student from scratch is ahead.
#
# **Predict first.** Mix the true labels into the soft ones, with all labels. Does the student catch up?


# %% tags=["experiment"]
@evidence.experiment(metric=ACCURACY, compare=CLAIMS, sentinel="r8_100", cases={
    "r8_5": {"name": "r8", "share": 0.05}, "r8_100": {"name": "r8", "share": 1.0},
    "r52_5": {"name": "r52", "share": 0.05}, "r52_100": {"name": "r52", "share": 1.0}})  # fmt: skip
def reuters(seed, name, share):
    return arms(name, share, seed)


# %%
everything = evidence.load("labels_100")
print(evidence.table(everything))
print(everything.comparison("soft + labels", "from scratch"))

# %% [markdown]
# With all labels the teacher is in the way: its answers are worse than the labels, and the student loses, even with both. TF-IDF with a
# linear model beats them all.
#
# Is the gain at 5% an accident of one data set? The same experiment on Reuters news: 8 topics (R8) and 52 topics (R52), some of them with
# one or two texts.
#
# **Predict first.** 5% of the labels, a good teacher. Will the student win again?

# %%
for record in (evidence.load("r8_5"), evidence.load("r52_5"), evidence.load("r8_100"), evidence.load("r52_100")):
    print(evidence.table(record))
    print(record.comparison("hard", "from scratch"), "\n")

# %% [markdown]
# **What to notice.** With 5%, hard labels of the same teacher win against the network from scratch on both sets of news. Soft ones (T=1)
# win only against TF-IDF, and lose to their teacher. With all labels soft labels lose, and hard ones do not win either. How sharp is best
# differs from case to case; all of these ran with settings that were chosen for soft labels at T=1.
#
# So the large gain belongs to a place: few labels, many texts, and a teacher far ahead of the same network from scratch, as on 20
# Newsgroups. Three data sets do not prove the rule. Measure yours before you promise it.

# %% [markdown]
# ## Round 6. Which mistakes does a student inherit?
#
# One seed: a look, not a verdict.
#
# **Predict first.** Take the texts that both students get wrong, the distilled one and the one from scratch. Which of the two gives the
# teacher's wrong answer more often?

# %%
answers = {"teacher": teacher.predict(vectors.test)}
answers |= {name: training.logits(model, words.test).argmax(1) for name, model in (("from scratch", alone), ("distilled", student))}
wrong = {name: answer != data.y_test for name, answer in answers.items()}
both = wrong["from scratch"] & wrong["distilled"]
for name in ("from scratch", "distilled"):
    same = np.mean(answers[name][both] == answers["teacher"][both])
    print(f"{name:12}: of {both.sum():,} texts that both students get wrong, {same:.0%} with the teacher's answer")
per_class = {name: [measure.recall(np.eye(20)[answer], data.y_test, label) for label in range(20)] for name, answer in answers.items()}
for name in ("from scratch", "distilled"):
    print(f"{name:12}: correlation of its recalls with the teacher's {np.corrcoef(per_class['teacher'], per_class[name])[0, 1]:.2f}")
for label in np.argsort(per_class["teacher"])[[0, 1, 2, -3, -2, -1]]:
    rates = "  ".join(f"{name} {100 * values[label]:3.0f}%" for name, values in per_class.items())
    often = np.bincount(answers["teacher"][(data.y_test == label) & wrong["teacher"]], minlength=20).argmax()
    print(f"{data.class_names[label]:25} {rates}   the teacher's usual mistake: {data.class_names[often]}")
plots.scatter(
    {name: (100 * np.array(per_class["teacher"]), 100 * np.array(per_class[name])) for name in ("from scratch", "distilled")},
    "Recall of each newsgroup, students over the teacher: the distilled student follows its teacher's strong and weak groups.",
    xlabel="teacher's recall (%)", ylabel="student's recall (%)")  # fmt: skip

# %% [markdown]
# ## Round 7. Another student, another teacher
#
# The package has two richer readers of the same size, for you to try with `trained(..., build=...)`: a CNN that sees three words at a
# time, and a GRU that reads the first 100 words one after the other. They have no record, so the course claims nothing about them.


# %% tags=["experiment-setup"]
from kdcourse.files import cache_folder, written_whole

READERS = {"CNN": (models.text_cnn, 200), "GRU": (models.text_gru, 100)}  # and how many words each reads


@cache
def lower_half(name):
    """What the frozen lower half of the encoder says about each text, and its wordpieces; kept on disk, 0.7 GB."""
    d = datasets.load(name)
    pieces = [minilm.wordpieces(texts) for texts in (d.x_train, d.x_validation, d.x_test)]
    path = cache_folder() / "embeddings" / name / "lower_half.npy"
    if not path.is_file():
        lower, _ = minilm.halves(3)
        every = np.concatenate(pieces)
        with written_whole(path) as temporary:
            kept = np.lib.format.open_memmap(temporary, "w+", np.float16, (*every.shape, 384))
            for i in range(0, len(every), 64):
                kept[i : i + 64] = lower(every[i : i + 64])
    hidden = np.split(np.load(path, mmap_mode="r"), np.cumsum([len(part) for part in pieces])[:-1])
    return Split(*zip(hidden, pieces, strict=True))


# %% tags=["experiment-setup"]
def fine_tuned(hidden, pieces, labels, start, seed, rate, rounds=8):
    """The upper three blocks and the head, trained on the labelled texts; they start from the frozen teacher."""
    import keras

    runtime.set_seed(seed)
    _, upper = minilm.halves(3)
    last = keras.layers.Dense(len(start.classes_))
    model = keras.Model(upper.inputs, last(upper.output))
    last.set_weights([start.coef_.T, start.intercept_])
    schedule = keras.optimizers.schedules.CosineDecay(rate, rounds * -(-len(labels) // 16))
    model.compile(keras.optimizers.Adam(schedule), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit([hidden, pieces], labels, batch_size=16, epochs=rounds, verbose=0)
    return model


def says(model, half):
    hidden, pieces = half
    return np.concatenate([np.asarray(model([hidden[i : i + 64], pieces[i : i + 64]])) for i in range(0, len(pieces), 64)])


# %%
for name, (build, length) in READERS.items():
    print(f"{name}: {build(20, words=length).count_params():,} parameters, reads {length} words")

# %% [markdown]
# Another teacher has a record. On R8 the soft labels of the frozen teacher were no help at 5%. Now its upper three blocks are
# **fine-tuned** on the labelled texts, from the frozen teacher's head on. The lower half never changes, so what it says is computed once.
#
# **Predict first.** A better teacher: does it make a better student? And do its soft labels reach the network from scratch (Round 5)?


# %% tags=["experiment"]
@evidence.experiment(metric="accuracy on the validation split", compare=[], grid=["fine-tuned {rate}"])
def choice_for_tuning(seed):
    d, _, vectors, _ = corpus("r8")
    rows, half = draw(d.y_train, 0.05, seed), lower_half("r8")
    start = head(vectors.train[rows], d.y_train[rows])
    hidden, pieces = (part[rows] for part in half.train)
    results = {"frozen": start.score(vectors.validation, d.y_validation)}
    for rate in (0.00003, 0.0001, 0.0003):
        model = fine_tuned(hidden, pieces, d.y_train[rows], start, seed, rate)
        results[f"fine-tuned {rate:g}"] = measure.accuracy(says(model, half.validation), d.y_validation)
    return results


# %% tags=["experiment"]
TUNING_RATE = 0.0001


@evidence.experiment(metric="accuracy on the test split", compare=[
    ("teacher, fine-tuned", "teacher, frozen"), ("student of the fine-tuned", "student of the frozen"),
    ("student of the fine-tuned", "teacher, fine-tuned")])  # fmt: skip
def second_teacher(seed):
    d, words, vectors, _ = corpus("r8")
    rows, half = draw(d.y_train, 0.05, seed), lower_half("r8")
    start = head(vectors.train[rows], d.y_train[rows])
    tuned = fine_tuned(*(part[rows] for part in half.train), d.y_train[rows], start, seed, TUNING_RATE)
    results = {"teacher, frozen": start.score(vectors.test, d.y_test),
               "teacher, fine-tuned": measure.accuracy(says(tuned, half.test), d.y_test)}  # fmt: skip
    for which, z in (("frozen", start.decision_function(vectors.train)), ("fine-tuned", says(tuned, half.train))):
        settings = SETTINGS["distilled", "r8", 0.05]
        student = trained("r8", words.train, soft_targets(z, 1.0), seed, **settings)
        results[f"student of the {which}"] = accuracy(student, words.test, d.y_test)
    return results


# %%
second = evidence.load("second_teacher")
print(evidence.table(evidence.load("choice_for_tuning")), "\n")
print(evidence.table(second))

# %%
first = evidence.load("r8_5")
same = [first.seeds.index(seed) for seed in second.seeds]  # the same draws of the labels
both = second.values | {"from scratch": [first.values["from scratch"][i] for i in same]}
rival = evidence.compare(both, "student of the fine-tuned", "from scratch")
print(rival)
print(f"for comparison, hard labels of the frozen teacher (Round 5): {np.mean([first.values['hard'][i] for i in same]):.2%}")
assert rival.verdict == "WINS"

# %% [markdown]
# **What to notice.** Fine-tuning makes the better teacher, and its student follows: what was INCONCLUSIVE with the frozen teacher wins now.
# But hard labels of the frozen teacher (Round 5) already gave a large part of it. A tuned teacher may also be surer: this record does not
# separate better from sharper.

# %% [markdown]
# ## Round 8. Ship it
#
# The student leaves as a folder: the model in float32 and in int8, the vocabulary, the labels, a model card, and `classify.py`, 130 lines
# that need NumPy and LiteRT only. The words are numbered there in plain Python, by the same rules as `TextVectorization`. This is the
# place where such projects break, so the package compares the folder with Keras before it lets it out.
#
# A model card is written from records, not from memory.


# %%
def interval(arm, baseline):
    found = five.comparison(arm, baseline)
    return f"{100 * found.difference:+.1f} points [{100 * found.low:+.1f}, {100 * found.high:+.1f}], {found.verdict}"


means = {arm: f"{mean:.1%}" for arm, mean in five.means.items()}
card = f"""# Newsgroup classifier

Sorts an English post into one of 20 newsgroups of the 1990s. Not for other languages, not for decisions about people.

- Trained on {len(labelled)} labelled and {len(data.x_train) - len(labelled):,} unlabelled posts of 20 Newsgroups (by date),
  by distillation from a frozen all-MiniLM-L6-v2 (Apache-2.0) with a linear head.
- Test accuracy, mean over {len(five.seeds)} draws of the labels: {means["soft, T=1"]}.
  Its teacher: {means["teacher"]}. The same network without a teacher: {means["from scratch"]}.
- Against the network without a teacher: {interval("soft, T=1", "from scratch")}.
- Against TF-IDF and a linear model on the same labels: {interval("soft, T=1", "TF-IDF + LinearSVC")}.
- The model in this folder is one more draw (seed 20); with all labels other methods are better.
- Reads words in lower case without digits; a text without a known word gets the same answer each time.
"""

# %%
import tempfile
from pathlib import Path

from kdcourse.bundles import text as text_bundle

folder = text_bundle.write(Path(tempfile.mkdtemp()) / "newsgroups", student, vectorizer, data.class_names, card=card)
print({path.name: f"{path.stat().st_size:,} bytes" for path in sorted(folder.iterdir()) if path.is_file()})
classifier = text_bundle.open(folder)
for text in ("The shuttle reached its orbit.", "", "\N{ROCKET} Ракета", "goalie " * 100_000):
    best = classifier.probabilities(text).argmax()
    print(f"{text[:30]!r:35} {classifier.known(text):3} known words: {classifier.class_names[best]}")
int8 = np.array([classifier.logits(text) for text in data.x_test])
print(f"int8 {measure.accuracy(int8, data.y_test):.1%}, float32 {accuracy(student, words.test, data.y_test):.1%}")
assert np.mean(int8.argmax(1) == training.logits(student, words.test).argmax(1)) > 0.99, "8 bits change less than 1% of the answers"

# %% [markdown]
# Size, memory and time, from a typed text to its logits, words counted in, one thread. The teacher's time is the Keras call that you
# built above, on all cores; `make benchmarks` runs both in LiteRT on one thread, in one table.

# %%
a_text = max(data.x_test[:200], key=len)  # longer than both models read
teacher_bytes = 4 * teacher_parameters
teacher_ms = 1000 * measure.latency(lambda: encoder(minilm.wordpieces([a_text])), runs=20).median
print(f"{'':16}{'bytes':>12} {'memory':>12} {'median ms':>10} {'p95 ms':>8}")
print(f"{'teacher, float32':16}{teacher_bytes:12,} {'':12} {teacher_ms:10.3f}")
for weights in ("float32", "int8"):
    file = folder / f"model_{weights}.tflite"
    median, p95 = text_bundle.latency(text_bundle.open(folder, file.name), a_text)
    print(f"student, {weights:7}{file.stat().st_size:12,} {measure.peak_memory(file.read_bytes()):12,} {median:10.3f} {p95:8.3f}")
assert teacher_bytes / (folder / "model_float32.tflite").stat().st_size > 60

# %% [markdown]
# Play. Type a sentence of your own. The student answers from the exported folder, the teacher from the transformer that you built; the
# slider divides the logits of both. Try a word with two meanings, a sentence about nothing of the 20 groups, another language. Who is
# too sure?

# %%
from kdcourse.widgets import TextExplorer


def teacher_logits(text):
    return teacher.decision_function(np.asarray(encoder(minilm.wordpieces([text]))))[0]


TextExplorer(
    teacher_logits, classifier.logits, data.class_names, text="The goalie made a great save in the last minute.",
    examples=["My new graphics card crashes under Windows.", "They launched a satellite to study the moon.", "Is there life after death?"],
)  # fmt: skip

# %% [markdown]
# ### The decision
#
# Accuracy: met, by the interval in Round 3, against this frozen teacher. Size: met, by the table, in float32 already. Latency: `make
# benchmarks` decides, with both models on one thread. TensorFlow: not needed. With 500 labels we would ship it. Near 1,000 labels the
# advantage over word counts is gone, and with 10,000 we would ship these: 3.2 MB in float32, which has to shrink first.

# %% [markdown]
# ## What the classic listing means
#
# Many texts show this case with one loss: the cross-entropy of the labels plus 0.5 times the mean square of soft label minus softmax.
# They hand a loss of *three* arguments to `compile`, which calls it with two, so it cannot run. Chapter 02 packs labels and teacher into
# the targets. A row of zeros is "no label".
#
# **Predict first.** Made to run, with a label for 5% of the texts: nearer to the student from scratch or to the distilled one?


# %%
def listing(targets, logits):
    labels, teacher_logits = losses.unpack(targets)
    return losses.cross_entropy_with_mse(labels, teacher_logits, logits, weight=0.5)


known = np.zeros_like(truth)
known[labelled] = truth[labelled]
for what, rows in (("labelled texts", labelled), ("all texts", np.arange(len(known)))):
    model = training.train(
        lambda: models.text_average(20, dropout=0.5), words.train[rows], losses.pack(known[rows], z[rows]),
        seed=20, updates=1280, learning_rate=0.01, loss=listing)  # fmt: skip
    print(f"the listing on {what:14}: {accuracy(model, words.test, data.y_test):.1%}")

# %% [markdown]
# Both stay near the student from scratch. The squares of 20 probabilities have a mean of at most 2/20, and half of that hardly pulls. (One
# seed, settings not tuned.)
#
# ## What goes wrong
#
# **Another vocabulary.** The model knows numbers, not words. Here somebody adapts the vocabulary again, on newer texts. The shapes fit,
# nothing complains.
#
# **A mean over nothing.** Keras's own pooling with a mask divides by the number of words. The empty text has none.

# %%
import keras

newer = keras.layers.TextVectorization(10_000, output_sequence_length=200)
newer.adapt(data.x_test[::4].tolist())
moved = np.asarray(newer(data.x_test.tolist()), np.int32)
print(f"right vocabulary {accuracy(student, words.test, data.y_test):.1%}, another one {accuracy(student, moved, data.y_test):.1%}")
assert accuracy(student, moved, data.y_test) < 0.5, "a silent collapse: this is why the vocabulary travels with the model"

careless = keras.Sequential([keras.Input((200,), dtype="int32"), keras.layers.Embedding(100, 4, mask_zero=True),
                             keras.layers.GlobalAveragePooling1D(), keras.layers.Dense(3)])  # fmt: skip
nothing = np.zeros((1, 200), np.int32)
print("an empty text:", np.asarray(careless(nothing))[0], "| the course's student:", np.asarray(student(nothing))[0, :3].round(2))
assert np.isfinite(np.asarray(student(nothing))).all()

# %% [markdown]
# ## Exercises
#
# ### Exercise 1: what is the teacher worth in labels?
#
# Labels cost money. At how many labels does the network from scratch reach the accuracy that the student has with 5%? Read the curve of
# Round 3 between its points: a straight line over the *logarithm* of the number of labels.


# %% tags=["solution"]
def labels_needed(counts, accuracies, target):
    """Return the number of labels at which the curve reaches `target`; counts and accuracies both rise."""
    return float(np.exp(np.interp(target, accuracies, np.log(counts))))


# %% tags=["check"]
with quiz.check("what is the teacher worth in labels?"):
    assert np.isclose(labels_needed([10, 1000], [0.2, 0.6], 0.4), 100), "half of the way up in accuracy is half of the way in the logarithm"
    counts = [len(draw(data.y_train, share / 100, seed=20)) for share in by_share]
    worth = labels_needed(counts, curves["from scratch"], curves["student, soft labels"][1])
    assert counts[1] < worth < counts[3]
    print(f"{counts[1]} labels and a teacher are worth {worth:,.0f} labels without one")

# %% [markdown]
# ### Exercise 2: only the sure answers?
#
# Some projects keep only the texts on which the teacher is sure. Write the choice: of a teacher's logits, the rows of the `share` with
# the largest top probability, in their old order. Does the student profit?


# %% tags=["solution"]
def surest(logits, share):
    """Return the rows, rising, of the round(share * rows) largest top probabilities."""
    top = soft_targets(logits, 1.0).max(axis=1)
    return np.sort(np.argsort(-top, kind="stable")[: round(share * len(top))])


# %% tags=["check"]
with quiz.check("only the sure answers?"):
    assert surest(np.array([[4.0, 5], [0, 3], [9, 0], [8, 8]]), 0.5).tolist() == [1, 2], "the surest rows, not the largest logits"
    sure = surest(z, 0.5)
    half = trained("20newsgroups", words.train[sure], soft_targets(z[sure], 1.0), seed=20, **SETTINGS["distilled", "20newsgroups", 0.05])
    right = [np.mean(z[rows].argmax(1) == data.y_train[rows]) for rows in (sure, np.arange(len(z)))]
    print(f"the teacher is right on {right[0]:.0%} of the sure half, {right[1]:.0%} of all")
    print(
        f"student of the sure half {accuracy(half, words.test, data.y_test):.1%}, of all {accuracy(student, words.test, data.y_test):.1%}"
    )

# %% [markdown]
# ### Exercise 3: the words, without Keras
#
# On the phone there is no `TextVectorization`. Write what it does, for plain English: lower case, the 32 signs of `string.punctuation`
# left out, split at spaces, the first 200 words as numbers. 0 fills up, 1 is an unknown word.


# %% tags=["solution"]
def numbered(text, vocabulary, length=200):
    """Return the numbers of the words, a list of `length` integers; `vocabulary` is the list of words in the order of their numbers."""
    number = {word: i for i, word in enumerate(vocabulary)}
    kept = text.lower().translate(str.maketrans("", "", "!\"#$%&()*+,-./:;<=>?@[\\]^_`{|}~'"))
    found = [number.get(word, 1) for word in kept.split()[:length]]
    return found + [0] * (length - len(found))


# %% tags=["check"]
with quiz.check("the words, without Keras"):
    known_words = vectorizer.get_vocabulary()
    for text in ("Don't PANIC, it's (only) a test.", "qwxyz, the zzyzx", "", "word " * 250):
        assert numbered(text, known_words) == np.asarray(vectorizer([text]))[0].tolist(), f"compare with vectorizer([{text[:30]!r}])"

# %% [markdown]
# ## Quiz

# %%
quiz.show("07_case_text_classification")

# %% [markdown]
# ## Interview corner
#
# > **You have 500 labels and a large pretrained model. What do you do?**
#
# *In 30 seconds.* Baselines first: TF-IDF with a linear model, the small network from scratch. Then a head on the frozen encoder as the
# teacher, its soft labels on all texts that I have, a small student on these. I tune on validation data and compare over several draws
# of the labels.
#
# *In 3 minutes.* The gain has two parts: unlabelled texts, and what pretraining adds through them. A teacher made of TF-IDF gets
# the first without the second: that control says what the transformer is worth. Then size, latency with the words counted in, and a
# check that the exported model answers as the trained one. The temperature is a setting to measure: here T above 1 lost.
#
# *Follow-up.* How can a student beat its teacher? Possible reasons, not separated here: it reads whole words of a longer stretch, and
# averages the teacher's errors over many texts. On Reuters, at 5%, the soft student does not beat its teacher.
#
# *Common wrong answer.* "I distil on the 500 labelled texts."
#
# *See it hold:* the record `causes` in Round 4.

# %% [markdown]
# > **Why not just fine-tune the transformer and quantize it?**
#
# *In 30 seconds.* If it fits the phone, ship it. Here it does not: int8 leaves a quarter of its bytes, and the requirement asks for a
# sixtieth. But fine-tuning makes the better teacher.
#
# *In 3 minutes.* A frozen encoder with a head is fitted in a second, once its vectors are kept; fine-tuning took minutes on 246 texts here,
# and takes memory. The two combine: fine-tune, then distil from the tuned one.
#
# *Common wrong answer.* "Fine-tuning and distillation are alternatives." The tuned model can be the teacher.
#
# *See it hold:* the record `second_teacher` in Round 7.
#
# > **What is lost?**
#
# *In 30 seconds.* The student knows 9,998 words and their mean: no order, no word that it has not seen, no other language, no other
# classes. Some of the teacher's mistakes come along. And with all labels the student lost, on three data sets.
#
# *Common wrong answer.* "Nothing: the accuracy is the same."
#
# *See it hold:* Round 6, and the explorer.

# %% [markdown]
# ## Summary
#
# - A requirement is a number; baselines come before models.
# - With 1 and 5% of the labels the student wins by far on 20 Newsgroups. More than half of that gain needs no pretrained model: it is the
#   unlabelled text.
# - Vectors of a frozen encoder are kept once; heads, label draws and students are then a matter of seconds.
# - Hard or soft, T=0.5 or T=1: that depends on share and data set. T=2 and T=4 lost at every share.
# - With all labels distillation with soft labels loses on all three data sets, and word counts beat this student on all three.
# - The student travels with its vocabulary, is compared with Keras after the export, and has a model card written from records.
#
# ## What's next
#
# Chapter 08, in preparation, prunes and quantizes an image network for a phone.
#
# ## References
#
# - Wang et al. 2020. [MiniLM](https://arxiv.org/abs/2002.10957). Reimers, Gurevych 2019. [Sentence-BERT](https://arxiv.org/abs/1908.10084).
# - Vaswani et al. 2017. [Attention Is All You Need](https://arxiv.org/abs/1706.03762).
# - Joulin et al. 2016. [Bag of Tricks for Efficient Text Classification](https://arxiv.org/abs/1607.01759). Kim 2014.
#   [Convolutional Neural Networks for Sentence Classification](https://arxiv.org/abs/1408.5882).
# - Tang et al. 2019. [Distilling Task-Specific Knowledge from BERT into Simple Neural Networks](https://arxiv.org/abs/1903.12136).
#   Sanh et al. 2019. [DistilBERT](https://arxiv.org/abs/1910.01108).
# - Lang 1995. NewsWeeder (20 Newsgroups). Lewis 1997. Reuters-21578. Cardoso-Cachopo 2007, the prepared splits.

# The template of a lesson, a small chapter that works. tools/new_lesson.py fills in _TITLE_ and its like.
# ruff: noqa
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
#     answers: _ANSWERS_
#     read: 10
#     run: 1
# ---

# %% [markdown]
# # _NUMBER_ · _TITLE_
#
# In this chapter you replace 1,000 images by ten, and you find out what that costs.
#
# <!-- links -->
#
# About 10 minutes to read and try, 1 minute to run.
#
# <!-- TODO: one sentence of promise, the honest minutes here and in the header of this file. Each
# part below works: replace one after the other, and build the notebook in between. -->

# %% [markdown]
# ## What you will be able to do
#
# - replace the examples of a class by their mean; <!-- objective: nearest-mean -->
# - say what this compression costs, with a verdict; <!-- objective: cost -->
# - find data of another scale before it spoils an accuracy. <!-- objective: scale -->
#
# > **The interviewer asks:** "_QUESTION_"
#
# <!-- TODO: one exercise or question of the quiz for each objective; both name it by its id. The
# question opens the chapter. It is, word for word, the first entry of the interview corner, and the
# header of this file has it under answers. -->

# %% tags=["hide-input"]
# The chapter's idea in one diagram
# TODO: the idea of your chapter
from kdcourse.schematics import Schematic


def the_idea():
    sheet = Schematic("A class keeps its mean instead of its examples", width=12, height=2)
    examples = sheet.box(1.9, 1, "1,000 images:\n784,000 numbers", role="data")
    means = sheet.box(6, 1, "10 means:\n7,840 numbers", role="student")
    answer = sheet.box(10.2, 1, "the nearest one\nanswers", role="step")
    sheet.arrow(examples, means, "average")
    sheet.arrow(means, answer, "compare")
    return sheet


the_idea()

# %% tags=["experiment-setup"]
import numpy as np

from kdcourse import datasets, evidence, plots, quiz

# 3,000 real digits for training, 1,000 for validation, 1,000 for testing
data = datasets.load("mnist-5k")
x_train, x_test = data.x_train.reshape(-1, 784), data.x_test.reshape(-1, 784)


# %% tags=["experiment-setup"]
def draw(seed, each=100):
    """Return the rows of `each` training digits of every class."""
    of_class = [np.flatnonzero(data.y_train == digit) for digit in range(10)]
    chosen = np.random.default_rng(seed)
    return np.concatenate([chosen.choice(rows, each, replace=False) for rows in of_class])


def class_means(images, labels):
    """Return the mean image of each class, shape (10, 784)."""
    return np.stack([images[labels == digit].mean(axis=0) for digit in range(10)])


# %% [markdown]
# ## Ten means instead of 1,000 images
#
# A **classifier** gives every class a score and answers with the best one. It can be made of its
# own training data: it compares a new image with 1,000 images that it keeps, and the label of the
# nearest one is the answer. This needs no training, but it needs memory for 784,000 numbers. We
# keep one image for each class instead, the mean of its 100 examples.
#
# **Predict first.** A guess is right for 10% of the digits. For how many digits is the nearest of
# the ten means right? For how many is the nearest of all 1,000 images right? Write both down.
#
# <!-- TODO: 2 to 4 such parts: a question, a prediction that one can reason about, code, the
# answer. A chapter has at least 1,500 words and at most 55 cells, a deep dive 800 words and 40
# cells. A term of data/glossary.toml is bold where it is defined, at its first use. -->

# %% [markdown]
# Let $x$ be an image and $m_c$ the mean image of class $c$, both of 784 pixels. The classifier
# answers with the class whose mean is nearest:
#
# $$ \arg\min_c \lVert x - m_c \rVert^2
#    = \arg\max_c \left( x \cdot m_c - \tfrac{1}{2} \lVert m_c \rVert^2 \right) $$
#
# The square of $x$ is missing on the right, because it is the same for every class.


# %% tags=["experiment-setup"]
def nearest(images, references):
    """Return the number of the nearest reference for each image."""
    scores = images @ references.T - (references**2).sum(axis=1) / 2  # (images, references)
    return scores.argmax(axis=1)


# %%
rows = draw(seed=0)
images, labels = x_train[rows], data.y_train[rows]
means = class_means(images, labels)
print(f"ten means:    {np.mean(nearest(x_test, means) == data.y_test):.1%}")
print(f"every image:  {np.mean(labels[nearest(x_test, images)] == data.y_test):.1%}")

# %% [markdown]
# **Answer.** The nearest of the ten means is right for about eight of ten digits, and the nearest
# of all images for about nine. The means are a hundredth of the data, but most images of a digit
# resemble their mean. They are not as good as all images. A likely reason is that people write a
# digit in more than one way, and the mean of two shapes resembles neither.

# %% [markdown]
# Now play. The bars show the scores of the ten means as shares, and the slider makes them more
# alike or less. For which digit is the second bar nearly as long as the first?

# %%
from kdcourse.widgets import TemperatureExplorer

# TODO: what your readers move; kdcourse/widgets has the explorers of the course
scores = x_test @ means.T - (means**2).sum(axis=1) / 2
shown = [int(np.flatnonzero(data.y_test == digit)[0]) for digit in (2, 3, 4, 5, 8, 9)]
TemperatureExplorer(data.x_test[shown], data.y_test[shown], scores[shown], temperature=4)

# %% tags=["hide-input"]
# The ten means
# TODO: the title of a picture states its finding
plots.digits(
    means.reshape(10, 28, 28),
    [f"mean of the {digit}s" for digit in range(10)],
    title="The mean of a class can be read, and it is blurred where people write differently",
    columns=5,
)

# %% [markdown]
# ### The library's way
#
# In scikit-learn the same classifier is one of the nearest neighbour. One neighbour decides, and
# the neighbours are the ten means.

# %%
from sklearn.neighbors import KNeighborsClassifier

library = KNeighborsClassifier(n_neighbors=1).fit(means, range(10))
print(f"scikit-learn: {library.score(x_test, data.y_test):.1%}")

# %% tags=["hide-input"]
# Ours and the library's, compared
same = np.mean(library.predict(x_test) == nearest(x_test, means))
assert same > 0.999, "both compute the same, up to rounding"
print(f"the same answer for {same:.1%} of the test digits")

# %% [markdown]
# ### Exercise 1: the means as a layer <!-- objective: nearest-mean -->
#
# The scores of the ten means are what one layer of a network computes, `images @ weights + biases`.
# Write the function that returns this layer.
#
# <!-- TODO: 6 to 8 exercises (in a deep dive 3 to 8), 3 to 10 lines each, where the idea is fresh:
# in at least three parts of the page (in a deep dive two). -->


# %% tags=["solution"]
def as_layer(means):
    """Return (weights, biases), shapes (784, 10) and (10,)."""
    return means.T, -(means**2).sum(axis=1) / 2


# %% [markdown] tags=["answer"]
# **Answer.** The weights of a class are its mean, and the bias is minus half the mean's squared
# length. The nearest mean is therefore a linear classifier, whose weights nobody had to train.

# %% tags=["check"]
# Check the layer
with quiz.check("the means as a layer"):
    weights, biases = as_layer(means)
    assert weights.shape == (784, 10), "a column of weights for each class"
    assert biases.shape == (10,), "a bias for each class"
    answers = (x_test @ weights + biases).argmax(axis=1)
    assert np.array_equal(answers, nearest(x_test, means)), "the layer answers as the means do"

# %% [markdown]
# ## What does the compression cost?
#
# One draw of 1,000 images is one experiment. Is the difference more than luck? We draw again, with
# {{_EXPERIMENT_ | seeds}} in all. A **seed** is the number that a random generator starts from. Both
# **variants**, the two ways to keep the data, get the same images each time. They are judged on the
# **test split**, 1,000 digits that nothing was chosen on.
#
# **Predict first.** On some seeds the draw is a lucky one. Do you expect a seed on which the ten
# means read more digits than the 1,000 images do?


# %% tags=["experiment"]
# The experiment: ten means against every image
# TODO: the same budget for both variants; settings are chosen on the validation split
@evidence.experiment(
    "accuracy on the test split", compare=[("ten means", "every image")], sentinel=True
)
def _EXPERIMENT_(seed):
    rows = draw(seed)
    images, labels = x_train[rows], data.y_train[rows]
    means = class_means(images, labels)
    return {
        "ten means": np.mean(nearest(x_test, means) == data.y_test),
        "every image": np.mean(labels[nearest(x_test, images)] == data.y_test),
    }


evidence.load("_EXPERIMENT_")

# %% [markdown]
# **Answer.** No. The best seed of the ten means reads {{_EXPERIMENT_ | ten means | highest}}
# of the test digits. The worst seed of the 1,000 images reads
# {{_EXPERIMENT_ | every image | lowest}}. On average the ten means
# {{_EXPERIMENT_ | ten means | every image | loses: lose}} by
# {{_EXPERIMENT_ | ten means | every image | size}}. The **95% interval** of this difference is
# {{_EXPERIMENT_ | ten means | every image | interval}}. If the whole experiment were repeated many
# times, about 95 of 100 such intervals would contain the true mean difference. It speaks of other
# draws, and it does not speak of other test images. It follows that a hundredth of the memory is
# paid for with accuracy.
#
# <!-- TODO: type no number of a recorded result: name record, variants and form in double braces.
# CONTRIBUTING.md lists the forms. -->

# %% [markdown]
# ## What goes wrong: pixels of another scale
#
# Our pixels lie between 0 and 1. A camera gives whole numbers between 0 and 255. Somebody gives
# the camera's images to our means.
#
# **Predict first.** Every pixel is 255 times as large. Does the accuracy change?
#
# <!-- TODO: a failure that your readers will meet, run on purpose. -->

# %%
from_camera = 255 * x_test
print(f"pixels from 0 to 1:    {np.mean(nearest(x_test, means) == data.y_test):.1%}")
print(f"pixels from 0 to 255:  {np.mean(nearest(from_camera, means) == data.y_test):.1%}")

# %% [markdown]
# **Answer.** It falls, and no error says so. In the formula above the product grows by the factor
# 255, but the square of the mean stays, so it hardly counts any more. A mean with much ink has a
# large product with every image, and it wins too often.

# %% [markdown]
# ### Exercise 2: find it before it costs <!-- objective: scale -->
#
# Write a function that compares the largest values of two arrays. It returns `True` when neither is
# more than twice as large as the other.


# %% tags=["solution"]
def same_scale(first, second):
    """Return whether the largest values differ by a factor of at most 2."""
    low, high = sorted([first.max(), second.max()])
    return bool(high <= 2 * low)


# %% [markdown] tags=["answer"]
# **Answer.** The smaller of the two largest values, doubled, must reach the larger one. Sorting
# makes the function the same for both orders.

# %% tags=["check"]
# Check the scales
with quiz.check("the same scale"):
    assert same_scale(x_train, x_test), "both lie between 0 and 1"
    assert not same_scale(from_camera, x_train), "255 is more than twice 1"
    assert not same_scale(x_train, from_camera), "the order does not count"

# %% [markdown]
# ## Quiz
#
# <!-- TODO: questions of your own, of which each wrong answer teaches, in the file
# data/questions/_SLUG_.json -->

# %%
quiz.show("_SLUG_")

# %% [markdown]
# ## Interview corner
#
# > **_QUESTION_**
#
# *In 30 seconds.* TODO: the short answer, as you would say it.
#
# *In 3 minutes.* TODO: the long one, with a number of this chapter.
#
# *Follow-up.* TODO: what is asked next? · *Common wrong answer.* TODO: what many say, and why it
# is wrong. · *See it hold:* TODO: the cell of this page that shows it.

# %% [markdown]
# ## Summary
#
# - Ten means are a hundredth of 1,000 images, and they read most of the digits.
# - Against the 1,000 images they {{_EXPERIMENT_ | ten means | every image | loses: lose}} by
#   {{_EXPERIMENT_ | ten means | every image | size}}.
# - Data of another scale spoils the answers without an error.
#
# <!-- TODO: what a reader should remember, one sentence each. -->
#
# ## What's next
#
# TODO: the question that this chapter leaves open, and the chapter that answers it.
#
# ## References
#
# - T. Cover, P. Hart (1967), "Nearest neighbor pattern classification", IEEE Transactions on
#   Information Theory 13(1).
#
# <!-- TODO: what you read, with year and place. -->

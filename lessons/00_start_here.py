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
# ---

# %% [markdown]
# # 0 · Start here
#
# A course on knowledge distillation and model compression that you run, slider by slider and claim by claim.
#
# <!-- links -->
#
# About 10 minutes to read, less than a minute to run.

# %% [markdown]
# ## Move this first
#
# Run the cells one after the other with Shift + Enter.
#
# A neural network looked at each of these handwritten digits and gave ten numbers. The bars turn its numbers into shares of 100%.
#
# **Predict first.** The slider is called *temperature*. What will it do to the bars: move them, swap them, or level them?

# %%
from kdcourse import datasets, models
from kdcourse.widgets import TemperatureExplorer

data, teacher = datasets.load("mnist-5k"), models.load_logits("mnist-5k-teacher").test
shown = [int((data.y_test == d).nonzero()[0][teacher[data.y_test == d].max(1).argmin()]) for d in (4, 9, 7, 3, 5, 8)]
TemperatureExplorer(data.x_test[shown], data.y_test[shown], teacher[shown], temperature=2.0)

# %% [markdown]
# Choose a digit, then move the slider with the mouse or the arrow keys. The same in a still picture:

# %%
from kdcourse import plots

plots.soft_label_bars(data.x_test[shown[0]], teacher[shown[0]], (0.5, 2, 8), label=int(data.y_test[shown[0]]))

# %% [markdown]
# At a low temperature you see the first choice only. At a high one you see what else the network considered. A student network can
# learn from that second part; chapter 01 shows when it does. No deep-learning library was loaded for this slider:

# %%
import sys

print("TensorFlow loaded:", "tensorflow" in sys.modules)
assert "tensorflow" not in sys.modules, "the first slider should be alive in a second"

# %% [markdown]
# ## What this course is
#
# Phones, browsers and small servers need small models. **Compression** makes them: *distillation* teaches a small network with a
# large one, *pruning* removes weights, *quantization* stores them in fewer bits, and *architecture search* looks for a small network
# that is good from the start.
#
# Some of the best-known demos do not support their own text. The stored output of the
# [Keras example on distillation](https://keras.io/examples/vision/knowledge_distillation/) has the distilled student below the same
# student trained alone. Here every claim about accuracy comes with a **verdict**: the same model with the same budget, at least five
# random starts ("seeds"), a 95% interval. This is one, from chapter 01. A small student learns digits from their labels (*hard*), from
# labels mixed with a little of every class (*smoothed*), from a teacher's shares (*soft*), or from labels on images that are moved by
# up to two pixels (*jittered*). A *point* is one percent of the test digits.

# %%
from kdcourse import evidence

print(evidence.table(evidence.load("all_labels")))

# %% [markdown]
# WINS: the whole interval lies on the better side of zero. LOSES: on the worse side. INCONCLUSIVE: neither, or fewer than five seeds. A
# method that loses stays in the course.

# %% [markdown]
# ## The map
#
# | chapter | what it answers | read | run |
# |---|---|---|---|
# | **00 Start here** | Does it run on my machine? | 10 min | 1 min |
# | **[01 Soft labels](01_soft_labels.ipynb)** | How are soft labels made? What is the principle of distillation? | 45 min | 2 min |
# | **[02 Types of distillation loss](02_loss_types.ipynb)** | How is the loss defined, and which types are there? | 60 min | 2 min |
# | **[03 Pruning](03_pruning.ipynb)** | Which weights can go, and why is the file not smaller? | 60 min | 2 min |
# | 04 Quantization | How many bits does a weight need? | in preparation | |
# | 05 Architecture search | Can a machine find the small network? | in preparation | |
# | 06 Balance | How much accuracy for how many bytes, and what does compression itself cost? | in preparation | |
# | **[07 Case study: text](07_case_text_classification.ipynb)** | A text classifier for a phone, taught by a transformer | 60 min | 2 min |
# | 08 Case study: images | An image network for a phone, pruned and quantized | in preparation | |

# %% [markdown]
# ## How to use it
#
# **Alone.** Take the chapters in order. Where it says *Predict first*, write your guess down before you run the next cell; a wrong
# guess is what makes the answer stay. Do the exercises in the notebook; the folder `solutions` has them solved.
#
# **For an interview.** Read the question at the top of a chapter, answer it aloud, then go to the *interview corner* at its end: an answer
# of 30 seconds, one of 3 minutes, the follow-up, the common wrong answer, and the cell that proves it. Then read what you missed.
#
# **In a class.** Ask for a show of hands at each prediction, then move the slider. The sliders that say so work without a kernel. Each
# experiment can be run again on seeds that the class chooses: `make experiment NAME=few_labels SEEDS="21 22 23 24 25"`.

# %% [markdown]
# ## Check your machine
#
# The next cell lists versions, cores, memory and data. If something is missing, it says which command gets it.

# %%
from kdcourse import doctor

doctor.examine()

# %% [markdown]
# A chapter needs at most 1.5 GB of memory and 2 minutes on two cores. On Binder you have one CPU-hour and 2 GB: run one notebook at a
# time, and shut it down before the next.
#
# ## What's next
#
# Open [01 Soft labels](01_soft_labels.ipynb).

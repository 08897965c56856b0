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
#     title: "Quantization"
#     answers: "How many bits does a weight need?"
#     read: 60
#     run: 2
# ---

# %% [markdown]
# # 4 · Quantization
#
# Still to be written.
#
# <!-- links -->

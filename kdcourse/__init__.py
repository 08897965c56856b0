"""kdcourse: the helper package of the course on knowledge distillation and model compression.

Nothing heavy is imported here: TensorFlow is loaded by the function that needs it.
"""

__version__ = "0.1.0"

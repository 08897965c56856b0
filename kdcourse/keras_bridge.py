"""What joins the two Keras libraries that a process can hold: Keras 3 (`keras`, the house language) and Keras 2 (`tf_keras`)."""

import sys


def keras_of(model):
    """Return the Keras module that `model` belongs to: `keras` or `tf_keras`.

    Layers, optimizers and callbacks of the two do not mix; whoever adds something to a model takes it from here. Nothing is imported:
    a model's library is loaded already.

    Raises:
        ValueError: `model` is a model of neither.
    """
    for name in ("keras", "tf_keras"):
        library = sys.modules.get(name)
        if library is not None and isinstance(model, library.Model):
            return library
    kind = type(model)
    raise ValueError(f"model must be a keras or tf_keras model, got {kind.__module__}.{kind.__qualname__}")

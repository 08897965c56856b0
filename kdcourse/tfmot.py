"""The TensorFlow Model Optimization Toolkit (TFMOT) for Keras 3 models: the only importer of tensorflow_model_optimization.

TFMOT knows models of Keras 2 only. `train` takes a Keras 3 model there and back: it crosses the bridge, its layers are wrapped, it is
trained with TFMOT's callbacks, unwrapped, and crosses back. Which wrapper, which callbacks and how to unwrap is the method's business
(`kdcourse.pruning.train_with_tfmot` is one).
"""

import importlib
from collections.abc import Callable, Sequence

import numpy as np

from . import checks, training
from .anatomy import keras_of
from .keras_bridge import to_keras, to_tf_keras
from .runtime import quiet_start

PARTS = {  # where in the package each lies
    "sparsity": "sparsity.keras",
    "clustering": "clustering.keras",
    "quantization": "quantization.keras",
    "combine": "experimental.combine",
    "clustering_with_zeros": "python.core.clustering.keras.experimental.cluster",  # its public name, experimental, is empty
}


def toolkit(part: str):
    """Return a part of TFMOT, such as ``tensorflow_model_optimization.sparsity.keras``, loaded quietly; `part` is one of `PARTS`.

    Keras and TensorFlow are loaded first: importing TFMOT changes what ``tf.keras`` is for those that come later.

    Raises:
        ValueError: another part.
    """
    checks.choice("part", part, PARTS)
    quiet_start()
    return importlib.import_module(f"tensorflow_model_optimization.{PARTS[part]}")


def wrapped(model, wrap: Callable):
    """Return a tf_keras model with ``wrap(layer)`` in the place of each layer, also of those in models inside it.

    Args:
        model: a tf_keras model of its own, such as `keras_bridge.to_tf_keras` gives: wrappers share the layers that they wrap.
        wrap: a function from a layer to a layer; it may return the layer as it is.
    """
    library = keras_of(model)

    def each(layer):
        return wrapped(layer, wrap) if isinstance(layer, library.Model) else wrap(layer)

    return library.models.clone_model(model, clone_function=each)


def train(
    model,
    inputs: np.ndarray,
    targets,
    *,
    wrap: Callable,
    strip: Callable,
    method_callbacks: Sequence = (),
    seed: int,
    updates: int,
    **settings,
):
    """Return a copy of a Keras 3 model that was trained with TFMOT's wrappers around its layers, and is free of them again.

    Args:
        model: Keras 3, Sequential or functional, of layers that cross the bridge; returns logits; it stays as it is.
        inputs: shape ``(examples, ...)``.
        targets: as `kdcourse.training.train` takes them.
        wrap: a function from a tf_keras layer to a wrapped layer, or to the layer as it is.
        strip: a function from the trained model to a tf_keras model of plain layers, such as ``strip_pruning``.
        method_callbacks: those that the wrappers need, such as ``UpdatePruningStep``; they come after the `callbacks` of `settings`.
        seed: of the order of the examples, and of dropout.
        updates: gradient steps.
        settings: the other arguments of `kdcourse.training.train`; `callbacks` among them are of tf_keras.

    Raises:
        ValueError: as `kdcourse.training.train` and `keras_bridge.to_tf_keras`; steps_per_execution, which TFMOT needs to be 1.
    """
    if "steps_per_execution" in settings:
        raise ValueError(f"steps_per_execution must be left out, TFMOT needs 1, got {settings['steps_per_execution']!r}")
    settings |= {"callbacks": [*settings.pop("callbacks", ()), *method_callbacks], "steps_per_execution": 1}
    trained = training.train(lambda: wrapped(to_tf_keras(model), wrap), inputs, targets, seed=seed, updates=updates, **settings)
    return to_keras(strip(trained))

"""What a Keras model is made of: its library, its layers and calls, its kernels, and a copy that shares nothing with it.

A process can hold two libraries: Keras 3 (`keras`, the house language) and Keras 2 (`tf_keras`). Everything here serves models of both.
"""

import re
import sys
from collections import Counter
from collections.abc import Sequence

import numpy as np

# TensorFlow's rule for the names of scopes; Keras 3 accepts more, and training then fails inside TensorFlow and leaves the name on Keras's
# stack, so that no other model trains in this process any more
_NAME = re.compile(r"[A-Za-z0-9.][A-Za-z0-9_.\\/>-]*")


def keras_of(model, argument: str = "model"):
    """Return the Keras module that `model` belongs to: `keras` or `tf_keras`.

    Layers, optimizers and callbacks of the two do not mix; whoever adds something to a model takes it from here. Nothing is imported:
    a model's library is loaded already.

    Raises:
        ValueError: `model` is a model of neither; the message calls it `argument`.
    """
    for name in ("keras", "tf_keras"):
        library = sys.modules.get(name)
        if library is not None and isinstance(model, library.Model):
            return library
    kind = type(model)
    raise ValueError(f"{argument} must be a keras or tf_keras model, got {kind.__module__}.{kind.__qualname__}")


def checked_graph(model, argument: str = "model"):
    """Return the Keras module of a model that can be taken apart: Sequential or functional, built, and so are the models inside it.

    Raises:
        ValueError: it is no model, a class of one's own (its ``call`` is Python, no graph), or not built; the message calls it `argument`.
    """
    library = keras_of(model, argument)
    kind = type(model)
    if kind.__name__ not in ("Sequential", "Functional") or kind.__module__.partition(".")[0] != library.__name__:
        raise ValueError(f"{argument} must be a Sequential or functional model, got {model.name}, a model of the class {kind.__qualname__}")
    try:
        built = bool(model.built and model.inputs)
    except (AttributeError, ValueError):  # Keras 3 raises where Keras 2 says None
        built = False
    if not built:
        raise ValueError(f"{argument} must be built (let it begin with an Input, or call it on data once), got {model.name}, which is not")
    for layer in model.layers:
        if isinstance(layer, library.Model):
            checked_graph(layer, f"every model inside {argument}")
    return library


def check_names(model) -> None:
    """Refuse a model with a name that TensorFlow cannot train: its own, or that of a layer inside it, however deep.

    Raises:
        ValueError: a name with a space, a letter outside ASCII, or another sign that TensorFlow's scopes do not take.
    """
    library = keras_of(model)
    for part in (model, *_flat(model, library, models=True)):
        if not _NAME.fullmatch(part.name):
            wish = "made of ASCII letters, digits, and . _ - / > behind the first sign, because TensorFlow names its scopes after them"
            raise ValueError(f"names of models and layers must be {wish}, got {part.name!r}")


def _flat(model, library, models: bool = False):
    """Yield the layers of a model and of the models inside it; those models too, if asked for."""
    for layer in getattr(model, "layers", ()):
        inside = isinstance(layer, library.Model)
        if models or not inside:
            yield layer
        if inside:
            yield from _flat(layer, library, models)


def calls(model):
    """Yield (layer, node) of each call of a layer in a graph, from the input on; a layer that is used twice comes twice.

    A node knows ``input_tensors`` and ``outputs``. A layer may be a model, and in Keras 3 an operation, as in ``x + y``.
    """
    graph = getattr(model, "_functional", None) or model  # a Sequential of Keras 3 keeps its graph inside
    for depth in sorted(graph._nodes_by_depth, reverse=True):
        for node in graph._nodes_by_depth[depth]:
            if not node.is_input:
                yield (node.operation if hasattr(node, "operation") else node.layer), node


# Kernels: the weight matrices of the layers that pruning and quantization work on


def kernel_layers(model) -> dict:
    """Return {name: layer} of the Dense and Conv layers, not depthwise, in the model's order; those of models inside, too.

    A depthwise kernel has few weights, and each is a channel's only one: TFMOT leaves them alone, too.

    Raises:
        ValueError: a subclassed model, one without such a layer, or two layers of one name.
    """
    library = checked_graph(model)
    layers, found = library.layers, {}
    kinds = (layers.Dense, layers.Conv1D, layers.Conv2D, layers.Conv3D, layers.Conv1DTranspose, layers.Conv2DTranspose)
    for layer in _flat(model, library):
        if isinstance(layer, kinds) and not isinstance(layer, layers.DepthwiseConv1D | layers.DepthwiseConv2D):
            if found.setdefault(layer.name, layer) is not layer:
                raise ValueError(f"model must have one layer of each name, got two that are called {layer.name!r}")
    if not found:
        raise ValueError(f"model must have a Dense or Conv layer to prune, got none in {model.name!r}")
    return found


def kernels(model) -> dict[str, np.ndarray]:
    """Return {layer name: kernel} of the layers of `kernel_layers`: arrays of their own, biases left out."""
    return {name: np.array(layer.kernel) for name, layer in kernel_layers(model).items()}


# Outputs of layers


def taps(model, layers: Sequence[str], argument: str):
    """Return the model's input tensors, and its logits with the outputs of the layers named.

    Raises:
        ValueError: a model that is not functional or has several outputs, a layer that does not exist or is used several times; the
            message calls the layers `argument`.
    """
    keras_of(model)
    try:
        (*inputs,), (answer, *more) = model.inputs, model.outputs
    except (AttributeError, TypeError, ValueError) as error:
        raise ValueError(f"{argument} need a functional model, or a Sequential with an Input; {model.name} is neither") from error
    if more:
        raise ValueError(f"model must have one output, the logits, got {len(more) + 1}")
    known = {layer.name: layer for layer in model.layers}
    used = Counter(layer.name for layer, _ in calls(model))
    for name in layers:
        if name not in known or name == "logits":
            others = [other for other in known if other != "logits"]
            raise ValueError(f"{argument} must name layers of {model.name}, which are {others}, got {name!r}")
        if used[name] > 1:
            raise ValueError(f"{argument} must name layers that are used once, got {name!r}, which is used {used[name]} times")
    return inputs if len(inputs) > 1 else inputs[0], [answer, *(known[name].output for name in layers)]


# Copies


def copied(model):
    """Return a copy of a Sequential or functional model of either library: the same names, weights and trainable flags.

    It is rebuilt, not compiled, and shares nothing with `model`. It is asked about random inputs once, so that a copy that lost something
    is never returned: a layer's state may lie outside its config and weights (a table that was adapted, an attribute set later).

    Raises:
        ValueError: see `checked_graph`; or a layer that cannot be rebuilt from its config (a Lambda, a function of one's own), or whose
            state is not all in its config and weights.
    """
    library = checked_graph(model)

    def again(layer):
        try:
            return type(layer).from_config(layer.get_config())
        except Exception as error:  # whatever a layer's own code raises
            reason = str(error).strip().partition("\n")[0]
            kind = type(layer).__name__
            raise ValueError(f"layer {layer.name!r} ({kind}) must be rebuildable from its config, got: {reason}") from error

    new = rebuilt(model, library, again)
    _compare(model, new)
    return new


def _compare(model, new) -> None:
    """Refuse a copy that answers otherwise than its model."""
    import tensorflow as tf

    inputs = model.inputs[0] if type(model).__name__ == "Sequential" else model.input  # one, or several in the structure that it reads
    vocabulary = smallest_vocabulary(model)
    try:
        given = tf.nest.map_structure(lambda tensor: sample(tuple(tensor.shape), _dtype(tensor), vocabulary), inputs)
        expected = model(given, training=False)
    except Exception:  # open axes that the layers cannot take so short, an input that is no number: there is nothing to compare
        return
    try:
        pairs = list(zip(tf.nest.flatten(expected), tf.nest.flatten(new(given, training=False)), strict=True))
        same = all(np.allclose(old, copy, rtol=1e-3, atol=1e-5, equal_nan=True) for old, copy in pairs)
    except Exception:  # such as a lookup that was adapted: its table is neither config nor weight
        same = False
    if not same:
        raise ValueError(
            f"model must consist of layers whose state is all in their config and weights, got {model.name}, whose copy answers otherwise: "
            "a layer has been adapted, or was given an attribute after it was made"
        )


def sample(shape: tuple, dtype, vocabulary: int = 2, examples: int = 4) -> np.ndarray:
    """Return an input like pixels in [0, 1]; of integers, word numbers below `vocabulary`, about a fifth more of them 0: no word.

    An open axis (None) has `examples` entries if it is the first, else 8. Always the same numbers for the same arguments.
    """
    shape = tuple(size if size is not None else (8 if place else examples) for place, size in enumerate(shape))
    rng, dtype = np.random.default_rng(0), np.dtype(dtype)
    if dtype.kind == "f":
        return rng.random(shape).astype(dtype)
    return (rng.integers(0, vocabulary, shape) * (rng.random(shape) < 0.8)).astype(dtype)


def smallest_vocabulary(model) -> int:
    """Return how many words each Embedding of a model knows at least; 2 if it has none."""
    embeddings = [layer for layer in _flat(model, keras_of(model)) if type(layer).__name__ == "Embedding"]
    return min((layer.input_dim for layer in embeddings), default=2)


def _dtype(tensor) -> str:
    """Return the name of a symbolic tensor's type, in either library."""
    return tensor.dtype if isinstance(tensor.dtype, str) else tensor.dtype.name


def input_dtype(model) -> str | None:
    """Return the type that a model reads, such as "float32" or "int32"; None for a class of one's own that says nothing of it."""
    try:
        return _dtype(model.inputs[0])
    except (AttributeError, TypeError, ValueError, IndexError):
        return None


def rebuilt(model, target, again):
    """Return `model` rebuilt in the library `target` (`keras` or `tf_keras`): the same names, weights and trainable flags.

    Args:
        model: Sequential or functional, see `checked_graph`.
        target: the library of the new model; its own makes a copy, the other one a translation (`keras_bridge`).
        again: a function that makes the twin of a layer, without its weights; models inside are rebuilt here.

    Raises:
        ValueError: what `again` raises; an input that is sparse, ragged or optional; on the way to the other library a call with
            ``training=`` or a frozen model with trainable layers, which the two understand differently.
    """
    source, twins = keras_of(model), {}
    crossing = source is not target

    def twin(layer):
        if id(layer) not in twins:  # a layer that is used twice has one twin
            twins[id(layer)] = layer, (graph(layer) if isinstance(layer, source.Model) else again(layer))
        return twins[id(layer)][1]

    def graph(inner):
        if crossing and inner is not model and not inner.trainable and any(layer.trainable for layer in inner.layers):
            # Keras 3 trains such layers, Keras 2 does not
            raise ValueError(f"layer {inner.name!r}, a model inside, must not be frozen while layers in it are trainable")
        if isinstance(inner, source.Sequential):
            return target.Sequential([_input(inner.inputs[0], target), *map(twin, inner.layers)], name=inner.name)
        return _functional(inner, target, twin, crossing)

    rebuilt = graph(model)
    twins[id(model)] = model, rebuilt
    for old, new in reversed(twins.values()):  # a model before its layers: its flag is passed on to all of them
        if hasattr(old, "trainable"):  # an operation of Keras 3, as in `x + y`, is no layer
            new.trainable = old.trainable
    for old, new in twins.values():
        if hasattr(old, "get_weights") and not isinstance(old, source.Model):
            new.set_weights(old.get_weights())
            if hasattr(new, "finalize_state"):  # Normalization computes with constants that it makes of its weights
                new.finalize_state()
    return rebuilt


def _input(tensor, target):
    """Return the twin of an input tensor."""
    history = tensor._keras_history
    layer = getattr(history, "operation", None) or history.layer
    for setting in ("sparse", "ragged", "optional"):
        if getattr(layer, setting, False):
            raise ValueError(f"layer {layer.name!r} (InputLayer) must be dense and not optional, got {setting}=True")
    return target.Input(batch_shape=tuple(tensor.shape), dtype=_dtype(tensor), name=layer.name)


def _functional(model, target, twin, crossing: bool):
    """Return the twin of a functional model: its calls are repeated in their order, with the twins of the layers."""
    import tensorflow as tf

    if hasattr(model, "_outputs_struct"):  # Keras 3
        ends = model._inputs_struct, model._outputs_struct
    else:
        ends = model._nested_inputs, model._nested_outputs
    calls, needed = [], {id(tensor) for tensor in model.outputs}
    for depth in sorted(model._nodes_by_depth):  # from the outputs to the inputs
        for node in model._nodes_by_depth[depth]:
            if not node.is_input and any(id(tensor) in needed for tensor in tf.nest.flatten(node.outputs)):
                layer, args, kwargs = _call(node)
                needed.update(map(id, tf.nest.flatten((args, kwargs))))
                calls.append((layer, args, kwargs, node.outputs))

    tensors = {id(tensor): _input(tensor, target) for tensor in model.inputs}
    for layer, args, kwargs, outputs in reversed(calls):
        args, kwargs = tf.nest.map_structure(lambda value: tensors.get(id(value), value), (args, kwargs))
        if crossing and "training" in kwargs:
            kwargs = _without_training(layer, kwargs, target)
        answers = twin(layer)(*args, **kwargs)
        for old, new in zip(tf.nest.flatten(outputs), tf.nest.flatten(answers), strict=True):
            tensors[id(old)] = new
    return target.Model(*tf.nest.map_structure(lambda tensor: tensors[id(tensor)], ends), name=model.name)


def _without_training(layer, kwargs, target):
    """Return the arguments of a call without ``training=...``, if that changes nothing.

    In a functional model of Keras 3, what is said to the whole model (``fit`` says True, ``predict`` False) wins over what was written in a
    call; in Keras 2 the call wins. So only Keras 3's False can be left out: it holds where nothing is said, and there it is the default.
    """
    if kwargs["training"] or target.__name__ == "keras":
        got, kind = kwargs["training"], type(layer).__name__
        raise ValueError(f"layer {layer.name!r} ({kind}) must be called without training=, which means another thing in Keras 2, got {got}")
    return {name: value for name, value in kwargs.items() if name != "training"}


def _call(node):
    """Return (layer, args, kwargs) of a node, without what the library fills in by itself."""
    import tensorflow as tf

    if not hasattr(node, "operation"):  # Keras 2
        return node.layer, node.call_args, {name: value for name, value in node.call_kwargs.items() if value is not None}
    args, kwargs = node.arguments.args, {name: value for name, value in node.arguments.kwargs.items() if value is not None}
    if "mask" in kwargs:  # Keras 3 notes down the mask that it finds on the first argument
        found = [getattr(tensor, "_keras_mask", None) for tensor in tf.nest.flatten(args[:1])]
        if list(map(id, found)) == list(map(id, tf.nest.flatten(kwargs["mask"]))):
            del kwargs["mask"]
    return node.operation, args, kwargs

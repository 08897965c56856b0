"""What joins the two Keras libraries that a process can hold: Keras 3 (`keras`, the house language) and Keras 2 (`tf_keras`).

A model is never converted in place: it is rebuilt, layer by layer, and then gets the weights. So the model that was passed in stays as it
was, and nothing is shared with it.
"""

import sys


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


def copied(model):
    """Return a copy of a Sequential or functional model of either library: the same names, weights and trainable flags.

    It is rebuilt, not compiled, and shares nothing with `model`.

    Raises:
        ValueError: see `checked_graph`; or a layer that cannot be rebuilt from its config (a Lambda, a function of one's own).
    """
    library = checked_graph(model)

    def again(layer):
        try:
            return type(layer).from_config(layer.get_config())
        except Exception as error:  # whatever a layer's own code raises
            reason = str(error).strip().partition("\n")[0]
            kind = type(layer).__name__
            raise ValueError(f"layer {layer.name!r} ({kind}) must be rebuildable from its config, got: {reason}") from error

    return _rebuilt(model, library, again)


def _rebuilt(model, target, again):
    """Return `model` rebuilt in the library `target`; `again` makes the twin of a layer that is not a model."""
    source, twins = keras_of(model), {}

    def twin(layer):
        if id(layer) not in twins:  # a layer that is used twice has one twin
            twins[id(layer)] = layer, (graph(layer) if isinstance(layer, source.Model) else again(layer))
        return twins[id(layer)][1]

    def graph(inner):
        if isinstance(inner, source.Sequential):
            return target.Sequential([_input(inner.inputs[0], target), *map(twin, inner.layers)], name=inner.name)
        return _functional(inner, target, twin)

    rebuilt = graph(model)
    twins[id(model)] = model, rebuilt
    for old, new in reversed(twins.values()):  # a model before its layers: its flag is passed on to all of them
        if hasattr(old, "trainable"):  # an operation of Keras 3, as in `x + y`, is no layer
            new.trainable = old.trainable
    for old, new in twins.values():
        if hasattr(old, "get_weights") and not isinstance(old, source.Model):
            new.set_weights(old.get_weights())
    return rebuilt


def _input(tensor, target):
    """Return the twin of an input tensor."""
    history = tensor._keras_history
    layer = getattr(history, "operation", None) or history.layer
    for setting in ("sparse", "ragged", "optional"):
        if getattr(layer, setting, False):
            raise ValueError(f"layer {layer.name!r} (InputLayer) must be dense and not optional, got {setting}=True")
    dtype = tensor.dtype if isinstance(tensor.dtype, str) else tensor.dtype.name
    return target.Input(batch_shape=tuple(tensor.shape), dtype=dtype, name=layer.name)


def _functional(model, target, twin):
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
        answers = twin(layer)(*args, **kwargs)
        for old, new in zip(tf.nest.flatten(outputs), tf.nest.flatten(answers), strict=True):
            tensors[id(old)] = new
    return target.Model(*tf.nest.map_structure(lambda tensor: tensors[id(tensor)], ends), name=model.name)


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

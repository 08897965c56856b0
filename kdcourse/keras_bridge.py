"""What joins the two Keras libraries that a process can hold: Keras 3 (`keras`, the house language) and Keras 2 (`tf_keras`).

A model is never converted in place: it is rebuilt, layer by layer, and then gets the weights. So the model that was passed in stays as it
was, and nothing is shared with it.
"""

import functools
import sys

# The layers that both libraries compute alike, under one name
LAYERS = tuple(
    "Activation Add Average AveragePooling1D AveragePooling2D BatchNormalization Concatenate Conv1D Conv1DTranspose Conv2D "
    "Conv2DTranspose Cropping2D Dense DepthwiseConv1D DepthwiseConv2D Dot Dropout ELU Embedding Flatten GaussianDropout GaussianNoise "
    "GlobalAveragePooling1D GlobalAveragePooling2D GlobalMaxPooling1D GlobalMaxPooling2D GroupNormalization LayerNormalization "
    "LeakyReLU Masking Maximum MaxPooling1D MaxPooling2D Minimum Multiply Normalization PReLU Permute ReLU RepeatVector Rescaling "
    "Reshape SeparableConv1D SeparableConv2D Softmax SpatialDropout1D SpatialDropout2D Subtract UpSampling1D UpSampling2D "
    "ZeroPadding2D".split()
)
# The activations that both compute alike; hard_sigmoid and hard_silu of Keras 3 cross as functions of this module
ACTIVATIONS = tuple("elu exponential gelu leaky_relu linear mish relu relu6 selu sigmoid silu softmax softplus softsign tanh".split())
DTYPES = ("float32", "float64", "float16", "bfloat16", "mixed_float16", "mixed_bfloat16")
# What one library has and the other has not: it crosses when it is switched off
SWITCHED_OFF = {
    "activity_regularizer": None,  # Keras 2 divides it by the size of the batch, Keras 3 does not
    "input_length": None,
    "quantization_config": None,
    "renorm": False,
    "rms_scaling": False,
    "synchronized": False,
}


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


def to_tf_keras(model):
    """Return a Keras 3 model rebuilt in Keras 2 (tf_keras): the same names, weights and trainable flags; outputs equal to 1e-5.

    Layers out of `LAYERS` cross, with activations out of `ACTIVATIONS`, hard_sigmoid or hard_silu; so do models inside models, layers that
    are used twice, several inputs and outputs, and sums and products that are written with operators (``x + 3``, ``x * y``), which become
    layers. The new model is not compiled and shares nothing with `model`.

    Training goes on alike, not bit for bit: dropout draws other random numbers, and Keras 2 moves batch normalization's variance by the
    unbiased variance of the batch (n / (n - 1) times Keras 3's). With 16-bit layers the outputs differ by their rounding. A
    ``training=False`` in a call (``base(x, training=False)``) is left out: in Keras 3, ``fit`` overrides it, in Keras 2 it would hold.

    Raises:
        ValueError: see `checked_graph`; `model` is not of Keras 3; something in it that the other library lacks or computes differently:
            a layer (LSTM, Lambda, one's own), an activation, a setting of a layer, a frozen model inside with trainable layers.
    """
    if checked_graph(model).__name__ != "keras":
        raise ValueError(f"model must be a keras model, got {model.name}, which is a tf_keras model already")
    import tf_keras

    return _rebuilt(model, tf_keras, functools.partial(_translated, target=tf_keras))


def to_keras(model):
    """Return a Keras 2 (tf_keras) model rebuilt in Keras 3: the way back of `to_tf_keras`, with the same promises.

    What Keras 2 itself calls hard_sigmoid does not cross: it is another function (slope 1/5, in Keras 3 it is 1/6). Nor does a call with
    ``training=...``, which Keras 3 would not hold on to.

    Raises:
        ValueError: as `to_tf_keras`.
    """
    if checked_graph(model).__name__ != "tf_keras":
        raise ValueError(f"model must be a tf_keras model, got {model.name}, which is a keras model already")
    import keras

    return _rebuilt(model, keras, functools.partial(_translated, target=keras))


def _translated(layer, target):
    """Return the twin of a layer in the other library, without its weights."""
    source, kind = sys.modules[type(layer).__module__.partition(".")[0]], type(layer).__name__
    title = f"layer {layer.name!r} ({kind})"
    if kind in _ARITHMETIC and type(layer).__module__ == "keras.src.ops.numpy":
        return _arithmetic(layer, target, title)
    if kind not in LAYERS or type(layer) is not getattr(getattr(source, "layers", None), kind, None):
        raise ValueError(f"{title} must be one of {', '.join(LAYERS)} to cross from one Keras to the other")
    policy = layer.dtype_policy.name
    if policy not in DTYPES:
        raise ValueError(f"{title} must have a dtype out of {', '.join(DTYPES)}, got {policy}")

    config = layer.get_config() | {"dtype": policy}
    for known in ("batch_input_shape", "trainable"):  # the new Input says it; the flag is carried later
        config.pop(known, None)
    for setting, off in SWITCHED_OFF.items():
        value = config.pop(setting, getattr(layer, setting, off))
        if value != off:
            raise ValueError(f"{title} must have {setting}={off}, got {setting}={value!r}")
    for setting in _OF_ONE_LIBRARY.get(kind, ()):
        config.pop(setting, None)
    if kind == "LeakyReLU":  # Keras 2 calls it alpha
        slope = config.pop("alpha" if "alpha" in config else "negative_slope")
        config["negative_slope" if target.__name__ == "keras" else "alpha"] = slope
    if kind == "BatchNormalization" and not isinstance(config["axis"], int):
        (config["axis"],) = config["axis"]  # Keras 2 makes a list of it
    for setting in config:
        if setting == "activation":
            config[setting] = _activation(layer.activation, source, target, title)
        for group in ("initializer", "regularizer", "constraint"):
            if setting.endswith(f"_{group}"):
                config[setting] = _part(getattr(layer, setting), f"{group}s", source, target, f"{title} must have a {setting}")
    try:
        return getattr(target.layers, kind)(**config)
    except (TypeError, ValueError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise ValueError(f"{title} must have only settings that {target.__name__} knows, got: {reason}") from error


# Settings that only one library writes down, and that say nothing
_OF_ONE_LIBRARY = {
    "BatchNormalization": ("renorm_clipping", "renorm_momentum"),
    "SeparableConv1D": ("groups", "kernel_initializer", "kernel_regularizer", "kernel_constraint"),
    "SeparableConv2D": ("groups", "kernel_initializer", "kernel_regularizer", "kernel_constraint"),
    "DepthwiseConv1D": ("groups",),
    "DepthwiseConv2D": ("groups",),
    "Conv1DTranspose": ("groups",),
    "Conv2DTranspose": ("groups",),
    "SpatialDropout1D": ("noise_shape", "seed"),
    "SpatialDropout2D": ("noise_shape", "seed"),
}


def _activation(function, source, target, title: str):
    """Return what the other library's layers take as their activation: a name, or the function of Keras 3 that Keras 2 lacks."""
    import tf_keras  # one of the two is it

    ours = _hard_activations(tf_keras)
    names = {source.activations.get(name): name for name in ACTIVATIONS}
    if source is tf_keras:
        names |= {function: name for name, function in ours.items()} | {tf_keras.activations.swish: "silu"}
    else:
        names |= {source.activations.get(name): name for name in ours}
    if function not in names:  # by identity: a function of one's own may be called relu
        got = getattr(function, "__name__", type(function).__name__)
        allowed = ", ".join((*ACTIVATIONS, *ours))
        raise ValueError(f"{title} must have an activation as Keras 3 defines it, out of {allowed}, got {got} of {source.__name__}")
    name = names[function]
    return ours.get(name, name) if target is tf_keras else name


@functools.cache
def _hard_activations(tf_keras) -> dict:
    """Return Keras 3's hard_sigmoid and hard_silu as functions for Keras 2, whose files can name them."""
    import tensorflow as tf

    @tf_keras.utils.register_keras_serializable("kdcourse")
    def keras_3_hard_sigmoid(x):
        return tf.nn.relu6(x + 3) / 6

    @tf_keras.utils.register_keras_serializable("kdcourse")
    def keras_3_hard_silu(x):
        return x * keras_3_hard_sigmoid(x)

    return {"hard_sigmoid": keras_3_hard_sigmoid, "hard_silu": keras_3_hard_silu}


def _part(part, group: str, source, target, wish: str):
    """Return the twin of an initializer, a regularizer or a constraint."""
    if part is None:
        return None
    kind = type(part).__name__
    twin = getattr(getattr(target, group), kind, None)
    if type(part) is not getattr(getattr(source, group), kind, None) or twin is None:
        raise ValueError(f"{wish} that both libraries have, got {kind} of {type(part).__module__}")
    config = {name: value for name, value in part.get_config().items() if name not in ("input_axes", "output_axes") or value is not None}
    if not isinstance(config.get("seed"), int | None):
        raise ValueError(f"{wish} whose seed is an integer or None, got {config['seed']!r}")
    return twin(**config)


# What an operator of Keras 3 makes of a tensor x and a number n: scale and offset of x, for `x op n` and for `n op x`
_ARITHMETIC = {
    "Add": (lambda n: (1.0, n), lambda n: (1.0, n)),
    "Subtract": (lambda n: (1.0, -n), lambda n: (-1.0, n)),
    "Multiply": (lambda n: (n, 0.0), lambda n: (n, 0.0)),
    "TrueDivide": (lambda n: (1.0 / n, 0.0), None),
    "Divide": (lambda n: (1.0 / n, 0.0), None),
}


def _arithmetic(operation, target, title: str):
    """Return what makes layers of ``x + 3``, ``x * y`` and the like."""
    kind = type(operation).__name__

    def call(x1, x2):
        tensors = [x for x in (x1, x2) if hasattr(x, "shape") and len(x.shape)]
        numbers = [x for x in (x1, x2) if isinstance(x, int | float)]
        if len(tensors) == 1 and len(numbers) == 1 and "float" in str(tensors[0].dtype):
            how = _ARITHMETIC[kind][x1 is numbers[0]]
            if how is not None:
                scale, offset = how(float(numbers[0]))
                return target.layers.Rescaling(scale, offset, name=operation.name)(tensors[0])
        if len(tensors) == 2 and len(x1.shape) == len(x2.shape) and kind in ("Add", "Subtract", "Multiply"):
            return getattr(target.layers, kind)(name=operation.name)([x1, x2])
        raise ValueError(f"{title} must join a float tensor and a number, or add, subtract or multiply two tensors of the same rank")

    return call


def _rebuilt(model, target, again):
    """Return `model` rebuilt in the library `target`; `again` makes the twin of a layer that is not a model."""
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
    dtype = tensor.dtype if isinstance(tensor.dtype, str) else tensor.dtype.name
    return target.Input(batch_shape=tuple(tensor.shape), dtype=dtype, name=layer.name)


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

"""Translation between the two Keras libraries that a process can hold: Keras 3 (`keras`, the house language) and Keras 2 (`tf_keras`).

A model is never converted in place: it is rebuilt, layer by layer, and then gets the weights. So the model that was passed in stays as it
was, and nothing is shared with it. The only importer of tf_keras.
"""

import functools
import sys

from . import checks
from .anatomy import checked_graph, rebuilt

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

    return rebuilt(model, tf_keras, functools.partial(_translated, target=tf_keras))


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

    return rebuilt(model, keras, functools.partial(_translated, target=keras))


def _translated(layer, target):
    """Return the twin of a layer in the other library, without its weights."""
    source, kind = sys.modules[type(layer).__module__.partition(".")[0]], type(layer).__name__
    title = f"layer {layer.name!r} ({kind})"
    if kind in _ARITHMETIC and type(layer).__module__ == "keras.src.ops.numpy":
        return _arithmetic(layer, target, title)
    if kind not in LAYERS or type(layer) is not getattr(getattr(source, "layers", None), kind, None):
        raise ValueError(f"{title} must be one of {', '.join(LAYERS)} to cross from one Keras to the other")
    policy = layer.dtype_policy.name
    checks.require(policy in DTYPES, f"{title} must have a dtype out of {', '.join(DTYPES)}, got {policy}")

    config = layer.get_config() | {"dtype": policy}
    for known in ("batch_input_shape", "trainable"):  # the new Input says it; the flag is carried later
        config.pop(known, None)
    for setting, off in SWITCHED_OFF.items():
        value = config.pop(setting, getattr(layer, setting, off))
        checks.require(value == off, f"{title} must have {setting}={off}, got {setting}={value!r}")
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
    checks.require(isinstance(config.get("seed"), int | None), f"{wish} whose seed is an integer or None, got {config.get('seed')!r}")
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

"""Builders of teachers and students for 28x28 digits, of students for texts, and the trained teachers that ship with the course.

Every model returns logits (no softmax at the end): a temperature divides logits, and a softmax that is already there cannot be
undone safely. Inputs are float32 images in [0, 1], shape ``(28, 28, 1)``, or the numbers of a text's words, int32, as Keras's
TextVectorization gives them: 0 fills up, 1 is any word outside the vocabulary. A size that is not a positive integer is a ValueError.
"""

import json
from typing import NamedTuple

import numpy as np

from . import checks
from .files import data_path
from .runtime import quiet_start


class Logits(NamedTuple):
    """A model's logits for the three splits of a data set, float32, shape ``(examples, classes)`` each."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


def _start(**sizes) -> list[int]:
    """Return sizes as ints, or refuse what is no positive integer; and load Keras."""
    sizes = [checks.whole(name, value) for name, value in sizes.items()]
    quiet_start()
    return sizes


def teacher_cnn(classes: int = 10, name: str = "teacher"):
    """Return the teacher: three blocks of convolutions with batch normalization, 73,114 parameters.

    Two 3x3 convolutions a block (16, 32, 64 filters), max pooling between the blocks, global average pooling, dropout 0.3, one dense layer.
    The momentum of batch normalization is 0.9: the default 0.99 is too slow for a few thousand digits.

    Named layers, for losses on features: ``block1`` (28, 28, 16), ``block2`` (14, 14, 32), ``block3`` (7, 7, 64), ``embedding`` (64,).
    """
    (classes,) = _start(classes=classes)
    import keras
    from keras import layers

    stack = [keras.Input((28, 28, 1))]
    for block, filters in enumerate((16, 32, 64), 1):
        for place in (1, 2):
            stack += [layers.Conv2D(filters, 3, padding="same", use_bias=False), layers.BatchNormalization(momentum=0.9)]
            stack.append(layers.ReLU(name=f"block{block}" if place == 2 else f"block{block}_first"))
        stack.append(layers.MaxPooling2D() if block < 3 else layers.GlobalAveragePooling2D(name="embedding"))
    return keras.Sequential([*stack, layers.Dropout(0.3), layers.Dense(classes)], name=name)


def student_mlp(hidden: int = 32, classes: int = 10, name: str = "student"):
    """Return the smallest student that the course uses: one hidden layer, 25,450 parameters with 32 units.

    Parameters: ``785 * hidden + (hidden + 1) * classes``.
    """
    hidden, classes = _start(hidden=hidden, classes=classes)
    import keras
    from keras import layers

    stack = [keras.Input((28, 28, 1)), layers.Flatten(), layers.Dense(hidden, activation="relu"), layers.Dense(classes)]
    return keras.Sequential(stack, name=name)


def student_cnn(filters: int = 4, classes: int = 10, name: str = "student"):
    """Return a small convolutional student: two strided 3x3 convolutions and one dense layer, 4,266 parameters with 4 filters.

    Named layers, for losses on features: ``conv1`` (14, 14, filters), ``conv2`` (7, 7, 2 * filters), ``embedding`` (98 * filters,).
    """
    filters, classes = _start(filters=filters, classes=classes)
    import keras
    from keras import layers

    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(filters, 3, strides=2, padding="same", activation="relu", name="conv1"),
            layers.Conv2D(2 * filters, 3, strides=2, padding="same", activation="relu", name="conv2"),
            layers.Flatten(name="embedding"),
            layers.Dense(classes),
        ],
        name=name,
    )


def lenet_300_100(first: int = 300, second: int = 100, classes: int = 10, name: str = "lenet_300_100"):
    """Return LeNet-300-100: two hidden layers, 266,610 parameters; the network of many pruning papers (LeCun et al. 1998).

    Named layers: ``dense1``, ``dense2``, ``logits``.

    Args:
        first, second: units of the hidden layers; fewer give a small dense rival of the pruned network.
        classes: outputs.
        name: of the model.
    """
    first, second, classes = _start(first=first, second=second, classes=classes)
    import keras
    from keras import layers

    stack = [keras.Input((28, 28, 1)), layers.Flatten()]
    stack += [layers.Dense(units, activation="relu", name=f"dense{place}") for place, units in enumerate((first, second), 1)]
    return keras.Sequential([*stack, layers.Dense(classes, name="logits")], name=name)


def lenet5(conv1: int = 20, conv2: int = 50, dense1: int = 500, classes: int = 10, name: str = "lenet5"):
    """Return LeNet-5 as pruning papers use it (Han et al. 2015, after Caffe's example): 431,080 parameters.

    Two 5x5 convolutions without padding, each with max pooling, and one hidden layer. Named layers: ``conv1``, ``conv2``, ``dense1``,
    ``logits``.

    Args:
        conv1, conv2, dense1: filters and units of the hidden layers; fewer give the dense network that structured pruning ends with.
        classes: outputs.
        name: of the model.
    """
    conv1, conv2, dense1, classes = _start(conv1=conv1, conv2=conv2, dense1=dense1, classes=classes)
    import keras
    from keras import layers

    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(conv1, 5, activation="relu", name="conv1"),
            layers.MaxPooling2D(),
            layers.Conv2D(conv2, 5, activation="relu", name="conv2"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(dense1, activation="relu", name="dense1"),
            layers.Dense(classes, name="logits"),
        ],
        name=name,
    )


def hinton_teacher(units: int = 1200, classes: int = 10, dtype: str = "float32", name: str = "teacher"):
    """Return the teacher of Hinton et al. 2015, section 3: two hidden layers, 2,395,210 parameters with 1,200 units.

    Dropout of 0.2 on the pixels and 0.5 on the hidden units, and incoming weights of a unit held to a norm of at most 3 (the paper
    says "dropout and weight-constraints" without numbers; these are the usual ones of Srivastava et al. 2014).

    Args:
        units: in each of the two layers.
        dtype: "mixed_bfloat16" computes in 16 bits and keeps weights and logits in 32: faster on processors that have it.
    """
    units, classes = _start(units=units, classes=classes)
    import keras
    from keras import layers

    stack = [keras.Input((28, 28, 1)), layers.Flatten(), layers.Dropout(0.2, dtype=dtype)]
    for _ in range(2):
        norm = keras.constraints.MaxNorm(3)
        stack += [layers.Dense(units, activation="relu", kernel_constraint=norm, dtype=dtype), layers.Dropout(0.5, dtype=dtype)]
    return keras.Sequential([*stack, layers.Dense(classes)], name=name)


def hinton_student(classes: int = 10, dtype: str = "float32", name: str = "student"):
    """Return the student of Hinton et al. 2015, section 3: two hidden layers of 800 units without regularization, 1,276,810 parameters.

    `dtype` as in `hinton_teacher`.
    """
    (classes,) = _start(classes=classes)
    import keras
    from keras import layers

    stack = [keras.Input((28, 28, 1)), layers.Flatten()]
    stack += [layers.Dense(800, activation="relu", dtype=dtype) for _ in range(2)]
    return keras.Sequential([*stack, layers.Dense(classes)], name=name)


def phone_cnn(filters: int = 16, units: int = 96, classes: int = 10, name: str = "phone_cnn"):
    """Return a network for a phone: three 3x3 convolutions with batch normalization and one hidden layer, 79,994 parameters.

    ``filters``, twice and four times as many filters, max pooling behind each. The momentum of batch normalization is 0.9, as in
    `teacher_cnn`. Named layers with weights: ``conv1``, ``conv2``, ``conv3``, ``dense1``, ``logits``.

    Args:
        filters: of the first convolution; fewer give a small rival of the quantized network.
        units: of the hidden layer.
        classes: outputs.
        name: of the model.
    """
    filters, units, classes = _start(filters=filters, units=units, classes=classes)
    import keras
    from keras import layers

    stack = [keras.Input((28, 28, 1))]
    for block in (1, 2, 3):
        stack += [
            layers.Conv2D(filters * 2 ** (block - 1), 3, padding="same", use_bias=False, name=f"conv{block}"),
            layers.BatchNormalization(momentum=0.9, name=f"norm{block}"),
            layers.ReLU(name=f"relu{block}"),
            layers.MaxPooling2D(name=f"pool{block}"),
        ]
    stack += [layers.Flatten(), layers.Dense(units, activation="relu", name="dense1"), layers.Dense(classes, name="logits")]
    return keras.Sequential(stack, name=name)


def image_cnn(shape=(28, 28, 1), classes: int = 10, filters: int = 16, units: int = 96, name: str = "image_cnn"):
    """Return a network for small images of any shape, made for a phone: 80,250 parameters for 28x28x1 and ten classes.

    A 5x5 convolution with stride 2; two 3x3 convolutions with twice and four times as many filters; batch normalization (momentum 0.9)
    behind each, max pooling behind the last two; one hidden layer. Named layers with weights: ``conv1``, ``conv2``, ``conv3``, ``dense1``,
    ``logits``.

    Args:
        shape: of an image, ``(height, width, channels)``; height and width at least 8.
        classes: outputs.
        filters: of the first convolution.
        units: of the hidden layer.
        name: of the model.

    Raises:
        ValueError: a shape that is none or too small, a size that is not a positive integer.
    """
    shape = tuple(shape) if np.iterable(shape) else (shape,)
    checks.require(len(shape) == 3, f"shape must be (height, width, channels), got {shape}")
    height, width, channels, classes, filters, units = _start(
        height=shape[0], width=shape[1], channels=shape[2], classes=classes, filters=filters, units=units
    )
    checks.require(min(height, width) >= 8, f"shape must have a height and a width of 8 or more, got {shape}")
    import keras
    from keras import layers

    stack = [keras.Input((height, width, channels))]
    for block in (1, 2, 3):
        size, strides = (5, 2) if block == 1 else (3, 1)
        stack += [
            layers.Conv2D(filters * 2 ** (block - 1), size, strides, padding="same", use_bias=False, name=f"conv{block}"),
            layers.BatchNormalization(momentum=0.9, name=f"norm{block}"),
            layers.ReLU(name=f"relu{block}"),
        ]
        if block > 1:
            stack.append(layers.MaxPooling2D(name=f"pool{block}"))
    stack += [layers.Flatten(), layers.Dense(units, activation="relu", name="dense1"), layers.Dense(classes, name="logits")]
    return keras.Sequential(stack, name=name)


def separable_cnn(filters: int = 16, classes: int = 10, name: str = "separable_cnn"):
    """Return a network of depthwise separable convolutions, as MobileNet has them (Howard et al. 2017): 5,994 parameters.

    One 3x3 convolution with stride 2; three blocks of a depthwise 3x3 and a pointwise 1x1 convolution, each with batch normalization; the
    second block has an addition around it; global average pooling.

    Args:
        filters: of the first convolution; the blocks have two, two and four times as many.
        classes: outputs.
        name: of the model.
    """
    filters, classes = _start(filters=filters, classes=classes)
    import keras
    from keras import layers

    def normed(x, kind, name, **settings):
        x = kind(use_bias=False, padding="same", name=name, **settings)(x)
        return layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))

    given = keras.Input((28, 28, 1))
    x = normed(given, layers.Conv2D, "conv1", filters=filters, kernel_size=3, strides=2)
    for block, (width, strides) in enumerate(((2, 2), (2, 1), (4, 1)), 1):
        before = x
        x = normed(x, layers.DepthwiseConv2D, f"depthwise{block}", kernel_size=3, strides=strides)
        x = normed(x, layers.Conv2D, f"pointwise{block}", filters=width * filters, kernel_size=1)
        if before.shape == x.shape:
            x = layers.Add()([before, x])
    return keras.Model(given, layers.Dense(classes, name="logits")(layers.GlobalAveragePooling2D()(x)), name=name)


def text_average(classes: int, *, vocabulary: int = 10_000, words: int = 200, width: int = 32, dropout: float = 0.0, name: str = "student"):
    """Return the smallest reader of texts: the mean of its words' embeddings and one dense layer (Joulin et al. 2016, "fastText").

    Parameters: ``vocabulary * width + (width + 1) * classes``, 320,660 for 20 classes. A text without any word gets the biases alone.

    Args:
        classes: outputs.
        vocabulary: numbers of words that can come, 0 and 1 among them.
        words: of a text that are read.
        width: of an embedding.
        dropout: of whole words of a text while training, in [0, 1).
        name: of the model.

    Raises:
        ValueError: a size that is not a positive integer, or a `dropout` outside [0, 1).
    """
    ids, embedded, kept, classes = _text_input(classes, vocabulary, words, width, dropout)
    import keras
    from keras import ops

    mean = ops.sum(embedded, axis=1) / ops.maximum(ops.sum(kept, axis=1), 1.0)
    return keras.Model(ids, keras.layers.Dense(classes, name="logits")(mean), name=name)


def text_cnn(
    classes: int,
    *,
    vocabulary: int = 10_000,
    words: int = 200,
    width: int = 32,
    filters: int = 64,
    dropout: float = 0.0,
    name: str = "student",
):
    """Return a reader of three words at a time: one convolution over the embeddings, the maximum over the text (Kim 2014).

    327,508 parameters for 20 classes. Arguments as in `text_average`; `filters` of the convolution.

    Raises:
        ValueError: as `text_average`.
    """
    ids, embedded, _, classes, filters = _text_input(classes, vocabulary, words, width, dropout, filters=filters)
    import keras
    from keras import layers

    x = layers.Conv1D(filters, 3, padding="same", activation="relu", name="conv1")(embedded)
    return keras.Model(ids, layers.Dense(classes, name="logits")(layers.GlobalMaxPooling1D()(x)), name=name)


def text_gru(
    classes: int,
    *,
    vocabulary: int = 10_000,
    words: int = 100,
    width: int = 32,
    units: int = 48,
    dropout: float = 0.0,
    unroll: bool = False,
    name: str = "student",
):
    """Return a reader of one word after the other: a gated recurrent unit (Cho et al. 2014) over the embeddings.

    332,788 parameters for 20 classes. Arguments as in `text_average`; `units` of the recurrent layer.

    The converter to .tflite knows no loop of Keras 3: export a copy built with `unroll`, whose weights are the same arrays.

    Raises:
        ValueError: as `text_average`.
    """
    ids, embedded, kept, classes, units = _text_input(classes, vocabulary, words, width, dropout, units=units)
    import keras
    from keras import layers, ops

    read = ops.greater(kept[:, :, 0], 0)  # the state stays as it is where the text is over
    state = layers.GRU(units, unroll=unroll, name="gru")(embedded, mask=read)
    return keras.Model(ids, layers.Dense(classes, name="logits")(state), name=name)


def _text_input(classes, vocabulary, words, width, dropout, **sizes):
    """Return the input, the embeddings with zeros where there is no word, a mask of words, shape ``(texts, words, 1)``, and the sizes.

    The sizes are ints: `classes` and those of one builder.
    """
    dropout = checks.number("dropout", dropout, 0, 1, open_high=True)
    vocabulary, words, width, *sizes = _start(vocabulary=vocabulary, words=words, width=width, classes=classes, **sizes)
    import keras
    from keras import layers, ops

    ids = keras.Input((words,), dtype="int32", name="words")
    kept = ops.cast(ops.not_equal(ids, 0), "float32")[:, :, None]
    embedded = layers.Embedding(vocabulary, width, name="embeddings")(ids) * kept
    if dropout:
        embedded = layers.Dropout(dropout, noise_shape=(None, words, 1))(embedded)
    return ids, embedded, kept, *sizes


TRAINED = {
    "mnist-5k-teacher": teacher_cnn,
    "mnist-5k-student": student_mlp,
    "mnist-5k-lenet5": lenet5,
    "mnist-5k-phone": phone_cnn,
}  # their weights ship
WITH_LOGITS = (*TRAINED, "mnist-teacher")  # their logits ship; the weights of the last are too large


def _shipped(name: str, ending: str):
    return data_path("teachers", f"{checks.choice('name', name, WITH_LOGITS)}{ending}")


def load_trained(name: str):
    """Return a model that ships with the course, with its trained weights (see `provenance`).

    ``mnist-5k-teacher`` is `teacher_cnn`, ``mnist-5k-student`` is `student_mlp`, ``mnist-5k-lenet5`` is `lenet5`, ``mnist-5k-phone`` is
    `phone_cnn`, all trained on hard labels; they saw the training split of mnist-5k only.

    Raises:
        ValueError: an unknown name.
    """
    model = TRAINED[checks.choice("name", name, TRAINED)](name=name)
    model.load_weights(data_path("teachers", f"{name}.weights.h5"))
    return model


def provenance(name: str) -> dict:
    """Return how a model that ships with the course was made: parameters, accuracy on each split, config, versions, command.

    Raises:
        ValueError: an unknown name.
    """
    return json.loads(_shipped(name, ".json").read_text(encoding="utf-8"))


def load_logits(name: str) -> Logits:
    """Return the cached logits of a model that ships with the course (stored as float16), without loading TensorFlow.

    ``mnist-teacher`` is `hinton_teacher` trained on the full MNIST: its rows are those of ``datasets.load("mnist", validation=5000)``.

    Raises:
        ValueError: an unknown name.
    """
    with np.load(_shipped(name, ".npz"), allow_pickle=False) as file:
        return Logits(*(file[split].astype(np.float32) for split in Logits._fields))

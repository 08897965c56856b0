"""Quantization-aware training and weight clustering by the TensorFlow Model Optimization Toolkit (TFMOT), for Keras 3 models.

TFMOT knows models of Keras 2 only; `kdcourse.tfmot` takes a model across. A clustered model comes back, because its layers are plain ones
again. A model that was trained for int8 stays with tf_keras: its layers are TFMOT's wrappers, which hold the ranges that it has learned,
and only the converter needs them.
"""

import re
from collections.abc import Iterable

import numpy as np

from kdcourse import checks, tfmot, training
from kdcourse.anatomy import checked_graph, input_dtype, kernel_layers, kernels
from kdcourse.keras_bridge import to_tf_keras

from .codebooks import MOST_ENTRIES

PRESERVE = ("pruning", "clusters", "pruning and clusters")
STARTS = {"linear": "LINEAR", "density": "DENSITY_BASED", "k-means++": "KMEANS_PLUS_PLUS", "random": "RANDOM"}
CLUSTERED = ("Conv1D", "Conv2D", "Dense")
INSTEAD = {  # of a layer that TFMOT does not know
    "BatchNormalization": "put it right behind a Conv2D or Dense layer without an activation, or fold it (fold_batch_norms)",
    "ELU": "use ReLU or LeakyReLU",
    "MaxPooling1D": "use MaxPooling2D",
    "PReLU": "use ReLU or LeakyReLU",
}


def train_for_int8(
    model,
    inputs: np.ndarray,
    targets,
    *,
    preserve: str | None = None,
    leave: Iterable[str] = (),
    seed: int,
    updates: int,
    **settings,
):
    """Return a tf_keras model that was trained on while it rounded weights and activations to 8 bits (quantization-aware training, QAT).

    ``litert.to_tflite(trained, "int8", examples)`` makes the file and uses the learned ranges; `examples` then set those of the layers in
    `leave` only. ``training.logits`` reads the model. It is saved as ``.h5`` or by its weights: from ``.keras`` it does not load.

    TFMOT rounds the weights of a convolution with one scale a channel, others with one scale a layer; the converter folds a
    BatchNormalization behind them. The ranges of activations are moving averages over batches, with momentum 0.999: give them some hundred
    updates. A BatchNormalization goes on learning its statistics: with few updates let its momentum be 0.9, not Keras's 0.99.

    Source: Jacob et al. 2018, "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference".

    Args:
        model: Keras 3, Sequential or functional, of layers that cross the bridge, one float input, no model inside; returns logits; it
            stays as it is.
        inputs: shape ``(examples, ...)``.
        targets: as `kdcourse.training.train` takes them: probabilities, or what `loss` needs (with `losses.pack` and
            `losses.distillation_loss` a teacher guides the training).
        preserve: "pruning" (PQAT) keeps zeros 0; "clusters" (CQAT) keeps as many different weights a layer as there are, at most 256, and
            trains their values; "pruning and clusters" (PCQAT) does both; None trains every weight.
        leave: names of layers that are trained without rounding.
        seed: of the order of the examples, and of dropout.
        updates: gradient steps.
        settings: the other arguments of `kdcourse.training.train`, such as learning_rate, batch_size, temperature, loss, verbose.
            `callbacks` are of tf_keras.

    Raises:
        ValueError: as `kdcourse.training.train` and `to_tf_keras`; a layer that TFMOT cannot quantize, which the sentence names; a model
            inside the model, word numbers as input; an unknown name; nothing to preserve.
    """
    library = checked_graph(model)
    for layer in model.layers:
        checks.require(not isinstance(layer, library.Model), f"model must have no model inside, which TFMOT refuses, got {layer.name!r}")
    if len(model.inputs) != 1 or input_dtype(model).startswith(("int", "uint")):
        got = f"an input of {input_dtype(model)}" if len(model.inputs) == 1 else f"{len(model.inputs)} inputs"
        raise ValueError(f"model must have one input of floats, which can be rounded, got {got} in {model.name}")
    leave = checks.names("leave", leave, [layer.name for layer in model.layers], least=0)
    scheme = _scheme(model, preserve)
    crossed = to_tf_keras(model)
    _check_layers(crossed, leave, scheme)
    trained = training.train(lambda: _ready(crossed, leave, scheme), inputs, targets, seed=seed, updates=updates, **settings)
    return trained if preserve in (None, "pruning") else tfmot.toolkit("combine").strip_clustering_cqat(trained)


def _scheme(model, preserve: str | None):
    """Return TFMOT's scheme for what is to be preserved, after a look whether it is there."""
    if preserve is None:
        return tfmot.toolkit("quantization").default_8bit.Default8BitQuantizeScheme()
    found = kernels(model)
    if "pruning" in checks.choice("preserve", preserve, PRESERVE) and all(weights.all() for weights in found.values()):
        raise ValueError(f"model must have weights that are 0 to preserve its {preserve}, got none in {model.name}")
    most = {name: len(np.unique(weights)) for name, weights in found.items()}
    if "clusters" in preserve and (large := next((name for name in most if most[name] > MOST_ENTRIES), None)):
        wish = f"at most {MOST_ENTRIES} different weights in each layer to preserve its {preserve}"
        raise ValueError(f"model must have {wish}, got {most[large]:,} in {large!r}")
    combine = tfmot.toolkit("combine")
    if preserve == "pruning":
        return combine.Default8BitPrunePreserveQuantizeScheme()
    return combine.Default8BitClusterPreserveQuantizeScheme(preserve_sparsity="pruning" in preserve)


def _ready(crossed, leave, scheme):
    """Return a tf_keras model with TFMOT's wrappers around its layers; the weights are copies."""
    quantization = tfmot.toolkit("quantization")
    marked = tfmot.wrapped(crossed, lambda layer: layer if layer.name in leave else quantization.quantize_annotate_layer(layer))
    return quantization.quantize_apply(marked, scheme)


def _check_layers(crossed, leave, scheme) -> None:
    """Refuse a model with a layer that TFMOT cannot quantize. Which ones it can depends on their neighbours: TFMOT itself is asked."""
    registry = scheme.get_quantize_registry()
    for layer in crossed.layers:
        if layer.name not in leave and type(layer).__name__ == "Activation":
            try:
                registry.get_quantize_config(layer).get_output_quantizers(layer)
            except (RuntimeError, ValueError):
                _refuse_layer(layer.name, f"Activation {layer.activation.__name__}", "use relu")
    try:
        _ready(crossed, leave, scheme)
    except RuntimeError as error:
        unknown = re.match(r"Layer (.*):<class '.*\.(\w+)'> is not supported", str(error))
        if not unknown:
            raise
        _refuse_layer(unknown[1], unknown[2], INSTEAD.get(unknown[2], "put another one in its place"))


def _refuse_layer(name: str, kind: str, instead: str):
    raise ValueError(f"layer {name!r} must be one that TFMOT can quantize, got {kind}: {instead}, or name it in leave")


def train_clustered(
    model,
    inputs: np.ndarray,
    targets,
    *,
    clusters: int = 16,
    start: str = "linear",
    preserve_zeros: bool = False,
    layers: Iterable[str] | None = None,
    seed: int,
    updates: int,
    **settings,
):
    """Return a copy of a Keras 3 model with at most so many different weights in each layer, trained on by TFMOT in this form.

    TFMOT holds a codebook for each layer, trains it with the sums of its weights' gradients, and gives every weight its nearest entry
    anew (``cluster_weights``); at the end the wrappers go (``strip_clustering``). The copy is saved small by a format that uses equal
    weights: gzip, or `formats` "codebook". `codebooks.with_codebooks` does the first step without training.

    Source: Han, Mao & Dally 2016, "Deep Compression", section 3.

    Args:
        model: Keras 3, Sequential or functional, of layers that cross the bridge; returns logits; it stays as it is. Let it be trained.
        inputs: shape ``(examples, ...)``.
        targets: as `kdcourse.training.train` takes them.
        clusters: 2..256.
        start: where the entries begin: "linear", at equal distances from the smallest weight to the largest; "density", where the weights
            are many; "k-means++"; "random".
        preserve_zeros: whether weights that are 0 stay 0; one entry of the codebook is then 0.
        layers: names of the layers to cluster; None takes all of `CLUSTERED` that have more weights than clusters.
        seed: of the order of the examples, of dropout, and of a random start.
        updates: gradient steps.
        settings: the other arguments of `kdcourse.training.train`; `callbacks` are of tf_keras.

    Raises:
        ValueError: as `kdcourse.training.train` and `to_tf_keras`; clusters outside 2..256, an unknown start, a layer that does not exist
            or cannot be clustered, no layer to cluster, no zeros to preserve.
    """
    clusters = checks.whole("clusters", clusters, 2, MOST_ENTRIES)
    checks.choice("start", start, STARTS)
    possible = {
        name: np.asarray(layer.kernel)
        for name, layer in kernel_layers(model).items()
        if type(layer).__name__ in CLUSTERED and np.size(layer.kernel) > clusters
    }
    checks.require(bool(possible), f"model must have a Conv or Dense layer with more than {clusters} weights, got none in {model.name!r}")
    names = list(possible) if layers is None else checks.names("layers", layers, possible)
    if preserve_zeros and all(possible[name].all() for name in names):
        raise ValueError(f"model must have weights that are 0 to preserve, got none in {', '.join(names)}")
    clustering, cluster_weights = tfmot.toolkit("clustering"), tfmot.toolkit("clustering_with_zeros").cluster_weights
    how = {
        "number_of_clusters": clusters,
        "cluster_centroids_init": getattr(clustering.CentroidInitialization, STARTS[start]),
        "preserve_sparsity": bool(preserve_zeros),
    }
    return tfmot.train(
        model,
        inputs,
        targets,
        wrap=lambda layer: cluster_weights(layer, **how) if layer.name in names else layer,
        strip=clustering.strip_clustering,
        seed=seed,
        updates=updates,
        **settings,
    )

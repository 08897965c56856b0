"""Quantization: weights and activations of a network as integers of 2 to 16 bits.

- `affine`: real numbers on a grid of integers, and how the grid is found (calibration).
- `fake`: a network that computes in floats as if it were quantized, for quantization-aware training; `folding` prepares it.
- `layerwise`: weights rounded without training, errors made up for.
- `integers`: a full-int8 .tflite file with integers only, layer by layer.
- `matrices`: a transformer's weight matrices in few bits: groups, AWQ, GPTQ, smoothed inputs.
- `gguf`: what is inside a file of llama.cpp.
- `codebooks`: a few different weights in a layer, wherever on the line they lie.
- `by_tfmot`: training for 8 bits, and training with codebooks, by TFMOT.
- `recorded`: what a network with rounded weights gets right, recorded for every number of bits.

No function changes the model that it is given.
"""

from .affine import Grid, dequantize, find_grid, quantize, rounded, sqnr, stored_bits
from .by_tfmot import train_clustered, train_for_int8
from .codebooks import codebook_bits, find_codebook, indices, look_up, with_codebooks
from .fake import activation_grids, fake_quantized, weight_grid, with_fake_quantization
from .folding import fold_batch_norms
from .layerwise import round_layer_by_layer
from .matrices import awq, gptq, keep_salient, round_in_groups, smooth
from .recorded import load_accuracies

__all__ = [
    "Grid",
    "activation_grids",
    "awq",
    "codebook_bits",
    "dequantize",
    "fake_quantized",
    "find_codebook",
    "find_grid",
    "fold_batch_norms",
    "gptq",
    "keep_salient",
    "indices",
    "load_accuracies",
    "look_up",
    "quantize",
    "round_in_groups",
    "round_layer_by_layer",
    "rounded",
    "smooth",
    "sqnr",
    "stored_bits",
    "train_clustered",
    "train_for_int8",
    "weight_grid",
    "with_codebooks",
    "with_fake_quantization",
]

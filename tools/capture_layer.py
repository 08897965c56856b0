"""Write the layer that chapter 04b works on, with inputs of it, and its provenance: ``python tools/capture_layer.py``.

The layer is ``wide4`` of `kdcourse.minilm`, the inputs are those of 900 wordpieces of 32 training texts of 20 Newsgroups, drawn at random.
"""

import json

import numpy as np

from kdcourse import archives, datasets, minilm, runtime
from kdcourse.files import data_path, written_whole
from kdcourse.quantization import matrices

LAYER, TEXTS, ROWS, SEED = "wide4", 32, 900, 0


def captured() -> dict[str, np.ndarray]:
    """Return the arrays of the file: weights (384, 1536) and inputs (900, 384) float16, and for each matrix how uneven its inputs are."""
    rng, seen, kept = np.random.default_rng(SEED), {}, {}
    texts = rng.choice(datasets.load("20newsgroups").x_train, TEXTS, replace=False)

    def see(name, inputs):
        means = matrices.statistics(inputs).mean
        seen[name] = means.max() / np.median(means)
        if name == LAYER:
            kept[name] = inputs[rng.choice(len(inputs), ROWS, replace=False)]

    minilm.forward(minilm.wordpieces(texts), see=see, at_a_time=TEXTS)
    return {
        "weights": minilm.matrices()[LAYER].astype(np.float16),
        "inputs": kept[LAYER].astype(np.float16),
        "names": np.array(list(seen)),
        "largest_to_median": np.array(list(seen.values()), np.float32),
    }


def main() -> None:
    """Write both files, each whole or not at all."""
    path, archive = data_path("teachers") / f"minilm-{LAYER}.npz", archives.registry()[minilm.ARCHIVE]
    arrays = captured()
    with written_whole(path) as temporary:
        np.savez_compressed(temporary, **arrays)
    provenance = {
        "layer": f"{LAYER} of all-MiniLM-L6-v2 (kdcourse.minilm.matrices): weights, and inputs of it as float16",
        "archive": {key: archive[key] for key in ("requirement", "sha256")},
        "data": f"{ROWS} wordpieces of {TEXTS} training texts of 20newsgroups, drawn with seed {SEED}",
        "largest_to_median": "of the mean magnitudes of the input channels, for the matrices in names, on all wordpieces of the texts",
        "bytes": path.stat().st_size,
        "command": "python tools/capture_layer.py",
        **runtime.provenance(("kdcourse", "numpy", "tokenizers", "safetensors")),
        "licence": "the inputs: CC BY 4.0 (made by this project); the weights: Apache-2.0 (sentence-transformers)",
    }
    with written_whole(path.with_suffix(".json")) as temporary:
        temporary.write_text(json.dumps(provenance, indent=1) + "\n", encoding="utf-8")
    print(f"{path.name}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()

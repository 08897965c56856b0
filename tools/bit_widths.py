"""Record how many images a shipped network gets right with rounded weights, for the bit-width explorer: `make bit-widths`.

All layers are rounded together, and each alone, to 2 to 16 bits, on symmetric and affine grids, one a tensor or one a channel, over 100 to
40 per cent of the range. Batch normalizations are folded first. The activations and biases stay floats. It takes four minutes on one core.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np

from kdcourse import datasets, models, runtime
from kdcourse.checks import choice
from kdcourse.files import written_whole
from kdcourse.quantization import fold_batch_norms, recorded
from kdcourse.quantization.fake import WITH_WEIGHTS

FOLDER = Path(__file__).resolve().parents[1] / "data" / recorded.FOLDER
CLIPS = (100, 90, 80, 70, 60, 50, 40)
DATA = "mnist-5k"
NAMES = ("mnist-5k-phone", "mnist-5k-lenet5", "mnist-5k-teacher", "mnist-5k-student")


class Network:
    """A chain of layers, of which only those from the first rounded one on are run again."""

    def __init__(self, model, images: np.ndarray, labels: np.ndarray, ends: list[int]):
        """Run it once, and keep what each layer with weights reads; `ends` are where the splits of the images end."""
        import tensorflow as tf

        chain = [layer for layer in model.layers if type(layer).__name__ != "InputLayer"]
        self.layers = {layer.name: layer for layer in chain if type(layer).__name__ in WITH_WEIGHTS}
        self.weights = {name: layer.get_weights()[0] for name, layer in self.layers.items()}
        self.ends, self._labels, self._read = ends, labels, {}
        x = tf.constant(images)
        for i, layer in enumerate(chain):
            if layer.name in self.layers:
                self._read[layer.name] = (x, tf.function(lambda x, rest=chain[i:]: tf.argmax(self._through(x, rest), 1)))
            x = layer(x)

    @staticmethod
    def _through(x, layers):
        for layer in layers:
            x = layer(x)
        return x

    def right_with(self, rounded: dict[str, np.ndarray]) -> list[int]:
        """Return how many images of each split it gets right with these weights; the others stay as they are."""
        first = next(name for name in self.layers if not rounded or name in rounded)
        for name, weights in rounded.items():
            self.layers[name].kernel.assign(weights)
        x, rest = self._read[first]
        right = rest(x).numpy() == self._labels
        for name in rounded:
            self.layers[name].kernel.assign(self.weights[name])
        return [int(right[start:end].sum()) for start, end in zip([0, *self.ends], self.ends, strict=False)]


def network(name: str) -> Network:
    """Return a shipped network that reads the images of `recorded.SPLITS`."""
    data = datasets.load(DATA)
    images, labels = ([getattr(data, f"{part}_{split}") for split in recorded.SPLITS] for part in "xy")
    ends = np.cumsum([len(one) for one in labels]).tolist()
    return Network(fold_batch_norms(models.load_trained(name)), np.concatenate(images), np.concatenate(labels), ends)


def main(name: str = NAMES[0]) -> None:
    """Record one network."""
    try:
        choice("name", name, NAMES)
    except ValueError as error:
        sys.exit(str(error))
    runtime.quiet_start()
    began, net = time.time(), network(name)
    scopes = {recorded.ALL_LAYERS: list(net.layers)} | {layer: [layer] for layer in net.layers}
    counts = recorded.count_right(net.weights, net.right_with, scopes, CLIPS)
    unrounded, sizes = net.right_with({}), np.diff([0, *net.ends]).tolist()
    record = {
        "network": name,
        "what": "right answers, by bits (2 to 16), grid (affine, symmetric), grids (one a tensor, one a channel) and clip",
        "data": f"{DATA}, validation and test split",
        "command": f"python tools/bit_widths.py {name}",
        **runtime.provenance(("kdcourse", "tensorflow", "keras", "numpy")),
        "seconds": round(time.time() - began, 1),
        "licence": "CC BY 4.0 (made by this project)",
    }
    splits = {
        split: {"images": sizes[i], "unrounded": unrounded[i], "right": {scope: found[..., i].tolist() for scope, found in counts.items()}}
        for i, split in enumerate(recorded.SPLITS)
    }
    layers = {layer: list(weights.shape) for layer, weights in net.weights.items()}
    compact = json.dumps({"clips": CLIPS, "layers": layers, "splits": splits}, separators=(",", ":")).replace(
        '],"', '],\n"'
    )  # a line a scope
    text = f"{json.dumps(record, indent=1)[:-2]},\n{compact[1:]}\n"
    with written_whole(FOLDER / f"{name}.json") as temporary:
        temporary.write_text(text, encoding="utf-8")
    print(f"{name}: {unrounded} of {sizes} right without rounding, {record['seconds']} s, {len(text):,} bytes")


if __name__ == "__main__":
    main(*sys.argv[1:])

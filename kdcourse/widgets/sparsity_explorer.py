"""The sparsity explorer: one slider that cuts a trained network's smallest weights, and what that does to its answers and its bytes.

It needs a running kernel: each move cuts the weights, lets the network answer and counts bytes; the page (sparsity_explorer.js) draws.
The page sends a move when the kernel is done with the last one, so a burst of moves ends in one redraw with the last of them.
"""

from typing import NamedTuple

import numpy as np
import traitlets
from PIL import Image

from kdcourse import anatomy, checks, formats, measure

from ._page import Checked, Explorer, page, png_url

MOST = 99  # per cent: at 100 nothing is left to answer with
MOST_IMAGES = 1000  # all of them are answered at each move
BATCH = 500  # images answered at once: fewer take longer, more need more memory for the same time
SCOPES = ("layer", "global")
FORMATS = ("raw float32", "bitmask", "CSR", "relative index")  # those that are quick to count
BINS = 81  # of the histogram
MASK = (400, 130)  # pixels: more are not sent


class Result(NamedTuple):
    """What is left of the network: its accuracy, the share of weights kept by layer, the bytes of all its weights by format."""

    accuracy: float
    kept: dict[str, float]
    sizes: dict[str, int]


class SparsityExplorer(Explorer):
    """Cut the smallest weights of a trained network, by layer or globally, and see its weights, its accuracy and its bytes.

    Nothing is trained again, and `model` stays as it is. Without a kernel, what was seen last stays.

    Args:
        model: Sequential or functional, returns logits of shape ``(n, classes)``.
        images: shape ``(n, ...)`` as the model takes them, n from 1 to 1,000.
        labels: n integers in 0..classes-1.
        sparsity: where the slider starts: per cent of the weights that are cut, an integer in 0..99.
        scope: "layer" cuts this share of each layer, "global" the smallest weights of all layers together.
        layer: the name of the layer whose weights are shown; None takes the one with the most weights.

    The traits `sparsity`, `scope` and `layer` can be set and observed; `accuracy` (in 0..1), `kept` ({layer: share in 0..1}) and `sizes`
    ({format of `FORMATS`: bytes of all the model's weights}) can be read at any time and belong to them.

    Raises:
        ValueError: a subclassed model, one with nothing to prune, images or labels that do not fit, more than 1,000 images, a sparsity
            outside 0..99, an unknown scope or layer.
    """

    _esm, _css = page("_sparsity", "sparsity_explorer")

    layers = traitlets.List(traitlets.Unicode()).tag(sync=True)
    formats = traitlets.List(traitlets.Unicode(), FORMATS).tag(sync=True)
    sparsity = Checked(0, checks.whole, 0, MOST, "per cent")
    scope = Checked("layer", checks.choice, SCOPES)
    layer = Checked("", checks.choice, lambda explorer: explorer.layers)
    shown = traitlets.Dict().tag(sync=True)  # the state that the page draws

    def __init__(self, model, images, labels, *, sparsity=0, scope="layer", layer=None, **traits):
        """Check everything first, and answer once: the first call of a network is a slow one."""
        sizes = {name: kernel.size for name, kernel in anatomy.kernels(model).items()}
        self._network = _Network(model, *_checked_images(model, images, labels))
        layer = max(sizes, key=sizes.get) if layer is None else layer
        super().__init__(layers=list(sizes), sparsity=sparsity, scope=scope, layer=layer, **traits)
        self._show()
        self.observe(self._show, ["sparsity", "scope", "layer"])

    @property
    def accuracy(self) -> float:
        """Share of the images that the pruned network gets right."""
        return self._network.result(self.sparsity, self.scope).accuracy

    @property
    def kept(self) -> dict[str, float]:
        """Share of weights that are kept, by layer."""
        return dict(self._network.result(self.sparsity, self.scope).kept)

    @property
    def sizes(self) -> dict[str, int]:
        """Bytes of all the pruned network's weights, by format."""
        return dict(self._network.result(self.sparsity, self.scope).sizes)

    def __repr__(self):
        """Say what stands here, for places that show no widgets, such as a notebook's preview."""
        return "A sparsity slider over a trained network: run this cell in JupyterLab, Colab or Binder, and move it."

    def _show(self, change=None):
        result = self._network.result(self.sparsity, self.scope)
        self.shown = {
            **{"sparsity": self.sparsity, "scope": self.scope, "layer": self.layer},
            **{"accuracy": result.accuracy, "kept": list(result.kept.values()), "sizes": list(result.sizes.values())},
            **self._network.drawn(self.layer, self.sparsity, self.scope),
        }


class _Network:
    """A private copy of a network whose weights are sorted once, so that each sparsity is a lookup; results are kept."""

    def __init__(self, model, images, labels):
        import tensorflow as tf

        copy = anatomy.copied(model)
        self._kernels = {name: layer.kernel for name, layer in anatomy.kernel_layers(copy).items()}
        self._weights = {name: np.array(kernel) for name, kernel in self._kernels.items()}
        self._layers = {name: _Layer(weights) for name, weights in self._weights.items()}
        self._cuts = self._counted_cuts()
        self._labels, self._results = labels, {}
        mine = {id(kernel) for kernel in self._kernels.values()}
        others = [np.array(variable, np.float32) for variable in copy.weights if id(variable) not in mine]
        self._sizes_of_others = {form: sum(formats.encoded_size(array, form) for array in others) for form in FORMATS}
        batches = [tf.constant(images[i : i + BATCH]) for i in range(0, len(images), BATCH)]
        self._logits = tf.function(lambda: tf.concat([copy(batch, training=False) for batch in batches], 0))
        self._most_bytes = max(self.result(0, "layer").sizes.values())  # the end of an axis; and the curve has its first point

    def _counted_cuts(self) -> dict[str, np.ndarray]:
        """Return {scope: array (100, layers)}: how many weights each layer loses at each per cent.

        The smallest weights of all layers are, in each layer, its smallest: so one order by layer serves both scopes.
        """
        counts = np.array([weights.size for weights in self._weights.values()])
        owners = np.repeat(np.arange(len(counts), dtype=np.int16), counts)
        flat = np.concatenate([np.abs(weights).ravel() for weights in self._weights.values()])
        owners = owners[np.argsort(flat, kind="stable")]
        shares = [percent / 100 for percent in range(MOST + 1)]
        ends = [round(share * flat.size) for share in shares]
        lost = np.cumsum([np.bincount(part, minlength=len(counts)) for part in np.split(owners, ends)[:-1]], axis=0)
        return {"layer": np.array([[round(share * n) for n in counts.tolist()] for share in shares]), "global": lost}

    def cuts(self, percent: int, scope: str) -> dict[str, int]:
        """Return {layer: how many of its weights are cut}."""
        return dict(zip(self._weights, self._cuts[scope][percent].tolist(), strict=True))

    def masks(self, percent: int, scope: str) -> dict[str, np.ndarray]:
        """Return {layer: mask}, True = kept, as `kdcourse.pruning.magnitude_masks` does."""
        return {name: self._layers[name].rank >= cut for name, cut in self.cuts(percent, scope).items()}

    def result(self, percent: int, scope: str) -> Result:
        """Return what is left at this sparsity; a state that was visited before costs nothing."""
        if (scope, percent) not in self._results:
            masks = self.masks(percent, scope)
            pruned = {name: np.where(mask, self._weights[name], np.float32(0)) for name, mask in masks.items()}
            for name, kernel in self._kernels.items():
                kernel.assign(pruned[name])
            accuracy = measure.accuracy(self._logits().numpy(), self._labels)
            kept = {name: 1 - cut / self._weights[name].size for name, cut in self.cuts(percent, scope).items()}
            sizes = {
                form: size + sum(formats.encoded_size(array, form) for array in pruned.values())
                for form, size in self._sizes_of_others.items()
            }
            self._results[scope, percent] = Result(accuracy, kept, sizes)
        return self._results[scope, percent]

    def drawn(self, layer: str, percent: int, scope: str) -> dict:
        """Return what the page draws beside the result: a layer's weights, and the accuracies visited so far, by scope."""
        visited = sorted((percent, at, result.accuracy) for (at, percent), result in self._results.items())
        seen = {scope: [[percent, accuracy] for percent, at, accuracy in visited if at == scope] for scope in SCOPES}
        always = {"images": len(self._labels), "most_bytes": self._most_bytes}
        return self._layers[layer].drawn(self.cuts(percent, scope)[layer]) | {"seen": seen} | always


class _Layer:
    """A layer's weights in the order of their magnitudes, as histogram and as mask."""

    def __init__(self, weights: np.ndarray):
        order = np.argsort(np.abs(weights), axis=None, kind="stable").astype(np.int32)
        self._magnitudes = np.abs(weights).ravel()[order]
        rank = np.empty_like(order)
        rank[order] = np.arange(order.size, dtype=order.dtype)
        self.rank = rank.reshape(weights.shape)  # of each weight, from the smallest magnitude on
        self._largest = float(self._magnitudes[-1]) or 1.0
        bins = np.digitize(weights.ravel(), np.linspace(-self._largest, self._largest, BINS + 1)) - 1
        self._bins = np.clip(bins, 0, BINS - 1).astype(np.uint8)[order]  # so that what is kept is a slice
        self._everything = np.bincount(self._bins, minlength=BINS).tolist()
        self._cells = _cells(weights.shape, MASK[0] / MASK[1])

    def drawn(self, cut: int) -> dict:
        """Return the histogram and the mask of the layer without its `cut` smallest weights, ready for the page."""
        return {
            "cut": cut,
            "weights": self.rank.size,
            "threshold": float(self._magnitudes[min(cut, self.rank.size - 1)]),
            "largest": self._largest,
            "histogram": [self._everything, np.bincount(self._bins[cut:], minlength=BINS).tolist()],
            "mask": png_url(_mask(self.rank >= cut, self._cells), compress_level=1),  # fast rather than small: it lives until the next move
            "mask_shows": _what_the_mask_shows(self.rank.shape),
        }


def _cells(shape: tuple[int, ...], aspect: float) -> np.ndarray:
    """Return how a kernel is laid out as an image: at each pixel the index of a weight in the flat kernel, or -1 between tiles.

    A dense kernel has its inputs from left to right and its outputs downwards. A convolution's is tiles of the size of its window: filters
    from left to right and their input channels downwards; with a single input channel the filters fill rows, to be about `aspect` wide.
    """
    index = np.arange(np.prod(shape), dtype=np.int32).reshape(shape)
    if len(shape) == 2:
        return index.T
    tiles = index.reshape(shape[0], -1, *shape[-2:]) if len(shape) > 3 else index[None]  # (height, width, in, out)
    tiles = np.pad(tiles.transpose(2, 3, 0, 1), [(0, 0), (0, 0), (0, 1), (0, 1)], constant_values=-1)  # (in, out, height, width)
    if len(tiles) == 1:
        rows = max(1, round((tiles.shape[1] / aspect * tiles.shape[3] / tiles.shape[2]) ** 0.5))
        columns = -(-tiles.shape[1] // rows)
        tiles = np.pad(tiles[0], [(0, rows * columns - tiles.shape[1]), (0, 0), (0, 0)], constant_values=-1)
        tiles = tiles.reshape(rows, columns, *tiles.shape[1:])
    down, across, height, width = tiles.shape
    return tiles.transpose(0, 2, 1, 3).reshape(down * height, across * width)[:-1, :-1]


def _mask(kept: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """Return a mask as grey pixels: kept black, cut white, grey between tiles; where there are more weights than pixels, their mean."""
    grey = np.append(np.where(kept.ravel(), np.uint8(30), np.uint8(255)), np.uint8(200))[cells]  # -1 is the last one
    size = min(grey.shape[1], MASK[0]), min(grey.shape[0], MASK[1])
    return np.array(Image.fromarray(grey).resize(size, Image.Resampling.BOX))


def _what_the_mask_shows(shape: tuple[int, ...]) -> str:
    if len(shape) == 2:
        return f"{shape[0]} inputs from left to right, {shape[1]} outputs downwards"
    window = "x".join(map(str, shape[:-2]))
    filters = f"{shape[-1]} filters" if shape[-2] == 1 else f"{shape[-1]} filters to the right, {shape[-2]} inputs down"
    return f"{filters}, {window} weights a tile"


def _checked_images(model, images, labels) -> tuple[np.ndarray, np.ndarray]:
    """Return images as float32 and labels as integers that fit the model and one another."""
    taken, given = model.input_shape, model.output_shape
    if isinstance(taken, list | dict) or isinstance(given, list | dict) or len(given) != 2 or given[1] is None:
        checks.refuse("model", "one with one input and outputs of shape (n, classes)", f"{taken} and {given}")
    images = checks.array("images", images, ("n", *(size or "size" for size in taken[1:])), kind="floats", dtype=np.float32)
    if len(images) > MOST_IMAGES:
        checks.refuse("images", f"at most {MOST_IMAGES:,}, so that a move stays fast", f"{len(images):,}")
    return images, checks.labels("labels", labels, given[1], len(images))

"""The sparsity explorer: one slider that cuts a trained network's smallest weights, and what that does to its answers and its bytes.

It needs a running kernel: each move cuts the weights, lets the network answer, encodes the weights and redraws one picture.
"""

import html
import io
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import ipywidgets
import numpy as np
import traitlets
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image, ImageDraw

from kdcourse import encodings, measure
from kdcourse.keras_bridge import copied
from kdcourse.plots import BLACK, BLUE, GREEN, GREY, ORANGE
from kdcourse.pruning.magnitude import SCOPES, prunable_layers
from kdcourse.soft_labels import one_hot

from ._shared import PATIENCE, QUIET, Burst, as_trait, font

MOST = 99  # per cent: at 100 nothing is left to answer with
MOST_IMAGES = 1000  # all of them are answered at each move
BATCH = 500  # images answered at once: fewer take longer, more need more memory for the same time
NAMES = {"layer": "by layer", "global": "global"}


class Result(NamedTuple):
    """What is left of the network: its accuracy, the share of weights kept by layer, the bytes of all its weights by format."""

    accuracy: float
    kept: dict[str, float]
    sizes: dict[str, int]


class SparsityExplorer(ipywidgets.VBox):
    """Cut the smallest weights of a trained network, by layer or globally, and see its weights, its accuracy and its bytes.

    Nothing is trained again, and `model` stays as it is.

    Args:
        model: Sequential or functional, returns logits of shape ``(n, classes)``.
        images: shape ``(n, ...)`` as the model takes them, n from 1 to 1,000.
        labels: n integers in 0..classes-1.
        sparsity: where the slider starts: per cent of the weights that are cut, an integer in 0..99.
        scope: "layer" cuts this share of each layer, "global" the smallest weights of all layers together.
        layer: the name of the layer whose weights are shown; None takes the one with the most weights.

    The traits `sparsity`, `scope` and `layer` can be set and observed; `accuracy` (in 0..1), `kept` ({layer: share in 0..1}) and `sizes`
    ({format of `kdcourse.encodings`: bytes of all the model's weights}) can be read at any time and belong to them.

    Raises:
        ValueError: a subclassed model, one with nothing to prune, images or labels that do not fit, more than 1,000 images, a sparsity
            outside 0..99, an unknown scope or layer.
    """

    sparsity = traitlets.Any(0)
    scope = traitlets.Unicode("layer")
    layer = traitlets.Unicode()

    def __init__(self, model, images, labels, *, sparsity=0, scope="layer", layer=None):
        """Check everything first: a mistake shows here, and not while the slider moves."""
        layers = prunable_layers(model)
        images, labels = _checked_digits(model, images, labels)
        sizes = {name: int(np.prod(part.kernel.shape)) for name, part in layers.items()}
        self._layers = list(layers)
        start = {
            "sparsity": _checked_sparsity(sparsity),
            "scope": _checked_choice(scope, "scope", SCOPES),
            "layer": max(sizes, key=sizes.get) if layer is None else _checked_choice(layer, "layer", self._layers),
        }
        self._network = _Network(model, images, labels)
        self._picture = _Picture(self._network)
        self._burst = Burst(self._redraw, self._prepare_next)
        self._drawn = start["sparsity"]

        wide = {"style": {"description_width": "initial"}}
        slider = ipywidgets.IntSlider(min=0, max=MOST, description="Sparsity in %", layout={"width": "380px"}, **wide)
        options = [(NAMES[scope], scope) for scope in SCOPES]
        toggle = ipywidgets.ToggleButtons(options=options, style={"button_width": "80px"}, layout={"margin": "2px 16px"})
        dropdown = ipywidgets.Dropdown(options=self._layers, description="Layer shown", layout={"width": "220px"}, **wide)
        controls = ipywidgets.HBox([slider, toggle, dropdown], layout={"flex_flow": "row wrap"})
        self.image = ipywidgets.Image(format="png", width=_Picture.WIDTH, height=_Picture.HEIGHT)
        self.words = ipywidgets.HTML(layout={"max_width": f"{_Picture.WIDTH}px"})
        super().__init__([controls, self.image, self.words], **start)
        for trait, control in (("sparsity", slider), ("scope", toggle), ("layer", dropdown)):
            traitlets.link((self, trait), (control, "value"))
        self.observe(self._moved, ["sparsity", "scope", "layer"])
        self._redraw()
        self._network.encode_ahead(self.sparsity, self.scope)

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

    @traitlets.validate("sparsity")
    def _validate_sparsity(self, proposal):
        return as_trait(_checked_sparsity, proposal["value"])

    @traitlets.validate("scope", "layer")
    def _validate_choice(self, proposal):
        name = proposal["trait"].name
        return as_trait(_checked_choice, proposal["value"], name, SCOPES if name == "scope" else self._layers)

    def _moved(self, change):
        self._burst.move(QUIET, PATIENCE)

    def _prepare_next(self, loop):
        step, self._drawn = self.sparsity - self._drawn, self.sparsity
        if abs(step) == 1 and 0 <= self.sparsity + step <= MOST:  # while the page shows the picture: most often one more step follows
            loop.call_later(QUIET, self._network.prepared, self.sparsity + step, self.scope)

    def _redraw(self):
        self._network.result(self.sparsity, self.scope)
        self.image.value = self._picture.png(self.sparsity, self.scope, self.layer)
        self.words.value = self._said()

    def _said(self) -> str:
        """Return the picture in words, as HTML: a picture is nothing to a screen reader."""
        result, network = self._network.result(self.sparsity, self.scope), self._network
        kept = ", ".join(f"{html.escape(name)} {share:.1%}" for name, share in result.kept.items())
        raw, best = result.sizes["raw float32"], min(result.sizes, key=result.sizes.get)
        sizes = ", ".join(f"{name} {size:,}" for name, size in result.sizes.items())
        return (
            f"<div role='status' style='line-height: 1.4'><b>Sparsity {self.sparsity}%, {NAMES[self.scope]}: "
            f"accuracy {result.accuracy:.1%} on {network.examples:,} images.</b> "
            f"Weights kept: {kept}. Bytes: {sizes}. Smallest: {best}, {raw / result.sizes[best]:.1f} times smaller than raw float32. "
            "Without a running kernel the picture does not follow the slider.</div>"
        )


class _Network:
    """A private copy of a network whose weights are sorted once, so that each sparsity is a lookup; results are kept."""

    def __init__(self, model, images, labels):
        import tensorflow as tf

        copy = copied(model)
        self.labels, self.examples = labels, len(labels)
        layers = prunable_layers(copy)
        self._kernels = {name: layer.kernel for name, layer in layers.items()}
        self.weights = {name: np.array(kernel) for name, kernel in self._kernels.items()}
        orders = {name: np.argsort(np.abs(w), axis=None, kind="stable").astype(np.int32) for name, w in self.weights.items()}
        self.magnitudes = {name: np.abs(w).ravel()[orders[name]] for name, w in self.weights.items()}
        self.rank = {name: _inverse(order).reshape(self.weights[name].shape) for name, order in orders.items()}
        self._cuts = self._counted_cuts()
        self._results: dict[tuple[str, int], Result] = {}
        self._visited: set[tuple[str, int]] = set()
        self._sizes: dict[tuple[str, int], dict[str, int]] = {}
        mine = {id(kernel) for kernel in self._kernels.values()}
        self._others = [np.array(variable, np.float32) for variable in copy.weights if id(variable) not in mine]
        self._pool = ThreadPoolExecutor(2)  # NumPy and zlib let go of the lock of Python

        batches = [tf.constant(images[i : i + BATCH]) for i in range(0, len(images), BATCH)]
        self._logits = tf.function(lambda: tf.concat([copy(batch, training=False) for batch in batches], 0))
        self._sizes_of_others = {f: sum(encodings.encoded_size(array, f) for array in self._others) for f in encodings.FORMATS}
        self._at_rest = threading.Event()

    def _counted_cuts(self) -> dict[str, np.ndarray]:
        """Return {scope: array (100, layers)}: how many weights each layer loses at each per cent.

        The smallest weights of all layers are, in each layer, its smallest: so one order by layer serves both scopes.
        """
        counts = np.array([magnitudes.size for magnitudes in self.magnitudes.values()])
        owners = np.repeat(np.arange(len(counts), dtype=np.int16), counts)
        flat = np.concatenate([np.abs(w).ravel() for w in self.weights.values()])
        owners = owners[np.argsort(flat, kind="stable")]
        shares = [percent / 100 for percent in range(MOST + 1)]
        ends = [round(share * flat.size) for share in shares]
        lost = np.cumsum([np.bincount(part, minlength=len(counts)) for part in np.split(owners, ends)[:-1]], axis=0)
        return {"layer": np.array([[round(share * n) for n in counts.tolist()] for share in shares]), "global": lost}

    def cuts(self, percent: int, scope: str) -> dict[str, int]:
        """Return {layer: how many of its weights are cut}."""
        return dict(zip(self.weights, self._cuts[scope][percent].tolist(), strict=True))

    def masks(self, percent: int, scope: str) -> dict[str, np.ndarray]:
        """Return {layer: mask}, True = kept, as `kdcourse.pruning.magnitude_masks` does."""
        return {name: self.rank[name] >= cut for name, cut in self.cuts(percent, scope).items()}

    def seen(self, scope: str) -> tuple[list[int], list[float]]:
        """Return the sparsities that were visited so far, in per cent, ascending, and their accuracies."""
        percents = sorted(percent for at, percent in self._visited if at == scope)
        return percents, [self._results[scope, percent].accuracy for percent in percents]

    def result(self, percent: int, scope: str) -> Result:
        """Return what is left at this sparsity; a state that was visited before costs nothing."""
        self._visited.add((scope, percent))
        return self.prepared(percent, scope)

    def prepared(self, percent: int, scope: str) -> Result:
        """Return the same before the slider is there."""
        if (scope, percent) not in self._results:
            self._results[scope, percent] = self._computed(percent, scope)
        return self._results[scope, percent]

    def encode_ahead(self, percent: int, scope: str) -> None:
        """Begin to encode all states in a thread of its own, the nearest first, while nothing moves: gzip takes longer than the network."""
        states = sorted(((at, p) for at in SCOPES for p in range(MOST + 1)), key=lambda state: (state[0] != scope, abs(state[1] - percent)))
        self._at_rest.set()
        threading.Thread(target=_encode_all, args=(weakref.ref(self), self._at_rest, states), daemon=True).start()

    def encode(self, percent: int, scope: str) -> None:
        """Encode one state, unless it has been encoded already."""
        if (scope, percent) not in self._sizes:
            pruned = self._pruned(percent, scope)
            self._sizes[scope, percent] = {form: self._encoded(pruned, form) for form in encodings.FORMATS}

    def _pruned(self, percent: int, scope: str) -> dict[str, np.ndarray]:
        return {name: np.where(mask, self.weights[name], np.float32(0)) for name, mask in self.masks(percent, scope).items()}

    def _computed(self, percent: int, scope: str) -> Result:
        resting = self._at_rest.is_set()
        self._at_rest.clear()
        pruned = self._pruned(percent, scope)
        encoding = {}
        if (scope, percent) not in self._sizes:
            slowest_first = sorted(encodings.FORMATS, key="gzip".__ne__)
            encoding = {form: self._pool.submit(self._encoded, pruned, form) for form in slowest_first}
        for name, kernel in self._kernels.items():
            kernel.assign(pruned[name])
        accuracy = measure.accuracy(self._logits().numpy(), self.labels)
        if encoding:
            self._sizes[scope, percent] = {form: encoding[form].result() for form in encodings.FORMATS}
        kept = {name: 1 - cut / self.weights[name].size for name, cut in self.cuts(percent, scope).items()}
        if resting:
            self._at_rest.set()
        return Result(accuracy, kept, self._sizes[scope, percent])

    def _encoded(self, pruned: dict[str, np.ndarray], form: str) -> int:
        return self._sizes_of_others[form] + sum(encodings.encoded_size(array, form) for array in pruned.values())


def _encode_all(network, at_rest: threading.Event, states) -> None:
    """Encode `states` one after the other, between moves, as long as the network (a weak reference) is there."""
    for scope, percent in states:
        at_rest.wait()
        alive = network()
        if alive is None:
            return
        alive.encode(percent, scope)
        del alive  # or it would live until the last state


class _Picture:
    """One figure. What stays while the slider moves is drawn once for each layer shown; a move redraws the rest on top of it."""

    WIDTH, HEIGHT = 880, 460  # pixels
    BINS = 81
    # Where the panels stand: left, top, width, height in pixels, from the top left corner
    WEIGHTS, MASK = (66, 36, 330, 130), (462, 36, 400, 130)
    ACCURACY, KEPT, BYTES = (66, 254, 200, 156), (366, 254, 106, 156), (644, 254, 150, 156)

    def __init__(self, network: _Network):
        self._network, self._layer = network, None
        self._figure = Figure(figsize=(self.WIDTH / 100, self.HEIGHT / 100), dpi=100)
        self._canvas = FigureCanvasAgg(self._figure)

    def png(self, percent: int, scope: str, layer: str) -> bytes:
        """Return the picture of a state as a PNG file."""
        if layer != self._layer:
            self._begin(layer)
            self._layer = layer
        self._move(percent, scope)
        self._canvas.restore_region(self._background)
        for artist in self._moving:
            self._figure.draw_artist(artist)
        pixels = Image.fromarray(np.asarray(self._canvas.buffer_rgba())).convert("RGB")  # an array: older Pillows misread the buffer
        left, top, width, height = self.MASK
        mask = _drawn(self._network.rank[layer] >= self._cut, self._cells, (width - 2, height - 2))
        pixels.paste(mask, (left + 1, top + 1))  # inside its frame
        draw = ImageDraw.Draw(pixels)
        for place, text, bold, anchor in self._texts:  # by Pillow, which takes a twentieth of matplotlib's time for it
            draw.text(place, text, BLACK, font(bold), anchor)
        file = io.BytesIO()
        pixels.save(file, "png", compress_level=1)  # fast rather than small: it lives until the next move
        return file.getvalue()

    def _panel(self, place: tuple[int, int, int, int]):
        left, top, width, height = place
        axes = self._figure.add_axes(
            [left / self.WIDTH, 1 - (top + height) / self.HEIGHT, width / self.WIDTH, height / self.HEIGHT], facecolor="none"
        )
        axes.tick_params(labelsize=8)
        axes.spines[["top", "right"]].set_visible(False)
        return axes

    def _begin(self, layer: str) -> None:
        """Draw all that stays while the slider moves, and make the artists that do not."""
        network = self._network
        self._figure.clear()
        weights, rank = network.weights[layer], network.rank[layer]
        small = {"fontsize": 9}

        axes = self._panel(self.WEIGHTS)
        largest = float(np.abs(weights).max()) or 1.0
        edges = np.linspace(-largest, largest, self.BINS + 1)
        bins = np.clip(np.digitize(weights.ravel(), edges) - 1, 0, self.BINS - 1).astype(np.uint8)
        self._bins = bins[np.argsort(rank, axis=None)]  # in the order of the magnitudes: what is kept is a slice
        everything = np.bincount(bins, minlength=self.BINS)
        axes.stairs(everything, edges, fill=True, facecolor="white", edgecolor=ORANGE, hatch="/////", linewidth=1)
        axes.set(xlim=(-largest, largest), ylim=(0, everything.max() * 1.06))
        axes.locator_params(axis="x", nbins=5)
        axes.set_xlabel("weight (blue: kept, hatched: cut)", **small)
        axes.set_ylabel("how many", **small)
        self._left = axes.stairs(everything, edges, fill=True, facecolor=BLUE)
        self._edges = [axes.axvline(0, color=BLACK, linewidth=1, linestyle="--") for _ in range(2)]

        axes = self._panel(self.MASK)
        axes.set(xticks=[], yticks=[])
        axes.spines[["top", "right"]].set_visible(True)
        axes.set_xlabel(_what_the_mask_shows(weights.shape), **small)
        self._cells = _cells(weights.shape, self.MASK[2] / self.MASK[3])

        axes = self._panel(self.ACCURACY)
        axes.set(xlim=(-2, 101), ylim=(0, 1.04), xticks=[0, 25, 50, 75, 99], yticks=[0, 0.25, 0.5, 0.75, 1])
        axes.set_yticklabels(["0", "25%", "50%", "75%", "100%"])
        axes.grid(color="#DDDDDD", linewidth=0.6)
        axes.set_xlabel("sparsity in %, as far as visited", **small)
        self._curves = {"layer": axes.plot([], [], "o-", color=BLUE, markersize=3, linewidth=1)[0]}
        self._curves["global"] = axes.plot([], [], "s--", color=ORANGE, markersize=3, linewidth=1)[0]
        self._here = axes.plot([0], [0], "o", color=BLACK, markersize=8, markerfacecolor="none", markeredgewidth=1.8)[0]
        axes.legend(self._curves.values(), [NAMES[scope] for scope in self._curves], loc="lower left", fontsize=8, frameon=False)

        self._shares = self._bars(self.KEPT, list(network.weights), 1, BLUE)
        biggest = network.result(0, "layer").sizes
        self._bytes = self._bars(self.BYTES, list(encodings.FORMATS), max(biggest.values()), BLUE)
        self._bytes[0].axes.axvline(biggest["raw float32"], color=BLACK, linewidth=1, linestyle=":")

        self._moving = [self._left, *self._edges, *self._curves.values(), self._here, *self._shares, *self._bytes]
        for artist in self._moving:
            artist.set_animated(True)
        self._canvas.draw()
        self._background = self._canvas.copy_from_bbox(self._figure.bbox)

    def _bars(self, place, names: list[str], largest: float, color: str) -> list:
        """Lay out one bar a name; return the bars."""
        axes = self._panel(place)
        bars = axes.barh(range(len(names)), [0] * len(names), color=color, height=0.7)
        axes.set(xlim=(0, largest), ylim=(len(names) - 0.5, -0.5), xticks=[])
        short = [name if len(name) < 15 else f"{name[:13]}…" for name in names]
        axes.set_yticks(range(len(names)), short, fontsize=min(9, 100 / len(names)))
        axes.spines["bottom"].set_visible(False)
        return list(bars)

    def _move(self, percent: int, scope: str) -> None:
        """Set the artists and texts that belong to a state."""
        network, layer = self._network, self._layer
        result, self._cut = network.result(percent, scope), network.cuts(percent, scope)[layer]
        total = self._bins.size
        self._texts = []

        def title(panel, text, bold=False):
            self._texts.append(((panel[0], panel[1] - 9), text, bold, "ls"))

        self._left.set_data(np.bincount(self._bins[self._cut :], minlength=self.BINS))
        threshold = float(network.magnitudes[layer][min(self._cut, total - 1)])
        for line, sign in zip(self._edges, (-1, 1), strict=True):
            line.set_xdata([sign * threshold] * 2)
            line.set_visible(self._cut > 0)
        title(self.WEIGHTS, f"{layer}: " + (f"magnitudes below {threshold:.3g} are cut" if self._cut else "nothing is cut"))
        title(self.MASK, f"Mask of {layer}: {total - self._cut:,} of {total:,} weights kept (black)")

        for name, curve in self._curves.items():
            curve.set_data(*network.seen(name))
        self._here.set_data([percent], [result.accuracy])
        title(self.ACCURACY, f"Accuracy {result.accuracy:.1%}", bold=True)

        title(self.KEPT, "Weights kept")
        self._measured(self.KEPT, self._shares, result.kept, "{:.1%}", bold=layer)
        best = min(result.sizes, key=result.sizes.get)
        title(self.BYTES, "Bytes of all weights")
        self._measured(self.BYTES, self._bytes, result.sizes, "{:,}", bold=best)
        for name, bar in zip(result.sizes, self._bytes, strict=True):
            bar.set_facecolor(GREEN if name == best else GREY if name == "raw float32" else BLUE)

    def _measured(self, panel, bars: list, values: dict, form: str, bold: str) -> None:
        left, top, width, height = panel
        for i, (bar, (name, value)) in enumerate(zip(bars, values.items(), strict=True)):
            bar.set_width(value)
            place = (left + width + 6, top + round((i + 0.5) * height / len(bars)))
            self._texts.append((place, form.format(value), name == bold, "lm"))


def _inverse(order: np.ndarray) -> np.ndarray:
    """Return the place of each element in `order`, a permutation."""
    rank = np.empty_like(order)
    rank[order] = np.arange(order.size, dtype=order.dtype)
    return rank


def _cells(shape: tuple[int, ...], aspect: float) -> np.ndarray:
    """Return how a kernel is laid out as an image: at each pixel the index of a weight in the flat kernel, or -1 between tiles.

    A dense kernel has its inputs from left to right and its outputs downwards. A convolution's is tiles of the size of its window: filters
    from left to right and their input channels downwards; with a single input channel the filters fill rows, to be about `aspect` wide.
    """
    index = np.arange(np.prod(shape)).reshape(shape)
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


def _what_the_mask_shows(shape: tuple[int, ...]) -> str:
    if len(shape) == 2:
        return f"{shape[0]} inputs from left to right, {shape[1]} outputs downwards"
    window = "x".join(map(str, shape[:-2]))
    filters = f"{shape[-1]} filters" if shape[-2] == 1 else f"{shape[-1]} filters to the right, {shape[-2]} inputs down"
    return f"{filters}, {window} weights a tile"


def _drawn(mask: np.ndarray, cells: np.ndarray, size: tuple[int, int]) -> Image.Image:
    """Return a mask as a grey image of `size` pixels: kept black, cut white, grey between tiles; a pixel of many weights is their mean."""
    grey = np.where(mask.ravel(), np.uint8(30), np.uint8(255))
    return Image.fromarray(np.append(grey, np.uint8(200))[cells]).resize(size, Image.Resampling.BOX)  # -1 is the last one


def _checked_sparsity(value) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or not 0 <= value <= MOST:
        raise ValueError(f"sparsity must be an integer in 0..{MOST}, per cent, got {value!r}")
    return int(value)


def _checked_choice(value, name: str, known) -> str:
    if value not in known:
        raise ValueError(f"{name} must be one of {list(known)}, got {value!r}")
    return value


def _checked_digits(model, images, labels) -> tuple[np.ndarray, np.ndarray]:
    """Return images as float32 and labels as integers that fit the model and one another."""
    taken, given = model.input_shape, model.output_shape
    if isinstance(taken, list | dict) or isinstance(given, list | dict) or len(given) != 2 or given[1] is None:
        raise ValueError(f"model must have one input and outputs of shape (n, classes), got {taken} and {given}")
    images = np.asarray(images)
    if images.ndim != len(taken) or any(want not in (None, got) for want, got in zip(taken[1:], images.shape[1:], strict=True)):
        raise ValueError(f"images must have shape {('n', *taken[1:])}, as the model takes them, got shape {images.shape}".replace("'", ""))
    if not 1 <= len(images) <= MOST_IMAGES:
        raise ValueError(f"images must hold 1 to {MOST_IMAGES:,} images, so that a move stays fast, got {len(images):,}")
    if not np.issubdtype(images.dtype, np.floating):
        raise ValueError(f"images must be finite floats, as the model takes them, got type {images.dtype}")
    if strange := int((~np.isfinite(images)).sum()):
        raise ValueError(f"images must be finite floats, as the model takes them, got {strange} values that are NaN or infinite")
    labels = np.asarray(labels)
    one_hot(labels, given[1])  # refuses another rank, another type and labels out of range
    if len(labels) != len(images):
        raise ValueError(f"labels must have one entry for each of the {len(images):,} images, got {len(labels):,}")
    return images.astype(np.float32), labels

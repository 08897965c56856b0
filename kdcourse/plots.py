"""Arrays or records in, a `Picture` out: a matplotlib Figure that carries alt text and shows itself with it.

Colours are those of Okabe and Ito, which people with colour-blindness can tell apart.
"""

import html
import io
import math
from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from . import checks
from .evidence import Comparison, Record, drawn_by, scale_of
from .measure import reliability as reliability_bins
from .soft_labels import softmax

BLUE, ORANGE, GREEN, PINK, GREY, BLACK = "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#999999", "#222222"
LINES = ((BLUE, "-"), (ORANGE, "--"), (GREEN, "-."), (PINK, ":"), (GREY, "-"))


class Picture(Figure):
    """A Figure with alt text. In a notebook it shows as a PNG with the text in its metadata, and with the text in words below it."""

    def __init__(self, alt: str, *, width: float = 6.4, height: float = 3.2):
        """Make an empty picture of `width` x `height` inches; `alt` states the finding and may be set later."""
        super().__init__(figsize=(width, height), layout="constrained")
        self.alt = alt

    def png(self) -> bytes:
        """Return the picture as a PNG file with a palette of 96 colours: a third of the size, and notebooks stay small."""
        from PIL import Image

        full, small = io.BytesIO(), io.BytesIO()
        self.savefig(full, format="png", dpi=100)
        Image.open(full).convert("RGB").quantize(96).save(small, format="png", optimize=True)
        return small.getvalue()

    def _ipython_display_(self):
        import base64

        from IPython.display import display

        # JupyterLab ignores the alt text of a PNG, so the words are also on the page, folded
        bundle = {"image/png": base64.b64encode(self.png()).decode(), "text/plain": self.alt}
        display(bundle, metadata={"image/png": {"alt": self.alt}}, raw=True)
        words = f"<details><summary>This picture in words</summary>{html.escape(self.alt)}</details>"
        display({"text/html": words, "text/plain": ""}, raw=True)


def _tidy(axes):
    axes.spines[["top", "right"]].set_visible(False)
    return axes


def _show(axes, image) -> None:
    """Draw an image of values in [0, 1], shape ``(height, width)``, or with an axis of 1 or 3 channels; grey ones as ink on paper."""
    image = np.asarray(image)
    axes.imshow(image[..., 0] if image.ndim == 3 and image.shape[-1] == 1 else image, cmap="gray_r", vmin=0, vmax=1)
    axes.axis("off")


def digits(images, captions, alt: str, *, columns: int = 10) -> Picture:
    """Show images, shape ``(n, height, width)`` or ``(n, height, width, channels)``, each with its caption, in rows of `columns`."""
    images, columns = checks.array("images", images, ("n", "height", "width", ...)), checks.whole("columns", columns)
    checks.require(len(captions) == len(images), f"captions must have one entry for each of the {len(images)} images, got {len(captions)}")
    rows = math.ceil(len(images) / columns)
    lines = max(caption.count("\n") + 1 for caption in captions)
    picture = Picture(alt, width=0.9 * columns, height=rows * (0.85 + 0.17 * lines))
    for place in range(rows * columns):
        axes = picture.add_subplot(rows, columns, place + 1)
        axes.axis("off")
        if place < len(images):
            _show(axes, images[place])
            axes.set_title(captions[place], fontsize=8, pad=2)
    return picture


def soft_label_bars(image, logits, temperatures, *, label: int, class_names=None) -> Picture:
    """Show one image and its soft labels at several `temperatures`, one panel each; the static form of the temperature explorer.

    Args:
        image: shape ``(height, width)`` or ``(height, width, channels)``, values in [0, 1].
        logits: shape ``(classes,)``.
        temperatures: numbers > 0.
        label: the image's class.
        class_names: one a class; None names them 0, 1, 2, ...
    """
    names = [str(c) for c in (range(len(logits)) if class_names is None else class_names)]
    rows = {t: softmax(logits, t) for t in temperatures}
    told = "; ".join(
        f"at temperature {t:g} " + " and ".join(f"{names[c]} has {100 * p[c]:.0f}%" for c in np.argsort(-p)[:2]) for t, p in rows.items()
    )
    picture = Picture(f"A {names[label]} and the teacher's soft labels: {told}.", width=2 + 2.3 * len(rows), height=2.1)
    axes = picture.subplots(1, 1 + len(rows), gridspec_kw={"width_ratios": [0.8] + [1] * len(rows)})
    _show(axes[0], image)
    axes[0].set_title(f"hard label: {names[label]}", fontsize=9)
    for panel, (t, p) in zip(axes[1:], rows.items(), strict=True):
        bars = _tidy(panel).bar(names, p, color=BLUE)
        bars[label].set(facecolor=ORANGE, hatch="///", edgecolor=BLACK)
        panel.set(ylim=(0, 1), title=f"T = {t:g}")
        panel.title.set_size(9)
        panel.tick_params(labelsize=8)
    axes[1].set_ylabel("share (hatched: the label)", fontsize=8)
    return picture


def lines(x, ys: dict, alt: str, *, xlabel: str, ylabel: str, log_x: bool = False, mark_x: float | None = None, ticks=None) -> Picture:
    """Draw one line for each entry of `ys` ({name: values}, at most 5), each with its own colour and dash.

    `ticks` are the numbers below the axis, where its own would be too many.
    """
    checks.require(len(ys) <= len(LINES), f"ys must hold at most {len(LINES)} lines, got {len(ys)}")
    picture = Picture(alt)
    axes = _tidy(picture.add_subplot())
    for (name, y), (colour, dash) in zip(ys.items(), LINES, strict=False):
        axes.plot(x, y, dash, color=colour, lw=2, label=name)
    if mark_x is not None:
        axes.axvline(mark_x, color=GREY, lw=1)
    axes.set(xlabel=xlabel, ylabel=ylabel, xscale="log" if log_x else "linear")
    if ticks is not None:
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.minorticks_off()
    if len(ys) > 1:
        axes.legend(frameon=False, fontsize=9)
    return picture


def matrix(values, names, alt: str, *, xlabel: str, ylabel: str, decimals: int = 2, columns=None, mark: tuple | None = None) -> Picture:
    """Show a matrix with its numbers; NaN (a diagonal, say) is left white.

    Args:
        values: shape ``(rows, columns)``.
        names: of the rows, and of the columns too unless `columns` names those.
        mark: (row, column) of a cell that gets a frame.
    """
    values, columns = np.asarray(values, dtype=float), names if columns is None else columns
    if values.shape != (len(names), len(columns)):
        raise ValueError(f"values must have shape ({len(names)}, {len(columns)}), as the names say, got {values.shape}")
    picture = Picture(alt, width=5.6, height=1.4 + 0.32 * len(names))
    axes = picture.add_subplot()
    shown = axes.imshow(values, cmap="Blues", aspect="auto")
    middle = np.nanmin(values) + 0.72 * (np.nanmax(values) - np.nanmin(values))
    for (row, column), value in np.ndenumerate(values):
        if np.isfinite(value):
            colour = "white" if value > middle else "black"
            axes.text(column, row, f"{value:.{decimals}f}", ha="center", va="center", fontsize=9, color=colour)
    if mark is not None:
        axes.add_patch(Rectangle((mark[1] - 0.5, mark[0] - 0.5), 1, 1, fill=False, edgecolor=ORANGE, lw=3, zorder=3))
    axes.set(xticks=range(len(columns)), yticks=range(len(names)), xticklabels=columns, yticklabels=names, xlabel=xlabel, ylabel=ylabel)
    picture.colorbar(shown, ax=axes, shrink=0.8)
    return picture


def scatter(groups: dict, alt: str, *, xlabel: str, ylabel: str) -> Picture:
    """Draw one cloud of points for each entry of `groups` ({name: (x, y)}, at most 6), each with its own colour and marker."""
    looks = tuple(zip((BLUE, ORANGE, GREEN, PINK, GREY, BLACK), "osD^vX", strict=True))
    checks.require(len(groups) <= len(looks), f"groups must hold at most {len(looks)} clouds, got {len(groups)}")
    picture = Picture(alt, width=6.4, height=3.6)
    axes = _tidy(picture.add_subplot())
    for (name, (x, y)), (colour, marker) in zip(groups.items(), looks, strict=False):
        axes.scatter(x, y, color=colour, marker=marker, s=36, alpha=0.8, label=name)
    axes.set(xlabel=xlabel, ylabel=ylabel)
    axes.legend(frameon=False, fontsize=9, loc="center left", bbox_to_anchor=(1, 0.5))
    return picture


def reliability(panels: dict, labels, alt: str, *, bins: int = 10, least: int = 10) -> Picture:
    """Draw a reliability diagram for each entry of `panels` ({title: probabilities}).

    A larger dot stands for more examples in its bin; a bin with fewer than `least` examples says nothing and is left out.
    """
    picture = Picture(alt, width=3.2 * len(panels), height=3.2)
    for place, (title, probabilities) in enumerate(panels.items(), 1):
        found = reliability_bins(probabilities, labels, bins)
        axes = _tidy(picture.add_subplot(1, len(panels), place, aspect="equal"))
        axes.plot([0, 1], [0, 1], "--", color=GREY, lw=1)
        kept = found.count >= least
        size = 20 + 120 * found.count[kept] / found.count.sum()
        axes.scatter(found.confidence[kept], found.accuracy[kept], s=size, color=BLUE, clip_on=False)
        axes.set(xlim=(0, 1.02), ylim=(0, 1.02), xlabel="confidence", ylabel="share that is right", title=title)
        axes.title.set_size(9)
    return picture


@drawn_by
def verdicts(record: Record | Mapping) -> Picture:
    """Draw each comparison of an experiment's `record`: the mean difference, its 95% interval, and the verdict.

    Where the record has a replication, the same of its seeds stands below, paler. Below 5 seeds there is no interval.
    """
    record = Record(record)
    rows, again = record.comparisons, record.replication
    scale, _, unit = scale_of(record.unit)
    seconds = [again.comparison(c.variant, c.baseline) if again else None for c in rows]
    told = [f"{c.variant} {c.label} against {c.baseline} by {scale * c.difference:+.1f}{unit}" for c in rows]
    if again:
        others = [f" (on {c.seeds} other seeds {c.label} by {scale * c.difference:+.1f}{unit})" for c in seconds]
        told = list(map("".join, zip(told, others, strict=True)))
    picture = Picture(f"{record.metric}: {'; '.join(told)}.", width=7.6, height=0.9 + (0.8 if again else 0.5) * len(rows))
    axes = _tidy(picture.add_subplot())
    for place, (first, second) in enumerate(zip(rows, seconds, strict=True)):
        _mark(axes, first, place, scale)
        if second:
            _mark(axes, second, place + 0.4, scale, alpha=0.45)
    axes.axvline(0, color=BLACK, lw=1)
    lowest = len(rows) - (0.2 if again else 0.4)
    axes.set(yticks=range(len(rows)), yticklabels=[f"{c.variant}\nagainst {c.baseline}" for c in rows], ylim=(lowest, -0.6))
    paler = f"; paler: {len(again.seeds)} other seeds" if again else ""
    axes.set_xlabel(f"difference in {record.metric} ({unit.strip()}){paler}", fontsize=9)
    axes.tick_params(labelsize=8)
    return picture


def _mark(axes, comparison: Comparison, place: float, scale: int, alpha: float = 1.0) -> None:
    """Draw one comparison at the height `place`: a mark, its interval if there is one, and its verdict above it."""
    colour, marker = {"WINS": (GREEN, "o"), "LOSES": (ORANGE, "s"), "INCONCLUSIVE": (GREY, "D")}[comparison.verdict]
    middle = scale * comparison.difference
    if comparison.low is not None:
        axes.plot([scale * comparison.low, scale * comparison.high], [place, place], color=colour, lw=2, alpha=alpha)
    axes.plot(middle, place, marker, color=colour, markersize=8, alpha=alpha)
    box = {"facecolor": "white", "edgecolor": "none", "pad": 0.5}
    above = {"xytext": (0, 7), "textcoords": "offset points", "ha": "center", "zorder": 5}
    axes.annotate(comparison.label, (middle, place), fontsize=7, bbox=box, alpha=max(alpha, 0.7), **above)

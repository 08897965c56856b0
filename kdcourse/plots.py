"""Arrays or records in, a `Picture` out.

Every function takes a `title`, which states the finding and is drawn above, and the `alt` text, which says it to those who do not see
the picture. One of the two is needed where the function does not know what there is to see; the title alone serves as both.
"""

import math
from collections.abc import Mapping

import numpy as np
from matplotlib.patches import Rectangle
from matplotlib.ticker import LogLocator
from matplotlib.transforms import ScaledTranslation

from . import checks, placing
from .evidence import CONFIDENCE, LEAST_SEEDS, Comparison, Record, drawn_by, paired_interval, scale_of
from .measure import reliability as reliability_bins
from .pareto import checked_points, dominated
from .pictures import BLACK, BLUE, DARK, GREEN, GREY, ORANGE, PINK, SMALL, VERMILION, WIDEST, Picture, text_height, text_width, wrapped
from .soft_labels import softmax

LINES = ((BLUE, "-"), (ORANGE, "--"), (GREEN, "-."), (PINK, ":"), (GREY, "-"))
LOOKS = {"WINS": (GREEN, "o"), "LOSES": (VERMILION, "s"), "INCONCLUSIVE": (DARK, "D")}
KEPT = (100, 50, 20, 10, 5, 2, 1, 0.5, 0.2, 0.1)  # % of the weights: the ticks of their axis
MOST_ROWS = 20
MOST_TOLD = 4  # comparisons that a sentence can name
PALE, PALE_EDGE = "#e3eef6", "#80b8d8"  # blue, of a dot that is dominated


def _tidy(axes):
    axes.spines[["top", "right"]].set_visible(False)
    return axes


def _show(axes, image) -> None:
    """Draw an image of values in [0, 1], shape ``(height, width)``, or with an axis of 1 or 3 channels; grey ones as ink on paper."""
    image = np.asarray(image)
    grey = image[..., 0] if image.ndim == 3 and image.shape[-1] == 1 else image
    axes.imshow(grey, cmap="gray_r", vmin=0, vmax=1, interpolation="nearest" if len(grey) <= 64 else None)
    axes.axis("off")


def _enlarged(image, room: float) -> tuple[float, float]:
    """Return (width, height) in inches of an image in a `room`: a pixel is a whole number of the screen's, if it is small enough."""
    height, width = np.shape(image)[:2]
    pixels = 200 * room / max(height, width)
    pixels = math.floor(pixels) if pixels >= 1 else pixels
    return pixels * width / 200, pixels * height / 200


def digits(images, captions, alt: str | None = None, *, title: str | None = None, columns: int = 10) -> Picture:
    """Show images, shape ``(n, height, width)`` or ``(n, height, width, channels)``, each with its caption, in rows of `columns`.

    Fewer columns make larger images.
    """
    images, columns = checks.array("images", images, ("n", "height", "width", ...)), checks.whole("columns", columns)
    checks.require(len(captions) == len(images), f"captions must have one entry for each of the {len(images)} images, got {len(captions)}")
    rows, column = math.ceil(len(images) / columns), min(WIDEST / columns, 1.5)
    captions = [wrapped(caption, column - 0.04) for caption in captions]
    (width, height), words = _enlarged(images[0], column - 0.06), max(map(text_height, captions)) + 0.06
    row = round(height + words + 0.08, 2)
    picture = Picture(alt, title=title, width=columns * column, height=rows * row, layout="none")
    for place, (image, caption) in enumerate(zip(images, captions, strict=True)):
        across, down = place % columns, place // columns
        left, bottom = across * column + (column - width) / 2, (rows - 1 - down) * row + 0.04
        axes = picture.axes_at(round(left, 2), round(bottom, 2), width, height)
        _show(axes, image)
        axes.set_title(caption, fontsize=SMALL, pad=3)
    return picture


def soft_label_bars(
    image, logits, temperatures, alt: str | None = None, *, label: int, class_names=None, title: str | None = None
) -> Picture:
    """Show one image and its soft labels at several `temperatures`, one panel each; the static form of the temperature explorer.

    Args:
        image: shape ``(height, width)`` or ``(height, width, channels)``, values in [0, 1].
        logits: shape ``(classes,)``.
        temperatures: numbers > 0.
        alt: None says the two largest shares at each temperature.
        label: the image's class.
        class_names: one a class; None names them 0, 1, 2, ...
        title: the finding.
    """
    names = [str(c) for c in (range(len(logits)) if class_names is None else class_names)]
    rows = {t: softmax(logits, t) for t in temperatures}
    told = "; ".join(
        f"at temperature {t:g} " + " and ".join(f"{names[c]} has {100 * p[c]:.0f}%" for c in np.argsort(-p)[:2]) for t, p in rows.items()
    )
    told = f"A {names[label]} and the teacher's soft labels: {told}."
    longest = max(names, key=len)
    turned = text_width(longest) if len(longest) > 2 else 0  # inches of names that stand upright
    width, height = min(2 + 2.3 * len(rows), WIDEST), 2.1 + turned
    picture = Picture(alt or (None if title else told), title=title, words=told, width=width, height=height)
    axes = picture.subplots(1, 1 + len(rows), gridspec_kw={"width_ratios": [0.8] + [1] * len(rows)})
    _show(axes[0], image)
    axes[0].set_title(f"hard label: {names[label]}", fontsize=SMALL)
    for panel, (t, p) in zip(axes[1:], rows.items(), strict=True):
        bars = _tidy(panel).bar(names, p, color=BLUE)
        bars[label].set(facecolor=ORANGE, hatch="///", edgecolor=BLACK)
        panel.set(ylim=(0, 1), title=f"T = {t:g}")
        panel.title.set_size(SMALL)
        panel.tick_params(labelsize=SMALL)
        if turned:
            panel.tick_params(axis="x", labelrotation=90)
        panel.tick_params(axis="y", labelleft=panel is axes[1])  # all have the same scale
    axes[1].set_ylabel("share (hatched: the label)", fontsize=SMALL)
    return picture


def lines(
    x,
    ys: dict,
    alt: str | None = None,
    *,
    title: str | None = None,
    caption: str | None = None,
    xlabel: str | None = None,
    ylabel: str,
    log_x: bool = False,
    mark_x: float | None = None,
    ticks=None,
    bands: Mapping | None = None,
    kept_axis: bool = False,
) -> Picture:
    """Draw one line for each entry of `ys` ({name: values}, at most 5), each with its own colour and dash.

    The name of a line stands at its right end if all names fit there, else in a legend.

    Args:
        x: shape ``(points,)``.
        ys: ``{name: values}``, each of shape ``(points,)``.
        alt, title: the finding.
        caption: what the bands are, how many seeds.
        xlabel, ylabel: what the axes are; a `kept_axis` knows its own.
        log_x: a logarithmic axis.
        mark_x: where a vertical line stands.
        ticks: the numbers below the axis, where its own would be too many.
        bands: ``{name of a line: (low, high)}``, an interval around it, each of shape ``(points,)``.
        kept_axis: `x` is the share of weights that a pruned network keeps, in percent: the axis is logarithmic and falls from 100% at
            the left, so that the high sparsities, where things happen, have most of the room.

    Raises:
        ValueError: too many lines, a band without a line, no xlabel, percents outside (0, 100].
    """
    checks.require(len(ys) <= len(LINES), f"ys must hold at most {len(LINES)} lines, got {len(ys)}")
    for name in bands or ():
        checks.choice("each name of bands", name, ys)
    checks.require(kept_axis or xlabel is not None, "xlabel must be a text, got None")
    if kept_axis:
        for one in x:
            checks.number("each of x", one, 0, 100, open_low=True, what="the percentage of weights kept")
    picture = Picture(alt, title=title, caption=caption)
    axes = _tidy(picture.add_subplot())
    for (name, y), (colour, dash) in zip(ys.items(), LINES, strict=False):
        axes.plot(x, y, dash, color=colour, lw=2, label=name)
        if name in (bands or ()):
            axes.fill_between(x, *bands[name], color=colour, alpha=0.2, lw=0)
    if mark_x is not None:
        axes.axvline(mark_x, color=GREY, lw=1)
    axes.set(xlabel=xlabel or "weights kept (%, logarithmic)", ylabel=ylabel, xscale="log" if log_x or kept_axis else "linear")
    if kept_axis:
        axes.set_xlim(max(x) * 1.06, min(x) / 1.06)
        ticks = [tick for tick in KEPT if min(x) <= tick <= max(x)] if ticks is None else ticks
    if ticks is not None:
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.minorticks_off()
    elif log_x:  # 10, not a 10 with a tiny exponent
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if max(x) < 1e4 * min(x) else (1,)))
        axes.xaxis.set_major_formatter("{x:g}")
        axes.minorticks_off()
    if len(ys) > 1 and not _named_at_their_ends(axes, x, ys, last=np.argmin if kept_axis else np.argmax):
        axes.legend(frameon=False, fontsize=SMALL)
    return picture


def _named_at_their_ends(axes, x, ys: dict, last) -> bool:
    """Write each line's name at its right end and return True, or write none and return False: one is too long, or two would touch."""
    place = int(last(np.asarray(x)))
    low, high = axes.get_ylim()
    ends = {name: float(np.asarray(y)[place]) for name, y in ys.items()}
    gaps = np.diff(sorted(ends.values())) / (high - low)
    if not np.isfinite(list(ends.values())).all() or gaps.min() < 0.08 or max(map(text_width, ends)) > 1.5:
        return False
    for name, end in ends.items():
        axes.annotate(name, (np.asarray(x)[place], end), (5, 0), textcoords="offset points", va="center", fontsize=SMALL, color=BLACK)
    return True


def matrix(
    values,
    names,
    alt: str | None = None,
    *,
    title: str | None = None,
    xlabel: str,
    ylabel: str,
    label: str = "",
    decimals: int = 2,
    columns=None,
    mark: tuple | None = None,
) -> Picture:
    """Show a matrix with its numbers; NaN (a diagonal, say) is left white.

    Args:
        values: shape ``(rows, columns)``.
        names: of the rows, and of the columns too unless `columns` names those.
        alt, title: the finding.
        xlabel, ylabel, label: what the columns, the rows and the colours are.
        decimals: of each number.
        columns: names.
        mark: (row, column) of a cell that gets a frame.
    """
    values, columns = np.asarray(values, dtype=float), names if columns is None else columns
    if values.shape != (len(names), len(columns)):
        raise ValueError(f"values must have shape ({len(names)}, {len(columns)}), as the names say, got {values.shape}")
    picture = Picture(alt, title=title, width=5.6, height=1.4 + 0.32 * len(names))
    axes = picture.add_subplot()
    shown = axes.imshow(values, cmap="Blues", aspect="auto")
    middle = np.nanmin(values) + 0.72 * (np.nanmax(values) - np.nanmin(values))
    for (row, column), value in np.ndenumerate(values):
        if np.isfinite(value):
            colour = "white" if value > middle else "black"
            axes.text(column, row, f"{value:.{decimals}f}", ha="center", va="center", fontsize=SMALL, color=colour)
    if mark is not None:
        axes.add_patch(Rectangle((mark[1] - 0.5, mark[0] - 0.5), 1, 1, fill=False, edgecolor=ORANGE, lw=3, zorder=3))
    axes.set(xticks=range(len(columns)), yticks=range(len(names)), xticklabels=columns, yticklabels=names, xlabel=xlabel, ylabel=ylabel)
    picture.colorbar(shown, ax=axes, shrink=0.8, label=label)
    return picture


def scatter(groups: dict, alt: str | None = None, *, title: str | None = None, xlabel: str, ylabel: str) -> Picture:
    """Draw one cloud of points for each entry of `groups` ({name: (x, y)}, at most 6), each with its own colour and marker."""
    looks = tuple(zip((BLUE, ORANGE, GREEN, PINK, GREY, BLACK), "osD^vX", strict=True))
    checks.require(len(groups) <= len(looks), f"groups must hold at most {len(looks)} clouds, got {len(groups)}")
    picture = Picture(alt, title=title, width=6.4, height=3.6)
    axes = _tidy(picture.add_subplot())
    for (name, (x, y)), (colour, marker) in zip(groups.items(), looks, strict=False):
        axes.scatter(x, y, color=colour, marker=marker, s=36, alpha=0.8, label=name)
    axes.set(xlabel=xlabel, ylabel=ylabel)
    axes.legend(frameon=False, fontsize=SMALL, loc="center left", bbox_to_anchor=(1, 0.5))
    return picture


def reliability(panels: dict, labels, alt: str | None = None, *, title: str | None = None, bins: int = 10, least: int = 10) -> Picture:
    """Draw a reliability diagram for each entry of `panels` ({title: probabilities}), at most three beside each other.

    A larger dot stands for more examples in its bin; a bin with fewer than `least` examples says nothing and is left out.
    """
    rows = math.ceil(len(panels) / 3)
    columns = math.ceil(len(panels) / rows)
    caption = f"A larger dot stands for more examples. A group of fewer than {least} is left out."
    size = min(3.2, WIDEST / columns)
    picture = Picture(alt, title=title, caption=caption, width=size * columns, height=min(3.2, size + 0.3) * rows)
    picture.get_layout_engine().set(hspace=0.06)
    for place, (name, probabilities) in enumerate(panels.items(), 1):
        found = reliability_bins(probabilities, labels, bins)
        axes = _tidy(picture.add_subplot(rows, columns, place, aspect="equal"))
        axes.plot([0, 1], [0, 1], "--", color=GREY, lw=1)
        kept = found.count >= least
        area = 20 + 120 * found.count[kept] / found.count.sum()
        axes.scatter(found.confidence[kept], found.accuracy[kept], s=area, color=BLUE, clip_on=False)
        axes.set(xlim=(0, 1.02), ylim=(0, 1.02), xlabel="confidence", ylabel="share that is right", title=name)
        axes.title.set_size(SMALL)
    return picture


# --- records ---


def accuracies(record: Record | Mapping, alt: str | None = None, *, title: str | None = None, variants=None) -> Picture:
    """Draw what each variant of an experiment's `record` reached, best on top: a dot for each seed, the mean, its 95% interval.

    Where the record has a replication, its seeds are hollow dots. Below 5 seeds there is no interval.

    Args:
        record: of an experiment.
        alt: None takes the title, and where there is none names the best and the worst mean.
        title: the finding.
        variants: which to draw; None draws all, or those that the experiment compares where all are more than 20.

    Raises:
        ValueError: more than 20 variants, or one that the record does not have.
    """
    record = Record(record)
    again, means = record.replication, record.means
    variants = checks.names("variants", _drawn(record) if variants is None else variants, record.values)
    checks.require(len(variants) <= MOST_ROWS, f"variants must be at most {MOST_ROWS} names, got {len(variants)}")
    scale, unit, _ = scale_of(record.unit)
    order = _sorted(record, variants)
    picture = Picture(
        alt or (None if title else f"{_opening(record)}. {_ends(record, order)}."),
        title=title,
        caption=_caption(record, "each dot is a seed", "the bar is the mean"),
        words=f"{_opening(record)}. Means, best first: {'; '.join(f'{v} {scale * means[v]:.2f}{unit}' for v in order)}.",
        width=WIDEST,
        height=0.75 + (0.46 if again else 0.34) * len(order),
    )
    axes = _rows(picture, record, order, _with_unit(record.metric, unit))
    reach = _reach([scale * value for v in order for some in (record, again) if some for value in some.values[v]])
    for place, variant in enumerate(order):
        values = scale * np.array(record.values[variant])
        _, low, high = paired_interval(values)
        if len(values) >= LEAST_SEEDS:
            if record.unit == "percent":  # no share is above 100%
                low, high = max(low, 0), min(high, 100)
            _band(axes, low, high, place, BLUE)
        _dots(axes, values, place, reach, BLUE)
        axes.plot([scale * means[variant]] * 2, [place - 0.3, place + 0.3], color=BLACK, lw=2.2, zorder=4)
        if again:
            _dots(axes, scale * np.array(again.values[variant]), place + 0.46, reach, BLUE, hollow=True)
        _beside(axes, f"{scale * means[variant]:.2f}{unit if unit == '%' else ''}", place)
    axes.set_ylim(len(order) - (0.3 if again else 0.45), -0.55)
    return picture


def verdicts(record: Record | Mapping, alt: str | None = None, *, title: str | None = None, baseline: str | None = None) -> Picture:
    """Draw the comparisons of an experiment's `record`, best on top: each seed's difference, their mean, its 95% interval, the verdict.

    Where the record has a replication, the same of its seeds stands below, paler. Below 5 seeds there is no interval.

    Args:
        record: of an experiment.
        alt: None takes the title, and where there is none says how the comparisons came out.
        title: the finding.
        baseline: draw the comparisons against this variant only.

    Raises:
        ValueError: no comparisons, or a baseline that nothing is compared with.
    """
    record = Record(record)
    again, better = record.replication, 1 if record.higher_is_better else -1
    checks.require(bool(record["compare"]), "record must hold a comparison, got none")
    if baseline is not None:
        checks.choice("baseline", baseline, dict.fromkeys(c.baseline for c in record.comparisons))
    rows = [c for c in record.comparisons if baseline in (None, c.baseline)]
    rows.sort(key=lambda c: better * c.difference, reverse=True)
    alone = len({c.baseline for c in rows}) == 1
    names = [c.variant if alone else f"{c.variant}\nagainst {c.baseline}" for c in rows]
    scale, _, unit = scale_of(record.unit)
    told = "; ".join(_told(c, again) for c in rows)
    picture = Picture(
        alt or (None if title else f"{_opening(record)}. {told if len(rows) <= MOST_TOLD else _count(record, rows)}."),
        title=title,
        caption=_caption(record, "each dot is a seed's difference", "the large mark is the mean"),
        words=f"{_opening(record)}. {told}.",
        width=WIDEST,
        height=0.75 + (0.74 if again else 0.36 if alone else 0.46) * len(rows),
    )
    against = f" from {rows[0].baseline}" if alone else ""
    axes = _rows(picture, record, names, _with_unit(f"difference{against} in {record.metric}", unit))
    runs = [(record, 0.0)] + ([(again, 0.45)] if again else [])
    reach = _reach([0.0, *(scale * value for some, _ in runs for c in rows for value in _differences(some, c))])
    for place, row in enumerate(rows):
        for some, lower in runs:
            found = some.comparison(row.variant, row.baseline)
            _mark(axes, found, place + lower, scale, scale * _differences(some, found), reach, half=0.2 if again else 0.3, pale=lower > 0)
    axes.axvline(0, color=BLACK, lw=1, zorder=1)
    axes.set_ylim(len(rows) - (0.25 if again else 0.45), -0.55)
    return picture


@drawn_by
def shown(record: Record) -> list[Picture]:
    """Return the pictures with which a record shows itself: what each variant reached, then the differences if there are three or more.

    Of more than 20 variants it shows those that are compared, and none if these are too many as well. A search without comparisons has
    no picture: what it found is a row of its table.
    """
    chosen = _drawn(record)
    if not 0 < len(chosen) <= MOST_ROWS or (record.data.get("grid") and not record["compare"]):
        return []
    title, rows = _ends(record, _sorted(record, chosen)), record.comparisons
    found = [accuracies(record, f"{_opening(record)}. {title}.", title=title)]
    if rows and len(chosen) > 2:
        title = _told(rows[0], None) if len(rows) == 1 else _count(record, rows)
        found.append(verdicts(record, f"{_opening(record)}. {title}.", title=title))
    return found


def _drawn(record: Record) -> list[str]:
    """Return the variants that a picture shows where none are named: all, or if that is too many, those that are compared."""
    compared = {name for pair in record["compare"] for name in pair}
    return [name for name in record.values if len(record.values) <= MOST_ROWS or name in compared]


def _sorted(record: Record, variants) -> list[str]:
    return sorted(variants, key=record.means.get, reverse=record.higher_is_better)


def _differences(record: Record, comparison: Comparison) -> np.ndarray:
    return np.subtract(record.values[comparison.variant], record.values[comparison.baseline])


def _reach(values: list[float]) -> float:
    """Return how far apart two dots must be if they shall not touch."""
    return 0.012 * (max(values) - min(values))


def _rows(picture: Picture, record: Record, names: list[str], xlabel: str):
    """Add axes with a row for each of the names, first on top, and the direction that is better."""
    axes = _tidy(picture.add_subplot())
    axes.spines["left"].set_visible(False)
    axes.set_yticks(range(len(names)), [wrapped(name, 2.6) for name in names])
    axes.tick_params(labelsize=SMALL)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color="#e6e6e6", lw=0.8)
    axes.set_axisbelow(True)
    axes.set_xlabel(wrapped(xlabel, 4.6), fontsize=SMALL)
    end, text, side = (1, "right is better →", "right") if record.higher_is_better else (0, "← left is better", "left")
    axes.annotate(text, (end, 1), (0, 3), xycoords="axes fraction", textcoords="offset points", ha=side, fontsize=SMALL, color=DARK)
    return axes


def _beside(axes, text: str, place: float, colour: str = BLACK) -> None:
    """Write at the right of a row."""
    where = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points"}
    axes.annotate(text, (1, place), (8, 0), **where, va="center", fontsize=SMALL, color=colour)


def _dots(axes, values: np.ndarray, place: float, reach: float, colour: str, hollow: bool = False) -> None:
    """Draw a dot for each value around the height `place`; those closer than `reach` stand above and below each other."""
    steps, heights = (0, 1, -1, 2, -2, 3, -3), []
    for i, value in enumerate(values):
        taken = {height for height, other in zip(heights, values[:i], strict=True) if abs(value - other) < reach}
        heights.append(next((step for step in steps if step not in taken), 0))
    look = {"facecolor": "none", "edgecolor": colour} if hollow else {"facecolor": colour, "edgecolor": "none", "alpha": 0.65}
    axes.scatter(values, place + 0.1 * np.array(heights), s=13, lw=1, zorder=3, **look)


def _band(axes, low: float, high: float, place: float, colour: str, half: float = 0.3, alpha: float = 0.22) -> None:
    """Draw an interval around the height `place`."""
    axes.add_patch(Rectangle((low, place - half), high - low, 2 * half, color=colour, alpha=alpha, lw=0))


def _mark(axes, comparison: Comparison, place: float, scale: int, values: np.ndarray, reach: float, half: float, pale: bool) -> None:
    """Draw one comparison at the height `place`: its seeds, the mean, the interval if there is one, and the verdict at the right."""
    colour, marker = LOOKS[comparison.verdict]
    if comparison.low is not None:
        _band(axes, scale * comparison.low, scale * comparison.high, place, colour, half, alpha=0.1 if pale else 0.22)
    _dots(axes, values, place, reach, colour, hollow=pale)
    middle = scale * comparison.difference
    axes.plot(middle, place, marker, color=colour, markersize=8, markeredgecolor="white", alpha=0.6 if pale else 1.0, zorder=4)
    number, label = f"{middle:+.2f}".replace("-", "−"), comparison.label.replace(", ", "\n")
    _beside(axes, f"{number}  {label}", place, DARK if pale else BLACK)


# --- quality and cost ---


def pareto(
    points, cost: str, alt: str | None = None, *, title: str | None = None, xlabel: str | None = None, quality: str = "accuracy"
) -> Picture:
    """Draw networks by cost and quality, with their intervals; a staircase joins those that no other one dominates, the others are pale.

    The static form of the Pareto explorer. Where the errors differ much, the axis of the quality is stretched towards 100%.

    Args:
        points: at most 20 dicts as the top of `kdcourse.pareto` says; `pareto.points_of` makes them of records.
        cost: the key of the cost, of which less is better; its axis is logarithmic.
        alt: None takes the title, and where there is none names the points that are not dominated.
        title: the finding.
        xlabel: what the cost is, with its unit; None takes its key.
        quality: the key of the quality, a share in 0..1.

    Raises:
        ValueError: points that are none or lack a number, more than 20 points.
    """
    points, by, what = checked_points(points, [cost], quality), dominated(points, cost, quality), xlabel or cost
    checks.require(len(points) <= MOST_ROWS, f"points must be at most {MOST_ROWS}, got {len(points)}")
    points.sort(key=lambda point: point[cost])
    best = [point for point in points if not by[point["name"]]]
    opening = f"{quality[:1].upper()}{quality[1:]} by {what}, {len(points)} point{'s' * (len(points) > 1)}"
    lines = [f"{_at(point, cost, quality)}; {_above(point, by[point['name']])}." for point in points]
    shares = placing.shares(
        [100 * point[quality] for point in points],
        [100 * point[end] for point in points for end in ("low", "high") if point[end] is not None],
    )
    rungs = placing.rungs([point[cost] for point in points])
    picture = Picture(
        alt or (None if title else f"{opening}. Not dominated: {'; '.join(_at(point, cost, quality) for point in best)}."),
        title=title,
        caption=_caption_of_points(points, by, quality, shares.stretched),
        words="\n".join([f"{opening}, the one of the lowest cost first.", *lines]),
        width=WIDEST,
        height=4,
        layout="none",
    )
    size = width, height = WIDEST - 0.85 - text_width(_cost(rungs[-1])) / 2, 3.2
    axes = _tidy(picture.axes_at(0.75, 0.5, width, height))
    axes.set(xscale="log", xlim=(rungs[0], rungs[-1]))
    if shares.stretched:
        axes.set_yscale("function", functions=(lambda y: -np.log10(np.maximum(100 - y, 1e-3)), lambda y: 100 - 10**-y))
    axes.set_ylim(shares.ticks[0], shares.ticks[-1])
    shown = placing.apart(rungs, _cost, width)
    axes.set_xticks(shown, [_cost(tick) for tick in shown])
    axes.set_yticks(shares.ticks, [f"{tick:.4g}" for tick in shares.ticks])
    axes.minorticks_off()
    axes.tick_params(labelsize=SMALL)
    axes.grid(axis="y", color="#e6e6e6", lw=0.8)
    axes.set_axisbelow(True)
    axes.set_xlabel(wrapped(f"{what}, logarithmic", width), fontsize=SMALL)
    axes.set_ylabel(f"{quality} (%)", fontsize=SMALL)
    where = {"xycoords": "axes fraction", "textcoords": "offset points"}
    axes.annotate(f"↖ better: lower cost, higher {quality}", (0, 1), (0, 4), **where, fontsize=SMALL, color=DARK)
    stairs = [(point[cost], 100 * point[quality]) for point in best]
    axes.step(*zip(*stairs, (rungs[-1], stairs[-1][1]), strict=True), where="post", color=BLUE, lw=1.6)
    for point in points:
        pale = bool(by[point["name"]])
        if point["low"] is not None:
            axes.plot(
                [point[cost]] * 2, [100 * point["low"], 100 * point["high"]], color=BLACK, lw=1.2, alpha=0.35 if pale else 1, zorder=2
            )
        look = {"color": PALE, "markeredgecolor": PALE_EDGE} if pale else {"color": BLUE}
        axes.plot(point[cost], 100 * point[quality], "o", markersize=7, markeredgewidth=1.5, zorder=4 - pale, **look)
    _name_points(axes, points, best, lambda x, y: (width * placing.along(x, rungs), height * shares.place(y)), (cost, quality), size)
    return picture


def _name_points(axes, points: list[dict], best: list[dict], inches, keys: tuple, size: tuple) -> None:
    """Write the names of `points` beside their dots, those of `best` first; `inches(x, y)` is where a value lies from the axes' corner."""
    (cost, quality), (width, height) = keys, size
    spots = {point["name"]: inches(point[cost], 100 * point[quality]) for point in (*best, *points)}
    bars = [(inches(p[cost], 100 * p["low"]), inches(p[cost], 100 * p["high"])) for p in points if p["low"] is not None]
    steps = [spots[point["name"]] for point in best]
    for (x, y), (beyond, above) in zip(steps, [*steps[1:], (width, steps[-1][1])], strict=True):
        bars += [((x, y), (beyond, y)), ((beyond, y), (beyond, above))]
    taken = [(low[0] - 0.02, low[1] - 0.02, high[0] + 0.02, high[1] + 0.02) for low, high in bars]
    here = axes.figure.dpi_scale_trans + ScaledTranslation(*axes.get_position().p0, axes.figure.transFigure)
    first = {point["name"] for point in best}
    for name, place in placing.names_beside(spots, taken, (0.02, 0.02, width + 0.1, height - 0.02)).items():
        if place.line:
            axes.plot(*zip(*place.line, strict=True), color=GREY, lw=0.8, transform=here, zorder=2)
        middle, colour = (place.box[1] + place.box[3]) / 2, BLACK if name in first else DARK
        axes.text(place.box[0] + 0.02, middle, place.text, va="center", fontsize=SMALL, color=colour, transform=here, zorder=5)


def _at(point: dict, cost: str, quality: str) -> str:
    """Return "student (97.20% at 33,000)"."""
    return f"{point['name']} ({100 * point[quality]:.2f}% at {_cost(point[cost])})"


def _above(point: dict, names: list[str]) -> str:
    """Return a point's interval and what dominates it."""
    interval = "" if point["low"] is None else f"interval {100 * point['low']:.2f}% to {100 * point['high']:.2f}%; "
    return interval + (f"dominated by {'; '.join(names)}" if names else "not dominated")


def _cost(number: float) -> str:
    return f"{number:,.0f}" if number >= 1000 or number == int(number) else f"{number:.3g}"


def _caption_of_points(points: list[dict], by: dict, quality: str, stretched: bool) -> str:
    """Return the line below a picture of points: what dot, bar and line are."""
    seeds, bars = {point.get("seeds") for point in points}, any(point["low"] is not None for point in points)
    known = seeds.pop() if len(seeds) == 1 else None
    parts = [f"Each dot is the mean of {known} seed{'s' * (known > 1)}" if known else "Each dot is a network"]
    if bars:
        parts[0] += f", the bar its {f'{CONFIDENCE:.0%} ' if known else ''}interval: where bars overlap, other seeds may tell otherwise"
    parts[0] += "."
    if any(by.values()):
        parts.append("A pale one is dominated: another one costs no more and is at least as good, and is better in one of the two.")
    parts.append("The line is the best up to a cost." + (f" The axis of the {quality} is stretched towards 100%." if stretched else ""))
    return " ".join(parts)


# --- what a picture of a record says ---


def _opening(record: Record) -> str:
    return f"{record.metric[:1].upper()}{record.metric[1:]}, {_seeds(record)}"


def _seeds(record: Record) -> str:
    return f"{len(record.seeds)} seed{'s' * (len(record.seeds) > 1)}"


def _with_unit(text: str, unit: str) -> str:
    """Return the name of an axis with its unit, if its words do not say it."""
    return text if unit.strip() in text else f"{text} ({unit.strip()})"


def _caption(record: Record, dot: str, mean: str) -> str:
    """Return the line below a picture: what is what, and how many seeds there are."""
    enough, again = len(record.seeds) >= LEAST_SEEDS, record.replication
    interval = f"the band its {CONFIDENCE:.0%} interval" if enough else f"no interval below {LEAST_SEEDS} seeds"
    other = f", hollow dots are {len(again.seeds)} other seeds" if again else ""
    return f"{_seeds(record)}: {dot}, {mean}, {interval}{other}."


def _ends(record: Record, order: list[str]) -> str:
    """Return the best and the worst mean of the sorted variants."""
    scale, unit, _ = scale_of(record.unit)
    best, worst = ("Highest", "lowest") if record.higher_is_better else ("Lowest", "highest")
    first, last = (f"{name}, {scale * record.means[name]:.2f}{unit}" for name in (order[0], order[-1]))
    return f"{best} mean: {first}" + (f"; {worst}: {last}" if len(order) > 1 else "")


def _count(record: Record, rows: list[Comparison]) -> str:
    """Return how many of the comparisons win and lose, and how many verdicts of a replication are the same."""
    again, told = record.replication, []
    for word, one, many in (("WINS", "wins", "win"), ("LOSES", "loses", "lose"), ("INCONCLUSIVE", "is inconclusive", "are inconclusive")):
        if count := sum(c.verdict == word for c in rows):
            told.append(f"{count} {one if count == 1 else many}")
    found = f"Of {len(rows)} comparisons {', '.join(told)}"
    if not again:
        return found
    same = sum(again.verdict(c.variant, c.baseline) == c.verdict for c in rows)
    return f"{found}; on {len(again.seeds)} other seeds {same} of these verdicts are the same"


def _told(comparison: Comparison, again: Record | None) -> str:
    """Return "soft WINS against hard by +1.2 points", with what the replication says in brackets."""
    scale, _, unit = scale_of(comparison.unit)
    told = f"{comparison.variant} {comparison.label} against {comparison.baseline} by {_signed(scale * comparison.difference)}{unit}"
    if again:
        other = again.comparison(comparison.variant, comparison.baseline)
        told += f" (on {other.seeds} other seeds {other.label} by {_signed(scale * other.difference)}{unit})"
    return told


def _signed(difference: float) -> str:
    """Return one decimal with its sign; next to nothing is 0.0 and not -0.0."""
    return f"{round(difference, 1) + 0.0:+.1f}"

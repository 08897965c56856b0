"""Pictures: what they carry, and that nothing given to them is lost."""

from itertools import pairwise
from unittest.mock import patch

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PathCollection
from matplotlib.colors import to_rgb
from matplotlib.text import Text

from kdcourse import evidence, pareto, plots
from kdcourse.pictures import BLUE, WIDEST

P = np.array([[0.95, 0.05]] * 20 + [[0.65, 0.35]] * 15)
FOUR = np.array([100, 50, 10, 2])


def words(picture) -> list[str]:
    """The texts that a picture shows."""
    return [text.get_text() for text in picture.findobj(Text) if text.get_text().strip() and text.get_visible()]


def places_of_words(picture) -> list:
    """The (box, text) of each text that is really drawn: axes that are off have labels too, and ticks beyond the ends."""
    draw, found = Text.draw, []

    def seen(text, renderer, *args, **more):
        draw(text, renderer, *args, **more)
        if text.get_text().strip() and text.get_visible():
            found.append((text.get_window_extent(renderer), text.get_text()))

    with patch.object(Text, "draw", seen):
        FigureCanvasAgg(picture).draw()
    return found


def dots(axes) -> list[PathCollection]:
    """The clouds of dots in `axes`, in the order in which they were drawn."""
    return [collection for collection in axes.collections if isinstance(collection, PathCollection)]


def with_replication(record, seeds: int = 5):
    """The record with other seeds, on which all is the other way round."""
    values = {variant: [1 - value for value in values[:seeds]] for variant, values in record.values.items()}
    return evidence.Record({**record, "replication": {"seeds": list(range(30, 30 + seeds)), "values": values, "date": "2025-01-02"}})


def first_seeds(record, seeds: int):
    """The record of its first seeds only."""
    return evidence.Record({**record, "seeds": record.seeds[:seeds], "values": {v: xs[:seeds] for v, xs in record.values.items()}})


def made(**values):
    """A record of these values that compares nothing."""
    seeds = list(range(len(next(iter(values.values())))))
    about = {"experiment": "x", "metric": "accuracy", "unit": "percent", "higher_is_better": True, "compare": []}
    return evidence.Record(about | {"seeds": seeds, "values": values})


# name, kB of the file, accuracy: half of its interval; three are dominated, two of them nearly in one place
NETWORKS = [
    ("teacher, float32", 1080, 0.988, 0.003),
    ("student, float32", 135, 0.9835, 0.002),
    ("student, int8", 40, 0.9832, 0.002),
    ("pruned", 62, 0.9818, 0.002),
    ("pruned again", 63, 0.9817, 0.002),
    ("smaller network", 36, 0.978, 0.003),
    ("4 values", 42, 0.961, 0.006),
    ("linear", 7.9, 0.915, 0.001),
]
POINTS = [{"name": name, "kB": size, "accuracy": a, "low": a - half, "high": a + half, "seeds": 5} for name, size, a, half in NETWORKS]
ALL_LABELS = evidence.load("all_labels")
PICTURES = {
    "digits": lambda **more: plots.digits(np.ones((3, 28, 28)), ["a", "two\nlines", "a caption that is too long for its image"], **more),
    "five columns": lambda **more: plots.digits(np.ones((10, 28, 28, 1)), ["4, or 9?"] * 10, columns=5, **more),
    "bars": lambda **more: plots.soft_label_bars(np.ones((28, 28)), np.arange(10.0), (0.25, 1, 4, 20), label=9, **more),
    "lines": lambda **more: plots.lines(FOUR, {"a": FOUR, "b": 9 * FOUR}, xlabel="x", ylabel="y", **more),
    "log lines": lambda **more: plots.lines(FOUR, {"a": FOUR, "b": FOUR + 0.1}, xlabel="x", ylabel="y", log_x=True, caption="c", **more),
    "kept": lambda **more: plots.lines(FOUR, {"a": FOUR}, ylabel="y", kept_axis=True, **more),
    "matrix": lambda **more: plots.matrix(np.eye(3), "abc", xlabel="x", ylabel="y", label="share", **more),
    "scatter": lambda **more: plots.scatter({"a": ([1, 2], [3, 4])}, xlabel="x", ylabel="y", **more),
    "reliability": lambda **more: plots.reliability(dict.fromkeys("abcd", P), np.zeros(35, int), **more),
    "accuracies": lambda **more: plots.accuracies(ALL_LABELS, **more),
    "accuracies again": lambda **more: plots.accuracies(with_replication(ALL_LABELS), **more),
    "verdicts": lambda **more: plots.verdicts(evidence.load("losses_all"), **more),
    "verdicts again": lambda **more: plots.verdicts(with_replication(ALL_LABELS), **more),
    "pareto": lambda **more: plots.pareto(POINTS, "kB", xlabel="kB of the file after gzip", **more),
    "two of pareto": lambda **more: plots.pareto([POINTS[0] | {"kB": 1e6}, POINTS[1] | {"kB": 10}], "kB", **more),
}


@pytest.mark.parametrize("name", PICTURES)
def test_every_picture_draws_its_finding_in_letters_that_can_be_read(name):
    finding = "This is what the picture shows, in a sentence that is too long to be drawn in a single line of any of them."
    picture = PICTURES[name](title=finding)
    assert picture.alt == finding and finding in [" ".join(text.split()) for text in words(picture)]
    assert min(text.get_size() for text in picture.findobj(Text) if text.get_text().strip()) >= 9
    assert picture.get_figwidth() <= WIDEST + 0.001  # a page would shrink it, and its letters
    assert PICTURES[name](title="Short.", alt="Longer.").alt == "Longer." == PICTURES[name](alt="Longer.").alt


@pytest.mark.parametrize("name", PICTURES)
def test_no_word_is_cut_off_and_none_covers_another(name):
    picture = PICTURES[name](title="The finding.")
    whole, boxes = picture.bbox, places_of_words(picture)
    assert len(boxes) > 3
    for box, text in boxes:
        assert box.x0 >= -1 and box.x1 <= whole.x1 + 1 and box.y0 >= -1 and box.y1 <= whole.y1 + 1, text
    for i, (box, text) in enumerate(boxes):
        for other, its in boxes[:i]:
            across, down = min(box.x1, other.x1) - max(box.x0, other.x0), min(box.y1, other.y1) - max(box.y0, other.y0)
            assert across <= 1 or down <= 1, (text, its)


@pytest.mark.parametrize("name", ["digits", "lines", "matrix", "scatter", "reliability"])
def test_a_finding_is_needed_where_the_picture_does_not_know_it(name):
    with pytest.raises(ValueError, match="alt must be a sentence that states the finding where no title does, got None"):
        PICTURES[name]()


def test_pixels_of_small_images_are_whole_pixels_of_the_screen():
    for columns in (3, 5, 8, 10):
        picture = plots.digits(np.random.default_rng(0).random((12, 28, 28)), ["?"] * 12, title="Twelve.", columns=columns)
        pixels = np.asarray(picture._pixels().convert("L")).astype(int)
        for axes in picture.axes:
            box = axes.get_window_extent()
            ends = [2 * edge for edge in (box.x0, box.x1, picture.bbox.height - box.y1, picture.bbox.height - box.y0)]
            left, right, top, bottom = map(round, ends)
            assert np.allclose(ends, np.round(ends), atol=0.02) and (right - left) % 28 == 0 == (bottom - top) % 28
            size = (right - left) // 28
            blocks = pixels[top:bottom, left:right].reshape(28, size, 28, size)
            assert size >= 3 and (blocks == blocks[:, :1, :, :1]).all()


def test_every_line_is_drawn_or_refused():
    five = {str(i): [i, i] for i in range(5)}
    assert len(plots.lines([1, 2], five, "Flat.", xlabel="x", ylabel="y").axes[0].lines) == 5
    with pytest.raises(ValueError, match="ys must hold at most 5 lines, got 6"):
        plots.lines([1, 2], five | {"5": [5, 5]}, "Flat.", xlabel="x", ylabel="y")


def test_matrix_takes_other_columns_and_marks_a_cell():
    picture = plots.matrix([[1, 2, 3], [4, 5, 6]], "ab", "Rising.", xlabel="x", ylabel="y", columns="cde", mark=(1, 0))
    axes = picture.axes[0]
    assert [t.get_text() for t in axes.get_xticklabels()] == list("cde") and [t.get_text() for t in axes.get_yticklabels()] == list("ab")
    assert [patch.get_xy() for patch in axes.patches] == [(-0.5, 0.5)]
    with pytest.raises(ValueError, match=r"values must have shape \(2, 2\), as the names say, got \(2, 3\)"):
        plots.matrix([[1, 2, 3], [4, 5, 6]], "ab", "Rising.", xlabel="x", ylabel="y")


def test_scatter_gives_each_group_its_own_look():
    axes = plots.scatter({"a": ([1, 2], [3, 4]), "b": ([1], [2])}, "Up.", xlabel="x", ylabel="y").axes[0]
    assert [c.get_label() for c in axes.collections] == ["a", "b"]
    assert axes.collections[0].get_offsets().tolist() == [[1, 3], [2, 4]]
    assert not np.allclose(axes.collections[0].get_facecolor(), axes.collections[1].get_facecolor())
    with pytest.raises(ValueError, match="groups must hold at most 6 clouds, got 7"):
        plots.scatter({str(i): ([0], [0]) for i in range(7)}, "Many.", xlabel="x", ylabel="y")


def test_matrix_leaves_an_empty_diagonal_white():
    values = np.where(np.eye(3, dtype=bool), np.nan, 0.5)
    assert len(plots.matrix(values, "abc", "Even.", xlabel="x", ylabel="y").axes[0].texts) == 6


def test_reliability_leaves_out_small_bins():
    p = np.array([[0.95, 0.05]] * 20 + [[0.65, 0.35]] * 3)
    dots = plots.reliability({"a": p}, np.zeros(23, int), "Dots.").axes[0].collections[0]
    assert len(dots.get_offsets()) == 1


# --- records ---


def rows(picture) -> list[str]:
    """The names of the rows, from the top."""
    return [label.get_text().replace("\n", " ") for label in picture.axes[0].get_yticklabels()]


def test_accuracies_are_sorted_with_a_dot_for_each_seed_and_the_mean_as_a_number():
    record = evidence.load("few_labels")
    picture = plots.accuracies(record, title="The full teacher teaches best.")
    order = sorted(record.values, key=record.means.get, reverse=True)
    axes = picture.axes[0]
    assert rows(picture) == order and order[0] == "full teacher"
    assert axes.get_ylim()[0] > axes.get_ylim()[1]  # the first row is on top
    for place, (variant, cloud) in enumerate(zip(order, dots(axes), strict=True)):
        assert sorted(cloud.get_offsets()[:, 0]) == pytest.approx(sorted(100 * x for x in record.values[variant]))
        assert np.abs(cloud.get_offsets()[:, 1] - place).max() < 0.35  # in its own row
        assert f"{100 * record.means[variant]:.2f}%" in words(picture)
    assert [line.get_xdata()[0] for line in axes.lines] == pytest.approx([100 * record.means[v] for v in order])


def test_accuracies_show_the_interval_of_each_mean_from_five_seeds_on():
    bands = plots.accuracies(ALL_LABELS).axes[0].patches
    _, low, high = evidence.paired_interval(ALL_LABELS.values["soft"])
    assert len(bands) == 4 and (bands[-1].get_x(), bands[-1].get_width()) == pytest.approx((100 * low, 100 * (high - low)))
    five, four = (plots.accuracies(first_seeds(ALL_LABELS, n)) for n in (5, 4))
    assert len(five.axes[0].patches) == 4 and "10 seeds" not in str(words(five)) and "5 seeds: each dot is a seed" in str(words(five))
    assert "the band its 95% interval" in str(words(five))
    assert not four.axes[0].patches and "no interval below 5 seeds" in str(words(four)) and "95%" not in str(words(four))


def test_no_interval_of_a_share_passes_100_percent():
    bands = plots.accuracies(made(a=[1.0, 1.0, 1.0, 1.0, 0.9], b=[0.0, 0.0, 0.0, 0.0, 0.1])).axes[0].patches
    for band in bands:
        assert len(bands) == 2 and band.get_x() >= 0 and band.get_x() + band.get_width() <= 100


def test_dots_of_equal_values_stand_apart_and_are_the_same_each_time():
    record = made(a=[0.5] * 5, b=[0.1, 0.2, 0.3, 0.4, 0.45])
    first, second = (dots(plots.accuracies(record).axes[0]) for _ in range(2))
    assert len(set(first[0].get_offsets()[:, 1])) == 5 and len(set(first[1].get_offsets()[:, 1])) == 1
    assert all((a.get_offsets() == b.get_offsets()).all() for a, b in zip(first, second, strict=True))


def test_accuracies_show_a_replication_as_hollow_dots():
    clouds = dots(plots.accuracies(with_replication(ALL_LABELS)).axes[0])
    hollow = [len(cloud.get_facecolor()) == 0 for cloud in clouds]
    assert hollow == [False, True] * 4 and [len(cloud.get_offsets()) for cloud in clouds] == [10, 5] * 4
    assert "hollow dots are 5 other seeds" in str(words(plots.accuracies(with_replication(ALL_LABELS))))


def test_both_pictures_say_which_side_is_better_and_what_is_measured():
    for draw in (plots.accuracies, plots.verdicts):
        assert "right is better →" in words(draw(ALL_LABELS)) and "test split" in draw(ALL_LABELS).axes[0].get_xlabel()
        errors = draw(evidence.load("hinton"))
        assert "← left is better" in words(errors) and "errors on the 10,000 test images" in errors.axes[0].get_xlabel()
    assert rows(plots.accuracies(evidence.load("hinton"))) == ["the teacher", "distilled", "plain"]  # the fewest errors on top
    assert plots.accuracies(ALL_LABELS).axes[0].get_xlabel() == "accuracy on the test split (%)"
    assert plots.verdicts(ALL_LABELS).axes[0].get_xlabel() == "difference in accuracy on the test split (points)"


def test_accuracies_of_chosen_variants():
    assert rows(plots.accuracies(ALL_LABELS, variants=["soft", "hard"])) == ["hard", "soft"]
    with pytest.raises(ValueError, match="variants must be names out of hard, .*, got 'sofft'"):
        plots.accuracies(ALL_LABELS, variants=["sofft"])
    search = evidence.load("choices")
    assert len(rows(plots.accuracies(search))) == len({name for pair in search["compare"] for name in pair}) < len(search.values)
    with pytest.raises(ValueError, match="variants must be at most 20 names, got 21"):
        plots.accuracies(search, variants=list(search.values)[:21])


def test_accuracies_without_a_title_say_what_is_highest():
    picture = plots.accuracies(ALL_LABELS)
    assert picture.alt == "Accuracy on the test split, 10 seeds. Highest mean: hard, jittered, 93.06%; lowest: soft, 91.63%."
    assert "hard, jittered 93.06%; hard 92.26%; smoothed 91.93%; soft 91.63%" in picture.words
    errors = plots.accuracies(evidence.load("hinton"))
    assert "Lowest mean: the teacher, 78.00 errors; highest: plain, 135.40 errors." in errors.alt


def marks(picture):
    """Return the height and the alpha of each mean that is drawn."""
    drawn = picture.axes[0].lines[:-1]  # the last is the line at zero
    return [(line.get_ydata()[0], line.get_alpha()) for line in drawn]


def test_verdicts_of_many_seeds_and_of_few():
    picture = plots.verdicts(ALL_LABELS)
    assert all(f"{c.variant} {c.verdict} against {c.baseline}" in picture.alt for c in ALL_LABELS.comparisons)
    assert marks(picture) == [(y, 1.0) for y in range(4)] and len(picture.axes[0].patches) == 4
    few = plots.verdicts(first_seeds(ALL_LABELS, 3))
    assert marks(few) == [(y, 1.0) for y in range(4)] and not few.axes[0].patches
    assert "no interval below 5 seeds" in str(words(few)) and few.png()


def test_verdicts_are_sorted_with_a_dot_for_each_seed_and_the_verdict_as_a_word():
    picture = plots.verdicts(evidence.load("few_labels"))
    record = evidence.load("few_labels")
    order = sorted(record.comparisons, key=lambda c: c.difference, reverse=True)
    assert rows(picture) == [f"{c.variant} against {c.baseline}" for c in order]
    for c, cloud in zip(order, dots(picture.axes[0]), strict=True):
        differences = [100 * (a - b) for a, b in zip(record.values[c.variant], record.values[c.baseline], strict=True)]
        assert sorted(cloud.get_offsets()[:, 0]) == pytest.approx(sorted(differences))
        assert f"{100 * c.difference:+.2f}  {c.verdict}".replace("-", "−") in words(picture)
    bands = picture.axes[0].patches
    assert [(band.get_x(), band.get_x() + band.get_width()) for band in bands] == [
        pytest.approx((100 * c.low, 100 * c.high)) for c in order
    ]
    assert "10 seeds: each dot is a seed's difference, the large mark is the mean, the band its 95% interval." in words(picture)


def test_where_less_is_better_the_largest_fall_is_on_top():
    record = evidence.load("hinton_omitted_3")
    drawn = [line.get_xdata()[0] for line in plots.verdicts(record).axes[0].lines[:-1]]
    assert len(drawn) == len(record.comparisons) and all(a <= b for a, b in pairwise(drawn))


def test_verdicts_against_one_baseline():
    record = evidence.load("losses_all")
    picture = plots.verdicts(record, baseline="KL")
    assert sorted(rows(picture)) == sorted(c.variant for c in record.comparisons if c.baseline == "KL")
    assert picture.axes[0].get_xlabel() == "difference from KL in accuracy on the test split (points)"
    with pytest.raises(ValueError, match="baseline must be one of hard, KL, got 'smoothed'"):
        plots.verdicts(record, baseline="smoothed")
    with pytest.raises(ValueError, match="record must hold a comparison, got none"):
        plots.verdicts(evidence.load("choice_for_tuning"))


def test_verdicts_show_a_replication_paler_and_below():
    picture = plots.verdicts(with_replication(ALL_LABELS))
    assert "hard, jittered WINS against soft by +1.4 points (on 5 other seeds LOSES by -1.8 points)" in picture.alt
    assert "hollow dots are 5 other seeds" in " ".join(" ".join(words(picture)).split())
    assert [place for place, _ in marks(picture)] == [0, 0.45, 1, 1.45, 2, 2.45, 3, 3.45]
    assert all((alpha < 1) == (place % 1 > 0) for place, alpha in marks(picture))
    clouds = dots(picture.axes[0])
    assert [len(cloud.get_facecolor()) for cloud in clouds] == [1, 0] * 4 and [len(cloud.get_offsets()) for cloud in clouds] == [10, 5] * 4
    bands = picture.axes[0].patches
    assert all(a.get_y() + a.get_height() <= b.get_y() for a, b in pairwise(bands))  # no interval covers another
    assert sum("WINS" in text or "LOSES" in text or "INCONCLUSIVE" in text for text in words(picture)) == 8


def test_verdicts_say_what_is_too_small_to_matter():
    picture = plots.verdicts({**made(a=[0.9] * 5, b=[0.9011, 0.9012, 0.901, 0.9011, 0.9011]), "compare": [["b", "a"]]})
    assert "b WINS, too small to matter against a by +0.1 points" in picture.alt
    assert "+0.11  WINS\ntoo small to matter" in words(picture)


def test_the_alt_text_of_many_comparisons_counts_them_and_the_words_name_them():
    record = evidence.load("losses_all")
    picture = plots.verdicts(record)
    assert picture.alt == "Accuracy on the test split, 16 seeds. Of 15 comparisons 7 win, 4 lose, 4 are inconclusive."
    assert all(f"{c.variant} {c.verdict} against {c.baseline}" in picture.words for c in record.comparisons)
    told = plots.verdicts(record, title="KL wins.")
    assert told.alt == "KL wins." and told.words == picture.words
    again = plots.verdicts(with_replication(evidence.load("few_labels"))).alt
    assert again.endswith("2 are inconclusive; on 5 other seeds 2 of these verdicts are the same.")


def test_a_record_draws_itself(shown):
    record = ALL_LABELS
    first, second, table = shown(record)
    drawn = plots.shown(record)
    assert [first.data["text/plain"], second.data["text/plain"]] == [picture.alt for picture in drawn]
    assert [picture.title for picture in drawn] == [
        "Highest mean: hard, jittered, 93.06%; lowest: soft, 91.63%",
        "Of 4 comparisons 2 win, 1 loses, 1 is inconclusive",
    ]
    assert all(picture.alt == f"Accuracy on the test split, 10 seeds. {picture.title}." for picture in drawn)
    assert table.data["text/plain"] == evidence.table(record)


def test_a_record_shows_as_many_pictures_as_it_needs():
    tutorial = evidence.load("tutorial_accuracy")
    assert len(tutorial.values) == 2 and len(plots.shown(tutorial)) == 1
    assert plots.shown(evidence.load("choice_for_tuning")) == []  # a search: its table says what it found
    assert plots.shown(evidence.load("choice_beyond_the_edges")) == []  # 43 settings
    assert all(len(rows(picture)) <= plots.MOST_ROWS for picture in plots.shown(evidence.load("curve")))


# --- arrays ---


def test_captions_and_images_must_match():
    with pytest.raises(ValueError, match="captions must have one entry for each of the 2 images, got 1"):
        plots.digits(np.zeros((2, 28, 28)), ["a"], "Two digits.")


def test_ticks_are_those_that_were_asked_for():
    picture = plots.lines([1, 10, 50], {"a": [1, 2, 3]}, "It rises.", xlabel="x", ylabel="y", log_x=True, ticks=(2, 12, 50))
    axes = picture.axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["2", "12", "50"]
    assert list(axes.get_xticks(minor=True)) == []


def test_a_logarithmic_axis_writes_plain_numbers():
    picture = plots.lines([0.05, 200], {"a": [1, 2]}, "It rises.", xlabel="x", ylabel="y", log_x=True)
    picture.draw_without_rendering()
    assert {"0.1", "1", "10", "100"} <= {label.get_text() for label in picture.axes[0].get_xticklabels()}


def test_the_axis_of_weights_kept_falls_from_100_percent_and_is_stretched():
    axes = plots.lines([100, 30, 5, 1], {"a": [4, 3, 2, 1]}, title="It falls.", ylabel="y", kept_axis=True).axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["100", "50", "20", "10", "5", "2", "1"]
    left, right = axes.get_xlim()
    assert axes.get_xscale() == "log" and left > 100 and right < 1 and "kept" in axes.get_xlabel()
    for wrong in (0, 101):
        with pytest.raises(ValueError, match=rf"each of x must be one number in \(0, 100\], the percentage of weights kept, got {wrong}"):
            plots.lines([100, wrong], {"a": [1, 2]}, title="It falls.", ylabel="y", kept_axis=True)


def test_bands_lie_around_their_lines():
    bands = {"b": ([0, 1, 2], [2, 3, 4])}
    axes = plots.lines([1, 2, 3], {"a": [0, 0, 0], "b": [1, 2, 3]}, "Up.", xlabel="x", ylabel="y", bands=bands).axes[0]
    (band,) = axes.collections
    assert band.get_paths()[0].get_extents().extents.tolist() == [1, 0, 3, 4]
    assert np.allclose(band.get_facecolor()[0][:3], to_rgb(axes.lines[1].get_color()))
    with pytest.raises(ValueError, match="each name of bands must be one of a, got 'b'"):
        plots.lines([1, 2, 3], {"a": [0, 0, 0]}, "Up.", xlabel="x", ylabel="y", bands=bands)
    with pytest.raises(ValueError, match="xlabel must be a text, got None"):
        plots.lines([1, 2, 3], {"a": [0, 0, 0]}, "Up.", ylabel="y")


@pytest.mark.parametrize(("kept", "end"), [(False, 100), (True, 1)])
def test_names_stand_at_the_right_ends_of_their_lines(kept, end):
    picture = plots.lines([1, 10, 100], {"a": [9, 2, 1], "b": [1, 6, 9]}, "Crossing.", xlabel="x", ylabel="y", kept_axis=kept)
    named = {text.get_text(): text.xy for text in picture.axes[0].texts}
    assert named == ({"a": (1, 9), "b": (1, 1)} if kept else {"a": (100, 1), "b": (100, 9)}) and picture.axes[0].get_legend() is None
    assert all(place == end for place, _ in named.values())


@pytest.mark.parametrize(
    "ys", [{"a": [0, 9, 5], "b": [9, 0, 5.1]}, {"a": [0, 9, np.nan], "b": [9, 0, 5]}, {"a" * 40: [0, 9, 0], "b": [9, 0, 5]}]
)
def test_names_that_do_not_fit_at_the_ends_stand_in_a_legend(ys):
    axes = plots.lines([1, 2, 3], ys, "Crossing.", xlabel="x", ylabel="y").axes[0]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == list(ys) and not axes.texts


def test_one_line_needs_no_name():
    axes = plots.lines([1, 2], {"a": [1, 2]}, "Up.", xlabel="x", ylabel="y").axes[0]
    assert axes.get_legend() is None and not axes.texts


def test_panels_of_reliability_stand_three_beside_each_other():
    places = [axes.get_subplotspec() for axes in plots.reliability(dict.fromkeys("abcde", P), np.zeros(35, int), "Five.").axes]
    assert [(place.rowspan.start, place.colspan.start) for place in places] == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1)]


def test_pareto_says_what_is_not_dominated():
    picture = plots.pareto(POINTS, "kB", xlabel="kB of the file")
    front = "linear (91.50% at 7.9); smaller network (97.80% at 36); student, int8 (98.32% at 40); student, float32 (98.35% at 135)"
    assert picture.alt == f"Accuracy by kB of the file, 8 points. Not dominated: {front}; teacher, float32 (98.80% at 1,080)."
    told = picture.words.splitlines()
    assert told[0] == "Accuracy by kB of the file, 8 points, the one of the lowest cost first."
    assert told[4] == "4 values (96.10% at 42); interval 95.50% to 96.70%; dominated by student, int8; smaller network."
    assert told[1].endswith("; not dominated.") and len(told) == 9
    assert any("Each dot is the mean of 5 seeds, the bar its 95% interval" in " ".join(text.split()) for text in words(picture))


def test_pareto_joins_the_front_and_makes_the_others_pale():
    axes = plots.pareto(POINTS, "kB", "Seen.").axes[0]
    stairs = axes.lines[0]
    steps = [(kb, 100 * share) for name, kb, share, _ in reversed(NETWORKS) if name in pareto.front(POINTS, "kB")]
    np.testing.assert_allclose(np.transpose(stairs.get_data())[:-1], sorted(steps))
    assert stairs.get_drawstyle() == "steps-post" and stairs.get_xdata()[-1] == axes.get_xlim()[1]
    marks = {line.get_xdata()[0]: line for line in axes.lines if line.get_marker() == "o"}
    faces = {name: marks[kb].get_markerfacecolor() for name, kb, *_ in NETWORKS}
    dominated = {name for name, above in pareto.dominated(POINTS, "kB").items() if above}
    assert {name for name in faces if faces[name] != BLUE} == dominated == {"pruned", "pruned again", "4 values"}
    bars = [line.get_ydata() for line in axes.lines if len(line.get_xdata()) == 2 and line.get_xdata()[0] == line.get_xdata()[1] == 135]
    np.testing.assert_allclose(bars, [[98.15, 98.55]])


def test_pareto_names_every_point_beside_it():
    picture = plots.pareto(POINTS, "kB", "Seen.")
    placed = {text.replace("\n", " "): box for box, text in places_of_words(picture)}
    assert set(placed) >= {name for name, *_ in NETWORKS}
    axes = picture.axes[0]
    inside = axes.get_window_extent()
    for name, size, share, _ in NETWORKS:
        x, y = axes.transData.transform((size, 100 * share))
        box = placed[name]
        away = np.hypot(max(box.x0 - x, x - box.x1, 0), max(box.y0 - y, y - box.y1, 0))
        assert away < 1.15 * picture.dpi and box.y0 > inside.y0 and box.y1 < inside.y1
        for other_size, other_share in ((kb, a) for other, kb, a, _ in NETWORKS if other != name):  # no dot is covered
            x, y = axes.transData.transform((other_size, 100 * other_share))
            assert not (box.x0 < x < box.x1 and box.y0 < y < box.y1)


def test_pareto_stretches_the_axis_only_where_errors_differ_much():
    stretched, plain = (plots.pareto(points, "kB", "Seen.") for points in (POINTS, POINTS[:4]))
    ends = [picture.axes[0].transAxes.inverted() for picture in (stretched, plain)]
    middle = [
        end.transform(picture.axes[0].transData.transform((100, 98)))[1] for end, picture in zip(ends, (stretched, plain), strict=True)
    ]
    np.testing.assert_allclose(middle[0], np.log(10 / 2) / np.log(10 / 0.5), atol=1e-3)
    np.testing.assert_allclose(middle[1], (98 - 97.5) / 2, atol=1e-3)
    assert [text.get_text() for text in stretched.axes[0].get_yticklabels()] == ["90", "95", "98", "99", "99.5"]
    assert any("stretched towards 100%" in " ".join(text.split()) for text in words(stretched))
    assert not any("stretched" in text for text in words(plain))


def test_pareto_of_points_without_intervals_and_refusals():
    bare = [{"name": name, "kB": size, "recall": share} for name, size, share, _ in NETWORKS[:2]]
    picture = plots.pareto(bare, "kB", quality="recall")
    assert picture.alt.startswith("Recall by kB, 2 points.") and "interval" not in picture.words + " ".join(words(picture))
    assert len(plots.pareto(bare[:1], "kB", quality="recall").axes[0].lines) == 2  # a line and a dot
    with pytest.raises(ValueError, match="points must be at most 20, got 21"):
        plots.pareto([POINTS[0] | {"name": str(i)} for i in range(21)], "kB", "Many.")
    with pytest.raises(ValueError, match="ms of 'teacher, float32' must be one number > 0 and finite, got None"):
        plots.pareto(POINTS, "ms", "None.")

"""Pictures: what they carry, and that nothing given to them is lost."""

import io

import numpy as np
import pytest
from PIL import Image

from kdcourse import evidence, plots


def test_a_picture_shows_itself_with_its_alt_text(shown):
    picture = plots.lines([1, 2], {"a": [1, 2]}, "The line rises.", xlabel="x", ylabel="y")
    image, words = shown(picture)
    assert image.metadata["image/png"]["alt"] == image.data["text/plain"] == "The line rises."
    assert "The line rises." in words.data["text/html"]
    assert Image.open(io.BytesIO(picture.png())).size == (640, 320)


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


def marks(picture):
    """Return (place, alpha, whether it is a line) of what is drawn for the comparisons."""
    drawn = picture.axes[0].lines[:-1]  # the last is the line at zero
    return [(line.get_ydata()[0], line.get_alpha(), len(line.get_ydata()) == 2) for line in drawn]


def test_verdicts_of_many_seeds_and_of_few():
    record = evidence.load("all_labels")
    picture = plots.verdicts(record)
    assert all(f"{c.variant} {c.verdict} against {c.baseline}" in picture.alt for c in record.comparisons)
    assert marks(picture) == [(y, 1.0, line) for y in range(4) for line in (True, False)]
    few = {**record, "seeds": record.seeds[:3], "values": {variant: values[:3] for variant, values in record.values.items()}}
    assert marks(plots.verdicts(few)) == [(y, 1.0, False) for y in range(4)] and plots.verdicts(few).png()


def test_verdicts_show_a_replication_paler_and_below():
    record = evidence.load("all_labels")
    other = {"seeds": range(30, 35), "values": {variant: [1 - v for v in values[:5]] for variant, values in record.values.items()}}
    picture = plots.verdicts({**record, "replication": other})
    assert "hard, jittered WINS against soft by +1.4 points (on 5 other seeds LOSES by -1.8 points)" in picture.alt
    assert picture.axes[0].get_xlabel().endswith("(points); paler: 5 other seeds")
    assert [place for place, *_ in marks(picture)] == [0, 0, 0.4, 0.4, 1, 1, 1.4, 1.4, 2, 2, 2.4, 2.4, 3, 3, 3.4, 3.4]
    assert all(alpha < 1 for place, alpha, _ in marks(picture) if place % 1) and len(picture.axes[0].texts) == 8


def test_verdicts_say_what_is_too_small_to_matter():
    values = {"a": [0.9] * 5, "b": [0.9011, 0.9012, 0.901, 0.9011, 0.9011]}
    record = {"metric": "accuracy", "unit": "percent", "higher_is_better": True, "seeds": range(5), "compare": [["b", "a"]]}
    picture = plots.verdicts(record | {"values": values})
    assert "b WINS, too small to matter against a by +0.1 points" in picture.alt


def test_a_record_draws_itself(shown):
    record = evidence.load("all_labels")
    image, _, table = shown(record)
    assert image.data["text/plain"] == plots.verdicts(record).alt
    assert table.data["text/plain"] == evidence.table(record) and "<details><summary>The whole table" in table.data["text/html"]


def test_captions_and_images_must_match():
    with pytest.raises(ValueError, match="captions must have one entry for each of the 2 images, got 1"):
        plots.digits(np.zeros((2, 28, 28)), ["a"], "Two digits.")


def test_ticks_are_those_that_were_asked_for():
    picture = plots.lines([1, 10, 50], {"a": [1, 2, 3]}, "It rises.", xlabel="x", ylabel="y", log_x=True, ticks=(2, 12, 50))
    axes = picture.axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["2", "12", "50"]
    assert list(axes.get_xticks(minor=True)) == []

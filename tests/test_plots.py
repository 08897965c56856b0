"""Pictures: what they carry, and that nothing given to them is lost."""

import io

import numpy as np
import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from PIL import Image

from kdcourse import plots, records


def test_a_picture_shows_itself_with_its_alt_text():
    picture = plots.lines([1, 2], {"a": [1, 2]}, "The line rises.", xlabel="x", ylabel="y")
    InteractiveShell.instance()
    try:
        with capture_output() as captured:
            picture._ipython_display_()
    finally:
        InteractiveShell.clear_instance()
    image, words = captured.outputs
    assert image.metadata["image/png"]["alt"] == image.data["text/plain"] == "The line rises."
    assert "The line rises." in words.data["text/html"]
    assert Image.open(io.BytesIO(picture.png())).size == (640, 320)


def test_every_line_is_drawn_or_refused():
    five = {str(i): [i, i] for i in range(5)}
    assert len(plots.lines([1, 2], five, "Flat.", xlabel="x", ylabel="y").axes[0].lines) == 5
    with pytest.raises(ValueError, match="ys must hold at most 5 lines, got 6"):
        plots.lines([1, 2], five | {"5": [5, 5]}, "Flat.", xlabel="x", ylabel="y")


def test_matrix_leaves_an_empty_diagonal_white():
    values = np.where(np.eye(3, dtype=bool), np.nan, 0.5)
    assert len(plots.matrix(values, "abc", "Even.", xlabel="x", ylabel="y").axes[0].texts) == 6


def test_reliability_leaves_out_small_bins():
    p = np.array([[0.95, 0.05]] * 20 + [[0.65, 0.35]] * 3)
    dots = plots.reliability({"a": p}, np.zeros(23, int), "Dots.").axes[0].collections[0]
    assert len(dots.get_offsets()) == 1


def test_verdicts_of_many_seeds_and_of_one():
    record = records.load("all_labels")
    picture = plots.verdicts(record)
    assert all(f"{c['arm']} {c['verdict']} against {c['baseline']}" in picture.alt for c in record["comparisons"])
    one = {**record, "comparisons": [{**c, "low": None, "high": None, "verdict": "INCONCLUSIVE"} for c in record["comparisons"]]}
    assert plots.verdicts(one).png()


def test_captions_and_images_must_match():
    with pytest.raises(ValueError, match="captions must have one entry for each of the 2 images, got 1"):
        plots.digits(np.zeros((2, 28, 28)), ["a"], "Two digits.")

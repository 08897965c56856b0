"""Diagrams: where boxes and arrows lie, what cells show, and what is refused."""

import re

import numpy as np
import pytest
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Rectangle
from matplotlib.text import Text

from kdcourse.schematics import CELL, ROLES, SQUARE, Box, Schematic


def sheet(width: float = 12, height: float = 6, **more) -> Schematic:
    return Schematic("The student learns from the teacher.", width=width, height=height, **more)


def patches(picture, kind) -> list:
    return [patch for patch in picture.axes[0].patches if type(patch) is kind]


def words(picture) -> dict[str, Text]:
    return {text.get_text(): text for text in picture.findobj(Text) if text.get_text().strip()}


def test_a_sheet_is_squared_paper_with_a_title(shown):
    picture = sheet(width=10, height=3, caption="Dashed: the gradient.")
    picture.box(5, 1.5, "teacher")
    (output,) = shown(picture)
    assert output.data["text/plain"] == picture.alt == "The student learns from the teacher."
    assert {"The student learns from the teacher.", "Dashed: the gradient.", "teacher"} <= set(words(picture))
    box = picture.axes[0].get_window_extent()
    assert (box.width, box.height) == pytest.approx((1000 * SQUARE, 300 * SQUARE), abs=0.5)
    assert picture.axes[0].get_xlim() == (0, 10) and picture.axes[0].get_ylim() == (3, 0)  # y counts down


def test_all_letters_can_be_read():
    picture = sheet(caption="A caption.")
    first, second = picture.box(2, 1, "teacher"), picture.box(8, 1, "student", width=2)
    picture.arrow(first, second, "soft labels")
    picture.cells(3, 3, [0.5, -0.25], "weights", labels=["row"], mark=[True, False])
    picture.bars(6, 4.5, [1, 2], ["a", "b"], unit=" bytes")
    picture.note(9, 3, "a note")
    assert min(text.get_size() for text in words(picture).values()) >= 9


def test_a_box_is_as_large_as_its_text_or_as_it_is_told():
    picture = sheet()
    small, large, told = picture.box(1, 1, "a"), picture.box(4, 1, "a much longer text"), picture.box(9, 3, "b", width=3, height=2)
    assert small.width < large.width and small.height == large.height == 1
    assert told == Box(9, 3, 3, 2) and (told.left, told.right, told.top, told.bottom) == (7.5, 10.5, 2, 4)
    picture.draw_without_rendering()
    for patch, text in zip(patches(picture, FancyBboxPatch), ("a", "a much longer text", "b"), strict=True):
        inner, outer = words(picture)[text].get_window_extent(), patch.get_window_extent()
        assert outer.x0 < inner.x0 and inner.x1 < outer.x1 and outer.y0 < inner.y0 and inner.y1 < outer.y1


def test_text_is_broken_to_the_width_of_its_box():
    picture = sheet()
    picture.box(3, 2, "a text of many words", width=1.6, height=3)
    assert "\n" in max(words(picture), key=lambda text: text.count("\n"))


def test_each_role_has_a_look_of_its_own():
    picture = sheet()
    for i, role in enumerate(ROLES):
        picture.box(1 + 2 * i, 1, "x", role=role)
    looks = {(p.get_facecolor(), p.get_edgecolor(), p.get_linestyle(), p.get_linewidth()) for p in patches(picture, FancyBboxPatch)}
    assert len(looks) == len(ROLES) and {"teacher", "student", "data", "loss", "phone"} <= set(ROLES)
    with pytest.raises(ValueError, match="role must be one of teacher, student, data, loss, phone, step, got 'pupil'"):
        picture.box(3, 3, "x", role="pupil")


@pytest.mark.parametrize(
    ("end", "expected"),
    [
        ((9, 3), ((6, 3), (8, 3))),  # at the right
        ((1, 3), ((4, 3), (2, 3))),  # at the left
        ((5, 5), ((5, 3.5), (5, 4.5))),  # below
        ((5, 1), ((5, 2.5), (5, 1.5))),  # above
        ((9, 3.4), ((6, 3.2), (8, 3.2))),  # still straight, at a height that both have
        ((9, 5), ((6, 3.5), (8, 4.5))),  # slanted, through the middles
        ((9, 3.9), ((6, 3.225), (8, 3.675))),  # what they share is too little for a straight one
    ],
)
def test_an_arrow_goes_from_edge_to_edge(end, expected):
    picture = sheet()
    start, end = picture.box(5, 3, "a", width=2), picture.box(*end, "b", width=2)
    found = picture.arrow(start, end)
    assert np.allclose(found, expected)
    (arrow,) = patches(picture, FancyArrowPatch)
    assert np.allclose(arrow._posA_posB, expected) and arrow.get_linestyle() in ("-", "solid")


def test_an_arrow_back_lies_beside_the_one_forth_and_is_dashed():
    picture = sheet()
    a, b, c = picture.box(2, 1, "a"), picture.box(6, 1, "b"), picture.box(2, 4, "c")
    forth, back = picture.arrow(a, b, "forth"), picture.arrow(b, a, "back", back=True)
    assert forth[0][1] == forth[1][1] < back[0][1] == back[1][1] < a.bottom and back[0][0] == b.left and back[1][0] == a.right
    down, up = picture.arrow(a, c, "down"), picture.arrow(c, a, "up", back=True)
    assert a.left < up[0][0] < down[0][0] and up == ((up[0][0], c.top), (up[0][0], a.bottom))
    assert [arrow.get_linestyle() for arrow in patches(picture, FancyArrowPatch)] == ["solid", "dashed"] * 2
    (_, above), (_, below), (right, _), (left, _) = (words(picture)[text].get_position() for text in ("forth", "back", "down", "up"))
    assert above < forth[0][1] and below > back[0][1] and right > down[0][0] and left < up[0][0]


def test_a_text_fits_on_its_arrow():
    picture = sheet()
    start, end = picture.box(2, 1, "a"), picture.box(3.4, 1, "b")
    picture.arrow(start, picture.box(2, 4, "c"), "a text that is longer than the arrow")  # it stands beside
    with pytest.raises(ValueError, match="text 'unbreakable' must fit into 0.* squares, got one that needs"):
        picture.arrow(start, end, "unbreakable")


def test_cells_show_values_and_what_is_crossed_out():
    picture = sheet()
    values, mark = np.array([[0.5, -0.25, 0.0], [0.01, 1.0, -1.0]]), np.array([[False, False, False], [True, False, True]])
    box = picture.cells(6, 3, values, "weights", labels=["first", "second"], mark=mark, decimals=1)
    told = {"0.5", "−0.2", "0.0", "1.0", "−1.0", "weights", "first", "second"}
    assert told <= set(words(picture)) and box.height == 2 * CELL and (box.x, box.y) == (6, 3)
    assert len(picture.axes[0].lines) == 2 * mark.sum()
    filled = [patch.get_facecolor() for patch in patches(picture, Rectangle)[::2]]
    strengths = [colour[3] for colour in filled]
    assert strengths[2] == strengths[3] == strengths[5] == 0 < strengths[1] < strengths[0] < strengths[4]
    assert filled[0][:3] != filled[1][:3]  # above zero, below zero
    assert words(picture)["weights"].get_position()[1] < box.top and words(picture)["first"].get_position()[0] < box.left


@pytest.mark.parametrize(
    ("values", "told"),
    [
        (np.array([-128, 3], np.int8), ["−128", "3"]),
        ([True, False], ["1", "0"]),
        (["a", "b-c"], ["a", "b-c"]),
        (np.array([0.126, 2]), ["0.13", "2.00"]),
    ],
)
def test_cells_of_every_kind(values, told):
    picture = sheet()
    picture.cells(6, 3, values)
    assert set(told) < set(words(picture))
    first = patches(picture, Rectangle)[0].get_facecolor()
    assert first[3] == (0 if told[0] == "a" else pytest.approx(0.45 * 0.126 / 2) if told[0] == "0.13" else 0.45)


def test_bars_are_as_long_as_their_values():
    picture = sheet()
    box = picture.bars(6, 3, [4_000_000, 1_000_000, 0], ["teacher", "student", "nothing"], width=4, unit=" bytes")
    drawn = patches(picture, Rectangle)
    assert [bar.get_width() for bar in drawn] == [4, 1, 0] and len({bar.get_x() for bar in drawn}) == 1
    assert [bar.get_y() for bar in drawn] == sorted(bar.get_y() for bar in drawn)
    assert {"teacher", "student", "4,000,000 bytes", "1,000,000 bytes", "0 bytes"} < set(words(picture))
    picture.draw_without_rendering()
    inside = picture.axes[0].transData.inverted()
    for text in list(words(picture).values()):
        if text.axes:
            (left, _), (right, _) = inside.transform(text.get_window_extent())
            assert box.left - 0.01 <= left and right <= box.right + 0.01


@pytest.mark.parametrize("align", ["left", "center", "right"])
def test_notes_stand_where_they_are_put(align):
    box = sheet().note(6, 3, "many words in a note", width=2, align=align)
    assert box.width <= 2 and {"left": box.left, "center": box.x, "right": box.right}[align] == pytest.approx(6)
    assert box.height > sheet().note(6, 3, "many").height


REFUSED = [
    (lambda s: s.box(0.2, 3, "teacher"), "'teacher' must be on the sheet of 12 x 6 squares, got x from -"),
    (lambda s: s.note(6, 6.5, "low"), "'low' must be on the sheet of 12 x 6 squares, got x from "),
    (lambda s: s.box(6, 3, "b"), "'b' must be where nothing lies yet, got a place on 'a', at x = 6.00, y = 3.00"),
    (lambda s: s.cells(6, 3, [1]), "the array of cells must be where nothing lies yet, got a place on 'a'"),
    (lambda s: s.bars(6, 3, [1], ["x"]), "the bars must be where nothing lies yet, got a place on 'a'"),
    (lambda s: s.box(2, 1, "unbreakable", width=1), "text 'unbreakable' must fit into 0.8 squares, got one that needs"),
    (lambda s: s.box(2, 1, "a\nb\nc\nd", height=1), r"text 'a\nb\nc\nd' must fit into 1 squares, got one that is"),
    (lambda s: s.cells(2, 1, np.zeros((2, 2, 2))), "values must have shape (n,) or (rows, columns), got (2, 2, 2)"),
    (lambda s: s.cells(2, 1, []), "values must have shape (n,) or (rows, columns), got (1, 0)"),
    (lambda s: s.cells(2, 1, [1, 2], mark=[True]), "mark must have the shape of values, (1, 2), got (1, 1)"),
    (lambda s: s.cells(2, 1, [1, 2], labels=["a", "b"]), "labels must have one entry for each of the 1 rows, got 2"),
    (lambda s: s.bars(2, 1, [1, 2], ["a"]), "labels must have one entry for each of the 2 values, got 1"),
    (lambda s: s.bars(2, 1, [1, -2], ["a", "b"]), "values must be numbers >= 0, one of them > 0, got array([ 1, -2])"),
    (lambda s: s.bars(2, 1, [0], ["a"]), "values must be numbers >= 0, one of them > 0, got array([0])"),
    (lambda s: s.note(2, 1, "a", align="middle"), "align must be one of left, center, right, got 'middle'"),
    (lambda s: s.arrow(Box(1, 1, 2, 2), Box(2, 2, 2, 2)), "start and end must lie apart, got two boxes that cover each other"),
    (lambda s: sheet(width=13), "width must be one number in (0, 12], squares, got 13"),
    (lambda s: sheet(height=0), "height must be one number > 0 and finite, squares, got 0"),
]


@pytest.mark.parametrize(("place", "message"), REFUSED)
def test_what_does_not_fit_is_refused(place, message):
    picture = sheet()
    picture.box(6, 3, "a")
    with pytest.raises(ValueError, match=re.escape(message)):
        place(picture)

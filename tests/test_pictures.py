"""A picture: its title, its words, its size, and what a notebook shows of it."""

import html
import io
import re

import numpy as np
import pytest
from matplotlib.text import Text
from PIL import Image

from kdcourse import pictures
from kdcourse.pictures import Picture


def plain(**more) -> Picture:
    """A picture with one empty plot."""
    picture = Picture(**{"alt": "The line rises."} | more)
    picture.add_subplot()
    return picture


def drawn(picture) -> list[Text]:
    """The texts that a picture shows."""
    picture.draw_without_rendering()
    return [text for text in picture.findobj(Text) if text.get_text().strip() and text.get_visible()]


def test_one_output_with_alt_text_and_the_words_folded_below(shown):
    picture = plain(alt='3 < 4 & "so" on', words="First this.\nThen <that>.")
    (output,) = shown(picture)
    assert set(output.data) == {"text/html", "text/plain"} and output.data["text/plain"] == picture.alt
    image = r'<img src="data:image/webp;base64,[^"]+" alt="([^"]*)" width="(\d+)" style="max-width: 100%; height: auto">'
    alt, width, folded = re.fullmatch(f"{image}(<details>.*</details>)", output.data["text/html"]).groups()
    assert html.unescape(alt) == picture.alt and "<" not in alt and width == "640"
    assert folded == "<details><summary>This picture in words</summary>First this.<br>Then &lt;that&gt;.</details>"


def test_without_words_the_alt_text_is_folded():
    assert ">This picture in words</summary>The line rises.<" in plain().html()


def test_alt_text_may_be_set_later():
    picture = plain()
    picture.alt = "The line falls."
    assert 'alt="The line falls."' in picture.html() and "rises" not in picture.html()


@pytest.mark.parametrize("inches", [(0.29, 0.57), (6.4, 3.2), (4.355, 1.138), (7.6, 2.26)])
def test_two_pixels_of_the_file_for_one_of_the_page(inches):
    picture = plain(width=inches[0], height=inches[1], layout="none")
    width, height = Image.open(io.BytesIO(picture.png())).size
    assert (width, height) == (2 * round(100 * inches[0]), 2 * round(100 * inches[1]))
    assert f'width="{width // 2}"' in picture.html()


def test_the_png_file_says_what_it_shows():
    assert Image.open(io.BytesIO(plain(alt="Größer → besser.").png())).text["Description"] == "Größer → besser."


def test_the_file_on_the_page_is_the_picture_without_loss():
    picture = plain()
    file = io.BytesIO(pictures.webp(picture._pixels()))
    assert Image.open(file).tobytes() == picture._pixels().convert("RGB").tobytes()
    assert picture._pixels().convert("RGB").getpixel((0, 0)) == (255, 255, 255)  # as the page around it


def test_shades_of_an_image_and_colours_of_small_dots_are_kept():
    shades, dots = plain(), plain()
    shades.axes[0].imshow(np.linspace(0, 1, 60).reshape(6, 10), cmap="gray")
    assert len(shades._pixels().convert("RGB").getcolors(999)) >= 60
    for i in range(300):
        dots.text(0.1 + i % 30 / 40, 0.2 + i // 30 / 15, "words", size=9)
    dots.axes[0].plot([0, 1], [0, 1], ".", color=pictures.GREEN, markersize=4)
    green = (0, 0x9E, 0x73)
    near = [colour for _, colour in dots._pixels().convert("RGB").getcolors(999) if np.abs(np.subtract(colour, green)).max() < 12]
    assert near


def test_the_title_is_drawn_at_the_left_broken_to_the_width_and_stands_for_the_alt_text():
    finding = "The finding of this picture is so long that it does not fit into a single line of it, nor into two of them"
    picture = plain(alt=None, title=finding, width=4.0)
    title = next(text for text in drawn(picture) if text.get_text().startswith("The finding"))
    assert picture.alt == finding == " ".join(title.get_text().split()) and "\n" in title.get_text()
    assert title.get_size() >= 10 and title.get_ha() == "left"
    box, whole = title.get_window_extent(), picture.bbox
    assert box.x0 >= 0 and box.x1 <= whole.x1 and box.y1 <= whole.y1
    assert box.y0 >= picture.axes[0].get_tightbbox().y1  # nothing lies under it


def test_title_and_caption_add_their_height():
    bare, told = plain(), plain(title="A finding.", caption="Each dot is a seed.")
    assert told.get_figheight() > bare.get_figheight() + 0.3
    caption = next(text for text in drawn(told) if text.get_text() == "Each dot is a seed.")
    assert caption.get_window_extent().y1 <= told.axes[0].get_tightbbox().y0
    heights = [picture.axes[0].get_tightbbox().height for picture in (bare, told) if not picture.draw_without_rendering()]
    assert heights[0] == pytest.approx(heights[1], abs=3)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"alt": None}, "alt must be a sentence that states the finding where no title does, got None"),
        ({"alt": " "}, "alt must be a sentence that states the finding, got ' '"),
        ({"title": ""}, "title must be a sentence that states the finding, got ''"),
        ({"title": 3}, "title must be a sentence that states the finding, got 3"),
    ],
)
def test_a_picture_says_something(given, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        plain(**given)


def test_an_image_tag_needs_alt_text_and_keeps_it_on_one_line():
    assert pictures.image_html(b"x", "image/png", "a\n  'b'", 5) == (
        '<img src="data:image/png;base64,eA==" alt="a &#x27;b&#x27;" width="5" style="max-width: 100%; height: auto">'
    )
    with pytest.raises(ValueError, match="alt must be a sentence that states the finding, got ''"):
        pictures.image_html(b"x", "image/png", "", 5)


def test_lines_are_broken_between_words_and_kept_where_they_were_broken():
    assert pictures.wrapped("one two\nthree", 9) == "one two\nthree"
    assert pictures.wrapped("one two", 0.1) == "one\ntwo" and pictures.wrapped("", 1) == ""
    text = pictures.wrapped("many words " * 20, 2.0)
    assert pictures.text_width(text) <= 2.0 < pictures.text_width(text.replace("\n", " ", 1))


def test_axes_stand_where_they_were_put():
    picture = Picture("Axes.", title="A title above", caption="A caption below", width=4, height=2, layout="none")
    axes = picture.axes_at(1.0, 0.5, 2.0, 1.0)
    box, room = axes.get_window_extent(), picture.room[1] * picture.bbox.height
    assert (box.x0, box.y0 - room, box.width, box.height) == pytest.approx((100, 50, 200, 100), abs=0.01)

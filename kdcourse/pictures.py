"""A `Picture`: a matplotlib Figure that carries its finding as a title, says it in words, and shows itself in a notebook with both.

Colours are those of Okabe and Ito, which people with colour-blindness can tell apart. Text is at least 9 points at the size shown. A
picture is at most `WIDEST` inches wide, because a notebook shrinks a wider one and its text with it.
"""

import base64
import html
import io
import math

from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextPath

from .checks import refuse, shown

BLUE, ORANGE, GREEN, PINK, VERMILION = "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00"
GREY, DARK, BLACK = "#999999", "#555555", "#222222"  # dark for small text, which grey would be too pale for
INCH = 100  # CSS pixels of a page for an inch of a picture
SHARP = 2  # pixels of the image for a CSS pixel, as screens with a high resolution show them
COLOURS, GREYS = 64, 96  # of the file, of one that holds images: far fewer bytes, and the eye sees no difference
SMALL, LARGE = 9, 11  # points: of all text, of a title
WIDEST = 7.6
MARGIN = 0.06  # inches around a title and a caption


class Picture(Figure):
    """A Figure with a title, which states the finding, alt text and a longer text in words.

    In a notebook it shows as one image with its alt text, and with the words folded below it.
    """

    def __init__(
        self,
        alt: str | None = None,
        *,
        title: str | None = None,
        caption: str | None = None,
        words: str | None = None,
        width: float = 6.4,
        height: float = 3.2,
        layout: str = "constrained",
    ):
        """Make an empty picture.

        Args:
            alt: the finding in one sentence; None takes the title. It may be set later.
            title: the finding, drawn at the upper left; it is broken into lines.
            caption: what dots, bands and the like are, drawn in small letters below.
            words: what there is to see, for a reader who cannot see it; None takes `alt`. It may be set later.
            width: in inches.
            height: in inches, of what is drawn between title and caption; both add their own.
            layout: "constrained" arranges axes by itself; "none" leaves them where they are put (see `axes_at`).

        Raises:
            ValueError: neither title nor alt text.
        """
        for name, text in (("title", title), ("alt", alt)):
            if text is not None and (not isinstance(text, str) or not text.strip()):
                refuse(name, "a sentence that states the finding", shown(text))
        if alt is None and title is None:
            refuse("alt", "a sentence that states the finding where no title does", None)
        self.alt, self.title, self.words = alt or title, title, words
        head, foot = wrapped(title or "", width - 2 * MARGIN, LARGE, "bold"), wrapped(caption or "", width - 2 * MARGIN)
        above, below = (_height(text, size) for text, size in ((head, LARGE), (foot, SMALL)))
        width, height = _whole(width), _whole(height)
        total = _whole(height + above + below)
        super().__init__(figsize=(width + 1e-6, total + 1e-6))  # a hair more, so that rounding never costs a pixel
        self.room = (0, below / total, 1, height / total)  # what title and caption leave, as shares of the picture
        self.set_layout_engine(layout, **({"rect": self.room} if layout == "constrained" else {}))
        if head:
            self.text(MARGIN / width, 1 - MARGIN / total, head, size=LARGE, weight="bold", va="top", color=BLACK)
        if foot:
            self.text(MARGIN / width, MARGIN / total, foot, size=SMALL, va="bottom", color=DARK)

    def axes_at(self, left: float, bottom: float, width: float, height: float, **more):
        """Add axes at a place in inches, measured from the lower left of the room between title and caption; return them."""
        wide, total = self.get_size_inches()
        return self.add_axes((left / wide, self.room[1] + bottom / total, width / wide, height / total), **more)

    def _pixels(self):
        """Return the picture as a PIL image of few colours, because a notebook must stay small."""
        from PIL import Image

        full = io.BytesIO()
        self.savefig(full, format="png", dpi=INCH * SHARP)
        image = Image.open(full).convert("RGB")
        if any(axes.images for axes in self.axes):
            return image.quantize(GREYS)  # all shades of an image are kept
        small = image.quantize(COLOURS, Image.Quantize.FASTOCTREE)  # the colours of the smallest dots are kept
        small.putpalette([255 if part > 252 else part for part in small.getpalette()])  # but white becomes a little grey
        return small

    def png(self) -> bytes:
        """Return the picture as a PNG file with the alt text in its metadata, under "Description"."""
        from PIL.PngImagePlugin import PngInfo

        about, small = PngInfo(), io.BytesIO()
        about.add_text("Description", self.alt)
        self._pixels().save(small, format="png", optimize=True, pnginfo=about, dpi=(INCH * SHARP, INCH * SHARP))
        return small.getvalue()

    def html(self) -> str:
        """Return the picture as a page shows it: the image with its alt text, and the words folded below it."""
        image = image_html(webp(self._pixels()), "image/webp", self.alt, round(self.get_figwidth() * INCH))
        told = html.escape(self.words or self.alt).replace("\n", "<br>")
        return f"{image}<details><summary>This picture in words</summary>{told}</details>"

    def _ipython_display_(self):
        from IPython.display import display

        # not image/png: JupyterLab and its HTML export drop the alt text of one
        display({"text/html": self.html(), "text/plain": self.alt}, raw=True)


def webp(image) -> bytes:
    """Return a PIL image as a lossless WebP file; one of few colours, as `quantize` makes it, becomes very small."""
    file = io.BytesIO()
    image.convert("RGB").save(file, "webp", lossless=True, quality=100, method=4)  # 6 saves nothing and takes seconds
    return file.getvalue()


def image_html(data: bytes, mime: str, alt: str, width: int) -> str:
    """Return the ``<img>`` tag of an image file for a page: `width` in CSS pixels, narrower where the page is.

    Every page keeps it: JupyterLab, which may drop the style, its HTML export, Colab and GitHub.

    Raises:
        ValueError: no alt text.
    """
    if not isinstance(alt, str) or not alt.strip():
        refuse("alt", "a sentence that states the finding", shown(alt))
    source = f"data:{mime};base64,{base64.b64encode(data).decode()}"
    return f'<img src="{source}" alt="{html.escape(" ".join(alt.split()))}" width="{width}" style="max-width: 100%; height: auto">'


def text_width(text: str, size: float = SMALL, weight: str = "normal") -> float:
    """Return how many inches the longest line of a text takes at most."""
    font = FontProperties(weight=weight)
    lines = [line for line in text.splitlines() if line.strip()]
    ends = [TextPath((0, 0), line, size=size, prop=font).vertices[:, 0].max() for line in lines]
    return 1.04 * max(ends, default=0.0) / 72  # letters are drawn on whole pixels, which makes some of them wider


def text_height(text: str, size: float = SMALL) -> float:
    """Return how many inches the lines of a text take."""
    return 1.25 * size / 72 * (text.count("\n") + 1) if text else 0.0


def wrapped(text: str, width: float, size: float = SMALL, weight: str = "normal") -> str:
    """Break a text into lines of at most `width` inches, between words; a word that is longer stays whole. Its own line breaks stay."""
    lines = []
    for given in text.splitlines():
        line = ""
        for word in given.split():
            longer = f"{line} {word}".strip()
            if line and text_width(longer, size, weight) > width:
                lines.append(line)
                line = word
            else:
                line = longer
        lines.append(line)
    return "\n".join(lines)


def _whole(inches: float) -> float:
    """Return a length that ends on a whole CSS pixel."""
    return round(inches * INCH) / INCH


def _height(text: str, size: float) -> float:
    return math.ceil((text_height(text, size) + 2 * MARGIN) * INCH) / INCH if text else 0.0

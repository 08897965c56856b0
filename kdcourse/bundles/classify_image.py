"""An image classifier that needs numpy and ai-edge-litert, and the files beside this one. No TensorFlow, no Pillow.

    python classify.py picture.png          prints the three most likely labels
    python classify.py --time picture.png   tells how long one answer takes, too
    python classify.py --as-is digit.npy    takes the picture as it is, without preparing it

A picture is a .png (8 bits a channel, not interlaced), a binary .pgm or .ppm, or a .npy file of pixels. The option --original reads
model_float32.tflite instead of model.tflite, where the bundle has it.
"""

import hashlib
import json
import sys
import time
import zlib
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter

INK = 0.1  # a pixel brighter than this belongs to the digit


class Classifier:
    """One of the models of a bundle; `folder` holds the files, `model` is the name of a .tflite file in it.

    FileNotFoundError or ValueError say in one sentence which file is missing or does not fit.
    """

    def __init__(self, folder=".", model="model.tflite"):
        """Read the files and let LiteRT make the model ready for one picture at a time."""
        folder = Path(folder)
        try:
            config = json.loads(_read(folder, "config.json"))
            self.shape, self.prepare = tuple(config["shape"]), config["prepare"]
            models, sha256 = list(config["models"]), dict(config["sha256"])
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise ValueError(f"{folder / 'config.json'} must tell shape, prepare, models and sha256 in JSON, got {error!r:.80}") from None
        if model not in models:
            raise ValueError(f"model must be one of {models}, got {model!r}")
        labels, content = (_read(folder, name, sha256) for name in ("labels.txt", model))
        self.class_names = labels.decode("utf-8").splitlines()
        try:
            self.model = Interpreter(model_content=content, num_threads=1)
            self.model.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            reason = str(error).strip().partition("\n")[0]
            raise ValueError(f"{folder / model} must be a .tflite file, got one that LiteRT refuses: {reason}") from None
        self.given, self.answer = self.model.get_input_details()[0], self.model.get_output_details()[0]
        if tuple(map(int, self.given["shape"])) != (1, *self.shape):
            raise ValueError(f"{folder / model} must read a picture of shape {self.shape}, got one that reads {self.given['shape'][1:]}")

    def prepared(self, picture, as_is: bool = False) -> np.ndarray:
        """Return a picture as the model reads it, float32 in 0..1, shape (height, width, channels).

        Args:
            picture: the path of a file, or an array (height, width) or (height, width, channels): uint8 in 0..255 or floats in 0..1.
            as_is: leave out what the bundle does to a picture first; it must then have the model's height and width.
        """
        pixels, (height, _, channels) = _pixels(picture), self.shape
        if pixels.shape[2] == 1 and channels == 3:
            pixels = np.repeat(pixels, 3, axis=2)
        elif pixels.shape[2] == 3 and channels == 1:
            pixels = pixels @ np.array([[0.299], [0.587], [0.114]], np.float32)  # how bright each colour looks
        if self.prepare == "mnist" and not as_is:
            pixels = centred(pixels[..., 0], height)[..., None]
        if pixels.shape != self.shape:
            raise ValueError(f"picture must have shape {self.shape}, got {pixels.shape}")
        return np.ascontiguousarray(pixels, np.float32)

    def logits(self, picture, as_is: bool = False) -> np.ndarray:
        """Return the model's logits, float32, shape (classes,)."""
        x = self.prepared(picture, as_is)[None]
        if self.given["dtype"] != np.float32:
            scale, zero = self.given["quantization"]
            ends = np.iinfo(self.given["dtype"])
            x = np.clip(np.rint(x / np.float32(scale)) + zero, ends.min, ends.max).astype(self.given["dtype"])
        self.model.set_tensor(self.given["index"], x)
        self.model.invoke()
        answer = self.model.get_tensor(self.answer["index"])[0]
        if self.answer["dtype"] != np.float32:
            scale, zero = self.answer["quantization"]
            answer = np.float32(scale) * (answer.astype(np.float32) - zero)
        return answer

    def probabilities(self, picture, temperature: float = 1.0, as_is: bool = False) -> np.ndarray:
        """Return softmax(logits / temperature), float64, shape (classes,)."""
        if isinstance(temperature, bool) or not isinstance(temperature, int | float | np.number) or not 0 < temperature < float("inf"):
            raise ValueError(f"temperature must be a finite number > 0, got {temperature!r}")
        logits = self.logits(picture, as_is).astype(np.float64)
        with np.errstate(over="ignore"):  # a tiny temperature makes minus infinity, whose exp is 0
            odds = np.exp((logits - logits.max()) / temperature)
        return odds / odds.sum()


def centred(picture: np.ndarray, size: int = 28, box: int = 20) -> np.ndarray:
    """Return a digit as those of MNIST were made (LeCun et al. 1998): light on dark, in a box, its centre of mass in the middle.

    The rectangle around the ink is scaled, with its ratio kept, so that its longer side has `box` pixels; each new pixel is the mean of
    the area that it covers. Then it is placed, by whole pixels, so that the centre of mass comes to ``size / 2``, counted from 0, where
    MNIST has it. A picture whose border is bright is turned dark first. A picture without ink gives zeros.

    Args:
        picture: floats in 0..1, shape (height, width).
        size, box: pixels; MNIST's are 28 and 20.
    """
    picture = np.asarray(picture, np.float64)
    border = np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])
    if border.mean() > 0.5:
        picture = 1 - picture
    rows, columns = (np.flatnonzero((picture > INK).any(axis)) for axis in (1, 0))
    placed = np.zeros((size, size), np.float32)
    if not len(rows):
        return placed
    ink = picture[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    height, width = (max(1, round(length * box / max(ink.shape))) for length in ink.shape)
    scaled = _area(ink.shape[0], height) @ ink @ _area(ink.shape[1], width).T
    weight = scaled.sum()
    corner = []
    for axis, length in ((1, height), (0, width)):
        middle = (scaled.sum(axis) * np.arange(length)).sum() / weight
        corner.append(int(np.clip(np.floor(size / 2 - middle + 0.5 - 1e-6), 0, size - length)))  # a half goes up and left
    placed[corner[0] : corner[0] + height, corner[1] : corner[1] + width] = np.clip(scaled, 0, 1)
    return placed


def _area(old: int, new: int) -> np.ndarray:
    """Return the matrix (new, old) that makes `new` pixels of `old` ones: which share of each old pixel lies in a new one."""
    ends = np.arange(new + 1)[:, None] * old / new
    inside = np.clip(np.minimum(ends[1:], np.arange(old) + 1) - np.maximum(ends[:-1], np.arange(old)), 0, None)
    return inside / inside.sum(1, keepdims=True)


# Pictures


def _pixels(picture) -> np.ndarray:
    """Return a picture as float32 in 0..1, shape (height, width, 1 or 3); what is see-through becomes white."""
    if isinstance(picture, str | Path):
        picture = _opened(Path(picture))
    pixels = np.asarray(picture)
    if pixels.ndim not in (2, 3) or 0 in pixels.shape or (pixels.ndim == 3 and pixels.shape[2] not in (1, 3, 4)):
        raise ValueError(f"picture must have shape (height, width) or (height, width, 1, 3 or 4), got {pixels.shape}")
    if pixels.dtype == np.uint8:
        pixels = pixels.astype(np.float32) / 255
    elif pixels.dtype.kind == "f":
        if not np.isfinite(pixels).all() or pixels.min() < 0:
            raise ValueError("picture must hold floats in 0..1, got NaN, infinity or a number below 0")
        if pixels.max() > 1:
            raise ValueError(
                f"picture must hold floats in 0..1, got {pixels.max():g}: divide pixels of 0..255 by 255, or pass them as uint8"
            )
    else:
        raise ValueError(f"picture must hold uint8 in 0..255 or floats in 0..1, got {pixels.dtype}")
    pixels = pixels.reshape(*pixels.shape[:2], -1).astype(np.float32)
    if pixels.shape[2] == 4:
        pixels = pixels[..., :3] * pixels[..., 3:] + 1 - pixels[..., 3:]
    return pixels


def _opened(path: Path) -> np.ndarray:
    if not path.is_file():
        raise FileNotFoundError(f"picture must be a file, got {path}")
    read = {".npy": _npy, ".png": _png, ".pgm": _netpbm, ".ppm": _netpbm}.get(path.suffix.lower())
    if read is None:
        raise ValueError(f"picture must be a .png, .pgm, .ppm or .npy file, got {path}")
    try:
        return read(path)
    except (ValueError, IndexError, zlib.error, EOFError, OSError) as error:
        raise ValueError(f"{path} must be a whole picture that can be read here, got: {error}") from None


def _npy(path: Path) -> np.ndarray:
    return np.load(path, allow_pickle=False)


def _netpbm(path: Path) -> np.ndarray:
    """Read a binary grey (P5) or colour (P6) picture of 8 bits."""
    content, fields, at = path.read_bytes(), [], 0
    while len(fields) < 4:
        end = at
        while end < len(content) and not content[end : end + 1].isspace():
            end += 1
        word, at = content[at:end], end + 1
        if word.startswith(b"#"):  # a comment, to the end of its line
            at = content.index(b"\n", end - 1) + 1
        elif word:
            fields.append(word)
        elif at > len(content):
            raise ValueError("its header ends early")
    kind, width, height, most = fields[0], *map(int, fields[1:])
    if kind not in (b"P5", b"P6") or most != 255:
        raise ValueError(f"it is {kind.decode('ascii', 'replace')} with {most} levels, and P5 or P6 with 255 can be read")
    channels = 1 if kind == b"P5" else 3
    return np.frombuffer(content, np.uint8, height * width * channels, offset=at).reshape(height, width, channels)


def _png(path: Path) -> np.ndarray:
    """Read a PNG of 8 bits a channel: grey, colour, either with transparency (W3C 2003, "Portable Network Graphics")."""
    content, at, packed = path.read_bytes(), 8, b""
    if content[:8] != b"\x89PNG\r\n\x1a\n":
        raise ValueError("it does not begin as a PNG does")
    while at + 8 <= len(content):
        length, kind = int.from_bytes(content[at : at + 4], "big"), content[at + 4 : at + 8]
        data = content[at + 8 : at + 8 + length]
        at += 12 + length
        if kind == b"IHDR":
            width, height = int.from_bytes(data[:4], "big"), int.from_bytes(data[4:8], "big")
            depth, colour, interlaced = data[8], data[9], data[12]
            if depth != 8 or colour not in (0, 2, 4, 6) or interlaced:
                raise ValueError("it has a palette, other than 8 bits a channel, or is interlaced")
        elif kind == b"IDAT":
            packed += data
    channels = {0: 1, 2: 3, 4: 2, 6: 4}[colour]
    lines = np.frombuffer(zlib.decompress(packed), np.uint8).reshape(height, 1 + width * channels)
    pixels, above = np.empty((height, width * channels), np.uint8), np.zeros(width * channels, np.uint8)
    for row, line in enumerate(lines):
        above = pixels[row] = _unfiltered(int(line[0]), line[1:], above, channels)
    pixels = pixels.reshape(height, width, channels)
    if channels == 2:  # grey and transparency
        pixels = np.concatenate([np.repeat(pixels[..., :1], 3, axis=2), pixels[..., 1:]], axis=2)
    return pixels


def _unfiltered(kind: int, line: np.ndarray, above: np.ndarray, channels: int) -> np.ndarray:
    """Return a line of a PNG as it was before its filter: each byte was stored less what its neighbours let one expect."""
    if kind == 0:
        return line
    if kind == 2:
        return line + above
    if kind == 1:
        return np.add.accumulate(line.reshape(-1, channels), axis=0, dtype=np.uint8).reshape(-1)
    if kind not in (3, 4):
        raise ValueError(f"it has a filter of kind {kind}")
    found, up = [0] * channels + line.tolist(), [0] * channels + above.tolist()
    for i in range(channels, len(found)):
        left, over, corner = found[i - channels], up[i], up[i - channels]
        if kind == 3:
            guess = (left + over) // 2
        else:
            near = left + over - corner
            guess = min((left, over, corner), key=lambda value: abs(near - value))
        found[i] = (found[i] + guess) % 256
    return np.array(found[channels:], np.uint8)


def _read(folder: Path, name: str, sha256: dict | None = None) -> bytes:
    if not (folder / name).is_file():
        raise FileNotFoundError(f"folder must be a bundle with {name} in it, got {folder}")
    content = (folder / name).read_bytes()
    if sha256 is not None and hashlib.sha256(content).hexdigest() != sha256.get(name):
        raise ValueError(f"{folder / name} must be the file that the bundle was written with, as config.json tells, got another one")
    return content


def latency(classifier: Classifier, picture, runs: int = 2000, as_is: bool = False) -> tuple[float, float]:
    """Return the milliseconds from a picture to its logits: the median, and what 95% of the runs stay below. A warm-up is not counted."""
    pixels, seconds = _pixels(picture), []
    for _ in range(runs + runs // 10):
        began = time.perf_counter()
        classifier.logits(pixels, as_is)
        seconds.append(time.perf_counter() - began)
    median, p95 = np.quantile(seconds[runs // 10 :], (0.5, 0.95)) * 1e3
    return float(median), float(p95)


def main(arguments: list[str]) -> None:
    """Answer the pictures of the command line."""
    options = {argument for argument in arguments if argument.startswith("--")}
    pictures = [argument for argument in arguments if argument not in options]
    if options - {"--time", "--as-is", "--original"} or not pictures:
        sys.exit(__doc__)
    as_is = "--as-is" in options
    try:
        classifier = Classifier(Path(__file__).parent, "model_float32.tflite" if "--original" in options else "model.tflite")
        for picture in pictures:
            probabilities = classifier.probabilities(picture, as_is=as_is)
            for best in probabilities.argsort()[::-1][:3]:
                print(f"{probabilities[best]:.3f}  {classifier.class_names[best]}", flush=True)
            if "--time" in options:
                print("       {:.3f} ms, 95% of the runs below {:.3f} ms".format(*latency(classifier, picture, as_is=as_is)), flush=True)
    except (OSError, ValueError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main(sys.argv[1:])

"""The folder in which an image classifier travels: the compressed file, its labels, and `classify.py`, which needs no TensorFlow."""

import os
from pathlib import Path

import numpy as np

from .. import checks, litert
from ..runtime import stderr_held_back
from . import classify_image
from .classify_image import Classifier, centred, latency
from .folder import checked_card, checked_names, files, fill, replaced, try_out

__all__ = ["FORMAT", "PREPARED", "Classifier", "centred", "latency", "open", "write"]

FORMAT = "kdcourse image bundle 1"
MODEL, ORIGINAL = "model.tflite", "model_float32.tflite"
PREPARED = ("mnist", "nothing")  # what may happen to a picture before the model reads it: `centred`, or nothing
LEAST_SAME = 0.9  # share of the examples to which the compressed file must give the original's answer


def write(
    folder: str | os.PathLike,
    tflite: bytes,
    class_names,
    *,
    card: str,
    examples: np.ndarray,
    expected: np.ndarray | None = None,
    original: bytes | None = None,
    prepare: str = "mnist",
) -> Path:
    """Write the deployment bundle of an image classifier; return its folder.

    It has ``model.tflite``, ``labels.txt``, ``config.json``, ``classify.py`` and ``MODEL_CARD.md``, and ``model_float32.tflite`` if the
    original travels along. All of it is tried out before it takes its place: on `examples` the runner answers as LiteRT does elsewhere.

    Args:
        folder: where; a bundle that is there already is replaced.
        tflite: the compressed file: one input of images, float32 or 8-bit integers, one output of logits.
        class_names: one a line in ``labels.txt``, in the order of the logits.
        card: Markdown, what a reader must know of the model; sizes, versions and how to run it are added.
        examples: images as the model learned them, floats in 0..1, shape ``(examples, height, width, channels)``.
        expected: the original network's logits for them, shape ``(examples, classes)``; None leaves this comparison out.
        original: the float32 file, to compare with on the device.
        prepare: "mnist": a picture is centred and scaled as MNIST's digits were (`centred`), which needs a square grey image; "nothing":
            a picture must come in the model's shape.

    Raises:
        ValueError: an argument that is none of the above, or parts that do not fit together; `folder` exists and is no bundle, or holds
            other files, too.
        RuntimeError: the runner answers otherwise than LiteRT, or the file otherwise than `expected` for more than a tenth of the examples.
    """
    given, answer = _ends(tflite, "tflite")
    shape, classes = given.shape[1:], answer.shape[-1]
    models = {MODEL: tflite}
    if original is not None:
        models[ORIGINAL] = original
        if [one.shape[1:] for one in _ends(original, "original")] != [shape, answer.shape[1:]]:
            raise ValueError(f"original must read and answer in the shapes of tflite, {shape} and {classes} classes, got another file")
    names = checked_names(class_names, classes, "tflite")
    if checks.choice("prepare", prepare, PREPARED) == "mnist" and (shape[0] != shape[1] or shape[2] != 1):
        checks.refuse("prepare", "'nothing' for images that are not square and grey", f"'mnist' for shape {shape}")
    card = checked_card(card)
    examples = _checked_images(examples, shape)
    if expected is not None:
        expected = checks.array("expected", expected, (len(examples), classes), dtype=np.float32)
    folder = Path(folder).resolve()
    usage = _usage(shape, prepare, original is not None)
    settings = {"shape": list(shape), "range": [0, 1], "prepare": prepare, "classes": classes}
    with replaced(folder, FORMAT, files(MODEL, ORIGINAL, "labels.txt")) as new:
        fill(new, FORMAT, models, {"labels.txt": names}, settings, Path(classify_image.__file__), card, usage)
        for name, content in models.items():
            answers = litert.predict(content, examples)
            allowed = {name: _allowed(content, answers)}
            try_out(new, lambda *what: _AsIs(open(*what)), examples, answers, allowed, "LiteRT outside of the bundle")
        if expected is not None:
            same = float(np.mean(litert.predict(tflite, examples).argmax(1) == expected.argmax(1)))
            if same < LEAST_SAME:
                raise RuntimeError(f"tflite must give the expected answer to {LEAST_SAME:.0%} of the examples, but does so for {same:.1%}")
    return folder


def open(folder: str | os.PathLike, model: str = MODEL) -> Classifier:
    """Return a classifier that answers from the bundle at `folder` with its file `model`, see `Classifier`; LiteRT starts without a word.

    Raises:
        FileNotFoundError, ValueError: a file is missing or does not fit, said in one sentence.
    """
    with stderr_held_back():  # LiteRT tells that it uses XNNPACK
        return Classifier(folder, model)


class _AsIs:
    """A classifier that reads pictures as they are: the examples are prepared already."""

    def __init__(self, classifier: Classifier):
        self.classifier = classifier

    def logits(self, picture) -> np.ndarray:
        return self.classifier.logits(picture, as_is=True)


def _ends(tflite: bytes, name: str) -> list[litert.Tensor]:
    """Return the input and the output of a file, after a look whether it classifies images."""
    checks.require(isinstance(tflite, bytes), f"{name} must be the bytes of a .tflite file, got {checks.shown(tflite)}")
    try:
        file = litert.contents(tflite)
    except ValueError as error:
        raise ValueError(str(error).replace("tflite", name, 1)) from None
    ends = [[file.tensors[number] for number in numbers] for numbers in (file.inputs, file.outputs)]
    if any(len(tensors) != 1 for tensors in ends) or len(ends[0][0].shape) != 4 or len(ends[1][0].shape) != 2:
        shapes = [[tensor.shape for tensor in tensors] for tensors in ends]
        raise ValueError(f"{name} must map images (1, height, width, channels) to logits (1, classes), got {shapes[0]} to {shapes[1]}")
    for (tensor,) in ends:
        if tensor.dtype not in (np.float32, np.int8, np.uint8):
            checks.refuse(name, "a file that reads and answers float32 or 8-bit integers", str(tensor.dtype))
    return [tensor for (tensor,) in ends]


def _checked_images(examples, shape: tuple[int, ...]) -> np.ndarray:
    examples = checks.array("examples", examples, ("examples", *shape), dtype=np.float32)
    low, high = float(examples.min()), float(examples.max())
    if high > 1 or low < 0:
        hint = ": divide pixels of 0..255 by 255" if low >= 0 else ""
        checks.refuse("examples", "pixels in 0..1", f"{low:g} to {high:g}{hint}")
    return examples


def _allowed(tflite: bytes, answers: np.ndarray) -> float:
    """Return how far the runner may be off: rounding of floats, or one step of integers, which fast routines may round otherwise."""
    answer = _ends(tflite, "tflite")[1]
    return float(answer.scale[0]) * 1.01 if len(answer.scale) else 1e-4 * float(np.abs(answers).max())


def _usage(shape: tuple[int, ...], prepare: str, original: bool) -> str:
    """Return Markdown that says how to call the runner."""
    what = (
        f"A picture of any size is centred and scaled as MNIST's digits were, to {shape}."
        if prepare == "mnist"
        else f"A picture has shape {shape}."
    )
    also = " `--original` asks the float32 file." if original else ""
    return f"""    python classify.py picture.png

From Python, in this folder:

    from classify import Classifier

    classifier = Classifier(".")
    classifier.probabilities("picture.png")  # or an array: uint8 in 0..255, or floats in 0..1

{what} `--as-is` leaves a picture as it is.{also}"""

"""The folder in which a text classifier travels: the model, its words and labels, and `classify.py`, which needs no TensorFlow."""

import os
from pathlib import Path

import numpy as np

from .. import checks, litert
from ..anatomy import checked_graph
from ..runtime import quiet_start, stderr_held_back
from . import classify_text
from .classify_text import Classifier, latency
from .folder import checked_card, checked_names, files, fill, replaced, try_out

__all__ = ["COPIED", "FILES", "FORMAT", "MODELS", "Classifier", "latency", "open", "write"]

FORMAT = "kdcourse text bundle 1"
MODELS = {"model_float32.tflite": "float32", "model_int8.tflite": "dynamic_int8"}  # {file: scheme of `litert.to_tflite`}
FILES = files(*MODELS, "vocabulary.txt", "labels.txt")
# The settings of TextVectorization that Classifier.words repeats
COPIED = {
    "standardize": "lower_and_strip_punctuation",
    "split": "whitespace",
    "ngrams": None,
    "output_mode": "int",
    "ragged": False,
    "encoding": "utf-8",
}


def write(folder: str | os.PathLike, student, vectorizer, class_names, *, card: str) -> Path:
    """Write the deployment bundle of a text classifier; return its folder.

    It has the model twice (``model_float32.tflite``, ``model_int8.tflite``), ``vocabulary.txt`` (line i, counted from 0, is the word with
    the number i), ``labels.txt``, ``config.json``, ``classify.py`` and ``MODEL_CARD.md``. All of it is tried out before it takes its place:
    on a few texts the words are those of `vectorizer` and the logits those of `student`, as near as `litert.to_tflite` demands.

    Args:
        folder: where; a bundle that is there already is replaced.
        student: Keras 3 model that maps word numbers, shape ``(texts, words)``, to logits, such as `models.text_average`. A recurrent one
            must be built with ``unroll=True``.
        vectorizer: the adapted ``keras.layers.TextVectorization`` that the student was trained with, in its default settings.
        class_names: one a line in ``labels.txt``, in the order of the logits.
        card: Markdown, what a reader must know of the model; sizes, versions and how to run it are added.

    Raises:
        ValueError: an argument that is none of the above, or parts that do not fit together; `folder` exists and is no bundle, or holds
            other files, too.
        RuntimeError: as `litert.to_tflite`; or the bundle does not answer as the student.
    """
    vocabulary, class_names = _checked_parts(student, vectorizer, class_names)
    card = checked_card(card)
    folder, words, known = Path(folder).resolve(), student.input_shape[1], len(vocabulary)
    lines = {"vocabulary.txt": vocabulary, "labels.txt": class_names}
    settings = {"words": words, "vocabulary": known, "classes": len(class_names)}
    usage = f"""    python classify.py "a text"

From Python, in this folder:

    from classify import Classifier

    classifier = Classifier(".")  # or Classifier(".", "model_float32.tflite")
    classifier.probabilities("a text")

The first {words} words of a text are read; {known - 2:,} words are known. `classifier.known(text)` tells how many known words were read;
at 0 the answer says nothing about the text."""
    with replaced(folder, FORMAT, FILES) as new:
        models = {name: litert.to_tflite(student, scheme) for name, scheme in MODELS.items()}
        fill(new, FORMAT, models, lines, settings, Path(classify_text.__file__), card, usage)
        _try_out(new, student, vectorizer, vocabulary)
    return folder


def open(folder: str | os.PathLike, model: str = "model_int8.tflite") -> Classifier:
    """Return a classifier that answers from the bundle at `folder` with its file `model`, see `Classifier`; LiteRT starts without a word.

    Raises:
        FileNotFoundError, ValueError: a file is missing or does not fit, said in one sentence.
    """
    with stderr_held_back():  # LiteRT tells that it uses XNNPACK
        return Classifier(folder, model)


def _checked_parts(student, vectorizer, class_names) -> tuple[list[str], list[str]]:
    """Return the vocabulary and the class names, after a look whether all parts fit together."""
    if checked_graph(student, "student").__name__ != "keras":
        checks.refuse("student", "a Keras 3 model", f"{student.name} of tf_keras")
    quiet_start()
    import keras

    given, answer = student.input_shape, student.output_shape
    if not (isinstance(given, tuple) and isinstance(answer, tuple) and len(given) == len(answer) == 2 and None not in given[1:]):
        raise ValueError(f"student must map shape (texts, words) to (texts, classes), got {given} to {answer}")
    if given[0] is not None or student.inputs[0].dtype != "int32":
        raise ValueError(f"student must read any number of texts as int32, got {given[0]} and {student.inputs[0].dtype}")
    if rolled := [layer.name for layer in student.layers if getattr(layer, "unroll", True) is False]:
        raise ValueError(f"student must be built with unroll=True (the weights stay the same), got a loop in its layer {rolled[0]!r}")
    sizes = [layer.input_dim for layer in student.layers if isinstance(layer, keras.layers.Embedding)]
    checks.require(sizes, f"student must have an Embedding layer, got {student.name} without one")

    if not isinstance(vectorizer, keras.layers.TextVectorization):
        checks.refuse("vectorizer", "a keras.layers.TextVectorization", type(vectorizer).__name__)
    config, vocabulary = vectorizer.get_config(), [str(word) for word in vectorizer.get_vocabulary()]
    for setting, default in COPIED.items():
        if config[setting] != default:
            raise ValueError(f"vectorizer must have {setting}={default!r}, which classify.py repeats, got {config[setting]!r}")
    if config["output_sequence_length"] != given[1]:
        raise ValueError(f"vectorizer must have output_sequence_length={given[1]}, as student, got {config['output_sequence_length']}")
    if not 2 < len(vocabulary) <= min(sizes):
        raise ValueError(f"vectorizer must be adapted and know at most student's {min(sizes)} words, got {len(vocabulary)}")
    if broken := [word for word in vocabulary if "\n" in word]:
        raise ValueError(f"vectorizer must know no word with a line break, got {broken[0]!r}")

    return vocabulary, checked_names(class_names, answer[1], "student")


def _try_out(new: Path, student, vectorizer, vocabulary) -> None:
    """Raise RuntimeError if the bundle reads or answers a text otherwise than Keras."""
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(vocabulary[2:], count)) for count in (1, 20, 1000)]
    texts += ["", "?!", "Ünknown wörds, 未知 \N{SLIGHTLY SMILING FACE}", f"{texts[1].upper()}, (and) <{texts[0]}>!"]
    numbers, reader = np.asarray(vectorizer(texts)), open(new)
    for text, row in zip(texts, numbers, strict=True):
        if not np.array_equal(reader.words(text)[0], row):
            raise RuntimeError(f"the bundle must read the same words as vectorizer, but differs on the text {text!r:.60}")
    expected = np.asarray(student(numbers.astype(np.int32), training=False))
    allowed = {name: litert.agreement(expected, scheme) for name, scheme in MODELS.items()}
    try_out(new, open, texts, expected, allowed, "student")
